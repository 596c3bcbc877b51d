//! Budgets that are made when much has been spent already.

use gallerist_domain::budget::Part;
use gallerist_domain::{
    Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, Payer, ProjectId, Ticks,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::support::*;
use crate::*;

fn monthly(scope: BudgetScope, unit: BudgetUnit, now: Timestamp) -> Budget {
    Budget {
        id: BudgetId::generate(),
        name: String::new(),
        scope,
        unit,
        limit: 1_000_000_000,
        window: BudgetWindow::Month,
        zone: "UTC".to_owned(),
        mode: BudgetMode::Hard,
        thresholds_percent: Vec::new(),
        created_at: now,
    }
}

fn each_user() -> BudgetScope {
    BudgetScope { end_user: Part::Each, ..BudgetScope::default() }
}

const USERS: [&str; 3] = ["ann", "bob", "cem"];

fn asked(number: usize, now: Timestamp) -> Reservation {
    let project = ProjectId::default_project();
    let payer = Payer {
        key_id: Some("key_1".to_owned()),
        end_user: Some(USERS[number % 3].to_owned()),
        tags: [("team".to_owned(), ["red", "blue"][number % 2].to_owned())].into(),
        ..Payer::of(project.clone())
    };
    let request = NewRequest { payer: Arc::new(payer), accepted_at: now, ..new_request(&project, 1, None) };
    let attempt = NewAttempt { images: 2, ..attempt(1, ["bfl", "fal"][number % 2], 100) };
    Reservation { now, ..first(request, vec![attempt]) }
}

/// Settled, held and disputed of each counter by its subject.
async fn standing(store: &Store, id: BudgetId, now: Timestamp) -> BTreeMap<String, (i64, i64, i64)> {
    let budgets = store.budgets(now).await.unwrap();
    let found = budgets.into_iter().find(|record| record.budget.id == id).unwrap();
    found.counters.into_iter().map(|c| (c.subject, (c.settled, c.held, c.disputed))).collect()
}

async fn end(store: &Store, reservation: &Reservation, end: End) {
    let ends = vec![(reservation.attempts[0].id, end)];
    let finish = Some(finish(RequestStatus::Succeeded));
    store.conclude(conclusion(reservation.request, ends, finish)).await.unwrap();
}

#[tokio::test]
async fn a_month_that_is_long_over_counts_as_one_sum_and_what_is_open_moves_on() {
    let store = store();
    // Long ago, and in the last minutes.
    let (then, now) = (at(0), at(7_200));
    let mut open = Vec::new();
    for number in 0..48 {
        let reservation = asked(number, if number < 36 { then } else { at(7_190) });
        store.reserve(reservation.clone()).await.unwrap();
        match number / 6 % 4 {
            0 => end(&store, &reservation, settled(10, 1)).await,
            1 => end(&store, &reservation, released()).await,
            2 => {
                end(&store, &reservation, disputed()).await;
                open.push((reservation, true));
            }
            _ => open.push((reservation, false)),
        }
    }
    let users = monthly(each_user(), BudgetUnit::Usd, now);
    let red = BudgetScope {
        tag: Some(("team".to_owned(), Part::Only("red".to_owned()))),
        ..BudgetScope::default()
    };
    let red = monthly(red, BudgetUnit::Images, now);
    let fal = BudgetScope { provider: Part::Only("fal".to_owned()), ..BudgetScope::default() };
    let fal = monthly(fal, BudgetUnit::Usd, now);
    for budget in [&users, &red, &fal] {
        store.create_budget(budget.clone()).await.unwrap();
    }
    // Of 48 a quarter has each end: 12, of which a user has four and a team or provider six.
    let of_users = standing(&store, users.id, now).await;
    assert_eq!(of_users.len(), 3);
    assert!(of_users.values().all(|sums| *sums == (40, 400, 400)), "{of_users:?}");
    assert_eq!(standing(&store, red.id, now).await[""], (6, 12, 12));
    assert_eq!(standing(&store, fal.id, now).await[""], (60, 600, 600));
    check_books(&store).await;

    for (reservation, disputed) in &open {
        match disputed {
            true => {
                let bill = Resolution::of_bill(reservation.attempts[0].id, Ticks::new(7), "invoice", now);
                store.resolve_dispute(bill).await.unwrap();
            }
            false => end(&store, reservation, settled(30, 2)).await,
        }
    }
    let of_users = standing(&store, users.id, now).await;
    assert!(of_users.values().all(|sums| *sums == (40 + 4 * 37, 0, 0)), "{of_users:?}");
    assert_eq!(standing(&store, fal.id, now).await[""], (60 + 6 * 37, 0, 0));
    check_books(&store).await;

    // What is deleted leaves the same sums.
    let later = at(60 * 86_400);
    store.roll_up(later).await.unwrap();
    let mut requests = 0;
    loop {
        let step = store.purge(RETENTION_DAYS_MIN, later).await.unwrap();
        requests += step.requests;
        if !step.has_more {
            break;
        }
    }
    assert_eq!(requests, 48);
    assert_eq!(standing(&store, fal.id, now).await[""], (60 + 6 * 37, 0, 0));
    check_books(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_is_made_while_others_pay_counts_every_attempt_once() {
    let store = store();
    let now = at(7_200);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..240_usize {
        let store = Store::clone(&store);
        tasks.spawn(async move {
            // Some bear an instant long before the one at which they are written.
            let reservation = asked(number, if number % 4 == 0 { at(3_700) } else { now });
            store.reserve(reservation.clone()).await.unwrap();
            match number % 3 {
                0 => end(&store, &reservation, settled(40, 1)).await,
                1 => end(&store, &reservation, disputed()).await,
                _ => {}
            }
        });
    }
    let mut made = Vec::new();
    for _ in 0..4 {
        let budget = monthly(each_user(), BudgetUnit::Usd, now);
        store.create_budget(budget.clone()).await.unwrap();
        made.push(budget.id);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for id in made {
        let sums = standing(&store, id, now).await;
        let of = |user: &str| sums[&format!("user={user:?}")];
        assert_eq!([of("ann"), of("bob"), of("cem")], [(80 * 40, 0, 0), (0, 0, 8_000), (0, 8_000, 0)]);
    }
    check_books(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_history_goes_in_small_steps_between_which_others_are_served() {
    let store = store();
    let days = [0, 1, 2, 5];
    for number in 0..450_usize {
        let then = at(if number < 330 { 0 } else { days[number % 4] * 86_400 });
        let reservation = asked(number, then);
        store.reserve(reservation.clone()).await.unwrap();
        let ends = vec![(reservation.attempts[0].id, settled(40, 1))];
        let end = conclusion(reservation.request, ends, Some(finish(RequestStatus::Succeeded)));
        store.conclude(Conclusion { now: then, ..end }).await.unwrap();
    }
    // What is unknown of one of the days keeps that day, and none of the others.
    let unclear = asked(1, at(2 * 86_400));
    store.reserve(unclear.clone()).await.unwrap();
    end(&store, &unclear, disputed()).await;
    let later = at(60 * 86_400);
    store.roll_up(later).await.unwrap();
    let paying = tokio::spawn({
        let store = Store::clone(&store);
        async move {
            for number in 0..60 {
                store.reserve(asked(number, later)).await.unwrap();
            }
        }
    });
    let (mut steps, mut empty) = (Vec::new(), 0);
    loop {
        let step = store.purge(RETENTION_DAYS_MIN, later).await.unwrap();
        if !step.has_more {
            break;
        }
        if step.requests == 0 { empty += 1 } else { steps.push(step.requests) }
    }
    paying.await.unwrap();
    // Of sixty days seven are kept, and one waits for its dispute; those without requests are marked, too.
    assert_eq!(empty, 60 - 7 - 1, "each day is marked by itself");
    assert!(steps.iter().all(|requests| *requests <= 200), "{steps:?}");
    assert_eq!(steps.iter().sum::<u64>(), 450 - 30, "the day with a dispute stays");
    assert!(store.request(unclear.request).await.unwrap().is_some());
    check_books(&store).await;
}

/// Attempts that were settled in the hours before `at(0)`, beside the rules: for the time that something takes.
fn history(engine_is_sqlite: bool, count: u32) -> String {
    let series = match engine_is_sqlite {
        true => format!(
            "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s)"
        ),
        false => format!("generate_series(1, {count}) AS s(n)"),
    };
    let (id, replica) = match engine_is_sqlite {
        true => ("randomblob(16)", ""),
        false => ("decode(md5(n::text), 'hex')", "SET gallerist.replica = '1';"),
    };
    let zeros = if engine_is_sqlite { "zeroblob(32)" } else { "decode(repeat('00', 32), 'hex')" };
    let text = |length: u32| match engine_is_sqlite {
        true => format!("hex(zeroblob({}))", length / 2),
        false => format!("repeat(md5(n::text), {})", length / 32),
    };
    let after =
        format!("SELECT setval('requests_number', {count}), setval('attempts_number', {count}); ANALYZE");
    let when = at(0).as_microsecond();
    let at = format!("{when} - {count} * CAST(40000 AS BIGINT) + n * CAST(40000 AS BIGINT)");
    format!(
        "{replica}
        INSERT INTO requests (number, id, project, key_id, created_at, finished_at, model, operation, n, status,
                fingerprint, plan_json, answer_json, end_user, tags_json)
            SELECT n, {id}, 1, 'key_1', {at}, {at}, 'auto', 'generate', 1, 'succeeded', {zeros}, {}, {},
                'user-' || (n % 50), '{{\"team\":\"red\"}}' FROM {series};
        INSERT INTO attempts (row, id, request, number, offer, provider, model, status, reserved_ticks, charged_ticks,
                images, created_at, ended_at, catalogue_digest, charge_json)
            SELECT n, {id}, n, 1, 'bfl/flux', 'bfl', 'flux', 'settled', 100, 40, 1, {at}, {at}, '', {}
            FROM {series};
        {}",
        text(3_008),
        text(1_024),
        text(1_024),
        if engine_is_sqlite { String::new() } else { after },
    )
}

/// `cargo nextest run --run-ignored all -E 'test(how_long_a_new_budget)' --no-capture` prints it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures, and takes a while"]
async fn how_long_a_new_budget_over_300_000_attempts_holds_payments_up() {
    let place = place();
    drop(place.open());
    place.engine.run(&history(place.engine.url().is_none(), 300_000));
    let store = place.open();
    for (what, scope) in [("of everybody", BudgetScope::default()), ("of each user", each_user())] {
        let making = tokio::spawn({
            let (store, budget) = (store.clone(), monthly(scope, BudgetUnit::Usd, at(1)));
            async move {
                let begun = Instant::now();
                store.create_budget(budget).await.unwrap();
                begun.elapsed()
            }
        });
        let (mut longest, mut count) = (Duration::ZERO, 0);
        while !making.is_finished() {
            let begun = Instant::now();
            let reservation = asked(1, at(1));
            store.reserve(reservation.clone()).await.unwrap();
            end(&store, &reservation, settled(40, 1)).await;
            longest = longest.max(begun.elapsed());
            count += 1;
        }
        let took = making.await.unwrap();
        eprintln!("{what}: made in {took:?}; {count} payments meanwhile, the slowest in {longest:?}");
    }
}
