//! `deodar lint`: find what is legal, but probably not meant.

mod human;
mod json;
mod page;
mod sarif;

use std::path::PathBuf;
use std::time::Duration;

use cedar_policy_core::ast::Value;
use clap::Args;
use clap::ValueEnum;

use super::ExitCode;
use super::Failure;
use super::args::FileArg;
use super::failure::Message;
use super::fmt::replace;
use super::output;
use super::repository::place;
use super::time;
use crate::analysis::lint::Level;
use crate::analysis::lint::Options;
use crate::analysis::lint::Report;
use crate::analysis::lint::Rule;
use crate::analysis::lint::fix::Fixed;
use crate::analysis::lint::fix::fix;
use crate::analysis::lint::lint;
use crate::analysis::lint::rule;
use crate::analysis::lint::rules;
use crate::config::closest::closest;
use crate::source;

const FORMAT_HELP: &str = "How to write what was found: human; json: {\"findings\": [{\"rule\", \"group\", \"level\", \"file\", \"line\", \"column\", \"end_line\", \"end_column\", \"policy\", \"message\", \"hint\", \"fixable\"}], \"counts\": {\"error\", \"warning\", \"info\"}, \"policies\", \"fixed\": {\"file\": number}, \"not_fixed\": [\"file\"], \"not_run\": [{\"rule\", \"why\"}], \"faults\": [{\"file\", \"line\", \"column\", \"text\", \"message\", \"hint\", \"is_warning\"}]}; sarif: SARIF 2.1.0; github: annotations of a workflow";

/// Find what is legal, but probably not meant
///
/// Looks at the policies of a repository with the rules of docs/lints.md. A finding is
/// switched off for one policy by `@allow("rule")`, for the repository by `[lint]` in
/// manifest.toml: `allow = ["rule"]`, `warn = [..]` and `deny = [..]` set levels.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deodar lint                           lint the repository here
  deodar lint --deny warnings policies/
  deodar lint --rule never-true --rule shadowed-policy
  deodar lint --fix                     mend what can be mended without a decision
  deodar lint --format sarif > lint.sarif
  deodar lint --list                    every rule in a line
  deodar lint --explain never-true      what a rule is about, with examples

Exit codes: 0 nothing found that counts, 1 the directory cannot be read, 2 usage or configuration,
4 the repository does not compile, 6 errors found, or warnings with --deny warnings")]
pub struct LintArgs {
    /// The policy repository; by default the current directory if it has a manifest.toml, else the one that is configured
    #[arg(value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Run this rule only; may be repeated
    #[arg(long, value_name = "RULE")]
    rule: Vec<String>,
    /// What makes the run fail besides errors
    #[arg(long, value_name = "LEVEL")]
    deny: Option<Denied>,
    /// Mend what can be mended; every policy says the same afterwards, and every comment stays
    #[arg(long)]
    fix: bool,
    /// The time that dates in policies are compared with; by default that of the clock
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    #[arg(long, value_name = "FORMAT", default_value = "human", help = FORMAT_HELP)]
    format: LintFormat,
    /// List the rules
    #[arg(long, conflicts_with_all = ["fix", "explain"])]
    list: bool,
    /// Say what a rule is about
    #[arg(long, value_name = "RULE", conflicts_with = "fix")]
    explain: Option<String>,
    #[command(flatten)]
    file: FileArg,
}

/// What makes a run fail besides errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Denied {
    /// Warnings
    Warnings,
}

/// How to write what was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LintFormat {
    /// For people
    Human,
    /// For programs
    Json,
    /// For code scanning: SARIF 2.1.0
    Sarif,
    /// For a GitHub workflow: annotations of lines
    Github,
}

/// Lints.
///
/// # Errors
/// When the repository cannot be read or written, or there is no such rule.
pub fn run(args: &LintArgs) -> Result<ExitCode, Failure> {
    let only: Vec<&'static Rule> = args
        .rule
        .iter()
        .map(|id| known(id))
        .collect::<Result<_, _>>()?;
    if args.list {
        output::stdout(&page::list(&only, args.format == LintFormat::Json));
        return Ok(ExitCode::Yes);
    }
    if let Some(id) = &args.explain {
        output::stdout(&page::explain(known(id)?));
        return Ok(ExitCode::Yes);
    }
    let config = args.file.resolve()?.config;
    let path = place(args.policies.as_deref(), &config.policies.path);
    let files = source::read_all(&path, &config.policies.limits)?;
    let options = Options {
        only: only.iter().map(|rule| rule.id).collect(),
        now: now(args.now.as_deref())?,
    };
    let fixed = if args.fix {
        let fixed = fix(&files, &options);
        for file in fixed.changed.keys() {
            let content = fixed.files.get(file).unwrap_or_default();
            replace(&path.join(file), &String::from_utf8_lossy(content))?;
        }
        fixed
    } else {
        Fixed {
            report: lint(&files, &options),
            files,
            changed: std::collections::BTreeMap::new(),
            refused: Vec::new(),
        }
    };
    match args.format {
        LintFormat::Human => human::write(&fixed),
        LintFormat::Json => output::stdout(&output::json(&json::Written::new(&fixed))),
        LintFormat::Sarif => output::stdout(&output::json(&sarif::log(&fixed.report, &path))),
        LintFormat::Github => output::stdout(&human::github(&fixed.report, &path)),
    }
    Ok(code(&fixed.report, args.deny))
}

fn code(report: &Report, deny: Option<Denied>) -> ExitCode {
    let counts = |level: Level| match level {
        Level::Error => true,
        Level::Warning => deny == Some(Denied::Warnings),
        Level::Info => false,
    };
    if !report.faults.is_empty() {
        ExitCode::Invalid
    } else if report.findings.iter().any(|finding| counts(finding.level)) {
        ExitCode::Found
    } else {
        ExitCode::Yes
    }
}

fn known(id: &str) -> Result<&'static Rule, Failure> {
    rule(id).ok_or_else(|| {
        let hint = match closest(id, rules().map(|rule| rule.id)) {
            Some(meant) => format!("did you mean `{meant}`? `deodar lint --list` has all rules"),
            None => "`deodar lint --list` has all rules".to_owned(),
        };
        Failure::Usage(Message::new(format!("there is no rule `{id}`"), hint))
    })
}

fn now(asked_for: Option<&str>) -> Result<Value, Failure> {
    let found = match asked_for {
        Some(text) => time::parse(text),
        None => time::now(Duration::from_secs(1)),
    };
    found.map_err(|problem| {
        let hint = "write it as RFC 3339 does: 2026-11-22T03:12:00Z";
        Failure::Usage(Message::new(problem, hint))
    })
}
