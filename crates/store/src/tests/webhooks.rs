//! Alerts find their webhooks in the transaction that raises them, and every delivery ends once.

use super::support::*;
use crate::*;
use gallerist_domain::{AlertFact, KindFilter, NewAlert, ProjectId, WebhookId};

fn outage(once: &str, project: Option<&str>) -> NewAlert {
    NewAlert {
        once: once.to_owned(),
        at: at(0),
        project: project.map(|name| name.parse().unwrap()),
        fact: AlertFact::OfferOutage { offer: "bfl/flux-2-pro".to_owned() },
    }
}

fn webhook(kinds: &[&str], project: Option<&str>) -> NewWebhook {
    NewWebhook {
        id: WebhookId::generate(),
        url: "https://hooks.example/alerts".to_owned(),
        kinds: KindFilter(kinds.iter().map(|kind| (*kind).to_owned()).collect()),
        project: project.map(|name| name.parse().unwrap()),
        format: WebhookFormat::Standard,
        secret: SigningSecret::new(vec![7; 32]),
    }
}

async fn store_with(webhooks: &[NewWebhook]) -> TestStore {
    let store = store();
    store.create_project(project("shop"), None, at(0)).await.unwrap();
    for webhook in webhooks {
        store.create_webhook(webhook.clone(), at(0)).await.unwrap();
    }
    store
}

async fn pending(store: &Store, webhook: &NewWebhook) -> u64 {
    store.webhook(webhook.id).await.unwrap().pending
}

async fn claim(store: &Store, second: i64) -> Vec<Claimed> {
    store.claim_deliveries(at(second), at(second + 30), 16).await.unwrap()
}

#[tokio::test]
async fn an_alert_is_queued_once_for_each_webhook_that_asked_for_its_kind_and_project() {
    let all = webhook(&[], None);
    let outages = webhook(&["offer.*"], None);
    let budgets = webhook(&["budget.*"], None);
    let shop = webhook(&[], Some("shop"));
    let hooks = [all.clone(), outages.clone(), budgets.clone(), shop.clone()];
    let store = store_with(&hooks).await;
    store.raise_alerts(vec![outage("one", None), outage("one", None)]).await.unwrap();
    store.raise_alerts(vec![outage("one", None), outage("two", Some("shop"))]).await.unwrap();
    let mut queued = Vec::new();
    for hook in &hooks {
        queued.push(pending(&store, hook).await);
    }
    assert_eq!(queued, [2, 2, 0, 1]);
    assert_eq!(store.alerts_since_opened().into_iter().collect::<Vec<_>>(), [("offer.outage", 2)]);
    // A project sees its own.
    let of = |project: Option<ProjectId>| AlertFilter { project, limit: 10, ..AlertFilter::default() };
    let own = store.alerts(of(Some(project("shop")))).await.unwrap();
    assert_eq!(own.alerts.len(), 1);
    assert_eq!(store.alerts(of(None)).await.unwrap().alerts.len(), 2);
}

