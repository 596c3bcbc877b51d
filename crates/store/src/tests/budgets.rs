//! Budgets: nested, windowed, apart for each, and against a model over random commands.

use gallerist_domain::budget::{Part, THRESHOLDS_PERCENT};
use gallerist_domain::{
    Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, Payer, ProjectId, Ticks,
};
use jiff::Timestamp;
use proptest::prelude::*;
use std::sync::Arc;

use super::support::*;
use crate::*;

fn default() -> ProjectId {
    ProjectId::default_project()
}

fn budget(scope: BudgetScope, limit: i64, window: BudgetWindow, mode: BudgetMode) -> Budget {
    Budget {
        id: BudgetId::generate(),
        name: "test".to_owned(),
        scope,
        unit: BudgetUnit::Usd,
        limit,
        window,
        zone: "UTC".to_owned(),
        mode,
        thresholds_percent: THRESHOLDS_PERCENT.to_vec(),
        created_at: at(0),
    }
}

fn only(name: &str) -> Part {
    Part::Only(name.to_owned())
}

fn payer_with(user: Option<&str>, team: Option<&str>) -> Arc<Payer> {
    Arc::new(Payer {
        key_id: Some("key_1".to_owned()),
        end_user: user.map(str::to_owned),
        tags: team.map(|team| ("team".to_owned(), team.to_owned())).into_iter().collect(),
        ..Payer::of(default())
    })
}

/// A reservation of one attempt, and its ids.
fn asked(payer: &Arc<Payer>, provider: &str, maximum: i64, images: u32, now: Timestamp) -> Reservation {
    let request = NewRequest { payer: Arc::clone(payer), ..new_request(&default(), 1, None) };
    let attempt = NewAttempt { images, ..attempt(1, provider, maximum) };
    Reservation { now, ..first(request, vec![attempt]) }
}

async fn try_reserve(store: &Store, reservation: Reservation) -> Result<(), Box<Breach>> {
    match store.reserve(reservation).await {
        Ok(Reserved::Held) => Ok(()),
        Err(StoreError::BudgetExceeded(breach)) => Err(breach),
        other => panic!("{other:?}"),
    }
}

async fn end(store: &Store, reservation: &Reservation, end: End) {
    let ends = vec![(reservation.attempts[0].id, end)];
    store.conclude(conclusion(reservation.request, ends, None)).await.unwrap();
}

async fn used(store: &Store, id: BudgetId, now: Timestamp) -> Vec<(String, i64, i64, i64)> {
    let budgets = store.budgets(now).await.unwrap();
    let found = budgets.into_iter().find(|record| record.budget.id == id).unwrap();
    found.counters.into_iter().map(|c| (c.subject, c.settled, c.held, c.disputed)).collect()
}

#[tokio::test]
async fn all_of_the_nested_budgets_must_hold_and_the_refusal_names_the_one_that_does_not() {
    let store = store();
    let all = budget(BudgetScope::default(), 100, BudgetWindow::Forever, BudgetMode::Hard);
    let at_fal = BudgetScope { provider: only("fal"), ..BudgetScope::default() };
    let at_fal = budget(at_fal, 30, BudgetWindow::Day, BudgetMode::Hard);
    store.create_budget(all.clone()).await.unwrap();
    store.create_budget(at_fal.clone()).await.unwrap();
    let payer = payer_with(None, None);
    try_reserve(&store, asked(&payer, "fal", 25, 1, at(0))).await.unwrap();
    let breach = try_reserve(&store, asked(&payer, "fal", 6, 1, at(0))).await.unwrap_err();
    assert_eq!((breach.budget, breach.left(), breach.asked), (Some(at_fal.id), 5, 6));
    assert!(breach.about_offers && breach.resets_at.is_some());
    try_reserve(&store, asked(&payer, "bfl", 75, 1, at(0))).await.unwrap();
    let breach = try_reserve(&store, asked(&payer, "bfl", 1, 1, at(0))).await.unwrap_err();
    assert_eq!((breach.budget, breach.left(), breach.resets_at), (Some(all.id), 0, None));
    assert_eq!(used(&store, all.id, at(0)).await, [(String::new(), 0, 100, 0)]);
    check_books(&store).await;
}

