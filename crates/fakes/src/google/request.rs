//! Reads and checks the body of `generateContent` for the image models.
//!
//! Owns the fields that the Gemini API takes (those of Vertex alone are unknown here), what each model
//! allows of them, and the pictures sent in. Refuses several candidates, sizes of other models, thinking
//! levels of other models, and a model's turn whose thought signature is missing.
//! Next: `models.rs` for tables, `answer.rs`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value;

use super::models::{self, Model, Tier, Usage};
use super::proto::{Message, enumerated};
use super::refusal::Refusal;

const TOP: &[&str] = &[
    "model",
    "contents",
    "system_instruction",
    "tools",
    "tool_config",
    "safety_settings",
    "generation_config",
    "cached_content",
    "service_tier",
    "continuation_token",
];
const CONFIG: &[&str] = &[
    "response_modalities",
    "image_config",
    "thinking_config",
    "seed",
    "temperature",
    "top_p",
    "top_k",
    "candidate_count",
    "max_output_tokens",
    "stop_sequences",
    "response_mime_type",
    "presence_penalty",
    "frequency_penalty",
    "media_resolution",
];
const CATEGORIES: &[&str] = &[
    "HARM_CATEGORY_HARASSMENT",
    "HARM_CATEGORY_HATE_SPEECH",
    "HARM_CATEGORY_SEXUALLY_EXPLICIT",
    "HARM_CATEGORY_DANGEROUS_CONTENT",
    "HARM_CATEGORY_CIVIC_INTEGRITY",
];
const THRESHOLDS: &[&str] =
    &["BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"];
const LEVELS: &[&str] = &["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"];

/// A request that will be served.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) model: &'static Model,
    pub(super) prompt: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) tier: Tier,
    pub(super) seed: Option<u64>,
    pub(super) wants_text: bool,
    pub(super) wants_image: bool,
    pub(super) shows_thoughts: bool,
    /// Share of the list price that the tier of service costs.
    pub(super) percent: i64,
    /// What the request itself takes; the answer adds its own.
    pub(super) usage: Usage,
}

#[derive(Default)]
struct Contents {
    texts: Vec<String>,
    images: Vec<Option<(u32, u32)>>,
}

impl Call {
    pub(super) fn read(model: &'static Model, body: &[u8]) -> Result<Call, Refusal> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))?;
        let top = Message::read(&body, "", TOP)?;
        let contents = read_contents(model, &top)?;
        check_safety(&top)?;
        let percent = percent(&top)?;
        let nothing = Value::Object(serde_json::Map::new());
        let config = top.get("generation_config").unwrap_or(&nothing);
        let config = Message::read(config, "generation_config", CONFIG)?;
        if config.whole("candidate_count")?.unwrap_or(1) != 1 {
            return Err(Refusal::invalid("Multiple candidates is not enabled for this model"));
        }
        let (wants_text, wants_image) = modalities(&config)?;
        let (tier, width, height) = picture(model, &config, &contents)?;
        let (level, shows_thoughts) = thinking(model, &config)?;
        let images = i64::try_from(contents.images.len()).expect("a request is small");
        let usage = Usage {
            text_in: contents.texts.iter().map(|text| models::text_tokens(text)).sum(),
            image_in: images * model.image_in_tokens,
            thoughts: models::thinking_tokens(&level),
            ..Usage::default()
        };
        Ok(Call {
            model,
            prompt: contents.texts.join(" "),
            width,
            height,
            tier,
            seed: config.whole("seed")?.map(i64::unsigned_abs),
            wants_text,
            wants_image,
            shows_thoughts,
            percent,
            usage,
        })
    }
}

fn read_contents(model: &Model, top: &Message) -> Result<Contents, Refusal> {
    let mut found = Contents::default();
    let turns = top.list("contents")?;
    if turns.is_empty() {
        return Err(Refusal::invalid("* GenerateContentRequest.contents: contents is not specified"));
    }
    for turn in turns {
        let turn = Message::read(turn, "contents", &["role", "parts"])?;
        let role = turn.text("role")?.unwrap_or("user");
        if !["user", "model"].contains(&role) {
            return Err(Refusal::invalid("Please use a valid role: user, model."));
        }
        for part in turn.list("parts")? {
            read_part(part, role, &mut found)?;
        }
    }
    if let Some(instruction) = top.message("system_instruction", &["role", "parts"])? {
        for part in instruction.list("parts")? {
            read_part(part, "user", &mut found)?;
        }
    }
    if found.texts.is_empty() && found.images.is_empty() {
        return Err(Refusal::invalid("Unable to submit request because it must have a text parameter."));
    }
    if found.images.len() > model.references_max {
        let message = format!("At most {} images are supported by {}.", model.references_max, model.id);
        return Err(Refusal::invalid(message));
    }
    Ok(found)
}

