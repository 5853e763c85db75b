//! `deodar validate`: find the mistakes in a policy directory.

pub mod github;

use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;
use serde::Serialize;

use super::ExitCode;
use super::Failure;
use super::args::FileArg;
use super::output;
use super::output::BAD;
use super::output::GOOD;
use super::output::WARN;
use super::output::count;
use super::output::paint;
use super::repository::place;
use crate::analysis::invariants;
use crate::directory;
use crate::engine::Fault;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::compile;
use crate::engine::files::Role;
use crate::source;
use crate::testing;

const FORMAT_HELP: &str = r#"How to write it; JSON is {"valid", "files", "policies", "templates", "entities", "links", "tests", "cases", "invariants", "policy_revision", "directory_revision", "not_checked": ["entities" | "cases" | "links" | "invariants"], "faults": [{"file", "line", "column", "text", "message", "hint", "is_warning"}], "warnings": [..]}; `not_checked` is what other faults kept from being looked at"#;

/// Find the mistakes in a policy directory
///
/// Reads the manifest, schema, policies, templates, entities, links, tests and
/// invariants of a directory, and reports every mistake in them with its place.
/// Policies are checked against the schema, everything else against both.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar validate policies/
  deodar validate --deny-warnings --format json . > report.json
  deodar validate --format github          annotate a pull request

Exit codes: 0 valid, 1 the directory cannot be read, 2 usage or configuration, 4 invalid")]
pub struct ValidateArgs {
    /// The directory; by default this one if it has a manifest.toml, else the one that is configured
    /// [key: policies.path]
    #[arg(value_name = "DIR")]
    policies: Option<PathBuf>,
    #[arg(long, value_name = "FORMAT", default_value = "human", help = FORMAT_HELP)]
    format: Format,
    /// What `--format json` was called before.
    #[arg(long, hide = true, conflicts_with = "format")]
    json: bool,
    /// Treat warnings as faults
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    file: FileArg,
}

/// How to write what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, with the source of each mistake
    Human,
    /// For programs
    Json,
    /// Annotations of a pull request, by a workflow of GitHub
    Github,
}

/// What was found. Counts are absent when faults kept things from being counted.
#[derive(Debug, Serialize)]
struct Report {
    valid: bool,
    files: usize,
    policies: Option<usize>,
    templates: Option<usize>,
    entities: Option<usize>,
    links: Option<usize>,
    /// Files of them.
    tests: usize,
    /// What they ask.
    cases: Option<usize>,
    /// Files of them.
    invariants: usize,
    policy_revision: String,
    directory_revision: String,
    /// What could not be looked at because of faults elsewhere.
    not_checked: Vec<&'static str>,
    faults: Vec<Fault>,
    warnings: Vec<Fault>,
}

/// Reports on the directory.
///
/// # Errors
/// When it cannot be read.
pub fn run(args: &ValidateArgs) -> Result<ExitCode, Failure> {
    let config = args.file.resolve()?.config;
    let path = place(args.policies.as_deref(), &config.policies.path);
    let files = source::read_all(&path, &config.policies.limits)?;
    let report = Report::new(&files, args.deny_warnings);
    output::stdout(&match args.format {
        _ if args.json => output::json(&report),
        Format::Human => report.text(),
        Format::Json => output::json(&report),
        Format::Github => report.annotations(&path),
    });
    Ok(if report.valid {
        ExitCode::Yes
    } else {
        ExitCode::Invalid
    })
}

