//! Receivers that fail, and the end: what is tried again, what is given up, and that
//! all of it is counted.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::post;
use deodar::telemetry::Counters;
use deodar::telemetry::metrics::rpc::Method;
use deodar::telemetry::otlp::Exporting;
use deodar::telemetry::otlp::Exports;
use deodar::telemetry::trace::Trust;
use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1 as traces;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic_types::ErrorDetails;
use tonic_types::StatusExt as _;

use super::receiver::settings;

/// How a receiver answers every request but the first few.
#[derive(Clone, Copy)]
enum Answer {
    /// Takes it.
    Take,
    /// Takes all but so many spans.
    TakeBut(i64),
    /// Cannot now, and asks to come back after the pause.
    Busy,
    /// Never will.
    Refuse,
}

/// Is busy so many times, then answers; counts requests and the spans that it took.
#[derive(Clone)]
struct Failing {
    busy: usize,
    answer: Answer,
    requests: Arc<AtomicUsize>,
    spans: Arc<AtomicUsize>,
    /// For so many seconds a busy one asks to stay away.
    pause: Arc<AtomicU64>,
}

impl Failing {
    fn answer(&self, request: &traces::ExportTraceServiceRequest) -> Answer {
        let before = self.requests.fetch_add(1, Ordering::SeqCst);
        let answer = if before < self.busy {
            Answer::Busy
        } else {
            self.answer
        };
        if let Answer::Take = answer {
            let spans = &request.resource_spans[0].scope_spans[0].spans;
            self.spans.fetch_add(spans.len(), Ordering::SeqCst);
        }
        answer
    }
}

fn taken(but: i64) -> traces::ExportTraceServiceResponse {
    let partial = traces::ExportTracePartialSuccess {
        rejected_spans: but,
        error_message: "too old".to_owned(),
    };
    traces::ExportTraceServiceResponse {
        partial_success: (but > 0).then_some(partial),
    }
}

#[tonic::async_trait]
impl TraceService for Failing {
    async fn export(
        &self,
        request: Request<traces::ExportTraceServiceRequest>,
    ) -> Result<Response<traces::ExportTraceServiceResponse>, Status> {
        let pause = Duration::from_secs(self.pause.load(Ordering::SeqCst));
        let later = ErrorDetails::with_retry_info(Some(pause));
        match self.answer(&request.into_inner()) {
            Answer::Take => Ok(Response::new(taken(0))),
            Answer::TakeBut(count) => Ok(Response::new(taken(count))),
            Answer::Busy => Err(Status::with_error_details(
                Code::ResourceExhausted,
                "busy",
                later,
            )),
            Answer::Refuse => Err(Status::invalid_argument("never")),
        }
    }
}

