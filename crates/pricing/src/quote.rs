//! Before the call: what it would cost at an offer, as an interval, itemised on demand.
//!
//! [`bounds`] makes the three figures without allocating, for planning over many offers; [`quote`] adds
//! the lines for people. Both walk the same lines through the same function, so they cannot disagree.

use crate::facts::Facts;
use crate::quantity::{derived, estimated};
use crate::sheet::{Factor, Factored, PriceLine, PriceSheet, Range, is_doubtful};
use crate::trust::Weakest;
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
/// It borrows from the price sheet: planning over a whole catalogue meets it often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpriced<'a> {
    /// The catalogue says so, and why.
    #[error("{0}")]
    Unknown(&'a str),
    #[error("no price line applies")]
    NoLine,
    #[error("the price lines that apply come to nothing")]
    Nothing,
    #[error("no price of {0:?} applies to this combination of parameters")]
    NoChoice(&'a str),
    #[error("the quantity of {meter} for line {line:?} has no estimate")]
    NoQuantity { line: &'a str, meter: &'static str },
    #[error("the provider counted {meter}, which no price line speaks of")]
    NoPrice { meter: &'static str },
    #[error("its price is polled, and its feed has told none since {0}")]
    Stale(Timestamp),
    #[error("the price is beyond what an amount can hold")]
    OutOfRange,
}

/// The three figures for one call.
///
/// # Errors
/// [`Unpriced`] when the sheet does not say what this call costs.
pub fn bounds<'a>(sheet: &'a PriceSheet, facts: &Facts<'_>, at: Timestamp) -> Result<Bounds, Unpriced<'a>> {
    walk(sheet, facts, at, |_| {})
}

/// The part of a call's maximum that rests on official figures that were not read long before `at`; `None` where the
/// sheet does not say what the call costs. What is beyond it is doubtful.
pub fn firm_maximum(sheet: &PriceSheet, facts: &Facts<'_>, at: Timestamp) -> Option<Ticks> {
    let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let quote = quote(sheet, facts, at).ok()?;
    let firm = quote.lines.iter().filter(|quoted| {
        let weakest = Weakest::of_amount(sheet, quoted.line, facts, at);
        !is_doubtful(weakest.source.confidence, weakest.oldest, today)
    });
    let sum = firm.map(|quoted| quoted.amount.max).sum::<Ticks>();
    // Lines are rounded one by one, and some give back.
    Some(sum.max(Ticks::ZERO).min(quote.bounds.max))
}

/// The figures with their lines; lines of nothing are left out.
///
/// # Errors
/// As [`bounds`].
pub fn quote<'a>(sheet: &'a PriceSheet, facts: &Facts<'_>, at: Timestamp) -> Result<Quote<'a>, Unpriced<'a>> {
    let mut lines = Vec::new();
    let bounds = walk(sheet, facts, at, |line| {
        if line.quantity.max > 0 {
            lines.push(line);
        }
    })?;
    Ok(Quote { bounds, lines })
}

/// Adds up the lines that apply, and calls `visit` with each.
pub(crate) fn walk<'a>(
    sheet: &'a PriceSheet,
    facts: &Facts<'_>,
    at: Timestamp,
    mut visit: impl FnMut(QuoteLine<'a>),
) -> Result<Bounds, Unpriced<'a>> {
    if let Some(why) = &sheet.unknown {
        return Err(Unpriced::Unknown(why));
    }
    if let Some(from) = sheet.unknown_from.filter(|from| *from <= at) {
        return Err(Unpriced::Stale(from));
    }
    let scale = Scale::of(&sheet.factors, facts, at).ok_or(Unpriced::OutOfRange)?;
    let pictures = sheet.pictures(facts, at);
    let mut selection = Selection::new(sheet);
    let (mut any, mut free) = (false, false);
    let mut total = Bounds::default();
    for line in &sheet.lines {
        if line.only_reported || !selection.takes(line, facts, at) {
            continue;
        }
        any = true;
        let quantity = derived(line, facts)
            .or_else(|| estimated(line.meter, sheet, facts, at))
            .ok_or(Unpriced::NoQuantity { line: &line.id, meter: line.meter.name() })?;
        let quantity = line.billed_for(quantity, pictures);
        let amount = scale.amounts(line, quantity).ok_or(Unpriced::OutOfRange)?;
        total = total.plus(amount).ok_or(Unpriced::OutOfRange)?;
        free |= quantity.max > 0 && scale.gives_away(line);
        visit(QuoteLine { line, quantity, amount });
    }
    selection.complete()?;
    if !any {
        return Err(Unpriced::NoLine);
    }
    if let Some(line) = minimum(sheet, at) {
        let rest = |amount: Ticks| missing_to_minimum(line, amount);
        let amount = Bounds { min: rest(total.min), expected: rest(total.expected), max: rest(total.max) };
        if !amount.max.is_zero() || !amount.expected.is_zero() || !amount.min.is_zero() {
            total = total.plus(amount).ok_or(Unpriced::OutOfRange)?;
            visit(QuoteLine { line, quantity: Range::exact(1), amount });
        }
    }
    // A sheet gives something away in so many words, or a line that should apply does not, or its amount is a mistake.
    if total.max.is_zero() && !free {
        return Err(Unpriced::Nothing);
    }
    // How much of a pool is left is known to the provider alone: it lowers neither what is expected nor the most.
    for allowance in &sheet.allowances {
        let covered = if allowance.lines.is_empty() {
            total.min
        } else {
            least_of(sheet, &allowance.lines, facts, at).ok_or(Unpriced::OutOfRange)?
        };
        total.min = (total.min - allowance.worth.min(covered)).max(Ticks::ZERO);
    }
    Ok(total)
}

