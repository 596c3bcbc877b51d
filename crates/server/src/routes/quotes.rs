//! `POST /v1/quotes`: what a generation would cost, at every offer. Nothing is bought or reserved.

use crate::auth;
use crate::failure::Failure;
use crate::intake;
use crate::routes::models;
use crate::routes::parameters::{Parameters, json};
use crate::state::AppState;
use crate::wire::parse_generation;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

/// `?at=` moves the price instant; `?all=true` quotes whatever has a price, whoever can be ordered from.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let (parts, body) = request.into_parts();
    let key = match auth::authenticate(&state, &parts.headers) {
        Ok(key) => key,
        Err(failure) => {
            let close = !intake::drain(&parts.headers, body, state.settings().body_bytes_max).await;
            return Err(Failure { close, ..failure });
        }
    };
    let body = intake::read(&state, &parts.headers, body, state.settings().body_bytes_max).await?;
    let parameters = Parameters::of(&parts, &["at", "all"])?;
    let (at, all) = (parameters.instant("at")?, parameters.parsed::<bool>("all", "true or false")?);
    let request = parse_generation(&body)?;
    let grants = key.allowance.grants.clone();
    let quoted = if all.unwrap_or(false) {
        let (state, request) = (state.clone(), request.clone());
        let making =
            tokio::task::spawn_blocking(move || state.engine().quotes_of_everything(&request, &grants, at));
        making.await.map_err(|_| Failure::internal())?
    } else {
        state.engine().quotes(&request, &grants, at)
    };
    match quoted {
        Ok(report) => Ok(json(StatusCode::OK, &report)),
        Err(refusal) => Err(models::explained(&state, &request.model, refusal.into()).await),
    }
}
