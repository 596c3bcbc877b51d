//! Google's image models: prices, image tokens by size tier, thinking, and the pixels that a ratio becomes.
//!
//! Tokens depend on the tier, not on the ratio. Pixels are a table at 1K (3.x and 2.5 differ), doubled for 2K,
//! fourfold for 4K, halved for 512; all are multiples of 16 at 1K. `gemini-3.1-flash-image` is deprecated
//! without a date that all sources agree on: it is served. `gemini-2.5-flash-image` stays only for accounts
//! that already used it: this one did not. Next: `request.rs`, `answer.rs`.

use jiff::civil::{Date, date};

use crate::money::{rated, ticks};
use crate::picture::PictureFormat;

/// A tier of the picture's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    Half,
    One,
    Two,
    Four,
}

/// One model that makes pictures.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) id: &'static str,
    pub(super) shutdown: Option<Date>,
    /// Ticks per million tokens: all input, text and thinking output, picture output.
    input: i64,
    /// Input that was cached; where no rate is listed, it costs like any other.
    cached: i64,
    text_out: i64,
    image_out: i64,
    /// Output tokens of a picture at 512, 1K, 2K, 4K; none where the tier is refused.
    tokens: [Option<i64>; 4],
    /// Tokens of one picture that is sent in.
    pub(super) image_in_tokens: i64,
    /// Levels that may be asked for, the default first; none: it does not think.
    pub(super) thinking: &'static [&'static str],
    /// Whether `imageSize` may be sent at all.
    pub(super) sized: bool,
    /// Whether the long ratios (1:4, 4:1, 1:8, 8:1) exist.
    pub(super) long_ratios: bool,
    pub(super) references_max: usize,
    pub(super) format: PictureFormat,
}

pub(super) const MODELS: &[Model] = &[
    Model {
        id: "gemini-nano-banana-2.1",
        shutdown: None,
        input: ticks("1.50"),
        cached: ticks("1.50"),
        text_out: ticks("7.50"),
        image_out: ticks("30"),
        tokens: [None, Some(1120), Some(1680), Some(3780)],
        image_in_tokens: 1120,
        thinking: &["MEDIUM", "MINIMAL", "HIGH"],
        sized: true,
        long_ratios: true,
        references_max: 14,
        format: PictureFormat::Png,
    },
    Model {
        id: "gemini-3.1-flash-image",
        shutdown: None,
        input: ticks("0.50"),
        cached: ticks("0.50"),
        text_out: ticks("3"),
        image_out: ticks("60"),
        tokens: [Some(747), Some(1120), Some(1680), Some(2520)],
        image_in_tokens: 1120,
        thinking: &["MINIMAL", "HIGH"],
        sized: true,
        long_ratios: true,
        references_max: 14,
        format: PictureFormat::Png,
    },
    Model {
        id: "gemini-3.1-flash-lite-image",
        shutdown: None,
        input: ticks("0.25"),
        cached: ticks("0.25"),
        text_out: ticks("1.50"),
        image_out: ticks("30"),
        tokens: [None, Some(1120), None, None],
        image_in_tokens: 1120,
        thinking: &["MINIMAL", "HIGH"],
        sized: true,
        long_ratios: false,
        references_max: 14,
        format: PictureFormat::Png,
    },
    Model {
        id: "gemini-3-pro-image",
        shutdown: None,
        input: ticks("2"),
        cached: ticks("0.20"),
        text_out: ticks("12"),
        image_out: ticks("120"),
        tokens: [None, Some(1120), Some(1120), Some(2000)],
        image_in_tokens: 560,
        thinking: &["HIGH", "MINIMAL", "LOW", "MEDIUM", "XHIGH"],
        sized: true,
        long_ratios: false,
        references_max: 14,
        format: PictureFormat::Jpeg,
    },
    Model {
        id: "gemini-2.5-flash-image",
        shutdown: Some(date(2026, 10, 2)),
        input: ticks("0.30"),
        cached: ticks("0.03"),
        text_out: ticks("2.50"),
        image_out: ticks("30"),
        tokens: [None, Some(1290), None, None],
        image_in_tokens: 1290,
        thinking: &[],
        sized: false,
        long_ratios: false,
        references_max: 3,
        format: PictureFormat::Png,
    },
];

