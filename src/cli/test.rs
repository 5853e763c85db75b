//! `deodar test`: ask what the test files ask, and compare.

pub mod coverage;
mod github;
mod junit;
pub mod mutation;
mod place;
mod pretty;
mod report;
mod tap;
mod watch;
pub mod worth;

use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use clap::ValueEnum;

use super::ExitCode;
use super::Failure;
use super::args::FileArg;
use super::failure::Message;
use super::output;
use super::repository::Repository;
use crate::engine::Fault;
use crate::source::Limits;
use crate::testing;
use crate::testing::Order;
use crate::testing::Suite;
use crate::testing::filter::Glob;
use crate::testing::filter::retain;
use crate::testing::read::read_some;
use place::Place;
use report::Report;
use worth::WorthArgs;

const FORMAT_HELP: &str = r#"How to write what came: `pretty` for people, `junit` as XML, `tap` as TAP version 14, `github` as commands that annotate a pull request, or `json`: {"ok", "repository", "seed", "milliseconds", "counts": {"cases", "passed", "failed", "broken", "skipped", "left_out", "files_left_out"}, "suites": [{"name", "file", "cases": [{"name", "line", "status": "passed"|"failed"|"broken"|"skipped", "skipped", "failure": {"differences": [{"what", "expected", "came", "hint"}], "decision", "cause", "sentence", "policies", "errors", "near_misses", "near_misses_left_out"}, "fault"}]}], "faults": [{"file", "line", "column", "text", "message", "hint", "is_warning"}], and with the flags of these names "coverage": {"covered", "total", "percent", "minimum", "met", "cases", "cases_failed", "policies": [{"id", "file", "line", "template", "covered", "total", "matched", "satisfied", "unsatisfied", "errored", "links", "clauses": [{"text", "line", "constant", "true", "false", "errored"}], "missing": [{"line", "clause", "what"}]}]}, "mutation": {"total", "killed", "survived", "explained", "percent", "operators", "invalid", "equivalent", "left_out", "decisions", "cases", "cases_failing", "survivors": [{"policy", "name", "file", "line", "operator", "before", "after", "text", "hint", "explained", "annotation"}], "stale_explanations": [{"policy", "file", "line", "name", "is_unknown"}]}}"#;

/// Run the tests of a policy directory
///
/// Reads every `*.test.yaml` of the directory, and every `*.test.json` as `cedar run-tests` takes
/// it, decides each case with the directory's policies, entities and links, and shows where the
/// answer is not the expected one, and why.
///
/// A test file that cannot be read does not keep the others from being run, nor does a case that
/// names what there is not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar test                                     the tests of the current or configured directory
  deodar test policies/                           those of another
  deodar test policies/tests/doors.test.yaml      those of one file
  deodar test --filter '*door*' --filter grants   cases, suites or files of these names
  deodar test --format junit > junit.xml
  deodar test --watch                             again after every change
  deodar test --coverage --coverage-min 90        what no test reaches
  deodar test --mutate                            which changes of the policies no test notices

Exit codes: 0 passed, 1 the directory cannot be read, 2 usage or configuration, 4 the policies or a
test file are invalid, 5 a test failed, none was run, too little is covered, or a change is not
noticed")]
pub struct TestArgs {
    /// Policy directories, folders in one, or test files; all of one policy directory. By default
    /// the current directory if it has a `manifest.toml`, else the one that is configured
    /// [key: policies.path]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Run the cases whose name, suite or file this matches: `*` is any text, `?` a character, `\`
    /// takes the next one as it is; may be repeated
    #[arg(long, value_name = "GLOB")]
    filter: Vec<Glob>,
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", help = FORMAT_HELP, hide_possible_values = true)]
    format: Format,
    /// Run suites and their cases in an order of chance, or that of a seed
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true)]
    #[expect(
        clippy::option_option,
        reason = "how clap tells a flag without a value"
    )]
    shuffle: Option<Option<u64>>,
    /// Run them again after every change, until ctrl-c or the end of standard input
    #[arg(long)]
    watch: bool,
    /// Also list what passed, and what is skipped and why
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    worth: WorthArgs,
    #[command(flatten)]
    file: FileArg,
}

/// How to write what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    #[default]
    Pretty,
    Json,
    Junit,
    Tap,
    Github,
}

