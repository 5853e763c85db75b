//! The few entities that the candidates of one query can read.
//!
//! They are gathered along the access paths ([`Access`]) and given to
//! Cedar's evaluator, with their ancestors where a condition asks for these.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
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
use super::overlay::Carried;
use super::policy::Policy;
use super::query::Query;
use super::query::QueryError;
use super::reach::Reach;
use super::stored::Stored;
use super::view::closed;
use super::warm;

/// Entities being gathered.
pub(super) struct Slice<'a, 'f> {
    reach: Reach<'a>,
    footprint: &'f mut Footprint,
    taken: FxHashMap<Named, Taken<'a>>,
    actions: Vec<Arc<Entity>>,
}

/// An entity that was taken.
struct Taken<'a> {
    source: Source<'a>,
    wants_ancestors: bool,
}

/// Where attributes and tags come from: carried ones go before stored ones.
#[derive(Clone, Copy)]
enum Source<'a> {
    Stored(&'a Arc<Stored>),
    Carried(&'a Carried),
}

impl<'a, 'f> Slice<'a, 'f> {
    /// The entities that the conditions of these policies can read.
    pub(super) fn gather(
        reach: Reach<'a>,
        footprint: &'f mut Footprint,
        policies: &[&Policy],
        query: &Query,
    ) -> Result<Arc<Entities>, QueryError> {
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
        let taken = match self.taken.entry(named.clone()) {
            Entry::Occupied(taken) => taken.into_mut(),
            Entry::Vacant(place) => {
                let stored = self.reach.body(named.probe(), self.footprint);
                let overlay = self.reach.overlay;
                let carried = overlay.and_then(|overlay| overlay.get(named.probe()));
                let source = match (carried, stored) {
                    (Some(carried), _) => Source::Carried(carried),
                    (None, Some(stored)) => Source::Stored(stored),
                    (None, None) => return Ok(()),
                };
                place.insert(Taken {
                    source,
                    wants_ancestors: false,
                })
            }
        };
        taken.wants_ancestors |= reads.ancestors;
        let source = taken.source;
        if reads.leads_on() {
            for (value, reads) in self.onward(&named, source, reads)? {
                self.value(&value, reads)?;
            }
        }
        Ok(())
    }

    /// What of an entity leads on to other entities.
    fn onward<'r>(
        &self,
        named: &Named,
        source: Source<'_>,
        reads: &'r Reads,
    ) -> Result<Vec<(Value, &'r Reads)>, QueryError> {
        let entity = match source {
            Source::Stored(stored) => self.warm(named, stored, &[])?,
            Source::Carried(carried) => Arc::new(carried.entity(named, &[])),
        };
        let mut onward = Vec::new();
        for (name, reads) in &reads.attributes {
            if reads.needs_entity()
                && let Some(PartialValue::Value(value)) = entity.get(name)
            {
                onward.push((value.clone(), reads));
            }
        }
        if let Some(reads) = reads.tags.as_deref()
            && reads.needs_entity()
        {
            let tags = entity.tags().filter_map(|(_, value)| match value {
                PartialValue::Value(value) => Some((value.clone(), reads)),
                PartialValue::Residual(_) => None,
            });
            onward.extend(tags);
        }
        Ok(onward)
    }

    fn warm(
        &self,
        named: &Named,
        stored: &Arc<Stored>,
        ancestors: &[&Named],
    ) -> Result<Arc<Entity>, QueryError> {
        warm::entity(named, stored, ancestors, self.reach.snapshot.types())
            .map_err(|damaged| QueryError::damaged(named.uid(), damaged))
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
    fn entities(mut self) -> Result<Arc<Entities>, QueryError> {
        let mut gathered = std::mem::take(&mut self.actions);
        let mut are_kept = true;
        for (named, taken) in std::mem::take(&mut self.taken) {
            let ancestors = if taken.wants_ancestors {
                self.reach.ancestors(named.probe(), self.footprint)?
            } else {
                SmallVec::new()
            };
            are_kept &=
                matches!(taken.source, Source::Stored(stored) if warm::keeps(stored, &ancestors));
            gathered.push(match taken.source {
                Source::Stored(stored) => self.warm(&named, stored, &ancestors)?,
                Source::Carried(carried) => Arc::new(carried.entity(&named, &ancestors)),
            });
        }
        let entities = if are_kept {
            warm::together(gathered)
        } else {
            closed(gathered).map(Arc::new)
        };
        entities.map_err(QueryError::Internal)
    }
}
