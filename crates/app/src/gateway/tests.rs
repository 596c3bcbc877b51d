use super::*;
use crate::client::Client;
use crate::config::{Environment, Place};
use gallerist_domain::{ProjectId, RequestId, Scopes};
use gallerist_fakes::{Fakes, FakesOptions};
use gallerist_server::new_key;
use gallerist_store::{Conclusion, RequestFilter};
use jiff::Timestamp;
use serde_json::json;

#[test]
fn a_wildcard_is_reached_through_loopback() {
    assert_eq!(origin("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
    assert_eq!(origin("[::]:80".parse().unwrap()), "http://[::1]:80");
    assert_eq!(origin("10.0.0.1:80".parse().unwrap()), "http://10.0.0.1:80");
}

const SOON: Duration = Duration::from_secs(20);

/// A gateway in front of the stand-in of OpenAI, in a new folder.
async fn gateway(fakes: &Fakes, folder: &Path) -> (Gateway, Client) {
    let environment = Environment::from([
        ("OPENAI_API_KEY", fakes.keys()["openai"].as_str()),
        ("GALLERIST_OPENAI_BASE_URL", &format!("{}/v1", fakes.origins()["openai"])),
    ]);
    let file = folder.join("gallerist.toml");
    std::fs::write(&file, "").unwrap();
    let place = Place { config: Some(file), data_dir: Some(folder.to_owned()) };
    let config = Config::load(&place, &environment).unwrap();
    let store = open_store(config.store_options(Timestamp::now())).unwrap();
    let fresh = new_key();
    let record = fresh.record(ProjectId::default_project(), "test", Scopes::USUAL, None);
    store.create_key(record, Timestamp::now()).await.unwrap();
    let listener = bind("127.0.0.1:0", SaidBy::Listen).await.unwrap();
    let gateway = Gateway::start(&config, store, listener).await.unwrap();
    let client = Client::new(&gateway.origin(), fresh.secret);
    (gateway, client)
}

/// Has whoever commits panic: what is called there when a command fails does.
pub async fn break_books(gateway: &Gateway) {
    for _ in 0..100 {
        let nothing = Conclusion {
            request: RequestId::generate(),
            ends: Vec::new(),
            finish: None,
            now: Timestamp::now(),
        };
        gateway.engine.store().conclude_later(nothing, |_, _| panic!("a fault of this program"));
        if tokio::time::timeout(Duration::from_millis(100), gateway.broken()).await.is_ok() {
            return;
        }
    }
    panic!("the writer goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_books_break_answers_what_is_under_way_and_ends_with_a_failure() {
    let fakes = Fakes::start(FakesOptions::default()).await.unwrap();
    let slow = json!([{"fault": "latency", "ms": 1_500}]);
    fakes.get("openai").unwrap().ctx.faults.set(&slow).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (gateway, client) = gateway(&fakes, folder.path()).await;
    let origin = gateway.origin();
    let asked = client.clone();
    let asking = tokio::task::spawn_blocking(move || {
        let body = json!({"model": "openai/gpt-image-1-mini", "prompt": "a heron", "quality": "low"});
        asked.send("POST", "/v1/images/generations", Some(&body)).unwrap()
    });
    let store = gateway.engine.store().clone();
    while store
        .requests(RequestFilter { limit: 1, ..RequestFilter::default() })
        .await
        .unwrap()
        .requests
        .is_empty()
    {
        assert!(!asking.is_finished(), "it takes a while");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    break_books(&gateway).await;
    drop(store);
    let failure = tokio::time::timeout(SOON, gateway.break_off(BROKEN_GRACE_MS)).await.expect("it ends");
    assert_eq!(failure.exit, 1);
    assert!(failure.message.contains("the books can be written no more"), "{}", failure.message);
    let answer = asking.await.unwrap();
    assert_eq!(answer.status, 200, "it was paid for: {}", answer.body);
    assert!(answer.body["data"][0]["b64_json"].is_string());
    let refused = tokio::task::spawn_blocking(move || client.send("GET", "/healthz", None)).await.unwrap();
    assert!(refused.is_err(), "nobody listens at {origin} any more");

    // The next start finds what is open: nobody saw how it ended, so its maximum goes on counting.
    let (gateway, _) = self::gateway(&fakes, folder.path()).await;
    let project = gateway.engine.store().project(ProjectId::default_project()).await.unwrap().unwrap();
    assert!(project.held.is_zero() && !project.disputed.is_zero(), "{project:?}");
    gateway.end(5_000).await.unwrap();
    fakes.shutdown().await;
}
