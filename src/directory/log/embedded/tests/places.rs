//! Where a log may be: nowhere yet, in use, newer, mixed up with another.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use redb::Database;
use redb::ReadableDatabase as _;

use super::append;
use super::put_snapshot;
use crate::directory::log::Embedded;
use crate::directory::log::Log as _;
use crate::directory::log::LogError;
use crate::directory::log::embedded::tables;

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_directory_is_made_for_its_owner_only() {
    let root = super::fresh();
    let directory = root.path().join("a/b");
    let log = Embedded::open(&directory).unwrap();
    let mode = fs::metadata(&directory).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    drop(log);
    assert_eq!(names(&directory), ["head", "lock", "log.redb"]);
}

#[test]
fn a_log_is_open_once() {
    let directory = super::fresh();
    let log = Embedded::open(directory.path()).unwrap();
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::InUse { .. }), "{error}");
    drop(log);
    // Whoever has the lock, even before the engine has its own.
    let lock = fs::File::open(directory.path().join("lock")).unwrap();
    lock.lock().unwrap();
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::InUse { .. }), "{error}");
    drop(lock);
    let log = Embedded::open(directory.path()).unwrap();
    // The engine has a lock of its own, should somebody remove ours.
    fs::remove_file(directory.path().join("lock")).unwrap();
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::InUse { .. }), "{error}");
    append(&log, 0, 1);
    let head = log.head();
    drop(log);
    assert_eq!(Embedded::open(directory.path()).unwrap().head(), head);
}

#[test]
fn a_newer_format_is_refused() {
    let directory = super::fresh();
    drop(Embedded::open(directory.path()).unwrap());
    let database = Database::open(directory.path().join("log.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut meta = transaction.open_table(tables::META).unwrap();
        let newer = (tables::FORMAT + 1).to_be_bytes();
        meta.insert("format", newer.as_slice()).unwrap();
        // Nothing else needs to be as it was.
        meta.remove("head").unwrap();
    }
    transaction.delete_table(tables::ENTRIES).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(
        matches!(error, LogError::Newer { found, .. } if found == tables::FORMAT + 1),
        "{error}"
    );
}

/// Seen to fail when a mark leaves the format as it was.
#[test]
fn a_store_of_before_the_mark_is_taken_and_made_new_by_it() {
    let directory = super::fresh();
    let log = Embedded::open(directory.path()).unwrap();
    append(&log, 0, 1);
    let head = log.head();
    drop(log);
    let path = directory.path().join("log.redb");
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut meta = transaction.open_table(tables::META).unwrap();
        meta.insert("format", 1_u64.to_be_bytes().as_slice())
            .unwrap();
    }
    transaction.commit().unwrap();
    drop(database);
    let log = Embedded::open(directory.path()).unwrap();
    assert_eq!((log.head(), log.mark().unwrap()), (head, None));
    log.set_mark(Some([7; 32])).unwrap();
    drop(log);
    let log = Embedded::open(directory.path()).unwrap();
    assert_eq!((log.head(), log.mark().unwrap()), (head, Some([7; 32])));
    drop(log);
    let database = Database::open(&path).unwrap();
    let meta = database.begin_read().unwrap();
    let meta = meta.open_table(tables::META).unwrap();
    let format = meta.get("format").unwrap().unwrap();
    assert_eq!(format.value(), tables::FORMAT.to_be_bytes());
}

#[test]
fn only_the_two_newest_snapshots_stay() {
    let directory = super::fresh();
    let log = Embedded::open(directory.path()).unwrap();
    for number in 0..4 {
        append(&log, number, 1);
        put_snapshot(&log);
    }
    assert_eq!(
        names(directory.path()),
        [
            "head",
            "lock",
            "log.redb",
            "snapshot-00000000000000000003.bin",
            "snapshot-00000000000000000004.bin"
        ]
    );
}

#[test]
fn what_is_unfinished_is_removed() {
    let directory = super::fresh();
    for name in ["log.redb.new", "snapshot-00000000000000000009.bin.0.new"] {
        fs::write(directory.path().join(name), "cut off").unwrap();
    }
    let log = Embedded::open(directory.path()).unwrap();
    assert!(log.snapshot().unwrap().is_none());
    assert_eq!(names(directory.path()), ["head", "lock", "log.redb"]);
}

#[test]
fn a_log_is_not_made_anew_beside_its_snapshots() {
    let directory = super::fresh();
    let log = Embedded::open(directory.path()).unwrap();
    append(&log, 0, 1);
    put_snapshot(&log);
    drop(log);
    let file = directory.path().join("log.redb");
    fs::remove_file(directory.path().join("head")).unwrap();
    fs::write(&file, "").unwrap();
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
    fs::remove_file(&file).unwrap();
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}

#[test]
fn a_snapshot_of_another_log_is_foreign() {
    let [ours, theirs] = [(); 2].map(|()| super::fresh());
    for directory in [&ours, &theirs] {
        let log = Embedded::open(directory.path()).unwrap();
        append(&log, 0, 2);
        put_snapshot(&log);
        log.trim(1).unwrap();
    }
    let name = "snapshot-00000000000000000002.bin";
    fs::copy(theirs.path().join(name), ours.path().join(name)).unwrap();
    let log = Embedded::open(ours.path()).unwrap();
    let error = log.snapshot().unwrap_err();
    assert!(matches!(error, LogError::Foreign { .. }), "{error}");
}

#[test]
fn a_log_older_than_what_was_acknowledged_is_damaged() {
    for witness in ["head", "snapshot-00000000000000000002.bin"] {
        older_log(witness);
    }
}

fn older_log(witness: &str) {
    let directory = super::fresh();
    let file = directory.path().join("log.redb");
    let log = Embedded::open(directory.path()).unwrap();
    append(&log, 0, 1);
    drop(log);
    let old = fs::read(&file).unwrap();
    let log = Embedded::open(directory.path()).unwrap();
    append(&log, 1, 1);
    put_snapshot(&log);
    drop(log);
    fs::write(&file, old).unwrap();
    for name in names(directory.path()) {
        if !["lock", "log.redb", witness].contains(&name.as_str()) {
            fs::remove_file(directory.path().join(name)).unwrap();
        }
    }
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}

#[test]
fn a_log_that_was_removed_is_not_made_anew() {
    let directory = super::fresh();
    drop(Embedded::open(directory.path()).unwrap());
    fs::remove_file(directory.path().join("log.redb")).unwrap();
    let error = Embedded::open(directory.path()).unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}
