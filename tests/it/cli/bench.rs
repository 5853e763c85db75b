//! `deodar bench`. No test looks at how long anything took.

use std::fs;

use serde_json::Value as Json;

use crate::cli::Place;
use crate::cli::assert_shown;

/// What was printed as JSON.
fn json(shown: &str) -> Json {
    let (_, text) = shown.split_once("--- stdout\n").unwrap();
    let text = text.split("--- stderr\n").next().unwrap();
    serde_json::from_str(text).unwrap()
}

/// Without what is measured, and the machine.
fn words(shown: &str) -> String {
    let mut text = String::new();
    for line in shown.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let line = words.join(" ").replace(" ns", " us");
        let line = line.split(" each, ").next().unwrap();
        let mut is_number = false;
        for c in line.chars() {
            let is_part = c.is_ascii_digit() || (is_number && matches!(c, '.' | ','));
            if is_part && !is_number {
                text.push('#');
            }
            is_number = is_part;
            if !is_part {
                text.push(c);
            }
        }
        text.push('\n');
    }
    text
}

#[test]
fn every_candidate_is_counted() {
    let place = Place::new();
    let shown = place.run(&["bench", "policies", "--samples", "3", "--format", "json"]);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
    let report = json(&shown);
    assert_eq!(report["version"], 1);
    assert_eq!(report["samples"], 3);
    // Two people, two documents, three actions.
    let digest = report["questions"]["digest"].as_str().unwrap();
    assert_eq!(digest.len(), 64);
    let asked = serde_json::json!({"origin": "entities", "asked": 12, "left_out": 0, "misfits": 0, "digest": digest});
    assert_eq!(report["questions"], asked);
    let mut candidates: Vec<_> = report["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|policy| {
            (
                policy["id"].as_str().unwrap(),
                policy["candidates"].as_u64().unwrap(),
            )
        })
        .collect();
    candidates.sort_unstable();
    let expected = [
        ("no-secrets-from-outside", 12),
        ("owner-reads-and-writes", 12),
        ("share-key-with-bob", 1),
        ("staff-read-by-day", 2),
    ];
    assert_eq!(candidates, expected);
    let shares = report["policies"].as_array().unwrap().iter();
    let sum: f64 = shares.map(|policy| policy["share"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{sum}");
    for cost in [&report["decision"], &report["gathering"]] {
        assert!(
            cost["median"].as_f64() >= cost["min"].as_f64() && cost["min"].as_f64() > Some(0.0)
        );
    }
    let mut conditions: Vec<_> = report["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|condition| {
            let place = (
                condition["line"].as_u64().unwrap(),
                condition["column"].as_u64().unwrap(),
            );
            (
                place,
                condition["condition"].as_str().unwrap(),
                condition["reached"].as_u64().unwrap(),
            )
        })
        .collect();
    conditions.sort_unstable();
    // Half of the documents are secret; nobody's address is known, so it is not asked
    // where that is; of those, a ping is let through.
    let expected = [
        ((7, 8), "resource.owner == principal", 12),
        ((14, 3), "principal.level > 2", 2),
        ((15, 3), "principal has badge", 2),
        ((15, 26), "context.now < principal.badge.until", 2),
        ((22, 8), "resource.secret", 12),
        ((22, 29), "context has ip", 6),
        ((23, 10), r#"action == Action::"ping""#, 6),
    ];
    assert_eq!(conditions, expected);
}

#[test]
fn for_people() {
    let place = Place::new();
    place.write(
        "policies/odd.cedar",
        "@id(\"odd\") permit (principal == User::\"zoe\", action, resource);\n",
    );
    let shown = words(&place.run(&["bench", "policies", "--samples", "3"]));
    // The order is that of the costs.
    let mut lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    assert_shown!(lines.join("\n"), @r#"
    # % # us # action == Action::"ping" docs.cedar:#:#
    # % # us # context has ip docs.cedar:#:#
    # % # us # context.now < principal.badge.until docs.cedar:#:#
    # % # us # no-secrets-from-outside docs.cedar:#
    # % # us # owner-reads-and-writes docs.cedar:#
    # % # us # principal has badge docs.cedar:#:#
    # % # us # principal.level > # docs.cedar:#:#
    # % # us # resource.owner == principal docs.cedar:#:#
    # % # us # resource.secret docs.cedar:#:#
    # % # us # share-key-with-bob docs.cedar:#
    # % # us # staff-read-by-day docs.cedar:#
    # policy of no question's scope
    # questions of all entities, # samples
    # us a decision, # us at best; # % of it to find policies and gather entities
    --- stderr
    --- stdout
    conditions
    exit #
    policies
    share each asked condition, place
    share each asked policy, place
    warning: this program was built without optimisation: use a release build
    "#);
}

/// A baseline whose costs are so many times as high.
fn scaled(place: &Place, factor: f64) {
    let path = place.0.path().join("before.json");
    let mut report: Json = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let scale = |cost: &mut Json| {
        for member in ["median", "min", "deviation"] {
            cost[member] = (cost[member].as_f64().unwrap() * factor).into();
        }
        cost["deviation"] = 0.into();
    };
    scale(&mut report["decision"]);
    for policy in report["policies"].as_array_mut().unwrap() {
        scale(&mut policy["cost"]);
    }
    fs::write(path, report.to_string()).unwrap();
}

#[test]
fn slower_than_the_baseline_beyond_noise_fails() {
    let place = Place::new();
    let save = [
        "bench",
        "policies",
        "--samples",
        "9",
        "--save",
        "before.json",
    ];
    let compare = [
        "bench",
        "policies",
        "--samples",
        "9",
        "--baseline",
        "before.json",
        "--fail-above",
        "100",
        "--format",
        "json",
    ];
    assert!(place.run(&save).starts_with("exit 0\n"));
    // Nothing is a hundred times as slow as it was a moment ago.
    let shown = place.run(&compare);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
    let comparison = &json(&shown)["comparison"];
    assert_eq!(comparison["same_machine"], true);
    assert_eq!(comparison["same_questions"], true);
    assert_eq!(comparison["policies"].as_array().unwrap().len(), 4);

    scaled(&place, 1e-6);
    let shown = place.run(&compare);
    assert!(shown.starts_with("exit 6\n"), "{shown}");
    let (_, errors) = shown.split_once("--- stderr\n").unwrap();
    for name in ["`a whole decision`", "`owner-reads-and-writes`"] {
        assert!(errors.contains(name), "{errors}");
    }
    scaled(&place, 1e12);
    let shown = place.run(&compare);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
    let shown = place.run(&[
        "bench",
        "policies",
        "--samples",
        "9",
        "--baseline",
        "before.json",
    ]);
    assert!(shown.contains("faster than the baseline"), "{shown}");
}

#[test]
fn policies_that_only_one_has_are_named() {
    let place = Place::new();
    place.run(&[
        "bench",
        "policies",
        "--samples",
        "3",
        "--save",
        "before.json",
    ]);
    place.write("policies/links/all.json", "[]");
    place.write(
        "policies/new.cedar",
        "@id(\"new\") permit (principal, action == Action::\"ping\", resource);\n",
    );
    let shown = place.run(&[
        "bench",
        "policies",
        "--samples",
        "3",
        "--baseline",
        "before.json",
        "--format",
        "json",
    ]);
    let comparison = &json(&shown)["comparison"];
    assert_eq!(comparison["added"], serde_json::json!(["new"]));
    assert_eq!(
        comparison["removed"],
        serde_json::json!(["share-key-with-bob"])
    );
}

#[test]
fn what_cannot_be_measured_is_told() {
    let place = Place::new();
    let bench = |arguments: &[&str]| place.run(&[&["bench", "policies"], arguments].concat());
    assert_shown!(bench(&["--baseline", "gone.json"]), @r"
    exit 2
    --- stderr
    error: cannot read `gone.json`: No such file or directory (os error 2)

    hint: save one with `deodar bench --save FILE`
    ");
    place.write("bad.json", "{}");
    assert_shown!(bench(&["--baseline", "bad.json"]), @r"
    exit 2
    --- stderr
    error: `bad.json` is no measurement: missing field `version` at line 1 column 2

    hint: save one with `deodar bench --save FILE`
    ");
    place.write("later.json", r#"{"version": 2}"#);
    assert_shown!(bench(&["--baseline", "later.json"]), @r"
    exit 2
    --- stderr
    error: `later.json` is of version 2, and this program reads version 1

    hint: save one with `deodar bench --save FILE`
    ");
    assert_shown!(bench(&["--baseline", "bad.json", "--fail-above", "0.9"]), @r"
    exit 2
    --- stderr
    error: invalid value '0.9' for '--fail-above <RATIO>': not a ratio of at least 1, such as 1.2

    For more information, try '--help'.
    ");
    assert_shown!(bench(&["--samples", "3", "--save", "no/where.json"]), @r"
    exit 1
    --- stderr
    error: cannot write `no/where.json`: No such file or directory (os error 2)

    hint: name a file that you may write to
    ");
    let lone = bench(&["--fail-above", "1.2"]);
    assert!(lone.starts_with("exit 2\n"), "{lone}");
    place.write("policies/entities/all.json", "[]");
    place.write("policies/links/all.json", "[]");
    assert_shown!(bench(&[]), @r"
    exit 1
    --- stderr
    error: there is nothing to ask of `policies`

    hint: add tests (`deodar test --help`), or entities to which the schema lets an action apply
    ");
}

const CASES: &str = r#"cases:
  - name: ann pings
    principal: 'User::"ann"'
    action: 'Action::"ping"'
    resource: 'Doc::"plan"'
    decision: allow
"#;

/// Other questions of the same number are no baseline.
#[test]
fn other_questions_are_told_from_the_same() {
    let place = Place::new();
    place.write("policies/a.test.yaml", CASES);
    let bench = |more: [&str; 2]| {
        let arguments = [&["bench", "policies", "--samples", "3"], &more[..]].concat();
        place.run(&arguments)
    };
    let warning = "the baseline was asked other questions";
    let saved = bench(["--save", "before.json"]);
    assert!(saved.starts_with("exit 0\n"), "{saved}");
    let same = bench(["--baseline", "before.json"]);
    assert!(!same.contains(warning), "{same}");
    // A baseline of before there was a digest may have been asked the same.
    let saved = fs::read_to_string(place.0.path().join("before.json")).unwrap();
    let mut old: Json = serde_json::from_str(&saved).unwrap();
    let questions = old["questions"].as_object_mut().unwrap();
    assert!(questions.remove("digest").is_some());
    place.write("old.json", &old.to_string());
    let same = bench(["--baseline", "old.json"]);
    assert!(same.starts_with("exit 0\n"), "{same}");
    assert!(!same.contains(warning), "{same}");
    for (before, after) in [
        ("resource: 'Doc::\"plan\"'", "resource: 'Doc::\"key\"'"),
        (
            "decision: allow",
            "entities: [{uid: 'User::\"ann\"', attrs: {level: 9}}]\n    decision: allow",
        ),
    ] {
        place.write("policies/a.test.yaml", &CASES.replace(before, after));
        let other = bench(["--baseline", "before.json"]);
        assert!(other.contains(warning), "{other}");
    }
    // What is expected is no part of the question.
    place.write("policies/a.test.yaml", &CASES.replace("allow", "deny"));
    let same = bench(["--baseline", "before.json"]);
    assert!(!same.contains(warning), "{same}");
}

/// Questions of the tests are not replaced by others because a file has a fault.
#[test]
fn test_files_with_faults_are_told() {
    let place = Place::new();
    let bench = || place.run(&["bench", "policies", "--samples", "3"]);
    place.write("policies/bad.test.yaml", "cases:\n  - [\n");
    assert_shown!(bench(), @r"
    exit 4
    --- stderr
      × not YAML: unclosed bracket '['
       ╭─[bad.test.yaml:2:5]
     1 │ cases:
     2 │   - [
       ·     ▲
       ╰────
      help: see the place that is marked, and the lines before it

    error: the policy directory has 1 fault
    ");
    place.write("policies/good.test.yaml", CASES);
    let shown = bench();
    assert!(
        shown.starts_with("exit 0\n") && shown.contains("\n1 question of the tests"),
        "{shown}"
    );
    let warning = "warning: 1 test file left out for faults: see `deodar validate`\n";
    assert!(shown.contains(warning), "{shown}");
    // A case that cannot be asked is none that stands for all entities.
    let stale = CASES.replace("decision: allow", "decision: allow\n    policies: [gone]");
    assert_ne!(stale, CASES);
    place.write("policies/bad.test.yaml", &stale);
    assert!(bench().contains("warning: 1 case left out for faults: "));
    place.write("policies/good.test.yaml", &stale);
    assert!(bench().starts_with("exit 4\n"));
}
