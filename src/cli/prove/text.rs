//! A proof as people read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::Outcome;
use crate::analysis::invariants::Claim;
use crate::analysis::symbolic::Counterexample;
use crate::analysis::symbolic::Environment;
use crate::analysis::symbolic::Findings;
use crate::analysis::symbolic::Proof;
use crate::analysis::symbolic::counterexample::Wanted;
use crate::analysis::symbolic::findings::Finding;
use crate::analysis::symbolic::findings::Kind;
use crate::analysis::symbolic::solver::NO_ANSWER;
use crate::cli::output::BAD;
use crate::cli::output::FAINT;
use crate::cli::output::GOOD;
use crate::cli::output::HEAD;
use crate::cli::output::NAME;
use crate::cli::output::WARN;
use crate::cli::output::count;
use crate::cli::output::paint;
use crate::cli::validate::github::annotation;
use crate::cli::validate::github::data;
use crate::cli::validate::github::from_here;
use crate::cli::validate::github::property;
use crate::engine::Fault;

/// More environments than this are counted, not named.
const NAMED_MAX: usize = 3;

/// What the invariant wants of a test case.
pub(super) fn wanted(claim: &Claim) -> Wanted {
    match claim {
        Claim::Never(_) => Wanted::Deny,
        Claim::Always(_) => Wanted::Allow,
        Claim::NeverErrors(_) => Wanted::NoErrors,
        Claim::NeverApplies(_) | Claim::Implies(..) | Claim::Disjoint(..) => Wanted::Nothing,
    }
}

/// What is broken, what is not known, what was found, and a line about it all.
pub(super) fn human(outcome: &Outcome<'_>) -> String {
    let mut text = String::new();
    for proof in &outcome.proofs {
        text.push_str(&broken(proof));
    }
    text.push_str(&unknown_invariants(&outcome.proofs));
    if let Some(findings) = &outcome.findings {
        text.push_str(&found(findings));
    }
    for (accepted, id) in &outcome.in_vain {
        let place = paint(FAINT, &format!("{}:{}", accepted.file, accepted.line));
        let head = paint(WARN, "accepted in vain:");
        let (id, words) = (paint(HEAD, id), accepted.kind.words());
        writeln!(text, "{head} that {id} {words} was not found {place}\n").ok();
    }
    for assumed in &outcome.assumed {
        writeln!(text, "{} {assumed}\n", paint(WARN, "assumed:")).ok();
    }
    if is_short_of_time(outcome) {
        let hint = paint(NAME, "hint:");
        writeln!(
            text,
            "{hint} give the solver more time for each question with `--timeout`, such as `--timeout 60s`\n"
        )
        .ok();
    }
    text.push_str(&summary(outcome));
    text
}

/// Whether something is not known because a question took too long.
fn is_short_of_time(outcome: &Outcome<'_>) -> bool {
    let of_proofs = outcome.proofs.iter().flat_map(Proof::unknown);
    let of_findings = outcome.findings.iter().flat_map(|found| &found.unknown);
    of_proofs
        .map(|(_, reason)| reason)
        .chain(of_findings.map(|(_, _, reason)| reason.as_str()))
        .any(|reason| reason.contains(NO_ANSWER))
}

fn broken(proof: &Proof<'_>) -> String {
    let mut text = String::new();
    let invariant = proof.invariant;
    let place = paint(FAINT, &format!("{}:{}", invariant.file, invariant.line));
    let head = |word: &str| {
        format!(
            "{} {} {place}\n",
            paint(BAD, word),
            paint(HEAD, &invariant.name)
        )
    };
    if proof.outcomes.is_empty() {
        text.push_str(&head("about nothing:"));
        text.push_str("  no request of the schema is concerned by it, so it proves nothing; mend its policy, `assume` or `environments`\n\n");
        return text;
    }
    let all: Vec<(&Environment, &Counterexample)> = proof.broken().collect();
    let Some((environment, example)) = all.first() else {
        return text;
    };
    text.push_str(&head("broken:"));
    if let Some(because) = &invariant.because {
        writeln!(text, "  because: {because}").ok();
    }
    let more = match all.len() - 1 {
        0 => String::new(),
        more => format!(" and {}", count(more, "other", "others")),
    };
    writeln!(
        text,
        "  in {}{more}, such as",
        paint(NAME, &environment.to_string())
    )
    .ok();
    let claim = &invariant.claim;
    let case = example.test_case(&invariant.name, &reasons(claim), wanted(claim));
    text.push_str(&indented(&case));
    text.push('\n');
    text
}

