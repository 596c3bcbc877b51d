//! After a restart: every attempt that a crash left open ends as paid, free, or disputed with a reason.
//!
//! A job whose id was stored is looked up and settled by what it turns out to be; any other attempt may or
//! may not have reached its provider and is disputed. The sweep goes on asking for disputed jobs, and
//! deletes what has expired.

use crate::answer::{Answer, AnswerMeta, Cost, DeliveredImage};
use crate::books::{self, Pictures};
use crate::deliver::deliver;
use crate::exchange::Exchange;
use crate::shared::Shared;
use gallerist_domain::{Fault, ImageCall, Outcome, Ticks};
use gallerist_providers::Pending;
use gallerist_store::{
    AttemptEnd, Conclusion, End, OpenAttempt, RequestEnd, RequestStatus, Resolution, StoreError,
    UnfinishedRequest,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Pause between sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Time that one job is asked for in a sweep.
const LOOK_UP_FOR: Duration = Duration::from_secs(20);

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
    Ok(jobs)
}

/// Looks up what is open and sweeps, until the engine stops.
pub(crate) async fn keep_order(shared: Arc<Shared>, mut jobs: Vec<OpenAttempt>) {
    loop {
        for attempt in std::mem::take(&mut jobs) {
            if let Err(error) = look_up(&shared, &attempt).await {
                tracing::error!(attempt = %attempt.id, %error, "a job could not be looked up");
            }
        }
        tokio::select! {
            () = sleep(SWEEP_EVERY) => {}
            () = shared.stopping.cancelled() => return,
        }
        if let Err(error) = shared.store.sweep(shared.clock.now()).await {
            tracing::error!(%error, "expired pictures could not be deleted");
        }
        let disputed = shared.store.disputed_attempts().await.unwrap_or_default();
        jobs = disputed.into_iter().filter(|attempt| attempt.pending_json.is_some()).collect();
    }
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

async fn finish(shared: &Shared, unfinished: &UnfinishedRequest) -> Result<(), StoreError> {
    if unfinished.attempts_open > 0 {
        return Ok(());
    }
    let finish = RequestEnd {
        status: RequestStatus::Failed,
        http_status: 502,
        error_code: Some("upstream_failed".to_owned()),
        answer_json: None,
        images_delivered: 0,
        list: None,
        saved: None,
        free_idempotency_key: false,
    };
    let conclusion = Conclusion {
        request: unfinished.id,
        ends: Vec::new(),
        finish: Some(finish),
        now: shared.clock.now(),
    };
    shared.store.conclude(conclusion).await
}

/// Asks for one job and ends its attempt by the answer.
async fn look_up(shared: &Shared, attempt: &OpenAttempt) -> Result<(), StoreError> {
    let reserved = attempt.status == gallerist_store::AttemptStatus::Reserved;
    let found = ask(shared, attempt).await;
    let Some((result, call, offer)) = found else {
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
    let pictures = Pictures { made, delivered: 0 };
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
    if let Ok(outcome) = result {
        keep_pictures(shared, attempt, &call, offer, outcome).await;
    }
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

/// The client of a recovered job is long gone: its pictures can be fetched by request id.
async fn keep_pictures(
    shared: &Shared,
    attempt: &OpenAttempt,
    call: &ImageCall,
    offer: &gallerist_pricing::Offer,
    outcome: Outcome,
) {
    let Some(provider) = shared.providers.iter().find(|provider| provider.name == attempt.offer.provider)
    else {
        return;
    };
    let deadline = Instant::now() + LOOK_UP_FOR;
    let mut images: Vec<DeliveredImage> = Vec::new();
    for made in outcome.images {
        if let Ok(image) = deliver(shared, provider, call, made, deadline).await {
            images.push(image);
        }
    }
    let meta = AnswerMeta {
        request_id: attempt.request,
        created: attempt.request_created_at.as_second(),
        provider: offer.id.provider.clone(),
        model: offer.id.model.clone(),
        offer: offer.id.to_string(),
        size: call.size,
        quality: call.quality.clone(),
        output_format: call.output_format,
        cost: Cost {
            charged_usd: Ticks::ZERO,
            basis: String::new(),
            lines: Vec::new(),
            disputed_usd: None,
            overrun_usd: None,
        },
        attempts: attempt.number,
        saved_usd: None,
        cached: true,
        warnings: Vec::new(),
        missing: None,
        usage: None,
        revised_prompts: Vec::new(),
    };
    shared.keep(&Answer { images, meta: Arc::new(meta) }).await;
}
