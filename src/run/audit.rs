//! The audit log while the server runs: opened before anything is decided, told
//! of starts, stops, policies and the directory, closed after the last answer.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cedar_policy_core::ast::EntityUID;
use serde_json::Value as Json;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::RunError;
use crate::audit::Audit;
use crate::audit::EventRecord;
use crate::audit::Options;
use crate::audit::decision::Content;
use crate::audit::decision::ENGINE;
use crate::audit::json::JsonText;
use crate::audit::redact::HashKey;
use crate::audit::redact::Redaction;
use crate::config;
use crate::config::fault::Origin;
use crate::config::resolve::Setting;
use crate::directory::Directory;
use crate::directory::operation::Operation;
use crate::directory::operation::Transaction;
use crate::directory::revision::Revision;
use crate::directory::time::Time;
use crate::engine::Fault;
use crate::pdp::Pdp;
use crate::pdp::recording::Recording;
use crate::serve::grpc::audit::AuditReading;

/// Faults of a refused revision that are recorded one by one.
const FAULTS_MAX: usize = 20;
/// Transactions that are read from the directory at a time, and their bytes.
const READ_MAX: usize = 256;
const READ_BYTES: usize = 1 << 20;
/// Operations of a transaction that are told one by one.
const OPERATIONS_MAX: usize = 100;
/// The shortest key of hashes.
const KEY_BYTES_MIN: usize = 16;

/// The audit log of a server, if it keeps one.
#[derive(Debug)]
pub(super) struct Recorder {
    recording: Option<Recording>,
    follower: Option<Follower>,
}

/// The task that follows the directory.
#[derive(Debug)]
struct Follower {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Opens the log, which reads its newest segment: on a thread of its own.
    pub(super) async fn open(config: &config::Audit) -> Result<Self, RunError> {
        let Some(path) = &config.path else {
            return Ok(Self {
                recording: None,
                follower: None,
            });
        };
        let content = content(config)?;
        let options = Options {
            directory: path.clone(),
            mode: config.mode,
            overflow: config.overflow,
            waiting_records_max: config.waiting_records_max,
            waiting_bytes_max: config.waiting_bytes_max,
            segment_bytes: config.segment_bytes,
            segment_age: config.segment_age,
            keep_age: config.keep_age,
            keep_bytes: config.keep_bytes,
            ..Options::default()
        };
        let log = tokio::task::spawn_blocking(|| Audit::open(options))
            .await
            .map_err(|error| RunError::System(io::Error::other(error)))?
            .map_err(RunError::Audit)?;
        let started = [
            ("version", json!(env!("CARGO_PKG_VERSION"))),
            ("engine", json!(ENGINE)),
            ("pid", json!(std::process::id())),
        ];
        log.note(Time::System.millis(), EventRecord::new("start", started));
        let content = Arc::new(content);
        Ok(Self {
            recording: Some(Recording { log, content }),
            follower: None,
        })
    }

    /// The decision point, with its decisions recorded.
    pub(super) fn record(&self, pdp: Pdp) -> Pdp {
        match &self.recording {
            Some(recording) => pdp.recorded(recording.clone()),
            None => pdp,
        }
    }

    /// What callers may read of the log.
    pub(super) fn reading(&self, config: &config::Audit) -> Option<AuditReading> {
        Some(AuditReading {
            directory: config.path.clone()?,
            durable: self.recording.as_ref()?.log.durable(),
            limits: config.readable?,
        })
    }

    /// Records what the operator set.
    pub(super) fn configured(&self, settings: &[Setting]) {
        let set = settings
            .iter()
            .filter(|setting| setting.origin != Origin::Default);
        let set: BTreeMap<_, _> = set
            .map(|setting| (&setting.key, json!(setting.value.to_string())))
            .collect();
        self.note(EventRecord::new("configuration", [("set", json!(set))]));
    }

    /// Records why the server ends.
    pub(super) fn stopping(&self, why: &str) {
        self.note(EventRecord::new("stop", [("reason", json!(why))]));
    }

    /// Records every transaction of the directory from now on.
    pub(super) fn follow(&mut self, directory: &Directory) {
        if let Some(recording) = self.recording.clone() {
            let revision = json!(directory.tip().revision.to_string());
            self.note(EventRecord::new(
                "directory_opened",
                [("revision", revision)],
            ));
            let (stop, stopped) = oneshot::channel();
            let task = tokio::spawn(follow(directory.clone(), recording, stopped));
            self.follower = Some(Follower { stop, task });
        }
    }

    /// Records what is left, and closes the log: nothing is answered any more.
    pub(super) async fn stop(&mut self) {
        if let Some(Follower { stop, task }) = self.follower.take() {
            stop.send(()).ok();
            task.await.ok();
        }
        if let Some(recording) = self.recording.take() {
            tokio::task::spawn_blocking(move || recording.log.close())
                .await
                .ok();
        }
    }

