//! What a model can be asked for, as data: limits and choices that the catalogue states per model.

use crate::request::{Background, Operation, OutputFormat, Size};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The sizes that a model makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    rename_all = "snake_case",
    deny_unknown_fields,
    expecting = "sizes such as { listed = [\"1024x1024\"] }"
)]
pub enum Sizes {
    /// Exactly these.
    Listed(Vec<Size>),
    /// Any size within these limits.
    Free {
        /// Both edges are multiples of this; at least 1.
        multiple: u32,
        edge_min: u32,
        edge_max: u32,
        pixels_min: i64,
        pixels_max: i64,
        /// Long edge at most `ratio_max` × short edge; 0 for no limit.
        #[serde(default)]
        ratio_max: u32,
    },
    /// Aspect ratios by resolution word, with the pixels that really come back.
    Ratios(Vec<RatioSize>),
}

/// One row of a ratio table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table with ratio and size")]
pub struct RatioSize {
    /// `16:9`.
    pub ratio: String,
    /// `1K`; empty where the provider has one resolution.
    #[serde(default)]
    pub resolution: String,
    pub size: Size,
}

impl RatioSize {
    /// Whether the row is of this ratio, which it writes as `16:9`.
    pub fn is_ratio(&self, (width, height): (u32, u32)) -> bool {
        let parts = self.ratio.split_once(':').map(|(width, height)| (width.parse(), height.parse()));
        parts == Some((Ok(width), Ok(height)))
    }
}

/// A whole-number limit with the value that we send when the client names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { min = 1, max = 50, default = 28 }")]
pub struct Limit {
    pub min: u32,
    pub max: u32,
    pub default: u32,
}

/// Limits of a picture's shape, inclusive; what is left out does not restrict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table of limits such as { edge_max = 4096 }")]
pub struct PictureLimits {
    pub pixels_min: Option<i64>,
    pub pixels_max: Option<i64>,
    pub width_min: Option<u32>,
    pub width_max: Option<u32>,
    pub height_min: Option<u32>,
    pub height_max: Option<u32>,
    /// Of both edges.
    pub edge_min: Option<u32>,
    pub edge_max: Option<u32>,
    /// Long edge at most this many thousandths of the short one; 1000 is a square.
    pub ratio_per_mille_max: Option<u32>,
}

fn within<T: PartialOrd>(value: T, min: Option<T>, max: Option<T>) -> bool {
    min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max)
}

impl PictureLimits {
    pub fn hold(&self, size: Size) -> bool {
        let (long, short) = (u64::from(size.long_edge()), u64::from(size.short_edge()));
        within(size.pixels(), self.pixels_min, self.pixels_max)
            && within(size.width, self.width_min, self.width_max)
            && within(size.height, self.height_min, self.height_max)
            && within(size.short_edge(), self.edge_min, None)
            && within(size.long_edge(), None, self.edge_max)
            && self.ratio_per_mille_max.is_none_or(|max| long * 1000 <= short * u64::from(max))
    }

    /// Whether some picture holds them: no lower limit lies above its upper one, nor a ratio below a square.
    pub fn are_sound(&self) -> bool {
        let ordered = |min: Option<u32>, max: Option<u32>| within(min.unwrap_or(0), None, max);
        within(self.pixels_min.unwrap_or(0), None, self.pixels_max)
            && ordered(self.width_min, self.width_max)
            && ordered(self.height_min, self.height_max)
            && ordered(self.edge_min, self.edge_max)
            && self.ratio_per_mille_max.is_none_or(|max| max >= 1000)
    }
}

impl fmt::Display for PictureLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        let mut range = |name: &str, min: Option<i64>, max: Option<i64>| match (min, max) {
            (Some(min), Some(max)) => parts.push(format!("{min} to {max} {name}")),
            (Some(min), None) => parts.push(format!("at least {min} {name}")),
            (None, Some(max)) => parts.push(format!("at most {max} {name}")),
            (None, None) => {}
        };
        let edge = |edge: Option<u32>| edge.map(i64::from);
        range("pixels", self.pixels_min, self.pixels_max);
        range("pixels wide", edge(self.width_min), edge(self.width_max));
        range("pixels high", edge(self.height_min), edge(self.height_max));
        range("pixels at each edge", edge(self.edge_min), edge(self.edge_max));
        if let Some(max) = self.ratio_per_mille_max {
            parts.push(format!("no longer than {}.{:03} times the short edge", max / 1000, max % 1000));
        }
        f.write_str(&parts.join(", "))
    }
}

/// What a model takes. Absent means: not taken, and a request that asks for it excludes the offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table of what the model can do")]
pub struct Capabilities {
    #[serde(default = "generate_only")]
    pub operations: Vec<Operation>,
    /// Pictures that one call can make; more are made by several calls.
    pub images_per_call_max: u32,
    pub prompt_characters_max: u32,
    pub sizes: Sizes,
    pub size_default: Size,
    /// The vendor's quality labels; empty where there are none.
    #[serde(default)]
    pub qualities: Vec<String>,
    /// The label that is sent when the client names none; must be in `qualities`.
    #[serde(default)]
    pub quality_default: String,
    /// Formats that can be asked for. With `format_selectable = false`: what comes back, and of several one
    /// at the provider's choice, so that none is promised.
    pub formats: Vec<OutputFormat>,
    #[serde(default = "yes")]
    pub format_selectable: bool,
    pub format_default: OutputFormat,
    #[serde(default)]
    pub compression: bool,
    #[serde(default)]
    pub backgrounds: Vec<Background>,
    #[serde(default)]
    pub moderation: bool,
    /// Largest seed; absent: no seed.
    pub seed_max: Option<u64>,
    pub steps: Option<Limit>,
    /// In thousandths.
    pub guidance_milli: Option<Limit>,
    #[serde(default)]
    pub negative_prompt: bool,
    #[serde(default)]
    pub streaming: bool,
    #[serde(default)]
    pub partial_images_max: u8,
    /// The output token limit that we send: the picture's tokens plus this many; 0 sends none.
    #[serde(default)]
    pub extra_output_tokens_max: u32,
    /// Pictures that one call takes: the one to change, and references.
    #[serde(default)]
    pub inputs_max: u32,
    #[serde(default)]
    pub loras_max: u32,
    /// It is there for LoRAs and cannot be ordered without one.
    #[serde(default)]
    pub loras_required: bool,
    /// ControlNets and their like.
    #[serde(default)]
    pub controls_max: u32,
    #[serde(default)]
    pub ip_adapters_max: u32,
    /// Whether it may call tools, such as a web search.
    #[serde(default)]
    pub tools: bool,
    /// Names that `provider_options` may hold.
    #[serde(default)]
    pub options: Vec<String>,
    /// Those of `options` without which the provider refuses the call.
    #[serde(default)]
    pub options_required: Vec<String>,
    /// Limits of each picture that is sent in.
    #[serde(default)]
    pub each_input: PictureLimits,
    /// All of this for operations that take other things than the rest; [`Capabilities::of`] finds them.
    #[serde(skip)]
    pub by_operation: BTreeMap<Operation, Arc<Capabilities>>,
}

impl Capabilities {
    /// What the model takes when it does this.
    pub fn of(&self, operation: Operation) -> &Capabilities {
        // Most models take the same whatever they do.
        if self.by_operation.is_empty() {
            return self;
        }
        self.by_operation.get(&operation).map_or(self, |own| own)
    }
}

fn generate_only() -> Vec<Operation> {
    vec![Operation::Generate]
}

fn yes() -> bool {
    true
}
