//! What is counted of an audit log.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How an audit log fares. Totals are since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records that became durable, with the log's own.
    pub records: u64,
    /// Bytes that became durable, uncompressed.
    pub bytes: u64,
    /// Records that were lost: no room with overflow `count`, over the limit of
    /// a line, or left when the log was closed while its disk failed.
    pub lost: u64,
    /// Records that were refused, so that the caller denied.
    pub refused: u64,
    /// Syncs that succeeded.
    pub syncs: u64,
    /// Syncs after which a record had waited for longer than the window.
    pub late: u64,
    /// Calls to the disk that failed, with those to pack and drop segments.
    pub disk_errors: u64,
    /// Segments that were closed.
    pub segments: u64,
    /// The last record that is durable; 0 if there is none.
    pub durable_seq: u64,
    /// Records that are not durable yet, now.
    pub waiting_records: usize,
    /// Bytes of memory, roughly, that these take.
    pub waiting_bytes: usize,
    /// For how long the oldest of them has waited.
    pub oldest: Option<Duration>,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn set(&self, to: u64) {
        self.0.store(to, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The totals, as they are counted.
#[derive(Debug, Default)]
pub(super) struct Tallies {
    pub(super) records: Count,
    pub(super) bytes: Count,
    pub(super) lost: Count,
    pub(super) refused: Count,
    pub(super) syncs: Count,
    pub(super) late: Count,
    pub(super) disk_errors: Count,
    pub(super) segments: Count,
    pub(super) durable_seq: Count,
}
