//! Who and what exists: entities and run-time grants, as an ordered log of
//! transactions and the state that it makes.
//!
//! ```text
//! write -> writer thread: judge, apply, check -> log (durable) -> view in force -> revision
//!                                                  |
//! start:  newest snapshot of the log, then what follows in it
//! ```
//!
//! Reading order: [`operation`] (what can be done), [`log`] (how it is kept),
//! [`state`] and [`apply`] (what it makes), [`writer`] (the thread that does it).

pub mod apply;
pub mod check;
pub mod codec;
pub mod dump;
pub mod error;
pub mod fit;
pub mod fitted;
pub mod group;
pub mod height;
pub mod list;
pub mod load;
pub mod log;
pub mod operation;
pub mod record;
pub mod replay;
pub mod restore;
pub mod revision;
pub mod state;
pub mod time;
pub mod tip;
pub mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::time::Instant;

use thiserror::Error;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;

pub use load::load;
pub use tip::Tip;

use crate::engine::packed::Types;
use crate::telemetry::events;
use crate::telemetry::metrics::directory::DirectoryCounters;
use crate::telemetry::metrics::directory::Write;
use check::EntityLimits;
use error::ReadError;
use error::WriteError;
use fit::Activation;
use fit::Misfits;
use group::Waiter;
use log::Embedded;
use log::Head;
use log::Log;
use log::LogError;
use log::Memory;
use operation::Draft;
use operation::Transaction;
use revision::Revision;
use revision::RevisionError;
use state::State;
use time::Time;
use tip::Shared;
use writer::Command;
use writer::Keep;
use writer::Publish;
use writer::Start;
use writer::Writer;

/// How a directory is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where; `None` is in memory, for as long as the process runs.
    pub path: Option<PathBuf>,
    /// Limits of entities.
    pub limits: EntityLimits,
    /// Operations of a transaction.
    pub operations_max: usize,
    /// Writes that wait.
    pub waiting_max: usize,
    /// How much is kept.
    pub keep: Keep,
    /// What the time is.
    pub time: Time,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            path: None,
            limits: EntityLimits::default(),
            operations_max: 10_000,
            waiting_max: 10_000,
            keep: Keep {
                transactions: 1_000_000,
                snapshot_every: 100_000,
            },
            time: Time::System,
        }
    }
}

/// A directory that cannot be opened: the operator has to mend it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the directory cannot be opened: {message}")]
pub struct OpenError {
    message: String,
    hint: String,
}

impl OpenError {
    /// What to do about it.
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

impl From<LogError> for OpenError {
    fn from(error: LogError) -> Self {
        Self {
            message: error.to_string(),
            hint: error.hint().to_owned(),
        }
    }
}

/// The directory of one store; clones are the same directory.
#[derive(Debug, Clone)]
pub struct Directory {
    log: Arc<dyn Log>,
    shared: Arc<Shared>,
    commands: SyncSender<Command>,
    counters: Arc<DirectoryCounters>,
}

impl Directory {
    /// Opens a directory, and brings its state up to the head of its log. Nothing
    /// is published before policies are activated.
    ///
    /// # Errors
    /// When the store is in use, damaged, of a newer version, or cannot be read.
    pub fn open(options: Options, publish: Publish) -> Result<Self, OpenError> {
        let log: Arc<dyn Log> = match &options.path {
            Some(path) => Arc::new(Embedded::open(path)?),
            None => Arc::new(Memory::default()),
        };
        Self::on(log, options, publish)
    }

    /// The directory of a log.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn on(log: Arc<dyn Log>, options: Options, publish: Publish) -> Result<Self, OpenError> {
        let (state, tail) = restored(&*log)?;
        let shared = Arc::new(Shared::new(Tip {
            revision: Revision::of(&log.head()),
            millis: options.time.millis(),
            state: state.clone(),
            snapshot: None,
        }));
        let counters = Arc::new(DirectoryCounters::default());
        let writer = Writer::new(Start {
            counters: Arc::clone(&counters),
            log: Arc::clone(&log),
            shared: Arc::clone(&shared),
            state,
            tail,
            limits: options.limits,
            operations_max: options.operations_max,
            keep: options.keep,
            time: options.time,
            publish,
        });
        let (commands, receiver) = std::sync::mpsc::sync_channel(options.waiting_max);
        std::thread::Builder::new()
            .name("directory".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| OpenError {
                message: error.to_string(),
                hint: "check the limits of the system for this user".to_owned(),
            })?;
        Ok(Self {
            log,
            shared,
            commands,
            counters,
        })
    }

