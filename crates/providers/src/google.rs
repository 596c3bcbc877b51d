//! Google's Gemini image models through `generateContent`: one picture per call, refusals inside status 200.
//!
//! Built from Google's reference as of 2026-11; the customary base address is
//! `https://generativelanguage.googleapis.com/v1beta`. There is no pixel size: `aspect_ratio` and
//! `resolution` are sent as `imageConfig`, the latter only where the offer has one (some models refuse the
//! field). `quality` is the thinking level, which is billed; a tier other than standard is sent as
//! `serviceTier`. The format is the provider's choice. Refusals and errors are read in `google/faults.rs`,
//! token counts in `google/wire.rs`.

mod faults;
mod wire;

use crate::dialect::{HeldText, Skeleton, call as calls, json, reply};
use crate::{Endpoint, HttpCall, HttpReply, Pending, Provider, Step};
use gallerist_domain::{
    Background, Fault, FaultKind, ImageCall, ImageData, MadeImage, Operation, Outcome, id,
};
use http::HeaderName;
use serde_json::{Map, Value, json};
use wire::{Answer, Candidate, Part};

const KEY_HEADER: HeaderName = HeaderName::from_static("x-goog-api-key");

/// The vendor's own options and the object that each belongs to. A closed list: the API reads every key in
/// two spellings, so that merging objects would let an option replace what the price depends on.
const OPTIONS: &[(&str, Place)] = &[
    ("safetySettings", Place::Body),
    ("personGeneration", Place::ImageConfig),
    // Accepted, but the picture does not follow it: no seed in our sense, so it is the vendor's own.
    ("seed", Place::GenerationConfig),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Body,
    GenerationConfig,
    ImageConfig,
}

pub struct Google;

impl Provider for Google {
    fn kind(&self) -> &'static str {
        "google"
    }

    fn prepare(&self, call: &ImageCall, endpoint: &Endpoint) -> Result<HttpCall, Fault> {
        refuse_inexpressible(call)?;
        let options = json::options(&call.provider_options)?;
        if let Some(name) = options.keys().find(|name| OPTIONS.iter().all(|option| option.0 != name.as_str()))
        {
            let detail = format!("provider_options.google knows no {name:?}");
            return Err(Fault::new(FaultKind::InvalidRequest, detail).with_parameter(Some(name.clone())));
        }
        let place =
            |place: Place| OPTIONS.iter().filter(move |option| option.1 == place).map(|option| option.0);
        let mut generation = Map::new();
        generation.insert("responseModalities".to_owned(), json!(["IMAGE"]));
        let mut image = Map::new();
        add_text(&mut image, "aspectRatio", &call.aspect_ratio);
        add_text(&mut image, "imageSize", &call.resolution);
        image.extend(
            place(Place::ImageConfig).filter_map(|name| Some((name.to_owned(), options.get(name)?.clone()))),
        );
        if !image.is_empty() {
            generation.insert("imageConfig".to_owned(), Value::Object(image));
        }
        if !call.quality.is_empty() {
            generation.insert("thinkingConfig".to_owned(), json!({"thinkingLevel": call.quality}));
        }
        if call.output_tokens_max > 0 {
            generation.insert("maxOutputTokens".to_owned(), call.output_tokens_max.into());
        }
        generation.extend(
            place(Place::GenerationConfig)
                .filter_map(|name| Some((name.to_owned(), options.get(name)?.clone()))),
        );
        let mut body = Map::new();
        body.insert("contents".to_owned(), json!([{"role": "user", "parts": [{"text": call.prompt}]}]));
        body.insert("generationConfig".to_owned(), Value::Object(generation));
        if call.tier != id::STANDARD_TIER {
            body.insert("serviceTier".to_owned(), call.tier.as_str().into());
        }
        body.extend(
            place(Place::Body).filter_map(|name| Some((name.to_owned(), options.get(name)?.clone()))),
        );
        let path = format!("/models/{}:generateContent", calls::path_segment(&call.upstream_model));
        with_key(calls::post_json(endpoint, &path, body), endpoint)
    }

    fn interpret(&self, call: &ImageCall, _pending: Option<&Pending>, reply: &HttpReply) -> Step {
        if !(200..300).contains(&reply.status) {
            return Step::Fault(faults::fault(reply));
        }
        match outcome(call, reply) {
            Ok(outcome) => Step::Done(outcome),
            Err(fault) => Step::Fault(fault.with_status(reply.status)),
        }
    }

    fn probe(&self, endpoint: &Endpoint) -> Option<HttpCall> {
        with_key(calls::get(endpoint, "/models"), endpoint).ok()
    }
}

