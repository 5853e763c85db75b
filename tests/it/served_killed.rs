//! The real server, killed by SIGKILL while it answers over gRPC: what its audit
//! log promises of every answered decision is kept, and the next start needs no
//! hand.
//!
//! A process that is killed leaves to the system what it has written, synced or
//! not. So these tests tell what was not written when the answer was given, or
//! not within the window; that it is synced as well is shown by the tests of
//! `audit` with a disk of their own.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use deodar::audit::read::Reader;
use deodar::audit::read::Since;
use deodar::audit::verify::verify;
use deodar::proto::v1;
use deodar::proto::v1::authorization_service_client::AuthorizationServiceClient;
use deodar::proto::v1::batch_authorize_item::Result as Item;
use deodar::proto::v1::stream_authorize_response::Result as Streamed;
use deodar::telemetry::metrics::table;
use parking_lot::Mutex;
use serde_json::Value as Json;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::audit::site::eventually;
use super::cli::Place;
use super::cli::serve::Served;
use super::directory::site::fresh;
use super::grpc::entity;
use super::kills;
use super::support;
use super::support::Channel;

/// Longer than a busy machine keeps a thread from running, mostly.
const WINDOW: Duration = Duration::from_millis(500);
/// Callers at a time: by turns one asks by itself, in batches and in a stream.
const CALLERS: usize = 6;

/// How long each of them waits after an answer: a server that is built to be
/// debugged has to keep up with its records.
const PAUSE: Duration = Duration::from_millis(5);

type Client = AuthorizationServiceClient<Channel>;

/// An answered decision, and when the caller had it.
type Told = Arc<Mutex<Vec<(String, Instant)>>>;

/// A server that is asked by several callers at once.
struct Asked {
    runtime: Runtime,
    served: Served,
    callers: JoinSet<()>,
    told: Told,
}

impl Asked {
    /// Starts the server on the log of the one before, if there was one.
    fn start(place: &Place, variables: &[(&str, &str)]) -> Self {
        let runtime = Runtime::new().unwrap();
        let policies = place.0.path().join("policies");
        let served = Served::start(place.0.path(), &policies, variables);
        Self {
            runtime,
            served,
            callers: JoinSet::new(),
            told: Told::default(),
        }
    }

    /// Lets the callers ask, until the server is gone.
    fn ask(&mut self) {
        for number in 0..CALLERS {
            let channel = self.runtime.block_on(self.served.channel());
            let (client, told) = (Client::new(channel), Arc::clone(&self.told));
            let asking = async move {
                let ended = match number % 3 {
                    0 => one_by_one(client, &told).await,
                    1 => in_batches(client, &told).await,
                    _ => in_a_stream(client, &told).await,
                };
                // The connection broke.
                ended.unwrap_err();
            };
            self.callers.spawn_on(asking, self.runtime.handle());
        }
    }

    /// When the first answer came.
    fn first(&self) -> Option<Instant> {
        self.told.lock().first().map(|(_, at)| *at)
    }

    /// Since when the oldest record waits to be on the disk, by the server's own
    /// metric.
    fn oldest_waiting(&self) -> Duration {
        let shown = support::get(self.served.http, "/metrics");
        let shown = self.runtime.block_on(shown);
        let name = format!("\n{} ", table::AUDIT_OLDEST.prometheus_name());
        let (_, rest) = shown.split_once(&name).unwrap();
        Duration::from_secs_f64(rest.lines().next().unwrap().parse().unwrap())
    }

    /// Kills the server; gives all that was answered.
    fn kill(mut self) -> Vec<(String, Instant)> {
        self.served.kill();
        self.runtime.block_on(async {
            while let Some(caller) = self.callers.join_next().await {
                caller.unwrap();
            }
        });
        std::mem::take(&mut *self.told.lock())
    }
}

/// Ann's own document.
fn question() -> v1::AuthorizeRequest {
    v1::AuthorizeRequest {
        principal: Some(entity("User", "ann")),
        action: Some(entity("Action", "ping")),
        resource: Some(entity("Doc", "plan")),
        ..v1::AuthorizeRequest::default()
    }
}

fn note(told: &Told, answer: v1::AuthorizeResponse) {
    assert_eq!(answer.decision(), v1::Decision::Allow);
    told.lock().push((answer.decision_id, Instant::now()));
}

async fn one_by_one(mut client: Client, told: &Told) -> Result<(), Status> {
    loop {
        note(told, client.authorize(question()).await?.into_inner());
        sleep(PAUSE).await;
    }
}

async fn in_batches(mut client: Client, told: &Told) -> Result<(), Status> {
    loop {
        let batch = v1::BatchAuthorizeRequest {
            shared: None,
            items: vec![question(); 3],
        };
        for item in client.batch_authorize(batch).await?.into_inner().items {
            let Some(Item::Response(answer)) = item.result else {
                panic!("{item:?}");
            };
            note(told, answer);
        }
        sleep(PAUSE).await;
    }
}

