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

use super::words::Kept;
use super::words::Words;
use crate::engine::Query;
use crate::engine::Snapshot;
use crate::engine::access::ContextKeys;
use crate::engine::packed::Writer;

/// What a decision is kept by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// What was asked: the parties, and the packed rest.
    Asked {
        /// Who asked.
        principal: Arc<EntityUID>,
        /// To do what.
        action: Arc<EntityUID>,
        /// To what.
        resource: Arc<EntityUID>,
        /// The packed rest.
        rest: Box<[u8]>,
    },
    /// The words in which it was asked.
    Words(Kept),
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
        Key::Asked {
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
    /// Bytes that it takes, roughly: ids and the packed rest, or the words.
    pub fn weight(&self) -> usize {
        let more = match self {
            Self::Asked {
                principal,
                resource,
                rest,
                ..
            } => {
                let ids = [principal, resource].map(|uid| uid.eid().as_ref().len());
                2 * size_of::<EntityUID>() + ids[0] + ids[1] + rest.len()
            }
            Self::Words(kept) => kept.weight(),
        };
        size_of::<Self>() + more
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Asked {
                principal,
                action,
                resource,
                rest,
            } => hash([principal, action, resource], rest, state),
            Self::Words(kept) => kept.words().hash(state),
        }
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

impl Hash for Words<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.shared.map(|shared| &**shared).hash(state);
        self.own.hash(state);
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
        match key {
            Key::Asked {
                principal,
                action,
                resource,
                rest,
            } => {
                self.query.principal == *principal
                    && self.query.action == *action
                    && self.query.resource == *resource
                    && *self.rest == **rest
            }
            Key::Words(_) => false,
        }
    }
}
