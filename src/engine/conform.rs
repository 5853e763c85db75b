//! Whether values fit the types of a schema, with the path of what does not.
//!
//! Cedar's own check turns every value back into an expression first and
//! answers yes or no; this walks the value once and names the field. Property
//! tests hold it to Cedar's answer.

use std::collections::BTreeMap;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use cedar_policy_core::validator::ValidatorEntityTypeKind;
use cedar_policy_core::validator::ValidatorSchema;
use cedar_policy_core::validator::types::Attributes;
use cedar_policy_core::validator::types::BoolType;
use cedar_policy_core::validator::types::EntityKind;
use cedar_policy_core::validator::types::OpenTag;
use cedar_policy_core::validator::types::Type;
use smol_str::SmolStr;
use thiserror::Error;

/// A value that does not fit the schema.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{path}` {reason}")]
pub struct Misfit {
    /// Where: a dotted path that starts with the name given by the caller.
    pub path: String,
    /// What is wrong with it, to be read after the path.
    pub reason: String,
}

impl Misfit {
    /// A misfit at this path.
    pub fn new(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            reason: reason.into(),
        }
    }

    fn below(mut self, parent: &str) -> Self {
        self.path = match self.path.as_str() {
            "" => parent.to_owned(),
            path if path.starts_with('[') => format!("{parent}{path}"),
            path => format!("{parent}.{path}"),
        };
        self
    }
}

/// Checks a context against the type that the schema declares for an action.
///
/// # Errors
/// The first field, in order of name, that is missing, unknown or of another
/// type.
pub fn context(
    schema: &ValidatorSchema,
    declared: &Type,
    context: &BTreeMap<SmolStr, Value>,
) -> Result<(), Misfit> {
    match declared {
        Type::Record {
            attrs,
            open_attributes,
        } => record(
            schema,
            attrs,
            *open_attributes,
            |name| context.get(name),
            context.keys(),
        )
        .map_err(|misfit| misfit.below("context")),
        _ => Err(Misfit::new("context", "is not declared as a record")),
    }
}

/// Checks an entity: its type, id, attributes, tags and parents.
///
/// # Errors
/// The first thing that the schema refuses.
pub fn entity(schema: &ValidatorSchema, entity: &Entity) -> Result<(), Misfit> {
    let uid = entity.uid();
    let name = || uid.to_string();
    if uid.is_action() {
        return Err(Misfit::new(
            name(),
            "is an action: those are declared by the schema alone",
        ));
    }
    let declared = schema
        .get_entity_type(uid.entity_type())
        .ok_or_else(|| Misfit::new(name(), "has a type that the schema does not declare"))?;
    uid_is_declared(schema, uid).map_err(|reason| Misfit::new(name(), reason))?;
    let attribute = |attr: &SmolStr| match entity.get(attr) {
        Some(PartialValue::Value(value)) => Some(value),
        _ => None,
    };
    record(
        schema,
        declared.attributes(),
        declared.open_attributes(),
        |attr| attribute(attr),
        entity.keys(),
    )
    .map_err(|misfit| misfit.below(&name()))?;
    for (tag, value) in entity.tags() {
        let Some(tag_type) = declared.tag_type() else {
            return Err(Misfit::new(name(), "has tags, but its type takes none"));
        };
        if let PartialValue::Value(value) = value {
            fits(schema, tag_type, value)
                .map_err(|misfit| misfit.below(&format!("{}.tags.{tag}", name())))?;
        }
    }
    for parent in entity.parents() {
        parent_is_allowed(schema, uid.entity_type(), parent)
            .map_err(|reason| Misfit::new(name(), reason))?;
    }
    Ok(())
}

fn parent_is_allowed(
    schema: &ValidatorSchema,
    child: &EntityType,
    parent: &EntityUID,
) -> Result<(), String> {
    uid_is_declared(schema, parent)?;
    let allowed = schema
        .get_entity_type(parent.entity_type())
        .is_some_and(|declared| declared.has_descendant_entity_type(child));
    if allowed {
        Ok(())
    } else {
        Err(format!(
            "cannot be in `{parent}`: the schema does not let `{child}` be in `{}`",
            parent.entity_type()
        ))
    }
}

/// Enumerated entity types have a fixed set of ids, action types a declared one.
fn uid_is_declared(schema: &ValidatorSchema, uid: &EntityUID) -> Result<(), String> {
    if uid.is_action() {
        return match schema.get_action_id(uid) {
            Some(_) => Ok(()),
            None => Err(format!(
                "names the action `{uid}`, which the schema does not declare"
            )),
        };
    }
    match schema
        .get_entity_type(uid.entity_type())
        .map(|declared| &declared.kind)
    {
        Some(ValidatorEntityTypeKind::Enum(ids)) if !ids.contains(uid.eid()) => Err(format!(
            "names `{uid}`, which is not one of the values of its enumerated type"
        )),
        _ => Ok(()),
    }
}

/// Whether a principal or resource uid is one that its type can have.
///
/// # Errors
/// Why not.
pub fn uid(schema: &ValidatorSchema, uid: &EntityUID) -> Result<(), String> {
    uid_is_declared(schema, uid)
}

