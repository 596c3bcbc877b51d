//! fal.ai: the queue of its model interfaces, asked until the result can be fetched.
//!
//! This module owns fal's calls; [`reply`] owns what its answers mean. A job has two stages, its status
//! and its result, and always keeps the addresses that the submission named, because they drop part of
//! the model's path. Retries and silent substitution of models are switched off: both would make the
//! price unknown. The key goes to fal's own hosts only. Protocol: fal.ai/docs (queue, common
//! parameters, reliability; as of 2026-11).

mod reply;

use crate::dialect::{balance, call as calls, job_address, json};
use crate::{Balance, CallBody, Cancelled, Endpoint, HttpCall, HttpReply, Pending, Provider, Step};
use gallerist_domain::{Background, Fault, FaultKind, ImageCall, Operation};
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

/// The adapter of `fal`.
pub struct Fal;

/// Where fal's queue and its shards live.
const DOMAINS: &[&str] = &["fal.run", "fal.ai"];
const QUEUE: &str = "https://queue.fal.run";
/// Where fal's platform lives: prices, usage, the account.
const PLATFORM: &str = "https://api.fal.ai";
const PENDING_VERSION: u32 = 1;

/// Keys of a pending job's state.
const STAGE: &str = "stage";
const STATUS_URL: &str = "status_url";
const RESPONSE_URL: &str = "response_url";
const CANCEL_URL: &str = "cancel_url";
/// Values of [`STAGE`].
const STAGE_STATUS: &str = "status";
const STAGE_RESULT: &str = "result";

/// Without these the queue repeats a failed job up to ten times, or lets another model answer.
const NO_RETRY: HeaderName = HeaderName::from_static("x-fal-no-retry");
const NO_FALLBACK: HeaderName = HeaderName::from_static("x-app-fal-disable-fallback");

/// Options that the request decides or that add priced inputs.
const OPTIONS_REFUSED: &[&str] = &[
    "prompt",
    "negative_prompt",
    "image_size",
    "aspect_ratio",
    "resolution",
    "num_images",
    "seed",
    "num_inference_steps",
    "guidance_scale",
    "output_format",
    "image_url",
    "image_urls",
    "mask_url",
    "loras",
    "controlnets",
    "ip_adapters",
];

impl Provider for Fal {
    fn kind(&self) -> &'static str {
        "fal"
    }

    fn prepare(&self, call: &ImageCall, endpoint: &Endpoint) -> Result<HttpCall, Fault> {
        check(call)?;
        let mut http = calls::post_json(endpoint, &path(&call.upstream_model)?, body(call)?);
        http.headers.extend(calls::authorization("Key", &endpoint.key)?);
        http.headers.push((NO_RETRY, HeaderValue::from_static("1")));
        http.headers.push((NO_FALLBACK, HeaderValue::from_static("true")));
        Ok(http)
    }

    fn interpret(&self, call: &ImageCall, pending: Option<&Pending>, answer: &HttpReply) -> Step {
        let Some(pending) = pending else { return reply::submitted(answer) };
        if pending.version != PENDING_VERSION {
            return Step::Fault(Fault::new(FaultKind::Internal, "the stored job is of another version"));
        }
        match pending.state.get(STAGE).map(String::as_str) {
            Some(STAGE_RESULT) => reply::result(call, pending, answer),
            _ => reply::status(pending, answer),
        }
    }

    /// None when the address is not fal's own: the key must not go there.
    fn look_up(&self, pending: &Pending, endpoint: &Endpoint) -> Option<HttpCall> {
        if pending.state.get(STAGE).map(String::as_str) == Some(STAGE_RESULT) {
            return follow(Method::GET, RESPONSE_URL, "", pending, endpoint);
        }
        follow(Method::GET, STATUS_URL, "logs=0", pending, endpoint)
    }

    fn cancel(&self, pending: &Pending, endpoint: &Endpoint) -> Option<HttpCall> {
        follow(Method::PUT, CANCEL_URL, "", pending, endpoint)
    }

    fn interpret_cancel(&self, answer: &HttpReply) -> Cancelled {
        reply::cancelled(answer)
    }

    /// The platform has a host of its own, and answers this to admin keys alone.
    fn balance(&self, endpoint: &Endpoint) -> Option<HttpCall> {
        let own = [QUEUE, PLATFORM]
            .into_iter()
            .any(|host| job_address::may_take_key(host, &endpoint.base_url, DOMAINS));
        let base_url = if own { PLATFORM.to_owned() } else { endpoint.base_url.clone() };
        let platform = Endpoint { base_url, key: endpoint.key.clone() };
        let mut http = calls::get(&platform, "/v1/account/billing?expand=credits");
        http.headers.extend(calls::authorization("Key", &endpoint.key).ok()?);
        Some(http)
    }

    fn interpret_balance(&self, answer: &HttpReply) -> Result<Balance, Fault> {
        if answer.status == 403 {
            let detail = "fal tells the balance to admin keys alone";
            return Err(Fault::new(FaultKind::Unauthorized, detail).with_status(answer.status));
        }
        balance::read(answer, &["credits", "current_balance"], "USD")
    }
}

