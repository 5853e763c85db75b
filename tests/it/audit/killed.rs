//! A real process that is killed while it records: nothing that it acknowledged
//! is lost, and the log needs no hand.

use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Child;
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
use crate::directory::killed;

/// Name the directory to the child, and its mode.
const SYNC_TO: &str = "DEODAR_TEST_AUDIT_SYNC_TO";
const BATCHED_TO: &str = "DEODAR_TEST_AUDIT_BATCHED_TO";
/// Longer runs: how often a process is killed.
const KILLS: &str = "DEODAR_KILLS";

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

/// Kills a child after so many acknowledgements and a moment, and gives the last.
fn kill_after(mut child: Child, lines: u64, moment: u64) -> u64 {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    for _ in 0..lines {
        let read = out.read_line(&mut text).unwrap();
        assert!(read > 0, "the child ended by itself:\n{text}");
    }
    for _ in 0..moment {
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert!(
        status.code().is_none(),
        "the child ended by itself: {status}"
    );
    out.read_to_string(&mut text).unwrap();
    text.truncate(text.rfind('\n').unwrap_or(0));
    let mut told = text
        .lines()
        .filter_map(|line| line.split_once("acknowledged "));
    told.next_back()
        .map_or(0, |(_, number)| number.parse().unwrap())
}

/// Seen to fail when tickets are answered before the sync.
#[test]
fn nothing_acknowledged_is_lost_when_killed() {
    let kills = std::env::var(KILLS)
        .ok()
        .and_then(|kills| kills.parse().ok());
    for variable in [SYNC_TO, BATCHED_TO] {
        let directory = fresh();
        for number in 0..kills.unwrap_or(12) {
            let random = RandomState::new().hash_one(number);
            let child = killed::child(
                "audit::killed::child_that_records",
                variable,
                directory.path(),
            );
            // The first lines are of the test harness.
            let acknowledged = kill_after(child, 3 + random % 40, (random >> 8) % 200_000);
            assert_eq!(super::site::verify_fault(directory.path()), None);
            let there = numbers(directory.path(), 0);
            assert_eq!(there, (0..there.len() as u64).collect::<Vec<_>>());
            assert!(there.len() as u64 > acknowledged, "{acknowledged} is lost");
        }
        Audit::open(options(directory.path())).unwrap().close();
        let report = sound(directory.path());
        assert!(report.segments > 3, "{report:?}");
    }
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
    let child = killed::child(
        "audit::killed::child_that_comes_second",
        "DEODAR_TEST_AUDIT_SECOND",
        directory.path(),
    );
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("refused true"), "{text}");
}
