//! Everything that can go wrong towards a client, as one value with a status and a stable code.
//!
//! Refusals of the engine, faults of parameters and errors of the store are mapped here and nowhere else.
//! A failure that may have cost something, or that would only happen again, tells the SDKs not to retry by
//! themselves. `problem.rs` writes the bodies. No message here holds a key.

mod budget;

use crate::wire::ParameterFault;
use budget::{BudgetDetails, FittingDetails};
use gallerist_domain::{FaultKind, RequestId, Retry, Ticks};
use gallerist_engine::{Refusal, RefusalKind};
use gallerist_routing::report::ExcludedOffer;
use gallerist_store::{AttemptStatus, StoreError};
use http::StatusCode;
use serde::Serialize;

/// How long a client waits when nobody said how long.
const RETRY_AFTER_MS: u64 = 1_000;

/// An error answer before it has a form.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) parameter: Option<String>,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) retry_after_ms: Option<u64>,
    /// Whether an SDK may repeat the request by itself, where its status makes it try.
    pub(crate) should_retry: bool,
    pub(crate) moderation_stage: Option<&'static str>,
    pub(crate) details: Option<Box<Details>>,
    /// The methods of a path, for 405.
    pub(crate) allow: Option<&'static str>,
    /// The rest of the request was not read, so nothing more can follow on its connection.
    pub(crate) close: bool,
}

/// What the `gallerist` member of an error says.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Details {
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charged_usd: Option<Ticks>,
    /// Held because nobody knows whether it was billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    disputed_usd: Option<Ticks>,
    /// The least of the maxima that were above the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    cheapest_usd: Option<Ticks>,
    /// How sure the least sure of what it rests on is, and when that was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    cheapest_confidence: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cheapest_as_of: Option<jiff::civil::Date>,
    /// The limit that was in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget: Option<BudgetDetails>,
    /// What would still fit under it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cheapest_fitting: Option<FittingDetails>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attempts: Vec<AttemptDetails>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    excluded: Vec<ExcludedOffer>,
    /// Whether an earlier request was told so, and the amounts are its own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cached: bool,
    /// Every faulty parameter; the first is also in `param`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<FaultDetails>,
}

#[derive(Debug, Serialize)]
struct AttemptDetails {
    offer: String,
    fault: FaultKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    message: String,
    charged_usd: Ticks,
    disputed: bool,
}

#[derive(Debug, Serialize)]
struct FaultDetails {
    param: Option<String>,
    code: &'static str,
    message: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            status,
            code,
            message: message.into(),
            parameter: None,
            request_id: None,
            retry_after_ms: None,
            should_retry: true,
            moderation_stage: None,
            details: None,
            allow: None,
            close: false,
        }
    }

    /// A parameter outside what it may be; `parameter` is its path.
    pub(crate) fn invalid(parameter: &str, message: impl Into<String>) -> Failure {
        let failure = Failure::new(StatusCode::BAD_REQUEST, "invalid_value", message);
        Failure { parameter: Some(parameter.to_owned()), ..failure }
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Failure {
        Failure::new(StatusCode::NOT_FOUND, "not_found", what)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Failure {
        Failure::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    /// Only what is disputed can be resolved; `number` is the attempt's.
    pub(crate) fn not_disputed(number: &str, status: AttemptStatus) -> Failure {
        let message = format!("Attempt {number} is {status}, not disputed: there is nothing to resolve.");
        let failure = Failure::new(StatusCode::CONFLICT, "not_disputed", message);
        Failure { should_retry: false, ..failure }
    }

    /// Our own mistake. Whether something was bought before it is not known, so nobody repeats it.
    pub(crate) fn internal() -> Failure {
        let message = "Something went wrong inside the gateway; its log says what.";
        let failure = Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message);
        Failure { should_retry: false, ..failure }
    }

    /// OpenAI's word for the family of the error.
    pub(crate) fn openai_type(&self) -> &'static str {
        match (self.status.as_u16(), self.code) {
            (_, "moderation_blocked") => "image_generation_user_error",
            (402, _) => "insufficient_quota",
            (429, _) => "requests",
            (500.., _) => "server_error",
            _ => "invalid_request_error",
        }
    }
}

