//! Protobuf writes to a [`Draft`], with every fault named.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use serde_json::Value as Json;
use serde_json::json;
use smol_str::SmolStr;

use super::directory_json::Plain;
use super::status::Refusal;
use super::status::WireError;
use super::value::Path;
use super::value::Reader;
use super::wire;
use crate::directory::error::WriteError;
use crate::directory::error::WriteFault;
use crate::directory::operation::Draft;
use crate::directory::operation::Membership;
use crate::directory::operation::Operation;
use crate::directory::operation::Patch;
use crate::directory::operation::Precondition;
use crate::directory::operation::Put;
use crate::directory::operation::PutLink;
use crate::directory::operation::Second;
use crate::engine::Snapshot;
use crate::engine::json::JsonError;
use crate::engine::json::JsonLimits;
use crate::engine::json::entities_from_json;
use crate::proto::v1;
use crate::proto::v1::operation::Kind;
use crate::proto::v1::patch_entity::Expiry;
use crate::proto::v1::put_entity::Form;
use crate::serve::limits::DirectoryLimits;
use crate::serve::limits::Limits;

/// Faults that are looked for in one request.
const FAULTS_MAX: usize = 100;
/// The times that have a text: the years 1 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// What reading a write takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drafting<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) limits: &'a Limits,
    pub(super) directory: &'a DirectoryLimits,
}

