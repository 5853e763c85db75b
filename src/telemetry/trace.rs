//! One span for a traced call, with its decisions and its parts.
//!
//! A call that is not traced costs a look at one header. One that is carries its
//! span as a value of its task, where decisions and log lines find it.

pub mod context;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use http::HeaderMap;
use parking_lot::Mutex;
use uuid::Uuid;

use super::events::Decided;
use super::metrics::histogram::Exemplar;
use super::metrics::rpc::Method;
use super::metrics::rpc::code_name;
use super::otlp::message::Any;
use super::otlp::message::ArrayValue;
use super::otlp::message::KeyValue;
use super::otlp::message::Span;
use super::otlp::message::SpanEvent;
use super::otlp::message::SpanLink;
use super::otlp::message::SpanStatus;
use super::otlp::message::attribute;
use super::otlp::message::cut;
use super::otlp::message::text;
use super::otlp::queue::Queue;
use super::otlp::settings::Sampler;
use context::Parent;

/// The status codes that are faults of the server, by the conventions of
/// OpenTelemetry; what a caller did wrong is not, and a deny is no status at all.
const SERVER_FAULTS: [&str; 6] = [
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
];
/// So many decisions of one call are told, and so many of its parts.
const TOLD_MAX: usize = 128;
/// So many policies of one decision are told; the record of it has all.
const POLICIES_MAX: usize = 64;
const SERVER: i32 = 2;
const INTERNAL: i32 = 1;
const ERROR: i32 = 2;
/// Sampled, in the flags of W3C; the parent is known and of another process.
const FLAGS: u32 = 0x301;

/// What is made of a caller's trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// It is gone on with.
    #[default]
    Child,
    /// A new one begins, which names it.
    Link,
    /// A new one begins.
    Ignore,
}

/// Begins spans.
#[derive(Debug)]
pub struct Tracer {
    /// What is made of a caller's trace.
    pub trust: Trust,
    /// Which calls are traced.
    pub sampler: Sampler,
    /// Where spans wait to be sent.
    pub queue: Queue<Span>,
}

/// A span under way.
#[derive(Debug)]
pub struct Traced {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    parent: Option<Parent>,
    is_child: bool,
    method: Method,
    started: u64,
    told: Mutex<Told>,
    dropped: AtomicUsize,
    dropped_parts: AtomicU64,
}

