//! A watch: the log from a revision on, as fast as the caller takes it.

use std::pin::Pin;
use std::time::Duration;

use prost::Message as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio::time::Interval;
use tokio::time::MissedTickBehavior;
use tonic::Status;

use super::directory_wire::of_millis;
use super::directory_wire::operation;
use super::status::Refusal;
use crate::directory::Directory;
use crate::directory::operation::Transaction;
use crate::directory::revision::Revision;
use crate::proto::v1;
use crate::proto::v1::watch_response::Event;
use crate::serve::deadline::Deadline;
use crate::serve::deadline::exceeded;
use crate::serve::phase::Follower;
use crate::serve::phase::Phase;

/// Transactions that are read from the log at a time.
const READ_MAX: usize = 256;
/// Bytes that are read from the log at a time, if one transaction has no more.
const READ_BYTES: usize = 1 << 20;
/// Messages that wait for the caller to take them.
const WAITING_MAX: usize = 4;
/// Bytes of operations in one message, unless one is longer by itself. Callers
/// take 4 MiB unless told otherwise.
const MESSAGE_BYTES: usize = 1 << 20;

/// How long to wait for the log when its head is ahead of it.
const PAUSE: Duration = Duration::from_millis(10);

/// What a watch answers with.
pub(super) type Sent = Result<v1::WatchResponse, Status>;

/// A watch under way.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) directory: Directory,
    /// Everything up to here was sent.
    pub(super) sent: Revision,
    pub(super) interval: Duration,
    pub(super) phase: Follower,
    pub(super) deadline: Option<Deadline>,
    /// The place of the watch among all that there may be.
    pub(super) _seat: OwnedSemaphorePermit,
}

/// The caller has gone, or was told why the watch ends.
struct Over;

impl Watch {
    /// Starts it; it ends when what is returned is dropped.
    pub(super) fn start(self) -> mpsc::Receiver<Sent> {
        let (into, from) = mpsc::channel(WAITING_MAX);
        tokio::spawn(async move {
            let mut ending = Box::pin(ending(self.phase.clone(), self.deadline));
            // Whoever is gone needs no answer.
            self.run(&into, &mut ending).await.err();
        });
        from
    }

    async fn run(
        mut self,
        into: &mpsc::Sender<Sent>,
        ending: &mut Pin<Box<impl Future<Output = Status>>>,
    ) -> Result<(), Over> {
        let mut heads = self.directory.heads();
        let mut beats = beats(self.interval);
        let head = *heads.borrow_and_update();
        send(into, ending, heartbeat(self.sent, head)).await?;
        loop {
            let head = *heads.borrow_and_update();
            if head.sequence > self.sent.sequence {
                self.catch_up(into, ending).await?;
                continue;
            }
            tokio::select! {
                biased;
                () = into.closed() => return Err(Over),
                status = &mut *ending => return end(into, status).await,
                changed = heads.changed() => if changed.is_err() {
                    return end(into, leaving()).await;
                },
                _ = beats.tick() => {
                    send(into, ending, heartbeat(self.sent, head)).await?;
                }
            }
        }
    }

    async fn catch_up(
        &mut self,
        into: &mpsc::Sender<Sent>,
        ending: &mut Pin<Box<impl Future<Output = Status>>>,
    ) -> Result<(), Over> {
        let (directory, after) = (self.directory.clone(), self.sent.sequence);
        // The log may be on disk.
        let read = move || directory.transactions(after, READ_MAX, READ_BYTES);
        let read = tokio::task::spawn_blocking(read).await;
        let transactions = match read {
            Ok(Ok(transactions)) => transactions,
            Ok(Err(error)) => {
                end(into, Refusal::Log(error).into()).await?;
                return Err(Over);
            }
            // The runtime ends.
            Err(_) => {
                end(into, leaving()).await?;
                return Err(Over);
            }
        };
        if transactions.is_empty() {
            // The head was told before the log has it: not to be asked in a loop.
            tokio::time::sleep(PAUSE).await;
        }
        for (revision, transaction) in transactions {
            for message in messages(revision, &transaction) {
                send(into, ending, Event::Transaction(message)).await?;
            }
            self.sent = revision;
        }
        Ok(())
    }
}

fn heartbeat(sent: Revision, head: Revision) -> Event {
    Event::Heartbeat(v1::Heartbeat {
        sent: sent.to_string(),
        head: head.to_string(),
    })
}

/// Ticks, the first of them after one interval.
pub(super) fn beats(interval: Duration) -> Interval {
    let mut beats = tokio::time::interval_at(Instant::now() + interval, interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}

async fn send(
    into: &mpsc::Sender<Sent>,
    ending: &mut Pin<Box<impl Future<Output = Status>>>,
    event: Event,
) -> Result<(), Over> {
    let message = v1::WatchResponse { event: Some(event) };
    tokio::select! {
        biased;
        room = into.reserve() => match room {
            Ok(room) => {
                room.send(Ok(message));
                Ok(())
            }
            Err(_) => Err(Over),
        },
        status = &mut *ending => {
            end(into, status).await?;
            Err(Over)
        }
    }
}

/// Tells why the watch ends, if the caller ever reads it.
async fn end(into: &mpsc::Sender<Sent>, status: Status) -> Result<(), Over> {
    into.send(Err(status)).await.map_err(|_| Over)
}

/// Waits for a reason to end that is not the caller's.
async fn ending(mut phase: Follower, deadline: Option<Deadline>) -> Status {
    let late = async {
        match deadline {
            Some(Deadline(at)) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = phase.wait_for(|phase| *phase == Phase::Draining) => leaving(),
        () = late => exceeded(),
    }
}

fn leaving() -> Status {
    Status::unavailable(
        "the server is leaving; watch another, or this one again, after the last revision that came",
    )
}

/// A transaction in messages that callers take.
fn messages(revision: Revision, transaction: &Transaction) -> Vec<v1::Transaction> {
    let mut messages = Vec::new();
    let mut operations = Vec::new();
    let mut bytes = 0;
    let message = |operations, continues| v1::Transaction {
        revision: revision.to_string(),
        time: Some(of_millis(transaction.millis)),
        actor: transaction.actor.to_string(),
        operations,
        continues,
    };
    for next in transaction.operations.iter().map(operation) {
        let length = next.encoded_len();
        if bytes + length > MESSAGE_BYTES && !operations.is_empty() {
            messages.push(message(std::mem::take(&mut operations), true));
            bytes = 0;
        }
        bytes += length;
        operations.push(next);
    }
    messages.push(message(operations, false));
    messages
}

#[cfg(test)]
mod tests {
    use super::MESSAGE_BYTES;
    use super::messages;
    use crate::directory::operation::Operation;
    use crate::directory::operation::Transaction;
    use crate::directory::revision::Revision;

    #[test]
    fn a_large_transaction_comes_in_several_messages() {
        let remove = |number: usize| Operation::RemoveLink {
            id: format!("{}-{number}", "x".repeat(MESSAGE_BYTES / 3)).into(),
        };
        let transaction = Transaction {
            sequence: 1,
            millis: 0,
            actor: "test".into(),
            preconditions: Vec::new(),
            operations: (0..7).map(remove).collect(),
        };
        let revision = Revision {
            log: 1,
            sequence: 1,
            hash: 1,
        };
        let messages = messages(revision, &transaction);
        let shape: Vec<_> = messages
            .iter()
            .map(|message| (message.operations.len(), message.continues))
            .collect();
        assert_eq!(shape, [(2, true), (2, true), (2, true), (1, false)]);
    }
}
