//! The table of quotes, as `POST /v1/quotes` and `gallerist quote` print it.
//!
//! The whole table: each offer with its lines, and for what is out the reason and the change that would
//! let it in. Serialised names are fixed by the product's surface.

use crate::exclusion::{Exclusion, Reason};
use crate::plan::{PlanContext, PlanError, PlannedOffer, plan};
use crate::warnings;
use gallerist_domain::{ImageRequest, Operation, QualityClass, Ticks};
use gallerist_pricing::bundle::Link;
use gallerist_pricing::quote::times;
use gallerist_pricing::trust::told;
use gallerist_pricing::{Comparison, Facts, Offer, QuoteLine, Weakest, quote};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// The answer to "what would it cost".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuoteReport {
    pub instant: Timestamp,
    /// The name as it was sent.
    pub requested_model: String,
    /// The route that it is, or leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Where a migration of the settings leads, where the name is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migrated_to: Option<String>,
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
    /// The offer that was named, where its provider serves this one for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_on_from: Option<String>,
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
    /// The day from which on its prices are on record, where the quote is of an earlier one: these are the earliest
    /// that are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_since: Option<Date>,
    /// Where the offer sells several operations as one: what they cost apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleQuote>,
    pub warnings: Vec<String>,
}

/// A bundle beside the chain of separate calls at the same offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundleQuote {
    /// The calls of the chain, in their order.
    pub chain: Vec<ChainLink>,
    pub chain_min_usd: Ticks,
    pub chain_expected_usd: Ticks,
    pub chain_max_usd: Ticks,
    /// Of what the chain is expected to cost; negative where the bundle is dearer. Per cents are absent where the
    /// chain is free.
    pub saving_usd: Ticks,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saving_percent: Option<String>,
    /// At best: what the bundle costs at least.
    pub saving_max_usd: Ticks,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saving_max_percent: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChainLink {
    pub operation: Operation,
    pub min_usd: Ticks,
    pub expected_usd: Ticks,
    pub max_usd: Ticks,
}

impl From<Comparison> for BundleQuote {
    fn from(comparison: Comparison) -> BundleQuote {
        let (saving, saving_max) = (comparison.saving(), comparison.saving_max());
        let link = |link: &Link| ChainLink {
            operation: link.operation,
            min_usd: link.bounds.min,
            expected_usd: link.bounds.expected,
            max_usd: link.bounds.max,
        };
        BundleQuote {
            chain: comparison.links.iter().map(link).collect(),
            chain_min_usd: comparison.chain.min,
            chain_expected_usd: comparison.chain.expected,
            chain_max_usd: comparison.chain.max,
            saving_usd: saving,
            saving_percent: comparison.percent_of_chain(saving),
            saving_max_usd: saving_max,
            saving_max_percent: comparison.percent_of_chain(saving_max),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LineQuote {
    pub line: String,
    pub meter: &'static str,
    /// Expected, over all calls.
    pub quantity: String,
    pub unit_price_usd: String,
    /// The factors on it, such as a reseller's `1055/1000`; absent where nothing changes the amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<String>,
    pub amount_usd: Ticks,
    pub amount_min_usd: Ticks,
    pub amount_max_usd: Ticks,
    /// Of the price, and where another part of the amount is less sure, of that too.
    pub source: String,
    /// Of the least sure part: the price, the rate of its currency, the estimated quantity, a factor.
    pub confidence: &'static str,
    /// When that part's source was read.
    pub as_of: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExcludedOffer {
    pub offer: String,
    pub code: &'static str,
    pub reason: String,
    /// What would let it in.
    pub change: String,
    /// How far it is out, where that is a figure (ticks, milliseconds): the nearest one is the best example of many.
    #[serde(skip)]
    pub distance: Option<u64>,
}

impl From<Exclusion<'_>> for ExcludedOffer {
    fn from(exclusion: Exclusion<'_>) -> ExcludedOffer {
        ExcludedOffer {
            offer: exclusion.offer.to_string(),
            code: exclusion.reason.code(),
            reason: exclusion.why().to_string(),
            change: exclusion.change(),
            distance: match exclusion.reason {
                Reason::OverMaxCost { quote_max } => u64::try_from(quote_max.get()).ok(),
                Reason::TooSlow { expected_ms } => Some(expected_ms),
                Reason::BreakerOpen { for_ms } => Some(for_ms),
                _ => None,
            },
        }
    }
}

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
        let mut recorded_since: Option<Date> = None;
        let mut add = |facts: &Facts<'_>, calls: i64| {
            let sheet = &planned.offer.model.sheet;
            let Ok(itemised) = quote(sheet, facts, context.at) else { return };
            for quoted in &itemised.lines {
                let weakest = Weakest::of_amount(sheet, quoted.line, facts, context.at);
                let times = times(sheet, quoted.line, facts, context.at);
                recorded_since = recorded_since.max(quoted.line.recorded_after(context.at));
                merge(&mut lines, quoted, (weakest, times), calls);
            }
        };
        add(&resolved.facts, i64::from(resolved.full_calls));
        if resolved.rest > 0 {
            add(&Facts { n: resolved.rest, ..resolved.facts }, 1);
        }
        let mut warnings = warnings::of(&plan.named, planned, context.at);
        warnings.extend(recorded_since.map(|day| unrecorded(context.at, day)));
        OfferQuote {
            offer: planned.offer.id.to_string(),
            provider: planned.offer.id.provider.clone(),
            model: planned.offer.id.model.clone(),
            tier: planned.offer.id.tier.clone(),
            sent_on_from: planned.sent_on.map(|sent_on| sent_on.named.id.to_string()),
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
            recorded_since,
            bundle: compared(planned, context.at),
            warnings,
        }
    });
    // A price of an offer that is out today may begin as well.
    let target = plan.named.target;
    let named = context.offers.iter().filter(|offer| target.speaks_of(offer));
    let spoken_of: Vec<&Offer> = named.chain(plan.offers.iter().map(|planned| planned.offer)).collect();
    let valid_until = next_change(&spoken_of, context.at);
    Ok(QuoteReport {
        instant: context.at,
        requested_model: plan.named.requested.to_owned(),
        route: target.route().map(|route| route.name.clone()),
        migrated_to: plan.named.migrated.then(|| target.to_string()),
        offers: offers.collect(),
        excluded: plan.excluded().map(ExcludedOffer::from).collect(),
        valid_until,
    })
}

