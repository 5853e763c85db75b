//! Findings for people, and for the log of a GitHub workflow.

use std::fmt::Write as _;
use std::path::Path;

use crate::analysis::lint::Finding;
use crate::analysis::lint::Level;
use crate::analysis::lint::Report;
use crate::analysis::lint::fix::Fixed;
use crate::cli::output;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::NAME;
use crate::cli::output::WARN;
use crate::cli::output::count;
use crate::cli::output::paint;
use crate::cli::validate::github::data;
use crate::cli::validate::github::from_here;
use crate::cli::validate::github::property;
use crate::engine::Fault;

/// So many findings are drawn with their source; of the rest, a line each is enough.
const DRAWN_MAX: usize = 100;

/// Findings to standard output, faults and what was left out to standard error.
pub(super) fn write(fixed: &Fixed) {
    let report = &fixed.report;
    let mut text = String::new();
    let drawn: Vec<Fault> = report
        .findings
        .iter()
        .take(DRAWN_MAX)
        .map(Finding::fault)
        .collect();
    text.push_str(&output::drawn(&drawn));
    for finding in report.findings.iter().skip(DRAWN_MAX) {
        let style = match finding.level {
            Level::Error => BAD,
            Level::Warning | Level::Info => WARN,
        };
        let level = paint(style, finding.level.as_str());
        let (place, rule) = (finding.place(), finding.rule.id);
        writeln!(text, "{place}: {level}: {rule}: {}", finding.message).ok();
    }
    text.push_str(&verdict(fixed));
    output::stdout(&text);
    output::stderr(&aside(fixed));
}

/// One line, or nothing when there was nothing to say.
fn verdict(fixed: &Fixed) -> String {
    let report = &fixed.report;
    let mut parts = Vec::new();
    for (level, style, one, many) in [
        (Level::Error, BAD, "error", "errors"),
        (Level::Warning, WARN, "warning", "warnings"),
        (Level::Info, NAME, "note", "notes"),
    ] {
        let number = report.count(level);
        if number > 0 {
            parts.push(paint(style, &count(number, one, many)));
        }
    }
    let mended: usize = fixed.changed.values().sum();
    let mended = (mended > 0).then(|| {
        let files = count(fixed.changed.len(), "file", "files");
        format!("{} in {files}", paint(GOOD, &format!("{mended} mended")))
    });
    if parts.is_empty() {
        return mended.map_or_else(String::new, |mended| mended + "\n");
    }
    let fixable = report.findings.iter();
    let fixable = fixable.filter(|finding| !finding.edits.is_empty()).count();
    let policies = count(report.policies, "policy", "policies");
    let more = match mended {
        Some(mended) => format!("; {mended}"),
        None if fixable > 0 && fixed.refused.is_empty() => {
            format!("; {fixable} can be mended with `--fix`")
        }
        None => String::new(),
    };
    format!("{} in {policies}{more}\n", parts.join(", "))
}

/// Faults of the repository, rules that were not run, files that were not mended.
fn aside(fixed: &Fixed) -> String {
    let mut text = output::drawn(&fixed.report.faults);
    if !fixed.report.faults.is_empty() {
        let number = count(fixed.report.faults.len(), "fault", "faults");
        let error = paint(BAD, "error:");
        writeln!(text, "{error} the repository does not compile: {number}").ok();
    }
    for file in &fixed.refused {
        let warning = paint(WARN, "warning:");
        let much = if fixed.changed.contains_key(file) {
            "is mended in part: with the rest it"
        } else {
            "is not mended: the outcome"
        };
        writeln!(text, "{warning} `{file}` {much} would say something else").ok();
    }
    let mut why = "";
    for (rule, reason) in &fixed.report.skipped {
        if *reason == why {
            write!(text, ", {}", rule.id).ok();
            continue;
        }
        if !why.is_empty() {
            text.push('\n');
        }
        why = reason;
        write!(
            text,
            "{} {reason}: {}",
            paint(FAINT, "not run, since"),
            rule.id
        )
        .ok();
    }
    if !why.is_empty() {
        text.push('\n');
    }
    text
}

/// Commands of a workflow, which GitHub shows beside the lines.
pub(super) fn github(report: &Report, root: &Path) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let command = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "notice",
        };
        let start = finding.source.place(finding.span.start);
        let end = finding.source.place(finding.span.end);
        writeln!(
            text,
            "::{command} file={},line={},col={},endLine={},endColumn={},title={}::{}",
            property(&from_here(root, &finding.source.file)),
            start.line,
            start.column,
            end.line,
            end.column,
            property(finding.rule.id),
            data(&format!("{}; {}", finding.message, finding.hint)),
        )
        .ok();
    }
    for fault in &report.faults {
        let (file, line) = (property(&from_here(root, &fault.file)), fault.line.max(1));
        let text_of = data(&fault.message);
        writeln!(
            text,
            "::error file={file},line={line},col={}::{text_of}",
            fault.column.max(1)
        )
        .ok();
    }
    text
}
