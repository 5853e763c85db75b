//! A proof as JSON.

use serde_json::Value as Json;
use serde_json::json;

use super::Outcome;
use super::text::wanted;
use crate::analysis::symbolic::Environment;
use crate::analysis::symbolic::Findings;
use crate::analysis::symbolic::Proof;
use crate::analysis::symbolic::counterexample::Wanted;

/// The shape, for the help text.
pub(super) const HELP: &str = r#"How to write what came out. JSON: {"solver": {"path", "version", "timeout_seconds"}, "assumed", "environments", "invariants": [{"name", "file", "line", "claim", "links", "because", "result": "holds" | "broken" | "unknown" | "about_nothing", "environments", "counterexamples": [{"environment": {"principal", "action", "resource"}, "wanted": "allow" | "deny" | "no_errors" | null, "notes", "case": {"principal", "action", "resource", "context", "entities", "links"}}], "unknown": [{"environment", "reason"}]}], "findings": [{"kind": "never_applies" | "overridden" | "redundant" | "can_fail", "id", "of": "policy" | "link" | "template", "effect", "file", "line", "because_of", "environment", "case"}], "unknown": [{"id", "environment", "reason"}], "left_out": [{"environment", "policies"}], "accepted": number, "accepted_in_vain": [{"kind", "id", "because", "file", "line"}], "faults": [{"file", "line", "column", "text", "message", "hint", "is_warning"}], "invariants_left_out": number}; without reports, `findings`, `unknown` and `left_out` are null"#;

/// All that came out.
pub(super) fn report(outcome: &Outcome<'_>) -> Json {
    let findings = outcome.findings.as_ref();
    json!({
        "solver": outcome.solver,
        "assumed": outcome.assumed,
        "environments": outcome.environments,
        "invariants": outcome.proofs.iter().map(invariant).collect::<Vec<_>>(),
        "findings": findings.map(found),
        "unknown": findings.map(unknown),
        "left_out": findings.map(left_out),
        "accepted": outcome.accepted,
        "accepted_in_vain": in_vain(outcome),
        "faults": outcome.faults,
        "invariants_left_out": outcome.left_out,
    })
}

/// `holds`, `broken`, `unknown` or `about_nothing`.
fn result(proof: &Proof<'_>) -> &'static str {
    if proof.outcomes.is_empty() {
        "about_nothing"
    } else if proof.broken().next().is_some() {
        "broken"
    } else if proof.unknown().next().is_some() {
        "unknown"
    } else {
        "holds"
    }
}

fn invariant(proof: &Proof<'_>) -> Json {
    let invariant = proof.invariant;
    let counterexamples = proof.broken().map(|(at, example)| {
        json!({
            "environment": environment(at),
            "wanted": word(wanted(&invariant.claim)),
            "notes": example.notes,
            "case": example,
        })
    });
    let unknown = proof
        .unknown()
        .map(|(at, reason)| json!({"environment": environment(at), "reason": reason}));
    json!({
        "name": invariant.name,
        "file": &*invariant.file,
        "line": invariant.line,
        "claim": invariant.claim.key(),
        "links": invariant.links,
        "because": invariant.because,
        "result": result(proof),
        "environments": proof.outcomes.len(),
        "counterexamples": counterexamples.collect::<Vec<_>>(),
        "unknown": unknown.collect::<Vec<_>>(),
    })
}

fn word(wanted: Wanted) -> Option<&'static str> {
    match wanted {
        Wanted::Allow => Some("allow"),
        Wanted::Deny => Some("deny"),
        Wanted::NoErrors => Some("no_errors"),
        Wanted::Nothing => None,
    }
}

fn environment(environment: &Environment) -> Json {
    json!({
        "principal": environment.principal.to_string(),
        "action": environment.action.to_string(),
        "resource": environment.resource.to_string(),
    })
}

fn found(findings: &Findings) -> Json {
    let found = findings.found.iter().map(|finding| {
        let example = finding.example.as_ref();
        let at = example.map(|(at, _)| environment(at));
        let case = example.map(|(_, case)| case);
        json!({
            "kind": finding.kind.as_str(),
            "id": finding.unit.id(),
            "of": finding.unit.kind(),
            "effect": finding.unit.effect().to_string(),
            "file": &*finding.unit.info.file,
            "line": finding.unit.info.line,
            "because_of": finding.because_of,
            "environment": at,
            "case": case,
        })
    });
    found.collect()
}

fn unknown(findings: &Findings) -> Json {
    let unknown = findings.unknown.iter().map(
        |(id, at, reason)| json!({"id": id, "environment": environment(at), "reason": reason}),
    );
    unknown.collect()
}

fn in_vain(outcome: &Outcome<'_>) -> Json {
    let in_vain = outcome.in_vain.iter().map(|(accepted, id)| {
        json!({
            "kind": accepted.kind.as_str(),
            "id": id,
            "because": accepted.because,
            "file": &*accepted.file,
            "line": accepted.line,
        })
    });
    in_vain.collect()
}

fn left_out(findings: &Findings) -> Json {
    let left_out = findings.left_out.iter();
    let left_out = left_out
        .map(|(at, policies)| json!({"environment": environment(at), "policies": policies}));
    left_out.collect()
}
