//! Policies compared with one another: the same, covered, out of reach.

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::example::SHARED;
use super::finding::Found;
use super::pairs::duplicates;
use super::pairs::shadows;
use super::policy::Policy;
use super::rule::Check;
use super::rule::Example;
use super::rule::Group;
use super::rule::Level;
use super::rule::Needs;
use super::rule::Rule;
use super::scopes::ActionSet;
use super::scopes::Scope;
use super::source::Source;
use super::subject::Subject;
use cedar_policy_core::ast::EntityUID;
use std::sync::Arc;

/// After this many forbids out of reach a permit is taken to be in reach of one.
const FORBIDS_MAX: usize = 1000;

/// The rules of this file.
pub const RULES: &[Rule] = &[
    Rule {
        id: "duplicate-policy",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "two policies have the same effect, scope and condition",
        why: "Who changes or deletes one of them changes nothing, and does not know why.",
        bad: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);

@id("operators-see")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(duplicate_policy),
    },
    Rule {
        id: "shadowed-policy",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "another policy of the same effect applies whenever this one does",
        why: "The narrower policy changes no decision: the restriction that somebody wrote into it does not restrict. \
              A policy that brings an obligation of its own is not reported.",
        bad: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);

@id("operators-read-their-site")
permit (principal in Role::"operator", action == Action::"read", resource is Device)
when { principal has site && resource in principal.site };"#,
        ),
        good: Example::new(
            r#"@id("operators-read-their-site")
permit (principal in Role::"operator", action == Action::"read", resource is Device)
when { principal has site && resource in principal.site };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(shadowed_policy),
    },
    Rule {
        id: "duplicate-link",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "two links fill the slots of a template with the same entities",
        why: "Who takes one of the grants away believes that it is gone.",
        bad: Example::with(
            r#"@id("share")
permit (principal == ?principal, action == Action::"read", resource == ?resource);"#,
            &[(
                "links/shares.json",
                r#"[{"template_id": "share", "link_id": "press-with-ann",
  "args": {"?principal": "User::\"ann\"", "?resource": "Device::\"press\""}},
 {"template_id": "share", "link_id": "ann-reads-press",
  "args": {"?principal": "User::\"ann\"", "?resource": "Device::\"press\""}}]"#,
            )],
        ),
        good: SHARED,
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(duplicate_link),
    },
    Rule {
        id: "permit-no-forbid-reaches",
        group: Group::Security,
        level: Level::Info,
        summary: "no forbid can ever narrow what this permit gives",
        why: "Forbids are the guard rails of a repository: suspended accounts, quarantined devices. An action that none of them \
              is about is open to all whom they were meant to stop. Silent in a repository without any forbid.",
        bad: Example::new(
            r#"@id("operators-command")
permit (principal in Role::"operator", action in Action::"manage", resource is Device);

@id("no-reading-without-mfa")
forbid (principal, action == Action::"read", resource)
unless { context.session has mfa && context.session.mfa };"#,
        ),
        good: Example::new(
            r#"@id("operators-command")
permit (principal in Role::"operator", action in Action::"manage", resource is Device);

@id("nothing-without-mfa")
forbid (principal, action in [Action::"read", Action::"manage"], resource)
unless { context.session has mfa && context.session.mfa };"#,
        ),
        is_fixable: false,
        needs: Needs::Compiled,
        check: Check::All(out_of_reach),
    },
];

fn duplicate_policy(subject: &Subject<'_>, found: &mut Found) {
    for (at, first) in duplicates(&subject.policies) {
        let (Some(policy), Some(first)) = (subject.policies.get(at), subject.policies.get(first))
        else {
            continue;
        };
        found.of = Some(at);
        found.at(
            policy,
            policy.head(),
            format!("the same as `{}` at {}", first.id, place(first)),
            "delete one of them",
        );
    }
}

fn shadowed_policy(subject: &Subject<'_>, found: &mut Found) {
    for (at, wider) in shadows(&subject.policies, &subject.scopes).found {
        let (Some(policy), Some(wider)) = (subject.policies.get(at), subject.policies.get(wider))
        else {
            continue;
        };
        found.of = Some(at);
        found.at(
            policy,
            policy.head(),
            format!(
                "`{}` at {} applies whenever this policy does",
                wider.id,
                place(wider)
            ),
            "delete this one, or narrow the other",
        );
    }
}

fn place(policy: &Policy) -> String {
    let place = policy.source.place(policy.effect_span.start);
    format!("{}:{}", policy.source.file, place.line)
}

fn duplicate_link(subject: &Subject<'_>, found: &mut Found) {
    let mut seen: HashMap<_, &str> = HashMap::new();
    let mut sources: BTreeMap<Arc<str>, Arc<Source>> = BTreeMap::new();
    for link in &subject.links {
        let filled = (&link.template, &link.principal, &link.resource);
        let Some(first) = seen.get(&filled) else {
            seen.insert(filled, &link.id);
            continue;
        };
        let source = sources
            .entry(Arc::clone(&link.file))
            .or_insert_with(|| Arc::new(Source::new(&link.file, &link.source.0)));
        found.in_file(
            source,
            link.source.1.clone(),
            format!("link `{}` grants the same as `{first}`", link.id),
            "delete one of them",
        );
    }
}

/// Forbids by action, and those of any action.
#[derive(Default)]
struct Forbids<'a> {
    by_action: HashMap<&'a EntityUID, Vec<&'a Scope>>,
    /// Those of any action, and of groups whose members nobody knows.
    of_any: Vec<&'a Scope>,
    all: Vec<&'a Scope>,
}

impl<'a> Forbids<'a> {
    fn new(subject: &'a Subject<'_>) -> Self {
        let mut forbids = Self::default();
        for (policy, scope) in subject.policies.iter().zip(&subject.scopes) {
            if policy.is_permit() {
                continue;
            }
            forbids.all.push(scope);
            match &*scope.actions {
                ActionSet::Of { known, groups } if groups.is_empty() => {
                    for action in known {
                        forbids.by_action.entry(action).or_default().push(scope);
                    }
                }
                ActionSet::Any | ActionSet::Of { .. } => forbids.of_any.push(scope),
            }
        }
        forbids
    }

    /// Those that might be about the same actions.
    fn about<'s>(&'s self, actions: &'s ActionSet) -> impl Iterator<Item = &'a Scope> + 's {
        let (every, some) = match actions {
            ActionSet::Of { known, groups } if groups.is_empty() => (None, Some(known)),
            ActionSet::Any | ActionSet::Of { .. } => (Some(&self.all), None),
        };
        let of_some = some.into_iter().flatten();
        let of_some = of_some.filter_map(|action| self.by_action.get(action));
        let any = some.map(|_| &self.of_any);
        every
            .into_iter()
            .chain(any)
            .chain(of_some)
            .flatten()
            .copied()
    }
}

fn out_of_reach(subject: &Subject<'_>, found: &mut Found) {
    let forbids = Forbids::new(subject);
    if forbids.all.is_empty() {
        return;
    }
    for (at, (policy, scope)) in subject.policies.iter().zip(&subject.scopes).enumerate() {
        if !policy.is_permit() {
            continue;
        }
        let mut compared = 0;
        let is_reached = forbids.about(&scope.actions).any(|forbid| {
            compared += 1;
            compared > FORBIDS_MAX || scope.meets(forbid, subject.schema())
        });
        if !is_reached {
            found.of = Some(at);
            found.at(
                policy,
                policy.head(),
                "no forbid can apply to what this permits",
                "is there nobody who must never do this? if so, say it with `@allow`",
            );
        }
    }
}
