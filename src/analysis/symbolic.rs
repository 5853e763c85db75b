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
//!   are known. Entities that another one names are taken to exist too, and all of
//!   them to have what the schema requires of their type. Where that is not so
//!   (somebody names an entity that is not stored, `unknown = "cedar"`, implicit
//!   types), a permit can only fail, and so can a forbid, which denies; but `has`
//!   says no of an attribute that the schema requires, `!(x has y)` yes, and with
//!   `errors = "cedar"` a forbid that fails is skipped. [`assumptions`] says which
//!   of these a repository makes matter.
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
mod process;
pub mod solver;
mod workers;

use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use cedar_policy_core::ast::EntityType;

use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::manifest::OnError;
use crate::engine::manifest::OnUnknown;

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
pub use solver::version;

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

/// What a proof takes for granted that the manifest does not: sentences without full
/// stop.
pub fn assumptions(snapshot: &Snapshot) -> Vec<String> {
    let manifest = snapshot.manifest();
    let mut assumed = Vec::new();
    if manifest.unknown == OnUnknown::Cedar {
        assumed.push(
            "`unknown = \"cedar\"` lets policies decide about principals and resources that nobody knows; what is proved speaks of those that are known"
                .to_owned(),
        );
    }
    if manifest.errors == OnError::Cedar {
        assumed.push(
            "`errors = \"cedar\"` skips a forbid that fails because an entity is missing; what is proved takes every entity that is named to exist"
                .to_owned(),
        );
    }
    let schema = snapshot.schema();
    let requires = |name: &&EntityType| {
        let declared = schema.and_then(|schema| schema.validator().get_entity_type(name));
        declared.is_some_and(|declared| {
            let mut attributes = declared.attributes().iter();
            attributes.any(|(_, attribute)| attribute.is_required())
        })
    };
    for name in manifest.implicit_types.iter().filter(requires) {
        assumed.push(format!(
            "entities of the implicit type `{name}` need not be stored, and then lack the attributes that the schema requires; what is proved takes them to be there"
        ));
    }
    assumed
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
