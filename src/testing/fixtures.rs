//! Named fixtures: principals, actions, resources, contexts, entities and links
//! that cases call by their names.

use std::collections::BTreeMap;
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::EntityUID;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use super::node::Node;
use super::node::Place;
use super::node::Value;
use super::page;
use super::page::Members;
use super::page::Page;
use crate::config::closest::closest;
use crate::engine::link::Link;

const ENTITY_KEYS: &[&str] = &["uid", "attrs", "parents", "tags"];
const LINK_KEYS: &[&str] = &["id", "template", "principal", "resource"];
const FIXTURE_KEYS: &[&str] = &[
    "principals",
    "actions",
    "resources",
    "contexts",
    "entities",
    "links",
];

/// The part that an entity has in a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Principal,
    Action,
    Resource,
}

impl Part {
    /// What it is called in a case.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Action => "action",
            Self::Resource => "resource",
        }
    }

    /// What several of it are called.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Principal => "principals",
            Self::Action => "actions",
            Self::Resource => "resources",
        }
    }
}

/// A principal, action or resource, as a case calls it.
#[derive(Debug, Clone)]
pub(super) struct Party {
    pub(super) uid: Arc<EntityUID>,
    /// What the question carries of it, in Cedar's JSON.
    pub(super) entity: Option<Json>,
    /// The name of its fixture, or else its uid.
    pub(super) label: String,
    /// Whether it is a fixture, and so has been checked.
    pub(super) is_named: bool,
}

/// What has a name; `None` for what is faulty, which is told once.
type Named<T> = BTreeMap<String, Option<T>>;

/// The fixtures of a file.
#[derive(Debug, Default)]
pub(super) struct Fixtures {
    principals: Named<Party>,
    actions: Named<Party>,
    resources: Named<Party>,
    contexts: Named<Map<String, Json>>,
    entities: Named<Json>,
    links: Named<Link>,
}

impl Fixtures {
    /// Reads the fixtures of a file.
    pub(super) fn read(page: &mut Page<'_>, node: Node) -> Self {
        let mut fixtures = Self::default();
        let Some(mut members) = page.members(node, "`fixtures`", FIXTURE_KEYS) else {
            return fixtures;
        };
        let of = page::Part::Fixture;
        for part in [Part::Principal, Part::Action, Part::Resource] {
            for (name, place, node) in named(page, &mut members, part.words()) {
                let party = page.apart(of, &place, |page| {
                    let party = party_fixture(page, node, part, &name)?;
                    check_party(page, part, &party.uid, &place);
                    Some(party)
                });
                fixtures.of(part).insert(name, party.ok());
            }
        }
        for (name, place, node) in named(page, &mut members, "contexts") {
            let context = page.apart(of, &place, |page| page.json_object(node, "a context"));
            fixtures.contexts.insert(name, context.ok());
        }
        for (name, place, node) in named(page, &mut members, "entities") {
            let entity = page.apart(of, &place, |page| Some(entity(page, node)?.1));
            fixtures.entities.insert(name, entity.ok());
        }
        for (name, place, node) in named(page, &mut members, "links") {
            let link = page.apart(of, &place, |page| fixtures.link(page, node, Some(&name)));
            fixtures.links.insert(name, link.ok());
        }
        fixtures
    }

    fn of(&mut self, part: Part) -> &mut Named<Party> {
        match part {
            Part::Principal => &mut self.principals,
            Part::Action => &mut self.actions,
            Part::Resource => &mut self.resources,
        }
    }

