//! `AuditService`, in process, while records are written.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deodar::audit::Audit;
use deodar::audit::EventRecord;
use deodar::audit::Mode;
use deodar::audit::Options;
use deodar::proto::v1;
use deodar::proto::v1::audit_service_client::AuditServiceClient;
use deodar::proto::v1::tail_request::Start;
use deodar::proto::v1::tail_response::Event;
use deodar::serve::AuditLimits;
use deodar::serve::grpc::Connections;
use deodar::serve::grpc::Grpc;
use deodar::serve::grpc::audit::AuditReading;
use deodar::serve::listen::Incoming;
use deodar::serve::listen::Listener;
use deodar::serve::phase::Announcer;
use deodar::serve::phase::Phase;
use deodar::serve::phase::phases;
use deodar::telemetry::Counters;
use serde_json::json;
use tokio::sync::Semaphore;
use tonic::Code;
use tonic::Status;
use tonic::Streaming;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tonic_types::StatusExt as _;

use crate::support::Running;
use crate::support::config;
use crate::support::repository;

/// A server with an audit log, or without.
pub(crate) struct Kept {
    pub(crate) url: String,
    announcer: Announcer,
    _running: Running,
    _files: tempfile::TempDir,
}

impl Kept {
    pub(crate) async fn start(audit: Option<AuditReading>) -> Self {
        let files = repository(&[
            ("manifest.toml", ""),
            (
                "p.cedar",
                "@id(\"p\") permit (principal, action, resource);",
            ),
            (
                "s.cedarschema",
                "entity User; action read appliesTo { principal: User, resource: User };",
            ),
        ]);
        let running = Running::start(config(files.path())).await;
        let (announcer, phase) = phases();
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let url = format!("http://{}", listener.place());
        let incoming = Incoming::new(
            listener,
            Arc::new(Semaphore::new(10)),
            10,
            Arc::new(Counters::default()),
        );
        let settings = &running.server.config;
        let grpc = Grpc {
            pdp: Arc::clone(&running.server.pdp),
            directory: running.server.directory.clone(),
            audit,
            phase,
            trace_trust: settings.telemetry.trust,
            limits: settings.limits,
            directory_limits: settings.directory.limits,
            connections: Connections {
                keepalive_interval: Duration::ZERO,
                keepalive_timeout: Duration::from_secs(20),
                age_max: Duration::ZERO,
                age_grace: Duration::ZERO,
            },
            compress_above_bytes: 0,
            reflection: false,
        };
        tokio::spawn(grpc.serve(incoming));
        Self {
            url,
            announcer,
            _running: running,
            _files: files,
        }
    }

    fn client(&self) -> AuditServiceClient<Channel> {
        let channel = Endpoint::from_shared(self.url.clone()).unwrap();
        AuditServiceClient::new(channel.connect_lazy())
    }
}

fn log(directory: &Path) -> Audit {
    Audit::open(Options {
        directory: directory.to_owned(),
        mode: Mode::Batched {
            window: Duration::from_millis(1),
        },
        segment_bytes: 4000,
        ..Options::default()
    })
    .unwrap()
}

fn reading(audit: &Audit, directory: &Path) -> AuditReading {
    AuditReading {
        directory: directory.to_owned(),
        durable: audit.durable(),
        limits: AuditLimits {
            page_max: 7,
            looked_at_max: 20,
            tails_max: 2,
        },
    }
}

/// Decisions about `User::"0"` to `User::"2"` by turns.
async fn decide(audit: &Audit, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let user = json!({"type": "User", "id": (number % 3).to_string()});
        let fields = [("id", json!(format!("d{number}"))), ("principal", user)];
        drop(audit.submit(number * 1000, EventRecord::new("decision", fields)));
    }
    audit.flush().await.unwrap();
}

#[expect(clippy::unnecessary_wraps, reason = "as the messages have it")]
fn of_user(id: &str) -> Option<v1::AuditFilter> {
    Some(v1::AuditFilter {
        principal: format!("User::{id:?}"),
        ..v1::AuditFilter::default()
    })
}

fn id(record: &v1::AuditRecord) -> String {
    let json: serde_json::Value = serde_json::from_str(&record.json).unwrap();
    assert_eq!(json["seq"], json!(record.seq));
    assert_eq!(json["kind"], json!(record.kind));
    json["id"].as_str().unwrap_or("").to_owned()
}

/// The ids of those of user 0, and how many pages it took.
async fn all(client: &mut AuditServiceClient<Channel>, newest_first: bool) -> (Vec<String>, usize) {
    let mut request = v1::QueryRequest {
        filter: of_user("0"),
        newest_first,
        page_size: 100,
        ..v1::QueryRequest::default()
    };
    let mut ids = Vec::new();
    for pages in 1..1000 {
        let page = client.query(request.clone()).await.unwrap().into_inner();
        assert!(page.records.len() <= 7);
        ids.extend(page.records.iter().map(id));
        if page.next_page_token.is_empty() {
            return (ids, pages);
        }
        request.page_token = page.next_page_token;
    }
    panic!("the pages do not end");
}

fn reason(status: &Status) -> String {
    status
        .get_error_details()
        .error_info()
        .unwrap()
        .reason
        .clone()
}

