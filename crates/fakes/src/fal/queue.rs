//! What clients see of a job: submission, status, result, cancel, the synchronous call and the files.
//!
//! Every status has a `logs` key, since the Python SDK reads it without asking. A failed job is `COMPLETED`
//! too; its own status comes with the result. `x-fal-billable-units` is on the result whenever the job was
//! billed. Next: `job.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::input::Order;
use super::job::{Ending, Job, Phase};
use super::{App, failure, models, refuse, unknown_request};
use crate::faults::Fault;
use crate::picture;

/// Time between two events of a status stream.
const STREAM_STEP: Duration = Duration::from_millis(100);

pub(super) async fn submit(app: &App, front: &str, head: &Parts, endpoint: &str, body: &[u8]) -> Response {
    let Some(model) = models::find(endpoint) else { return unknown_application(endpoint) };
    if head.uri.query().is_some_and(|query| query.contains("fal_webhook=")) {
        // Taking it and never calling back would look like a job that does not end.
        return failure(501, "not_implemented", &json!("This stand-in sends no webhooks: poll instead"));
    }
    let drawn = app.ctx.draw("submit");
    if let Some(answer) = refuse(drawn.fault()) {
        return answer;
    }
    let job = app.enqueue(head, model, body, drawn.clone());
    let mut answer = links(front, &job);
    answer["status"] = json!("IN_QUEUE");
    answer["queue_position"] = json!(position(app, &job));
    let answer = with_id(Json(answer).into_response(), &job);
    match drawn.fault() {
        Some(Fault::Hang | Fault::ResetAfter) => app.ctx.deliver(&drawn, answer).await,
        _ => answer,
    }
}

/// The synchronous host: the same job, awaited.
pub(super) async fn run(app: &App, front: &str, head: &Parts, endpoint: &str, body: &[u8]) -> Response {
    let Some(model) = models::find(endpoint) else { return unknown_application(endpoint) };
    let drawn = app.ctx.draw("run");
    if let Some(answer) = refuse(drawn.fault()) {
        return answer;
    }
    // Only the queue lets the excess wait.
    if app.runners.available_permits() == 0 {
        return refuse(Some(Fault::TooManyRequests)).expect("this fault is a refusal");
    }
    let job = app.enqueue(head, model, body, drawn.clone());
    job.ended.cancelled().await;
    let answer = finished(app, front, &job).await;
    match drawn.fault() {
        Some(Fault::Hang | Fault::ResetAfter) => app.ctx.deliver(&drawn, answer).await,
        _ => answer,
    }
}

pub(super) async fn status(app: &App, front: &str, job: &Arc<Job>, logs: bool) -> Response {
    let drawn = app.ctx.draw_secondary("status");
    if let Some(answer) = refuse(drawn.fault()) {
        return answer;
    }
    let (code, body) = status_body(app, front, job, logs);
    app.ctx.deliver(&drawn, with_id((code, Json(body)).into_response(), job)).await
}

