//! `deodar prove`: invariants, for every request that there can be.

mod json;
mod progress;
pub mod solver;
mod text;

use std::num::NonZeroUsize;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::ValueEnum;
use serde::Serialize;

use super::ExitCode;
use super::Failure;
use super::args::FileArg;
use super::failure::Message;
use super::output;
use super::repository::Repository;
use super::repository::place;
use crate::analysis::invariants;
use crate::analysis::invariants::Accepted;
use crate::analysis::invariants::Demands;
use crate::analysis::invariants::Invariant;
use crate::analysis::symbolic;
use crate::analysis::symbolic::Environment;
use crate::analysis::symbolic::Findings;
use crate::analysis::symbolic::Options;
use crate::analysis::symbolic::Proof;
use crate::analysis::symbolic::Side;
use crate::config::duration;
use crate::engine::Fault;

use progress::Progress;

/// Prove invariants of the policies for every possible request
///
/// Reads `invariants.yaml` and `*.invariants.yaml` of a policy directory, and tries
/// to break each invariant with the solver cvc5: in every combination of principal
/// type, action and resource type that the schema has, with any entities and, unless
/// the invariant says otherwise, with any links of the templates. What breaks one is
/// shown as a test case for a `*.test.yaml`, after the engine has confirmed it.
///
/// What is proved takes every entity that is named to be there, with what the schema
/// requires of it; where the manifest lets it matter that one is not, that is said.
///
/// Besides, it looks for policies that can never apply, permits that are wholly
/// forbidden, policies that others make superfluous, and policies that can fail to
/// evaluate.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar prove policies/
  deodar prove --filter '*quarantine*' --no-reports
  CVC5=/opt/cvc5/bin/cvc5 deodar prove --timeout 60s --format json . > proof.json

Exit codes: 0 everything holds, 1 failed, 2 usage or configuration, 4 invalid policies or invariants,
6 an invariant is broken (with --deny-findings: or something was found), 7 no solver, or it does not know")]
pub struct ProveArgs {
    /// The directory; by default this one if it has a `manifest.toml`, else the one
    /// that is configured [key: policies.path]
    #[arg(value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Only invariants whose name matches; `*` and `?` stand for any text and letter
    #[arg(long, value_name = "GLOB")]
    filter: Option<String>,
    /// How long the solver may think about one question
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = patience)]
    timeout: Duration,
    /// How many solvers work at the same time; by default as many as there are processors
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<NonZeroUsize>,
    /// Leave out the reports on policies: invariants only
    #[arg(long)]
    no_reports: bool,
    /// Fail when the reports find something
    #[arg(long, conflicts_with = "no_reports")]
    deny_findings: bool,
    #[arg(
        long,
        value_enum,
        default_value_t = Format::Human,
        value_name = "FORMAT",
        help = json::HELP
    )]
    format: Format,
    #[command(flatten)]
    file: FileArg,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people: what is broken or found, and one line
    Human,
    /// All of it
    Json,
    /// Annotations of GitHub Actions
    Github,
}

/// Everything that came out.
struct Outcome<'a> {
    proofs: Vec<Proof<'a>>,
    /// `None` when they were not asked for.
    findings: Option<Findings>,
    environments: usize,
    /// How many findings are accepted, which are not among the others.
    accepted: usize,
    /// What is accepted, but was not found.
    in_vain: Vec<(Accepted, String)>,
    /// Where the repository is.
    root: &'a Path,
    /// Who said so.
    solver: Solver,
    /// What that takes for granted.
    assumed: Vec<String>,
    /// What is wrong with the invariants files.
    faults: Vec<Fault>,
    /// How many invariants are left out for that.
    left_out: usize,
}

/// The solver, and how it was asked.
#[derive(Debug, Serialize)]
struct Solver {
    /// Where it is.
    path: PathBuf,
    /// `None` when it does not say.
    version: Option<String>,
    /// How long a question may take.
    timeout_seconds: f64,
}

