//! What a figure rests on least firmly.
//!
//! An amount is a price, in a currency at a rate, times a quantity, times factors; each of these has a source of its
//! own. A figure is as sure as the worst of them, so an official price that is multiplied by a remembered discount, or
//! by a guessed number of tokens, is not shown as official.

use crate::facts::Facts;
use crate::quantity::{derived, estimate_of, is_learned};
use crate::sheet::{PriceLine, PriceSheet, Source};
use jiff::Timestamp;
use jiff::civil::Date;
use std::fmt;

/// Which part of an amount a source speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// What a unit costs.
    Price,
    /// What the currency of the price is worth.
    Rate,
    /// How many units a call takes, where only the answer will tell.
    Quantity,
    /// The factor of this name.
    Factor(&'a str),
}

/// The least firm source behind an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weakest<'a> {
    pub part: Part<'a>,
    pub source: &'a Source,
    /// When the part that was read first was: a figure is as old as its oldest part, whichever is the least sure.
    pub oldest: Date,
}

impl<'a> Weakest<'a> {
    /// Of the line's price and rate alone.
    pub fn of_line(line: &'a PriceLine) -> Weakest<'a> {
        let mut weakest = Weakest { part: Part::Price, source: &line.source, oldest: line.source.date };
        if let Some(rate) = &line.rate {
            weakest.consider(Part::Rate, rate);
        }
        weakest
    }

    /// Of the line's price and rate, and of the factors that apply to it.
    pub fn of_price(
        sheet: &'a PriceSheet,
        line: &'a PriceLine,
        facts: &Facts<'_>,
        at: Timestamp,
    ) -> Weakest<'a> {
        let mut weakest = Weakest::of_line(line);
        let applied = sheet
            .factors
            .iter()
            .filter(|factor| factor.period.contains(at) && factor.when.matches(facts, at));
        for factor in applied.filter(|factor| line.factored.takes(factor)) {
            weakest.consider(Part::Factor(&factor.id), &factor.source);
        }
        weakest
    }

    /// Of all that an amount before the call rests on: also of how many units it will take, where that is an
    /// estimate and not what past charges have taught.
    pub fn of_amount(
        sheet: &'a PriceSheet,
        line: &'a PriceLine,
        facts: &Facts<'_>,
        at: Timestamp,
    ) -> Weakest<'a> {
        let mut weakest = Weakest::of_price(sheet, line, facts, at);
        if derived(line, facts).is_none()
            && let Some(estimate) = estimate_of(line.meter, sheet, facts, at)
            && !is_learned(estimate, facts)
        {
            weakest.consider(Part::Quantity, &estimate.source);
        }
        weakest
    }

    /// Less sure is worse, then older; what is as good changes nothing.
    fn consider(&mut self, part: Part<'a>, source: &'a Source) {
        self.oldest = self.oldest.min(source.date);
        if source.is_weaker_than(self.source) {
            (self.part, self.source) = (part, source);
        }
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Price => f.write_str("the price"),
            Part::Rate => f.write_str("the rate of its currency"),
            Part::Quantity => f.write_str("the estimated quantity"),
            Part::Factor(id) => write!(f, "the factor {id}"),
        }
    }
}

/// The source of a line's price, and where another part is less sure, that part's.
pub fn told(line: &PriceLine, weakest: Weakest<'_>) -> String {
    match weakest.part {
        Part::Price => line.source.what.clone(),
        part => format!("{}; {part}: {}", line.source.what, weakest.source.what),
    }
}

#[cfg(test)]
mod tests;
