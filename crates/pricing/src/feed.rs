//! Prices that are polled: what is believed of them, since when, and how old it is.
//!
//! A feed tells the price of a line at an instant. [`observe`] decides alone: the same, accepted, or held because
//! it jumped over a factor. What is held waits for a second poll that agrees, or for a person; a jump that looks
//! like a mistaken unit waits for a person only, since it would agree with itself for ever. The last price that
//! was believed stays in force meanwhile. What feeds look like is `feed/read.rs`, what becomes of accepted prices
//! `feed/apply.rs`. It refuses to fetch, and to know the time.

mod apply;
mod read;

pub use read::{Mapping, NotAFeed, json, spot};

use crate::import::compare::suspicion;
use gallerist_domain::{Price, Ticks};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a price may move between two polls before it is held.
pub const JUMP_FACTOR: i64 = 3;

/// Polls that may fail before a feed's prices are called stale.
const MISSED_POLLS_MAX: i64 = 3;

/// A reading from before this may not be the provider's newest; one from later than this ahead is not believed.
const AHEAD_MAX: SignedDuration = SignedDuration::from_mins(5);

/// What a feed said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub target: Target,
    pub quote: Quoted,
    /// From when on it holds, as the feed says; else the time of the poll.
    pub at: Timestamp,
}

/// A price line of our catalogue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// `kind/model`.
    pub offer: String,
    /// The line's id.
    pub line: String,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.offer, self.line)
    }
}

/// Dollars for base units of the line's meter, as it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quoted {
    pub usd: Ticks,
    pub per: i64,
}

impl Quoted {
    pub fn of(price: Price) -> Quoted {
        Quoted { usd: price.amount, per: price.per }
    }

    pub fn price(self) -> Price {
        Price { amount: self.usd, per: self.per }
    }

    /// Equal worth, whatever it is per.
    fn equals(self, other: Quoted) -> bool {
        self.worth(other) == other.worth(self)
    }

    fn worth(self, other: Quoted) -> i128 {
        i128::from(self.usd.get()) * i128::from(other.per)
    }

    /// Whether one is at most `numerator ÷ denominator` times the other.
    fn within(self, other: Quoted, (numerator, denominator): (i64, i64)) -> bool {
        let (a, b) = (self.worth(other), other.worth(self));
        let (large, small) = (a.max(b), a.min(b));
        match (large.checked_mul(i128::from(denominator)), small.checked_mul(i128::from(numerator))) {
            (Some(large), Some(small)) => large <= small,
            _ => false,
        }
    }
}

/// An accepted price and the instant from which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricePoint {
    pub quote: Quoted,
    pub since: Timestamp,
}

/// A price that is not believed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub quote: Quoted,
    /// When the feed says that it began.
    pub at: Timestamp,
    /// The poll that brought it.
    pub polled: Timestamp,
    pub why: String,
    /// Only a person can confirm it.
    pub person: bool,
}

/// What is known of one line from its feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Oldest first; the last one is the last known good price.
    pub points: Vec<PricePoint>,
    /// The last poll that told anything about the line.
    pub polled: Option<Timestamp>,
    pub held: Option<Held>,
}

/// Everything that feeds have told, by line; what is kept between polls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedBook {
    /// By `OFFER LINE`.
    pub watches: BTreeMap<String, Watch>,
}

/// What became of an observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Same,
    /// The price holds from the point's instant on.
    Accepted(PricePoint),
    /// Waits for a second poll that agrees, or for a person.
    Held(String),
    /// Older than what is known already.
    Late,
    /// Not a price at all; the reason.
    Refused(&'static str),
}

/// Decides about an observation that a poll brought at `now`. `base` is the price of the line without the feed:
/// the first poll is guarded by it too.
pub fn observe(watch: &mut Watch, base: Quoted, seen: &Observation, now: Timestamp, factor: i64) -> Decision {
    if seen.quote.usd.is_zero() || seen.quote.usd.is_negative() || seen.quote.per < 1 {
        return Decision::Refused("an unknown price is not zero");
    }
    if seen.at > now.saturating_add(AHEAD_MAX).unwrap_or(now) {
        return Decision::Refused("it is dated in the future");
    }
    let last = watch.points.last().copied();
    if last.is_some_and(|last| seen.at < last.since) {
        return Decision::Late;
    }
    watch.polled = Some(now);
    let known = last.map_or(base, |last| last.quote);
    if seen.quote.equals(known) {
        watch.held = None;
        return Decision::Same;
    }
    if known.within(seen.quote, (factor.max(1), 1)) {
        return accept(watch, seen.quote, seen.at);
    }
    let unit = suspicion(seen.quote.price(), known.price()).filter(|why| why.contains('?'));
    let agrees = watch.held.as_ref().is_some_and(|held| {
        // A twentieth: what moves fast enough to jump is rarely twice the same to the digit.
        !held.person && unit.is_none() && now > held.polled && held.quote.within(seen.quote, (21, 20))
    });
    if agrees {
        return accept(watch, seen.quote, seen.at);
    }
    let person = unit.is_some();
    let why = unit.unwrap_or_else(|| format!("more than {factor} times off the last known price"));
    watch.held = Some(Held { quote: seen.quote, at: seen.at, polled: now, why: why.clone(), person });
    Decision::Held(why)
}

/// A person believes what is held: it holds from the instant that the feed gave it.
pub fn confirm(watch: &mut Watch) -> Option<PricePoint> {
    let held = watch.held.take()?;
    match accept(watch, held.quote, held.at) {
        Decision::Accepted(point) => Some(point),
        _ => None,
    }
}

/// Whether the line's price is older than its feed allows.
pub fn is_stale(watch: &Watch, every: SignedDuration, now: Timestamp) -> bool {
    let allowed = every.checked_mul(i32::try_from(MISSED_POLLS_MAX).unwrap_or(i32::MAX));
    let age = watch.polled.map(|polled| now.duration_since(polled));
    age.is_none_or(|age| allowed.is_some_and(|allowed| age > allowed))
}

fn accept(watch: &mut Watch, quote: Quoted, since: Timestamp) -> Decision {
    let point = PricePoint { quote, since };
    // Two prices of one instant: the later word counts.
    watch.points.retain(|earlier| earlier.since < since);
    watch.points.push(point);
    watch.held = None;
    Decision::Accepted(point)
}

#[cfg(test)]
mod tests;
