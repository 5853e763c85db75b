//! A test file while it is read: where its faults gather.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Map;
use serde_json::Value as Json;

use super::known::Known;
use super::node::Key;
use super::node::Node;
use super::node::Place;
use super::node::Value;
use crate::config::closest::closest;
use crate::engine::Fault;
use crate::engine::fault::Lines;

/// At most so many faults of one file are told.
const FAULTS_MAX: usize = 50;
/// At most so many bytes are made of one file by its parameters and rows.
const MADE_MAX: usize = 128 << 20;

/// The text of a test file, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// Relative to the root of the repository.
    pub(super) file: Arc<str>,
    /// The whole text.
    pub(super) source: Arc<str>,
    /// What the repository has.
    pub(super) known: &'a Known<'a>,
    lines: Lines,
    faults: Vec<Fault>,
    left_out: usize,
    made: usize,
}

/// The members of an object that may have certain ones.
#[derive(Debug)]
pub(super) struct Members {
    /// Where the object is.
    pub(super) place: Place,
    /// What the object is, for people.
    what: &'static str,
    values: BTreeMap<String, Node>,
}

impl Members {
    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<Node> {
        self.values.remove(name)
    }
}

impl<'a> Page<'a> {
    /// A file of which nothing is known yet.
    pub(super) fn new(file: &str, source: &str, known: &'a Known<'a>) -> Self {
        Self {
            file: file.into(),
            source: source.into(),
            known,
            lines: Lines::new(source),
            faults: Vec::new(),
            left_out: 0,
            made: 0,
        }
    }

    /// Notes a fault.
    pub(super) fn fault(
        &mut self,
        place: &Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        if self.faults.len() < FAULTS_MAX {
            let fault = Fault::at(&self.file, &self.source, place.clone().into(), message);
            self.faults.push(fault.with_hint(hint));
        } else {
            self.left_out += 1;
        }
    }

    /// Notes a fault that was made elsewhere.
    pub(super) fn add(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    /// Notes a fault of a whole line.
    pub(super) fn fault_in_line(
        &mut self,
        line: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let before: usize = self
            .source
            .split_inclusive('\n')
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum();
        let rest = self.source.get(before..).unwrap_or_default();
        let text = rest.lines().next().unwrap_or_default();
        let start = before + text.len() - text.trim_start().len();
        let place = start..start + text.trim().len();
        self.fault(&place, message, hint);
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, place: &Place) -> usize {
        self.lines.line(place.start)
    }

    /// Whether so many more bytes may be made of what is written once. That the
    /// file makes too many is a fault, told once.
    pub(super) fn may_make(&mut self, place: &Place, bytes: usize) -> bool {
        let was_too_much = self.made > MADE_MAX;
        self.made = self.made.saturating_add(bytes);
        let is_too_much = self.made > MADE_MAX;
        if is_too_much && !was_too_much {
            let message =
                format!("parameters and rows make more than {MADE_MAX} bytes of the file");
            self.fault(place, message, "make several files of it");
        }
        !is_too_much
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_good(&self) -> bool {
        self.faults.is_empty()
    }

    /// All that is wrong.
    pub(super) fn faults(mut self) -> Vec<Fault> {
        self.faults.sort_by_key(|fault| (fault.line, fault.column));
        if self.left_out > 0 {
            let message = format!("{} more faults are left out", self.left_out);
            self.faults.push(
                Fault::of_file(&self.file, message).with_hint("mend those that are shown first"),
            );
        }
        self.faults
    }

    /// Notes every key that is twice in its map, throughout a tree.
    pub(super) fn no_key_twice(&mut self, node: &Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.no_key_twice(item)),
            Value::Map(entries) => {
                let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
                for (key, node) in entries {
                    if let Some(place) = first.get(key.name.as_str()) {
                        let message = format!(
                            "`{}` is there twice, first in line {}",
                            key.name,
                            self.line(place)
                        );
                        self.fault(&key.place, message, "leave one of them out");
                    } else {
                        first.insert(&key.name, &key.place);
                    }
                    self.no_key_twice(node);
                }
            }
            _ => {}
        }
    }

    /// The members of an object; unknown ones are faults, and so is what has no
    /// value.
    pub(super) fn members(
        &mut self,
        node: Node,
        what: &'static str,
        known: &[&str],
    ) -> Option<Members> {
        let place = node.place.clone();
        let mut values = BTreeMap::new();
        for (key, node) in self.entries(node, what)? {
            if known.contains(&key.name.as_str()) {
                values.entry(key.name).or_insert(node);
            } else {
                let hint = match closest(&key.name, known.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("there are {}", quoted(known.iter().copied())),
                };
                let message = format!("`{}` is not a member of {what}", key.name);
                self.fault(&key.place, message, hint);
            }
        }
        Some(Members {
            place,
            what,
            values,
        })
    }

