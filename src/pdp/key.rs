//! What a cached decision is found by: everything that was asked.

use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use equivalent::Equivalent;
use smol_str::SmolStr;

use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::access::ContextKeys;
use crate::engine::packed::Writer;

/// A query as it is kept: the parties, and the packed rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    principal: Arc<EntityUID>,
    action: Arc<EntityUID>,
    resource: Arc<EntityUID>,
    rest: Box<[u8]>,
}

/// A query as it is looked up.
#[derive(Debug)]
pub struct Asked<'a> {
    query: &'a Query,
    rest: Vec<u8>,
}

impl<'a> Asked<'a> {
    /// Packs what of the query can change its answer: the parties, the context
    /// keys that a policy for this action can read, and the carried entities.
    /// The encoding has one form for one value and none for two, and the whole
    /// of it is compared. What policies say, and on which mode, is not in the
    /// key: entries are of one snapshot.
    pub fn new(snapshot: &Snapshot, query: &'a Query) -> Self {
        let mut rest = Writer::with_capacity(256);
        match snapshot.context_keys(&query.action) {
            ContextKeys::All => rest.fields(query.context.len(), query.context.iter()),
            ContextKeys::Only(keys) => {
                let read = || {
                    keys.iter()
                        .filter_map(|key| query.context.get_key_value(key))
                };
                rest.fields(read().count(), read());
            }
        }
        rest.number(query.overlay.len() as u64);
        for entity in query.overlay.iter() {
            pack(entity, &mut rest);
        }
        Self {
            query,
            rest: rest.into_bytes(),
        }
    }

    /// The key to keep it by.
    pub fn into_key(self) -> Key {
        Key {
            principal: Arc::clone(&self.query.principal),
            action: Arc::clone(&self.query.action),
            resource: Arc::clone(&self.query.resource),
            rest: self.rest.into(),
        }
    }
}

/// Cedar takes two entities of one uid for equal, whatever their attributes, so
/// a carried entity is compared by everything it has.
fn pack(entity: &Entity, into: &mut Writer) {
    into.uid(entity.uid());
    let mut parents: Vec<&EntityUID> = entity.parents().collect();
    parents.sort_unstable();
    into.number(parents.len() as u64);
    for parent in parents {
        into.uid(parent);
    }
    into.fields(entity.attrs_len(), whole(entity.attrs()));
    into.fields(entity.tags_len(), whole(entity.tags()));
}

/// Carried values are whole: a residual is refused where requests are read.
fn whole<'a>(
    fields: impl Iterator<Item = (&'a SmolStr, &'a PartialValue)>,
) -> impl Iterator<Item = (&'a SmolStr, &'a Value)> {
    fields.filter_map(|(name, value)| match value {
        PartialValue::Value(value) => Some((name, value)),
        PartialValue::Residual(_) => None,
    })
}

impl Key {
    /// Bytes that it takes, roughly: ids and the packed rest.
    pub fn weight(&self) -> usize {
        let ids = [&self.principal, &self.resource].map(|uid| uid.eid().as_ref().len());
        size_of::<Self>() + 2 * size_of::<EntityUID>() + ids[0] + ids[1] + self.rest.len()
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash(
            [&self.principal, &self.action, &self.resource],
            &self.rest,
            state,
        );
    }
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Query {
            principal,
            action,
            resource,
            ..
        } = self.query;
        hash([principal, action, resource], &self.rest, state);
    }
}

/// The hasher is keyed anew in every process, so nobody outside can make
/// questions collide; when two do, the keys are compared in full.
fn hash<H: Hasher>(parties: [&EntityUID; 3], rest: &[u8], state: &mut H) {
    for uid in parties {
        uid.entity_type().hash(state);
        let id: &str = uid.eid().as_ref();
        id.hash(state);
    }
    rest.hash(state);
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.query.principal == key.principal
            && self.query.action == key.action
            && self.query.resource == key.resource
            && *self.rest == *key.rest
    }
}
