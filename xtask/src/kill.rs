//! `cargo xtask kill --rounds N`: the tests that kill a process, thousands of times.
//!
//! Tests start a process that writes, kill it with SIGKILL and look at what it
//! left: the directory with decisions, its log alone, the audit log alone, and the
//! server while it is asked. Each is told by `DEODAR_KILLS` how often; the server is
//! killed once where the others are killed 15 times. They are run in slices, so that
//! progress can be told; each slice begins with an empty directory. The tests are
//! built as a release is: more is written until a process is killed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

/// Kills between two lines of progress.
const SLICE: u64 = 200;
const HELP: &str = "cargo xtask kill --rounds <number>";

/// Runs these tests until each has killed so often.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let rounds: u64 = match arguments {
        [flag, number] if flag == "--rounds" => number
            .parse()
            .map_err(|_| format!("`--rounds` takes a number; {HELP}"))?,
        _ => return Err(HELP.to_owned()),
    };
    let started = Instant::now();
    let mut done = 0;
    while done < rounds {
        let kills = SLICE.min(rounds - done);
        let tests = slice(kills)?;
        done += kills;
        eprintln!("{}", progress(done, rounds, tests, started.elapsed()));
    }
    Ok(())
}

fn progress(done: u64, rounds: u64, tests: u64, took: Duration) -> String {
    let seconds = took.as_secs();
    let left = seconds * (rounds - done) / done.max(1);
    format!("{done} of {rounds} rounds of {tests} tests, none failed; {seconds} s, {left} s left")
}

/// Runs every test whose name has `killed` in it; gives how many there were.
fn slice(kills: u64) -> Result<u64, String> {
    let output = Command::new("cargo")
        .args(["test", "--release", "--test", "it", "killed"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .env("DEODAR_KILLS", kills.to_string())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "{errors}\n{printed}\ncargo test: {}",
            output.status
        ));
    }
    match passed(&printed) {
        Some(tests) if tests > 0 => Ok(tests),
        _ => Err(format!("no test was run:\n{printed}")),
    }
}

/// `test result: ok. 2 passed; 0 failed; ..`.
fn passed(printed: &str) -> Option<u64> {
    let mut lines = printed.lines();
    let counts = lines.find_map(|line| line.strip_prefix("test result: ok. "))?;
    counts.split_once(" passed")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::passed;

    #[test]
    fn the_tests_that_passed_are_counted() {
        let printed = "running 2 tests\n\ntest result: ok. 2 passed; 0 failed; 0 ignored\n";
        assert_eq!(passed(printed), Some(2));
        assert_eq!(passed("running 0 tests\n"), None);
    }
}
