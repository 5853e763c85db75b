//! Millions of decisions: whether memory and disk stay as they are, and how long
//! it takes to read the log that they leave.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use super::Effort;
use super::load;
use super::machine::disk;
use super::machine::output;
use super::process;
use super::process::Process;
use super::questions;
use super::v1;

/// Samples of memory, evenly over the decisions.
const STEPS: u64 = 10;
/// Streams, and the questions under way of each.
const STREAMS: u64 = 2;
const WINDOW: usize = 256;
/// How long no answer may come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long all of them may take.
const ASKING: Duration = Duration::from_mins(10);
/// How long reading the log may take, each time.
const READING: Duration = Duration::from_secs(120);
/// Of the files of the log: enough for about a million records.
pub(crate) const KEEP_BYTES: u64 = 128 << 20;
/// A segment as it is by default.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// What was seen.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Endurance {
    pub(crate) asked: Asked,
    pub(crate) removed_from_cache: u64,
    pub(crate) cache_mib: f64,
    pub(crate) missing: u64,
    /// The log that was left.
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) disk_bytes: u64,
    pub(crate) reads: Vec<Read>,
    /// What the log was on.
    pub(crate) disk: String,
}

/// What was seen while the server was asked.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) samples: Vec<Sample>,
    pub(crate) failed: u64,
    /// The most that the files of the log took, looked at ten times a second.
    pub(crate) disk_bytes_max: u64,
}

/// After so many decisions.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) decisions: u64,
    pub(crate) seconds: f64,
    pub(crate) rss_mib: f64,
    pub(crate) disk_bytes: u64,
}

/// One command on the log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Read {
    pub(crate) what: String,
    pub(crate) seconds: f64,
    /// Lines that it printed.
    pub(crate) lines: u64,
}

/// Asks, then reads the log.
pub(crate) fn measure(effort: Effort) -> Result<Endurance, String> {
    // A cache that is full before the second sample.
    let (decisions, cache) = if effort.quick {
        (500_000_u64, "8MiB")
    } else {
        (10_000_000, "64MiB")
    };
    let policies = process::policies()?;
    let keep = KEEP_BYTES.to_string();
    let settings = [
        process::MEMORY,
        process::ERRORS,
        ("DEODAR_AUDIT__KEEP_BYTES", keep.as_str()),
        ("DEODAR_CACHE__BYTES_MAX", cache),
    ];
    let mut deodar = process::deodar(policies.path(), &settings)?;
    deodar.wait_until_ready()?;
    let program = process::target().join("release/xtask");
    let audit = deodar.audit()?.to_string_lossy().into_owned();
    let printed = output(
        &program.to_string_lossy(),
        &[
            "bench",
            "endurance-load",
            &deodar.address,
            &deodar.pid().to_string(),
            &audit,
            &decisions.to_string(),
        ],
    )?;
    let asked: Asked = serde_json::from_str(&printed).map_err(|error| error.to_string())?;
    let metrics = deodar.metrics()?;
    let removed_from_cache = metrics.sum("deodar_cache_removals_total", &["cause=\"size\""]);
    let cache_mib = metrics.sum("deodar_cache_size_bytes", &[]) as f64 / f64::from(1 << 20);
    let missing = metrics.sum("deodar_audit_missing_total", &[]);
    deodar.end("TERM")?;
    let (stats, reads) = read(&deodar)?;
    let of = |name: &str| stats.get(name).and_then(Json::as_u64).unwrap_or(0);
    Ok(Endurance {
        asked,
        removed_from_cache,
        cache_mib,
        missing,
        records: of("records"),
        bytes: of("bytes"),
        disk_bytes: of("disk_bytes"),
        reads,
        disk: disk(&process::target())?,
    })
}

/// Reads the log with each command; gives what `stats` says as well.
fn read(deodar: &Process) -> Result<(Json, Vec<Read>), String> {
    let nobody = r#"Org::User::"nobody""#;
    let commands: [(&str, &[&str]); 4] = [
        ("`deodar audit stats`", &["stats", "--format=json"]),
        ("`deodar audit verify`", &["verify", "--format=json"]),
        (
            "`deodar audit query` for somebody who never asked",
            &[
                "query",
                "--format=json",
                "--principal",
                r#"Org::User::"never""#,
            ],
        ),
        (
            "`deodar audit query` for somebody who asked every eighth question",
            &["query", "--format=json", "--principal", nobody],
        ),
    ];
    let mut reads = Vec::new();
    let mut stats = Json::Null;
    for (what, arguments) in commands {
        let mut command = Command::new(process::target().join("release/deodar"));
        command
            .arg("audit")
            .args(arguments)
            .arg("--path")
            .arg(deodar.audit()?);
        let started = Instant::now();
        let printed = process::printed(&mut command, READING)?;
        let seconds = started.elapsed().as_secs_f64();
        eprintln!("{what}: {seconds:.2} s");
        if arguments.contains(&"stats") {
            stats = serde_json::from_str(&printed).map_err(|error| error.to_string())?;
        }
        reads.push(Read {
            what: what.to_owned(),
            seconds,
            lines: printed.lines().count() as u64,
        });
    }
    Ok((stats, reads))
}

