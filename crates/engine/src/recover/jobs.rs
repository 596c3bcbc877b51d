//! One job that outlived the life which started it: asked for, its pictures kept, its attempt ended.
//!
//! Asking changes nothing at the provider. Pictures are on disk before the attempt ends, so that a crash in
//! between loses none; while one may still come, the attempt stays as it is and the next sweep asks again.

use super::{dispute, end_attempt, finish, salvaged};
use crate::answer::DeliveredImage;
use crate::books::{self, Ended, HeldCall};
use crate::deliver::{Brought, Delivery};
use crate::exchange::{Asked, Exchange};
use crate::feeds;
use crate::market::Market;
use crate::outcome;
use crate::persist::{self, Patience};
use crate::queue::Caller;
use crate::shared::{ProviderRuntime, Shared};
use futures_util::StreamExt as _;
use gallerist_domain::{Billed, Fault, ImageCall, Outcome, RequestId};
use gallerist_imaging::Depth;
use gallerist_pricing::{Facts, Offer};
use gallerist_providers::Pending;
use gallerist_store::{AttemptStatus, OpenAttempt, RequestStatus, Resolution, StoreError};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Time that a disputed job is asked for in one sweep at most; no request waits for it.
const DISPUTED_LOOK_UP_FOR: Duration = Duration::from_secs(3);
/// Pause after a question that did not reach the provider.
const UNANSWERED_PAUSE_MS: u64 = 1_000;
/// Requests whose jobs are asked for at once.
const LOOK_UPS_AT_ONCE: usize = 64;

/// Asks for jobs, several at once, those of one request one after the other: their pictures are numbered.
pub(super) async fn look_up_all(shared: &Shared, jobs: Vec<OpenAttempt>) {
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

/// Asks for one job and ends its attempt if there is an answer.
async fn look_up(shared: &Shared, attempt: &OpenAttempt) -> Result<(), StoreError> {
    let reserved = attempt.status == AttemptStatus::Reserved;
    let market = feeds::market_of(shared, &attempt.catalogue_digest);
    let Some(job) = Job::of(shared, &market, attempt) else {
        if reserved {
            give_up(shared, attempt, "the job cannot be asked for with today's configuration").await?;
        }
        return Ok(());
    };
    let found = tokio::select! {
        biased;
        found = job.find(shared) => found,
        // What was not answered stays as it is on disk, for the next start.
        () = shared.stopping.cancelled() => return Ok(()),
    };
    let waited = shared.clock.now().duration_since(attempt.created_at);
    let waited_enough = waited.as_millis() >= i128::from(shared.limits.job_wait_ms);
    match found {
        Found::Nothing if reserved && waited_enough => {
            let minutes = shared.limits.job_wait_ms / 60_000;
            let reason = format!("the job had not ended {minutes} minutes after it was started");
            give_up(shared, attempt, &reason).await
        }
        Found::Nothing => Ok(()),
        Found::Ended(_, brought) if brought.may_come_later() && !waited_enough => Ok(()),
        Found::Ended(result, brought) => {
            let kept = keep_pictures(shared, attempt, &brought).await?;
            if !kept && !waited_enough {
                return Ok(());
            }
            job.end(shared, &result, &brought).await
        }
    }
}

/// Ends a request that has waited for a job in vain. The job goes on being asked for, as a disputed one.
async fn give_up(shared: &Shared, attempt: &OpenAttempt, reason: &str) -> Result<(), StoreError> {
    end_attempt(shared, attempt, dispute(shared, attempt, reason)).await?;
    finish_request_of(shared, attempt).await
}

/// How deep the pictures of a request are checked: as its route, by its stored plan, says today.
async fn route_check(shared: &Shared, request: RequestId) -> Depth {
    let detail = shared.store.request(request).await.ok().flatten();
    let route = detail.and_then(|detail| outcome::planned_route(&detail.request.plan_json));
    shared.check_depth(route.and_then(|name| shared.names.route(&name)))
}

/// What was found out about a job.
enum Found {
    /// It runs, or its provider cannot be reached.
    Nothing,
    Ended(Result<Outcome, Fault>, Brought),
}

/// A job with everything that is needed to ask for it.
struct Job<'a> {
    attempt: &'a OpenAttempt,
    /// The snapshot that it was quoted by.
    market: &'a Market,
    provider: &'a ProviderRuntime,
    offer: &'a Offer,
    pending: Pending,
    call: ImageCall,
}

