//! The complete, explicit instruction for one provider call.
//!
//! Everything that affects the price is filled in: nothing is left to the provider's defaults. A call
//! is what pricing quotes and what an adapter translates.

use crate::request::{
    Background, Ingredients, Moderation, Operation, OptionWord, OutputFormat, QualityClass, Size,
};
use serde::{Deserialize, Serialize};

/// One call at one offer. Serialised with the attempt, so that a restart can settle it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageCall {
    pub operation: Operation,
    /// The vendor's own model id.
    pub upstream_model: String,
    /// Not serialised: prompts are not stored.
    #[serde(default, skip_serializing)]
    pub prompt: String,
    /// Pictures in this one call.
    pub n: u32,
    /// The pixels that will come back.
    pub size: Size,
    /// Whether the client named a size, so that another one is a failed delivery.
    pub size_named: bool,
    /// `W:H` where the provider takes ratios, else empty.
    pub aspect_ratio: String,
    /// The provider's resolution word (`1K`), else empty.
    pub resolution: String,
    /// The vendor's quality label, else empty.
    pub quality: String,
    pub class: QualityClass,
    pub tier: String,
    /// The format that will come back, as far as it is known.
    pub output_format: OutputFormat,
    /// Whether the provider lets the format be chosen; where it does not, the field is not sent.
    #[serde(default = "yes")]
    pub format_selectable: bool,
    /// Whether the client named the format, so that another one is a failed delivery. Absent in calls that
    /// were stored before there was such a question.
    #[serde(default)]
    pub format_named: bool,
    pub output_compression: Option<u8>,
    pub background: Option<Background>,
    pub moderation: Option<Moderation>,
    pub user: Option<String>,
    pub seed: Option<u64>,
    /// 0 where the model has no steps.
    pub steps: u32,
    pub guidance_milli: Option<u32>,
    /// Not serialised, as the prompt.
    #[serde(default, skip_serializing)]
    pub negative_prompt: Option<String>,
    pub stream: bool,
    pub partial_images: u8,
    /// Limit of output tokens that is sent, 0 for none.
    pub output_tokens_max: u32,
    /// JSON text of an object with the vendor's own options, empty for none.
    pub provider_options: String,
    /// The same as words, for prices that depend on them.
    #[serde(default)]
    pub option_words: Vec<OptionWord>,
    #[serde(default)]
    pub ingredients: Ingredients,
    /// Deployment or region of the account, as the configuration names it; empty for none.
    #[serde(default)]
    pub region: String,
}

/// Calls that were stored before the field existed named their format.
fn yes() -> bool {
    true
}

impl ImageCall {
    /// A one-picture PNG call with nothing optional; for tests and examples.
    pub fn example(upstream_model: &str, size: Size) -> ImageCall {
        ImageCall {
            operation: Operation::Generate,
            upstream_model: upstream_model.to_owned(),
            prompt: "a tin robot watering ferns".to_owned(),
            n: 1,
            size,
            size_named: true,
            aspect_ratio: String::new(),
            resolution: String::new(),
            quality: String::new(),
            class: QualityClass::Standard,
            tier: crate::id::STANDARD_TIER.to_owned(),
            output_format: OutputFormat::Png,
            format_selectable: true,
            format_named: false,
            output_compression: None,
            background: None,
            moderation: None,
            user: None,
            seed: None,
            steps: 0,
            guidance_milli: None,
            negative_prompt: None,
            stream: false,
            partial_images: 0,
            output_tokens_max: 0,
            provider_options: String::new(),
            option_words: Vec::new(),
            ingredients: Ingredients::default(),
            region: String::new(),
        }
    }
}
