//! Where a fault leads: to the next offer or to the end, and what was paid on the way.

use super::{ask, ask_at, usd};
use crate::house::{House, incoming};
use gallerist_domain::{ImageRequest, Objective, QualityClass};
use gallerist_engine::RefusalKind;
use gallerist_store::AttemptStatus;
use gallerist_store::AttemptStatus::{Disputed, Released, Settled};
use serde_json::json;

/// A request whose first offer is at `kind`, with another provider behind it.
fn first_at(kind: &str) -> ImageRequest {
    let other = match kind {
        "openai" => "bfl",
        "google" => "stability",
        "automatic1111" => "openai",
        _ => "google",
    };
    let mut request = ask_at(&[kind, other]);
    match kind {
        "automatic1111" => request.class = Some(QualityClass::Draft),
        "stability" => request.objective = Some(Objective::Latency),
        _ => {}
    }
    request
}

/// The offer that must serve after the first ended so: a provider that may have charged is asked no more.
fn next<'a>(order: &'a [String], first: AttemptStatus) -> &'a str {
    let provider = |offer: &'a String| offer.split('/').next();
    let elsewhere = |offer: &&'a String| first == Released || provider(offer) != provider(&order[0]);
    order.iter().skip(1).find(elsewhere).expect("there is another")
}