impl<'a> Job<'a> {
    fn of(shared: &'a Shared, market: &'a Market, attempt: &'a OpenAttempt) -> Option<Job<'a>> {
        let (wanted, offers) = (&attempt.offer, &market.offers);
        let index = offers.iter().position(|offer| offer.id == *wanted).or_else(|| {
            let same = |offer: &Offer| offer.id.provider == wanted.provider && offer.id.model == wanted.model;
            offers.iter().position(same)
        })?;
        Some(Job {
            attempt,
            market,
            provider: shared.provider_of(market, index),
            offer: &offers[index],
            pending: serde_json::from_str(attempt.pending_json.as_deref()?).ok()?,
            call: serde_json::from_str(attempt.call_json.as_deref()?).ok()?,
        })
    }

    fn reserved(&self) -> bool {
        self.attempt.status == AttemptStatus::Reserved
    }

    /// Asks for the job for a while, and fetches its pictures.
    async fn find(&self, shared: &Shared) -> Found {
        let Some(mut result) = self.ask(shared).await else { return Found::Nothing };
        if !self.reserved() && !is_final(&result) {
            return Found::Nothing;
        }
        let deadline = Instant::now() + Duration::from_millis(shared.limits.look_up_ms);
        let check_depth = route_check(shared, self.attempt.request).await;
        let delivery = Delivery { shared, provider: self.provider, deadline, check_depth };
        let brought = delivery.bring(&self.call, &mut result, Vec::new()).await;
        Found::Ended(result, brought)
    }

    /// Each question takes a place at the provider, as any call does, and leaves it while it waits.
    async fn ask(&self, shared: &Shared) -> Option<Result<Outcome, Fault>> {
        let look_up_for = Duration::from_millis(shared.limits.look_up_ms);
        let until = Instant::now()
            + if self.reserved() { look_up_for } else { DISPUTED_LOOK_UP_FOR.min(look_up_for) };
        let mut pending = self.pending.clone();
        loop {
            let deadline = Instant::now() + look_up_for;
            let place = self.provider.places.place(Caller::look_up(), deadline).await.ok()?;
            let (provider, call, attempt) = (self.provider, &self.call, self.attempt.id);
            let asked = Exchange { shared, provider, call, attempt, deadline }.ask(&pending).await;
            drop(place);
            let after_ms = match asked {
                Asked::Ended(result) => return Some(result),
                Asked::Running { pending: next, after_ms } => {
                    pending = next;
                    after_ms
                }
                Asked::Unanswered(fault) => {
                    let detail = fault.detail;
                    tracing::debug!(attempt = %self.attempt.id, detail, "a job could not be asked for");
                    UNANSWERED_PAUSE_MS
                }
            };
            let next = Instant::now() + Duration::from_millis(after_ms);
            if next >= until {
                return None;
            }
            sleep_until(next).await;
        }
    }

    /// Ends the attempt, and its request where that waits for nothing else.
    async fn end(
        &self,
        shared: &Shared,
        result: &Result<Outcome, Fault>,
        brought: &Brought,
    ) -> Result<(), StoreError> {
        let attempt = self.attempt;
        let held = held_call(shared, attempt, self.market, self.offer, &self.call);
        let ended = books::close(held, result, brought, Some(&self.pending.job));
        let disputed = ended.disputed;
        if self.reserved() {
            end_attempt(shared, attempt, ended.end).await?;
        } else if let Some(resolution) = self.resolution(shared, ended).await? {
            shared.store.resolve_dispute(resolution).await?;
        }
        if disputed && is_final(result) {
            // It would say the same for ever.
            shared.store.forget_job(attempt.id).await?;
        }
        finish_request_of(shared, attempt).await
    }

    /// How a dispute ends by this; `None` where it goes on.
    async fn resolution(&self, shared: &Shared, ended: Ended) -> Result<Option<Resolution>, StoreError> {
        let found = persist::resolution_by(self.attempt.id, ended.end, shared.clock.now());
        let Some(resolution) = found else { return Ok(None) };
        let answer_json = late_answer(shared, self.attempt, &resolution).await?;
        Ok(Some(Resolution { answer_json, ..resolution }))
    }
}

/// What was held for an attempt that nobody lives for any more.
pub(super) fn held_call<'a>(
    shared: &Shared,
    attempt: &OpenAttempt,
    market: &'a Market,
    offer: &'a Offer,
    call: &'a ImageCall,
) -> HeldCall<'a> {
    HeldCall {
        request: attempt.request,
        attempt: attempt.id,
        offer,
        call,
        maximum: attempt.reserved,
        digest: &market.catalogue.digest,
        at: attempt.request_created_at,
        learned: shared.insight().learned(&offer.id, &Facts::of(call)),
    }
}

