//! `deodar test` where something is wrong with what it is given.

use crate::cli::Place;
use crate::cli::test::GOOD;
use crate::cli::test::assert_ran;

#[test]
fn faults_of_test_files_do_not_hide_other_tests() {
    let place = Place::new();
    place.write("policies/tests/docs.test.yaml", GOOD);
    place.write(
        "policies/tests/a.test.yaml",
        "cases:\n  - name: x\n   principal: y\n",
    );
    place.write(
        "policies/tests/b.test.yaml",
        r#"fixtures:
  principals: { ann: 'User::"ann"' }
cases:
  - name: one
    principal: anne
    action: 'Action::"raed"'
    resource: 'Document::"plan"'
    decision: allow
    decision: deny
    policies: [owner-reads-and-write]
"#,
    );
    assert_ran!(place.run(&["test", "policies"]), @r#"
    exit 5
    --- stdout
    BROKEN b: one  policies/tests/b.test.yaml:4
      `decision` is there twice, first in line 8  policies/tests/b.test.yaml:9:5
      hint: leave one of them out; `deodar validate` tells what else is wrong (4)
      again: deodar test policies/tests/b.test.yaml --filter one

    failed: 8 cases, 7 passed, 1 could not be asked, 1 fault in test files, 1 file was not run in [TIME] s
    --- stderr
      × not YAML: while parsing a block collection, did not find expected '-' indicator
       ╭─[tests/a.test.yaml:3:4]
     2 │   - name: x
     3 │    principal: y
       ·    ▲
       ╰────
      help: see the place that is marked, and the lines before it
    "#);
}

#[test]
fn tests_that_fail_count_more_than_faults() {
    let place = Place::new();
    place.write(
        "policies/a.test.yaml",
        &GOOD
            .replace("decision: deny", "decision: allow")
            .replace(", cause: forbidden", ""),
    );
    place.write("policies/b.test.yaml", "cases: 5");
    let shown = place.run(&["test", "policies"]);
    assert!(shown.starts_with("exit 5\n"), "{shown}");
    assert!(
        shown.contains("1 failed, 1 fault in test files, 1 file was not run"),
        "{shown}"
    );
}

#[test]
fn a_file_that_is_not_utf8_is_named() {
    let place = Place::new();
    let path = place.0.path().join("policies/a.test.yaml");
    std::fs::write(path, b"name: \xff\n").unwrap();
    assert_ran!(place.run(&["test", "policies"]), @r#"
    exit 4
    --- stdout
    failed: 0 cases, 1 fault in test files, 1 file was not run in [TIME] s
    --- stderr
      × not UTF-8 from this byte on
       ╭─[a.test.yaml:1:7]
     1 │ name: �
       ·       ─
       ╰────
      help: save the file as UTF-8
    "#);
}

#[test]
fn nothing_that_ran_is_a_failure() {
    let place = Place::new();
    assert_ran!(place.run(&["test", "policies"]), @"
    exit 5
    --- stdout
    failed: 0 cases in [TIME] s
    --- stderr
    error: no test was run: there is no `*.test.yaml` in `policies`

    hint: write one: `deodar test --help` and docs/policy-testing.md say how
    ");
    place.write("policies/docs.test.yaml", GOOD);
    assert_ran!(place.run(&["test", "policies", "--filter", "owner"]), @"
    exit 5
    --- stdout
    failed: 0 cases, 7 left out by the filter in [TIME] s
    --- stderr
    error: no test was run: no case, suite or file has a name that a filter matches

    hint: a filter matches whole names: write `*door*` for what has `door` in it
    ");
    assert_ran!(place.run(&["test", "policies/entities"]), @"
    exit 5
    --- stdout
    failed: 0 cases in [TIME] s
    --- stderr
    error: no test was run: there is no test file at this path

    hint: give another path, or none
    ");
    let skipped = GOOD.replace("    principal: ", "    skip: later\n    principal: ");
    let (cases, _) = skipped.split_once("tables:").unwrap();
    place.write("policies/docs.test.yaml", cases);
    assert_ran!(place.run(&["test", "policies", "--format", "tap"]), @"
    exit 5
    --- stdout
    TAP version 14
    1..3
    ok 1 - documents: the owner reads the plan # SKIP later
    ok 2 - documents: nobody reads a secret from outside (ip 10.9.9.9) # SKIP later
    ok 3 - documents: nobody reads a secret from outside (ip 192.0.2.1) # SKIP later
    Bail out! no test was run: every case is skipped
    --- stderr
    error: no test was run: every case is skipped

    hint: take `skip` away from one
    ");
}

#[test]
fn policies_that_do_not_compile_are_told() {
    let place = Place::new();
    place.write("policies/docs.test.yaml", GOOD);
    place.write(
        "policies/worse.cedar",
        "permit (principal, action == Action::\"read\", resource) when { context.nothing };\n",
    );
    assert_ran!(place.run(&["test", "policies"]), @r#"
    exit 4
    --- stderr
      × for policy `worse.cedar#0`, attribute `nothing` in context for Action::"read" not found
       ╭─[worse.cedar:1:63]
     1 │ permit (principal, action == Action::"read", resource) when { context.nothing };
       ·                                                               ───────────────
       ╰────
      help: did you mean `now`?

    error: the policy directory has 1 fault
    "#);
    assert_ran!(place.run(&["test", "policies", "--format", "github"]), @r#"
    exit 4
    --- stdout
    ::error file=policies/worse.cedar,line=1,title=policies::for policy `worse.cedar#0`, attribute `nothing` in context for Action::"read" not found%0Ahint: did you mean `now`?
    --- stderr
      × for policy `worse.cedar#0`, attribute `nothing` in context for Action::"read" not found
       ╭─[worse.cedar:1:63]
     1 │ permit (principal, action == Action::"read", resource) when { context.nothing };
       ·                                                               ───────────────
       ╰────
      help: did you mean `now`?

    error: the policy directory has 1 fault
    "#);
}

#[test]
fn paths_that_are_no_tests_are_refused() {
    let place = Place::new();
    place.write("policies/docs.test.yaml", GOOD);
    place.write("loose/a.test.yaml", GOOD);
    place.write("other/manifest.toml", "");
    let shown = [
        &["nowhere"][..],
        &["policies/docs.cedar"],
        &["loose/a.test.yaml"],
        &["policies", "other"],
        &["policies", "--shuffle=x"],
        &["policies", "--format", "xml"],
    ]
    .map(|arguments| {
        let shown = place.run(&[&["test"], arguments].concat());
        format!("{arguments:?} {shown}")
    });
    assert_ran!(shown.join("\n"), @r#"
    ["nowhere"] exit 1
    --- stderr
    error: cannot read `nowhere`: No such file or directory (os error 2)

    hint: give a policy directory, or test files of one

    ["policies/docs.cedar"] exit 2
    --- stderr
    error: `policies/docs.cedar` is not a test file

    hint: test files are `*.test.yaml`, and `*.test.json` as for `cedar run-tests`

    ["loose/a.test.yaml"] exit 2
    --- stderr
    error: `loose/a.test.yaml` is in no policy directory

    hint: a policy directory has a `manifest.toml`; it may be empty

    ["policies", "other"] exit 2
    --- stderr
    error: `policies` and `other` are two policy directories

    hint: test one after the other

    ["policies", "--shuffle=x"] exit 2
    --- stderr
    error: invalid value 'x' for '--shuffle[=<SEED>]': invalid digit found in string

    For more information, try '--help'.

    ["policies", "--format", "xml"] exit 2
    --- stderr
    error: invalid value 'xml' for '--format <FORMAT>'
      [possible values: pretty, json, junit, tap, github]

    For more information, try '--help'.
    "#);
}

/// One name that is gone takes one case with it, or those of a fixture. A table that
/// cannot be read stays, whatever its cells would be called. Seen to fail
/// when a file with a fault has no case.
#[test]
fn a_name_that_is_gone_breaks_its_cases_alone() {
    let place = Place::new();
    let stale = GOOD
        .replace("share-key-with-bob", "share-key")
        .replace("bob: 'User::", "bob: 'Person::")
        .replace("principal: bob\n", "principal: 'User::\"bob\"'\n")
        .replace("- { principal: ann, decision: allow }", "- { principal: ann, resource: plan, decision: allow, policies: [owner] }\n      - { principal: ann, resource: key, decision: allow }")
        .replace("[ann, bob]", "[ann]");
    let stale = format!(
        "{stale}  - {{ name: reading, principals: [bob], actions: [read], resources: [plan, key] }}\n"
    );
    place.write("policies/docs.test.yaml", &stale);
    assert_ran!(place.run(&["test", "policies"]), @r#"
    exit 5
    --- stdout
    BROKEN documents: nobody reads a secret from outside (ip 10.9.9.9)  policies/docs.test.yaml:22
      there is no policy or link `share-key`
      hint: a policy is named by its `@id`, a link by its `link_id`
      again: deodar test policies/docs.test.yaml --filter 'nobody reads a secret from outside (ip 10.9.9.9)'

    BROKEN documents: writing: ann write plan  policies/docs.test.yaml:31
      there is no policy or link `owner`
      hint: a policy is named by its `@id`, a link by its `link_id`
      again: deodar test policies/docs.test.yaml --filter 'writing: ann write plan'

    BROKEN documents: reading  policies/docs.test.yaml:33
      the fixture `bob` has a fault
      hint: mend it in `fixtures`
      again: deodar test policies/docs.test.yaml --filter reading

    failed: 6 cases, 3 passed, 3 could not be asked, 1 fault in test files in [TIME] s
    --- stderr
      × the schema does not declare the entity type `Person`
       ╭─[docs.test.yaml:4:42]
     3 │ fixtures:
     4 │   principals: { ann: 'User::"ann"', bob: 'Person::"bob"' }
       ·                                          ───────────────
     5 │   actions: { read: 'Action::"read"', write: 'Action::"write"' }
       ╰────
      help: write the type with its namespace, as in the schema
    "#);
    assert_ran!(place.run(&["test", "policies", "--filter", "*plan", "--format", "github"]), @r#"
    exit 5
    --- stdout
    ::error file=policies/docs.test.yaml,line=31,title=documents%3A writing%3A ann write plan::there is no policy or link `owner`%0Ahint: a policy is named by its `@id`, a link by its `link_id`
    ::error file=policies/docs.test.yaml,line=33,title=documents%3A reading::the fixture `bob` has a fault%0Ahint: mend it in `fixtures`
    ::error file=policies/docs.test.yaml,line=4,title=test file::the schema does not declare the entity type `Person`%0Ahint: write the type with its namespace, as in the schema
    3 cases: 1 passed, 0 failed, 2 broken, 0 skipped, 3 left out
    "#);
    let json = place.run(&["test", "policies", "--format", "json"]);
    for part in [
        "\"cases\": 6,",
        "\"broken\": 3,",
        "\"files_left_out\": 0",
        "\"name\": \"writing: ann write plan\"",
        "\"message\": \"there is no policy or link `owner`\"",
    ] {
        assert!(json.contains(part), "{part}: {json}");
    }
    // All faults are told by who looks at files.
    let valid = place.run(&["validate", "policies"]);
    for part in ["`share-key`", "`owner`", "`Person`"] {
        assert!(valid.contains(part), "{part}: {valid}");
    }
}

/// A slip in a name asks no policy, so the deny says nothing. Seen to fail when such a
/// cell passes.
#[test]
fn who_is_nowhere_is_not_denied_by_policies() {
    let place = Place::new();
    let text = r#"now: 2026-11-22T12:00:00Z
cases:
  - { name: slip, principal: 'User::"ann"', action: 'Action::"read"', resource: 'Doc::"plam"', decision: deny }
  - { name: meant, principal: 'User::"eve"', action: 'Action::"read"', resource: 'Doc::"plan"', decision: deny, cause: unknown_principal }
tables:
  - { name: cells, principals: ['User::"bbo"'], actions: ['Action::"write"'], resources: ['Doc::"plan"'] }
"#;
    place.write("policies/docs.test.yaml", text);
    assert_ran!(place.run(&["test", "policies"]), @r#"
    exit 5
    --- stdout
    FAIL docs: slip  policies/docs.test.yaml:3
             expected            came
      cause  a deny by policies  unknown_resource
      hint: mend the name or carry the entity; if it is meant to be nowhere, write `cause: unknown_resource`
      why: the resource is not known: neither stored nor carried by the request
      again: deodar test policies/docs.test.yaml --filter slip

    FAIL docs: cells: User::"bbo" Action::"write" Doc::"plan"  policies/docs.test.yaml:6
             expected            came
      cause  a deny by policies  unknown_principal
      hint: mend the name or carry the entity; if it is meant to be nowhere, write `cause: unknown_principal`
      why: the principal is not known: neither stored nor carried by the request
      again: deodar test policies/docs.test.yaml --filter 'cells: User::"bbo" Action::"write" Doc::"plan"'

    failed: 3 cases, 1 passed, 2 failed in [TIME] s
    "#);
    let tap = place.run(&["test", "policies", "--format", "tap"]);
    assert!(
        tap.contains("came unknown_resource (mend the name"),
        "{tap}"
    );
    let cedar = r#"[{"request": {"principal": "User::\"x\"", "action": "Action::\"ping\"", "resource": "Doc::\"plan\""}, "decision": "deny"}]"#;
    place.write("policies/cedar.test.json", cedar);
    let shown = place.run(&["test", "policies/cedar.test.json"]);
    assert!(shown.starts_with("exit 0\n"), "{shown}");
}

/// What machines read says as much as the exit code. Seen to fail when only people are
/// told.
#[test]
fn that_nothing_could_be_run_is_in_every_report() {
    let place = Place::new();
    place.write("policies/docs.test.yaml", GOOD);
    let run = |arguments: &[&str]| place.run(&[&["test", "policies"], arguments].concat());
    assert_ran!(run(&["--filter", "zzz", "--format", "junit"]), @r#"
    exit 5
    --- stdout
    <?xml version="1.0" encoding="UTF-8"?>
    <testsuites name="deodar" tests="1" failures="0" errors="1" time="[TIME]">
      <testsuite name="policies" package="policies" tests="1" failures="0" errors="1" skipped="0">
        <testcase classname="policies" name="policies">
          <error type="fault" message="no test was run: no case, suite or file has a name that a filter matches">policies&#10;a filter matches whole names: write `*door*` for what has `door` in it</error>
        </testcase>
      </testsuite>
    </testsuites>
    --- stderr
    error: no test was run: no case, suite or file has a name that a filter matches

    hint: a filter matches whole names: write `*door*` for what has `door` in it
    "#);
    assert_ran!(run(&["--filter", "zzz", "--format", "github"]), @r#"
    exit 5
    --- stdout
    ::error file=policies,line=1,title=tests::no test was run: no case, suite or file has a name that a filter matches%0Ahint: a filter matches whole names: write `*door*` for what has `door` in it
    0 cases: 0 passed, 0 failed, 0 broken, 0 skipped, 7 left out
    --- stderr
    error: no test was run: no case, suite or file has a name that a filter matches

    hint: a filter matches whole names: write `*door*` for what has `door` in it
    "#);
    let json = run(&["--filter", "zzz", "--format", "json"]);
    assert!(
        json.contains("\"message\": \"no test was run: no case"),
        "{json}"
    );
    place.write("policies/worse.cedar", "permit (");
    for (format, part) in [
        ("json", "\"file\": \"worse.cedar\""),
        ("junit", "<error type=\"fault\""),
        ("tap", "Bail out! the policies cannot be compiled"),
    ] {
        let shown = run(&["--format", format]);
        let (code, text) = shown.split_once("--- stdout\n").unwrap();
        assert_eq!(code, "exit 4\n");
        assert!(text.contains(part), "{shown}");
    }
    let check = [
        "check",
        "--principal",
        "User::\"ann\"",
        "--action",
        "Action::\"ping\"",
        "--resource",
        "Doc::\"plan\"",
    ];
    for verb in [
        &["explain", "--case", "a", "--format", "json"][..],
        &["bench", "--format", "json"],
        &[&check[..], &["--format", "json"]].concat(),
        &[&check[..], &["--json"]].concat(),
        &["diff", "policies", "policies", "--format", "json"],
    ] {
        let place_of = |verb: &&str| match *verb {
            "explain" | "check" => vec!["--policies", "policies"],
            "bench" => vec!["policies"],
            _ => Vec::new(),
        };
        let shown = place.run(&[verb, &place_of(&verb[0])].concat());
        assert!(
            shown.starts_with("exit 4\n--- stdout\n{\n  \"ok\": false,\n  \"faults\": [\n    {\n      \"file\": \"worse.cedar\""),
            "{verb:?} {shown}"
        );
    }
    let people = place.run(&["bench", "policies"]);
    assert!(people.starts_with("exit 4\n--- stderr\n"), "{people}");
}