#[tokio::test]
async fn pictures_of_a_dispute_that_cost_nothing_count_in_a_budget_of_pictures() {
    let store = store();
    let pictures = Budget {
        unit: BudgetUnit::Images,
        ..budget(BudgetScope::default(), 3, BudgetWindow::Forever, BudgetMode::Hard)
    };
    let money = budget(BudgetScope::default(), 100, BudgetWindow::Forever, BudgetMode::Hard);
    store.create_budget(pictures.clone()).await.unwrap();
    store.create_budget(money.clone()).await.unwrap();
    let payer = payer_with(None, None);
    let mut statuses = Vec::new();
    for found in [2, 0] {
        let reservation = asked(&payer, "bfl", 10, found.max(1), at(0));
        try_reserve(&store, reservation.clone()).await.unwrap();
        end(&store, &reservation, disputed()).await;
        let attempt = reservation.attempts[0].id;
        let free = Resolution::of_bill(attempt, Ticks::ZERO, "computed", at(2));
        store.resolve_dispute(Resolution { images: found, ..free }).await.unwrap();
        let detail = store.request(reservation.request).await.unwrap().unwrap();
        statuses.push((detail.attempts[0].status, detail.attempts[0].images));
        check_books(&store).await;
    }
    assert_eq!(statuses, [(AttemptStatus::Settled, 2), (AttemptStatus::Released, 0)]);
    assert_eq!(used(&store, pictures.id, at(0)).await, [(String::new(), 2, 0, 0)]);
    assert_eq!(used(&store, money.id, at(0)).await, [(String::new(), 0, 0, 0)]);
}

#[tokio::test]
async fn each_end_user_has_a_limit_of_their_own() {
    let store = store();
    let scope = BudgetScope { end_user: Part::Each, ..BudgetScope::default() };
    let each = budget(scope, 10, BudgetWindow::Month, BudgetMode::Hard);
    store.create_budget(each.clone()).await.unwrap();
    for user in ["ann", "bob"] {
        let payer = payer_with(Some(user), None);
        try_reserve(&store, asked(&payer, "bfl", 10, 1, at(0))).await.unwrap();
        let breach = try_reserve(&store, asked(&payer, "bfl", 1, 1, at(0))).await.unwrap_err();
        assert_eq!(breach.subject, format!("user={user:?}"));
    }
    // Who names no end user is not limited by it.
    try_reserve(&store, asked(&payer_with(None, None), "bfl", 500, 1, at(0))).await.unwrap();
    assert_eq!(used(&store, each.id, at(0)).await.len(), 2);
}

#[tokio::test]
async fn spending_counts_in_the_window_in_which_it_was_reserved() {
    let store = store();
    let hourly = budget(BudgetScope::default(), 10, BudgetWindow::Hour, BudgetMode::Hard);
    store.create_budget(hourly.clone()).await.unwrap();
    let payer = payer_with(None, None);
    let reservation = asked(&payer, "bfl", 10, 1, at(0));
    try_reserve(&store, reservation.clone()).await.unwrap();
    assert!(try_reserve(&store, asked(&payer, "bfl", 1, 1, at(1))).await.is_err());
    // The next hour begins anew, and the settlement that comes then counts in the hour before.
    let later = at(3_600);
    try_reserve(&store, asked(&payer, "bfl", 10, 1, later)).await.unwrap();
    end(&store, &reservation, settled(4, 1)).await;
    assert_eq!(used(&store, hourly.id, later).await, [(String::new(), 0, 10, 0)]);
    assert_eq!(used(&store, hourly.id, at(0)).await, [(String::new(), 4, 0, 0)]);
    check_books(&store).await;
}

#[tokio::test]
async fn a_budget_in_images_holds_what_is_asked_and_settles_what_is_delivered() {
    let store = store();
    let images = Budget {
        unit: BudgetUnit::Images,
        ..budget(BudgetScope::default(), 5, BudgetWindow::Day, BudgetMode::Hard)
    };
    store.create_budget(images.clone()).await.unwrap();
    let payer = payer_with(None, None);
    let reservation = asked(&payer, "bfl", 1_000, 4, at(0));
    try_reserve(&store, reservation.clone()).await.unwrap();
    assert_eq!(try_reserve(&store, asked(&payer, "bfl", 0, 2, at(0))).await.unwrap_err().left(), 1);
    end(&store, &reservation, settled(900, 3)).await;
    assert_eq!(used(&store, images.id, at(0)).await, [(String::new(), 3, 0, 0)]);
    try_reserve(&store, asked(&payer, "bfl", 0, 2, at(0))).await.unwrap();
    check_books(&store).await;
}

