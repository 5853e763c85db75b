//! The segment that is being written.
//!
//! What is not known to be durable is kept in memory. After any failure the file
//! is opened again, cut to its durable length, and written again from there: the
//! system may have dropped what a failed sync did not write, and says so once.

use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;

use super::files::Files;
use super::folder::plain_name;
use super::walk::Seal;
use super::walk::Tally;

/// Where a segment stands.
#[derive(Debug)]
pub(super) struct Place {
    /// Its first record.
    pub(super) first: u64,
    /// Its number in the log.
    pub(super) number: u64,
    /// When it was begun, in milliseconds since 1970.
    pub(super) begun: i64,
}

/// A segment that is being written.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) place: Place,
    pub(super) tally: Tally,
    directory: PathBuf,
    path: PathBuf,
    file: Option<File>,
    /// So many bytes of the file are durable,
    durable: u64,
    /// these follow,
    pending: Vec<u8>,
    /// and so many of them were handed to the system.
    written: usize,
    /// The name of the file is durable.
    is_named: bool,
}

impl Segment {
    /// A new one, of which nothing is on the disk yet.
    pub(super) fn new(directory: &Path, place: Place) -> Self {
        let mut segment = Self::resume(directory, place, Tally::default());
        segment.is_named = false;
        segment
    }

    /// One whose file adds up to `tally`, and is durable.
    pub(super) fn resume(directory: &Path, place: Place, tally: Tally) -> Self {
        Self {
            path: directory.join(plain_name(place.first)),
            directory: directory.to_owned(),
            place,
            file: None,
            durable: tally.bytes,
            tally,
            pending: Vec::new(),
            written: 0,
            is_named: true,
        }
    }

    /// Appends a line with its newline, in memory.
    pub(super) fn push(&mut self, line: &[u8]) {
        self.tally.add(line);
        self.pending.extend_from_slice(line);
    }

    /// What is not known to be durable.
    pub(super) fn pending(&self) -> &[u8] {
        &self.pending
    }

    /// Hands what is pending to the system.
    pub(super) fn write(&mut self, files: &Files) -> io::Result<()> {
        let written = self.try_write(files);
        self.forget_unless(written)
    }

    /// Makes what is pending durable. It is to be settled then.
    pub(super) fn sync(&mut self, files: &Files) -> io::Result<()> {
        let synced = self.try_write(files).and_then(|()| self.try_sync(files));
        self.forget_unless(synced)
    }

    /// Forgets what is pending: it is durable.
    pub(super) fn settle(&mut self) {
        self.durable += self.pending.len() as u64;
        self.pending.clear();
        self.written = 0;
    }

    /// What the next segment states of this one, when all of it is durable.
    pub(super) fn seal(&self) -> Seal {
        self.tally.seal(self.place.first)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn try_write(&mut self, files: &Files) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open(files)?,
        };
        if let Some(rest) = self.pending.get(self.written..)
            && !rest.is_empty()
        {
            files.write(&self.path, &mut file, rest)?;
            self.written = self.pending.len();
        }
        self.file = Some(file);
        Ok(())
    }

    fn try_sync(&mut self, files: &Files) -> io::Result<()> {
        if let Some(file) = &self.file {
            files.sync(&self.path, file)?;
        }
        if !self.is_named {
            files.sync_directory(&self.directory)?;
            self.is_named = true;
        }
        Ok(())
    }

    fn open(&mut self, files: &Files) -> io::Result<File> {
        let file = files.open(&self.path)?;
        let length = file.metadata()?.len();
        if length < self.durable {
            return Err(io::Error::other(format!(
                "was cut by somebody else from {} to {length} bytes",
                self.durable
            )));
        }
        if length > self.durable {
            files.truncate(&self.path, &file, self.durable)?;
        }
        self.written = 0;
        Ok(file)
    }

    fn forget_unless(&mut self, result: io::Result<()>) -> io::Result<()> {
        if result.is_err() {
            self.file = None;
        }
        result
    }
}
