//! What a policy does when a fact is left out of the context.

use std::collections::BTreeSet;

use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::UnaryOp;
use cedar_policy_core::ast::Var;
use smol_str::SmolStr;

use super::policy::Keyword;
use super::policy::Policy;
use super::truth::literal;

/// More facts than this are not looked at in one policy: each costs a walk through all
/// of it. A condition has at most 1,000 levels, and so about as many of these.
const FACTS_MAX: usize = 1000;

/// The tests of the context with `has` that make a policy hold (or, if `holds` is false,
/// keep it from holding) when what they ask for is left out, each with what that is.
///
/// Where another part of the policy decides what happens then, a test makes nothing hold:
/// `when { context has risk } unless { context has risk && context.risk > 3 }` lets
/// nobody in who leaves the risk out.
pub fn decided_by_absence(policy: &Policy, holds: bool) -> Vec<(&Expr, String)> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for test in policy.expressions() {
        let Some(name) = tested_of_context(test).filter(|name| !seen.contains(name)) else {
            continue;
        };
        if seen.len() < FACTS_MAX {
            found.extend(
                Absent { name: &name, holds }
                    .first(policy)
                    .map(|at| (at, name.clone())),
            );
        }
        seen.insert(name);
    }
    found
}

/// What a test asks of the context; `None` for anything else.
fn tested_of_context(expr: &Expr) -> Option<String> {
    let (of, names) = match expr.expr_kind() {
        ExprKind::HasAttr { expr, attr } => (expr, attr.to_string()),
        ExprKind::ExtHasAttr { expr, attrs } => {
            let names: Vec<&str> = attrs.iter().map(SmolStr::as_str).collect();
            (expr, names.join("."))
        }
        _ => return None,
    };
    starts_at_context(of).then(|| match of.expr_kind() {
        ExprKind::Var(_) => names,
        _ => format!("{}.{names}", of.to_string().trim_start_matches("context.")),
    })
}

/// Whether this is the context, or an attribute of it at any depth.
pub fn starts_at_context(expr: &Expr) -> bool {
    match expr.expr_kind() {
        ExprKind::Var(var) => *var == Var::Context,
        ExprKind::GetAttr { expr, .. } => starts_at_context(expr),
        _ => false,
    }
}

/// A fact that is left out, and what is looked for.
struct Absent<'n> {
    name: &'n str,
    holds: bool,
}

impl Absent<'_> {
    /// Whether this asks for what is left out, or for something in it, which then is
    /// not there either: `true` for the very thing.
    fn asks(&self, expr: &Expr) -> Option<bool> {
        let asked = tested_of_context(expr)?;
        let within = asked.strip_prefix(self.name)?;
        (within.is_empty() || within.starts_with('.')).then_some(within.is_empty())
    }

    /// The first test that makes the policy hold, or not hold.
    fn first<'p>(&self, policy: &'p Policy) -> Option<&'p Expr> {
        let mut found = Vec::new();
        for clause in &policy.clauses {
            let is_unless = clause.keyword == Keyword::Unless;
            let value = self.walk(&clause.body, is_unless, &mut found);
            // Without this clause the policy does not hold, whatever the others say.
            if self.holds && value == Some(is_unless) {
                return None;
            }
        }
        found.first().copied()
    }

    /// What an expression is without the fact, `None` when it depends; gathers the tests
    /// that are looked for.
    fn walk<'p>(
        &self,
        expr: &'p Expr,
        is_negated: bool,
        found: &mut Vec<&'p Expr>,
    ) -> Option<bool> {
        if let Some(is_it) = self.asks(expr) {
            // Negated it helps the policy to hold, otherwise it keeps it from that.
            if is_it && is_negated == self.holds {
                found.push(expr);
            }
            return Some(false);
        }
        let before = found.len();
        let value = match expr.expr_kind() {
            ExprKind::And { left, right } => {
                let left = self.walk(left, is_negated, found);
                joined(left, self.walk(right, is_negated, found), true)
            }
            ExprKind::Or { left, right } => {
                let left = self.walk(left, is_negated, found);
                joined(left, self.walk(right, is_negated, found), false)
            }
            ExprKind::UnaryApp {
                op: UnaryOp::Not,
                arg,
            } => self.walk(arg, !is_negated, found).map(|value| !value),
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => return self.branch([test_expr, then_expr, else_expr], is_negated, found),
            _ => match literal(expr) {
                Some(Literal::Bool(value)) => Some(*value),
                _ => None,
            },
        };
        // The other way is decided here, so no test below makes a difference.
        if value.is_some_and(|value| (value != is_negated) != self.holds) {
            found.truncate(before);
        }
        value
    }

    fn branch<'p>(
        &self,
        [test, then, otherwise]: [&'p Expr; 3],
        is_negated: bool,
        found: &mut Vec<&'p Expr>,
    ) -> Option<bool> {
        let Some(is_then) = self.walk(test, false, &mut Vec::new()) else {
            let then = self.walk(then, is_negated, found);
            let otherwise = self.walk(otherwise, is_negated, found);
            return then.filter(|_| then == otherwise);
        };
        let (taken, other) = if is_then {
            (then, otherwise)
        } else {
            (otherwise, then)
        };
        let value = self.walk(taken, is_negated, found);
        let wanted = Some(self.holds != is_negated);
        // Both branches say the same where the fact does not matter.
        if value == wanted && self.walk(other, is_negated, &mut Vec::new()) != wanted {
            found.extend(
                test.subexpressions()
                    .find(|part| self.asks(part) == Some(true)),
            );
        }
        value
    }
}

