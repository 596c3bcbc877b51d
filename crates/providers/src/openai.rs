//! OpenAI's Images API, and every upstream that speaks it: one JSON call, one answer or a stream of events.
//!
//! Built from OpenAI's reference as of 2026-11. The base address includes `/v1`. `quality` is the vendor's
//! own word; `resolution` and `aspect_ratio` do not exist here. Seed, steps, guidance and negative prompt are
//! refused, because no model of OpenAI's takes them; a compatible server's own names for such things go
//! through `provider_options`. Errors become faults in `openai/faults.rs`, answers are typed in
//! `openai/wire.rs`.

mod faults;
mod wire;

use crate::dialect::{HeldText, Skeleton, call as calls, json, reply};
use crate::{Endpoint, HttpCall, HttpReply, Pending, Provider, ServerEvent, Step, StreamStep};
use gallerist_domain::{Fault, FaultKind, ImageCall, ImageData, MadeImage, Operation, Outcome, id};
use serde_json::{Map, Value};
use wire::{Answer, Event, Item};

/// Fields that the request or the offer decides, so that no option may name them.
const RESERVED: &[&str] = &[
    "model",
    "prompt",
    "n",
    "size",
    "quality",
    "output_format",
    "output_compression",
    "background",
    "moderation",
    "user",
    "stream",
    "partial_images",
];

pub struct OpenAi;

impl Provider for OpenAi {
    fn kind(&self) -> &'static str {
        "openai"
    }

    fn prepare(&self, call: &ImageCall, endpoint: &Endpoint) -> Result<HttpCall, Fault> {
        refuse_inexpressible(call)?;
        let mut body = Map::new();
        let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
        set("model", call.upstream_model.as_str().into());
        set("prompt", call.prompt.as_str().into());
        set("n", call.n.into());
        set("size", call.size.to_string().into());
        if !call.quality.is_empty() {
            set("quality", call.quality.as_str().into());
        }
        // Models and compatible servers that leave no choice refuse the field.
        if call.format_selectable {
            set("output_format", call.output_format.as_str().into());
        }
        if let Some(compression) = call.output_compression {
            set("output_compression", compression.into());
        }
        if let Some(background) = call.background {
            set("background", background.as_str().into());
        }
        if let Some(moderation) = call.moderation {
            set("moderation", moderation.as_str().into());
        }
        // OpenAI replaces `user` by `safety_identifier` and still reads it; compatible servers know only
        // `user`, and some refuse unknown fields.
        if let Some(user) = &call.user {
            set("user", user.as_str().into());
        }
        if call.stream {
            set("stream", true.into());
            set("partial_images", call.partial_images.into());
        }
        json::merge_unreserved(&mut body, json::options(&call.provider_options)?, RESERVED)?;
        let mut request = calls::post_json(endpoint, "/images/generations", body);
        request.headers.extend(calls::authorization("Bearer", &endpoint.key)?);
        Ok(request)
    }

    fn interpret(&self, _call: &ImageCall, _pending: Option<&Pending>, reply: &HttpReply) -> Step {
        if !(200..300).contains(&reply.status) {
            return Step::Fault(faults::fault(reply));
        }
        match outcome(reply) {
            Ok(outcome) => Step::Done(outcome),
            Err(fault) => Step::Fault(fault.with_status(reply.status)),
        }
    }

    fn decode_event(&self, _call: &ImageCall, event: &ServerEvent) -> Result<StreamStep, Fault> {
        decode_event(event)
    }

    fn probe(&self, endpoint: &Endpoint) -> Option<HttpCall> {
        let mut request = calls::get(endpoint, "/models");
        request.headers.extend(calls::authorization("Bearer", &endpoint.key).ok()?);
        Some(request)
    }
}

fn refuse_inexpressible(call: &ImageCall) -> Result<(), Fault> {
    let inexpressible = [
        (call.operation != Operation::Generate, "another operation than generate"),
        (call.tier != id::STANDARD_TIER, "a service tier"),
        (call.seed.is_some(), "a seed"),
        (call.steps != 0, "steps"),
        (call.guidance_milli.is_some(), "guidance"),
        (call.negative_prompt.is_some(), "a negative prompt"),
        (call.partial_images > 0 && !call.stream, "partial images without a stream"),
    ];
    match inexpressible.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => {
            Err(Fault::new(FaultKind::Unsupported, format!("the images API does not take {what}")))
        }
        None => Ok(()),
    }
}

