//! `deodar.v1.AuthorizationService`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use prost::Message;
use prost::bytes::Bytes;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::metadata::MetadataMap;

use super::by::By;
use super::directory_wire::reached;
use super::shared::Shared;
use super::status::Refusal;
use super::status::WireError;
use super::status::as_message;
use super::wire;
use super::written;
use super::written::Came;
use super::written::SentBatch;
use super::written::SentQuestion;
use super::written::of_stream;
use crate::directory::Directory;
use crate::identity::Caller;
use crate::pdp::Pdp;
use crate::pdp::Pinned;
use crate::pdp::recording::Pending;
use crate::pdp::words::Recalled;
use crate::pdp::words::Words;
use crate::proto::v1;
use crate::serve::deadline::Deadline;
use crate::serve::deadline::exceeded;
use crate::serve::limits::Limits;
use crate::telemetry::trace::Part;

/// The service.
#[derive(Debug, Clone)]
pub struct Authorization {
    asked: Asked,
    compress_above_bytes: usize,
}

/// What answering a question takes.
#[derive(Debug, Clone)]
struct Asked {
    pdp: Arc<Pdp>,
    limits: Limits,
    /// Where revisions are waited for.
    directory: Option<Directory>,
}

/// Answers, encoded, and what has to happen before they may go out.
type Made = (Vec<u8>, Pending);

/// What a question or a batch is answered on, and how its answers name it.
struct Basis<'a> {
    pinned: Pinned<'a>,
    revisions: Vec<u8>,
}

impl<'a> Basis<'a> {
    fn of(pinned: Pinned<'a>) -> Self {
        Self {
            revisions: written::revisions(pinned.active()),
            pinned,
        }
    }
}

impl Authorization {
    /// The service over a decision point.
    pub fn new(pdp: Arc<Pdp>, limits: Limits, compress_above_bytes: usize) -> Self {
        Self {
            asked: Asked {
                pdp,
                limits,
                directory: None,
            },
            compress_above_bytes,
        }
    }

    /// The service for callers that name revisions of this directory.
    #[must_use]
    pub fn with_directory(mut self, directory: Directory) -> Self {
        self.asked.directory = Some(directory);
        self
    }
}

impl Asked {
    /// Waits for the revision of the directory that a question names.
    async fn reached(&self, at_least: &str, deadline: Option<Deadline>) -> Result<(), Refusal> {
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
        if matches!(reached, Err(Refusal::Bad(_))) {
            self.pdp.counters().bad_question();
        }
        reached.map(|_| ())
    }

    fn one(
        &self,
        by: &By,
        words: Option<Words<'_>>,
        request: v1::AuthorizeRequest,
    ) -> Result<Made, Refusal> {
        let basis = Basis::of(self.pdp.pin()?.for_call(by.call.clone()));
        let answer = self.on(&basis, by, &Shared::default(), words, request)?;
        Ok((answer, basis.pinned.take_pending()))
    }

