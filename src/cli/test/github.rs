//! The report of a run as commands of GitHub's workflows, which annotate the files
//! of a pull request:
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.

use std::fmt::Write as _;
use std::path::Path;

use super::report::Failed;
use super::report::Report;
use super::report::shown;
use crate::cli::output::count;
use crate::engine::Fault;

/// The report: an error for each case that failed and each fault of a test file.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    for (suite, case) in report.cases() {
        let place = (report.path(&suite.file), case.line_of_fault());
        let title = format!("{}: {}", suite.name, case.name);
        if let Some(failed) = &case.failure {
            error(&mut text, &place, &title, &message(report, failed));
        }
        if let Some(fault) = &case.fault {
            error(&mut text, &place, &title, &with_hint(fault));
        }
    }
    for fault in &report.faults {
        let place = (report.path(&fault.file), fault.line);
        let title = if fault.file.is_empty() {
            "tests"
        } else {
            "test file"
        };
        error(&mut text, &place, title, &with_hint(fault));
    }
    let counts = report.counts;
    writeln!(
        text,
        "{}: {} passed, {} failed, {} broken, {} skipped, {} left out{}",
        count(counts.cases, "case", "cases"),
        counts.passed,
        counts.failed,
        counts.broken,
        counts.skipped,
        counts.left_out,
        match counts.files_left_out {
            0 => String::new(),
            number => format!(", {} not run", count(number, "file", "files")),
        }
    )
    .ok();
    text
}

/// Faults of a repository that cannot be tested.
pub(super) fn faults(faults: &[Fault], repository: &Path) -> String {
    let mut text = String::new();
    for fault in faults {
        let place = (shown(repository, &fault.file), fault.line);
        error(&mut text, &place, "policies", &with_hint(fault));
    }
    text
}

fn message(report: &Report, failed: &Failed) -> String {
    let mut lines = failed.lines();
    lines.push(failed.sentence.to_owned());
    for policy in &failed.policies {
        let file = report.path(&policy.file);
        lines.push(format!("{} at {file}:{}", policy.id, policy.line));
    }
    for miss in &failed.near_misses {
        let file = report.path(&miss.policy.file);
        lines.push(format!(
            "nearly {}, but for {} at {file}:{}",
            miss.policy.id, miss.condition, miss.line
        ));
    }
    lines.join("\n")
}

fn with_hint(fault: &Fault) -> String {
    match &fault.hint {
        Some(hint) => format!("{}\nhint: {hint}", fault.message),
        None => fault.message.clone(),
    }
}

fn error(text: &mut String, (file, line): &(String, usize), title: &str, message: &str) {
    let line = (*line).max(1);
    writeln!(
        text,
        "::error file={},line={line},title={}::{}",
        property(file),
        property(title),
        data(message)
    )
    .ok();
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::error;

    #[test]
    fn nothing_ends_a_command_early() {
        let mut text = String::new();
        let place = ("a,b:c.yaml".to_owned(), 0);
        error(&mut text, &place, "100%\n::x", "1\r\n2: %25, ::error::");
        assert_eq!(
            text,
            "::error file=a%2Cb%3Ac.yaml,line=1,title=100%25%0A%3A%3Ax::1%0D%0A2: %2525, ::error::\n"
        );
    }
}
