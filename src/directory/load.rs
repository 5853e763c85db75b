//! Entities and links from a repository's files.

use std::collections::HashMap;
use std::sync::Arc;

use cedar_policy::Entities;
use cedar_policy::Entity;
use cedar_policy::EntityUid;
use miette::Diagnostic;

use crate::engine::Fault;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::files::Role;
use crate::engine::link::Link;
use crate::engine::link::json_fault;

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

fn text(file: &str, content: &[u8]) -> Result<Arc<str>, Vec<Fault>> {
    match std::str::from_utf8(content) {
        Ok(text) => Ok(text.into()),
        Err(_) => Err(vec![Fault::of_file(file, "not UTF-8").with_hint("save the file as UTF-8")]),
    }
}

fn entities(
    snapshot: &Snapshot,
    files: &Files,
    faults: &mut Vec<Fault>,
) -> cedar_policy_core::entities::Entities {
    let schema = snapshot.schema().map(crate::engine::schema::Schema::cedar);
    let mut all: Vec<Entity> = Vec::new();
    let mut places: HashMap<EntityUid, String> = HashMap::new();
    for (file, content) in files.with_role(Role::Entities) {
        let parsed = match text(file, content).and_then(|text| parse(file, &text, schema)) {
            Ok(parsed) => parsed,
            Err(found) => {
                faults.extend(found);
                continue;
            }
        };
        for entity in parsed {
            match places.insert(entity.uid(), file.to_owned()) {
                None => all.push(entity),
                Some(first) => faults.push(
                    Fault::of_file(file, format!("`{}` is defined twice", entity.uid()))
                        .with_hint(format!("the other definition is in {first}; remove one")),
                ),
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
            faults.push(Fault::of_file("entities", chain(&error)));
            cedar_policy_core::entities::Entities::new()
        }
    }
}

/// Parses the entities of one file one by one, so that every bad one is named.
fn parse(
    file: &str,
    text: &Arc<str>,
    schema: Option<&cedar_policy::Schema>,
) -> Result<Vec<Entity>, Vec<Fault>> {
    let hint = r#"write [{"uid": {"type": "..", "id": ".."}, "attrs": {}, "parents": []}]"#;
    let values: Vec<serde_json::Value> =
        serde_json::from_str(text).map_err(|error| vec![json_fault(file, text, &error).with_hint(hint)])?;
    let mut faults = Vec::new();
    let mut entities = Vec::new();
    for value in values {
        let name = value.get("uid").map(ToString::to_string);
        match Entity::from_json_value(value, schema) {
            Ok(entity) => entities.push(entity),
            Err(error) => {
                let message = match name {
                    Some(name) => format!("entity {name}: {}", chain(&error)),
                    None => chain(&error),
                };
                let fault = Fault::of_file(file, message);
                faults.push(match error.help() {
                    Some(help) => fault.with_hint(help.to_string()),
                    None => fault.with_hint(hint),
                });
            }
        }
    }
    if faults.is_empty() { Ok(entities) } else { Err(faults) }
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
