//! Stability AI: one synchronous call, answered with the file itself.
//!
//! This module owns both generations of the protocol: v2beta ("Stable Image", multipart, one picture)
//! and the frozen v1 (SDXL, JSON, up to ten pictures). [`reply`] owns what the answers mean. The path
//! follows from the model's id: `ultra`, `core`, `sd3…` or a v1 engine. v2beta answers are asked for as
//! raw bytes, a quarter smaller than base64. No reply states a cost. Protocol:
//! platform.stability.ai/docs/api-reference (as of 2026-11).

mod reply;

use crate::dialect::{balance, call as calls, json};
use crate::{Balance, CallBody, Endpoint, HttpCall, HttpReply, Part, Pending, Provider, Step};
use bytes::Bytes;
use gallerist_domain::{Background, Fault, FaultKind, ImageCall, Operation};
use http::header::ACCEPT;
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

/// The adapter of `stability`.
pub struct Stability;

/// The vendor's optional header for the end user, at most 256 characters.
const CLIENT_USER_ID: HeaderName = HeaderName::from_static("stability-client-user-id");
const CLIENT_USER_ID_BYTES_MAX: usize = 256;

/// Options that the request decides, that choose another price, or that add inputs.
const OPTIONS_REFUSED: &[&str] = &[
    "prompt",
    "text_prompts",
    "negative_prompt",
    "model",
    "mode",
    "image",
    "init_image",
    "strength",
    "aspect_ratio",
    "width",
    "height",
    "seed",
    "steps",
    "samples",
    "cfg_scale",
    "output_format",
];

/// The endpoint that serves a model.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Service {
    Ultra,
    Core,
    Sd3,
    /// v1, where the model is the engine in the path.
    Engine,
}

impl Provider for Stability {
    fn kind(&self) -> &'static str {
        "stability"
    }

    fn prepare(&self, call: &ImageCall, endpoint: &Endpoint) -> Result<HttpCall, Fault> {
        let service = service(&call.upstream_model)?;
        check(call, service)?;
        let options = json::options(&call.provider_options)?;
        if let Some(name) = options.keys().find(|name| OPTIONS_REFUSED.contains(&name.as_str())) {
            return Err(json::collision(name));
        }
        let mut http = match service {
            Service::Engine => engine_call(call, endpoint, options)?,
            _ => stable_image_call(call, service, endpoint, options)?,
        };
        http.headers.extend(calls::authorization("Bearer", &endpoint.key)?);
        http.headers.extend(client_user(call));
        Ok(http)
    }

    fn interpret(&self, _call: &ImageCall, _pending: Option<&Pending>, answer: &HttpReply) -> Step {
        match reply::read(answer) {
            Ok(outcome) => Step::Done(outcome),
            Err(fault) => Step::Fault(fault),
        }
    }

    /// One balance for all keys of the account.
    fn balance(&self, endpoint: &Endpoint) -> Option<HttpCall> {
        let mut http = calls::get(endpoint, "/v1/user/balance");
        http.headers.extend(calls::authorization("Bearer", &endpoint.key).ok()?);
        Some(http)
    }

    fn interpret_balance(&self, reply: &HttpReply) -> Result<Balance, Fault> {
        balance::read(reply, &["credits"], "credit")
    }

    fn probe(&self, endpoint: &Endpoint) -> Option<HttpCall> {
        self.balance(endpoint)
    }
}

fn service(model: &str) -> Result<Service, Fault> {
    match model {
        "ultra" => Ok(Service::Ultra),
        "core" => Ok(Service::Core),
        model if model.starts_with("sd3") => Ok(Service::Sd3),
        model if model.starts_with("stable-diffusion-") => Ok(Service::Engine),
        _ => Err(Fault::new(FaultKind::Unsupported, "no Stability endpoint is known for this model")),
    }
}

