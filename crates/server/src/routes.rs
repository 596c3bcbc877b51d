//! Who answers what. One handler file per resource; errors below OpenAI's paths take OpenAI's form.

mod alerts;
mod audit;
mod budgets;
mod credits;
mod disputes;
mod feeds;
mod health;
mod images;
mod keys;
mod models;
mod object;
mod parameters;
mod prices;
mod projects;
mod quotes;
mod reconciliations;
mod requests;
mod usage;
mod webhooks;

pub(crate) use object::Object;
pub(crate) use parameters::present;

pub(crate) use parameters::instant_of;

use crate::auth;
use crate::failure::Failure;
use crate::intake;
use crate::state::AppState;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{any, delete, get, patch, post};
use http::StatusCode;

/// Every route. Limits and errors are the handlers' own.
pub(crate) fn router(state: AppState) -> Router {
    let router = routes();
    // Where others write to the same store, a key may be newer than what is known of it here.
    let router = match state.engine().store().is_shared() {
        true => router.layer(from_fn_with_state(state.clone(), learn_key)),
        false => router,
    };
    router.with_state(state)
}

fn routes() -> Router<AppState> {
    Router::new()
        .route("/v1/images/generations", post(images::generate).fallback(method_not_allowed))
        .route("/v1/images/edits", post(images::not_yet).fallback(method_not_allowed))
        .route("/v1/images/variations", post(images::not_yet).fallback(method_not_allowed))
        .route("/v1/models", get(models::list).fallback(method_not_allowed))
        .route("/v1/models/{*id}", get(models::show).fallback(method_not_allowed))
        .route("/v1/quotes", post(quotes::create).fallback(method_not_allowed))
        .route("/v1/requests", get(requests::list).fallback(method_not_allowed))
        .route("/v1/requests/{id}", get(requests::show).fallback(method_not_allowed))
        .route(
            "/v1/requests/{id}/attempts/{number}/resolve",
            post(disputes::resolve).fallback(method_not_allowed),
        )
        .route("/v1/requests/{id}/images/{index}", get(requests::picture).fallback(method_not_allowed))
        .route("/v1/pictures/{request}/{index}", get(requests::signed_picture).fallback(method_not_allowed))
        .route("/v1/usage", get(usage::show).fallback(method_not_allowed))
        .route(
            "/v1/reconciliations",
            get(reconciliations::list).post(reconciliations::create).fallback(method_not_allowed),
        )
        .route("/v1/reconciliations/{id}", get(reconciliations::show).fallback(method_not_allowed))
        .route("/v1/keys", get(keys::list).post(keys::create).fallback(method_not_allowed))
        .route(
            "/v1/keys/{id}",
            get(keys::show).patch(keys::change).delete(keys::revoke).fallback(method_not_allowed),
        )
        .route("/v1/keys/{id}/rotate", post(keys::rotate).fallback(method_not_allowed))
        .route("/v1/audit", get(audit::list).fallback(method_not_allowed))
        .route("/v1/projects", get(projects::list).post(projects::create).fallback(method_not_allowed))
        .route("/v1/projects/{id}", patch(projects::change).get(projects::show).fallback(method_not_allowed))
        .route("/v1/budgets", get(budgets::list).post(budgets::create).fallback(method_not_allowed))
        .route(
            "/v1/budgets/{id}",
            get(budgets::show).patch(budgets::change).delete(budgets::remove).fallback(method_not_allowed),
        )
        .route("/v1/credits", get(credits::list).post(credits::create).fallback(method_not_allowed))
        .route("/v1/credits/adjustments", post(credits::adjust).fallback(method_not_allowed))
        .route("/v1/credits/balances", post(credits::balances).fallback(method_not_allowed))
        .route("/v1/credits/forecast", get(credits::forecast).fallback(method_not_allowed))
        .route("/v1/credits/{id}", delete(credits::remove).fallback(method_not_allowed))
        .route("/v1/alerts", get(alerts::list).fallback(method_not_allowed))
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::create).fallback(method_not_allowed))
        .route(
            "/v1/webhooks/{id}",
            get(webhooks::show).patch(webhooks::change).delete(webhooks::remove).fallback(method_not_allowed),
        )
        .route("/v1/webhooks/{id}/rotate", post(webhooks::rotate).fallback(method_not_allowed))
        .route("/v1/webhooks/{id}/test", post(webhooks::test).fallback(method_not_allowed))
        .route("/v1/prices", get(prices::list).fallback(method_not_allowed))
        .route("/v1/prices/sync", post(feeds::sync).fallback(method_not_allowed))
        .route("/v1/prices/confirm", post(feeds::confirm).fallback(method_not_allowed))
        .route("/v1/prices/changes", get(prices::history).fallback(method_not_allowed))
        .route("/healthz", get(health::alive).fallback(method_not_allowed))
        .route("/readyz", get(health::ready).fallback(method_not_allowed))
        .route("/metrics", get(health::metrics).fallback(method_not_allowed))
        .fallback(any(no_such_path))
}

