//! Reads and checks the multipart form of v2beta, as strictly as the reference documents it.
//!
//! All complaints are collected and reported together, each beginning with its field. Fields that the
//! operation does not document are refused too: the provider's own behaviour there is unconfirmed, and a
//! field that does nothing is a mistake of the caller in any case. Next: `tariff.rs`.

use std::collections::BTreeMap;
use std::io::Cursor;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest as _, Multipart, Request};
use bytes::Bytes;
use http::header;

use super::tariff::{Model, Operation, sd3_model};
use crate::picture::PictureFormat;

const BODY_BYTES_MAX: usize = 10 << 20;
/// Read further than allowed, so that the client sees the refusal and not a broken pipe.
const DRAIN_BYTES_MAX: usize = 64 << 20;
const PROMPT_CHARS_MAX: usize = 10_000;
pub(super) const SEED_MAX: u64 = 4_294_967_294;

pub(super) const STYLE_PRESETS: &[&str] = &[
    "enhance",
    "anime",
    "photographic",
    "digital-art",
    "comic-book",
    "fantasy-art",
    "line-art",
    "analog-film",
    "neon-punk",
    "isometric",
    "low-poly",
    "origami",
    "modeling-compound",
    "cinematic",
    "3d-model",
    "pixel-art",
    "tile-texture",
];

const COMMON_FIELDS: &[&str] =
    &["prompt", "negative_prompt", "aspect_ratio", "seed", "output_format", "style_preset"];

/// A checked request.
#[derive(Debug)]
pub(super) struct Order {
    pub model: Model,
    pub prompt: String,
    pub size: (u32, u32),
    /// `None` when the provider is to choose.
    pub seed: Option<u64>,
    pub format: PictureFormat,
}

#[derive(Debug)]
pub(super) enum Refused {
    TooLarge,
    Invalid(Vec<String>),
}

impl Refused {
    fn one(complaint: &str) -> Self {
        Self::Invalid(vec![complaint.to_owned()])
    }
}

pub(super) async fn read(operation: Operation, request: Request) -> Result<Order, Refused> {
    let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !media_type.is_some_and(|value| value.starts_with("multipart/form-data")) {
        return Err(Refused::one("content-type: must be multipart/form-data"));
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(body, DRAIN_BYTES_MAX).await.map_err(|_| Refused::TooLarge)?;
    if body.len() > BODY_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    let parts = parts(Request::from_parts(head, Body::from(body))).await?;
    check(operation, &parts).map_err(Refused::Invalid)
}

type Parts = BTreeMap<String, Bytes>;

async fn parts(request: Request) -> Result<Parts, Refused> {
    let broken = |_| Refused::one("body: cannot be parsed as multipart/form-data");
    let no_boundary = |_| Refused::one("content-type: multipart boundary is missing");
    let mut multipart = Multipart::from_request(request, &()).await.map_err(no_boundary)?;
    let mut parts = Parts::new();
    while let Some(field) = multipart.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let value = field.bytes().await.map_err(broken)?;
        if parts.insert(name.clone(), value).is_some() {
            return Err(Refused::Invalid(vec![format!("{name}: cannot be given more than once")]));
        }
    }
    Ok(parts)
}

fn check(operation: Operation, parts: &Parts) -> Result<Order, Vec<String>> {
    let mut form = Form { parts, complaints: Vec::new() };
    form.refuse_unknown(operation);
    let prompt = form.words("prompt");
    if prompt.as_deref().unwrap_or_default().is_empty() {
        form.complain("prompt", "is required and cannot be empty");
    }
    form.words("negative_prompt");
    form.one_of("style_preset", STYLE_PRESETS);
    let seed = form.whole("seed", SEED_MAX);
    let format = form.one_of("output_format", &["png", "jpeg", "webp"]);
    let model = form.model(operation);
    if operation == Operation::Sd3 {
        form.number("cfg_scale", 1.0, 10.0);
    }
    let size = form.size(operation);

    if !form.complaints.is_empty() {
        return Err(form.complaints);
    }
    Ok(Order {
        model,
        prompt: prompt.unwrap_or_default(),
        size,
        seed: seed.filter(|seed| *seed != 0),
        format: format.and_then(|name| PictureFormat::from_name(&name)).unwrap_or(PictureFormat::Png),
    })
}

struct Form<'a> {
    parts: &'a Parts,
    complaints: Vec<String>,
}

