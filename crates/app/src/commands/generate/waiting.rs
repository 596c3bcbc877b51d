//! A signal while a picture is being made: it is being paid for, so it is waited for and saved.
//!
//! The first signal says so and waits on, for a bounded time; a second one, or the end of that time, leaves
//! the request to whoever makes it, and says how to find it again. It refuses to cancel: no provider gives
//! the money back.

use crate::client::Client;
use crate::failure::Failure;
use crate::signals::Ended;
use gallerist_domain::RequestId;
use gallerist_engine::Engine;
use gallerist_store::{RequestFilter, RequestStatus};
use indicatif::ProgressBar;
use jiff::Timestamp;
use std::pin::pin;
use std::time::Duration;
use tokio::time::sleep;

/// How long a picture is waited for after the first signal: slow models take a minute and more.
const WAIT: Duration = Duration::from_secs(120);
/// Exit code of what an interrupt ended, as shells have it.
pub const INTERRUPTED: u8 = 130;
/// Requests that are looked through for the one that was left.
const ROWS: u32 = 20;

/// Waits for `making` through a first signal; `None` when it was left.
pub async fn wait<T>(
    making: impl Future<Output = T>,
    ended: &mut Ended,
    progress: &ProgressBar,
) -> Option<T> {
    let mut making = pin!(making);
    tokio::select! {
        made = &mut making => return Some(made),
        () = ended.first() => progress.suspend(|| crate::output::remark(format!(
            "The picture is being paid for: waiting up to {} seconds to save it; Ctrl-C again leaves it.",
            WAIT.as_secs()
        ))),
    }
    tokio::select! {
        made = &mut making => Some(made),
        () = ended.first() => None,
        () = sleep(WAIT) => None,
    }
}

/// What was left running in this process, which ends now.
pub async fn left_here(engine: &Engine, begun: Timestamp) -> Failure {
    let filter = RequestFilter { limit: ROWS, ..RequestFilter::default() };
    let page = engine.store().requests(filter).await.ok();
    // The books keep microseconds, and are locked by this process, so whatever runs is what was asked for here.
    let running = page.and_then(|page| {
        page.requests.into_iter().find(|one| {
            one.status == RequestStatus::Running && one.created_at.as_microsecond() >= begun.as_microsecond()
        })
    });
    match running {
        Some(request) => left(format!("request {} was left; it may be charged", request.id)).advise(format!(
            "`gallerist requests show {id}` says what became of it; what its provider still makes is fetched when \
             `gallerist serve` starts, and `gallerist requests picture {id}` then saves it for an hour",
            id = request.id
        )),
        None => left("left before anything was reserved; nothing is charged"),
    }
}

/// What a gateway goes on with; `remote` where the books are elsewhere.
pub fn left_with_gateway(client: &Client, begun: Timestamp, remote: Option<&str>) -> Failure {
    let running = running(client, begun);
    let failure = match running.as_slice() {
        [id] => left(format!("left; the gateway goes on with request {id} and pays for it")),
        _ => left("left; the gateway goes on with the request and pays for it"),
    };
    let id = match running.as_slice() {
        [id] => id.to_string(),
        _ => "ID".to_owned(),
    };
    let fetch = match remote {
        Some(address) => {
            let origin = address.trim_end_matches('/').trim_end_matches("/v1");
            format!(
                "curl -H \"Authorization: Bearer $GALLERIST_API_KEY\" -o picture {origin}/v1/requests/{id}/images/0"
            )
        }
        None => format!("gallerist requests picture {id}"),
    };
    let find = if running.len() == 1 { "" } else { "`gallerist requests list` shows its ID; " };
    failure.advise(format!("{find}`{fetch}` saves the picture, for an hour once it is made"))
}

/// What runs at the gateway since `begun`, as far as the key may see it.
fn running(client: &Client, begun: Timestamp) -> Vec<RequestId> {
    let Ok(page) = client.ask("GET", &format!("/v1/requests?limit={ROWS}"), None) else { return Vec::new() };
    let rows = page["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ours = |row: &&serde_json::Value| {
        let created: Option<Timestamp> = row["created_at"].as_str().and_then(|text| text.parse().ok());
        row["status"] == "running" && created.is_some_and(|at| at.as_microsecond() >= begun.as_microsecond())
    };
    rows.iter().filter(ours).filter_map(|row| row["id"].as_str()?.parse().ok()).collect()
}

fn left(message: impl Into<String>) -> Failure {
    Failure { exit: INTERRUPTED, ..Failure::failed(message) }
}
