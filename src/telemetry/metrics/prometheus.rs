//! Families as Prometheus reads them: its text format, version 0.0.4, or OpenMetrics
//! 1.0, which has exemplars as well.
//!
//! The series are the same in both, with the same names and labels.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Family;
use super::Kind;
use super::Metric;
use super::Value;
use super::histogram::Exemplar;
use super::histogram::Spread;

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus.
    Text,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// What a reader would rather have, by its `Accept`; the text format if it does
    /// not say.
    pub fn accepted(accept: &str) -> Self {
        let (mut text, mut open) = (0, 0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut is_known) = (1000, true);
            for part in parts {
                match part.split_once('=') {
                    Some(("q", told)) => weight = thousandths(told),
                    Some(("version", told)) => is_known = told.trim_matches('"') == "1.0.0",
                    _ => {}
                }
            }
            match &*kind {
                "application/openmetrics-text" if is_known => open = open.max(weight),
                "text/plain" | "text/*" | "*/*" => text = text.max(weight),
                _ => {}
            }
        }
        if open > 0 && open >= text {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The media type of what is written.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Families, written so.
    pub fn write(self, families: &[Family]) -> String {
        let mut text = String::new();
        for family in families {
            self.family(&mut text, family);
        }
        if self == Self::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    // Writing to a string cannot fail.
    fn family(self, text: &mut String, family: &Family) {
        let metric = family.metric;
        let name = metric.prometheus_name();
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let about = match self {
            Self::Text => &*name,
            // There a family is named without what its samples end with.
            Self::OpenMetrics => name.strip_suffix("_total").unwrap_or(&name),
        };
        writeln!(text, "# HELP {about} {}", self.help(metric)).ok();
        writeln!(text, "# TYPE {about} {kind}").ok();
        if let (Self::OpenMetrics, Some(unit)) = (self, metric.prometheus_unit()) {
            writeln!(text, "# UNIT {about} {unit}").ok();
        }
        for point in &family.points {
            let labels = labels(metric, &point.labels);
            match &point.value {
                Value::Count(count) => line(text, &name, &labels, "", count),
                Value::Number(number) => line(text, &name, &labels, "", number),
                Value::Spread(spread) => self.buckets(text, &name, &labels, spread),
            }
        }
    }

    fn help(self, metric: &Metric) -> String {
        match self {
            Self::Text => metric.help.replace('\\', "\\\\").replace('\n', "\\n"),
            Self::OpenMetrics => escaped(metric.help),
        }
    }

    fn buckets(self, text: &mut String, name: &str, labels: &str, spread: &Spread) {
        let (mut sum, mut below) = (0, f64::NEG_INFINITY);
        let bounds = spread.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, count) in bounds.zip(&spread.counts) {
            sum += count;
            let le = format!("le=\"{}\"", number(bound));
            let exemplars = spread.exemplars.iter();
            let mut exemplars = exemplars.filter(|e| e.seconds > below && e.seconds <= bound);
            let shown = match (self, exemplars.next()) {
                (Self::OpenMetrics, Some(exemplar)) => format!("{sum}{}", example(exemplar)),
                _ => sum.to_string(),
            };
            line(text, &format!("{name}_bucket"), labels, &le, &shown);
            below = bound;
        }
        line(text, &format!("{name}_sum"), labels, "", &spread.sum);
        line(text, &format!("{name}_count"), labels, "", &sum);
    }
}

/// A weight of `Accept`, from 0 to 1 with three digits; what cannot be read is 0.
fn thousandths(text: &str) -> u32 {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let is_short = rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    match (whole, format!("{rest:0<3}").parse::<u32>()) {
        ("0", Ok(part)) if is_short => part,
        ("1", Ok(0)) if is_short => 1000,
        _ => 0,
    }
}

/// A bound as OpenMetrics wants it, so that one bound has one spelling.
fn number(bound: f64) -> String {
    if bound.is_infinite() {
        return "+Inf".to_owned();
    }
    let plain = format!("{bound:?}");
    if bound == 0.0 || bound >= 1e-4 {
        return plain;
    }
    // The exponent has two digits.
    let short = format!("{bound:e}");
    match short.split_once("e-") {
        Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
        None => plain,
    }
}

/// What follows the value of a bucket.
fn example(exemplar: &Exemplar) -> String {
    let trace = u128::from_be_bytes(exemplar.trace_id);
    let span = u64::from_be_bytes(exemplar.span_id);
    let (seconds, millis) = (exemplar.at / 1_000_000_000, exemplar.at / 1_000_000 % 1000);
    format!(
        " # {{trace_id=\"{trace:032x}\",span_id=\"{span:016x}\"}} {} {seconds}.{millis:03}",
        exemplar.seconds
    )
}

