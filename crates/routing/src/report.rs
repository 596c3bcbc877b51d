//! The table of quotes, as `POST /v1/quotes` and `gallerist quote` print it.
//!
//! The whole table: each offer with its lines, and for what is out the reason and the change that would
//! let it in. Serialised names are fixed by the product's surface.

use crate::exclusion::Exclusion;
use crate::plan::{PlanContext, PlanError, plan};
use gallerist_domain::{ImageRequest, QualityClass, Ticks};
use gallerist_pricing::sheet::Confidence;
use gallerist_pricing::{Facts, Offer, QuoteLine, quote};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// The answer to "what would it cost".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuoteReport {
    pub instant: Timestamp,
    /// Sorted as the plan would try them.
    pub offers: Vec<OfferQuote>,
    pub excluded: Vec<ExcludedOffer>,
    pub valid_until: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OfferQuote {
    pub offer: String,
    pub provider: String,
    pub model: String,
    pub tier: String,
    pub class: Option<QualityClass>,
    pub size: String,
    pub quality: String,
    pub min_usd: Ticks,
    pub expected_usd: Ticks,
    pub max_usd: Ticks,
    pub latency_ms: u64,
    /// Whether this gateway can order it; else its price alone is known.
    pub orderable: bool,
    /// What the offer is ordered by, where credits that were bought ahead make it another figure; and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routed_usd: Option<Ticks>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routing: Option<String>,
    pub lines: Vec<LineQuote>,
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineQuote {
    pub line: String,
    pub meter: &'static str,
    /// Expected, over all calls.
    pub quantity: String,
    pub unit_price_usd: String,
    pub amount_usd: Ticks,
    pub amount_min_usd: Ticks,
    pub amount_max_usd: Ticks,
    pub source: String,
    pub confidence: &'static str,
    pub as_of: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExcludedOffer {
    pub offer: String,
    pub code: &'static str,
    pub reason: String,
    /// What would let it in.
    pub change: String,
}

impl From<&Exclusion> for ExcludedOffer {
    fn from(exclusion: &Exclusion) -> ExcludedOffer {
        ExcludedOffer {
            offer: exclusion.offer.to_string(),
            code: exclusion.reason.code(),
            reason: exclusion.reason.to_string(),
            change: exclusion.reason.change(),
        }
    }
}

/// A price that was read longer ago is told as old.
const OLD_DAYS: i32 = 90;

/// How long a quote is held to be good when no dated price changes before.
const VALID_FOR: SignedDuration = SignedDuration::from_hours(1);

/// Quotes every offer that the request's model name speaks of.
///
/// # Errors
/// As [`plan`].
pub fn quotes(request: &ImageRequest, context: PlanContext<'_>) -> Result<QuoteReport, PlanError> {
    let plan = plan(request, context)?;
    let offers = plan.offers.iter().map(|planned| {
        let resolved = &planned.resolved;
        let mut lines: Vec<LineQuote> = Vec::new();
        let mut add = |facts: &Facts<'_>, calls: i64| {
            if let Ok(itemised) = quote(&planned.offer.model.sheet, facts, context.at) {
                itemised.lines.iter().for_each(|line| merge(&mut lines, line, calls));
            }
        };
        add(&resolved.facts, i64::from(resolved.full_calls));
        if resolved.rest > 0 {
            add(&Facts { n: resolved.rest, ..resolved.facts }, 1);
        }
        OfferQuote {
            offer: planned.offer.id.to_string(),
            provider: planned.offer.id.provider.clone(),
            model: planned.offer.id.model.clone(),
            tier: planned.offer.id.tier.clone(),
            class: resolved.class,
            size: resolved.facts.size.to_string(),
            quality: resolved.facts.quality.to_owned(),
            min_usd: planned.quote.min,
            expected_usd: planned.quote.expected,
            max_usd: planned.quote.max,
            latency_ms: planned.latency_ms,
            orderable: planned.offer.serves(request.operation) && request.ingredients.is_empty(),
            routed_usd: planned.routing_reason().map(|_| planned.routed),
            routing: planned.routing_reason(),
            lines,
            warnings: warnings(planned.offer, &resolved.facts, context.at),
        }
    });
    // A price of an offer that is out today may begin as well.
    let spoken_of: Vec<&Offer> = context.offers.iter().filter(|offer| plan.target.speaks_of(offer)).collect();
    let valid_until = next_change(&spoken_of, context.at);
    Ok(QuoteReport {
        instant: context.at,
        offers: offers.collect(),
        excluded: plan.excluded.iter().map(ExcludedOffer::from).collect(),
        valid_until,
    })
}

fn merge(lines: &mut Vec<LineQuote>, quoted: &QuoteLine<'_>, calls: i64) {
    let times = |amount: Ticks| amount.checked_mul(calls).unwrap_or(Ticks::MAX);
    let line = quoted.line;
    let quantity = quoted.quantity.expected.saturating_mul(calls);
    if let Some(existing) = lines.iter_mut().find(|existing| existing.line == line.id) {
        existing.amount_usd += times(quoted.amount.expected);
        existing.amount_min_usd += times(quoted.amount.min);
        existing.amount_max_usd += times(quoted.amount.max);
        let count = |text: &str| text.parse::<i64>().ok();
        if let (Some(before), 1) = (count(&existing.quantity), line.meter.base_units_per_unit()) {
            existing.quantity = (before + quantity).to_string();
        }
        return;
    }
    lines.push(LineQuote {
        line: line.id.clone(),
        meter: line.meter.name(),
        quantity: gallerist_pricing::quote::display_quantity(line.meter, quantity),
        unit_price_usd: line.unit_price_usd(),
        amount_usd: times(quoted.amount.expected),
        amount_min_usd: times(quoted.amount.min),
        amount_max_usd: times(quoted.amount.max),
        source: line.source.what.clone(),
        confidence: line.source.confidence.as_str(),
        as_of: line.source.date.to_string(),
    });
}

/// Days before a retirement from which on it is warned of, and after which a price counts as old.
const WARN_DAYS: i32 = 90;

/// What a buyer should know of an offer.
pub fn warnings(offer: &Offer, facts: &Facts<'_>, at: Timestamp) -> Vec<String> {
    let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut warnings = Vec::new();
    let lifecycle = &offer.model.lifecycle;
    if let Some(day) = lifecycle.retires_on {
        let days = today.until(day).map_or(i32::MAX, |span| span.get_days());
        if days <= WARN_DAYS {
            let successors = lifecycle.successors.join(" or ");
            warnings.push(format!("{} retires on {day}; use {successors}", offer.model.id));
        }
    } else if lifecycle.deprecated_on.is_some_and(|day| day <= today) {
        warnings.push(format!("{} is deprecated", offer.model.id));
    }
    let Ok(priced) = quote(&offer.model.sheet, facts, at) else { return warnings };
    for line in priced.lines.iter().map(|quoted| quoted.line) {
        let silent = offer.model.sheet.stale.iter().find(|(id, _)| *id == line.id);
        warnings.extend(silent.map(|(_, warning)| warning.clone()));
        let source = &line.source;
        let age_days = source.date.until(today).map_or(0, |span| span.get_days());
        if source.confidence > Confidence::ThirdParty {
            let (word, date) = (source.confidence.as_str(), source.date);
            warnings.push(format!("price line {:?} is {word}, as of {date}", line.id));
        } else if age_days > OLD_DAYS {
            warnings.push(format!("price line {:?} was last read on {}", line.id, source.date));
        }
    }
    warnings
}

/// The next instant at which a dated price of these offers begins or ends or one of them retires, at most
/// [`VALID_FOR`] ahead.
fn next_change(offers: &[&Offer], at: Timestamp) -> Timestamp {
    let horizon = at.checked_add(VALID_FOR).unwrap_or(at);
    let lines = offers.iter().flat_map(|offer| &offer.model.sheet.lines).map(|line| line.period);
    let factors = offers.iter().flat_map(|offer| &offer.model.sheet.factors).map(|factor| factor.period);
    let instants = lines.chain(factors).flat_map(|period| [period.since, period.until]).flatten();
    let retirements = offers.iter().filter_map(|offer| {
        let day = offer.model.lifecycle.retires_on?;
        Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
    });
    instants.chain(retirements).filter(|instant| *instant > at).fold(horizon, Timestamp::min)
}

#[cfg(test)]
mod tests;
