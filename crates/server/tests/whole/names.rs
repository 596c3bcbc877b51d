//! Routes and names that are gone, as a client sees them.

use crate::house::House;
use gallerist_domain::QualityClass;
use gallerist_routing::{Member, NameBook, Route};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const GONE: &str = "dall-e-3 is gone; the settings migrate it to openai/gpt-image-2";

async fn house() -> House {
    let thumbs = Route {
        models_only: vec![Member::parse("flux-schnell"), Member::parse("openai/gpt-image-1-mini")],
        class: Some(QualityClass::Draft),
        ..Route::named("thumbs")
    };
    let migrations = BTreeMap::from([("dall-e-3".to_owned(), "openai/gpt-image-2".to_owned())]);
    House::named(NameBook::new(vec![thumbs], migrations)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_a_model_to_clients() {
    let house = house().await;
    let models = house.get("/v1/models").await.json();
    assert_eq!((&models["data"][0]["id"], &models["data"][1]["id"]), (&json!("auto"), &json!("thumbs")));
    let shown = house.get("/v1/models/thumbs").await;
    assert_eq!((shown.status, &shown.json()["owned_by"]), (200, &json!("gallerist")));

    let reply = house.generate(&json!({"model": "thumbs", "prompt": "a kite"})).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    let ours = &reply.json()["gallerist"];
    assert_eq!((&ours["route"], &ours["requested_model"]), (&json!("thumbs"), &json!("thumbs")));
    let model = ours["model"].as_str().unwrap();
    assert!(["flux-1-schnell", "gpt-image-1-mini"].contains(&model), "{model}");
    assert_eq!(reply.header("x-gallerist-model"), Some(model));
    let record = house.get(&format!("/v1/requests/{}", ours["request_id"].as_str().unwrap())).await.json();
    assert_eq!((&record["model"], &record["plan"]["route"]), (&json!("thumbs"), &json!("thumbs")));

    let quotes =
        house.call("POST", "/v1/quotes", &json!({"model": "thumbs", "prompt": "a kite"})).await.json();
    assert_eq!(quotes["route"], "thumbs");
    assert_eq!(quotes["offers"].as_array().unwrap().len(), 2);

    let unknown = house.generate(&json!({"model": "thumb", "prompt": "a kite"})).await;
    assert_eq!(unknown.status, 404);
    assert!(unknown.json()["error"]["message"].as_str().unwrap().contains("The nearest are: thumbs"));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_and_the_last_event_of_a_stream_carry_the_warnings() {
    let house = house().await;
    let body = json!({"model": "dall-e-3", "prompt": "a kite"});
    let told = |ours: &Value| {
        assert_eq!((&ours["requested_model"], &ours["model"]), (&json!("dall-e-3"), &json!("gpt-image-2")));
        assert_eq!(ours["warnings"][0], GONE);
        assert!(ours["warnings"][1].as_str().unwrap().starts_with("price line"));
    };
    told(&house.generate(&body).await.json()["gallerist"]);
    let streamed = json!({"model": "dall-e-3", "prompt": "a kite", "stream": true});
    told(&house.generate(&streamed).await.events().last().unwrap()["gallerist"]);
    let quotes = house.call("POST", "/v1/quotes", &body).await.json();
    assert_eq!(
        (&quotes["migrated_to"], &quotes["offers"][0]["warnings"][0]),
        (&json!("openai/gpt-image-2"), &json!(GONE))
    );
    let shown = house.get("/v1/models/dall-e-3").await;
    assert_eq!(shown.status, 200, "what answers to a name is shown by it");
    house.close().await;
}
