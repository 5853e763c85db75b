//! What the conditions of the candidates came to, one atomic condition at a time:
//! for coverage and explanations.
//!
//! A condition is taken apart at `&&`, `||`, `!` and `if`; what is left are its
//! clauses. They are evaluated in Cedar's order, so a clause that a short circuit
//! passes over is not seen.

use std::ops::Range;
use std::sync::Arc;

use cedar_policy_core::ast;
use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::SlotEnv;
use cedar_policy_core::ast::UnaryOp;
use cedar_policy_core::ast::ValueKind;
use cedar_policy_core::evaluator::Evaluator;

use super::decide::Ground;
use super::decision::Cause;
use super::explain::ReadValue;
use super::explain::reads;
use super::explain::written;
use super::footprint::Footprint;
use super::policy::Policy;
use super::policy::PolicyInfo;
use super::query::Query;
use super::query::QueryError;
use super::snapshot::Snapshot;
use super::view::View;

/// An atomic condition of a policy or template. Its number is its place in
/// [`clauses`]; links have the clauses of their template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// As written, on one line.
    pub text: String,
    /// Its first line in the file, from 1.
    pub line: usize,
    /// Its bytes in the file.
    pub span: Range<usize>,
    /// Whether it is `true` or `false` as written, and so can never be the other.
    pub is_constant: bool,
}

/// What came of all candidates of a query.
#[derive(Debug)]
pub struct Examination {
    /// Why the query is denied before any policy is asked, if it is; there are no
    /// policies then.
    pub refused: Option<Cause>,
    /// The policies whose scope matches, in order of id, static ones before links.
    pub policies: Vec<Examined>,
}

/// What came of one policy whose scope matches.
#[derive(Debug)]
pub struct Examined {
    /// The policy.
    pub policy: Arc<PolicyInfo>,
    /// What its condition came to.
    pub verdict: Verdict,
    /// The clauses that were evaluated, in that order.
    pub seen: Vec<Seen>,
}

/// What a condition came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds, or there is none.
    Satisfied,
    /// It does not hold.
    Unsatisfied,
    /// It cannot be evaluated, and why.
    Failed(String),
}

/// A clause that was evaluated.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its number.
    pub clause: usize,
    /// What it came to, or why it came to nothing.
    pub value: Result<bool, String>,
    /// What it read, if that was asked for.
    pub reads: Vec<ReadValue>,
}

/// Evaluates every candidate of a query, clause by clause; many times slower than
/// a decision.
///
/// # Errors
/// As [`decide`](super::decide()).
pub fn examine(
    snapshot: &Snapshot,
    view: &View,
    query: &Query,
    with_reads: bool,
) -> Result<Examination, QueryError> {
    let ground = match Ground::new(snapshot, view, query, &mut Footprint::default())? {
        Ok(ground) => ground,
        Err(cause) => {
            return Ok(Examination {
                refused: Some(cause),
                policies: Vec::new(),
            });
        }
    };
    let evaluator = ground.evaluator(query);
    let candidates = ground.candidates.iter();
    Ok(Examination {
        refused: None,
        policies: candidates
            .map(|policy| policy.on_its_stack(|| examined(policy, &evaluator, with_reads)))
            .collect(),
    })
}

