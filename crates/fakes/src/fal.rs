//! Stand-in of fal: the queue, the synchronous host, result files, prices and billing events on one origin.
//!
//! `POST /{owner}/{app}[/…]` submits, and the addresses in the answer drop everything after the app, as
//! queue.fal.run does. The synchronous host fal.run is served under `/run/…`, or at the root for requests
//! whose `Host` is `fal.run`; api.fal.ai under `/v1/…`, with the key plus `-admin` as its admin key; result
//! files under `/files/…` without a key. Jobs run and are billed whether or not anybody polls.
//! Own faults: `moderation_billed` (the common `moderation` is free; both are a 422 on the result),
//! `nsfw_black` (a black picture, billed), `completed_error`. Manners: `cancel_ignored`, `fallback` (another
//! model executes unless `x-app-fal-disable-fallback` is sent), `queue_wait` (`ms`). `truncated` and
//! `malformed` spoil the file, or the result with `sync_mode`. Secondary operations are `status`, `result`,
//! `cancel`, `download`. Not built: webhooks, uploads, image inputs.
//! `price_changed` moves bill and billing events; reported units and the price list stay.

mod input;
mod job;
mod models;
mod platform;
mod queue;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::ctx::Ctx;
use crate::faults::Fault;
use crate::feeds::spoilt;
use crate::wire::{self, Front};
use job::{Brief, Job};

pub const KIND: &str = "fal";
/// Faults of its own that exclude others.
pub const FAULTS: &[&str] = &["moderation_billed", "nsfw_black", "completed_error"];
/// Faults of its own that combine with others.
pub const MANNERS: &[&str] = &["cancel_ignored", "fallback", "queue_wait"];
/// What an inference usually takes.
pub const LATENCY_MS: u64 = 2_500;

/// Requests that run at a time: the most that purchased credits lead to.
const RUNNERS: usize = 40;
/// Remembered jobs; the oldest ended ones go first.
const JOBS_MAX: usize = 10_000;
const BODY_BYTES_MAX: usize = 64 << 20;
/// What takes over when a fallback is allowed.
const FALLBACK_MODEL: &str = "fal-ai/flux/schnell";

/// Headers that steer the platform; what was sent of them appears in the logs of the job.
const STEERING: &[&str] = &[
    "x-fal-no-retry",
    "x-app-fal-disable-fallback",
    "x-fal-request-timeout",
    "x-fal-queue-priority",
    "x-fal-runner-hint",
    "x-fal-store-io",
    "x-fal-object-lifecycle-preference",
];

struct App {
    ctx: Arc<Ctx>,
    runners: Arc<Semaphore>,
    jobs: Mutex<Jobs>,
    /// Runs of all jobs; dropped with the stand-in, which ends them.
    runs: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Jobs {
    by_id: HashMap<String, Arc<Job>>,
    in_order: VecDeque<Arc<Job>>,
    submitted: u64,
}

pub fn router(ctx: Arc<Ctx>) -> Router {
    let app = App {
        ctx,
        runners: Arc::new(Semaphore::new(RUNNERS)),
        jobs: Mutex::default(),
        runs: Mutex::default(),
    };
    Router::new().fallback(dispatch).with_state(Arc::new(app))
}

/// Model ids have any number of segments, so addresses are taken apart by hand.
async fn dispatch(State(app): State<Arc<App>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().trim_matches('/').to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    if let ("files", Method::GET) = (segments[0], head.method.clone()) {
        return queue::download(&app, &segments).await;
    }
    let Some(caller) = caller(&app.ctx, &head) else {
        let message = "Authentication is required to access this application.";
        return failure(401, "unauthorized", &json!(message));
    };
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return failure(413, "request_too_large", &json!("Request body is too large"));
    };
    if segments[0] == "v1" {
        let answer = platform::answer(&app, caller, &head, &segments[1..], &body);
        let operation = if segments.contains(&"pricing") { "pricing" } else { "platform" };
        return spoilt(&app.ctx, operation, answer).await;
    }
    let front =
        head.extensions.get::<Front>().map_or_else(|| app.ctx.origin.clone(), |front| front.0.clone());
    match (head.method.as_str(), segments.as_slice()) {
        ("POST", ["run", endpoint @ ..]) => queue::run(&app, &front, &head, &endpoint.join("/"), &body).await,
        ("POST", _) if is_synchronous_host(&head) => queue::run(&app, &front, &head, &path, &body).await,
        ("POST", _) => queue::submit(&app, &front, &head, &path, &body).await,
        ("GET", [owner, name, "requests", id, "status"]) => {
            let Some(job) = app.job(owner, name, id) else { return unknown_request() };
            queue::status(&app, &front, &job, asks_for_logs(&head)).await
        }
        ("GET", [owner, name, "requests", id, "status", "stream"]) => {
            let Some(job) = app.job(owner, name, id) else { return unknown_request() };
            queue::status_stream(app, front, job, asks_for_logs(&head))
        }
        ("GET", [owner, name, "requests", id]) => {
            let Some(job) = app.job(owner, name, id) else { return unknown_request() };
            queue::result(&app, &front, &job).await
        }
        ("PUT", [owner, name, "requests", id, "cancel"]) => {
            let Some(job) = app.job(owner, name, id) else {
                return (StatusCode::NOT_FOUND, Json(json!({"status": "NOT_FOUND"}))).into_response();
            };
            queue::cancel(&app, &job).await
        }
        _ => failure(404, "not_found", &json!("Not Found")),
    }
}

