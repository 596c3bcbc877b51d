//! Projects, their caps and limits, for an admin key; a project's own keys may look at it.

use crate::auth;
use crate::failure::Failure;
use crate::routes::object::Object;
use crate::routes::parameters::{PathPart, body, cap, json, present, visible_project, wish_fault};
use crate::state::AppState;
use crate::tenants::{LimitsWish, ProjectShown};
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_domain::{ProjectId, Scope};
use gallerist_store::ProjectChange;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<ProjectShown>,
    has_more: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    id: String,
    #[serde(default, deserialize_with = "present")]
    cap_usd: Option<Box<RawValue>>,
    #[serde(default)]
    limits: LimitsWish,
}

impl Object for Wish {
    const EXAMPLE: &'static str = r#"{"id": "shop", "cap_usd": "25.00"}"#;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    #[serde(default, deserialize_with = "present")]
    cap_usd: Option<Box<RawValue>>,
    #[serde(default)]
    limits: LimitsWish,
}

impl Object for Change {
    const EXAMPLE: &'static str = r#"{"cap_usd": "25.00"}"#;
}

pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let projects = state.engine().store().list_projects().await?;
    let data = projects.into_iter().map(|project| ProjectShown::of(project, None)).collect();
    Ok(json(StatusCode::OK, &List { object: "list", data, has_more: false }))
}

/// `{"id","cap_usd","limits"}`.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: Wish = body(&state, request).await?;
    let id: ProjectId = wish.id.parse().map_err(|message: String| Failure::invalid("id", message))?;
    let cap = wish.cap_usd.as_deref().map(cap).transpose()?.flatten();
    let limits = wish.limits.fresh().map_err(wish_fault)?;
    let now = state.engine().clock().now();
    state.store_for(&admin).create_limited_project(id.clone(), cap, limits, now).await?;
    answer(&state, id, StatusCode::CREATED).await
}

pub(crate) async fn show(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let key = auth::authenticate_for(&state, &headers, Scope::Read)?;
    let id = known(&id)?;
    visible_project(&key, Some(id.clone()))?;
    answer(&state, id, StatusCode::OK).await
}

/// `{"cap_usd": "25.00"}` sets the cap, `{"cap_usd": null}` removes it; `limits` as for keys.
pub(crate) async fn change(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    request: Request,
) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let change: Change = body(&state, request).await?;
    let id = known(&id)?;
    let engine = state.engine();
    if engine.store().project(id.clone()).await?.is_none() {
        return Err(Failure::not_found("There is no such project."));
    }
    let change = ProjectChange {
        cap: change.cap_usd.as_deref().map(cap).transpose()?,
        limits: change.limits.change().map_err(wish_fault)?,
    };
    state.store_for(&admin).change_project(id.clone(), change, engine.clock().now()).await?;
    answer(&state, id, StatusCode::OK).await
}

/// What is no name of a project names none.
fn known(id: &str) -> Result<ProjectId, Failure> {
    id.parse().map_err(|_| Failure::not_found("There is no such project."))
}

async fn answer(state: &AppState, id: ProjectId, status: StatusCode) -> Result<Response, Failure> {
    let engine = state.engine();
    let project = engine.store().project(id.clone()).await?;
    let project = project.ok_or_else(|| Failure::not_found("There is no such project."))?;
    let usage = engine.store().project_usage(id, engine.clock().now()).await?;
    Ok(json(status, &ProjectShown::of(project, Some(usage))))
}
