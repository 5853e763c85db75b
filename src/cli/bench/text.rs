//! A measurement for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::analysis::cost::Comparison;
use crate::analysis::cost::Report;
use crate::analysis::cost::batches::Cost;
use crate::analysis::cost::compare::Change;
use crate::analysis::cost::questions::Origin;
use crate::cli::output;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::count;
use crate::cli::output::paint;

/// So many policies and conditions are shown; JSON has all.
const SHOWN_MAX: usize = 15;

/// The report, with what changed.
pub fn of(report: &Report, comparison: Option<&Comparison>) -> String {
    let mut text = String::new();
    let questions = &report.questions;
    let origin = match questions.origin {
        Origin::Tests => "of the tests",
        Origin::Entities => "of all entities",
    };
    let gathering =
        percent(report.gathering.median / report.decision.median.max(f64::MIN_POSITIVE));
    writeln!(
        text,
        "{} a decision, {} at best; {gathering} of it to find policies and gather entities",
        paint(HEAD, &nanos(report.decision.median)),
        nanos(report.decision.min),
    )
    .ok();
    let samples = count(report.samples, "sample", "samples");
    let asked = count(questions.asked, "question", "questions");
    let note = format!("{asked} {origin}, {samples} each, {}", report.machine.cpu);
    writeln!(text, "{}", paint(FAINT, &note)).ok();
    if let Some(comparison) = comparison {
        writeln!(text, "{}", decision(comparison)).ok();
    }
    policies(report, comparison, &mut text);
    conditions(report, &mut text);
    text
}

fn policies(report: &Report, comparison: Option<&Comparison>, text: &mut String) {
    let changes: BTreeMap<&str, &Change> = comparison
        .iter()
        .flat_map(|comparison| &comparison.policies)
        .map(|policy| (policy.id.as_str(), &policy.change))
        .collect();
    writeln!(text, "\n{}", paint(HEAD, "policies")).ok();
    let shown = report.policies.iter().take(SHOWN_MAX);
    let rows: Vec<_> = shown
        .map(|policy| {
            let place = format!("{}:{}", policy.file, policy.line);
            let change = changes.get(policy.id.as_str()).map(|change| ratio(change));
            [
                numbers(policy.share, &policy.cost, policy.candidates),
                policy.id.clone(),
                change.unwrap_or_default(),
                place,
            ]
        })
        .collect();
    text.push_str(&paint(FAINT, TITLES));
    text.push_str(if comparison.is_some() {
        "policy, change, place\n"
    } else {
        "policy, place\n"
    });
    if comparison.is_some() {
        text.push_str(&output::table("  ", [PLAIN, NAME, WARN, FAINT], &rows));
    } else {
        let rows: Vec<_> = rows
            .into_iter()
            .map(|[numbers, id, _, place]| [numbers, id, place])
            .collect();
        text.push_str(&output::table("  ", [PLAIN, NAME, FAINT], &rows));
    }
    left_out(report.policies.len(), text);
    if !report.never_asked.is_empty() {
        let number = count(report.never_asked.len(), "policy", "policies");
        writeln!(text, "  {number} of no question's scope").ok();
    }
}

fn conditions(report: &Report, text: &mut String) {
    if report.conditions.is_empty() {
        return;
    }
    writeln!(text, "\n{}", paint(HEAD, "conditions")).ok();
    let shown = report.conditions.iter().take(SHOWN_MAX);
    let rows: Vec<_> = shown
        .map(|condition| {
            [
                numbers(condition.share, &condition.cost, condition.reached),
                condition.condition.clone(),
                format!("{}:{}:{}", condition.file, condition.line, condition.column),
            ]
        })
        .collect();
    writeln!(text, "{}condition, place", paint(FAINT, TITLES)).ok();
    text.push_str(&output::table("  ", [PLAIN, NAME, FAINT], &rows));
    left_out(report.conditions.len(), text);
}

/// Above what [`numbers`] writes.
const TITLES: &str = "  share        each  asked  ";

fn numbers(share: f64, cost: &Cost, times: usize) -> String {
    format!(
        "{:>5} {:>11} {times:>6}",
        percent(share),
        nanos(cost.median)
    )
}

fn left_out(number: usize, text: &mut String) {
    if let Some(more) = number.checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        writeln!(text, "  and {more} more, which `--format json` has").ok();
    }
}

fn decision(comparison: &Comparison) -> String {
    let change = &comparison.decision;
    let (style, word) = if change.is_slower() {
        (BAD, "slower than the baseline")
    } else if change.is_faster() {
        (GOOD, "faster than the baseline")
    } else {
        (PLAIN, "as fast as the baseline")
    };
    let (ratio, noise) = (times(change.ratio), percent(change.noise));
    format!("{}: {ratio}, noise is {noise}", paint(style, word))
}

fn ratio(change: &Change) -> String {
    let mark = if change.is_slower() {
        "slower"
    } else if change.is_faster() {
        "faster"
    } else {
        "noise"
    };
    format!("{} {mark}", times(change.ratio))
}

/// What makes the numbers less worth than they look.
pub fn warnings(report: &Report, comparison: Option<&Comparison>) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |message: String| {
        warnings.push(format!("{} {message}\n", paint(WARN, "warning:")));
    };
    if !report.machine.is_optimised {
        warn("this program was built without optimisation: use a release build".to_owned());
    }
    let questions = &report.questions;
    if questions.left_out > 0 {
        warn(format!(
            "{} more questions were left out",
            questions.left_out
        ));
    }
    if questions.misfits > 0 {
        let number = count(questions.misfits, "question", "questions");
        warn(format!(
            "{number} left out that cannot be asked, for want of a context for example: write tests with one"
        ));
    }
    if let Some(comparison) = comparison {
        if !comparison.same_machine {
            warn("the baseline was measured on another machine, or by another build".to_owned());
        }
        if !comparison.same_questions {
            warn("the baseline was asked other questions".to_owned());
        }
    }
    warnings
}

/// What is slower than it may be.
pub fn exceeding(names: &[&str], limit: f64) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "{} more than {} of the baseline: {}\n",
        paint(BAD, "slower:"),
        times(limit),
        names.join(", ")
    )
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2} times")
}

/// `812 ns`, `3,214 ns`, `1.3 ms`
fn nanos(nanos: f64) -> String {
    if nanos < 10.0 {
        format!("{nanos:.1} ns")
    } else if nanos < 10_000.0 {
        format!("{nanos:.0} ns")
    } else if nanos < 10_000_000.0 {
        format!("{:.1} us", nanos / 1e3)
    } else {
        format!("{:.1} ms", nanos / 1e6)
    }
}
