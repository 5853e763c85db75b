//! What waits to be sent: bounded, and what does not fit is dropped and counted.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc::Sender;

use crate::telemetry::metrics::Family;
use crate::telemetry::metrics::Value;
use crate::telemetry::metrics::table;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Values of metrics.
    Metrics,
    /// Log lines.
    Logs,
}

const SIGNALS: [&str; 3] = ["traces", "metrics", "logs"];

/// How sending goes.
#[derive(Debug, Default)]
pub struct ExportCounters {
    sent: [AtomicU64; 3],
    full: [AtomicU64; 3],
    failed: [AtomicU64; 3],
}

fn add(counts: &[AtomicU64; 3], signal: Signal, count: u64) {
    if let Some(place) = counts.get(signal as usize) {
        place.fetch_add(count, Ordering::Relaxed);
    }
}

impl ExportCounters {
    pub(super) fn sent(&self, signal: Signal, count: u64) {
        add(&self.sent, signal, count);
    }

    pub(super) fn failed(&self, signal: Signal, count: u64) {
        add(&self.failed, signal, count);
    }

    pub(in crate::telemetry) fn families(&self) -> [Family; 2] {
        let count = |count: &AtomicU64| Value::Count(count.load(Ordering::Relaxed));
        let mut sent = Family::of(&table::EXPORTED);
        let mut dropped = Family::of(&table::EXPORT_DROPPED);
        for (index, signal) in SIGNALS.into_iter().enumerate() {
            let of = |counts: &[AtomicU64; 3]| counts.get(index).map(count);
            if let (Some(all), Some(full), Some(failed)) =
                (of(&self.sent), of(&self.full), of(&self.failed))
            {
                sent = sent.with([signal], all);
                dropped = dropped.with([signal, "queue_full"], full);
                dropped = dropped.with([signal, "send_failed"], failed);
            }
        }
        [sent, dropped]
    }
}

/// The entrance of a queue. Putting something in never waits.
#[derive(Debug, Clone)]
pub struct Queue<T> {
    pub(super) sender: Sender<T>,
    pub(super) counters: Arc<ExportCounters>,
    pub(super) signal: Signal,
}

impl<T> Queue<T> {
    /// Puts something in, or drops and counts it.
    pub fn push(&self, item: T) {
        if self.sender.try_send(item).is_err() {
            add(&self.counters.full, self.signal, 1);
        }
    }
}
