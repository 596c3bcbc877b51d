//! Keys, lists, usage, pictures, and every statement.

use bytes::Bytes;
use gallerist_domain::{
    Chunks, Grants, OutputFormat, Payer, ProjectId, RateLimits, RequestId, Scopes, Ticks,
};

use super::support::*;
use crate::*;

fn default() -> ProjectId {
    ProjectId::default_project()
}

#[tokio::test]
async fn a_key_works_until_it_expires_or_is_revoked() {
    let store = store();
    assert!(!store.has_keys());
    let key = |id: &str, digest: u8| NewKey {
        id: id.to_owned(),
        project: default(),
        name: "first".to_owned(),
        scopes: Scopes::USUAL,
        sha256: [digest; 32],
        prefix: "gk_abc".to_owned(),
        expires_at: Some(at(100)),
        grants: Grants::default(),
        limits: RateLimits::NONE,
    };
    store.create_key(key("a", 1), at(0)).await.unwrap();
    store.create_key(NewKey { expires_at: None, scopes: Scopes::ADMIN, ..key("b", 2) }, at(1)).await.unwrap();
    assert!(matches!(store.create_key(key("a", 3), at(0)).await, Err(StoreError::Exists(_))));
    assert!(matches!(store.create_key(key("c", 1), at(0)).await, Err(StoreError::Exists(_))));
    let stranger = NewKey { project: project("nobody"), ..key("d", 4) };
    assert!(matches!(store.create_key(stranger, at(0)).await, Err(StoreError::UnknownProject(_))));
    assert_eq!(store.key_by_digest(&[1; 32], at(99)).unwrap().id, "a");
    assert!(store.key_by_digest(&[1; 32], at(100)).is_none());
    assert_eq!(store.key_by_digest(&[2; 32], at(100)).unwrap().scopes, Scopes::ADMIN);
    store.revoke_key("b", at(5)).await.unwrap();
    store.revoke_key("b", at(6)).await.unwrap();
    assert!(store.key_by_digest(&[2; 32], at(7)).is_none());
    assert!(matches!(store.revoke_key("z", at(5)).await, Err(StoreError::UnknownKey(_))));
    let keys = store.list_keys().await.unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[1].revoked_at, Some(at(5)));
}

#[tokio::test]
async fn keys_are_there_again_after_reopening() {
    let place = place();
    let store = place.open();
    let secret = store.get_or_insert_meta("secret", vec![7; 32]).await.unwrap();
    let key = NewKey {
        id: "a".to_owned(),
        project: default(),
        name: "first".to_owned(),
        scopes: Scopes::USUAL,
        sha256: [9; 32],
        prefix: "gk_abc".to_owned(),
        expires_at: None,
        grants: Grants::default(),
        limits: RateLimits::NONE,
    };
    store.create_key(key, at(0)).await.unwrap();
    store.close().await.unwrap();
    let store = place.open();
    assert_eq!(store.key_by_digest(&[9; 32], at(1)).unwrap().id, "a");
    assert_eq!(store.get_or_insert_meta("secret", vec![8; 32]).await.unwrap(), secret);
}

#[tokio::test]
async fn projects_are_listed_with_their_totals() {
    let store = store();
    store.create_project(project("shop"), Some(Ticks::new(500)), at(3)).await.unwrap();
    let again = store.create_project(project("shop"), None, at(3)).await;
    assert!(matches!(again, Err(StoreError::Exists(_))));
    reserved(&store, &project("shop"), 200).await;
    let projects = store.list_projects().await.unwrap();
    assert_eq!(projects.len(), 2);
    assert_eq!(projects[1].id, project("shop"));
    assert_eq!((projects[1].held, projects[1].left()), (Ticks::new(200), Some(Ticks::new(300))));
    assert!(matches!(
        store.set_cap(project("nobody"), None, at(0)).await,
        Err(StoreError::UnknownProject(_))
    ));
}

