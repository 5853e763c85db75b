//! Entities and links from a repository's files.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use cedar_policy::Entities;
use cedar_policy::Entity;
use cedar_policy::EntityUid;
use cedar_policy_core::ast::SlotId;
use miette::Diagnostic;

use super::apply::memberships;
use super::operation::Operation;
use super::operation::Put;
use super::operation::PutLink;
use crate::engine::Fault;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::files::Role;
use crate::engine::json_text::elements;
use crate::engine::json_text::json_fault;
use crate::engine::link::Link;

/// Loads all files of entities and links, checked against the snapshot's schema
/// and templates.
///
/// # Errors
/// Every fault of every file.
pub fn load(snapshot: &Snapshot, files: &Files) -> Result<View, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut links = Vec::new();
    for (file, content) in files.with_role(Role::Links) {
        match text(file, content).and_then(|text| Link::parse_file(file, &text)) {
            Ok(parsed) => links.extend(parsed),
            Err(found) => faults.extend(found),
        }
    }
    let entities = entities(snapshot, files, &mut faults);
    match View::new(snapshot, files.data_digest(), entities, &links) {
        Ok(view) if faults.is_empty() => Ok(view),
        Ok(_) => Err(faults),
        Err(found) => {
            faults.extend(found);
            Err(faults)
        }
    }
}

/// The operations that write what a view has: the first transaction of a new
/// directory. Entities come before links, in order of uid and id.
///
/// # Errors
/// When the view is damaged, which is a fault of ours.
pub fn seed(snapshot: &Snapshot, view: &View) -> Result<Vec<Operation>, Vec<Fault>> {
    let mut entities: Vec<_> = view.iter().collect();
    entities.sort_unstable_by(|a, b| a.0.cmp(b.0));
    let puts = entities.into_iter().map(|(named, stored)| {
        let (attributes, tags) = stored
            .unpack(snapshot.types())
            .map_err(|damaged| vec![Fault::of_file("entities", damaged.to_string())])?;
        Ok(Operation::Put(Put {
            uid: Arc::clone(named.uid()),
            attributes: attributes.into_iter().collect(),
            tags: tags.into_iter().collect(),
            parents: memberships(stored),
            expires: None,
        }))
    });
    let links = view.links().iter().map(|link| {
        let slot = |slot| link.cedar.env().get(&slot).cloned().map(Arc::new);
        Ok(Operation::PutLink(PutLink {
            id: link.info.id.clone(),
            template: link.info.template.clone().unwrap_or_default(),
            principal: slot(SlotId::principal()),
            resource: slot(SlotId::resource()),
            expires: None,
        }))
    });
    puts.chain(links).collect()
}

fn text(file: &str, content: &[u8]) -> Result<Arc<str>, Vec<Fault>> {
    match std::str::from_utf8(content) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(vec![Fault::not_utf8(file, content, error.valid_up_to())]),
    }
}

fn entities(
    snapshot: &Snapshot,
    files: &Files,
    faults: &mut Vec<Fault>,
) -> cedar_policy_core::entities::Entities {
    let schema = snapshot.schema().map(crate::engine::schema::Schema::cedar);
    let mut all: Vec<Entity> = Vec::new();
    let mut places: HashMap<EntityUid, Place> = HashMap::new();
    for (file, content) in files.with_role(Role::Entities) {
        let parsed = match text(file, content).and_then(|text| parse(file, &text, schema)) {
            Ok(parsed) => parsed,
            Err(found) => {
                faults.extend(found);
                continue;
            }
        };
        for (entity, place) in parsed {
            match places.get(&entity.uid()) {
                None => {
                    places.insert(entity.uid(), place);
                    all.push(entity);
                }
                Some(first) => {
                    let fault = place.fault(format!("`{}` is defined twice", entity.uid()));
                    let other = first.fault("").place();
                    faults.push(
                        fault.with_hint(format!("the other definition is at {other}; remove one")),
                    );
                }
            }
        }
    }
    // Once more together: a cycle may run through several files. With a schema,
    // this also adds its action entities.
    match Entities::from_entities(all, schema) {
        Ok(entities) => {
            let core: &cedar_policy_core::entities::Entities = entities.as_ref();
            core.clone()
        }
        Err(error) => {
            let message = chain(&error);
            let place = places
                .iter()
                .find(|(uid, _)| message.contains(&format!("`{uid}`")));
            let fault = match place {
                Some((_, place)) => place.fault(message),
                None => Fault::of_file("entities", message),
            };
            faults.push(
                fault.with_hint("no entity may be its own ancestor: remove one of the parents"),
            );
            cedar_policy_core::entities::Entities::new()
        }
    }
}

/// Where an entity is defined.
struct Place {
    file: Arc<str>,
    text: Arc<str>,
    span: Range<usize>,
}

impl Place {
    fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::near(&self.file, &self.text, self.span.clone(), message)
    }
}

/// Parses the entities of one file one by one, so that every bad one is named.
fn parse(
    file: &str,
    text: &Arc<str>,
    schema: Option<&cedar_policy::Schema>,
) -> Result<Vec<(Entity, Place)>, Vec<Fault>> {
    let hint = r#"write [{"uid": {"type": "..", "id": ".."}, "attrs": {}, "parents": []}]"#;
    let values: Vec<serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| vec![json_fault(file, text, &error).with_hint(hint)])?;
    let file: Arc<str> = file.into();
    let mut faults = Vec::new();
    let mut entities = Vec::new();
    for (value, span) in values.into_iter().zip(elements(text)) {
        let place = Place {
            file: Arc::clone(&file),
            text: Arc::clone(text),
            span,
        };
        match Entity::from_json_value(value, schema) {
            Ok(entity) => entities.push((entity, place)),
            Err(error) => {
                let fault = place.fault(chain(&error));
                faults.push(match error.help() {
                    Some(help) => fault.with_hint(help.to_string()),
                    None if schema.is_some() => {
                        fault.with_hint(format!("see the entity type in the schema; {hint}"))
                    }
                    None => fault.with_hint(hint),
                });
            }
        }
    }
    if faults.is_empty() {
        Ok(entities)
    } else {
        Err(faults)
    }
}

/// An error with everything that caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}
