//! Stand-in of Stability AI: v2beta `stable-image/generate/{ultra,core,sd3}`, v1 SDXL and the balance.
//!
//! v2beta takes multipart alone (JSON is a 400), answers bytes or JSON by `Accept`, makes one picture a call
//! and reports no cost: the only signal is the balance, which here is the opening credit minus the bill.
//! Prices and sizes are in `stability/tariff.rs`, the reading of forms in `stability/form.rs`, the frozen v1
//! in `stability/version1.rs`. Own faults: `content_filtered` (HTTP 200 with a blurred picture; whether it is
//! billed is unconfirmed, here it is, like any generation that succeeded), `payment_required`, and the manner
//! `rate_limit`, which puts the provider's limit (150 requests in 10 s, then 60 s of 429) into force; its
//! parameters `requests`, `window_ms`, `pause_ms` make it quicker to hit. Off by default, because benchmarks
//! are faster than any customer.

mod form;
mod tariff;
mod version1;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::ctx::{Ctx, Motif};
use crate::faults::{Drawn, Fault};
use crate::picture;
use crate::{money, wire};
use form::Order;
use tariff::Operation;

pub const KIND: &str = "stability";
/// Faults of its own that exclude others.
pub const FAULTS: &[&str] = &["content_filtered", "payment_required"];
/// Faults of its own that combine with others.
pub const MANNERS: &[&str] = &["rate_limit"];
/// What an answer usually takes.
pub const LATENCY_MS: u64 = 4_000;

/// Opening balance; ten thousand dollars, so that only a test that wants to runs dry.
const OPENING_CREDITS: i64 = 1_000_000;

struct App {
    ctx: Arc<Ctx>,
    limiter: Mutex<Limiter>,
}

pub fn router(ctx: Arc<Ctx>) -> Router {
    let app = Arc::new(App { ctx, limiter: Mutex::default() });
    let generate = |operation: Operation| {
        post(move |State(app): State<Arc<App>>, request: Request| generate(app, operation, request))
    };
    Router::new()
        .route("/v2beta/stable-image/generate/ultra", generate(Operation::Ultra))
        .route("/v2beta/stable-image/generate/core", generate(Operation::Core))
        .route("/v2beta/stable-image/generate/sd3", generate(Operation::Sd3))
        .route("/v1/generation/{engine}/text-to-image", post(version1::text_to_image))
        .route("/v1/user/balance", get(balance))
        .route("/v1/engines/list", get(version1::engines))
        .fallback(|State(app): State<Arc<App>>| async move {
            refusal(&app.ctx, 404, "not_found", &["this stand-in does not have the operation"])
        })
        .with_state(app)
}

async fn generate(app: Arc<App>, operation: Operation, request: Request) -> Response {
    let ctx = &app.ctx;
    if !authorised(ctx, request.headers()) {
        return refusal(ctx, 401, "unauthorized", &["authorization: invalid or missing header value"]);
    }
    let as_json = match wants_json(request.headers()) {
        Ok(as_json) => as_json,
        Err(complaint) => return refusal(ctx, 400, "bad_request", &[complaint]),
    };
    let order = match form::read(operation, request).await {
        Ok(order) => order,
        Err(form::Refused::TooLarge) => {
            return refusal(ctx, 413, "payload_too_large", &["body: cannot be larger than 10MiB"]);
        }
        Err(form::Refused::Invalid(complaints)) => {
            let complaints: Vec<&str> = complaints.iter().map(String::as_str).collect();
            return refusal(ctx, 400, "bad_request", &complaints);
        }
    };
    let drawn = ctx.draw("generate");
    if let Some(answer) = app.refuse(&drawn, order.model.ticks()) {
        return answer;
    }

    let id = ctx.id();
    ctx.charge(&id, operation.name(), order.model.executed, order.model.ticks());
    ctx.work(&drawn).await;
    let answer = success(ctx, &drawn, &order, &id, as_json).await;
    ctx.deliver(&drawn, answer).await
}

impl App {
    /// Everything that ends a valid request without a charge.
    fn refuse(&self, drawn: &Drawn, ticks: i64) -> Option<Response> {
        let ctx = &self.ctx;
        if drawn.custom("rate_limit") && !self.limiter.lock().expect("no holder panics").admits(drawn) {
            return Some(refusal(ctx, 429, "rate_limit_exceeded", &[RATE_LIMIT]));
        }
        match drawn.fault() {
            Some(Fault::ResetBefore) => Some(wire::reset()),
            Some(Fault::BadGateway) => Some(wire::bad_gateway()),
            Some(Fault::Internal) => {
                Some(refusal(ctx, 500, "internal_server_error", &["An unexpected server error has occurred"]))
            }
            Some(Fault::TooManyRequests) => Some(refusal(ctx, 429, "rate_limit_exceeded", &[RATE_LIMIT])),
            Some(Fault::Moderation) => Some(refusal(ctx, 403, "content_moderation", &[MODERATED])),
            Some(Fault::Custom("payment_required")) => {
                Some(refusal(ctx, 402, "payment_required", &[NO_CREDIT]))
            }
            _ if balance_ticks(ctx) < ticks => Some(refusal(ctx, 402, "payment_required", &[NO_CREDIT])),
            _ => None,
        }
    }
}

