//! `deodar replay`, on logs that the library wrote.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use deodar::audit::Audit;
use deodar::audit::EventRecord;
use deodar::audit::Options;
use serde_json::Value as Json;
use serde_json::json;

use crate::cli::Place;
use crate::cli::assert_shown;

/// 2026-11-22T03:00:00Z
const THREE: i64 = 1_795_316_400_000;

fn decision(who: &str, action: &str, what: &str, outcome: &Json) -> EventRecord {
    let mut event = EventRecord::new(
        "decision",
        [
            ("id", json!("00000000-0000-4000-8000-000000000001")),
            ("caller", json!("local")),
            ("cached", json!(false)),
            ("latency_us", json!(21.5)),
            ("revisions", json!({"policies": "aa11", "directory": "d-7"})),
            ("engine", json!("deodar 0.1.0, cedar 4.14.1")),
            ("principal", json!({"type": "User", "id": who})),
            ("action", json!({"type": "Action", "id": action})),
            ("resource", json!({"type": "Doc", "id": what})),
            (
                "context",
                json!({"now": {"__extn": {"fn": "datetime", "arg": "2025-06-01"}},
                "ip": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}}),
            ),
        ],
    );
    event.fields.extend(outcome.as_object().unwrap().clone());
    event
}

/// What the policies of the place decide, in one segment.
pub(super) fn recorded(place: &Place) -> PathBuf {
    let directory = place.0.path().join("audit");
    let audit = Audit::open(Options {
        directory: directory.clone(),
        ..Options::default()
    });
    let audit = audit.unwrap();
    let allow = |policies: &[&str]| json!({"decision": "allow", "policies": policies});
    let no_permit = json!({"decision": "deny", "cause": "no_permit"});
    let records = [
        decision("ann", "read", "plan", &allow(&["owner-reads-and-writes"])),
        decision("ann", "write", "plan", &allow(&["owner-reads-and-writes"])),
        decision("bob", "read", "plan", &allow(&["staff-read-by-day"])),
        decision("bob", "write", "plan", &no_permit),
        decision(
            "bob",
            "read",
            "key",
            &allow(&["staff-read-by-day", "share-key-with-bob"]),
        ),
        decision(
            "eve",
            "read",
            "plan",
            &json!({"decision": "deny", "cause": "unknown_principal"}),
        ),
        decision(
            "ann",
            "read",
            "key",
            &json!({"decision": "allow", "redacted": true}),
        ),
        decision(
            "ann",
            "read",
            "key",
            &json!({"decision": "allow", "entities_count": 2}),
        ),
        EventRecord::new("gap", [("records", json!(3))]),
    ];
    for (millis, record) in (THREE..).zip(records) {
        drop(audit.submit(millis, record));
    }
    audit.close();
    directory
}

fn segment(directory: &Path) -> PathBuf {
    let files = fs::read_dir(directory).unwrap();
    let mut paths = files.map(|entry| entry.unwrap().path());
    paths
        .find(|path| path.extension().is_some_and(|end| end == "ndjson"))
        .unwrap()
}

/// The policies with what `bob` had taken away, and something given.
fn change(place: &Place) {
    let text = super::POLICIES
        .replace("principal.level > 2", "principal.level > 4")
        .replace("@id(\"owner-reads-and-writes\")", "@id(\"owner-reads\")")
        .replace(
            "== principal };",
            "== principal && action == Action::\"read\" };",
        );
    let write = r#"permit (principal == User::"bob", action == Action::"write", resource);"#;
    let text = format!("{text}\n@id(\"bob-writes\")\n{write}\n");
    for (name, text) in [
        ("manifest.toml", "name = \"test\"\n"),
        ("schema.cedarschema", super::SCHEMA),
        ("docs.cedar", &text),
        ("entities/all.json", super::ENTITIES),
        ("links/all.json", "[]"),
    ] {
        place.write(&format!("other/{name}"), text);
    }
}

