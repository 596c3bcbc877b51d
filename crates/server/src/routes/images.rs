//! `POST /v1/images/generations`: the hot path. Edits and variations say that they are not there yet.

use crate::answer::{self, Echo};
use crate::auth;
use crate::failure::Failure;
use crate::intake;
use crate::state::AppState;
use crate::stream;
use crate::wire::parse_generation;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use gallerist_domain::{ImageRequest, Payer, ResponseFormat};
use gallerist_engine::Incoming;
use gallerist_store::KeyRecord;
use http::StatusCode;
use http::header::{HOST, HeaderMap};
use sha2::{Digest, Sha256};
use std::sync::Arc;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const IDEMPOTENCY_KEY_CHARACTERS_MAX: usize = 255;
const RETRY_COUNT: &str = "x-stainless-retry-count";

pub(crate) async fn generate(State(state): State<AppState>, request: Request) -> Response {
    match answer(&state, request).await {
        Ok(response) => response,
        Err(failure) => failure.openai(),
    }
}

/// Edits and variations; their bodies are not looked at.
pub(crate) async fn not_yet(State(state): State<AppState>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let known = auth::authenticate(&state, &parts.headers);
    let close = !intake::drain(&parts.headers, body, state.settings().drain_bytes_max).await;
    let failure = known.err().unwrap_or_else(|| {
        let message = format!("{path} is not supported by this gateway yet; POST /v1/images/generations is.");
        Failure::new(StatusCode::BAD_REQUEST, "unsupported_operation", message)
    });
    Failure { close, ..failure }.openai()
}

async fn answer(state: &AppState, request: Request) -> Result<Response, Failure> {
    let accepted_at = state.engine().clock().now();
    let (parts, body) = request.into_parts();
    let headers = &parts.headers;
    let key = match check(state, headers) {
        Ok(key) => key,
        Err(failure) => {
            let close = !intake::drain(headers, body, state.settings().body_bytes_max).await;
            return Err(Failure { close, ..failure });
        }
    };
    let body = intake::read(state, headers, body, state.settings().body_bytes_max).await?;
    let request = parse_generation(&body)?;
    let echo = Echo { background: request.background, response_format: request.response_format };
    let streams = request.stream;
    let incoming = Incoming {
        payer: payer(&key, &request),
        request,
        fingerprint: fingerprint(&body),
        idempotency_key: idempotency_key(headers)?,
        retry_count: retry_count(headers),
        accepted_at,
    };
    drop(body);
    if streams {
        return stream::response(state, state.engine().generate_stream(incoming), echo.background).await;
    }
    let answer = state.engine().generate(incoming).await?;
    let base = match echo.response_format {
        ResponseFormat::Url => base_url(state, headers),
        ResponseFormat::Base64 => String::new(),
    };
    Ok(answer::response(state, answer, echo, &base).await)
}

/// Who pays: the key's project, on behalf of whom the body names.
fn payer(key: &KeyRecord, request: &ImageRequest) -> Arc<Payer> {
    Arc::new(Payer {
        project: key.project.clone(),
        key_id: Some(key.id.clone()),
        end_user: request.user.clone(),
        tags: request.tags.clone(),
    })
}

/// Everything that can be refused before the body is read.
fn check(state: &AppState, headers: &HeaderMap) -> Result<Arc<KeyRecord>, Failure> {
    let key = auth::authenticate(state, headers)?;
    idempotency_key(headers)?;
    Ok(key)
}

fn fingerprint(body: &Bytes) -> [u8; 32] {
    Sha256::digest(body).into()
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let bytes = value.as_bytes();
    let visible = bytes.iter().all(u8::is_ascii_graphic);
    let text = value
        .to_str()
        .ok()
        .filter(|_| visible && (1..=IDEMPOTENCY_KEY_CHARACTERS_MAX).contains(&bytes.len()));
    text.map(|text| Some(text.to_owned())).ok_or_else(|| {
        Failure::invalid("Idempotency-Key", "Idempotency-Key must have 1 to 255 visible ASCII characters.")
    })
}

/// What an SDK says of its own retries; anything else counts as the first try.
fn retry_count(headers: &HeaderMap) -> u32 {
    headers.get(RETRY_COUNT).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// Where the client reached us, or what was configured.
fn base_url(state: &AppState, headers: &HeaderMap) -> String {
    if let Some(base) = &state.settings().public_base_url {
        return base.trim_end_matches('/').to_owned();
    }
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']' | b'_');
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    match host.filter(|host| !host.is_empty() && host.bytes().all(plain)) {
        Some(host) => format!("http://{host}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(name: &'static str, value: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        headers
    }

    #[test]
    fn idempotency_keys_are_visible_and_bounded() {
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(
            idempotency_key(&headers(IDEMPOTENCY_KEY, b"check-1")).unwrap().as_deref(),
            Some("check-1")
        );
        assert!(idempotency_key(&headers(IDEMPOTENCY_KEY, &[b'a'; 255])).is_ok());
        for bad in [b"".as_slice(), b"a b", "ä".as_bytes(), &[b'a'; 256]] {
            let failure = idempotency_key(&headers(IDEMPOTENCY_KEY, bad)).unwrap_err();
            assert_eq!(failure.parameter.as_deref(), Some("Idempotency-Key"));
        }
    }

    #[test]
    fn a_strange_retry_count_is_a_first_try() {
        assert_eq!(retry_count(&headers(RETRY_COUNT, b"2")), 2);
        assert_eq!(retry_count(&headers(RETRY_COUNT, b"-1")), 0);
        assert_eq!(retry_count(&headers(RETRY_COUNT, b"many")), 0);
    }
}
