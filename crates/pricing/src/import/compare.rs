//! A foreign list against our catalogue: same, cheaper, dearer, unknown here, only here; and mistaken units.
//!
//! Like is compared with like: a rate with the line of the same meter, a picture with our quote of that picture
//! without its prompt, both before what a reseller adds. A figure that is about 100, 1,000 or 10^6 times what
//! is known is taken for cents, thousands or millions and held, and so is anything else ten times off: nothing
//! that is held is ever written.

use super::{Entry, Key, Row, Verdict};
use crate::catalogue::{Catalogue, ModelSheet};
use crate::changes::{moved, percent};
use crate::facts::Facts;
use crate::quote::quote;
use crate::sheet::{Confidence, PriceLine};
use gallerist_domain::id::STANDARD_TIER;
use gallerist_domain::{ImageCall, Meter, Operation, Price, Size, Sizes, Ticks};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;

/// How a price of the list stands to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Not believed: mistaken units, or far from what is known.
    Held,
    Dearer,
    Cheaper,
    Same,
    /// We know the model, and cannot say what ours costs there.
    NotComparable,
    /// A model that our catalogue does not have.
    OnlyThere,
    /// A model of ours that the list does not have, at a provider that it has.
    OnlyHere,
    /// The entry has no price; the reason says why.
    Unpriced,
}

impl Standing {
    pub const ALL: [Standing; 8] = [
        Standing::Held,
        Standing::Dearer,
        Standing::Cheaper,
        Standing::Same,
        Standing::NotComparable,
        Standing::OnlyThere,
        Standing::OnlyHere,
        Standing::Unpriced,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Standing::Held => "held",
            Standing::Dearer => "dearer",
            Standing::Cheaper => "cheaper",
            Standing::Same => "same",
            Standing::NotComparable => "not comparable",
            Standing::OnlyThere => "only there",
            Standing::OnlyHere => "only here",
            Standing::Unpriced => "unpriced",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub standing: Standing,
    /// The entry as the list names it; `kind/model` of ours where only we have it.
    pub entry: String,
    /// Ours, as `kind/model`.
    pub offer: Option<String>,
    /// The list's field and what it is keyed by.
    pub what: String,
    pub meter: Option<Meter>,
    pub list_usd: Option<Ticks>,
    /// Base units of the meter that `list_usd` buys.
    pub list_per: Option<i64>,
    pub ours_usd: Option<Ticks>,
    pub ours_per: Option<i64>,
    /// Of ours, signed: `+14.33`.
    pub percent: Option<String>,
    /// The worst confidence among our lines behind the figure.
    pub ours_confidence: Option<&'static str>,
    pub why: Option<String>,
}

/// Compares every row at `at`, and adds what only we have at the providers of the list.
pub fn compare(entries: &[Entry], catalogue: &Catalogue, at: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    for entry in entries {
        let ours = ours(entry, catalogue);
        if let Some(model) = ours {
            seen.insert((entry.kind.clone().unwrap_or_default(), model.id.clone()));
        }
        match &entry.verdict {
            Verdict::Unpriced(reason) => {
                let blank = Finding::blank(Standing::Unpriced, entry, ours);
                findings.push(Finding { why: Some(reason.to_string()), ..blank });
            }
            Verdict::Priced(rows) => {
                findings.extend(rows.iter().map(|row| finding(entry, row, ours, catalogue, at)));
            }
        }
    }
    let kinds: BTreeSet<&str> = entries.iter().filter_map(|entry| entry.kind.as_deref()).collect();
    for provider in catalogue.providers.iter().filter(|provider| kinds.contains(provider.kind.as_str())) {
        let priced = provider.models.iter().filter(|model| model.sheet.unknown.is_none());
        let missing = priced.filter(|model| !seen.contains(&(provider.kind.clone(), model.id.clone())));
        findings.extend(missing.map(|model| Finding::only_here(&provider.kind, model)));
    }
    findings
}

/// The model of ours that an entry speaks of, where we have a price of it to hold against the list's.
pub fn ours<'c>(entry: &Entry, catalogue: &'c Catalogue) -> Option<&'c ModelSheet> {
    let provider = catalogue.provider(entry.kind.as_deref()?)?;
    let named = |model: &ModelSheet| {
        model.upstream == entry.model
            || model.is_named(&entry.model)
            || model.versions.iter().any(|(_, upstream)| *upstream == entry.model)
    };
    let mut priced = provider.models.iter().filter(|model| model.sheet.unknown.is_none());
    priced.find(|model| named(model)).map(|model| &**model)
}

