//! Recorded questions decided again, the quick way and the plain one.

use std::path::Path;
use std::sync::Arc;

use deodar::analysis::replay::Baseline;
use deodar::analysis::replay::Options as ReplayOptions;
use deodar::analysis::replay::judge::Judge;
use deodar::analysis::replay::judge::LeftOut;
use deodar::analysis::replay::judge::Outcome;
use deodar::analysis::replay::replay;
use deodar::analysis::world::World;
use deodar::audit::Audit;
use deodar::audit::Options;
use deodar::audit::Record;
use deodar::audit::decision::Content;
use deodar::audit::decision::DecisionRecord;
use deodar::audit::decision::What;
use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::directory;
use deodar::engine::Files;
use deodar::engine::Snapshot;
use deodar::engine::View;
use deodar::engine::compile;
use deodar::engine::decide;
use deodar::identity::Caller;
use deodar::source;

use super::cases;
use super::support::reference;

mod context;

const BEGUN: i64 = 1_774_000_000_000;

/// The reference policies, or others made of them.
fn compiled(change: impl Fn(&str, String) -> String) -> (Arc<Snapshot>, View) {
    let files = source::read(&reference(), &source::Limits::default()).unwrap();
    let files = Files::new(files.all().map(|(name, content)| {
        let text = String::from_utf8(content.to_owned()).unwrap();
        (name.to_owned(), change(name, text).into_bytes())
    }));
    let snapshot = compile(&files).unwrap();
    let view = directory::load(&snapshot, &files).unwrap();
    (Arc::new(snapshot), view)
}

/// The log of all cases, each asked twice.
fn log(directory: &Path, snapshot: &Arc<Snapshot>, view: &View, content: Content) -> Vec<String> {
    let audit = Audit::open(Options {
        directory: directory.to_owned(),
        segment_bytes: 100_000,
        ..Options::default()
    });
    let audit = audit.unwrap();
    let content = Arc::new(content);
    for (millis, case) in (BEGUN..).zip(cases::all().iter().flat_map(|case| [case, case])) {
        let query = cases::query(snapshot, case);
        let decision = Arc::new(decide(snapshot, view, &query).unwrap());
        let record = DecisionRecord {
            id: uuid::Uuid::from_u64_pair(7, 1 << 63),
            caller: Caller::Local,
            what: What::Made { query, decision },
            snapshot: Arc::clone(snapshot),
            directory: Arc::clone(view.revision()),
            cached: false,
            nanos: 1,
            request: Some(",\"principal\":".into()),
            trace: None,
            content: Arc::clone(&content),
        };
        drop(audit.submit(millis, Record::Decision(Box::new(record))));
    }
    audit.close();
    let reader = Reader::open(directory, Since::Oldest).unwrap();
    let lines = reader
        .map(Result::unwrap)
        .filter(|line| line.kind == "decision");
    lines.map(|line| line.text).collect()
}

fn other() -> (Arc<Snapshot>, View) {
    compiled(|name, text| match name {
        "policies/roles.cedar" => text.replace("permit (", "forbid ("),
        "policies/devices.cedar" => text.replacen("when", "unless", 3),
        _ => text,
    })
}

fn world((snapshot, view): &(Arc<Snapshot>, View)) -> World<'_> {
    World { snapshot, view }
}

/// A sequence of numbers that is the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % limit.max(1)
    }
}

