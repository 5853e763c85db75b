//! gRPC: package `deodar.v1`, health, reflection.

mod asked;
pub mod audit;
mod audit_status;
mod audit_tail;
pub mod audit_wire;
pub mod authorization;
mod batch;
mod by;
mod bytes;
pub mod directory;
mod directory_draft;
mod directory_json;
mod directory_lists;
mod directory_room;
mod directory_status;
mod directory_watch;
mod directory_wire;
pub mod health;
mod outlet;
pub mod policy;
pub mod shared;
pub mod status;
pub mod value;
pub mod value_out;
pub mod wire;
mod written;

use std::sync::Arc;
use std::time::Duration;

use tokio_stream::Stream;
use tonic::codec::CompressionEncoding;
use tonic::transport::Server;
use tonic::transport::server::Router;
use tonic_health::pb::health_server::HealthServer;
use tower::layer::util::Identity;
use tower::layer::util::Stack;

use super::deadline::DeadlineLayer;
use super::limits::DirectoryLimits;
use super::limits::Limits;
use super::listen::Connection;
use super::observe::ObserveLayer;
use super::phase::Follower;
use super::phase::Phase;
use super::readiness::Readiness;
use crate::directory::Directory;
use crate::pdp::Pdp;
use crate::proto::DESCRIPTORS;
use crate::proto::v1::audit_service_server::AuditServiceServer;
use crate::proto::v1::directory_service_server::DirectoryServiceServer;
use crate::proto::v1::policy_service_server::PolicyServiceServer;
use crate::telemetry::trace::Trust;
use audit::AuditLog;
use audit::AuditReading;
use authorization::Authorization;
use bytes::AuthorizationOfBytes;
use directory::Bounds;
use directory::Directories;
use health::HealthOfServices;
use policy::Policies;

/// Bytes of the headers of one call.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Bytes that a call may send before they are read.
const STREAM_WINDOW: u32 = 128 << 10;
/// The same for a connection.
///
/// Far more than a stream's, because h2 ends a connection whose unread small
/// frames exceed half of this window by their overhead: a stream whose caller
/// does not read its answers has to be stopped by its own window first, and not
/// cost the other calls their connection.
const CONNECTION_WINDOW: u32 = 4 << 20;

/// How connections are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// How often an idle connection is pinged; zero is never.
    pub keepalive_interval: Duration,
    /// How long a ping may go unanswered.
    pub keepalive_timeout: Duration,
    /// How old a connection may get; zero is any age.
    pub age_max: Duration,
    /// How long calls on a connection that got too old may go on.
    pub age_grace: Duration,
}

/// What the gRPC server is made of.
#[derive(Debug, Clone)]
pub struct Grpc {
    /// The decision point.
    pub pdp: Arc<Pdp>,
    /// The directory.
    pub directory: Directory,
    /// The audit log, if one is kept that callers may read.
    pub audit: Option<AuditReading>,
    /// The phase of the server.
    pub phase: Follower,
    /// What is made of a caller's trace.
    pub trace_trust: Trust,
    /// What callers may ask for.
    pub limits: Limits,
    /// What callers may ask of the directory.
    pub directory_limits: DirectoryLimits,
    /// How connections are kept.
    pub connections: Connections,
    /// Answers at least so long are compressed if the caller takes it; zero is
    /// never.
    pub compress_above_bytes: usize,
    /// Whether reflection is served.
    pub reflection: bool,
}

impl Grpc {
    /// Serves connections until the phase is draining and the last call ended.
    ///
    /// # Errors
    /// When the transport fails as a whole; faults of single connections are
    /// theirs alone.
    pub async fn serve(
        self,
        connections: impl Stream<Item = std::io::Result<Connection>>,
    ) -> Result<(), tonic::transport::Error> {
        let mut phase = self.phase.clone();
        let draining = async move {
            // An announcer that is gone means that the process is ending.
            phase.wait_for(|phase| *phase == Phase::Draining).await.ok();
        };
        self.router()
            .serve_with_incoming_shutdown(connections, draining)
            .await
    }

    fn directories(&self) -> Directories {
        let bounds = Bounds {
            limits: self.limits,
            directory: self.directory_limits,
            compress_above_bytes: self.compress_above_bytes,
        };
        Directories::new(
            self.directory.clone(),
            Arc::clone(&self.pdp),
            self.phase.clone(),
            bounds,
        )
    }

    fn router(self) -> Router<Stack<DeadlineLayer, Stack<ObserveLayer, Identity>>> {
        let optional = |time: Duration| (!time.is_zero()).then_some(time);
        let Limits {
            message_bytes_max,
            streams_per_connection_max,
            deadline_max,
            ..
        } = self.limits;
        let authorization = Authorization::new(
            Arc::clone(&self.pdp),
            self.limits,
            self.compress_above_bytes,
        );
        let authorization = authorization.with_directory(self.directory.clone());
        let authorization = AuthorizationOfBytes::new(authorization, message_bytes_max);
        let directory = DirectoryServiceServer::new(self.directories())
            .max_decoding_message_size(message_bytes_max)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Gzip);
        let audit = AuditLog::new(self.audit, self.phase.clone(), self.compress_above_bytes);
        let audit = AuditServiceServer::new(audit)
            .max_decoding_message_size(message_bytes_max)
            .send_compressed(CompressionEncoding::Zstd)
            .send_compressed(CompressionEncoding::Gzip);
        let policy = PolicyServiceServer::new(Policies::new(
            Arc::clone(&self.pdp),
            self.compress_above_bytes,
        ))
        .max_decoding_message_size(message_bytes_max)
        .send_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip);
        let health = HealthServer::new(HealthOfServices::new(Readiness {
            pdp: Arc::clone(&self.pdp),
            phase: self.phase,
        }));
        let reflection = || self.reflection.then(reflection);
        let v1 = reflection().and_then(|reflection| reflection.build_v1().ok());
        let v1alpha = reflection().and_then(|reflection| reflection.build_v1alpha().ok());
        let mut server = Server::builder();
        if let Some(age) = optional(self.connections.age_max) {
            server = server
                .max_connection_age(age)
                .max_connection_age_grace(self.connections.age_grace);
        }
        server
            .http2_keepalive_interval(optional(self.connections.keepalive_interval))
            .http2_keepalive_timeout(Some(self.connections.keepalive_timeout))
            .max_concurrent_streams(u32::try_from(streams_per_connection_max).unwrap_or(u32::MAX))
            .http2_max_header_list_size(HEADER_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .layer(ObserveLayer {
                trust: self.trace_trust,
                counters: Arc::clone(self.pdp.counters()),
            })
            .layer(DeadlineLayer {
                max: deadline_max,
                counters: Arc::clone(self.pdp.counters()),
            })
            .add_service(authorization)
            .add_service(directory)
            .add_service(audit)
            .add_service(policy)
            .add_service(health)
            .add_optional_service(v1)
            .add_optional_service(v1alpha)
    }
}

/// What callers may ask about the services.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
