//! What differs between two policy repositories: in what they say, and in what
//! they decide.
//!
//! Reading order: [`policies`] (structurally), [`facts`] with [`schema`],
//! [`entities`] and [`manifest`] (name by name), [`cases`] (decisions of test
//! cases), [`triples`] (decisions about all entities) with [`parties`] (who and what
//! there is), [`contexts`] (in which circumstances), [`touched`] and [`demands`] (which
//! of them a change can alter).

pub mod cases;
pub mod contexts;
pub mod demands;
pub mod entities;
pub mod facts;
pub mod lines;
pub mod manifest;
pub mod parties;
pub mod policies;
pub mod schema;
pub mod touched;
pub mod triples;

#[cfg(test)]
mod everything;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::num::NonZero;
use std::thread;

use self::cases::CasesDiff;
use self::facts::FactChange;
use self::policies::PolicyChange;
use self::triples::TriplesDiff;
use crate::analysis::world::World;
use crate::testing::Case;

/// How two repositories are compared.
#[derive(Debug, Clone)]
pub struct Options {
    /// So many triples are decided at the most, each on both sides.
    pub triples_max: u64,
    /// So many times at the most an entity is put to a policy, to its demands on
    /// principal and resource, to tell what a change can alter; past that everything
    /// counts. Whom `==` takes is told without.
    pub planned_max: u64,
    /// Of each group of flips so many examples are kept.
    pub examples: usize,
    /// So many threads decide.
    pub threads: usize,
    /// The `datetime` for contexts that no test case has, as Cedar writes it.
    pub now: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            triples_max: 500_000,
            planned_max: 10_000_000,
            examples: 3,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            now: "2026-01-01T12:00:00Z".to_owned(),
        }
    }
}

/// Everything that differs.
#[derive(Debug)]
pub struct Diff {
    /// Policies, templates and links.
    pub policies: Vec<PolicyChange>,
    /// What the manifest means for decisions.
    pub manifest: Vec<FactChange>,
    /// Entity types, actions and their attributes.
    pub schema: Vec<FactChange>,
    /// Entities.
    pub entities: Vec<FactChange>,
    /// Decisions of test cases.
    pub cases: CasesDiff,
    /// Decisions about all entities.
    pub triples: TriplesDiff,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
            && self.manifest.is_empty()
            && self.schema.is_empty()
            && self.entities.is_empty()
            && self.cases.flips.is_empty()
            && self.triples.flips.is_empty()
    }

    /// Whether anything differs that can alter a decision.
    pub fn decides(&self) -> bool {
        self.policies.iter().any(|change| change.decides)
            || !self.manifest.is_empty()
            || !self.schema.is_empty()
            || !self.entities.is_empty()
    }

    /// Principals that gain something, over test cases and triples.
    pub fn gaining(&self) -> BTreeSet<&str> {
        let gaining = self.cases.gaining.iter().chain(&self.triples.gaining);
        gaining.map(String::as_str).collect()
    }

    /// Principals that lose something, over test cases and triples.
    pub fn losing(&self) -> BTreeSet<&str> {
        let losing = self.cases.losing.iter().chain(&self.triples.losing);
        losing.map(String::as_str).collect()
    }
}

/// Compares two repositories, over the test cases of either.
pub fn diff(before: World<'_>, after: World<'_>, cases: &[Case], options: &Options) -> Diff {
    let (entities, changed) = entities::compare(before, after);
    Diff {
        policies: policies::compare(before, after),
        manifest: manifest::compare(before.snapshot, after.snapshot),
        schema: schema::compare(before.snapshot, after.snapshot),
        entities,
        cases: cases::compare(before, after, cases, options),
        triples: triples::compare(before, after, &changed, cases, options),
    }
}
