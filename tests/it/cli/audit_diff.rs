//! `deodar audit diff`, on a log that the library wrote.

use serde_json::Value as Json;
use serde_json::json;

use super::audit::assert_audit;
use super::audit::night;
use super::audit::run;
use crate::cli::Place;

#[test]
fn what_the_last_commit_changed() {
    let place = Place::new();
    night(&place);
    let shown = run(&place, &["diff"]);
    assert_audit!(shown, @r#"
    exit 0
    --- stdout
    revisions of the policies
      before  aa11  since 2026-11-22T03:00:00.000Z  2 allow  0 deny  2026-11-22T03:04:00.000Z to 2026-11-22T03:08:00.000Z
      after   bb22  since 2026-11-22T03:12:00.000Z  0 allow  3 deny  2026-11-22T03:16:00.000Z to 2026-11-22T03:24:00.000Z
    policies that decide more or less often, and of 1000 decisions
      owner  2  → 0  1000.0  → 0.0    only before
      staff  1  → 0  500.0   → 0.0    only before, failed 0 → 1
      night  0  → 1  0.0     → 333.3  only after
    answered differently: 1 of 1 question asked under both
      allow → deny  User::"ann"  Action::"open"  Iot::Device::"door-bob"
        before  1 allow  0 deny  record 3  owner
        after   0 allow  1 deny  record 7  forbidden: night
    "#);
    assert_eq!(run(&place, &["diff", "bb"]), shown);
    assert_eq!(run(&place, &["diff", "aa11", "b"]), shown);
    assert_audit!(run(&place, &["diff", "--csv"]), @r#"
    exit 0
    --- stdout
    what,name,before,after,before_per_1000,after_per_1000,principal,action,resource,decision_before,decision_after,policies_before,policies_after,seq_before,seq_after,also_different
    answer,allow,2,0,1000.0,0.0,,,,,,,,,,
    answer,deny,0,3,0.0,1000.0,,,,,,,,,,
    policy,owner,2,0,1000.0,0.0,,,,,,,,,,
    policy,staff,1,0,500.0,0.0,,,,,,,,,,
    failed,staff,0,1,0.0,333.3,,,,,,,,,,
    policy,night,0,1,0.0,333.3,,,,,,,,,,
    question,,1,1,,,"User::""ann""","Action::""open""","Iot::Device::""door-bob""",allow,deny,owner,night,3,7,
    "#);
    let json = run(&place, &["diff", "--json", "--top", "1"]);
    let json: Json =
        serde_json::from_str(json.strip_prefix("exit 0\n--- stdout\n").unwrap()).unwrap();
    assert_eq!(json["before"]["revision"], "aa11");
    assert_eq!(json["after"]["deny"], 3);
    assert_eq!(json["policies"]["others"], 2);
    assert_eq!(
        json["policies"]["top"][0]["decided"]["before_per_1000"],
        1000.0
    );
    let questions = &json["questions"];
    assert_eq!(
        (&questions["asked_twice"], &questions["changed"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(questions["top"][0]["after"]["policies"], json!(["night"]));
    assert_eq!(questions["top"][0]["also_different"], json!([]));
    assert_eq!(questions["by_policies_alone"], 1);
}

#[test]
fn what_is_asked_for_is_narrowed() {
    let place = Place::new();
    night(&place);
    assert_audit!(run(&place, &["diff", "--principal", "User::\"bob\""]), @r#"
    exit 0
    --- stdout
    revisions of the policies
      before  aa11  since 2026-11-22T03:00:00.000Z  1 allow  0 deny  2026-11-22T03:08:00.000Z to 2026-11-22T03:08:00.000Z
      after   bb22  since 2026-11-22T03:12:00.000Z  0 allow  0 deny  no decisions
    policies that decide more or less often, and of 1000 decisions
      owner  1  → 0  1000.0  → 0.0  only before
      staff  1  → 0  1000.0  → 0.0  only before
    answered differently: 0 of 0 questions asked under both
    note: 1 of the two revisions made no decision: there is nothing to compare yet
    "#);
    assert_audit!(run(&place, &["diff", "--top", "0", "--since", "2026-11-22T03:05"]), @r#"
    exit 0
    --- stdout
    revisions of the policies
      before  aa11  since 2026-11-22T03:00:00.000Z  1 allow  0 deny  2026-11-22T03:08:00.000Z to 2026-11-22T03:08:00.000Z
      after   bb22  since 2026-11-22T03:12:00.000Z  0 allow  3 deny  2026-11-22T03:16:00.000Z to 2026-11-22T03:24:00.000Z
    policies that decide more or less often, and of 1000 decisions
      (and 3 more: see `--top`)
    answered differently: 0 of 0 questions asked under both
    "#);
}

#[test]
fn what_cannot_be_compared() {
    let place = Place::new();
    night(&place);
    assert_audit!(run(&place, &["diff", "cc"]), @r#"
    exit 1
    --- stderr
    error: the log has no revision `cc`

    hint: it has `bb22`, `aa11`
    "#);
    assert_audit!(run(&place, &["diff", "bb", "bb22"]), @r#"
    exit 1
    --- stderr
    error: both are the revision `bb22`

    hint: name two, or none for the newest and the one before it
    "#);
    assert_audit!(run(&place, &["diff", "aa"]), @r#"
    exit 1
    --- stderr
    error: the log tells of no policies that were in force before `aa11`

    hint: compare again when other policies came into force: `deodar audit query --kind activation` shows when
    "#);
    assert_audit!(run(&place, &["diff", "--until", "2026-11-22T03:12"]), @r#"
    exit 1
    --- stderr
    error: the log tells of no policies that were in force before `aa11`

    hint: compare again when other policies came into force: `deodar audit query --kind activation` shows when
    "#);
    assert_audit!(run(&place, &["diff", "--until", "2026-11-22T02:00"]), @r#"
    exit 1
    --- stderr
    error: the log tells of no policies that came into force

    hint: name the directory of another log, or look later
    "#);
}