/// Server-sent events of the status until the job has ended.
pub(super) fn status_stream(app: Arc<App>, front: String, job: Arc<Job>, logs: bool) -> Response {
    let events = stream::unfold(Some((app, front, job, false)), move |state| async move {
        let (app, front, job, later) = state?;
        if later {
            tokio::time::sleep(STREAM_STEP).await;
        }
        let (code, body) = status_body(&app, &front, &job, logs);
        let event = Ok::<_, std::io::Error>(Bytes::from(format!("data: {body}\n\n")));
        let next = (code != StatusCode::OK).then_some((app, front, job, true));
        Some((event, next))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response()
}

pub(super) async fn result(app: &App, front: &str, job: &Arc<Job>) -> Response {
    let drawn = app.ctx.draw_secondary("result");
    if let Some(answer) = refuse(drawn.fault()) {
        return answer;
    }
    let answer = match job.phase() {
        Phase::Finished(_) => finished(app, front, job).await,
        _ => failure(400, "bad_request", &json!("Request is still in progress")),
    };
    app.ctx.deliver(&drawn, answer).await
}

pub(super) async fn cancel(app: &App, job: &Arc<Job>) -> Response {
    let drawn = app.ctx.draw_secondary("cancel");
    if let Some(answer) = refuse(drawn.fault()) {
        return answer;
    }
    let (code, word) = if job.leave_queue() {
        (StatusCode::OK, "OK")
    } else if let Phase::Running = job.phase() {
        // Only a signal: the app decides, and `cancel_ignored` is an app that does not care.
        job.cancel.cancel();
        (StatusCode::ACCEPTED, "CANCELLATION_REQUESTED")
    } else {
        (StatusCode::BAD_REQUEST, "ALREADY_COMPLETED")
    };
    app.ctx.deliver(&drawn, (code, Json(json!({"status": word}))).into_response()).await
}

/// `/files/{job}/{index}.{extension}`, open to everybody as the provider's file host is.
pub(super) async fn download(app: &App, segments: &[&str]) -> Response {
    let ["files", id, name] = segments else { return unknown_request() };
    let index = name.split('.').next().and_then(|index| index.parse().ok());
    let Some((job, index)) = app.job_by_id(id).zip(index) else { return unknown_request() };
    let has_files = job.order.as_ref().is_ok_and(|order| !order.sync_mode);
    if !has_files || !matches!(job.phase(), Phase::Finished(Ending::Pictures)) {
        return unknown_request();
    }
    let drawn = app.ctx.draw_secondary("download");
    if let Some(answer) = refuse(drawn.fault()) {
        return answer;
    }
    let Some((file, mime)) = paint(app, &job, index).await else { return unknown_request() };
    let answer = ([(header::CONTENT_TYPE, mime)], file).into_response();
    let answer = match job.drawn.fault() {
        Some(Fault::Truncated | Fault::Malformed) => app.ctx.deliver(&job.drawn, answer).await,
        _ => answer,
    };
    app.ctx.deliver(&drawn, answer).await
}

async fn paint(app: &App, job: &Job, index: u32) -> Option<(Bytes, &'static str)> {
    let motif = job.motif(index)?;
    let format = motif.format;
    let file = if job.is_black() {
        picture::black(motif.width, motif.height, format)
    } else {
        app.ctx.paint(&job.drawn, motif).await
    };
    Some((file, format.mime()))
}

fn status_body(app: &App, front: &str, job: &Job, logs: bool) -> (StatusCode, Value) {
    let mut body = links(front, job);
    let lines = || {
        let line = |message: &String| json!({"message": message, "level": "INFO", "source": "USER", "timestamp": job.submitted.to_string()});
        if logs { json!(job.notes.iter().map(line).collect::<Vec<_>>()) } else { Value::Null }
    };
    body["logs"] = Value::Null;
    let code = match job.phase() {
        Phase::Queued => {
            body["status"] = json!("IN_QUEUE");
            body["queue_position"] = json!(position(app, job));
            StatusCode::ACCEPTED
        }
        Phase::Running => {
            body["status"] = json!("IN_PROGRESS");
            body["logs"] = lines();
            StatusCode::ACCEPTED
        }
        Phase::Finished(ending) => {
            body["status"] = json!("COMPLETED");
            body["logs"] = lines();
            body["metrics"] = json!({"inference_time": inference_seconds(app, job)});
            if let Ending::Failed(_, error_type, detail) = ending {
                let words = detail.as_str().or_else(|| detail[0]["msg"].as_str()).unwrap_or_default();
                body["error"] = json!(words);
                body["error_type"] = json!(error_type);
            }
            StatusCode::OK
        }
    };
    (code, body)
}

/// The answer of a job that has ended, whichever way.
async fn finished(app: &App, front: &str, job: &Arc<Job>) -> Response {
    let mut answer = match (job.phase(), &job.order) {
        (Phase::Finished(Ending::Failed(status, error_type, detail)), _) => {
            failure(status, error_type, &detail)
        }
        (_, Ok(order)) => {
            let answer = Json(output(app, front, job, order).await).into_response();
            match job.drawn.fault() {
                Some(Fault::Truncated | Fault::Malformed) if order.sync_mode => {
                    app.ctx.deliver(&job.drawn, answer).await
                }
                _ => answer,
            }
        }
        (_, Err(detail)) => failure(422, "validation_error", detail),
    };
    if let Some(charge) = job.charge() {
        let units = HeaderValue::from_str(&charge.units).expect("digits are a header value");
        answer.headers_mut().insert("x-fal-billable-units", units);
    }
    with_id(answer, job)
}

async fn output(app: &App, front: &str, job: &Arc<Job>, order: &Order) -> Value {
    let mut images = Vec::new();
    for index in 0..order.images {
        let url = if order.sync_mode {
            let (file, mime) = paint(app, job, index).await.expect("the index is below the order's count");
            format!("data:{mime};base64,{}", STANDARD.encode(file))
        } else {
            format!("{front}/files/{}/{index}.{}", job.id, order.format.extension())
        };
        images.push(json!({"url": url, "width": order.width, "height": order.height,
            "content_type": order.format.mime()}));
    }
    let concepts = vec![job.is_black(); images.len()];
    json!({
        "images": images,
        "timings": {"inference": inference_seconds(app, job)},
        "seed": job.seed,
        "has_nsfw_concepts": concepts,
        "prompt": order.prompt,
    })
}

fn inference_seconds(app: &App, job: &Job) -> f64 {
    (app.ctx.latency_ms + job.drawn.latency_ms()) as f64 / 1000.0
}

/// The addresses of a job. They drop what follows the app's name.
fn links(front: &str, job: &Job) -> Value {
    let base = format!("{front}/{}/requests/{}", job.model.app(), job.id);
    json!({
        "status": Value::Null,
        "request_id": job.id,
        "gateway_request_id": job.id,
        "response_url": base,
        "status_url": format!("{base}/status"),
        "cancel_url": format!("{base}/cancel"),
    })
}

/// Jobs before this one that have not found a runner.
fn position(app: &App, job: &Job) -> usize {
    let before = |other: &&Arc<Job>| other.number < job.number && matches!(other.phase(), Phase::Queued);
    app.jobs_in_order().iter().filter(before).count()
}

fn with_id(mut answer: Response, job: &Job) -> Response {
    let id = HeaderValue::from_str(&job.id).expect("a UUID is a header value");
    answer.headers_mut().insert("x-fal-request-id", id);
    answer
}

fn unknown_application(endpoint: &str) -> Response {
    let name = endpoint.split('/').nth(1).unwrap_or(endpoint);
    failure(404, "not_found", &json!(format!("Application '{name}' not found")))
}
