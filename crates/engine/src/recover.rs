//! After a restart: every attempt that a crash left open ends as paid, free, or disputed with a reason.
//!
//! A job whose id was stored is looked up and settled by what it turns out to be; any other attempt may or
//! may not have reached its provider and is disputed. The sweep goes on asking for disputed jobs, and
//! deletes what has expired.

use crate::answer::{AnswerMeta, Cost, DeliveredImage, Missing};
use crate::books::{self, Pictures};
use crate::deliver::deliver;
use crate::exchange::Exchange;
use crate::shared::Shared;
use futures_util::StreamExt as _;
use gallerist_domain::{Chunks, Fault, ImageCall, ImageData, Outcome, RequestId, Ticks};
use gallerist_imaging::{CheckPolicy, Depth, inspect};
use gallerist_providers::Pending;
use gallerist_store::{
    AttemptEnd, AttemptStatus, Conclusion, End, OpenAttempt, RequestDetail, RequestEnd, RequestStatus,
    Resolution, StoreError, UnfinishedRequest,
};
use jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause between sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// For how long a disputed job is asked for in every sweep.
const ASKED_FOR: SignedDuration = SignedDuration::from_hours(24);
/// Time that one job is asked for in a sweep.
const LOOK_UP_FOR: Duration = Duration::from_secs(20);
/// Requests whose jobs are asked for at once.
const LOOK_UPS_AT_ONCE: usize = 64;

/// Ends what can be ended at once; returns the attempts whose jobs must be looked up.
pub(crate) async fn at_start(shared: &Shared) -> Result<Vec<OpenAttempt>, StoreError> {
    let mut jobs = Vec::new();
    for attempt in shared.store.open_attempts().await? {
        if attempt.pending_json.is_some() {
            jobs.push(attempt);
        } else {
            let reason = "the gateway stopped while the call was under way";
            end_attempt(shared, &attempt, dispute(reason)).await?;
        }
    }
    for unfinished in shared.store.unfinished_requests().await? {
        finish(shared, &unfinished).await?;
    }
    jobs.extend(disputed_jobs(shared).await?);
    Ok(jobs)
}

async fn disputed_jobs(shared: &Shared) -> Result<Vec<OpenAttempt>, StoreError> {
    let disputed = shared.store.disputed_attempts().await?;
    Ok(disputed.into_iter().filter(|attempt| attempt.pending_json.is_some()).collect())
}

/// Looks up what is open and sweeps, until the engine stops.
pub(crate) async fn keep_order(shared: Arc<Shared>, mut jobs: Vec<OpenAttempt>) {
    let mut suspects = BTreeSet::new();
    loop {
        look_up_all(&shared, std::mem::take(&mut jobs)).await;
        tokio::select! {
            () = sleep(SWEEP_EVERY) => {}
            () = shared.stopping.cancelled() => return,
        }
        sweep(&shared).await;
        if let Err(error) = end_broken_off(&shared, &mut suspects).await {
            tracing::error!(%error, "what broke off could not be ended");
        }
        jobs = disputed_jobs(&shared).await.unwrap_or_default();
        // By then its provider has forgotten a job; only a start asks for it once more.
        let now = shared.clock.now();
        jobs.retain(|job| now.duration_since(job.created_at) < ASKED_FOR);
    }
}

