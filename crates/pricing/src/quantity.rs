//! How much of a meter a call uses: derived from its facts where they determine it, else estimated.

use crate::facts::Facts;
use crate::sheet::{Each, Estimate, EstimateForm, PriceLine, PriceSheet, Range, TableRow};
use gallerist_domain::{Meter, Size};
use jiff::Timestamp;

/// A quantity with the unit it is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    pub each: Each,
    pub range: Range,
}

/// What the facts alone determine of a line's meter.
pub fn derived(line: &PriceLine, facts: &Facts<'_>) -> Option<Quantity> {
    let steps = i64::from(facts.steps.max(line.steps_at_least));
    let pixels = facts.size.pixels();
    let image = |quantity| Some(Quantity { each: Each::Image, range: Range::exact(quantity) });
    let call = |quantity| Some(Quantity { each: Each::Call, range: Range::exact(quantity) });
    match line.meter {
        Meter::Calls => call(1),
        Meter::Images => image(1),
        Meter::OutputPixels => image(pixels),
        Meter::ImageSteps => image(steps),
        Meter::PixelSteps => image(pixels.saturating_mul(steps)),
        Meter::OutputTiles => image(tiles(facts.size, line.tile_edge)),
        Meter::OutputTileSteps => image(tiles(facts.size, line.tile_edge).saturating_mul(steps)),
        Meter::PartialImages => {
            let asked = i64::from(facts.partial_images);
            Some(Quantity { each: Each::Image, range: Range { min: 0, expected: asked, max: asked } })
        }
        Meter::InputImages => call(facts.input_count()),
        Meter::InputPixels => call(of_inputs(line, facts, Size::pixels)),
        Meter::InputTiles => call(of_inputs(line, facts, |size| tiles(size, line.tile_edge))),
        Meter::InputTileSteps => {
            call(of_inputs(line, facts, |size| tiles(size, line.tile_edge).saturating_mul(steps)))
        }
        // An uncounted mask marks at most the whole picture.
        Meter::MaskPixels => {
            let range = match facts.mask_pixels {
                Some(marked) => Range::exact(marked.clamp(0, pixels)),
                None => Range { min: 0, expected: pixels, max: pixels },
            };
            Some(Quantity { each: Each::Image, range })
        }
        Meter::Loras => image(i64::from(facts.loras)),
        Meter::ControlNets => image(i64::from(facts.controls)),
        Meter::IpAdapters => image(i64::from(facts.ip_adapters)),
        // Allowed, not ordered: the model decides.
        Meter::ToolCalls => {
            let allowed = i64::from(facts.tool_calls);
            Some(Quantity { each: Each::Call, range: Range { min: 0, expected: allowed, max: allowed } })
        }
        _ => None,
    }
}

/// Squares of `edge` pixels that cover a picture, counted by started edges.
fn tiles(size: Size, edge: u32) -> i64 {
    let edge = edge.max(1);
    i64::from(size.width.div_ceil(edge)) * i64::from(size.height.div_ceil(edge))
}

/// The sum over the pictures that are sent in, each rounded by itself where the line says so.
fn of_inputs(line: &PriceLine, facts: &Facts<'_>, measure: impl Fn(Size) -> i64) -> i64 {
    let counted = |size: &Size| match line.each {
        Each::Input => line.rounded(measure(*size).min(line.input_at_most)),
        Each::Image | Each::Call => measure(*size),
    };
    facts.inputs.iter().map(counted).fold(0, i64::saturating_add)
}

/// Whether an estimate adds what partial pictures take to another.
fn adds(estimate: &Estimate) -> bool {
    matches!(estimate.form, EstimateForm::PerPartial { .. })
}

/// The first estimate of the sheet for this meter whose condition holds.
pub fn estimate_of<'a>(
    meter: Meter,
    sheet: &'a PriceSheet,
    facts: &Facts<'_>,
    at: Timestamp,
) -> Option<&'a Estimate> {
    sheet.estimates.iter().find(|e| e.meter == meter && !adds(e) && e.when.matches(facts, at))
}