fn record<'v>(
    schema: &ValidatorSchema,
    declared: &Attributes,
    open: OpenTag,
    value_of: impl Fn(&SmolStr) -> Option<&'v Value>,
    names: impl Iterator<Item = &'v SmolStr>,
) -> Result<(), Misfit> {
    let mut present = 0;
    for name in names {
        present += 1;
        match (declared.get_attr(name), value_of(name)) {
            (Some(attribute), Some(value)) => {
                fits(schema, &attribute.attr_type, value).map_err(|misfit| misfit.below(name))?;
            }
            (None, Some(value)) if open == OpenTag::OpenAttributes => {
                uids_are_declared(schema, value).map_err(|misfit| misfit.below(name))?;
            }
            _ => return Err(Misfit::new(name.as_str(), "is not declared by the schema")),
        }
    }
    let required = || {
        declared
            .iter()
            .filter(|(_, attribute)| attribute.is_required)
    };
    if present < required().count() || required().any(|(name, _)| value_of(name).is_none()) {
        let missing: Vec<_> = required()
            .filter(|(name, _)| value_of(name).is_none())
            .map(|(name, _)| name.as_str())
            .collect();
        return Err(Misfit::new(
            missing.join("`, `"),
            "is required by the schema, and missing",
        ));
    }
    Ok(())
}

fn fits(schema: &ValidatorSchema, expected: &Type, value: &Value) -> Result<(), Misfit> {
    let mismatch = || {
        Err(Misfit::new(
            "",
            format!("is {}, not {}", kind_of(value), name_of(expected)),
        ))
    };
    let ok = match (expected, value.value_kind()) {
        (Type::Bool(expected), ValueKind::Lit(Literal::Bool(value))) => match expected {
            BoolType::AnyBool => true,
            BoolType::True => *value,
            BoolType::False => !*value,
        },
        (Type::Long, ValueKind::Lit(Literal::Long(_)))
        | (Type::String, ValueKind::Lit(Literal::String(_))) => true,
        (Type::Entity(kind), ValueKind::Lit(Literal::EntityUID(uid))) => {
            let fits = match kind {
                EntityKind::AnyEntity => true,
                EntityKind::Entity(types) => types.get_single_entity() == Some(uid.entity_type()),
            };
            if fits {
                uid_is_declared(schema, uid).map_err(|reason| Misfit::new("", reason))?;
            }
            fits
        }
        (Type::Set { element_type }, ValueKind::Set(set)) => {
            if let Some(element_type) = element_type {
                for (index, element) in set.iter().enumerate() {
                    fits(schema, element_type, element)
                        .map_err(|misfit| misfit.below(&format!("[{index}]")))?;
                }
            }
            true
        }
        (
            Type::Record {
                attrs,
                open_attributes,
            },
            ValueKind::Record(fields),
        ) => {
            record(
                schema,
                attrs,
                *open_attributes,
                |name| fields.get(name),
                fields.keys(),
            )?;
            true
        }
        (Type::ExtensionType { name }, ValueKind::ExtensionValue(value)) => {
            value.typename() == *name
        }
        _ => false,
    };
    if ok { Ok(()) } else { mismatch() }
}

fn uids_are_declared(schema: &ValidatorSchema, value: &Value) -> Result<(), Misfit> {
    value
        .all_literal_uids()
        .iter()
        .try_for_each(|uid| uid_is_declared(schema, uid))
        .map_err(|reason| Misfit::new("", reason))
}

fn kind_of(value: &Value) -> String {
    match value.value_kind() {
        ValueKind::Lit(Literal::Bool(_)) => "a bool".to_owned(),
        ValueKind::Lit(Literal::Long(_)) => "a long".to_owned(),
        ValueKind::Lit(Literal::String(_)) => "a string".to_owned(),
        ValueKind::Lit(Literal::EntityUID(uid)) => {
            format!("an entity of type `{}`", uid.entity_type())
        }
        ValueKind::Set(_) => "a set".to_owned(),
        ValueKind::Record(_) => "a record".to_owned(),
        ValueKind::ExtensionValue(value) => format!("a `{}`", value.typename()),
    }
}

fn name_of(expected: &Type) -> String {
    match expected {
        Type::Never => "anything".to_owned(),
        Type::Bool(BoolType::AnyBool) => "a bool".to_owned(),
        Type::Bool(BoolType::True) => "`true`".to_owned(),
        Type::Bool(BoolType::False) => "`false`".to_owned(),
        Type::Long => "a long".to_owned(),
        Type::String => "a string".to_owned(),
        Type::Entity(EntityKind::AnyEntity) => "an entity".to_owned(),
        Type::Entity(EntityKind::Entity(types)) => types.get_single_entity().map_or_else(
            || "an entity".to_owned(),
            |entity_type| format!("an entity of type `{entity_type}`"),
        ),
        Type::Set { .. } => "a set".to_owned(),
        Type::Record { .. } => "a record".to_owned(),
        Type::ExtensionType { name } => format!("a `{name}`"),
    }
}
