//! One answer of a feed: the same client as for providers, a bound on time and bytes, no redirect.
//!
//! A key travels in a header and is in no message. An answer that has not changed since the last one need not be
//! sent again. fal's prices come in pages of endpoints that have to be named.

use super::Feed;
use crate::simulation::Carrier;
use crate::transport::Transport;
use gallerist_pricing::Catalogue;
use gallerist_pricing::feed::{FeedForm, fal_endpoints};
use gallerist_providers::{CallBody, HttpCall, HttpReply};
use http::{HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use std::sync::Arc;
use tokio::time::Instant;

const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// Endpoints that fal's prices are asked for at once.
const ENDPOINTS_MAX: usize = 50;

/// Why a feed could not be fetched. No variant holds an address or a key.
#[derive(Debug, thiserror::Error)]
pub enum FetchFault {
    #[error("the key has characters that a header cannot hold")]
    Key,
    #[error("{0}")]
    Unreachable(String),
    #[error("it answered {0}")]
    Status(u16),
    #[error(
        "it answered {0}, which sends elsewhere, and that is not followed: name the address that it leads to"
    )]
    Redirected(u16),
    #[error("its answer is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the answer is no text")]
    NoText,
}

impl FetchFault {
    fn of_status(status: u16) -> FetchFault {
        if (300..400).contains(&status) { FetchFault::Redirected(status) } else { FetchFault::Status(status) }
    }
}

/// What a feed calls its answer, to ask whether it is still the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Validators {
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

pub(super) enum Fetched {
    New {
        body: String,
        validators: Validators,
    },
    /// As the last time.
    Unchanged,
}

/// Fetches feeds.
pub struct Fetcher {
    transport: Transport,
}

impl Fetcher {
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new() -> Result<Fetcher, reqwest::Error> {
        // Every feed has its own, smaller bound.
        Ok(Fetcher { transport: Transport::new(CONNECT_TIMEOUT_MS, usize::MAX)? })
    }

    /// Of a simulated engine.
    pub(crate) fn carried(carrier: Arc<dyn Carrier>) -> Fetcher {
        Fetcher { transport: Transport::carried(carrier, usize::MAX) }
    }

    pub(super) async fn fetch(
        &self,
        feed: &Feed,
        base: &Catalogue,
        known: &Validators,
        now: Timestamp,
    ) -> Result<Fetched, FetchFault> {
        let deadline = Instant::now() + feed.timeout;
        if feed.rules.form == FeedForm::Fal {
            let endpoints = fal_endpoints(base, now);
            let body = self.fal_pages(feed, &endpoints, deadline).await?;
            return Ok(Fetched::New { body, validators: Validators::default() });
        }
        let reply = self.ask(feed, &feed.url, Some(known), deadline).await?;
        match reply.status {
            200 => {
                let of = |name: HeaderName| reply.headers.get(name).cloned();
                let validators =
                    Validators { etag: of(header::ETAG), last_modified: of(header::LAST_MODIFIED) };
                Ok(Fetched::New { body: words(&reply)?, validators })
            }
            304 => Ok(Fetched::Unchanged),
            status => Err(FetchFault::of_status(status)),
        }
    }

    /// The answers for all endpoints, one a line. An endpoint that fal does not know fails the whole page, so a
    /// page that fails is halved until the strangers are alone, and left out.
    async fn fal_pages(
        &self,
        feed: &Feed,
        endpoints: &[String],
        deadline: Instant,
    ) -> Result<String, FetchFault> {
        let mut pages: Vec<&[String]> = endpoints.chunks(ENDPOINTS_MAX).collect();
        let mut body = String::new();
        while let Some(page) = pages.pop() {
            let names: Vec<String> = page.iter().map(|name| name.replace('/', "%2F")).collect();
            let url = format!("{}?endpoint_id={}", feed.url, names.join(","));
            let reply = self.ask(feed, &url, None, deadline).await?;
            match reply.status {
                200 => {
                    body.push_str(&words(&reply)?.replace(['\r', '\n'], " "));
                    body.push('\n');
                }
                400 | 404 | 422 if page.len() > 1 => {
                    let (first, second) = page.split_at(page.len() / 2);
                    pages.extend([first, second]);
                }
                400 | 404 | 422 => {}
                status => return Err(FetchFault::of_status(status)),
            }
            if body.len() > feed.bytes_max {
                return Err(FetchFault::TooLarge(feed.bytes_max));
            }
        }
        Ok(body)
    }

    async fn ask(
        &self,
        feed: &Feed,
        url: &str,
        known: Option<&Validators>,
        deadline: Instant,
    ) -> Result<HttpReply, FetchFault> {
        let mut headers = vec![(header::ACCEPT, HeaderValue::from_static("application/json"))];
        let mut add = |name: HeaderName, value: Option<&HeaderValue>| {
            headers.extend(value.map(|value| (name, value.clone())));
        };
        if let Some(known) = known {
            add(header::IF_NONE_MATCH, known.etag.as_ref());
            add(header::IF_MODIFIED_SINCE, known.last_modified.as_ref());
        }
        if let Some(key) = &feed.key {
            let scheme = if feed.rules.form == FeedForm::Fal { "Key" } else { "Bearer" };
            let text = format!("{scheme} {}", key.expose_secret());
            let mut value = HeaderValue::try_from(text).map_err(|_| FetchFault::Key)?;
            value.set_sensitive(true);
            add(header::AUTHORIZATION, Some(&value));
        }
        let call = HttpCall { method: Method::GET, url: url.to_owned(), headers, body: CallBody::Empty };
        let gone = |fault: gallerist_domain::Fault| FetchFault::Unreachable(fault.detail);
        let opened = self.transport.open(call, deadline).await.map_err(gone)?;
        let read = self.transport.read_within(opened, feed.bytes_max, deadline).await.map_err(gone)?;
        read.ok_or(FetchFault::TooLarge(feed.bytes_max))
    }
}

fn words(reply: &HttpReply) -> Result<String, FetchFault> {
    String::from_utf8(reply.body.to_vec()).map_err(|_| FetchFault::NoText)
}
