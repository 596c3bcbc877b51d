//! How to ask each provider: pure translation, without a socket.
//!
//! This room owns the wire protocols: a call becomes an [`HttpCall`], a reply becomes a [`Step`]. It
//! refuses to connect, sleep, retry or know a price. The engine owns the one loop that sends, waits,
//! cancels and counts, so every adapter is tested without a server. Synchronous JSON, multipart and
//! polling differ only in values.
//!
//! To add a provider: a module here, one line in [`PROVIDERS`], a file in `catalog/`, golden cases in
//! `golden/<kind>/`, and a stand-in in `fakes`. `cargo xtask tidy` fails when one is missing.

pub mod dialect;

mod automatic1111;
mod bfl;
mod fal;
mod google;
mod openai;
mod stability;

use gallerist_domain::{Chunks, Fault, FaultKind, ImageCall, Outcome, OutputFormat};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every adapter, in the order in which documents list them.
pub const PROVIDERS: &[&dyn Provider] = &[
    &openai::OpenAi,
    &google::Google,
    &bfl::Bfl,
    &stability::Stability,
    &fal::Fal,
    &automatic1111::Automatic1111,
];

/// The adapter of a kind.
pub fn by_kind(kind: &str) -> Option<&'static dyn Provider> {
    PROVIDERS.iter().copied().find(|provider| provider.kind() == kind)
}

/// One wire protocol.
pub trait Provider: Send + Sync {
    /// The name that catalogue files, configuration and offers use.
    fn kind(&self) -> &'static str;

    /// The call that asks for the pictures.
    ///
    /// # Errors
    /// A fault of kind `Unsupported` or `InvalidRequest` when the protocol cannot express the call.
    fn prepare(&self, call: &ImageCall, endpoint: &Endpoint) -> Result<HttpCall, Fault>;

    /// What a reply means. `pending` is what an earlier reply to the same call left open.
    fn interpret(&self, call: &ImageCall, pending: Option<&Pending>, reply: &HttpReply) -> Step;

    /// The call that asks how a pending job stands; also used to look it up after a restart.
    fn look_up(&self, _pending: &Pending, _endpoint: &Endpoint) -> Option<HttpCall> {
        None
    }

    /// The call that cancels a pending job, where the protocol has one.
    fn cancel(&self, _pending: &Pending, _endpoint: &Endpoint) -> Option<HttpCall> {
        None
    }

    /// What the reply to a cancellation says.
    fn interpret_cancel(&self, _reply: &HttpReply) -> Cancelled {
        Cancelled::Unknown
    }

    /// Decodes one server-sent event of a streamed answer.
    fn decode_event(&self, _call: &ImageCall, _event: &ServerEvent) -> Result<StreamStep, Fault> {
        Ok(StreamStep::Ignore)
    }

    /// The call that asks what is left of the account's prepaid credits, where the protocol has one. It costs
    /// nothing.
    fn balance(&self, _endpoint: &Endpoint) -> Option<HttpCall> {
        None
    }

    /// What the reply to [`Provider::balance`] says.
    ///
    /// # Errors
    /// The fault of a reply that is a refusal, or says no figure.
    fn interpret_balance(&self, _reply: &HttpReply) -> Result<Balance, Fault> {
        Err(Fault::new(FaultKind::Unsupported, "this protocol has no balance"))
    }

    /// A harmless call that costs nothing and shows whether the key works, where there is one.
    fn probe(&self, _endpoint: &Endpoint) -> Option<HttpCall> {
        None
    }
}

/// Where a provider is reached and with what key.
#[derive(Clone)]
pub struct Endpoint {
    /// Without a trailing slash, with the path that the vendor's SDK would take.
    pub base_url: String,
    /// The provider's key; empty where none is needed. Never printed.
    pub key: String,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub struct HttpCall {
    pub method: Method,
    pub url: String,
    /// Values that carry keys are marked sensitive, so that `Debug` hides them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: CallBody,
}

/// The body of a call.
#[derive(Clone, Debug)]
pub enum CallBody {
    Empty,
    Json(bytes::Bytes),
    Multipart(Vec<Part>),
}

/// One part of a multipart body.
#[derive(Clone, Debug)]
pub struct Part {
    pub name: String,
    /// File name and media type, for file parts.
    pub file: Option<(String, String)>,
    pub bytes: bytes::Bytes,
}

/// A complete reply; the body stays in the frames it came in.
#[derive(Clone, Debug)]
pub struct HttpReply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Chunks,
}

impl HttpReply {
    /// A header's text, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A started job, as it is stored: enough to ask for it after a restart. Holds no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Version of this adapter's `state`; an adapter refuses versions it does not know.
    pub version: u32,
    /// The provider's id of the job.
    pub job: String,
    /// What the adapter wants to remember (addresses, the stage, a cost named at submission).
    pub state: BTreeMap<String, String>,
}

/// What comes next.
#[derive(Clone, Debug)]
pub enum Step {
    Done(Outcome),
    /// Ask again with [`Provider::look_up`] after the time; store `pending` first.
    Wait {
        pending: Pending,
        after_ms: u64,
    },
    Fault(Fault),
}

/// What a provider says is left of an account's prepaid credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Millionths of a unit, rounded half up where the provider tells more; negative where it is owed.
    pub left_millionths: i64,
    /// Code of the unit, as the catalogue has it: `credit`, or `USD`.
    pub unit: &'static str,
}

/// The answer to a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// Removed before it ran.
    Queued,
    /// Told to stop while running.
    Running,
    /// Too late, it is finished: look it up.
    Finished,
    Unknown,
}

/// One server-sent event.
#[derive(Clone, Debug)]
pub struct ServerEvent {
    /// The `event:` line, or empty.
    pub name: String,
    pub data: Chunks,
}

/// What a streamed event means.
#[derive(Clone, Debug)]
pub enum StreamStep {
    Ignore,
    /// A partial picture.
    Partial {
        index: u32,
        /// Base64 text.
        image: Chunks,
        format: Option<OutputFormat>,
    },
    /// The end of one picture, with everything known about it and its cost.
    Completed(Outcome),
}

#[cfg(test)]
mod tests;
