//! Mutants of policy sets made by chance: who is killed by replacing one policy is
//! killed by compiling the whole repository with its text.

use std::fmt::Write as _;

use deodar::engine::decide;
use proptest::collection::vec;
use proptest::prelude::Just;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop_oneof;
use proptest::proptest;
use proptest::sample::select;

use super::ENTITIES;
use super::SCHEMA;
use super::World;
use super::mutation::assert_kills_as_compiling;

fn scope() -> impl Strategy<Value = String> {
    let principal = select(vec![
        "principal",
        "principal == User::\"ann\"",
        "principal in Group::\"staff\"",
        "principal is User in Group::\"staff\"",
    ]);
    let action = select(vec![
        "action",
        "action == Action::\"read\"",
        "action in [Action::\"read\", Action::\"write\"]",
    ]);
    let resource = select(vec!["resource", "resource == Doc::\"plan\""]);
    (principal, action, resource).prop_map(|(p, a, r)| format!("({p}, {a}, {r})"))
}

fn condition() -> impl Strategy<Value = String> {
    let atom = select(vec![
        "principal.level > 1",
        "resource.secret",
        "resource.owner == principal",
        "context has ip",
        // Fails where the level is large.
        "principal.level * 4611686018427387904 > 0",
        "[1, 5].contains(principal.level)",
    ]);
    let two = (atom.clone(), select(vec!["&&", "||"]), atom.clone())
        .prop_map(|(left, sign, right)| format!("{left} {sign} {right}"));
    let body = prop_oneof![atom.prop_map(str::to_owned), two];
    let word = select(vec!["when", "unless"]);
    prop_oneof![
        Just(String::new()),
        (word, body).prop_map(|(word, body)| format!("{word} {{ {body} }}"))
    ]
}

fn policies() -> impl Strategy<Value = Vec<(bool, String, String)>> {
    vec((any::<bool>(), scope(), condition()), 1..4)
}

/// Who asks with which level, whether to write, of which document, with an address,
/// and whether the case says which policies decide.
type Asked = (usize, i64, bool, bool, bool, bool);

fn asked() -> impl Strategy<Value = Vec<Asked>> {
    let level = select(vec![0, 1, 2, 5]);
    let flag = any::<bool>;
    vec((0..3_usize, level, flag(), flag(), flag(), flag()), 1..6)
}

fn tests(asked: &[Asked], expected: &[String]) -> String {
    let mut text = "now: 2026-11-22T12:00:00Z\ncases:\n".to_owned();
    for (number, (who, level, writes, secret, ip, _)) in asked.iter().enumerate() {
        let who = ["ann", "bob", "cid"][*who];
        let action = if *writes { "write" } else { "read" };
        let doc = if *secret { "key" } else { "plan" };
        let context = if *ip { "{ ip: 10.0.0.1 }" } else { "{}" };
        writeln!(
            text,
            "  - {{ name: 'n{number}', principal: 'User::\"{who}\"', action: 'Action::\"{action}\"', resource: 'Doc::\"{doc}\"', context: {context}, entities: [{{ uid: 'User::\"{who}\"', attrs: {{ level: {level} }} }}], links: [{{ id: l{number}, template: share, principal: 'User::\"{who}\"' }}], {} }}",
            expected.get(number).map_or("decision: deny", String::as_str),
        )
        .unwrap();
    }
    text
}

fn world(policies: &[(bool, String, String)], tests: &str) -> World {
    let mut text = String::new();
    for (number, (permits, scope, condition)) in policies.iter().enumerate() {
        let effect = if *permits { "permit" } else { "forbid" };
        writeln!(text, "@id(\"p{number}\") {effect} {scope} {condition};").unwrap();
    }
    text.push_str("@id(\"share\") permit (principal == ?principal, action, resource) when { !resource.secret };\n");
    World::of(&[
        ("schema.cedarschema", SCHEMA),
        ("docs.cedar", &text),
        ("entities/all.json", ENTITIES),
        ("docs.test.yaml", tests),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() })]

    /// Seen to fail when the links of a case are not made anew.
    #[test]
    fn mutants_by_chance(policies in policies(), asked in asked()) {
        // What comes is what is expected, so that every case takes part.
        let first = world(&policies, &tests(&asked, &[]));
        let expected: Vec<String> = first.suites[0]
            .cases
            .iter()
            .zip(&asked)
            .map(|(case, (.., names))| {
                let asked = case.asked(&first.snapshot, &first.view).unwrap();
                let decision = decide(&first.snapshot, &asked.view, &asked.query).unwrap();
                let word = if decision.is_allow() { "allow" } else { "deny" };
                let ids: Vec<&str> = decision.policies.iter().map(|info| info.id.as_str()).collect();
                if *names {
                    format!("decision: {word}, policies: [{}]", ids.join(", "))
                } else {
                    format!("decision: {word}")
                }
            })
            .collect();
        let world = world(&policies, &tests(&asked, &expected));
        assert_kills_as_compiling(&world);
    }
}
