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
use super::node::Value;
use super::page::Page;
use super::parameters::Parameters;
use super::setting;
use super::setting::Base;
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

/// The test files of a repository: those that are good, and what is wrong with
/// the others.
#[derive(Debug, Default)]
pub struct Read {
    /// In order of file.
    pub suites: Vec<Suite>,
    /// In order of file and place. A file with a fault has no suite.
    pub faults: Vec<Fault>,
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
    for suite in in_parallel(&wanted, |(file, content)| suite(file, content, &known)) {
        match suite {
            Ok(suite) => read.suites.push(suite),
            Err(faults) => read.faults.extend(faults),
        }
    }
    read
}

fn suite(file: &str, content: &[u8], known: &Known<'_>) -> Result<Suite, Vec<Fault>> {
    let text = str::from_utf8(content)
        .map_err(|error| vec![Fault::not_utf8(file, content, error.valid_up_to())])?;
    let mut page = Page::new(file, text, known);
    let (name, cases) = if Path::new(file).extension() == Some("json".as_ref()) {
        (None, cedar_json::read(&mut page))
    } else {
        yaml(&mut page, text)
    };
    names_once(&mut page, &cases);
    if page.is_good() && cases.is_empty() {
        let hint = "add `cases` or `tables`, or remove the file";
        page.add(Fault::of_file(file, "the file has no case").with_hint(hint));
    }
    let file = Arc::clone(&page.file);
    let faults = page.faults();
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Suite {
        name: name.unwrap_or_else(|| stem(&file).to_owned()),
        file,
        cases,
    })
}

fn yaml(page: &mut Page<'_>, text: &str) -> (Option<String>, Vec<Case>) {
    let root = match Node::from_yaml(text) {
        Ok(root) => root,
        Err((message, place)) => {
            let message = format!("not YAML: {message}");
            let hint = "see the place that is marked, and the lines before it";
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
    page.no_key_twice(&root);
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

fn names_once(page: &mut Page<'_>, cases: &[Case]) {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases {
        if let Some(line) = first.get(case.name.as_str()) {
            let message = format!(
                "the name `{}` is there twice, first in line {line}",
                case.name
            );
            page.fault_in_line(case.line, message, "give each case a name of its own");
        } else {
            first.insert(&case.name, case.line);
        }
    }
}

/// `grants` of `tests/grants.test.yaml`.
fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    let name = name.rsplit_once('.').map_or(name, |(name, _)| name);
    name.strip_suffix(".test").unwrap_or(name)
}
