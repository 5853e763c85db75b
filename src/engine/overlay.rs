//! Entities that a request carries, laid over the stored ones.
//!
//! A carried entity overrides the stored one attribute by attribute and tag by
//! tag, and its parents are added to the stored ones: a broker that sends the
//! address of a session does not thereby erase the firmware version that the
//! directory knows. The merged entity has to fit the schema as a whole.
//!
//! The evaluator then gets a slice made for this query: what the candidates can
//! read ([`Access`](super::access::Access)), with ancestors walked anew where a carried parent may
//! have changed them.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::SlotId;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use cedar_policy_core::entities::Entities;
use rustc_hash::FxHashMap;

use super::access::Reads;
use super::access::Root;
use super::conform;
use super::conform::Misfit;
use super::policy::Policy;
use super::query::Query;
use super::query::QueryError;
use super::scope::Atom;
use super::scope::uid_atom;
use super::snapshot::Snapshot;
use super::view::View;
use super::view::closed;

/// The entities of one query: a view with carried entities over it.
#[derive(Debug)]
pub(super) struct Overlay<'a> {
    view: &'a View,
    /// Merged entities, with direct parents only.
    carried: FxHashMap<EntityUID, Entity>,
}

impl<'a> Overlay<'a> {
    /// Merges and checks the carried entities.
    pub(super) fn new(
        snapshot: &Snapshot,
        view: &'a View,
        query: &Query,
    ) -> Result<Self, QueryError> {
        let mut carried: FxHashMap<EntityUID, Entity> = FxHashMap::default();
        for entity in query.overlay.iter() {
            let below = carried
                .get(entity.uid())
                .or_else(|| view.stored(entity.uid()).map(|stored| &*stored.entity));
            let merged = merge(below, entity);
            if let Some(schema) = snapshot.schema() {
                conform::entity(schema.validator(), &merged).map_err(QueryError::Entity)?;
            } else if merged.uid().is_action() {
                let misfit = Misfit::new(
                    merged.uid().to_string(),
                    "is an action, which no request may carry",
                );
                return Err(QueryError::Entity(misfit));
            }
            carried.insert(entity.uid().clone(), merged);
        }
        let overlay = Self { view, carried };
        for entity in query.overlay.iter() {
            overlay.refuse_cycle(entity.uid())?;
        }
        Ok(overlay)
    }

    /// Whether the request carries this entity.
    pub(super) fn carries(&self, uid: &EntityUID) -> bool {
        self.carried.contains_key(uid)
    }

    /// The ancestors of an entity, direct and indirect, with their atoms.
    pub(super) fn ancestors(&self, uid: &EntityUID) -> Vec<(Atom, EntityUID)> {
        let mut seen: HashSet<&EntityUID> = HashSet::new();
        let mut open = vec![uid];
        while let Some(next) = open.pop() {
            for parent in self.parents(next) {
                if seen.insert(parent) {
                    open.push(parent);
                }
            }
        }
        seen.into_iter()
            .map(|uid| (uid_atom(uid), uid.clone()))
            .collect()
    }

    /// The entities that the conditions of these policies can read.
    pub(super) fn slice(
        &self,
        policies: &[&Policy],
        query: &Query,
    ) -> Result<Entities, QueryError> {
        let mut slice = Slice {
            overlay: self,
            taken: FxHashMap::default(),
        };
        for policy in policies {
            for (root, reads) in policy.access.roots() {
                match root {
                    Root::Principal => slice.entity(&query.principal, reads),
                    Root::Action => slice.entity(&query.action, reads),
                    Root::Resource => slice.entity(&query.resource, reads),
                    Root::Entity(uid) => slice.entity(uid, reads),
                    Root::PrincipalSlot => slice.slot(policy, SlotId::principal(), reads),
                    Root::ResourceSlot => slice.slot(policy, SlotId::resource(), reads),
                    Root::Context => slice.fields(&query.context, reads),
                }
            }
        }
        closed(slice.taken.into_values())
            .map_err(|message| QueryError::Entity(Misfit::new("entities", message)))
    }

    fn parents(&self, uid: &EntityUID) -> Vec<&EntityUID> {
        self.unclosed(uid)
            .into_iter()
            .flat_map(Entity::parents)
            .collect()
    }

