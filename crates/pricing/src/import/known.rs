//! What we know of the thing that a row of a foreign list prices, and how the two figures stand.
//!
//! Like is compared with like: a rate with the line of the same meter, a picture with our quote of that picture
//! without its prompt, both before what a reseller adds, both for the same number of units.

use super::{Key, Row};
use crate::catalogue::ModelSheet;
use crate::facts::Facts;
use crate::quote::quote;
use crate::sheet::{Confidence, PriceLine};
use gallerist_domain::id::STANDARD_TIER;
use gallerist_domain::{ImageCall, Meter, Operation, Price, Size, Sizes, Ticks};
use jiff::Timestamp;

const TOO_LARGE: &str = "ours is beyond what an amount can hold";

/// A price of the list and ours, per the same thing.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub list: Price,
    pub ours: Price,
    pub confidence: Confidence,
    /// How far the figures may lie apart only because the list's is rounded, per what it buys.
    rounding: Ticks,
    /// The least and the most that it may be, where our sources leave that open.
    open: Option<(Price, Price)>,
    /// Which quality of ours it is, where the row names none and the list prices others apart.
    pub apart: Option<String>,
}

impl Known {
    /// Of the qualities that a row may be the price of, the first that agrees, else the first.
    pub fn of(model: &ModelSheet, row: &Row, at: Timestamp) -> Result<Known, String> {
        let mut first = None;
        for quality in qualities(model, row) {
            let known = Known::of_quality(model, row, &quality, at);
            if known.as_ref().is_ok_and(Known::agrees) {
                return known;
            }
            first.get_or_insert(known);
        }
        first.unwrap_or_else(|| Err("ours has no quality".to_owned()))
    }

    fn of_quality(model: &ModelSheet, row: &Row, quality: &str, at: Timestamp) -> Result<Known, String> {
        let call = probe(model, &row.key, quality)?;
        let known =
            if row.of_picture() { picture(model, row, &call, at)? } else { rate(model, row, &call, at)? };
        let (list, ours) = alike(known.list, known.ours);
        let named: Vec<&str> = row.besides.iter().map(String::as_str).collect();
        let apart = match named.as_slice() {
            [] => None,
            _ if row.besides.contains(quality) => Some(format!("it names no quality; ours at {quality}")),
            named => Some(format!("ours at {quality}: the list prices {} apart", named.join(", "))),
        };
        Ok(Known { list, ours, apart, ..known })
    }

    /// Why the list's figure is no news, where it is one of those that our sources tell.
    pub fn left_open(&self) -> Option<String> {
        let (least, most) = self.open?;
        let above = |a: Price, b: Price| worth(a, b) >= worth(b, a);
        let known = above(self.list, least) && above(most, self.list);
        let per = |price: Price| alike(self.list, price).1.amount.short();
        known.then(|| {
            format!("ours leaves {} to {} open, and expects {}", per(least), per(most), per(self.ours))
        })
    }

    /// Whether they are the same but for rounding.
    pub fn agrees(&self) -> bool {
        let (list, ours) = (worth(self.list, self.ours), worth(self.ours, self.list));
        (list - ours).abs() <= i128::from(self.rounding.get()) * i128::from(self.ours.per)
            || is_rounded(self.list, self.ours)
    }
}

/// Two prices for the same number of units, where amounts can hold that.
fn alike(list: Price, ours: Price) -> (Price, Price) {
    let to = |price: Price, per: i64| {
        let exact = i128::from(price.amount.get()) * i128::from(per) % i128::from(price.per) == 0;
        exact.then(|| price.times(per)).flatten().map(|amount| Price { amount, per })
    };
    if let Some(ours) = to(ours, list.per) {
        return (list, ours);
    }
    if let Some(list) = to(list, ours.per) {
        return (list, ours);
    }
    let common = list.per.checked_mul(ours.per);
    let both = common.and_then(|per| Some((to(list, per)?, to(ours, per)?)));
    both.unwrap_or((list, ours))
}

/// Whether the list's figure is ours with fewer digits: ours rounded to the last of them, of which there are at
/// least two, so that nothing but rounding explains it, and less than a hundredth away.
fn is_rounded(list: Price, ours: Price) -> bool {
    let unit = last_digit(list.amount);
    if list.amount.get() / unit < 10 {
        return false;
    }
    let apart = (worth(list, ours) - worth(ours, list)).abs();
    let half = i128::from(unit) * i128::from(ours.per);
    apart * 2 <= half && apart * 100 < worth(ours, list)
}

/// What the last digit of an amount that is not zero stands for.
fn last_digit(amount: Ticks) -> i64 {
    let mut unit = 1i64;
    while amount.get() != 0 && amount.get() % (unit * 10) == 0 {
        unit *= 10;
    }
    unit
}

