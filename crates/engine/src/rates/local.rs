//! Rates in the memory of this process: this replica's share of each limit.

use super::bucket::Bucket;
use super::{Ask, Level, Measure, Owner, Rates, Taken, milliseconds};
use crate::sharers::Sharers;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buckets that are kept before those that are full again are forgotten.
pub(super) const BUCKETS_KEPT: usize = 1_024;

type Buckets = HashMap<(Owner, Measure), Bucket>;

/// Each limit is divided by the number of replicas, rounded down but at least 1. A request that wants more than
/// the share waits until that is whole, and those after it wait the longer.
pub struct LocalRates {
    sharers: Sharers,
    pub(super) buckets: Mutex<Buckets>,
}

impl LocalRates {
    pub fn new(sharers: Sharers) -> LocalRates {
        LocalRates { sharers, buckets: Mutex::default() }
    }

    pub(super) fn take_now(&self, asks: &[Ask], now: Timestamp) -> Taken {
        let now_us = now.as_microsecond();
        let mut buckets = self.lock();
        for ask in asks {
            if let Some(bucket) = buckets.get_mut(&(ask.owner.clone(), ask.measure)) {
                bucket.follow(now_us);
            }
        }
        let share = self.sharers.divider();
        let wait_us = |ask: &Ask| {
            let bucket = buckets.get(&(ask.owner.clone(), ask.measure)).copied().unwrap_or_default();
            bucket.wait_us(share(ask.limit), ask.cost, now_us)
        };
        let longest = asks.iter().map(wait_us).enumerate().max_by_key(|(_, wait_us)| *wait_us);
        if let Some((ask, wait_us)) = longest.filter(|(_, wait_us)| *wait_us > 0) {
            return Taken::Refused { ask, retry_after_ms: milliseconds(wait_us) };
        }
        let mut levels = Vec::with_capacity(asks.len());
        for ask in asks {
            let bucket = buckets.entry((ask.owner.clone(), ask.measure)).or_default();
            bucket.take(share(ask.limit), ask.cost, now_us);
            let (remaining, reset_us) = bucket.level(share(ask.limit), now_us);
            levels.push(Level {
                measure: ask.measure,
                limit: ask.limit,
                remaining,
                reset_ms: milliseconds(reset_us),
            });
        }
        forget_full(&mut buckets, now_us);
        Taken::All(levels)
    }

    /// Takes back what was just taken.
    pub(super) fn give_back(&self, asks: &[Ask]) {
        let mut buckets = self.lock();
        let share = self.sharers.divider();
        for ask in asks {
            if let Some(bucket) = buckets.get_mut(&(ask.owner.clone(), ask.measure)) {
                bucket.give_back(share(ask.limit), ask.cost);
            }
        }
    }

    /// Remembers what was let in elsewhere, for when this has to decide.
    pub(super) fn note(&self, asks: &[Ask], now: Timestamp) {
        let now_us = now.as_microsecond();
        let mut buckets = self.lock();
        let share = self.sharers.divider();
        for ask in asks.iter().filter(|ask| ask.cost > 0) {
            let bucket = buckets.entry((ask.owner.clone(), ask.measure)).or_default();
            bucket.follow(now_us);
            bucket.note(share(ask.limit), ask.cost, now_us);
        }
        forget_full(&mut buckets, now_us);
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_full(buckets: &mut Buckets, now_us: i64) {
    if buckets.len() > BUCKETS_KEPT {
        buckets.retain(|_, bucket| !bucket.is_full(now_us));
    }
}

impl Rates for LocalRates {
    fn take(&self, asks: Vec<Ask>, now: Timestamp) -> BoxFuture<'_, Taken> {
        Box::pin(std::future::ready(self.take_now(&asks, now)))
    }
}
