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

/// The words of a line without what differs from run to run: times, hashes,
/// callers, and numbers of records, since what the server does itself is recorded
/// beside.
fn masked(line: &str) -> String {
    let mut masked = Vec::new();
    let mut before = "";
    for (place, word) in line.split_whitespace().enumerate() {
        let is_hash = word.len() >= 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_time = word.len() == 24 && word.ends_with('Z') && word.starts_with("20");
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let is_of_record = is_number && (place == 0 || before == "record");
        let is_caller = ["tcp:", "unix:"].iter().any(|kind| word.starts_with(kind));
        masked.push(match (is_hash || is_time || is_of_record, is_caller) {
            (true, _) => "?",
            (_, true) => "caller",
            _ => word,
        });
        before = word;
    }
    masked.join(" ")
}

/// As [`is_as_shown`], but for what differs from run to run.
fn is_like_shown(shown: &[String], printed: &str) -> bool {
    let shown: Vec<_> = shown.iter().map(|line| masked(line)).collect();
    let printed: String = printed.lines().map(|line| masked(line) + "\n").collect();
    is_as_shown(&shown, &printed)
}

#[test]
fn what_differs_from_run_to_run_is_masked() {
    let like = |shown: &str, printed: &str| is_like_shown(&[shown.to_owned()], printed);
    assert!(like(
        "7    2026-11-22T03:12:04.610Z  deny",
        "8    2026-12-01T00:00:00.000Z  deny"
    ));
    assert!(!like(
        "7    2026-11-22T03:12:04.610Z  deny",
        "8    2026-12-01T00:00:00.000Z  allow"
    ));
    assert!(like(
        "  after  46490e67ee96  1 allow",
        "  after  9dc35a4ef008  1 allow"
    ));
    assert!(!like(
        "  after  46490e67ee96  1 allow",
        "  after  46490e67ee96  2 allow"
    ));
    assert!(like("record 8  p", "record 9  p"));
    assert!(like("p  tcp:127.0.0.1:42570", "p  unix:uid=0"));
}

/// How often policies came into force.
fn activations(socket: &Path) -> usize {
    let arguments = "audit query --kind activation --json";
    run(arguments, socket).lines().count()
}

/// Does what a command of the shell does to the policies, and waits until they are
/// in force.
fn edit(command: &str, folder: &Path, socket: &Path) {
    let before = activations(socket);
    let done = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .status();
    assert!(done.unwrap().success(), "{command}");
    for _ in 0..600 {
        if activations(socket) > before {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("not in force after a minute: {command}");
}

/// What the clock shows, so many minutes from now, in UTC.
fn clock(minutes: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = i64::try_from(now.unwrap().as_secs()).unwrap() / 60 + minutes;
    let of_day = now.rem_euclid(24 * 60);
    format!("{:02}:{:02}", of_day / 60, of_day % 60)
}

/// As printed, on a log and policies of its own, and at another time of day.
#[test]
fn the_guide_to_the_audit_log_can_be_followed() {
    let text = std::fs::read_to_string(root().join("docs/audit.md")).unwrap();
    let place = Place::new();
    let log = place.0.path().join("audit");
    let site = place.0.path().join("site");
    std::fs::create_dir(&site).unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(root().join("policies"))
        .arg(&site)
        .status();
    assert!(copied.unwrap().success());
    let variables = [
        ("DEODAR_DIRECTORY__PATH", "memory"),
        ("DEODAR_AUDIT__MODE", "sync"),
        ("DEODAR_AUDIT__PATH", log.to_str().unwrap()),
    ];
    let served = Served::start(place.0.path(), &site.join("policies"), &variables);
    let shown = log.to_str().unwrap();
    let mut ran = 0;
    for example in examples(&text) {
        let command = example.command.as_str();
        let Some(arguments) = command.strip_prefix("cargo run --release -- ") else {
            assert!(
                command.starts_with("echo ") || command.starts_with("rm "),
                "{command}"
            );
            assert!(
                command.contains(" policies/") && example.shown.is_empty(),
                "{command}"
            );
            edit(command, &site, &served.socket);
            continue;
        };
        let mut arguments = arguments
            .replace("deodar-data/audit", shown)
            .replace("03:10", &clock(-2))
            .replace("03:15", &clock(2));
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
        // How much there is depends on names and times.
        let whole = ["whole  deodar-data/audit".into(), "...".into()];
        let is_good = if command.contains("audit verify") {
            is_as_shown(&whole, &printed)
        } else {
            is_like_shown(&example.shown, &printed)
        };
        assert!(is_good && errors.is_empty(), "{command}\n{printed}{errors}");
        ran += 1;
    }
    assert!(ran >= 10, "only {ran} commands ran");
}
