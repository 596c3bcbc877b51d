//! Several pictures: one call each where a provider makes one per call, and what happens when some fail.

use super::{ask, files, usd};
use crate::house::{House, incoming};
use gallerist_domain::{ProjectId, Ticks};
use gallerist_store::{AttemptStatus, RequestStatus};
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn four_pictures_of_a_one_per_call_provider_are_four_attempts() {
    let house = House::open(31).await;
    for seed in [None, Some(7)] {
        let before = house.billed("bfl");
        let mut request = ask("bfl/flux-2-pro");
        request.n = 4;
        request.seed = seed;
        let answer = house.engine.generate(incoming(request)).await.expect("all four are made");
        assert_eq!(answer.meta.attempts, 4);
        assert_eq!(answer.meta.missing, None);
        assert_eq!(answer.meta.cost.charged_usd, usd("0.12"));
        assert_eq!(Ticks::new(house.billed("bfl") - before), usd("0.12"));
        assert_eq!(answer.meta.cost.lines.iter().map(|line| line.amount_usd).sum::<Ticks>(), usd("0.12"));
        let distinct: BTreeSet<_> = files(&answer).into_iter().collect();
        assert_eq!(distinct.len(), 4, "four different pictures (seed {seed:?})");
        let detail = house.settled().await;
        let numbers: Vec<_> = detail.attempts.iter().map(|attempt| attempt.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(detail.request.images_delivered, 4);
        assert_eq!(detail.request.charged, usd("0.12"));
    }
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_fail_are_made_by_another_host_of_the_same_model() {
    let house = House::open(32).await;
    house.faults("bfl", &json!([{"fault": "429", "count": 2}]));
    let mut request = ask("flux-1-dev");
    request.n = 4;
    request.max_cost = Some(usd("0.2"));
    let answer = house.engine.generate(incoming(request)).await.expect("two hosts make four");
    assert_eq!((answer.images.len(), answer.meta.attempts), (4, 5));
    assert_eq!(answer.meta.missing, None);
    assert_eq!(answer.meta.cost.charged_usd, usd("0.15"));
    let attempts = house.settled().await.attempts;
    let at = |provider: &str, status| {
        attempts.iter().filter(|a| a.offer.provider == provider && a.status == status).count()
    };
    assert_eq!((at("bfl", AttemptStatus::Settled), at("bfl", AttemptStatus::Released)), (2, 2));
    assert_eq!(at("fal", AttemptStatus::Settled), 1, "one call makes up to four");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_host_makes_is_missing_and_said() {
    let house = House::open(33).await;
    house.faults("bfl", &json!([{"fault": "429", "count": 1}]));
    let mut request = ask("bfl/flux-2-pro");
    request.n = 3;
    let answer = house.engine.generate(incoming(request)).await.expect("two are there");
    assert_eq!(answer.images.len(), 2);
    let missing = answer.meta.missing.as_ref().expect("one is missing");
    assert_eq!(missing.count, 1);
    assert!(!missing.reason.is_empty());
    assert_eq!(answer.meta.cost.charged_usd, usd("0.06"));
    house.engine.shut_down(10_000).await;
    assert_eq!(house.settled().await.request.status, RequestStatus::Partial);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_that_are_paid_are_delivered_though_the_cap_forbids_the_rest() {
    let house = House::open(34).await;
    house
        .store
        .set_cap(ProjectId::default_project(), Some(usd("0.13")), jiff::Timestamp::now())
        .await
        .expect("it is set");
    house.faults("fal", &json!([{"fault": "reset_after", "count": 2}]));
    let mut request = ask("flux-2-pro");
    request.n = 4;
    let answer = house.engine.generate(incoming(request)).await.expect("two were made and paid");
    assert_eq!(answer.images.len(), 2);
    assert_eq!(answer.meta.cost.charged_usd, usd("0.06"));
    assert_eq!(answer.meta.cost.disputed_usd, Some(usd("0.06")));
    let missing = answer.meta.missing.as_ref().expect("two are missing");
    assert_eq!(missing.count, 2);
    assert!(missing.reason.contains("The cap of 0.13 USD in all"), "{}", missing.reason);
    assert_eq!(house.balance().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_withholds_one_of_several_does_not_send_it_elsewhere() {
    let house = House::open(35).await;
    house.faults("fal", &json!([{"fault": "moderation", "count": 1}]));
    let mut request = ask("flux-2-pro");
    request.n = 3;
    let answer = house.engine.generate(incoming(request)).await.expect("two are there");
    assert_eq!((answer.images.len(), answer.meta.attempts), (2, 3));
    assert_eq!(answer.meta.missing.as_ref().map(|missing| missing.count), Some(1));
    house.balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_of_one_call_are_one_attempt() {
    let house = House::open(36).await;
    let mut request = ask("openai/gpt-image-2");
    request.n = 3;
    let answer = house.engine.generate(incoming(request)).await.expect("three in one call");
    assert_eq!((answer.images.len(), answer.meta.attempts), (3, 1));
    assert_eq!(answer.meta.cost.charged_usd.get(), house.billed("openai"));
    let distinct: BTreeSet<_> = files(&answer).into_iter().collect();
    assert_eq!(distinct.len(), 3);
    assert_eq!(house.balance().await, 0);
}
