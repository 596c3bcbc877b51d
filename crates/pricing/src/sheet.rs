//! The grammar of a price: lines, conditions, factors, estimators and the outcome matrix.
//!
//! A price sheet is a list of lines. A line is a meter × an amount per base units, under conditions,
//! with rounding and slices; then factors; then the outcome matrix says what is charged when things go
//! wrong. Every billing form is written with these words, so that no provider needs code of its own.
//! These are the checked types; `catalogue::read` makes them from files.

use crate::facts::Facts;
use gallerist_domain::{Billed, ChargeEvent, Decimal, Meter, Operation, OutputFormat, Price, Size};
use jiff::Timestamp;
use serde::Deserialize;
use std::sync::Arc;

/// How sure a figure is, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    Official,
    ThirdParty,
    Derived,
    Unverified,
}

impl Confidence {
    pub const fn as_str(self) -> &'static str {
        match self {
            Confidence::Official => "official",
            Confidence::ThirdParty => "third_party",
            Confidence::Derived => "derived",
            Confidence::Unverified => "unverified",
        }
    }
}

/// Where a figure comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The page or document.
    pub what: String,
    /// The day it was read, as `2026-11-22`.
    pub date: jiff::civil::Date,
    pub confidence: Confidence,
}

/// Whether a quantity is taken per picture (and then times the pictures) or per call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Each {
    Image,
    Call,
}

/// One billable meter × unit price under conditions.
#[derive(Clone, Debug)]
pub struct PriceLine {
    /// Stable within the sheet; charges refer to it.
    pub id: String,
    pub meter: Meter,
    /// The lower end of the price.
    pub price: Price,
    /// The upper end, where the sources leave the truth open; equals `price` when it is settled.
    pub price_max: Price,
    /// The amount as it is written in the sheet's own currency, for display: `3 credit`.
    pub written: String,
    pub each: Each,
    /// Quantities are rounded up to a multiple of this (a whole megapixel, a started second); 1 for none.
    pub round_up: i64,
    /// Smallest quantity that is charged once there is any.
    pub at_least: i64,
    /// The slice of the quantity that this line prices: from (exclusive) …
    pub from: i64,
    /// … up to (inclusive); `i64::MAX` for no end.
    pub up_to: i64,
    /// Lines of one choice exclude each other: the first that matches counts, and one must. Index into
    /// [`PriceSheet::choices`].
    pub choice: Option<u8>,
    /// Counts only when the provider reports its meter; quoted as nothing.
    pub only_reported: bool,
    /// Whether the factors of the sheet apply.
    pub factored: bool,
    pub when: Condition,
    pub period: Period,
    pub source: Arc<Source>,
}

impl PriceLine {
    /// Dollars for one unit as people count it, `0.0300000000`; per more than one, `30.0000000000 / 1000000`.
    pub fn unit_price_usd(&self) -> String {
        let per = self.price_max.per / self.meter.base_units_per_unit();
        if per == 1 {
            self.price_max.amount.to_string()
        } else {
            format!("{} / {per}", self.price_max.amount)
        }
    }
}

