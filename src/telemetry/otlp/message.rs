//! The messages of OTLP that are sent, as far as they are filled: written down by
//! hand, because the generated ones bring an SDK along. A test reads them with those.

use prost::Message;
use prost::Oneof;

/// Longer texts are cut: what waits must not grow with what is said.
pub const TEXT_BYTES_MAX: usize = 4096;

macro_rules! message {
    ($(#[doc = $doc:literal] $name:ident { $($(#[$field_attribute:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            #[doc = $doc]
            #[derive(Clone, PartialEq, Message)]
            #[expect(missing_docs, reason = "named as OTLP names them")]
            pub struct $name {
                $($(#[$field_attribute])* pub $field: $type,)*
            }
        )*
    };
}

message! {
    /// A value.
    AnyValue { #[prost(oneof = "Any", tags = "1, 2, 3, 5")] value: Option<Any>, }
    /// Values.
    ArrayValue { #[prost(message, repeated, tag = "1")] values: Vec<AnyValue>, }
    /// An attribute.
    KeyValue {
        #[prost(string, tag = "1")] key: String,
        #[prost(message, optional, tag = "2")] value: Option<AnyValue>,
    }
    /// What all of it is about.
    Resource { #[prost(message, repeated, tag = "1")] attributes: Vec<KeyValue>, }
    /// What made it.
    Scope {
        #[prost(string, tag = "1")] name: String,
        #[prost(string, tag = "2")] version: String,
    }
    /// Spans of a process.
    Traces { #[prost(message, repeated, tag = "1")] resource_spans: Vec<ResourceSpans>, }
    /// Spans of a resource.
    ResourceSpans {
        #[prost(message, optional, tag = "1")] resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")] scope_spans: Vec<ScopeSpans>,
    }
    /// Spans of a scope.
    ScopeSpans {
        #[prost(message, optional, tag = "1")] scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")] spans: Vec<Span>,
    }
    /// A span.
    Span {
        #[prost(bytes = "vec", tag = "1")] trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] span_id: Vec<u8>,
        #[prost(string, tag = "3")] trace_state: String,
        #[prost(bytes = "vec", tag = "4")] parent_span_id: Vec<u8>,
        #[prost(string, tag = "5")] name: String,
        #[prost(int32, tag = "6")] kind: i32,
        #[prost(fixed64, tag = "7")] start_time_unix_nano: u64,
        #[prost(fixed64, tag = "8")] end_time_unix_nano: u64,
        #[prost(message, repeated, tag = "9")] attributes: Vec<KeyValue>,
        #[prost(message, repeated, tag = "11")] events: Vec<SpanEvent>,
        #[prost(uint32, tag = "12")] dropped_events_count: u32,
        #[prost(message, repeated, tag = "13")] links: Vec<SpanLink>,
        #[prost(message, optional, tag = "15")] status: Option<SpanStatus>,
        #[prost(fixed32, tag = "16")] flags: u32,
    }
    /// Something that happened in a span.
    SpanEvent {
        #[prost(fixed64, tag = "1")] time_unix_nano: u64,
        #[prost(string, tag = "2")] name: String,
        #[prost(message, repeated, tag = "3")] attributes: Vec<KeyValue>,
    }
    /// Another span.
    SpanLink {
        #[prost(bytes = "vec", tag = "1")] trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] span_id: Vec<u8>,
        #[prost(string, tag = "3")] trace_state: String,
        #[prost(fixed32, tag = "6")] flags: u32,
    }
    /// How a span ended.
    SpanStatus { #[prost(int32, tag = "3")] code: i32, }
    /// Log records of a process.
    Logs { #[prost(message, repeated, tag = "1")] resource_logs: Vec<ResourceLogs>, }
    /// Log records of a resource.
    ResourceLogs {
        #[prost(message, optional, tag = "1")] resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")] scope_logs: Vec<ScopeLogs>,
    }
    /// Log records of a scope.
    ScopeLogs {
        #[prost(message, optional, tag = "1")] scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")] log_records: Vec<LogRecord>,
    }
    /// A log line.
    LogRecord {
        #[prost(fixed64, tag = "1")] time_unix_nano: u64,
        #[prost(int32, tag = "2")] severity_number: i32,
        #[prost(string, tag = "3")] severity_text: String,
        #[prost(message, optional, tag = "5")] body: Option<AnyValue>,
        #[prost(message, repeated, tag = "6")] attributes: Vec<KeyValue>,
        #[prost(fixed32, tag = "8")] flags: u32,
        #[prost(bytes = "vec", tag = "9")] trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "10")] span_id: Vec<u8>,
        #[prost(fixed64, tag = "11")] observed_time_unix_nano: u64,
    }
    /// Metrics of a process.
    Metrics { #[prost(message, repeated, tag = "1")] resource_metrics: Vec<ResourceMetrics>, }
    /// Metrics of a resource.
    ResourceMetrics {
        #[prost(message, optional, tag = "1")] resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")] scope_metrics: Vec<ScopeMetrics>,
    }
    /// Metrics of a scope.
    ScopeMetrics {
        #[prost(message, optional, tag = "1")] scope: Option<Scope>,
        #[prost(message, repeated, tag = "2")] metrics: Vec<Metric>,
    }
    /// A metric.
    Metric {
        #[prost(string, tag = "1")] name: String,
        #[prost(string, tag = "2")] description: String,
        #[prost(string, tag = "3")] unit: String,
        #[prost(oneof = "Data", tags = "5, 7, 9")] data: Option<Data>,
    }
    /// Values that go up and down.
    Gauge { #[prost(message, repeated, tag = "1")] data_points: Vec<NumberPoint>, }
    /// Values that go up.
    Sum {
        #[prost(message, repeated, tag = "1")] data_points: Vec<NumberPoint>,
        #[prost(int32, tag = "2")] aggregation_temporality: i32,
        #[prost(bool, tag = "3")] is_monotonic: bool,
    }
    /// Counts in buckets.
    Histogram {
        #[prost(message, repeated, tag = "1")] data_points: Vec<HistogramPoint>,
        #[prost(int32, tag = "2")] aggregation_temporality: i32,
    }
    /// A number.
    NumberPoint {
        #[prost(fixed64, tag = "2")] start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")] time_unix_nano: u64,
        #[prost(oneof = "Number", tags = "4, 6")] value: Option<Number>,
        #[prost(message, repeated, tag = "7")] attributes: Vec<KeyValue>,
    }
    /// Counts.
    HistogramPoint {
        #[prost(fixed64, tag = "2")] start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")] time_unix_nano: u64,
        #[prost(fixed64, tag = "4")] count: u64,
        #[prost(double, optional, tag = "5")] sum: Option<f64>,
        #[prost(fixed64, repeated, tag = "6")] bucket_counts: Vec<u64>,
        #[prost(double, repeated, tag = "7")] explicit_bounds: Vec<f64>,
        #[prost(message, repeated, tag = "8")] exemplars: Vec<Exemplar>,
        #[prost(message, repeated, tag = "9")] attributes: Vec<KeyValue>,
    }
    /// A value that was traced.
    Exemplar {
        #[prost(fixed64, tag = "2")] time_unix_nano: u64,
        #[prost(oneof = "Exemplary", tags = "3")] value: Option<Exemplary>,
        #[prost(bytes = "vec", tag = "4")] span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "5")] trace_id: Vec<u8>,
    }
    /// What the receiver answers.
    Received { #[prost(message, optional, tag = "1")] partial: Option<Partial>, }
    /// What it did not take.
    Partial {
        #[prost(int64, tag = "1")] rejected: i64,
        #[prost(string, tag = "2")] message: String,
    }
}

/// What a value may be.
#[derive(Clone, PartialEq, Oneof)]
pub enum Any {
    /// Text.
    #[prost(string, tag = "1")]
    Text(String),
    /// Yes or no.
    #[prost(bool, tag = "2")]
    Flag(bool),
    /// A whole number.
    #[prost(int64, tag = "3")]
    Int(i64),
    /// Several.
    #[prost(message, tag = "5")]
    List(ArrayValue),
}

/// What a metric may hold.
#[derive(Clone, PartialEq, Oneof)]
pub enum Data {
    /// Up and down.
    #[prost(message, tag = "5")]
    Gauge(Gauge),
    /// Up.
    #[prost(message, tag = "7")]
    Sum(Sum),
    /// Counts in buckets.
    #[prost(message, tag = "9")]
    Histogram(Histogram),
}

/// A number.
#[derive(Clone, Copy, PartialEq, Oneof)]
pub enum Number {
    /// With a fraction.
    #[prost(double, tag = "4")]
    Double(f64),
    /// Whole.
    #[prost(sfixed64, tag = "6")]
    Int(i64),
}

/// The value of an exemplar.
#[derive(Clone, Copy, PartialEq, Oneof)]
pub enum Exemplary {
    /// A number.
    #[prost(double, tag = "3")]
    Double(f64),
}

impl From<Any> for AnyValue {
    fn from(value: Any) -> Self {
        Self { value: Some(value) }
    }
}

/// An attribute.
pub fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(value.into()),
    }
}

/// An attribute that is text.
pub fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Any::Text(cut(value.into())))
}

/// As much of a text as is sent.
pub fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}
