//! `deodar audit`, on logs that the library wrote.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deodar::audit::Audit;
use deodar::audit::EventRecord;
use deodar::audit::Options;
use deodar::directory::time::Time;
use deodar::serve::AuditLimits;
use deodar::serve::grpc::audit::AuditReading;
use serde_json::Value as Json;
use serde_json::json;

use crate::audit_service::Kept;
use crate::cli::Place;

/// 2026-11-22T03:00:00Z
const THREE: i64 = 1_795_316_400_000;
const MINUTE: i64 = 60_000;

/// Snapshots without what differs from run to run.
macro_rules! assert_audit {
    ($shown:expr, @$snapshot:literal) => {
        insta::with_settings!({filters => vec![
            (r"\b[0-9a-f]{64}\b", "[DIGEST]"),
            (r#""sha256":"[0-9a-f]+"#, r#""sha256":"[DIGEST]"#),
            // Some segments may be packed by now.
            (r"\d+ bytes on the disk", "[BYTES] on the disk"),
            (r"\.ndjson(\.zst)?\b", ".ndjson"),
            (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "[UUID]"),
            (r"\b[0-9a-f]{32}\b", "[LOG]"),
        ]}, { insta::assert_snapshot!($shown, @$snapshot) });
    };
}
pub(super) use assert_audit;

fn decision(number: i64, (who, action, what): (&str, &str, &str), outcome: &Json) -> EventRecord {
    let mut event = EventRecord::new(
        "decision",
        [
            ("id", json!(format!("00000000-0000-4000-8000-{number:012}"))),
            ("caller", json!("tcp:10.0.0.7:41200")),
            ("cached", json!(false)),
            ("latency_us", json!(21.5)),
            ("request", json!(format!("request-{number}"))),
            (
                "revisions",
                json!({"policies": if number < 3 { "aa11" } else { "bb22" }, "directory": "d-7"}),
            ),
            ("engine", json!("deodar 0.1.0, cedar 4.14.1")),
            ("principal", json!({"type": "User", "id": who})),
            ("action", json!({"type": "Action", "id": action})),
            ("resource", json!({"type": "Iot::Device", "id": what})),
        ],
    );
    event.fields.extend(outcome.as_object().unwrap().clone());
    event.fields.insert(
        "context".to_owned(),
        json!({"ip": {"__extn": {"fn": "ip", "arg": "10.0.0.1"}}}),
    );
    event
}

/// A log of one night, in several segments.
fn night_open(place: &Place) -> (PathBuf, Audit) {
    let directory = place.0.path().join("audit");
    let records = [
        EventRecord::new(
            "activation",
            [("revision", json!("aa11")), ("policies_count", json!(4))],
        ),
        decision(
            1,
            ("ann", "open", "door-bob"),
            &json!({"decision": "allow", "policies": ["owner"]}),
        ),
        decision(
            2,
            ("bob", "open", "door-bob"),
            &json!({"decision": "allow", "policies": ["owner", "staff"]}),
        ),
        EventRecord::new(
            "activation",
            [("revision", json!("bb22")), ("policies_count", json!(5))],
        ),
        decision(
            3,
            ("ann", "open", "door-bob"),
            &json!({"decision": "deny", "cause": "forbidden", "policies": ["night"]}),
        ),
        decision(
            4,
            ("=cmd()", "open", "press-1"),
            &json!({"decision": "deny", "cause": "unknown_principal"}),
        ),
        decision(
            5,
            ("ann", "read", "press-1"),
            &json!({"decision": "deny", "cause": "no_permit",
            "errors": [{"policy": "staff", "message": "no such attribute"}]}),
        ),
    ];
    let millis = Arc::new(AtomicI64::new(THREE));
    let audit = Audit::open(Options {
        directory: directory.clone(),
        time: Time::Set(Arc::clone(&millis)),
        segment_bytes: 1500,
        segment_age: Duration::from_hours(1000),
        ..Options::default()
    })
    .unwrap();
    for (number, record) in records.into_iter().enumerate() {
        let at = THREE + 4 * MINUTE * i64::try_from(number).unwrap();
        millis.store(at, Ordering::Relaxed);
        drop(audit.submit(at, record));
        audit.flush_blocking().unwrap();
    }
    (directory, audit)
}

/// The same, closed.
pub(super) fn night(place: &Place) -> PathBuf {
    let (directory, audit) = night_open(place);
    audit.close();
    directory
}

pub(super) fn run(place: &Place, arguments: &[&str]) -> String {
    place.run(&[&["audit"], arguments, &["--path", "audit"]].concat())
}

/// What a command printed as JSON, and nothing else.
fn json_of(exit: &str, shown: &str) -> Json {
    let printed = shown.strip_prefix(&format!("{exit}\n--- stdout\n"));
    serde_json::from_str(printed.unwrap_or_else(|| panic!("{shown}"))).unwrap()
}

/// The seqs of the records that a query gives.
fn seqs(place: &Place, arguments: &[&str]) -> Vec<u64> {
    let shown = run(place, &[&["query", "--json"], arguments].concat());
    let text = shown.strip_prefix("exit 0\n--- stdout\n");
    let Some(text) = text else {
        assert_eq!(shown, "exit 0\n--- stderr\nno record matches\n");
        return Vec::new();
    };
    let records = text
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap());
    records
        .map(|record| record["seq"].as_u64().unwrap())
        .collect()
}

