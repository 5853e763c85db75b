//! The HTTP port: liveness, readiness, counters.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use super::phase::Follower;
use super::phase::Phase;
use crate::pdp::Pdp;

#[derive(Clone)]
struct Served {
    pdp: Arc<Pdp>,
    phase: Follower,
}

/// The routes: `/livez`, `/readyz`, `/metrics`; anything else is not found.
pub fn routes(pdp: Arc<Pdp>, phase: Follower) -> Router {
    Router::new()
        .route("/livez", get(async || "live\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Served { pdp, phase })
}

async fn readyz(State(served): State<Served>) -> impl IntoResponse {
    match *served.phase.borrow() {
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

async fn metrics(State(served): State<Served>) -> impl IntoResponse {
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, kind)], served.pdp.counters().prometheus())
}
