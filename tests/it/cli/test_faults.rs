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
    exit 4
    --- stdout
    failed: 7 cases, 6 faults in test files that were not run in [TIME] s
    --- stderr
      × not YAML: while parsing a block collection, did not find expected '-' indicator
       ╭─[tests/a.test.yaml:3:4]
     2 │   - name: x
     3 │    principal: y
       ·    ▲
       ╰────
      help: see the place that is marked, and the lines before it

      × `anne` is neither a fixture among the principals nor an entity
       ╭─[tests/b.test.yaml:5:16]
     4 │   - name: one
     5 │     principal: anne
       ·                ────
     6 │     action: 'Action::"raed"'
       ╰────
      help: did you mean `ann`?

      × the schema does not declare the action `Action::"raed"`
       ╭─[tests/b.test.yaml:6:13]
     5 │     principal: anne
     6 │     action: 'Action::"raed"'
       ·             ────────────────
     7 │     resource: 'Document::"plan"'
       ╰────
      help: did you mean `Action::"read"`?

      × the schema does not declare the entity type `Document`
       ╭─[tests/b.test.yaml:7:15]
     6 │     action: 'Action::"raed"'
     7 │     resource: 'Document::"plan"'
       ·               ──────────────────
     8 │     decision: allow
       ╰────
      help: write the type with its namespace, as in the schema

      × `decision` is there twice, first in line 8
        ╭─[tests/b.test.yaml:9:5]
      8 │     decision: allow
      9 │     decision: deny
        ·     ────────
     10 │     policies: [owner-reads-and-write]
        ╰────
      help: leave one of them out

      × there is no policy or link `owner-reads-and-write`
        ╭─[tests/b.test.yaml:10:16]
      9 │     decision: deny
     10 │     policies: [owner-reads-and-write]
        ·                ─────────────────────
        ╰────
      help: did you mean `owner-reads-and-writes`?
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
        shown.contains("1 failed, 1 fault in test files that were not run"),
        "{shown}"
    );
}

#[test]
fn a_file_that_is_not_utf8_is_named() {
    let place = Place::new();
    let path = place.0.path().join("policies/a.test.yaml");
    std::fs::write(path, b"name: \xff\n").unwrap();
    assert_ran!(place.run(&["test", "policies"]), @"
    exit 4
    --- stdout
    failed: 0 cases, 1 fault in test files that were not run in [TIME] s
    --- stderr
      × not UTF-8 from this byte on
       ╭─[a.test.yaml:1:7]
     1 │ name: �
       ·       ─
       ╰────
      help: save the file as UTF-8
    ");
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
