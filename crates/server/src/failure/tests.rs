use super::*;
use axum::body::to_bytes;
use axum::response::Response;
use gallerist_domain::{BudgetUnit, Fault, OfferId};
use gallerist_engine::{FailedAttempt, Fitting};
use gallerist_pricing::sheet::Confidence;
use gallerist_routing::{Exclusion, Reason};
use gallerist_store::Breach;
use serde_json::{Value, json};

async fn read(response: Response) -> (u16, http::HeaderMap, Value) {
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    (parts.status.as_u16(), parts.headers, serde_json::from_slice(&bytes).unwrap())
}

fn attempt(kind: FaultKind, charged: i64, disputed: bool) -> FailedAttempt {
    FailedAttempt {
        offer: "bfl/flux-2-pro".into(),
        fault: Fault::new(kind, "it said no").with_status(500),
        charged: Ticks::new(charged),
        disputed,
    }
}

/// Kind, charged ticks, disputed ticks, what the attempts failed of; then status, whether SDKs may retry.
#[tokio::test]
async fn refusals_have_their_status_and_only_safe_ones_are_retried() {
    use FaultKind::*;
    type Case = (RefusalKind, i64, i64, &'static [FaultKind], u16, bool);
    let cases: &[Case] = &[
        (RefusalKind::RateLimited, 0, 0, &[RateLimited], 429, true),
        (RefusalKind::RateLimited, 1, 0, &[RateLimited], 429, false),
        (RefusalKind::Overloaded, 0, 0, &[], 503, true),
        (RefusalKind::UpstreamFailed, 0, 0, &[UpstreamError], 502, true),
        (RefusalKind::UpstreamFailed, 0, 5, &[UpstreamError], 502, false),
        (RefusalKind::UpstreamFailed, 0, 0, &[Internal], 502, false),
        (RefusalKind::UpstreamTimeout, 0, 5, &[Timeout], 504, false),
        (RefusalKind::Internal, 0, 0, &[], 500, false),
        (RefusalKind::ModerationBlocked, 0, 0, &[ModerationInput], 400, false),
        (RefusalKind::BudgetExceeded, 0, 0, &[], 402, false),
        (RefusalKind::ModelNotFound, 0, 0, &[], 404, false),
        (RefusalKind::NoOffer, 0, 0, &[], 422, false),
        (RefusalKind::PriceUnknown, 0, 0, &[], 422, false),
        (RefusalKind::CostLimitExceeded, 0, 0, &[], 422, false),
        (RefusalKind::IdempotencyConflict, 0, 0, &[], 422, false),
    ];
    for (kind, charged, disputed, faults, status, retried) in cases {
        let mut refusal = Refusal::new(*kind, "no");
        refusal.charged = Ticks::new(*charged);
        refusal.disputed = Ticks::new(*disputed);
        refusal.attempts = faults.iter().map(|fault| attempt(*fault, 0, false)).collect();
        let (found, headers, body) = read(Failure::from(refusal).openai()).await;
        assert_eq!(found, *status, "{kind:?}");
        assert_eq!(body["error"]["code"], kind.code());
        let refused = headers.get("x-should-retry").is_some_and(|value| value == "false");
        assert_eq!(!refused, *retried, "{kind:?} {charged} {disputed}");
        let waits = matches!(status, 429 | 503) && *retried;
        assert_eq!(headers.contains_key("retry-after"), waits, "{kind:?}");
    }
}

#[tokio::test]
async fn a_failed_request_says_who_said_what_and_what_it_cost() {
    let mut refusal = Refusal::new(RefusalKind::UpstreamFailed, "all failed");
    refusal.request_id = Some("0192f3c4-0000-7000-8000-000000000001".parse().unwrap());
    refusal.charged = Ticks::new(7);
    refusal.attempts = vec![attempt(FaultKind::WrongSize, 7, false), attempt(FaultKind::Timeout, 0, true)];
    refusal.disputed = Ticks::new(9);
    let (_, headers, body) = read(Failure::from(refusal).openai()).await;
    let expected = json!({"error": {"message": "all failed", "type": "server_error", "param": null,
        "code": "upstream_failed", "gallerist": {
            "request_id": "0192f3c4-0000-7000-8000-000000000001",
            "charged_usd": "0.0000000007", "disputed_usd": "0.0000000009",
            "attempts": [
                {"offer": "bfl/flux-2-pro", "fault": "wrong_size", "status": 500, "message": "it said no",
                    "charged_usd": "0.0000000007", "disputed": false},
                {"offer": "bfl/flux-2-pro", "fault": "timeout", "status": 500, "message": "it said no",
                    "charged_usd": "0.0000000000", "disputed": true}]}}});
    assert_eq!(body, expected);
    assert_eq!(headers.get("x-request-id").unwrap(), "0192f3c4-0000-7000-8000-000000000001");
}

#[tokio::test]
async fn an_unmet_limit_names_the_cheapest() {
    let mut refusal =
        Refusal::new(RefusalKind::CostLimitExceeded, "too dear").with_parameter("gallerist.max_cost_usd");
    let offer = OfferId::new("bfl", "a");
    let reason = Reason::OverMaxCost { quote_max: Ticks::new(20) };
    refusal.excluded = vec![Exclusion { offer: &offer, reason, by_route: None }.into()];
    refusal.cheapest = Some(Ticks::new(20));
    refusal.cheapest_trust = Some((Confidence::Derived, jiff::civil::date(2026, 11, 22)));
    let (status, _, body) = read(Failure::from(refusal).openai()).await;
    assert_eq!(status, 422);
    assert_eq!(body["error"]["param"], "gallerist.max_cost_usd");
    assert_eq!(body["error"]["gallerist"]["cheapest_usd"], "0.0000000020");
    assert_eq!(body["error"]["gallerist"]["cheapest_confidence"], "derived");
    assert_eq!(body["error"]["gallerist"]["cheapest_as_of"], "2026-11-22");
    assert_eq!(body["error"]["gallerist"]["excluded"][0]["offer"], "bfl/a");
    assert_eq!(body["error"]["gallerist"]["excluded"][0]["code"], "over_max_cost");
}

/// Of the cap of a project.
fn breach() -> Breach {
    Breach {
        budget: None,
        name: String::new(),
        reach: "in all for project shop".to_owned(),
        subject: String::new(),
        unit: BudgetUnit::Usd,
        limit: 100,
        settled: 60,
        held: 20,
        disputed: 5,
        doubtful: 7,
        asked: 40,
        project: Some("shop".parse().unwrap()),
        window_start: None,
        resets_at: None,
        about_offers: false,
        named_by_clients: false,
    }
}

#[tokio::test]
async fn a_cap_that_would_be_passed_is_told_in_figures() {
    let mut refusal = Refusal::new(RefusalKind::BudgetExceeded, "a cap would be passed");
    refusal.breach = Some(Box::new(breach()));
    let offer = OfferId::new("bfl", "a");
    let trust = Some((Confidence::ThirdParty, jiff::civil::date(2026, 11, 22)));
    let quality = Some("low".to_owned());
    refusal.asked_trust = trust;
    refusal.fitting = Some(Box::new(Fitting { offer, n: 1, maximum: Ticks::new(15), trust, quality }));
    let (status, _, body) = read(Failure::from(refusal).openai()).await;
    assert_eq!(status, 402);
    let expected = json!({"id": null, "name": "", "budget": "0.00000001 USD in all for project shop",
        "unit": "usd", "limit": "0.0000000100", "settled": "0.0000000060", "held": "0.0000000020",
        "disputed": "0.0000000005", "doubtful_usd": "0.0000000007", "left": "0.0000000015", "asked": "0.0000000040",
        "asked_confidence": "third_party", "asked_as_of": "2026-11-22", "resets_at": null});
    let fitting = json!({"offer": "bfl/a", "n": 1, "max_usd": "0.0000000015",
        "confidence": "third_party", "as_of": "2026-11-22", "quality": "low"});
    assert_eq!(body["error"]["gallerist"]["cheapest_fitting"], fitting);
    assert_eq!(body["error"]["gallerist"]["budget"], expected);
}

#[tokio::test]
async fn a_cap_that_projects_share_is_told_without_the_sums_of_the_others() {
    let breach = Breach {
        budget: Some("019ab3f2-0000-7000-8000-000000000000".parse().unwrap()),
        name: "house".to_owned(),
        reach: "per day for everything".to_owned(),
        project: None,
        resets_at: Some("2026-12-01T00:00:00Z".parse().unwrap()),
        ..breach()
    };
    let words = "the budget \"house\" per day for everything has 0.0000000015 USD left, and this request could take \
                 0.000000004 USD";
    assert_eq!(breach.to_string(), words);
    let mut refusal = Refusal::new(RefusalKind::BudgetExceeded, "a cap would be passed");
    refusal.breach = Some(Box::new(breach));
    let (_, _, body) = read(Failure::from(refusal).openai()).await;
    let expected = json!({"id": "019ab3f2-0000-7000-8000-000000000000", "name": "house",
        "budget": "per day for everything", "unit": "usd", "left": "0.0000000015", "asked": "0.0000000040",
        "resets_at": "2026-12-01T00:00:00Z"});
    assert_eq!(body["error"]["gallerist"]["budget"], expected);
}

#[tokio::test]
async fn a_blocked_prompt_says_at_which_stage() {
    let mut refusal = Refusal::new(RefusalKind::ModerationBlocked, "refused");
    refusal.attempts = vec![attempt(FaultKind::ModerationOutput, 0, false)];
    let (_, _, body) = read(Failure::from(refusal).openai()).await;
    assert_eq!(body["error"]["type"], "image_generation_user_error");
    assert_eq!(body["error"]["moderation_details"], json!({"moderation_stage": "output", "categories": []}));
}

#[tokio::test]
async fn faults_of_parameters_are_joined_and_listed() {
    let faults = crate::wire::parse_generation(br#"{"prompt":"x","n":0,"what":1}"#).unwrap_err();
    let (status, _, body) = read(Failure::from(faults.clone()).openai()).await;
    assert_eq!(status, 400);
    assert_eq!(body["error"]["param"], "n");
    assert_eq!(body["error"]["code"], "integer_below_min_value");
    assert_eq!(body["error"]["type"], "invalid_request_error");
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("n must be") && message.contains("\"what\""), "{message}");
    assert_eq!(body["error"]["gallerist"]["faults"][1]["param"], "what");

    let (status, headers, body) = read(Failure::from(faults).problem()).await;
    assert_eq!(status, 400);
    assert_eq!(headers.get("content-type").unwrap(), "application/problem+json");
    assert_eq!(body["title"], "Bad Request");
    assert_eq!(body["parameter"], "n");
    assert_eq!(body["detail"], message);
}

#[test]
fn store_errors_do_not_tell_what_is_inside() {
    let path = std::path::PathBuf::from("/somewhere/secret");
    let failure = Failure::from(StoreError::Locked(path));
    assert_eq!(failure.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!failure.message.contains("secret"));
    assert_eq!(Failure::from(StoreError::UnknownKey("k".into())).status, StatusCode::NOT_FOUND);
    assert_eq!(Failure::from(StoreError::Exists("key k".into())).status, StatusCode::CONFLICT);
}
