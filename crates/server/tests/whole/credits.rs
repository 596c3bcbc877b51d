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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_provider_says_is_left_stands_beside_the_books_and_is_booked_when_a_person_says_so() {
    let house = House::open().await;
    // The stand-in's account was opened with a million credits.
    let wish = json!({"provider": "bfl", "credits": 1_000_000, "price_usd": "9000"});
    assert_eq!(house.admin("POST", "/v1/credits", &wish).await.status, 201);
    let ask = |wish: Value| {
        let house = &house;
        async move {
            let reply = house.admin("POST", "/v1/credits/balances", &wish).await;
            (reply.status, reply.json())
        }
    };
    let (status, told) = ask(json!({})).await;
    assert_eq!(status, 200, "{told}");
    let of = |told: &Value, provider: &str| {
        let data = told["data"].as_array().expect("a list").clone();
        data.into_iter().find(|one| one["provider"] == provider).expect("it is asked")
    };
    let bfl = of(&told, "bfl");
    assert_eq!(
        (&bfl["told"], &bfl["booked"], &bfl["difference"], &bfl["unit"]),
        (&json!("1000000"), &json!("1000000"), &json!("0"), &json!("credit"))
    );
    let stability = of(&told, "stability");
    assert_eq!((&stability["told"], &stability["booked"]), (&json!("1000000"), &Value::Null));
    assert!(of(&told, "fal")["fault"].as_str().expect("it is refused").contains("admin keys"));
    assert_eq!(told["data"].as_array().expect("a list").len(), 3, "the others have no balance");

    // Through the gateway both go down alike.
    let made = house.generate(&json!({"model": "bfl/flux-2-pro", "prompt": "a kite"})).await;
    assert_eq!(made.status, 200);
    house.store.flush().await.unwrap();
    let same = of(&ask(json!({"provider": "bfl"})).await.1, "bfl");
    assert_eq!((&same["told"], &same["difference"]), (&json!("999997"), &json!("0")), "{same}");

    // 150 credits are used elsewhere.
    house.fakes.get("bfl").unwrap().ctx.bill.charge("elsewhere", "submit", "flux-2-pro", 15_000_000_000);
    let less = of(&ask(json!({"provider": "bfl"})).await.1, "bfl");
    assert_eq!((&less["difference"], &less["difference_usd"]), (&json!("-150"), &json!("-1.5000000000")));
    ask(json!({"provider": "bfl"})).await;
    let listed = house.admin("GET", "/v1/credits", &Value::Null).await.json();
    assert_eq!(listed["balances"].as_array().expect("a list").len(), 3);
    assert_eq!(listed["data"][0]["remaining"], "999997", "nothing is booked by itself");
    let alerts = house.admin("GET", "/v1/alerts?kind=credits.drift", &Value::Null).await.json();
    let alerts = alerts["data"].as_array().expect("a list");
    assert_eq!(alerts.len(), 1, "once: {alerts:?}");
    assert_eq!(alerts[0]["fact"]["difference_usd"], "-1.5000000000");

    let (status, refused) = ask(json!({"apply": true})).await;
    assert_eq!((status, &refused["code"]), (400, &json!("invalid_value")), "{refused}");
    let (status, applied) = ask(json!({"provider": "bfl", "apply": true})).await;
    assert_eq!((status, &of(&applied, "bfl")["difference"]), (200, &json!("0")), "{applied}");
    let lots = house.admin("GET", "/v1/credits", &Value::Null).await.json();
    assert_eq!(
        (&lots["data"][0]["remaining"], &lots["data"][0]["outside"]),
        (&json!("999847"), &json!("150"))
    );
    let audit = house.admin("GET", "/v1/audit", &Value::Null).await.json();
    assert!(audit.to_string().contains("as bfl said on "), "{audit}");
    // More than was ever bought is a purchase that nobody entered.
    house.fakes.get("bfl").unwrap().ctx.bill.charge("refund", "submit", "flux-2-pro", -100_000_000_000);
    // The alert and the command say the same.
    let more = of(&ask(json!({"provider": "bfl"})).await.1, "bfl");
    assert_eq!((&more["entered"], &more["purchase_missing"]), (&json!("1000000"), &json!(true)), "{more}");
    let alerts = house.admin("GET", "/v1/alerts?kind=credits.drift", &Value::Null).await.json();
    let told = alerts["data"][0]["message"].as_str().expect("a sentence");
    assert!(told.contains("enter the purchase that is missing") && !told.contains("--apply"), "{told}");
    let (status, refused) = ask(json!({"provider": "bfl", "apply": true})).await;
    assert!(status == 400 && refused.to_string().contains("enter the purchase that is missing"), "{refused}");
    let (status, _) = ask(json!({"provider": "openai"})).await;
    assert_eq!(status, 400, "it has no balance");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistaken_purchase_names_its_field_and_one_that_was_entered_is_taken_back_unless_it_was_used() {
    let house = House::open().await;
    let of = |more: Value| {
        let mut wish = json!({"provider": "bfl", "credits": 1000, "price_usd": "9"});
        wish.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        wish
    };
    for (wish, parameter, words) in [
        (json!({"credits": -5}), "credits", "credits must be more than 0 and at most 1000000000."),
        (json!({"credits": "0.0000001"}), "credits", "credits must have at most six digits"),
        (json!({"price_usd": "-1"}), "price_usd", "price_usd must be 0 to 1000000"),
        (json!({"expires_at": "2001-01-01"}), "expires_at", "expires_at must be after purchased_at."),
        (json!({"purchased_at": "2099-01-01"}), "purchased_at", "must not be in the future"),
        (json!({"provider": "bfll"}), "provider", "the nearest: bfl"),
    ] {
        let refused = house.admin("POST", "/v1/credits", &of(wish)).await.json();
        assert_eq!(
            (&refused["status"], &refused["parameter"]),
            (&json!(400), &json!(parameter)),
            "{refused}"
        );
        assert!(refused["detail"].as_str().unwrap().contains(words), "{refused}");
    }
    for (wish, parameter, words) in [
        (json!({"provider": "bfll", "use": 5}), "provider", "the nearest: bfl"),
        (json!({"provider": "bfl", "use": 5}), "use", "no credits of bfl stand in the books"),
    ] {
        let refused = house.admin("POST", "/v1/credits/adjustments", &wish).await.json();
        assert_eq!(
            (&refused["status"], &refused["parameter"]),
            (&json!(400), &json!(parameter)),
            "{refused}"
        );
        assert!(refused["detail"].as_str().unwrap().contains(words), "{refused}");
    }
    // Clocks differ by a little.
    let soon = (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(2)).to_string();
    let slip = house.admin("POST", "/v1/credits", &of(json!({"purchased_at": soon}))).await;
    assert_eq!(slip.status, 201);
    let path = |lot: &Value| format!("/v1/credits/{}", lot["id"].as_str().unwrap());
    let slip = path(&slip.json());
    assert_eq!(house.call("DELETE", &slip, &Value::Null).await.status, 403);
    assert_eq!(house.admin("DELETE", &slip, &Value::Null).await.status, 204);
    assert_eq!(house.admin("DELETE", &slip, &Value::Null).await.status, 404);
    assert_eq!(house.admin("DELETE", "/v1/credits/x", &Value::Null).await.status, 404);
    assert_eq!(house.admin("GET", &slip, &Value::Null).await.status, 405);
    assert_eq!(house.admin("GET", "/v1/credits", &Value::Null).await.json()["data"], json!([]));
    let audit = house.admin("GET", "/v1/audit?action=credits.remove", &Value::Null).await.json();
    assert_eq!(audit["data"].as_array().unwrap().len(), 1, "{audit}");
    let used = house.admin("POST", "/v1/credits", &of(json!({}))).await.json();
    let some = json!({"provider": "bfl", "use": 1});
    assert_eq!(house.admin("POST", "/v1/credits/adjustments", &some).await.status, 201);
    let kept = house.admin("DELETE", &path(&used), &Value::Null).await;
    assert_eq!((kept.status, kept.json()["code"].as_str()), (409, Some("lot_used")));
    let none = json!({"provider": "bfl", "use": 0});
    let refused = house.admin("POST", "/v1/credits/adjustments", &none).await.json();
    assert_eq!(refused["detail"], "use must be more than 0 credits.");
    // What a credit counts is a figure of the catalogue, and as sure as its source.
    let forecast = house.admin("GET", "/v1/credits/forecast", &Value::Null).await.json();
    let bfl = &forecast["providers"][0];
    assert!(bfl["list_confidence"].is_string() && bfl["list_as_of"].is_string(), "{forecast}");
    house.close().await;
}
