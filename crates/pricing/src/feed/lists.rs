//! Whole lists as feeds: LiteLLM's and OpenRouter's prices, fal's pricing answer, OpenAI's list of models.
//!
//! A row becomes the price of a line of ours only where it is plain which line that is; everything else is left
//! alone, because `gallerist prices import --compare` is the place to look at a whole list. The first two are read
//! by `import`.

use super::{FeedForm, NotAFeed, Observation, Quoted, Target};
use crate::catalogue::{Catalogue, ModelSheet};
use crate::import::compare::{line_of, ours};
use crate::import::json::{Object, decimal, list, object, text};
use crate::import::{Format, exact_price, read};
use crate::sheet::PriceLine;
use gallerist_domain::{Meter, Price};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::value::RawValue;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The kind whose endpoints fal's pricing answer names.
const FAL: &str = "fal";
/// The kind whose models OpenAI's list names.
const OPENAI: &str = "openai";

/// A price per pixel is often a quotient that was cut: this many parts in a million are no news.
const CUT_PARTS: i128 = 10;

/// When a model ends, as a list tells it.
pub(super) struct End {
    /// `kind/model`.
    pub offer: String,
    /// As the catalogue has it.
    pub ours: Option<Date>,
    pub on: Option<Date>,
}

/// LiteLLM's or OpenRouter's list.
pub(super) fn prices(
    form: &FeedForm,
    body: &str,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Vec<Result<Observation, NotAFeed>> {
    let format = match form {
        FeedForm::Openrouter => Format::Openrouter,
        _ => Format::Litellm,
    };
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let entries = match read(format, body, "", today) {
        Ok(entries) => entries,
        Err(error) => return vec![Err(NotAFeed::NotAList(error.to_string()))],
    };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut observations = Vec::new();
    for entry in &entries {
        let (Some(model), Some(kind)) = (ours(entry, catalogue), entry.kind.as_deref()) else { continue };
        for row in entry.rows().iter().filter(|row| !row.typical) {
            let Ok((line, price)) = line_of(model, row, now) else { continue };
            let target = Target { offer: format!("{kind}/{}", model.id), line: line.id.clone() };
            // Several entries may be one model of ours; the first is the one with the plainest name.
            if seen.insert(target.to_string()) {
                let quote = Quoted::of(settled(row.meter, price, line));
                observations.push(Ok(Observation { target, quote, at: now }));
            }
        }
    }
    observations
}

/// Ours where the list's figure is ours but for the digits that it cuts.
fn settled(meter: Meter, price: Price, line: &PriceLine) -> Price {
    let ours = line.price_expected;
    let worth = |a: Price, b: Price| i128::from(a.amount.get()) * i128::from(b.per);
    let (theirs, known) = (worth(price, ours), worth(ours, price));
    let cut = matches!(meter, Meter::OutputPixels | Meter::InputPixels)
        && (theirs - known).abs().saturating_mul(1_000_000) <= known.abs().saturating_mul(CUT_PARTS);
    if cut { ours } else { price }
}

/// The endpoints that fal's pricing answer is asked for.
pub fn fal_endpoints(catalogue: &Catalogue, now: Timestamp) -> Vec<String> {
    let models = catalogue.provider(FAL).map(|sheet| sheet.models.as_slice()).unwrap_or_default();
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let alive = models.iter().filter(|model| model.lifecycle.retires_on.is_none_or(|day| day > today));
    // What has no price here may have no endpoint there, and one stranger fails a whole page.
    let alive = alive.filter(|model| model.lifecycle.switched_off.is_none() && model.sheet.unknown.is_none());
    let names: BTreeSet<String> = alive.map(|model| model.upstream.clone()).collect();
    names.into_iter().collect()
}

/// `{"prices": [{"endpoint_id", "unit_price", "unit", "currency"}]}`; several answers may stand one a line. The
/// unit price is a base: it says neither tiers nor rounding, so it counts only where one line of ours is it.
pub(super) fn fal(body: &str, catalogue: &Catalogue, now: Timestamp) -> Vec<Result<Observation, NotAFeed>> {
    let models = catalogue.provider(FAL).map(|sheet| sheet.models.as_slice()).unwrap_or_default();
    let mut observations = Vec::new();
    for answer in body.lines().filter(|line| !line.trim().is_empty()) {
        let root = serde_json::from_str::<&RawValue>(answer).ok().and_then(object);
        let Some(prices) = root.and_then(|root| list(root.get("prices")?)) else {
            observations.push(Err(NotAFeed::NotJson));
            continue;
        };
        for (index, raw) in prices.into_iter().enumerate() {
            let Some((endpoint, quoted)) = fal_price(raw) else {
                observations.push(Err(NotAFeed::NotFal(index)));
                continue;
            };
            // A drawing is another option of the endpoint, at another price, of which the answer does not speak.
            let base = |model: &&Arc<ModelSheet>| model.upstream == endpoint && !model.draws_lines();
            for model in models.iter().filter(base) {
                let Some(line) = base_line(model, &quoted.unit, now) else { continue };
                let Some(price) = quoted.price(line) else { continue };
                let target = Target { offer: format!("{FAL}/{}", model.id), line: line.id.clone() };
                observations.push(Ok(Observation { target, quote: Quoted::of(price), at: now }));
            }
        }
    }
    observations
}

struct FalPrice {
    unit: String,
    usd: gallerist_domain::Decimal,
}

impl FalPrice {
    /// Per what the line counts: its own megapixel, or one unit.
    fn price(&self, line: &PriceLine) -> Option<Price> {
        let units = match line.meter {
            Meter::OutputPixels => line.price_expected.per,
            meter => meter.base_units_per_unit(),
        };
        exact_price(self.usd, units)
    }
}

fn fal_price(raw: &RawValue) -> Option<(String, FalPrice)> {
    let entry: Object<'_> = object(raw)?;
    let currency = text(&entry, "currency");
    let usd = decimal(entry.get("unit_price")?)?;
    let price = FalPrice { unit: text(&entry, "unit")?, usd };
    currency.is_none_or(|code| code == "USD").then_some(())?;
    Some((text(&entry, "endpoint_id")?, price))
}

/// The line that a unit price is of, where there is just one.
fn base_line<'m>(model: &'m ModelSheet, unit: &str, now: Timestamp) -> Option<&'m PriceLine> {
    let of = |meter: Meter| {
        let mut lines = model.sheet.lines.iter().filter(|line| {
            line.meter == meter && line.period.contains(now) && !line.only_reported && line.from == 0
        });
        lines.next().filter(|_| lines.next().is_none())
    };
    // What fal reports of each call, in whatever unit it is.
    of(Meter::BillableUnits).or_else(|| match unit.trim_end_matches('s') {
        "image" => of(Meter::Images),
        "megapixel" => of(Meter::OutputPixels),
        _ => None,
    })
}

