//! Before the call: what it would cost at an offer, as an interval, itemised on demand.
//!
//! [`bounds`] makes the three figures without allocating, for planning over many offers; [`quote`] adds
//! the lines for people. Both walk the same lines through the same function, so they cannot disagree.

use crate::facts::Facts;
use crate::quantity::{derived, estimated};
use crate::sheet::{Factor, PriceLine, PriceSheet, Range};
use gallerist_domain::money::divide_half_up;
use gallerist_domain::{Meter, Price, Ticks};
use jiff::Timestamp;

/// `min ≤ expected ≤ max`, in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    pub min: Ticks,
    pub expected: Ticks,
    pub max: Ticks,
}

impl Bounds {
    pub fn plus(self, other: Bounds) -> Option<Bounds> {
        Some(Bounds {
            min: self.min.checked_add(other.min)?,
            expected: self.expected.checked_add(other.expected)?,
            max: self.max.checked_add(other.max)?,
        })
    }

    pub fn times(self, count: i64) -> Option<Bounds> {
        Some(Bounds {
            min: self.min.checked_mul(count)?,
            expected: self.expected.checked_mul(count)?,
            max: self.max.checked_mul(count)?,
        })
    }
}

/// One line of a quote for one call.
#[derive(Clone, Copy, Debug)]
pub struct QuoteLine<'a> {
    pub line: &'a PriceLine,
    /// Base units of the line's meter that are billed.
    pub quantity: Range,
    pub amount: Bounds,
}

/// An itemised quote for one call.
#[derive(Clone, Debug)]
pub struct Quote<'a> {
    pub bounds: Bounds,
    pub lines: Vec<QuoteLine<'a>>,
}

/// Why a price is unknown. An unknown price is refused, never zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpriced {
    #[error("no price line applies")]
    NoLine,
    #[error("no price of {0:?} applies to this combination of parameters")]
    NoChoice(String),
    #[error("the quantity of {meter} for line {line:?} has no estimate")]
    NoQuantity { line: String, meter: &'static str },
    #[error("the price is beyond what an amount can hold")]
    OutOfRange,
}

/// The three figures for one call.
///
/// # Errors
/// [`Unpriced`] when the sheet does not say what this call costs.
pub fn bounds(sheet: &PriceSheet, facts: &Facts<'_>, at: Timestamp) -> Result<Bounds, Unpriced> {
    let mut total = Bounds::default();
    walk(sheet, facts, at, |line| {
        total = total.plus(line.amount).ok_or(Unpriced::OutOfRange)?;
        Ok(())
    })?;
    Ok(total)
}

/// The figures with their lines; lines of nothing are left out.
///
/// # Errors
/// As [`bounds`].
pub fn quote<'a>(sheet: &'a PriceSheet, facts: &Facts<'_>, at: Timestamp) -> Result<Quote<'a>, Unpriced> {
    let mut quote = Quote { bounds: Bounds::default(), lines: Vec::new() };
    walk(sheet, facts, at, |line| {
        quote.bounds = quote.bounds.plus(line.amount).ok_or(Unpriced::OutOfRange)?;
        if line.quantity.max > 0 {
            quote.lines.push(line);
        }
        Ok(())
    })?;
    Ok(quote)
}

/// Calls `visit` with each line that applies.
fn walk<'a>(
    sheet: &'a PriceSheet,
    facts: &Facts<'_>,
    at: Timestamp,
    mut visit: impl FnMut(QuoteLine<'a>) -> Result<(), Unpriced>,
) -> Result<(), Unpriced> {
    let scale = Scale::of(&sheet.factors, facts, at).ok_or(Unpriced::OutOfRange)?;
    let mut selection = Selection::new(sheet);
    let mut any = false;
    for line in &sheet.lines {
        if line.only_reported || !selection.takes(line, facts, at) {
            continue;
        }
        any = true;
        let quantity = derived(line.meter, facts)
            .or_else(|| estimated(line.meter, sheet, facts, at))
            .ok_or_else(|| Unpriced::NoQuantity { line: line.id.clone(), meter: line.meter.name() })?;
        let quantity = line.billed_for(quantity, i64::from(facts.n));
        let amount = scale.amounts(line, quantity).ok_or(Unpriced::OutOfRange)?;
        visit(QuoteLine { line, quantity, amount })?;
    }
    selection.complete()?;
    if any { Ok(()) } else { Err(Unpriced::NoLine) }
}

