use crate::house::House;
use gallerist_domain::Ticks;
use serde_json::{Value, json};

fn usd(value: &Value) -> Ticks {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_that_would_expire_are_used_first_and_the_books_say_what_they_cost() {
    let house = House::open().await;
    let ask = json!({"model": "auto", "prompt": "a heron", "size": "1024x1024"});
    let before = house.call("POST", "/v1/quotes", &ask).await.json();
    assert_ne!(before["offers"][0]["provider"], "bfl");

    // 1,000 credits for 9 dollars; nothing was charged there yet, so all of it would expire.
    let wish = json!({"provider": "bfl", "credits": 1000, "price_usd": "9", "expires_at": "2099-01-01"});
    let lot = house.admin("POST", "/v1/credits", &wish).await;
    assert_eq!(lot.status, 201, "{}", String::from_utf8_lossy(&lot.body));
    let lot = lot.json();
    assert_eq!(
        (&lot["currency"], &lot["credits"], &lot["remaining"]),
        (&json!("credit"), &json!("1000"), &json!("1000"))
    );
    assert_eq!(
        (usd(&lot["cost_usd"]), usd(&lot["list_usd"])),
        ("9".parse().unwrap(), "0.01".parse().unwrap())
    );

    let after = house.call("POST", "/v1/quotes", &ask).await.json();
    let first = &after["offers"][0];
    assert_eq!(first["provider"], "bfl");
    assert_eq!(usd(&first["routed_usd"]), Ticks::ZERO);
    assert!(first["routing"].as_str().unwrap().contains("credits expire on 2099-01-01 unused"), "{first}");
    // Its price is what it was.
    let same =
        before["offers"].as_array().unwrap().iter().find(|offer| offer["offer"] == first["offer"]).unwrap();
    assert_eq!((&same["expected_usd"], &same["max_usd"]), (&first["expected_usd"], &first["max_usd"]));
    assert!(same.get("routing").is_none());

    let made = house.generate(&ask).await;
    assert_eq!((made.status, made.header("x-gallerist-provider")), (200, Some("bfl")));
    let charged = usd(&made.json()["gallerist"]["cost"]["charged_usd"]);
    assert_eq!(charged, Ticks::new(house.fakes.billed_ticks()));
    let request = made.header("x-gallerist-request-id").unwrap().to_owned();
    let detail = house.get(&format!("/v1/requests/{request}")).await.json();
    assert_eq!(detail["plan"]["offers"][0]["routed_usd"], json!(Ticks::ZERO));
    assert_eq!(detail["entries"].as_array().unwrap().last().unwrap()["kind"], "consume");

    // 0.009 for each credit that counts 0.01.
    let usage = house.get("/v1/usage").await.json();
    assert_eq!(usd(&usage["totals"]["charged_usd"]), charged);
    assert_eq!(usd(&usage["totals"]["credits_covered_usd"]), charged);
    assert_eq!(usd(&usage["totals"]["credits_cost_usd"]), charged.scaled(9, 10).unwrap());
    assert_eq!(usd(&usage["totals"]["expired_usd"]), Ticks::ZERO);

    let forecast = house.admin("GET", "/v1/credits/forecast", &Value::Null).await.json();
    let bfl = &forecast["providers"][0];
    assert_eq!(
        (&bfl["provider"], usd(&bfl["charged_usd"]), &bfl["days"]),
        (&json!("bfl"), charged, &json!(1))
    );
    let lots = house.admin("GET", "/v1/credits", &Value::Null).await.json();
    assert_eq!(usd(&lots["data"][0]["covered_usd"]), charged);
    house.close().await;
}
