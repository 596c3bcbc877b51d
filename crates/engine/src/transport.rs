//! The only place that sends: provider calls over HTTP/1.1, and the hardened fetch of result addresses.
//!
//! Nothing is repeated here and no redirect is followed. A failure says whether anything was sent,
//! because that decides whether a charge is possible. Answers are held in the frames they came in.

use crate::simulation::Carrier;
use bytes::Bytes;
use gallerist_domain::{Chunks, Fault, FaultKind, Retry};
use gallerist_providers::{CallBody, HttpCall, HttpReply, Part};
use http::HeaderMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

mod addresses;
mod client;
pub(crate) use addresses::OwnHost;
use addresses::{Reach, reach};
use client::Client;

/// Whether an address may lead to a public place; names are judged when they are resolved.
pub(crate) fn may_be_public(url: &reqwest::Url) -> bool {
    reach(url, None) == Reach::Public
}

/// The HTTP clients.
pub(crate) struct Transport {
    provider_client: Client,
    /// Refuses private addresses; for pictures at addresses that a provider named.
    public_client: Client,
    reply_bytes_max: usize,
    /// Where calls are sent to, parsed: a few addresses for each provider.
    submissions: Mutex<HashMap<String, reqwest::Url>>,
}

/// Addresses that are remembered; those of more than so many are parsed anew each time.
const SUBMISSIONS_MAX: usize = 256;

/// A reply whose body has not been read.
pub(crate) struct Opened {
    pub status: u16,
    pub headers: HeaderMap,
    response: reqwest::Response,
}

