use crate::client;
use crate::house::House;
use gallerist_domain::Ticks;
use serde_json::{Value, json};

/// Buys a picture whose connection breaks behind the bill; gives the path of its only attempt.
async fn disputed(house: &House, prompt: &str) -> String {
    house.faults("openai", &json!([{"fault": "reset_after", "probability": 1.0}]));
    let body = json!({"model": "openai/gpt-image-2", "prompt": prompt, "size": "1024x1024"});
    let reply = house.generate(&body).await;
    assert!(reply.status >= 500, "{}", reply.status);
    format!("/v1/requests/{}/attempts/1/resolve", reply.header("x-request-id").unwrap())
}

async fn totals(house: &House) -> [Ticks; 3] {
    let project = house.admin("GET", "/v1/projects/default", &Value::Null).await.json();
    ["settled_usd", "held_usd", "disputed_usd"].map(|name| project[name].as_str().unwrap().parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_ends_with_what_the_provider_billed() {
    let house = House::open().await;
    let path = disputed(&house, "x").await;
    let billed = Ticks::new(house.fakes.billed_ticks());
    let [settled, held, contested] = totals(&house).await;
    assert!(settled.is_zero() && held.is_zero() && contested >= billed && !billed.is_zero());

    let resolved = house.admin("POST", &path, &json!({"charged_usd": billed.to_string()})).await;
    assert_eq!(resolved.status, 200, "{}", String::from_utf8_lossy(&resolved.body));
    let resolved = resolved.json();
    let attempt = &resolved["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["basis"]), (&json!("settled"), &json!("resolved_by_person")));
    assert_eq!(resolved["charged_usd"], json!(billed));
    assert_eq!(resolved["disputed_usd"], json!(Ticks::ZERO));
    assert_eq!(resolved["entries"].as_array().unwrap().last().unwrap()["kind"], "resolve");
    assert_eq!(totals(&house).await, [billed, Ticks::ZERO, Ticks::ZERO]);

    // A figure is booked once.
    let again = house.admin("POST", &path, &json!({"charged_usd": billed.to_string()})).await;
    assert_eq!((again.status, again.header("content-type")), (409, Some("application/problem+json")));
    assert_eq!(again.json()["code"], "not_disputed");
    assert_eq!(totals(&house).await, [billed, Ticks::ZERO, Ticks::ZERO]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_billed_gives_everything_back_and_a_number_is_read_from_its_digits() {
    let house = House::open().await;
    let released = disputed(&house, "one").await;
    let settled = disputed(&house, "two").await;
    let answer = house.admin("POST", &released, &json!({"charged_usd": 0})).await.json();
    assert_eq!(answer["attempts"][0]["status"], "released");
    let admin = Some(house.admin.as_str());
    // A float could not hold it.
    let body = b"{\"charged_usd\": 0.0412345678}";
    let answer = client::call(house.address, "POST", &settled, admin, &[], body).await.json();
    assert_eq!(answer["charged_usd"], "0.0412345678");
    assert_eq!(totals(&house).await, ["0.0412345678".parse().unwrap(), Ticks::ZERO, Ticks::ZERO]);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolution_that_makes_no_sense_changes_nothing() {
    let house = House::open().await;
    let path = disputed(&house, "x").await;
    let before = totals(&house).await;
    let right = json!({"charged_usd": "0.01"});
    for charged in [json!("-1"), json!("x"), json!("1e99"), json!(null), json!([1]), json!("99999999999")] {
        let reply = house.admin("POST", &path, &json!({"charged_usd": charged})).await;
        assert_eq!((reply.status, &reply.json()["parameter"]), (400, &json!("charged_usd")), "{charged}");
    }
    for body in [json!({}), json!({"charged_usd": "0.01", "basis": "computed"}), json!(["0.01"])] {
        assert_eq!(house.admin("POST", &path, &body).await.status, 400, "{body}");
    }
    let elsewhere = path.replace("attempts/1", "attempts/2");
    assert_eq!(house.admin("POST", &elsewhere, &right).await.status, 404);
    let unknown = "/v1/requests/019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b/attempts/1/resolve";
    assert_eq!(house.admin("POST", unknown, &right).await.status, 404);
    assert_eq!(house.call("POST", &path, &right).await.status, 403, "only the admin key");
    let reply = house.admin("GET", &path, &Value::Null).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    assert_eq!(totals(&house).await, before);
    house.close().await;
}
