//! What can go wrong, with the attributes that policy decides by.
//!
//! A [`Fault`] says who is to blame, whether and where it may be tried again, and whether it was
//! billed. Policy reads these attributes and never the text. `detail` is for people and is bounded;
//! it never holds a secret.

use crate::meter::Metered;
use serde::{Deserialize, Serialize};

/// The closed list of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The provider refused the parameters.
    InvalidRequest,
    /// The provider does not know (or no longer serves) the model.
    UnknownModel,
    /// Our key was refused.
    Unauthorized,
    /// The account has no money or reached a limit of spending.
    PaymentRequired,
    /// A filter refused the prompt before anything was made.
    ModerationInput,
    /// A filter withheld what had been made.
    ModerationOutput,
    /// A filter refused; the provider does not say at which stage.
    ModerationUnknown,
    RateLimited,
    /// Temporarily out of capacity; nothing was started.
    Overloaded,
    /// The provider failed.
    UpstreamError,
    /// No connection could be made, so nothing was sent.
    ConnectFailed,
    /// The connection broke after the call had been sent.
    ConnectionLost,
    /// The deadline passed while the provider worked.
    Timeout,
    /// The answer is not of the protocol.
    Malformed,
    /// A well-formed answer without a picture.
    NoImage,
    /// The picture has another size than was asked for.
    WrongSize,
    /// The picture is blank, cut off, not a picture, or in another format than the client named.
    ImageRejected,
    /// The picture's address could not be fetched.
    ResultUnavailable,
    /// The job was cancelled.
    Cancelled,
    /// The adapter cannot express the call; a mistake in the catalogue.
    Unsupported,
    /// Our own mistake.
    Internal,
    /// The breaker or a limit of ours held the call back.
    HeldBack,
}

/// Who caused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    Client,
    Provider,
    Us,
    /// A content filter.
    Policy,
}

/// Whether trying again makes sense, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    Never,
    /// At the same provider after a time (and elsewhere at once).
    Later,
    /// At another offer.
    Elsewhere,
}

/// Whether the provider charges for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Billed {
    No,
    Yes,
    Unknown,
}

/// The events of the outcome matrix: for each the catalogue says whether it is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeEvent {
    Success,
    /// Made, then withheld by a filter.
    Filtered,
    /// Refused by a filter before anything was made.
    Refused,
    /// Refused for its parameters, the key or a limit (4xx).
    Rejected,
    /// The provider failed (5xx, a failed job, an answer without a picture).
    Failed,
    CancelledQueued,
    CancelledRunning,
    /// The connection broke after sending.
    Disconnected,
    TimedOut,
}

impl ChargeEvent {
    pub const ALL: &'static [ChargeEvent] = &[
        ChargeEvent::Success,
        ChargeEvent::Filtered,
        ChargeEvent::Refused,
        ChargeEvent::Rejected,
        ChargeEvent::Failed,
        ChargeEvent::CancelledQueued,
        ChargeEvent::CancelledRunning,
        ChargeEvent::Disconnected,
        ChargeEvent::TimedOut,
    ];
}

/// A failed try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub kind: FaultKind,
    pub blame: Blame,
    pub retry: Retry,
    /// What the reply itself proves about billing. `None`: ask the outcome matrix for [`Fault::event`].
    pub billed: Option<Billed>,
    /// The provider's wish, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// HTTP status of the reply, if there was one.
    pub status: Option<u16>,
    /// For people; bounded to [`DETAIL_CHARACTERS_MAX`] characters.
    pub detail: String,
    /// The parameter that the provider named.
    pub parameter: Option<String>,
    /// What the provider counted although it failed (a refusal costs its input tokens). When not empty,
    /// `billed` is `Yes` and settlement charges exactly these counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<Metered>,
}

/// Longest `detail` that is kept.
pub const DETAIL_CHARACTERS_MAX: usize = 400;

impl Fault {
    /// A fault with the customary attributes of its kind.
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Fault {
        let (blame, retry) = customary(kind);
        let mut detail: String = detail.into();
        if let Some((at, _)) = detail.char_indices().nth(DETAIL_CHARACTERS_MAX) {
            detail.truncate(at);
        }
        Fault {
            kind,
            blame,
            retry,
            billed: None,
            retry_after_ms: None,
            status: None,
            detail,
            parameter: None,
            usage: Vec::new(),
        }
    }

    pub fn with_status(mut self, status: u16) -> Fault {
        self.status = Some(status);
        self
    }

    pub fn with_retry_after_ms(mut self, wait_ms: Option<u64>) -> Fault {
        self.retry_after_ms = wait_ms;
        self
    }

    pub fn with_billed(mut self, billed: Billed) -> Fault {
        self.billed = Some(billed);
        self
    }

    pub fn with_parameter(mut self, parameter: Option<String>) -> Fault {
        self.parameter = parameter;
        self
    }

    /// Proves the charge by the provider's own counts; without counts it changes nothing.
    pub fn with_usage(mut self, usage: Vec<Metered>) -> Fault {
        if !usage.is_empty() {
            self.billed = Some(Billed::Yes);
            self.usage = usage;
        }
        self
    }

    /// The row of the outcome matrix that says whether this is charged.
    pub fn event(&self) -> ChargeEvent {
        use FaultKind::*;
        match self.kind {
            InvalidRequest | UnknownModel | Unauthorized | PaymentRequired | RateLimited | Overloaded => {
                ChargeEvent::Rejected
            }
            // Never sent, so never charged: the same row as a refused call.
            ConnectFailed | Unsupported | HeldBack => ChargeEvent::Rejected,
            ModerationInput => ChargeEvent::Refused,
            ModerationOutput | ModerationUnknown => ChargeEvent::Filtered,
            UpstreamError | NoImage => ChargeEvent::Failed,
            ConnectionLost | Malformed | Internal => ChargeEvent::Disconnected,
            Timeout => ChargeEvent::TimedOut,
            // A picture was made; that it is useless or gone does not undo the charge.
            WrongSize | ImageRejected | ResultUnavailable => ChargeEvent::Success,
            Cancelled => ChargeEvent::CancelledRunning,
        }
    }
}

fn customary(kind: FaultKind) -> (Blame, Retry) {
    use FaultKind::*;
    match kind {
        InvalidRequest => (Blame::Client, Retry::Elsewhere),
        ModerationInput | ModerationOutput | ModerationUnknown => (Blame::Policy, Retry::Never),
        RateLimited | Overloaded => (Blame::Provider, Retry::Later),
        Internal => (Blame::Us, Retry::Never),
        Unsupported | HeldBack => (Blame::Us, Retry::Elsewhere),
        UnknownModel | Unauthorized | PaymentRequired | UpstreamError | ConnectFailed | ConnectionLost
        | Timeout | Malformed | NoImage | WrongSize | ImageRejected | ResultUnavailable | Cancelled => {
            (Blame::Provider, Retry::Elsewhere)
        }
    }
}
