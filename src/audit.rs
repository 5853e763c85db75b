//! The audit log: numbered, chained records in segments on the disk, written by
//! a thread of their own.
//!
//! Who submits a record pushes it into a bounded queue (`queue`) and goes on; the
//! writer (`writer`) gives it its number, encodes and chains it, and makes it
//! durable. Closed segments are packed and dropped by another thread (`sweep`).
//! [`read`](mod@read) and [`verify`](mod@verify) need nothing but the files.
//!
//! ```text
//! submit -> queue -> writer: number, line, chain -> segment -> sync -> tickets, sinks
//!                                                     |
//!                                                   closed -> sweep: pack, drop
//! ```

pub mod activations;
pub mod circumstances;
pub mod counters;
pub mod decision;
pub mod diff;
pub mod error;
pub mod facts;
pub mod fault;
pub mod files;
pub mod filter;
mod folder;
pub mod json;
pub mod line;
mod lines;
pub mod options;
pub mod query;
mod queue;
pub mod read;
pub mod record;
pub mod redact;
pub mod replay;
mod segment;
pub mod sink;
mod start;
pub mod stats;
pub mod submitted;
mod sweep;
mod trouble;
pub mod verify;
mod walk;
mod weight;
mod writer;

use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use self::queue::Queue;
use self::start::Lock;
use self::sweep::Sweeper;
use self::writer::Writer;
use crate::telemetry::events;

pub use self::counters::Counters;
pub use self::error::NotDurable;
pub use self::error::OpenError;
pub use self::error::ReadError;
pub use self::error::Unhealthy;
pub use self::options::Mode;
pub use self::options::Options;
pub use self::options::Overflow;
pub use self::record::EventRecord;
pub use self::record::Record;
pub use self::sink::Sink;
pub use self::submitted::Submitted;
pub use self::submitted::Ticket;

/// The longest window there may be.
const WINDOW_MAX: Duration = Duration::from_hours(1);

/// A log that is open. Clones are the same log; with the last one it is closed.
#[derive(Debug, Clone)]
pub struct Audit {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Arc<Queue>,
    threads: Mutex<Threads>,
}

/// The threads, and the lock that is held as long as they run.
#[derive(Debug)]
struct Threads {
    running: Vec<JoinHandle<()>>,
    lock: Option<Lock>,
}

impl Audit {
    /// Opens the log in a directory, makes it if there is none, repairs what a
    /// crash left at its end, and starts its threads.
    ///
    /// # Errors
    /// If another process has it open, if it is damaged in a way that no crash
    /// explains, or if the system would not have it.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        check(&options)?;
        let directory = options.directory.clone();
        let lock = start::lock(&directory, &options.files)?;
        let mut start = start::start(&directory, &options.files)?;
        let name = directory.display().to_string();
        events::audit_opened(&name, start.segments, start.next);
        let queue = Arc::new(Queue::new(&options));
        queue.tallies.durable_seq.set(start.next - 1);
        queue.durable.send_replace(start.next - 1);
        if let Some(repair) = start.repair.take() {
            // Nobody waits: the flush of whoever asks comes behind it.
            drop(queue.submit_own(options.time.millis(), repair.into()));
        }
        let (closed, pokes) = mpsc::channel();
        let sweeper = Sweeper::new(&options, Arc::clone(&queue));
        let writer = Writer::new(options, start, Arc::clone(&queue), closed);
        let shared = Shared {
            queue,
            threads: Mutex::new(Threads {
                running: Vec::new(),
                lock: Some(lock),
            }),
        };
        let started = [
            spawn("audit-writer", move || writer.run()),
            spawn("audit-sweeper", move || sweeper.run(&pokes)),
        ];
        for thread in started {
            let thread = thread.map_err(OpenError::io(&directory))?;
            shared.threads.lock().running.push(thread);
        }
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Submits a record of this time, in milliseconds since 1970. From any
    /// thread; it takes a lock for some nanoseconds, and never waits for a disk.
    pub fn submit(&self, millis: i64, record: impl Into<Record>) -> Submitted {
        self.shared.queue.submit(millis, record.into())
    }

