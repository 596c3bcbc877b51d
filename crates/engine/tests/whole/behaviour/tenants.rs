//! Keys and projects in front of the stand-ins: what they may use, how fast, and how they share a provider.

use super::ask;
use crate::house::{House, incoming};
use gallerist_domain::{Allowance, Grants, Payer, RateLimits, RequestId};
use gallerist_engine::{Incoming, RefusalKind};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn of_key(model: &str, prompt: &str, allowance: &Allowance) -> Incoming {
    let mut request = ask(model);
    request.prompt = prompt.to_owned();
    let incoming = incoming(request);
    let payer = Payer { key_id: Some("k".to_owned()), ..Payer::clone(&incoming.payer) };
    Incoming { payer: Arc::new(payer), allowance: Arc::new(allowance.clone()), ..incoming }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_buys_only_where_it_may_and_is_told_so() {
    let house = House::open(71).await;
    let grants = Grants { providers: vec!["bfl".to_owned()], ..Grants::default() };
    let allowance = Allowance { grants, ..Allowance::default() };
    let answer = house.engine.generate(of_key("auto", "a heron", &allowance)).await.expect("bfl serves it");
    assert_eq!(answer.meta.provider, "bfl");
    let refusal = house.engine.generate(of_key("openai/gpt-image-2", "a heron", &allowance)).await;
    let refusal = refusal.expect_err("the name itself is forbidden");
    assert_eq!((refusal.kind, refusal.parameter.as_deref()), (RefusalKind::Forbidden, Some("model")));
    assert!(refusal.message.contains("bfl"), "{}", refusal.message);
    let refusal = house.engine.generate(of_key("gpt-image-2", "a heron", &allowance)).await;
    let refusal = refusal.expect_err("nobody else hosts it");
    assert_eq!(refusal.kind, RefusalKind::NoOffer);
    assert!(refusal.excluded.iter().any(|excluded| excluded.code == "provider_forbidden"));
    assert_eq!(house.billed("openai"), 0);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_refuses_before_anything_is_reserved_and_a_repetition_takes_nothing() {
    let house = House::open(72).await;
    let key_limits = RateLimits { requests_per_minute: Some(1), ..RateLimits::NONE };
    let allowance = Allowance { key_limits, ..Allowance::default() };
    let keyed = |key: &str| Incoming {
        idempotency_key: Some(key.to_owned()),
        ..of_key("bfl/flux-2-klein-4b", "a wren", &allowance)
    };
    let first = house.engine.generate(keyed("one")).await.expect("the first is let in");
    let again = house.engine.generate(keyed("one")).await.expect("a repetition asks for nothing new");
    assert_eq!(first.meta.request_id, again.meta.request_id);
    let refusal = house.engine.generate(keyed("two")).await.expect_err("a second one is too fast");
    assert_eq!((refusal.kind, refusal.request_id), (RefusalKind::RateLimited, None));
    let wait_ms = refusal.retry_after_ms.expect("it says when");
    assert!((1..=60_000).contains(&wait_ms), "{wait_ms}");
    let requests = house.store.requests(gallerist_store::RequestFilter { limit: 9, ..Default::default() });
    assert_eq!(requests.await.expect("they are read").requests.len(), 1, "it left no row");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_projects_share_the_places_of_a_provider_and_see_where_they_stand() {
    let house = House::with(73, |settings| {
        let bfl = settings.providers.iter_mut().find(|provider| provider.name == "openai");
        bfl.expect("it is there").concurrency_max = Some(1);
    })
    .await;
    let few = "few".parse::<gallerist_domain::ProjectId>().expect("a name");
    house.store.create_project(few.clone(), None, jiff::Timestamp::now()).await.expect("it is made");
    house.faults("openai", &json!([{"fault": "latency", "ms": 300}]));
    let order: Arc<Mutex<Vec<&str>>> = Arc::default();
    let mut tasks = tokio::task::JoinSet::new();
    let mut start = |name: &'static str, payer: Payer, number: u32| {
        let (engine, order) = (house.engine.clone(), Arc::clone(&order));
        let mut request = ask("openai/gpt-image-2");
        request.prompt = format!("{name} {number}");
        let asked = Incoming { payer: Arc::new(payer), ..incoming(request) };
        tasks.spawn(async move {
            engine.generate(asked).await.expect("it is made in the end");
            order.lock().unwrap().push(name);
        });
    };
    let many = Payer::of(gallerist_domain::ProjectId::default_project());
    (0..5).for_each(|number| start("many", many.clone(), number));
    tokio::time::sleep(Duration::from_millis(100)).await;
    start("few", Payer::of(few), 0);
    tokio::time::sleep(Duration::from_millis(60)).await;
    let filter = gallerist_store::RequestFilter { limit: 9, ..Default::default() };
    let running = house.store.requests(filter).await.expect("they are read").requests;
    let standings = |project: &str| -> Vec<u32> {
        let ids = running.iter().filter(|request| request.project.as_str() == project);
        let waiting = |id: RequestId| house.engine.waiting(id);
        ids.flat_map(|request| waiting(request.id)).map(|call| call.position).collect()
    };
    let few_stands = standings("few");
    assert!(few_stands == [1] || few_stands == [2], "at most one of the others is before it: {few_stands:?}");
    assert!(standings("default").len() >= 3);
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no panic");
    }
    let order = order.lock().unwrap().clone();
    let place = order.iter().position(|name| *name == "few").expect("it was made");
    assert!(place <= 2, "{order:?}");
    house.balance().await;
}