    fn unclosed(&self, uid: &EntityUID) -> Option<&Entity> {
        self.carried
            .get(uid)
            .or_else(|| self.view.stored(uid).map(|stored| &*stored.entity))
    }

    /// The entity as the evaluator needs it, with its ancestors closed.
    fn closed(&self, uid: &EntityUID) -> Option<Arc<Entity>> {
        if let (false, Some(stored)) = (self.carries(uid), self.view.stored(uid)) {
            let touched = stored
                .ancestors
                .iter()
                .any(|(_, ancestor)| self.carries(ancestor));
            if !touched {
                return Some(Arc::clone(&stored.entity));
            }
        }
        let entity = self.unclosed(uid)?;
        let parents: HashSet<_> = entity.parents().cloned().collect();
        let indirect = self
            .ancestors(uid)
            .into_iter()
            .map(|(_, ancestor)| ancestor);
        Some(Arc::new(Entity::new_with_attr_partial_value(
            uid.clone(),
            entity
                .attrs()
                .map(|(name, value)| (name.clone(), value.clone())),
            indirect
                .filter(|ancestor| !parents.contains(ancestor))
                .collect(),
            parents,
            entity
                .tags()
                .map(|(name, value)| (name.clone(), value.clone())),
        )))
    }

    /// A cycle must pass through a carried entity: the stored ones have none.
    fn refuse_cycle(&self, start: &EntityUID) -> Result<(), QueryError> {
        let mut came_from: BTreeMap<&EntityUID, &EntityUID> = BTreeMap::new();
        let mut open = vec![start];
        while let Some(child) = open.pop() {
            for parent in self.parents(child) {
                if parent == start {
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

/// Attributes and tags of `above` win, parents of both count.
fn merge(below: Option<&Entity>, above: &Entity) -> Entity {
    let own = |pairs: Vec<(&smol_str::SmolStr, &PartialValue)>| {
        pairs
            .into_iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Vec<_>>()
    };
    let below_attrs = below.into_iter().flat_map(Entity::attrs);
    let below_tags = below.into_iter().flat_map(Entity::tags);
    let below_parents = below.into_iter().flat_map(Entity::parents);
    Entity::new_with_attr_partial_value(
        above.uid().clone(),
        own(below_attrs.chain(above.attrs()).collect()),
        HashSet::new(),
        below_parents.chain(above.parents()).cloned().collect(),
        own(below_tags.chain(above.tags()).collect()),
    )
}

/// Entities being gathered along access paths.
struct Slice<'a> {
    overlay: &'a Overlay<'a>,
    taken: FxHashMap<EntityUID, Arc<Entity>>,
}

impl Slice<'_> {
    fn entity(&mut self, uid: &EntityUID, reads: &Reads) {
        if !reads.needs_entity() {
            return;
        }
        let entity = match self.taken.get(uid) {
            Some(entity) => Arc::clone(entity),
            None => match self.overlay.closed(uid) {
                Some(entity) => entity,
                None => return,
            },
        };
        self.taken.insert(uid.clone(), Arc::clone(&entity));
        for (name, reads) in &reads.attributes {
            if let Some(PartialValue::Value(value)) = entity.get(name) {
                self.value(value, reads);
            }
        }
        if let Some(reads) = &reads.tags {
            for (_, value) in entity.tags() {
                if let PartialValue::Value(value) = value {
                    self.value(value, reads);
                }
            }
        }
    }

    fn value(&mut self, value: &Value, reads: &Reads) {
        match value.value_kind() {
            ValueKind::Lit(Literal::EntityUID(uid)) => self.entity(uid, reads),
            ValueKind::Record(fields) => self.fields(fields, reads),
            _ => {}
        }
    }

    fn fields(&mut self, fields: &BTreeMap<smol_str::SmolStr, Value>, reads: &Reads) {
        for (name, reads) in &reads.attributes {
            if let Some(value) = fields.get(name) {
                self.value(value, reads);
            }
        }
    }

    fn slot(&mut self, policy: &Policy, slot: SlotId, reads: &Reads) {
        if let Some(uid) = policy.cedar.env().get(&slot) {
            self.entity(uid, reads);
        }
    }
}
