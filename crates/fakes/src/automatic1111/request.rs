//! Reads a txt2img request with the engine's defaults and refuses what FastAPI would.
//!
//! Unknown fields are ignored, as there. Sizes that are no multiple of 8 are refused with 422 here; the real
//! engine's answer is unconfirmed (its latents have an eighth of the size), and a caller who sends one is
//! mistaken either way. Next: `effort.rs`.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{detail, exception, lists};

/// A checked request.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub prompt: String,
    pub negative_prompt: String,
    pub width: u32,
    pub height: u32,
    pub steps: u32,
    pub cfg_scale: f64,
    /// Guidance above 1 runs the network twice a step.
    pub has_guidance: bool,
    pub batch_size: u32,
    /// `n_iter`
    pub batches: u32,
    /// `None` for −1: the engine chooses.
    pub seed: Option<u64>,
    pub sampler: String,
    pub send_images: bool,
    /// `override_settings`
    pub overrides: Map<String, Value>,
    /// `override_settings_restore_afterwards`
    pub restores: bool,
}

/// Why a request is refused.
pub(super) enum Refused {
    /// 422 with FastAPI's list.
    Invalid(Vec<Value>),
    SamplerNotFound,
    ScriptNotFound(String),
    /// 500 for a mistake of the client.
    Exception(&'static str),
}

impl Refused {
    pub(super) fn into_response(self) -> Response {
        match self {
            Refused::Invalid(entries) => detail(StatusCode::UNPROCESSABLE_ENTITY, &Value::Array(entries)),
            Refused::SamplerNotFound => detail(StatusCode::NOT_FOUND, &json!("Sampler not found")),
            Refused::ScriptNotFound(name) => {
                detail(StatusCode::UNPROCESSABLE_ENTITY, &json!(format!("Script '{name}' not found")))
            }
            Refused::Exception(text) => exception("RuntimeError", text),
        }
    }
}

/// The order, and what the answer's `parameters` echo.
pub(super) fn read(body: &[u8]) -> Result<(Order, Value), Refused> {
    let invalid = |message: String| {
        Refused::Invalid(vec![json!({"loc": ["body"], "msg": message, "type": "value_error.jsondecode"})])
    };
    let value: Value = serde_json::from_slice(body).map_err(|error| invalid(error.to_string()))?;
    let Value::Object(fields) = &value else {
        return Err(invalid("value is not a valid dict".to_owned()));
    };
    let mut input = Input { fields, complaints: Vec::new() };
    let cfg_scale = input.number("cfg_scale", 7.0);
    let sampler = input.text("sampler_name").or_else(|| input.text("sampler_index"));
    let order = Order {
        prompt: input.text("prompt").unwrap_or_default(),
        negative_prompt: input.text("negative_prompt").unwrap_or_default(),
        width: input.side("width"),
        height: input.side("height"),
        steps: input.whole("steps", 50, 1, 150),
        cfg_scale,
        has_guidance: cfg_scale > 1.0,
        batch_size: input.whole("batch_size", 1, 1, 8),
        batches: input.whole("n_iter", 1, 1, 100),
        seed: input.seed(),
        sampler: sampler.unwrap_or_else(|| "Euler".to_owned()),
        send_images: input.flag("send_images", true),
        overrides: input.object("override_settings"),
        restores: input.flag("override_settings_restore_afterwards", true),
    };
    let script = input.text("script_name").filter(|name| !name.is_empty());
    let high_resolution = input.flag("enable_hr", false);
    input.number("denoising_strength", 0.0);

    if !input.complaints.is_empty() {
        return Err(Refused::Invalid(input.complaints));
    }
    if let Some(name) = script {
        return Err(Refused::ScriptNotFound(name));
    }
    if !lists::SAMPLERS.contains(&order.sampler.as_str()) {
        return Err(Refused::SamplerNotFound);
    }
    if high_resolution {
        return Err(Refused::Exception("this stand-in does not make the second, larger pass (enable_hr)"));
    }
    Ok((order, value))
}

struct Input<'a> {
    fields: &'a Map<String, Value>,
    complaints: Vec<Value>,
}

impl<'a> Input<'a> {
    fn complain(&mut self, field: &str, message: &str, kind: &str) {
        self.complaints.push(json!({"loc": ["body", field], "msg": message, "type": kind}));
    }

    fn given(&self, field: &str) -> Option<&'a Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn text(&mut self, field: &str) -> Option<String> {
        let text = self.given(field)?.as_str();
        if text.is_none() {
            self.complain(field, "str type expected", "type_error.str");
        }
        text.map(str::to_owned)
    }

    fn whole(&mut self, field: &str, usual: u32, least: u32, most: u32) -> u32 {
        let Some(value) = self.given(field) else { return usual };
        let Some(number) = value.as_i64() else {
            self.complain(field, "value is not a valid integer", "type_error.integer");
            return usual;
        };
        let within = u32::try_from(number).ok().filter(|number| (least..=most).contains(number));
        if within.is_none() {
            self.complain(field, &format!("ensure this value is from {least} to {most}"), "value_error");
        }
        within.unwrap_or(usual)
    }

    fn side(&mut self, field: &str) -> u32 {
        let side = self.whole(field, 512, 64, 2048);
        if !side.is_multiple_of(8) {
            self.complain(field, "ensure this value is a multiple of 8", "value_error.number.not_multiple");
        }
        side
    }

    fn number(&mut self, field: &str, usual: f64) -> f64 {
        let Some(value) = self.given(field) else { return usual };
        value.as_f64().unwrap_or_else(|| {
            self.complain(field, "value is not a valid float", "type_error.float");
            usual
        })
    }

    fn flag(&mut self, field: &str, usual: bool) -> bool {
        let Some(value) = self.given(field) else { return usual };
        value.as_bool().unwrap_or_else(|| {
            self.complain(field, "value could not be parsed to a boolean", "type_error.bool");
            usual
        })
    }

    fn seed(&mut self) -> Option<u64> {
        let number = self.given("seed")?.as_i64();
        if number.is_none() {
            self.complain("seed", "value is not a valid integer", "type_error.integer");
        }
        // Any negative number is random, as −1 is.
        u64::try_from(number?).ok()
    }

    fn object(&mut self, field: &str) -> Map<String, Value> {
        match self.given(field) {
            None => Map::new(),
            Some(Value::Object(map)) => map.clone(),
            Some(_) => {
                self.complain(field, "value is not a valid dict", "type_error.dict");
                Map::new()
            }
        }
    }
}
