//! Clients that go away, providers that never answer, and the end of the program.

use super::{ask, bytes, usd};
use crate::house::{House, incoming};
use gallerist_domain::{RequestId, Ticks};
use gallerist_engine::{Answer, RefusalKind};
use gallerist_store::{AttemptStatus, RequestStatus};
use serde_json::json;
use std::time::{Duration, Instant};

/// The answer of a request whose client has gone, once its pictures are on disk.
async fn kept(house: &House, request: RequestId) -> Answer {
    for _ in 0..400 {
        if let Some(Ok(answer)) = house.engine.replay(request).await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("its pictures were not kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_whose_client_has_gone_is_paid_and_stays_fetchable() {
    let house = House::open(51).await;
    for model in ["bfl/flux-2-pro", "openai/gpt-image-2", "fal/flux-2-pro"] {
        let kind = model.split('/').next().expect("a provider");
        house.faults(kind, &json!([{"fault": "latency", "ms": 200}]));
        let gone =
            tokio::time::timeout(Duration::from_millis(100), house.engine.generate(incoming(ask(model))))
                .await;
        assert!(gone.is_err());
        let detail = house.settled().await;
        assert_eq!(detail.attempts[0].status, AttemptStatus::Settled, "{model}");
        assert_eq!(detail.request.charged.get(), house.billed(kind));
        let replayed = kept(&house, detail.request.id).await;
        assert_eq!(replayed.images.len(), 1);
        assert_eq!(replayed.meta.cost.charged_usd, detail.request.charged);
        let kept = house.store.picture(detail.request.id, 0, jiff::Timestamp::now()).await.expect("it reads");
        assert_eq!(kept.expect("it is kept").data.to_vec(), bytes(&replayed.images[0]));
        let hour = jiff::SignedDuration::from_mins(59);
        let later = jiff::Timestamp::now().checked_add(hour).expect("within time");
        assert!(house.store.picture(detail.request.id, 0, later).await.expect("it reads").is_some());
        let later = later.checked_add(hour).expect("within time");
        assert!(house.store.picture(detail.request.id, 0, later).await.expect("it reads").is_none());
    }
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_leave_at_any_moment_lose_no_paid_picture() {
    let house = House::open(52).await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..60u64 {
        let engine = house.engine.clone();
        tasks.spawn(async move {
            let mut request = ask("openai/gpt-image-2");
            request.prompt = format!("boat number {number}");
            let answer =
                tokio::time::timeout(Duration::from_millis(number * 4), engine.generate(incoming(request)));
            answer.await.is_ok()
        });
    }
    let mut served = 0;
    while let Some(whole) = tasks.join_next().await {
        served += usize::from(whole.expect("no panic"));
    }
    house.engine.shut_down(20_000).await;
    let filter = gallerist_store::RequestFilter { limit: 1_000, ..Default::default() };
    let mut kept = 0;
    for request in house.store.requests(filter).await.expect("it reads").requests {
        assert_eq!(request.status, RequestStatus::Succeeded);
        kept += usize::from(house.engine.replay(request.id).await.is_some_and(|ending| ending.is_ok()));
    }
    // Whoever left before the request was begun bought nothing.
    let begun = house.attempts().await.len();
    assert_eq!(served + kept, begun, "{served} were served, {kept} are kept, of {begun}");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_never_answers_is_disputed_at_the_deadline() {
    let house = House::with(53, |settings| settings.limits.deadline_ms = 900).await;
    // fal and bfl hang where the job is accepted, and where it is asked for.
    let table = [
        ("openai/gpt-image-2", "openai", json!([{"fault": "hang", "ms": 60_000}])),
        ("stability/sd3.5-large", "stability", json!([{"fault": "hang", "ms": 60_000}])),
        ("bfl/flux-2-pro", "bfl", json!([{"fault": "hang", "ms": 60_000, "operation": "poll"}])),
        ("bfl/flux-2-pro", "bfl", json!([{"fault": "latency", "ms": 60_000}])),
    ];
    for (model, kind, faults) in table {
        house.faults(kind, &faults);
        let began = Instant::now();
        let refusal = house.engine.generate(incoming(ask(model))).await.expect_err("it hangs");
        assert!(began.elapsed() < Duration::from_secs(8), "{model}");
        assert_eq!(refusal.kind, RefusalKind::UpstreamTimeout, "{model}: {refusal:?}");
        assert_eq!(refusal.kind.status(), 504);
        let attempt = house.settled().await.attempts.remove(0);
        assert_eq!(refusal.disputed, attempt.reserved);
        assert!(refusal.message.contains("not known"), "{}", refusal.message);
        house.faults(kind, &json!([]));
    }
    assert_eq!(house.balance().await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_uses_up_the_time_leaves_none_for_the_next_offer() {
    let house = House::with(54, |settings| settings.limits.deadline_ms = 700).await;
    house.faults("fal", &json!([{"fault": "hang", "ms": 60_000}]));
    let refusal = house.engine.generate(incoming(ask("flux-2-pro"))).await.expect_err("no time is left");
    assert_eq!(refusal.kind, RefusalKind::UpstreamTimeout);
    assert_eq!(refusal.attempts.len(), 1);
    assert_eq!(house.billed("bfl"), 0);
    house.balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_at_a_provider_are_kept_and_waiting_costs_nothing() {
    let house = House::with(55, |settings| {
        settings.limits.waiting_per_provider_max = 1;
        let openai = settings.providers.iter_mut().find(|provider| provider.name == "openai");
        openai.expect("it is there").concurrency_max = Some(1);
    })
    .await;
    house.faults("openai", &json!([{"fault": "latency", "ms": 1_000}]));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..4 {
        let engine = house.engine.clone();
        tasks.spawn(async move {
            let mut request = ask("openai/gpt-image-2");
            request.prompt = format!("place number {number}");
            engine.generate(incoming(request)).await
        });
    }
    let mut kinds = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        kinds.push(ended.expect("no panic").err().map(|refusal| (refusal.kind, refusal.disputed)));
    }
    let busy = kinds.iter().filter(|kind| **kind == Some((RefusalKind::RateLimited, Ticks::ZERO))).count();
    assert_eq!(kinds.iter().filter(|kind| kind.is_none()).count(), 2, "one by one: {kinds:?}");
    assert_eq!(busy, 2, "{kinds:?}");
    house.balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_waits_for_what_runs_and_admits_nothing_new() {
    let house = House::open(56).await;
    house.faults("bfl", &json!([{"fault": "latency", "ms": 600}]));
    let engine = house.engine.clone();
    let running = tokio::spawn(async move { engine.generate(incoming(ask("bfl/flux-2-pro"))).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    let engine = house.engine.clone();
    let stopping = tokio::spawn(async move { engine.shut_down(20_000).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let refusal = house.engine.generate(incoming(ask("bfl/flux-2-max"))).await.expect_err("it stops");
    assert_eq!(refusal.kind, RefusalKind::Overloaded);
    assert!(!refusal.may_have_charged());
    let mut events = house.engine.generate_stream(incoming(ask("bfl/flux-2-max")));
    assert!(matches!(events.recv().await, Some(gallerist_engine::StreamEvent::Failed(_))));
    let answer = running.await.expect("no panic").expect("what ran is finished");
    stopping.await.expect("no panic");
    assert_eq!(answer.meta.cost.charged_usd, usd("0.03"));
    assert_eq!(house.settled().await.request.status, RequestStatus::Succeeded);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_is_over_when_its_grace_is() {
    let house = House::open(57).await;
    house.faults("openai", &json!([{"fault": "hang", "ms": 60_000}]));
    let engine = house.engine.clone();
    tokio::spawn(async move { engine.generate(incoming(ask("openai/gpt-image-2"))).await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    let began = Instant::now();
    house.engine.shut_down(200).await;
    assert!(began.elapsed() < Duration::from_secs(2));
    let attempt = house.attempts().await.remove(0);
    assert_eq!(attempt.status, AttemptStatus::Disputed);
    assert!(attempt.dispute_reason.is_some_and(|reason| reason.contains("gateway stopped")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_leaves_a_job_to_the_next_start() {
    let house = House::open(59).await;
    house.faults("bfl", &json!([{"fault": "latency", "ms": 2_000}]));
    let engine = house.engine.clone();
    tokio::spawn(async move { engine.generate(incoming(ask("bfl/flux-2-pro"))).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    house.engine.shut_down(100).await;
    assert_eq!(house.attempts().await[0].status, AttemptStatus::Reserved);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_cannot_be_kept_has_no_address_and_goes_out_in_the_answer() {
    let house = House::open(58).await;
    // Nothing can be written into a folder that is a file.
    std::fs::write(house.folder.path().join("pictures"), "").expect("the folder can be written");
    let mut request = ask("bfl/flux-2-pro");
    request.response_format = gallerist_domain::ResponseFormat::Url;
    let answer = house.engine.generate(incoming(request)).await.expect("it is made and paid");
    assert_eq!(answer.images[0].url_path, None);
    assert!(!super::bytes(&answer.images[0]).is_empty());
    assert_eq!(house.balance().await, 0);
}
