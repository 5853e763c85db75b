//! `*.test.json`: the tests of Cedar's own command line, `cedar run-tests`.
//!
//! ```json
//! [{"name": "..", "request": {"principal": "User::\"a\"", "action": "..", "resource": "..", "context": {}},
//!   "entities": [], "decision": "allow", "reason": ["policy0"], "num_errors": 0}]
//! ```
//!
//! `reason` may leave out policies. `entities` is an array or the path of a file,
//! relative to the test's: all entities that there are, those of the repository left
//! out. A test without the member is asked of those of the repository.

use std::collections::BTreeMap;
use std::str;
use std::str::FromStr as _;
use std::sync::Arc;

use cedar_policy::EntityUid;
use cedar_policy_core::ast::EntityUID;
use serde_json::Map;
use serde_json::Value as Json;

use super::cases::apart;
use super::expect;
use super::fixtures;
use super::node::Node;
use super::node::Value;
use super::page::Members;
use super::page::Page;
use super::suite::Broken;
use super::suite::Case;
use super::suite::Expected;
use super::suite::ExpectedPolicies;
use super::suite::Question;
use crate::engine::json_text::elements;
use crate::engine::json_text::json_fault;

const TEST_KEYS: &[&str] = &[
    "name",
    "request",
    "entities",
    "decision",
    "reason",
    "num_errors",
];
const REQUEST_KEYS: &[&str] = &["principal", "action", "resource", "context"];

/// Reads the tests of a file.
pub(super) fn read(page: &mut Page<'_>) -> Vec<Result<Case, Broken>> {
    let source = Arc::clone(&page.source);
    let mut root = match Node::from_json(&source) {
        Ok(root) => root,
        Err(error) => {
            let fault = json_fault(&page.file, &source, &error);
            page.add(fault.with_hint("write an array of tests, as for `cedar run-tests`"));
            return Vec::new();
        }
    };
    if let Value::List(items) = &mut root.value {
        for (item, place) in items.iter_mut().zip(elements(&source)) {
            item.place_all(&place);
        }
    }
    let tests = page.list(root, "the file").unwrap_or_default();
    let tests = tests.into_iter().zip(1..);
    tests
        .map(|(node, number)| {
            let place = node.place.clone();
            apart(page, &place, |page, name| {
                page.no_key_twice(&node);
                case(page, node, number, name)
            })
        })
        .collect()
}

fn case(page: &mut Page<'_>, node: Node, number: usize, told: &mut Option<String>) -> Option<Case> {
    let mut members = page.members(node, "a test", TEST_KEYS)?;
    let name = match members.take("name") {
        Some(name) => page.text(name, "`name`")?,
        None => format!("test {number}"),
    };
    *told = Some(name.clone());
    let request = page.required(&mut members, "request")?;
    let mut request = page.members(request, "`request`", REQUEST_KEYS)?;
    let mut party = |name: &str| {
        let node = page.required(&mut request, name)?;
        uid(page, node, name)
    };
    let (principal, action, resource) = (party("principal"), party("action"), party("resource"));
    let context = match request.take("context") {
        Some(node) => page.json_object(node, "`context`")?,
        None => Map::new(),
    };
    let entities = entities(page, &mut members)?;
    let expected = expected(page, &mut members)?;
    Some(Case {
        file: Arc::clone(&page.file),
        name,
        line: page.line(&members.place),
        question: Question {
            principal: principal?,
            action: action?,
            resource: resource?,
            context: Arc::new(Json::Object(context)),
            is_alone: entities.is_some(),
            entities: Json::Array(entities.unwrap_or_default()),
            links: Vec::new(),
            now: None,
        },
        expected,
        skip: None,
    })
}

fn uid(page: &mut Page<'_>, node: Node, name: &str) -> Option<Arc<EntityUID>> {
    let place = node.place.clone();
    let text = page.text(node, &format!("`{name}`"))?;
    match EntityUid::from_str(&text) {
        Ok(uid) => Some(Arc::new(uid.as_ref().clone())),
        Err(_) => {
            let hint = r#"write it as in a policy: "Type::\"id\"""#;
            page.fault(&place, format!("`{text}` is not an entity"), hint);
            None
        }
    }
}

fn expected(page: &mut Page<'_>, members: &mut Members) -> Option<Expected> {
    let decision = page.required(members, "decision")?;
    let allow = expect::decision_of(page, decision)?;
    let policies = match members.take("reason") {
        Some(node) => Some(expect::ids(page, node, "`reason`", &[])?),
        None => None,
    };
    let errors_count = match members.take("num_errors") {
        Some(node) => Some(number(page, &node)?),
        None => None,
    };
    Some(Expected {
        allow,
        policies: policies.map(ExpectedPolicies::Including),
        errors_count,
        // As Cedar has it.
        may_be_unknown: true,
        ..Expected::default()
    })
}

fn number(page: &mut Page<'_>, node: &Node) -> Option<usize> {
    let number = match &node.value {
        Value::Number(number) => number
            .as_u64()
            .and_then(|number| usize::try_from(number).ok()),
        _ => None,
    };
    if number.is_none() {
        page.fault(
            &node.place,
            "`num_errors` is not a number of errors",
            "write 0 or more",
        );
    }
    number
}

/// The entities, if the test has any of its own.
#[expect(
    clippy::option_option,
    reason = "what is faulty, what is not there, and what is"
)]
fn entities(page: &mut Page<'_>, members: &mut Members) -> Option<Option<Vec<Json>>> {
    let Some(node) = members.take("entities") else {
        return Some(None);
    };
    let place = node.place.clone();
    let node = match node.value {
        Value::Text(path) => {
            let path = beside(&page.file, &path);
            let content = page.known.files.get(&path);
            let parsed = content
                .and_then(|content| str::from_utf8(content).ok())
                .map(Node::from_json);
            match parsed {
                Some(Ok(mut node)) => {
                    node.place_all(&place);
                    node
                }
                Some(Err(error)) => {
                    let message = format!("`{path}` cannot be read: {error}");
                    page.fault(&place, message, "mend that file");
                    return None;
                }
                None => {
                    let hint = "the files of entities are `entities/**.json`; the path is relative to that of the test file";
                    page.fault(&place, format!("the repository has no `{path}`"), hint);
                    return None;
                }
            }
        }
        _ => node,
    };
    let mut entities = BTreeMap::new();
    for item in page.list(node, "`entities`")? {
        let place = item.place.clone();
        let (uid, entity) = fixtures::entity(page, item)?;
        if entities.contains_key(&uid) {
            let message = format!("the entity `{uid}` is there twice");
            page.fault(&place, message, "make one entity of both");
            return None;
        }
        entities.insert(uid, entity);
    }
    Some(Some(entities.into_values().collect()))
}

/// A path relative to the folder of a file, both with `/` between their parts.
fn beside(file: &str, path: &str) -> String {
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn paths_are_relative_to_the_file() {
        assert_eq!(beside("tests/a.test.json", "e.json"), "tests/e.json");
        assert_eq!(
            beside("tests/a.test.json", "../entities/e.json"),
            "entities/e.json"
        );
        assert_eq!(
            beside("a.test.json", "./entities//e.json"),
            "entities/e.json"
        );
        assert_eq!(beside("a.test.json", "../../e.json"), "e.json");
    }
}