async fn in_a_stream(mut client: Client, told: &Told) -> Result<(), Status> {
    let asked = v1::StreamAuthorizeRequest {
        correlation_id: 1,
        request: Some(question()),
    };
    // One question at a time, so that the server does not run ahead.
    let (ask, questions) = mpsc::channel(1);
    ask.send(asked.clone()).await.unwrap();
    let answers = client.stream_authorize(ReceiverStream::new(questions));
    let mut answers = answers.await?.into_inner();
    while let Some(answer) = answers.message().await? {
        let Some(Streamed::Response(answer)) = answer.result else {
            panic!("{answer:?}");
        };
        note(told, answer);
        sleep(PAUSE).await;
        // If nobody takes it, the next answer says why.
        ask.send(asked.clone()).await.ok();
    }
    Err(Status::unavailable("the stream ended"))
}

/// The ids of all decisions, and what each says of when it is on the disk.
fn decisions(log: &Path) -> BTreeMap<String, String> {
    let reader = Reader::open(log, Since::Oldest).unwrap();
    let mut lines: Vec<_> = reader.map(Result::unwrap).collect();
    lines.retain(|line| line.kind == "decision");
    let count = lines.len();
    let text = |json: &Json, member: &str| json[member].as_str().unwrap().to_owned();
    let decisions = lines.into_iter().map(|line| {
        let json = serde_json::from_str(&line.text).unwrap();
        (text(&json, "id"), text(&json, "durable"))
    });
    let decisions: BTreeMap<_, _> = decisions.collect();
    assert_eq!(decisions.len(), count, "a decision is there twice");
    decisions
}

/// Checks a log that was opened again: it is whole, and has all these decisions.
fn has(log: &Path, answered: &BTreeSet<String>, durable: &str) {
    assert_eq!(verify(log).unwrap().fault, None);
    let there = decisions(log);
    let lost: Vec<_> = answered
        .iter()
        .filter(|id| there.get(*id).is_none_or(|stated| stated != durable))
        .collect();
    assert!(
        lost.is_empty(),
        "of {} answered decisions {} are lost: {lost:?}",
        answered.len(),
        lost.len()
    );
}

/// Starts once more, ends in order, and asks the command line.
fn is_whole(place: &Place, variables: &[(&str, &str)], answered: &BTreeSet<String>, durable: &str) {
    let asked = Asked::start(place, variables);
    let log = asked.served.audit.clone();
    has(&log, answered, durable);
    assert_eq!(asked.served.terminate().0, Some(0));
    has(&log, answered, durable);
    let told = place.run(&["audit", "verify", "--path", log.to_str().unwrap()]);
    assert!(told.starts_with("exit 0\n--- stdout\nwhole "), "{told}");
}

/// `sync`: nothing that was answered is lost. Seen to fail when answers do not
/// wait for their records.
#[test]
fn in_sync_nothing_answered_is_lost() {
    let place = Place::new();
    let variables = [("DEODAR_AUDIT__MODE", "sync")];
    let mut answered = BTreeSet::new();
    for _ in 0..kills::times_of_a_server(3) {
        let mut asked = Asked::start(&place, &variables);
        has(&asked.served.audit, &answered, "sync");
        asked.ask();
        let random = kills::random();
        eventually(|| asked.told.lock().len() as u64 > random % 300);
        std::thread::sleep(Duration::from_micros((random >> 16) % 3000));
        answered.extend(asked.kill().into_iter().map(|(id, _)| id));
    }
    is_whole(&place, &variables, &answered, "sync");
}

/// `batched`: nothing that is older than the stated window is lost. Seen to fail
/// when the writer writes only after ten windows.
///
/// All times are of this process, and every bound errs for the server, whatever
/// the machine does meanwhile. An answer is noted after it came, so its record
/// was submitted before. That a window is not kept, because the disk or the
/// machine is too busy, is within the promise if it is told; a killed server
/// cannot tell by a `gap` record any more, so it is asked just before: how long
/// does the oldest record wait that is not on the disk yet? If that is no longer
/// than the window, whatever was answered a window before this question was sent
/// has to be there. If it is longer, the server says that it is late, and is
/// killed as soon as it is not; one that is late in every round keeps no promise.
#[test]
fn in_batches_nothing_older_than_the_window_is_lost() {
    let place = Place::new();
    // In memory where that can be had: the disk is not what is tested.
    let log = fresh();
    let variables = [
        ("DEODAR_AUDIT__PATH", log.path().to_str().unwrap()),
        ("DEODAR_AUDIT__MODE", "batched"),
        ("DEODAR_AUDIT__WINDOW", "500ms"),
    ];
    let mut answered = BTreeSet::new();
    let kills = kills::times_of_a_server(2);
    let mut late = 0;
    for _ in 0..kills {
        let mut asked = Asked::start(&place, &variables);
        has(&asked.served.audit, &answered, "500ms");
        asked.ask();
        // The first answers are older than the window by then.
        let span = WINDOW + Duration::from_micros(kills::random() % 300_000);
        eventually(|| asked.first().is_some_and(|at| at.elapsed() > span));
        let mut looked = Instant::now();
        if asked.oldest_waiting() > WINDOW {
            late += 1;
            eventually(|| {
                looked = Instant::now();
                asked.oldest_waiting() <= WINDOW
            });
        }
        let told = asked.kill();
        let due = told.into_iter().filter(|(_, at)| *at + WINDOW < looked);
        let due: Vec<_> = due.map(|(id, _)| id).collect();
        assert!(!due.is_empty());
        answered.extend(due);
    }
    assert!(late < kills, "the server was late in every round");
    is_whole(&place, &variables, &answered, "500ms");
}
