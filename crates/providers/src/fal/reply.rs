//! What fal's answers mean: a queued job, its status, its result, a cancellation.
//!
//! `COMPLETED` is said of failed jobs too; only the result tells, with the model's own HTTP status. The
//! header `x-fal-billable-units` is the one sign of the charge; it is read from its digits, on errors as
//! well. A picture under `has_nsfw_concepts` is black: it is withheld here, and was paid.

use super::{CANCEL_URL, PENDING_VERSION, RESPONSE_URL, STAGE, STAGE_RESULT, STAGE_STATUS, STATUS_URL};
use crate::dialect::json::Few;
use crate::dialect::{Figure, HeldText, Skeleton, faults, job_address, json, reply};
use crate::{Cancelled, HttpReply, Pending, Step};
use gallerist_domain::{
    Billed, Decimal, Fault, FaultKind, ImageCall, ImageData, MadeImage, Meter, Metered, Outcome, Retry,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Time between two polls.
const POLL_MS: u64 = 500;
/// Time after the first failed poll; it doubles with each further one.
const POLL_FAILED_MS: u64 = 1_000;
/// Polls that may fail, one after the other; the job itself is not touched by that.
const FAILED_POLLS_MAX: u32 = 5;
const FAILED_POLLS: &str = "failed_polls";
/// Fetches of the result that may be told that the job is not finished.
const EARLY_FETCHES_MAX: u32 = 3;
const EARLY_FETCHES: &str = "early_fetches";
/// How the status says that the job failed: the type of its error, or nothing for one without a type.
const FAILED: &str = "failed";

const BILLABLE_UNITS: &str = "x-fal-billable-units";
const REQUEST_ID: &str = "x-fal-request-id";
const ERROR_TYPE: &str = "x-fal-error-type";
const RETRYABLE: &str = "x-fal-retryable";

#[derive(Deserialize)]
struct Submitted<'a> {
    #[serde(borrow)]
    request_id: HeldText<'a>,
    #[serde(borrow)]
    status_url: HeldText<'a>,
    #[serde(borrow)]
    response_url: HeldText<'a>,
    #[serde(borrow, default)]
    cancel_url: Option<HeldText<'a>>,
}

#[derive(Deserialize)]
struct Status<'a> {
    #[serde(borrow)]
    status: HeldText<'a>,
    /// Of a job that has failed.
    #[serde(borrow, default)]
    error: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    error_type: Option<HeldText<'a>>,
}

/// A result; everything that is not needed to find the pictures is read leniently.
#[derive(Deserialize)]
struct Made<'a> {
    #[serde(borrow, default)]
    images: Few<File<'a>>,
    /// Instead of `images` for some models.
    #[serde(borrow, default)]
    image: Option<File<'a>>,
    #[serde(borrow, default)]
    seed: Option<Figure<'a>>,
    #[serde(borrow, default)]
    has_nsfw_concepts: Option<&'a RawValue>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, default)]
    url: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    content_type: Option<HeldText<'a>>,
}

/// An error reply that comes from the model or the queue, not from something between.
#[derive(Deserialize)]
struct Refused<'a> {
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error_type: Option<HeldText<'a>>,
}

/// The first entry of a `detail` list.
#[derive(Deserialize)]
struct Reason {
    #[serde(default, rename = "type")]
    kind: String,
}

/// The answer to the call that asks for the pictures.
pub(super) fn submitted(answer: &HttpReply) -> Step {
    if !(200..300).contains(&answer.status) {
        return Step::Fault(refused_submission(answer));
    }
    let read = || -> Result<Pending, Fault> {
        let skeleton = Skeleton::scan(&answer.body)?;
        let job: Submitted<'_> = skeleton.read()?;
        let malformed = |detail: &str| Fault::new(FaultKind::Malformed, detail).with_status(answer.status);
        let id = reply::id(&skeleton.text(&job.request_id)).ok_or_else(|| malformed("a job without id"))?;
        let mut state = BTreeMap::from([(STAGE.to_owned(), STAGE_STATUS.to_owned())]);
        for (name, address) in [(STATUS_URL, &job.status_url), (RESPONSE_URL, &job.response_url)] {
            let address = skeleton.text(address);
            if !job_address::is_plain(&address) {
                return Err(malformed("a job without usable addresses"));
            }
            state.insert(name.to_owned(), address.into_owned());
        }
        // Without it the job cannot be cancelled, no more.
        let cancel = job.cancel_url.map(|address| skeleton.text(&address).into_owned());
        if let Some(address) = cancel.filter(|address| job_address::is_plain(address)) {
            state.insert(CANCEL_URL.to_owned(), address);
        }
        Ok(Pending { version: PENDING_VERSION, job: id, state })
    };
    match read() {
        Ok(pending) => Step::Wait { pending, after_ms: POLL_MS },
        Err(fault) => Step::Fault(fault),
    }
}

