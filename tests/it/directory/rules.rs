//! The rules that caches of decisions were found to break, each as a test. The
//! tenth, that cached is uncached, is `engine_oracle/cached.rs`.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Barrier;
use std::time::Duration;

use deodar::directory::log::Memory;
use deodar::directory::operation::Operation;
use deodar::directory::operation::Patch;
use deodar::engine::Query;
use deodar::identity::Caller;
use deodar::pdp::cache::CacheSettings;
use deodar::pdp::key::Asked;
use deodar::pdp::key::Key;
use serde_json::Value as Json;
use serde_json::json;
use smol_str::SmolStr;

use super::site::POLICIES;
use super::site::Plan;
use super::site::Site;
use super::site::ask;
use super::site::link;
use super::site::member;
use super::site::put;
use super::site::question;
use super::site::uid;
use crate::convert;
use crate::engine_oracle::loaded::core_entity;

/// Ann reads as a reader, bo because of his boss's rank.
pub fn site() -> Site {
    let site = Site::new();
    site.write(people());
    site
}

pub fn people() -> Vec<Operation> {
    let boss = json!({"boss": {"__entity": {"type": "User", "id": "chief"}}});
    vec![
        put("Group::readers", &json!({}), &[]),
        put("Group::team", &json!({}), &["Group::readers"]),
        put("User::ann", &json!({}), &["Group::team"]),
        put("User::bo", &boss, &[]),
        put("User::chief", &json!({"level": 9}), &[]),
        put("User::other", &json!({}), &[]),
        put("Group::shelf", &json!({}), &[]),
        put("Doc::d", &json!({}), &["Group::shelf"]),
        put("Doc::e", &json!({}), &[]),
    ]
}

pub fn patch(name: &str, attribute: &str, value: i64) -> Operation {
    Operation::Patch(Patch {
        uid: uid(name),
        set: BTreeMap::from([(SmolStr::new(attribute), value.into())]),
        unset: std::collections::BTreeSet::new(),
        set_tags: BTreeMap::new(),
        unset_tags: std::collections::BTreeSet::new(),
        expires: None,
    })
}

pub fn join(name: &str, parent: &str, expires: Option<i64>) -> Operation {
    Operation::AddParent {
        uid: uid(name),
        parent: member(parent, expires),
    }
}

pub fn leave(name: &str, parent: &str) -> Operation {
    Operation::RemoveParent {
        uid: uid(name),
        parent: uid(parent),
    }
}

pub fn delete(name: &str) -> Operation {
    Operation::Delete {
        uid: uid(name),
        detach_members: true,
    }
}

/// Without a schema, so that any context may be asked with.
fn key(context: &Json, carried: &[Json]) -> Key {
    let all = "permit (principal, action, resource) when { context.a == context.b };";
    let files = deodar::engine::Files::new([("a.cedar".to_owned(), all.into())]);
    let snapshot = deodar::engine::compile(&files).unwrap();
    let query = Query {
        principal: uid("User::ann"),
        action: uid("Action::read"),
        resource: uid("Doc::d"),
        context: Arc::new(convert::context(context.as_object().unwrap())),
        overlay: carried.iter().cloned().map(core_entity).collect(),
    };
    Asked::new(&snapshot, &query).into_key()
}

fn are_told_apart(keys: &[Key]) {
    for (at, key) in keys.iter().enumerate() {
        for (other_at, other) in keys.iter().enumerate() {
            assert_eq!(at == other_at, key == other, "{at} and {other_at}");
        }
    }
}