fn outcome(reply: &HttpReply) -> Result<Outcome, Fault> {
    let skeleton = Skeleton::scan(&reply.body)?;
    let answer: Answer<'_> = skeleton.read()?;
    if answer.error.is_some() {
        return Err(faults::fault(reply));
    }
    let format = answer.output_format.as_ref().and_then(|word| reply::format(&skeleton.text(word)));
    let made = |item: &Item<'_>| {
        let inline = item.b64_json.as_ref().filter(|text| !text.is_empty());
        let address = item.url.as_ref().filter(|text| !text.is_empty());
        let (data, named) = match (inline, address) {
            (Some(text), _) => {
                let (text, named) = reply::without_data_prefix(skeleton.base64(text));
                (ImageData::Base64(text), named)
            }
            (None, Some(url)) => (ImageData::Url(skeleton.text(url).into_owned()), None),
            (None, None) => return None,
        };
        let revised_prompt = item.revised_prompt.as_ref().map(|text| skeleton.text(text).into_owned());
        Some(MadeImage { data, format: named.or(format), revised_prompt, seed: None })
    };
    let images: Vec<MadeImage> = answer.data.0.iter().filter_map(made).collect();
    let usage = answer.usage(!images.is_empty());
    if images.is_empty() {
        let fault = Fault::new(FaultKind::NoImage, "the answer holds no picture");
        return Err(fault.with_usage(usage));
    }
    let text_id = |text: &Option<HeldText<'_>>| reply::id(&skeleton.text(text.as_ref()?));
    Ok(Outcome {
        images,
        withheld: 0,
        usage,
        reported: None,
        model_executed: text_id(&answer.model),
        provider_request_id: reply::request_id(reply, &["x-request-id"]).or_else(|| text_id(&answer.id)),
    })
}

/// One event. There is no index of the picture in the events: each completed event is another picture.
fn decode_event(event: &ServerEvent) -> Result<StreamStep, Fault> {
    // The SDKs end on this text or on the end of the body.
    if event.data.is_empty() || event.data.head(8) == b"[DONE]" {
        return Ok(StreamStep::Ignore);
    }
    let skeleton = Skeleton::scan(&event.data)?;
    let wire: Event<'_> = skeleton.read()?;
    let kind = wire.kind.as_ref().map(|kind| skeleton.text(kind)).filter(|kind| !kind.is_empty());
    let kind = kind.as_deref().unwrap_or(&event.name);
    // Flat errors have no `error` object; one of the SDKs passes them over in silence.
    if wire.error.is_some() || kind == "error" {
        return Err(faults::fault_of_event(&event.data));
    }
    let format = wire.output_format.as_ref().and_then(|word| reply::format(&skeleton.text(word)));
    let image = wire.b64_json.as_ref().filter(|text| !text.is_empty()).map(|text| skeleton.base64(text));
    match (kind.rsplit('.').next().unwrap_or_default(), image) {
        ("partial_image", Some(image)) => {
            let index = json::count(wire.partial_image_index).and_then(|index| u32::try_from(index).ok());
            Ok(StreamStep::Partial { index: index.unwrap_or(0), image, format })
        }
        ("completed", Some(image)) => {
            let made = MadeImage { data: ImageData::Base64(image), format, revised_prompt: None, seed: None };
            let usage = wire.usage.map(|usage| usage.metered(true)).unwrap_or_default();
            Ok(StreamStep::Completed(Outcome { images: vec![made], usage, ..Outcome::default() }))
        }
        ("completed", None) => {
            let usage = wire.usage.map(|usage| usage.metered(false)).unwrap_or_default();
            Err(Fault::new(FaultKind::NoImage, "the completed event holds no picture").with_usage(usage))
        }
        _ => Ok(StreamStep::Ignore),
    }
}

#[cfg(test)]
mod tests;
