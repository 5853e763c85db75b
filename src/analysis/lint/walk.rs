//! Walking through a condition with what is known on the way: which attributes and
//! tags were tested with `has`.

use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::UnaryOp;
use smol_str::SmolStr;

use crate::engine::depth::parts;

/// A chain of attributes, and what it starts at.
#[derive(Debug, Clone)]
struct Path<'a, T> {
    root: &'a Expr<T>,
    attributes: Vec<SmolStr>,
}

/// Something that was tested and is there.
#[derive(Debug, Clone)]
enum Tested<'a, T> {
    Attribute(Path<'a, T>),
    Tag(&'a Expr<T>, &'a Expr<T>),
}

/// What is known after an expression, when it is true and when it is false.
struct After<'a, T> {
    when_true: Vec<Tested<'a, T>>,
    when_false: Vec<Tested<'a, T>>,
}

impl<T> Default for After<'_, T> {
    fn default() -> Self {
        Self {
            when_true: Vec::new(),
            when_false: Vec::new(),
        }
    }
}

/// Calls `visit` for every read of an attribute or a tag that was not tested on
/// the way to it.
pub fn untested_reads<'a, T: Clone>(expr: &'a Expr<T>, visit: &mut dyn FnMut(&'a Expr<T>)) {
    Walk { visit }.walk(expr, &[]);
}

struct Walk<'a, 'v, T> {
    visit: &'v mut dyn FnMut(&'a Expr<T>),
}

impl<'a, T: Clone> Walk<'a, '_, T> {
    fn walk(&mut self, expr: &'a Expr<T>, known: &[Tested<'a, T>]) -> After<'a, T> {
        match expr.expr_kind() {
            ExprKind::And { left, right } => {
                let left = self.walk(left, known);
                let right = self.walk(right, &joined(known, &left.when_true));
                After {
                    when_true: joined(&left.when_true, &right.when_true),
                    when_false: shared(&left.when_false, &right.when_false),
                }
            }
            ExprKind::Or { left, right } => {
                let left = self.walk(left, known);
                let right = self.walk(right, &joined(known, &left.when_false));
                After {
                    when_true: shared(&left.when_true, &right.when_true),
                    when_false: joined(&left.when_false, &right.when_false),
                }
            }
            ExprKind::UnaryApp {
                op: UnaryOp::Not,
                arg,
            } => {
                let arg = self.walk(arg, known);
                After {
                    when_true: arg.when_false,
                    when_false: arg.when_true,
                }
            }
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => {
                let test = self.walk(test_expr, known);
                let then = self.walk(then_expr, &joined(known, &test.when_true));
                let otherwise = self.walk(else_expr, &joined(known, &test.when_false));
                let then_true = joined(&test.when_true, &then.when_true);
                let else_true = joined(&test.when_false, &otherwise.when_true);
                After {
                    when_true: shared(&then_true, &else_true),
                    when_false: Vec::new(),
                }
            }
            _ => self.atom(expr, known),
        }
    }

    fn atom(&mut self, expr: &'a Expr<T>, known: &[Tested<'a, T>]) -> After<'a, T> {
        for part in parts(expr) {
            self.walk(part, known);
        }
        match expr.expr_kind() {
            ExprKind::HasAttr { expr, attr } => after(vec![attribute(expr, [attr])]),
            ExprKind::ExtHasAttr { expr, attrs } => {
                let attrs: Vec<&SmolStr> = attrs.iter().collect();
                let tested = (1..=attrs.len())
                    .map(|count| attribute(expr, attrs.iter().copied().take(count)));
                after(tested.collect())
            }
            ExprKind::BinaryApp {
                op: BinaryOp::HasTag,
                arg1,
                arg2,
            } => after(vec![Tested::Tag(arg1, arg2)]),
            ExprKind::GetAttr { expr: of, attr } => {
                if !known.iter().any(|tested| tested.is(&attribute(of, [attr]))) {
                    (self.visit)(expr);
                }
                After::default()
            }
            ExprKind::BinaryApp {
                op: BinaryOp::GetTag,
                arg1,
                arg2,
            } => {
                if !known
                    .iter()
                    .any(|tested| tested.is(&Tested::Tag(arg1, arg2)))
                {
                    (self.visit)(expr);
                }
                After::default()
            }
            _ => After::default(),
        }
    }
}

