//! The rates of keys and projects: requests and pictures per minute, and pictures at once.
//!
//! All limits of a request are taken together or none is, before anything is reserved; a repetition of an
//! earlier request takes nothing. Rates are kept behind [`Rates`]: in this process (`rates/local.rs`), or on a
//! server that replicas share (`rates/shared.rs`); the arithmetic is in `rates/bucket.rs` and `bucket.lua`. What
//! is being made is counted by each process for its share of the limit.

mod bucket;
mod local;
mod shared;

pub use local::LocalRates;
pub use shared::SharedRates;

use crate::refusal::{Refusal, RefusalKind};
use crate::sharers::Sharers;
use futures_util::future::BoxFuture;
use gallerist_domain::{Allowance, Clock, Payer, RateLimits};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// When somebody may ask again whose pictures are all being made: when the first is done, nobody knows.
const AT_ONCE_RETRY_MS: u64 = 1_000;

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    Requests,
    Images,
}

impl Measure {
    pub const fn as_str(self) -> &'static str {
        match self {
            Measure::Requests => "requests",
            Measure::Images => "images",
        }
    }
}

/// Whose limit it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    Key(String),
    Project(String),
}

impl Owner {
    const fn word(&self) -> &'static str {
        match self {
            Owner::Key(_) => "key",
            Owner::Project(_) => "project",
        }
    }
}

/// What is wanted of one rate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub owner: Owner,
    pub measure: Measure,
    /// Per minute, at least 1.
    pub limit: u32,
    /// Zero only looks.
    pub cost: u32,
}

/// Where a rate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level {
    pub measure: Measure,
    /// Per minute.
    pub limit: u32,
    /// What may be asked at once now.
    pub remaining: u32,
    /// Until all of it may be asked again.
    pub reset_ms: u64,
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// All of it, with the levels after it.
    All(Vec<Level>),
    /// Nothing: the ask of this index has to wait the longest.
    Refused { ask: usize, retry_after_ms: u64 },
}

/// Where rates are kept.
pub trait Rates: Send + Sync {
    /// Takes all that is asked or nothing, at `now`. Each cost is within its limit.
    fn take(&self, asks: Vec<Ask>, now: Timestamp) -> BoxFuture<'_, Taken>;

    /// How the server stands on which replicas share them; `None` where there is none.
    fn shared_state(&self) -> Option<SharedState> {
        None
    }
}

/// How shared rates stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedState {
    /// Whether the server answered when it was last asked.
    pub is_up: bool,
    /// Times that it was lost, or not there at the start.
    pub losses: u64,
    /// Requests that this process let in or refused by itself.
    pub decided_locally: u64,
}

/// Rounded up, so that nobody comes back too early.
fn milliseconds(microseconds: i64) -> u64 {
    u64::try_from(microseconds).unwrap_or(0).div_ceil(1_000)
}

/// The door that counts.
pub(crate) struct Door {
    rates: Arc<dyn Rates>,
    sharers: Sharers,
    /// Pictures that are being made.
    at_once: Arc<Mutex<HashMap<Owner, u32>>>,
}

impl Door {
    pub(crate) fn new(rates: Arc<dyn Rates>, sharers: Sharers) -> Door {
        Door { rates, sharers, at_once: Arc::default() }
    }

    /// How the server stands on which replicas share the rates; `None` where there is none.
    pub(crate) fn shared_state(&self) -> Option<SharedState> {
        self.rates.shared_state()
    }

    /// Lets a request of `images` pictures in, for as long as the pass is held.
    ///
    /// # Errors
    /// `rate_limited` with the time to wait; `invalid_value` for more pictures than a limit ever lets in.
    pub(crate) async fn pass(
        &self,
        payer: &Payer,
        allowance: &Allowance,
        images: u32,
        clock: &dyn Clock,
    ) -> Result<Pass, Refusal> {
        let limits = limits(payer, allowance);
        if limits.is_empty() {
            return Ok(Pass { at_once: Arc::clone(&self.at_once), held: Vec::new(), images });
        }
        for (owner, limit) in &limits {
            for (allowed, when) in
                [(limit.images_per_minute, "per minute"), (limit.images_at_once, "at once")]
            {
                if let Some(allowed) = allowed.filter(|allowed| images > *allowed) {
                    let message = format!(
                        "n is {images}, but the limit of the {} is {allowed} images {when}.",
                        owner.word()
                    );
                    return Err(Refusal::new(RefusalKind::InvalidRequest, message).with_parameter("n"));
                }
            }
        }
        // Held first: it can be given back.
        let pass = self.hold(&limits, images)?;
        let asks = asks(&limits, 1, images);
        match self.rates.take(asks.clone(), clock.now()).await {
            Taken::All(_) => Ok(pass),
            Taken::Refused { ask, retry_after_ms } => Err(too_fast(&asks[ask], retry_after_ms)),
        }
    }