/// `&&` when `unit` is true, `||` when it is false.
fn joined(left: Option<bool>, right: Option<bool>, unit: bool) -> Option<bool> {
    match (left, right) {
        (Some(value), _) | (_, Some(value)) if value != unit => Some(value),
        (Some(_), Some(_)) => Some(unit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::decided_by_absence;
    use crate::analysis::lint::policy::Policy;
    use crate::analysis::lint::source::Source;

    fn found(conditions: &str, holds: bool) -> Vec<String> {
        let text = format!("permit (principal, action, resource) {conditions};");
        let source = Arc::new(Source::new("p.cedar", &text));
        let policies = Policy::parse_all(&source).unwrap();
        let found = decided_by_absence(&policies[0], holds);
        found.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn who_leaves_the_fact_out_is_let_in() {
        for conditions in [
            "unless { context has risk && context.risk > 3 }",
            "when { !(context has risk) || context.risk < 3 }",
            "when { !(context has risk) }",
            "when { if context has risk then context.risk < 3 else true }",
            "unless { if context has risk then context.risk > 3 else false }",
            "when { principal.level > 3 || !(context has risk && context.risk > 3) }",
            "when { !(context has risk) } unless { context has risk && context.risk > 3 }",
        ] {
            assert_eq!(found(conditions, true), ["risk"], "{conditions}");
        }
        for conditions in [
            "when { context has risk } unless { context has risk && context.risk > 3 }",
            "unless { context has risk && context.risk > 3 } when { context has risk }",
            "when { context has risk && !(context has risk && context.risk > 3) }",
            "when { context has risk && context.risk < 3 }",
            "when { if context has risk then context.risk < 3 else false }",
            "when { if context has risk then context.risk < 3 else principal.level > 3 }",
            "when { principal.a || (context has risk && !(context has risk && context.risk > 3)) }",
            "unless { !(context has risk) || context.risk > 3 }",
            "unless { principal has risk && principal.risk > 3 }",
        ] {
            assert_eq!(found(conditions, true), [""; 0], "{conditions}");
        }
    }

    #[test]
    fn who_leaves_the_fact_out_is_not_stopped() {
        for conditions in [
            "when { context has risk && context.risk > 3 }",
            "when { context.session has mfa && context.session.mfa }",
            "unless { !(context has risk) }",
            "when { if context has risk then context.risk > 3 else false }",
            "when { principal.a && (context has risk && context.risk > 3) }",
        ] {
            assert_eq!(found(conditions, false).len(), 1, "{conditions}");
        }
        for conditions in [
            "when { !(context has risk) || (context has risk && context.risk > 3) }",
            "when { (context has risk && context.risk > 3) || !(context has risk) }",
            "when { principal.a && (!(context has risk) || (context has risk && context.risk > 3)) }",
            "unless { context has risk && context.risk < 3 }",
            "when { if context has risk then context.risk > 3 else true }",
        ] {
            assert_eq!(found(conditions, false), [""; 0], "{conditions}");
        }
    }
}