/// `bench endurance-load ADDRESS PID AUDIT DECISIONS`: asks so often, looking at
/// the memory of the process and at the files of its log, and prints an [`Asked`].
pub(crate) fn command(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let arguments: Vec<String> = arguments.collect();
    let [address, pid, audit, decisions] = arguments.as_slice() else {
        return Err("usage: bench endurance-load ADDRESS PID AUDIT DECISIONS".to_owned());
    };
    let pid = pid.parse().map_err(|_| "PID is a number")?;
    let decisions = decisions.parse().map_err(|_| "DECISIONS is a number")?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let asked = runtime.block_on(ask(address, pid, Path::new(audit), decisions))?;
    println!(
        "{}",
        serde_json::to_string(&asked).map_err(|error| error.to_string())?
    );
    Ok(())
}

#[derive(Default)]
struct Progress {
    answered: AtomicU64,
    failed: AtomicU64,
}

async fn ask(address: &str, pid: u32, audit: &Path, decisions: u64) -> Result<Asked, String> {
    let progress = Arc::new(Progress::default());
    let mut streams = JoinSet::new();
    for stream in 0..STREAMS {
        let each = decisions / STREAMS;
        let (address, progress) = (address.to_owned(), Arc::clone(&progress));
        streams.spawn(async move { run(&address, &progress, stream * each, each).await });
    }
    let step = (decisions / STEPS).max(1);
    let mut asked = Asked {
        samples: Vec::new(),
        failed: 0,
        disk_bytes_max: 0,
    };
    let started = Instant::now();
    let (mut last, mut moved) = (0, started);
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let failed = progress.failed.load(Ordering::Relaxed);
        let answered = progress.answered.load(Ordering::Relaxed) + failed;
        let disk_bytes = bytes_below(audit);
        asked.disk_bytes_max = asked.disk_bytes_max.max(disk_bytes);
        if answered / step > asked.samples.len() as u64 {
            asked.samples.push(Sample {
                decisions: answered,
                seconds: started.elapsed().as_secs_f64(),
                rss_mib: process::rss_mib(pid)?,
                disk_bytes,
            });
        }
        if answered >= step * STEPS {
            break;
        }
        if started.elapsed() > ASKING {
            return Err(format!("too slow: {answered} decisions in ten minutes"));
        }
        if answered > last {
            (last, moved) = (answered, Instant::now());
        } else if moved.elapsed() > PATIENCE {
            return Err(format!("no answer for a while, after {answered} decisions"));
        }
        if let Some(ended) = streams.try_join_next() {
            ended.map_err(|error| error.to_string())??;
        }
    }
    asked.failed = progress.failed.load(Ordering::Relaxed);
    Ok(asked)
}

/// Asks so many questions on a stream, beginning with this one.
async fn run(address: &str, progress: &Progress, first: u64, count: u64) -> Result<(), String> {
    let mut client = load::connect(address).await?;
    let (questions, receiver) = mpsc::channel(WINDOW);
    let asking = tokio::spawn(async move {
        let questions_of = questions::Varied::new();
        for number in first..first + count {
            let question = v1::StreamAuthorizeRequest {
                correlation_id: number,
                request: questions_of.at(number),
            };
            if questions.send(question).await.is_err() {
                return;
            }
        }
    });
    let answers = client.stream_authorize(ReceiverStream::new(receiver)).await;
    let mut answers = answers.map_err(|error| error.to_string())?.into_inner();
    while let Some(answer) = answers.message().await.map_err(|error| error.to_string())? {
        let is_response = matches!(
            answer.result,
            Some(v1::stream_authorize_response::Result::Response(_))
        );
        let count = if is_response {
            &progress.answered
        } else {
            &progress.failed
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
    asking.await.map_err(|error| error.to_string())
}

/// The bytes of all files of a directory, as far as they can be seen while they
/// come and go.
fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    let sizes = entries.filter_map(|entry| entry.ok()?.metadata().ok());
    sizes.map(|file| file.len()).sum()
}
