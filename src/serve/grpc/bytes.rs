//! Calls whose messages are not decoded on the way in, nor encoded on the way out.
//!
//! The generated server decodes a question before anybody sees it. Here the
//! service gets the bytes: for a question that was asked in the same words before
//! it has the answer without reading them ([`words`](crate::pdp::words)).

use std::convert::Infallible;
use std::future::Ready;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;

use http::Request;
use prost::bytes::Buf as _;
use prost::bytes::BufMut as _;
use prost::bytes::Bytes;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::body::Body;
use tonic::codec::Codec;
use tonic::codec::CompressionEncoding;
use tonic::codec::DecodeBuf;
use tonic::codec::Decoder;
use tonic::codec::EnabledCompressionEncodings;
use tonic::codec::EncodeBuf;
use tonic::codec::Encoder;
use tonic::server::Grpc;
use tonic::server::NamedService;
use tonic::server::StreamingService;
use tonic::server::UnaryService;
use tower::Service;

use super::authorization::Answers;
use super::authorization::Authorization;
use crate::proto::v1::authorization_service_server::SERVICE_NAME;

const AUTHORIZE: &str = "/deodar.v1.AuthorizationService/Authorize";
const BATCH_AUTHORIZE: &str = "/deodar.v1.AuthorizationService/BatchAuthorize";
const STREAM_AUTHORIZE: &str = "/deodar.v1.AuthorizationService/StreamAuthorize";

type Future<T, E> = Pin<Box<dyn std::future::Future<Output = Result<T, E>> + Send>>;

/// The authorization service, with messages as bytes.
#[derive(Debug, Clone)]
pub(super) struct AuthorizationOfBytes {
    service: Arc<Authorization>,
    message_bytes_max: usize,
    accepted: EnabledCompressionEncodings,
    sent: EnabledCompressionEncodings,
}

impl AuthorizationOfBytes {
    /// Serves messages of at most so many bytes, compressed if the caller wants it.
    pub(super) fn new(service: Authorization, message_bytes_max: usize) -> Self {
        let mut accepted = EnabledCompressionEncodings::default();
        accepted.enable(CompressionEncoding::Gzip);
        accepted.enable(CompressionEncoding::Zstd);
        let mut sent = EnabledCompressionEncodings::default();
        sent.enable(CompressionEncoding::Zstd);
        sent.enable(CompressionEncoding::Gzip);
        Self {
            service: Arc::new(service),
            message_bytes_max,
            accepted,
            sent,
        }
    }

    fn grpc(&self) -> Grpc<Uncoded> {
        Grpc::new(Uncoded)
            .apply_compression_config(self.accepted, self.sent)
            .apply_max_message_size_config(Some(self.message_bytes_max), None)
    }
}

impl NamedService for AuthorizationOfBytes {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<Request<Body>> for AuthorizationOfBytes {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Future<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = Arc::clone(&self.service);
        match request.uri().path() {
            AUTHORIZE => {
                let mut grpc = self.grpc();
                Box::pin(async move { Ok(grpc.unary(Authorize(service), request).await) })
            }
            BATCH_AUTHORIZE => {
                let mut grpc = self.grpc();
                Box::pin(async move { Ok(grpc.unary(BatchAuthorize(service), request).await) })
            }
            STREAM_AUTHORIZE => {
                let mut grpc = self.grpc();
                Box::pin(async move { Ok(grpc.streaming(StreamAuthorize(service), request).await) })
            }
            _ => Box::pin(async { Ok(Status::unimplemented("").into_http()) }),
        }
    }
}

struct Authorize(Arc<Authorization>);

impl UnaryService<Bytes> for Authorize {
    type Response = Vec<u8>;
    type Future = Future<Response<Vec<u8>>, Status>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let service = Arc::clone(&self.0);
        Box::pin(async move { service.authorize_bytes(request).await })
    }
}

struct BatchAuthorize(Arc<Authorization>);

impl UnaryService<Bytes> for BatchAuthorize {
    type Response = Vec<u8>;
    type Future = Future<Response<Vec<u8>>, Status>;

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let service = Arc::clone(&self.0);
        Box::pin(async move { service.batch_authorize_bytes(request).await })
    }
}

struct StreamAuthorize(Arc<Authorization>);

impl StreamingService<Bytes> for StreamAuthorize {
    type Response = Vec<u8>;
    type ResponseStream = Answers;
    type Future = Ready<Result<Response<Answers>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<Bytes>>) -> Self::Future {
        ready(Ok(self.0.stream_authorize_bytes(request)))
    }
}

/// Messages as they are on the wire.
#[derive(Debug, Clone, Copy)]
struct Uncoded;

impl Codec for Uncoded {
    type Encode = Vec<u8>;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Uncoded {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Uncoded {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
