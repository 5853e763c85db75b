//! What holds for every possible request and every possible entity, by an SMT
//! solver: `cedar-policy-symcc` turns policies into formulas, cvc5 looks for a
//! request that breaks them.
//!
//! ```text
//! Snapshot, View --policies.rs--> Units --environment.rs--> formulas, per environment
//!     --check.rs, findings.rs, compare.rs--> questions --solver.rs--> holds | a model | unknown
//!     model --counterexample.rs--> request and entities --confirm.rs--> asked of our own engine,
//!     --minimise.rs--> as few attributes and entities as still show it
//! ```
//!
//! # What is proved, and of whom
//!
//! An *environment* is a type of principal, an action and a type of resource that
//! the schema lets go together; a claim is proved in each of them by itself.
//! Entities are arbitrary as far as the schema goes: what the repository stores is
//! not used, so a proof outlives every change of the directory.
//!
//! The solver knows Cedar's semantics, the service has a stricter one:
//!
//! * a forbid that fails to evaluate denies (`errors = "deny"`), where Cedar skips
//!   it. So each permit is asked with the condition that no forbid fails, as far as
//!   one can fail at all ([`Within::served`](environment)).
//! * unknown principals and resources are denied. So a claim speaks of those that
//!   are known. Entities that another one names are taken to exist too.
//!
//! What the solver says holds is believed. What it says is broken is asked of our
//! own engine, with the entities of the counterexample; an answer that the engine
//! does not confirm is [`Outcome::Unknown`] and says so, never an alarm.
//!
//! # Templates
//!
//! Links come and go while the service runs, so a claim is about every link that
//! there can be, unless it asks for those of the repository ([`LinkScope`]): a
//! template is taken with its slots open, as if everybody were linked to
//! everything. For a claim of `never` these are the permits, and no link that
//! forbids is counted on; for `always` it is the other way round.

pub mod check;
pub mod compare;
pub mod confirm;
pub mod counterexample;
pub mod environment;
pub mod findings;
mod minimise;
pub mod policies;
pub mod solver;
mod workers;

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use crate::engine::Snapshot;
use crate::engine::View;

pub use check::Proof;
pub use check::prove;
pub use compare::Compared;
pub use compare::compare;
pub use counterexample::Counterexample;
pub use environment::Environment;
pub use findings::Findings;
pub use findings::findings;
pub use policies::LinkScope;
pub use solver::NoSolver;
pub use solver::Program;

/// How the solver is asked.
#[derive(Debug, Clone)]
pub struct Options {
    /// The solver.
    pub program: Program,
    /// How long one question may take.
    pub timeout: Duration,
    /// How many solvers work at the same time.
    pub workers: NonZeroUsize,
}

impl Options {
    /// One solver a processor, ten seconds a question.
    pub fn new(program: Program) -> Self {
        Self {
            program,
            timeout: Duration::from_secs(10),
            workers: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }
}

/// Policies with the links of their repository.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The policies and templates.
    pub snapshot: &'a Snapshot,
    /// The links, and entities that a counterexample must not be confused with.
    pub view: &'a View,
}

/// What became of one question.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// There is no request that breaks it.
    Holds,
    /// There is one, and the engine agrees.
    Broken(Box<Counterexample>),
    /// Nobody knows, and why.
    Unknown(String),
}
