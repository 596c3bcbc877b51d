//! Webhooks, for the admin key: make, list, change, remove, give a new secret, test. A secret is shown in the one
//! answer that makes it.

use crate::alerts::{ChangeWish, Mistake, TestShown, WebhookList, WebhookShown, WebhookWish};
use crate::auth;
use crate::failure::Failure;
use crate::routes::parameters::{PathPart, body, json, no_content};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_domain::WebhookId;
use gallerist_engine::webhooks::PREVIOUS_SECRET_HOURS;
use gallerist_engine::webhooks::signature::{new_secret, secret_text};
use http::{HeaderMap, StatusCode};
use jiff::SignedDuration;

pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let webhooks = state.engine().store().webhooks().await?;
    Ok(json(StatusCode::OK, &WebhookList::from(webhooks)))
}

/// `{"url"}`, and where they matter `"kinds"`, `"project"`, `"format"`.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: WebhookWish = body(&state, request).await?;
    let engine = state.engine();
    let webhook = wish.webhook(engine.webhooks_private()).map_err(mistaken)?;
    let (id, shown) = (webhook.id, secret_text(&webhook.secret));
    state.store_for(&admin).create_webhook(webhook, engine.clock().now()).await?;
    let record = engine.store().webhook(id).await?;
    Ok(json(StatusCode::CREATED, &WebhookShown::with_secret(record, shown)))
}

pub(crate) async fn show(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    answer(&state, known(&id)?).await
}

/// Any of `"url"`, `"kinds"`, `"project"`, `"format"`, `"enabled"`.
pub(crate) async fn change(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    request: Request,
) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: ChangeWish = body(&state, request).await?;
    let id = known(&id)?;
    let engine = state.engine();
    let change = wish.change(engine.webhooks_private()).map_err(mistaken)?;
    state.store_for(&admin).change_webhook(id, change, engine.clock().now()).await?;
    answer(&state, id).await
}

pub(crate) async fn remove(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, &headers)?;
    let engine = state.engine();
    state.store_for(&admin).remove_webhook(known(&id)?, engine.clock().now()).await?;
    Ok(no_content())
}

/// A new secret; the one before it signs too for [`PREVIOUS_SECRET_HOURS`].
pub(crate) async fn rotate(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, &headers)?;
    let (id, secret) = (known(&id)?, new_secret());
    let shown = secret_text(&secret);
    let engine = state.engine();
    let now = engine.clock().now();
    let until = now + SignedDuration::from_hours(PREVIOUS_SECRET_HOURS);
    state.store_for(&admin).rotate_webhook(id, secret, until, now).await?;
    let record = engine.store().webhook(id).await?;
    Ok(json(StatusCode::OK, &WebhookShown::with_secret(record, shown)))
}

/// Sends a test event, once, and says what came of it.
pub(crate) async fn test(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let sent = state.engine().test_webhook(known(&id)?).await?;
    Ok(json(StatusCode::OK, &TestShown::from(&sent)))
}

/// What is no id names nothing.
fn known(id: &str) -> Result<WebhookId, Failure> {
    id.parse().map_err(|_| Failure::not_found("There is no such webhook."))
}

fn mistaken((name, message): Mistake) -> Failure {
    Failure::invalid(name, message)
}

async fn answer(state: &AppState, id: WebhookId) -> Result<Response, Failure> {
    let record = state.engine().store().webhook(id).await?;
    Ok(json(StatusCode::OK, &WebhookShown::from(record)))
}
