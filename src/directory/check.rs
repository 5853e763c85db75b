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
use super::operation::Operation;
use super::operation::Patch;
use super::operation::PutLink;
use super::state::State;
use crate::engine::Snapshot;
use crate::engine::conform;
use crate::engine::named::Named;
use crate::engine::named::Probe;
use crate::engine::policy::Policy;
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
                self.entity(&put.uid, &put.attributes, &put.tags, &stored.parents)?;
                self.height(state, &put.uid, &stored.parents)
            }
            Operation::Patch(patch) => self.patched(state, patch),
            Operation::AddParent { uid, parent } => {
                self.id(&parent.uid)?;
                let stored = Self::stored(state, uid)?;
                self.whole(uid, &stored)?;
                self.height(state, uid, &stored.parents)
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
            (
                stored.packed_len(),
                limits.bytes_max,
                "bytes",
                "entity_bytes_max",
            ),
            (
                attributes,
                limits.attributes_max,
                "attributes",
                "attributes_max",
            ),
            (tags, limits.tags_max, "tags", "tags_max"),
            (
                stored.parents.len(),
                limits.parents_max,
                "parents",
                "parents_max",
            ),
        ];
        match counts.into_iter().find(|(count, max, _, _)| count > max) {
            None => Ok(()),
            Some((count, max, what, key)) => Err(Wrong::new(
                format!("has {count} {what}, more than {max}"),
                format!("store less in one entity, or raise `directory.{key}`"),
            )),
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

    /// How many levels are above an entity; what is below it is not looked at,
    /// since a group may have a million members. Decisions have a limit of their
    /// own on ancestors.
    fn height(&self, state: &State, uid: &EntityUID, parents: &[Named]) -> Result<(), Wrong> {
        let max = self.limits.depth_max;
        let mut level: Vec<&Named> = parents.iter().collect();
        for _ in 0..max {
            let mut next: Vec<&Named> = Vec::new();
            for named in &level {
                let stored = state.view.get(named.probe());
                for parent in stored.map_or(&[][..], |stored| &stored.parents) {
                    if !next.contains(&parent) {
                        next.push(parent);
                    }
                }
            }
            if next.is_empty() {
                return Ok(());
            }
            level = next;
        }
        if level.is_empty() {
            return Ok(());
        }
        Err(Wrong::new(
            format!("`{uid}` has more than {max} levels of ancestors"),
            "make the groups flatter, or raise `directory.depth_max`",
        ))
    }
}
