//! The commands of the README and of the guide do what is written there.

use std::path::Path;
use std::process::Command;

use super::cli::Place;
use super::cli::serve::Served;
use super::support::root;

/// A command of the README and what it is shown to print.
#[derive(Debug)]
struct Example {
    command: String,
    shown: Vec<String>,
}

/// The commands of all ```` ```console ```` blocks.
fn examples(text: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```console" => inside = true,
            "```" => inside = false,
            _ if !inside => {}
            line => match line.strip_prefix("$ ") {
                Some(command) => examples.push(Example {
                    command: command.to_owned(),
                    shown: Vec::new(),
                }),
                None => examples.last_mut().unwrap().shown.push(line.to_owned()),
            },
        }
    }
    examples
}

/// Whether a line is as shown; `...` stands for anything, at the end of a line
/// or as a line for all that follow.
fn is_as_shown(shown: &[String], printed: &str) -> bool {
    let mut lines = printed.lines();
    for line in shown {
        if line == "..." {
            return true;
        }
        let Some(printed) = lines.next() else {
            return false;
        };
        let fits = match line.strip_suffix("...") {
            Some(start) => printed.starts_with(start),
            None => printed == line,
        };
        if !fits {
            return false;
        }
    }
    lines.next().is_none()
}

fn run(arguments: &str, socket: &Path) -> String {
    let (stdout, stderr) = run_with_errors(arguments, socket);
    assert!(stderr.is_empty(), "{arguments}: {stderr}");
    stdout
}

fn run_with_errors(arguments: &str, socket: &Path) -> (String, String) {
    // The server of this test listens elsewhere, so that tests can run at once.
    let arguments = arguments.replace(
        "http://127.0.0.1:8470",
        &format!("unix:{}", socket.display()),
    );
    let script = format!("{} {arguments}", env!("CARGO_BIN_EXE_deodar"));
    let output = Command::new("sh")
        .args(["-c", &script])
        .current_dir(root())
        // The server that is asked when none is named.
        .env("DEODAR_SERVER__GRPC", "")
        .env("DEODAR_SERVER__UNIX", socket)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn commands_print_what_is_shown() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let examples = examples(&text);
    let place = Place::new();
    let memory = [("DEODAR_DIRECTORY__PATH", "memory")];
    let served = Served::start(place.0.path(), &root().join("policies"), &memory);
    let mut ran = 0;
    for example in &examples {
        let Some(arguments) = example.command.strip_prefix("cargo run --release -- ") else {
            assert!(
                ["cargo test"].contains(&example.command.as_str()),
                "{example:?}"
            );
            continue;
        };
        // The server that was started above is this command's.
        if arguments == "serve" {
            continue;
        }
        let printed = run(arguments, &served.socket);
        assert!(
            is_as_shown(&example.shown, &printed),
            "{}\n{printed}",
            example.command
        );
        ran += 1;
    }
    assert!(ran >= 5, "only {ran} of {} commands ran", examples.len());
}

/// As printed, but with a few hundred devices instead of a million.
#[test]
fn the_guide_to_the_directory_can_be_followed() {
    let text = std::fs::read_to_string(root().join("docs/directory.md")).unwrap();
    let place = Place::new();
    let store = place.0.path().join("directory");
    let devices = place.0.path().join("devices.ndjson");
    let variables = [("DEODAR_DIRECTORY__PATH", store.to_str().unwrap())];
    let served = Served::start(place.0.path(), &root().join("policies"), &variables);
    let mut ran = 0;
    for example in examples(&text) {
        let command = example.command.as_str();
        if command == "cargo xtask devices --count 1000000 > devices.ndjson" {
            let mut file = std::fs::File::create(&devices).unwrap();
            crate::devices::write(300, 1, &mut file).unwrap();
            continue;
        }
        let arguments = command.strip_prefix("cargo run --release -- ").unwrap();
        if arguments == "serve" {
            continue;
        }
        let arguments = arguments.replace("devices.ndjson", devices.to_str().unwrap());
        let (printed, errors) = run_with_errors(&arguments, &served.socket);
        assert!(
            is_as_shown(&example.shown, &printed),
            "{command}\n{printed}{errors}"
        );
        ran += 1;
    }
    assert!(ran >= 5, "only {ran} commands ran");
}

#[test]
fn what_is_shown_is_compared() {
    let shown = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    assert!(is_as_shown(&shown(&["a", "b ..."]), "a\nb 1\n"));
    assert!(is_as_shown(&shown(&["a", "..."]), "a\nb\nc\n"));
    assert!(!is_as_shown(&shown(&["a"]), "a\nb\n"));
    assert!(!is_as_shown(&shown(&["a", "b"]), "a\n"));
    assert!(!is_as_shown(&shown(&["a", "x"]), "a\nb\n"));
}

/// As printed, on a log of its own.
#[test]
fn the_guide_to_the_audit_log_can_be_followed() {
    let text = std::fs::read_to_string(root().join("docs/audit.md")).unwrap();
    let place = Place::new();
    let log = place.0.path().join("audit");
    let variables = [
        ("DEODAR_DIRECTORY__PATH", "memory"),
        ("DEODAR_AUDIT__MODE", "sync"),
        ("DEODAR_AUDIT__PATH", log.to_str().unwrap()),
    ];
    let served = Served::start(place.0.path(), &root().join("policies"), &variables);
    let shown = log.to_str().unwrap();
    let mut ran = 0;
    for example in examples(&text) {
        let command = example.command.as_str();
        let arguments = command.strip_prefix("cargo run --release -- ").unwrap();
        let mut arguments = arguments.replace("deodar-data/audit", shown);
        if arguments == "audit show 7" {
            // What the server does itself is recorded beside, so the number differs.
            let first = run(
                "audit query --kind decision --limit 1 --json",
                &served.socket,
            );
            let first: serde_json::Value = serde_json::from_str(&first).unwrap();
            arguments = format!("audit show {}", first["seq"]);
        }
        let (printed, errors) = run_with_errors(&arguments, &served.socket);
        let printed = printed.replace(shown, "deodar-data/audit");
        assert!(
            is_as_shown(&example.shown, &printed),
            "{command}\n{printed}{errors}"
        );
        ran += 1;
    }
    assert!(ran >= 8, "only {ran} commands ran");
}
