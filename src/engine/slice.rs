//! The few entities that the candidates of one query can read.
//!
//! They are gathered along the access paths ([`Access`]) and given to
//! Cedar's evaluator, with their ancestors where a condition asks for these.

use std::collections::BTreeMap;
use std::collections::HashSet;
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
use smallvec::SmallVec;
use smol_str::SmolStr;

use super::access::Access;
use super::access::Reads;
use super::access::Root;
use super::footprint::Footprint;
use super::named::Named;
use super::named::Probe;
use super::policy::Policy;
use super::query::Query;
use super::query::QueryError;
use super::reach::Reach;
use super::view::closed;

/// Entities being gathered.
pub(super) struct Slice<'a, 'f> {
    reach: Reach<'a>,
    footprint: &'f mut Footprint,
    taken: FxHashMap<Named, Taken>,
    actions: Vec<Arc<Entity>>,
}

/// An entity that was taken.
struct Taken {
    attributes: Vec<(SmolStr, Value)>,
    tags: Vec<(SmolStr, Value)>,
    wants_ancestors: bool,
}

impl<'a, 'f> Slice<'a, 'f> {
    /// The entities that the conditions of these policies can read.
    pub(super) fn gather(
        reach: Reach<'a>,
        footprint: &'f mut Footprint,
        policies: &[&Policy],
        query: &Query,
    ) -> Result<Entities, QueryError> {
        let mut slice = Self {
            reach,
            footprint,
            taken: FxHashMap::default(),
            actions: Vec::new(),
        };
        // Many policies share the paths of their conditions.
        let mut followed: SmallVec<[*const Access; 16]> = SmallVec::new();
        for policy in policies {
            let access = Arc::as_ptr(&policy.access);
            if followed.contains(&access) && policy.info.template.is_none() {
                continue;
            }
            followed.push(access);
            for (root, reads) in policy.access.roots() {
                match root {
                    Root::Principal => slice.entity(&query.principal, reads)?,
                    Root::Action => slice.entity(&query.action, reads)?,
                    Root::Resource => slice.entity(&query.resource, reads)?,
                    Root::Entity(uid) => slice.entity(uid, reads)?,
                    Root::PrincipalSlot => slice.slot(policy, SlotId::principal(), reads)?,
                    Root::ResourceSlot => slice.slot(policy, SlotId::resource(), reads)?,
                    Root::Context => slice.fields(&query.context, reads)?,
                }
            }
        }
        slice.entities()
    }

    fn entity(&mut self, uid: &Arc<EntityUID>, reads: &Reads) -> Result<(), QueryError> {
        if !reads.needs_entity() {
            return Ok(());
        }
        if let Some(schema) = self.reach.snapshot.schema()
            && uid.is_action()
        {
            let action = schema.action(uid).map(|action| &action.entity);
            let is_new = |action: &&Arc<Entity>| !self.actions.contains(*action);
            let action = action.filter(is_new).cloned();
            self.actions.extend(action);
            return Ok(());
        }
        let named = Named::new(Arc::clone(uid));
        if !self.taken.contains_key(&named) {
            let Some(taken) = self.take(named.probe())? else {
                return Ok(());
            };
            self.taken.insert(named.clone(), taken);
        }
        let Some(taken) = self.taken.get_mut(&named) else {
            return Ok(());
        };
        taken.wants_ancestors |= reads.ancestors;
        let onward = onward(taken, reads);
        for (value, reads) in onward {
            self.value(&value, reads)?;
        }
        Ok(())
    }

    /// The attributes and tags of an entity, carried ones over stored ones.
    fn take(&mut self, probe: Probe<'_>) -> Result<Option<Taken>, QueryError> {
        let stored = self.reach.body(probe, self.footprint);
        let carried = self.reach.overlay.and_then(|overlay| overlay.get(probe));
        if let Some(carried) = carried {
            return Ok(Some(Taken {
                attributes: carried.attributes.clone(),
                tags: carried.tags.clone(),
                wants_ancestors: false,
            }));
        }
        let Some(stored) = stored else {
            return Ok(None);
        };
        let (attributes, tags) = stored
            .unpack(self.reach.snapshot.types())
            .map_err(|damaged| QueryError::damaged(probe.uid, damaged))?;
        Ok(Some(Taken {
            attributes,
            tags,
            wants_ancestors: false,
        }))
    }

    fn value(&mut self, value: &Value, reads: &Reads) -> Result<(), QueryError> {
        match value.value_kind() {
            ValueKind::Lit(Literal::EntityUID(uid)) => self.entity(uid, reads),
            ValueKind::Record(fields) => self.fields(fields, reads),
            _ => Ok(()),
        }
    }

    fn fields(
        &mut self,
        fields: &BTreeMap<SmolStr, Value>,
        reads: &Reads,
    ) -> Result<(), QueryError> {
        for (name, reads) in &reads.attributes {
            if reads.needs_entity()
                && let Some(value) = fields.get(name)
            {
                self.value(value, reads)?;
            }
        }
        Ok(())
    }

    fn slot(&mut self, policy: &Policy, slot: SlotId, reads: &Reads) -> Result<(), QueryError> {
        match policy.cedar.env().get(&slot) {
            Some(uid) if reads.needs_entity() => self.entity(&Arc::new(uid.clone()), reads),
            _ => Ok(()),
        }
    }

    #[expect(
        clippy::iter_over_hash_type,
        reason = "they go into another map, which has no order either"
    )]
    fn entities(self) -> Result<Entities, QueryError> {
        let mut gathered = self.actions;
        for (named, taken) in self.taken {
            let ancestors = if taken.wants_ancestors {
                self.reach.ancestors(named.probe(), self.footprint)?
            } else {
                SmallVec::new()
            };
            let whole = |(name, value)| (name, PartialValue::Value(value));
            gathered.push(Arc::new(Entity::new_with_attr_partial_value(
                EntityUID::clone(named.uid()),
                taken.attributes.into_iter().map(whole),
                ancestors
                    .iter()
                    .map(|ancestor| EntityUID::clone(ancestor.uid()))
                    .collect(),
                HashSet::new(),
                taken.tags.into_iter().map(whole),
            )));
        }
        if gathered.is_empty() {
            return Ok(Entities::new());
        }
        closed(gathered).map_err(QueryError::Internal)
    }
}

/// What of an entity leads on to other entities.
fn onward<'r>(taken: &Taken, reads: &'r Reads) -> Vec<(Value, &'r Reads)> {
    let mut onward = Vec::new();
    for (name, reads) in &reads.attributes {
        if reads.needs_entity()
            && let Some((_, value)) = taken.attributes.iter().find(|(found, _)| found == name)
        {
            onward.push((value.clone(), reads));
        }
    }
    if let Some(reads) = reads.tags.as_deref()
        && reads.needs_entity()
    {
        onward.extend(taken.tags.iter().map(|(_, value)| (value.clone(), reads)));
    }
    onward
}