impl Report {
    fn new(files: &Files, deny_warnings: bool) -> Self {
        let mut report = Self {
            valid: false,
            files: files.all().count(),
            policies: None,
            templates: None,
            entities: None,
            links: None,
            tests: files.with_role(Role::Tests).count(),
            cases: None,
            invariants: files.with_role(Role::Invariants).count(),
            policy_revision: files.policy_digest().to_string(),
            directory_revision: files.data_digest().to_string(),
            not_checked: Vec::new(),
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        match compile(files) {
            Ok(snapshot) => report.compiled(&snapshot, files),
            Err(faults) => {
                report.faults = faults;
                report.entities_alone(files);
                report.tested(files, None);
                report.leave_out("links", files, Role::Links);
                report.leave_out("invariants", files, Role::Invariants);
            }
        }
        let warnings_count = deny_warnings && !report.warnings.is_empty();
        report.valid = report.faults.is_empty() && !warnings_count;
        report
    }

    fn compiled(&mut self, snapshot: &Snapshot, files: &Files) {
        self.policies = Some(snapshot.rules().len());
        self.templates = Some(snapshot.templates().count());
        self.warnings = snapshot.warnings().to_vec();
        let view = match directory::load(snapshot, files) {
            Ok(view) => {
                self.entities = Some(view.len());
                self.links = Some(view.links().len());
                Some(view)
            }
            Err(faults) => {
                self.faults = faults;
                None
            }
        };
        self.tested(files, view.as_ref().map(|view| (snapshot, view)));
        let Some(view) = view else {
            // Invariants may name links, and which there are is not known.
            self.leave_out("invariants", files, Role::Invariants);
            return;
        };
        let links: Vec<&str> = (view.links().iter())
            .map(|link| link.info.id.as_str())
            .collect();
        let demands = invariants::read(files, snapshot, &links);
        self.faults.extend(demands.faults);
    }

    /// Entities have to fit the schema, whatever is wrong with the policies.
    fn entities_alone(&mut self, files: &Files) {
        let wanted = [Role::Manifest, Role::Schema, Role::Entities];
        let alone = wanted.into_iter().flat_map(|role| files.with_role(role));
        let alone = alone.map(|(file, content)| (file.to_owned(), content.to_owned()));
        // What has no policy file at all is no repository.
        let without_policy = ("none.cedar".to_owned(), Vec::new());
        let alone = Files::new(alone.chain([without_policy]));
        let Ok(snapshot) = compile(&alone) else {
            self.leave_out("entities", files, Role::Entities);
            return;
        };
        match directory::load(&snapshot, &alone) {
            Ok(view) => self.entities = Some(view.len()),
            Err(faults) => self.faults.extend(faults),
        }
    }

    /// Notes that the files of a role are not checked, if there are any.
    fn leave_out(&mut self, what: &'static str, files: &Files, role: Role) {
        if files.with_role(role).next().is_some() {
            self.not_checked.push(what);
        }
    }

    /// Reads the tests, and sees whether they fit what they are asked of.
    fn tested(&mut self, files: &Files, asked_of: Option<(&Snapshot, &View)>) {
        let read = testing::read(files, asked_of.map(|(snapshot, _)| snapshot));
        let cases = || read.suites.iter().flat_map(|suite| &suite.cases);
        if let Some((snapshot, view)) = asked_of {
            self.cases = read.faults.is_empty().then(|| cases().count());
            let misfits = cases().filter_map(|case| case.asked(snapshot, view).err());
            self.faults.extend(misfits.map(|fault| *fault));
        } else {
            // They are read, but nobody can ask them.
            self.leave_out("cases", files, Role::Tests);
        }
        self.faults.extend(read.faults);
    }

    fn text(&self) -> String {
        let warnings = output::drawn(&self.warnings);
        let faults = output::drawn(&self.faults);
        format!("{warnings}{faults}{}", self.verdict())
    }

    fn verdict(&self) -> String {
        let warnings = count(self.warnings.len(), "warning", "warnings");
        let verdict = match (self.valid, self.faults.len(), self.warnings.len()) {
            (true, _, 0) => paint(GOOD, "valid"),
            (true, ..) => format!("{} with {warnings}", paint(WARN, "valid")),
            (false, 0, _) => format!("{}: {warnings} denied", paint(BAD, "invalid")),
            (false, faults, 0) => format!(
                "{}: {}",
                paint(BAD, "invalid"),
                count(faults, "fault", "faults")
            ),
            (false, faults, _) => format!(
                "{}: {}, {warnings}",
                paint(BAD, "invalid"),
                count(faults, "fault", "faults")
            ),
        };
        format!("{verdict}; {}\n", self.counts())
    }

    /// Workflow commands, and the verdict for whoever reads the log.
    fn annotations(&self, root: &Path) -> String {
        let faults = self.warnings.iter().chain(&self.faults);
        let mut text: String = faults
            .map(|fault| github::annotation(root, fault))
            .collect();
        text.push_str(&self.verdict());
        text
    }

    fn counts(&self) -> String {
        // Most repositories of a server have none.
        let some = |number| Some(number).filter(|number| *number > 0);
        let counts = [
            (Some(self.files), "file", "files"),
            (self.policies, "policy", "policies"),
            (self.templates, "template", "templates"),
            (self.entities, "entity", "entities"),
            (self.links, "link", "links"),
            (some(self.tests), "test file", "test files"),
            (self.cases.and_then(some), "case", "cases"),
            (
                some(self.invariants),
                "file of invariants",
                "files of invariants",
            ),
        ];
        let mut parts: Vec<String> = counts
            .into_iter()
            .filter_map(|(number, one, many)| Some(count(number?, one, many)))
            .collect();
        if let Some((last, others)) = self.not_checked.split_last() {
            let others = others.join(", ");
            let and = if others.is_empty() { "" } else { " and " };
            parts.push(format!("{others}{and}{last} not checked"));
        }
        let revision: String = self.policy_revision.chars().take(12).collect();
        parts.push(format!("revision {revision}"));
        parts.join(", ")
    }
}
