//! Every fault of every file is reported, at its place, with a hint.

use deodar::directory;
use deodar::engine::Fault;
use deodar::engine::Files;
use deodar::engine::compile;

const SCHEMA: &str = "\
entity User in [Group] { level: Long };
entity Group in [Group];
entity Lock;
action open appliesTo { principal: [User], resource: [Lock] };
";
const PERMIT: &str = "@id(\"all\")\npermit(principal, action, resource);\n";
const GRANT: &str =
    "@id(\"grant\")\npermit(principal == ?principal, action, resource == ?resource);\n";

fn files(list: &[(&str, &str)]) -> Files {
    Files::new(
        list.iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())),
    )
}

fn faults(list: &[(&str, &str)]) -> Vec<Fault> {
    compile(&files(list)).expect_err("the fixture has faults")
}

/// The faults of entities and links, with a schema, a permit and a template.
fn data_faults(list: &[(&str, &str)]) -> Vec<Fault> {
    let mut all = vec![
        ("s.cedarschema", SCHEMA),
        ("p.cedar", PERMIT),
        ("t.cedar", GRANT),
    ];
    all.extend_from_slice(list);
    let files = files(&all);
    let snapshot = compile(&files).unwrap_or_else(|faults| panic!("{faults:#?}"));
    directory::load(&snapshot, &files).expect_err("the fixture has faults")
}

fn shown(faults: &[Fault]) -> String {
    let line = |fault: &Fault| {
        format!(
            "{} | {} | {} | {}\n",
            fault.place(),
            fault.text,
            fault.message,
            fault.hint.as_deref().unwrap_or("NO HINT")
        )
    };
    faults.iter().map(line).collect()
}

fn drawn(fault: &Fault) -> String {
    let mut text = String::new();
    let theme = miette::GraphicalTheme::unicode_nocolor();
    miette::GraphicalReportHandler::new_themed(theme)
        .with_width(100)
        .render_report(&mut text, &fault.drawn())
        .unwrap();
    text.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

/// Everything but messages: place and offending text.
fn places(faults: &[Fault]) -> Vec<(String, &str)> {
    for fault in faults {
        assert!(
            fault.hint.as_ref().is_some_and(|hint| !hint.is_empty()),
            "no hint: {fault}"
        );
    }
    faults
        .iter()
        .map(|fault| (fault.place(), fault.text.as_str()))
        .collect()
}

fn is(faults: &[Fault], expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(place, text)| ((*place).to_owned(), *text))
        .collect();
    assert_eq!(places(faults), expected, "{}", shown(faults));
}

#[test]
fn all_faults_of_all_files_are_reported_at_once() {
    let found = faults(&[
        (
            "a.cedar",
            "permit(principal, action, resource)\nforbid(principal, action, resource);\n",
        ),
        (
            "b.cedar",
            "permit(principal, action, resource) when { principal. };\n",
        ),
        ("c.cedar", PERMIT),
        (
            "d.cedar",
            "\n@id(\"all\")\nforbid(principal, action, resource);\n",
        ),
        ("manifest.toml", "name = \"x\"\nerors = \"deny\"\n"),
        ("s.cedarschema", "entity User in [Grup];\n"),
        ("t.cedarschema", "entity Lock { owner: Usr };\n"),
    ]);
    is(
        &found,
        &[
            ("a.cedar:2:7", "("),
            ("b.cedar:1:55", "}"),
            ("d.cedar:2:1", "@id(\"all\")"),
            ("manifest.toml:2:1", "erors"),
            ("s.cedarschema:1:17", "Grup"),
            ("t.cedarschema:1:22", "Usr"),
        ],
    );
    assert!(
        found[2].hint.as_ref().unwrap().contains("c.cedar:1"),
        "{:?}",
        found[2].hint
    );
    assert!(
        found[3].hint.as_ref().unwrap().contains("`errors`"),
        "{:?}",
        found[3].hint
    );
}

