//! `deodar validate`.

use std::fs;

use crate::cli::Place;
use crate::cli::assert_shown;

#[test]
fn a_valid_directory() {
    let place = Place::new();
    assert_shown!(place.run(&["validate", "policies"]), @r"
    exit 0
    --- stdout
    valid; 5 files, 3 policies, 1 template, 5 entities, 1 link, revision [REVISION]
    ");
    // Without a directory, the configured one.
    assert_eq!(
        place.run(&["validate"]),
        place.run(&["validate", "policies"])
    );
}

#[test]
fn every_fault_of_every_file_is_drawn() {
    let place = Place::new();
    place.write(
        "policies/bad.cedar",
        "permit (principal, action, resource)\nwhen { principal.colour == 3 };\n",
    );
    place.write(
        "policies/worse.cedar",
        "permit (principal, action resource);\n",
    );
    assert_shown!(place.run(&["validate", "policies"]), @r"
    exit 4
    --- stdout
      × for policy `bad.cedar#0`, attribute `colour` on entity type `User` not found
       ╭─[bad.cedar:2:8]
     1 │ permit (principal, action, resource)
     2 │ when { principal.colour == 3 };
       ·        ────────────────
       ╰────
      help: did you mean `badge`?

      × unexpected token `resource`: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`
       ╭─[worse.cedar:1:27]
     1 │ permit (principal, action resource);
       ·                           ────────
       ╰────
      help: is something missing here, or just before?

    invalid: 2 faults; 7 files, 5 entities, links not checked, revision [REVISION]
    ");
}

#[test]
fn entities_and_links_have_faults_too() {
    let place = Place::new();
    place.write(
        "policies/entities/more.json",
        r#"[{"uid": {"type": "Doc", "id": "x"}, "attrs": {"secret": 1}, "parents": []}]"#,
    );
    place.write(
        "policies/links/more.json",
        r#"[{"template_id": "gone", "link_id": "l"}]"#,
    );
    assert_shown!(place.run(&["validate", "policies"]), @r#"
    exit 4
    --- stdout
      × entity does not conform to the schema: expected entity `Doc::"x"` to have attribute `owner`, but it does not
       ╭─[entities/more.json:1:33]
     1 │ [{"uid": {"type": "Doc", "id": "x"}, "attrs": {"secret": 1}, "parents": []}]
       ·                                 ─
       ╰────
      help: see the entity type in the schema; write [{"uid": {"type": "..", "id": ".."}, "attrs": {}, "parents": []}]

      × link `l` names the template `gone`, which does not exist
       ╭─[links/more.json:1:38]
     1 │ [{"template_id": "gone", "link_id": "l"}]
       ·                                      ─
       ╰────
      help: a template is a policy with `?principal` or `?resource` in its scope; its `@id` is its name

    invalid: 2 faults; 7 files, 3 policies, 1 template, revision [REVISION]
    "#);
}

#[test]
fn warnings_are_faults_when_denied() {
    let place = Place::new();
    place.write(
        "policies/odd.cedar",
        "permit (principal, action, resource)\nwhen { false };\n",
    );
    assert_shown!(place.run(&["validate", "policies"]), @r"
    exit 0
    --- stdout
      ⚠ for policy `odd.cedar#0`, policy is impossible: the policy expression evaluates to false for all valid requests
       ╭─[odd.cedar:1:1]
     1 │ ╭─▶ permit (principal, action, resource)
     2 │ ╰─▶ when { false };
       ╰────

    valid with 1 warning; 6 files, 4 policies, 1 template, 5 entities, 1 link, revision [REVISION]
    ");
    assert_shown!(place.run(&["validate", "policies", "--deny-warnings"]).lines().last().unwrap(), @"invalid: 1 warning denied; 6 files, 4 policies, 1 template, 5 entities, 1 link, revision [REVISION]");
}

#[test]
fn json() {
    let place = Place::new();
    assert_shown!(place.run(&["validate", "policies", "--json"]), @r#"
    exit 0
    --- stdout
    {
      "valid": true,
      "files": 5,
      "policies": 3,
      "templates": 1,
      "entities": 5,
      "links": 1,
      "tests": 0,
      "cases": 0,
      "invariants": 0,
      "policy_revision": "[DIGEST]",
      "directory_revision": "[DIGEST]",
      "not_checked": [],
      "faults": [],
      "warnings": []
    }
    "#);
    place.write(
        "policies/worse.cedar",
        "permit (principal, action resource);\n",
    );
    assert_shown!(place.run(&["validate", "policies", "--json"]), @r#"
    exit 4
    --- stdout
    {
      "valid": false,
      "files": 6,
      "policies": null,
      "templates": null,
      "entities": 5,
      "links": null,
      "tests": 0,
      "cases": null,
      "invariants": 0,
      "policy_revision": "[DIGEST]",
      "directory_revision": "[DIGEST]",
      "not_checked": [
        "links"
      ],
      "faults": [
        {
          "file": "worse.cedar",
          "line": 1,
          "column": 27,
          "text": "resource",
          "message": "unexpected token `resource`: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`",
          "hint": "is something missing here, or just before?",
          "is_warning": false
        }
      ],
      "warnings": []
    }
    "#);
}

#[test]
fn tests_and_invariants_are_read_too() {
    let place = Place::new();
    place.write("policies/a.test.yaml", "cases:\n  - [\n");
    place.write("policies/invariants.yaml", "invariants: \"\n");
    fs::write(place.0.path().join("policies/b.test.yaml"), b"a: \xff").unwrap();
    assert_shown!(place.run(&["validate", "policies"]), @r#"
    exit 4
    --- stdout
      × not YAML: unclosed bracket '['
       ╭─[a.test.yaml:2:5]
     1 │ cases:
     2 │   - [
       ·     ▲
       ╰────
      help: see the place that is marked, and the lines before it

      × not UTF-8 from this byte on
       ╭─[b.test.yaml:1:4]
     1 │ a: �
       ·    ─
       ╰────
      help: save the file as UTF-8

      × not an invariants file: invalid indentation in multiline quoted scalar
       ╭─[invariants.yaml:2:1]
     1 │ invariants: "
       ╰────
      help: see docs/invariants-file.schema.json; an invariant has a `name` and what is claimed, such as `never: |`

    invalid: 3 faults; 8 files, 3 policies, 1 template, 5 entities, 1 link, 2 test files, 1 file of invariants, revision [REVISION]
    "#);
}

#[test]
fn tests_and_invariants_have_to_fit_the_policies() {
    let place = Place::new();
    place.write(
        "policies/a.test.yaml",
        r#"
fixtures: { principals: { ann: 'User::"ann"' } }
cases:
  - { name: unknown, principal: zoe, action: 'Action::"ping"', resource: 'Doc::"key"', decision: deny }
"#,
    );
    place.write(
        "policies/b.test.yaml",
        r#"
now: 2026-01-01T00:00:00Z
cases:
  - name: misfit
    principal: 'User::"ann"'
    action: 'Action::"read"'
    resource: 'Doc::"key"'
    context: { purpose: 3 }
    decision: allow
"#,
    );
    place.write(
        "policies/invariants.yaml",
        "invariants:\n  - { name: sound, never_errors: [gone] }\n",
    );
    assert_shown!(place.run(&["validate", "policies"]), @r#"
    exit 4
    --- stdout
      × b.test.yaml:4:1: `misfit`: `context.purpose` is a long, not a string
      help: see the `context` that the schema declares for this action

      × `zoe` is neither a fixture among the principals nor an entity
       ╭─[a.test.yaml:4:33]
     3 │ cases:
     4 │   - { name: unknown, principal: zoe, action: 'Action::"ping"', resource: 'Doc::"key"', decision: deny }
       ·                                 ───
       ╰────
      help: declare it in `fixtures`, or write an entity as in a policy: Type::"id"

      × there is no policy, template or link `gone`
       ╭─[invariants.yaml:2:35]
     1 │ invariants:
     2 │   - { name: sound, never_errors: [gone] }
       ·                                   ────
       ╰────
      help: write its `@id`, or `*` for all of them

    invalid: 3 faults; 8 files, 3 policies, 1 template, 5 entities, 1 link, 2 test files, 1 file of invariants, revision [REVISION]
    "#);
}

/// What one fault keeps from being looked at is named, and nothing is blamed for it.
#[test]
fn what_is_not_checked_is_named() {
    let place = Place::new();
    place.write(
        "policies/a.test.yaml",
        "cases:\n  - {name: a, principal: 'User::\"ann\"', action: 'Action::\"ping\"', resource: 'Doc::\"plan\"', decision: allow}\n",
    );
    place.write(
        "policies/invariants.yaml",
        "invariants:\n  - {name: sound, never_errors: [share-key-with-bob]}\n",
    );
    let verdict = || {
        let shown = place.run(&["validate", "policies"]);
        shown.lines().last().unwrap().to_owned()
    };
    assert_shown!(verdict(), @"valid; 7 files, 3 policies, 1 template, 5 entities, 1 link, 1 test file, 1 case, 1 file of invariants, revision [REVISION]");
    // Entities with a fault, and an invariant about a link.
    let entities = r#"[{"uid": {"type": "Doc", "id": "x"}, "attrs": {}, "parents": []}]"#;
    place.write("policies/entities/more.json", entities);
    assert_shown!(verdict(), @"invalid: 1 fault; 8 files, 3 policies, 1 template, 1 test file, 1 file of invariants, cases and invariants not checked, revision [REVISION]");
    // A policy with a fault besides: entities have to fit the schema all the same.
    place.write(
        "policies/worse.cedar",
        "permit (principal, action resource);\n",
    );
    assert_shown!(verdict(), @"invalid: 2 faults; 9 files, 1 test file, 1 file of invariants, cases, links and invariants not checked, revision [REVISION]");
    place.write("policies/schema.cedarschema", "entity ;\n");
    assert_shown!(verdict(), @"invalid: 2 faults; 9 files, 1 test file, 1 file of invariants, entities, cases, links and invariants not checked, revision [REVISION]");
}

#[test]
fn annotations_of_github() {
    let place = Place::new();
    place.write(
        "policies/worse.cedar",
        "permit (principal, action, resource)\nwhen { principal.colour == 3 };\n",
    );
    assert_shown!(place.run(&["validate", "policies", "--format", "github"]), @r"
    exit 4
    --- stdout
    ::error file=policies/worse.cedar,line=2,col=8::for policy `worse.cedar#0`, attribute `colour` on entity type `User` not found%0Adid you mean `badge`?
    invalid: 1 fault; 6 files, 5 entities, links not checked, revision [REVISION]
    ");
    place.write(
        "policies/worse.cedar",
        "permit (principal, action, resource)\nwhen { false };\n",
    );
    assert_shown!(place.run(&["validate", "--format=github"]), @r"
    exit 0
    --- stdout
    ::warning file=policies/worse.cedar,line=1,col=1::for policy `worse.cedar#0`, policy is impossible: the policy expression evaluates to false for all valid requests
    valid with 1 warning; 6 files, 4 policies, 1 template, 5 entities, 1 link, revision [REVISION]
    ");
}

#[test]
fn the_format_is_said_once() {
    let place = Place::new();
    let json = place.run(&["validate", "policies", "--json"]);
    assert_eq!(
        place.run(&["validate", "policies", "--format", "json"]),
        json
    );
    let both = place.run(&["validate", "policies", "--json", "--format", "json"]);
    assert!(both.starts_with("exit 2\n"), "{both}");
}

/// Where there is a manifest, that is the repository.
#[test]
fn the_repository_that_one_stands_in() {
    let place = Place::new();
    place.write("manifest.toml", "name = \"root\"\n");
    assert_shown!(place.run(&["validate"]), @r"
    exit 0
    --- stdout
    valid; 3 files, 3 policies, 1 template, 0 entities, 0 links, revision [REVISION]
    ");
}

#[test]
fn a_directory_that_cannot_be_read() {
    assert_shown!(Place::new().run(&["validate", "nowhere"]), @r"
    exit 1
    --- stderr
    error: cannot read the policy directory `nowhere`: No such file or directory (os error 2)

    hint: give a directory of policies with `--policies` or the key `policies.path`
    ");
}
