//! Reading the test files of a repository.

use std::collections::BTreeMap;
use std::path::Path;
use std::str;
use std::sync::Arc;

use super::cases;
use super::cedar_json;
use super::fixtures::Fixtures;
use super::known::Known;
use super::node::Node;
use super::node::NotYaml;
use super::node::Value;
use super::page::Page;
use super::page::Part;
use super::page::Wrong;
use super::parameters::Parameters;
use super::setting;
use super::setting::Base;
use super::suite::Broken;
use super::suite::Case;
use super::suite::Suite;
use super::table;
use crate::engine::Fault;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::files::Role;
use crate::parallel::in_parallel;

const FILE_KEYS: &[&str] = &[
    "name",
    "description",
    "now",
    "parameters",
    "fixtures",
    "cases",
    "tables",
];

/// The test files of a repository, and what is wrong with them.
#[derive(Debug, Default)]
pub struct Read {
    /// In order of file. A file of which no case can be made has none.
    pub suites: Vec<Suite>,
    /// Everything that is wrong, in order of file and place.
    pub faults: Vec<Fault>,
    /// What of it is in no case: in a file that has no suite, or in a fixture.
    pub file_faults: Vec<Fault>,
    /// How many files have no suite.
    pub files_left_out: usize,
}

/// Reads every test file. With a snapshot, policies, actions and entity types
/// that it does not have are faults.
pub fn read(files: &Files, snapshot: Option<&Snapshot>) -> Read {
    read_some(files, snapshot, |_| true)
}

/// Reads the test files of these paths; otherwise as [`read`].
pub fn read_some(
    files: &Files,
    snapshot: Option<&Snapshot>,
    is_wanted: impl Fn(&str) -> bool,
) -> Read {
    let known = Known::new(files, snapshot);
    let wanted: Vec<_> = files
        .with_role(Role::Tests)
        .filter(|(file, _)| is_wanted(file))
        .collect();
    let mut read = Read::default();
    for (suite, wrong) in in_parallel(&wanted, |(file, content)| suite(file, content, &known)) {
        read.files_left_out += usize::from(suite.is_none());
        read.suites.extend(suite);
        read.faults.extend(wrong.all);
        read.file_faults.extend(wrong.of_file);
    }
    read
}

fn suite(file: &str, content: &[u8], known: &Known<'_>) -> (Option<Suite>, Wrong) {
    let text = match str::from_utf8(content) {
        Ok(text) => text,
        Err(error) => {
            let fault = Fault::not_utf8(file, content, error.valid_up_to());
            let wrong = Wrong {
                all: vec![fault.clone()],
                of_file: vec![fault],
                is_unreadable: true,
            };
            return (None, wrong);
        }
    };
    let mut page = Page::new(file, text, known);
    let (name, cases) = if Path::new(file).extension() == Some("json".as_ref()) {
        (None, cedar_json::read(&mut page))
    } else {
        yaml(&mut page, text)
    };
    let cases = names_once(&mut page, cases);
    if page.is_good() && cases.is_empty() {
        let hint = "add `cases` or `tables`, or remove the file";
        page.add(Fault::of_file(file, "the file has no case").with_hint(hint));
    }
    let file = Arc::clone(&page.file);
    let wrong = page.wrong();
    if wrong.is_unreadable {
        return (None, wrong);
    }
    let mut suite = Suite {
        name: name.unwrap_or_else(|| stem(&file).to_owned()),
        file,
        cases: Vec::new(),
        broken: Vec::new(),
    };
    for case in cases {
        match case {
            Ok(case) => suite.cases.push(case),
            Err(broken) => suite.broken.push(broken),
        }
    }
    (Some(suite), wrong)
}

fn yaml(page: &mut Page<'_>, text: &str) -> (Option<String>, Vec<Result<Case, Broken>>) {
    let root = match Node::from_yaml(text) {
        Ok(root) => root,
        Err(NotYaml {
            message,
            hint,
            place,
        }) => {
            match place {
                Some(place) => page.fault(&place, message, hint),
                None => page.add(Fault::of_file(&page.file, message).with_hint(hint)),
            }
            return (None, Vec::new());
        }
    };
    if matches!(root.value, Value::Null) {
        return (None, Vec::new());
    }
    keys_once(page, &root);
    let Some(mut members) = page.members(root, "the file", FILE_KEYS) else {
        return (None, Vec::new());
    };
    if let Some(description) = members.take("description") {
        page.text(description, "`description`");
    }
    let name = members
        .take("name")
        .and_then(|name| page.text(name, "`name`"));
    let constants = members
        .take("parameters")
        .map(|node| Parameters::read(page, node))
        .unwrap_or_default();
    let now = members.take("now").and_then(|now| setting::now(page, now));
    let fixtures = match members.take("fixtures") {
        Some(mut node) => {
            constants.fill(page, &mut node);
            Fixtures::read(page, node)
        }
        None => Fixtures::default(),
    };
    let base = Base {
        fixtures,
        constants,
        now,
    };
    let mut all = Vec::new();
    if let Some(node) = members.take("cases") {
        all.extend(cases::read(page, node, &base));
    }
    if let Some(node) = members.take("tables") {
        all.extend(table::read(page, node, &base));
    }
    (name, all)
}

/// Notes every key that is twice in its map, but for cases and tables: they are
/// looked at one by one.
fn keys_once(page: &mut Page<'_>, root: &Node) {
    let Value::Map(entries) = &root.value else {
        return;
    };
    page.keys_once(entries);
    for (key, node) in entries {
        let is_of_cases = matches!(key.name.as_str(), "cases" | "tables");
        if !is_of_cases || !matches!(node.value, Value::List(_)) {
            page.no_key_twice(node);
        }
    }
}

/// A case with the name of another cannot be told from it.
fn names_once(page: &mut Page<'_>, cases: Vec<Result<Case, Broken>>) -> Vec<Result<Case, Broken>> {
    let mut first: BTreeMap<String, usize> = BTreeMap::new();
    let mut once = |case: Case| {
        let Some(line) = first.get(&case.name) else {
            first.insert(case.name.clone(), case.line);
            return Ok(case);
        };
        let name = &case.name;
        let message = format!("the name `{name}` is there twice, first in line {line}");
        let told: Result<(), Box<Fault>> = page.apart(Part::Case, &(0..0), |page| {
            page.fault_in_line(case.line, message, "give each case a name of its own");
            Some(())
        });
        match told {
            Ok(()) => Ok(case),
            Err(fault) => Err(Broken {
                is_of_many: false,
                name: case.name,
                line: case.line,
                fault,
            }),
        }
    };
    let cases = cases.into_iter();
    cases.map(|case| case.and_then(&mut once)).collect()
}

/// `grants` of `tests/grants.test.yaml`.
fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    let name = name.rsplit_once('.').map_or(name, |(name, _)| name);
    name.strip_suffix(".test").unwrap_or(name)
}
