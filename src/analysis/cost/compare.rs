//! Two measurements beside each other.

use std::collections::BTreeMap;

use serde::Serialize;

use super::batches::Cost;
use super::report::Asked;
use super::report::PolicyCost;
use super::report::Report;

/// A difference counts when it is more than so many standard deviations.
const DEVIATIONS: f64 = 3.0;
/// And more than this, however quiet the machine was.
const NOISE_MIN: f64 = 0.03;
/// A policy with a smaller share of the cost of all conditions cannot fail a
/// comparison by itself.
pub const SHARE_MIN: f64 = 0.01;

/// What became slower and faster.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Whether both were measured on machines of the same kind.
    pub same_machine: bool,
    /// Whether both were asked the same questions, as far as that is known.
    pub same_questions: bool,
    /// Of a whole decision.
    pub decision: Change,
    /// In the order of the later report, policies of both.
    pub policies: Vec<PolicyChange>,
    /// The ids of policies that only the later one has.
    pub added: Vec<String>,
    /// The ids of policies that only the earlier one has.
    pub removed: Vec<String>,
}

/// How a cost changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// The later median by the earlier.
    pub ratio: f64,
    /// The fastest batch by the fastest.
    pub ratio_of_min: f64,
    /// As much more or less than 1 is noise.
    pub noise: f64,
}

/// How the cost of a policy changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyChange {
    /// The policy.
    pub id: String,
    /// Its share in the later report.
    pub share: f64,
    /// How it changed.
    #[serde(flatten)]
    pub change: Change,
}

/// Compares.
pub fn compare(before: &Report, after: &Report) -> Comparison {
    let earlier: BTreeMap<&str, &PolicyCost> = by_id(before);
    let later = by_id(after);
    let only = |of: &BTreeMap<&str, &PolicyCost>, others: &BTreeMap<&str, &PolicyCost>| {
        let ids = of.keys().filter(|id| !others.contains_key(*id));
        ids.map(|id| (*id).to_owned()).collect()
    };
    let policies = after.policies.iter().filter_map(|policy| {
        Some(PolicyChange {
            id: policy.id.clone(),
            share: policy.share,
            change: Change::of(&earlier.get(policy.id.as_str())?.cost, &policy.cost),
        })
    });
    Comparison {
        same_machine: before.machine.cpu == after.machine.cpu
            && before.machine.is_optimised == after.machine.is_optimised,
        same_questions: may_be_the_same(&before.questions, &after.questions),
        decision: Change::of(&before.decision, &after.decision),
        policies: policies.collect(),
        added: only(&later, &earlier),
        removed: only(&earlier, &later),
    }
}

/// Whether nothing tells the questions apart. A report of before there was a digest does
/// not say which they were.
fn may_be_the_same(before: &Asked, after: &Asked) -> bool {
    let numbers = |asked: &Asked| (asked.origin, asked.asked, asked.left_out, asked.misfits);
    let is_known = !before.digest.is_empty() && !after.digest.is_empty();
    numbers(before) == numbers(after) && (!is_known || before.digest == after.digest)
}

fn by_id(report: &Report) -> BTreeMap<&str, &PolicyCost> {
    let policies = report.policies.iter();
    policies
        .map(|policy| (policy.id.as_str(), policy))
        .collect()
}

impl Change {
    /// From one cost to another.
    pub fn of(before: &Cost, after: &Cost) -> Self {
        let ratio = |before: f64, after: f64| if before > 0.0 { after / before } else { 1.0 };
        let spread = before.spread().hypot(after.spread());
        Self {
            ratio: ratio(before.median, after.median),
            ratio_of_min: ratio(before.min, after.min),
            noise: (DEVIATIONS * spread).max(NOISE_MIN),
        }
    }

    /// Whether it is slower by more than noise. A neighbour on the machine slows
    /// most batches down, but hardly all: so the fastest have to agree.
    pub fn is_slower(&self) -> bool {
        self.ratio > 1.0 + self.noise && self.ratio_of_min > 1.0 + NOISE_MIN
    }

    /// Whether it is faster by more than noise.
    pub fn is_faster(&self) -> bool {
        self.ratio < 1.0 / (1.0 + self.noise) && self.ratio_of_min < 1.0 / (1.0 + NOISE_MIN)
    }

    /// Whether it is slower than `limit` times, beyond noise.
    pub fn exceeds(&self, limit: f64) -> bool {
        self.is_slower() && self.ratio > limit && self.ratio_of_min > limit
    }
}

impl Comparison {
    /// The names of what is slower than `limit` times, beyond noise.
    pub fn exceeding(&self, limit: f64) -> Vec<&str> {
        let whole = self.decision.exceeds(limit).then_some("a whole decision");
        let policies = self
            .policies
            .iter()
            .filter(|policy| policy.share >= SHARE_MIN && policy.change.exceeds(limit));
        whole
            .into_iter()
            .chain(policies.map(|policy| policy.id.as_str()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Asked;
    use super::Change;
    use super::Cost;
    use super::may_be_the_same;
    use crate::analysis::cost::questions::Origin;

    fn cost(median: f64, min: f64, deviation: f64) -> Cost {
        Cost {
            median,
            min,
            deviation,
        }
    }

    #[test]
    fn only_what_is_beyond_noise_counts() {
        let quiet = cost(100.0, 98.0, 0.5);
        let slower = Change::of(&quiet, &cost(130.0, 127.0, 0.5));
        assert!(slower.is_slower() && slower.exceeds(1.2) && !slower.exceeds(1.3));
        // The same, on a machine that wavers by a tenth.
        let noisy = Change::of(&quiet, &cost(130.0, 127.0, 13.0));
        assert!(!noisy.is_slower() && !noisy.exceeds(1.2) && !noisy.is_faster());
        // Most batches were held up, the fastest was not.
        let held_up = Change::of(&quiet, &cost(130.0, 98.0, 0.5));
        assert!(!held_up.is_slower() && !held_up.exceeds(1.2));
        let faster = Change::of(&cost(130.0, 127.0, 0.5), &quiet);
        assert!(faster.is_faster() && !faster.is_slower());
        let none = Change::of(&cost(0.0, 0.0, 0.0), &quiet);
        assert!(!none.is_slower() && !none.is_faster());
    }

    #[test]
    fn questions_are_the_same_as_far_as_is_known() {
        let asked = |digest: &str| Asked {
            origin: Origin::Tests,
            asked: 5,
            left_out: 4,
            misfits: 3,
            digest: digest.to_owned(),
        };
        let cases = [(asked("a"), true), (asked(""), true), (asked("b"), false)];
        for (other, expected) in cases {
            assert_eq!(may_be_the_same(&asked("a"), &other), expected, "{other:?}");
            assert_eq!(may_be_the_same(&other, &asked("a")), expected, "{other:?}");
        }
        assert!(may_be_the_same(&asked(""), &asked("")));
        let change: [fn(&mut Asked); 4] = [
            |asked| asked.origin = Origin::Entities,
            |asked| asked.asked = 6,
            |asked| asked.left_out = 6,
            |asked| asked.misfits = 6,
        ];
        for change in change {
            for digest in ["a", ""] {
                let mut other = asked(digest);
                change(&mut other);
                assert!(!may_be_the_same(&asked("a"), &other), "{other:?}");
            }
        }
    }
}