#[test]
fn the_same_policies_decide_the_same() {
    let place = Place::new();
    recorded(&place);
    assert_shown!(place.run(&["replay", "audit"]), @r#"
    exit 0
    --- stdout
    decided by policies: 4 policies, 5 entities, 1 link
    on the entities of this repository, and those that requests carried
      decisions          8
      the same           6
      deny → allow       0
      allow → deny       0
      not decided again  1  (a rule of redaction took something out)
      not decided again  1  (carried entities were only digested)
      gaps in the log    1  (each tells of decisions that were never recorded)
    "#);
}

#[test]
fn what_flips_is_told_by_the_policy() {
    let place = Place::new();
    recorded(&place);
    change(&place);
    assert_shown!(place.run(&["replay", "audit", "--policies", "other", "--fail-on", "gained"]), @r#"
    exit 6
    --- stdout
    decided by other: 5 policies, 5 entities, 0 links
    on the entities of this repository, and those that requests carried
      decisions                      8
      the same                       1
      same decision, other policies  1
      deny → allow                   1
      allow → deny                   3
      not decided again              1  (a rule of redaction took something out)
      not decided again              1  (carried entities were only digested)
      gaps in the log                1  (each tells of decisions that were never recorded)
    gained 1 User  bob-writes now permits
      record 5  2026-11-22T03:00:00.003Z  User::"bob"  Action::"write"  Doc::"plan"  deny: no_permit → allow: bob-writes
    lost 1 User  owner-reads-and-writes no longer permits
      record 3  2026-11-22T03:00:00.001Z  User::"ann"  Action::"write"  Doc::"plan"  allow: owner-reads-and-writes → deny: no_permit
    lost 1 User  staff-read-by-day no longer permits
      record 4  2026-11-22T03:00:00.002Z  User::"bob"  Action::"read"  Doc::"plan"  allow: staff-read-by-day → deny: no_permit
    lost 1 User  staff-read-by-day, share-key-with-bob no longer permits
      record 6  2026-11-22T03:00:00.004Z  User::"bob"  Action::"read"  Doc::"key"  allow: staff-read-by-day, share-key-with-bob → deny: no_permit
    "#);
    let mine = ["--principal", "User::\"ann\"", "--format", "json"];
    let asked = ["replay", "audit", "--policies", "other", "--fail-on"];
    let lost = place.run(&[&asked[..], &["lost"], &mine].concat());
    assert!(
        lost.starts_with("exit 6") && lost.contains("\"lost\": 1,"),
        "{lost}"
    );
    let gained = place.run(&[&asked[..], &["gained"], &mine].concat());
    assert!(
        gained.starts_with("exit 0") && gained.contains("\"gained\": 0,"),
        "{gained}"
    );
    assert_shown!(place.run(&["replay", "audit", "--policies", "other", "--format", "markdown"]), @r#"
    exit 0
    --- stdout
    ### Recorded decisions: 1 would be gained, 3 lost

    6 decisions decided again by `other`, on the entities of that repository and those that requests carried; 1 came out the same.

    |  | principals | by | decisions |
    | --- | --- | --- | --- |
    | 🟢 gained | `User` | `bob-writes` now permits | 1 |
    | 🔴 lost | `User` | `owner-reads-and-writes` no longer permits | 1 |
    | 🔴 lost | `User` | `staff-read-by-day` no longer permits | 1 |
    | 🔴 lost | `User` | `staff-read-by-day`, `share-key-with-bob` no longer permits | 1 |

    <details>
    <summary>Examples</summary>

    |  | record | time | principal | action | resource | answer |
    | --- | --- | --- | --- | --- | --- | --- |
    | 🟢 gained | 5 | 2026-11-22T03:00:00.003Z | `User::"bob"` | `Action::"write"` | `Doc::"plan"` | `deny: no_permit` → `allow: bob-writes` |
    | 🔴 lost | 3 | 2026-11-22T03:00:00.001Z | `User::"ann"` | `Action::"write"` | `Doc::"plan"` | `allow: owner-reads-and-writes` → `deny: no_permit` |
    | 🔴 lost | 4 | 2026-11-22T03:00:00.002Z | `User::"bob"` | `Action::"read"` | `Doc::"plan"` | `allow: staff-read-by-day` → `deny: no_permit` |
    | 🔴 lost | 6 | 2026-11-22T03:00:00.004Z | `User::"bob"` | `Action::"read"` | `Doc::"key"` | `allow: staff-read-by-day, share-key-with-bob` → `deny: no_permit` |


    </details>

    * 1 with the same decision and other policies
    * 1 not decided again: a rule of redaction took something out
    * 1 not decided again: carried entities were only digested
    * 1 gaps, of decisions never recorded
    "#);
    let shown = place.run(&[
        "replay",
        "audit",
        "--policies",
        "other",
        "--format",
        "json",
        "--top",
        "1",
    ]);
    assert_shown!(shown, @r#"
    exit 0
    --- stdout
    {
      "policies": {
        "name": "other",
        "commit": null,
        "policy_revision": "[DIGEST]",
        "directory_revision": "[DIGEST]"
      },
      "files": [
        "audit/00000000000000000001.ndjson"
      ],
      "notes": [],
      "records": 10,
      "decisions": 8,
      "replayed": 6,
      "same": 1,
      "changed": {
        "policies": 1
      },
      "gained": 1,
      "lost": 3,
      "groups": [
        {
          "direction": "gained",
          "principal_type": "User",
          "policies": [
            "bob-writes"
          ],
          "why": "now_permits",
          "count": 1,
          "examples": [
            {
              "file": "audit/00000000000000000001.ndjson",
              "line": 5,
              "record": 5,
              "time": "2026-11-22T03:00:00.003Z",
              "principal": "User::\"bob\"",
              "action": "Action::\"write\"",
              "resource": "Doc::\"plan\"",
              "before": {
                "allow": false,
                "cause": "no_permit",
                "policies": [],
                "errors": []
              },
              "after": {
                "allow": true,
                "cause": null,
                "policies": [
                  "bob-writes"
                ],
                "errors": []
              }
            }
          ]
        }
      ],
      "flips_left_out": 3,
      "left_out": {
        "redacted": 1,
        "digested": 1
      },
      "gaps": 1,
      "faults": [],
      "faults_left_out": 0
    }
    "#);
}

#[test]
fn what_cannot_be_read_is_named_and_left_out() {
    let place = Place::new();
    let directory = recorded(&place);
    let path = segment(&directory);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines[2] = lines[2].replace("{\"v\":1,", "{\"v\":2,");
    lines[4] = lines[4].replace("\"decision\":\"deny\"", "\"decision\":deny");
    lines.remove(6);
    let torn = format!("{}\n{}", lines.join("\n"), "{\"v\":1,\"seq\":9");
    fs::write(&path, torn).unwrap();
    let shown = place.run(&["replay", "audit"]);
    assert_shown!(shown, @r#"
    exit 1
    --- stdout
    decided by policies: 4 policies, 5 entities, 1 link
    on the entities of this repository, and those that requests carried
      decisions          5
      the same           3
      deny → allow       0
      allow → deny       0
      not decided again  1  (a rule of redaction took something out)
      not decided again  1  (carried entities were only digested)
      gaps in the log    1  (each tells of decisions that were never recorded)
    unreadable: `audit/00000000000000000001.ndjson` line 3: the line is of version 2 of the format, and this release reads version 1: replay it with the release that wrote it
    unreadable: `audit/00000000000000000001.ndjson` line 5: the line is not JSON
    out of order: `audit/00000000000000000001.ndjson` line 7: record 8 is where 7 should be
    unreadable: `audit/00000000000000000001.ndjson` line 10: the file ends within this line
    what is unreadable was left out; everything else was decided
    where it is out of order, records are missing or twice; all that are there were decided
    "#);
    // Packed, and the packed file torn.
    let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(path.with_extension("ndjson.zst"), &packed).unwrap();
    let whole = place.run(&["replay", "audit"]);
    assert!(
        whole.starts_with("exit 0") && whole.contains("the same           6"),
        "{whole}"
    );
    fs::write(
        path.with_extension("ndjson.zst"),
        &packed[..packed.len() - 9],
    )
    .unwrap();
    let torn = place.run(&["replay", "audit"]);
    assert!(
        torn.starts_with("exit 1") && torn.contains("cannot be unpacked from here on"),
        "{torn}"
    );
}

#[test]
fn what_is_no_log() {
    let place = Place::new();
    fs::create_dir(place.0.path().join("empty")).unwrap();
    assert_shown!(place.run(&["replay", "empty"]), @r#"
    exit 1
    --- stderr
    error: there is no audit log in `empty`

    hint: name the directory that the server has as `audit.path`, or its `*.ndjson` and `*.ndjson.zst` files
    "#);
    assert_shown!(place.run(&["replay", "nowhere"]), @r#"
    exit 1
    --- stderr
    error: cannot read `nowhere`: No such file or directory (os error 2)

    hint: check that it is there and that you may read it
    "#);
    recorded(&place);
    assert_shown!(place.run(&["replay", "audit", "--principal", "User::\"nobody\""]), @r#"
    exit 1
    --- stdout
    decided by policies: 4 policies, 5 entities, 1 link
    on the entities of this repository, and those that requests carried
      decisions        0
      the same         0
      deny → allow     0
      allow → deny     0
      gaps in the log  1  (each tells of decisions that were never recorded)
    --- stderr
    error: no decision was decided again

    hint: see what the logs have: `deodar audit stats --path DIR`
    "#);
    assert_shown!(place.run(&["replay", "audit", "--policies", "nowhere"]), @r#"
    exit 1
    --- stderr
    error: `nowhere` is neither a directory nor a revision: `policies` is in no git repository

    hint: run it in a clone of the policies, or give directories instead of revisions
    "#);
}
