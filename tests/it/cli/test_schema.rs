//! docs/test-file.schema.json and the reader of test files take the same files.

use std::fs;

use boon::Compiler;
use boon::SchemaIndex;
use boon::Schemas;
use deodar::engine::Files;
use deodar::testing;
use serde_json::Value as Json;

use crate::cli::test::GOOD;
use crate::support::reference;
use crate::support::root;

struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn read() -> Self {
        let text = fs::read_to_string(root().join("docs/test-file.schema.json")).unwrap();
        let json: Json = serde_json::from_str(&text).unwrap();
        let mut compiler = Compiler::new();
        compiler.add_resource("test-file.json", json).unwrap();
        let mut schemas = Schemas::new();
        let index = compiler.compile("test-file.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn check(&self, text: &str) -> Result<(), String> {
        let json: Json = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let checked = self.schemas.validate(&json, self.index);
        checked.map_err(|error| format!("{error:#}"))
    }
}

/// What the reader says without policies to check against.
fn faults(text: &str) -> Vec<String> {
    let files = Files::new([("a.test.yaml".to_owned(), text.as_bytes().to_vec())]);
    let read = testing::read(&files, None);
    let is_good = |suite: &testing::Suite| suite.broken.is_empty();
    let are_good = !read.suites.is_empty() && read.suites.iter().all(is_good);
    assert_eq!(are_good, read.faults.is_empty());
    read.faults.iter().map(ToString::to_string).collect()
}

/// Every member of the format.
const EVERYTHING: &str = r#"name: all
description: every member
now: 2026-11-22
parameters: { who: bob, list: [1, 2], five: 5, record: { a: true } }
fixtures:
  principals: { bob: 'Org::User::"${who}"', eve: { uid: { type: "Org::User", id: e }, parents: ['G::"g"'], attrs: { a: [1, { b: x }] }, tags: { t: "1" } } }
  actions: { read: 'Action::"read"' }
  resources: { door: 'Door::"d"' }
  contexts: { empty: {}, full: { a: { __extn: { fn: ip, arg: "10.0.0.1" } } } }
  entities: { e: { uid: { __entity: { type: Door, id: d } } } }
  links: { l: { template: t, principal: bob, resource: 'Door::"d"' } }
cases:
  - name: one
    principal: bob
    action: read
    resource: door
    context: [empty, { x: "${list}" }, full]
    entities: [e, { uid: 'Door::"x"' }]
    links: [l, { id: m, template: t }]
    now: 2026-11-22T03:12:00.5+01:00
    decision: deny
    policies: { include: [a] }
    cause: no_permit
    advice: [x]
    obligations: []
    errors: []
    skip: why
  - name: rows ${a}
    principal: ${p}
    action: read
    resource: door
    decision: ${d}
    now: "2026-11-22T0${a}:00:00Z"
    each: [ { a: 1, p: bob, d: allow }, { a: 2, p: eve, d: deny, policies: [] } ]
tables:
  - name: t
    principals: [bob, eve]
    actions: [read]
    resources: [door, 'Door::"y"']
    context: full
    entities: []
    links: []
    now: 2026-11-22
    skip: why
    expect:
      - { principal: bob, resources: [door], decision: allow, policies: [a], obligations: [], advice: [], errors: [] }
      - { principals: [eve], action: read, resource: door, decision: deny, cause: forbidden }
"#;

