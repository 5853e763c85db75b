//! Closed segments: packed, dropped, and what a crash in between leaves.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deodar::audit::Audit;
use deodar::audit::Options;
use deodar::audit::ReadError;
use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::audit::verify::verify;
use deodar::directory::time::Time;

use super::failing::Gate;
use super::failing::Plan;
use super::site::START;
use super::site::eventually;
use super::site::files;
use super::site::fresh;
use super::site::lines;
use super::site::numbers;
use super::site::of_kind;
use super::site::options;
use super::site::put;
use super::site::sound;

fn small(directory: &std::path::Path) -> Options {
    Options {
        segment_bytes: 1000,
        ..options(directory)
    }
}

fn filled(options: Options, count: u64) {
    let audit = Audit::open(options).unwrap();
    for number in 0..count {
        put(&audit, number);
    }
    audit.close();
}

#[test]
fn a_crash_while_packing_leaves_nothing_behind() {
    let directory = fresh();
    filled(small(directory.path()), 20);
    let before = lines(directory.path());
    let packed = files(directory.path())[1].clone();
    let plain = packed.with_extension("");
    let text = zstd::decode_all(&*fs::read(&packed).unwrap()).unwrap();
    fs::write(&plain, &text).unwrap();
    let good = fs::read(&packed).unwrap();
    // Renamed and whole, renamed and not durable, not yet renamed.
    for (is_renamed, bytes) in [
        (true, &good[..]),
        (true, &good[..20]),
        (true, &[0; 50]),
        (false, &good[..20]),
    ] {
        fs::write(&plain, &text).unwrap();
        fs::remove_file(&packed).unwrap();
        let unfinished = format!("{}.new", packed.display());
        if is_renamed {
            fs::write(&packed, bytes).unwrap();
        } else {
            fs::write(&unfinished, bytes).unwrap();
        }
        assert_eq!(lines(directory.path()), before);
        sound(directory.path());
        Audit::open(small(directory.path())).unwrap().close();
        assert!(!plain.exists() && !fs::exists(unfinished).unwrap());
        assert_eq!(
            zstd::decode_all(&*fs::read(&packed).unwrap()).unwrap(),
            text
        );
        assert_eq!(lines(directory.path()), before);
    }
}

/// What is not what the next segment states stays as evidence. Seen to fail when
/// the digest is not compared before the plain file is removed.
#[test]
fn a_damaged_segment_is_not_packed() {
    let directory = fresh();
    filled(small(directory.path()), 20);
    let packed = files(directory.path())[1].clone();
    let plain = packed.with_extension("");
    let mut text = zstd::decode_all(&*fs::read(&packed).unwrap()).unwrap();
    fs::remove_file(&packed).unwrap();
    text[300] ^= 1;
    fs::write(&plain, &text).unwrap();
    Audit::open(small(directory.path())).unwrap().close();
    assert!(!packed.exists());
    assert_eq!(fs::read(&plain).unwrap(), text);
}

#[test]
fn what_is_too_much_is_dropped_and_told() {
    let directory = fresh();
    let keep = 10_000;
    filled(
        Options {
            keep_bytes: Some(keep),
            ..small(directory.path())
        },
        300,
    );
    let audit = Audit::open(Options {
        keep_bytes: Some(keep),
        ..small(directory.path())
    })
    .unwrap();
    let total = || {
        let sizes = files(directory.path())
            .into_iter()
            .map(|file| fs::metadata(file).map_or(0, |file| file.len()));
        sizes.sum::<u64>()
    };
    // The record of it takes room too.
    eventually(|| total() < keep + 6000);
    audit.close();
    let report = sound(directory.path());
    assert!(report.first_seq > 50, "{report:?}");
    let told = of_kind(directory.path(), "retention");
    let last = told.last().unwrap();
    assert_eq!(last["through"], report.first_seq - 1);
    assert_eq!(last["why"], "bytes");
    assert_eq!(*numbers(directory.path(), 0).last().unwrap(), 299);
    match Reader::open(directory.path(), Since::Seq(1)) {
        Err(ReadError::Dropped { oldest }) => assert_eq!(oldest, report.first_seq),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_too_old_is_dropped_and_told() {
    let directory = fresh();
    let clock = Arc::new(AtomicI64::new(START));
    let open = || {
        Audit::open(Options {
            keep_age: Some(Duration::from_secs(1000)),
            time: Time::Set(Arc::clone(&clock)),
            ..small(directory.path())
        })
        .unwrap()
    };
    for round in 0..10 {
        let audit = open();
        for number in 0..6 {
            put(&audit, round * 6 + number);
        }
        audit.close();
        clock.fetch_add(300_000, Ordering::Relaxed);
    }
    // A start drops too.
    let audit = open();
    eventually(|| verify(directory.path()).is_ok_and(|report| report.first_seq > 20));
    audit.close();
    let report = sound(directory.path());
    assert!(report.first_seq > 20, "{report:?}");
    let told = of_kind(directory.path(), "retention");
    assert_eq!(told.last().unwrap()["why"], "age");
    // Nothing of the last 1000 s is gone.
    let there = numbers(directory.path(), 0);
    assert!(there[0] <= 7 * 6, "{there:?}");
    assert_eq!(*there.last().unwrap(), 59);
}

/// Told, and then the crash: it is told again, and dropped.
#[test]
fn a_crash_before_dropping_drops_later() {
    let directory = fresh();
    filled(small(directory.path()), 60);
    let gate = Arc::new(Gate::default());
    gate.plan(Plan {
        calls: Some(0),
        only: vec!["remove"],
        ..Plan::default()
    });
    let keep = Options {
        keep_bytes: Some(3000),
        ..small(directory.path())
    };
    let audit = Audit::open(Options {
        files: gate.files(),
        ..keep
    })
    .unwrap();
    gate.wait_for_failures(1);
    audit.close();
    assert_eq!(sound(directory.path()).first_seq, 1);
    assert!(!of_kind(directory.path(), "retention").is_empty());
    let audit = Audit::open(Options {
        keep_bytes: Some(3000),
        ..small(directory.path())
    })
    .unwrap();
    eventually(|| verify(directory.path()).is_ok_and(|report| report.first_seq > 1));
    audit.close();
    sound(directory.path());
}

#[test]
fn a_log_that_is_written_packed_and_dropped_is_sound() {
    let directory = fresh();
    let audit = Audit::open(Options {
        keep_bytes: Some(4000),
        ..small(directory.path())
    })
    .unwrap();
    audit.flush_blocking().unwrap();
    let writing = std::thread::spawn(move || {
        for number in 0..1500 {
            put(&audit, number);
            if number % 20 == 0 {
                audit.flush_blocking().unwrap();
            }
        }
        audit.close();
    });
    while !writing.is_finished() {
        match verify(directory.path()) {
            Ok(report) => assert_eq!(report.fault, None),
            // Dropped faster than it is read.
            Err(ReadError::Io { error, .. }) => {
                assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
            }
            Err(error) => panic!("{error}"),
        }
    }
    writing.join().unwrap();
    assert!(sound(directory.path()).first_seq > 1);
}
