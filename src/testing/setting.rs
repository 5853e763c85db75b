//! The circumstances of a case or table: context, entities, links, time, and
//! whether it is asked at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use cedar_policy_core::ast;
use cedar_policy_core::ast::EntityUID;
use serde_json::Map;
use serde_json::Value as Json;

use super::fixtures::Fixtures;
use super::fixtures::Party;
use super::node::Node;
use super::node::Value;
use super::page::Members;
use super::page::Page;
use super::parameters::Parameters;
use super::suite::Question;
use crate::engine::datetime;
use crate::engine::link::Link;

/// What a file says for all of its cases.
#[derive(Debug, Default)]
pub(super) struct Base {
    pub(super) fixtures: Fixtures,
    pub(super) constants: Parameters,
    pub(super) now: Option<ast::Value>,
}

/// The members that make a setting.
pub(super) const SETTING_KEYS: &[&str] = &["context", "entities", "links", "now", "skip"];

/// The circumstances in which questions are asked.
#[derive(Debug)]
pub(super) struct Setting {
    context: Arc<Json>,
    entities: BTreeMap<EntityUID, Json>,
    pub(super) links: Vec<Link>,
    now: Option<ast::Value>,
    pub(super) skip: Option<String>,
}

impl Setting {
    /// Reads the members that make a setting.
    pub(super) fn read(page: &mut Page<'_>, members: &mut Members, base: &Base) -> Option<Self> {
        let fixtures = &base.fixtures;
        let context = match members.take("context") {
            Some(node) => fixtures.context(page, node),
            None => Some(Map::new()),
        };
        let entities = match members.take("entities") {
            Some(node) => fixtures.entities(page, node),
            None => Some(BTreeMap::new()),
        };
        let links = match members.take("links") {
            Some(node) => fixtures.links(page, node),
            None => Some(Vec::new()),
        };
        let now = match members.take("now") {
            Some(node) => now(page, node).map(Some),
            None => Some(base.now.clone()),
        };
        let skip = match members.take("skip") {
            Some(node) => skip(page, node).map(Some),
            None => Some(None),
        };
        Some(Self {
            context: Arc::new(Json::Object(context?)),
            entities: entities?,
            links: links?,
            now: now?,
            skip: skip?,
        })
    }

    /// A question in this setting. The case's own entities win over what its
    /// parties' fixtures carry.
    pub(super) fn question(&self, principal: &Party, action: &Party, resource: &Party) -> Question {
        let mut entities = BTreeMap::new();
        for party in [principal, resource] {
            if let Some(entity) = &party.entity {
                entities.insert(&*party.uid, entity);
            }
        }
        entities.extend(&self.entities);
        Question {
            principal: Arc::clone(&principal.uid),
            action: Arc::clone(&action.uid),
            resource: Arc::clone(&resource.uid),
            context: Arc::clone(&self.context),
            is_alone: false,
            entities: Json::Array(entities.into_values().cloned().collect()),
            links: self.links.clone(),
            now: self.now.clone(),
        }
    }
}

/// The reason why something is skipped.
fn skip(page: &mut Page<'_>, node: Node) -> Option<String> {
    if let Value::Bool(_) = node.value {
        let hint = "write the reason, or leave `skip` out";
        page.fault(&node.place, "`skip` does not say why", hint);
        return None;
    }
    page.text(node, "`skip`")
}

/// A time.
pub(super) fn now(page: &mut Page<'_>, node: Node) -> Option<ast::Value> {
    let place = node.place.clone();
    let text = page.text(node, "`now`")?;
    match datetime::parse(&text) {
        Ok(time) => Some(time),
        Err(error) => {
            page.fault(&place, error, "write it as RFC 3339 does");
            None
        }
    }
}
