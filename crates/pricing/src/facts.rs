//! What a price depends on, borrowed from a call: no allocation, no text beyond what is compared.

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
    pub steps: u32,
    pub stream: bool,
    pub partial_images: u8,
    pub prompt_characters: i64,
    pub prompt_bytes: i64,
}

/// Length as the meters count it.
fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

impl<'a> Facts<'a> {
    /// The facts of a complete call.
    pub fn of(call: &'a ImageCall) -> Facts<'a> {
        let negative = call.negative_prompt.as_deref().unwrap_or("");
        Facts {
            operation: call.operation,
            n: call.n,
            size: call.size,
            quality: &call.quality,
            resolution: &call.resolution,
            output_format: call.output_format,
            tier: &call.tier,
            steps: call.steps,
            stream: call.stream,
            partial_images: call.partial_images,
            prompt_characters: count(call.prompt.chars().count() + negative.chars().count()),
            prompt_bytes: count(call.prompt.len() + negative.len()),
        }
    }
}