/// Half of what the last digit of the list's figure stands for, where it is a rounded one: a picture beside our
/// estimate of its tokens, or a price per pixel of so many digits that it was divided.
fn rounding(row: &Row, pixels: i64, estimated: bool) -> Ticks {
    let unit = last_digit(row.price.amount);
    match row.meter {
        Meter::Images if estimated => Ticks::new(unit / 2),
        Meter::OutputPixels if row.round_up == 1 && row.price.amount.get() / unit >= 100_000 => {
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
    let qualities = qualities(model, row);
    let others = qualities.iter().filter(|quality| !row.besides.contains(*quality)).count();
    if !row.besides.is_empty() && others != 1 {
        return Err("it is not plain which quality of ours it is".to_owned());
    }
    let quality = qualities.first().ok_or("ours has no quality")?;
    let call = probe(model, &row.key, quality)?;
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
    let (mut least, mut ours, mut most) = (line.price, line.price_expected, line.price_max);
    for factor in tiered {
        let times = |price: Price, numerator: i64| {
            let amount = price.amount.checked_mul(numerator)?;
            Some(Price { amount, per: price.per.checked_mul(factor.denominator)? })
        };
        let (low, high) = (factor.numerator, factor.numerator_max);
        let all = times(least, low).zip(times(ours, high)).zip(times(most, high));
        ((least, ours), most) = all.ok_or(TOO_LARGE)?;
    }
    Ok(Known {
        list: list_price(row),
        ours,
        confidence: line.source.confidence,
        rounding: Ticks::ZERO,
        open: Some((least, most)),
        apart: None,
    })
}

/// A picture against our quote of it, without the prompt.
fn picture(model: &ModelSheet, row: &Row, call: &ImageCall, at: Timestamp) -> Result<Known, String> {
    let facts = Facts::of(call);
    let quote = quote(&model.sheet, &facts, at).map_err(|unpriced| unpriced.to_string())?;
    let list =
        row.picture(facts.size.pixels()).ok_or("the list's figure is beyond what an amount can hold")?;
    let of_picture = quote.lines.iter().filter(|priced| !is_of_prompt(priced.line));
    let (mut least, mut ours, mut most) = (Ticks::ZERO, Ticks::ZERO, Ticks::ZERO);
    let (mut confidence, mut estimated) = (Confidence::Official, false);
    for priced in of_picture {
        let (line, quantity) = (priced.line, priced.quantity);
        // Without factors: the list has no fee of a reseller in it.
        let sum = |so_far: Ticks, price: Price, quantity: i64| {
            price.times(quantity).and_then(|amount| so_far.checked_add(amount)).ok_or(TOO_LARGE)
        };
        least = sum(least, line.price, quantity.min)?;
        ours = sum(ours, line.price_expected, quantity.expected)?;
        most = sum(most, line.price_max, quantity.max)?;
        confidence = confidence.max(line.source.confidence);
        estimated |= line.meter.is_tokens();
    }
    let per = |amount| Price { amount, per: 1 };
    Ok(Known {
        list: per(list),
        ours: per(ours),
        confidence,
        rounding: rounding(row, facts.size.pixels(), estimated),
        open: Some((per(least), per(most))),
        apart: None,
    })
}

fn is_of_prompt(line: &PriceLine) -> bool {
    matches!(line.meter, Meter::TextInputTokens | Meter::TextInputCachedTokens | Meter::ThinkingTokens)
        || matches!(line.meter, Meter::InputImages | Meter::ImageInputTokens | Meter::InputPixels)
}

/// The qualities of ours that a row may be the price of, the likeliest first: the one that it names, else those that
/// the list does not price in rows of their own, else any, and of several the usual one.
fn qualities(model: &ModelSheet, row: &Row) -> Vec<String> {
    let shape = &model.capabilities;
    if let Some(named) = &row.key.quality {
        return vec![named.clone()];
    }
    if row.besides.is_empty() || shape.qualities.is_empty() {
        return vec![shape.quality_default.clone()];
    }
    let mut qualities = shape.qualities.clone();
    qualities.sort_by_key(|quality| (row.besides.contains(quality), *quality != shape.quality_default));
    qualities
}

/// The worst confidence behind the picture that a model makes where nothing is asked for, or else behind any of its
/// prices; `None` where it has none.
pub(super) fn trust(model: &ModelSheet, at: Timestamp) -> Option<Confidence> {
    let call = probe(model, &Key::default(), &model.capabilities.quality_default).ok();
    let quoted = call.and_then(|call| {
        let quote = quote(&model.sheet, &Facts::of(&call), at).ok()?;
        quote.lines.iter().map(|priced| priced.line.source.confidence).max()
    });
    let in_force = model.sheet.lines.iter().filter(|line| line.period.contains(at));
    quoted.or_else(|| in_force.map(|line| line.source.confidence).max())
}

/// The call whose price the key means, with every other default of the model.
fn probe(model: &ModelSheet, key: &Key, quality: &str) -> Result<ImageCall, String> {
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
    call.quality = quality.to_owned();
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
pub(super) fn worth(price: Price, other: Price) -> i128 {
    i128::from(price.amount.get()) * i128::from(other.per)
}
