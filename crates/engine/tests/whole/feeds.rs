//! Prices that move under a running gateway: quotes follow, lives that run keep theirs, the books balance.

use crate::house::{House, incoming, stand_ins};
use gallerist_domain::{Clock, FixedClock, Grants, ImageRequest, SystemClock, Ticks};
use gallerist_engine::feeds::{Feed, FeedSettings, KeptBook};
use gallerist_engine::{EngineSettings, RefusalKind};
use gallerist_fakes::Fakes;
use gallerist_pricing::Catalogue;
use gallerist_pricing::feed::{FeedForm, FeedRules, Guard, Mapping, Target};
use gallerist_store::{AlertFilter, AlertRecord, AttemptStatus};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

pub const MODEL: &str = "fal/flux-1-dev";
pub const ENDPOINT: &str = "fal-ai/flux/dev";

fn feed(form: FeedForm, url: String) -> Feed {
    let name = form.name().to_owned();
    Feed {
        rules: FeedRules {
            name,
            form,
            guard: Guard::default(),
            offers: Vec::new(),
            precedence: std::sync::Arc::default(),
        },
        url,
        key: None,
        // Tests say themselves when it is polled, after the first time.
        every: Duration::from_hours(24),
        timeout: Duration::from_secs(10),
        bytes_max: 1 << 20,
        stale_after: SignedDuration::from_hours(3),
    }
}

pub fn fal_feed(fakes: &Fakes) -> Feed {
    let origin = &fakes.origins()["fal"];
    let key = Some(fakes.keys()["fal"].clone().into());
    Feed { key, ..feed(FeedForm::Fal, format!("{origin}/v1/models/pricing")) }
}

/// fal's list says another unit price, and fal charges it.
pub fn fal_moves(fakes: &Fakes, unit_price: &str, numerator: u64, denominator: u64) {
    let ctx = &fakes.get("fal").expect("a known kind").ctx;
    let Value::Object(listing) = json!({ENDPOINT: unit_price}) else { unreachable!("it is an object") };
    ctx.listing.change(listing);
    let moved = json!([{"fault": "price_changed", "numerator": numerator, "denominator": denominator}]);
    ctx.faults.set(&moved).expect("a valid script");
}

pub fn with_feeds(feeds: Vec<Feed>) -> impl FnOnce(&mut EngineSettings) {
    move |settings| settings.feeds = FeedSettings { feeds, file: None, whole: None }
}

pub fn expected(house: &House, model: &str) -> Ticks {
    let report =
        house.engine.quotes(&ImageRequest::new(model, "a kite"), Grants::ALL, None).expect("a known model");
    report.offers.first().unwrap_or_else(|| panic!("{:?}", report.excluded)).expected_usd
}

/// Brings a house up and lets its feeds be polled once.
async fn house(
    fakes: &Arc<Fakes>,
    folder: &Arc<tempfile::TempDir>,
    adjust: impl FnOnce(&mut EngineSettings),
) -> House {
    let house = House::on(Arc::clone(fakes), Arc::clone(folder), adjust).await;
    let polled = || house.engine.feed_states().iter().all(|state| state.succeeded + state.failed > 0);
    until("the first poll", polled).await;
    house
}

fn usd(text: &str) -> Ticks {
    text.parse().expect("an amount")
}

