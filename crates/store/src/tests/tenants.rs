//! Keys with scopes, grants and limits, their rotation, and the log of who changed what.

use gallerist_domain::budget::Part;
use gallerist_domain::{Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow};
use gallerist_domain::{Grants, Payer, ProjectId, RateLimits, Scopes, Ticks};
use std::sync::Arc;

use super::support::*;
use crate::*;

fn key(id: &str, digest: u8) -> NewKey {
    NewKey {
        id: id.to_owned(),
        project: ProjectId::default_project(),
        name: "shop".to_owned(),
        scopes: Scopes::USUAL,
        sha256: [digest; 32],
        prefix: format!("gal-{id}"),
        expires_at: None,
        grants: Grants { providers: vec!["bfl".to_owned()], ..Grants::default() },
        limits: RateLimits { images_per_minute: Some(7), ..RateLimits::NONE },
    }
}

fn secret(digest: u8, until: i64) -> NewSecret {
    NewSecret { sha256: [digest; 32], prefix: "gal-a".to_owned(), previous_until: at(until) }
}

fn known(store: &Store, digest: u8, second: i64) -> bool {
    store.key_by_digest(&[digest; 32], at(second)).is_some_and(|key| key.id == "a")
}

#[tokio::test]
async fn a_rotated_key_has_two_secrets_for_a_time() {
    let store = store();
    store.create_key(key("a", 1), at(0)).await.unwrap();
    store.rotate_key("a", secret(2, 100), at(10)).await.unwrap();
    assert!(known(&store, 1, 99) && known(&store, 2, 99), "both are good in the grace time");
    assert!(!known(&store, 1, 100) && known(&store, 2, 100), "the old one ends exactly");
    store.rotate_key("a", secret(3, 200), at(20)).await.unwrap();
    assert!(!known(&store, 1, 21), "of three secrets the oldest ends at once");
    assert!(known(&store, 2, 199) && known(&store, 3, 199));
    let taken = NewKey { sha256: [2; 32], ..key("b", 9) };
    assert!(matches!(store.create_key(taken, at(30)).await, Err(StoreError::Exists(_))));
    store.revoke_key("a", at(30)).await.unwrap();
    assert!(!known(&store, 2, 31) && !known(&store, 3, 31), "a revocation ends both");
    let again = store.rotate_key("a", secret(4, 300), at(40)).await;
    assert!(matches!(again, Err(StoreError::Invalid(_))));
    assert!(matches!(store.rotate_key("z", secret(4, 300), at(40)).await, Err(StoreError::UnknownKey(_))));
}

#[tokio::test]
async fn digests_that_begin_alike_are_told_apart() {
    let store = store();
    let mut alike = [1; 32];
    alike[31] = 2;
    store.create_key(key("a", 1), at(0)).await.unwrap();
    store.create_key(NewKey { sha256: alike, ..key("b", 1) }, at(0)).await.unwrap();
    assert_eq!(store.key_by_digest(&[1; 32], at(1)).unwrap().id, "a");
    assert_eq!(store.key_by_digest(&alike, at(1)).unwrap().id, "b");
    alike[31] = 3;
    assert!(store.key_by_digest(&alike, at(1)).is_none());
}

