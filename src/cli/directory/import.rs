//! `deodar directory import`: many entities or links from a file.
//!
//! A thread splits the input into chunks; a few chunks are written at a time,
//! each a transaction. Memory holds those few, however long the input is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Code;
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt as _;

use super::ServerArgs;
use super::chunks::Chunk;
use super::chunks::Plan;
use super::chunks::Reading;
use super::chunks::check;
use super::chunks::chunks;
use super::client;
use super::progress::Progress;
use super::resume::Resume;
use crate::cli::ExitCode;
use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::format::FormatArg;
use crate::cli::output;
use crate::cli::output::count;
use crate::cli::server::ServerAddress;
use crate::cli::server::block_on;
use crate::cli::server::refused;
use crate::directory::revision::Revision;
use crate::proto::v1;
use crate::proto::v1::directory_service_client::DirectoryServiceClient;

/// How often a server that is busy is asked again, and after how long.
const TRIES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(50);
/// How long a transaction may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Faults of one transaction that are shown.
const FAULTS_SHOWN: usize = 10;

const LINKS_HELP: &str =
    r#"Links instead of entities: [{"template_id", "link_id", "args": {"?principal": ENTITY}}]"#;
const JSON_HELP: &str =
    r#"How to write it; JSON is {"imported", "skipped", "seconds", "per_second", "revision"}"#;

/// Store many entities or links from a file
///
/// Reads a Cedar entities file: a JSON array, or one entity a line (NDJSON), of
/// any length. Entities are stored in place of those of the same name, many in
/// one transaction, and several transactions at a time: an entity that is in the
/// file twice is stored as one or the other. How far the import got is noted in
/// FILE.resume, which is removed at the end.
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(JSON_HELP)))]
#[command(after_help = "\
Examples:
  deodar directory import policies/entities/people.json
  deodar directory import --resume devices.ndjson
  deodar directory import --links policies/links/people.json
  cargo xtask devices --count 1000000 | deodar directory import -

Exit codes: 0 imported, 1 failed, 2 usage, or a bad entity or link")]
pub struct ImportArgs {
    /// The file, or - for standard input
    #[arg(value_name = "FILE|-")]
    input: PathBuf,
    #[arg(long, help = LINKS_HELP)]
    links: bool,
    /// Go on where an import of this file was interrupted, if it was
    #[arg(long)]
    resume: bool,
    /// Only look for entities that cannot be read; no server is asked
    #[arg(long, conflicts_with = "resume")]
    dry_run: bool,
    /// Entities or links in one transaction
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Transactions at a time; with 1 they are made in the order of the file
    #[arg(long, value_name = "NUMBER", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    in_flight: u32,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    server: ServerArgs,
}

/// What was imported.
#[derive(Debug, Default)]
struct Imported {
    count: u64,
    revision: Option<Revision>,
}

/// Imports.
///
/// # Errors
/// What cannot be read, or what the server refuses, by its line.
pub fn run(args: &ImportArgs) -> Result<ExitCode, Failure> {
    let is_input = args.input.as_os_str() == "-";
    if is_input && args.resume {
        let message = "standard input cannot be resumed";
        return Err(Failure::Usage(Message::new(message, "give a file")));
    }
    let plan = args.plan();
    let reading = Reading::new(&plan, &args.input)?;
    if args.dry_run {
        let (one, many) = plan.what();
        let number = count(check(&plan, reading)?, one, many);
        let text = format!("{number} can be read; whether they fit the schema, the server knows\n");
        output::stdout(&text);
        return Ok(ExitCode::Yes);
    }
    let server = args.server.address()?;
    let mut resume = (!is_input)
        .then(|| Resume::begin(&args.input, &server.to_string(), args.resume))
        .transpose()?;
    let skipped = resume.as_ref().map_or(0, Resume::acknowledged);
    let started = Instant::now();
    let imported = block_on(import(args, reading, &server, resume.as_mut()))?;
    if let Some(resume) = resume {
        resume.end();
    }
    let seconds = started.elapsed().as_secs_f64();
    args.report(&imported, skipped, seconds);
    Ok(ExitCode::Yes)
}

impl ImportArgs {
    fn plan(&self) -> Plan {
        Plan {
            name: if self.input.as_os_str() == "-" {
                "standard input".to_owned()
            } else {
                format!("`{}`", self.input.display())
            },
            is_file: self.input.as_os_str() != "-",
            links: self.links,
            batch: self.batch as usize,
        }
    }

