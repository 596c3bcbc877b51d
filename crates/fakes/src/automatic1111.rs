//! Stand-in of the AUTOMATIC1111 web interface's API: one engine, one lock, seconds instead of prices.
//!
//! Requests are made one after another behind a global lock; `X-Process-Time` counts the wait too. Work is
//! not slept but reckoned (`automatic1111/effort.rs`), so the reported time is repeatable and the bill is
//! exactly the reported digits at the price of a GPU-hour ([`Options`]). Every request that makes pictures is
//! billed for its seconds, interrupted and failed ones too: a GPU costs the same while it fails. No key is
//! asked for, unless the stand-in's key has the form `user:password`: then HTTP Basic is on.
//! Engines moderate nothing, so the common fault `moderation` changes nothing here.
//! Not built: img2img, upscaling, `enable_hr`, `/internal`. Own fault: `oom` (500, out of memory after loading). `500`, `502` and `429` come from in front of the
//! engine and cost nothing. Next: `automatic1111/request.rs`, `automatic1111/engine.rs`.

mod effort;
mod engine;
mod lists;
mod request;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::ctx::Ctx;
use crate::faults::Fault;
use crate::wire;
use effort::TenThousandths;
use engine::Engine;

pub const KIND: &str = "automatic1111";
/// Faults of its own that exclude others.
pub const FAULTS: &[&str] = &["oom"];
/// Faults of its own that combine with others.
pub const MANNERS: &[&str] = &[];
/// What a picture really takes at full latency; the reported seconds are another matter.
pub const LATENCY_MS: u64 = 1_500;

/// What the GPU costs.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Price of `per_seconds` seconds.
    pub gpu_ticks: i64,
    pub per_seconds: i64,
}

impl Default for Options {
    /// 1.10 dollars an hour.
    fn default() -> Options {
        Options { gpu_ticks: crate::money::ticks("1.10"), per_seconds: 3_600 }
    }
}

struct App {
    ctx: Arc<Ctx>,
    options: Options,
    engine: Engine,
}

pub fn router(ctx: Arc<Ctx>) -> Router {
    router_with(ctx, Options::default())
}

/// As [`router`], with another price of the GPU.
pub fn router_with(ctx: Arc<Ctx>, options: Options) -> Router {
    let app = Arc::new(App { ctx, options, engine: Engine::default() });
    Router::new()
        .route("/sdapi/v1/txt2img", post(text_to_image))
        .route("/sdapi/v1/progress", get(progress))
        .route("/sdapi/v1/interrupt", post(interrupt))
        .route("/sdapi/v1/skip", post(skip))
        .route("/sdapi/v1/options", get(options_shown).post(options_set))
        .route("/sdapi/v1/sd-models", get(|| async { Json(lists::models()) }))
        .route("/sdapi/v1/samplers", get(|| async { Json(lists::samplers()) }))
        .route("/sdapi/v1/schedulers", get(|| async { Json(lists::schedulers()) }))
        .route("/sdapi/v1/upscalers", get(|| async { Json(lists::upscalers()) }))
        .route("/sdapi/v1/scripts", get(|| async { Json(json!({"txt2img": [], "img2img": []})) }))
        .route("/sdapi/v1/memory", get(|| async { Json(lists::memory()) }))
        .route("/sdapi/v1/cmd-flags", get(|| async { Json(json!({"api": true, "listen": false})) }))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&app), guard))
        .fallback(|| async { detail(StatusCode::NOT_FOUND, &json!("Not Found")) })
        .with_state(app)
}

/// Basic auth where it is on, and the header that the engine puts on every answer.
async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut answer = if admits(&app.ctx, request.headers()) {
        next.run(request).await
    } else {
        let mut refused = detail(StatusCode::UNAUTHORIZED, &json!("Incorrect username or password"));
        refused.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
        refused
    };
    // Handlers that make pictures have set their own. A bare 5xx comes from in front of the application
    // (a proxy, a crash), where nobody measures.
    let measured = !answer.status().is_server_error();
    let headers = answer.headers_mut();
    if measured && !headers.contains_key(PROCESS_TIME) {
        headers.insert(PROCESS_TIME, HeaderValue::from_static("0.0001"));
    }
    answer
}

const PROCESS_TIME: &str = "x-process-time";

