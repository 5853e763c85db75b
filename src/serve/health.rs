//! `grpc.health.v1`: whether questions are answered.
//!
//! Written on tonic-health's messages rather than with its server, whose Watch
//! answers `NOT_FOUND` for an unknown service where the protocol wants
//! `SERVICE_UNKNOWN` and an open stream.

use std::pin::Pin;

use tokio_stream::Stream;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::WatchStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;

use super::phase::Follower;
use super::phase::Phase;

/// Services that need policies in force.
const DECIDING: [&str; 2] = ["", "deodar.v1.AuthorizationService"];
/// Services that answer from the start, also to say why there are no policies.
const ALWAYS: [&str; 1] = ["deodar.v1.PolicyService"];

/// The health service.
#[derive(Debug, Clone)]
pub struct HealthOfPhase {
    phase: Follower,
}

impl HealthOfPhase {
    /// Health that follows the phase of the server.
    pub fn new(phase: Follower) -> Self {
        Self { phase }
    }
}

fn status(service: &str, phase: Phase) -> ServingStatus {
    let is_deciding = DECIDING.contains(&service);
    match phase {
        _ if !is_deciding && !ALWAYS.contains(&service) => ServingStatus::ServiceUnknown,
        Phase::Ready => ServingStatus::Serving,
        Phase::Starting if !is_deciding => ServingStatus::Serving,
        Phase::Starting | Phase::Leaving | Phase::Draining => ServingStatus::NotServing,
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl Health for HealthOfPhase {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        match status(&service, *self.phase.borrow()) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("no service of this name")),
            known => Ok(Response::new(response(known))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let service = request.into_inner().service;
        let mut last = None;
        let statuses = WatchStream::new(self.phase.clone())
            .map(move |phase| status(&service, phase))
            // Only changes are told.
            .filter_map(move |now| (last.replace(now) != Some(now)).then_some(Ok(response(now))));
        Ok(Response::new(Box::pin(statuses)))
    }
}