/// Whose key came with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    User,
    Admin,
}

fn caller(ctx: &Ctx, head: &Parts) -> Option<Caller> {
    let given = head.headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Key ")?;
    if given == ctx.key {
        Some(Caller::User)
    } else {
        (given.strip_suffix("-admin")? == ctx.key).then_some(Caller::Admin)
    }
}

fn is_synchronous_host(head: &Parts) -> bool {
    head.headers.get(header::HOST).is_some_and(|host| host == "fal.run")
}

/// Python writes `true`, JavaScript `1`.
fn asks_for_logs(head: &Parts) -> bool {
    head.uri.query().unwrap_or_default().split('&').any(|pair| pair == "logs=1" || pair == "logs=true")
}

impl App {
    /// Takes a request in and starts its run; faults were drawn by the caller.
    fn enqueue(
        &self,
        head: &Parts,
        model: &'static models::Model,
        body: &[u8],
        drawn: crate::Drawn,
    ) -> Arc<Job> {
        let order = input::check(model, body);
        let given = order.as_ref().ok().and_then(|order| order.seed);
        let seed = given.unwrap_or_else(|| self.ctx.seeds.below(1 << 32));
        let may_fall_back = !head.headers.contains_key("x-app-fal-disable-fallback");
        let falls_back = drawn.custom("fallback") && may_fall_back;
        let note = |name: &&str| Some(format!("{name}: {}", head.headers.get(*name)?.to_str().ok()?));
        let mut jobs = self.jobs.lock().expect("no holder of the jobs panics");
        jobs.submitted += 1;
        let job = Arc::new(Job::new(Brief {
            id: self.ctx.uuid(),
            number: jobs.submitted,
            model,
            executed: if falls_back { FALLBACK_MODEL } else { model.id },
            order,
            seed,
            drawn,
            notes: STEERING.iter().filter_map(note).collect(),
            submitted: self.ctx.now(),
        }));
        jobs.keep(&job);
        drop(jobs);
        let mut runs = self.runs.lock().expect("no holder of the runs panics");
        while runs.try_join_next().is_some() {}
        runs.spawn(Arc::clone(&job).run(Arc::clone(&self.ctx), Arc::clone(&self.runners)));
        job
    }

    /// A job by the address that its submission returned; an address with the sub path finds nothing.
    fn job(&self, owner: &str, name: &str, id: &str) -> Option<Arc<Job>> {
        let job = self.job_by_id(id)?;
        let mut app = job.model.app().split('/');
        (app.next() == Some(owner) && app.next() == Some(name)).then_some(job)
    }

    fn job_by_id(&self, id: &str) -> Option<Arc<Job>> {
        self.jobs.lock().expect("no holder of the jobs panics").by_id.get(id).cloned()
    }

    fn jobs_in_order(&self) -> Vec<Arc<Job>> {
        self.jobs.lock().expect("no holder of the jobs panics").in_order.iter().cloned().collect()
    }
}

impl Jobs {
    fn keep(&mut self, job: &Arc<Job>) {
        self.by_id.insert(job.id.clone(), Arc::clone(job));
        self.in_order.push_back(Arc::clone(job));
        while self.in_order.len() > JOBS_MAX
            && self.in_order.front().is_some_and(|job| job.ended.is_cancelled())
        {
            let oldest = self.in_order.pop_front().expect("the loop's condition saw it");
            self.by_id.remove(&oldest.id);
        }
    }
}

/// The common refusals before anything is made; `None` when the request goes through.
fn refuse(fault: Option<Fault>) -> Option<Response> {
    match fault? {
        Fault::ResetBefore => Some(wire::reset()),
        Fault::BadGateway => Some(wire::bad_gateway()),
        Fault::Internal => Some(failure(500, "internal_server_error", &json!("Internal Server Error"))),
        Fault::TooManyRequests => Some(failure(429, "rate_limited", &json!("Too many concurrent requests"))),
        _ => None,
    }
}

fn unknown_request() -> Response {
    failure(404, "not_found", &json!("Request not found"))
}

/// `{"detail": …}` with the headers that classify it.
fn failure(status: u16, error_type: &'static str, detail: &Value) -> Response {
    let code = StatusCode::from_u16(status).expect("the statuses of this module are valid");
    let mut answer = (code, Json(json!({"detail": detail}))).into_response();
    let retryable = matches!(status, 429 | 500 | 502 | 503 | 504);
    let headers = answer.headers_mut();
    headers.insert("x-fal-error-type", HeaderValue::from_static(error_type));
    headers.insert("x-fal-retryable", HeaderValue::from_static(if retryable { "true" } else { "false" }));
    answer
}
