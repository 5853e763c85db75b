//! A value of a type, for something that has none yet.

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use cedar_policy_core::validator::types::Attributes;
use cedar_policy_core::validator::types::EntityKind;
use cedar_policy_core::validator::types::Type;

use super::world::Place;
use super::world::World;
use crate::engine::Snapshot;
use crate::engine::value::Extension;

/// A value that the schema allows at a place: simple, and seldom the right one; the
/// search goes on from it. `None` without a schema.
pub(super) fn sample(snapshot: &Snapshot, world: &World, place: &Place) -> Option<Value> {
    let schema = snapshot.schema()?;
    let (first, rest) = place.path().split_first()?;
    let attributes = match place {
        Place::Context(_) => match &schema.action(&world.query.action)?.context {
            Type::Record { attrs, .. } => attrs,
            _ => return None,
        },
        Place::Attribute(uid, _) => {
            let declared = schema.validator().get_entity_type(uid.entity_type())?;
            declared.attributes()
        }
    };
    let mut found = Arc::clone(&attributes.get_attr(first)?.attr_type);
    for name in rest {
        let Type::Record { attrs, .. } = &*found else {
            return None;
        };
        found = Arc::clone(&attrs.get_attr(name)?.attr_type);
    }
    of_type(world, &found)
}

fn of_type(world: &World, wanted: &Type) -> Option<Value> {
    match wanted {
        Type::Bool(_) => Some(Value::from(true)),
        Type::Long => Some(Value::from(0)),
        Type::String => Some(Value::from("")),
        Type::Set { .. } => Some(Value::empty_set(None)),
        Type::Record { attrs, .. } => of_record(world, attrs),
        Type::Entity(EntityKind::Entity(types)) => {
            let wanted = types.get_single_entity()?;
            let known = world.view.iter().map(|(named, _)| &**named.uid());
            let first = known.filter(|uid| uid.entity_type() == wanted).min();
            first.map(|uid| Value::from(EntityUID::clone(uid)))
        }
        Type::ExtensionType { name } => {
            let (kind, text) = match name.to_string().as_str() {
                "datetime" => (Extension::Datetime, "1970-01-01"),
                "duration" => (Extension::Duration, "0s"),
                "decimal" => (Extension::Decimal, "0.0"),
                "ipaddr" => (Extension::Ip, "192.0.2.1"),
                _ => return None,
            };
            kind.parse(text).ok()
        }
        _ => None,
    }
}

fn of_record(world: &World, attributes: &Attributes) -> Option<Value> {
    let mut fields = Vec::new();
    for (name, attribute) in attributes.iter() {
        if attribute.is_required {
            fields.push((name.clone(), of_type(world, &attribute.attr_type)?));
        }
    }
    Some(Value::record(fields, None))
}
