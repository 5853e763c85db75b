//! From a question as it came to its answer as it goes, for one by itself, in a
//! batch or in a stream.

use std::sync::Arc;

use prost::Message as _;
use prost::bytes::Bytes;

use super::by::By;
use super::directory_wire::reached;
use super::shared::Shared;
use super::status::Refusal;
use super::status::WireError;
use super::status::as_message;
use super::written;
use super::written::Came;
use crate::directory::Directory;
use crate::identity::Caller;
use crate::pdp::Pdp;
use crate::pdp::Pinned;
use crate::pdp::recording::Pending;
use crate::pdp::words::Recalled;
use crate::pdp::words::Words;
use crate::proto::v1;
use crate::serve::deadline::Deadline;
use crate::serve::limits::Limits;
use crate::telemetry::trace::Part;

/// What answering a question takes.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) pdp: Arc<Pdp>,
    pub(super) limits: Limits,
    /// Where revisions are waited for.
    pub(super) directory: Option<Directory>,
}

/// Answers, encoded, and what has to happen before they may go out.
pub(super) type Made = (Vec<u8>, Pending);

/// What a question or a batch is answered on, and how its answers name it.
pub(super) struct Basis<'a> {
    pub(super) pinned: Pinned<'a>,
    pub(super) revisions: Vec<u8>,
}

impl<'a> Basis<'a> {
    pub(super) fn of(pinned: Pinned<'a>) -> Self {
        Self {
            revisions: written::revisions(pinned.active()),
            pinned,
        }
    }
}

impl Asked {
    /// Answers a question by itself.
    pub(super) async fn single(
        &self,
        by: &By,
        deadline: Option<Deadline>,
        sent: Bytes,
    ) -> Result<Made, Refusal> {
        let own = sent.clone();
        let words = Words {
            shared: None,
            own: &own,
        };
        if let Some(made) = self.recall(by, words) {
            return Ok(made);
        }
        let decoded = written::decoded(sent);
        let mut message: v1::AuthorizeRequest = decoded.map_err(Refusal::Undecoded)?;
        let mut words = Some(words);
        if !message.at_least.is_empty() {
            let at_least = std::mem::take(&mut message.at_least);
            self.reached(&at_least, deadline).await?;
            // Who asks this again has to wait again.
            words = None;
        }
        self.one(by, words, message)
    }

    /// Waits for the revision of the directory that a question names.
    pub(super) async fn reached(
        &self,
        at_least: &str,
        deadline: Option<Deadline>,
    ) -> Result<(), Refusal> {
        let Some(directory) = &self.directory else {
            let message = "cannot be waited for: this server has no directory";
            return Err(WireError::new("at_least", message, "leave it out").into());
        };
        let _part = self
            .pdp
            .counters()
            .tracer()
            .map(|_| Part::begin("deodar.wait"));
        let reached = reached(directory, "at_least", at_least, deadline).await;
        reached.map(|_| ())
    }

    /// Answers a question that was read.
    pub(super) fn one(
        &self,
        by: &By,
        words: Option<Words<'_>>,
        request: v1::AuthorizeRequest,
    ) -> Result<Made, Refusal> {
        let basis = Basis::of(self.pdp.pin()?.for_call(by.call.clone()));
        let answer = self.answer(&basis, &by.caller, &Shared::default(), words, request)?;
        Ok((answer, basis.pinned.take_pending()))
    }

    /// Records that a call was refused, and gives the refusal back: whether or not
    /// it can be recorded, it lets nobody in.
    pub(super) async fn refused(&self, by: &By, refusal: Refusal) -> Refusal {
        if refusal.is_of_question() {
            self.pdp.counters().bad_question();
        }
        if !matches!(refusal, Refusal::NotRecorded(_)) {
            let (reason, message) = refusal.told();
            let pending = self.pdp.refused(&by.caller, &by.call, reason, &message);
            pending.recorded().await.ok();
        }
        refusal
    }

    /// Answers an item of a batch; a refusal is recorded with the batch.
    pub(super) fn item(
        &self,
        basis: &Basis<'_>,
        by: &By,
        shared: &Shared,
        words: Option<Words<'_>>,
        request: v1::AuthorizeRequest,
    ) -> Result<Vec<u8>, Refusal> {
        let answered = self.answer(basis, &by.caller, shared, words, request);
        if let Err(refusal) = &answered {
            self.pdp.counters().bad_question();
            let (reason, message) = refusal.told();
            basis.pinned.refused(&by.caller, reason, &message);
        }
        answered
    }

    fn answer(
        &self,
        basis: &Basis<'_>,
        caller: &Caller,
        shared: &Shared,
        words: Option<Words<'_>>,
        request: v1::AuthorizeRequest,
    ) -> Result<Vec<u8>, Refusal> {
        if !request.at_least.is_empty() {
            let message = "is of the whole batch";
            return Err(WireError::new("at_least", message, "name it in `shared`").into());
        }
        let Basis { pinned, revisions } = basis;
        let explain = request.explain;
        let parts = shared.parts(pinned.snapshot(), &self.limits, request)?;
        let question = pinned.question(parts).map_err(WireError::from)?;
        let answered = pinned.authorize(caller, &question.query);
        let answer = answered.map_err(WireError::from)?;
        let lasting = written::lasting(&answer.decision);
        let mut written = written::answer(&answer, &lasting, revisions);
        if explain {
            let explained = pinned.explain(&question.query);
            written::explanation(explained.map_err(WireError::from)?, &mut written);
        } else if let Some(words) = words {
            pinned.remember(words, &question, &answer, lasting);
        }
        Ok(written)
    }

    /// The answer to a question that was asked in these words before.
    pub(super) fn recall(&self, by: &By, words: Words<'_>) -> Option<Made> {
        let pinned = self.pdp.in_force().ok()?.for_call(by.call.clone());
        let Recalled { answer, written } = pinned.recall(&by.caller, words)?;
        let revisions = written::revisions(pinned.active());
        let answer = written::answer(&answer, &written, &revisions);
        Some((answer, pinned.take_pending()))
    }
}

/// Waits until the decisions of an answer are recorded.
pub(super) async fn recorded((answer, pending): Made) -> Result<Vec<u8>, Refusal> {
    if !pending.is_done() {
        let _part = Part::begin("deodar.record");
        pending.recorded().await?;
    }
    Ok(answer)
}

/// An answer or the lack of one, encoded.
pub(super) fn came(answered: Result<Vec<u8>, Refusal>) -> Came {
    match answered {
        Ok(response) => Came::Response(response),
        Err(refusal) => Came::Error(as_message(refusal).encode_to_vec()),
    }
}