/// Whether this is the job's own word, which asking again would not change. A fault whose billing the adapter
/// itself calls unknown is about the question: it was refused, or the provider did not know what to say.
fn is_final(result: &Result<Outcome, Fault>) -> bool {
    !matches!(result, Err(fault) if fault.billed == Some(Billed::Unknown))
}

/// The client of a recovered job is long gone: its pictures can be fetched by request id. Whether all of them
/// are on disk.
///
/// They come behind those that were answered, also where no file of these was kept, and behind those of other
/// recovered jobs. What a crash left of this very job, between its pictures and its end, is written over.
async fn keep_pictures(
    shared: &Shared,
    attempt: &OpenAttempt,
    brought: &Brought,
) -> Result<bool, StoreError> {
    if brought.images.is_empty() {
        return Ok(true);
    }
    let Some(detail) = shared.store.request(attempt.request).await? else { return Ok(true) };
    let kept = shared.store.picture_count(attempt.request, shared.clock.now()).await?;
    let accounted = detail.attempts.iter().map(|attempt| attempt.images).sum();
    let first = detail.request.images_delivered.max(kept.min(accounted));
    let images: Vec<DeliveredImage> = brought.images.iter().map(|(_, image)| image.clone()).collect();
    Ok(shared.keep_from(attempt.request, first, &images, &mut Patience::default()).await)
}

/// What a request that had failed answers, now that there is a picture.
async fn late_answer(
    shared: &Shared,
    attempt: &OpenAttempt,
    resolution: &Resolution,
) -> Result<Option<String>, StoreError> {
    let Some(mut detail) = shared.store.request(attempt.request).await? else { return Ok(None) };
    if resolution.images == 0 || detail.request.status != RequestStatus::Failed {
        return Ok(None);
    }
    // The figures as they will be with the resolution, in whose commit the answer goes.
    detail.request.charged += resolution.charge;
    detail.request.disputed -= attempt.reserved;
    if let Some(found) = detail.attempts.iter_mut().find(|found| found.id == attempt.id) {
        found.charged = resolution.charge;
        found.basis = Some(resolution.basis.clone());
        found.charge_json.clone_from(&resolution.charge_json);
        found.images = resolution.images;
    }
    let answer = salvaged(shared, &detail).await;
    Ok(answer.map(|(meta, _)| serde_json::to_string(&meta).expect("the meta is plain data")))
}

async fn finish_request_of(shared: &Shared, attempt: &OpenAttempt) -> Result<(), StoreError> {
    let unfinished = shared.store.unfinished_requests().await?;
    match unfinished.iter().find(|unfinished| unfinished.id == attempt.request) {
        Some(unfinished) => finish(shared, unfinished).await,
        None => Ok(()),
    }
}
