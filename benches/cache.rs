//! The decision cache while devices change: `cargo bench --bench cache [-- --quick]`.
//!
//! One thread writes 5,000 attributes a second, whether or not the writes before
//! are done; one asks, and takes every question to three caches in turn: Deodar's,
//! one that any write empties, and one that believes its answers for five seconds.
//! The latter two were made for this comparison. Prints a line of JSON for each
//! cache and each mix of questions, for `cargo xtask bench`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark may fail, prints, and takes the time"
)]

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use deodar::engine::Query;
use deodar::engine::decide;
use deodar::pdp::cache::CacheSettings;

use contenders::Contender;
use contenders::Deodar;
use contenders::Emptied;
use contenders::Timed;
use fleet::Fleet;
use fleet::patch_to;
use mix::Dice;
use mix::Mix;

#[path = "world/contenders.rs"]
mod contenders;
#[expect(dead_code, reason = "the benchmark of the directory uses the rest")]
#[path = "world/fleet.rs"]
mod fleet;
#[path = "world/mix.rs"]
mod mix;

/// Devices, and as many questions: one about each.
const DEVICES: usize = 100_000;
const WRITES_PER_SECOND: u32 = 5000;
/// One update in so many takes a device from its owner, until its next update.
const TAKEN: usize = 10;
/// One question in so many is decided without a cache as well.
const SAMPLED: usize = 16;

/// How long, in seconds: longer than five before measuring, so that answers of
/// every age are in the cache that keeps them as long.
struct Effort {
    warm: Duration,
    measured: Duration,
}

fn main() {
    let is_quick = std::env::args().any(|argument| argument == "--quick");
    let seconds = |quick, usual| Duration::from_secs(if is_quick { quick } else { usual });
    let effort = Effort {
        warm: seconds(1, 7),
        measured: seconds(2, 15),
    };
    for mix in [Mix::Zipf, Mix::Uniform] {
        measure(&mix, &effort);
    }
}

/// What one cache did while it was measured.
#[derive(Default)]
struct Tally {
    hits: usize,
    sampled: usize,
    stale: usize,
    nanos: Vec<u32>,
}

fn measure(mix: &Mix, effort: &Effort) {
    // Room for all questions, as the others have: evictions are not compared.
    let settings = CacheSettings {
        bytes_max: 1 << 30,
        ..CacheSettings::default()
    };
    let fleet = Fleet::open(None, &settings);
    fleet.fill(DEVICES);
    let questions = fleet.questions(DEVICES, DEVICES);
    let contenders: [&dyn Contender; 3] = [&Deodar, &Emptied::new(DEVICES), &Timed::new(DEVICES)];
    let stop = AtomicBool::new(false);
    let (written, took, tallies) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let tallies = ask(&fleet.pdp, mix, &questions, &contenders, effort);
            stop.store(true, Ordering::Relaxed);
            tallies
        });
        let mut dice = Dice(2);
        let (written, took) = fleet.write_open_loop(WRITES_PER_SECOND, &stop, || {
            let taken = dice.below(TAKEN) == 0;
            let firmware = i64::try_from(dice.below(1000)).unwrap();
            let firmware = if taken { -1 } else { firmware };
            vec![patch_to(dice.below(DEVICES), firmware)]
        });
        (written, took, asking.join().unwrap())
    });
    for (contender, mut tally) in contenders.iter().zip(tallies) {
        tally.nanos.sort_unstable();
        let asked = tally.nanos.len();
        let micros = |share: f64| f64::from(tally.nanos[(asked as f64 * share) as usize]) / 1e3;
        println!(
            "{}",
            serde_json::json!({
                "mix": mix.name(),
                "cache": contender.name(),
                "writes_per_second": f64::from(written) / took,
                "asked_per_second": asked as f64 / effort.measured.as_secs_f64(),
                "hit_rate": tally.hits as f64 / asked as f64,
                "mean_us": tally.nanos.iter().map(|n| f64::from(*n)).sum::<f64>() / asked as f64 / 1e3,
                "p50_us": micros(0.5),
                "p99_us": micros(0.99),
                "sampled": tally.sampled,
                "stale": tally.stale,
            })
        );
    }
}

/// Takes each question to all of them, the first of them another each time, on one
/// view of the directory.
fn ask(
    pdp: &deodar::pdp::Pdp,
    mix: &Mix,
    questions: &[Query],
    contenders: &[&dyn Contender; 3],
    effort: &Effort,
) -> [Tally; 3] {
    let turns = mix.turns(questions.len());
    let mut tallies = [Tally::default(), Tally::default(), Tally::default()];
    let started = Instant::now();
    let mut is_measured = false;
    for (number, turn) in turns.iter().cycle().enumerate() {
        let since = started.elapsed();
        if since > effort.warm + effort.measured {
            break;
        }
        if since > effort.warm && !is_measured {
            is_measured = true;
            tallies = Default::default();
        }
        let question = &questions[*turn as usize];
        let pinned = pdp.pin().unwrap();
        let mut allowed = [false; 3];
        for step in 0..contenders.len() {
            let which = (number + step) % contenders.len();
            let asked = Instant::now();
            let (is_allowed, is_hit) = contenders[which].ask(&pinned, question);
            let nanos = asked.elapsed().as_nanos();
            allowed[which] = is_allowed;
            let tally = &mut tallies[which];
            tally.nanos.push(u32::try_from(nanos).unwrap_or(u32::MAX));
            tally.hits += usize::from(is_hit);
        }
        if number % SAMPLED == 0 {
            let now = decide(pinned.snapshot(), pinned.view(), question);
            let now = now.unwrap().is_allow();
            for (tally, allowed) in tallies.iter_mut().zip(allowed) {
                tally.sampled += 1;
                tally.stale += usize::from(allowed != now);
            }
            assert_eq!(allowed[0], now, "a stale answer of Deodar: {question:?}");
        }
    }
    tallies
}