impl Transport {
    pub(crate) fn new(connect_timeout_ms: u64, reply_bytes_max: usize) -> Result<Transport, reqwest::Error> {
        // Another part of the program may have installed one already; either is the same provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            reqwest::Client::builder()
                .http1_only()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .connect_timeout(Duration::from_millis(connect_timeout_ms))
                .pool_max_idle_per_host(256)
                .tcp_nodelay(true)
        };
        Ok(Transport {
            provider_client: Client::new(builder().build()?),
            public_client: Client::new(builder().dns_resolver(addresses::PublicOnly).build()?),
            reply_bytes_max,
            submissions: Mutex::default(),
        })
    }

    /// Of a simulated engine.
    pub(crate) fn carried(carrier: Arc<dyn Carrier>, reply_bytes_max: usize) -> Transport {
        let client = || Client::carried(Arc::clone(&carrier));
        let (provider_client, public_client) = (client(), client());
        Transport { provider_client, public_client, reply_bytes_max, submissions: Mutex::default() }
    }

    /// The address of a call that submits something; `None` for one that is no address.
    fn submission(&self, address: &str) -> Option<reqwest::Url> {
        let mut known = self.submissions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(url) = known.get(address) {
            return Some(url.clone());
        }
        let url = reqwest::Url::parse(address).ok()?;
        if known.len() < SUBMISSIONS_MAX {
            known.insert(address.to_owned(), url.clone());
        }
        Some(url)
    }

    /// Sends a call and waits for the head of its reply.
    pub(crate) async fn open(&self, call: HttpCall, deadline: Instant) -> Result<Opened, Fault> {
        let submission = match &call.body {
            // Each question about a job has an address of its own.
            CallBody::Empty => None,
            CallBody::Json(_) | CallBody::Multipart(_) => self.submission(&call.url),
        };
        let client = &self.provider_client;
        let mut request = match submission {
            Some(url) => client.http.request(call.method, url),
            None => client.http.request(call.method, &call.url),
        };
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = match call.body {
            CallBody::Empty => request,
            CallBody::Json(bytes) => {
                request.header(http::header::CONTENT_TYPE, "application/json").body(bytes)
            }
            CallBody::Multipart(parts) => request.multipart(form(parts)?),
        };
        let sending = timeout_at(deadline, client.send(request));
        let response = sending.await.map_err(|_| timed_out())?.map_err(|failure| failure.fault())?;
        Ok(Opened { status: response.status().as_u16(), headers: response.headers().clone(), response })
    }

    /// Sends a call and reads its whole reply.
    pub(crate) async fn send(&self, call: HttpCall, deadline: Instant) -> Result<HttpReply, Fault> {
        let opened = self.open(call, deadline).await?;
        self.read(opened, deadline).await
    }

    /// Reads the body, frame by frame, under the byte cap.
    pub(crate) async fn read(&self, opened: Opened, deadline: Instant) -> Result<HttpReply, Fault> {
        let bytes_max = self.reply_bytes_max;
        self.read_within(opened, bytes_max, deadline).await?.ok_or_else(|| {
            Fault::new(FaultKind::Malformed, format!("the answer is larger than {bytes_max} bytes"))
        })
    }

    /// As [`Transport::read`], under a cap of the caller's; `None` when the body is larger.
    pub(crate) async fn read_within(
        &self,
        mut opened: Opened,
        bytes_max: usize,
        deadline: Instant,
    ) -> Result<Option<HttpReply>, Fault> {
        let mut body = Chunks::new();
        while let Some(frame) = opened.frame(deadline).await? {
            // Searched while it is warm: later, every byte would have to come from memory again.
            body.push_searched(frame);
            if body.len() > bytes_max {
                return Ok(None);
            }
        }
        Ok(Some(HttpReply { status: opened.status, headers: opened.headers, body }))
    }

    /// Posts to an address that a person named, and reads the head of the answer alone: what stands below
    /// is of no use, and of no bound. Without `private`, only public addresses are reached.
    pub(crate) async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        private: bool,
        deadline: Instant,
    ) -> Result<(u16, HeaderMap), Fault> {
        let url = reqwest::Url::parse(url).map_err(|_| unavailable("the address is not a URL"))?;
        let client = match (reach(&url, None), private) {
            (_, true) if matches!(url.scheme(), "http" | "https") => &self.provider_client,
            (Reach::Public, false) => &self.public_client,
            _ => return Err(unavailable("the address is not a public one")),
        };
        let sent = client.send(client.http.post(url).headers(headers).body(body));
        let response = timeout_at(deadline, sent)
            .await
            .map_err(|_| unavailable("no answer came in time"))?
            .map_err(|failure| unavailable(failure.describe()))?;
        Ok((response.status().as_u16(), response.headers().clone()))
    }

    /// Fetches a picture from an address that a provider named. From the provider's `own` host it may come
    /// wherever that is; every other private address is refused. A fault that may pass says so by its retry.
    pub(crate) async fn fetch(
        &self,
        url: &str,
        own: Option<&OwnHost>,
        bytes_max: usize,
        deadline: Instant,
    ) -> Result<Chunks, Fault> {
        let url = reqwest::Url::parse(url).map_err(|_| unavailable("the picture's address is not a URL"))?;
        let client = match reach(&url, own) {
            Reach::Own => &self.provider_client,
            Reach::Public => &self.public_client,
            Reach::Never => return Err(unavailable("the picture's address is not a public one")),
        };
        let response = timeout_at(deadline, client.send(client.http.get(url)))
            .await
            .map_err(|_| passing(unavailable("fetching the picture took too long")))?
            .map_err(|failure| {
                let fault = unavailable(failure.describe());
                if failure.leads_inside() { fault } else { passing(fault) }
            })?;
        let status = response.status().as_u16();
        if !response.status().is_success() {
            let fault = unavailable(format!("the picture's address answered {status}")).with_status(status);
            return Err(if matches!(status, 408 | 425 | 429 | 500..) { passing(fault) } else { fault });
        }
        let mut opened = Opened { status, headers: HeaderMap::new(), response };
        let mut body = Chunks::new();
        let broken = |fault: Fault| passing(unavailable(fault.detail));
        while let Some(frame) = opened.frame(deadline).await.map_err(broken)? {
            body.push(frame);
            if body.len() > bytes_max {
                return Err(unavailable(format!("the picture is larger than {bytes_max} bytes")));
            }
        }
        Ok(body)
    }
}

fn unavailable(detail: impl Into<String>) -> Fault {
    Fault::new(FaultKind::ResultUnavailable, detail)
}

/// The same fetch may succeed a moment later.
fn passing(fault: Fault) -> Fault {
    Fault { retry: Retry::Later, ..fault }
}

impl Opened {
    /// The next frame of the body; `None` at its end.
    pub(crate) async fn frame(&mut self, deadline: Instant) -> Result<Option<Bytes>, Fault> {
        let frame = timeout_at(deadline, self.response.chunk()).await.map_err(|_| timed_out())?;
        frame.map_err(|error| Fault::new(FaultKind::ConnectionLost, client::describe(&error)))
    }
}

fn form(parts: Vec<Part>) -> Result<reqwest::multipart::Form, Fault> {
    let mut form = reqwest::multipart::Form::new();
    for part in parts {
        let length = part.bytes.len() as u64;
        let mut field = reqwest::multipart::Part::stream_with_length(part.bytes, length);
        if let Some((name, media_type)) = part.file {
            let invalid = |_| Fault::new(FaultKind::Unsupported, "a part has no valid media type");
            field = field.file_name(name).mime_str(&media_type).map_err(invalid)?;
        }
        form = form.part(part.name, field);
    }
    Ok(form)
}

fn timed_out() -> Fault {
    Fault::new(FaultKind::Timeout, "the provider did not answer before the deadline")
}
