//! A disk that is full while the server runs: writes are refused, decisions go
//! on, later writes work again, and nothing acknowledged is lost.

use std::sync::Arc;

use deodar::directory::error::WriteError;
use deodar::directory::fit::Activation;
use deodar::directory::fit::OnConflict;
use deodar::directory::log::Log as _;
use deodar::directory::log::Memory;
use deodar::directory::operation::Operation;
use deodar::directory::revision::Revision;
use deodar::pdp::NotReady;
use proptest::proptest;
use serde_json::json;

use super::faulty::Fault;
use super::faulty::Faulty;
use super::site::POLICIES;
use super::site::Plan;
use super::site::START;
use super::site::Site;
use super::site::draft;
use super::site::link;
use super::site::put;
use super::site::snapshot;
use super::site::uid;
use crate::engine_oracle::cases;
use crate::engine_oracle::throws;

fn site() -> (Arc<Faulty>, Site) {
    let log = Arc::new(Faulty::default());
    let site = Site::on(Arc::clone(&log) as Arc<_>, Plan::default()).unwrap();
    site.write([
        put("Group::readers", &json!({}), &[]),
        put("User::ann", &json!({}), &[]),
        put("User::bo", &json!({}), &["Group::readers"]),
        put("Doc::d", &json!({}), &[]),
    ]);
    (log, site)
}

/// Lets ann read.
fn grant() -> Operation {
    link("k", Some("User::ann"), "Doc::d", None)
}

