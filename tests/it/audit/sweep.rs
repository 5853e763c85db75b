//! Closed segments: packed, dropped, and what a crash in between leaves.

use std::fs;
use std::io;
use std::io::ErrorKind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deodar::audit::Audit;
use deodar::audit::Options;
use deodar::audit::ReadError;
use deodar::audit::Submitted;
use deodar::audit::files::Call;
use deodar::audit::files::Files;
use deodar::audit::files::Refused;
use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::audit::verify::verify;
use deodar::directory::time::Time;
use parking_lot::Mutex;

use super::failing::Gate;
use super::failing::Plan;
use super::site::START;
use super::site::close_packed;
use super::site::eventually;
use super::site::files;
use super::site::fresh;
use super::site::lines;
use super::site::numbers;
use super::site::of_kind;
use super::site::options;
use super::site::put;
use super::site::record;
use super::site::sound;

fn small(directory: &Path) -> Options {
    Options {
        segment_bytes: 1000,
        ..options(directory)
    }
}

fn filled(options: Options, count: u64) {
    let directory = options.directory.clone();
    let audit = Audit::open(options).unwrap();
    for number in 0..count {
        put(&audit, number);
    }
    close_packed(audit, &directory);
}

/// Some closed segments, none packed, with the last one open.
fn unpacked(directory: &Path) -> Vec<PathBuf> {
    filled(small(directory), 20);
    let files = files(directory);
    for packed in &files[..files.len() - 1] {
        let text = zstd::decode_all(&*fs::read(packed).unwrap()).unwrap();
        fs::write(packed.with_extension(""), text).unwrap();
        fs::remove_file(packed).unwrap();
    }
    super::site::files(directory)
}

fn is_packed(path: &Path) -> bool {
    !path.exists() && path.with_extension("ndjson.zst").exists()
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
        close_packed(
            Audit::open(small(directory.path())).unwrap(),
            directory.path(),
        );
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
    // The one behind it shows that it was looked at.
    let next = files(directory.path())[2].clone();
    let text_of_next = zstd::decode_all(&*fs::read(&next).unwrap()).unwrap();
    fs::write(next.with_extension(""), text_of_next).unwrap();
    fs::remove_file(&next).unwrap();
    let audit = Audit::open(small(directory.path())).unwrap();
    eventually(|| is_packed(&next.with_extension("")));
    audit.close();
    assert!(!packed.exists());
    assert_eq!(fs::read(&plain).unwrap(), text);
}

/// Seen to fail when the file is kept.
#[test]
fn packing_that_fails_leaves_nothing_behind() {
    for (number, call) in ["write", "sync", "rename"].into_iter().enumerate() {
        let directory = fresh();
        let closed = unpacked(directory.path()).len() as u64 - 1;
        let files = Files::behind(Arc::new(move |path, asked| {
            let is_asked = match asked {
                Call::Write(_) => call == "write" && path.extension().unwrap() == "new",
                Call::Sync => call == "sync" && path.extension().unwrap() == "new",
                Call::Rename => call == "rename",
                _ => false,
            };
            let kind = [ErrorKind::Other, ErrorKind::StorageFull][number % 2];
            let error = || io::Error::from(kind);
            let refused = || Refused {
                written: 100,
                error: error(),
            };
            if is_asked { Err(refused()) } else { Ok(()) }
        }));
        let audit = Audit::open(Options {
            files,
            ..small(directory.path())
        })
        .unwrap();
        // All are tried, unless the disk is full.
        let tried = if number % 2 == 0 { closed } else { 1 };
        eventually(|| audit.counters().disk_errors == tried);
        let entries = fs::read_dir(directory.path()).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let unfinished = paths.filter(|path| path.extension().is_some_and(|end| end == "new"));
        assert_eq!(unfinished.count(), 0, "{call}");
        audit.close();
        sound(directory.path());
    }
}

/// Seen to fail when the first error ends the sweep.
#[test]
fn a_segment_that_cannot_be_packed_is_passed_over() {
    let directory = fresh();
    let segments = unpacked(directory.path());
    // Not to be replaced by a file.
    fs::create_dir(segments[1].with_extension("ndjson.zst")).unwrap();
    let audit = Audit::open(small(directory.path())).unwrap();
    let last = segments.len() - 1;
    eventually(|| segments[2..last].iter().all(|path| is_packed(path)));
    assert!(is_packed(&segments[0]));
    audit.close();
    assert!(segments[1].exists());
    sound(directory.path());
}

