//! After a restart: every attempt that a crash left open ends as paid, free, or disputed with a reason.
//!
//! A job whose id was stored is asked for until it has ended (`recover/jobs.rs`), and settled by what it turns
//! out to be; any other attempt may or may not have reached its provider and is disputed. Nothing here stops a
//! job: whoever started it is gone, and it is being paid for. The sweep goes on asking for disputed jobs,
//! more and more rarely, ends what broke off while the gateway runs, takes over what a replica that is gone has
//! left, deletes what has expired, rolls up usage, and has learned anew what the books teach.

use crate::answer::{AnswerMeta, Cost, Missing};
use crate::books;
use crate::feeds;
use crate::insight;
use crate::outcome;
use crate::shared::Shared;
use gallerist_domain::{AttemptId, Chunks, ImageCall, ImageData, RequestId, Ticks};
use gallerist_imaging::{CheckPolicy, Depth, inspect};
use gallerist_store::{
    AttemptEnd, AttemptStatus, Conclusion, End, OpenAttempt, RequestDetail, RequestEnd, RequestStatus,
    StoreError, UnfinishedRequest,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

mod jobs;

/// For how long a disputed job is asked for. By then its provider has forgotten it; only a start asks once more.
const ASKED_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Deletions in one sweep: jobs are waiting to be asked for.
const PURGES_PER_SWEEP: u32 = 200;

/// Ends what can be ended at once; returns the attempts whose jobs must be looked up.
pub(crate) async fn at_start(shared: &Shared) -> Result<Vec<OpenAttempt>, StoreError> {
    shared.store.take_over().await?;
    let mut jobs = Vec::new();
    for attempt in shared.store.open_attempts().await? {
        if attempt.pending_json.is_some() {
            jobs.push(attempt);
        } else {
            let reason = "the gateway stopped while the call was under way";
            end_attempt(shared, &attempt, dispute(shared, &attempt, reason)).await?;
        }
    }
    for unfinished in shared.store.unfinished_requests().await? {
        finish(shared, &unfinished).await?;
    }
    jobs.extend(disputed_jobs(shared).await?);
    Ok(jobs)
}

/// Marks what is under way when the gateway stops. A job whose id is on disk can be asked for by the next
/// start; of any other call nobody will hear what became of it.
pub(crate) async fn at_stop(shared: &Shared) -> Result<(), StoreError> {
    for attempt in shared.store.open_attempts().await? {
        if attempt.pending_json.is_some() {
            continue;
        }
        let reason = "the gateway stopped before the provider had answered";
        match end_attempt(shared, &attempt, dispute(shared, &attempt, reason)).await {
            // It ended by itself at the last moment.
            Ok(()) | Err(StoreError::AttemptEnded { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn disputed_jobs(shared: &Shared) -> Result<Vec<OpenAttempt>, StoreError> {
    let disputed = shared.store.disputed_attempts().await?;
    Ok(disputed.into_iter().filter(|attempt| attempt.pending_json.is_some()).collect())
}

/// Looks up what is open and sweeps, until the engine stops.
pub(crate) async fn keep_order(shared: Arc<Shared>, mut jobs: Vec<OpenAttempt>) {
    // What a start finds unfinished belongs to no life of this process.
    let mut suspects: BTreeSet<RequestId> =
        jobs.iter().filter(|job| job.status == AttemptStatus::Reserved).map(|job| job.request).collect();
    let mut asked = BTreeMap::new();
    loop {
        let now = shared.clock.now();
        asked.extend(jobs.iter().map(|job| (job.id, now)));
        jobs::look_up_all(&shared, std::mem::take(&mut jobs)).await;
        tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return,
            () = sleep(Duration::from_millis(shared.limits.sweep_every_ms)) => {}
        }
        sweep(&shared).await;
        roll_up(&shared).await;
        purge(&shared).await;
        insight::refresh(&shared).await;
        match due_jobs(&shared, &mut suspects, &mut asked).await {
            Ok(due) => jobs = due,
            Err(error) => tracing::error!(%error, "what broke off could not be ended"),
        }
    }
}

/// Ends what broke off, and returns the jobs that this sweep asks for: of requests that have no life any more,
/// because a life ends its own attempts and numbers its own pictures.
async fn due_jobs(
    shared: &Shared,
    suspects: &mut BTreeSet<RequestId>,
    asked: &mut BTreeMap<AttemptId, Timestamp>,
) -> Result<Vec<OpenAttempt>, StoreError> {
    let left = shared.store.take_over().await?;
    if !left.is_empty() {
        tracing::warn!(requests = left.len(), "another replica is gone; what it left is ended here");
        suspects.extend(left);
    }
    let broken_off = end_broken_off(shared, suspects).await?;
    let mut jobs = shared.store.open_attempts().await?;
    jobs.retain(|job| job.pending_json.is_some() && broken_off.contains(&job.request));
    let now = shared.clock.now();
    let disputed = disputed_jobs(shared).await?.into_iter();
    jobs.extend(disputed.filter(|job| {
        now.duration_since(job.created_at) < ASKED_FOR && shared.joining.running(job.request).is_none()
    }));
    let open: BTreeSet<AttemptId> = jobs.iter().map(|job| job.id).collect();
    asked.retain(|attempt, _| open.contains(attempt));
    jobs.retain(|job| {
        is_due(now.duration_since(job.created_at), asked.get(&job.id).map(|at| now.duration_since(*at)))
    });
    Ok(jobs)
}

/// Whether a job of this age is to be asked for again. The older it is, the less a single question can change.
fn is_due(age: SignedDuration, since_asked: Option<SignedDuration>) -> bool {
    since_asked.is_none_or(|since| since >= age / 10)
}

/// Ends what a life left open that broke off: by a panic, or because the disk refused its end. A request is
/// only suspected at first: the end of a life is written a moment after it can be joined no more. Returns the
/// requests that no life will end, of which jobs may still be open.
async fn end_broken_off(
    shared: &Shared,
    suspects: &mut BTreeSet<RequestId>,
) -> Result<BTreeSet<RequestId>, StoreError> {
    let mut unfinished = shared.store.unfinished_requests().await?;
    unfinished.retain(|request| shared.joining.running(request.id).is_none());
    let mut broken_off: BTreeSet<RequestId> = unfinished.iter().map(|request| request.id).collect();
    let suspected = std::mem::replace(suspects, broken_off.clone());
    broken_off.retain(|request| suspected.contains(request));
    if broken_off.is_empty() {
        return Ok(broken_off);
    }
    for attempt in shared.store.open_attempts().await? {
        if broken_off.contains(&attempt.request) && attempt.pending_json.is_none() {
            tracing::warn!(request = %attempt.request, attempt = %attempt.id, "a request broke off");
            let reason = "the request broke off inside the gateway";
            end_attempt(shared, &attempt, dispute(shared, &attempt, reason)).await?;
        }
    }
    for request in shared.store.unfinished_requests().await? {
        if broken_off.contains(&request.id) {
            finish(shared, &request).await?;
        }
    }
    Ok(broken_off)
}

/// Deletes everything that has expired.
async fn sweep(shared: &Shared) {
    loop {
        match shared.store.sweep(shared.clock.now()).await {
            Ok(swept) if swept.has_more && !shared.stopping.is_cancelled() => {}
            Ok(_) => return,
            Err(error) => return tracing::error!(%error, "expired pictures could not be deleted"),
        }
    }
}

/// Sums up the days that are over, and those that something has touched since.
async fn roll_up(shared: &Shared) {
    match shared.store.roll_up(shared.clock.now()).await {
        Ok(0) => {}
        Ok(days) => tracing::debug!(days, "usage was rolled up"),
        Err(error) => tracing::error!(%error, "usage could not be rolled up"),
    }
}

/// Deletes requests that are older than their retention, a few at a time.
async fn purge(shared: &Shared) {
    let Some(days) = shared.limits.retention_days else { return };
    let mut requests = 0;
    for _ in 0..PURGES_PER_SWEEP {
        if shared.stopping.is_cancelled() {
            break;
        }
        match shared.store.purge(days, shared.clock.now()).await {
            Ok(purged) => {
                requests += purged.requests;
                if !purged.has_more {
                    break;
                }
            }
            Err(error) => return tracing::error!(%error, "old requests could not be deleted"),
        }
    }
    if requests > 0 {
        tracing::info!(requests, days, "old requests were deleted; usage and balances keep their sums");
    }
}

fn dispute(shared: &Shared, attempt: &OpenAttempt, reason: &str) -> End {
    let doubtful = doubtful_maximum(shared, attempt);
    End::Disputed { reason: reason.to_owned(), doubtful, fault_json: None, provider_request_id: None }
}

/// The part of what is held that rests on doubtful prices, where those that it was quoted by are still known.
fn doubtful_maximum(shared: &Shared, attempt: &OpenAttempt) -> Option<Ticks> {
    let market = feeds::market_of(shared, &attempt.catalogue_digest);
    let offer = market.offers.iter().find(|offer| offer.id == attempt.offer)?;
    let call: ImageCall = serde_json::from_str(attempt.call_json.as_deref()?).ok()?;
    let held = jobs::held_call(shared, attempt, &market, offer, &call);
    (market.catalogue.digest == attempt.catalogue_digest).then(|| held.doubtful_maximum())?
}

async fn end_attempt(shared: &Shared, attempt: &OpenAttempt, end: End) -> Result<(), StoreError> {
    let ends = vec![AttemptEnd { attempt: attempt.id, end }];
    shared
        .store
        .conclude(Conclusion { request: attempt.request, ends, finish: None, now: shared.clock.now() })
        .await
}

/// Ends a request whose attempts have all ended: with the pictures that are on disk, else as failed.
async fn finish(shared: &Shared, unfinished: &UnfinishedRequest) -> Result<(), StoreError> {
    if unfinished.attempts_open > 0 {
        return Ok(());
    }
    let Some(detail) = shared.store.request(unfinished.id).await? else { return Ok(()) };
    let request = &detail.request;
    let finish = match salvaged(shared, &detail).await {
        Some((meta, images)) => RequestEnd {
            status: if images < request.n { RequestStatus::Partial } else { RequestStatus::Succeeded },
            http_status: 200,
            error_code: None,
            answer_json: Some(serde_json::to_string(&meta).expect("the meta is plain data")),
            images_delivered: images,
            list: None,
            saved: None,
            free_idempotency_key: false,
        },
        None => RequestEnd {
            status: RequestStatus::Failed,
            http_status: 502,
            error_code: Some("upstream_failed".to_owned()),
            answer_json: None,
            images_delivered: 0,
            list: None,
            saved: None,
            // What was free may be tried again under the same key.
            free_idempotency_key: request.charged.is_zero()
                && detail.attempts.iter().all(|attempt| attempt.status != AttemptStatus::Disputed),
        },
    };
    let (ends, now) = (Vec::new(), shared.clock.now());
    shared.store.conclude(Conclusion { request: unfinished.id, ends, finish: Some(finish), now }).await
}

/// The answer of a request that a crash or a deadline cut short, from the pictures that are on disk all the
/// same, and their number.
pub(crate) async fn salvaged(shared: &Shared, detail: &RequestDetail) -> Option<(AnswerMeta, u32)> {
    let (request, now) = (&detail.request, shared.clock.now());
    // Several offers may have made a picture of it, where nobody knew of the first.
    let images = shared.store.picture_count(request.id, now).await.ok()?.min(request.n);
    let picture = shared.store.picture(request.id, 0, now).await.ok().flatten()?;
    let policy = CheckPolicy {
        expected_size: None,
        depth: Depth::Header,
        pixels_max: shared.limits.picture_pixels_max,
        bytes_max: shared.limits.picture_bytes_max,
    };
    let data = ImageData::Bytes(Chunks::from(picture.data));
    let checked = inspect(&data, &policy).ok()?.checked;
    let made = detail.attempts.iter().rev().find(|attempt| attempt.images > 0);
    let offer = &made.or(detail.attempts.last())?.offer;
    let charged = detail.attempts.iter().filter(|attempt| !attempt.charged.is_zero());
    let lines = charged.clone().filter_map(|attempt| attempt.charge_json.as_deref());
    let missing = request.n.saturating_sub(images);
    let disputed = request.disputed + request.held;
    let meta = AnswerMeta {
        request_id: request.id,
        created: request.created_at.as_second(),
        provider: offer.provider.clone(),
        model: offer.model.clone(),
        requested_model: request.model.clone(),
        route: outcome::planned_route(&request.plan_json),
        offer: offer.to_string(),
        size: checked.size,
        quality: String::new(),
        output_format: checked.format,
        cost: Cost {
            charged_usd: request.charged,
            basis: charged.clone().find_map(|attempt| attempt.basis.clone()).unwrap_or_default(),
            lines: lines.flat_map(books::stored_lines).collect::<Vec<_>>().into(),
            disputed_usd: (!disputed.is_zero()).then_some(disputed),
            overrun_usd: None,
        },
        attempts: u32::try_from(detail.attempts.len()).unwrap_or(u32::MAX),
        saved_usd: None,
        list: None,
        cached: true,
        warnings: Vec::new(),
        missing: (missing > 0)
            .then(|| Missing { count: missing, reason: "the request was cut short".into() }),
        usage: None,
        revised_prompts: Vec::new(),
    };
    Some((meta, images))
}

#[cfg(test)]
mod tests;
