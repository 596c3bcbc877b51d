//! One picture of the demo: the question, the quotes beside it, the answer, the file.

use crate::client::{Client, escaped};
use crate::failure::{Failure, Result};
use crate::{doubt, pictures};
use gallerist_domain::Ticks;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Which part of the demo it belongs to: `cheapest`, `capped`, `failover`.
    pub scene: &'static str,
    pub prompt: &'static str,
    pub body: Value,
}

impl Question {
    pub fn new(scene: &'static str, prompt: &'static str, size: &str, extension: Value) -> Question {
        let mut body = json!({"model": "auto", "prompt": prompt, "size": size});
        if !extension.is_null() {
            body["gallerist"] = extension;
        }
        Question { scene, prompt, body }
    }
}

/// What an offer would have cost.
#[derive(Clone, Debug)]
pub struct Priced {
    pub offer: String,
    pub expected: Ticks,
    /// What is to be known of the prices behind it.
    pub doubt: Option<String>,
}

/// A made picture with everything there is to tell.
#[derive(Clone, Debug)]
pub struct Picture {
    pub question: Question,
    /// As the plan would try them, before the picture was made.
    pub quotes: Vec<Priced>,
    /// Offers that the limit on cost left out.
    pub too_dear: usize,
    pub provider: String,
    pub model: String,
    pub offer: String,
    pub cost: Ticks,
    pub basis: String,
    pub saved: Option<Ticks>,
    /// What is to be known of the prices behind the cost, and of those that the saving is told against.
    pub cost_doubt: Option<String>,
    pub saved_doubt: Option<String>,
    /// From the books: offer, status, charge, fault of each attempt.
    pub attempts: Vec<Value>,
    pub path: PathBuf,
}

/// Asks for the quotes.
///
/// # Errors
/// What the gateway says.
pub fn quotes(client: &Client, question: &Question) -> Result<Value> {
    client.ask("POST", "/v1/quotes", Some(&question.body))
}

/// Makes the picture through the public API and saves it.
///
/// # Errors
/// What the gateway says, or the file that cannot be written.
pub fn make(
    client: &Client,
    admin: &Client,
    question: &Question,
    out: &Path,
    number: usize,
) -> Result<Picture> {
    let report = quotes(client, question)?;
    let answer = client.ask("POST", "/v1/images/generations", Some(&question.body))?;
    let told = &answer["gallerist"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let amount = |value: &Value| value.as_str().and_then(|text| text.parse::<Ticks>().ok());
    let bytes = pictures::from_base64(answer["data"][0]["b64_json"].as_str().unwrap_or_default())?;
    let path =
        out.join(format!("{number}-{}.{}", pictures::slug(question.prompt), pictures::extension(&bytes)));
    std::fs::write(&path, &bytes)
        .map_err(|error| Failure::because(format!("{} cannot be written", path.display()), &error))?;
    let request = text(&told["request_id"]);
    let record = admin.ask("GET", &format!("/v1/requests/{}", escaped(&request)), None)?;
    let cost = amount(&told["cost"]["charged_usd"])
        .ok_or_else(|| Failure::failed("the answer does not say what the picture cost"))?;
    let excluded = report["excluded"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(Picture {
        question: question.clone(),
        quotes: priced(&report),
        too_dear: excluded.iter().filter(|excluded| excluded["code"] == "over_max_cost").count(),
        provider: text(&told["provider"]),
        model: text(&told["model"]),
        offer: text(&told["offer"]),
        cost,
        basis: text(&told["cost"]["basis"]),
        saved: amount(&told["saved_usd"]),
        cost_doubt: doubt::of_lines(&told["cost"]["lines"], Timestamp::now()),
        saved_doubt: doubt::of_list(told, Timestamp::now()),
        attempts: record["attempts"].as_array().cloned().unwrap_or_default(),
        path,
    })
}

/// The offers of a report with their expected prices.
pub fn priced(report: &Value) -> Vec<Priced> {
    let offers = report["offers"].as_array().map(Vec::as_slice).unwrap_or_default();
    offers
        .iter()
        .filter_map(|offer| {
            let expected = offer["expected_usd"].as_str()?.parse().ok()?;
            let doubt = doubt::of_lines(&offer["lines"], Timestamp::now());
            Some(Priced { offer: offer["offer"].as_str()?.to_owned(), expected, doubt })
        })
        .collect()
}

impl Picture {
    /// The event of `--json`.
    pub fn event(&self) -> Value {
        json!({
            "event": "image",
            "scene": self.question.scene,
            "prompt": self.question.prompt,
            "provider": self.provider,
            "model": self.model,
            "offer": self.offer,
            "cost_usd": self.cost,
            "basis": self.basis,
            "cost_doubt": self.cost_doubt,
            "saved_usd": self.saved,
            "saved_doubt": self.saved_doubt,
            "attempts": self.attempts.len(),
            "path": self.path,
        })
    }
}