    /// The principal, action or resource that a text names: a fixture, or else an
    /// entity as a policy writes it.
    pub(super) fn party(&self, page: &mut Page<'_>, part: Part, node: Node) -> Option<Party> {
        let place = node.place.clone();
        let text = page.text(node, &format!("`{}`", part.word()))?;
        let names = match part {
            Part::Principal => &self.principals,
            Part::Action => &self.actions,
            Part::Resource => &self.resources,
        };
        if let Some(found) = names.get(&text) {
            return sound(page, &place, &text, found.as_ref());
        }
        match EntityUid::from_str(&text) {
            Ok(uid) => Some(Party {
                uid: Arc::new(uid.as_ref().clone()),
                entity: None,
                label: text,
                is_named: false,
            }),
            Err(_) => {
                let what = format!("{} nor an entity", part.words());
                unknown(page, &place, &text, &what, names.keys());
                None
            }
        }
    }

    /// A context: the name of one, an object, or a list of both, of which what
    /// comes later wins.
    pub(super) fn context(&self, page: &mut Page<'_>, node: Node) -> Option<Map<String, Json>> {
        let parts = match node.value {
            Value::List(parts) => parts,
            _ => vec![node],
        };
        let mut context = Map::new();
        for part in parts {
            let place = part.place.clone();
            let found = match part.value {
                Value::Text(name) => match self.contexts.get(&name) {
                    Some(found) => sound(page, &place, &name, found.as_ref())?,
                    None => {
                        unknown(page, &place, &name, "contexts", self.contexts.keys());
                        return None;
                    }
                },
                _ => page.json_object(part, "`context`")?,
            };
            lay_over(&mut context, found);
        }
        Some(context)
    }

    /// Entities that the question carries, by uid: names of fixtures, or entities.
    pub(super) fn entities(
        &self,
        page: &mut Page<'_>,
        node: Node,
    ) -> Option<BTreeMap<EntityUID, Json>> {
        let mut entities = BTreeMap::new();
        for item in page.list(node, "`entities`")? {
            let place = item.place.clone();
            let entity = match item.value {
                Value::Text(name) => match self.entities.get(&name) {
                    Some(found) => sound(page, &place, &name, found.as_ref())?,
                    None => {
                        unknown(page, &place, &name, "entities", self.entities.keys());
                        return None;
                    }
                },
                _ => entity(page, item)?.1,
            };
            let Some(uid) = uid_of(&entity) else {
                continue;
            };
            if entities.contains_key(&uid) {
                let message = format!("the entity `{uid}` is there twice");
                page.fault(&place, message, "make one entity of both");
                return None;
            }
            entities.insert(uid, entity);
        }
        Some(entities)
    }

    /// Links in force for the question: names of fixtures, or links.
    pub(super) fn links(&self, page: &mut Page<'_>, node: Node) -> Option<Vec<Link>> {
        let mut links: Vec<Link> = Vec::new();
        for item in page.list(node, "`links`")? {
            let place = item.place.clone();
            let link = match item.value {
                Value::Text(name) => match self.links.get(&name) {
                    Some(found) => sound(page, &place, &name, found.as_ref())?,
                    None => {
                        unknown(page, &place, &name, "links", self.links.keys());
                        return None;
                    }
                },
                _ => self.link(page, item, None)?,
            };
            if links.iter().any(|other| other.id == link.id) {
                let message = format!("the link `{}` is there twice", link.id);
                page.fault(&place, message, "leave one of them out");
                return None;
            }
            links.push(link);
        }
        Some(links)
    }

    /// A link; that of a fixture has the name of the fixture if it has no id.
    fn link(&self, page: &mut Page<'_>, node: Node, name: Option<&str>) -> Option<Link> {
        let place = node.place.clone();
        let mut members = page.members(node, "a link", LINK_KEYS)?;
        let id = match (members.take("id"), name) {
            (Some(id), _) => page.text(id, "`id`")?,
            (None, Some(name)) => name.to_owned(),
            (None, None) => {
                page.fault(&place, "a link has no `id`", "add `id: ..`");
                return None;
            }
        };
        let template = page.required(&mut members, "template")?;
        let template = page.text(template, "`template`")?;
        let mut slot = |part: Part| match members.take(part.word()) {
            Some(node) => {
                let uid = self.party(page, part, node)?.uid;
                Some(Some(EntityUID::clone(&uid)))
            }
            None => Some(None),
        };
        let link = Link {
            id: id.into(),
            template: template.into(),
            principal: slot(Part::Principal)?,
            resource: slot(Part::Resource)?,
            file: Arc::clone(&page.file),
            source: (Arc::clone(&page.source), place.clone()),
        };
        check_link(page, &link, &place).then_some(link)
    }
}

