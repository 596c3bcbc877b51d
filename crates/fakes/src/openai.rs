//! OpenAI's Images API: `POST /v1/images/generations` and `/edits`, `GET /v1/models`, `GET /v1/models/{id}`.
//!
//! Checks key, model and every parameter; answers JSON or events with real pictures; bills tokens at list
//! prices. Charged where the truth is not known: an output refused by moderation, a stream that breaks, an
//! error after the first partial. Refuses batches, files, GIF and SVG: not built. No idempotency
//! key exists here, so a repeated request is a second paid one.
//! Next: `openai/request.rs` (what is accepted), `openai/models.rs` (what it costs), `openai/answer.rs`.

mod answer;
mod edit;
mod models;
mod refusal;
mod request;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{FromRequest as _, Multipart, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use self::edit::Form;
use self::models::Model;
use self::refusal::Refusal;
use self::request::Generation;
use crate::ctx::Ctx;
use crate::faults::{Drawn, Fault};
use crate::feeds::spoilt;
use crate::wire;

pub const KIND: &str = "openai";
/// Faults of this protocol alone. `insufficient_quota` takes a `code`, `rate_limited_long` a `retry_after_s`.
pub const FAULTS: &[&str] = &[
    "moderation_output",
    "billing_hard_limit",
    "insufficient_quota",
    "rate_limited_long",
    "stream_cut",
    "stream_error",
];
/// `fewer_partials`: the final picture overtakes the last partial one.
pub const MANNERS: &[&str] = &["fewer_partials"];
pub const LATENCY_MS: u64 = 40;

/// Output tokens of each partial picture that was really sent.
const PARTIAL_TOKENS: i64 = 100;

pub fn router(ctx: Arc<Ctx>) -> Router {
    Router::new()
        .route("/v1/images/generations", post(generate))
        .route("/v1/images/edits", post(edit))
        .route("/v1/models", get(list_models))
        .route("/v1/models/{id}", get(show_model))
        .fallback(no_such_url)
        .layer(middleware::from_fn_with_state(Arc::clone(&ctx), front_door))
        .with_state(ctx)
}

/// `x-request-id`, which is also the name of the charge.
#[derive(Clone, Debug)]
struct RequestId(String);

/// Checks the key and puts the headers on that each answer has.
async fn front_door(State(ctx): State<Arc<Ctx>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = format!("req_{}", ctx.id());
    let mut answer = match check_key(&ctx, request.headers()) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => {
            request.extensions_mut().insert(RequestId(request_id.clone()));
            next.run(request).await
        }
    };
    let headers = answer.headers_mut();
    let request_id = HeaderValue::try_from(request_id).expect("an identifier is plain");
    headers.insert("x-request-id", request_id);
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    headers.insert("openai-processing-ms", HeaderValue::from(elapsed_ms));
    headers.insert("openai-organization", HeaderValue::from_static("org-fake"));
    headers.insert("openai-version", HeaderValue::from_static("2020-10-01"));
    answer
}

fn check_key(ctx: &Ctx, headers: &HeaderMap) -> Result<(), Refusal> {
    let refuse = |message| Refusal::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message);
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(key) = given.and_then(|value| value.strip_prefix("Bearer ")) else {
        return Err(refuse("You didn't provide an API key in an Authorization header using Bearer auth."));
    };
    if key != ctx.key {
        return Err(refuse("Incorrect API key provided.").code("invalid_api_key"));
    }
    Ok(())
}

async fn generate(
    State(ctx): State<Arc<Ctx>>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    body: Bytes,
) -> Response {
    match Generation::from_json(&body, today(&ctx)) {
        Ok(request) => serve(&ctx, &request, &request_id).await,
        Err(refusal) => refusal.into_response(),
    }
}

async fn edit(
    State(ctx): State<Arc<Ctx>>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    request: Request,
) -> Response {
    let form = if is_multipart(request.headers()) {
        match Multipart::from_request(request, &()).await {
            Ok(parts) => Form::from_multipart(parts).await,
            Err(rejection) => return rejection.into_response(),
        }
    } else {
        match Bytes::from_request(request, &()).await {
            Ok(body) => Form::from_json(&body),
            Err(rejection) => return rejection.into_response(),
        }
    };
    match form.and_then(|form| form.read(today(&ctx))) {
        Ok(request) => serve(&ctx, &request, &request_id).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("multipart/form-data"))
}

/// A request that is in order meets the script, is charged and answered.
async fn serve(ctx: &Arc<Ctx>, request: &Generation, request_id: &str) -> Response {
    let operation = request.kind.operation();
    let drawn = ctx.draw(operation);
    match drawn.fault() {
        Some(Fault::ResetBefore) => return wire::reset(),
        Some(Fault::BadGateway) => return wire::bad_gateway(),
        _ => {}
    }
    if let Some(refusal) = refusal::scripted(&drawn, request_id) {
        ctx.work(&drawn).await;
        return refusal.into_response();
    }
    let text_tokens = models::text_tokens(&request.prompt);
    ctx.charge(request_id, operation, request.model.id, list_price(&drawn, request, text_tokens));
    ctx.work(&drawn).await;
    if drawn.custom("moderation_output") {
        // Whether a picture that was made and then blocked is charged is not known; here it is.
        return Refusal::moderation("output", request_id).into_response();
    }
    let answer = if request.stream {
        answer::streamed(ctx, &drawn, request, text_tokens).await
    } else {
        answer::whole(ctx, &drawn, request, text_tokens).await
    };
    ctx.deliver(&drawn, answer).await
}

fn list_price(drawn: &Drawn, request: &Generation, text_tokens: i64) -> i64 {
    let picture = request.model.image_tokens(request.quality, request.width, request.height);
    let partials = i64::from(emitted_partials(drawn, request)) * PARTIAL_TOKENS;
    request.model.price(text_tokens, request.image_tokens_in, i64::from(request.n) * (picture + partials))
}

/// Partial pictures of each picture that are really sent: only those are charged.
fn emitted_partials(drawn: &Drawn, request: &Generation) -> u32 {
    if drawn.custom("fewer_partials") {
        request.partial_images.saturating_sub(1)
    } else {
        request.partial_images
    }
}

async fn list_models(State(ctx): State<Arc<Ctx>>) -> Response {
    let data: Vec<Value> = models::served(today(&ctx)).map(|model| shown(&ctx, model)).collect();
    spoilt(&ctx, "models", Json(json!({"object": "list", "data": data})).into_response()).await
}

async fn show_model(State(ctx): State<Arc<Ctx>>, Path(id): Path<String>) -> Response {
    match models::find(&id, today(&ctx)) {
        Some(model) => Json(shown(&ctx, model)).into_response(),
        None => Refusal::model_not_found(&id).into_response(),
    }
}

fn shown(ctx: &Ctx, model: &Model) -> Value {
    let table = json!(model.shutdown.map(|shutdown| shutdown.to_string()));
    json!({
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": "system",
        "shutdown_date": ctx.listing.of(model.id).unwrap_or(table),
    })
}

async fn no_such_url(request: Request) -> Response {
    let message = format!("Invalid URL ({} {})", request.method(), request.uri().path());
    Refusal::new(StatusCode::NOT_FOUND, "invalid_request_error", message).into_response()
}

fn today(ctx: &Ctx) -> Date {
    ctx.now().to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests;
