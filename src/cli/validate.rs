//! `deodar validate`: find the mistakes in a policy directory.

pub mod github;

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

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
use crate::directory;
use crate::engine::Fault;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::compile;
use crate::engine::files::Role;
use crate::source;
use crate::testing;

const FORMAT_HELP: &str = r#"How to write it; JSON is {"valid", "files", "policies", "templates", "entities", "links", "tests", "cases", "invariants", "policy_revision", "directory_revision", "faults": [{"file", "line", "column", "text", "message", "hint", "is_warning"}], "warnings": [..]}"#;

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
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        match compile(files) {
            Ok(snapshot) => report.compiled(&snapshot, files),
            Err(faults) => {
                report.faults = faults;
                report.tested(files, None);
            }
        }
        report.faults.extend(unreadable(files));
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
    }

    /// Reads the tests, and sees whether they fit what they are asked of.
    fn tested(&mut self, files: &Files, asked_of: Option<(&Snapshot, &View)>) {
        let read = testing::read(files, asked_of.map(|(snapshot, _)| snapshot));
        let cases = || read.suites.iter().flat_map(|suite| &suite.cases);
        if let Some((snapshot, view)) = asked_of {
            self.cases = read.faults.is_empty().then(|| cases().count());
            let misfits = cases().filter_map(|case| case.asked(snapshot, view).err());
            self.faults.extend(misfits.map(|fault| *fault));
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
        if self.policies.is_none() {
            parts.push("entities and links not checked".to_owned());
        }
        let revision: String = self.policy_revision.chars().take(12).collect();
        parts.push(format!("revision {revision}"));
        parts.join(", ")
    }
}

/// The files of invariants that cannot be read at all.
fn unreadable(files: &Files) -> Vec<Fault> {
    files
        .with_role(Role::Invariants)
        .filter_map(|(file, content)| {
            let text: Arc<str> = match str::from_utf8(content) {
                Ok(text) => text.into(),
                Err(error) => return Some(Fault::not_utf8(file, content, error.valid_up_to())),
            };
            let error = serde_saphyr::from_str::<serde_json::Value>(&text).err()?;
            Some(not_yaml(file, &text, &error))
        })
        .collect()
}

fn not_yaml(file: &str, text: &Arc<str>, error: &serde_saphyr::Error) -> Fault {
    let message = error.without_snippet().to_string();
    let line = error.location().map_or(1, |place| place.line());
    let before = usize::try_from(line.saturating_sub(1)).unwrap_or(0);
    let start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    Fault::at(file, text, (start, 0).into(), message).with_hint("write YAML")
}
