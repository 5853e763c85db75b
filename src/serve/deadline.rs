//! Deadlines: `grpc-timeout` honoured, and reported as `DEADLINE_EXCEEDED`.
//!
//! tonic drops a call whose deadline passed with CANCELLED; the gRPC
//! specification wants `DEADLINE_EXCEEDED`. This layer answers a moment earlier.
//! Most calls are answered at the first poll and never start a timer.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use http::HeaderMap;
use http::Request;
use http::Response;
use tokio::time::Instant;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tower::Layer;
use tower::Service;

use crate::telemetry::Counters;

/// How much earlier than the deadline the answer is given up.
const HEAD_START: Duration = Duration::from_millis(1);

/// When a call has to be answered; an extension of its request.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// Whether it is too late.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED`, when it is.
    pub fn check(&self) -> Result<(), Status> {
        if Instant::now() < self.0 {
            Ok(())
        } else {
            Err(exceeded())
        }
    }
}

/// The status of a call whose deadline passed.
pub fn exceeded() -> Status {
    Status::deadline_exceeded("the deadline passed before the answer")
}

/// Applies deadlines to every call.
#[derive(Debug, Clone)]
pub struct DeadlineLayer {
    /// The longest a call may take.
    pub max: Duration,
    /// Where passed deadlines are counted.
    pub counters: Arc<Counters>,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = DeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        DeadlineService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service with deadlines.
#[derive(Debug, Clone)]
pub struct DeadlineService<S> {
    inner: S,
    layer: DeadlineLayer,
}

impl<S> Service<Request<Body>> for DeadlineService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let asked = timeout_of(request.headers());
        let deadline = Instant::now() + asked.unwrap_or(self.layer.max).min(self.layer.max);
        if asked.is_some() {
            request.extensions_mut().insert(Deadline(deadline));
        }
        Answer {
            inner: Box::pin(self.inner.call(request)),
            deadline,
            timer: None,
            counters: Arc::clone(&self.layer.counters),
        }
    }
}

/// The answer of a call, or `DEADLINE_EXCEEDED`.
pub struct Answer<F> {
    inner: Pin<Box<F>>,
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    counters: Arc<Counters>,
}

impl<F> std::fmt::Debug for Answer<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl<F, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(answer) = self.inner.as_mut().poll(context) {
            return Poll::Ready(answer);
        }
        let give_up = self
            .deadline
            .checked_sub(HEAD_START)
            .unwrap_or(self.deadline);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(give_up)));
        match timer.as_mut().poll(context) {
            Poll::Ready(()) => {
                self.counters.deadline();
                Poll::Ready(Ok(exceeded().into_http()))
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Reads `grpc-timeout`: up to eight digits and a unit (gRPC over HTTP/2,
/// "Timeout"). One that cannot be read does not count.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit())
    {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::timeout_of;

    #[test]
    fn timeouts_are_read_as_the_specification_writes_them() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            timeout_of(&headers)
        };
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999H"), Some(Duration::from_hours(99_999_999)));
        assert_eq!(read("1n"), Some(Duration::from_nanos(1)));
        for bad in ["", "m", "1", "-1m", "+1m", "123456789m", "1x", "1 m"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