#[tokio::test]
async fn what_a_key_may_do_is_kept_and_changed_and_survives() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(StoreOptions::new(dir.path(), at(0))).unwrap();
    store.create_key(key("a", 1), at(0)).await.unwrap();
    let limits = RateLimits { images_at_once: Some(3), ..RateLimits::NONE };
    let change = ProjectChange { limits: LimitsChange::to(limits), cap: None };
    store.change_project(ProjectId::default_project(), change, at(1)).await.unwrap();
    let read = Scopes::of_role("read").unwrap();
    let change = KeyChange { scopes: Some(read), expires_at: Some(Some(at(50))), ..KeyChange::default() };
    store.change_key("a", change, at(2)).await.unwrap();
    store.close().await.unwrap();
    let store = Store::open(StoreOptions::new(dir.path(), at(0))).unwrap();
    let known = store.key_by_digest(&[1; 32], at(49)).unwrap();
    assert_eq!((known.scopes, known.expires_at), (read, Some(at(50))));
    assert_eq!(known.allowance.grants.providers, ["bfl"]);
    assert_eq!(known.allowance.key_limits.images_per_minute, Some(7));
    assert_eq!(known.allowance.project_limits, limits);
    assert!(store.key_by_digest(&[1; 32], at(50)).is_none());
    let bad = KeyChange {
        limits: LimitsChange { requests_per_minute: Some(Some(0)), ..LimitsChange::default() },
        ..KeyChange::default()
    };
    let refused = store.change_key("a", bad, at(3)).await.unwrap_err();
    assert!(refused.to_string().contains("requests_per_minute"), "{refused}");
}

/// Each change knows only what it changes, so that none is made of what was read before another one.
#[tokio::test]
async fn changes_of_different_limits_and_lists_are_all_kept_in_either_order() {
    let requests = LimitsChange { requests_per_minute: Some(Some(5)), ..LimitsChange::default() };
    let images = LimitsChange { images_per_minute: Some(None), ..LimitsChange::default() };
    let routes = GrantsChange { routes: Some(vec!["fast".to_owned()]), ..GrantsChange::default() };
    let models = GrantsChange { models: Some(vec!["flux-2-pro".to_owned()]), ..GrantsChange::default() };
    for reversed in [false, true] {
        let store = store();
        store.create_key(key("a", 1), at(0)).await.unwrap();
        let limits = RateLimits { images_per_minute: Some(7), images_at_once: Some(2), ..RateLimits::NONE };
        store.create_limited_project(project("shop"), None, limits, at(0)).await.unwrap();
        let mut changes = [(requests, routes.clone()), (images, models.clone())];
        if reversed {
            changes.reverse();
        }
        let change = |(limits, grants): (LimitsChange, GrantsChange)| {
            let store = store.clone();
            async move {
                let of_key = KeyChange { limits, grants, ..KeyChange::default() };
                let of_project = ProjectChange { limits, cap: None };
                tokio::try_join!(
                    store.change_key("a", of_key, at(1)),
                    store.change_project(project("shop"), of_project, at(1))
                )
            }
        };
        let [first, second] = changes;
        tokio::try_join!(change(first), change(second)).unwrap();
        let key = store.key_by_digest(&[1; 32], at(2)).unwrap();
        let expected = RateLimits { requests_per_minute: Some(5), ..RateLimits::NONE };
        assert_eq!(key.allowance.key_limits, expected);
        let grants = &key.allowance.grants;
        assert_eq!(
            (&grants.routes[..], &grants.models[..]),
            (&["fast".to_owned()][..], &["flux-2-pro".to_owned()][..])
        );
        assert_eq!(grants.providers, ["bfl"], "nobody changed it");
        let shop = store.project(project("shop")).await.unwrap().unwrap();
        assert_eq!(shop.limits, RateLimits { images_at_once: Some(2), ..expected });
    }
}