#[tokio::test]
async fn a_budget_with_a_window_counts_what_came_before_it() {
    let store = store();
    let payer = payer_with(Some("ann"), Some("red"));
    let open = asked(&payer, "bfl", 7, 1, at(0));
    try_reserve(&store, open.clone()).await.unwrap();
    let done = asked(&payer, "bfl", 9, 1, at(0));
    try_reserve(&store, done.clone()).await.unwrap();
    end(&store, &done, settled(5, 1)).await;
    let unclear = asked(&payer, "bfl", 11, 1, at(0));
    try_reserve(&store, unclear.clone()).await.unwrap();
    end(&store, &unclear, disputed()).await;
    let scope = BudgetScope { tag: Some(("team".to_owned(), only("red"))), ..BudgetScope::default() };
    let monthly = budget(scope, 25, BudgetWindow::Month, BudgetMode::Hard);
    store.create_budget(monthly.clone()).await.unwrap();
    assert_eq!(used(&store, monthly.id, at(0)).await, [(String::new(), 5, 7, 11)]);
    assert_eq!(try_reserve(&store, asked(&payer, "bfl", 3, 1, at(1))).await.unwrap_err().left(), 2);
    end(&store, &open, released()).await;
    let resolution = Resolution::of_bill(unclear.attempts[0].id, Ticks::new(1), "resolved", at(2));
    store.resolve_dispute(resolution).await.unwrap();
    assert_eq!(used(&store, monthly.id, at(0)).await, [(String::new(), 6, 0, 0)]);
    check_books(&store).await;
}

#[tokio::test]
async fn a_soft_budget_refuses_nothing_and_tells_each_threshold_once() {
    let store = store();
    let soft = budget(BudgetScope::default(), 100, BudgetWindow::Forever, BudgetMode::Soft);
    store.create_budget(soft).await.unwrap();
    let payer = payer_with(None, None);
    for charge in [49, 2, 30, 1, 60, 60] {
        let reservation = asked(&payer, "bfl", charge, 1, at(0));
        try_reserve(&store, reservation.clone()).await.unwrap();
        end(&store, &reservation, settled(charge, 1)).await;
    }
    let page = store.alerts(AlertFilter { limit: 10, ..AlertFilter::default() }).await.unwrap();
    let told: Vec<&str> = page.alerts.iter().rev().map(|alert| &alert.message[..4]).collect();
    assert_eq!(told, ["50 %", "80 %", "100 "], "{page:#?}");
    assert!(page.alerts.iter().all(|alert| alert.kind == "budget.threshold"));
}

#[tokio::test]
async fn a_raised_limit_tells_its_thresholds_again() {
    let store = store();
    let soft = budget(BudgetScope::default(), 100, BudgetWindow::Forever, BudgetMode::Soft);
    store.create_budget(soft.clone()).await.unwrap();
    let payer = payer_with(None, None);
    let spend = async |charge: i64| {
        let reservation = asked(&payer, "bfl", charge, 1, at(0));
        try_reserve(&store, reservation.clone()).await.unwrap();
        end(&store, &reservation, settled(charge, 1)).await;
    };
    spend(85).await;
    let raised = BudgetChange { limit: Some(1_000), ..BudgetChange::default() };
    store.change_budget(soft.id, raised, at(1)).await.unwrap();
    spend(720).await;
    let page = store.alerts(AlertFilter { limit: 10, ..AlertFilter::default() }).await.unwrap();
    let told: Vec<&str> = page.alerts.iter().rev().map(|alert| &alert.message[..4]).collect();
    assert_eq!(told, ["80 %", "80 %"], "{page:#?}");
}

