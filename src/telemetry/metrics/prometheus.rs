//! Families as Prometheus reads them: its text format, version 0.0.4.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::Family;
use super::Kind;
use super::Metric;
use super::Value;
use super::histogram::Spread;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Families as text.
pub fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for family in families {
        write(&mut text, family);
    }
    text
}

// Writing to a string cannot fail.
fn write(text: &mut String, family: &Family) {
    let metric = family.metric;
    let name = metric.prometheus_name();
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", metric.help).ok();
    for point in &family.points {
        let labels = labels(metric, &point.labels);
        match &point.value {
            Value::Count(count) => line(text, &name, &labels, "", count),
            Value::Number(number) => line(text, &name, &labels, "", number),
            Value::Spread(spread) => buckets(text, &name, &labels, spread),
        }
    }
}

fn buckets(text: &mut String, name: &str, labels: &str, spread: &Spread) {
    let mut sum = 0;
    let bounds = spread.bounds.iter().map(ToString::to_string);
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&spread.counts) {
        sum += count;
        let bound = format!("le=\"{bound}\"");
        line(text, &format!("{name}_bucket"), labels, &bound, &sum);
    }
    line(text, &format!("{name}_sum"), labels, "", &spread.sum);
    line(text, &format!("{name}_count"), labels, "", &sum);
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

    use super::text;
    use crate::telemetry::metrics::Family;
    use crate::telemetry::metrics::Point;
    use crate::telemetry::metrics::Value;
    use crate::telemetry::metrics::histogram::Histogram;
    use crate::telemetry::metrics::histogram::OF_RELOADS;
    use crate::telemetry::metrics::table;

    #[test]
    fn buckets_add_up_and_labels_are_escaped() {
        let histogram = Histogram::new(OF_RELOADS);
        histogram.observe(Duration::from_millis(2));
        histogram.observe(Duration::from_mins(2));
        let mut actions = Family::of(&table::DECISIONS_BY_ACTION);
        actions.points.push(Point {
            labels: vec![Cow::Borrowed("A::\"b\""), "allow".into(), "true".into()],
            value: Value::Count(3),
        });
        let spread = Value::Spread(histogram.read());
        let reload = Family::of(&table::RELOAD_DURATION).with(["activated"], spread);
        let text = text(&[reload, actions]);
        for expected in [
            "# TYPE deodar_reload_duration_seconds histogram\n",
            "deodar_reload_duration_seconds_bucket{outcome=\"activated\",le=\"0.001\"} 0\n",
            "deodar_reload_duration_seconds_bucket{outcome=\"activated\",le=\"60\"} 1\n",
            "deodar_reload_duration_seconds_bucket{outcome=\"activated\",le=\"+Inf\"} 2\n",
            "deodar_reload_duration_seconds_count{outcome=\"activated\"} 2\n",
            "_by_action_total{action=\"A::\\\"b\\\"\",decision=\"allow\",cached=\"true\"} 3\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }
}