/// The next record, heartbeats left out.
async fn next(stream: &mut Streaming<v1::TailResponse>) -> v1::AuditRecord {
    loop {
        match stream.message().await.unwrap().unwrap().event.unwrap() {
            Event::Record(record) => return record,
            Event::Heartbeat(_) => {}
        }
    }
}

#[tokio::test]
async fn pages_give_every_selected_record_once() {
    let folder = tempfile::tempdir().unwrap();
    let audit = log(folder.path());
    decide(&audit, 0..100).await;
    let kept = Kept::start(Some(reading(&audit, folder.path()))).await;
    let mut client = kept.client();
    let expected: Vec<String> = (0..100)
        .step_by(3)
        .map(|number| format!("d{number}"))
        .collect();
    let (found, pages) = all(&mut client, false).await;
    assert_eq!(found, expected);
    // At most 20 are looked at for one.
    assert!(pages >= 5, "{pages}");
    let (mut found, _) = all(&mut client, true).await;
    found.reverse();
    assert_eq!(found, expected);
    let request = v1::QueryRequest {
        start_seq: 9,
        page_size: 1,
        ..v1::QueryRequest::default()
    };
    let one = client.query(request).await.unwrap().into_inner();
    assert_eq!(one.records[0].seq, 9);
}

#[tokio::test]
async fn a_tail_gives_what_was_and_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let audit = log(folder.path());
    decide(&audit, 0..50).await;
    let kept = Kept::start(Some(reading(&audit, folder.path()))).await;
    let request = v1::TailRequest {
        filter: of_user("0"),
        start: Some(Start::Last(2)),
        ..v1::TailRequest::default()
    };
    let mut stream = kept.client().tail(request).await.unwrap().into_inner();
    let mut found = vec![next(&mut stream).await, next(&mut stream).await];
    // How far it is, once what was asked for has been sent.
    let beat = stream.message().await.unwrap().unwrap().event.unwrap();
    let Event::Heartbeat(beat) = beat else {
        panic!("{beat:?}");
    };
    assert_eq!(beat.looked_at, beat.durable);
    let writer = audit.clone();
    let writing = tokio::spawn(async move {
        for start in (50..150).step_by(10) {
            decide(&writer, start..start + 10).await;
        }
    });
    while found.len() < 35 {
        found.push(next(&mut stream).await);
    }
    writing.await.unwrap();
    let ids: Vec<String> = found.iter().map(id).collect();
    let expected: Vec<String> = (45..150)
        .step_by(3)
        .map(|number| format!("d{number}"))
        .collect();
    assert_eq!(ids, expected);
    assert!(found.windows(2).all(|pair| pair[0].seq < pair[1].seq));
}

#[tokio::test]
async fn a_tail_goes_on_after_a_record_and_ends_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let audit = log(folder.path());
    decide(&audit, 0..10).await;
    let kept = Kept::start(Some(reading(&audit, folder.path()))).await;
    let mut client = kept.client();
    let from = |seq| v1::TailRequest {
        start: Some(Start::StartSeq(seq)),
        ..v1::TailRequest::default()
    };
    let mut stream = client.tail(from(5)).await.unwrap().into_inner();
    for seq in 5..10 {
        assert_eq!(next(&mut stream).await.seq, seq);
    }
    let second = client.tail(from(1)).await.unwrap();
    let refused = client.tail(from(1)).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused)),
        (Code::ResourceExhausted, "TAILS".to_owned())
    );
    drop(second);
    kept.announcer.send_replace(Phase::Draining);
    let ended = loop {
        if let Err(status) = stream.message().await {
            break status;
        }
    };
    assert_eq!(ended.code(), Code::Unavailable, "{ended}");
}

#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let off = Kept::start(None).await;
    let status = off
        .client()
        .query(v1::QueryRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::Unimplemented, "AUDIT_OFF".to_owned())
    );
    let folder = tempfile::tempdir().unwrap();
    let audit = log(folder.path());
    decide(&audit, 0..10).await;
    let kept = Kept::start(Some(reading(&audit, folder.path()))).await;
    let filtered = |filter| v1::QueryRequest {
        filter: Some(filter),
        ..v1::QueryRequest::default()
    };
    let filter = v1::AuditFilter::default;
    let bad = [
        (
            "filter.principal",
            filtered(v1::AuditFilter {
                principal: "User::bob\"".to_owned(),
                ..filter()
            }),
        ),
        (
            "filter.decision",
            filtered(v1::AuditFilter {
                decision: 9,
                ..filter()
            }),
        ),
        (
            "filter.caller",
            filtered(v1::AuditFilter {
                caller: "x".repeat(5000),
                ..filter()
            }),
        ),
        (
            "filter.from",
            filtered(v1::AuditFilter {
                from: Some(prost_types::Timestamp {
                    seconds: 1,
                    nanos: -1,
                }),
                ..filter()
            }),
        ),
        (
            "page_token",
            v1::QueryRequest {
                page_token: "x".to_owned(),
                ..v1::QueryRequest::default()
            },
        ),
    ];
    for (field, request) in bad {
        let status = kept.client().query(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}");
        let details = status.get_error_details();
        assert_eq!(
            details.bad_request().unwrap().field_violations[0].field,
            field
        );
    }
}
