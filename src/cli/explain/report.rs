//! An explanation, as it is written.

use std::sync::Arc;

use cedar_policy_core::ast;
use cedar_policy_core::ast::Effect as PolicyEffect;
use serde::Serialize;

use super::facts::Facts;
use crate::analysis::turn::Change;
use crate::analysis::turn::Found;
use crate::analysis::turn::Spot;
use crate::analysis::turn::world::Place;
use crate::cli::answer::Effect;
use crate::cli::answer::PolicyRef;
use crate::cli::answer::ReadValue;
use crate::cli::answer::sentence;
use crate::cli::check::local::policy_ref;
use crate::engine::Cause;
use crate::engine::Decision;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::decide;
use crate::engine::examine;
use crate::engine::examine::Examined;
use crate::engine::examine::Verdict;
use crate::engine::examine::clauses;
use crate::engine::policy::PolicyInfo;
use crate::engine::query::QueryError;
use crate::testing::subject::counted_as;

/// At most so many near misses are shown.
const NEAR_MISSES_MAX: usize = 20;

/// Why a question is answered as it is. Its JSON is stable: fields are added, never
/// changed or removed.
#[derive(Debug, Serialize)]
pub struct Report {
    pub(super) decision: Effect,
    /// Why it is denied, by name.
    pub(super) cause: Option<&'static str>,
    pub(super) sentence: &'static str,
    /// Those that decide.
    pub(super) policies: Vec<Part>,
    /// Permits of a deny, and forbids of an allow, whose condition does not hold.
    pub(super) near_misses: Vec<Part>,
    /// How many more there are.
    pub(super) near_misses_left_out: usize,
    /// Those whose evaluation fails.
    pub(super) failed: Vec<Part>,
    pub(super) facts: Facts,
    /// What would turn the decision.
    pub(super) turn: Turned,
}

/// A policy whose scope matches, with what its conditions came to.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    pub(super) policy: PolicyRef,
    /// As written.
    pub(super) text: String,
    pub(super) clauses: Vec<Clause>,
    /// Why the evaluation fails, if it does.
    pub(super) error: Option<String>,
}

/// An atomic condition.
#[derive(Debug, Clone, Serialize)]
pub struct Clause {
    pub(super) text: String,
    pub(super) line: usize,
    /// `None` when it was not evaluated, or failed.
    pub(super) value: Option<bool>,
    pub(super) error: Option<String>,
    /// What it read.
    pub(super) reads: Vec<ReadValue>,
    /// Whether a short circuit passed over it.
    pub(super) passed_over: bool,
}

/// What the search for a change came to.
#[derive(Debug, Serialize)]
pub struct Turned {
    /// All of them together turn the decision; none when no change was found.
    pub(super) changes: Vec<Changed>,
    /// How many changes were decided on.
    pub(super) tried: usize,
    /// Whether there was more to try.
    pub(super) is_cut: bool,
}

/// One change.
#[derive(Debug, Serialize)]
pub struct Changed {
    /// `context`, `attribute` or `parent`.
    pub(super) what: &'static str,
    /// Whose.
    pub(super) entity: Option<String>,
    /// The names from there on, with a point between.
    pub(super) path: Option<String>,
    /// What it becomes a member of, or no longer is.
    pub(super) parent: Option<String>,
    /// What it is, in Cedar syntax.
    pub(super) from: Option<String>,
    /// What it becomes.
    pub(super) to: Option<String>,
    /// All of this for people.
    pub(super) sentence: String,
}

impl Report {
    /// Decides, and takes down why.
    ///
    /// # Errors
    /// As [`decide`](crate::engine::decide()).
    pub fn new(
        snapshot: &Snapshot,
        view: &View,
        query: &Query,
        found: &Found,
    ) -> Result<Self, QueryError> {
        let decision = decide(snapshot, view, query)?;
        let examination = examine(snapshot, view, query, true)?;
        let facts = Facts::new(snapshot, view, query, &examination)?;
        let part = |examined: &Examined| Part::new(snapshot, examined);
        let near = |examined: &&Examined| {
            let wanted = if decision.is_allow() {
                PolicyEffect::Forbid
            } else {
                PolicyEffect::Permit
            };
            examined.verdict == Verdict::Unsatisfied && examined.policy.effect == wanted
        };
        let all = &examination.policies;
        let near_misses: Vec<Part> = all.iter().filter(near).map(part).collect();
        let failed = all
            .iter()
            .filter(|examined| matches!(examined.verdict, Verdict::Failed(_)));
        let policies = all.iter().filter(|examined| decides(&decision, examined));
        Ok(Self {
            decision: if decision.is_allow() {
                Effect::Allow
            } else {
                Effect::Deny
            },
            cause: decision.cause().map(Cause::as_str),
            sentence: sentence(decision.cause()),
            policies: policies.map(part).collect(),
            near_misses_left_out: near_misses.len().saturating_sub(NEAR_MISSES_MAX),
            near_misses: near_misses.into_iter().take(NEAR_MISSES_MAX).collect(),
            failed: failed.map(part).collect(),
            facts,
            turn: Turned::new(found),
        })
    }

