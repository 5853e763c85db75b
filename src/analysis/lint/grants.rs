//! Permits that give much, and forbids that can be stepped around.

use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Var;

use super::finding::Found;
use super::policy::Keyword;
use super::policy::Policy;
use super::policy::span_of;
use super::rule::Check;
use super::rule::Example;
use super::rule::Group;
use super::rule::Level;
use super::rule::Needs;
use super::rule::Rule;
use super::scopes::ActionSet;
use super::scopes::Party;
use super::subject::Subject;
use super::walk::with_polarity;

/// The rules of this file.
pub const RULES: &[Rule] = &[
    Rule {
        id: "permit-without-principal",
        group: Group::Security,
        level: Level::Warning,
        summary: "a permit asks nothing of the principal, in scope or condition",
        why: "Everybody whom the action takes gets it, guests and services too.",
        bad: Example::new(
            r#"@id("read-in-the-plant")
permit (principal, action == Action::"read", resource in Site::"plant");"#,
        ),
        good: Example::new(
            r#"@id("read-in-the-plant")
permit (principal in Role::"operator", action == Action::"read", resource in Site::"plant");"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(without_principal),
    },
    Rule {
        id: "permit-without-resource",
        group: Group::Security,
        level: Level::Warning,
        summary: "a permit asks nothing of the resource, in scope or condition",
        why: "It is about everything that the action takes: devices of all sites, and those that come later.",
        bad: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource);"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource in Site::"plant");"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(without_resource),
    },
    Rule {
        id: "broad-permit",
        group: Group::Security,
        level: Level::Warning,
        summary: "a permit is about every action",
        why: "An action that is declared next year is permitted on the day that it is declared.",
        bad: Example::new(
            r#"@id("operators-do-all")
permit (principal in Role::"operator", action, resource in Site::"plant");"#,
        ),
        good: Example::new(
            r#"@id("operators-read-and-stop")
permit (
  principal in Role::"operator",
  action in [Action::"read", Action::"stop"],
  resource in Site::"plant"
);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(broad),
    },
    Rule {
        id: "named-principal",
        group: Group::Security,
        level: Level::Info,
        summary: "a policy is about one principal by name",
        why: "Grants to persons belong in data: a role, or the link of a template, which can be listed, ended and audited \
              without a change of the policies.",
        bad: Example::new(
            r#"@id("ann-reads")
permit (principal == User::"ann", action == Action::"read", resource in Site::"plant");"#,
        ),
        good: Example::new(
            r#"@id("reads-by-grant")
permit (principal == ?principal, action == Action::"read", resource in ?resource);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(named_principal),
    },
    Rule {
        id: "permit-on-absence",
        group: Group::Security,
        level: Level::Warning,
        summary: "a permit holds because something is missing from the request",
        why: "The caller writes the context. Who leaves the fact out is let in; a missing fact should count as the unsafe value.",
        bad: Example::new(
            r#"@id("low-risk-reads")
permit (principal in Role::"operator", action == Action::"read", resource is Device)
unless { context has risk && context.risk > 3 };"#,
        ),
        good: Example::new(
            r#"@id("low-risk-reads")
permit (principal in Role::"operator", action == Action::"read", resource is Device)
when { context has risk && context.risk <= 3 };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(permit_on_absence),
    },
    Rule {
        id: "forbid-skipped-on-absence",
        group: Group::Security,
        level: Level::Warning,
        summary: "a forbid does not apply when something is missing from the request",
        why: "The caller writes the context, and steps around the forbid by leaving the fact out. Write `forbid .. unless { the fact is there \
              and good }`.",
        bad: Example::new(
            r#"@id("nothing-risky")
forbid (principal, action in Action::"manage", resource)
when { context has risk && context.risk > 3 };"#,
        ),
        good: Example::new(
            r#"@id("nothing-risky")
forbid (principal, action in Action::"manage", resource)
unless { context has risk && context.risk <= 3 };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(forbid_on_absence),
    },
    Rule {
        id: "break-glass-without-obligation",
        group: Group::Security,
        level: Level::Warning,
        summary: "emergency access is permitted and nothing has to be done about it",
        why: "Emergency access is acceptable because it is looked at afterwards. Let an obligation tell somebody. \
              Looked for by the words break-glass, emergency and override in the attributes that a permit reads.",
        bad: Example::new(
            r#"@id("break-glass")
permit (principal in Role::"operator", action == Action::"command", resource is Device)
when { context has break_glass && context.break_glass };"#,
        ),
        good: Example::new(
            r#"@id("break-glass")
@obligation("notify-security")
permit (principal in Role::"operator", action == Action::"command", resource is Device)
when { context has break_glass && context.break_glass };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(break_glass),
    },
    Rule {
        id: "cached-time",
        group: Group::Security,
        level: Level::Warning,
        summary: "callers may keep an answer that depends on the time",
        why: "`@cache_ttl` lets a caller use the answer after the time at which the condition turns.",
        bad: Example::new(
            r#"@id("read-until-the-end")
@cache_ttl("10m")
permit (principal in Role::"auditor", action == Action::"read", resource is Device)
when { context.now < datetime("9000-03-31") };"#,
        ),
        good: Example::new(
            r#"@id("read-until-the-end")
permit (principal in Role::"auditor", action == Action::"read", resource is Device)
when { context.now < datetime("9000-03-31") };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(cached_time),
    },
];

fn mentions(policy: &Policy, wanted: Var) -> bool {
    policy
        .expressions()
        .any(|expr| matches!(expr.expr_kind(), ExprKind::Var(var) if *var == wanted))
}

fn without(subject: &Subject<'_>, found: &mut Found, var: Var, what: &str) {
    for (at, (policy, scope)) in subject.policies.iter().zip(&subject.scopes).enumerate() {
        let party = match var {
            Var::Principal => &scope.principal,
            _ => &scope.resource,
        };
        if policy.is_permit() && *party == Party::Any && !mentions(policy, var) {
            found.of = Some(at);
            found.at(
                policy,
                policy.head(),
                format!("this permits {what}"),
                format!("constrain `{var}` in the scope: `{var} is`, `{var} in`"),
            );
        }
    }
}

fn without_principal(subject: &Subject<'_>, found: &mut Found) {
    without(subject, found, Var::Principal, "whoever asks");
}

fn without_resource(subject: &Subject<'_>, found: &mut Found) {
    without(subject, found, Var::Resource, "it on everything");
}

fn broad(subject: &Subject<'_>, found: &mut Found) {
    for (at, (policy, scope)) in subject.policies.iter().zip(&subject.scopes).enumerate() {
        if policy.is_permit() && *scope.actions == ActionSet::Any && !mentions(policy, Var::Action)
        {
            found.of = Some(at);
            found.at(
                policy,
                policy.head(),
                "this permits every action, also those to come",
                "name the actions, or a group of them, in the scope",
            );
        }
    }
}

fn named_principal(subject: &Subject<'_>, found: &mut Found) {
    for (at, (policy, scope)) in subject.policies.iter().zip(&subject.scopes).enumerate() {
        if let Party::Eq(uid) = &scope.principal {
            found.of = Some(at);
            found.at(
                policy,
                policy.head(),
                format!("this is about `{uid}` alone"),
                "make it a template with `?principal` and a link, or give the principal a role",
            );
        }
    }
}

/// Tests of the context with `has`, which have this polarity: negated when the
/// policy applies without the fact.
fn tests_of_context<'p>(policy: &'p Policy, wanted: bool, visit: &mut dyn FnMut(&'p Expr, String)) {
    for clause in &policy.clauses {
        let is_unless = clause.keyword == Keyword::Unless;
        with_polarity(&clause.body, is_unless, &mut |expr, is_negated| {
            let (of, name) = match expr.expr_kind() {
                ExprKind::HasAttr { expr, attr } => (expr, attr.to_string()),
                ExprKind::ExtHasAttr { expr, attrs } => {
                    let attrs: Vec<&str> = attrs.iter().map(smol_str::SmolStr::as_str).collect();
                    (expr, attrs.join("."))
                }
                _ => return,
            };
            if is_negated == wanted && starts_at_context(of) {
                visit(expr, name);
            }
        });
    }
}

fn starts_at_context(expr: &Expr) -> bool {
    match expr.expr_kind() {
        ExprKind::Var(var) => *var == Var::Context,
        ExprKind::GetAttr { expr, .. } => starts_at_context(expr),
        _ => false,
    }
}

fn permit_on_absence(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    if !policy.is_permit() {
        return;
    }
    tests_of_context(policy, true, &mut |expr, name| {
        found.at(
            policy,
            span_of(expr),
            format!("this permit holds when `{name}` is left out of the context"),
            "ask for the fact: `when { context has it && it is good }`",
        );
    });
}

fn forbid_on_absence(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    if policy.is_permit() {
        return;
    }
    tests_of_context(policy, false, &mut |expr, name| {
        found.at(
            policy,
            span_of(expr),
            format!("this forbid does not apply when `{name}` is left out of the context"),
            "turn it around: `unless { context has it && it is good }`",
        );
    });
}

fn break_glass(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    if !policy.is_permit() || policy.annotation("obligation").is_some() {
        return;
    }
    let read = policy
        .expressions()
        .find_map(|expr| match expr.expr_kind() {
            ExprKind::GetAttr { attr, expr: of } if starts_at_context(of) => {
                let name: String = attr
                    .chars()
                    .filter(|c| c.is_alphanumeric())
                    .collect::<String>()
                    .to_lowercase();
                let words = ["breakglass", "emergency", "override"];
                words
                    .iter()
                    .any(|word| name.contains(word))
                    .then_some((expr, attr))
            }
            _ => None,
        });
    if let Some((expr, attr)) = read {
        found.at(
            policy,
            span_of(expr),
            format!("`{attr}` opens, and nobody has to be told"),
            "add an obligation: `@obligation(\"notify-security\")`",
        );
    }
}

fn cached_time(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let Some(written) = policy.annotation("cache_ttl") else {
        return;
    };
    let reads_time = policy.expressions().any(|expr| match expr.expr_kind() {
        ExprKind::GetAttr { expr, attr } => attr == "now" && starts_at_context(expr),
        _ => false,
    });
    if reads_time {
        found.at(
            policy,
            written.span.clone(),
            "the answer may be kept, and depends on `context.now`",
            "remove `@cache_ttl`, or the time from the condition",
        );
    }
}
