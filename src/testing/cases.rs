//! Cases: one question each, or one for each row of their parameters.

use std::sync::Arc;

use super::expect;
use super::expect::EXPECT_KEYS;
use super::fixtures::Part;
use super::fixtures::Party;
use super::fixtures::check_party;
use super::node::Key;
use super::node::Node;
use super::node::Place;
use super::node::Value;
use super::page;
use super::page::Members;
use super::page::Page;
use super::parameters;
use super::setting::Base;
use super::setting::SETTING_KEYS;
use super::setting::Setting;
use super::suite::Broken;
use super::suite::Case;
use crate::config::closest::closest;
use crate::engine::Cause;

const OWN_KEYS: &[&str] = &["name", "principal", "action", "resource"];

/// What is added to the name of a case for one of its rows.
struct Row {
    suffix: String,
    place: Place,
}

/// Reads the cases of a file.
pub(super) fn read(page: &mut Page<'_>, node: Node, base: &Base) -> Vec<Result<Case, Broken>> {
    let mut cases = Vec::new();
    for mut node in page.list(node, "`cases`").unwrap_or_default() {
        let place = node.place.clone();
        if !has_rows(&node) {
            cases.push(apart(page, &place, |page, name| {
                page.no_key_twice(&node);
                base.constants.fill(page, &mut node);
                case(page, node, base, None, name)
            }));
            continue;
        }
        let rows = apart(page, &place, |page, name| {
            *name = named(&node);
            page.no_key_twice(&node);
            let each = node.remove("each")?;
            rows(page, each)
        });
        let rows = match rows {
            Ok(rows) => rows,
            Err(mut broken) => {
                broken.is_of_many = true;
                cases.push(Err(broken));
                continue;
            }
        };
        let weight = node.weight();
        for (at, row) in rows.into_iter().enumerate() {
            let place = row.place.clone();
            if !page.may_make(&place, weight) {
                break;
            }
            cases.push(apart(page, &place, |page, name| {
                *name = named(&node).map(|name| format!("{name} (row {})", at + 1));
                case_of_row(page, node.clone(), row, at + 1, base, name)
            }));
        }
    }
    cases
}

fn has_rows(node: &Node) -> bool {
    match &node.value {
        Value::Map(entries) => entries.iter().any(|(key, _)| key.name == "each"),
        _ => false,
    }
}

fn rows(page: &mut Page<'_>, each: Node) -> Option<Vec<Node>> {
    let place = each.place.clone();
    let rows = page.list(each, "`each`")?;
    if rows.is_empty() {
        page.fault(&place, "`each` has no row", "add one, or leave `each` out");
    }
    Some(rows)
}

/// Reads a case, or several that are written as one, so that a fault of it is none
/// of the others. What reads it says its name as soon as that is known.
pub(super) fn apart<T>(
    page: &mut Page<'_>,
    place: &Place,
    read: impl FnOnce(&mut Page<'_>, &mut Option<String>) -> Option<T>,
) -> Result<T, Broken> {
    let mut name = None;
    let found = page.apart(page::Part::Case, place, |page| read(page, &mut name));
    found.map_err(|fault| {
        let line = page.line(place);
        Broken {
            is_of_many: name.is_none(),
            name: name.unwrap_or_else(|| format!("line {line}")),
            line,
            fault,
        }
    })
}

/// The name of a case as it is written.
fn named(node: &Node) -> Option<String> {
    let Value::Map(entries) = &node.value else {
        return None;
    };
    let (_, name) = entries.iter().find(|(key, _)| key.name == "name")?;
    parameters::shown(&name.value)
}

/// The case that a row makes of one with parameters.
fn case_of_row(
    page: &mut Page<'_>,
    mut node: Node,
    row: Node,
    number: usize,
    base: &Base,
    told: &mut Option<String>,
) -> Option<Case> {
    let keys = keys();
    let place = row.place.clone();
    let mut values = base.constants.clone();
    let mut own = Vec::new();
    for (key, mut value) in page.entries(row, "a row of `each`")? {
        if keys.contains(&key.name.as_str()) {
            node.put(key, value);
        } else {
            base.constants.fill(page, &mut value);
            values.put(key.name.clone(), value.clone());
            own.push((key, value));
        }
    }
    let suffix = suffix(&node, &own, number);
    let used = values.fill(page, &mut node);
    for (key, _) in own.iter().filter(|(key, _)| !used.contains(&key.name)) {
        let hint = match closest(&key.name, keys.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!(
                "write `${{{}}}` where it belongs, or leave it out",
                key.name
            ),
        };
        let message = format!("the parameter `{}` is used nowhere in the case", key.name);
        page.fault(&key.place, message, hint);
    }
    case(page, node, base, Some(&Row { suffix, place }), told)
}

/// What tells the cases of several rows apart, unless their name says it.
fn suffix(node: &Node, own: &[(Key, Node)], number: usize) -> String {
    let name = match &node.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.name == "name"),
        _ => None,
    };
    if let Some((_, node)) = name
        && let Value::Text(name) = &node.value
        && own
            .iter()
            .any(|(key, _)| parameters::names(name, &key.name))
    {
        return String::new();
    }
    let shown: Vec<String> = own
        .iter()
        .filter_map(|(key, node)| Some(format!("{} {}", key.name, parameters::shown(&node.value)?)))
        .collect();
    if shown.is_empty() {
        format!(" (row {number})")
    } else {
        format!(" ({})", shown.join(", "))
    }
}

fn keys() -> Vec<&'static str> {
    [OWN_KEYS, SETTING_KEYS, EXPECT_KEYS].concat()
}

fn case(
    page: &mut Page<'_>,
    node: Node,
    base: &Base,
    row: Option<&Row>,
    told: &mut Option<String>,
) -> Option<Case> {
    let mut known = keys();
    known.push("each");
    let mut members = page.members(node, "a case", &known)?;
    if let Some(row) = row {
        // What is missing could be in the row.
        members.place = row.place.clone();
    }
    let name = page.required(&mut members, "name");
    let name = name.and_then(|name| page.text(name, "`name`"));
    let name = name.map(|name| name + row.map_or("", |row| &row.suffix));
    if name.is_some() {
        told.clone_from(&name);
    }
    let setting = Setting::read(page, &mut members, base);
    let links = setting.as_ref().map_or(&[][..], |setting| &setting.links);
    let expected = expect::read(page, &mut members, links);
    let cause = expected.as_ref().and_then(|expected| expected.cause);
    let principal = party(page, &mut members, base, Part::Principal, cause);
    let action = party(page, &mut members, base, Part::Action, cause);
    let resource = party(page, &mut members, base, Part::Resource, cause);
    let (setting, expected) = (setting?, expected?);
    Some(Case {
        file: Arc::clone(&page.file),
        name: name?,
        line: page.line(&members.place),
        question: setting.question(&principal?, &action?, &resource?),
        expected,
        skip: setting.skip,
    })
}

/// The principal, action or resource of a case. One that is not declared is a
/// fault, unless that is what the case is about.
fn party(
    page: &mut Page<'_>,
    members: &mut Members,
    base: &Base,
    part: Part,
    cause: Option<Cause>,
) -> Option<Party> {
    let node = page.required(members, part.word())?;
    let place = node.place.clone();
    let party = base.fixtures.party(page, part, node)?;
    let is_meant = matches!(
        cause,
        Some(
            Cause::UnknownPrincipal
                | Cause::UnknownAction
                | Cause::UnknownResource
                | Cause::NotApplicable
        )
    );
    if !party.is_named && !is_meant {
        check_party(page, part, &party.uid, &place);
    }
    Some(party)
}
