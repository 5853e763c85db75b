//! Entries changed behind the log's back, in a file that is sound to the engine.

use redb::Database;
use redb::ReadableTable as _;
use redb::WriteTransaction;

use super::append;
use super::fresh;
use crate::directory::log::Embedded;
use crate::directory::log::Log as _;
use crate::directory::log::LogError;
use crate::directory::log::embedded::tables::ENTRIES;
use crate::directory::log::embedded::tables::META;

type Change = fn(&WriteTransaction);

/// Takes an entry out.
fn entry(transaction: &WriteTransaction, sequence: u64) -> Vec<u8> {
    let mut entries = transaction.open_table(ENTRIES).unwrap();
    let value = entries.remove(sequence).unwrap().unwrap();
    value.value().to_vec()
}

fn put(transaction: &WriteTransaction, sequence: u64, value: &[u8]) {
    let mut entries = transaction.open_table(ENTRIES).unwrap();
    entries.insert(sequence, value).unwrap();
}

fn change(database: &Database, change: Change) {
    let transaction = database.begin_write().unwrap();
    change(&transaction);
    transaction.commit().unwrap();
}

#[test]
fn a_changed_file_is_not_opened() {
    let changes: &[(&str, Change)] = &[
        ("the first is missing", |t| drop(entry(t, 1))),
        ("one is missing", |t| drop(entry(t, 3))),
        ("the last is missing", |t| drop(entry(t, 6))),
        ("one follows the head", |t| put(t, 7, &[7; 40])),
        ("one precedes the first", |t| put(t, 0, &[7; 40])),
        ("one precedes the first, and one is missing", |t| {
            put(t, 0, &[7; 40]);
            drop(entry(t, 3));
        }),
        ("one is shorter than its hash", |t| put(t, 6, &[7; 31])),
        ("one is elsewhere", |t| {
            let value = entry(t, 3);
            put(t, 30, &value);
        }),
        ("the name is another", |t| {
            let mut meta = t.open_table(META).unwrap();
            meta.insert("log", [7; 16].as_slice()).unwrap();
        }),
        ("the head is missing", |t| {
            t.open_table(META).unwrap().remove("head").unwrap();
        }),
        ("there are no entries", |t| {
            t.delete_table(ENTRIES).unwrap();
        }),
    ];
    for (what, forge) in changes {
        let directory = fresh();
        let log = Embedded::open(directory.path()).unwrap();
        append(&log, 0, 6);
        drop(log);
        // The other witness, so that the file has to speak for itself.
        std::fs::remove_file(directory.path().join("head")).unwrap();
        let database = Database::open(directory.path().join("log.redb")).unwrap();
        change(&database, *forge);
        drop(database);
        let error = Embedded::open(directory.path()).unwrap_err();
        assert!(matches!(error, LogError::Damaged { .. }), "{what}: {error}");
    }
}

#[test]
fn a_changed_entry_is_not_read() {
    let changes: &[(&str, Change)] = &[
        ("one is missing", |t| drop(entry(t, 3))),
        ("the last is missing", |t| drop(entry(t, 6))),
        ("its body is another", |t| {
            let mut value = entry(t, 3);
            value.push(b'!');
            put(t, 3, &value);
        }),
        ("its hash is another", |t| {
            let mut value = entry(t, 3);
            value[0] ^= 1;
            put(t, 3, &value);
        }),
        ("two have changed places", |t| {
            let (third, fourth) = (entry(t, 3), entry(t, 4));
            put(t, 3, &fourth);
            put(t, 4, &third);
        }),
    ];
    for (what, forge) in changes {
        let directory = fresh();
        let log = Embedded::open(directory.path()).unwrap();
        append(&log, 0, 6);
        change(log.database.read().as_ref().unwrap(), *forge);
        for after in 0..3 {
            let error = log.read(after, 100, usize::MAX).unwrap_err();
            assert!(matches!(error, LogError::Damaged { .. }), "{what}: {error}");
        }
        assert!(log.read(0, 2, usize::MAX).is_ok(), "{what}");
    }
}

#[test]
fn a_head_that_moved_ends_appending() {
    let directory = fresh();
    let log = Embedded::open(directory.path()).unwrap();
    append(&log, 0, 2);
    let forge: Change = |t| {
        let mut meta = t.open_table(META).unwrap();
        let base = meta.get("base").unwrap().unwrap().value().to_vec();
        meta.insert("head", base.as_slice()).unwrap();
    };
    change(log.database.read().as_ref().unwrap(), forge);
    let error = log.append(&[vec![1]]).unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
    let error = log.append(&[vec![1]]).unwrap_err();
    assert!(matches!(error, LogError::Unknown), "{error}");
    let error = log.recover().unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}

#[test]
fn entries_that_are_there_already_are_not_replaced() {
    let directory = fresh();
    let log = Embedded::open(directory.path()).unwrap();
    append(&log, 0, 2);
    let forge: Change = |t| put(t, 4, &[7; 40]);
    change(log.database.read().as_ref().unwrap(), forge);
    let error = log.append(&[vec![1], vec![2]]).unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}

#[test]
fn what_recovery_misses_is_said() {
    let directory = fresh();
    let log = Embedded::open(directory.path()).unwrap();
    append(&log, 0, 2);
    // As if the process had acknowledged more, and the witness were lost.
    std::fs::remove_file(directory.path().join("head")).unwrap();
    log.bounds.write().head = log.head().after(b"more");
    let error = log.recover().unwrap_err();
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
    let error = log.read(0, 1, 1).unwrap_err();
    assert!(matches!(error, LogError::Unknown), "{error}");
}
