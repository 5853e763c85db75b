//! Findings that are switched off: by `@allow` on a policy, or in the manifest.

use std::collections::BTreeSet;
use std::ops::Range;

use super::finding::Edit;
use super::finding::Finding;
use super::finding::Found;
use super::policy::Policy;
use super::policy::listed;
use super::rule::Check;
use super::rule::Example;
use super::rule::Group;
use super::rule::Level;
use super::rule::Needs;
use super::rule::Rule;
use super::rule::rule;
use super::rule::rules;
use super::subject::Subject;
use super::text_edits::drop_with_space;
use crate::config::closest::closest;
use crate::engine::fault::find_word;

/// The id of the rule that finds exceptions which except nothing.
pub const UNUSED: &str = "unused-allow";

/// The rules of this file.
pub const RULES: &[Rule] = &[
    Rule {
        id: "unknown-rule",
        group: Group::Correctness,
        level: Level::Error,
        summary: "`@allow`, or `[lint]` in the manifest, names a rule that does not exist",
        why: "Whoever wrote it believes that something is switched off, or denied.",
        bad: Example::new(
            r#"@id("operators-read")
@allow("permit-without-ressource")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
@allow("permit-without-resource")
permit (principal in Role::"operator", action == Action::"read", resource);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(unknown_rule),
    },
    Rule {
        id: UNUSED,
        group: Group::Style,
        level: Level::Warning,
        summary: "`@allow` switches off a rule that finds nothing here",
        why: "It would hide the next finding, which nobody has thought about.",
        bad: Example::new(
            r#"@id("operators-read")
@allow("permit-without-resource")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
@allow("permit-without-resource")
permit (principal in Role::"operator", action == Action::"read", resource);"#,
        ),
        is_fixable: true,
        needs: Needs::Compiled,
        check: Check::Last,
    },
];

fn unknown_rule(subject: &Subject<'_>, found: &mut Found) {
    let hint = |name: &str| {
        let meant = closest(name, rules().map(|rule| rule.id));
        meant.map_or_else(
            || "`deodar lint --list` has all rules".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        )
    };
    for (at, policy) in subject.policies.iter().enumerate() {
        let Some(written) = policy.written("allow") else {
            continue;
        };
        found.of = Some(at);
        for name in listed(&written.value).filter(|name| rule(name).is_none()) {
            let message = format!("there is no rule `{name}`");
            found.at(
                policy,
                word(policy, written.span.clone(), name),
                message,
                hint(name),
            );
        }
    }
    found.of = None;
    let (settings, source) = (&subject.manifest.lint, &subject.manifest_source);
    let Some(source) = source else {
        return;
    };
    for name in settings.names().filter(|name| rule(name).is_none()) {
        let span = find_word(&source.text, name).unwrap_or(0..0);
        found.in_file(
            source,
            span,
            format!("there is no rule `{name}`"),
            hint(name),
        );
    }
}

fn word(policy: &Policy, span: Range<usize>, name: &str) -> Range<usize> {
    match find_word(policy.source.slice(&span), name) {
        Some(word) => span.start + word.start..span.start + word.end,
        None => span,
    }
}

/// Takes away what `@allow` allows, and says which policy and rule that was.
pub fn without_allowed(
    findings: Vec<Finding>,
    policies: &[Policy],
) -> (Vec<Finding>, BTreeSet<(usize, &'static str)>) {
    let mut used = BTreeSet::new();
    let kept = findings.into_iter().filter(|finding| {
        let policy = finding.of.and_then(|at| Some((at, policies.get(at)?)));
        match policy {
            Some((at, policy)) if policy.allows.contains(finding.rule.id) => {
                used.insert((at, finding.rule.id));
                false
            }
            _ => true,
        }
    });
    (kept.collect(), used)
}

/// Finds exceptions that except nothing, of the rules that were run.
pub fn unused(
    policies: &[Policy],
    ran: &BTreeSet<&'static str>,
    used: &BTreeSet<(usize, &'static str)>,
    found: &mut Found,
) {
    for (at, policy) in policies.iter().enumerate() {
        let Some(written) = policy.written("allow") else {
            continue;
        };
        let is_used = |name: &str| {
            rule(name).is_none_or(|rule| !ran.contains(rule.id) || used.contains(&(at, rule.id)))
        };
        let names: Vec<&str> = listed(&written.value).collect();
        let kept: Vec<&str> = names.iter().copied().filter(|name| is_used(name)).collect();
        if kept.len() == names.len() && !names.is_empty() {
            continue;
        }
        let edit = if kept.is_empty() {
            Edit::remove(drop_with_space(&policy.source.text, &written.span))
        } else {
            Edit::replace(
                written.span.clone(),
                format!("@allow(\"{}\")", kept.join(", ")),
            )
        };
        found.of = Some(at);
        if names.is_empty() {
            found.at(
                policy,
                written.span.clone(),
                "this allows nothing",
                "remove it",
            );
        }
        for name in names.iter().filter(|name| !kept.contains(name)) {
            let span = word(policy, written.span.clone(), name);
            let message = format!("`{name}` finds nothing in this policy");
            found.at(policy, span, message, "remove it from `@allow`");
        }
        // One edit takes all of them out.
        if let Some(last) = found.findings.last_mut() {
            last.edits.push(edit);
        }
    }
}
