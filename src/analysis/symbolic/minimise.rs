//! Making a counterexample readable: everything goes that is not needed, and what
//! can have any name gets a short one.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use cedar_policy_core::ast::Eid;
use cedar_policy_core::ast::EntityType;
use cedar_policy_core::ast::EntityUID;
use chrono::DateTime;
use chrono::Datelike as _;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

use super::counterexample::Counterexample;
use crate::engine::Snapshot;
use crate::engine::View;

/// How often the engine may be asked about one counterexample.
const ASKED_MAX: usize = 3_000;

/// One thing that may be left out.
#[derive(Debug, Clone)]
enum Part {
    Link(usize),
    Entity(usize),
    Parent(usize, usize),
    Attribute(usize, Vec<String>),
    Tag(usize, Vec<String>),
    Context(Vec<String>),
}

/// With dates as people write them, where they were so many milliseconds before or
/// after 1970.
pub(super) fn with_plain_dates(example: &Counterexample) -> Counterexample {
    let mut plain = example.clone();
    let of_entities = plain.entities.iter_mut();
    let fields = of_entities.flat_map(|entity| [&mut entity.attributes, &mut entity.tags]);
    for fields in fields.chain([&mut plain.context]) {
        fields.values_mut().for_each(make_dates_plain);
    }
    plain
}

fn make_dates_plain(value: &mut Json) {
    if let Some(date) = plain_date(value) {
        *value = json!({"__extn": {"fn": "datetime", "arg": date}});
        return;
    }
    match value {
        Json::Object(fields) => fields.values_mut().for_each(make_dates_plain),
        Json::Array(items) => items.iter_mut().for_each(make_dates_plain),
        _ => {}
    }
}

/// The date of `datetime("1970-01-01").offset(duration("..ms"))`, if Cedar can write
/// it in one piece.
fn plain_date(value: &Json) -> Option<String> {
    let call = value.get("__extn")?;
    if call.get("fn")? != "offset" || call.pointer("/args/0/__extn/arg")? != "1970-01-01" {
        return None;
    }
    let duration = call.pointer("/args/1/__extn/arg")?.as_str()?;
    let millis: i64 = duration.strip_suffix("ms")?.parse().ok()?;
    let date = DateTime::from_timestamp_millis(millis)?;
    if !(0..=9999).contains(&date.year()) {
        return None;
    }
    let format = if millis.rem_euclid(86_400_000) == 0 {
        "%Y-%m-%d"
    } else if millis.rem_euclid(1000) == 0 {
        "%Y-%m-%dT%H:%M:%SZ"
    } else {
        "%Y-%m-%dT%H:%M:%S%.3fZ"
    };
    Some(date.format(format).to_string())
}

/// The smallest counterexample found by leaving out one thing after the other.
pub(super) fn minimised(
    example: Counterexample,
    still_shows: &dyn Fn(&Counterexample) -> bool,
) -> Counterexample {
    let mut smallest = example;
    let mut asked = 0;
    // Whole entities first: what goes with them need not be tried.
    for only_whole in [true, false] {
        loop {
            let mut is_smaller = false;
            let tried = parts(&smallest)
                .into_iter()
                .filter(|part| !only_whole || matches!(part, Part::Entity(_) | Part::Link(_)));
            // From the back, so that places stay right after something is left out.
            for part in tried.collect::<Vec<Part>>().into_iter().rev() {
                if asked >= ASKED_MAX {
                    return smallest;
                }
                asked += 1;
                let smaller = without(&smallest, &part);
                if still_shows(&smaller) {
                    smallest = smaller;
                    is_smaller = true;
                }
            }
            if !is_smaller {
                break;
            }
        }
    }
    smallest
}

/// Parts in such an order that each stays where it is when those after it go:
/// whole things before what is in them.
fn parts(example: &Counterexample) -> Vec<Part> {
    let mut parts = Vec::new();
    paths(&example.context, &mut Vec::new(), &mut |path| {
        parts.push(Part::Context(path));
    });
    for (at, entity) in example.entities.iter().enumerate() {
        parts.push(Part::Entity(at));
        parts.extend((0..entity.parents.len()).map(|parent| Part::Parent(at, parent)));
        paths(&entity.attributes, &mut Vec::new(), &mut |path| {
            parts.push(Part::Attribute(at, path));
        });
        paths(&entity.tags, &mut Vec::new(), &mut |path| {
            parts.push(Part::Tag(at, path));
        });
    }
    parts.extend((0..example.links.len()).map(Part::Link));
    parts
}

