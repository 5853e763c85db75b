//! Findings as SARIF 2.1.0 has them (OASIS, "Static Analysis Results Interchange
//! Format"), for code scanning.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use serde_json::json;
use sha2::Digest as _;
use sha2::Sha256;

use crate::analysis::lint::Finding;
use crate::analysis::lint::Level;
use crate::analysis::lint::Report;
use crate::analysis::lint::Rule;
use crate::analysis::lint::rules;
use crate::cli::validate::github::from_here;
use crate::engine::Fault;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// A log with one run.
pub(super) fn log(report: &Report, root: &Path) -> Value {
    let faults: Vec<Value> = report
        .faults
        .iter()
        .map(|fault| notification(fault, root))
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "deodar",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules().map(descriptor).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": faults.is_empty(),
                "toolExecutionNotifications": faults,
            }],
            "results": report.findings.iter().map(|finding| result(finding, root)).collect::<Vec<_>>(),
        }],
    })
}

fn descriptor(rule: &'static Rule) -> Value {
    let (bad, good) = (rule.bad.policies, rule.good.policies);
    json!({
        "id": rule.id,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why},
        "help": {
            "text": format!("{}\n\nBad:\n{bad}\n\nGood:\n{good}", rule.why),
            "markdown": format!(
                "{}\n\nBad:\n\n```cedar\n{bad}\n```\n\nGood:\n\n```cedar\n{good}\n```\n",
                rule.why
            ),
        },
        "defaultConfiguration": {"level": level(rule.level)},
        "properties": {"tags": [rule.group.as_str()]},
    })
}

/// What SARIF calls a level.
fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "note",
    }
}

fn result(finding: &Finding, root: &Path) -> Value {
    let start = finding.source.place(finding.span.start);
    let end = finding.source.place(finding.span.end);
    let index = rules().position(|rule| rule.id == finding.rule.id);
    json!({
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        "level": level(finding.level),
        "message": {"text": format!("{}; {}", finding.message, finding.hint)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&from_here(root, &finding.source.file))},
            "region": {
                "startLine": start.line,
                "startColumn": start.column,
                "endLine": end.line,
                "endColumn": end.column,
            },
        }}],
        "partialFingerprints": {"deodar/v1": fingerprint(finding)},
    })
}

/// The same for the same finding after lines above it have come or gone.
fn fingerprint(finding: &Finding) -> String {
    let mut hash = Sha256::new();
    let policy = finding.policy.as_deref().unwrap_or_default();
    let text = finding.source.slice(&finding.span);
    for part in [
        finding.rule.id,
        &finding.source.file,
        policy,
        text,
        &finding.message,
    ] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let digest = hash.finalize();
    let digest = digest.iter().take(16);
    digest.fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn notification(fault: &Fault, root: &Path) -> Value {
    let mut location = json!({"artifactLocation": {"uri": uri(&from_here(root, &fault.file))}});
    if fault.line > 0 {
        let region = json!({"startLine": fault.line, "startColumn": fault.column});
        if let Some(members) = location.as_object_mut() {
            members.insert("region".to_owned(), region);
        }
    }
    json!({
        "level": "error",
        "message": {"text": fault.message},
        "locations": [{"physicalLocation": location}],
    })
}

/// A path as a reference of RFC 3986.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    path.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
