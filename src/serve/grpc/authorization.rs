//! `deodar.v1.AuthorizationService`.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use prost::Message;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::Extensions;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::metadata::MetadataMap;

use super::directory_wire::reached;
use super::shared::Shared;
use super::status::Refusal;
use super::status::WireError;
use super::status::as_message;
use super::wire;
use crate::directory::Directory;
use crate::identity::Caller;
use crate::pdp::Pdp;
use crate::pdp::Pinned;
use crate::proto::v1;
use crate::proto::v1::authorization_service_server::AuthorizationService;
use crate::proto::v1::stream_authorize_response;
use crate::serve::deadline::Deadline;
use crate::serve::deadline::exceeded;
use crate::serve::limits::Limits;

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
        let reached = reached(directory, "at_least", at_least, deadline).await;
        if matches!(reached, Err(Refusal::Bad(_))) {
            self.pdp.counters().bad_question();
        }
        reached.map(|_| ())
    }

    fn one(
        &self,
        caller: &Caller,
        request: v1::AuthorizeRequest,
    ) -> Result<v1::AuthorizeResponse, Refusal> {
        self.on(&self.pdp.pin()?, caller, &Shared::default(), request)
    }

    fn on(
        &self,
        pinned: &Pinned<'_>,
        caller: &Caller,
        shared: &Shared,
        request: v1::AuthorizeRequest,
    ) -> Result<v1::AuthorizeResponse, Refusal> {
        let answered = self.answer(pinned, caller, shared, request);
        if answered.is_err() {
            self.pdp.counters().bad_question();
        }
        answered
    }

    fn answer(
        &self,
        pinned: &Pinned<'_>,
        caller: &Caller,
        shared: &Shared,
        request: v1::AuthorizeRequest,
    ) -> Result<v1::AuthorizeResponse, Refusal> {
        if !request.at_least.is_empty() {
            let message = "is of the whole batch";
            return Err(WireError::new("at_least", message, "name it in `shared`").into());
        }
        let explain = request.explain;
        let parts = shared.parts(pinned.snapshot(), &self.limits, request)?;
        let query = pinned.query(parts).map_err(WireError::from)?;
        let answer = pinned.authorize(caller, &query).map_err(WireError::from)?;
        let explanation = explain
            .then(|| pinned.explain(&query).map_err(WireError::from))
            .transpose()?;
        Ok(wire::response(pinned.active(), &answer, explanation))
    }

    /// Answers every item on one snapshot. The deadline is looked at between
    /// items: a batch is the one call that can take long without waiting.
    fn batch(
        &self,
        caller: &Caller,
        deadline: Option<Deadline>,
        request: v1::BatchAuthorizeRequest,
    ) -> Result<v1::BatchAuthorizeResponse, Refusal> {
        let limit = self.limits.batch_items_max;
        if request.items.len() > limit {
            return Err(WireError::too_much("items", "items", limit, "batch_items_max").into());
        }
        let shared = request.shared.unwrap_or_default();
        wire::store(&shared.store)?;
        let pinned = self.pdp.pin()?;
        let explain = shared.explain;
        let shared = Shared::new(pinned.snapshot(), &self.limits, shared);
        let mut items = Vec::with_capacity(request.items.len());
        for mut item in request.items {
            if let Some(deadline) = deadline {
                deadline.check().map_err(Refusal::Late)?;
            }
            item.explain |= explain;
            let answered = self.on(&pinned, caller, &shared, item);
            items.push(v1::BatchAuthorizeItem {
                result: Some(match answered {
                    Ok(response) => v1::batch_authorize_item::Result::Response(response),
                    Err(refusal) => v1::batch_authorize_item::Result::Error(as_message(refusal)),
                }),
            });
        }
        Ok(v1::BatchAuthorizeResponse { items })
    }

    fn streamed(
        &self,
        caller: &Caller,
        asked: v1::StreamAuthorizeRequest,
    ) -> v1::StreamAuthorizeResponse {
        let answered = match asked.request {
            Some(request) => self.one(caller, request),
            None => Err(WireError::new("request", "is missing", "it is required").into()),
        };
        v1::StreamAuthorizeResponse {
            correlation_id: asked.correlation_id,
            result: Some(match answered {
                Ok(response) => stream_authorize_response::Result::Response(response),
                Err(refusal) => stream_authorize_response::Result::Error(as_message(refusal)),
            }),
        }
    }
}

/// Who calls, by the connection.
pub(super) fn caller(extensions: &Extensions) -> Caller {
    extensions.get().cloned().unwrap_or(Caller::Local)
}

