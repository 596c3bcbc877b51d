//! Client keys, for an admin key: list, show, make, change, rotate, revoke. A secret is shown in the one answer
//! that makes it.

use crate::auth;
use crate::failure::Failure;
use crate::keys::{new_key, new_secret};
use crate::routes::object::Object;
use crate::routes::parameters::{PathPart, body, json, no_content, optional_body, wish_fault};
use crate::state::AppState;
use crate::tenants::{KeyShown, KeyWish, KnownNames, grace_end};
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_store::{KeyRecord, NewSecret, StoreError};
use http::{HeaderMap, StatusCode};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<KeyShown<'a>>,
    has_more: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotation {
    grace_seconds: Option<i64>,
}

impl Object for Rotation {
    const EXAMPLE: &'static str = r#"{"grace_seconds": 3600}"#;
}

pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let keys = state.engine().store().list_keys().await?;
    let data = keys.iter().map(|key| KeyShown::of(key, None)).collect();
    Ok(json(StatusCode::OK, &List { object: "list", data, has_more: false }))
}

pub(crate) async fn show(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    Ok(json(StatusCode::OK, &KeyShown::of(&known(&state, &id).await?, None)))
}

/// All of a [`KeyWish`] is optional: project `default`, scopes `generate` and `read`, everything allowed, no
/// limits, no end.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: KeyWish = body(&state, request).await?;
    let fresh = new_key();
    let now = state.engine().clock().now();
    check_names(&state, &wish).await?;
    let record = wish.record(&fresh, now).map_err(wish_fault)?;
    let id = record.id.clone();
    state.store_for(&admin).create_key(record, now).await?;
    let made = known(&state, &id).await?;
    Ok(json(StatusCode::CREATED, &KeyShown::of(&made, Some(fresh.secret.expose_secret()))))
}

/// What is absent stays as it is.
pub(crate) async fn change(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    request: Request,
) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: KeyWish = body(&state, request).await?;
    // No such key is the better answer than a fault of what is wished of it.
    known(&state, &id).await?;
    let change = wish.change().map_err(wish_fault)?;
    check_names(&state, &wish).await?;
    state.store_for(&admin).change_key(&id, change, state.engine().clock().now()).await?;
    Ok(json(StatusCode::OK, &KeyShown::of(&known(&state, &id).await?, None)))
}

/// `{"grace_seconds": 3600}`: how long the old secret stays good too; a day if nothing is said, 0 for not at
/// all. The answer holds the new one.
pub(crate) async fn rotate(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    request: Request,
) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let rotation: Rotation = optional_body(&state, request).await?;
    let now = state.engine().clock().now();
    let previous_until = grace_end(rotation.grace_seconds, now).map_err(wish_fault)?;
    let fresh = new_secret(&known(&state, &id).await?.id);
    let secret = NewSecret { sha256: fresh.sha256, prefix: fresh.prefix.clone(), previous_until };
    state.store_for(&admin).rotate_key(&id, secret, now).await.map_err(|error| match error {
        StoreError::Invalid(message) => {
            Failure { should_retry: false, ..Failure::new(StatusCode::CONFLICT, "key_ended", message) }
        }
        error => error.into(),
    })?;
    let rotated = known(&state, &id).await?;
    Ok(json(StatusCode::OK, &KeyShown::of(&rotated, Some(fresh.secret.expose_secret()))))
}

pub(crate) async fn revoke(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, &headers)?;
    state.store_for(&admin).revoke_key(&id, state.engine().clock().now()).await?;
    Ok(no_content())
}

/// Only a wish that names something is worth reading the whole catalogue for.
async fn check_names(state: &AppState, wish: &KeyWish) -> Result<(), Failure> {
    if wish.routes.is_none() && wish.providers.is_none() && wish.models.is_none() {
        return Ok(());
    }
    // What has a fault of form is told that one.
    wish.checked_grants().map_err(wish_fault)?;
    let (catalogue, market) = (state.whole_catalogue().await, state.engine().market());
    let providers: Vec<&str> = market.offers.iter().map(|offer| offer.id.provider.as_str()).collect();
    let names = state.engine().names();
    wish.check_names(KnownNames { catalogue: &catalogue, providers: &providers, names }).map_err(wish_fault)
}

async fn known(state: &AppState, id: &str) -> Result<KeyRecord, Failure> {
    let key = state.engine().store().key(id).await?;
    key.ok_or_else(|| Failure::not_found("There is no such key."))
}
