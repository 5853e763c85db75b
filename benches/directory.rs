//! The directory and the decision cache at size: `cargo bench --bench directory`.
//!
//! Prints a line of JSON for each thing measured, for `cargo xtask bench`. Every
//! size gets a process of its own, so that its memory is its own. The directories
//! are below `target/bench`, so on the disk that the repository is on:
//!
//! ```text
//! directory [--quick]                 all of it
//! directory fill PATH COUNT           writes so many devices, durably
//! directory ask PATH COUNT            opens them, asks, writes, moves a group
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    reason = "a benchmark may fail, prints, and takes the time"
)]

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use deodar::directory::operation::Membership;
use deodar::directory::operation::Operation;
use deodar::engine::Query;
use deodar::identity::Caller;
use deodar::pdp::cache::CacheSettings;

use fleet::Fleet;
use fleet::patch;
use fleet::uid;

#[expect(dead_code, reason = "the benchmark of the cache uses the rest")]
#[path = "world/fleet.rs"]
mod fleet;

/// Members of the group that is moved.
const MOVED: usize = 100_000;
/// Different questions that are asked in turn.
const QUESTIONS: usize = 4096;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        ["fill", path, count] => fill(Path::new(path), count.parse().unwrap()),
        ["ask", path, count] => ask(Path::new(path), count.parse().unwrap()),
        [] => all(1_000_000),
        ["--quick"] => all(100_000),
        _ => panic!("unknown arguments {arguments:?}"),
    }
}

fn all(large: usize) {
    let below = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
    std::fs::create_dir_all(&below).unwrap();
    for count in [1000, large] {
        let place = tempfile::Builder::new()
            .prefix("directory-")
            .tempdir_in(&below)
            .unwrap();
        let path = place.path().join("store");
        let path = path.to_str().unwrap();
        let count = count.to_string();
        for step in ["fill", "ask"] {
            let status = Command::new(std::env::current_exe().unwrap())
                .args([step, path, &count])
                .status()
                .unwrap();
            assert!(status.success(), "{step} {count}: {status}");
        }
    }
}

fn told(name: &str, count: usize, value: f64, unit: &str) {
    println!(
        "{}",
        serde_json::json!({"name": name, "devices": count, "value": value, "unit": unit})
    );
}

fn micros(took: Duration, times: usize) -> f64 {
    took.as_secs_f64() * 1e6 / times as f64
}

fn fill(path: &Path, count: usize) {
    let fleet = Fleet::open(Some(path), &CacheSettings::default());
    let started = Instant::now();
    let written = fleet.fill(count);
    let took = started.elapsed();
    told(
        "durable writes, 1,000 entities a transaction",
        count,
        written as f64 / took.as_secs_f64(),
        "entities/s",
    );
    fleet.snapshot_and_close();
}

fn ask(path: &Path, count: usize) {
    let started = Instant::now();
    let fleet = Fleet::open(Some(path), &CacheSettings::default());
    told(
        "open and put in force",
        count,
        started.elapsed().as_secs_f64(),
        "s",
    );
    told("resident memory", count, resident_mib(), "MiB");
    misses(&fleet, count);
    hits(&fleet, count);
    writes(&fleet, path, count);
    if count >= MOVED {
        moves(&fleet, count);
    }
}

fn misses(fleet: &Fleet, count: usize) {
    let questions = fleet.questions(QUESTIONS, count);
    let pinned = fleet.pdp.pin().unwrap();
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        for question in &questions {
            std::hint::black_box(
                deodar::engine::decide(pinned.snapshot(), pinned.view(), question).unwrap(),
            );
        }
        best = best.min(micros(started.elapsed(), questions.len()));
    }
    told("decide", count, best, "us");
}

fn hits(fleet: &Fleet, count: usize) {
    let questions = fleet.questions(QUESTIONS, count);
    let once = |questions: &[Query]| {
        for question in questions {
            let pinned = fleet.pdp.pin().unwrap();
            std::hint::black_box(pinned.authorize(&Caller::Local, question).unwrap());
        }
    };
    // Twice: what is asked once does not push out what is asked often.
    once(&questions);
    once(&questions);
    std::thread::sleep(Duration::from_millis(200));
    let mut best = f64::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        once(&questions);
        best = best.min(micros(started.elapsed(), questions.len()));
    }
    told("authorize, cache hit", count, best, "us");
    threads(fleet, count, &questions, &once);
}

