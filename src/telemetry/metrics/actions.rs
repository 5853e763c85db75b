//! Decisions by action, of which there are only as many as the policies declare.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use cedar_policy_core::ast::EntityUID;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::Family;
use super::Point;
use super::Value;
use super::table;

/// So many actions are told apart in the life of a process; the rest are `_OTHER`.
pub const ACTIONS_MAX: usize = 256;

/// Decisions about one action: denied and allowed, each decided and from the cache.
#[derive(Debug, Default)]
pub struct ActionCount([AtomicU64; 4]);

const KINDS: [(&str, &str); 4] = [
    ("deny", "false"),
    ("deny", "true"),
    ("allow", "false"),
    ("allow", "true"),
];

impl ActionCount {
    /// A decision was made about it.
    pub fn add(&self, allowed: bool, cached: bool) {
        let kind = usize::from(allowed) * 2 + usize::from(cached);
        if let Some(count) = self.0.get(kind) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The actions that were ever in force, with their counts.
#[derive(Debug, Default)]
pub struct Actions {
    known: Mutex<BTreeMap<String, Arc<ActionCount>>>,
    other: Arc<ActionCount>,
}

/// Where decisions about the actions of one policy snapshot are counted: found by
/// one look-up, without a lock.
#[derive(Debug, Default)]
pub struct ByAction {
    places: FxHashMap<EntityUID, Arc<ActionCount>>,
    other: Arc<ActionCount>,
}

impl Actions {
    /// The places of these actions.
    pub fn places<'a>(&self, actions: impl Iterator<Item = &'a EntityUID>) -> ByAction {
        let mut named: Vec<_> = actions.map(|uid| (uid.to_string(), uid)).collect();
        named.sort();
        let mut known = self.known.lock();
        let mut places = FxHashMap::default();
        for (name, uid) in named {
            if known.len() < ACTIONS_MAX || known.contains_key(&name) {
                let count = known.entry(name).or_default();
                places.insert(uid.clone(), Arc::clone(count));
            }
        }
        ByAction {
            places,
            other: Arc::clone(&self.other),
        }
    }

    pub(in crate::telemetry) fn family(&self) -> Family {
        let mut family = Family::of(&table::DECISIONS_BY_ACTION);
        let known = self.known.lock();
        let known = known.iter().map(|(name, count)| (name.as_str(), count));
        for (name, count) in known.chain([("_OTHER", &self.other)]) {
            for ((decision, cached), count) in KINDS.iter().zip(&count.0) {
                let count = count.load(Ordering::Relaxed);
                if count > 0 {
                    family.points.push(Point {
                        labels: vec![
                            Cow::Owned(name.to_owned()),
                            Cow::Borrowed(decision),
                            Cow::Borrowed(cached),
                        ],
                        value: Value::Count(count),
                    });
                }
            }
        }
        family
    }
}

impl ByAction {
    /// Where decisions about an action are counted.
    pub fn of(&self, action: &EntityUID) -> &ActionCount {
        self.places.get(action).unwrap_or(&self.other)
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use cedar_policy_core::ast::EntityUID;

    use super::ACTIONS_MAX;
    use super::Actions;

    fn action(number: usize) -> EntityUID {
        EntityUID::from_str(&format!("Action::\"{number}\"")).unwrap()
    }

    #[test]
    fn what_policies_do_not_declare_and_what_is_too_much_is_other() {
        let actions = Actions::default();
        let declared: Vec<_> = (0..ACTIONS_MAX + 5).map(action).collect();
        let places = actions.places(declared.iter());
        for uid in declared.iter().chain([&action(100_000)]) {
            places.of(uid).add(true, false);
        }
        let family = actions.family();
        assert_eq!(family.points.len(), ACTIONS_MAX + 1);
        let other = family.points.last().unwrap();
        assert_eq!(other.labels[0], "_OTHER");
        assert!(matches!(other.value, super::Value::Count(6)));
    }

    #[test]
    fn counts_go_on_when_policies_change() {
        let actions = Actions::default();
        let (one, two) = (action(1), action(2));
        actions.places([&one].into_iter()).of(&one).add(false, true);
        let places = actions.places([&two, &one].into_iter());
        places.of(&one).add(false, true);
        let family = actions.family();
        assert!(matches!(family.points[0].value, super::Value::Count(2)));
    }
}
