//! Whether what is written fits the schema and the limits.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::SlotId;
use cedar_policy_core::ast::Value;
use smol_str::SmolStr;

use super::apply::Wrong;
use super::apply::anchor;
use super::height;
use super::operation::Operation;
use super::operation::Patch;
use super::operation::PutLink;
use super::state::State;
use crate::engine::Snapshot;
use crate::engine::conform;
use crate::engine::footprint::Half;
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::policy::Policy;
use crate::engine::scope::Atom;
use crate::engine::stored::Stored;
use crate::engine::value::depth;

/// How much one entity may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityLimits {
    /// Bytes of attributes and tags, packed.
    pub bytes_max: usize,
    /// Attributes.
    pub attributes_max: usize,
    /// Tags.
    pub tags_max: usize,
    /// Parents.
    pub parents_max: usize,
    /// Ancestors above one another, and levels of one value.
    pub depth_max: usize,
    /// Bytes of an id, a name or the id of a link.
    pub id_bytes_max: usize,
}

impl Default for EntityLimits {
    fn default() -> Self {
        Self {
            bytes_max: 64 << 10,
            attributes_max: 256,
            tags_max: 1024,
            parents_max: 256,
            depth_max: 32,
            id_bytes_max: 1024,
        }
    }
}

/// What an operation is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// The policies in force, with their schema and templates.
    pub snapshot: &'a Snapshot,
    /// The limits.
    pub limits: &'a EntityLimits,
}

