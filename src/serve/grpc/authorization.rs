//! `deodar.v1.AuthorizationService`.

use std::collections::VecDeque;
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

use super::asked::Asked;
use super::asked::Made;
use super::asked::came;
use super::asked::recorded;
use super::batch;
use super::by::By;
use super::status::Refusal;
use super::status::WireError;
use super::written;
use super::written::Came;
use super::written::SentQuestion;
use super::written::of_stream;
use crate::directory::Directory;
use crate::pdp::Pdp;
use crate::pdp::words::Words;
use crate::proto::v1;
use crate::serve::deadline::Deadline;
use crate::serve::deadline::exceeded;
use crate::serve::limits::Limits;

/// Answers of a stream that wait to go out,
const WAITING_MAX: usize = 256;
/// and bytes of their questions, unless one has more: while the disk of the audit
/// log stands still each of them is held.
const WAITING_BYTES_MAX: usize = 64 << 10;

/// The service.
#[derive(Debug, Clone)]
pub struct Authorization {
    asked: Asked,
    compress_above_bytes: usize,
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
        let made = match self
            .asked
            .single(&by, extensions.get().copied(), sent)
            .await
        {
            Ok(made) => made,
            Err(refusal) => return Err(self.asked.refused(&by, refusal).await.into()),
        };
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
        let by = By::of(&metadata, &extensions);
        let deadline = extensions.get().copied();
        let made = match batch::answered(&self.asked, &by, deadline, &message).await {
            Ok(made) => made,
            Err(refusal) => return Err(self.asked.refused(&by, refusal).await.into()),
        };
        Ok(self.compressed(&metadata, recorded(made).await?))
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
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            end: None,
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
/// which is where a stream beats single calls. While answers wait to be recorded
/// questions are read on, so that one sync of the log is for all of them; answers
/// go out in the order of their questions.
#[derive(Debug)]
pub struct Answers {
    asked: Asked,
    by: By,
    /// `None` once no more questions come.
    questions: Option<Streaming<Bytes>>,
    /// Answers to questions that wait for their revisions, or to be recorded, and
    /// those behind them.
    waiting: VecDeque<Waiting>,
    /// Bytes of the questions that wait since there was nothing to wait for.
    waiting_bytes: usize,
    /// What the caller is told behind all of them.
    end: Option<Later<Status>>,
    deadline: Option<Deadline>,
    late: Option<Pin<Box<Sleep>>>,
}

/// What is not there yet.
struct Later<T>(Pin<Box<dyn Future<Output = T> + Send>>);

impl<T> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Later")
    }
}

/// An answer that cannot be given yet.
#[derive(Debug)]
enum Waiting {
    /// It is not there yet.
    For(Later<Vec<u8>>),
    /// It is, behind others.
    Done(Vec<u8>),
}

impl Waiting {
    fn on(answer: impl Future<Output = Vec<u8>> + Send + 'static) -> Self {
        Self::For(Later(Box::pin(answer)))
    }

    /// The answer, or what is left to wait for.
    fn poll(self, context: &mut Context<'_>) -> Result<Vec<u8>, Self> {
        match self {
            Self::Done(answer) => Ok(answer),
            Self::For(mut answer) => match answer.0.as_mut().poll(context) {
                Poll::Ready(answer) => Ok(answer),
                Poll::Pending => Err(Self::For(answer)),
            },
        }
    }
}

impl Answers {
    /// No more questions are read; the caller is told why behind the answers to
    /// those before.
    fn end(&mut self, why: Status) {
        self.questions = None;
        self.end = Some(Later(Box::pin(std::future::ready(why))));
    }

    /// The same for a message that is no question, once that is recorded.
    fn end_unread(&mut self, why: Status) {
        self.questions = None;
        let (asked, by) = (self.asked.clone(), self.by.clone());
        self.end = Some(Later(Box::pin(async move {
            asked.refused(&by, Refusal::Undecoded(why)).await.into()
        })));
    }

