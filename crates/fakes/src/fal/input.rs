//! Checks a model's input the way its schema would, and says what to make.
//!
//! Complaints have the shape of FastAPI's: a list of `{loc, msg, type, input}` under `detail`. Fields that a
//! schema does not know are ignored, as there. The queue does not look at the input: a bad one is accepted,
//! completes, and shows its 422 when the result is fetched. Next: `models.rs`, `job.rs`.

use serde_json::{Map, Value, json};

use super::models::{self, Model, Shape};
use crate::picture::PictureFormat;

/// A checked request.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub prompt: String,
    pub width: u32,
    pub height: u32,
    pub images: u32,
    pub seed: Option<u64>,
    pub format: PictureFormat,
    /// Results are data URIs instead of links.
    pub sync_mode: bool,
}

/// The order, or the list that goes under `detail`.
pub(super) fn check(model: &Model, body: &[u8]) -> Result<Order, Value> {
    let fields = match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => fields,
        Ok(other) => {
            let entry = json!({"loc": ["body"], "msg": "Input should be a valid dictionary",
                "type": "model_attributes_type", "input": other});
            return Err(json!([entry]));
        }
        Err(error) => {
            let entry = json!({"loc": ["body"], "msg": format!("JSON decode error: {error}"),
                "type": "json_invalid", "input": {}});
            return Err(json!([entry]));
        }
    };
    let mut input = Input { fields: &fields, complaints: Vec::new() };
    let prompt = input.prompt();
    let images = input.whole("num_images", 1, 4).unwrap_or(1);
    let seed = input.whole("seed", 0, i64::MAX).and_then(|seed| u64::try_from(seed).ok());
    if let Some((least, most)) = model.steps {
        input.whole("num_inference_steps", least, most);
    }
    if let Some((least, most)) = model.guidance {
        input.number("guidance_scale", least, most);
    }
    let format = input.one_of("output_format", model.formats);
    input.one_of("acceleration", &["none", "regular", "high"]);
    input.one_of("safety_tolerance", &["1", "2", "3", "4", "5", "6"]);
    input.flag("enable_safety_checker");
    let sync_mode = input.flag("sync_mode").unwrap_or(false);
    let (width, height) = match model.shape {
        Shape::Named(usual) => input.named_size(model, usual),
        Shape::Ratio(usual, sizes) => input.ratio_size(usual, sizes),
    };

    if !input.complaints.is_empty() {
        return Err(Value::Array(input.complaints));
    }
    let format = format.or(model.formats.first().copied()).and_then(PictureFormat::from_name);
    Ok(Order {
        prompt,
        width,
        height,
        images: u32::try_from(images).expect("checked to be from 1 to 4"),
        seed,
        format: format.expect("every model has a format that exists"),
        sync_mode,
    })
}

struct Input<'a> {
    fields: &'a Map<String, Value>,
    complaints: Vec<Value>,
}

impl<'a> Input<'a> {
    fn complain(&mut self, field: &str, message: &str, kind: &str) {
        let input = self.fields.get(field).cloned().unwrap_or_else(|| Value::Object(self.fields.clone()));
        self.complaints.push(json!({"loc": ["body", field], "msg": message, "type": kind, "input": input}));
    }

