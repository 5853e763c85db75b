//! Literals that are not what they look like: networks, dates, patterns, letters.

use std::sync::Arc;

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
use super::policy::Keyword;
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
use super::wording::after_bang;
use crate::engine::depth::parts;

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
        why: "The smaller range changes nothing, or an exception is as large as what it is taken from. Often a digit is wrong. \
              An exception that leaves something is none of this.",
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
        why: "What was allowed, forbidden or excepted until then is not any more, and nobody took the text out. Times are compared with \
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
        summary: "characters that cannot be seen, or letters of two alphabets in one name",
        why: "Characters that reorder a line make a reviewer read another policy than Cedar does, and `аdmin` with a Cyrillic `а` is another role \
              than `admin`. To Cedar a comment ends where a line feed or a carriage return stands, which most editors do not show. Comments are \
              looked at too.",
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

/// The address that is looked for in a range, and the range.
fn in_range(expr: &Expr) -> Option<(&Expr, &Expr, Network)> {
    let ExprKind::ExtensionFunctionApp { fn_name, args } = expr.expr_kind() else {
        return None;
    };
    match (fn_name.to_string() == "isInRange", &***args) {
        (true, [of, range]) => Some((of, range, Network::parse(constructed(range, "ip")?)?)),
        _ => None,
    }
}

fn not_a_network(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for (_, range, network) in policy.expressions().filter_map(in_range) {
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

/// A test whether an address is in a range.
struct InRange<'p> {
    /// The address that is asked about.
    of: &'p Expr,
    range: &'p Expr,
    network: Network,
    is_negated: bool,
    /// It has to hold, or has to not hold, whatever else does.
    is_conjunct: bool,
}

fn tests_of_ranges(policy: &Policy) -> Vec<InRange<'_>> {
    let conjuncts = policy.conjuncts();
    let mut found = Vec::new();
    policy.with_polarity(&mut |expr, is_negated| {
        if let Some((of, range, network)) = in_range(expr) {
            found.push(InRange {
                of,
                range,
                network,
                is_negated,
                is_conjunct: conjuncts.iter().any(|part| std::ptr::eq(part.expr, expr)),
            });
        }
    });
    found
}

impl InRange<'_> {
    /// The smaller and the larger range of two, where that is more than an exception from
    /// a range.
    fn overlap<'n>(&'n self, other: &'n Self) -> Option<(&'n Network, &'n Network)> {
        let (a, b) = (&self.network, &other.network);
        if self.of != other.of {
            return None;
        }
        if self.is_negated == other.is_negated {
            return match (b.contains(a), a.contains(b)) {
                (true, _) => Some((a, b)),
                (_, true) => Some((b, a)),
                _ => None,
            };
        }
        let (asked, excepted) = if self.is_negated { (b, a) } else { (a, b) };
        let is_nothing_left = self.is_conjunct && other.is_conjunct && excepted.contains(asked);
        is_nothing_left.then_some((asked, excepted))
    }
}

fn overlapping_ranges(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let tests = tests_of_ranges(policy);
    for (at, test) in tests.iter().enumerate() {
        let mut before = tests.iter().take(at);
        if let Some((inner, outer)) = before.find_map(|other| test.overlap(other)) {
            found.at(
                policy,
                span_of(test.range),
                format!("`{inner}` is a part of `{outer}`"),
                "leave one of them out, or mend it",
            );
        }
    }
}

fn past_date(subject: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for clause in &policy.clauses {
        let is_unless = clause.keyword == Keyword::Unless;
        let mut written = Vec::new();
        as_written(&clause.body, false, &mut written);
        for (expr, is_negated) in written {
            let Some((limit, is_until)) = compared_with_now(expr) else {
                continue;
            };
            let passed = constructed(limit, "datetime")
                .and_then(|text| millis_until(&subject.now, text))
                .is_some_and(|millis| millis <= 0);
            // `unless { now > limit }` is an end, and so is an exception until then.
            let is_end = is_until == (is_negated == is_unless);
            if !passed || !(is_end || is_until && !is_negated) {
                continue;
            }
            let message = if is_until {
                "this has not been true since the time that it names"
            } else {
                "this has always been true since the time that it names, and it is negated"
            };
            let hint = "delete what has ended, or set a new end";
            found.at(policy, span_of(expr), message, hint);
        }
    }
}

/// The parts of a condition as they are written, with whether a `!` negates them.
fn as_written<'p>(expr: &'p Expr, is_negated: bool, found: &mut Vec<(&'p Expr, bool)>) {
    match (expr.expr_kind(), after_bang(expr)) {
        (ExprKind::And { .. } | ExprKind::Or { .. } | ExprKind::If { .. }, _) => {
            for part in parts(expr) {
                as_written(part, is_negated, found);
            }
        }
        (_, Some(negated)) => as_written(negated, !is_negated, found),
        _ => found.push((expr, is_negated)),
    }
}

/// What `context.now` is compared with, and whether it has to be before that.
fn compared_with_now(expr: &Expr) -> Option<(&Expr, bool)> {
    match expr.expr_kind() {
        // `limit > now` is `!(limit <= now)` to Cedar.
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => compared_with_now(arg).map(|(limit, is_until)| (limit, !is_until)),
        ExprKind::BinaryApp {
            op: BinaryOp::Less | BinaryOp::LessEq,
            arg1,
            arg2,
        } => match (is_now(arg1), is_now(arg2)) {
            (true, false) => Some((arg2, true)),
            (false, true) => Some((arg1, false)),
            _ => None,
        },
        _ => None,
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
        let deceptive = super::letters::deceptive(&source.text);
        if deceptive.is_empty() {
            continue;
        }
        let policies = subject.policies.iter().enumerate();
        let of_file: Vec<(usize, &Policy)> = policies
            .filter(|(_, policy)| Arc::ptr_eq(&policy.source, source))
            .collect();
        for (span, message) in deceptive {
            let after = of_file.partition_point(|(_, policy)| policy.span.start <= span.start);
            let before = of_file.get(..after).and_then(<[_]>::last);
            let around = before.filter(|(_, policy)| span.end <= policy.span.end);
            found.of = around.map(|(at, _)| *at);
            let hint = "type it again by hand";
            match around {
                Some((_, policy)) => found.at(policy, span, message, hint),
                None => found.in_file(source, span, message, hint),
            };
        }
    }
}
