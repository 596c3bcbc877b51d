//! One request from plan to answer.
//!
//! Offers are tried in the order of the plan. After a fault the next one is tried if the fault's
//! attributes allow it and the request's cost limit still holds. The settlement follows the answer within
//! milliseconds; with an `Idempotency-Key` it comes first.

use crate::answer::{DeliveredImage, StreamEvent};
use crate::asked;
use crate::attempt::{Called, PlannedCall, Surroundings, reservations, split};
use crate::books::Charged;
use crate::events::EventSink;
use crate::joining::Ending;
use crate::market::Market;
use crate::outcome;
use crate::persist::{self, Patience};
use crate::refusal::{FailedAttempt, Refusal, RefusalKind};
use crate::refusing;
use crate::request::Incoming;
use crate::shared::Shared;
use crate::thrift;
use gallerist_domain::{FaultKind, Metered, RequestId, Retry, Ticks};
use gallerist_imaging::Depth;
use gallerist_routing::{Plan, PlanContext, PlannedOffer, plan};
use gallerist_store::{
    AttemptEnd, Conclusion, End, NewRequest, RequestEnd, RequestStatus, Reservation, Reserved, StoreError,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

mod answer;

/// A request in life.
pub(crate) struct Life {
    pub shared: Arc<Shared>,
    /// What could be bought when it was accepted; its prices are these to the end.
    pub market: Arc<Market>,
    pub id: RequestId,
    pub incoming: Incoming,
    pub deadline: Instant,
    /// The policy of its route, known once it is planned: the most that it may hold and charge …
    max_cost: Option<Ticks>,
    /// … how deep its pictures are checked …
    pub(crate) check_depth: Depth,
    /// … and whether a prompt that one provider refused is tried at another.
    moderation_failover: bool,
    /// Pictures delivered so far.
    pub images: Vec<DeliveredImage>,
    pub failed: Vec<FailedAttempt>,
    pub attempts: u32,
    pub charged: Ticks,
    pub disputed: Ticks,
    pub overrun: Ticks,
    pub charges: Vec<Charged>,
    pub usage: Vec<Metered>,
    /// Ends that are not in the ledger yet.
    pub ends: Vec<AttemptEnd>,
    /// Whether the request's row is on disk …
    pub recorded: bool,
    /// … or may be, because the store did not answer.
    may_be_recorded: bool,
    pub withheld: u32,
    /// Places of the pictures that are still to be made.
    unmade: Vec<u32>,
    /// Why the rest was not tried, where pictures are there already.
    held_back: Option<String>,
    /// Providers that this request asks no more: one may have charged, or cannot be reached at all.
    avoided: Vec<String>,
    /// The cheapest reservation that the project's cap refused since the last one that fitted.
    over_cap: Option<OverCap>,
    /// What the answer warns of beside what its offer does.
    told: Vec<String>,
    patience: Patience,
}

struct OverCap {
    /// Nothing that asks for as much fits; absent where another offer may ask for more.
    asked: Option<Ticks>,
    refusal: Refusal,
}

/// What became of one offer of the plan.
enum Tried {
    /// Nothing was asked of it.
    Passed,
    /// Attempts were made there; whether another offer may be tried.
    Made { go_on: bool },
}

/// How a life ends: with an ending to announce, or as a repetition of an earlier request.
pub(crate) enum Lived {
    Ended(Ending, Option<RequestEnd>),
    /// The idempotency key is bound to this request.
    Existing {
        request: RequestId,
        same_body: bool,
    },
}

impl Life {
    pub(crate) fn new(shared: Arc<Shared>, id: RequestId, incoming: Incoming) -> Life {
        let deadline = Instant::now() + Duration::from_millis(shared.limits.deadline_ms);
        let unmade = (0..incoming.request.n).collect();
        Life {
            market: shared.market(),
            shared,
            id,
            incoming,
            deadline,
            max_cost: None,
            check_depth: Depth::default(),
            moderation_failover: false,
            images: Vec::new(),
            failed: Vec::new(),
            attempts: 0,
            charged: Ticks::ZERO,
            disputed: Ticks::ZERO,
            overrun: Ticks::ZERO,
            charges: Vec::new(),
            usage: Vec::new(),
            ends: Vec::new(),
            recorded: false,
            may_be_recorded: false,
            withheld: 0,
            unmade,
            held_back: None,
            avoided: Vec::new(),
            over_cap: None,
            told: Vec::new(),
            patience: Patience::default(),
        }
    }

    /// Has a degrading budget change what is bought; returns whether that is ordered by what it charges.
    async fn become_thrifty(&mut self, context: PlanContext<'_>) -> bool {
        let Some(thrift) = thrift::thrifty(&self.shared, &self.incoming, context).await else { return false };
        self.incoming.request = thrift.request;
        self.told.extend(thrift.told);
        thrift.by_charge
    }

    /// Runs to the end. What is left in `ends`, and the returned end, is for [`Life::conclude`].
    pub(crate) async fn run(&mut self, mut events: Option<EventSink>) -> Lived {
        let (shared, market) = (Arc::clone(&self.shared), Arc::clone(&self.market));
        let health = shared.health().clone();
        let insight = shared.insight();
        let allowance = Arc::clone(&self.incoming.allowance);
        let context = PlanContext {
            offers: &market.offers,
            health: &health,
            insight: &insight,
            names: &shared.names,
            grants: &allowance.grants,
            at: self.incoming.accepted_at,
            now_ms: shared.now_ms(),
            price_only: false,
        };
        let by_charge = self.become_thrifty(context).await;
        let request = self.incoming.request.clone();
        let mut plan = match plan(&request, context) {
            Ok(plan) => plan,
            Err(error) => return self.refused(outcome::plan_refusal(error), events).await,
        };
        if by_charge {
            plan.order_by_charge();
        }
        let route = plan.named.target.route();
        self.max_cost = plan.max_cost;
        self.check_depth = shared.check_depth(route);
        self.moderation_failover = shared.moderation_failover(route);
        if plan.offers.is_empty() {
            return self.refused(outcome::no_offer(&plan), events).await;
        }
        let served = match self.try_offers(&plan, events.as_mut()).await {
            Ok(served) => served,
            Err(Stopped::Refused(mut refusal)) => {
                let asked = (&self.incoming.payer, &request);
                thrift::name_fitting(&shared, &mut refusal, asked, context).await;
                return self.refused(*refusal, events).await;
            }
            Err(Stopped::Existing { request, same_body }) => return Lived::Existing { request, same_body },
        };
        let Some(served) = served.map(|index| &plan.offers[index]) else {
            let failed = outcome::Failed {
                request: self.id,
                attempts: &self.failed,
                charged: self.charged,
                disputed: self.disputed,
            };
            let refusal = outcome::failure(&failed, &plan);
            return self.refused(refusal, events).await;
        };
        let list = self.list_price(&request, &plan.named, served);
        let answer = self.answer(&plan.named, served, list, self.charged + self.disputed);
        let answer = self.keep_if_wanted(answer).await;
        let mut end = Some(self.request_end(&answer, list));
        if self.incoming.idempotency_key.is_some() {
            // The outcome is on disk before anybody hears of it.
            self.conclude(end.take()).await;
        }
        if let Some(events) = &mut events {
            for image in answer.images.clone() {
                let event = StreamEvent::Completed { image, meta: Arc::clone(&answer.meta) };
                if !events.send(event).await {
                    self.shared.keep(&answer).await;
                    break;
                }
            }
        }
        Lived::Ended(Ok(answer), end)
    }

    /// Tries the offers in order; returns the index of the one that delivered last.
    async fn try_offers(
        &mut self,
        plan: &Plan<'_>,
        mut events: Option<&mut EventSink>,
    ) -> Result<Option<usize>, Stopped> {
        let wanted = self.incoming.request.n;
        let mut served: Option<usize> = None;
        let mut tried = 0;
        for (index, planned) in plan.offers.iter().enumerate() {
            if tried >= self.shared.limits.offers_tried_max {
                break;
            }
            if let Some(served) = served {
                // Missing pictures are made by other hosts of the same model, so that they fit together.
                if plan.offers[served].offer.model.id != planned.offer.model.id {
                    continue;
                }
            }
            if self.avoided.contains(&planned.offer.id.provider) {
                continue;
            }
            let before = self.images.len();
            let go_on = match self.try_offer(plan, planned, events.as_deref_mut()).await {
                Ok(Tried::Passed) => continue,
                Ok(Tried::Made { go_on }) => go_on,
                // What is there was paid for, and is delivered.
                Err(Stopped::Refused(refusal)) if before > 0 => {
                    self.held_back = Some(refusal.message);
                    break;
                }
                Err(stopped) => return Err(stopped),
            };
            tried += 1;
            if self.images.len() > before {
                served = Some(index);
            }
            let complete = self.images.len() >= wanted as usize;
            let committed = events.as_ref().is_some_and(|events| events.committed);
            if complete || committed || !go_on || Instant::now() >= self.deadline {
                return Ok(served);
            }
        }
        match self.over_cap.take() {
            // Nothing that is left of the plan fits under the cap.
            Some(over) if served.is_none() => Err(Stopped::Refused(Box::new(over.refusal))),
            Some(over) => {
                self.held_back = Some(over.refusal.message);
                Ok(served)
            }
            None => Ok(served),
        }
    }

    /// Whether held and charged money and the maxima of these calls stay within the request's limit.
    fn affordable(&self, calls: &[PlannedCall]) -> bool {
        let Some(limit) = self.max_cost else { return true };
        let so_far = self.charged.checked_add(self.disputed);
        let total = calls.iter().fold(so_far, |sum, call| sum?.checked_add(call.maximum));
        total.is_some_and(|total| total <= limit)
    }

    /// Tries one offer, unless it is beyond the request's limit or the project's cap.
    async fn try_offer(
        &mut self,
        plan: &Plan<'_>,
        planned: &PlannedOffer<'_>,
        events: Option<&mut EventSink>,
    ) -> Result<Tried, Stopped> {
        let shared = Arc::clone(&self.shared);
        let at = self.incoming.accepted_at;
        let Some(calls) = split(&self.incoming.request, planned, &self.unmade, self.attempts + 1, at) else {
            return Ok(Tried::Passed);
        };
        if !self.affordable(&calls) {
            return Ok(Tried::Passed);
        }
        let asked = calls.iter().try_fold(Ticks::ZERO, |sum, call| sum.checked_add(call.maximum));
        let hopeless =
            |over: &OverCap| over.asked.is_some_and(|limit| asked.is_none_or(|asked| asked >= limit));
        if self.over_cap.as_ref().is_some_and(hopeless) {
            return Ok(Tried::Passed);
        }
        // Earlier ends go ahead of the reservation in the writer's queue, so what they free counts.
        self.conclude(None).await;
        let reservation = Reservation {
            request: self.id,
            payer: Arc::clone(&self.incoming.payer),
            new_request: (!self.recorded).then(|| self.row(plan)),
            attempts: reservations(&self.market, planned, &calls),
            now: shared.clock.now(),
        };
        match shared.store.reserve(reservation).await {
            Ok(Reserved::Held) => {
                self.recorded = true;
                self.over_cap = None;
            }
            Ok(Reserved::Existing { request, same_body }) => {
                return Err(Stopped::Existing { request, same_body });
            }
            Err(StoreError::BudgetExceeded(breach)) => {
                // A cheaper offer of the plan may still fit; where the limit is one of this provider or model,
                // any other.
                let asked = asked.filter(|_| !breach.about_offers);
                refusing::tell(&shared, &breach);
                let mut refusal = self.store_refusal(StoreError::BudgetExceeded(breach));
                outcome::tell_asked_trust(&mut refusal, planned, at);
                self.over_cap = Some(OverCap { asked, refusal });
                return Ok(Tried::Passed);
            }
            Err(error) => {
                if matches!(error, StoreError::Unanswered(_)) {
                    self.take_back(&calls);
                }
                return Err(Stopped::Refused(Box::new(self.store_refusal(error))));
            }
        }
        self.attempts += u32::try_from(calls.len()).unwrap_or(u32::MAX);
        let surroundings = self.surroundings(&shared);
        let called = surroundings.make(planned, &calls, events).await;
        if called.iter().any(Called::speaks_against_provider) {
            self.avoided.push(planned.offer.id.provider.clone());
        }
        Ok(Tried::Made { go_on: self.take_in(called) })
    }

    /// Releases what may be held for calls that are not made, with the end of the request: nobody else knows that
    /// nothing was asked of their provider.
    fn take_back(&mut self, calls: &[PlannedCall]) {
        self.may_be_recorded = true;
        let release = || End::Released { fault_json: None, provider_request_id: None };
        self.ends.extend(calls.iter().map(|call| AttemptEnd { attempt: call.attempt, end: release() }));
    }

    /// Adds up what calls brought. Returns whether another offer may be tried.
    fn take_in(&mut self, called: Vec<Called>) -> bool {
        let mut go_on = true;
        self.unmade.clear();
        for mut call in called {
            self.unmade.append(&mut call.unmade);
            self.images.append(&mut call.images);
            self.ends.push(call.end);
            self.withheld += call.withheld;
            self.usage.append(&mut call.usage);
            if let Some(charge) = call.charge {
                self.charged += charge.amount;
                self.charges.push(charge);
            }
            self.overrun += call.overrun.unwrap_or(Ticks::ZERO);
            self.disputed += call.disputed.unwrap_or(Ticks::ZERO);
            if let Some(failed) = call.failed {
                let refused_by_filter = matches!(
                    failed.fault.kind,
                    FaultKind::ModerationInput | FaultKind::ModerationOutput | FaultKind::ModerationUnknown
                );
                go_on &=
                    failed.fault.retry != Retry::Never || (refused_by_filter && self.moderation_failover);
                self.failed.push(failed);
            }
        }
        go_on
    }

    fn row(&self, plan: &Plan<'_>) -> NewRequest {
        NewRequest {
            id: self.id,
            payer: Arc::clone(&self.incoming.payer),
            accepted_at: self.incoming.accepted_at,
            model: self.incoming.request.model.clone(),
            operation: self.incoming.request.operation,
            n: self.incoming.request.n,
            plan_json: outcome::plan_json(plan),
            asked_json: Some(asked::json(&self.incoming.request)),
            prompt: self.shared.store_prompts.then(|| self.incoming.request.prompt.clone()),
            fingerprint: self.incoming.fingerprint,
            idempotency_key: self.incoming.idempotency_key.clone(),
        }
    }

    fn store_refusal(&self, error: StoreError) -> Refusal {
        let more = !self.charged.is_zero() || !self.disputed.is_zero();
        let refusal = outcome::store_refusal(&error, more);
        Refusal {
            charged: self.charged,
            disputed: self.disputed,
            attempts: self.failed.clone(),
            request_id: self.recorded.then_some(self.id),
            ..refusal
        }
    }

    async fn refused(&mut self, refusal: Refusal, events: Option<EventSink>) -> Lived {
        let mut end = (self.recorded || self.may_be_recorded).then(|| RequestEnd {
            status: RequestStatus::Failed,
            http_status: refusal.kind.status(),
            error_code: Some(refusal.kind.code().to_owned()),
            answer_json: Some(outcome::refusal_json(&refusal)),
            images_delivered: 0,
            list: None,
            saved: None,
            // A key replays what may have been charged; what was free may be tried again. A dispute keeps
            // its key even where it is about nothing.
            free_idempotency_key: !refusal.may_have_charged()
                && !self.failed.iter().any(|failed| failed.disputed),
        });
        if let Some(mut events) = events {
            if self.incoming.idempotency_key.is_some() {
                self.conclude(end.take()).await;
            }
            events.send(StreamEvent::Failed(refusal.clone())).await;
        }
        Lived::Ended(Err(refusal), end)
    }

    /// What its calls need to know of it.
    fn surroundings<'a>(&'a self, shared: &'a Shared) -> Surroundings<'a> {
        let Life { id, incoming, deadline, check_depth, market, .. } = self;
        let (project, at) = (&incoming.payer.project, incoming.accepted_at);
        let (request, deadline, check_depth) = (*id, *deadline, *check_depth);
        Surroundings { shared, market, request, project, at, deadline, check_depth }
    }

    /// Writes what is known: ends of attempts and, with `finish`, the end of the request. What cannot be
    /// written now is not forgotten: ends go with the next writing; the end of the request, which somebody is about
    /// to be told, is waited for a little and then tried again by a task of the engine.
    pub(crate) async fn conclude(&mut self, finish: Option<RequestEnd>) {
        let Some(conclusion) = self.conclusion(finish) else { return };
        let Err(error) = self.shared.store.conclude(conclusion.clone()).await else { return };
        if conclusion.finish.is_none() && error.may_pass() {
            tracing::error!(request = %self.id, %error, "ends of attempts could not be written yet");
            self.ends = conclusion.ends;
            return;
        }
        persist::before_the_answer(&self.shared, conclusion, error, &mut self.patience).await;
    }

    /// As [`Life::conclude`], without waiting: the commit follows within milliseconds, shared with others.
    pub(crate) fn conclude_later(&mut self, finish: Option<RequestEnd>) {
        let Some(conclusion) = self.conclusion(finish) else { return };
        // What lies in the store must not hold the store: an engine that is dropped before the commit would keep
        // its store alive for ever, and with it the heartbeat that says so to other replicas.
        let shared = Arc::downgrade(&self.shared);
        let runtime = tokio::runtime::Handle::current();
        self.shared.store.conclude_later(conclusion, move |conclusion, error| {
            let _entered = runtime.enter();
            match shared.upgrade() {
                Some(shared) => persist::in_background(&shared, conclusion, error),
                None => tracing::error!(request = %conclusion.request, %error, "an end was not written"),
            }
        });
    }

    fn conclusion(&mut self, finish: Option<RequestEnd>) -> Option<Conclusion> {
        let ends = std::mem::take(&mut self.ends);
        let something = !ends.is_empty() || finish.is_some();
        something.then(|| Conclusion { request: self.id, ends, finish, now: self.shared.clock.now() })
    }
}

/// Why the trying stops at once.
enum Stopped {
    Refused(Box<Refusal>),
    Existing { request: RequestId, same_body: bool },
}

/// The answer for a request that is refused because too much is going on.
pub(crate) fn overloaded() -> Refusal {
    let mut refusal = Refusal::new(RefusalKind::Overloaded, "the gateway is busy; try again in a moment");
    refusal.retry_after_ms = Some(1_000);
    refusal
}
