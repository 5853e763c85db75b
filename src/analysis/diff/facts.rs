//! Facts by name, and which of them differ.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde::Serialize;

/// Of each owner its parts: what they are called, and what they are.
pub type Facts = BTreeMap<String, BTreeMap<String, String>>;

/// A fact that is not the same on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FactChange {
    /// Whose fact it is.
    pub owner: String,
    /// Which of its parts; absent where the owner is only on one side.
    pub part: Option<String>,
    /// What it was; absent where it was not.
    pub before: Option<String>,
    /// What it is; absent where it is not any more.
    pub after: Option<String>,
}

/// What differs, in order of name.
pub fn compare(before: &Facts, after: &Facts) -> Vec<FactChange> {
    let mut changes = Vec::new();
    let owners: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for owner in owners {
        match (before.get(owner), after.get(owner)) {
            (Some(old), Some(new)) => parts(owner, old, new, &mut changes),
            (old, new) => changes.push(FactChange {
                owner: owner.clone(),
                part: None,
                before: old.map(told),
                after: new.map(told),
            }),
        }
    }
    changes
}

fn parts(
    owner: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    changes: &mut Vec<FactChange>,
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let (before, after) = (old.get(name), new.get(name));
        if before != after {
            changes.push(FactChange {
                owner: owner.to_owned(),
                part: Some(name.clone()),
                before: before.cloned(),
                after: after.cloned(),
            });
        }
    }
}

fn told(parts: &BTreeMap<String, String>) -> String {
    let parts: Vec<String> = parts
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    if parts.is_empty() {
        return "(nothing more)".to_owned();
    }
    parts.join("; ")
}