    /// Answers a question, unless it has to wait for its revision, or until its
    /// decision is recorded.
    fn answer(&self, sent: &Bytes) -> Result<Result<Vec<u8>, Waiting>, Status> {
        let SentQuestion {
            correlation_id,
            mut request,
        } = written::decoded(sent.clone())?;
        let Some(own) = written::joined(&mut request) else {
            let missing = WireError::new("request", "is missing", "it is required");
            return Ok(Err(self.refused(correlation_id, missing.into())));
        };
        let words = Words {
            shared: None,
            own: &own,
        };
        if let Some(made) = self.asked.recall(&self.by, words) {
            return Ok(answered(correlation_id, made));
        }
        let decoded = written::decoded(own.clone());
        let mut request: v1::AuthorizeRequest = decoded
            .map_err(|status| written::misread::<v1::StreamAuthorizeRequest>(sent, status))?;
        let at_least = std::mem::take(&mut request.at_least);
        if at_least.is_empty() {
            Ok(match self.asked.one(&self.by, Some(words), request) {
                Ok(made) => answered(correlation_id, made),
                Err(refusal) => Err(self.refused(correlation_id, refusal)),
            })
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
        Waiting::on(async move {
            let made = match asked.reached(&at_least, deadline).await {
                // Who asks this again has to wait again: its words are not kept.
                Ok(()) => asked.one(&by, None, question),
                Err(refusal) => Err(refusal),
            };
            let answered = match made {
                Ok(made) => recorded(made).await,
                Err(refusal) => Err(asked.refused(&by, refusal).await),
            };
            of_stream(correlation_id, &came(answered))
        })
    }

    /// A refusal, once it is recorded.
    fn refused(&self, correlation_id: u64, refusal: Refusal) -> Waiting {
        let (asked, by) = (self.asked.clone(), self.by.clone());
        Waiting::on(async move {
            let refusal = asked.refused(&by, refusal).await;
            of_stream(correlation_id, &came(Err(refusal)))
        })
    }
}

/// The answer to a question of a stream, unless it has to wait to be recorded.
fn answered(correlation_id: u64, made: Made) -> Result<Vec<u8>, Waiting> {
    let (answer, pending) = made;
    if pending.is_done() {
        return Ok(of_stream(correlation_id, &Came::Response(answer)));
    }
    Err(Waiting::on(async move {
        of_stream(correlation_id, &came(recorded((answer, pending)).await))
    }))
}

impl Stream for Answers {
    type Item = Result<Vec<u8>, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(late) = &mut this.late
            && late.as_mut().poll(context).is_ready()
        {
            this.asked.pdp.counters().deadline();
            this.end(exceeded());
            this.waiting.clear();
        }
        loop {
            if let Some(first) = this.waiting.pop_front() {
                match first.poll(context) {
                    Ok(answer) => return Poll::Ready(Some(Ok(answer))),
                    Err(first) => this.waiting.push_front(first),
                }
            }
            let Some(questions) = &mut this.questions else {
                if !this.waiting.is_empty() {
                    return Poll::Pending;
                }
                let Some(Later(end)) = &mut this.end else {
                    return Poll::Ready(None);
                };
                let status = std::task::ready!(end.as_mut().poll(context));
                this.end = None;
                return Poll::Ready(Some(Err(status)));
            };
            if this.waiting.is_empty() {
                this.waiting_bytes = 0;
            }
            // The first is polled each time, so that its waker is known.
            if this.waiting.len() >= WAITING_MAX || this.waiting_bytes >= WAITING_BYTES_MAX {
                return Poll::Pending;
            }
            let answered = match std::task::ready!(Pin::new(questions).poll_next(context)) {
                Some(Ok(question)) => {
                    this.waiting_bytes += question.len();
                    this.answer(&question)
                }
                Some(Err(status)) => {
                    this.end(status);
                    continue;
                }
                None => {
                    this.questions = None;
                    continue;
                }
            };
            match answered {
                Ok(Ok(answer)) if this.waiting.is_empty() => {
                    return Poll::Ready(Some(Ok(answer)));
                }
                Ok(Ok(answer)) => this.waiting.push_back(Waiting::Done(answer)),
                Ok(Err(waiting)) => this.waiting.push_back(waiting),
                Err(status) => this.end_unread(status),
            }
        }
    }
}