#[tokio::test]
async fn a_dispute_and_an_overrun_are_told_by_the_transaction_that_ends_the_attempt() {
    let hook = webhook(&[], None);
    let store = store_with(std::slice::from_ref(&hook)).await;
    let shop = project("shop");
    let (request, attempt) = reserved(&store, &shop, 100).await;
    let refused = End::Settled {
        charge: AMOUNT_MAX + gallerist_domain::Ticks::new(1),
        basis: "x".to_owned(),
        charge_json: String::new(),
        doubtful: gallerist_domain::Ticks::ZERO,
        images: 0,
        provider_request_id: None,
        fault_json: None,
    };
    // Refused after nothing was told; what a refused command raises is not told either.
    assert!(store.conclude(conclusion(request, vec![(attempt, refused)], None)).await.is_err());
    store.conclude(conclusion(request, vec![(attempt, disputed())], None)).await.unwrap();
    let resolution =
        Resolution::of_bill(attempt, gallerist_domain::Ticks::new(130), "resolved_by_person", at(7_205));
    store.resolve_dispute(resolution).await.unwrap();
    // Of an hour and a magnitude only the first is told.
    for charge in [102, 103] {
        let (request, attempt) = reserved(&store, &shop, 100).await;
        store.conclude(conclusion(request, vec![(attempt, settled(charge, 1))], None)).await.unwrap();
    }
    let page = store.alerts(AlertFilter { limit: 10, ..AlertFilter::default() }).await.unwrap();
    let kinds: Vec<&str> = page.alerts.iter().rev().map(|alert| alert.kind.as_str()).collect();
    assert_eq!(kinds, ["attempt.disputed", "charge.overrun", "charge.overrun"]);
    assert!(page.alerts.iter().all(|alert| alert.project == Some(shop.clone())));
    assert!(page.alerts[2].message.contains("openai/openai-model"), "{page:?}");
    assert!(page.alerts[2].message.contains("(~0.0000000003 USD of it) stay held"), "{page:?}");
    assert_eq!(pending(&store, &hook).await, 3);
    let counts = store.alerts_since_opened();
    assert_eq!((counts["attempt.disputed"], counts["charge.overrun"]), (1, 2));
    check_books(&store).await;
}

#[tokio::test]
async fn a_command_that_fails_after_raising_an_alert_tells_nobody() {
    let hook = webhook(&[], None);
    let store = store_with(std::slice::from_ref(&hook)).await;
    let (request, attempt) = reserved(&store, &project("shop"), 100).await;
    let stranger = gallerist_domain::AttemptId::generate();
    let ends = vec![(attempt, disputed()), (stranger, released())];
    assert!(store.conclude(conclusion(request, ends, None)).await.is_err());
    assert_eq!(pending(&store, &hook).await, 0);
    assert!(store.alerts_since_opened().is_empty());
    store.conclude(conclusion(request, vec![(attempt, disputed())], None)).await.unwrap();
    assert_eq!((pending(&store, &hook).await, store.alerts_since_opened().len()), (1, 1));
}

#[tokio::test]
async fn what_the_database_refuses_is_not_told_and_what_shares_its_commit_is() {
    let hook = webhook(&[], None);
    let store = store_with(std::slice::from_ref(&hook)).await;
    let (request, attempt) = reserved(&store, &project("shop"), 100).await;
    store.refuse_ends();
    let (ended, raised) = tokio::join!(
        store.conclude(conclusion(request, vec![(attempt, disputed())], None)),
        store.raise_alerts(vec![outage("one", None)])
    );
    assert!(ended.is_err() && raised.is_ok());
    assert_eq!(store.alerts_since_opened().into_iter().collect::<Vec<_>>(), [("offer.outage", 1)]);
    assert_eq!(pending(&store, &hook).await, 1);
    store.take_ends_again();
    store.conclude(conclusion(request, vec![(attempt, disputed())], None)).await.unwrap();
    assert_eq!(store.alerts_since_opened()["attempt.disputed"], 1);
    assert_eq!(pending(&store, &hook).await, 2);
}

