//! `deodar explain`.

use crate::cli::Place;
use crate::cli::assert_shown;

const BOB: &str = r#"User::"bob""#;
const ANN: &str = r#"User::"ann""#;
const READ: &str = r#"Action::"read""#;
const PLAN: &str = r#"Doc::"plan""#;
const KEY: &str = r#"Doc::"key""#;
const NOW: &str = "2025-11-22T12:00:00Z";

fn explain(place: &Place, principal: &str, resource: &str, more: &[&str]) -> String {
    let mut arguments = vec![
        "explain",
        "--policies",
        "policies",
        "--principal",
        principal,
        "--action",
        READ,
        "--resource",
        resource,
        "--now",
        NOW,
    ];
    arguments.extend(more);
    place.run(&arguments)
}

#[test]
fn an_allow() {
    assert_shown!(explain(&Place::new(), BOB, PLAN, &[]), @r#"
    exit 0
    --- stdout
    ALLOW  a policy permits it, and none forbids it

    policies that decide
      staff-read-by-day  docs.cedar:9 (permit)
         11 │ permit (principal in Group::"staff", action == Action::"read", resource)
         12 │ when
         13 │ {
         14 │   principal.level > 2 &&
           ·   principal.level > 2  true
           ·     principal.level  =  3
         15 │   principal has badge && context.now < principal.badge.until
           ·   principal has badge  true
           ·   context.now < principal.badge.until  true
           ·     context.now            =  datetime("2025-11-22T12:00:00Z")
           ·     principal.badge.until  =  datetime("2026-01-01")
         16 │ };

    forbids that do not apply
      no-secrets-from-outside  docs.cedar:18 (forbid)
         21 │ forbid (principal, action, resource)
         22 │ when { resource.secret && !(context has ip && context.ip.isInRange(ip("10.0.0.0/8"))) }
           ·   resource.secret  false
           ·   context has ip  not evaluated
           ·   context.ip.isInRange(ip("10.0.0.0/8"))  not evaluated
         23 │ unless { action == Action::"ping" };
           ·   action == Action::"ping"  not evaluated

    memberships that policies ask for
      User::"bob" in Group::"staff"

    attributes that were read
      resource.secret        =  false
      resource.owner         =  User::"ann"
      principal.level        =  3
      principal has badge    =  true
      principal.badge.until  =  datetime("2026-01-01")

    context that was read
      context.now  =  datetime("2025-11-22T12:00:00Z")

    the smallest change that would deny, as far as was found
      change User::"bob".level from 3 to 2
      decided with it: deny; 1 change tried
    "#);
}

#[test]
fn a_deny() {
    assert_shown!(explain(&Place::new(), ANN, KEY, &[]), @r#"
    exit 3
    --- stdout
    DENY  a policy forbids it

    policies that decide
      no-secrets-from-outside  docs.cedar:18 (forbid)
         21 │ forbid (principal, action, resource)
         22 │ when { resource.secret && !(context has ip && context.ip.isInRange(ip("10.0.0.0/8"))) }
           ·   resource.secret  true
           ·   context has ip  false
           ·   context.ip.isInRange(ip("10.0.0.0/8"))  not evaluated
         23 │ unless { action == Action::"ping" };
           ·   action == Action::"ping"  false

    attributes that were read
      resource.secret  =  true
      resource.owner   =  User::"ann"

    context that was read
      context has ip  =  false

    the smallest change that would allow, as far as was found
      change Doc::"key".secret from true to false
      decided with it: allow; 1 change tried
    "#);
}

#[test]
fn as_json() {
    assert_shown!(explain(&Place::new(), BOB, PLAN, &["--format", "json"]), @r#"
    exit 0
    --- stdout
    {
      "decision": "allow",
      "cause": null,
      "sentence": "a policy permits it, and none forbids it",
      "policies": [
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
          "text": "@id(\"staff-read-by-day\")\n@title(\"Staff with a badge read\")\npermit (principal in Group::\"staff\", action == Action::\"read\", resource)\nwhen\n{\n  principal.level > 2 &&\n  principal has badge && context.now < principal.badge.until\n};",
          "clauses": [
            {
              "text": "principal.level > 2",
              "line": 14,
              "value": true,
              "error": null,
              "reads": [
                {
                  "expression": "principal.level",
                  "value": "3"
                }
              ],
              "passed_over": false
            },
            {
              "text": "principal has badge",
              "line": 15,
              "value": true,
              "error": null,
              "reads": [
                {
                  "expression": "principal has badge",
                  "value": "true"
                }
              ],
              "passed_over": false
            },
            {
              "text": "context.now < principal.badge.until",
              "line": 15,
              "value": true,
              "error": null,
              "reads": [
                {
                  "expression": "context.now",
                  "value": "datetime(\"2025-11-22T12:00:00Z\")"
                },
                {
                  "expression": "principal.badge.until",
                  "value": "datetime(\"2026-01-01\")"
                }
              ],
              "passed_over": false
            }
          ],
          "error": null
        }
      ],
      "near_misses": [
        {
          "policy": {
            "id": "no-secrets-from-outside",
            "effect": "forbid",
            "title": "Secrets stay inside",
            "reason": null,
            "file": "docs.cedar",
            "line": 18,
            "template": null
          },
          "text": "@id(\"no-secrets-from-outside\")\n@title(\"Secrets stay inside\")\n@advice(\"Connect to the network of the office.\")\nforbid (principal, action, resource)\nwhen { resource.secret && !(context has ip && context.ip.isInRange(ip(\"10.0.0.0/8\"))) }\nunless { action == Action::\"ping\" };",
          "clauses": [
            {
              "text": "resource.secret",
              "line": 22,
              "value": false,
              "error": null,
              "reads": [
                {
                  "expression": "resource.secret",
                  "value": "false"
                }
              ],
              "passed_over": false
            },
            {
              "text": "context has ip",
              "line": 22,
              "value": null,
              "error": null,
              "reads": [],
              "passed_over": true
            },
            {
              "text": "context.ip.isInRange(ip(\"10.0.0.0/8\"))",
              "line": 22,
              "value": null,
              "error": null,
              "reads": [],
              "passed_over": true
            },
            {
              "text": "action == Action::\"ping\"",
              "line": 23,
              "value": null,
              "error": null,
              "reads": [],
              "passed_over": true
            }
          ],
          "error": null
        }
      ],
      "near_misses_left_out": 0,
      "failed": [],
      "facts": {
        "ancestors": [
          {
            "entity": "User::\"bob\"",
            "ancestor": "Group::\"staff\""
          }
        ],
        "attributes": [
          {
            "expression": "resource.secret",
            "value": "false"
          },
          {
            "expression": "resource.owner",
            "value": "User::\"ann\""
          },
          {
            "expression": "principal.level",
            "value": "3"
          },
          {
            "expression": "principal has badge",
            "value": "true"
          },
          {
            "expression": "principal.badge.until",
            "value": "datetime(\"2026-01-01\")"
          }
        ],
        "context": [
          {
            "expression": "context.now",
            "value": "datetime(\"2025-11-22T12:00:00Z\")"
          }
        ],
        "links": []
      },
      "turn": {
        "changes": [
          {
            "what": "attribute",
            "entity": "User::\"bob\"",
            "path": "level",
            "parent": null,
            "from": "3",
            "to": "2",
            "sentence": "change User::\"bob\".level from 3 to 2"
          }
        ],
        "tried": 1,
        "is_cut": false
      }
    }
    "#);
}

#[test]
fn a_test_case() {
    let place = Place::new();
    place.write("policies/docs.test.yaml", CASE);
    assert_shown!(place.run(&["explain", "--policies", "policies", "--case", "old badge"]), @r#"
    exit 3
    --- stdout
    DENY  no policy permits it

    permits that do not apply
      owner-reads-and-writes  docs.cedar:2 (permit)
          6 │ permit (principal, action, resource)
          7 │ when { resource.owner == principal };
           ·   resource.owner == principal  false
           ·     resource.owner  =  User::"ann"
      staff-read-by-day  docs.cedar:9 (permit)
         11 │ permit (principal in Group::"staff", action == Action::"read", resource)
         12 │ when
         13 │ {
         14 │   principal.level > 2 &&
           ·   principal.level > 2  true
           ·     principal.level  =  3
         15 │   principal has badge && context.now < principal.badge.until
           ·   principal has badge  true
           ·   context.now < principal.badge.until  false
           ·     context.now            =  datetime("2026-11-22T12:00:00Z")
           ·     principal.badge.until  =  datetime("2026-01-01")
         16 │ };

    memberships that policies ask for
      User::"bob" in Group::"staff"

    attributes that were read
      resource.secret        =  false
      resource.owner         =  User::"ann"
      principal.level        =  3
      principal has badge    =  true
      principal.badge.until  =  datetime("2026-01-01")

    context that was read
      context.now  =  datetime("2026-11-22T12:00:00Z")

    the smallest change that would allow, as far as was found
      change Doc::"plan".owner from User::"ann" to User::"bob"
      decided with it: allow; 1 change tried
    "#);
    assert_shown!(place.run(&["explain", "--policies", "policies", "--case", "nobody"]), @r#"
    exit 2
    --- stderr
    error: there is no test case `nobody`

    hint: `deodar test --verbose` lists the names of all
    "#);
    place.write("policies/more.test.yaml", CASE);
    assert_shown!(place.run(&["explain", "--policies", "policies", "--case", "old badge"]), @r#"
    exit 2
    --- stderr
    error: `docs.test.yaml` and `more.test.yaml` have a case `old badge` each

    hint: name the file with `--in`
    "#);
    let shown = place.run(&[
        "explain",
        "--policies",
        "policies",
        "--case",
        "old badge",
        "--in",
        "more.test.yaml",
    ]);
    assert!(shown.starts_with("exit 3"), "{shown}");
}

const CASE: &str = r#"
cases:
  - name: old badge
    now: 2026-11-22T12:00:00Z
    principal: 'User::"bob"'
    action: 'Action::"read"'
    resource: 'Doc::"plan"'
    decision: deny
"#;

#[test]
fn no_question() {
    assert_shown!(Place::new().run(&["explain", "--policies", "policies"]), @r#"
    exit 2
    --- stderr
    error: the following required arguments were not provided:
      --principal <ENTITY>
      --action <ENTITY>
      --resource <ENTITY>

    Usage: deodar explain --policies <DIR> --principal <ENTITY> --action <ENTITY> --resource <ENTITY>

    For more information, try '--help'.
    "#);
}

/// Its condition is shown though an annotation stands before it. Seen to fail when
/// lines that begin with `@` are left out.
#[test]
fn a_policy_of_one_line() {
    let place = Place::new();
    place.write(
        "policies/docs.cedar",
        "// none\n@id(\"a\") @title(\"b\") permit (principal, action, resource) when { resource.secret };\n",
    );
    place.write("policies/links/all.json", "[]");
    let shown = explain(&place, ANN, PLAN, &[]);
    let (shown, _) = shown.split_once("attributes that were read").unwrap();
    assert_shown!(shown, @r#"
    exit 3
    --- stdout
    DENY  no policy permits it

    permits that do not apply
      a  docs.cedar:2 (permit)
          2 │ permit (principal, action, resource) when { resource.secret };
           ·   resource.secret  false

    "#);
}

/// A record by its number: what was asked, by the policies as they are.
#[test]
fn a_record() {
    let place = Place::new();
    super::replay::recorded(&place);
    let explain = |record: &str| {
        let policies = ["explain", "--policies", "policies"];
        place.run(&[&policies[..], &["--record", record, "--path", "audit"]].concat())
    };
    let shown = explain("2");
    assert!(shown.starts_with("exit 0\n--- stdout\nALLOW"), "{shown}");
    assert!(!shown.contains("warning"), "{shown}");
    place.write(
        "policies/docs.cedar",
        "permit (principal, action == Action::\"ping\", resource);\n",
    );
    place.write("policies/links/all.json", "[]");
    let shown = explain("2");
    assert!(shown.starts_with("exit 3\n"), "{shown}");
    assert!(
        shown.contains("warning: the record has another `decision`"),
        "{shown}"
    );
    assert_shown!(explain("1"), @r"
    exit 1
    --- stderr
    error: the record is not one of a decision: `principal` is missing

    hint: explain another record, or ask with `--principal` and the others
    ");
    assert_shown!(explain("99"), @r"
    exit 1
    --- stderr
    error: there is no record 99 in `audit`

    hint: `deodar audit query --path AUDIT` lists those that there are
    ");
}

/// What a condition read is shown to the last, and so is the membership that decided.
/// Seen to fail when the first dozen of reads are kept, and when only entities that a
/// policy names count.
#[test]
fn everything_that_decided() {
    let place = Place::new();
    let names: Vec<String> = (0..15).map(|number| format!("a{number:02}")).collect();
    let fields: Vec<String> = names.iter().map(|name| format!("{name}: Long")).collect();
    let sum: Vec<String> = names
        .iter()
        .map(|name| format!("resource.{name}"))
        .collect();
    place.write(
        "policies/schema.cedarschema",
        &format!("entity Group;\nentity User in [Group];\nentity Doc {{ readers: Group, {} }};\naction read appliesTo {{ principal: User, resource: Doc, context: {{ now: datetime }} }};\n", fields.join(", ")),
    );
    place.write(
        "policies/docs.cedar",
        &format!("permit (principal, action, resource) when {{ principal in resource.readers && {} == 15 }};\n", sum.join(" + ")),
    );
    let values: Vec<String> = names.iter().map(|name| format!("\"{name}\": 1")).collect();
    place.write(
        "policies/entities/all.json",
        &format!(
            "[{{\"uid\": {{\"type\": \"User\", \"id\": \"bob\"}}, \"attrs\": {{}}, \"parents\": [{{\"type\": \"Group\", \"id\": \"g\"}}]}}, {{\"uid\": {{\"type\": \"Doc\", \"id\": \"plan\"}}, \"attrs\": {{\"readers\": {{\"__entity\": {{\"type\": \"Group\", \"id\": \"g\"}}}}, {}}}, \"parents\": []}}]",
            values.join(", ")
        ),
    );
    place.write("policies/links/all.json", "[]");
    let shown = explain(&place, BOB, PLAN, &["--format", "json"]);
    let (_, json) = shown
        .split_once("--- stdout\n")
        .unwrap_or_else(|| panic!("{shown}"));
    let report: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(report["facts"]["ancestors"][0]["ancestor"], "Group::\"g\"");
    let reads = report["policies"][0]["clauses"][1]["reads"]
        .as_array()
        .unwrap();
    assert_eq!(reads.len(), 15, "{reads:?}");
}
