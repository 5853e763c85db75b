//! Changes of a policy's conditions as they are put together: `when`, `unless`,
//! `&&`, `||`, `!`, `if`.

use std::ops::Range;

use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Template;
use cedar_policy_core::ast::UnaryOp;
use cedar_policy_core::parser::Loc;

use super::Change;
use super::edit::Edit;
use super::operator::Operator;
use super::text::Parts;
use crate::engine::examine::is_comparison;
use crate::engine::examine::is_one_operator;

/// All of them.
pub fn changes(parts: &Parts<'_>, cedar: &Template) -> Vec<Change> {
    let mut changes = Vec::new();
    for condition in &parts.conditions {
        let edit = Edit::new(condition.whole.clone(), "");
        changes.push(Change::new(Operator::DropCondition, edit));
        let word = parts.text.get(condition.word.clone());
        let other = if word == Some("when") {
            "unless"
        } else {
            "when"
        };
        let edit = Edit::new(condition.word.clone(), other);
        changes.push(Change::new(Operator::NegateCondition, edit));
    }
    let bodies = parts.conditions.iter();
    let bodies = bodies.filter_map(|condition| parts.span(&condition.body));
    let mut walk = Walk {
        start: cedar.loc().map_or(0, Loc::start),
        bodies: bodies.collect(),
        text: parts.text,
        changes,
    };
    if let Some(condition) = cedar.non_scope_constraints() {
        walk.joined(condition);
    }
    walk.changes
}

struct Walk<'a> {
    /// Where the policy begins in its file.
    start: usize,
    /// The whole conditions, which are changed as such.
    bodies: Vec<Range<usize>>,
    text: &'a str,
    changes: Vec<Change>,
}

impl Walk<'_> {
    /// Cedar joins the conditions of a policy by `&&`, and negates those of
    /// `unless`, at the place of the policy as a whole.
    fn joined(&mut self, expr: &Expr) {
        let is_whole = |span: &Range<usize>| {
            let mut bodies = self.bodies.iter();
            bodies.all(|body| span.start < body.start)
        };
        match expr.expr_kind() {
            ExprKind::And { left, right }
                if self.bodies.len() > 1 && self.span(expr).as_ref().is_some_and(is_whole) =>
            {
                self.joined(left);
                self.joined(right);
            }
            _ => self.walk(expr),
        }
    }

    fn span(&self, expr: &Expr) -> Option<Range<usize>> {
        let loc = expr.source_loc()?;
        let start = loc.start().checked_sub(self.start)?;
        Some(start..loc.end() - self.start)
    }

    fn walk(&mut self, expr: &Expr) {
        match expr.expr_kind() {
            ExprKind::And { .. } => self.chain(expr, "true"),
            ExprKind::Or { .. } => self.chain(expr, "false"),
            ExprKind::UnaryApp {
                op: UnaryOp::Not,
                arg,
            } if !is_one_operator(expr, arg) => self.walk(arg),
            ExprKind::If {
                test_expr,
                then_expr,
                else_expr,
            } => {
                self.exchange(then_expr, else_expr);
                for part in [test_expr, then_expr, else_expr] {
                    self.walk(part);
                }
            }
            _ => self.negate(expr),
        }
    }

    /// Every operand of `a && b && c` stands at the place of the whole.
    fn chain(&mut self, whole: &Expr, neutral: &str) {
        let mut operands = Vec::new();
        operands_of(whole, whole, &mut operands);
        for operand in operands {
            if let Some(span) = self.span(operand) {
                let edit = Edit::new(span, neutral);
                self.changes.push(Change::new(Operator::DropClause, edit));
            }
            self.walk(operand);
        }
    }

    fn exchange(&mut self, then: &Expr, otherwise: &Expr) {
        let (Some(first), Some(second)) = (self.span(then), self.span(otherwise)) else {
            return;
        };
        let texts = [&first, &second].map(|span| self.text.get(span.clone()).unwrap_or_default());
        let [first_text, second_text] = texts.map(str::to_owned);
        self.changes.push(Change {
            operator: Operator::Branches,
            edits: vec![Edit::new(first, second_text), Edit::new(second, first_text)],
        });
    }

    /// A comparison has its contrary among its neighbours, and a whole condition
    /// is negated by its word.
    fn negate(&mut self, clause: &Expr) {
        let is_constant = matches!(clause.expr_kind(), ExprKind::Lit(_));
        let Some(span) = self.span(clause) else {
            return;
        };
        if is_constant || is_operator(clause) || self.bodies.contains(&span) {
            return;
        }
        let text = self.text.get(span.clone()).unwrap_or_default();
        let edit = Edit::new(span, format!("!({text})"));
        self.changes.push(Change::new(Operator::Negate, edit));
    }
}

fn operands_of<'a>(expr: &'a Expr, whole: &Expr, into: &mut Vec<&'a Expr>) {
    let same_kind = matches!(
        (expr.expr_kind(), whole.expr_kind()),
        (ExprKind::And { .. }, ExprKind::And { .. }) | (ExprKind::Or { .. }, ExprKind::Or { .. })
    );
    match expr.expr_kind() {
        ExprKind::And { left, right } | ExprKind::Or { left, right }
            if same_kind && expr.source_loc() == whole.source_loc() =>
        {
            operands_of(left, whole, into);
            operands_of(right, whole, into);
        }
        _ => into.push(expr),
    }
}

/// A comparison, or the negated one that Cedar makes of `!=`, `>` and `>=`.
fn is_operator(expr: &Expr) -> bool {
    match expr.expr_kind() {
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } => is_comparison(arg),
        _ => is_comparison(expr),
    }
}