/// The answer to the question how the job stands: 202 while it waits or runs, 200 at its end.
pub(super) fn status(pending: &Pending, answer: &HttpReply) -> Step {
    match answer.status {
        200..300 => match status_word(answer).as_deref() {
            Some("COMPLETED") => {
                let mut pending = at_stage(pending, STAGE_RESULT);
                pending.state.extend(told_failure(answer).map(|kind| (FAILED.to_owned(), kind)));
                Step::Wait { pending, after_ms: 0 }
            }
            Some(_) => Step::Wait { pending: at_stage(pending, STAGE_STATUS), after_ms: POLL_MS },
            None => again(pending, answer, FaultKind::Malformed),
        },
        408 | 429 | 500..600 => again(pending, answer, FaultKind::UpstreamError),
        404 | 410 => Step::Fault(gone(answer)),
        // The question was refused, not the job: it may be made and charged meanwhile.
        _ => Step::Fault(refusal(answer).with_billed(Billed::Unknown)),
    }
}

/// The answer to the fetch of the result.
pub(super) fn result(call: &ImageCall, pending: &Pending, answer: &HttpReply) -> Step {
    match answer.status {
        200..300 => match outcome(call, pending, answer) {
            Ok(outcome) => Step::Done(outcome),
            Err(fault) => Step::Fault(with_units(fault.with_status(answer.status), answer)),
        },
        // 400 is said of a job that is not finished after all, or by the model.
        400 => match counted(pending, EARLY_FETCHES, EARLY_FETCHES_MAX) {
            Some((pending, _)) => {
                Step::Wait { pending: in_stage(pending, STAGE_STATUS), after_ms: POLL_FAILED_MS }
            }
            None => Step::Fault(refused_result(answer)),
        },
        404 | 410 => Step::Fault(with_units(gone(answer), answer)),
        429 => again(pending, answer, FaultKind::RateLimited),
        500..600 if !is_from_fal(answer) => again(pending, answer, FaultKind::UpstreamError),
        // This may be about the fetch, of a picture that is paid.
        500..600 if !is_told_failure(pending, answer) && billable_units(answer).is_none() => {
            match again(pending, answer, FaultKind::UpstreamError) {
                Step::Fault(_) => Step::Fault(refused_result(answer)),
                wait => wait,
            }
        }
        _ => Step::Fault(refused_result(answer)),
    }
}

/// The answer to a cancellation: 200 removed from the queue, 202 told to stop, 400 (or 409) too late.
pub(super) fn cancelled(answer: &HttpReply) -> Cancelled {
    let word = status_word(answer).unwrap_or_default();
    match (answer.status, word.as_str()) {
        (_, "ALREADY_COMPLETED") | (409, _) => Cancelled::Finished,
        (202, _) | (200, "CANCELLATION_REQUESTED") => Cancelled::Running,
        (200, _) => Cancelled::Queued,
        _ => Cancelled::Unknown,
    }
}