/// The same model at whichever provider: good enough to tell cents from dollars, not to compare.
fn elsewhere<'c>(entry: &Entry, catalogue: &'c Catalogue) -> impl Iterator<Item = &'c ModelSheet> {
    let name = entry.model.rsplit('/').next().unwrap_or(&entry.model).to_owned();
    let models = catalogue.providers.iter().flat_map(|provider| &provider.models);
    models.filter(move |model| model.is_named(&name) || model.upstream == name).map(|model| &**model)
}

fn finding(
    entry: &Entry,
    row: &Row,
    ours: Option<&ModelSheet>,
    catalogue: &Catalogue,
    at: Timestamp,
) -> Finding {
    let blank = Finding::of_row(entry, row, ours);
    let Some(model) = ours else {
        let known = elsewhere(entry, catalogue).filter_map(|model| Known::of(model, row, at).ok());
        let mut known = known.filter(|known| suspicion(known.list, known.ours).is_some()).peekable();
        // One host may sell at another price; a wrong unit is wrong against all of them.
        let all = elsewhere(entry, catalogue).filter(|model| Known::of(model, row, at).is_ok()).count();
        return match known.peek().cloned() {
            Some(first) if known.count() == all => {
                Finding { standing: Standing::OnlyThere, ..blank }.held(&first)
            }
            _ => Finding { standing: Standing::OnlyThere, ..blank },
        };
    };
    let known = match Known::of(model, row, at) {
        Ok(known) => known,
        Err(why) => return Finding { why: Some(why), ..blank },
    };
    let moved = moved(known.ours, known.list);
    let finding = Finding {
        list_usd: Some(known.list.amount),
        list_per: Some(known.list.per),
        ours_usd: Some(known.ours.amount),
        ours_per: Some(known.ours.per),
        percent: moved.map(percent),
        ours_confidence: Some(known.confidence.as_str()),
        ..blank
    };
    if suspicion(known.list, known.ours).is_some() {
        return finding.held(&known);
    }
    let standing = match moved {
        _ if known.agrees() => Standing::Same,
        Some(..0) => Standing::Cheaper,
        Some(0) if worth(known.list, known.ours) < worth(known.ours, known.list) => Standing::Cheaper,
        Some(_) => Standing::Dearer,
        None => Standing::NotComparable,
    };
    Finding { standing, why: known.left_open(), ..finding }
}

impl Finding {
    fn blank(standing: Standing, entry: &Entry, ours: Option<&ModelSheet>) -> Finding {
        let kind = entry.kind.as_deref().unwrap_or_default();
        Finding::about(standing, entry.id.clone(), ours.map(|model| format!("{kind}/{}", model.id)))
    }

    /// A finding without any figures.
    fn about(standing: Standing, entry: String, offer: Option<String>) -> Finding {
        Finding {
            standing,
            entry,
            offer,
            what: String::new(),
            meter: None,
            list_usd: None,
            list_per: None,
            ours_usd: None,
            ours_per: None,
            percent: None,
            ours_confidence: None,
            why: None,
        }
    }

    fn of_row(entry: &Entry, row: &Row, ours: Option<&ModelSheet>) -> Finding {
        Finding {
            what: format!("{} {}", row.field, row.key).trim_end().to_owned(),
            meter: Some(row.meter),
            list_usd: Some(row.price.amount),
            list_per: Some(row.price.per),
            ..Finding::blank(Standing::NotComparable, entry, ours)
        }
    }

    fn only_here(kind: &str, model: &ModelSheet) -> Finding {
        let offer = format!("{kind}/{}", model.id);
        Finding::about(Standing::OnlyHere, offer.clone(), Some(offer))
    }

    fn held(self, known: &Known) -> Finding {
        let why = suspicion(known.list, known.ours);
        Finding { standing: Standing::Held, why, ..self }
    }
}

/// A price of the list and ours, per the same thing.
#[derive(Clone, Debug)]
struct Known {
    list: Price,
    ours: Price,
    confidence: Confidence,
    /// How far the figures may lie apart only because one of them is rounded.
    rounding: Ticks,
    /// The least that a picture of ours may cost, where our sources leave that open.
    open_from: Option<Ticks>,
}

impl Known {
    fn of(model: &ModelSheet, row: &Row, at: Timestamp) -> Result<Known, String> {
        let call = probe(model, &row.key)?;
        if matches!(row.meter, Meter::Images | Meter::OutputPixels) {
            picture(model, row, &call, at)
        } else {
            rate(model, row, &call, at)
        }
    }