#[tokio::test]
async fn requests_are_listed_page_by_page_from_the_newest() {
    let store = store();
    store.create_project(project("shop"), None, at(0)).await.unwrap();
    let mut ids: Vec<RequestId> = Vec::new();
    for i in 0..5 {
        let owner = if i == 2 { project("shop") } else { default() };
        ids.push(reserved(&store, &owner, 10).await.0);
    }
    let filter = RequestFilter { limit: 2, ..RequestFilter::default() };
    let page = store.requests(filter.clone()).await.unwrap();
    assert_eq!(page.requests.iter().map(|r| r.id).collect::<Vec<_>>(), [ids[4], ids[3]]);
    assert!(page.has_more);
    let page =
        store.requests(RequestFilter { after: Some(ids[3]), limit: 3, ..filter.clone() }).await.unwrap();
    assert_eq!(page.requests.iter().map(|r| r.id).collect::<Vec<_>>(), [ids[2], ids[1], ids[0]]);
    assert!(!page.has_more);
    let shop = RequestFilter { project: Some(project("shop")), ..filter };
    let page = store.requests(shop).await.unwrap();
    assert_eq!(page.requests.iter().map(|r| (r.id, r.held)).collect::<Vec<_>>(), [(ids[2], Ticks::new(10))]);
}

/// A request by `key_id` that has ended as `end` and `status` say; still running without them.
async fn request(store: &Store, key_id: &str, ended: Option<(End, RequestStatus)>) -> RequestId {
    let payer = Arc::new(Payer { key_id: Some(key_id.to_owned()), ..Payer::of(default()) });
    let request = NewRequest { payer, ..new_request(&default(), 1, None) };
    let attempt = attempt(1, "openai", 10);
    let (id, attempt_id) = (request.id, attempt.id);
    store.reserve(first(request, vec![attempt])).await.unwrap();
    if let Some((end, status)) = ended {
        store.conclude(conclusion(id, vec![(attempt_id, end)], Some(finish(status)))).await.unwrap();
    }
    id
}

#[tokio::test]
async fn a_repetition_finds_what_runs_or_was_paid_behind_newer_free_failures() {
    let store = store();
    let find =
        |key_id: &str, second| store.repeatable(default(), Some(key_id.to_owned()), [1; 32], at(second));
    let free = || Some((released(), RequestStatus::Failed));
    request(&store, "k", free()).await;
    assert_eq!(find("k", 0).await.unwrap(), None, "a free failure may be tried again");
    let paid = request(&store, "k", Some((settled(10, 1), RequestStatus::Succeeded))).await;
    request(&store, "k", free()).await;
    assert_eq!(find("k", 0).await.unwrap(), Some(paid));
    let disputed = request(&store, "k", Some((disputed(), RequestStatus::Failed))).await;
    request(&store, "k", free()).await;
    assert_eq!(find("k", 0).await.unwrap(), Some(disputed));
    let running = request(&store, "k", None).await;
    request(&store, "k", Some((settled(10, 0), RequestStatus::Failed))).await;
    assert_eq!(find("k", 0).await.unwrap(), Some(running));
    assert_eq!(find("k", 1).await.unwrap(), None, "it is too old");
}

#[tokio::test]
async fn a_repetition_finds_requests_of_its_own_key_body_and_project_only() {
    let store = store();
    let paid = request(&store, "k", Some((settled(10, 1), RequestStatus::Succeeded))).await;
    let find = |project: ProjectId, key_id: Option<&str>, fingerprint: u8| {
        store.repeatable(project, key_id.map(str::to_owned), [fingerprint; 32], at(0))
    };
    assert_eq!(find(default(), Some("k"), 1).await.unwrap(), Some(paid));
    assert_eq!(find(default(), Some("other"), 1).await.unwrap(), None);
    assert_eq!(find(default(), None, 1).await.unwrap(), None);
    assert_eq!(find(default(), Some("k"), 2).await.unwrap(), None);
    assert_eq!(find(project("other"), Some("k"), 1).await.unwrap(), None);
}

