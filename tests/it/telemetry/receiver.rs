//! A receiver of OTLP, made of the generated code of OpenTelemetry.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use deodar::telemetry::otlp::settings::Settings;
use opentelemetry_proto::tonic::collector::logs::v1 as logs;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsService;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsServiceServer;
use opentelemetry_proto::tonic::collector::metrics::v1 as metrics;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsService;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsServiceServer;
use opentelemetry_proto::tonic::collector::trace::v1 as traces;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;

/// What came.
pub(super) enum Got {
    Span(Span),
    Metric(Metric),
    Log(LogRecord),
}

#[derive(Clone)]
struct Receiver(UnboundedSender<Got>);

impl Receiver {
    fn spans(&self, request: traces::ExportTraceServiceRequest) {
        for resource in request.resource_spans {
            let about = resource.resource.unwrap().attributes;
            assert_eq!(of(&about, "service.name").unwrap(), "deodar");
            for span in resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans)
            {
                self.0.send(Got::Span(span)).ok();
            }
        }
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<traces::ExportTraceServiceRequest>,
    ) -> Result<Response<traces::ExportTraceServiceResponse>, Status> {
        self.spans(request.into_inner());
        Ok(Response::new(traces::ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<metrics::ExportMetricsServiceRequest>,
    ) -> Result<Response<metrics::ExportMetricsServiceResponse>, Status> {
        let resources = request.into_inner().resource_metrics.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            self.0.send(Got::Metric(metric)).ok();
        }
        Ok(Response::new(
            metrics::ExportMetricsServiceResponse::default(),
        ))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<logs::ExportLogsServiceRequest>,
    ) -> Result<Response<logs::ExportLogsServiceResponse>, Status> {
        let resources = request.into_inner().resource_logs.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_logs);
        for record in scopes.flat_map(|scope| scope.log_records) {
            self.0.send(Got::Log(record)).ok();
        }
        Ok(Response::new(logs::ExportLogsServiceResponse::default()))
    }
}

/// A receiver over gRPC; gives its URL.
pub(super) async fn grpc() -> (String, UnboundedReceiver<Got>) {
    let (sender, receiver) = unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = Receiver(sender);
    // As collectors send it on.
    let gzip = CompressionEncoding::Gzip;
    let router = Server::builder()
        .add_service(TraceServiceServer::new(service.clone()).accept_compressed(gzip))
        .add_service(MetricsServiceServer::new(service.clone()).accept_compressed(gzip))
        .add_service(LogsServiceServer::new(service).accept_compressed(gzip));
    tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
    (url, receiver)
}

/// A receiver of spans over HTTP.
pub(super) async fn http() -> (String, UnboundedReceiver<Got>) {
    let (sender, receiver) = unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = Receiver(sender);
    let take = async move |body: Bytes| {
        service.spans(traces::ExportTraceServiceRequest::decode(body).unwrap());
    };
    let routes = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (url, receiver)
}

pub(super) fn of(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.clone()?.value? {
        Value::StringValue(text) => text,
        other => format!("{other:?}"),
    })
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn settings(variables: &[(&str, &str)]) -> Settings {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let variables: BTreeMap<_, _> = variables.iter().map(owned).collect();
    Settings::read(&variables)
}

pub(super) async fn next(receiver: &mut UnboundedReceiver<Got>) -> Got {
    let got = tokio::time::timeout(Duration::from_secs(10), receiver.recv()).await;
    got.expect("nothing came").unwrap()
}

pub(super) async fn span(receiver: &mut UnboundedReceiver<Got>, name: &str) -> Span {
    loop {
        if let Got::Span(span) = next(receiver).await
            && span.name == name
        {
            return span;
        }
    }
}
