//! Every call to a disk fails once: what was acknowledged is there, and no half
//! of a batch.

use std::path::Path;

use super::disk::Disk;
use super::disk::Failure;
use super::put_snapshot;
use crate::directory::log::Embedded;
use crate::directory::log::Head;
use crate::directory::log::Log as _;
use crate::directory::log::LogError;
use crate::directory::log::conformance::read_all;

/// Batch `number`: as many bodies as its remainder by four plus one.
fn batch(number: u64) -> Vec<Vec<u8>> {
    let count = number % 4 + 1;
    (0..count)
        .map(|index| {
            let mut body = format!("{number}/{index}/{count}/").into_bytes();
            body.resize(if number == 2 { 9_000 } else { 40 }, b'.');
            body
        })
        .collect()
}

/// Appends batches until one fails; returns the heads that were acknowledged.
fn run(log: &Embedded) -> (Vec<Head>, Option<LogError>) {
    let mut acknowledged = vec![log.head()];
    for number in 0..6 {
        match log.append(&batch(number)) {
            Ok(head) => acknowledged.push(head),
            Err(error) => return (acknowledged, Some(error)),
        }
        if number == 3 {
            put_snapshot(log);
            if let Err(error) = log.trim(2) {
                return (acknowledged, Some(error));
            }
        }
    }
    (acknowledged, None)
}

fn assert_answers_unknown(log: &Embedded) {
    let head = log.head();
    let errors = [
        log.append(&[]).err(),
        log.append(&batch(0)).err(),
        log.read(0, 1, 1).err(),
        log.hash_at(0).err(),
        log.put_snapshot(head, &mut [].into_iter()).err(),
        log.snapshot().err(),
        log.trim(0).err(),
    ];
    for error in errors {
        assert!(matches!(error, Some(LogError::Unknown)), "{error:?}");
    }
}

/// Everything acknowledged is there, and every batch is whole.
fn assert_sound(log: &Embedded, acknowledged: &[Head], what: &str) {
    let last = acknowledged.last().unwrap();
    assert!(log.head().sequence >= last.sequence, "{what}: entries lost");
    let base = log.oldest() - 1;
    for head in acknowledged.iter().filter(|head| head.sequence >= base) {
        let hash = log.hash_at(head.sequence).unwrap();
        assert_eq!(hash, Some(head.hash), "{what}");
    }
    let from = Head {
        sequence: base,
        hash: log.hash_at(base).unwrap().unwrap(),
        ..*last
    };
    let entries = read_all(log, from);
    if let Some(entry) = entries.last() {
        let text = String::from_utf8(entry.body.clone()).unwrap();
        let numbers: Vec<u64> = text.split('/').filter_map(|n| n.parse().ok()).collect();
        assert_eq!(numbers[1] + 1, numbers[2], "{what}: half a batch");
    }
    assert!(log.head().sequence <= last.sequence + 4, "{what}: too much");
}

fn open(directory: &Path, disk: &Disk) -> Result<Embedded, LogError> {
    Embedded::open_with(directory, disk.opener())
}

/// Runs with a failure at every call, until none is reached.
fn at_every_call(failure: Failure, check: impl Fn(&Path, &Disk, &str)) {
    let mut count = 0;
    loop {
        let what = format!("{failure:?} at call {count}");
        let directory = super::fresh();
        let disk = Disk::new(failure, count);
        check(directory.path(), &disk, &what);
        if !disk.has_failed() {
            break;
        }
        count += 1;
    }
    assert!(count > 20, "{failure:?}: only {count} calls");
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_ends() {
    for failure in [Failure::Full, Failure::ReadOnly, Failure::PowerLoss] {
        at_every_call(failure, |directory, disk, what| {
            let acknowledged = match open(directory, disk) {
                Err(error) => {
                    assert!(disk.has_failed(), "{what}: {error}");
                    None
                }
                Ok(log) => {
                    let (acknowledged, error) = run(&log);
                    if let Some(error) = &error {
                        let is_told = match failure {
                            Failure::Full => matches!(error, LogError::Full { .. }),
                            Failure::ReadOnly => matches!(error, LogError::ReadOnly { .. }),
                            _ => true,
                        };
                        assert!(is_told, "{what}: {error:?}");
                        assert_answers_unknown(&log);
                    }
                    Some(acknowledged)
                }
            };
            disk.lose_power();
            let log = Embedded::open(directory).unwrap_or_else(|e| panic!("{what}: {e}"));
            if let Some(acknowledged) = acknowledged {
                assert_sound(&log, &acknowledged, what);
            }
            log.append(&batch(0)).unwrap();
        });
    }
}

#[test]
fn recovery_tells_what_is_there() {
    for failure in [Failure::Full, Failure::ReadOnly, Failure::Sync] {
        at_every_call(failure, |directory, disk, what| {
            let Ok(log) = open(directory, disk) else {
                return;
            };
            let (mut acknowledged, error) = run(&log);
            if error.is_none() {
                return;
            }
            disk.heal();
            acknowledged.push(log.recover().unwrap_or_else(|e| panic!("{what}: {e}")));
            assert_eq!(acknowledged.last(), Some(&log.head()), "{what}");
            acknowledged.push(log.append(&batch(0)).unwrap());
            assert_sound(&log, &acknowledged, what);
            disk.lose_power();
            drop(log);
            let log = Embedded::open(directory).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_sound(&log, &acknowledged, what);
        });
    }
}

#[test]
fn recovery_may_fail_and_be_tried_again() {
    let directory = super::fresh();
    let disk = Disk::new(Failure::ReadOnly, 40);
    let log = open(directory.path(), &disk).unwrap();
    let (acknowledged, error) = run(&log);
    assert!(error.is_some());
    let error = log.recover().unwrap_err();
    assert!(matches!(error, LogError::ReadOnly { .. }), "{error}");
    assert_answers_unknown(&log);
    disk.heal();
    log.recover().unwrap();
    assert_sound(&log, &acknowledged, "recovered");
}
