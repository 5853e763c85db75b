//! How decisions get into the audit log before their answers get out.
//!
//! A decision is submitted when it is made. In the mode `batched` that is all; in
//! the mode `sync`, and when there is no room, the answer has to wait: what for
//! is gathered in a [`Pending`], which the adapter awaits before it answers.

use std::sync::Arc;

use smol_str::SmolStr;
use thiserror::Error;

use crate::audit::Audit;
use crate::audit::EventRecord;
use crate::audit::Record;
use crate::audit::Submitted;
use crate::audit::Ticket;
use crate::audit::decision::Content;
use crate::audit::decision::DecisionRecord;
use crate::audit::redact::Treatment;
use crate::identity::Caller;

/// The audit log, with what the operator decides about its content.
#[derive(Debug, Clone)]
pub struct Recording {
    /// The log.
    pub log: Audit,
    /// What records say.
    pub content: Arc<Content>,
}

/// What a call is known by in records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// What the caller names its request.
    pub request: Option<SmolStr>,
    /// The trace that it is part of: 32 hexadecimal digits.
    pub trace: Option<SmolStr>,
}

/// What has to happen before an answer may be given.
#[derive(Debug, Default)]
#[must_use = "an answer may not be given before its decision is recorded"]
pub struct Pending {
    /// One for each record: one may be lost though those after it are durable.
    tickets: Vec<Ticket>,
    /// Those for which there was no room, in their order.
    waiting: Vec<Waiting>,
}

/// A record that waits for room.
#[derive(Debug)]
struct Waiting {
    log: Audit,
    millis: i64,
    record: Option<Record>,
}

/// The audit log ended, or has no room and never will: nothing can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the decision cannot be recorded in the audit log")]
pub struct NotRecorded;

impl Recording {
    /// Submits the record of a decision; `false` when it cannot be recorded and
    /// must not be given.
    pub fn decision(&self, record: DecisionRecord, millis: i64, pending: &mut Pending) -> bool {
        self.submit(millis, Record::Decision(Box::new(record)), pending)
    }

    /// Submits the record of a question that could not be asked. The refusal is
    /// given whether or not it can be recorded: it lets nobody in.
    pub fn refusal(
        &self,
        caller: &Caller,
        call: &Call,
        (reason, message): (&str, &str),
        millis: i64,
        pending: &mut Pending,
    ) {
        let redaction = &self.content.redaction;
        let mut event = EventRecord::new("refusal", [("reason", reason.into())]);
        let mut tell = |name: &str, text: &str| {
            event.fields.insert(name.to_owned(), text.into());
        };
        match redaction.caller() {
            None => tell("caller", &caller.to_string()),
            Some(Treatment::Hash) => {
                tell("caller", &redaction.hash(caller.to_string().as_bytes()));
            }
            Some(Treatment::Drop | Treatment::Mask) => {}
        }
        // The message names fields and values.
        if !redaction.hides_texts() {
            tell("message", message);
        }
        for (name, text) in [("request", &call.request), ("trace", &call.trace)] {
            if let Some(text) = text {
                tell(name, text);
            }
        }
        self.submit(millis, Record::Event(event), pending);
    }

    fn submit(&self, millis: i64, record: Record, pending: &mut Pending) -> bool {
        match self.log.submit(millis, record) {
            Submitted::Taken | Submitted::Lost => true,
            Submitted::Pending(ticket) => {
                pending.tickets.push(ticket);
                true
            }
            Submitted::Refused => false,
            Submitted::Full(record) => {
                pending.waiting.push(Waiting {
                    log: self.log.clone(),
                    millis,
                    record: Some(record),
                });
                true
            }
        }
    }
}

impl Pending {
    /// Whether there is nothing to wait for.
    pub fn is_done(&self) -> bool {
        self.tickets.is_empty() && self.waiting.is_empty()
    }

    /// Waits until all is recorded as it has to be. Dropped before, what waits
    /// for room is counted as refused.
    ///
    /// # Errors
    /// When the log ended.
    pub async fn recorded(mut self) -> Result<(), NotRecorded> {
        for waiting in std::mem::take(&mut self.waiting) {
            self.tickets.extend(waiting.taken().await?);
        }
        for ticket in self.tickets {
            ticket.durable().await.map_err(|_| NotRecorded)?;
        }
        Ok(())
    }
}

impl Waiting {
    async fn taken(mut self) -> Result<Option<Ticket>, NotRecorded> {
        while let Some(record) = self.record.take() {
            match self.log.submit(self.millis, record) {
                Submitted::Taken | Submitted::Lost => {}
                Submitted::Pending(ticket) => return Ok(Some(ticket)),
                Submitted::Refused => return Err(NotRecorded),
                Submitted::Full(record) => {
                    let record = self.record.insert(record);
                    self.log.room(record).await;
                }
            }
        }
        Ok(None)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.record.is_some() {
            self.log.give_up(self.millis);
        }
    }
}