    fn note(&self, event: EventRecord) {
        if let Some(recording) = &self.recording {
            recording.log.note(Time::System.millis(), event);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(Follower { task, .. }) = &self.follower {
            task.abort();
        }
    }
}

fn content(config: &config::Audit) -> Result<Content, RunError> {
    let key = config.redact_key_file.as_deref().map(key).transpose()?;
    Ok(Content {
        redaction: Redaction::new(&config.redact, key.unwrap_or_default()),
        context_keys: config.context_keys.clone(),
        digests_entities: config.digests_entities,
    })
}

fn key(path: &Path) -> Result<HashKey, RunError> {
    let refused = |reason: String| RunError::RedactKey {
        path: path.to_owned(),
        reason,
    };
    let bytes = fs::read(path).map_err(|error| refused(error.to_string()))?;
    if bytes.len() < KEY_BYTES_MIN {
        return Err(refused(format!("has less than {KEY_BYTES_MIN} bytes")));
    }
    Ok(HashKey::new(bytes))
}

/// Records the transactions of the directory until it is told to stop; those that
/// are there by then, too.
async fn follow(directory: Directory, recording: Recording, mut stopped: oneshot::Receiver<()>) {
    let mut heads = directory.heads();
    let mut sent = heads.borrow_and_update().sequence;
    loop {
        let is_last = tokio::select! {
            changed = heads.changed() => changed.is_err(),
            _ = &mut stopped => true,
        };
        while sent < directory.tip().revision.sequence {
            let (from, after) = (directory.clone(), sent);
            let read = move || from.transactions(after, READ_MAX, READ_BYTES);
            let Ok(Ok(read)) = tokio::task::spawn_blocking(read).await else {
                // The head is ahead of a log that cannot be read: told by the
                // next start, which names the revision that it finds.
                break;
            };
            let Some((last, _)) = read.last() else {
                break;
            };
            sent = last.sequence;
            for (revision, transaction) in &read {
                let event = directory_write(*revision, transaction, &recording.content.redaction);
                recording.log.note(transaction.millis, event);
            }
        }
        if is_last {
            return;
        }
    }
}

fn directory_write(
    revision: Revision,
    transaction: &Transaction,
    redaction: &Redaction,
) -> EventRecord {
    let operations = &transaction.operations;
    let told = operations.iter().take(OPERATIONS_MAX);
    let told: Vec<Json> = told
        .map(|operation| told_of(operation, redaction))
        .collect();
    EventRecord::new(
        "directory_write",
        [
            ("revision", json!(revision.to_string())),
            ("actor", json!(transaction.actor.as_str())),
            ("operations_count", json!(operations.len())),
            ("operations", json!(told)),
        ],
    )
}

/// What an operation is about; values are in the directory's own log.
fn told_of(operation: &Operation, redaction: &Redaction) -> Json {
    let uid = |uid: &EntityUID| uid_json(uid, redaction);
    match operation {
        Operation::Put(put) => json!({"op": "put", "uid": uid(&put.uid)}),
        Operation::Patch(patch) => json!({"op": "patch", "uid": uid(&patch.uid)}),
        Operation::Delete { uid: of, .. } => json!({"op": "delete", "uid": uid(of)}),
        Operation::AddParent { uid: of, parent } => {
            json!({"op": "add_parent", "uid": uid(of), "parent": uid(&parent.uid)})
        }
        Operation::RemoveParent { uid: of, parent } => {
            json!({"op": "remove_parent", "uid": uid(of), "parent": uid(parent)})
        }
        Operation::PutLink(link) => {
            let parties = [&link.principal, &link.resource];
            let [principal, resource] = parties.map(|party| party.as_deref().map(uid));
            json!({"op": "put_link", "id": link.id.as_str(), "template": link.template.as_str(),
                "principal": principal, "resource": resource})
        }
        Operation::RemoveLink { id } => json!({"op": "remove_link", "id": id.as_str()}),
    }
}

fn uid_json(uid: &EntityUID, redaction: &Redaction) -> Json {
    let mut bytes = Vec::new();
    JsonText::new(&mut bytes, redaction).uid(uid);
    // What was written a line above is JSON.
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// Policies came into force.
pub(super) fn activation(revision: &str, policies: usize, took: Duration) -> EventRecord {
    EventRecord::new(
        "activation",
        [
            ("revision", json!(revision)),
            ("policies_count", json!(policies)),
            (
                "took_ms",
                json!(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            ),
        ],
    )
}

/// Policies were refused; what was in force stays.
pub(super) fn rejection(revision: &str, faults: &[Fault]) -> EventRecord {
    let told = faults.iter().take(FAULTS_MAX);
    let told: Vec<Json> = told
        .map(|fault| json!({"place": fault.place(), "message": fault.message}))
        .collect();
    EventRecord::new(
        "rejection",
        [
            ("revision", json!(revision)),
            ("faults_count", json!(faults.len())),
            ("faults", json!(told)),
        ],
    )
}
