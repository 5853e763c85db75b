//! The thread that packs closed segments, and drops those that are not to be
//! kept any longer.
//!
//! A segment is packed into a file with another name, which is read back, made
//! durable and renamed; then the other is removed. After a crash in between there
//! are both, the one that is not packed counts, and it is packed again.
//!
//! What is too much is told by what is left after packing; what is just closed
//! counts as packed, unless it cannot be.
//!
//! Segments are dropped after the `retention` record that tells of it is durable.
//! After a crash in between, another record tells of them and they are dropped. A
//! disk without any room takes no such record, so nothing is dropped there before
//! somebody makes some: `keep_bytes` has to be less than what the disk has.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use super::files::Files;
use super::folder;
use super::folder::Found;
use super::folder::UNFINISHED;
use super::line::Hash;
use super::lines::Next;
use super::options::Options;
use super::queue::Queue;
use super::record::EventRecord;
use super::record::Record;
use super::walk;
use super::walk::Seal;
use crate::directory::time::Time;
use crate::telemetry::events;

/// How often it is looked at what has become too old, when no segment is closed.
const INTERVAL: Duration = Duration::from_mins(10);

/// The most segments that one record tells of; the rest waits for the next look.
const DROPPED_MAX: usize = 1000;

/// The fastest: records are much alike, and the server has other things to do.
const LEVEL: i32 = 1;
const CHUNK_BYTES: usize = 1 << 18;

/// Packs and drops closed segments.
#[derive(Debug)]
pub(super) struct Sweeper {
    directory: PathBuf,
    files: Files,
    keep_age: Option<i64>,
    keep_bytes: Option<u64>,
    time: Time,
    queue: Arc<Queue>,
    /// These are not what was written, and stay as they are.
    damaged: HashSet<u64>,
}

impl Sweeper {
    pub(super) fn new(options: &Options, queue: Arc<Queue>) -> Self {
        let millis = |age: Duration| i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Self {
            directory: options.directory.clone(),
            files: options.files.clone(),
            keep_age: options.keep_age.map(millis),
            keep_bytes: options.keep_bytes,
            time: options.time.clone(),
            queue,
            damaged: HashSet::new(),
        }
    }

