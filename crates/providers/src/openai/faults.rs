//! From an error of the Images API to a fault, by `code` and `type` before the status.
//!
//! Sources: OpenAI's API reference and SDKs as of 2026-11. A reply with status 4xx carries no usage and the
//! outcome matrix says that it is free; a picture that was made and then withheld may be charged, so the
//! stage that the reply names decides between the three kinds of moderation.

use crate::HttpReply;
use crate::dialect::faults::{self, Said};
use crate::dialect::{HeldText, Skeleton};
use gallerist_domain::{Billed, Chunks, Fault, FaultKind};
use http::HeaderMap;
use serde::Deserialize;

/// The account cannot pay: retrying does not help, whatever the status says.
const PAYMENT_CODES: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
];

/// The fault of an error reply; also of one with status 200.
pub fn fault(reply: &HttpReply) -> Fault {
    let said = faults::said(&reply.body);
    let kind = kind(reply, &said);
    if kind != FaultKind::ModerationUnknown {
        return faults::fault(kind, reply, &said);
    }
    match stage(&reply.body).as_deref() {
        Some("input") => faults::fault(FaultKind::ModerationInput, reply, &said).with_billed(Billed::No),
        Some("output") => faults::fault(FaultKind::ModerationOutput, reply, &said),
        _ => faults::fault(FaultKind::ModerationUnknown, reply, &said),
    }
}

/// The fault of an error event inside a stream, which has no status of its own.
pub fn fault_of_event(data: &Chunks) -> Fault {
    let reply = HttpReply { status: 200, headers: HeaderMap::new(), body: data.clone() };
    fault(&reply)
}

fn kind(reply: &HttpReply, said: &Said) -> FaultKind {
    let code = said.code.as_deref().unwrap_or_default();
    let family = said.kind.as_deref().unwrap_or_default();
    if PAYMENT_CODES.contains(&code) || PAYMENT_CODES.contains(&family) {
        return FaultKind::PaymentRequired;
    }
    match code {
        "moderation_blocked" | "content_policy_violation" => return FaultKind::ModerationUnknown,
        "invalid_api_key" => return FaultKind::Unauthorized,
        "model_not_found" => return FaultKind::UnknownModel,
        "rate_limit_exceeded" | "slow_down" => return FaultKind::RateLimited,
        _ => {}
    }
    match reply.status {
        // The SDKs take it for a passing clash and try again.
        409 => FaultKind::UpstreamError,
        // Without a wait it is an ordinary failure that may have been billed; with one the server says that
        // it did not begin.
        503 if faults::retry_after_ms(&reply.headers).is_none() => FaultKind::UpstreamError,
        200..300 if matches!(family, "invalid_request_error" | "image_generation_user_error") => {
            FaultKind::InvalidRequest
        }
        200..300 => FaultKind::UpstreamError,
        status => faults::kind_of_status(status),
    }
}

#[derive(Deserialize)]
struct ErrorAnswer<'a> {
    #[serde(borrow)]
    error: ErrorObject<'a>,
}

#[derive(Deserialize)]
struct ErrorObject<'a> {
    #[serde(borrow)]
    moderation_details: ModerationDetails<'a>,
}

#[derive(Deserialize)]
struct ModerationDetails<'a> {
    #[serde(borrow)]
    moderation_stage: HeldText<'a>,
}

/// `input`, `output` or `unknown`, where the reply says it: in the error object or, in a flat event, beside it.
fn stage(body: &Chunks) -> Option<String> {
    let skeleton = Skeleton::scan(body).ok()?;
    let nested = skeleton.read::<ErrorAnswer<'_>>().map(|answer| answer.error.moderation_details);
    let details =
        nested.or_else(|_| skeleton.read::<ErrorObject<'_>>().map(|error| error.moderation_details));
    Some(skeleton.text(&details.ok()?.moderation_stage).into_owned())
}
