//! Reads a log from a record or a time on, while it may still be written.

use std::io;
use std::path::Path;
use std::path::PathBuf;

use super::error::ReadError;
use super::fault::Fault;
use super::fault::What;
use super::folder;
use super::folder::Found;
use super::line;
use super::lines::Lines;
use super::lines::Next;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With the oldest record that is there.
    Oldest,
    /// With the record of this number.
    Seq(u64),
    /// With what was submitted at this time or later, in milliseconds since 1970.
    /// Whole segments before it are passed over by the times of their first
    /// records; where the clock was set back meanwhile, records may be missed.
    Millis(i64),
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number.
    pub seq: u64,
    /// When it was submitted, in milliseconds since 1970.
    pub millis: i64,
    /// Its kind, such as `start`.
    pub kind: String,
    /// All of it as it is in the log, JSON without a newline.
    pub text: String,
}

/// Reads records in order.
///
/// `None` is the end for now: asked again, it gives what was written since. A
/// record is given once it is whole, which may be before it is durable. That
/// records follow each other is checked; that they are those that were written
/// is for [`verify`](super::verify::verify).
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    since: Since,
    current: Option<(Found, Lines)>,
    next: Option<u64>,
    is_broken: bool,
}

impl Reader {
    /// Opens a log, whether or not it is being written.
    ///
    /// # Errors
    /// If there is none, if the record asked for was dropped, or if it cannot be
    /// read.
    pub fn open(directory: &Path, since: Since) -> Result<Self, ReadError> {
        let mut reader = Self {
            directory: directory.to_owned(),
            since,
            current: None,
            next: None,
            is_broken: false,
        };
        let segments = reader.segments()?;
        let Some(oldest) = segments.first() else {
            return Err(ReadError::Absent {
                directory: directory.display().to_string(),
            });
        };
        let place = match since {
            Since::Oldest => 0,
            Since::Seq(seq) if seq < oldest.first => {
                return Err(ReadError::Dropped {
                    oldest: oldest.first,
                });
            }
            Since::Seq(seq) => segments.partition_point(|segment| segment.first <= seq) - 1,
            Since::Millis(millis) => reader.place_of(&segments, millis)?,
        };
        if let Some(found) = segments.get(place) {
            reader.enter(*found)?;
        }
        Ok(reader)
    }

    fn segments(&self) -> Result<Vec<Found>, ReadError> {
        folder::segments(&self.directory).map_err(ReadError::io(&self.directory))
    }

    /// The last segment that was begun before this time.
    fn place_of(&self, segments: &[Found], millis: i64) -> Result<usize, ReadError> {
        let (mut low, mut high) = (0, segments.len());
        while low < high {
            let middle = low.midpoint(high);
            let Some(found) = segments.get(middle) else {
                break;
            };
            let path = self.directory.join(found.name());
            let mut lines = match found.lines(&self.directory) {
                // It was dropped meanwhile, as the oldest are.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    low = middle + 1;
                    continue;
                }
                lines => lines.map_err(ReadError::io(&path))?,
            };
            let next = lines.advance().map_err(|error| {
                if found.is_plain {
                    return ReadError::io(&path)(error);
                }
                self.damaged(found, &lines, What::Packed(error.to_string()))
            });
            let is_before = match next? {
                Next::Line => line::parse(lines.line())
                    .map(|head| head.millis < millis)
                    .map_err(|what| self.damaged(found, &lines, What::Unreadable(what)))?,
                _ => false,
            };
            if is_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.saturating_sub(1))
    }

    /// Fails when what was to be read next was dropped, and not only lost: nothing
    /// before this segment is there any more.
    fn look_dropped(&self, next: Found) -> Result<(), ReadError> {
        let Some(expected) = self.next.filter(|expected| next.first > *expected) else {
            return Ok(());
        };
        // Anew: while names are listed, some of those dropped may show.
        match self.segments()?.first() {
            Some(oldest) if oldest.first > expected => Err(ReadError::Dropped {
                oldest: oldest.first,
            }),
            _ => Ok(()),
        }
    }

    fn enter(&mut self, found: Found) -> Result<(), ReadError> {
        match found.lines(&self.directory) {
            Ok(lines) => {
                self.next = self.next.or(Some(found.first));
                self.current = Some((found, lines));
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let segments = self.segments()?;
                Err(ReadError::Dropped {
                    oldest: segments.first().map_or(found.first, |oldest| oldest.first),
                })
            }
            Err(error) => Err(ReadError::io(&self.directory.join(found.name()))(error)),
        }
    }

    fn damaged(&self, found: &Found, lines: &Lines, what: What) -> ReadError {
        ReadError::Damaged(Fault {
            file: found.name(),
            line: lines.number,
            seq: self.next.unwrap_or(found.first),
            offset: lines.offset,
            what,
        })
    }

    /// The next line, whether or not it is asked for.
    fn advance(&mut self) -> Result<Option<Line>, ReadError> {
        // What follows is looked for before the end is: a segment is whole before
        // the next one is begun.
        let mut following = None;
        loop {
            let Some((found, lines)) = &mut self.current else {
                return Ok(None);
            };
            let found = *found;
            let path = self.directory.join(found.name());
            let next = lines.advance();
            let what = match (next, following) {
                (Err(error), _) if !found.is_plain => What::Packed(error.to_string()),
                (Err(error), _) => return Err(ReadError::io(&path)(error)),
                (Ok(Next::Line), _) => match line::parse(lines.line()) {
                    Ok(head) if Some(head.seq) == self.next => {
                        self.next = Some(head.seq + 1);
                        return Ok(Some(Line {
                            seq: head.seq,
                            millis: head.millis,
                            kind: head.kind().to_owned(),
                            text: String::from_utf8_lossy(lines.line()).into_owned(),
                        }));
                    }
                    Ok(head) => What::Seq {
                        expected: self.next.unwrap_or(found.first),
                        found: head.seq,
                    },
                    Err(what) => What::Unreadable(what),
                },
                (Ok(Next::TooLong), _) => What::TooLong,
                (Ok(Next::End), Some(next)) => {
                    self.enter(next)?;
                    following = None;
                    continue;
                }
                (Ok(Next::Partial), Some(_)) => What::Partial,
                (Ok(Next::End | Next::Partial), None) => {
                    let segments = self.segments()?;
                    following = segments.into_iter().find(|next| next.first > found.first);
                    match following {
                        None => return Ok(None),
                        Some(next) => self.look_dropped(next)?,
                    }
                    continue;
                }
            };
            return match &self.current {
                Some((found, lines)) => Err(self.damaged(found, lines, what)),
                None => Ok(None),
            };
        }
    }

    fn is_asked_for(&self, line: &Line) -> bool {
        match self.since {
            Since::Oldest => true,
            Since::Seq(seq) => line.seq >= seq,
            Since::Millis(millis) => line.millis >= millis,
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Line, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_broken {
            match self.advance() {
                Ok(None) => return None,
                Ok(Some(line)) if !self.is_asked_for(&line) => {}
                Ok(Some(line)) => return Some(Ok(line)),
                Err(error) => {
                    self.is_broken = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
