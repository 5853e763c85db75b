//! Decisions and their records: each answer has one, before it is given where
//! that is asked for, and none is given without one where it must not be.

mod lengths;
mod refusals;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use deodar::audit::Audit;
use deodar::audit::Mode;
use deodar::audit::Options;
use deodar::audit::Overflow;
use deodar::audit::decision::Content;
use deodar::audit::files::Call as DiskCall;
use deodar::audit::files::Files;
use deodar::audit::files::Refused;
use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::audit::replay;
use deodar::audit::verify::verify;
use deodar::engine::Cause;
use deodar::engine::decide;
use deodar::identity::Caller;
use deodar::pdp::Parts;
use deodar::pdp::recording::NotRecorded;
use deodar::pdp::recording::Recording;
use deodar::pdp::words::Words;
use deodar::proto::v1;
use deodar::serve::grpc::health::HealthOfServices;
use deodar::serve::phase::phases;
use deodar::serve::readiness::Readiness;
use deodar::source;
use deodar::telemetry::trace::Trust;
use serde_json::Value as Json;
use tokio_stream::StreamExt as _;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health as _;

use super::audit_record::fit_the_schema;
use super::cases;
use super::convert::reference as entity;
use super::served::Served;
use super::support::Running;
use super::support::config;
use super::support::reference;

/// All records of a log that is whole.
fn records(directory: &Path) -> Vec<Json> {
    let report = verify(directory).unwrap();
    assert!(report.fault.is_none(), "{report:?}");
    let reader = Reader::open(directory, Since::Oldest).unwrap();
    let lines = reader.map(|line| serde_json::from_str(&line.unwrap().text).unwrap());
    let records: Vec<Json> = lines.collect();
    fit_the_schema(&records);
    records
}

fn of_kind(directory: &Path, kind: &str) -> Vec<Json> {
    let mut records = records(directory);
    records.retain(|record| record["kind"] == kind);
    records
}