/// Proves what there is to prove.
///
/// # Errors
/// When the repository is invalid, or there is nothing to prove. An invariant that is
/// invalid is left out, and the others are proved.
pub fn run(args: &ProveArgs) -> Result<ExitCode, Failure> {
    let config = args.file.resolve()?.config;
    let path = place(args.policies.as_deref(), &config.policies.path);
    let repository = Repository::read(&path, &config.policies.limits);
    let done = repository.and_then(|repository| proved(args, &repository));
    if let (Err(Failure::Invalid(faults)), Format::Github) = (&done, args.format) {
        output::stdout(&text::annotations(&path, faults));
    }
    done
}

fn proved(args: &ProveArgs, repository: &Repository) -> Result<ExitCode, Failure> {
    let Demands {
        invariants,
        accepted,
        faults,
        left_out,
    } = demands_of(repository, args.filter.as_deref())?;
    if invariants.is_empty() && args.no_reports {
        if !faults.is_empty() {
            return Err(Failure::Invalid(faults));
        }
        let message = "there is no invariant, and no report is wanted: nothing is left to do";
        let hint = "write an `invariants.yaml`, or leave out `--no-reports`";
        return Err(Failure::Failed(Message::new(message, hint)));
    }
    let side = Side {
        snapshot: &repository.snapshot,
        view: &repository.view,
    };
    let Some(schema) = repository.snapshot.schema() else {
        let message = "there is no schema, so there is no telling what requests there can be";
        return Err(Failure::Failed(Message::new(
            message,
            "add a `*.cedarschema` file",
        )));
    };
    let program = match solver::find() {
        Ok(program) => program,
        Err(_) if !faults.is_empty() => return Err(Failure::Invalid(faults)),
        Err(missing) => {
            output::stderr(&Failure::Failed(Message::new(&missing, missing.hint())).to_string());
            return Ok(ExitCode::NoSolver);
        }
    };
    let mut options = Options::new(program);
    options.timeout = args.timeout;
    options.workers = args.jobs.unwrap_or(options.workers);
    let environments = Environment::all(schema).len();
    let rounds = usize::from(!invariants.is_empty()) + usize::from(!args.no_reports);
    let progress = Progress::new(environments * rounds);
    let root = &repository.path;
    let outcome = outcome((side, root), &invariants, args, &options, &progress);
    progress.end();
    let mut outcome = outcome.map_err(|reason| {
        let hint = "see which constructs of the schema the symbolic compiler supports";
        Failure::Failed(Message::new(reason, hint))
    })?;
    outcome.accept(accepted);
    outcome.left_out = left_out;
    outcome.faults = faults;
    output::stdout(&match args.format {
        Format::Human => text::human(&outcome),
        Format::Json => output::json(&json::report(&outcome)),
        Format::Github => text::github(&outcome),
    });
    let code = outcome.code(args.deny_findings);
    if !outcome.faults.is_empty() {
        output::stderr(&Failure::Invalid(outcome.faults).to_string());
    }
    Ok(code)
}

fn outcome<'a>(
    (side, root): (Side<'_>, &'a Path),
    invariants: &'a [Invariant],
    args: &ProveArgs,
    options: &Options,
    progress: &Progress,
) -> Result<Outcome<'a>, String> {
    let done = || progress.one_done();
    let proofs = if invariants.is_empty() {
        Vec::new()
    } else {
        symbolic::prove(side, invariants, options, &done)?
    };
    let findings = if args.no_reports {
        None
    } else {
        Some(symbolic::findings(side, options, &done)?)
    };
    let schema = side.snapshot.schema();
    Ok(Outcome {
        proofs,
        findings,
        environments: schema.map_or(0, |schema| Environment::all(schema).len()),
        accepted: 0,
        in_vain: Vec::new(),
        root,
        solver: Solver {
            path: options.program.path().to_owned(),
            version: symbolic::version(options),
            timeout_seconds: options.timeout.as_secs_f64(),
        },
        assumed: symbolic::assumptions(side.snapshot),
        faults: Vec::new(),
        left_out: 0,
    })
}

