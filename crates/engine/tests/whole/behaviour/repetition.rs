//! Repetitions pay once: the same key and body, and the automatic repetitions of an SDK.

use super::{ask, files, usd};
use crate::house::{House, incoming};
use gallerist_domain::{
    Allowance, Clock as _, FixedClock, ImageRequest, Payer, RateLimits, RequestId, ResponseFormat,
};
use gallerist_engine::{Answer, Incoming, RefusalKind};
use gallerist_store::RequestStatus;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

fn keyed(request: ImageRequest, key: &str) -> Incoming {
    Incoming { idempotency_key: Some(key.to_owned()), ..incoming(request) }
}

fn repeated(request: ImageRequest) -> Incoming {
    Incoming { retry_count: 1, ..incoming(request) }
}

fn same(first: &Answer, second: &Answer) {
    assert_eq!(first.meta.request_id, second.meta.request_id);
    assert!(files(first) == files(second), "the same pictures");
    assert_eq!(first.meta.cost, second.meta.cost);
    assert!(second.meta.cached);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_pays_once_at_once_afterwards_and_after_a_restart() {
    let house = House::open(41).await;
    house.faults("bfl", &json!([{"fault": "latency", "ms": 200}]));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let engine = house.engine.clone();
        tasks.spawn(async move { engine.generate(keyed(ask("bfl/flux-2-pro"), "k-1")).await });
    }
    let mut answers = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        answers.push(answer.expect("no panic").expect("every one is answered"));
    }
    assert_eq!(answers.iter().filter(|answer| !answer.meta.cached).count(), 1);
    let first = answers.iter().find(|answer| !answer.meta.cached).expect("it was counted").clone();
    answers.iter().filter(|answer| answer.meta.cached).for_each(|answer| same(&first, answer));
    let later = house.engine.generate(keyed(ask("bfl/flux-2-pro"), "k-1")).await.expect("it is replayed");
    same(&first, &later);
    assert_eq!(house.billed("bfl"), usd("0.03").get());
    assert_eq!(house.attempts().await.len(), 1);

    let (fakes, folder) = house.leave().await;
    let house = House::on(fakes, folder, |_| {}).await;
    let after = house.engine.generate(keyed(ask("bfl/flux-2-pro"), "k-1")).await.expect("it is replayed");
    same(&first, &after);
    let refusal = house.engine.generate(keyed(ask("bfl/flux-2-max"), "k-1")).await.expect_err("another body");
    assert_eq!(refusal.kind, RefusalKind::IdempotencyConflict);
    assert_eq!(refusal.request_id, Some(first.meta.request_id));
    assert_eq!(house.billed("bfl"), usd("0.03").get());
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_body_under_the_same_key_is_refused_also_while_the_first_runs() {
    let house = House::open(42).await;
    house.faults("bfl", &json!([{"fault": "latency", "ms": 300}]));
    let engine = house.engine.clone();
    let first = tokio::spawn(async move { engine.generate(keyed(ask("bfl/flux-2-pro"), "k-2")).await });
    tokio::time::sleep(Duration::from_millis(120)).await;
    let refusal = house.engine.generate(keyed(ask("bfl/flux-2-max"), "k-2")).await.expect_err("another body");
    assert_eq!(refusal.kind, RefusalKind::IdempotencyConflict);
    first.await.expect("no panic").expect("the first is served");
    assert_eq!(house.billed("bfl"), usd("0.03").get());
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_free_again_after_a_free_failure_and_bound_after_a_charged_one() {
    let house = House::open(43).await;
    house.faults("bfl", &json!([{"fault": "429", "count": 1}]));
    let refusal = house.engine.generate(keyed(ask("bfl/flux-2-pro"), "k-3")).await.expect_err("busy");
    assert!(!refusal.may_have_charged());
    house.engine.generate(keyed(ask("bfl/flux-2-pro"), "k-3")).await.expect("the key is free");

    for (key, fault) in [("k-4", "reset_after"), ("k-5", "blank")] {
        house.faults("bfl", &json!([{"fault": fault, "count": 1}]));
        let first = house.engine.generate(keyed(ask("bfl/flux-2-pro"), key)).await.expect_err("it fails");
        let second = house.engine.generate(keyed(ask("bfl/flux-2-pro"), key)).await.expect_err("replayed");
        assert!(second.may_have_charged());
        assert_eq!(
            (first.kind, first.charged, first.disputed),
            (second.kind, second.charged, second.disputed)
        );
        assert_eq!(first.message, second.message);
    }
    assert_eq!(house.billed("bfl"), usd("0.09").get());
    assert_eq!(house.balance().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_automatic_repetition_joins_what_runs_and_what_just_finished() {
    let house = House::open(44).await;
    house.faults("bfl", &json!([{"fault": "latency", "ms": 300}]));
    let engine = house.engine.clone();
    let first = tokio::spawn(async move { engine.generate(incoming(ask("bfl/flux-2-pro"))).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let joined = house.engine.generate(repeated(ask("bfl/flux-2-pro"))).await.expect("it joins");
    let first = first.await.expect("no panic").expect("it is served");
    same(&first, &joined);
    let later = house.engine.generate(repeated(ask("bfl/flux-2-pro"))).await.expect("it joins");
    same(&first, &later);
    assert_eq!(house.billed("bfl"), usd("0.03").get());
    // A first try is a new wish.
    house.faults("bfl", &json!([]));
    let new = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect("it is made");
    assert_ne!(new.meta.request_id, first.meta.request_id);
    assert_eq!(house.billed("bfl"), usd("0.06").get());
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_whose_first_answer_is_no_longer_held_is_not_bought_again() {
    let house = House::with(45, |settings| settings.limits.recent_answer_bytes_max = 2_000).await;
    let first = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect("it is made");
    let refusal = house.engine.generate(repeated(ask("bfl/flux-2-pro"))).await.expect_err("not held");
    assert_eq!(refusal.request_id, Some(first.meta.request_id));
    assert!(refusal.may_have_charged(), "an SDK must not go on trying");
    assert_eq!(house.billed("bfl"), usd("0.03").get());
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_of_a_free_failure_tries_again() {
    let house = House::open(46).await;
    house.faults("bfl", &json!([{"fault": "429", "count": 1}]));
    house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect_err("busy");
    house.engine.generate(repeated(ask("bfl/flux-2-pro"))).await.expect("it is tried again");
    assert_eq!(house.billed("bfl"), usd("0.03").get());
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_of_a_disputed_try_is_refused_also_after_a_restart() {
    let house = House::open(47).await;
    house.faults("bfl", &json!([{"fault": "reset_after", "count": 1}]));
    let first = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect_err("it broke");
    assert_eq!(first.disputed, usd("0.03"));
    let joined = house.engine.generate(repeated(ask("bfl/flux-2-pro"))).await.expect_err("not again");
    assert!(joined.may_have_charged());
    let (fakes, folder) = house.leave().await;
    let house = House::on(fakes, folder, |_| {}).await;
    let after = house.engine.generate(repeated(ask("bfl/flux-2-pro"))).await.expect_err("not again");
    assert!(after.may_have_charged());
    assert_eq!((after.kind, after.disputed), (first.kind, usd("0.03")));
    assert_eq!(after.request_id, first.request_id);
    assert_eq!(house.attempts().await.len(), 1);
    assert_eq!(house.balance().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_binds_streams_too() {
    let house = House::open(48).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut request = ask("openai/gpt-image-2");
        request.stream = true;
        let mut events = house.engine.generate_stream(keyed(request, "k-6"));
        while let Some(event) = events.recv().await {
            match event {
                gallerist_engine::StreamEvent::Completed { meta, .. } => ids.push(meta.request_id),
                gallerist_engine::StreamEvent::Failed(refusal) => panic!("{refusal:?}"),
                gallerist_engine::StreamEvent::Partial { .. } => {}
            }
        }
    }
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1]);
    assert_eq!(house.attempts().await.len(), 1);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_replays_addresses_to_a_client_that_asked_for_addresses() {
    let house = House::open(49).await;
    let mut request = ask("bfl/flux-2-pro");
    request.response_format = gallerist_domain::ResponseFormat::Url;
    let path = |answer: &Answer| answer.images[0].url_path.clone().expect("an address");
    let first = house.engine.generate(keyed(request.clone(), "k-7")).await.expect("it is made");
    let path_of = |path: &str| path.split('?').next().map(str::to_owned);
    let (fakes, folder) = house.leave().await;
    let house = House::on(fakes, folder, |_| {}).await;
    let replayed = house.engine.generate(keyed(request, "k-7")).await.expect("it is replayed");
    assert_eq!(path_of(&path(&first)), path_of(&path(&replayed)));
    assert_eq!(house.balance().await, 0);
}

fn by_address(model: &str) -> ImageRequest {
    let mut request = ask(model);
    request.response_format = ResponseFormat::Url;
    request
}

/// Path of the first picture's address, and when that expires.
fn address(answer: &Answer) -> (String, i64) {
    let address = answer.images[0].url_path.clone().expect("an address");
    let (path, query) = address.split_once('?').expect("it is signed");
    let expires = query.split('&').find_map(|pair| pair.strip_prefix("expires=")).expect("it expires");
    (path.to_owned(), expires.parse().expect("seconds"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_joins_the_twin_that_runs_although_the_other_failed_for_free() {
    let house = House::open(141).await;
    house.faults("openai", &json!([{"fault": "latency", "ms": 900}]));
    let engine = house.engine.clone();
    let slow = tokio::spawn(async move { engine.generate(incoming(ask("openai/gpt-image-2"))).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    house.faults("openai", &json!([{"fault": "429", "count": 1}]));
    let twin = house.engine.generate(incoming(ask("openai/gpt-image-2"))).await.expect_err("busy");
    assert!(!twin.may_have_charged());
    // The client of the slow one gives up and its SDK asks again.
    slow.abort();
    let joined = house.engine.generate(repeated(ask("openai/gpt-image-2"))).await.expect("it joins");
    assert!(joined.meta.cached);
    assert_eq!(house.billed("openai"), joined.meta.cost.charged_usd.get(), "it was bought once");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_failure_hides_no_paid_answer_from_a_repetition_also_after_a_restart() {
    let house = House::open(142).await;
    let first = house.engine.generate(incoming(by_address("bfl/flux-2-pro"))).await.expect("it is made");
    house.faults("bfl", &json!([{"fault": "429", "count": 1}]));
    house.engine.generate(incoming(by_address("bfl/flux-2-pro"))).await.expect_err("busy");
    let joined = house.engine.generate(repeated(by_address("bfl/flux-2-pro"))).await.expect("it joins");
    same(&first, &joined);
    let (fakes, folder) = house.leave().await;
    let house = House::on(fakes, folder, |_| {}).await;
    let after = house.engine.generate(repeated(by_address("bfl/flux-2-pro"))).await.expect("it is replayed");
    same(&first, &after);
    assert_eq!(address(&after), address(&first), "an address lives as long as its picture");
    assert_eq!(house.billed("bfl"), usd("0.03").get());
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_by_another_key_of_the_project_is_a_wish_of_its_own_also_after_a_restart() {
    let by = |key: &str, incoming: Incoming| Incoming {
        payer: Arc::new(Payer { key_id: Some(key.to_owned()), ..Payer::clone(&incoming.payer) }),
        ..incoming
    };
    let house = House::open(143).await;
    let first = house.engine.generate(by("one", incoming(by_address("bfl/flux-2-pro")))).await.expect("made");
    let (fakes, folder) = house.leave().await;
    let house = House::on(fakes, folder, |_| {}).await;
    let other = house.engine.generate(by("two", repeated(by_address("bfl/flux-2-pro")))).await.expect("made");
    assert_ne!(other.meta.request_id, first.meta.request_id);
    let own =
        house.engine.generate(by("one", repeated(by_address("bfl/flux-2-pro")))).await.expect("replayed");
    assert_eq!(own.meta.request_id, first.meta.request_id);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_replays_its_pictures_for_a_day_and_a_replayed_address_ends_with_its_picture() {
    let clock = Arc::new(FixedClock::new(Timestamp::now()));
    let theirs = Arc::clone(&clock);
    let house = House::with(144, |settings| settings.clock = theirs).await;
    let asked = || Incoming { accepted_at: clock.now(), ..keyed(by_address("bfl/flux-2-pro"), "k-8") };
    let first = house.engine.generate(asked()).await.expect("it is made");
    let bound_until = house.store.bound_until(first.meta.request_id).await.expect("it reads");
    let bound_until = bound_until.expect("its key is bound").as_second();
    for hours in [2, 23] {
        let began = Timestamp::from_second(bound_until).expect("a time") - SignedDuration::from_hours(24);
        clock.set(began + SignedDuration::from_hours(hours));
        house.store.sweep(clock.now()).await.expect("it sweeps");
        let replayed = house.engine.generate(asked()).await.expect("it is replayed");
        assert_eq!(replayed.meta.request_id, first.meta.request_id, "after {hours} hours");
        assert_eq!(files(&replayed), files(&first));
        assert_eq!(address(&replayed), (address(&first).0, bound_until));
    }
    assert_eq!(house.billed("bfl"), usd("0.03").get());
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_failure_is_marked_so_that_its_amounts_are_counted_once() {
    let house = House::open(145).await;
    house.faults("bfl", &json!([{"fault": "blank", "count": 1}]));
    let first = house.engine.generate(keyed(ask("bfl/flux-2-pro"), "k-9")).await.expect_err("it is blank");
    let second =
        house.engine.generate(keyed(ask("bfl/flux-2-pro"), "k-9")).await.expect_err("it is replayed");
    assert_eq!((first.replayed, second.replayed), (false, true));
    assert_eq!(first.charged, second.charged);
    assert_eq!(house.store.charged_since_opened(), first.charged);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_stored_with_the_instant_of_its_acceptance() {
    let house = House::open(146).await;
    let accepted_at = Timestamp::from_second(Timestamp::now().as_second() - 40).expect("a time");
    let asked = Incoming { accepted_at, ..incoming(ask("bfl/flux-2-pro")) };
    house.engine.generate(asked).await.expect("it is made");
    assert_eq!(house.settled().await.request.created_at, accepted_at);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_deletes_the_pictures_that_a_crash_left_without_a_row() {
    let house = House::open(147).await;
    house.engine.generate(incoming(by_address("bfl/flux-2-pro"))).await.expect("it is made");
    let (fakes, folder) = house.leave().await;
    let spread = std::fs::read_dir(folder.path().join("pictures")).expect("it is kept").next();
    let spread = spread.expect("a folder").expect("it reads").path();
    let stray = spread.join(format!("{}-0.png.3.partial", RequestId::generate()));
    std::fs::write(&stray, "half").expect("the folder can be written");
    let house = House::on(fakes, folder, |_| {}).await;
    assert!(!stray.exists());
    assert_eq!(std::fs::read_dir(&spread).expect("it reads").count(), 1, "the kept one stays");
    assert_eq!(house.settled().await.request.status, RequestStatus::Succeeded);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_that_loses_the_race_holds_no_place_while_it_waits() {
    let house = House::with(49, |settings| settings.limits.requests_max = 2).await;
    house.faults("bfl", &json!([{"fault": "latency", "ms": 1_500, "count": 1}]));
    let key_limits = RateLimits { images_at_once: Some(2), ..RateLimits::NONE };
    let allowance = Arc::new(Allowance { key_limits, ..Allowance::default() });
    let of_key = |incoming: Incoming| {
        let payer = Payer { key_id: Some("key_1".to_owned()), ..Payer::clone(&incoming.payer) };
        Incoming { payer: Arc::new(payer), allowance: Arc::clone(&allowance), ..incoming }
    };
    let keyed = || of_key(keyed(ask("bfl/flux-2-pro"), "race-1"));
    // Accepted when the key is free again, so that only the reservation finds what it is bound to.
    let late = Timestamp::now() + SignedDuration::from_hours(25);
    let loser = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        house.engine.generate(Incoming { accepted_at: late, ..keyed() }).await
    };
    let another = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        house.engine.generate(of_key(incoming(ask("openai/gpt-image-2")))).await
    };
    let (first, second, another) = tokio::join!(house.engine.generate(keyed()), loser, another);
    let (first, second) = (first.expect("it is made"), second.expect("it is made"));
    same(&first, &second);
    another.expect("one of two places is free");
    assert_eq!(house.billed("bfl"), usd("0.03").get());
    assert_eq!(house.balance().await, 0);
}
