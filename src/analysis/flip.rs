//! A question that is answered differently by other policies, and such flips in
//! groups.

use std::collections::BTreeMap;

use serde::Serialize;
use smol_str::SmolStr;

use crate::engine::Cause;
use crate::engine::Decision;

/// Groups that are kept; with more, those that come last in their order are counted
/// together.
const GROUPS_MAX: usize = 10_000;

/// Who is better off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Denied before, allowed after.
    Gained,
    /// Allowed before, denied after.
    Lost,
}

/// What turned the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A permit is satisfied that was not there, or was not satisfied.
    NowPermits,
    /// A forbid is gone, or is not satisfied any more.
    NoLongerForbids,
    /// A principal, action or resource was not known, or not applicable.
    NowKnown,
    /// A forbid is satisfied that was not there, or was not satisfied.
    NowForbids,
    /// A permit is gone, or is not satisfied any more.
    NoLongerPermits,
    /// A principal, action or resource is not known any more, or not applicable.
    NoLongerKnown,
}

impl Why {
    /// For people, to be read after the policies.
    pub fn words(self) -> &'static str {
        match self {
            Self::NowPermits => "now permits",
            Self::NoLongerForbids => "no longer forbids",
            Self::NowKnown => "permits what is now known",
            Self::NowForbids => "now forbids",
            Self::NoLongerPermits => "no longer permits",
            Self::NoLongerKnown => "permitted what is no longer known",
        }
    }
}

/// An answer, and why it was given.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Answer {
    /// Allow or deny.
    pub allow: bool,
    /// Why it was denied, such as `no_permit`.
    pub cause: Option<SmolStr>,
    /// The determining policies.
    pub policies: Vec<SmolStr>,
    /// The policies that could not be evaluated.
    pub errors: Vec<SmolStr>,
}

impl Answer {
    /// What of a decision tells why.
    pub fn of(decision: &Decision) -> Self {
        let policies = decision.policies.iter().map(|policy| policy.id.clone());
        let errors = decision.errors.iter().map(|error| error.policy.id.clone());
        Self {
            allow: decision.is_allow(),
            cause: decision.cause().map(Cause::as_str).map(SmolStr::from),
            policies: policies.collect(),
            errors: errors.collect(),
        }
    }

    /// For people: `allow: owner`, `deny: no_permit`, `deny: forbidden by night`.
    pub fn words(&self) -> String {
        let outcome = if self.allow { "allow" } else { "deny" };
        let cause = self.cause.as_deref().unwrap_or_default();
        let policies = if self.policies.is_empty() {
            &self.errors
        } else {
            &self.policies
        };
        let policies = join(policies);
        match (cause, policies.as_str()) {
            ("", "") => outcome.to_owned(),
            ("", policies) => format!("{outcome}: {policies}"),
            (cause, "") => format!("{outcome}: {cause}"),
            (cause, policies) => format!("{outcome}: {cause} by {policies}"),
        }
    }
}

/// Ids for people.
pub fn join(ids: &[SmolStr]) -> String {
    let ids: Vec<&str> = ids.iter().map(SmolStr::as_str).collect();
    ids.join(", ")
}

/// What flips have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Key {
    /// Who is better off.
    pub direction: Direction,
    /// The type of the principal.
    pub principal_type: SmolStr,
    /// The action, where flips are grouped by it.
    pub action: Option<SmolStr>,
    /// The policies that turned the decision.
    pub policies: Vec<SmolStr>,
    /// How.
    pub why: Why,
}

impl Key {
    /// The group of a flip; `None` when both answers are the same.
    pub fn new(
        before: &Answer,
        after: &Answer,
        principal_type: impl Into<SmolStr>,
        action: Option<SmolStr>,
    ) -> Option<Self> {
        let (direction, denied) = match (before.allow, after.allow) {
            (false, true) => (Direction::Gained, before),
            (true, false) => (Direction::Lost, after),
            _ => return None,
        };
        let is_gained = direction == Direction::Gained;
        let permits = if is_gained { after } else { before };
        let (why, policies) = match denied.cause.as_deref() {
            Some("forbidden") if is_gained => (Why::NoLongerForbids, &denied.policies),
            Some("forbid_failed") if is_gained => (Why::NoLongerForbids, &denied.errors),
            Some("forbidden") => (Why::NowForbids, &denied.policies),
            Some("forbid_failed") => (Why::NowForbids, &denied.errors),
            Some("no_permit") | None if is_gained => (Why::NowPermits, &permits.policies),
            Some("no_permit") | None => (Why::NoLongerPermits, &permits.policies),
            Some(_) if is_gained => (Why::NowKnown, &permits.policies),
            Some(_) => (Why::NoLongerKnown, &permits.policies),
        };
        Some(Self {
            direction,
            principal_type: principal_type.into(),
            action,
            policies: policies.clone(),
            why,
        })
    }
}

/// Flips of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct Group<E> {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<E>,
}

/// Flips in groups. What is kept does not depend on the order in which they come.
#[derive(Debug, Clone)]
pub struct Groups<E> {
    by_key: BTreeMap<Key, Group<E>>,
    examples_max: usize,
    /// Flips whose groups found no room.
    pub left_out: u64,
    /// Of all flips, how many gained,
    pub gained: u64,
    /// and how many lost.
    pub lost: u64,
}

