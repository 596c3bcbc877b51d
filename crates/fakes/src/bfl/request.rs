//! Reads and checks what is submitted, with the validation errors of the provider (status 422, a list of
//! `loc`, `msg`, `type`).
//!
//! All mistakes of a body are told at once. Unknown keys are an error on FLUX 3 alone. Pictures may be base64
//! or links; a link is not fetched and counts as one megapixel. Refuses sizes as the provider does: wrong
//! steps are 422, too many pixels 400. Next: `models.rs` for the fields, `job.rs`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::models::{self, Model, Sizing};
use crate::picture::PictureFormat;

/// What a field takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    Flag,
    Whole(i64, i64),
    Number(f64, f64),
    Word(&'static [&'static str]),
    Picture,
    Pictures(usize),
    /// A text that must be there.
    Required,
}

/// A request that will be served.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) prompt: String,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) seed: Option<u64>,
    pub(super) format: PictureFormat,
    /// Pixels of each picture sent in.
    pub(super) inputs: Vec<u64>,
    /// Index into [`models::RESOLUTIONS`].
    pub(super) resolution: usize,
    pub(super) webhook_url: Option<String>,
}

/// Why it will not be served.
#[derive(Debug)]
pub(super) enum Refusal {
    Invalid(Vec<Value>),
    Bad(String),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, detail) = match self {
            Refusal::Invalid(mistakes) => (StatusCode::UNPROCESSABLE_ENTITY, json!(mistakes)),
            Refusal::Bad(detail) => (StatusCode::BAD_REQUEST, json!(detail)),
        };
        (status, Json(json!({"detail": detail}))).into_response()
    }
}

/// The body and what was found wrong with it so far.
struct Reader<'a> {
    body: &'a Map<String, Value>,
    mistakes: Vec<Value>,
    pictures: Vec<(u32, u32)>,
}

impl Submission {
    pub(super) fn read(model: &Model, body: &[u8]) -> Result<Submission, Refusal> {
        let body: Value = serde_json::from_slice(body).map_err(|error| {
            Refusal::Invalid(vec![mistake(&[], "json_invalid", &format!("JSON decode error: {error}"))])
        })?;
        let Some(body) = body.as_object() else {
            let message = "Input should be a valid dictionary";
            return Err(Refusal::Invalid(vec![mistake(&[], "model_attributes_type", message)]));
        };
        let mut reader = Reader { body, mistakes: Vec::new(), pictures: Vec::new() };
        let prompt = reader.prompt();
        for (name, rule) in model.fields {
            reader.check(name, *rule);
        }
        for index in 1..=model.inputs {
            let name = if index == 1 { "input_image".to_owned() } else { format!("input_image_{index}") };
            reader.check(&name, Rule::Picture);
        }
        // FLUX 3 has no seed unless its fields say so.
        if !model.strict {
            reader.check("seed", Rule::Whole(0, i64::MAX));
        }
        let webhook_url = reader.text("webhook_url");
        reader.text("webhook_secret");
        if model.strict {
            reader.check_unknown(model);
        }
        let (width, height, resolution) = reader.size(model)?;
        if !reader.mistakes.is_empty() {
            return Err(Refusal::Invalid(reader.mistakes));
        }
        let format = body.get("output_format").and_then(Value::as_str).and_then(PictureFormat::from_name);
        Ok(Submission {
            prompt,
            width,
            height,
            seed: body.get("seed").and_then(Value::as_u64),
            format: format.unwrap_or(model.format),
            inputs: reader.pictures.iter().map(|(w, h)| u64::from(*w) * u64::from(*h)).collect(),
            resolution,
            webhook_url,
        })
    }

