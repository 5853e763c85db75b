//! The log of the directory, and processes that end in the middle of it.
//!
//! The child is this test binary, run for one test that does nothing otherwise.

use std::fs;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use deodar::directory::log::Embedded;
use deodar::directory::log::Head;
use deodar::directory::log::Log as _;

use crate::kills;
use crate::peer::missing;

const DIRECTORY: &str = "DEODAR_TEST_LOG_DIRECTORY";
const TASK: &str = "DEODAR_TEST_LOG_TASK";

fn child(directory: &Path, task: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "log::as_a_child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(TASK, task)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

#[test]
fn as_a_child() {
    let (Some(directory), Ok(task)) = (std::env::var_os(DIRECTORY), std::env::var(TASK)) else {
        return;
    };
    let directory = Path::new(&directory);
    match task.as_str() {
        "open" => say(&match Embedded::open(directory) {
            Ok(log) => format!("opened {}", log.head().sequence),
            Err(error) => format!("{error:?}"),
        }),
        "append" => append_until_killed(directory),
        other => panic!("no task `{other}`"),
    }
}

/// One line, past the test harness's own.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    writeln!(out, "> {line}").unwrap();
    out.flush().unwrap();
}

/// Batch `number`: each body tells its batch, its index, and how many there are.
fn batch(number: u64) -> Vec<Vec<u8>> {
    let count = number % 5 + 1;
    (0..count)
        .map(|index| {
            let mut body = format!("{number}/{index}/{count}/").into_bytes();
            body.resize(
                if number.is_multiple_of(7) {
                    30_000
                } else {
                    200
                },
                b'.',
            );
            body
        })
        .collect()
}

fn numbers(body: &[u8]) -> [u64; 3] {
    let text = std::str::from_utf8(body).unwrap();
    let mut numbers = text.split('/').map_while(|part| part.parse().ok());
    [(); 3].map(|()| numbers.next().unwrap())
}

fn append_until_killed(directory: &Path) {
    let log = Embedded::open(directory).unwrap();
    let head = log.head();
    let mut number = match head.sequence {
        0 => 0,
        last => numbers(&log.read(last - 1, 1, 0).unwrap()[0].body)[0] + 1,
    };
    loop {
        let head = log.append(&batch(number)).unwrap();
        say(&format!("{} {}", head.sequence, head.hash));
        if number % 10 == 9 {
            let chunk = head.sequence.to_string().into_bytes();
            log.put_snapshot(head, &mut vec![chunk; 100].into_iter())
                .unwrap();
            log.trim(head.sequence.saturating_sub(40)).unwrap();
        }
        number += 1;
    }
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let rounds = kills::times(20);
    let directory = tempfile::tempdir().unwrap();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut base = None;
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005) + 1;
        let acknowledged = killed(
            directory.path(),
            (random >> 40) % 60,
            (random >> 33) % 4_000,
        );
        let log = Embedded::open(directory.path()).unwrap();
        if let Some((sequence, _)) = acknowledged.last() {
            assert!(log.head().sequence >= *sequence, "round {round}: lost");
        }
        for (sequence, hash) in &acknowledged {
            let found = log.hash_at(*sequence).unwrap();
            let is_trimmed = *sequence < log.oldest();
            assert!(
                found.is_none_or(|found| found.to_string() == *hash),
                "round {round}"
            );
            assert!(found.is_some() || is_trimmed, "round {round}: lost");
        }
        base = Some(check(&log, base, &format!("round {round}")));
    }
}

/// Runs a child until it acknowledged `lines` batches and a little longer, and
/// returns what it acknowledged: sequences and hashes.
fn killed(directory: &Path, lines: u64, micros: u64) -> Vec<(u64, String)> {
    let mut child = child(directory, "append").spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    let mut take = |line: String| {
        let mut words = line.split("> ").nth(1)?.split(' ');
        let sequence = words.next()?.parse().ok()?;
        let hash = words.next()?.to_owned();
        // The last line may be cut off.
        (hash.len() == 64).then(|| acknowledged.push((sequence, hash)))
    };
    let mut seen = 0;
    while seen < lines {
        let line = out.next().expect("the child ended by itself").unwrap();
        seen += u64::from(take(line).is_some());
    }
    std::thread::sleep(Duration::from_micros(micros));
    child.kill().unwrap();
    child.wait().unwrap();
    for line in out {
        take(line.unwrap());
    }
    acknowledged
}

/// Checks that the log is whole, from a place seen before if there is one, and
/// returns its head.
fn check(log: &Embedded, before: Option<Head>, what: &str) -> Head {
    let base = log.oldest() - 1;
    let mut at = Head {
        log: log.head().log,
        sequence: base,
        hash: log.hash_at(base).unwrap().unwrap(),
    };
    let entries = log.read(base, usize::MAX, usize::MAX).unwrap();
    let mut last: Option<[u64; 3]> = None;
    for entry in &entries {
        at = at.after(&entry.body);
        assert_eq!((entry.sequence, entry.hash), (at.sequence, at.hash));
        if let Some(before) = before.filter(|before| before.sequence == at.sequence) {
            assert_eq!(before, at, "{what}: another past");
        }
        let [number, index, count] = numbers(&entry.body);
        match last {
            None => {}
            Some([before, i, n]) if i + 1 == n => assert_eq!([before + 1, 0], [number, index]),
            Some([before, i, n]) => assert_eq!([before, i + 1, n], [number, index, count]),
        }
        last = Some([number, index, count]);
    }
    if let Some([_, index, count]) = last {
        assert_eq!(index + 1, count, "{what}: half a batch");
    }
    assert_eq!(at, log.head(), "{what}");
    if let Some(snapshot) = log.snapshot().unwrap() {
        let text = snapshot.at.sequence.to_string().into_bytes();
        let chunks: Vec<_> = snapshot.chunks.map(Result::unwrap).collect();
        assert_eq!(chunks, vec![text; 100], "{what}");
    }
    at
}

fn answer(mut command: Command) -> io::Result<String> {
    let output = command.output()?;
    let text = String::from_utf8(output.stdout).unwrap();
    let answer = text.lines().find_map(|line| line.split("> ").nth(1));
    Ok(answer.expect("the child answers").to_owned())
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let log = Embedded::open(directory.path()).unwrap();
    log.append(&batch(0)).unwrap();
    let text = answer(child(directory.path(), "open")).unwrap();
    assert!(text.starts_with("InUse"), "{text}");
    log.append(&batch(1)).unwrap();
    drop(log);
    assert_eq!(answer(child(directory.path(), "open")).unwrap(), "opened 3");
}

#[test]
fn a_directory_that_may_not_be_written_is_said_to_be() {
    let directory = tempfile::tempdir().unwrap();
    drop(Embedded::open(directory.path()).unwrap());
    let files = fs::read_dir(directory.path()).unwrap();
    for path in files.map(|entry| entry.unwrap().path()) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
    }
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = child(directory.path(), "open");
    if fs::write(directory.path().join("probe"), "").is_ok() {
        // We may write anywhere; so ask as nobody, if nobody can run this binary.
        command.uid(65_534).gid(65_534).current_dir("/");
    }
    match answer(command) {
        Ok(text) => assert!(text.starts_with("ReadOnly"), "{text}"),
        Err(error) => missing(&format!("nobody may run this test binary: {error}")),
    }
}
