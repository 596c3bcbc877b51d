//! `POST /v1/reconciliations`: a provider's invoice beside the books. For the admin key.

use crate::auth;
use crate::failure::Failure;
use crate::reconciliation::{BODY_BYTES_MAX, ReconciliationWish};
use crate::routes::parameters::{body_within, json};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_engine::reconcile::ReconcileError;
use http::StatusCode;

/// Answers what the comparison found and what it wrote; with `dry_run` what it would write.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let key = auth::authenticate_admin(&state, request.headers())?;
    let wish: ReconciliationWish = body_within(&state, request, BODY_BYTES_MAX).await?;
    let order = wish.order().map_err(|(name, message)| Failure::invalid(name, message))?;
    let report =
        state.engine().reconcile(&order, &state.store_for(&key)).await.map_err(|error| match error {
            ReconcileError::Bill(fault) => Failure::invalid("bill", fault.to_string()),
            ReconcileError::Invalid(message) => Failure::invalid("from", message),
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
