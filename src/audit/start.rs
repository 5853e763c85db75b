//! Opening a log: the lock, and the end of the last segment.
//!
//! Only the last segment is read. What a crash leaves at its end, and nothing
//! else, is repaired:
//!
//! * bytes that are no record, with no record behind them, are torn;
//! * so are those from a record with NUL bytes on, up to [`TORN_BYTES_MAX`]: when
//!   power fails, parts of a file that were not synced read as zeros, and what is
//!   behind them may be there.
//!
//! They are cut off into a file of their own, and a `repair` record tells of it.
//! Anything else is damage, and the log is not opened.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use serde_json::Value;
use serde_json::json;
use uuid::Uuid;

use super::error::OpenError;
use super::fault::Fault;
use super::fault::What;
use super::files::Files;
use super::folder;
use super::folder::Found;
use super::folder::UNFINISHED;
use super::line;
use super::line::Hash;
use super::line::LINE_BYTES_MAX;
use super::lines::Lines;
use super::lines::Next;
use super::record::EventRecord;
use super::segment::Place;
use super::segment::Segment;
use super::walk::Seal;
use super::walk::Walk;
use super::writer::PENDING_BYTES_MAX;
use crate::telemetry::events;

const LOCK: &str = "lock";

/// The most that a crash can tear: what was not synced.
const TORN_BYTES_MAX: u64 = (PENDING_BYTES_MAX + 2 * LINE_BYTES_MAX) as u64;

/// Where a log goes on.
#[derive(Debug)]
pub(super) struct Start {
    /// The name of the log.
    pub(super) log: String,
    /// The next record.
    pub(super) next: u64,
    /// The hash of the last one.
    pub(super) prev: Hash,
    /// The number of the last segment; 0 if there is none.
    pub(super) number: u64,
    /// The last segment, to be gone on with;
    pub(super) segment: Option<Segment>,
    /// or what the new one is to state of it.
    pub(super) seal: Option<Seal>,
    /// What was repaired.
    pub(super) repair: Option<EventRecord>,
    /// How many segments there are.
    pub(super) segments: usize,
}

/// Keeps other processes out as long as it lives.
#[derive(Debug)]
pub(super) struct Lock(File);

/// Closing the file would do, but not at once while another thread starts a
/// process: that has it open too, for a moment.
impl Drop for Lock {
    fn drop(&mut self) {
        // There is nobody to tell, and closing the file is next.
        self.0.unlock().ok();
    }
}

/// Makes the directory if there is none, and locks it.
pub(super) fn lock(directory: &Path, files: &Files) -> Result<Lock, OpenError> {
    make(directory, files).map_err(OpenError::io(directory))?;
    let path = directory.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(OpenError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            directory: directory.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(OpenError::io(&path)(error)),
    }
}

/// Makes the directory and those above it that are not there, each with a name
/// that is durable: a log that is synced would be gone with it.
fn make(directory: &Path, files: &Files) -> io::Result<()> {
    let made = directory.ancestors();
    let made = made.take_while(|path| !path.as_os_str().is_empty() && !path.exists());
    let made: Vec<&Path> = made.collect();
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    for parent in made.into_iter().filter_map(Path::parent) {
        let is_here = parent.as_os_str().is_empty();
        files.sync_directory(if is_here { Path::new(".") } else { parent })?;
    }
    Ok(())
}

/// Finds out where a log goes on, and repairs its end. The log is locked.
pub(super) fn start(directory: &Path, files: &Files) -> Result<Start, OpenError> {
    let failed = || OpenError::io(directory);
    for path in folder::unfinished(directory).map_err(failed())? {
        files.remove(&path).map_err(OpenError::io(&path))?;
    }
    let mut segments = folder::segments(directory).map_err(failed())?;
    let mut start = Start {
        log: Uuid::new_v4().simple().to_string(),
        next: 1,
        prev: Hash::BEFORE_FIRST,
        number: 0,
        segment: None,
        seal: None,
        repair: None,
        segments: 0,
    };
    let mut good = 0;
    while let Some(last) = segments.last() {
        let end = read_end(directory, last)?;
        if let Some(offset) = end.torn {
            let seq = end.walk.as_ref().map_or(last.first, |walk| walk.next);
            tear(directory, files, last, (seq, offset)).map_err(failed())?;
        }
        match end.walk {
            Some(walk) => {
                good = walk.tally.bytes;
                resume(&mut start, walk, directory, last, files).map_err(failed())?;
                break;
            }
            None => {
                // Its first record was never durable, so nothing else in it was.
                let path = directory.join(last.name());
                files.remove(&path).map_err(OpenError::io(&path))?;
                files.sync_directory(directory).map_err(failed())?;
                start.next = last.first;
                segments.pop();
            }
        }
    }
    if segments.is_empty() {
        start.next = 1;
    }
    start.segments = segments.len();
    // The record of a repair is the next one, behind that of a segment at most.
    let untold = match &start.segment {
        Some(segment) if segment.tally.records == 1 => start.next - 1,
        _ => start.next,
    };
    let names = folder::torn(directory, untold).map_err(failed())?;
    let file = segments.last().map(Found::name);
    start.repair = repair(directory, &names, &json!(file), good)?;
    Ok(start)
}

