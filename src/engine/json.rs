//! Context and entities from Cedar's JSON.
//!
//! Cedar's own parsers check everything against the schema at once, but too
//! early for us: `context.now` may still have to be filled in, and a carried
//! entity may leave out what the stored one has. So values are parsed one by
//! one with the type that the schema declares for them, which is what lets
//! `"10.0.0.1"` be an address; the check of the whole is left to
//! [`Query::new`](super::Query::new) and the overlay.

use std::collections::HashSet;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use cedar_policy_core::entities::EntityUidJson;
use cedar_policy_core::entities::SchemaType;
use cedar_policy_core::entities::json::ValueParser;
use cedar_policy_core::entities::json::err::JsonDeserializationErrorContext;
use cedar_policy_core::evaluator::RestrictedEvaluator;
use cedar_policy_core::extensions::Extensions;
use cedar_policy_core::validator::ValidatorEntityType;
use cedar_policy_core::validator::types::Attributes;
use cedar_policy_core::validator::types::Type;
use serde_json::Map;
use serde_json::Value as Json;
use smol_str::SmolStr;
use thiserror::Error;

use super::query::Context;
use super::snapshot::Snapshot;

/// How much JSON is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Nesting of one context value, attribute or tag: a scalar is 1.
    pub depth_max: usize,
    /// Values, nested ones included, in the context or in all entities.
    pub values_max: usize,
    /// Entities.
    pub entities_max: usize,
}

/// JSON that is no context or no entities: the caller has to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JsonError {
    /// Something other than the object or array that belongs there.
    #[error("`{field}` is not {expected}")]
    Shape {
        /// The field of the request.
        field: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A value that Cedar cannot read.
    #[error("`{field}` {reason}")]
    Value {
        /// The field of the request.
        field: String,
        /// What is wrong, to be read after the field.
        reason: String,
    },
    /// More than a limit allows.
    #[error("`{field}` has more than {limit} {what}")]
    TooMuch {
        /// The field of the request.
        field: String,
        /// The limit.
        limit: usize,
        /// What is limited.
        what: &'static str,
        /// The configuration key of the limit.
        key: &'static str,
    },
}

impl JsonError {
    /// The field of the request that has to be mended.
    pub fn field(&self) -> &str {
        match self {
            Self::Shape { field, .. } | Self::Value { field, .. } | Self::TooMuch { field, .. } => {
                field
            }
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Shape { field, .. } if field == "context" => r#"write {"name": value, ...}"#.into(),
            Self::Shape { .. } => {
                r#"write [{"uid": {"type": "..", "id": ".."}, "attrs": {}, "parents": []}]"#.into()
            }
            Self::Value { .. } => {
                r#"see its type in the schema; an entity is {"type": "..", "id": ".."}, addresses, decimals and times are text"#.into()
            }
            Self::TooMuch { key, .. } => format!("send less, or raise `{key}`"),
        }
    }
}

/// Reads a context as the schema declares it for the action.
///
/// # Errors
/// The first field that cannot be read, or the limit that is exceeded.
pub fn context_from_json(
    snapshot: &Snapshot,
    action: &EntityUID,
    json: Json,
    limits: &JsonLimits,
) -> Result<Context, JsonError> {
    let Json::Object(fields) = json else {
        return Err(shape("context", "an object"));
    };
    let declared = snapshot
        .schema()
        .and_then(|schema| schema.action(action))
        .and_then(|action| match &action.context {
            Type::Record { attrs, .. } => Some(attrs),
            _ => None,
        });
    let mut reader = Reader {
        limits,
        values: 0,
        whole: "context",
    };
    reader.record("context", declared, fields)
}

/// Reads the entities that a request carries, with their direct parents only.
///
/// # Errors
/// The first thing that cannot be read, or the limit that is exceeded.
pub fn entities_from_json(
    snapshot: &Snapshot,
    json: Json,
    limits: &JsonLimits,
) -> Result<Vec<Entity>, JsonError> {
    let Json::Array(items) = json else {
        return Err(shape("entities", "an array of objects"));
    };
    if items.len() > limits.entities_max {
        return Err(too_much(
            "entities",
            limits.entities_max,
            "entities",
            "limits.entities_max",
        ));
    }
    let mut reader = Reader {
        limits,
        values: 0,
        whole: "entities",
    };
    let items = items.into_iter().enumerate();
    items
        .map(|(at, item)| reader.entity(snapshot, at, item))
        .collect()
}

struct Reader<'a> {
    limits: &'a JsonLimits,
    values: usize,
    whole: &'static str,
}

