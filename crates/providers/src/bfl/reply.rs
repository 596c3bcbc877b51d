//! What BFL's answers mean: a started job, a poll, an end.
//!
//! A job's word decides before the HTTP status does, because failed and moderated jobs arrive with 422,
//! 500 or 503 as well as with 200. Costs are credits, read from their digits; the one in the result is
//! what was settled and wins over the one named at submission, also when it is 0. Words that nobody has
//! documented mean "not finished": the engine's deadline ends the waiting.

use super::{PENDING_VERSION, POLLING_URL};
use crate::dialect::{Figure, HeldText, Skeleton, faults, job_address, json, reply};
use crate::{HttpReply, Pending, Step};
use gallerist_domain::{
    Billed, Decimal, Fault, FaultKind, ImageCall, ImageData, MadeImage, Meter, Metered, Outcome, ReportedCost,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Time between two polls.
const POLL_MS: u64 = 500;
/// Time after a failed poll.
const POLL_FAILED_MS: u64 = 1_000;
/// Polls that may fail with 5xx, one after the other; a dead task answers so for ever.
const FAILED_POLLS_MAX: u64 = 3;
/// Polls that may answer 404, together; a new job can be unknown for some seconds.
const UNKNOWN_POLLS_MAX: u64 = 12;

const COST: &str = "cost";
const FAILED_POLLS: &str = "failed_polls";
const UNKNOWN_POLLS: &str = "unknown_polls";

/// The fields of both answers; everything that is not needed to find the picture is read leniently.
#[derive(Deserialize)]
struct Job<'a> {
    #[serde(borrow, default)]
    id: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    polling_url: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    status: Option<HeldText<'a>>,
    /// Seen by one client where `status` is missing.
    #[serde(borrow, default)]
    state: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    cost: Option<Figure<'a>>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    /// An object or a text with the reasons of a moderation.
    #[serde(borrow, default)]
    details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Made<'a> {
    #[serde(borrow, default)]
    sample: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    seed: Option<Figure<'a>>,
    #[serde(borrow, default)]
    prompt: Option<&'a RawValue>,
}

/// What a status word says.
enum Word {
    Ready,
    Ended(FaultKind),
    Running,
}

/// The answer to the call that asks for the picture.
pub(super) fn submitted(call: &ImageCall, answer: &HttpReply) -> Step {
    if !(200..300).contains(&answer.status) {
        return Step::Fault(refusal(answer));
    }
    let read = || -> Result<Pending, Fault> {
        let skeleton = Skeleton::scan(&answer.body)?;
        let job: Job<'_> = skeleton.read()?;
        let malformed = |detail: &str| Fault::new(FaultKind::Malformed, detail).with_status(answer.status);
        let id = job.id.as_ref().and_then(|id| reply::id(&skeleton.text(id)));
        let id = id.ok_or_else(|| malformed("a job without id"))?;
        let address = job.polling_url.as_ref().map(|address| skeleton.text(address));
        let address = address.filter(|address| job_address::is_plain(address));
        let address = address.ok_or_else(|| malformed("a job without a usable polling address"))?;
        let mut state = BTreeMap::from([(POLLING_URL.to_owned(), address.into_owned())]);
        if let Some(cost) = credits(job.cost) {
            state.insert(COST.to_owned(), cost.to_string());
        }
        Ok(Pending { version: PENDING_VERSION, job: id, state })
    };
    match read() {
        Ok(pending) => Step::Wait { pending, after_ms: POLL_MS },
        // A task that was refused at once may be told in the words of a poll.
        Err(fault) => match ended(call, None, answer) {
            Some(step) => step,
            None => Step::Fault(fault),
        },
    }
}

/// The answer to a poll.
pub(super) fn polled(call: &ImageCall, pending: &Pending, answer: &HttpReply) -> Step {
    if let Some(step) = ended(call, Some(pending), answer) {
        return step;
    }
    let wait_ms = faults::retry_after_ms(&answer.headers);
    match answer.status {
        200..300 if has_word(answer) => {
            let mut pending = pending.clone();
            pending.state.remove(FAILED_POLLS);
            Step::Wait { pending, after_ms: POLL_MS }
        }
        200..300 => again(pending, FAILED_POLLS, FAILED_POLLS_MAX, answer, FaultKind::Malformed),
        404 => again(pending, UNKNOWN_POLLS, UNKNOWN_POLLS_MAX, answer, FaultKind::ResultUnavailable),
        429 => Step::Wait { pending: pending.clone(), after_ms: wait_ms.unwrap_or(POLL_FAILED_MS) },
        500..600 => again(pending, FAILED_POLLS, FAILED_POLLS_MAX, answer, FaultKind::UpstreamError),
        // The poll was refused, not the job: it may be made and charged meanwhile.
        _ => Step::Fault(refusal(answer).with_billed(Billed::Unknown)),
    }
}

