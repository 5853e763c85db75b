//! A log in a directory of this machine: `log.redb` holds the entries, each
//! snapshot is a file beside it, and `head` witnesses how far the log got.
//!
//! One process has it open at a time, by a lock on the file `lock`. What is
//! acknowledged is on the disk, as far as the disk tells the truth. What is read
//! is checked against the chain of hashes, since the storage engine trusts its
//! file; where it panics on a damaged one, the panic ends here, as
//! [`LogError::Damaged`].

mod fault;
mod files;
mod start;
mod tables;
mod witness;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use parking_lot::RwLock;
use redb::Builder;
use redb::Database;
use redb::DatabaseError;

use self::fault::Fault;
use self::fault::caught;
use self::start::check_acknowledged;
use self::start::close;
use self::start::lock;
use self::start::open_database;
use self::start::remove_unfinished;
use self::tables::Bounds;
use self::tables::Wanted;
use self::witness::Witness;
use super::Entry;
use super::Hash;
use super::Head;
use super::Log;
use super::LogError;
use super::Mark;
use super::Snapshot;
use super::check_place;
use super::check_sizes;

/// The engine's file.
const FILE: &str = "log.redb";

/// Appends wait while a step of a trim is written; 10,000 entries take
/// milliseconds.
const TRIM_STEP: u64 = 10_000;

/// How many snapshots are kept.
const SNAPSHOTS_MAX: usize = 2;

/// Opens, or makes, the engine's file.
type Opener = Box<dyn Fn(&Builder, &Path) -> Result<Database, DatabaseError> + Send + Sync>;

/// A log in a directory.
pub struct Embedded {
    directory: PathBuf,
    opener: Opener,
    /// None while it cannot be opened. Written only to open it again.
    database: RwLock<Option<Database>>,
    bounds: RwLock<Bounds>,
    /// A call failed, and nobody has looked yet what is there.
    has_failed: AtomicBool,
    /// Held while entries are written.
    writing: Mutex<()>,
    /// Held while snapshots are listed, verified, renamed or removed.
    snapshots: Mutex<()>,
    /// Tells apart snapshots that are being written.
    unfinished: AtomicU64,
    witness: Witness,
    _lock: File,
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("directory", &self.directory)
            .field("bounds", &*self.bounds.read())
            .field("has_failed", &self.has_failed)
            .finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the log in `directory`; makes both if there is none.
    ///
    /// After a crash this reads the whole file: about a second per gigabyte.
    ///
    /// # Errors
    /// [`LogError::InUse`], [`LogError::Newer`], [`LogError::Damaged`], and what
    /// the system says.
    pub fn open(directory: &Path) -> Result<Self, LogError> {
        Self::open_with(directory, Box::new(|builder, path| builder.create(path)))
    }

    fn open_with(directory: &Path, opener: Opener) -> Result<Self, LogError> {
        let lock = lock(directory)?;
        remove_unfinished(directory)?;
        let (database, bounds) = open_database(directory, &opener)?;
        let witness = Witness::open(directory)?;
        witness.write(&bounds);
        Ok(Self {
            directory: directory.to_owned(),
            opener,
            database: RwLock::new(Some(database)),
            bounds: RwLock::new(bounds),
            has_failed: AtomicBool::new(false),
            writing: Mutex::new(()),
            snapshots: Mutex::new(()),
            unfinished: AtomicU64::new(0),
            witness,
            _lock: lock,
        })
    }

    /// Calls the engine, unless it failed before.
    fn call<T>(&self, call: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, LogError> {
        self.check()?;
        let database = self.database.read();
        let Some(database) = database.as_ref() else {
            return Err(LogError::Unknown);
        };
        let result = caught(|| call(database));
        if result.as_ref().is_err_and(Fault::ends_use) {
            self.has_failed.store(true, Ordering::Release);
        }
        result.map_err(|fault| fault.sort(&self.file()))
    }

    /// Moves the bounds after a commit. The caller holds `writing`.
    fn acknowledge(&self, change: impl FnOnce(&mut Bounds)) {
        let mut bounds = *self.bounds.read();
        change(&mut bounds);
        self.witness.write(&bounds);
        *self.bounds.write() = bounds;
    }

    fn check(&self) -> Result<(), LogError> {
        if self.has_failed.load(Ordering::Acquire) {
            return Err(LogError::Unknown);
        }
        Ok(())
    }

    fn file(&self) -> String {
        self.directory.join(FILE).display().to_string()
    }

    /// Opens a snapshot, and checks that it is of this log.
    fn open_snapshot(&self, sequence: u64) -> Result<Snapshot, LogError> {
        let snapshot = files::open(&self.directory, sequence)?;
        check_place(self, &snapshot.at)?;
        Ok(snapshot)
    }

    fn remove_old_snapshots(&self) -> Result<(), LogError> {
        let sequences = files::sequences(&self.directory)?;
        for sequence in sequences.into_iter().skip(SNAPSHOTS_MAX) {
            let path = self.directory.join(files::name(sequence));
            fs::remove_file(&path)
                .map_err(|error| LogError::of_io(path.display().to_string(), error))?;
        }
        files::sync_directory(&self.directory)
    }
}

impl Log for Embedded {
    fn head(&self) -> Head {
        self.bounds.read().head
    }