/// A record without what differs from one asking to the next.
fn lasting(record: &Json) -> BTreeMap<String, Json> {
    let passing = ["id", "seq", "time", "prev", "cached", "latency_us"];
    let members = record.as_object().unwrap().iter();
    members
        .filter(|(name, _)| !passing.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Made anew, from the cache, and recalled by its words, a decision has the same
/// record, and all of it is decided again from that. Seen to fail when the words
/// are kept with the members of another question, or without them.
#[test]
fn however_it_is_found_a_decision_has_the_same_record() {
    let files = source::read(&reference(), &source::Limits::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let log = Audit::open(Options {
        directory: folder.path().to_owned(),
        ..Options::default()
    });
    let log = log.unwrap();
    let recording = Recording {
        log: log.clone(),
        content: Arc::new(Content::default()),
    };
    let served = Served::recorded(&files, Some(recording)).unwrap();
    let pinned = served.pdp.pin().unwrap();
    let mut asked = 0;
    for case in cases::all() {
        let query = cases::query(pinned.snapshot(), &case);
        let parts = || Parts {
            principal: Arc::clone(&query.principal),
            action: Arc::clone(&query.action),
            resource: Arc::clone(&query.resource),
            context: Arc::clone(&query.context),
            overlay: Arc::clone(&query.overlay),
        };
        let name = case.name.clone().into_bytes();
        let words = Words {
            shared: None,
            own: &name,
        };
        for _ in 0..2 {
            let question = pinned.question(parts()).unwrap();
            let answer = pinned.authorize(&Caller::Local, &question.query).unwrap();
            pinned.remember(words, &question, &answer, Vec::new());
            asked += 1;
        }
        // One with errors is kept by nobody.
        asked += usize::from(pinned.recall(&Caller::Local, words).is_some());
    }
    assert!(pinned.take_pending().is_done());
    log.flush_blocking().unwrap();
    let records = of_kind(folder.path(), "decision");
    assert_eq!(records.len(), asked);
    assert!(asked > 900, "{asked}");
    let mut by_question: BTreeMap<String, BTreeMap<String, Json>> = BTreeMap::new();
    for record in &records {
        let again = replay::question(pinned.snapshot(), record).unwrap();
        let decision = decide(pinned.snapshot(), pinned.view(), &again).unwrap();
        assert_eq!(replay::differs(record, &decision), None, "{record}");
        let question = ["principal", "action", "resource", "context", "entities"];
        let question = question.map(|member| record[member].to_string()).concat();
        let first = by_question
            .entry(question)
            .or_insert_with(|| lasting(record));
        assert_eq!(*first, lasting(record));
    }
    assert!(by_question.len() > 250, "{}", by_question.len());
}

fn question(principal: &str, resource: &str) -> v1::AuthorizeRequest {
    v1::AuthorizeRequest {
        principal: Some(entity(principal)),
        action: Some(entity("Iot::Action::\"emergencyStop\"")),
        resource: Some(entity(resource)),
        ..v1::AuthorizeRequest::default()
    }
}

async fn running(folder: &Path, mode: Mode) -> Running {
    let mut config = config(&reference());
    config.audit.path = Some(folder.to_owned());
    config.audit.mode = mode;
    Running::start(config).await
}

fn ids(records: &[Json]) -> Vec<String> {
    let id = |record: &Json| record["id"].as_str().unwrap().to_owned();
    records.iter().map(id).collect()
}

/// Through every call, asked anew and again: the record is on the disk when the
/// answer is there. Seen to fail when a call does not wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_sync_a_record_is_there_before_its_answer() {
    let folder = tempfile::tempdir().unwrap();
    let running = running(folder.path(), Mode::Sync).await;
    let mut client = running.authorization();
    let mut answered = Vec::new();
    let press = question("Org::User::\"anna\"", "Iot::Device::\"press-01\"");
    for _ in 0..3 {
        let mut request = tonic::Request::new(press.clone());
        let metadata = request.metadata_mut();
        metadata.insert("x-request-id", "stop-7".parse().unwrap());
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        metadata.insert("traceparent", trace.parse().unwrap());
        let answer = client.authorize(request).await.unwrap().into_inner();
        answered.push(answer.decision_id);
        assert_eq!(ids(&of_kind(folder.path(), "decision")), answered);
    }
    for record in of_kind(folder.path(), "decision") {
        assert_eq!(record["durable"], "sync");
        assert_eq!(record["request"], "stop-7");
        assert_eq!(record["trace"], "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(
            record["caller"]
                .as_str()
                .unwrap()
                .starts_with("tcp:127.0.0.1:")
        );
    }
    for _ in 0..3 {
        let batch = v1::BatchAuthorizeRequest {
            shared: None,
            items: vec![
                press.clone(),
                question("Org::User::\"nobody\"", "Iot::Device::\"press-01\""),
            ],
        };
        let answers = client.batch_authorize(batch).await.unwrap().into_inner();
        for item in answers.items {
            let Some(v1::batch_authorize_item::Result::Response(answer)) = item.result else {
                panic!("{item:?}");
            };
            answered.push(answer.decision_id);
        }
        assert_eq!(ids(&of_kind(folder.path(), "decision")), answered);
    }
    let asked = v1::StreamAuthorizeRequest {
        correlation_id: 7,
        request: Some(press),
    };
    let questions = tokio_stream::iter(vec![asked; 3]);
    let mut answers = client
        .stream_authorize(questions)
        .await
        .unwrap()
        .into_inner();
    while let Some(answer) = answers.next().await {
        let Some(v1::stream_authorize_response::Result::Response(answer)) = answer.unwrap().result
        else {
            panic!("no response");
        };
        answered.push(answer.decision_id);
        let recorded = ids(&of_kind(folder.path(), "decision"));
        assert!(recorded.starts_with(&answered), "{recorded:?} {answered:?}");
    }
    assert_eq!(answered.len(), 12);
}

/// Questions of one stream need not each wait for a sync of their own. Seen to fail
/// when the next question is read only after the answer before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_sync_questions_of_a_stream_share_syncs() {
    let folder = tempfile::tempdir().unwrap();
    let running = running(folder.path(), Mode::Sync).await;
    let asked = |correlation_id| v1::StreamAuthorizeRequest {
        correlation_id,
        request: Some(question("Org::User::\"anna\"", "Iot::Device::\"press-01\"")),
    };
    let syncs = || running.server.pdp.recording().unwrap().log.counters().syncs;
    let before = syncs();
    let questions = tokio_stream::iter((0..600).map(asked));
    let answers = running.authorization().stream_authorize(questions).await;
    let answers: Vec<_> = answers.unwrap().into_inner().collect().await;
    let order = answers
        .into_iter()
        .map(|answer| answer.unwrap().correlation_id);
    assert!(order.eq(0..600));
    let taken = syncs() - before;
    // 601 when each waits for its own; 28 to 135 on a busy machine.
    assert!(taken < 500, "{taken}");
    assert_eq!(of_kind(folder.path(), "decision").len(), 600);
}

/// Seen to fail when the header is left to who reads it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_that_is_ignored_is_not_recorded() {
    for trust in [Trust::Child, Trust::Ignore] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&reference());
        config.audit.path = Some(folder.path().to_owned());
        config.audit.mode = Mode::Sync;
        config.telemetry.trust = trust;
        let running = Running::start(config).await;
        let question = question("Org::User::\"anna\"", "Iot::Device::\"press-01\"");
        let mut request = tonic::Request::new(question);
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let metadata = request.metadata_mut();
        metadata.insert("traceparent", trace.parse().unwrap());
        running.authorization().authorize(request).await.unwrap();
        let record = of_kind(folder.path(), "decision").remove(0);
        assert_eq!(
            record["trace"].is_null(),
            trust == Trust::Ignore,
            "{record}"
        );
    }
}

