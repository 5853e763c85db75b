//! The HTTP port: liveness, readiness, metrics.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::ACCEPT;
use axum::http::header::CONTENT_TYPE;
use axum::http::header::VARY;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::json;

use super::measured::Measured;
use crate::telemetry::metrics::prometheus::Format;

/// The routes: `/livez`, `/readyz`, `/metrics`; anything else is not found.
pub fn routes(measured: Measured) -> Router {
    Router::new()
        .route("/livez", get(async || "live\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(measured)
}

async fn readyz(State(measured): State<Measured>) -> impl IntoResponse {
    let reasons = measured.readiness().reasons();
    let is_ready = reasons.is_empty();
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let reasons = reasons.iter().map(|reason| {
        json!({
            "what": reason.what,
            "hint": reason.hint,
        })
    });
    let body = json!({"ready": is_ready, "reasons": reasons.collect::<Vec<_>>()});
    let body = format!("{body}\n");
    (status, [(CONTENT_TYPE, "application/json")], body)
}

async fn metrics(State(measured): State<Measured>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get_all(ACCEPT).iter();
    let accept: Vec<_> = accept.filter_map(|text| text.to_str().ok()).collect();
    let format = Format::accepted(&accept.join(","));
    let text = format.write(&measured.families());
    // What a cache keeps for one reader must not be given to another.
    (
        [(CONTENT_TYPE, format.media_type()), (VARY, "accept")],
        text,
    )
}