/// Seen to fail when `Writer::value` writes sets without their count, and when
/// `Writer::fields` writes no names.
#[test]
fn rule_1_the_key_holds_the_whole_context() {
    let extension = |function: &str, text: &str| json!({"__extn": {"fn": function, "arg": text}});
    let entity = |kind: &str, id: &str| json!({"__entity": {"type": kind, "id": id}});
    let values = [
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(-1),
        json!(i64::MIN),
        json!(""),
        json!("1"),
        json!("true"),
        json!([]),
        json!([[]]),
        json!([[1], [2]]),
        json!([[1, 2]]),
        json!([[1], [2], []]),
        json!([[[1]], [2]]),
        json!([[], [[]]]),
        json!([[[[]]]]),
        json!(["a", "b"]),
        json!(["ab"]),
        json!({}),
        json!({"a": 1}),
        json!({"b": 1}),
        json!({"a": {"a": 1}}),
        json!({"a": 1, "b": 1}),
        entity("User", "ann"),
        entity("User", "anna"),
        entity("Use", "rann"),
        entity("A::User", "ann"),
        extension("ip", "10.0.0.1"),
        extension("ip", "10.0.0.0/8"),
        extension("decimal", "1.5"),
        extension("decimal", "1.25"),
        extension("datetime", "2026-11-22"),
        extension("datetime", "2026-11-22T00:00:01Z"),
        extension("duration", "1h"),
        extension("duration", "1s"),
    ];
    let mut keys: Vec<Key> = values
        .iter()
        .map(|value| key(&json!({"a": value}), &[]))
        .collect();
    keys.push(key(&json!({}), &[]));
    keys.push(key(&json!({"b": true}), &[]));
    keys.push(key(&json!({"a": "x", "b": "yz"}), &[]));
    keys.push(key(&json!({"a": "xy", "b": "z"}), &[]));
    are_told_apart(&keys);
    // What no policy reads is not asked about.
    let spare = key(&json!({"a": true, "unread": 7}), &[]);
    assert_eq!(spare, keys[0]);
}

/// Seen to fail when `key::pack` leaves out attributes, tags, or parents, and
/// when the entities are compared by Cedar's `==`.
#[test]
fn rule_1_the_key_holds_carried_entities_whole() {
    let carried = |attributes: Json, tags: Json, parents: Json| {
        json!({
            "uid": {"type": "User", "id": "x"}, "attrs": attributes, "tags": tags, "parents": parents,
        })
    };
    let group = |id: &str| json!({"type": "Group", "id": id});
    let plain = carried(json!({}), json!({}), json!([]));
    let ranked = carried(json!({"level": 1}), json!({}), json!([]));
    let mut other = plain.clone();
    other["uid"]["id"] = json!("y");
    let keys = [
        vec![],
        vec![plain.clone()],
        vec![ranked.clone()],
        vec![carried(json!({"level": 2}), json!({}), json!([]))],
        vec![carried(json!({}), json!({"level": 1}), json!([]))],
        vec![carried(json!({}), json!({"level": 2}), json!([]))],
        vec![carried(json!({}), json!({}), json!([group("a")]))],
        vec![carried(json!({}), json!({}), json!([group("b")]))],
        vec![carried(
            json!({}),
            json!({}),
            json!([group("a"), group("b")]),
        )],
        vec![plain.clone(), plain.clone()],
        vec![plain.clone(), ranked.clone()],
        vec![ranked, plain.clone()],
        vec![plain.clone(), other.clone()],
        vec![other, plain],
    ]
    .map(|carried| key(&json!({}), &carried));
    are_told_apart(&keys);
}

/// Seen to fail when `authorize` stores with the sequence of what is in force
/// instead of what is pinned, and when `find` does not look at the stamps.
#[test]
fn rule_2_an_entry_is_as_old_as_its_evaluation() {
    let site = site();
    let before = site.pin();
    site.write([leave("User::ann", "Group::team")]);
    // Made after the write, but of what was before it.
    let late = ask(&before, "User::ann", "read", "Doc::d");
    assert!(late.decision.is_allow() && !late.cached);
    let now = site.ask("User::ann", "read", "Doc::d");
    assert!(!now.decision.is_allow() && !now.cached);
    // Nor is the new answer given to who still holds the old state.
    let late = ask(&before, "User::ann", "read", "Doc::d");
    assert!(late.decision.is_allow() && !late.cached);
}

/// Seen to fail when `keep` keeps decisions with errors.
#[test]
fn rule_3_errors_are_not_kept() {
    let site = site();
    site.write([patch("User::ann", "level", 1)]);
    for _ in 0..2 {
        let answer = site.ask("User::ann", "write", "Doc::d");
        assert_eq!(answer.decision.errors.len(), 1);
        assert!(!answer.cached && !answer.decision.is_allow());
    }
    assert_eq!(site.counted("cause=\"errors\""), 2);
    assert_eq!(site.pdp.cache().unwrap().size().0, 0);
    // A question that cannot be answered is none the second time either.
    let pinned = site.pin();
    let bad =
        json!({"uid": {"type": "User", "id": "ann"}, "attrs": {"level": "text"}, "parents": []});
    let query = question(&pinned, "User::ann", "read", "Doc::d", &json!({}), &[bad]);
    for _ in 0..2 {
        assert!(pinned.authorize(&Caller::Local, &query).is_err());
    }
}

