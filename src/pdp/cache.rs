//! Decisions that were made, and are still what would be decided.
//!
//! An entry keeps the decision with the places of everything that it rests on
//! ([`stamps`](super::stamps)). It is good as long as none of these changed and the policies are
//! the same; no time-out, no flush, and a write elsewhere costs nothing.
//! Evaluation is synchronous and takes microseconds, so nobody waits for somebody
//! else's: two that miss at once both evaluate.

use std::collections::HashSet;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use foldhash::quality::RandomState;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use smallvec::SmallVec;

use super::key::Asked;
use super::key::Key;
use super::stamps::Slot;
use super::stamps::Stamps;
use super::state::Active;
use super::words::Kept;
use super::words::Said;
use super::words::Words;
use crate::engine::Decision;
use crate::engine::Query;
use crate::engine::footprint::Footprint;
use crate::engine::footprint::Half;
use crate::engine::scope::Atom;
use crate::telemetry::Counters;

/// What the operator decides about the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheSettings {
    /// Bytes of decisions with their questions; 0 is no cache.
    pub bytes_max: u64,
    /// Places for stamps, 8 bytes each.
    pub stamps: u32,
    /// Actions whose decisions are not kept.
    pub skip_actions: HashSet<EntityUID>,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            bytes_max: 64 << 20,
            stamps: 1 << 20,
            skip_actions: HashSet::new(),
        }
    }
}

/// The decision cache.
#[derive(Debug)]
pub struct Cache {
    entries: moka::sync::Cache<Key, Arc<Entry>, RandomState>,
    stamps: Stamps,
    skip_actions: HashSet<EntityUID>,
    counters: Arc<Counters>,
}

/// A decision, and when it is good.
#[derive(Debug)]
pub struct Entry {
    /// Which policies made it.
    generation: u64,
    /// At which transaction.
    sequence: u64,
    /// What it rests on.
    slots: SmallVec<[Slot; 24]>,
    decision: Arc<Decision>,
    /// What else is kept of one that is known by the words of its question.
    said: Option<Said>,
}

/// What a look-up gives.
#[derive(Debug)]
pub enum Found<'a> {
    /// The decision, made before.
    Hit(Arc<Decision>),
    /// Nothing; the decision can be kept.
    Miss(Asked<'a>),
    /// The decision is not to be kept.
    Skip,
}

impl Cache {
    /// An empty cache; `None` when it is switched off.
    pub fn new(settings: &CacheSettings, counters: &Arc<Counters>) -> Option<Self> {
        if settings.bytes_max == 0 {
            return None;
        }
        let evictions = Arc::clone(counters);
        let entries = moka::sync::Cache::builder()
            .max_capacity(settings.bytes_max)
            .weigher(|key: &Key, entry: &Arc<Entry>| {
                u32::try_from(key.weight() + entry.weight()).unwrap_or(u32::MAX)
            })
            .eviction_policy(EvictionPolicy::tiny_lfu())
            .eviction_listener(move |_, _, cause| match cause {
                RemovalCause::Size => evictions.cache().evicted(),
                RemovalCause::Replaced => evictions.cache().replaced(),
                RemovalCause::Explicit | RemovalCause::Expired => {}
            })
            .build_with_hasher(RandomState::default());
        Some(Self {
            entries,
            stamps: Stamps::new(settings.stamps),
            skip_actions: settings.skip_actions.clone(),
            counters: Arc::clone(counters),
        })
    }