/// The paths of all fields of a record, and of all items of its sets.
fn paths(fields: &Map<String, Json>, above: &mut Vec<String>, each: &mut impl FnMut(Vec<String>)) {
    for (name, value) in fields {
        above.push(name.clone());
        each(above.clone());
        match value {
            Json::Object(fields) if !is_escape(fields) => paths(fields, above, each),
            Json::Array(items) => {
                for at in 0..items.len() {
                    above.push(at.to_string());
                    each(above.clone());
                    above.pop();
                }
            }
            _ => {}
        }
        above.pop();
    }
}

fn is_escape(fields: &Map<String, Json>) -> bool {
    fields.contains_key("__entity") || fields.contains_key("__extn")
}

fn without(example: &Counterexample, part: &Part) -> Counterexample {
    let mut smaller = example.clone();
    match part {
        Part::Link(at) => remove(&mut smaller.links, *at),
        Part::Entity(at) => remove(&mut smaller.entities, *at),
        Part::Context(path) => remove_path(&mut smaller.context, path),
        Part::Parent(at, parent) => {
            if let Some(entity) = smaller.entities.get_mut(*at) {
                remove(&mut entity.parents, *parent);
            }
        }
        Part::Attribute(at, path) => {
            if let Some(entity) = smaller.entities.get_mut(*at) {
                remove_path(&mut entity.attributes, path);
            }
        }
        Part::Tag(at, path) => {
            if let Some(entity) = smaller.entities.get_mut(*at) {
                remove_path(&mut entity.tags, path);
            }
        }
    }
    smaller
}

fn remove<T>(items: &mut Vec<T>, at: usize) {
    if at < items.len() {
        items.remove(at);
    }
}

fn remove_path(fields: &mut Map<String, Json>, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        fields.remove(first);
        return;
    }
    match fields.get_mut(first) {
        Some(Json::Object(fields)) => remove_path(fields, rest),
        Some(Json::Array(items)) => {
            let at = rest.first().and_then(|at| at.parse().ok());
            remove(items, at.unwrap_or(usize::MAX));
        }
        _ => {}
    }
}

/// Short names for the entities that no policy names, such as `user` and `user-2`,
/// that nothing else has.
pub(super) fn named_shortly(
    example: &Counterexample,
    snapshot: &Snapshot,
    view: &View,
    named_by_policies: &BTreeSet<EntityUID>,
) -> Counterexample {
    let mut taken = named_by_policies.clone();
    let mut names = BTreeMap::new();
    for old in mentioned(example) {
        let is_enumerated = snapshot.schema().is_some_and(|schema| {
            let declared = schema.validator().get_entity_type(old.entity_type());
            declared.is_none_or(|declared| {
                matches!(
                    declared.kind,
                    cedar_policy_core::validator::ValidatorEntityTypeKind::Enum(_)
                )
            })
        });
        if is_enumerated || named_by_policies.contains(&old) {
            continue;
        }
        let kind = old.entity_type().to_string();
        let word = kind.rsplit("::").next().unwrap_or_default().to_lowercase();
        let mut number = 1_usize;
        let new = loop {
            let id = match number {
                1 => word.clone(),
                number => format!("{word}-{number}"),
            };
            let new = EntityUID::from_components(old.entity_type().clone(), Eid::new(id), None);
            if !taken.contains(&new) && !view.knows(&new) {
                break new;
            }
            number += 1;
        };
        taken.insert(new.clone());
        names.insert(old, new);
    }
    example.renamed(&names)
}

/// Every entity of a counterexample, those of the request first.
pub(super) fn mentioned(example: &Counterexample) -> Vec<EntityUID> {
    let mut all = vec![example.principal.clone(), example.resource.clone()];
    for entity in &example.entities {
        all.push(entity.uid.clone());
        all.extend(entity.parents.iter().cloned());
    }
    for entity in &example.entities {
        for value in entity.attributes.values().chain(entity.tags.values()) {
            entities_in(value, &mut all);
        }
    }
    for value in example.context.values() {
        entities_in(value, &mut all);
    }
    let mut seen = BTreeSet::new();
    all.retain(|uid| seen.insert(uid.clone()));
    all
}

fn entities_in(value: &Json, into: &mut Vec<EntityUID>) {
    match value {
        Json::Object(fields) => match fields.get("__entity") {
            Some(named) => {
                let text = |key| named.get(key).and_then(Json::as_str);
                let parts = text("type").zip(text("id"));
                into.extend(parts.and_then(|(kind, id)| {
                    let kind = EntityType::from_normalized_str(kind).ok()?;
                    Some(EntityUID::from_components(kind, Eid::new(id), None))
                }));
            }
            None => fields.values().for_each(|value| entities_in(value, into)),
        },
        Json::Array(items) => items.iter().for_each(|item| entities_in(item, into)),
        _ => {}
    }
}
