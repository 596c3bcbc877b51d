//! Crashes in the middle of a call: what the next start makes of them.
//!
//! The engine runs in a runtime of its own, which ends without a word; the stand-ins go on.

use super::{ask, bytes, usd};
use crate::house::{House, incoming, stand_ins};
use gallerist_domain::ImageRequest;
use gallerist_engine::{EngineSettings, Incoming, RefusalKind};
use gallerist_fakes::Fakes;
use gallerist_pricing::sheet::{OutcomeMatrix, Outcomes};
use gallerist_store::{AttemptStatus, RequestDetail, RequestStatus};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The world around the engine, which outlives it.
struct World {
    runtime: Runtime,
    fakes: Arc<Fakes>,
    folder: Arc<TempDir>,
}

impl World {
    fn new(seed: u64) -> World {
        let runtime = Runtime::new().expect("a runtime");
        let fakes = runtime.block_on(stand_ins(seed));
        World { runtime, fakes, folder: Arc::new(tempfile::tempdir().expect("a folder")) }
    }

    fn faults(&self, kind: &str, script: &Value) {
        self.fakes.get(kind).expect("a known kind").ctx.faults.set(script).expect("a valid script");
    }

    /// Runs requests in a gateway that ends in the middle, `after` later.
    fn crash(&self, requests: Vec<Incoming>, after: Duration) {
        let runtime = Runtime::new().expect("a runtime");
        let (fakes, folder) = (Arc::clone(&self.fakes), Arc::clone(&self.folder));
        runtime.block_on(async move {
            let house = House::on(fakes, folder, |_| {}).await;
            for request in requests {
                let engine = house.engine.clone();
                tokio::spawn(async move { engine.generate(request).await });
            }
            tokio::time::sleep(after).await;
        });
        runtime.shutdown_timeout(Duration::from_secs(10));
    }

