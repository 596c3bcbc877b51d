//! Waiting for a place at a provider's account: fair between projects, first come first served within one,
//! bounded, with a deadline, and with a foreseeable start.
//!
//! Each replica keeps to its share of an account. What decides is pure: `queue/fair.rs` is the order, `queue/account.rs` the limits of an account and the
//! forecast. This rim holds the lock and wakes those who wait; each of them waits in its own future, and one
//! that is dropped leaves the queue, or its place.

mod account;
mod fair;

use crate::sharers::Sharers;
use account::{Account, CallSize, Party, Ticket};
use gallerist_domain::{Fault, FaultKind, ProjectId, RequestId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

pub(crate) use account::AccountLimits;

/// A call that wants a place.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    party: Party,
    size: CallSize,
    request: Option<RequestId>,
}

impl Caller {
    /// A call of a request that makes `images` and is expected to take `expected_ms`.
    pub(crate) fn of(project: &ProjectId, request: RequestId, images: u32, expected_ms: u64) -> Caller {
        let size = CallSize { images, expected_ms };
        Caller { party: Party::Project(project.clone()), size, request: Some(request) }
    }

    /// A question about a job that runs already. Together they have the share of one project.
    pub(crate) fn look_up() -> Caller {
        Caller { party: Party::LookUps, size: CallSize { images: 0, expected_ms: 1_000 }, request: None }
    }
}

/// Where a waiting call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// 1 is next.
    pub position: u32,
    /// From now, by what calls usually take.
    pub starts_in_ms: u64,
}

/// The places of one provider's account.
pub(crate) struct Places {
    sharers: Sharers,
    state: Mutex<State>,
    begun: Instant,
}

struct State {
    account: Account,
    waiting: HashMap<Ticket, Waiter>,
    /// The waiter that has been told to keep the time of the queue.
    timekeeper: Option<Ticket>,
}

struct Waiter {
    request: Option<RequestId>,
    news: Arc<Notify>,
    told: Told,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Started,
    PushedOut,
}

impl Places {
    pub(crate) fn new(limits: AccountLimits, sharers: Sharers) -> Places {
        let state = State { account: Account::new(limits), waiting: HashMap::new(), timekeeper: None };
        Places { sharers, state: Mutex::new(state), begun: Instant::now() }
    }

    /// Waits for a place until the deadline.
    ///
    /// # Errors
    /// [`FaultKind::HeldBack`]: the queue is full, or no place came in time. Nothing was sent.
    pub(crate) async fn place(&self, caller: Caller, deadline: Instant) -> Result<Place<'_>, Fault> {
        let held_back = |detail: &str| Fault::new(FaultKind::HeldBack, detail);
        let Some((place, news)) = self.join(caller) else {
            return Err(held_back("too many calls wait for this provider"));
        };
        loop {
            let (told, opens_at_ms) = self.look(place.ticket);
            match told {
                Told::Started => return Ok(place),
                Told::PushedOut => {
                    return Err(held_back("too many calls of this project wait for this provider"));
                }
                Told::Nothing if Instant::now() >= deadline => {
                    return Err(held_back("no place at this provider before the deadline"));
                }
                Told::Nothing => {}
            }
            let opens = opens_at_ms.map(|at| self.begun + Duration::from_millis(at));
            let until = opens.map_or(deadline, |opens| opens.min(deadline));
            tokio::select! {
                biased;
                () = news.notified() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// Where the waiting calls of a request stand.
    pub(crate) fn standings(&self, request: RequestId) -> Vec<Standing> {
        let now_ms = self.now_ms();
        let state = self.lock();
        let of_request = |waiter: &Waiter| waiter.request == Some(request) && waiter.told == Told::Nothing;
        let tickets = state.waiting.iter().filter(|(_, waiter)| of_request(waiter));
        let forecasts = tickets.filter_map(|(ticket, _)| state.account.forecast(*ticket, now_ms));
        let mut standings: Vec<Standing> = forecasts
            .map(|forecast| Standing {
                position: forecast.position,
                starts_in_ms: forecast.starts_at_ms.saturating_sub(now_ms),
            })
            .collect();
        standings.sort_by_key(|standing| standing.position);
        standings
    }

    fn join(&self, caller: Caller) -> Option<(Place<'_>, Arc<Notify>)> {
        let now_ms = self.now_ms();
        let mut state = self.lock();
        let joined = state.account.join(caller.party, caller.size, now_ms)?;
        if let Some(waiter) = joined.pushed_out.and_then(|ticket| state.waiting.get_mut(&ticket)) {
            waiter.told = Told::PushedOut;
            waiter.news.notify_one();
        }
        let news = Arc::new(Notify::new());
        let waiter = Waiter { request: caller.request, news: Arc::clone(&news), told: Told::Nothing };
        state.waiting.insert(joined.ticket, waiter);
        state.dispatch(now_ms);
        Some((Place { places: self, ticket: joined.ticket }, news))
    }

    /// What was told to the waiter, and when it should look again if it keeps the time.
    fn look(&self, ticket: Ticket) -> (Told, Option<u64>) {
        let now_ms = self.now_ms();
        let mut state = self.lock();
        state.dispatch(now_ms);
        let told = state.waiting.get(&ticket).map_or(Told::PushedOut, |waiter| waiter.told);
        let keeps_time = state.timekeeper == Some(ticket);
        (told, if keeps_time { state.account.opens_at(now_ms) } else { None })
    }

    fn leave(&self, ticket: Ticket) {
        let now_ms = self.now_ms();
        let mut state = self.lock();
        state.waiting.remove(&ticket);
        state.account.leave(ticket);
        state.dispatch(now_ms);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.account.keep_to(self.sharers.divider());
        state
    }
}

impl State {
    /// Starts what may start, and has the first of the others keep the time if time is what it waits for.
    fn dispatch(&mut self, now_ms: u64) {
        for ticket in self.account.start_due(now_ms) {
            if let Some(waiter) = self.waiting.get_mut(&ticket) {
                waiter.told = Told::Started;
                waiter.news.notify_one();
            }
        }
        let timekeeper = self.account.opens_at(now_ms).and_then(|_| self.account.head());
        if timekeeper != self.timekeeper {
            self.timekeeper = timekeeper;
            if let Some(waiter) = timekeeper.and_then(|ticket| self.waiting.get(&ticket)) {
                waiter.news.notify_one();
            }
        }
    }
}

/// A place at a provider, or in its queue; given back when dropped.
pub(crate) struct Place<'a> {
    places: &'a Places,
    ticket: Ticket,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.places.leave(self.ticket);
    }
}

#[cfg(test)]
mod tests;
