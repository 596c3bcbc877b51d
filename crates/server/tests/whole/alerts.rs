use crate::house::House;
use gallerist_domain::{AlertFact, NewAlert};
use jiff::Timestamp;
use serde_json::{Value, json};

fn outage(once: &str, project: Option<&str>) -> NewAlert {
    NewAlert {
        once: once.to_owned(),
        at: Timestamp::now(),
        project: project.map(|name| name.parse().unwrap()),
        fact: AlertFact::OfferOutage { offer: "bfl/flux-2-pro".to_owned() },
    }
}

fn messages(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|alert| alert["type"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_paged_and_filtered_and_a_project_sees_its_own() {
    let house = House::open().await;
    house.faults("bfl", &json!([{"fault": "price_changed", "numerator": 3, "denominator": 2}]));
    assert_eq!(house.generate(&json!({"model": "bfl/flux-2-pro", "prompt": "a heron"})).await.status, 200);
    let alerts = vec![outage("one", None), outage("two", None), outage("three", Some("shop"))];
    house.store.raise_alerts(alerts).await.unwrap();
    let nothing = Value::Null;
    let first = house.admin("GET", "/v1/alerts?limit=3", &nothing).await.json();
    assert_eq!((messages(&first).len(), &first["has_more"]), (3, &json!(true)));
    let last = first["data"][2]["id"].as_str().unwrap();
    let rest = house.admin("GET", &format!("/v1/alerts?limit=3&after={last}"), &nothing).await.json();
    assert_eq!((messages(&rest), &rest["has_more"]), (vec!["charge.overrun"], &json!(false)));
    let alert = &rest["data"][0];
    assert_eq!(
        (&alert["object"], &alert["severity"], &alert["project"], &alert["fact"]["charged_usd"]),
        (&json!("alert"), &json!("critical"), &json!("default"), &json!("0.0450000000"))
    );
    let shop = house.admin("GET", "/v1/alerts?project=shop&kind=offer.outage", &nothing).await.json();
    assert_eq!(messages(&shop), ["offer.outage"]);

    let own = house.get("/v1/alerts").await.json();
    assert_eq!(messages(&own), ["charge.overrun"]);
    assert_eq!(house.get("/v1/alerts?project=shop").await.status, 403);
    let unknown = house.admin("GET", "/v1/alerts?kind=fire", &nothing).await;
    assert_eq!((unknown.status, &unknown.json()["parameter"]), (400, &json!("kind")));
    let stranger = "00000000-0000-0000-0000-000000000000";
    assert_eq!(house.admin("GET", &format!("/v1/alerts?after={stranger}"), &nothing).await.status, 404);

    let metrics = String::from_utf8(house.get("/metrics").await.body).unwrap();
    assert!(metrics.contains("gallerist_alerts_total{kind=\"offer.outage\"} 3\n"), "{metrics}");
    assert!(metrics.contains("gallerist_alerts_total{kind=\"charge.overrun\"} 1\n"), "{metrics}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn that_a_cap_begins_to_refuse_is_told_once_with_its_standing() {
    let house = House::open().await;
    let nothing = Value::Null;
    let cap = json!({"cap_usd": "0.05"});
    assert_eq!(house.admin("PATCH", "/v1/projects/default", &cap).await.status, 200);
    let ask = json!({"model": "bfl/flux-2-pro", "prompt": "a heron"});
    assert_eq!(house.generate(&ask).await.status, 200);
    for _ in 0..3 {
        assert_eq!(house.generate(&ask).await.status, 402);
    }
    let mut told = Value::Null;
    for _ in 0..500 {
        told = house.get("/v1/alerts?kind=budget.refused").await.json();
        if !messages(&told).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(messages(&told), ["budget.refused"]);
    let alert = &told["data"][0];
    assert_eq!((&alert["severity"], &alert["project"]), (&json!("warning"), &json!("default")));
    let fact = &alert["fact"];
    assert_eq!(
        [
            &fact["limit_usd"],
            &fact["asked_usd"],
            &fact["settled_usd"],
            &fact["held_usd"],
            &fact["window_end"]
        ],
        [
            &json!("0.0500000000"),
            &json!("0.0300000000"),
            &json!("0.0300000000"),
            &json!("0.0000000000"),
            &nothing
        ]
    );
    let metrics = String::from_utf8(house.get("/metrics").await.body).unwrap();
    assert!(metrics.contains("gallerist_alerts_total{kind=\"budget.refused\"} 1\n"), "{metrics}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_changed_and_removed_and_its_secret_is_shown_once() {
    let house = House::open().await;
    let nothing = Value::Null;
    let wish = json!({"url": "https://hooks.example/alerts", "kinds": ["budget.*"], "project": "default"});
    assert_eq!(house.call("POST", "/v1/webhooks", &wish).await.status, 403);
    let made = house.admin("POST", "/v1/webhooks", &wish).await;
    assert_eq!(made.status, 201);
    let made = made.json();
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() == 50, "{secret}");
    assert_eq!(
        (&made["enabled"], &made["format"], &made["pending"]),
        (&json!(true), &json!("standard"), &json!(0))
    );
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());
    let shown = house.admin("GET", &path, &nothing).await.json();
    assert_eq!(shown.get("secret"), None);
    assert_eq!((&shown["url"], &shown["kinds"]), (&wish["url"], &wish["kinds"]));

    let rotated = house.admin("POST", &format!("{path}/rotate"), &nothing).await.json();
    assert_ne!(rotated["secret"], made["secret"]);
    assert!(rotated["previous_secret_until"].is_string());
    let change = json!({"project": null, "kinds": [], "format": "slack", "enabled": false});
    let changed = house.admin("PATCH", &path, &change).await.json();
    assert_eq!(
        (&changed["project"], &changed["kinds"], &changed["format"], &changed["enabled"]),
        (&Value::Null, &json!([]), &json!("slack"), &json!(false))
    );
    assert_eq!(changed["url"], wish["url"]);
    let listed = house.admin("GET", "/v1/webhooks", &nothing).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert!(!listed.to_string().contains("whsec_"));
    assert_eq!(house.admin("DELETE", &path, &nothing).await.status, 204);
    for (method, path) in [("GET", path.clone()), ("DELETE", path.clone()), ("POST", format!("{path}/test"))]
    {
        assert_eq!(house.admin(method, &path, &nothing).await.status, 404, "{method} {path}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_webhook_is_refused_with_the_field_and_the_way_out() {
    let house = House::open().await;
    let refused = [
        (json!({"url": "http://hooks.example/x"}), "url", "webhooks.allow_private"),
        (json!({"url": "https://127.0.0.1/x"}), "url", "webhooks.allow_private"),
        (json!({"url": "https://169.254.169.254/latest"}), "url", "private address"),
        (json!({"url": "hooks"}), "url", "https://hooks.example/alerts"),
        (json!({"url": "https://hooks.example/x", "kinds": ["fire"]}), "kinds", "budget.*"),
        (json!({"url": "https://hooks.example/x", "format": "xml"}), "format", "standard or slack"),
        (json!({"url": "https://hooks.example/x", "project": "No Such"}), "project", "a-z"),
    ];
    for (wish, parameter, way_out) in refused {
        let answer = house.admin("POST", "/v1/webhooks", &wish).await;
        let problem = answer.json();
        assert_eq!(
            (answer.status, problem["parameter"].as_str()),
            (400, Some(parameter)),
            "{wish}: {problem}"
        );
        assert!(problem["detail"].as_str().unwrap().contains(way_out), "{problem}");
    }
    let stranger = json!({"url": "https://hooks.example/x", "project": "nobody"});
    assert_eq!(house.admin("POST", "/v1/webhooks", &stranger).await.status, 404);
    let unknown =
        house.admin("POST", "/v1/webhooks", &json!({"url": "https://x.example/", "secret": "x"})).await;
    assert_eq!(unknown.status, 400);
    house.close().await;
}
