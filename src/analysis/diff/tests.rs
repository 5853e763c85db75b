//! Comparisons of small worlds.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Diff;
use super::Options;
use super::everything::Actions;
use super::everything::Drawn;
use super::everything::Known;
use super::everything::Rest;
use super::everything::build;
use super::everything::examples;
use super::everything::plainly;
use crate::analysis::world::World;
use crate::directory;
use crate::engine::Files;
use crate::engine::Snapshot;
use crate::engine::View;
use crate::engine::compile;

pub(super) const SCHEMA: &str = r"
entity Group in [Group] { open: Bool };
entity User in [Group] { level: Long, boss?: User, fav?: Action };
entity Doc in [Group] { owner: User, secret: Bool };
action all;
action read, write appliesTo { principal: User, resource: Doc, context: { from?: User } };
action admin appliesTo { principal: [User, Group], resource: [Doc, Group] };
";

/// A repository that compiles.
pub(super) struct Built {
    pub(super) snapshot: Snapshot,
    pub(super) view: View,
}

impl Built {
    pub(super) fn new(files: &[(&str, &str)]) -> Self {
        let files = files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        let files = Files::new(files);
        let snapshot = compile(&files).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let view =
            directory::load(&snapshot, &files).unwrap_or_else(|faults| panic!("{faults:#?}"));
        Self { snapshot, view }
    }

    fn policies(text: &str) -> Self {
        let entities = world(&[3, 5], &[(0, false), (1, true)], &[(0, Some(1))]);
        Self::new(&[
            ("s.cedarschema", SCHEMA),
            ("p.cedar", text),
            ("entities/e.json", &entities),
        ])
    }

    pub(super) fn world(&self) -> World<'_> {
        World {
            snapshot: &self.snapshot,
            view: &self.view,
        }
    }
}

pub(super) fn options() -> Options {
    Options {
        threads: 2,
        ..Options::default()
    }
}

fn diff(before: &Built, after: &Built) -> Diff {
    super::diff(before.world(), after.world(), &[], &options())
}

/// Entities by number: users with a level, documents with owner and secrecy, and
/// which user is in which group, or has which boss.
pub(super) fn world(
    levels: &[i64],
    docs: &[(usize, bool)],
    grouped: &[(usize, Option<usize>)],
) -> String {
    let uid = |kind: &str, id: usize| serde_json::json!({"type": kind, "id": id.to_string()});
    let read = serde_json::json!({"type": "Action", "id": "read"});
    let mut all = Vec::new();
    for group in 0..2_usize {
        let parents = if group == 0 {
            vec![uid("Group", 1)]
        } else {
            Vec::new()
        };
        all.push(serde_json::json!({
            "uid": uid("Group", group), "attrs": {"open": group == 0}, "parents": parents,
        }));
    }
    for (user, level) in levels.iter().enumerate() {
        let mine = grouped.iter().filter(|(who, _)| *who == user);
        let parents: Vec<_> = mine.clone().map(|(who, _)| uid("Group", who % 2)).collect();
        let mut attrs = serde_json::json!({"level": level});
        let mut mine = mine;
        if let Some(boss) = mine.find_map(|(_, boss)| *boss) {
            attrs["boss"] = serde_json::json!({"__entity": uid("User", boss % levels.len())});
        }
        if *level == 4 {
            attrs["fav"] = serde_json::json!({"__entity": read});
        }
        all.push(serde_json::json!({"uid": uid("User", user), "attrs": attrs, "parents": parents}));
    }
    for (doc, (owner, secret)) in docs.iter().enumerate() {
        let owner = uid("User", owner % levels.len().max(1));
        all.push(serde_json::json!({
            "uid": uid("Doc", doc), "attrs": {"owner": {"__entity": owner}, "secret": secret},
            "parents": [uid("Group", doc % 2)],
        }));
    }
    serde_json::to_string(&all).unwrap()
}

