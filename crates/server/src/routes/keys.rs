//! Client keys, for the admin key: list, make, revoke. A new key is shown in the one answer that makes it.

use crate::auth;
use crate::failure::Failure;
use crate::keys::new_key;
use crate::routes::parameters::{PathPart, body, instant, json, no_content};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_domain::ProjectId;
use gallerist_store::{KeyRecord, KeyRole};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

const NAME_CHARACTERS_MAX: usize = 120;

#[derive(Serialize)]
struct Key<'a> {
    id: &'a str,
    object: &'static str,
    /// Only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    prefix: &'a str,
    project: &'a ProjectId,
    name: &'a str,
    role: &'static str,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Key<'a>>,
    has_more: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    project: Option<String>,
    #[serde(default)]
    name: String,
    role: Option<String>,
    expires_at: Option<String>,
}

pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let keys = state.engine().store().list_keys().await?;
    let data = keys.iter().map(Key::from).collect();
    Ok(json(StatusCode::OK, &List { object: "list", data, has_more: false }))
}

/// `{"project","name","role","expires_at"}`, all optional: project `default`, role `generate`, no end.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, request.headers())?;
    let wish: Wish = body(&state, request).await?;
    let project = match &wish.project {
        Some(name) => name.parse().map_err(|message: String| Failure::invalid("project", message))?,
        None => ProjectId::default_project(),
    };
    let role = match wish.role.as_deref() {
        None => KeyRole::Generate,
        Some(word) => KeyRole::from_word(word)
            .ok_or_else(|| Failure::invalid("role", "role must be generate or admin."))?,
    };
    if wish.name.chars().count() > NAME_CHARACTERS_MAX || wish.name.chars().any(char::is_control) {
        let message = format!("name must have at most {NAME_CHARACTERS_MAX} printable characters.");
        return Err(Failure::invalid("name", message));
    }
    let expires_at = wish.expires_at.as_deref().map(|text| instant("expires_at", text)).transpose()?;
    let now = state.engine().clock().now();
    let fresh = new_key();
    let record = fresh.record(project, &wish.name, role, expires_at);
    state.engine().store().create_key(record.clone(), now).await?;
    let key = Key {
        id: &record.id,
        object: "key",
        key: Some(fresh.secret.expose_secret()),
        prefix: &record.prefix,
        project: &record.project,
        name: &record.name,
        role: record.role.as_str(),
        created_at: now,
        expires_at: record.expires_at,
        revoked_at: None,
    };
    Ok(json(StatusCode::CREATED, &key))
}

pub(crate) async fn revoke(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    state.engine().store().revoke_key(&id, state.engine().clock().now()).await?;
    Ok(no_content())
}

impl<'a> From<&'a KeyRecord> for Key<'a> {
    fn from(record: &'a KeyRecord) -> Key<'a> {
        Key {
            id: &record.id,
            object: "key",
            key: None,
            prefix: &record.prefix,
            project: &record.project,
            name: &record.name,
            role: record.role.as_str(),
            created_at: record.created_at,
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
        }
    }
}
