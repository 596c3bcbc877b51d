//! Feeds for the admin key: polling now, and believing what is held. How they stand is part of `prices.rs`.

use crate::auth;
use crate::failure::Failure;
use crate::routes::object::Object;
use crate::routes::parameters::{body, json};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_engine::feeds::FeedFault;
use gallerist_pricing::feed::Told;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json as json_value;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SyncWish {
    /// Only the feed of this name.
    feed: Option<String>,
    dry_run: bool,
}

impl Object for SyncWish {
    const EXAMPLE: &'static str = r#"{"feed": "litellm", "dry_run": true}"#;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation {
    /// `OFFER` or `OFFER LINE`; all that is held where none is named.
    lines: Vec<String>,
}

impl Object for Confirmation {
    const EXAMPLE: &'static str = r#"{"lines": ["bfl/flux-2-pro first"]}"#;
}

#[derive(Serialize)]
struct Synced {
    object: &'static str,
    data: Vec<Told>,
}

/// `{"feed": NAME, "dry_run": false}`, both optional: polls the feeds now and puts in force what is believed of them.
pub(crate) async fn sync(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, request.headers())?;
    let wish: SyncWish = body(&state, request).await?;
    let told = state.engine().sync_feeds(wish.feed.as_deref(), wish.dry_run).await.map_err(failed)?;
    Ok(json(StatusCode::OK, &Synced { object: "list", data: told }))
}

/// `{"lines": ["OFFER LINE"]}`: a person believes what is held.
pub(crate) async fn confirm(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: Confirmation = body(&state, request).await?;
    let told = state.engine().confirm_held(&wish.lines).await.map_err(failed)?;
    if told.is_empty() && !wish.lines.is_empty() {
        let why = state.engine().feed_book().nothing_held(&wish.lines);
        return Err(Failure::invalid("lines", format!("lines: {why}.")));
    }
    let (store, now) = (state.store_for(&admin), state.engine().clock().now());
    for line in &told {
        let after = json_value!({"old_usd": line.old_usd, "new_usd": line.new_usd});
        store.note_change("prices.confirm", &line.line, after, now).await?;
    }
    Ok(json(StatusCode::OK, &Synced { object: "list", data: told }))
}

fn failed(fault: FeedFault) -> Failure {
    match fault {
        FeedFault::NoFeed => {
            Failure::invalid("feed", "There is no feed of that name; GET /v1/prices lists them.")
        }
        // As whatever else is asked of a database that is away.
        FeedFault::Store(error) => error.into(),
        fault => {
            tracing::error!(%fault, "what feeds told could not be put in force");
            Failure::internal()
        }
    }
}
