//! `deodar validate`.

use crate::Place;
use crate::assert_shown;

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

    invalid: 2 faults; 7 files, entities and links not checked, revision [REVISION]
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
      × entities/more.json: entity {"type":"Doc","id":"x"}: entity does not conform to the schema: expected entity `Doc::"x"` to have attribute `owner`, but it does not
      help: write [{"uid": {"type": "..", "id": ".."}, "attrs": {}, "parents": []}]

      × links/more.json: link `l` names the template `gone`, which does not exist
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
      "policy_revision": "[DIGEST]",
      "directory_revision": "[DIGEST]",
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
      "entities": null,
      "links": null,
      "policy_revision": "[DIGEST]",
      "directory_revision": "[DIGEST]",
      "faults": [
        {
          "file": "worse.cedar",
          "line": 1,
          "column": 27,
          "text": "resource",
          "message": "unexpected token `resource`: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`",
          "hint": null,
          "is_warning": false
        }
      ],
      "warnings": []
    }
    "#);
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
