//! Follows a log record by record, and says where it is not as it was written.

use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::Digest as _;
use sha2::Sha256;

use super::fault::What;
use super::folder::plain_name;
use super::line;
use super::line::Hash;
use super::line::Head;

/// What a segment's first record says.
#[derive(Debug, Deserialize)]
pub(super) struct Opening {
    /// The name of the log.
    pub(super) log: String,
    /// The number of the segment; the first is 1.
    pub(super) segment: u64,
    /// Of the segment before it.
    pub(super) previous: Option<Seal>,
}

/// What is told of a segment that is closed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Seal {
    /// Its name when it is not packed.
    pub(super) file: String,
    /// How many records it has.
    pub(super) records: u64,
    /// How many bytes, uncompressed.
    pub(super) bytes: u64,
    /// SHA-256 over these, in hexadecimal.
    pub(super) sha256: String,
}

/// Adds up a segment.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) records: u64,
    pub(super) bytes: u64,
    /// Where the last line begins.
    pub(super) last_offset: u64,
    digest: Sha256,
}

impl Tally {
    /// One more line, given with its newline or without.
    pub(super) fn add(&mut self, line: &[u8]) {
        self.records += 1;
        self.last_offset = self.bytes;
        self.bytes += line.len() as u64;
        self.digest.update(line);
        if line.last() != Some(&b'\n') {
            self.bytes += 1;
            self.digest.update(b"\n");
        }
    }

    /// What the next segment states of it.
    pub(super) fn seal(&self, first: u64) -> Seal {
        Seal {
            file: plain_name(first),
            records: self.records,
            bytes: self.bytes,
            sha256: Hash::from_bytes(self.digest.clone().finalize().into()).to_string(),
        }
    }
}

/// Reads the first line of a segment that begins with the record `first`.
pub(super) fn opening(first: u64, line: &[u8]) -> Result<(Head<'_>, Opening), What> {
    let head = line::parse(line).map_err(What::Unreadable)?;
    if head.kind() != "segment" {
        return Err(What::NotASegment);
    }
    let opening: Opening = serde_json::from_slice(line).map_err(|_| What::NotJson)?;
    let is_first = opening.segment == 1;
    if head.seq != first
        || (head.seq == 1) != is_first
        || opening.previous.is_none() != is_first
        || (head.prev == Hash::BEFORE_FIRST) != is_first
    {
        return Err(What::NotASegment);
    }
    Ok((head, opening))
}

/// A walk along a log.
#[derive(Debug)]
pub(super) struct Walk {
    /// The name of the log.
    pub(super) log: String,
    /// The number of the segment.
    pub(super) segment: u64,
    /// When it was begun, in milliseconds since 1970.
    pub(super) begun: i64,
    /// The record that it begins with.
    pub(super) first: u64,
    /// What it adds up to so far.
    pub(super) tally: Tally,
    /// The next record.
    pub(super) next: u64,
    /// The hash of the last one,
    pub(super) prev: Hash,
    /// and of the one before it.
    pub(super) before: Hash,
}

impl Walk {
    /// Begins with a segment, whatever was before it.
    pub(super) fn begin(first: u64, line: &[u8]) -> Result<Self, What> {
        let (head, opening) = opening(first, line)?;
        let mut walk = Self {
            log: opening.log,
            segment: opening.segment,
            begun: head.millis,
            first,
            tally: Tally::default(),
            next: head.seq,
            prev: head.prev,
            before: head.prev,
        };
        walk.take(line);
        Ok(walk)
    }

    /// Goes on with the segment that follows.
    ///
    /// # Errors
    /// What is wrong, and whether it is so at the end of the segment before.
    pub(super) fn cross(&mut self, first: u64, line: &[u8]) -> Result<(), (What, bool)> {
        let here = |what| (what, false);
        let (head, opening) = opening(first, line).map_err(here)?;
        let stated = opening.previous.ok_or((What::NotASegment, false))?;
        if opening.log != self.log {
            return Err((What::Foreign, false));
        }
        let seal = self.tally.seal(self.first);
        if stated.file != seal.file {
            return Err((What::Missing(stated.file), false));
        }
        for (is_so, what) in [
            (stated.records == seal.records, "records"),
            (stated.bytes == seal.bytes, "bytes"),
            (stated.sha256 == seal.sha256, "digest"),
        ] {
            if !is_so {
                return Err((What::Sealed(what), true));
            }
        }
        if Some(opening.segment) != self.segment.checked_add(1) {
            return Err((What::NotASegment, false));
        }
        self.check(&head).map_err(|what| {
            let is_before = what == What::Changed;
            (what, is_before)
        })?;
        self.segment = opening.segment;
        self.begun = head.millis;
        self.first = first;
        self.tally = Tally::default();
        self.take(line);
        Ok(())
    }

    /// Goes on with a line within the segment.
    pub(super) fn step<'a>(&mut self, line: &'a [u8]) -> Result<Head<'a>, What> {
        let head = line::parse(line).map_err(What::Unreadable)?;
        self.check(&head)?;
        if head.kind() == "segment" {
            return Err(What::StraySegment);
        }
        serde_json::from_slice::<IgnoredAny>(line).map_err(|_| What::NotJson)?;
        self.take(line);
        Ok(head)
    }

    fn check(&self, head: &Head<'_>) -> Result<(), What> {
        if head.seq != self.next {
            return Err(What::Seq {
                expected: self.next,
                found: head.seq,
            });
        }
        if head.prev != self.prev {
            return Err(What::Changed);
        }
        Ok(())
    }

    fn take(&mut self, line: &[u8]) {
        self.tally.add(line);
        self.next += 1;
        self.before = std::mem::replace(&mut self.prev, Hash::of(line));
    }
}