#[test]
fn what_the_validator_says_has_a_place() {
    let policies = "permit(principal, action, resource)\nwhen { principal.leve == 1 };\n\
                    permit(principal, action == Action::\"opn\", resource);\n";
    let found = faults(&[("s.cedarschema", SCHEMA), ("p.cedar", policies)]);
    is(
        &found,
        &[
            ("p.cedar:2:8", "principal.leve"),
            ("p.cedar:3:29", "Action::\"opn\""),
        ],
    );
    assert_eq!(found[0].hint.as_deref(), Some("did you mean `level`?"));
}

#[test]
fn faults_of_the_schema_as_a_whole_have_a_place() {
    let of = |schema: &str| {
        faults(&[
            ("p.cedar", PERMIT),
            ("a.cedarschema", "entity Site;\n"),
            ("b.cedarschema", schema),
        ])
    };
    is(
        &of("entity User\n entity Group;"),
        &[("b.cedarschema:2:2", "entity")],
    );
    is(
        &of("\nentity User in [Grup];"),
        &[("b.cedarschema:2:17", "Grup")],
    );
    is(
        &of("entity User;\naction open in [opn];"),
        &[("b.cedarschema:2:17", "opn")],
    );
    // Cedar names one type of the cycle, not always the same.
    let cycle = of("type A = B;\ntype B = A;\nentity User { a: A };");
    let places = [("b.cedarschema:1:6", "A"), ("b.cedarschema:1:10", "B")];
    assert!(
        places.contains(&(cycle[0].place().as_str(), cycle[0].text.as_str())),
        "{cycle:?}"
    );
}

#[test]
fn files_that_are_no_text_or_no_policies() {
    let bad = |path: &str| (path.to_owned(), b"permit(\n  principal, \xff".to_vec());
    let found = compile(&Files::new([
        bad("a.cedar"),
        bad("a.cedarschema"),
        bad("manifest.toml"),
    ]))
    .unwrap_err();
    is(
        &found,
        &[
            ("a.cedar:2:14", "\u{fffd}"),
            ("a.cedarschema:2:14", "\u{fffd}"),
            ("manifest.toml:2:14", "\u{fffd}"),
        ],
    );
    let empty = faults(&[]);
    is(&empty, &[(".", "")]);
    assert!(empty[0].hint.as_ref().unwrap().contains("*.cedar"));
    is(
        &data_faults(&[
            ("entities/a.json", "[{]"),
            ("links/a.json", "[\n  {\"template\": 1}]"),
        ]),
        &[("links/a.json:2:13", ""), ("entities/a.json:1:3", "")],
    );
}

#[test]
fn unchecked_policies_are_warned_of() {
    let unchecked = [
        ("manifest.toml", "validate = \"off\"\n"),
        ("s.cedarschema", SCHEMA),
        (
            "p.cedar",
            "permit(principal, action, resource) when { principal.leve == 1 };\n",
        ),
    ];
    let snapshot = compile(&files(&unchecked)).unwrap();
    let warnings = snapshot.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].is_warning && warnings[0].file == "manifest.toml",
        "{warnings:?}"
    );
    is(
        &faults(&[
            ("manifest.toml", "validate = \"of\"\n"),
            unchecked[1],
            ("p.cedar", PERMIT),
        ]),
        &[("manifest.toml:1:12", "\"of\"")],
    );
    // Strict is the default.
    is(
        &faults(&unchecked[1..]),
        &[("p.cedar:1:44", "principal.leve")],
    );
}

#[test]
fn bad_links_have_a_place() {
    let found = data_faults(&[(
        "links/a.json",
        r#"[
  {"template_id": "nope", "link_id": "l1", "args": {}},
  {"template_id": "grant", "link_id": "l2", "args": {"?principal": "User::\"a\""}},
  {"template_id": "grant", "link_id": "l3", "args": {"?principal": "User::\"a\"", "?resource": "Lock::\"a\""}},
  {
    "template_id": "grant", "link_id": "l3", "args": {"?principal": "User::\"a\"", "?resource": "Lock::\"a\""}
  },
  {"template_id": "grant", "link_id": "all", "args": {"?principal": "User::\"a\"", "?resource": "Lock::\"a\""}}
]"#,
    )]);
    is(
        &found,
        &[
            ("links/a.json:2:39", "l1"),
            ("links/a.json:3:40", "l2"),
            ("links/a.json:6:41", "l3"),
            ("links/a.json:8:40", "all"),
        ],
    );
    let found = data_faults(&[(
        "links/a.json",
        r#"[{"template_id": "grant", "link_id": "l2", "args": {"?principal": "a!", "?other": "User::\"a\""}}]"#,
    )]);
    is(
        &found,
        &[("links/a.json:1:74", "?other"), ("links/a.json:1:68", "a!")],
    );
}

