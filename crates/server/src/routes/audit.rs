//! `GET /v1/audit`: who changed what, for an admin key; the newest first.

use crate::auth;
use crate::failure::Failure;
use crate::routes::parameters::{Parameters, json};
use crate::state::AppState;
use crate::tenants::{ChangeShown, asked_action};
use axum::extract::State;
use axum::response::Response;
use gallerist_store::{AuditFilter, StoreError};
use http::StatusCode;
use http::request::Parts;
use serde::Serialize;

const ROWS_DEFAULT: u32 = 20;
const ROWS_MAX: u32 = 100;

#[derive(Serialize)]
struct Page<'a> {
    object: &'static str,
    data: Vec<ChangeShown<'a>>,
    has_more: bool,
}

/// `?limit=` (1 to 100, default 20), `?after=` an id; only `?action=`, `?subject=`, `?key=` the acting key's
/// id, `?project=`.
pub(crate) async fn list(State(state): State<AppState>, parts: Parts) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &parts.headers)?;
    let known = ["limit", "after", "action", "subject", "key", "project"];
    let parameters = Parameters::of(&parts, &known)?;
    let limit = parameters.parsed("limit", "an integer from 1 to 100")?.unwrap_or(ROWS_DEFAULT);
    if !(1..=ROWS_MAX).contains(&limit) {
        return Err(Failure::invalid("limit", "limit must be an integer from 1 to 100."));
    }
    let text = |name: &str| parameters.text(name).map(str::to_owned);
    let action = parameters.text("action").map(asked_action).transpose();
    let filter = AuditFilter {
        action: action.map_err(|message| Failure::invalid("action", message))?,
        subject: text("subject"),
        key_id: text("key"),
        project: parameters.parsed("project", "the name of a project")?,
        after: parameters.parsed("after", "the id of a change")?,
        limit,
    };
    let page = state.engine().store().audit(filter).await.map_err(|error| match error {
        StoreError::Invalid(message) => Failure::invalid("after", message),
        error => error.into(),
    })?;
    let data = page.changes.iter().map(ChangeShown::from).collect();
    Ok(json(StatusCode::OK, &Page { object: "list", data, has_more: page.has_more }))
}