fn outcome(call: &ImageCall, pending: &Pending, answer: &HttpReply) -> Result<Outcome, Fault> {
    let skeleton = Skeleton::scan(&answer.body)?;
    let made: Made<'_> = skeleton.read()?;
    let black: Vec<bool> =
        made.has_nsfw_concepts.and_then(|flags| serde_json::from_str(flags.get()).ok()).unwrap_or_default();
    let prompt = made.prompt.and_then(|raw| serde_json::from_str::<HeldText<'_>>(raw.get()).ok());
    let prompt = prompt.map(|prompt| skeleton.text(&prompt).into_owned());
    let revised_prompt = prompt.filter(|prompt| !prompt.is_empty() && *prompt != call.prompt);
    let seed = made.seed.and_then(|seed| seed.seed());
    let files = match made.images.0.is_empty() {
        true => made.image.into_iter().collect(),
        false => made.images.0,
    };
    let mut images = Vec::new();
    let mut withheld = 0u32;
    for (index, file) in files.iter().enumerate() {
        if black.get(index).copied().unwrap_or(false) {
            withheld = withheld.saturating_add(1);
            continue;
        }
        let Some((data, format)) = picture(&skeleton, file) else { continue };
        let revised_prompt = revised_prompt.clone();
        images.push(MadeImage { data, format, revised_prompt, seed });
    }
    if images.is_empty() {
        return Err(if withheld > 0 {
            Fault::new(FaultKind::ModerationOutput, "the filter blackened what was made")
        } else {
            Fault::new(FaultKind::NoImage, "the result names no picture")
        });
    }
    let provider_request_id = Some(pending.job.clone());
    Ok(Outcome { images, withheld, usage: units(answer), provider_request_id, ..Outcome::default() })
}

/// An address, or with `sync_mode` the picture itself as a data address.
fn picture(
    skeleton: &Skeleton,
    file: &File<'_>,
) -> Option<(ImageData, Option<gallerist_domain::OutputFormat>)> {
    let url = file.url.as_ref().filter(|url| !url.is_empty())?;
    let named = file.content_type.as_ref().and_then(|word| reply::format(&skeleton.text(word)));
    let held = skeleton.base64(url);
    if held.head(5) == b"data:" {
        let (base64, format) = reply::without_data_prefix(held);
        return Some((ImageData::Base64(base64), format.or(named)));
    }
    Some((ImageData::Url(skeleton.text(url).into_owned()), named))
}

/// The billable units of an answer, in millionths.
fn units(answer: &HttpReply) -> Vec<Metered> {
    let quantity = billable_units(answer).and_then(json::millionths);
    quantity.map(|quantity| Metered { meter: Meter::BillableUnits, quantity }).into_iter().collect()
}

fn billable_units(answer: &HttpReply) -> Option<Decimal> {
    let units: Decimal = answer.header(BILLABLE_UNITS)?.trim().parse().ok()?;
    (units.mantissa() >= 0).then_some(units)
}

/// What the units of a failed result prove.
fn with_units(fault: Fault, answer: &HttpReply) -> Fault {
    match billable_units(answer) {
        None => fault,
        Some(units) if units.mantissa() == 0 => fault.with_billed(Billed::No),
        Some(_) => fault.with_billed(Billed::Yes).with_usage(units(answer)),
    }
}

fn status_word(answer: &HttpReply) -> Option<String> {
    let skeleton = Skeleton::scan(&answer.body).ok()?;
    let status: Status<'_> = skeleton.read().ok()?;
    Some(skeleton.text(&status.status).into_owned())
}

/// The type of the error that a status tells; empty for one without a type.
fn told_failure(answer: &HttpReply) -> Option<String> {
    let skeleton = Skeleton::scan(&answer.body).ok()?;
    let status: Status<'_> = skeleton.read().ok()?;
    let words = |word: Option<HeldText<'_>>| word.map(|word| skeleton.text(&word).into_owned());
    let kind = words(status.error_type).unwrap_or_default();
    let told = !kind.is_empty() || words(status.error).is_some_and(|error| !error.is_empty());
    told.then_some(kind)
}

/// Whether the status has told of the failure that a fetched result shows.
fn is_told_failure(pending: &Pending, answer: &HttpReply) -> bool {
    pending
        .state
        .get(FAILED)
        .is_some_and(|told| told.is_empty() || error_type(answer).is_none_or(|kind| kind == *told))
}

/// The fault of a job that fal does not know (any more): whether it was charged is not known either.
fn gone(answer: &HttpReply) -> Fault {
    faults::fault(FaultKind::ResultUnavailable, answer, &faults::said(&answer.body))
        .with_billed(Billed::Unknown)
}

/// The job at a stage, its failed polls forgotten.
fn at_stage(pending: &Pending, stage: &str) -> Pending {
    let mut pending = in_stage(pending.clone(), stage);
    pending.state.remove(FAILED_POLLS);
    pending
}

fn in_stage(mut pending: Pending, stage: &str) -> Pending {
    pending.state.insert(STAGE.to_owned(), stage.to_owned());
    pending
}

/// Waits once more unless too many answers were of no use; then a fault of `kind`, not known to be free,
/// because the job goes on without us.
fn again(pending: &Pending, answer: &HttpReply, kind: FaultKind) -> Step {
    let Some((pending, count)) = counted(pending, FAILED_POLLS, FAILED_POLLS_MAX) else {
        let fault = faults::fault(kind, answer, &faults::said(&answer.body));
        return Step::Fault(with_units(fault.with_billed(Billed::Unknown), answer));
    };
    let after_ms = faults::retry_after_ms(&answer.headers).unwrap_or(POLL_FAILED_MS << (count - 1));
    Step::Wait { pending, after_ms }
}

/// The job with a counter raised, and the count; nothing once `count_max` is reached.
fn counted(pending: &Pending, counter: &str, count_max: u32) -> Option<(Pending, u32)> {
    let count = pending.state.get(counter).and_then(|count| count.parse::<u32>().ok()).unwrap_or(0);
    let count = count.checked_add(1).filter(|count| *count < count_max)?;
    let mut pending = pending.clone();
    pending.state.insert(counter.to_owned(), count.to_string());
    Some((pending, count))
}

fn is_from_fal(answer: &HttpReply) -> bool {
    let has = |name: &str| answer.header(name).is_some();
    has(ERROR_TYPE) || has(RETRYABLE) || has(REQUEST_ID) || error_type(answer).is_some() || has_detail(answer)
}

fn has_detail(answer: &HttpReply) -> bool {
    let Ok(skeleton) = Skeleton::scan(&answer.body) else { return false };
    skeleton.read::<Refused<'_>>().is_ok_and(|refused| refused.detail.is_some())
}

/// The error's type: from the header, the first entry of `detail`, or `error_type`.
fn error_type(answer: &HttpReply) -> Option<String> {
    if let Some(word) = answer.header(ERROR_TYPE) {
        return Some(word.to_owned());
    }
    let skeleton = Skeleton::scan(&answer.body).ok()?;
    let refused: Refused<'_> = skeleton.read().ok()?;
    let listed = refused.detail.and_then(|detail| serde_json::from_str::<Few<Reason>>(detail.get()).ok());
    let first = listed.and_then(|reasons| reasons.0.into_iter().next()).map(|reason| reason.kind);
    first
        .filter(|kind| !kind.is_empty())
        .or_else(|| refused.error_type.map(|word| skeleton.text(&word).into_owned()))
}

/// The fault of a refused submission. That a 5xx is free is fal's promise for its own: one that something
/// between us and fal wrote says nothing about the job, which may be running.
fn refused_submission(answer: &HttpReply) -> Fault {
    let fault = refusal(answer);
    match answer.status {
        500..600 if !is_from_fal(answer) => fault.with_billed(Billed::Unknown),
        _ => fault,
    }
}

/// The fault of a refused result. A runner may have worked before it refused, and the fetch may have been
/// refused instead of the job: below 500, only the units tell whether it was charged.
fn refused_result(answer: &HttpReply) -> Fault {
    let fault = refusal(answer);
    let fault = if answer.status < 500 { fault.with_billed(Billed::Unknown) } else { fault };
    with_units(fault, answer)
}

/// The fault of an error reply. An exhausted balance has no status or type of its own, so it is what its
/// 403 says; what follows is the same. A failed start of the runner means that nothing ran.
fn refusal(answer: &HttpReply) -> Fault {
    let said = faults::said(&answer.body);
    let kind = match (answer.status, error_type(answer).as_deref()) {
        (_, Some("content_policy_violation")) => FaultKind::ModerationUnknown,
        (500..600, Some("runner_scheduling_failure")) => FaultKind::Overloaded,
        (504 | 524, _) => FaultKind::Timeout,
        (500..600, _) => FaultKind::UpstreamError,
        (status, _) => faults::kind_of_status(status),
    };
    let mut fault = faults::fault(kind, answer, &said);
    // A time-out that fal itself reports is a 5xx like the others, and those are never charged.
    if kind == FaultKind::Timeout && answer.status >= 500 && is_from_fal(answer) {
        fault = fault.with_billed(Billed::No);
    }
    // fal's own word on a failure of its own; refusals keep what their kind says.
    match answer.header(RETRYABLE) {
        Some("true") if answer.status >= 500 => fault.retry = Retry::Later,
        Some("false") if answer.status >= 500 => fault.retry = Retry::Elsewhere,
        _ => {}
    }
    fault
}
