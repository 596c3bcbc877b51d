//! Black Forest Labs: submit a job, then ask the address that the reply named.
//!
//! This module owns BFL's calls; [`reply`] owns what its answers mean. Which fields are sent follows the
//! call; the little that is known here about models is which field names their schemas have, never a
//! limit or a price. It refuses to send the key anywhere but to BFL's own hosts, and options that would
//! change the price or where the answer goes. Protocol: docs.bfl.ai, api.bfl.ai/openapi.json (as of
//! 2026-11). There is no cancellation and no idempotency key.

mod reply;

use crate::dialect::{balance, call as calls, job_address, json};
use crate::{Balance, CallBody, Endpoint, HttpCall, HttpReply, Pending, Provider, Step};
use gallerist_domain::{Background, Fault, FaultKind, ImageCall, Operation};
use http::{HeaderName, Method};
use serde_json::{Map, Value};

/// The adapter of `bfl`.
pub struct Bfl;

const X_KEY: HeaderName = HeaderName::from_static("x-key");
/// Where regional hosts live that a polling address may name.
const DOMAINS: &[&str] = &["bfl.ai"];
const PENDING_VERSION: u32 = 1;
const POLLING_URL: &str = "polling_url";

/// Options that the request decides, that add priced inputs, or that turn polling off.
const OPTIONS_REFUSED: &[&str] = &[
    "prompt",
    "width",
    "height",
    "aspect_ratio",
    "resolution",
    "seed",
    "steps",
    "guidance",
    "output_format",
    "image",
    "images",
    "image_prompt",
    "mask",
    "webhook_url",
    "webhook_secret",
];
/// FLUX 3 answers 422 to any field it does not know; these are its own that an option may set.
const STRICT_OPTIONS: &[&str] = &["grounding", "safety_tolerance", "version"];
/// The one model with a strict schema; its smaller sister's name begins alike.
const STRICT_MODEL: &str = "flux-3-image";

impl Provider for Bfl {
    fn kind(&self) -> &'static str {
        "bfl"
    }

    fn prepare(&self, call: &ImageCall, endpoint: &Endpoint) -> Result<HttpCall, Fault> {
        check(call)?;
        let path = format!("/{}", calls::path_segment(&call.upstream_model));
        let mut http = calls::post_json(endpoint, &path, body(call)?);
        add_key(&mut http, endpoint)?;
        Ok(http)
    }

    fn interpret(&self, call: &ImageCall, pending: Option<&Pending>, reply: &HttpReply) -> Step {
        match pending {
            None => reply::submitted(call, reply),
            Some(pending) if pending.version == PENDING_VERSION => reply::polled(call, pending, reply),
            Some(_) => Step::Fault(Fault::new(FaultKind::Internal, "the stored job is of another version")),
        }
    }

    /// None when the address is not BFL's own: the key must not go there.
    fn look_up(&self, pending: &Pending, endpoint: &Endpoint) -> Option<HttpCall> {
        let address = pending.state.get(POLLING_URL).filter(|_| pending.version == PENDING_VERSION)?;
        if !job_address::may_take_key(address, &endpoint.base_url, DOMAINS) {
            return None;
        }
        let mut http = HttpCall {
            method: Method::GET,
            url: address.clone(),
            headers: vec![calls::accept_json()],
            body: CallBody::Empty,
        };
        add_key(&mut http, endpoint).ok()?;
        Some(http)
    }

    fn balance(&self, endpoint: &Endpoint) -> Option<HttpCall> {
        let mut http = calls::get(endpoint, "/credits");
        add_key(&mut http, endpoint).ok()?;
        Some(http)
    }

    fn interpret_balance(&self, reply: &HttpReply) -> Result<Balance, Fault> {
        balance::read(reply, &["credits"], "credit")
    }

    fn probe(&self, endpoint: &Endpoint) -> Option<HttpCall> {
        self.balance(endpoint)
    }
}

fn add_key(http: &mut HttpCall, endpoint: &Endpoint) -> Result<(), Fault> {
    if !endpoint.key.is_empty() {
        http.headers.push(calls::secret(X_KEY, &endpoint.key)?);
    }
    Ok(())
}

/// Refuses what no BFL schema can say, so that nothing is dropped on the way.
fn check(call: &ImageCall) -> Result<(), Fault> {
    let strict = call.upstream_model == STRICT_MODEL;
    let tuned = call.seed.is_some() || call.steps > 0 || call.guidance_milli.is_some();
    let ratio_given = !call.aspect_ratio.is_empty();
    let complaint = if call.operation != Operation::Generate {
        "only generation is written for BFL"
    } else if call.n != 1 {
        "BFL makes one picture per call"
    } else if call.negative_prompt.is_some() {
        "BFL has no negative prompt"
    } else if call.background == Some(Background::Transparent) {
        "BFL has no transparent background"
    } else if strict && tuned {
        "flux-3-image has no seed, steps or guidance"
    } else if takes_ratio(&call.upstream_model).is_some_and(|taken| taken != ratio_given) {
        if ratio_given { "this model takes pixels" } else { "this model takes an aspect ratio" }
    } else if call.upstream_model.starts_with(STRICT_MODEL) && call.resolution.is_empty() {
        "the FLUX 3 price depends on the resolution, so it must be named"
    } else if calls::path_segment(&call.upstream_model).is_empty() {
        "the model has no name"
    } else {
        return Ok(());
    };
    Err(Fault::new(FaultKind::Unsupported, complaint))
}

/// Whether a schema has `aspect_ratio` (else `width` and `height`), where it is known: the other field
/// would be ignored and a picture of another size be paid for.
fn takes_ratio(model: &str) -> Option<bool> {
    let begins = |families: &[&str]| families.iter().any(|family| model.starts_with(family));
    if begins(&["flux-3-image", "flux-kontext-", "flux-pro-1.1-ultra"]) {
        Some(true)
    } else if begins(&["flux-2-", "flux-pro-1.1", "flux-dev"]) {
        Some(false)
    } else {
        None
    }
}

fn body(call: &ImageCall) -> Result<Map<String, Value>, Fault> {
    let strict = call.upstream_model == STRICT_MODEL;
    let options = json::options(&call.provider_options)?;
    for name in options.keys() {
        if name.starts_with("input_image") {
            return Err(json::collision(name));
        }
        let decided = OPTIONS_REFUSED.contains(&name.as_str());
        if strict && !decided && !STRICT_OPTIONS.contains(&name.as_str()) {
            let detail = format!("flux-3-image has no option {name:?}");
            return Err(Fault::new(FaultKind::InvalidRequest, detail).with_parameter(Some(name.to_owned())));
        }
    }
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    set("prompt", call.prompt.as_str().into());
    if call.aspect_ratio.is_empty() {
        set("width", call.size.width.into());
        set("height", call.size.height.into());
    } else {
        set("aspect_ratio", call.aspect_ratio.as_str().into());
        if !call.resolution.is_empty() {
            set("resolution", call.resolution.as_str().into());
        }
    }
    if let Some(seed) = call.seed {
        set("seed", seed.into());
    }
    if call.steps > 0 {
        set("steps", call.steps.into());
    }
    if let Some(guidance_milli) = call.guidance_milli {
        set("guidance", json::thousandths(guidance_milli));
    }
    if !strict && call.format_selectable {
        set("output_format", call.output_format.as_str().into());
    }
    json::merge_unreserved(&mut body, options, OPTIONS_REFUSED)?;
    if strict {
        // The default, said aloud: a search may be charged one day, and an option may turn it off.
        body.entry("grounding").or_insert(true.into());
    }
    Ok(body)
}

#[cfg(test)]
mod tests;
