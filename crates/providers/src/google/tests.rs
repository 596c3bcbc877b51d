use super::*;
use crate::dialect::reply::chunks;
use gallerist_domain::{Billed, Meter, Retry, Size};
use http::HeaderMap;

fn call() -> ImageCall {
    ImageCall { aspect_ratio: "1:1".to_owned(), ..ImageCall::example("gemini-x", Size::new(1024, 1024)) }
}

fn step(status: u16, body: &Value) -> Step {
    Google.interpret(
        &call(),
        None,
        &HttpReply { status, headers: HeaderMap::new(), body: chunks(&body.to_string()) },
    )
}

fn fault(status: u16, body: &Value) -> Fault {
    match step(status, body) {
        Step::Fault(fault) => fault,
        other => panic!("{other:?} is no fault"),
    }
}

fn made(usage: Value) -> Vec<(Meter, i64)> {
    let body = json!({
        "candidates": [{"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": "eA=="}}]}}],
        "usageMetadata": usage,
    });
    match step(200, &body) {
        Step::Done(outcome) => {
            outcome.usage.iter().map(|metered| (metered.meter, metered.quantity)).collect()
        }
        other => panic!("{other:?} is no outcome"),
    }
}

#[test]
fn finish_reasons_have_the_kinds_of_the_reference() {
    let table = [
        ("IMAGE_SAFETY", FaultKind::ModerationOutput),
        ("IMAGE_PROHIBITED_CONTENT", FaultKind::ModerationOutput),
        ("SAFETY", FaultKind::ModerationOutput),
        ("safety", FaultKind::ModerationOutput),
        ("SPII", FaultKind::ModerationOutput),
        ("RECITATION", FaultKind::ModerationOutput),
        ("MODEL_ARMOR", FaultKind::ModerationUnknown),
        ("NO_IMAGE", FaultKind::NoImage),
        ("IMAGE_OTHER", FaultKind::NoImage),
        ("MAX_TOKENS", FaultKind::NoImage),
        ("STOP", FaultKind::NoImage),
        ("SOMETHING_NEW", FaultKind::NoImage),
    ];
    for (reason, expected) in table {
        let fault = fault(200, &json!({"candidates": [{"finishReason": reason}]}));
        assert_eq!((fault.kind, fault.billed, fault.status), (expected, None, Some(200)), "{reason}");
    }
    for reason in ["SAFETY", "OTHER", "JAILBREAK", "NEW"] {
        let fault = fault(200, &json!({"promptFeedback": {"blockReason": reason}}));
        assert_eq!(fault.kind, FaultKind::ModerationInput, "{reason}");
    }
    let unspecified = json!({"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}});
    assert_eq!(fault(200, &unspecified).kind, FaultKind::NoImage);
    assert_eq!(fault(200, &json!({})).kind, FaultKind::NoImage);
}

#[test]
fn errors_have_the_kinds_of_the_reference() {
    let table = [
        (400, "INVALID_ARGUMENT", FaultKind::InvalidRequest),
        (400, "FAILED_PRECONDITION", FaultKind::PaymentRequired),
        (403, "PERMISSION_DENIED", FaultKind::Unauthorized),
        (404, "NOT_FOUND", FaultKind::UnknownModel),
        (429, "RESOURCE_EXHAUSTED", FaultKind::RateLimited),
        (499, "CANCELLED", FaultKind::Cancelled),
        (500, "INTERNAL", FaultKind::UpstreamError),
        (503, "UNAVAILABLE", FaultKind::Overloaded),
        (504, "DEADLINE_EXCEEDED", FaultKind::Timeout),
        (429, "", FaultKind::RateLimited),
        (502, "", FaultKind::UpstreamError),
    ];
    for (status, name, expected) in table {
        let fault = fault(status, &json!({"error": {"code": status, "message": "m", "status": name}}));
        assert_eq!(
            (fault.kind, fault.status, fault.billed),
            (expected, Some(status), None),
            "{status} {name}"
        );
    }
}

#[test]
fn details_of_an_error_say_how_long_and_why() {
    let error =
        |status: u16, details: Value| fault(status, &json!({"error": {"message": "m", "details": details}}));
    assert_eq!(error(429, json!([{"retryDelay": "0.8471s"}])).retry_after_ms, Some(848));
    assert_eq!(error(429, json!([{"retryDelay": "soon"}])).retry_after_ms, None);
    let today = error(429, json!([{"violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]}]));
    assert_eq!((today.kind, today.retry), (FaultKind::RateLimited, Retry::Elsewhere));
    assert_eq!(error(400, json!([{"reason": "API_KEY_INVALID"}])).kind, FaultKind::Unauthorized);
    assert_eq!(error(400, json!("no list")).kind, FaultKind::InvalidRequest);
}

#[test]
fn refusals_are_charged_by_what_was_counted() {
    let refused = fault(
        200,
        &json!({"candidates": [{"finishReason": "NO_IMAGE"}],
            "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 2}}),
    );
    assert_eq!(refused.billed, Some(Billed::Yes));
    let quantity = |meter: Meter| refused.usage.iter().find(|m| m.meter == meter).map(|m| m.quantity);
    assert_eq!(quantity(Meter::TextInputTokens), Some(9));
    assert_eq!(quantity(Meter::TextOutputTokens), Some(4));
    assert_eq!(quantity(Meter::ThinkingTokens), Some(2));
    assert_eq!(quantity(Meter::ImageOutputTokens), Some(0));
    let silent = fault(200, &json!({"usageMetadata": {"promptTokenCount": 0}}));
    assert_eq!((silent.billed, silent.usage.len()), (None, 0));
}

#[test]
fn output_is_split_by_modality_and_never_free_by_mistake() {
    let output = |usage: Value| {
        let quantity = |meter: Meter| made(usage.clone()).iter().find(|m| m.0 == meter).map(|m| m.1);
        (quantity(Meter::ImageOutputTokens), quantity(Meter::TextOutputTokens))
    };
    let image = json!([{"modality": "IMAGE", "tokenCount": 1120}]);
    assert_eq!(
        output(json!({"candidatesTokenCount": 1133, "candidatesTokensDetails": image})),
        (Some(1120), Some(13))
    );
    assert_eq!(output(json!({"candidatesTokensDetails": image})), (Some(1120), Some(0)));
    assert_eq!(output(json!({"candidatesTokenCount": 1120})), (Some(1120), Some(0)));
    // The picture's own price decides where the counts contradict the picture.
    assert_eq!(output(json!({"promptTokenCount": 5})), (None, Some(0)));
    assert!(made(Value::Null).is_empty());
    let huge = i64::MAX;
    let details = json!([{"modality": "IMAGE", "tokenCount": huge}, {"modality": "IMAGE", "tokenCount": huge},
        {"modality": "TEXT", "tokenCount": huge}]);
    assert_eq!(
        output(json!({"candidatesTokenCount": 5, "candidatesTokensDetails": details})),
        (Some(huge), Some(0))
    );
}

#[test]
fn cached_input_has_its_own_meters_and_is_counted_once() {
    let image = json!([{"modality": "TEXT", "tokenCount": 10}, {"modality": "IMAGE", "tokenCount": 1120}]);
    let input = |cached: i64| {
        let usage = made(json!({"promptTokenCount": 1130, "promptTokensDetails": image,
            "cachedContentTokenCount": cached, "candidatesTokenCount": 1120}));
        let quantity = |meter: Meter| usage.iter().find(|m| m.0 == meter).map(|m| m.1);
        [
            Meter::TextInputTokens,
            Meter::TextInputCachedTokens,
            Meter::ImageInputTokens,
            Meter::ImageInputCachedTokens,
        ]
        .map(quantity)
    };
    assert_eq!(input(0), [Some(10), None, Some(1120), None]);
    assert_eq!(input(4), [Some(6), Some(4), Some(1120), None]);
    assert_eq!(input(510), [Some(0), Some(10), Some(620), Some(500)]);
    // No more than there is.
    assert_eq!(input(i64::MAX), [Some(0), Some(10), Some(0), Some(1120)]);
}

#[test]
fn a_seed_is_the_vendor_s_own_option_because_no_picture_follows_it() {
    let endpoint = Endpoint { base_url: String::new(), key: String::new() };
    let with_seed = ImageCall { seed: Some(7), ..call() };
    assert_eq!(Google.prepare(&with_seed, &endpoint).expect_err("no promise").kind, FaultKind::Unsupported);
    let option = ImageCall { provider_options: r#"{"seed":7}"#.to_owned(), ..call() };
    let request = Google.prepare(&option, &endpoint).expect("it is in the list");
    let crate::CallBody::Json(body) = request.body else { panic!("a JSON body") };
    let body: Value = serde_json::from_slice(&body).expect("it is JSON");
    assert_eq!(body["generationConfig"]["seed"], 7);
}

#[test]
fn options_outside_the_closed_list_are_refused() {
    let endpoint = Endpoint { base_url: String::new(), key: String::new() };
    for options in [r#"{"generation_config":{"image_config":{"image_size":"4K"}}}"#, r#"{"tools":[]}"#] {
        let call = ImageCall { provider_options: options.to_owned(), ..call() };
        let refused = Google.prepare(&call, &endpoint).expect_err("not in the list");
        assert_eq!(refused.kind, FaultKind::InvalidRequest);
    }
    let two = ImageCall { n: 2, ..call() };
    assert_eq!(Google.prepare(&two, &endpoint).expect_err("one only").kind, FaultKind::Unsupported);
}
