//! The atomic conditions of a policy: what `&&`, `||`, `!` and `if` put together.

use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::UnaryOp;

/// A condition as a tree of atomic ones.
#[derive(Debug)]
pub struct Atoms<'a> {
    /// In the order in which they are written.
    pub list: Vec<Atom<'a>>,
    tree: Node,
}

/// An atomic condition.
#[derive(Debug, Clone, Copy)]
pub struct Atom<'a> {
    /// As decisions evaluate it: without its place.
    pub evaluated: &'a Expr,
    /// With its place.
    pub written: &'a Expr,
}

#[derive(Debug)]
enum Node {
    /// The number of an atom.
    Atom(usize),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    If(Box<Self>, Box<Self>, Box<Self>),
}

impl<'a> Atoms<'a> {
    /// Of a condition, as it is evaluated and as it is written: the same but for
    /// places.
    pub fn of(evaluated: &'a Expr, written: &'a Expr) -> Self {
        let mut list = Vec::new();
        let tree = node(evaluated, written, &mut list);
        Self { list, tree }
    }

    /// The numbers of the atoms that are come to when the condition is evaluated;
    /// `holds` says whether one does, or that it cannot be evaluated.
    pub fn reached(&self, mut holds: impl FnMut(usize) -> Option<bool>) -> Vec<usize> {
        let mut reached = Vec::new();
        self.tree.walk(&mut |atom| {
            reached.push(atom);
            holds(atom)
        });
        reached
    }
}

fn node<'a>(evaluated: &'a Expr, written: &'a Expr, list: &mut Vec<Atom<'a>>) -> Node {
    let (parts, places) = (parts(evaluated), parts(written));
    let mut nodes = parts
        .into_iter()
        .zip(places)
        .map(|(part, place)| Box::new(node(part, place, list)));
    let (first, second, third) = (nodes.next(), nodes.next(), nodes.next());
    drop(nodes);
    match (evaluated.expr_kind(), first, second, third) {
        (ExprKind::And { .. }, Some(left), Some(right), _) => Node::And(left, right),
        (ExprKind::Or { .. }, Some(left), Some(right), _) => Node::Or(left, right),
        (ExprKind::If { .. }, Some(test), Some(then), Some(otherwise)) => {
            Node::If(test, then, otherwise)
        }
        (_, Some(inner), ..) => Node::Not(inner),
        (_, None, ..) => {
            list.push(Atom { evaluated, written });
            Node::Atom(list.len() - 1)
        }
    }
}

/// What a condition is put together of; nothing, if it is atomic.
fn parts(condition: &Expr) -> Vec<&Expr> {
    match condition.expr_kind() {
        ExprKind::And { left, right } | ExprKind::Or { left, right } => vec![left, right],
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => vec![arg],
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => vec![test_expr, then_expr, else_expr],
        _ => Vec::new(),
    }
}

impl Node {
    fn walk(&self, holds: &mut impl FnMut(usize) -> Option<bool>) -> Option<bool> {
        match self {
            Self::Atom(number) => holds(*number),
            Self::Not(inner) => inner.walk(holds).map(|inner| !inner),
            Self::And(left, right) if left.walk(holds)? => right.walk(holds),
            Self::And(..) => Some(false),
            Self::Or(left, right) if !left.walk(holds)? => right.walk(holds),
            Self::Or(..) => Some(true),
            Self::If(test, then, _) if test.walk(holds)? => then.walk(holds),
            Self::If(_, _, otherwise) => otherwise.walk(holds),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use super::Atoms;

    /// The atoms that are come to, where what is named holds or fails.
    fn reached(condition: &str, holding: &[&str], failing: &[&str]) -> Vec<String> {
        let expr = cedar_policy::Expression::from_str(condition).unwrap();
        let atoms = Atoms::of(expr.as_ref(), expr.as_ref());
        let name = |atom: usize| atoms.list[atom].written.to_string();
        let reached = atoms.reached(|atom| {
            let name = name(atom);
            (!failing.contains(&name.as_str())).then(|| holding.contains(&name.as_str()))
        });
        reached.into_iter().map(name).collect()
    }

    #[test]
    fn what_is_not_evaluated_is_not_come_to() {
        let and = r#"context has "a" && context has "b""#;
        let (a, b) = (r#"context has "a""#, r#"context has "b""#);
        assert_eq!(reached(and, &[], &[]), [a]);
        assert_eq!(reached(and, &[a], &[]), [a, b]);
        assert_eq!(reached(and, &[], &[a]), [a]);
        let or = and.replace("&&", "||");
        assert_eq!(reached(&or, &[a], &[]), [a]);
        assert_eq!(reached(&or, &[], &[]), [a, b]);
        let not = format!("!({a}) && {b}");
        assert_eq!(reached(&not, &[], &[]), [a, b]);
        assert_eq!(reached(&not, &[a], &[]), [a]);
        let c = r#"context has "c""#;
        let choice = format!("if {a} then {b} else {c}");
        assert_eq!(reached(&choice, &[a], &[]), [a, b]);
        assert_eq!(reached(&choice, &[], &[]), [a, c]);
        assert_eq!(reached(&choice, &[], &[a]), [a]);
    }
}
