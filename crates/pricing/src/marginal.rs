//! What a call adds where the hardware is paid anyway: the price that orders offers, beside the one that is booked.
//!
//! A card that is rented or owned costs its rent whether or not it works, so a call that goes there adds the
//! electricity alone; sending it elsewhere would save no more than that. What the call is *charged* is its share of
//! the rent all the same, or the books would not show what pictures cost. A price line in time of hardware
//! therefore has its own (amortised) price, and may have a marginal rate beside it.
//!
//! **Rule.** The marginal cost is the expected cost with each such line at its marginal rate: the same quantity,
//! the same factors, rounded once, half up. All other lines are as they are, and so is the least that a call costs.
//!
//! It refuses to be booked: quotes, reservations, settlements, budgets and limits know nothing of it.

use crate::facts::Facts;
use crate::quote::{Scale, Unpriced, minimum, missing_to_minimum, walk};
use crate::sheet::PriceSheet;
use gallerist_domain::{Price, Ticks};
use jiff::Timestamp;

/// The marginal cost of one call; its expected cost on a sheet without marginal rates.
///
/// # Errors
/// [`Unpriced`] as for the quote of the same call, which should be made first.
pub fn expected<'a>(sheet: &'a PriceSheet, facts: &Facts<'_>, at: Timestamp) -> Result<Ticks, Unpriced<'a>> {
    let scale = Scale::of(&sheet.factors, facts, at).ok_or(Unpriced::OutOfRange)?;
    let least = minimum(sheet, at);
    let mut sum = Some(Ticks::ZERO);
    walk(sheet, facts, at, |quoted| {
        // What lacks to the minimum is reckoned anew, of the marginal sum.
        if least.is_some_and(|least| std::ptr::eq(least, quoted.line)) {
            return;
        }
        let amount = match rate_of(sheet, &quoted.line.id) {
            Some(rate) => scale.amount(quoted.line, rate, quoted.quantity.expected),
            None => Some(quoted.amount.expected),
        };
        sum = sum.zip(amount).and_then(|(sum, amount)| sum.checked_add(amount));
    })?;
    let sum = sum.ok_or(Unpriced::OutOfRange)?;
    let missing = least.map_or(Ticks::ZERO, |line| missing_to_minimum(line, sum));
    sum.checked_add(missing).ok_or(Unpriced::OutOfRange)
}

/// The marginal rate of a line, if it has one.
pub fn rate_of(sheet: &PriceSheet, line: &str) -> Option<Price> {
    sheet.marginal.iter().find(|rate| rate.line == line).map(|rate| rate.price)
}

#[cfg(test)]
mod tests;
