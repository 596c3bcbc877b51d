//! The two forms of a finished generation: one JSON object, or server-sent events.
//!
//! Owns `usage` and the events. In a stream of several pictures each completed event reports its own picture,
//! the first also the prompt, so that their sum is the request. The charge has been written before: a stream
//! that breaks has been paid. Refuses billing decisions: `openai.rs`.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header;
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::request::Generation;
use super::{PARTIAL_TOKENS, emitted_partials};
use crate::ctx::{Ctx, Motif};
use crate::faults::Drawn;
use crate::picture;
use crate::wire;

/// The JSON answer with all pictures.
pub(super) async fn whole(ctx: &Arc<Ctx>, drawn: &Drawn, request: &Generation, text_tokens: i64) -> Response {
    let mut data = Vec::new();
    for _ in 0..request.n {
        let seed = ctx.seeds.next();
        data.push(json!({"b64_json": encoded(&ctx.paint(drawn, motif(request, seed)).await)}));
    }
    let tokens = request.model.image_tokens(request.quality, request.width, request.height);
    let mut usage = usage((text_tokens, request.image_tokens_in), tokens * i64::from(request.n));
    usage["output_tokens_details"] = json!({"image_tokens": usage["output_tokens"], "text_tokens": 0});
    let mut answer = json!({
        "created": ctx.now().as_second(),
        "background": request.background,
        "output_format": request.format_word(),
        "quality": request.quality.word,
        "size": request.size(),
        "data": data,
        "usage": usage,
    });
    if let Some(identifier) = &request.safety_identifier {
        answer["safety_identifier"] = json!(identifier);
    }
    Json(answer).into_response()
}

/// The same as events: partial pictures, then the completed one, for each picture.
pub(super) async fn streamed(
    ctx: &Arc<Ctx>,
    drawn: &Drawn,
    request: &Generation,
    text_tokens: i64,
) -> Response {
    let mut events = Vec::new();
    let partials = emitted_partials(drawn, request);
    let tokens = request.model.image_tokens(request.quality, request.width, request.height);
    for index in 0..request.n {
        let seed = ctx.seeds.next();
        for partial in 0..partials {
            events.push(partial_event(ctx, request, seed, partial).await);
        }
        if drawn.custom("stream_error") {
            let error = Refusal::new(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "The server had an error while generating the image.",
            );
            events.push(event("error", &json!({"error": error.error()})));
            break;
        }
        if drawn.custom("stream_cut") {
            return stream(wire::cut_after(events));
        }
        let input = if index == 0 { (text_tokens, request.image_tokens_in) } else { (0, 0) };
        let usage = usage(input, tokens + PARTIAL_TOKENS * i64::from(partials));
        let picture = ctx.paint(drawn, motif(request, seed)).await;
        let name = format!("{}.completed", request.kind.events());
        let mut completed = event_fields(ctx, request, &name, &picture);
        completed["usage"] = usage;
        if let Some(identifier) = &request.safety_identifier {
            completed["safety_identifier"] = json!(identifier);
        }
        events.push(event(&name, &completed));
    }
    stream(Body::from_stream(futures_util::stream::iter(events.into_iter().map(Ok::<_, std::io::Error>))))
}

async fn partial_event(ctx: &Ctx, request: &Generation, seed: u64, index: u32) -> Bytes {
    let (motif, kind) = (motif(request, seed), ctx.kind);
    let blur = move || picture::blurred(&motif.picture(kind));
    let picture = ctx.studio.make(blur).await;
    let name = format!("{}.partial_image", request.kind.events());
    let mut fields = event_fields(ctx, request, &name, &picture);
    fields["partial_image_index"] = json!(index);
    event(&name, &fields)
}

fn event_fields(ctx: &Ctx, request: &Generation, name: &str, picture: &[u8]) -> Value {
    json!({
        "type": name,
        "b64_json": encoded(picture),
        "created_at": ctx.now().as_second(),
        "size": request.size(),
        "quality": request.quality.word,
        "background": request.background,
        "output_format": request.format_word(),
    })
}

fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

fn stream(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")], body).into_response()
}

fn usage((text_tokens, image_tokens): (i64, i64), output_tokens: i64) -> Value {
    json!({
        "input_tokens": text_tokens + image_tokens,
        "input_tokens_details": {"text_tokens": text_tokens, "image_tokens": image_tokens},
        "output_tokens": output_tokens,
        "total_tokens": text_tokens + image_tokens + output_tokens,
    })
}

fn motif(request: &Generation, seed: u64) -> Motif {
    Motif {
        model: request.model.id.to_owned(),
        prompt: request.prompt.clone(),
        width: request.width,
        height: request.height,
        seed,
        format: request.format,
    }
}

fn encoded(picture: &[u8]) -> String {
    STANDARD.encode(picture)
}