const OWNER: &str = r#"@id("owner") @reason("yours") permit (principal, action == Action::"read", resource)
    when { resource.owner == principal && !resource.secret };"#;

fn told(diff: &Diff) -> Vec<String> {
    let changes = diff.policies.iter().map(|change| {
        let from = change.renamed_from.as_deref().unwrap_or_default();
        format!(
            "{:?} {from}>{} {}",
            change.change,
            change.id,
            change.parts.join(",")
        )
    });
    changes.collect()
}

#[test]
fn writing_and_place_are_no_change() {
    let before = Built::policies(OWNER);
    let text = r#"
        // A comment.
        @reason("yours")
        @id("owner")
        permit (
          principal,
          action == Action::"read", resource
        )
        when { ((resource.owner == principal)) && !(resource.secret) };
        "#;
    let entities = world(&[3, 5], &[(0, false), (1, true)], &[(0, Some(1))]);
    let after = Built::new(&[
        ("s.cedarschema", SCHEMA),
        ("elsewhere/q.cedar", text),
        ("entities/e.json", &entities),
    ]);
    assert!(diff(&before, &after).is_empty());
    // Those without an id are called by their place, which may change.
    let one = "permit (principal, action, resource) when { resource has owner };";
    let two = "forbid (principal, action, resource) when { principal has boss };";
    let before = Built::policies(&format!("{one}\n{two}"));
    let after = Built::policies(&format!("{two}\n{one}"));
    assert_eq!(told(&diff(&before, &after)), Vec::<String>::new());
    let third = "permit (principal, action, resource) when { principal has boss };";
    let after = Built::policies(&format!("{third}\n{one}\n{two}"));
    assert_eq!(told(&diff(&before, &after)), ["Added >p.cedar#0 "]);
}

#[test]
fn each_part_is_told_by_its_name() {
    let before = Built::policies(OWNER);
    let cases = [
        (
            OWNER.replace("yours", "his"),
            vec!["Changed >owner annotation @reason"],
        ),
        (
            OWNER.replace("@reason(\"yours\")", "@title(\"t\")"),
            vec!["Changed >owner annotation @reason removed,annotation @title added"],
        ),
        (
            OWNER.replace("!resource", "resource"),
            vec!["Changed >owner condition"],
        ),
        (
            OWNER.replace("permit", "forbid"),
            vec!["Changed >owner effect"],
        ),
        (
            OWNER.replace("(principal,", "(principal is User,"),
            vec!["Changed >owner principal"],
        ),
        (
            OWNER.replace("\"read\"", "\"write\""),
            vec!["Changed >owner action"],
        ),
        (
            OWNER.replace("resource)", "resource in Group::\"0\")"),
            vec!["Changed >owner resource"],
        ),
        (
            OWNER.replace("id(\"owner\")", "id(\"mine\")"),
            vec!["Renamed owner>mine "],
        ),
        (
            OWNER
                .replace("id(\"owner\")", "id(\"mine\")")
                .replace("read", "write"),
            vec!["Added >mine ", "Removed >owner "],
        ),
        (
            format!("{OWNER}\n@id(\"t\") permit (principal == ?principal, action, resource);"),
            vec!["Added >t "],
        ),
    ];
    for (text, expected) in cases {
        let after = Built::policies(&text);
        let diff = diff(&before, &after);
        assert_eq!(told(&diff), expected, "{text}");
        let decides = diff.policies.iter().any(|change| change.decides);
        let is_passing = expected
            .iter()
            .all(|told| told.contains('@') || told.contains("Renamed"));
        assert_eq!(decides, !is_passing, "{text}");
    }
}

