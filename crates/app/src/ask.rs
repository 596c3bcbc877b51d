//! The flags that describe a picture, shared by `quote` and `generate`, as the body that the API takes.
//!
//! There is one grammar: flags become the JSON of `POST /v1/images/generations`, and the server's own
//! parser reads it, so that the command line and the API cannot disagree.

use crate::failure::{Failure, Result};
use clap::Args;
use gallerist_domain::ImageRequest;
use serde_json::{Map, Value, json};

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
    #[arg(short, long, value_name = "COUNT")]
    pub n: Option<u64>,
    /// Sampling steps, where the model has them
    #[arg(long, value_name = "COUNT")]
    pub steps: Option<u64>,
    /// Only this provider (repeatable)
    #[arg(long = "provider", value_name = "NAME")]
    pub providers: Vec<String>,
    /// Least class that auto may choose: draft, standard, high
    #[arg(long, value_name = "CLASS")]
    pub class: Option<String>,
    /// Refuse rather than exceed this amount of dollars
    #[arg(long, value_name = "USD")]
    pub max_cost_usd: Option<String>,
    /// png, jpeg or webp
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Seed, where the model takes one
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
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
        if !self.providers.is_empty() {
            extension.insert("providers".to_owned(), json!({"only": self.providers}));
        }
        if !extension.is_empty() {
            body.insert("gallerist".to_owned(), extension.into());
        }
        body.into()
    }
}

fn set<T: Clone + Into<Value>>(object: &mut Map<String, Value>, name: &str, value: &Option<T>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value.clone().into());
    }
}

/// Reads a body with the server's parser.
///
/// # Errors
/// Everything that is wrong with it, each with its path.
pub fn parse(body: &[u8]) -> Result<ImageRequest> {
    gallerist_server::parse_generation(body).map_err(|faults| {
        let messages: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
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
            n: Some(2),
            steps: Some(20),
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
        let ask = Ask { size: Some("12x".into()), n: Some(99), ..Ask::default() };
        let failure = parse(ask.body("x").to_string().as_bytes()).unwrap_err();
        assert_eq!(failure.exit, 2);
        assert!(failure.message.contains("size") && failure.message.contains("n must"), "{failure}");
    }
}
