//! Literals that are not what they look like: networks, dates, patterns, letters.

use std::ops::Range;

use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::Pattern;
use cedar_policy_core::ast::PatternElem;
use cedar_policy_core::ast::UnaryOp;
use cedar_policy_core::ast::Var;

use super::finding::Edit;
use super::finding::Found;
use super::moment::millis_until;
use super::network::Network;
use super::policy::Policy;
use super::policy::span_of;
use super::rule::Check;
use super::rule::Example;
use super::rule::Group;
use super::rule::Level;
use super::rule::Needs;
use super::rule::Rule;
use super::subject::Subject;
use super::truth::literal;

/// The rules of this file.
pub const RULES: &[Rule] = &[
    Rule {
        id: "ip-not-network",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "a range of addresses has bits set beyond its prefix",
        why: "`10.0.0.7/24` is all of `10.0.0.0/24`. Either the prefix is wrong, or the reader is misled.",
        bad: Example::new(
            r#"@id("from-the-press-line")
permit (principal is User, action == Action::"read", resource is Device)
when { context.session.ip.isInRange(ip("10.0.0.7/24")) };"#,
        ),
        good: Example::new(
            r#"@id("from-the-press-line")
permit (principal is User, action == Action::"read", resource is Device)
when { context.session.ip.isInRange(ip("10.0.0.0/24")) };"#,
        ),
        is_fixable: true,
        needs: Needs::Text,
        check: Check::Each(not_a_network),
    },
    Rule {
        id: "ip-range-overlap",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "of two ranges of addresses in one condition, one contains the other",
        why: "The smaller range changes nothing, or an exception is larger than what it is taken from. Often a digit is wrong.",
        bad: Example::new(
            r#"@id("from-the-plant")
permit (principal is User, action == Action::"read", resource is Device)
when {
  context.session.ip.isInRange(ip("10.1.0.0/16")) ||
  context.session.ip.isInRange(ip("10.1.2.0/24"))
};"#,
        ),
        good: Example::new(
            r#"@id("from-the-plant")
permit (principal is User, action == Action::"read", resource is Device)
when {
  context.session.ip.isInRange(ip("10.1.0.0/16")) ||
  context.session.ip.isInRange(ip("10.2.2.0/24"))
};"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(overlapping_ranges),
    },
    Rule {
        id: "date-in-past",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "a condition ends at a time that has passed",
        why: "What was allowed, or forbidden, until then is not any more, and nobody took the text out. Times are compared with \
              the clock, or with `--now`.",
        bad: Example::new(
            r#"@id("contractors-until-the-audit")
permit (principal in Role::"auditor", action == Action::"read", resource is Device)
when { context.now < datetime("2020-03-31") };"#,
        ),
        good: Example::new(
            r#"@id("contractors-until-the-audit")
permit (principal in Role::"auditor", action == Action::"read", resource is Device)
when { context.now < datetime("9000-03-31") };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(past_date),
    },
    Rule {
        id: "like-without-wildcard",
        group: Group::Style,
        level: Level::Info,
        summary: "a pattern without `*` is a comparison",
        why: "`==` says so, and takes no `\\*` for a star.",
        bad: Example::new(
            r#"@id("press-read")
permit (principal is User, action == Action::"read", resource is Device)
when { resource.topic like "plant" };"#,
        ),
        good: Example::new(
            r#"@id("press-read")
permit (principal is User, action == Action::"read", resource is Device)
when { resource.topic == "plant" };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(no_wildcard),
    },
    Rule {
        id: "like-crosses-topic-levels",
        group: Group::Security,
        level: Level::Warning,
        summary: "a `*` in a pattern with `/` matches any number of levels",
        why: "In MQTT `plant/+/state` is one level; in Cedar `plant/*/state` is also `plant/safety/override/state`, and `plant/*` is all that is \
              below. Put topics into entities: a topic that is `in` a topic space cannot be faked by its name. Where the subtree is meant, \
              say so with `@allow`.",
        bad: Example::new(
            r#"@id("state-of-the-plant")
permit (principal is User, action == Action::"read", resource is Device)
when { resource.topic like "plant/*/state" };"#,
        ),
        good: Example::new(
            r#"@id("state-of-the-plant")
permit (principal is User, action == Action::"read", resource is Device in Site::"plant");"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(crosses_levels),
    },
    Rule {
        id: "deceptive-text",
        group: Group::Security,
        level: Level::Error,
        summary: "invisible characters, or letters of two alphabets in one name",
        why: "Characters that reorder a line make a reviewer read another policy than Cedar does, and `аdmin` with a Cyrillic `а` is another role \
              than `admin`. Comments are looked at too.",
        bad: Example::new(
            "@id(\"analysts-read\")\n// only n\u{200b}ight shift\npermit (principal is User, action == Action::\"read\", resource is Device);",
        ),
        good: Example::new(
            "@id(\"analysts-read\")\n// only night shift\npermit (principal is User, action == Action::\"read\", resource is Device)\nwhen { principal.level > 2 };",
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(deceptive),
    },
];

/// The text of `ip("..")`, `datetime("..")` and the like.
fn constructed<'a>(expr: &'a Expr, function: &str) -> Option<&'a str> {
    let ExprKind::ExtensionFunctionApp { fn_name, args } = expr.expr_kind() else {
        return None;
    };
    match (fn_name.to_string() == function, &***args) {
        (true, [text]) => match literal(text)? {
            Literal::String(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The ranges that addresses are looked for in.
fn ranges(policy: &Policy) -> impl Iterator<Item = (&Expr, Network)> {
    policy.expressions().filter_map(|expr| {
        let ExprKind::ExtensionFunctionApp { fn_name, args } = expr.expr_kind() else {
            return None;
        };
        match (fn_name.to_string() == "isInRange", &***args) {
            (true, [_, range]) => Some((range, Network::parse(constructed(range, "ip")?)?)),
            _ => None,
        }
    })
}

fn not_a_network(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for (range, network) in ranges(policy) {
        let base = network.base();
        if base == network {
            continue;
        }
        let span = span_of(range);
        let written = policy.source.slice(&span);
        let text = constructed(range, "ip").unwrap_or_default();
        let edit = written
            .find(text)
            .map(|at| span.start + at..span.start + at + text.len())
            .map(|span| Edit::replace(span, base.to_string()));
        found
            .at(
                policy,
                span,
                format!("`{network}` is all of `{base}`"),
                format!("write `{base}`, or mend the prefix"),
            )
            .edits
            .extend(edit);
    }
}

fn overlapping_ranges(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let ranges: Vec<(&Expr, Network)> = ranges(policy).collect();
    for (at, (range, network)) in ranges.iter().enumerate() {
        let other = ranges
            .iter()
            .take(at)
            .find(|(_, other)| other.contains(network) || network.contains(other));
        if let Some((_, other)) = other {
            let (inner, outer) = if other.contains(network) {
                (network, other)
            } else {
                (other, network)
            };
            found.at(
                policy,
                span_of(range),
                format!("`{inner}` is a part of `{outer}`"),
                "leave one of them out, or mend it",
            );
        }
    }
}

/// Upper bounds of `context.now`: the limit, and where it is written.
fn past_date(subject: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for expr in policy.expressions() {
        let negated = match expr.expr_kind() {
            ExprKind::UnaryApp {
                op: UnaryOp::Not,
                arg,
            } => Some(&**arg),
            _ => None,
        };
        // `limit > now` is `!(limit <= now)` to Cedar.
        let (compared, is_negated) = negated.map_or((expr, false), |arg| (arg, true));
        let ExprKind::BinaryApp {
            op: BinaryOp::Less | BinaryOp::LessEq,
            arg1,
            arg2,
        } = compared.expr_kind()
        else {
            continue;
        };
        let (now, limit) = if is_negated {
            (arg2, arg1)
        } else {
            (arg1, arg2)
        };
        let is_written_as_negation = policy.source.slice(&span_of(expr)).starts_with('!');
        if !is_now(now) || (is_negated && is_written_as_negation) || under_not(policy, expr) {
            continue;
        }
        let passed = constructed(limit, "datetime")
            .and_then(|text| millis_until(&subject.now, text))
            .is_some_and(|millis| millis <= 0);
        if passed {
            found.at(
                policy,
                span_of(expr),
                "this has not been true since the time that it names",
                "delete what has ended, or set a new end",
            );
        }
    }
}

fn is_now(expr: &Expr) -> bool {
    match expr.expr_kind() {
        ExprKind::GetAttr { expr, attr } => {
            attr == "now" && matches!(expr.expr_kind(), ExprKind::Var(Var::Context))
        }
        _ => false,
    }
}

/// `now >= limit` is `!(now < limit)` to Cedar: a start, not an end.
fn under_not(policy: &Policy, expr: &Expr) -> bool {
    policy.expressions().any(|outer| match outer.expr_kind() {
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => std::ptr::eq(&raw const **arg, expr),
        _ => false,
    })
}

fn patterns(policy: &Policy) -> impl Iterator<Item = (&Expr, &Pattern)> {
    policy
        .expressions()
        .filter_map(|expr| match expr.expr_kind() {
            ExprKind::Like { pattern, .. } => Some((expr, pattern)),
            _ => None,
        })
}

fn has(pattern: &Pattern, wanted: PatternElem) -> bool {
    pattern.iter().any(|element| *element == wanted)
}

fn no_wildcard(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for (expr, pattern) in patterns(policy) {
        if !has(pattern, PatternElem::Wildcard) {
            found.at(
                policy,
                span_of(expr),
                "this pattern matches one text only",
                "write `==`, or add the `*` that is missing",
            );
        }
    }
}

fn crosses_levels(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for (expr, pattern) in patterns(policy) {
        if has(pattern, PatternElem::Wildcard) && has(pattern, PatternElem::Char('/')) {
            found.at(
                policy,
                span_of(expr),
                format!("`*` in `{pattern}` matches `/` too, so any number of levels"),
                "put what is meant into a parent: `resource in TopicSpace::\"..\"`",
            );
        }
    }
}

fn deceptive(subject: &Subject<'_>, found: &mut Found) {
    for source in &subject.sources {
        for (span, message) in super::letters::deceptive(&source.text) {
            let of = subject.policies.iter().position(|policy| {
                policy.source.file == source.file && contains(&policy.span, &span)
            });
            found.of = of;
            let policy = of.and_then(|at| subject.policies.get(at));
            let hint = "type it again by hand";
            match policy {
                Some(policy) => found.at(policy, span, message, hint),
                None => found.in_file(source, span, message, hint),
            };
        }
    }
}

fn contains(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
