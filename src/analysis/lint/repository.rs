//! Policies among the other files of the repository: ids, links, tests.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::example::SHARED;
use super::finding::Found;
use super::rule::Check;
use super::rule::Example;
use super::rule::Group;
use super::rule::Level;
use super::rule::Needs;
use super::rule::Rule;
use super::source::Source;
use super::subject::Subject;

const TEST: &str = r#"cases:
  - name: an operator reads
    principal: User::"ann"
    action: Action::"read"
    resource: Device::"press"
    decision: allow
    policies: [operators-read]
"#;

/// The rules of this file.
pub const RULES: &[Rule] = &[
    Rule {
        id: "duplicate-id",
        group: Group::Correctness,
        level: Level::Error,
        summary: "two policies, templates or links have the same id",
        why: "Answers and the audit log name policies by their id. A repository with such a pair does not compile; this rule \
              names every one of them, also while other faults are in the way.",
        bad: Example::new(
            r#"@id("operators-act")
permit (principal in Role::"operator", action == Action::"read", resource is Device);

@id("operators-act")
permit (principal in Role::"operator", action == Action::"stop", resource is Device);"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);

@id("operators-stop")
permit (principal in Role::"operator", action == Action::"stop", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(duplicate_id),
    },
    Rule {
        id: "unlinked-template",
        group: Group::Correctness,
        level: Level::Info,
        summary: "no link fills the slots of a template",
        why: "A template by itself decides nothing. Silent in a repository without any link, where links are made at run time only.",
        bad: Example::with(
            r#"@id("share")
permit (principal == ?principal, action == Action::"read", resource == ?resource);

@id("lend")
permit (principal == ?principal, action == Action::"command", resource == ?resource);"#,
            &[(
                "links/shares.json",
                r#"[{"template_id": "share", "link_id": "press-with-ann",
  "args": {"?principal": "User::\"ann\"", "?resource": "Device::\"press\""}}]"#,
            )],
        ),
        good: SHARED,
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(unlinked_template),
    },
    Rule {
        id: "untested-policy",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "no test names this policy, or any link of this template, among those that decide",
        why: "Nobody notices when it stops doing what it was written for. A test names a policy under `policies`, where it says which \
              decide; cases that are skipped do not count, nor does what is only under `errors`. In a test file with a fault every id \
              that stands there counts. Not run in a repository without tests.",
        bad: Example::with(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);

@id("operators-stop")
permit (principal in Role::"operator", action == Action::"stop", resource is Device);"#,
            &[("tests/roles.test.yaml", TEST)],
        ),
        good: Example::with(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
            &[("tests/roles.test.yaml", TEST)],
        ),
        is_fixable: false,
        needs: Needs::Tests,
        check: Check::All(untested),
    },
];

fn duplicate_id(subject: &Subject<'_>, found: &mut Found) {
    let mut first: BTreeMap<&str, String> = BTreeMap::new();
    for (at, policy) in subject.policies.iter().enumerate() {
        let line = policy.source.place(policy.effect_span.start).line;
        let here = format!("{}:{line}", policy.source.file);
        if let Some(there) = first.get(policy.id.as_str()) {
            let span = policy
                .written("id")
                .map_or_else(|| policy.head(), |id| id.span.clone());
            let message = format!("`{}` is the id of the policy at {there} too", policy.id);
            found.of = Some(at);
            found.at(policy, span, message, "give one of them another `@id`");
        } else {
            first.insert(&policy.id, here);
        }
    }
    found.of = None;
    let mut sources: BTreeMap<Arc<str>, Arc<Source>> = BTreeMap::new();
    for link in &subject.links {
        let source = sources
            .entry(Arc::clone(&link.file))
            .or_insert_with(|| Arc::new(Source::new(&link.file, &link.source.0)));
        if let Some(there) = first.get(link.id.as_str()) {
            let message = format!(
                "`{}` is the id of the policy or link at {there} too",
                link.id
            );
            found.in_file(
                source,
                link.source.1.clone(),
                message,
                "give it another `link_id`",
            );
        } else {
            let line = source.place(link.source.1.start).line;
            first.insert(&link.id, format!("{}:{line}", link.file));
        }
    }
}

fn unlinked_template(subject: &Subject<'_>, found: &mut Found) {
    let linked: BTreeSet<&str> = subject.links.iter().map(|link| &*link.template).collect();
    if linked.is_empty() {
        return;
    }
    for (at, policy) in subject.policies.iter().enumerate() {
        if policy.is_template() && !linked.contains(policy.id.as_str()) {
            found.of = Some(at);
            found.at(
                policy,
                policy.head(),
                format!("no link fills the slots of `{}`", policy.id),
                "add a link in `links/`; if links are made at run time only, say so with `@allow`",
            );
        }
    }
}

fn untested(subject: &Subject<'_>, found: &mut Found) {
    let Some(tested) = &subject.tested else {
        return;
    };
    let of_templates: BTreeSet<&str> = subject
        .links
        .iter()
        .filter(|link| tested.contains(link.id.as_str()))
        .map(|link| &*link.template)
        .collect();
    for (at, policy) in subject.policies.iter().enumerate() {
        let id = policy.id.as_str();
        if !tested.contains(id) && !of_templates.contains(id) {
            found.of = Some(at);
            found.at(
                policy,
                policy.head(),
                format!("no test names `{id}`"),
                "add a case in which it decides, and name it under `policies`",
            );
        }
    }
}
