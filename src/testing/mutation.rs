//! Mutation testing: which changes of a policy no case notices.
//!
//! ```text
//! policy text --mutants--> texts --kill--> decided again with each, case by case
//!   text.rs: words and parts    scope.rs, condition.rs, words.rs: what is changed
//! ```
//!
//! One policy is changed at a time, in one place. A mutant that does not validate
//! against the schema, or means the same, is not made. It is killed by a case that
//! passes and that comes to something else than its `expected` when the mutant
//! decides in place of the policy. Only cases are asked that the policy, or the
//! mutant, has a part in.
//!
//! A survivor may be explained in the policy, by `@survives` (`explained.rs`).

pub mod condition;
pub mod constants;
pub mod edit;
mod environments;
pub mod explained;
pub mod kill;
pub mod mutants;
pub mod operator;
pub mod scope;
pub mod text;
pub mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::Suite;
use super::subject::Subject;
use super::subject::subjects;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::nesting::STACK_BYTES;
use crate::engine::policy::PolicyInfo;
use crate::parallel::in_parallel;
use edit::Edit;
use explained::Explanations;
use explained::Idle;
use explained::names;
use kill::Ready;
use mutants::Mutants;
use mutants::validator;
use operator::Operator;

/// A change that might be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of what kind it is.
    pub operator: Operator,
    /// In order of place.
    pub edits: Vec<Edit>,
}

impl Change {
    fn new(operator: Operator, edit: Edit) -> Self {
        Self {
            operator,
            edits: vec![edit],
        }
    }

    /// In order of operators, and of places within them.
    fn order(&self) -> (Operator, usize) {
        let first = self.edits.first();
        (self.operator, first.map_or(0, |edit| edit.span.start))
    }
}

/// A policy with one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Of what kind the change is.
    pub operator: Operator,
    /// The first line that is changed, from 1.
    pub line: usize,
    /// The changed lines as they are.
    pub before: Vec<String>,
    /// As the mutant has them.
    pub after: Vec<String>,
    /// The text of the mutant; `None` for a policy that is left out.
    pub text: Option<String>,
}

/// A mutant that no case kills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// The policy.
    pub info: Arc<PolicyInfo>,
    /// The mutant.
    pub mutant: Mutant,
    /// What `@survives` calls it.
    pub name: String,
    /// What a case would have to ask.
    pub needs: String,
    /// Why it may live, as the policy says.
    pub explained: Option<String>,
}

/// A policy's explanation of survivors that there are none of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// The policy.
    pub info: Arc<PolicyInfo>,
    /// What stands before the colon.
    pub name: String,
    /// Why it explains nothing.
    pub why: Idle,
}

/// What became of all mutants.
#[derive(Debug, Default)]
pub struct Mutation {
    /// How many there were.
    pub total: usize,
    /// How many were killed.
    pub killed: usize,
    /// In order of file, line and operator.
    pub survivors: Vec<Survivor>,
    /// Explanations that explain nothing.
    pub stale: Vec<Stale>,
    /// By operator: how many there were, and how many were killed.
    pub operators: BTreeMap<Operator, Tally>,
    /// How many changes the validator refused.
    pub invalid: usize,
    /// How many changes changed nothing.
    pub equivalent: usize,
    /// How many changes were not tried, of policies that have too many.
    pub left_out: usize,
    /// How many decisions were made.
    pub decisions: usize,
    /// How many cases took part: those that pass.
    pub cases: usize,
    /// How many were left out because they fail without any mutant.
    pub cases_failing: usize,
}

/// How many mutants there were of a kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All.
    pub total: usize,
    /// Killed ones.
    pub killed: usize,
}

/// What became of the mutants of one policy.
#[derive(Debug, Default)]
struct Outcome {
    survivors: Vec<Survivor>,
    stale: Vec<Stale>,
    operators: BTreeMap<Operator, Tally>,
    invalid: usize,
    equivalent: usize,
    left_out: usize,
    decisions: usize,
}

impl Mutation {
    /// Makes every mutant of every policy and template, and lets the cases that
    /// pass try to kill it.
    pub fn run(snapshot: &Snapshot, view: &View, suites: &[Suite]) -> Self {
        let ready = Ready::new(snapshot, view, suites);
        let validator = validator(snapshot);
        let subjects = subjects(snapshot);
        let outcomes = in_parallel(&subjects, |subject| {
            let mutants = stacker::grow(STACK_BYTES, || {
                Mutants::of(subject, snapshot, validator.as_ref())
            });
            outcome(subject, mutants, &ready)
        });
        let mut all = Self {
            cases: ready.cases.len(),
            cases_failing: ready.failing,
            ..Self::default()
        };
        for outcome in outcomes {
            all.add(outcome);
        }
        all
    }

    /// The survivors that nobody explained.
    pub fn unexplained(&self) -> impl Iterator<Item = &Survivor> {
        let survivors = self.survivors.iter();
        survivors.filter(|survivor| survivor.explained.is_none())
    }

    fn add(&mut self, outcome: Outcome) {
        for (operator, tally) in outcome.operators {
            self.total += tally.total;
            self.killed += tally.killed;
            let sum = self.operators.entry(operator).or_default();
            sum.total += tally.total;
            sum.killed += tally.killed;
        }
        self.survivors.extend(outcome.survivors);
        self.stale.extend(outcome.stale);
        self.invalid += outcome.invalid;
        self.equivalent += outcome.equivalent;
        self.left_out += outcome.left_out;
        self.decisions += outcome.decisions;
    }
}

fn outcome(subject: &Subject<'_>, mutants: Mutants, ready: &Ready<'_>) -> Outcome {
    let mut outcome = Outcome {
        invalid: mutants.invalid,
        equivalent: mutants.equivalent,
        left_out: mutants.left_out,
        ..Outcome::default()
    };
    let names = names(&mutants.made);
    let mut explanations = Explanations::of(&subject.info, &names);
    let mut hunt = ready.hunt(&subject.info.id);
    for (mutant, name) in mutants.made.into_iter().zip(names) {
        let tally = outcome.operators.entry(mutant.operator).or_default();
        tally.total += 1;
        let Some(needs) = hunt.survives(&mutant) else {
            tally.killed += 1;
            continue;
        };
        outcome.survivors.push(Survivor {
            info: Arc::clone(&subject.info),
            explained: explanations.of_survivor(&name),
            needs,
            name,
            mutant,
        });
    }
    outcome
        .survivors
        .sort_by_key(|survivor| survivor.mutant.line);
    outcome.decisions = hunt.decisions;
    let idle = explanations.idle();
    outcome.stale.extend(idle.map(|(name, why)| Stale {
        info: Arc::clone(&subject.info),
        name,
        why,
    }));
    outcome
}
