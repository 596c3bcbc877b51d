//! The frozen v1 of Stability: SDXL from JSON, with artifacts in base64.
//!
//! Differs from v2beta in everything that an adapter touches: JSON in, `message` instead of `errors` in a
//! refusal, several samples a call (seeds count up), steps and samplers. Each sample is billed for itself.
//! Next: `tariff.rs` for the assumed price.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use super::form::STYLE_PRESETS;
use super::{App, authorised, balance_ticks, blur, request_id, tariff};
use crate::ctx::{Ctx, Motif};
use crate::faults::{Drawn, Fault};
use crate::picture::PictureFormat;
use crate::wire;

const ENGINE: &str = "stable-diffusion-xl-1024-v1-0";
const PROMPT_CHARS_MAX: usize = 2_000;

const SIZES: &[(u32, u32)] = &[
    (1024, 1024),
    (1152, 896),
    (1216, 832),
    (1344, 768),
    (1536, 640),
    (896, 1152),
    (832, 1216),
    (768, 1344),
    (640, 1536),
];
const SAMPLERS: &[&str] = &[
    "DDIM",
    "DDPM",
    "K_DPMPP_2M",
    "K_DPMPP_2S_ANCESTRAL",
    "K_DPM_2",
    "K_DPM_2_ANCESTRAL",
    "K_EULER",
    "K_EULER_ANCESTRAL",
    "K_HEUN",
    "K_LMS",
];
const GUIDANCE_PRESETS: &[&str] = &["NONE", "FAST_BLUE", "FAST_GREEN", "SIMPLE", "SLOW", "SLOWER", "SLOWEST"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    text_prompts: Vec<TextPrompt>,
    #[serde(default = "side")]
    width: u32,
    #[serde(default = "side")]
    height: u32,
    #[serde(default = "cfg_scale")]
    cfg_scale: f64,
    #[serde(default = "steps")]
    steps: u32,
    #[serde(default = "samples")]
    samples: u32,
    #[serde(default)]
    seed: u32,
    sampler: Option<String>,
    style_preset: Option<String>,
    clip_guidance_preset: Option<String>,
    #[serde(rename = "extras")]
    _extras: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TextPrompt {
    text: String,
    #[serde(default = "weight")]
    weight: f64,
}

fn side() -> u32 {
    1024
}

fn cfg_scale() -> f64 {
    7.0
}

fn steps() -> u32 {
    30
}

fn samples() -> u32 {
    1
}

fn weight() -> f64 {
    1.0
}

pub(super) async fn text_to_image(
    State(app): State<Arc<App>>,
    Path(engine): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let ctx = &app.ctx;
    if !authorised(ctx, &headers) {
        return refusal(ctx, 401, "unauthorized", "missing authorization header");
    }
    if engine != ENGINE {
        let message = format!("The specified engine (ID {engine}) was not found.");
        return refusal(ctx, 404, "not_found", &message);
    }
    let order: Order = match serde_json::from_slice(&body) {
        Ok(order) => order,
        Err(error) => return refusal(ctx, 400, "bad_request", &format!("invalid body: {error}")),
    };
    if let Err(message) = order.check() {
        return refusal(ctx, 400, "bad_request", &message);
    }
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    let as_file = accept.starts_with("image/png");
    if as_file && order.samples != 1 {
        return refusal(ctx, 400, "bad_request", "samples: must be 1 when the Accept header is image/png");
    }
    let drawn = ctx.draw("generate");
    let total = tariff::SDXL_TICKS * i64::from(order.samples);
    if let Some(answer) = refuse(ctx, &drawn, total) {
        return answer;
    }

    let id = ctx.id();
    for _ in 0..order.samples {
        ctx.charge(&id, "text-to-image", ENGINE, tariff::SDXL_TICKS);
    }
    ctx.work(&drawn).await;
    let answer = success(ctx, &drawn, &order, &id, as_file).await;
    ctx.deliver(&drawn, answer).await
}

impl Order {
    fn check(&self) -> Result<(), String> {
        let within =
            |name: &str, ok: bool, rule: &str| if ok { Ok(()) } else { Err(format!("{name}: {rule}")) };
        let known = |name: &str, value: &Option<String>, list: &[&str]| {
            let ok = value.as_deref().is_none_or(|value| list.contains(&value));
            within(name, ok, &format!("must be one of {}", list.join(", ")))
        };
        let texts = &self.text_prompts;
        within(
            "text_prompts",
            texts.iter().any(|text| text.weight > 0.0),
            "needs a text of positive weight",
        )?;
        let short = texts.iter().all(|text| (1..=PROMPT_CHARS_MAX).contains(&text.text.chars().count()));
        within("text_prompts", short, "each text has 1 to 2000 characters")?;
        let size = (self.width, self.height);
        within(
            "width, height",
            SIZES.contains(&size),
            "must be one of the sizes of SDXL, such as 1024x1024",
        )?;
        within("cfg_scale", (0.0..=35.0).contains(&self.cfg_scale), "must be from 0 to 35")?;
        within("steps", (10..=50).contains(&self.steps), "must be from 10 to 50")?;
        within("samples", (1..=10).contains(&self.samples), "must be from 1 to 10")?;
        known("sampler", &self.sampler, SAMPLERS)?;
        known("style_preset", &self.style_preset, STYLE_PRESETS)?;
        known("clip_guidance_preset", &self.clip_guidance_preset, GUIDANCE_PRESETS)
    }

    /// What the picture is labelled with: the wanted texts, without the unwanted ones.
    fn prompt(&self) -> String {
        let wanted = self.text_prompts.iter().filter(|text| text.weight > 0.0);
        wanted.map(|text| text.text.as_str()).collect::<Vec<_>>().join(" ")
    }
}

fn refuse(ctx: &Ctx, drawn: &Drawn, ticks: i64) -> Option<Response> {
    let no_credit = || refusal(ctx, 402, "payment_required", super::NO_CREDIT);
    match drawn.fault() {
        Some(Fault::ResetBefore) => Some(wire::reset()),
        Some(Fault::BadGateway) => Some(wire::bad_gateway()),
        Some(Fault::Internal) => {
            Some(refusal(ctx, 500, "server_error", "An unexpected server error has occurred"))
        }
        Some(Fault::TooManyRequests) => Some(refusal(ctx, 429, "rate_limit_exceeded", super::RATE_LIMIT)),
        Some(Fault::Moderation) => Some(refusal(ctx, 403, "content_moderation", super::MODERATED)),
        Some(Fault::Custom("payment_required")) => Some(no_credit()),
        _ if balance_ticks(ctx) < ticks => Some(no_credit()),
        _ => None,
    }
}

async fn success(ctx: &Arc<Ctx>, drawn: &Drawn, order: &Order, id: &str, as_file: bool) -> Response {
    let filtered = drawn.custom("content_filtered");
    let chosen = match order.seed {
        0 => 1 + ctx.seeds.below(super::form::SEED_MAX),
        seed => u64::from(seed),
    };
    let mut artifacts = Vec::new();
    let mut file = Bytes::new();
    let mut seed = chosen;
    for sample in 0..order.samples {
        // Seeds count up and wrap within 32 bits.
        seed = u64::from((chosen + u64::from(sample)) as u32);
        let motif = Motif {
            model: ENGINE.to_owned(),
            prompt: order.prompt(),
            width: order.width,
            height: order.height,
            seed,
            format: PictureFormat::Png,
        };
        file = if filtered { blur(ctx, motif).await } else { ctx.paint(drawn, motif).await };
        let reason = finish_reason(filtered);
        artifacts.push(json!({"base64": STANDARD.encode(&file), "finishReason": reason, "seed": seed}));
    }
    let mut answer = if as_file {
        ([(header::CONTENT_TYPE, "image/png")], file).into_response()
    } else {
        Json(json!({"artifacts": artifacts})).into_response()
    };
    let headers = answer.headers_mut();
    if as_file {
        headers.insert("finish-reason", HeaderValue::from_static(finish_reason(filtered)));
        headers.insert("seed", HeaderValue::from(seed));
    }
    headers.insert("x-request-id", request_id(id));
    answer
}

fn finish_reason(filtered: bool) -> &'static str {
    if filtered { "CONTENT_FILTERED" } else { "SUCCESS" }
}

pub(super) async fn engines(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    if !authorised(&app.ctx, &headers) {
        return refusal(&app.ctx, 401, "unauthorized", "missing authorization header");
    }
    let description = "Stability-AI Stable Diffusion XL v1.0";
    Json(json!([{"id": ENGINE, "name": description, "description": description, "type": "PICTURE"}]))
        .into_response()
}

/// v1 says `message` where v2beta lists `errors`.
pub(super) fn refusal(ctx: &Ctx, status: u16, name: &str, message: &str) -> Response {
    let id = ctx.id();
    let status = StatusCode::from_u16(status).expect("the statuses of this module are valid");
    (status, Json(json!({"id": id, "name": name, "message": message}))).into_response()
}
