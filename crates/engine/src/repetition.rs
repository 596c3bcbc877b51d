//! What does this request repeat? One question, with one answer: something that runs, something that has
//! finished, or nothing.
//!
//! An `Idempotency-Key` names what it repeats: for a day the request that it is bound to, whatever the retry
//! count says. Without one, only the automatic repetition of an SDK repeats, namely a request of the same
//! caller with the same body: one that runs, else the newest that was answered or may have been charged.
//! Parallel requests with one body cannot be told apart, so a repetition may get the picture of its twin;
//! that is the price of never buying a second time. What failed for free is repeated by nobody: trying again
//! costs nothing.
//!
//! The memory (`joining.rs`) is asked first, then the store; what runs at another replica is waited for there. It decides nothing: `admit.rs` waits for what
//! runs and begins a life where nothing is repeated. What a row answers is told by `replay.rs`.

use crate::joining::{Ending, EndingWatch, Found, JoinKey};
use crate::refusal::{Refusal, RefusalKind};
use crate::replay::{self, with_format};
use crate::request::Incoming;
use crate::shared::Shared;
use gallerist_domain::{RequestId, ResponseFormat};
use gallerist_store::RequestDetail;
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long after its acceptance a request can be repeated by an SDK and joined.
const REPETITION: SignedDuration = SignedDuration::from_mins(15);
/// How long after its end a request that was answered is what an SDK repeats, rather than a new wish. An SDK
/// repeats after seconds, and after a minute at most.
pub(crate) const JUST_FINISHED: SignedDuration = SignedDuration::from_mins(2);

/// Between two looks at a request that another replica is at work on.
const ELSEWHERE_PAUSE_MIN: Duration = Duration::from_millis(50);
const ELSEWHERE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// What a request repeats.
pub(crate) enum Repeats {
    Running(EndingWatch),
    /// Marked as replayed; it is not counted and not paid again.
    Finished(Box<Ending>),
    Nothing,
}

impl Repeats {
    fn finished(ending: Ending) -> Repeats {
        Repeats::Finished(Box::new(replay::replayed(ending)))
    }
}

/// Who asked for what.
pub(crate) fn join_key(incoming: &Incoming) -> JoinKey {
    (Arc::clone(&incoming.payer), incoming.fingerprint)
}

/// What this request repeats.
pub(crate) async fn repeats(shared: &Shared, incoming: &Incoming) -> Repeats {
    if let Some(key) = &incoming.idempotency_key {
        let project = incoming.payer.project.clone();
        let known = shared.store.idempotent(project, key, incoming.accepted_at).await;
        // A store that cannot be read now refuses the reservation, or finds the binding in it.
        let Ok(Some(known)) = known else { return Repeats::Nothing };
        let same_body = known.fingerprint == incoming.fingerprint;
        return bound(shared, incoming.request.response_format, known.request, same_body).await;
    }
    if incoming.retry_count == 0 {
        return Repeats::Nothing;
    }
    match shared.joining.find(&join_key(incoming)) {
        Some(Found::Running(watch)) => Repeats::Running(watch),
        Some(Found::Finished(ending)) => Repeats::finished(*ending),
        None => in_store(shared, incoming).await,
    }
}

/// What the request that an idempotency key is bound to answers.
pub(crate) async fn bound(
    shared: &Shared,
    format: ResponseFormat,
    request: RequestId,
    same_body: bool,
) -> Repeats {
    let conflict = |message: &str| {
        Repeats::finished(Err(Refusal::new(RefusalKind::IdempotencyConflict, message).with_request(request)))
    };
    if !same_body {
        return conflict("This Idempotency-Key was used with another body. Use a new key for a new request.");
    }
    // First the memory, then the row: what has left the memory has its end ahead of this reading.
    if let Some(watch) = shared.joining.running(request) {
        return Repeats::Running(watch);
    }
    if let Some(refused) = end_elsewhere(shared, request).await {
        return refused;
    }
    let detail = match shared.store.request(request).await {
        Ok(detail) => detail,
        Err(error) => return Repeats::finished(Err(replay::unread(Some(request), &error))),
    };
    let ending = match detail {
        Some(detail) => replay::from_store(shared, &detail).await,
        None => None,
    };
    match ending {
        Some(ending) => Repeats::finished(with_format(shared, format, ending).await),
        None => conflict(
            "The request with this Idempotency-Key is over, but its pictures are no longer kept. It is not \
             bought again; use a new key.",
        ),
    }
}

