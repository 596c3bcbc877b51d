//! What repetitions are told, and that money which they tell again is counted once.

use crate::client::{self, Reply};
use crate::house::House;
use serde_json::{Value, json};
use std::time::Duration;

async fn keyed(house: &House, key: &str, body: &Value) -> Reply {
    let (path, body) = ("/v1/images/generations", body.to_string());
    client::call(house.address, "POST", path, Some(&house.key), &[("idempotency-key", key)], body.as_bytes())
        .await
}

async fn charged_metric(house: &House) -> String {
    let metrics = client::call(house.address, "GET", "/metrics", None, &[], b"").await;
    let text = String::from_utf8(metrics.body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("gallerist_charged_usd_total "));
    line.unwrap().to_owned()
}

async fn charged_in_the_books(house: &House) -> String {
    let usage = house.get("/v1/usage?from=2020-01-01").await.json();
    usage["totals"]["charged_usd"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charged_failure_that_is_told_three_times_is_counted_once() {
    let house = House::open().await;
    house.faults("bfl", &json!([{"fault": "blank", "count": 1}]));
    let body = json!({"model": "bfl/flux-2-pro", "prompt": "x", "size": "1024x1024"});
    let mut errors = Vec::new();
    for _ in 0..3 {
        errors.push(keyed(&house, "twice", &body).await.json()["error"]["gallerist"].clone());
    }
    assert_eq!(errors[0]["charged_usd"], "0.0300000000");
    assert_eq!(errors[2]["charged_usd"], errors[0]["charged_usd"]);
    assert_eq!((errors[0].get("cached"), &errors[2]["cached"]), (None, &json!(true)));
    assert_eq!(charged_in_the_books(&house).await, "0.0300000000");
    assert_eq!(charged_metric(&house).await, "0.0300000000");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_that_left_has_cost_is_counted() {
    let house = House::open().await;
    house.faults("bfl", &json!([{"fault": "latency", "ms": 400}]));
    let body = json!({"model": "bfl/flux-2-pro", "prompt": "x", "size": "1024x1024"});
    let gone = tokio::time::timeout(Duration::from_millis(150), house.generate(&body)).await;
    assert!(gone.is_err());
    for _ in 0..100 {
        if house.get("/v1/requests?limit=1").await.json()["data"][0]["status"] == "succeeded" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(charged_in_the_books(&house).await, "0.0300000000");
    assert_eq!(charged_metric(&house).await, "0.0300000000");
    house.close().await;
}
