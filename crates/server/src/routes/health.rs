//! For machines that watch: alive, ready, counters. No key, and nothing about projects or prompts.

use crate::failure::Failure;
use crate::metrics;
use crate::routes::parameters::json;
use crate::state::AppState;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use gallerist_domain::ProjectId;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use std::time::Duration;

const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(2);

#[derive(Serialize)]
struct Health {
    status: &'static str,
}

/// The process answers.
pub(crate) async fn alive() -> Response {
    json(StatusCode::OK, &Health { status: "ok" })
}

/// The store answers and has room, there is something to buy from, and no shutdown has begun.
pub(crate) async fn ready(State(state): State<AppState>) -> Result<Response, Failure> {
    let not_ready = |why: &str| Failure {
        retry_after_ms: Some(1_000),
        ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", why)
    };
    if state.is_stopping() {
        return Err(not_ready("The gateway is shutting down."));
    }
    if state.engine().market().offers.is_empty() {
        return Err(not_ready("No provider is on; set a provider's key, such as OPENAI_API_KEY."));
    }
    if state.engine().store().is_full() {
        return Err(not_ready(
            "The disk below the books is full: what cannot be written down is not bought until there is room.",
        ));
    }
    let asked = state.engine().store().project(ProjectId::default_project());
    match tokio::time::timeout(STORE_ANSWERS_WITHIN, asked).await {
        Ok(Ok(_)) => Ok(json(StatusCode::OK, &Health { status: "ready" })),
        _ => Err(not_ready("The store does not answer.")),
    }
}

pub(crate) async fn metrics(State(state): State<AppState>) -> Response {
    let engine = state.engine();
    let store = engine.store();
    let replicas = metrics::of_replicas(store.replicas_alive(), engine.shared_rates(), engine.rests_heard());
    let mut text = state.metrics().print(store.charged_since_opened(), &store.alerts_since_opened());
    text.push_str(&metrics::of_feeds(&state.engine().feed_states(), &state.engine().feed_book()));
    text.push_str(&replicas);
    let mut response = Response::new(Body::from(text));
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests;
