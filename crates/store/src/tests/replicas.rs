//! What several stores on one database promise.

use gallerist_domain::budget::Part;
use gallerist_domain::{
    Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, Chunks, OutputFormat, Payer,
    ProjectId, RequestId, Ticks,
};
use std::sync::Arc;

use super::support::*;
use crate::*;

#[test]
fn every_statement_prepares() {
    let place = place();
    let Some(url) = place.engine.url() else { return };
    drop(place.open());
    let mut statements = crate::tests::statements();
    // Files and their checks are SQLite's alone.
    statements.retain(|text| !text.contains("path") && !text.contains("pragma"));
    let own = postgres::replica::STATEMENTS.iter().chain(postgres::pictures::STATEMENTS);
    statements.extend(own.map(|text| (*text).to_owned()));
    let refused = postgres::refused(&url, &statements);
    assert!(refused.is_empty(), "{refused:#?}");
}

/// Several stores on one database; `None` (said by [`place`]) where there is no server.
fn several<const N: usize>() -> Option<(Place, [Store; N], Vec<tempfile::TempDir>)> {
    let place = place();
    place.engine.url()?;
    let folders: Vec<_> = (0..N).map(|_| tempfile::tempdir().unwrap()).collect();
    let open = |at: usize| {
        let data_dir = folders[at].path().to_owned();
        Store::open(StoreOptions { data_dir, ..place.options() }).unwrap()
    };
    let stores = std::array::from_fn(open);
    Some((place, stores, folders))
}

