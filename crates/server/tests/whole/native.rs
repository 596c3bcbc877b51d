use crate::client;
use crate::house::House;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_and_shown() {
    let house = House::open().await;
    let list = house.get("/v1/models").await.json();
    let ids: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert!(ids.len() >= 8 && ids[0] == "auto");
    for id in [ids[1], ids.iter().find(|id| id.contains('/')).unwrap()] {
        let model = house.get(&format!("/v1/models/{id}")).await;
        assert_eq!((model.status, model.json()["id"].as_str()), (200, Some(id)));
    }
    let missing = house.get("/v1/models/no/such").await;
    assert_eq!((missing.status, missing.json()["error"]["code"].as_str()), (404, Some("model_not_found")));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_prices_every_offer_and_buys_nothing() {
    let house = House::open().await;
    let report = house.call("POST", "/v1/quotes", &json!({"prompt": "x", "size": "1024x1024"})).await;
    assert_eq!(report.status, 200);
    let report = report.json();
    assert!(report["offers"].as_array().unwrap().len() >= 5);
    assert!(report["offers"][0]["lines"][0]["amount_usd"].is_string());
    assert_eq!(house.fakes.billed_ticks(), 0);
    let faulty = house.call("POST", "/v1/quotes", &json!({"prompt": "x", "n": 0})).await;
    assert_eq!((faulty.status, faulty.json()["parameter"].as_str()), (400, Some("n")));
    assert_eq!(faulty.header("content-type"), Some("application/problem+json"));
    let later = house.call("POST", "/v1/quotes?at=2026-12-01", &json!({"prompt": "x"})).await.json();
    assert_eq!(later["instant"], "2026-12-01T00:00:00Z");
    assert_eq!(house.call("POST", "/v1/quotes?when=now", &json!({"prompt": "x"})).await.status, 400);
    house.close().await;
}

/// What cannot be ordered has a price all the same, also at the regions that prices name.
#[tokio::test(flavor = "multi_thread")]
async fn a_quote_of_everything_prices_edits_and_regions() {
    let house = House::open().await;
    let inputs = json!({"inputs": ["1024x1024", "512x512"]});
    let edit = json!({"model": "bfl/flux-2-pro", "prompt": "x", "size": "1024x1024",
        "gallerist": {"operation": "edit", "ingredients": inputs}});
    let ordered = house.call("POST", "/v1/quotes", &edit).await.json();
    assert_eq!((&ordered["offers"], &ordered["excluded"][0]["code"]), (&json!([]), &json!("not_served")));
    let priced = house.call("POST", "/v1/quotes?all=true", &edit).await.json();
    // 0.03 for the picture, and 0.015 for the two that go in: each starts a megapixel of its own.
    assert_eq!(priced["offers"][0]["expected_usd"], "0.0600000000", "{}", priced["offers"][0]);
    let at = |region: Option<&str>| {
        let mut body =
            json!({"model": "xai/grok-imagine-image", "prompt": "x", "gallerist": {"class": "draft"}});
        if let Some(region) = region {
            body["gallerist"]["region"] = json!(region);
        }
        body
    };
    let (plain, there) = (at(None), at(Some("us")));
    let plain = house.call("POST", "/v1/quotes?all=true", &plain).await.json();
    let there = house.call("POST", "/v1/quotes?all=true", &there).await.json();
    let price = |report: &serde_json::Value| -> gallerist_domain::Ticks {
        report["offers"][0]["expected_usd"].as_str().unwrap_or_else(|| panic!("{report}")).parse().unwrap()
    };
    assert_eq!(price(&there), price(&plain).scaled(11, 10).unwrap(), "a tenth more in the United States");
    let ordered = json!({"model": "bfl/flux-2-pro", "prompt": "x", "gallerist": {"region": "moon"}});
    let nobody = house.call("POST", "/v1/quotes", &ordered).await.json();
    assert_eq!(
        (&nobody["offers"], &nobody["excluded"][0]["code"]),
        (&json!([]), &json!("region_unavailable"))
    );
    assert_eq!(house.call("POST", "/v1/quotes?all=perhaps", &edit).await.status, 400);
    house.close().await;
}

/// Neither a drawing of lines nor a model whose price alone is known is a name that nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_price_and_cannot_be_ordered_is_refused_with_the_reason() {
    let house = House::open().await;
    let vector = json!({"model": "recraft-v4.1-vector", "prompt": "x"});
    let streamed = json!({"model": "recraft/recraft-v4.1-vector", "prompt": "x", "stream": true});
    for body in [&vector, &streamed] {
        let refused = house.generate(body).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status, error["code"].as_str()), (404, Some("model_not_found")), "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("answers with svg") && message.contains("png, jpeg, webp"), "{message}");
    }
    let quote = house.call("POST", "/v1/quotes", &vector).await;
    assert_eq!(quote.status, 404);
    assert!(String::from_utf8_lossy(&quote.body).contains("answers with svg"));
    let shown = house.get("/v1/models/recraft-v4.1-vector").await;
    assert!(shown.json()["error"]["message"].as_str().unwrap().contains("answers with svg"));
    let priced = house.generate(&json!({"model": "qwen-image-3.0-pro", "prompt": "x"})).await;
    assert!(priced.json()["error"]["message"].as_str().unwrap().contains("known by its price alone"));
    let unknown = house.generate(&json!({"model": "no-such-model", "prompt": "x"})).await;
    assert!(!unknown.json()["error"]["message"].as_str().unwrap().contains("price"));
    let format = house.generate(&json!({"prompt": "x", "output_format": "svg"})).await;
    let error = &format.json()["error"];
    assert_eq!((format.status, error["param"].as_str()), (400, Some("output_format")), "{error}");
    assert!(error["message"].as_str().unwrap().contains("drawing of lines"), "{error}");
    assert_eq!(house.fakes.billed_ticks(), 0);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_projects_are_made_capped_and_revoked() {
    let house = House::open().await;
    let made = house.admin("POST", "/v1/projects", &json!({"id": "poor", "cap_usd": "0.0001"})).await;
    assert_eq!((made.status, made.json()["cap_usd"].as_str()), (201, Some("0.0001000000")));
    assert_eq!(house.admin("POST", "/v1/projects", &json!({"id": "poor"})).await.status, 409);
    assert_eq!(
        house.admin("POST", "/v1/projects", &json!({"id": "No Good"})).await.json()["parameter"],
        "id"
    );
    let made = house.admin("POST", "/v1/keys", &json!({"project": "poor", "name": "mine"})).await;
    assert_eq!(made.status, 201);
    let key = made.json()["key"].as_str().unwrap().to_owned();
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let listed = house.admin("GET", "/v1/keys", &Value::Null).await;
    assert!(String::from_utf8_lossy(&listed.body).contains(&id));
    assert!(!String::from_utf8_lossy(&listed.body).contains(&key));

    let generate = async || {
        let body = json!({"model": "openai/gpt-image-2", "prompt": "x"}).to_string();
        client::call(house.address, "POST", "/v1/images/generations", Some(&key), &[], body.as_bytes()).await
    };
    let refused = generate().await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (402, Some("budget_exceeded")));
    for cap in ["-1", "x", "1e99"] {
        let answer = house.admin("PATCH", "/v1/projects/poor", &json!({"cap_usd": cap})).await;
        assert_eq!((answer.status, answer.json()["parameter"].as_str()), (400, Some("cap_usd")), "{cap}");
    }
    let freed = house.admin("PATCH", "/v1/projects/poor", &json!({"cap_usd": null})).await.json();
    assert_eq!(freed["cap_usd"], Value::Null);
    let paid = generate().await;
    assert_eq!(paid.status, 200);

    // Another project's key sees nothing of it; the admin does.
    let path = format!("/v1/requests/{}", paid.header("x-request-id").unwrap());
    assert_eq!(house.get(&path).await.status, 404);
    assert_eq!(house.admin("GET", &path, &Value::Null).await.status, 200);
    assert_eq!(house.get("/v1/requests?project=poor").await.status, 403);

    assert_eq!(house.admin("DELETE", &format!("/v1/keys/{id}"), &Value::Null).await.status, 204);
    assert_eq!(generate().await.status, 401);
    assert_eq!(house.admin("DELETE", "/v1/keys/none", &Value::Null).await.status, 404);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_adds_up_and_pages_follow_each_other() {
    let house = House::open().await;
    for prompt in ["one", "two", "three"] {
        assert_eq!(house.generate(&json!({"prompt": prompt})).await.status, 200);
    }
    let usage = house.get("/v1/usage?group_by=provider,model&from=2020-01-01").await.json();
    assert_eq!(usage["totals"]["requests"], 3);
    assert_eq!(usage["totals"]["images"], 3);
    // The baseline's figure rests on a guess of its tokens.
    assert_eq!(usage["totals"]["list_doubtful_usd"], usage["totals"]["list_usd"]);
    assert!(usage["rows"][0]["provider"].is_string() && usage["rows"][0]["charged_usd"].is_string());
    let one = usage["rows"][0]["provider"].as_str().unwrap();
    let path = format!("/v1/usage?group_by=day,user,tag,key,project,operation&provider={one}");
    let part = house.get(&path).await.json();
    assert_eq!(part["totals"]["images"], usage["rows"][0]["images"]);
    assert_eq!(part["totals"]["saved_cache_usd"], serde_json::Value::Null, "unknown is not zero");
    let csv = house.get("/v1/usage?group_by=provider,model&format=csv").await;
    let text = String::from_utf8(csv.body.to_vec()).unwrap();
    assert_eq!(text.lines().count(), 1 + usage["rows"].as_array().unwrap().len());
    assert!(text.starts_with("provider,model,requests,images,attempts,list_usd,charged_usd,"), "{text}");
    assert_eq!(house.get("/v1/usage?format=xlsx").await.json()["parameter"], "format");
    assert_eq!(house.get("/v1/usage?group_by=colour").await.json()["parameter"], "group_by");
    assert_eq!(house.get("/v1/usage?from=yesterday").await.json()["parameter"], "from");

    let first = house.get("/v1/requests?limit=2").await.json();
    assert_eq!((first["data"].as_array().unwrap().len(), &first["has_more"]), (2, &json!(true)));
    assert!(first["data"][0]["list_confidence"].is_string() && first["data"][0]["list_as_of"].is_string());
    let after = first["data"][1]["id"].as_str().unwrap();
    let second = house.get(&format!("/v1/requests?limit=2&after={after}")).await.json();
    assert_eq!((second["data"].as_array().unwrap().len(), &second["has_more"]), (1, &json!(false)));
    assert_eq!(house.get("/v1/requests?limit=0").await.status, 400);
    assert_eq!(house.get("/v1/requests?after=x").await.status, 400);

    let metrics = client::call(house.address, "GET", "/metrics", None, &[], b"").await;
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("gallerist_http_responses_total{route=\"images\",status=\"200\"} 3"), "{text}");
    assert!(text.contains("\ngallerist_replicas 1\n") && !text.contains("gallerist_redis_up"), "{text}");
    let charged = format!("gallerist_charged_usd_total {}", usage["totals"]["charged_usd"].as_str().unwrap());
    assert!(text.contains(&charged), "{text}");
    assert_eq!(client::call(house.address, "GET", "/healthz", None, &[], b"").await.status, 200);
    assert_eq!(client::call(house.address, "GET", "/readyz", None, &[], b"").await.status, 200);
    let prices = house.get("/v1/prices?provider=bfl").await.json();
    assert!(prices["data"][0]["lines"][0]["price_usd"].is_string());
    assert!(prices["data"][0]["lines"][0].get("recorded_since").is_none(), "no instant was asked for");
    // Nobody has read a price of 2020.
    let path = "/v1/prices?provider=bfl&model=flux-2-pro";
    let all = house.get(path).await.json();
    let then = house.get(&format!("{path}&at=2020-01-01")).await.json();
    assert_eq!(then["instant"], "2020-01-01T00:00:00Z");
    let lines = |answer: &Value| answer["data"][0]["lines"].as_array().unwrap().clone();
    assert!(!lines(&then).is_empty() && lines(&then).len() <= lines(&all).len());
    let line = lines(&then).remove(0);
    assert_eq!(line["recorded_since"], line["source_date"]);
    assert!(lines(&then).iter().all(|line| line["since"].is_null()), "{then}");
    let today = house.get(&format!("{path}&at=2026-11-25")).await.json();
    assert!(lines(&today)[0].get("recorded_since").is_none(), "{today}");
    assert_eq!(house.get("/v1/prices?at=yesterday").await.status, 400);
    house.close().await;
}