#[tokio::test]
async fn that_a_limit_refuses_is_told_once_for_a_counter_a_window_and_a_limit() {
    let store = store();
    let scope = BudgetScope { end_user: Part::Each, project: Part::Each, ..BudgetScope::default() };
    let daily = budget(scope, 100, BudgetWindow::Day, BudgetMode::Hard);
    store.create_budget(daily.clone()).await.unwrap();
    store.set_cap(default(), Some(Ticks::new(1_000)), at(0)).await.unwrap();
    let (ann, bob) = (payer_with(Some("ann"), None), payer_with(Some("bob"), None));
    try_reserve(&store, asked(&ann, "bfl", 70, 1, at(0))).await.unwrap();
    let refuse = async |payer: &Arc<Payer>, maximum: i64, now: Timestamp| {
        let breach = try_reserve(&store, asked(payer, "bfl", maximum, 1, now)).await.unwrap_err();
        store.raise_alerts(vec![breach.alert(now)]).await.unwrap();
    };
    refuse(&ann, 31, at(1)).await;
    refuse(&ann, 40, at(2)).await;
    // Clients name their end users, so that theirs are one piece of news.
    refuse(&bob, 101, at(3)).await;
    refuse(&ann, 101, at(86_400)).await;
    let raised = BudgetChange { limit: Some(1_200), ..BudgetChange::default() };
    store.change_budget(daily.id, raised, at(86_401)).await.unwrap();
    refuse(&ann, 1_201, at(86_402)).await;
    // Under the budget, above the cap, which is told once whoever asks and whenever.
    refuse(&bob, 1_000, at(86_403)).await;
    refuse(&ann, 1_000, at(864_030)).await;
    let page = store.alerts(AlertFilter { limit: 10, ..AlertFilter::default() }).await.unwrap();
    assert!(page.alerts.iter().all(|alert| alert.kind == "budget.refused" && alert.severity == "warning"));
    assert!(page.alerts.iter().all(|alert| alert.project == Some(default())), "{page:#?}");
    let facts = page.alerts.iter().rev().map(|alert| serde_json::from_str(&alert.fact_json).unwrap());
    let told: Vec<_> = facts
        .map(|fact: serde_json::Value| {
            let text = |field: &str| fact[field].as_str().unwrap_or("none").to_owned();
            (text("asked_usd"), text("limit_usd"), text("held_usd"), text("window_end"))
        })
        .collect();
    let of = |asked: i64, limit: i64, held: i64, end: Option<Timestamp>| {
        let usd = |ticks: i64| format!("0.{ticks:010}");
        (usd(asked), usd(limit), usd(held), end.map_or("none".to_owned(), |end| end.to_string()))
    };
    let days = |number: i64| BudgetWindow::Day.around(at(number * 86_400), &jiff::tz::TimeZone::UTC).end;
    let expected = [
        of(31, 100, 70, days(0)),
        of(101, 100, 0, days(1)),
        of(1_201, 1_200, 0, days(1)),
        of(1_000, 1_000, 70, None),
    ];
    assert_eq!(told, expected, "{page:#?}");
    check_books(&store).await;
}

#[tokio::test]
async fn a_limit_on_a_project_or_key_that_nobody_has_is_refused() {
    let store = store();
    let of = |scope| budget(scope, 100, BudgetWindow::Day, BudgetMode::Hard);
    let project = of(BudgetScope { project: Part::Only("shpo".to_owned()), ..BudgetScope::default() });
    assert!(matches!(store.create_budget(project).await, Err(StoreError::UnknownProject(_))));
    let key = of(BudgetScope { key: Part::Only("k9".to_owned()), ..BudgetScope::default() });
    assert!(matches!(store.create_budget(key).await, Err(StoreError::UnknownKey(_))));
}

#[tokio::test]
async fn only_a_charge_above_its_maximum_passes_a_limit_and_it_is_told_and_closes_it() {
    let store = store();
    let hard = budget(BudgetScope::default(), 100, BudgetWindow::Forever, BudgetMode::Hard);
    store.create_budget(hard.clone()).await.unwrap();
    let payer = payer_with(None, None);
    let reservation = asked(&payer, "bfl", 90, 1, at(0));
    try_reserve(&store, reservation.clone()).await.unwrap();
    end(&store, &reservation, settled(120, 1)).await;
    assert_eq!(try_reserve(&store, asked(&payer, "bfl", 1, 1, at(0))).await.unwrap_err().left(), 0);
    let page = store.alerts(AlertFilter { limit: 10, ..AlertFilter::default() }).await.unwrap();
    let kinds: Vec<&str> = page.alerts.iter().map(|alert| alert.kind.as_str()).collect();
    assert!(kinds.contains(&"budget.overrun") && kinds.contains(&"budget.threshold"), "{kinds:?}");
}