    /// A field that was given; null counts as not given.
    fn given(&self, field: &str) -> Option<&'a Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn prompt(&mut self) -> String {
        match self.given("prompt") {
            Some(Value::String(prompt)) if !prompt.is_empty() => return prompt.clone(),
            Some(Value::String(_)) => {
                self.complain("prompt", "String should have at least 1 character", "string_too_short");
            }
            Some(_) => self.complain("prompt", "Input should be a valid string", "string_type"),
            None => self.complain("prompt", "Field required", "missing"),
        }
        String::new()
    }

    fn whole(&mut self, field: &str, least: i64, most: i64) -> Option<i64> {
        let Some(number) = self.given(field)?.as_i64() else {
            self.complain(field, "Input should be a valid integer", "int_type");
            return None;
        };
        if number < least {
            let message = format!("Input should be greater than or equal to {least}");
            self.complain(field, &message, "greater_than_equal");
        } else if number > most {
            let message = format!("Input should be less than or equal to {most}");
            self.complain(field, &message, "less_than_equal");
        }
        Some(number)
    }

    fn number(&mut self, field: &str, least: f64, most: f64) {
        let Some(value) = self.given(field) else { return };
        match value.as_f64() {
            None => self.complain(field, "Input should be a valid number", "float_type"),
            Some(number) if !(least..=most).contains(&number) => {
                let message = format!("Input should be from {least} to {most}");
                self.complain(field, &message, "greater_than_equal");
            }
            Some(_) => {}
        }
    }

    fn flag(&mut self, field: &str) -> Option<bool> {
        let flag = self.given(field)?.as_bool();
        if flag.is_none() {
            self.complain(field, "Input should be a valid boolean", "bool_type");
        }
        flag
    }

    fn one_of(&mut self, field: &str, allowed: &[&'static str]) -> Option<&'static str> {
        let word = self.given(field)?.as_str();
        let found = allowed.iter().find(|known| Some(**known) == word).copied();
        if found.is_none() {
            let message = format!("Input should be {}", allowed.join(", "));
            self.complain(field, &message, "literal_error");
        }
        found
    }

    fn named_size(&mut self, model: &Model, usual: &str) -> (u32, u32) {
        let standard = models::named_size(usual).expect("default sizes are in the table");
        let Some(size) = self.given("image_size") else { return standard };
        let custom = match size {
            // The `auto` words belong to the models that have one as their default.
            Value::String(word) if word.starts_with("auto") && !usual.starts_with("auto") => None,
            Value::String(word) => models::named_size(word),
            Value::Object(sides) => {
                let side =
                    |name| sides.get(name).and_then(Value::as_u64).and_then(|side| u32::try_from(side).ok());
                side("width").zip(side("height"))
            }
            _ => None,
        };
        let Some((width, height)) = custom else {
            let message = "Input should be 'square_hd', 'square', 'portrait_4_3', 'portrait_16_9', \
                'landscape_4_3', 'landscape_16_9' or an object with width and height";
            self.complain("image_size", message, "enum");
            return standard;
        };
        let named = size.is_string();
        let pixels = u64::from(width) * u64::from(height);
        let (least, most) = model.pixels;
        if !named && !(least..=most).contains(&pixels) {
            let message = format!("Total pixels should be from {least} to {most}");
            self.complain("image_size", &message, "value_error");
        }
        let narrow = u64::from(width.min(height)) * 16 < u64::from(width.max(height));
        if !named && narrow {
            self.complain("image_size", "Aspect ratio should be from 1/16 to 16", "value_error");
        }
        shortened((width, height), model.side_cut)
    }

    fn ratio_size(&mut self, usual: &'static str, sizes: models::Ratios) -> (u32, u32) {
        self.flag("raw");
        self.one_of("resolution", &["1K"]);
        let ratios = sizes.iter().map(|(ratio, _)| *ratio).collect::<Vec<_>>();
        let ratio = self.one_of("aspect_ratio", &ratios).unwrap_or(usual);
        let size = sizes.iter().find(|(known, _)| *known == ratio);
        size.expect("the ratio was found in the same table").1
    }
}

/// Both sides in proportion, so that the longer one is within the limit.
fn shortened((width, height): (u32, u32), limit: Option<u32>) -> (u32, u32) {
    let longer = width.max(height);
    match limit {
        Some(limit) if longer > limit => {
            let part = |side: u32| u64::from(side) * u64::from(limit) / u64::from(longer);
            let side = |side: u32| u32::try_from(part(side)).expect("a shortened side is shorter").max(1);
            (side(width), side(height))
        }
        _ => (width, height),
    }
}
