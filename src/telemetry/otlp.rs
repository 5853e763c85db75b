//! OTLP: spans, metrics and log lines, sent to a collector over gRPC or HTTP.
//!
//! ```text
//! call, decision, log line --push--> bounded queue --batch--> collector
//! ```
//!
//! Whoever pushes never waits: what does not fit is dropped and counted, and so is
//! a batch that the collector does not take, tried a few times. Without an endpoint
//! nothing of this exists but the counters.

mod about;
mod bridge;
mod client;
mod line;
mod measures;
pub mod message;
pub mod queue;
mod retry;
pub mod settings;
pub mod tls;
pub mod variables;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use about::About;
pub use bridge::Bridge;
use client::Client;
use client::Route;
use line::Line;
use message::LogRecord;
use message::Span;
use queue::ExportCounters;
use queue::Queue;
use queue::Signal;
use queue::Waiting;
use queue::queue;
use settings::Settings;
use settings::Target;

use super::Counters;
use super::events;
use super::metrics::Family;
use super::trace::Tracer;
use super::trace::Trust;

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
    settings: Box<Settings>,
    counters: Arc<Counters>,
    spans: Option<(Box<Route>, Waiting<Span>)>,
    logs: Option<(Box<Route>, Waiting<LogRecord>)>,
    metrics: Option<Box<Route>>,
    log_queue: Option<Queue<LogRecord>>,
}

/// What sends; ends with [`Exporting::stop`].
#[derive(Debug)]
pub struct Exporting {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
    counters: Arc<ExportCounters>,
}

impl Exports {
    /// Makes the queues; calls are traced from now on, if they are to be.
    pub fn new(mut settings: Settings, trust: Trust, counters: Arc<Counters>) -> Self {
        let warnings = &mut settings.warnings;
        let mut route = |target: Option<Target>| {
            let route = Route::new(target?).map(Box::new);
            route
                .map_err(|error| {
                    if !warnings.contains(&error) {
                        warnings.push(error);
                    }
                })
                .ok()
        };
        let [spans, logs, metrics] = [&settings.traces, &settings.logs, &settings.metrics]
            .map(|target| route(target.clone()));
        let of = counters.exports();
        let spans = spans.map(|route| {
            let (queue, waiting) = queue(settings.spans.queue_max, Signal::Traces, of);
            counters.trace_with(Tracer {
                trust,
                sampler: settings.sampler,
                queue,
            });
            (route, waiting)
        });
        let logs = logs.map(|route| {
            let (queue, waiting) = queue(settings.lines.queue_max, Signal::Logs, of);
            (queue, (route, waiting))
        });
        let (log_queue, logs) = logs.unzip();
        Self {
            settings: Box::new(settings),
            counters,
            spans,
            logs,
            metrics,
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
        let settings = &self.settings;
        let about = Arc::new(About::of(settings));
        let line = |signal, route: Box<Route>, timeout| Line {
            client: Client::new(*route),
            signal,
            about: Arc::clone(&about),
            counters: Arc::clone(self.counters.exports()),
            stopped: stopped.clone(),
            timeout,
            is_failing: false,
        };
        if let Some((route, spans)) = self.spans {
            let line = line(Signal::Traces, route, settings.spans.timeout);
            tasks.spawn(line.run(spans, settings.spans, TRACES, About::traces));
        }
        if let Some((route, logs)) = self.logs {
            let line = line(Signal::Logs, route, settings.lines.timeout);
            tasks.spawn(line.run(logs, settings.lines, LOGS, About::logs));
        }
        if let Some(route) = self.metrics {
            let line = line(Signal::Metrics, route, settings.measure_timeout);
            tasks.spawn(line.measure(settings.interval, METRICS, measure));
        }
        Exporting {
            tasks,
            stop,
            counters: Arc::clone(self.counters.exports()),
        }
    }
}

impl Exporting {
    /// Sends what waits, and ends; for a short while at the most. What is left then is
    /// counted and told.
    pub async fn stop(mut self) {
        let before = self.counters.given_up();
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST, ended).await.is_err() {
            self.tasks.shutdown().await;
        }
        let left = self.counters.given_up() - before;
        if left > 0 {
            events::export_ended_with(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

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
        let exports = Exports::new(settings, Trust::Child, Arc::default());
        // Nobody asked for the bridge: the only entrance goes with `exports`.
        let mut exporting = exports.start(Box::new(Vec::new));
        let ended = tokio::time::timeout(Duration::from_secs(5), exporting.tasks.join_next());
        assert!(ended.await.unwrap().unwrap().is_ok());
    }
}
