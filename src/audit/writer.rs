//! The thread that writes: it numbers, encodes and chains what was submitted,
//! makes it durable, and closes segments.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::files::Files;
use super::line;
use super::line::Hash;
use super::line::LINE_BYTES_MAX;
use super::line::Stamp;
use super::options::Mode;
use super::options::Options;
use super::queue::Entry;
use super::queue::Queue;
use super::queue::Taken;
use super::record::EventRecord;
use super::record::Record;
use super::segment::Place;
use super::segment::Segment;
use super::sink::Sink;
use super::start::Start;
use super::trouble::Trouble;
use super::walk::Seal;
use crate::directory::time::Time;
use crate::telemetry::events;

/// How long the writer lets records come together while there is traffic.
const NAP: Duration = Duration::from_millis(2);

/// What is pending is made durable when it has so many bytes, whatever the
/// window. What a crash can tear is thus bounded, see `start`.
pub(super) const PENDING_BYTES_MAX: usize = 8 << 20;

/// How often a disk that fails is tried when the log is to close.
const CLOSING_ATTEMPTS: u32 = 3;

/// The disk fails, and the log is to close.
#[derive(Debug)]
struct GaveUp;

/// The writer, and all that it knows.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Arc<Queue>,
    files: Files,
    mode: Mode,
    durable: String,
    segment_bytes: u64,
    segment_age: i64,
    retry: Duration,
    time: Time,
    sinks: Vec<Box<dyn Sink>>,
    /// Wakes the thread that packs and drops closed segments.
    closed: Sender<()>,
    log: String,
    directory: PathBuf,
    next: u64,
    prev: Hash,
    /// The first record that is not durable.
    settled: u64,
    segment: Segment,
    stamp: Stamp,
    buffer: Vec<u8>,
    /// Of those appended since the last sync: how many, their weight, and who
    /// waits for them.
    appended: (usize, usize),
    waiters: Vec<oneshot::Sender<()>>,
    trouble: Trouble,
}

impl Writer {
    pub(super) fn new(
        options: Options,
        start: Start,
        queue: Arc<Queue>,
        closed: Sender<()>,
    ) -> Self {
        let place = Place {
            first: start.next,
            number: start.number + 1,
            begun: options.time.millis(),
        };
        let is_new = start.segment.is_none();
        let segment = start
            .segment
            .unwrap_or_else(|| Segment::new(&options.directory, place));
        let mut writer = Self {
            queue,
            files: options.files,
            mode: options.mode,
            durable: options.mode.stated(),
            segment_bytes: options.segment_bytes,
            segment_age: i64::try_from(options.segment_age.as_millis()).unwrap_or(i64::MAX),
            retry: options.retry,
            time: options.time,
            sinks: options.sinks,
            closed,
            log: start.log,
            directory: options.directory,
            next: start.next,
            prev: start.prev,
            settled: start.next,
            segment,
            stamp: Stamp::default(),
            buffer: Vec::new(),
            appended: (0, 0),
            waiters: Vec::new(),
            trouble: Trouble::default(),
        };
        if is_new {
            writer.open_segment(start.seal.as_ref());
        }
        writer
    }

    /// Writes until the log is closed, or its disk fails then.
    pub(super) fn run(mut self) {
        let mut entries = Vec::new();
        let mut nap = None;
        loop {
            let taken = self.queue.take(&mut entries, nap, self.until());
            let is_busy = !entries.is_empty() && self.mode != Mode::Sync;
            nap = is_busy.then_some(NAP);
            let is_closing = taken.is_closing;
            if self.work(&mut entries, taken).is_err() || is_closing {
                return;
            }
        }
    }

    fn work(&mut self, entries: &mut Vec<Entry>, taken: Taken) -> Result<(), GaveUp> {
        self.trouble.add(&taken.loss);
        for entry in entries.drain(..) {
            self.append(entry)?;
        }
        if self.segment.tally.records > 1 && self.age() >= self.segment_age {
            self.rotate()?;
        }
        // In mode `batched` only the log's own records have somebody who waits.
        if self.mode == Mode::Sync
            || taken.is_closing
            || !taken.flushes.is_empty()
            || !self.waiters.is_empty()
            || self.is_due()
        {
            self.sync()?;
        } else {
            self.write()?;
        }
        // What went wrong is told behind what was taken before it did. If that
        // goes wrong too, it is told the next time.
        let due = self.trouble.due();
        let is_due = due.is_some_and(|due| taken.is_closing || due <= Instant::now());
        if is_due && let Some((gap, loss, why)) = self.trouble.take() {
            self.own(gap);
            events::audit_gap(loss.lost, loss.refused, &why);
            if self.mode == Mode::Sync || taken.is_closing || !taken.flushes.is_empty() {
                self.sync()?;
            }
        }
        for flush in taken.flushes {
            // Who does not wait any more is of no concern.
            flush.send(()).ok();
        }
        Ok(())
    }

    /// Until when the writer may wait for more.
    fn until(&self) -> Option<Instant> {
        let trouble = self.trouble.due();
        let trouble = trouble.map(|due| due.max(Instant::now() + self.retry));
        trouble.into_iter().chain(self.until_due()).min()
    }

    /// Until when, if nothing is wrong.
    fn until_due(&self) -> Option<Instant> {
        if !self.segment.pending().is_empty() {
            return Some(self.sync_at());
        }
        if self.segment.tally.records > 1 {
            let left = self.segment_age.saturating_sub(self.age());
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            return Instant::now().checked_add(left);
        }
        None
    }

    /// When to sync: with half of the window left, for the sync itself.
    fn sync_at(&self) -> Instant {
        match (self.mode, self.queue.taken_since()) {
            (Mode::Batched { window }, Some(since)) => since + window / 2,
            _ => Instant::now(),
        }
    }