fn reasons(claim: &Claim) -> Vec<String> {
    let reason = match claim {
        Claim::Never(_) => "the invariant wants deny, the policies allow".to_owned(),
        Claim::Always(_) => "the invariant wants allow, the policies deny".to_owned(),
        Claim::NeverErrors(_) => "a policy fails to evaluate".to_owned(),
        Claim::NeverApplies(_) => "a policy matches that never should".to_owned(),
        Claim::Implies(narrow, wide) => format!("`{narrow}` matches, `{wide}` does not"),
        Claim::Disjoint(one, other) => format!("`{one}` and `{other}` both match"),
    };
    vec![reason]
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["    ", line, "\n"]).collect()
}

/// Invariants of which nobody knows, by reason.
fn unknown_invariants(proofs: &[Proof<'_>]) -> String {
    let mut text = String::new();
    for proof in proofs {
        let mut by_reason: BTreeMap<&str, Vec<&Environment>> = BTreeMap::new();
        for (environment, reason) in proof.unknown() {
            by_reason.entry(reason).or_default().push(environment);
        }
        for (reason, environments) in by_reason {
            let invariant = proof.invariant;
            let place = paint(FAINT, &format!("{}:{}", invariant.file, invariant.line));
            let name = paint(HEAD, &invariant.name);
            writeln!(text, "{} {name} {place}", paint(WARN, "unknown:")).ok();
            writeln!(text, "  {reason}\n  in {}\n", named(&environments)).ok();
        }
    }
    text
}

fn named(environments: &[&Environment]) -> String {
    let shown = environments.iter().take(NAMED_MAX);
    let shown: Vec<String> = shown
        .map(|environment| paint(NAME, &environment.to_string()))
        .collect();
    match environments.len().saturating_sub(NAMED_MAX) {
        0 => shown.join("; "),
        more => format!(
            "{}; and {}",
            shown.join("; "),
            count(more, "other", "others")
        ),
    }
}

fn found(findings: &Findings) -> String {
    let mut text = String::new();
    for finding in &findings.found {
        text.push_str(&one_found(finding));
    }
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (id, environment, reason) in &findings.unknown {
        let of = format!("`{id}` in {}", paint(NAME, &environment.to_string()));
        by_reason.entry(reason).or_default().push(of);
    }
    for (reason, of) in by_reason {
        let shown: Vec<&str> = of.iter().take(NAMED_MAX).map(String::as_str).collect();
        let more = match of.len().saturating_sub(NAMED_MAX) {
            0 => String::new(),
            more => format!("; and {}", count(more, "other", "others")),
        };
        let head = paint(WARN, "unknown:");
        writeln!(text, "{head} {reason}\n  of {}{more}\n", shown.join("; ")).ok();
    }
    for (environment, policies) in &findings.left_out {
        let head = paint(WARN, "left out:");
        let environment = paint(NAME, &environment.to_string());
        writeln!(
            text,
            "{head} {policies} policies in {environment} are too many to look for superfluous ones\n"
        )
        .ok();
    }
    text
}

fn one_found(finding: &Finding) -> String {
    let unit = &finding.unit;
    let place = paint(FAINT, &format!("{}:{}", unit.info.file, unit.info.line));
    let head = paint(WARN, "found:");
    let id = paint(HEAD, unit.id());
    let mut text = format!(
        "{head} {} {id} {} {place}\n",
        unit.kind(),
        finding.kind.words()
    );
    if !finding.because_of.is_empty() {
        let names: Vec<String> = finding
            .because_of
            .iter()
            .map(|id| format!("`{id}`"))
            .collect();
        writeln!(text, "  by {}", names.join(", ")).ok();
    }
    writeln!(text, "  {} {}", paint(NAME, "hint:"), hint(finding.kind)).ok();
    if let Some((_, example)) = &finding.example {
        let reasons = vec![format!("`{}` fails to evaluate", unit.id())];
        let name = format!("{} fails", unit.id());
        let case = example.test_case(&name, &reasons, Wanted::NoErrors);
        text.push_str(&indented(&case));
    }
    text.push('\n');
    text
}

fn hint(kind: Kind) -> &'static str {
    match kind {
        Kind::NeverApplies => {
            "its conditions contradict each other or its scope; mend or remove it"
        }
        Kind::Overridden => "let the forbids spare it, or remove it",
        Kind::Redundant => "remove it, or narrow the others if it was meant to add something",
        Kind::CanFail => {
            "test with `has` or `hasTag` first, and keep numbers within bounds; a forbid that fails denies"
        }
    }
}

