//! Log lines as OTLP log records, with the trace that they were written in.

use std::fmt;

use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::message::Any;
use super::message::KeyValue;
use super::message::LogRecord;
use super::message::attribute;
use super::message::cut;
use super::message::text;
use super::queue::Queue;
use crate::telemetry::trace;

/// Puts log lines into a queue.
#[derive(Debug)]
pub struct Bridge(pub(super) Queue<LogRecord>);

impl<S: Subscriber> Layer<S> for Bridge {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        // Sending must not make lines that are sent.
        if !metadata.target().starts_with("deodar") {
            return;
        }
        self.0.push(|| record(event));
    }
}

fn record(event: &Event<'_>) -> LogRecord {
    let metadata = event.metadata();
    let mut fields = Fields::default();
    event.record(&mut fields);
    let now = trace::nanos_now();
    let ids = trace::ids();
    let mut attributes = vec![text("code.namespace", metadata.target())];
    attributes.extend(fields.attributes);
    LogRecord {
        time_unix_nano: now,
        observed_time_unix_nano: now,
        severity_number: severity(*metadata.level()),
        severity_text: metadata.level().to_string(),
        body: Some(Any::Text(cut(fields.message)).into()),
        attributes,
        flags: u32::from(ids.is_some()),
        trace_id: ids.map_or_else(Vec::new, |(trace, _)| trace.to_vec()),
        span_id: ids.map_or_else(Vec::new, |(_, span)| span.to_vec()),
    }
}

fn severity(level: Level) -> i32 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => 9,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    attributes: Vec<KeyValue>,
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes
            .push(attribute(field.name(), Any::Flag(value)));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes
            .push(attribute(field.name(), Any::Int(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.record_i64(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            value.clone_into(&mut self.message);
        } else {
            self.attributes.push(text(field.name(), value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
