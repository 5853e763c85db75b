//! A real process that is killed while it records: nothing that it acknowledged
//! is lost, and the log needs no hand.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use deodar::audit::Audit;
use deodar::audit::Mode;
use deodar::audit::OpenError;
use deodar::audit::Options;
use deodar::audit::Submitted;

use super::site::START;
use super::site::fresh;
use super::site::numbers;
use super::site::options;
use super::site::record;
use super::site::sound;
use crate::kills;

/// Name the directory to the child, and its mode.
const SYNC_TO: &str = "DEODAR_TEST_AUDIT_SYNC_TO";
const BATCHED_TO: &str = "DEODAR_TEST_AUDIT_BATCHED_TO";

/// How often the processes of one log are killed.
const KILLS_OF_A_LOG: u64 = 15;

/// Not a test of its own: the process that is killed.
#[test]
fn child_that_records() {
    let (sync, batched) = (std::env::var(SYNC_TO), std::env::var(BATCHED_TO));
    let window = Duration::from_millis(20);
    let (directory, mode) = match (&sync, &batched) {
        (Ok(directory), _) => (Path::new(directory), Mode::Sync),
        (_, Ok(directory)) => (Path::new(directory), Mode::Batched { window }),
        _ => return,
    };
    let first = if directory.join("lock").exists() {
        numbers(directory, 0).last().map_or(0, |last| last + 1)
    } else {
        0
    };
    let audit = Audit::open(Options {
        mode,
        segment_bytes: 5000,
        keep_bytes: None,
        ..options(directory)
    })
    .unwrap();
    let mut out = std::io::stdout();
    for number in (first..).step_by(3) {
        let submit = |number| audit.submit(START, record(0, number, 50));
        let submitted = [number, number + 1, number + 2].map(submit);
        for submitted in submitted {
            match submitted {
                Submitted::Pending(ticket) => ticket.wait().unwrap(),
                Submitted::Taken => {}
                other => panic!("{other:?}"),
            }
        }
        if mode != Mode::Sync {
            if number % 4 != 0 {
                continue;
            }
            audit.flush_blocking().unwrap();
        }
        // Whole lines only count.
        writeln!(out, "acknowledged {}", number + 2).unwrap();
        out.flush().unwrap();
    }
}

/// Seen to fail when tickets are answered before the sync.
#[test]
fn nothing_acknowledged_is_lost_when_killed() {
    for variable in [SYNC_TO, BATCHED_TO] {
        let mut left = kills::times(12);
        while left > 0 {
            // Each look is at all of a log, so none gets long.
            let times = left.min(KILLS_OF_A_LOG);
            left -= times;
            kill_while_recording(variable, times);
        }
    }
}

fn kill_while_recording(variable: &str, times: u64) {
    let directory = fresh();
    for _ in 0..times {
        let child = kills::child(
            "audit::killed::child_that_records",
            variable,
            directory.path(),
        );
        let told = kills::kill(child, 200_000);
        let last = told.last().map(|number| number.parse().unwrap());
        let acknowledged = last.unwrap_or(0);
        assert_eq!(super::site::verify_fault(directory.path()), None);
        let there = numbers(directory.path(), 0);
        assert_eq!(there, (0..there.len() as u64).collect::<Vec<_>>());
        assert!(there.len() as u64 > acknowledged, "{acknowledged} is lost");
    }
    Audit::open(options(directory.path())).unwrap().close();
    let report = sound(directory.path());
    assert!(report.segments > 3, "{report:?}");
}

/// Not a test of its own: the process that comes second.
#[test]
fn child_that_comes_second() {
    let Ok(directory) = std::env::var("DEODAR_TEST_AUDIT_SECOND") else {
        return;
    };
    let opened = Audit::open(options(Path::new(&directory)));
    let is_refused = matches!(opened, Err(OpenError::InUse { .. }));
    writeln!(std::io::stdout(), "refused {is_refused}").unwrap();
}

#[test]
fn a_second_process_is_refused() {
    let directory = fresh();
    let _audit = Audit::open(options(directory.path())).unwrap();
    let child = kills::child(
        "audit::killed::child_that_comes_second",
        "DEODAR_TEST_AUDIT_SECOND",
        directory.path(),
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("refused true"), "{text}");
}