/// What nobody has is no empty list, and a host's model is asked for as everywhere.
#[tokio::test(flavor = "multi_thread")]
async fn prices_of_a_name_are_found_as_it_is_written_elsewhere_and_an_unknown_one_names_its_nearest() {
    let house = House::open().await;
    let hosts = |answer: Value| -> Vec<String> {
        let models = answer["data"].as_array().unwrap().iter();
        models.map(|model| format!("{}/{}", model["provider"], model["model"]).replace('"', "")).collect()
    };
    let at_bfl = house.get("/v1/prices?model=bfl/flux-2-pro").await.json();
    assert_eq!(hosts(at_bfl), ["bfl/flux-2-pro"]);
    let pinned = house.get("/v1/prices?model=openai/gpt-image-2-2026-04-21").await.json();
    assert_eq!(hosts(pinned), ["openai/gpt-image-2"]);
    assert!(hosts(house.get("/v1/prices?model=flux-2-pro").await.json()).len() > 1);
    let changes = house.get("/v1/prices/changes?model=openai/gpt-image-1&since=2026-01-01").await.json();
    let rows = changes["data"].as_array().unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row["provider"] == "openai"), "{changes}");
    for (path, near) in [
        ("/v1/prices?model=flux-2-porr", "flux-2-pro"),
        ("/v1/prices?provider=opnai", "openai"),
        ("/v1/prices/changes?model=gpt-image-2@9999", "gpt-image-2 has no version 9999, but 2026-04-21"),
        ("/v1/prices?model=bfl/gpt-image-2", "openai/gpt-image-2"),
        ("/v1/prices/changes?since=2026-11-02&until=2026-11-01", "until (2026-11-01T00:00:00Z)"),
        ("/v1/usage?from=2026-11-02&to=2026-11-01", "to (2026-11-01T00:00:00Z)"),
    ] {
        let answer = house.get(path).await.json();
        assert!(answer["detail"].as_str().unwrap().contains(near), "{path}: {answer}");
    }
    house.close().await;
}