impl Drafting<'_> {
    /// Reads a write.
    ///
    /// # Errors
    /// The first fault of every operation and precondition, up to a limit.
    pub(super) fn draft(
        &self,
        actor: SmolStr,
        request: v1::WriteRequest,
    ) -> Result<Draft, Refusal> {
        let limit = self.directory.operations_max;
        for (field, length) in [
            ("operations", request.operations.len()),
            ("preconditions", request.preconditions.len()),
        ] {
            if length > limit {
                return Err(
                    WireError::beyond(field, field, limit, "directory.operations_max").into(),
                );
            }
        }
        if request.operations.is_empty() {
            return Err(WireError::new("operations", "is empty", "write at least one").into());
        }
        let mut faults = Vec::new();
        let preconditions = request.preconditions.into_iter().enumerate();
        let preconditions = preconditions.map(|(at, given)| self.precondition(at, given));
        let preconditions = sound(preconditions, &mut faults);
        let operations = request.operations.into_iter().enumerate();
        let operations = operations.map(|(at, given)| self.operation(at, given));
        let operations = sound(operations, &mut faults);
        if faults.is_empty() {
            Ok(Draft {
                actor,
                preconditions,
                operations,
            })
        } else {
            Err(Refusal::Write(WriteError::Refused(faults)))
        }
    }

    fn precondition(&self, at: usize, given: v1::Precondition) -> Result<Precondition, WireError> {
        use v1::precondition::Kind;
        let root = Path::root("preconditions");
        let field = root.index(at);
        let reader = Reader::new(self.snapshot, self.limits);
        let uid = |name: &str, uid| reader.uid_of_any_type(&field.name(name), uid);
        Ok(match given.kind.ok_or_else(|| nothing(&field))? {
            Kind::Present(given) => Precondition::Present(uid("present", Some(given))?),
            Kind::Absent(given) => Precondition::Absent(uid("absent", Some(given))?),
            Kind::Version(given) => {
                let field = field.name("version");
                let uid = reader.uid_of_any_type(&field.name("uid"), given.uid)?;
                Precondition::Version(uid, given.version)
            }
            Kind::LinkPresent(id) => {
                Precondition::LinkPresent(reader.name(&field.name("link_present"), id)?)
            }
            Kind::LinkAbsent(id) => {
                Precondition::LinkAbsent(reader.name(&field.name("link_absent"), id)?)
            }
        })
    }

    fn operation(&self, at: usize, given: v1::Operation) -> Result<Operation, WireError> {
        let root = Path::root("operations");
        let field = &root.index(at);
        // Limits on values hold for each operation.
        let mut reader = Reader::new(self.snapshot, self.limits);
        Ok(match given.kind.ok_or_else(|| nothing(field))? {
            Kind::Put(put) => Operation::Put(self.put(&mut reader, &field.name("put"), put)?),
            Kind::Patch(patch) => {
                Operation::Patch(self.patch(&mut reader, &field.name("patch"), patch)?)
            }
            Kind::Delete(delete) => {
                let field = field.name("delete");
                Operation::Delete {
                    uid: reader.uid_of_any_type(&field.name("uid"), delete.uid)?,
                    detach_members: delete.detach_members,
                }
            }
            Kind::AddParent(add) => {
                let field = field.name("add_parent");
                Operation::AddParent {
                    uid: reader.uid(&field.name("uid"), add.uid)?,
                    parent: Membership {
                        uid: reader.uid(&field.name("parent"), add.parent)?,
                        expires: second(&field.name("expires_at"), add.expires_at)?,
                    },
                }
            }
            Kind::RemoveParent(remove) => {
                let field = field.name("remove_parent");
                Operation::RemoveParent {
                    uid: reader.uid_of_any_type(&field.name("uid"), remove.uid)?,
                    parent: reader.uid_of_any_type(&field.name("parent"), remove.parent)?,
                }
            }
            Kind::PutLink(given) => {
                Operation::PutLink(link(&reader, &field.name("put_link"), given)?)
            }
            Kind::RemoveLink(remove) => {
                let field = field.name("remove_link");
                Operation::RemoveLink {
                    id: reader.name(&field.name("id"), remove.id)?,
                }
            }
        })
    }

    fn put(
        &self,
        reader: &mut Reader<'_>,
        field: &Path<'_>,
        given: v1::PutEntity,
    ) -> Result<Put, WireError> {
        let mut put = match given.form {
            None => {
                let hint = "set `entity` or `entity_cedar_json`";
                return Err(WireError::new(field.to_string(), "has no entity", hint));
            }
            Some(Form::Entity(entity)) => typed(reader, &field.name("entity"), entity)?,
            Some(Form::EntityCedarJson(text)) => {
                let field = field.name("entity_cedar_json").to_string();
                self.put_json(&field, wire::parse_json(&field, &text)?)?
            }
        };
        for (at, parent) in given.temporary_parents.into_iter().enumerate() {
            let list = field.name("temporary_parents");
            let field = list.index(at);
            let expires = second(&field.name("expires_at"), parent.expires_at)?;
            put.parents.push(Membership {
                uid: reader.uid(&field.name("uid"), parent.uid)?,
                expires: Some(expires.ok_or_else(|| {
                    let hint = "it is required; parents for good are in the entity";
                    WireError::new(field.name("expires_at").to_string(), "is missing", hint)
                })?),
            });
        }
        put.expires = second(&field.name("expires_at"), given.expires_at)?;
        Ok(put)
    }

    fn put_json(&self, field: &str, json: Json) -> Result<Put, WireError> {
        let plain = Plain::new(self.snapshot, self.limits).entity(&json);
        plain.map_or_else(|| self.put_any_json(field, json), Ok)
    }

    /// By Cedar's own reader.
    fn put_any_json(&self, field: &str, json: Json) -> Result<Put, WireError> {
        let entity = self.json(field, json)?;
        let mut parents: Vec<_> = entity.parents().map(for_good).collect();
        // Cedar keeps them in no order; the log has to be the same each time.
        parents.sort_by(|a, b| a.uid.cmp(&b.uid));
        Ok(Put {
            uid: Arc::new(entity.uid().clone()),
            attributes: whole(entity.attrs()),
            tags: whole(entity.tags()),
            parents,
            expires: None,
        })
    }

    fn patch(
        &self,
        reader: &mut Reader<'_>,
        field: &Path<'_>,
        given: v1::PatchEntity,
    ) -> Result<Patch, WireError> {
        let uid = reader.uid(&field.name("uid"), given.uid)?;
        let names = |name: &str, names: Vec<String>| -> Result<BTreeSet<SmolStr>, WireError> {
            let list = field.name(name);
            let names = names.into_iter().enumerate();
            names
                .map(|(at, name)| reader.name(&list.index(at), name))
                .collect()
        };
        let unset = names("unset", given.unset)?;
        let unset_tags = names("unset_tags", given.unset_tags)?;
        let mut patch = Patch {
            set: reader.fields(&field.name("set"), given.set, 1)?,
            set_tags: reader.fields(&field.name("set_tags"), given.set_tags, 1)?,
            unset,
            unset_tags,
            expires: match given.expiry {
                None | Some(Expiry::NeverExpires(false)) => None,
                Some(Expiry::NeverExpires(true)) => Some(None),
                Some(Expiry::ExpiresAt(at)) => Some(second(&field.name("expires_at"), Some(at))?),
            },
            uid,
        };
        if !given.set_cedar_json.is_empty() {
            let field = field.name("set_cedar_json").to_string();
            self.patch_json(&field, &given.set_cedar_json, &mut patch)?;
        }
        let twice = |set: &BTreeMap<SmolStr, Value>, unset: &BTreeSet<SmolStr>| {
            unset.iter().find(|name| set.contains_key(*name)).cloned()
        };
        let twice =
            twice(&patch.set, &patch.unset).or_else(|| twice(&patch.set_tags, &patch.unset_tags));
        match twice {
            Some(name) => Err(WireError::new(
                field.to_string(),
                format!("sets and removes `{name}`"),
                "leave out one of them",
            )),
            None => Ok(patch),
        }
    }

    fn patch_json(&self, field: &str, text: &str, patch: &mut Patch) -> Result<(), WireError> {
        let hint = r#"write {"attrs": {..}, "tags": {..}}"#;
        let Json::Object(mut fields) = wire::parse_json(field, text)? else {
            return Err(WireError::new(field, "is not an object", hint));
        };
        if let Some(name) = fields
            .keys()
            .find(|name| *name != "attrs" && *name != "tags")
        {
            let message = format!("has `{name}`, which is not `attrs` or `tags`");
            return Err(WireError::new(field, message, hint));
        }
        let id: &str = patch.uid.eid().as_ref();
        let uid = json!({ "type": patch.uid.entity_type().to_string(), "id": id });
        fields.insert("uid".to_owned(), uid);
        let entity = self.json(field, Json::Object(fields))?;
        for (into, given) in [
            (&mut patch.set, whole(entity.attrs())),
            (&mut patch.set_tags, whole(entity.tags())),
        ] {
            for (name, value) in given {
                if into.insert(name.clone(), value).is_some() {
                    let message = format!("sets `{name}`, which the typed form sets too");
                    return Err(WireError::new(field, message, "leave out one of them"));
                }
            }
        }
        Ok(())
    }

    /// Reads one entity as the schema declares it; it need not be complete.
    fn json(&self, field: &str, json: Json) -> Result<Entity, WireError> {
        let limits = JsonLimits {
            entities_max: 1,
            ..wire::json_limits(self.limits)
        };
        let entities = entities_from_json(self.snapshot, Json::Array(vec![json]), &limits);
        let mut entities = entities.map_err(|error| in_field(field, error))?;
        entities
            .pop()
            .ok_or_else(|| WireError::new(field, "has no entity", "write one"))
    }
}

