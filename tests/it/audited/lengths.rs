//! However much comes with a question: its decision is recorded, and what waits
//! for the disk is bounded by its bytes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cedar_policy_core::ast::Value;
use deodar::audit::Audit;
use deodar::audit::Mode;
use deodar::audit::Options;
use deodar::audit::Overflow;
use deodar::audit::decision::Content;
use deodar::audit::replay;
use deodar::engine::Cause;
use deodar::identity::Caller;
use deodar::pdp::recording::Call;
use deodar::pdp::recording::NotRecorded;
use deodar::pdp::recording::Pending;
use deodar::pdp::recording::Recording;
use deodar::proto::v1;
use smol_str::SmolStr;

use super::entity;
use super::of_kind;
use super::question;
use super::running;
use crate::cases;

/// A kilobyte.
const KIB: usize = 1 << 10;

/// A conduit that is described at this length, in characters that JSON writes
/// with six each.
fn conduit(length: usize) -> v1::Entity {
    let text = v1::Value {
        kind: Some(v1::value::Kind::String("\u{1}".repeat(length))),
    };
    v1::Entity {
        uid: Some(entity("Iot::Conduit::\"c\"")),
        attributes: BTreeMap::from([("description".to_owned(), text)]),
        ..v1::Entity::default()
    }
}

/// Seen to fail when a line that is too long is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_for_a_line_is_recorded_shortened() {
    for mode in [
        Mode::Sync,
        Mode::Batched {
            window: Duration::from_millis(10),
        },
    ] {
        let folder = tempfile::tempdir().unwrap();
        let running = running(folder.path(), mode).await;
        let mut asked = question("Org::User::\"anna\"", "Iot::Device::\"press-01\"");
        asked.entities = vec![conduit(500 * KIB)];
        let answer = running.authorization().authorize(asked).await;
        let answer = answer.unwrap().into_inner();
        running.server.stop().await.unwrap();
        // That it took longer than the window is told, too.
        let gaps = of_kind(folder.path(), "gap");
        assert!(gaps.iter().all(|gap| gap["lost"] == 0), "{gaps:?}");
        let records = of_kind(folder.path(), "decision");
        assert_eq!(records.len(), 1);
        let record = &records[0];
        assert_eq!(record["id"], answer.decision_id);
        assert_eq!(record["shortened"], true);
        assert_eq!(record["entities_count"], 1);
        assert!(record["entities_digest"].is_string() && record["entities"].is_null());
        let snapshot = running_snapshot();
        let again = replay::question(&snapshot, record).unwrap_err();
        assert!(again.to_string().contains("not whole"), "{again}");
    }
}

fn running_snapshot() -> deodar::engine::Snapshot {
    let files = deodar::source::read(
        &crate::support::reference(),
        &deodar::source::Limits::default(),
    );
    deodar::engine::compile(&files.unwrap()).unwrap()
}

/// Seen to fail when a value weighs the same whatever its length.
#[test]
fn waiting_records_are_bounded_by_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let log = Audit::open(Options {
        directory: folder.path().to_owned(),
        overflow: Overflow::Deny,
        waiting_bytes_max: 1000 * KIB,
        mode: Mode::Batched {
            window: Duration::from_mins(1),
        },
        ..Options::default()
    });
    let log = log.unwrap();
    log.flush_blocking().unwrap();
    let recording = Recording {
        log: log.clone(),
        content: Arc::new(Content::default()),
    };
    let policies = deodar::source::read(
        &crate::support::reference(),
        &deodar::source::Limits::default(),
    );
    let served = crate::served::Served::recorded(&policies.unwrap(), Some(recording)).unwrap();
    let pinned = served.pdp.pin().unwrap();
    let case = cases::all()
        .into_iter()
        .find(|case| case.decision == "allow")
        .unwrap();
    let query = cases::query(pinned.snapshot(), &case);
    let mut causes = Vec::new();
    for at in 0..10 {
        let long = Value::from(SmolStr::from(format!("{at}").repeat(300 * KIB)));
        let mut context = (*query.context).clone();
        context.insert("long".into(), long);
        let long = deodar::engine::Query {
            context: Arc::new(context),
            ..query.clone()
        };
        let answer = pinned.authorize(&Caller::Local, &long).unwrap();
        causes.push(answer.decision.cause());
        // A deny for want of room is nothing to keep.
        if answer.decision.cause().is_some() {
            assert_eq!(answer.keep_for, Duration::ZERO);
        }
    }
    drop(pinned.take_pending());
    assert_eq!(causes[..3], [None; 3]);
    assert_eq!(causes[3..], [Some(Cause::NotRecorded); 7]);
    assert!(log.counters().waiting_bytes > 900 * KIB);
}

/// Seen to hang when room is waited for without regard to what it is for.
#[test]
fn who_waits_for_bytes_lets_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let log = Audit::open(Options {
        directory: folder.path().to_owned(),
        waiting_bytes_max: 100 * KIB,
        mode: Mode::Batched {
            window: Duration::from_mins(1),
        },
        ..Options::default()
    });
    let log = log.unwrap();
    let recording = Recording {
        log: log.clone(),
        content: Arc::new(Content::default()),
    };
    let refusal = |length: usize| {
        let mut pending = Pending::default();
        let message = "x".repeat(length);
        let told = ("BAD_REQUEST", &*message);
        recording.refusal(&Caller::Local, &Call::default(), told, 0, &mut pending);
        pending
    };
    log.flush_blocking().unwrap();
    assert!(refusal(90 * KIB).is_done());
    let waiting = refusal(20 * KIB);
    assert!(!waiting.is_done());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let other = async {
            tokio::task::yield_now().await;
            log.flush().await.unwrap();
        };
        let (recorded, ()) = tokio::join!(waiting.recorded(), other);
        assert_eq!(recorded, Ok(()));
    });
    log.flush_blocking().unwrap();
    assert_eq!(of_kind(folder.path(), "refusal").len(), 2);
}

/// Seen to fail when only the last record of a batch is waited for.
#[test]
fn one_lost_record_of_several_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = Audit::open(Options {
        directory: folder.path().to_owned(),
        mode: Mode::Sync,
        ..Options::default()
    });
    let recording = Recording {
        log: log.unwrap(),
        content: Arc::new(Content::default()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for (first, expected) in [(1, Ok(())), (2 << 20, Err(NotRecorded))] {
        let mut pending = Pending::default();
        for length in [first, 1] {
            let message = "x".repeat(length);
            let told = ("BAD_REQUEST", &*message);
            recording.refusal(&Caller::Local, &Call::default(), told, 0, &mut pending);
        }
        assert_eq!(runtime.block_on(pending.recorded()), expected);
    }
}
