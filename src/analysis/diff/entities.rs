//! Entities, attribute by attribute.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use smol_str::SmolStr;

use super::facts;
use super::facts::FactChange;
use super::facts::Facts;
use crate::analysis::world::World;
use crate::engine::named::Probe;
use crate::engine::stored::Stored;

/// What differs, and in which entities. What cannot be read differs.
pub fn compare(before: World<'_>, after: World<'_>) -> (Vec<FactChange>, BTreeSet<Arc<EntityUID>>) {
    let (mut old, mut new) = (Facts::new(), Facts::new());
    let mut changed = BTreeSet::new();
    for (named, stored) in before.view.iter() {
        let other = after.view.get(Probe::new(named.uid()));
        let is_same = other.is_some_and(|other| {
            let (one, two) = (read(before, stored), read(after, other));
            one.is_some() && one == two
        });
        if is_same {
            continue;
        }
        changed.insert(Arc::clone(named.uid()));
        old.insert(named.uid().to_string(), told(before, stored));
        if let Some(other) = other {
            new.insert(named.uid().to_string(), told(after, other));
        }
    }
    for (named, stored) in after.view.iter() {
        if !before.view.knows(named.uid()) {
            changed.insert(Arc::clone(named.uid()));
            new.insert(named.uid().to_string(), told(after, stored));
        }
    }
    (facts::compare(&old, &new), changed)
}

/// An entity as it is compared.
#[derive(PartialEq)]
struct Read {
    parents: BTreeSet<Arc<EntityUID>>,
    attributes: Vec<(SmolStr, Value)>,
    tags: Vec<(SmolStr, Value)>,
}

fn read(world: World<'_>, stored: &Stored) -> Option<Read> {
    let (attributes, tags) = stored.unpack(world.snapshot.types()).ok()?;
    let parents = stored.parents.iter().map(|parent| Arc::clone(parent.uid()));
    Some(Read {
        parents: parents.collect(),
        attributes,
        tags,
    })
}

fn told(world: World<'_>, stored: &Stored) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::new();
    let Some(read) = read(world, stored) else {
        return parts;
    };
    for parent in read.parents {
        parts.insert(format!("in {parent}"), "yes".to_owned());
    }
    for (what, fields) in [("attribute", read.attributes), ("tag", read.tags)] {
        for (name, value) in fields {
            parts.insert(format!("{what} {name}"), value.to_string());
        }
    }
    parts
}