impl From<Vec<ParameterFault>> for Failure {
    fn from(faults: Vec<ParameterFault>) -> Failure {
        let message: Vec<&str> = faults.iter().map(|fault| fault.message.as_str()).collect();
        let message = message.join("; ");
        let first = faults.first();
        let code = first.map_or("invalid_value", |fault| fault.code);
        let parameter = first.and_then(|fault| fault.parameter.clone());
        let details = faults.into_iter().map(|fault| FaultDetails {
            param: fault.parameter,
            code: fault.code,
            message: fault.message,
        });
        let details = Details { faults: details.collect(), ..Details::default() };
        let failure = Failure::new(StatusCode::BAD_REQUEST, code, message);
        Failure { parameter, details: Some(Box::new(details)), ..failure }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let status = StatusCode::from_u16(refusal.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let waits = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let should_retry = retry_makes_sense(&refusal);
        let retry_after_ms = match refusal.retry_after_ms {
            None if waits && should_retry => Some(RETRY_AFTER_MS),
            given => given.filter(|_| should_retry),
        };
        let moderation_stage =
            (refusal.kind == RefusalKind::ModerationBlocked).then(|| moderation_stage(&refusal));
        let parameter = refusal
            .parameter
            .clone()
            .or_else(|| (refusal.kind == RefusalKind::ModelNotFound).then(|| "model".to_owned()));
        Failure {
            status,
            code: refusal.kind.code(),
            parameter,
            request_id: refusal.request_id,
            retry_after_ms,
            should_retry,
            moderation_stage,
            message: refusal.message.clone(),
            details: details(refusal).map(Box::new),
            allow: None,
            close: false,
        }
    }
}

/// Whether the same request, sent again at once by a machine, could end better and cost nothing twice.
fn retry_makes_sense(refusal: &Refusal) -> bool {
    if refusal.may_have_charged() {
        return false;
    }
    match refusal.kind {
        RefusalKind::RateLimited | RefusalKind::Overloaded => true,
        RefusalKind::UpstreamFailed | RefusalKind::UpstreamTimeout => {
            let hopeless = |retry: Retry| retry == Retry::Never;
            refusal.attempts.is_empty()
                || !refusal.attempts.iter().all(|attempt| hopeless(attempt.fault.retry))
        }
        _ => false,
    }
}

fn moderation_stage(refusal: &Refusal) -> &'static str {
    let stages = refusal.attempts.iter().rev().filter_map(|attempt| match attempt.fault.kind {
        FaultKind::ModerationInput => Some("input"),
        FaultKind::ModerationOutput => Some("output"),
        _ => None,
    });
    stages.into_iter().next().unwrap_or("unknown")
}

fn details(refusal: Refusal) -> Option<Details> {
    let tried = !refusal.attempts.is_empty() || refusal.may_have_charged();
    if refusal.request_id.is_none() && !tried && refusal.excluded.is_empty() && refusal.breach.is_none() {
        return None;
    }
    Some(Details {
        request_id: refusal.request_id,
        charged_usd: tried.then_some(refusal.charged),
        disputed_usd: (!refusal.disputed.is_zero()).then_some(refusal.disputed),
        cheapest_usd: refusal.cheapest,
        cheapest_confidence: refusal.cheapest_trust.map(|(confidence, _)| confidence.as_str()),
        cheapest_as_of: refusal.cheapest_trust.map(|(_, as_of)| as_of),
        budget: refusal.breach.as_deref().map(|breach| BudgetDetails::of(breach, refusal.asked_trust)),
        cheapest_fitting: refusal.fitting.as_deref().map(FittingDetails::from),
        cached: refusal.replayed,
        excluded: refusal.excluded,
        attempts: refusal
            .attempts
            .into_iter()
            .map(|attempt| AttemptDetails {
                offer: attempt.offer,
                fault: attempt.fault.kind,
                status: attempt.fault.status,
                message: attempt.fault.detail,
                charged_usd: attempt.charged,
                disputed: attempt.disputed,
            })
            .collect(),
        faults: Vec::new(),
    })
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error {
            StoreError::UnknownProject(_)
            | StoreError::UnknownKey(_)
            | StoreError::UnknownRequest(_)
            | StoreError::UnknownAlert(_)
            | StoreError::UnknownWebhook(_)
            | StoreError::UnknownLot(_)
            | StoreError::UnknownBudget(_) => Failure::not_found(error.to_string()),
            StoreError::LotMoved(_) => Failure {
                should_retry: false,
                ..Failure::new(StatusCode::CONFLICT, "lot_used", format!("It is not removed: {error}."))
            },
            StoreError::Exists(_) => Failure {
                should_retry: false,
                ..Failure::new(StatusCode::CONFLICT, "already_exists", error.to_string())
            },
            StoreError::Invalid(message) => Failure::new(StatusCode::BAD_REQUEST, "invalid_value", message),
            StoreError::Closed => Failure {
                retry_after_ms: Some(RETRY_AFTER_MS),
                ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The gateway is shutting down.")
            },
            StoreError::Away(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store cannot be reached");
                let message = "The ledger cannot be reached at the moment. Ask again soon.";
                Failure {
                    retry_after_ms: Some(RETRY_AFTER_MS),
                    ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
                }
            }
            StoreError::Unanswered(_) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store did not answer");
                let message = "The connection to the ledger broke, and whether this was done is not known: look \
                    before you ask for it again.";
                Failure {
                    should_retry: false,
                    ..Failure::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message)
                }
            }
            error => {
                tracing::error!(error = &error as &dyn std::error::Error, "the store failed");
                Failure::internal()
            }
        }
    }
}

#[cfg(test)]
mod tests;
