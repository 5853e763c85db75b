//! Checks a whole log: numbers, chain, and what each segment states of the one
//! before. The first thing that is wrong is named.
//!
//! A chain vouches for what is before its end. The last record, and that none
//! were taken from the end, can be told only by who kept a hash of it elsewhere:
//! [`Report::head`] is there for that.

use std::io;
use std::path::Path;

use serde::Deserialize;

use super::error::ReadError;
use super::fault::Fault;
use super::fault::What;
use super::folder;
use super::folder::Found;
use super::line::Hash;
use super::lines::Lines;
use super::lines::Next;
use super::walk::Walk;

/// How often it is begun again when segments are dropped meanwhile.
const ATTEMPTS: u32 = 5;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The name of the log.
    pub log: String,
    /// How many segments were read.
    pub segments: usize,
    /// How many records are good, from the first that is there.
    pub records: u64,
    /// Their bytes, uncompressed.
    pub bytes: u64,
    /// The first record that is there; those before were dropped.
    pub first_seq: u64,
    /// The last record that is good, and the hash of its line. With a fault that may
    /// be in the last one that was read, it is the one before.
    pub head: Option<(u64, Hash)>,
    /// The records of kind `gap`, and what these say was lost.
    pub gaps: u64,
    /// How many records were lost, as the gaps tell.
    pub lost: u64,
    /// The bytes at the very end that are no whole record: they are being
    /// written, or were when the server was killed.
    pub incomplete_bytes: u64,
    /// The first thing that is wrong.
    pub fault: Option<Fault>,
}

/// Checks a log, whether or not it is being written.
///
/// # Errors
/// If there is none, or if the system would not let it be read. What is wrong
/// with the log is in the report.
pub fn verify(directory: &Path) -> Result<Report, ReadError> {
    let mut attempts = ATTEMPTS;
    loop {
        let segments = folder::segments(directory).map_err(ReadError::io(directory))?;
        let Some(oldest) = segments.first() else {
            return Err(ReadError::Absent {
                directory: directory.display().to_string(),
            });
        };
        let mut check = Check {
            directory,
            walk: None,
            dropped_through: None,
            report: Report {
                first_seq: oldest.first,
                ..Report::default()
            },
        };
        match check.all(&segments) {
            Ok(()) => return Ok(check.report),
            Err((error, path)) => {
                let oldest_now = folder::segments(directory)
                    .ok()
                    .and_then(|now| now.first().map(|found| found.first));
                attempts -= 1;
                let is_dropped = error.kind() == io::ErrorKind::NotFound
                    && oldest_now != Some(oldest.first)
                    && attempts > 0;
                if !is_dropped {
                    return Err(ReadError::io(&path)(error));
                }
            }
        }
    }
}

/// What the log's own records state, as far as it is checked.
#[derive(Deserialize)]
struct Stated {
    #[serde(default)]
    through: u64,
    #[serde(default)]
    lost: u64,
}

struct Check<'a> {
    directory: &'a Path,
    walk: Option<Walk>,
    /// The last record of those that a `retention` record tells of.
    dropped_through: Option<u64>,
    report: Report,
}

type Failed = (io::Error, std::path::PathBuf);