#[derive(Debug, Default)]
struct Told {
    attributes: Vec<KeyValue>,
    events: Vec<SpanEvent>,
    parts: Vec<(&'static str, u64, u64)>,
}

tokio::task_local! {
    static CURRENT: Arc<Traced>;
}

/// Does something as a part of a traced call.
pub fn within<T>(traced: &Arc<Traced>, work: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(Arc::clone(traced), work)
}

/// The ids of the trace and span that are under way here.
pub fn ids() -> Option<([u8; 16], [u8; 8])> {
    CURRENT
        .try_with(|traced| (traced.trace_id, traced.span_id))
        .ok()
}

/// Tells a decision to the span that is under way here.
pub(super) fn decided(decided: &Decided<'_>) {
    CURRENT.try_with(|traced| traced.decided(decided)).ok();
}

/// A part of a traced call, until it is dropped; nothing in one that is not traced.
#[derive(Debug)]
pub struct Part(Option<(Arc<Traced>, &'static str, u64)>);

impl Part {
    /// A part begins.
    pub fn begin(name: &'static str) -> Self {
        let traced = CURRENT.try_with(Arc::clone).ok();
        Self(traced.map(|traced| (traced, name, nanos_now())))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some((traced, name, started)) = self.0.take() {
            let mut told = traced.told.lock();
            if told.parts.len() < TOLD_MAX {
                told.parts.push((name, started, nanos_now()));
            } else {
                traced.dropped_parts.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Nanoseconds since 1970.
#[expect(
    clippy::disallowed_methods,
    reason = "spans and log records have the time of the wall"
)]
pub fn nanos_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
}

impl Tracer {
    /// Begins the span of a call, if it is to be traced. Nothing is allocated for
    /// one that is not.
    pub fn begin(&self, headers: &HeaderMap, method: Method) -> Option<Arc<Traced>> {
        let parent = match self.trust {
            Trust::Ignore => None,
            Trust::Child | Trust::Link => context::ids(headers),
        };
        let is_child = parent.is_some() && self.trust == Trust::Child;
        let trace_id = match &parent {
            Some(ids) if is_child => ids.trace_id,
            _ => Uuid::new_v4().into_bytes(),
        };
        let is_sampled = match &parent {
            Some(ids) if is_child && self.sampler.by_parent => ids.is_sampled,
            _ => self.sampler.takes(trace_id),
        };
        if !is_sampled {
            return None;
        }
        let [s0, s1, s2, s3, s4, s5, _, _, _, s6, s7, ..] = Uuid::new_v4().into_bytes();
        Some(Arc::new(Traced {
            trace_id,
            span_id: [s0, s1, s2, s3, s4, s5, s6, s7.max(1)],
            parent: parent.map(|ids| Parent::new(ids, headers)),
            is_child,
            method,
            started: nanos_now(),
            told: Mutex::default(),
            dropped: AtomicUsize::new(0),
            dropped_parts: AtomicU64::new(0),
        }))
    }

    /// Ends the span of a call.
    pub fn end(&self, traced: &Traced, code: usize) {
        let told = std::mem::take(&mut *traced.told.lock());
        for (name, started, ended) in &told.parts {
            self.queue.push(|| traced.part(name, *started, *ended));
        }
        let more = traced.dropped_parts.load(Ordering::Relaxed);
        self.queue.counters().too_many_parts(more);
        self.queue.push(|| traced.span(told, code));
    }
}

impl Sampler {
    /// Whether a trace is among the share that is taken: by its id, so that every
    /// process takes the same ones.
    fn takes(self, trace_id: [u8; 16]) -> bool {
        if self.ratio >= 1.0 {
            return true;
        }
        let [.., b0, b1, b2, b3] = trace_id;
        f64::from(u32::from_be_bytes([b0, b1, b2, b3])) < self.ratio * f64::from(u32::MAX)
    }
}

impl Traced {
    /// The example that a measured value becomes.
    pub fn exemplar(&self, seconds: f64) -> Exemplar {
        Exemplar {
            seconds,
            at: nanos_now(),
            trace_id: self.trace_id,
            span_id: self.span_id,
        }
    }

    fn decided(&self, decided: &Decided<'_>) {
        let mut told = self.told.lock();
        if told.events.len() >= TOLD_MAX {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.method.name() == "deodar.v1.AuthorizationService/Authorize" {
            told.attributes = attributes(decided);
        } else {
            told.events.push(SpanEvent {
                time_unix_nano: nanos_now(),
                name: "deodar.decision".to_owned(),
                attributes: attributes(decided),
            });
        }
    }

    fn part(&self, name: &str, started: u64, ended: u64) -> Span {
        let [p0, p1, p2, p3, p4, p5, _, _, _, p6, p7, ..] = Uuid::new_v4().into_bytes();
        Span {
            trace_id: self.trace_id.to_vec(),
            span_id: vec![p0, p1, p2, p3, p4, p5, p6, p7.max(1)],
            parent_span_id: self.span_id.to_vec(),
            name: name.to_owned(),
            kind: INTERNAL,
            start_time_unix_nano: started,
            end_time_unix_nano: ended,
            flags: 0x101,
            ..Span::default()
        }
    }

    fn span(&self, told: Told, code: usize) -> Span {
        let code = code_name(code);
        let mut attributes = vec![
            text("rpc.system.name", "grpc"),
            text("rpc.method", self.method.name()),
            // The conventions renamed it; whoever reads either finds it.
            text("rpc.response.status_code", code),
            text("rpc.status_code", code),
        ];
        let is_fault = SERVER_FAULTS.contains(&code);
        if is_fault {
            attributes.push(text("error.type", code));
        }
        attributes.extend(told.attributes);
        let parent = self.parent.as_ref();
        let child_of = parent.filter(|_| self.is_child);
        let link = parent.filter(|_| !self.is_child).map(|parent| SpanLink {
            trace_id: parent.ids.trace_id.to_vec(),
            span_id: parent.ids.span_id.to_vec(),
            trace_state: parent.state.clone(),
            flags: 0x300 | u32::from(parent.ids.is_sampled),
        });
        Span {
            trace_id: self.trace_id.to_vec(),
            span_id: self.span_id.to_vec(),
            trace_state: child_of.map_or_else(String::new, |parent| parent.state.clone()),
            parent_span_id: child_of.map_or_else(Vec::new, |parent| parent.ids.span_id.to_vec()),
            name: self.method.name().to_owned(),
            kind: SERVER,
            start_time_unix_nano: self.started,
            end_time_unix_nano: nanos_now(),
            attributes,
            events: told.events,
            dropped_events_count: u32::try_from(self.dropped.load(Ordering::Relaxed))
                .unwrap_or(u32::MAX),
            links: link.into_iter().collect(),
            status: is_fault.then_some(SpanStatus { code: ERROR }),
            flags: if child_of.is_some() { FLAGS } else { 0x101 },
        }
    }
}

/// What a span tells of a decision: never who asked for what.
fn attributes(decided: &Decided<'_>) -> Vec<KeyValue> {
    let decision = decided.decision;
    let policies = decision.policies.iter().take(POLICIES_MAX);
    let policies = policies.map(|policy| Any::Text(cut(policy.id.to_string())).into());
    let allow = if decision.is_allow() { "allow" } else { "deny" };
    let mut attributes = vec![
        text("deodar.decision", allow),
        text("deodar.decision_id", decided.id.to_string()),
        text("deodar.action", decided.action.to_string()),
        attribute(
            "deodar.policies",
            Any::List(ArrayValue {
                values: policies.collect(),
            }),
        ),
        text("deodar.policy_revision", decided.policy_revision),
        text("deodar.directory_revision", decided.directory_revision),
        attribute("deodar.cached", Any::Flag(decided.cached)),
    ];
    if let Some(cause) = decision.cause() {
        attributes.push(text("deodar.cause", cause.as_str()));
    }
    attributes
}

/// A future as a part of a call: polled within its span, if it is traced.
pub fn poll_within<F: Future + Unpin>(
    traced: Option<&Arc<Traced>>,
    future: &mut F,
    context: &mut std::task::Context<'_>,
) -> std::task::Poll<F::Output> {
    let future = std::pin::Pin::new(future);
    match traced {
        None => future.poll(context),
        Some(traced) => within(traced, || future.poll(context)),
    }
}
