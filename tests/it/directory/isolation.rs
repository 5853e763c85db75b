//! Snapshot isolation: what always changes together is never seen to differ.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use cedar_policy_core::ast::Value;
use deodar::directory::Directory;
use deodar::directory::log::Memory;
use deodar::directory::operation::Operation;
use deodar::engine::named::Probe;
use deodar::pdp::Pdp;
use deodar::proto::v1;
use deodar::proto::v1::batch_authorize_item::Result as Item;
use deodar::serve::Limits;
use deodar::serve::grpc::authorization::Authorization;
use serde_json::json;

use super::site::Plan;
use super::site::Site;
use super::site::ask;
use super::site::put;
use super::site::uid;
use crate::convert::reference;

/// Left and right are each other's boss, and of the same level.
const POLICIES: &str = r#"
@id("same") permit (principal, action == Action::"look", resource)
when {
  principal has level && principal has boss && principal.boss has level &&
  principal.level == principal.boss.level
};
@id("high") permit (principal, action == Action::"read", resource)
when { principal has level && principal.level > 5 };
"#;

const PAIR: [&str; 2] = ["User::left", "User::right"];

/// Each checker has seen so many states before the writer ends.
const STATES: usize = 200;
const WRITES: i64 = 2000;

fn site() -> Site {
    let plan = Plan {
        policies: POLICIES,
        ..Plan::default()
    };
    let site = Site::on(Arc::new(Memory::default()), plan).unwrap();
    site.write([put("Doc::d", &json!({}), &[])]);
    site.write(both(0));
    site
}

fn both(level: i64) -> [Operation; 2] {
    let boss = |id: &str| json!({"level": level, "boss": {"__entity": {"type": "User", "id": id}}});
    [
        put(PAIR[0], &boss("right"), &[]),
        put(PAIR[1], &boss("left"), &[]),
    ]
}

/// Runs checkers until all have seen enough, while `level` of both changes.
fn while_writing(site: &Site, check: impl Fn(&Pdp, &Directory) -> u64 + Sync) {
    let is_over = AtomicBool::new(false);
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let (pdp, directory) = (&site.pdp, &site.directory);
            let (is_over, done, check) = (&is_over, &done, &check);
            scope.spawn(move || {
                let _ended = Ended(is_over);
                let mut seen = HashSet::new();
                while !is_over.load(Ordering::Relaxed) {
                    if seen.insert(check(pdp, directory)) && seen.len() == STATES {
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let mut level = 0;
        while !is_over.load(Ordering::Relaxed)
            && (level < WRITES || done.load(Ordering::Relaxed) < 2)
        {
            level += 1;
            site.write(both(level % 10));
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// A checker that fails ends the others too.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Seen to fail when the writer publishes the view after each operation.
#[test]
fn a_view_has_both_changes_or_none() {
    let site = site();
    while_writing(&site, |pdp, directory| {
        let pinned = pdp.pin().unwrap();
        let [left, right] = PAIR.map(|name| {
            let stored = pinned.view().get(Probe::new(&uid(name))).unwrap();
            let (attributes, _) = stored.unpack(pinned.snapshot().types()).unwrap();
            let level = attributes.into_iter().find(|(name, _)| name == "level");
            (stored.version, level.unwrap().1)
        });
        assert_eq!(left, right);
        let tip = directory.tip();
        let [left, right] = PAIR.map(|name| tip.entity(&uid(name)).unwrap());
        assert_eq!((left.version, level(&left)), (right.version, level(&right)));
        assert_eq!(left.version, tip.revision.sequence);
        pinned.view().sequence()
    });
}

fn level(record: &deodar::directory::record::EntityRecord) -> &Value {
    &record.attributes["level"]
}

/// Made anew or not, a decision is of one state.
#[test]
fn a_decision_sees_one_state() {
    let site = site();
    while_writing(&site, |pdp, _| {
        let pinned = pdp.pin().unwrap();
        for name in PAIR {
            assert!(ask(&pinned, name, "look", "Doc::d").decision.is_allow());
        }
        let [left, right] =
            PAIR.map(|name| ask(&pinned, name, "read", "Doc::d").decision.is_allow());
        assert_eq!(left, right);
        pinned.view().sequence()
    });
}

/// Seen to fail when `batch` pins for each item.
#[test]
fn a_batch_sees_one_state() {
    let site = site();
    let service = Authorization::new(Arc::clone(&site.pdp), Limits::default(), 0);
    let item = |id: &str| v1::AuthorizeRequest {
        principal: Some(reference(&format!("User::\"{id}\""))),
        action: Some(reference("Action::\"read\"")),
        resource: Some(reference("Doc::\"d\"")),
        ..v1::AuthorizeRequest::default()
    };
    let batch = v1::BatchAuthorizeRequest {
        shared: None,
        items: (0..10)
            .flat_map(|_| [item("left"), item("right")])
            .collect(),
    };
    while_writing(&site, |_, _| {
        let asked = service.batch_authorize(tonic::Request::new(batch.clone()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let answers = runtime.block_on(asked).unwrap().into_inner().items;
        let decided: HashSet<_> = answers
            .iter()
            .map(|item| match &item.result {
                Some(Item::Response(response)) => (
                    response.decision,
                    response.revisions.clone().unwrap().directory,
                ),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!((answers.len(), decided.len()), (20, 1), "{decided:?}");
        let (_, revision) = decided.into_iter().next().unwrap();
        revision.split('-').nth(1).unwrap().parse().unwrap()
    });
}

#[test]
fn what_is_pinned_stays() {
    let site = site();
    site.write(both(9));
    let pinned = site.pin();
    assert!(ask(&pinned, PAIR[0], "read", "Doc::d").decision.is_allow());
    site.write(both(1));
    let now = site.pin();
    for name in PAIR {
        for _ in 0..2 {
            assert!(ask(&pinned, name, "read", "Doc::d").decision.is_allow());
            assert!(!ask(&now, name, "read", "Doc::d").decision.is_allow());
        }
    }
}