fn read_part(part: &Value, role: &str, found: &mut Contents) -> Result<(), Refusal> {
    let known = ["text", "inline_data", "file_data", "thought", "thought_signature", "media_resolution"];
    let part = Message::read(part, "contents.parts", &known)?;
    let data = [part.get("text"), part.get("inline_data"), part.get("file_data")];
    if data.iter().flatten().count() != 1 {
        return Err(Refusal::invalid("contents.parts must have exactly one initialized field: data"));
    }
    if let Some(text) = part.text("text")? {
        found.texts.push(text.to_owned());
        return Ok(());
    }
    if role == "model" && part.get("thought_signature").is_none() {
        return Err(Refusal::invalid("Image part is missing a thought_signature."));
    }
    if let Some(inline) = part.message("inline_data", &["mime_type", "data", "display_name"])? {
        let mime = inline.text("mime_type")?.unwrap_or_default();
        if !["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"].contains(&mime) {
            return Err(Refusal::invalid(format!("Unsupported MIME type: {mime}")));
        }
        found.images.push(dimensions(inline.text("data")?.unwrap_or_default(), mime)?);
    }
    if let Some(file) = part.message("file_data", &["mime_type", "file_uri", "display_name"])? {
        if file.text("file_uri")?.is_none_or(str::is_empty) {
            return Err(Refusal::invalid("file_uri is required in FileData."));
        }
        found.images.push(None);
    }
    Ok(())
}

/// Size of a picture that was sent in; HEIC is taken on trust.
fn dimensions(data: &str, mime: &str) -> Result<Option<(u32, u32)>, Refusal> {
    let decoded = STANDARD.decode(data).or_else(|_| URL_SAFE.decode(data));
    let bytes = decoded.map_err(|_| {
        Refusal::invalid("Invalid value at 'contents.parts.inline_data.data': Base64 decoding failed")
    })?;
    if mime.starts_with("image/hei") {
        return Ok(None);
    }
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format();
    let size = reader.ok().and_then(|reader| reader.into_dimensions().ok());
    size.map(Some).ok_or_else(|| Refusal::invalid("Unable to process input image. Please retry or report."))
}

fn check_safety(top: &Message) -> Result<(), Refusal> {
    for setting in top.list("safety_settings")? {
        let setting = Message::read(setting, "safety_settings", &["category", "threshold"])?;
        setting.word("category", CATEGORIES)?;
        setting.word("threshold", THRESHOLDS)?;
    }
    Ok(())
}

/// Flex costs half. What priority costs for image models is not published, so it is not sold here.
fn percent(top: &Message) -> Result<i64, Refusal> {
    let tier = top.word("service_tier", &["STANDARD", "FLEX", "PRIORITY", "UNSPECIFIED"])?;
    match tier.as_deref() {
        Some("FLEX") => Ok(50),
        Some("PRIORITY") => Err(Refusal::invalid("Service tier priority is not available for this model.")),
        _ => Ok(100),
    }
}

/// Whether text and picture are wanted; both unless said otherwise.
fn modalities(config: &Message) -> Result<(bool, bool), Refusal> {
    let asked = config.list("response_modalities")?;
    let mut wanted = (asked.is_empty(), asked.is_empty());
    for modality in asked {
        match enumerated(modality.as_str().unwrap_or_default(), &["TEXT", "IMAGE"]).as_deref() {
            Some("TEXT") => wanted.0 = true,
            Some(_) => wanted.1 = true,
            None => return Err(config.wrong("response_modalities", "TEXT or IMAGE")),
        }
    }
    Ok(wanted)
}

fn picture(model: &Model, config: &Message, contents: &Contents) -> Result<(Tier, u32, u32), Refusal> {
    let known = ["aspect_ratio", "image_size", "person_generation"];
    let settings = config.message("image_config", &known)?;
    let mut asked = (None, None);
    if let Some(settings) = &settings {
        settings.word("person_generation", &["ALLOW_ALL", "ALLOW_ADULT", "ALLOW_NONE"])?;
        asked = (settings.text("image_size")?, settings.text("aspect_ratio")?);
    }
    let tier = match asked.0 {
        None => Tier::One,
        Some(word) => model.tier(word).ok_or_else(|| {
            Refusal::invalid(format!("image_size {word} is not supported by {}.", model.id))
        })?,
    };
    let first = contents.images.iter().flatten().next();
    let followed = first.map_or("1:1", |(width, height)| model.nearest_ratio(*width, *height));
    let ratio = asked.1.unwrap_or(followed);
    let pixels = model.pixels(ratio, tier);
    let (width, height) = pixels
        .ok_or_else(|| Refusal::invalid(format!("aspect_ratio {ratio} is not supported by {}.", model.id)))?;
    Ok((tier, width, height))
}

/// The level that applies and whether the thoughts are shown.
fn thinking(model: &Model, config: &Message) -> Result<(String, bool), Refusal> {
    let known = ["thinking_level", "include_thoughts", "thinking_budget"];
    let default = model.thinking.first().copied().unwrap_or_default().to_owned();
    let Some(settings) = config.message("thinking_config", &known)? else {
        return Ok((default, false));
    };
    if model.thinking.is_empty() {
        return Err(Refusal::invalid("Thinking is not supported by this model."));
    }
    settings.whole("thinking_budget")?;
    let level = settings.word("thinking_level", LEVELS)?.unwrap_or(default);
    if !model.thinking.contains(&level.as_str()) {
        return Err(Refusal::invalid(format!("Thinking level {level} is not supported by {}.", model.id)));
    }
    Ok((level, settings.flag("include_thoughts")?))
}
