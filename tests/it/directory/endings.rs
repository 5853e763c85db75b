//! What has ended is not in force: not for a moment, however it came to be there.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;

use deodar::directory::Directory;
use deodar::directory::Options;
use deodar::directory::fit::Activation;
use deodar::directory::fit::OnConflict;
use deodar::directory::log::Memory;
use deodar::directory::operation::Operation;
use deodar::directory::time::Time;
use deodar::engine::View;
use parking_lot::Mutex;
use proptest::proptest;
use serde_json::json;

use super::drafts;
use super::plain::Plain;
use super::site::POLICIES;
use super::site::Plan;
use super::site::START;
use super::site::Site;
use super::site::put;
use super::site::snapshot;
use super::site::uid;
use crate::engine_oracle::cases;
use crate::engine_oracle::throws;

/// Views that had something in them that was over when they came into force.
#[derive(Default)]
struct Seen {
    late: Mutex<Vec<String>>,
    published: Mutex<usize>,
}

impl Seen {
    fn look(&self, view: &View, now: i64) {
        *self.published.lock() += 1;
        if view.next_end().is_some_and(|second| second <= now) {
            let said = format!("{:?} is in force at {now}", view.next_end());
            self.late.lock().push(said);
        }
    }
}

fn seconds(time: &AtomicI64) -> i64 {
    time.load(Ordering::Relaxed).div_euclid(1000)
}

fn open(time: &Arc<AtomicI64>, seen: &Arc<Seen>) -> Directory {
    let options = Options {
        time: Time::Set(Arc::clone(time)),
        ..Options::default()
    };
    let (seen, time) = (Arc::clone(seen), Arc::clone(time));
    let publish = move |view: View, _: &[_]| seen.look(&view, seconds(&time));
    Directory::on(Arc::new(Memory::default()), options, Box::new(publish)).unwrap()
}

fn activate(directory: &Directory, time: &Arc<AtomicI64>, seen: &Arc<Seen>, seed: Vec<Operation>) {
    let (seen, time) = (Arc::clone(seen), Arc::clone(time));
    let activation = Activation {
        snapshot: Arc::new(snapshot(POLICIES, "")),
        seed,
        on_conflict: OnConflict::Reject,
        publish: Box::new(move |view| seen.look(&view, seconds(&time))),
    };
    directory.activate(activation).unwrap();
}

fn ended(name: &str) -> Operation {
    let mut operation = put(name, &json!({}), &[]);
    if let Operation::Put(put) = &mut operation {
        put.expires = Some(START - 1);
    }
    operation
}

proptest! {
    #![proptest_config(cases(40))]

    /// Seen to fail when a group does not begin with what is due, when a commit
    /// does not end with it, and when an activation does neither.
    #[test]
    fn nothing_that_has_ended_is_put_in_force(mut dice in throws()) {
        let time = Arc::new(AtomicI64::new(START * 1000));
        let seen = Arc::new(Seen::default());
        let directory = open(&time, &seen);
        let seed = vec![ended("User::seeded"), put("User::a", &json!({}), &[])];
        activate(&directory, &time, &seen, seed);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for first in drafts::first() {
            runtime.block_on(directory.write(first)).ok();
        }
        for _ in 0..40 {
            // The thread that writes looks at the time only when it is asked to do
            // something: what is due then is due for a while.
            time.fetch_add(500 * i64::try_from(dice.below(4)).unwrap(), Ordering::Relaxed);
            if dice.chance(1, 5) {
                activate(&directory, &time, &seen, Vec::new());
            } else {
                let draft = drafts::draft(&mut dice, &Plain::default());
                runtime.block_on(directory.write(draft)).ok();
            }
        }
        assert_eq!(*seen.late.lock(), Vec::<String>::new());
        assert!(*seen.published.lock() > 10);
    }
}

/// A write is judged by what is there when it is applied, not by what the thread
/// has not removed yet.
#[test]
fn a_write_after_an_ending_does_not_find_what_ended() {
    let site = Site::new();
    let mut guest = put("User::guest", &json!({}), &[]);
    if let Operation::Put(put) = &mut guest {
        put.expires = Some(START + 5);
    }
    site.write([guest]);
    site.time.store((START + 5) * 1000, Ordering::Relaxed);
    let join = super::rules::join("User::guest", "Group::readers", None);
    site.try_write(vec![join]).unwrap_err();
}

/// The end of a large group is as many transactions as it takes, and one moment.
#[test]
fn a_large_group_ends_at_once() {
    let site = Site::new();
    let mut group = put("Group::readers", &json!({}), &[]);
    if let Operation::Put(put) = &mut group {
        put.expires = Some(START + 5);
    }
    site.write([group, put("Doc::d", &json!({}), &[])]);
    for part in 0..3 {
        let member = |number| {
            let name = format!("User::{part}-{number}");
            put(&name, &json!({}), &["Group::readers"])
        };
        site.write((0..4_000).map(member));
    }
    assert!(site.allows("User::2-3999", "Doc::d"));
    let before = site.directory.tip().revision.sequence;
    site.at(5);
    assert!(!site.allows("User::2-3999", "Doc::d"));
    let read = site.directory.transactions(before, 10, usize::MAX).unwrap();
    let shape: Vec<_> = read
        .iter()
        .map(|(_, transaction)| (transaction.actor.as_str(), transaction.operations.len()))
        .collect();
    assert_eq!(shape, [("deodar/clock", 10_000), ("deodar/clock", 2_001)]);
}

/// Found: the end of a group whose members have long names was more than the log
/// takes, and nothing ended any more. Seen to fail when only operations are counted.
#[test]
fn a_large_group_of_long_names_ends_in_parts_that_the_log_takes() {
    let mut plan = Plan::default();
    plan.options.limits.id_bytes_max = 1 << 20;
    let site = Site::on(Arc::new(Memory::default()), plan).unwrap();
    let group = format!("Group::{}", "g".repeat(1 << 20));
    let mut ending = put(&group, &json!({}), &[]);
    if let Operation::Put(put) = &mut ending {
        put.expires = Some(START + 5);
    }
    site.write([ending]);
    site.write((0..20).map(|number| put(&format!("User::{number}"), &json!({}), &[&group])));
    let before = site.directory.tip().revision.sequence;
    site.at(5);
    let read = site.directory.transactions(before, 10, usize::MAX).unwrap();
    let shape: Vec<_> = read
        .iter()
        .map(|(_, transaction)| transaction.operations.len())
        .collect();
    // Twenty members leave, and then it goes.
    assert_eq!(shape, [7, 7, 7]);
    assert_eq!(site.directory.tip().entity(&uid(&group)), None);
}