/// Hits of one thread and of one thread for each core, in turn.
fn threads(fleet: &Fleet, count: usize, questions: &[Query], once: &(impl Fn(&[Query]) + Sync)) {
    const TIMES: usize = 20;
    let before = fleet.pdp.counters().cache().hits_and_misses();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let per_second = |threads: usize| {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..TIMES).for_each(|_| once(questions)));
            }
        });
        (threads * TIMES * questions.len()) as f64 / started.elapsed().as_secs_f64()
    };
    let (mut one, mut all) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        one.push(per_second(1));
        all.push(per_second(cores));
    }
    let mut times: Vec<f64> = one.iter().zip(&all).map(|(one, all)| all / one).collect();
    for measured in [&mut one, &mut all, &mut times] {
        measured.sort_by(f64::total_cmp);
    }
    told("cache hits, one thread", count, one[2], "hits/s");
    told(
        "cache hits, a thread for each core",
        count,
        all[2],
        "hits/s",
    );
    told(
        "cache hits, a thread for each core against one",
        count,
        times[2],
        "x",
    );
    told("threads of that", count, cores as f64, "");
    let after = fleet.pdp.counters().cache().hits_and_misses();
    let (hits, misses) = (after.0 - before.0, after.1 - before.1);
    told(
        "hit rate of that",
        count,
        hits as f64 * 100.0 / (hits + misses) as f64,
        "%",
    );
}

/// Single writes, with a bare sync of a small append beside each.
fn writes(fleet: &Fleet, path: &Path, count: usize) {
    const WRITES: usize = 1000;
    const MANY: usize = 40_000;
    let mut bare = std::fs::File::create(path.with_extension("bare")).unwrap();
    let (mut syncs, mut took) = (Vec::new(), Vec::new());
    for number in 0..WRITES {
        let started = Instant::now();
        bare.write_all(&[7; 256]).unwrap();
        bare.sync_data().unwrap();
        syncs.push(started.elapsed().as_secs_f64() * 1e3);
        let started = Instant::now();
        fleet.write(vec![patch(number % count, number)]);
        took.push(started.elapsed().as_secs_f64() * 1e3);
        assert!(fleet.firmware_seen(number % count, number));
    }
    for (name, times) in [
        ("a bare sync of 256 appended bytes", &mut syncs),
        ("one durable write until it is visible", &mut took),
    ] {
        times.sort_by(f64::total_cmp);
        told(&format!("{name}, p50"), count, times[WRITES / 2], "ms");
        told(
            &format!("{name}, p99"),
            count,
            times[WRITES * 99 / 100],
            "ms",
        );
    }
    let started = Instant::now();
    let done = fleet.write_at_once((0..MANY).map(|number| vec![patch(number % count, number)]));
    told(
        "durable writes, each a transaction, many waiting",
        count,
        done as f64 / started.elapsed().as_secs_f64(),
        "writes/s",
    );
}

/// The group of 100,000 goes to quarantine and back; each time a member is asked
/// about until the answer is the new one.
fn moves(fleet: &Fleet, count: usize) {
    let mut took = Vec::new();
    let question = fleet.question_of_owner(7);
    for round in 0..20 {
        let (uid, above) = (uid("Group", "fleet"), uid("Group", "quarantine"));
        let operation = if round % 2 == 0 {
            let parent = Membership {
                uid: Arc::clone(&above),
                expires: None,
            };
            Operation::AddParent { uid, parent }
        } else {
            Operation::RemoveParent { uid, parent: above }
        };
        let started = Instant::now();
        fleet.write(vec![operation]);
        let pinned = fleet.pdp.pin().unwrap();
        let allowed = pinned
            .authorize(&Caller::Local, &question)
            .unwrap()
            .decision
            .is_allow();
        took.push(started.elapsed().as_secs_f64() * 1e3);
        assert_eq!(allowed, round % 2 == 1, "round {round}");
    }
    took.sort_by(f64::total_cmp);
    told(
        "a group of 100,000 moved, until the first decision that sees it, slowest of 20",
        count,
        took[19],
        "ms",
    );
}

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}
