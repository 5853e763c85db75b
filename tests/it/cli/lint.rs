//! `deodar lint`, as people run it.

use std::fs;

use serde_json::Value as Json;

use super::Place;
use crate::cli::assert_shown;
use crate::support::root;

const ODD: &str = "\
@id(\"everybody-pings\")
@title(\"Everybody pings\")
@reason(\"Pings are harmless.\")
permit (principal, action == Action::\"ping\", resource)
when { 1 < 2 && principal in Group::\"stuff\" };
";

fn odd() -> Place {
    let place = Place::new();
    place.write("policies/odd.cedar", ODD);
    place
}

const NOW: [&str; 2] = ["--now", "2026-11-22T03:12:00Z"];

fn run(place: &Place, arguments: &[&str]) -> String {
    place.run(&[&["lint", "policies"], arguments, &NOW].concat())
}

fn stdout(shown: &str) -> &str {
    let (_, rest) = shown.split_once("--- stdout\n").unwrap();
    rest.split("--- stderr\n").next().unwrap()
}

#[test]
fn findings_are_drawn() {
    let rules = ["--rule", "always-true", "--rule", "unknown-entity", "--rule", "permit-without-resource"];
    assert_shown!(run(&odd(), &rules), @"");
}

#[test]
fn a_clean_repository_is_quiet() {
    assert_shown!(run(&odd(), &["--rule", "never-true"]), @"");
}

#[test]
fn warnings_count_when_denied() {
    let place = odd();
    let code = |arguments: &[&str]| run(&place, arguments).lines().next().unwrap().to_owned();
    let rule = ["--rule", "always-true"];
    assert_eq!(code(&rule), "exit 0");
    assert_eq!(code(&[&rule[..], &["--deny", "warnings"]].concat()), "exit 6");
    // What is only worth knowing never does.
    assert_eq!(code(&["--rule", "missing-advice", "--deny", "warnings"]), "exit 0");
    place.write("policies/manifest.toml", "[lint]\ndeny = [\"always-true\"]\n");
    assert_eq!(code(&rule), "exit 6");
    place.write("policies/manifest.toml", "[lint]\nallow = [\"always-true\"]\n");
    assert_eq!(code(&[&rule[..], &["--deny", "warnings"]].concat()), "exit 0");
}

#[test]
fn the_manifest_names_rules_that_exist() {
    let place = odd();
    place.write("policies/manifest.toml", "[lint]\nallow = [\"alway-true\"]\n");
    assert_shown!(run(&place, &["--rule", "unknown-rule"]), @"");
    place.write("policies/manifest.toml", "[lint]\nallows = []\n");
    assert!(run(&place, &[]).contains("unknown field `allows`"));
}

#[test]
fn a_policy_allows_what_is_meant() {
    let place = odd();
    let rules = ["--rule", "always-true", "--rule", "unused-allow", "--rule", "unknown-rule"];
    let allowed = |list: &str| {
        place.write("policies/odd.cedar", &format!("@allow(\"{list}\")\n{ODD}"));
        run(&place, &rules)
    };
    assert_eq!(allowed("always-true"), "exit 0\n");
    assert_shown!(allowed("always-true, never-true, dead-branch"), @"");
    // A rule that was not run may find something on another day.
    assert!(!allowed("always-true, never-true").contains("never-true"));
}

#[test]
fn a_repository_with_faults_is_linted_all_the_same() {
    let place = odd();
    place.write("policies/broken.cedar", "permit (principal, action resource);\n");
    assert_shown!(run(&place, &["--rule", "always-true", "--rule", "needless-has", "--rule", "unknown-type"]), @"");
}

#[test]
fn json() {
    assert_shown!(run(&odd(), &["--format", "json", "--rule", "always-true", "--rule", "untested-policy"]), @"");
}

#[test]
fn github() {
    assert_shown!(run(&odd(), &["--format", "github", "--rule", "always-true", "--rule", "permit-without-resource"]), @"");
}

#[test]
fn sarif_is_what_its_schema_says() {
    let place = odd();
    place.write("policies/broken.cedar", "permit (principal, action resource);\n");
    let shown = run(&place, &["--format", "sarif"]);
    assert!(shown.starts_with("exit 4\n"), "{shown}");
    let log: Json = serde_json::from_str(stdout(&shown)).unwrap();
    let schema = fs::read_to_string(root().join("tests/data/sarif-2.1.0.schema.json")).unwrap();
    let schema: Json = serde_json::from_str(&schema).unwrap();
    let mut schemas = boon::Schemas::new();
    let mut compiler = boon::Compiler::new();
    compiler.add_resource("sarif.json", schema).unwrap();
    let index = compiler.compile("sarif.json", &mut schemas).unwrap();
    if let Err(error) = schemas.validate(&log, index) {
        panic!("{error:#}");
    }
    // The schema is no formality.
    let mut wrong = log.clone();
    wrong["runs"][0]["results"][0]["level"] = "fatal".into();
    assert!(schemas.validate(&wrong, index).is_err());

    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    let mut prints = std::collections::BTreeSet::new();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(prints.insert(result["partialFingerprints"]["deodar/v1"].to_string()));
    }
    assert!(results.len() > 3);
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
}

#[test]
fn fingerprints_outlive_what_is_written_above() {
    let place = odd();
    let prints = || {
        let shown = run(&place, &["--format", "sarif", "--rule", "always-true"]);
        let log: Json = serde_json::from_str(stdout(&shown)).unwrap();
        let result = &log["runs"][0]["results"][0];
        let line = &result["locations"][0]["physicalLocation"]["region"]["startLine"];
        (result["partialFingerprints"].clone(), line.clone())
    };
    let (before, line) = prints();
    place.write("policies/odd.cedar", &format!("// More.\n\n{ODD}"));
    let (after, moved) = prints();
    assert_eq!(before, after);
    assert_ne!(line, moved);
}

#[test]
fn rules_are_listed_and_explained() {
    let place = odd();
    let list = place.run(&["lint", "--list"]);
    assert!(list.contains("never-true"), "{list}");
    assert!(list.lines().count() > 40, "{list}");
    assert_shown!(place.run(&["lint", "--list", "--rule", "ip-not-network", "--rule", "never-true"]), @"");
    assert_shown!(place.run(&["lint", "--explain", "ip-not-network"]), @"");
    assert_shown!(place.run(&["lint", "--rule", "never-tru"]), @"");
}
