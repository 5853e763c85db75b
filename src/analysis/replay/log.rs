//! The files of audit logs, read in chunks of whole lines.
//!
//! Unlike [`audit::read`](crate::audit::read), which stops at the first thing that
//! is wrong, what can be read is read, and what cannot is told.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::btree_map::Entry;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::rc::Rc;

use memchr::memchr;
use memchr::memchr_iter;
use memchr::memrchr;
use serde::Serialize;
use thiserror::Error;

use crate::audit::line::LINE_BYTES_MAX;

const PLAIN: &str = ".ndjson";
const PACKED: &str = ".ndjson.zst";
/// Digits of the number of its first record in the name of a segment.
const DIGITS: usize = 20;
/// Bytes of a chunk, if no line is longer.
const CHUNK_BYTES: usize = 512 << 10;

/// A path that is no log.
#[derive(Debug, Error)]
pub enum LogError {
    /// It cannot be looked at.
    #[error("cannot read `{}`: {error}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A directory without a segment.
    #[error("there is no audit log in `{}`", .0.display())]
    Absent(PathBuf),
}

impl LogError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that it is there and that you may read it",
            Self::Absent(_) => {
                "name the directory that the server has as `audit.path`, or its `*.ndjson` and \
                 `*.ndjson.zst` files"
            }
        }
    }
}

/// A file of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    path: PathBuf,
    /// Which of the logs it is of: records go on from one segment to the next.
    log: usize,
}

/// The files of one or more logs, in order.
#[derive(Debug, Clone, Default)]
pub struct Log {
    segments: Vec<Segment>,
}

/// Some whole lines of a file.
#[derive(Debug)]
pub struct Chunk {
    /// The number of the file.
    pub file: usize,
    /// The number of the first line in it, from 1.
    pub line: u64,
    /// The lines.
    pub text: Vec<u8>,
}

/// Something in a log that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogFault {
    /// The number of the file.
    pub file: usize,
    /// The line in it, from 1.
    pub line: u64,
    /// Whether what is there was decided.
    pub kind: FaultKind,
    /// What is wrong there.
    pub what: String,
}

/// What becomes of what is not as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// It cannot be read, and was left out.
    Unreadable,
    /// Records are missing before it, or it is there twice. It was decided.
    OutOfOrder,
}

impl Log {
    /// The files that paths name: directories of logs, and segments. The segments of
    /// one directory are one log, however they are named; each is taken once.
    ///
    /// # Errors
    /// The first path that is neither.
    pub fn find(paths: &[PathBuf]) -> Result<Self, LogError> {
        let mut found = Found::default();
        for path in paths {
            let at = |error| LogError::Io {
                path: path.clone(),
                error,
            };
            let metadata = fs::metadata(path).map_err(at)?;
            if metadata.is_dir() {
                let segments = of_directory(path).map_err(at)?;
                if segments.is_empty() {
                    return Err(LogError::Absent(path.clone()));
                }
                for segment in segments {
                    found.add(segment);
                }
            } else if metadata.is_file() {
                found.add(path.clone());
            } else {
                // A pipe would be waited for without end.
                return Err(at(io::Error::other("it is neither a file nor a directory")));
            }
        }
        Ok(found.log())
    }

    /// The files, as they are told to people.
    pub fn names(&self) -> Vec<String> {
        let names = self.segments.iter();
        names
            .map(|segment| segment.path.display().to_string())
            .collect()
    }

    /// Whether a file goes on where another ended.
    pub fn follows(&self, before: usize, after: usize) -> bool {
        let log = |at: usize| self.segments.get(at).map(|segment| segment.log);
        log(before) == log(after)
    }

    /// Bytes of all files on the disk.
    pub fn bytes(&self) -> u64 {
        let sizes = self.segments.iter().map(|segment| {
            let metadata = fs::metadata(&segment.path);
            metadata.map_or(0, |metadata| metadata.len())
        });
        sizes.sum()
    }

