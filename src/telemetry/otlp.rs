//! OTLP: spans, metrics and log lines, sent to a collector over gRPC or HTTP.
//!
//! ```text
//! call, decision, log line --push--> bounded queue --batch--> collector
//! ```
//!
//! Whoever pushes never waits: what does not fit is dropped and counted, and so is
//! a batch that the collector does not take. Without an endpoint nothing of this
//! exists but the counters.

mod bridge;
mod client;
mod measures;
pub mod message;
pub mod queue;
pub mod settings;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio::time::timeout_at;

pub use bridge::Bridge;
use client::Client;
use message::KeyValue;
use message::LogRecord;
use message::Logs;
use message::Metrics;
use message::Resource;
use message::ResourceLogs;
use message::ResourceMetrics;
use message::ResourceSpans;
use message::Scope;
use message::ScopeLogs;
use message::ScopeMetrics;
use message::ScopeSpans;
use message::Span;
use message::Traces;
use message::text;
use queue::ExportCounters;
use queue::Queue;
use queue::Signal;
use settings::Settings;
use settings::Target;

use super::Counters;
use super::events;
use super::metrics::Family;
use super::trace::Tracer;
use super::trace::Trust;
use super::trace::nanos_now;

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const LOGS: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// How long the last batches may take when the server ends.
const LAST: Duration = Duration::from_secs(2);

/// Reads every metric.
pub type Measure = Box<dyn Fn() -> Vec<Family> + Send>;

/// What is exported, before anything is sent.
#[derive(Debug)]
pub struct Exports {
    settings: Settings,
    counters: Arc<Counters>,
    spans: Option<Receiver<Span>>,
    logs: Option<Receiver<LogRecord>>,
    log_queue: Option<Queue<LogRecord>>,
}

/// What sends; ends with [`Exporting::stop`].
#[derive(Debug)]
pub struct Exporting {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

fn queue<T>(
    target: Option<&Target>,
    max: usize,
    signal: Signal,
    counters: &Arc<ExportCounters>,
) -> Option<(Queue<T>, Receiver<T>)> {
    target?;
    let (sender, receiver) = mpsc::channel(max);
    let counters = Arc::clone(counters);
    let queue = Queue {
        sender,
        counters,
        signal,
    };
    Some((queue, receiver))
}

impl Exports {
    /// Makes the queues; calls are traced from now on, if they are to be.
    pub fn new(settings: Settings, trust: Trust, counters: Arc<Counters>) -> Self {
        let max = settings.queue_max;
        let of = counters.exports();
        let spans = queue(settings.traces.as_ref(), max, Signal::Traces, of);
        let logs = queue(settings.logs.as_ref(), max, Signal::Logs, of);
        let (log_queue, logs) = logs.unzip();
        let spans = spans.map(|(queue, receiver)| {
            counters.trace_with(Tracer {
                trust,
                sampler: settings.sampler,
                queue,
            });
            receiver
        });
        Self {
            settings,
            counters,
            spans,
            logs,
            log_queue,
        }
    }

    /// What everything is counted by.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// What brings log lines here, if they are exported.
    pub fn bridge(&self) -> Option<Bridge> {
        self.log_queue.clone().map(Bridge)
    }

    /// Begins to send.
    pub fn start(self, measure: Measure) -> Exporting {
        for warning in &self.settings.warnings {
            events::export_variable(warning);
        }
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let settings = self.settings;
        let about = Arc::new(About::of(&settings));
        let line = |signal, target: Option<Target>| {
            Some(Line {
                client: Client::new(target?),
                signal,
                about: Arc::clone(&about),
                counters: Arc::clone(self.counters.exports()),
                stopped: stopped.clone(),
                batch_max: settings.batch_max,
                delay: settings.delay,
                is_failing: false,
            })
        };
        if let Some((line, spans)) = line(Signal::Traces, settings.traces.clone()).zip(self.spans) {
            tasks.spawn(line.run(spans, TRACES, About::traces));
        }
        if let Some((line, logs)) = line(Signal::Logs, settings.logs.clone()).zip(self.logs) {
            tasks.spawn(line.run(logs, LOGS, About::logs));
        }
        if let Some(line) = line(Signal::Metrics, settings.metrics.clone()) {
            tasks.spawn(line.measure(settings.interval, measure));
        }
        Exporting { tasks, stop }
    }
}

impl Exporting {
    /// Sends what waits, and ends; for a short while at the most.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(LAST, ended).await.ok();
    }
}

/// What is said of this process with every batch.
#[derive(Debug)]
struct About {
    resource: Vec<KeyValue>,
}

