use super::*;
use crate::dialect::reply::chunks;
use gallerist_domain::{Billed, ChargeEvent, Meter, Metered, Size};
use http::{HeaderMap, HeaderValue};
use serde_json::json;

fn call() -> ImageCall {
    ImageCall::example("gpt-image-2.5-flare", Size::new(1024, 1024))
}

fn endpoint() -> Endpoint {
    Endpoint { base_url: "https://api.openai.com/v1".to_owned(), key: "k".to_owned() }
}

fn step(status: u16, body: &Value) -> Step {
    let reply = HttpReply { status, headers: HeaderMap::new(), body: chunks(&body.to_string()) };
    OpenAi.interpret(&call(), None, &reply)
}

fn fault(status: u16, error: Value) -> Fault {
    match step(status, &json!({"error": error})) {
        Step::Fault(fault) => fault,
        other => panic!("{other:?} is no fault"),
    }
}

fn usage(body: Value) -> Vec<(Meter, i64)> {
    match step(200, &body) {
        Step::Done(outcome) => {
            outcome.usage.iter().map(|metered| (metered.meter, metered.quantity)).collect()
        }
        other => panic!("{other:?} is no outcome"),
    }
}

#[test]
fn errors_have_the_kinds_of_the_reference() {
    let table = [
        (400, "invalid_request_error", "invalid_value", FaultKind::InvalidRequest),
        (400, "invalid_request_error", "billing_hard_limit_reached", FaultKind::PaymentRequired),
        (400, "image_generation_user_error", "moderation_blocked", FaultKind::ModerationUnknown),
        (400, "invalid_request_error", "content_policy_violation", FaultKind::ModerationUnknown),
        (401, "invalid_request_error", "invalid_api_key", FaultKind::Unauthorized),
        (403, "invalid_request_error", "", FaultKind::Unauthorized),
        (404, "invalid_request_error", "model_not_found", FaultKind::UnknownModel),
        (408, "", "", FaultKind::Timeout),
        (409, "", "", FaultKind::UpstreamError),
        (413, "", "", FaultKind::InvalidRequest),
        (429, "requests", "rate_limit_exceeded", FaultKind::RateLimited),
        (429, "input-images", "slow_down", FaultKind::RateLimited),
        (429, "insufficient_quota", "project_spend_limit_exceeded", FaultKind::PaymentRequired),
        (429, "insufficient_quota", "", FaultKind::PaymentRequired),
        (500, "server_error", "", FaultKind::UpstreamError),
        (503, "server_error", "", FaultKind::UpstreamError),
        (524, "", "", FaultKind::Timeout),
        (200, "server_error", "", FaultKind::UpstreamError),
        (200, "invalid_request_error", "unknown_parameter", FaultKind::InvalidRequest),
    ];
    for (status, kind, code, expected) in table {
        let found = fault(status, json!({"message": "m", "type": kind, "param": null, "code": code}));
        assert_eq!((found.kind, found.status), (expected, Some(status)), "{status} {kind} {code}");
        assert_eq!(found.billed, None, "the outcome matrix answers");
    }
}

#[test]
fn the_stage_of_moderation_decides_whether_it_may_be_billed() {
    let blocked = |stage: Value| {
        let error = json!({"message": "m", "code": "moderation_blocked", "moderation_details": stage});
        let fault = fault(400, error);
        (fault.kind, fault.billed, fault.event())
    };
    let input = blocked(json!({"moderation_stage": "input", "categories": ["violence"]}));
    assert_eq!(input, (FaultKind::ModerationInput, Some(Billed::No), ChargeEvent::Refused));
    let output = blocked(json!({"moderation_stage": "output"}));
    assert_eq!(output, (FaultKind::ModerationOutput, None, ChargeEvent::Filtered));
    for other in [json!({"moderation_stage": "unknown"}), json!({}), json!(null), json!([1])] {
        assert_eq!(blocked(other), (FaultKind::ModerationUnknown, None, ChargeEvent::Filtered));
    }
}

