use super::*;
use crate::dialect::reply::chunks;
use gallerist_domain::{Blame, Retry};

fn reply(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> HttpReply {
    let headers = headers
        .iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), http::HeaderValue::from_static(value)))
        .collect();
    HttpReply { status, headers, body: chunks(body) }
}

#[test]
fn finds_the_fields_in_every_customary_shape() {
    let said = |body: &str| said(&chunks(body));
    let openai = said(r#"{"error":{"message":"No.","type":"t","param":"size","code":"invalid_value"}}"#);
    assert_eq!(openai.message, "No.");
    assert_eq!(openai.code.as_deref(), Some("invalid_value"));
    assert_eq!(openai.kind.as_deref(), Some("t"));
    assert_eq!(openai.parameter.as_deref(), Some("size"));
    let validation = said(r#"{"detail":[{"loc":["body","width"],"msg":"too small","type":"x"}]}"#);
    assert_eq!((validation.message.as_str(), validation.parameter.as_deref()), ("too small", Some("width")));
    assert_eq!(said(r#"{"detail":"Sampler not found"}"#).message, "Sampler not found");
    assert_eq!(said(r#"{"error":"text"}"#).message, "text");
    assert_eq!(said(r#"{"id":"1","name":"bad_request","errors":["a: b"]}"#).message, "a: b");
    let google = said(r#"{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}"#);
    assert_eq!((google.code.as_deref(), google.status.as_deref()), (Some("429"), Some("RESOURCE_EXHAUSTED")));
    assert_eq!(said("<html>\n  Bad  Gateway").message, "<html> Bad Gateway");
    assert_eq!(said(""), Said::default());
    let long = said(&format!(r#"{{"error":{{"message":"{}"}}}}"#, "m".repeat(9000)));
    assert_eq!(long.message.len(), MESSAGE_BYTES_MAX);
}

#[test]
fn statuses_have_customary_kinds() {
    let fault = by_status(&reply(429, &[("retry-after", "3")], "{}"));
    assert_eq!(
        (fault.kind, fault.retry, fault.blame),
        (FaultKind::RateLimited, Retry::Later, Blame::Provider)
    );
    assert_eq!((fault.retry_after_ms, fault.status, fault.billed), (Some(3000), Some(429), None));
    assert_eq!(by_status(&reply(502, &[], "")).kind, FaultKind::UpstreamError);
    assert_eq!(by_status(&reply(302, &[], "")).kind, FaultKind::Malformed);
    for status in 0..=999 {
        assert!(!by_status(&reply(status, &[], "")).detail.is_empty());
    }
}

#[test]
fn waits_are_whole_numbers_and_milliseconds_come_first() {
    let wait = |headers: &[(&'static str, &'static str)]| retry_after_ms(&reply(429, headers, "").headers);
    assert_eq!(wait(&[("retry-after", "3"), ("retry-after-ms", "1500")]), Some(1500));
    assert_eq!(wait(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")]), None);
    assert_eq!(wait(&[("retry-after", "-1")]), None);
    assert_eq!(wait(&[("retry-after", "18446744073709551615")]), Some(u64::MAX));
}

#[test]
fn a_date_to_wait_for_counts_from_the_reply_s_own_date() {
    let wait = |after: &'static str, now: &'static str| {
        retry_after_ms(&reply(429, &[("retry-after", after), ("date", now)], "").headers)
    };
    let noon = "Sat, 28 Nov 2026 12:00:00 GMT";
    assert_eq!(wait("Sat, 28 Nov 2026 12:00:23 GMT", noon), Some(23_000));
    assert_eq!(wait("Saturday, 28-Nov-26 12:01:00 GMT", noon), Some(60_000));
    assert_eq!(wait("Sat, 28 Nov 2026 11:59:00 GMT", noon), Some(0), "it has passed");
    assert_eq!(wait("Sat, 28 Nov 2026 12:00:23 GMT", "at noon"), None);
    assert_eq!(wait("tomorrow", noon), None);
}

#[test]
fn no_key_stays_in_a_message() {
    let body =
        r#"{"error":{"message":"Incorrect API key provided: sk-proj-abc123. Also abcdef1234567890."}}"#;
    let fault = by_status(&reply(401, &[], body));
    assert_eq!(fault.detail, "Incorrect API key provided: [removed] Also [removed]");
    let other = by_status(&reply(400, &[], r#"{"error":{"message":"bad sk-abc for gpt-image-2.5-flare"}}"#));
    assert_eq!(other.detail, "bad [removed] for gpt-image-2.5-flare");
}
