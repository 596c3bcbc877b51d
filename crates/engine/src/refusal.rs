//! Why a request got no picture: a closed list of kinds with the figures that an answer must name.
//!
//! `server` turns a refusal into OpenAI's error shape. Texts say what to do next and hold no secret.

use gallerist_domain::{Fault, OfferId, RequestId, Ticks};
use gallerist_pricing::sheet::Confidence;
use gallerist_routing::report::ExcludedOffer;
use gallerist_store::Breach;
use jiff::civil::Date;

/// A refused or failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub kind: RefusalKind,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// The parameter at fault, as a path: `size`, `gallerist.steps`.
    pub parameter: Option<String>,
    pub request_id: Option<RequestId>,
    pub retry_after_ms: Option<u64>,
    /// Settled over all attempts.
    pub charged: Ticks,
    /// Held because nobody knows; more than zero forbids an automatic repetition.
    pub disputed: Ticks,
    pub attempts: Vec<FailedAttempt>,
    pub excluded: Vec<ExcludedOffer>,
    /// The least maximum among the offers that are out because they could cost more than the request allows.
    pub cheapest: Option<Ticks>,
    /// How sure the least sure of what `cheapest` rests on is, and when that was read.
    pub cheapest_trust: Option<(Confidence, Date)>,
    /// Whether this repeats what an earlier request was told; its amounts are that one's.
    pub replayed: bool,
    /// The limit that a reservation would have passed.
    pub breach: Option<Box<Breach>>,
    /// Of what it asked for under a limit in dollars: how sure the least sure of what that rests on is, and when it was
    /// read.
    pub asked_trust: Option<(Confidence, Date)>,
    /// The cheapest that would still fit under it.
    pub fitting: Option<Box<Fitting>>,
}

/// What could be had under a limit that refused the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitting {
    pub offer: OfferId,
    /// Pictures.
    pub n: u32,
    /// The most that they cost.
    pub maximum: Ticks,
    /// How sure the least sure of what `maximum` rests on is, and when that was read.
    pub trust: Option<(Confidence, Date)>,
    /// The word of its maker for the quality that costs so much; absent where it has none.
    pub quality: Option<String>,
}

/// One failed attempt, for the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    pub offer: String,
    pub fault: Fault,
    pub charged: Ticks,
    pub disputed: bool,
}

/// The kinds, with OpenAI-compatible status and code (product surface, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    InvalidRequest,
    ModerationBlocked,
    BudgetExceeded,
    /// The key may not use what the name says.
    Forbidden,
    ModelNotFound,
    NoOffer,
    PriceUnknown,
    CostLimitExceeded,
    /// An idempotency key came with another body.
    IdempotencyConflict,
    RateLimited,
    UpstreamFailed,
    UpstreamTimeout,
    /// Our queues are full, or we are shutting down.
    Overloaded,
    Internal,
}

impl RefusalKind {
    pub const ALL: &'static [RefusalKind] = &[
        RefusalKind::InvalidRequest,
        RefusalKind::ModerationBlocked,
        RefusalKind::BudgetExceeded,
        RefusalKind::Forbidden,
        RefusalKind::ModelNotFound,
        RefusalKind::NoOffer,
        RefusalKind::PriceUnknown,
        RefusalKind::CostLimitExceeded,
        RefusalKind::IdempotencyConflict,
        RefusalKind::RateLimited,
        RefusalKind::UpstreamFailed,
        RefusalKind::UpstreamTimeout,
        RefusalKind::Overloaded,
        RefusalKind::Internal,
    ];

    pub const fn status(self) -> u16 {
        match self {
            RefusalKind::InvalidRequest | RefusalKind::ModerationBlocked => 400,
            RefusalKind::BudgetExceeded => 402,
            RefusalKind::Forbidden => 403,
            RefusalKind::ModelNotFound => 404,
            RefusalKind::NoOffer
            | RefusalKind::PriceUnknown
            | RefusalKind::CostLimitExceeded
            | RefusalKind::IdempotencyConflict => 422,
            RefusalKind::RateLimited => 429,
            RefusalKind::Internal => 500,
            RefusalKind::UpstreamFailed => 502,
            RefusalKind::Overloaded => 503,
            RefusalKind::UpstreamTimeout => 504,
        }
    }

    /// Stable; clients compare it.
    pub const fn code(self) -> &'static str {
        match self {
            RefusalKind::InvalidRequest => "invalid_value",
            RefusalKind::ModerationBlocked => "moderation_blocked",
            RefusalKind::BudgetExceeded => "budget_exceeded",
            RefusalKind::Forbidden => "forbidden",
            RefusalKind::ModelNotFound => "model_not_found",
            RefusalKind::NoOffer => "no_offer",
            RefusalKind::PriceUnknown => "price_unknown",
            RefusalKind::CostLimitExceeded => "cost_limit_exceeded",
            RefusalKind::IdempotencyConflict => "idempotency_key_reused",
            RefusalKind::RateLimited => "rate_limited",
            RefusalKind::UpstreamFailed => "upstream_failed",
            RefusalKind::UpstreamTimeout => "upstream_timeout",
            RefusalKind::Overloaded => "overloaded",
            RefusalKind::Internal => "internal_error",
        }
    }

    pub fn from_code(code: &str) -> Option<RefusalKind> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }
}

impl Refusal {
    /// A refusal before any attempt.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        Refusal {
            kind,
            message: message.into(),
            parameter: None,
            request_id: None,
            retry_after_ms: None,
            charged: Ticks::ZERO,
            disputed: Ticks::ZERO,
            attempts: Vec::new(),
            excluded: Vec::new(),
            cheapest: None,
            cheapest_trust: None,
            replayed: false,
            breach: None,
            asked_trust: None,
            fitting: None,
        }
    }

    pub fn with_parameter(mut self, parameter: &str) -> Refusal {
        self.parameter = Some(parameter.to_owned());
        self
    }

    pub fn with_request(mut self, request: RequestId) -> Refusal {
        self.request_id = Some(request);
        self
    }

    /// Whether an automatic repetition could buy a second time, or is pointless.
    pub fn may_have_charged(&self) -> bool {
        !self.charged.is_zero() || !self.disputed.is_zero()
    }
}
