//! A watch: the log from a revision on, as fast as the caller takes it.

use std::time::Duration;

use prost::Message as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc;
use tonic::Status;

use super::directory_wire::of_millis;
use super::directory_wire::operation;
use super::outlet;
use super::outlet::Outlet;
use super::outlet::Over;
use super::outlet::beats;
use super::status::Refusal;
use crate::directory::Directory;
use crate::directory::operation::Transaction;
use crate::directory::revision::Revision;
use crate::proto::v1;
use crate::proto::v1::watch_response::Event;
use crate::serve::deadline::Deadline;
use crate::serve::phase::Follower;

/// Transactions that are read from the log at a time.
const READ_MAX: usize = 256;
/// Bytes that are read from the log at a time, if one transaction has no more.
const READ_BYTES: usize = 1 << 20;
/// Bytes of operations in one message, unless one is longer by itself. Callers
/// take 4 MiB unless told otherwise.
const MESSAGE_BYTES: usize = 1 << 20;

/// How long to wait for the log when its head is ahead of it.
const PAUSE: Duration = Duration::from_millis(10);

/// What a caller does when the server leaves.
const LEAVING: &str =
    "the server is leaving; watch another, or this one again, after the last revision that came";

/// What a watch answers with.
pub(super) type Sent = outlet::Sent<v1::WatchResponse>;

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

impl Watch {
    /// Starts it; it ends when what is returned is dropped.
    pub(super) fn start(self) -> mpsc::Receiver<Sent> {
        let (outlet, from) = Outlet::new(self.phase.clone(), self.deadline, LEAVING);
        tokio::spawn(async move {
            let Over = self.run(outlet).await;
        });
        from
    }

    async fn run(mut self, mut outlet: Outlet<v1::WatchResponse>) -> Over {
        let mut heads = self.directory.heads();
        let mut beats = beats(self.interval);
        let mut is_due = true;
        loop {
            let head = *heads.borrow_and_update();
            let sent = if std::mem::take(&mut is_due) {
                outlet.send(message(heartbeat(self.sent, head))).await
            } else if head.sequence > self.sent.sequence {
                self.catch_up(&mut outlet).await
            } else {
                tokio::select! {
                    biased;
                    over = outlet.over() => return outlet.end(over),
                    changed = heads.changed() => if changed.is_err() {
                        return outlet.leave();
                    },
                    _ = beats.tick() => is_due = true,
                }
                Ok(())
            };
            if let Err(over) = sent {
                return over;
            }
        }
    }

    async fn catch_up(&mut self, outlet: &mut Outlet<v1::WatchResponse>) -> Result<(), Over> {
        let (directory, after) = (self.directory.clone(), self.sent.sequence);
        // The log may be on disk.
        let read = move || directory.transactions(after, READ_MAX, READ_BYTES);
        let transactions = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(transactions)) => transactions,
            Ok(Err(error)) => {
                let status = Status::from(Refusal::Log(error));
                return Err(outlet.end(status));
            }
            // The runtime ends.
            Err(_) => return Err(outlet.leave()),
        };
        if transactions.is_empty() {
            // The head was told before the log has it: not to be asked in a loop.
            tokio::time::sleep(PAUSE).await;
        }
        for (revision, transaction) in transactions {
            for part in messages(revision, &transaction) {
                outlet.send(message(Event::Transaction(part))).await?;
            }
            self.sent = revision;
        }
        Ok(())
    }
}

fn message(event: Event) -> v1::WatchResponse {
    v1::WatchResponse { event: Some(event) }
}

fn heartbeat(sent: Revision, head: Revision) -> Event {
    Event::Heartbeat(v1::Heartbeat {
        sent: sent.to_string(),
        head: head.to_string(),
    })
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
