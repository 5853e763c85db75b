//! Under which rules all stored entities are known to fit.
//!
//! The log keeps one mark: the rules that everything up to its head fits. So that
//! it never says too much, it is taken back before policies with other rules come
//! into force, and set only when all entities were looked at under the rules that
//! are in force by then: from there on each write is. Between the two, nothing is
//! known, and the next activation looks at everything.

use sha2::Digest as _;
use sha2::Sha256;

use super::check::EntityLimits;
use super::log::Log;
use super::log::LogError;
use super::log::Mark;
use crate::engine::Snapshot;
use crate::telemetry::events;

/// What the log says that its entities fit.
#[derive(Debug)]
pub struct Fitted {
    mark: Option<Mark>,
    /// Whether the log surely says so, after the last try to change it.
    is_certain: bool,
}

impl Fitted {
    /// Nothing has been read yet.
    pub fn unknown() -> Self {
        Self {
            mark: None,
            is_certain: false,
        }
    }

    /// Whether all entities are known to fit these rules. In doubt, they are not.
    pub fn is_known(&mut self, log: &dyn Log, rules: Option<Mark>) -> bool {
        if !self.is_certain
            && let Ok(mark) = log.mark()
        {
            self.mark = mark;
            self.is_certain = true;
        }
        self.is_certain && rules.is_some() && self.mark == rules
    }

    /// Takes back what the log says, unless that is these rules: from now on
    /// entities are written that fit only these.
    ///
    /// # Errors
    /// When the log fails. It may still say what it did, so these rules must not
    /// come into force.
    pub fn give_up_others(&mut self, log: &dyn Log, rules: Option<Mark>) -> Result<(), LogError> {
        if self.is_certain && (self.mark.is_none() || self.mark == rules) {
            return Ok(());
        }
        self.note(log, None)
    }

    /// Says that all entities fit the rules that are in force. When the log
    /// fails, the next start looks at everything once more.
    pub fn keep(&mut self, log: &dyn Log, rules: Option<Mark>) {
        if (!self.is_certain || self.mark != rules)
            && let Err(error) = self.note(log, rules)
        {
            events::directory_failed(&error.to_string());
        }
    }

    fn note(&mut self, log: &dyn Log, mark: Option<Mark>) -> Result<(), LogError> {
        self.is_certain = false;
        if let Err(error) = log.set_mark(mark) {
            // So that writes need not find out that it failed.
            log.recover().ok();
            return Err(error);
        }
        self.mark = mark;
        self.is_certain = true;
        Ok(())
    }
}

/// The name of everything that an entity is checked against as a whole: the
/// schema, the limits, and the release, since a later one may check more.
/// Without a schema nothing is checked, and nothing can be said.
pub fn rules(snapshot: &Snapshot, limits: &EntityLimits) -> Option<Mark> {
    snapshot.schema()?;
    let EntityLimits {
        bytes_max,
        attributes_max,
        tags_max,
        parents_max,
        // These are looked at when something is written, never again.
        depth_max: _,
        id_bytes_max: _,
    } = *limits;
    let mut hash = Sha256::new();
    hash.update(snapshot.schema_digest().as_bytes());
    for limit in [bytes_max, attributes_max, tags_max, parents_max] {
        hash.update((limit as u64).to_be_bytes());
    }
    hash.update(env!("CARGO_PKG_VERSION"));
    Some(hash.finalize().into())
}