#[tokio::test]
async fn every_change_stands_in_the_log_with_who_made_it() {
    let store = store();
    let admin = store.on_behalf_of(Actor::key("root"));
    admin.create_key(key("a", 1), at(1)).await.unwrap();
    admin.rotate_key("a", secret(2, 100), at(2)).await.unwrap();
    store.on_behalf_of(Actor::CommandLine).revoke_key("a", at(3)).await.unwrap();
    store.on_behalf_of(Actor::CommandLine).revoke_key("a", at(4)).await.unwrap();
    admin.create_project(project("shop"), None, at(5)).await.unwrap();
    admin.set_cap(project("shop"), Some(Ticks::new(5)), at(6)).await.unwrap();
    admin.set_cap(project("shop"), Some(Ticks::new(5)), at(7)).await.unwrap();
    let refused = admin.create_project(project("shop"), None, at(8)).await;
    assert!(refused.is_err(), "what is refused leaves no row");
    let page = store.audit(AuditFilter { limit: 3, ..AuditFilter::default() }).await.unwrap();
    assert!(page.has_more);
    let after = page.changes.last().map(|change| change.id);
    let rest = store.audit(AuditFilter { limit: 100, after, ..AuditFilter::default() }).await.unwrap();
    assert!(!rest.has_more);
    let told: Vec<_> = page.changes.iter().chain(&rest.changes).collect();
    let actions: Vec<_> = told.iter().map(|change| (change.action.as_str(), change.at)).collect();
    assert_eq!(
        actions,
        [
            ("project.change", at(6)),
            ("project.create", at(5)),
            ("key.revoke", at(3)),
            ("key.rotate", at(2)),
            ("key.create", at(1)),
        ]
    );
    assert_eq!(told[0].key_id.as_deref(), Some("root"));
    assert_eq!(told[0].before_json.as_deref().map(|text| text.contains("null")), Some(true));
    assert!(told[0].after_json.as_deref().unwrap().contains("0.0000000005"));
    assert_eq!((told[2].actor.as_str(), told[2].key_id.as_deref()), ("command_line", None));
    let of_key = AuditFilter { subject: Some("a".to_owned()), limit: 9, ..AuditFilter::default() };
    assert_eq!(store.audit(of_key).await.unwrap().changes.len(), 3);
    let digest = "0101";
    assert!(told.iter().all(|change| !format!("{change:?}").contains(digest)), "no digest is in it");
}

#[tokio::test]
async fn a_resolution_by_a_person_is_logged_and_one_by_a_look_up_is_not() {
    let store = store();
    for (actor, rows) in [(Actor::Gateway, 0), (Actor::key("root"), 1)] {
        let request = new_request(&ProjectId::default_project(), 1, None);
        let id = request.id;
        let attempt = attempt(1, "bfl", 100);
        let number = attempt.id;
        store.reserve(first(request, vec![attempt])).await.unwrap();
        let ends = vec![AttemptEnd { attempt: number, end: disputed() }];
        store.conclude(Conclusion { request: id, ends, finish: None, now: at(1) }).await.unwrap();
        let bill = Resolution::of_bill(number, Ticks::new(40), "resolved_by_person", at(2));
        store.on_behalf_of(actor).resolve_dispute(bill).await.unwrap();
        let filter =
            AuditFilter { action: Some("attempt.resolve".to_owned()), limit: 9, ..AuditFilter::default() };
        let changes = store.audit(filter).await.unwrap().changes;
        assert_eq!(changes.len(), rows);
        assert!(changes.iter().all(|change| change.subject == id.to_string()));
    }
}

