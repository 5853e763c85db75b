//! Recorded questions decided again: how many a second, whole processes.

use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use deodar::audit::Audit;
use deodar::audit::Options;
use deodar::audit::Record;
use deodar::audit::Submitted;
use deodar::audit::decision::Content;
use deodar::audit::decision::DecisionRecord;
use deodar::audit::decision::What;
use deodar::directory;
use deodar::engine::Decision;
use deodar::engine::Query;
use deodar::engine::Snapshot;
use deodar::engine::View;
use deodar::engine::compile;
use deodar::engine::decide;
use deodar::engine::value::datetime_from_millis;
use deodar::identity::Caller;
use deodar::source;
use deodar::testing;
use serde::Deserialize;
use serde::Serialize;
use tokio::time::Instant;

use super::Effort;
use super::process;

/// When the first question is asked, in milliseconds since 1970.
const BEGUN: i64 = 1_774_000_000_000;

/// What was seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Replays {
    /// Records of each log.
    pub(crate) records: u64,
    /// Seconds for questions as the test cases ask them, over and over.
    pub(crate) repeated: Vec<f64>,
    /// Seconds for the same, a thousand of them in each second, which is as a server
    /// fills in the time unless it is told otherwise.
    pub(crate) ticking: Vec<f64>,
    /// Seconds for the same, each at a time of its own.
    pub(crate) timed: Vec<f64>,
    /// Bytes of the last log, uncompressed but for what is packed already.
    pub(crate) bytes: u64,
}

/// Writes three logs, and decides each again several times, in turns.
pub(crate) fn measure(effort: Effort) -> Result<Replays, String> {
    let records = if effort.quick { 60_000 } else { 300_000 };
    let place = process::scratch("replay-")?;
    let logs = ["repeated", "ticking", "timed"].map(|name| place.path().join(name));
    for (log, tick) in logs.iter().zip([None, Some(1000), Some(1)]) {
        generate(records, log, tick)?;
    }
    let [mut repeated, mut ticking, mut timed] = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..effort.repetitions.min(5) {
        let seconds = [&mut repeated, &mut ticking, &mut timed];
        for (log, seconds) in logs.iter().zip(seconds) {
            let mut replay = Command::new(process::target().join("release/deodar"));
            replay.arg("replay").arg(log);
            let policies = super::root().join("policies");
            replay.arg("--policies").arg(policies);
            let started = Instant::now();
            process::succeed(replay.stdout(Stdio::null()))?;
            let took = started.elapsed().as_secs_f64();
            eprintln!("{records} records in {took:.2} s");
            seconds.push(took);
        }
    }
    let [.., log] = &logs;
    let files = std::fs::read_dir(log).map_err(|error| error.to_string())?;
    let sizes = files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
    Ok(Replays {
        records,
        repeated,
        ticking,
        timed,
        bytes: sizes.sum(),
    })
}

/// Asks the questions of the test cases over and over, one each millisecond, and
/// records the answers. With a `tick` of so many milliseconds `context.now` goes on.
fn generate(records: u64, log: &Path, tick: Option<i64>) -> Result<(), String> {
    let (snapshot, view) = world()?;
    let questions = questions(&snapshot, &view)?;
    let audit = Audit::open(Options {
        directory: log.to_owned(),
        ..Options::default()
    });
    let audit = audit.map_err(|error| error.to_string())?;
    let content = Arc::new(Content::default());
    let millis = (BEGUN..).zip(questions.iter().cycle());
    for (number, (millis, (query, decision))) in (0..records).zip(millis) {
        let (mut query, mut decision) = (query.clone(), Arc::clone(decision));
        if let Some(tick) = tick
            && query.context.contains_key("now")
        {
            let now =
                datetime_from_millis(millis - millis % tick).map_err(|error| error.to_string())?;
            Arc::make_mut(&mut query.context).insert("now".into(), now);
            let decided = decide(&snapshot, &view, &query);
            decision = Arc::new(decided.map_err(|error| error.to_string())?);
        }
        let record = DecisionRecord {
            id: uuid_of(number),
            caller: Caller::Local,
            what: What::Made { query, decision },
            snapshot: Arc::clone(&snapshot),
            directory: Arc::clone(view.revision()),
            cached: false,
            nanos: 9_000,
            request: None,
            trace: None,
            content: Arc::clone(&content),
        };
        let mut submitted = audit.submit(millis, Record::Decision(Box::new(record)));
        while let Submitted::Full(record) = submitted {
            audit.flush_blocking().map_err(|error| error.to_string())?;
            submitted = audit.submit(millis, record);
        }
    }
    audit.close();
    Ok(())
}

fn uuid_of(number: u64) -> uuid::Uuid {
    uuid::Uuid::from_u64_pair(0x0199_0000_0000_7000, 0x8000_0000_0000_0000 | number)
}

/// The reference policies and their world.
fn world() -> Result<(Arc<Snapshot>, View), String> {
    let policies = super::root().join("policies");
    let files = source::read_all(&policies, &source::Limits::default());
    let files = files.map_err(|error| error.to_string())?;
    let snapshot = compile(&files).map_err(|faults| format!("{faults:?}"))?;
    let view = directory::load(&snapshot, &files).map_err(|faults| format!("{faults:?}"))?;
    Ok((Arc::new(snapshot), view))
}

/// The questions of the test cases that need no links of their own.
fn questions(snapshot: &Snapshot, view: &View) -> Result<Vec<(Query, Arc<Decision>)>, String> {
    let policies = super::root().join("policies");
    let files = source::read_all(&policies, &source::Limits::default());
    let files = files.map_err(|error| error.to_string())?;
    let mut questions = Vec::new();
    for suite in testing::read(&files, Some(snapshot)).suites {
        for case in suite
            .cases
            .iter()
            .filter(|case| case.question.links.is_empty())
        {
            let asked = case
                .asked(snapshot, view)
                .map_err(|fault| fault.to_string())?;
            let decision = decide(snapshot, view, &asked.query);
            let decision = decision.map_err(|error| error.to_string())?;
            questions.push((asked.query, Arc::new(decision)));
        }
    }
    if questions.is_empty() {
        return Err("the reference policies have no test cases".to_owned());
    }
    Ok(questions)
}
