//! Google's error envelope with its details, and the refusals that a fault script can ask for.
//!
//! Refusals of content are not here: those are answers with status 200, see `answer.rs`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use crate::faults::{Drawn, Fault};

/// An answer that is an error.
#[derive(Debug)]
pub(super) struct Refusal {
    code: u16,
    status: &'static str,
    message: String,
    details: Vec<Value>,
}

impl Refusal {
    pub(super) fn new(code: u16, status: &'static str, message: impl Into<String>) -> Refusal {
        Refusal { code, status, message: message.into(), details: Vec::new() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Refusal {
        Refusal::new(400, "INVALID_ARGUMENT", message)
    }

    pub(super) fn bad_key() -> Refusal {
        let details = vec![json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        })];
        Refusal { details, ..Refusal::invalid("API key not valid. Please pass a valid API key.") }
    }

    pub(super) fn model_not_found(model: &str) -> Refusal {
        let message = format!(
            "models/{model} is not found for this API version, or is not supported for generateContent."
        );
        Refusal::new(404, "NOT_FOUND", message)
    }

    fn exhausted(delay_s: u64, daily: bool) -> Refusal {
        let period = if daily { "PerDay" } else { "PerMinute" };
        let details = vec![
            json!({
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{
                    "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
                    "quotaId": format!("GenerateRequests{period}PerProjectPerModel"),
                    "quotaValue": "10",
                }],
            }),
            json!({
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": format!("{delay_s}s"),
            }),
        ];
        let message = "You exceeded your current quota, please check your plan and billing details.";
        Refusal { details, ..Refusal::new(429, "RESOURCE_EXHAUSTED", message) }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message, "status": self.status});
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        let status = StatusCode::from_u16(self.code).expect("the codes here are statuses");
        (status, Json(json!({"error": error}))).into_response()
    }
}

/// The error that was drawn and costs nothing, if any. A 429 takes `retry_after_s` (23) and `daily`.
pub(super) fn scripted(drawn: &Drawn, model: &str) -> Option<Refusal> {
    let fault = drawn.fault()?;
    match fault {
        Fault::TooManyRequests => {
            let daily = drawn.parameter(fault, "daily").and_then(Value::as_bool).unwrap_or(false);
            Some(Refusal::exhausted(drawn.number(fault, "retry_after_s").unwrap_or(23), daily))
        }
        Fault::Internal => Some(Refusal::new(500, "INTERNAL", "An internal error has occurred.")),
        Fault::Custom("unavailable") => {
            Some(Refusal::new(503, "UNAVAILABLE", "The model is overloaded. Please try again later."))
        }
        Fault::Custom("deadline") => {
            Some(Refusal::new(504, "DEADLINE_EXCEEDED", "The request timed out. Please try again."))
        }
        Fault::Custom("retired") => Some(Refusal::model_not_found(model)),
        _ => None,
    }
}