/// Seen to fail when the actor is written as it is, and when the server's own is
/// hidden.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wrote_the_directory_is_redacted_as_callers_are() {
    for rule in ["caller=mask", "caller=drop", "caller=hash"] {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, [7; 32]).unwrap();
        let mut config = config(&reference());
        config.audit.path = Some(folder.path().join("audit"));
        config.audit.redact = vec![rule.parse().unwrap()];
        config.audit.redact_key_file = Some(key);
        let running = Running::start(config).await;
        let write = v1::WriteRequest {
            operations: vec![group("spares")],
            ..v1::WriteRequest::default()
        };
        running.directory().write(write).await.unwrap();
        running.server.stop().await.unwrap();
        let writes = of_kind(&folder.path().join("audit"), "directory_write");
        assert_eq!(writes[0]["actor"], "deodar/seed");
        let actor = &writes[1]["actor"];
        match rule {
            "caller=mask" => assert_eq!(actor, "***"),
            "caller=drop" => assert!(actor.is_null(), "{actor}"),
            _ => assert!(actor.as_str().unwrap().starts_with("hmac:"), "{actor}"),
        }
    }
}

fn group(id: &str) -> v1::Operation {
    let uid = serde_json::json!({"type": "Iot::DeviceGroup", "id": id});
    let entity = serde_json::json!({"uid": uid, "attrs": {}, "parents": []});
    let put = v1::PutEntity {
        form: Some(v1::put_entity::Form::EntityCedarJson(entity.to_string())),
        ..v1::PutEntity::default()
    };
    v1::Operation {
        kind: Some(v1::operation::Kind::Put(put)),
    }
}