/// Ends what a life left open that broke off: by a panic, or because the disk refused its end. A request is
/// only suspected at first: the end of a life is written a moment after it can be joined no more.
async fn end_broken_off(shared: &Shared, suspects: &mut BTreeSet<RequestId>) -> Result<(), StoreError> {
    let mut unfinished = shared.store.unfinished_requests().await?;
    unfinished.retain(|request| shared.joining.running(request.id).is_none());
    let suspected = std::mem::replace(suspects, unfinished.iter().map(|request| request.id).collect());
    if unfinished.iter().all(|request| !suspected.contains(&request.id)) {
        return Ok(());
    }
    for attempt in shared.store.open_attempts().await? {
        if suspected.contains(&attempt.request) && suspects.contains(&attempt.request) {
            tracing::warn!(request = %attempt.request, attempt = %attempt.id, "a request broke off");
            end_attempt(shared, &attempt, dispute("the request broke off inside the gateway")).await?;
        }
    }
    for mut request in unfinished.into_iter().filter(|request| suspected.contains(&request.id)) {
        request.attempts_open = 0;
        finish(shared, &request).await?;
    }
    Ok(())
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

/// Asks for jobs, several at once, those of one request one after the other: their pictures are numbered.
async fn look_up_all(shared: &Shared, jobs: Vec<OpenAttempt>) {
    let mut by_request: BTreeMap<RequestId, Vec<OpenAttempt>> = BTreeMap::new();
    for attempt in jobs {
        by_request.entry(attempt.request).or_default().push(attempt);
    }
    let look_up_in_turn = |attempts: Vec<OpenAttempt>| async move {
        for attempt in attempts {
            if let Err(error) = look_up(shared, &attempt).await {
                tracing::error!(attempt = %attempt.id, %error, "a job could not be looked up");
            }
        }
    };
    let requests = futures_util::stream::iter(by_request.into_values());
    requests.for_each_concurrent(LOOK_UPS_AT_ONCE, look_up_in_turn).await;
}

fn dispute(reason: &str) -> End {
    End::Disputed { reason: reason.to_owned(), fault_json: None, provider_request_id: None }
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
    let images = shared.store.picture_count(request.id, now).await.ok()?;
    let picture = shared.store.picture(request.id, 0, now).await.ok().flatten()?;
    let policy = CheckPolicy {
        expected_size: None,
        depth: Depth::Header,
        pixels_max: shared.limits.picture_pixels_max,
        bytes_max: shared.limits.picture_bytes_max,
    };
    let data = ImageData::Bytes(Chunks::from(picture.data));
    let checked = inspect(&data, &policy).ok()?.checked;
    let offer = &detail.attempts.last()?.offer;
    let charged = detail.attempts.iter().filter(|attempt| !attempt.charged.is_zero());
    let lines = charged.clone().filter_map(|attempt| attempt.charge_json.as_deref());
    let missing = request.n.saturating_sub(images);
    let disputed = request.disputed + request.held;
    let meta = AnswerMeta {
        request_id: request.id,
        created: request.created_at.as_second(),
        provider: offer.provider.clone(),
        model: offer.model.clone(),
        offer: offer.to_string(),
        size: checked.size,
        quality: String::new(),
        output_format: checked.format,
        cost: Cost {
            charged_usd: request.charged,
            basis: charged.clone().find_map(|attempt| attempt.basis.clone()).unwrap_or_default(),
            lines: lines.flat_map(books::stored_lines).collect(),
            disputed_usd: (!disputed.is_zero()).then_some(disputed),
            overrun_usd: None,
        },
        attempts: u32::try_from(detail.attempts.len()).unwrap_or(u32::MAX),
        saved_usd: None,
        cached: true,
        warnings: Vec::new(),
        missing: (missing > 0)
            .then(|| Missing { count: missing, reason: "the request was cut short".into() }),
        usage: None,
        revised_prompts: Vec::new(),
    };
    Some((meta, images))
}

/// Asks for one job and ends its attempt by the answer.
async fn look_up(shared: &Shared, attempt: &OpenAttempt) -> Result<(), StoreError> {
    let reserved = attempt.status == AttemptStatus::Reserved;
    let found = tokio::select! {
        found = ask(shared, attempt) => found,
        // What was not answered stays as it is on disk, for the next start.
        () = shared.stopping.cancelled() => return Ok(()),
    };
    let Some((mut result, call, offer)) = found else {
        return match reserved {
            true => {
                end_attempt(
                    shared,
                    attempt,
                    dispute("the job cannot be asked for with today's configuration"),
                )
                .await?;
                finish_request_of(shared, attempt).await
            }
            false => Ok(()),
        };
    };
    let digest = &shared.catalogue.digest;
    let made = result.as_ref().map_or(0, Pictures::made_by);
    let images = fetch(shared, attempt, &call, &mut result).await;
    let pictures = Pictures { made, delivered: u32::try_from(images.len()).unwrap_or(u32::MAX) };
    let ended = books::end(offer, digest, &call, result.as_ref(), pictures, None, attempt.request_created_at);
    match (reserved, ended.end) {
        (true, end) => end_attempt(shared, attempt, end).await?,
        (false, End::Settled { charge, basis, charge_json, .. }) => {
            resolve(shared, attempt, charge, basis, Some(charge_json)).await?;
        }
        (false, End::Released { .. }) => {
            resolve(shared, attempt, Ticks::ZERO, "computed".to_owned(), None).await?
        }
        (false, End::Disputed { .. }) => return Ok(()),
    }
    keep_pictures(shared, attempt, images).await?;
    finish_request_of(shared, attempt).await
}

async fn resolve(
    shared: &Shared,
    attempt: &OpenAttempt,
    charge: Ticks,
    basis: String,
    charge_json: Option<String>,
) -> Result<(), StoreError> {
    let resolution = Resolution { attempt: attempt.id, charge, basis, charge_json, now: shared.clock.now() };
    shared.store.resolve_dispute(resolution).await
}

async fn finish_request_of(shared: &Shared, attempt: &OpenAttempt) -> Result<(), StoreError> {
    let unfinished = shared.store.unfinished_requests().await?;
    match unfinished.iter().find(|unfinished| unfinished.id == attempt.request) {
        Some(unfinished) => finish(shared, unfinished).await,
        None => Ok(()),
    }
}

type Asked<'a> = (Result<Outcome, Fault>, ImageCall, &'a gallerist_pricing::Offer);

