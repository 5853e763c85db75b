//! What a policy says of itself: id, title, reason, advice.

use std::collections::HashMap;
use std::collections::HashSet;

use cedar_policy_core::ast::ActionConstraint;

use super::finding::Edit;
use super::finding::Found;
use super::policy::Policy;
use super::rule::Check;
use super::rule::Example;
use super::rule::Group;
use super::rule::Level;
use super::rule::Needs;
use super::rule::Rule;
use super::subject::Subject;

/// A policy that says nothing of itself but its id.
const BARE: Example = Example::new(
    r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
);

/// The rules of this file.
pub const RULES: &[Rule] = &[
    Rule {
        id: "missing-id",
        group: Group::Style,
        level: Level::Warning,
        summary: "a policy has no `@id`",
        why: "Its id is then made of its file and position, and becomes that of another policy when one is put before it. \
              The audit log and tests name policies by their id.",
        bad: Example::new(
            r#"@reason("You are an operator.")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
@reason("You are an operator.")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        is_fixable: true,
        needs: Needs::Text,
        check: Check::All(missing_id),
    },
    Rule {
        id: "missing-reason",
        group: Group::Style,
        level: Level::Warning,
        summary: "a policy has no `@reason`",
        why: "The reason is what a person is told when the policy decides.",
        bad: BARE,
        good: Example::new(
            r#"@id("operators-read")
@reason("You are an operator.")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(missing_reason),
    },
    Rule {
        id: "missing-title",
        group: Group::Style,
        level: Level::Info,
        summary: "a policy has no `@title`",
        why: "The title is the policy in one line, for lists and reviews.",
        bad: BARE,
        good: Example::new(
            r#"@id("operators-read")
@title("Operators read devices")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(missing_title),
    },
    Rule {
        id: "missing-advice",
        group: Group::Style,
        level: Level::Info,
        summary: "a forbid has no `@advice`",
        why: "Who is stopped wants to know what to do next. A reason alone becomes a call to the service desk.",
        bad: Example::new(
            r#"@id("nothing-without-mfa")
forbid (principal, action in Action::"manage", resource)
unless { context.session has mfa && context.session.mfa };"#,
        ),
        good: Example::new(
            r#"@id("nothing-without-mfa")
@advice("Sign in with your second factor.")
forbid (principal, action in Action::"manage", resource)
unless { context.session has mfa && context.session.mfa };"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(missing_advice),
    },
    Rule {
        id: "duplicate-title",
        group: Group::Style,
        level: Level::Warning,
        summary: "two policies have the same `@title`",
        why: "Most often one was copied from the other, and the title is not true any more.",
        bad: Example::new(
            r#"@id("operators-read")
@title("Operators read devices")
permit (principal in Role::"operator", action == Action::"read", resource is Device);

@id("operators-stop")
@title("Operators read devices")
permit (principal in Role::"operator", action == Action::"stop", resource is Device);"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
@title("Operators read devices")
permit (principal in Role::"operator", action == Action::"read", resource is Device);

@id("operators-stop")
@title("Operators stop devices")
permit (principal in Role::"operator", action == Action::"stop", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::All(duplicate_title),
    },
    Rule {
        id: "id-not-kebab-case",
        group: Group::Style,
        level: Level::Info,
        summary: "an `@id` is not written in lower case with hyphens",
        why: "Ids are typed by people, into tests, filters and links. One way of writing them is easier to remember than three.",
        bad: Example::new(
            r#"@id("OperatorsRead")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(not_kebab_case),
    },
    Rule {
        id: "empty-annotation",
        group: Group::Style,
        level: Level::Warning,
        summary: "an annotation says nothing",
        why: "It was meant to be filled in. An empty `@id` counts as none.",
        bad: Example::new(
            r#"@id("operators-read")
@obligation("")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        good: Example::new(
            r#"@id("operators-read")
@obligation("log-access")
permit (principal in Role::"operator", action == Action::"read", resource is Device);"#,
        ),
        is_fixable: false,
        needs: Needs::Text,
        check: Check::Each(empty_annotation),
    },
];

fn missing_id(subject: &Subject<'_>, found: &mut Found) {
    let mut taken: HashSet<String> = subject
        .policies
        .iter()
        .map(|policy| policy.id.to_string())
        .collect();
    let linked: HashSet<&str> = subject.links.iter().map(|link| &*link.template).collect();
    for (at, policy) in subject.policies.iter().enumerate() {
        if policy.is_named {
            continue;
        }
        found.of = Some(at);
        let finding = found.at(
            policy,
            policy.head(),
            format!("this policy is known as `{}`", policy.id),
            "give it an `@id` that stays",
        );
        // A link, a test or an invariant names it by the id that it has.
        let id = policy.id.as_str();
        if linked.contains(id) || subject.named_by_position.contains(id) {
            continue;
        }
        let id = free_id(policy, &mut taken);
        let edit = match policy.written("id") {
            Some(empty) => Edit::replace(empty.span.clone(), format!("@id(\"{id}\")")),
            None => {
                let start = policy.span.start;
                let column = policy.source.place(start).column;
                let indent = " ".repeat(column - 1);
                Edit::replace(start..start, format!("@id(\"{id}\")\n{indent}"))
            }
        };
        finding.edits.push(edit);
    }
}

/// An id from the file, the effect and the action: `devices-permit-read`.
fn free_id(policy: &Policy, taken: &mut HashSet<String>) -> String {
    let file = policy.source.file.rsplit('/').next().unwrap_or_default();
    let file = file.strip_suffix(".cedar").unwrap_or(file);
    let action = match policy.template.action_constraint() {
        ActionConstraint::Eq(uid) => {
            let id: &str = uid.eid().as_ref();
            format!(" {id}")
        }
        _ => String::new(),
    };
    let wanted = kebab(&format!("{file} {}{action}", policy.effect()));
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    let mut ids = std::iter::once(wanted.clone()).chain(numbered);
    let id = ids.find(|id| !taken.contains(id)).unwrap_or(wanted);
    taken.insert(id.clone());
    id
}

/// Lower case letters and digits, with hyphens between words.
pub fn kebab(text: &str) -> String {
    let mut words: Vec<String> = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        let starts_word = c.is_uppercase() && before.is_lowercase();
        if (starts_word || !c.is_alphanumeric())
            && words.last().is_some_and(|word| !word.is_empty())
        {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words.join("-")
}

fn missing(policy: &Policy, found: &mut Found, name: &str, hint: &str) {
    if policy.annotation(name).is_none() {
        found.at(
            policy,
            policy.head(),
            format!("`{}` has no `@{name}`", policy.id),
            hint,
        );
    }
}

fn missing_reason(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let hint = "say to the person concerned why it decides: `@reason(\"You are an operator.\")`";
    missing(policy, found, "reason", hint);
}

fn missing_title(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let hint = "say the rule in one line: `@title(\"Operators read devices\")`";
    missing(policy, found, "title", hint);
}

fn missing_advice(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    if !policy.is_permit() {
        let hint = "say what the person can do next: `@advice(\"Sign in again.\")`";
        missing(policy, found, "advice", hint);
    }
}

fn duplicate_title(subject: &Subject<'_>, found: &mut Found) {
    let mut first: HashMap<&str, &Policy> = HashMap::new();
    for (at, policy) in subject.policies.iter().enumerate() {
        let Some(title) = policy.annotation("title") else {
            continue;
        };
        if let Some(other) = first.get(title.value.as_str()) {
            found.of = Some(at);
            found.at(
                policy,
                title.span.clone(),
                format!("`{}` has the same title", other.id),
                "say what is different about this one",
            );
        } else {
            first.insert(&title.value, policy);
        }
    }
}

fn not_kebab_case(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    let Some(written) = policy.annotation("id") else {
        return;
    };
    let wanted = kebab(&written.value);
    if written.value != wanted {
        found.at(
            policy,
            written.span.clone(),
            format!("`{}` is not in kebab case", written.value),
            format!("write `{wanted}`, here and wherever it is named"),
        );
    }
}

fn empty_annotation(_: &Subject<'_>, policy: &Policy, found: &mut Found) {
    for written in &policy.annotations {
        // An empty id is told by `missing-id`.
        let is_ours = super::names::ANNOTATIONS.contains(&written.name.as_str());
        if is_ours && written.name != "id" && written.value.trim().is_empty() {
            found.at(
                policy,
                written.span.clone(),
                format!("`@{}` is empty", written.name),
                "fill it in, or remove it",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::kebab;

    #[test]
    fn ids_are_brought_into_one_form() {
        for (text, id) in [
            ("OperatorsRead", "operators-read"),
            ("operators_read 2", "operators-read-2"),
            ("operators-read", "operators-read"),
            ("--a  b--", "a-b"),
            ("tls-1-3", "tls-1-3"),
            ("", ""),
        ] {
            assert_eq!(kebab(text), id);
        }
    }
}
