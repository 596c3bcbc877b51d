//! Price feeds for tests: documents under `/_fake/feeds/NAME`, and what a provider's own list says.
//!
//! `GET /_fake/feeds/NAME` serves what `PUT` left there, on every stand-in alike; `json`, `spot`, `litellm` and
//! `openrouter` have a small document from the start, in the form that the originals have. Nothing is checked,
//! since a feed that is wrong is what tests want most. Answers carry an `ETag`; the script's faults of the
//! operation `feed` meet them.
//!
//! `PUT /_fake/listing` takes `{"ID": …}` and changes what the provider's own list says of an id: at fal the unit
//! price (`"0.03"`), at OpenAI the day of the shutdown (`"2027-03-01"` or null). What is charged stays; that is
//! the fault `price_changed`. `GET` shows it, `DELETE` forgets it. Operations are `pricing` and `models`.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ctx::Ctx;
use crate::faults::Fault;
use crate::wire;

/// Amounts in cents, dated.
const JSON: &str = r#"{"as_of": "2026-11-22T08:00:00Z", "prices": {"flux-1.1-pro": {"cents": 5}}}"#;
const SPOT: &str = r#"{"prices": [
    {"offer": "bfl/flux-1.1-pro", "line": "picture", "usd": "0.05", "at": "2026-11-22T08:00:00Z"}]}"#;
/// Per picture and per pixel, as floats; `sample_spec` and a text model are in the original too.
const LITELLM: &str = r#"{
    "sample_spec": {"litellm_provider": "one of https://docs.litellm.ai/docs/providers", "mode": "one of: chat, image_generation"},
    "black_forest_labs/flux-pro-1.1": {"litellm_provider": "black_forest_labs", "mode": "image_generation", "output_cost_per_image": 0.04, "supported_endpoints": ["/v1/images/generations"]},
    "black_forest_labs/flux-dev": {"litellm_provider": "black_forest_labs", "mode": "image_generation", "output_cost_per_image": 0.025},
    "gpt-4o-mini": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1.5e-07, "output_cost_per_token": 6e-07}}"#;
/// `pricing` as texts per token.
const OPENROUTER: &str = r#"{"data": [
    {"id": "openai/gpt-image-2", "name": "OpenAI: GPT Image 2", "created": 1776729600,
     "architecture": {"input_modalities": ["text", "image"], "output_modalities": ["image"]},
     "pricing": {"prompt": "0.000005", "image_token": "0.00003"}}]}"#;

struct Documents {
    ctx: Arc<Ctx>,
    by_name: Mutex<BTreeMap<String, String>>,
}

pub(crate) fn router(ctx: Arc<Ctx>) -> Router {
    let first = [("json", JSON), ("spot", SPOT), ("litellm", LITELLM), ("openrouter", OPENROUTER)];
    let first = first.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned()));
    let documents = Documents { ctx, by_name: Mutex::new(first.collect()) };
    Router::new()
        .route("/_fake/feeds/{name}", get(show).put(set))
        .route("/_fake/listing", get(listing).put(set_listing).delete(clear_listing))
        .with_state(Arc::new(documents))
}

async fn show(
    State(documents): State<Arc<Documents>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let found = documents.by_name.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
    let answer = match found {
        Some(text) => {
            let mut hasher = DefaultHasher::new();
            text.hash(&mut hasher);
            let etag = format!("\"{:016x}\"", hasher.finish());
            let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| *known == etag);
            if known {
                (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response()
            } else {
                let content_type = "application/json".to_owned();
                ([(header::CONTENT_TYPE, content_type), (header::ETAG, etag)], text).into_response()
            }
        }
        None => StatusCode::NOT_FOUND.into_response(),
    };
    spoilt(&documents.ctx, "feed", answer).await
}

async fn set(State(documents): State<Arc<Documents>>, Path(name): Path<String>, body: String) -> StatusCode {
    documents.by_name.lock().unwrap_or_else(PoisonError::into_inner).insert(name, body);
    StatusCode::NO_CONTENT
}

async fn listing(State(documents): State<Arc<Documents>>) -> Json<Value> {
    Json(json!(documents.ctx.listing.all()))
}

async fn set_listing(State(documents): State<Arc<Documents>>, Json(body): Json<Value>) -> Response {
    let Value::Object(changes) = body else {
        let complaint = json!({"error": "the listing is an object: {\"fal-ai/flux/dev\": \"0.03\"}"});
        return (StatusCode::BAD_REQUEST, Json(complaint)).into_response();
    };
    documents.ctx.listing.change(changes);
    Json(json!(documents.ctx.listing.all())).into_response()
}

async fn clear_listing(State(documents): State<Arc<Documents>>) -> Json<Value> {
    documents.ctx.listing.clear();
    Json(json!({}))
}

/// What a provider's own list says otherwise than its model table.
#[derive(Debug, Default)]
pub struct Listing(Mutex<Map<String, Value>>);

impl Listing {
    /// Adds to what is said otherwise.
    pub fn change(&self, changes: Map<String, Value>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(changes);
    }

    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub fn all(&self) -> Map<String, Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is said of an id, if anything.
    pub(crate) fn of(&self, id: &str) -> Option<Value> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

/// An answer that is no picture, with what the script does to its operation.
pub(crate) async fn spoilt(ctx: &Ctx, operation: &str, answer: Response) -> Response {
    let drawn = ctx.draw_secondary(operation);
    if drawn.latency_ms() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(drawn.latency_ms())).await;
    }
    match drawn.fault() {
        Some(Fault::TooManyRequests) => StatusCode::TOO_MANY_REQUESTS.into_response(),
        Some(Fault::Internal) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(Fault::BadGateway) => wire::bad_gateway(),
        Some(Fault::ResetBefore) => wire::reset(),
        _ => ctx.deliver(&drawn, answer).await,
    }
}
