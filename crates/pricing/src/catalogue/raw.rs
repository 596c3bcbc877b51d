//! How a catalogue file is written, word for word; [`super::read`] checks it.
//!
//! Each entry of a list is read on its own, so that one mistake does not hide the others.

use crate::sheet::{AllowancePeriod, Confidence, Each, InputAdder, Range, TableRow};
use gallerist_domain::{
    Billed, ChargeEvent, Meter, Operation, OutputFormat, PictureLimits, QualityClass, Size,
};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { what = \"the page\", date = \"2026-11-22\", confidence = \"official\" }"
)]
pub struct RawSource {
    pub what: String,
    pub date: Spanned<String>,
    pub confidence: Confidence,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { code = \"credit\", usd = \"0.01\", source = \"page\" }"
)]
pub struct RawCurrency {
    pub code: String,
    pub usd: Spanned<String>,
    pub since: Option<Spanned<String>>,
    pub until: Option<Spanned<String>>,
    pub source: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with at least id, latency_ms and source")]
pub struct RawModel {
    pub id: Spanned<String>,
    /// The vendor's id where it differs.
    pub upstream: Option<String>,
    #[serde(default)]
    pub aliases: Vec<String>,
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    #[serde(default)]
    pub maker: bool,
    /// The day on which its maker began to offer it.
    pub released_on: Option<Spanned<String>>,
    pub deprecated_on: Option<Spanned<String>>,
    /// Deprecated on a day that no source states.
    #[serde(default)]
    pub deprecated: bool,
    pub retires_on: Option<Spanned<String>>,
    #[serde(default)]
    pub successors: Vec<String>,
    pub switched_off: Option<String>,
    /// The model that a retired name is silently sent to.
    pub redirect: Option<RawRedirect>,
    /// `kind/model` in another file, whose prices (and, where left out here, limits and classes) are resold.
    pub resale_of: Option<Spanned<String>>,
    /// Name of an entry of `[shapes]`: capabilities and limits.
    pub shape: Option<Spanned<String>>,
    /// Name of an entry of `[sheets]`: prices. On a resale: what is added to them.
    pub sheet: Option<Spanned<String>>,
    /// In place of `sheet`: why nobody knows what it costs. On a resale the prices of the base do not count then.
    pub price_unknown: Option<Spanned<String>>,
    /// Name of an entry of `[outcomes]`; `default` when left out.
    pub outcomes: Option<Spanned<String>>,
    /// Those of single operations, by name.
    #[serde(default)]
    pub outcomes_by_operation: BTreeMap<Operation, Spanned<String>>,
    /// Those of single regions or partners, by their word.
    #[serde(default)]
    pub outcomes_by_region: BTreeMap<String, Spanned<String>>,
    /// Service tiers besides `standard`.
    #[serde(default)]
    pub tiers: Vec<RawTier>,
    #[serde(default)]
    pub classes: Vec<RawClass>,
    pub latency_ms: u32,
    pub source: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { to = \"newer-model\", since = \"2026-11-22T00:00:00Z\", source = \"page\" }"
)]
pub struct RawRedirect {
    pub to: String,
    pub quality: Option<String>,
    pub since: Spanned<String>,
    pub source: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { tier = \"batch\", latency_ms = 60000 }")]
pub struct RawTier {
    pub tier: String,
    pub latency_ms: Option<u32>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { class = \"high\", quality = \"hd\", source = \"page\" }"
)]
pub struct RawClass {
    pub class: QualityClass,
    pub quality: Option<Spanned<String>>,
    pub resolution: Option<String>,
    pub source: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { line = \"picture\", meter = \"images\", amount = \"0.04\", source = \"page\" }"
)]
pub struct RawLine {
    pub line: Spanned<String>,
    pub meter: Meter,
    /// Decimal text, in `currency` (US dollars when left out).
    pub amount: Spanned<String>,
    /// Upper end, where the sources leave the truth open or conflict.
    pub amount_max: Option<Spanned<String>>,
    /// How far a price that moves may be from the last one seen, in thousandths of it.
    pub swing_per_mille: Option<i64>,
    /// What it was before `since`, from old to new.
    #[serde(default)]
    pub was: Vec<RawPoint>,
    pub currency: Option<Spanned<String>>,
    /// Units of the meter that `amount` buys. This and the four limits below are whole units as people say
    /// them (seconds, tokens, pixels); estimates are in base units (microseconds, millionths).
    #[serde(default = "one")]
    pub per: Spanned<i64>,
    pub each: Option<Each>,
    pub round_up: Option<Spanned<i64>>,
    pub at_least: Option<i64>,
    pub from: Option<i64>,
    pub up_to: Option<i64>,
    pub choice: Option<String>,
    /// Steps count as at least this many.
    pub steps_at_least: Option<u32>,
    /// A picture that is sent in counts as at most this many (a provider shrinks it first).
    pub input_at_most: Option<i64>,
    /// Edge of a tile in pixels.
    pub tile_edge: Option<u32>,
    /// Per cent of its time that the hardware works: the amount is its rent, spread over that time.
    pub utilisation_percent: Option<Spanned<i64>>,
    /// What its time adds where the rent is paid anyway.
    pub marginal: Option<Spanned<RawMarginal>>,
    #[serde(default)]
    pub only_reported: bool,
    #[serde(default = "yes")]
    pub factored: bool,
    pub when: Option<RawCondition>,
    pub since: Option<Spanned<String>>,
    pub until: Option<Spanned<String>>,
    pub source: Spanned<String>,
    /// Further sources, agreeing or not.
    #[serde(default)]
    pub also: Vec<Spanned<String>>,
}

/// Decimal texts: dollars for an hour, or what the hardware draws and what a kilowatt-hour costs.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table: { usd_per_hour = \"0.15\" }, or { kilowatts = \"0.45\", usd_per_kwh = \"0.30\" }"
)]
pub struct RawMarginal {
    pub usd_per_hour: Option<Spanned<String>>,
    pub kilowatts: Option<Spanned<String>>,
    pub usd_per_kwh: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { amount = \"0.04\", since = \"2026-11-22T00:00:00Z\" }"
)]
pub struct RawPoint {
    pub amount: Spanned<String>,
    pub amount_max: Option<Spanned<String>>,
    pub since: Option<Spanned<String>>,
    /// That of the line when left out.
    pub source: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { outputs = \"sequence\", min = 1, source = \"page\" }"
)]
pub struct RawOutputs {
    pub outputs: Spanned<String>,
    pub min: u32,
    /// For each picture that was asked for; when left out, the number that was asked for is the most.
    pub max: Option<u32>,
    /// Each picture that is sent in leaves room for one less.
    #[serde(default)]
    pub max_includes_inputs: bool,
    pub when: Option<RawCondition>,
    pub source: Spanned<String>,
}