fn with_key(mut request: HttpCall, endpoint: &Endpoint) -> Result<HttpCall, Fault> {
    if !endpoint.key.is_empty() {
        request.headers.push(calls::secret(KEY_HEADER, &endpoint.key)?);
    }
    Ok(request)
}

fn add_text(object: &mut Map<String, Value>, name: &str, text: &str) {
    if !text.is_empty() {
        object.insert(name.to_owned(), text.into());
    }
}

fn refuse_inexpressible(call: &ImageCall) -> Result<(), Fault> {
    let inexpressible = [
        (call.operation != Operation::Generate, "another operation than generate"),
        (call.upstream_model.is_empty(), "a call without a model"),
        (call.n != 1, "more than one picture per call"),
        // Batches are jobs of another endpoint.
        (call.tier == "batch", "a batch"),
        (call.seed.is_some(), "a seed that the picture follows"),
        (call.steps != 0, "steps"),
        (call.guidance_milli.is_some(), "guidance"),
        (call.negative_prompt.is_some(), "a negative prompt"),
        (call.background == Some(Background::Transparent), "a transparent background"),
        (call.output_compression.is_some(), "a compression"),
    ];
    match inexpressible.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => {
            Err(Fault::new(FaultKind::Unsupported, format!("generateContent does not take {what}")))
        }
        None => Ok(()),
    }
}

fn outcome(call: &ImageCall, reply: &HttpReply) -> Result<Outcome, Fault> {
    let skeleton = Skeleton::scan(&reply.body)?;
    let answer: Answer<'_> = skeleton.read()?;
    if answer.error.is_some() {
        return Err(faults::fault(reply));
    }
    let Some(image) = answer.candidates.0.iter().find_map(|candidate| last_image(&skeleton, candidate))
    else {
        return Err(faults::without_image(call, &skeleton, &answer));
    };
    let text_id = |text: &Option<HeldText<'_>>| reply::id(&skeleton.text(text.as_ref()?));
    Ok(Outcome {
        images: vec![image],
        withheld: 0,
        usage: answer.usage_metadata.as_ref().map(|usage| usage.metered(true)).unwrap_or_default(),
        reported: None,
        model_executed: text_id(&answer.model_version),
        provider_request_id: text_id(&answer.response_id),
    })
}

/// The picture of a candidate. Complex prompts bring drafts first; the last one that is not a thought is
/// the picture (Google's usage guide).
fn last_image(skeleton: &Skeleton, candidate: &Candidate<'_>) -> Option<MadeImage> {
    let parts = candidate.content.as_ref().map_or(&[][..], |content| &content.parts.0);
    let image = |part: &Part<'_>| {
        let blob = part.inline_data.as_ref().filter(|_| !part.thought.unwrap_or(false))?;
        let media_type = blob.mime_type.as_ref().map(|text| skeleton.text(text)).unwrap_or_default();
        let data = blob.data.as_ref().filter(|data| !data.is_empty())?;
        let is_image = media_type.is_empty() || media_type.starts_with("image/");
        is_image.then(|| MadeImage {
            data: ImageData::Base64(skeleton.base64(data)),
            format: reply::format(&media_type),
            revised_prompt: None,
            seed: None,
        })
    };
    parts.iter().rev().find_map(image)
}

#[cfg(test)]
mod tests;
