//! What became of a record that was submitted.

use tokio::sync::oneshot;

use super::error::NotDurable;
use super::record::Record;

/// What became of a record that was submitted.
#[derive(Debug)]
#[must_use = "a record may be refused, and then the caller denies"]
pub enum Submitted {
    /// Mode `batched`: it will be durable within the window.
    Taken,
    /// Mode `sync`: it will be durable when the ticket says so, and not before
    /// may the caller answer.
    Pending(Ticket),
    /// Overflow `count`, and there was no room: it is lost, and counted.
    Lost,
    /// Overflow `deny` and no room, or the log is closing: the caller denies.
    Refused,
    /// Overflow `block`, and there is no room. Here it is again: wait for
    /// [`Audit::room`](super::Audit::room) and submit it once more; after the
    /// deadline, say so by [`Audit::give_up`](super::Audit::give_up), and deny.
    Full(Record),
}

/// Waits until a record is durable.
#[derive(Debug)]
pub struct Ticket(pub(super) oneshot::Receiver<()>);

impl Ticket {
    /// Returns when the record, and with it all before, is durable. While the
    /// disk fails that takes until it does not, so bound it by a deadline.
    ///
    /// # Errors
    /// When the log ended before.
    pub async fn durable(self) -> Result<(), NotDurable> {
        self.0.await.map_err(|_| NotDurable)
    }

    /// As [`Ticket::durable`], from a thread that may block.
    ///
    /// # Errors
    /// As [`Ticket::durable`].
    pub fn wait(self) -> Result<(), NotDurable> {
        self.0.blocking_recv().map_err(|_| NotDurable)
    }
}
