//! Sends one batch, over gRPC or HTTP.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::Uri;
use http::header;
use http::uri::Scheme;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use http_body_util::Limited;
use hyper_rustls::HttpsConnector;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message as _;
use prost::bytes::BufMut as _;
use prost::bytes::Bytes;
use rustls::ClientConfig;
use tonic::Status;
use tonic::codec::BufferSettings;
use tonic::codec::Codec;
use tonic::codec::CompressionEncoding;
use tonic::codec::EncodeBuf;
use tonic::codec::Encoder;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;
use tower::ServiceExt as _;

use super::message::Received;
use super::retry::Again;
use super::retry::Failure;
use super::settings::Protocol;
use super::settings::Target;
use super::tls::Tls;

/// Longer answers are not read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// A receiver that vanished is noticed after so long, while something is sent.
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// How we call ourselves.
const AGENT: &str = concat!("deodar/", env!("CARGO_PKG_VERSION"));

/// A way to a receiver; connected when the first batch is sent.
#[derive(Debug)]
pub(super) struct Client {
    target: Target,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Grpc(Channel),
    Http(Box<HttpClient<HttpConnector, Full<Bytes>>>),
    Https(Box<HttpClient<HttpsConnector<HttpConnector>, Full<Bytes>>>),
}

/// Where a signal goes, with the files of TLS read.
#[derive(Debug)]
pub(super) struct Route {
    target: Target,
    tls: Option<ClientConfig>,
}

impl Route {
    /// Reads the files of TLS.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub(super) fn new(target: Target) -> Result<Self, String> {
        let tls = target.tls.as_ref().map(Tls::config).transpose()?;
        Ok(Self { target, tls })
    }
}

impl Client {
    /// A way to a target.
    pub(super) fn new(route: Route) -> Self {
        let Route { target, tls } = route;
        let builder = || HttpClient::builder(TokioExecutor::new());
        let way = match (target.protocol, tls) {
            (Protocol::Grpc, tls) => Way::Grpc(channel(&target, tls)),
            (Protocol::Http, None) => Way::Http(Box::new(builder().build_http())),
            (Protocol::Http, Some(tls)) => {
                let connector = HttpsConnectorBuilder::new().with_tls_config(tls);
                let connector = connector.https_only().enable_http1().build();
                Way::Https(Box::new(builder().build(connector)))
            }
        };
        Self { target, way }
    }

    /// Sends a batch, once. `method` is that of the collector's gRPC service.
    ///
    /// # Errors
    /// When it was not taken.
    pub(super) async fn send(
        &self,
        method: &'static str,
        batch: Bytes,
    ) -> Result<Received, Failure> {
        let sent = async {
            match &self.way {
                Way::Grpc(channel) => self.grpc(channel.clone(), method, batch).await,
                Way::Http(client) => self.http(client, batch).await,
                Way::Https(client) => self.http(client, batch).await,
            }
        };
        let received = tokio::time::timeout(self.target.timeout, sent).await;
        received.unwrap_or_else(|_| {
            Err(Failure {
                why: "no answer in time".to_owned(),
                again: Again::Soon,
            })
        })
    }

    async fn grpc(
        &self,
        channel: Channel,
        method: &'static str,
        batch: Bytes,
    ) -> Result<Received, Failure> {
        let mut client = tonic::client::Grpc::new(channel);
        if self.target.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        let ready = client.ready().await;
        ready.map_err(|error| Failure::of_the_way(&error))?;
        let mut request = tonic::Request::new(batch);
        *request.metadata_mut() = MetadataMap::from_headers(self.target.headers.clone());
        let path = http::uri::PathAndQuery::from_static(method);
        match client.unary(request, path, Encoded).await {
            Ok(received) => Ok(received.into_inner()),
            Err(status) => Err(Failure::of_grpc(&status)),
        }
    }

    async fn http<C: Connect + Clone + Send + Sync + 'static>(
        &self,
        client: &HttpClient<C, Full<Bytes>>,
        batch: Bytes,
    ) -> Result<Received, Failure> {
        let (body, encoding) = if self.target.gzip {
            (zipped(&batch), Some(HeaderValue::from_static("gzip")))
        } else {
            (batch, None)
        };
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.target.url.clone();
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        headers.extend(self.target.headers.clone());
        let kind = HeaderValue::from_static("application/x-protobuf");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, encoding);
        }
        let response = client.request(request).await;
        let response = response.map_err(|error| Failure::of_the_way(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure::of_http(status, response.headers()));
        }
        // It was taken: an answer that cannot be read changes nothing of that.
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let body = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        Ok(Received::decode(body.unwrap_or_default()).unwrap_or_default())
    }
}

fn channel(target: &Target, tls: Option<ClientConfig>) -> Channel {
    let url = target.url.clone();
    let endpoint = Endpoint::from(plain(&url));
    let endpoint = endpoint
        .origin(url.clone())
        .connect_timeout(target.timeout)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_INTERVAL);
    let endpoint = endpoint.clone().user_agent(AGENT).unwrap_or(endpoint);
    let Some(tls) = tls else {
        return endpoint.connect_lazy();
    };
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_only()
        .enable_http2()
        .build();
    endpoint.connect_with_connector_lazy(connector.map_request(move |_: Uri| url.clone()))
}

/// The URL without TLS: the channel leaves that to its connector.
fn plain(url: &Uri) -> Uri {
    let mut parts = url.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    Uri::from_parts(parts).unwrap_or_else(|_| url.clone())
}

fn zipped(batch: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    encoder.write_all(batch).ok();
    Bytes::from(encoder.finish().unwrap_or_default())
}

/// Sends what is encoded already, so that a second try does not encode it again.
#[derive(Debug, Clone, Copy)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = Received;
    type Encoder = Self;
    type Decoder = <ProstCodec<Received, Received> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<Received, Received>::raw_decoder(BufferSettings::default())
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}
