//! What became of requests, and their kept pictures. A key sees its own project's; an admin key all.

use crate::auth;
use crate::failure::Failure;
use crate::routes::parameters::{Parameters, PathPart, json, request_id, visible_project};
use crate::state::AppState;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use gallerist_domain::{AttemptId, OfferId, ProjectId, RequestId, Scope, Ticks};
use gallerist_store::{
    AttemptRecord, EntryRecord, KeyRecord, Picture, RequestDetail, RequestFilter, RequestRecord,
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const ROWS_DEFAULT: u32 = 20;
const ROWS_MAX: u32 = 100;
const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");

#[derive(Serialize)]
struct Summary<'a> {
    id: RequestId,
    object: &'static str,
    status: &'static str,
    created_at: Timestamp,
    finished_at: Option<Timestamp>,
    project: &'a ProjectId,
    key: Option<&'a str>,
    operation: &'static str,
    model: &'a str,
    n: u32,
    images: u32,
    http_status: Option<u16>,
    error_code: Option<&'a str>,
    charged_usd: Ticks,
    /// The part of it that rests on prices below official, or read long before.
    doubtful_usd: Ticks,
    held_usd: Ticks,
    disputed_usd: Ticks,
    list_usd: Option<Ticks>,
    list_confidence: Option<&'a str>,
    list_as_of: Option<jiff::civil::Date>,
    saved_usd: Option<Ticks>,
    /// As the client named them.
    end_user: Option<&'a str>,
    tags: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    summary: Summary<'a>,
    /// Calls that wait for a place at their provider.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Waiting>,
    /// Only where prompts are stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a str>,
    asked: Option<Box<RawValue>>,
    plan: serde_json::Value,
    attempts: Vec<Attempt<'a>>,
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Waiting {
    provider: String,
    /// 1 is next.
    position: u32,
    expected_start: Timestamp,
}

#[derive(Serialize)]
struct Attempt<'a> {
    id: AttemptId,
    number: u32,
    offer: &'a OfferId,
    status: &'static str,
    basis: Option<&'a str>,
    reserved_usd: Ticks,
    charged_usd: Ticks,
    images: u32,
    fault: Option<Box<RawValue>>,
    charge: Option<Box<RawValue>>,
    dispute_reason: Option<&'a str>,
    provider_request_id: Option<&'a str>,
    catalogue_digest: &'a str,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Entry<'a> {
    account: &'a str,
    amount_usd: Ticks,
    at: Timestamp,
    kind: &'static str,
    attempt: AttemptId,
}

#[derive(Serialize)]
struct Page<'a> {
    object: &'static str,
    data: Vec<Summary<'a>>,
    has_more: bool,
}

/// `?limit=` (1 to 100, default 20), `?after=` an id, `?end_user=`, `?tag=NAME=VALUE`, `?project=` for an admin;
/// the newest first.
pub(crate) async fn list(State(state): State<AppState>, parts: Parts) -> Result<Response, Failure> {
    let key = auth::authenticate_for(&state, &parts.headers, Scope::Read)?;
    let parameters = Parameters::of(&parts, &["limit", "after", "project", "end_user", "tag"])?;
    let limit = parameters.parsed("limit", "an integer from 1 to 100")?.unwrap_or(ROWS_DEFAULT);
    if !(1..=ROWS_MAX).contains(&limit) {
        return Err(Failure::invalid("limit", "limit must be an integer from 1 to 100."));
    }
    let after: Option<RequestId> = parameters.parsed("after", "the id of a request")?;
    let project = visible_project(&key, parameters.parsed("project", "the name of a project")?)?;
    if let Some(after) = after {
        // Another project's request must not even be known to exist.
        owned(&state, &key, after).await?;
    }
    let end_user = parameters.text("end_user").map(str::to_owned);
    let tag = parameters.text("tag").map(tag).transpose()?;
    let filter = RequestFilter { project, end_user, tag, after, limit };
    let page = state.engine().store().requests(filter).await?;
    let data = page.requests.iter().map(Summary::from).collect();
    Ok(json(StatusCode::OK, &Page { object: "list", data, has_more: page.has_more }))
}

/// A tag's name and value.
fn tag(text: &str) -> Result<(String, String), Failure> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| Failure::invalid("tag", "tag must be a name and a value, as tag=team=red."))?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) async fn show(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let key = auth::authenticate_for(&state, &headers, Scope::Read)?;
    let detail = owned(&state, &key, request_id(&id)?).await?;
    let calls = state.engine().waiting(detail.request.id).into_iter();
    let waiting = calls.map(|call| Waiting {
        provider: call.provider,
        position: call.position,
        expected_start: call.expected_start,
    });
    Ok(json(StatusCode::OK, &Whole { waiting: waiting.collect(), ..Whole::from(&detail) }))
}

/// Everything about one request.
pub(crate) fn whole(detail: &RequestDetail) -> Response {
    json(StatusCode::OK, &Whole::from(detail))
}

