//! Metrics: the closed table of what is measured, and the values read of it.
//!
//! Whatever shows metrics, as Prometheus text or over OTLP, shows the same families,
//! read from the same atomics. A label takes its values from a closed list, so the
//! number of series is known before the first request.

pub mod actions;
pub mod directory;
pub mod histogram;
pub mod process;
pub mod prometheus;
pub mod rpc;
pub mod table;

use std::borrow::Cow;

use histogram::Spread;

/// One metric there is.
#[derive(Debug)]
pub struct Metric {
    /// Its name, parted by dots; Prometheus gets it with underscores and a unit.
    pub name: &'static str,
    /// How its values move.
    pub kind: Kind,
    /// The unit of its values, in the notation of UCUM.
    pub unit: &'static str,
    /// What its values are told apart by.
    pub labels: &'static [Label],
    /// What it tells.
    pub help: &'static str,
    /// What an operator does about it.
    pub to_do: &'static str,
}

/// How the values of a metric move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only up, until the process ends.
    Counter,
    /// Up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// What values are told apart by.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it may say.
    pub values: Values,
}

/// What a label may say.
#[derive(Debug)]
pub enum Values {
    /// One of these.
    OneOf(&'static [&'static str]),
    /// The name of a declared action: the first so many of them, the rest is `_OTHER`.
    Actions,
    /// One at a time: what is in force or runs.
    Current,
}

/// A metric with its values.
#[derive(Debug)]
pub struct Family {
    /// The metric.
    pub metric: &'static Metric,
    /// Its values.
    pub points: Vec<Point>,
}

/// One value.
#[derive(Debug)]
pub struct Point {
    /// The values of its labels, in the order of the metric's labels.
    pub labels: Vec<Cow<'static, str>>,
    /// The value.
    pub value: Value,
}

/// The value of a metric.
#[derive(Debug)]
pub enum Value {
    /// A count.
    Count(u64),
    /// A measured number.
    Number(f64),
    /// Counts in buckets.
    Spread(Spread),
}

impl Family {
    /// A family without values yet.
    pub fn of(metric: &'static Metric) -> Self {
        Self {
            metric,
            points: Vec::new(),
        }
    }

    /// Adds a value.
    #[must_use]
    pub fn with<const N: usize>(mut self, labels: [&'static str; N], value: Value) -> Self {
        self.points.push(Point {
            labels: labels.map(Cow::Borrowed).into(),
            value,
        });
        self
    }

    /// One count without labels.
    pub fn count(metric: &'static Metric, count: u64) -> Self {
        Self::of(metric).with([], Value::Count(count))
    }

    /// One number without labels.
    pub fn number(metric: &'static Metric, number: f64) -> Self {
        Self::of(metric).with([], Value::Number(number))
    }
}

impl Metric {
    /// What Prometheus calls its unit, if it has one.
    pub fn prometheus_unit(&self) -> Option<&'static str> {
        match self.unit {
            "s" => Some("seconds"),
            "By" => Some("bytes"),
            _ => None,
        }
    }

    /// The name that Prometheus knows it by.
    pub fn prometheus_name(&self) -> String {
        let mut name = self.name.replace('.', "_");
        if let Some(unit) = self.prometheus_unit() {
            name.push('_');
            name.push_str(unit);
        }
        if self.kind == Kind::Counter {
            name.push_str("_total");
        }
        name
    }
}

impl Label {
    /// The name that Prometheus knows it by.
    pub fn prometheus_name(&self) -> String {
        self.name.replace('.', "_")
    }

    /// Whether it may say this.
    pub fn takes(&self, value: &str) -> bool {
        match self.values {
            Values::OneOf(values) => values.contains(&value),
            Values::Actions | Values::Current => true,
        }
    }
}
