//! What waits to be sent: bounded in number and in bytes, and what does not fit is
//! dropped and counted.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use prost::Message;
use tokio::sync::mpsc;
use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep_until;

use super::settings::Batches;
use crate::telemetry::metrics::Family;
use crate::telemetry::metrics::Value;
use crate::telemetry::metrics::table;

/// So much of a signal waits at the most, in bytes as they are sent.
const BYTES_MAX: usize = 16 << 20;
/// A batch of so many bytes is full: receivers take 4 MiB.
const BATCH_BYTES: usize = 1 << 20;

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
    parts: AtomicU64,
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

    /// A call had so many parts more than are told.
    pub(in crate::telemetry) fn too_many_parts(&self, count: u64) {
        self.parts.fetch_add(count, Ordering::Relaxed);
    }

    /// So many were given up on, of all signals.
    pub(super) fn given_up(&self) -> u64 {
        let counts = self.failed.iter();
        counts.map(|count| count.load(Ordering::Relaxed)).sum()
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
        dropped = dropped.with(["traces", "too_many_parts"], count(&self.parts));
        [sent, dropped]
    }
}

/// The entrance of a queue. Putting something in never waits.
#[derive(Debug)]
pub struct Queue<T> {
    sender: Sender<T>,
    held: Arc<AtomicUsize>,
    counters: Arc<ExportCounters>,
    signal: Signal,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            held: Arc::clone(&self.held),
            counters: Arc::clone(&self.counters),
            signal: self.signal,
        }
    }
}

/// The exit of a queue. What is still in it at the end is counted as dropped.
#[derive(Debug)]
pub(super) struct Waiting<T: Message> {
    receiver: Receiver<T>,
    held: Arc<AtomicUsize>,
    counters: Arc<ExportCounters>,
    signal: Signal,
}

/// A queue for so many.
pub(super) fn queue<T: Message>(
    max: usize,
    signal: Signal,
    counters: &Arc<ExportCounters>,
) -> (Queue<T>, Waiting<T>) {
    let (sender, receiver) = mpsc::channel(max);
    let held = Arc::new(AtomicUsize::new(0));
    let waiting = Waiting {
        receiver,
        held: Arc::clone(&held),
        counters: Arc::clone(counters),
        signal,
    };
    let queue = Queue {
        sender,
        held,
        counters: Arc::clone(counters),
        signal,
    };
    (queue, waiting)
}

impl<T: Message> Queue<T> {
    /// What is counted of it.
    pub fn counters(&self) -> &ExportCounters {
        &self.counters
    }

    /// Puts in what is made, or counts it as dropped; what has no place is not even
    /// made.
    pub fn push(&self, make: impl FnOnce() -> T) {
        let Ok(place) = self.sender.try_reserve() else {
            add(&self.counters.full, self.signal, 1);
            return;
        };
        let item = make();
        let bytes = item.encoded_len();
        if self.held.fetch_add(bytes, Ordering::Relaxed) + bytes > BYTES_MAX {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            add(&self.counters.full, self.signal, 1);
            return;
        }
        place.send(item);
    }
}

impl<T: Message> Waiting<T> {
    /// The next batch: full, or the first of it has waited for the delay, or no more
    /// is waited for. `None` when that is so, and nothing is left.
    pub(super) async fn batch(
        &mut self,
        limits: Batches,
        stopped: &mut watch::Receiver<bool>,
    ) -> Option<Vec<T>> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let is_room = |batch: &Vec<T>, bytes| batch.len() < limits.batch_max && bytes < BATCH_BYTES;
        let mut due = None;
        while is_room(&batch, bytes) {
            // Nobody is woken while nothing waits.
            let first_is_late = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            };
            let item = tokio::select! {
                item = self.receiver.recv() => item,
                () = first_is_late => break,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            };
            let Some(item) = item else { break };
            bytes += self.let_go(&item);
            batch.push(item);
            due.get_or_insert_with(|| Instant::now() + limits.delay);
        }
        while is_room(&batch, bytes)
            && let Ok(item) = self.receiver.try_recv()
        {
            bytes += self.let_go(&item);
            batch.push(item);
        }
        (!batch.is_empty()).then_some(batch)
    }

    fn let_go(&self, item: &T) -> usize {
        let bytes = item.encoded_len();
        self.held.fetch_sub(bytes, Ordering::Relaxed);
        bytes
    }
}