/// A picture that was kept because its client went away, or for its address.
pub(crate) async fn picture(
    State(state): State<AppState>,
    PathPart((id, index)): PathPart<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let key = auth::authenticate(&state, &headers)?;
    let id = request_id(&id)?;
    owned(&state, &key, id).await?;
    let index = index.parse().map_err(|_| no_picture())?;
    let engine = state.engine();
    let picture = engine.store().picture(id, index, engine.clock().now()).await?;
    picture.map(file).ok_or_else(no_picture)
}

/// The signature is the permission; no key is asked for.
pub(crate) async fn signed_picture(
    State(state): State<AppState>,
    PathPart((id, index)): PathPart<(String, String)>,
    parts: Parts,
) -> Result<Response, Failure> {
    let parameters = Parameters::of(&parts, &["expires", "signature"])?;
    let expires: Option<i64> = parameters.parsed("expires", "seconds since 1970")?;
    let (id, index) = (request_id(&id)?, index.parse().map_err(|_| no_picture())?);
    let (Some(expires), Some(signature)) = (expires, parameters.text("signature")) else {
        return Err(no_picture());
    };
    state.engine().picture(id, index, expires, signature).await.map(file).ok_or_else(no_picture)
}

fn no_picture() -> Failure {
    Failure::not_found("There is no such picture, its address is not signed by us, or its time is over.")
}

fn file(picture: Picture) -> Response {
    let mut response = Response::new(Body::from(picture.data));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(picture.format.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600, immutable"));
    headers.insert(CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The request, if the key may see it.
pub(crate) async fn owned(
    state: &AppState,
    key: &KeyRecord,
    id: RequestId,
) -> Result<RequestDetail, Failure> {
    let detail = state.engine().store().request(id).await?;
    let visible = detail.filter(|detail| auth::is_admin(key) || detail.request.project == key.project);
    visible.ok_or_else(|| Failure::not_found("There is no such request."))
}

/// JSON that the store kept as text; null where it is none.
fn kept(text: Option<&str>) -> Option<Box<RawValue>> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

impl<'a> From<&'a RequestRecord> for Summary<'a> {
    fn from(request: &'a RequestRecord) -> Summary<'a> {
        Summary {
            id: request.id,
            object: "request",
            status: request.status.as_str(),
            created_at: request.created_at,
            finished_at: request.finished_at,
            project: &request.project,
            key: request.key_id.as_deref(),
            operation: request.operation.as_str(),
            model: &request.model,
            n: request.n,
            images: request.images_delivered,
            http_status: request.http_status,
            error_code: request.error_code.as_deref(),
            charged_usd: request.charged,
            doubtful_usd: request.doubtful,
            held_usd: request.held,
            disputed_usd: request.disputed,
            list_usd: request.list,
            list_confidence: request.list_confidence.as_deref(),
            list_as_of: request.list_as_of,
            saved_usd: request.saved,
            end_user: request.end_user.as_deref(),
            tags: &request.tags,
        }
    }
}

impl<'a> From<&'a RequestDetail> for Whole<'a> {
    fn from(detail: &'a RequestDetail) -> Whole<'a> {
        let plan = serde_json::from_str(&detail.request.plan_json).ok();
        Whole {
            summary: Summary::from(&detail.request),
            waiting: Vec::new(),
            prompt: detail.request.prompt.as_deref(),
            asked: kept(detail.request.asked_json.as_deref()),
            plan: plan.unwrap_or_else(|| serde_json::json!({"offers": [], "excluded": []})),
            attempts: detail.attempts.iter().map(Attempt::from).collect(),
            entries: detail.entries.iter().map(Entry::from).collect(),
        }
    }
}

impl<'a> From<&'a AttemptRecord> for Attempt<'a> {
    fn from(attempt: &'a AttemptRecord) -> Attempt<'a> {
        Attempt {
            id: attempt.id,
            number: attempt.number,
            offer: &attempt.offer,
            status: attempt.status.as_str(),
            basis: attempt.basis.as_deref(),
            reserved_usd: attempt.reserved,
            charged_usd: attempt.charged,
            images: attempt.images,
            fault: kept(attempt.fault_json.as_deref()),
            charge: kept(attempt.charge_json.as_deref()),
            dispute_reason: attempt.dispute_reason.as_deref(),
            provider_request_id: attempt.provider_request_id.as_deref(),
            catalogue_digest: &attempt.catalogue_digest,
            created_at: attempt.created_at,
            ended_at: attempt.ended_at,
        }
    }
}

impl<'a> From<&'a EntryRecord> for Entry<'a> {
    fn from(entry: &'a EntryRecord) -> Entry<'a> {
        Entry {
            account: &entry.account,
            amount_usd: entry.amount,
            at: entry.at,
            kind: entry.kind.as_str(),
            attempt: entry.attempt,
        }
    }
}
