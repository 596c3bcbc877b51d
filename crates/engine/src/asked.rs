//! What is stored of a request's parameters: what its price depends on, in the words of the API's body.
//!
//! With it, a request can be priced again on another offer. The client's own words (prompt, negative prompt,
//! user, vendor's options) are not part of it; of the prompt only its length, because some prices depend on it.

use gallerist_domain::{ImageRequest, SizeChoice, SizeMatch, TierChoice};
use serde::Serialize;
use std::borrow::Cow;

#[derive(Serialize)]
struct Asked<'a> {
    prompt_characters: usize,
    n: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quality: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_format: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_compression: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    background: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "is_zero")]
    partial_images: u8,
    #[serde(skip_serializing_if = "Extension::is_empty")]
    gallerist: Extension<'a>,
}

#[derive(Default, PartialEq, Serialize)]
struct Extension<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tier: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_match: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aspect_ratio: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<Cow<'a, str>>,
}

impl Extension<'_> {
    fn is_empty(&self) -> bool {
        *self == Extension::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// JSON text.
pub(crate) fn json(request: &ImageRequest) -> String {
    let mut extension = Extension {
        class: request.class.map(|class| class.as_str()),
        tier: (request.tier != TierChoice::Auto).then(|| request.tier.as_str()),
        steps: request.steps,
        ..Extension::default()
    };
    let mut size = None;
    match &request.size {
        SizeChoice::Auto => {}
        SizeChoice::Exact(exact) => size = Some(exact.to_string()),
        SizeChoice::Aspect { ratio: (width, height), resolution } => {
            extension.size_match = Some(SizeMatch::Aspect.as_str());
            extension.aspect_ratio = Some(format!("{width}:{height}"));
            extension.resolution = resolution.as_deref().map(Cow::Borrowed);
        }
    }
    let asked = Asked {
        prompt_characters: request.prompt.chars().count(),
        n: request.n,
        size,
        quality: request.quality.as_deref(),
        output_format: request.output_format.map(|format| format.as_str()),
        output_compression: request.output_compression,
        background: request.background.map(|background| background.as_str()),
        stream: request.stream,
        partial_images: request.partial_images,
        gallerist: extension,
    };
    serde_json::to_string(&asked).expect("parameters are plain data")
}

#[cfg(test)]
mod tests {
    use super::*;
    use gallerist_domain::{QualityClass, Size};

    #[test]
    fn keeps_what_a_price_depends_on_and_none_of_the_words() {
        let mut request = ImageRequest::new("auto", "a secret garden");
        assert_eq!(json(&request), r#"{"prompt_characters":15,"n":1}"#);
        request.negative_prompt = Some("people".to_owned());
        request.user = Some("jane".to_owned());
        request.size = SizeChoice::Exact(Size::new(1024, 1536));
        request.class = Some(QualityClass::High);
        request.steps = Some(30);
        let text = json(&request);
        assert_eq!(
            text,
            r#"{"prompt_characters":15,"n":1,"size":"1024x1536","gallerist":{"class":"high","steps":30}}"#
        );
    }
}