fn over_http(failing: &Failing, headers: &HeaderMap, body: &[u8]) -> axum::response::Response {
    assert_eq!(headers["content-encoding"], "gzip");
    assert!(
        headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("deodar/")
    );
    let mut read = Vec::new();
    std::io::Read::read_to_end(&mut GzDecoder::new(body), &mut read).unwrap();
    let request = traces::ExportTraceServiceRequest::decode(&read[..]).unwrap();
    match failing.answer(&request) {
        Answer::Take => taken(0).encode_to_vec().into_response(),
        Answer::TakeBut(count) => taken(count).encode_to_vec().into_response(),
        Answer::Busy => {
            let pause = failing.pause.load(Ordering::SeqCst).to_string();
            (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", pause)]).into_response()
        }
        Answer::Refuse => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// A receiver and what exports to it.
struct Sending {
    failing: Failing,
    counters: Arc<Counters>,
    exporting: Exporting,
}

impl Sending {
    async fn start(protocol: &str, busy: usize, answer: Answer, more: &[(&str, &str)]) -> Self {
        let failing = Failing {
            busy,
            answer,
            requests: Arc::default(),
            spans: Arc::default(),
            pause: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = failing.clone();
        if protocol == "grpc" {
            let service =
                TraceServiceServer::new(service).accept_compressed(CompressionEncoding::Gzip);
            let router = Server::builder().add_service(service);
            tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        } else {
            let take =
                async move |headers: HeaderMap, body: Bytes| over_http(&service, &headers, &body);
            let routes = Router::new().route("/v1/traces", post(take));
            tokio::spawn(async move { axum::serve(listener, routes).await });
        }
        let (counters, exporting) = exporting(&url, protocol, more);
        Self {
            failing,
            counters,
            exporting,
        }
    }

    /// Spans that were: taken, dropped as they could not be sent.
    async fn ended(self) -> (usize, u64, u64) {
        // Told by the counters: no task is left when this is over.
        for _ in 0..1000 {
            if exported(&self.counters) + dropped(&self.counters, "send_failed") > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.exporting.stop().await;
        let sent = exported(&self.counters);
        let failed = dropped(&self.counters, "send_failed");
        (self.failing.requests.load(Ordering::SeqCst), sent, failed)
    }
}

fn exporting(url: &str, protocol: &str, more: &[(&str, &str)]) -> (Arc<Counters>, Exporting) {
    let mut variables = vec![
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", url),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
    ];
    let whole = format!("{url}/v1/traces");
    if protocol != "grpc" {
        variables[0].1 = &whole;
    }
    variables.extend(more);
    let counters = Arc::<Counters>::default();
    let exports = Exports::new(settings(&variables), Trust::Child, Arc::clone(&counters));
    (counters, exports.start(Box::new(Vec::new)))
}

/// So many calls were traced.
fn trace(counters: &Counters, count: usize) {
    let tracer = counters.tracer().unwrap();
    for _ in 0..count {
        let method = Method::of("/deodar.v1.AuthorizationService/Authorize");
        let traced = tracer.begin(&HeaderMap::new(), method).unwrap();
        tracer.end(&traced, 0);
    }
}

fn count(counters: &Counters, series: &str) -> u64 {
    let shown = counters.prometheus();
    let (_, rest) = shown.split_once(series).unwrap();
    rest.lines().next().unwrap().trim().parse().unwrap()
}

fn exported(counters: &Counters) -> u64 {
    count(counters, "exported_total{signal=\"traces\"}")
}

pub(super) fn dropped(counters: &Counters, cause: &str) -> u64 {
    let labels = format!("dropped_total{{signal=\"traces\",cause=\"{cause}\"}}");
    count(counters, &labels)
}

const PROTOCOLS: [&str; 2] = ["grpc", "http/protobuf"];

#[tokio::test]
async fn a_batch_is_tried_again_until_it_is_taken() {
    for protocol in PROTOCOLS {
        let sending = Sending::start(protocol, 2, Answer::Take, &[]).await;
        let spans = Arc::clone(&sending.failing.spans);
        trace(&sending.counters, 1);
        assert_eq!(sending.ended().await, (3, 1, 0), "{protocol}");
        assert_eq!(spans.load(Ordering::SeqCst), 1, "{protocol}");
    }
}

#[tokio::test]
async fn tries_end_and_what_is_refused_is_not_tried_again() {
    for protocol in PROTOCOLS {
        for (answer, ended) in [
            (Answer::Busy, (5, 0, 1)),
            (Answer::Refuse, (1, 0, 1)),
            (Answer::TakeBut(1), (1, 0, 1)),
            (Answer::TakeBut(-1), (1, 1, 0)),
            (Answer::TakeBut(i64::MAX), (1, 0, 1)),
        ] {
            let sending = Sending::start(protocol, 0, answer, &[]).await;
            trace(&sending.counters, 1);
            assert_eq!(sending.ended().await, ended, "{protocol}");
        }
    }
}

#[tokio::test]
async fn what_waits_is_sent_at_the_end() {
    for protocol in PROTOCOLS {
        let later = [
            ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4"),
        ];
        let sending = Sending::start(protocol, 0, Answer::Take, &later).await;
        trace(&sending.counters, 10);
        let spans = Arc::clone(&sending.failing.spans);
        sending.exporting.stop().await;
        assert_eq!(spans.load(Ordering::SeqCst), 10, "{protocol}");
        assert_eq!(exported(&sending.counters), 10, "{protocol}");
    }
}

#[tokio::test]
async fn what_a_dead_receiver_does_not_take_holds_up_no_end_and_is_counted() {
    // Takes connections, and never answers.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", dead.local_addr().unwrap());
    let small = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "8"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "2"),
    ];
    let (counters, exporting) = exporting(&url, "grpc", &small);
    trace(&counters, 50);
    // Far below what a batch may take with all its tries.
    let ended = tokio::time::timeout(Duration::from_secs(10), exporting.stop());
    ended.await.unwrap();
    let (full, failed) = (
        dropped(&counters, "queue_full"),
        dropped(&counters, "send_failed"),
    );
    assert_eq!(full + failed, 50, "{full} {failed}");
    assert!(failed >= 8, "{failed}");
}

#[tokio::test]
async fn an_end_waits_for_no_pause_that_was_asked_for() {
    for protocol in PROTOCOLS {
        let sending = Sending::start(protocol, 1, Answer::Take, &[]).await;
        sending.failing.pause.store(3600, Ordering::SeqCst);
        trace(&sending.counters, 1);
        for _ in 0..1000 {
            if sending.failing.requests.load(Ordering::SeqCst) > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sending.exporting.stop().await;
        assert_eq!(exported(&sending.counters), 1, "{protocol}");
    }
}

#[tokio::test]
async fn what_nobody_takes_at_the_end_is_counted() {
    // Nobody listens there any more: every try fails at once.
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    for protocol in PROTOCOLS {
        let (counters, exporting) = exporting(&url, protocol, &[]);
        trace(&counters, 3);
        exporting.stop().await;
        assert_eq!(dropped(&counters, "send_failed"), 3, "{protocol}");
    }
}

#[test]
fn a_call_tells_a_bounded_number_of_parts_and_counts_the_rest() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _within = runtime.enter();
    let (counters, _exporting) = exporting("http://127.0.0.1:1", "grpc", &[]);
    let tracer = counters.tracer().unwrap();
    let method = Method::of("/deodar.v1.AuthorizationService/StreamAuthorize");
    let traced = tracer.begin(&HeaderMap::new(), method).unwrap();
    deodar::telemetry::trace::within(&traced, || {
        for _ in 0..130 {
            drop(deodar::telemetry::trace::Part::begin("deodar.evaluate"));
        }
    });
    tracer.end(&traced, 0);
    assert_eq!(dropped(&counters, "too_many_parts"), 2);
    assert_eq!(dropped(&counters, "queue_full"), 0);
}
