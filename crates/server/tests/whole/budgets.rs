use crate::client;
use crate::house::House;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_is_made_refuses_is_raised_and_removed() {
    let house = House::open().await;
    let wish = json!({
        "name": "daily", "limit_usd": "0.0001", "window": "day", "zone": "Europe/Vienna",
        "scope": {"project": "default", "user": "*"}, "thresholds_percent": [80]
    });
    let made = house.admin("POST", "/v1/budgets", &wish).await;
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    let made = made.json();
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(made["scope"], json!({"project": "default", "user": "*"}));
    assert_eq!((made["limit"].as_str(), made["mode"].as_str()), (Some("0.0001000000"), Some("hard")));
    let by = async |user: Option<&str>| {
        let body = json!({"model": "openai/gpt-image-2", "prompt": "x", "user": user});
        house.call("POST", "/v1/images/generations", &body).await
    };
    let refused = by(Some("ann")).await;
    assert_eq!(refused.status, 402);
    let error = refused.json();
    let told = &error["error"]["gallerist"]["budget"];
    assert_eq!((told["id"].as_str(), told["left"].as_str()), (Some(id.as_str()), Some("0.0001000000")));
    assert_eq!(told["subject"], "user=\"ann\"");
    assert!(told["resets_at"].is_string(), "{error}");
    assert!(told["asked_confidence"].is_string() && told["asked_as_of"].is_string(), "{error}");
    // How many tokens it takes is no word of the vendor's.
    let message = error["error"]["message"].as_str().unwrap();
    let doubt =
        format!("figure in doubt: {} price of", told["asked_confidence"].as_str().unwrap().replace('_', " "));
    assert!(message.contains(&doubt), "{message}");
    let dear = json!({"model": "openai/gpt-image-2", "prompt": "x", "gallerist": {"max_cost_usd": "0.0001"}});
    let refused = house.call("POST", "/v1/images/generations", &dear).await;
    assert_eq!(refused.status, 422);
    let error = refused.json()["error"].clone();
    let word = error["gallerist"]["cheapest_confidence"].as_str().unwrap().replace('_', " ");
    let told_in_words =
        format!("USD ({word} price of {}", error["gallerist"]["cheapest_as_of"].as_str().unwrap());
    assert!(error["message"].as_str().unwrap().contains(&told_in_words), "{error}");
    // Who names no end user is not limited by it.
    assert_eq!(by(None).await.status, 200);
    let path = format!("/v1/budgets/{id}");
    let raised = house.admin("PATCH", &path, &json!({"limit_usd": 1, "mode": "degrade"})).await.json();
    assert_eq!(
        (raised["limit"].as_str(), raised["share_percent"].as_u64()),
        (Some("1.0000000000"), Some(80))
    );
    assert_eq!(by(Some("ann")).await.status, 200);
    let shown = house.get(&path).await.json();
    assert_eq!(shown["counters_total"], 1);
    assert!(shown["counters"][0]["left"].as_str().unwrap() < "1.0000000000", "{shown}");
    assert_eq!(house.admin("DELETE", &path, &Value::Null).await.status, 204);
    assert_eq!(house.get(&path).await.status, 404);
    assert_eq!(house.get("/v1/budgets").await.json()["data"], json!([]));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_wish_names_its_field() {
    let house = House::open().await;
    let table = [
        (json!({}), "limit_usd"),
        (json!({"limit_usd": "1", "limit_images": 1}), "limit_images"),
        (json!({"limit_usd": "-1"}), "limit"),
        (json!({"limit_usd": "much"}), "limit_usd"),
        (json!({"limit_images": 5, "window": "year"}), "window"),
        (json!({"limit_images": 5, "zone": "Mars/Crater"}), "zone"),
        (json!({"limit_images": 5, "mode": "gentle"}), "mode"),
        (json!({"limit_images": 5, "mode": "hard", "share_percent": 80}), "share_percent"),
        (json!({"limit_images": 5, "share_percent": 0}), "share_percent"),
        (json!({"limit_images": 5, "mode": "degrade", "scope": {"provider": "fal"}}), "mode"),
        (json!({"limit_images": 5, "thresholds_percent": [80, 50]}), "thresholds_percent"),
        (json!({"limit_images": 5, "scope": {"project": "No Good"}}), "scope.project"),
        (json!({"limit_images": 5, "scope": {"tag": {"a": "1", "b": "2"}}}), "scope.tag"),
        (json!({"limit_images": 5, "scope": {"tag": {"no good": "1"}}}), "scope.tag"),
    ];
    for (wish, field) in table {
        let answer = house.admin("POST", "/v1/budgets", &wish).await;
        assert_eq!((answer.status, answer.json()["parameter"].as_str()), (400, Some(field)), "{wish}");
    }
    for wish in [json!({"limit_usd": "1", "colour": 1}), json!([1]), json!({"limit_images": "5"})] {
        assert_eq!(house.admin("POST", "/v1/budgets", &wish).await.status, 400, "{wish}");
    }
    assert_eq!(house.call("POST", "/v1/budgets", &json!({"limit_usd": "1"})).await.status, 403);
    assert_eq!(house.admin("PATCH", "/v1/budgets/7", &json!({})).await.status, 404);
    assert_eq!(house.admin("GET", "/v1/budgets", &Value::Null).await.json()["data"], json!([]));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_an_alias_counts_its_model_and_one_on_nothing_is_refused() {
    let house = House::open().await;
    let of = |scope: Value| json!({"limit_images": 1, "window": "day", "scope": scope});
    for (scope, near) in
        [(json!({"model": "gpt-image-3"}), "gpt-image-2"), (json!({"provider": "opnai"}), "openai")]
    {
        let refused = house.admin("POST", "/v1/budgets", &of(scope)).await;
        let told = refused.json().to_string();
        assert!(refused.status == 400 && told.contains(near), "{told}");
    }
    for scope in [json!({"project": "shpo"}), json!({"key": "k9"})] {
        assert_eq!(house.admin("POST", "/v1/budgets", &of(scope)).await.status, 404);
    }
    let made =
        house.admin("POST", "/v1/budgets", &of(json!({"model": "stable-image-erase-object"}))).await.json();
    assert_eq!(made["scope"]["model"], "stable-image-erase");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_sees_its_own_budgets_only() {
    let house = House::open().await;
    for project in ["default", "other"] {
        let _ = house.admin("POST", "/v1/projects", &json!({"id": project})).await;
        let wish = json!({"limit_images": 5, "scope": {"project": project}});
        assert_eq!(house.admin("POST", "/v1/budgets", &wish).await.status, 201);
    }
    let everything = house.admin("POST", "/v1/budgets", &json!({"limit_images": 5})).await.json();
    assert_eq!(
        house.admin("GET", "/v1/budgets", &Value::Null).await.json()["data"].as_array().unwrap().len(),
        3
    );
    let mine = house.get("/v1/budgets").await.json();
    assert_eq!(mine["data"].as_array().unwrap().len(), 1);
    assert_eq!(mine["data"][0]["scope"]["project"], "default");
    let foreign = format!("/v1/budgets/{}", everything["id"].as_str().unwrap());
    assert_eq!(house.get(&foreign).await.status, 404);
    let bare = client::call(house.address, "GET", "/v1/budgets", None, &[], b"").await;
    assert_eq!(bare.status, 401);
    house.close().await;
}