fn sound<T>(
    items: impl Iterator<Item = Result<T, WireError>>,
    faults: &mut Vec<WriteFault>,
) -> Vec<T> {
    let mut sound = Vec::with_capacity(items.size_hint().0);
    for item in items {
        match item {
            Ok(item) => sound.push(item),
            Err(WireError {
                field,
                message,
                hint,
            }) => faults.push(WriteFault {
                field,
                message,
                hint,
            }),
        }
        if faults.len() >= FAULTS_MAX {
            break;
        }
    }
    sound
}

fn nothing(field: &Path<'_>) -> WireError {
    WireError::new(field.to_string(), "says nothing", "set one of its kinds")
}

/// A fault of the JSON reader, which names what it reads `entities[0]`.
fn in_field(field: &str, error: JsonError) -> WireError {
    let error = WireError::from(error);
    let below = error.field.strip_prefix("entities[0]").unwrap_or("");
    WireError::new(format!("{field}{below}"), error.message, error.hint)
}

fn typed(reader: &mut Reader<'_>, field: &Path<'_>, given: v1::Entity) -> Result<Put, WireError> {
    let uid = reader.uid(&field.name("uid"), given.uid)?;
    let parents = field.name("parents");
    let parents = given.parents.into_iter().enumerate().map(|(at, parent)| {
        let uid = reader.uid(&parents.index(at), Some(parent))?;
        Ok(Membership { uid, expires: None })
    });
    Ok(Put {
        parents: parents.collect::<Result<_, WireError>>()?,
        attributes: reader.fields(&field.name("attributes"), given.attributes, 1)?,
        tags: reader.fields(&field.name("tags"), given.tags, 1)?,
        uid,
        expires: None,
    })
}

