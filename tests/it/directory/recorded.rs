//! Every transaction of the directory is a record of the audit log, once,
//! whatever happens to the disk of the log or to the server.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deodar::audit::Audit;
use deodar::audit::Options;
use deodar::audit::decision::Content;
use deodar::audit::files::Call;
use deodar::audit::files::Files;
use deodar::audit::files::Refused;
use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::directory::log::Memory;
use deodar::directory::writer::Keep;
use deodar::pdp::recording::Recording;
use deodar::run::directory_records::DirectoryRecords;
use serde_json::Value as Json;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::site::Plan;
use super::site::Site;
use super::site::put;
use crate::audit_record::fit_the_schema;

/// Room in the queue of the log.
const ROOM: usize = 4;

/// A log whose disk takes nothing while it is broken.
fn open(folder: &Path, is_broken: &Arc<AtomicBool>) -> Audit {
    let seen = Arc::clone(is_broken);
    let files = Files::behind(Arc::new(move |_, call| match call {
        Call::Write(_) if seen.load(Ordering::Relaxed) => Err(Refused {
            written: 0,
            error: io::Error::from(io::ErrorKind::StorageFull),
        }),
        _ => Ok(()),
    }));
    let log = Audit::open(Options {
        directory: folder.to_owned(),
        waiting_records_max: ROOM,
        retry: Duration::from_millis(1),
        files,
        ..Options::default()
    });
    log.unwrap()
}

/// Records the site's directory.
fn follow(site: &Site, log: &Audit, folder: &Path) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let recording = Recording {
        log: log.clone(),
        content: Arc::new(Content::default()),
    };
    let records = DirectoryRecords::new(site.directory.clone(), recording);
    let (stop, stopped) = oneshot::channel();
    let task = records.follow(folder.to_owned(), stopped);
    (stop, site.runtime.spawn(task))
}

/// Lets it record what is left, and closes the log.
fn stop(site: &Site, log: Audit, (stop, task): (oneshot::Sender<()>, JoinHandle<()>)) {
    stop.send(()).unwrap();
    site.runtime.block_on(task).unwrap();
    log.close();
}

fn write(site: &Site, times: usize) -> Vec<String> {
    let revisions =
        (0..times).map(|level| site.write([put("User::a", &json!({"level": level}), &[])]));
    revisions.map(|revision| revision.to_string()).collect()
}

fn of_kind(folder: &Path, kind: &str) -> Vec<Json> {
    let lines = Reader::open(folder, Since::Oldest).unwrap();
    let records = lines.map(|line| serde_json::from_str(&line.unwrap().text).unwrap());
    let mut records: Vec<Json> = records.collect();
    fit_the_schema(&records);
    records.retain(|record| record["kind"] == kind);
    records
}

/// Waits until so many starts to record can be read.
fn until_opened(site: &Site, folder: &Path, times: usize) {
    site.runtime.block_on(async {
        while of_kind(folder, "directory_opened").len() < times {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

fn recorded(folder: &Path) -> Vec<String> {
    let records = of_kind(folder, "directory_write");
    let revision = |record: &Json| record["revision"].as_str().unwrap().to_owned();
    records.iter().map(revision).collect()
}

/// Seen to fail when records are submitted without waiting for room, when a start
/// goes on from the revision that it finds, and from the one that the start before
/// found.
#[test]
fn a_transaction_is_recorded_once_whatever_happens() {
    let folder = tempfile::tempdir().unwrap();
    let is_broken = Arc::new(AtomicBool::new(false));
    let site = Site::new();
    // Nobody promised to record this one.
    let before = write(&site, 1);

    let log = open(folder.path(), &is_broken);
    let following = follow(&site, &log, folder.path());
    let mut written = write(&site, 3);
    stop(&site, log, following);
    assert_eq!(recorded(folder.path()), written);
    let opened = of_kind(folder.path(), "directory_opened");
    assert_eq!(opened[0]["revision"], *before.last().unwrap());
    assert_eq!(opened[0]["recorded"], Json::Null);

    // The disk is full, and then the server is killed.
    let log = open(folder.path(), &is_broken);
    log.flush_blocking().unwrap();
    let following = follow(&site, &log, folder.path());
    written.extend(write(&site, 3));
    until_opened(&site, folder.path(), 2);
    is_broken.store(true, Ordering::Relaxed);
    written.extend(write(&site, 20 * ROOM));
    site.runtime.block_on(async {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        while log.counters().waiting_records < ROOM {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    // And what the log says about itself.
    let waiting = log.counters().waiting_records;
    assert!(waiting <= ROOM + 2, "{waiting}");
    following.1.abort();
    log.close();
    assert!(recorded(folder.path()).len() < written.len());

    // The next one finds it full, too, and the one after that does not.
    for is_still_broken in [true, false] {
        is_broken.store(false, Ordering::Relaxed);
        let log = open(folder.path(), &is_broken);
        log.flush_blocking().unwrap();
        let following = follow(&site, &log, folder.path());
        if is_still_broken {
            until_opened(&site, folder.path(), 3);
            is_broken.store(true, Ordering::Relaxed);
            following.1.abort();
            log.close();
        } else {
            stop(&site, log, following);
        }
    }
    assert_eq!(recorded(folder.path()), written);
}

#[test]
fn transactions_that_are_gone_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let is_broken = Arc::default();
    let mut plan = Plan::default();
    plan.options.keep = Keep {
        transactions: 5,
        snapshot_every: 1,
    };
    let site = Site::on(Arc::new(Memory::default()), plan).unwrap();
    let log = open(folder.path(), &is_broken);
    let following = follow(&site, &log, folder.path());
    let first = write(&site, 2);
    stop(&site, log, following);
    let last = write(&site, 50);

    let log = open(folder.path(), &is_broken);
    let following = follow(&site, &log, folder.path());
    stop(&site, log, following);
    let missed = of_kind(folder.path(), "directory_missed");
    let recorded = recorded(folder.path());
    assert_eq!(missed.len(), 1, "{missed:?}");
    let (from, to) = (missed[0]["from"].as_u64(), missed[0]["to"].as_u64());
    assert_eq!(from, Some(3));
    let told = to.unwrap() - from.unwrap() + 1;
    assert_eq!(told + recorded.len() as u64, 52);
    assert_eq!(recorded[..2], first);
    assert!(last.ends_with(&recorded[2..]) && recorded.len() > 2);
}
