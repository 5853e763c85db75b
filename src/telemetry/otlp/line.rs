//! The way of one signal to its receiver: batches, tries, and what is counted of them.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use prost::bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio::time::sleep_until;

use super::Measure;
use super::about::About;
use super::client::Client;
use super::measures;
use super::message::Received;
use super::queue::ExportCounters;
use super::queue::Signal;
use super::queue::Waiting;
use super::retry::short;
use super::settings::Batches;
use crate::telemetry::events;
use crate::telemetry::trace::nanos_now;

/// The way of one signal to its receiver.
pub(super) struct Line {
    pub(super) client: Client,
    pub(super) signal: Signal,
    pub(super) about: Arc<About>,
    pub(super) counters: Arc<ExportCounters>,
    pub(super) stopped: watch::Receiver<bool>,
    /// How long a batch may take with all its tries.
    pub(super) timeout: Duration,
    pub(super) is_failing: bool,
}

/// A batch that is neither taken nor given up; given up when it is dropped.
struct InHand {
    counters: Arc<ExportCounters>,
    signal: Signal,
    count: u64,
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.counters.failed(self.signal, self.count);
    }
}

impl Line {
    /// Sends what comes in batches, until it is stopped and nothing waits.
    pub(super) async fn run<T: Message, M: Message>(
        mut self,
        mut waiting: Waiting<T>,
        limits: Batches,
        method: &'static str,
        of: fn(&About, Vec<T>) -> M,
    ) {
        while let Some(batch) = waiting.batch(limits, &mut self.stopped).await {
            let count = batch.len();
            let batch = of(&self.about, batch).encode_to_vec();
            self.send(method, batch.into(), count).await;
        }
    }

    /// Sends every metric once an interval, and when it is stopped.
    pub(super) async fn measure(
        mut self,
        interval: Duration,
        method: &'static str,
        measure: Measure,
    ) {
        let start = nanos_now();
        loop {
            let is_last = tokio::select! {
                () = tokio::time::sleep(interval) => false,
                _ = self.stopped.wait_for(|stopped| *stopped) => true,
            };
            let now = nanos_now();
            let families = measure();
            let span = measures::Span { start, now };
            let metrics = families.iter();
            let metrics: Vec<_> = metrics.filter_map(|f| measures::metric(f, span)).collect();
            let count = metrics.len();
            let batch = self.about.metrics(metrics).encode_to_vec();
            self.send(method, batch.into(), count).await;
            if is_last {
                return;
            }
        }
    }

    async fn send(&mut self, method: &'static str, batch: Bytes, count: usize) {
        let mut in_hand = InHand {
            counters: Arc::clone(&self.counters),
            signal: self.signal,
            count: count as u64,
        };
        let why = match self.tried(method, batch).await {
            Ok(received) => {
                let partial = received.partial.unwrap_or_default();
                let rejected = u64::try_from(partial.rejected).unwrap_or(0);
                let rejected = rejected.min(in_hand.count);
                self.counters.sent(self.signal, in_hand.count - rejected);
                in_hand.count = rejected;
                if rejected == 0 {
                    self.is_failing = false;
                    return;
                }
                short(&format!("{rejected} are refused: {}", partial.message))
            }
            Err(why) => why,
        };
        // Counted before it is told. Once, not with every batch.
        drop(in_hand);
        if !std::mem::replace(&mut self.is_failing, true) {
            events::export_failed(self.signal, &why);
        }
    }

    /// Sends a batch, a few times if need be, but no longer than it may take; at the
    /// end once more, without a pause.
    async fn tried(&mut self, method: &'static str, batch: Bytes) -> Result<Received, String> {
        let due = Instant::now() + self.timeout;
        let mut tries = 0;
        loop {
            let is_last = *self.stopped.borrow();
            let sent = tokio::time::timeout_at(due, self.client.send(method, batch.clone()));
            let Ok(sent) = sent.await else {
                return Err("no answer in time".to_owned());
            };
            let failure = match sent {
                Ok(received) => return Ok(received),
                Err(failure) => failure,
            };
            tries += 1;
            let Some(pause) = failure.pause(tries).filter(|_| !is_last) else {
                return Err(failure.why);
            };
            // A receiver that asks for a longer pause than there is time gets that.
            let until = Instant::now() + pause.min(self.timeout);
            tokio::select! {
                () = sleep_until(until.min(due)) => {}
                _ = self.stopped.wait_for(|stopped| *stopped) => {}
            }
            if Instant::now() >= due {
                return Err(failure.why);
            }
        }
    }
}
