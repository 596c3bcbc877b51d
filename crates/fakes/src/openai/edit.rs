//! `POST /v1/images/edits`: the same request as a generation plus pictures, as a form or as JSON.
//!
//! Brings both bodies into one shape: the fields as JSON, the pictures as bytes or as a link that is not
//! fetched. Checks number, kind and size of the pictures, the mask against the first, and counts what they
//! take in tokens: patches of 32 pixels from gpt-image-2 on (about 1024 for 1024x1024, as was seen; OpenAI
//! has published no formula), tiles of 512 before. There is no Files API here: a `file_id` is taken on trust
//! and counts, like a link, as a square of 1024. Next: `request.rs` for all other fields.

use axum::extract::multipart::{Field, Multipart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use image::{GenericImageView as _, ImageFormat};
use jiff::civil::Date;
use serde_json::{Map, Value};

use super::models::{Line, Model};
use super::refusal::Refusal;
use super::request::{Fields, Generation, Kind};

const WHOLE_NUMBERS: [&str; 5] =
    ["n", "partial_images", "output_compression", "frame_count", "frame_duration_ms"];
const PICTURE_BYTES_MAX: usize = 50 << 20;
const MASK_BYTES_MAX: usize = 4 << 20;

/// A picture that was sent in: its bytes, or nothing where only a name of it was sent.
type Sent = Option<Bytes>;

/// Both bodies in one shape.
#[derive(Debug, Default)]
pub(super) struct Form {
    fields: Map<String, Value>,
    images: Vec<Sent>,
    mask: Option<Sent>,
    markup: Option<Sent>,
}

impl Form {
    pub(super) async fn from_multipart(mut parts: Multipart) -> Result<Form, Refusal> {
        let mut form = Form::default();
        while let Some(part) = parts.next_field().await.map_err(|_| broken())? {
            form.take(part).await?;
        }
        Ok(form)
    }

    async fn take(&mut self, part: Field<'_>) -> Result<(), Refusal> {
        let name = part.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "image" | "image[]" => self.images.push(Some(part.bytes().await.map_err(|_| broken())?)),
            "mask" => self.mask = Some(Some(part.bytes().await.map_err(|_| broken())?)),
            "markup" => self.markup = Some(Some(part.bytes().await.map_err(|_| broken())?)),
            _ => {
                let text = part.text().await.map_err(|_| broken())?;
                let value = match (WHOLE_NUMBERS.contains(&name.as_str()), text.parse::<i64>(), text.as_str())
                {
                    (true, Ok(number), _) => Value::from(number),
                    (_, _, "true") if name == "stream" => Value::Bool(true),
                    (_, _, "false") if name == "stream" => Value::Bool(false),
                    _ => Value::String(text),
                };
                // A nested object arrives with brackets; its own name is what the rules speak of.
                let outer = name.split('[').next().unwrap_or_default().to_owned();
                self.fields.insert(outer, value);
            }
        }
        Ok(())
    }

    pub(super) fn from_json(body: &[u8]) -> Result<Form, Refusal> {
        let body: Value = serde_json::from_slice(body).map_err(|_| broken())?;
        let mut fields = body.as_object().cloned().ok_or_else(broken)?;
        let mut images = Vec::new();
        match fields.shift_remove("images") {
            None => {}
            Some(Value::Array(items)) => {
                for item in &items {
                    images.push(reference("images", item)?);
                }
            }
            Some(_) => return Err(Refusal::parameter("images", "invalid_type", "images is an array.")),
        }
        let mut one = |name: &str| fields.shift_remove(name).map(|item| reference(name, &item)).transpose();
        let (mask, markup) = (one("mask")?, one("markup")?);
        Ok(Form { fields, images, mask, markup })
    }

    /// Checks everything; the tokens of the pictures are part of the result.
    pub(super) fn read(self, today: Date) -> Result<Generation, Refusal> {
        let mut generation = Generation::read(&Fields(&self.fields), Kind::Edit, today)?;
        if self.images.is_empty() {
            let message = "Missing required parameter: 'image'.";
            return Err(Refusal::parameter("image", "missing_required_parameter", message));
        }
        if self.images.len() > 16 {
            return Err(Refusal::invalid_value("image", "At most 16 images may be sent."));
        }
        let sizes = self.images.iter().map(measured).collect::<Result<Vec<_>, _>>()?;
        if let Some(mask) = &self.mask {
            check_overlay("mask", mask, sizes[0])?;
        }
        if let Some(markup) = &self.markup {
            if !matches!(generation.model.line, Line::TwoFive | Line::TwoSix) {
                return Err(Refusal::unknown_parameter("markup"));
            }
            if self.mask.is_some() {
                return Err(Refusal::invalid_value("markup", "markup cannot be used together with mask."));
            }
            check_overlay("markup", markup, sizes[0])?;
        }
        let overlays = self.markup.iter().map(|_| sizes[0]);
        let all = sizes.iter().copied().chain(overlays);
        generation.image_tokens_in =
            all.map(|size| tokens(generation.model, size, generation.high_fidelity)).sum();
        Ok(generation)
    }
}

