//! The report of a run, for people.

use std::fmt::Write as _;

use super::report::Failed;
use super::report::Report;
use super::report::Status;
use super::report::Suite;
use super::report::Tested;
use crate::cli::ExitCode;
use crate::cli::answer::NearMiss;
use crate::cli::answer::PolicyRef;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::PLAIN;
use crate::cli::output::WARN;
use crate::cli::output::count;
use crate::cli::output::paint;
use crate::cli::output::table;
use crate::testing::filter::escaped;

/// So many near misses are shown of a case; `--format json` has them all.
const NEAR_MISSES_MAX: usize = 5;

/// What failed, and a line that sums up.
pub(super) fn text(report: &Report, verbose: bool) -> String {
    let mut text = String::new();
    for (suite, case) in report.cases() {
        match case.status {
            Status::Passed if verbose => {
                writeln!(text, "{}", head(report, suite, case)).ok();
            }
            Status::Skipped if verbose => {
                let reason = case.skipped.as_deref().unwrap_or_default();
                writeln!(text, "{}\n  {reason}", head(report, suite, case)).ok();
            }
            Status::Passed | Status::Skipped => {}
            Status::Failed | Status::Broken => {
                writeln!(text, "{}", head(report, suite, case)).ok();
                what_is_wrong(&mut text, report, suite, case);
                text.push('\n');
            }
        }
    }
    text + &summary(report)
}

fn head(report: &Report, suite: &Suite, case: &Tested) -> String {
    let word = match case.status {
        Status::Passed => paint(GOOD, "pass"),
        Status::Failed => paint(BAD, "FAIL"),
        Status::Broken => paint(BAD, "BROKEN"),
        Status::Skipped => paint(WARN, "skip"),
    };
    let name = paint(HEAD, &format!("{}: {}", suite.name, case.name));
    let place = format!("{}:{}", report.path(&suite.file), case.line);
    format!("{word} {name}  {}", paint(FAINT, &place))
}

fn what_is_wrong(text: &mut String, report: &Report, suite: &Suite, case: &Tested) {
    if let Some(fault) = &case.fault {
        let place = if case.line_of_fault() == case.line {
            String::new()
        } else {
            let path = report.path(&suite.file);
            format!(
                "  {}",
                paint(FAINT, &format!("{path}:{}:{}", fault.line, fault.column))
            )
        };
        writeln!(text, "  {}{place}", fault.message).ok();
        if let Some(hint) = &fault.hint {
            writeln!(text, "  {} {hint}", paint(NAME, "hint:")).ok();
        }
    }
    if let Some(failed) = &case.failure {
        differences(text, failed);
        why(text, report, failed);
    }
    let command = format!(
        "deodar test {} --filter {}",
        quoted(&report.path(&suite.file)),
        quoted(&escaped(&case.name))
    );
    writeln!(
        text,
        "  {} {}",
        paint(HEAD, "again:"),
        paint(FAINT, &command)
    )
    .ok();
}

fn differences(text: &mut String, failed: &Failed) {
    let mut rows = vec![[String::new(), "expected".to_owned(), "came".to_owned()]];
    for difference in &failed.differences {
        rows.push([
            difference.what.to_owned(),
            difference.expected.clone(),
            difference.came.clone(),
        ]);
    }
    text.push_str(&table("  ", [NAME, PLAIN, PLAIN], &rows));
    for hint in failed
        .differences
        .iter()
        .filter_map(|difference| difference.hint.as_ref())
    {
        writeln!(text, "  {} {hint}", paint(NAME, "hint:")).ok();
    }
}

fn why(text: &mut String, report: &Report, failed: &Failed) {
    writeln!(text, "  {} {}", paint(HEAD, "why:"), failed.sentence).ok();
    for policy in &failed.policies {
        policy_line(text, report, policy, "");
    }
    for error in &failed.errors {
        policy_line(text, report, &error.policy, "failed, ");
        writeln!(text, "      {}", error.message).ok();
    }
    for miss in failed.near_misses.iter().take(NEAR_MISSES_MAX) {
        near_miss(text, report, miss);
    }
    let shown = failed.near_misses.len().min(NEAR_MISSES_MAX);
    let more = failed.near_misses.len() - shown + failed.near_misses_left_out;
    if more > 0 {
        let more = count(more, "more permit", "more permits");
        writeln!(text, "    and {more} that nearly applied").ok();
    }
}

fn policy_line(text: &mut String, report: &Report, policy: &PolicyRef, note: &str) {
    let of = policy
        .template
        .as_ref()
        .map_or_else(String::new, |template| format!(", link of {template}"));
    let place = format!("{}:{}", report.path(&policy.file), policy.line);
    let facts = format!("{place} ({note}{}{of})", policy.effect);
    writeln!(
        text,
        "    {}  {}",
        paint(NAME, &policy.id),
        paint(FAINT, &facts)
    )
    .ok();
    if let Some(reason) = policy.reason.as_ref().or(policy.title.as_ref()) {
        writeln!(text, "      {reason}").ok();
    }
}

fn near_miss(text: &mut String, report: &Report, miss: &NearMiss) {
    policy_line(text, report, &miss.policy, "nearly, ");
    let place = format!("{}:{}", report.path(&miss.policy.file), miss.line);
    let what = if miss.error.is_some() {
        "failed"
    } else {
        "does not hold"
    };
    writeln!(
        text,
        "      {what}: {}  {}",
        miss.condition,
        paint(FAINT, &place)
    )
    .ok();
    if let Some(error) = &miss.error {
        writeln!(text, "      {error}").ok();
    }
    let rows: Vec<_> = miss
        .values
        .iter()
        .map(|read| [read.expression.clone(), "=".to_owned(), read.value.clone()])
        .collect();
    text.push_str(&table("        ", [NAME, FAINT, PLAIN], &rows));
}

/// The line that sums up.
fn summary(report: &Report) -> String {
    let counts = report.counts;
    // What the tests are worth is told below.
    let verdict = if report.exit_code() == ExitCode::Yes {
        paint(GOOD, "passed")
    } else {
        paint(BAD, "failed")
    };
    let mut parts = vec![count(counts.cases, "case", "cases")];
    if counts.passed < counts.cases {
        parts.push(format!("{} passed", counts.passed));
    }
    for (number, word) in [
        (counts.failed, "failed"),
        (counts.broken, "could not be asked"),
        (counts.skipped, "skipped"),
        (counts.left_out, "left out by the filter"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {word}"));
        }
    }
    if !report.faults.is_empty() {
        let faults = count(report.faults.len(), "fault", "faults");
        parts.push(format!("{faults} in test files"));
    }
    if counts.files_left_out > 0 {
        let files = count(counts.files_left_out, "file was", "files were");
        parts.push(format!("{files} not run"));
    }
    if let Some(seed) = report.seed {
        parts.push(format!("shuffled with --shuffle={seed}"));
    }
    #[expect(clippy::cast_precision_loss, reason = "it is shown to two digits")]
    let seconds = report.milliseconds as f64 / 1000.0;
    format!("{verdict}: {} in {seconds:.2} s\n", parts.join(", "))
}

/// A word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=@%+,".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("policies/a.test.yaml"), "policies/a.test.yaml");
        assert_eq!(quoted("it's $x"), r"'it'\''s $x'");
        assert_eq!(quoted(""), "''");
    }
}
