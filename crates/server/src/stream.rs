//! `stream: true`: the engine's events as server-sent events in OpenAI's form.
//!
//! Each event is an `event:` line, a `data:` line of JSON and a blank line; pictures stay in the buffers
//! they came in. The first event has been seen before the answer begins, so a request that fails at once
//! still answers with an ordinary error; a later failure is an event with a top-level `error`, which both
//! official SDKs raise. There is no `[DONE]`: the end of the body is the end.

use crate::answer::{self, Details, Usage};
use crate::failure::Failure;
use crate::parts::{Parts, Writer};
use crate::retention;
use crate::state::AppState;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use gallerist_domain::{Background, Chunks, ImageData, OutputFormat, Size};
use gallerist_engine::{Answer, AnswerMeta, DeliveredImage, StreamEvent};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http_body::Frame;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc::Receiver;

const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The answer to a streamed request; waits for the first event.
///
/// # Errors
/// The failure that came first.
pub(crate) async fn response(
    state: &AppState,
    events: Receiver<StreamEvent>,
    background: Option<Background>,
) -> Result<Response, Failure> {
    let mut body = EventBody {
        state: state.clone(),
        events,
        background: background.unwrap_or(Background::Auto),
        parts: Parts::default(),
        taken: None,
        over: false,
    };
    let first = match body.events.recv().await {
        Some(StreamEvent::Failed(refusal)) => return Err(Failure::from(refusal)),
        Some(first) => first,
        None => return Err(Failure::internal()),
    };
    let headers = match &first {
        StreamEvent::Completed { meta, .. } => answer::headers(meta),
        // What it costs is known at its end and rides in the completed event.
        StreamEvent::Partial { origin, .. } => {
            answer::origin(origin.request_id, &origin.provider, &origin.model)
        }
        StreamEvent::Failed(_) => http::HeaderMap::new(),
    };
    body.add(first);
    let mut response = Response::new(Body::new(body));
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// The events as they come. Dropping it tells the engine, by the closed channel, that the client has gone.
struct EventBody {
    state: AppState,
    events: Receiver<StreamEvent>,
    background: Background,
    /// Of the events that were taken, what is not sent yet.
    parts: Parts,
    /// The finished pictures that were taken, until they are all sent.
    taken: Option<Answer>,
    over: bool,
}

impl EventBody {
    fn add(&mut self, event: StreamEvent) {
        self.parts = match event {
            StreamEvent::Partial { index, image, format, size, quality, .. } => {
                let created = self.state.engine().clock().now().as_second();
                let look = Look { created, format, size, quality: &quality, background: self.background };
                partial(index, &image, &look)
            }
            StreamEvent::Completed { image, meta } => {
                let before = self.taken.as_ref().map_or(0, |answer| answer.images.len());
                let last = before + 1 >= meta.revised_prompts.len();
                let parts = completed(&image, &meta, self.background, last);
                self.take(image, meta);
                parts
            }
            StreamEvent::Failed(refusal) => {
                self.over = true;
                failed(&Failure::from(refusal))
            }
        };
    }

    fn take(&mut self, image: DeliveredImage, meta: Arc<AnswerMeta>) {
        self.state.metrics().delivered(1);
        self.hold(image, meta);
    }

    fn hold(&mut self, image: DeliveredImage, meta: Arc<AnswerMeta>) {
        match &mut self.taken {
            Some(answer) => {
                answer.images.push(image);
                answer.meta = meta;
            }
            None => self.taken = Some(Answer { images: vec![image], meta }),
        }
    }
}

impl http_body::Body for EventBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            if let Some(frame) = self.parts.next_frame() {
                return Poll::Ready(Some(Ok(Frame::data(frame))));
            }
            if self.over {
                return Poll::Ready(None);
            }
            match std::task::ready!(self.events.poll_recv(context)) {
                Some(event) => self.add(event),
                None => self.over = true,
            }
        }
    }
}

impl Drop for EventBody {
    fn drop(&mut self) {
        // From here on the engine keeps what it cannot send; what it has sent already is taken out.
        self.events.close();
        let mut cut_off = !self.parts.is_empty();
        while let Ok(event) = self.events.try_recv() {
            if let StreamEvent::Completed { image, meta } = event {
                self.hold(image, meta);
                cut_off = true;
            }
        }
        if let Some(answer) = self.taken.take().filter(|_| cut_off) {
            retention::keep_undelivered(&self.state, answer);
        }
    }
}

/// What every picture of a stream is described by.
struct Look<'a> {
    created: i64,
    format: OutputFormat,
    size: Size,
    quality: &'a str,
    background: Background,
}

impl Look<'_> {
    fn write(&self, writer: &mut Writer) {
        writer.text(",\"created_at\":");
        writer.json(&self.created);
        writer.text(",\"size\":");
        writer.json(&self.size);
        writer.text(",\"quality\":");
        writer.json(if self.quality.is_empty() { "auto" } else { self.quality });
        writer.text(",\"background\":");
        writer.json(&self.background);
        writer.text(",\"output_format\":");
        writer.json(&self.format);
    }
}

fn partial(index: u32, image: &Chunks, look: &Look<'_>) -> Parts {
    let mut writer = Writer::new();
    writer.text("event: image_generation.partial_image\n");
    writer.text("data: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"");
    writer.base64(&one_line(image));
    writer.text("\"");
    look.write(&mut writer);
    writer.text(",\"partial_image_index\":");
    writer.json(&index);
    writer.text("}\n\n");
    writer.finish()
}

/// One picture; the `last` of a request tells what all of them cost.
fn completed(image: &DeliveredImage, meta: &AnswerMeta, background: Background, last: bool) -> Parts {
    let mut writer = Writer::new();
    writer.text("event: image_generation.completed\n");
    writer.text("data: {\"type\":\"image_generation.completed\",\"b64_json\":\"");
    match &image.data {
        ImageData::Base64(text) => writer.base64(&one_line(text)),
        data => writer.picture(data),
    }
    writer.text("\"");
    let look = Look {
        created: meta.created,
        format: image.format,
        size: image.size,
        quality: &meta.quality,
        background,
    };
    look.write(&mut writer);
    if let Some(revised) = &image.revised_prompt {
        writer.text(",\"revised_prompt\":");
        writer.json(revised);
    }
    if let Some(usage) = meta.usage.as_ref().filter(|_| last) {
        writer.text(",\"usage\":");
        writer.json(&Usage::new(usage, false));
    }
    writer.text(",\"gallerist\":");
    writer.json(&if last { Details::from(meta) } else { Details::without_cost(meta) });
    writer.text("}\n\n");
    writer.finish()
}

/// The text without line breaks: an upstream that sends some must not begin events of its own.
fn one_line(text: &Chunks) -> Chunks {
    let is_break = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !text.parts().iter().any(|part| memchr::memchr2(b'\n', b'\r', part).is_some()) {
        return text.clone();
    }
    text.parts().iter().flat_map(|part| part.split(is_break).map(|line| part.slice_ref(line))).collect()
}

/// Both SDKs look for the top-level `error`; a reader of the raw events looks for the `type`.
fn failed(failure: &Failure) -> Parts {
    #[derive(serde::Serialize)]
    struct ErrorEvent<'a> {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(flatten)]
        envelope: crate::problem::Envelope<'a>,
    }
    let mut writer = Writer::new();
    writer.text("event: error\ndata: ");
    writer.json(&ErrorEvent { kind: "error", envelope: failure.envelope() });
    writer.text("\n\n");
    writer.finish()
}

#[cfg(test)]
mod tests;
