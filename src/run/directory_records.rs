//! Transactions of the directory, as records of the audit log.
//!
//! The directory keeps its transactions by itself; what is not recorded yet when
//! the audit log has no room waits there, and what was not when the server was
//! killed is recorded by the next one.

use std::path::Path;
use std::path::PathBuf;

use cedar_policy_core::ast::EntityUID;
use serde_json::Value as Json;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::audit::EventRecord;
use crate::audit::Record;
use crate::audit::filter::Filter;
use crate::audit::json::JsonText;
use crate::audit::query;
use crate::audit::query::Order;
use crate::audit::query::PageMax;
use crate::audit::query::Query;
use crate::audit::redact::Redaction;
use crate::directory::Directory;
use crate::directory::error::ReadError;
use crate::directory::operation::Operation;
use crate::directory::operation::Transaction;
use crate::directory::revision::Revision;
use crate::directory::time::Time;
use crate::pdp::recording::Recording;

/// Transactions that are read from the directory at a time, and their bytes.
const READ_MAX: usize = 256;
const READ_BYTES: usize = 1 << 20;
/// Operations of a transaction that are told one by one.
const OPERATIONS_MAX: usize = 100;
/// Records that are looked at for the last transaction that is recorded: some
/// seconds of reading, beside the work of the server.
const LOOKED_AT_MAX: u64 = 4_000_000;

/// Records the transactions of a directory.
#[derive(Debug)]
pub struct DirectoryRecords {
    directory: Directory,
    recording: Recording,
    heads: watch::Receiver<Revision>,
    /// The directory when it was opened.
    opened: Revision,
    /// The last transaction that is recorded.
    recorded: u64,
}

impl DirectoryRecords {
    /// From the revision that the directory has now.
    pub fn new(directory: Directory, recording: Recording) -> Self {
        let heads = directory.heads();
        let opened = *heads.borrow();
        Self {
            directory,
            recording,
            heads,
            opened,
            recorded: opened.sequence,
        }
    }

    /// Records until it is told to stop, and what is there by then, too. First
    /// finds the last transaction that the log in this folder has, and goes on
    /// after it.
    pub async fn follow(mut self, folder: PathBuf, mut stopped: oneshot::Receiver<()>) {
        let find = {
            let opened = self.opened;
            move || last_recorded(&folder, opened)
        };
        let found = tokio::task::spawn_blocking(find).await.ok().flatten();
        if let Some(found) = found {
            self.recorded = found.sequence;
        }
        let fields = [
            ("revision", json!(self.opened.to_string())),
            ("recorded", json!(found.map(|found| found.to_string()))),
        ];
        let opened = EventRecord::new("directory_opened", fields);
        self.recording.log.note(Time::System.millis(), opened);
        let mut is_last = false;
        loop {
            self.catch_up().await;
            if is_last {
                return;
            }
            is_last = tokio::select! {
                changed = self.heads.changed() => changed.is_err(),
                _ = &mut stopped => true,
            };
        }
    }

    async fn catch_up(&mut self) {
        while self.recorded < self.directory.tip().revision.sequence {
            let (from, after) = (self.directory.clone(), self.recorded);
            let read = move || from.transactions(after, READ_MAX, READ_BYTES);
            let Ok(read) = tokio::task::spawn_blocking(read).await else {
                return;
            };
            match read {
                Ok(read) if read.is_empty() => return,
                Ok(read) => {
                    for (revision, transaction) in read {
                        self.record(revision, &transaction).await;
                    }
                }
                Err(ReadError::Trimmed { oldest, .. }) if oldest > after + 1 => {
                    self.missed(oldest).await;
                }
                // With the next change, or at the next start, it is tried again.
                Err(_) => return,
            }
        }
    }

    async fn record(&mut self, revision: Revision, transaction: &Transaction) {
        let event = directory_write(revision, transaction, &self.recording.content.redaction);
        self.note(transaction.millis, event).await;
        self.recorded = revision.sequence;
    }

    /// Tells that the transactions before this one are not kept any more.
    async fn missed(&mut self, oldest: u64) {
        let fields = [
            ("from", json!(self.recorded + 1)),
            ("to", json!(oldest - 1)),
        ];
        let event = EventRecord::new("directory_missed", fields);
        self.note(Time::System.millis(), event).await;
        self.recorded = oldest - 1;
    }

    async fn note(&self, millis: i64, event: EventRecord) {
        let record = Record::from(event);
        self.recording.log.room(&record).await;
        self.recording.log.note(millis, record);
    }
}

/// The last transaction of the directory that a log has a record of, unless the
/// directory is not that one, or not as far any more.
fn last_recorded(folder: &Path, opened: Revision) -> Option<Revision> {
    let mut query = Query {
        filter: Filter {
            kinds: ["directory_write", "directory_opened"]
                .map(str::to_owned)
                .into(),
            ..Filter::default()
        },
        order: Order::Newest,
        start: None,
        through: None,
        max: PageMax {
            records: 1,
            bytes: usize::MAX,
            looked_at: LOOKED_AT_MAX,
        },
    };
    let mut looked_at = 0;
    while looked_at < LOOKED_AT_MAX {
        let page = query::page(folder, &query).ok()?;
        if let Some(line) = page.records.first() {
            let found = recorded(&line.text)?;
            let is_before = found.log == opened.log && found.sequence <= opened.sequence;
            return is_before.then_some(found);
        }
        looked_at += page.looked_at;
        query.start = Some(page.next?);
    }
    None
}

/// Until where the directory is recorded with this record.
fn recorded(line: &str) -> Option<Revision> {
    let record: Json = serde_json::from_str(line).ok()?;
    // What was found when it was opened need not have been recorded since.
    let found = record.get("recorded").filter(|found| found.is_string());
    found
        .or_else(|| record.get("revision"))?
        .as_str()?
        .parse()
        .ok()
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
            ("actor", actor_json(&transaction.actor, redaction)),
            ("operations_count", json!(operations.len())),
            ("operations", json!(told)),
        ],
    )
}

/// Who wrote: a caller, unless it was the server itself.
fn actor_json(actor: &str, redaction: &Redaction) -> Json {
    let is_own = actor.starts_with("deodar/");
    let treatment = redaction.caller().filter(|_| !is_own);
    as_json(redaction, |json| json.treated(treatment, actor))
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
    as_json(redaction, |json| json.uid(uid))
}

fn as_json(redaction: &Redaction, write: impl FnOnce(&mut JsonText<'_>)) -> Json {
    let mut bytes = Vec::new();
    write(&mut JsonText::new(&mut bytes, redaction));
    // What was written a line above is JSON.
    serde_json::from_slice(&bytes).unwrap_or_default()
}
