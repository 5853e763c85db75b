//! docs/policy-testing.md: its commands are run, one after the other, in a directory
//! of their own, and print what is shown there.
//!
//! `DEODAR_REWRITE=1 cargo test guide` writes what they print into the page. A line
//! `...` stands for any lines, and stays.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use super::peer;
use super::support::root;

/// A part of the page.
enum Part {
    Text(String),
    /// A command, and what is shown of what it prints.
    Command(String, Vec<String>),
}

fn parts(page: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    // What ends the block that this line is in: output may have shorter fences.
    let mut fence: Option<&str> = None;
    for line in page.lines() {
        if fence.is_some() && fence != Some(line) {
            if let Some(command) = line.strip_prefix("$ ") {
                parts.push(Part::Command(command.to_owned(), Vec::new()));
            } else if let Some(Part::Command(_, shown)) = parts.last_mut() {
                shown.push(line.to_owned());
            }
            continue;
        }
        fence = line
            .strip_suffix("console")
            .filter(|ticks| ticks.len() >= 3 && ticks.bytes().all(|byte| byte == b'`'));
        parts.push(Part::Text(line.to_owned()));
    }
    parts
}

/// A place to follow the guide in.
struct Follower {
    root: tempfile::TempDir,
    folder: PathBuf,
}

impl Follower {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self {
            folder: root.path().to_owned(),
            root,
        }
    }

    fn run(&mut self, command: &str) -> String {
        if let Some(folder) = command.strip_prefix("cd ") {
            self.folder = self.folder.join(folder);
            return String::new();
        }
        let program = Path::new(env!("CARGO_BIN_EXE_deodar")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let output = Command::new("sh")
            .args(["-c", &format!("{{ {command}\n}} 2>&1")])
            .current_dir(&self.folder)
            .env("PATH", format!("{}:{path}", program.display()))
            .env("HOME", self.root.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", "2026-11-22T12:00:00Z")
            .env("GIT_COMMITTER_DATE", "2026-11-22T12:00:00Z")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.replace(&format!("{}/", self.root.path().display()), "")
    }
}

/// Whether it is when something happened, as `2026-11-22T18:03:11.534Z`.
fn is_moment(word: &str) -> bool {
    word.len() == 24 && chrono::DateTime::parse_from_rfc3339(word).is_ok()
}

/// A line without what differs from run to run: times, digests.
fn masked(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let masked = words.iter().enumerate().map(|(at, word)| {
        let is_digest = word.len() >= 7 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let unit = words
            .get(at + 1)
            .map(|next| next.trim_end_matches([',', ';', '.']));
        let is_time = word.parse::<f64>().is_ok() && matches!(unit, Some("s" | "ms" | "us"));
        if is_digest || is_time || is_moment(word) {
            "?"
        } else {
            word
        }
    });
    masked.collect::<Vec<_>>().join(" ")
}

/// Whether the lines are as shown; `...` stands for any lines.
fn is_as_shown(shown: &[String], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "..." => {
            (0..=printed.len()).any(|skipped| is_as_shown(rest, &printed[skipped..]))
        }
        Some((first, rest)) => match printed.split_first() {
            Some((line, lines)) => masked(first) == masked(line) && is_as_shown(rest, lines),
            None => false,
        },
    }
}

#[test]
fn can_be_followed() {
    let solver = Command::new("cvc5").arg("--version").output();
    if solver.is_err() {
        peer::missing("cvc5 is not installed, which the guide proves with");
        return;
    }
    let place = root().join("docs/policy-testing.md");
    let page = fs::read_to_string(&place).unwrap();
    let rewrite = std::env::var_os("DEODAR_REWRITE").is_some();
    let mut follower = Follower::new();
    let mut written = String::new();
    let mut faults = Vec::new();
    let mut ran = 0;
    for part in parts(&page) {
        match part {
            Part::Text(line) => written.push_str(&format!("{line}\n")),
            Part::Command(command, shown) => {
                let printed = follower.run(&command);
                let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
                ran += 1;
                written.push_str(&format!("$ {command}\n"));
                let fits = is_as_shown(&shown, &lines);
                let is_cut = shown.iter().any(|line| line == "...");
                let kept = if fits || (is_cut && !rewrite) {
                    shown.iter().map(String::as_str).collect()
                } else {
                    lines.clone()
                };
                for line in kept {
                    written.push_str(&format!("{line}\n"));
                }
                if !fits {
                    faults.push(format!("$ {command}\n{}", lines.join("\n")));
                }
            }
        }
    }
    if rewrite {
        fs::write(&place, &written).unwrap();
        return;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    assert!(ran >= 15, "only {ran} commands");
}

#[test]
fn what_is_shown_is_compared() {
    let shown =
        |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| (*line).into()).collect() };
    assert!(is_as_shown(
        &shown(&["a", "...", "d"]),
        &["a", "b", "c", "d"]
    ));
    assert!(is_as_shown(
        &shown(&["in 0.2 s, at 0123abcd"]),
        &["in 3.1 s, at 4567abcd"]
    ));
    assert!(!is_as_shown(&shown(&["a", "...", "d"]), &["a", "b"]));
    let moments = ["2026-11-22T18:03:11.534Z", "2027-01-31T00:00:00.001Z"];
    assert!(is_as_shown(
        &shown(&[&format!("at {}", moments[0])]),
        &[&format!("at {}", moments[1])]
    ));
    assert!(!is_as_shown(&shown(&["2 cases"]), &["3 cases"]));
    assert!(!is_as_shown(&shown(&["a"]), &["a", "b"]));
}
