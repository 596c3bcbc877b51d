//! A delivered request as OpenAI's answer: headers, small JSON, the pictures in the buffers they came in.
//!
//! The body knows when it was dropped before its end: then the client has gone, and the engine is told so
//! that the pictures are kept for it (`retention.rs` holds them until then). What happens after the last frame
//! was handed to the connection cannot be seen here.

use crate::parts::{Parts, Writer};
use crate::retention::Retained;
use crate::state::AppState;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use gallerist_domain::{Background, ResponseFormat};
use gallerist_engine::{Answer, AnswerMeta, AnsweredList, Cost, DeliveredImage, Missing, TokenUsage};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http_body::{Frame, SizeHint};
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const GALLERIST_REQUEST_ID: HeaderName = HeaderName::from_static("x-gallerist-request-id");
const PROVIDER: HeaderName = HeaderName::from_static("x-gallerist-provider");
const MODEL: HeaderName = HeaderName::from_static("x-gallerist-model");
const COST: HeaderName = HeaderName::from_static("x-gallerist-cost-usd");
const COST_BASIS: HeaderName = HeaderName::from_static("x-gallerist-cost-basis");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-gallerist-attempts");

/// What of the request the answer repeats.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    pub(crate) background: Option<Background>,
    pub(crate) response_format: ResponseFormat,
}

/// The whole answer. `base` precedes the paths of pictures, as `http://127.0.0.1:8080`.
pub(crate) async fn response(state: &AppState, answer: Answer, echo: Echo, base: &str) -> Response {
    let parts = body(&answer, echo, base);
    state.metrics().delivered(answer.images.len());
    let headers = headers(&answer.meta);
    let retained = state.retention().take(state, answer).await;
    let mut response = Response::new(Body::new(AnswerBody { parts, retained }));
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// The headers that say where it comes from and what it cost; room for the few that follow is left.
pub(crate) fn headers(meta: &AnswerMeta) -> HeaderMap {
    let mut headers = origin(meta.request_id, &meta.provider, &meta.model);
    add(&mut headers, COST, &meta.cost.charged_usd.to_string());
    add(&mut headers, COST_BASIS, &meta.cost.basis);
    headers.insert(ATTEMPTS, HeaderValue::from(meta.attempts));
    headers
}

/// Those of the headers that are known before the cost is.
pub(crate) fn origin(request: gallerist_domain::RequestId, provider: &str, model: &str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    identify(&mut headers, request);
    add(&mut headers, PROVIDER, provider);
    add(&mut headers, MODEL, model);
    headers
}

/// A configured name may hold what no header can; the body says it anyway.
fn add(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The request's id in both headers that carry it.
pub(crate) fn identify(headers: &mut HeaderMap, request: gallerist_domain::RequestId) {
    let value = HeaderValue::from_str(&request.to_string()).expect("a UUID is visible ASCII");
    headers.insert(REQUEST_ID, value.clone());
    headers.insert(GALLERIST_REQUEST_ID, value);
}

fn body(answer: &Answer, echo: Echo, base: &str) -> Parts {
    let meta = &*answer.meta;
    let mut writer = Writer::new();
    writer.text("{\"created\":");
    writer.json(&meta.created);
    if let Some(background) = echo.background {
        writer.text(",\"background\":");
        writer.json(&background);
    }
    writer.text(",\"output_format\":");
    writer.json(&meta.output_format);
    if !meta.quality.is_empty() {
        writer.text(",\"quality\":");
        writer.json(&meta.quality);
    }
    writer.text(",\"size\":");
    writer.json(&meta.size);
    if let Some(usage) = &meta.usage {
        writer.text(",\"usage\":");
        writer.json(&Usage::new(usage, true));
    }
    writer.text(",\"gallerist\":");
    writer.json(&Details::from(meta));
    writer.text(",\"data\":[");
    for (at, image) in answer.images.iter().enumerate() {
        if at > 0 {
            writer.text(",");
        }
        write_image(&mut writer, image, echo.response_format, base);
    }
    writer.text("]}");
    writer.finish()
}

fn write_image(writer: &mut Writer, image: &DeliveredImage, format: ResponseFormat, base: &str) {
    match (&image.url_path, format) {
        (Some(path), ResponseFormat::Url) => {
            writer.text("{\"url\":");
            writer.json(&format!("{base}{path}"));
        }
        _ => {
            writer.text("{\"b64_json\":\"");
            writer.picture(&image.data);
            writer.text("\"");
        }
    }
    if let Some(revised) = &image.revised_prompt {
        writer.text(",\"revised_prompt\":");
        writer.json(revised);
    }
    writer.text("}");
}

/// The `gallerist` object of an answer.
#[derive(Serialize)]
pub struct Details<'a> {
    request_id: gallerist_domain::RequestId,
    provider: &'a str,
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    requested_model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    offer: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<&'a Cost>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved_usd: Option<gallerist_domain::Ticks>,
    #[serde(flatten)]
    list: Option<&'a AnsweredList>,
    cached: bool,
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a Missing>,
}

impl<'a> From<&'a AnswerMeta> for Details<'a> {
    fn from(meta: &'a AnswerMeta) -> Details<'a> {
        Details {
            request_id: meta.request_id,
            provider: &meta.provider,
            model: &meta.model,
            requested_model: &meta.requested_model,
            route: meta.route.as_deref(),
            offer: &meta.offer,
            cost: Some(&meta.cost),
            attempts: meta.attempts,
            saved_usd: meta.saved_usd,
            list: meta.list.as_ref(),
            cached: meta.cached,
            warnings: &meta.warnings,
            missing: meta.missing.as_ref(),
        }
    }
}

impl<'a> Details<'a> {
    /// For one of several events: the cost is that of the whole request and rides in the last one only, so
    /// that adding up events counts it once.
    pub(crate) fn without_cost(meta: &'a AnswerMeta) -> Details<'a> {
        Details { cost: None, saved_usd: None, list: None, ..Details::from(meta) }
    }
}

/// Token counts in OpenAI's form.
#[derive(Serialize)]
pub(crate) struct Usage {
    input_tokens: i64,
    input_tokens_details: TokensByKind,
    output_tokens: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<TokensByKind>,
    total_tokens: i64,
}

#[derive(Serialize)]
struct TokensByKind {
    text_tokens: i64,
    image_tokens: i64,
}

impl Usage {
    /// Streamed events have no details of the output.
    pub(crate) fn new(counts: &TokenUsage, output_details: bool) -> Usage {
        let input_tokens = counts.text_input_tokens.saturating_add(counts.image_input_tokens);
        let output_tokens = counts.text_output_tokens.saturating_add(counts.image_output_tokens);
        let output =
            TokensByKind { text_tokens: counts.text_output_tokens, image_tokens: counts.image_output_tokens };
        Usage {
            input_tokens,
            input_tokens_details: TokensByKind {
                text_tokens: counts.text_input_tokens,
                image_tokens: counts.image_input_tokens,
            },
            output_tokens,
            output_tokens_details: output_details.then_some(output),
            total_tokens: input_tokens.saturating_add(output_tokens),
        }
    }
}

struct AnswerBody {
    parts: Parts,
    retained: Retained,
}

impl http_body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = self.parts.next_frame();
        if self.parts.is_empty() {
            self.retained.delivered();
        }
        Poll::Ready(frame.map(|frame| Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.parts.length())
    }
}

#[cfg(test)]
pub(crate) mod tests;