impl Outcome<'_> {
    /// Takes out what is accepted.
    fn accept(&mut self, accepted: Vec<Accepted>) {
        let Some(findings) = &mut self.findings else {
            return;
        };
        for accepted in accepted {
            for id in accepted.policies.clone() {
                let before = findings.found.len();
                findings
                    .found
                    .retain(|finding| finding.kind != accepted.kind || finding.unit.id() != id);
                let is_unknown = findings.unknown.iter().any(|(of, ..)| *of == id);
                match before - findings.found.len() {
                    0 if is_unknown => {}
                    0 => self.in_vain.push((accepted.clone(), id)),
                    found => self.accepted += found,
                }
            }
        }
    }

    fn code(&self, deny_findings: bool) -> ExitCode {
        let is_broken =
            |proof: &Proof<'_>| proof.broken().next().is_some() || proof.outcomes.is_empty();
        let found = self.findings.as_ref();
        let is_found =
            found.is_some_and(|findings| !findings.found.is_empty()) || !self.in_vain.is_empty();
        let is_unknown = self
            .proofs
            .iter()
            .any(|proof| proof.unknown().next().is_some())
            || found.is_some_and(|findings| !findings.unknown.is_empty());
        if !self.faults.is_empty() {
            ExitCode::Invalid
        } else if self.proofs.iter().any(is_broken) || (deny_findings && is_found) {
            ExitCode::Found
        } else if is_unknown {
            ExitCode::NoSolver
        } else {
            ExitCode::Yes
        }
    }
}

fn demands_of(repository: &Repository, filter: Option<&str>) -> Result<Demands, Failure> {
    let links: Vec<&str> = repository
        .view
        .links()
        .iter()
        .map(|link| link.info.id.as_str())
        .collect();
    let mut demands = invariants::read(&repository.files, &repository.snapshot, &links);
    let Some(glob) = filter else {
        return Ok(demands);
    };
    let named = |invariant: &Invariant| matches_glob(glob, &invariant.name);
    demands.invariants.retain(named);
    if demands.invariants.is_empty() && !demands.faults.is_empty() {
        return Err(Failure::Invalid(demands.faults));
    }
    if demands.invariants.is_empty() {
        let message = format!("no invariant has a name like `{glob}`");
        let hint = "`*` stands for any text: `--filter '*quarantine*'`";
        return Err(Failure::Usage(Message::new(message, hint)));
    }
    Ok(demands)
}

/// Whether a text is what a glob says: `*` is any text, `?` any letter.
fn matches_glob(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    // The places in the glob that the text so far can have reached.
    let mut reached = vec![false; glob.len() + 1];
    let close = |reached: &mut Vec<bool>| {
        for (at, letter) in glob.iter().enumerate() {
            if *letter == '*' && reached.get(at) == Some(&true) {
                set(reached, at + 1);
            }
        }
    };
    set(&mut reached, 0);
    close(&mut reached);
    for letter in text {
        let mut next = vec![false; glob.len() + 1];
        for (at, wanted) in glob.iter().enumerate() {
            if reached.get(at) == Some(&true) {
                match wanted {
                    '*' => set(&mut next, at),
                    '?' => set(&mut next, at + 1),
                    wanted if *wanted == letter => set(&mut next, at + 1),
                    _ => {}
                }
            }
        }
        close(&mut next);
        reached = next;
    }
    reached.last() == Some(&true)
}

fn set(places: &mut [bool], at: usize) {
    if let Some(place) = places.get_mut(at) {
        *place = true;
    }
}

/// A time that somebody can wait for.
fn patience(text: &str) -> Result<Duration, String> {
    let time =
        duration::parse(text).map_err(|error| format!("{}; {}", error.reason, error.hint))?;
    if time.is_zero() || time > Duration::from_hours(1) {
        return Err("write a time between 1ms and 1h, such as `30s`".to_owned());
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::matches_glob;

    #[test]
    fn globs() {
        for (glob, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*quarantine*", "nothing reaches a quarantined device", true),
            ("*b*b", "abab", true),
            ("*b*b", "aba", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches_glob(glob, text), expected, "{glob} {text}");
        }
    }
}
