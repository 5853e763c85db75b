//! What to take out of a text so that the rest is still a policy.

use std::ops::Range;

use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::UnaryOp;

use super::finding::Edit;
use super::policy::Policy;
use super::policy::span_of;

/// A range with the white space before it, unless that would join what stands on
/// both sides.
pub fn drop_with_space(text: &str, span: &Range<usize>) -> Range<usize> {
    let before = text.get(..span.start).unwrap_or_default();
    let kept = before.trim_end();
    // A comment ends with its line: what follows must not move into it.
    let last_line = kept.rsplit('\n').next().unwrap_or_default();
    if last_line.contains("//") {
        return span.clone();
    }
    kept.len()..span.end
}

/// Takes an operand of `&&` out, together with the `&&` before it; `None` when it is
/// the only one of its clause, or stands in brackets that cannot be followed.
pub fn drop_operand(policy: &Policy, operand: &Expr) -> Option<Edit> {
    let and = policy.expressions().find(|expr| match expr.expr_kind() {
        ExprKind::And { right, .. } => std::ptr::eq(below_nots(right), operand),
        _ => false,
    })?;
    let ExprKind::And { left, right } = and.expr_kind() else {
        return None;
    };
    let text = &policy.source.text;
    let span = span_of(last_operand(left)).end..span_of(right).end;
    let removed = text.get(span.clone())?;
    if removed.contains("//") || removed.contains('"') && removed.contains(['(', ')']) {
        return None;
    }
    let opened = removed.matches('(').count();
    let closed = removed.matches(')').count();
    let mut span = span;
    // Brackets around either operand are not part of its place.
    for _ in closed..opened {
        let rest = text.get(span.end..)?;
        let bracket = rest.find(')').filter(|at| is_blank(rest.get(..*at)))?;
        span.end += bracket + 1;
    }
    for _ in opened..closed {
        let rest = text.get(span.start..)?;
        let bracket = rest.find(')').filter(|at| is_blank(rest.get(..*at)))?;
        span.start += bracket + 1;
    }
    Some(Edit::remove(span))
}

fn is_blank(text: Option<&str>) -> bool {
    text.is_some_and(|text| text.trim().is_empty())
}

/// What a conjunct is about: `a > b` is `!(a <= b)` to Cedar.
fn below_nots(expr: &Expr) -> &Expr {
    match expr.expr_kind() {
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => below_nots(arg),
        _ => expr,
    }
}

/// A chain of `&&` has one place for all of it, so its end is that of its last part.
fn last_operand(expr: &Expr) -> &Expr {
    match expr.expr_kind() {
        ExprKind::And { right, .. } => last_operand(right),
        _ => expr,
    }
}