    pub(super) fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

impl Reader<'_> {
    fn prompt(&mut self) -> String {
        match self.body.get("prompt") {
            None => self.complain("prompt", "missing", "Field required"),
            Some(Value::String(prompt)) if prompt.chars().count() <= 32_000 => return prompt.clone(),
            Some(Value::String(_)) => {
                self.complain("prompt", "string_too_long", "String should have at most 32000 characters");
            }
            Some(_) => self.complain("prompt", "string_type", "Input should be a valid string"),
        }
        String::new()
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.body.get(name) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.complain(name, "string_type", "Input should be a valid string");
                None
            }
        }
    }

    fn check(&mut self, name: &str, rule: Rule) {
        let Some(value) = self.body.get(name).filter(|value| !value.is_null()) else {
            if matches!(rule, Rule::Required) {
                self.complain(name, "missing", "Field required");
            }
            return;
        };
        let (kind, message) = match rule {
            Rule::Flag if value.is_boolean() => return,
            Rule::Flag => ("bool_type", "Input should be a valid boolean".to_owned()),
            Rule::Whole(low, high) => match value.as_i64() {
                Some(number) if (low..=high).contains(&number) => return,
                Some(number) if number < low => {
                    ("greater_than_equal", format!("Input should be greater than or equal to {low}"))
                }
                Some(_) => ("less_than_equal", format!("Input should be less than or equal to {high}")),
                None => ("int_type", "Input should be a valid integer".to_owned()),
            },
            Rule::Number(low, high) => match value.as_f64() {
                Some(number) if (low..=high).contains(&number) => return,
                Some(number) if number < low => {
                    ("greater_than_equal", format!("Input should be greater than or equal to {low}"))
                }
                Some(_) => ("less_than_equal", format!("Input should be less than or equal to {high}")),
                None => ("float_type", "Input should be a valid number".to_owned()),
            },
            Rule::Word(words) if value.as_str().is_some_and(|word| words.contains(&word)) => return,
            Rule::Word(words) => ("enum", format!("Input should be '{}'", words.join("', '"))),
            Rule::Required if value.is_string() => return,
            Rule::Required => ("string_type", "Input should be a valid string".to_owned()),
            Rule::Picture => return self.picture(name, value),
            Rule::Pictures(most) => return self.list(name, value, most),
        };
        self.complain(name, kind, &message);
    }

    fn list(&mut self, name: &str, value: &Value, most: usize) {
        match value.as_array() {
            None => self.complain(name, "list_type", "Input should be a valid list"),
            Some(items) if items.is_empty() || items.len() > most => {
                self.complain(name, "too_long", &format!("List should have 1 to {most} items"));
            }
            Some(items) => items.iter().for_each(|item| self.picture(name, item)),
        }
    }

    fn picture(&mut self, name: &str, value: &Value) {
        let Some(text) = value.as_str() else {
            return self.complain(name, "string_type", "Input should be a valid string");
        };
        if text.starts_with("https://") || text.starts_with("http://") {
            return self.pictures.push((1024, 1024));
        }
        let data = text.split_once(";base64,").map_or(text, |(_, data)| data);
        let reader =
            STANDARD.decode(data).ok().map(|bytes| image::ImageReader::new(std::io::Cursor::new(bytes)));
        let size = reader.and_then(|reader| reader.with_guessed_format().ok()?.into_dimensions().ok());
        match size {
            Some(size) => self.pictures.push(size),
            None => self.complain(name, "value_error", "Value error, not a valid image"),
        }
    }

    fn check_unknown(&mut self, model: &Model) {
        const ALWAYS: [&str; 3] = ["prompt", "webhook_url", "webhook_secret"];
        for name in self.body.keys() {
            let known =
                ALWAYS.contains(&name.as_str()) || model.fields.iter().any(|(field, _)| field == name);
            if !known {
                self.mistakes.push(mistake(&[name], "extra_forbidden", "Extra inputs are not permitted"));
            }
        }
    }

    /// Width, height, and the index of the resolution.
    fn size(&mut self, model: &Model) -> Result<(u32, u32, usize), Refusal> {
        let (width, height, mut resolution) = match model.sizing {
            Sizing::Free => {
                let from_input = self.pictures.first().map(|size| within_four_megapixels(*size));
                let (wide, high) = from_input.unwrap_or((1024, 1024));
                let width = self.edge("width", (64, 65_536), 16).unwrap_or(wide);
                (width, self.edge("height", (64, 65_536), 16).unwrap_or(high), 1)
            }
            Sizing::Steps => {
                let width = self.edge("width", (256, 1440), 32).unwrap_or(1024);
                (width, self.edge("height", (256, 1440), 32).unwrap_or(768), 1)
            }
            Sizing::Ratio(default, megapixels) => {
                let (width, height) = models::edges(self.ratio(default), 1024 * megapixels.isqrt());
                (width, height, 1)
            }
            Sizing::Resolution => (0, 0, 1),
        };
        if model.sizing == Sizing::Resolution {
            let word = self.body.get("resolution").and_then(Value::as_str).unwrap_or("1k");
            resolution = models::RESOLUTIONS.iter().position(|(known, _)| *known == word).unwrap_or(1);
            let ratio = self.listed_ratio();
            let (width, height) = models::edges(ratio, models::RESOLUTIONS[resolution].1);
            return Ok((width, height, resolution));
        }
        if self.mistakes.is_empty() && u64::from(width) * u64::from(height) > 4 << 20 {
            return Err(Refusal::Bad("Image dimensions exceed the maximum of 4 megapixels.".to_owned()));
        }
        Ok((width, height, resolution))
    }

    /// An edge that was asked for; 0 is as good as absent where sizes are free.
    fn edge(&mut self, name: &str, range: (i64, i64), step: i64) -> Option<u32> {
        let value = self.body.get(name).filter(|value| !value.is_null())?;
        let Some(edge) = value.as_i64() else {
            self.complain(name, "int_type", "Input should be a valid integer");
            return None;
        };
        if edge == 0 && step == 16 {
            return None;
        }
        if edge < range.0 {
            let message = format!("Input should be greater than or equal to {}", range.0);
            self.complain(name, "greater_than_equal", &message);
        } else if edge > range.1 {
            let message = format!("Input should be less than or equal to {}", range.1);
            self.complain(name, "less_than_equal", &message);
        } else if edge % step != 0 {
            self.complain(name, "multiple_of", &format!("Input should be a multiple of {step}"));
        }
        u32::try_from(edge).ok()
    }

    fn ratio(&mut self, default: &str) -> (u32, u32) {
        let word = self.text("aspect_ratio").unwrap_or_else(|| default.to_owned());
        let ratio = parse_ratio(&word).filter(|(w, h)| 9 * w <= 21 * h && 9 * h <= 21 * w);
        ratio.unwrap_or_else(|| {
            let message = "Value error, aspect_ratio must be between 21:9 and 9:21";
            self.complain("aspect_ratio", "value_error", message);
            (1, 1)
        })
    }

    /// A ratio of the list; `auto` follows the first picture, else it is square.
    fn listed_ratio(&self) -> (u32, u32) {
        let word = self.body.get("aspect_ratio").and_then(Value::as_str).unwrap_or("auto");
        parse_ratio(word).or_else(|| self.pictures.first().copied()).unwrap_or((1, 1))
    }

    fn complain(&mut self, name: &str, kind: &str, message: &str) {
        self.mistakes.push(mistake(&[name], kind, message));
    }
}

fn parse_ratio(word: &str) -> Option<(u32, u32)> {
    let (width, height) = word.split_once(':')?;
    let ratio: (u32, u32) = (width.parse().ok()?, height.parse().ok()?);
    (1..=10_000).contains(&ratio.0).then_some(ratio).filter(|ratio| (1..=10_000).contains(&ratio.1))
}

/// Edges in steps of 16 like the picture's own, reduced where it is larger than the model makes.
fn within_four_megapixels((width, height): (u32, u32)) -> (u32, u32) {
    let pixels = u64::from(width) * u64::from(height);
    if pixels > 4 << 20 {
        let (width, height) = models::edges((width, height), 2032);
        return (width, height);
    }
    ((width / 16 * 16).max(64), (height / 16 * 16).max(64))
}

fn mistake(path: &[&str], kind: &str, message: &str) -> Value {
    let place: Vec<&str> = ["body"].into_iter().chain(path.iter().copied()).collect();
    json!({"type": kind, "loc": place, "msg": message})
}
