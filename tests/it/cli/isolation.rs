//! Processes of their own write and read what always changes together.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use serde_json::Value as Json;

use crate::cli::Place;
use crate::cli::serve::Served;

/// So many states are seen, each by a process that reads once.
const STATES: usize = 12;

/// Left and right at one level, in one transaction.
fn pair(level: usize) -> String {
    let user = |id: &str| {
        format!(
            "{{\"uid\": {{\"type\": \"User\", \"id\": \"{id}\"}}, \"attrs\": {{\"level\": {level}}}, \"parents\": []}}\n"
        )
    };
    user("left") + &user("right")
}

fn writer(place: &Place, server: &str) -> (Child, ChildStdin) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_deodar"))
        .args(["directory", "import", "-", "--batch", "2"])
        .args(["--in-flight", "1", "--server", server])
        .current_dir(place.0.path())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap();
    (child, input)
}

/// Writes pairs until it is enough, or nobody takes them.
fn feed(mut input: ChildStdin, is_enough: &AtomicBool) {
    let mut level = 0;
    while !is_enough.load(Ordering::Relaxed) && input.write_all(pair(level).as_bytes()).is_ok() {
        level += 1;
    }
}

/// Seen to fail when the two are written by two transactions (`--batch 1`).
#[test]
fn a_reader_in_another_process_sees_both_changes_or_none() {
    let place = Place::new();
    let policies = place.0.path().join("policies");
    let memory = [("DEODAR_DIRECTORY__PATH", "memory")];
    let served = Served::start(place.0.path(), &policies, &memory);
    let server = format!("unix:{}", served.socket.display());
    let (mut writer, input) = writer(&place, &server);
    let is_enough = AtomicBool::new(false);
    let get = [
        "directory",
        "get",
        "User::\"left\"",
        "User::\"right\"",
        "--json",
        "--server",
        &server,
    ];
    let mut seen = BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| feed(input, &is_enough));
        let _over = Over(&is_enough);
        while seen.len() < STATES {
            let shown = place.run(&get);
            let (_, json) = shown.split_once("--- stdout\n").unwrap();
            let read: Json = serde_json::from_str(json).unwrap();
            let [left, right] = [0, 1].map(|at| &read["entities"][at]);
            assert_eq!(left["absent"], right["absent"], "{shown}");
            assert_eq!(left["version"], right["version"], "{shown}");
            assert_eq!(left["attrs"]["level"], right["attrs"]["level"], "{shown}");
            if let Some(version) = left["version"].as_u64() {
                seen.insert(version);
            }
            assert!(writer.try_wait().unwrap().is_none(), "the writer ended");
        }
    });
    assert!(writer.wait().unwrap().success());
}

/// A reader that fails ends the feeding too.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
