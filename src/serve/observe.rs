//! Every call is timed, by its method and how it ended, and traced if it is to be.
//!
//! The outermost layer: a call that is refused by one further in is counted as well.
//! One answer in a message tells its status when it begins, a stream when it ends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use http::HeaderMap;
use http::Request;
use http::Response;
use prost::bytes::Bytes;
use tokio::time::Instant;
use tonic::Code;
use tonic::Status;
use tonic::body::Body;
use tower::Layer;
use tower::Service;

use crate::telemetry::Counters;
use crate::telemetry::metrics::rpc::Method;
use crate::telemetry::trace::Traced;
use crate::telemetry::trace::Trust;
use crate::telemetry::trace::poll_within;
use crate::telemetry::trace::within;

/// Times every call.
#[derive(Debug, Clone)]
pub struct ObserveLayer {
    /// What is made of a caller's trace: one that is ignored is not seen further in,
    /// and so not recorded.
    pub trust: Trust,
    /// Where.
    pub counters: Arc<Counters>,
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observe {
            inner,
            trust: self.trust,
            counters: Arc::clone(&self.counters),
        }
    }
}

/// A service whose calls are timed.
#[derive(Debug, Clone)]
pub struct Observe<S> {
    inner: S,
    trust: Trust,
    counters: Arc<Counters>,
}

impl<S> Service<Request<Body>> for Observe<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Observed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        if self.trust == Trust::Ignore {
            for name in ["traceparent", "tracestate"] {
                request.headers_mut().remove(name);
            }
        }
        let method = Method::of(request.uri().path());
        let tracer = self.counters.tracer();
        let call = Call {
            counters: Arc::clone(&self.counters),
            method,
            traced: tracer.and_then(|tracer| tracer.begin(request.headers(), method)),
            started: Instant::now(),
        };
        Observed {
            inner: Some(self.inner.call(request)),
            call: Some(call),
        }
    }
}

/// A call under way. One that is dropped before it ended was cancelled.
#[derive(Debug)]
struct Call {
    counters: Arc<Counters>,
    method: Method,
    traced: Option<Arc<Traced>>,
    started: Instant,
}

impl Call {
    fn ended(&self, code: Code) {
        let took = self.started.elapsed();
        let calls = self.counters.calls();
        let traced = self.traced.as_deref();
        let exemplar = traced.map(|traced| traced.exemplar(took.as_secs_f64()));
        calls.ended(self.method, code as usize, took, exemplar);
        if let (Some(traced), Some(tracer)) = (traced, self.counters.tracer()) {
            tracer.end(traced, code as usize);
        }
    }
}

/// The answer of a call that is timed.
#[derive(Debug)]
pub struct Observed<F> {
    /// Until it is dropped.
    inner: Option<F>,
    call: Option<Call>,
}

impl<F> Drop for Observed<F> {
    fn drop(&mut self) {
        // First, so that parts that were under way end within the span.
        self.inner = None;
        if let Some(call) = self.call.take() {
            call.ended(Code::Cancelled);
        }
    }
}

impl<F, E> Future for Observed<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let traced = this.call.as_ref().and_then(|call| call.traced.as_ref());
        let Some(inner) = &mut this.inner else {
            return Poll::Pending;
        };
        let answer = std::task::ready!(poll_within(traced, inner, context));
        // Its parts end before the span does, those of a call that was given up too.
        this.inner = None;
        let Some(call) = self.call.take() else {
            return Poll::Ready(answer);
        };
        Poll::Ready(match answer {
            Ok(response) => match told(response.headers()) {
                None if call.method.is_streaming() => Ok(response.map(|body| {
                    let call = Some(call);
                    Body::new(ObservedBody { body, call })
                })),
                told => {
                    call.ended(told.unwrap_or(Code::Ok));
                    Ok(response)
                }
            },
            Err(error) => {
                call.ended(Code::Internal);
                Err(error)
            }
        })
    }
}

/// The status in headers or trailers, if it is there.
fn told(headers: &HeaderMap) -> Option<Code> {
    Some(Code::from_bytes(headers.get("grpc-status")?.as_bytes()))
}

/// The body of a stream that is timed to its end.
struct ObservedBody {
    body: Body,
    call: Option<Call>,
}

impl Drop for ObservedBody {
    fn drop(&mut self) {
        // First, as in `Observed`.
        self.body = Body::empty();
        if let Some(call) = self.call.take() {
            call.ended(Code::Cancelled);
        }
    }
}

impl http_body::Body for ObservedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let body = Pin::new(&mut this.body);
        let traced = this.call.as_ref().and_then(|call| call.traced.as_ref());
        let frame = std::task::ready!(match traced {
            None => body.poll_frame(context),
            Some(traced) => within(traced, || body.poll_frame(context)),
        });
        let code = match &frame {
            Some(Ok(frame)) => frame.trailers_ref().map(told),
            Some(Err(status)) => Some(Some(status.code())),
            None => Some(None),
        };
        if let Some(code) = code
            && let Some(call) = self.call.take()
        {
            call.ended(code.unwrap_or(Code::Unknown));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
