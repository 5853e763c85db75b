//! Uids with their atoms: how entities are found and compared.

use std::cmp::Ordering;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use equivalent::Equivalent;

use super::scope::Atom;
use super::scope::uid_atom;

/// An entity's uid, hashed once and shared by everything that names it.
#[derive(Clone)]
pub struct Named {
    atom: Atom,
    uid: Arc<EntityUID>,
}

impl Named {
    /// Hashes a uid.
    pub fn new(uid: Arc<EntityUID>) -> Self {
        Self {
            atom: uid_atom(&uid),
            uid,
        }
    }

    /// The atom: equal for equal uids, and nearly always only for these.
    pub fn atom(&self) -> Atom {
        self.atom
    }

    /// The uid.
    pub fn uid(&self) -> &Arc<EntityUID> {
        &self.uid
    }

    /// For look-ups.
    pub fn probe(&self) -> Probe<'_> {
        Probe {
            atom: self.atom,
            uid: &self.uid,
        }
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.uid, f)
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.atom == other.atom && (Arc::ptr_eq(&self.uid, &other.uid) || self.uid == other.uid)
    }
}

impl Eq for Named {}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.atom);
    }
}

/// By type, then by id.
impl Ord for Named {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.uid, &other.uid) {
            return Ordering::Equal;
        }
        let (id, other_id): (&str, &str) = (self.uid.eid().as_ref(), other.uid.eid().as_ref());
        let by_type = self.uid.entity_type().cmp(other.uid.entity_type());
        by_type.then_with(|| id.cmp(other_id))
    }
}

impl PartialOrd for Named {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A uid that is looked up, with its atom.
#[derive(Debug, Clone, Copy)]
pub struct Probe<'a> {
    /// The atom of the uid.
    pub atom: Atom,
    /// The uid.
    pub uid: &'a EntityUID,
}

impl<'a> Probe<'a> {
    /// Hashes a uid.
    pub fn new(uid: &'a EntityUID) -> Self {
        Self {
            atom: uid_atom(uid),
            uid,
        }
    }
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.atom);
    }
}

impl Equivalent<Named> for Probe<'_> {
    fn equivalent(&self, key: &Named) -> bool {
        self.atom == key.atom && *self.uid == *key.uid
    }
}

/// Passes an atom on: it is a hash already.
#[derive(Debug, Default, Clone, Copy)]
pub struct AtomHasher(u64);

impl Hasher for AtomHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, atom: u64) {
        self.0 = atom;
    }
}

/// Builds [`AtomHasher`]s.
pub type BuildAtomHasher = BuildHasherDefault<AtomHasher>;