fn default() -> ProjectId {
    ProjectId::default_project()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_fill_a_cap_and_never_pass_it() {
    let Some((_place, stores, _folders)) = several::<3>() else { return };
    stores[0].set_cap(default(), Some(Ticks::new(10_007)), at(0)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..300 {
        let store = stores[at % 3].clone();
        tasks.spawn(async move {
            let request = new_request(&default(), 1, None);
            let (id, attempt) = (request.id, attempt(1, "openai", 100));
            let attempt_id = attempt.id;
            match store.reserve(first(request, vec![attempt])).await {
                Ok(_) if at % 5 == 0 => {
                    let end = vec![(attempt_id, settled(40, 1))];
                    let finish = Some(finish(RequestStatus::Succeeded));
                    store.conclude(conclusion(id, end, finish)).await.unwrap();
                    40
                }
                Ok(_) => 100,
                Err(StoreError::BudgetExceeded(breach)) => {
                    let used = breach.settled + breach.held + breach.disputed;
                    assert!(used <= breach.limit && used + breach.asked > breach.limit);
                    0
                }
                Err(error) => panic!("{error:?}"),
            }
        });
    }
    // Whenever anybody looks, the cap holds.
    let mut used = 0;
    while let Some(done) = tasks.join_next().await {
        used += done.unwrap();
        let project = stores[1].project(default()).await.unwrap().unwrap();
        assert!((project.settled + project.held + project.disputed).get() <= 10_007);
    }
    let project = stores[2].project(default()).await.unwrap().unwrap();
    assert_eq!((project.settled + project.held).get(), used);
    // What settlements have freed since is let in, and no more.
    for at in 0.. {
        let request = new_request(&default(), 1, None);
        if stores[at % 3].reserve(first(request, vec![attempt(1, "openai", 100)])).await.is_err() {
            break;
        }
        used += 100;
    }
    assert!((9_908..=10_007).contains(&used), "{used}");
    check_books(&stores[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_never_pass_nested_budgets() {
    let Some((_place, stores, _folders)) = several::<3>() else { return };
    let users = BudgetScope { end_user: Part::Each, ..BudgetScope::default() };
    let nested = [(BudgetScope::default(), 9_000), (users, 2_500)].map(|(scope, limit)| Budget {
        id: BudgetId::generate(),
        name: String::new(),
        scope,
        unit: BudgetUnit::Usd,
        limit,
        window: BudgetWindow::Day,
        zone: "UTC".to_owned(),
        mode: BudgetMode::Hard,
        thresholds_percent: vec![100],
        created_at: at(0),
    });
    // Made at one, known to all at once.
    for budget in &nested {
        stores[0].create_budget(budget.clone()).await.unwrap();
    }
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..400_usize {
        let (store, nested) = (stores[number % 3].clone(), nested.clone());
        tasks.spawn(async move {
            let user = ["ann", "bob", "cem", "dia"][number % 4];
            let payer = Arc::new(Payer { end_user: Some(user.to_owned()), ..Payer::of(default()) });
            let request = NewRequest { payer, ..new_request(&default(), 1, None) };
            let maximum = 20 + i64::try_from(number % 37).unwrap();
            let (id, attempt) = (request.id, attempt(1, "openai", maximum));
            let attempt_id = attempt.id;
            match store.reserve(first(request, vec![attempt])).await {
                Ok(_) => {
                    let end = match number % 3 {
                        0 => released(),
                        1 => settled(maximum, 1),
                        _ => settled(maximum / 2, 1),
                    };
                    store.conclude(conclusion(id, vec![(attempt_id, end)], None)).await.unwrap();
                }
                Err(StoreError::BudgetExceeded(breach)) => assert!(breach.left() < breach.asked),
                Err(error) => panic!("{error:?}"),
            }
            for record in store.budgets(at(0)).await.unwrap() {
                let limit = nested.iter().find(|budget| budget.id == record.budget.id).unwrap().limit;
                assert!(record.counters.iter().all(|counter| counter.used() <= limit), "{record:?}");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    check_books(&stores[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_is_bound_once_whichever_replica_is_asked() {
    let Some((_place, [one, two], _folders)) = several::<2>() else { return };
    for round in 0..20 {
        let key = format!("key-{round}");
        let ask = |store: &Store| {
            let request = new_request(&default(), 7, Some(&key));
            let (store, id) = (store.clone(), request.id);
            async move { (id, store.reserve(first(request, vec![attempt(1, "openai", 10)])).await.unwrap()) }
        };
        let ((first_id, first), (second_id, second)) = tokio::join!(ask(&one), ask(&two));
        let (held, told) = if first == Reserved::Held { (first_id, second) } else { (second_id, first) };
        assert_eq!(told, Reserved::Existing { request: held, same_body: true });
    }
    let project = one.project(default()).await.unwrap().unwrap();
    assert_eq!(project.held, Ticks::new(200));
    check_books(&two).await;
}

fn key(number: u8) -> NewKey {
    NewKey {
        id: format!("key-{number}"),
        project: default(),
        name: "first".to_owned(),
        scopes: gallerist_domain::Scopes::USUAL,
        sha256: [number; 32],
        prefix: "gk_abc".to_owned(),
        expires_at: None,
        grants: gallerist_domain::Grants::default(),
        limits: gallerist_domain::RateLimits::NONE,
    }
}

#[tokio::test]
async fn a_key_is_known_everywhere_at_once_and_its_end_within_a_moment() {
    let Some((_place, [one, two], _folders)) = several::<2>() else { return };
    let mut waited = Vec::new();
    for number in 0..9 {
        one.create_key(key(number), at(0)).await.unwrap();
        assert_eq!(two.find_key(&[number; 32], at(1)).await.unwrap().id, format!("key-{number}"));
        assert!(two.find_key(&[99; 32], at(1)).await.is_none());
        one.revoke_key(&format!("key-{number}"), at(2)).await.unwrap();
        assert!(one.find_key(&[number; 32], at(3)).await.is_none());
        let begun = std::time::Instant::now();
        while two.find_key(&[number; 32], at(3)).await.is_some() {
            assert!(begun.elapsed().as_secs() < 10, "the end of a key is heard of");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        waited.push(begun.elapsed());
    }
    waited.sort();
    assert!(waited[4].as_millis() < 300, "usually a fifth of a second at most: {waited:?}");
}

#[tokio::test]
async fn a_changed_budget_counts_everywhere_at_once() {
    let Some((_place, [one, two], _folders)) = several::<2>() else { return };
    let budget = Budget {
        id: BudgetId::generate(),
        name: String::new(),
        scope: BudgetScope::default(),
        unit: BudgetUnit::Usd,
        limit: 1_000,
        window: BudgetWindow::Forever,
        zone: "UTC".to_owned(),
        mode: BudgetMode::Hard,
        thresholds_percent: Vec::new(),
        created_at: at(0),
    };
    let ask = async |store: &Store| {
        let request = new_request(&default(), 1, None);
        store.reserve(first(request, vec![attempt(1, "openai", 100)])).await
    };
    one.create_budget(budget.clone()).await.unwrap();
    ask(&two).await.unwrap();
    let lower = BudgetChange { limit: Some(150), ..BudgetChange::default() };
    one.change_budget(budget.id, lower, at(1)).await.unwrap();
    assert!(matches!(ask(&two).await, Err(StoreError::BudgetExceeded(_))));
    let higher = BudgetChange { limit: Some(200), ..BudgetChange::default() };
    two.change_budget(budget.id, higher, at(2)).await.unwrap();
    ask(&one).await.unwrap();
    assert!(matches!(ask(&one).await, Err(StoreError::BudgetExceeded(_))));
}

#[tokio::test]
async fn a_replica_that_starts_again_knows_that_the_one_before_is_gone() {
    let Some((place, [one, two], folders)) = several::<2>() else { return };
    let (request, _) = reserved(&one, &default(), 100).await;
    let again = || {
        let data_dir = folders[0].path().to_owned();
        Store::open(StoreOptions { data_dir, ..place.options() }).unwrap()
    };
    // Beside a running one, as a command is.
    let beside = again();
    assert_eq!(two.take_over().await.unwrap(), []);
    beside.close().await.unwrap();
    assert!(two.runs_elsewhere(request).await.unwrap());
    // The file of a killed process says whose folder it was, and its lock is free.
    let told = std::fs::read_to_string(folders[0].path().join("gallerist.replica")).unwrap();
    one.close().await.unwrap();
    drop(one);
    place.engine.run("UPDATE replicas SET ended_at = NULL, seen_at = clock_timestamp()");
    std::fs::write(folders[0].path().join("gallerist.replica"), told).unwrap();
    assert_eq!(two.take_over().await.unwrap(), [], "its silence is short");
    let again = again();
    assert!(!two.runs_elsewhere(request).await.unwrap());
    assert_eq!(again.take_over().await.unwrap(), [request]);
}

#[tokio::test]
async fn what_a_replica_left_is_taken_over_when_it_is_gone_and_not_before() {
    let Some((place, [one, two], _folders)) = several::<2>() else { return };
    let (request, attempt) = reserved(&one, &default(), 100).await;
    assert!(two.open_attempts().await.unwrap().is_empty(), "it is another's to look after");
    assert!(two.unfinished_requests().await.unwrap().is_empty());
    assert!(two.runs_elsewhere(request).await.unwrap());
    assert!(!one.runs_elsewhere(request).await.unwrap());
    assert_eq!(two.take_over().await.unwrap(), [], "its replica is alive");
    one.close().await.unwrap();
    assert!(!two.runs_elsewhere(request).await.unwrap());
    assert_eq!(two.take_over().await.unwrap(), [request]);
    assert_eq!(two.open_attempts().await.unwrap()[0].id, attempt);
    // One that was killed says nothing: it is given time, by those who were here all that time.
    place.engine.run(
        "INSERT INTO replicas (number, seen_at) VALUES (999, clock_timestamp() - make_interval(hours => 1));
        UPDATE attempts SET replica = 999; UPDATE requests SET replica = 999",
    );
    assert!(!two.runs_elsewhere(request).await.unwrap());
    let patience = std::time::Instant::now();
    loop {
        let taken = two.take_over().await.unwrap();
        if patience.elapsed().as_secs() < 10 {
            assert_eq!(taken, [], "the one who asks was not here long enough");
        } else if !taken.is_empty() {
            assert_eq!(taken, [request]);
            break;
        }
        assert!(patience.elapsed().as_secs() < 40);
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let end = conclusion(request, vec![(attempt, disputed())], Some(finish(RequestStatus::Failed)));
    two.conclude(end).await.unwrap();
    check_books(&two).await;
}

#[tokio::test]
async fn pictures_are_at_hand_at_each_replica() {
    let Some((_place, [one, two], _folders)) = several::<2>() else { return };
    let picture = NewPicture {
        request: RequestId::generate(),
        index: 0,
        format: OutputFormat::Png,
        data: Chunks::from(vec![7u8; 300_000]),
        expires_at: at(100),
        now: at(0),
    };
    one.put_picture(picture.clone()).await.unwrap();
    let kept = two.picture(picture.request, 0, at(1)).await.unwrap().expect("it is kept");
    assert_eq!(kept.data.len(), 300_000);
    assert_eq!(two.sweep(at(100)).await.unwrap().pictures, 1);
    assert!(one.picture(picture.request, 0, at(1)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_kept_when_sessions_break_and_nothing_is_done_twice() {
    let Some((place, stores, _folders)) = several::<2>() else { return };
    let stopping = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..16 {
        let (store, stopping) = (stores[at % 2].clone(), std::sync::Arc::clone(&stopping));
        tasks.spawn(async move {
            let (mut held, mut settled_sum) = (Vec::new(), 0);
            while !stopping.load(std::sync::atomic::Ordering::Relaxed) {
                let request = new_request(&default(), 1, None);
                let (id, attempt) = (request.id, attempt(1, "openai", 100));
                let attempt_id = attempt.id;
                if let Err(error) = store.reserve(first(request, vec![attempt])).await {
                    assert!(error.may_pass(), "{error:?}");
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    continue;
                }
                held.push(id);
                // As the engine does: what may pass is asked for again, and does nothing the second time.
                let end = conclusion(id, vec![(attempt_id, settled(60, 1))], None);
                while let Err(error) = store.conclude(end.clone()).await {
                    assert!(error.may_pass(), "{error:?}");
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
                settled_sum += 60;
            }
            (held, settled_sum)
        });
    }
    let breaking = tokio::task::spawn_blocking(move || {
        for _ in 0..30 {
            place.engine.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid()",
            );
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        place
    });
    // Back, since the database goes with it.
    let _place = breaking.await.unwrap();
    stopping.store(true, std::sync::atomic::Ordering::Relaxed);
    let (mut requests, mut sum) = (0, 0);
    while let Some(done) = tasks.join_next().await {
        let (held, settled_sum) = done.unwrap();
        requests += held.len();
        sum += settled_sum;
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let project = stores[0].project(default()).await.unwrap().unwrap();
    assert_eq!(project.settled.get(), sum, "of {requests} requests");
    check_books(&stores[1]).await;
}

#[tokio::test]
async fn a_database_that_is_away_refuses_clearly_and_is_found_again() {
    let Some((place, [store], _folders)) = several::<1>() else { return };
    let (id, held) = reserved(&store, &default(), 100).await;
    let another = super::support::attempt(1, "openai", 10);
    place.engine.allow_sessions(false);
    let asked = std::time::Instant::now();
    for _ in 0..5 {
        let refused = store.reserve(first(new_request(&default(), 1, None), vec![another.clone()]));
        let error = refused.await.unwrap_err();
        assert!(matches!(error, StoreError::Away(_)) && error.may_pass(), "{error:?}");
        assert!(matches!(store.project(default()).await, Err(StoreError::Away(_))));
    }
    assert!(asked.elapsed().as_secs() < 10, "nobody waits long for a refusal");
    assert!(!store.is_reached());
    place.engine.allow_sessions(true);
    let end = conclusion(id, vec![(held, settled(60, 1))], Some(finish(RequestStatus::Succeeded)));
    while let Err(error) = store.conclude(end.clone()).await {
        assert!(error.may_pass() && asked.elapsed().as_secs() < 40, "{error:?}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    // The heartbeat may still be told of a try from before; its next one comes through.
    while !store.is_reached() {
        assert!(asked.elapsed().as_secs() < 40, "the heartbeat never comes through");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let project = store.project(default()).await.unwrap().unwrap();
    assert_eq!((project.settled, project.held), (Ticks::new(60), Ticks::ZERO));
    check_books(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_hear_how_many_they_are() {
    let Some((_place, [one, two, three], _folders)) = several::<3>() else { return };
    let until = async |store: &Store, alive: u32| {
        let begun = std::time::Instant::now();
        while store.replicas_alive() != alive {
            assert!(begun.elapsed().as_secs() < 20, "{} of {alive}", store.replicas_alive());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    for store in [&one, &two, &three] {
        until(store, 3).await;
    }
    three.close().await.unwrap();
    until(&one, 2).await;
    two.close().await.unwrap();
    until(&one, 1).await;
}

#[tokio::test]
async fn the_audit_looks_after_references_that_the_server_does_not() {
    let Some((place, [store], _folders)) = several::<1>() else { return };
    reserved(&store, &default(), 100).await;
    check_books(&store).await;
    place
        .engine
        .run("UPDATE entries SET attempt = attempt + 1000; UPDATE attempts SET request = request + 1000");
    let told = store.books().await.unwrap().mismatches;
    for missing in [("entries", "attempts"), ("attempts", "requests")] {
        let said = format!("a row of {} refers to a missing row of {}", missing.0, missing.1);
        assert!(told.contains(&said), "{told:?}");
    }
}
