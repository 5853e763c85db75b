//! Copies of expressions without their source locations.
//!
//! Cedar's evaluator clones the location of every node it visits, an `Arc` of
//! the whole policy text: time, and one reference count that all threads
//! fight over. Decisions evaluate stripped copies; explanations use the
//! originals.

use std::sync::Arc;

use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprBuilder;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::expr_builder::ExprBuilder as _;
use rustc_hash::FxHashSet;

/// Stripped expressions, each kept once: policies that say the same share the
/// memory, and what a decision touched for one is in the cache for the next.
#[derive(Debug, Default)]
pub struct Pool {
    known: FxHashSet<Arc<Expr>>,
}

impl Pool {
    /// The same expression with no node knowing where it came from.
    pub fn strip(&mut self, expr: &Expr) -> Arc<Expr> {
        let stripped = self.rebuilt(expr);
        if let Some(known) = self.known.get(&stripped) {
            return Arc::clone(known);
        }
        let kept = Arc::new(stripped);
        self.known.insert(Arc::clone(&kept));
        kept
    }

    fn rebuilt(&mut self, expr: &Expr) -> Expr {
        let kind = match expr.expr_kind() {
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => ExprKind::If {
                test_expr: self.strip(test_expr),
                then_expr: self.strip(then_expr),
                else_expr: self.strip(else_expr),
            },
            ExprKind::And { left, right } => ExprKind::And {
                left: self.strip(left),
                right: self.strip(right),
            },
            ExprKind::Or { left, right } => ExprKind::Or {
                left: self.strip(left),
                right: self.strip(right),
            },
            ExprKind::UnaryApp { op, arg } => ExprKind::UnaryApp {
                op: *op,
                arg: self.strip(arg),
            },
            ExprKind::BinaryApp { op, arg1, arg2 } => ExprKind::BinaryApp {
                op: *op,
                arg1: self.strip(arg1),
                arg2: self.strip(arg2),
            },
            ExprKind::ExtensionFunctionApp { fn_name, args } => ExprKind::ExtensionFunctionApp {
                fn_name: fn_name.clone(),
                args: Arc::new(args.iter().map(|arg| self.rebuilt(arg)).collect()),
            },
            ExprKind::GetAttr { expr, attr } => ExprKind::GetAttr {
                expr: self.strip(expr),
                attr: attr.clone(),
            },
            ExprKind::HasAttr { expr, attr } => ExprKind::HasAttr {
                expr: self.strip(expr),
                attr: attr.clone(),
            },
            ExprKind::ExtHasAttr { expr, attrs } => ExprKind::ExtHasAttr {
                expr: self.strip(expr),
                attrs: attrs.clone(),
            },
            ExprKind::Like { expr, pattern } => ExprKind::Like {
                expr: self.strip(expr),
                pattern: pattern.clone(),
            },
            ExprKind::Is { expr, entity_type } => ExprKind::Is {
                expr: self.strip(expr),
                entity_type: entity_type.clone(),
            },
            ExprKind::Set(elements) => ExprKind::Set(Arc::new(
                elements
                    .iter()
                    .map(|element| self.rebuilt(element))
                    .collect(),
            )),
            ExprKind::Record(fields) => ExprKind::Record(Arc::new(
                fields
                    .iter()
                    .map(|(name, value)| (name.clone(), self.rebuilt(value)))
                    .collect(),
            )),
            leaf => leaf.clone(),
        };
        ExprBuilder::with_data(()).with_expr_kind(kind)
    }
}
