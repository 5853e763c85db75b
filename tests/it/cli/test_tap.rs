//! `deodar test --format tap`, and runs that are no success in any format.

use crate::cli::Place;
use crate::cli::test::GOOD;
use crate::cli::test::assert_ran;
use crate::cli::test::bad;

#[test]
fn tap() {
    assert_ran!(bad().run(&["test", "policies", "--format", "tap"]), @r#"
    exit 5
    --- stdout
    TAP version 14
    1..13
    not ok 1 - bad: staff reads the plan, 100% & "always"
      ---
      message: "decision: expected allow, came deny; policies: expected staff-read-by-day among them, came none"
      why: "no policy permits it"
      near:
        - "owner-reads-and-writes: resource.owner == principal at policies/docs.cedar:7"
        - "staff-read-by-day: context.now < principal.badge.until at policies/docs.cedar:15"
      at: "policies/tests/bad.test.yaml:4"
      ...
    not ok 2 - bad: bob's key
      ---
      message: "cause: expected no_permit, came forbidden; policies: expected none, came no-secrets-from-outside; errors: expected owner-reads-and-writes, came none; advice: expected none, came Connect to the network of the office."
      why: "a policy forbids it"
      policy: "no-secrets-from-outside at policies/docs.cedar:18"
      at: "policies/tests/bad.test.yaml:10"
      ...
    not ok 3 - bad: ann writes
      ---
      message: "decision: expected deny, came allow; obligations: expected none, came log-access, watermark"
      why: "a policy permits it, and none forbids it"
      policy: "owner-reads-and-writes at policies/docs.cedar:2"
      at: "policies/tests/bad.test.yaml:19"
      ...
    not ok 4 - bad: an address that is none
      ---
      message: "`context.ip` cannot be read: error while evaluating `ipaddr` extension function: invalid IP address: 10.0.0.999"
      hint: "see its type in the schema; an entity is {\"type\": \"..\", \"id\": \"..\"}, addresses, decimals and times are text"
      at: "policies/tests/bad.test.yaml:25"
      ...
    not ok 5 - bad: a document without its secret
      ---
      message: "`entities`: `Doc::\"new\".secret` is required by the schema, and missing"
      hint: "see the entity type in the schema"
      at: "policies/tests/bad.test.yaml:31"
      ...
    ok 6 - bad: later # SKIP the # network is       not there
    ok 7 - documents: the owner reads the plan
    ok 8 - documents: nobody reads a secret from outside (ip 10.9.9.9)
    ok 9 - documents: nobody reads a secret from outside (ip 192.0.2.1)
    ok 10 - documents: writing: ann write plan
    ok 11 - documents: writing: ann write key
    ok 12 - documents: writing: bob write plan
    ok 13 - documents: writing: bob write key
    "#);
}

/// A name is not a directive, and no test is no success.
#[test]
fn tap_of_signs() {
    let place = Place::new();
    let test = |name: &str| {
        format!(
            "name: 'a # todo b'\ncases:\n  - name: '{name}'\n    principal: 'User::\"ann\"'\n    action: 'Action::\"read\"'\n    resource: 'Doc::\"plan\"'\n    context: {{ now: 2026-11-22 }}\n    decision: deny\n"
        )
    };
    place.write("policies/tests/a.test.yaml", &test(r"c:\x # SKIP it\\#"));
    let shown = place.run(&["test", "policies", "--format", "tap"]);
    let line = shown.lines().find(|line| line.starts_with("not ok"));
    assert_eq!(
        line,
        Some(r"not ok 1 - a \# todo b: c:\\x \# SKIP it\\\\\#"),
        "{shown}"
    );
    assert_ran!(place.run(&["test", "policies", "--format", "tap", "--filter", "no"]), @"
    exit 5
    --- stdout
    TAP version 14
    1..0
    Bail out! no test was run: no case, suite or file has a name that a filter matches
    --- stderr
    error: no test was run: no case, suite or file has a name that a filter matches

    hint: a filter matches whole names: write `*door*` for what has `door` in it
    ");
}

/// What cannot be asked is no success, even where all else is. Seen to fail when only
/// what failed counts.
#[test]
fn a_case_that_cannot_be_asked_fails_the_run() {
    let place = Place::new();
    place.write("policies/tests/documents.test.yaml", GOOD);
    place.write(
        "policies/tests/broken.test.yaml",
        "cases:\n  - name: an address that is none\n    principal: 'User::\"ann\"'\n    action: 'Action::\"read\"'\n    resource: 'Doc::\"plan\"'\n    context: { ip: 10.0.0.999, now: 2026-11-22 }\n    decision: deny\n",
    );
    for format in ["pretty", "json", "junit", "tap", "github"] {
        let shown = place.run(&["test", "policies", "--format", format]);
        assert!(shown.starts_with("exit 5\n"), "{format}: {shown}");
    }
}
