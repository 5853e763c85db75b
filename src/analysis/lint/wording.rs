//! Conditions that could be said shorter, or in the scope.

use cedar_policy_core::ast::ActionConstraint;
use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::UnaryOp;
use cedar_policy_core::ast::Var;

use super::conditions::says_nothing;
use super::finding::Edit;
use super::finding::Found;
use super::policy::Clause;
use super::policy::Keyword;
use super::policy::Policy;
use super::policy::span_of;
use super::rule::Check;
use super::rule::Example;
use super::rule::Group;
use super::rule::Level;
use super::rule::Needs;
use super::rule::Rule;
use super::scopes::Party;
use super::subject::Subject;
use super::text_edits::drop_operand;
use super::text_edits::drop_with_space;
use super::truth::literal;
use crate::engine::depth::parts;

/// More atomic conditions than this are too many to be reviewed at once.
const ATOMS_MAX: usize = 20;
/// `&&` and `||` alternating deeper than this, likewise.
const DEPTH_MAX: usize = 6;

/// The rules of this file.
pub const RULES: &[Rule] = &[
    Rule {
        id: "when-true",
        group: Group::Style,
        level: Level::Warning,
        summary: "a clause says nothing: `when { true }`, `unless { false }`",
        why: "It looks like a condition, and is none.",
        bad: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device)
when { true };"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        is_fixable: true,
        needs: Needs::Text,
        check: Check::Each(when_true),
    },
    Rule {
        id: "negated-unless",
        group: Group::Style,
        level: Level::Info,
        summary: "`unless { !x }` is `when { x }`",
        why: "Two negations are read wrongly sooner or later.",
        bad: Example::new(
            r#"@id("their-own")
permit (principal is User, action == Action::"read", resource is Device)
unless { !(resource has owner && resource.owner == principal) };"#,
        ),
        good: Example::new(
            r#"@id("their-own")
permit (principal is User, action == Action::"read", resource is Device)
when { resource has owner && resource.owner == principal };"#,
        ),
        is_fixable: true,
        needs: Needs::Text,
        check: Check::Each(negated_unless),
    },
    Rule {
        id: "double-negation",
        group: Group::Style,
        level: Level::Info,
        summary: "`!!x` is `x`",
        why: "Two negations are read wrongly sooner or later.",
        bad: Example::new(
            r#"@id("their-own")
permit (principal is User, action == Action::"read", resource is Device)
when { resource has owner && !!(resource.owner == principal) };"#,
        ),
        good: Example::new(
            r#"@id("their-own")
permit (principal is User, action == Action::"read", resource is Device)
when { resource has owner && resource.owner == principal };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(double_negation),
    },
    Rule {
        id: "repeated-condition",
        group: Group::Style,
        level: Level::Warning,
        summary: "the same condition is asked twice",
        why: "Often one of the two was meant to ask for something else.",
        bad: Example::new(
            r#"@id("seniors-read")
permit (principal is User, action == Action::"read", resource is Device)
when { principal.level > 2 && resource.topic like "p*" && principal.level > 2 };"#,
        ),
        good: Example::new(
            r#"@id("seniors-read")
permit (principal is User, action == Action::"read", resource is Device)
when { principal.level > 2 && resource.topic like "p*" };"#,
        ),
        is_fixable: true,
        needs: Needs::Text,
        check: Check::Each(repeated),
    },
    Rule {
        id: "scope-in-condition",
        group: Group::Style,
        level: Level::Info,
        summary: "the condition asks what the scope could say",
        why: "Policies are found by their scope: what it says costs nothing for requests that it excludes, and is what people \
              and tools read first.",
        bad: Example::new(
            r#"@id("operators-read")
permit (principal, action == Action::"read", resource is Device)
when { principal in Role::"operator" };"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(scope_in_condition),
    },
    Rule {
        id: "redundant-is",
        group: Group::Style,
        level: Level::Info,
        summary: "the condition asks for a type that the scope has settled",
        why: "It says twice what has to be changed together.",
        bad: Example::new(
            r#"@id("operators-read")
permit (principal is User in Role::"operator", action == Action::"read", resource is Device)
when { principal is User && principal.level > 1 };"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
permit (principal is User in Role::"operator", action == Action::"read", resource is Device)
when { principal.level > 1 };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(redundant_is),
    },
    Rule {
        id: "redundant-action",
        group: Group::Style,
        level: Level::Warning,
        summary: "the scope lists an action twice, or with a group that has it",
        why: "Who takes the action out of the list takes nothing away.",
        bad: Example::new(
            r#"@id("operators-manage")
permit (
  principal in Role::"operator",
  action in [Action::"manage", Action::"command"],
  resource is Device
);"#,
        ),
        good: Example::new(
            r#"@id("operators-manage")
permit (principal in Role::"operator", action in [Action::"manage"], resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(redundant_action),
    },
    Rule {
        id: "compared-with-boolean",
        group: Group::Style,
        level: Level::Info,
        summary: "`x == true` is `x`",
        why: "It reads as if there were a third value.",
        bad: Example::new(
            r#"@id("with-mfa")
permit (principal is User, action == Action::"read", resource is Device)
when { context.session has mfa && context.session.mfa == true };"#,
        ),
        good: Example::new(
            r#"@id("with-mfa")
permit (principal is User, action == Action::"read", resource is Device)
when { context.session has mfa && context.session.mfa };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(compared_with_boolean),
    },
    Rule {
        id: "complex-condition",
        group: Group::Style,
        level: Level::Info,
        summary: "a condition has more than 20 parts, or is nested more than 6 deep",
        why: "Nobody reviews it as a whole. Several policies with a reason each are read, tested and explained one by one.",
        bad: Example::new(
            r#"@id("nested")
permit (principal is User, action == Action::"read", resource is Device)
when {
  principal.level > 1 && (principal.level < 9 || (principal.level != 4 &&
  (principal.level > 5 || (principal.level != 3 && (principal.level > 6 ||
  (principal.level != 2 && (principal.handle == "ann" || principal.handle == "bob")))))))
};"#,
        ),
        good: Example::new(
            r#"@id("flat")
permit (principal is User, action == Action::"read", resource is Device)
when { principal.level > 1 && (principal.handle == "ann" || principal.handle == "bob") };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(complex),
    },
];

fn when_true(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for clause in &policy.clauses {
        if says_nothing(clause.keyword, &clause.body) {
            let edit = Edit::remove(drop_with_space(&policy.source.text, &clause.span));
            found
                .at(
                    policy,
                    clause.span.clone(),
                    "this clause says nothing",
                    "remove it",
                )
                .edits
                .push(edit);
        }
    }
}

fn not(expr: &Expr) -> Option<&Expr> {
    match expr.expr_kind() {
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => Some(arg),
        _ => None,
    }
}

/// What a `!` before it negates. `a != b` and `a > b` are negations to Cedar too, but
/// read as none; all of `!a != b` is one of those.
pub fn after_bang(expr: &Expr) -> Option<&Expr> {
    not(expr).filter(|arg| {
        // `!!x` is two negations at one place.
        not(arg).is_some() || span_of(arg).start > span_of(expr).start
    })
}

fn negated_unless(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let is_unless = |clause: &&Clause| clause.keyword == Keyword::Unless;
    for clause in policy.clauses.iter().filter(is_unless) {
        let span = span_of(&clause.body);
        let is_written = policy.source.slice(&span).starts_with('!');
        if after_bang(&clause.body).is_none() || !is_written {
            continue;
        }
        let edits = [
            Edit::replace(clause.keyword_span.clone(), "when"),
            Edit::remove(span.start..span.start + 1),
        ];
        found
            .at(
                policy,
                clause.span.clone(),
                "this is a double negation",
                "write `when`, without the `!`",
            )
            .edits
            .extend(edits);
    }
}

fn double_negation(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for expr in policy.expressions() {
        if after_bang(expr).and_then(after_bang).is_some() {
            found.at(
                policy,
                span_of(expr),
                "two negations are none",
                "take both away",
            );
            return;
        }
    }
}

fn repeated(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let conjuncts = policy.conjuncts();
    for (at, conjunct) in conjuncts.iter().enumerate() {
        let is_literal = matches!(literal(conjunct.expr), Some(Literal::Bool(_)));
        if is_literal || !conjuncts.iter().take(at).any(|other| other == conjunct) {
            continue;
        }
        let edit = drop_operand(policy, conjunct.expr);
        found
            .at(
                policy,
                span_of(conjunct.expr),
                "this was asked before",
                "leave it out, or ask what was meant",
            )
            .edits
            .extend(edit);
    }
}

/// `principal is T`, `resource in x`: the variable, and whether it is about a type.
fn scope_like(expr: &Expr) -> Option<(Var, bool)> {
    let var = |expr: &Expr| match expr.expr_kind() {
        ExprKind::Var(var) => Some(*var),
        _ => None,
    };
    let is_entity = |expr: &Expr| matches!(literal(expr), Some(Literal::EntityUID(_)));
    match expr.expr_kind() {
        ExprKind::Is { expr, .. } => Some((var(expr)?, true)),
        ExprKind::BinaryApp {
            op: BinaryOp::Eq | BinaryOp::In,
            arg1,
            arg2,
        } if is_entity(arg2) => Some((var(arg1)?, false)),
        _ => None,
    }
}

fn scope_in_condition(subject: &Subject<'_>, found: &mut Found) {
    for (at, (policy, scope)) in subject.policies.iter().zip(&subject.scopes).enumerate() {
        found.of = Some(at);
        for conjunct in policy.conjuncts() {
            let Some((var, _)) = scope_like(conjunct.expr).filter(|_| !conjunct.is_negated) else {
                continue;
            };
            let is_open = match var {
                Var::Principal => scope.principal == Party::Any,
                Var::Resource => scope.resource == Party::Any,
                Var::Action => {
                    matches!(policy.template.action_constraint(), ActionConstraint::Any)
                }
                Var::Context => false,
            };
            if is_open {
                found.at(
                    policy,
                    span_of(conjunct.expr),
                    format!("the scope leaves `{var}` open, and could say this"),
                    "move it into the scope",
                );
            }
        }
    }
}

fn redundant_is(subject: &Subject<'_>, found: &mut Found) {
    for (at, (policy, scope)) in subject.policies.iter().zip(&subject.scopes).enumerate() {
        found.of = Some(at);
        // In an alternative, or negated, it is no repetition.
        let conjuncts = policy.conjuncts();
        for conjunct in conjuncts.iter().filter(|conjunct| !conjunct.is_negated) {
            let expr = conjunct.expr;
            let ExprKind::Is {
                expr: of,
                entity_type,
            } = expr.expr_kind()
            else {
                continue;
            };
            let party = match of.expr_kind() {
                ExprKind::Var(Var::Principal) => &scope.principal,
                ExprKind::Var(Var::Resource) => &scope.resource,
                _ => continue,
            };
            if party.entity_type() == Some(entity_type) {
                found.at(
                    policy,
                    span_of(expr),
                    format!("the scope says that it is a `{entity_type}`"),
                    "leave it out",
                );
            }
        }
    }
}

fn redundant_action(subject: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let ActionConstraint::In(listed) = policy.template.action_constraint() else {
        return;
    };
    for (at, uid) in listed.iter().enumerate() {
        let twice = listed.iter().take(at).any(|other| other == uid);
        let facts = subject.schema().and_then(|schema| schema.action(uid));
        let group = facts
            .into_iter()
            .flat_map(|facts| &facts.ancestors)
            .find(|group| listed.iter().any(|other| **other == **group.uid()));
        let message = match group {
            _ if twice => format!("`{uid}` is listed twice"),
            Some(group) => format!("`{uid}` is in `{}`, which is listed too", group.uid()),
            None => continue,
        };
        found.at(policy, policy.head(), message, "leave it out");
    }
}

fn compared_with_boolean(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    // `x != true` is `!(x == true)` to Cedar.
    let negated = policy
        .expressions()
        .filter(|expr| after_bang(expr).is_none());
    let unequal: Vec<&Expr> = negated.filter_map(not).collect();
    for expr in policy.expressions() {
        let Some(value) = compared_boolean(expr) else {
            continue;
        };
        let is_unequal = unequal.iter().any(|other| std::ptr::eq(*other, expr));
        let hint = if value == is_unequal {
            "write `!` and the expression"
        } else {
            "write the expression alone"
        };
        found.at(
            policy,
            span_of(expr),
            format!("a comparison with `{value}`"),
            hint,
        );
    }
}

/// What a comparison with `true` or `false` compares with.
pub fn compared_boolean(expr: &Expr) -> Option<bool> {
    let ExprKind::BinaryApp {
        op: BinaryOp::Eq,
        arg1,
        arg2,
    } = expr.expr_kind()
    else {
        return None;
    };
    [arg1, arg2]
        .into_iter()
        .find_map(|side| match literal(side) {
            Some(Literal::Bool(value)) => Some(*value),
            _ => None,
        })
}

fn complex(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for clause in &policy.clauses {
        let (atoms, depth) = measure(&clause.body, ' ');
        if atoms > ATOMS_MAX || depth > DEPTH_MAX {
            let what = if atoms > ATOMS_MAX {
                format!("{atoms} parts")
            } else {
                format!("{depth} levels of `&&` and `||`")
            };
            found.at(
                policy,
                clause.keyword_span.clone(),
                format!("this clause has {what}"),
                "split the policy: an alternative of `||` is a permit of its own, a part of `&&` a clause",
            );
        }
    }
}

/// How many atomic conditions, and how often `&&` and `||` alternate.
fn measure(expr: &Expr, within: char) -> (usize, usize) {
    let kind = match expr.expr_kind() {
        ExprKind::And { .. } => '&',
        ExprKind::Or { .. } => '|',
        ExprKind::If { .. } => '?',
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => return measure(arg, within),
        _ => return (1, 0),
    };
    let inner = parts(expr).into_iter().map(|part| measure(part, kind));
    let (atoms, depth) = inner.fold((0, 0), |(atoms, depth), (more, deeper)| {
        (atoms + more, depth.max(deeper))
    });
    (atoms, depth + usize::from(kind != within))
}
