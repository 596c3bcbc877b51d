//! Who asks: the bearer key, known by its digest alone.

use crate::failure::Failure;
use crate::keys::key_digest;
use crate::state::AppState;
use gallerist_domain::Scope;
use gallerist_store::KeyRecord;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap};
use std::sync::Arc;

/// Longest key that is looked at; ours have 60 characters, imported ones may have more.
const KEY_CHARACTERS_MAX: usize = 512;

/// The key of the request, if it is good now.
pub(crate) fn authenticate(state: &AppState, headers: &HeaderMap) -> Result<Arc<KeyRecord>, Failure> {
    let Some(key) = bearer(headers) else {
        return Err(refused(
            "No API key came with the request. Send one as \"Authorization: Bearer gal-…\".",
        ));
    };
    let engine = state.engine();
    engine.store().key_by_digest(&key_digest(key), engine.clock().now()).ok_or_else(|| {
        refused("The API key is not known here, or it has been revoked or has expired. Make one with \"gallerist keys create\".")
    })
}

/// As [`authenticate`], for what needs a scope.
pub(crate) fn authenticate_for(
    state: &AppState,
    headers: &HeaderMap,
    scope: Scope,
) -> Result<Arc<KeyRecord>, Failure> {
    let key = authenticate(state, headers)?;
    if key.scopes.allow(scope) {
        return Ok(key);
    }
    let (scope, given) = (scope.as_str(), key.scopes);
    Err(Failure::forbidden(format!(
        "This needs a key with the scope {scope}; the scopes of this one: {given}."
    )))
}

/// Lets the store look for a key that this replica has not heard of yet, ahead of [`authenticate`].
pub(crate) async fn learn_key(state: &AppState, headers: &HeaderMap) {
    let engine = state.engine();
    if let (true, Some(key)) = (engine.store().is_shared(), bearer(headers)) {
        engine.store().find_key(&key_digest(key), engine.clock().now()).await;
    }
}

/// As [`authenticate`], for what only an admin key may do.
pub(crate) fn authenticate_admin(state: &AppState, headers: &HeaderMap) -> Result<Arc<KeyRecord>, Failure> {
    let key = authenticate(state, headers)?;
    if is_admin(&key) { Ok(key) } else { Err(Failure::forbidden("This needs an admin key.")) }
}

pub(crate) fn is_admin(key: &KeyRecord) -> bool {
    key.scopes.allow(Scope::Admin)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = key.trim();
    let plausible = !key.is_empty() && key.len() <= KEY_CHARACTERS_MAX;
    (scheme.eq_ignore_ascii_case("bearer") && plausible).then_some(key)
}

fn refused(message: &str) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
}
