//! `deodar diff`: who gains or loses access by a change.

pub mod gaps;
pub mod human;
pub mod json;
pub mod markdown;
pub mod served;
pub mod side;
pub mod symbolic;

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

use self::gaps::Gap;
use self::gaps::Why;
use self::gaps::gaps;
use self::gaps::listed;
use self::served::Served;
use self::side::Origin;
use self::side::Side;
use self::symbolic::Symbolic;
use super::ExitCode;
use super::Failure;
use super::args::FileArg;
use super::output;
use super::replay;
use crate::analysis::diff;
use crate::analysis::diff::Diff;
use crate::analysis::replay::Baseline;
use crate::analysis::replay::tally::Tally;
use crate::analysis::world::World;
use crate::cli::audit::source::moment;
use crate::cli::failure::Message;
use crate::cli::markdown::bounded;
use crate::config::Config;
use crate::directory::time::Time;
use crate::engine::value::Extension;
use crate::testing;
use crate::testing::Case;

/// Faults of test files that are told.
const FAULTS_MAX: usize = 20;

/// Tell who gains or loses access by a change
///
/// Compares two policy repositories: what their policies, links, schema, manifest
/// and entities say, and what they decide. Decided are the test cases of both, and
/// every principal with every resource that an action applies to, as far as the
/// change can alter the decision; each in the contexts that the test cases have for
/// the action, else in the least one that the schema takes. With `--audit` recorded
/// questions are decided by both, and where a solver is found, every request: by the
/// policies alone, with the same entities on both sides. Links that only a server has
/// are not known here. The verdict says what was not asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  what does my work change?
    deodar diff main
  what did the last commit of the policies change?
    deodar diff HEAD~1 HEAD
  does the server run what is here?
    deodar diff http://127.0.0.1:8470
  for a pull request, which fails if anybody loses access:
    deodar diff origin/main HEAD --format markdown --fail-on lost > comment.md

