//! Opening a log: the lock, the engine's file, and whether it holds what was
//! acknowledged.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use redb::Builder;
use redb::Database;

use super::FILE;
use super::Opener;
use super::fault::caught;
use super::files;
use super::tables;
use super::tables::Bounds;
use super::witness;
use super::witness::Acknowledged;
use crate::directory::log::LogError;
use crate::directory::log::LogId;

const LOCK: &str = "lock";

/// The engine's cache. Entries are read once, when a server starts, so there is
/// no use for its default of 1 GiB.
const CACHE_BYTES: usize = 32 << 20;

/// Closes the engine. Nothing depends on what it says: all that counts is on the
/// disk already.
pub(super) fn close(database: Option<Database>) {
    caught(|| {
        drop(database);
        Ok(())
    })
    .ok();
}

/// Makes the directory if there is none, and locks it.
pub(super) fn lock(directory: &Path) -> Result<File, LogError> {
    let failed = |error| LogError::of_io(directory.display().to_string(), error);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(failed)?;
    let path = directory.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| LogError::of_io(path.display().to_string(), error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LogError::InUse {
            store: directory.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Removes what a crash left half written.
pub(super) fn remove_unfinished(directory: &Path) -> Result<(), LogError> {
    let failed = |error| LogError::of_io(directory.display().to_string(), error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path
            .to_str()
            .is_some_and(|path| path.ends_with(files::UNFINISHED))
        {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

pub(super) fn open_database(
    directory: &Path,
    opener: &Opener,
) -> Result<(Database, Bounds), LogError> {
    let path = directory.join(FILE);
    let what = path.display().to_string();
    match fs::metadata(&path) {
        Ok(metadata) if metadata.len() == 0 => {
            return Err(LogError::damaged(format!("`{what}` is empty")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => create(directory, opener)?,
        Err(error) => return Err(LogError::of_io(what, error)),
    }
    let opened = caught(|| {
        let database = opener(&builder(), &path)?;
        let bounds = tables::bounds(&database, &what);
        match bounds {
            Ok(bounds) => Ok((database, bounds)),
            Err(fault) => {
                close(Some(database));
                Err(fault)
            }
        }
    });
    let (database, bounds) = opened.map_err(|fault| fault.sort(&what))?;
    let check = || {
        if let Some(acknowledged) = witness::read(directory) {
            check_acknowledged(&database, &bounds, &acknowledged, &what)?;
        }
        let newest = files::sequences(directory)?.first().copied().unwrap_or(0);
        if newest > bounds.head.sequence {
            return Err(LogError::damaged(format!(
                "`{what}` ends at {}, and there is a snapshot at {newest}",
                bounds.head.sequence
            )));
        }
        Ok(())
    };
    match check() {
        Ok(()) => Ok((database, bounds)),
        Err(error) => {
            close(Some(database));
            Err(error)
        }
    }
}

/// Checks that nothing that was acknowledged was taken back.
pub(super) fn check_acknowledged(
    database: &Database,
    bounds: &Bounds,
    acknowledged: &Acknowledged,
    what: &str,
) -> Result<(), LogError> {
    let sequence = acknowledged.sequence;
    let there = caught(|| tables::hash_at(database, bounds, sequence));
    let is_there = there.map_err(|fault| fault.sort(what))? == Some(acknowledged.hash)
        || sequence < bounds.base.sequence;
    if is_there && bounds.head.log == acknowledged.log && bounds.base.sequence >= acknowledged.base
    {
        return Ok(());
    }
    Err(LogError::damaged(format!(
        "`{what}` holds another log than the one acknowledged up to {sequence}, or an older state \
         of it"
    )))
}

/// Makes an empty log, whole or not at all.
fn create(directory: &Path, opener: &Opener) -> Result<(), LogError> {
    let path = directory.join(FILE);
    let what = path.display().to_string();
    if !files::sequences(directory)?.is_empty() {
        return Err(LogError::damaged(format!(
            "`{what}` is missing, and there are snapshots of it"
        )));
    }
    let unfinished = directory.join(format!("{FILE}{}", files::UNFINISHED));
    caught(|| {
        let database = opener(&builder(), &unfinished)?;
        tables::create(&database, LogId::random())?;
        Ok(database.close()?)
    })
    .map_err(|fault| fault.sort(&what))?;
    fs::rename(&unfinished, &path).map_err(|error| LogError::of_io(what, error))?;
    files::sync_directory(directory)?;
    // The directory itself may be new.
    match directory.canonicalize() {
        Ok(full) => full.parent().map_or(Ok(()), files::sync_directory),
        Err(error) => Err(LogError::of_io(directory.display().to_string(), error)),
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder
}
