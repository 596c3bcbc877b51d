//! How a quantity is estimated before the call that only the provider's answer will tell.

use super::{Condition, Each, Source};
use gallerist_domain::{Meter, PictureLimits, Size};
use serde::Deserialize;
use std::sync::Arc;

/// A quantity before the call: `min ≤ expected ≤ max`, in base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub min: i64,
    pub expected: i64,
    pub max: i64,
}

impl Range {
    pub const fn exact(quantity: i64) -> Range {
        Range { min: quantity, expected: quantity, max: quantity }
    }

    /// Each of the three figures, or the bound that it would pass.
    pub fn within(self, bounds: Range) -> Range {
        let kept = |quantity: i64| quantity.clamp(bounds.min, bounds.max);
        Range { min: kept(self.min), expected: kept(self.expected), max: kept(self.max) }
    }
}

/// One row of [`EstimateForm::Table`]; what is absent does not restrict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableRow {
    pub quality: Option<String>,
    pub size: Option<Size>,
    pub resolution: Option<String>,
    pub quantity: Range,
}

/// How a quantity is estimated that only the provider's answer will tell.
#[derive(Clone, Debug)]
pub struct Estimate {
    pub meter: Meter,
    pub each: Each,
    pub form: EstimateForm,
    pub when: Condition,
    pub source: Arc<Source>,
    /// Further sources: those that agree, and those of a reading that conflicts.
    pub also: Vec<Arc<Source>>,
}

/// What a picture that is sent in counts besides, by its shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { quantity = 129 }")]
pub struct InputAdder {
    /// The shape that the picture has; any when left out.
    #[serde(default)]
    pub each_input: PictureLimits,
    /// Base units of the meter; not negative.
    pub quantity: i64,
}

/// The closed list of estimators; data in the catalogue.
#[derive(Clone, Debug)]
pub enum EstimateForm {
    Fixed(Range),
    /// `ceil(q · s · (2,000,000 + W·H) / 4,000,000)` with `s = round_half_up(q · short / long)` and q by
    /// quality label: output tokens of the gpt-image family (shared sheet, section 10).
    /// Where the factors are only about right, the bounds are spread by per mille around the expectation.
    CanvasTokens {
        by_quality: Vec<(String, i64)>,
        min_per_mille: i64,
        max_per_mille: i64,
    },
    /// Tokens of a prompt: expected `ceil(characters ÷ divisor) + overhead`; at most one per byte, plus
    /// the overhead, because no token covers less than a byte.
    PromptTokens {
        characters_per_token: i64,
        overhead: i64,
    },
    /// `first` units, and `further` per started `pixels` of each picture beyond. Where sources leave open what a
    /// megapixel is, the smaller one makes the higher figure, which counts; the lower end is by `pixels_for_min`.
    StartedPixels {
        first: i64,
        further: i64,
        pixels: i64,
        pixels_for_min: i64,
    },
    /// `base + per_megapixel_step · pixels · steps ÷ 10⁶`, spread by per mille around the expectation. Where the
    /// model is `guided`, that is two passes a step, of which guidance of 1 or less leaves one; at most both all the
    /// same. Within that spread it gives way to what past charges teach.
    WorkTime {
        base: i64,
        per_megapixel_step: i64,
        guided: bool,
        min_per_mille: i64,
        max_per_mille: i64,
    },
    /// Tokens per partial picture asked for; none may come. Adds to the other estimate of its meter.
    PerPartial {
        tokens: i64,
    },
    /// The first row whose words hold: quality × size, or a tier table by resolution.
    Table(Vec<TableRow>),
    /// So many for each picture that is sent in.
    PerInput(Range),
    /// `ceil(pixels ÷ pixels_per_token)` of the output, at most `at_most` a picture where that is not 0.
    CanvasPixels {
        pixels_per_token: i64,
        at_most: i64,
    },
    /// The same for each picture that is sent in.
    InputPixels {
        pixels_per_token: i64,
        at_most: i64,
    },
    /// Each picture that is sent in is scaled until its short edge is `short_edge`, and counts `base` plus
    /// `per_tile` for each started tile, plus what the first adder says that fits its own shape.
    ScaledTiles {
        short_edge: i64,
        tile_edge: i64,
        base: i64,
        per_tile: i64,
        adds: Vec<InputAdder>,
    },
    /// What past charges of the offer teach; until there are any, this range.
    Learned(Range),
}
