//! The plain case of an entity as Cedar's JSON, read quickly.
//!
//! Cedar's reader parses the name of a type each time it meets one, which is most
//! of the time of an import. What is read here is what it would make of the same
//! JSON; whatever is not plain, and every fault, is left to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::Value;
use cedar_policy_core::validator::ValidatorEntityType;
use cedar_policy_core::validator::types::Type;
use serde_json::Map;
use serde_json::Value as Json;
use smol_str::SmolStr;

use super::value::Path;
use super::value::Reader;
use crate::directory::operation::Membership;
use crate::directory::operation::Put;
use crate::engine::Snapshot;
use crate::engine::schema::Schema;
use crate::engine::value::Extension;
use crate::proto::v1;
use crate::serve::limits::Limits;

/// Keys that mean something else in Cedar's JSON.
const RESERVED: [&str; 3] = ["__entity", "__extn", "__expr"];

/// Reads plain entities.
#[derive(Debug)]
pub(super) struct Plain<'a> {
    reader: Reader<'a>,
    snapshot: &'a Snapshot,
    limits: &'a Limits,
    values: usize,
}

impl<'a> Plain<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, limits: &'a Limits) -> Self {
        Self {
            reader: Reader::new(snapshot, limits),
            snapshot,
            limits,
            values: 0,
        }
    }

    /// An entity; `None` when it is not plain.
    pub(super) fn entity(&mut self, json: &Json) -> Option<Put> {
        let fields = json.as_object()?;
        let known = ["uid", "attrs", "parents", "tags"];
        if !fields.keys().all(|key| known.contains(&key.as_str())) {
            return None;
        }
        let uid = self.uid(fields.get("uid")?)?;
        let schema = self.snapshot.schema();
        let declared = schema.map(Schema::validator);
        let declared = declared.and_then(|schema| schema.get_entity_type(uid.entity_type()));
        let attributes = fields.get("attrs").map(|json| {
            let attributes = declared.map(ValidatorEntityType::attributes);
            self.record(json.as_object()?, 1, |name| {
                let declared = attributes?.get_attr(name)?;
                Some(&*declared.attr_type)
            })
        });
        let tags = fields.get("tags").map(|json| {
            let tag_type = declared.and_then(ValidatorEntityType::tag_type);
            self.record(json.as_object()?, 1, |_| tag_type)
        });
        let parents = fields.get("parents").map(|json| {
            let parents = json.as_array()?.iter().map(|parent| self.uid(parent));
            parents.collect::<Option<Vec<_>>>()
        });
        let or_none = |given: Option<Option<BTreeMap<SmolStr, Value>>>| match given {
            None => Some(BTreeMap::new()),
            Some(read) => read,
        };
        let mut parents = parents.unwrap_or_else(|| Some(Vec::new()))?;
        parents.sort();
        parents.dedup();
        let for_good = |uid| Membership { uid, expires: None };
        Some(Put {
            uid,
            attributes: or_none(attributes)?,
            tags: or_none(tags)?,
            parents: parents.into_iter().map(for_good).collect(),
            expires: None,
        })
    }

    fn uid(&mut self, json: &Json) -> Option<Arc<EntityUID>> {
        let fields = json.as_object()?;
        self.nested(fields, 1)?;
        let fields = match fields.get("__entity") {
            Some(inner) if fields.len() == 1 => inner.as_object()?,
            Some(_) => return None,
            None => fields,
        };
        let text = |name| fields.get(name)?.as_str().map(str::to_owned);
        let entity = v1::EntityRef {
            r#type: text("type")?,
            id: text("id")?,
        };
        let is_whole = fields.len() == 2;
        is_whole
            .then(|| self.reader.uid(&Path::root("uid"), Some(entity)).ok())
            .flatten()
    }

    fn record<'t>(
        &mut self,
        fields: &Map<String, Json>,
        depth: usize,
        declared: impl Fn(&str) -> Option<&'t Type>,
    ) -> Option<BTreeMap<SmolStr, Value>> {
        let fields = fields.iter();
        fields
            .map(|(name, json)| {
                let value = self.value(json, declared(name), depth)?;
                Some((SmolStr::from(name), value))
            })
            .collect()
    }

    fn value(&mut self, json: &Json, declared: Option<&Type>, depth: usize) -> Option<Value> {
        self.count(1)?;
        if depth > self.limits.depth_max {
            return None;
        }
        match (json, declared) {
            (Json::Bool(value), None | Some(Type::Bool(_))) => Some(Value::from(*value)),
            (Json::Number(value), None | Some(Type::Long)) => Some(Value::from(value.as_i64()?)),
            (Json::String(text), None | Some(Type::String)) => {
                Some(Value::from(SmolStr::from(text)))
            }
            (Json::Array(items), None) => self.set(items, None, depth),
            (Json::Array(items), Some(Type::Set { element_type })) => {
                self.set(items, element_type.as_deref(), depth)
            }
            (Json::Object(fields), Some(Type::Entity(_))) => {
                self.nested(fields, depth)?;
                Some(Value::new(self.uid(json)?, None))
            }
            (Json::Object(fields), declared) => self.object(json, fields, declared, depth),
            _ => None,
        }
    }

    fn set(&mut self, items: &[Json], declared: Option<&Type>, depth: usize) -> Option<Value> {
        let items = items.iter();
        let items = items.map(|item| self.value(item, declared, depth + 1));
        Some(Value::set(items.collect::<Option<Vec<_>>>()?, None))
    }

    fn object(
        &mut self,
        json: &Json,
        fields: &Map<String, Json>,
        declared: Option<&Type>,
        depth: usize,
    ) -> Option<Value> {
        if declared.is_none() && fields.contains_key("__entity") {
            self.nested(fields, depth)?;
            return Some(Value::new(self.uid(json)?, None));
        }
        if let (Some(call), None | Some(Type::ExtensionType { .. })) =
            (fields.get("__extn"), declared)
        {
            self.nested(fields, depth)?;
            let call = call.as_object().filter(|call| call.len() == 2)?;
            let text = |name| call.get(name)?.as_str();
            let (function, argument) = (text("fn")?, text("arg")?);
            let extension = match function {
                "ip" => Extension::Ip,
                "decimal" => Extension::Decimal,
                "datetime" => Extension::Datetime,
                "duration" => Extension::Duration,
                _ => return None,
            };
            let of_type = match declared {
                Some(Type::ExtensionType { name }) => name.to_string(),
                _ => String::new(),
            };
            let is_of_type = of_type.is_empty()
                || of_type == function
                || (of_type == "ipaddr" && function == "ip");
            let is_plain = is_of_type && fields.len() == 1;
            return is_plain.then(|| extension.parse(argument).ok()).flatten();
        }
        if RESERVED.iter().any(|key| fields.contains_key(*key)) {
            return None;
        }
        let record = match declared {
            None => self.record(fields, depth + 1, |_| None)?,
            Some(Type::Record { attrs, .. }) => {
                let mut declared = attrs.iter();
                let lacks = declared
                    .any(|(name, attr)| attr.is_required && !fields.contains_key(name.as_str()));
                let mut names = fields.keys();
                if lacks || names.any(|name| attrs.get_attr(name).is_none()) {
                    return None;
                }
                self.record(fields, depth + 1, |name| {
                    let declared = attrs.get_attr(name)?;
                    Some(&*declared.attr_type)
                })?
            }
            Some(_) => return None,
        };
        Some(Value::record_arc(Arc::new(record), None))
    }

    /// Counts an object of texts, or one in an escape, as Cedar's reader would at
    /// least.
    fn nested(&mut self, fields: &Map<String, Json>, depth: usize) -> Option<()> {
        let is_escaped = fields.keys().any(|key| RESERVED.contains(&key.as_str()));
        self.count(3 + usize::from(is_escaped))?;
        (depth + 1 + usize::from(is_escaped) <= self.limits.depth_max).then_some(())
    }

    fn count(&mut self, values: usize) -> Option<()> {
        self.values += values;
        (self.values <= self.limits.values_max).then_some(())
    }
}