#[test]
fn bad_entities_have_a_place() {
    let found = data_faults(&[(
        "entities/a.json",
        r#"[
  {"uid": {"type": "User", "id": "a"}, "attrs": {"level": "high"}, "parents": []},
  {"uid": {"type": "User", "id": "b"}, "attrs": {"level": 1}, "parents": [{"type": "Lock", "id": "l"}]},
  {"uid": {"type": "User", "id": "c"}, "attrs": {"level": 1, "extra": 2}, "parents": []},
  {
    "uid": {"type": "Usr", "id": "d"}, "attrs": {}, "parents": []
  },
  {"attrs": {}, "parents": []}
]"#,
    )]);
    is(
        &found,
        &[
            ("entities/a.json:2:51", "level"),
            ("entities/a.json:3:35", "b"),
            ("entities/a.json:4:63", "extra"),
            ("entities/a.json:6:35", "d"),
            ("entities/a.json:8:3", "{\"attrs\": {}, \"parents\": []}"),
        ],
    );
}

#[test]
fn entities_of_several_files_are_checked_together() {
    let lock = r#"{"uid": {"type": "Lock", "id": "l"}, "attrs": {}, "parents": []}"#;
    let group = |id: &str, parent: &str| {
        format!(
            r#"{{"uid": {{"type": "Group", "id": "{id}"}}, "attrs": {{}}, "parents": [{{"type": "Group", "id": "{parent}"}}]}}"#
        )
    };
    let (one, two) = (
        format!("[{lock},\n{}]", group("a", "b")),
        format!("[{lock},\n{}]", group("b", "a")),
    );
    let found = data_faults(&[("entities/a.json", &one), ("entities/b.json", &two)]);
    assert_eq!(
        places(&found[..1]),
        [("entities/b.json:1:34".to_owned(), "l")]
    );
    assert!(
        found[0]
            .hint
            .as_ref()
            .unwrap()
            .contains("entities/a.json:1:2"),
        "{:?}",
        found[0].hint
    );
    // Cedar names either entity of the cycle.
    let cycle = &places(&found[1..])[0];
    let either = ["entities/a.json:2:34", "entities/b.json:2:34"];
    assert!(
        either.contains(&cycle.0.as_str()) && found[1].message.contains("cycle"),
        "{cycle:?}"
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn faults_are_drawn_for_people() {
    let unknown = faults(&[
        ("s.cedarschema", SCHEMA),
        (
            "p.cedar",
            "permit(principal, action, resource)\nwhen { principal.leve == 1 };\n",
        ),
    ]);
    insta::assert_snapshot!(drawn(&unknown[0]), @r"
     × for policy `p.cedar#0`, attribute `leve` on entity type `User` not found
      ╭─[p.cedar:2:8]
    1 │ permit(principal, action, resource)
    2 │ when { principal.leve == 1 };
      ·        ──────────────
      ╰────
     help: did you mean `level`?
    ");
    let type_name = faults(&[
        ("p.cedar", PERMIT),
        ("s.cedarschema", "entity User in [Grup];\n"),
    ]);
    insta::assert_snapshot!(drawn(&type_name[0]), @r"
     × failed to resolve type: Grup
      ╭─[s.cedarschema:1:17]
    1 │ entity User in [Grup];
      ·                 ────
      ╰────
     help: `Grup` has not been declared as an entity type
    ");
    insta::assert_snapshot!(drawn(&faults(&[])[0]), @r"
    × .: there is no policy file
    help: a policy repository has at least one `*.cedar` file; is this the right directory?
    ");
}
