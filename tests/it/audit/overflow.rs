//! A writer that stands still: each way to do without room, and what is told of
//! it afterwards.

use std::sync::Arc;

use deodar::audit::Audit;
use deodar::audit::Mode;
use deodar::audit::Options;
use deodar::audit::Overflow;
use deodar::audit::Submitted;
use deodar::audit::Unhealthy;

use super::failing::Gate;
use super::failing::Plan;
use super::site::START;
use super::site::WINDOW;
use super::site::fresh;
use super::site::numbers;
use super::site::of_kind;
use super::site::options;
use super::site::record;
use super::site::sound;

const ROOM: u64 = 10;

/// A log with room for so many, whose writer waits at the gate with the first.
fn stalled(directory: &std::path::Path, mode: Mode, overflow: Overflow) -> (Arc<Gate>, Audit) {
    let gate = Arc::new(Gate::default());
    let audit = Audit::open(Options {
        mode,
        overflow,
        waiting_records_max: usize::try_from(ROOM).unwrap(),
        files: gate.files(),
        ..options(directory)
    })
    .unwrap();
    audit.flush_blocking().unwrap();
    gate.plan(Plan {
        is_shut: true,
        ..Plan::default()
    });
    for number in 0..ROOM {
        assert!(matches!(
            audit.submit(START, record(0, number, 0)),
            Submitted::Taken | Submitted::Pending(_)
        ));
        gate.wait_until_waiting();
    }
    assert_eq!(audit.counters().waiting_records, 10);
    (gate, audit)
}

const MODES: [Mode; 2] = [Mode::Sync, Mode::Batched { window: WINDOW }];

#[test]
fn count_loses_and_tells() {
    for mode in MODES {
        let directory = fresh();
        let (gate, audit) = stalled(directory.path(), mode, Overflow::Count);
        for number in ROOM..ROOM + 5 {
            let millis = START + i64::try_from(number).unwrap();
            assert!(matches!(
                audit.submit(millis, record(0, number, 0)),
                Submitted::Lost
            ));
        }
        assert_eq!(audit.counters().lost, 5);
        assert_eq!(
            audit.health(),
            Err(Unhealthy::Losing {
                lost: 5,
                refused: 0
            })
        );
        gate.heal();
        audit.flush_blocking().unwrap();
        assert!(matches!(
            audit.submit(START, record(0, 99, 0)),
            Submitted::Taken | Submitted::Pending(_)
        ));
        audit.close();
        assert_eq!(sound(directory.path()).lost, 5);
        assert_eq!(
            numbers(directory.path(), 0),
            (0..ROOM).chain([99]).collect::<Vec<_>>()
        );
        let [gap] = &of_kind(directory.path(), "gap")[..] else {
            panic!("one gap");
        };
        assert_eq!(gap["lost"], 5);
        assert_eq!(gap["why"], serde_json::json!(["queue"]));
        assert_eq!(gap["from"], "2026-01-31T12:00:00.010Z");
        assert_eq!(gap["to"], "2026-01-31T12:00:00.014Z");
        // Before what was taken after it, and behind what was taken before.
        let kinds: Vec<_> = super::site::lines(directory.path())
            .into_iter()
            .map(|line| line.kind)
            .collect();
        let place = kinds.iter().position(|kind| kind == "gap").unwrap();
        assert_eq!(place, 11, "{kinds:?}");
    }
}

#[test]
fn deny_refuses_and_tells() {
    for mode in MODES {
        let directory = fresh();
        let (gate, audit) = stalled(directory.path(), mode, Overflow::Deny);
        assert!(matches!(
            audit.submit(START, record(0, 50, 0)),
            Submitted::Refused
        ));
        assert_eq!(audit.counters().refused, 1);
        gate.heal();
        audit.close();
        assert_eq!(sound(directory.path()).lost, 0);
        assert_eq!(numbers(directory.path(), 0), (0..ROOM).collect::<Vec<_>>());
        assert_eq!(of_kind(directory.path(), "gap")[0]["refused"], 1);
    }
}

#[test]
fn block_waits_for_room() {
    for mode in MODES {
        let directory = fresh();
        let (gate, audit) = stalled(directory.path(), mode, Overflow::Block);
        let Submitted::Full(back) = audit.submit(START, record(0, 50, 0)) else {
            panic!("there is no room");
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut room = Box::pin(audit.room(&back));
            let waits = std::future::poll_fn(|context| {
                std::task::Poll::Ready(room.as_mut().poll(context).is_pending())
            });
            assert!(waits.await);
            gate.heal();
            // In mode `batched` room is made by the next sync.
            audit.flush().await.unwrap();
            room.await;
        });
        assert!(matches!(
            audit.submit(START, back),
            Submitted::Taken | Submitted::Pending(_)
        ));
        audit.close();
        let expected = (0..ROOM).chain([50]).collect::<Vec<_>>();
        assert_eq!(numbers(directory.path(), 0), expected);
        assert_eq!(sound(directory.path()).gaps, 0);
    }
}

#[test]
fn giving_up_is_told() {
    let directory = fresh();
    let (gate, audit) = stalled(directory.path(), MODES[0], Overflow::Block);
    assert!(matches!(
        audit.submit(START, record(0, 50, 0)),
        Submitted::Full(_)
    ));
    audit.give_up(START);
    gate.heal();
    audit.close();
    assert_eq!(of_kind(directory.path(), "gap")[0]["refused"], 1);
}

/// Bytes are a bound of their own, but one record is always taken.
#[test]
fn bytes_are_bounded() {
    let directory = fresh();
    let gate = Arc::new(Gate::default());
    let audit = Audit::open(Options {
        overflow: Overflow::Deny,
        waiting_bytes_max: 1000,
        files: gate.files(),
        ..options(directory.path())
    })
    .unwrap();
    audit.flush_blocking().unwrap();
    gate.plan(Plan {
        is_shut: true,
        ..Plan::default()
    });
    assert!(matches!(
        audit.submit(START, record(0, 1, 5000)),
        Submitted::Taken
    ));
    assert!(matches!(
        audit.submit(START, record(0, 2, 0)),
        Submitted::Refused
    ));
    gate.heal();
    audit.flush_blocking().unwrap();
    assert!(matches!(
        audit.submit(START, record(0, 3, 0)),
        Submitted::Taken
    ));
    audit.close();
    assert_eq!(numbers(directory.path(), 0), [1, 3]);
}

/// What is submitted to a log that was closed is refused, and nobody waits.
#[test]
fn a_closed_log_takes_nothing() {
    for mode in MODES {
        let directory = fresh();
        let audit = Audit::open(Options {
            mode,
            ..options(directory.path())
        })
        .unwrap();
        let other = audit.clone();
        audit.close();
        assert!(matches!(
            other.submit(START, record(0, 1, 0)),
            Submitted::Refused
        ));
        assert!(other.flush_blocking().is_err());
        assert_eq!(other.health(), Err(Unhealthy::Ended));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(other.room(&record(0, 1, 0).into()));
        // Its lock is let go, though a clone is there.
        Audit::open(options(directory.path())).unwrap();
    }
}
