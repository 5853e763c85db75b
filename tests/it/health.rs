//! Health, readiness and drain.

use std::time::Duration;

use deodar::proto::v1::AuthorizeRequest;
use deodar::proto::v1::authorization_service_client::AuthorizationServiceClient;
use deodar::serve::measured::Measured;
use deodar::serve::phase::phases;
use deodar::telemetry::metrics::table::METRICS;
use tonic::Code;
use tonic::Streaming;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::support;
use super::support::Channel;
use super::support::Running;
use super::support::config;
use super::support::reference;
use super::support::repository;

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest {
        service: service.to_owned(),
    }
}

async fn get(running: &Running, path: &str) -> String {
    support::get(running.server.http.unwrap(), path).await
}

fn client(running: &Running) -> HealthClient<Channel> {
    HealthClient::new(running.channel.clone())
}

/// Follows the health of the whole server.
async fn watch(running: &Running) -> Streaming<HealthCheckResponse> {
    let watch = client(running).watch(of("")).await;
    watch.unwrap().into_inner()
}

async fn next(watch: &mut Streaming<HealthCheckResponse>) -> ServingStatus {
    watch.message().await.unwrap().unwrap().status()
}

/// Why an empty question is not answered.
async fn refused(mut client: AuthorizationServiceClient<Channel>) -> Code {
    let status = client.authorize(AuthorizeRequest::default()).await;
    status.unwrap_err().code()
}

#[tokio::test]
async fn health_is_told_by_service() {
    let running = Running::reference().await;
    let mut client = client(&running);
    for service in [
        "",
        "deodar.v1.AuditService",
        "deodar.v1.AuthorizationService",
        "deodar.v1.DirectoryService",
        "deodar.v1.PolicyService",
    ] {
        let answer = client.check(of(service)).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let status = client.check(of("no.such.Service")).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    let watch = client.watch(of("no.such.Service")).await;
    let first = next(&mut watch.unwrap().into_inner()).await;
    assert_eq!(first, ServingStatus::ServiceUnknown);
}

#[tokio::test]
async fn bad_policies_at_the_start_are_waited_out_not_ready() {
    let folder = repository(&[("p.cedar", "permit(principal, action")]);
    let mut config = config(folder.path());
    config.policies.watch = true;
    let running = Running::start(config).await;
    let mut watch = watch(&running).await;
    assert_eq!(next(&mut watch).await, ServingStatus::NotServing);
    let policies = client(&running).check(of("deodar.v1.PolicyService")).await;
    assert_eq!(
        policies.unwrap().into_inner().status(),
        ServingStatus::Serving
    );
    let answer = get(&running, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["ready"], false);
    assert_eq!(body["reasons"][0]["what"], "no policies are in force yet");
    let hint = body["reasons"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("deodar validate"), "{hint}");
    let what = body["reasons"][1]["what"].as_str().unwrap();
    assert!(what.starts_with("the policies are refused"), "{what}");
    assert!(get(&running, "/livez").await.starts_with("HTTP/1.1 200"));
    assert_eq!(refused(running.authorization()).await, Code::Unavailable);

    std::fs::write(
        folder.path().join("p.cedar"),
        "permit(principal, action, resource);",
    )
    .unwrap();
    assert_eq!(next(&mut watch).await, ServingStatus::Serving);
    let answer = get(&running, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.ends_with("{\"ready\":true,\"reasons\":[]}\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn bad_policies_stop_a_start_that_nobody_watches() {
    let folder = repository(&[("p.cedar", "permit(principal, action")]);
    let error = deodar::run::Server::start(config(folder.path()))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("are refused"), "{error}");
}

#[tokio::test]
async fn draining_is_told_first_and_calls_under_way_end() {
    let mut config = config(&reference());
    config.shutdown.delay = Duration::from_millis(1500);
    let running = Running::start(config).await;
    let mut watch = watch(&running).await;
    assert_eq!(next(&mut watch).await, ServingStatus::Serving);
    let authorization = running.authorization();
    let stopping = tokio::spawn(running.server.stop());
    assert_eq!(next(&mut watch).await, ServingStatus::NotServing);
    // Still within the delay: the question is answered, with an error about the
    // question and not about the server.
    assert_eq!(refused(authorization).await, Code::InvalidArgument);
    drop(watch);
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn counters_are_shown_for_prometheus() {
    let running = Running::reference().await;
    refused(running.authorization()).await;
    let metrics = get(&running, "/metrics").await;
    assert!(
        metrics.contains("deodar_bad_questions_total 1\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("deodar_policy_activations_total 1\n"),
        "{metrics}"
    );
    assert!(get(&running, "/other").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn every_metric_is_shown_with_labels_of_its_closed_lists() {
    let running = Running::reference().await;
    refused(running.authorization()).await;
    let shown = get(&running, "/metrics").await;
    for metric in METRICS {
        let line = format!("# TYPE {} ", metric.prometheus_name());
        assert_eq!(shown.matches(&line).count(), 1, "{line}");
    }
    assert!(
        shown.contains(
            "rpc_server_call_duration_seconds_count{rpc_method=\"deodar.v1.AuthorizationService/Authorize\",rpc_system_name=\"grpc\",rpc_response_status_code=\"INVALID_ARGUMENT\"} 1\n"
        ),
        "{shown}"
    );
    let measured = Measured {
        pdp: std::sync::Arc::clone(&running.server.pdp),
        directory: running.server.directory.clone(),
        phase: phases().1,
    };
    let families = measured.families();
    assert_eq!(families.len(), METRICS.len());
    for (family, metric) in families.iter().zip(METRICS) {
        assert_eq!(family.metric.name, metric.name);
        for point in &family.points {
            assert_eq!(point.labels.len(), metric.labels.len());
            for (label, value) in metric.labels.iter().zip(&point.labels) {
                assert!(label.takes(value), "{} {} {value}", metric.name, label.name);
            }
        }
    }
}

#[tokio::test]
async fn streams_are_counted_when_they_end_and_made_up_methods_together() {
    let running = Running::reference().await;
    let questions = tokio_stream::iter([deodar::proto::v1::StreamAuthorizeRequest::default()]);
    let answers = running.authorization().stream_authorize(questions).await;
    let mut answers = answers.unwrap().into_inner();
    while answers.message().await.unwrap().is_some() {}
    next(&mut watch(&running).await).await;
    let mut made_up = tonic::client::Grpc::new(running.channel.clone());
    made_up.ready().await.unwrap();
    let path = "/made.Up/Call".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
    let request = tonic::Request::new(of(""));
    made_up.unary(request, path, codec).await.unwrap_err();
    // The end of the watch has to travel.
    let expected = [
        ("deodar.v1.AuthorizationService/StreamAuthorize", "OK"),
        ("grpc.health.v1.Health/Watch", "CANCELLED"),
        ("_OTHER", "UNIMPLEMENTED"),
    ];
    for (method, code) in expected {
        let line = format!(
            "_count{{rpc_method=\"{method}\",rpc_system_name=\"grpc\",rpc_response_status_code=\"{code}\"}} 1\n"
        );
        let mut shown = String::new();
        for _ in 0..100 {
            shown = get(&running, "/metrics").await;
            if shown.contains(&line) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(shown.contains(&line), "{line}{shown}");
    }
}

#[tokio::test]
async fn reflection_lists_the_services() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let running = Running::reference().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = ServerReflectionClient::new(running.channel.clone())
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) =
        answers.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list");
    };
    let names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for name in [
        "deodar.v1.AuthorizationService",
        "deodar.v1.PolicyService",
        "grpc.health.v1.Health",
    ] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
}
