//! Families of metrics as OTLP has them.

use super::message::Any;
use super::message::Data;
use super::message::Exemplar;
use super::message::Exemplary;
use super::message::Gauge;
use super::message::Histogram;
use super::message::HistogramPoint;
use super::message::KeyValue;
use super::message::Metric;
use super::message::Number;
use super::message::NumberPoint;
use super::message::Sum;
use super::message::attribute;
use crate::telemetry::metrics::Family;
use crate::telemetry::metrics::Kind;
use crate::telemetry::metrics::Point;
use crate::telemetry::metrics::Value;
use crate::telemetry::metrics::histogram;

const CUMULATIVE: i32 = 2;

/// When values were counted from, and when they were read, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) now: u64,
}

/// A family with values; `None` when it has none.
pub(super) fn metric(family: &Family, span: Span) -> Option<Metric> {
    let metric = family.metric;
    let numbers = || {
        let points = family.points.iter();
        points.map(|point| number(family, point, span)).collect()
    };
    let data = match metric.kind {
        _ if family.points.is_empty() => return None,
        Kind::Gauge => Data::Gauge(Gauge {
            data_points: numbers(),
        }),
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: spreads(family, span),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    Some(Metric {
        name: metric.name.to_owned(),
        description: metric.help.to_owned(),
        unit: metric.unit.to_owned(),
        data: Some(data),
    })
}

fn attributes(family: &Family, point: &Point) -> Vec<KeyValue> {
    let labels = family.metric.labels.iter().zip(&point.labels);
    let labels = labels.filter(|(_, value)| !value.is_empty());
    labels
        .map(|(label, value)| attribute(label.name, Any::Text(value.to_string())))
        .collect()
}

fn number(family: &Family, point: &Point, span: Span) -> NumberPoint {
    NumberPoint {
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        value: Some(match &point.value {
            Value::Count(count) => Number::Int(i64::try_from(*count).unwrap_or(i64::MAX)),
            Value::Number(number) => Number::Double(*number),
            Value::Spread(spread) => Number::Double(spread.sum),
        }),
        attributes: attributes(family, point),
    }
}

fn spreads(family: &Family, span: Span) -> Vec<HistogramPoint> {
    let points = family.points.iter().filter_map(|point| match &point.value {
        Value::Spread(spread) => Some((point, spread)),
        Value::Count(_) | Value::Number(_) => None,
    });
    points
        .map(|(point, spread)| HistogramPoint {
            start_time_unix_nano: span.start,
            time_unix_nano: span.now,
            count: spread.count(),
            sum: Some(spread.sum),
            bucket_counts: spread.counts.clone(),
            explicit_bounds: spread.bounds.clone(),
            exemplars: spread.exemplars.iter().map(exemplar).collect(),
            attributes: attributes(family, point),
        })
        .collect()
}

fn exemplar(exemplar: &histogram::Exemplar) -> Exemplar {
    Exemplar {
        time_unix_nano: exemplar.at,
        value: Some(Exemplary::Double(exemplar.seconds)),
        span_id: exemplar.span_id.to_vec(),
        trace_id: exemplar.trace_id.to_vec(),
    }
}
