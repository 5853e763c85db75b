//! Counterexamples: a request with everything that it needs, as people read it and
//! as a test case.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use cedar_policy_core::ast::Entity;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_core::ast::PartialValue;
use cedar_policy_core::ast::Value;
use cedar_policy_core::entities::json::CedarValueJson;
use cedar_policy_symcc::Env;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;
use smol_str::SmolStr;

use crate::engine::link::Link;
use crate::testing::suite::Question;

/// A request, the entities that it carries, and the links that are in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counterexample {
    /// Who asks.
    pub principal: EntityUID,
    /// To do what.
    pub action: EntityUID,
    /// To what.
    pub resource: EntityUID,
    /// Cedar JSON.
    pub context: Map<String, Json>,
    /// Principal and resource among them, unless their types are enumerated.
    pub entities: Vec<Carried>,
    /// Links besides those of the repository.
    pub links: Vec<Link>,
    /// What is decided with the entities and links of the repository, where it can
    /// be asked there.
    pub decided: Option<bool>,
    /// What is to be known of it besides; sentences without full stop.
    pub notes: Vec<String>,
}

/// What a test case is to demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// To be allowed.
    Allow,
    /// To be denied.
    Deny,
    /// That no policy fails.
    NoErrors,
    /// Nothing that a test can say.
    Nothing,
}

/// An entity of a counterexample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Its name.
    pub uid: EntityUID,
    /// Its parents.
    pub parents: Vec<EntityUID>,
    /// Cedar JSON.
    pub attributes: Map<String, Json>,
    /// Cedar JSON.
    pub tags: Map<String, Json>,
}

impl Carried {
    /// An entity that is known, and no more.
    pub(super) fn bare(uid: EntityUID) -> Self {
        Self {
            uid,
            parents: Vec::new(),
            attributes: Map::new(),
            tags: Map::new(),
        }
    }
}

/// What reports in JSON show of a counterexample: a test case without its name.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    principal: String,
    action: String,
    resource: String,
    context: &'a Map<String, Json>,
    entities: Vec<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Json>,
}

impl Serialize for Counterexample {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entity = |entity: &Carried| {
            let parents: Vec<String> = entity.parents.iter().map(ToString::to_string).collect();
            json!({
                "uid": entity.uid.to_string(),
                "parents": parents,
                "attrs": entity.attributes,
                "tags": entity.tags,
            })
        };
        let shown = Shown {
            principal: self.principal.to_string(),
            action: self.action.to_string(),
            resource: self.resource.to_string(),
            context: &self.context,
            entities: self.entities.iter().map(entity).collect(),
            links: self.links.iter().map(link_json).collect(),
        };
        shown.serialize(serializer)
    }
}

fn link_json(link: &Link) -> Json {
    let mut shown = Map::new();
    shown.insert("template".to_owned(), json!(link.template));
    shown.insert("id".to_owned(), json!(link.id));
    let slots = [("principal", &link.principal), ("resource", &link.resource)];
    for (slot, uid) in slots {
        if let Some(uid) = uid {
            shown.insert(slot.to_owned(), json!(uid.to_string()));
        }
    }
    Json::Object(shown)
}

impl Counterexample {
    /// Reads what the solver found.
    ///
    /// # Errors
    /// When it is no whole request, which would be a fault of the solver.
    pub fn read(found: &Env) -> Result<Self, String> {
        let request = &found.request;
        let uid = |uid: Option<&cedar_policy::EntityUid>| {
            uid.map(|uid| uid.as_ref().clone())
                .ok_or_else(|| "the solver found a request without all of its parts".to_owned())
        };
        let context = match request.context() {
            Some(context) => context.to_json_value().map_err(|error| error.to_string())?,
            None => Json::Object(Map::new()),
        };
        let Json::Object(context) = context else {
            return Err("the solver found a context that is no record".to_owned());
        };
        let entities = found.entities.as_ref().iter();
        let mut entities = entities
            .filter(|entity| !entity.uid().is_action())
            .map(carried)
            .collect::<Result<Vec<Carried>, String>>()?;
        entities.sort_by_cached_key(|entity| entity.uid.to_string());
        Ok(Self {
            principal: uid(request.principal())?,
            action: uid(request.action())?,
            resource: uid(request.resource())?,
            context,
            entities,
            links: Vec::new(),
            decided: None,
            notes: Vec::new(),
        })
    }

