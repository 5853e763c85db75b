//! What waits to be written: a bounded queue between many threads and the one
//! that writes.
//!
//! Submitting is one short lock and a push. The writer swaps the whole queue for
//! an empty one; while there is traffic it naps and is not woken for each record.

use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;
use parking_lot::MutexGuard;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio::time::Instant;

use super::counters::Tallies;
use super::error::Unhealthy;
use super::options::Mode;
use super::options::Options;
use super::options::Overflow;
use super::record::Record;
use super::submitted::Submitted;
use super::submitted::Ticket;
use crate::telemetry::events;

/// What an entry takes beside its record.
const ENTRY_BYTES: usize = size_of::<Entry>();

/// How long a loss makes a log unhealthy.
const LOSS_MEMORY: Duration = Duration::from_mins(1);

/// How long records may wait before the log is unhealthy, at the least.
const STALLED: Duration = Duration::from_secs(5);

/// More than a record takes that has nothing unusual.
const USUAL_BYTES: usize = 4096;

/// A record that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) millis: i64,
    pub(super) record: Record,
    pub(super) weight: usize,
    /// Who waits for it to be durable.
    pub(super) waiter: Option<oneshot::Sender<()>>,
}

/// What was not written since the writer last looked.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Loss {
    pub(super) lost: u64,
    pub(super) refused: u64,
    /// The times of the first and the last of them.
    pub(super) span: Option<(i64, i64)>,
}

impl Loss {
    pub(super) fn is_none(&self) -> bool {
        self.span.is_none()
    }

    /// Widens the span by a moment.
    pub(super) fn at(&mut self, millis: i64) {
        let (from, to) = self.span.unwrap_or((millis, millis));
        self.span = Some((from.min(millis), to.max(millis)));
    }
}

/// What the writer took.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    pub(super) loss: Loss,
    pub(super) is_closing: bool,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<Entry>,
    bytes: usize,
    /// Since when the oldest entry waits.
    since: Option<Instant>,
    /// Taken by the writer, and not durable yet.
    taken: (usize, usize),
    /// Since when the oldest and the newest of these wait, at the longest.
    taken_since: Option<(Instant, Instant)>,
    flushes: Vec<oneshot::Sender<()>>,
    loss: Loss,
    last_loss: Option<Instant>,
    failing: Option<String>,
    is_idle: bool,
    is_closing: bool,
    is_ended: bool,
}

/// The queue.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    room: Notify,
    records_max: usize,
    bytes_max: usize,
    mode: Mode,
    overflow: Overflow,
    pub(super) tallies: Tallies,
    /// The last record that is durable; told after each sync.
    pub(super) durable: watch::Sender<u64>,
}

