//! Ends a dispute by hand: a person has read the provider's bill and says what an attempt cost.
//!
//! Nobody else knows it where a connection broke and the provider cannot be asked again. The books take the
//! figure as it is, also above what was held: the money is gone, whatever a cap says. It refuses attempts
//! that are not disputed, so that a figure is booked once. The rest of a request is in `requests.rs`.

use crate::auth;
use crate::failure::Failure;
use crate::routes::object::Object;
use crate::routes::parameters::{PathPart, body, dollars, present, request_id};
use crate::routes::requests;
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_store::{Resolution, StoreError};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bill {
    #[serde(default, deserialize_with = "present")]
    charged_usd: Option<Box<RawValue>>,
}

impl Object for Bill {
    const EXAMPLE: &'static str = r#"{"charged_usd": "0.04"}"#;
}

/// `{"charged_usd": "0.04"}` settles the attempt, `{"charged_usd": "0"}` releases it. Answers the request.
pub(crate) async fn resolve(
    State(state): State<AppState>,
    PathPart((id, number)): PathPart<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let key = auth::authenticate_admin(&state, request.headers())?;
    let bill: Bill = body(&state, request).await?;
    let charge = bill.charged_usd.as_deref().and_then(dollars).ok_or_else(|| {
        Failure::invalid(
            "charged_usd",
            "charged_usd must be what the provider billed, in dollars, such as \"0.04\"; \"0\" if nothing.",
        )
    })?;
    let id = request_id(&id)?;
    let detail = requests::owned(&state, &key, id).await?;
    let attempt = detail.attempts.iter().find(|attempt| attempt.number.to_string() == number);
    let attempt = attempt.ok_or_else(|| Failure::not_found("The request has no such attempt."))?;
    let now = state.engine().clock().now();
    let resolution = Resolution::of_bill(attempt.id, charge, crate::RESOLVED_BY_PERSON, now);
    match state.store_for(&key).resolve_dispute(resolution).await {
        Ok(()) => {}
        Err(StoreError::NotDisputed { status, .. }) => return Err(Failure::not_disputed(&number, status)),
        Err(StoreError::Invalid(message)) => return Err(Failure::invalid("charged_usd", message)),
        Err(error) => return Err(error.into()),
    }
    tracing::info!(request = %id, attempt = number, charged = %charge, key = key.id, "a dispute was resolved by hand");
    Ok(requests::whole(&requests::owned(&state, &key, id).await?))
}
