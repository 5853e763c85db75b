//! `/metrics` in both formats, read by readers of our own and of others.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::Command;
use std::process::Stdio;

use deodar::telemetry::metrics::table::METRICS;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;

use super::TRACE;
use super::receiver::http;
use super::receiver::settings;
use super::traced;
use crate::peer::peer;
use crate::places::Places;
use crate::support::Running;
use crate::support::config;
use crate::support::reference;

const OPEN: &str = "application/openmetrics-text; version=1.0.0";

/// A server that answered one traced question.
async fn running() -> Running {
    let (url, _receiver) = http().await;
    let mut config = config(&reference());
    config.telemetry.otlp = settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
        ("OTEL_METRICS_EXPORTER", "none"),
    ]);
    let running = Running::start(config).await;
    let mut client = running.authorization();
    client.authorize(traced("01")).await.unwrap();
    running
}

/// The head and the body of `/metrics`.
async fn get(running: &Running, accept: &str) -> (String, String) {
    let address = running.server.http.unwrap();
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /metrics HTTP/1.0\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

/// A sample: its value and its exemplar.
#[derive(Debug, PartialEq)]
struct Sample {
    value: String,
    exemplar: Option<String>,
}

/// Reads a text strictly: every sample belongs to the family that is told before it,
/// and no series is there twice.
fn read(text: &str) -> (BTreeMap<String, String>, BTreeMap<String, Sample>) {
    let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
    let mut family = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(
                kinds.insert(name.to_owned(), kind.to_owned()),
                None,
                "{line}"
            );
            family = name.to_owned();
        } else if line == "# EOF" {
            assert!(lines.peek().is_none(), "it goes on after the end");
        } else if !line.starts_with("# ") {
            let (line, exemplar) = match line.split_once(" # ") {
                Some((line, exemplar)) => (line, Some(exemplar.to_owned())),
                None => (line, None),
            };
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let end = name
                .strip_prefix(&*family)
                .unwrap_or_else(|| panic!("{line}"));
            assert!(
                ["", "_total", "_bucket", "_sum", "_count"].contains(&end),
                "{line}"
            );
            value.parse::<f64>().unwrap();
            let value = value.to_owned();
            let sample = Sample { value, exemplar };
            assert_eq!(samples.insert(series.to_owned(), sample), None, "{line}");
        }
    }
    (kinds, samples)
}

#[tokio::test]
async fn both_formats_have_the_same_series_and_one_has_exemplars() {
    let running = running().await;
    let (head, text) = get(&running, "*/*").await;
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    let (open_head, open) = get(&running, OPEN).await;
    assert!(open_head.contains(OPEN), "{open_head}");
    assert!(open.ends_with("\n# EOF\n") && !text.contains("# EOF"));

    let (text_kinds, text_samples) = read(&text);
    let (kinds, samples) = read(&open);
    assert_eq!(
        (text_kinds.len(), kinds.len()),
        (METRICS.len(), METRICS.len())
    );
    let series = |of: &BTreeMap<String, Sample>| of.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(series(&text_samples), series(&samples));
    for (series, sample) in &text_samples {
        assert_eq!(sample.exemplar, None, "{series}");
        // The log is written meanwhile.
        if !series.starts_with("process_") && !series.starts_with("deodar_audit_") {
            assert_eq!(sample.value, samples[series].value, "{series}");
        }
    }
    for (name, kind) in &kinds {
        let is_counter = kind == "counter";
        assert_eq!(
            text_kinds.contains_key(&format!("{name}_total")),
            is_counter
        );
        assert_eq!(
            samples
                .keys()
                .any(|s| s.starts_with(&format!("{name}_total"))),
            is_counter
        );
    }
    let exemplars = samples.iter().filter_map(|(series, sample)| {
        let exemplar = sample.exemplar.as_deref()?;
        Some((&**series, exemplar))
    });
    let exemplars: Vec<_> = exemplars.collect();
    let [(series, exemplar)] = exemplars[..] else {
        panic!("one call was traced: {exemplars:?}");
    };
    assert!(
        series.starts_with("rpc_server_call_duration_seconds_bucket{"),
        "{series}"
    );
    let bound = series.split("le=\"").nth(1).unwrap();
    let bound: f64 = bound.trim_end_matches("\"}").parse().unwrap();
    let (labels, rest) = exemplar.split_once("} ").unwrap();
    assert!(
        labels.starts_with(&format!("{{trace_id=\"{TRACE}\",span_id=\"")),
        "{labels}"
    );
    let took: f64 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(took > 0.0 && took <= bound, "{exemplar} in {series}");
}

/// Prints what the reader made of its input: families, samples, exemplars.
const READ: &str = "
import sys
from prometheus_client import parser
from prometheus_client.openmetrics import parser as open_parser
which = {'text': parser, 'open': open_parser}[sys.argv[1]]
families = list(which.text_string_to_metric_families(sys.stdin.read()))
samples = [sample for family in families for sample in family.samples]
print(len(families), len(samples))
for sample in samples:
    if sample.exemplar:
        print(sample.name, sample.exemplar.labels['trace_id'], sample.exemplar.value > 0)
";

#[tokio::test]
async fn a_reader_that_others_made_reads_both_formats() {
    let Some(python) = peer("the reader `prometheus_client`", Places::metrics_reader) else {
        return;
    };
    let running = running().await;
    for (which, accept) in [("text", "text/plain"), ("open", OPEN)] {
        let (_, text) = get(&running, accept).await;
        let mut child = Command::new(&python)
            .args(["-c", READ, which])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{which}: {failed}");
        let samples = text.lines().filter(|line| !line.starts_with('#')).count();
        let mut lines = told.lines();
        let counts = format!("{} {samples}", METRICS.len());
        assert_eq!(lines.next().unwrap(), counts, "{which}");
        let exemplar = format!("rpc_server_call_duration_seconds_bucket {TRACE} True");
        let expected = (which == "open").then_some(&*exemplar);
        assert_eq!(lines.next(), expected, "{which}");
    }
}