    /// Submits what the server itself did. It is taken even when there is no room:
    /// there is little of it, and it is what explains the rest.
    pub fn note(&self, millis: i64, event: impl Into<Record>) {
        drop(self.shared.queue.submit_own(millis, event.into()));
    }

    /// Waits until there may be room for a record, such as one that came back as
    /// [`Submitted::Full`]. Another may take it first.
    pub async fn room(&self, record: &Record) {
        self.shared.queue.room(record).await;
    }

    /// Counts a record as refused that found no room before its deadline.
    pub fn give_up(&self, millis: i64) {
        self.shared.queue.give_up(millis);
    }

    /// Returns when everything submitted so far is durable, or told in a `gap`
    /// record that is. While the disk fails that takes until it does not.
    ///
    /// # Errors
    /// When the log was closed.
    pub async fn flush(&self) -> Result<(), NotDurable> {
        self.shared.queue.flush().durable().await
    }

    /// As [`Audit::flush`], from a thread that may block.
    ///
    /// # Errors
    /// As [`Audit::flush`].
    pub fn flush_blocking(&self) -> Result<(), NotDurable> {
        self.shared.queue.flush().wait()
    }

    /// The number of the last record that is durable, as it grows: all up to it
    /// can be read from the files.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.shared.queue.durable.subscribe()
    }

    /// Whether decisions can be given now: there is room for a record of usual
    /// length, or it may be lost; and in mode `sync` the disk takes it, too.
    ///
    /// # Errors
    /// Why not.
    pub fn answering(&self) -> Result<(), Unhealthy> {
        self.shared.queue.answering()
    }

    /// How it fares.
    pub fn counters(&self) -> Counters {
        let tallies = &self.shared.queue.tallies;
        let (waiting_records, waiting_bytes, oldest) = self.shared.queue.depth();
        Counters {
            records: tallies.records.get(),
            bytes: tallies.bytes.get(),
            lost: tallies.lost.get(),
            refused: tallies.refused.get(),
            syncs: tallies.syncs.get(),
            late: tallies.late.get(),
            disk_errors: tallies.disk_errors.get(),
            segments: tallies.segments.get(),
            durable_seq: tallies.durable_seq.get(),
            waiting_records,
            waiting_bytes,
            oldest,
        }
    }

    /// Whether it is well: it can be written, nothing was lost or refused within
    /// the last minute, and nothing waits for longer than five windows and 5 s.
    ///
    /// # Errors
    /// The first of these that is not so.
    pub fn health(&self) -> Result<(), Unhealthy> {
        self.shared.queue.health()
    }

    /// Takes nothing more, writes everything, syncs, and ends the threads. While
    /// the disk fails it is tried a few times more, and what is left is lost and
    /// counted. Blocks; other clones find the log closed.
    pub fn close(self) {
        self.shared.close();
    }
}

impl Shared {
    fn close(&self) {
        self.queue.close();
        let mut threads = self.threads.lock();
        for thread in threads.running.drain(..) {
            // One that panicked has let go of those who wait, and said so.
            thread.join().ok();
        }
        threads.lock = None;
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.close();
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

fn check(options: &Options) -> Result<(), OpenError> {
    let window = match options.mode {
        Mode::Sync => Duration::from_millis(1),
        Mode::Batched { window } => window,
    };
    let is_range = |time: Duration| time >= Duration::from_millis(1);
    let checks = [
        ("window", is_range(window) && window <= WINDOW_MAX),
        ("waiting_records_max", options.waiting_records_max > 0),
        ("waiting_bytes_max", options.waiting_bytes_max > 0),
        ("segment_bytes", options.segment_bytes > 0),
        ("segment_age", is_range(options.segment_age)),
        (
            "retry",
            is_range(options.retry) && options.retry <= WINDOW_MAX,
        ),
    ];
    match checks.into_iter().find(|(_, is_good)| !is_good) {
        Some((option, _)) => Err(OpenError::Option { option }),
        None => Ok(()),
    }
}
