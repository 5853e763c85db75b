//! A disk that fails: nothing that was taken is lost or torn, and what went
//! wrong is told.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use deodar::audit::Audit;
use deodar::audit::Mode;
use deodar::audit::Options;
use deodar::audit::Overflow;
use deodar::audit::Submitted;
use deodar::audit::Unhealthy;
use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::audit::verify::verify;
use proptest::prelude::*;

use super::failing::Gate;
use super::failing::Plan;
use super::site::START;
use super::site::WINDOW;
use super::site::eventually;
use super::site::fresh;
use super::site::lines;
use super::site::numbers;
use super::site::of_kind;
use super::site::options;
use super::site::put;
use super::site::record;
use super::site::sound;
use crate::engine_oracle::cases;

const CALLS: [&str; 6] = [
    "open",
    "write",
    "truncate",
    "sync",
    "rename",
    "sync directory",
];

proptest! {
    #![proptest_config(cases(100))]

    /// Whatever fails, however often and at whatever byte. Seen to fail when
    /// after a failed sync only the sync is tried again, and when the file is not cut
    /// before it is written again.
    #[test]
    fn nothing_is_lost_or_torn(
        rounds in proptest::collection::vec((0_u64..8, 0_usize..600, 1_u64..5, 0..63_u32), 1..6),
        segment_bytes in 300_u64..3000,
        is_sync: bool,
    ) {
        let directory = fresh();
        let gate = Arc::new(Gate::default());
        let audit = Audit::open(Options {
            mode: if is_sync { Mode::Sync } else { Mode::Batched { window: WINDOW } },
            files: gate.files(),
            segment_bytes,
            ..options(directory.path())
        }).unwrap();
        let mut number = 0;
        let mut failed = 0;
        for (calls, written, failures, only) in rounds {
            let only = CALLS.into_iter().enumerate().filter(|(bit, _)| only >> bit & 1 == 1);
            gate.plan(Plan {
                calls: Some(calls),
                written,
                only: only.map(|(_, call)| call).collect(),
                failures: Some(failures),
                forgets: true,
                ..Plan::default()
            });
            for _ in 0..6 {
                put(&audit, number);
                number += 1;
            }
            audit.flush_blocking().unwrap();
            // What is read is there, and stays.
            prop_assert_eq!(numbers(directory.path(), 0), (0..number).collect::<Vec<_>>());
            failed = audit.counters().disk_errors;
        }
        gate.heal();
        audit.close();
        let report = sound(directory.path());
        prop_assert_eq!((report.lost, report.incomplete_bytes), (0, 0));
        prop_assert_eq!(numbers(directory.path(), 0), (0..number).collect::<Vec<_>>());
        let told: u64 = of_kind(directory.path(), "gap").iter().map(|gap| gap["disk_errors"].as_u64().unwrap()).sum();
        // Those of packing are counted, and not a matter of the log.
        prop_assert!(told <= failed, "{told} {failed}");
    }
}

