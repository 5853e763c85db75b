//! `docs/operations.md` is written from the code, and what is shown in
//! `examples/observability` exists.
//!
//! `DEODAR_REWRITE=1 cargo test operations` writes the page anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use deodar::telemetry::metrics::Kind;
use deodar::telemetry::metrics::Metric;
use deodar::telemetry::metrics::Values;
use deodar::telemetry::metrics::actions::ACTIONS_MAX;
use deodar::telemetry::metrics::table::METRICS;
use deodar::telemetry::otlp::variables::FOLLOWED;
use deodar::telemetry::otlp::variables::IGNORED;
use serde_json::Value as Json;

use crate::support::root;

const PAGE: &str = "docs/operations.md";
const RULES: &str = "examples/observability/prometheus-rules.yaml";
const DASHBOARD: &str = "examples/observability/grafana-dashboard.json";
const EVENTS: &str = "src/telemetry/events.rs";
/// Longer lists of values are not written out.
const VALUES_SHOWN: usize = 8;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_page_is_what_the_code_says() {
    let page = page();
    if std::env::var_os("DEODAR_REWRITE").is_some() {
        fs::write(root().join(PAGE), &page).unwrap();
    }
    assert!(
        read(PAGE) == page,
        "`{PAGE}` is stale: run `DEODAR_REWRITE=1 cargo test operations`"
    );
}

#[test]
fn every_metric_of_the_examples_exists() {
    let known: BTreeSet<String> = METRICS.iter().flat_map(|metric| series(metric)).collect();
    for path in [RULES, DASHBOARD] {
        let text = read(path);
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let is_metric = |word: &&str| {
            let ours = ["deodar_", "rpc_server", "process_"];
            ours.iter().any(|start| word.starts_with(start))
        };
        let mut named = 0;
        for word in words.filter(is_metric) {
            assert!(known.contains(word), "{path}: there is no metric `{word}`");
            named += 1;
        }
        assert!(named > 10, "{path}");
    }
    let dashboard: Json = serde_json::from_str(&read(DASHBOARD)).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
    let collector = read("examples/observability/otel-collector.yaml");
    let collector: Json = serde_saphyr::from_str(&collector).unwrap();
    for signal in ["traces", "metrics", "logs"] {
        assert!(collector["service"]["pipelines"][signal].is_object());
    }
}

fn series(metric: &Metric) -> Vec<String> {
    let name = metric.prometheus_name();
    match metric.kind {
        Kind::Histogram => ["bucket", "sum", "count"]
            .map(|end| format!("{name}_{end}"))
            .into(),
        Kind::Counter | Kind::Gauge => vec![name],
    }
}

fn page() -> String {
    let mut page = "\
# Operations

Every metric, log event and alert, with what to do about it. Written from the code by a test; change the code, then run
`DEODAR_REWRITE=1 cargo test operations`.

The HTTP port has `/livez` (the process runs), `/readyz` (questions are answered; if not, the reasons as JSON) and `/metrics`
(Prometheus text, or OpenMetrics with exemplars for readers that ask for it with `Accept: application/openmetrics-text`).
With `OTEL_EXPORTER_OTLP_ENDPOINT` set, traces, metrics and log lines go to a collector over OTLP as well; without it nothing is sent.
`telemetry.trace_trust` says what is made of a caller's `traceparent`. A span tells the decision, its id, action, policies and revisions,
never who asked for what.

SIGHUP reads `log.level` again.

Ready to use, in [examples/observability](../examples/observability): alert rules, a Grafana dashboard, the configuration of a collector.

"
    .to_owned();
    export(&mut page);
    metrics(&mut page);
    events(&mut page);
    alerts(&mut page);
    page
}

