//! How much of a meter a call uses: derived from its facts where they determine it, else estimated.

use crate::facts::Facts;
use crate::sheet::{Each, Estimate, EstimateForm, PriceLine, PriceSheet, Range};
use gallerist_domain::Meter;
use jiff::Timestamp;

/// A quantity with the unit it is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    pub each: Each,
    pub range: Range,
}

/// What the facts alone determine.
pub fn derived(meter: Meter, facts: &Facts<'_>) -> Option<Quantity> {
    let pixels = facts.size.pixels();
    let steps = i64::from(facts.steps);
    let image = |quantity| Some(Quantity { each: Each::Image, range: Range::exact(quantity) });
    match meter {
        Meter::Calls => Some(Quantity { each: Each::Call, range: Range::exact(1) }),
        Meter::Images => image(1),
        Meter::OutputPixels => image(pixels),
        Meter::ImageSteps => image(steps),
        Meter::PixelSteps => image(pixels.saturating_mul(steps)),
        Meter::PartialImages => {
            let asked = i64::from(facts.partial_images);
            Some(Quantity { each: Each::Image, range: Range { min: 0, expected: asked, max: asked } })
        }
        // None of these can be part of a call yet: nothing is sent, so nothing is counted.
        Meter::InputPixels
        | Meter::MaskPixels
        | Meter::InputImages
        | Meter::Loras
        | Meter::ControlNets
        | Meter::IpAdapters => image(0),
        _ => None,
    }
}

/// The first estimate of the sheet for this meter whose condition holds, plus what partial pictures add.
pub fn estimated(meter: Meter, sheet: &PriceSheet, facts: &Facts<'_>, at: Timestamp) -> Option<Quantity> {
    let adds = |estimate: &Estimate| matches!(estimate.form, EstimateForm::PerPartial { .. });
    let mut fitting = sheet.estimates.iter().filter(|e| e.meter == meter && e.when.matches(facts, at));
    let estimate = fitting.clone().find(|e| !adds(e))?;
    let mut range = evaluate(estimate, facts)?;
    if facts.partial_images > 0
        && let Some(partials) = fitting.find(|e| adds(e) && e.each == estimate.each)
    {
        let more = evaluate(partials, facts)?;
        range.min = range.min.checked_add(more.min)?;
        range.expected = range.expected.checked_add(more.expected)?;
        range.max = range.max.checked_add(more.max)?;
    }
    Some(Quantity { each: estimate.each, range })
}

fn evaluate(estimate: &Estimate, facts: &Facts<'_>) -> Option<Range> {
    let pixels = facts.size.pixels();
    match &estimate.form {
        EstimateForm::Fixed(range) => Some(*range),
        EstimateForm::CanvasTokens { by_quality, min_per_mille, max_per_mille } => {
            let (_, factor) = by_quality.iter().find(|(label, _)| label == facts.quality)?;
            spread(canvas_tokens(*factor, facts), *min_per_mille, *max_per_mille)
        }
        EstimateForm::PromptTokens { characters_per_token, overhead } => {
            let expected = ceiling(facts.prompt_characters, *characters_per_token) + overhead;
            Some(Range { min: expected.min(1), expected, max: facts.prompt_bytes + overhead })
        }
        EstimateForm::StartedPixels { first, further, pixels: unit, pixels_for_max } => {
            let units = |unit: i64| first + further * (ceiling(pixels, unit).max(1) - 1);
            Some(Range { min: units(*unit), expected: units(*unit), max: units(*pixels_for_max) })
        }
        EstimateForm::WorkTime { base, per_megapixel_step, min_per_mille, max_per_mille } => {
            let work =
                i128::from(*per_megapixel_step) * i128::from(pixels) * i128::from(facts.steps) / 1_000_000;
            let expected = base.checked_add(i64::try_from(work).ok()?)?;
            spread(expected, *min_per_mille, *max_per_mille)
        }
        EstimateForm::PerPartial { tokens } => {
            let asked = i64::from(facts.partial_images) * tokens;
            Some(Range { min: 0, expected: asked, max: asked })
        }
    }
}

/// An expectation with bounds in thousandths of it; the upper bound is rounded up.
fn spread(expected: i64, min_per_mille: i64, max_per_mille: i64) -> Option<Range> {
    let max = expected.checked_mul(max_per_mille)?;
    Some(Range { min: expected.checked_mul(min_per_mille)? / 1000, expected, max: ceiling(max, 1000) })
}

/// Output tokens of one picture in the gpt-image family, in whole numbers throughout.
fn canvas_tokens(factor: i64, facts: &Facts<'_>) -> i64 {
    let (long, short) = (i64::from(facts.size.long_edge()), i64::from(facts.size.short_edge()));
    let scaled_short = (2 * factor * short + long) / (2 * long);
    let product = i128::from(factor * scaled_short) * i128::from(2_000_000 + facts.size.pixels());
    i64::try_from((product + 3_999_999) / 4_000_000).unwrap_or(i64::MAX)
}

fn ceiling(quantity: i64, unit: i64) -> i64 {
    quantity / unit + i64::from(quantity % unit > 0)
}

impl PriceLine {
    /// What of `quantity` this line bills: rounded up, at least the minimum, cut to its slice.
    pub fn billed_quantity(&self, quantity: i64) -> i64 {
        if quantity <= 0 {
            return 0;
        }
        let rounded = ceiling(quantity.max(self.at_least), self.round_up).saturating_mul(self.round_up);
        (rounded.min(self.up_to) - self.from).max(0)
    }

    /// Bills a quantity for `images` pictures, per picture or for the call as the line says. What is counted
    /// once for the call (a prompt) is billed once.
    pub fn billed_for(&self, quantity: Quantity, images: i64) -> Range {
        let bill = |value: i64| match (self.each, quantity.each) {
            (Each::Image, Each::Image) => self.billed_quantity(value).saturating_mul(images),
            (Each::Call, Each::Image) => self.billed_quantity(value.saturating_mul(images)),
            (_, Each::Call) => self.billed_quantity(value),
        };
        let Range { min, expected, max } = quantity.range;
        Range { min: bill(min), expected: bill(expected), max: bill(max) }
    }
}