/// Refuses what the endpoint cannot say, so that nothing is dropped on the way.
fn check(call: &ImageCall, service: Service) -> Result<(), Fault> {
    let engine = service == Service::Engine;
    let complaint = if call.operation != Operation::Generate {
        "only generation is written for Stability"
    } else if call.background == Some(Background::Transparent) {
        "Stability has no transparent background"
    } else if engine && call.steps == 0 {
        "the v1 price depends on the steps, so they must be named"
    } else if engine && !call.aspect_ratio.is_empty() {
        "v1 takes pixels, not an aspect ratio"
    } else if engine {
        return Ok(());
    } else if call.n != 1 {
        "Stable Image makes one picture per call"
    } else if call.aspect_ratio.is_empty() {
        "Stable Image takes an aspect ratio, not pixels"
    } else if call.steps > 0 {
        "Stable Image has no steps"
    } else if call.guidance_milli.is_some() && service != Service::Sd3 {
        "only the SD3 endpoint takes guidance"
    } else {
        return Ok(());
    };
    Err(Fault::new(FaultKind::Unsupported, complaint))
}

fn stable_image_call(
    call: &ImageCall,
    service: Service,
    endpoint: &Endpoint,
    options: Map<String, Value>,
) -> Result<HttpCall, Fault> {
    let mut parts = Vec::new();
    let mut add = |name: &str, text: String| {
        parts.push(Part { name: name.to_owned(), file: None, bytes: Bytes::from(text) });
    };
    let path = match service {
        Service::Ultra => "ultra",
        Service::Core => "core",
        Service::Sd3 | Service::Engine => "sd3",
    };
    add("prompt", call.prompt.clone());
    if service == Service::Sd3 {
        add("model", call.upstream_model.clone());
        add("mode", "text-to-image".to_owned());
    }
    add("aspect_ratio", call.aspect_ratio.clone());
    add("output_format", call.output_format.as_str().to_owned());
    if let Some(seed) = call.seed {
        add("seed", seed.to_string());
    }
    if let Some(negative) = &call.negative_prompt {
        add("negative_prompt", negative.clone());
    }
    if let Some(guidance_milli) = call.guidance_milli {
        add("cfg_scale", json::thousandths(guidance_milli).to_string());
    }
    for (name, value) in options {
        match value {
            Value::String(text) => add(&name, text),
            Value::Number(_) | Value::Bool(_) => add(&name, value.to_string()),
            _ => {
                let detail = format!("the option {name:?} must be a text, a number, true or false");
                return Err(Fault::new(FaultKind::InvalidRequest, detail).with_parameter(Some(name)));
            }
        }
    }
    let base = endpoint.base_url.trim_end_matches('/');
    Ok(HttpCall {
        method: Method::POST,
        url: format!("{base}/v2beta/stable-image/generate/{path}"),
        headers: vec![(ACCEPT, HeaderValue::from_static("image/*"))],
        body: CallBody::Multipart(parts),
    })
}

fn engine_call(
    call: &ImageCall,
    endpoint: &Endpoint,
    options: Map<String, Value>,
) -> Result<HttpCall, Fault> {
    let mut texts = vec![json!({"text": call.prompt, "weight": 1})];
    // v1 has no field for it: what is not wanted is a text of negative weight.
    texts.extend(call.negative_prompt.as_ref().map(|text| json!({"text": text, "weight": -1})));
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("text_prompts", texts.into());
    set("width", call.size.width.into());
    set("height", call.size.height.into());
    if let Some(guidance_milli) = call.guidance_milli {
        set("cfg_scale", json::thousandths(guidance_milli));
    }
    set("steps", call.steps.into());
    set("samples", call.n.into());
    if let Some(seed) = call.seed {
        set("seed", seed.into());
    }
    json::merge(&mut body, options)?;
    let engine = calls::path_segment(&call.upstream_model);
    Ok(calls::post_json(endpoint, &format!("/v1/generation/{engine}/text-to-image"), body))
}

fn client_user(call: &ImageCall) -> Option<(HeaderName, HeaderValue)> {
    let user = call.user.as_ref().filter(|user| user.len() <= CLIENT_USER_ID_BYTES_MAX)?;
    let mut value = HeaderValue::from_str(user).ok()?;
    value.set_sensitive(true);
    Some((CLIENT_USER_ID, value))
}

#[cfg(test)]
mod tests;
