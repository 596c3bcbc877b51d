//! Prices that are polled: what is believed of them, since when, and how old it is.
//!
//! A feed tells the price of a line at an instant. [`observe`] decides alone: the same, accepted, or held because
//! it jumped over a factor. What is held waits for a person, since a feed that is wrong agrees with itself for
//! ever; where the settings say so, also for further polls that agree, unless the jump looks like a mistaken unit.
//! The last price that was believed stays in force meanwhile. What feeds look like is `feed/read.rs` and
//! `feed/lists.rs`, what a whole answer changes `feed/intake.rs`, what is kept `feed/book.rs`, what becomes of
//! accepted prices `feed/apply.rs`. It refuses to fetch, and to know the time.

mod apply;
mod book;
mod ends;
mod intake;
mod lists;
mod parts;
mod read;

pub(crate) use book::RETIRES_ON;
pub use book::{FeedBook, FeedStatus, HeldPrice};
pub use ends::{EndWatch, HeldEnd};
pub use intake::{FeedRules, Told, precedence, still_told, take_in};
pub use lists::fal_endpoints;
pub use read::{FeedForm, Mapping, NotAFeed, json, spot};

use crate::import::compare::suspicion;
use gallerist_domain::{Price, Ticks};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How far a price may move between two polls before it is held.
pub const JUMP_FACTOR: i64 = 3;

/// Polls that may fail before a feed's prices are called stale, unless its settings name a time.
pub const MISSED_POLLS_MAX: i32 = 3;

/// Accepted prices of a line that are kept; the oldest are forgotten, and what was before them is the
/// catalogue's.
const POINTS_MAX: usize = 1_000;

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

impl Target {
    pub fn new(offer: &str, line: &str) -> Target {
        Target { offer: offer.to_owned(), line: line.to_owned() }
    }
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

/// What a line costs without its feed, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    pub quote: Quoted,
    /// Absent where nobody knows when it began.
    pub since: Option<Timestamp>,
}

/// An accepted price and the instant from which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricePoint {
    pub quote: Quoted,
    pub since: Timestamp,
    /// When it was believed: what was quoted before knew nothing of it. Absent in books of earlier versions, which
    /// believed only at a start.
    #[serde(default)]
    pub believed: Option<Timestamp>,
    /// No word of the feed, but the instant from which nobody heard it any more: the catalogue's own price holds
    /// again, with its own source. The quote is what that was then, for versions that know no such mark.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub let_go: bool,
}

/// When a jump is held, and what ends the holding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// How far a price may move between two polls before it is held.
    pub jump_factor: i64,
    /// Further polls that agree with a held price until it is believed; 0: only a person can.
    pub agreeing_polls: u32,
}

impl Default for Guard {
    fn default() -> Guard {
        Guard { jump_factor: JUMP_FACTOR, agreeing_polls: 0 }
    }
}

/// How a feed fell silent about a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When it was noticed.
    pub noticed: Timestamp,
    /// Whether the price is unknown from then on; else the last one goes on, with a warning.
    pub unknown: bool,
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
    /// Polls after the first that agreed.
    #[serde(default)]
    pub agreed: u32,
    /// Since when a price of this line is held, whichever; absent in books of earlier versions.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// What is known of one line from its feed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// Oldest first; the last one is the last known good price.
    pub points: Vec<PricePoint>,
    /// The last poll that told anything about the line.
    pub polled: Option<Timestamp>,
    pub held: Option<Held>,
    /// The feed that told it last.
    #[serde(default)]
    pub feed: String,
    /// Set while the feed is silent for longer than it may be.
    #[serde(default)]
    pub silent: Option<Silence>,
}

impl Watch {
    /// The point that holds, where the catalogue's own price is not younger and the feed was not let go since.
    pub fn in_force(&self, base: Base) -> Option<PricePoint> {
        self.points.last().filter(|last| !last.let_go).and_then(|_| self.told_last(base))
    }

    /// What was believed last, also of a feed that was let go since, where the catalogue's own price is not younger.
    fn told_last(&self, base: Base) -> Option<PricePoint> {
        let last = self.points.iter().rfind(|point| !point.let_go).copied();
        last.filter(|last| base.since.is_none_or(|since| since <= last.since))
    }