/// What the server does besides deciding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_records_what_happens_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let window = std::time::Duration::from_millis(200);
    let running = running(folder.path(), Mode::Batched { window }).await;
    let write = v1::WriteRequest {
        operations: vec![group("spares")],
        ..v1::WriteRequest::default()
    };
    let written = running.directory().write(write).await.unwrap().into_inner();
    let bad = v1::AuthorizeRequest {
        principal: Some(entity("Nope::\"x\"")),
        ..question("Org::User::\"anna\"", "Iot::Device::\"press-01\"")
    };
    running.authorization().authorize(bad).await.unwrap_err();
    running.server.stop().await.unwrap();
    let mut records = records(folder.path());
    // A busy disk may have taken longer than the window, which is told.
    records.retain(|record| record["kind"] != "gap");
    let kinds: Vec<_> = records
        .iter()
        .map(|record| record["kind"].as_str().unwrap())
        .collect();
    assert!(
        kinds.starts_with(&["segment", "start", "directory_opened"]),
        "{kinds:?}"
    );
    let one = |kind: &str| {
        records
            .iter()
            .filter(|record| record["kind"] == kind)
            .count()
    };
    assert_eq!(
        (one("activation"), one("refusal"), one("decision")),
        (1, 1, 0)
    );
    let writes = of_kind(folder.path(), "directory_write");
    assert_eq!(writes.len(), 2, "{writes:?}");
    assert_eq!(writes[0]["actor"], "deodar/seed");
    assert_eq!(writes[1]["revision"], written.revision);
    assert_eq!(writes[1]["operations"][0]["uid"]["id"], "spares");
    let refusal = &of_kind(folder.path(), "refusal")[0];
    assert_eq!(refusal["reason"], "BAD_REQUEST");
    assert!(
        refusal["message"].as_str().unwrap().contains("Nope"),
        "{refusal}"
    );
}

/// A disk that takes nothing, until it is mended.
fn broken() -> (Arc<AtomicBool>, Files) {
    let is_broken = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_broken);
    let files = Files::behind(Arc::new(move |_, call| match call {
        DiskCall::Write(_) if seen.load(Ordering::Relaxed) => Err(Refused {
            written: 0,
            error: io::Error::from(io::ErrorKind::StorageFull),
        }),
        _ => Ok(()),
    }));
    (is_broken, files)
}

/// A decision point whose log has room for four records, and whose disk is full.
fn stuck(folder: &Path, overflow: Overflow) -> (Served, Audit, Arc<AtomicBool>) {
    stuck_in(Options::default().mode, folder, overflow)
}

fn stuck_in(mode: Mode, folder: &Path, overflow: Overflow) -> (Served, Audit, Arc<AtomicBool>) {
    let (is_broken, files) = broken();
    let log = Audit::open(Options {
        directory: folder.to_owned(),
        mode,
        overflow,
        waiting_records_max: 4,
        files,
        ..Options::default()
    });
    let log = log.unwrap();
    log.flush_blocking().unwrap();
    is_broken.store(true, Ordering::Relaxed);
    let recording = Recording {
        log: log.clone(),
        content: Arc::new(Content::default()),
    };
    let policies = source::read(&reference(), &source::Limits::default()).unwrap();
    let served = Served::recorded(&policies, Some(recording)).unwrap();
    (served, log, is_broken)
}

/// Asks what is allowed, so often; whether it was, each time.
fn ask(served: &Served, times: usize) -> Vec<Option<Cause>> {
    let case = cases::all()
        .into_iter()
        .find(|case| case.decision == "allow");
    let pinned = served.pdp.pin().unwrap();
    let query = cases::query(pinned.snapshot(), &case.unwrap());
    let asked = (0..times).map(|_| pinned.authorize(&Caller::Local, &query).unwrap());
    let causes = asked.map(|answer| answer.decision.cause()).collect();
    drop(pinned.take_pending());
    causes
}

