//! Whatever is submitted is in the log, once, in order, and verified.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use deodar::audit::Audit;
use deodar::audit::Mode;
use deodar::audit::Options;
use deodar::audit::Sink;
use deodar::audit::Submitted;
use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::directory::time::Time;
use parking_lot::Mutex;
use proptest::collection::vec;
use proptest::prelude::*;

use super::site::START;
use super::site::WINDOW;
use super::site::close_packed;
use super::site::files;
use super::site::fresh;
use super::site::lines;
use super::site::numbers;
use super::site::of_kind;
use super::site::options;
use super::site::put;
use super::site::record;
use super::site::sound;
use crate::engine_oracle::cases;

#[derive(Debug, Clone)]
enum Step {
    Submit { pad: usize },
    Flush,
    Reopen,
    Later { millis: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => prop_oneof![5 => 0_usize..200, 1 => 200_usize..9000].prop_map(|pad| Step::Submit { pad }),
        2 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        2 => (0_i64..2000).prop_map(|millis| Step::Later { millis }),
    ]
}

/// Keeps what it is told.
#[derive(Debug, Default, Clone)]
struct Kept(Arc<Mutex<Vec<(u64, String)>>>);

impl Sink for Kept {
    fn appended(&mut self, seq: u64, line: &[u8]) {
        let line = String::from_utf8(line.to_vec()).unwrap();
        self.0.lock().push((seq, line));
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn what_is_submitted_is_read(
        steps in vec(step(), 1..80),
        segment_bytes in 1_u64..6000,
        is_sync: bool,
        since in 0_usize..80,
    ) {
        let directory = fresh();
        let clock = Arc::new(AtomicI64::new(START));
        let kept = Kept::default();
        let open = || {
            let options = Options {
                mode: if is_sync { Mode::Sync } else { Mode::Batched { window: WINDOW } },
                segment_bytes,
                segment_age: std::time::Duration::from_secs(3),
                time: Time::Set(Arc::clone(&clock)),
                sinks: vec![Box::new(kept.clone())],
                ..options(directory.path())
            };
            Audit::open(options).unwrap()
        };
        let mut audit = open();
        let mut submitted = Vec::new();
        for step in steps {
            match step {
                Step::Submit { pad } => {
                    let number = submitted.len() as u64;
                    let millis = clock.load(Ordering::Relaxed);
                    match audit.submit(millis, record(0, number, pad)) {
                        Submitted::Taken => prop_assert!(!is_sync),
                        // Waited for later, so that groups are committed.
                        Submitted::Pending(_) => prop_assert!(is_sync),
                        other => prop_assert!(false, "{other:?}"),
                    }
                    submitted.push((number, millis));
                }
                Step::Flush => {
                    audit.flush_blocking().unwrap();
                    prop_assert_eq!(numbers(directory.path(), 0).len(), submitted.len());
                    prop_assert_eq!(audit.counters().waiting_records, 0);
                    sound(directory.path());
                }
                Step::Reopen => {
                    audit.close();
                    audit = open();
                }
                Step::Later { millis } => {
                    clock.fetch_add(millis, Ordering::Relaxed);
                }
            }
        }
        prop_assert_eq!(audit.health(), Ok(()));
        close_packed(audit, directory.path());
        let report = sound(directory.path());
        prop_assert_eq!((report.first_seq, report.gaps), (1, 0));
        let all = lines(directory.path());
        let mut read = all.clone();
        read.retain(|line| line.kind == "test");
        let read: Vec<_> = numbers(directory.path(), 0).into_iter().zip(read.iter().map(|line| line.millis)).collect();
        prop_assert_eq!(&read, &submitted);
        for (line, seq) in all.iter().zip(1..) {
            prop_assert_eq!(line.seq, seq);
        }
        // What the sink was told is what is there.
        let told = kept.0.lock().clone();
        let there: Vec<_> = all.iter().map(|line| (line.seq, line.text.clone())).collect();
        prop_assert_eq!(told, there);
        // From any record or time on, all that follows is read.
        let from = &all[since % all.len()];
        let since_seq = Reader::open(directory.path(), Since::Seq(from.seq)).unwrap();
        let since_seq: Vec<_> = since_seq.map(Result::unwrap).collect();
        prop_assert_eq!(&since_seq, &all[since % all.len()..]);
        let since_time = Reader::open(directory.path(), Since::Millis(from.millis)).unwrap();
        let since_time: Vec<_> = since_time.map(Result::unwrap).collect();
        let expected: Vec<_> = all.iter().filter(|line| line.millis >= from.millis).cloned().collect();
        prop_assert_eq!(since_time, expected);
        // All but the last segment are packed.
        let (last, closed) = { let mut files = files(directory.path()); (files.pop().unwrap(), files) };
        prop_assert_eq!(last.extension().unwrap(), "ndjson");
        prop_assert!(closed.iter().all(|file| file.extension().unwrap() == "zst"), "{closed:?}");
    }
}

#[test]
fn each_thread_keeps_its_order() {
    for mode in [Mode::Sync, Mode::Batched { window: WINDOW }] {
        let directory = fresh();
        let audit = Audit::open(Options {
            mode,
            segment_bytes: 20_000,
            ..options(directory.path())
        })
        .unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let audit = &audit;
                scope.spawn(move || {
                    for number in 0..200 {
                        match audit.submit(START, record(thread, number, 10)) {
                            Submitted::Pending(ticket) if number % 50 == 0 => {
                                ticket.wait().unwrap();
                            }
                            Submitted::Pending(_) | Submitted::Taken => {}
                            other => panic!("{other:?}"),
                        }
                    }
                });
            }
        });
        drop(audit);
        let report = sound(directory.path());
        assert!(report.segments > 3, "{report:?}");
        for thread in 0..4 {
            assert_eq!(
                numbers(directory.path(), thread),
                (0..200).collect::<Vec<_>>()
            );
        }
    }
}

/// A reader goes on where it was, over the ends of segments, and `verify` is
/// content with a log that is being written.
#[test]
fn a_reader_follows_the_writer() {
    let directory = fresh();
    let audit = Audit::open(Options {
        segment_bytes: 700,
        ..options(directory.path())
    })
    .unwrap();
    audit.flush_blocking().unwrap();
    let mut reader = Reader::open(directory.path(), Since::Oldest).unwrap();
    let mut read = Vec::new();
    for number in 0..40 {
        put(&audit, number);
        if number % 3 == 0 {
            audit.flush_blocking().unwrap();
            read.extend(reader.by_ref().map(Result::unwrap));
            sound(directory.path());
            assert_eq!(read, lines(directory.path()));
        }
    }
    assert!(files(directory.path()).len() > 5);
    assert_eq!(read.last().unwrap().millis, START);
}

#[test]
fn a_record_over_the_limit_is_told_as_a_gap() {
    let directory = fresh();
    let audit = Audit::open(options(directory.path())).unwrap();
    put(&audit, 1);
    assert!(matches!(
        audit.submit(START, record(0, 2, 1 << 20)),
        Submitted::Taken
    ));
    put(&audit, 3);
    audit.flush_blocking().unwrap();
    assert_eq!(audit.counters().lost, 1);
    assert!(audit.health().is_err());
    drop(audit);
    assert_eq!(sound(directory.path()).lost, 1);
    assert_eq!(numbers(directory.path(), 0), [1, 3]);
    let gaps = of_kind(directory.path(), "gap");
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0]["why"], serde_json::json!(["size"]));
    assert_eq!(gaps[0]["from"], "2026-01-31T12:00:00.000Z");
}