    /// As a question, for whatever policies.
    pub fn question(&self) -> Question {
        Question {
            principal: Arc::new(self.principal.clone()),
            action: Arc::new(self.action.clone()),
            resource: Arc::new(self.resource.clone()),
            context: Arc::new(Json::Object(self.context.clone())),
            is_alone: false,
            entities: self.entities.iter().map(entity_json).collect(),
            links: self.links.clone(),
            now: None,
        }
    }

    /// As a case of a test file, with reasons as comments. Where nothing is wanted of
    /// the decision, it is what it is now.
    pub fn test_case(&self, name: &str, reasons: &[String], wanted: Wanted) -> String {
        let mut text = String::new();
        // Writing to a text cannot fail.
        self.write_case(&mut text, name, reasons, wanted).ok();
        text
    }

    fn write_case(
        &self,
        text: &mut String,
        name: &str,
        reasons: &[String],
        wanted: Wanted,
    ) -> std::fmt::Result {
        writeln!(text, "- name: {}", quoted(name))?;
        for reason in reasons.iter().chain(&self.notes) {
            writeln!(text, "  # {}", reason.replace('\n', " "))?;
        }
        let parties = [
            ("principal", &self.principal),
            ("action", &self.action),
            ("resource", &self.resource),
        ];
        for (key, uid) in parties {
            writeln!(text, "  {key}: {}", quoted(&uid.to_string()))?;
        }
        if !self.context.is_empty() {
            writeln!(text, "  context: {}", flow(&self.context))?;
        }
        if !self.entities.is_empty() {
            writeln!(text, "  entities:")?;
        }
        for entity in &self.entities {
            writeln!(text, "    - uid: {}", quoted(&entity.uid.to_string()))?;
            if !entity.parents.is_empty() {
                let parents: Vec<String> = entity
                    .parents
                    .iter()
                    .map(|parent| quoted(&parent.to_string()))
                    .collect();
                writeln!(text, "      parents: [{}]", parents.join(", "))?;
            }
            for (key, fields) in [("attrs", &entity.attributes), ("tags", &entity.tags)] {
                if !fields.is_empty() {
                    writeln!(text, "      {key}: {}", flow(fields))?;
                }
            }
        }
        self.write_links(text)?;
        let allow = match wanted {
            Wanted::Allow => true,
            Wanted::Deny => false,
            Wanted::NoErrors | Wanted::Nothing => self.decided.unwrap_or(false),
        };
        let word = if allow { "allow" } else { "deny" };
        writeln!(text, "  decision: {word}")?;
        if wanted == Wanted::NoErrors {
            writeln!(text, "  errors: []")?;
        }
        Ok(())
    }

    fn write_links(&self, text: &mut String) -> std::fmt::Result {
        if !self.links.is_empty() {
            writeln!(text, "  links:")?;
        }
        for link in &self.links {
            writeln!(text, "    - id: {}", quoted(&link.id))?;
            writeln!(text, "      template: {}", quoted(&link.template))?;
            let slots = [("principal", &link.principal), ("resource", &link.resource)];
            for (slot, uid) in slots {
                if let Some(uid) = uid {
                    writeln!(text, "      {slot}: {}", quoted(&uid.to_string()))?;
                }
            }
        }
        Ok(())
    }

