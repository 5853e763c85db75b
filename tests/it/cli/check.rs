//! `deodar check`.

use crate::cli::Place;
use crate::cli::assert_shown;

fn ask<'a>(
    principal: &'a str,
    action: &'a str,
    resource: &'a str,
    more: &[&'a str],
) -> Vec<&'a str> {
    let mut arguments = vec![
        "check",
        "--principal",
        principal,
        "--action",
        action,
        "--resource",
        resource,
    ];
    arguments.extend(more);
    arguments
}

fn all(questions: &[Vec<&str>]) -> String {
    let place = Place::new();
    let shown: Vec<String> = questions.iter().map(|asked| place.run(asked)).collect();
    shown.join("\n")
}

const ANN: &str = r#"User::"ann""#;
const BOB: &str = r#"User::"bob""#;
const READ: &str = r#"Action::"read""#;
const PLAN: &str = r#"Doc::"plan""#;
const KEY: &str = r#"Doc::"key""#;

#[test]
fn allow() {
    let place = Place::new();
    assert_shown!(place.run(&ask(ANN, READ, PLAN, &["--policies", "policies"])), @r"
    exit 0
    --- stdout
    ALLOW  a policy permits it, and none forbids it

    policies
      owner-reads-and-writes  docs.cedar:2 (permit)
        Owners read and write what they own
        The document is theirs.

    obligations
      log-access  (owner-reads-and-writes)
      watermark  (owner-reads-and-writes)

    revision  policies [REVISION], directory [REVISION]
    ");
    assert_shown!(place.run(&ask(ANN, READ, PLAN, &["--json"])), @r#"
    exit 0
    --- stdout
    {
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
      "advice": [],
      "obligations": [
        {
          "name": "log-access",
          "policy": "owner-reads-and-writes"
        },
        {
          "name": "watermark",
          "policy": "owner-reads-and-writes"
        }
      ],
      "errors": [],
      "near_misses": [],
      "near_misses_left_out": 0,
      "revisions": {
        "policy": "[DIGEST]",
        "directory": "[DIGEST]"
      },
      "decision_id": null
    }
    "#);
}

#[test]
fn a_link_is_named_with_its_template() {
    assert_shown!(Place::new().run(&ask(BOB, READ, KEY, &["--context", r#"{"ip": "10.1.1.1"}"#])), @r"
    exit 0
    --- stdout
    ALLOW  a policy permits it, and none forbids it

    policies
      share-key-with-bob  docs.cedar:25 (permit, link of share)
        A document is shared with somebody

    revision  policies [REVISION], directory [REVISION]
    ");
}

#[test]
fn deny_with_near_misses() {
    let place = Place::new();
    let asked = ask(BOB, READ, PLAN, &["--now", "2026-11-22T03:12:00+01:00"]);
    assert_shown!(place.run(&asked), @r#"
    exit 3
    --- stdout
    DENY  no policy permits it

    near misses
      owner-reads-and-writes  docs.cedar:2 (permit)
        Owners read and write what they own
        does not hold: resource.owner == principal  docs.cedar:7
          resource.owner  =  User::"ann"
      staff-read-by-day  docs.cedar:9 (permit)
        Staff with a badge read
        does not hold: context.now < principal.badge.until  docs.cedar:15
          context.now            =  datetime("2026-11-22T03:12:00+0100")
          principal.badge.until  =  datetime("2026-01-01")

    revision  policies [REVISION], directory [REVISION]
    "#);
}

#[test]
fn deny_with_near_misses_as_json() {
    let asked = ask(BOB, READ, PLAN, &["--now", "2026-11-22", "--json"]);
    assert_shown!(Place::new().run(&asked), @r#"
    exit 3
    --- stdout
    {
      "decision": "deny",
      "cause": "no_permit",
      "sentence": "no policy permits it",
      "policies": [],
      "advice": [],
      "obligations": [],
      "errors": [],
      "near_misses": [
        {
          "policy": {
            "id": "owner-reads-and-writes",
            "effect": "permit",
            "title": "Owners read and write what they own",
            "reason": "The document is theirs.",
            "file": "docs.cedar",
            "line": 2,
            "template": null
          },
          "condition": "resource.owner == principal",
          "line": 7,
          "values": [
            {
              "expression": "resource.owner",
              "value": "User::\"ann\""
            }
          ],
          "error": null
        },
        {
          "policy": {
            "id": "staff-read-by-day",
            "effect": "permit",
            "title": "Staff with a badge read",
            "reason": null,
            "file": "docs.cedar",
            "line": 9,
            "template": null
          },
          "condition": "context.now < principal.badge.until",
          "line": 15,
          "values": [
            {
              "expression": "context.now",
              "value": "datetime(\"2026-11-22\")"
            },
            {
              "expression": "principal.badge.until",
              "value": "datetime(\"2026-01-01\")"
            }
          ],
          "error": null
        }
      ],
      "near_misses_left_out": 0,
      "revisions": {
        "policy": "[DIGEST]",
        "directory": "[DIGEST]"
      },
      "decision_id": null
    }
    "#);
}

#[test]
fn deny_by_a_forbid_with_advice() {
    assert_shown!(Place::new().run(&ask(ANN, READ, KEY, &[])), @r"
    exit 3
    --- stdout
    DENY  a policy forbids it

    policies
      no-secrets-from-outside  docs.cedar:18 (forbid)
        Secrets stay inside

    advice
      Connect to the network of the office.

    revision  policies [REVISION], directory [REVISION]
    ");
}

#[test]
fn unknown_principals_and_actions_are_denied() {
    let place = Place::new();
    assert_shown!(place.run(&ask(r#"User::"eve""#, READ, PLAN, &[])), @r"
    exit 3
    --- stdout
    DENY  the principal is not known: neither stored nor carried by the request

    revision  policies [REVISION], directory [REVISION]
    ");
    assert_shown!(place.run(&ask(ANN, r#"Action::"erase""#, PLAN, &[])), @r"
    exit 3
    --- stdout
    DENY  the schema does not declare this action

    revision  policies [REVISION], directory [REVISION]
    ");
}

#[test]
fn the_time_is_the_clocks_unless_given() {
    let place = Place::new();
    // The badge of bob ended in 2026.
    let in_time = ask(BOB, READ, PLAN, &["--now", "2025-12-31T23:59:59.999Z"]);
    assert!(
        place.run(&in_time).starts_with("exit 0"),
        "{}",
        place.run(&in_time)
    );
    let in_context = ask(BOB, READ, PLAN, &["--context", r#"{"now": "2025-12-31"}"#]);
    assert!(
        place.run(&in_context).starts_with("exit 0"),
        "{}",
        place.run(&in_context)
    );
    let late = ask(BOB, READ, PLAN, &["--now", "2026-01-01T00:00:00Z"]);
    assert!(
        place.run(&late).starts_with("exit 3"),
        "{}",
        place.run(&late)
    );
    assert_shown!(place.run(&ask(BOB, READ, PLAN, &["--now", "2025-12-31", "--context", r#"{"now": "2025-12-31"}"#])), @r"
    exit 2
    --- stderr
    error: both `--now` and the context say what time it is

    hint: leave out one of them
    ");
    assert_shown!(place.run(&ask(ANN, r#"Action::"ping""#, PLAN, &["--now", "2025-12-31"])), @r"
    exit 2
    --- stderr
    error: the schema declares no `context.now` for this action

    hint: leave out `--now`, or declare `now: datetime` in the context of the action
    ");
}

#[test]
fn context_and_entities_come_from_files_and_standard_input() {
    let place = Place::new();
    place.write("context.json", r#"{"ip": "10.0.0.1"}"#);
    let asked = ask(ANN, READ, KEY, &["--context", "@context.json"]);
    assert!(
        place.run(&asked).starts_with("exit 0"),
        "{}",
        place.run(&asked)
    );
    let asked = ask(ANN, READ, KEY, &["--context", "-"]);
    let answer = place.run_with(&asked, &[], r#"{"ip": "10.0.0.1"}"#);
    assert!(answer.starts_with("exit 0"), "{answer}");
    // A carried entity overlays the stored one, attribute by attribute.
    let badge =
        r#"[{"uid": {"type": "User", "id": "bob"}, "attrs": {"badge": {"until": "2030-01-01"}}}]"#;
    let asked = ask(
        BOB,
        READ,
        PLAN,
        &["--entities", badge, "--now", "2026-11-22"],
    );
    assert!(
        place.run(&asked).starts_with("exit 0"),
        "{}",
        place.run(&asked)
    );
}

#[test]
fn questions_that_do_not_fit_the_schema() {
    let new = r#"[{"uid": {"type": "Doc", "id": "new"}}]"#;
    let faults = [
        ask(r#"user::"ann""#, READ, PLAN, &[]),
        ask(ANN, READ, PLAN, &["--context", r#"{"ip": "ten"}"#]),
        ask(ANN, READ, PLAN, &["--context", r#"{"purpose": 5}"#]),
        ask(ANN, READ, PLAN, &["--context", r#"{"colour": 5}"#]),
        ask(ANN, READ, PLAN, &["--entities", new]),
    ];
    assert_shown!(all(&faults), @r#"
    exit 2
    --- stderr
    error: `principal` has the type `user`, which the schema does not declare

    hint: did you mean `User`?

    exit 2
    --- stderr
    error: `context.ip` cannot be read: error while evaluating `ipaddr` extension function: invalid IP address: ten

    hint: see its type in the schema; an entity is {"type": "..", "id": ".."}, addresses, decimals and times are text

    exit 2
    --- stderr
    error: `context.purpose` is a long, not a string

    hint: see the `context` that the schema declares for this action

    exit 2
    --- stderr
    error: `context.colour` is not declared by the schema

    hint: see the `context` that the schema declares for this action

    exit 2
    --- stderr
    error: `entities`: `Doc::"new".owner`, `secret` is required by the schema, and missing

    hint: see the entity type in the schema
    "#);
}

#[test]
fn inputs_that_cannot_be_read() {
    let faults = [
        ask(ANN, READ, PLAN, &["--context", "{ip: 1}"]),
        ask(ANN, READ, PLAN, &["--context", "@gone.json"]),
        ask(ANN, READ, PLAN, &["--context", "-", "--entities", "-"]),
        ask(ANN, READ, PLAN, &["--policies", "nowhere"]),
        ask(ANN, READ, PLAN, &["--server", "http://127.0.0.1:1"]),
    ];
    assert_shown!(all(&faults), @r"
    exit 2
    --- stderr
    error: `--context` is not JSON: key must be a string at line 1 column 2

    hint: write JSON, in single quotes for the shell, or @FILE to read a file

    exit 1
    --- stderr
    error: cannot read `gone.json` for `--context`: No such file or directory (os error 2)

    hint: check that the file exists, is UTF-8 and may be read

    exit 2
    --- stderr
    error: standard input cannot be both the context and the entities

    hint: give one of them as @FILE

    exit 1
    --- stderr
    error: cannot read the policy directory `nowhere`: No such file or directory (os error 2)

    hint: give a directory of policies with `--policies` or the key `policies.path`

    exit 1
    --- stderr
    error: cannot reach the server `http://127.0.0.1:1/`: Connection refused (os error 111)

    hint: is `deodar serve` running there?
    ");
}

#[test]
fn questions_have_the_limits_of_the_server() {
    let place = Place::new();
    let variables = [
        ("DEODAR_LIMITS__ID_BYTES_MAX", "16"),
        ("DEODAR_LIMITS__DEPTH_MAX", "2"),
    ];
    let long = ask(r#"User::"a23456789-1234567""#, READ, PLAN, &[]);
    assert_shown!(place.run_with(&long, &variables, ""), @r"
    exit 2
    --- stderr
    error: the id of `principal` has 17 bytes, more than 16

    hint: raise `limits.id_bytes_max`
    ");
    let deep = ask(
        ANN,
        READ,
        PLAN,
        &["--context", r#"{"purpose": [["deep"]]}"#],
    );
    assert_shown!(place.run_with(&deep, &variables, ""), @r"
    exit 2
    --- stderr
    error: `context.purpose` has more than 2 values nested in one another

    hint: send less, or raise `limits.depth_max`
    ");
}

#[test]
fn a_forbid_that_cannot_be_evaluated_denies() {
    let place = Place::new();
    place.write(
        "policies/bad.cedar",
        "@id(\"overflow\")\nforbid (principal, action, resource)\nwhen { principal.level + 9223372036854775807 < 0 };\n",
    );
    assert_shown!(place.run(&ask(ANN, READ, PLAN, &[])), @r"
    exit 3
    --- stdout
    DENY  a forbid could not be evaluated, so it counts as satisfied

    errors
      overflow  bad.cedar:1 (forbid)
        integer overflow while attempting to add the values `5` and `9223372036854775807`

    revision  policies [REVISION], directory [REVISION]
    ");
}

#[test]
fn arguments_that_are_none() {
    let faults = [
        ask("User::ann", READ, PLAN, &[]),
        ask(ANN, READ, PLAN, &["--now", "soon"]),
        ask(ANN, READ, PLAN, &["--server", "127.0.0.1:8470"]),
    ];
    assert_shown!(all(&faults), @r#"
    exit 2
    --- stderr
    error: invalid value 'User::ann' for '--principal <ENTITY>': not an entity such as Type::"id"; the double quotes belong to it: write 'Type::"id"' in single quotes

    For more information, try '--help'.

    exit 2
    --- stderr
    error: invalid value 'soon' for '--now <TIME>': `soon` is not a time such as 2026-11-22T03:12:00Z or 2026-11-22T04:12:00+01:00

    For more information, try '--help'.

    exit 2
    --- stderr
    error: invalid value '127.0.0.1:8470' for '--server <URL|unix:PATH>': not a server such as http://127.0.0.1:8470 or unix:/run/deodar.sock

    For more information, try '--help'.
    "#);
}

#[test]
fn invalid_policies() {
    let place = Place::new();
    place.write(
        "policies/worse.cedar",
        "permit (principal, action resource);\n",
    );
    assert_shown!(place.run(&ask(ANN, READ, PLAN, &[])), @r"
    exit 4
    --- stderr
      × unexpected token `resource`: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`
       ╭─[worse.cedar:1:27]
     1 │ permit (principal, action resource);
       ·                           ────────
       ╰────
      help: is something missing here, or just before?

    error: the policy directory has 1 fault
    ");
}