/// Whether a link can be made of what the repository has.
fn check_link(page: &mut Page<'_>, link: &Link, place: &Place) -> bool {
    if page.known.has_link(&link.id) {
        let message = format!("link `{}` has the id of a link of the repository", link.id);
        page.fault(place, message, "give it another `id`");
        return false;
    }
    let Some(snapshot) = page.known.snapshot else {
        return true;
    };
    for uid in link.principal.iter().chain(&link.resource) {
        page.check_type(uid, place);
    }
    let Err(fault) = snapshot.link(&link.id, &link.template, link.slots()) else {
        return true;
    };
    let templates = snapshot
        .templates()
        .map(|template| template.info.id.as_str());
    let hint = match closest(&link.template, templates) {
        Some(meant) if snapshot.template(&link.template).is_none() => {
            format!("did you mean `{meant}`?")
        }
        _ => fault.hint.to_owned(),
    };
    page.fault(place, fault.message, hint);
    false
}

/// Notes a principal, action or resource that the schema does not declare.
pub(super) fn check_party(page: &mut Page<'_>, part: Part, uid: &EntityUID, place: &Place) {
    match part {
        Part::Action => page.check_action(uid, place),
        Part::Principal | Part::Resource => page.check_type(uid, place),
    }
}

/// An entity as the question carries it: a uid in Cedar's syntax or its JSON, with
/// attributes, parents and tags in Cedar's JSON. What it leaves out is as it is
/// in the repository.
pub(super) fn entity(page: &mut Page<'_>, node: Node) -> Option<(EntityUID, Json)> {
    let mut members = page.members(node, "an entity", ENTITY_KEYS)?;
    let uid = page.required(&mut members, "uid")?;
    let uid = uid_of_node(page, uid)?;
    let mut fields = Map::new();
    fields.insert("uid".to_owned(), uid_json(&uid));
    for name in ["attrs", "tags"] {
        if let Some(node) = members.take(name) {
            let object = page.json_object(node, &format!("`{name}`"))?;
            fields.insert(name.to_owned(), Json::Object(object));
        }
    }
    if let Some(parents) = members.take("parents") {
        let mut uids = Vec::new();
        for parent in page.list(parents, "`parents`")? {
            uids.push(uid_json(&uid_of_node(page, parent)?));
        }
        fields.insert("parents".to_owned(), Json::Array(uids));
    }
    Some((uid, Json::Object(fields)))
}

/// An entity's name in Cedar's JSON.
fn uid_json(uid: &EntityUID) -> Json {
    let id: &str = uid.eid().as_ref();
    json!({"type": uid.entity_type().to_string(), "id": id})
}

fn uid_of(entity: &Json) -> Option<EntityUID> {
    let uid = EntityUid::from_json(entity.get("uid")?.clone()).ok()?;
    Some(uid.as_ref().clone())
}

fn uid_of_node(page: &mut Page<'_>, node: Node) -> Option<EntityUID> {
    let place = node.place.clone();
    let hint = r#"write it as in a policy, Type::"id", or as { type: .., id: .. }"#;
    let uid = match node.value {
        Value::Text(text) => EntityUid::from_str(&text).map_err(|_| format!("`{text}`")),
        _ => {
            let json = page.json(node)?;
            EntityUid::from_json(json.clone()).map_err(|_| format!("`{json}`"))
        }
    };
    match uid {
        Ok(uid) => {
            let uid = uid.as_ref().clone();
            page.check_type(&uid, &place);
            Some(uid)
        }
        Err(written) => {
            page.fault(&place, format!("{written} is not an entity"), hint);
            None
        }
    }
}

