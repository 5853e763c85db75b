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

/// The same expression with no node knowing where it came from.
pub fn strip(expr: &Expr) -> Expr {
    let kind = match expr.expr_kind() {
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => ExprKind::If {
            test_expr: shared(test_expr),
            then_expr: shared(then_expr),
            else_expr: shared(else_expr),
        },
        ExprKind::And { left, right } => ExprKind::And {
            left: shared(left),
            right: shared(right),
        },
        ExprKind::Or { left, right } => ExprKind::Or {
            left: shared(left),
            right: shared(right),
        },
        ExprKind::UnaryApp { op, arg } => ExprKind::UnaryApp {
            op: *op,
            arg: shared(arg),
        },
        ExprKind::BinaryApp { op, arg1, arg2 } => ExprKind::BinaryApp {
            op: *op,
            arg1: shared(arg1),
            arg2: shared(arg2),
        },
        ExprKind::ExtensionFunctionApp { fn_name, args } => ExprKind::ExtensionFunctionApp {
            fn_name: fn_name.clone(),
            args: Arc::new(args.iter().map(strip).collect()),
        },
        ExprKind::GetAttr { expr, attr } => ExprKind::GetAttr {
            expr: shared(expr),
            attr: attr.clone(),
        },
        ExprKind::HasAttr { expr, attr } => ExprKind::HasAttr {
            expr: shared(expr),
            attr: attr.clone(),
        },
        ExprKind::ExtHasAttr { expr, attrs } => ExprKind::ExtHasAttr {
            expr: shared(expr),
            attrs: attrs.clone(),
        },
        ExprKind::Like { expr, pattern } => ExprKind::Like {
            expr: shared(expr),
            pattern: pattern.clone(),
        },
        ExprKind::Is { expr, entity_type } => ExprKind::Is {
            expr: shared(expr),
            entity_type: entity_type.clone(),
        },
        ExprKind::Set(elements) => ExprKind::Set(Arc::new(elements.iter().map(strip).collect())),
        ExprKind::Record(fields) => ExprKind::Record(Arc::new(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), strip(value)))
                .collect(),
        )),
        leaf => leaf.clone(),
    };
    ExprBuilder::with_data(()).with_expr_kind(kind)
}

fn shared(expr: &Arc<Expr>) -> Arc<Expr> {
    Arc::new(strip(expr))
}
