//! `deodar validate`: find the mistakes in a policy directory.

use std::path::PathBuf;

use clap::Args;
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
use crate::directory;
use crate::engine::Fault;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::compile;
use crate::engine::files::Role;
use crate::source;

const JSON_HELP: &str = r#"Write JSON: {"valid", "files", "policies", "templates", "entities", "links", "policy_revision", "directory_revision", "faults": [{"file", "line", "column", "text", "message", "hint", "is_warning"}], "warnings": [..]}"#;

/// Find the mistakes in a policy directory
///
/// Reads the manifest, schema, policies, templates, entities and links of a
/// directory, and reports every mistake in them with its place. Policies are
/// checked against the schema, entities and links against both.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar validate policies/
  deodar validate --deny-warnings --json . > report.json

Exit codes: 0 valid, 1 the directory cannot be read, 2 usage or configuration, 4 invalid")]
pub struct ValidateArgs {
    /// The directory; by default the one that is configured [key: policies.path]
    #[arg(value_name = "DIR")]
    policies: Option<PathBuf>,
    #[arg(long, help = JSON_HELP)]
    json: bool,
    /// Treat warnings as faults
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    file: FileArg,
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
    let path = args.policies.as_ref().unwrap_or(&config.policies.path);
    let files = source::read(path, &config.policies.limits)?;
    let report = Report::new(&files, args.deny_warnings);
    let text = if args.json {
        output::json(&report)
    } else {
        report.text()
    };
    output::stdout(&text);
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
            files: all_files(files),
            policies: None,
            templates: None,
            entities: None,
            links: None,
            policy_revision: files.policy_digest().to_string(),
            directory_revision: files.data_digest().to_string(),
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        match compile(files) {
            Ok(snapshot) => report.compiled(&snapshot, files),
            Err(faults) => report.faults = faults,
        }
        let warnings_count = deny_warnings && !report.warnings.is_empty();
        report.valid = report.faults.is_empty() && !warnings_count;
        report
    }

    fn compiled(&mut self, snapshot: &Snapshot, files: &Files) {
        self.policies = Some(snapshot.rules().len());
        self.templates = Some(snapshot.templates().count());
        self.warnings = snapshot.warnings().to_vec();
        match directory::load(snapshot, files) {
            Ok(view) => {
                self.entities = Some(view.len());
                self.links = Some(view.links().len());
            }
            Err(faults) => self.faults = faults,
        }
    }

    fn text(&self) -> String {
        let mut text = output::drawn(&self.warnings);
        text.push_str(&output::drawn(&self.faults));
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
        format!("{text}{verdict}; {}\n", self.counts())
    }

    fn counts(&self) -> String {
        let counts = [
            (Some(self.files), "file", "files"),
            (self.policies, "policy", "policies"),
            (self.templates, "template", "templates"),
            (self.entities, "entity", "entities"),
            (self.links, "link", "links"),
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

fn all_files(files: &Files) -> usize {
    let roles = [
        Role::Manifest,
        Role::Schema,
        Role::Policies,
        Role::Entities,
        Role::Links,
    ];
    roles
        .into_iter()
        .map(|role| files.with_role(role).count())
        .sum()
}
