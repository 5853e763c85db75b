//! `deodar bench`: what each policy costs, and whether it costs more than before.

pub mod clock;
pub mod saved;
pub mod text;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::ExitCode;
use super::Failure;
use super::args::FileArg;
use super::failure::Message;
use super::format::FormatArg;
use super::output;
use super::output::WARN;
use super::output::count;
use super::output::paint;
use super::repository::Repository;
use super::time;
use crate::analysis::cost::Comparison;
use crate::analysis::cost::Plan;
use crate::analysis::cost::Questions;
use crate::analysis::cost::Report;
use crate::analysis::cost::compare;
use crate::analysis::cost::measure;
use crate::testing;
use crate::testing::Case;

/// The time that questions without one are asked for is a whole minute.
const MINUTE: Duration = Duration::from_mins(1);

const FORMAT_HELP: &str = r#"How to write it; JSON is what `--save` writes, {"version", "machine", "policy_revision", "samples", "questions": {"origin", "asked", "left_out", "misfits", "digest"}, "decision": {"median", "min", "deviation"}, "gathering", "policies": [{"id", "file", "line", "candidates", "cost", "share"}], "conditions": [{"policy", "condition", "file", "line", "column", "reached", "cost", "share"}], "never_asked"}, and with a baseline "comparison": {"same_machine", "same_questions", "decision": {"ratio", "ratio_of_min", "noise"}, "policies", "added", "removed"}; costs are nanoseconds"#;

/// Measure what each policy costs
///
/// Asks the questions of the repository's tests; where it has none, every
/// principal, action and resource of its entities that the schema allows
/// together, at most 2,000. Measures whole decisions, the part that finds policies
/// by their scope and gathers entities, and the condition of each policy over the
/// questions whose scope it matches. Batches are measured in turns, so that what
/// else the machine does falls on all of them alike.
///
/// A saved measurement is compared as ratios. Noise is told from the spread of the
/// batches: what is within it is no change.
#[derive(Debug, Args)]
#[command(mut_arg("format", |arg| arg.help(FORMAT_HELP)))]
#[command(after_help = "\
Examples:
  deodar bench policies/
  deodar bench --save before.json && git switch my-change && deodar bench --baseline before.json
  deodar bench --baseline before.json --fail-above 1.2 --samples 100

Exit codes: 0 measured, 1 failed, 2 usage or configuration, 4 invalid policies,
6 slower than `--fail-above` allows, beyond noise")]
pub struct BenchArgs {
    /// The repository; by default this directory if it has a manifest.toml, else the one that is
    /// configured [key: policies.path]
    #[arg(value_name = "DIR")]
    repository: Option<PathBuf>,
    /// Batches of each cost; more of them take longer and tell smaller changes
    #[arg(long, value_name = "NUMBER", default_value_t = 30, value_parser = clap::value_parser!(u32).range(3..=10_000))]
    samples: u32,
    /// Save the measurement to this file
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Compare with the measurement of this file
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Fail if a decision, or a policy with a hundredth of the cost, takes more than so many times as
    /// long as the baseline, beyond noise
    #[arg(long, value_name = "RATIO", requires = "baseline", value_parser = saved::ratio)]
    fail_above: Option<f64>,
    #[command(flatten)]
    format: FormatArg,
    #[command(flatten)]
    file: FileArg,
}

/// What is written as JSON.
#[derive(Debug, Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
}

/// Measures.
///
/// # Errors
/// When the repository is invalid, there is nothing to ask, or a file cannot be
/// read or written.
pub fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    // What cannot be read is told before anything is measured.
    let baseline = args.baseline.as_deref().map(saved::read).transpose()?;
    let repository = Repository::open(args.repository.as_deref(), &args.file)?;
    let now = time::now(MINUTE).map_err(|error| {
        Failure::Failed(Message::new(
            format!("the clock cannot be used: {error}"),
            "set the clock of this machine",
        ))
    })?;
    let Repository { snapshot, view, .. } = &repository;
    let questions = Questions::new(snapshot, view, &cases(&repository)?, &now);
    if questions.asked.is_empty() {
        return Err(Failure::Failed(Message::new(
            format!("there is nothing to ask of `{}`", repository.path.display()),
            "add tests (`deodar test --help`), or entities to which the schema lets an action apply",
        )));
    }
    let plan = Plan {
        samples: args.samples as usize,
        clock: clock::nanos,
    };
    let report = measure(snapshot, &questions, &plan, clock::machine())?;
    if let Some(path) = &args.save {
        saved::write(path, &report)?;
    }
    let comparison = baseline.as_ref().map(|before| compare(before, &report));
    let written = if args.format.is_json() {
        output::json(&Written {
            report: &report,
            comparison: comparison.as_ref(),
        })
    } else {
        text::of(&report, comparison.as_ref())
    };
    output::stdout(&written);
    for warning in text::warnings(&report, comparison.as_ref()) {
        output::stderr(&warning);
    }
    let limit = args.fail_above.unwrap_or(f64::INFINITY);
    let exceeding = comparison
        .as_ref()
        .map(|compared| compared.exceeding(limit));
    let exceeding = exceeding.unwrap_or_default();
    if exceeding.is_empty() {
        return Ok(ExitCode::Yes);
    }
    output::stderr(&text::exceeding(&exceeding, limit));
    Ok(ExitCode::Found)
}

/// The cases of the repository's tests. Those with faults are left out, and that is
/// said.
///
/// # Errors
/// The faults, when no case is left: other questions than those of the tests would
/// be measured.
fn cases(repository: &Repository) -> Result<Vec<Case>, Failure> {
    let read = testing::read(&repository.files, Some(&repository.snapshot));
    let has_case = read.suites.iter().any(|suite| !suite.cases.is_empty());
    if !has_case && !read.faults.is_empty() {
        return Err(Failure::Invalid(read.faults));
    }
    let broken: usize = read.suites.iter().map(|suite| suite.broken.len()).sum();
    let mut left_out = Vec::new();
    if broken > 0 {
        left_out.push(count(broken, "case", "cases"));
    }
    if read.files_left_out > 0 {
        left_out.push(count(read.files_left_out, "test file", "test files"));
    }
    if !left_out.is_empty() {
        output::stderr(&format!(
            "{} {} left out for faults: see `deodar validate`\n",
            paint(WARN, "warning:"),
            left_out.join(" and "),
        ));
    }
    let cases = read.suites.into_iter().flat_map(|suite| suite.cases);
    Ok(cases.collect())
}