impl Reader<'_> {
    fn entity(&mut self, snapshot: &Snapshot, at: usize, item: Json) -> Result<Entity, JsonError> {
        let name = format!("entities[{at}]");
        let Json::Object(mut fields) = item else {
            return Err(shape(&name, "an object"));
        };
        let uid = fields
            .remove("uid")
            .ok_or_else(|| value_error(&name, "has no `uid`"))?;
        let uid = self.uid(&format!("{name}.uid"), uid)?;
        let declared = snapshot
            .schema()
            .and_then(|schema| schema.validator().get_entity_type(uid.entity_type()));
        let object = |field: &str, json: Option<Json>| match json {
            None => Ok(Map::new()),
            Some(Json::Object(fields)) => Ok(fields),
            Some(_) => Err(shape(&format!("{name}.{field}"), "an object")),
        };
        let attributes = object("attrs", fields.remove("attrs"))?;
        let attributes = self.record(
            &format!("{name}.attrs"),
            declared.map(ValidatorEntityType::attributes),
            attributes,
        )?;
        let tag_type = declared.and_then(ValidatorEntityType::tag_type);
        let mut tags = Vec::new();
        for (tag, json) in object("tags", fields.remove("tags"))? {
            let value = self.value(&format!("{name}.tags.{tag}"), tag_type, json)?;
            tags.push((SmolStr::from(tag), PartialValue::Value(value)));
        }
        let parents = match fields.remove("parents") {
            None => HashSet::new(),
            Some(Json::Array(parents)) => {
                let parents = parents.into_iter().enumerate();
                let uid = |(at, parent)| self.uid(&format!("{name}.parents[{at}]"), parent);
                parents.map(uid).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(shape(&format!("{name}.parents"), "an array of entities")),
        };
        if let Some(field) = fields.keys().next() {
            return Err(value_error(
                &format!("{name}.{field}"),
                "is not `uid`, `attrs`, `parents` or `tags`",
            ));
        }
        let attributes = attributes
            .into_iter()
            .map(|(name, value)| (name, PartialValue::Value(value)));
        Ok(Entity::new_with_attr_partial_value(
            uid,
            attributes,
            HashSet::new(),
            parents,
            tags,
        ))
    }

    fn record(
        &mut self,
        path: &str,
        declared: Option<&Attributes>,
        fields: Map<String, Json>,
    ) -> Result<Context, JsonError> {
        let mut record = Context::new();
        for (name, json) in fields {
            let declared = declared
                .and_then(|declared| declared.get_attr(&name))
                .map(|attribute| &*attribute.attr_type);
            let value = self.value(&format!("{path}.{name}"), declared, json)?;
            record.insert(name.into(), value);
        }
        Ok(record)
    }

    fn value(
        &mut self,
        path: &str,
        declared: Option<&Type>,
        json: Json,
    ) -> Result<Value, JsonError> {
        self.measure(path, &json, 1)?;
        // A type that no value has, such as that of an empty set, says nothing.
        let declared = declared.and_then(|declared| SchemaType::try_from(declared.clone()).ok());
        let parsed = ValueParser::new(Extensions::all_available())
            .val_into_restricted_expr(json, declared.as_ref(), &|| {
                JsonDeserializationErrorContext::Context
            })
            .map_err(|error| value_error(path, &because(&error)))?;
        // Refuses `unknown` too, which would leave a residual.
        RestrictedEvaluator::new(Extensions::all_available())
            .interpret(parsed.as_borrowed())
            .map_err(|error| value_error(path, &because(&error)))
    }

    fn uid(&mut self, path: &str, json: Json) -> Result<EntityUID, JsonError> {
        self.measure(path, &json, 1)?;
        let parsed: Result<EntityUidJson, _> = serde_json::from_value(json);
        parsed
            .map_err(|error| value_error(path, &because(&error)))?
            .into_euid(&|| JsonDeserializationErrorContext::EntityUid)
            .map_err(|error| value_error(path, &because(&error)))
    }

    /// Counts values and depth before anything recurses for real, and refuses
    /// what Cedar has no word for.
    fn measure(&mut self, path: &str, json: &Json, depth: usize) -> Result<(), JsonError> {
        let limits = self.limits;
        self.values += 1;
        if self.values > limits.values_max {
            return Err(too_much(
                self.whole,
                limits.values_max,
                "values",
                "limits.values_max",
            ));
        }
        if depth > limits.depth_max {
            return Err(too_much(
                path,
                limits.depth_max,
                "values nested in one another",
                "limits.depth_max",
            ));
        }
        match json {
            Json::Array(items) => items
                .iter()
                .try_for_each(|item| self.measure(path, item, depth + 1)),
            Json::Object(fields) => fields
                .values()
                .try_for_each(|field| self.measure(path, field, depth + 1)),
            Json::Null => Err(value_error(path, "is null: leave out what has no value")),
            Json::Number(number) if !number.is_i64() => Err(value_error(
                path,
                &format!("is `{number}`, which is not a whole number of 64 bits"),
            )),
            Json::Bool(_) | Json::Number(_) | Json::String(_) => Ok(()),
        }
    }
}

fn shape(field: &str, expected: &'static str) -> JsonError {
    JsonError::Shape {
        field: field.to_owned(),
        expected,
    }
}

fn value_error(field: &str, reason: &str) -> JsonError {
    JsonError::Value {
        field: field.to_owned(),
        reason: reason.to_owned(),
    }
}

fn too_much(field: &str, limit: usize, what: &'static str, key: &'static str) -> JsonError {
    JsonError::TooMuch {
        field: field.to_owned(),
        limit,
        what,
        key,
    }
}