/// A half-open span of time; the price instant (acceptance of the request) is tested against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Period {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl Period {
    pub fn contains(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// A recurring window of the clock, such as 02:00–06:00 UTC from Monday to Friday.
#[derive(Clone, Debug)]
pub struct Window {
    pub zone: jiff::tz::TimeZone,
    /// Empty: every day.
    pub weekdays: Vec<jiff::civil::Weekday>,
    pub from: jiff::civil::Time,
    /// Exclusive; earlier than `from` means past midnight.
    pub until: jiff::civil::Time,
}

impl Window {
    pub fn contains(&self, at: Timestamp) -> bool {
        let local = at.to_zoned(self.zone.clone());
        let time = local.time();
        let over_midnight = self.until <= self.from;
        let inside = if over_midnight {
            time >= self.from || time < self.until
        } else {
            time >= self.from && time < self.until
        };
        // After midnight the window belongs to the day on which it began.
        let began_yesterday = over_midnight && time < self.until;
        let day = if began_yesterday { local.weekday().previous() } else { local.weekday() };
        inside && (self.weekdays.is_empty() || self.weekdays.contains(&day))
    }
}

/// When a line or a factor applies. Empty lists and absent limits do not restrict.
#[derive(Clone, Debug, Default)]
pub struct Condition {
    pub operations: Vec<Operation>,
    pub qualities: Vec<String>,
    pub sizes: Vec<Size>,
    pub resolutions: Vec<String>,
    pub formats: Vec<OutputFormat>,
    pub tiers: Vec<String>,
    /// Output pixels of one picture, inclusive.
    pub pixels_min: Option<i64>,
    pub pixels_max: Option<i64>,
    /// Steps, inclusive.
    pub steps_min: Option<u32>,
    pub steps_max: Option<u32>,
    pub stream: Option<bool>,
    pub window: Option<Window>,
}

fn holds<T: PartialEq>(allowed: &[T], value: &T) -> bool {
    allowed.is_empty() || allowed.contains(value)
}

fn holds_word(allowed: &[String], value: &str) -> bool {
    allowed.is_empty() || allowed.iter().any(|word| word == value)
}

impl Condition {
    pub fn matches(&self, facts: &Facts<'_>, at: Timestamp) -> bool {
        let pixels = facts.size.pixels();
        holds(&self.operations, &facts.operation)
            && holds_word(&self.qualities, facts.quality)
            && holds(&self.sizes, &facts.size)
            && holds_word(&self.resolutions, facts.resolution)
            && holds(&self.formats, &facts.output_format)
            && holds_word(&self.tiers, facts.tier)
            && self.pixels_min.is_none_or(|min| pixels >= min)
            && self.pixels_max.is_none_or(|max| pixels <= max)
            && self.steps_min.is_none_or(|min| facts.steps >= min)
            && self.steps_max.is_none_or(|max| facts.steps <= max)
            && self.stream.is_none_or(|stream| stream == facts.stream)
            && self.window.as_ref().is_none_or(|window| window.contains(at))
    }
}

/// A multiplier on every factored line: a batch discount, a region, an aggregator's surcharge.
#[derive(Clone, Debug)]
pub struct Factor {
    pub id: String,
    /// At least 0.
    pub numerator: i64,
    /// At least 1.
    pub denominator: i64,
    pub when: Condition,
    pub period: Period,
    pub source: Arc<Source>,
}

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
}

/// How a quantity is estimated that only the provider's answer will tell.
#[derive(Clone, Debug)]
pub struct Estimate {
    pub meter: Meter,
    pub each: Each,
    pub form: EstimateForm,
    pub when: Condition,
    pub source: Arc<Source>,
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
    /// `units` per started `pixels` of each picture; the upper end with a smaller megapixel.
    StartedPixels {
        first: i64,
        further: i64,
        pixels: i64,
        pixels_for_max: i64,
    },
    /// `base + per_megapixel_step · pixels · steps ÷ 10⁶`, spread by per mille around the expectation.
    WorkTime {
        base: i64,
        per_megapixel_step: i64,
        min_per_mille: i64,
        max_per_mille: i64,
    },
    /// Tokens per partial picture asked for; none may come. Adds to the other estimate of its meter.
    PerPartial {
        tokens: i64,
    },
}

/// What is charged on each event.
#[derive(Clone, Debug)]
pub struct OutcomeMatrix(Vec<(ChargeEvent, Billed)>);

impl OutcomeMatrix {
    pub fn new(rows: Vec<(ChargeEvent, Billed)>) -> OutcomeMatrix {
        OutcomeMatrix(rows)
    }

    /// An event without a row is not known.
    pub fn billed(&self, event: ChargeEvent) -> Billed {
        self.0.iter().find(|(row, _)| *row == event).map_or(Billed::Unknown, |(_, billed)| *billed)
    }

    pub fn rows(&self) -> &[(ChargeEvent, Billed)] {
        &self.0
    }
}

/// A currency of the provider with its dated rate: a credit, a yuan.
#[derive(Clone, Debug)]
pub struct Currency {
    pub code: String,
    /// Dollars for one.
    pub usd: Decimal,
    pub period: Period,
    pub source: Arc<Source>,
}

/// Everything that prices one model (or several that are priced alike).
#[derive(Clone, Debug, Default)]
pub struct PriceSheet {
    /// Names of the choices; at most 64.
    pub choices: Vec<String>,
    pub lines: Vec<PriceLine>,
    pub factors: Vec<Factor>,
    pub estimates: Vec<Estimate>,
}