impl<T: Message> Drop for Waiting<T> {
    fn drop(&mut self) {
        self.receiver.close();
        self.counters
            .failed(self.signal, self.receiver.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::watch;

    use super::BATCH_BYTES;
    use super::BYTES_MAX;
    use super::Batches;
    use super::ExportCounters;
    use super::Signal;
    use super::queue;
    use crate::telemetry::otlp::message::Any;
    use crate::telemetry::otlp::message::KeyValue;
    use crate::telemetry::otlp::message::attribute;
    use crate::telemetry::otlp::message::text;

    const LIMITS: Batches = Batches {
        queue_max: 1000,
        batch_max: 3,
        delay: Duration::from_hours(1),
        timeout: Duration::from_hours(1),
    };

    fn counts(counters: &ExportCounters) -> (u64, u64) {
        let of = |counts: &[super::AtomicU64; 3]| counts[0].load(super::Ordering::Relaxed);
        (of(&counters.full), of(&counters.failed))
    }

    #[tokio::test]
    async fn a_full_batch_does_not_wait_and_the_end_leaves_nothing() {
        let counters = Arc::default();
        let (queue, mut waiting) = queue::<KeyValue>(1000, Signal::Traces, &counters);
        let (stop, mut stopped) = watch::channel(false);
        for _ in 0..5 {
            queue.push(|| text("key", "value"));
        }
        assert_eq!(waiting.batch(LIMITS, &mut stopped).await.unwrap().len(), 3);
        stop.send_replace(true);
        assert_eq!(waiting.batch(LIMITS, &mut stopped).await.unwrap().len(), 2);
        assert_eq!(waiting.batch(LIMITS, &mut stopped).await, None);
        queue.push(|| text("key", "value"));
        drop(waiting);
        assert_eq!(counts(&counters), (0, 1), "what is left is counted");
        queue.push(|| panic!("what has no place is not made"));
        assert_eq!(counts(&counters), (1, 1));
    }

    #[tokio::test]
    async fn no_delay_is_a_batch_of_what_is_there() {
        let counters = Arc::default();
        let (queue, mut waiting) = queue::<KeyValue>(1000, Signal::Traces, &counters);
        let (_stop, mut stopped) = watch::channel(false);
        let limits = Batches {
            delay: Duration::ZERO,
            ..LIMITS
        };
        let nothing = waiting.batch(limits, &mut stopped);
        let nothing = tokio::time::timeout(Duration::from_millis(50), nothing).await;
        assert!(nothing.is_err(), "it waits for the first, however long");
        queue.push(|| text("key", "value"));
        assert_eq!(waiting.batch(limits, &mut stopped).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn large_ones_are_bounded_by_their_bytes() {
        let counters = Arc::default();
        let (queue, mut waiting) = queue::<KeyValue>(1000, Signal::Traces, &counters);
        let (stop, mut stopped) = watch::channel(false);
        let large = || attribute("key", Any::Text("x".repeat(BATCH_BYTES / 2)));
        let fit = BYTES_MAX / (BATCH_BYTES / 2) - 1;
        for _ in 0..100 {
            queue.push(large);
        }
        assert_eq!(counts(&counters), (100 - fit as u64, 0));
        stop.send_replace(true);
        let mut got = 0;
        while let Some(batch) = waiting.batch(LIMITS, &mut stopped).await {
            assert!(batch.len() <= 2);
            got += batch.len();
            queue.push(large);
            if got > 2 * fit {
                break;
            }
        }
        assert!(got > 2 * fit, "what was taken makes room: {got}");
    }
}