async fn ask<'a>(shared: &'a Shared, attempt: &OpenAttempt) -> Option<Asked<'a>> {
    let index = shared.offers.iter().position(|offer| {
        offer.id.provider == attempt.offer.provider && offer.id.model == attempt.offer.model
    })?;
    let pending: Pending = serde_json::from_str(attempt.pending_json.as_deref()?).ok()?;
    let call: ImageCall = serde_json::from_str(attempt.call_json.as_deref()?).ok()?;
    let provider = shared.provider_of(index);
    let exchange = Exchange {
        shared,
        provider,
        call: &call,
        attempt: attempt.id,
        deadline: Instant::now() + LOOK_UP_FOR,
    };
    let result = exchange.follow(pending, 0).await;
    Some((result, call, &shared.offers[index]))
}

/// Brings in the pictures of a recovered job.
async fn fetch(
    shared: &Shared,
    attempt: &OpenAttempt,
    call: &ImageCall,
    result: &mut Result<Outcome, Fault>,
) -> Vec<DeliveredImage> {
    let mut images = Vec::new();
    let provider = shared.providers.iter().find(|provider| provider.name == attempt.offer.provider);
    let (Some(provider), Ok(outcome)) = (provider, result) else { return images };
    let deadline = Instant::now() + LOOK_UP_FOR;
    for made in std::mem::take(&mut outcome.images).into_iter().take(call.n as usize) {
        match deliver(shared, provider, call, made, deadline).await {
            Ok(image) => images.push(image),
            Err(fault) => {
                tracing::warn!(attempt = %attempt.id, detail = fault.detail, "a recovered picture is of no use");
            }
        }
    }
    images
}

/// The client of a recovered job is long gone: its pictures can be fetched by request id. They come behind
/// those that are there already.
async fn keep_pictures(
    shared: &Shared,
    attempt: &OpenAttempt,
    images: Vec<DeliveredImage>,
) -> Result<(), StoreError> {
    let first = shared.store.picture_count(attempt.request, shared.clock.now()).await?;
    shared.keep_from(attempt.request, first, &images).await;
    Ok(())
}

#[cfg(test)]
mod tests;
