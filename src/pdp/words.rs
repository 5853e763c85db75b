//! Questions that are asked again in the same words.
//!
//! Reading a question, checking it against the schema and packing it for the cache
//! costs several times what finding its decision does. So a decision that was
//! found in the cache is also kept by the very bytes of its question, with its
//! answer as it was written:
//!
//! ```text
//! recall(bytes)   there, and still good?  -> the answer, nothing was read
//! otherwise       read, check, authorize(); from the cache?  -> remember(bytes)
//! ```
//!
//! The same bytes say the same under the same policies and settings: an entry is
//! of one snapshot, and nothing that was refused is ever kept. What the server
//! itself adds is the time, so an entry that depends on it is of one tick. All
//! else that makes a kept decision bad makes it bad here too.

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use equivalent::Equivalent;

use super::Answer;
use super::Made;
use super::Pinned;
use super::Question;
use super::key::Key;
use crate::audit::decision::What;
use crate::audit::decision::written as written_record;
use crate::engine::Cause;
use crate::engine::access::ContextKeys;
use crate::identity::Caller;

/// Longer questions are not kept by their words: what they carry is seldom
/// asked twice.
const BYTES_MAX: usize = 4096;

/// Longer records are written anew each time, shortened if they have to be.
const RECORD_BYTES_MAX: usize = 64 << 10;

/// The bytes of a question.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// What it shares with others of its batch; absent for one by itself.
    pub shared: Option<&'a Arc<[u8]>>,
    /// What is its own.
    pub own: &'a [u8],
}

/// The bytes of a question as they are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    shared: Option<Arc<[u8]>>,
    own: Box<[u8]>,
}

/// What is kept beside a decision that is known by the words of its question.
#[derive(Debug)]
pub struct Said {
    /// The action, which is not read again.
    pub action: Arc<EntityUID>,
    /// The tick that it is good for, if it depends on the time.
    pub tick: Option<i64>,
    /// The answer as its protocol writes it, or what of it stays the same.
    pub written: Arc<[u8]>,
    /// What of the record stays the same, when there are records.
    pub recorded: Option<Arc<[u8]>>,
}

/// An answer to a question that was not read.
#[derive(Debug)]
pub struct Recalled {
    /// The answer.
    pub answer: Answer,
    /// What was remembered with it.
    pub written: Arc<[u8]>,
}

impl Words<'_> {
    fn are_few(&self) -> bool {
        self.own.len() + self.shared.map_or(0, |shared| shared.len()) <= BYTES_MAX
    }

    fn kept(&self) -> Kept {
        Kept {
            shared: self.shared.cloned(),
            own: self.own.into(),
        }
    }
}

impl Equivalent<Key> for Words<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        match key {
            Key::Words(kept) => {
                *self.own == *kept.own
                    && self.shared.map(|shared| &**shared) == kept.shared.as_deref()
            }
            Key::Asked { .. } => false,
        }
    }
}

impl Kept {
    /// The bytes again.
    pub fn words(&self) -> Words<'_> {
        Words {
            shared: self.shared.as_ref(),
            own: &self.own,
        }
    }

    /// Bytes that they take. What is shared counts for each: it lives as long as
    /// the last of its batch.
    pub fn weight(&self) -> usize {
        self.own.len() + self.shared.as_ref().map_or(0, |shared| shared.len())
    }
}

impl Said {
    /// Bytes that it takes.
    pub fn weight(&self) -> usize {
        let recorded = self.recorded.as_ref().map_or(0, |recorded| recorded.len());
        size_of::<Self>() + self.written.len() + recorded
    }
}

impl Pinned<'_> {
    /// The answer to a question that was asked in these words before, if it is
    /// what would be decided now.
    pub fn recall(&self, caller: &Caller, words: Words<'_>) -> Option<Recalled> {
        let cache = self.pdp.cache.as_ref()?;
        if !words.are_few() {
            return None;
        }
        let started = self.started();
        let found = cache.recall(self.active(), words, || self.pdp.clock.tick())?;
        let said = found.said()?;
        let recorded = said.recorded.clone().unwrap_or_default();
        let what = |_: &_| What::Written(recorded);
        let made = Made {
            decision: Arc::clone(found.decision()),
            cached: true,
            started,
        };
        let answer = self.answer(caller, &said.action, made, what);
        let is_recorded = answer.decision.cause() != Some(Cause::NotRecorded);
        Some(Recalled {
            answer,
            written: if is_recorded {
                Arc::clone(&said.written)
            } else {
                Arc::default()
            },
        })
    }

    /// Keeps an answer by the words of its question, which must say all that it
    /// depends on, and nothing that has to be done again for each asking. One
    /// that did not come from the cache is not kept: it may never be asked again.
    pub fn remember(
        &self,
        words: Words<'_>,
        question: &Question,
        answer: &Answer,
        written: Vec<u8>,
    ) {
        let Some(cache) = &self.pdp.cache else {
            return;
        };
        let is_recorded = answer.decision.cause() != Some(Cause::NotRecorded);
        if !answer.cached || !is_recorded || !words.are_few() {
            return;
        }
        let action = &question.query.action;
        let recording = self.pdp.recording.as_ref();
        let reads_now = match self.snapshot().context_keys(action) {
            ContextKeys::All => true,
            // A time that is only recorded is good for its tick only, too.
            ContextKeys::Only(keys) => {
                keys.contains("now")
                    || recording.is_some_and(|recording| recording.content.tells("now"))
            }
        };
        let recorded = recording.map(|recording| {
            let (query, decision) = (&question.query, &answer.decision);
            written_record(query, decision, self.snapshot(), &recording.content)
        });
        if recorded
            .as_ref()
            .is_some_and(|recorded| recorded.len() > RECORD_BYTES_MAX)
        {
            return;
        }
        let said = Said {
            action: Arc::clone(action),
            tick: question.tick.filter(|_| reads_now),
            written: written.into(),
            recorded: recorded.map(Arc::from),
        };
        cache.remember(self.active(), words.kept(), &answer.decision, said);
    }
}
