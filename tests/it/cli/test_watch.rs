//! `deodar test --watch`: run again after every change.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Lines;
use std::process::Child;
use std::process::ChildStdin;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;

use crate::cli::POLICIES;
use crate::cli::Place;
use crate::cli::test::GOOD;

struct Watching {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(place: &Place) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_deodar"))
            .args(["test", "policies", "--watch"])
            .current_dir(place.0.path())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            lines: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    /// Waits for a run that came to this. A file that is being written may make
    /// for others before.
    fn comes_to(&mut self, summary: &str) {
        let mut lines = self.lines.by_ref().map(Result::unwrap);
        assert!(lines.any(|line| line.starts_with(summary)), "{summary}");
    }
}

#[test]
fn tests_are_run_again_after_a_change() {
    let place = Place::new();
    place.write("policies/docs.test.yaml", GOOD);
    let mut watching = Watching::start(&place);
    watching.comes_to("passed: 7 cases in ");
    let fewer = GOOD.split_once("tables:").unwrap().0;
    place.write("policies/docs.test.yaml", fewer);
    watching.comes_to("passed: 3 cases in ");
    // Policies are watched too, and one that does not compile ends nothing.
    place.write("policies/docs.cedar", "permit (principal, action, resource");
    let failing = fewer.replace("decision: deny, cause: forbidden", "decision: allow");
    place.write("policies/docs.test.yaml", &failing);
    place.write("policies/docs.cedar", POLICIES);
    watching.comes_to("failed: 3 cases, 2 passed, 1 failed in ");
    drop(watching.input);
    assert_eq!(watching.child.wait().unwrap().code(), Some(5));
}

#[test]
fn an_interrupt_ends_it() {
    let place = Place::new();
    place.write("policies/docs.test.yaml", GOOD);
    let mut watching = Watching::start(&place);
    watching.comes_to("passed: 7 cases in ");
    let id = watching.child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(killed.success());
    assert_eq!(watching.child.wait().unwrap().code(), Some(0));
}
