//! Refusals inside status 200 and errors of the Gemini API, as faults.
//!
//! Source: Google's reference and SDK enums as of 2026-11. Input and thinking tokens are charged even when
//! no picture comes: a refusal that carries counts is billed by these counts. Unknown reasons are read as
//! an answer without a picture.

use super::wire::{Answer, Candidate};
use crate::HttpReply;
use crate::dialect::faults::{self, Said};
use crate::dialect::json::Few;
use crate::dialect::{HeldText, Skeleton};
use gallerist_domain::{Decimal, Fault, FaultKind, ImageCall, Retry};
use serde::Deserialize;

/// Characters of a finish message that are quoted.
const MESSAGE_BYTES_MAX: usize = 200;

/// The fault of a well-formed answer without a picture.
pub fn without_image(call: &ImageCall, skeleton: &Skeleton, answer: &Answer<'_>) -> Fault {
    let blocked = answer.prompt_feedback.as_ref().and_then(|feedback| feedback.block_reason.as_ref());
    let blocked = blocked.map(|reason| word(skeleton, reason)).filter(|reason| is_named(reason));
    let fault = match blocked {
        Some(reason) => Fault::new(
            FaultKind::ModerationInput,
            format!("the prompt was blocked: {}", reason.to_uppercase()),
        ),
        None => finished(call, skeleton, answer.candidates.0.first()),
    };
    let usage = answer.usage_metadata.as_ref().filter(|usage| usage.counts_something());
    fault.with_usage(usage.map(|usage| usage.metered(false)).unwrap_or_default())
}

/// The fault of a candidate without a picture.
fn finished(call: &ImageCall, skeleton: &Skeleton, candidate: Option<&Candidate<'_>>) -> Fault {
    let Some(candidate) = candidate else {
        return Fault::new(FaultKind::NoImage, "the answer holds neither a picture nor a reason");
    };
    let reason = candidate.finish_reason.as_ref().map(|reason| word(skeleton, reason)).unwrap_or_default();
    let kind = match reason.as_str() {
        "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "SAFETY"
        | "PROHIBITED_CONTENT"
        | "BLOCKLIST"
        | "SPII" => FaultKind::ModerationOutput,
        // Too close to a work that exists.
        "IMAGE_RECITATION" | "RECITATION" => FaultKind::ModerationOutput,
        "MODEL_ARMOR" => FaultKind::ModerationUnknown,
        _ => FaultKind::NoImage,
    };
    let message = candidate.finish_message.as_ref().map(|text| skeleton.text_head(text, MESSAGE_BYTES_MAX));
    let message = message.filter(|message| !message.is_empty()).map(|message| format!(": {message}"));
    let hint = if reason == "MAX_TOKENS" {
        format!(" (we sent a limit of {} output tokens)", call.output_tokens_max)
    } else {
        String::new()
    };
    let named = if is_named(&reason) { reason } else { "no reason".to_owned() };
    Fault::new(kind, format!("no picture, finished with {named}{hint}{}", message.unwrap_or_default()))
}

/// The fault of a reply that is an error by its status.
pub fn fault(reply: &HttpReply) -> Fault {
    let said = faults::said(&reply.body);
    let details = Details::of(reply);
    let mut fault = faults::fault(kind(reply, &said, &details), reply, &said);
    fault.retry_after_ms = fault.retry_after_ms.or(details.retry_after_ms);
    if details.used_up_for_today && fault.kind == FaultKind::RateLimited {
        // Stands until midnight Pacific: waiting here is pointless.
        fault.retry = Retry::Elsewhere;
    }
    fault
}

fn kind(reply: &HttpReply, said: &Said, details: &Details) -> FaultKind {
    // A wrong key is an invalid argument to this API; only the reason in the details tells.
    if details.key_refused {
        return FaultKind::Unauthorized;
    }
    match (said.status.as_deref().unwrap_or_default(), reply.status) {
        ("INVALID_ARGUMENT", _) => FaultKind::InvalidRequest,
        // The account's region or billing.
        ("FAILED_PRECONDITION", _) => FaultKind::PaymentRequired,
        ("UNAUTHENTICATED" | "PERMISSION_DENIED", _) => FaultKind::Unauthorized,
        ("NOT_FOUND", _) => FaultKind::UnknownModel,
        ("RESOURCE_EXHAUSTED", _) => FaultKind::RateLimited,
        ("CANCELLED", _) | (_, 499) => FaultKind::Cancelled,
        ("INTERNAL", _) => FaultKind::UpstreamError,
        ("UNAVAILABLE", _) => FaultKind::Overloaded,
        ("DEADLINE_EXCEEDED", _) => FaultKind::Timeout,
        (_, 200..300) => FaultKind::UpstreamError,
        (_, status) => faults::kind_of_status(status),
    }
}

/// What the `details` of an error say.
#[derive(Default)]
struct Details {
    retry_after_ms: Option<u64>,
    used_up_for_today: bool,
    key_refused: bool,
}

#[derive(Deserialize)]
struct ErrorAnswer<'a> {
    #[serde(borrow)]
    error: ErrorObject<'a>,
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    #[serde(borrow, default)]
    details: Few<Detail<'a>>,
}

/// One of `RetryInfo`, `QuotaFailure`, `ErrorInfo`: told apart by their fields.
#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow, default, rename = "retryDelay")]
    retry_delay: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    violations: Few<Violation<'a>>,
    #[serde(borrow, default)]
    reason: Option<HeldText<'a>>,
}

#[derive(Deserialize)]
struct Violation<'a> {
    #[serde(borrow, default, rename = "quotaId")]
    quota_id: Option<HeldText<'a>>,
}

impl Details {
    fn of(reply: &HttpReply) -> Details {
        let Ok(skeleton) = Skeleton::scan(&reply.body) else { return Details::default() };
        let Ok(answer) = skeleton.read::<ErrorAnswer<'_>>() else { return Details::default() };
        let mut out = Details::default();
        for detail in &answer.error.details.0 {
            let delay = detail.retry_delay.as_ref().and_then(|delay| milliseconds(&skeleton.text(delay)));
            out.retry_after_ms = out.retry_after_ms.or(delay);
            out.key_refused |= detail.reason.as_ref().is_some_and(|reason| reason.is_word("API_KEY_INVALID"));
            out.used_up_for_today |= detail.violations.0.iter().any(|violation| {
                violation.quota_id.as_ref().is_some_and(|quota| skeleton.text(quota).contains("PerDay"))
            });
        }
        out
    }
}

/// A protobuf duration (`23s`, `0.847s`) in milliseconds, rounded up.
fn milliseconds(duration: &str) -> Option<u64> {
    let seconds: Decimal = duration.strip_suffix('s')?.parse().ok()?;
    let micros = crate::dialect::reply::microseconds(seconds)?;
    u64::try_from(micros).ok().map(|micros| micros.div_ceil(1000))
}

/// An enum's value; the API's tools read enums in any case.
fn word(skeleton: &Skeleton, text: &HeldText<'_>) -> String {
    skeleton.text_head(text, 60).to_ascii_uppercase()
}

fn is_named(reason: &str) -> bool {
    !reason.is_empty() && !reason.ends_with("_UNSPECIFIED")
}
