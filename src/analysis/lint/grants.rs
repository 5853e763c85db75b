//! Permits that give much, and forbids that can be stepped around.

use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::UnaryOp;
use cedar_policy_core::ast::Var;

use super::absence::decided_by_absence;
use super::absence::starts_at_context;
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
use super::truth::literal;
use super::wording::after_bang;
use super::wording::compared_boolean;
use crate::engine::depth::parts;

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

fn is_var(expr: &Expr, wanted: Var) -> bool {
    matches!(expr.expr_kind(), ExprKind::Var(var) if *var == wanted)
}

fn mentions(policy: &Policy, wanted: Var) -> bool {
    policy.expressions().any(|expr| is_var(expr, wanted))
}

/// Whether a condition says which actions are meant: `action != x` and `unless { action
/// == x }` say which are not.
fn names_actions(policy: &Policy) -> bool {
    let mut is_named = false;
    policy.with_polarity(&mut |expr, is_negated| {
        let mut parts = parts(expr).into_iter();
        is_named |= !is_negated && parts.any(|part| is_var(part, Var::Action));
    });
    is_named
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
        if policy.is_permit() && *scope.actions == ActionSet::Any && !names_actions(policy) {
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
    let hint = "make it a template with `?principal` and a link, or give the principal a role";
    for (at, (policy, scope)) in subject.policies.iter().zip(&subject.scopes).enumerate() {
        found.of = Some(at);
        if let Party::Eq(uid) = &scope.principal {
            let message = format!("this is about `{uid}` alone");
            found.at(policy, policy.head(), message, hint);
        }
        let mut named = Vec::new();
        policy.with_polarity(&mut |expr, is_negated| {
            named.extend(
                principal_of(expr)
                    .filter(|_| !is_negated)
                    .map(|uid| (expr, uid)),
            );
        });
        for (expr, uid) in named {
            let message = format!("this is about `{uid}` by name");
            found.at(policy, span_of(expr), message, hint);
        }
    }
}

/// The principal that a comparison with `principal` names.
fn principal_of(expr: &Expr) -> Option<&EntityUID> {
    let ExprKind::BinaryApp {
        op: BinaryOp::Eq,
        arg1,
        arg2,
    } = expr.expr_kind()
    else {
        return None;
    };
    let sides = [(arg1, arg2), (arg2, arg1)].into_iter();
    let mut other = sides.filter(|(side, _)| is_var(side, Var::Principal));
    match literal(other.next()?.1)? {
        Literal::EntityUID(uid) => Some(uid),
        _ => None,
    }
}

fn permit_on_absence(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    if !policy.is_permit() {
        return;
    }
    for (expr, name) in decided_by_absence(policy, true) {
        found.at(
            policy,
            span_of(expr),
            format!("this permit holds when `{name}` is left out of the context"),
            "ask for the fact: `when { context has it && it is good }`",
        );
    }
}

fn forbid_on_absence(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    if policy.is_permit() {
        return;
    }
    for (expr, name) in decided_by_absence(policy, false) {
        found.at(
            policy,
            span_of(expr),
            format!("this forbid does not apply when `{name}` is left out of the context"),
            "turn it around: `unless { context has it && it is good }`",
        );
    }
}

fn break_glass(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    if !policy.is_permit() || policy.annotation("obligation").is_some() {
        return;
    }
    let mut opened = Vec::new();
    for clause in &policy.clauses {
        opens(&clause.body, clause.keyword == Keyword::Unless, &mut opened);
    }
    // What is read says more than the test before it.
    let is_read = |expr: &Expr| {
        matches!(expr.expr_kind(), ExprKind::GetAttr { expr, attr }
        if starts_at_context(expr) && is_for_emergencies(attr))
    };
    if policy.expressions().any(is_read) {
        opened.retain(|(expr, _)| is_read(expr));
    }
    if let Some((expr, attr)) = opened.first() {
        found.at(
            policy,
            span_of(expr),
            format!("`{attr}` opens, and nobody has to be told"),
            "add an obligation: `@obligation(\"notify-security\")`",
        );
    }
}

/// The attributes for emergencies that a condition asks for, rather than against.
fn opens<'p>(expr: &'p Expr, is_negated: bool, found: &mut Vec<(&'p Expr, &'p str)>) {
    match expr.expr_kind() {
        ExprKind::And { .. } | ExprKind::Or { .. } | ExprKind::If { .. } => {
            for part in parts(expr) {
                opens(part, is_negated, found);
            }
        }
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => {
            // `x != "none"` asks for it too; `x != true` asks against it.
            let is_against = after_bang(expr).is_some() || compared_boolean(arg).is_some();
            opens(arg, is_negated != is_against, found);
        }
        _ if is_negated != (compared_boolean(expr) == Some(false)) => {}
        _ => found.extend(expr.subexpressions().filter_map(|part| {
            let (of, attr) = match part.expr_kind() {
                ExprKind::GetAttr { expr, attr } | ExprKind::HasAttr { expr, attr } => (expr, attr),
                ExprKind::ExtHasAttr { expr, attrs } => {
                    (expr, attrs.iter().find(|attr| is_for_emergencies(attr))?)
                }
                _ => return None,
            };
            (starts_at_context(of) && is_for_emergencies(attr)).then_some((part, attr.as_str()))
        })),
    }
}

fn is_for_emergencies(attribute: &str) -> bool {
    let letters = attribute.chars().filter(|c| c.is_alphanumeric());
    let name = letters.collect::<String>().to_lowercase();
    let mut words = ["breakglass", "emergency", "override"].iter();
    words.any(|word| name.contains(word))
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
