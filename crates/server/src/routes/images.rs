//! `POST /v1/images/generations`: the hot path. Edits and variations say that they are not there yet.

use crate::answer::{self, Echo};
use crate::auth;
use crate::failure::Failure;
use crate::intake;
use crate::routes::models;
use crate::state::AppState;
use crate::stream;
use crate::wire::parse_generation;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use gallerist_domain::{ImageRequest, Payer, ResponseFormat, Scope};
use gallerist_engine::Incoming;
use gallerist_engine::rates::{Level, Measure};
use gallerist_store::KeyRecord;
use http::StatusCode;
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::sync::Arc;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const IDEMPOTENCY_KEY_CHARACTERS_MAX: usize = 255;
const RETRY_COUNT: &str = "x-stainless-retry-count";

pub(crate) async fn generate(State(state): State<AppState>, request: Request) -> Response {
    let mut known = None;
    let mut response = match answer(&state, request, &mut known).await {
        Ok(response) => response,
        Err(failure) => failure.openai(),
    };
    if let Some(key) = known {
        let levels = state.engine().rate_levels(&of_key(&key), &key.allowance).await;
        rate_headers(response.headers_mut(), &levels);
    }
    response
}

/// The payer as far as rates go.
fn of_key(key: &KeyRecord) -> Payer {
    Payer { key_id: Some(key.id.clone()), ..Payer::of(key.project.clone()) }
}

/// OpenAI's headers for requests and images: of the key's and the project's limit the one that is nearer.
fn rate_headers(headers: &mut HeaderMap, levels: &[Level]) {
    for measure in [Measure::Requests, Measure::Images] {
        let of_measure = levels.iter().filter(|level| level.measure == measure);
        let Some(level) = of_measure.min_by_key(|level| (level.remaining, Reverse(level.reset_ms))) else {
            continue;
        };
        let mut add = |part: &str, value: String| {
            let name = format!("x-ratelimit-{part}-{}", measure.as_str());
            let name = HeaderName::from_bytes(name.as_bytes()).expect("its parts are lower-case words");
            headers
                .insert(name, HeaderValue::from_str(&value).expect("digits and letters are visible ASCII"));
        };
        add("limit", level.limit.to_string());
        add("remaining", level.remaining.to_string());
        add("reset", span(level.reset_ms));
    }
}

/// As OpenAI writes spans of time: `1m30s`, `2.5s`, `120ms`.
fn span(milliseconds: u64) -> String {
    let (minutes, rest_ms) = (milliseconds / 60_000, milliseconds % 60_000);
    let seconds = match rest_ms % 1_000 {
        0 => format!("{}s", rest_ms / 1_000),
        part if milliseconds < 1_000 => return format!("{part}ms"),
        part => format!("{}.{:03}", rest_ms / 1_000, part).trim_end_matches('0').to_owned() + "s",
    };
    if minutes > 0 { format!("{minutes}m{seconds}") } else { seconds }
}

/// Edits and variations; their bodies are not looked at.
pub(crate) async fn not_yet(State(state): State<AppState>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let (parts, body) = request.into_parts();
    let known = auth::authenticate_for(&state, &parts.headers, Scope::Generate);
    let close = !intake::drain(&parts.headers, body, state.settings().drain_bytes_max).await;
    let failure = known.err().unwrap_or_else(|| {
        let message = format!("{path} is not supported by this gateway yet; POST /v1/images/generations is.");
        Failure::new(StatusCode::BAD_REQUEST, "unsupported_operation", message)
    });
    Failure { close, ..failure }.openai()
}

/// Whose key it was is told in `known`, for answers and failures alike.
async fn answer(
    state: &AppState,
    request: Request,
    known: &mut Option<Arc<KeyRecord>>,
) -> Result<Response, Failure> {
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
    *known = Some(Arc::clone(&key));
    let body = intake::read(state, headers, body, state.settings().body_bytes_max).await?;
    let request = parse_generation(&body)?;
    let echo = Echo { background: request.background, response_format: request.response_format };
    let (streams, model) = (request.stream, request.model.clone());
    let incoming = Incoming {
        payer: payer(&key, &request),
        allowance: Arc::clone(&key.allowance),
        request,
        fingerprint: fingerprint(&body),
        idempotency_key: idempotency_key(headers)?,
        retry_count: retry_count(headers),
        accepted_at,
    };
    drop(body);
    let made = match streams {
        true => stream::response(state, state.engine().generate_stream(incoming), echo.background).await,
        false => match state.engine().generate(incoming).await {
            Ok(made) => {
                let base = match echo.response_format {
                    ResponseFormat::Url => base_url(state, headers),
                    ResponseFormat::Base64 => String::new(),
                };
                Ok(answer::response(state, made, echo, &base).await)
            }
            Err(refusal) => Err(refusal.into()),
        },
    };
    match made {
        Err(failure) => Err(models::explained(state, &model, failure).await),
        made => made,
    }
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
    let key = auth::authenticate_for(state, headers, Scope::Generate)?;
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
    fn spans_are_written_as_openai_does() {
        let spans = [(0, "0s"), (120, "120ms"), (1_000, "1s"), (2_500, "2.5s"), (60_000, "1m0s")];
        for (milliseconds, text) in spans.into_iter().chain([(90_050, "1m30.05s")]) {
            assert_eq!(span(milliseconds), text);
        }
    }

    #[test]
    fn a_strange_retry_count_is_a_first_try() {
        assert_eq!(retry_count(&headers(RETRY_COUNT, b"2")), 2);
        assert_eq!(retry_count(&headers(RETRY_COUNT, b"-1")), 0);
        assert_eq!(retry_count(&headers(RETRY_COUNT, b"many")), 0);
    }
}