    fn oldest(&self) -> u64 {
        self.bounds.read().base.sequence + 1
    }

    fn append(&self, bodies: &[Vec<u8>]) -> Result<Head, LogError> {
        check_sizes(bodies)?;
        let _writing = self.writing.lock();
        self.check()?;
        let head = self.head();
        if bodies.is_empty() {
            return Ok(head);
        }
        let result = self.call(|database| tables::append(database, &head, bodies));
        match &result {
            Ok(head) => self.acknowledge(|bounds| bounds.head = *head),
            Err(_) => self.has_failed.store(true, Ordering::Release),
        }
        result
    }

    fn read(
        &self,
        after: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, LogError> {
        let head = self.head();
        let wanted = Wanted {
            after,
            through: head.sequence,
            entries_max,
            bytes_max,
        };
        self.call(|database| tables::read(database, head.log, &wanted))
    }

    fn hash_at(&self, sequence: u64) -> Result<Option<Hash>, LogError> {
        let bounds = *self.bounds.read();
        match self.call(|database| tables::hash_at(database, &bounds, sequence)) {
            // Trimmed since the bounds were read.
            Err(LogError::Trimmed { .. }) => Ok(None),
            result => result,
        }
    }

    fn put_snapshot(
        &self,
        at: Head,
        chunks: &mut dyn Iterator<Item = Vec<u8>>,
    ) -> Result<(), LogError> {
        check_place(self, &at)?;
        let number = self.unfinished.fetch_add(1, Ordering::Relaxed);
        let name = files::name(at.sequence);
        let path = self.directory.join(&name);
        let unfinished = self
            .directory
            .join(format!("{name}.{number}{}", files::UNFINISHED));
        let result = files::write(&unfinished, &at, chunks).and_then(|()| {
            let _snapshots = self.snapshots.lock();
            fs::rename(&unfinished, &path)
                .map_err(|error| LogError::of_io(path.display().to_string(), error))?;
            files::sync_directory(&self.directory)?;
            self.remove_old_snapshots()
        });
        if result.is_err() {
            // Opening the log removes what stays.
            fs::remove_file(&unfinished).ok();
        }
        result
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, LogError> {
        let _snapshots = self.snapshots.lock();
        self.check()?;
        let mut newest_fault = None;
        for sequence in files::sequences(&self.directory)? {
            match self.open_snapshot(sequence) {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(fault) => newest_fault = newest_fault.or(Some(fault)),
            }
        }
        if self.oldest() == 1 {
            return Ok(None);
        }
        Err(newest_fault.unwrap_or_else(|| {
            LogError::damaged(format!(
                "`{}`: the entries before {} are gone, and so is the snapshot of them",
                self.directory.display(),
                self.oldest()
            ))
        }))
    }

    fn trim(&self, through: u64) -> Result<(), LogError> {
        self.check()?;
        if through < self.oldest() {
            return Ok(());
        }
        // Read whole: what is dropped now is in there or nowhere.
        let covered = self.snapshot()?.map_or(0, |snapshot| snapshot.at.sequence);
        if through > covered {
            return Err(LogError::Uncovered { through });
        }
        loop {
            let _writing = self.writing.lock();
            let bounds = *self.bounds.read();
            if bounds.base.sequence >= through {
                return Ok(());
            }
            let step = through.min(bounds.base.sequence + TRIM_STEP);
            match self.call(|database| tables::trim(database, &bounds, step)) {
                Ok(base) => self.acknowledge(|bounds| bounds.base = base),
                Err(error) => {
                    self.has_failed.store(true, Ordering::Release);
                    return Err(error);
                }
            }
        }
    }

    fn mark(&self) -> Result<Option<Mark>, LogError> {
        self.call(tables::mark)
    }

    fn set_mark(&self, mark: Option<Mark>) -> Result<(), LogError> {
        let _writing = self.writing.lock();
        let result = self.call(|database| tables::set_mark(database, mark));
        if result.is_err() {
            self.has_failed.store(true, Ordering::Release);
        }
        result
    }

    fn recover(&self) -> Result<Head, LogError> {
        let _writing = self.writing.lock();
        let mut database = self.database.write();
        self.has_failed.store(true, Ordering::Release);
        close(database.take());
        let (opened, bounds) = open_database(&self.directory, &self.opener)?;
        let known = self.bounds.read().acknowledged();
        if let Err(error) = check_acknowledged(&opened, &bounds, &known, &self.file()) {
            close(Some(opened));
            return Err(error);
        }
        self.witness.write(&bounds);
        *database = Some(opened);
        *self.bounds.write() = bounds;
        self.has_failed.store(false, Ordering::Release);
        Ok(bounds.head)
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        close(self.database.get_mut().take());
    }
}