/// A pool of the whole file; sheets that share in it name it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with allowance, amount, per and source")]
pub struct RawAllowance {
    pub allowance: Spanned<String>,
    pub amount: Spanned<String>,
    /// The ids of the lines that it covers; whatever is charged when left out.
    #[serde(default)]
    pub lines: Vec<String>,
    pub currency: Option<Spanned<String>>,
    pub per: AllowancePeriod,
    pub source: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with operation and chain")]
pub struct RawBundle {
    pub operation: Operation,
    pub chain: Vec<Operation>,
}

fn one() -> Spanned<i64> {
    Spanned::new(0..0, 1)
}

fn yes() -> bool {
    true
}

#[derive(Clone, Deserialize, Default, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a table of conditions such as { qualities = [\"high\"] }")]
pub struct RawCondition {
    #[serde(default)]
    pub operations: Vec<Operation>,
    #[serde(default)]
    pub qualities: Vec<String>,
    #[serde(default)]
    pub sizes: Vec<Size>,
    #[serde(default)]
    pub resolutions: Vec<String>,
    #[serde(default)]
    pub formats: Vec<OutputFormat>,
    #[serde(default)]
    pub tiers: Vec<String>,
    pub pixels_min: Option<i64>,
    pub pixels_max: Option<i64>,
    pub steps_min: Option<u32>,
    pub steps_max: Option<u32>,
    pub stream: Option<bool>,
    #[serde(default)]
    pub regions: Vec<String>,
    #[serde(default)]
    pub regions_absent: Vec<String>,
    pub inputs_min: Option<u32>,
    pub inputs_max: Option<u32>,
    #[serde(default)]
    pub each_input: PictureLimits,
    pub loras_min: Option<u32>,
    pub loras_max: Option<u32>,
    pub controls_min: Option<u32>,
    pub controls_max: Option<u32>,
    pub ip_adapters_min: Option<u32>,
    pub ip_adapters_max: Option<u32>,
    pub mask_per_mille_min: Option<i64>,
    pub mask_per_mille_max: Option<i64>,
    /// By name, the values that fit: `options = { prompt_extend = ["true"] }`.
    #[serde(default)]
    pub options: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub options_absent: Vec<String>,
    pub window: Option<RawWindow>,
}

#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, expecting = "a table such as { from = \"02:00\", until = \"06:00\" }")]
pub struct RawWindow {
    /// IANA name; UTC when left out.
    pub zone: Option<Spanned<String>>,
    /// `monday` … `sunday`; every day when left out.
    #[serde(default)]
    pub weekdays: Vec<Spanned<String>>,
    pub from: Spanned<String>,
    pub until: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { factor = \"batch\", numerator = 1, denominator = 2, source = \"page\" }"
)]
pub struct RawFactor {
    pub factor: Spanned<String>,
    pub numerator: i64,
    /// Upper end, where the sources leave the factor open; `numerator` when left out.
    pub numerator_max: Option<i64>,
    pub denominator: i64,
    pub when: Option<RawCondition>,
    pub since: Option<Spanned<String>>,
    pub until: Option<Spanned<String>>,
    pub source: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with meter, each, form and source")]
pub struct RawEstimate {
    pub meter: Spanned<Meter>,
    pub each: Each,
    pub form: RawForm,
    pub when: Option<RawCondition>,
    pub source: Spanned<String>,
    /// Further sources, agreeing or not.
    #[serde(default)]
    pub also: Vec<Spanned<String>>,
}

/// One of the estimators, by its name.
#[derive(Deserialize)]
#[serde(
    rename_all = "snake_case",
    deny_unknown_fields,
    expecting = "an estimator such as { fixed = { min = 1, expected = 1, max = 2 } }"
)]
pub enum RawForm {
    Fixed {
        min: i64,
        expected: i64,
        max: i64,
    },
    CanvasTokens {
        by_quality: BTreeMap<String, i64>,
        #[serde(default = "whole")]
        min_per_mille: i64,
        #[serde(default = "whole")]
        max_per_mille: i64,
    },
    PromptTokens {
        characters_per_token: i64,
        overhead: i64,
    },
    StartedPixels {
        first: i64,
        further: i64,
        pixels: i64,
        /// Of a larger megapixel that other sources read; `pixels` when left out.
        pixels_for_min: Option<i64>,
    },
    WorkTime {
        base: i64,
        per_megapixel_step: i64,
        /// Whether that is two passes, of which guidance of 1 or less leaves one.
        #[serde(default)]
        guided: bool,
        min_per_mille: i64,
        max_per_mille: i64,
    },
    PerPartial {
        tokens: i64,
    },
    Table(Vec<RawTableRow>),
    PerInput {
        min: i64,
        expected: i64,
        max: i64,
    },
    CanvasPixels {
        pixels_per_token: i64,
        #[serde(default)]
        at_most: i64,
    },
    InputPixels {
        pixels_per_token: i64,
        #[serde(default)]
        at_most: i64,
    },
    ScaledTiles {
        short_edge: i64,
        tile_edge: i64,
        base: i64,
        per_tile: i64,
        #[serde(default)]
        adds: Vec<InputAdder>,
    },
    Learned {
        min: i64,
        expected: i64,
        max: i64,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { size = \"1024x1024\", quantity = 1756 }")]
pub struct RawTableRow {
    pub quality: Option<String>,
    pub size: Option<Size>,
    pub resolution: Option<String>,
    pub quantity: i64,
    /// The bounds, where they are not the quantity itself.
    pub min: Option<i64>,
    pub max: Option<i64>,
}

impl RawTableRow {
    pub fn row(self) -> TableRow {
        let quantity = Range {
            min: self.min.unwrap_or(self.quantity),
            expected: self.quantity,
            max: self.max.unwrap_or(self.quantity),
        };
        TableRow { quality: self.quality, size: self.size, resolution: self.resolution, quantity }
    }
}

fn whole() -> i64 {
    1000
}

pub type RawOutcomes = BTreeMap<ChargeEvent, Billed>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::InputAdder;
    use gallerist_domain::{Capabilities, RatioSize, Sizes};

