//! The golden loop: every case of every provider, both directions, against its snapshot.
//!
//! A case is `golden/<kind>/<case>.json` (see [`Case`]): what is asked and what the provider answers, by
//! hand from its documentation. Beside it `<case>.snap` shows the request that we send and what we make of
//! the answer. To add one, write the case, run the tests with `INSTA_UPDATE=always` and read the snapshot.
//! Next: `tests/totality.rs`, which breaks the same replies in random places.

mod totality;

use crate::*;
use bytes::Bytes;
use gallerist_domain::{ImageData, MadeImage, Size};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

const KEY: &str = "test-key-of-nobody";

/// One case file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Where the shapes come from.
    source: String,
    /// Fields of the call that differ from [`ImageCall::example`].
    #[serde(default)]
    call: Map<String, Value>,
    #[serde(default = "base_url")]
    base_url: String,
    #[serde(default = "key")]
    key: String,
    /// What an earlier reply left open: then the request is the look-up.
    pending: Option<Pending>,
    /// Which request is shown: `prepare` (default), `look_up` (default with `pending`), `cancel`, `probe`.
    request: Option<String>,
    /// The reply, for all but streams.
    reply: Option<Reply>,
    /// The events of a streamed answer.
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    #[serde(default = "ok")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A string is the body itself, anything else is sent as JSON. `$LONG` becomes 8,000 characters.
    #[serde(default)]
    body: Value,
    /// The body of a reply that is no text.
    body_base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    #[serde(default)]
    name: String,
    data: Value,
}

fn base_url() -> String {
    "https://provider.test".to_owned()
}

fn key() -> String {
    KEY.to_owned()
}

fn ok() -> u16 {
    200
}

fn golden(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(kind)
}

