//! What `generateContent` answers with status 200: pictures, texts and refusals of content, with their usage.
//!
//! Owns the shapes of candidates, prompt feedback and usage. Usage and bill are the same numbers always: what
//! a refusal reports is what it costs. Refuses transport: `google.rs` sends it whole or as events.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::models::{self, Usage};
use super::request::Call;
use crate::ctx::{Ctx, Motif};
use crate::faults::{Drawn, Fault};
use crate::picture::{self, PictureFormat};

const REMARK: &str = "Here is your picture.";
const EXCUSE: &str = "I would rather describe the scene in words than draw it.";

/// What will be answered; decided, and so charged, before any work.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) usage: Usage,
    kind: OutcomeKind,
}

#[derive(Clone, Debug)]
enum OutcomeKind {
    Picture,
    TextOnly {
        reason: String,
    },
    /// The prompt was refused: no candidates.
    Blocked {
        reason: String,
    },
    /// The picture was made and then withheld.
    Withheld {
        reason: String,
    },
}

/// Decides by the script. `moderation` and `image_safety` and `no_image` take another `reason`;
/// `image_safety` with `charged: false` reports and costs no picture.
pub(super) fn decide(call: &Call, drawn: &Drawn) -> Outcome {
    let mut usage = call.usage;
    if drawn.custom("cached") {
        let asked =
            drawn.number(Fault::Custom("cached"), "tokens").and_then(|tokens| i64::try_from(tokens).ok());
        usage.cached = asked.unwrap_or(usage.text_in / 2).min(usage.text_in + usage.image_in);
    }
    let fault = drawn.fault();
    let parameter = |name| fault.and_then(|fault| drawn.parameter(fault, name));
    let reason =
        |default: &str| parameter("reason").and_then(Value::as_str).unwrap_or(default).to_ascii_uppercase();
    let kind = match fault {
        Some(Fault::Moderation) => {
            // Blocked before any thought.
            usage.thoughts = 0;
            OutcomeKind::Blocked { reason: reason("PROHIBITED_CONTENT") }
        }
        Some(Fault::Custom("image_safety")) => {
            // Not known to be charged; a stand-in takes the dear side unless told otherwise.
            if parameter("charged").and_then(Value::as_bool).unwrap_or(true) {
                usage.image_out = call.model.image_tokens(call.tier);
            }
            OutcomeKind::Withheld { reason: reason("IMAGE_SAFETY") }
        }
        Some(Fault::Custom("no_image")) => {
            usage.text_out = models::text_tokens(EXCUSE);
            OutcomeKind::TextOnly { reason: reason("STOP") }
        }
        _ if !call.wants_image => {
            usage.text_out = models::text_tokens(EXCUSE);
            OutcomeKind::TextOnly { reason: "STOP".to_owned() }
        }
        _ => {
            usage.image_out = call.model.image_tokens(call.tier);
            usage.text_out = if call.wants_text { models::text_tokens(REMARK) } else { 0 };
            OutcomeKind::Picture
        }
    };
    Outcome { usage, kind }
}

/// The body of the answer.
pub(super) async fn body(
    ctx: &Arc<Ctx>,
    drawn: &Drawn,
    call: &Call,
    outcome: &Outcome,
    response_id: &str,
) -> Value {
    let mut body = match &outcome.kind {
        OutcomeKind::Blocked { reason } => json!({
            "promptFeedback": {"blockReason": reason, "safetyRatings": []},
        }),
        OutcomeKind::Withheld { reason } => json!({
            "candidates": [{
                "content": {"role": "model", "parts": []},
                "finishReason": reason,
                "finishMessage": "Unable to show the generated image. Try another prompt.",
                "index": 0,
            }],
        }),
        OutcomeKind::TextOnly { reason } => candidates(vec![json!({"text": EXCUSE})], reason),
        OutcomeKind::Picture => candidates(parts(ctx, drawn, call).await, "STOP"),
    };
    body["usageMetadata"] = usage_metadata(&outcome.usage);
    body["modelVersion"] = json!(call.model.id);
    body["responseId"] = json!(response_id);
    body
}

fn candidates(parts: Vec<Value>, reason: &str) -> Value {
    json!({
        "candidates": [{
            "content": {"role": "model", "parts": parts},
            "finishReason": reason,
            "index": 0,
        }],
    })
}

async fn parts(ctx: &Arc<Ctx>, drawn: &Drawn, call: &Call) -> Vec<Value> {
    // The seed is taken and not honoured: the same request gives another picture.
    let seed = ctx.seeds.next() ^ call.seed.unwrap_or(0);
    let motif = Motif {
        model: call.model.id.to_owned(),
        prompt: call.prompt.clone(),
        width: call.width,
        height: call.height,
        seed,
        format: call.model.format,
    };
    let mut parts = Vec::new();
    if call.shows_thoughts {
        parts.push(json!({"text": "**Planning the picture**", "thought": true}));
    }
    if drawn.custom("drafts") {
        let draft = inline(&draft(ctx, &motif).await, motif.format);
        let mut thought = draft.clone();
        thought["thought"] = json!(true);
        parts.extend([thought, draft]);
    }
    if call.wants_text {
        parts.push(json!({"text": REMARK}));
    }
    let format = motif.format;
    let mut picture = inline(&ctx.paint(drawn, motif).await, format);
    picture["thoughtSignature"] = json!(STANDARD.encode(ctx.id()));
    parts.push(picture);
    parts
}

async fn draft(ctx: &Ctx, motif: &Motif) -> bytes::Bytes {
    let (motif, provider) = (motif.clone(), ctx.kind);
    let blur = move || picture::blurred(&motif.picture(provider));
    ctx.studio.make(blur).await
}

fn inline(picture: &[u8], format: PictureFormat) -> Value {
    json!({"inlineData": {"mimeType": format.mime(), "data": STANDARD.encode(picture)}})
}

/// Counts that are zero are absent, as in Google's answers.
fn usage_metadata(usage: &Usage) -> Value {
    let prompt = usage.text_in + usage.image_in;
    let output = usage.text_out + usage.image_out;
    let mut metadata = json!({"promptTokenCount": prompt});
    if usage.cached > 0 {
        metadata["cachedContentTokenCount"] = json!(usage.cached);
    }
    if output > 0 {
        metadata["candidatesTokenCount"] = json!(output);
    }
    if usage.thoughts > 0 {
        metadata["thoughtsTokenCount"] = json!(usage.thoughts);
    }
    metadata["totalTokenCount"] = json!(prompt + output + usage.thoughts);
    metadata["promptTokensDetails"] = details(usage.text_in, usage.image_in);
    if output > 0 {
        metadata["candidatesTokensDetails"] = details(usage.text_out, usage.image_out);
    }
    metadata
}

fn details(text: i64, image: i64) -> Value {
    let modalities = [("TEXT", text), ("IMAGE", image)].into_iter().filter(|(_, count)| *count > 0);
    modalities.map(|(modality, count)| json!({"modality": modality, "tokenCount": count})).collect()
}
