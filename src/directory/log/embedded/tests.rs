//! Tests of the embedded log, and what they share.

mod damage;
mod disk;
mod failing;
mod forged;
mod model;
mod places;

use std::cell::RefCell;
use std::path::Path;

use tempfile::TempDir;

use super::Embedded;
use crate::directory::log::Log;
use crate::directory::log::conformance;

#[test]
fn it_conforms() {
    let directories = RefCell::new(Vec::new());
    conformance::suite(|| {
        let directory = fresh();
        let log = Embedded::open(directory.path()).unwrap();
        directories.borrow_mut().push(directory);
        Box::new(log)
    });
}

/// A fresh directory, in memory where the system has that: the tests count on no
/// disk to be slow.
fn fresh() -> TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Appends a batch of numbered bodies.
fn append(log: &Embedded, from: u64, count: u64) {
    log.append(&conformance::bodies(from, count)).unwrap();
}

/// Puts a snapshot at the head, that tells its sequence.
fn put_snapshot(log: &Embedded) {
    let head = log.head();
    let text = head.sequence.to_string().into_bytes();
    log.put_snapshot(head, &mut [text.clone(), vec![1; 500], text].into_iter())
        .unwrap();
}
