//! After the call: what it did cost, from the best evidence there is.
//!
//! The provider's own figure beats its counts at our prices, which beat our formula on what was
//! delivered, which beats an estimate. The result keeps the arithmetic, so that it can be recomputed.

use crate::facts::Facts;
use crate::quantity::{derived, estimated};
use crate::quote::{Scale, Selection, Unpriced, minimum, missing_to_minimum};
use crate::sheet::{Confidence, Currency, PriceLine, PriceSheet, Range, is_doubtful};
use crate::trust::{Weakest, told};
use gallerist_domain::{Meter, Metered, Outcome, ReportedCost, Ticks};
use jiff::Timestamp;
use jiff::civil::Date;

/// Where a settled figure comes from, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    ProviderReported,
    Usage,
    Computed,
    Estimated,
}

impl Basis {
    pub const fn as_str(self) -> &'static str {
        match self {
            Basis::ProviderReported => "provider_reported",
            Basis::Usage => "usage",
            Basis::Computed => "computed",
            Basis::Estimated => "estimated",
        }
    }
}

/// What is known about the cost of a finished call.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Pictures that are charged.
    pub images: u32,
    pub usage: &'a [Metered],
    pub reported: Option<&'a ReportedCost>,
}

impl<'a> Evidence<'a> {
    /// The evidence of an outcome: delivered and withheld pictures are charged alike.
    pub fn of(outcome: &'a Outcome) -> Evidence<'a> {
        let made = u32::try_from(outcome.images.len()).unwrap_or(u32::MAX);
        Evidence {
            images: made.saturating_add(outcome.withheld),
            usage: &outcome.usage,
            reported: outcome.reported.as_ref(),
        }
    }
}

/// One line of a charge, with its arithmetic: `quantity × amount ÷ per × times`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeLine {
    pub line: String,
    pub meter: &'static str,
    /// As people say it.
    pub quantity: String,
    /// In dollars, as quotes write it.
    pub unit_price: String,
    /// The factors on it, as `1055/1000`; absent where nothing changes the amount.
    pub times: Option<String>,
    pub amount: Ticks,
    pub source: String,
    /// How sure the figure is, by the least sure of what it rests on, and when that was read; absent where the
    /// provider itself said in dollars what it charged.
    pub trust: Option<(Confidence, Date)>,
}

/// What a call cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub amount: Ticks,
    pub basis: Basis,
    pub lines: Vec<ChargeLine>,
}

impl Charge {
    /// The part of it that rests on figures below official, or read long before `at`. What the provider itself
    /// said in dollars rests on none.
    pub fn doubtful(&self, at: Timestamp) -> Ticks {
        let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let doubtful = self
            .lines
            .iter()
            .filter(|line| line.trust.is_some_and(|(confidence, read)| is_doubtful(confidence, read, today)));
        let sum: Ticks = doubtful.map(|line| line.amount).sum();
        // Lines are rounded one by one, and some give back.
        sum.max(Ticks::ZERO).min(self.amount)
    }
}

/// Prices a finished call.
///
/// # Errors
/// [`Unpriced`] when neither the evidence nor the sheet says what it cost.
pub fn settle<'a>(
    sheet: &'a PriceSheet,
    currencies: &[Currency],
    facts: &Facts<'_>,
    evidence: Evidence<'_>,
    at: Timestamp,
) -> Result<Charge, Unpriced<'a>> {
    if let Some(cost) = evidence.reported
        && let Some(charge) = reported(cost, currencies, at)?
    {
        return Ok(charge);
    }
    if let Some(why) = &sheet.unknown {
        return Err(Unpriced::Unknown(why));
    }
    let facts = Facts { n: evidence.images, ..*facts };
    let scale = Scale::of(&sheet.factors, &facts, at).ok_or(Unpriced::OutOfRange)?;
    let mut selection = Selection::new(sheet);
    let mut charge = Charge { amount: Ticks::ZERO, basis: Basis::Computed, lines: Vec::new() };
    uncounted(sheet, evidence.usage)?;
    for line in &sheet.lines {
        if !selection.takes(line, &facts, at) {
            continue;
        }
        let (quantity, basis) = settled_quantity(line, sheet, &facts, evidence.usage, at)?;
        // What is known to be free proves nothing.
        let basis = if line.price_expected.amount.is_zero() { charge.basis } else { basis };
        charge.basis = match (charge.basis, basis) {
            // Counts of the provider outrank our formula; an estimate anywhere taints the sum.
            (Basis::Estimated, _) | (_, Basis::Estimated) => Basis::Estimated,
            (Basis::Usage, _) | (_, Basis::Usage) => Basis::Usage,
            _ => Basis::Computed,
        };
        let amount = scale.amount(line, line.price_expected, quantity).ok_or(Unpriced::OutOfRange)?;
        charge.amount = charge.amount.checked_add(amount).ok_or(Unpriced::OutOfRange)?;
        if quantity > 0 {
            let weakest = match basis {
                Basis::Estimated => Weakest::of_amount(sheet, line, &facts, at),
                _ => Weakest::of_price(sheet, line, &facts, at),
            };
            charge.lines.push(charge_line(line, (quantity, scale.told(line)), amount, weakest));
        }
    }
    selection.complete()?;
    if let Some(line) = minimum(sheet, at) {
        let amount = missing_to_minimum(line, charge.amount);
        if !amount.is_zero() {
            charge.amount = charge.amount.checked_add(amount).ok_or(Unpriced::OutOfRange)?;
            let weakest = Weakest::of_price(sheet, line, &facts, at);
            charge.lines.push(charge_line(line, (1, None), amount, weakest));
        }
    }
    Ok(charge)
}

