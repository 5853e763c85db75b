//! A real process that is killed while it writes and decides: nothing that it
//! acknowledged is lost, nothing is there by halves, and what is decided
//! afterwards is what the log says.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use deodar::directory::Options;
use deodar::directory::log::Embedded;
use deodar::directory::log::Log;
use deodar::directory::log::LogError;
use deodar::directory::log::Memory;
use deodar::directory::operation::Operation;
use deodar::directory::revision::Revision;
use deodar::directory::writer::Keep;
use serde_json::json;

use super::site::Plan;
use super::site::Site;
use super::site::draft;
use super::site::fresh;
use super::site::link;
use super::site::member;
use super::site::put;
use super::site::uid;
use crate::kills;

/// Names the directory to the child, and the purpose of the child.
const WRITE_TO: &str = "DEODAR_TEST_WRITE_TO";

const PEOPLE: [&str; 3] = ["User::left", "User::right", "User::third"];

fn plan() -> Plan {
    Plan {
        options: Options {
            keep: Keep {
                transactions: u64::MAX,
                snapshot_every: 40,
            },
            ..Options::default()
        },
        ..Plan::default()
    }
}

/// What belongs together: the level of two, whether both are readers, and a
/// link that lets the third read what they may not.
fn round(number: i64) -> Vec<Operation> {
    let both_read = number % 8 < 4;
    let parents: &[&str] = if both_read { &["Group::readers"] } else { &[] };
    let level = json!({"level": number});
    let mut operations = vec![
        put(PEOPLE[0], &level, parents),
        put(PEOPLE[1], &level, parents),
        put("Doc::d", &json!({}), &[]),
        put(PEOPLE[2], &json!({}), &[]),
        link("k", Some(PEOPLE[2]), "Doc::d", None),
    ];
    if both_read {
        operations.push(Operation::RemoveLink { id: "k".into() });
    }
    operations
}

fn is_whole(site: &Site) {
    let tip = site.directory.tip();
    let [left, right, third] = PEOPLE.map(|name| tip.entity(&uid(name)));
    assert_eq!(left.is_some(), right.is_some());
    let (Some(left), Some(right), Some(third)) = (left, right, third) else {
        assert_eq!(tip.revision.sequence, 0);
        return;
    };
    assert_eq!(left.attributes, right.attributes);
    assert_eq!(left.parents, right.parents);
    let versions = [left.version, right.version, third.version];
    assert_eq!(versions, [tip.revision.sequence; 3]);
    let both_read = left.parents == [member("Group::readers", None)];
    assert_eq!(tip.link("k").is_some(), !both_read);
    for _ in 0..2 {
        let [left, right, third] = PEOPLE.map(|name| site.allows(name, "Doc::d"));
        assert_eq!((left, right, third), (both_read, both_read, !both_read));
    }
}

/// Not a test of its own: the process that is killed.
#[test]
fn child_that_writes() {
    let Ok(directory) = std::env::var(WRITE_TO) else {
        return;
    };
    // The one before has let go of the log, but may not be done with closing it.
    let log = loop {
        match Embedded::open(Path::new(&directory)) {
            Err(LogError::InUse { .. }) => std::thread::yield_now(),
            opened => break opened.unwrap(),
        }
    };
    let site = Site::on(Arc::new(log), plan()).unwrap();
    let mut out = std::io::stdout();
    let mut number = i64::try_from(site.directory.tip().revision.sequence).unwrap();
    loop {
        // Several at once, so that they are made durable together.
        let write = |number| site.directory.write(draft(round(number)));
        let (one, two, three) = site
            .runtime
            .block_on(async { tokio::join!(write(number), write(number + 1), write(number + 2)) });
        number += 3;
        for revision in [one, two, three] {
            // Whole lines only count.
            out.write_all(format!("acknowledged {}\n", revision.unwrap()).as_bytes())
                .unwrap();
            out.flush().unwrap();
        }
        is_whole(&site);
    }
}

fn survives(directory: &Path, acknowledged: &[Revision]) {
    let log: Arc<dyn Log> = Arc::new(Embedded::open(directory).unwrap());
    // Reading verifies the chain.
    let entries = log.read(0, usize::MAX, usize::MAX).unwrap();
    let site = Site::on(Arc::clone(&log), plan()).unwrap();
    let now = tokio::time::Instant::now;
    for revision in acknowledged {
        let reached = site
            .runtime
            .block_on(async { site.directory.wait_for(*revision, now()).await });
        assert_eq!(reached, Ok(()), "{revision}");
    }
    is_whole(&site);
    // Another one, made of the log alone.
    let replayed = Memory::default();
    let bodies: Vec<_> = entries.into_iter().map(|entry| entry.body).collect();
    replayed.append(&bodies).unwrap();
    let other = Site::on(Arc::new(replayed), plan()).unwrap();
    assert_eq!(
        site.directory.tip().digest(),
        other.directory.tip().digest()
    );
    for name in PEOPLE {
        for action in ["read", "write"] {
            let [ours, theirs] = [&site, &other].map(|site| {
                let decision = site.ask(name, action, "Doc::d").decision;
                let ids = decision.policies.iter().map(|policy| policy.id.clone());
                (
                    decision.is_allow(),
                    decision.errors.len(),
                    ids.collect::<Vec<_>>(),
                )
            });
            assert_eq!(ours, theirs, "{name} {action}");
        }
    }
    let log = {
        let weak = Arc::downgrade(&log);
        drop(log);
        weak
    };
    drop(site);
    super::site::wait_until_let_go(&log, 0);
}

/// Seen to fail when writes are acknowledged before they are appended, and when
/// the log gets a transaction without its last operation.
#[test]
fn nothing_acknowledged_is_lost_when_killed() {
    let directory = fresh();
    let mut acknowledged = Vec::new();
    for _ in 0..kills::times(15) {
        let child = kills::child(
            "directory::killed::child_that_writes",
            WRITE_TO,
            directory.path(),
        );
        let told = kills::kill(child, 100_000);
        let told = told.iter().map(|told| told.parse::<Revision>().unwrap());
        acknowledged.extend(told);
        survives(directory.path(), &acknowledged);
    }
    assert!(acknowledged.len() > 15, "{}", acknowledged.len());
    let sequences = acknowledged.iter().map(|revision| revision.sequence);
    let sequences: Vec<_> = sequences.collect();
    assert!(sequences.windows(2).all(|two| two[0] < two[1]));
}
