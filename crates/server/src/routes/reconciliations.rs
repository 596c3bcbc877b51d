//! `/v1/reconciliations`: a provider's invoice beside the books, and those that were compared before. For the admin
//! key.

use crate::auth;
use crate::failure::Failure;
use crate::reconciliation::{BODY_BYTES_MAX, ReconciliationShown, ReconciliationWish};
use crate::routes::parameters::{Parameters, PathPart, body_within, json};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_engine::reconcile::ReconcileError;
use gallerist_store::{ReconciliationFilter, StoreError};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;

const ROWS_DEFAULT: u32 = 20;
const ROWS_MAX: u32 = 100;

/// Answers what the comparison found and what it wrote; with `dry_run` what it would write.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let key = auth::authenticate_admin(&state, request.headers())?;
    let wish: ReconciliationWish = body_within(&state, request, BODY_BYTES_MAX).await?;
    let order = wish.order().map_err(|(name, message)| Failure::invalid(name, message))?;
    let report =
        state.engine().reconcile(&order, &state.store_for(&key)).await.map_err(|error| match error {
            ReconcileError::Bill(fault) => Failure::invalid("bill", fault.to_string()),
            ReconcileError::Invalid(message) => Failure::invalid("from", message),
            ReconcileError::Provider(message) => {
                Failure::invalid("provider", format!("provider: {message}."))
            }
            ReconcileError::Store(error) => error.into(),
        })?;
    if !report.dry_run {
        tracing::info!(
            provider = report.provider,
            lines = report.lines,
            matched = report.matched,
            disputes = report.disputes.len(),
            key = key.id,
            "an invoice was compared with the books"
        );
    }
    Ok(json(StatusCode::OK, &report))
}

#[derive(Serialize)]
struct Page {
    object: &'static str,
    data: Vec<ReconciliationShown>,
    has_more: bool,
}

/// `?limit=` (1 to 100, default 20), `?after=` an id; only `?provider=`. Dry runs are not kept.
pub(crate) async fn list(State(state): State<AppState>, parts: Parts) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &parts.headers)?;
    let parameters = Parameters::of(&parts, &["limit", "after", "provider"])?;
    let limit = parameters.parsed("limit", "an integer from 1 to 100")?.unwrap_or(ROWS_DEFAULT);
    if !(1..=ROWS_MAX).contains(&limit) {
        return Err(Failure::invalid("limit", "limit must be an integer from 1 to 100."));
    }
    let filter = ReconciliationFilter {
        provider: parameters.text("provider").map(str::to_owned),
        after: parameters.parsed("after", "the id of a reconciliation")?,
        limit,
    };
    let page = state.engine().store().reconciliations(filter).await.map_err(|error| match error {
        StoreError::Invalid(message) => Failure::invalid("after", message),
        error => error.into(),
    })?;
    let data = page.reconciliations.iter().map(ReconciliationShown::from).collect();
    Ok(json(StatusCode::OK, &Page { object: "list", data, has_more: page.has_more }))
}

/// The report as it was told.
pub(crate) async fn show(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let found = match id.parse() {
        Ok(id) => state.engine().store().reconciliation(id).await?,
        Err(_) => None,
    };
    let report = found.ok_or_else(|| Failure::not_found("There is no such reconciliation."))?;
    let report =
        RawValue::from_string(report).map_err(|_| Failure::not_found("Its report cannot be read."))?;
    Ok(json(StatusCode::OK, &report))
}