async fn learn_key(State(state): State<AppState>, request: Request, next: Next) -> Response {
    auth::learn_key(&state, request.headers()).await;
    next.run(request).await
}

/// First parts of our own paths; whatever else stands below `/v1/` was meant for OpenAI.
const NATIVE: &[&str] = &[
    "quotes",
    "requests",
    "pictures",
    "usage",
    "keys",
    "projects",
    "budgets",
    "credits",
    "prices",
    "alerts",
    "webhooks",
    "reconciliations",
    "audit",
];

/// Whether errors of this path take OpenAI's form.
pub(crate) fn speaks_openai(path: &str) -> bool {
    let first = path.strip_prefix("/v1/").and_then(|rest| rest.split('/').next());
    first.is_some_and(|first| !NATIVE.contains(&first))
}

pub(crate) fn is_images(path: &str) -> bool {
    path.starts_with("/v1/images/")
}

async fn method_not_allowed(State(state): State<AppState>, request: Request) -> Response {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let allow = allowed(&path);
    let message = format!("{path} does not take {method}; it takes {allow}.");
    let failure = Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
    refuse(&state, request, Failure { allow: Some(allow), ..failure }).await
}

/// The methods of the paths that [`router`] knows.
fn allowed(path: &str) -> &'static str {
    match path {
        "/v1/quotes"
        | "/v1/prices/sync"
        | "/v1/prices/confirm"
        | "/v1/credits/adjustments"
        | "/v1/credits/balances" => "POST",
        "/v1/reconciliations" => "GET, POST",
        "/v1/credits/forecast" => "GET",
        _ if path.starts_with("/v1/credits/") => "DELETE",
        "/v1/keys" | "/v1/projects" | "/v1/budgets" | "/v1/credits" | "/v1/webhooks" => "GET, POST",
        _ if path.starts_with("/v1/webhooks/") && (path.ends_with("/rotate") || path.ends_with("/test")) => {
            "POST"
        }
        _ if path.starts_with("/v1/webhooks/") => "GET, PATCH, DELETE",
        _ if is_images(path) => "POST",
        _ if path.starts_with("/v1/requests/") && path.ends_with("/resolve") => "POST",
        _ if path.starts_with("/v1/keys/") && path.ends_with("/rotate") => "POST",
        _ if path.starts_with("/v1/keys/") => "GET, PATCH, DELETE",
        _ if path.starts_with("/v1/projects/") => "GET, PATCH",
        _ if path.starts_with("/v1/budgets/") => "GET, PATCH, DELETE",
        _ => "GET",
    }
}

async fn no_such_path(State(state): State<AppState>, request: Request) -> Response {
    let path: String = request.uri().path().chars().take(120).collect();
    let advice = match path.starts_with("/v1/") {
        true => "Pictures are made by POST /v1/images/generations.",
        false => "The OpenAI-compatible base URL ends in /v1.",
    };
    let message = format!("There is nothing at {path}. {advice}");
    refuse(&state, request, Failure::not_found(message)).await
}

/// Answers without looking at the body, but reads it, so that the client can read the answer.
async fn refuse(state: &AppState, request: Request, failure: Failure) -> Response {
    let openai = speaks_openai(request.uri().path());
    let (parts, body) = request.into_parts();
    let close = !intake::drain(&parts.headers, body, state.settings().body_bytes_max).await;
    let failure = Failure { close, ..failure };
    if openai { failure.openai() } else { failure.problem() }
}

#[cfg(test)]
mod tests;