const RATE_LIMIT: &str = "You have exceeded the rate limit of 150 requests within a 10 second period, and \
    have been timed out for 60 seconds.";
const MODERATED: &str = "Your request was flagged by our content moderation system, as a result your request \
    was denied and you were not charged.";
const NO_CREDIT: &str =
    "You lack sufficient credits to make this request. Please purchase more credits and try again.";

async fn success(ctx: &Arc<Ctx>, drawn: &Drawn, order: &Order, id: &str, as_json: bool) -> Response {
    let filtered = drawn.custom("content_filtered");
    let seed = order.seed.unwrap_or_else(|| 1 + ctx.seeds.below(form::SEED_MAX));
    let motif = Motif {
        model: order.model.executed.to_owned(),
        prompt: order.prompt.clone(),
        width: order.size.0,
        height: order.size.1,
        seed,
        format: order.format,
    };
    let file = if filtered { blur(ctx, motif).await } else { ctx.paint(drawn, motif).await };
    let finish_reason = if filtered { "CONTENT_FILTERED" } else { "SUCCESS" };
    let mime = order.format.mime();
    let mut answer = if as_json {
        let body = json!({"image": STANDARD.encode(&file), "seed": seed, "finish_reason": finish_reason});
        // The media type of the picture rides along as a parameter; clients must match by prefix.
        ([(header::CONTENT_TYPE, format!("application/json; type={mime}"))], body.to_string()).into_response()
    } else {
        ([(header::CONTENT_TYPE, mime)], file).into_response()
    };
    let headers = answer.headers_mut();
    headers.insert("finish-reason", HeaderValue::from_static(finish_reason));
    headers.insert("seed", HeaderValue::from(seed));
    headers.insert("x-request-id", request_id(id));
    answer
}

/// Only filtered pictures are blurred, so this is not a step of the frame.
async fn blur(ctx: &Ctx, motif: Motif) -> Bytes {
    let provider = ctx.kind;
    let paint = move || picture::blurred(&motif.picture(provider));
    ctx.studio.make(paint).await
}

async fn balance(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !authorised(&app.ctx, &headers) {
        return version1::refusal(&app.ctx, 401, "unauthorized", "missing authorization header");
    }
    let milli_credits = balance_ticks(&app.ctx).div_euclid(tariff::TICKS_PER_MILLI_CREDIT);
    let credits = format!("{}.{:03}", milli_credits.div_euclid(1000), milli_credits.rem_euclid(1000));
    // The provider sends a JSON number; it is written from digits, never computed as a float.
    let number: Value = serde_json::from_str(&credits).expect("digits with a point are a JSON number");
    Json(json!({"credits": number})).into_response()
}

/// Opening credit minus the bill: resetting the bill also fills the account again.
fn balance_ticks(ctx: &Ctx) -> i64 {
    OPENING_CREDITS * money::TICKS_PER_CENT - ctx.bill.total_ticks()
}

fn authorised(ctx: &Ctx, headers: &HeaderMap) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    given.and_then(|value| value.strip_prefix("Bearer ")).is_some_and(|key| key == ctx.key)
}

/// `Accept` by prefix: a client of the results endpoint writes `application/json; type=image/png`.
fn wants_json(headers: &HeaderMap) -> Result<bool, &'static str> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("image/*");
    if accept.starts_with("application/json") {
        Ok(true)
    } else if accept.starts_with("image/") || accept.starts_with("*/*") {
        Ok(false)
    } else {
        Err("accept: must be one of image/*, application/json")
    }
}

fn refusal(ctx: &Ctx, status: u16, name: &str, errors: &[&str]) -> Response {
    let id = ctx.id();
    let status = StatusCode::from_u16(status).expect("the statuses of this module are valid");
    let body = Json(json!({"id": id, "name": name, "errors": errors}));
    (status, [("x-request-id", request_id(&id))], body).into_response()
}

fn request_id(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).expect("hexadecimal digits are a header value")
}

/// The provider's request limit: a sliding window, and a time-out for whoever exceeds it.
#[derive(Debug, Default)]
struct Limiter {
    recent: VecDeque<Instant>,
    closed_until: Option<Instant>,
}

impl Limiter {
    fn admits(&mut self, drawn: &Drawn) -> bool {
        let fault = Fault::Custom("rate_limit");
        let parameter = |name, usual| drawn.number(fault, name).unwrap_or(usual);
        let window = Duration::from_millis(parameter("window_ms", 10_000));
        let now = Instant::now();
        if self.closed_until.is_some_and(|until| now < until) {
            return false;
        }
        while self.recent.front().is_some_and(|first| now.duration_since(*first) >= window) {
            self.recent.pop_front();
        }
        if self.recent.len() as u64 >= parameter("requests", 150) {
            self.closed_until = Some(now + Duration::from_millis(parameter("pause_ms", 60_000)));
            return false;
        }
        self.recent.push_back(now);
        true
    }
}