#[test]
fn a_server_that_loads_asks_to_wait() {
    let headers = [(http::header::RETRY_AFTER, HeaderValue::from_static("10"))].into_iter().collect();
    let body = chunks(r#"{"error":{"code":"model_loading","type":"model_loading","message":"m"}}"#);
    let Step::Fault(fault) = OpenAi.interpret(&call(), None, &HttpReply { status: 503, headers, body })
    else {
        panic!("it is a fault");
    };
    assert_eq!((fault.kind, fault.retry_after_ms), (FaultKind::Overloaded, Some(10_000)));
}

#[test]
fn counts_are_split_as_far_as_the_reply_says() {
    let of = |counts: Value| usage(json!({"data": [{"b64_json": "eA=="}], "usage": counts}));
    let (text_in, image_in) = (Meter::TextInputTokens, Meter::ImageInputTokens);
    let (image_out, text_out) = (Meter::ImageOutputTokens, Meter::TextOutputTokens);
    assert_eq!(
        of(json!({"input_tokens": 30, "input_tokens_details": {"image_tokens": 10}, "output_tokens": 5,
            "output_tokens_details": {"text_tokens": 2}})),
        [(text_in, 20), (image_in, 10), (image_out, 3), (text_out, 2)]
    );
    assert_eq!(of(json!({"output_tokens": 5})), [(image_out, 5), (text_out, 0)]);
    assert_eq!(
        of(json!({"input_tokens": 1, "output_tokens": 0})),
        [(text_in, 1), (image_in, 0), (text_out, 0)]
    );
    let made_up = json!({"input_tokens": 0, "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
        "output_tokens": 0, "total_tokens": 0});
    assert_eq!(of(made_up), [], "zeros throughout are no counts");
    assert_eq!(of(json!({"input_tokens": "many", "output_tokens": -4})), []);
    assert_eq!(of(json!(null)), []);
}

#[test]
fn an_answer_without_a_picture_is_charged_by_its_counts() {
    for data in [json!([]), json!([{}]), json!([{"b64_json": ""}]), json!(null)] {
        let Step::Fault(fault) = step(200, &json!({"data": data, "usage": {"output_tokens": 7}})) else {
            panic!("it is a fault");
        };
        assert_eq!((fault.kind, fault.billed), (FaultKind::NoImage, Some(Billed::Yes)));
        assert!(fault.usage.contains(&Metered { meter: Meter::ImageOutputTokens, quantity: 7 }));
    }
    let Step::Fault(fault) = step(200, &json!({})) else { panic!("it is a fault") };
    assert_eq!((fault.kind, fault.billed), (FaultKind::NoImage, None));
    let Step::Fault(fault) = step(200, &json!("text")) else { panic!("it is a fault") };
    assert_eq!((fault.kind, fault.status), (FaultKind::Malformed, Some(200)));
}

#[test]
fn what_the_request_decides_cannot_be_an_option() {
    for name in RESERVED {
        let options = json!({ *name: 1 }).to_string();
        let refused = OpenAi.prepare(&ImageCall { provider_options: options, ..call() }, &endpoint());
        assert_eq!(refused.expect_err("reserved").kind, FaultKind::InvalidRequest, "{name}");
    }
}

#[test]
fn what_the_protocol_lacks_is_refused_and_not_dropped() {
    let calls = [
        ImageCall { seed: Some(1), ..call() },
        ImageCall { steps: 20, ..call() },
        ImageCall { guidance_milli: Some(3500), ..call() },
        ImageCall { negative_prompt: Some("x".to_owned()), ..call() },
        ImageCall { tier: "batch".to_owned(), ..call() },
        ImageCall { partial_images: 1, ..call() },
        ImageCall { operation: Operation::Edit, ..call() },
    ];
    for call in calls {
        let refused = OpenAi.prepare(&call, &endpoint()).expect_err("it cannot be said");
        assert_eq!(refused.kind, FaultKind::Unsupported);
    }
}
