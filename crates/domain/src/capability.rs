//! What a model can be asked for, as data: limits and choices that the catalogue states per model.

use crate::request::{Background, Operation, OutputFormat, Size};
use serde::{Deserialize, Serialize};

/// The sizes that a model makes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
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
#[serde(deny_unknown_fields)]
pub struct Limit {
    pub min: u32,
    pub max: u32,
    pub default: u32,
}

/// What a model takes. Absent means: not taken, and a request that asks for it excludes the offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
}

fn generate_only() -> Vec<Operation> {
    vec![Operation::Generate]
}

fn yes() -> bool {
    true
}