    /// Why the list's lower figure is no news: it is one of those that our sources tell.
    fn left_open(&self) -> Option<String> {
        let from = self.open_from?;
        let known =
            worth(self.list, self.ours) >= i128::from(from.get()) && self.list.amount < self.ours.amount;
        known.then(|| format!("ours leaves {from} to {} open, and expects the higher", self.ours.amount))
    }

    /// Whether they are the same but for rounding.
    fn agrees(&self) -> bool {
        let (list, ours) = (worth(self.list, self.ours), worth(self.ours, self.list));
        (list - ours).abs() <= i128::from(self.rounding.get())
    }
}

/// Half of what the last digit of the list's figure stands for, where it is a rounded one: a picture beside our
/// estimate of its tokens, or a price per pixel of so many digits that it was divided.
fn rounding(row: &Row, pixels: i64, estimated: bool) -> Ticks {
    let amount = row.price.amount.get();
    let mut unit = 1i64;
    while amount != 0 && amount % (unit * 10) == 0 {
        unit *= 10;
    }
    match row.meter {
        Meter::Images if estimated => Ticks::new(unit / 2),
        Meter::OutputPixels if row.round_up == 1 && amount / unit >= 100_000 => {
            Ticks::new(unit).scaled(pixels, row.price.per.saturating_mul(2)).unwrap_or(Ticks::ZERO)
        }
        _ => Ticks::ZERO,
    }
}

/// The line of ours that a row is the price of, and the row's price in base units of its meter: of the same
/// meter, without anything that a tier or a conversion does to it.
pub(crate) fn line_of<'m>(
    model: &'m ModelSheet,
    row: &Row,
    at: Timestamp,
) -> Result<(&'m PriceLine, Price), String> {
    if row.key.tier.is_some() {
        return Err("tiers are factors of ours".to_owned());
    }
    let call = probe(model, &row.key)?;
    let facts = Facts::of(&call);
    let line = line_at(model, row, &facts, at)?;
    if row.meter == Meter::Images {
        // The price of a picture is that of a line only where no other line adds to it.
        let quote = quote(&model.sheet, &facts, at).map_err(|unpriced| unpriced.to_string())?;
        let mut others = quote.lines.iter().map(|priced| priced.line).filter(|line| !is_of_prompt(line));
        if others.any(|other| other.id != line.id) {
            return Err("ours is the sum of several lines".to_owned());
        }
    }
    Ok((line, list_price(row)))
}

fn line_at<'m>(
    model: &'m ModelSheet,
    row: &Row,
    facts: &Facts<'_>,
    at: Timestamp,
) -> Result<&'m PriceLine, String> {
    let mut lines = model.sheet.lines.iter().filter(|line| line.meter == row.meter);
    let line = lines.find(|line| line.period.contains(at) && line.when.matches(facts, at));
    line.ok_or_else(|| format!("ours has no price of {}", row.meter.name()))
}

/// Ours is per base units (microseconds, say), the list's per what people count.
fn list_price(row: &Row) -> Price {
    Price { per: row.price.per.saturating_mul(row.meter.base_units_per_unit()), ..row.price }
}

/// A rate against the line of the same meter.
fn rate(model: &ModelSheet, row: &Row, call: &ImageCall, at: Timestamp) -> Result<Known, String> {
    let facts = Facts::of(call);
    let line = line_at(model, row, &facts, at)?;
    let tiered = model.sheet.factors.iter().filter(|factor| {
        let of_tiers = factor.when.terms().is_some_and(|terms| !terms.tiers.is_empty());
        of_tiers && factor.period.contains(at) && factor.when.matches(&facts, at)
    });
    let mut ours = line.price_expected;
    for factor in tiered {
        let too_large = || "ours is beyond what an amount can hold".to_owned();
        ours.amount = Ticks::new(ours.amount.get().checked_mul(factor.numerator_max).ok_or_else(too_large)?);
        ours.per = ours.per.checked_mul(factor.denominator).ok_or_else(too_large)?;
    }
    Ok(Known {
        list: list_price(row),
        ours,
        confidence: line.source.confidence,
        rounding: Ticks::ZERO,
        open_from: None,
    })
}

