//! What was measured, as it is shown and saved.

use serde::Deserialize;
use serde::Serialize;

use super::batches::Cost;
use super::questions::Origin;

/// The version of the form of a report; another one is not read.
pub const VERSION: u32 = 1;

/// What decisions cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// Where it was measured.
    pub machine: Machine,
    /// The revision of the policies.
    pub policy_revision: String,
    /// Batches of each cost.
    pub samples: usize,
    /// What was asked.
    pub questions: Asked,
    /// A whole decision.
    pub decision: Cost,
    /// Its part that finds the candidates and gathers the entities.
    pub gathering: Cost,
    /// The most expensive first.
    pub policies: Vec<PolicyCost>,
    /// The most expensive first, of the policies that cost most.
    pub conditions: Vec<ConditionCost>,
    /// The ids of policies that are a candidate of no question.
    pub never_asked: Vec<String>,
}

/// A machine, and the program on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The model of its processor.
    pub cpu: String,
    /// How many threads it runs at a time.
    pub threads: usize,
    /// The operating system and architecture.
    pub system: String,
    /// The version of Deodar.
    pub deodar: String,
    /// Whether Deodar was built for speed.
    pub is_optimised: bool,
}

/// Which questions were asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Where they are from.
    pub origin: Origin,
    /// Asked.
    pub asked: usize,
    /// Left out, because there are many.
    pub left_out: usize,
    /// Left out, because they do not fit the policies.
    pub misfits: usize,
    /// SHA-256 of the questions: who asks to do what to what, and what is asked with
    /// it. Empty in reports of before there was one.
    #[serde(default)]
    pub digest: String,
}

/// What the condition of a policy costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyCost {
    /// Of the policy; of a link, its own.
    pub id: String,
    /// Relative to the repository.
    pub file: String,
    /// Its first line.
    pub line: usize,
    /// The questions of which it is a candidate.
    pub candidates: usize,
    /// Of an evaluation.
    pub cost: Cost,
    /// Of the cost of all conditions over all questions, from 0 to 1.
    pub share: f64,
}

/// What an atomic condition costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConditionCost {
    /// The policy that it is of.
    pub policy: String,
    /// As written.
    pub condition: String,
    /// Relative to the repository.
    pub file: String,
    /// Where it starts.
    pub line: usize,
    /// Where it starts, in characters from 1.
    pub column: usize,
    /// The questions in which it is come to.
    pub reached: usize,
    /// Of an evaluation.
    pub cost: Cost,
    /// Of the cost of all conditions over all questions, from 0 to 1.
    pub share: f64,
}