    /// Gives chunk after chunk, and the bytes that were read for them from the disk,
    /// until it is told that nobody takes any more. What cannot be read is given
    /// back.
    pub fn read(&self, mut take: impl FnMut(Chunk, u64) -> bool) -> Vec<LogFault> {
        let mut faults = Vec::new();
        let bytes = Rc::new(Cell::new(0));
        for (file, segment) in self.segments.iter().enumerate() {
            let mut lines = Lines::new(file);
            let read = open(&segment.path, &bytes).and_then(|source| {
                lines.read(source, &mut faults, |chunk| take(chunk, bytes.get()))
            });
            match read {
                Ok(true) => {}
                Ok(false) => return faults,
                Err(error) => faults.push(lines.broken(&segment.path, &error)),
            }
        }
        faults
    }
}

/// Files as they are found, those of each log in order.
#[derive(Default)]
struct Found {
    /// The number of the log of each directory, and of each file that is no segment.
    logs: BTreeMap<PathBuf, usize>,
    /// By log and number of the first record, whether it is packed.
    segments: BTreeMap<(usize, String), (bool, PathBuf)>,
    /// Files, by what they are without symbolic links.
    seen: BTreeSet<PathBuf>,
}

impl Found {
    fn add(&mut self, path: PathBuf) {
        let one = canonical(&path);
        if !self.seen.insert(one.clone()) {
            return;
        }
        let name = path.file_name().and_then(OsStr::to_str);
        let (log, digits, is_packed) = match name.and_then(segment) {
            Some((digits, is_packed)) => (directory(&path), digits.to_owned(), is_packed),
            None => (one, String::new(), false),
        };
        let next = self.logs.len();
        let log = *self.logs.entry(log).or_insert(next);
        match self.segments.entry((log, digits)) {
            // With both there, the packed one may not be whole yet.
            Entry::Occupied(mut other) if other.get().0 && !is_packed => {
                other.insert((is_packed, path));
            }
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => {
                place.insert((is_packed, path));
            }
        }
    }

    fn log(self) -> Log {
        let segments = self.segments.into_iter();
        let segments = segments.map(|((log, _), (_, path))| Segment { path, log });
        Log {
            segments: segments.collect(),
        }
    }
}

/// A path without symbolic links; as it is where there is nothing any more.
fn canonical(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The directory that a file is in.
fn directory(file: &Path) -> PathBuf {
    let parent = file.parent().filter(|parent| *parent != Path::new(""));
    canonical(parent.unwrap_or_else(|| Path::new(".")))
}

/// The digits in the name of a segment, and whether it is packed.
fn segment(name: &str) -> Option<(&str, bool)> {
    let packed = name.strip_suffix(PACKED).map(|digits| (digits, true));
    let (digits, is_packed) =
        packed.or_else(|| name.strip_suffix(PLAIN).map(|digits| (digits, false)))?;
    let is_segment = digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_segment.then_some((digits, is_packed))
}

fn of_directory(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        // What is not text is not ours.
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        if segment(&name).is_some() {
            found.push(directory.join(name));
        }
    }
    Ok(found)
}

/// Opens a file; `bytes` counts what is read of it from the disk.
fn open(path: &Path, bytes: &Rc<Cell<u64>>) -> io::Result<Box<dyn Read>> {
    let file = Counted {
        file: File::open(path)?,
        bytes: Rc::clone(bytes),
    };
    if path.extension().is_some_and(|extension| extension == "zst") {
        Ok(Box::new(zstd::stream::read::Decoder::new(file)?))
    } else {
        Ok(Box::new(file))
    }
}

/// A file that counts what is read of it.
struct Counted {
    file: File,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.bytes.set(self.bytes.get() + read as u64);
        Ok(read)
    }
}

/// Cuts a file into chunks of whole lines.
struct Lines {
    file: usize,
    /// The number of the next line.
    line: u64,
}

impl Lines {
    fn new(file: usize) -> Self {
        Self { file, line: 1 }
    }

    fn broken(&self, path: &Path, error: &io::Error) -> LogFault {
        let is_packed = path.extension().is_some_and(|extension| extension == "zst");
        let what = if is_packed {
            format!("the file cannot be unpacked from here on: {error}")
        } else {
            format!("the file cannot be read from here on: {error}")
        };
        self.fault(what)
    }