/// Meets the first offer with one fault; the second must serve. Returns how the first attempt ended.
async fn second_serves(house: &House, kind: &str, fault: serde_json::Value) -> AttemptStatus {
    let request = first_at(kind);
    let order = house.order(&request);
    assert!(order[0].starts_with(kind), "{order:?}");
    house.faults(kind, &json!([fault]));
    let answer = house.engine.generate(incoming(request)).await;
    house.faults(kind, &json!([]));
    let answer = answer.unwrap_or_else(|refusal| panic!("{kind}, {fault}: {refusal:?}"));
    assert_eq!(answer.meta.attempts, 2);
    let detail = house.settled().await;
    assert_eq!(detail.attempts.len(), 2);
    let first = &detail.attempts[0];
    assert_eq!(first.offer.to_string(), order[0]);
    assert_eq!(answer.meta.offer, next(&order, first.status), "{kind}, {fault}");
    assert!(first.fault_json.is_some());
    assert_eq!(detail.attempts[1].status, Settled);
    let held = answer.meta.cost.disputed_usd.unwrap_or_default();
    assert_eq!(held, if first.status == Disputed { first.reserved } else { usd("0") });
    assert_eq!(answer.meta.cost.charged_usd, first.charged + detail.attempts[1].charged);
    first.status
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_offer_serves_after_a_fault_and_the_books_say_what_the_first_cost() {
    let table: &[(&str, &str, AttemptStatus)] = &[
        ("openai", "429", Released),
        ("google", "429", Released),
        ("bfl", "429", Released),
        ("stability", "429", Released),
        ("fal", "429", Released),
        // Whether a failed call is charged is the provider's word; where there is none, nobody knows.
        ("openai", "500", Disputed),
        ("google", "500", Released),
        ("bfl", "500", Disputed),
        ("stability", "500", Released),
        ("fal", "500", Released),
        ("automatic1111", "500", Disputed),
        // A connection that breaks after sending proves nothing.
        ("openai", "reset_before", Disputed),
        ("google", "reset_before", Disputed),
        ("bfl", "reset_before", Disputed),
        ("stability", "reset_before", Disputed),
        ("fal", "reset_before", Disputed),
        ("automatic1111", "reset_before", Disputed),
        ("openai", "reset_after", Disputed),
        ("bfl", "reset_after", Disputed),
        ("stability", "truncated", Disputed),
        ("google", "malformed", Disputed),
        // The picture was made and is charged, but it is of no use.
        ("openai", "wrong_size", Settled),
        ("google", "wrong_size", Settled),
        ("bfl", "wrong_size", Settled),
        ("stability", "blank", Settled),
        ("fal", "blank", Settled),
        ("openai", "blank", Settled),
    ];
    let mut rows = tokio::task::JoinSet::new();
    for (kind, fault, expected) in table {
        rows.spawn(async move {
            let house = House::open(11).await;
            let status = second_serves(&house, kind, json!({"fault": fault, "count": 1})).await;
            house.balance().await;
            (status != *expected).then(|| format!("{kind}, {fault}: {status}, not {expected}"))
        });
    }
    let rows = rows.join_all().await;
    let wrong: Vec<_> = rows.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_costs_nothing() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let house = House::with(12, |settings| {
        let fal = settings.providers.iter_mut().find(|provider| provider.name == "fal").expect("it is there");
        fal.base_url = format!("http://{closed}");
    })
    .await;
    let request = ask("flux-2-pro");
    assert_eq!(house.order(&request), ["fal/flux-2-pro", "bfl/flux-2-pro"]);
    let answer = house.engine.generate(incoming(request)).await.expect("the other host serves");
    assert_eq!(answer.meta.offer, "bfl/flux-2-pro");
    assert_eq!(answer.meta.cost.disputed_usd, None);
    assert_eq!(house.settled().await.attempts[0].status, Released);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_by_a_filter_is_never_tried_elsewhere() {
    let table: &[(&str, &str, AttemptStatus)] = &[
        ("openai", "moderation", Released),
        ("openai", "moderation_output", Disputed),
        ("google", "image_safety", Settled),
        ("bfl", "content_moderated", Settled),
        ("bfl", "moderation", Released),
        ("stability", "moderation", Released),
        ("stability", "content_filtered", Disputed),
    ];
    let house = House::open(13).await;
    let mut wrong = Vec::new();
    for (kind, fault, expected) in table {
        house.faults(kind, &json!([{"fault": fault, "count": 1}]));
        let before = house.attempts().await.len();
        let refusal = house.engine.generate(incoming(first_at(kind))).await.expect_err("it is refused");
        house.faults(kind, &json!([]));
        assert_eq!(refusal.kind, RefusalKind::ModerationBlocked, "{kind}, {fault}: {refusal:?}");
        assert_eq!(house.attempts().await.len(), before + 1, "{kind}, {fault}: one attempt");
        let attempt = house.settled().await.attempts.remove(0);
        assert_eq!(refusal.charged, attempt.charged);
        assert_eq!(refusal.may_have_charged(), attempt.status != Released);
        if attempt.status != *expected {
            wrong.push(format!("{kind}, {fault}: {}, not {expected}", attempt.status));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    house.balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moderated_prompt_goes_elsewhere_only_where_that_is_switched_on() {
    let house = House::with(14, |settings| settings.moderation_failover = true).await;
    let status = second_serves(&house, "stability", json!({"fault": "moderation", "count": 1})).await;
    assert_eq!(status, Released);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_the_prompt_decide_nothing() {
    let house = House::open(15).await;
    house.faults("bfl", &json!([{"fault": "429", "count": 1}]));
    let mut request = ask("flux-1.1-pro");
    request.prompt = "moderation_blocked content policy safety 401 invalid_api_key timeout".to_owned();
    let answer = house.engine.generate(incoming(request)).await.expect("the other host serves");
    assert_eq!((answer.meta.offer.as_str(), answer.meta.attempts), ("fal/flux-1.1-pro", 2));
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_cannot_be_fetched_is_fetched_again_and_charged_once() {
    let house = House::open(16).await;
    house.faults("bfl", &json!([{"fault": "truncated", "operation": "download", "count": 2}]));
    let answer = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect("the third fetch works");
    assert_eq!(answer.meta.cost.charged_usd, usd("0.03"));
    assert_eq!(answer.meta.attempts, 1);
    house.faults("bfl", &json!([{"fault": "sample_expires", "ms": 0}]));
    let refusal =
        house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect_err("the picture is gone");
    assert_eq!(refusal.kind, RefusalKind::UpstreamFailed);
    assert_eq!(refusal.charged, usd("0.03"), "it was made, so it was charged");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_host_that_is_down_for_a_moment_costs_no_picture() {
    let house = House::open(19).await;
    house.faults("bfl", &json!([{"fault": "500", "operation": "download", "count": 4}]));
    let answer = house.engine.generate(incoming(ask("flux-1-dev"))).await.expect("the fifth fetch works");
    assert_eq!((answer.meta.offer.as_str(), answer.meta.attempts), ("bfl/flux-1-dev", 1));
    assert_eq!(house.billed("fal"), 0);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_offer_failing_says_what_each_said_and_what_was_charged() {
    let house = House::open(17).await;
    house.faults("fal", &json!([{"fault": "500"}]));
    house.faults("bfl", &json!([{"fault": "blank"}]));
    let refusal = house.engine.generate(incoming(ask("flux-2-pro"))).await.expect_err("both fail");
    assert_eq!(refusal.kind, RefusalKind::UpstreamFailed);
    let offers: Vec<_> = refusal.attempts.iter().map(|failed| failed.offer.as_str()).collect();
    assert_eq!(offers, ["fal/flux-2-pro", "bfl/flux-2-pro"]);
    assert!(refusal.message.contains("fal/flux-2-pro") && refusal.message.contains("bfl/flux-2-pro"));
    assert_eq!((refusal.charged, refusal.disputed), (usd("0.03"), usd("0")));
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_everywhere_are_told_as_a_limit_with_a_time_to_wait() {
    let house = House::open(18).await;
    house.faults("fal", &json!([{"fault": "429", "retry_after_s": 9}]));
    house.faults("bfl", &json!([{"fault": "429", "retry_after_s": 4}]));
    let refusal = house.engine.generate(incoming(ask("flux-2-pro"))).await.expect_err("both are busy");
    assert_eq!(refusal.kind, RefusalKind::RateLimited);
    assert_eq!(refusal.retry_after_ms, Some(4_000));
    assert!(!refusal.may_have_charged());
    assert_eq!(house.balance().await, 0);
}
