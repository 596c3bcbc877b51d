use crate::client;
use crate::house::House;
use serde_json::json;

const PATH: &str = "/v1/images/generations";

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_refused_without_repeating_them() {
    let house = House::open().await;
    let bearer = |key: &str| format!("Bearer {key}");
    let wrong = [
        "Bearer sk-wrong".to_owned(),
        bearer(&"a".repeat(5_000)),
        format!("Basic {}", house.key),
        "Bearer ".into(),
    ];
    for value in &wrong {
        let headers = [("authorization", value.as_str())];
        let reply = client::call(house.address, "POST", PATH, None, &headers, b"{\"prompt\":\"x\"}").await;
        assert_eq!(reply.status, 401, "{value}");
        assert_eq!(reply.json()["error"]["code"], "invalid_api_key");
        assert_eq!(reply.header("x-request-id").map(str::len), Some(36));
        assert!(!String::from_utf8_lossy(&reply.body).contains("sk-wrong"));
    }
    let reply = client::call(house.address, "POST", PATH, None, &[], &vec![b'a'; 20_000_000]).await;
    assert_eq!(reply.status, 401);
    for path in [
        "/v1/models",
        "/v1/quotes",
        "/v1/requests",
        "/v1/usage",
        "/v1/keys",
        "/v1/projects",
        "/v1/credits",
        "/v1/credits/forecast",
        "/v1/reconciliations",
        "/v1/prices",
    ] {
        let method = if path == "/v1/quotes" { "POST" } else { "GET" };
        let reply = client::call(house.address, method, path, None, &[], b"").await;
        assert_eq!(reply.status, 401, "{path}");
    }
    for path in ["/v1/keys", "/v1/projects", "/v1/credits", "/v1/credits/forecast", "/v1/reconciliations"] {
        let reply = house.get(path).await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (403, Some("forbidden")), "{path}");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_http_does_no_harm() {
    let house = House::open().await;
    let auth = format!("authorization: Bearer {}\r\n", house.key);
    let multipart = "--b\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\nabc";
    let truncated = format!(
        "POST /v1/images/edits HTTP/1.1\r\nhost: x\r\n{auth}connection: close\r\ncontent-type: multipart/form-data; boundary=b\r\n"
    );
    let whole = format!("{truncated}content-length: {}\r\n\r\n{multipart}", multipart.len());
    let reply = client::raw(house.address, whole.as_bytes(), false).await.unwrap();
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"]["code"], "unsupported_operation");

    // The sender promises more than it sends, and stops.
    let short = format!("{truncated}content-length: 5000\r\n\r\n{multipart}");
    let reply = client::raw(house.address, short.as_bytes(), true).await.unwrap();
    assert_eq!(reply.json()["error"]["code"], "unsupported_operation");
    let short = format!("POST {PATH} HTTP/1.1\r\nhost: x\r\n{auth}content-length: 5000\r\n\r\n{{\"prompt\"");
    let reply = client::raw(house.address, short.as_bytes(), true).await.unwrap();
    assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (400, Some("incomplete_body")));
    let strange: &[&[u8]] =
        &[b"\x16\x03\x01\x00\xa5garbage\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"];
    for bytes in strange {
        if let Some(reply) = client::raw(house.address, bytes, true).await {
            assert!((400..600).contains(&reply.status));
        }
    }
    // Who asks first is told at once, without sending.
    let expecting = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\n{auth}expect: 100-continue\r\ncontent-length: 99999999999\r\n\r\n"
    );
    let reply = client::raw(house.address, expecting.as_bytes(), false).await.unwrap();
    assert_eq!(reply.status, 413);

    let chunked = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\n{auth}connection: close\r\ntransfer-encoding: chunked\r\n\r\n\
         7\r\n{{\"promp\r\n8\r\nt\":\"x\"}}\n\r\n0\r\n\r\n"
    );
    let reply = client::raw(house.address, chunked.as_bytes(), false).await.unwrap();
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    assert_eq!(house.generate(&json!({"prompt": "still well"})).await.status, 200);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_named_in_the_form_of_their_surface() {
    let house = House::open().await;
    let reply = house.get("/v1/images/generations").await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    assert_eq!(reply.json()["error"]["code"], "method_not_allowed");
    assert_eq!(house.get("/v1/images/nothing").await.json()["error"]["code"], "not_found");
    assert_eq!(house.call("POST", "/v1/models", &json!({})).await.status, 405);
    let reply = house.get("/nothing").await;
    assert_eq!((reply.status, reply.header("content-type")), (404, Some("application/problem+json")));
    assert_eq!(reply.json()["status"], 404);
    let reply = house.call("PUT", "/v1/keys", &json!({})).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, POST")));
    // What is no text names nothing, in the form of the surface as well.
    let reply = house.get("/v1/models/%FF").await;
    assert_eq!((reply.status, reply.json()["error"]["code"].as_str()), (404, Some("not_found")));
    assert_eq!(reply.header("x-request-id").map(str::len), Some(36));
    for path in ["/v1/requests/%FF", "/v1/requests/x/images/%C3", "/v1/pictures/%FF/0", "/v1/projects/%FF"] {
        let reply = house.get(path).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (404, Some("application/problem+json")),
            "{path}"
        );
        assert_eq!(reply.json()["code"], "not_found", "{path}");
    }
    for (method, path) in [("DELETE", "/v1/keys/%FF"), ("POST", "/v1/requests/%FF/attempts/1/resolve")] {
        let reply = house.admin(method, path, &json!({})).await;
        assert_eq!((reply.status, reply.json()["code"].as_str()), (404, Some("not_found")), "{path}");
    }
    let variations = house.call("POST", "/v1/images/variations", &json!({})).await;
    assert_eq!(variations.json()["error"]["code"], "unsupported_operation");
    house.close().await;
}
