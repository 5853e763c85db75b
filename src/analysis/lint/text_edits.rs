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

/// The comments of a text, in order, each up to the end of its line.
pub fn comments(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    // Whichever comes first: a text may have slashes, and a comment quotes.
    while let Some(at) = rest.find(['"', '/']) {
        let from = rest.get(at..).unwrap_or_default();
        let length = if from.starts_with("//") {
            let length = from.find(['\n', '\r']).unwrap_or(from.len());
            found.push(from.get(..length).unwrap_or_default().trim_end());
            length
        } else if let Some(quoted) = from.strip_prefix('"') {
            let mut is_escaped = false;
            let end = quoted.find(|c| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            });
            end.map_or(from.len(), |end| end + 2)
        } else {
            1
        };
        rest = from.get(length..).unwrap_or_default();
    }
    found
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

#[cfg(test)]
mod tests {
    use super::comments;

    #[test]
    fn comments_are_told_from_texts() {
        for (text, found) in [
            ("a // b \"c\nd", vec!["// b \"c"]),
            ("\"http://x\" / 2", vec![]),
            (r#""a\"//" // b"#, vec!["// b"]),
            (r#""a\\" // b"#, vec!["// b"]),
            ("// a\rb // c", vec!["// a", "// c"]),
            ("\"// never closed", vec![]),
        ] {
            assert_eq!(comments(text), found, "{text}");
        }
    }
}