#[tokio::test]
async fn requests_are_found_by_end_user_and_tag() {
    let store = store();
    let make = async |end_user: &str, tags: &[(&str, &str)], fingerprint: u8| {
        let mut request = new_request(&ProjectId::default_project(), fingerprint, None);
        request.payer = Arc::new(Payer {
            end_user: Some(end_user.to_owned()),
            tags: tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Payer::of(ProjectId::default_project())
        });
        let id = request.id;
        store.reserve(first(request, vec![attempt(1, "bfl", 1)])).await.unwrap();
        id
    };
    let one = make("ann", &[("team", "red_1"), ("env", "prod")], 1).await;
    let two = make("bob", &[("team", "red11"), ("odd", "\"team\":\"red_1\"")], 2).await;
    let three = make("ann", &[("team", "RED_1")], 3).await;
    let find = async |end_user: Option<&str>, tag: Option<(&str, &str)>, limit| {
        let filter = RequestFilter {
            end_user: end_user.map(str::to_owned),
            tag: tag.map(|(name, value)| (name.to_owned(), value.to_owned())),
            limit,
            ..RequestFilter::default()
        };
        let page = store.requests(filter).await.unwrap();
        (page.requests.iter().map(|request| request.id).collect::<Vec<_>>(), page.has_more)
    };
    assert_eq!(find(Some("ann"), None, 9).await, (vec![three, one], false));
    assert_eq!(find(None, Some(("team", "red_1")), 9).await, (vec![one], false));
    assert_eq!(find(None, Some(("team", "red_1")), 1).await, (vec![one], false));
    assert_eq!(find(None, Some(("team", "red11")), 9).await, (vec![two], false));
    assert_eq!(find(None, None, 2).await, (vec![three, two], true));
    let detail = store.request(two).await.unwrap().unwrap().request;
    assert_eq!((detail.end_user.as_deref(), detail.tags.len()), (Some("bob"), 2));
    let usage = store.project_usage(ProjectId::default_project(), at(30)).await.unwrap();
    assert_eq!((usage.requests_last_minute, usage.images_last_minute, usage.requests_running), (3, 3, 3));
    let later = store.project_usage(ProjectId::default_project(), at(60)).await.unwrap();
    assert_eq!((later.requests_last_minute, later.requests_running), (0, 3));
}

#[tokio::test]
async fn a_project_is_made_with_its_limits_in_one_change() {
    let store = store();
    let limits = RateLimits { images_per_minute: Some(9), ..RateLimits::NONE };
    store.create_limited_project(project("shop"), Some(Ticks::new(7)), limits, at(1)).await.unwrap();
    let made = store.project(project("shop")).await.unwrap().unwrap();
    assert_eq!((made.cap, made.limits), (Some(Ticks::new(7)), limits));
    let log = store.audit(AuditFilter { limit: 9, ..AuditFilter::default() }).await.unwrap().changes;
    assert_eq!(log.len(), 1);
    assert!(log[0].after_json.as_deref().unwrap().contains("\"images_per_minute\":9"));
}

#[tokio::test]
async fn what_is_done_to_a_budget_is_logged() {
    let store = store();
    store.create_project("shop".parse().unwrap(), None, at(0)).await.unwrap();
    let admin = store.on_behalf_of(Actor::key("root"));
    let budget = Budget {
        id: BudgetId::generate(),
        name: "shop".to_owned(),
        scope: BudgetScope { project: Part::Only("shop".to_owned()), ..BudgetScope::default() },
        unit: BudgetUnit::Images,
        limit: 5,
        window: BudgetWindow::Day,
        zone: "UTC".to_owned(),
        mode: BudgetMode::Hard,
        thresholds_percent: vec![50],
        created_at: at(1),
    };
    admin.create_budget(budget.clone()).await.unwrap();
    let raised = BudgetChange { limit: Some(9), ..BudgetChange::default() };
    admin.change_budget(budget.id, raised.clone(), at(2)).await.unwrap();
    admin.change_budget(budget.id, raised, at(3)).await.unwrap();
    admin.remove_budget(budget.id, at(4)).await.unwrap();
    admin.remove_budget(budget.id, at(5)).await.unwrap();
    let filter = AuditFilter { subject: Some(budget.id.to_string()), limit: 9, ..AuditFilter::default() };
    let changes = store.audit(filter).await.unwrap().changes;
    let told: Vec<_> = changes.iter().map(|change| (change.action.as_str(), change.at)).collect();
    assert_eq!(told, [("budget.remove", at(4)), ("budget.change", at(2)), ("budget.create", at(1))]);
    assert!(changes.iter().all(|change| change.project.as_deref() == Some("shop")));
    assert!(changes[1].before_json.as_deref().unwrap().contains("\"limit_images\":5"));
    assert!(changes[1].after_json.as_deref().unwrap().contains("\"limit_images\":9"));
    assert_eq!((&changes[0].after_json, &changes[2].before_json), (&None, &None));
    assert!(changes[2].after_json.as_deref().unwrap().contains("\"window\":\"day\""));
}
