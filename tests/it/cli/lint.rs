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
    let rules = [
        "--rule",
        "always-true",
        "--rule",
        "unknown-entity",
        "--rule",
        "permit-without-resource",
    ];
    assert_shown!(run(&odd(), &rules), @r#"
    exit 0
    --- stdout
      ⚠ permit-without-resource: this permits it on everything
        ╭─[docs.cedar:11:1]
     10 │ @title("Staff with a badge read")
     11 │ permit (principal in Group::"staff", action == Action::"read", resource)
        · ──────
     12 │ when
        ╰────
      help: constrain `resource` in the scope: `resource is`, `resource in`

      ⚠ permit-without-resource: this permits it on everything
       ╭─[odd.cedar:4:1]
     3 │ @reason("Pings are harmless.")
     4 │ permit (principal, action == Action::"ping", resource)
       · ──────
     5 │ when { 1 < 2 && principal in Group::"stuff" };
       ╰────
      help: constrain `resource` in the scope: `resource is`, `resource in`

      ⚠ always-true: this is always true, so it restricts nothing
       ╭─[odd.cedar:5:8]
     4 │ permit (principal, action == Action::"ping", resource)
     5 │ when { 1 < 2 && principal in Group::"stuff" };
       ·        ─────
       ╰────
      help: write what was meant, or leave it out

      ⚠ unknown-entity: the repository has no entity `Group::"stuff"`
       ╭─[odd.cedar:5:30]
     4 │ permit (principal, action == Action::"ping", resource)
     5 │ when { 1 < 2 && principal in Group::"stuff" };
       ·                              ──────────────
       ╰────
      help: did you mean `Group::"staff"`?

    4 warnings in 5 policies
    "#);
}

#[test]
fn a_clean_repository_is_quiet() {
    assert_shown!(run(&odd(), &["--rule", "never-true"]), @r"exit 0");
}

#[test]
fn warnings_count_when_denied() {
    let place = odd();
    let code = |arguments: &[&str]| run(&place, arguments).lines().next().unwrap().to_owned();
    let rule = ["--rule", "always-true"];
    assert_eq!(code(&rule), "exit 0");
    assert_eq!(
        code(&[&rule[..], &["--deny", "warnings"]].concat()),
        "exit 6"
    );
    // What is only worth knowing never does.
    assert_eq!(
        code(&["--rule", "missing-advice", "--deny", "warnings"]),
        "exit 0"
    );
    place.write(
        "policies/manifest.toml",
        "[lint]\ndeny = [\"always-true\"]\n",
    );
    assert_eq!(code(&rule), "exit 6");
    place.write(
        "policies/manifest.toml",
        "[lint]\nallow = [\"always-true\"]\n",
    );
    assert_eq!(
        code(&[&rule[..], &["--deny", "warnings"]].concat()),
        "exit 0"
    );
}

