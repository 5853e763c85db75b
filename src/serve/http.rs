//! The HTTP port: liveness, readiness, metrics.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use super::measured::Measured;
use super::phase::Phase;
use crate::telemetry::metrics::prometheus;

/// The routes: `/livez`, `/readyz`, `/metrics`; anything else is not found.
pub fn routes(measured: Measured) -> Router {
    Router::new()
        .route("/livez", get(async || "live\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(measured)
}

async fn readyz(State(measured): State<Measured>) -> impl IntoResponse {
    match *measured.phase.borrow() {
        Phase::Ready => (StatusCode::OK, "ready\n"),
        Phase::Starting => (
            StatusCode::SERVICE_UNAVAILABLE,
            "not ready: no policies are in force yet\n",
        ),
        Phase::Leaving | Phase::Draining => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: draining\n")
        }
    }
}

async fn metrics(State(measured): State<Measured>) -> impl IntoResponse {
    let text = prometheus::text(&measured.families());
    ([(CONTENT_TYPE, prometheus::MEDIA_TYPE)], text)
}