/// What is false is not said: the maker is on, and the version is what there is none of.
#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_there_is_none_of_names_those_that_there_are_or_the_successors() {
    let house = House::open().await;
    let told = |body: Value| body["error"]["message"].as_str().unwrap().to_owned();
    let gone = house.generate(&json!({"model": "gpt-image-1@2025-04-15", "prompt": "x"})).await;
    let message = told(gone.json());
    assert_eq!(gone.status, 404);
    assert!(message.contains("use gpt-image-2.6-sunburst or gpt-image-2.5-sunburst"), "{message}");
    assert!(!message.contains("made by openai"), "{message}");
    let other =
        told(house.generate(&json!({"model": "openai/gpt-image-2@9999", "prompt": "x"})).await.json());
    assert!(other.contains("gpt-image-2 has no version 9999, but 2026-04-21"), "{other}");
    assert!(!other.contains("made by openai"), "{other}");
    let shown = told(house.get("/v1/models/gpt-image-2@9999").await.json());
    assert!(shown.contains("but 2026-04-21"), "{shown}");
    let quoted =
        house.call("POST", "/v1/quotes", &json!({"model": "gpt-image-2-2026-04-21", "prompt": "x"})).await;
    let quoted = quoted.json();
    let offers = quoted["offers"].as_array().unwrap();
    assert_eq!((offers.len(), &offers[0]["offer"]), (1, &json!("openai/gpt-image-2")), "{quoted}");
    // What it saves is told against the maker's price, as under the other name.
    let list = async |model: &str| {
        let made = house.generate(&json!({"model": model, "prompt": "x", "size": "1024x1024"})).await.json();
        made["gallerist"]["list_usd"].clone()
    };
    let by_id = list("gpt-image-2-2026-04-21").await;
    assert!(by_id.is_string() && by_id == list("gpt-image-2@2026-04-21").await, "{by_id}");
    house.close().await;
}
