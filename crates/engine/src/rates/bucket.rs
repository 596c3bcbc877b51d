//! One rate: the generic cell rate algorithm over integers, on a clock that is passed in.
//!
//! A bucket is one instant, when it would be full again. A minute's worth may come at once; from then on it
//! fills evenly. Written here because all limits of a request are taken together or none is, each key has its
//! own rate, and a level must be readable without taking: no library's limiter does these. `bucket.lua` is the
//! same arithmetic for a store that replicas share. Microseconds, because its numbers are whole only below 2⁵³.

const MINUTE_US: i64 = 60_000_000;

/// Microseconds since 1970 at which it is full again; in the past: it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    full_at_us: i64,
    /// When it was last looked at.
    seen_at_us: i64,
}

/// What one of `limit` per minute takes to come back, rounded up so that the rate is never passed.
pub(super) fn interval_us(limit: u32) -> i64 {
    let limit = i64::from(limit.max(1));
    (MINUTE_US + limit - 1) / limit
}

impl Bucket {
    /// Goes with a clock that was set back since the last look: what was missing is missing still, and no more.
    /// Without this nobody would be let in until the clock is there again.
    pub(crate) fn follow(&mut self, now_us: i64) {
        self.full_at_us -= (self.seen_at_us - now_us).max(0);
        self.seen_at_us = now_us;
    }

    /// How long `cost` has to wait; 0 if it may be taken. What costs more than `limit` waits until it is full.
    pub(crate) fn wait_us(self, limit: u32, cost: u32, now_us: i64) -> i64 {
        let spare = i64::from(limit.saturating_sub(cost));
        (self.full_at_us - now_us).max(0).saturating_sub(interval_us(limit) * spare).max(0)
    }

    pub(crate) fn take(&mut self, limit: u32, cost: u32, now_us: i64) {
        self.full_at_us = self.full_at_us.max(now_us) + interval_us(limit) * i64::from(cost);
        self.seen_at_us = now_us;
    }

    /// Undoes a [`Bucket::take`] of just now.
    pub(crate) fn give_back(&mut self, limit: u32, cost: u32) {
        self.full_at_us -= interval_us(limit) * i64::from(cost);
    }

    /// As [`Bucket::take`] for what was let in elsewhere, which may be more than this bucket holds: at most it is
    /// empty.
    pub(crate) fn note(&mut self, limit: u32, cost: u32, now_us: i64) {
        let empty_us = now_us + interval_us(limit) * i64::from(limit);
        let mut noted = *self;
        noted.take(limit, cost, now_us);
        self.full_at_us = noted.full_at_us.min(empty_us).max(self.full_at_us);
        self.seen_at_us = now_us;
    }

    /// What is left, and microseconds until it is full.
    pub(crate) fn level(self, limit: u32, now_us: i64) -> (u32, i64) {
        let missing_us = (self.full_at_us - now_us).max(0);
        let interval = interval_us(limit);
        let left = (interval * i64::from(limit) - missing_us).max(0) / interval;
        (u32::try_from(left).unwrap_or(limit), missing_us)
    }

    pub(crate) fn is_full(self, now_us: i64) -> bool {
        self.full_at_us <= now_us
    }
}