#[test]
fn facts_are_told_by_their_names() {
    let text = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let build = |files: &[(String, String)]| {
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        Built::new(&files)
    };
    let entities = world(&[3, 5], &[(0, false)], &[]);
    let before = build(&[
        text("s.cedarschema", SCHEMA),
        text("p.cedar", OWNER),
        text("entities/e.json", &entities),
    ]);
    let schema = SCHEMA
        .replace("level: Long", "level?: Long, tall: Bool")
        .replace("principal: [User, Group]", "principal: User");
    let schema = format!("{schema}\nentity Robot;");
    let entities = entities.replace("\"level\":5", "\"level\":6,\"tall\":true");
    let entities = entities.replace("\"level\":3", "\"tall\":false");
    let after = build(&[
        text(
            "manifest.toml",
            "name = \"other\"\nerrors = \"cedar\"\nimplicit_types = [\"Robot\"]",
        ),
        text("s.cedarschema", &schema),
        text("p.cedar", OWNER),
        text("entities/e.json", &entities),
    ]);
    let diff = diff(&before, &after);
    let mut told = String::new();
    for change in diff
        .manifest
        .iter()
        .chain(&diff.schema)
        .chain(&diff.entities)
    {
        let of = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
        let part = change.part.clone().unwrap_or_default();
        writeln!(
            told,
            "{} | {part} | {} | {}",
            change.owner,
            of(&change.before),
            of(&change.after)
        )
        .unwrap();
    }
    insta::assert_snapshot!(told, @r#"
    manifest | errors | deny | cedar
    manifest | implicit type Robot | - | listed
    action Action::"admin" | principal Group | may do it | -
    entity Robot |  | - | (nothing more)
    entity User | attribute level | Long | Long, optional
    entity User | attribute tall | - | Bool
    User::"0" | attribute level | 3 | -
    User::"0" | attribute tall | - | false
    User::"1" | attribute level | 5 | 6
    User::"1" | attribute tall | - | true
    "#);
}

#[test]
fn who_gains_and_loses_is_told_by_the_policy() {
    let before = Built::policies(OWNER);
    let after = Built::policies(&format!(
        "{}\n@id(\"no-boss\") forbid (principal, action, resource) when {{ principal has boss }};",
        OWNER.replace("&& !resource.secret", "")
    ));
    let diff = diff(&before, &after);
    // User 0 owns document 0 and has a boss; user 1 owns document 1, a secret.
    let flips: Vec<String> = diff
        .triples
        .flips
        .sorted()
        .iter()
        .map(|(key, group)| {
            let first = &group.examples[0];
            format!(
                "{:?} {} {:?} {} {} {}",
                key.direction,
                group.count,
                key.policies,
                key.why.words(),
                first.principal,
                first.resource
            )
        })
        .collect();
    assert_eq!(
        flips,
        [
            r#"Gained 1 ["owner"] now permits User::"1" Doc::"1""#,
            r#"Lost 1 ["no-boss"] now forbids User::"0" Doc::"0""#,
        ]
    );
    assert_eq!(diff.gaining(), BTreeSet::from(["User::\"1\""]));
    assert_eq!(diff.losing(), BTreeSet::from(["User::\"0\""]));
}

#[test]
fn too_many_triples_are_cut_and_told() {
    let entities = (vec![3; 40], vec![(0, false); 40], Vec::new());
    let plain = Rest {
        errors: false,
        is_grouped: false,
        is_narrow: false,
        linked: None,
        template: 0,
        known: Known::Stored,
        actions: Actions::Declared,
    };
    let before = build(&BTreeMap::new(), &entities, plain);
    let all = Drawn {
        permits: true,
        principal: 0,
        action: 1,
        resource: 0,
        condition: 4,
    };
    let other = Rest {
        errors: true,
        ..plain
    };
    let open = build(&BTreeMap::from([(0, all)]), &entities, other);
    let options = Options {
        triples_max: 100,
        ..options()
    };
    let diff = super::diff(before.world(), open.world(), &[], &options);
    assert_eq!(diff.triples.decided, 100);
    assert!(diff.triples.touched > 3000, "{}", diff.triples.touched);
    assert_eq!(diff.triples.all, diff.triples.touched);
}

/// Without a schema actions are entities, which may come into a group.
#[test]
fn an_action_that_comes_into_a_group() {
    let policy = r#"permit (principal, action in Action::"all", resource);"#;
    let build = |parents: &str| {
        let entities = format!(
            r#"[{{"uid": {{"type": "User", "id": "u"}}, "attrs": {{}}, "parents": []}},
            {{"uid": {{"type": "Action", "id": "all"}}, "attrs": {{}}, "parents": []}},
            {{"uid": {{"type": "Action", "id": "read"}}, "attrs": {{}}, "parents": [{parents}]}}]"#
        );
        Built::new(&[
            ("manifest.toml", "validate = \"off\""),
            ("p.cedar", policy),
            (
                "q.cedar",
                r#"permit (principal == User::"none", action == Action::"read", resource);"#,
            ),
            ("entities/e.json", &entities),
        ])
    };
    let before = build("");
    let after = build(r#"{"type": "Action", "id": "all"}"#);
    let found = diff(&before, &after);
    assert_eq!(found.gaining(), BTreeSet::from(["User::\"u\""]));
    let back = diff(&after, &before);
    assert_eq!(back.losing(), BTreeSet::from(["User::\"u\""]));
}

/// Without a schema whatever is named can be asked, and what is not.
#[test]
fn actions_that_no_schema_declares() {
    let build = |policy: &str, stored: &str| {
        let entities = format!(
            r#"[{{"uid": {{"type": "User", "id": "u"}}, "attrs": {{}}, "parents": []}}{stored}]"#
        );
        Built::new(&[
            ("manifest.toml", "validate = \"off\""),
            ("p.cedar", policy),
            ("entities/e.json", &entities),
        ])
    };
    let read = r#", {"uid": {"type": "Action", "id": "read"}, "attrs": {}, "parents": []}"#;
    let nobody = r#"permit (principal == User::"x", action, resource);"#;
    let everybody = "permit (principal, action, resource);";
    let readers = r#"permit (principal, action, resource) when { action == Action::"read" };"#;
    for (policy, stored, actions) in [
        (everybody, read, &["any other", "read"] as &[&str]),
        (everybody, "", &["any other"]),
        (readers, "", &["read"]),
    ] {
        let found = diff(&build(nobody, stored), &build(policy, stored));
        assert_eq!(found.gaining(), BTreeSet::from(["User::\"u\""]), "{policy}");
        let keys = found.triples.flips.sorted();
        let gained: Vec<_> = keys.iter().map(|(key, _)| key.action.clone()).collect();
        let expected = actions
            .iter()
            .map(|id| Some(format!("Action::{id:?}").into()));
        assert_eq!(gained, expected.collect::<Vec<_>>(), "{policy}");
        assert!(found.triples.contexts.made_up > 0, "{policy}");
    }
}

/// Those whom nobody knows gain when the manifest lets them, or policies do where they
/// are let already.
#[test]
fn whom_nobody_knows_can_gain() {
    let schema = format!("{SCHEMA}\nentity Robot;");
    let build = |manifest: &str, policy: &str| {
        Built::new(&[
            ("manifest.toml", manifest),
            ("s.cedarschema", &schema),
            ("p.cedar", policy),
            ("entities/e.json", &world(&[3], &[(0, false)], &[])),
        ])
    };
    let all = "permit (principal is User, action, resource);";
    let robots = format!("{all} permit (principal is Robot, action, resource);");
    let off = "validate = \"off\"\n";
    let open = "validate = \"off\"\nunknown = \"cedar\"";
    let other = |name: &str| format!("{name}::\"any other\"");
    for (before, after, gaining) in [
        (build("", all), build("unknown = \"cedar\"", all), "User"),
        (
            build("", all),
            build("implicit_types = [\"User\"]", all),
            "User",
        ),
        (build(open, all), build(open, &robots), "Robot"),
    ] {
        let found = diff(&before, &after);
        assert!(
            found.gaining().contains(&*other(gaining)),
            "{:?}",
            found.gaining()
        );
        let back = diff(&after, &before);
        assert!(
            back.losing().contains(&*other(gaining)),
            "{:?}",
            back.losing()
        );
    }
    // Where they are not let, nothing stands for them.
    let found = diff(&build(off, all), &build(off, &robots));
    assert_eq!(found.gaining(), BTreeSet::new());
}

/// What exists without being stored is asked about where anything names it.
#[test]
fn who_is_known_without_being_stored_can_gain() {
    let schema = format!(
        "{SCHEMA}\nentity Robot;\naction wipe appliesTo {{ principal: Robot, resource: Doc }};"
    );
    let none = r#"permit (principal == User::"none", action, resource);"#;
    let build = |policy: &str, links: &str| {
        let text = format!(
            "{none}\n{policy}\n@id(\"t\") permit (principal == ?principal, action, resource);"
        );
        Built::new(&[
            ("manifest.toml", "implicit_types = [\"Robot\"]"),
            ("s.cedarschema", &schema),
            ("p.cedar", &text),
            ("entities/e.json", &world(&[3], &[(0, false)], &[])),
            ("links/l.json", links),
        ])
    };
    let before = build("", "[]");
    let link = r#"[{"template_id": "t", "link_id": "l", "args": {"?principal": "Robot::\"r\""}}]"#;
    let policies = [
        (
            r#"permit (principal == Robot::"r", action, resource);"#,
            "[]",
        ),
        (
            r#"permit (principal, action, resource) when { principal == Robot::"r" };"#,
            "[]",
        ),
        ("", link),
    ];
    for (policy, links) in policies {
        let found = diff(&before, &build(policy, links));
        assert_eq!(
            found.gaining(),
            BTreeSet::from(["Robot::\"r\""]),
            "{policy}"
        );
        let is_told = |note: &String| note.contains("implicit types") && note.ends_with("`Robot`");
        assert!(found.triples.notes.iter().any(is_told));
    }
}

/// An action is asked about in few contexts: those that are least alike.
#[test]
fn contexts_are_the_simplest_of_each_kind() {
    let mut tests = String::from("cases:\n");
    for number in 0..20 {
        let context = if number < 15 {
            let id = "u".repeat(20 - number);
            format!("{{ from: {{ __entity: {{ type: User, id: {id} }} }} }}")
        } else {
            "{}".to_owned()
        };
        writeln!(
            tests,
            "  - {{ name: n{number}, principal: 'User::\"0\"', action: 'Action::\"read\"', \
             resource: 'Doc::\"0\"', context: {context}, decision: deny }}"
        )
        .unwrap();
    }
    let built = Built::policies(OWNER);
    let cases = cases(&tests);
    let action = &cases[0].question.action;
    let found = super::contexts::of_action(built.world(), built.world(), action, &cases, "");
    let told: Vec<&str> = found
        .all
        .iter()
        .map(|context| context.told.as_str())
        .collect();
    assert_eq!(told.len(), super::contexts::CONTEXTS_MAX, "{told:?}");
    assert_eq!(told[0], "{}");
    assert!(
        told.windows(2).all(|pair| pair[0].len() <= pair[1].len()),
        "{told:?}"
    );
    assert_eq!((found.left_out, found.adapted), (15 + 1 - told.len(), 0));
}

/// A user, whose boss and groups a decision may read, and what may differ in these.
fn chain(open: bool, nested: bool, level: i64) -> String {
    let parents = if nested {
        r#"{"type": "Group", "id": "1"}"#
    } else {
        ""
    };
    format!(
        r#"[{{"uid": {{"type": "Group", "id": "0"}}, "attrs": {{"open": true}}, "parents": [{parents}]}},
            {{"uid": {{"type": "Group", "id": "1"}}, "attrs": {{"open": true}}, "parents": []}},
            {{"uid": {{"type": "Group", "id": "far"}}, "attrs": {{"open": {open}}}, "parents": []}},
            {{"uid": {{"type": "User", "id": "boss"}}, "attrs": {{"level": {level}}}, "parents": []}},
            {{"uid": {{"type": "User", "id": "0"}}, "attrs": {{"level": 1, "fav": {{"type": "Action", "id": "read"}},
                "boss": {{"type": "User", "id": "boss"}}}},
              "parents": [{{"type": "Group", "id": "0"}}]}},
            {{"uid": {{"type": "Doc", "id": "0"}}, "attrs": {{"owner": {{"type": "User", "id": "boss"}}, "secret": false}},
              "parents": []}}]"#
    )
}