fn labels(metric: &Metric, values: &[Cow<'static, str>]) -> String {
    let pairs = metric.labels.iter().zip(values);
    let written = pairs.map(|(label, value)| {
        let name = label.prometheus_name();
        format!("{name}=\"{}\"", escaped(value))
    });
    written.collect::<Vec<_>>().join(",")
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

fn line(text: &mut String, name: &str, labels: &str, more: &str, value: &impl ToString) {
    let comma = if labels.is_empty() || more.is_empty() {
        ""
    } else {
        ","
    };
    let value = value.to_string();
    if labels.is_empty() && more.is_empty() {
        writeln!(text, "{name} {value}").ok();
    } else {
        writeln!(text, "{name}{{{labels}{comma}{more}}} {value}").ok();
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::Duration;

    use super::Format;
    use super::number;
    use crate::telemetry::metrics::Family;
    use crate::telemetry::metrics::Point;
    use crate::telemetry::metrics::Value;
    use crate::telemetry::metrics::histogram::Exemplar;
    use crate::telemetry::metrics::histogram::Histogram;
    use crate::telemetry::metrics::histogram::OF_RELOADS;
    use crate::telemetry::metrics::table;

    fn families() -> [Family; 2] {
        let histogram = Histogram::new(OF_RELOADS);
        histogram.observe(Duration::from_millis(2));
        histogram.observe(Duration::from_mins(2));
        histogram.exemplify(Exemplar {
            seconds: 0.002,
            at: 1_700_000_000_012_345_678,
            trace_id: [0xa; 16],
            span_id: [0xb; 8],
        });
        let mut actions = Family::of(&table::DECISIONS_BY_ACTION);
        actions.points.push(Point {
            labels: vec![Cow::Borrowed("A::\"b\""), "allow".into(), "true".into()],
            value: Value::Count(3),
        });
        let spread = Value::Spread(histogram.read());
        let reload = Family::of(&table::RELOAD_DURATION).with(["activated"], spread);
        [reload, actions]
    }

    #[test]
    fn buckets_add_up_and_labels_are_escaped() {
        let text = Format::Text.write(&families());
        for expected in [
            "# TYPE deodar_reload_duration_seconds histogram\n",
            "deodar_reload_duration_seconds_bucket{outcome=\"activated\",le=\"0.001\"} 0\n",
            "deodar_reload_duration_seconds_bucket{outcome=\"activated\",le=\"0.005\"} 1\n",
            "deodar_reload_duration_seconds_bucket{outcome=\"activated\",le=\"60.0\"} 1\n",
            "deodar_reload_duration_seconds_bucket{outcome=\"activated\",le=\"+Inf\"} 2\n",
            "deodar_reload_duration_seconds_count{outcome=\"activated\"} 2\n",
            "# TYPE deodar_decisions_by_action_total counter\n",
            "_by_action_total{action=\"A::\\\"b\\\"\",decision=\"allow\",cached=\"true\"} 3\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(!text.contains("trace_id") && !text.contains("EOF") && !text.contains("# UNIT"));
    }

    #[test]
    fn open_metrics_has_units_exemplars_and_an_end() {
        let text = Format::OpenMetrics.write(&families());
        for expected in [
            "# UNIT deodar_reload_duration_seconds seconds\n",
            "le=\"0.001\"} 0\n",
            "le=\"0.005\"} 1 # {trace_id=\"0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a\",span_id=\"0b0b0b0b0b0b0b0b\"} 0.002 1700000000.012\n",
            "le=\"0.01\"} 1\n",
            "# TYPE deodar_decisions_by_action counter\n",
            "deodar_decisions_by_action_total{action=",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n"));
        assert_eq!(text.matches("trace_id").count(), 1);
    }

    #[test]
    fn a_bound_has_one_spelling() {
        for (bound, shown) in [
            (1e-6, "1e-06"),
            (2.5e-5, "2.5e-05"),
            (1e-4, "0.0001"),
            (0.25, "0.25"),
            (1.0, "1.0"),
            (60.0, "60.0"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(number(bound), shown);
        }
    }

    #[test]
    fn a_reader_gets_what_it_would_rather_have() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for accept in [
            prometheus,
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; version=\"1.0.0\"; charset=utf-8",
            "text/plain; q=0.9, application/openmetrics-text",
            "application/openmetrics-text, */*",
        ] {
            assert_eq!(Format::accepted(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/plain",
            "application/openmetrics-text; version=0.0.1",
            "application/openmetrics-text; q=0",
            "application/openmetrics-text; q=0.000",
            "application/openmetrics-text; q=2",
            "application/openmetrics-text; q=\u{e9}",
            "application/openmetrics-text; q=0.5, text/*; q=0.501",
            "application/json",
        ] {
            assert_eq!(Format::accepted(accept), Format::Text, "{accept}");
        }
    }
}