    /// What is said where a number stands in an entry's place.
    fn told<T: serde::de::DeserializeOwned>() -> String {
        match toml::Value::Integer(5).try_into::<T>() {
            Ok(_) => panic!("a number is no entry"),
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn no_message_speaks_of_the_types_of_the_program() {
        let all = [
            told::<RawSource>(),
            told::<RawCurrency>(),
            told::<RawModel>(),
            told::<RawRedirect>(),
            told::<RawTier>(),
            told::<RawClass>(),
            told::<RawLine>(),
            told::<RawMarginal>(),
            told::<RawPoint>(),
            told::<RawOutputs>(),
            told::<RawAllowance>(),
            told::<RawBundle>(),
            told::<RawCondition>(),
            told::<RawWindow>(),
            told::<RawFactor>(),
            told::<RawEstimate>(),
            told::<RawForm>(),
            told::<RawTableRow>(),
            told::<InputAdder>(),
            told::<Capabilities>(),
            told::<PictureLimits>(),
            told::<RatioSize>(),
            told::<Sizes>(),
        ];
        for message in all {
            assert!(!message.contains("struct") && !message.contains("Raw"), "{message}");
        }
        // A form's own entries too.
        let form: toml::Table = toml::from_str("fixed = 5").expect("it is TOML");
        let message = match form.try_into::<RawForm>() {
            Ok(_) => panic!("a number is no form"),
            Err(error) => error.message().to_owned(),
        };
        assert!(!message.contains("struct") && !message.contains("Raw"), "{message}");
    }
}
