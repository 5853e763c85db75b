//! Counters of the decision cache.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::counters::add;
use super::metrics::Family;
use super::metrics::Value;
use super::metrics::table;

/// How the decision cache fares.
#[derive(Debug, Default)]
pub struct CacheCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    stale_policies: AtomicU64,
    stale_entities: AtomicU64,
    skipped_action: AtomicU64,
    skipped_errors: AtomicU64,
    evicted: AtomicU64,
    replaced: AtomicU64,
}

impl CacheCounters {
    /// A kept decision was given again.
    pub fn hit(&self) {
        add(&self.hits);
    }

    /// No decision was kept for a question.
    pub fn miss(&self) {
        add(&self.misses);
    }

    /// A kept decision was refused: it was made by other policies.
    pub fn stale_policies(&self) {
        add(&self.stale_policies);
    }

    /// A kept decision was refused: something that it rests on has changed.
    pub fn stale_entities(&self) {
        add(&self.stale_entities);
    }

    /// A decision was not kept: its action is configured so.
    pub fn skipped_action(&self) {
        add(&self.skipped_action);
    }

    /// A decision was not kept: a policy failed to evaluate.
    pub fn skipped_errors(&self) {
        add(&self.skipped_errors);
    }

    /// A kept decision had to make room.
    pub fn evicted(&self) {
        add(&self.evicted);
    }

    /// A kept decision was replaced by a newer one.
    pub fn replaced(&self) {
        add(&self.replaced);
    }

    /// Hits, and look-ups that were none.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        let missed = [&self.misses, &self.stale_policies, &self.stale_entities];
        (read(&self.hits), missed.map(read).iter().sum())
    }

    pub(super) fn families(&self) -> [Family; 2] {
        let lookups = [
            (["hit", ""], &self.hits),
            (["miss", "absent"], &self.misses),
            (["miss", "policies_changed"], &self.stale_policies),
            (["miss", "entities_changed"], &self.stale_entities),
            (["uncacheable", "action"], &self.skipped_action),
            (["uncacheable", "errors"], &self.skipped_errors),
        ];
        let of = |family: Family, (labels, count)| family.with(labels, Value::Count(read(count)));
        let lookups = lookups
            .into_iter()
            .fold(Family::of(&table::CACHE_LOOKUPS), of);
        let removals = Family::of(&table::CACHE_REMOVALS)
            .with(["size"], Value::Count(read(&self.evicted)))
            .with(["replaced"], Value::Count(read(&self.replaced)));
        [lookups, removals]
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}
