//! The report of a run as XML of `JUnit`, as Jenkins, GitLab and others take it.
//!
//! There is no standard; this keeps to what the schemas of Jenkins allow.

use std::fmt::Write as _;

use super::report::Failed;
use super::report::Report;
use super::report::Status;
use super::report::Suite;
use super::report::Tested;
use crate::engine::Fault;

/// The report. Each fault of a file is a case with an error.
pub(super) fn text(report: &Report) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let counts = report.counts;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds are exact enough")]
    let seconds = report.milliseconds as f64 / 1000.0;
    writeln!(
        text,
        r#"<testsuites name="deodar" tests="{}" failures="{}" errors="{}" time="{seconds:.3}">"#,
        counts.cases + report.faults.len(),
        counts.failed,
        counts.broken + report.faults.len(),
    )
    .ok();
    for suite in &report.suites {
        suite_element(&mut text, report, suite);
    }
    let mut faults = report.faults.as_slice();
    while let Some(first) = faults.first() {
        let same = faults
            .iter()
            .take_while(|fault| fault.file == first.file)
            .count();
        let (of_file, rest) = faults.split_at_checked(same).unwrap_or((faults, &[]));
        faulty_file(&mut text, report, &first.file, of_file);
        faults = rest;
    }
    text + "</testsuites>\n"
}

fn suite_element(text: &mut String, report: &Report, suite: &Suite) {
    let number = |status| {
        let cases = suite.cases.iter();
        cases.filter(|case| case.status == status).count()
    };
    writeln!(
        text,
        r#"  <testsuite name="{}" package="{}" tests="{}" failures="{}" errors="{}" skipped="{}">"#,
        escaped(&suite.name),
        escaped(&report.path(&suite.file)),
        suite.cases.len(),
        number(Status::Failed),
        number(Status::Broken),
        number(Status::Skipped),
    )
    .ok();
    for case in &suite.cases {
        case_element(text, report, suite, case);
    }
    text.push_str("  </testsuite>\n");
}

fn case_element(text: &mut String, report: &Report, suite: &Suite, case: &Tested) {
    let place = format!("{}:{}", report.path(&suite.file), case.line_of_fault());
    let inner = match (&case.failure, &case.fault, &case.skipped) {
        (Some(failed), ..) => {
            let message = summary(failed);
            let told = format!("{place}\n{}", why(report, failed));
            element("failure", "failed", &message, &told)
        }
        (_, Some(fault), _) => {
            let hint = fault.hint.as_deref().unwrap_or_default();
            element(
                "error",
                "broken",
                &fault.message,
                &format!("{place}\n{hint}"),
            )
        }
        // As text: the schema has no attribute here.
        (.., Some(reason)) => format!("      <skipped>{}</skipped>\n", escaped(reason)),
        _ => String::new(),
    };
    test_case(text, &suite.name, &case.name, &inner);
}

fn faulty_file(text: &mut String, report: &Report, file: &str, faults: &[Fault]) {
    let path = report.path(file);
    writeln!(
        text,
        r#"  <testsuite name="{0}" package="{0}" tests="{1}" failures="0" errors="{1}" skipped="0">"#,
        escaped(&path),
        faults.len(),
    )
    .ok();
    for fault in faults {
        let place = match fault.line {
            0 => path.clone(),
            line => format!("{path}:{line}:{}", fault.column),
        };
        let hint = fault.hint.as_deref().unwrap_or_default();
        let inner = element(
            "error",
            "fault",
            &fault.message,
            &format!("{place}\n{hint}"),
        );
        test_case(text, &path, &place, &inner);
    }
    text.push_str("  </testsuite>\n");
}

fn test_case(text: &mut String, class: &str, name: &str, inner: &str) {
    let (class, name) = (escaped(class), escaped(name));
    write!(text, r#"    <testcase classname="{class}" name="{name}""#).ok();
    if inner.is_empty() {
        text.push_str("/>\n");
    } else {
        write!(text, ">\n{inner}    </testcase>\n").ok();
    }
}

fn element(name: &str, kind: &str, message: &str, inner: &str) -> String {
    format!(
        "      <{name} type=\"{kind}\" message=\"{}\">{}</{name}>\n",
        escaped(message),
        escaped(inner)
    )
}

fn summary(failed: &Failed) -> String {
    failed.lines().join("; ")
}

fn why(report: &Report, failed: &Failed) -> String {
    let mut text = failed.sentence.to_owned();
    for policy in &failed.policies {
        let path = report.path(&policy.file);
        write!(text, "\n{} at {path}:{}", policy.id, policy.line).ok();
    }
    for error in &failed.errors {
        write!(text, "\n{} failed: {}", error.policy.id, error.message).ok();
    }
    for miss in &failed.near_misses {
        let path = report.path(&miss.policy.file);
        let (id, condition) = (&miss.policy.id, &miss.condition);
        write!(
            text,
            "\nnearly {id}, but for {condition} at {path}:{}",
            miss.line
        )
        .ok();
        for read in &miss.values {
            write!(text, "\n  {} = {}", read.expression, read.value).ok();
        }
    }
    text
}

/// Text as XML 1.0 has it, in elements and attributes. What XML has no character
/// for, even escaped, becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // An attribute would have blanks instead.
            '\n' | '\r' | '\t' => {
                write!(escaped, "&#{};", u32::from(char)).ok();
            }
            '\0'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => {
                escaped.push(char::REPLACEMENT_CHARACTER);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn every_text_is_xml() {
        assert_eq!(
            escaped("a<b> & \"c\" ]]>\n\t\u{1}\u{ffff}\u{7f}é"),
            "a&lt;b&gt; &amp; &quot;c&quot; ]]&gt;&#10;&#9;\u{fffd}\u{fffd}\u{7f}é"
        );
    }
}
