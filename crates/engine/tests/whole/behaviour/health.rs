//! Offers that fail repeatedly rest, and a provider's wish to be left alone is honoured.

use super::{ask, usd};
use crate::house::{House, incoming};
use gallerist_domain::Grants;
use serde_json::json;
use std::time::Duration;

pub(super) fn resting(house: &House, model: &str) -> Vec<String> {
    let report = house.engine.quotes(&ask(model), Grants::ALL, None).expect("a known model");
    let resting = report.excluded.iter().filter(|excluded| excluded.code == "breaker_open");
    resting.map(|excluded| excluded.offer.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_that_keeps_failing_rests_and_comes_back() {
    let house = House::open(81).await;
    assert_eq!(house.order(&ask("flux-1.1-pro"))[0], "bfl/flux-1.1-pro");
    house.faults("bfl", &json!([{"fault": "429"}]));
    let mut attempts = Vec::new();
    // It fails five times, then rests; on a slow machine the rest may be over at once, and the next is longer.
    while attempts.last() != Some(&1) {
        let answer = house.engine.generate(incoming(ask("flux-1.1-pro"))).await.expect("the other serves");
        assert_eq!(answer.meta.offer, "fal/flux-1.1-pro");
        attempts.push(answer.meta.attempts);
        assert!(attempts.len() < 12, "it never rests");
    }
    assert!(attempts.len() > 5, "it rests too soon: {attempts:?}");
    house.faults("bfl", &json!([]));
    // Whoever asks for it alone still gets it.
    house.engine.generate(incoming(ask("bfl/flux-1.1-pro"))).await.expect("there is nobody else");
    assert_eq!(resting(&house, "flux-1.1-pro"), Vec::<String>::new());
    let answer = house.engine.generate(incoming(ask("flux-1.1-pro"))).await.expect("it is back");
    assert_eq!(answer.meta.attempts, 1);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_honoured() {
    let house = House::open(83).await;
    assert_eq!(house.order(&ask("flux-1.1-pro"))[0], "bfl/flux-1.1-pro");
    house.faults("bfl", &json!([{"fault": "429", "retry_after_s": 3, "count": 1}]));
    let answer = house.engine.generate(incoming(ask("flux-1.1-pro"))).await.expect("the other serves");
    assert_eq!(answer.meta.attempts, 2);
    assert_eq!(resting(&house, "flux-1.1-pro"), ["bfl/flux-1.1-pro"]);
    let answer = house.engine.generate(incoming(ask("flux-1.1-pro"))).await.expect("the other serves");
    assert_eq!((answer.meta.attempts, answer.meta.offer.as_str()), (1, "fal/flux-1.1-pro"));
    tokio::time::sleep(Duration::from_millis(3_050)).await;
    let answer = house.engine.generate(incoming(ask("flux-1.1-pro"))).await.expect("it is back");
    assert_eq!((answer.meta.attempts, answer.meta.offer.as_str()), (1, "bfl/flux-1.1-pro"));
    assert_eq!(answer.meta.cost.charged_usd, usd("0.04"));
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_or_a_bad_request_says_nothing_about_an_offer() {
    let house = House::open(84).await;
    house.faults("stability", &json!([{"fault": "moderation"}]));
    for _ in 0..7 {
        house.engine.generate(incoming(ask("stability/sd3.5-large"))).await.expect_err("it is refused");
    }
    assert_eq!(resting(&house, "auto"), Vec::<String>::new());
    assert_eq!(house.balance().await, 0);
}