impl About {
    fn of(settings: &Settings) -> Self {
        let resource = settings.resource.iter();
        Self {
            resource: resource.map(|(key, value)| text(key, value)).collect(),
        }
    }

    fn resource(&self) -> Resource {
        Resource {
            attributes: self.resource.clone(),
        }
    }

    fn scope() -> Scope {
        Scope {
            name: "deodar".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn traces(&self, spans: Vec<Span>) -> Traces {
        let scope = Some(Self::scope());
        Traces {
            resource_spans: vec![ResourceSpans {
                resource: Some(self.resource()),
                scope_spans: vec![ScopeSpans { scope, spans }],
            }],
        }
    }

    fn logs(&self, log_records: Vec<LogRecord>) -> Logs {
        let scope = Some(Self::scope());
        Logs {
            resource_logs: vec![ResourceLogs {
                resource: Some(self.resource()),
                scope_logs: vec![ScopeLogs { scope, log_records }],
            }],
        }
    }

    fn metrics(&self, metrics: Vec<message::Metric>) -> Metrics {
        let scope = Some(Self::scope());
        Metrics {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(self.resource()),
                scope_metrics: vec![ScopeMetrics { scope, metrics }],
            }],
        }
    }
}

/// The way of one signal to its receiver.
struct Line {
    client: Client,
    signal: Signal,
    about: Arc<About>,
    counters: Arc<ExportCounters>,
    stopped: watch::Receiver<bool>,
    batch_max: usize,
    delay: Duration,
    is_failing: bool,
}

impl Line {
    /// Sends what comes in batches, until it is stopped and nothing waits.
    async fn run<T, M: prost::Message + 'static>(
        mut self,
        mut waiting: Receiver<T>,
        method: &'static str,
        of: fn(&About, Vec<T>) -> M,
    ) {
        loop {
            let mut batch = Vec::new();
            let due = Instant::now() + self.delay;
            while batch.len() < self.batch_max && !*self.stopped.borrow() {
                let room = self.batch_max - batch.len();
                tokio::select! {
                    received = timeout_at(due, waiting.recv_many(&mut batch, room)) => {
                        // Late, or nobody is left who could put something in.
                        if !matches!(received, Ok(1..)) {
                            break;
                        }
                    }
                    _ = self.stopped.changed() => break,
                }
            }
            let is_last = *self.stopped.borrow() || waiting.is_closed();
            while batch.len() < self.batch_max
                && let Ok(item) = waiting.try_recv()
            {
                batch.push(item);
            }
            if batch.is_empty() {
                if is_last {
                    return;
                }
                continue;
            }
            let count = batch.len();
            let message = of(&self.about, batch);
            self.send(method, message, count).await;
        }
    }

    /// Sends every metric once an interval, and when it is stopped.
    async fn measure(mut self, interval: Duration, measure: Measure) {
        let start = nanos_now();
        loop {
            let is_last = tokio::select! {
                () = tokio::time::sleep(interval) => false,
                _ = self.stopped.changed() => true,
            };
            let now = nanos_now();
            let families = measure();
            let span = measures::Span { start, now };
            let metrics = families.iter();
            let metrics: Vec<_> = metrics.filter_map(|f| measures::metric(f, span)).collect();
            let count = metrics.len();
            let message = self.about.metrics(metrics);
            self.send(METRICS, message, count).await;
            if is_last {
                return;
            }
        }
    }

    async fn send<M: prost::Message + 'static>(
        &mut self,
        method: &'static str,
        message: M,
        count: usize,
    ) {
        let count = count as u64;
        match self.client.send(method, message).await {
            Ok(rejected) => {
                let rejected = rejected.min(count);
                self.counters.sent(self.signal, count - rejected);
                self.counters.failed(self.signal, rejected);
                self.is_failing = false;
            }
            Err(error) => {
                self.counters.failed(self.signal, count);
                // Once, not with every batch.
                if !std::mem::replace(&mut self.is_failing, true) {
                    events::export_failed(self.signal, &error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::Counters;
    use super::Exports;
    use super::Settings;
    use super::Trust;

    #[tokio::test]
    async fn a_queue_that_nobody_can_fill_any_more_ends() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
            ("OTEL_TRACES_EXPORTER", "none"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Settings::read(&variables.into());
        let exports = Exports::new(settings, Trust::Child, Arc::new(Counters::default()));
        // Nobody asked for the bridge: the only entrance goes with `exports`.
        let mut exporting = exports.start(Box::new(Vec::new));
        let ended = tokio::time::timeout(Duration::from_secs(5), exporting.tasks.join_next());
        assert!(ended.await.unwrap().unwrap().is_ok());
    }
}
