//! From the bytes of a request body to a checked [`ImageRequest`], in one function.
//!
//! This module owns the public grammar of a generation: OpenAI's parameters, the `gallerist` object beside
//! them, and every limit that needs no catalogue. It is strict: unknown and repeated fields, wrong types and
//! values out of range are refused, all of them at once, each with its path. Numbers are read from their
//! digits. It refuses HTTP, prices and knowledge of providers; whether anybody can make what was asked is
//! decided later. Next: `json.rs` (objects and depth), `read.rs` (typed values), `extension.rs` (the
//! `gallerist` object), `address.rs` (which references are acceptable).

mod address;
mod extension;
mod fault;
mod ingredients;
mod json;
mod read;

#[cfg(test)]
mod tests;

pub use fault::{FAULTS_MAX, ParameterFault};

use extension::Extension;
use fault::{Faults, code};
use gallerist_domain::{
    Background, ImageRequest, Moderation, OutputFormat, ResponseFormat, Size, SizeChoice,
};
use serde_json::value::RawValue;

/// Most characters of a prompt.
pub const PROMPT_CHARACTERS_MAX: usize = 32_000;
/// Most pictures of one request.
pub const IMAGES_MAX: u64 = 10;
/// Most characters of a model name.
pub const MODEL_CHARACTERS_MAX: usize = 200;
/// Most characters of `user` and `safety_identifier`.
pub const USER_CHARACTERS_MAX: usize = 256;
const QUALITY_CHARACTERS_MAX: usize = 32;

/// Parameters of OpenAI's image models that no offer of this gateway honours yet.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("complexity", "leave it out; quality says how much effort is spent"),
    ("frame_count", "leave it out; pictures are single frames in png, jpeg or webp"),
    ("frame_duration_ms", "leave it out; pictures are single frames in png, jpeg or webp"),
    (
        "svg",
        "this gateway delivers pictures in pixels: leave it out and ask for output_format png, jpeg or webp",
    ),
    ("input_fidelity", "leave it out; it belongs to edits"),
    ("image", "it belongs to POST /v1/images/edits"),
    ("images", "it belongs to POST /v1/images/edits"),
    ("mask", "it belongs to POST /v1/images/edits"),
    ("markup", "it belongs to POST /v1/images/edits"),
    ("style", "it was known to dall-e-3 alone; say it in the prompt"),
];

/// Reads the JSON body of `POST /v1/images/generations`. A missing `model` means `auto`; a null is as good
/// as a missing field.
///
/// # Errors
/// Everything that is wrong, at most [`FAULTS_MAX`] faults, in the order of the body; never empty.
pub fn parse_generation(body: &[u8]) -> Result<ImageRequest, Vec<ParameterFault>> {
    let members = json::body(body).map_err(|fault| vec![fault])?;
    let mut faults = Faults::default();
    let mut request = ImageRequest::new("auto", "");
    let mut draft = Draft::default();
    json::refuse_repeated("", &members, &mut faults);
    for (name, value) in &members {
        read_member(name, value, &mut request, &mut draft, &mut faults);
    }
    if !members.iter().any(|(name, value)| name == "prompt" && value.get() != "null") {
        faults.add(
            "prompt",
            code::MISSING,
            "prompt is missing: say in words what the picture shows, as in {\"prompt\":\"a red kite\"}",
        );
    }
    draft.finish(&mut request, &mut faults);
    if faults.is_empty() { Ok(request) } else { Err(faults.into_list()) }
}

/// The members of a body.
const KNOWN: [&str; 15] = [
    "prompt",
    "model",
    "n",
    "size",
    "quality",
    "output_format",
    "output_compression",
    "background",
    "moderation",
    "stream",
    "partial_images",
    "response_format",
    "user",
    "safety_identifier",
    "gallerist",
];

/// What can be judged only when the whole body has been read.
#[derive(Default)]
struct Draft {
    size: Option<Size>,
    safety_identifier: Option<String>,
    extension: Extension,
}

fn read_member(
    name: &str,
    value: &RawValue,
    request: &mut ImageRequest,
    draft: &mut Draft,
    faults: &mut Faults,
) {
    match name {
        "prompt" => request.prompt = prompt(value, faults).unwrap_or_default(),
        "model" => read_model(value, request, faults),
        "n" => {
            let n = read::integer("n", value, 1, IMAGES_MAX, faults).and_then(|n| u32::try_from(n).ok());
            request.n = n.unwrap_or(1);
        }
        "size" => draft.size = size(value, faults),
        "quality" => request.quality = quality(value, faults),
        "output_format" => request.output_format = output_format(value, faults),
        "output_compression" => {
            let compression = read::integer("output_compression", value, 0, 100, faults);
            request.output_compression = compression.and_then(|value| u8::try_from(value).ok());
        }
        "background" => {
            request.background =
                read::word("background", value, Background::from_word, &Background::words(), faults);
        }
        "moderation" => {
            request.moderation =
                read::word("moderation", value, Moderation::from_word, &Moderation::words(), faults);
        }
        "stream" => request.stream = read::flag("stream", value, faults).unwrap_or(false),
        "partial_images" => {
            let count = read::integer("partial_images", value, 0, 3, faults);
            request.partial_images = count.and_then(|count| u8::try_from(count).ok()).unwrap_or(0);
        }
        "response_format" => {
            let words = ResponseFormat::words();
            request.response_format =
                read::word("response_format", value, ResponseFormat::from_word, &words, faults)
                    .unwrap_or(ResponseFormat::Base64);
        }
        "user" => request.user = read::label("user", value, USER_CHARACTERS_MAX, faults),
        "safety_identifier" => {
            draft.safety_identifier = read::label("safety_identifier", value, USER_CHARACTERS_MAX, faults);
        }
        "gallerist" => extension::read(value, request, &mut draft.extension, faults),
        other => refuse(other, faults),
    }
}

