//! OTLP to real receivers.

use std::time::Duration;
use std::time::Instant;

use deodar::telemetry::trace::Trust;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use tokio::net::TcpListener;
use tonic::Request;

use crate::cli::Place;
use crate::cli::serve::Served;
use crate::grpc::good;
use crate::support::Running;
use crate::support::config;
use crate::support::reference;

mod exposed;
mod failing;
mod outside;
mod receiver;
mod tls;

use receiver::Got;
use receiver::grpc;
use receiver::hex;
use receiver::http;
use receiver::next;
use receiver::of;
use receiver::settings;
use receiver::span;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// A question within a trace.
fn traced(flags: &str) -> Request<deodar::proto::v1::AuthorizeRequest> {
    let mut request = Request::new(good());
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", parent.parse().unwrap());
    metadata.insert("tracestate", "a=b".parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_a_span_a_metric_and_a_log_record_of_the_caller_s_trace() {
    let (url, mut receiver) = grpc().await;
    let place = Place::new();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*url),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "50"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "200"),
        ("DEODAR_LOG__LEVEL", "info,deodar::decision=debug"),
        ("DEODAR_DECISION__TRUST_CALLER_TIME", "true"),
    ];
    let served = Served::start(place.0.path(), &reference(), &variables);
    let channel = served.channel().await;
    let mut client =
        deodar::proto::v1::authorization_service_client::AuthorizationServiceClient::new(channel);
    let answer = client.authorize(traced("01")).await.unwrap().into_inner();

    let (mut call, mut part, mut exemplar, mut line) = (None, None, None, None);
    while call.is_none() || part.is_none() || exemplar.is_none() || line.is_none() {
        match next(&mut receiver).await {
            Got::Span(span) if span.name.ends_with("/Authorize") => call = Some(span),
            Got::Span(span) if span.name == "deodar.evaluate" => part = Some(span),
            Got::Metric(metric) if metric.name == "rpc.server.call.duration" => {
                let Some(Data::Histogram(histogram)) = metric.data else {
                    panic!("no histogram");
                };
                let points = histogram.data_points.into_iter();
                exemplar = points.flat_map(|point| point.exemplars).next();
            }
            Got::Log(record) if of(&record.attributes, "cached").is_some() => line = Some(record),
            _ => {}
        }
    }
    let (call, part) = (call.unwrap(), part.unwrap());
    let (exemplar, line) = (exemplar.unwrap(), line.unwrap());
    assert_eq!(call.name, "deodar.v1.AuthorizationService/Authorize");
    assert_eq!(
        (call.kind, call.status, call.trace_state.as_str()),
        (2, None, "a=b")
    );
    assert_eq!(hex(&call.parent_span_id), PARENT);
    assert_eq!(part.parent_span_id, call.span_id);
    for trace in [
        &call.trace_id,
        &part.trace_id,
        &exemplar.trace_id,
        &line.trace_id,
    ] {
        assert_eq!(hex(trace), TRACE);
    }
    assert_eq!(line.span_id, call.span_id);
    assert_eq!(exemplar.span_id, call.span_id);
    let told = |key| of(&call.attributes, key).unwrap();
    assert_eq!(told("rpc.response.status_code"), "OK");
    assert_eq!(told("rpc.status_code"), "OK");
    assert_eq!(told("rpc.system.name"), "grpc");
    assert_eq!(told("deodar.decision"), "allow");
    assert_eq!(told("deodar.decision_id"), answer.decision_id);
    assert!(told("deodar.policies").contains("StringValue"));
    assert_eq!(of(&call.attributes, "error.type"), None);
    let all = format!("{:?}", call.attributes);
    assert!(!all.contains("press-01"), "no ids of parties: {all}");
    let (_, lines) = served.terminate();
    let line = lines
        .lines()
        .find(|line| line.contains(&answer.decision_id));
    let line: serde_json::Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(line["trace_id"], TRACE);
    assert_eq!(line["span_id"], hex(&call.span_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_gone_on_with_linked_or_ignored_as_configured() {
    for trust in [Trust::Child, Trust::Link, Trust::Ignore] {
        let (url, mut receiver) = http().await;
        let mut config = config(&reference());
        config.telemetry.trust = trust;
        config.telemetry.otlp = settings(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ]);
        let running = Running::start(config).await;
        let mut client = running.authorization();
        // What the caller does not trace is not traced when it is trusted.
        client.authorize(traced("00")).await.unwrap();
        client.authorize(traced("01")).await.unwrap();
        let name = "deodar.v1.AuthorizationService/Authorize";
        let first = span(&mut receiver, name).await;
        let cached = of(&first.attributes, "deodar.cached").unwrap();
        match trust {
            Trust::Child => {
                assert_eq!(cached, "BoolValue(true)", "the first is not traced");
                assert_eq!(hex(&first.trace_id), TRACE);
                assert!(first.links.is_empty());
            }
            Trust::Link => {
                assert_eq!(hex(&first.links[0].trace_id), TRACE);
                assert_eq!(hex(&first.links[0].span_id), PARENT);
            }
            Trust::Ignore => assert!(first.links.is_empty()),
        }
        if trust != Trust::Child {
            assert_eq!(cached, "BoolValue(false)");
            assert_ne!(hex(&first.trace_id), TRACE);
            assert!(first.parent_span_id.is_empty());
        }
        // Waiting for a revision is a part of its own.
        let revision = running.server.directory.tip().revision.to_string();
        let mut question = good();
        question.at_least = revision;
        client.authorize(question).await.unwrap();
        let wait = span(&mut receiver, "deodar.wait").await;
        assert!(wait.end_time_unix_nano >= wait.start_time_unix_nano);
        // A fault of the caller is not one of the server.
        let bad = deodar::proto::v1::AuthorizeRequest::default();
        client.authorize(bad).await.unwrap_err();
        let failed = loop {
            let failed = span(&mut receiver, name).await;
            if of(&failed.attributes, "rpc.status_code").unwrap() != "OK" {
                break failed;
            }
        };
        assert_eq!(
            of(&failed.attributes, "rpc.status_code").unwrap(),
            "INVALID_ARGUMENT"
        );
        assert_eq!(
            (failed.status, of(&failed.attributes, "error.type")),
            (None, None)
        );
    }
}

#[tokio::test]
async fn what_a_call_was_at_when_it_was_given_up_is_a_part_of_it() {
    let (url, mut receiver) = http().await;
    let mut config = config(&reference());
    config.telemetry.otlp = settings(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
        ("OTEL_METRICS_EXPORTER", "none"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
    ]);
    let running = Running::start(config).await;
    let tip = running.server.directory.tip().revision.to_string();
    let (log, _) = tip.split_once('-').unwrap();
    // A revision that does not come, and a caller that goes away.
    let mut question = good();
    question.at_least = format!("{log}-1000-{:016x}", 1);
    let wait = 'told: {
        // How long a question takes to get there depends on the machine.
        for millis in [100, 200, 400, 800, 1600, 3200] {
            let mut client = running.authorization();
            let asked = client.authorize(question.clone());
            let given_up = tokio::time::timeout(Duration::from_millis(millis), asked);
            given_up.await.unwrap_err();
            let Got::Span(first) = next(&mut receiver).await else {
                panic!("only spans go there");
            };
            if first.name == "deodar.wait" {
                break 'told first;
            }
        }
        panic!("the wait is not told");
    };
    let call = span(&mut receiver, "deodar.v1.AuthorizationService/Authorize").await;
    assert_eq!(wait.parent_span_id, call.span_id);
    assert_eq!(
        of(&call.attributes, "rpc.status_code").unwrap(),
        "CANCELLED"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_costs_spans_and_no_decision() {
    // Takes connections, and never answers.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", dead.local_addr().unwrap());
    for protocol in ["grpc", "http/protobuf"] {
        let mut config = config(&reference());
        config.telemetry.otlp = settings(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &url),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "300"),
            ("OTEL_BSP_EXPORT_TIMEOUT", "300"),
            ("OTEL_BSP_SCHEDULE_DELAY", "1"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "4"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
        ]);
        let running = Running::start(config).await;
        let mut client = running.authorization();
        let started = Instant::now();
        for _ in 0..100 {
            client.authorize(good()).await.unwrap();
        }
        assert!(started.elapsed() < Duration::from_secs(5));
        let dropped = |cause| {
            let shown = running.server.pdp.counters().prometheus();
            let labels = format!("{{signal=\"traces\",cause=\"{cause}\"}} ");
            let (_, rest) = shown.split_once(&labels).unwrap();
            let count: u64 = rest.lines().next().unwrap().parse().unwrap();
            count
        };
        assert!(dropped("queue_full") > 50, "{}", dropped("queue_full"));
        while dropped("send_failed") == 0 {
            assert!(started.elapsed() < Duration::from_secs(10));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Nor does it hold up the end for long.
        let stopping = Instant::now();
        running.server.stop().await.unwrap();
        assert!(stopping.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn without_an_endpoint_nothing_is_traced() {
    let running = Running::reference().await;
    running
        .authorization()
        .authorize(traced("01"))
        .await
        .unwrap();
    assert!(running.server.pdp.counters().tracer().is_none());
}
