//! Findings for programs.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::analysis::lint::Finding;
use crate::analysis::lint::Group;
use crate::analysis::lint::Level;
use crate::analysis::lint::fix::Fixed;
use crate::engine::Fault;

/// A report as JSON has it.
#[derive(Debug, Serialize)]
pub(super) struct Written<'a> {
    findings: Vec<One<'a>>,
    counts: BTreeMap<&'static str, usize>,
    policies: usize,
    fixed: &'a BTreeMap<String, usize>,
    not_fixed: &'a [String],
    not_run: Vec<NotRun>,
    faults: &'a [Fault],
}

#[derive(Debug, Serialize)]
struct One<'a> {
    rule: &'static str,
    group: Group,
    level: Level,
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    policy: Option<&'a str>,
    message: &'a str,
    hint: &'a str,
    fixable: bool,
}

#[derive(Debug, Serialize)]
struct NotRun {
    rule: &'static str,
    why: &'static str,
}

impl<'a> Written<'a> {
    /// All of a report.
    pub(super) fn new(fixed: &'a Fixed) -> Self {
        let report = &fixed.report;
        let levels = [Level::Error, Level::Warning, Level::Info];
        Self {
            findings: report.findings.iter().map(One::new).collect(),
            counts: levels
                .map(|level| (level.as_str(), report.count(level)))
                .into(),
            policies: report.policies,
            fixed: &fixed.changed,
            not_fixed: &fixed.refused,
            not_run: report
                .skipped
                .iter()
                .map(|(rule, why)| NotRun { rule: rule.id, why })
                .collect(),
            faults: &report.faults,
        }
    }
}

impl<'a> One<'a> {
    fn new(finding: &'a Finding) -> Self {
        let start = finding.source.place(finding.span.start);
        let end = finding.source.place(finding.span.end);
        Self {
            rule: finding.rule.id,
            group: finding.rule.group,
            level: finding.level,
            file: &finding.source.file,
            line: start.line,
            column: start.column,
            end_line: end.line,
            end_column: end.column,
            policy: finding.policy.as_deref(),
            message: &finding.message,
            hint: &finding.hint,
            fixable: !finding.edits.is_empty(),
        }
    }
}