    /// The keys and values of an object; what has no value is a fault.
    pub(super) fn entries(&mut self, node: Node, what: &str) -> Option<Vec<(Key, Node)>> {
        let Value::Map(mut entries) = node.value else {
            self.is_other(&node, what, "an object", "write `name: value`");
            return None;
        };
        entries.retain(|(key, node)| {
            let is_there = !matches!(node.value, Value::Null);
            if !is_there {
                let message = format!("`{}` has no value", key.name);
                self.fault(&key.place, message, "give it one, or leave it out");
            }
            is_there
        });
        Some(entries)
    }

    /// A member that has to be there.
    pub(super) fn required(&mut self, members: &mut Members, name: &str) -> Option<Node> {
        let found = members.take(name);
        if found.is_none() {
            let message = format!("{} has no `{name}`", members.what);
            self.fault(&members.place, message, format!("add `{name}: ..`"));
        }
        found
    }

    /// The items of a list.
    pub(super) fn list(&mut self, node: Node, what: &str) -> Option<Vec<Node>> {
        match node.value {
            Value::List(items) => Some(items),
            _ => {
                self.is_other(&node, what, "a list", "write `[.., ..]`, or `- ..` a line");
                None
            }
        }
    }

    /// A text.
    pub(super) fn text(&mut self, node: Node, what: &str) -> Option<String> {
        match node.value {
            Value::Text(text) if !text.trim().is_empty() => Some(text),
            Value::Text(_) => {
                self.fault(&node.place, format!("{what} is empty"), "write some text");
                None
            }
            Value::Bool(_) | Value::Number(_) => {
                self.is_other(&node, what, "text", "put it in quotation marks");
                None
            }
            _ => {
                self.is_other(&node, what, "text", "write text");
                None
            }
        }
    }

    fn is_other(&mut self, node: &Node, what: &str, wanted: &str, hint: &str) {
        if !matches!(node.value, Value::Faulty) {
            let message = format!("{what} is {}, not {wanted}", node.kind());
            self.fault(&node.place, message, hint);
        }
    }

    /// A list of different texts, with their places.
    pub(super) fn texts(&mut self, node: Node, what: &str) -> Option<Vec<(String, Place)>> {
        let mut texts = Vec::new();
        let mut seen = BTreeSet::new();
        for item in self.list(node, what)? {
            let place = item.place.clone();
            let text = self.text(item, &format!("an item of {what}"))?;
            if seen.insert(text.clone()) {
                texts.push((text, place));
            } else {
                let message = format!("`{text}` is twice in {what}");
                self.fault(&place, message, "leave one of them out");
            }
        }
        Some(texts)
    }

    /// A value as JSON.
    pub(super) fn json(&mut self, node: Node) -> Option<Json> {
        match node.value {
            Value::Faulty => None,
            Value::Null => {
                self.fault(
                    &node.place,
                    "there is no value here",
                    "Cedar has no null: leave out what has no value",
                );
                None
            }
            Value::Bool(value) => Some(Json::Bool(value)),
            Value::Number(number) if number.is_i64() => Some(Json::Number(number)),
            Value::Number(number) => {
                let hint = format!(
                    "write a decimal as text, \"{number}\", or as {{ __extn: {{ fn: decimal, arg: \"{number}\" }} }}"
                );
                let message = format!("`{number}` is not a whole number of 64 bits");
                self.fault(&node.place, message, hint);
                None
            }
            Value::Text(text) => Some(Json::String(text)),
            Value::List(items) => {
                let items: Vec<_> = items.into_iter().map(|item| self.json(item)).collect();
                items
                    .into_iter()
                    .collect::<Option<Vec<_>>>()
                    .map(Json::Array)
            }
            Value::Map(_) => self.json_object(node, "it").map(Json::Object),
        }
    }

    /// An object as JSON.
    pub(super) fn json_object(&mut self, node: Node, what: &str) -> Option<Map<String, Json>> {
        let entries = self.entries(node, what)?;
        let values: Vec<_> = entries
            .into_iter()
            .map(|(key, node)| Some((key.name, self.json(node)?)))
            .collect();
        values.into_iter().collect()
    }
}

/// `a`, `b` and `c`.
pub(super) fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((last, _)) => last.clone(),
        None => "none".to_owned(),
    }
}
