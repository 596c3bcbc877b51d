//! The doors for tests: bill, fault script and seed of one stand-in, under `/_fake`.
//!
//! `GET|DELETE /_fake/bill`, `GET|PUT|DELETE /_fake/faults`, `PUT /_fake/seed`. They need no key, draw no
//! faults and exist on every stand-in alike. Next: `bill.rs`, `faults.rs`, `seeds.rs`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::ctx::Ctx;

pub(crate) fn router(ctx: Arc<Ctx>) -> Router {
    Router::new()
        .route("/_fake/bill", get(show_bill).delete(reset_bill))
        .route("/_fake/faults", get(show_faults).put(set_faults).delete(clear_faults))
        .route("/_fake/seed", put(set_seed))
        .with_state(ctx)
}

async fn show_bill(State(ctx): State<Arc<Ctx>>) -> Json<Value> {
    Json(ctx.bill.to_json())
}

async fn reset_bill(State(ctx): State<Arc<Ctx>>) -> Json<Value> {
    ctx.bill.reset();
    Json(ctx.bill.to_json())
}

async fn show_faults(State(ctx): State<Arc<Ctx>>) -> Json<Value> {
    Json(ctx.faults.to_json())
}

async fn set_faults(State(ctx): State<Arc<Ctx>>, body: Bytes) -> Response {
    let script = match serde_json::from_slice(&body) {
        Ok(script) => script,
        Err(error) => return refused(&format!("the script is no JSON: {error}")),
    };
    match ctx.faults.set(&script) {
        Ok(()) => Json(ctx.faults.to_json()).into_response(),
        Err(complaint) => refused(&complaint),
    }
}

async fn clear_faults(State(ctx): State<Arc<Ctx>>) -> Json<Value> {
    ctx.faults.clear();
    Json(ctx.faults.to_json())
}

/// Takes `{"seed": 7}` or a bare `7`.
async fn set_seed(State(ctx): State<Arc<Ctx>>, body: Bytes) -> Response {
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(seed) = value.as_u64().or_else(|| value.get("seed")?.as_u64()) else {
        return refused("the seed is a whole number: {\"seed\": 7}");
    };
    ctx.seeds.restart(seed);
    Json(json!({"seed": seed})).into_response()
}

fn refused(complaint: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": complaint}))).into_response()
}