    /// Where the rates of a payer stand; empty where there are none.
    pub(crate) async fn levels(&self, payer: &Payer, allowance: &Allowance, now: Timestamp) -> Vec<Level> {
        let asks = asks(&limits(payer, allowance), 0, 0);
        if asks.is_empty() {
            return Vec::new();
        }
        match self.rates.take(asks, now).await {
            Taken::All(levels) => levels,
            Taken::Refused { .. } => Vec::new(),
        }
    }

    /// Pictures of a project that are being made, and asked by requests whose keys or project count them.
    fn hold(&self, limits: &[(Owner, RateLimits)], images: u32) -> Result<Pass, Refusal> {
        let mut at_once = self.at_once.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = || limits.iter().filter_map(|(owner, limit)| Some((owner, limit.images_at_once?)));
        let share = self.sharers.divider();
        for (owner, limit) in counted() {
            let being_made = at_once.get(owner).copied().unwrap_or(0);
            // What is more than a share is let in alone, else it never would be.
            if being_made > 0 && being_made + images > share(limit) {
                let here = match share(limit) {
                    share if share < limit => format!(" ({share} at this replica)"),
                    _ => String::new(),
                };
                let message = format!(
                    "The limit of the {} is {limit} images at once{here}, and {being_made} are being made.",
                    owner.word()
                );
                let mut refusal = Refusal::new(RefusalKind::RateLimited, message);
                refusal.retry_after_ms = Some(AT_ONCE_RETRY_MS);
                return Err(refusal);
            }
        }
        let held: Vec<Owner> = counted().map(|(owner, _)| owner.clone()).collect();
        for owner in &held {
            *at_once.entry(owner.clone()).or_default() += images;
        }
        Ok(Pass { at_once: Arc::clone(&self.at_once), held, images })
    }
}

/// Lets a request be; what it holds is free again when this is dropped.
pub(crate) struct Pass {
    at_once: Arc<Mutex<HashMap<Owner, u32>>>,
    held: Vec<Owner>,
    images: u32,
}

impl Drop for Pass {
    fn drop(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let mut at_once = self.at_once.lock().unwrap_or_else(PoisonError::into_inner);
        for owner in &self.held {
            if let Some(being_made) = at_once.get_mut(owner) {
                *being_made = being_made.saturating_sub(self.images);
                if *being_made == 0 {
                    at_once.remove(owner);
                }
            }
        }
    }
}

/// The limits that hold for a payer.
fn limits(payer: &Payer, allowance: &Allowance) -> Vec<(Owner, RateLimits)> {
    let key = payer.key_id.clone().map(|id| (Owner::Key(id), allowance.key_limits));
    let project = (Owner::Project(payer.project.to_string()), allowance.project_limits);
    key.into_iter().chain([project]).filter(|(_, limits)| !limits.is_none()).collect()
}

fn asks(limits: &[(Owner, RateLimits)], requests: u32, images: u32) -> Vec<Ask> {
    let of = |(owner, limits): &(Owner, RateLimits)| {
        let ask = |measure, limit: Option<u32>, cost| {
            Some(Ask { owner: owner.clone(), measure, limit: limit?, cost })
        };
        [
            ask(Measure::Requests, limits.requests_per_minute, requests),
            ask(Measure::Images, limits.images_per_minute, images),
        ]
    };
    limits.iter().flat_map(of).flatten().collect()
}

fn too_fast(ask: &Ask, retry_after_ms: u64) -> Refusal {
    let Ask { owner, measure, limit, cost } = ask;
    let what = match (measure, cost) {
        (Measure::Requests, _) => "one".to_owned(),
        (Measure::Images, cost) => format!("{cost} of them"),
    };
    let measure = measure.as_str();
    let message = format!(
        "The limit of the {} is {limit} {measure} per minute; {what} may be asked for again in {}.{:03} seconds.",
        owner.word(),
        retry_after_ms / 1_000,
        retry_after_ms % 1_000
    );
    let mut refusal = Refusal::new(RefusalKind::RateLimited, message);
    refusal.retry_after_ms = Some(retry_after_ms);
    refusal
}

#[cfg(test)]
mod tests;
