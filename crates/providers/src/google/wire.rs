//! The answers of `generateContent` as types, with the counts by modality that the price depends on.
//!
//! This module owns the split of tokens into picture, text, thoughts and cached input: billing them
//! unsplit uses the wrong rate. It refuses to judge refusals (see `faults.rs` beside it). Proto JSON may
//! write every key in two spellings; both are read. Figures are read leniently, so that a strange count does
//! not make a paid picture unreadable.

use crate::dialect::json::{Few, count};
use crate::dialect::{Figure, HeldText, reply};
use gallerist_domain::{Meter, Metered};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub struct Answer<'a> {
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub candidates: Few<Candidate<'a>>,
    #[serde(borrow, default, rename = "promptFeedback", alias = "prompt_feedback")]
    pub prompt_feedback: Option<PromptFeedback<'a>>,
    #[serde(borrow, default, rename = "usageMetadata", alias = "usage_metadata")]
    pub usage_metadata: Option<Usage<'a>>,
    #[serde(borrow, default, rename = "modelVersion", alias = "model_version")]
    pub model_version: Option<HeldText<'a>>,
    #[serde(borrow, default, rename = "responseId", alias = "response_id")]
    pub response_id: Option<HeldText<'a>>,
}

#[derive(Deserialize)]
pub struct PromptFeedback<'a> {
    #[serde(borrow, default, rename = "blockReason", alias = "block_reason")]
    pub block_reason: Option<HeldText<'a>>,
}

#[derive(Deserialize)]
pub struct Candidate<'a> {
    #[serde(borrow, default)]
    pub content: Option<Content<'a>>,
    #[serde(borrow, default, rename = "finishReason", alias = "finish_reason")]
    pub finish_reason: Option<HeldText<'a>>,
    #[serde(borrow, default, rename = "finishMessage", alias = "finish_message")]
    pub finish_message: Option<HeldText<'a>>,
}

#[derive(Deserialize)]
pub struct Content<'a> {
    #[serde(borrow, default)]
    pub parts: Few<Part<'a>>,
}

#[derive(Deserialize)]
pub struct Part<'a> {
    #[serde(borrow, default, rename = "inlineData", alias = "inline_data")]
    pub inline_data: Option<Blob<'a>>,
    /// Drafts of a thinking model.
    #[serde(default)]
    pub thought: Option<bool>,
}

#[derive(Deserialize)]
pub struct Blob<'a> {
    #[serde(borrow, default, rename = "mimeType", alias = "mime_type")]
    pub mime_type: Option<HeldText<'a>>,
    /// Base64 without a prefix.
    #[serde(borrow, default)]
    pub data: Option<HeldText<'a>>,
}

/// Token counts; an absent count is zero.
#[derive(Deserialize)]
pub struct Usage<'a> {
    #[serde(borrow, default, rename = "promptTokenCount", alias = "prompt_token_count")]
    prompt: Option<Figure<'a>>,
    #[serde(borrow, default, rename = "promptTokensDetails", alias = "prompt_tokens_details")]
    prompt_details: Few<Detail<'a>>,
    /// Part of the prompt's count.
    #[serde(borrow, default, rename = "cachedContentTokenCount", alias = "cached_content_token_count")]
    cached: Option<Figure<'a>>,
    #[serde(borrow, default, rename = "candidatesTokenCount", alias = "candidates_token_count")]
    candidates: Option<Figure<'a>>,
    #[serde(borrow, default, rename = "candidatesTokensDetails", alias = "candidates_tokens_details")]
    candidates_details: Few<Detail<'a>>,
    /// Billed as text even where the thoughts are hidden; not part of the candidates' count.
    #[serde(borrow, default, rename = "thoughtsTokenCount", alias = "thoughts_token_count")]
    thoughts: Option<Figure<'a>>,
}

#[derive(Deserialize)]
struct Detail<'a> {
    #[serde(borrow, default)]
    modality: Option<HeldText<'a>>,
    #[serde(borrow, default, rename = "tokenCount", alias = "token_count")]
    tokens: Option<Figure<'a>>,
}

impl Usage<'_> {
    /// Counts by meter. `made` says whether the answer holds a picture.
    pub fn metered(&self, made: bool) -> Vec<Metered> {
        let (prompt_image, prompt_other) = by_modality(&self.prompt_details.0);
        let prompt_text = match count(self.prompt) {
            Some(prompt) => prompt.saturating_sub(prompt_image).max(0),
            None => prompt_other,
        };
        // The cached part is not split by modality: text first, which every cached prompt begins with.
        let cached = count(self.cached).filter(|cached| *cached > 0);
        let cached_text = cached.map(|cached| cached.min(prompt_text));
        let cached_image = cached
            .map(|cached| cached.saturating_sub(prompt_text).clamp(0, prompt_image))
            .filter(|cached| *cached > 0);
        let (image_out, text_out) = self.output(made);
        reply::usage([
            (Meter::TextInputTokens, Some(prompt_text - cached_text.unwrap_or(0))),
            (Meter::TextInputCachedTokens, cached_text),
            (Meter::ImageInputTokens, Some(prompt_image - cached_image.unwrap_or(0))),
            (Meter::ImageInputCachedTokens, cached_image),
            (Meter::ImageOutputTokens, image_out),
            (Meter::TextOutputTokens, text_out),
            (Meter::ThinkingTokens, Some(count(self.thoughts).unwrap_or(0))),
        ])
    }

    /// Whether anything was counted at all: then it is charged, picture or not.
    pub fn counts_something(&self) -> bool {
        self.metered(false).iter().any(|metered| metered.quantity > 0)
    }

    /// Output tokens of the picture and of everything else.
    fn output(&self, made: bool) -> (Option<i64>, Option<i64>) {
        let (image, other) = by_modality(&self.candidates_details.0);
        match count(self.candidates) {
            Some(total) if image > 0 || other > 0 => (Some(image), Some(total.saturating_sub(image).max(0))),
            // Without details: the picture's tokens are by far the larger and dearer part.
            Some(total) if made && total > 0 => (Some(total), Some(0)),
            // A picture that cost no token contradicts itself: the price of the picture decides, not zero.
            _ if made && image == 0 => (None, Some(other)),
            Some(total) => (Some(image), Some(total)),
            None => (Some(image), Some(other)),
        }
    }
}

/// Tokens of pictures, and of everything else.
fn by_modality(details: &[Detail<'_>]) -> (i64, i64) {
    let mut sums = (0i64, 0i64);
    for detail in details {
        let tokens = count(detail.tokens).unwrap_or(0);
        let image = detail.modality.as_ref().is_some_and(|modality| modality.is_word("IMAGE"));
        let sum = if image { &mut sums.0 } else { &mut sums.1 };
        *sum = sum.saturating_add(tokens);
    }
    sums
}
