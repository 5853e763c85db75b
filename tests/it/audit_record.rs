//! docs/audit-record.md, docs/audit-record.schema.json and the code tell the same
//! of every kind of record.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use boon::Compiler;
use boon::SchemaIndex;
use boon::Schemas;
use serde_json::Value as Json;

use super::support::root;

const PAGE: &str = "docs/audit-record.md";
const SCHEMA: &str = "docs/audit-record.schema.json";

/// Members that need not be there, by kind. Those of decisions are many.
const OPTIONAL: &[(&str, &[&str])] = &[
    ("refusal", &["caller", "message", "request", "trace"]),
    ("configuration", &["signal"]),
    (
        "decision",
        &[
            "policies",
            "errors",
            "obligations",
            "advice",
            "context_left_out",
            "entities_count",
            "entities_digest",
            "entities",
            "request",
            "trace",
        ],
    ),
];

struct Read {
    json: Json,
    schemas: Schemas,
    index: SchemaIndex,
}

thread_local! {
    static READ: Read = read();
}

fn read() -> Read {
    let json: Json = serde_json::from_str(&text(SCHEMA)).unwrap();
    let mut compiler = Compiler::new();
    let name = "audit-record.json";
    compiler.add_resource(name, json.clone()).unwrap();
    let mut schemas = Schemas::new();
    let index = compiler.compile(name, &mut schemas).unwrap();
    Read {
        json,
        schemas,
        index,
    }
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// What the schema has against a record; members that it does not name are, too.
fn fault(record: &Json) -> Option<String> {
    READ.with(|read| {
        if let Err(error) = read.schemas.validate(record, read.index) {
            return Some(error.to_string());
        }
        let kind = record["kind"].as_str().unwrap();
        let of_all = &read.json["properties"];
        let own = &read.json["$defs"][kind]["properties"];
        let mut members = record.as_object().unwrap().keys();
        let unknown = members.find(|name| of_all[*name].is_null() && own[*name].is_null());
        unknown.map(|name| format!("`{name}` is not named"))
    })
}

/// Every record is what docs/audit-record.schema.json says.
pub(crate) fn fit_the_schema(records: &[Json]) {
    for record in records {
        if let Some(fault) = fault(record) {
            panic!("{fault}\n{record:#}");
        }
    }
}

/// The part of the page about each kind, by its heading.
fn parts(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split("\n## `").skip(1);
    let parts = parts.map(|part| part.split_once("`\n").unwrap());
    // What is not about a kind comes behind them.
    let own = parts.map(|(kind, text)| (kind, text.split("\n## ").next().unwrap()));
    own.collect()
}

fn examples(part: &str) -> Vec<Json> {
    let blocks = part.split("```json\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap());
    blocks
        .map(|block| serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}: {block}")))
        .collect()
}

/// The kinds that the code writes.
fn written(folder: &Path, kinds: &mut BTreeSet<String>) {
    let entries = fs::read_dir(folder).unwrap();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            written(&path, kinds);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for after in code.split("EventRecord::new(").skip(1) {
            let kind = after.trim_start().strip_prefix('"');
            let kind = kind.and_then(|kind| kind.split('"').next());
            let kind = kind.unwrap_or_else(|| panic!("{}: no kind", path.display()));
            kinds.insert(kind.to_owned());
        }
        if code.contains(r#"\"kind\":\"decision\""#) {
            kinds.insert("decision".to_owned());
        }
    }
}

#[test]
fn code_page_and_schema_have_the_same_kinds() {
    let mut code = BTreeSet::new();
    written(&root().join(PathBuf::from("src")), &mut code);
    assert!(code.len() > 10, "{code:?}");
    let page = text(PAGE);
    let told: BTreeSet<String> = parts(&page).iter().map(|part| part.0.to_owned()).collect();
    assert_eq!(told, code);
    let schema = READ.with(|read| read.json["properties"]["kind"]["enum"].clone());
    let schema: BTreeSet<String> = serde_json::from_value(schema).unwrap();
    assert_eq!(schema, code);
}

/// Every member of the schema is told on the page, each example fits, and none of
/// its members can be left out that has to be there.
#[test]
fn every_kind_is_told_with_an_example() {
    let page = text(PAGE);
    for (kind, part) in parts(&page) {
        let names = READ.with(|read| read.json["$defs"][kind]["properties"].clone());
        for name in names.as_object().unwrap().keys() {
            assert!(part.contains(&format!("`{name}`")), "`{kind}`: `{name}`");
        }
        let examples = examples(part);
        assert!(!examples.is_empty(), "`{kind}` has no example");
        fit_the_schema(&examples);
        let optional = OPTIONAL.iter().find(|(of, _)| *of == kind);
        let optional = optional.map_or(&[][..], |(_, names)| names);
        for example in &examples {
            assert_eq!(example["kind"], kind);
            for name in example.as_object().unwrap().keys() {
                let mut less = example.clone();
                less.as_object_mut().unwrap().remove(name);
                let is_optional = optional.contains(&name.as_str());
                assert_eq!(fault(&less).is_none(), is_optional, "`{kind}`: `{name}`");
            }
        }
    }
}

#[test]
fn what_is_no_record_does_not_fit_the_schema() {
    let page = text(PAGE);
    let start = parts(&page).into_iter().find(|(kind, _)| *kind == "start");
    let start = examples(start.unwrap().1).remove(0);
    for (name, value) in [
        ("kind", "begin".into()),
        ("seq", 0.into()),
        ("prev", "none".into()),
        ("time", "2026-01-31T12:00:00Z".into()),
        ("pid", "many".into()),
        ("more", 1.into()),
    ] {
        let mut other = start.clone();
        other[name] = value;
        assert!(fault(&other).is_some(), "{other:#}");
    }
}