fn admits(ctx: &Ctx, headers: &HeaderMap) -> bool {
    if !ctx.key.contains(':') {
        return true;
    }
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let decoded = given.and_then(|value| STANDARD.decode(value.strip_prefix("Basic ")?).ok());
    decoded.is_some_and(|pair| pair == ctx.key.as_bytes())
}

async fn text_to_image(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let (order, echo) = match request::read(&body) {
        Ok(read) => read,
        Err(refused) => return refused.into_response(),
    };
    let drawn = app.ctx.draw("txt2img");
    match drawn.fault() {
        Some(Fault::ResetBefore) => return wire::reset(),
        Some(Fault::BadGateway) => return wire::bad_gateway(),
        Some(Fault::Internal) => return exception("RuntimeError", "Unexpected error in the engine"),
        // The engine itself never throttles; this is what a proxy in front of it does.
        Some(Fault::TooManyRequests) => {
            return (StatusCode::TOO_MANY_REQUESTS, "Too Many Requests\n").into_response();
        }
        _ => {}
    }
    let checkpoint = match app.engine.checkpoint_for(&order) {
        Ok(checkpoint) => checkpoint,
        Err(unknown) => return exception("RuntimeError", &format!("Unknown checkpoint: {unknown}")),
    };

    let total = effort::seconds(&order);
    let turn = app.engine.wait(total).await;
    let id = app.ctx.id();
    if drawn.custom("oom") {
        let spent = turn.waited + effort::loading();
        app.charge(&id, &checkpoint, spent);
        let text = "CUDA out of memory. Tried to allocate 2.00 GiB";
        return reporting(exception("OutOfMemoryError", text), spent);
    }
    let done = app.engine.work(&app.ctx, &drawn, &order).await;
    let spent = turn.waited + if done == 100 { total } else { effort::part(&order, done) };
    app.charge(&id, &checkpoint, spent);
    drop(turn);

    let seed = order.seed.unwrap_or_else(|| app.ctx.seeds.below(1 << 32));
    let pictures = engine::paint(&app.ctx, &drawn, &order, &checkpoint, seed, done).await;
    let images: Vec<String> = if order.send_images {
        pictures.iter().map(|file| STANDARD.encode(file)).collect()
    } else {
        Vec::new()
    };
    let info = engine::info(&order, &checkpoint, seed);
    // `info` is JSON inside a string, as the engine sends it.
    let answer =
        Json(json!({"images": images, "parameters": echo, "info": info.to_string()})).into_response();
    app.ctx.deliver(&drawn, reporting(answer, spent)).await
}

impl App {
    /// The reported digits at the GPU's price, rounded half up once.
    fn charge(&self, id: &str, checkpoint: &str, spent: TenThousandths) {
        let ticks = spent.cost(self.options.gpu_ticks, self.options.per_seconds);
        self.ctx.charge(id, "txt2img", checkpoint, ticks);
    }
}

fn reporting(mut answer: Response, spent: TenThousandths) -> Response {
    let seconds = HeaderValue::from_str(&spent.to_string()).expect("digits are a header value");
    answer.headers_mut().insert(PROCESS_TIME, seconds);
    answer
}

async fn progress(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.engine.progress())
}

async fn interrupt(State(app): State<Arc<App>>) -> Json<Value> {
    app.engine.interrupt();
    Json(json!({}))
}

/// One picture a job is all that this engine runs, so skipping it is interrupting.
async fn skip(State(app): State<Arc<App>>) -> Json<Value> {
    app.engine.interrupt();
    Json(Value::Null)
}

async fn options_shown(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.engine.options())
}

async fn options_set(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let Ok(Value::Object(wanted)) = serde_json::from_slice(&body) else {
        let entry = json!({"loc": ["body"], "msg": "value is not a valid dict", "type": "type_error.dict"});
        return detail(StatusCode::UNPROCESSABLE_ENTITY, &json!([entry]));
    };
    match app.engine.set_options(wanted) {
        Ok(()) => Json(Value::Null).into_response(),
        Err(unknown) => exception("RuntimeError", &format!("model '{unknown}' not found")),
    }
}

/// FastAPI's own shape of a refusal.
fn detail(status: StatusCode, detail: &Value) -> Response {
    (status, Json(json!({"detail": detail}))).into_response()
}

/// How A1111 (but not Forge) wraps what it did not expect, mistakes of clients included.
fn exception(name: &str, errors: &str) -> Response {
    let body = json!({"error": name, "detail": "", "body": "", "errors": errors});
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}
