//! What a price depends on, borrowed from a call: no allocation, no text beyond what is compared.

use crate::learned::Learned;
use gallerist_domain::request::OptionWord;
use gallerist_domain::{ImageCall, Operation, OutputFormat, Size};

/// The priced facts of one call.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    pub operation: Operation,
    /// Pictures in the call.
    pub n: u32,
    pub size: Size,
    pub quality: &'a str,
    pub resolution: &'a str,
    pub output_format: OutputFormat,
    pub tier: &'a str,
    /// Deployment or region of the account; empty for none.
    pub region: &'a str,
    pub steps: u32,
    /// Thousandths; `None` where the model has none.
    pub guidance_milli: Option<u32>,
    pub stream: bool,
    pub partial_images: u8,
    pub prompt_characters: i64,
    pub prompt_bytes: i64,
    /// Characters of the prompt that the provider is known to hold in its cache.
    pub cached_characters: i64,
    /// The vendor's own parameters as words.
    pub options: &'a [OptionWord],
    /// Pixels of the pictures that are sent in.
    pub inputs: &'a [Size],
    /// Pixels that the mask marks; `None` where they were not counted.
    pub mask_pixels: Option<i64>,
    pub loras: u32,
    pub controls: u32,
    pub ip_adapters: u32,
    pub tool_calls: u32,
    /// What past charges of the offer teach about a quantity that only they tell.
    pub learned: Option<Learned>,
}

/// Length as the meters count it.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

impl<'a> Facts<'a> {
    /// The facts of a complete call.
    pub fn of(call: &'a ImageCall) -> Facts<'a> {
        let negative = call.negative_prompt.as_deref().unwrap_or("");
        let ingredients = &call.ingredients;
        Facts {
            operation: call.operation,
            n: call.n,
            size: call.size,
            quality: &call.quality,
            resolution: &call.resolution,
            output_format: call.output_format,
            tier: &call.tier,
            region: &call.region,
            steps: call.steps,
            guidance_milli: call.guidance_milli,
            stream: call.stream,
            partial_images: call.partial_images,
            prompt_characters: count(call.prompt.chars().count() + negative.chars().count()),
            prompt_bytes: count(call.prompt.len() + negative.len()),
            cached_characters: i64::from(ingredients.cached_characters),
            options: &call.option_words,
            inputs: &ingredients.inputs,
            mask_pixels: ingredients.mask_pixels,
            loras: ingredients.loras,
            controls: ingredients.controls,
            ip_adapters: ingredients.ip_adapters,
            tool_calls: ingredients.tool_calls,
            learned: None,
        }
    }

    pub fn input_count(&self) -> i64 {
        count(self.inputs.len())
    }

    /// Marked part of the output in thousandths, rounded up; the whole where it was not counted.
    pub fn mask_per_mille(&self) -> i64 {
        let pixels = self.size.pixels().max(1);
        let marked = self.mask_pixels.unwrap_or(pixels).clamp(0, pixels);
        (marked * 1000 + pixels - 1) / pixels
    }
}
