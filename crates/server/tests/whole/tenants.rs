//! Keys and projects as their holders and the administrator see them.

use crate::client::{self, Reply};
use crate::house::House;
use gallerist_routing::{NameBook, Route};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Makes a key; its id and itself.
async fn make(house: &House, wish: &Value) -> (String, String) {
    let made = house.admin("POST", "/v1/keys", wish).await;
    assert_eq!(made.status, 201, "{}", String::from_utf8_lossy(&made.body));
    let made = made.json();
    (made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned())
}

async fn by(house: &House, key: &str, method: &str, path: &str, body: &Value) -> Reply {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    client::call(house.address, method, path, Some(key), &[], body.as_bytes()).await
}

async fn generate(house: &House, key: &str, body: &Value) -> Reply {
    by(house, key, "POST", "/v1/images/generations", body).await
}

fn error(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_changes_of_different_limits_at_once_are_both_kept() {
    let house = House::open().await;
    let (id, _) = make(&house, &json!({"name": "shop"})).await;
    assert_eq!(house.admin("POST", "/v1/projects", &json!({"id": "shop"})).await.status, 201);
    for path in [format!("/v1/keys/{id}"), "/v1/projects/shop".to_owned()] {
        for round in 1..=20 {
            let requests = json!({"limits": {"requests_per_minute": round}});
            let images = json!({"limits": {"images_per_minute": 100 + round}});
            let (one, two) = if round % 2 == 0 { (&requests, &images) } else { (&images, &requests) };
            let (one, two) = tokio::join!(house.admin("PATCH", &path, one), house.admin("PATCH", &path, two));
            assert_eq!((one.status, two.status), (200, 200));
            let limits = house.admin("GET", &path, &Value::Null).await.json()["limits"].clone();
            assert_eq!(
                (&limits["requests_per_minute"], &limits["images_per_minute"]),
                (&json!(round), &json!(100 + round)),
                "{path}"
            );
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scopes_say_what_a_key_may_do_and_a_role_is_short_for_them() {
    let house = House::open().await;
    let (_, reader) = make(&house, &json!({"scopes": ["read"]})).await;
    let (_, maker) = make(&house, &json!({"scopes": ["generate"]})).await;
    let (_, usual) = make(&house, &json!({"role": "generate"})).await;
    let picture = json!({"model": "bfl/flux-2-klein-4b", "prompt": "x"});
    assert_eq!(error(&generate(&house, &reader, &picture).await), (403, "forbidden".to_owned()));
    let made = generate(&house, &maker, &picture).await;
    assert_eq!(made.status, 200);
    let path = format!("/v1/requests/{}", made.header("x-request-id").unwrap());
    for path in [path.as_str(), "/v1/requests", "/v1/usage", "/v1/projects/default"] {
        assert_eq!(by(&house, &reader, "GET", path, &Value::Null).await.status, 200, "{path}");
        assert_eq!(by(&house, &usual, "GET", path, &Value::Null).await.status, 200, "{path}");
        let refused = by(&house, &maker, "GET", path, &Value::Null).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(refused.json()["detail"].as_str().unwrap().contains("scope read"));
    }
    for path in ["/v1/keys", "/v1/audit", "/v1/projects"] {
        assert_eq!(by(&house, &usual, "GET", path, &Value::Null).await.status, 403, "{path}");
    }
    for (wish, parameter) in [
        (json!({"role": "owner"}), "role"),
        (json!({"scopes": ["write"]}), "scopes"),
        (json!({"scopes": []}), "scopes"),
        (json!({"scopes": ["read"], "role": "read"}), "scopes"),
        (json!({"models": ["bfl/flux-2-pro"]}), "models"),
        (json!({"expires_at": "soon"}), "expires_at"),
        (json!({"expires_at": "2020-01-01"}), "expires_at"),
        (json!({"limits": {"images_per_minute": 0}}), "images_per_minute"),
        (json!({"models": ["flux-2-pro", "flux-2-prro"]}), "models"),
        (json!({"providers": ["blf"]}), "providers"),
        (json!({"routes": ["aut"]}), "routes"),
    ] {
        let refused = house.admin("POST", "/v1/keys", &wish).await;
        let refused = refused.json();
        assert_eq!((&refused["status"], &refused["parameter"]), (&json!(400), &json!(parameter)), "{wish}");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.ends_with('.') && !detail.ends_with(".."), "{detail}");
    }
    let (id, _) = make(&house, &json!({"routes": ["auto"], "models": ["flux-2-pro"]})).await;
    let slip = json!({"models": ["flux-2-prro"]});
    let refused = house.admin("PATCH", &format!("/v1/keys/{id}"), &slip).await;
    assert!(refused.json()["detail"].as_str().unwrap().contains("the nearest: flux-2-pro"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_sees_and_uses_only_what_is_granted_to_it() {
    let house = House::named(NameBook::new(vec![Route::named("cheap")], BTreeMap::new())).await;
    let wish = json!({"providers": ["bfl"], "routes": ["cheap"], "models": ["flux-2-pro", "flux-2-max"]});
    let (id, key) = make(&house, &wish).await;
    let models = by(&house, &key, "GET", "/v1/models", &Value::Null).await.json();
    let ids: Vec<_> =
        models["data"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["cheap", "flux-2-pro", "flux-2-max", "bfl/flux-2-pro", "bfl/flux-2-max"]);
    assert_eq!(by(&house, &key, "GET", "/v1/models/auto", &Value::Null).await.status, 404);
    for model in ["auto", "gpt-image-2", "fal/flux-2-pro"] {
        let refused = generate(&house, &key, &json!({"model": model, "prompt": "x"})).await;
        assert_eq!(error(&refused), (403, "forbidden".to_owned()), "{model}");
        assert_eq!(refused.header("x-should-retry"), Some("false"));
    }
    let quoted = by(&house, &key, "POST", "/v1/quotes", &json!({"model": "flux-2-pro", "prompt": "x"})).await;
    let quoted = quoted.json();
    assert_eq!(quoted["offers"].as_array().unwrap().len(), 1);
    let excluded = quoted["excluded"].as_array().unwrap();
    assert!(
        excluded.iter().any(|one| one["offer"] == "fal/flux-2-pro" && one["code"] == "provider_forbidden")
    );
    assert_eq!(generate(&house, &key, &json!({"model": "flux-2-pro", "prompt": "x"})).await.status, 200);
    let changed =
        house.admin("PATCH", &format!("/v1/keys/{id}"), &json!({"routes": [], "name": "free"})).await;
    let changed = changed.json();
    assert_eq!((&changed["routes"], &changed["name"]), (&json!([]), &json!("free")));
    assert_eq!(changed["providers"], json!(["bfl"]), "what is absent stays");
    let auto = generate(&house, &key, &json!({"model": "auto", "prompt": "y"})).await;
    assert_eq!((auto.status, auto.header("x-gallerist-provider")), (200, Some("bfl")));
    let moved = house.admin("PATCH", &format!("/v1/keys/{id}"), &json!({"project": "other"})).await;
    assert_eq!((moved.status, moved.json()["parameter"].as_str()), (400, Some("project")));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_works_with_both_secrets_until_the_grace_time_is_over() {
    let house = House::open().await;
    let (id, first) = make(&house, &json!({})).await;
    let rotate = async |body: &Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/v1/keys/{id}/rotate");
        client::call(house.address, "POST", &path, Some(&house.admin), &[], body.as_bytes()).await
    };
    let rotated = rotate(&Value::Null).await;
    assert_eq!(rotated.status, 200);
    let second = rotated.json()["key"].as_str().unwrap().to_owned();
    assert!(second != first && second.starts_with(&format!("gal-{id}-")));
    assert!(rotated.json()["previous_until"].is_string());
    for key in [&first, &second] {
        assert_eq!(by(&house, key, "GET", "/v1/models", &Value::Null).await.status, 200);
    }
    let third = rotate(&json!({"grace_seconds": 0})).await.json()["key"].as_str().unwrap().to_owned();
    for (key, status) in [(&first, 401), (&second, 401), (&third, 200)] {
        assert_eq!(by(&house, key, "GET", "/v1/models", &Value::Null).await.status, status);
    }
    assert_eq!(rotate(&json!({"grace_seconds": -1})).await.json()["parameter"], "grace_seconds");
    assert_eq!(rotate(&json!({"grace": 1})).await.status, 400);
    assert_eq!(house.admin("POST", "/v1/keys/none/rotate", &json!({})).await.status, 404);
    house.admin("DELETE", &format!("/v1/keys/{id}"), &Value::Null).await;
    let ended = rotate(&json!({})).await;
    assert_eq!((ended.status, ended.json()["code"].as_str()), (409, Some("key_ended")));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_that_is_reached_says_when_to_come_back() {
    let house = House::open().await;
    let (_, key) =
        make(&house, &json!({"limits": {"images_per_minute": 4, "requests_per_minute": 100}})).await;
    let picture = |n: u32, prompt: &str| json!({"model": "bfl/flux-2-klein-4b", "prompt": prompt, "n": n});
    let made = generate(&house, &key, &picture(3, "a")).await;
    assert_eq!(made.status, 200);
    assert_eq!(made.header("x-ratelimit-limit-images"), Some("4"));
    assert_eq!(made.header("x-ratelimit-remaining-images"), Some("1"));
    assert_eq!(made.header("x-ratelimit-limit-requests"), Some("100"));
    let billed = house.fakes.billed_ticks();
    let refused = generate(&house, &key, &picture(3, "b")).await;
    assert_eq!(error(&refused), (429, "rate_limited".to_owned()));
    let number = |name: &str| refused.header(name).unwrap().parse::<u64>().unwrap();
    let (wait_ms, wait_s) = (number("retry-after-ms"), number("retry-after"));
    assert!((10_000..=30_000).contains(&wait_ms) && wait_s == wait_ms.div_ceil(1_000), "{wait_ms} {wait_s}");
    assert_eq!(refused.header("x-ratelimit-remaining-images"), Some("1"));
    assert!(refused.header("x-ratelimit-reset-images").unwrap().ends_with('s'));
    let hopeless = generate(&house, &key, &picture(5, "c")).await;
    assert_eq!((hopeless.status, hopeless.json()["error"]["param"].as_str()), (400, Some("n")));
    let streamed = json!({"model": "openai/gpt-image-2", "prompt": "d", "stream": true});
    let streamed = generate(&house, &key, &streamed).await;
    assert_eq!((streamed.status, streamed.header("x-ratelimit-remaining-images")), (200, Some("0")));
    assert_eq!(generate(&house, &key, &picture(1, "e")).await.status, 429);
    assert!(house.fakes.billed_ticks() > billed);
    assert_eq!(
        house
            .call("POST", "/v1/images/generations", &picture(1, "f"))
            .await
            .header("x-ratelimit-limit-images"),
        None
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_has_limits_over_its_keys_and_shows_what_it_does() {
    let house = House::open().await;
    let wish = json!({"id": "shop", "limits": {"requests_per_minute": 2}});
    let made = house.admin("POST", "/v1/projects", &wish).await;
    assert_eq!((made.status, &made.json()["limits"]["requests_per_minute"]), (201, &json!(2)));
    let (_, one) = make(&house, &json!({"project": "shop"})).await;
    let (_, other) = make(&house, &json!({"project": "shop"})).await;
    let picture = |prompt: &str| json!({"model": "bfl/flux-2-klein-4b", "prompt": prompt});
    assert_eq!(generate(&house, &one, &picture("a")).await.status, 200);
    assert_eq!(generate(&house, &other, &picture("b")).await.status, 200);
    assert_eq!(generate(&house, &one, &picture("c")).await.status, 429);
    let shown = by(&house, &one, "GET", "/v1/projects/shop", &Value::Null).await.json();
    assert_eq!(shown["usage"]["requests_last_minute"], 2);
    assert_eq!((&shown["usage"]["images_last_minute"], &shown["usage"]["keys"]), (&json!(2), &json!(2)));
    let change = json!({"limits": {"requests_per_minute": null, "images_at_once": 7}});
    let changed = house.admin("PATCH", "/v1/projects/shop", &change).await.json();
    assert_eq!(
        changed["limits"],
        json!({"requests_per_minute": null, "images_per_minute": null, "images_at_once": 7})
    );
    assert_eq!(generate(&house, &one, &picture("d")).await.status, 200, "it holds from the next request on");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_names_the_key_and_holds_no_secret() {
    let house = House::open().await;
    let (id, key) = make(&house, &json!({"name": "audited"})).await;
    let rotated = house.admin("POST", &format!("/v1/keys/{id}/rotate"), &json!({})).await.json();
    house.admin("PATCH", "/v1/projects/default", &json!({"cap_usd": "25"})).await;
    house.admin("PATCH", "/v1/projects/default", &json!({"cap_usd": "nonsense"})).await;
    let page = house.admin("GET", "/v1/audit?limit=2", &Value::Null).await;
    let first = page.json();
    assert_eq!((first["data"].as_array().unwrap().len(), &first["has_more"]), (2, &json!(true)));
    let change = &first["data"][0];
    assert_eq!((&change["action"], &change["subject"]), (&json!("project.change"), &json!("default")));
    assert_eq!(
        (&change["before"]["cap_usd"], &change["after"]["cap_usd"]),
        (&Value::Null, &json!("25.0000000000"))
    );
    assert!(house.admin.contains(change["key"].as_str().unwrap()));
    let after = first["data"][1]["id"].as_str().unwrap();
    let rest =
        house.admin("GET", &format!("/v1/audit?after={after}&action=key.create"), &Value::Null).await.json();
    assert_eq!(rest["data"][0]["subject"], json!(id));
    let whole = house.admin("GET", "/v1/audit?limit=100", &Value::Null).await;
    let text = String::from_utf8_lossy(&whole.body);
    for secret in [key.as_str(), rotated["key"].as_str().unwrap(), house.admin.as_str()] {
        assert!(!text.contains(&secret[17..]), "a secret is in the log");
    }
    assert_eq!(house.admin("GET", "/v1/audit?after=x", &Value::Null).await.status, 400);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_end_users_are_shown_and_found() {
    let house = House::open().await;
    let tagged = json!({"model": "bfl/flux-2-klein-4b", "prompt": "x", "user": "ann",
        "gallerist": {"tags": {"team": "red"}}});
    let made = house.generate(&tagged).await;
    assert_eq!(house.generate(&json!({"model": "bfl/flux-2-klein-4b", "prompt": "y"})).await.status, 200);
    let id = made.header("x-request-id").unwrap();
    let shown = house.get(&format!("/v1/requests/{id}")).await.json();
    assert_eq!((&shown["end_user"], &shown["tags"]), (&json!("ann"), &json!({"team": "red"})));
    assert_eq!(shown.get("waiting"), None, "it is done");
    for query in ["end_user=ann", "tag=team%3Dred", "tag=team=red"] {
        let found = house.get(&format!("/v1/requests?{query}")).await.json();
        assert_eq!(found["data"].as_array().unwrap().len(), 1, "{query}");
        assert_eq!(found["data"][0]["id"], json!(id));
    }
    assert!(house.get("/v1/requests?tag=team=blue").await.json()["data"].as_array().unwrap().is_empty());
    assert_eq!(house.get("/v1/requests?tag=team").await.json()["parameter"], "tag");
    house.close().await;
}