/// Seen to fail when the file is not cut before it is written again.
#[test]
fn a_full_disk_is_waited_out() {
    let directory = fresh();
    let gate = Arc::new(Gate::default());
    let audit = Audit::open(Options {
        overflow: Overflow::Count,
        waiting_records_max: 20,
        files: gate.files(),
        ..options(directory.path())
    })
    .unwrap();
    put(&audit, 0);
    audit.flush_blocking().unwrap();
    gate.plan(Plan {
        calls: Some(0),
        written: 100,
        only: vec!["write"],
        ..Plan::default()
    });
    let mut reader = Reader::open(directory.path(), Since::Oldest).unwrap();
    assert_eq!(reader.by_ref().map(Result::unwrap).count(), 2);
    let (mut taken, mut lost) = (vec![0], 0);
    for number in 1..30 {
        match audit.submit(START, record(0, number, 0)) {
            Submitted::Taken => taken.push(number),
            Submitted::Lost => lost += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((taken.len(), lost), (21, 9));
    gate.wait_for_failures(3);
    assert!(reader.next().is_none());
    assert_eq!(verify(directory.path()).unwrap().fault, None);
    let health = audit.health();
    assert!(matches!(health, Err(Unhealthy::Failing(_))), "{health:?}");
    gate.heal();
    audit.flush_blocking().unwrap();
    let health = audit.health();
    assert!(
        matches!(health, Err(Unhealthy::Losing { .. })),
        "{health:?}"
    );
    audit.close();
    // What was missed, and on a busy machine that it took long, is told besides.
    let (gaps, records): (Vec<_>, Vec<_>) = reader
        .map(Result::unwrap)
        .partition(|line| line.kind == "gap");
    assert_eq!(records.len(), 20);
    assert!(!gaps.is_empty());
    assert_eq!(sound(directory.path()).lost, 9);
    assert_eq!(numbers(directory.path(), 0), taken);
    // In one, or in two when the writer looked in between.
    let gaps = of_kind(directory.path(), "gap");
    let is_why = |why: &str| {
        let mut whys = gaps.iter().flat_map(|gap| gap["why"].as_array().unwrap());
        whys.any(|told| told == why)
    };
    assert!(is_why("queue") && is_why("disk"), "{gaps:?}");
    let gap = gaps
        .iter()
        .find(|gap| gap["disk_errors"].as_u64() >= Some(3));
    let gap = gap.unwrap_or_else(|| panic!("{gaps:?}"));
    assert!(
        gap["disk_error"]
            .as_str()
            .unwrap()
            .contains("no storage space")
    );
}

/// In mode `sync` nobody is told that a record is durable before it is.
#[test]
fn closing_gives_up_on_a_disk_that_fails() {
    for mode in [Mode::Sync, Mode::Batched { window: WINDOW }] {
        let directory = fresh();
        let gate = Arc::new(Gate::default());
        let audit = Audit::open(Options {
            mode,
            files: gate.files(),
            ..options(directory.path())
        })
        .unwrap();
        put(&audit, 0);
        audit.flush_blocking().unwrap();
        gate.plan(Plan {
            calls: Some(0),
            only: vec!["sync"],
            ..Plan::default()
        });
        let mut tickets = Vec::new();
        for number in 1..4 {
            if let Submitted::Pending(ticket) = audit.submit(START, record(0, number, 0)) {
                tickets.push(ticket);
            }
        }
        let other = audit.clone();
        audit.close();
        assert_eq!(other.counters().lost, 3);
        assert_eq!(other.counters().durable_seq, 2);
        assert_eq!(other.health(), Err(Unhealthy::Ended));
        for ticket in tickets {
            assert!(ticket.wait().is_err());
        }
        // Whether they are there is not known; the next start takes them as they are.
        Audit::open(options(directory.path())).unwrap().close();
        sound(directory.path());
        assert_eq!(numbers(directory.path(), 0)[0], 0);
    }
}

/// A device that is always full, in the place of the second segment.
#[test]
fn the_full_device_is_waited_out() {
    let directory = fresh();
    let audit = Audit::open(Options {
        segment_bytes: 1,
        ..options(directory.path())
    })
    .unwrap();
    put(&audit, 0);
    audit.flush_blocking().unwrap();
    let device = directory.path().join(format!("{:020}.ndjson", 3));
    std::os::unix::fs::symlink("/dev/full", &device).unwrap();
    put(&audit, 1);
    eventually(|| matches!(audit.health(), Err(Unhealthy::Failing(_))));
    assert_eq!(audit.counters().durable_seq, 2);
    std::fs::remove_file(device).unwrap();
    audit.flush_blocking().unwrap();
    audit.close();
    sound(directory.path());
    assert_eq!(numbers(directory.path(), 0), [0, 1]);
    let gaps = of_kind(directory.path(), "gap");
    let told = gaps[0]["disk_error"].as_str().unwrap();
    assert!(told.contains("No space left on device"), "{told}");
}

/// A file system of this size, as long as it is held.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().ok();
    }
}

#[test]
fn a_real_full_disk_is_waited_out() {
    let directory = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(directory.path()) else {
        eprintln!("skipped: a file system may not be mounted here");
        return;
    };
    let ballast = directory.path().join("ballast");
    std::fs::write(&ballast, vec![1; 128 << 10]).unwrap();
    let log = directory.path().join("log");
    let audit = Audit::open(Options {
        overflow: Overflow::Count,
        waiting_records_max: 100,
        segment_bytes: 20_000,
        ..options(&log)
    })
    .unwrap();
    // More than there is room for, in memory or on the disk.
    let (mut taken, mut number) = (Vec::new(), 0);
    while taken.len() < 100 || audit.health().is_ok() {
        // The text cannot be packed well.
        let pad = uuid_text(1000);
        let event = deodar::audit::EventRecord::new(
            "test",
            [
                ("thread", 0.into()),
                ("number", number.into()),
                ("pad", pad.into()),
            ],
        );
        if let Submitted::Taken = audit.submit(START, event) {
            taken.push(number);
        } else {
            std::thread::yield_now();
        }
        number += 1;
    }
    std::fs::remove_file(ballast).unwrap();
    audit.flush_blocking().unwrap();
    audit.close();
    sound(&log);
    assert_eq!(numbers(&log, 0), taken);
    assert_eq!(lines(&log)[0].kind, "segment");
    drop(small);
}

fn uuid_text(length: usize) -> String {
    let mut text = String::new();
    while text.len() < length {
        text.push_str(&uuid::Uuid::new_v4().to_string());
    }
    text
}
