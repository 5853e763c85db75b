//! The table of the policy engineer's tools.

use std::fmt::Write as _;

use super::budgets::Budget;
use super::budgets::least;
use super::budgets::most;
use super::budgets::short;
use crate::bench::replay::Replays;
use crate::bench::results::median;
use crate::bench::tools::CASES;
use crate::bench::tools::COMPARED;
use crate::bench::tools::LINTED;
use crate::bench::tools::Tools;

fn middle(seconds: &[f64]) -> f64 {
    median(seconds.iter().copied())
}

/// What the tools promise.
pub(super) fn budgets(tools: &Tools) -> Vec<Budget> {
    let yaml = middle(&tools.test_yaml);
    let mut budgets = vec![
        most(
            format!("`deodar test`, {CASES} cases, the whole process"),
            1.0,
            " s",
            yaml,
        ),
        most(
            format!("`deodar diff` of two repositories of {COMPARED} policies, without a solver"),
            3.0,
            " s",
            middle(&tools.diff),
        ),
        most(
            format!("`deodar lint` and `deodar validate` of {LINTED} policies, together"),
            5.0,
            " s",
            middle(&tools.lint) + middle(&tools.validate),
        ),
    ];
    if !tools.cedar.is_empty() {
        budgets.push(most(
            "`deodar test` against `cedar run-tests`, the same cases in the same form",
            1.0,
            " x",
            middle(&tools.test_json) / middle(&tools.cedar),
        ));
    }
    budgets
}

/// What replay promises, of both logs.
pub(super) fn replay_budgets(replays: &Replays) -> Vec<Budget> {
    let rate = |seconds: &[f64]| replays.records as f64 / middle(seconds);
    [
        ("questions that come again", &replays.repeated),
        ("the time goes on each second", &replays.ticking),
        ("each question at another time", &replays.timed),
    ]
    .into_iter()
    .map(|(log, seconds)| {
        let what = format!("`deodar replay`, {log}: decisions");
        least(what, 150_000.0, " a second", rate(seconds))
    })
    .collect()
}

/// Every command with its seconds.
pub(super) fn tools(tools: &Tools) -> String {
    let cedar = if tools.cedar_version.is_empty() {
        "`cedar run-tests`, which was not installed".to_owned()
    } else {
        format!(
            "`cedar run-tests` ({}): {}",
            tools.cedar_version, tools.cedar_said
        )
    };
    let rows = [
        (
            format!("`deodar test`, {CASES} cases in YAML"),
            &tools.test_yaml,
        ),
        (
            "`deodar test`, the same in Cedar's JSON".to_owned(),
            &tools.test_json,
        ),
        (cedar, &tools.cedar),
        (
            "`deodar test --coverage`, the tests of the reference policies".to_owned(),
            &tools.coverage,
        ),
        (
            format!("`deodar test --mutate`, the same: {}", tools.mutate_said),
            &tools.mutate,
        ),
        (
            format!("`deodar diff`, {COMPARED} policies, ten of them changed"),
            &tools.diff,
        ),
        (format!("`deodar lint`, {LINTED} policies"), &tools.lint),
        (
            format!("`deodar validate`, {LINTED} policies"),
            &tools.validate,
        ),
        (
            "`deodar prove`, the reference policies, with its reports".to_owned(),
            &tools.prove,
        ),
    ];
    let mut text = String::from(
        "\n## The policy engineer's tools\n\nWhole processes, from start to end, in turns; seconds.\n\n\
         | command | median | least | most |\n|---|---|---|---|\n",
    );
    for (command, seconds) in rows {
        if seconds.is_empty() {
            writeln!(text, "| {command} | | | |").ok();
            continue;
        }
        let least = seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = seconds.iter().copied().fold(0.0, f64::max);
        writeln!(
            text,
            "| {command} | {} | {} | {} |",
            short(middle(seconds)),
            short(least),
            short(greatest)
        )
        .ok();
    }
    text
}

/// The rows of recorded questions that are decided again.
pub(super) fn replay(replays: &Replays) -> String {
    let mut text = format!(
        "\n`deodar replay` of {} records over the reference policies, whole processes, on all cores.\n\n\
         | questions | seconds, median | decisions a second |\n|---|---|---|\n",
        replays.records
    );
    let rows = [
        ("those of the test cases, over and over", &replays.repeated),
        (
            "the same, 1,000 of them in each second of `context.now`",
            &replays.ticking,
        ),
        ("the same, each with another `context.now`", &replays.timed),
    ];
    for (questions, seconds) in rows {
        let seconds = middle(seconds);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = replays.records as f64 / seconds;
        writeln!(text, "| {questions} | {} | {rate:.0} |", short(seconds)).ok();
    }
    text
}