/// One thing differs, which a decision reads in one way only.
#[test]
fn whatever_a_decision_reads_is_followed() {
    let grouped = SCHEMA.replace(
        "action read, write",
        "action write appliesTo { principal: User, resource: Doc };\naction read in [all]",
    );
    let build = |policy: &str, schema: &str, entities: &str| {
        Built::new(&[
            ("manifest.toml", "validate = \"off\""),
            ("s.cedarschema", schema),
            ("p.cedar", policy),
            ("entities/e.json", entities),
        ])
    };
    let plain = chain(false, false, 1);
    let cases = [
        // The groups of the action, by the scope.
        (
            r#"permit (principal, action in Action::"all", resource);"#,
            &*grouped,
            plain.clone(),
        ),
        // The groups of an action, by an attribute.
        (
            r#"permit (principal, action == Action::"write", resource)
               when { principal has fav && principal.fav in Action::"all" };"#,
            &*grouped,
            plain.clone(),
        ),
        // An entity that the condition names, and nothing else does.
        (
            r#"permit (principal, action, resource) when { Group::"far".open };"#,
            SCHEMA,
            chain(true, false, 1),
        ),
        // A parent of a parent.
        (
            r#"permit (principal in Group::"1", action, resource);"#,
            SCHEMA,
            chain(false, true, 1),
        ),
        // An attribute of an attribute.
        (
            "permit (principal, action, resource) when { principal has boss && principal.boss.level > 4 };",
            SCHEMA,
            chain(false, false, 9),
        ),
    ];
    for (policy, schema, changed) in cases {
        let (before, after) = (
            build(policy, SCHEMA, &plain),
            build(policy, schema, &changed),
        );
        let options = Options {
            examples: 1000,
            ..options()
        };
        let found = super::diff(before.world(), after.world(), &[], &options);
        let expected = plainly(&before, &after);
        assert!(!expected.is_empty(), "{policy}");
        assert_eq!(examples(&found.triples), expected, "{policy}");
    }
}

