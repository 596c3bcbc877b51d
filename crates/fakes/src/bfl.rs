//! Black Forest Labs: submit to `/v1/MODEL`, poll the link of the answer, fetch the sample.
//!
//! A task is charged when it is accepted, at its settled cost: it runs to its end whether or not anybody
//! polls. Not charged: what is refused at submission, `Request Moderated` and `Error`. `Content Moderated` is
//! charged, because it is not known that it is not. Links are on the origin that the client used. Refuses
//! webhooks' delivery (the answer has their form), fill, expand, tools and finetunes: not built.
//! Next: `bfl/request.rs` (what is accepted), `bfl/models.rs` (what it costs), `bfl/job.rs` (how it ends).

mod job;
mod models;
mod request;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use self::job::{Ending, Found, Job, Jobs, RUNNING_MAX};
use self::models::Model;
use self::request::Submission;
use crate::ctx::{Ctx, Motif};
use crate::faults::{Drawn, Fault};
use crate::money::{self, TICKS_PER_CENT};
use crate::wire::{self, Front};

pub const KIND: &str = "bfl";
/// `content_moderated`: made, charged, withheld. `task_error`: fails and is free. `insufficient_credits`: 402.
pub const FAULTS: &[&str] = &["content_moderated", "task_error", "insufficient_credits"];
/// All are drawn at submission and combine. `null_cost`: no cost anywhere. `no_settled_cost`: none in the
/// result. `settled_differs`: the result's cost is `numerator / denominator` (3/2) of the first.
/// `not_found_first`: polls are 404 for `ms` (200). `other_host`: the polling link names localhost where the
/// client said 127.0.0.1 and the other way round. `moderation_422`: a moderated task is answered with 422
/// (alone it means `Request Moderated`). `failed_500`: a failed task is answered with 500 (alone it means
/// `Error`). `sample_expires`: the picture's link dies after `ms` (0).
pub const MANNERS: &[&str] = &[
    "null_cost",
    "no_settled_cost",
    "settled_differs",
    "not_found_first",
    "other_host",
    "moderation_422",
    "failed_500",
    "sample_expires",
];
pub const LATENCY_MS: u64 = 120;

/// Ten thousand dollars, so that nobody runs out by accident.
const CREDIT_TICKS: i64 = 10_000 * money::TICKS_PER_USD;

/// What the handlers share.
#[derive(Debug)]
struct Desk {
    ctx: Arc<Ctx>,
    jobs: Jobs,
}

pub fn router(ctx: Arc<Ctx>) -> Router {
    let desk = Arc::new(Desk { ctx: Arc::clone(&ctx), jobs: Jobs::default() });
    Router::new()
        .route("/v1/credits", get(credits))
        .route("/v1/get_result", get(poll))
        .route("/v1/{model}", post(submit))
        .layer(middleware::from_fn_with_state(ctx, check_key))
        .route("/delivery/{id}/{file}", get(download))
        .fallback(not_found)
        .with_state(desk)
}

/// The answer to a submission; costs keep their digits.
#[derive(Serialize)]
struct Accepted {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    polling_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook_url: Option<String>,
    cost: Option<Box<RawValue>>,
    input_mp: Box<RawValue>,
    output_mp: Box<RawValue>,
}