impl Check<'_> {
    fn all(&mut self, segments: &[Found]) -> Result<(), Failed> {
        for (place, found) in segments.iter().enumerate() {
            let is_last = place + 1 == segments.len();
            let fault = self.segment(found, is_last)?;
            self.report.segments += 1;
            if fault.is_some() {
                self.report.fault = fault;
                break;
            }
        }
        if let Some(walk) = &self.walk {
            self.report.log.clone_from(&walk.log);
            self.report.head = Some((walk.next - 1, walk.prev));
        }
        self.let_go_of_the_changed();
        if self.report.fault.is_none()
            && let Some(first) = segments.first()
            && first.first > 1
            && self
                .dropped_through
                .is_none_or(|through| through < first.first - 1)
        {
            self.report.fault = Some(Fault {
                file: first.name(),
                line: 1,
                seq: first.first,
                offset: 0,
                what: What::Beheaded,
            });
        }
        Ok(())
    }

    /// What was changed was read before that showed: it is not good.
    fn let_go_of_the_changed(&mut self) {
        let fault = self.report.fault.as_ref();
        let is_last =
            fault.is_some_and(|fault| matches!(fault.what, What::Changed | What::Sealed(_)));
        if let Some(walk) = &self.walk
            && is_last
        {
            self.report.records -= 1;
            self.report.bytes -= walk.tally.bytes - walk.tally.last_offset;
            self.report.head = (self.report.records > 0).then(|| (walk.next - 2, walk.before));
        }
    }

    fn segment(&mut self, found: &Found, is_last: bool) -> Result<Option<Fault>, Failed> {
        let path = self.directory.join(found.name());
        let mut lines = match found.lines(self.directory) {
            Ok(lines) => lines,
            Err(error) => return Err((error, path)),
        };
        let mut is_first = true;
        loop {
            let what = match lines.advance() {
                Ok(Next::End) if is_first && !is_last => What::NotASegment,
                Ok(Next::End) => return Ok(None),
                Ok(Next::Partial) if is_last => {
                    self.report.incomplete_bytes = lines.line().len() as u64;
                    return Ok(None);
                }
                Ok(Next::Partial) => What::Partial,
                Ok(Next::TooLong) => What::TooLong,
                Ok(Next::Line) => match self.line(found, &lines, is_first) {
                    Ok(()) => {
                        is_first = false;
                        continue;
                    }
                    Err(fault) => return Ok(Some(*fault)),
                },
                Err(error) if found.is_plain => return Err((error, path)),
                Err(error) => What::Packed(error.to_string()),
            };
            return Ok(Some(self.fault(found, &lines, what)));
        }
    }

    fn line(&mut self, found: &Found, lines: &Lines, is_first: bool) -> Result<(), Box<Fault>> {
        let line = lines.line();
        match (&mut self.walk, is_first) {
            (Some(walk), true) => {
                if let Err((what, is_before)) = walk.cross(found.first, line) {
                    let fault = if is_before {
                        self.fault_at_end(what)
                    } else {
                        self.fault(found, lines, what)
                    };
                    return Err(Box::new(fault));
                }
            }
            (None, true) => match Walk::begin(found.first, line) {
                Ok(walk) => self.walk = Some(walk),
                Err(what) => return Err(Box::new(self.fault(found, lines, what))),
            },
            (Some(walk), false) => {
                let step = walk.step(line);
                match step.map(|head| head.kind().to_owned()) {
                    Ok(kind) => self.note(&kind, line),
                    Err(What::Changed) => {
                        // The line before is the first that nothing vouches for.
                        let mut fault = self.fault(found, lines, What::Changed);
                        (fault.line, fault.seq) = (fault.line - 1, fault.seq - 1);
                        fault.offset = self.last_offset(lines);
                        return Err(Box::new(fault));
                    }
                    Err(what) => return Err(Box::new(self.fault(found, lines, what))),
                }
            }
            (None, false) => {}
        }
        self.report.records += 1;
        self.report.bytes += line.len() as u64 + 1;
        Ok(())
    }

    fn note(&mut self, kind: &str, line: &[u8]) {
        if kind != "retention" && kind != "gap" {
            return;
        }
        let Ok(stated) = serde_json::from_slice::<Stated>(line) else {
            return;
        };
        if kind == "gap" {
            self.report.gaps += 1;
            self.report.lost = self.report.lost.saturating_add(stated.lost);
        } else {
            self.dropped_through = self.dropped_through.max(Some(stated.through));
        }
    }

    fn fault(&self, found: &Found, lines: &Lines, what: What) -> Fault {
        Fault {
            file: found.name(),
            line: lines.number.max(1),
            seq: self.walk.as_ref().map_or(found.first, |walk| walk.next),
            offset: lines.offset,
            what,
        }
    }

    /// Where the segment ends that was read before.
    fn fault_at_end(&self, what: What) -> Fault {
        match &self.walk {
            Some(walk) => Fault {
                file: folder::plain_name(walk.first),
                line: walk.tally.records,
                seq: walk.next - 1,
                offset: walk.tally.last_offset,
                what,
            },
            None => Fault {
                file: String::new(),
                line: 0,
                seq: 0,
                offset: 0,
                what,
            },
        }
    }

    fn last_offset(&self, lines: &Lines) -> u64 {
        self.walk
            .as_ref()
            .map_or(lines.offset, |walk| walk.tally.last_offset)
    }
}
