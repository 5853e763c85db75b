//! The way to the disk: every call that changes something there, with a gate in
//! front where a test lets it fail or wait.

use std::fmt;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

/// What is about to be done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call<'a> {
    /// It is opened to be written, or made.
    Open,
    /// These bytes are appended.
    Write(&'a [u8]),
    /// It is cut to so many bytes.
    Truncate(u64),
    /// Its bytes are made durable.
    Sync,
    /// It gets its final name.
    Rename,
    /// It is removed.
    Remove,
    /// The names in this directory are made durable.
    SyncDirectory,
}

/// A call that a gate did not let through.
#[derive(Debug)]
pub struct Refused {
    /// So many bytes of a write are made all the same.
    pub written: usize,
    /// What the call answers.
    pub error: io::Error,
}

/// Asked before each call.
pub type Gate = Arc<dyn Fn(&Path, Call<'_>) -> Result<(), Refused> + Send + Sync>;

/// The way to the disk.
#[derive(Clone, Default)]
pub struct Files {
    gate: Option<Gate>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

impl Files {
    /// With a gate in front.
    pub fn behind(gate: Gate) -> Self {
        Self { gate: Some(gate) }
    }

    fn ask(&self, path: &Path, call: Call<'_>) -> Result<(), Refused> {
        self.gate.as_ref().map_or(Ok(()), |gate| gate(path, call))
    }

    fn allow(&self, path: &Path, call: Call<'_>) -> io::Result<()> {
        self.ask(path, call).map_err(|refused| refused.error)
    }

    /// Opens a file to append to, and makes it if there is none. Only its owner
    /// may read it.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        self.allow(path, Call::Open)?;
        File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
    }

    /// Makes a file that must not be there yet.
    pub(super) fn create(&self, path: &Path) -> io::Result<File> {
        self.allow(path, Call::Open)?;
        File::options()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(path)
    }

    pub(super) fn write(&self, path: &Path, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        match self.ask(path, Call::Write(bytes)) {
            Ok(()) => file.write_all(bytes),
            Err(refused) => {
                let begun = bytes.get(..refused.written).unwrap_or(bytes);
                file.write_all(begun)?;
                Err(refused.error)
            }
        }
    }

    pub(super) fn truncate(&self, path: &Path, file: &File, length: u64) -> io::Result<()> {
        self.allow(path, Call::Truncate(length))?;
        file.set_len(length)
    }

    pub(super) fn sync(&self, path: &Path, file: &File) -> io::Result<()> {
        self.allow(path, Call::Sync)?;
        file.sync_data()
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.allow(to, Call::Rename)?;
        fs::rename(from, to)
    }

    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        self.allow(path, Call::Remove)?;
        fs::remove_file(path)
    }

    pub(super) fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.allow(directory, Call::SyncDirectory)?;
        File::open(directory)?.sync_all()
    }
}
