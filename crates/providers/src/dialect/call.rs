//! Making calls: addresses, headers and bodies.
//!
//! This module owns that a key is marked sensitive and never part of an address, and that a name from
//! the catalogue cannot leave its place in a path. Adapters name headers as constants; nothing that a
//! client sends ever becomes a header.

use crate::{CallBody, Endpoint, HttpCall};
use bytes::Bytes;
use gallerist_domain::{Fault, FaultKind};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};
use std::fmt::Write;

/// A POST of a JSON object to `path` under the endpoint; `path` begins with a slash.
pub fn post_json(endpoint: &Endpoint, path: &str, body: Map<String, Value>) -> HttpCall {
    HttpCall {
        method: Method::POST,
        url: format!("{}{path}", base(endpoint)),
        headers: vec![(CONTENT_TYPE, HeaderValue::from_static("application/json")), accept_json()],
        body: CallBody::Json(Bytes::from(Value::Object(body).to_string())),
    }
}

/// A GET of `path` under the endpoint; `path` begins with a slash.
pub fn get(endpoint: &Endpoint, path: &str) -> HttpCall {
    HttpCall {
        method: Method::GET,
        url: format!("{}{path}", base(endpoint)),
        headers: vec![accept_json()],
        body: CallBody::Empty,
    }
}

/// `Accept: application/json`.
pub fn accept_json() -> (HeaderName, HeaderValue) {
    (ACCEPT, HeaderValue::from_static("application/json"))
}

/// `Authorization: <scheme> <key>`, marked sensitive; none for an empty key.
///
/// # Errors
/// `Unauthorized` when the key cannot stand in a header.
pub fn authorization(scheme: &str, key: &str) -> Result<Option<(HeaderName, HeaderValue)>, Fault> {
    if key.is_empty() {
        return Ok(None);
    }
    secret(AUTHORIZATION, &format!("{scheme} {key}")).map(Some)
}

/// A header whose value is a secret.
///
/// # Errors
/// `Unauthorized` when the value cannot stand in a header; the detail does not hold it.
pub fn secret(name: HeaderName, value: &str) -> Result<(HeaderName, HeaderValue), Fault> {
    let mut value = HeaderValue::from_str(value).map_err(|_| {
        Fault::new(FaultKind::Unauthorized, "the configured key has characters that a header cannot hold")
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// `text` as one segment of a path: everything but letters, digits and `-._~` is percent-encoded, so that
/// no name can add a segment or a query.
pub fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
    // A client or server resolves these as steps in the path, encoded or not.
    if out == "." || out == ".." { String::new() } else { out }
}

fn base(endpoint: &Endpoint) -> &str {
    endpoint.base_url.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hidden_and_bad_ones_are_not_repeated() {
        let (_, value) = authorization("Bearer", "sk-1").expect("a good key").expect("a key");
        assert!(!format!("{value:?}").contains("sk-1"));
        assert!(authorization("Bearer", "").expect("no key is fine").is_none());
        let fault = authorization("Bearer", "se\ncret").expect_err("a line break");
        assert!(!fault.detail.contains("cret"));
    }

    #[test]
    fn a_segment_stays_a_segment() {
        assert_eq!(path_segment("gemini-2.5_x~"), "gemini-2.5_x~");
        assert_eq!(path_segment("a/../b?c#d e:é"), "a%2F..%2Fb%3Fc%23d%20e%3A%C3%A9");
        assert_eq!(path_segment(".."), "");
    }
}
