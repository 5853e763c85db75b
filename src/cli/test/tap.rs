//! The report of a run in the Test Anything Protocol, version 14:
//! <https://testanything.org/tap-version-14-specification.html>.

use std::fmt::Write as _;

use super::report::Report;
use super::report::Status;
use super::report::Suite;
use super::report::Tested;

/// The report. A test file that could not be read is a test that failed.
pub(super) fn text(report: &Report) -> String {
    let mut text = "TAP version 14\n".to_owned();
    writeln!(text, "1..{}", report.counts.cases + report.faults.len()).ok();
    let mut number = 0;
    for (suite, case) in report.cases() {
        number += 1;
        test(&mut text, report, number, suite, case);
    }
    for fault in &report.faults {
        number += 1;
        writeln!(
            text,
            "not ok {number} - {}",
            description(&report.path(&fault.file))
        )
        .ok();
        let mut lines = vec![
            ("message", fault.message.clone()),
            ("at", place(&report.path(&fault.file), fault.line)),
        ];
        lines.extend(fault.hint.clone().map(|hint| ("hint", hint)));
        diagnostic(&mut text, &lines);
    }
    if report.has_no_policies {
        text.push_str("Bail out! the policies cannot be compiled\n");
    }
    // A plan of no tests would be a success.
    if let Some(nothing) = report.nothing_ran() {
        writeln!(text, "Bail out! {}", one_line(&nothing.message)).ok();
    }
    text
}

fn test(text: &mut String, report: &Report, number: usize, suite: &Suite, case: &Tested) {
    let ok = match case.status {
        Status::Passed | Status::Skipped => "ok",
        Status::Failed | Status::Broken => "not ok",
    };
    let name = description(&format!("{}: {}", suite.name, case.name));
    write!(text, "{ok} {number} - {name}").ok();
    if let Some(reason) = &case.skipped {
        write!(text, " # SKIP {}", one_line(reason)).ok();
    }
    text.push('\n');
    let mut lines = Vec::new();
    if let Some(fault) = &case.fault {
        lines.push(("message", fault.message.clone()));
        lines.extend(fault.hint.clone().map(|hint| ("hint", hint)));
    }
    if let Some(failed) = &case.failure {
        lines.push(("message", failed.lines().join("; ")));
        lines.push(("why", failed.sentence.to_owned()));
        for policy in &failed.policies {
            let place = place(&report.path(&policy.file), policy.line);
            lines.push(("policy", format!("{} at {place}", policy.id)));
        }
        for miss in &failed.near_misses {
            let place = place(&report.path(&miss.policy.file), miss.line);
            let miss = format!("{}: {} at {place}", miss.policy.id, miss.condition);
            lines.push(("near", miss));
        }
    }
    if !lines.is_empty() {
        lines.push(("at", place(&report.path(&suite.file), case.line_of_fault())));
        diagnostic(text, &lines);
    }
}

fn place(file: &str, line: usize) -> String {
    if line == 0 {
        file.to_owned()
    } else {
        format!("{file}:{line}")
    }
}

/// A block of YAML. What is there several times is a list.
fn diagnostic(text: &mut String, lines: &[(&str, String)]) {
    text.push_str("  ---\n");
    let mut last = "";
    for (name, value) in lines {
        let is_list = lines.iter().filter(|(other, _)| other == name).count() > 1;
        // A string of JSON is one of YAML.
        let value = serde_json::Value::String(value.clone());
        match (is_list, last == *name) {
            (false, _) => writeln!(text, "  {name}: {value}").ok(),
            (true, false) => writeln!(text, "  {name}:\n    - {value}").ok(),
            (true, true) => writeln!(text, "    - {value}").ok(),
        };
        last = name;
    }
    text.push_str("  ...\n");
}

/// A description of one line, without the marks of a directive.
fn description(text: &str) -> String {
    one_line(text).replace('\\', r"\\").replace('#', r"\#")
}

fn one_line(text: &str) -> String {
    text.split(char::is_control).collect::<Vec<_>>().join(" ")
}
