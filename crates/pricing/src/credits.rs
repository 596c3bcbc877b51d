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

use crate::catalogue::ProviderSheet;
use crate::sheet::Source;
pub use gallerist_domain::credits::{
    FeeRule, LOT_AMOUNT_MAX, LOT_MILLIONTHS_MAX, Lot, LotError, MILLIONTHS, Taken, order, take,
};
use gallerist_domain::money::divide_half_up;
use gallerist_domain::{Decimal, Ticks};
use jiff::Timestamp;

const DAY_SECONDS: i128 = 86_400;

/// Days of charges that a forecast looks back on.
pub const RECENT_DAYS: u32 = 14;

/// Credits as somebody says that they were bought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The configured provider.
    pub provider: String,
    /// The code of the credits; absent: the only one that the provider's prices know.
    pub currency: Option<String>,
    pub credits: Decimal,
    /// Without the fee.
    pub price: Ticks,
    pub fee: FeeRule,
    pub purchased_at: Timestamp,
    pub expires_at: Option<Timestamp>,
}

/// Why a purchase makes no lot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PurchaseError {
    #[error("credits must have at most six digits after the point")]
    TooFine,
    #[error("currency must be one that the prices of this provider know, {}: say which was bought", .0.join(" and "))]
    WhichCurrency(Vec<String>),
    #[error("currency must be one that the prices of this provider know: not {asked:?}, but {}", .known.join(" and "))]
    UnknownCurrency { asked: String, known: Vec<String> },
    #[error("{0}")]
    Lot(#[from] LotError),
}

impl Purchase {
    /// The lot, with what a credit counted in the provider's prices when it was bought.
    ///
    /// # Errors
    /// [`PurchaseError`] where the prices do not know such credits, or nobody sells that.
    pub fn lot(self, sheet: &ProviderSheet) -> Result<Lot, PurchaseError> {
        let quantity = self.credits.to_units_exact(6).ok_or(PurchaseError::TooFine)?;
        let quantity_millionths = i64::try_from(quantity).map_err(|_| LotError::Quantity)?;
        let (currency, list) = counted(sheet, self.currency, self.purchased_at)?;
        let lot = Lot {
            provider: self.provider,
            currency,
            quantity_millionths,
            remaining_millionths: quantity_millionths,
            price: self.price,
            fee: self.fee,
            list,
            purchased_at: self.purchased_at,
            expires_at: self.expires_at,
        };
        lot.check()?;
        Ok(lot)
    }
}

/// The code of a provider's credits and what one counts at this instant. Where the prices are in dollars, a
/// credit is a dollar.
fn counted(
    sheet: &ProviderSheet,
    asked: Option<String>,
    at: Timestamp,
) -> Result<(String, Ticks), PurchaseError> {
    let current = sheet.currencies.iter().filter(|currency| currency.period.contains(at));
    let mut known: Vec<(String, Decimal)> =
        current.map(|currency| (currency.code.clone(), currency.usd)).collect();
    if known.is_empty() || asked.as_deref() == Some("USD") {
        known.push(("USD".to_owned(), Decimal::ONE));
    }
    let codes = || known.iter().map(|(code, _)| code.clone()).collect::<Vec<_>>();
    let found = match (asked, known.as_slice()) {
        (None, [only]) => only.clone(),
        (None, _) => return Err(PurchaseError::WhichCurrency(codes())),
        (Some(asked), _) => match known.iter().find(|(code, _)| *code == asked) {
            Some(found) => found.clone(),
            None => return Err(PurchaseError::UnknownCurrency { asked, known: codes() }),
        },
    };
    let list = found.1.product_ticks(Decimal::ONE).ok_or(LotError::List)?;
    Ok((found.0, list))
}

/// What says what a credit of a lot counts in the provider's prices; absent where it is a dollar, or where the prices
/// say something else by now.
pub fn rate_source<'a>(lot: &Lot, sheet: &'a ProviderSheet) -> Option<&'a Source> {
    let rate = sheet.currencies.iter().find(|currency| {
        currency.code == lot.currency
            && currency.period.contains(lot.purchased_at)
            && currency.usd.product_ticks(Decimal::ONE) == Some(lot.list)
    });
    rate.map(|currency| &*currency.source)
}

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
    /// What all credits that are left count; a cost beyond it is owed at the list price.
    pub open: Ticks,
    /// When the first credits expire that nobody will have used.
    pub unused_at: Option<Timestamp>,
}

impl RoutingPrice {
    /// An expected cost at the provider's prices, as offers are ordered by it: rounded once, half up.
    pub fn of(&self, expected: Ticks) -> Ticks {
        let paid = expected.min(self.open);
        let routed = paid.scaled(self.routed.get(), self.list.get());
        routed.and_then(|routed| routed.checked_add(expected - paid)).unwrap_or(expected)
    }

    /// Why an expected cost is ordered by another figure, in words.
    pub fn reason(&self, expected: Ticks) -> String {
        let (routed, expected) = (self.of(expected).short(), expected.short());
        match self.unused_at {
            Some(unused_at) => {
                let day = unused_at.to_zoned(jiff::tz::TimeZone::UTC).date();
                format!("credits expire on {day} unused: routed at {routed} instead of {expected}")
            }
            None => format!(
                "paid from credits bought at {} each, which count {}: routed at {routed} instead of {expected}",
                self.purchase.short(),
                self.list.short()
            ),
        }
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
    let mut open = Ticks::ZERO;
    for index in order(lots).into_iter().filter(|index| lots[*index].is_open(at)) {
        let lot = &lots[index];
        next = next.or(Some(lot));
        open = open.checked_add(lot.worth(lot.remaining_millionths)).unwrap_or(Ticks::MAX);
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
        let purchase = price_of_one(lot, 1, 1)?;
        let routed = price_of_one(lot, used, all)?;
        Some(RoutingPrice { purchase, routed, list: lot.list, open, unused_at })
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

/// `purchase price × used ÷ all` of one credit, rounded once; `None` beyond what products can hold: then the
/// list price orders, as without credits.
fn price_of_one(lot: &Lot, used: i128, all: i128) -> Option<Ticks> {
    let cost = i128::from(lot.cost().get()) * i128::from(MILLIONTHS);
    let quantity = i128::from(lot.quantity_millionths);
    let ticks = divide_half_up(cost.checked_mul(used)?, quantity.checked_mul(all)?)?;
    i64::try_from(ticks).ok().map(Ticks::new)
}

#[cfg(test)]
mod tests;