#[tokio::test]
async fn each_webhook_has_one_delivery_in_flight_and_an_expired_lease_is_claimed_again() {
    let (slow, other) = (webhook(&[], None), webhook(&[], None));
    let store = store_with(&[slow.clone(), other.clone()]).await;
    assert_eq!(store.next_delivery_at(at(0)).await.unwrap(), None);
    store.raise_alerts(vec![outage("one", None), outage("two", None)]).await.unwrap();
    assert_eq!(store.next_delivery_at(at(0)).await.unwrap(), Some(at(0)));
    let first = claim(&store, 0).await;
    assert_eq!(first.len(), 2);
    assert_eq!(first[0].alert.message, first[1].alert.message);
    assert_eq!(claim(&store, 1).await.len(), 0);
    assert_eq!(store.next_delivery_at(at(1)).await.unwrap(), Some(at(30)));
    // One is done, so its webhook's next may go; the other's holder has died.
    assert!(store.end_delivery(first[0].delivery, DeliveryEnd::Delivered, at(2)).await.unwrap());
    let second = claim(&store, 2).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].target.id, first[0].target.id);
    let again = claim(&store, 31).await;
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].alert.id, again[0].delivery.attempt), (first[1].alert.id, 2));
    // The dead one comes back too late: its word counts no more.
    let late = DeliveryEnd::Failed { why: "late".to_owned() };
    assert!(!store.end_delivery(first[1].delivery, late, at(32)).await.unwrap());
    let later = DeliveryEnd::Later { at: at(100), why: "it answered 503".to_owned() };
    assert!(store.end_delivery(again[0].delivery, later, at(33)).await.unwrap());
    let record = store.webhook(first[1].target.id).await.unwrap();
    assert_eq!((record.last_failure.as_deref(), record.pending), (Some("it answered 503"), 2));
    // Its next delivery does not wait for the one that failed.
    let next = claim(&store, 31).await;
    assert_eq!(next.len(), 1);
    assert_eq!((next[0].target.id, next[0].delivery.attempt), (first[1].target.id, 1));
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_disabled_and_gets_nothing_until_it_is_wanted_again() {
    let hook = webhook(&[], None);
    let store = store_with(std::slice::from_ref(&hook)).await;
    store.raise_alerts(vec![outage("one", None), outage("two", None)]).await.unwrap();
    let claimed = claim(&store, 0).await;
    let gone = DeliveryEnd::Gone { why: "it answered 410".to_owned() };
    assert!(store.end_delivery(claimed[0].delivery, gone, at(1)).await.unwrap());
    let record = store.webhook(hook.id).await.unwrap();
    assert_eq!((record.pending, record.disabled_at), (0, Some(at(1))));
    assert_eq!(record.disabled_reason.as_deref(), Some("it answered 410"));
    store.raise_alerts(vec![outage("three", None)]).await.unwrap();
    assert_eq!(claim(&store, 100).await.len(), 0);
    let enabled = WebhookChange { enabled: Some(true), ..WebhookChange::default() };
    store.change_webhook(hook.id, enabled, at(101)).await.unwrap();
    store.raise_alerts(vec![outage("four", None)]).await.unwrap();
    assert_eq!(claim(&store, 102).await.len(), 1);
    store.forget_deliveries(at(200)).await.unwrap();
    assert_eq!(pending(&store, &hook).await, 1);
}

#[tokio::test]
async fn both_secrets_sign_while_one_replaces_the_other_and_removal_forgets_them() {
    let hook = webhook(&[], None);
    let store = store_with(std::slice::from_ref(&hook)).await;
    store.rotate_webhook(hook.id, SigningSecret::new(vec![8; 32]), at(60), at(0)).await.unwrap();
    let secrets =
        |target: WebhookTarget| target.secrets.iter().map(|one| one.expose()[0]).collect::<Vec<_>>();
    assert_eq!(secrets(store.webhook_target(hook.id, at(59)).await.unwrap()), [8, 7]);
    assert_eq!(secrets(store.webhook_target(hook.id, at(60)).await.unwrap()), [8]);
    assert_eq!(format!("{:?}", SigningSecret::new(vec![8; 32])), "SigningSecret(…)");
    store.remove_webhook(hook.id, at(61)).await.unwrap();
    assert!(matches!(store.webhook_target(hook.id, at(62)).await, Err(StoreError::UnknownWebhook(_))));
    assert!(matches!(store.remove_webhook(hook.id, at(62)).await, Err(StoreError::UnknownWebhook(_))));
    assert_eq!(store.webhooks().await.unwrap(), []);
}

#[tokio::test]
async fn what_cannot_be_a_webhook_is_refused() {
    let store = store_with(&[]).await;
    let wrong = [
        webhook(&["nothing"], None),
        NewWebhook { url: String::new(), ..webhook(&[], None) },
        NewWebhook { url: "https://x.example/".to_owned() + &"x".repeat(2_048), ..webhook(&[], None) },
    ];
    for webhook in wrong {
        assert!(matches!(store.create_webhook(webhook, at(0)).await, Err(StoreError::Invalid(_))));
    }
    let stranger = store.create_webhook(webhook(&[], Some("nobody")), at(0)).await;
    assert!(matches!(stranger, Err(StoreError::UnknownProject(_))));
}