    /// Sweeps at the start, whenever a segment is closed, and now and then.
    pub(super) fn run(mut self, closed: &Receiver<()>) {
        loop {
            // Several at once are one.
            while closed.try_recv().is_ok() {}
            if let Err(error) = self.sweep() {
                self.failed(&self.directory, &error);
            }
            if closed.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    /// Goes on with the others where one segment cannot be packed.
    fn sweep(&mut self) -> io::Result<()> {
        let segments = folder::segments(&self.directory)?;
        let is_full = self.pack_all(&segments);
        let segments = folder::segments(&self.directory)?;
        let dropped = self.drop_old(&segments)?;
        if is_full && dropped > 0 {
            // Now there may be room.
            self.pack_all(segments.get(dropped..).unwrap_or_default());
        }
        Ok(())
    }

    /// Packs closed segments until the log is to close, and tells whether there
    /// was no room to.
    fn pack_all(&mut self, segments: &[Found]) -> bool {
        for pair in segments.windows(2) {
            let [segment, next] = pair else { break };
            if self.queue.is_closing() {
                break;
            }
            if !segment.is_plain || self.damaged.contains(&segment.first) {
                continue;
            }
            if let Err(error) = self.pack(segment, next) {
                self.failed(&self.directory.join(segment.name()), &error);
                if is_full(&error) {
                    return true;
                }
            }
        }
        false
    }

    fn failed(&self, path: &Path, error: &io::Error) {
        self.queue.tallies.disk_errors.add(1);
        events::audit_sweep_failed(&path.display().to_string(), error);
    }

    /// What the next segment tells of the one before, and when it was begun.
    fn seal_in(&self, next: &Found) -> io::Result<(Option<Seal>, i64)> {
        let mut lines = next.lines(&self.directory)?;
        let opening = match lines.advance()? {
            Next::Line => walk::opening(next.first, lines.line()),
            _ => return Err(io::Error::other("a segment has no first record")),
        };
        match opening {
            Ok((head, opening)) => Ok((opening.previous, head.millis)),
            Err(what) => Err(io::Error::other(format!("`{}`: {what}", next.name()))),
        }
    }

    fn pack(&mut self, segment: &Found, next: &Found) -> io::Result<()> {
        let (seal, _) = self.seal_in(next)?;
        let plain = self.directory.join(folder::plain_name(segment.first));
        let packed = self.directory.join(folder::packed_name(segment.first));
        let mut unfinished = packed.clone().into_os_string();
        unfinished.push(UNFINISHED);
        let unfinished = PathBuf::from(unfinished);
        self.discard(&unfinished)?;
        let stated = seal.map(|seal| seal.sha256);
        let written = self.write_packed(&plain, &unfinished);
        let renamed = written.and_then(|(digest, bytes)| {
            let is_same = stated == Some(digest.to_string()) && bytes_packed(&unfinished)? == bytes;
            if is_same {
                self.files.rename(&unfinished, &packed)?;
            }
            Ok(is_same)
        });
        match renamed {
            Ok(true) => {
                self.files.sync_directory(&self.directory)?;
                self.files.remove(&plain)
            }
            Ok(false) => {
                events::audit_damaged(&plain.display().to_string());
                self.damaged.insert(segment.first);
                self.discard(&unfinished)
            }
            Err(error) => {
                // It may be what fills the disk. If it stays, the next attempt
                // begins with removing it.
                self.discard(&unfinished).ok();
                Err(error)
            }
        }
    }

    fn discard(&self, unfinished: &Path) -> io::Result<()> {
        match self.files.remove(unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes it packed and durable, and gives the digest and the bytes of what was
    /// packed.
    fn write_packed(&self, plain: &Path, to: &Path) -> io::Result<(Hash, u64)> {
        let mut source = File::open(plain)?;
        let mut file = self.files.create(to)?;
        let mut encoder = Encoder::new(Vec::new(), LEVEL)?;
        encoder.include_checksum(true)?;
        let mut digest = Sha256::new();
        let mut bytes = 0;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = source.read(&mut chunk)?;
            let part = chunk.get(..read).unwrap_or_default();
            if part.is_empty() {
                break;
            }
            digest.update(part);
            bytes += part.len() as u64;
            encoder.write_all(part)?;
            self.files.write(to, &mut file, encoder.get_ref())?;
            encoder.get_mut().clear();
        }
        let rest = encoder.finish()?;
        self.files.write(to, &mut file, &rest)?;
        self.files.sync(to, &file)?;
        Ok((Hash::from_bytes(digest.finalize().into()), bytes))
    }

    /// When the last record before these segments was there at the latest: the
    /// first of them that can be read says so.
    fn ended(&self, later: &[Found]) -> Option<i64> {
        later.iter().find_map(|next| match self.seal_in(next) {
            Ok((_, begun)) => Some(begun),
            Err(error) => {
                self.failed(&self.directory.join(next.name()), &error);
                None
            }
        })
    }

    /// Drops what is not to be kept, and tells how many segments that were.
    fn drop_old(&self, segments: &[Found]) -> io::Result<usize> {
        let sizes: Vec<u64> = segments
            .iter()
            .map(|segment| segment.bytes(&self.directory))
            .collect();
        let mut total: u64 = sizes.iter().sum();
        let (mut names, mut through, mut why) = (Vec::new(), 0, "bytes");
        let mut later = segments;
        for size in &sizes {
            let [segment, rest @ ..] = later else { break };
            let [next, ..] = rest else { break };
            later = rest;
            let is_large = self.keep_bytes.is_some_and(|keep| total > keep);
            let is_old = self.keep_age.is_some_and(|keep| {
                let ended = self.ended(rest);
                ended.is_some_and(|ended| self.time.millis().saturating_sub(ended) > keep)
            });
            if (!is_large && !is_old) || names.len() == DROPPED_MAX {
                break;
            }
            if is_old {
                why = "age";
            }
            total -= size;
            names.push(folder::plain_name(segment.first));
            through = next.first - 1;
        }
        let dropped = segments.get(..names.len()).unwrap_or_default();
        if dropped.is_empty() {
            return Ok(0);
        }
        let fields = [
            ("segments", json!(names)),
            ("through", json!(through)),
            ("why", json!(why)),
        ];
        let record = Record::Event(EventRecord::new("retention", fields));
        let told = self.queue.submit_own(self.time.millis(), record);
        if told.wait().is_err() {
            return Ok(0);
        }
        // In order, and no further when one stays: a hole would be damage.
        for segment in dropped {
            for (is_there, name) in [
                (segment.is_packed, folder::packed_name(segment.first)),
                (segment.is_plain, folder::plain_name(segment.first)),
            ] {
                if is_there {
                    self.files.remove(&self.directory.join(name))?;
                }
            }
        }
        self.files.sync_directory(&self.directory)?;
        events::audit_dropped(dropped.len(), through);
        Ok(dropped.len())
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::QuotaExceeded;
    use io::ErrorKind::StorageFull;
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// How many bytes are packed in a file; its checksum is compared on the way.
fn bytes_packed(packed: &Path) -> io::Result<u64> {
    io::copy(&mut Decoder::new(File::open(packed)?)?, &mut io::sink())
}