/// The answer to a poll.
#[derive(Serialize)]
struct Polled {
    id: String,
    status: &'static str,
    result: Option<Value>,
    progress: Option<Value>,
    details: Option<Value>,
    preview: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Wanted {
    id: String,
}

async fn check_key(State(ctx): State<Arc<Ctx>>, request: Request, next: Next) -> Response {
    let given = request.headers().get("x-key").and_then(|key| key.to_str().ok());
    if given == Some(ctx.key.as_str()) {
        return next.run(request).await;
    }
    detail(StatusCode::FORBIDDEN, "Not authenticated")
}

async fn submit(
    State(desk): State<Arc<Desk>>,
    Path(path): Path<String>,
    Extension(front): Extension<Front>,
    body: Bytes,
) -> Response {
    let ctx = &desk.ctx;
    let Some(model) = models::find(&path) else { return not_found().await };
    let submission = match Submission::read(model, &body) {
        Ok(submission) => submission,
        Err(refusal) => return refusal.into_response(),
    };
    let drawn = ctx.draw("submit");
    if let Some(refusal) = refused(&drawn) {
        return refusal;
    }
    if desk.jobs.running() >= RUNNING_MAX {
        return too_many(None);
    }
    let id = ctx.uuid();
    let list = model.pricing.list_ticks(submission.pixels(), &submission.inputs, submission.resolution);
    let estimate = ctx.price(list);
    let settled = accept(&desk, model, &submission, &drawn, (&id, estimate));
    if settled > 0 {
        ctx.bill.charge_request(&id, "submit", model.path, settled, Some(&id));
    }
    let polling_url = format!("{}/v1/get_result?id={id}", polling_origin(&front, &drawn));
    let webhook_url = submission.webhook_url.clone();
    let answer = Accepted {
        id,
        status: webhook_url.is_some().then_some("Pending"),
        polling_url: webhook_url.is_none().then_some(polling_url),
        webhook_url,
        cost: (!drawn.custom("null_cost")).then(|| credit(estimate)),
        input_mp: raw(models::shown_megapixels(submission.inputs.iter().sum())),
        output_mp: raw(models::shown_megapixels(submission.pixels())),
    };
    ctx.deliver(&drawn, Json(answer).into_response()).await
}

/// Decides how the task ends, puts it on the list, and says what it costs in the end.
fn accept(
    desk: &Desk,
    model: &'static Model,
    submission: &Submission,
    drawn: &Drawn,
    (id, estimate): (&str, i64),
) -> i64 {
    let ctx = &desk.ctx;
    let ending = match drawn.fault() {
        Some(Fault::Moderation) => Ending::RequestModerated,
        Some(Fault::Custom("content_moderated")) => Ending::ContentModerated,
        Some(Fault::Custom("task_error")) => Ending::Error,
        None if drawn.custom("failed_500") => Ending::Error,
        None if drawn.custom("moderation_422") => Ending::RequestModerated,
        _ => Ending::Ready,
    };
    let settled = match ending {
        Ending::RequestModerated | Ending::Error => 0,
        Ending::Ready | Ending::ContentModerated => settled(drawn, estimate),
    };
    let motif = Motif {
        model: model.path.to_owned(),
        prompt: submission.prompt.clone(),
        width: submission.width,
        height: submission.height,
        seed: submission.seed.unwrap_or_else(|| ctx.seeds.below(1 << 32)),
        format: submission.format,
    };
    let silent = drawn.custom("null_cost") || drawn.custom("no_settled_cost");
    let hidden_ms = if drawn.custom("not_found_first") {
        drawn.number(Fault::Custom("not_found_first"), "ms").unwrap_or(200)
    } else {
        0
    };
    let polls = 2 + u32::try_from(ctx.seeds.below(3)).expect("it is below three");
    let job = Job::new(model, motif, drawn.clone(), ending, ctx.now());
    let mut job = job.paced(ctx.latency_ms + drawn.latency_ms(), polls, hidden_ms);
    job.settled = (!silent).then_some(settled);
    desk.jobs.add(id, job);
    settled
}

fn settled(drawn: &Drawn, estimate: i64) -> i64 {
    const DIFFERS: Fault = Fault::Custom("settled_differs");
    if !drawn.custom("settled_differs") {
        return estimate;
    }
    let part = |name| drawn.number(DIFFERS, name).and_then(|part| i64::try_from(part).ok());
    money::scaled(estimate, part("numerator").unwrap_or(3), part("denominator").unwrap_or(2).max(1))
}

/// Refusals of the script that cost nothing.
fn refused(drawn: &Drawn) -> Option<Response> {
    let fault = drawn.fault()?;
    match fault {
        Fault::ResetBefore => Some(wire::reset()),
        Fault::BadGateway => Some(wire::bad_gateway()),
        Fault::Internal => Some(detail(StatusCode::INTERNAL_SERVER_ERROR, "Internal server error")),
        Fault::TooManyRequests => Some(too_many(drawn.number(fault, "retry_after_s"))),
        Fault::Custom("insufficient_credits") => {
            let message = "Insufficient credits. Please add credits to your account to continue.";
            Some(detail(StatusCode::PAYMENT_REQUIRED, message))
        }
        _ => None,
    }
}

async fn poll(
    State(desk): State<Arc<Desk>>,
    Extension(front): Extension<Front>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let drawn = desk.ctx.draw_secondary("poll");
    if let Some(refusal) = refused(&drawn) {
        return refusal;
    }
    // Latency of the stand-in is in the task; a poll is quick unless the script says otherwise.
    tokio::time::sleep(Duration::from_millis(drawn.latency_ms())).await;
    let bare = |status| Polled {
        id: wanted.id.clone(),
        status,
        result: None,
        progress: None,
        details: None,
        preview: None,
        cost: None,
    };
    let answer = match desk.jobs.poll(&wanted.id) {
        Found::Nothing => (StatusCode::NOT_FOUND, Json(bare("Task not found"))).into_response(),
        Found::Working(status) => Json(bare(status)).into_response(),
        Found::Done(job) => finished(&desk, &front, &job, bare(job.ending.status())),
    };
    desk.ctx.deliver(&drawn, answer).await
}

/// What a poll shows of a task that has ended.
fn finished(desk: &Desk, front: &Front, job: &Job, mut polled: Polled) -> Response {
    polled.cost = job.settled.map(credit);
    let status = match job.ending {
        Ending::Ready => {
            polled.result = Some(result(desk, front, job, &polled.id));
            StatusCode::OK
        }
        Ending::RequestModerated | Ending::ContentModerated => {
            polled.details = Some(json!({"Moderation Reasons": ["Safety Filter"]}));
            let wrapped = job.drawn.custom("moderation_422");
            if wrapped { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
        }
        Ending::Error if job.drawn.custom("failed_500") => StatusCode::INTERNAL_SERVER_ERROR,
        Ending::Error => StatusCode::OK,
    };
    (status, Json(polled)).into_response()
}

fn result(desk: &Desk, front: &Front, job: &Job, id: &str) -> Value {
    let started = job.submitted.as_millisecond();
    let ended = desk.ctx.now().as_millisecond();
    let seconds = |ms: i64| ms as f64 / 1000.0;
    json!({
        "sample": format!("{}/delivery/{id}/sample.{}?sig=fake", front.0, job.motif.format.extension()),
        "prompt": job.motif.prompt,
        "seed": job.motif.seed,
        "start_time": seconds(started),
        "end_time": seconds(ended),
        "duration": seconds(ended - started),
    })
}

/// The picture; needs no key and lives for a while.
async fn download(State(desk): State<Arc<Desk>>, Path((id, _)): Path<(String, String)>) -> Response {
    const EXPIRES: Fault = Fault::Custom("sample_expires");
    let drawn = desk.ctx.draw_secondary("download");
    if let Some(refusal) = refused(&drawn) {
        return refusal;
    }
    let Some(job) = desk.jobs.get(&id).filter(|job| job.ending == Ending::Ready) else {
        return not_found().await;
    };
    let lifetime = if job.drawn.custom("sample_expires") {
        Duration::from_millis(job.drawn.number(EXPIRES, "ms").unwrap_or(0))
    } else {
        Duration::from_secs(job.model.sample_s)
    };
    if !job.sample_alive(lifetime) {
        return detail(StatusCode::FORBIDDEN, "Signature not valid in the specified time frame");
    }
    tokio::time::sleep(Duration::from_millis(drawn.latency_ms())).await;
    let mime = job.motif.format.mime();
    let picture = desk.ctx.paint(&job.drawn, job.motif.clone()).await;
    desk.ctx.deliver(&drawn, ([(header::CONTENT_TYPE, mime)], picture).into_response()).await
}

async fn credits(State(desk): State<Arc<Desk>>) -> Response {
    #[derive(Serialize)]
    struct Credits {
        credits: Box<RawValue>,
    }
    Json(Credits { credits: credit(CREDIT_TICKS - desk.ctx.bill.total_ticks()) }).into_response()
}

/// The client's origin, or the same address under its other name.
fn polling_origin(front: &Front, drawn: &Drawn) -> String {
    let origin = &front.0;
    if !drawn.custom("other_host") {
        return origin.clone();
    }
    if origin.contains("//127.0.0.1") {
        return origin.replacen("127.0.0.1", "localhost", 1);
    }
    origin.replacen("localhost", "127.0.0.1", 1)
}

fn credit(ticks: i64) -> Box<RawValue> {
    raw(money::decimal(ticks, TICKS_PER_CENT))
}

fn raw(digits: String) -> Box<RawValue> {
    RawValue::from_string(digits).expect("digits are a JSON number")
}

fn too_many(retry_after_s: Option<u64>) -> Response {
    let message = "Too many active tasks. Please wait for some of them to finish.";
    let mut answer = detail(StatusCode::TOO_MANY_REQUESTS, message);
    if let Some(seconds) = retry_after_s {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

fn detail(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"detail": message}))).into_response()
}

async fn not_found() -> Response {
    detail(StatusCode::NOT_FOUND, "Not Found")
}

#[cfg(test)]
mod tests;
