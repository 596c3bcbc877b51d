//! One offer: split the pictures into calls, reserve their maxima, make the calls side by side, end them.
//!
//! Each call is one attempt with its own reservation. The reservations of an offer are one commit, and
//! on disk before the first call is sent.

use crate::answer::DeliveredImage;
use crate::books::{self, Charged, Ended, HeldCall};
use crate::deliver::Delivery;
use crate::events::EventSink;
use crate::exchange::{Exchange, Exchanged};
use crate::market::Market;
use crate::queue::Caller;
use crate::refusal::FailedAttempt;
use crate::rests::Found;
use crate::shared::{ProviderRuntime, Shared};
use futures_util::future::join_all;
use gallerist_domain::{AttemptId, Blame, Fault, FaultKind, ImageCall, Metered, ProjectId, RequestId, Ticks};
use gallerist_imaging::Depth;
use gallerist_pricing::{Facts, bounds};
use gallerist_routing::PlannedOffer;
use gallerist_store::{AttemptEnd, NewAttempt};
use jiff::Timestamp;
use tokio::time::Instant;

/// One call that is planned at an offer.
pub(crate) struct PlannedCall {
    pub attempt: AttemptId,
    pub number: u32,
    pub call: ImageCall,
    pub maximum: Ticks,
    /// Which pictures of the request it makes.
    pub pictures: Vec<u32>,
}

/// What became of one call.
pub(crate) struct Called {
    pub images: Vec<DeliveredImage>,
    pub end: AttemptEnd,
    pub charge: Option<Charged>,
    pub overrun: Option<Ticks>,
    pub disputed: Option<Ticks>,
    pub failed: Option<FailedAttempt>,
    pub withheld: u32,
    pub usage: Vec<Metered>,
    /// Pictures of the request that it should have made and did not.
    pub unmade: Vec<u32>,
}

impl Called {
    /// Whether the request should ask this provider no more: a failed call may have been charged there, or
    /// the failure concerns the account and not the model.
    pub(crate) fn speaks_against_provider(&self) -> bool {
        self.failed.as_ref().is_some_and(|failed| {
            let of_the_account = matches!(
                failed.fault.kind,
                FaultKind::ConnectFailed | FaultKind::Unauthorized | FaultKind::PaymentRequired
            );
            of_the_account || failed.disputed || !failed.charged.is_zero()
        })
    }
}

/// Splits pictures, named by their place in the request, into calls. `number` is that of the first attempt.
pub(crate) fn split(
    request: &gallerist_domain::ImageRequest,
    planned: &PlannedOffer<'_>,
    wanted: &[u32],
    number: u32,
    at: Timestamp,
) -> Option<Vec<PlannedCall>> {
    let mut calls = Vec::new();
    let mut left = wanted;
    while let Some(first) = left.first() {
        // Pictures of one call have consecutive seeds; without a seed their places mean nothing.
        let consecutive = |(next, place): &(u32, &u32)| request.seed.is_none() || next == *place;
        let run = (*first..).zip(left).take_while(consecutive).count();
        let n = u32::try_from(run).ok()?.min(planned.resolved.facts.n);
        let (pictures, rest) = left.split_at(n as usize);
        let call = planned.resolved.call(request, planned.offer, *first, n, at);
        let maximum = if n == planned.resolved.facts.n {
            planned.call_quote.max
        } else {
            bounds(&planned.offer.model.sheet, &Facts { n, ..planned.resolved.facts }, at).ok()?.max
        };
        let count = u32::try_from(calls.len()).ok()?;
        let (attempt, pictures) = (AttemptId::generate(), pictures.to_vec());
        calls.push(PlannedCall { attempt, number: number + count, call, maximum, pictures });
        left = rest;
    }
    Some(calls)
}

/// The reservations of planned calls.
pub(crate) fn reservations(
    market: &Market,
    planned: &PlannedOffer<'_>,
    calls: &[PlannedCall],
) -> Vec<NewAttempt> {
    let attempt = |planned_call: &PlannedCall| NewAttempt {
        id: planned_call.attempt,
        number: planned_call.number,
        offer: planned.offer.id.clone(),
        images: planned_call.call.n,
        maximum: planned_call.maximum,
        call_json: serde_json::to_string(&planned_call.call).expect("a call is plain data"),
        catalogue_digest: market.catalogue.digest.clone(),
    };
    calls.iter().map(attempt).collect()
}

/// The surroundings of the calls of one request.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub shared: &'a Shared,
    /// The snapshot that the request was planned by.
    pub market: &'a Market,
    pub request: RequestId,
    pub project: &'a ProjectId,
    pub at: Timestamp,
    pub deadline: Instant,
    pub check_depth: Depth,
}