/// The segments, all of them unpacked.
fn segments(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap();
    let mut plain = Vec::new();
    for file in files.map(|entry| entry.unwrap().path()) {
        match file.extension().and_then(|end| end.to_str()) {
            Some("zst") => {
                let text = zstd::decode_all(fs::File::open(&file).unwrap()).unwrap();
                fs::remove_file(&file).unwrap();
                fs::write(file.with_extension(""), text).unwrap();
                plain.push(file.with_extension(""));
            }
            Some("ndjson") => plain.push(file),
            _ => {}
        }
    }
    plain.sort();
    plain
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn tables() {
    let place = Place::new();
    night(&place);
    assert_audit!(run(&place, &["query", "--since", "2026-11-22T03:04", "--kind", "activation", "--kind", "decision"]), @r#"
    exit 0
    --- stdout
    seq  time                      decision    principal       action          resource                 why                       caller
    3    2026-11-22T03:04:00.000Z  allow       User::"ann"     Action::"open"  Iot::Device::"door-bob"  owner                     tcp:10.0.0.7:41200
    4    2026-11-22T03:08:00.000Z  allow       User::"bob"     Action::"open"  Iot::Device::"door-bob"  owner, staff              tcp:10.0.0.7:41200
    6    2026-11-22T03:12:00.000Z  activation  revision=bb22 policies_count=5
    7    2026-11-22T03:16:00.000Z  deny        User::"ann"     Action::"open"  Iot::Device::"door-bob"  forbidden: night          tcp:10.0.0.7:41200
    8    2026-11-22T03:20:00.000Z  deny        User::"=cmd()"  Action::"open"  Iot::Device::"press-1"   unknown_principal         tcp:10.0.0.7:41200
    10   2026-11-22T03:24:00.000Z  deny        User::"ann"     Action::"read"  Iot::Device::"press-1"   no_permit; failed: staff  tcp:10.0.0.7:41200
    "#);
    assert_audit!(run(&place, &["tail", "-n", "2"]), @r#"
    exit 0
    --- stdout
    seq  time                      decision  principal    action          resource                why                       caller
    9    2026-11-22T03:24:00.000Z  segment   log=[LOG] segment=3 previous={"file":"00000000000000000005.ndjson","records":4,"bytes":1793,"sha256":"[DIGEST]...
    10   2026-11-22T03:24:00.000Z  deny      User::"ann"  Action::"read"  Iot::Device::"press-1"  no_permit; failed: staff  tcp:10.0.0.7:41200
    "#);
    assert_audit!(run(&place, &["query", "--decision", "deny", "--csv"]), @r#"
    exit 0
    --- stdout
    seq,time,kind,decision,cause,principal,action,resource,policies,failed,caller,id,request,trace,policies_revision,directory_revision
    7,2026-11-22T03:16:00.000Z,decision,deny,forbidden,"User::""ann""","Action::""open""","Iot::Device::""door-bob""",night,,tcp:10.0.0.7:41200,[UUID],request-3,,bb22,d-7
    8,2026-11-22T03:20:00.000Z,decision,deny,unknown_principal,"User::""=cmd()""","Action::""open""","Iot::Device::""press-1""",,,tcp:10.0.0.7:41200,[UUID],request-4,,bb22,d-7
    10,2026-11-22T03:24:00.000Z,decision,deny,no_permit,"User::""ann""","Action::""read""","Iot::Device::""press-1""",,staff,tcp:10.0.0.7:41200,[UUID],request-5,,bb22,d-7
    "#);
    assert_audit!(run(&place, &["query", "--decision", "deny", "--until", "03:00", "--since", "2020-01-01"]), @r"
    exit 0
    --- stderr
    no record matches
    ");
}

#[test]
fn filters() {
    let place = Place::new();
    night(&place);
    let all = seqs(&place, &["--kind", "decision"]);
    let [first, second, third, fourth, fifth] = all[..] else {
        panic!("{all:?}");
    };
    for (arguments, expected) in [
        (&["--decision", "allow"][..], vec![first, second]),
        (&["--cause", "forbidden"], vec![third]),
        (&["--principal", "User::\"ann\""], vec![first, third, fifth]),
        (
            &["--principal", "User", "--action", "Action::\"open\""],
            vec![first, second, third, fourth],
        ),
        (
            &["--resource", "Iot::Device::\"press-1\""],
            vec![fourth, fifth],
        ),
        (&["--policy", "staff"], vec![second, fifth]),
        (
            &["--revision", "bb", "--kind", "decision"],
            vec![third, fourth, fifth],
        ),
        (&["--directory-revision", "d-8"], vec![]),
        (
            &["--caller", "tcp:10.0.0.7", "--limit", "2"],
            vec![first, second],
        ),
        (&["--caller", "tcp:10.0.0.8"], vec![]),
        (&["--request", "request-4"], vec![fourth]),
        (
            &["--id", "00000000-0000-4000-8000-000000000002"],
            vec![second],
        ),
        (
            &["--kind", "decision", "--reverse", "--limit", "2"],
            vec![fifth, fourth],
        ),
        (
            &[
                "--decision",
                "deny",
                "--since",
                "2026-11-22T03:15",
                "--until",
                "2026-11-22T03:18",
            ],
            vec![third],
        ),
    ] {
        assert_eq!(seqs(&place, arguments), expected, "{arguments:?}");
    }
}

#[test]
fn what_is_shown_of_one_record() {
    let place = Place::new();
    night(&place);
    let denied = seqs(&place, &["--cause", "forbidden"])[0].to_string();
    assert_audit!(run(&place, &["show", &denied]), @r#"
    exit 0
    --- stdout
    deny  forbidden by `night`  record 7 at 2026-11-22T03:16:00.000Z
      principal   User::"ann"
      action      Action::"open"
      resource    Iot::Device::"door-bob"
      prev        [DIGEST]
      durable     200ms
      id          [UUID]
      caller      tcp:10.0.0.7:41200
      cached      false
      latency_us  21.5
      request     request-3
      revisions   {"policies":"bb22","directory":"d-7"}
      engine      deodar 0.1.0, cedar 4.14.1
      cause       forbidden
      policies    night
    context
      {
        "ip": {
          "__extn": {
            "fn": "ip",
            "arg": "10.0.0.1"
          }
        }
      }
    what to do next
      ask again, now, and be told which conditions hold:
        deodar check --principal 'User::"ann"' --action 'Action::"open"' --resource 'Iot::Device::"door-bob"' --context '{"ip":{"__extn":{"fn":"ip","arg":"10.0.0.1"}}}'
      see when these policies came into force:
        deodar audit query --kind activation --revision bb22
    "#);
    let by_id = run(&place, &["show", "00000000-0000-4000-8000-000000000003"]);
    assert_eq!(by_id, run(&place, &["show", &denied]));
    assert_audit!(run(&place, &["show", "999"]), @r"
    exit 1
    --- stderr
    error: there is no record `999`

    hint: a number is the `seq` of a record, everything else the `id` of a decision; old records may have been dropped: see `deodar audit stats`
    ");
}

#[test]
fn a_whole_log() {
    let place = Place::new();
    night(&place);
    assert_audit!(run(&place, &["verify"]), @r"
    exit 0
    --- stdout
    whole  audit
      log       [LOG]
      segments  3
      records   10, 1 to 10
      bytes     4455
      head      10 [DIGEST]
    ");
    assert_audit!(run(&place, &["stats"]), @r#"
    exit 0
    --- stdout
    segments  3, [BYTES] on the disk
    records  10, 4455 bytes
    first  1 at 2026-11-22T03:00:00.000Z
    last  10 at 2026-11-22T03:24:00.000Z
    kinds
      decision    5
      segment     3
      activation  2
    decisions
      deny   3
      allow  2
    denied because
      forbidden          1
      no_permit          1
      unknown_principal  1
    revisions of the policies
      aa11  since 2026-11-22T03:04:00.000Z  2 allow  0 deny
      bb22  since 2026-11-22T03:16:00.000Z  0 allow  3 deny
    policies that decided
      owner  2
      night  1
      staff  1
    policies that failed
      staff  1
    denied principals
      User::"ann"     2
      User::"=cmd()"  1
    denied resources
      Iot::Device::"press-1"   2
      Iot::Device::"door-bob"  1
    callers
      tcp:10.0.0.7:41200  5
    "#);
    let of_one = ["stats", "--json", "--revision", "bb22", "--top", "1"];
    let json = json_of("exit 0", &run(&place, &of_one));
    assert_eq!(json["decisions"], json!({"allow": 0, "deny": 3}));
    assert_eq!(
        json["denied_principals"],
        json!({"top": [{"name": "User::\"ann\"", "count": 2}], "others": 1})
    );
    let of_one = ["stats", "--csv", "--revision", "bb22", "--top", "1"];
    let rows = run(&place, &of_one);
    for row in [
        "list,name,count",
        "decisions,deny,3",
        "denied_principals,\"User::\"\"ann\"\"\",2",
        "denied_principals,(others),1",
        "revisions_deny,bb22,3",
    ] {
        assert!(rows.lines().any(|line| line.trim() == row), "{row}\n{rows}");
    }
    let verified = run(&place, &["verify", "--csv"]);
    assert!(verified.contains("whole,segments,records,"), "{verified}");
    assert!(verified.contains("true,3,10,10,"), "{verified}");
}

#[test]
fn broken_logs() {
    let broken = |mend: &dyn Fn(&[PathBuf])| {
        let place = Place::new();
        let files = segments(&night(&place));
        assert!(files.len() >= 3, "{files:?}");
        mend(&files);
        (run(&place, &["verify"]), place)
    };
    let (changed, place) = broken(&|files| edit(&files[1], "\"forbidden\"", "\"forgotten\""));
    assert_audit!(changed, @r"
    exit 1
    --- stdout
    damaged  audit
    the first fault
      what    this line, or `prev` of the record after it, was changed
      file    00000000000000000005.ndjson
      line    3
      record  7
      byte    562
    read until then
      log        [LOG]
      segments   2
      records    6, 1 to 6
      bytes      2201
      last good  6 [DIGEST]

    hint: keep the directory as it is, as evidence; compare this place with a copy made before; no crash does this, so look for who could write to the directory
    ");
    let json = json_of("exit 1", &run(&place, &["verify", "--json"]));
    assert_eq!(
        (&json["whole"], &json["fault"]["file"]),
        (&json!(false), &json!("00000000000000000005.ndjson"))
    );
    // Cut into the middle of a line: what is before it is still shown.
    let (cut, place) = broken(&|files| {
        let text = fs::read(&files[1]).unwrap();
        fs::write(&files[1], &text[..text.len() - 40]).unwrap();
    });
    assert_audit!(cut, @r"
    exit 1
    --- stdout
    damaged  audit
    the first fault
      what    the file ends within this line
      file    00000000000000000005.ndjson
      line    4
      record  8
      byte    1183
    read until then
      log        [LOG]
      segments   2
      records    7, 1 to 7
      bytes      2822
      last good  7 [DIGEST]

    hint: keep the directory as it is; check the disk and its messages, and compare this place with a copy made before
    ");
    assert_audit!(run(&place, &["query", "--kind", "activation"]), @r"
    exit 1
    --- stdout
    seq  time                      decision    principal  action  resource  why  caller
    2    2026-11-22T03:00:00.000Z  activation  revision=aa11 policies_count=4
    6    2026-11-22T03:12:00.000Z  activation  revision=bb22 policies_count=5
    --- stderr
    error: the audit log is damaged: `00000000000000000005.ndjson` line 4 (record 8, byte 1183): the file ends within this line

    hint: run `deodar audit verify`
    ");
    let (missing, _place) = broken(&|files| fs::remove_file(&files[1]).unwrap());
    assert_audit!(missing, @r"
    exit 1
    --- stdout
    damaged  audit
    the first fault
      what    the segment `00000000000000000005.ndjson` before this one is missing
      file    00000000000000000009.ndjson
      line    1
      record  5
      byte    0
    read until then
      log        [LOG]
      segments   2
      records    4, 1 to 4
      bytes      1639
      last good  4 [DIGEST]

    hint: look for the file where it may have been moved to, and put it back; retention tells of what it drops, so it was not that
    ");
    let (beheaded, _place) = broken(&|files| fs::remove_file(&files[0]).unwrap());
    assert_audit!(beheaded, @r"
    exit 1
    --- stdout
    damaged  audit
    the first fault
      what    the segments before this one are missing, and no `retention` record tells of it
      file    00000000000000000005.ndjson
      line    1
      record  5
      byte    0
    read until then
      log        [LOG]
      segments   2
      records    6, 5 to 10
      bytes      2816
      last good  10 [DIGEST]

    hint: look for the file where it may have been moved to, and put it back; retention tells of what it drops, so it was not that
    ");
}

#[test]
fn no_log() {
    let place = Place::new();
    fs::create_dir(place.0.path().join("audit")).unwrap();
    assert_audit!(run(&place, &["verify"]), @r"
    exit 1
    --- stderr
    error: there is no audit log in `audit`

    hint: name the directory that the server has as `audit.path`
    ");
    let query = run(&place, &["query", "--principal", "User::bob"]);
    assert_eq!(query, run(&place, &["verify"]));
    assert_audit!(run(&place, &["query", "--since", "tomorrow"]), @r"
    exit 2
    --- stderr
    error: invalid value 'tomorrow' for '--since <TIME>': not a time such as 2h, 7d, 03:12, yesterday, 2026-11-22, 2026-11-22T03:12 or 2026-11-22T04:12:00+01:00

    For more information, try '--help'.
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_gives_what_its_files_do() {
    let place = Place::new();
    let (directory, audit) = {
        let place = &place;
        tokio::task::block_in_place(|| night_open(place))
    };
    let kept = Kept::start(Some(AuditReading {
        directory,
        durable: audit.durable(),
        limits: AuditLimits::default(),
    }))
    .await;
    let off = Kept::start(None).await;
    let done = tokio::task::spawn_blocking(move || {
        let ask = |arguments: &[&str]| {
            place.run(&[&["audit"], arguments, &["--server", &kept.url]].concat())
        };
        for arguments in [
            &["query"][..],
            &["query", "--decision", "deny", "--reverse", "--limit", "3"],
            &["tail", "-n", "5", "--csv"],
            &["diff"],
            &["diff", "aa", "bb", "--json"],
            &["diff", "cc"],
            &["show", "00000000-0000-4000-8000-000000000003"],
            &["show", "3", "--json"],
        ] {
            assert_eq!(ask(arguments), run(&place, arguments), "{arguments:?}");
        }
        let followed = ["tail", "-n", "2", "--follow", "--count", "2", "--json"];
        assert_eq!(ask(&followed), run(&place, &followed));
        let off = place.run(&["audit", "tail", "--server", &off.url]);
        assert_audit!(off, @r"
    exit 1
    --- stderr
    error: Unimplemented: this server keeps no audit log; set `audit.path`, or ask a server that keeps one
    ");
    });
    done.await.unwrap();
    audit.close();
}