/// Three requests: one that failed over after a charge for nothing, one in dispute, one that was free.
async fn spend(store: &Store) {
    let request = new_request(&default(), 1, None);
    let id = request.id;
    let (one, two) = (attempt(1, "openai", 100), attempt(2, "bfl", 50));
    let ends = vec![(one.id, settled(90, 0)), (two.id, settled(40, 1))];
    store.reserve(first(request, vec![one, two])).await.unwrap();
    store.conclude(conclusion(id, ends, Some(finish(RequestStatus::Succeeded)))).await.unwrap();

    let request = NewRequest { accepted_at: at(86_400), ..new_request(&default(), 2, None) };
    let id = request.id;
    let one = attempt(1, "openai", 30);
    let ends = vec![(one.id, disputed())];
    store.reserve(first(request, vec![one])).await.unwrap();
    let end = RequestEnd { list: None, saved: None, ..finish(RequestStatus::Failed) };
    store.conclude(conclusion(id, ends, Some(end))).await.unwrap();

    let request = NewRequest { accepted_at: at(86_401), ..new_request(&default(), 3, None) };
    let id = request.id;
    let one = attempt(1, "bfl", 20);
    let ends = vec![(one.id, released())];
    store.reserve(first(request, vec![one])).await.unwrap();
    let end = RequestEnd { list: None, saved: None, ..finish(RequestStatus::Failed) };
    store.conclude(conclusion(id, ends, Some(end))).await.unwrap();
}

#[tokio::test]
async fn usage_adds_up_in_every_grouping() {
    let store = store();
    spend(&store).await;
    // Nothing here was compared with a baseline and found equal: 0 stands for what is not known.
    let known = |ticks: i64| (ticks != 0).then(|| Ticks::new(ticks));
    let figures = |requests, images, attempts, list, charged, wasted, disputed, saved| UsageFigures {
        requests,
        images,
        attempts,
        list: known(list),
        charged: Ticks::new(charged),
        wasted: Ticks::new(wasted),
        disputed: Ticks::new(disputed),
        saved: known(saved),
        // As `settled` says: a third of each charge.
        doubtful: Ticks::new(charged / 3),
        // As `list_price` says: a quarter of each.
        list_doubtful: Ticks::new(list / 4),
        // None of them at a service tier, and the charges of these tests name a basis of their own.
        saved_offer: known(saved),
        basis: BasisFigures { resolved: Ticks::new(charged), ..BasisFigures::default() },
        ..UsageFigures::default()
    };
    let ask = |group_by: &[UsageKey]| {
        let query = UsageQuery { group_by: group_by.to_vec(), ..UsageQuery::default() };
        let store = store.clone();
        async move { store.usage(query).await.unwrap() }
    };
    let totals = figures(3, 1, 4, 100, 130, 90, 30, 40);
    let report = ask(&[UsageKey::Provider, UsageKey::Model]).await;
    assert_eq!(report.totals, totals);
    let row =
        |keys: &[&str], figures| UsageRow { keys: keys.iter().map(|&k| k.to_owned()).collect(), figures };
    assert_eq!(
        report.rows,
        [
            row(&["bfl", "bfl-model"], figures(2, 1, 2, 100, 40, 0, 0, 40)),
            row(&["openai", "openai-model"], figures(2, 0, 2, 0, 90, 90, 30, 0)),
        ]
    );
    let report = ask(&[UsageKey::Day]).await;
    assert_eq!(
        report.rows,
        [
            row(&["2026-05-28"], figures(1, 1, 2, 100, 130, 90, 0, 40)),
            row(&["2026-05-29"], figures(2, 0, 2, 0, 0, 0, 30, 0)),
        ]
    );
    let report = ask(&[UsageKey::Project, UsageKey::Key, UsageKey::Operation]).await;
    assert_eq!(report.rows, [row(&["default", "key_1", "generate"], totals)]);
    let first_day = UsageQuery { to: Some(at(86_400)), project: Some(default()), ..UsageQuery::default() };
    assert_eq!(store.usage(first_day).await.unwrap().totals.requests, 1);
    let nobody = UsageQuery { project: Some(project("nobody")), ..UsageQuery::default() };
    assert_eq!(store.usage(nobody).await.unwrap().totals, UsageFigures::default());
    let twice = UsageQuery { group_by: vec![UsageKey::Day, UsageKey::Day], ..UsageQuery::default() };
    assert!(matches!(store.usage(twice).await, Err(StoreError::Invalid(_))));
}

