//! What the schemas declare: entity types, actions, and what they have.

use std::collections::BTreeMap;

use cedar_policy_core::validator::ValidatorEntityType;
use cedar_policy_core::validator::ValidatorEntityTypeKind;
use cedar_policy_core::validator::types::Attributes;
use cedar_policy_core::validator::types::Type;

use super::facts;
use super::facts::FactChange;
use super::facts::Facts;
use crate::engine::Snapshot;
use crate::engine::schema::ActionFacts;
use crate::engine::schema::Schema;

/// What differs.
pub fn compare(before: &Snapshot, after: &Snapshot) -> Vec<FactChange> {
    let of = |snapshot: &Snapshot| snapshot.schema().map(of).unwrap_or_default();
    facts::compare(&of(before), &of(after))
}

fn of(schema: &Schema) -> Facts {
    let mut facts = Facts::new();
    let validator = schema.validator();
    for declared in validator.entity_types() {
        let owner = format!("entity {}", declared.name());
        facts
            .entry(owner)
            .or_default()
            .extend(entity_type(declared));
        #[expect(clippy::iter_over_hash_type, reason = "what is made of it is in order")]
        for below in &declared.descendants {
            let owner = format!("entity {below}");
            let group = format!("may be in {}", declared.name());
            facts
                .entry(owner)
                .or_default()
                .insert(group, "yes".to_owned());
        }
    }
    for declared in schema.actions() {
        facts.insert(format!("action {}", declared.uid), action(declared));
    }
    facts
}

fn entity_type(declared: &ValidatorEntityType) -> BTreeMap<String, String> {
    let mut parts = attributes("attribute", declared.attributes());
    if let ValidatorEntityTypeKind::Enum(ids) = &declared.kind {
        let ids: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
        parts.insert("ids".to_owned(), ids.join(", "));
    }
    if let Some(tags) = declared.tag_type() {
        parts.insert("tags".to_owned(), tags.to_string());
    }
    parts
}

fn attributes(what: &str, declared: &Attributes) -> BTreeMap<String, String> {
    let told = declared.iter().map(|(name, attribute)| {
        let optional = if attribute.is_required {
            ""
        } else {
            ", optional"
        };
        (
            format!("{what} {name}"),
            format!("{}{optional}", attribute.attr_type),
        )
    });
    told.collect()
}

fn action(action: &ActionFacts) -> BTreeMap<String, String> {
    let mut parts = match &action.context {
        Type::Record { attrs, .. } => attributes("context", attrs),
        other => BTreeMap::from([("context".to_owned(), other.to_string())]),
    };
    for principal in &action.principals {
        parts.insert(format!("principal {principal}"), "may do it".to_owned());
    }
    for resource in &action.resources {
        parts.insert(
            format!("resource {resource}"),
            "may have it done".to_owned(),
        );
    }
    for group in &action.ancestors {
        parts.insert(format!("in {}", group.uid()), "yes".to_owned());
    }
    parts
}