fn after<T>(when_true: Vec<Tested<'_, T>>) -> After<'_, T> {
    After {
        when_true,
        when_false: Vec::new(),
    }
}

fn attribute<'a, 'n, T>(
    of: &'a Expr<T>,
    names: impl IntoIterator<Item = &'n SmolStr>,
) -> Tested<'a, T> {
    let mut root = of;
    let mut attributes = Vec::new();
    while let ExprKind::GetAttr { expr, attr } = root.expr_kind() {
        attributes.push(attr.clone());
        root = expr;
    }
    attributes.reverse();
    attributes.extend(names.into_iter().cloned());
    Tested::Attribute(Path { root, attributes })
}

impl<T> Tested<'_, T> {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Attribute(a), Self::Attribute(b)) => {
                a.attributes == b.attributes && a.root.eq_shape(b.root)
            }
            (Self::Tag(a, key), Self::Tag(b, other)) => a.eq_shape(b) && key.eq_shape(other),
            _ => false,
        }
    }
}

fn joined<'a, T: Clone>(a: &[Tested<'a, T>], b: &[Tested<'a, T>]) -> Vec<Tested<'a, T>> {
    a.iter().chain(b).cloned().collect()
}

fn shared<'a, T: Clone>(a: &[Tested<'a, T>], b: &[Tested<'a, T>]) -> Vec<Tested<'a, T>> {
    let in_both = |tested: &&Tested<'a, T>| b.iter().any(|other| tested.is(other));
    a.iter().filter(in_both).cloned().collect()
}

/// Calls `visit` for every part of a condition with whether it is negated: whether
/// the condition is more likely to hold when the part does not.
pub fn with_polarity<'a, T>(
    expr: &'a Expr<T>,
    is_negated: bool,
    visit: &mut dyn FnMut(&'a Expr<T>, bool),
) {
    visit(expr, is_negated);
    match expr.expr_kind() {
        // The test of an `if` is taken as it stands.
        ExprKind::And { .. } | ExprKind::Or { .. } | ExprKind::If { .. } => {
            for part in parts(expr) {
                with_polarity(part, is_negated, visit);
            }
        }
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => with_polarity(arg, !is_negated, visit),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use cedar_policy_core::ast::Expr;

    use super::untested_reads;

    fn reads(text: &str) -> Vec<String> {
        let expr = Expr::from_str(text).unwrap();
        let mut found = Vec::new();
        untested_reads(&expr, &mut |expr: &Expr| found.push(expr.to_string()));
        found
    }

    #[test]
    fn what_was_tested_on_the_way_is_known() {
        for text in [
            "context has a && context.a",
            "context has a.b && context.a.b",
            "!(context has a) || context.a",
            "!(context has a && context.a)",
            "if context has a then context.a else true",
            "(context has a && context has b) && context.b && context.a",
            "(context has a || context has a) && context.a",
            "principal.hasTag(\"x\") && principal.getTag(\"x\")",
        ] {
            assert_eq!(reads(text), Vec::<String>::new(), "{text}");
        }
        for text in [
            "context.a",
            "context has b && context.a",
            "context has a || context.a",
            "context has a && principal.a",
            "if context has a then true else context.a",
            "(context has a || context has b) && context.a",
            "principal.hasTag(\"x\") && principal.getTag(\"y\")",
            "(context.a && context has a)",
            "if true then context.a else context has a",
        ] {
            assert_eq!(reads(text).len(), 1, "{text}");
        }
    }
}