#[tokio::test]
async fn a_picture_is_kept_until_it_is_swept() {
    let store = store();
    let request = RequestId::generate();
    let picture = |text: &'static str, index| NewPicture {
        request,
        index,
        format: OutputFormat::Png,
        data: text.split(' ').map(Bytes::from).collect::<Chunks>(),
        expires_at: at(3_600 + i64::from(index)),
        now: at(0),
    };
    store.put_picture(picture("first version", 0)).await.unwrap();
    store.put_picture(picture("second one", 0)).await.unwrap();
    store.put_picture(picture("other", 1)).await.unwrap();
    let found = store.picture(request, 0, at(3_599)).await.unwrap().unwrap();
    assert_eq!((found.format, &found.data[..]), (OutputFormat::Png, &b"secondone"[..]));
    assert!(store.picture(request, 0, at(3_600)).await.unwrap().is_none());
    assert!(store.picture(request, 2, at(0)).await.unwrap().is_none());
    assert_eq!(store.picture_count(request, at(0)).await.unwrap(), 2);
    let swept = store.sweep(at(3_600)).await.unwrap();
    assert_eq!((swept.pictures, swept.bytes, swept.has_more), (1, 9, false));
    assert_eq!(store.picture_count(request, at(0)).await.unwrap(), 1);
    if store.is_shared() {
        // They lie in the database.
        return;
    }
    let id = request.to_string();
    let folder = store.data_dir().join("pictures").join(&id[id.len() - 2..]);
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().file_name()).collect();
    assert_eq!(left, [format!("{request}-1.png").as_str()]);
}

fn tiny(request: RequestId, index: u32, expires_at: jiff::Timestamp) -> NewPicture {
    let data = Chunks::from(vec![7u8; 9]);
    NewPicture { request, index, format: OutputFormat::Png, data, expires_at, now: at(0) }
}

#[tokio::test]
async fn a_picture_that_is_kept_again_lives_no_shorter() {
    let store = store();
    let request = RequestId::generate();
    store.put_picture(tiny(request, 0, at(86_400))).await.unwrap();
    store.put_picture(tiny(request, 0, at(3_600))).await.unwrap();
    store.put_picture(tiny(request, 1, at(3_600))).await.unwrap();
    assert!(store.picture(request, 0, at(86_399)).await.unwrap().is_some());
    assert_eq!(store.picture_expiries(request).await.unwrap(), [at(86_400), at(3_600)]);
}

#[tokio::test]
async fn ended_attempts_forget_their_calls_unless_they_are_kept() {
    for keep in [false, true] {
        let place = place();
        let store = Store::open(StoreOptions { calls_keep: keep, ..place.options() }).unwrap();
        let (request, attempt) = reserved(&store, &default(), 10).await;
        store.conclude(conclusion(request, vec![(attempt, settled(10, 1))], None)).await.unwrap();
        let kept: bool = store
            .read(|connection| {
                connection.query_row("SELECT call_json IS NOT NULL FROM attempts", &[], |row| row.get(0))
            })
            .await
            .unwrap();
        assert_eq!(kept, keep);
    }
}

#[tokio::test]
async fn a_repetition_is_found_over_the_edges_of_the_stretches_that_its_index_has() {
    let store = store();
    // The first stretch ends 200 s after the beginning, the last one that is looked at 1,800 s later.
    for (asked, found) in [(199, true), (200, true), (1_100, true), (1_800, true), (2_000, false)] {
        let payer = Arc::new(Payer { key_id: Some(format!("k{asked}")), ..Payer::of(default()) });
        let request = NewRequest { payer, accepted_at: at(asked), ..new_request(&default(), 1, None) };
        let id = request.id;
        store.reserve(first(request, vec![attempt(1, "openai", 10)])).await.unwrap();
        let repeated = store.repeatable(default(), Some(format!("k{asked}")), [1; 32], at(0)).await.unwrap();
        assert_eq!(repeated, found.then_some(id), "accepted after {asked} s");
    }
}
