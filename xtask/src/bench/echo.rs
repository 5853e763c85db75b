//! What Deodar is compared with: a bare tonic server of the same service, which
//! gives answers that Deodar gave and decides nothing. They are held decoded
//! and cloned for each call, as a handler would make them.

use std::fs;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::Stream;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic::Streaming;
use tonic::transport::Server;

use super::v1;
use super::v1::authorization_service_server::AuthorizationService;
use super::v1::authorization_service_server::AuthorizationServiceServer;

/// `bench echo ADDRESS ANSWERS`: serves until it is killed. `ANSWERS` holds a
/// batch answer for the mix, then one for batches, both length-delimited.
pub(crate) fn command(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let (Some(address), Some(answers)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bench echo ADDRESS ANSWERS".to_owned());
    };
    let bytes = fs::read(&answers).map_err(|error| format!("{answers}: {error}"))?;
    let echo = Echo::new(&bytes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .map_err(|error| error.to_string())?
        .block_on(serve(&address, echo))
}

async fn serve(address: &str, echo: Echo) -> Result<(), String> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| error.to_string())?;
    let connections = TcpListenerStream::new(listener).map(|connection| {
        let connection = connection?;
        connection.set_nodelay(true)?;
        Ok::<_, std::io::Error>(connection)
    });
    Server::builder()
        .max_concurrent_streams(1000)
        .add_service(AuthorizationServiceServer::new(echo))
        .serve_with_incoming(connections)
        .await
        .map_err(|error| error.to_string())
}

/// The answers, given in turn.
struct Echo {
    mix: Arc<Vec<v1::AuthorizeResponse>>,
    batch: v1::BatchAuthorizeResponse,
    next: Arc<AtomicUsize>,
}

impl Echo {
    fn new(mut bytes: &[u8]) -> Result<Self, String> {
        let mut read = || {
            v1::BatchAuthorizeResponse::decode_length_delimited(&mut bytes)
                .map_err(|error| error.to_string())
        };
        let mix = read()?
            .items
            .into_iter()
            .filter_map(|item| match item.result {
                Some(v1::batch_authorize_item::Result::Response(response)) => Some(response),
                _ => None,
            });
        Ok(Self {
            mix: Arc::new(mix.collect()),
            batch: read()?,
            next: Arc::default(),
        })
    }
}

fn in_turn(
    mix: &[v1::AuthorizeResponse],
    next: &AtomicUsize,
) -> Result<v1::AuthorizeResponse, Status> {
    let turn = next.fetch_add(1, Ordering::Relaxed);
    mix.get(turn % mix.len())
        .cloned()
        .ok_or_else(|| Status::internal("no answers"))
}

#[tonic::async_trait]
impl AuthorizationService for Echo {
    async fn authorize(
        &self,
        _: Request<v1::AuthorizeRequest>,
    ) -> Result<Response<v1::AuthorizeResponse>, Status> {
        in_turn(&self.mix, &self.next).map(Response::new)
    }

    async fn batch_authorize(
        &self,
        _: Request<v1::BatchAuthorizeRequest>,
    ) -> Result<Response<v1::BatchAuthorizeResponse>, Status> {
        Ok(Response::new(self.batch.clone()))
    }

    type StreamAuthorizeStream =
        Pin<Box<dyn Stream<Item = Result<v1::StreamAuthorizeResponse, Status>> + Send>>;

    async fn stream_authorize(
        &self,
        request: Request<Streaming<v1::StreamAuthorizeRequest>>,
    ) -> Result<Response<Self::StreamAuthorizeStream>, Status> {
        let (mix, next) = (Arc::clone(&self.mix), Arc::clone(&self.next));
        let answers = request.into_inner().map(move |question| {
            let correlation_id = question?.correlation_id;
            let response = in_turn(&mix, &next)?;
            let result = Some(v1::stream_authorize_response::Result::Response(response));
            Ok(v1::StreamAuthorizeResponse {
                correlation_id,
                result,
            })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}