/// One record for all that was torn, so that it is told whole or not at all.
fn repair(
    directory: &Path,
    names: &[String],
    file: &Value,
    offset: u64,
) -> Result<Option<EventRecord>, OpenError> {
    let mut torn = Vec::new();
    for name in names {
        let path = directory.join(name);
        let bytes = fs::metadata(&path).map_err(OpenError::io(&path))?.len();
        events::audit_repaired(&path.display().to_string(), bytes);
        torn.push(json!({"kept_in": name, "bytes": bytes}));
    }
    let fields = [
        ("file", file.clone()),
        ("offset", json!(offset)),
        ("torn", Value::from(torn)),
    ];
    Ok((!names.is_empty()).then(|| EventRecord::new("repair", fields)))
}

/// Goes on with this segment if it is not packed; otherwise with a new one.
fn resume(
    start: &mut Start,
    walk: Walk,
    directory: &Path,
    last: &Found,
    files: &Files,
) -> io::Result<()> {
    (start.next, start.prev) = (walk.next, walk.prev);
    start.number = walk.segment;
    start.log = walk.log;
    if !last.is_plain {
        start.seal = Some(walk.tally.seal(walk.first));
        return Ok(());
    }
    // What was read may be known to the system only.
    let path = directory.join(last.name());
    files.sync(&path, &files.open(&path)?)?;
    files.sync_directory(directory)?;
    let place = Place {
        first: walk.first,
        number: walk.segment,
        begun: walk.begun,
    };
    start.segment = Some(Segment::resume(directory, place, walk.tally));
    Ok(())
}

/// The end of a segment.
struct End {
    /// As far as it is good; nothing is, if there is none.
    walk: Option<Walk>,
    /// Where what is torn begins.
    torn: Option<u64>,
}

fn read_end(directory: &Path, last: &Found) -> Result<End, OpenError> {
    let path = directory.join(last.name());
    let mut lines = last.lines(directory).map_err(OpenError::io(&path))?;
    let mut walk: Option<Walk> = None;
    let wrong = loop {
        let wrong = match lines.advance().map_err(OpenError::io(&path))? {
            Next::End => return Ok(End { walk, torn: None }),
            Next::Partial => What::Partial,
            Next::TooLong => What::TooLong,
            Next::Line => {
                let line = lines.line();
                let step = match &mut walk {
                    Some(walk) => walk.step(line).map(drop),
                    None => Walk::begin(last.first, line).map(|begun| walk = Some(begun)),
                };
                match step {
                    Ok(()) => continue,
                    Err(what) => what,
                }
            }
        };
        break wrong;
    };
    let fault = Fault {
        file: last.name(),
        line: lines.number,
        seq: walk.as_ref().map_or(last.first, |walk| walk.next),
        offset: lines.offset,
        what: wrong,
    };
    let length = fs::metadata(&path).map_err(OpenError::io(&path))?.len();
    let is_torn =
        last.is_plain && is_torn(&mut lines, &fault, length).map_err(OpenError::io(&path))?;
    if !is_torn {
        return Err(OpenError::Damaged {
            directory: directory.display().to_string(),
            fault,
        });
    }
    Ok(End {
        walk,
        torn: Some(fault.offset),
    })
}

/// Whether a crash explains what is wrong with the line that was read last.
fn is_torn(lines: &mut Lines, fault: &Fault, length: u64) -> io::Result<bool> {
    let is_short = length.saturating_sub(fault.offset) <= TORN_BYTES_MAX;
    if lines.line().contains(&0) {
        return Ok(is_short);
    }
    match fault.what {
        What::Partial => return Ok(is_short),
        What::Unreadable(line::LATER) => return Ok(false),
        What::Unreadable(_) | What::NotJson => {}
        What::TooLong => lines.skip()?,
        // It is a record, but not the one that was written here.
        _ => return Ok(false),
    }
    loop {
        match lines.advance()? {
            Next::End | Next::Partial => return Ok(is_short),
            Next::TooLong => lines.skip()?,
            Next::Line if line::parse(lines.line()).is_ok() => return Ok(false),
            Next::Line => {}
        }
    }
}

/// Moves what is torn to a file of its own, where `seq` would have begun.
fn tear(
    directory: &Path,
    files: &Files,
    last: &Found,
    (seq, offset): (u64, u64),
) -> io::Result<()> {
    let path = directory.join(last.name());
    let mut torn = Vec::new();
    let mut source = File::open(&path)?;
    source.seek(SeekFrom::Start(offset))?;
    source.read_to_end(&mut torn)?;
    let mut again = 0;
    let kept = loop {
        let kept = directory.join(folder::torn_name(seq, again));
        if !kept.try_exists()? {
            break kept;
        }
        again += 1;
    };
    let unfinished = directory.join(format!("{}{UNFINISHED}", folder::torn_name(seq, again)));
    let mut file = files.create(&unfinished)?;
    files.write(&unfinished, &mut file, &torn)?;
    files.sync(&unfinished, &file)?;
    files.rename(&unfinished, &kept)?;
    files.sync_directory(directory)?;
    let file = files.open(&path)?;
    files.truncate(&path, &file, offset)?;
    files.sync(&path, &file)
}