    /// Gives entities other names, everywhere.
    pub(super) fn renamed(&self, names: &BTreeMap<EntityUID, EntityUID>) -> Self {
        let new = |uid: &EntityUID| names.get(uid).unwrap_or(uid).clone();
        let fields = |fields: &Map<String, Json>| {
            let fields = fields.iter();
            fields
                .map(|(name, value)| (name.clone(), renamed_value(value, names)))
                .collect()
        };
        let entity = |entity: &Carried| Carried {
            uid: new(&entity.uid),
            parents: entity.parents.iter().map(new).collect(),
            attributes: fields(&entity.attributes),
            tags: fields(&entity.tags),
        };
        let link = |link: &Link| Link {
            principal: link.principal.as_ref().map(new),
            resource: link.resource.as_ref().map(new),
            ..link.clone()
        };
        Self {
            principal: new(&self.principal),
            action: self.action.clone(),
            resource: new(&self.resource),
            context: fields(&self.context),
            entities: self.entities.iter().map(entity).collect(),
            links: self.links.iter().map(link).collect(),
            decided: self.decided,
            notes: self.notes.clone(),
        }
    }
}

/// A value with its entities renamed.
fn renamed_value(value: &Json, names: &BTreeMap<EntityUID, EntityUID>) -> Json {
    match value {
        Json::Object(fields) => {
            if let Some(named) = fields.get("__entity") {
                let new = names
                    .iter()
                    .find_map(|(old, new)| (uid_json(old) == *named).then(|| uid_json(new)));
                return json!({"__entity": new.unwrap_or_else(|| named.clone())});
            }
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| (name.clone(), renamed_value(value, names)));
            Json::Object(fields.collect())
        }
        Json::Array(items) => items
            .iter()
            .map(|item| renamed_value(item, names))
            .collect(),
        other => other.clone(),
    }
}

fn uid_json(uid: &EntityUID) -> Json {
    let id: &str = uid.eid().as_ref();
    json!({"type": uid.entity_type().to_string(), "id": id})
}

fn entity_json(entity: &Carried) -> Json {
    json!({
        "uid": uid_json(&entity.uid),
        "parents": entity.parents.iter().map(uid_json).collect::<Vec<_>>(),
        "attrs": entity.attributes,
        "tags": entity.tags,
    })
}

fn carried(entity: &Entity) -> Result<Carried, String> {
    let mut parents: Vec<EntityUID> = entity.ancestors().cloned().collect();
    parents.sort_by_cached_key(ToString::to_string);
    Ok(Carried {
        uid: entity.uid().clone(),
        parents,
        attributes: fields_json(entity.attrs())?,
        tags: fields_json(entity.tags())?,
    })
}

fn fields_json<'a>(
    fields: impl Iterator<Item = (&'a SmolStr, &'a PartialValue)>,
) -> Result<Map<String, Json>, String> {
    let mut json = Map::new();
    for (name, value) in fields {
        let PartialValue::Value(value) = value else {
            return Err(format!("the solver found no value for `{name}`"));
        };
        json.insert(name.to_string(), value_json(value)?);
    }
    Ok(json)
}

fn value_json(value: &Value) -> Result<Json, String> {
    let json = CedarValueJson::from_value(value.clone()).map_err(|error| error.to_string())?;
    serde_json::to_value(json).map_err(|error| error.to_string())
}

/// In single quotes, where nothing but a quote has a meaning.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace(['\n', '\r'], " "))
}

/// JSON on one line, which is YAML.
fn flow(fields: &Map<String, Json>) -> String {
    let mut text = String::new();
    write_flow(&mut text, &Json::Object(fields.clone()));
    text
}

fn write_flow(text: &mut String, value: &Json) {
    match value {
        Json::Object(fields) => {
            text.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    text.push_str(", ");
                }
                text.push_str(&scalar(&Json::String(name.clone())));
                text.push_str(": ");
                write_flow(text, value);
            }
            text.push('}');
        }
        Json::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push_str(", ");
                }
                write_flow(text, item);
            }
            text.push(']');
        }
        value => text.push_str(&scalar(value)),
    }
}

/// A scalar as JSON, with what YAML does not print escaped as both have it.
fn scalar(value: &Json) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        let code = u32::from(character);
        match code {
            0x20..0x7f | 0xa0..0xd800 | 0xe000..=0xfefe | 0xff00..0xfffe => {
                text.push(character);
            }
            _ if code < 0x1_0000 => {
                write!(text, "\\u{code:04x}").ok();
            }
            _ => text.push(character),
        }
    }
    text
}