fn party_fixture(page: &mut Page<'_>, node: Node, part: Part, name: &str) -> Option<Party> {
    let party = |uid: EntityUID, entity| Party {
        uid: Arc::new(uid),
        entity,
        label: name.to_owned(),
        is_named: true,
    };
    match (&node.value, part) {
        (Value::Map(_), Part::Principal | Part::Resource) => {
            let (uid, entity) = entity(page, node)?;
            Some(party(uid, Some(entity)))
        }
        _ => {
            let place = node.place.clone();
            let text = page.text(node, &format!("the {} `{name}`", part.word()))?;
            match EntityUid::from_str(&text) {
                Ok(uid) => Some(party(uid.as_ref().clone(), None)),
                Err(_) => {
                    let message = format!("`{text}` is not an entity");
                    page.fault(&place, message, r#"write it as in a policy: Type::"id""#);
                    None
                }
            }
        }
    }
}

/// The names of one kind of fixture, with the places and values.
fn named(page: &mut Page<'_>, members: &mut Members, kind: &str) -> Vec<(String, Place, Node)> {
    let Some(node) = members.take(kind) else {
        return Vec::new();
    };
    let entries = page.entries(node, &format!("`{kind}`")).unwrap_or_default();
    entries
        .into_iter()
        .map(|(key, node)| (key.name, node.place.clone(), node))
        .collect()
}

/// What a fixture is, unless it has a fault.
fn sound<T: Clone>(page: &mut Page<'_>, place: &Place, name: &str, found: Option<&T>) -> Option<T> {
    if found.is_none() {
        page.uses_faulty(place, name);
    }
    found.cloned()
}

/// Notes a name that no fixture has.
fn unknown<'a>(
    page: &mut Page<'_>,
    place: &Place,
    name: &str,
    what: &str,
    known: impl Iterator<Item = &'a String>,
) {
    let meant = closest(name, known.map(String::as_str));
    let hint = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if what.ends_with("entity") => {
            r#"declare it in `fixtures`, or write an entity as in a policy: Type::"id""#.to_owned()
        }
        None => "declare it in `fixtures`".to_owned(),
    };
    let message = match what.split_once(" nor ") {
        Some((kind, other)) => {
            format!("`{name}` is neither a fixture among the {kind} nor {other}")
        }
        None => format!("`{name}` is not a fixture among the {what}"),
    };
    page.fault(place, message, hint);
}

/// Lays one record over another, member by member. Escapes such as `__extn` are
/// values, not records.
fn lay_over(below: &mut Map<String, Json>, above: Map<String, Json>) {
    let is_record = |map: &Map<String, Json>| !map.keys().any(|key| key.starts_with("__"));
    for (name, value) in above {
        match (below.get_mut(&name), value) {
            (Some(Json::Object(below)), Json::Object(above))
                if is_record(below) && is_record(&above) =>
            {
                lay_over(below, above);
            }
            (_, value) => {
                below.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;
    use serde_json::json;

    use super::lay_over;

    #[test]
    fn records_are_laid_over_each_other_member_by_member() {
        let below =
            json!({"a": {"b": 1, "c": [1]}, "now": {"__extn": {"fn": "x", "arg": "1"}}, "k": 1});
        let above =
            json!({"a": {"c": [2], "d": {}}, "now": {"__extn": {"arg": "2"}}, "k": {"l": 1}});
        let (Json::Object(mut below), Json::Object(above)) = (below, above) else {
            panic!();
        };
        lay_over(&mut below, above);
        let wanted = json!({"a": {"b": 1, "c": [2], "d": {}}, "now": {"__extn": {"arg": "2"}}, "k": {"l": 1}});
        assert_eq!(Json::Object(below), wanted);
    }
}
