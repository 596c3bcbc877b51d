use crate::client;
use crate::house::House;
use gallerist_domain::Ticks;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

fn amount(value: &Value) -> Ticks {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_is_made_paid_and_accounted_for() {
    let house = House::open().await;
    let reply =
        house.generate(&json!({"model": "auto", "prompt": "a red kite", "n": 2, "size": "1024x1024"})).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let body = reply.json();
    assert_eq!(body["data"].as_array().unwrap().len(), 2);
    assert!(body["data"][0]["b64_json"].as_str().unwrap().len() > 1_000);
    assert_eq!(body["size"], "1024x1024");
    let ours = &body["gallerist"];
    assert!(amount(&ours["cost"]["charged_usd"]) > Ticks::ZERO);
    assert_eq!(reply.header("x-gallerist-cost-usd"), ours["cost"]["charged_usd"].as_str());
    assert_eq!(reply.header("x-gallerist-provider"), ours["provider"].as_str());
    assert_eq!(reply.header("x-request-id"), ours["request_id"].as_str());

    let record = house.get(&format!("/v1/requests/{}", ours["request_id"].as_str().unwrap())).await.json();
    assert_eq!(record["status"], "succeeded");
    assert_eq!(record["charged_usd"], ours["cost"]["charged_usd"]);
    assert!(!record["plan"]["offers"].as_array().unwrap().is_empty());
    assert_eq!(record["attempts"][0]["status"], "settled");
    assert!(record["entries"].as_array().unwrap().len() >= 2);
    assert!(!record.to_string().contains("a red kite"), "prompts are not stored");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_carry_partials_and_the_cost() {
    let house = House::open().await;
    let body = json!({"model": "openai/gpt-image-2", "prompt": "x", "stream": true, "partial_images": 2,
        "size": "1024x1024"});
    let reply = house.generate(&body).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    assert!(reply.header("content-type").unwrap().starts_with("text/event-stream"));
    let events = reply.events();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let (last, partials) = kinds.split_last().unwrap();
    assert_eq!(*last, "image_generation.completed");
    assert!(!partials.is_empty() && partials.iter().all(|kind| *kind == "image_generation.partial_image"));
    let completed = events.last().unwrap();
    // Before anybody knows what it will cost, the headers say under which id it can be fetched.
    let id = completed["gallerist"]["request_id"].as_str();
    assert_eq!((reply.header("x-request-id"), reply.header("x-gallerist-request-id")), (id, id));
    assert_eq!(reply.header("x-gallerist-provider"), Some("openai"));
    assert_eq!(reply.header("x-gallerist-model"), Some("gpt-image-2"));
    assert!(amount(&completed["gallerist"]["cost"]["charged_usd"]) > Ticks::ZERO);
    assert!(completed["usage"]["total_tokens"].as_i64().unwrap() > 0);

    let refused = house.generate(&json!({"model": "nothing", "prompt": "x", "stream": true})).await;
    assert_eq!(refused.status, 404);
    assert_eq!(refused.json()["error"]["code"], "model_not_found");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_serves_the_picture_without_a_key() {
    let house = House::open().await;
    let reply = house.generate(&json!({"prompt": "x", "response_format": "url"})).await;
    assert_eq!(reply.status, 200);
    let url = reply.json()["data"][0]["url"].as_str().unwrap().to_owned();
    let path = url.strip_prefix(&format!("http://{}", house.address)).unwrap();
    let picture = client::call(house.address, "GET", path, None, &[], b"").await;
    assert_eq!(picture.status, 200);
    assert!(picture.header("content-type").unwrap().starts_with("image/"));
    assert!(picture.body.len() > 500);
    let forged = path.replace("signature=", "signature=0");
    assert_eq!(client::call(house.address, "GET", &forged, None, &[], b"").await.status, 404);
    let id = reply.json()["gallerist"]["request_id"].as_str().unwrap().to_owned();
    assert_eq!(house.get(&format!("/v1/requests/{id}/images/0")).await.body, picture.body);
    assert_eq!(house.get(&format!("/v1/requests/{id}/images/7")).await.status, 404);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_buys_once() {
    let house = House::open().await;
    let body = json!({"prompt": "once"}).to_string();
    let call = async |body: &str| {
        let headers = [("idempotency-key", "check-1")];
        client::call(
            house.address,
            "POST",
            "/v1/images/generations",
            Some(&house.key),
            &headers,
            body.as_bytes(),
        )
        .await
    };
    let first = call(&body).await;
    let billed = house.fakes.billed_ticks();
    let second = call(&body).await;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(first.json()["data"], second.json()["data"]);
    assert_eq!(second.json()["gallerist"]["cached"], true);
    assert_eq!(house.fakes.billed_ticks(), billed);
    let other = call(&json!({"prompt": "other"}).to_string()).await;
    assert_eq!(other.status, 422);
    assert_eq!(other.json()["error"]["code"], "idempotency_key_reused");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_a_possible_charge_forbids_a_repetition() {
    let house = House::open().await;
    house.faults("openai", &json!([{"fault": "reset_after", "probability": 1.0}]));
    let body = json!({"model": "openai/gpt-image-2", "prompt": "x", "size": "1024x1024"});
    let reply = house.generate(&body).await;
    assert!(reply.status >= 500, "{}", reply.status);
    assert_eq!(reply.header("x-should-retry"), Some("false"));
    let error = &reply.json()["error"];
    assert!(amount(&error["gallerist"]["disputed_usd"]) > Ticks::ZERO);
    assert_eq!(error["gallerist"]["attempts"][0]["disputed"], true);

    house.faults("openai", &json!([{"fault": "moderation", "probability": 1.0}]));
    let reply =
        house.generate(&json!({"model": "openai/gpt-image-2", "prompt": "other", "size": "1024x1024"})).await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.json()["error"]["code"], "moderation_blocked");
    assert_eq!(reply.json()["error"]["type"], "image_generation_user_error");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_finds_its_picture_later() {
    let house = House::open().await;
    house.faults("openai", &json!([{"fault": "latency", "probability": 1.0, "for_ms": 400, "ms": 400}]));
    let body = json!({"model": "openai/gpt-image-2", "prompt": "x", "size": "1024x1024"}).to_string();
    let head = format!(
        "POST /v1/images/generations HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
        house.key,
        body.len()
    );
    let mut stream = tokio::net::TcpStream::connect(house.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    drop(stream);
    for _ in 0..100 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let page = house.get("/v1/requests?limit=1").await.json();
        if page["data"][0]["status"] == "succeeded" {
            break;
        }
    }
    let page = house.get("/v1/requests?limit=1").await.json();
    assert_eq!(page["data"][0]["status"], "succeeded", "{page}");
    let id = page["data"][0]["id"].as_str().unwrap();
    let mut status = 0;
    for _ in 0..40 {
        status = house.get(&format!("/v1/requests/{id}/images/0")).await.status;
        if status == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(status, 200);
    house.close().await;
}
