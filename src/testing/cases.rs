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
use super::page::Members;
use super::page::Page;
use super::parameters;
use super::setting::Base;
use super::setting::SETTING_KEYS;
use super::setting::Setting;
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
pub(super) fn read(page: &mut Page<'_>, node: Node, base: &Base) -> Vec<Case> {
    let mut cases = Vec::new();
    for mut node in page.list(node, "`cases`").unwrap_or_default() {
        match node.remove("each") {
            None => {
                base.constants.fill(page, &mut node);
                cases.extend(case(page, node, base, None));
            }
            Some(each) => {
                let place = each.place.clone();
                let rows = page.list(each, "`each`").unwrap_or_default();
                if rows.is_empty() {
                    page.fault(&place, "`each` has no row", "add one, or leave `each` out");
                }
                let weight = node.weight();
                for (at, row) in rows.into_iter().enumerate() {
                    if !page.may_make(&row.place, weight) {
                        break;
                    }
                    cases.extend(case_of_row(page, node.clone(), row, at + 1, base));
                }
            }
        }
    }
    cases
}

/// The case that a row makes of one with parameters.
fn case_of_row(
    page: &mut Page<'_>,
    mut node: Node,
    row: Node,
    number: usize,
    base: &Base,
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
    case(page, node, base, Some(&Row { suffix, place }))
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

fn case(page: &mut Page<'_>, node: Node, base: &Base, row: Option<&Row>) -> Option<Case> {
    let mut known = keys();
    known.push("each");
    let mut members = page.members(node, "a case", &known)?;
    let name = page.required(&mut members, "name");
    let name = name.and_then(|name| page.text(name, "`name`"));
    let setting = Setting::read(page, &mut members, base);
    let links = setting.as_ref().map_or(&[][..], |setting| &setting.links);
    let expected = expect::read(page, &mut members, links);
    let cause = expected.as_ref().and_then(|expected| expected.cause);
    let principal = party(page, &mut members, base, Part::Principal, cause);
    let action = party(page, &mut members, base, Part::Action, cause);
    let resource = party(page, &mut members, base, Part::Resource, cause);
    let place = row.map_or(&members.place, |row| &row.place);
    let (setting, expected) = (setting?, expected?);
    Some(Case {
        file: Arc::clone(&page.file),
        name: name? + row.map_or("", |row| &row.suffix),
        line: page.line(place),
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