fn charge_line(
    line: &PriceLine,
    (quantity, times): (i64, Option<String>),
    amount: Ticks,
    weakest: Weakest<'_>,
) -> ChargeLine {
    ChargeLine {
        line: line.id.clone(),
        meter: line.meter.name(),
        quantity: crate::quote::display_quantity(line.meter, quantity),
        unit_price: line.unit_price_usd(),
        times,
        amount,
        source: told(line, weakest),
        trust: Some((weakest.source.confidence, weakest.oldest)),
    }
}

/// Tokens that the provider counted and no line prices, on a sheet that prices tokens: an unknown price is not
/// zero. A sheet that knows them to be free says so with a line of amount 0. Where pictures or units are sold,
/// the tokens that they took are in the price.
fn uncounted(sheet: &PriceSheet, usage: &[Metered]) -> Result<(), Unpriced<'static>> {
    let priced = |meter: Meter| sheet.lines.iter().any(|line| line.meter == meter);
    if !sheet.lines.iter().any(|line| line.meter.is_tokens()) {
        return Ok(());
    }
    let unknown = usage.iter().find(|metered| {
        let tokens = metered.quantity > 0 && metered.meter.is_tokens();
        tokens && !priced(metered.meter) && !priced(dearer(metered.meter))
    });
    match unknown {
        Some(metered) => Err(Unpriced::NoPrice { meter: metered.meter.name() }),
        None => Ok(()),
    }
}

/// The meter whose line prices a count that has none of its own: what comes from the cache costs at most what
/// it costs without.
const fn dearer(meter: Meter) -> Meter {
    match meter {
        Meter::TextInputCachedTokens => Meter::TextInputTokens,
        Meter::ImageInputCachedTokens => Meter::ImageInputTokens,
        meter => meter,
    }
}

/// The provider's count for a line, with the counts that have no line of their own.
fn counted(line: &PriceLine, sheet: &PriceSheet, usage: &[Metered]) -> Option<i64> {
    let without_line = |meter: Meter| !sheet.lines.iter().any(|line| line.meter == meter);
    let belongs = |metered: &&Metered| {
        metered.meter == line.meter || (dearer(metered.meter) == line.meter && without_line(metered.meter))
    };
    let mut counts = usage.iter().filter(belongs).map(|metered| metered.quantity).peekable();
    counts.peek()?;
    Some(counts.fold(0, i64::saturating_add))
}

/// The provider's own figure in dollars; `None` when its currency has no rate, or it is below nothing. One
/// beyond what an amount can hold is not replaced by a small figure of ours.
fn reported(
    cost: &ReportedCost,
    currencies: &[Currency],
    at: Timestamp,
) -> Result<Option<Charge>, Unpriced<'static>> {
    let (rate, source, trust) = if cost.currency == "USD" {
        (gallerist_domain::Decimal::ONE, String::new(), None)
    } else {
        let fits = |currency: &&Currency| currency.code == cost.currency && currency.period.contains(at);
        let Some(currency) = currencies.iter().find(fits) else { return Ok(None) };
        let source = &currency.source;
        (currency.usd, source.what.clone(), Some((source.confidence, source.date)))
    };
    let amount = cost.amount.product_ticks(rate).ok_or(Unpriced::OutOfRange)?;
    if amount.is_negative() {
        return Ok(None);
    }
    let line = ChargeLine {
        line: "reported".to_owned(),
        meter: Meter::Credits.name(),
        quantity: cost.amount.to_string(),
        unit_price: rate.product_ticks(gallerist_domain::Decimal::ONE).unwrap_or(Ticks::ZERO).to_string(),
        times: None,
        amount,
        source,
        trust,
    };
    Ok(Some(Charge { amount, basis: Basis::ProviderReported, lines: vec![line] }))
}

/// The billed quantity of a line and where it comes from.
fn settled_quantity<'a>(
    line: &'a PriceLine,
    sheet: &PriceSheet,
    facts: &Facts<'_>,
    usage: &[Metered],
    at: Timestamp,
) -> Result<(i64, Basis), Unpriced<'a>> {
    if let Some(count) = counted(line, sheet, usage) {
        return Ok((line.billed_quantity(count), Basis::Usage));
    }
    if line.only_reported {
        return Ok((0, Basis::Computed));
    }
    let images = i64::from(facts.n);
    let made = Range::exact(images);
    if let Some(quantity) = derived(line, facts) {
        return Ok((line.billed_for(quantity, made).expected, Basis::Computed));
    }
    // A picture was made, so its own tokens were used, whether or not they were counted.
    let used = line.meter == Meter::ImageOutputTokens && images > 0;
    if !usage.is_empty() && !used {
        // The provider counted, and did not count this: there was none.
        return Ok((0, Basis::Computed));
    }
    let quantity = estimated(line.meter, sheet, facts, at)
        .ok_or(Unpriced::NoQuantity { line: &line.id, meter: line.meter.name() })?;
    Ok((line.billed_for(quantity, made).expected, Basis::Estimated))
}

#[cfg(test)]
mod tests;