fn summary(outcome: &Outcome<'_>) -> String {
    let proofs = &outcome.proofs;
    let broken = proofs
        .iter()
        .filter(|proof| proof.outcomes.is_empty() || proof.broken().next().is_some())
        .count();
    let unknown = proofs
        .iter()
        .filter(|proof| proof.broken().next().is_none() && proof.unknown().next().is_some())
        .count();
    let holding = proofs.len() - broken - unknown;
    let mut parts = Vec::new();
    if broken > 0 {
        parts.push(paint(
            BAD,
            &format!("{} broken", count(broken, "invariant", "invariants")),
        ));
    }
    if unknown > 0 {
        parts.push(paint(WARN, &format!("{unknown} unknown")));
    }
    let verb = if holding == 1 { "holds" } else { "hold" };
    let held = format!("{} {verb}", count(holding, "invariant", "invariants"));
    let style = if broken + unknown == 0 && holding > 0 {
        GOOD
    } else {
        HEAD
    };
    parts.push(if proofs.is_empty() {
        "no invariants".to_owned()
    } else {
        paint(style, &held)
    });
    let environments = count(outcome.environments, "environment", "environments");
    let findings = match &outcome.findings {
        None => "no reports".to_owned(),
        Some(findings) if findings.unknown.is_empty() => {
            count(findings.found.len(), "finding", "findings")
        }
        Some(findings) => format!(
            "{}, {} unknown",
            count(findings.found.len(), "finding", "findings"),
            findings.unknown.len()
        ),
    };
    let accepted = match outcome.accepted {
        0 => String::new(),
        accepted => format!(", {accepted} accepted"),
    };
    let left_out = match outcome.left_out {
        0 => String::new(),
        left_out => {
            let number = count(left_out, "invariant", "invariants");
            format!("; {}", paint(BAD, &format!("{number} left out for faults")))
        }
    };
    let parts = parts.join(", ");
    format!("{parts} in {environments}; {findings}{accepted}{left_out}\n")
}

/// Annotations of GitHub Actions for what is wrong with files.
pub(super) fn annotations(root: &Path, faults: &[Fault]) -> String {
    let faults = faults.iter();
    faults.map(|fault| annotation(root, fault)).collect()
}

/// Annotations of GitHub Actions, and the line about it all.
pub(super) fn github(outcome: &Outcome<'_>) -> String {
    let mut text = annotations(outcome.root, &outcome.faults);
    let place = |file: &str, line: usize| {
        let file = from_here(outcome.root, file);
        format!("file={},line={line}", property(&file))
    };
    for proof in &outcome.proofs {
        let invariant = proof.invariant;
        let at = place(&invariant.file, invariant.line);
        let name = data(&invariant.name);
        if proof.outcomes.is_empty() {
            writeln!(text, "::error {at}::about nothing: {name}").ok();
        }
        if let Some((environment, example)) = proof.broken().next() {
            let claim = &invariant.claim;
            let case = example.test_case(&invariant.name, &reasons(claim), wanted(claim));
            let case = data(&format!("in {environment}\n{case}"));
            writeln!(text, "::error {at}::broken: {name} {case}").ok();
        } else if let Some((environment, reason)) = proof.unknown().next() {
            let reason = data(&format!("in {environment}: {reason}"));
            writeln!(text, "::warning {at}::unknown: {name} {reason}").ok();
        }
    }
    if let Some(findings) = &outcome.findings {
        for finding in &findings.found {
            let (unit, info) = (&finding.unit, &finding.unit.info);
            let at = place(&info.file, info.line);
            let words = format!("{} `{}` {}", unit.kind(), info.id, finding.kind.words());
            writeln!(text, "::warning {at}::{}", data(&words)).ok();
        }
        for (id, environment, reason) in &findings.unknown {
            let words = data(&format!("`{id}` in {environment}: {reason}"));
            writeln!(text, "::warning ::unknown: {words}").ok();
        }
        for (environment, policies) in &findings.left_out {
            let words = data(&format!(
                "{policies} policies in {environment} are too many to look for superfluous ones"
            ));
            writeln!(text, "::notice ::left out: {words}").ok();
        }
    }
    for (accepted, id) in &outcome.in_vain {
        let at = place(&accepted.file, accepted.line);
        let words = data(&format!(
            "that {id} {} was not found",
            accepted.kind.words()
        ));
        writeln!(text, "::warning {at}::accepted in vain: {words}").ok();
    }
    for assumed in &outcome.assumed {
        writeln!(text, "::notice ::assumed: {}", data(assumed)).ok();
    }
    text.push_str(&summary(outcome));
    text
}
