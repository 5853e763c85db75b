//! A test file while it is read: where its faults gather.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::mem;
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
    /// What is being read.
    part: Part,
    /// The first fault of what is being read.
    first: Option<Fault>,
    /// How many more it has.
    more: usize,
    of_file: Faults,
    of_cases: Faults,
    is_unreadable: bool,
    made: usize,
}

/// A part of a test file: how far a fault of it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// No case can be made of the file.
    File,
    /// The cases that use the fixture cannot be asked.
    Fixture,
    /// The case cannot be asked.
    Case,
}

/// Faults, of which so many are told.
#[derive(Debug, Default)]
struct Faults {
    told: Vec<Fault>,
    left_out: usize,
}

/// What is wrong with a file.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Everything, in order of place.
    pub(super) all: Vec<Fault>,
    /// What is in no case, in order of place.
    pub(super) of_file: Vec<Fault>,
    /// Whether no case can be made of it.
    pub(super) is_unreadable: bool,
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
            part: Part::File,
            first: None,
            more: 0,
            of_file: Faults::default(),
            of_cases: Faults::default(),
            is_unreadable: false,
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
        self.is_unreadable |= self.part == Part::File;
        if self.faults().told.len() < FAULTS_MAX {
            let fault = Fault::at(&self.file, &self.source, place.clone().into(), message);
            self.add(fault.with_hint(hint));
            return;
        }
        self.faults().left_out += 1;
        if self.first.is_none() {
            self.first = Some(self.in_line(place, message, hint));
        } else {
            self.more += 1;
        }
    }

    /// Notes a fault that was made elsewhere.
    pub(super) fn add(&mut self, fault: Fault) {
        self.is_unreadable |= self.part == Part::File;
        if self.first.is_none() {
            self.first = Some(fault.clone());
        } else {
            self.more += 1;
        }
        self.faults().told.push(fault);
    }

    fn faults(&mut self) -> &mut Faults {
        match self.part {
            Part::File | Part::Fixture => &mut self.of_file,
            Part::Case => &mut self.of_cases,
        }
    }

    /// Notes that a fixture is used which has a fault. That is told where it is.
    pub(super) fn uses_faulty(&mut self, place: &Place, name: &str) {
        if self.first.is_none() {
            let message = format!("the fixture `{name}` has a fault");
            self.first = Some(self.in_line(place, message, "mend it in `fixtures`"));
        }
    }

    /// A fault with its line, which costs nothing to find.
    fn in_line(&self, place: &Place, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        let mut fault = Fault::of_file(&self.file, message).with_hint(hint);
        fault.line = self.line(place);
        fault.column = 1;
        fault
    }

    /// Reads a part whose faults reach no further than itself.
    ///
    /// # Errors
    /// The first of its faults, and how many more there are.
    pub(super) fn apart<T>(
        &mut self,
        part: Part,
        place: &Place,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, Box<Fault>> {
        let outer = (self.part, self.first.take(), mem::take(&mut self.more));
        self.part = part;
        let found = read(self);
        let (first, more) = (self.first.take(), self.more);
        (self.part, self.first, self.more) = outer;
        match (found, first) {
            (Some(found), None) => Ok(found),
            (_, Some(fault)) if more == 0 => Err(Box::new(fault)),
            (_, Some(fault)) => {
                let hint = fault.hint.clone().unwrap_or_default();
                let hint = format!("{hint}; `deodar validate` tells what else is wrong ({more})");
                Err(Box::new(fault.with_hint(hint)))
            }
            // The file is at fault, which was told.
            (None, None) => {
                let message = "something that it uses has a fault";
                Err(Box::new(self.in_line(place, message, "mend that first")))
            }
        }
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
            let part = mem::replace(&mut self.part, Part::File);
            self.fault(place, message, "make several files of it");
            self.part = part;
        }
        !is_too_much
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_good(&self) -> bool {
        self.of_file.told.is_empty() && self.of_cases.told.is_empty()
    }

    /// All that is wrong.
    pub(super) fn wrong(self) -> Wrong {
        let sorted = |mut faults: Vec<Fault>, left_out: usize| {
            faults.sort_by_key(|fault| (fault.line, fault.column));
            if left_out > 0 {
                let message = format!("{left_out} more faults are left out");
                let fault = Fault::of_file(&self.file, message);
                faults.push(fault.with_hint("mend those that are shown first"));
            }
            faults
        };
        let both = [self.of_file.told.as_slice(), &self.of_cases.told].concat();
        Wrong {
            all: sorted(both, self.of_file.left_out + self.of_cases.left_out),
            of_file: sorted(self.of_file.told, self.of_file.left_out),
            is_unreadable: self.is_unreadable,
        }
    }

    /// Notes every key that is twice in its map, throughout a tree.
    pub(super) fn no_key_twice(&mut self, node: &Node) {
        match &node.value {
            Value::List(items) => items.iter().for_each(|item| self.no_key_twice(item)),
            Value::Map(entries) => {
                self.keys_once(entries);
                for (_, node) in entries {
                    self.no_key_twice(node);
                }
            }
            _ => {}
        }
    }

    /// Notes every key that is twice among these, whatever is below them.
    pub(super) fn keys_once(&mut self, entries: &[(Key, Node)]) {
        let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
        for (key, _) in entries {
            if let Some(place) = first.get(key.name.as_str()) {
                let line = self.line(place);
                let message = format!("`{}` is there twice, first in line {line}", key.name);
                self.fault(&key.place, message, "leave one of them out");
            } else {
                first.insert(&key.name, &key.place);
            }
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
