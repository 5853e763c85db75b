//! `deodar lint --fix` changes texts, and never what policies say.

use std::fmt::Write as _;
use std::fs;

use deodar::analysis::lint::Options;
use deodar::analysis::lint::fix::fix;
use deodar::engine::Files;
use deodar::engine::compile;
use deodar::engine::value::Extension;
use proptest::prelude::Just;
use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prop_oneof;
use proptest::proptest;

use super::Place;
use crate::cli::assert_shown;

fn options() -> Options {
    Options {
        only: Vec::new(),
        now: Extension::Datetime.parse("2026-11-22T03:12:00Z").unwrap(),
    }
}

fn fixed(text: &str) -> String {
    let files = Files::new([("p.cedar".to_owned(), text.as_bytes().to_vec())]);
    let fixed = fix(&files, &options());
    assert_eq!(fixed.refused, Vec::<String>::new(), "{text}");
    String::from_utf8(fixed.files.get("p.cedar").unwrap().to_vec()).unwrap()
}

#[test]
fn each_mend_takes_out_what_it_should() {
    for (before, after) in [
        ("when { true }\nwhen { context.a };", "when { context.a };"),
        ("// why\nwhen { true };", "// why\n;"),
        ("unless { !context.a };", "when { context.a };"),
        (
            "unless { !(context.a || context.b) };",
            "when { (context.a || context.b) };",
        ),
        ("unless { context.a != 1 };", "unless { context.a != 1 };"),
        (
            "when { context.a && context.b && context.a };",
            "when { context.a && context.b };",
        ),
        (
            "when { (context.a) && (context.a) };",
            "when { (context.a) };",
        ),
        ("when { context.a && (context.a) };", "when { context.a };"),
        (
            "when { (context.a) && context.a };",
            "when { (context.a) };",
        ),
        (
            "when { context.a } when { context.a && context.b };",
            "when { context.a } when { context.a && context.b };",
        ),
        (
            "when { context.b && context.i.isInRange(ip( \"10.0.0.1/8\" )) };",
            "when { context.b && context.i.isInRange(ip( \"10.0.0.0/8\" )) };",
        ),
        (
            "when { context.i.isInRange(ip(\"10.0.0.1\")) };",
            "when { context.i.isInRange(ip(\"10.0.0.1\")) };",
        ),
    ] {
        let whole = |conditions: &str| {
            format!("@id(\"x\")\npermit (principal, action, resource)\n{conditions}\n")
        };
        let expected = whole(after).replace(")\n;", ");");
        assert_eq!(
            fixed(&whole(before)).replace(")\n;", ");"),
            expected,
            "{before}"
        );
    }
}

/// What would take a comment away is left to people, and keeps nothing else from being
/// mended.
#[test]
fn comments_stay() {
    for kept in [
        "when { true // until 2027\n};",
        "when // note\n{ true };",
        "when { context.a && // why\ncontext.a };",
    ] {
        let text = format!("@id(\"x\")\npermit (principal, action, resource)\n{kept}\n");
        assert_eq!(fixed(&text), text, "{kept}");
    }
    for (before, after) in [
        ("@allow(// because\n\"never-true\")\n@id(\"x\")", None),
        ("@id(// none yet\n\"\")", None),
        (
            "@allow(\"never-true\") // because\n@id(\"x\")",
            Some(" // because\n@id(\"x\")"),
        ),
    ] {
        let whole = |head: &str| {
            let other = "permit (principal, action == Action::\"a\", resource);";
            format!("{head}\npermit (principal, action, resource);\n@id(\"b\")\n{other}")
        };
        let clause =
            |text: String| text.replace("\"a\", resource)", "\"a\", resource) when { true }");
        let mended = fixed(&clause(whole(before)));
        assert_eq!(
            mended.trim_start(),
            whole(after.unwrap_or(before)).trim_start()
        );
    }
}

#[test]
fn what_a_test_or_an_invariant_names_keeps_its_id() {
    let policies = "permit (principal, action, resource);\nforbid (principal, action, resource) when { context.a };\npermit (principal, action, resource == D::\"d\");\n";
    let test = "cases:\n  - name: a\n    principal: U::\"a\"\n    action: Action::\"a\"\n    resource: D::\"d\"\n    decision: allow\n    policies: [\"policies/p.cedar#0\"]\n";
    let invariants = "invariants:\n  - name: a\n    never_errors: [policies/p.cedar#1]\n";
    let files = Files::new([
        ("policies/p.cedar".to_owned(), policies.as_bytes().to_vec()),
        ("a.test.yaml".to_owned(), test.as_bytes().to_vec()),
        ("invariants.yaml".to_owned(), invariants.as_bytes().to_vec()),
    ]);
    let fixed = fix(&files, &options());
    let text = String::from_utf8(fixed.files.get("policies/p.cedar").unwrap().to_vec()).unwrap();
    assert_eq!(text.matches("@id").count(), 1, "{text}");
    assert!(
        text.ends_with("@id(\"p-permit\")\npermit (principal, action, resource == D::\"d\");\n"),
        "{text}"
    );
}

#[test]
fn ids_are_new_and_of_the_file() {
    let text = "@id(\"p-permit-read\")\npermit (principal, action == Action::\"x\", resource);\n  @reason(\"r\")\n  permit (principal, action == Action::\"read\", resource);\npermit (principal, action == Action::\"y\", resource); forbid (principal, action, resource);\n@id(\"\") forbid (principal, action, resource is T);";
    let text = fixed(text);
    for id in [
        "  @id(\"p-permit-read-2\")\n  @reason",
        "@id(\"p-permit-y\")\npermit",
        "@id(\"p-forbid\")",
        "@id(\"p-forbid-2\") forbid",
    ] {
        assert!(text.contains(id), "{id}\n{text}");
    }
}

