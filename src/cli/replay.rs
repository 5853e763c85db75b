//! `deodar replay`: decide recorded questions again, by other policies.

pub mod json;
pub mod markdown;
pub mod text;

use std::io;
use std::io::IsTerminal as _;
use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;
use tokio::time::Instant;

use super::ExitCode;
use super::Failure;
use super::args::FileArg;
use super::audit::filters::FilterArgs;
use super::diff::FailOn;
use super::diff::side::Origin;
use super::diff::side::Side;
use super::directory::progress::Progress;
use super::failure::Message;
use super::markdown::bounded;
use super::output;
use crate::analysis::replay;
use crate::analysis::replay::Baseline;
use crate::analysis::replay::Options;
use crate::analysis::replay::log::Log;
use crate::analysis::replay::tally::Tally;
use crate::analysis::world::World;

/// Decide recorded questions again, by other policies
///
/// Every decision that the audit logs tell of is made again by the policies of a
/// directory or revision, on the entities of that repository, and on those that the
/// request carried. What comes out otherwise is listed by the policy that turned it.
/// A record that cannot be decided again is counted by why, such as one of a question
/// whose context the policies of then could not read, and so did not record; a line
/// that cannot be read, or is out of order, is named.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  what would the policies of this work tree have decided yesterday?
    deodar replay /var/lib/deodar/audit --since yesterday
  would this branch have locked anybody out?
    deodar replay /var/lib/deodar/audit --policies feature --fail-on lost
  for a pull request:
    deodar replay audit/*.ndjson.zst --policies HEAD --format markdown > comment.md

JSON: {\"policies\": {\"name\", \"commit\", \"policy_revision\", \"directory_revision\"}, \"files\", \"records\",
\"decisions\", \"replayed\", \"same\", \"changed\": {\"cause\", \"policies\", \"errors\"}, \"gained\", \"lost\",
\"groups\": [{\"direction\", \"principal_type\", \"policies\", \"why\", \"count\", \"examples\": [{\"file\",
\"line\", \"record\", \"time\", \"principal\", \"action\", \"resource\", \"before\", \"after\"}]}], \"flips_left_out\",
\"left_out\": {..}, \"gaps\", \"faults\": [{\"file\", \"line\", \"kind\", \"message\"}], \"faults_left_out\", \"notes\"}

Exit codes: 0 done, also when decisions differ, 1 failed, something is missing or could not be read, or
nothing was decided, 2 usage or configuration, 4 invalid policies, 6 `--fail-on` found what it looks for")]
pub struct ReplayArgs {
    /// Directories of audit logs, or segments of them (`*.ndjson`, `*.ndjson.zst`)
    #[arg(value_name = "AUDIT", required = true)]
    audit: Vec<PathBuf>,
    /// The policies that decide: a directory, a git revision, or REV:DIR; by default those of the
    /// work tree
    #[arg(long, value_name = "DIR|REV")]
    policies: Option<String>,
    /// Fail when a decision flips so
    #[arg(long, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// So many examples of each group
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    examples: usize,
    /// So many groups
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    top: usize,
    /// How to write the report
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    file: FileArg,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Human,
    /// For programs
    Json,
    /// For a comment on a pull request
    Markdown,
}

/// What is told.
#[derive(Debug)]
pub struct Told<'a> {
    /// The policies that decided.
    pub side: &'a Side,
    /// What came of it.
    pub tally: &'a Tally,
    /// So many groups.
    pub top: usize,
}

/// Decides again and reports.
///
/// # Errors
/// When there is no log, or no policies to decide by.
pub fn run(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let config = args.file.resolve()?.config;
    let origin = match &args.policies {
        Some(policies) => match Origin::new(policies)? {
            Origin::Server(address) => {
                let message = format!("`{address}` is a server, which does not tell its schema");
                let hint = "give the directory or the revision that it serves";
                return Err(Failure::Usage(Message::new(message, hint)));
            }
            origin => origin,
        },
        None => Origin::work_tree(&config),
    };
    let side = origin.open(&config, None)?;
    let candidate = World {
        snapshot: &side.repository.snapshot,
        view: &side.repository.view,
    };
    let options = Options {
        filter: args.filter.filter(),
        examples: args.examples,
        ..Options::default()
    };
    let tally = shown(candidate, Baseline::Recorded, &args.audit, &options)?;
    let told = Told {
        side: &side,
        tally: &tally,
        top: args.top,
    };
    output::stdout(&match args.format {
        Format::Human => text::report(&told),
        Format::Json => output::json(&json::report(&told)),
        Format::Markdown => bounded(&markdown::report(&told)),
    });
    let found = args
        .fail_on
        .is_some_and(|fail_on| fail_on.is_found(tally.flips.gained, tally.flips.lost));
    if found {
        return Ok(ExitCode::Found);
    }
    if args.fail_on.is_some() && !tally.left_out.is_empty() {
        output::stderr(
            "warning: `--fail-on` found nothing, but not everything was decided: see what was not \
             decided again\n",
        );
    }
    if tally.replayed() == 0 && !tally.is_faulty() {
        let message = "no decision was decided again";
        let hint = "see what the logs have: `deodar audit stats --path DIR`";
        return Err(Failure::Failed(Message::new(message, hint)));
    }
    Ok(if tally.is_faulty() {
        ExitCode::Failed
    } else {
        ExitCode::Yes
    })
}

/// Decides again, with a bar on a terminal.
///
/// # Errors
/// When a path is no log.
pub fn shown(
    candidate: World<'_>,
    baseline: Baseline<'_>,
    paths: &[PathBuf],
    options: &Options,
) -> Result<Tally, Failure> {
    let unreadable =
        |error: replay::log::LogError| Failure::Failed(Message::new(&error, error.hint()));
    let is_shown = io::stderr().is_terminal();
    let bytes = Log::find(paths).map_err(unreadable)?.bytes();
    let mut progress = is_shown.then(|| Progress::new("records", Some(bytes)));
    let begun = Instant::now();
    let tally = replay::replay(candidate, baseline, paths, options, |records, bytes| {
        if let Some(progress) = &mut progress {
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            let rate = records as f64 / begun.elapsed().as_secs_f64().max(1e-3);
            progress.done(records, bytes, rate);
        }
    });
    if let Some(progress) = &progress {
        progress.end();
    }
    tally.map_err(unreadable)
}