/// How many reasons `/readyz` gives, and what the health service says.
fn told_ready(served: &Served) -> (usize, ServingStatus) {
    let (_announcer, phase) = phases();
    let pdp = Arc::clone(&served.pdp);
    let readiness = Readiness { pdp, phase };
    let reasons = readiness.reasons().len();
    let health = HealthOfServices::new(readiness);
    let asked = health.check(tonic::Request::new(HealthCheckRequest::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let answer = runtime.unwrap().block_on(asked).unwrap();
    (reasons, answer.into_inner().status())
}

/// Seen to fail when a refused record does not deny.
#[test]
fn without_room_a_decision_is_denied() {
    let folder = tempfile::tempdir().unwrap();
    let (served, log, is_broken) = stuck(folder.path(), Overflow::Deny);
    let causes = ask(&served, 7);
    assert_eq!(causes[..4], [None; 4]);
    assert_eq!(causes[4..], [Some(Cause::NotRecorded); 3]);
    assert!(log.health().is_err());
    assert_eq!(told_ready(&served), (1, ServingStatus::NotServing));
    is_broken.store(false, Ordering::Relaxed);
    log.flush_blocking().unwrap();
    assert_eq!(told_ready(&served), (0, ServingStatus::Serving));
    assert_eq!(of_kind(folder.path(), "decision").len(), 4);
    let gaps = of_kind(folder.path(), "gap");
    assert_eq!(
        gaps.iter()
            .map(|gap| gap["refused"].as_u64().unwrap())
            .sum::<u64>(),
        3
    );
    assert_eq!(ask(&served, 1), [None]);
}

/// With room left: in `sync` nothing is answered while the disk fails.
#[test]
fn a_disk_that_fails_is_told_in_sync() {
    let window = std::time::Duration::from_millis(10);
    for (mode, expected) in [
        (Mode::Sync, (1, ServingStatus::NotServing)),
        (Mode::Batched { window }, (0, ServingStatus::Serving)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (served, log, is_broken) = stuck_in(mode, folder.path(), Overflow::Block);
        ask(&served, 1);
        while log.counters().disk_errors == 0 {
            std::thread::yield_now();
        }
        assert_eq!(told_ready(&served), expected, "{mode:?}");
        is_broken.store(false, Ordering::Relaxed);
        log.flush_blocking().unwrap();
        assert_eq!(told_ready(&served), (0, ServingStatus::Serving));
    }
}

#[test]
fn without_room_a_decision_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (served, log, is_broken) = stuck(folder.path(), Overflow::Count);
    assert_eq!(ask(&served, 7), [None; 7]);
    is_broken.store(false, Ordering::Relaxed);
    log.flush_blocking().unwrap();
    assert_eq!(of_kind(folder.path(), "decision").len(), 4);
    let gaps = of_kind(folder.path(), "gap");
    assert_eq!(
        gaps.iter()
            .map(|gap| gap["lost"].as_u64().unwrap())
            .sum::<u64>(),
        3
    );
}

/// Seen to fail when what waits for room is not submitted again.
#[test]
fn without_room_an_answer_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (served, log, is_broken) = stuck(folder.path(), Overflow::Block);
    let case = cases::all()
        .into_iter()
        .find(|case| case.decision == "allow");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let pinned = served.pdp.pin().unwrap();
    let query = cases::query(pinned.snapshot(), &case.unwrap());
    for _ in 0..4 {
        pinned.authorize(&Caller::Local, &query).unwrap();
    }
    assert!(pinned.take_pending().is_done());
    for _ in 0..3 {
        pinned.authorize(&Caller::Local, &query).unwrap();
    }
    let pending = pinned.take_pending();
    assert!(!pending.is_done());
    is_broken.store(false, Ordering::Relaxed);
    assert_eq!(runtime.block_on(pending.recorded()), Ok(()));
    log.flush_blocking().unwrap();
    assert_eq!(of_kind(folder.path(), "decision").len(), 7);
    // Who gives up is counted, and who asks when all is over is told.
    is_broken.store(true, Ordering::Relaxed);
    for _ in 0..6 {
        pinned.authorize(&Caller::Local, &query).unwrap();
    }
    drop(pinned.take_pending());
    assert_eq!(log.counters().refused, 2);
    for _ in 0..2 {
        pinned.authorize(&Caller::Local, &query).unwrap();
    }
    let pending = pinned.take_pending();
    is_broken.store(false, Ordering::Relaxed);
    log.close();
    assert_eq!(runtime.block_on(pending.recorded()), Err(NotRecorded));
    let answer = pinned.authorize(&Caller::Local, &query).unwrap();
    assert_eq!(answer.decision.cause(), Some(Cause::NotRecorded));
}