/// Its successor cannot be read, but those behind tell its age as well.
#[test]
fn a_segment_before_a_damaged_one_gets_old() {
    let directory = fresh();
    let segments = unpacked(directory.path());
    fs::write(&segments[2], "no record\n").unwrap();
    let clock = Arc::new(AtomicI64::new(START + 2_000_000));
    let audit = Audit::open(Options {
        keep_age: Some(Duration::from_secs(1000)),
        time: Time::Set(clock),
        ..small(directory.path())
    })
    .unwrap();
    let (_, closed) = segments.split_last().unwrap();
    eventually(|| closed.iter().all(|path| !path.exists() && !is_packed(path)));
    audit.close();
    sound(directory.path());
}

/// What was just closed is small once it is packed. Seen to fail when segments are
/// dropped first.
#[test]
fn a_segment_is_packed_before_it_is_too_much() {
    let directory = fresh();
    let audit = Audit::open(Options {
        segment_bytes: 20_000,
        keep_bytes: Some(15_000),
        ..options(directory.path())
    })
    .unwrap();
    let mut number = 0;
    while audit.counters().segments == 0 {
        let submitted = audit.submit(START, record(0, number, 1000));
        assert!(matches!(submitted, Submitted::Taken), "{submitted:?}");
        audit.flush_blocking().unwrap();
        number += 1;
    }
    close_packed(audit, directory.path());
    assert_eq!(sound(directory.path()).first_seq, 1);
    assert_eq!(
        numbers(directory.path(), 0),
        (0..number).collect::<Vec<_>>()
    );
}

/// Where it cannot be packed for want of room, what is too much is dropped all the
/// same, and then there is room.
#[test]
fn on_a_full_disk_the_oldest_are_dropped() {
    let directory = fresh();
    let segments = unpacked(directory.path());
    let kept = segments.clone();
    let files = Files::behind(Arc::new(move |path, asked| {
        let is_full = kept[0].exists() && path.extension().is_some_and(|end| end == "new");
        if is_full && matches!(asked, Call::Write(_)) {
            let error = io::Error::from(ErrorKind::StorageFull);
            return Err(Refused { written: 0, error });
        }
        Ok(())
    }));
    let audit = Audit::open(Options {
        files,
        keep_bytes: Some(3000),
        ..small(directory.path())
    })
    .unwrap();
    eventually(|| !segments[0].exists());
    close_packed(audit, directory.path());
    assert!(sound(directory.path()).first_seq > 1);
}

/// Seen to fail when a sweep goes on while the log closes.
#[test]
fn closing_does_not_wait_for_a_backlog() {
    let directory = fresh();
    let segments = unpacked(directory.path());
    assert!(segments.len() > 3);
    let gate = Arc::new(Mutex::new(()));
    let shut = gate.lock();
    let begun = Arc::new(AtomicU64::new(0));
    let (at_gate, counted) = (Arc::clone(&gate), Arc::clone(&begun));
    let files = Files::behind(Arc::new(move |path, asked| {
        if asked == Call::Open && path.extension().unwrap() == "new" {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(at_gate.lock());
        }
        Ok(())
    }));
    let audit = Audit::open(Options {
        files,
        ..small(directory.path())
    })
    .unwrap();
    eventually(|| begun.load(Ordering::Relaxed) == 1);
    let other = audit.clone();
    let closing = std::thread::spawn(move || audit.close());
    eventually(|| other.answering().is_err());
    drop(shut);
    closing.join().unwrap();
    assert_eq!(begun.load(Ordering::Relaxed), 1);
    // The next start goes on.
    close_packed(
        Audit::open(small(directory.path())).unwrap(),
        directory.path(),
    );
    sound(directory.path());
}

/// Seen to fail when what comes next is not compared with what is there.
#[test]
fn a_reader_whose_next_segments_were_dropped_says_so() {
    let directory = fresh();
    filled(small(directory.path()), 20);
    let segments = files(directory.path());
    let at_its_end = || {
        let mut reader = Reader::open(directory.path(), Since::Oldest).unwrap();
        let packed = fs::File::open(&segments[0]).unwrap();
        let text = zstd::decode_all(packed).unwrap();
        for _ in text.split(|byte| *byte == b'\n').skip(1) {
            reader.next().unwrap().unwrap();
        }
        reader
    };
    let (mut behind, mut before_a_hole) = (at_its_end(), at_its_end());
    fs::remove_file(&segments[1]).unwrap();
    match before_a_hole.next() {
        Some(Err(ReadError::Damaged(_))) => {}
        other => panic!("{other:?}"),
    }
    fs::remove_file(&segments[0]).unwrap();
    let oldest = lines(directory.path())[0].seq;
    match behind.next() {
        Some(Err(ReadError::Dropped { oldest: told })) => assert_eq!(told, oldest),
        other => panic!("{other:?}"),
    }
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
                assert_eq!(error.kind(), ErrorKind::NotFound);
            }
            Err(error) => panic!("{error}"),
        }
    }
    writing.join().unwrap();
    assert!(sound(directory.path()).first_seq > 1);
}
