//! Price lines, factors and estimates from their written form.
//!
//! A line that was dearer or cheaper before, or whose currency has several rates, becomes several lines of one
//! id whose periods follow each other.

use super::check;
use super::entries::Table;
use super::hardware::spread;
use super::raw::*;
use super::read::Reader;
use crate::sheet::*;
use gallerist_domain::{Meter, Price, Ticks};
use std::ops::Range as Span;
use std::sync::Arc;
use toml::Spanned;

impl Reader<'_> {
    /// All lines of one entry: one a period.
    pub(super) fn lines(&mut self, raw: &RawLine, choices: &mut Vec<String>) -> Vec<PriceLine> {
        let place = raw.line.span();
        let Some(frame) = self.frame(raw, choices) else { return Vec::new() };
        let rates = self.rates(raw.currency.as_ref());
        let mut lines = Vec::new();
        for point in self.points(raw) {
            for (rate, rate_period, rate_source) in &rates {
                let Some(period) = point.period.and(*rate_period) else { continue };
                let amount = self.amount(point.amount, *rate);
                let upper = point.amount_max.map_or(amount, |text| self.amount(text, *rate));
                let (Some(amount), Some(upper)) = (amount, upper) else { return Vec::new() };
                if upper < amount {
                    self.mistake(point.amount.span(), "`amount_max` is below `amount`");
                }
                let swing = raw.swing_per_mille.unwrap_or(0);
                let swung = |per_mille: i64| amount.scaled(1000 + per_mille, 1000).unwrap_or(Ticks::MAX);
                let per = frame.price.per;
                let price = |amount: Ticks| frame.amortised(Price { amount, per });
                let lower = price(swung(-swing));
                let (Some(lower), Some(expected), Some(most)) =
                    (lower, price(upper), price(upper.max(swung(swing))))
                else {
                    self.mistake(point.amount.span(), "this is beyond what an amount can hold");
                    return Vec::new();
                };
                lines.push(PriceLine {
                    price: lower,
                    price_expected: expected,
                    price_max: most,
                    written: written_price(point.amount, point.amount_max, raw),
                    period,
                    source: Arc::clone(&point.source),
                    rate: rate_source.clone(),
                    ..frame.clone()
                });
            }
        }
        if lines.is_empty() && self.is_faultless() {
            self.mistake(
                place,
                "this price is never valid: its period and those of its currency do not overlap",
            );
        }
        lines
    }

    /// The prices of an entry in time: what it `was`, each until the next, then what it is.
    fn points<'r>(&mut self, raw: &'r RawLine) -> Vec<Point<'r>> {
        let now = self.source(&raw.source);
        let period = self.period(raw.since.as_ref(), raw.until.as_ref());
        if !raw.was.is_empty() && period.since.is_none() {
            self.mistake(raw.line.span(), "a line that `was` another price says `since` when it is this one");
        }
        let mut points = Vec::new();
        for (index, earlier) in raw.was.iter().enumerate() {
            let since = earlier.since.as_ref().and_then(|text| self.instant(text));
            let next = raw.was.get(index + 1).and_then(|next| next.since.as_ref());
            let until = next.map_or(period.since, |text| self.instant(text));
            let Some(own) = Period::default().and(Period { since, until }) else {
                self.mistake(earlier.amount.span(), "`was` is written from old to new");
                continue;
            };
            let source = earlier.source.as_ref().map_or_else(|| now.clone(), |name| self.source(name));
            let Some(source) = source else { continue };
            let (amount, amount_max) = (&earlier.amount, earlier.amount_max.as_ref());
            points.push(Point { amount, amount_max, period: own, source });
        }
        if let Some(source) = now {
            points.push(Point { amount: &raw.amount, amount_max: raw.amount_max.as_ref(), period, source });
        }
        points
    }

    /// Everything of a line but its price in time.
    fn frame(&mut self, raw: &RawLine, choices: &mut Vec<String>) -> Option<PriceLine> {
        let meter = raw.meter;
        let source = self.source(&raw.source)?;
        let also = raw.also.iter().filter_map(|name| self.source(name)).collect();
        let when = self.condition(raw.when.clone().unwrap_or_default());
        let per = raw.per.get_ref().checked_mul(meter.base_units_per_unit()).filter(|per| *per > 0);
        if per.is_none() {
            self.mistake(raw.per.span(), "`per` is a whole number of at least 1");
        }
        if !(0..=1000).contains(&raw.swing_per_mille.unwrap_or(0)) {
            self.mistake(raw.line.span(), "`swing_per_mille` is 0 to 1000");
        }
        let base_units = |units: i64| units.saturating_mul(meter.base_units_per_unit());
        // Left out: nothing is rounded, not even to a whole second or unit.
        let round_up = raw.round_up.as_ref().map_or(1, |value| base_units(*value.get_ref()));
        if round_up < 1 {
            self.mistake(raw.line.span(), "`round_up` is a whole number of at least 1");
        }
        let utilisation_percent = self.utilisation_percent(raw);
        let choice = raw.choice.as_ref().map(|name| self.choice(name, raw.line.span(), choices));
        let nothing = Price { amount: Ticks::ZERO, per: per? };
        Some(PriceLine {
            id: raw.line.get_ref().clone(),
            meter,
            price: nothing,
            price_expected: nothing,
            price_max: nothing,
            written: String::new(),
            each: raw.each.unwrap_or(usual_each(meter)),
            round_up,
            at_least: raw.at_least.map_or(0, base_units),
            from: raw.from.map_or(0, base_units),
            up_to: raw.up_to.map_or(i64::MAX, base_units),
            choice,
            steps_at_least: raw.steps_at_least.unwrap_or(0),
            input_at_most: raw.input_at_most.map_or(i64::MAX, base_units),
            tile_edge: raw.tile_edge.unwrap_or(0),
            utilisation_percent,
            only_reported: raw.only_reported,
            factored: if raw.factored { Factored::Every } else { Factored::OfResellers },
            when,
            period: Period::default(),
            source,
            rate: None,
            also,
        })
    }

    fn choice(&mut self, name: &str, place: Span<usize>, choices: &mut Vec<String>) -> u8 {
        let known = choices.iter().position(|choice| choice == name);
        let index = known.unwrap_or_else(|| {
            choices.push(name.to_owned());
            choices.len() - 1
        });
        if index >= 64 {
            self.mistake(place, "a sheet has at most 64 choices");
        }
        u8::try_from(index).unwrap_or(u8::MAX)
    }

    /// The least that a call costs.
    pub(super) fn minimum(&mut self, table: &mut Table<'_>) -> Option<Box<PriceLine>> {
        if let Some(bare) = table.get("minimum").filter(|value| !value.get_ref().is_table()) {
            let line = "{ line = \"least\", meter = \"calls\", amount = \"0.05\", source = \"page\" }";
            self.mistake(bare.span(), format!("a minimum is a price line of its own: minimum = {line}"));
            table.remove("minimum");
            return None;
        }
        let raw: RawLine = self.optional(table, "minimum")?;
        let place = raw.line.span();
        let plain = raw.meter == Meter::Calls && raw.was.is_empty() && *raw.per.get_ref() == 1;
        self.marginal(&raw, &[]);
        let mut lines = self.lines(&raw, &mut Vec::new());
        if !plain || lines.len() != 1 {
            self.mistake(place, "a minimum is one amount per call: meter = \"calls\", nothing that it `was`");
            return None;
        }
        lines.pop().map(Box::new)
    }

    pub(super) fn allowance(&mut self, raw: RawAllowance) -> Option<Allowance> {
        let source = self.source(&raw.source);
        let rates = self.rates(raw.currency.as_ref());
        let worth = self.amount(&raw.amount, rates.first()?.0);
        let (id, lines) = (raw.allowance.into_inner(), raw.lines);
        Some(Allowance { id, worth: worth?, lines, per: raw.per, source: source? })
    }

    pub(super) fn outputs(&mut self, raw: RawOutputs) -> Option<Outputs> {
        let when = self.condition(raw.when.unwrap_or_default());
        let source = self.source(&raw.source);
        if raw.max.is_some_and(|max| max < raw.min.max(1)) {
            self.mistake(raw.outputs.span(), "`max` is at least 1, and at least `min`");
        }
        if raw.max_includes_inputs && raw.max.is_none() {
            self.mistake(raw.outputs.span(), "`max_includes_inputs` needs a `max` that includes them");
        }
        let (id, min, max) = (raw.outputs.into_inner(), raw.min, raw.max);
        let max_includes_inputs = raw.max_includes_inputs;
        Some(Outputs { id, min, max, max_includes_inputs, when, source: source? })
    }

    pub(super) fn factor(&mut self, raw: RawFactor) -> Option<Factor> {
        let (numerator, denominator) = (raw.numerator, raw.denominator);
        let numerator_max = raw.numerator_max.unwrap_or(numerator);
        if numerator < 0 || denominator < 1 || numerator_max < numerator {
            let message = "a factor is numerator ≥ 0 over denominator ≥ 1, with numerator_max ≥ numerator";
            self.mistake(raw.factor.span(), message);
        }
        let period = self.period(raw.since.as_ref(), raw.until.as_ref());
        let when = self.condition(raw.when.unwrap_or_default());
        let source = self.source(&raw.source)?;
        let id = raw.factor.into_inner();
        Some(Factor { id, of_reseller: false, numerator, numerator_max, denominator, when, period, source })
    }

    pub(super) fn estimate(&mut self, raw: RawEstimate) -> Option<Estimate> {
        let when = self.condition(raw.when.unwrap_or_default());
        let source = self.source(&raw.source);
        let also = raw.also.iter().filter_map(|name| self.source(name)).collect();
        let form = match raw.form {
            RawForm::Fixed { min, expected, max } => EstimateForm::Fixed(Range { min, expected, max }),
            RawForm::CanvasTokens { by_quality, min_per_mille, max_per_mille } => {
                let by_quality = by_quality.into_iter().collect();
                EstimateForm::CanvasTokens { by_quality, min_per_mille, max_per_mille }
            }
            RawForm::PromptTokens { characters_per_token, overhead } => {
                EstimateForm::PromptTokens { characters_per_token, overhead }
            }
            RawForm::StartedPixels { first, further, pixels, pixels_for_min } => {
                let pixels_for_min = pixels_for_min.unwrap_or(pixels);
                EstimateForm::StartedPixels { first, further, pixels, pixels_for_min }
            }
            RawForm::WorkTime { base, per_megapixel_step, guided, min_per_mille, max_per_mille } => {
                EstimateForm::WorkTime { base, per_megapixel_step, guided, min_per_mille, max_per_mille }
            }
            RawForm::PerPartial { tokens } => EstimateForm::PerPartial { tokens },
            RawForm::Table(rows) => EstimateForm::Table(rows.into_iter().map(RawTableRow::row).collect()),
            RawForm::PerInput { min, expected, max } => EstimateForm::PerInput(Range { min, expected, max }),
            RawForm::CanvasPixels { pixels_per_token, at_most } => {
                EstimateForm::CanvasPixels { pixels_per_token, at_most }
            }
            RawForm::InputPixels { pixels_per_token, at_most } => {
                EstimateForm::InputPixels { pixels_per_token, at_most }
            }
            RawForm::ScaledTiles { short_edge, tile_edge, base, per_tile, adds } => {
                EstimateForm::ScaledTiles { short_edge, tile_edge, base, per_tile, adds }
            }
            RawForm::Learned { min, expected, max } => EstimateForm::Learned(Range { min, expected, max }),
        };
        check::estimate(self, raw.meter.span(), &form);
        Some(Estimate { meter: *raw.meter.get_ref(), each: raw.each, form, when, source: source?, also })
    }
}

/// One price in time.
struct Point<'r> {
    amount: &'r Spanned<String>,
    amount_max: Option<&'r Spanned<String>>,
    period: Period,
    source: Arc<Source>,
}

/// What a meter is usually taken per.
const fn usual_each(meter: Meter) -> Each {
    match meter {
        Meter::Calls | Meter::ToolCalls => Each::Call,
        Meter::InputImages | Meter::InputPixels | Meter::InputTiles | Meter::InputTileSteps => Each::Input,
        _ => Each::Image,
    }
}

fn written_price(amount: &Spanned<String>, max: Option<&Spanned<String>>, raw: &RawLine) -> String {
    let unit = raw.currency.as_ref().map_or("USD", |code| code.get_ref());
    let upper = max.map(|max| format!("–{}", max.get_ref())).unwrap_or_default();
    let per = *raw.per.get_ref();
    let per = if per == 1 { String::new() } else { format!("{per} ") };
    let spread = raw.utilisation_percent.as_ref().map(|percent| spread(*percent.get_ref()));
    format!("{}{upper} {unit} / {per}{}{}", amount.get_ref(), raw.meter.name(), spread.unwrap_or_default())
}
