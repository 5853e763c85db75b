//! Conditions that say less than they seem to: always true, never true, or in part.

use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::UnaryOp;

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
use super::subject::Subject;
use super::truth::Known;
use super::truth::literal;
use crate::engine::depth::parts;

/// The rules of this file.
pub const RULES: &[Rule] = &[
    Rule {
        id: "never-true",
        group: Group::Correctness,
        level: Level::Error,
        summary: "a condition can never hold, so the policy never applies",
        why: "A permit that never applies is dead text; a forbid that never applies is a protection that is not there. \
              Constants are folded, and what the scope demands and what has to hold further left are taken into account.",
        bad: Example::new(
            r#"@id("operators-of-level-one-and-two")
permit (principal in Role::"operator", action == Action::"read", resource is Device)
when { principal.level == 1 && resource.topic like "p*" && principal.level == 2 };"#,
        ),
        good: Example::new(
            r#"@id("operators-of-level-one-and-two")
permit (principal in Role::"operator", action == Action::"read", resource is Device)
when { principal.level == 1 || principal.level == 2 };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(never_true),
    },
    Rule {
        id: "always-true",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "a part of a condition always holds, so it restricts nothing",
        why: "Whoever reads it believes that something is checked. Often one side of a comparison is not what was meant.",
        bad: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device)
when { resource.site == resource.site };"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device)
when { principal has site && principal.site == resource.site };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(always_true),
    },
    Rule {
        id: "dead-branch",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "an alternative of `||`, or a branch of `if`, can never be taken",
        why: "The alternative was written for somebody, who does not get in by it.",
        bad: Example::new(
            r#"@id("some-read")
permit (principal is User, action == Action::"read", resource is Device)
when { principal.level > 5 || (principal.level < 3 && principal.level > 4) };"#,
        ),
        good: Example::new(
            r#"@id("some-read")
permit (principal is User, action == Action::"read", resource is Device)
when { principal.level > 5 || (principal.level < 5 && principal.level > 3) };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(dead_branch),
    },
    Rule {
        id: "impossible-policy",
        group: Group::Correctness,
        level: Level::Error,
        summary: "by the schema, no request can ever satisfy the policy",
        why: "The action does not take this type of principal or resource, or types in the condition exclude each other. \
              The policy never applies.",
        bad: Example::new(
            r#"@id("devices-read-themselves")
permit (principal is Device, action == Action::"read", resource is Device)
when { principal == resource };"#,
        ),
        good: Example::new(
            r#"@id("owners-read")
permit (principal is User, action == Action::"read", resource is Device)
when { resource has owner && resource.owner == principal };"#,
        ),
        is_fixable: false,
        needs: Needs::Types,
        check: Check::All(impossible),
    },
];

fn never_true(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    if let Some((conjunct, is_alone)) = first_that_fails(policy) {
        let message = if is_alone {
            "this is never true, so the policy never applies"
        } else {
            "this contradicts what has to hold before, so the policy never applies"
        };
        found.at(
            policy,
            span_of(conjunct),
            message,
            "mend the condition, or delete the policy",
        );
    }
}

/// The first conjunct that cannot hold together with those before it, and whether
/// it cannot hold by itself.
fn first_that_fails(policy: &Policy) -> Option<(&Expr, bool)> {
    let mut known = Known::default();
    for demand in &policy.demands {
        known.learn(demand, true);
    }
    for conjunct in policy.conjuncts() {
        let wanted = !conjunct.is_negated;
        if known.truth(conjunct.expr) == Some(!wanted) {
            let alone = Known::default().truth(conjunct.expr) == Some(!wanted);
            return Some((conjunct.expr, alone));
        }
        known.learn(conjunct.expr, wanted);
    }
    None
}

fn always_true(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for conjunct in policy.conjuncts() {
        let is_literal = matches!(literal(conjunct.expr), Some(Literal::Bool(_)));
        let always = Known::default().truth(conjunct.expr) == Some(!conjunct.is_negated);
        if always && !is_literal {
            let message = if conjunct.is_negated {
                "this is never true, so the exception excepts nobody"
            } else {
                "this is always true, so it restricts nothing"
            };
            found.at(
                policy,
                span_of(conjunct.expr),
                message,
                "write what was meant, or leave it out",
            );
        }
    }
}

fn dead_branch(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    if first_that_fails(policy).is_some() {
        return;
    }
    for clause in &policy.clauses {
        truth_and_branches(&clause.body, policy, found);
    }
}

/// What an expression always is by itself. Looks for what is never taken on the way, so
/// that no part is looked at anew for each one around it.
fn truth_and_branches(expr: &Expr, policy: &Policy, found: &mut Found) -> Option<bool> {
    let known = Known::default();
    match expr.expr_kind() {
        ExprKind::And { left, right } => {
            let truth = truth_and_branches(left, policy, found);
            truth_and_branches(right, policy, found);
            known.joined((left, truth), right, true)
        }
        ExprKind::Or { left, right } => {
            let of_left = truth_and_branches(left, policy, found);
            let of_right = truth_and_branches(right, policy, found);
            let truth = known.joined((left, of_left), right, false);
            let sides = [(left, of_left), (right, of_right)].into_iter();
            let never = sides.filter(|(_, of_side)| *of_side == Some(false));
            for (side, _) in never.filter(|_| truth.is_none()) {
                found.at(
                    policy,
                    span_of(side),
                    "this alternative can never hold",
                    "mend it, or leave it out",
                );
            }
            truth
        }
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => truth_and_branches(arg, policy, found).map(|truth| !truth),
        ExprKind::If { test_expr, .. } => {
            let test = truth_and_branches(test_expr, policy, found);
            for part in parts(expr).into_iter().skip(1) {
                truth_and_branches(part, policy, found);
            }
            if let Some(value) = test {
                let branch = if value { "else" } else { "then" };
                found.at(
                    policy,
                    span_of(test_expr),
                    format!("this is always {value}, so `{branch}` is never taken"),
                    "mend the test, or leave the branch out",
                );
            }
            known.truth(expr)
        }
        _ => {
            for part in parts(expr) {
                truth_and_branches(part, policy, found);
            }
            known.truth(expr)
        }
    }
}

fn impossible(subject: &Subject<'_>, found: &mut Found) {
    for (at, (policy, typed)) in subject.policies.iter().zip(&subject.types).enumerate() {
        // What the text alone tells is told by `never-true`.
        if typed.is_impossible && first_that_fails(policy).is_none() {
            found.of = Some(at);
            found.at(
                policy,
                policy.head(),
                "no request that fits the schema can satisfy this policy",
                "compare the types in scope and condition with `appliesTo` of its actions in the schema",
            );
        }
    }
}

/// Whether a clause says nothing: `when { true }`, `unless { false }`.
pub fn says_nothing(keyword: Keyword, body: &Expr) -> bool {
    match literal(body) {
        Some(Literal::Bool(value)) => *value == (keyword == Keyword::When),
        _ => false,
    }
}