#[tokio::test]
async fn days_of_models_and_offers_in_use_come_from_the_attempts() {
    let store = store_with(&[]).await;
    let shop = project("shop");
    for end in [settled(30, 1), settled(50, 2), released(), disputed()] {
        let (request, attempt) = reserved(&store, &shop, 100).await;
        store.conclude(conclusion(request, vec![(attempt, end)], None)).await.unwrap();
    }
    reserved(&store, &shop, 100).await;
    let midnight = at(0).as_second() - at(0).as_second().rem_euclid(86_400);
    let day = |days: i64| jiff::Timestamp::from_second(midnight + days * 86_400).unwrap();
    let days = store.model_days(day(-1), day(1)).await.unwrap();
    assert_eq!(days.len(), 1);
    let ModelDay { day: number, charged, doubtful, images, attempts, .. } = &days[0];
    assert_eq!((*number, charged.get(), *images, *attempts), (1, 80, 3, 4));
    assert_eq!(doubtful.get(), 10 + 16, "a third of each charge");
    assert_eq!(store.model_days(day(-1), day(0)).await.unwrap(), []);
    assert_eq!(store.offers_in_use(at(0)).await.unwrap(), ["openai/openai-model"]);
    assert_eq!(store.offers_in_use(at(1)).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_price_is_noted_and_told_by_whoever_sees_the_change_first() {
    let store = store_with(&[]).await;
    let note = |before: Option<&str>, after: &str, once: &str| {
        let before = before.map(str::to_owned);
        store.note_prices("bfl/x".to_owned(), before, after.to_owned(), vec![outage(once, None)], at(1))
    };
    note(None, "1", "first").await.unwrap();
    note(None, "2", "late").await.unwrap();
    note(Some("1"), "2", "second").await.unwrap();
    note(Some("1"), "3", "late too").await.unwrap();
    assert_eq!(store.known_prices().await.unwrap()["bfl/x"], "2");
    assert_eq!(store.alerts_since_opened()["offer.outage"], 2);
}

#[tokio::test]
async fn what_is_done_to_a_webhook_is_logged_without_its_secrets() {
    let hook =
        NewWebhook { url: "https://me:s3cret@hooks.example/T0/s3cret".to_owned(), ..webhook(&[], None) };
    let store = store_with(&[]).await;
    let admin = store.on_behalf_of(Actor::key("root"));
    admin.create_webhook(hook.clone(), at(1)).await.unwrap();
    let off = WebhookChange { enabled: Some(false), ..WebhookChange::default() };
    admin.change_webhook(hook.id, off.clone(), at(2)).await.unwrap();
    admin.change_webhook(hook.id, off, at(3)).await.unwrap();
    admin.rotate_webhook(hook.id, SigningSecret::new(vec![8; 32]), at(60), at(4)).await.unwrap();
    admin.remove_webhook(hook.id, at(5)).await.unwrap();
    let filter = AuditFilter { subject: Some(hook.id.to_string()), limit: 9, ..AuditFilter::default() };
    let changes = store.audit(filter).await.unwrap().changes;
    let told: Vec<_> = changes.iter().map(|change| (change.action.as_str(), change.at)).collect();
    let remove_rotate = [("webhook.remove", at(5)), ("webhook.rotate", at(4))];
    let change_create = [("webhook.change", at(2)), ("webhook.create", at(1))];
    assert_eq!(told, [remove_rotate, change_create].concat());
    assert!(changes.iter().all(|change| change.key_id.as_deref() == Some("root")));
    assert!(changes[3].after_json.as_deref().unwrap().contains("\"https://hooks.example\""));
    assert!(!format!("{changes:?}").contains("s3cret"));
}
