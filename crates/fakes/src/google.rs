//! Google's Gemini API for image models: `generateContent` under `/v1` and `/v1beta`, and the model list.
//!
//! Reads lenient proto JSON, checks what each model allows, answers pictures inline with usage by modality,
//! and refuses content inside a 200 as Google does. Charged: exactly what `usageMetadata` reports, refusals
//! included. Refuses batches, files, the Interactions API, Vertex and Imagen (gone): not built.
//! Next: `google/request.rs` (what is accepted), `google/models.rs` (what it costs), `google/answer.rs`.

mod answer;
mod models;
mod proto;
mod refusal;
mod request;

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use http::header;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use self::models::Model;
use self::refusal::Refusal;
use self::request::Call;
use crate::ctx::Ctx;
use crate::faults::Fault;
use crate::wire;

pub const KIND: &str = "google";
/// `image_safety`: made and withheld. `no_image`: a text instead. `unavailable` 503, `deadline` 504,
/// `retired` 404.
pub const FAULTS: &[&str] = &["image_safety", "no_image", "unavailable", "deadline", "retired"];
/// `drafts`: two interim pictures come before the final one; not charged. `cached`: of the input, `tokens` (half
/// of the text without it) were cached, are reported so and cost less where a rate is listed.
pub const MANNERS: &[&str] = &["drafts", "cached"];
pub const LATENCY_MS: u64 = 60;

pub fn router(ctx: Arc<Ctx>) -> Router {
    let mut router = Router::new();
    for version in ["/v1", "/v1beta"] {
        router = router
            .route(&format!("{version}/models"), get(list_models))
            .route(&format!("{version}/models/{{target}}"), get(show_model).post(act));
    }
    router
        .fallback(no_such_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&ctx), check_key))
        .with_state(ctx)
}

#[derive(Debug, Default, Deserialize)]
struct Parameters {
    key: Option<String>,
    alt: Option<String>,
}

async fn check_key(State(ctx): State<Arc<Ctx>>, request: Request, next: Next) -> Response {
    let header = request.headers().get("x-goog-api-key").and_then(|key| key.to_str().ok());
    let parameters =
        Query::<Parameters>::try_from_uri(request.uri()).map(|query| query.0).unwrap_or_default();
    match header.or(parameters.key.as_deref()) {
        None => {
            let message = "Method doesn't allow unregistered callers (callers without established identity).";
            Refusal::new(403, "PERMISSION_DENIED", message).into_response()
        }
        Some(key) if key != ctx.key => Refusal::bad_key().into_response(),
        Some(_) => next.run(request).await,
    }
}

/// `POST models/{model}:{method}`.
async fn act(
    State(ctx): State<Arc<Ctx>>,
    Path(target): Path<String>,
    Query(parameters): Query<Parameters>,
    body: Bytes,
) -> Response {
    let (id, method) = target.split_once(':').unwrap_or((&target, ""));
    let Some(model) = find(&ctx, id) else { return Refusal::model_not_found(id).into_response() };
    match method {
        "generateContent" => generate(&ctx, model, &body, Form::Whole).await,
        "streamGenerateContent" if parameters.alt.as_deref() == Some("sse") => {
            generate(&ctx, model, &body, Form::Events).await
        }
        "streamGenerateContent" => generate(&ctx, model, &body, Form::List).await,
        "countTokens" => count_tokens(model, &body),
        _ => no_such_method().await,
    }
}

/// How one answer is sent.
#[derive(Clone, Copy)]
enum Form {
    Whole,
    Events,
    List,
}

async fn generate(ctx: &Arc<Ctx>, model: &'static Model, body: &[u8], form: Form) -> Response {
    let call = match Call::read(model, body) {
        Ok(call) => call,
        Err(refusal) => return refusal.into_response(),
    };
    let drawn = ctx.draw("generate");
    match drawn.fault() {
        Some(Fault::ResetBefore) => return wire::reset(),
        Some(Fault::BadGateway) => return wire::bad_gateway(),
        _ => {}
    }
    if let Some(refusal) = refusal::scripted(&drawn, model.id) {
        ctx.work(&drawn).await;
        return refusal.into_response();
    }
    let outcome = answer::decide(&call, &drawn);
    let response_id = ctx.id();
    ctx.charge(&response_id, "generate", model.id, model.price(&outcome.usage, call.percent));
    ctx.work(&drawn).await;
    let body = answer::body(ctx, &drawn, &call, &outcome, &response_id).await;
    let answer = match form {
        Form::Whole => Json(body).into_response(),
        Form::List => Json(json!([body])).into_response(),
        Form::Events => {
            ([(header::CONTENT_TYPE, "text/event-stream")], format!("data: {body}\r\n\r\n")).into_response()
        }
    };
    ctx.deliver(&drawn, answer).await
}

/// Free: takes the contents of a request alone.
fn count_tokens(model: &'static Model, body: &[u8]) -> Response {
    match Call::read(model, body) {
        Ok(call) => Json(json!({"totalTokens": call.usage.text_in + call.usage.image_in})).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn list_models(State(ctx): State<Arc<Ctx>>) -> Json<Value> {
    let today = ctx.now().to_zoned(TimeZone::UTC).date();
    let models: Vec<Value> = models::served(today).map(shown).collect();
    Json(json!({"models": models}))
}

async fn show_model(State(ctx): State<Arc<Ctx>>, Path(id): Path<String>) -> Response {
    match find(&ctx, &id) {
        Some(model) => Json(shown(model)).into_response(),
        None => Refusal::model_not_found(&id).into_response(),
    }
}

fn shown(model: &Model) -> Value {
    json!({
        "name": format!("models/{}", model.id),
        "displayName": model.id,
        "inputTokenLimit": 65_536,
        "outputTokenLimit": 32_768,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    })
}

fn find(ctx: &Ctx, id: &str) -> Option<&'static Model> {
    models::find(id, ctx.now().to_zoned(TimeZone::UTC).date())
}

async fn no_such_method() -> Response {
    Refusal::new(404, "NOT_FOUND", "The requested URL was not found on this server.").into_response()
}

#[cfg(test)]
mod tests;