impl Surroundings<'_> {
    /// Makes the calls side by side; a lone call may stream.
    pub(crate) async fn make(
        self,
        planned: &PlannedOffer<'_>,
        calls: &[PlannedCall],
        events: Option<&mut EventSink>,
    ) -> Vec<Called> {
        match calls {
            [only] => vec![self.make_one(planned, only, events).await],
            several => join_all(several.iter().map(|call| self.make_one(planned, call, None))).await,
        }
    }

    async fn make_one(
        self,
        planned: &PlannedOffer<'_>,
        planned_call: &PlannedCall,
        mut events: Option<&mut EventSink>,
    ) -> Called {
        if let Some(events) = &mut events {
            events.begin(self.request, &planned.offer.id);
        }
        let provider = self.shared.provider_of(self.market, planned.index);
        let images = planned_call.call.n;
        let caller = Caller::of(self.project, self.request, images, planned.latency_ms);
        let place = provider.places.place(caller, self.deadline).await;
        let exchanged = match place {
            Err(fault) => Exchanged::never_sent(fault),
            Ok(_place) => {
                self.note_start(planned);
                let exchange = Exchange {
                    shared: self.shared,
                    provider,
                    call: &planned_call.call,
                    attempt: planned_call.attempt,
                    deadline: self.deadline,
                };
                exchange.run(events).await
            }
        };
        self.finish(planned, planned_call, provider, exchanged).await
    }

    /// Brings in the pictures of a call and says how its attempt ends.
    async fn finish(
        self,
        planned: &PlannedOffer<'_>,
        planned_call: &PlannedCall,
        provider: &ProviderRuntime,
        exchanged: Exchanged,
    ) -> Called {
        let Exchanged { mut result, rescued, job, latency_ms } = exchanged;
        let call = &planned_call.call;
        let delivery = Delivery {
            shared: self.shared,
            provider,
            deadline: self.deadline,
            check_depth: self.check_depth,
        };
        let brought = delivery.bring(call, &mut result, rescued).await;
        let held = HeldCall {
            request: self.request,
            attempt: planned_call.attempt,
            offer: planned.offer,
            call,
            maximum: planned_call.maximum,
            digest: &self.market.catalogue.digest,
            at: self.at,
            learned: planned.resolved.facts.learned,
        };
        let Ended { end, charge, disputed, overrun, fault } =
            books::close(held, &result, &brought, job.as_ref());
        self.note_health(planned, fault.as_ref(), latency_ms);
        let mut unmade = planned_call.pictures.clone();
        for (place, _) in &brought.images {
            unmade.retain(|picture| *picture != planned_call.pictures[*place]);
        }
        let failed = fault.map(|fault| FailedAttempt {
            offer: planned.offer.id.to_string(),
            fault,
            charged: charge.as_ref().map_or(Ticks::ZERO, |charge| charge.amount),
            disputed,
        });
        let (withheld, usage) =
            result.map_or_else(|_| (0, Vec::new()), |outcome| (outcome.withheld, outcome.usage));
        Called {
            images: brought.images.into_iter().map(|(_, image)| image).collect(),
            end: AttemptEnd { attempt: planned_call.attempt, end },
            charge,
            overrun,
            disputed: disputed.then_some(planned_call.maximum),
            failed,
            withheld,
            usage,
            unmade,
        }
    }

    /// Says that a call is being sent; the others leave a probe to it.
    fn note_start(self, planned: &PlannedOffer<'_>) {
        let is_probe = self.shared.health().offers[planned.index].started(self.shared.now_ms());
        if let Some(rests) = self.shared.rests.as_ref().filter(|_| is_probe) {
            rests.probes();
        }
    }

    fn note_health(self, planned: &PlannedOffer<'_>, fault: Option<&Fault>, latency_ms: u64) {
        let now_ms = self.shared.now_ms();
        let found = {
            let mut book = self.shared.health();
            let health = &mut book.offers[planned.index];
            match fault.map(|fault| (fault.kind, fault.retry_after_ms, fault.blame)) {
                None => health.succeeded(now_ms, latency_ms).then_some(Found::Recovered),
                Some((FaultKind::RateLimited | FaultKind::Overloaded, Some(wait_ms), _)) => {
                    health.asked_to_wait(now_ms, wait_ms);
                    Some(Found::AskedToWait)
                }
                Some((_, _, Blame::Provider)) => book.failed(planned.index, now_ms).and_then(|rest_ms| {
                    tracing::warn!(offer = %planned.offer.id, rest_ms, "an offer failed repeatedly and rests");
                    // What the provider did not answer may be the fault of this replica's own network.
                    let answered = fault.is_some_and(|fault| fault.status.is_some());
                    answered.then_some(Found::Failed)
                }),
                Some(_) => {
                    health.ended_neutrally();
                    None
                }
            }
        };
        if let (Some(rests), Some(found)) = (&self.shared.rests, found) {
            rests.found(planned.index, found, now_ms);
        }
    }
}