fn cases(tests: &str) -> Vec<crate::testing::Case> {
    let files = Files::new([("a.test.yaml".to_owned(), tests.as_bytes().to_vec())]);
    let read = crate::testing::read(&files, None);
    assert!(read.faults.is_empty(), "{:?}", read.faults);
    let suites = read.suites.into_iter();
    suites.flat_map(|suite| suite.cases).collect()
}

/// A triple that two policies allow now, each in another context, is one that is
/// gained.
#[test]
fn a_triple_of_two_groups_counts_once() {
    let tests = "cases:\n  - { name: a, principal: 'User::\"0\"', action: 'Action::\"read\"', \
                 resource: 'Doc::\"0\"', context: { from: { __entity: { type: User, id: '1' } } }, decision: deny }";
    let only = r#"(principal == User::"0", action == Action::"read", resource == Doc::"0")"#;
    let before = Built::policies(OWNER.replace("read", "write").as_str());
    let after = Built::policies(&format!(
        "{}\npermit {only} when {{ context has from }};\npermit {only} unless {{ context has from }};",
        OWNER.replace("read", "write")
    ));
    let found = super::diff(before.world(), after.world(), &cases(tests), &options());
    let flips = &found.triples.flips;
    assert_eq!((flips.gained, flips.lost, flips.sorted().len()), (1, 0, 2));
    assert_eq!(found.triples.decided, 1);
}
