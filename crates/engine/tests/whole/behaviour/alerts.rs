//! Alerts are found and told once, and every webhook gets each of them at least once.

use super::{ask, usd};
use crate::house::{House, incoming, stand_ins};
use crate::receiver::{Answer, Receiver};
use gallerist_domain::budget::{Part, THRESHOLDS_PERCENT};
use gallerist_domain::{
    AttemptId, Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, FeeRule, FixedClock,
    KindFilter, Lot, LotId, OfferId, Operation, Payer, ProjectId, RequestId, WebhookId,
};
use gallerist_engine::{EngineSettings, webhooks::Sent};
use gallerist_store::{
    AlertFilter, AlertRecord, AttemptEnd, Conclusion, End, NewAttempt, NewRequest, NewWebhook, RequestEnd,
    RequestStatus, Reservation, SigningSecret, Store, WebhookFormat, WebhookRecord,
};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const SECRET: [u8; 32] = [7; 32];

/// A house whose clock is ours and whose webhooks reach loopback.
async fn house(seed: u64, clock: &Arc<FixedClock>) -> House {
    House::with(seed, settings(clock)).await
}

fn settings(clock: &Arc<FixedClock>) -> impl FnOnce(&mut EngineSettings) + use<> {
    let clock = Arc::clone(clock);
    |settings| {
        settings.clock = clock;
        settings.limits.webhooks_private = true;
        settings.limits.webhook_look_ms_max = 20;
        settings.limits.webhook_timeout_ms = 500;
        // The tests look when they want to.
        settings.limits.watch_every_ms = 3_600_000;
    }
}

fn clock() -> Arc<FixedClock> {
    Arc::new(FixedClock::new("2026-11-28T12:00:00Z".parse().expect("an instant")))
}

fn advance(clock: &FixedClock, seconds: i64) {
    use gallerist_domain::Clock as _;
    clock.set(clock.now() + SignedDuration::from_secs(seconds));
}

async fn listen(store: &Store, url: String, kinds: &[&str], format: WebhookFormat) -> WebhookId {
    let id = WebhookId::generate();
    let kinds = KindFilter(kinds.iter().map(|kind| (*kind).to_owned()).collect());
    let secret = SigningSecret::new(SECRET.to_vec());
    let webhook = NewWebhook { id, url, kinds, project: None, format, secret };
    store.create_webhook(webhook, Timestamp::now()).await.expect("it is made");
    id
}