JSON: {\"before\", \"after\": {\"name\", \"commit\", \"policy_revision\", \"directory_revision\"}, \"gaining\", \"losing\":
{\"count\", \"principals\"}, \"policies\": {\"count\", \"items\": [{\"kind\", \"id\", \"change\", \"renamed_from\", \"parts\",
\"decides\", \"before\", \"after\"}]}, \"manifest\", \"schema\", \"entities\": {\"count\", \"items\": [{\"owner\", \"part\",
\"before\", \"after\"}]}, \"cases\", \"triples\", \"audit\": {\"gained\", \"lost\", \"groups\": [..], ..}, \"solver\",
\"notes\", \"verdict\", \"not_asked\"}; `items` and `groups` are cut to `--top`; `is_no_more_permissive` of
`solver` is of the policies alone, with the same entities on both sides; `policy_revision` of a server is
its own, `directory_revision` is null

Exit codes: 0 done, also when something differs, 1 failed or something could not be read, 2 usage or
configuration, 4 one of them does not compile, 6 `--fail-on` found what it looks for; when it found
nothing, 1 if not everything could be asked, 7 if only a solver was missing or did not answer (with
`--no-solver` that is 0)")]
pub struct DiffArgs {
    /// The one before: a directory, a git revision, REV:DIR, or a server
    #[arg(value_name = "A")]
    before: String,
    /// The one after; by default the work tree
    #[arg(value_name = "B")]
    after: Option<String>,
    /// Decide the questions of these audit logs, too: directories or segments; may be repeated
    #[arg(long, value_name = "PATH")]
    audit: Vec<PathBuf>,
    /// Fail when anything flips so, in test cases, triples, records or for any request at all
    #[arg(long, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// The time for contexts that no test case has; by default now
    #[arg(long, value_name = "TIME", value_parser = datetime)]
    now: Option<String>,
    /// So many decisions about triples are made of each side at the most
    #[arg(long, value_name = "NUMBER", default_value_t = 500_000)]
    triples_max: u64,
    /// So many examples of each group
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    examples: usize,
    /// So many lines of each part
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    top: usize,
    /// Do not ask a solver about every request
    #[arg(long)]
    no_solver: bool,
    /// How to write the report
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: replay::Format,
    #[command(flatten)]
    file: FileArg,
}

/// What a comparison is to fail on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Something is allowed that was denied
    Gained,
    /// Something is denied that was allowed
    Lost,
    /// Either
    Any,
}

impl FailOn {
    /// Whether it is there.
    pub fn is_found(self, gained: u64, lost: u64) -> bool {
        match self {
            Self::Gained => gained > 0,
            Self::Lost => lost > 0,
            Self::Any => gained + lost > 0,
        }
    }
}

fn datetime(text: &str) -> Result<String, String> {
    let read = Extension::Datetime.parse(text);
    read.map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// Tests of either side that were not asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestsLeftOut {
    /// Faults that keep tests from being read.
    pub faults: usize,
    /// Cases with `skip`.
    pub skipped: usize,
}

/// What is told.
#[derive(Debug)]
pub struct Told {
    /// The one before,
    pub before: Side,
    /// and after.
    pub after: Side,
    /// What differs.
    pub diff: Diff,
    /// What recorded questions show, if there are any.
    pub audit: Option<Tally>,
    /// What a solver says.
    pub symbolic: Symbolic,
    /// What was left out, of either.
    pub notes: Vec<String>,
    /// What of the tests was left out.
    pub tests: TestsLeftOut,
    /// So many lines of each part.
    pub top: usize,
}

impl Told {
    /// What gained and what lost, anywhere.
    fn flips(&self) -> (u64, u64) {
        let audit = self.audit.as_ref();
        let audit = audit.map_or((0, 0), |tally| (tally.flips.gained, tally.flips.lost));
        let (cases, triples) = (&self.diff.cases.flips, &self.diff.triples.flips);
        let (gained, lost) = self.symbolic.flips();
        (
            cases.gained + triples.gained + audit.0 + gained,
            cases.lost + triples.lost + audit.1 + lost,
        )
    }

    /// Who gains and who loses, in a sentence, and what was not asked.
    pub fn verdict(&self) -> String {
        let (gaining, losing) = (self.diff.gaining().len(), self.diff.losing().len());
        let count = |number, verb_one: &str, verb_many: &str| {
            let verb = if number == 1 { verb_one } else { verb_many };
            format!(
                "{} {verb}",
                output::count(number, "principal", "principals")
            )
        };
        let told = match (gaining, losing, self.flips()) {
            (0, 0, (0, 0)) => "nobody gains or loses access",
            (0, 0, _) => "nobody in the repository gains or loses access, but others do",
            _ => {
                let gaining = count(gaining, "gains", "gain");
                let verb = if losing == 1 { "loses" } else { "lose" };
                return format!("{gaining}, {losing} {verb}");
            }
        };
        let gaps = gaps(self);
        if !gaps.is_empty() {
            format!("of what was asked, {told}; not asked: {}", listed(&gaps))
        } else if self.diff.is_empty() && self.flips() == (0, 0) {
            "nothing differs".to_owned()
        } else {
            told.to_owned()
        }
    }

    /// What was not asked, where somebody gains or loses and the verdict does not tell.
    pub fn not_asked(&self) -> Option<String> {
        let mut gaps = gaps(self);
        gaps.retain(|gap| gap.why > Why::Chosen);
        let is_told = self.diff.gaining().is_empty() && self.diff.losing().is_empty();
        (!is_told && !gaps.is_empty()).then(|| format!("not asked: {}", listed(&gaps)))
    }

    /// How a search for something ends, with a warning where it found nothing and
    /// could not look everywhere.
    fn found(&self, wanted: FailOn) -> (ExitCode, Option<String>) {
        let (gained, lost) = self.flips();
        if wanted.is_found(gained, lost) {
            return (ExitCode::Found, None);
        }
        let mut gaps = gaps(self);
        gaps.retain(|gap: &Gap| gap.may_hide(wanted));
        let worst = gaps.iter().map(|gap| gap.why).max().unwrap_or(Why::Chosen);
        let warning = format!(
            "warning: `--fail-on` found nothing, but not everything was asked: {}\n",
            listed(&gaps)
        );
        (worst.exit_code(), (worst > Why::Chosen).then_some(warning))
    }
}

/// Compares and reports.
///
/// # Errors
/// When one of them cannot be read or does not compile, or an audit log cannot be
/// read.
pub fn run(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let config = args.file.resolve()?.config;
    let (before, after) = sides(args, &config)?;
    let mut notes: Vec<String> = Vec::new();
    let (cases, tests) = cases(&before, &after, &mut notes);
    let worlds = [&before, &after].map(|side| World {
        snapshot: &side.repository.snapshot,
        view: &side.repository.view,
    });
    let [old, new] = worlds;
    let now = args.now.clone();
    let options = diff::Options {
        triples_max: args.triples_max,
        examples: args.examples,
        now: now.unwrap_or_else(|| moment(Time::System.millis())),
        ..diff::Options::default()
    };
    let diff = diff::diff(old, new, &cases, &options);
    let audit = if args.audit.is_empty() {
        None
    } else {
        let options = crate::analysis::replay::Options {
            examples: args.examples,
            ..Default::default()
        };
        let baseline = Baseline::Policies(old);
        Some(replay::shown(new, baseline, &args.audit, &options)?)
    };
    let symbolic = symbolic::compare(old, new, args.no_solver);
    for side in [&before, &after] {
        notes.extend(noted(side, &diff));
    }
    let told = Told {
        before,
        after,
        diff,
        audit,
        symbolic,
        notes,
        tests,
        top: args.top,
    };
    output::stdout(&match args.format {
        replay::Format::Human => human::report(&told),
        replay::Format::Json => output::json(&json::report(&told)),
        replay::Format::Markdown => bounded(&markdown::report(&told)),
    });
    let (found, warning) = args
        .fail_on
        .map_or((ExitCode::Yes, None), |wanted| told.found(wanted));
    output::stderr(&warning.unwrap_or_default());
    let is_faulty = told.audit.as_ref().is_some_and(Tally::is_faulty);
    Ok(if is_faulty && found != ExitCode::Found {
        ExitCode::Failed
    } else {
        found
    })
}

/// What is told of a side.
fn noted(side: &Side, diff: &Diff) -> Vec<String> {
    let own = side.notes.iter();
    let mut notes: Vec<String> = own.map(|note| format!("`{}`: {note}", side.name)).collect();
    let is_other = |served: &Served| !served.is_of_other_side;
    if side.served.as_ref().is_some_and(is_other) && diff.policies.is_empty() {
        notes.push(format!(
            "`{}`: its policies are alike and its revision is another: the schema or the manifest may \
             be another, if it is not only comments or the names of files",
            side.name
        ));
    }
    notes
}

/// Opens both. What a server does not tell is taken from the other.
fn sides(args: &DiffArgs, config: &Config) -> Result<(Side, Side), Failure> {
    let before = Origin::new(&args.before)?;
    let after = match &args.after {
        Some(after) => Origin::new(after)?,
        None => Origin::work_tree(config),
    };
    let open = |origin: &Origin, other: Option<&Side>| {
        let files = other.map(|side| &side.repository.files);
        let opened = origin.open(config, files);
        if let Err(Failure::Invalid(_)) = opened {
            let name = origin.name();
            output::stderr(&match (origin, other) {
                (Origin::Server(_), Some(other)) => format!(
                    "what `{name}` serves does not compile with the schema, manifest, entities and \
                     links of `{}`, which are taken for its own:\n\n",
                    other.name
                ),
                _ => format!("`{name}` does not compile:\n\n"),
            });
        }
        opened
    };
    match (&before, &after) {
        (Origin::Server(_), Origin::Server(_)) => {
            let message = "two servers cannot be compared: neither tells its schema";
            let hint = "give a directory or a revision for one of them";
            Err(Failure::Usage(Message::new(message, hint)))
        }
        (Origin::Server(_), _) => {
            let after = open(&after, None)?;
            Ok((open(&before, Some(&after))?, after))
        }
        _ => {
            let before = open(&before, None)?;
            let after = open(&after, Some(&before))?;
            Ok((before, after))
        }
    }
}

/// The test cases of both. What cannot be read or is skipped is told.
fn cases(before: &Side, after: &Side, notes: &mut Vec<String>) -> (Vec<Case>, TestsLeftOut) {
    let mut cases = Vec::new();
    let mut left_out = TestsLeftOut::default();
    // Those of the newer side first: where both have a case, it is called as there.
    for side in [after, before] {
        let read = testing::read(&side.repository.files, None);
        left_out.faults += read.faults.len();
        for fault in read.faults.iter().take(FAULTS_MAX) {
            let (name, place) = (&side.name, fault.place());
            notes.push(format!(
                "`{name}`: left out the tests of {place}: {}",
                fault.message
            ));
        }
        if read.faults.len() > FAULTS_MAX {
            let more = read.faults.len() - FAULTS_MAX;
            notes.push(format!("`{}`: and {more} more faults of tests", side.name));
        }
        let own = read.suites.into_iter().flat_map(|suite| suite.cases);
        let (asked, skipped): (Vec<Case>, Vec<Case>) = own.partition(|case| case.skip.is_none());
        left_out.skipped += skipped.len();
        if !skipped.is_empty() {
            let skipped = gaps::skipped(skipped.len());
            notes.push(format!("`{}`: left out {skipped}", side.name));
        }
        cases.extend(asked);
    }
    (cases, left_out)
}
