//! A log for a test, what is submitted to it, and what is in it.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use deodar::audit::Audit;
use deodar::audit::EventRecord;
use deodar::audit::Mode;
use deodar::audit::Options;
use deodar::audit::Submitted;
use deodar::audit::fault::Fault;
use deodar::audit::read::Line;
use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::audit::verify::Report;
use deodar::audit::verify::verify;
use deodar::directory::time::Time;
use serde_json::Value;
use serde_json::json;

use crate::audit_record::fit_the_schema;
pub use crate::directory::site::fresh;

/// 2026-01-31T12:00:00Z.
pub const START: i64 = 1_769_860_800_000;

/// Longer than any test: what is batched is not late, however slow the machine.
pub const WINDOW: Duration = Duration::from_mins(10);

/// In this directory, with a clock that stands still and a window that no test
/// reaches.
pub fn options(directory: &Path) -> Options {
    Options {
        directory: directory.to_owned(),
        mode: Mode::Batched { window: WINDOW },
        retry: Duration::from_millis(1),
        time: Time::Set(Arc::new(AtomicI64::new(START))),
        ..Options::default()
    }
}

/// The record `number` of a thread.
pub fn record(thread: u64, number: u64, pad: usize) -> EventRecord {
    EventRecord::new(
        "test",
        [
            ("thread", json!(thread)),
            ("number", json!(number)),
            ("pad", Value::from("x".repeat(pad))),
        ],
    )
}

/// Submits a record that is taken.
pub fn put(audit: &Audit, number: u64) {
    let submitted = audit.submit(START, record(0, number, 20));
    assert!(
        matches!(submitted, Submitted::Taken | Submitted::Pending(_)),
        "{submitted:?}"
    );
}

/// All lines there are.
pub fn lines(directory: &Path) -> Vec<Line> {
    let reader = Reader::open(directory, Since::Oldest).unwrap();
    reader.map(Result::unwrap).collect()
}

/// The members of all records of a kind.
pub fn of_kind(directory: &Path, kind: &str) -> Vec<Value> {
    let mut lines = lines(directory);
    lines.retain(|line| line.kind == kind);
    lines
        .iter()
        .map(|line| serde_json::from_str(&line.text).unwrap())
        .collect()
}

/// The numbers of what a thread submitted.
pub fn numbers(directory: &Path, thread: u64) -> Vec<u64> {
    of_kind(directory, "test")
        .into_iter()
        .filter(|value| value["thread"] == thread)
        .map(|value| value["number"].as_u64().unwrap())
        .collect()
}

/// A log in which nothing is wrong, and whose own records are as documented.
pub fn sound(directory: &Path) -> Report {
    let report = verify(directory).unwrap();
    assert_eq!(report.fault, None);
    let lines = lines(directory);
    assert_eq!(report.records, lines.len() as u64);
    let own = lines.iter().filter(|line| line.kind != "test");
    let own = own.map(|line| serde_json::from_str(&line.text).unwrap());
    fit_the_schema(&own.collect::<Vec<_>>());
    report
}

/// Makes what was submitted durable, waits until every closed segment is packed,
/// and closes the log: it packs no more then.
pub fn close_packed(audit: Audit, directory: &Path) {
    audit.flush_blocking().unwrap();
    let is_packed = |path: &PathBuf| path.extension().unwrap() == "zst";
    eventually(|| files(directory).iter().rev().skip(1).all(is_packed));
    audit.close();
}

/// What is wrong with a log; the end may be torn.
pub fn verify_fault(directory: &Path) -> Option<Fault> {
    verify(directory).unwrap().fault
}

/// The files of segments, in order of their names.
pub fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths
        .filter(|path| path.to_str().unwrap().contains(".ndjson"))
        .collect();
    paths.sort();
    paths
}

/// Copies every file of a log.
pub fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// Waits for what another thread does soon; fails if it is not done in a minute.
pub fn eventually(mut is_done: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it was not done in a minute");
}
