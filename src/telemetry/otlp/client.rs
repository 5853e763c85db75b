//! Sends one batch, over gRPC or HTTP.

use http::HeaderName;
use http::HeaderValue;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost::Message;
use prost::bytes::Bytes;
use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use super::message::Received;
use super::settings::Protocol;
use super::settings::Target;

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
}

impl Client {
    /// A way to a target.
    pub(super) fn new(target: Target) -> Self {
        let way = match target.protocol {
            Protocol::Grpc => {
                let endpoint = Endpoint::from(target.url.clone());
                Way::Grpc(endpoint.connect_timeout(target.timeout).connect_lazy())
            }
            Protocol::Http => Way::Http(Box::new(
                HttpClient::builder(TokioExecutor::new()).build_http(),
            )),
        };
        Self { target, way }
    }

    /// Sends a batch; gives how many of it were refused. `method` is that of the
    /// collector's gRPC service.
    pub(super) async fn send<M: Message + 'static>(
        &self,
        method: &'static str,
        batch: M,
    ) -> Result<u64, String> {
        let sent = async {
            match &self.way {
                Way::Grpc(channel) => self.grpc(channel.clone(), method, batch).await,
                Way::Http(client) => self.http(client, &batch).await,
            }
        };
        let received = tokio::time::timeout(self.target.timeout, sent).await;
        let received = received.map_err(|_| "no answer in time".to_owned())??;
        let rejected = received.partial.map_or(0, |partial| partial.rejected);
        Ok(u64::try_from(rejected).unwrap_or(0))
    }

    fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.target.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            Some((name, value))
        })
    }

    async fn grpc<M: Message + 'static>(
        &self,
        channel: Channel,
        method: &'static str,
        batch: M,
    ) -> Result<Received, String> {
        let mut client = tonic::client::Grpc::new(channel);
        if self.target.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        client.ready().await.map_err(|error| error.to_string())?;
        let mut request = tonic::Request::new(batch);
        *request.metadata_mut() = MetadataMap::from_headers(self.headers().collect());
        let codec = ProstCodec::<M, Received>::default();
        let path = http::uri::PathAndQuery::from_static(method);
        match client.unary(request, path, codec).await {
            Ok(received) => Ok(received.into_inner()),
            Err(status) => Err(status.message().to_owned()),
        }
    }

    async fn http<M: Message>(
        &self,
        client: &HttpClient<HttpConnector, Full<Bytes>>,
        batch: &M,
    ) -> Result<Received, String> {
        let body = Full::new(Bytes::from(batch.encode_to_vec()));
        let mut request = http::Request::post(self.target.url.clone())
            .body(body)
            .map_err(|error| error.to_string())?;
        request.headers_mut().extend(self.headers());
        let kind = HeaderValue::from_static("application/x-protobuf");
        request.headers_mut().insert("content-type", kind);
        let response = client.request(request).await;
        let response = response.map_err(|error| error.to_string())?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("the receiver answers {status}"));
        }
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok(Received::decode(body).unwrap_or_default())
    }
}