/// After a restart, or when the memory is used up, only the store remembers what a repetition repeats.
async fn in_store(shared: &Shared, incoming: &Incoming) -> Repeats {
    let Ok(since) = incoming.accepted_at.checked_sub(REPETITION) else { return Repeats::Nothing };
    let payer = &incoming.payer;
    let found = shared
        .store
        .repeatable(payer.project.clone(), payer.key_id.clone(), incoming.fingerprint, since)
        .await;
    let request = match found {
        Ok(Some(request)) => request,
        Ok(None) => return Repeats::Nothing,
        // A new life might buy a second time, if only the reading failed.
        Err(error) => return Repeats::finished(Err(replay::unread(None, &error))),
    };
    if let Some(watch) = shared.joining.running(request) {
        return Repeats::Running(watch);
    }
    if let Some(refused) = end_elsewhere(shared, request).await {
        return refused;
    }
    let detail = match shared.store.request(request).await {
        Ok(Some(detail)) => detail,
        Ok(None) => return Repeats::Nothing,
        Err(error) => return Repeats::finished(Err(replay::unread(Some(request), &error))),
    };
    match replay::from_store(shared, &detail).await {
        Some(Ok(answer)) => {
            Repeats::finished(with_format(shared, incoming.request.response_format, Ok(answer)).await)
        }
        // It failed for free since it was found.
        Some(Err(refusal)) if !refusal.may_have_charged() && !replay::is_looked_up(&detail) => {
            Repeats::Nothing
        }
        Some(refused) => Repeats::finished(refused),
        None => pictures_gone(incoming, &detail),
    }
}

/// Waits while another replica is at work on the request, so that its row says how it ended. Answers only if
/// that takes longer than any life, or cannot be known.
async fn end_elsewhere(shared: &Shared, request: RequestId) -> Option<Repeats> {
    let waited = Instant::now();
    let mut pause = ELSEWHERE_PAUSE_MIN;
    loop {
        let unclear = match shared.store.runs_elsewhere(request).await {
            Ok(false) => return None,
            Ok(true) => "Another replica is still at work on this request.",
            Err(_) => "Another replica may be at work on this request, and the store cannot be asked.",
        };
        if waited.elapsed() >= Duration::from_millis(shared.limits.deadline_ms)
            || shared.stopping.is_cancelled()
            || !shared.store.is_reached()
        {
            let message = format!("{unclear} Ask again in a moment; it is not bought again.");
            let refusal = Refusal::new(RefusalKind::Overloaded, message).with_request(request);
            let refusal = Refusal { retry_after_ms: Some(replay::LOOK_UP_MS), ..refusal };
            return Some(Repeats::finished(Err(refusal)));
        }
        sleep(pause).await;
        pause = (pause * 2).min(ELSEWHERE_PAUSE_MAX);
    }
}

/// It was answered, and its pictures are no longer held. Its client had them all, or lost them on the way
/// where we could not see it.
fn pictures_gone(incoming: &Incoming, detail: &RequestDetail) -> Repeats {
    let request = &detail.request;
    let just_now = incoming.accepted_at.checked_sub(JUST_FINISHED).unwrap_or(incoming.accepted_at);
    if request.finished_at.is_some_and(|finished_at| finished_at < just_now) {
        // Some time later this is a new wish.
        return Repeats::Nothing;
    }
    let message = "This repeats a request that was just answered and paid, whose pictures are no longer held. \
                   It is not bought again; send it as a new request to have another one.";
    let refusal = Refusal::new(RefusalKind::IdempotencyConflict, message).with_request(request.id);
    Repeats::finished(Err(Refusal { charged: request.charged, ..refusal }))
}