/// What these lines of a sheet cost at least; `None` beyond what an amount can hold.
fn least_of(sheet: &PriceSheet, lines: &[String], facts: &Facts<'_>, at: Timestamp) -> Option<Ticks> {
    let scale = Scale::of(&sheet.factors, facts, at)?;
    let pictures = sheet.pictures(facts, at);
    let mut selection = Selection::new(sheet);
    let mut sum = Ticks::ZERO;
    for line in sheet.lines.iter().filter(|line| !line.only_reported) {
        if !selection.takes(line, facts, at) || !lines.contains(&line.id) {
            continue;
        }
        let quantity = derived(line, facts).or_else(|| estimated(line.meter, sheet, facts, at))?;
        sum = sum.checked_add(scale.amounts(line, line.billed_for(quantity, pictures))?.min)?;
    }
    Some(sum)
}

/// What the factors that apply make of a line's amount, as `1055/1000`; `None` where nothing changes it.
pub fn times(sheet: &PriceSheet, line: &PriceLine, facts: &Facts<'_>, at: Timestamp) -> Option<String> {
    Scale::of(&sheet.factors, facts, at)?.told(line)
}

/// The least that a call costs, where there is such a rule at this instant.
pub(crate) fn minimum(sheet: &PriceSheet, at: Timestamp) -> Option<&PriceLine> {
    sheet.minimum.as_deref().filter(|line| line.period.contains(at))
}

/// What lacks to the minimum; a call that costs nothing stays free.
pub(crate) fn missing_to_minimum(line: &PriceLine, amount: Ticks) -> Ticks {
    if amount.is_zero() { Ticks::ZERO } else { (line.price_expected.amount - amount).max(Ticks::ZERO) }
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
    pub(crate) fn complete(&self) -> Result<(), Unpriced<'a>> {
        let missing = (0..self.sheet.choices.len()).find(|index| self.chosen & (1 << index) == 0);
        missing.map_or(Ok(()), |index| Err(Unpriced::NoChoice(&self.sheet.choices[index])))
    }
}

/// The products of the factors that apply.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    every: Product,
    /// Of those that a reseller puts on top.
    of_resellers: Product,
}