impl Check<'_> {
    /// Looks at what an operation is about to do, as far as doing it could take
    /// long.
    ///
    /// # Errors
    /// When it would put an entity under too much.
    pub fn before(&self, state: &State, operation: &Operation) -> Result<(), Wrong> {
        let named = |uid: &Arc<EntityUID>| Named::new(Arc::clone(uid));
        let (uid, parents) = match operation {
            Operation::Put(put) => {
                within(self.parents(put.parents.len()))?;
                let parents = put.parents.iter().map(|parent| named(&parent.uid));
                (&put.uid, parents.collect())
            }
            Operation::AddParent { uid, parent } => {
                let stored = state.view.get(Probe::new(uid));
                let mut parents = stored.map_or_else(Vec::new, |stored| stored.parents.to_vec());
                parents.push(named(&parent.uid));
                (uid, parents)
            }
            _ => return Ok(()),
        };
        height::check(state, uid, &parents, self.limits.depth_max)
    }

    /// Looks at what an operation left behind. A link is compiled here and
    /// filed in the view.
    ///
    /// # Errors
    /// What does not fit.
    pub fn after(&self, state: &mut State, operation: &Operation) -> Result<(), Wrong> {
        match operation {
            Operation::Put(put) => {
                let parents = put.parents.iter().map(|parent| &parent.uid);
                parents.chain([&put.uid]).try_for_each(|uid| self.id(uid))?;
                self.names(put.attributes.keys().chain(put.tags.keys()))?;
                let stored = Self::stored(state, &put.uid)?;
                self.sizes(&stored, put.attributes.len(), put.tags.len())?;
                self.values(put.attributes.values().chain(put.tags.values()))?;
                self.entity(&put.uid, &put.attributes, &put.tags, &stored.parents)
            }
            Operation::Patch(patch) => self.patched(state, patch),
            Operation::AddParent { uid, parent } => {
                self.id(&parent.uid)?;
                let stored = Self::stored(state, uid)?;
                self.whole(uid, &stored)
            }
            Operation::PutLink(link) => {
                let policy = self.link(state, link)?;
                state.view.links_mut().put(Arc::new(policy));
                Ok(())
            }
            Operation::Delete { .. }
            | Operation::RemoveParent { .. }
            | Operation::RemoveLink { .. } => Ok(()),
        }
    }

    /// Looks at a stored entity as a whole.
    ///
    /// # Errors
    /// What does not fit.
    pub fn whole(&self, uid: &EntityUID, stored: &Stored) -> Result<(), Wrong> {
        let (attributes, tags) = stored.unpack(self.snapshot.types())?;
        self.sizes(stored, attributes.len(), tags.len())?;
        let attributes = attributes.into_iter().collect();
        let tags = tags.into_iter().collect();
        self.entity(uid, &attributes, &tags, &stored.parents)
    }

    /// Compiles a link.
    ///
    /// # Errors
    /// When it fits no template, or names entities of unknown types.
    pub fn link(&self, state: &State, link: &PutLink) -> Result<Policy, Wrong> {
        if link.id.is_empty() || link.id.len() > self.limits.id_bytes_max {
            return Err(Wrong::new(
                format!(
                    "the id of the link is empty or longer than {} bytes",
                    self.limits.id_bytes_max
                ),
                "give it a short id",
            ));
        }
        for uid in [&link.principal, &link.resource].into_iter().flatten() {
            self.id(uid)?;
            self.declared(uid)?;
            if state.get(Probe::new(uid)).is_none() && !self.is_implicit(uid) {
                return Err(Wrong::new(
                    format!("the link `{}` names `{uid}`, which is not there", link.id),
                    "put the entity first",
                ));
            }
        }
        let slots: HashMap<SlotId, EntityUID> = [
            (SlotId::principal(), &link.principal),
            (SlotId::resource(), &link.resource),
        ]
        .into_iter()
        .filter_map(|(slot, uid)| Some((slot, EntityUID::clone(uid.as_deref()?))))
        .collect();
        self.snapshot
            .link(&link.id, &link.template, slots)
            .map_err(|fault| Wrong::new(fault.message, fault.hint))
    }

    /// Compiles the links that had no effect because this entity was not there,
    /// and gives what changes with them.
    pub fn link_again(&self, state: &mut State, uid: &EntityUID) -> Vec<(Atom, Half)> {
        let ids = state.links_of(Probe::new(uid)).cloned().unwrap_or_default();
        let mut changes = Vec::new();
        for id in &ids {
            if state.view.links().get(id).is_some() {
                continue;
            }
            let Some(row) = state.link(id).cloned() else {
                continue;
            };
            // One that still does not fit stays without effect.
            if let Ok(policy) = self.link(state, &row.link) {
                state.view.links_mut().put(Arc::new(policy));
                changes.extend(anchor(&row.link));
            }
        }
        changes
    }

    fn is_implicit(&self, uid: &EntityUID) -> bool {
        let implicit = &self.snapshot.manifest().implicit_types;
        implicit.contains(uid.entity_type())
    }

    fn patched(&self, state: &State, patch: &Patch) -> Result<(), Wrong> {
        self.names(patch.set.keys().chain(patch.set_tags.keys()))?;
        self.values(patch.set.values().chain(patch.set_tags.values()))?;
        let stored = Self::stored(state, &patch.uid)?;
        self.whole(&patch.uid, &stored)
    }

    fn stored(state: &State, uid: &EntityUID) -> Result<Arc<Stored>, Wrong> {
        let found = state.view.get(Probe::new(uid)).cloned();
        found.ok_or_else(|| Wrong::new(format!("`{uid}` is not there"), "put it first"))
    }

    fn id(&self, uid: &EntityUID) -> Result<(), Wrong> {
        let id: &str = uid.eid().as_ref();
        if id.len() > self.limits.id_bytes_max {
            let shown: String = id.chars().take(40).collect();
            return Err(Wrong::new(
                format!(
                    "the id `{shown}...` is longer than {} bytes",
                    self.limits.id_bytes_max
                ),
                "give it a shorter id, or raise `limits.id_bytes_max`",
            ));
        }
        Ok(())
    }

    fn names<'v>(&self, mut names: impl Iterator<Item = &'v SmolStr>) -> Result<(), Wrong> {
        let max = self.limits.id_bytes_max;
        match names.find(|name| name.len() > max) {
            None => Ok(()),
            Some(name) => {
                let shown: String = name.chars().take(40).collect();
                Err(Wrong::new(
                    format!("the name `{shown}...` is longer than {max} bytes"),
                    "give it a shorter name, or raise `limits.id_bytes_max`",
                ))
            }
        }
    }

    fn sizes(&self, stored: &Stored, attributes: usize, tags: usize) -> Result<(), Wrong> {
        let limits = self.limits;
        let counts = [
            Size {
                count: stored.packed_len(),
                max: limits.bytes_max,
                what: "bytes",
                key: "entity_bytes_max",
            },
            Size {
                count: attributes,
                max: limits.attributes_max,
                what: "attributes",
                key: "attributes_max",
            },
            Size {
                count: tags,
                max: limits.tags_max,
                what: "tags",
                key: "tags_max",
            },
            self.parents(stored.parents.len()),
        ];
        counts.into_iter().try_for_each(within)
    }

    fn parents(&self, count: usize) -> Size {
        Size {
            count,
            max: self.limits.parents_max,
            what: "parents",
            key: "parents_max",
        }
    }

    fn values<'v>(&self, mut values: impl Iterator<Item = &'v Value>) -> Result<(), Wrong> {
        let max = self.limits.depth_max;
        if values.any(|value| depth(value) > max) {
            return Err(Wrong::new(
                format!("has a value with more than {max} levels"),
                "store flatter values, or raise `directory.depth_max`",
            ));
        }
        Ok(())
    }

    fn declared(&self, uid: &EntityUID) -> Result<(), Wrong> {
        let Some(schema) = self.snapshot.schema() else {
            return Ok(());
        };
        if uid.is_action()
            || schema
                .validator()
                .get_entity_type(uid.entity_type())
                .is_none()
        {
            return Err(Wrong::new(
                format!("`{uid}` has a type that the schema does not declare for entities"),
                "see the entity types in the schema",
            ));
        }
        Ok(())
    }

    fn entity(
        &self,
        uid: &EntityUID,
        attributes: &BTreeMap<SmolStr, Value>,
        tags: &BTreeMap<SmolStr, Value>,
        parents: &[Named],
    ) -> Result<(), Wrong> {
        let Some(schema) = self.snapshot.schema() else {
            return Ok(());
        };
        let whole = |fields: &BTreeMap<SmolStr, Value>| {
            let fields = fields.iter();
            let whole = fields.map(|(name, value)| (name.clone(), value.clone().into()));
            whole.collect::<Vec<(SmolStr, PartialValue)>>()
        };
        let entity = Entity::new_with_attr_partial_value(
            uid.clone(),
            whole(attributes),
            HashSet::new(),
            parents
                .iter()
                .map(|parent| EntityUID::clone(parent.uid()))
                .collect(),
            whole(tags),
        );
        conform::entity(schema.validator(), &entity)
            .map_err(|misfit| Wrong::new(misfit.to_string(), "see the entity type in the schema"))
    }
}

/// How much of something an entity has.
#[derive(Clone, Copy)]
struct Size {
    count: usize,
    max: usize,
    what: &'static str,
    key: &'static str,
}

fn within(size: Size) -> Result<(), Wrong> {
    let Size {
        count,
        max,
        what,
        key,
    } = size;
    if count <= max {
        return Ok(());
    }
    Err(Wrong::new(
        format!("has {count} {what}, more than {max}"),
        format!("store less in one entity, or raise `directory.{key}`"),
    ))
}