#[tokio::test]
async fn a_degrading_budget_says_when_its_share_is_used() {
    let store = store();
    let mode = BudgetMode::Degrade { share_percent: 60 };
    let degrading = budget(BudgetScope::default(), 100, BudgetWindow::Day, mode);
    let mode = BudgetMode::Degrade { share_percent: 2 };
    let pictures = Budget { id: BudgetId::generate(), mode, unit: BudgetUnit::Images, ..degrading.clone() };
    store.create_budget(pictures.clone()).await.unwrap();
    store.create_budget(degrading.clone()).await.unwrap();
    let payer = payer_with(None, None);
    try_reserve(&store, asked(&payer, "bfl", 58, 1, at(0))).await.unwrap();
    assert_eq!(store.degraded(&payer, at(0)).await.unwrap(), None);
    try_reserve(&store, asked(&payer, "bfl", 1, 1, at(0))).await.unwrap();
    assert_eq!(store.degraded(&payer, at(0)).await.unwrap().map(|budget| budget.id), Some(pictures.id));
    // What is asked for under a limit in dollars goes further than under one in pictures.
    try_reserve(&store, asked(&payer, "bfl", 1, 1, at(0))).await.unwrap();
    assert_eq!(store.degraded(&payer, at(0)).await.unwrap().map(|budget| budget.id), Some(degrading.id));
    assert_eq!(store.degraded(&payer, at(86_400)).await.unwrap(), None);
    assert!(try_reserve(&store, asked(&payer, "bfl", 41, 1, at(0))).await.is_err());
}

