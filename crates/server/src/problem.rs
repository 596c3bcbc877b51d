//! The two forms of an error body: OpenAI's, and problem details (RFC 9457).

use crate::answer::{JSON, REQUEST_ID};
use crate::failure::{Details, Failure};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use gallerist_domain::RequestId;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// OpenAI's envelope. SDKs show what is inside `error`, so our details are there.
#[derive(Serialize)]
pub(crate) struct Envelope<'a> {
    pub(crate) error: ErrorBody<'a>,
}

#[derive(Serialize)]
pub(crate) struct ErrorBody<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    moderation_details: Option<ModerationDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gallerist: Option<&'a Details>,
}

#[derive(Serialize)]
struct ModerationDetails {
    moderation_stage: &'static str,
    categories: [&'static str; 0],
}

#[derive(Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gallerist: Option<&'a Details>,
}

impl Failure {
    /// The envelope, for a body or an event.
    pub(crate) fn envelope(&self) -> Envelope<'_> {
        Envelope {
            error: ErrorBody {
                message: &self.message,
                kind: self.openai_type(),
                param: self.parameter.as_deref(),
                code: self.code,
                moderation_details: self
                    .moderation_stage
                    .map(|moderation_stage| ModerationDetails { moderation_stage, categories: [] }),
                gallerist: self.details.as_deref(),
            },
        }
    }

    /// The answer in OpenAI's form. The SDKs show its `x-request-id`, so a request that got none, because it
    /// failed before its books began, is given one for this answer and the log.
    pub(crate) fn openai(&self) -> Response {
        let body = serde_json::to_vec(&self.envelope()).expect("plain data serialises");
        let mut response = self.response(body, JSON);
        if self.request_id.is_none() {
            let id = RequestId::generate().to_string();
            let status = self.status.as_u16();
            tracing::debug!(request = id, status, code = self.code, "refused before its books began");
            let id = HeaderValue::from_str(&id).expect("a UUID is visible ASCII");
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }

    /// The answer as problem details.
    pub(crate) fn problem(&self) -> Response {
        let problem = Problem {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.message,
            code: self.code,
            parameter: self.parameter.as_deref(),
            gallerist: self.details.as_deref(),
        };
        let body = serde_json::to_vec(&problem).expect("plain data serialises");
        self.response(body, HeaderValue::from_static("application/problem+json"))
    }

    fn response(&self, body: Vec<u8>, content_type: HeaderValue) -> Response {
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type);
        if let Some(request) = self.request_id {
            crate::answer::identify(headers, request);
        }
        if !self.should_retry {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        if let Some(wait_ms) = self.retry_after_ms {
            headers.insert(RETRY_AFTER_MS, HeaderValue::from(wait_ms));
            headers.insert(RETRY_AFTER, HeaderValue::from(wait_ms.div_ceil(1_000).max(1)));
        }
        if self.status == http::StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.close {
            headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A handler that fails answers with problem details, unless it asks for OpenAI's form.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.problem()
    }
}

impl From<Failure> for Response {
    fn from(failure: Failure) -> Response {
        failure.problem()
    }
}
