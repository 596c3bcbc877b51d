//! Reads and checks the fields of generations and edits as strictly as the API does.
//!
//! Owns the parameter list of the gpt-image models, their ranges and the rules that tie them together (size
//! by generation, transparency by format, what goes with streaming). A null counts as absent. Refuses the
//! fields of the dall-e models, which are gone. Next: `models.rs` for words and tokens, `answer.rs`.

use jiff::civil::Date;
use serde_json::{Map, Value};

use super::models::{self, Line, Model, Quality};
use super::refusal::Refusal;
use crate::picture::PictureFormat;

const PARAMETERS: &[&str] = &[
    "prompt",
    "model",
    "n",
    "size",
    "quality",
    "complexity",
    "background",
    "output_format",
    "output_compression",
    "moderation",
    "stream",
    "partial_images",
    "frame_count",
    "frame_duration_ms",
    "svg",
    "safety_identifier",
    "user",
];

/// Which of the two endpoints was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Generation,
    Edit,
}

impl Kind {
    /// The operation of the bill.
    pub(super) fn operation(self) -> &'static str {
        match self {
            Kind::Generation => "generate",
            Kind::Edit => "edit",
        }
    }

    /// What the names of its events begin with.
    pub(super) fn events(self) -> &'static str {
        match self {
            Kind::Generation => "image_generation",
            Kind::Edit => "image_edit",
        }
    }
}

/// A request that will be served.
#[derive(Debug)]
pub(super) struct Generation {
    pub(super) kind: Kind,
    pub(super) model: &'static Model,
    pub(super) prompt: String,
    pub(super) n: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) quality: Quality,
    pub(super) background: &'static str,
    pub(super) format: PictureFormat,
    pub(super) stream: bool,
    pub(super) partial_images: u32,
    pub(super) safety_identifier: Option<String>,
    /// Only the older models have a choice; it costs.
    pub(super) high_fidelity: bool,
    /// What the pictures sent in take; set where they are read.
    pub(super) image_tokens_in: i64,
}

impl Generation {
    /// The first thing that is wrong is the refusal.
    pub(super) fn from_json(body: &[u8], today: Date) -> Result<Generation, Refusal> {
        let body: Value = serde_json::from_slice(body).map_err(|_| no_object())?;
        let fields = Fields(body.as_object().ok_or_else(no_object)?);
        Generation::read(&fields, Kind::Generation, today)
    }

    pub(super) fn read(fields: &Fields, kind: Kind, today: Date) -> Result<Generation, Refusal> {
        let model = fields.text("model")?.ok_or_else(|| missing("model"))?;
        let model = models::find(model, today).ok_or_else(|| Refusal::model_not_found(model))?;
        let known = |key: &str| {
            PARAMETERS.contains(&key)
                || (key == "input_fidelity" && kind == Kind::Edit && model.line == Line::Old)
        };
        if let Some(unknown) = fields.0.keys().find(|key| !known(key)) {
            return Err(Refusal::unknown_parameter(unknown));
        }
        let fidelities: &[&str] = if model.id == "gpt-image-1-mini" { &["low"] } else { &["low", "high"] };
        let high_fidelity = fields.word("input_fidelity", "low", fidelities)? == "high";
        let prompt = fields.text("prompt")?.ok_or_else(|| missing("prompt"))?.to_owned();
        if !(1..=32_000).contains(&prompt.chars().count()) {
            return Err(Refusal::invalid_value("prompt", "Expected a string with 1 to 32000 characters."));
        }
        let word = fields.text("quality")?.unwrap_or("auto");
        let quality = model.quality(word).ok_or_else(|| {
            let message = format!("Invalid value: '{word}'. It is no quality of {}.", model.id);
            Refusal::invalid_value("quality", message)
        })?;
        let (width, height) = size(model, fields.text("size")?.unwrap_or("auto"))?;
        fields.check_animation_and_drawing(model)?;
        let format = fields.format(model)?;
        let background = fields.word("background", "auto", &["auto", "opaque", "transparent"])?;
        if background == "transparent" && format == PictureFormat::Jpeg {
            return Err(Refusal::invalid_value("background", "Transparent background needs png or webp."));
        }
        fields.word("moderation", "auto", &["auto", "low"])?;
        let stream = fields.flag("stream")?;
        let partial_images = fields.partial_images(stream)?;
        let identifier = fields.text("safety_identifier")?.filter(|value| !value.is_empty());
        let safety_identifier = identifier.or(fields.text("user")?).map(str::to_owned);
        Ok(Generation {
            kind,
            model,
            prompt,
            n: fields.whole("n", 1, 1..=10)?,
            width,
            height,
            quality,
            background: if background == "transparent" { "transparent" } else { "opaque" },
            format,
            stream,
            partial_images,
            safety_identifier,
            high_fidelity,
            image_tokens_in: 0,
        })
    }

    pub(super) fn size(&self) -> String {
        format!("{}x{}", self.width, self.height)
    }

    pub(super) fn format_word(&self) -> &'static str {
        match self.format {
            PictureFormat::Png => "png",
            PictureFormat::Jpeg => "jpeg",
            PictureFormat::Webp => "webp",
        }
    }
}

