//! `deodar test --mutate`: which changes of the policies no test notices.

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value as Json;
use serde_json::json;

use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::WARN;
use crate::cli::output::count;
use crate::cli::output::paint;
use crate::cli::repository::Repository;
use crate::testing::Suite;
use crate::testing::coverage::Share;
use crate::testing::mutation::Mutation;
use crate::testing::mutation::Stale;
use crate::testing::mutation::Survivor;
use crate::testing::mutation::explained::Idle;
use crate::testing::mutation::explained::annotation;
use crate::testing::mutation::mutants::CHANGES_MAX;

/// Whether to try changed policies.
#[derive(Debug, Args)]
#[command(next_help_heading = "Mutation")]
pub struct MutationArgs {
    /// Change one policy at a time, in one place, and report the changes that no case notices. A
    /// policy explains those that are meant by @survives("CHANGE: reason; .."), which the report
    /// of each writes down
    #[arg(long)]
    mutate: bool,
}

/// What became of the mutants.
#[derive(Debug)]
pub struct Tried {
    mutation: Mutation,
}

impl MutationArgs {
    /// Tries all mutants, if asked to.
    pub fn run(&self, repository: &Repository, suites: &[Suite]) -> Option<Tried> {
        self.mutate
            .then(|| Mutation::run(&repository.snapshot, &repository.view, suites))
            .map(Tried::of)
    }
}

impl Tried {
    /// To be shown.
    pub fn of(mutation: Mutation) -> Self {
        Self { mutation }
    }

    /// Whether every survivor is explained.
    pub fn is_met(&self) -> bool {
        self.mutation.unexplained().next().is_none()
    }

    /// Why the run fails, if it does.
    pub fn shortfall(&self) -> Option<String> {
        let unexplained = self.mutation.unexplained().count();
        (unexplained > 0).then(|| {
            format!(
                "{} no test notices {}\n",
                paint(BAD, "error:"),
                count(unexplained, "change of a policy", "changes of policies")
            )
        })
    }

    /// The score, and the survivors with their source; explained ones when
    /// `verbose`.
    pub fn text(&self, verbose: bool) -> String {
        let mutation = &self.mutation;
        let mut text = self.head();
        let survivors = mutation.survivors.iter();
        for survivor in survivors.filter(|survivor| verbose || survivor.explained.is_none()) {
            text.push('\n');
            text.push_str(&survivor_text(survivor));
        }
        if !mutation.stale.is_empty() {
            text.push('\n');
        }
        for stale in &mutation.stale {
            text.push_str(&stale_text(stale));
        }
        text
    }

    /// `{"total", "killed", "survived", "explained", "percent", .., "survivors": [..]}`
    pub fn json(&self) -> Json {
        let mutation = &self.mutation;
        let explained = mutation.survivors.len() - mutation.unexplained().count();
        let operators: serde_json::Map<String, Json> = mutation
            .operators
            .iter()
            .map(|(operator, tally)| (operator.name().to_owned(), json!(tally)))
            .collect();
        let survivors: Vec<Json> = mutation.survivors.iter().map(survivor_json).collect();
        let stale: Vec<Json> = mutation
            .stale
            .iter()
            .map(|stale| {
                json!({
                    "policy": stale.info.id.as_str(),
                    "file": &*stale.info.file,
                    "line": stale.info.line,
                    "name": stale.name,
                    "is_unknown": stale.why == Idle::Operator,
                })
            })
            .collect();
        json!({
            "total": mutation.total,
            "killed": mutation.killed,
            "survived": mutation.survivors.len(),
            "explained": explained,
            "percent": self.share().percent(),
            "operators": operators,
            "invalid": mutation.invalid,
            "equivalent": mutation.equivalent,
            "left_out": mutation.left_out,
            "decisions": mutation.decisions,
            "cases": mutation.cases,
            "cases_failing": mutation.cases_failing,
            "survivors": survivors,
            "stale_explanations": stale,
        })
    }

    fn share(&self) -> Share {
        Share {
            covered: self.mutation.killed,
            total: self.mutation.total,
        }
    }

    fn head(&self) -> String {
        let mutation = &self.mutation;
        let unexplained = mutation.unexplained().count();
        let style = if unexplained == 0 { GOOD } else { BAD };
        let mut parts = vec![format!(
            "{} of {} killed by {}",
            mutation.killed,
            count(mutation.total, "mutant", "mutants"),
            count(mutation.cases, "case", "cases")
        )];
        let explained = mutation.survivors.len() - unexplained;
        if unexplained > 0 {
            parts.push(format!("{unexplained} survived"));
        }
        if explained > 0 {
            parts.push(format!("{explained} explained"));
        }
        let mut text = format!(
            "{}  {}  {}\n",
            paint(HEAD, "mutation"),
            paint(style, &self.share().shown()),
            parts.join(", ")
        );
        if mutation.cases_failing > 0 {
            let failing = count(mutation.cases_failing, "case", "cases");
            writeln!(text, "  {failing} took no part, failing without any change").ok();
        }
        if mutation.left_out > 0 {
            let left_out = count(mutation.left_out, "change", "changes");
            writeln!(
                text,
                "  {left_out} not tried: at most {CHANGES_MAX} of a policy are"
            )
            .ok();
        }
        text
    }
}

fn survivor_text(survivor: &Survivor) -> String {
    let mutant = &survivor.mutant;
    let place = paint(FAINT, &format!("{}:{}", survivor.info.file, mutant.line));
    let policy = paint(NAME, &survivor.info.id);
    let mut text = format!("  {policy}  {place}  {}\n", mutant.operator.name());
    for line in &mutant.before {
        writeln!(text, "    {}", paint(BAD, &format!("- {line}"))).ok();
    }
    for line in &mutant.after {
        writeln!(text, "    {}", paint(GOOD, &format!("+ {line}"))).ok();
    }
    if let Some(reason) = &survivor.explained {
        writeln!(text, "    {} {reason}", paint(HEAD, "explained:")).ok();
    } else {
        writeln!(text, "    {} {}", paint(HEAD, "hint:"), survivor.needs).ok();
        let annotation = annotation(&survivor.info, &survivor.name);
        let annotation = paint(FAINT, &annotation);
        writeln!(text, "    {} {annotation}", paint(HEAD, "or explain:")).ok();
    }
    text
}

fn stale_text(stale: &Stale) -> String {
    let why = match stale.why {
        Idle::Operator => "there is no such operator",
        Idle::Change => "it names no change; write it as the report of the survivor does",
        Idle::Survivor => "no such mutant survives among those that were tried",
        Idle::Reason => "it gives no reason",
    };
    format!(
        "{} `@survives` of `{}` ({}:{}) explains nothing by {}: {why}\n",
        paint(WARN, "warning:"),
        stale.info.id,
        stale.info.file,
        stale.info.line,
        stale.name,
    )
}

fn survivor_json(survivor: &Survivor) -> Json {
    let mutant = &survivor.mutant;
    json!({
        "policy": survivor.info.id.as_str(),
        "name": survivor.name,
        "file": &*survivor.info.file,
        "line": mutant.line,
        "operator": mutant.operator,
        "before": mutant.before,
        "after": mutant.after,
        "text": mutant.text,
        "hint": survivor.needs,
        "explained": survivor.explained,
        "annotation": annotation(&survivor.info, &survivor.name),
    })
}
