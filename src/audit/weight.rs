//! Bytes of memory that what is recorded takes while it waits.

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Literal;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use cedar_policy_core::ast::ValueKind;
use smol_str::SmolStr;

/// What a member of a map or set takes beside its name and value.
const NODE_BYTES: usize = 32;
/// An extension value, with what it was made of.
const EXTENSION_BYTES: usize = 128;

/// Bytes of values by name.
pub(super) fn of_fields<'a>(fields: impl Iterator<Item = (&'a SmolStr, &'a Value)>) -> usize {
    fields
        .map(|(name, value)| NODE_BYTES + of_text(name) + of_value(value))
        .sum()
}

/// Bytes of an entity that a request carried.
pub(super) fn of_entity(entity: &Entity) -> usize {
    let whole = |(name, value): (&SmolStr, &PartialValue)| {
        let value = match value {
            PartialValue::Value(value) => of_value(value),
            PartialValue::Residual(_) => 0,
        };
        NODE_BYTES + of_text(name) + value
    };
    let parents = entity.parents();
    let parents = parents.map(|parent| NODE_BYTES + size_of_val(parent) + of_id(parent));
    size_of::<Entity>()
        + of_id(entity.uid())
        + entity.attrs().map(whole).sum::<usize>()
        + entity.tags().map(whole).sum::<usize>()
        + parents.sum::<usize>()
}

fn of_value(value: &Value) -> usize {
    let beside = match &value.value {
        ValueKind::Lit(Literal::String(text)) => of_text(text),
        ValueKind::Lit(Literal::EntityUID(uid)) => size_of_val(&**uid) + of_id(uid),
        ValueKind::Lit(Literal::Bool(_) | Literal::Long(_)) => 0,
        ValueKind::Set(set) => set.iter().map(|value| NODE_BYTES + of_value(value)).sum(),
        ValueKind::Record(fields) => of_fields(fields.iter()),
        ValueKind::ExtensionValue(_) => EXTENSION_BYTES,
    };
    size_of::<Value>() + beside
}

fn of_id(uid: &EntityUID) -> usize {
    let id: &str = uid.eid().as_ref();
    id.len()
}

/// Short ones are in their places.
fn of_text(text: &SmolStr) -> usize {
    size_of::<SmolStr>()
        + if text.is_heap_allocated() {
            text.len()
        } else {
            0
        }
}
