//! The answers of the Images API as types, and their counts by meter.
//!
//! This module owns how token counts are split where a server says only the total. It refuses to judge
//! errors (see `faults.rs` beside it). Figures are read leniently: a strange count must not make a paid
//! picture unreadable. Field names and which of them may be missing follow OpenAI's document of 2026-08 and
//! its SDKs of 2026-11; everything is optional, because compatible servers leave out what they please.

use crate::dialect::json::{Few, count};
use crate::dialect::{Figure, HeldText, reply};
use gallerist_domain::{Meter, Metered};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The body of a successful answer.
#[derive(Deserialize)]
pub struct Answer<'a> {
    /// Some compatible servers report errors with status 200.
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub data: Few<Item<'a>>,
    /// Counts of all pictures together.
    #[serde(borrow, default)]
    pub usage: Option<Usage<'a>>,
    /// What was really made (`png`, `jpeg`, `webp`).
    #[serde(borrow, default)]
    pub output_format: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    pub model: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    pub id: Option<HeldText<'a>>,
    /// SGLang's cost signal, in seconds.
    #[serde(borrow, default)]
    pub inference_time_s: Option<Figure<'a>>,
}

/// One picture.
#[derive(Deserialize)]
pub struct Item<'a> {
    #[serde(borrow, default)]
    pub b64_json: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    pub url: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    pub revised_prompt: Option<HeldText<'a>>,
}

/// The data of one streamed event, of any type.
#[derive(Deserialize)]
pub struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    pub kind: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub b64_json: Option<HeldText<'a>>,
    /// Counted from 0.
    #[serde(borrow, default)]
    pub partial_image_index: Option<Figure<'a>>,
    #[serde(borrow, default)]
    pub output_format: Option<HeldText<'a>>,
    #[serde(borrow, default)]
    pub usage: Option<Usage<'a>>,
}

/// Token counts. Those of streamed events lack the output's details.
#[derive(Deserialize)]
pub struct Usage<'a> {
    #[serde(borrow, default)]
    input_tokens: Option<Figure<'a>>,
    #[serde(borrow, default)]
    input_tokens_details: Option<Details<'a>>,
    #[serde(borrow, default)]
    output_tokens: Option<Figure<'a>>,
    #[serde(borrow, default)]
    output_tokens_details: Option<Details<'a>>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow, default)]
    text_tokens: Option<Figure<'a>>,
    #[serde(borrow, default)]
    image_tokens: Option<Figure<'a>>,
}

impl Answer<'_> {
    /// Everything that the provider counted. `made` says whether the answer holds a picture.
    pub fn usage(&self, made: bool) -> Vec<Metered> {
        let mut usage = self.usage.as_ref().map(|usage| usage.metered(made)).unwrap_or_default();
        let seconds = self.inference_time_s.as_ref().and_then(Figure::decimal);
        usage.extend(reply::usage([(Meter::GpuSeconds, seconds.and_then(reply::microseconds))]));
        usage
    }
}

impl Usage<'_> {
    /// Counts by meter. Without details input is text and output is picture: the dearer reading of output,
    /// and the only one of a call without input pictures.
    pub fn metered(&self, made: bool) -> Vec<Metered> {
        let (input_text, input_image) = details(self.input_tokens_details.as_ref());
        let input = count(self.input_tokens);
        let (text_in, image_in) = split(input, input_text, input_image);
        let (output_text, output_image) = details(self.output_tokens_details.as_ref());
        let (image_out, text_out) = split(count(self.output_tokens), output_image, output_text);
        let counts = [
            (Meter::TextInputTokens, text_in),
            (Meter::ImageInputTokens, image_in),
            (Meter::ImageOutputTokens, image_out),
            (Meter::TextOutputTokens, text_out),
        ];
        // A picture that cost no token contradicts itself: some compatible servers count nothing, and LiteLLM makes
        // up zeros where its upstream told nothing. Then the price of the picture decides, not zero, and of the words
        // too where they are zero as well.
        let nothing_counted = counts.iter().all(|(_, count)| count.unwrap_or(0) == 0);
        let told = |(meter, count): (Meter, Option<i64>)| {
            let made_up = made && (nothing_counted || meter == Meter::ImageOutputTokens);
            (meter, count.filter(|count| !made_up || *count > 0))
        };
        reply::usage(counts.map(told))
    }
}

fn details(details: Option<&Details<'_>>) -> (Option<i64>, Option<i64>) {
    details.map_or((None, None), |details| (count(details.text_tokens), count(details.image_tokens)))
}

/// The two parts of a total, of which some may be missing: what is missing is the rest, and without any part
/// everything is of the first.
fn split(total: Option<i64>, first: Option<i64>, second: Option<i64>) -> (Option<i64>, Option<i64>) {
    let rest = |known: i64| total.map(|total| total.saturating_sub(known).max(0));
    match (first, second) {
        (Some(first), Some(second)) => (Some(first), Some(second)),
        (Some(first), None) => (Some(first), rest(first)),
        (None, Some(second)) => (rest(second), Some(second)),
        (None, None) => (total, total.map(|_| 0)),
    }
}