    /// Looks for the decision of a query, as of what is pinned.
    pub fn find<'a>(&self, active: &Active, query: &'a Query) -> Found<'a> {
        if !self.skip_actions.is_empty() && self.skip_actions.contains(&*query.action) {
            self.counters.cache().skipped_action();
            return Found::Skip;
        }
        let asked = Asked::new(active.snapshot(), query);
        let Some(entry) = self.entries.get(&asked) else {
            self.counters.cache().miss();
            return Found::Miss(asked);
        };
        if entry.generation != active.generation() {
            self.counters.cache().stale_policies();
            return Found::Miss(asked);
        }
        if !self.is_unchanged(active, &entry) {
            self.counters.cache().stale_entities();
            return Found::Miss(asked);
        }
        self.counters.cache().hit();
        Found::Hit(Arc::clone(&entry.decision))
    }

    /// Keeps a decision that was made on what is pinned. One with errors is not
    /// kept: an error is nobody's settled answer.
    pub fn keep(&self, active: &Active, asked: Asked<'_>, decision: &Arc<Decision>) {
        if !decision.errors.is_empty() {
            self.counters.cache().skipped_errors();
            return;
        }
        let entry = self.entry(active, decision, None);
        self.entries.insert(asked.into_key(), Arc::new(entry));
    }

    /// Looks for the decision of a question by its words, as of what is pinned and
    /// this tick of the clock. Only finding is counted: who finds nothing looks
    /// for it by what was asked.
    pub fn recall(
        &self,
        active: &Active,
        words: Words<'_>,
        tick: impl FnOnce() -> i64,
    ) -> Option<Arc<Entry>> {
        let entry = self.entries.get(&words)?;
        let of_tick = entry.said.as_ref()?.tick;
        let is_good = entry.generation == active.generation()
            && self.is_unchanged(active, &entry)
            && of_tick.is_none_or(|of_tick| of_tick == tick());
        is_good.then(|| {
            self.counters.cache().hit();
            entry
        })
    }

    /// Keeps a decision, which is what would be decided on what is pinned, by the
    /// words of its question.
    pub fn remember(&self, active: &Active, words: Kept, decision: &Arc<Decision>, said: Said) {
        let entry = self.entry(active, decision, Some(said));
        self.entries.insert(Key::Words(words), Arc::new(entry));
    }

    fn entry(&self, active: &Active, decision: &Arc<Decision>, said: Option<Said>) -> Entry {
        Entry {
            generation: active.generation(),
            sequence: active.view.sequence(),
            slots: self.slots(decision.footprint()),
            decision: Arc::clone(decision),
            said,
        }
    }

    /// Whether nothing that an entry rests on differs between the view that it was
    /// made on and the one that is pinned.
    fn is_unchanged(&self, active: &Active, entry: &Entry) -> bool {
        let oldest = entry.sequence.min(active.view.sequence());
        self.stamps.unchanged_since(oldest, &entry.slots)
    }

    /// Marks what a transaction changes. To be called before the view that shows
    /// it is published.
    pub fn touch(&self, changes: &[(Atom, Half)], sequence: u64) {
        for (atom, half) in changes {
            let slot = self.stamps.slot(*atom, *half as u64);
            self.stamps.touch(slot, sequence);
        }
    }

    /// How many decisions are kept, and their bytes; both lag behind a little.
    pub fn size(&self) -> (u64, u64) {
        (self.entries.entry_count(), self.entries.weighted_size())
    }

    fn slots(&self, footprint: &Footprint) -> SmallVec<[Slot; 24]> {
        let read = footprint.read().iter();
        read.map(|(atom, half)| self.stamps.slot(*atom, *half as u64))
            .collect()
    }
}

impl Entry {
    /// The decision.
    pub fn decision(&self) -> &Arc<Decision> {
        &self.decision
    }

    /// What is kept beside it, if it is known by the words of its question.
    pub fn said(&self) -> Option<&Said> {
        self.said.as_ref()
    }

    /// Bytes, roughly. The policies are not the entry's: the snapshot has them.
    fn weight(&self) -> usize {
        let spilled = if self.slots.spilled() {
            self.slots.capacity() * size_of::<Slot>()
        } else {
            0
        };
        let footprint = size_of_val(self.decision.footprint().read());
        let policies = self.decision.policies.len() * size_of::<usize>();
        // Two allocations with their counts, and the cache's own bookkeeping.
        let said = self.said.as_ref().map_or(0, Said::weight);
        size_of::<Self>() + size_of::<Decision>() + spilled + footprint + policies + said + 160
    }
}