/// That estimate's quantity, plus what partial pictures add.
pub fn estimated(meter: Meter, sheet: &PriceSheet, facts: &Facts<'_>, at: Timestamp) -> Option<Quantity> {
    let estimate = estimate_of(meter, sheet, facts, at)?;
    let mut fitting = sheet.estimates.iter().filter(|e| e.meter == meter && e.when.matches(facts, at));
    let mut range = evaluate(estimate, meter, facts)?;
    if facts.partial_images > 0
        && let Some(partials) = fitting.find(|e| adds(e) && e.each == estimate.each)
    {
        let more = evaluate(partials, meter, facts)?;
        range.min = range.min.checked_add(more.min)?;
        range.expected = range.expected.checked_add(more.expected)?;
        range.max = range.max.checked_add(more.max)?;
    }
    Some(Quantity { each: estimate.each, range })
}

fn evaluate(estimate: &Estimate, meter: Meter, facts: &Facts<'_>) -> Option<Range> {
    let pixels = facts.size.pixels();
    match &estimate.form {
        EstimateForm::Fixed(range) => Some(*range),
        EstimateForm::CanvasTokens { by_quality, min_per_mille, max_per_mille } => {
            let (_, factor) = by_quality.iter().find(|(label, _)| label == facts.quality)?;
            spread(canvas_tokens(*factor, facts), *min_per_mille, *max_per_mille)
        }
        EstimateForm::PromptTokens { characters_per_token, overhead } => {
            Some(prompt_tokens(meter, *characters_per_token, *overhead, facts))
        }
        EstimateForm::StartedPixels { first, further, pixels: unit, pixels_for_min } => {
            let units = |unit: i64| first + further * (ceiling(pixels, unit).max(1) - 1);
            Some(Range { min: units(*pixels_for_min), expected: units(*unit), max: units(*unit) })
        }
        EstimateForm::WorkTime { base, per_megapixel_step, guided, min_per_mille, max_per_mille } => {
            let one_pass = *guided && facts.guidance_milli.is_some_and(|guidance| guidance <= 1_000);
            let spread_over = |divisor: i128| {
                let work = i128::from(*per_megapixel_step) * i128::from(pixels) * i128::from(facts.steps);
                let expected = base.checked_add(i64::try_from(work / divisor).ok()?)?;
                spread(expected, *min_per_mille, *max_per_mille)
            };
            let both = spread_over(1_000_000)?;
            // Not every engine leaves the other pass out.
            let bounds = match one_pass {
                true => Range { max: both.max, ..spread_over(2_000_000)? },
                false => both,
            };
            Some(taught(estimate, facts).map_or(bounds, |taught| taught.within(bounds)))
        }
        EstimateForm::PerPartial { tokens } => {
            let asked = i64::from(facts.partial_images) * tokens;
            Some(Range { min: 0, expected: asked, max: asked })
        }
        EstimateForm::Table(rows) => rows.iter().find(|row| row.holds(facts)).map(|row| row.quantity),
        EstimateForm::PerInput(range) => range.times(facts.input_count()),
        EstimateForm::CanvasPixels { pixels_per_token, at_most } => {
            Some(Range::exact(pixel_tokens(pixels, *pixels_per_token, *at_most)))
        }
        EstimateForm::InputPixels { pixels_per_token, at_most } => {
            let tokens = |size: &Size| pixel_tokens(size.pixels(), *pixels_per_token, *at_most);
            Some(Range::exact(facts.inputs.iter().map(tokens).sum()))
        }
        EstimateForm::ScaledTiles { short_edge, tile_edge, base, per_tile, adds } => {
            let besides = |size: Size| adds.iter().find(|add| add.each_input.hold(size));
            let tokens = |size: &Size| {
                let tiles = scaled_tiles(*size, *short_edge, *tile_edge);
                base + per_tile * tiles + besides(*size).map_or(0, |add| add.quantity)
            };
            Some(Range::exact(facts.inputs.iter().map(tokens).sum()))
        }
        EstimateForm::Learned(fallback) => Some(taught(estimate, facts).unwrap_or(*fallback)),
    }
}

/// What past charges teach about this estimate.
fn taught(estimate: &Estimate, facts: &Facts<'_>) -> Option<Range> {
    facts.learned.and_then(|learned| learned.about(estimate))
}

/// Whether the expected quantity is what past charges teach, and not a figure of the sheet: the estimate gives way to
/// them, and they lie within its bounds.
pub fn is_learned(estimate: &Estimate, facts: &Facts<'_>) -> bool {
    let gives_way = matches!(estimate.form, EstimateForm::Learned(_) | EstimateForm::WorkTime { .. });
    gives_way
        && taught(estimate, facts).is_some_and(|taught| {
            evaluate(estimate, estimate.meter, facts).is_some_and(|range| range.expected == taught.expected)
        })
}