/// Gives the candidates of a query, and what evaluates their conditions, to whoever
/// wants to know more than what they came to; or why the query is denied before
/// any policy is asked.
///
/// # Errors
/// As [`decide`](super::decide()).
pub fn with_candidates<R>(
    snapshot: &Snapshot,
    view: &View,
    query: &Query,
    look: impl FnOnce(&[&Policy], &Evaluator<'_>) -> R,
) -> Result<Result<R, Cause>, QueryError> {
    let ground = Ground::new(snapshot, view, query, &mut Footprint::default())?;
    Ok(ground.map(|ground| {
        let look = || look(&ground.candidates, &ground.evaluator(query));
        match ground.candidates.iter().max_by_key(|policy| policy.levels) {
            Some(deepest) => deepest.on_its_stack(look),
            None => look(),
        }
    }))
}

/// The clauses of a policy or template, in the order in which they are written.
pub fn clauses(cedar: &ast::Template, info: &PolicyInfo) -> Vec<Clause> {
    let mut found = Vec::new();
    if let Some(condition) = cedar.non_scope_constraints() {
        walk(condition, &mut found);
    }
    let start = cedar.loc().map_or(0, cedar_policy_core::parser::Loc::start);
    let clause = |expr: &Expr| {
        let loc = expr.source_loc();
        let span = loc.map_or(start..start, |loc| loc.start()..loc.end());
        let before = loc.and_then(|loc| loc.src.get(start..loc.start()));
        Clause {
            text: written(expr),
            line: info.line + before.map_or(0, |text| text.matches('\n').count()),
            span,
            is_constant: matches!(expr.expr_kind(), ExprKind::Lit(Literal::Bool(_))),
        }
    };
    found.into_iter().map(clause).collect()
}

/// How a condition is put together.
enum Node<'a> {
    And(&'a Expr, &'a Expr),
    Or(&'a Expr, &'a Expr),
    Not(&'a Expr),
    If(&'a Expr, &'a Expr, &'a Expr),
    Clause,
}

fn node(expr: &Expr) -> Node<'_> {
    match expr.expr_kind() {
        ExprKind::And { left, right } if is_one_test(left, right) => Node::Clause,
        ExprKind::And { left, right } => Node::And(left, right),
        ExprKind::Or { left, right } => Node::Or(left, right),
        ExprKind::UnaryApp {
            op: UnaryOp::Not,
            arg,
        } if !is_one_operator(expr, arg) => Node::Not(arg),
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => Node::If(test_expr, then_expr, else_expr),
        _ => Node::Clause,
    }
}

/// Cedar's parser makes `!(a == b)` of `a != b`, and so of `>` and `>=`: that is
/// one clause, as its author sees it.
pub(crate) fn is_one_operator(not: &Expr, arg: &Expr) -> bool {
    is_comparison(arg) && not.source_loc().is_some() && not.source_loc() == arg.source_loc()
}

/// Whether an expression compares by one operator of Cedar's own.
pub(crate) fn is_comparison(expr: &Expr) -> bool {
    matches!(
        expr.expr_kind(),
        ExprKind::BinaryApp {
            op: BinaryOp::Eq | BinaryOp::Less | BinaryOp::LessEq,
            ..
        }
    )
}

/// It makes `a is b && a in c` of `a is b in c`, too.
fn is_one_test(is: &Expr, within: &Expr) -> bool {
    let is_one = matches!(is.expr_kind(), ExprKind::Is { .. })
        && matches!(
            within.expr_kind(),
            ExprKind::BinaryApp {
                op: BinaryOp::In,
                ..
            }
        );
    is_one && is.source_loc().is_some() && is.source_loc() == within.source_loc()
}

fn walk<'a>(expr: &'a Expr, into: &mut Vec<&'a Expr>) {
    match node(expr) {
        Node::And(left, right) | Node::Or(left, right) => {
            walk(left, into);
            walk(right, into);
        }
        Node::Not(arg) => walk(arg, into),
        Node::If(test, then, otherwise) => {
            walk(test, into);
            walk(then, into);
            walk(otherwise, into);
        }
        Node::Clause => into.push(expr),
    }
}

fn examined(policy: &Policy, evaluator: &Evaluator<'_>, with_reads: bool) -> Examined {
    let mut examiner = Examiner {
        evaluator,
        env: policy.cedar.env(),
        with_reads,
        number: 0,
        seen: Vec::new(),
    };
    let verdict = match policy.cedar.non_scope_constraints() {
        None => Verdict::Satisfied,
        Some(condition) => match examiner.value(condition) {
            Ok(true) => Verdict::Satisfied,
            Ok(false) => Verdict::Unsatisfied,
            Err(message) => Verdict::Failed(message),
        },
    };
    Examined {
        policy: Arc::clone(&policy.info),
        verdict,
        seen: examiner.seen,
    }
}

struct Examiner<'a> {
    evaluator: &'a Evaluator<'a>,
    env: &'a SlotEnv,
    with_reads: bool,
    /// The number of the next clause.
    number: usize,
    seen: Vec<Seen>,
}

impl Examiner<'_> {
    fn value(&mut self, expr: &Expr) -> Result<bool, String> {
        match node(expr) {
            Node::And(left, right) => {
                if self.value(left)? {
                    self.value(right)
                } else {
                    self.pass_over(right);
                    Ok(false)
                }
            }
            Node::Or(left, right) => {
                if self.value(left)? {
                    self.pass_over(right);
                    Ok(true)
                } else {
                    self.value(right)
                }
            }
            Node::Not(arg) => self.value(arg).map(|value| !value),
            Node::If(test, then, otherwise) => {
                if self.value(test)? {
                    let value = self.value(then);
                    self.pass_over(otherwise);
                    value
                } else {
                    self.pass_over(then);
                    self.value(otherwise)
                }
            }
            Node::Clause => self.clause(expr),
        }
    }

    fn clause(&mut self, expr: &Expr) -> Result<bool, String> {
        let value = match self.evaluator.interpret(expr, self.env) {
            Ok(value) => match value.value_kind() {
                ValueKind::Lit(Literal::Bool(value)) => Ok(*value),
                _ => Err("the condition is not a boolean".to_owned()),
            },
            Err(error) => Err(error.to_string()),
        };
        self.seen.push(Seen {
            clause: self.number,
            value: value.clone(),
            reads: if self.with_reads {
                reads(expr, self.env, self.evaluator, usize::MAX)
            } else {
                Vec::new()
            },
        });
        self.number += 1;
        value
    }

    fn pass_over(&mut self, expr: &Expr) {
        let mut passed = Vec::new();
        walk(expr, &mut passed);
        self.number += passed.len();
    }
}