#[tokio::test]
async fn a_changed_budget_holds_at_once_and_a_removed_one_no_more() {
    let store = store();
    let hard = budget(BudgetScope::default(), 10, BudgetWindow::Forever, BudgetMode::Hard);
    store.create_budget(hard.clone()).await.unwrap();
    assert!(matches!(store.create_budget(hard.clone()).await, Err(StoreError::Exists(_))));
    let payer = payer_with(None, None);
    let reservation = asked(&payer, "bfl", 10, 1, at(0));
    try_reserve(&store, reservation.clone()).await.unwrap();
    assert!(try_reserve(&store, asked(&payer, "bfl", 1, 1, at(0))).await.is_err());
    let change = BudgetChange { limit: Some(11), ..BudgetChange::default() };
    store.change_budget(hard.id, change, at(1)).await.unwrap();
    try_reserve(&store, asked(&payer, "bfl", 1, 1, at(0))).await.unwrap();
    store.remove_budget(hard.id, at(1)).await.unwrap();
    try_reserve(&store, asked(&payer, "bfl", 1_000, 1, at(0))).await.unwrap();
    // What it held is still moved.
    end(&store, &reservation, settled(3, 1)).await;
    assert!(store.budgets(at(0)).await.unwrap().is_empty());
    check_books(&store).await;
    let nobody = BudgetId::generate();
    assert!(
        matches!(store.remove_budget(nobody, at(0)).await, Err(StoreError::UnknownBudget(id)) if id == nobody)
    );
    let change = BudgetChange { limit: Some(-1), ..BudgetChange::default() };
    assert!(matches!(store.change_budget(hard.id, change, at(1)).await, Err(StoreError::UnknownBudget(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_concurrent_reservations_never_pass_nested_limits() {
    let store = store();
    let nested = [
        (BudgetScope::default(), 20_000),
        (BudgetScope { provider: only("fal"), ..BudgetScope::default() }, 7_000),
        (BudgetScope { end_user: Part::Each, ..BudgetScope::default() }, 4_000),
    ];
    let nested = nested.map(|(scope, limit)| budget(scope, limit, BudgetWindow::Day, BudgetMode::Hard));
    for budget in &nested {
        store.create_budget(budget.clone()).await.unwrap();
    }
    let lives = (0..1_000i64).map(|i| {
        let store = store.clone();
        let nested = nested.clone();
        tokio::spawn(async move {
            let payer = payer_with(Some(["ann", "bob", "eve"][i as usize % 3]), None);
            let provider = ["bfl", "fal"][i as usize % 2];
            let reservation = asked(&payer, provider, 17 + i % 31, 1, at(0));
            if try_reserve(&store, reservation.clone()).await.is_ok() {
                let (maximum, id) = (17 + i % 31, reservation.attempts[0].id);
                match i % 4 {
                    0 => end(&store, &reservation, released()).await,
                    1 => {
                        end(&store, &reservation, disputed()).await;
                        let resolution = Resolution::of_bill(id, Ticks::new(maximum / 2), "resolved", at(2));
                        store.resolve_dispute(resolution).await.unwrap();
                    }
                    _ => end(&store, &reservation, settled(maximum, 1)).await,
                }
            }
            for record in store.budgets(at(0)).await.unwrap() {
                let limit = nested.iter().find(|budget| budget.id == record.budget.id).unwrap().limit;
                assert!(record.counters.iter().all(|counter| counter.used() <= limit), "{record:?}");
            }
        })
    });
    for life in lives.collect::<Vec<_>>() {
        life.await.unwrap();
    }
    check_books(&store).await;
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Reserve { maximum: i64, user: usize, provider: usize },
    End { which: usize, charge: Option<i64> },
    Resolve { which: usize, charge: i64 },
    Limit { which: usize, limit: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0i64..40, 0usize..3, 0usize..2)
            .prop_map(|(maximum, user, provider)| Step::Reserve { maximum, user, provider }),
        3 => (any::<usize>(), prop::option::of(0i64..40))
            .prop_map(|(which, charge)| Step::End { which, charge }),
        1 => (any::<usize>(), 0i64..40).prop_map(|(which, charge)| Step::Resolve { which, charge }),
        1 => (0usize..2, 0i64..300).prop_map(|(which, limit)| Step::Limit { which, limit }),
    ]
}

struct Held {
    reservation: Reservation,
    user: usize,
    provider: usize,
    /// Reserved or disputed maximum, or what was charged.
    counts: i64,
    status: AttemptStatus,
}

/// Two budgets, one of each end user and one of a provider, as sums over a list.
struct Model {
    limits: [i64; 2],
    held: Vec<Held>,
}

const USERS: [&str; 3] = ["ann", "bob", "eve"];
const PROVIDERS: [&str; 2] = ["bfl", "fal"];

impl Model {
    fn used(&self, budget: usize, user: usize) -> i64 {
        let counts = |held: &&Held| if budget == 0 { held.user == user } else { held.provider == 1 };
        self.held.iter().filter(counts).map(|held| held.counts).sum()
    }

    async fn take(&mut self, store: &Store, budgets: &[Budget; 2], step: Step) {
        match step {
            Step::Reserve { maximum, user, provider } => {
                let payer = payer_with(Some(USERS[user]), None);
                let reservation = asked(&payer, PROVIDERS[provider], maximum, 1, at(0));
                let fits = |budget: usize| self.used(budget, user) + maximum <= self.limits[budget];
                let expected = fits(0) && (provider == 0 || fits(1));
                let held = try_reserve(store, reservation.clone()).await.is_ok();
                assert_eq!(held, expected);
                if held {
                    let status = AttemptStatus::Reserved;
                    self.held.push(Held { reservation, user, provider, counts: maximum, status });
                }
            }
            Step::End { which, charge } if !self.held.is_empty() => {
                let at = which % self.held.len();
                let held = &mut self.held[at];
                if held.status == AttemptStatus::Reserved {
                    let how = charge.map_or_else(disputed, |charge| settled(charge, 1));
                    end(store, &held.reservation, how).await;
                    held.counts = charge.unwrap_or(held.counts);
                    held.status = charge.map_or(AttemptStatus::Disputed, |_| AttemptStatus::Settled);
                }
            }
            Step::Resolve { which, charge } if !self.held.is_empty() => {
                let at = which % self.held.len();
                let held = &mut self.held[at];
                if held.status == AttemptStatus::Disputed {
                    let id = held.reservation.attempts[0].id;
                    let now = super::support::at(2);
                    let resolution = Resolution::of_bill(id, Ticks::new(charge), "resolved", now);
                    store.resolve_dispute(resolution).await.unwrap();
                    held.counts = charge;
                    held.status = AttemptStatus::Settled;
                }
            }
            Step::Limit { which, limit } => {
                self.limits[which] = limit;
                let change = BudgetChange { limit: Some(limit), ..BudgetChange::default() };
                store.change_budget(budgets[which].id, change, at(1)).await.unwrap();
            }
            Step::End { .. } | Step::Resolve { .. } => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32 / super::CASES_FEWER, ..ProptestConfig::default() })]

    #[test]
    fn budgets_agree_with_their_model(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = store();
            let users = BudgetScope { end_user: Part::Each, ..BudgetScope::default() };
            let fal = BudgetScope { provider: only("fal"), ..BudgetScope::default() };
            let budgets = [users, fal].map(|scope| budget(scope, 100, BudgetWindow::Week, BudgetMode::Hard));
            for budget in &budgets {
                store.create_budget(budget.clone()).await.unwrap();
            }
            let mut model = Model { limits: [100, 100], held: Vec::new() };
            for step in steps {
                model.take(&store, &budgets, step).await;
            }
            for (user, name) in USERS.iter().enumerate() {
                let subject = format!("user={name:?}");
                let counters = used(&store, budgets[0].id, at(0)).await;
                let found = counters.iter().find(|counter| counter.0 == subject);
                let found = found.map_or(0, |(_, settled, held, disputed)| settled + held + disputed);
                assert_eq!(found, model.used(0, user), "{name}");
            }
            check_books(&store).await;
        });
    }
}