#[derive(Clone, Copy)]
struct Product {
    /// At the lower ends of the factors …
    numerator_min: i128,
    /// … and at their upper ends, which are expected.
    numerator: i128,
    denominator: i128,
}

impl Product {
    const ONE: Product = Product { numerator_min: 1, numerator: 1, denominator: 1 };

    fn times(self, factor: &Factor) -> Option<Product> {
        Some(Product {
            numerator_min: self.numerator_min.checked_mul(i128::from(factor.numerator))?,
            numerator: self.numerator.checked_mul(i128::from(factor.numerator_max))?,
            denominator: self.denominator.checked_mul(i128::from(factor.denominator))?,
        })
    }

    /// `quantity × price × factors`, rounded once, half up.
    fn amount(&self, price: Price, quantity: i64) -> Option<Ticks> {
        let product = i128::from(quantity).checked_mul(i128::from(price.amount.get()))?;
        let (product, divisor) = if self.numerator != 1 || self.denominator != 1 {
            (product.checked_mul(self.numerator)?, i128::from(price.per).checked_mul(self.denominator)?)
        } else {
            (product, i128::from(price.per))
        };
        let ticks = if divisor == 1 { product } else { divide_half_up(product, divisor)? };
        i64::try_from(ticks).ok().map(Ticks::new)
    }
}

impl Scale {
    pub(crate) fn of(factors: &[Factor], facts: &Facts<'_>, at: Timestamp) -> Option<Scale> {
        let mut scale = Scale { every: Product::ONE, of_resellers: Product::ONE };
        for factor in factors.iter().filter(|f| f.period.contains(at) && f.when.matches(facts, at)) {
            scale.every = scale.every.times(factor)?;
            if factor.of_reseller {
                scale.of_resellers = scale.of_resellers.times(factor)?;
            }
        }
        Some(scale)
    }

    /// Whether the line costs nothing because the sheet says so.
    fn gives_away(&self, line: &PriceLine) -> bool {
        line.price_max.amount.is_zero() || self.product(line).numerator == 0
    }

    /// What the line's amount is multiplied by, as `1055/1000`; `None` where that is one.
    pub(crate) fn told(&self, line: &PriceLine) -> Option<String> {
        let Product { numerator, denominator, .. } = *self.product(line);
        (numerator != denominator).then(|| format!("{numerator}/{denominator}"))
    }

    fn product(&self, line: &PriceLine) -> &Product {
        match line.factored {
            Factored::Every => &self.every,
            Factored::OfResellers => &self.of_resellers,
            Factored::Never => &Product::ONE,
        }
    }

    /// `quantity × price × factors`, rounded once, half up.
    pub(crate) fn amount(&self, line: &PriceLine, price: Price, quantity: i64) -> Option<Ticks> {
        self.product(line).amount(price, quantity)
    }

    fn amounts(&self, line: &PriceLine, quantity: Range) -> Option<Bounds> {
        let (product, expected_price) = (self.product(line), line.price_expected);
        let expected = product.amount(expected_price, quantity.expected)?;
        // Most lines have one price and one quantity: no need to multiply three times.
        let amount = |price: Price, count: i64| {
            let same = price == expected_price && count == quantity.expected;
            if same { Some(expected) } else { product.amount(price, count) }
        };
        let max = amount(line.price_max, quantity.max)?;
        let min = if product.numerator_min == product.numerator {
            amount(line.price, quantity.min)?
        } else {
            Product { numerator: product.numerator_min, ..*product }.amount(line.price, quantity.min)?
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

/// What [`display_quantity`] wrote, in base units again.
pub fn base_units(meter: Meter, text: &str) -> Option<i64> {
    let digits = meter.base_units_per_unit().ilog10();
    let units = text.parse::<gallerist_domain::Decimal>().ok()?.to_units_exact(digits)?;
    i64::try_from(units).ok()
}

#[cfg(test)]
mod everything;
#[cfg(test)]
pub(crate) mod tests;
