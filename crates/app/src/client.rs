//! A small HTTP client for a gateway's API, for the commands that speak to one.
//!
//! Owns the address and the key, and the reading of errors in both of the API's shapes. It blocks: callers
//! inside the run-time put it on a blocking thread. Keys are sent and never shown.

use crate::failure::{ASK_FOR_REASONS, Failure, RAISE_CAP, Result};
use gallerist_engine::RefusalKind;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::time::Duration;

/// Longest answer that is read, in bytes: ten pictures of some megabytes in base64.
const ANSWER_BYTES_MAX: u64 = 512 << 20;

/// A gateway and a key to it; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
    /// Without a slash at the end and without `/v1`.
    origin: String,
    key: SecretString,
}

/// An answer: status and body.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Value,
}

impl Client {
    /// `address` may end in `/v1`, as SDKs have it.
    pub fn new(address: &str, key: SecretString) -> Client {
        let origin = address.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        let origin = if origin.contains("://") { origin } else { format!("http://{origin}") };
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(Duration::from_secs(5)))
            .tls_config(
                ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::PlatformVerifier).build(),
            )
            .build();
        Client { agent: config.into(), origin, key }
    }

    /// Sends a request to `path` and reads the answer, whatever its status.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply> {
        let (status, bytes) = self.exchange(method, path, body)?;
        Ok(Reply { status, body: read(&bytes) })
    }

    /// A file behind `path`.
    ///
    /// # Errors
    /// What the gateway says.
    pub fn file(&self, path: &str) -> Result<Vec<u8>> {
        let (status, bytes) = self.exchange("GET", path, None)?;
        if status == 200 { Ok(bytes) } else { Err(refusal(&Reply { status, body: read(&bytes) })) }
    }

    fn exchange(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, Vec<u8>)> {
        let url = format!("{}{path}", self.origin);
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.key.expose_secret()))
            .header("content-type", "application/json")
            .body(bytes)
            .map_err(|error| Failure::usage(format!("{url} is no address: {error}")))?;
        let gone = |error: ureq::Error| {
            Failure::because(format!("no answer from {}", self.origin), &error)
                .advise("start it with `gallerist serve`, or name another with --server")
        };
        let mut answer = self.agent.run(request).map_err(gone)?;
        let status = answer.status().as_u16();
        let bytes = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec().map_err(gone)?;
        Ok((status, bytes))
    }

    /// As [`Client::send`], with anything but success as a failure.
    ///
    /// # Errors
    /// What the gateway says.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let reply = self.send(method, path, body)?;
        if (200..300).contains(&reply.status) { Ok(reply.body) } else { Err(refusal(&reply)) }
    }
}

/// An answer's body; a health check may answer in words.
fn read(bytes: &[u8]) -> Value {
    match bytes.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).chars().take(200).collect())),
    }
}

/// The failure that an answer describes: OpenAI's shape, or problem details (RFC 9457).
fn refusal(reply: &Reply) -> Failure {
    let body = &reply.body;
    let texts = [&body["error"]["message"], &body["detail"], &body["title"]];
    let said = texts.into_iter().find_map(Value::as_str).map(str::to_owned);
    let message = said.unwrap_or_else(|| format!("the gateway answered {}", reply.status));
    // What a provider's moderation refuses was asked as it should be.
    let moderated = body["error"]["code"] == RefusalKind::ModerationBlocked.code();
    let code = body["error"]["code"].as_str().or_else(|| body["code"].as_str());
    let failure = match reply.status {
        400 if !moderated => Failure::usage(message),
        404 if code == Some(RefusalKind::ModelNotFound.code()) => Failure::usage(message),
        _ => Failure::failed(message),
    };
    match reply.status {
        401 | 403 => failure
            .advise("set GALLERIST_API_KEY, or GALLERIST_ADMIN_KEY for the books, to a key of this gateway"),
        402 => failure.advise(RAISE_CAP),
        422 => failure.advise(ASK_FOR_REASONS),
        404 => match known_by(&failure.message) {
            Some(advice) => failure.advise(advice),
            None => failure,
        },
        _ => failure,
    }
}

/// The command that shows what there is of the thing which was not found.
fn known_by(message: &str) -> Option<&'static str> {
    let advices = [
        ("project", "`gallerist projects list` names them, `gallerist projects create NAME` makes one"),
        ("key", "`gallerist keys list` shows the ids"),
        ("webhook", "`gallerist webhooks list` shows the ids"),
        ("reconciliation", "`gallerist reconcile list` shows the ids"),
        ("request", "`gallerist requests list` shows the ids"),
        ("lot", "`gallerist credits list` shows the ids"),
        ("budget", "`gallerist budgets list` shows what there is"),
    ];
    let told = message.to_ascii_lowercase();
    let missing = |what: &str| {
        [format!("there is no {what}"), format!("there is no such {what}")]
            .iter()
            .any(|one| told.starts_with(one))
    };
    advices.into_iter().find(|(what, _)| missing(what)).map(|(_, advice)| advice)
}

/// One part of a query or path, with everything but plain characters escaped.
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~,".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn understands_addresses_as_people_write_them() {
        let origin = |address: &str| Client::new(address, SecretString::default()).origin;
        assert_eq!(origin("http://127.0.0.1:8080/v1/"), "http://127.0.0.1:8080");
        assert_eq!(origin("127.0.0.1:8080"), "http://127.0.0.1:8080");
    }

    #[test]
    fn reads_errors_of_both_shapes() {
        let openai = Reply { status: 402, body: json!({"error": {"message": "a cap would be passed"}}) };
        assert_eq!(refusal(&openai).message, "a cap would be passed");
        let problem = Reply { status: 404, body: json!({"title": "Not Found", "detail": "no such key"}) };
        assert_eq!((refusal(&problem).message.as_str(), refusal(&problem).exit), ("no such key", 1));
        // The catalogue is closed: a name that it does not have was asked wrongly.
        for body in [json!({"error": {"code": "model_not_found"}}), json!({"code": "model_not_found"})] {
            assert_eq!(refusal(&Reply { status: 404, body }).exit, 2);
        }
        let missing = Reply { status: 404, body: json!({"detail": "There is no such webhook."}) };
        assert_eq!(refusal(&missing).advice, "`gallerist webhooks list` shows the ids");
        assert_eq!(refusal(&Reply { status: 500, body: json!(null) }).message, "the gateway answered 500");
    }

    #[test]
    fn escapes_what_a_query_cannot_hold() {
        assert_eq!(escaped("2026-11-25T00:00:00+01:00"), "2026-11-25T00%3A00%3A00%2B01%3A00");
    }
}
