//! Whether questions are answered now, and if not, why: one rule for `/readyz`,
//! the health service and the metric.

use std::sync::Arc;

use super::phase::Follower;
use super::phase::Phase;
use crate::pdp::NotReady;
use crate::pdp::Pdp;

/// What readiness depends on.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// The decision point.
    pub pdp: Arc<Pdp>,
    /// The phase of the server.
    pub phase: Follower,
}

/// Why questions are not answered now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// What is so.
    pub what: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl Readiness {
    /// Why questions are not answered; empty while they are.
    pub fn reasons(&self) -> Vec<Reason> {
        let mut reasons = self.of_policies();
        if let Some(recording) = self.pdp.recording()
            && let Err(why) = recording.log.answering()
        {
            reasons.push(Reason {
                what: why.to_string(),
                hint: "look at the disk of `audit.path`, or see `audit.overflow`",
            });
        }
        if self.is_leaving() {
            reasons.push(Reason {
                what: "the server is draining".to_owned(),
                hint: "ask another instance; this one ends",
            });
        }
        reasons
    }

    /// Whether the server is about to end.
    pub fn is_leaving(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Leaving | Phase::Draining)
    }

    fn of_policies(&self) -> Vec<Reason> {
        let because = |what: String, hint| Reason { what, hint };
        match self.pdp.in_force() {
            Ok(_) => Vec::new(),
            Err(NotReady::NoPolicies) => {
                let absent = because(
                    NotReady::NoPolicies.to_string(),
                    "mend the policies; `deodar validate DIR` and the log show the faults",
                );
                let rejected = self.pdp.state().rejected().map(|rejected| {
                    let count = rejected.faults.len();
                    because(
                        format!("the policies are refused: {count} fault(s)"),
                        "see `PolicyService/GetStatus` for each of them",
                    )
                });
                [absent].into_iter().chain(rejected).collect()
            }
            Err(behind @ NotReady::Behind { .. }) => vec![because(
                behind.to_string(),
                "look for the reason in the log: the disk of `directory.path` cannot be written",
            )],
        }
    }
}