#[test]
fn what_a_link_names_keeps_its_id() {
    let template = "permit (principal == ?principal, action, resource);";
    let link =
        r#"[{"template_id": "p.cedar#0", "link_id": "l", "args": {"?principal": "U::\"a\""}}]"#;
    let files = Files::new([
        ("p.cedar".to_owned(), template.as_bytes().to_vec()),
        ("links/l.json".to_owned(), link.as_bytes().to_vec()),
    ]);
    let fixed = fix(&files, &options());
    assert_eq!(fixed.files, files);
}

fn conditions() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        Just("context.a".to_owned()),
        Just("context.b".to_owned()),
        Just("true".to_owned()),
        Just("context.n != 3".to_owned()),
        Just("principal in Group::\"(\"".to_owned()),
        Just("context.i.isInRange(ip(\"10.1.2.3/16\"))".to_owned()),
        Just("context.s like \"a)*\" // note (\n".to_owned()),
    ];
    atom.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} && {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || {b}")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.prop_map(|a| format!("!({a})")),
        ]
    })
}

fn policies() -> impl Strategy<Value = String> {
    let clause = (proptest::bool::ANY, conditions()).prop_map(|(is_when, condition)| {
        let keyword = if is_when { "when" } else { "unless" };
        format!("{keyword} {{ {condition} }}")
    });
    let clauses = proptest::collection::vec(clause, 0..4);
    let policy = (proptest::bool::ANY, clauses).prop_map(|(is_named, clauses)| {
        let id = if is_named {
            "@allow(\"when-true, broad-permit\")\n"
        } else {
            ""
        };
        format!(
            "{id}permit (principal, action, resource)\n{};\n",
            clauses.join("\n")
        )
    });
    proptest::collection::vec(policy, 1..4).prop_map(|policies| {
        let mut text = String::new();
        for (number, policy) in policies.iter().enumerate() {
            writeln!(text, "// {number}\n{policy}").unwrap();
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    // Decisions are compared through Cedar: what is mended decides as before.
    #[test]
    fn mended_policies_decide_the_same_and_stay_as_they_are(text in policies()) {
        let files = |text: &str| Files::new([("p.cedar".to_owned(), text.as_bytes().to_vec())]);
        proptest::prop_assume!(compile(&files(&text)).is_ok());
        let once = fix(&files(&text), &options()).files;
        let once = String::from_utf8(once.get("p.cedar").unwrap().to_vec()).unwrap();
        proptest::prop_assert!(compile(&files(&once)).is_ok(), "{}", once);
        let twice = fix(&files(&once), &options());
        proptest::prop_assert_eq!(twice.files.get("p.cedar").unwrap(), once.as_bytes());
        proptest::prop_assert!(twice.changed.is_empty());
        for case in 0..16u8 {
            let (a, b, near, odd) = (case & 1 > 0, case & 2 > 0, case & 4 > 0, case & 8 > 0);
            let context = format!(
                r#"{{"a": {a}, "b": {b}, "n": {}, "s": "{}", "i": {{"__extn": {{"fn": "ip", "arg": "{}"}}}}}}"#,
                if odd { 3 } else { 4 },
                if odd { "a)b" } else { "b" },
                if near { "10.1.0.1" } else { "10.9.0.1" },
            );
            proptest::prop_assert_eq!(decided(&text, &context), decided(&once, &context), "{}\n{}", text, once);
        }
    }
}

/// Which policies of a text decide, by their position.
fn decided(text: &str, context: &str) -> Vec<bool> {
    let set: cedar_policy::PolicySet = text.parse().unwrap();
    let uid = |text: &str| text.parse::<cedar_policy::EntityUid>().unwrap();
    let context = cedar_policy::Context::from_json_str(context, None).unwrap();
    let (user, act, doc) = (uid("U::\"u\""), uid("Action::\"a\""), uid("D::\"d\""));
    let request = cedar_policy::Request::new(user, act, doc, context, None).unwrap();
    let answer = cedar_policy::Authorizer::new().is_authorized(
        &request,
        &set,
        &cedar_policy::Entities::empty(),
    );
    let reasons: Vec<_> = answer.diagnostics().reason().cloned().collect();
    let ids = (0..set.policies().count()).map(|at| format!("policy{at}"));
    ids.map(|id| reasons.contains(&cedar_policy::PolicyId::new(id)))
        .collect()
}

#[test]
fn files_are_written_and_the_rest_is_told() {
    let place = Place::new();
    place.write(
        "policies/odd.cedar",
        "permit (principal in Group::\"staff\", action == Action::\"ping\", resource is Doc)\nwhen { true };\n",
    );
    assert_shown!(place.run(&["lint", "policies", "--fix", "--rule", "when-true", "--rule", "missing-id"]), @r"
    exit 0
    --- stdout
    2 mended in 1 file
    ");
    let text = fs::read_to_string(place.0.path().join("policies/odd.cedar")).unwrap();
    insta::assert_snapshot!(text, @r#"
    @id("odd-permit-ping")
    permit (principal in Group::"staff", action == Action::"ping", resource is Doc);
    "#);
    assert_shown!(place.run(&["lint", "policies", "--fix", "--rule", "when-true"]), @r"exit 0");
}
