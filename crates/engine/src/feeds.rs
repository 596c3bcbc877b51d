//! Fetching a price feed once.
//!
//! The same client as for providers: no redirect, no repetition, a bound on time and bytes. What a feed's text
//! means and whether it is believed is `gallerist_pricing::feed`.

use crate::transport::Transport;
use gallerist_providers::{CallBody, HttpCall};
use http::{HeaderValue, Method, header};
use std::time::Duration;
use tokio::time::Instant;

const CONNECT_TIMEOUT_MS: u64 = 10_000;
const WHOLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Several times the largest public list.
const BYTES_MAX: usize = 32 << 20;

/// Why a feed could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FeedFault {
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    #[error("the key has characters that a header cannot hold")]
    Key,
    #[error("{0}")]
    Unreachable(String),
    #[error("it answered {0}")]
    Status(u16),
    #[error("the answer is no text")]
    NoText,
}

/// The text at `url`; a key travels as `Authorization: Bearer`.
///
/// # Errors
/// When there is no answer in time, or one that is no success.
pub async fn fetch(url: &str, key: Option<&str>) -> Result<String, FeedFault> {
    let transport = Transport::new(CONNECT_TIMEOUT_MS, BYTES_MAX).map_err(FeedFault::Client)?;
    let mut headers = vec![(header::ACCEPT, HeaderValue::from_static("application/json"))];
    if let Some(key) = key {
        let mut value = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| FeedFault::Key)?;
        value.set_sensitive(true);
        headers.push((header::AUTHORIZATION, value));
    }
    let call = HttpCall { method: Method::GET, url: url.to_owned(), headers, body: CallBody::Empty };
    let reply = transport.send(call, Instant::now() + WHOLE_TIMEOUT).await;
    let reply = reply.map_err(|fault| FeedFault::Unreachable(fault.detail))?;
    if reply.status != 200 {
        return Err(FeedFault::Status(reply.status));
    }
    String::from_utf8(reply.body.to_vec()).map_err(|_| FeedFault::NoText)
}