fn refused(site: &Site, operation: Operation, is_unknown: bool) {
    let before = site.directory.tip().revision;
    match site.try_write(vec![operation]) {
        Err(WriteError::Store {
            message,
            hint,
            outcome_unknown,
        }) => {
            assert_eq!(message, "no space is left for `log`");
            assert_eq!(hint, "make room on the file system, or raise the quota");
            assert_eq!(outcome_unknown, is_unknown);
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(site.directory.tip().revision, before);
    assert!(!site.allows("User::ann", "Doc::d"));
    assert!(site.allows("User::bo", "Doc::d"));
}

/// The state is what the log says, and a new start comes to the same.
fn is_the_log(log: &Faulty, site: &Site) {
    let tip = site.directory.tip();
    assert_eq!(tip.revision, Revision::of(&log.head()));
    assert_eq!(site.pin().view().sequence(), tip.revision.sequence);
    let replayed = Memory::default();
    replayed.append(&log.bodies()).unwrap();
    let other = Site::on(Arc::new(replayed), Plan::default()).unwrap();
    assert_eq!(other.directory.tip().digest(), tip.digest());
    for who in ["User::ann", "User::bo"] {
        assert_eq!(
            site.allows(who, "Doc::d"),
            other.allows(who, "Doc::d"),
            "{who}"
        );
    }
}

#[test]
fn a_write_that_is_not_there_is_refused_and_the_next_one_works() {
    let (log, site) = site();
    log.fail(Fault {
        appends: Some(0),
        ..Fault::default()
    });
    refused(&site, grant(), false);
    is_the_log(&log, &site);
    site.write([grant()]);
    assert!(site.allows("User::ann", "Doc::d"));
    is_the_log(&log, &site);
}

#[test]
fn a_write_that_is_there_all_the_same_is_acknowledged() {
    let (log, site) = site();
    assert!(!site.allows("User::ann", "Doc::d"));
    log.fail(Fault {
        appends: Some(0),
        is_applied: true,
        ..Fault::default()
    });
    site.write([grant()]);
    assert!(site.allows("User::ann", "Doc::d"));
    is_the_log(&log, &site);
}

/// Seen to fail when `mend` does not catch up, does not tell what changed, or
/// does not link what it caught up.
#[test]
fn while_it_is_unknown_nothing_is_written() {
    for is_applied in [true, false] {
        let (log, site) = site();
        assert!(!site.allows("User::ann", "Doc::d"));
        log.fail(Fault {
            appends: Some(0),
            is_applied,
            recoveries: usize::MAX,
            ..Fault::default()
        });
        refused(&site, grant(), true);
        // Not tried: for sure it is not there.
        refused(&site, put("User::cy", &json!({}), &[]), false);
        log.heal();
        site.write([put("User::dee", &json!({}), &[])]);
        assert_eq!(site.allows("User::ann", "Doc::d"), is_applied);
        is_the_log(&log, &site);
    }
}

/// Seen to fail when `pin` does not look at the next ending.
#[test]
fn what_cannot_be_ended_stops_decisions() {
    // The decision point looks at the system's clock.
    let ended = 1_000_000_000;
    let (log, site) = site();
    site.at(ended - 1 - START);
    log.fail(Fault {
        appends: Some(1),
        recoveries: usize::MAX,
        ..Fault::default()
    });
    site.write([link("k", Some("User::ann"), "Doc::d", Some(ended))]);
    for second in ended..ended + 2 {
        site.at(second - START);
        assert_eq!(site.pdp.pin().unwrap_err(), NotReady::Behind { ended });
    }
    log.heal();
    site.runtime.block_on(site.directory.tick());
    assert!(!site.allows("User::ann", "Doc::d"));
    assert!(site.allows("User::bo", "Doc::d"));
    is_the_log(&log, &site);
}

/// Found: the directory went on as if nothing were in the log that it had not
/// written whole. Seen to fail when `append` asks only whether the log recovered.
#[test]
fn a_group_that_is_there_in_part_is_caught_up_with() {
    let (log, site) = site();
    log.fail(Fault {
        appends: Some(0),
        is_begun: true,
        ..Fault::default()
    });
    // The end of what has ended is a transaction of its own, in the same group.
    let mut ended = put("User::cy", &json!({}), &[]);
    if let Operation::Put(put) = &mut ended {
        put.expires = Some(START - 1);
    }
    let written = site.try_write(vec![grant(), ended]);
    let Err(WriteError::Store {
        outcome_unknown, ..
    }) = written
    else {
        panic!("{written:?}");
    };
    assert!(outcome_unknown);
    site.write([put("User::dee", &json!({}), &[])]);
    assert!(site.allows("User::ann", "Doc::d"));
    assert_eq!(site.directory.tip().entity(&uid("User::cy")), None);
    is_the_log(&log, &site);
}

/// Found: the directory went on as if the seed were not in its log.
#[test]
fn a_seed_that_fails_is_there_once_or_not() {
    for (is_applied, recoveries) in [(false, 0), (true, 0), (false, 2), (true, 2)] {
        let log = Arc::new(Faulty::default());
        let site = Site::on(Arc::clone(&log) as Arc<_>, Plan::default()).unwrap();
        log.fail(Fault {
            appends: Some(0),
            is_applied,
            recoveries,
            ..Fault::default()
        });
        let activate = || {
            site.directory.activate(Activation {
                snapshot: Arc::new(snapshot(POLICIES, "")),
                seed: vec![
                    put("User::ann", &json!({}), &[]),
                    put("Doc::d", &json!({}), &[]),
                ],
                on_conflict: OnConflict::Reject,
                publish: Box::new(|_| {}),
            })
        };
        let mut tries = 1;
        while activate().is_err() {
            assert_eq!(site.directory.tip().revision.sequence, 0);
            tries += 1;
            assert!(tries < 6, "{is_applied} {recoveries}");
        }
        site.write([grant()]);
        assert_eq!(
            site.directory.tip().revision.sequence,
            2,
            "{is_applied} {recoveries}"
        );
        is_the_log(&log, &site);
    }
}

/// Found: one write that the log does not take failed all that waited with it.
#[test]
fn a_transaction_too_large_for_the_log_is_refused_alone() {
    let mut plan = Plan::default();
    plan.options.limits.bytes_max = usize::MAX;
    let site = Site::on(Arc::new(Memory::default()), plan).unwrap();
    let name = json!({"name": "x".repeat((64 << 20) + 1)});
    let large = draft(vec![put("User::large", &name, &[])]);
    let small = |name: &str| draft(vec![put(name, &json!({}), &[])]);
    let (before, large, after) = site.runtime.block_on(async {
        tokio::join!(
            site.directory.write(small("User::a")),
            site.directory.write(large),
            site.directory.write(small("User::b"))
        )
    });
    let WriteError::Refused(faults) = large.unwrap_err() else {
        panic!("not the caller's fault");
    };
    assert_eq!(faults[0].field, "operations");
    assert_eq!(before.unwrap().sequence + 1, after.unwrap().sequence);
}

proptest! {
    #![proptest_config(cases(40))]

    /// Whatever fails when: what was acknowledged is there, and the state is
    /// what the log says.
    #[test]
    fn nothing_acknowledged_is_lost(mut dice in throws()) {
        let (log, site) = site();
        let mut acknowledged = Vec::new();
        for number in 0..30 {
            if dice.chance(1, 3) {
                log.fail(Fault {
                    appends: Some(dice.below(3)),
                    is_applied: dice.chance(1, 2),
                    recoveries: dice.below(4),
                    ..Fault::default()
                });
            }
            let operation = match dice.below(5) {
                0 => grant(),
                1 => link("k", None, "Doc::d", None),
                2 => Operation::RemoveLink { id: "k".into() },
                3 => put("User::ann", &json!({"level": number}), &[]),
                _ => put("User::ann", &json!({}), &["Group::readers"]),
            };
            acknowledged.extend(site.try_write(vec![operation]));
            site.allows("User::ann", "Doc::d");
        }
        log.heal();
        acknowledged.push(site.write([put("User::last", &json!({}), &[])]));
        is_the_log(&log, &site);
        let now = tokio::time::Instant::now;
        for revision in acknowledged {
            let wait = async { site.directory.wait_for(revision, now()).await };
            assert_eq!(site.runtime.block_on(wait), Ok(()));
        }
    }
}
