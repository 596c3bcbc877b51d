//! AUTOMATIC1111's WebUI and its descendants (Forge, the subset in stable-diffusion.cpp): `txt2img`.
//!
//! Built from the routes' sources as of 2026-11. Synchronous and one job at a time; the customary base
//! address is `http://127.0.0.1:7860`. The key, if any, is `user:password`. Nothing is charged by the
//! server: the cost signal is the time it took, in the header `X-Process-Time` where it is sent. The model is
//! the checkpoint's title, or `default` for the one that is loaded. The format is the server's own setting.

use crate::dialect::json::Few;
use crate::dialect::{Figure, HeldText, Skeleton, call as calls, faults, json, reply};
use crate::{Endpoint, HttpCall, HttpReply, Pending, Provider, Step};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gallerist_domain::{
    Background, Decimal, Fault, FaultKind, ImageCall, ImageData, MadeImage, Meter, Metered, Operation,
    Outcome, id,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Upstream model that means: whatever is loaded.
const LOADED_MODEL: &str = "default";
/// Seconds, with the wait for the server's lock.
const TIME_HEADER: &str = "x-process-time";

/// Fields that the request or the offer decides, so that no option may name them. `override_settings` reaches
/// the server's global settings, `save_images` its disk, scripts its code.
const RESERVED: &[&str] = &[
    "prompt",
    "negative_prompt",
    "seed",
    "steps",
    "cfg_scale",
    "width",
    "height",
    "batch_size",
    "n_iter",
    "override_settings",
    "send_images",
    "save_images",
    "script_name",
    "script_args",
    "alwayson_scripts",
    "enable_hr",
    "infotext",
];

pub struct Automatic1111;

impl Provider for Automatic1111 {
    fn kind(&self) -> &'static str {
        "automatic1111"
    }

    fn prepare(&self, call: &ImageCall, endpoint: &Endpoint) -> Result<HttpCall, Fault> {
        refuse_inexpressible(call)?;
        let mut body = Map::new();
        let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
        set("prompt", call.prompt.as_str().into());
        if let Some(negative_prompt) = &call.negative_prompt {
            set("negative_prompt", negative_prompt.as_str().into());
        }
        // -1 lets the server choose and tell.
        set("seed", call.seed.map_or(json!(-1), Value::from));
        set("steps", call.steps.into());
        if let Some(guidance_milli) = call.guidance_milli {
            set("cfg_scale", json::thousandths(guidance_milli));
        }
        set("width", call.size.width.into());
        set("height", call.size.height.into());
        set("batch_size", call.n.into());
        set("n_iter", 1.into());
        if !call.upstream_model.is_empty() && call.upstream_model != LOADED_MODEL {
            set("override_settings", json!({"sd_model_checkpoint": call.upstream_model}));
        }
        set("send_images", true.into());
        set("save_images", false.into());
        json::merge_unreserved(&mut body, json::options(&call.provider_options)?, RESERVED)?;
        with_key(calls::post_json(endpoint, "/sdapi/v1/txt2img", body), endpoint)
    }

    fn interpret(&self, _call: &ImageCall, _pending: Option<&Pending>, reply: &HttpReply) -> Step {
        if !(200..300).contains(&reply.status) {
            return Step::Fault(fault(reply));
        }
        match outcome(reply) {
            Ok(outcome) => Step::Done(outcome),
            Err(fault) => Step::Fault(fault.with_status(reply.status).with_usage(usage(reply))),
        }
    }

    fn probe(&self, endpoint: &Endpoint) -> Option<HttpCall> {
        with_key(calls::get(endpoint, "/sdapi/v1/options"), endpoint).ok()
    }
}

fn with_key(mut request: HttpCall, endpoint: &Endpoint) -> Result<HttpCall, Fault> {
    if endpoint.key.is_empty() {
        return Ok(request);
    }
    if !endpoint.key.contains(':') {
        return Err(Fault::new(FaultKind::Unauthorized, "the key of this provider is user:password"));
    }
    request.headers.extend(calls::authorization("Basic", &STANDARD.encode(&endpoint.key))?);
    Ok(request)
}

fn refuse_inexpressible(call: &ImageCall) -> Result<(), Fault> {
    let inexpressible = [
        (call.operation != Operation::Generate, "another operation than generate"),
        (call.tier != id::STANDARD_TIER, "a service tier"),
        // The server's own default is 50, which nobody has priced.
        (call.steps == 0, "a call without steps"),
        (call.background == Some(Background::Transparent), "a transparent background"),
        (call.output_compression.is_some(), "a compression"),
    ];
    match inexpressible.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Fault::new(FaultKind::Unsupported, format!("txt2img does not take {what}"))),
        None => Ok(()),
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    images: Few<HeldText<'a>>,
    /// A string of JSON; some servers send the object itself.
    #[serde(borrow, default)]
    info: Option<&'a RawValue>,
}

/// What `info` holds, as far as it is used.
#[derive(Default, Deserialize)]
struct Info<'a> {
    /// One per picture.
    #[serde(borrow, default)]
    all_seeds: Few<Figure<'a>>,
    #[serde(default)]
    sd_model_name: Option<String>,
}

fn outcome(reply: &HttpReply) -> Result<Outcome, Fault> {
    let skeleton = Skeleton::scan(&reply.body)?;
    let answer: Answer<'_> = skeleton.read()?;
    let info = answer.info.and_then(|raw| info_text(&skeleton, raw)).unwrap_or_default();
    let info: Info<'_> = serde_json::from_str(&info).unwrap_or_default();
    let made = |(index, text): (usize, &HeldText<'_>)| {
        let (data, format) = reply::without_data_prefix(skeleton.base64(text));
        let seed = info.all_seeds.0.get(index).and_then(Figure::seed);
        MadeImage { data: ImageData::Base64(data), format, revised_prompt: None, seed }
    };
    let pictures = answer.images.0.iter().enumerate().filter(|(_, text)| !text.is_empty());
    let images: Vec<MadeImage> = pictures.map(made).collect();
    if images.is_empty() {
        return Err(Fault::new(FaultKind::NoImage, "the answer holds no picture"));
    }
    Ok(Outcome {
        images,
        withheld: 0,
        usage: usage(reply),
        reported: None,
        model_executed: info.sd_model_name.and_then(|name| reply::id(&name)),
        provider_request_id: None,
    })
}

/// The text of the object in `info`.
fn info_text(skeleton: &Skeleton, raw: &RawValue) -> Option<String> {
    if raw.get().starts_with('"') {
        let text: HeldText<'_> = serde_json::from_str(raw.get()).ok()?;
        return Some(skeleton.text(&text).into_owned());
    }
    Some(raw.get().to_owned())
}

/// The measured time; GPU time is spent on failures too.
fn usage(reply: &HttpReply) -> Vec<Metered> {
    let seconds: Option<Decimal> = reply.header(TIME_HEADER).and_then(|text| text.trim().parse().ok());
    reply::usage([(Meter::GpuSeconds, seconds.and_then(reply::microseconds))])
}

fn fault(reply: &HttpReply) -> Fault {
    let kind = match reply.status {
        // `Sampler not found` and its like: what is missing is something that the call named.
        404 => FaultKind::InvalidRequest,
        status => faults::kind_of_status(status),
    };
    let fault = faults::fault(kind, reply, &faults::said(&reply.body));
    // A refusal took no GPU; a failure on the way did.
    if reply.status >= 500 { fault.with_usage(usage(reply)) } else { fault }
}

#[cfg(test)]
mod tests;
