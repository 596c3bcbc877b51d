//! The flags that describe a picture, shared by `quote` and `generate`, as the body that the API takes.
//!
//! There is one grammar: flags become the JSON of `POST /v1/images/generations`, and the server's own
//! parser reads it, so that the command line and the API cannot disagree.

use crate::failure::{Failure, Result};
use crate::words;
use clap::Args;
use gallerist_domain::{Decimal, ImageRequest};
use serde_json::{Map, Number, Value, json};

/// What the picture should be.
#[derive(Clone, Debug, Default, Args)]
pub struct Ask {
    /// Model: auto, a canonical model, provider/model, model@version [default: auto]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Size in pixels such as 1024x1024, or auto
    #[arg(long, value_name = "WxH")]
    pub size: Option<String>,
    /// On auto a least class (low, medium, high); on a model the vendor's own word
    #[arg(long, value_name = "WORD")]
    pub quality: Option<String>,
    /// How many pictures, 1 to 10
    #[arg(short, long, value_name = "COUNT", value_parser = whole, allow_negative_numbers = true)]
    pub n: Option<Number>,
    /// Sampling steps, where the model has them
    #[arg(long, value_name = "COUNT", value_parser = whole, allow_negative_numbers = true)]
    pub steps: Option<Number>,
    /// Only this provider (repeatable)
    #[arg(long = "provider", value_name = "NAME")]
    pub providers: Vec<String>,
    /// Least class that auto may choose: draft, standard, high
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Refuse rather than exceed this amount of dollars
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    pub max_cost_usd: Option<String>,
    /// png, jpeg or webp
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Seed, where the model takes one
    #[arg(long, value_name = "NUMBER", value_parser = whole, allow_negative_numbers = true)]
    pub seed: Option<Number>,
    /// How closely the prompt is followed, where the model has it
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub guidance: Option<Decimal>,
    /// What the picture must not show
    #[arg(long, value_name = "TEXT")]
    pub negative_prompt: Option<String>,
    /// exact, or aspect: also models that know only ratios
    #[arg(long, value_name = "WORD")]
    pub size_match: Option<String>,
    /// Width to height such as 3:2 instead of a size
    #[arg(long, value_name = "W:H")]
    pub aspect_ratio: Option<String>,
    /// Resolution class such as 2K, where the model has them, with --aspect-ratio or --size-match aspect
    #[arg(long, value_name = "WORD")]
    pub resolution: Option<String>,
    /// Service tier: auto, batch, standard, priority
    #[arg(long, value_name = "TIER")]
    pub tier: Option<String>,
    /// Region, deployment or plan of the account, where prices depend on it
    #[arg(long, value_name = "WORD")]
    pub region: Option<String>,
    /// Refuse what is expected to take longer, in milliseconds
    #[arg(long, value_name = "MS", value_parser = whole, allow_negative_numbers = true)]
    pub max_latency_ms: Option<Number>,
}

impl Ask {
    /// Whether no flag was given, so that a body from elsewhere is not contradicted.
    pub fn is_empty(&self) -> bool {
        self.body("") == json!({"prompt": ""})
    }

    /// The body of `POST /v1/images/generations`.
    pub fn body(&self, prompt: &str) -> Value {
        let mut body = Map::new();
        body.insert("prompt".to_owned(), prompt.into());
        set(&mut body, "model", &self.model);
        set(&mut body, "size", &self.size);
        set(&mut body, "quality", &self.quality);
        set(&mut body, "n", &self.n);
        set(&mut body, "output_format", &self.format);
        let mut extension = Map::new();
        set(&mut extension, "steps", &self.steps);
        set(&mut extension, "class", &self.class);
        set(&mut extension, "max_cost_usd", &self.max_cost_usd);
        set(&mut extension, "seed", &self.seed);
        set(&mut extension, "guidance", &self.guidance.map(number));
        set(&mut extension, "negative_prompt", &self.negative_prompt);
        set(&mut extension, "size_match", &self.size_match);
        set(&mut extension, "aspect_ratio", &self.aspect_ratio);
        set(&mut extension, "resolution", &self.resolution);
        set(&mut extension, "tier", &self.tier);
        set(&mut extension, "region", &self.region);
        set(&mut extension, "max_latency_ms", &self.max_latency_ms);
        if !self.providers.is_empty() {
            extension.insert("providers".to_owned(), json!({"only": self.providers}));
        }
        if !extension.is_empty() {
            body.insert("gallerist".to_owned(), extension.into());
        }
        body.into()
    }
}

