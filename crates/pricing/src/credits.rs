//! Prepaid credits looked ahead: which lots will be used before they expire, and what a credit is worth to
//! routing until then.
//!
//! This module owns the forecast and the routing price; both are integers and functions of their arguments. It
//! refuses to book anything: what a lot cost, and which lots a charge takes from, is `domain::credits`, and
//! accounts always get the purchase cost.
//!
//! **Forecast.** The recent charges of a provider are taken to go on evenly. Lots are used in the order of
//! their expiry; what is left of one at its expiry is lost.
//!
//! **Routing price.** Of the lots up to and with the first of which something will be lost, let *all* be what
//! their credits count in the provider's prices, and *used* the part that will be used. Then
//!
//! `routing price = purchase price of the next credit × used ÷ all`, rounded once, half up, to a tick.
//!
//! A credit taken now saves a credit of exactly that first losing lot, because the lots before it are used up
//! that much earlier. So the price is the purchase price while nothing will be lost, falls in a straight line
//! with the share that will be, and is zero when nothing would be used anyway.

use gallerist_domain::Ticks;
pub use gallerist_domain::credits::{
    FeeRule, LOT_AMOUNT_MAX, LOT_MILLIONTHS_MAX, Lot, LotError, MILLIONTHS, Taken, order, take,
};
use gallerist_domain::money::divide_half_up;
use jiff::Timestamp;

const DAY_SECONDS: i128 = 86_400;

/// Days of charges that a forecast looks back on.
pub const RECENT_DAYS: u32 = 14;

/// What a provider has charged lately, at its prices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumption {
    pub charged: Ticks,
    /// Over so many days; at least 1.
    pub days: u32,
}

impl Consumption {
    /// From the charges of the last days, oldest first, today's last. Days before the first charge say nothing
    /// about what is used now, so they do not count.
    pub fn of_days(daily: &[Ticks]) -> Consumption {
        let silent = daily.iter().take_while(|charged| charged.is_zero()).count();
        let counted = &daily[silent..];
        let days = u32::try_from(counted.len()).unwrap_or(u32::MAX).max(1);
        Consumption { charged: counted.iter().copied().sum(), days }
    }

    /// What will have been charged after so many seconds, rounded down.
    fn until(self, seconds: i128) -> i128 {
        i128::from(self.charged.get().max(0)) * seconds.max(0) / (i128::from(self.days.max(1)) * DAY_SECONDS)
    }
}

/// What becomes of a lot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LotForecast {
    pub used_millionths: i64,
    pub lost_millionths: i64,
    /// What was paid for the credits that will be lost.
    pub lost: Ticks,
}

/// What becomes of a provider's lots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// In the order in which the lots were given; nothing for one that is empty or expired.
    pub lots: Vec<LotForecast>,
    /// When the last credit is used or lost; absent where some are never used and never expire, or there are
    /// none.
    pub run_out_at: Option<Timestamp>,
    /// Of the next credit; absent where no lot is open.
    pub routing: Option<RoutingPrice>,
}

/// What the next credit counts for routing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingPrice {
    /// What one credit was bought for.
    pub purchase: Ticks,
    /// What one credit counts when offers are ordered.
    pub routed: Ticks,
    /// What one credit counts in the provider's prices.
    pub list: Ticks,
    /// When the first credits expire that nobody will have used.
    pub unused_at: Option<Timestamp>,
}

impl RoutingPrice {
    /// An expected cost at the provider's prices, as offers are ordered by it: rounded once, half up.
    pub fn of(&self, expected: Ticks) -> Ticks {
        expected.scaled(self.routed.get(), self.list.get()).unwrap_or(expected)
    }
}

/// Foresees what becomes of the lots of one provider.
pub fn forecast(lots: &[Lot], consumption: Consumption, at: Timestamp) -> Forecast {
    let mut told = vec![LotForecast::default(); lots.len()];
    let mut walk = Walk { consumption, at, used: 0, ends_at: None };
    let mut all: i128 = 0;
    let mut used: i128 = 0;
    let mut next: Option<&Lot> = None;
    let mut unused_at = None;
    for index in order(lots).into_iter().filter(|index| lots[*index].is_open(at)) {
        let lot = &lots[index];
        next = next.or(Some(lot));
        let worth = i128::from(lot.worth(lot.remaining_millionths).get());
        let used_worth = walk.take(lot, worth);
        if unused_at.is_none() {
            all += worth;
            used += used_worth;
        }
        if used_worth == worth {
            told[index].used_millionths = lot.remaining_millionths;
        } else if let Some(expires_at) = lot.expires_at {
            told[index] = losing(lot, used_worth, worth);
            unused_at = unused_at.or(Some(expires_at));
        }
    }
    let routing = next.and_then(|lot| {
        let (used, all) = if unused_at.is_some() { (used, all) } else { (1, 1) };
        routing_price(lot, used, all, unused_at)
    });
    Forecast { lots: told, run_out_at: walk.ends_at, routing }
}

/// The charges to come, as they use up one lot after the other.
struct Walk {
    consumption: Consumption,
    at: Timestamp,
    /// Ticks at the provider's prices that the lots so far will have given.
    used: i128,
    ends_at: Option<Timestamp>,
}

impl Walk {
    /// How much of a lot's worth is used before it expires.
    fn take(&mut self, lot: &Lot, worth: i128) -> i128 {
        let in_time = lot.expires_at.map(|expires_at| {
            let seconds = expires_at.duration_since(self.at).as_secs();
            (self.consumption.until(i128::from(seconds)) - self.used).clamp(0, worth)
        });
        let idle = self.consumption.charged <= Ticks::ZERO;
        let used = in_time.unwrap_or(if idle { 0 } else { worth });
        self.used += used;
        self.ends_at = if used == worth { self.reached() } else { lot.expires_at };
        used
    }

    /// When the charges to come reach what the lots so far have given, rounded up to a second.
    fn reached(&self) -> Option<Timestamp> {
        let charged = i128::from(self.consumption.charged.get());
        if charged <= 0 {
            return None;
        }
        let product = self.used * i128::from(self.consumption.days.max(1)) * DAY_SECONDS;
        let seconds = i64::try_from((product + charged - 1) / charged).ok()?;
        self.at.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()
    }
}

/// Credits are lost whole: what is used of them is rounded down.
fn losing(lot: &Lot, used_worth: i128, worth: i128) -> LotForecast {
    let product = i128::from(lot.remaining_millionths) * used_worth;
    let used_millionths = i64::try_from(product / worth).expect("less is used than there is");
    let lost_millionths = lot.remaining_millionths - used_millionths;
    LotForecast {
        used_millionths,
        lost_millionths,
        lost: lot.cost_remaining() - lot.cost_of_next(used_millionths),
    }
}

/// `None` beyond what products can hold; then the list price orders, as without credits.
fn routing_price(lot: &Lot, used: i128, all: i128, unused_at: Option<Timestamp>) -> Option<RoutingPrice> {
    let cost = i128::from(lot.cost().get()) * i128::from(MILLIONTHS);
    let quantity = i128::from(lot.quantity_millionths);
    let credit = |numerator: i128, denominator: i128| {
        let ticks = divide_half_up(cost.checked_mul(numerator)?, quantity.checked_mul(denominator)?)?;
        i64::try_from(ticks).ok().map(Ticks::new)
    };
    Some(RoutingPrice { purchase: credit(1, 1)?, routed: credit(used, all)?, list: lot.list, unused_at })
}

#[cfg(test)]
mod tests;