/// A call of an address that the submission named, with the key.
fn follow(
    method: Method,
    name: &str,
    query: &str,
    pending: &Pending,
    endpoint: &Endpoint,
) -> Option<HttpCall> {
    let address = pending.state.get(name).filter(|_| pending.version == PENDING_VERSION)?;
    if !job_address::may_take_key(address, &endpoint.base_url, DOMAINS) {
        return None;
    }
    let separator = match (query.is_empty(), address.contains('?')) {
        (true, _) => "",
        (false, true) => "&",
        (false, false) => "?",
    };
    let mut headers = vec![calls::accept_json()];
    headers.extend(calls::authorization("Key", &endpoint.key).ok()?);
    Some(HttpCall { method, url: format!("{address}{separator}{query}"), headers, body: CallBody::Empty })
}

/// `/owner/app/sub/path` of a model.
fn path(model: &str) -> Result<String, Fault> {
    let segments: Vec<String> = model.split('/').map(calls::path_segment).collect();
    if segments.len() < 2 || segments.iter().any(String::is_empty) {
        return Err(Fault::new(FaultKind::Unsupported, "a fal model is named owner/app[/path]"));
    }
    Ok(format!("/{}", segments.join("/")))
}

/// Refuses what no fal model can be asked for in this way, so that nothing is dropped.
fn check(call: &ImageCall) -> Result<(), Fault> {
    let complaint = if call.operation != Operation::Generate {
        "only generation is written for fal"
    } else if call.background == Some(Background::Transparent) {
        "no transparent background is written for fal"
    } else {
        return Ok(());
    };
    Err(Fault::new(FaultKind::Unsupported, complaint))
}

fn body(call: &ImageCall) -> Result<Map<String, Value>, Fault> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("prompt", call.prompt.as_str().into());
    if call.aspect_ratio.is_empty() {
        set("image_size", json!({"width": call.size.width, "height": call.size.height}));
    } else {
        set("aspect_ratio", call.aspect_ratio.as_str().into());
        if !call.resolution.is_empty() {
            set("resolution", call.resolution.as_str().into());
        }
    }
    set("num_images", call.n.into());
    if let Some(seed) = call.seed {
        set("seed", seed.into());
    }
    if call.steps > 0 {
        set("num_inference_steps", call.steps.into());
    }
    if let Some(guidance_milli) = call.guidance_milli {
        set("guidance_scale", json::thousandths(guidance_milli));
    }
    if let Some(negative) = &call.negative_prompt {
        set("negative_prompt", negative.as_str().into());
    }
    if call.format_selectable {
        set("output_format", call.output_format.as_str().into());
    }
    let options = json::options(&call.provider_options)?;
    json::merge_unreserved(&mut body, options, OPTIONS_REFUSED)?;
    // The default, said aloud; it is not part of the request, so an option may turn it off.
    body.entry("enable_safety_checker").or_insert(true.into());
    Ok(body)
}

#[cfg(test)]
mod tests;