/// The alerts of feeds and ends, oldest first, once there are so many.
async fn alerts(house: &House, count: usize) -> Vec<AlertRecord> {
    let read = || async {
        let filter = AlertFilter { limit: 100, ..AlertFilter::default() };
        let page = house.store.alerts(filter).await.expect("they are read");
        let about = |alert: &AlertRecord| alert.kind.starts_with("feed.") || alert.kind == "model.retires";
        let mut alerts: Vec<AlertRecord> = page.alerts.into_iter().filter(about).collect();
        alerts.reverse();
        alerts
    };
    for _ in 0..400 {
        let found = read().await;
        if found.len() >= count {
            // What would be told twice would be told soon.
            tokio::time::sleep(Duration::from_millis(150)).await;
            return read().await;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never {count} alerts: {:?}", read().await);
}

fn kinds(alerts: &[AlertRecord]) -> Vec<&str> {
    alerts.iter().map(|alert| alert.kind.as_str()).collect()
}

pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_moves_is_quoted_at_once_and_a_running_life_keeps_its_own() {
    let fakes = stand_ins(31).await;
    let mut polled = fal_feed(&fakes);
    polled.every = Duration::from_millis(200);
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let house = house(&fakes, &folder, with_feeds(vec![polled])).await;
    let before = expected(&house, MODEL);
    let digest = house.engine.market().catalogue.digest.clone();

    // A life that is under way when the price moves: the provider takes its time.
    let ctx = &fakes.get("fal").expect("a known kind").ctx;
    ctx.faults.set(&json!([{"fault": "latency", "ms": 1_500}])).expect("a valid script");
    let engine = house.engine.clone();
    let running =
        tokio::spawn(async move { engine.generate(incoming(ImageRequest::new(MODEL, "a kite"))).await });
    until("it is reserved", || ctx.faults.to_json()["set"][0]["hits"] == 1).await;
    ctx.faults.clear();
    let Value::Object(listing) = json!({ENDPOINT: "0.03"}) else { unreachable!("it is an object") };
    ctx.listing.change(listing);
    until("the poll in the background finds it", || expected(&house, MODEL) > before).await;
    assert_eq!(expected(&house, MODEL).get() * 25, before.get() * 30, "0.025 became 0.03 a unit");
    let answer = running.await.expect("no panic").expect("a picture");
    assert_eq!(answer.meta.cost.charged_usd, before, "what it was quoted at");
    let old = house.settled().await;
    assert_eq!(old.attempts[0].catalogue_digest, digest);

    fal_moves(&fakes, "0.03", 6, 5);
    let now = expected(&house, MODEL);
    let answer =
        house.engine.generate(incoming(ImageRequest::new(MODEL, "a kite"))).await.expect("a picture");
    assert_eq!(answer.meta.cost.charged_usd, now);
    let new = house.settled().await;
    assert_eq!(new.attempts[0].catalogue_digest, house.engine.market().catalogue.digest);
    assert_ne!(new.attempts[0].catalogue_digest, digest);
    let kept = KeptBook::read(&house.store).await.expect("it is kept").book;
    assert!(kept.editions.contains_key(&house.engine.market().catalogue.digest));
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jump_is_held_until_a_person_believes_it_and_the_old_price_stays() {
    let fakes = stand_ins(32).await;
    let feeds = vec![fal_feed(&fakes)];
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let house = house(&fakes, &folder, with_feeds(feeds)).await;
    let before = expected(&house, MODEL);
    fal_moves(&fakes, "0.25", 10, 1);
    for _ in 0..3 {
        let told = house.engine.sync_feeds(None, false).await.expect("it is polled");
        let line = told.iter().find(|one| one.line == "fal/flux-1-dev units").expect("it is told");
        assert_eq!((line.decision.as_str(), line.percent.as_deref()), ("held", Some("+900.00")));
        assert_eq!(expected(&house, MODEL), before, "however often it is told");
    }
    let raised = alerts(&house, 1).await;
    assert_eq!(kinds(&raised), ["feed.held"], "once, not at each poll");
    let fact: Value = serde_json::from_str(&raised[0].fact_json).expect("it is JSON");
    assert_eq!(
        (&fact["line"], &fact["old_usd"], &fact["new_usd"], &fact["percent"]),
        (&json!("fal/flux-1-dev units"), &json!("0.0250000000"), &json!("0.2500000000"), &json!("+900.00"))
    );
    let held = house.engine.feed_book().held();
    assert_eq!((held.len(), held[0].line.as_str()), (1, "fal/flux-1-dev units"));
    let other = house.engine.confirm_held(&["bfl/flux-1.1-pro picture".to_owned()]).await.expect("written");
    assert!(other.is_empty(), "nothing is held there");
    let confirmed = house.engine.confirm_held(&["fal/flux-1-dev units".to_owned()]).await.expect("written");
    assert_eq!(confirmed[0].decision, "confirmed");
    assert_eq!(expected(&house, MODEL).get(), before.get() * 10);
    assert!(house.engine.feed_book().held().is_empty());
    let answer =
        house.engine.generate(incoming(ImageRequest::new(MODEL, "a kite"))).await.expect("a picture");
    assert_eq!(answer.meta.cost.charged_usd.get(), before.get() * 10);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_fails_in_any_way_leaves_the_last_price_that_was_believed() {
    let fakes = stand_ins(33).await;
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let house = house(&fakes, &folder, with_feeds(vec![fal_feed(&fakes)])).await;
    fal_moves(&fakes, "0.03", 6, 5);
    house.engine.sync_feeds(None, false).await.expect("it is polled");
    let (moved, digest) = (expected(&house, MODEL), house.engine.market().catalogue.digest.clone());
    let ctx = &fakes.get("fal").expect("a known kind").ctx;
    for fault in ["500", "502", "429", "reset_before", "truncated", "malformed"] {
        ctx.faults.set(&json!([{"fault": fault, "operation": "pricing"}])).expect("a valid script");
        let told = house.engine.sync_feeds(Some("fal"), false).await.expect("it is polled");
        assert!(matches!(told[0].decision.as_str(), "unreachable" | "unreadable"), "{fault}: {told:?}");
        let key = &fakes.keys()["fal"];
        assert!(!format!("{told:?}").contains(key.as_str()), "a key stays where it is: {told:?}");
        assert_eq!(expected(&house, MODEL), moved, "{fault}");
    }
    let raised = alerts(&house, 1).await;
    assert_eq!(kinds(&raised), ["feed.failing"], "six polls failed, and it is one state");
    let key = &fakes.keys()["fal"];
    assert!(!raised[0].message.contains(key.as_str()) && raised[0].message.contains("told nothing: "));
    let state = &house.engine.feed_states()[0];
    assert!(state.failed >= 6 && state.succeeded >= 1 && state.status.fault.is_some(), "{state:?}");
    assert_eq!(house.engine.market().catalogue.digest, digest);
    ctx.faults.clear();
    house.engine.sync_feeds(None, false).await.expect("it is polled");
    assert_eq!(house.engine.feed_states()[0].status.fault, None);
    house.balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_feed_is_warned_of_and_a_silent_spot_feed_makes_the_price_unknown() {
    let fakes = stand_ins(34).await;
    let origin = fakes.origins()["bfl"].clone();
    let mapping = Mapping {
        target: Target { offer: "bfl/flux-1-dev".to_owned(), line: "picture".to_owned() },
        pointer: "/prices/flux-1.1-pro/cents".to_owned(),
        at_pointer: None,
        usd: "0.01".parse().expect("a figure"),
        per: 1,
    };
    let feeds = vec![
        feed(FeedForm::Spot, format!("{origin}/_fake/feeds/spot")),
        feed(FeedForm::Json(vec![mapping]), format!("{origin}/_fake/feeds/json")),
    ];
    let clock = Arc::new(FixedClock::new(SystemClock.now()));
    let start = clock.now();
    let time: Arc<dyn Clock> = Arc::clone(&clock) as Arc<dyn Clock>;
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let adjust = |settings: &mut EngineSettings| {
        with_feeds(feeds)(settings);
        settings.clock = time;
    };
    let house = house(&fakes, &folder, adjust).await;
    house.engine.sync_feeds(None, false).await.expect("it is polled");
    assert_eq!(expected(&house, "bfl/flux-1.1-pro"), usd("0.05"));
    let unchanged = house.engine.sync_feeds(None, false).await.expect("it is polled");
    assert_eq!(unchanged, [], "neither answer has changed, so neither is sent again");

    let ctx = &fakes.get("bfl").expect("a known kind").ctx;
    ctx.faults.set(&json!([{"fault": "500", "operation": "feed"}])).expect("a valid script");
    let later = |hours: i64| start + SignedDuration::from_hours(hours);
    clock.set(later(2));
    house.engine.sync_feeds(None, false).await.expect("it is polled");
    assert_eq!(expected(&house, "bfl/flux-1.1-pro"), usd("0.05"), "not for so long yet");
    clock.set(later(4));
    let told = house.engine.sync_feeds(None, false).await.expect("it is polled");
    assert_eq!(told.iter().filter(|one| one.decision == "stale").count(), 4, "{told:?}");
    let raised = alerts(&house, 5).await;
    let mut told = kinds(&raised);
    told.sort_unstable();
    assert_eq!(told, ["feed.failing", "feed.failing", "feed.silent", "feed.stale", "feed.stale"]);
    let silent = raised.iter().find(|alert| alert.kind == "feed.silent").expect("it is there");
    assert!(silent.message.contains("bfl/flux-1.1-pro picture"), "{}", silent.message);
    let request = ImageRequest::new("bfl/flux-1.1-pro", "a kite");
    let report = house.engine.quotes(&request, Grants::ALL, None).expect("a known model");
    assert!(report.offers.is_empty());
    assert_eq!(report.excluded[0].code, "price_unknown", "{:?}", report.excluded);
    let accepted_at = clock.now();
    let refusal =
        house.engine.generate(gallerist_engine::Incoming { accepted_at, ..incoming(request) }).await;
    assert_eq!(refusal.expect_err("nothing is bought").kind, RefusalKind::PriceUnknown);
    let listed = house
        .engine
        .quotes(&ImageRequest::new("bfl/flux-1-dev", "a kite"), Grants::ALL, None)
        .expect("known");
    assert!(listed.offers[0].warnings.iter().any(|warning| warning.contains("may be old")), "{listed:?}");

    ctx.faults.clear();
    house.engine.sync_feeds(None, false).await.expect("it is polled");
    assert_eq!(expected(&house, "bfl/flux-1.1-pro"), usd("0.05"), "it speaks again");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_models_end_is_warned_of_as_soon_as_its_provider_lists_it() {
    let fakes = stand_ins(35).await;
    let origin = fakes.origins()["openai"].clone();
    let key = Some(fakes.keys()["openai"].clone().into());
    let polled = Feed { key, ..feed(FeedForm::OpenaiModels, format!("{origin}/v1/models")) };
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let house = house(&fakes, &folder, with_feeds(vec![polled])).await;
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = today.saturating_add(jiff::Span::new().days(60));
    let bought = house.engine.generate(incoming(ImageRequest::new("openai/gpt-image-2", "a kite")));
    let answer = bought.await.expect("a picture");
    let speaks_of =
        |warnings: &[String]| warnings.iter().any(|one| one.contains(&format!("retires on {day}")));
    assert!(!speaks_of(&answer.meta.warnings));
    house.settled().await;
    let Value::Object(listing) = json!({"gpt-image-2": day.to_string()}) else { unreachable!("an object") };
    fakes.get("openai").expect("a known kind").ctx.listing.change(listing);
    let request = ImageRequest::new("openai/gpt-image-2", "a kite");
    let warned = |house: &House| {
        let report = house.engine.quotes(&request, Grants::ALL, None).expect("a known model");
        report.offers[0].warnings.iter().any(|warning| warning.contains(&format!("retires on {day}")))
    };
    let dry = house.engine.sync_feeds(None, true).await.expect("it is polled");
    assert!(dry.iter().any(|one| one.decision == "accepted"), "{dry:?}");
    house.engine.sync_feeds(None, false).await.expect("it is polled");
    assert!(warned(&house));
    let raised = alerts(&house, 1).await;
    assert_eq!(kinds(&raised), ["model.retires"], "at once, although it is two months away");
    assert!(raised[0].message.contains(&format!("{day}, in 60 days; it is bought as openai/gpt-image-2")));
    let answer = house.engine.generate(incoming(request)).await.expect("a picture");
    assert!(speaks_of(&answer.meta.warnings), "{:?}", answer.meta.warnings);
    house.settled().await;
    house.balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_quoted_before_a_restart_is_settled_by_what_was_believed_then() {
    let fakes = stand_ins(36).await;
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let house = house(&fakes, &folder, with_feeds(vec![fal_feed(&fakes)])).await;
    fal_moves(&fakes, "0.03", 6, 5);
    house.engine.sync_feeds(None, false).await.expect("it is polled");
    let quoted = expected(&house, MODEL);
    let ctx = &fakes.get("fal").expect("a known kind").ctx;
    // It is charged as it was submitted, and takes longer than the gateway lives.
    let slow = json!([{"fault": "latency", "ms": 2_500},
        {"fault": "price_changed", "numerator": 6, "denominator": 5}]);
    ctx.faults.set(&slow).expect("a valid script");
    let engine = house.engine.clone();
    let running =
        tokio::spawn(async move { engine.generate(incoming(ImageRequest::new(MODEL, "a kite"))).await });
    until("it is submitted", || ctx.faults.to_json()["set"][0]["hits"] == 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The price moves again while it runs, and the gateway ends before the job does.
    let Value::Object(listing) = json!({ENDPOINT: "0.05"}) else { unreachable!("it is an object") };
    ctx.listing.change(listing);
    house.engine.sync_feeds(None, false).await.expect("it is polled");
    assert!(expected(&house, MODEL) > quoted);
    house.engine.shut_down(0).await;
    running.abort();
    let _ = running.await;
    house.store.close().await.expect("the store closes");
    drop(house);

    let house = self::house(&fakes, &folder, with_feeds(vec![fal_feed(&fakes)])).await;
    assert!(expected(&house, MODEL) > quoted, "the newest price is in force from the start");
    let detail = house.settled().await;
    assert_eq!(detail.attempts[0].status, AttemptStatus::Settled, "{detail:?}");
    assert_eq!(detail.attempts[0].charged, quoted, "what it was quoted at");
    assert_ne!(detail.attempts[0].catalogue_digest, house.engine.market().catalogue.digest);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_feed_lets_go_when_nobody_asked_for_three_pauses_and_hears_it_again_after() {
    let fakes = stand_ins(37).await;
    fal_moves(&fakes, "0.03", 6, 5);
    let clock = Arc::new(FixedClock::new(SystemClock.now()));
    let start = clock.now();
    let at = |settings: &mut EngineSettings, feeds: Vec<Feed>| {
        with_feeds(feeds)(settings);
        settings.clock = Arc::clone(&clock) as Arc<dyn Clock>;
    };
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let told = house(&fakes, &folder, |settings| at(settings, vec![fal_feed(&fakes)])).await;
    let of_feed = expected(&told, MODEL);
    told.leave().await;

    // By mistake without the settings, as a shell that names none does.
    let soon = House::on(Arc::clone(&fakes), Arc::clone(&folder), |settings| at(settings, Vec::new())).await;
    assert_eq!(expected(&soon, MODEL), of_feed, "it may come back");
    soon.leave().await;

    // Due after a day, and after three more nobody has asked.
    clock.set(start + SignedDuration::from_hours(24 * 4 + 1));
    let gone = House::on(Arc::clone(&fakes), Arc::clone(&folder), |settings| at(settings, Vec::new())).await;
    assert_eq!(expected(&gone, MODEL).get() * 30, of_feed.get() * 25, "the catalogue's own");
    let target = Target { offer: MODEL.to_owned(), line: "units".to_owned() };
    let source = |catalogue: &Catalogue| {
        let models = &catalogue.provider("fal").expect("there").models;
        let model = models.iter().find(|model| model.is_named("flux-1-dev")).expect("there");
        let mut lines = model.sheet.lines.iter().filter(|line| line.id == target.line);
        lines.find(|line| line.period.contains(clock.now())).expect("priced").source.as_ref().clone()
    };
    assert_eq!(source(&gone.engine.market().catalogue), source(&Catalogue::embedded()));
    gone.leave().await;

    let again = house(&fakes, &folder, |settings| at(settings, vec![fal_feed(&fakes)])).await;
    assert_eq!(expected(&again, MODEL), of_feed, "it is heard again");
    again.leave().await;
}

#[test]
fn the_catalogue_has_what_these_tests_move() {
    let catalogue = Catalogue::embedded();
    for (offer, line) in [(MODEL, "units"), ("bfl/flux-1-dev", "picture"), ("bfl/flux-1.1-pro", "picture")] {
        let target = Target { offer: offer.to_owned(), line: line.to_owned() };
        assert!(catalogue.line_price(&target, Timestamp::now()).is_some(), "{target}");
    }
}
