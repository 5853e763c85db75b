//! What is counted of the directory.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::Family;
use super::Value;
use super::table;

/// How a write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Durable and in force.
    Applied,
    /// It was wrong.
    Refused,
    /// A precondition did not hold.
    Precondition,
    /// Too many were waiting.
    Busy,
    /// The store failed.
    Failed,
}

const OUTCOMES: [&str; 5] = ["applied", "refused", "precondition", "busy", "failed"];

/// Counts of the directory.
#[derive(Debug, Default)]
pub struct DirectoryCounters {
    writes: [AtomicU64; OUTCOMES.len()],
    waiting: AtomicU64,
    snapshots: AtomicU64,
    snapshots_failed: AtomicU64,
}

/// A write that waits, until this is dropped.
#[derive(Debug)]
pub struct Waiting(Arc<DirectoryCounters>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl DirectoryCounters {
    /// A write begins to wait.
    pub fn waits(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(Arc::clone(self))
    }

    /// A write has ended.
    pub fn written(&self, how: Write) {
        if let Some(count) = self.writes.get(how as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A snapshot was kept, or could not be.
    pub fn snapshot(&self, is_kept: bool) {
        let count = if is_kept {
            &self.snapshots
        } else {
            &self.snapshots_failed
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::telemetry) fn families(&self) -> Vec<Family> {
        let count = |count: &AtomicU64| Value::Count(count.load(Ordering::Relaxed));
        let mut writes = Family::of(&table::DIRECTORY_WRITES);
        for (outcome, writes_of) in OUTCOMES.into_iter().zip(&self.writes) {
            writes = writes.with([outcome], count(writes_of));
        }
        vec![
            writes,
            Family::of(&table::DIRECTORY_WAITING).with([], count(&self.waiting)),
            Family::of(&table::DIRECTORY_SNAPSHOTS)
                .with(["kept"], count(&self.snapshots))
                .with(["failed"], count(&self.snapshots_failed)),
        ]
    }
}
