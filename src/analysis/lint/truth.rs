//! What a condition always is, as far as its text alone tells: constants, and
//! what contradicts what had to hold before.

use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::UnaryOp;

/// More than this is not remembered of one condition, so that a long one costs a
/// bounded time.
const KNOWN_MAX: usize = 200;

/// What holds, or does not, on the way to an expression.
#[derive(Debug, Clone, Default)]
pub struct Known<'a> {
    facts: Vec<(&'a Expr, bool)>,
}

impl<'a> Known<'a> {
    /// What an expression always is when it evaluates at all, given what is known;
    /// `None` when it depends.
    pub fn truth(&self, expr: &'a Expr) -> Option<bool> {
        if let Some((_, value)) = self.facts.iter().find(|(fact, _)| *fact == expr) {
            return Some(*value);
        }
        match expr.expr_kind() {
            ExprKind::Lit(Literal::Bool(value)) => Some(*value),
            ExprKind::And { left, right } => self.both(left, right, true),
            ExprKind::Or { left, right } => self.both(left, right, false),
            ExprKind::UnaryApp {
                op: UnaryOp::Not,
                arg,
            } => self.truth(arg).map(|value| !value),
            ExprKind::UnaryApp {
                op: UnaryOp::IsEmpty,
                arg,
            } => items(arg).map(<[Expr]>::is_empty),
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => match self.truth(test_expr) {
                Some(true) => self.truth(then_expr),
                Some(false) => self.truth(else_expr),
                None => {
                    let then = self.with(test_expr, true).truth(then_expr)?;
                    let otherwise = self.with(test_expr, false).truth(else_expr)?;
                    (then == otherwise).then_some(then)
                }
            },
            ExprKind::BinaryApp { op, arg1, arg2 } => self.binary(*op, arg1, arg2),
            ExprKind::Like { expr, pattern } => {
                let wildcards = pattern
                    .iter()
                    .all(|item| *item == cedar_policy_core::ast::PatternElem::Wildcard);
                if wildcards && !pattern.is_empty() {
                    return Some(true);
                }
                match self.value(expr)? {
                    Literal::String(text) => Some(pattern.wildcard_match(text)),
                    _ => None,
                }
            }
            ExprKind::Is { expr, entity_type } => self.is_type(expr, entity_type),
            _ => None,
        }
    }

    fn both(&self, left: &'a Expr, right: &'a Expr, unit: bool) -> Option<bool> {
        self.joined((left, self.truth(left)), right, unit)
    }

