//! Cedar JSON, as the cases write it, to engine values and to protobuf.

use std::collections::HashSet;
use std::str::FromStr;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use deodar::engine::query::Context;
use deodar::proto::v1;
use deodar::proto::v1::value::Kind;
use serde_json::Value as Json;

/// A context for the engine, by Cedar's own reading.
pub(crate) fn context(json: &serde_json::Map<String, Json>) -> Context {
    let context = cedar_policy::Context::from_json_value(Json::Object(json.clone()), None).unwrap();
    let context: &cedar_policy_core::ast::Context = context.as_ref();
    match context {
        cedar_policy_core::ast::Context::Value(values) => Context::clone(values),
        cedar_policy_core::ast::Context::RestrictedResidual(_) => panic!("unknowns in a context"),
    }
}

/// A carried entity for the engine, by Cedar's own reading.
pub(crate) fn entity(json: &Json) -> Entity {
    let entity = cedar_policy::Entity::from_json_value(json.clone(), None).unwrap();
    let entity: &Entity = entity.as_ref();
    Entity::new_with_attr_partial_value(
        entity.uid().clone(),
        entity
            .attrs()
            .map(|(name, value)| (name.clone(), value.clone())),
        HashSet::new(),
        entity.parents().cloned().collect(),
        entity
            .tags()
            .map(|(name, value)| (name.clone(), value.clone())),
    )
}

/// `Type::"id"` as a reference.
pub(crate) fn reference(text: &str) -> v1::EntityRef {
    let uid = EntityUid::from_str(text).unwrap();
    let uid: &EntityUID = uid.as_ref();
    v1::EntityRef {
        r#type: uid.entity_type().to_string(),
        id: AsRef::<str>::as_ref(uid.eid()).to_owned(),
    }
}

/// A JSON value with explicit `__extn` and `__entity` as a typed one.
pub(crate) fn typed(json: &Json) -> v1::Value {
    let kind = match json {
        Json::Bool(value) => Kind::Bool(*value),
        Json::Number(value) => Kind::Long(value.as_i64().unwrap()),
        Json::String(value) => Kind::String(value.clone()),
        Json::Array(elements) => Kind::Set(v1::SetValue {
            elements: elements.iter().map(typed).collect(),
        }),
        Json::Object(fields) => match (fields.get("__extn"), fields.get("__entity")) {
            (Some(call), _) => extension(call),
            (_, Some(entity)) => Kind::Entity(reference_of(entity)),
            _ => Kind::Record(v1::RecordValue {
                fields: fields
                    .iter()
                    .map(|(name, value)| (name.clone(), typed(value)))
                    .collect(),
            }),
        },
        Json::Null => panic!("Cedar has no null"),
    };
    v1::Value { kind: Some(kind) }
}

/// A carried entity as protobuf.
pub(crate) fn carried(json: &Json) -> v1::Entity {
    let values = |key: &str| {
        let fields = json
            .get(key)
            .and_then(Json::as_object)
            .cloned()
            .unwrap_or_default();
        fields
            .iter()
            .map(|(name, value)| (name.clone(), typed(value)))
            .collect()
    };
    let parents = json
        .get("parents")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    v1::Entity {
        uid: Some(reference_of(&json["uid"])),
        attributes: values("attrs"),
        tags: values("tags"),
        parents: parents.iter().map(reference_of).collect(),
    }
}

fn reference_of(json: &Json) -> v1::EntityRef {
    let json = json.get("__entity").unwrap_or(json);
    v1::EntityRef {
        r#type: json["type"].as_str().unwrap().to_owned(),
        id: json["id"].as_str().unwrap().to_owned(),
    }
}

fn extension(call: &Json) -> Kind {
    let text = call["arg"].as_str().unwrap().to_owned();
    match call["fn"].as_str().unwrap() {
        "ip" => Kind::Ip(text),
        "decimal" => Kind::Decimal(text),
        "datetime" => Kind::Datetime(text),
        "duration" => Kind::Duration(text),
        other => panic!("no extension function `{other}`"),
    }
}