/// Waits once more unless `count_max` polls have gone this way; then a fault of `kind`.
fn again(pending: &Pending, counter: &str, count_max: u64, answer: &HttpReply, kind: FaultKind) -> Step {
    let count = pending.state.get(counter).and_then(|count| count.parse().ok()).unwrap_or(0u64);
    let count = count.saturating_add(1);
    if count >= count_max {
        let fault = faults::fault(kind, answer, &faults::said(&answer.body));
        // The job goes on without us, or went.
        return Step::Fault(fault.with_billed(Billed::Unknown));
    }
    let mut pending = pending.clone();
    pending.state.insert(counter.to_owned(), count.to_string());
    let after_ms = if kind == FaultKind::ResultUnavailable { POLL_MS } else { POLL_FAILED_MS };
    Step::Wait { pending, after_ms }
}

/// The end of a job, if the answer's word is one, whatever the HTTP status.
fn ended(call: &ImageCall, pending: Option<&Pending>, answer: &HttpReply) -> Option<Step> {
    let skeleton = Skeleton::scan(&answer.body).ok()?;
    let job: Job<'_> = skeleton.read().ok()?;
    let said = skeleton.text(job.word()?);
    let cost = credits(job.cost);
    match meaning(&said) {
        Word::Running => None,
        // Straight after submission a 404 only says that the job has not arrived everywhere.
        Word::Ended(FaultKind::ResultUnavailable) if answer.status == 404 => None,
        Word::Ended(kind) => {
            let reasons = job.details.map_or("null", RawValue::get);
            let detail = if reasons == "null" { said.into_owned() } else { format!("{said}: {reasons}") };
            let mut fault = Fault::new(kind, detail).with_status(answer.status);
            if kind == FaultKind::ResultUnavailable {
                // That a job is not known any more says nothing about whether it was made.
                fault = fault.with_billed(Billed::Unknown);
            }
            Some(Step::Fault(with_cost(fault, cost)))
        }
        Word::Ready => {
            let made = job.result.and_then(|result| serde_json::from_str::<Made<'_>>(result.get()).ok());
            Some(match made.and_then(|made| image(call, &skeleton, &made)) {
                Some(image) => Step::Done(Outcome {
                    images: vec![image],
                    reported: cost
                        .or_else(|| pending?.state.get(COST)?.parse().ok())
                        .map(|amount| ReportedCost { amount, currency: "credit".to_owned() }),
                    provider_request_id: pending.map(|pending| pending.job.clone()),
                    ..Outcome::default()
                }),
                None => {
                    let fault = Fault::new(FaultKind::NoImage, "the finished job names no picture");
                    Step::Fault(with_cost(fault.with_status(answer.status), cost))
                }
            })
        }
    }
}

fn image(call: &ImageCall, skeleton: &Skeleton, made: &Made<'_>) -> Option<MadeImage> {
    let sample = made.sample.as_ref().filter(|sample| !sample.is_empty())?;
    let prompt = made.prompt.and_then(|raw| serde_json::from_str::<HeldText<'_>>(raw.get()).ok());
    let prompt = prompt.map(|prompt| skeleton.text(&prompt).into_owned());
    Some(MadeImage {
        data: ImageData::Url(skeleton.text(sample).into_owned()),
        format: None,
        revised_prompt: prompt.filter(|prompt| !prompt.is_empty() && *prompt != call.prompt),
        seed: made.seed.and_then(|seed| seed.seed()),
    })
}

impl<'a> Job<'a> {
    fn word(&self) -> Option<&HeldText<'a>> {
        self.status.as_ref().or(self.state.as_ref())
    }
}

fn has_word(answer: &HttpReply) -> bool {
    let Ok(skeleton) = Skeleton::scan(&answer.body) else { return false };
    skeleton.read::<Job<'_>>().is_ok_and(|job| job.word().is_some())
}

/// The documented words, and the two that only clients know (`Failed`, `No Card Generated`).
fn meaning(word: &str) -> Word {
    match word {
        "Ready" => Word::Ready,
        "Request Moderated" => Word::Ended(FaultKind::ModerationInput),
        "Content Moderated" => Word::Ended(FaultKind::ModerationOutput),
        "Error" | "Failed" | "No Card Generated" => Word::Ended(FaultKind::UpstreamError),
        "Task not found" => Word::Ended(FaultKind::ResultUnavailable),
        _ => Word::Running,
    }
}

/// A cost in credits, if it is a number and not negative.
fn credits(cost: Option<Figure<'_>>) -> Option<Decimal> {
    cost?.decimal().filter(|cost| cost.mantissa() >= 0)
}

/// What a settled cost proves about a failed job.
fn with_cost(fault: Fault, cost: Option<Decimal>) -> Fault {
    match cost {
        None => fault,
        Some(cost) if cost.mantissa() == 0 => fault.with_billed(Billed::No),
        Some(cost) => {
            let usage = json::millionths(cost).map(|quantity| Metered { meter: Meter::Credits, quantity });
            fault.with_billed(Billed::Yes).with_usage(usage.into_iter().collect())
        }
    }
}

/// The fault of a refused call. 402 is the balance, 429 the limit of tasks that run at a time; a 503
/// proves no more than a 500 that nothing was started.
fn refusal(answer: &HttpReply) -> Fault {
    let kind = match answer.status {
        503 => FaultKind::UpstreamError,
        status => faults::kind_of_status(status),
    };
    faults::fault(kind, answer, &faults::said(&answer.body))
}
