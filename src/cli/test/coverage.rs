//! `deodar test --coverage`: what the tests reach of the policies.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value as Json;
use serde_json::json;

use crate::cli::Failure;
use crate::cli::failure::Message;
use crate::cli::output;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::paint;
use crate::cli::repository::Repository;
use crate::testing::Suite;
use crate::testing::coverage::Coverage;
use crate::testing::coverage::Missing;
use crate::testing::coverage::PolicyCoverage;
use crate::testing::coverage::lcov;
use crate::testing::coverage::listing;
use crate::testing::coverage::listing::Line;

/// What to measure of the policies, and where to write it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Coverage")]
pub struct CoverageArgs {
    /// Print which policies and conditions the cases reach. A condition that is never true or never
    /// false is half covered; a policy without conditions is covered when it matches
    #[arg(long)]
    coverage: bool,
    /// Fail when less than this is covered, of a hundred
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    coverage_min: Option<f64>,
    /// Write the policy files with how often each line was true and false
    #[arg(long, value_name = "FILE|-")]
    coverage_listing: Option<PathBuf>,
    /// Write an lcov tracefile
    #[arg(long, value_name = "FILE")]
    coverage_lcov: Option<PathBuf>,
}

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    coverage: Coverage,
    minimum: Option<f64>,
    is_shown: bool,
}

fn percent(text: &str) -> Result<f64, String> {
    text.trim_end_matches('%')
        .parse()
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "not a number from 0 to 100".to_owned())
}

impl CoverageArgs {
    /// Whether the listing goes to standard output.
    pub fn is_listed(&self) -> bool {
        self.coverage_listing.as_deref() == Some(Path::new("-"))
    }

    /// Measures and writes what was asked for; `None` when nothing was.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn run(
        &self,
        repository: &Repository,
        suites: &[Suite],
    ) -> Result<Option<Measured>, Failure> {
        let is_asked = self.coverage
            || self.coverage_min.is_some()
            || self.coverage_listing.is_some()
            || self.coverage_lcov.is_some();
        if !is_asked {
            return Ok(None);
        }
        let coverage = Coverage::measure(&repository.snapshot, &repository.view, suites);
        if let Some(path) = &self.coverage_lcov {
            write_file(path, &lcov::tracefile(&coverage))?;
        }
        if let Some(path) = &self.coverage_listing {
            let text = listing_text(&coverage, repository);
            if path == Path::new("-") {
                output::stdout(&text);
            } else {
                write_file(path, &anstream::adapter::strip_str(&text).to_string())?;
            }
        }
        Ok(Some(Measured {
            coverage,
            minimum: self.coverage_min,
            is_shown: self.coverage,
        }))
    }
}

fn write_file(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| {
        let message = format!("cannot write `{}`: {error}", path.display());
        Failure::Failed(Message::new(message, "is there such a directory?"))
    })
}

impl Measured {
    /// What was measured, without a wish for any of it.
    pub fn of(coverage: Coverage, minimum: Option<f64>) -> Self {
        Self {
            coverage,
            minimum,
            is_shown: true,
        }
    }

    /// Whether as much is covered as was asked for.
    pub fn is_met(&self) -> bool {
        let percent = self.coverage.share().percent();
        self.minimum.is_none_or(|minimum| percent >= minimum)
    }

    /// The table, worst first, if it was asked for. Policies that are covered
    /// whole are shown when `verbose`.
    pub fn text(&self, verbose: bool) -> String {
        if !self.is_shown {
            return String::new();
        }
        let mut policies: Vec<&PolicyCoverage> = self
            .coverage
            .policies
            .iter()
            .filter(|policy| verbose || !policy.share().is_whole())
            .collect();
        policies.sort_by(|a, b| {
            let (a, b) = (a.share(), b.share());
            // covered / total, without dividing.
            let (left, right) = (a.covered * b.total, b.covered * a.total);
            left.cmp(&right).then(b.total.cmp(&a.total))
        });
        let rows: Vec<_> = policies.iter().map(|policy| row(policy)).collect();
        let table = output::table("  ", [NAME, FAINT, PLAIN, FAINT], &rows);
        let mut text = self.head();
        if !policies.is_empty() {
            text.push('\n');
        }
        for (line, policy) in table.lines().zip(policies) {
            writeln!(text, "{line}").ok();
            for missing in policy.missing() {
                writeln!(text, "    {}", missing_text(&missing)).ok();
            }
            if verbose {
                for (link, matched) in &policy.links {
                    let link = paint(NAME, link);
                    writeln!(text, "    link {link} matched {matched} times").ok();
                }
            }
        }
        text
    }