impl Form<'_> {
    fn complain(&mut self, field: &str, complaint: &str) {
        self.complaints.push(format!("{field}: {complaint}"));
    }

    fn refuse_unknown(&mut self, operation: Operation) {
        let own: &[&str] = match operation {
            Operation::Ultra => &["image", "strength"],
            Operation::Core => &[],
            Operation::Sd3 => &["image", "strength", "mode", "model", "cfg_scale"],
        };
        for name in self.parts.keys() {
            if !COMMON_FIELDS.contains(&name.as_str()) && !own.contains(&name.as_str()) {
                self.complain(name, "is not a field of this operation");
            }
        }
    }

    fn text(&mut self, field: &str) -> Option<String> {
        let value = self.parts.get(field)?;
        let text = String::from_utf8(value.to_vec()).ok();
        if text.is_none() {
            self.complain(field, "must be text in UTF-8");
        }
        text
    }

    fn words(&mut self, field: &str) -> Option<String> {
        let text = self.text(field)?;
        if text.chars().count() > PROMPT_CHARS_MAX {
            self.complain(field, "cannot be longer than 10000 characters");
        }
        Some(text)
    }

    fn one_of(&mut self, field: &str, allowed: &[&str]) -> Option<String> {
        let text = self.text(field)?;
        if allowed.contains(&text.as_str()) {
            return Some(text);
        }
        self.complain(field, &format!("must be one of {}", allowed.join(", ")));
        None
    }

    fn whole(&mut self, field: &str, limit: u64) -> Option<u64> {
        let text = self.text(field)?;
        let number = text.parse().ok().filter(|number| *number <= limit);
        if number.is_none() {
            self.complain(field, &format!("must be a whole number from 0 to {limit}"));
        }
        number
    }

    fn number(&mut self, field: &str, least: f64, most: f64) -> Option<f64> {
        let text = self.text(field)?;
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.complain(field, &format!("must be a number from {least} to {most}"));
        }
        number
    }

    fn model(&mut self, operation: Operation) -> Model {
        let fallback = operation.default_model();
        if operation != Operation::Sd3 {
            return fallback;
        }
        let Some(name) = self.text("model") else { return fallback };
        sd3_model(&name).unwrap_or_else(|| {
            self.complain(
                "model",
                "must be one of sd3.5-large, sd3.5-large-turbo, sd3.5-medium, sd3.5-flash",
            );
            fallback
        })
    }

    /// Aspect ratio or input picture decide, never both where the mode is explicit.
    fn size(&mut self, operation: Operation) -> (u32, u32) {
        let square = operation.size("1:1").expect("the square is in the table");
        let from_picture = match operation {
            Operation::Core => false,
            Operation::Ultra => self.parts.contains_key("image"),
            Operation::Sd3 => {
                let mode = self.one_of("mode", &["text-to-image", "image-to-image"]);
                mode.as_deref() == Some("image-to-image")
            }
        };
        if from_picture {
            return self.size_from_picture(operation).unwrap_or(square);
        }
        if operation != Operation::Core {
            for field in ["image", "strength"] {
                if self.parts.contains_key(field) {
                    self.complain(field, "is only allowed when an image is transformed");
                }
            }
        }
        let Some(ratio) = self.text("aspect_ratio") else { return square };
        operation.size(&ratio).unwrap_or_else(|| {
            self.complain("aspect_ratio", "must be one of 21:9, 16:9, 3:2, 5:4, 1:1, 4:5, 2:3, 9:16, 9:21");
            square
        })
    }

    fn size_from_picture(&mut self, operation: Operation) -> Option<(u32, u32)> {
        if self.parts.contains_key("aspect_ratio") && operation == Operation::Sd3 {
            self.complain("aspect_ratio", "is not allowed for image-to-image");
        }
        if self.number("strength", 0.0, 1.0).is_none() && !self.parts.contains_key("strength") {
            self.complain("strength", "is required when an image is given");
        }
        let Some(file) = self.parts.get("image") else {
            self.complain("image", "is required for image-to-image");
            return None;
        };
        let reader = image::ImageReader::new(Cursor::new(file)).with_guessed_format().ok();
        let Some((width, height)) = reader.and_then(|reader| reader.into_dimensions().ok()) else {
            self.complain("image", "must be a jpeg, png or webp picture");
            return None;
        };
        let pixels = u64::from(width) * u64::from(height);
        if width.min(height) < 64 || !(4_096..=9_437_184).contains(&pixels) {
            self.complain("image", "each side must be at least 64, the total from 4,096 to 9,437,184 pixels");
        }
        Some(operation.size_like(width, height))
    }
}
