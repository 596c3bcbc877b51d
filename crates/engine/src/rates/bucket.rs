//! One rate: the generic cell rate algorithm over integers, on a clock that is passed in.
//!
//! A bucket is one instant, when it would be full again. A minute's worth may come at once; from then on it
//! fills evenly. Written here because all limits of a request are taken together or none is, each key has its
//! own rate, and a level must be readable without taking: no library's limiter does these, and a shared store
//! has to repeat the same arithmetic.

const MINUTE_NS: i128 = 60_000_000_000;

/// The longest that any bucket takes to fill: a minute, and what rounding up adds for the largest limit.
const FILLING_NS_MAX: i128 = MINUTE_NS + u32::MAX as i128;

/// Nanoseconds since 1970 at which it is full again; in the past: it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    full_at_ns: i128,
}

/// What one of `limit` per minute takes to come back, rounded up so that the rate is never passed.
fn interval_ns(limit: u32) -> i128 {
    let limit = i128::from(limit.max(1));
    (MINUTE_NS + limit - 1) / limit
}

impl Bucket {
    /// How long `cost` has to wait; 0 if it may be taken. `cost` is at most `limit`.
    pub(crate) fn wait_ns(self, limit: u32, cost: u32, now_ns: i128) -> i128 {
        let interval = interval_ns(limit);
        (self.missing_ns(now_ns) + interval * i128::from(cost) - interval * i128::from(limit)).max(0)
    }

    pub(crate) fn take(&mut self, limit: u32, cost: u32, now_ns: i128) {
        self.full_at_ns = now_ns + self.missing_ns(now_ns) + interval_ns(limit) * i128::from(cost);
    }

    /// What is left, and nanoseconds until it is full.
    pub(crate) fn level(self, limit: u32, now_ns: i128) -> (u32, i128) {
        let missing_ns = self.missing_ns(now_ns);
        let interval = interval_ns(limit);
        let left = (interval * i128::from(limit) - missing_ns).max(0) / interval;
        (u32::try_from(left).unwrap_or(limit), missing_ns)
    }

    pub(crate) fn is_full(self, now_ns: i128) -> bool {
        self.missing_ns(now_ns) == 0
    }

    /// Until it is full. What would take longer than any bucket does was taken before the clock was set back, and
    /// says nothing of the last minute: without this, nobody would be let in until the clock is there again.
    fn missing_ns(self, now_ns: i128) -> i128 {
        let missing_ns = (self.full_at_ns - now_ns).max(0);
        if missing_ns > FILLING_NS_MAX { 0 } else { missing_ns }
    }
}