impl<E: Ord> Groups<E> {
    /// None yet. Of each group so many examples are kept.
    pub fn new(examples_max: usize) -> Self {
        Self {
            by_key: BTreeMap::new(),
            examples_max,
            left_out: 0,
            gained: 0,
            lost: 0,
        }
    }

    /// Takes a flip.
    pub fn add(&mut self, key: &Key, example: E) {
        match key.direction {
            Direction::Gained => self.gained += 1,
            Direction::Lost => self.lost += 1,
        }
        self.add_again(key, example);
    }

    /// Takes what is counted already, for another group.
    pub fn add_again(&mut self, key: &Key, example: E) {
        let group = Group {
            count: 1,
            examples: vec![example],
        };
        self.put(key.clone(), group);
    }

    /// Takes the flips of others.
    pub fn merge(&mut self, others: Self) {
        self.gained += others.gained;
        self.lost += others.lost;
        self.left_out += others.left_out;
        for (key, group) in others.by_key {
            self.put(key, group);
        }
    }

    fn put(&mut self, key: Key, more: Group<E>) {
        let group = self.by_key.entry(key).or_insert_with(|| Group {
            count: 0,
            examples: Vec::new(),
        });
        group.count += more.count;
        for example in more.examples {
            // The smallest are kept, whoever finds them.
            let place = group.examples.partition_point(|there| *there <= example);
            if place < self.examples_max {
                group.examples.insert(place, example);
                group.examples.truncate(self.examples_max);
            }
        }
        // A group that comes before all but a few of all groups comes before all but
        // a few of those seen so far, so it is never the one to go.
        while self.by_key.len() > GROUPS_MAX {
            let last = self.by_key.pop_last();
            self.left_out += last.map_or(0, |(_, group)| group.count);
        }
    }

    /// Those that gained, then those that lost, the largest first.
    pub fn sorted(&self) -> Vec<(&Key, &Group<E>)> {
        let mut sorted: Vec<_> = self.by_key.iter().collect();
        sorted.sort_by(|a, b| {
            let direction = a.0.direction.cmp(&b.0.direction);
            direction.then(b.1.count.cmp(&a.1.count)).then(a.0.cmp(b.0))
        });
        sorted
    }

    /// Whether nothing flipped.
    pub fn is_empty(&self) -> bool {
        self.gained + self.lost == 0
    }
}

#[cfg(test)]
mod tests {
    use smol_str::SmolStr;

    use super::Answer;
    use super::Direction;
    use super::GROUPS_MAX;
    use super::Groups;
    use super::Key;
    use super::Why;

    fn answer(cause: Option<&str>, policy: &str) -> Answer {
        Answer {
            allow: cause.is_none(),
            cause: cause.map(SmolStr::from),
            policies: Some(SmolStr::from(policy))
                .filter(|id| !id.is_empty())
                .into_iter()
                .collect(),
            errors: Vec::new(),
        }
    }

    #[test]
    fn the_policy_that_turned_it_is_named() {
        let cases = [
            (
                answer(Some("no_permit"), ""),
                answer(None, "p"),
                Some((Why::NowPermits, "p")),
            ),
            (
                answer(Some("forbidden"), "f"),
                answer(None, "p"),
                Some((Why::NoLongerForbids, "f")),
            ),
            (
                answer(Some("unknown_action"), ""),
                answer(None, "p"),
                Some((Why::NowKnown, "p")),
            ),
            (
                answer(None, "p"),
                answer(Some("no_permit"), ""),
                Some((Why::NoLongerPermits, "p")),
            ),
            (
                answer(None, "p"),
                answer(Some("forbidden"), "f"),
                Some((Why::NowForbids, "f")),
            ),
            (answer(None, "p"), answer(None, "q"), None),
            (
                answer(Some("forbidden"), "f"),
                answer(Some("no_permit"), ""),
                None,
            ),
        ];
        for (before, after, expected) in cases {
            let key = Key::new(&before, &after, "User", None);
            let told = key.as_ref().map(|key| (key.why, key.policies[0].as_str()));
            assert_eq!(told, expected, "{before:?} {after:?}");
            let swapped = Key::new(&after, &before, "User", None);
            assert_eq!(swapped.is_some(), expected.is_some());
        }
    }

    #[test]
    fn what_is_kept_does_not_depend_on_the_order() {
        let numbers: Vec<u32> = (0..30_000).map(|number| number * 7919 % 30_000).collect();
        let filled = |numbers: &mut dyn Iterator<Item = &u32>| {
            let mut groups = Groups::new(2);
            for number in numbers {
                let key = Key {
                    direction: Direction::Gained,
                    principal_type: format!("T{:05}", number % 15_000).into(),
                    action: None,
                    policies: Vec::new(),
                    why: Why::NowPermits,
                };
                groups.add(&key, *number);
            }
            groups
        };
        let one = filled(&mut numbers.iter());
        let mut two = filled(&mut numbers.iter().rev().skip(10_000));
        two.merge(filled(&mut numbers.iter().rev().take(10_000)));
        assert_eq!(one.by_key.len(), GROUPS_MAX);
        assert_eq!((one.gained, one.left_out), (30_000, 10_000));
        assert_eq!((two.gained, two.left_out), (30_000, 10_000));
        for ((key, one), (other, two)) in one.by_key.iter().zip(&two.by_key) {
            assert_eq!(
                (key, one.count, &one.examples),
                (other, two.count, &two.examples)
            );
        }
    }
}