/// Seen to fail when `key::pack` leaves out attributes.
#[test]
fn rule_4_questions_of_a_batch_that_look_alike_are_answered_each() {
    let site = site();
    let carrying = |level: i64| json!({"uid": {"type": "User", "id": "chief"}, "attrs": {"level": level}, "parents": []});
    for order in [[9, 1], [1, 9], [8, 2]] {
        let pinned = site.pin();
        for (round, level) in order.into_iter().chain(order).enumerate() {
            let carried = [carrying(level)];
            let query = question(&pinned, "User::bo", "read", "Doc::d", &json!({}), &carried);
            let answer = pinned.authorize(&Caller::Local, &query).unwrap();
            assert_eq!(answer.decision.is_allow(), level > 5, "{level}");
            assert!(answer.cached || round < 2, "{level}");
        }
    }
}

/// Seen to fail when `Reach::stored` and `Reach::body` note only what they find.
#[test]
fn rule_5_what_is_missing_is_depended_on() {
    let site = site();
    let asked = |resource: &str, allows: bool, cached: bool| {
        let answer = site.ask("User::new", "read", resource);
        assert_eq!(
            (answer.decision.is_allow(), answer.cached),
            (allows, cached)
        );
    };
    // The principal itself.
    asked("Doc::d", false, false);
    asked("Doc::d", false, true);
    let boss = json!({"boss": {"__entity": {"type": "User", "id": "nobody"}}});
    site.write([put("User::new", &boss, &["Group::later"])]);
    // Behind an attribute, and an ancestor.
    asked("Doc::d", false, false);
    asked("Doc::d", false, true);
    site.write([put("User::nobody", &json!({"level": 9}), &[])]);
    asked("Doc::d", true, false);
    site.write([delete("User::nobody")]);
    asked("Doc::d", false, false);
    site.write([put("Group::later", &json!({}), &["Group::readers"])]);
    asked("Doc::d", true, false);
    asked("Doc::d", true, true);
    // The resource.
    asked("Doc::new", false, false);
    site.write([put("Doc::new", &json!({}), &[])]);
    asked("Doc::new", true, false);
}

/// Seen to fail when `AddParent` drops the end, and when `put_in_force` publishes
/// without telling what changed.
#[test]
fn rule_6_no_clock_makes_an_entry_good_or_bad() {
    let site = site();
    let end = |seconds: i64| Some(super::site::START + seconds);
    site.write([
        join("User::other", "Group::readers", end(10)),
        link("k", None, "Doc::e", end(20)),
    ]);
    assert!(site.allows("User::other", "Doc::d"));
    assert!(site.allows("User::chief", "Doc::e"));
    for second in [5, 9] {
        site.at(second);
        assert!(site.ask("User::other", "read", "Doc::d").cached, "{second}");
    }
    let before = site.directory.tip().revision.sequence;
    site.at(10);
    assert_eq!(site.directory.tip().revision.sequence, before + 1);
    let ended = site.ask("User::other", "read", "Doc::d");
    assert!(!ended.decision.is_allow() && !ended.cached);
    assert!(site.ask("User::chief", "read", "Doc::e").cached);
    site.at(20);
    assert!(!site.allows("User::chief", "Doc::e"));
    // Going back in time brings nothing back.
    site.at(0);
    assert!(site.ask("User::other", "read", "Doc::d").cached);
    assert!(!site.allows("User::other", "Doc::d"));
}

/// There is no single flight: whoever misses evaluates, and all are right.
/// Seen to fail when keys are compared and hashed without the principal.
#[test]
fn rule_7_all_that_miss_at_once_are_right() {
    let site = site();
    let docs: Vec<String> = (0..100).map(|number| format!("Doc::{number}")).collect();
    site.write(docs.iter().map(|doc| put(doc, &json!({}), &[])));
    let threads = 4;
    let barrier = Barrier::new(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for doc in &docs {
                    barrier.wait();
                    for (who, allows) in [("User::ann", true), ("User::other", false)] {
                        let pinned = site.pin();
                        assert_eq!(ask(&pinned, who, "read", doc).decision.is_allow(), allows);
                    }
                }
            });
        }
    });
    let (hits, misses) = site.pdp.counters().cache().hits_and_misses();
    assert_eq!(hits + misses, 2 * 100 * threads as u64);
    assert!(misses >= 200, "{misses}");
}

