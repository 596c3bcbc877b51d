//! OpenAI's error envelope, and the refusals that a fault script can ask for.
//!
//! Every refusal carries status, type, parameter and code as the API does; delays go into `retry-after`.
//! The request id is added to all answers in `openai.rs`. Refuses to decide about billing: the caller has
//! charged or not before.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::faults::{Drawn, Fault};

/// An answer that is an error.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    code: Option<Box<str>>,
    param: Option<Box<str>>,
    message: Box<str>,
    retry_after_s: Option<u64>,
    moderation: Option<Box<Value>>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Refusal {
        let message = message.into().into_boxed_str();
        Refusal { status, kind, code: None, param: None, message, retry_after_s: None, moderation: None }
    }

    /// 400 for a parameter.
    pub(super) fn parameter(param: &str, code: &str, message: impl Into<String>) -> Refusal {
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "invalid_request_error", message);
        Refusal { param: Some(param.into()), ..refusal.code(code) }
    }

    pub(super) fn unknown_parameter(param: &str) -> Refusal {
        Refusal::parameter(param, "unknown_parameter", format!("Unknown parameter: '{param}'."))
    }

    pub(super) fn invalid_value(param: &str, message: impl Into<String>) -> Refusal {
        Refusal::parameter(param, "invalid_value", message)
    }

    pub(super) fn model_not_found(model: &str) -> Refusal {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        Refusal::new(StatusCode::NOT_FOUND, "invalid_request_error", message).code("model_not_found")
    }

    pub(super) fn moderation(stage: &str, request_id: &str) -> Refusal {
        let message = format!(
            "Request rejected by the safety system. request id {request_id}. safety_violations=[violence]."
        );
        let details = json!({"moderation_stage": stage, "categories": ["violence"]});
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "image_generation_user_error", message);
        Refusal { moderation: Some(Box::new(details)), ..refusal.code("moderation_blocked") }
    }

    pub(super) fn code(self, code: &str) -> Refusal {
        Refusal { code: Some(code.into()), ..self }
    }

    /// The JSON of the envelope's `error`.
    pub(super) fn error(&self) -> Value {
        let mut error = json!({
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        });
        if let Some(details) = &self.moderation {
            error["moderation_details"] = Value::clone(details);
        }
        error
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut answer = (self.status, Json(json!({"error": self.error()}))).into_response();
        if let Some(seconds) = self.retry_after_s {
            answer.headers_mut().insert("retry-after", HeaderValue::from(seconds));
        }
        answer
    }
}

/// The refusal that was drawn and costs nothing, if any.
pub(super) fn scripted(drawn: &Drawn, request_id: &str) -> Option<Refusal> {
    let fault = drawn.fault()?;
    let limited = |seconds| Refusal {
        retry_after_s: seconds,
        ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "requests", "Rate limit reached for images per minute.")
            .code("rate_limit_exceeded")
    };
    match fault {
        Fault::TooManyRequests => Some(limited(drawn.number(fault, "retry_after_s"))),
        // Beyond the 120 s that the SDKs are willing to wait.
        Fault::Custom("rate_limited_long") => {
            Some(limited(Some(drawn.number(fault, "retry_after_s").unwrap_or(300))))
        }
        Fault::Internal => Some(Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "The server had an error while processing your request. Sorry about that!",
        )),
        Fault::Moderation => Some(Refusal::moderation("input", request_id)),
        Fault::Custom("billing_hard_limit") => Some(
            Refusal::new(
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                "Billing hard limit has been reached.",
            )
            .code("billing_hard_limit_reached"),
        ),
        Fault::Custom("insufficient_quota") => {
            let code = drawn.parameter(fault, "code").and_then(Value::as_str);
            let message = "You have run out of credits or reached your spend limit.";
            Some(
                Refusal::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", message)
                    .code(code.unwrap_or("credit_balance_exhausted")),
            )
        }
        _ => None,
    }
}