#[test]
fn the_manifest_names_rules_that_exist() {
    let place = odd();
    place.write(
        "policies/manifest.toml",
        "[lint]\nallow = [\"alway-true\"]\n",
    );
    assert_shown!(run(&place, &["--rule", "unknown-rule"]), @r#"
    exit 6
    --- stdout
      × unknown-rule: there is no rule `alway-true`
       ╭─[manifest.toml:2:11]
     1 │ [lint]
     2 │ allow = ["alway-true"]
       ·           ──────────
       ╰────
      help: did you mean `always-true`?

    1 error in 5 policies
    "#);
    place.write("policies/manifest.toml", "[lint]\nallows = []\n");
    assert!(run(&place, &[]).contains("unknown field `allows`"));
}

#[test]
fn a_policy_allows_what_is_meant() {
    let place = odd();
    let rules = [
        "--rule",
        "always-true",
        "--rule",
        "unused-allow",
        "--rule",
        "unknown-rule",
    ];
    let allowed = |list: &str| {
        place.write("policies/odd.cedar", &format!("@allow(\"{list}\")\n{ODD}"));
        run(&place, &rules)
    };
    assert_eq!(allowed("always-true"), "exit 0\n");
    assert_shown!(allowed("always-true, never-true, dead-branch"), @r"exit 0");
    // A rule that was not run may find something on another day.
    assert!(!allowed("always-true, never-true").contains("never-true"));
}

#[test]
fn a_repository_with_faults_is_linted_all_the_same() {
    let place = odd();
    place.write(
        "policies/broken.cedar",
        "permit (principal, action resource);\n",
    );
    assert_shown!(run(&place, &["--rule", "always-true", "--rule", "needless-has", "--rule", "unknown-type"]), @r#"
    exit 4
    --- stdout
      ⚠ always-true: this is always true, so it restricts nothing
       ╭─[odd.cedar:5:8]
     4 │ permit (principal, action == Action::"ping", resource)
     5 │ when { 1 < 2 && principal in Group::"stuff" };
       ·        ─────
       ╰────
      help: write what was meant, or leave it out

    1 warning in 5 policies
    --- stderr
      × unexpected token `resource`: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`
       ╭─[broken.cedar:1:27]
     1 │ permit (principal, action resource);
       ·                           ────────
       ╰────
      help: is something missing here, or just before?

    error: the repository does not compile: 1 fault
    not run, since the repository does not compile: needless-has
    "#);
}

#[test]
fn json() {
    assert_shown!(run(&odd(), &["--format", "json", "--rule", "always-true", "--rule", "untested-policy"]), @r#"
    exit 0
    --- stdout
    {
      "findings": [
        {
          "rule": "always-true",
          "group": "correctness",
          "level": "warning",
          "file": "odd.cedar",
          "line": 5,
          "column": 8,
          "end_line": 5,
          "end_column": 13,
          "policy": "everybody-pings",
          "message": "this is always true, so it restricts nothing",
          "hint": "write what was meant, or leave it out",
          "fixable": false
        }
      ],
      "counts": {
        "error": 0,
        "info": 0,
        "warning": 1
      },
      "policies": 5,
      "fixed": {},
      "not_fixed": [],
      "not_run": [
        {
          "rule": "untested-policy",
          "why": "there are no tests"
        }
      ],
      "faults": []
    }
    "#);
}

#[test]
fn github() {
    assert_shown!(run(&odd(), &["--format", "github", "--rule", "always-true", "--rule", "permit-without-resource"]), @r"
    exit 0
    --- stdout
    ::warning file=policies/docs.cedar,line=11,col=1,endLine=11,endColumn=7,title=permit-without-resource::this permits it on everything; constrain `resource` in the scope: `resource is`, `resource in`
    ::warning file=policies/odd.cedar,line=4,col=1,endLine=4,endColumn=7,title=permit-without-resource::this permits it on everything; constrain `resource` in the scope: `resource is`, `resource in`
    ::warning file=policies/odd.cedar,line=5,col=8,endLine=5,endColumn=13,title=always-true::this is always true, so it restricts nothing; write what was meant, or leave it out
    ");
}

#[test]
fn sarif_is_what_its_schema_says() {
    let place = odd();
    place.write(
        "policies/broken.cedar",
        "permit (principal, action resource);\n",
    );
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
    assert_shown!(place.run(&["lint", "--list", "--rule", "ip-not-network", "--rule", "never-true"]), @r"
    exit 0
    --- stdout
    RULE            GROUP        LEVEL    FIX  WHAT IT FINDS
    never-true      correctness  error         a condition can never hold, so the policy never applies
    ip-not-network  correctness  warning  yes  a range of addresses has bits set beyond its prefix
    ");
    assert_shown!(place.run(&["lint", "--explain", "ip-not-network"]), @r#"
    exit 0
    --- stdout
    ip-not-network (correctness, warning, `--fix` mends it)

    A range of addresses has bits set beyond its prefix.

    `10.0.0.7/24` is all of `10.0.0.0/24`. Either the prefix is wrong, or the reader is misled.

    Bad

      @id("from-the-press-line")
      permit (principal is User, action == Action::"read", resource is Device)
      when { context.session.ip.isInRange(ip("10.0.0.7/24")) };

    Good

      @id("from-the-press-line")
      permit (principal is User, action == Action::"read", resource is Device)
      when { context.session.ip.isInRange(ip("10.0.0.0/24")) };

    Switch it off for one policy with `@allow("ip-not-network")`.
    "#);
    assert_shown!(place.run(&["lint", "--rule", "never-tru"]), @r"
    exit 2
    --- stderr
    error: there is no rule `never-tru`

    hint: did you mean `never-true`? `deodar lint --list` has all rules
    ");
}