    fn fault(&self, what: impl Into<String>) -> LogFault {
        LogFault {
            file: self.file,
            line: self.line,
            kind: FaultKind::Unreadable,
            what: what.into(),
        }
    }

    /// Whether anybody takes more.
    fn read(
        &mut self,
        mut source: impl Read,
        faults: &mut Vec<LogFault>,
        mut take: impl FnMut(Chunk) -> bool,
    ) -> io::Result<bool> {
        let mut kept = Vec::new();
        // The rest of a line that is too long is passed over.
        let mut is_skipping = false;
        loop {
            let mut text = std::mem::take(&mut kept);
            text.reserve_exact(CHUNK_BYTES);
            let got = (&mut source)
                .take(CHUNK_BYTES as u64)
                .read_to_end(&mut text);
            let is_end = *got.as_ref().unwrap_or(&0) == 0;
            if is_skipping {
                match memchr(b'\n', &text) {
                    Some(end) => {
                        text.drain(..=end);
                        self.line += 1;
                        is_skipping = false;
                    }
                    None => text.clear(),
                }
            }
            let whole = memrchr(b'\n', &text).map_or(0, |at| at + 1);
            kept = text.split_off(whole);
            if !text.is_empty() {
                let chunk = Chunk {
                    file: self.file,
                    line: self.line,
                    text,
                };
                self.line += count(&chunk.text);
                if !take(chunk) {
                    return Ok(false);
                }
            }
            got?;
            if kept.len() > LINE_BYTES_MAX {
                faults.push(self.fault("the line is longer than a record may be"));
                kept.clear();
                is_skipping = true;
            }
            if is_end {
                if !kept.is_empty() || is_skipping {
                    faults.push(self.fault("the file ends within this line"));
                }
                return Ok(true);
            }
        }
    }
}

fn count(text: &[u8]) -> u64 {
    memchr_iter(b'\n', text).count() as u64
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::io::Read;

    use proptest::prelude::*;

    use super::CHUNK_BYTES;
    use super::LINE_BYTES_MAX;
    use super::Lines;
    use super::LogFault;

    /// Gives a few bytes at a time, and fails at the end if it is to.
    struct Slow<'a>(&'a [u8], usize, bool);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() && self.2 {
                return Err(io::Error::other("torn"));
            }
            let room = into.len().min(self.1);
            self.0.read(&mut into[..room])
        }
    }

    fn read(text: &[u8], step: usize, is_torn: bool) -> (Vec<(u64, String)>, Vec<LogFault>, bool) {
        let mut lines = Lines::new(0);
        let (mut all, mut faults) = (Vec::new(), Vec::new());
        let read = lines.read(Slow(text, step, is_torn), &mut faults, |chunk| {
            assert!(chunk.text.ends_with(b"\n"));
            let text = String::from_utf8(chunk.text).unwrap();
            all.extend((chunk.line..).zip(text.lines().map(str::to_owned)));
            true
        });
        (all, faults, read.is_ok())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn every_whole_line_is_given_with_its_number(
            lengths in prop::collection::vec(0_usize..200_000, 0..20),
            rest in 0_usize..3,
            step in 1000_usize..CHUNK_BYTES * 2,
            is_torn: bool,
        ) {
            let lines: Vec<String> = lengths.iter().map(|length| "a".repeat(*length)).collect();
            let mut text = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>();
            text.push_str(&"b".repeat(rest));
            let (found, faults, is_ok) = read(text.as_bytes(), step, is_torn);
            let numbered: Vec<(u64, String)> = (1..).zip(lines).collect();
            let next = numbered.len() as u64 + 1;
            prop_assert_eq!(found, numbered);
            prop_assert_eq!(is_ok, !is_torn);
            let places: Vec<u64> = faults.iter().map(|fault| fault.line).collect();
            let expected = if rest > 0 && !is_torn { vec![next] } else { Vec::new() };
            prop_assert_eq!(places, expected);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = "x".repeat(LINE_BYTES_MAX * 2 + 7);
        let (found, faults, _) = read(format!("a\n{long}\nb\n").as_bytes(), 65_536, false);
        assert_eq!(found, [(1, "a".to_owned()), (3, "b".to_owned())]);
        assert_eq!((faults.len(), faults[0].line), (1, 2));
    }
}
