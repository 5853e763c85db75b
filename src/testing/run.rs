//! Running cases: each is decided, and compared with what it expects.

use super::shuffle::shuffle;
use super::suite::Case;
use super::suite::Difference;
use super::suite::Suite;
use crate::engine::Cause;
use crate::engine::Decision;
use crate::engine::Fault;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::decide;
use crate::engine::explain;
use crate::engine::explain::Explanation;
use crate::parallel::in_parallel;

/// The order in which cases are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// That of the files.
    Written,
    /// That which a seed makes: suites, and the cases of each, are shuffled.
    Shuffled(u64),
}

/// What a run came to.
#[derive(Debug)]
pub struct Report<'a> {
    /// Suites, in the order in which they were run.
    pub suites: Vec<Tested<'a>>,
}

/// What the cases of a suite came to.
#[derive(Debug)]
pub struct Tested<'a> {
    /// The suite.
    pub suite: &'a Suite,
    /// Its cases, in the order in which they were run.
    pub cases: Vec<(&'a Case, Verdict)>,
}

/// What a case came to.
#[derive(Debug)]
pub enum Verdict {
    /// Everything is as expected.
    Passed,
    /// Something is not.
    Failed(Box<Failed>),
    /// It was not asked.
    Skipped,
    /// It could not be asked.
    Broken(Box<Fault>),
}

/// A case that failed, and why.
#[derive(Debug)]
pub struct Failed {
    /// What is not as expected; not empty.
    pub differences: Vec<Difference>,
    /// What came.
    pub decision: Decision,
    /// The near misses of what no policy permits.
    pub explanation: Explanation,
}

/// Runs every case, on all processors.
pub fn run<'a>(suites: &'a [Suite], snapshot: &Snapshot, view: &View, order: Order) -> Report<'a> {
    let mut planned: Vec<(&Suite, Vec<&Case>)> = suites
        .iter()
        .map(|suite| (suite, suite.cases.iter().collect()))
        .collect();
    if let Order::Shuffled(seed) = order {
        shuffle(&mut planned, seed);
    }
    let cases: Vec<&Case> = planned
        .iter()
        .flat_map(|(_, cases)| cases.iter().copied())
        .collect();
    let mut verdicts = in_parallel(&cases, |case| judge(case, snapshot, view)).into_iter();
    let tested = planned.into_iter().map(|(suite, cases)| Tested {
        suite,
        cases: cases.into_iter().zip(verdicts.by_ref()).collect(),
    });
    Report {
        suites: tested.collect(),
    }
}

/// What one case comes to.
pub fn judge(case: &Case, snapshot: &Snapshot, view: &View) -> Verdict {
    if case.skip.is_some() {
        return Verdict::Skipped;
    }
    let asked = match case.asked(snapshot, view) {
        Ok(asked) => asked,
        Err(fault) => return Verdict::Broken(fault),
    };
    let decision = match decide(snapshot, &asked.view, &asked.query) {
        Ok(decision) => decision,
        Err(error) => {
            let fault = case.fault(&error.to_string(), error.hint());
            return Verdict::Broken(Box::new(fault));
        }
    };
    let differences = case.expected.compare(&decision);
    if differences.is_empty() {
        return Verdict::Passed;
    }
    let explanation = if decision.cause() == Some(Cause::NoPermit) {
        // It could be decided, so it can be explained.
        explain(snapshot, &asked.view, &asked.query).unwrap_or_default()
    } else {
        Explanation::default()
    };
    Verdict::Failed(Box::new(Failed {
        differences,
        decision,
        explanation,
    }))
}
