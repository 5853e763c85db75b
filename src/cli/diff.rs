//! `deodar diff`: who gains or loses access by a change.

pub mod human;
pub mod json;
pub mod markdown;
pub mod served;
pub mod side;
pub mod symbolic;

use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;

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
/// questions are decided by both, and where a solver is found, every request.
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
\"notes\"}; `items` and `groups` are cut to `--top`

Exit codes: 0 done, also when something differs, 1 failed or something could not be read, 2 usage or
configuration, 4 one of them does not compile, 6 `--fail-on` found what it looks for")]
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

    /// Whether everything was decided that was to be.
    fn is_whole(&self) -> bool {
        let (cases, triples) = (&self.diff.cases, &self.diff.triples);
        let audit = self.audit.as_ref();
        cases.left_out.is_empty()
            && triples.decided == triples.touched
            && triples.failed == 0
            && triples.not_asked.is_empty()
            && !audit.is_some_and(|tally| tally.is_faulty() || !tally.left_out.is_empty())
            && !self.symbolic.is_in_doubt()
    }

    /// Who gains and who loses, in a sentence.
    pub fn verdict(&self) -> String {
        let (gaining, losing) = (self.diff.gaining().len(), self.diff.losing().len());
        let count = |number, verb_one: &str, verb_many: &str| {
            let verb = if number == 1 { verb_one } else { verb_many };
            format!(
                "{} {verb}",
                output::count(number, "principal", "principals")
            )
        };
        match (gaining, losing) {
            (0, 0) if self.diff.is_empty() && self.flips() == (0, 0) && self.is_whole() => {
                "nothing differs".to_owned()
            }
            (0, 0) if self.flips() == (0, 0) && !self.is_whole() => {
                "nobody gains or loses access, but not everything was decided: see what was cut or \
                 left out"
                    .to_owned()
            }
            (0, 0) if self.flips() == (0, 0) => "nobody gains or loses access".to_owned(),
            (0, 0) => "nobody in the repository gains or loses access, but others do".to_owned(),
            _ => {
                let gaining = count(gaining, "gains", "gain");
                let verb = if losing == 1 { "loses" } else { "lose" };
                format!("{gaining}, {losing} {verb}")
            }
        }
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
    let cases = cases(&before, &after, &mut notes);
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
        let own = side.notes.iter();
        notes.extend(own.map(|note| format!("`{}`: {note}", side.name)));
    }
    let told = Told {
        before,
        after,
        diff,
        audit,
        symbolic,
        notes,
        top: args.top,
    };
    output::stdout(&match args.format {
        replay::Format::Human => human::report(&told),
        replay::Format::Json => output::json(&json::report(&told)),
        replay::Format::Markdown => bounded(&markdown::report(&told)),
    });
    let (gained, lost) = told.flips();
    let is_found = args
        .fail_on
        .is_some_and(|fail_on| fail_on.is_found(gained, lost));
    if args.fail_on.is_some() && !is_found && !told.is_whole() {
        output::stderr(
            "warning: `--fail-on` found nothing, but not everything was decided: see what was cut or \
             left out\n",
        );
    }
    let is_faulty = told.audit.as_ref().is_some_and(Tally::is_faulty);
    Ok(match (is_found, is_faulty) {
        (true, _) => ExitCode::Found,
        (false, true) => ExitCode::Failed,
        (false, false) => ExitCode::Yes,
    })
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

/// The test cases of both. A test file that cannot be read is told.
fn cases(before: &Side, after: &Side, notes: &mut Vec<String>) -> Vec<Case> {
    let mut cases = Vec::new();
    // Those of the newer side first: where both have a case, it is called as there.
    for side in [after, before] {
        let read = testing::read(&side.repository.files, None);
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
        cases.extend(own.filter(|case| case.skip.is_none()));
    }
    cases
}