    fn is_due(&self) -> bool {
        !self.segment.pending().is_empty() && self.sync_at() <= Instant::now()
    }

    /// How old the segment is, in milliseconds.
    fn age(&self) -> i64 {
        self.time.millis().saturating_sub(self.segment.place.begun)
    }

    fn append(&mut self, entry: Entry) -> Result<(), GaveUp> {
        if self.segment.tally.records > 1 && self.segment.tally.bytes >= self.segment_bytes {
            self.rotate()?;
        }
        if self.line(entry.millis, &entry.record) {
            self.waiters.extend(entry.waiter);
        } else {
            self.queue.lose();
            self.trouble.too_large(entry.millis);
        }
        self.appended.0 += 1;
        self.appended.1 += entry.weight;
        if self.segment.pending().len() >= PENDING_BYTES_MAX {
            self.sync()?;
        }
        Ok(())
    }

    /// Appends a record of the log itself.
    fn own(&mut self, event: EventRecord) {
        self.line(self.time.millis(), &Record::Event(event));
    }

    /// Appends a line in memory, unless it is too long.
    fn line(&mut self, millis: i64, record: &Record) -> bool {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        line::push_head(
            &mut buffer,
            (self.next, millis),
            &mut self.stamp,
            &self.prev,
            &self.durable,
        );
        let head = buffer.len();
        record.encode(&mut buffer);
        if buffer.len() + 1 >= LINE_BYTES_MAX {
            buffer.truncate(head);
            record.encode_shortened(&mut buffer);
        }
        buffer.push(b'}');
        let is_taken = buffer.len() < LINE_BYTES_MAX;
        if is_taken {
            self.next += 1;
            self.prev = Hash::of(&buffer);
            buffer.push(b'\n');
            self.segment.push(&buffer);
        }
        self.buffer = buffer;
        is_taken
    }

    /// Closes the segment, and begins the next one.
    fn rotate(&mut self) -> Result<(), GaveUp> {
        self.sync()?;
        let seal = self.segment.seal();
        let place = Place {
            first: self.next,
            number: self.segment.place.number + 1,
            begun: self.time.millis(),
        };
        self.segment = Segment::new(&self.directory, place);
        self.open_segment(Some(&seal));
        // Before this is durable, the one before must not be packed.
        self.sync()?;
        self.queue.tallies.segments.add(1);
        // The other thread ends after this one.
        self.closed.send(()).ok();
        Ok(())
    }

    fn open_segment(&mut self, seal: Option<&Seal>) {
        let previous = seal.map_or(Value::Null, |seal| {
            json!({
                "file": seal.file,
                "records": seal.records,
                "bytes": seal.bytes,
                "sha256": seal.sha256,
            })
        });
        let fields = [
            ("log", Value::from(self.log.as_str())),
            ("segment", Value::from(self.segment.place.number)),
            ("previous", previous),
        ];
        self.own(EventRecord::new("segment", fields));
    }

    fn write(&mut self) -> Result<(), GaveUp> {
        self.persist(Segment::write)
    }

    fn sync(&mut self) -> Result<(), GaveUp> {
        if !self.segment.pending().is_empty() {
            self.persist(Segment::sync)?;
            self.settle();
        }
        self.queue.release(std::mem::take(&mut self.appended));
        for waiter in self.waiters.drain(..) {
            // As in `work`.
            waiter.send(()).ok();
        }
        Ok(())
    }

    /// Tries until it works. Nothing more is taken meanwhile, so that what waits
    /// stays within its bounds.
    fn persist(&mut self, call: fn(&mut Segment, &Files) -> io::Result<()>) -> Result<(), GaveUp> {
        let mut failures = 0;
        let mut attempts = CLOSING_ATTEMPTS;
        while let Err(error) = call(&mut self.segment, &self.files) {
            let path = self.segment.path().display().to_string();
            if failures == 0 {
                events::audit_failing(&path, &error);
            }
            failures += 1;
            self.queue.tallies.disk_errors.add(1);
            let text = format!("`{path}`: {error}");
            self.queue.set_failing(Some(text.clone()));
            self.trouble.disk(self.time.millis(), text);
            if self.queue.is_closing() {
                attempts -= 1;
                if attempts == 0 {
                    return Err(GaveUp);
                }
            }
            let doubled = u32::try_from(failures).unwrap_or(6).min(6) - 1;
            self.queue.pause(self.retry * (1 << doubled).min(50));
        }
        if failures > 0 {
            self.trouble.disk_ended(self.time.millis());
            self.queue.set_failing(None);
            events::audit_recovered(failures);
        }
        Ok(())
    }

    /// What was pending is durable.
    fn settle(&mut self) {
        if !self.sinks.is_empty() {
            let lines = self.segment.pending().split(|byte| *byte == b'\n');
            for (seq, line) in (self.settled..self.next).zip(lines) {
                for sink in &mut self.sinks {
                    sink.appended(seq, line);
                }
            }
        }
        let tallies = &self.queue.tallies;
        tallies.records.add(self.next - self.settled);
        tallies.bytes.add(self.segment.pending().len() as u64);
        tallies.syncs.add(1);
        tallies.durable_seq.set(self.next - 1);
        self.queue.durable.send_replace(self.next - 1);
        self.settled = self.next;
        self.segment.settle();
        if let (Mode::Batched { window }, Some(since)) = (self.mode, self.queue.taken_since())
            && since.elapsed() > window
        {
            tallies.late.add(1);
            let late = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.trouble.late(self.time.millis(), late);
        }
    }
}

/// However the writer ends, nobody waits for it any more.
impl Drop for Writer {
    fn drop(&mut self) {
        let left = self.queue.end();
        if left > 0 {
            events::audit_ended_with(left);
        }
    }
}
