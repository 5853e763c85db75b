//! Names that nothing answers to: entities, types, actions, annotations.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Expr;
use cedar_policy_core::ast::ExprKind;
use cedar_policy_core::ast::Literal;

use super::finding::Found;
use super::policy::Policy;
use super::policy::span_of;
use super::rule::Check;
use super::rule::Example;
use super::rule::Group;
use super::rule::Level;
use super::rule::Needs;
use super::rule::Rule;
use super::subject::Subject;
use crate::config::closest::closest;
use crate::engine::fault::find_word;
use crate::engine::named::Probe;

/// The annotations that mean something to Deodar, or to the reference policies.
pub const ANNOTATIONS: &[&str] = &[
    "advice",
    "allow",
    "cache_ttl",
    "control",
    "id",
    "obligation",
    "reason",
    "title",
];

/// After this many unknown entities nobody looks for what was meant: each is compared with
/// all entities of its type.
const SUGGESTIONS_MAX: usize = 100;

/// The rules of this file.
pub const RULES: &[Rule] = &[
    Rule {
        id: "unknown-entity",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "a policy names an entity that the repository does not have",
        why: "A slip in an id is no error for Cedar: nobody is ever in a role that is not there. Only types of which the \
              repository has entities are looked at; others live in the directory. Types in `implicit_types` of the manifest \
              and ids that the schema lists are left alone.",
        bad: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operater", action == Action::"read", resource is Device);"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Data,
        check: Check::All(unknown_entity),
    },
    Rule {
        id: "unknown-type",
        group: Group::Correctness,
        level: Level::Error,
        summary: "a policy names an entity type that the schema does not declare",
        why: "It matches nothing. Strict validation refuses such a policy; this rule says what was probably meant, also with \
              `validate = \"off\"`.",
        bad: Example::with(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Devise);"#,
            &[("manifest.toml", "validate = \"off\"\n")],
        ),
        good: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Schema,
        check: Check::Each(unknown_type),
    },
    Rule {
        id: "unknown-action",
        group: Group::Correctness,
        level: Level::Error,
        summary: "a policy names an action that the schema does not declare",
        why: "Nobody can ask for it, so the policy says nothing about it. Strict validation refuses such a policy; this rule says what was \
              probably meant, also with `validate = \"off\"`.",
        bad: Example::with(
            r#"@id("operators-stop")
permit (principal in Role::"operator", action == Action::"halt", resource is Device);"#,
            &[("manifest.toml", "validate = \"off\"\n")],
        ),
        good: Example::new(
            r#"@id("operators-stop")
permit (principal in Role::"operator", action == Action::"stop", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Schema,
        check: Check::Each(unknown_action),
    },
    Rule {
        id: "unknown-annotation",
        group: Group::Correctness,
        level: Level::Warning,
        summary: "an annotation is spelt almost like one that means something",
        why: "Cedar takes any annotation, so `@advise` is kept and never shown.",
        bad: Example::new(
            r#"@id("no-risk")
@advise("Try again from the plant.")
forbid (principal, action == Action::"command", resource)
unless { context has risk && context.risk < 3 };"#,
        ),
        good: Example::new(
            r#"@id("no-risk")
@advice("Try again from the plant.")
forbid (principal, action == Action::"command", resource)
unless { context has risk && context.risk < 3 };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(unknown_annotation),
    },
];

/// The entities and types that a policy names, scope and condition.
fn named(policy: &Policy) -> (BTreeSet<EntityUID>, BTreeSet<EntityType>) {
    let template = &policy.template;
    let parties = [
        template.principal_constraint().as_inner(),
        template.resource_constraint().as_inner(),
    ];
    let mut uids = BTreeSet::new();
    let mut types = BTreeSet::new();
    for party in parties {
        uids.extend(party.get_euid().map(|uid| EntityUID::clone(uid)));
        types.extend(party.iter_entity_type_names().cloned());
    }
    uids.extend(template.action_constraint().iter_euids().cloned());
    for expr in policy.expressions() {
        match expr.expr_kind() {
            ExprKind::Lit(Literal::EntityUID(uid)) => {
                uids.insert(EntityUID::clone(uid));
            }
            ExprKind::Is { entity_type, .. } => {
                types.insert(entity_type.clone());
            }
            _ => {}
        }
    }
    types.extend(uids.iter().map(|uid| uid.entity_type().clone()));
    (uids, types)
}

/// Where an entity stands in a policy: its literal, or the first place of its name.
fn place_of(policy: &Policy, uid: &EntityUID) -> std::ops::Range<usize> {
    let is_it = |expr: &&Expr| match expr.expr_kind() {
        ExprKind::Lit(Literal::EntityUID(found)) => **found == *uid,
        _ => false,
    };
    let in_condition = policy.expressions().find(is_it).map(span_of);
    let written = uid.to_string();
    in_condition
        .filter(|span| !span.is_empty())
        .unwrap_or_else(|| place_of_text(policy, &written))
}

fn place_of_text(policy: &Policy, text: &str) -> std::ops::Range<usize> {
    // Annotations come first, and may say the name in prose.
    let from = policy.effect_span.start;
    let rest = policy.source.slice(&(from..policy.span.end));
    match find_word(rest, text) {
        Some(word) => word.start + from..word.end + from,
        None => policy.head(),
    }
}

fn unknown_entity(subject: &Subject<'_>, found: &mut Found) {
    let Some(view) = subject.view() else {
        return;
    };
    let mut stored: BTreeMap<&EntityType, Vec<&str>> = BTreeMap::new();
    for (named, _) in view.iter() {
        let uid = named.uid();
        stored
            .entry(uid.entity_type())
            .or_default()
            .push(uid.eid().as_ref());
    }
    let mut suggestions = 0;
    for (at, policy) in subject.policies.iter().enumerate() {
        found.of = Some(at);
        for uid in named(policy).0 {
            let entity_type = uid.entity_type();
            let Some(ids) = stored.get(entity_type).filter(|_| {
                !entity_type.is_action() && !subject.manifest.implicit_types.contains(entity_type)
            }) else {
                continue;
            };
            if view.get(Probe::new(&uid)).is_some() {
                continue;
            }
            suggestions += 1;
            let wanted: &str = uid.eid().as_ref();
            let meant = (suggestions <= SUGGESTIONS_MAX)
                .then(|| closest(wanted, ids.iter().copied()))
                .flatten();
            let hint = match meant {
                Some(meant) => format!("did you mean `{entity_type}::\"{meant}\"`?"),
                None => "add it to `entities/`, or list its type in `implicit_types`".to_owned(),
            };
            found.at(
                policy,
                place_of(policy, &uid),
                format!("the repository has no entity `{uid}`"),
                hint,
            );
        }
    }
}

fn unknown_type(subject: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let Some(schema) = subject.schema() else {
        return;
    };
    for entity_type in named(policy).1 {
        let name = entity_type.to_string();
        if schema.entity_type(&name).is_some() || entity_type.is_action() {
            continue;
        }
        let meant = closest(&name, schema.type_names());
        found.at(
            policy,
            place_of_text(policy, &name),
            format!("the schema declares no type `{name}`"),
            did_you_mean(meant, "declare it in the schema"),
        );
    }
}

fn unknown_action(subject: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let Some(schema) = subject.schema() else {
        return;
    };
    let declared = || schema.validator().action_ids();
    for uid in named(policy).0 {
        if !uid.entity_type().is_action() || declared().any(|action| *action.name() == uid) {
            continue;
        }
        let names: Vec<String> = declared().map(|action| action.name().to_string()).collect();
        let meant = closest(&uid.to_string(), names.iter().map(String::as_str));
        found.at(
            policy,
            place_of(policy, &uid),
            format!("the schema declares no action `{uid}`"),
            did_you_mean(meant, "declare it in the schema"),
        );
    }
}

fn unknown_annotation(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for written in &policy.annotations {
        let name = written.name.as_str();
        if ANNOTATIONS.contains(&name) || name.len() < 3 {
            continue;
        }
        if let Some(meant) = closest(
            name,
            ANNOTATIONS.iter().copied().filter(|name| name.len() > 3),
        ) {
            found.at(
                policy,
                written.span.clone(),
                format!("`@{name}` means nothing to Deodar"),
                format!("did you mean `@{meant}`?"),
            );
        }
    }
}

fn did_you_mean(meant: Option<&str>, otherwise: &str) -> String {
    meant.map_or_else(
        || otherwise.to_owned(),
        |meant| format!("did you mean `{meant}`?"),
    )
}
