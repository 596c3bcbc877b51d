//! Gateways of one store: a price that one of them believes is in force at all of them, and one of them asks.

use crate::database::Database;
use crate::feeds::{ENDPOINT, MODEL, expected, fal_feed, fal_moves, until, with_feeds};
use crate::house::{House, incoming, stand_ins};
use gallerist_domain::{ImageRequest, Ticks};
use gallerist_engine::EngineSettings;
use gallerist_engine::feeds::Feed;
use gallerist_fakes::Fakes;
use gallerist_pricing::feed::FeedBook;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LINE: &str = "fal/flux-1-dev units";

/// Two gateways: on one database, else on one file that this process has open.
async fn pair(fakes: &Arc<Fakes>, database: Option<&Database>, feed: &Feed) -> [House; 2] {
    let one = gateway(fakes, database, with_feeds(vec![feed.clone()])).await;
    until("the first poll", || polls(std::slice::from_ref(&one)) > 0).await;
    let store = one.store.clone();
    let two = gateway(fakes, database, |settings| {
        with_feeds(vec![feed.clone()])(settings);
        if database.is_none() {
            settings.store = store;
        }
    });
    let two = two.await;
    // On one database it sees that the feed was asked a moment ago.
    until("its first poll", || database.is_some() || polls(std::slice::from_ref(&two)) > 0).await;
    [one, two]
}

async fn gateway(
    fakes: &Arc<Fakes>,
    database: Option<&Database>,
    adjust: impl FnOnce(&mut EngineSettings),
) -> House {
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    House::at(Arc::clone(fakes), folder, database.map(Database::url).as_deref(), adjust).await
}

fn polls(houses: &[House]) -> u64 {
    let of = |house: &House| house.engine.feed_states().iter().map(|state| state.succeeded).sum::<u64>();
    houses.iter().map(of).sum()
}

fn fal_lists(fakes: &Fakes, unit_price: &str) {
    let Value::Object(listing) = json!({ENDPOINT: unit_price}) else { unreachable!("it is an object") };
    fakes.get("fal").expect("a known kind").ctx.listing.change(listing);
}

