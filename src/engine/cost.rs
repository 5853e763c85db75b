//! The parts of a decision by themselves, for whoever measures them: the engine
//! reads no clock.

use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::ValueKind;
use cedar_policy_core::evaluator::Evaluator;

use super::decide::Ground;
use super::decide::satisfied;
use super::footprint::Footprint;
use super::policy::Policy;
use super::query::Query;
use super::query::QueryError;
use super::snapshot::Snapshot;
use super::view::View;

/// A question with its candidates found and its entities gathered: all of a
/// decision but the conditions.
pub struct Gathered<'a> {
    ground: Ground<'a>,
    query: &'a Query,
}

impl std::fmt::Debug for Gathered<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathered")
            .field("candidates", &self.ground.candidates.len())
            .finish_non_exhaustive()
    }
}

impl<'a> Gathered<'a> {
    /// Finds candidates and gathers entities; `None` when the question is denied
    /// before any policy is asked.
    ///
    /// # Errors
    /// As [`decide`](super::decide()).
    pub fn new(
        snapshot: &'a Snapshot,
        view: &'a View,
        query: &'a Query,
    ) -> Result<Option<Self>, QueryError> {
        let ground = Ground::new(snapshot, view, query, &mut Footprint::default())?;
        Ok(ground.ok().map(|ground| Self { ground, query }))
    }

    /// The policies whose scope matches.
    pub fn candidates(&self) -> &[&'a Policy] {
        &self.ground.candidates
    }

    /// What evaluates their conditions.
    pub fn evaluation(&self) -> Evaluation<'_> {
        Evaluation(self.ground.evaluator(self.query))
    }
}

/// Evaluates conditions for one question.
pub struct Evaluation<'a>(Evaluator<'a>);

impl std::fmt::Debug for Evaluation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Evaluation")
    }
}

impl Evaluation<'_> {
    /// Whether a candidate is satisfied, as a decision finds it out; `None` when
    /// it cannot be evaluated.
    pub fn is_satisfied(&self, candidate: &Policy) -> Option<bool> {
        satisfied(candidate, &self.0).ok()
    }

    /// Whether a part of a candidate's condition holds; `None` when it cannot be
    /// evaluated.
    pub fn holds(&self, candidate: &Policy, part: &Expr) -> Option<bool> {
        let value = || self.0.interpret(part, candidate.cedar.env()).ok();
        let value = candidate.on_its_stack(value)?;
        match value.value_kind() {
            ValueKind::Lit(Literal::Bool(holds)) => Some(*holds),
            _ => None,
        }
    }
}