fn link(reader: &Reader<'_>, field: &Path<'_>, given: v1::Link) -> Result<PutLink, WireError> {
    let slot = |name: &str, uid: Option<v1::EntityRef>| {
        uid.map(|uid| reader.uid(&field.name(name), Some(uid)))
            .transpose()
    };
    Ok(PutLink {
        id: reader.name(&field.name("id"), given.id)?,
        template: reader.name(&field.name("template_id"), given.template_id)?,
        principal: slot("principal", given.principal)?,
        resource: slot("resource", given.resource)?,
        expires: second(&field.name("expires_at"), given.expires_at)?,
    })
}

fn for_good(uid: &cedar_policy_core::ast::EntityUID) -> Membership {
    Membership {
        uid: Arc::new(uid.clone()),
        expires: None,
    }
}

/// Values of an entity that has no residuals: the JSON reader makes none.
fn whole<'a>(
    values: impl Iterator<Item = (&'a SmolStr, &'a PartialValue)>,
) -> BTreeMap<SmolStr, Value> {
    let values = values.filter_map(|(name, value)| match value {
        PartialValue::Value(value) => Some((name.clone(), value.clone())),
        PartialValue::Residual(_) => None,
    });
    values.collect()
}

/// Reads a time in whole seconds.
fn second(
    field: &Path<'_>,
    given: Option<prost_types::Timestamp>,
) -> Result<Option<Second>, WireError> {
    let Some(time) = given else {
        return Ok(None);
    };
    if time.nanos != 0 {
        let message = "has a fraction of a second";
        let hint = "expiry is exact to the second: leave out `nanos`";
        return Err(WireError::new(field.to_string(), message, hint));
    }
    if !SECONDS.contains(&time.seconds) {
        let hint = "write seconds since 1970";
        let message = "is not within the years 1 to 9999";
        return Err(WireError::new(field.to_string(), message, hint));
    }
    Ok(Some(time.seconds))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value as Json;
    use serde_json::json;

    use super::Drafting;
    use super::Plain;
    use crate::engine::Files;
    use crate::engine::Snapshot;
    use crate::engine::compile;
    use crate::serve::limits::DirectoryLimits;
    use crate::serve::limits::Limits;
    use crate::source;

    /// How many were plain; all are what Cedar's reader makes of them.
    fn plain(snapshot: &Snapshot, limits: &Limits, entities: &[Json]) -> usize {
        let drafting = Drafting {
            snapshot,
            limits,
            directory: &DirectoryLimits::default(),
        };
        let mut number = 0;
        for entity in entities {
            let any = drafting.put_any_json("x", entity.clone());
            if let Some(plain) = Plain::new(snapshot, limits).entity(entity) {
                assert_eq!(any, Ok(plain), "{entity}");
                number += 1;
            }
        }
        number
    }

    #[test]
    fn what_is_read_quickly_is_what_cedar_reads() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let files = source::read(&root, &source::Limits::default()).unwrap();
        let snapshot = compile(&files).unwrap();
        let folder = root.join("entities").read_dir().unwrap();
        let entities: Vec<Json> = folder
            .flat_map(|file| {
                let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
                serde_json::from_str::<Vec<Json>>(&text).unwrap()
            })
            .collect();
        let limits = Limits::default();
        assert_eq!(plain(&snapshot, &limits, &entities), entities.len());
    }

    /// Values of every shape, good and bad.
    fn values(uid: &Json, escaped: &Json) -> Vec<Json> {
        let extn = |function: &str, arg: &str| json!({"__extn": {"fn": function, "arg": arg}});
        vec![
            json!(true),
            json!(3),
            json!(1.5),
            json!(u64::MAX),
            json!("x"),
            json!("10.0.0.1"),
            json!(null),
            json!([]),
            json!([1, [2]]),
            json!([uid, escaped]),
            json!(["2026-11-22"]),
            json!({}),
            uid.clone(),
            escaped.clone(),
            json!({"__entity": uid, "x": 1}),
            json!({"__expr": "1"}),
            json!({"type": "No", "id": "x"}),
            json!({"type": "U", "id": "x", "more": 1}),
            extn("ip", "10.0.0.1"),
            extn("ip", "x"),
            extn("decimal", "1.5"),
            extn("datetime", "2026-11-22"),
            extn("duration", "1h"),
            extn("unknown", "x"),
            json!({"__extn": {"fn": "ip", "arg": 3}}),
            json!({"e": "1.5", "f": "x"}),
            json!({"e": extn("decimal", "1.5")}),
            json!({"f": {"g": [true]}}),
            json!({"e": true}),
            json!({"f": 3}),
            json!({"__extn": {"fn": "offset", "args": [extn("datetime", "1970-01-01"), extn("duration", "1ms")]}}),
        ]
    }

    #[test]
    fn what_is_not_plain_is_left_to_cedar() {
        let schema = "entity U in [U] { a?: ipaddr, b?: U, c?: Set<U>, d?: { e?: decimal, f?: String }, k?: { e: Bool, f?: Long }, g?: Bool, h?: Long, i?: Set<datetime> } tags datetime;
            action a appliesTo { principal: U, resource: U };";
        let policy = "permit(principal, action, resource);";
        let compiled = |files: &[(&str, &str)]| {
            let files = files
                .iter()
                .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
            compile(&Files::new(files)).unwrap()
        };
        let with_schema = compiled(&[("s.cedarschema", schema), ("p.cedar", policy)]);
        let without = compiled(&[("p.cedar", policy)]);
        let uid = json!({"type": "U", "id": "u"});
        let escaped = json!({"__entity": uid});
        let mut entities = Vec::new();
        for value in &values(&uid, &escaped) {
            for name in ["a", "b", "c", "d", "g", "h", "i", "k", "other"] {
                entities.push(json!({"uid": uid, "attrs": {name: value}, "parents": [uid]}));
            }
            entities.push(json!({"uid": escaped, "tags": {"t": value}, "parents": [uid, uid]}));
            entities.push(json!({"uid": value}));
            entities.push(json!({"uid": uid, "parents": [value]}));
            entities.push(json!({"uid": uid, "attrs": value, "more": 1}));
        }
        for limits in [
            Limits::default(),
            Limits {
                depth_max: 2,
                ..Limits::default()
            },
            Limits {
                depth_max: 3,
                values_max: 12,
                ..Limits::default()
            },
        ] {
            assert!(plain(&with_schema, &limits, &entities) > 10);
            assert!(plain(&without, &limits, &entities) > 10);
        }
    }
}
