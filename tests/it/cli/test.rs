//! `deodar test`: what passes, what fails, and every format.

use serde_json::Value as Json;

use crate::cli::Place;
use crate::support::reference;

/// Snapshots without how long it took.
macro_rules! assert_ran {
    ($shown:expr, @$snapshot:literal) => {
        insta::with_settings!({filters => vec![
            (r"in \d+\.\d\d s\n", "in [TIME] s\n"),
            (r#"time="\d+\.\d{3}""#, r#"time="[TIME]""#),
            (r#""milliseconds": \d+"#, r#""milliseconds": [TIME]"#),
        ]}, { insta::assert_snapshot!($shown, @$snapshot) });
    };
}
pub(super) use assert_ran;

/// Tests that pass.
pub(super) const GOOD: &str = r#"name: documents
now: 2026-11-22T12:00:00Z
fixtures:
  principals: { ann: 'User::"ann"', bob: 'User::"bob"' }
  actions: { read: 'Action::"read"', write: 'Action::"write"' }
  resources: { plan: 'Doc::"plan"', key: 'Doc::"key"' }
  contexts: { office: { ip: "10.1.2.3" } }
cases:
  - name: the owner reads the plan
    principal: ann
    action: read
    resource: plan
    decision: allow
    policies: [owner-reads-and-writes]
    obligations: [log-access, watermark]
  - name: nobody reads a secret from outside
    principal: bob
    action: read
    resource: key
    context: { ip: "${ip}" }
    each:
      - { ip: "10.9.9.9", decision: allow, policies: [share-key-with-bob] }
      - { ip: "192.0.2.1", decision: deny, cause: forbidden, advice: [Connect to the network of the office.] }
tables:
  - name: writing
    principals: [ann, bob]
    actions: [write]
    resources: [plan, key]
    context: office
    expect:
      - { principal: ann, decision: allow }
"#;

/// Tests of which most do not pass.
const BAD: &str = r#"name: bad
now: 2026-11-22T12:00:00Z
cases:
  - name: staff reads the plan, 100% & "always"
    principal: 'User::"bob"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    decision: allow
    policies: { include: [staff-read-by-day] }
  - name: bob's key
    principal: 'User::"bob"'
    action: 'Action::"read"'
    resource: 'Doc::"key"'
    decision: deny
    cause: no_permit
    policies: []
    advice: []
    errors: [owner-reads-and-writes]
  - name: ann writes
    principal: 'User::"ann"'
    action: 'Action::"write"'
    resource: 'Doc::"plan"'
    decision: deny
    obligations: []
  - name: an address that is none
    principal: 'User::"ann"'
    action: 'Action::"write"'
    resource: 'Doc::"plan"'
    context: { ip: "10.0.0.999" }
    decision: allow
  - name: a document without its secret
    principal: 'User::"ann"'
    action: 'Action::"write"'
    resource: 'Doc::"new"'
    entities: [ { uid: 'Doc::"new"', attrs: { owner: { type: User, id: ann } } } ]
    decision: allow
  - name: later
    principal: 'User::"ann"'
    action: 'Action::"write"'
    resource: 'Doc::"plan"'
    decision: allow
    skip: "the # network is\n      not there"
"#;

fn good() -> Place {
    let place = Place::new();
    place.write("policies/tests/docs.test.yaml", GOOD);
    place
}

pub(super) fn bad() -> Place {
    let place = good();
    place.write("policies/tests/bad.test.yaml", BAD);
    place
}

#[test]
fn success_is_one_line() {
    let place = good();
    assert_ran!(place.run(&["test", "policies"]), @"
    exit 0
    --- stdout
    passed: 7 cases in [TIME] s
    ");
    let verbose = place.run(&["test", "policies/", "--verbose"]);
    assert_ran!(verbose, @"
    exit 0
    --- stdout
    pass documents: the owner reads the plan  policies/tests/docs.test.yaml:9
    pass documents: nobody reads a secret from outside (ip 10.9.9.9)  policies/tests/docs.test.yaml:22
    pass documents: nobody reads a secret from outside (ip 192.0.2.1)  policies/tests/docs.test.yaml:23
    pass documents: writing: ann write plan  policies/tests/docs.test.yaml:31
    pass documents: writing: ann write key  policies/tests/docs.test.yaml:31
    pass documents: writing: bob write plan  policies/tests/docs.test.yaml:25
    pass documents: writing: bob write key  policies/tests/docs.test.yaml:25
    passed: 7 cases in [TIME] s
    ");
}

#[test]
fn the_reference_policies_pass() {
    let path = reference();
    let shown = Place::new().run(&["test", &path.to_string_lossy()]);
    assert!(shown.starts_with("exit 0\n--- stdout\npassed: "), "{shown}");
}

#[test]
fn a_failure_tells_what_was_expected_and_why_it_did_not_come() {
    assert_ran!(bad().run(&["test", "policies"]), @r#"
    exit 5
    --- stdout
    FAIL bad: staff reads the plan, 100% & "always"  policies/tests/bad.test.yaml:4
                expected                      came
      decision  allow                         deny
      policies  staff-read-by-day among them  none
      why: no policy permits it
        owner-reads-and-writes  policies/docs.cedar:2 (nearly, permit)
          The document is theirs.
          does not hold: resource.owner == principal  policies/docs.cedar:7
            resource.owner  =  User::"ann"
        staff-read-by-day  policies/docs.cedar:9 (nearly, permit)
          Staff with a badge read
          does not hold: context.now < principal.badge.until  policies/docs.cedar:15
            context.now            =  datetime("2026-11-22T12:00:00Z")
            principal.badge.until  =  datetime("2026-01-01")
      again: deodar test policies/tests/bad.test.yaml --filter 'staff reads the plan, 100% & "always"'

    FAIL bad: bob's key  policies/tests/bad.test.yaml:10
                expected                came
      cause     no_permit               forbidden
      policies  none                    no-secrets-from-outside
      errors    owner-reads-and-writes  none
      advice    none                    Connect to the network of the office.
      why: a policy forbids it
        no-secrets-from-outside  policies/docs.cedar:18 (forbid)
          Secrets stay inside
      again: deodar test policies/tests/bad.test.yaml --filter 'bob'\''s key'

    FAIL bad: ann writes  policies/tests/bad.test.yaml:19
                   expected  came
      decision     deny      allow
      obligations  none      log-access, watermark
      why: a policy permits it, and none forbids it
        owner-reads-and-writes  policies/docs.cedar:2 (permit)
          The document is theirs.
      again: deodar test policies/tests/bad.test.yaml --filter 'ann writes'

    BROKEN bad: an address that is none  policies/tests/bad.test.yaml:25
      `context.ip` cannot be read: error while evaluating `ipaddr` extension function: invalid IP address: 10.0.0.999
      hint: see its type in the schema; an entity is {"type": "..", "id": ".."}, addresses, decimals and times are text
      again: deodar test policies/tests/bad.test.yaml --filter 'an address that is none'

    BROKEN bad: a document without its secret  policies/tests/bad.test.yaml:31
      `entities`: `Doc::"new".secret` is required by the schema, and missing
      hint: see the entity type in the schema
      again: deodar test policies/tests/bad.test.yaml --filter 'a document without its secret'

    failed: 13 cases, 7 passed, 3 failed, 2 could not be asked, 1 skipped in [TIME] s
    "#);
}

#[test]
fn colours() {
    let shown = bad().run(&["test", "policies", "--color", "always"]);
    assert!(
        shown.contains("\u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m"),
        "{shown}"
    );
    let plain = bad().run(&["test", "policies"]);
    assert!(!plain.contains('\u{1b}'), "{plain}");
}

#[test]
fn json() {
    let shown = bad().run(&[
        "test",
        "policies",
        "--filter",
        "an*",
        "--filter",
        "bob's key",
        "--format",
        "json",
    ]);
    assert_ran!(shown, @r#"
    exit 5
    --- stdout
    {
      "ok": false,
      "repository": "policies",
      "seed": null,
      "milliseconds": [TIME],
      "counts": {
        "cases": 3,
        "passed": 0,
        "failed": 2,
        "broken": 1,
        "skipped": 0,
        "left_out": 10,
        "files_left_out": 0
      },
      "suites": [
        {
          "name": "bad",
          "file": "tests/bad.test.yaml",
          "cases": [
            {
              "name": "bob's key",
              "line": 10,
              "status": "failed",
              "skipped": null,
              "failure": {
                "differences": [
                  {
                    "what": "cause",
                    "expected": "no_permit",
                    "came": "forbidden",
                    "hint": null
                  },
                  {
                    "what": "policies",
                    "expected": "none",
                    "came": "no-secrets-from-outside",
                    "hint": null
                  },
                  {
                    "what": "errors",
                    "expected": "owner-reads-and-writes",
                    "came": "none",
                    "hint": null
                  },
                  {
                    "what": "advice",
                    "expected": "none",
                    "came": "Connect to the network of the office.",
                    "hint": null
                  }
                ],
                "decision": "deny",
                "cause": "forbidden",
                "sentence": "a policy forbids it",
                "policies": [
                  {
                    "id": "no-secrets-from-outside",
                    "effect": "forbid",
                    "title": "Secrets stay inside",
                    "reason": null,
                    "file": "docs.cedar",
                    "line": 18,
                    "template": null
                  }
                ],
                "errors": [],
                "near_misses": [],
                "near_misses_left_out": 0
              },
              "fault": null
            },
            {
              "name": "ann writes",
              "line": 19,
              "status": "failed",
              "skipped": null,
              "failure": {
                "differences": [
                  {
                    "what": "decision",
                    "expected": "deny",
                    "came": "allow",
                    "hint": null
                  },
                  {
                    "what": "obligations",
                    "expected": "none",
                    "came": "log-access, watermark",
                    "hint": null
                  }
                ],
                "decision": "allow",
                "cause": null,
                "sentence": "a policy permits it, and none forbids it",
                "policies": [
                  {
                    "id": "owner-reads-and-writes",
                    "effect": "permit",
                    "title": "Owners read and write what they own",
                    "reason": "The document is theirs.",
                    "file": "docs.cedar",
                    "line": 2,
                    "template": null
                  }
                ],
                "errors": [],
                "near_misses": [],
                "near_misses_left_out": 0
              },
              "fault": null
            },
            {
              "name": "an address that is none",
              "line": 25,
              "status": "broken",
              "skipped": null,
              "failure": null,
              "fault": {
                "file": "tests/bad.test.yaml",
                "line": 25,
                "column": 1,
                "text": "",
                "message": "`context.ip` cannot be read: error while evaluating `ipaddr` extension function: invalid IP address: 10.0.0.999",
                "hint": "see its type in the schema; an entity is {\"type\": \"..\", \"id\": \"..\"}, addresses, decimals and times are text",
                "is_warning": false
              }
            }
          ]
        }
      ],
      "faults": []
    }
    "#);
}

#[test]
fn github() {
    assert_ran!(bad().run(&["test", "policies", "--format", "github"]), @r#"
    exit 5
    --- stdout
    ::error file=policies/tests/bad.test.yaml,line=4,title=bad%3A staff reads the plan%2C 100%25 & "always"::decision: expected allow, came deny%0Apolicies: expected staff-read-by-day among them, came none%0Ano policy permits it%0Anearly owner-reads-and-writes, but for resource.owner == principal at policies/docs.cedar:7%0Anearly staff-read-by-day, but for context.now < principal.badge.until at policies/docs.cedar:15
    ::error file=policies/tests/bad.test.yaml,line=10,title=bad%3A bob's key::cause: expected no_permit, came forbidden%0Apolicies: expected none, came no-secrets-from-outside%0Aerrors: expected owner-reads-and-writes, came none%0Aadvice: expected none, came Connect to the network of the office.%0Aa policy forbids it%0Ano-secrets-from-outside at policies/docs.cedar:18
    ::error file=policies/tests/bad.test.yaml,line=19,title=bad%3A ann writes::decision: expected deny, came allow%0Aobligations: expected none, came log-access, watermark%0Aa policy permits it, and none forbids it%0Aowner-reads-and-writes at policies/docs.cedar:2
    ::error file=policies/tests/bad.test.yaml,line=25,title=bad%3A an address that is none::`context.ip` cannot be read: error while evaluating `ipaddr` extension function: invalid IP address: 10.0.0.999%0Ahint: see its type in the schema; an entity is {"type": "..", "id": ".."}, addresses, decimals and times are text
    ::error file=policies/tests/bad.test.yaml,line=31,title=bad%3A a document without its secret::`entities`: `Doc::"new".secret` is required by the schema, and missing%0Ahint: see the entity type in the schema
    13 cases: 7 passed, 3 failed, 2 broken, 1 skipped, 0 left out
    "#);
}

#[test]
fn formats_tell_faults_of_test_files() {
    let place = good();
    place.write("policies/tests/worse.test.yaml", "nam: x\ncases: []\n");
    place.write("policies/tests/stale.test.yaml", "cases:\n  - nam: x\n");
    let shown = ["tap", "github", "json"].map(|format| {
        let shown = place.run(&["test", "policies", "--filter", "line*", "--format", format]);
        format!("{format} {shown}")
    });
    assert_ran!(shown.join("\n"), @r#"
    tap exit 5
    --- stdout
    TAP version 14
    1..2
    not ok 1 - stale: line 2
      ---
      message: "`nam` is not a member of a case"
      hint: "did you mean `name`?; `deodar validate` tells what else is wrong (5)"
      at: "policies/tests/stale.test.yaml:2"
      ...
    not ok 2 - policies/tests/worse.test.yaml
      ---
      message: "`nam` is not a member of the file"
      at: "policies/tests/worse.test.yaml:1"
      hint: "did you mean `name`?"
      ...

    github exit 5
    --- stdout
    ::error file=policies/tests/stale.test.yaml,line=2,title=stale%3A line 2::`nam` is not a member of a case%0Ahint: did you mean `name`?; `deodar validate` tells what else is wrong (5)
    ::error file=policies/tests/worse.test.yaml,line=1,title=test file::`nam` is not a member of the file%0Ahint: did you mean `name`?
    1 case: 0 passed, 0 failed, 1 broken, 0 skipped, 7 left out, 1 file not run

    json exit 5
    --- stdout
    {
      "ok": false,
      "repository": "policies",
      "seed": null,
      "milliseconds": [TIME],
      "counts": {
        "cases": 1,
        "passed": 0,
        "failed": 0,
        "broken": 1,
        "skipped": 0,
        "left_out": 7,
        "files_left_out": 1
      },
      "suites": [
        {
          "name": "stale",
          "file": "tests/stale.test.yaml",
          "cases": [
            {
              "name": "line 2",
              "line": 2,
              "status": "broken",
              "skipped": null,
              "failure": null,
              "fault": {
                "file": "tests/stale.test.yaml",
                "line": 2,
                "column": 5,
                "text": "nam",
                "message": "`nam` is not a member of a case",
                "hint": "did you mean `name`?; `deodar validate` tells what else is wrong (5)",
                "is_warning": false
              }
            }
          ]
        }
      ],
      "faults": [
        {
          "file": "tests/worse.test.yaml",
          "line": 1,
          "column": 1,
          "text": "nam",
          "message": "`nam` is not a member of the file",
          "hint": "did you mean `name`?",
          "is_warning": false
        }
      ]
    }
    "#);
}

#[test]
fn paths_and_filters_choose() {
    let place = bad();
    let summary = |arguments: &[&str]| {
        let shown = place.run(&[&["test", "--verbose"], arguments].concat());
        let chosen: Vec<&str> = shown
            .lines()
            .filter(|line| {
                line.starts_with("exit") || line.contains(".test.yaml:") && !line.starts_with(' ')
            })
            .map(|line| line.split("  ").next().unwrap())
            .collect();
        format!("{arguments:?}\n{}\n", chosen.join("\n"))
    };
    let shown: String = [
        &["policies/tests/docs.test.yaml"][..],
        &["policies/tests", "--filter", "writing*"],
        &["policies", "--filter", "*docs*", "--filter", "later"],
        &["policies", "--filter", "documents"],
        &[
            "policies/tests/docs.test.yaml",
            "policies/tests/bad.test.yaml",
            "--filter",
            "?nn writes",
        ],
        &[
            "policies",
            "policies/tests/bad.test.yaml",
            "--filter",
            "*plan*",
        ],
    ]
    .into_iter()
    .map(summary)
    .collect();
    insta::assert_snapshot!(shown, @r#"
    ["policies/tests/docs.test.yaml"]
    exit 0
    pass documents: the owner reads the plan
    pass documents: nobody reads a secret from outside (ip 10.9.9.9)
    pass documents: nobody reads a secret from outside (ip 192.0.2.1)
    pass documents: writing: ann write plan
    pass documents: writing: ann write key
    pass documents: writing: bob write plan
    pass documents: writing: bob write key
    ["policies/tests", "--filter", "writing*"]
    exit 0
    pass documents: writing: ann write plan
    pass documents: writing: ann write key
    pass documents: writing: bob write plan
    pass documents: writing: bob write key
    ["policies", "--filter", "*docs*", "--filter", "later"]
    exit 0
    skip bad: later
    pass documents: the owner reads the plan
    pass documents: nobody reads a secret from outside (ip 10.9.9.9)
    pass documents: nobody reads a secret from outside (ip 192.0.2.1)
    pass documents: writing: ann write plan
    pass documents: writing: ann write key
    pass documents: writing: bob write plan
    pass documents: writing: bob write key
    ["policies", "--filter", "documents"]
    exit 0
    pass documents: the owner reads the plan
    pass documents: nobody reads a secret from outside (ip 10.9.9.9)
    pass documents: nobody reads a secret from outside (ip 192.0.2.1)
    pass documents: writing: ann write plan
    pass documents: writing: ann write key
    pass documents: writing: bob write plan
    pass documents: writing: bob write key
    ["policies/tests/docs.test.yaml", "policies/tests/bad.test.yaml", "--filter", "?nn writes"]
    exit 5
    FAIL bad: ann writes
    ["policies", "policies/tests/bad.test.yaml", "--filter", "*plan*"]
    exit 5
    FAIL bad: staff reads the plan, 100% & "always"
    pass documents: the owner reads the plan
    pass documents: writing: ann write plan
    pass documents: writing: bob write plan
    "#);
}

#[test]
fn the_command_that_is_shown_runs_only_the_case() {
    let place = bad();
    let shown = place.run(&["test", "policies"]);
    let command = shown
        .lines()
        .find(|line| line.contains("again:") && line.contains("bob"))
        .unwrap();
    assert_eq!(
        command.trim(),
        r"again: deodar test policies/tests/bad.test.yaml --filter 'bob'\''s key'"
    );
    let shown = place.run(&[
        "test",
        "policies/tests/bad.test.yaml",
        "--filter",
        "bob's key",
    ]);
    assert!(
        shown.contains("failed: 1 case, 0 passed, 1 failed, 5 left out by the filter"),
        "{shown}"
    );
}

#[test]
fn a_seed_makes_the_order() {
    let place = bad();
    let names = |seed: &str| -> Vec<String> {
        let seed = format!("--shuffle={seed}");
        let shown = place.run(&["test", "policies", "--format", "json", &seed]);
        let (_, json) = shown.split_once("--- stdout\n").unwrap();
        let json: Json = serde_json::from_str(json).unwrap();
        let suites = json["suites"].as_array().unwrap().iter();
        suites
            .flat_map(|suite| suite["cases"].as_array().unwrap().clone())
            .map(|case| case["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = names("1");
    assert_eq!(first, names("1"));
    assert!((2..6).any(|seed| names(&seed.to_string()) != first));
    let mut sorted = first;
    sorted.sort();
    let mut others = names("2");
    others.sort();
    assert_eq!(sorted, others);
    let shown = good().run(&["test", "policies", "--shuffle=7"]);
    assert!(
        shown.contains("7 cases, shuffled with --shuffle=7 in "),
        "{shown}"
    );
    let shown = good().run(&["test", "policies", "--shuffle"]);
    assert!(
        shown.contains("7 cases, shuffled with --shuffle="),
        "{shown}"
    );
}

#[test]
fn the_tests_of_cedar_are_run() {
    let place = Place::new();
    place.write(
        "policies/tests/cedar.test.json",
        r#"[
  {"name": "owner", "request": {"principal": "User::\"ann\"", "action": "Action::\"read\"", "resource": "Doc::\"plan\"",
    "context": {"now": "2026-11-22"}}, "decision": "allow", "reason": ["owner-reads-and-writes"], "num_errors": 0},
  {"request": {"principal": "User::\"ann\"", "action": "Action::\"read\"", "resource": "Doc::\"plan\"",
    "context": {"now": "2026-11-22"}}, "entities": [{"uid": {"type": "User", "id": "ann"}, "attrs": {"level": 1}, "parents": []},
      {"uid": {"type": "Doc", "id": "plan"}, "attrs": {"owner": {"type": "User", "id": "ann"}, "secret": true}, "parents": []}],
    "decision": "allow", "reason": ["share-key-with-bob"], "num_errors": 1},
  {"name": "alone", "request": {"principal": "User::\"ann\"", "action": "Action::\"read\"", "resource": "Doc::\"plan\"",
    "context": {"now": "2026-11-22"}}, "entities": [], "decision": "allow"}
]"#,
    );
    assert_ran!(place.run(&["test", "policies"]), @"
    exit 5
    --- stdout
    FAIL cedar: test 2  policies/tests/cedar.test.json:4
                    expected                       came
      decision      allow                          deny
      policies      share-key-with-bob among them  no-secrets-from-outside
      errors_count  1                              0
      why: a policy forbids it
        no-secrets-from-outside  policies/docs.cedar:18 (forbid)
          Secrets stay inside
      again: deodar test policies/tests/cedar.test.json --filter 'test 2'

    FAIL cedar: alone  policies/tests/cedar.test.json:8
                expected  came
      decision  allow     deny
      why: the principal is not known: neither stored nor carried by the request
      again: deodar test policies/tests/cedar.test.json --filter alone

    failed: 3 cases, 1 passed, 2 failed in [TIME] s
    ");
}

#[test]
fn help_of_test() {
    insta::assert_snapshot!(Place::new().run(&["test", "-h"]), @r#"
    exit 0
    --- stdout
    Run the tests of a policy directory

    Usage: deodar test [OPTIONS] [PATH]...

    Arguments:
      [PATH]...  Policy directories, folders in one, or test files; all of one policy directory. By
                 default the current directory if it has a `manifest.toml`, else the one that is
                 configured [key: policies.path]

    Options:
          --filter <GLOB>     Run the cases whose name, suite or file this matches: `*` is any text, `?`
                              a character, `\` takes the next one as it is; may be repeated
          --format <FORMAT>   How to write what came: `pretty` for people, `junit` as XML, `tap` as TAP
                              version 14, `github` as commands that annotate a pull request, or `json`:
                              {"ok", "repository", "seed", "milliseconds", "counts": {"cases", "passed",
                              "failed", "broken", "skipped", "left_out", "files_left_out"}, "suites":
                              [{"name", "file", "cases": [{"name", "line", "status":
                              "passed"|"failed"|"broken"|"skipped", "skipped", "failure":
                              {"differences": [{"what", "expected", "came", "hint"}], "decision",
                              "cause", "sentence", "policies", "errors", "near_misses",
                              "near_misses_left_out"}, "fault"}]}], "faults": [{"file", "line",
                              "column", "text", "message", "hint", "is_warning"}], and with the flags of
                              these names "coverage": {"covered", "total", "percent", "minimum", "met",
                              "cases", "cases_failed", "policies": [{"id", "file", "line", "template",
                              "covered", "total", "matched", "satisfied", "unsatisfied", "errored",
                              "links", "clauses": [{"text", "line", "constant", "true", "false",
                              "errored"}], "missing": [{"line", "clause", "what"}]}]}, "mutation":
                              {"total", "killed", "survived", "explained", "percent", "operators",
                              "invalid", "equivalent", "left_out", "decisions", "cases",
                              "cases_failing", "survivors": [{"policy", "name", "file", "line",
                              "operator", "before", "after", "text", "hint", "explained",
                              "annotation"}], "stale_explanations": [{"policy", "file", "line", "name",
                              "is_unknown"}]}} [default: pretty]
          --shuffle[=<SEED>]  Run suites and their cases in an order of chance, or that of a seed
          --watch             Run them again after every change, until ctrl-c or the end of standard
                              input
      -v, --verbose           Also list what passed, and what is skipped and why
      -h, --help              Print help (see more with '--help')
          --color <WHEN>      When to write in colours [default: auto] [possible values: auto, always,
                              never]

    Coverage:
          --coverage                   Print which policies and conditions the cases reach. A condition
                                       that is never true or never false is half covered; a policy
                                       without conditions is covered when it matches
          --coverage-min <PERCENT>     Fail when less than this is covered, of a hundred
          --coverage-listing <FILE|->  Write the policy files with how often each line was true and
                                       false
          --coverage-lcov <FILE>       Write an lcov tracefile

    Mutation:
          --mutate         Change one policy at a time, in one place, and report the changes that no
                           case notices. A policy explains those that are meant by @survives("CHANGE:
                           reason; .."), which the report of each writes down
          --config <FILE>  The configuration file; by default `DEODAR_CONFIG`, or ./deodar.toml if there
                           is one

    Examples:
      deodar test                                     the tests of the current or configured directory
      deodar test policies/                           those of another
      deodar test policies/tests/doors.test.yaml      those of one file
      deodar test --filter '*door*' --filter grants   cases, suites or files of these names
      deodar test --format junit > junit.xml
      deodar test --watch                             again after every change
      deodar test --coverage --coverage-min 90        what no test reaches
      deodar test --mutate                            which changes of the policies no test notices

    Exit codes: 0 passed, 1 the directory cannot be read, 2 usage or configuration, 4 the policies or a
    test file are invalid, 5 a test failed, none was run, too little is covered, or a change is not
    noticed
    "#);
}
