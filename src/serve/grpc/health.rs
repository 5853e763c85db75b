//! `grpc.health.v1`: whether questions are answered, by the same rule as `/readyz`.
//!
//! Written on tonic-health's messages rather than with its server, whose Watch
//! answers `NOT_FOUND` for an unknown service where the protocol wants
//! `SERVICE_UNKNOWN` and an open stream.

use std::time::Duration;

use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::Response;
use tonic::Status;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::HealthCheckResponse;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;

use super::outlet::Outlet;
use super::outlet::Over;
use super::outlet::Sent;
use super::outlet::beats;
use crate::serve::deadline::Deadline;
use crate::serve::readiness::Readiness;

/// Services that need policies in force, and room for the records of decisions.
const DECIDING: [&str; 2] = ["", "deodar.v1.AuthorizationService"];
/// Services that answer from the start, also to say what is missing.
const ALWAYS: [&str; 3] = [
    "deodar.v1.AuditService",
    "deodar.v1.DirectoryService",
    "deodar.v1.PolicyService",
];

/// How often a watch looks; a change of the phase is told at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a caller does when the server leaves.
const LEAVING: &str = "the server is leaving; ask another instance";

/// The health service.
#[derive(Debug, Clone)]
pub struct HealthOfServices {
    readiness: Readiness,
}

impl HealthOfServices {
    /// Health by this rule.
    pub fn new(readiness: Readiness) -> Self {
        Self { readiness }
    }

    fn of(&self, service: &str) -> ServingStatus {
        let is_serving = if DECIDING.contains(&service) {
            self.readiness.reasons().is_empty()
        } else if ALWAYS.contains(&service) {
            !self.readiness.is_leaving()
        } else {
            return ServingStatus::ServiceUnknown;
        };
        if is_serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        }
    }

    /// Tells the status, and each change of it.
    async fn tell(mut self, service: String, mut outlet: Outlet<HealthCheckResponse>) -> Over {
        let mut looks = beats(LOOK_EVERY);
        let mut told = None;
        loop {
            self.readiness.phase.mark_unchanged();
            let now = self.of(&service);
            if told.replace(now) != Some(now)
                && let Err(over) = outlet.send(response(now)).await
            {
                return over;
            }
            tokio::select! {
                biased;
                changed = self.readiness.phase.changed() => if changed.is_err() {
                    return outlet.leave();
                },
                over = outlet.over() => return outlet.end(over),
                _ = looks.tick() => {}
            }
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}

#[tonic::async_trait]
impl Health for HealthOfServices {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.of(&request.into_inner().service) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("no service of this name")),
            known => Ok(Response::new(response(known))),
        }
    }

    type WatchStream = ReceiverStream<Sent<HealthCheckResponse>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let deadline = request.extensions().get::<Deadline>().copied();
        let service = request.into_inner().service;
        let (outlet, from) = Outlet::new(self.readiness.phase.clone(), deadline, LEAVING);
        let health = self.clone();
        tokio::spawn(async move {
            let Over = health.tell(service, outlet).await;
        });
        Ok(Response::new(ReceiverStream::new(from)))
    }
}