/// `GET /v1/models`: the end of each model of ours that is in it.
pub(super) fn openai_models(body: &str, catalogue: &Catalogue) -> Result<Vec<End>, NotAFeed> {
    let root = serde_json::from_str::<&RawValue>(body).ok().and_then(object).ok_or(NotAFeed::NotJson)?;
    let data = root.get("data").and_then(|raw| list(raw)).ok_or(NotAFeed::NotModels)?;
    let models = catalogue.provider(OPENAI).map(|sheet| sheet.models.as_slice()).unwrap_or_default();
    let mut ends = Vec::new();
    for raw in data {
        let entry: Object<'_> = object(raw).ok_or(NotAFeed::NotModels)?;
        let id = text(&entry, "id").ok_or(NotAFeed::NotModels)?;
        let Some(model) = models.iter().find(|model| model.upstream == id) else { continue };
        let on = match entry.get("shutdown_date").map(|raw| raw.get()) {
            None | Some("null") => None,
            Some(_) => Some(text(&entry, "shutdown_date").and_then(|day| day.parse().ok()))
                .map(|day: Option<Date>| day.ok_or(NotAFeed::NotModels))
                .transpose()?,
        };
        ends.push(End { offer: format!("{OPENAI}/{}", model.id), ours: model.lifecycle.retires_on, on });
    }
    Ok(ends)
}