/// Which lines of a sheet apply: conditions, periods, and one per choice.
pub(crate) struct Selection<'a> {
    sheet: &'a PriceSheet,
    /// Bit per choice that has found its line.
    chosen: u64,
}

impl<'a> Selection<'a> {
    pub(crate) fn new(sheet: &'a PriceSheet) -> Self {
        Selection { sheet, chosen: 0 }
    }

    pub(crate) fn takes(&mut self, line: &PriceLine, facts: &Facts<'_>, at: Timestamp) -> bool {
        let bit = line.choice.map_or(0, |choice| 1u64 << choice);
        if self.chosen & bit != 0 || !line.period.contains(at) || !line.when.matches(facts, at) {
            return false;
        }
        self.chosen |= bit;
        true
    }

    /// Every choice must have found a line.
    pub(crate) fn complete(&self) -> Result<(), Unpriced> {
        let missing = (0..self.sheet.choices.len()).find(|index| self.chosen & (1 << index) == 0);
        missing.map_or(Ok(()), |index| Err(Unpriced::NoChoice(self.sheet.choices[index].clone())))
    }
}

/// The product of the factors that apply.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    numerator: i128,
    denominator: i128,
}

impl Scale {
    pub(crate) fn of(factors: &[Factor], facts: &Facts<'_>, at: Timestamp) -> Option<Scale> {
        let mut scale = Scale { numerator: 1, denominator: 1 };
        for factor in factors.iter().filter(|f| f.period.contains(at) && f.when.matches(facts, at)) {
            scale.numerator = scale.numerator.checked_mul(i128::from(factor.numerator))?;
            scale.denominator = scale.denominator.checked_mul(i128::from(factor.denominator))?;
        }
        Some(scale)
    }

    /// `quantity × price × factors`, rounded once, half up.
    pub(crate) fn amount(self, line: &PriceLine, price: Price, quantity: i64) -> Option<Ticks> {
        let product = i128::from(quantity).checked_mul(i128::from(price.amount.get()))?;
        let (product, divisor) = if line.factored && (self.numerator != 1 || self.denominator != 1) {
            (product.checked_mul(self.numerator)?, i128::from(price.per).checked_mul(self.denominator)?)
        } else {
            (product, i128::from(price.per))
        };
        let ticks = if divisor == 1 { product } else { divide_half_up(product, divisor)? };
        i64::try_from(ticks).ok().map(Ticks::new)
    }

    fn amounts(self, line: &PriceLine, quantity: Range) -> Option<Bounds> {
        let expected_price = line.price_max;
        let expected = self.amount(line, expected_price, quantity.expected)?;
        let same = |price: Price, count: i64| price == expected_price && count == quantity.expected;
        let min = if same(line.price, quantity.min) {
            expected
        } else {
            self.amount(line, line.price, quantity.min)?
        };
        let max = if quantity.max == quantity.expected {
            expected
        } else {
            self.amount(line, line.price_max, quantity.max)?
        };
        Some(Bounds { min, expected, max })
    }
}

/// For display: a quantity in what people say, `1.98` for 1,980,000 base units of a million each.
pub fn display_quantity(meter: Meter, base_units: i64) -> String {
    let per_unit = meter.base_units_per_unit();
    if per_unit == 1 {
        return base_units.to_string();
    }
    let text = format!("{}.{:06}", base_units / per_unit, base_units % per_unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
pub(crate) mod tests;