/// Names and cases of a provider, sorted by name.
fn cases(kind: &str) -> Vec<(String, Case)> {
    let files = std::fs::read_dir(golden(kind)).into_iter().flatten();
    let mut cases: Vec<(String, Case)> = files
        .map(|file| file.expect("the folder can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let text = std::fs::read(&path).expect("the case can be read");
            let case = serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            (path.file_stem().expect("it has a name").to_string_lossy().into_owned(), case)
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

impl Case {
    fn call(&self) -> ImageCall {
        let example = ImageCall::example("model-of-the-case", Size::new(1024, 1024));
        let mut fields = serde_json::to_value(&example).expect("a call can be written");
        // Texts of people are read but never written.
        fields["prompt"] = example.prompt.into();
        fields["negative_prompt"] = Value::Null;
        for (name, value) in &self.call {
            let field = fields.get_mut(name).unwrap_or_else(|| panic!("a call has no field {name}"));
            *field = value.clone();
        }
        serde_json::from_value(fields).expect("the fields of the case are a call")
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint { base_url: self.base_url.clone(), key: self.key.clone() }
    }

    fn request_shown(&self) -> &str {
        let default = if self.pending.is_some() { "look_up" } else { "prepare" };
        self.request.as_deref().unwrap_or(default)
    }

    fn request(&self, provider: &dyn Provider) -> Value {
        let (call, endpoint) = (self.call(), self.endpoint());
        let pending = || self.pending.as_ref().expect("the case has a pending job");
        let request = match self.request_shown() {
            "prepare" => match provider.prepare(&call, &endpoint) {
                Ok(request) => Some(request),
                Err(fault) => return json!({"refused": fault}),
            },
            "look_up" => provider.look_up(pending(), &endpoint),
            "cancel" => provider.cancel(pending(), &endpoint),
            "probe" => provider.probe(&endpoint),
            other => panic!("{other} is no request"),
        };
        request.map_or(Value::Null, |request| {
            let printed = format!("{request:?}");
            assert!(!printed.contains(&self.key) || self.key.is_empty(), "the key is printed");
            shown_request(&request)
        })
    }

    fn step(&self, provider: &dyn Provider, reply: &HttpReply) -> Value {
        match self.request_shown() {
            "cancel" => json!({"cancelled": format!("{:?}", provider.interpret_cancel(reply))}),
            _ => shown_step(&provider.interpret(&self.call(), self.pending.as_ref(), reply)),
        }
    }

    fn stream(&self, provider: &dyn Provider, frame: usize) -> Vec<Value> {
        let decode = |event: &Event| {
            let data = body_bytes(&event.data).chunks(frame).map(Bytes::copy_from_slice).collect();
            let event = ServerEvent { name: event.name.clone(), data };
            match provider.decode_event(&self.call(), &event) {
                Ok(step) => shown_stream_step(&step),
                Err(fault) => json!({"fault": fault}),
            }
        };
        self.events.iter().map(decode).collect()
    }
}

impl Reply {
    fn bytes(&self) -> Vec<u8> {
        use base64::Engine;
        match &self.body_base64 {
            Some(text) => base64::engine::general_purpose::STANDARD.decode(text).expect("base64 in the case"),
            None => body_bytes(&self.body),
        }
    }

    /// The reply with its body in frames of `frame` bytes.
    fn in_frames(&self, frame: usize) -> HttpReply {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().expect("a header name in the case");
            headers.append(name, value.parse().expect("a header value in the case"));
        }
        let mut body = Chunks::new();
        for part in self.bytes().chunks(frame) {
            body.push_searched(Bytes::copy_from_slice(part));
        }
        HttpReply { status: self.status, headers, body }
    }
}

fn body_bytes(body: &Value) -> Vec<u8> {
    let text = match body {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.replace("$LONG", &"QUJD".repeat(2000)).into_bytes()
}

fn shown_request(request: &HttpCall) -> Value {
    let header = |(name, value): &(HeaderName, HeaderValue)| {
        let text = if value.is_sensitive() { "(secret)" } else { value.to_str().expect("headers are text") };
        (name.to_string(), Value::from(text))
    };
    let body = match &request.body {
        CallBody::Empty => Value::Null,
        CallBody::Json(bytes) => serde_json::from_slice(bytes).expect("a JSON body is JSON"),
        CallBody::Multipart(parts) => parts.iter().map(shown_part).collect(),
    };
    let mut headers: Vec<(String, Value)> = request.headers.iter().map(header).collect();
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    json!({
        "request": format!("{} {}", request.method, request.url),
        "headers": Value::Object(headers.into_iter().collect()),
        "body": body,
    })
}

fn shown_part(part: &Part) -> Value {
    match &part.file {
        None => json!({"name": part.name, "text": String::from_utf8_lossy(&part.bytes)}),
        Some((file, media_type)) => {
            json!({"name": part.name, "file": file, "media_type": media_type, "bytes": part.bytes.len()})
        }
    }
}

fn shown_step(step: &Step) -> Value {
    match step {
        Step::Done(outcome) => json!({"done": shown_outcome(outcome)}),
        Step::Wait { pending, after_ms } => json!({"wait": {"pending": pending, "after_ms": after_ms}}),
        Step::Fault(fault) => json!({"fault": fault, "event": fault.event()}),
    }
}

fn shown_stream_step(step: &StreamStep) -> Value {
    match step {
        StreamStep::Ignore => json!("ignore"),
        StreamStep::Partial { index, image, format } => {
            json!({"partial": {"index": index, "image": shown_bytes(image), "format": format}})
        }
        StreamStep::Completed(outcome) => json!({"completed": shown_outcome(outcome)}),
    }
}

fn shown_outcome(outcome: &Outcome) -> Value {
    let usage: Map<String, Value> = outcome
        .usage
        .iter()
        .map(|metered| (metered.meter.name().to_owned(), Value::from(metered.quantity)))
        .collect();
    assert_eq!(usage.len(), outcome.usage.len(), "a meter is listed once");
    let reported = outcome.reported.as_ref().map(|cost| format!("{} {}", cost.amount, cost.currency));
    json!({
        "images": outcome.images.iter().map(shown_image).collect::<Vec<_>>(),
        "withheld": outcome.withheld,
        "usage": usage,
        "reported": reported,
        "model_executed": outcome.model_executed,
        "provider_request_id": outcome.provider_request_id,
    })
}

fn shown_image(image: &MadeImage) -> Value {
    let data = match &image.data {
        ImageData::Base64(text) => json!({"base64": shown_bytes(text)}),
        ImageData::Bytes(bytes) => json!({"bytes": shown_bytes(bytes)}),
        ImageData::Url(url) => json!({"url": url}),
    };
    json!({
        "data": data,
        "format": image.format,
        "revised_prompt": image.revised_prompt,
        "seed": image.seed,
    })
}

fn shown_bytes(bytes: &Chunks) -> String {
    let head = bytes.head(24);
    let text =
        if head.is_ascii() { String::from_utf8_lossy(&head).into_owned() } else { format!("{head:02x?}") };
    if bytes.len() > 24 { format!("{text}… ({} bytes)", bytes.len()) } else { text }
}

#[test]
fn every_case_is_translated_as_its_snapshot_says() {
    for provider in PROVIDERS {
        for (name, case) in cases(provider.kind()) {
            let mut shown = json!({"case": case.source, "we_send": case.request(*provider)});
            if let Some(reply) = &case.reply {
                let step = case.step(*provider, &reply.in_frames(usize::MAX));
                for frame in [1, 7, 1000] {
                    let framed = case.step(*provider, &reply.in_frames(frame));
                    assert_eq!(framed, step, "{}/{name} in frames of {frame}", provider.kind());
                }
                shown["we_understand"] = step;
            }
            if !case.events.is_empty() {
                let steps = case.stream(*provider, usize::MAX);
                assert_eq!(case.stream(*provider, 7), steps, "{}/{name} in frames", provider.kind());
                shown["we_understand"] = Value::Array(steps);
            }
            let text = serde_json::to_string_pretty(&shown).expect("a value can be written");
            insta::with_settings!({
                snapshot_path => golden(provider.kind()),
                prepend_module_to_snapshot => false,
                omit_expression => true,
            }, {
                insta::assert_snapshot!(name, text);
            });
        }
    }
}

#[test]
fn every_provider_has_at_least_three_cases_and_no_stale_snapshot() {
    for provider in PROVIDERS {
        let cases = cases(provider.kind());
        assert!(cases.len() >= 3, "{} has {} golden cases", provider.kind(), cases.len());
        for file in std::fs::read_dir(golden(provider.kind())).expect("it has cases") {
            let path = file.expect("the folder can be listed").path();
            let name = path.file_stem().expect("it has a name").to_string_lossy().into_owned();
            assert!(cases.iter().any(|case| case.0 == name), "{path:?} belongs to no case");
        }
    }
}

#[test]
fn kinds_are_distinct_and_found() {
    for provider in PROVIDERS {
        let found = by_kind(provider.kind()).expect("it is listed");
        assert_eq!(found.kind(), provider.kind());
        assert_eq!(PROVIDERS.iter().filter(|other| other.kind() == provider.kind()).count(), 1);
    }
    assert!(by_kind("nobody").is_none());
}
