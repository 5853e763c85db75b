//! Deodar's telemetry through a collector that others made.

use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use deodar::proto::v1::authorization_service_client::AuthorizationServiceClient;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value as Json;
use tonic::transport::Endpoint;

use super::TRACE;
use super::receiver::Got;
use super::receiver::grpc;
use super::receiver::hex;
use super::receiver::next;
use super::receiver::of;
use super::traced;
use crate::cli::Place;
use crate::cli::serve::Served;
use crate::peer::peer;
use crate::places::Places;
use crate::support::reference;

/// A collector that passes on what it takes; ended with the test.
struct Collector {
    child: Child,
    grpc: String,
    http: String,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A port that is free now: the collector cannot be asked for the one it chose.
fn port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

impl Collector {
    fn start(program: &Path, folder: &Path, pass_on: &str) -> Self {
        let (grpc, http) = (port(), port());
        let mut command = Command::new(program);
        command
            .args(["start", "--otlp-grpc-endpoint", &grpc])
            .args(["--otlp-http-endpoint", &http])
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "grpc"])
            .args(["--otlp-exporter-endpoint", pass_on, "--disable-batching"])
            .current_dir(folder)
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let collector = Self { child, grpc, http };
        for address in [&collector.grpc, &collector.http] {
            let is_up = (0..1000).any(|_| {
                let is_up = TcpStream::connect(address).is_ok();
                if !is_up {
                    std::thread::sleep(Duration::from_millis(10));
                }
                is_up
            });
            assert!(is_up, "the collector does not listen on {address}");
        }
        collector
    }
}

/// What came of one decision, and the metric that counts it.
#[derive(Default)]
struct Came {
    span: Option<Span>,
    line: Option<LogRecord>,
    metric: Option<Metric>,
}

fn allowed(metric: &Metric) -> i64 {
    let Some(Data::Sum(sum)) = &metric.data else {
        panic!("no sum: {metric:?}");
    };
    let points = sum.data_points.iter();
    let allowed = points.filter(|point| of(&point.attributes, "decision").unwrap() == "allow");
    let counts = allowed.map(|point| match point.value.unwrap() {
        Number::AsInt(count) => count,
        Number::AsDouble(number) => panic!("a count is {number}"),
    });
    counts.sum()
}

/// The record of a decision, as the command line shows it.
fn record(server: &str) -> Json {
    for _ in 0..1000 {
        let output = Command::new(env!("CARGO_BIN_EXE_deodar"))
            .args(["audit", "query", "--json", "--trace", TRACE])
            .args(["--server", server])
            .env_clear()
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output:?}");
        if let Some(line) = shown.lines().next() {
            return serde_json::from_str(line).unwrap();
        }
        // On the disk a moment after the answer.
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no record of the trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_is_in_the_span_the_log_line_and_the_audit_record() {
    let Some(program) = peer("the collector `rotel`", Places::collector) else {
        return;
    };
    for protocol in ["grpc", "http/protobuf"] {
        let (url, mut receiver) = grpc().await;
        let place = Place::new();
        let folder = place.0.path();
        let collector = Collector::start(&program, folder, &url);
        let address = if protocol == "grpc" {
            &collector.grpc
        } else {
            &collector.http
        };
        let endpoint = format!("http://{address}");
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "20"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "100"),
            ("DEODAR_LOG__LEVEL", "info,deodar::decision=debug"),
            ("DEODAR_DECISION__TRUST_CALLER_TIME", "true"),
        ];
        let served = Served::start(folder, &reference(), &variables);
        let socket = format!("unix:{}", served.socket.display());
        let channel = Endpoint::from_shared(socket.clone())
            .unwrap()
            .connect_lazy();
        let mut client = AuthorizationServiceClient::new(channel);
        let answer = client.authorize(traced("01")).await.unwrap().into_inner();

        let mut came = Came::default();
        while came.span.is_none() || came.line.is_none() || came.metric.is_none() {
            match next(&mut receiver).await {
                Got::Span(span) if span.name.ends_with("/Authorize") => came.span = Some(span),
                Got::Log(line) if of(&line.attributes, "cached").is_some() => {
                    came.line = Some(line);
                }
                Got::Metric(metric)
                    if metric.name == "deodar.decisions" && allowed(&metric) == 1 =>
                {
                    came.metric = Some(metric);
                }
                _ => {}
            }
        }
        let (span, line) = (came.span.unwrap(), came.line.unwrap());
        assert_eq!(
            (hex(&span.trace_id), hex(&line.trace_id)),
            (TRACE.into(), TRACE.into())
        );
        assert_eq!(line.span_id, span.span_id);
        let id = Some(answer.decision_id);
        assert_eq!(of(&span.attributes, "deodar.decision_id"), id);
        assert_eq!(of(&line.attributes, "id"), id);
        let record = tokio::task::block_in_place(|| record(&socket));
        assert_eq!(record["trace"], TRACE, "{record}");
        assert_eq!(record["id"].as_str().map(str::to_owned), id, "{record}");
    }
}
