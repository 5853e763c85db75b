//! Parameters: `${name}` in a text is replaced by the value of that name.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::node::Node;
use super::node::Value;
use super::page::Page;
use super::page::quoted;
use crate::config::closest::closest;

/// Values by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Parameters {
    values: BTreeMap<String, Node>,
}

/// A part of a text.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Literal(&'a str),
    Name(&'a str),
    /// `${` that nothing closes.
    Open,
}

impl Parameters {
    /// Gives a name a value, in place of another that it may have.
    pub(super) fn put(&mut self, name: String, value: Node) {
        self.values.insert(name, value);
    }

    /// Reads an object of parameters, of which each may use those above it.
    pub(super) fn read(page: &mut Page<'_>, node: Node) -> Self {
        let mut parameters = Self::default();
        for (key, mut node) in page.entries(node, "`parameters`").unwrap_or_default() {
            parameters.fill(page, &mut node);
            parameters.put(key.name, node);
        }
        parameters
    }

    /// Replaces `${name}` in every text of a tree, and tells which names were
    /// used. A text that is nothing but `${name}` becomes the value itself, be it
    /// a number or an object; `$${` stands for `${`.
    pub(super) fn fill(&self, page: &mut Page<'_>, node: &mut Node) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        self.fill_into(page, node, &mut used);
        used
    }

    fn fill_into(&self, page: &mut Page<'_>, node: &mut Node, used: &mut BTreeSet<String>) {
        match &mut node.value {
            Value::List(items) => {
                for item in items {
                    self.fill_into(page, item, used);
                }
            }
            Value::Map(entries) => {
                for (_, node) in entries {
                    self.fill_into(page, node, used);
                }
            }
            Value::Text(text) if text.contains("${") => {
                let text = std::mem::take(text);
                node.value = self
                    .filled(page, node, &text, used)
                    .unwrap_or(Value::Faulty);
            }
            _ => {}
        }
    }

    fn filled(
        &self,
        page: &mut Page<'_>,
        node: &Node,
        text: &str,
        used: &mut BTreeSet<String>,
    ) -> Option<Value> {
        let parts = parts(text);
        let mut filled = String::new();
        for part in &parts {
            match part {
                Part::Literal(text) => filled.push_str(text),
                Part::Open => {
                    let hint = "write `${name}`, or `$${` for what is no parameter";
                    page.fault(&node.place, "`${` is not closed", hint);
                    return None;
                }
                Part::Name(name) => {
                    used.insert((*name).to_owned());
                    let Some(found) = self.values.get(*name) else {
                        self.unknown(page, node, name);
                        return None;
                    };
                    if !page.may_make(&node.place, found.weight()) {
                        return None;
                    }
                    if parts.len() == 1 {
                        return Some(found.value.clone());
                    }
                    let Some(shown) = shown(&found.value) else {
                        let message = format!(
                            "`{name}` is {}, which cannot be part of a text",
                            found.kind()
                        );
                        page.fault(&node.place, message, "let it be the whole value");
                        return None;
                    };
                    filled.push_str(&shown);
                }
            }
        }
        Some(Value::Text(filled))
    }

    fn unknown(&self, page: &mut Page<'_>, node: &Node, name: &str) {
        let known = || self.values.keys().map(String::as_str);
        let hint = match closest(name, known()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if self.values.is_empty() => {
                "declare it in `parameters`, or write `$${` for what is no parameter".to_owned()
            }
            None => format!("there are {}", quoted(known())),
        };
        page.fault(&node.place, format!("there is no parameter `{name}`"), hint);
    }
}

/// A value as part of a text; `None` when it has parts itself.
pub(super) fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(Json::Bool(*value).to_string()),
        Value::Faulty | Value::Null | Value::List(_) | Value::Map(_) => None,
    }
}

/// Whether a text names a parameter.
pub(super) fn names(text: &str, name: &str) -> bool {
    parts(text).contains(&Part::Name(name))
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            parts.push(Part::Literal(before));
            parts.push(Part::Literal("${"));
            rest = after;
            continue;
        }
        if !before.is_empty() {
            parts.push(Part::Literal(before));
        }
        let Some((name, after)) = after.split_once('}') else {
            parts.push(Part::Open);
            return parts;
        };
        parts.push(Part::Name(name.trim()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::Part;
    use super::parts;

    #[test]
    fn parameters_are_told_from_text() {
        assert_eq!(parts("${a}"), [Part::Name("a")]);
        assert_eq!(
            parts("x ${a}-${ b }$"),
            [
                Part::Literal("x "),
                Part::Name("a"),
                Part::Literal("-"),
                Part::Name("b"),
                Part::Literal("$"),
            ]
        );
        assert_eq!(
            parts("$${a}"),
            [Part::Literal(""), Part::Literal("${"), Part::Literal("a}")]
        );
        assert_eq!(parts("a ${b"), [Part::Literal("a "), Part::Open]);
        assert!(parts("").is_empty());
    }
}
