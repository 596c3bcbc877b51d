//! OpenAI's image models: which exist on a day, what a picture of them takes in tokens, what a token costs.
//!
//! The formula for gpt-image-2 and later follows OpenAI's own calculator. The factors of 2.6 are not
//! published: `low` and `medium` here lie between three and four times 2.5 (33 and 44), `high` and up are
//! those of 2.5, and Flare without a quality reaches about 5,800 tokens at 1024x1024 (87). Older models have
//! a table by shape. Refuses to know sizes and words: `request.rs` checks those.

use jiff::civil::{Date, date};

use crate::money::{rated, ticks};

/// Generations with rules of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// 1, 1.5, 1-mini and chatgpt-image-latest.
    Old,
    Two,
    TwoFive,
    TwoSix,
}

/// One identifier that the API accepts.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) id: &'static str,
    pub(super) line: Line,
    pub(super) created: i64,
    pub(super) shutdown: Option<Date>,
    /// Ticks per million tokens.
    text_in: i64,
    image_in: i64,
    image_out: i64,
}

/// What a picture of a quality takes: a factor of the formula, or a row of the old table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quality {
    /// The word in the answer; never `auto`.
    pub(super) word: &'static str,
    pub(super) factor: i64,
}

const fn current(id: &'static str, line: Line, created: i64) -> Model {
    Model {
        id,
        line,
        created,
        shutdown: None,
        text_in: ticks("5"),
        image_in: ticks("8"),
        image_out: ticks("30"),
    }
}

/// `usd` per million tokens: text in, picture in, picture out.
const fn old(id: &'static str, created: i64, shutdown: Date, usd: [&str; 3]) -> Model {
    let (text_in, image_in, image_out) = (ticks(usd[0]), ticks(usd[1]), ticks(usd[2]));
    Model { id, line: Line::Old, created, shutdown: Some(shutdown), text_in, image_in, image_out }
}

const DECEMBER: Date = date(2026, 12, 1);

pub(super) const MODELS: &[Model] = &[
    current("gpt-image-2.6-flare", Line::TwoSix, 1_793_750_400),
    current("gpt-image-2.6-sunburst", Line::TwoSix, 1_793_750_400),
    current("gpt-image-2.5-flare", Line::TwoFive, 1_788_825_600),
    current("gpt-image-2.5-flare-2026-09-08", Line::TwoFive, 1_788_825_600),
    current("gpt-image-2.5-sunburst", Line::TwoFive, 1_788_825_600),
    current("gpt-image-2.5-sunburst-2026-09-08", Line::TwoFive, 1_788_825_600),
    current("gpt-image-2", Line::Two, 1_776_729_600),
    current("gpt-image-2-2026-04-21", Line::Two, 1_776_729_600),
    old("gpt-image-1.5", 1_765_843_200, DECEMBER, ["5", "8", "32"]),
    old("gpt-image-1.5-2025-12-16", 1_765_843_200, DECEMBER, ["5", "8", "32"]),
    old("chatgpt-image-latest", 1_765_843_200, DECEMBER, ["5", "8", "32"]),
    old("gpt-image-1-mini", 1_759_708_800, DECEMBER, ["2", "2.50", "8"]),
    old("gpt-image-1", 1_745_366_400, date(2026, 10, 23), ["5", "10", "40"]),
];

/// The model of that name, if it is still served on `today`.
pub(super) fn find(id: &str, today: Date) -> Option<&'static Model> {
    served(today).find(|model| model.id == id)
}

/// Every model that is served on `today`: the day of the shutdown is the first without it.
pub(super) fn served(today: Date) -> impl Iterator<Item = &'static Model> {
    MODELS.iter().filter(move |model| model.shutdown.is_none_or(|shutdown| today < shutdown))
}

impl Model {
    /// What the word means for this model; nothing if the model does not know it. What `auto` becomes is
    /// documented for 2.6 alone; elsewhere it is `high`, the dear side.
    pub(super) fn quality(&self, word: &str) -> Option<Quality> {
        if word == "auto" {
            return match self.id {
                "gpt-image-2.6-flare" => Some(Quality { word: "max", factor: 87 }),
                _ => self.quality("high"),
            };
        }
        let factors: &[(&'static str, i64)] = match self.line {
            Line::Old => &[("low", 0), ("medium", 1), ("high", 2)],
            Line::Two => &[("low", 16), ("medium", 48), ("high", 96)],
            Line::TwoFive => &[("low", 16), ("medium", 24), ("high", 48), ("xhigh", 64), ("max", 96)],
            Line::TwoSix => &[("low", 33), ("medium", 44), ("high", 48), ("xhigh", 64), ("max", 96)],
        };
        let known = factors.iter().find(|(known, _)| *known == word);
        known.map(|(word, factor)| Quality { word, factor: *factor })
    }

    /// Output tokens of one picture.
    pub(super) fn image_tokens(&self, quality: Quality, width: u32, height: u32) -> i64 {
        if self.line != Line::Old {
            return formula(quality.factor, i64::from(width), i64::from(height));
        }
        let [square, portrait, landscape] = match quality.factor {
            0 => [272, 408, 400],
            1 => [1056, 1584, 1568],
            _ => [4160, 6240, 6208],
        };
        match width.cmp(&height) {
            std::cmp::Ordering::Equal => square,
            std::cmp::Ordering::Less => portrait,
            std::cmp::Ordering::Greater => landscape,
        }
    }

    /// The invoice for these tokens: each meter is rounded for itself.
    pub(super) fn price(&self, text_in: i64, image_in: i64, image_out: i64) -> i64 {
        let meters = [(text_in, self.text_in), (image_in, self.image_in), (image_out, self.image_out)];
        meters.into_iter().map(|(tokens, rate)| rated(tokens, rate, 1_000_000)).sum()
    }
}

/// Tokens of a prompt: about four characters each and seven around it. Not OpenAI's tokenizer.
pub(super) fn text_tokens(prompt: &str) -> i64 {
    i64::try_from(prompt.chars().count().div_ceil(4)).expect("a prompt is short") + 7
}

fn formula(factor: i64, width: i64, height: i64) -> i64 {
    let (long, short) = (width.max(height), width.min(height));
    let side = (2 * factor * short + long) / (2 * long);
    (factor * side * (2_000_000 + width * height) + 3_999_999) / 4_000_000
}
