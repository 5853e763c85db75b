//! A disk that fails when told, and forgets what was not synced.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use crate::directory::log::embedded::Opener;

/// How it fails, at the call of a number among those that change the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Once, with half of it written: no space.
    Full,
    /// Once, at a sync: what was written since the last one never reaches the disk,
    /// though the process goes on seeing it, and no later sync says so.
    Sync,
    /// From then on: it may not be written.
    ReadOnly,
    /// From then on nothing works; the disk has any part of what was not synced.
    PowerLoss,
}

#[derive(Debug, Clone)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    /// The file that has what is on the disk for sure.
    path: PathBuf,
    /// What the process sees.
    cache: Vec<u8>,
    /// Writes since the last sync: where, and what.
    pending: Vec<(usize, Vec<u8>)>,
    failure: Option<Failure>,
    /// Calls until it fails.
    countdown: usize,
    has_failed: bool,
    is_off: bool,
    random: u64,
}

impl Disk {
    pub(super) fn new(failure: Failure, countdown: usize) -> Self {
        Self(Arc::new(Mutex::new(State {
            path: PathBuf::new(),
            cache: Vec::new(),
            pending: Vec::new(),
            failure: Some(failure),
            countdown,
            has_failed: false,
            is_off: false,
            random: countdown as u64 * 2 + 1,
        })))
    }

    pub(super) fn opener(&self) -> Opener {
        let disk = self.clone();
        Box::new(move |builder, path| {
            disk.0.lock().mount(path)?;
            builder.create_with_backend(disk.clone())
        })
    }

    pub(super) fn has_failed(&self) -> bool {
        self.0.lock().has_failed
    }

    /// Does not fail any more.
    pub(super) fn heal(&self) {
        let mut state = self.0.lock();
        state.failure = None;
        state.is_off = false;
    }

    /// Ends here and now.
    pub(super) fn lose_power(&self) {
        self.0.lock().lose_power();
    }
}

impl State {
    fn mount(&mut self, path: &Path) -> io::Result<()> {
        if self.path == path {
            return Ok(());
        }
        // Another file: what the last one had pending is not of interest.
        self.path = path.to_owned();
        self.pending.clear();
        self.cache = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::write(path, "")?;
                Vec::new()
            }
            result => result?,
        };
        Ok(())
    }

    /// Counts a call that changes the disk, and tells whether it is to fail.
    fn fails(&mut self, is_sync: bool) -> Option<Failure> {
        let failure = self.failure?;
        let is_counted = failure != Failure::Sync || is_sync;
        if self.countdown > 0 {
            self.countdown -= usize::from(is_counted);
            return None;
        }
        let lasts = matches!(failure, Failure::ReadOnly | Failure::PowerLoss);
        if !is_counted || (self.has_failed && !lasts) {
            return None;
        }
        if !self.has_failed && failure == Failure::PowerLoss {
            self.lose_power();
        }
        self.has_failed = true;
        Some(failure)
    }

    fn lose_power(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for write in pending {
            self.random ^= self.random << 13;
            self.random ^= self.random >> 7;
            self.random ^= self.random << 17;
            if self.random & 1 == 0 {
                self.store(&[write]);
            }
        }
        self.is_off = true;
    }

    fn store(&self, writes: &[(usize, Vec<u8>)]) {
        use std::os::unix::fs::FileExt as _;
        let file = fs::File::options().write(true).open(&self.path).unwrap();
        for (offset, bytes) in writes {
            file.write_all_at(bytes, *offset as u64).unwrap();
        }
    }

    fn put(&mut self, offset: usize, bytes: &[u8]) {
        self.cache[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.pending.push((offset, bytes.to_vec()));
    }
}

fn error(failure: Failure) -> io::Error {
    match failure {
        Failure::Full => ErrorKind::StorageFull.into(),
        Failure::ReadOnly => ErrorKind::ReadOnlyFilesystem.into(),
        Failure::Sync | Failure::PowerLoss => io::Error::other("a fault of the disk"),
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().cache.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.lock();
        let start = usize::try_from(offset).unwrap();
        match state.cache.get(start..start + out.len()) {
            Some(bytes) if !state.is_off => out.copy_from_slice(bytes),
            _ => return Err(ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        if let Some(failure) = state.fails(false) {
            return Err(error(failure));
        }
        let file = fs::File::options().write(true).open(&state.path)?;
        file.set_len(length)?;
        state.cache.resize(usize::try_from(length).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        let failed = state.fails(true);
        let pending = std::mem::take(&mut state.pending);
        if let Some(failure) = failed {
            if matches!(failure, Failure::Full | Failure::ReadOnly) {
                state.pending = pending;
            }
            return Err(error(failure));
        }
        state.store(&pending);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        let offset = usize::try_from(offset).unwrap();
        if let Some(failure) = state.fails(false) {
            if failure == Failure::Full {
                state.put(offset, &data[..data.len() / 2]);
            }
            return Err(error(failure));
        }
        state.put(offset, data);
        Ok(())
    }
}