/// That a price stands for one that nobody has seen.
fn unrecorded(at: Timestamp, recorded_since: Date) -> String {
    let asked = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    format!("no price of {asked} is on record: this is the earliest that is known, of {recorded_since}")
}

/// What the request would cost in separate calls, where the offer bundles them.
fn compared(planned: &PlannedOffer<'_>, at: Timestamp) -> Option<BundleQuote> {
    let (sheet, resolved) = (&planned.offer.model.sheet, &planned.resolved);
    let full = Comparison::of(sheet, &resolved.facts, at)?.times(i64::from(resolved.full_calls))?;
    let whole = match resolved.rest {
        0 => full,
        rest => full.plus(&Comparison::of(sheet, &Facts { n: rest, ..resolved.facts }, at)?)?,
    };
    Some(whole.into())
}

fn merge(
    lines: &mut Vec<LineQuote>,
    quoted: &QuoteLine<'_>,
    (weakest, times): (Weakest<'_>, Option<String>),
    calls: i64,
) {
    let of_all = |amount: Ticks| amount.checked_mul(calls).unwrap_or(Ticks::MAX);
    let line = quoted.line;
    let quantity = quoted.quantity.expected.saturating_mul(calls);
    if let Some(existing) = lines.iter_mut().find(|existing| existing.line == line.id) {
        existing.amount_usd += of_all(quoted.amount.expected);
        existing.amount_min_usd += of_all(quoted.amount.min);
        existing.amount_max_usd += of_all(quoted.amount.max);
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
        times,
        amount_usd: of_all(quoted.amount.expected),
        amount_min_usd: of_all(quoted.amount.min),
        amount_max_usd: of_all(quoted.amount.max),
        source: told(line, weakest),
        confidence: weakest.source.confidence.as_str(),
        as_of: weakest.oldest.to_string(),
    });
}

/// The next instant at which a dated price of these offers begins or ends or one of them begins, retires or becomes another, at most
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
    let releases = offers.iter().filter_map(|offer| offer.model.lifecycle.released_at);
    let redirects = offers.iter().filter_map(|offer| Some(offer.model.lifecycle.redirect.as_ref()?.since));
    let turns = instants.chain(releases).chain(retirements).chain(redirects);
    turns.filter(|instant| *instant > at).fold(horizon, Timestamp::min)
}

#[cfg(test)]
mod tests;