fn refuse(name: &str, faults: &mut Faults) {
    match UNSUPPORTED.iter().find(|(known, _)| *known == name) {
        Some((_, remedy)) => {
            faults.add(
                name,
                code::UNSUPPORTED,
                format!("{name} is not supported by this gateway yet: {remedy}"),
            );
        }
        None if extension::KNOWN.contains(&name) => {
            let message =
                format!("{name} is no parameter of its own: write {{\"gallerist\": {{\"{name}\": …}}}}");
            faults.add(name, code::UNKNOWN, message);
        }
        None => faults.unknown("", name, &KNOWN),
    }
}

fn prompt(value: &RawValue, faults: &mut Faults) -> Option<String> {
    let text = read::prose("prompt", value, PROMPT_CHARACTERS_MAX, faults)?;
    if text.trim().is_empty() {
        faults.add("prompt", code::VALUE, "prompt is empty: say in words what the picture shows");
    }
    Some(text)
}

fn read_model(value: &RawValue, request: &mut ImageRequest, faults: &mut Faults) {
    let Some(model) = read::label("model", value, MODEL_CHARACTERS_MAX, faults) else { return };
    if model.is_empty() {
        faults.add("model", code::VALUE, "model is empty: name one, or leave it out for \"auto\"");
    } else if model.contains(' ') {
        faults.add(
            "model",
            code::VALUE,
            "model holds a space: names look like auto, flux-1.1-pro, bfl/flux-2-pro",
        );
    } else {
        request.model = model;
    }
}

/// `None` for `auto` too.
fn size(value: &RawValue, faults: &mut Faults) -> Option<Size> {
    let text = read::text("size", value, faults)?;
    if text == "auto" {
        return None;
    }
    match text.parse() {
        Ok(size) => Some(size),
        Err(_) => {
            let message = format!(
                "size must be \"auto\" or WIDTHxHEIGHT with edges of 1 to 65535 pixels, such as 1024x1024, not {}",
                fault::shown(&text)
            );
            faults.add("size", code::VALUE, message);
            None
        }
    }
}

fn quality(value: &RawValue, faults: &mut Faults) -> Option<String> {
    let text = read::text("quality", value, faults)?;
    // Some vendors write their words in capitals.
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if (1..=QUALITY_CHARACTERS_MAX).contains(&text.len()) && text.bytes().all(allowed) {
        return Some(text.into_owned());
    }
    let message =
        format!("quality must be a word such as low, medium, high or auto, not {}", fault::shown(&text));
    faults.add("quality", code::VALUE, message);
    None
}

fn output_format(value: &RawValue, faults: &mut Faults) -> Option<OutputFormat> {
    let text = read::text("output_format", value, faults)?;
    // A drawing has a price at some providers, but none of them can be asked for one yet.
    let format = OutputFormat::from_word(&text).filter(|format| *format != OutputFormat::Svg);
    if format.is_none() {
        let message = match &*text {
            "svg" => {
                "output_format svg is a drawing of lines, which has a price at some providers and cannot be \
                      ordered: this gateway delivers pictures in pixels, so use png, jpeg or webp"
                    .to_owned()
            }
            "gif" => {
                "output_format gif is not supported by this gateway yet: use png, jpeg or webp".to_owned()
            }
            _ => format!("output_format must be one of png, jpeg, webp, not {}", fault::shown(&text)),
        };
        faults.add("output_format", code::VALUE, message);
    }
    format
}

impl Draft {
    /// The rules that join several fields.
    fn finish(self, request: &mut ImageRequest, faults: &mut Faults) {
        if let Some(identifier) = self.safety_identifier.filter(|text| !text.is_empty()) {
            request.user = Some(identifier);
        }
        request.user = request.user.take().filter(|text| !text.is_empty());
        if request.partial_images > 0 && !request.stream {
            faults.add("partial_images", code::VALUE, "partial_images needs \"stream\": true");
        }
        if request.stream && request.response_format == ResponseFormat::Url {
            let message = "response_format url cannot be streamed: leave out stream, or take b64_json";
            faults.add("response_format", code::VALUE, message);
        }
        if request.background == Some(Background::Transparent)
            && request.output_format == Some(OutputFormat::Jpeg)
        {
            faults.add("background", code::VALUE, "background transparent needs output_format png or webp");
        }
        request.size = self.extension.size_choice(self.size, faults);
    }
}

/// Exactly these pixels, or ours to choose.
fn plain_size(size: Option<Size>) -> SizeChoice {
    size.map_or(SizeChoice::Auto, SizeChoice::Exact)
}