/// No token covers less than a byte, so the bytes bound the tokens. What the provider holds in its cache is
/// counted apart; that it still does is hoped for, not promised.
fn prompt_tokens(meter: Meter, characters_per_token: i64, overhead: i64, facts: &Facts<'_>) -> Range {
    let cached = facts.cached_characters.clamp(0, facts.prompt_characters);
    if meter == Meter::TextInputCachedTokens {
        let expected = cached / characters_per_token;
        return Range { min: 0, expected, max: expected };
    }
    let expected = ceiling(facts.prompt_characters - cached, characters_per_token) + overhead;
    Range { min: expected.min(1), expected, max: facts.prompt_bytes + overhead }
}

fn pixel_tokens(pixels: i64, pixels_per_token: i64, at_most: i64) -> i64 {
    let tokens = ceiling(pixels, pixels_per_token);
    if at_most > 0 { tokens.min(at_most) } else { tokens }
}

/// Started tiles of a picture whose short edge was scaled to `short_edge`; the long one is rounded to whole
/// pixels, half up.
fn scaled_tiles(size: Size, short_edge: i64, tile_edge: i64) -> i64 {
    let (long, short) = (i64::from(size.long_edge()), i64::from(size.short_edge()).max(1));
    let scaled_long = (2 * long * short_edge + short) / (2 * short);
    ceiling(short_edge, tile_edge) * ceiling(scaled_long, tile_edge)
}

impl TableRow {
    fn holds(&self, facts: &Facts<'_>) -> bool {
        self.quality.as_deref().is_none_or(|quality| quality == facts.quality)
            && self.size.is_none_or(|size| size == facts.size)
            && self.resolution.as_deref().is_none_or(|resolution| resolution == facts.resolution)
    }
}

impl Range {
    fn times(self, count: i64) -> Option<Range> {
        Some(Range {
            min: self.min.checked_mul(count)?,
            expected: self.expected.checked_mul(count)?,
            max: self.max.checked_mul(count)?,
        })
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

impl PriceSheet {
    /// Pictures that a call makes: those that are asked for, unless the model decides.
    pub fn pictures(&self, facts: &Facts<'_>, at: Timestamp) -> Range {
        let asked = i64::from(facts.n);
        let Some(outputs) = self.outputs.iter().find(|outputs| outputs.when.matches(facts, at)) else {
            return Range::exact(asked);
        };
        let least = i64::from(outputs.min);
        match outputs.max {
            Some(max) => {
                let sent_in = if outputs.max_includes_inputs { facts.input_count() } else { 0 };
                // Where there is room for none, one is what a call is made for.
                let most = asked * (i64::from(max) - sent_in).max(least).max(1);
                Range { min: asked * least, expected: most, max: most }
            }
            None => Range { min: least.min(asked), expected: asked, max: asked },
        }
    }
}

impl PriceLine {
    /// What of `quantity` this line bills: rounded up, at least the minimum, cut to its slice.
    pub fn billed_quantity(&self, quantity: i64) -> i64 {
        (self.rounded(quantity).min(self.up_to) - self.from).max(0)
    }

    /// A quantity rounded up, and at least the minimum if there is any.
    fn rounded(&self, quantity: i64) -> i64 {
        if quantity <= 0 {
            return 0;
        }
        ceiling(quantity.max(self.at_least), self.round_up).saturating_mul(self.round_up)
    }

    /// Bills a quantity for `images` pictures, per picture or for the call as the line says. What is counted
    /// once for the call (a prompt) is billed once.
    pub fn billed_for(&self, quantity: Quantity, images: Range) -> Range {
        let bill = |value: i64, images: i64| match (self.each, quantity.each) {
            (Each::Image, Each::Image) => self.billed_quantity(value).saturating_mul(images),
            (Each::Call | Each::Input, Each::Image) => self.billed_quantity(value.saturating_mul(images)),
            // The parts of what goes in are rounded already.
            (Each::Input, Each::Call | Each::Input) => (value.min(self.up_to) - self.from).max(0),
            (_, Each::Call | Each::Input) => self.billed_quantity(value),
        };
        let Range { min, expected, max } = quantity.range;
        Range {
            min: bill(min, images.min),
            expected: bill(expected, images.expected),
            max: bill(max, images.max),
        }
    }
}
