//! Entities that a request carries, laid over the stored ones.
//!
//! A carried entity overrides the stored one attribute by attribute and tag by
//! tag, and its parents are added to the stored ones: a broker that sends the
//! address of a session does not thereby erase the firmware version that the
//! directory knows. The merged entity has to fit the schema as a whole.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use imbl::GenericHashMap;
use imbl::shared_ptr::DefaultSharedPtr;
use smol_str::SmolStr;

use super::conform;
use super::conform::Misfit;
use super::footprint::Footprint;
use super::footprint::Half;
use super::named::BuildAtomHasher;
use super::named::Named;
use super::named::Probe;
use super::query::Query;
use super::query::QueryError;
use super::snapshot::Snapshot;
use super::view::View;

/// The carried entities of one query, merged with the stored ones of their uids.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    carried: GenericHashMap<Named, Carried, BuildAtomHasher, DefaultSharedPtr>,
}

/// A merged entity.
#[derive(Debug, Clone, Default)]
pub(super) struct Carried {
    attributes: Vec<(SmolStr, Value)>,
    tags: Vec<(SmolStr, Value)>,
    parents: Vec<Named>,
}

impl Overlay {
    /// Merges and checks the carried entities.
    pub(super) fn new(
        snapshot: &Snapshot,
        view: &View,
        query: &Query,
        footprint: &mut Footprint,
    ) -> Result<Self, QueryError> {
        let mut overlay = Self::default();
        for entity in query.overlay.iter() {
            let named = Named::new(Arc::new(entity.uid().clone()));
            let below = match overlay.carried.get(&named.probe()) {
                Some(carried) => carried.clone(),
                None => stored(snapshot, view, named.probe(), footprint)?,
            };
            let merged = below.under(entity);
            if let Some(schema) = snapshot.schema() {
                conform::entity(schema.validator(), &merged.with_parents(&named))
                    .map_err(QueryError::Entity)?;
            } else if named.uid().is_action() {
                let misfit = Misfit::new(
                    named.uid().to_string(),
                    "is an action, which no request may carry",
                );
                return Err(QueryError::Entity(misfit));
            }
            overlay.carried.insert(named, merged);
        }
        for entity in query.overlay.iter() {
            overlay.refuse_cycle(view, entity.uid(), footprint)?;
        }
        Ok(overlay)
    }

    /// Whether the request carries this entity.
    pub(super) fn carries(&self, probe: Probe<'_>) -> bool {
        self.carried.contains_key(&probe)
    }

    /// A carried entity, merged.
    pub(super) fn get(&self, probe: Probe<'_>) -> Option<&Carried> {
        self.carried.get(&probe)
    }

    /// The parents of a carried entity, stored ones included.
    pub(super) fn parents(&self, probe: Probe<'_>) -> Option<&[Named]> {
        Some(&self.get(probe)?.parents)
    }

    /// A cycle must pass through a carried entity: the stored ones have none.
    fn refuse_cycle(
        &self,
        view: &View,
        start: &EntityUID,
        footprint: &mut Footprint,
    ) -> Result<(), QueryError> {
        let mut came_from: BTreeMap<&EntityUID, &EntityUID> = BTreeMap::new();
        let mut open = vec![start];
        while let Some(child) = open.pop() {
            let probe = Probe::new(child);
            let stored = view.get(probe);
            footprint.place(probe.atom, stored.map(|stored| &**stored));
            let parents = match self.parents(probe) {
                Some(parents) => parents,
                None => stored.map_or(&[][..], |stored| &stored.parents),
            };
            for parent in parents {
                let parent = parent.uid();
                if **parent == *start {
                    return Err(QueryError::Cycle(show_cycle(start, child, &came_from)));
                }
                // Only the first way to an entity counts: with a later one, the
                // way back could run in circles.
                if let Entry::Vacant(unseen) = came_from.entry(parent) {
                    unseen.insert(child);
                    open.push(parent);
                }
            }
        }
        Ok(())
    }
}

/// What is stored of an entity that the request carries too.
fn stored(
    snapshot: &Snapshot,
    view: &View,
    probe: Probe<'_>,
    footprint: &mut Footprint,
) -> Result<Carried, QueryError> {
    let stored = view.get(probe);
    footprint.place(probe.atom, stored.map(|stored| &**stored));
    footprint.add(probe.atom, Half::Body);
    let Some(stored) = stored else {
        return Ok(Carried::default());
    };
    let (attributes, tags) = stored
        .unpack(snapshot.types())
        .map_err(|damaged| QueryError::damaged(probe.uid, damaged))?;
    Ok(Carried {
        attributes,
        tags,
        parents: stored.parents.to_vec(),
    })
}

impl Carried {
    /// Attributes and tags of `above` win, parents of both count.
    fn under(self, above: &Entity) -> Self {
        let mut parents = self.parents;
        for parent in above.parents() {
            let named = Named::new(Arc::new(parent.clone()));
            if !parents.contains(&named) {
                parents.push(named);
            }
        }
        Self {
            attributes: merge(self.attributes, above.attrs()),
            tags: merge(self.tags, above.tags()),
            parents,
        }
    }

    /// The entity as Cedar takes it, with its direct parents.
    fn with_parents(&self, named: &Named) -> Entity {
        let parents: Vec<&Named> = self.parents.iter().collect();
        self.entity(named, &parents)
    }

    /// The entity as Cedar takes it, with these ancestors.
    pub(super) fn entity(&self, named: &Named, ancestors: &[&Named]) -> Entity {
        let whole = |fields: &[(SmolStr, Value)]| {
            let fields = fields.iter();
            let whole = fields.map(|(name, value)| (name.clone(), value.clone().into()));
            whole.collect::<Vec<(SmolStr, PartialValue)>>()
        };
        Entity::new_with_attr_partial_value(
            EntityUID::clone(named.uid()),
            whole(&self.attributes),
            HashSet::new(),
            ancestors
                .iter()
                .map(|ancestor| EntityUID::clone(ancestor.uid()))
                .collect(),
            whole(&self.tags),
        )
    }
}

fn merge<'a>(
    below: Vec<(SmolStr, Value)>,
    above: impl Iterator<Item = (&'a SmolStr, &'a PartialValue)>,
) -> Vec<(SmolStr, Value)> {
    let mut merged: BTreeMap<SmolStr, Value> = below.into_iter().collect();
    for (name, value) in above {
        if let PartialValue::Value(value) = value {
            merged.insert(name.clone(), value.clone());
        }
    }
    merged.into_iter().collect()
}

fn show_cycle(
    start: &EntityUID,
    last: &EntityUID,
    came_from: &BTreeMap<&EntityUID, &EntityUID>,
) -> String {
    let mut chain = vec![start.to_string(), last.to_string()];
    let mut at = last;
    while at != start {
        let Some(child) = came_from.get(at) else {
            break;
        };
        chain.push(child.to_string());
        at = child;
    }
    if last == start {
        chain.truncate(2);
    }
    chain.reverse();
    chain.join(" in ")
}