    /// What `&&` is when `unit` is true, `||` when it is false, of a left side whose truth
    /// was asked for before: the right side is looked at knowing that the left one is the
    /// unit.
    pub fn joined(
        &self,
        (left, truth): (&'a Expr, Option<bool>),
        right: &'a Expr,
        unit: bool,
    ) -> Option<bool> {
        match truth {
            Some(value) if value != unit => Some(value),
            Some(_) => self.with(left, unit).truth(right),
            None => {
                let right = self.with(left, unit).truth(right)?;
                (right != unit).then_some(right)
            }
        }
    }

    /// What an expression is, or has to be equal to.
    fn value(&self, of: &'a Expr) -> Option<&'a Literal> {
        literal(of).or_else(|| {
            let mut facts = self.facts.iter().filter(|(_, holds)| *holds);
            facts.find_map(|(fact, _)| match fact.expr_kind() {
                ExprKind::BinaryApp {
                    op: BinaryOp::Eq,
                    arg1,
                    arg2,
                } if **arg1 == *of => literal(arg2),
                ExprKind::BinaryApp {
                    op: BinaryOp::Eq,
                    arg1,
                    arg2,
                } if **arg2 == *of => literal(arg1),
                _ => None,
            })
        })
    }

    /// The same, and what follows from an expression having this value.
    #[must_use]
    pub fn with(&self, expr: &'a Expr, value: bool) -> Self {
        let mut known = self.clone();
        known.learn(expr, value);
        known
    }

    /// Adds what follows from an expression having this value.
    pub fn learn(&mut self, expr: &'a Expr, value: bool) {
        match (expr.expr_kind(), value) {
            (ExprKind::And { left, right }, true) | (ExprKind::Or { left, right }, false) => {
                self.learn(left, value);
                self.learn(right, value);
            }
            (
                ExprKind::UnaryApp {
                    op: UnaryOp::Not,
                    arg,
                },
                _,
            ) => self.learn(arg, !value),
            _ if self.facts.len() < KNOWN_MAX => self.facts.push((expr, value)),
            _ => {}
        }
    }

    fn binary(&self, op: BinaryOp, a: &'a Expr, b: &'a Expr) -> Option<bool> {
        match op {
            BinaryOp::Eq => self.equal(a, b),
            BinaryOp::Less | BinaryOp::LessEq => self.less(op, a, b),
            BinaryOp::In => {
                if a == b {
                    return Some(true);
                }
                items(b).filter(|items| items.is_empty()).map(|_| false)
            }
            BinaryOp::Contains => {
                let items = items(a)?;
                if items.is_empty() {
                    return Some(false);
                }
                Some(literals(items)?.contains(&self.value(b)?))
            }
            BinaryOp::ContainsAll => items(b).filter(|items| items.is_empty()).map(|_| true),
            BinaryOp::ContainsAny => {
                let empty = |side| items(side).is_some_and(<[Expr]>::is_empty);
                (empty(a) || empty(b)).then_some(false)
            }
            _ => None,
        }
    }

    fn equal(&self, a: &'a Expr, b: &'a Expr) -> Option<bool> {
        if a == b {
            return Some(true);
        }
        let (of, value) = match (literal(a), literal(b)) {
            (Some(a), Some(b)) => return Some(a == b),
            (None, Some(value)) => (a, value),
            (Some(value), None) => (b, value),
            (None, None) => return None,
        };
        let mut others = self.facts.iter().filter(|(_, holds)| *holds);
        let differs = others.any(|(fact, _)| match fact.expr_kind() {
            ExprKind::BinaryApp {
                op: BinaryOp::Eq,
                arg1,
                arg2,
            } => {
                let is_other =
                    |x: &Expr, y: &Expr| x == of && literal(y).is_some_and(|other| other != value);
                is_other(arg1, arg2) || is_other(arg2, arg1)
            }
            ExprKind::BinaryApp {
                op: BinaryOp::Contains,
                arg1,
                arg2,
            } => {
                let listed = items(arg1).filter(|_| **arg2 == *of).and_then(literals);
                listed.is_some_and(|listed| !listed.contains(&value))
            }
            ExprKind::Like { expr, pattern } => match value {
                Literal::String(text) => **expr == *of && !pattern.wildcard_match(text),
                _ => **expr == *of,
            },
            ExprKind::Is { expr, entity_type } => match value {
                Literal::EntityUID(uid) => **expr == *of && uid.entity_type() != entity_type,
                _ => false,
            },
            _ => false,
        });
        differs.then_some(false)
    }

    fn is_type(&self, of: &'a Expr, wanted: &EntityType) -> Option<bool> {
        if let Some(Literal::EntityUID(uid)) = literal(of) {
            return Some(uid.entity_type() == wanted);
        }
        let mut facts = self.facts.iter().filter(|(_, holds)| *holds);
        let differs = facts.any(|(fact, _)| match fact.expr_kind() {
            ExprKind::Is { expr, entity_type } => **expr == *of && entity_type != wanted,
            _ => false,
        });
        differs.then_some(false)
    }

    /// Comparisons of whole numbers, by the bounds that are known.
    fn less(&self, op: BinaryOp, a: &'a Expr, b: &'a Expr) -> Option<bool> {
        if a == b {
            return Some(op == BinaryOp::LessEq);
        }
        // `a < b` is `a <= b - 1`.
        let step = i64::from(op == BinaryOp::Less);
        match (long(a), long(b)) {
            (Some(a), Some(b)) => Some(a <= b.saturating_sub(step)),
            (None, Some(limit)) => {
                let (low, high) = self.bounds(a);
                let limit = limit.checked_sub(step)?;
                decide(high <= limit, low > limit)
            }
            (Some(limit), None) => {
                let (low, high) = self.bounds(b);
                let limit = limit.checked_add(step)?;
                decide(low >= limit, high < limit)
            }
            (None, None) => None,
        }
    }

    fn bounds(&self, of: &Expr) -> (i64, i64) {
        let (mut low, mut high) = (i64::MIN, i64::MAX);
        for (fact, holds) in &self.facts {
            let ExprKind::BinaryApp { op, arg1, arg2 } = fact.expr_kind() else {
                continue;
            };
            let step = match op {
                BinaryOp::Less => 1,
                BinaryOp::LessEq => 0,
                BinaryOp::Eq if *holds => {
                    let pair = [(arg1, arg2), (arg2, arg1)];
                    let value = pair.iter().find(|(x, _)| ***x == *of);
                    if let Some(value) = value.and_then(|(_, y)| long(y)) {
                        low = low.max(value);
                        high = high.min(value);
                    }
                    continue;
                }
                _ => continue,
            };
            match (**arg1 == *of, long(arg1), **arg2 == *of, long(arg2), *holds) {
                (true, _, _, Some(limit), true) => high = high.min(limit.saturating_sub(step)),
                (true, _, _, Some(limit), false) => {
                    low = low.max(limit.saturating_add(1 - step));
                }
                (_, Some(limit), true, _, true) => low = low.max(limit.saturating_add(step)),
                (_, Some(limit), true, _, false) => {
                    high = high.min(limit.saturating_sub(1 - step));
                }
                _ => {}
            }
        }
        (low, high)
    }
}

fn decide(is_true: bool, is_false: bool) -> Option<bool> {
    match (is_true, is_false) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

/// The literal that an expression is.
pub fn literal(expr: &Expr) -> Option<&Literal> {
    match expr.expr_kind() {
        ExprKind::Lit(literal) => Some(literal),
        _ => None,
    }
}

fn long(expr: &Expr) -> Option<i64> {
    match literal(expr)? {
        Literal::Long(value) => Some(*value),
        _ => None,
    }
}

fn items(expr: &Expr) -> Option<&[Expr]> {
    match expr.expr_kind() {
        ExprKind::Set(items) => Some(items),
        _ => None,
    }
}

fn literals(items: &[Expr]) -> Option<Vec<&Literal>> {
    items.iter().map(literal).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::str::FromStr as _;
    use std::sync::Arc;

    use cedar_policy::Context;
    use cedar_policy::Entities;
    use cedar_policy::EntityUid;
    use cedar_policy::EvalResult;
    use cedar_policy::Expression;
    use cedar_policy::Request;
    use cedar_policy_core::ast::Expr;
    use proptest::prelude::Just;
    use proptest::prelude::ProptestConfig;
    use proptest::prelude::Strategy;
    use proptest::prelude::any;
    use proptest::prop_oneof;
    use proptest::proptest;

    use super::Known;

    fn truth(text: &str) -> Option<bool> {
        let expr = Expr::from_str(text).unwrap();
        Known::default().truth(&expr)
    }

    #[test]
    fn constants_and_contradictions_are_seen() {
        for text in [
            "1 < 2",
            "context.a || !context.a",
            "principal == principal",
            "context.name like \"*\"",
            "[1, 2].contains(2)",
            "context.a > 5 || context.a < 7",
            "if context.a then true else true",
            "context.s.containsAll([])",
        ] {
            assert_eq!(truth(text), Some(true), "{text}");
        }
        for text in [
            "context.a && !context.a",
            "context.a == 1 && context.a == 2",
            "context.a == \"x\" && \"y\" == context.a",
            "principal is A && principal is B",
            "principal is A && principal == B::\"x\"",
            "context.a < 1 && context.a > 5",
            "context.a == 3 && context.a > 3",
            "!(context.a <= 5) && context.a < 6",
            "principal in []",
            "[\"a\", \"b\"].contains(context.s) && context.s == \"c\"",
            "context.s == \"c\" && [\"a\", \"b\"].contains(context.s)",
            "context.s == \"x\" && context.s like \"y*\"",
            "context.s like \"y*\" && context.s == \"x\"",
            "[].contains(context.a)",
            "context.a < context.a",
        ] {
            assert_eq!(truth(text), Some(false), "{text}");
        }
        for text in [
            "context.a && !context.b",
            "context.a == 1 || context.a == 2",
            "context.a >= 5 && context.a <= 5",
            "context.a <= 5 && context.a >= 5",
            "5 <= context.a && 5 >= context.a",
            "context.a < 6 && context.a > 4",
            "context.a > 4 && context.a < 6",
            "context.name like \"a*\"",
            "[\"a\", \"b\"].contains(context.s) && context.s == \"b\"",
            "context.s like \"y*\" && context.s == \"yes\"",
            "context.s == \"c\" || [\"a\", \"b\"].contains(context.s)",
            "principal is A || principal is B",
            "context.a != 1 && context.a != 2",
        ] {
            assert_eq!(truth(text), None, "{text}");
        }
    }

    fn atoms() -> impl Strategy<Value = String> {
        let number = 0..2i64;
        prop_oneof![
            (number.clone(), any::<u8>()).prop_map(|(n, op)| {
                let op = ["<", "<=", "==", "!=", ">", ">="][usize::from(op) % 6];
                format!("context.n {op} {n}")
            }),
            (number, any::<u8>()).prop_map(|(n, op)| {
                let op = ["<", "<=", "==", "!=", ">", ">="][usize::from(op) % 6];
                format!("{n} {op} context.n")
            }),
            Just("context.b".to_owned()),
            Just("context.m == context.n".to_owned()),
            Just("[1, 2].contains(context.n)".to_owned()),
            Just("true".to_owned()),
        ]
    }

    fn conditions() -> impl Strategy<Value = String> {
        atoms().prop_recursive(4, 24, 3, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
                inner.clone().prop_map(|a| format!("!({a})")),
                (inner.clone(), inner.clone(), inner)
                    .prop_map(|(a, b, c)| format!("if ({a}) then ({b}) else ({c})")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        // What is said to be always so is so wherever Cedar evaluates it.
        #[test]
        fn what_is_always_so_is_so(text in conditions()) {
            let expr = Expr::from_str(&text).unwrap();
            let Some(always) = Known::default().truth(&expr) else {
                return Ok(());
            };
            for n in -3..4i64 {
                for (m, b) in [(0, true), (0, false), (n, true), (n, false)] {
                    proptest::prop_assert_eq!(evaluated(&text, n, m, b), always, "{}", text);
                }
            }
        }
    }

    fn evaluated(text: &str, n: i64, m: i64, b: bool) -> bool {
        let fields: BTreeMap<&str, String> = [
            ("n", n.to_string()),
            ("m", m.to_string()),
            ("b", b.to_string()),
        ]
        .into();
        let context: serde_json::Value = serde_json::from_str(&format!(
            "{{\"n\": {}, \"m\": {}, \"b\": {}}}",
            fields["n"], fields["m"], fields["b"]
        ))
        .unwrap();
        let uid = || EntityUid::from_str("A::\"a\"").unwrap();
        let context = Context::from_json_value(context, None).unwrap();
        let request = Request::new(uid(), uid(), uid(), context, None).unwrap();
        let expression = Expression::from_str(text).unwrap();
        match cedar_policy::eval_expression(&request, &Entities::empty(), &expression).unwrap() {
            EvalResult::Bool(value) => value,
            other => panic!("{other:?}, {:?}", Arc::new(text)),
        }
    }
}