    /// Why the run fails, if it does.
    pub fn shortfall(&self) -> Option<String> {
        let minimum = self.minimum.filter(|_| !self.is_met())?;
        let shown = self.coverage.share().shown();
        Some(format!(
            "{} coverage is {shown}, less than the {minimum}% of `--coverage-min`\n",
            paint(BAD, "error:")
        ))
    }

    /// `{"covered", "total", "percent", "minimum", "met", "cases", "policies": [..]}`
    pub fn json(&self) -> Json {
        let share = self.coverage.share();
        let policies: Vec<Json> = self.coverage.policies.iter().map(policy_json).collect();
        json!({
            "covered": share.covered,
            "total": share.total,
            "percent": share.percent(),
            "minimum": self.minimum,
            "met": self.is_met(),
            "cases": self.coverage.cases,
            "cases_failed": self.coverage.failed_cases,
            "policies": policies,
        })
    }

    fn head(&self) -> String {
        let share = self.coverage.share();
        let style = if !self.is_met() {
            BAD
        } else if share.is_whole() {
            GOOD
        } else {
            WARN
        };
        let mut text = format!(
            "{}  {}  {} of {} by {}\n",
            paint(HEAD, "coverage"),
            paint(style, &share.shown()),
            share.covered,
            share.total,
            output::count(self.coverage.cases, "case", "cases"),
        );
        if self.coverage.failed_cases > 0 {
            let failed = output::count(self.coverage.failed_cases, "case", "cases");
            writeln!(text, "  {failed} could not be asked and cover nothing").ok();
        }
        text
    }
}

fn row(policy: &PolicyCoverage) -> [String; 4] {
    let share = policy.share();
    let counts = policy.counts;
    let errored = if counts.errored > 0 {
        format!(", failed {}", counts.errored)
    } else {
        String::new()
    };
    [
        policy.info.id.to_string(),
        format!("{}:{}", policy.info.file, policy.info.line),
        format!("{}/{}", share.covered, share.total),
        format!(
            "matched {}, held {}{errored}",
            counts.matched, counts.satisfied
        ),
    ]
}

fn missing_text(missing: &Missing) -> String {
    let words = missing.what.words();
    match &missing.clause {
        Some(clause) => format!("line {}: `{clause}` {words}", missing.line),
        None => format!("line {}: {words}", missing.line),
    }
}

fn policy_json(policy: &PolicyCoverage) -> Json {
    let share = policy.share();
    let clauses: Vec<Json> = policy
        .clauses
        .iter()
        .map(|clause| {
            json!({
                "text": clause.clause.text,
                "line": clause.clause.line,
                "constant": clause.clause.is_constant,
                "true": clause.seen_true,
                "false": clause.seen_false,
                "errored": clause.errored,
            })
        })
        .collect();
    json!({
        "id": policy.info.id.as_str(),
        "file": &*policy.info.file,
        "line": policy.info.line,
        "template": policy.is_template,
        "covered": share.covered,
        "total": share.total,
        "matched": policy.counts.matched,
        "satisfied": policy.counts.satisfied,
        "unsatisfied": policy.counts.unsatisfied,
        "errored": policy.counts.errored,
        "links": policy.links.iter().map(|(id, count)| (id.to_string(), json!(count)))
            .collect::<serde_json::Map<String, Json>>(),
        "clauses": clauses,
        "missing": policy.missing(),
    })
}

/// The policy files, each line with how often it matched or was true and false.
pub fn listing_text(coverage: &Coverage, repository: &Repository) -> String {
    let mut text = String::new();
    for listed in listing::listed(coverage, &repository.files) {
        writeln!(text, "{}", paint(HEAD, listed.file)).ok();
        for line in &listed.lines {
            text.push_str(&line_text(line));
        }
        text.push('\n');
    }
    text
}

fn line_text(line: &Line<'_>) -> String {
    let (style, counts) = match (line.seen, line.matched) {
        (Some([seen_true, seen_false]), _) => {
            let style = match (seen_true, seen_false) {
                (0, 0) => BAD,
                (0, _) | (_, 0) => WARN,
                _ => GOOD,
            };
            (style, format!("{seen_true} true {seen_false} false"))
        }
        (None, Some(0)) => (BAD, "0 matched".to_owned()),
        (None, Some(matched)) => (GOOD, format!("{matched} matched")),
        (None, None) => (PLAIN, String::new()),
    };
    let counts = paint(style, &format!("{counts:>20}"));
    let number = paint(FAINT, &format!("{:>5} │", line.number));
    let mut text = format!("{counts} {number} {}\n", line.text);
    for (clause, gap) in &line.missing {
        let clause = clause
            .as_ref()
            .map_or_else(String::new, |clause| format!("`{clause}` "));
        let gap = paint(BAD, &format!("{clause}{}", gap.words()));
        writeln!(text, "{:>20} {} {gap}", "", paint(FAINT, "      ^")).ok();
    }
    text
}