#[tonic::async_trait]
impl AuthorizationService for Authorization {
    async fn authorize(
        &self,
        request: Request<v1::AuthorizeRequest>,
    ) -> Result<Response<v1::AuthorizeResponse>, Status> {
        let (metadata, extensions, mut message) = request.into_parts();
        if !message.at_least.is_empty() {
            let at_least = std::mem::take(&mut message.at_least);
            let deadline = extensions.get().copied();
            self.asked.reached(&at_least, deadline).await?;
        }
        let answer = self.asked.one(&caller(&extensions), message)?;
        Ok(compressed_above(
            self.compress_above_bytes,
            &metadata,
            answer,
        ))
    }

    async fn batch_authorize(
        &self,
        request: Request<v1::BatchAuthorizeRequest>,
    ) -> Result<Response<v1::BatchAuthorizeResponse>, Status> {
        let (metadata, extensions, message) = request.into_parts();
        let deadline = extensions.get().copied();
        let at_least = message.shared.as_ref().map(|shared| &*shared.at_least);
        if let Some(at_least) = at_least.filter(|at_least| !at_least.is_empty()) {
            self.asked.reached(at_least, deadline).await?;
        }
        let answers = self.asked.batch(&caller(&extensions), deadline, message)?;
        Ok(compressed_above(
            self.compress_above_bytes,
            &metadata,
            answers,
        ))
    }

    type StreamAuthorizeStream = Answers;

    async fn stream_authorize(
        &self,
        request: Request<Streaming<v1::StreamAuthorizeRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let (_, extensions, questions) = request.into_parts();
        let deadline: Option<Deadline> = extensions.get().copied();
        let mut response = Response::new(Answers {
            asked: self.asked.clone(),
            caller: caller(&extensions),
            questions: Some(questions),
            waiting: None,
            deadline,
            late: deadline.map(|Deadline(at)| Box::pin(tokio::time::sleep_until(at))),
        });
        // Each answer of a stream is small: compressing it costs more than it saves.
        response.disable_compression();
        Ok(response)
    }
}

/// Compression is agreed for a call; answers that are not worth it opt out.
/// How long an answer is, is asked only for a caller that takes compression.
pub fn compressed_above<M: Message>(
    above: usize,
    metadata: &MetadataMap,
    message: M,
) -> Response<M> {
    let is_taken = metadata.contains_key("grpc-accept-encoding");
    let is_worth_it = is_taken && above != 0 && message.encoded_len() >= above;
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
    caller: Caller,
    /// `None` once the stream has ended.
    questions: Option<Streaming<v1::StreamAuthorizeRequest>>,
    /// The answer to a question that waits for its revision.
    waiting: Option<Waiting>,
    deadline: Option<Deadline>,
    late: Option<Pin<Box<Sleep>>>,
}

/// An answer that cannot be given yet.
struct Waiting(Pin<Box<dyn Future<Output = v1::StreamAuthorizeResponse> + Send>>);

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Waiting")
    }
}

impl Answers {
    /// The answer to a question, once its revision is reached.
    fn wait(&self, question: v1::StreamAuthorizeRequest, at_least: String) -> Waiting {
        let (asked, caller, deadline) = (self.asked.clone(), self.caller.clone(), self.deadline);
        Waiting(Box::pin(async move {
            match asked.reached(&at_least, deadline).await {
                Ok(()) => asked.streamed(&caller, question),
                Err(refusal) => {
                    let error = stream_authorize_response::Result::Error(as_message(refusal));
                    v1::StreamAuthorizeResponse {
                        correlation_id: question.correlation_id,
                        result: Some(error),
                    }
                }
            }
        }))
    }
}

impl Stream for Answers {
    type Item = Result<v1::StreamAuthorizeResponse, Status>;

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
        match Pin::new(questions).poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(mut question))) => {
                let request = question.request.as_mut();
                let at_least = request.map(|request| std::mem::take(&mut request.at_least));
                match at_least.filter(|at_least| !at_least.is_empty()) {
                    None => Poll::Ready(Some(Ok(this.asked.streamed(&this.caller, question)))),
                    Some(at_least) => {
                        this.waiting = Some(this.wait(question, at_least));
                        // Polled at once, so that its waker is known.
                        self.poll_next(context)
                    }
                }
            }
            Poll::Ready(end) => {
                this.questions = None;
                Poll::Ready(end.map(|fault| Err(fault.err().unwrap_or_else(exceeded))))
            }
        }
    }
}