    /// Applies a transaction, and returns when it is durable and in force.
    ///
    /// # Errors
    /// Everything that is wrong with it; nothing of it was applied then.
    pub async fn write(&self, draft: Draft) -> Result<Revision, WriteError> {
        self.write_in(draft, None).await
    }

    /// As [`Directory::write`], with the room that the transaction takes in
    /// memory: it is given back when the transaction is, also if this is dropped
    /// before. A transaction that nobody waits for when its turn comes is not
    /// applied.
    ///
    /// # Errors
    /// As [`Directory::write`].
    pub async fn write_in(
        &self,
        draft: Draft,
        room: Option<OwnedSemaphorePermit>,
    ) -> Result<Revision, WriteError> {
        let (reply, answer) = oneshot::channel();
        let _waiting = self.counters.waits();
        let waiter = Waiter { reply, room };
        let written = match self.commands.try_send(Command::Write(draft, waiter)) {
            Ok(()) => answer.await.unwrap_or_else(|_| Err(stopped())),
            Err(TrySendError::Full(_)) => Err(WriteError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(stopped()),
        };
        self.counters.written(match &written {
            Ok(_) => Write::Applied,
            Err(WriteError::Refused(_)) => Write::Refused,
            Err(WriteError::Precondition(_)) => Write::Precondition,
            Err(WriteError::Busy) => Write::Busy,
            Err(WriteError::Store { .. }) => Write::Failed,
        });
        written
    }

    /// What has been counted.
    pub fn counters(&self) -> &DirectoryCounters {
        &self.counters
    }

    /// Fits policies to the state and puts both in force; waits for it, so not
    /// to be called from asynchronous code. What does not fit is told.
    ///
    /// # Errors
    /// When something does not fit and policies are to be rejected then, or when
    /// the store failed.
    pub fn activate(&self, activation: Activation) -> Result<Misfits, Misfits> {
        let (reply, answer) = oneshot::channel();
        let gone = || Misfits::of_store(&LogError::Unknown);
        self.commands
            .send(Command::Activate(activation, reply))
            .map_err(|_| gone())?;
        answer.blocking_recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Keeps a snapshot of the latest state now; the next start begins from it.
    /// Blocks on the store.
    ///
    /// # Errors
    /// When the store cannot keep it.
    pub fn keep_snapshot(&self) -> Result<(), LogError> {
        let (tip, head) = self.shared.tip_and_head(&*self.log)?;
        self.log.put_snapshot(head, &mut dump::dump(&tip.state))
    }

    /// Has the writer look at the time, and waits until it has: for tests that
    /// set the time.
    pub async fn tick(&self) {
        let (reply, answer) = oneshot::channel();
        if self.commands.try_send(Command::Tick(reply)).is_ok() {
            answer.await.ok();
        }
    }

    /// The latest state.
    pub fn tip(&self) -> Arc<Tip> {
        self.shared.tip()
    }

    /// Whether a revision has been reached, as far as that can be told without
    /// reading the log: `None` when not.
    pub fn has_reached(&self, asked: Revision) -> Option<Result<(), RevisionError>> {
        let head = self.tip().revision;
        if asked.log != head.log {
            return Some(Err(RevisionError::Foreign { asked, head }));
        }
        if asked.sequence > head.sequence {
            return None;
        }
        let known = self.shared.remembered(asked.sequence)?;
        Some(if known == asked {
            Ok(())
        } else {
            Err(RevisionError::Forked { asked, head })
        })
    }

    /// Waits for a revision, until a time.
    ///
    /// A revision from before what the log still has is taken on its log and
    /// number alone.
    ///
    /// # Errors
    /// When it is of another log, not reached by then, or not in the history.
    pub async fn wait_for(
        &self,
        asked: Revision,
        until: tokio::time::Instant,
    ) -> Result<(), RevisionError> {
        let mut heads = self.heads();
        let is_reached = async {
            let wanted = |head: &Revision| head.log != asked.log || head.sequence >= asked.sequence;
            heads.wait_for(wanted).await.is_ok()
        };
        let is_reached = tokio::time::timeout_at(until, is_reached).await;
        let head = self.tip().revision;
        if !is_reached.unwrap_or(false) {
            return Err(RevisionError::Future { asked, head });
        }
        if let Some(told) = self.has_reached(asked) {
            return told;
        }
        let log = Arc::clone(&self.log);
        let found = tokio::task::spawn_blocking(move || log.hash_at(asked.sequence)).await;
        match found {
            Ok(Ok(Some(hash))) => {
                let known = Revision::of(&Head {
                    log: self.log.head().log,
                    sequence: asked.sequence,
                    hash,
                });
                if known == asked {
                    Ok(())
                } else {
                    Err(RevisionError::Forked { asked, head })
                }
            }
            Ok(Ok(None)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(RevisionError::Future { asked, head }),
        }
    }

    /// Transactions after a sequence number, oldest first, at most so many of at
    /// most so many bytes together (at least one if there is one). Blocks on the
    /// store.
    ///
    /// # Errors
    /// When they are no longer kept, or the log cannot be read.
    pub fn transactions(
        &self,
        after: u64,
        max: usize,
        bytes_max: usize,
    ) -> Result<Vec<(Revision, Transaction)>, ReadError> {
        let store = |message: String, hint: &str| ReadError::Store {
            message,
            hint: hint.to_owned(),
        };
        let entries = self
            .log
            .read(after, max, bytes_max)
            .map_err(|error| match error {
                LogError::Trimmed { oldest } => ReadError::Trimmed { after, oldest },
                other => store(other.to_string(), other.hint()),
            })?;
        let log = self.log.head().log;
        let tip = self.tip();
        let unknown = Types::default();
        let types = tip
            .snapshot
            .as_ref()
            .map_or(&unknown, |snapshot| snapshot.types());
        let read = entries.into_iter().map(|entry| {
            let revision = Revision::of(&Head {
                log,
                sequence: entry.sequence,
                hash: entry.hash,
            });
            let transaction =
                codec::decode(entry.sequence, &entry.body, types).map_err(|damaged| {
                    store(damaged.to_string(), "restore the directory from a copy")
                })?;
            Ok((revision, transaction))
        });
        read.collect()
    }

    /// Tells of each new head.
    pub fn heads(&self) -> tokio::sync::watch::Receiver<Revision> {
        self.shared.heads()
    }
}

/// The thread that writes lives as long as anybody can ask it.
fn stopped() -> WriteError {
    WriteError::Store {
        message: "the thread that writes the directory has stopped".to_owned(),
        hint: "restart the server, and report this with its log: it is a fault of deodar"
            .to_owned(),
        outcome_unknown: true,
    }
}

/// The state at the head of a log, and how many operations it has after its
/// newest snapshot.
#[expect(clippy::disallowed_methods, reason = "how long it took is told")]
fn restored(log: &dyn Log) -> Result<(State, usize), OpenError> {
    let started = Instant::now();
    let damaged = |message: String| OpenError {
        message,
        hint: "restore the directory from a copy".to_owned(),
    };
    let types = Types::default();
    let mut head = Head::before_first(log.head().log);
    let mut state = State::empty(&Revision::of(&head).to_string());
    if let Some(snapshot) = log.snapshot()? {
        head = snapshot.at;
        state = restore::restore(snapshot.chunks, &types)?;
    }
    let tail =
        replay::catch_up(log, &mut state, &mut head, &types, &mut Vec::new()).map_err(damaged)?;
    let revision = Revision::of(&head);
    state.view.reached(revision.sequence, revision.to_string());
    events::directory_opened(
        &revision.to_string(),
        state.view.len(),
        state.links().len(),
        started.elapsed(),
    );
    Ok((state, tail))
}
