//! Projects and their caps, for the admin key; a project's own keys may look at it.

use crate::auth;
use crate::failure::Failure;
use crate::routes::parameters::{PathPart, body, cap, json, present, visible_project};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_domain::{ProjectId, Ticks};
use gallerist_store::ProjectRecord;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Project {
    id: ProjectId,
    object: &'static str,
    created_at: Timestamp,
    /// Settled, held and disputed never pass it; null: no limit.
    cap_usd: Option<Ticks>,
    settled_usd: Ticks,
    held_usd: Ticks,
    disputed_usd: Ticks,
    left_usd: Option<Ticks>,
}

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Project>,
    has_more: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    id: String,
    #[serde(default, deserialize_with = "present")]
    cap_usd: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "present")]
    cap_usd: Option<Box<RawValue>>,
}

pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let projects = state.engine().store().list_projects().await?;
    let data = projects.into_iter().map(Project::from).collect();
    Ok(json(StatusCode::OK, &List { object: "list", data, has_more: false }))
}

/// `{"id","cap_usd"}`.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, request.headers())?;
    let wish: Wish = body(&state, request).await?;
    let id: ProjectId = wish.id.parse().map_err(|message: String| Failure::invalid("id", message))?;
    let cap = wish.cap_usd.as_deref().map(cap).transpose()?.flatten();
    state.engine().store().create_project(id.clone(), cap, state.engine().clock().now()).await?;
    answer(&state, id, StatusCode::CREATED).await
}

pub(crate) async fn show(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let key = auth::authenticate(&state, &headers)?;
    let id = known(&id)?;
    visible_project(&key, Some(id.clone()))?;
    answer(&state, id, StatusCode::OK).await
}

/// `{"cap_usd": "25.00"}` sets the cap, `{"cap_usd": null}` removes it.
pub(crate) async fn change(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    request: Request,
) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, request.headers())?;
    let change: Change = body(&state, request).await?;
    let id = known(&id)?;
    if let Some(written) = &change.cap_usd {
        state.engine().store().set_cap(id.clone(), cap(written)?).await?;
    }
    answer(&state, id, StatusCode::OK).await
}

/// What is no name of a project names none.
fn known(id: &str) -> Result<ProjectId, Failure> {
    id.parse().map_err(|_| Failure::not_found("There is no such project."))
}

async fn answer(state: &AppState, id: ProjectId, status: StatusCode) -> Result<Response, Failure> {
    let project = state.engine().store().project(id).await?;
    let project = project.ok_or_else(|| Failure::not_found("There is no such project."))?;
    Ok(json(status, &Project::from(project)))
}

impl From<ProjectRecord> for Project {
    fn from(record: ProjectRecord) -> Project {
        Project {
            left_usd: record.left(),
            id: record.id,
            object: "project",
            created_at: record.created_at,
            cap_usd: record.cap,
            settled_usd: record.settled,
            held_usd: record.held,
            disputed_usd: record.disputed,
        }
    }
}