    /// The points as they make the line's history: a feed that was let go and is believed again from an earlier
    /// instant on was never gone. What was quoted in between is settled by [`FeedBook::as_of`].
    fn history(&self) -> Vec<PricePoint> {
        let mut told_since: Option<Timestamp> = None;
        let mut history = Vec::with_capacity(self.points.len());
        for point in self.points.iter().rev() {
            if !point.let_go {
                told_since = Some(told_since.map_or(point.since, |since| since.min(point.since)));
            } else if told_since.is_some_and(|since| since <= point.since) {
                continue;
            }
            history.push(*point);
        }
        history.reverse();
        history
    }
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
/// the first poll is guarded by it too, and where it is younger than what the feed told, it is what holds.
pub fn observe(watch: &mut Watch, base: Base, seen: &Observation, now: Timestamp, guard: Guard) -> Decision {
    if seen.quote.usd.is_zero() || seen.quote.usd.is_negative() || seen.quote.per < 1 {
        return Decision::Refused("an unknown price is not zero");
    }
    if seen.at > now.saturating_add(AHEAD_MAX).unwrap_or(now) {
        return Decision::Refused("it is dated in the future");
    }
    let last = watch.in_force(base);
    let known = last.map_or(base.quote, |last| last.quote);
    // Of a feed that was let go and is heard again, what it told then is not late, and no jump.
    let told_last = watch.told_last(base);
    // A word that is older than our own says nothing of today, unless it says the same.
    let since = told_last.map(|last| last.since).or(base.since);
    if since.is_some_and(|since| seen.at < since) && !(last.is_none() && seen.quote.equals(known)) {
        return Decision::Late;
    }
    watch.polled = Some(now);
    if seen.quote.equals(known) {
        watch.held = None;
        return Decision::Same;
    }
    let near = |known: Quoted| known.within(seen.quote, (guard.jump_factor.max(1), 1));
    if near(known) || told_last.is_some_and(|last| near(last.quote)) {
        return accept(watch, seen.quote, seen.at, now);
    }
    let unit = suspicion(seen.quote.price(), known.price()).filter(|why| why.contains('?'));
    // A twentieth: what moves fast enough to jump is rarely twice the same to the digit.
    let agrees = |held: &&Held| {
        !held.person && unit.is_none() && now > held.polled && held.quote.within(seen.quote, (21, 20))
    };
    let agreed = watch.held.as_ref().filter(agrees).map_or(0, |held| held.agreed.saturating_add(1));
    if guard.agreeing_polls > 0 && agreed >= guard.agreeing_polls {
        return accept(watch, seen.quote, seen.at, now);
    }
    let person = unit.is_some();
    let factor = guard.jump_factor;
    let why = unit.unwrap_or_else(|| format!("more than {factor} times off the last known price"));
    let since = watch.held.as_ref().and_then(|held| held.since).or(Some(now));
    watch.held =
        Some(Held { quote: seen.quote, at: seen.at, polled: now, why: why.clone(), person, agreed, since });
    Decision::Held(why)
}

/// A person believes at `now` what is held: it holds from the instant that the feed gave it.
pub fn confirm(watch: &mut Watch, now: Timestamp) -> Option<PricePoint> {
    let held = watch.held.take()?;
    match accept(watch, held.quote, held.at, now) {
        Decision::Accepted(point) => Some(point),
        _ => None,
    }
}

/// Whether the line was told longer ago than `allowed`.
pub fn is_stale(watch: &Watch, allowed: SignedDuration, now: Timestamp) -> bool {
    watch.polled.is_none_or(|polled| now.duration_since(polled) > allowed)
}

fn accept(watch: &mut Watch, quote: Quoted, since: Timestamp, now: Timestamp) -> Decision {
    let point = PricePoint { quote, since, believed: Some(now), let_go: false };
    // Of two prices of one instant the later word counts; what was quoted by the earlier one is settled by it.
    watch.points.push(point);
    let surplus = watch.points.len().saturating_sub(POINTS_MAX);
    watch.points.drain(..surplus);
    watch.held = None;
    Decision::Accepted(point)
}

#[cfg(test)]
mod tests;