/// Cedar's message without its own idea of the place, which is the same for all
/// values.
fn because(error: &dyn std::error::Error) -> String {
    let message = error.to_string();
    let places = [
        "while parsing context, ",
        "in uid field of <unknown entity>, ",
    ];
    let message = places
        .iter()
        .find_map(|place| message.strip_prefix(place))
        .unwrap_or(&message);
    format!("cannot be read: {message}")
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use cedar_policy::EntityUid;
    use serde_json::json;

    use super::JsonError;
    use super::JsonLimits;
    use super::context_from_json;
    use super::entities_from_json;
    use crate::engine::Files;
    use crate::engine::Snapshot;
    use crate::engine::compile;

    const LIMITS: JsonLimits = JsonLimits {
        depth_max: 3,
        values_max: 12,
        entities_max: 2,
    };

    fn snapshot() -> Snapshot {
        let schema = "entity U tags Long; entity D in [U] { at: datetime, n?: Long };
            action a appliesTo { principal: U, resource: D, context: { ip?: ipaddr, who?: U, now: datetime, r?: { d: decimal } } };";
        let files = [
            ("s.cedarschema", schema),
            ("p.cedar", "permit(principal, action, resource);"),
        ];
        compile(&Files::new(files.map(|(name, text)| {
            (name.to_owned(), text.as_bytes().to_vec())
        })))
        .unwrap()
    }

    fn context(json: serde_json::Value) -> Result<String, JsonError> {
        let action = EntityUid::from_str("Action::\"a\"").unwrap();
        let context = context_from_json(&snapshot(), action.as_ref(), json, &LIMITS)?;
        let fields: Vec<_> = context
            .iter()
            .map(|(name, value)| format!("{name}: {value}"))
            .collect();
        Ok(fields.join(", "))
    }

    #[test]
    fn the_schema_tells_what_a_text_is() {
        let json = json!({"ip": "10.0.0.1", "who": {"type": "U", "id": "x"}, "r": {"d": "1.5"}, "more": [1, true]});
        insta::assert_snapshot!(context(json).unwrap(), @r#"ip: ip("10.0.0.1"), more: [true, 1], r: {d: decimal("1.5")}, who: U::"x""#);
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let faults = [
            json!([]),
            json!({"ip": "10.0.0.999"}),
            json!({"ip": null}),
            json!({"more": 1.5}),
            json!({"who": "x"}),
            json!({"more": {"__extn": {"fn": "unknown", "arg": "x"}}}),
            json!({"more": [[["deep"]]]}),
            json!({"more": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}),
        ];
        let faults = faults
            .map(|json| context(json).unwrap_err().to_string())
            .join("\n");
        insta::assert_snapshot!(faults, @r#"
        `context` is not an object
        `context.ip` cannot be read: error while evaluating `ipaddr` extension function: invalid IP address: 10.0.0.999
        `context.ip` is null: leave out what has no value
        `context.more` is `1.5`, which is not a whole number of 64 bits
        `context.who` cannot be read: expected a literal entity reference, but got `"x"`
        `context.more` cannot be read: the expression contains unknown(s): `unknown("x")`
        `context.more` has more than 3 values nested in one another
        `context` has more than 12 values
        "#);
    }

    #[test]
    fn entities_may_leave_out_what_is_stored_and_keep_direct_parents() {
        let json = json!([
            {"uid": {"type": "D", "id": "d"}, "attrs": {"at": "2026-11-22"}, "parents": [{"type": "U", "id": "u"}]},
            {"uid": {"__entity": {"type": "U", "id": "u"}}, "tags": {"t": 3}},
        ]);
        let entities = entities_from_json(&snapshot(), json, &LIMITS).unwrap();
        let shown: Vec<_> = entities
            .iter()
            .map(|entity| {
                format!(
                    "{} {} {}",
                    entity.uid(),
                    entity.parents().count(),
                    entity.ancestors().count()
                )
            })
            .collect();
        assert_eq!(shown, ["D::\"d\" 1 1", "U::\"u\" 0 0"]);
        let faults = [
            json!({}),
            json!([3]),
            json!([{}]),
            json!([{"uid": "D::\"d\""}]),
            json!([{"uid": {"type": "D", "id": "d"}, "attrs": {"at": 5}}]),
            json!([{"uid": {"type": "D", "id": "d"}, "attributes": {}}]),
            json!([{"uid": {"type": "D", "id": "d"}, "parents": ["x"]}]),
            json!([1, 2, 3]),
        ];
        let faults = faults
            .map(|json| {
                entities_from_json(&snapshot(), json, &LIMITS)
                    .unwrap_err()
                    .to_string()
            })
            .join("\n");
        insta::assert_snapshot!(faults, @r#"
        `entities` is not an array of objects
        `entities[0]` is not an object
        `entities[0]` has no `uid`
        `entities[0].uid` cannot be read: expected a literal entity reference, but got `"D::\"d\""`
        `entities[0].attrs.at` cannot be read: type error: expected string, got long
        `entities[0].attributes` is not `uid`, `attrs`, `parents` or `tags`
        `entities[0].parents[0]` cannot be read: expected a literal entity reference, but got `"x"`
        `entities` has more than 2 entities
        "#);
    }
}
