//! What is below an expression, and how deep it nests, found without recursion.

use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;

/// Levels of an expression: 1 for a literal.
pub(super) fn depth(expr: &Expr) -> usize {
    let mut deepest = 0;
    let mut open = vec![(expr, 1)];
    while let Some((expr, level)) = open.pop() {
        deepest = deepest.max(level);
        open.extend(parts(expr).into_iter().map(|part| (part, level + 1)));
    }
    deepest
}

/// The expressions directly below one.
pub fn parts<T>(expr: &Expr<T>) -> Vec<&Expr<T>> {
    match expr.expr_kind() {
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => vec![test_expr, then_expr, else_expr],
        ExprKind::And { left, right } | ExprKind::Or { left, right } => vec![left, right],
        ExprKind::UnaryApp { arg, .. } => vec![arg],
        ExprKind::BinaryApp { arg1, arg2, .. } => vec![arg1, arg2],
        ExprKind::ExtensionFunctionApp { args, .. } => args.iter().collect(),
        ExprKind::GetAttr { expr, .. }
        | ExprKind::HasAttr { expr, .. }
        | ExprKind::ExtHasAttr { expr, .. }
        | ExprKind::Like { expr, .. }
        | ExprKind::Is { expr, .. } => vec![expr],
        ExprKind::Set(items) => items.iter().collect(),
        ExprKind::Record(fields) => fields.values().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy_core::ast::Expr;
    use proptest::prelude::*;

    use super::depth;
    use crate::engine::nesting::Language;
    use crate::engine::nesting::deeper_than;

    fn parsed(text: &str) -> Expr {
        text.parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn levels_are_counted() {
        for (text, levels) in [
            ("1", 1),
            ("!context.a", 3),
            ("1 == 1 || context.a && context.a && context.a", 5),
            ("[1, {a: ip(\"::1\").isIpv4()}, 2]", 5),
            ("if 1 == 1 then 2 else context[\"a\"].b.c", 5),
        ] {
            assert_eq!(depth(&parsed(text)), levels, "{text}");
        }
    }

    /// Expressions that parse, of every kind that nests.
    fn expression() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![Just("1"), Just("a"), Just("context"), Just("\"if && (\"")]
            .prop_map(|leaf| if leaf == "a" { "resource" } else { leaf }.to_owned());
        leaf.prop_recursive(8, 64, 3, |inner| {
            let many = prop::collection::vec(inner.clone(), 1..5);
            let ladder = many.clone();
            prop_oneof![
                many.clone().prop_map(|all| all.join(" && ")),
                many.clone().prop_map(|all| {
                    let all: Vec<String> = all.iter().map(|one| format!("({one})")).collect();
                    all.join(" || ")
                }),
                many.clone()
                    .prop_map(|all| format!("({})", all.join(") + ("))),
                many.clone().prop_map(|all| format!("[{}]", all.join(", "))),
                many.prop_map(|all| format!("({}).contains(({}))", all.join(" && "), all.len())),
                inner.clone().prop_map(|one| format!("!!!({one})")),
                inner.clone().prop_map(|one| format!("-({one})")),
                inner.clone().prop_map(|one| format!("({one})[\"a\"].b")),
                inner.clone().prop_map(|one| format!("{{a: ({one})}}")),
                inner.prop_map(|one| format!("(({one}) has a.b) == true")),
                ladder.prop_map(|all| {
                    let ladder = all.iter().fold("2".to_owned(), |rest, one| {
                        format!("if {one} then if 1 == 1 then {one} else 3 else {rest}")
                    });
                    format!("({ladder})")
                }),
            ]
        })
    }

    proptest! {
        /// The text is counted before it is parsed, and must not count less than there
        /// is, but for what brackets and comparisons add.
        #[test]
        fn text_is_counted_no_lower(text in expression()) {
            let Ok(parsed) = text.parse::<Expr>() else { return Ok(()) };
            let mut brackets = 0;
            let mut open = 0_usize;
            for byte in text.bytes() {
                match byte {
                    b'(' | b'[' | b'{' => open += 1,
                    b')' | b']' | b'}' => open -= 1,
                    _ => {}
                }
                brackets = brackets.max(open);
            }
            let levels = depth(&parsed);
            let counted = (0..2000).find(|max| deeper_than(*max, &text, Language::Policies).is_none());
            prop_assert!(levels <= counted.unwrap() + 3 * brackets + 3, "{levels} {counted:?} {brackets}");
        }
    }
}