    /// Whether it is allowed.
    pub fn is_allow(&self) -> bool {
        self.decision == Effect::Allow
    }
}

fn decides(decision: &Decision, examined: &Examined) -> bool {
    let mut deciding = decision.policies.iter();
    deciding.any(|policy: &Arc<PolicyInfo>| policy.id == examined.policy.id)
}

impl Part {
    fn new(snapshot: &Snapshot, examined: &Examined) -> Self {
        let id = counted_as(&examined.policy);
        let cedar: Option<&ast::Template> = match snapshot.template(id) {
            Some(template) => Some(&template.cedar),
            None => snapshot
                .rules()
                .get(id)
                .map(|policy| policy.cedar.template()),
        };
        let clauses = cedar.map(|cedar| clauses(cedar, &examined.policy));
        let clauses = clauses.unwrap_or_default().into_iter().enumerate();
        Self {
            policy: policy_ref(&examined.policy),
            text: examined.policy.text.to_string(),
            clauses: clauses
                .map(|(number, clause)| {
                    let seen = examined.seen.iter().find(|seen| seen.clause == number);
                    Clause {
                        text: clause.text,
                        line: clause.line,
                        value: seen.and_then(|seen| seen.value.clone().ok()),
                        error: seen.and_then(|seen| seen.value.clone().err()),
                        reads: seen.map(reads).unwrap_or_default(),
                        passed_over: seen.is_none(),
                    }
                })
                .collect(),
            error: match &examined.verdict {
                Verdict::Failed(message) => Some(message.clone()),
                Verdict::Satisfied | Verdict::Unsatisfied => None,
            },
        }
    }
}

fn reads(seen: &examine::Seen) -> Vec<ReadValue> {
    let reads = seen.reads.iter();
    reads
        .map(|read| ReadValue {
            expression: read.expression.clone(),
            value: read.value.clone(),
        })
        .collect()
}

impl Turned {
    fn new(found: &Found) -> Self {
        let changes = found.turn.iter().flat_map(|turn| &turn.changes);
        Self {
            changes: changes.map(Changed::new).collect(),
            tried: found.tried,
            is_cut: found.is_cut,
        }
    }
}

impl Changed {
    fn new(change: &Change) -> Self {
        let value = |value: &Option<ast::Value>| value.as_ref().map(ToString::to_string);
        let (from, to) = (value(&change.from), value(&change.to));
        match &change.spot {
            Spot::Parent(entity, parent, is_added) => Self {
                what: "parent",
                entity: Some(entity.to_string()),
                path: None,
                parent: Some(parent.to_string()),
                from: None,
                to: None,
                sentence: if *is_added {
                    format!("make {entity} a member of {parent}")
                } else {
                    format!("take {entity} out of {parent}")
                },
            },
            Spot::Value(place) => {
                let path = place.path().join(".");
                let (what, entity, named) = match place {
                    Place::Context(_) => ("context", None, format!("context.{path}")),
                    Place::Attribute(uid, _) => {
                        ("attribute", Some(uid.to_string()), format!("{uid}.{path}"))
                    }
                };
                let sentence = match (&from, &to) {
                    (Some(from), Some(to)) => format!("change {named} from {from} to {to}"),
                    (None, Some(to)) => format!("set {named} to {to}"),
                    (_, None) => format!("leave out {named}"),
                };
                Self {
                    what,
                    entity,
                    path: Some(path),
                    parent: None,
                    from,
                    to,
                    sentence,
                }
            }
        }
    }
}
