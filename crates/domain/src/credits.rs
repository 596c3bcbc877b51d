//! Prepaid credits: what a lot is, what it cost, and which lots a charge is taken from.
//!
//! This module owns the words and the arithmetic that the books and the forecasts share, so that both take
//! credits in the same order at the same cost. It refuses to foresee: that is `pricing::credits`.
//!
//! Quantities are whole millionths of a credit. A share of a lot costs the difference of two running totals,
//! each rounded once, half up; so the shares of a lot sum to what was paid for it, to the tick.

use crate::money::{TICKS_PER_DOLLAR, Ticks, divide_half_up};
use jiff::Timestamp;
use std::cmp::Reverse;

/// Millionths in one credit.
pub const MILLIONTHS: i64 = 1_000_000;
/// A billion credits: no lot holds more.
pub const LOT_MILLIONTHS_MAX: i64 = 1_000_000_000 * MILLIONTHS;
/// One million dollars: no lot costs or is worth more, so that sums stay far from overflow.
pub const LOT_AMOUNT_MAX: Ticks = Ticks::new(1_000_000 * TICKS_PER_DOLLAR);

/// What a provider adds to the price of credits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeeRule {
    /// Part of the price, in millionths: 5.5 % is 55,000.
    pub rate_millionths: i64,
    /// The least fee.
    pub minimum: Ticks,
}

impl FeeRule {
    pub const NONE: FeeRule = FeeRule { rate_millionths: 0, minimum: Ticks::new(0) };

    /// The fee on a purchase, rounded half up; nothing on what was a gift. `None` beyond the range.
    pub fn on(self, price: Ticks) -> Option<Ticks> {
        if price.is_zero() {
            return Some(Ticks::ZERO);
        }
        Some(price.scaled(self.rate_millionths, MILLIONTHS)?.max(self.minimum))
    }
}

/// Credits that were bought together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// The configured provider whose calls take from it.
    pub provider: String,
    /// The code that the catalogue has for its credits, as `credit`.
    pub currency: String,
    pub quantity_millionths: i64,
    pub remaining_millionths: i64,
    /// What was paid for all of it, without the fee.
    pub price: Ticks,
    pub fee: FeeRule,
    /// What one credit counts in the provider's prices: the catalogue's rate when the lot was entered.
    pub list: Ticks,
    pub purchased_at: Timestamp,
    /// From this instant on what is left is lost; absent: never.
    pub expires_at: Option<Timestamp>,
}

/// What is wrong with a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LotError {
    #[error("credits must be more than 0 and at most 1000000000")]
    Quantity,
    #[error("price_usd must be 0 to 1000000, with its fee")]
    Price,
    #[error(
        "credits must be fewer: in the provider's prices a lot may count at most 1000000 dollars, and a credit more than 0"
    )]
    List,
    #[error("fee_percent must be 0 to 100, and fee_minimum_usd 0 or more")]
    Fee,
    #[error("expires_at must be after purchased_at")]
    Expiry,
}

impl Lot {
    /// # Errors
    /// [`LotError`] for what no provider sells, or what sums cannot hold.
    pub fn check(&self) -> Result<(), LotError> {
        if !(1..=LOT_MILLIONTHS_MAX).contains(&self.quantity_millionths)
            || !(0..=self.quantity_millionths).contains(&self.remaining_millionths)
        {
            return Err(LotError::Quantity);
        }
        if !(0..=MILLIONTHS).contains(&self.fee.rate_millionths) || self.fee.minimum.is_negative() {
            return Err(LotError::Fee);
        }
        let fits = |amount: Option<Ticks>| {
            amount.is_some_and(|amount| !amount.is_negative() && amount <= LOT_AMOUNT_MAX)
        };
        let cost = self.fee.on(self.price).and_then(|fee| self.price.checked_add(fee));
        if self.price.is_negative() || !fits(cost) {
            return Err(LotError::Price);
        }
        if self.list <= Ticks::ZERO || !fits(self.list.scaled(self.quantity_millionths, MILLIONTHS)) {
            return Err(LotError::List);
        }
        if self.expires_at.is_some_and(|expires_at| expires_at <= self.purchased_at) {
            return Err(LotError::Expiry);
        }
        Ok(())
    }

    /// What all of it cost, with the fee.
    pub fn cost(&self) -> Ticks {
        let fee = self.fee.on(self.price).expect("a lot's fee was checked");
        self.price + fee
    }

    /// What was paid for the first credits of the lot, up to this quantity.
    fn cost_up_to(&self, quantity_millionths: i64) -> Ticks {
        self.cost()
            .scaled(quantity_millionths, self.quantity_millionths)
            .expect("a part of a lot costs at most the lot")
    }

    /// What was paid for the next credits that are taken, this many.
    pub fn cost_of_next(&self, quantity_millionths: i64) -> Ticks {
        let used = self.quantity_millionths - self.remaining_millionths;
        self.cost_up_to(used + quantity_millionths) - self.cost_up_to(used)
    }

    /// What was paid for what is left.
    pub fn cost_remaining(&self) -> Ticks {
        self.cost_of_next(self.remaining_millionths)
    }

    /// What so many credits count in the provider's prices.
    pub fn worth(&self, quantity_millionths: i64) -> Ticks {
        self.list.scaled(quantity_millionths, MILLIONTHS).expect("a lot's worth was checked")
    }

    /// Whether something can be taken from it at this instant.
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.remaining_millionths > 0 && !self.is_expired(at)
    }

    pub fn is_expired(&self, at: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= at)
    }
}

/// What one lot gives for a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Index into the lots.
    pub lot: usize,
    pub quantity_millionths: i64,
    /// What these credits were bought for.
    pub cost: Ticks,
    /// The part of the charge that they pay.
    pub covered: Ticks,
}

/// The order in which lots are used: what expires first, then what was bought first, then as they are given.
pub fn order(lots: &[Lot]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lots.len()).collect();
    order.sort_by_key(|index| {
        let lot = &lots[*index];
        // None sorts first, but never expires.
        (Reverse(lot.expires_at.map(Reverse)), lot.purchased_at, *index)
    });
    order
}

/// Takes a charge from a provider's lots. What they cannot cover stays owed: the sum of `covered` says how much
/// they do. The charge is turned into credits at the rate of each lot, rounded half up.
pub fn take(lots: &[Lot], charge: Ticks, at: Timestamp) -> Vec<Taken> {
    let mut taken = Vec::new();
    let mut rest = charge;
    for index in order(lots).into_iter().filter(|index| lots[*index].is_open(at)) {
        if rest <= Ticks::ZERO {
            break;
        }
        let lot = &lots[index];
        let product = i128::from(rest.get()) * i128::from(MILLIONTHS);
        let wanted = divide_half_up(product, i128::from(lot.list.get())).expect("a credit counts something");
        let (quantity_millionths, covered) = match i64::try_from(wanted) {
            Ok(wanted) if wanted <= lot.remaining_millionths => (wanted, rest),
            _ => (lot.remaining_millionths, lot.worth(lot.remaining_millionths).min(rest)),
        };
        let cost = lot.cost_of_next(quantity_millionths);
        taken.push(Taken { lot: index, quantity_millionths, cost, covered });
        rest -= covered;
    }
    taken
}

#[cfg(test)]
mod tests;