/// A whole number; which ones are taken is the server's to say.
fn whole(text: &str) -> std::result::Result<Number, String> {
    let signed = text.parse::<i64>().map(Number::from);
    signed
        .or_else(|_| text.parse::<u64>().map(Number::from))
        .map_err(|_| "it must be a whole number".to_owned())
}

/// A decimal as the JSON number that it is written as.
fn number(decimal: Decimal) -> Value {
    serde_json::from_str(&decimal.to_string()).expect("a decimal is written as a JSON number is")
}

fn set<T: Clone + Into<Value>>(object: &mut Map<String, Value>, name: &str, value: &Option<T>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.clone().into());
    }
}

/// Reads a body that was made of flags, with the server's parser.
///
/// # Errors
/// Everything that is wrong with it, each with its flag.
pub fn parse_flags(body: &Value) -> Result<ImageRequest> {
    parse_telling(body.to_string().as_bytes(), words::in_flags)
}

/// Reads a body with the server's parser.
///
/// # Errors
/// Everything that is wrong with it, each with its path.
pub fn parse(body: &[u8]) -> Result<ImageRequest> {
    parse_telling(body, str::to_owned)
}

fn parse_telling(body: &[u8], told: impl Fn(&str) -> String) -> Result<ImageRequest> {
    gallerist_server::parse_generation(body).map_err(|faults| {
        let messages: Vec<String> = faults.iter().map(|fault| told(&fault.message)).collect();
        Failure::usage(messages.join("\n  "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_become_the_body_of_the_api() {
        let ask = Ask {
            size: Some("1024x1024".into()),
            n: Some(2.into()),
            steps: Some(20.into()),
            providers: vec!["bfl".into(), "fal".into()],
            ..Ask::default()
        };
        let request = parse(ask.body("a red kite").to_string().as_bytes()).unwrap();
        assert_eq!((request.model.as_str(), request.n, request.steps), ("auto", 2, Some(20)));
        assert_eq!(request.providers_only, ["bfl", "fal"]);
        assert!(!ask.is_empty());
        assert!(Ask::default().is_empty());
    }

    #[test]
    fn mistakes_are_named_all_at_once() {
        let ask = Ask { size: Some("12x".into()), n: Some(99.into()), ..Ask::default() };
        let failure = parse_flags(&ask.body("x")).unwrap_err();
        assert_eq!(failure.exit, 2);
        assert!(failure.message.contains("--size must") && failure.message.contains("-n must"), "{failure}");
    }

    #[test]
    fn every_flag_is_understood() {
        let ask = Ask {
            guidance: Some(Decimal::new(35, 1)),
            negative_prompt: Some("text".into()),
            size_match: Some("aspect".into()),
            aspect_ratio: Some("3:2".into()),
            tier: Some("batch".into()),
            max_latency_ms: Some(20_000.into()),
            resolution: Some("2K".into()),
            ..Ask::default()
        };
        let request = parse_flags(&ask.body("a red kite")).unwrap();
        assert_eq!((request.guidance_milli, request.max_latency_ms), (Some(3_500), Some(20_000)));
        let wrong = Ask { class: Some("best".into()), ..Ask::default() };
        let failure = parse_flags(&wrong.body("x")).unwrap_err();
        assert!(failure.message.contains("--class") && !failure.message.contains("gallerist."), "{failure}");
    }
}