    /// The gateway again, on the same data, after recovery.
    fn again(&self, adjust: impl FnOnce(&mut EngineSettings)) -> House {
        let (fakes, folder) = (Arc::clone(&self.fakes), Arc::clone(&self.folder));
        let house = self.runtime.block_on(House::on(fakes, folder, adjust));
        self.runtime.block_on(async {
            for _ in 0..200 {
                let books = house.store.books().await.expect("it reads");
                let unfinished = house.store.unfinished_requests().await.expect("it reads");
                if books.open_reservations == 0 && unfinished.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            panic!("the recovery does not end");
        });
        house
    }
}

#[test]
fn an_engine_that_ends_before_its_settlement_is_written_lets_go_of_the_books() {
    let world = World::new(44);
    // One thread, so that nothing runs once the answer is there: the settlement lies in the store, patiently.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (fakes, folder) = (Arc::clone(&world.fakes), Arc::clone(&world.folder));
    runtime.block_on(async move {
        let house = House::on(fakes, folder, |_| {}).await;
        let request = ImageRequest::new("openai/gpt-image-2", "a kite");
        house.engine.generate(incoming(request)).await.expect("it is made");
    });
    drop(runtime);
    // Where something still held the store, its folder would be locked.
    let house = world.again(|_| {});
    let detail = newest(&world, &house);
    assert_eq!(detail.request.status, RequestStatus::Succeeded, "what was asked of the store is done");
    assert_eq!(detail.attempts[0].status, AttemptStatus::Settled);
}

fn in_time(request: ImageRequest) -> Vec<Incoming> {
    vec![incoming(request)]
}

fn newest(world: &World, house: &House) -> RequestDetail {
    world.runtime.block_on(house.newest())
}

#[test]
fn a_job_whose_id_was_stored_is_looked_up_and_its_picture_kept() {
    for (model, kind) in [("bfl/flux-2-pro", "bfl"), ("fal/flux-2-pro", "fal")] {
        let world = World::new(91);
        world.faults(kind, &json!([{"fault": "latency", "ms": 700}]));
        world.crash(in_time(ask(model)), Duration::from_millis(350));
        let house = world.again(|_| {});
        let detail = newest(&world, &house);
        assert_eq!(detail.attempts[0].status, AttemptStatus::Settled, "{model}: {:?}", detail.attempts);
        assert_eq!(detail.request.charged.get(), house.billed(kind));
        world.runtime.block_on(async {
            let replayed = house.engine.replay(detail.request.id).await.expect("it is known");
            let replayed = replayed.expect("its picture was kept");
            assert_eq!(replayed.images.len(), 1);
            assert!(!bytes(&replayed.images[0]).is_empty());
            assert_eq!(replayed.meta.cost.charged_usd, detail.request.charged, "{model}");
            assert_eq!(house.balance().await, 0);
        });
    }
}

#[test]
fn every_job_of_a_request_keeps_its_own_picture() {
    let world = World::new(92);
    world.faults("bfl", &json!([{"fault": "latency", "ms": 700}]));
    let mut request = ask("bfl/flux-2-pro");
    request.n = 3;
    let keyed = Incoming { idempotency_key: Some("crash-1".to_owned()), ..incoming(request) };
    world.crash(vec![keyed.clone()], Duration::from_millis(350));
    let house = world.again(|_| {});
    world.runtime.block_on(async {
        // The same key again: what was paid is delivered, nothing is bought.
        let replayed = house.engine.generate(keyed).await.expect("the pictures are there");
        let distinct: std::collections::BTreeSet<_> = replayed.images.iter().map(bytes).collect();
        assert_eq!((replayed.images.len(), distinct.len()), (3, 3));
        assert_eq!(replayed.meta.cost.charged_usd, usd("0.09"));
        assert_eq!(house.billed("bfl"), usd("0.09").get());
        assert_eq!(house.balance().await, 0);
    });
}

#[test]
fn a_key_whose_job_is_being_looked_up_is_asked_to_wait_and_gets_the_picture_then() {
    let world = World::new(97);
    world.faults("bfl", &json!([{"fault": "latency", "ms": 4_000}]));
    let asked = Incoming { idempotency_key: Some("crash-3".to_owned()), ..incoming(ask("bfl/flux-2-pro")) };
    world.crash(vec![asked.clone()], Duration::from_millis(350));
    let (fakes, folder) = (Arc::clone(&world.fakes), Arc::clone(&world.folder));
    world.runtime.block_on(async {
        let house = House::on(fakes, folder, |_| {}).await;
        let repeated = Incoming { idempotency_key: None, retry_count: 1, ..asked.clone() };
        for early in [asked.clone(), repeated] {
            let refusal = house.engine.generate(early).await.expect_err("it is not over");
            assert_eq!(refusal.kind, RefusalKind::Overloaded, "{refusal:?}");
            assert!(refusal.retry_after_ms.is_some() && !refusal.may_have_charged(), "an SDK asks again");
        }
        house.settled_within(Duration::from_secs(20)).await;
        let answer = house.engine.generate(asked).await.expect("its picture is there");
        assert_eq!(answer.meta.cost.charged_usd, usd("0.03"));
        assert_eq!(house.billed("bfl"), usd("0.03").get());
        assert_eq!(house.balance().await, 0);
    });
}

#[test]
fn a_recovered_answer_has_one_place_per_picture_so_that_a_stream_knows_its_last() {
    let world = World::new(98);
    world.faults("bfl", &json!([{"fault": "latency", "ms": 700}]));
    let mut request = ask("bfl/flux-2-pro");
    request.n = 3;
    world.crash(in_time(request), Duration::from_millis(350));
    let house = world.again(|_| {});
    world.runtime.block_on(async {
        let id = house.newest().await.request.id;
        let replayed = house.engine.replay(id).await.expect("it is known").expect("its pictures were kept");
        assert_eq!((replayed.images.len(), replayed.meta.revised_prompts.len()), (3, 3));
        assert_eq!(house.balance().await, 0);
    });
}

#[test]
fn a_call_without_a_job_is_disputed_with_a_reason() {
    for (model, kind) in [("openai/gpt-image-2", "openai"), ("stability/sd3.5-large", "stability")] {
        let world = World::new(93);
        world.faults(kind, &json!([{"fault": "latency", "ms": 600}]));
        world.crash(in_time(ask(model)), Duration::from_millis(250));
        let house = world.again(|_| {});
        let detail = newest(&world, &house);
        let attempt = &detail.attempts[0];
        assert_eq!(attempt.status, AttemptStatus::Disputed);
        assert!(attempt.dispute_reason.as_deref().is_some_and(|reason| reason.contains("stopped")));
        assert_eq!(detail.request.disputed, attempt.reserved);
        world.runtime.block_on(async {
            // No price of these is official.
            let told = house.disputes_told().await;
            let reserved = json!(attempt.reserved);
            assert_eq!((&told[0]["maximum_usd"], &told[0]["doubtful_usd"]), (&reserved, &reserved));
            let again = Incoming { retry_count: 1, ..incoming(ask(model)) };
            let refusal = house.engine.generate(again).await.expect_err("it may have been charged");
            assert!(refusal.may_have_charged());
            assert_eq!(refusal.disputed, attempt.reserved);
            assert_eq!(house.balance().await, 1);
        });
    }
}

#[test]
fn a_key_whose_only_try_was_free_can_be_used_after_a_crash() {
    let world = World::new(94);
    // The first offer is refused for free, the crash comes during the second, whose job fails for free.
    world.faults("fal", &json!([{"fault": "429", "count": 1}]));
    world.faults("bfl", &json!([{"fault": "task_error", "count": 1}, {"fault": "latency", "ms": 600}]));
    let keyed = Incoming { idempotency_key: Some("crash-2".to_owned()), ..incoming(ask("flux-2-pro")) };
    world.crash(vec![keyed.clone()], Duration::from_millis(400));
    let house = world.again(|_| {});
    assert_eq!(newest(&world, &house).request.disputed, usd("0"));
    assert_eq!(newest(&world, &house).request.charged, usd("0"));
    world.faults("bfl", &json!([]));
    world.runtime.block_on(async {
        let answer = house.engine.generate(keyed).await.expect("nothing was charged, so it runs anew");
        assert!(!answer.meta.cached);
        assert_eq!(house.balance().await, 0);
    });
}

#[test]
fn jobs_of_a_provider_that_is_no_longer_configured_are_disputed() {
    let world = World::new(95);
    world.faults("bfl", &json!([{"fault": "latency", "ms": 700}]));
    world.crash(in_time(ask("bfl/flux-2-pro")), Duration::from_millis(350));
    let house = world.again(|settings| settings.providers.retain(|provider| provider.name != "bfl"));
    let attempt = newest(&world, &house).attempts.remove(0);
    assert_eq!(attempt.status, AttemptStatus::Disputed);
    assert!(attempt.dispute_reason.is_some_and(|reason| reason.contains("configuration")));
    assert_eq!(world.runtime.block_on(house.balance()), 1);
}

#[test]
fn a_disputed_job_is_asked_for_again_at_the_next_start() {
    let world = World::new(96);
    world.faults("bfl", &json!([{"fault": "hang", "ms": 60_000, "operation": "poll"}]));
    let house = world.again(|settings| settings.limits.deadline_ms = 800);
    world.runtime.block_on(async {
        let refusal = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect_err("it hangs");
        assert_eq!(refusal.disputed, usd("0.03"));
        house.leave().await;
    });
    world.faults("bfl", &json!([]));
    let house = world.again(|_| {});
    world.runtime.block_on(async {
        for _ in 0..100 {
            if house.newest().await.attempts[0].status == AttemptStatus::Settled {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(house.newest().await.request.charged, usd("0.03"));
        assert_eq!(house.balance().await, 0);
    });
}

/// Sweeps follow each other at once, and ask for a moment only.
fn hurried(settings: &mut EngineSettings) {
    settings.limits.sweep_every_ms = 150;
    settings.limits.look_up_ms = 400;
}

/// Waits until the first attempt of the newest request has ended as `status`.
async fn ended_as(house: &House, status: AttemptStatus) -> RequestDetail {
    for _ in 0..300 {
        let detail = house.newest().await;
        if detail.attempts[0].status == status {
            return detail;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it did not become {status}: {:?}", house.newest().await);
}

#[test]
fn a_job_that_runs_on_after_a_crash_is_waited_for_and_not_cancelled() {
    let world = World::new(97);
    world.faults("fal", &json!([{"fault": "latency", "ms": 3_500}]));
    world.crash(in_time(ask("fal/flux-2-pro")), Duration::from_millis(350));
    let house = world.again(hurried);
    let detail = newest(&world, &house);
    assert_eq!(detail.attempts[0].status, AttemptStatus::Settled, "{:?}", detail.attempts);
    assert_eq!(detail.attempts[0].images, 1);
    world.runtime.block_on(async {
        let replayed = house.engine.replay(detail.request.id).await.expect("it is known");
        assert_eq!(replayed.expect("its picture was kept").images.len(), 1);
        assert_eq!(house.balance().await, 0);
    });
}

#[test]
fn a_recovered_picture_is_asked_for_until_it_can_be_fetched() {
    let world = World::new(98);
    world.faults("bfl", &json!([{"fault": "latency", "ms": 700}]));
    world.crash(in_time(ask("bfl/flux-2-pro")), Duration::from_millis(350));
    world.faults("bfl", &json!([{"fault": "500", "operation": "download", "count": 7}]));
    let house = world.again(hurried);
    let detail = newest(&world, &house);
    assert_eq!((detail.attempts[0].status, detail.attempts[0].images), (AttemptStatus::Settled, 1));
    world.runtime.block_on(async {
        let replayed = house.engine.replay(detail.request.id).await.expect("it is known");
        assert_eq!(replayed.expect("its picture was kept").images.len(), 1);
        assert_eq!(house.balance().await, 0);
    });
}

#[test]
fn a_dispute_that_a_look_up_ends_is_a_delivered_picture() {
    let world = World::new(99);
    world.faults("bfl", &json!([{"fault": "hang", "ms": 60_000, "operation": "poll", "count": 1}]));
    let house = world.again(|settings| {
        hurried(settings);
        settings.limits.look_up_ms = 3_000;
        settings.limits.deadline_ms = 800;
    });
    world.runtime.block_on(async {
        let keyed =
            Incoming { idempotency_key: Some("late-1".to_owned()), ..incoming(ask("bfl/flux-2-pro")) };
        let refusal = house.engine.generate(keyed.clone()).await.expect_err("it hangs");
        assert_eq!(refusal.disputed, usd("0.03"));
        let detail = ended_as(&house, AttemptStatus::Settled).await;
        assert_eq!((detail.request.status, detail.request.images_delivered), (RequestStatus::Succeeded, 1));
        assert_eq!(detail.request.error_code, None);
        assert_eq!(detail.attempts[0].images, 1);
        assert!(detail.attempts[0].provider_request_id.is_some());
        let usage = house.store.usage(gallerist_store::UsageQuery::default()).await.expect("it reads");
        assert_eq!((usage.totals.images, usage.totals.wasted), (1, usd("0")));
        let replayed = house.engine.generate(keyed).await.expect("the same key answers with the picture");
        assert_eq!(replayed.meta.cost.charged_usd, usd("0.03"));
        assert_eq!(replayed.meta.cost.disputed_usd, None);
        assert_eq!(house.balance().await, 0);
    });
}

#[test]
fn a_picture_that_comes_late_stands_behind_those_that_were_answered() {
    let world = World::new(100);
    world.faults("bfl", &json!([{"fault": "hang", "ms": 60_000, "operation": "poll", "count": 1}]));
    let house = world.again(|settings| {
        hurried(settings);
        settings.limits.look_up_ms = 3_000;
        settings.limits.deadline_ms = 4_000;
    });
    world.runtime.block_on(async {
        let mut request = ask("bfl/flux-2-pro");
        request.n = 2;
        let answer = house.engine.generate(incoming(request)).await.expect("one of them is made");
        assert_eq!(
            (answer.images.len(), answer.meta.missing.as_ref().map(|missing| missing.count)),
            (1, Some(1))
        );
        let id = answer.meta.request_id;
        let mut detail = house.settled().await;
        for _ in 0..200 {
            detail = house.newest().await;
            if detail.request.disputed == usd("0") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!((detail.request.status, detail.request.images_delivered), (RequestStatus::Succeeded, 2));
        let now = jiff::Timestamp::now();
        let late = house.store.picture(id, 1, now).await.expect("it reads");
        assert!(late.is_some_and(|late| late.data.to_vec() != bytes(&answer.images[0])));
        assert!(
            house.store.picture(id, 0, now).await.expect("it reads").is_none(),
            "that is the answered one"
        );
        assert_eq!(house.balance().await, 0);
    });
}

#[test]
fn a_job_that_has_said_its_last_word_is_asked_for_no_more() {
    let world = World::new(101);
    // Nobody says whether a failed job is charged.
    let unknown = |settings: &mut EngineSettings| {
        hurried(settings);
        settings.limits.deadline_ms = 4_000;
        for provider in &mut Arc::make_mut(&mut settings.catalogue).providers {
            for model in &mut Arc::make_mut(provider).models {
                let usual = Arc::new(OutcomeMatrix::new(Vec::new()));
                let (by_operation, by_region) = (Vec::new(), Vec::new());
                Arc::make_mut(model).outcomes = Arc::new(Outcomes { usual, by_operation, by_region });
            }
        }
    };
    world.faults("bfl", &json!([{"fault": "task_error"}, {"fault": "null_cost"}]));
    let house = world.again(unknown);
    world.runtime.block_on(async {
        house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect_err("it fails");
        for _ in 0..100 {
            let disputed = house.store.disputed_attempts().await.expect("it reads");
            if disputed.len() == 1 && disputed[0].pending_json.is_none() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it is asked for for ever");
    });
    assert_eq!(world.runtime.block_on(house.balance()), 1);
}