/// Seen to fail when entries live as long as the process and `find` does not compare
/// generations.
#[test]
fn rule_8_a_cold_start_is_a_miss() {
    let log = Arc::new(Memory::default());
    let site = Site::on(Arc::clone(&log) as Arc<_>, Plan::default()).unwrap();
    site.write(people());
    assert!(site.allows("User::ann", "Doc::d"));
    assert!(site.ask("User::ann", "read", "Doc::d").cached);
    site.write([leave("User::ann", "Group::team")]);
    drop(site);
    super::site::wait_until_let_go(&Arc::downgrade(&log), 1);
    let site = Site::on(log, Plan::default()).unwrap();
    let first = site.ask("User::ann", "read", "Doc::d");
    assert!(!first.cached && !first.decision.is_allow());
    assert!(site.ask("User::ann", "read", "Doc::d").cached);
    // What was written before the start is no change since.
    assert_eq!(site.counted("cause=\"entities_changed\""), 0);
}

/// Seen to fail when hits are counted twice, and errors not at all.
#[test]
fn rule_9_what_the_cache_does_is_counted() {
    let plan = Plan {
        cache: CacheSettings {
            bytes_max: 64 << 10,
            stamps: 1 << 16,
            skip_actions: HashSet::from([cedar_policy_core::ast::EntityUID::clone(&uid(
                "Action::look",
            ))]),
        },
        ..Plan::default()
    };
    let site = Site::on(Arc::new(Memory::default()), plan).unwrap();
    site.write(people());
    let labels = [
        "hit",
        "absent",
        "policies_changed",
        "entities_changed",
        "action",
        "errors",
        "replaced",
    ];
    let mut expected = [0; 7];
    let mut moves = |at: &[usize]| {
        for at in at {
            expected[*at] += 1;
        }
        let counted = labels.map(|label| match label {
            "hit" => site.counted("result=\"hit\""),
            other => site.counted(&format!("cause=\"{other}\"")),
        });
        assert_eq!(counted, expected, "{at:?}");
    };
    moves(&[]);
    site.allows("User::ann", "Doc::d");
    moves(&[1]);
    site.allows("User::ann", "Doc::d");
    moves(&[0]);
    site.write([leave("User::ann", "Group::team")]);
    site.allows("User::ann", "Doc::d");
    moves(&[3, 6]);
    site.activate(POLICIES);
    site.allows("User::ann", "Doc::d");
    moves(&[2, 6]);
    site.ask("User::ann", "look", "Doc::d");
    moves(&[4]);
    site.write([patch("User::ann", "level", 1)]);
    site.ask("User::ann", "write", "Doc::d");
    moves(&[1, 5]);
    for number in 0..2000 {
        site.allows("User::ann", &format!("Doc::{number}"));
    }
    assert!(site.counted("cause=\"size\"") > 100);
}

/// Seen to fail when `keep_for` gives its time whatever the errors.
#[test]
fn an_answer_with_errors_is_not_to_be_kept_by_callers() {
    let settings = deodar::pdp::Settings {
        keep_for: Duration::from_secs(5),
        ..deodar::pdp::Settings::default()
    };
    let counters = Arc::default();
    let pdp = deodar::pdp::Pdp::new(settings, &CacheSettings::default(), counters);
    let policy = "permit (principal, action, resource) when { context.n + 1 > 0 };";
    let files = [
        ("a.cedar", policy),
        ("manifest.toml", "unknown = \"cedar\"\n"),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    let files = deodar::engine::Files::new(files);
    let snapshot = deodar::engine::compile(&files).unwrap();
    let view = deodar::directory::load(&snapshot, &files).unwrap();
    let since = std::time::UNIX_EPOCH;
    pdp.state().publish(deodar::pdp::state::Active {
        policies: Arc::new(deodar::pdp::state::Policies::new(
            snapshot,
            String::new(),
            since,
        )),
        view,
    });
    let pinned = pdp.pin().unwrap();
    for (n, seconds) in [(json!(1), 5), (json!(i64::MAX), 0)] {
        let query = question(&pinned, "User::a", "read", "Doc::d", &json!({"n": n}), &[]);
        let answer = pinned.authorize(&Caller::Local, &query).unwrap();
        assert_eq!(answer.keep_for, Duration::from_secs(seconds), "{n}");
    }
}
