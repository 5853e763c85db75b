//! Processes that tests kill: how often, by which moment, and what they told
//! before.

use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

/// Longer runs: how often a process is killed.
const KILLS: &str = "DEODAR_KILLS";

/// How often to kill, if nobody says so.
pub(crate) fn times(default: u64) -> u64 {
    std::env::var(KILLS).map_or(default, |kills| kills.parse().unwrap())
}

/// The same for a whole server, which takes longer to start and to ask: it is
/// killed once where others are killed 15 times.
pub(crate) fn times_of_a_server(default: u64) -> u64 {
    times(default * 15).div_ceil(15)
}

/// A number that nobody foresees.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// A child of this test binary, that runs one of its tests.
pub(crate) fn child(test: &str, variable: &str, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(variable, directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills a child within its first 40 lines, at a moment of so many turns of a
/// loop at the most, and gives what it acknowledged by whole lines.
pub(crate) fn kill(mut child: Child, turns: u64) -> Vec<String> {
    let random = random();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    // The first lines are of the test harness.
    for _ in 0..3 + random % 40 {
        let read = out.read_line(&mut text).unwrap();
        assert!(read > 0, "the child ended by itself:\n{text}");
    }
    for _ in 0..(random >> 8) % turns {
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
    let told = text
        .lines()
        .filter_map(|line| line.split_once("acknowledged "));
    told.map(|(_, told)| told.to_owned()).collect()
}