#[test]
fn good_files_fit_the_schema() {
    let schema = Schema::read();
    let mut texts = vec![GOOD.to_owned(), EVERYTHING.to_owned()];
    for entry in fs::read_dir(reference().join("tests")).unwrap() {
        texts.push(fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    assert!(texts.len() > 10);
    for text in texts {
        assert_eq!(faults(&text), [""; 0]);
        schema
            .check(&text)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
}

/// What is changed of [`EVERYTHING`], so that it is wrong.
const WRONG: &[(&str, &str)] = &[
    ("name: all", "name: 5"),
    ("name: all", "name: ''"),
    ("name: all", "title: all"),
    ("now: 2026-11-22\nparameters", "now: today\nparameters"),
    ("now: 2026-11-22\nparameters", "now: 5\nparameters"),
    ("who: bob,", "who: ,"),
    ("  principals: {", "  principal: {"),
    (r#"'Org::User::"${who}"'"#, "bob"),
    (r#"'Org::User::"${who}"'"#, "[]"),
    (
        r#"uid: { type: "Org::User", id: e }"#,
        r#"uid: { type: "Org::User" }"#,
    ),
    (r#"uid: { type: "Org::User", id: e },"#, ""),
    (r#"parents: ['G::"g"']"#, r#"parents: 'G::"g"'"#),
    (r#"parents: ['G::"g"']"#, "parents: [g]"),
    ("attrs: { a: [1, { b: x }] }", "attrs: { a: [1, { b: ~ }] }"),
    ("attrs: { a: [1, { b: x }] }", "attrs: { a: 1.5 }"),
    ("attrs: { a: [1, { b: x }] }", "attributes: {}"),
    (
        r#"{ read: 'Action::"read"' }"#,
        r#"{ read: { uid: 'Action::"read"' } }"#,
    ),
    ("{ empty: {},", "{ empty: [],"),
    ("{ template: t, principal", "{ principal"),
    ("{ template: t, principal", "{ templat: t, principal"),
    ("  - name: one\n    principal: bob\n", "  - name: one\n"),
    ("  - name: one\n", "  - title: one\n"),
    (
        "    action: read\n    resource: door\n    context",
        "    resource: door\n    context",
    ),
    ("    resource: door\n    context", "    context"),
    ("[empty, { x", "[empty, 5, { x"),
    ("[e, { uid: 'Door::\"x\"' }]", "e"),
    ("[e, { uid: 'Door::\"x\"' }]", "[{}]"),
    ("{ id: m, template: t }", "{ template: t }"),
    ("now: 2026-11-22T03:12:00.5+01:00", "now: 2026-11-22T03:12"),
    ("    decision: deny\n    policies: {", "    policies: {"),
    (
        "    decision: deny\n    policies: {",
        "    decision: denied\n    policies: {",
    ),
    (
        "    decision: deny\n    policies: {",
        "    decision: allow\n    policies: {",
    ),
    ("{ include: [a] }", "{ includes: [a] }"),
    ("{ include: [a] }", "{ include: a }"),
    ("{ include: [a] }", "a"),
    ("{ include: [a] }", "[a, a]"),
    ("cause: no_permit", "cause: policy"),
    ("advice: [x]\n", "advice: x\n"),
    ("errors: []\n    skip", "error: []\n    skip"),
    (
        "    skip: why\n  - name: rows",
        "    skip: true\n  - name: rows",
    ),
    ("each: [ { a: 1,", "each: [ 5, { a: 1,"),
    (
        "each: [ { a: 1, p: bob, d: allow }, { a: 2, p: eve, d: deny, policies: [] } ]",
        "each: []",
    ),
    ("d: deny, policies: [] }", "d: deny, policies: 5 }"),
    ("  - name: t\n", "  - title: t\n"),
    ("principals: [bob, eve]", "principals: []"),
    ("principals: [bob, eve]", "principals: bob"),
    ("principals: [bob, eve]", "principals: [bob, bob]"),
    ("actions: [read]\n", "\n"),
    (
        "{ principal: bob, resources",
        "{ principal: bob, principals: [bob], resources",
    ),
    ("decision: allow, policies: [a]", "policies: [a]"),
    (
        "decision: allow, policies: [a]",
        "decision: allow, cause: no_permit",
    ),
    (
        "decision: deny, cause: forbidden",
        "decision: deny, why: forbidden",
    ),
];

#[test]
fn bad_files_do_not_fit_the_schema() {
    let schema = Schema::read();
    for (from, to) in WRONG {
        assert_eq!(EVERYTHING.matches(from).count(), 1, "{from}");
        let text = EVERYTHING.replace(from, to);
        assert_ne!(faults(&text), [""; 0], "the reader takes {to}");
        assert!(schema.check(&text).is_err(), "the schema takes {to}");
    }
    for text in [
        "",
        "5",
        "[]",
        "{}",
        "cases: []",
        "cases: 5",
        "tables: []",
        "cases: [5]",
    ] {
        assert_ne!(faults(text), [""; 0], "the reader takes {text}");
        assert!(schema.check(text).is_err(), "the schema takes {text}");
    }
}