/// Waits until a webhook is as it should be.
async fn until(store: &Store, id: WebhookId, fine: impl Fn(&WebhookRecord) -> bool) -> WebhookRecord {
    for _ in 0..1_000 {
        let record = store.webhook(id).await.expect("it is there");
        if fine(&record) {
            return record;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the webhook never got there: {:?}", store.webhook(id).await);
}

async fn alerts(store: &Store) -> Vec<AlertRecord> {
    let filter = AlertFilter { limit: 100, ..AlertFilter::default() };
    let mut alerts = store.alerts(filter).await.expect("they are read").alerts;
    alerts.reverse();
    alerts
}

/// Makes a picture that its provider charges above its maximum.
async fn overrun(house: &House) {
    house.faults("bfl", &json!([{"fault": "price_changed", "numerator": 3, "denominator": 2}]));
    house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect("it is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_repeated_under_its_id_until_it_arrives_and_is_signed_each_time() {
    let clock = clock();
    let house = house(601, &clock).await;
    let redirect = Answer::With(302, "location", "/elsewhere".to_owned());
    let script = vec![Answer::Status(500), Answer::Silence, redirect, Answer::HangUp, Answer::Status(204)];
    let receiver = Receiver::start(script).await;
    let id = listen(&house.store, receiver.url(), &[], WebhookFormat::Standard).await;
    overrun(&house).await;
    let failures = ["it answered 500", "no answer came in time", "redirects are not followed"];
    for (count, failure) in failures.into_iter().enumerate() {
        receiver.until(count + 1).await;
        let record =
            until(&house.store, id, |record| record.last_failure.as_deref().unwrap_or("").contains(failure));
        assert_eq!(record.await.pending, 1);
        // Nothing comes before its time.
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(receiver.got().len(), count + 1);
        advance(&clock, 120);
    }
    receiver.until(4).await;
    until(&house.store, id, |record| record.last_failed_at.is_some_and(|at| at.as_second() % 3_600 == 360))
        .await;
    advance(&clock, 400);
    let got = receiver.until(5).await;
    let record = until(&house.store, id, |record| record.pending == 0).await;
    assert!(record.last_delivered_at.is_some() && record.disabled_at.is_none());
    let alert = &alerts(&house.store).await[0];
    for delivery in &got {
        assert_eq!(delivery.header("webhook-id"), alert.id.to_string());
        assert_eq!(delivery.header("content-type"), "application/json");
        assert!(delivery.signed_by(&SECRET) && !delivery.signed_by(&[8; 32]));
        assert_eq!(delivery.body, got[0].body);
    }
    let times: Vec<i64> =
        got.iter().map(|delivery| delivery.header("webhook-timestamp").parse().expect("seconds")).collect();
    assert_eq!(times.iter().map(|time| time - times[0]).collect::<Vec<_>>(), [0, 120, 240, 360, 760]);
    let event = got[0].json();
    assert_eq!(
        (&event["type"], &event["timestamp"], &event["data"]["severity"]),
        (&json!("charge.overrun"), &json!("2026-11-28T12:00:00Z"), &json!("critical"))
    );
    let fact = &event["data"]["fact"];
    assert_eq!(
        (&fact["maximum_usd"], &fact["charged_usd"]),
        (&json!("0.0300000000"), &json!("0.0450000000"))
    );
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_gets_nothing_more_and_holds_up_nobody() {
    let clock = clock();
    let house = house(602, &clock).await;
    let gone = Receiver::start(vec![Answer::Status(410)]).await;
    let stuck = Receiver::start(vec![Answer::Silence; 9]).await;
    let fine = Receiver::start(Vec::new()).await;
    let gone_id = listen(&house.store, gone.url(), &[], WebhookFormat::Standard).await;
    listen(&house.store, stuck.url(), &[], WebhookFormat::Standard).await;
    listen(&house.store, fine.url(), &["charge.*"], WebhookFormat::Slack).await;
    overrun(&house).await;
    let record = until(&house.store, gone_id, |record| record.disabled_at.is_some()).await;
    assert_eq!((record.disabled_reason.as_deref(), record.pending), (Some("it answered 410"), 0));
    // The next of an offer is told in the next hour.
    advance(&clock, 3_600);
    overrun(&house).await;
    let got = fine.until(2).await;
    let text = got[0].json()["text"].as_str().expect("a text").to_owned();
    assert!(text.starts_with("critical: bfl/flux-2-pro charged attempt"), "{text}");
    assert!(got[0].signed_by(&SECRET));
    assert_eq!(gone.got().len(), 1);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_a_delivery_sends_it_again() {
    let clock = clock();
    let receiver = Receiver::start(vec![Answer::Silence]).await;
    let fakes = stand_ins(603).await;
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let patient = |settings: &mut EngineSettings| settings.limits.webhook_timeout_ms = 60_000;
    let house = House::on(Arc::clone(&fakes), Arc::clone(&folder), |all| {
        settings(&clock)(all);
        patient(all);
    })
    .await;
    let id = listen(&house.store, receiver.url(), &[], WebhookFormat::Standard).await;
    overrun(&house).await;
    receiver.until(1).await;
    // It stops without having heard an answer.
    house.leave().await;
    let house = House::on(fakes, folder, settings(&clock)).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(receiver.got().len(), 1, "the other's lease holds");
    advance(&clock, 76);
    let got = receiver.until(2).await;
    assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
    until(&house.store, id, |record| record.pending == 0).await;
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_secrets_change_both_sign_and_the_test_button_says_what_happened() {
    let clock = clock();
    let house = house(604, &clock).await;
    let receiver = Receiver::start(vec![Answer::Status(200), Answer::Status(200), Answer::Status(503)]).await;
    let id = listen(&house.store, receiver.url(), &[], WebhookFormat::Standard).await;
    let fresh = [9_u8; 32];
    let hour: Timestamp = "2026-11-28T13:00:00Z".parse().expect("an instant");
    house
        .store
        .rotate_webhook(
            id,
            SigningSecret::new(fresh.to_vec()),
            hour,
            "2026-11-28T12:00:00Z".parse().expect("an instant"),
        )
        .await
        .expect("it is changed");
    assert!(house.engine.test_webhook(id).await.expect("it is there").is_delivered());
    advance(&clock, 3_600);
    assert!(house.engine.test_webhook(id).await.expect("it is there").is_delivered());
    let failed = house.engine.test_webhook(id).await.expect("it is there");
    assert_eq!(failed, Sent::Answered { status: 503, retry_after_seconds: None });
    let got = receiver.got();
    assert_eq!(got[0].json()["type"], "webhook.test");
    assert!(got[0].signed_by(&SECRET) && got[0].signed_by(&fresh));
    assert!(!got[1].signed_by(&SECRET) && got[1].signed_by(&fresh));
    assert!(alerts(&house.store).await.is_empty());
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_address_is_never_reached_unless_it_is_allowed() {
    let house = House::open(605).await;
    let receiver = Receiver::start(Vec::new()).await;
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433"] {
        // As if it had been stored while it was allowed.
        let url = format!("http://{host}:{}/alerts?token=1", receiver.address.port());
        let id = listen(&house.store, url, &[], WebhookFormat::Standard).await;
        let sent = house.engine.test_webhook(id).await.expect("it is there");
        assert_eq!(sent, Sent::Failed("the address is not a public one".to_owned()), "{host}");
    }
    assert_eq!(receiver.got().len(), 0);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_a_moved_price_and_lost_credits_are_found_by_the_watch() {
    let house = House::open(606).await;
    // Five failures in a row open the breaker.
    house.faults("bfl", &json!([{"fault": "429"}]));
    for _ in 0..5 {
        house.engine.generate(incoming(ask("flux-1.1-pro"))).await.expect("the other serves");
    }
    house.engine.watch_now().await;
    let known = house.store.known_prices().await.expect("they are read");
    let before = known["fal/flux-1.1-pro"].clone();
    // As if it had cost a hundredth when it was last looked at.
    let mut doctored: serde_json::Value = serde_json::from_str(&before).expect("JSON");
    doctored[0]["usd"] = json!("0.0001");
    let (offer, now) = ("fal/flux-1.1-pro".to_owned(), Timestamp::now());
    house.store.note_prices(offer, Some(before), doctored.to_string(), Vec::new(), now).await.expect("noted");
    let lot = Lot {
        provider: "bfl".to_owned(),
        currency: "credit".to_owned(),
        quantity_millionths: 1_000_000_000,
        remaining_millionths: 1_000_000_000,
        price: usd("9"),
        fee: FeeRule::NONE,
        list: usd("0.01"),
        purchased_at: now,
        expires_at: Some(now + 100.hours()),
    };
    house.store.add_lot(LotId::generate(), lot, now).await.expect("it is entered");
    house.engine.watch_now().await;
    house.engine.watch_now().await;
    let told = alerts(&house.store).await;
    let kinds: Vec<&str> = told.iter().map(|alert| alert.kind.as_str()).collect();
    assert_eq!(kinds, ["provider.outage", "price.spike", "credits.expire"], "{told:#?}");
    assert!(told[0].message.contains("bfl/flux-1.1-pro"), "{}", told[0].message);
    assert!(told[1].message.contains("was 0.0001 USD and is 0."), "{}", told[1].message);
    assert!(told[2].message.contains("1000 credits at bfl, bought for 9.00 USD"), "{}", told[2].message);
    assert_eq!(house.store.alerts_since_opened().len(), 3);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_that_is_reached_too_soon_is_foretold_to_its_project() {
    let clock = clock();
    let house = house(607, &clock).await;
    let monthly = Budget {
        id: BudgetId::generate(),
        name: "pictures".to_owned(),
        scope: BudgetScope { project: Part::Each, ..BudgetScope::default() },
        unit: BudgetUnit::Usd,
        // 0.03 in 27.5 of 30 days; the rest of the month is short of it by a little.
        limit: usd("0.032").get(),
        window: BudgetWindow::Month,
        zone: "UTC".to_owned(),
        mode: BudgetMode::Hard,
        thresholds_percent: THRESHOLDS_PERCENT.to_vec(),
        created_at: "2026-11-01T00:00:00Z".parse().expect("an instant"),
    };
    house.store.create_budget(monthly.clone()).await.expect("it is made");
    house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect("it is made");
    house.settled().await;
    house.engine.watch_now().await;
    house.engine.watch_now().await;
    let told = alerts(&house.store).await;
    let kinds: Vec<&str> = told.iter().map(|alert| alert.kind.as_str()).collect();
    assert_eq!(kinds, ["budget.threshold", "budget.projection"], "{told:#?}");
    assert!(told.iter().all(|alert| alert.project == Some(ProjectId::default_project())));
    // 27.5 days × 0.032 ÷ 0.03 are 29 days and 8 hours.
    assert!(told[1].message.contains("is reached on 2026-11-30 08:00 UTC"), "{}", told[1].message);
    assert_eq!(house.balance().await, 0);
}

/// Books a day of a model in the past: requests with one attempt each, the last of which fail.
async fn a_day(store: &Store, at: Timestamp, delivered: u32, failed: u32) {
    let payer = Arc::new(Payer::of(ProjectId::default_project()));
    for number in 0..delivered + failed {
        let (request, attempt) = (RequestId::generate(), AttemptId::generate());
        let reservation = Reservation {
            request,
            payer: Arc::clone(&payer),
            new_request: Some(NewRequest {
                id: request,
                payer: Arc::clone(&payer),
                accepted_at: at,
                model: "auto".to_owned(),
                operation: Operation::Generate,
                n: 1,
                plan_json: "{}".to_owned(),
                asked_json: None,
                prompt: None,
                fingerprint: [0; 32],
                idempotency_key: None,
            }),
            attempts: vec![NewAttempt {
                id: attempt,
                number: 1,
                offer: OfferId::new("elsewhere", "some-model"),
                images: 1,
                maximum: usd("0.04"),
                call_json: String::new(),
                catalogue_digest: String::new(),
            }],
            now: at,
        };
        store.reserve(reservation).await.expect("it is held");
        let fine = number < delivered;
        let end = match fine {
            true => End::Settled {
                charge: usd("0.04"),
                basis: "computed".to_owned(),
                charge_json: "{}".to_owned(),
                images: 1,
                provider_request_id: None,
                fault_json: None,
            },
            false => End::Released { fault_json: None, provider_request_id: None },
        };
        let finish = RequestEnd {
            status: if fine { RequestStatus::Succeeded } else { RequestStatus::Failed },
            http_status: if fine { 200 } else { 502 },
            error_code: None,
            answer_json: None,
            images_delivered: u32::from(fine),
            list: None,
            saved: None,
            free_idempotency_key: false,
        };
        let ends = vec![AttemptEnd { attempt, end }];
        store.conclude(Conclusion { request, ends, finish: Some(finish), now: at }).await.expect("it ends");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_needs_more_tries_than_it_used_to_is_told_with_its_range() {
    let clock = clock();
    let house = house(608, &clock).await;
    let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("an instant");
    for days in 1..=8 {
        a_day(&house.store, now - SignedDuration::from_hours(24 * days), 6, 0).await;
    }
    a_day(&house.store, now, 6, 1).await;
    house.engine.watch_now().await;
    assert_eq!(alerts(&house.store).await, [], "seven attempts say nothing yet");
    a_day(&house.store, now, 2, 7).await;
    house.engine.watch_now().await;
    house.engine.watch_now().await;
    let told = alerts(&house.store).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!((told[0].kind.as_str(), told[0].severity.as_str()), ("cost.anomaly", "warning"));
    let expected = "attempts per delivered image of some-model left its usual range: 2.00 on 2026-11-28, usually \
                    0.90 to 1.10 (median 1.00 over 8 days; 8 images from 16 attempts on that day).";
    assert!(told[0].message.contains(expected), "{}", told[0].message);
}