/// Ratio, pixels at 1K of the 3.x models, pixels of 2.5.
type Shape = (&'static str, (u32, u32), (u32, u32));

const SHAPES: &[Shape] = &[
    ("1:1", (1024, 1024), (1024, 1024)),
    ("2:3", (848, 1264), (832, 1248)),
    ("3:2", (1264, 848), (1248, 832)),
    ("3:4", (896, 1200), (864, 1184)),
    ("4:3", (1200, 896), (1184, 864)),
    ("4:5", (928, 1152), (896, 1152)),
    ("5:4", (1152, 928), (1152, 896)),
    ("9:16", (768, 1376), (768, 1344)),
    ("16:9", (1376, 768), (1344, 768)),
    ("21:9", (1584, 672), (1536, 672)),
];

const LONG_SHAPES: &[Shape] = &[
    ("1:4", (512, 2048), (0, 0)),
    ("4:1", (2048, 512), (0, 0)),
    ("1:8", (352, 2816), (0, 0)),
    ("8:1", (2816, 352), (0, 0)),
];

/// Meters of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) text_in: i64,
    pub(super) image_in: i64,
    pub(super) text_out: i64,
    pub(super) image_out: i64,
    pub(super) thoughts: i64,
    /// Part of the input, the text first.
    pub(super) cached: i64,
}

/// The model of that name, if it is served on `today`.
pub(super) fn find(id: &str, today: Date) -> Option<&'static Model> {
    served(today).find(|model| model.id == id)
}

pub(super) fn served(today: Date) -> impl Iterator<Item = &'static Model> {
    MODELS.iter().filter(move |model| model.shutdown.is_none_or(|shutdown| today < shutdown))
}

impl Model {
    pub(super) fn tier(&self, word: &str) -> Option<Tier> {
        let tier = match word {
            "512" => Tier::Half,
            "1K" => Tier::One,
            "2K" => Tier::Two,
            "4K" => Tier::Four,
            _ => return None,
        };
        (self.sized && self.tokens[tier as usize].is_some()).then_some(tier)
    }

    pub(super) fn image_tokens(&self, tier: Tier) -> i64 {
        self.tokens[tier as usize].expect("a tier was checked when it was read")
    }

    /// Pixels of a ratio; nothing if the model does not know it.
    pub(super) fn pixels(&self, ratio: &str, tier: Tier) -> Option<(u32, u32)> {
        let (_, three, two) = self.shapes().find(|(known, ..)| *known == ratio)?;
        let (width, height) = if self.sized { *three } else { *two };
        Some(match tier {
            Tier::Half => (width / 2, height / 2),
            Tier::One => (width, height),
            Tier::Two => (width * 2, height * 2),
            Tier::Four => (width * 4, height * 4),
        })
    }

    /// The ratio that is nearest to a picture of these pixels.
    pub(super) fn nearest_ratio(&self, width: u32, height: u32) -> &'static str {
        let distance = |(_, (w, h), _): &&Shape| {
            let (left, right) = (u64::from(*w) * u64::from(height), u64::from(*h) * u64::from(width));
            // Relative distance in millionths, the same for a ratio and its inverse.
            left.abs_diff(right) * 1_000_000 / left.min(right).max(1)
        };
        self.shapes().min_by_key(distance).map_or("1:1", |(ratio, ..)| *ratio)
    }

    fn shapes(&self) -> impl Iterator<Item = &'static Shape> {
        SHAPES.iter().chain(if self.long_ratios { LONG_SHAPES } else { &[] })
    }

    /// The invoice at a share of the list price, each meter rounded for itself.
    pub(super) fn price(&self, usage: &Usage, percent: i64) -> i64 {
        let meters = [
            (usage.text_in + usage.image_in - usage.cached, self.input),
            (usage.cached, self.cached),
            (usage.text_out + usage.thoughts, self.text_out),
            (usage.image_out, self.image_out),
        ];
        meters.into_iter().map(|(tokens, rate)| rated(tokens, rate * percent, 100_000_000)).sum()
    }
}

/// Thinking tokens of a level: one of Google's answers shows 212 for the least, the rest is a guess.
pub(super) fn thinking_tokens(level: &str) -> i64 {
    match level {
        "MINIMAL" => 212,
        "LOW" => 318,
        "MEDIUM" => 424,
        "HIGH" => 848,
        "XHIGH" => 1696,
        _ => 0,
    }
}

/// Tokens of a text: about four characters each and three around it. Not Google's tokenizer.
pub(super) fn text_tokens(text: &str) -> i64 {
    i64::try_from(text.chars().count().div_ceil(4)).expect("a request is small") + 3
}