impl Queue {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            room: Notify::new(),
            records_max: options.waiting_records_max,
            bytes_max: options.waiting_bytes_max,
            mode: options.mode,
            overflow: options.overflow,
            tallies: Tallies::default(),
            durable: watch::Sender::new(0),
        }
    }

    pub(super) fn submit(&self, millis: i64, record: Record) -> Submitted {
        let weight = weight(&record);
        let (waiter, ticket) = match self.mode {
            Mode::Batched { .. } => (None, None),
            Mode::Sync => {
                let (sender, receiver) = oneshot::channel();
                (Some(sender), Some(Ticket(receiver)))
            }
        };
        let waiting = self.waiting.lock();
        if waiting.is_closing || !self.fits(&waiting, weight) {
            return self.overflow(waiting, millis, record);
        }
        let entry = Entry {
            millis,
            record,
            weight,
            waiter,
        };
        self.push(waiting, entry);
        ticket.map_or(Submitted::Taken, Submitted::Pending)
    }

    /// Whether decisions can be given now, and if not, why.
    pub(super) fn answering(&self) -> Result<(), Unhealthy> {
        match (self.mode, self.health()) {
            (_, Err(Unhealthy::Ended)) => return Err(Unhealthy::Ended),
            (Mode::Sync, Err(why @ (Unhealthy::Failing(_) | Unhealthy::Stalled { .. }))) => {
                return Err(why);
            }
            _ => {}
        }
        let waiting = self.waiting.lock();
        if waiting.is_closing {
            Err(Unhealthy::Ended)
        } else if self.overflow == Overflow::Count || self.fits(&waiting, USUAL_BYTES) {
            Ok(())
        } else {
            Err(Unhealthy::Full)
        }
    }

    /// Takes a record of the log itself, even if there is no room.
    pub(super) fn submit_own(&self, millis: i64, record: Record) -> Ticket {
        let (sender, receiver) = oneshot::channel();
        let waiting = self.waiting.lock();
        if !waiting.is_closing {
            let entry = Entry {
                millis,
                weight: weight(&record),
                record,
                waiter: Some(sender),
            };
            self.push(waiting, entry);
        }
        Ticket(receiver)
    }

    fn push(&self, mut waiting: MutexGuard<'_, Waiting>, entry: Entry) {
        waiting.bytes += entry.weight;
        waiting.entries.push(entry);
        if waiting.since.is_none() {
            waiting.since = Some(Instant::now());
        }
        // A writer that naps is woken once, when the queue is half full.
        let is_woken = std::mem::take(&mut waiting.is_idle)
            || self.mode == Mode::Sync
            || waiting.entries.len() == self.records_max.div_ceil(2);
        drop(waiting);
        if is_woken {
            self.wake.notify_one();
        }
    }

    /// One is always taken, however large it is.
    fn fits(&self, waiting: &Waiting, weight: usize) -> bool {
        let (records, bytes) = waiting.taken;
        let records = records + waiting.entries.len();
        records == 0
            || (records < self.records_max && bytes + waiting.bytes + weight <= self.bytes_max)
    }

    fn overflow(
        &self,
        mut waiting: MutexGuard<'_, Waiting>,
        millis: i64,
        record: Record,
    ) -> Submitted {
        let is_lost = match self.overflow {
            Overflow::Block if !waiting.is_closing => return Submitted::Full(record),
            Overflow::Count => true,
            Overflow::Block | Overflow::Deny => false,
        };
        let is_first = waiting.loss.is_none();
        self.count_loss(&mut waiting, millis, is_lost);
        drop(waiting);
        // Once in an episode, not for each.
        if is_first {
            events::audit_losing(is_lost);
        }
        if is_lost {
            Submitted::Lost
        } else {
            Submitted::Refused
        }
    }

    fn count_loss(&self, waiting: &mut Waiting, millis: i64, is_lost: bool) {
        waiting.loss.at(millis);
        waiting.last_loss = Some(Instant::now());
        if is_lost {
            waiting.loss.lost += 1;
            self.tallies.lost.add(1);
        } else {
            waiting.loss.refused += 1;
            self.tallies.refused.add(1);
        }
    }

    /// Who waited for room has given up.
    pub(super) fn give_up(&self, millis: i64) {
        let mut waiting = self.waiting.lock();
        self.count_loss(&mut waiting, millis, false);
    }

    /// A record that was taken cannot be written. The writer tells of it.
    pub(super) fn lose(&self) {
        self.waiting.lock().last_loss = Some(Instant::now());
        self.tallies.lost.add(1);
    }

    /// Returns when there may be room for a record, or never will be.
    pub(super) async fn room(&self, record: &Record) {
        let weight = weight(record);
        loop {
            let notified = self.room.notified();
            {
                let waiting = self.waiting.lock();
                if waiting.is_closing || self.fits(&waiting, weight) {
                    return;
                }
            }
            notified.await;
        }
    }

    /// Is told when everything submitted before is durable.
    pub(super) fn flush(&self) -> Ticket {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if !waiting.is_closing {
            waiting.flushes.push(sender);
            waiting.is_idle = false;
        }
        drop(waiting);
        self.wake.notify_one();
        Ticket(receiver)
    }

    /// Nothing more is taken, and the writer ends when all is written.
    pub(super) fn close(&self) {
        self.waiting.lock().is_closing = true;
        self.wake.notify_all();
        self.room.notify_waiters();
    }

    /// For the writer: swaps `entries`, which is empty, for all that waits.
    ///
    /// Naps first, unless somebody waits; then waits until there is something to
    /// do, or until `until`.
    pub(super) fn take(
        &self,
        entries: &mut Vec<Entry>,
        nap: Option<Duration>,
        until: Option<Instant>,
    ) -> Taken {
        let mut waiting = self.waiting.lock();
        if let Some(nap) = nap
            && waiting.flushes.is_empty()
            && !waiting.is_closing
            && waiting.entries.len() < self.records_max.div_ceil(2)
        {
            self.wake.wait_for(&mut waiting, nap);
        }
        while waiting.entries.is_empty()
            && waiting.flushes.is_empty()
            && waiting.loss.is_none()
            && !waiting.is_closing
        {
            waiting.is_idle = true;
            match until {
                None => self.wake.wait(&mut waiting),
                Some(until) => {
                    if self
                        .wake
                        .wait_until(&mut waiting, until.into_std())
                        .timed_out()
                    {
                        break;
                    }
                }
            }
        }
        waiting.is_idle = false;
        std::mem::swap(&mut waiting.entries, entries);
        waiting.taken.0 += entries.len();
        waiting.taken.1 += std::mem::take(&mut waiting.bytes);
        if let Some(since) = waiting.since.take() {
            let oldest = waiting.taken_since.map_or(since, |(oldest, _)| oldest);
            waiting.taken_since = Some((oldest, since));
        }
        Taken {
            flushes: std::mem::take(&mut waiting.flushes),
            loss: std::mem::take(&mut waiting.loss),
            is_closing: waiting.is_closing,
        }
    }

    /// Since when the oldest record waits that was taken.
    pub(super) fn taken_since(&self) -> Option<Instant> {
        self.waiting.lock().taken_since.map(|(oldest, _)| oldest)
    }

    /// So many of those taken, and so many bytes, are durable.
    pub(super) fn release(&self, (records, bytes): (usize, usize)) {
        let mut waiting = self.waiting.lock();
        waiting.taken.0 = waiting.taken.0.saturating_sub(records);
        waiting.taken.1 = waiting.taken.1.saturating_sub(bytes);
        // What is left was taken last.
        let is_left = waiting.taken.0 > 0;
        waiting.taken_since = waiting
            .taken_since
            .filter(|_| is_left)
            .map(|(_, newest)| (newest, newest));
        drop(waiting);
        if records > 0 {
            self.room.notify_waiters();
        }
    }

    /// Waits for the next attempt, or until the log is to close.
    pub(super) fn pause(&self, pause: Duration) {
        let mut waiting = self.waiting.lock();
        let until = Instant::now() + pause;
        while !waiting.is_closing {
            if self
                .wake
                .wait_until(&mut waiting, until.into_std())
                .timed_out()
            {
                return;
            }
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.waiting.lock().is_closing
    }

    pub(super) fn set_failing(&self, failing: Option<String>) {
        self.waiting.lock().failing = failing;
    }

    /// The writer has ended: who still waits is let go, and what is left is lost.
    pub(super) fn end(&self) -> usize {
        let mut waiting = self.waiting.lock();
        waiting.is_closing = true;
        waiting.is_ended = true;
        let left = waiting.entries.len() + waiting.taken.0;
        let gone = (
            std::mem::take(&mut waiting.entries),
            std::mem::take(&mut waiting.flushes),
        );
        (waiting.taken, waiting.bytes) = ((0, 0), 0);
        waiting.since = None;
        waiting.taken_since = None;
        drop(waiting);
        drop(gone);
        self.room.notify_waiters();
        self.tallies.lost.add(left as u64);
        left
    }

    /// Records and bytes that wait, and for how long the oldest does.
    pub(super) fn depth(&self) -> (usize, usize, Option<Duration>) {
        let waiting = self.waiting.lock();
        let (records, bytes) = waiting.taken;
        let since = waiting
            .taken_since
            .map(|(oldest, _)| oldest)
            .or(waiting.since);
        (
            records + waiting.entries.len(),
            bytes + waiting.bytes,
            since.map(|since| since.elapsed()),
        )
    }

    pub(super) fn health(&self) -> Result<(), Unhealthy> {
        let (_, _, oldest) = self.depth();
        let waiting = self.waiting.lock();
        if waiting.is_ended {
            return Err(Unhealthy::Ended);
        }
        if let Some(error) = &waiting.failing {
            return Err(Unhealthy::Failing(error.clone()));
        }
        let limit = match self.mode {
            Mode::Sync => STALLED,
            Mode::Batched { window } => STALLED.max(window * 5),
        };
        if let Some(oldest) = oldest.filter(|oldest| *oldest > limit) {
            return Err(Unhealthy::Stalled {
                seconds: oldest.as_secs(),
            });
        }
        let last_loss = waiting.last_loss;
        if last_loss.is_some_and(|at| at.elapsed() < LOSS_MEMORY) {
            return Err(Unhealthy::Losing {
                lost: self.tallies.lost.get(),
                refused: self.tallies.refused.get(),
            });
        }
        Ok(())
    }
}

/// Bytes that a record takes while it waits.
fn weight(record: &Record) -> usize {
    record.weight() + ENTRY_BYTES
}