/// A line with something changed in it.
fn mutated(line: &str, numbers: &mut Numbers) -> String {
    let at = |numbers: &mut Numbers, of: &str| {
        let places: Vec<usize> = line.match_indices(of).map(|(at, _)| at).collect();
        places
            .get(numbers.below(places.len()))
            .copied()
            .unwrap_or(0)
    };
    let inserted = [
        ",\"redacted\":true",
        ",\"shortened\":true",
        ",\"entities_count\":1",
        ",\"context_left_out\":[\"session\"]",
        ",\"context_left_out\":[\"now\",\"x\"]",
        ",\"context_left_out\":[3]",
        ",\"context_left_out\":[]",
        ",\"time\":\"2030-01-31T12:00:00.000Z\"",
        ",\"caller\":\"\\ud800\"",
        ",\"decision\":\"deny\"",
        ",\"decision\":\"allow\"",
        ",\"cause\":null",
        ",\"policies\":[]",
        ",\"policies\":[3,\"x\"]",
        ",\"context\":{}",
        ",\"context\":{\"now\":1}",
        ",\"principal\":{\"type\":\"Org::User\",\"id\":\"anna\"}",
        ",\"principal\":{\"id\":\"anna\"}",
        ",\"entities\":[]",
        ",\"errors\":[{\"policy\":\"x\"}]",
        " ",
        ",\"x\":[[[[[[{}]]]]]]",
        "\"",
        "}",
    ];
    match numbers.below(4) {
        0 => {
            let comma = at(numbers, ",");
            let text = inserted[numbers.below(inserted.len())];
            let (before, after) = line.split_at_checked(comma).unwrap();
            format!("{before}{text}{after}")
        }
        1 => {
            // A member under another name, or with another value.
            let names = [
                "principal",
                "context",
                "decision",
                "policies",
                "type",
                "id",
                "now",
                "cause",
                "seq",
            ];
            let name = names[numbers.below(names.len())];
            let quoted = format!("\"{name}\"");
            let place = at(numbers, &quoted);
            let others = [
                "\"other\"",
                "\"principal\"",
                "\"redacted\"",
                "\"con\\u0074ext\"",
                "\"decision\"",
            ];
            let other = others[numbers.below(others.len())];
            let (before, rest) = line.split_at_checked(place).unwrap();
            format!("{before}{}", rest.replacen(&quoted, other, 1))
        }
        2 => {
            let cut = numbers.below(line.len());
            let mut text: String = line.chars().take(cut).collect();
            text.push_str(if numbers.below(2) == 0 { "}" } else { "" });
            text
        }
        _ => {
            let mut bytes = line.as_bytes().to_vec();
            let place = numbers.below(bytes.len());
            bytes[place] = b"0aZ\"{}[],:\\ "[numbers.below(12)];
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }
}

/// Whatever the line, and whatever was judged before, the quick way says what the
/// plain one says.
#[test]
fn the_quick_way_says_what_the_plain_one_says() {
    let folder = tempfile::tempdir().unwrap();
    let reference = compiled(|_, text| text);
    let lines = log(
        folder.path(),
        &reference.0,
        &reference.1,
        Content::default(),
    );
    assert!(lines.len() > 600, "{}", lines.len());
    let other = other();
    let mut numbers = Numbers(7);
    let mut seen = [0; 6];
    let judges = [
        (world(&reference), Baseline::Recorded),
        (world(&other), Baseline::Recorded),
        (world(&other), Baseline::Policies(world(&reference))),
    ];
    let options = ReplayOptions::default();
    let mut judges = judges.map(|(world, baseline)| Judge::new(world, baseline, &options));
    // Each case once, and some of them changed.
    for (turn, line) in lines.iter().step_by(2).enumerate() {
        let count = if turn % 3 == 0 { 6 } else { 0 };
        let changed: Vec<String> = (0..count).map(|_| mutated(line, &mut numbers)).collect();
        for (at, line) in std::iter::once(line)
            .chain(&changed)
            .chain([line])
            .enumerate()
        {
            for (number, judge) in judges.iter_mut().enumerate() {
                let outcome = judge.judge(line);
                assert_eq!(outcome, judge.slowly(line), "{number}: {line}");
                if at == 0 && number == 0 {
                    assert_eq!(outcome, Outcome::Same, "{line}");
                }
                seen[match outcome {
                    Outcome::Same => 0,
                    Outcome::Changed(_) => 1,
                    Outcome::Flipped(_) => 2,
                    Outcome::Left(LeftOut::Misfit) => 3,
                    Outcome::Left(_) => 4,
                    Outcome::NotJson => 5,
                }] += 1;
            }
        }
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
}

/// The same whatever the number of threads, and nothing is lost between them.
#[test]
fn the_tally_does_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    let reference = compiled(|_, text| text);
    let lines = log(
        folder.path(),
        &reference.0,
        &reference.1,
        Content::default(),
    );
    let other = other();
    let told = |threads: usize| {
        let options = ReplayOptions {
            threads,
            ..ReplayOptions::default()
        };
        let paths = [folder.path().to_owned()];
        let tally = replay(
            world(&other),
            Baseline::Recorded,
            &paths,
            &options,
            |_, _| (),
        )
        .unwrap();
        assert!(!tally.is_faulty(), "{:?}", tally.faults);
        assert_eq!(tally.decisions, lines.len() as u64);
        let changed: u64 = tally.changed.values().sum();
        let flips = tally.flips.gained + tally.flips.lost;
        assert_eq!(tally.same + changed + flips, tally.replayed());
        assert!(flips > 20, "{flips}");
        format!("{:?} {:?}", tally.flips.sorted(), tally.changed)
    };
    assert_eq!(told(1), told(5));
    assert_eq!(told(2), told(5));
}

#[test]
fn what_is_not_whole_is_counted_by_why() {
    let folder = tempfile::tempdir().unwrap();
    let reference = compiled(|_, text| text);
    let content = Content {
        digests_entities: true,
        ..Content::default()
    };
    let lines = log(folder.path(), &reference.0, &reference.1, content);
    let digested = lines
        .iter()
        .filter(|line| line.contains("entities_count"))
        .count();
    assert!(digested > 10, "{digested}");
    let paths = [folder.path().to_owned()];
    let options = ReplayOptions::default();
    let tally = replay(
        world(&reference),
        Baseline::Recorded,
        &paths,
        &options,
        |_, _| (),
    )
    .unwrap();
    let expected = [(LeftOut::Digested, digested as u64)];
    assert_eq!(tally.left_out.into_iter().collect::<Vec<_>>(), expected);
    assert_eq!(tally.same, (lines.len() - digested) as u64);
}
