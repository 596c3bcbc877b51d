//! Price feeds for tests: documents under `/_fake/feeds/NAME`.
//!
//! `GET` serves what `PUT` left there, on every stand-in alike; `json` and `spot` have a small document from the
//! start. Nothing is checked, since a feed that is wrong is what tests want most.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Amounts in cents, dated.
const JSON: &str = r#"{"as_of": "2026-11-22T08:00:00Z", "prices": {"flux-1.1-pro": {"cents": 5}}}"#;
const SPOT: &str = r#"{"prices": [
    {"offer": "bfl/flux-1.1-pro", "line": "picture", "usd": "0.05", "at": "2026-11-22T08:00:00Z"}]}"#;

type Documents = Arc<Mutex<BTreeMap<String, String>>>;

pub(crate) fn router() -> Router {
    let first = [("json", JSON), ("spot", SPOT)];
    let first = first.into_iter().map(|(name, text)| (name.to_owned(), text.to_owned()));
    let documents: Documents = Arc::new(Mutex::new(first.collect()));
    Router::new().route("/_fake/feeds/{name}", get(show).put(set)).with_state(documents)
}

async fn show(State(documents): State<Documents>, Path(name): Path<String>) -> Response {
    let found = documents.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
    match found {
        Some(text) => ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn set(State(documents): State<Documents>, Path(name): Path<String>, body: String) -> StatusCode {
    documents.lock().unwrap_or_else(PoisonError::into_inner).insert(name, body);
    StatusCode::NO_CONTENT
}