    fn on(
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
    fn recall(&self, by: &By, words: Words<'_>) -> Option<Made> {
        let pinned = self.pdp.in_force().ok()?.for_call(by.call.clone());
        let Recalled { answer, written } = pinned.recall(&by.caller, words)?;
        let revisions = written::revisions(pinned.active());
        let answer = written::answer(&answer, &written, &revisions);
        Some((answer, pinned.take_pending()))
    }

    /// Answers every item on one snapshot. The deadline is looked at between
    /// items: a batch is the one call that can take long without waiting.
    fn batch(
        &self,
        by: &By,
        deadline: Option<Deadline>,
        (sent, shared_words, shared): (SentBatch, Bytes, v1::AuthorizeRequest),
    ) -> Result<Made, Refusal> {
        let limit = self.limits.batch_items_max;
        if sent.items.len() > limit {
            return Err(WireError::too_much("items", "items", limit, "batch_items_max").into());
        }
        wire::store(&shared.store)?;
        let basis = Basis::of(self.pdp.pin()?.for_call(by.call.clone()));
        let Basis { pinned, revisions } = &basis;
        let explain = shared.explain;
        let shared_words: Arc<[u8]> = Arc::from(&*shared_words);
        let mut unread = Some(shared);
        let mut read = None;
        let mut answers = Vec::with_capacity(sent.items.len() * 512);
        for own in &sent.items {
            if let Some(deadline) = deadline {
                deadline.check().map_err(Refusal::Late)?;
            }
            let words = (!explain).then_some(Words {
                shared: Some(&shared_words),
                own,
            });
            if let Some(recalled) = words.and_then(|words| pinned.recall(&by.caller, words)) {
                let Recalled { answer, written } = &recalled;
                let answer = written::answer(answer, written, revisions);
                written::item(&Came::Response(answer), &mut answers);
                continue;
            }
            let shared = read.get_or_insert_with(|| {
                let unread = unread.take().unwrap_or_default();
                Shared::new(pinned.snapshot(), &self.limits, unread)
            });
            let decoded = written::decoded(own.clone());
            let mut item: v1::AuthorizeRequest = decoded.map_err(Refusal::Undecoded)?;
            item.explain |= explain;
            let came = came(self.on(&basis, by, shared, words, item));
            written::item(&came, &mut answers);
        }
        Ok((answers, pinned.take_pending()))
    }
}

/// Waits until the decisions of an answer are recorded.
async fn recorded((answer, pending): Made) -> Result<Vec<u8>, Refusal> {
    if !pending.is_done() {
        pending.recorded().await?;
    }
    Ok(answer)
}

/// An answer or the lack of one, encoded.
fn came(answered: Result<Vec<u8>, Refusal>) -> Came {
    match answered {
        Ok(response) => Came::Response(response),
        Err(refusal) => Came::Error(as_message(refusal).encode_to_vec()),
    }
}

impl Authorization {
    /// Answers an `AuthorizeRequest` with an `AuthorizeResponse`, both encoded.
    ///
    /// # Errors
    /// As the service.
    pub async fn authorize_bytes(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Vec<u8>>, Status> {
        let (metadata, extensions, sent) = request.into_parts();
        let by = By::of(&metadata, &extensions);
        let own = sent.clone();
        let words = Words {
            shared: None,
            own: &own,
        };
        if let Some(made) = self.asked.recall(&by, words) {
            return Ok(self.compressed(&metadata, recorded(made).await?));
        }
        let mut message: v1::AuthorizeRequest = written::decoded(sent)?;
        let mut words = Some(words);
        if !message.at_least.is_empty() {
            let at_least = std::mem::take(&mut message.at_least);
            let deadline = extensions.get().copied();
            self.asked.reached(&at_least, deadline).await?;
            // Who asks this again has to wait again.
            words = None;
        }
        let made = self.asked.one(&by, words, message)?;
        Ok(self.compressed(&metadata, recorded(made).await?))
    }

    /// Answers a `BatchAuthorizeRequest` with a `BatchAuthorizeResponse`, both
    /// encoded.
    ///
    /// # Errors
    /// As the service.
    pub async fn batch_authorize_bytes(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Vec<u8>>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let deadline = extensions.get().copied();
        let batch = SentBatch::new(&message)?;
        if !batch.2.at_least.is_empty() {
            self.asked.reached(&batch.2.at_least, deadline).await?;
        }
        let by = By::of(&metadata, &extensions);
        match self.asked.batch(&by, deadline, batch) {
            Ok(made) => Ok(self.compressed(&metadata, recorded(made).await?)),
            Err(Refusal::Undecoded(status)) => Err(written::misread::<v1::BatchAuthorizeRequest>(
                &message, status,
            )),
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// Answers each `StreamAuthorizeRequest` with a `StreamAuthorizeResponse`, both
    /// encoded.
    pub(super) fn stream_authorize_bytes(
        &self,
        request: Request<Streaming<Bytes>>,
    ) -> Response<Answers> {
        let (metadata, extensions, questions) = request.into_parts();
        let deadline: Option<Deadline> = extensions.get().copied();
        let mut response = Response::new(Answers {
            asked: self.asked.clone(),
            by: By::of(&metadata, &extensions),
            questions: Some(questions),
            waiting: None,
            deadline,
            late: deadline.map(|Deadline(at)| Box::pin(tokio::time::sleep_until(at))),
        });
        // Each answer of a stream is small: compressing it costs more than it saves.
        response.disable_compression();
        response
    }

    fn compressed(&self, metadata: &MetadataMap, answer: Vec<u8>) -> Response<Vec<u8>> {
        let length = answer.len();
        compressed(self.compress_above_bytes, metadata, answer, |_| length)
    }

    /// As over the wire, for who has the message at hand.
    ///
    /// # Errors
    /// As the service.
    pub async fn authorize(
        &self,
        request: Request<v1::AuthorizeRequest>,
    ) -> Result<Response<v1::AuthorizeResponse>, Status> {
        let request = request.map(|message| message.encode_to_vec().into());
        read(self.authorize_bytes(request).await?)
    }

    /// As over the wire, for who has the message at hand.
    ///
    /// # Errors
    /// As the service.
    pub async fn batch_authorize(
        &self,
        request: Request<v1::BatchAuthorizeRequest>,
    ) -> Result<Response<v1::BatchAuthorizeResponse>, Status> {
        let request = request.map(|message| message.encode_to_vec().into());
        read(self.batch_authorize_bytes(request).await?)
    }
}

fn read<M: Message + Default>(response: Response<Vec<u8>>) -> Result<Response<M>, Status> {
    let (metadata, bytes, extensions) = response.into_parts();
    let message = written::decoded(bytes.into())?;
    Ok(Response::from_parts(metadata, message, extensions))
}

/// Compression is agreed for a call; answers that are not worth it opt out.
/// How long an answer is, is asked only for a caller that takes compression.
pub fn compressed_above<M: Message>(
    above: usize,
    metadata: &MetadataMap,
    message: M,
) -> Response<M> {
    compressed(above, metadata, message, M::encoded_len)
}

fn compressed<M>(
    above: usize,
    metadata: &MetadataMap,
    message: M,
    length: impl FnOnce(&M) -> usize,
) -> Response<M> {
    let is_taken = metadata.contains_key("grpc-accept-encoding");
    let is_worth_it = is_taken && above != 0 && length(&message) >= above;
    let mut response = Response::new(message);
    if !is_worth_it {
        response.disable_compression();
    }
    response
}

/// The answers of a stream.
///
/// A question is read when its answer is asked for: as fast as the caller reads
/// answers, and no faster. Questions that came together are answered in one go,
/// which is where a stream beats single calls.
#[derive(Debug)]
pub struct Answers {
    asked: Asked,
    by: By,
    /// `None` once the stream has ended.
    questions: Option<Streaming<Bytes>>,
    /// The answer to a question that waits for its revision, or to be recorded.
    waiting: Option<Waiting>,
    deadline: Option<Deadline>,
    late: Option<Pin<Box<Sleep>>>,
}

/// An answer that cannot be given yet.
struct Waiting(Pin<Box<dyn Future<Output = Vec<u8>> + Send>>);

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

impl Answers {
    /// Answers a question, unless it has to wait for its revision, or until its
    /// decision is recorded.
    fn answer(&self, sent: &Bytes) -> Result<Result<Vec<u8>, Waiting>, Status> {
        let SentQuestion {
            correlation_id,
            mut request,
        } = written::decoded(sent.clone())?;
        let Some(own) = written::joined(&mut request) else {
            let missing = WireError::new("request", "is missing", "it is required");
            return Ok(Ok(of_stream(correlation_id, &came(Err(missing.into())))));
        };
        let words = Words {
            shared: None,
            own: &own,
        };
        if let Some(made) = self.asked.recall(&self.by, words) {
            return Ok(answered(correlation_id, Ok(made)));
        }
        let decoded = written::decoded(own.clone());
        let mut request: v1::AuthorizeRequest = decoded
            .map_err(|status| written::misread::<v1::StreamAuthorizeRequest>(sent, status))?;
        let at_least = std::mem::take(&mut request.at_least);
        if at_least.is_empty() {
            let made = self.asked.one(&self.by, Some(words), request);
            Ok(answered(correlation_id, made))
        } else {
            Ok(Err(self.wait(correlation_id, request, at_least)))
        }
    }

    /// The answer to a question, once its revision is reached.
    fn wait(
        &self,
        correlation_id: u64,
        question: v1::AuthorizeRequest,
        at_least: String,
    ) -> Waiting {
        let (asked, by, deadline) = (self.asked.clone(), self.by.clone(), self.deadline);
        Waiting(Box::pin(async move {
            let made = match asked.reached(&at_least, deadline).await {
                // Who asks this again has to wait again: its words are not kept.
                Ok(()) => asked.one(&by, None, question),
                Err(refusal) => Err(refusal),
            };
            let answered = match made {
                Ok(made) => recorded(made).await,
                Err(refusal) => Err(refusal),
            };
            of_stream(correlation_id, &came(answered))
        }))
    }
}

/// The answer to a question of a stream, unless it has to wait to be recorded.
fn answered(correlation_id: u64, made: Result<Made, Refusal>) -> Result<Vec<u8>, Waiting> {
    match made {
        Ok((answer, pending)) if pending.is_done() => {
            Ok(of_stream(correlation_id, &Came::Response(answer)))
        }
        Ok(made) => Err(Waiting(Box::pin(async move {
            of_stream(correlation_id, &came(recorded(made).await))
        }))),
        Err(refusal) => Ok(of_stream(correlation_id, &came(Err(refusal)))),
    }
}

impl Stream for Answers {
    type Item = Result<Vec<u8>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.questions.is_none() {
            return Poll::Ready(None);
        }
        if let Some(late) = &mut this.late
            && late.as_mut().poll(context).is_ready()
        {
            this.asked.pdp.counters().deadline();
            this.questions = None;
            return Poll::Ready(Some(Err(exceeded())));
        }
        if let Some(Waiting(answer)) = &mut this.waiting {
            let answer = std::task::ready!(answer.as_mut().poll(context));
            this.waiting = None;
            return Poll::Ready(Some(Ok(answer)));
        }
        let Some(questions) = &mut this.questions else {
            return Poll::Ready(None);
        };
        let answered = match std::task::ready!(Pin::new(questions).poll_next(context)) {
            Some(Ok(question)) => this.answer(&question),
            Some(Err(status)) => Err(status),
            None => {
                this.questions = None;
                return Poll::Ready(None);
            }
        };
        match answered {
            Ok(Ok(answer)) => Poll::Ready(Some(Ok(answer))),
            Ok(Err(waiting)) => {
                this.waiting = Some(waiting);
                // Polled at once, so that its waker is known.
                self.poll_next(context)
            }
            Err(status) => {
                this.questions = None;
                Poll::Ready(Some(Err(status)))
            }
        }
    }
}