/// A repository with the tests that are to be run.
#[derive(Debug)]
pub struct Tests {
    /// The repository, compiled.
    pub repository: Repository,
    /// The cases that are to be run.
    pub suites: Vec<Suite>,
    /// What is wrong with test files, but for single cases.
    pub faults: Vec<Fault>,
    /// How many cases the filters left out.
    pub left_out: usize,
    /// How many files no case could be made of.
    pub files_left_out: usize,
}

/// Runs the tests, once or after every change.
///
/// # Errors
/// When there are no policies to test.
pub fn run(args: &TestArgs) -> Result<ExitCode, Failure> {
    if args.watch {
        watch::run(args)
    } else {
        once(args)
    }
}

/// Runs the tests once, and writes what came.
fn once(args: &TestArgs) -> Result<ExitCode, Failure> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the command line tells how long it took"
    )]
    let started = Instant::now();
    if args.format != Format::Pretty && args.worth.is_listed() {
        let message = "standard output cannot be both the listing and the report";
        let hint = "give `--coverage-listing` a file, or leave `--format` out";
        return Err(Failure::Usage(Message::new(message, hint)));
    }
    let config = args.file.resolve()?.config;
    let place = Place::find(&args.paths, &config.policies.path)?;
    let tests = match Tests::read(args, &place, &config.policies.limits) {
        Err(Failure::Invalid(faults)) => return Ok(args.no_policies(&place, faults)),
        tests => tests?,
    };
    let seed = args.shuffle.map(|seed| seed.unwrap_or_else(any_seed));
    let order = seed.map_or(Order::Written, Order::Shuffled);
    let repository = &tests.repository;
    let ran = testing::run(&tests.suites, &repository.snapshot, &repository.view, order);
    let mut report = Report::new(&tests, &ran, seed, started.elapsed());
    let worth = args.worth.run(repository, &tests.suites)?;
    let code = match report.exit_code() {
        ExitCode::Yes => worth.exit_code(),
        code => code,
    };
    report.ok = code == ExitCode::Yes;
    let nothing = report.nothing_ran();
    if let (Some(message), Format::Json | Format::Junit | Format::Github) = (&nothing, args.format)
    {
        report
            .faults
            .push(Fault::of_file("", &message.message).with_hint(&message.hint));
    }
    output::stdout(&match args.format {
        Format::Pretty => pretty::text(&report, args.verbose) + &worth.text(args.verbose),
        Format::Json => worth.json(&report),
        Format::Junit => junit::text(&report),
        Format::Tap => tap::text(&report),
        Format::Github => github::text(&report),
    });
    match args.format {
        Format::Pretty => output::stderr(&output::drawn(&report.faults)),
        Format::Json => {}
        // These have no place for it.
        Format::Junit | Format::Tap | Format::Github => output::stderr(&worth.text(args.verbose)),
    }
    output::stderr(&worth.shortfall());
    if let Some(message) = nothing {
        output::stderr(&Failure::Failed(message).to_string());
    }
    Ok(code)
}

impl TestArgs {
    /// Writes that there are no policies to test, for who reads the format as well.
    fn no_policies(&self, place: &Place, faults: Vec<Fault>) -> ExitCode {
        let failure = Failure::Invalid(faults.clone());
        let report = Report::of_faults(&place.repository, faults);
        output::stdout(&match self.format {
            Format::Pretty => String::new(),
            Format::Json => output::json(&report),
            Format::Junit => junit::text(&report),
            Format::Tap => tap::text(&report),
            Format::Github => github::faults(&report.faults, &place.repository),
        });
        output::stderr(&failure.to_string());
        failure.code()
    }
}

impl Tests {
    /// Reads and compiles the repository, and those of its tests that are asked
    /// for.
    fn read(args: &TestArgs, place: &Place, limits: &Limits) -> Result<Self, Failure> {
        let repository = Repository::read(&place.repository, limits)?;
        let read = read_some(&repository.files, Some(&repository.snapshot), |file| {
            place.holds(file)
        });
        let mut suites = read.suites;
        let left_out = retain(&mut suites, &args.filter);
        Ok(Self {
            repository,
            suites,
            faults: read.file_faults,
            left_out,
            files_left_out: read.files_left_out,
        })
    }
}

/// A seed of chance, short enough to be typed.
fn any_seed() -> u64 {
    RandomState::new().hash_one(()) % 1_000_000
}
