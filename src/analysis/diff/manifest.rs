//! What the manifests mean for decisions; names and descriptions do not count.

use std::collections::BTreeMap;

use super::facts;
use super::facts::FactChange;
use super::facts::Facts;
use crate::engine::Snapshot;
use crate::engine::manifest::OnError;
use crate::engine::manifest::OnUnknown;
use crate::engine::manifest::Validation;

/// What differs.
pub fn compare(before: &Snapshot, after: &Snapshot) -> Vec<FactChange> {
    facts::compare(&of(before), &of(after))
}

fn of(snapshot: &Snapshot) -> Facts {
    let manifest = snapshot.manifest();
    let errors = match manifest.errors {
        OnError::Deny => "deny",
        OnError::Cedar => "cedar",
    };
    let unknown = match manifest.unknown {
        OnUnknown::Deny => "deny",
        OnUnknown::Cedar => "cedar",
    };
    let validate = match manifest.validate {
        Validation::Strict => "strict",
        Validation::Off => "off",
    };
    let mut parts = BTreeMap::new();
    for (name, value) in [
        ("errors", errors),
        ("unknown", unknown),
        ("validate", validate),
    ] {
        parts.insert(name.to_owned(), value.to_owned());
    }
    for implicit in &manifest.implicit_types {
        parts.insert(format!("implicit type {implicit}"), "listed".to_owned());
    }
    Facts::from([("manifest".to_owned(), parts)])
}