/// A picture against our quote of it, without the prompt.
fn picture(model: &ModelSheet, row: &Row, call: &ImageCall, at: Timestamp) -> Result<Known, String> {
    let facts = Facts::of(call);
    let quote = quote(&model.sheet, &facts, at).map_err(|unpriced| unpriced.to_string())?;
    let list =
        row.picture(facts.size.pixels()).ok_or("the list's figure is beyond what an amount can hold")?;
    let of_picture = quote.lines.iter().filter(|priced| !is_of_prompt(priced.line));
    let (mut ours, mut least) = (Ticks::ZERO, Ticks::ZERO);
    let (mut confidence, mut estimated) = (Confidence::Official, false);
    for priced in of_picture {
        // Without factors: the list has no fee of a reseller in it.
        let sum = |so_far: Ticks, price: Price, quantity: i64| {
            let amount = price.times(quantity).and_then(|amount| so_far.checked_add(amount));
            amount.ok_or("ours is beyond what an amount can hold")
        };
        ours = sum(ours, priced.line.price_expected, priced.quantity.expected)?;
        least = sum(least, priced.line.price, priced.quantity.min)?;
        confidence = confidence.max(priced.line.source.confidence);
        estimated |= priced.line.meter.is_tokens();
    }
    let per = |amount| Price { amount, per: 1 };
    Ok(Known {
        list: per(list),
        ours: per(ours),
        confidence,
        rounding: rounding(row, facts.size.pixels(), estimated),
        open_from: (least < ours).then_some(least),
    })
}

fn is_of_prompt(line: &PriceLine) -> bool {
    matches!(line.meter, Meter::TextInputTokens | Meter::TextInputCachedTokens | Meter::ThinkingTokens)
        || matches!(line.meter, Meter::InputImages | Meter::ImageInputTokens | Meter::InputPixels)
}

/// The call whose price the key means, with every default of the model.
fn probe(model: &ModelSheet, key: &Key) -> Result<ImageCall, String> {
    let shape = &model.capabilities;
    let wanted = key.size.unwrap_or(shape.size_default);
    let mut call = ImageCall::example(&model.upstream, wanted);
    call.prompt = String::new();
    call.output_format = shape.format_default;
    call.steps = shape.steps.map_or(0, |limit| limit.default);
    call.operation = shape.operations.first().copied().unwrap_or(call.operation);
    if call.operation != Operation::Generate && shape.inputs_max > 0 {
        call.ingredients.inputs.push(shape.size_default);
    }
    call.tier = key.tier.clone().unwrap_or_else(|| STANDARD_TIER.to_owned());
    if key.tier.is_some() && !model.tiers.iter().any(|row| row.tier == call.tier) {
        return Err(format!("ours has no tier {}", call.tier));
    }
    call.quality = key.quality.clone().unwrap_or_else(|| shape.quality_default.clone());
    if key.quality.is_some() && !shape.qualities.contains(&call.quality) {
        return Err(format!("ours has no quality {}", call.quality));
    }
    if let Sizes::Ratios(rows) = &shape.sizes {
        let fits = |row: &&gallerist_domain::RatioSize| match &key.resolution {
            Some(resolution) => row.resolution.eq_ignore_ascii_case(resolution) && row.ratio == "1:1",
            None => row.size == wanted,
        };
        let row = rows.iter().find(fits).ok_or_else(|| no_size(key, wanted))?;
        (call.size, call.resolution) = (row.size, row.resolution.clone());
        call.aspect_ratio = row.ratio.clone();
    } else if key.resolution.is_some() || !crate::makes_size(&shape.sizes, wanted) {
        return Err(no_size(key, wanted));
    }
    Ok(call)
}

fn no_size(key: &Key, size: Size) -> String {
    format!("ours does not make {}", key.resolution.clone().unwrap_or_else(|| size.to_string()))
}

/// `price` brought to a common quantity with `other`.
fn worth(price: Price, other: Price) -> i128 {
    i128::from(price.amount.get()) * i128::from(other.per)
}

/// Why a figure is not believed beside what is known: the unit that explains it, or its distance alone.
pub(crate) fn suspicion(list: Price, ours: Price) -> Option<String> {
    let (list, ours) = (worth(list, ours), worth(ours, list));
    let (large, small, way) = if list > ours { (list, ours, "above") } else { (ours, list, "below") };
    if small <= 0 {
        return (large > 0).then(|| "one is zero and the other is not".to_owned());
    }
    let about = |times: i128| large * 10 >= small * times * 7 && large * 10 <= small * times * 14;
    let unit = match () {
        () if about(100) => "about 100 times: cents against dollars?",
        () if about(1_000) => "about 1,000 times: a price per thousand?",
        () if about(1_000_000) => "about 1,000,000 times: a price per million?",
        () if large > small * 10 => "more than ten times off",
        () => return None,
    };
    Some(format!("{way} what is known, {unit}"))
}

/// Entries that may not be written: those with anything held.
pub fn held(findings: &[Finding]) -> BTreeSet<&str> {
    let held = findings.iter().filter(|finding| finding.standing == Standing::Held);
    held.map(|finding| finding.entry.as_str()).collect()
}