fn export(page: &mut String) {
    page.push_str(
        "\
## OTLP

No decision waits for a collector. Of each signal at most 16 MiB wait, in no more than the number below; a batch that the collector does not
take for now (`UNAVAILABLE`, 429, 502, 503, 504 and the like, or no answer) is sent again up to four times, after pauses that double from half
a second, or that the collector asks for. What has no place, is refused for good or takes too long is dropped and counted in
`deodar_telemetry_dropped_total`. At the end of the process what waits is sent, for two seconds at the most.

With an `https://` URL the certificate of the collector is checked by the authorities of the system, or those of a file. The files of TLS
are read once, at the start. A file that cannot be used, or a value that cannot be followed, is told by a warning; the server starts all the
same, and sends nothing rather than in another way.

These standard variables are followed; `{SIGNAL}` stands for `TRACES`, `METRICS` and `LOGS`:

| variable | default | what it says |
| --- | --- | --- |
",
    );
    for followed in FOLLOWED {
        let default = match followed.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let (name, what) = (followed.name, followed.what);
        writeln!(page, "| `{name}` | {default} | {what} |").unwrap();
    }
    page.push_str("\nThese are not; one that is set is told by a warning:\n\n");
    for ignored in IGNORED {
        let more = if ignored.start.ends_with('_') {
            "*"
        } else {
            ""
        };
        writeln!(page, "* `{}{more}`: {}", ignored.start, ignored.instead).unwrap();
    }
    page.push('\n');
}

fn metrics(page: &mut String) {
    page.push_str("## Metrics\n");
    for metric in METRICS {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let unit = match metric.unit {
            "s" => ", seconds",
            "By" => ", bytes",
            _ => "",
        };
        let (otlp, prometheus) = (metric.name, metric.prometheus_name());
        writeln!(
            page,
            "\n### `{prometheus}`\n\n{} ({kind}{unit}; `{otlp}` over OTLP)\n",
            metric.help
        )
        .unwrap();
        for label in metric.labels {
            let values = match label.values {
                Values::OneOf(values) if values.len() <= VALUES_SHOWN => {
                    let values = values.iter().filter(|value| !value.is_empty());
                    let values: Vec<_> = values.map(|value| format!("`{value}`")).collect();
                    values.join(", ")
                }
                Values::OneOf(values) => {
                    format!("one of {}, such as `{}`", values.len(), values[0])
                }
                Values::Actions => format!("a declared action, at most {ACTIONS_MAX}, or `_OTHER`"),
                Values::Current => "one at a time".to_owned(),
            };
            writeln!(page, "* `{}`: {values}", label.prometheus_name()).unwrap();
        }
        if !metric.labels.is_empty() {
            page.push('\n');
        }
        writeln!(page, "**To do:** {}", metric.to_do).unwrap();
    }
}

/// Reads the functions of events: their comment, level and message.
fn events(page: &mut String) {
    page.push_str("\n## Log events\n\n| level | message | what it tells | to do |\n| --- | --- | --- | --- |\n");
    let source = read(EVENTS);
    let mut comment = String::new();
    let mut function: Option<(String, String)> = None;
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("///") {
            comment = format!("{comment} {}", text.trim());
        } else if let Some(rest) = line.strip_prefix("pub fn ") {
            assert!(function.is_none(), "{EVENTS}: {function:?} logs nothing");
            let name = rest.split(['(', '<']).next().unwrap();
            function = Some((name.to_owned(), std::mem::take(&mut comment)));
        } else if !line.starts_with(' ') {
            comment.clear();
        }
        let level = ["error", "warn", "info", "debug"];
        let level = level
            .iter()
            .find(|level| line.contains(&format!("tracing::{level}!")));
        if let (Some(level), Some((name, comment))) = (level, function.take_if(|_| level.is_some()))
        {
            let (what, to_do) = comment
                .split_once(" To do: ")
                .unwrap_or_else(|| panic!("{EVENTS}: `{name}` has no `/// To do: `"));
            let message = message(&source, &name);
            let what = what.trim();
            writeln!(page, "| {level} | {message} | {what} | {to_do} |").unwrap();
        }
    }
}

/// The last text of the first log line of a function.
fn message(source: &str, name: &str) -> String {
    let (_, body) = source.split_once(&format!("pub fn {name}(")).unwrap();
    let (_, call) = body.split_once("tracing::").unwrap();
    let (call, _) = call.split_once(");").unwrap();
    let text = call.rsplit('"').nth(1).unwrap();
    text.replace("{}", "...").replace("{warning}", "...")
}

fn alerts(page: &mut String) {
    page.push_str("\n## Alerts\n");
    let rules: Json = serde_saphyr::from_str(&read(RULES)).unwrap();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let (name, severity) = (text(&rule["alert"]), text(&rule["labels"]["severity"]));
        let annotations = &rule["annotations"];
        let (summary, to_do) = (text(&annotations["summary"]), text(&annotations["to_do"]));
        writeln!(
            page,
            "\n### {name}\n\n{summary} ({severity})\n\n**To do:** {to_do}"
        )
        .unwrap();
    }
}
