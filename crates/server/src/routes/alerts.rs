//! Alerts: a project's key sees its own, the admin key all of them.

use crate::alerts::{AlertList, asked_kind};
use crate::auth;
use crate::failure::Failure;
use crate::routes::parameters::{Parameters, json, visible_project};
use crate::state::AppState;
use axum::extract::State;
use axum::response::Response;
use gallerist_domain::{ProjectId, Scope};
use gallerist_store::AlertFilter;
use http::StatusCode;
use http::request::Parts;

const ROWS_DEFAULT: u32 = 20;
const ROWS_MAX: u32 = 100;

pub(crate) async fn list(State(state): State<AppState>, parts: Parts) -> Result<Response, Failure> {
    let key = auth::authenticate_for(&state, &parts.headers, Scope::Read)?;
    let parameters = Parameters::of(&parts, &["limit", "after", "kind", "project"])?;
    let limit = parameters.parsed("limit", "a number from 1 to 100")?.unwrap_or(ROWS_DEFAULT);
    if !(1..=ROWS_MAX).contains(&limit) {
        return Err(Failure::invalid("limit", "limit must be from 1 to 100."));
    }
    let asked: Option<ProjectId> = parameters.parsed("project", "the name of a project")?;
    let kind = parameters.text("kind").map(asked_kind).transpose();
    let kind = kind.map_err(|why| Failure::invalid("kind", format!("kind: {why}.")))?;
    let filter = AlertFilter {
        project: visible_project(&key, asked)?,
        kind,
        after: parameters.parsed("after", "the id of an alert")?,
        limit,
    };
    let page = state.engine().store().alerts(filter).await?;
    Ok(json(StatusCode::OK, &AlertList::from(page)))
}