/// What is believed at one is quoted at the other, and settled by it; how long that took.
async fn believed_at_both(database: Option<&Database>, seed: u64) {
    let fakes = stand_ins(seed).await;
    let houses = pair(&fakes, database, &fal_feed(&fakes)).await;
    let [one, two] = &houses;
    let before = expected(two, MODEL);
    fal_moves(&fakes, "0.25", 10, 1);
    let told = one.engine.sync_feeds(None, false).await.expect("it is polled");
    assert!(told.iter().any(|one| one.line == LINE && one.decision == "held"), "{told:?}");
    until("what is held at one is held at the other", || !two.engine.feed_book().held().is_empty()).await;
    assert_eq!(expected(two, MODEL), before);

    let confirmed = one.engine.confirm_held(&[LINE.to_owned()]).await.expect("kept");
    assert_eq!(confirmed.len(), 1);
    let begun = Instant::now();
    until("it is in force at the other", || expected(two, MODEL) > before).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(expected(two, MODEL).get(), before.get() * 10);
    assert_eq!(two.engine.market().catalogue.digest, one.engine.market().catalogue.digest);
    assert!(two.engine.feed_book().held().is_empty());
    let again = two.engine.confirm_held(&[LINE.to_owned()]).await.expect("kept");
    assert!(again.is_empty(), "it is believed already: {again:?}");

    // And the other way about, by a poll.
    fal_moves(&fakes, "0.3", 12, 1);
    two.engine.sync_feeds(None, false).await.expect("it is polled");
    until("it is in force at the first", || expected(one, MODEL).get() == before.get() * 12).await;
    let bought = one.engine.generate(incoming(ImageRequest::new(MODEL, "a kite"))).await.expect("a picture");
    assert_eq!(bought.meta.cost.charged_usd.get(), before.get() * 12);
    assert_eq!(one.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_is_confirmed_at_one_gateway_is_quoted_at_the_other_within_a_second() {
    believed_at_both(None, 61).await;
    if let Some(database) = Database::new() {
        believed_at_both(Some(&database), 62).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_confirmation_is_lost_while_the_other_gateway_polls() {
    let Some(database) = Database::new() else { return };
    let fakes = stand_ins(63).await;
    let houses = pair(&fakes, Some(&database), &fal_feed(&fakes)).await;
    let [one, two] = &houses;
    let mut believed = expected(one, MODEL);
    let mut price: Ticks = "0.025".parse().expect("an amount");
    for _ in 0..8 {
        price = Ticks::new(price.get() * 4);
        fal_lists(&fakes, &price.to_string());
        one.engine.sync_feeds(None, false).await.expect("it is polled");
        until("it is held at both", || {
            houses.iter().all(|house| house.engine.feed_book().held().iter().any(|held| held.line == LINE))
        })
        .await;
        let (confirmed, polled, polled_too) = tokio::join!(
            one.engine.confirm_held(&[]),
            two.engine.sync_feeds(None, false),
            two.engine.sync_feeds(None, false)
        );
        assert_eq!(confirmed.expect("kept").len(), 1);
        polled.expect("kept");
        polled_too.expect("kept");
        believed = Ticks::new(believed.get() * 4);
        until("both quote it", || houses.iter().all(|house| expected(house, MODEL) == believed)).await;
        assert!(houses.iter().all(|house| house.engine.feed_book().held().is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_asked_for_earlier_does_not_replace_a_later_one() {
    let Some(database) = Database::new() else { return };
    let fakes = stand_ins(64).await;
    let houses = pair(&fakes, Some(&database), &fal_feed(&fakes)).await;
    let [one, two] = &houses;
    let slow = json!([{"fault": "latency", "ms": 1_500, "operation": "pricing", "count": 1}]);
    one.faults("fal", &slow);
    let engine = one.engine.clone();
    let early = tokio::spawn(async move { engine.sync_feeds(None, false).await });
    let ctx = &fakes.get("fal").expect("a known kind").ctx;
    until("it is asked", || ctx.faults.to_json()["set"][0]["hits"] == 1).await;
    fal_lists(&fakes, "0.03");
    let told = two.engine.sync_feeds(None, false).await.expect("it is polled");
    assert!(told.iter().any(|one| one.line == LINE && one.decision == "accepted"), "{told:?}");
    let told = early.await.expect("no panic").expect("it is polled");
    assert_eq!((told.len(), told[0].decision.as_str()), (1, "late"), "{told:?}");
    until("the later one counts", || expected(one, MODEL) == expected(two, MODEL)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_gateways_asks_when_a_feed_is_due() {
    let Some(database) = Database::new() else { return };
    let fakes = stand_ins(65).await;
    let every = Duration::from_secs(1);
    let houses = pair(&fakes, Some(&database), &Feed { every, ..fal_feed(&fakes) }).await;
    let (begun, before) = (Instant::now(), polls(&houses));
    tokio::time::sleep(Duration::from_secs(6)).await;
    let due = u64::try_from(begun.elapsed().as_millis() / every.as_millis()).expect("few");
    let asked = polls(&houses) - before;
    assert!((due / 2..=due + due / 2).contains(&asked), "{asked} times in {due} pauses, by two gateways");
    // And another one goes on when it is gone.
    let [one, two] = houses;
    one.leave().await;
    let before = polls(std::slice::from_ref(&two));
    until("the other one asks", || polls(std::slice::from_ref(&two)) > before + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_an_earlier_version_is_taken_into_the_store_once() {
    let fakes = stand_ins(66).await;
    let polled = fal_feed(&fakes);
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("feeds.json");
    let at = |minute: i64| jiff::Timestamp::now() - jiff::SignedDuration::from_mins(60 - minute);
    let point =
        json!({"quote": {"usd": "0.0300000000", "per": 1_000_000}, "since": at(1), "believed": at(1)});
    let held = json!({"quote": {"usd": "0.3000000000", "per": 1_000_000}, "at": at(2), "polled": at(2),
        "why": "more than 3 times off the last known price", "person": false});
    let watch = json!({"points": [point], "polled": at(2), "held": held, "feed": "fal"});
    let book = json!({"watches": {LINE: watch}, "feeds": {"fal": {"succeeded": at(2)}}, "editions": {}});
    std::fs::write(&file, book.to_string()).expect("it is written");
    fal_lists(&fakes, "0.3");
    let with_file = |settings: &mut EngineSettings| {
        with_feeds(vec![polled.clone()])(settings);
        settings.feeds.file = Some(file.clone());
    };
    let house = House::on(Arc::clone(&fakes), Arc::clone(&folder), with_file).await;
    assert!(!file.exists() && folder.path().join("feeds.json.moved").exists());
    let moved = expected(&house, MODEL);
    let kept: FeedBook = (*house.engine.feed_book()).clone();
    assert_eq!((kept.held().len(), kept.watches[LINE].points.len()), (1, 1));
    house.engine.confirm_held(&[]).await.expect("kept");
    assert_eq!(expected(&house, MODEL).get(), moved.get() * 10);
    let (fakes, folder) = house.leave().await;
    // Put back by somebody, it takes nothing away.
    std::fs::write(&file, book.to_string()).expect("it is written");
    let house = House::on(fakes, folder, with_file).await;
    assert_eq!(expected(&house, MODEL).get(), moved.get() * 10);
}