/// Exactly one of a link and the name of an uploaded file.
fn reference(name: &str, item: &Value) -> Result<Sent, Refusal> {
    let wrong = || Refusal::invalid_value(name, "Expected exactly one of image_url and file_id.");
    let fields = item.as_object().filter(|fields| fields.len() == 1).ok_or_else(wrong)?;
    if fields.get("file_id").is_some_and(Value::is_string) {
        return Ok(None);
    }
    let link = fields.get("image_url").and_then(Value::as_str).ok_or_else(wrong)?;
    if link.starts_with("https://") || link.starts_with("http://") {
        return Ok(None);
    }
    let data = link.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let bytes = data.and_then(|(_, data)| STANDARD.decode(data).ok());
    bytes.map(|bytes| Some(Bytes::from(bytes))).ok_or_else(|| invalid_file(name))
}

fn measured(sent: &Sent) -> Result<(u32, u32), Refusal> {
    let Some(bytes) = sent else { return Ok((1024, 1024)) };
    let format = image::guess_format(bytes).map_err(|_| invalid_file("image"))?;
    let known = matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP);
    if !known || bytes.len() >= PICTURE_BYTES_MAX {
        return Err(invalid_file("image"));
    }
    let reader = image::ImageReader::with_format(std::io::Cursor::new(bytes), format);
    reader.into_dimensions().map_err(|_| invalid_file("image"))
}

/// A mask or markup is a PNG of the first picture's size with something transparent in it.
fn check_overlay(name: &str, sent: &Sent, size: (u32, u32)) -> Result<(), Refusal> {
    let Some(bytes) = sent else { return Ok(()) };
    if bytes.len() >= MASK_BYTES_MAX {
        return Err(invalid_file(name));
    }
    let picture =
        image::load_from_memory_with_format(bytes, ImageFormat::Png).map_err(|_| invalid_file(name))?;
    if picture.dimensions() != size {
        let message = format!("The {name} must have the same size as the first image.");
        return Err(Refusal::parameter(name, "invalid_image_file", message));
    }
    if !picture.color().has_alpha() || !picture.to_rgba8().pixels().any(|pixel| pixel.0[3] == 0) {
        let message = format!("The {name} must have transparent pixels.");
        return Err(Refusal::parameter(name, "invalid_image_file", message));
    }
    Ok(())
}

fn tokens(model: &Model, (width, height): (u32, u32), high_fidelity: bool) -> i64 {
    if model.line != Line::Old {
        return i64::from(width.div_ceil(32)) * i64::from(height.div_ceil(32));
    }
    let (long, short) = (u64::from(width.max(height)), u64::from(width.min(height)).max(1));
    // Scaled so that the short side is one tile.
    let tiles = i64::try_from((long * 512).div_ceil(short * 512)).expect("a picture is small");
    let extra = match (high_fidelity, width == height) {
        (false, _) => 0,
        (true, true) => 4160,
        (true, false) => 6240,
    };
    65 + 129 * tiles + extra
}

fn invalid_file(name: &str) -> Refusal {
    Refusal::parameter(name, "invalid_image_file", "Invalid image file or mode for image edit.")
}

fn broken() -> Refusal {
    let message = "We could not parse the body of your request.";
    Refusal::new(http::StatusCode::BAD_REQUEST, "invalid_request_error", message)
}

#[cfg(test)]
mod tests;
