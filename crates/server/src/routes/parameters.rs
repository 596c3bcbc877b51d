//! Query parameters and small JSON bodies of the native surface: strict, each mistake names its parameter.

use crate::answer::JSON;
use crate::auth;
use crate::failure::Failure;
use crate::intake;
use crate::routes::object::{self, Object};
use crate::routes::speaks_openai;
use crate::state::AppState;
use crate::tenants::WishFault;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, Request};
use axum::response::Response;
use gallerist_domain::{ProjectId, RequestId, Ticks};
use gallerist_store::KeyRecord;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// Largest body of an admin call.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What a path names, decoded. A path that cannot be decoded (`%FF`) names nothing, and the answer says so in
/// the form of its surface; axum alone would answer in plain text.
pub(crate) struct PathPart<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathPart<T> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<PathPart<T>, Response> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(PathPart(named)),
            Err(_) => {
                let path = parts.uri.path();
                let short: String = path.chars().take(120).collect();
                let message = format!("There is nothing at {short}: the path is not percent-encoded UTF-8.");
                let failure = Failure::not_found(message);
                Err(if speaks_openai(path) { failure.openai() } else { failure.problem() })
            }
        }
    }
}

/// A query of known parameters, each at most once.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn of(parts: &Parts, known: &[&str]) -> Result<Parameters, Failure> {
        let Query(given) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(|_| {
            Failure::new(StatusCode::BAD_REQUEST, "invalid_value", "The query cannot be read.")
        })?;
        for (at, (name, _)) in given.iter().enumerate() {
            let short: String = name.chars().take(64).collect();
            if !known.contains(&name.as_str()) {
                let message = format!("{short:?} is not a parameter here; known are {}.", known.join(", "));
                return Err(Failure { code: "unknown_parameter", ..Failure::invalid(&short, message) });
            }
            if given[..at].iter().any(|(earlier, _)| earlier == name) {
                return Err(Failure::invalid(&short, format!("{short} is given more than once.")));
            }
        }
        Ok(Parameters(given))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn parsed<T: std::str::FromStr>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Option<T>, Failure> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| Failure::invalid(name, format!("{name} must be {expected}.")))
    }

    /// An instant (`2026-11-25T08:00:00Z`) or a day, which means its first moment in UTC.
    pub(crate) fn instant(&self, name: &str) -> Result<Option<Timestamp>, Failure> {
        self.text(name).map(|text| instant(name, text)).transpose()
    }
}

/// An instant, or the first moment of a day in UTC.
pub(crate) fn instant_of(text: &str) -> Option<Timestamp> {
    let day = |text: &str| -> Option<Timestamp> {
        let date: jiff::civil::Date = text.parse().ok()?;
        date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    };
    text.parse::<Timestamp>().ok().or_else(|| day(text))
}

/// As [`Parameters::instant`].
fn instant(name: &str, text: &str) -> Result<Timestamp, Failure> {
    instant_of(text).ok_or_else(|| {
        Failure::invalid(name, format!("{name} must be an instant such as 2026-11-25T08:00:00Z or a day."))
    })
}

/// A field of a wish that is at fault.
pub(crate) fn wish_fault((field, message): WishFault) -> Failure {
    Failure::invalid(field, format!("{}.", message.trim_end_matches('.')))
}

/// The project whose records a caller may see: an admin's wish (absent: all), else the key's own.
pub(crate) fn visible_project(
    key: &KeyRecord,
    asked: Option<ProjectId>,
) -> Result<Option<ProjectId>, Failure> {
    if auth::is_admin(key) {
        return Ok(asked);
    }
    match asked {
        Some(asked) if asked != key.project => Err(Failure::forbidden(format!(
            "This key belongs to project {} and sees nothing else.",
            key.project
        ))),
        _ => Ok(Some(key.project.clone())),
    }
}

/// The id of a request in a path. What is no id names nothing.
pub(crate) fn request_id(text: &str) -> Result<RequestId, Failure> {
    text.parse().map_err(|_| Failure::not_found("There is no such request."))
}

/// A JSON object, the body of an admin call.
pub(crate) async fn body<T: Object>(state: &AppState, request: Request) -> Result<T, Failure> {
    body_within(state, request, BODY_BYTES_MAX).await
}

/// As [`body`], for calls that hold a file.
pub(crate) async fn body_within<T: Object>(
    state: &AppState,
    request: Request,
    bytes_max: usize,
) -> Result<T, Failure> {
    let (parts, body) = request.into_parts();
    object::read(&intake::read(state, &parts.headers, body, bytes_max).await?)
}

/// As [`body`]; none is an empty object.
pub(crate) async fn optional_body<T: Object + Default>(
    state: &AppState,
    request: Request,
) -> Result<T, Failure> {
    let (parts, body) = request.into_parts();
    let bytes = intake::read(state, &parts.headers, body, BODY_BYTES_MAX).await?;
    if bytes.trim_ascii().is_empty() { Ok(T::default()) } else { object::read(&bytes) }
}

/// A field that tells null (`Some("null")`) from absent (`None`).
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

/// A cap as a string or a number of dollars, not negative, or null for none.
pub(crate) fn cap(written: &RawValue) -> Result<Option<Ticks>, Failure> {
    if written.get() == "null" {
        return Ok(None);
    }
    dollars(written).map(Some).ok_or_else(|| {
        Failure::invalid(
            "cap_usd",
            "cap_usd must be an amount of dollars such as \"25.00\", or null for no cap.",
        )
    })
}

/// A string or a number of dollars, read from its digits; `None` where it is neither, or negative.
pub(crate) fn dollars(written: &RawValue) -> Option<Ticks> {
    let text = written.get();
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    digits.parse::<Ticks>().ok().filter(|amount| !amount.is_negative())
}

pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    let mut response = Response::new(Body::from(serde_json::to_vec(value).expect("plain data serialises")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// The answer of what was removed.
pub(crate) fn no_content() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