    fn report(&self, imported: &Imported, skipped: u64, seconds: f64) {
        let rate = rate(imported.count, seconds);
        let revision = imported.revision.map(|revision| revision.to_string());
        if self.format.is_json() {
            output::stdout(&output::json(&json!({
                "imported": imported.count,
                "skipped": skipped,
                "seconds": seconds,
                "per_second": rate,
                "revision": revision,
            })));
            return;
        }
        let (one, many) = self.plan().what();
        let number = usize::try_from(imported.count).unwrap_or(usize::MAX);
        let mut text = format!("imported {}", count(number, one, many));
        if skipped > 0 {
            text = format!("{text}, after {skipped} that were there");
        }
        text = format!("{text} in {seconds:.1} s, {rate:.0}/s");
        if let Some(revision) = revision {
            text = format!("{text}, revision {revision}");
        }
        output::stdout(&format!("{text}\n"));
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds.max(0.001)
}

/// A chunk that was written, or was not.
struct Written {
    before: u64,
    count: u64,
    bytes: u64,
    head: String,
    outcome: Result<String, Failure>,
}

async fn import(
    args: &ImportArgs,
    reading: Reading,
    server: &ServerAddress,
    mut resume: Option<&mut Resume>,
) -> Result<Imported, Failure> {
    let client = client(server).await?;
    let plan = args.plan();
    let skip = resume.as_ref().map_or(0, |resume| resume.acknowledged());
    let mut progress = Progress::new(plan.what().1, reading.bytes);
    let started = Instant::now();
    let (into, mut read) = mpsc::channel(2);
    let (splitting, in_flight) = (plan.clone(), args.in_flight as usize);
    let head = resume.as_ref().map(|resume| resume.head().to_owned());
    let head = head.unwrap_or_default();
    // Not waited for: it may wait for input that never comes.
    std::thread::spawn(move || chunks(&splitting, reading, (skip, &head), &into));

    let mut under_way = JoinSet::new();
    let mut done = Done::after(skip);
    // The failure that is furthest ahead in the input.
    let mut failed: Option<(u64, Failure)> = None;
    let mut is_read = false;
    loop {
        let takes = failed.is_none() && !is_read && under_way.len() < in_flight;
        tokio::select! {
            next = read.recv(), if takes => match next {
                None => is_read = true,
                Some(Ok(chunk)) => {
                    under_way.spawn(written(client.clone(), plan.clone(), chunk));
                }
                Some(Err(failure)) => failed = Some((u64::MAX, failure)),
            },
            Some(joined) = under_way.join_next(), if !under_way.is_empty() => {
                let written = joined.map_err(|error| {
                    Failure::Failed(Message::new(error, "report this: it is a fault of deodar"))
                })?;
                let before = written.before;
                if let Err(failure) = done.add(written)
                    && failed.as_ref().is_none_or(|(at, _)| before < *at)
                {
                    failed = Some((before, failure));
                }
                if let Some(resume) = &mut resume
                    && resume.acknowledged() < done.next
                {
                    resume.acknowledge(done.next, done.head.clone())?;
                }
                let rate = rate(done.imported.count, started.elapsed().as_secs_f64());
                progress.done(done.next, done.bytes, rate);
            },
            else => break,
        }
    }
    progress.end();
    match failed {
        None => Ok(done.imported),
        Some((_, failure)) => {
            let (count, many) = (done.imported.count, plan.what().1);
            output::stderr(&format!("{count} {many} were imported before this:\n"));
            Err(failure)
        }
    }
}

/// What is done: all up to a place, and some behind it.
struct Done {
    next: u64,
    bytes: u64,
    /// The hash of all up to there.
    head: String,
    /// Chunks behind `next`, by where they begin: their end, the bytes read, and
    /// the hash.
    later: BTreeMap<u64, (u64, u64, String)>,
    imported: Imported,
}

impl Done {
    fn after(skipped: u64) -> Self {
        Self {
            next: skipped,
            bytes: 0,
            head: String::new(),
            later: BTreeMap::new(),
            imported: Imported::default(),
        }
    }

    fn add(&mut self, written: Written) -> Result<(), Failure> {
        let revision: Option<Revision> = written.outcome?.parse().ok();
        let imported = &mut self.imported;
        imported.count += written.count;
        if revision.map(|revision| revision.sequence)
            > imported.revision.map(|revision| revision.sequence)
        {
            imported.revision = revision;
        }
        let end = written.before + written.count;
        let later = (end, written.bytes, written.head);
        self.later.insert(written.before, later);
        while let Some((end, bytes, head)) = self.later.remove(&self.next) {
            self.next = end;
            self.bytes = bytes;
            self.head = head;
        }
        Ok(())
    }
}

async fn written(mut client: DirectoryServiceClient<Channel>, plan: Plan, chunk: Chunk) -> Written {
    let count = chunk.lines.len() as u64;
    let message = v1::WriteRequest {
        operations: chunk.operations,
        ..v1::WriteRequest::default()
    };
    let mut tries = 0;
    let outcome = loop {
        let mut request = tonic::Request::new(message.clone());
        request.set_timeout(PATIENCE);
        match client.write(request).await {
            Ok(written) => break Ok(written.into_inner().revision),
            Err(status) if status.code() == Code::ResourceExhausted && tries < TRIES => {
                tokio::time::sleep(PAUSE * 2_u32.pow(tries)).await;
                tries += 1;
            }
            Err(status) => break Err(failure(&plan, chunk.before, &chunk.lines, &status)),
        }
    };
    Written {
        before: chunk.before,
        count,
        bytes: chunk.bytes,
        head: chunk.head,
        outcome,
    }
}

/// What the server says of a transaction, by the lines of the input.
fn failure(plan: &Plan, before: u64, lines: &[u64], status: &Status) -> Failure {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| &bad.field_violations);
    let faults = violations.into_iter().flatten().filter_map(|violation| {
        let rest = violation.field.strip_prefix("operations[")?;
        let (at, rest) = rest.split_once(']')?;
        let at: usize = at.parse().ok()?;
        let line = lines.get(at)?;
        // What is below the form that this file chose.
        let field = rest.trim_start_matches(".put.entity_cedar_json");
        let field = field.trim_start_matches('.');
        let what = match field {
            "" => violation.description.clone(),
            field => format!("`{field}` {}", violation.description),
        };
        Some(plan.bad(before + at as u64 + 1, *line, &what))
    });
    let mut faults: Vec<_> = faults.collect();
    if faults.is_empty() {
        return refused(status);
    }
    if faults.len() > FAULTS_SHOWN {
        let more = faults.len() - FAULTS_SHOWN;
        faults.truncate(FAULTS_SHOWN);
        faults.push(format!("and {more} more"));
    }
    let (first, last) = (lines.first().unwrap_or(&0), lines.last().unwrap_or(&0));
    let then = plan.how_to_go_on();
    let hint = format!("nothing of lines {first} to {last}, one transaction, was imported; {then}");
    Failure::Usage(Message::new(faults.join("\n"), hint))
}