/// Typed access to the body; a null is no value.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| wrong_type(name, "a string"))
    }

    fn word(&self, name: &str, default: &'static str, known: &[&str]) -> Result<&'a str, Refusal> {
        let word = self.text(name)?.unwrap_or(default);
        if known.contains(&word) {
            return Ok(word);
        }
        let message = format!("Invalid value: '{word}'. Supported values are: {}.", known.join(", "));
        Err(Refusal::invalid_value(name, message))
    }

    fn flag(&self, name: &str) -> Result<bool, Refusal> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| wrong_type(name, "a boolean"))
    }

    fn whole(&self, name: &str, default: u32, range: std::ops::RangeInclusive<u32>) -> Result<u32, Refusal> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let number = value.as_i64().ok_or_else(|| wrong_type(name, "an integer"))?;
        u32::try_from(number).ok().filter(|number| range.contains(number)).ok_or_else(|| {
            let message =
                format!("Invalid '{name}': expected {} to {}, got {number}.", range.start(), range.end());
            Refusal::invalid_value(name, message)
        })
    }

    fn partial_images(&self, stream: bool) -> Result<u32, Refusal> {
        let asked = self.whole("partial_images", 0, 0..=3)?;
        if asked > 0 && !stream {
            return Err(Refusal::invalid_value("partial_images", "partial_images needs stream to be true."));
        }
        Ok(asked)
    }

    /// GIF and SVG are behind a preview access that this account does not have.
    fn check_animation_and_drawing(&self, model: &Model) -> Result<(), Refusal> {
        if model.line != Line::TwoSix {
            for name in ["complexity", "frame_count", "frame_duration_ms", "svg"] {
                if self.get(name).is_some() {
                    return Err(Refusal::unknown_parameter(name));
                }
            }
        }
        self.word("complexity", "high", &["low", "medium", "high"])?;
        for name in ["frame_count", "frame_duration_ms", "svg"] {
            if self.get(name).is_some() {
                let message = format!("'{name}' needs output_format gif or svg.");
                return Err(Refusal::invalid_value(name, message));
            }
        }
        Ok(())
    }

    fn format(&self, model: &Model) -> Result<PictureFormat, Refusal> {
        let known: &[&str] = match model.line {
            Line::TwoSix => &["png", "jpeg", "webp", "gif", "svg"],
            _ => &["png", "jpeg", "webp"],
        };
        let word = self.word("output_format", "png", known)?;
        let Some(format) = PictureFormat::from_name(word) else {
            let message = format!("Your organization has no preview access to {word} output.");
            let status = http::StatusCode::FORBIDDEN;
            return Err(Refusal::new(status, "invalid_request_error", message));
        };
        let compression = self.whole("output_compression", 100, 0..=100)?;
        if compression < 100 && format == PictureFormat::Png {
            let message = "Compression less than 100 is not supported for PNG output format";
            return Err(Refusal::invalid_value("output_compression", message));
        }
        Ok(format)
    }
}

fn size(model: &Model, word: &str) -> Result<(u32, u32), Refusal> {
    if word == "auto" {
        return Ok((1024, 1024));
    }
    let wrong = |why: &str| Err(Refusal::invalid_value("size", format!("Invalid size '{word}': {why}.")));
    let edges = word.split_once('x').and_then(|(width, height)| Some((edge(width)?, edge(height)?)));
    let Some((width, height)) = edges else { return wrong("expected auto or WIDTHxHEIGHT") };
    if model.line == Line::Old {
        return match (width, height) {
            (1024, 1024 | 1536) | (1536, 1024) => Ok((width, height)),
            _ => wrong("supported are 1024x1024, 1536x1024, 1024x1536 and auto"),
        };
    }
    let (long, short) = (width.max(height), width.min(height));
    if width % 16 != 0 || height % 16 != 0 {
        return wrong("width and height must be multiples of 16");
    }
    if long > 3840 {
        return wrong("the longest edge is at most 3840");
    }
    if long > 3 * short {
        return wrong("the aspect ratio is at most 3:1");
    }
    if !(655_360..=8_294_400).contains(&(width * height)) {
        return wrong("the picture has 655360 to 8294400 pixels");
    }
    Ok((width, height))
}

/// An edge of at most five digits, so that products stay small.
fn edge(digits: &str) -> Option<u32> {
    let plain = (1..=5).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit());
    if plain { digits.parse().ok().filter(|edge| *edge > 0) } else { None }
}

fn missing(name: &str) -> Refusal {
    Refusal::parameter(name, "missing_required_parameter", format!("Missing required parameter: '{name}'."))
}

fn wrong_type(name: &str, wanted: &str) -> Refusal {
    Refusal::parameter(name, "invalid_type", format!("Invalid type for '{name}': expected {wanted}."))
}

fn no_object() -> Refusal {
    let message = "We could not parse the JSON body of your request.";
    Refusal::new(http::StatusCode::BAD_REQUEST, "invalid_request_error", message)
}
