//! Why a query was answered as it was: near misses, with the values.

use cedar_policy_core::ast::BinaryOp;
use cedar_policy_core::ast::Effect;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::SlotEnv;
use cedar_policy_core::evaluator::Evaluator;
use std::collections::HashSet;
use std::sync::Arc;

use super::decide::Ground;
use super::decide::satisfied;
use super::footprint::Footprint;
use super::policy::Policy;
use super::policy::PolicyInfo;
use super::query::Query;
use super::query::QueryError;
use super::snapshot::Snapshot;
use super::view::View;

/// At most so many near misses are explained.
const NEAR_MISSES_MAX: usize = 20;
/// At most so many values are shown for the condition of a near miss.
const VALUES_MAX: usize = 12;
/// A shown value or condition is cut to so many characters.
const SHOWN_MAX: usize = 240;

/// What explains a decision beyond its determining policies.
#[derive(Debug, Default)]
pub struct Explanation {
    /// Permits whose scope matched and whose condition did not hold, in order
    /// of id.
    pub near_misses: Vec<NearMiss>,
    /// How many near misses were left out.
    pub left_out: usize,
}

/// A permit that would have applied but for one condition.
#[derive(Debug, Clone)]
pub struct NearMiss {
    /// The permit.
    pub policy: Arc<PolicyInfo>,
    /// The first condition that did not hold, as written.
    pub condition: String,
    /// The line of that condition, from 1.
    pub line: usize,
    /// What the condition read, and the values it found.
    pub values: Vec<ReadValue>,
    /// The evaluation error, if the condition failed rather than being false.
    pub error: Option<String>,
}

/// One thing that a condition read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadValue {
    /// The expression, such as `principal.firmware.version`.
    pub expression: String,
    /// Its value in Cedar syntax, or what kept it from having one.
    pub value: String,
}

/// Explains the decision of a query: which permits nearly applied.
///
/// Evaluates the candidates once more, with their source; as slow as that.
///
/// # Errors
/// As [`decide`](super::decide()).
pub fn explain(snapshot: &Snapshot, view: &View, query: &Query) -> Result<Explanation, QueryError> {
    let Ok(ground) = Ground::new(snapshot, view, query, &mut Footprint::default())? else {
        return Ok(Explanation::default());
    };
    let evaluator = ground.evaluator(query);
    let mut explanation = Explanation::default();
    for policy in &ground.candidates {
        if policy.effect != Effect::Permit || satisfied(policy, &evaluator) == Ok(true) {
            continue;
        }
        if explanation.near_misses.len() < NEAR_MISSES_MAX {
            explanation
                .near_misses
                .extend(policy.on_its_stack(|| near_miss(policy, &evaluator)));
        } else {
            explanation.left_out += 1;
        }
    }
    Ok(explanation)
}

fn near_miss(policy: &Policy, evaluator: &Evaluator<'_>) -> Option<NearMiss> {
    let condition = policy.cedar.non_scope_constraints()?;
    let env = policy.cedar.env();
    let (clause, error) = clauses(condition).into_iter().find_map(|clause| {
        match evaluator.interpret(clause, env) {
            Ok(value) if value == true.into() => None,
            Ok(_) => Some((clause, None)),
            Err(error) => Some((clause, Some(error.to_string()))),
        }
    })?;
    let mut values = reads(clause, env, evaluator, VALUES_MAX);
    values.extend(slots(env));
    Some(NearMiss {
        condition: written(clause),
        line: line_of(policy, clause),
        policy: Arc::clone(&policy.info),
        values,
        error,
    })
}

/// What an expression reads, with the values that it finds; at most so many.
pub(super) fn reads(
    expr: &Expr,
    env: &SlotEnv,
    evaluator: &Evaluator<'_>,
    max: usize,
) -> Vec<ReadValue> {
    let mut leaves = Vec::new();
    collect_leaves(expr, &mut leaves);
    let mut seen = HashSet::new();
    let mut values = Vec::new();
    for leaf in leaves {
        if values.len() == max {
            break;
        }
        let read = ReadValue {
            expression: cut(&leaf.to_string()),
            value: match evaluator.interpret(leaf, env) {
                Ok(value) => cut(&value.to_string()),
                Err(error) => format!("({})", cut(&error.to_string())),
            },
        };
        if seen.insert((read.expression.clone(), read.value.clone())) {
            values.push(read);
        }
    }
    values
}

/// The parts of a conjunction, in the order in which they are evaluated.
fn clauses(condition: &Expr) -> Vec<&Expr> {
    match condition.expr_kind() {
        ExprKind::And { left, right } => {
            let mut parts = clauses(left);
            parts.extend(clauses(right));
            parts
        }
        _ => vec![condition],
    }
}

/// What a clause reads: attribute chains, tests for attributes, memberships,
/// tags. Literals and operators say nothing that the clause does not.
fn collect_leaves<'a>(expr: &'a Expr, into: &mut Vec<&'a Expr>) {
    match expr.expr_kind() {
        ExprKind::GetAttr { .. } | ExprKind::HasAttr { .. } | ExprKind::ExtHasAttr { .. } => {
            into.push(expr);
        }
        ExprKind::BinaryApp {
            op: BinaryOp::In | BinaryOp::GetTag | BinaryOp::HasTag,
            arg1,
            arg2,
        } => {
            into.push(expr);
            collect_leaves(arg1, into);
            collect_leaves(arg2, into);
        }
        ExprKind::If {
            test_expr,
            then_expr,
            else_expr,
        } => {
            for part in [test_expr, then_expr, else_expr] {
                collect_leaves(part, into);
            }
        }
        ExprKind::And { left: a, right: b }
        | ExprKind::Or { left: a, right: b }
        | ExprKind::BinaryApp {
            arg1: a, arg2: b, ..
        } => {
            collect_leaves(a, into);
            collect_leaves(b, into);
        }
        ExprKind::UnaryApp { arg: expr, .. }
        | ExprKind::Like { expr, .. }
        | ExprKind::Is { expr, .. } => collect_leaves(expr, into),
        ExprKind::ExtensionFunctionApp { args: parts, .. } | ExprKind::Set(parts) => {
            parts.iter().for_each(|part| collect_leaves(part, into));
        }
        ExprKind::Record(fields) => fields
            .values()
            .for_each(|field| collect_leaves(field, into)),
        _ => {}
    }
}

fn slots(env: &SlotEnv) -> Vec<ReadValue> {
    let mut values: Vec<_> = env
        .iter()
        .map(|(slot, uid)| ReadValue {
            expression: slot.to_string(),
            value: uid.to_string(),
        })
        .collect();
    values.sort_by(|a, b| a.expression.cmp(&b.expression));
    values
}

/// An expression as its author wrote it, on one line.
pub(super) fn written(expr: &Expr) -> String {
    let text = expr.source_loc().and_then(|loc| loc.snippet()).map_or_else(
        || expr.to_string(),
        |text| text.split_whitespace().collect::<Vec<_>>().join(" "),
    );
    cut(&text)
}

/// The clause's line: as many below the policy's first as there are line ends
/// between the two.
fn line_of(policy: &Policy, clause: &Expr) -> usize {
    let between = || {
        let clause = clause.source_loc()?;
        let start = policy.cedar.loc()?.start();
        clause.src.get(start..clause.start())
    };
    policy.info.line + between().map_or(0, |text| text.matches('\n').count())
}

fn cut(text: &str) -> String {
    if text.chars().count() <= SHOWN_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(SHOWN_MAX).collect();
    short.push('…');
    short
}
