//! What of a settled sum rests on doubtful prices, and what a budget tells of when it is made late.

use gallerist_domain::budget::{Part, THRESHOLDS_PERCENT};
use gallerist_domain::{
    Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, Payer, ProjectId, Ticks,
};
use std::sync::Arc;

use super::support::*;
use crate::*;

fn budget(limit: i64, unit: BudgetUnit) -> Budget {
    Budget {
        id: BudgetId::generate(),
        name: String::new(),
        scope: BudgetScope { project: Part::All, ..BudgetScope::default() },
        unit,
        limit,
        window: BudgetWindow::Month,
        zone: "UTC".to_owned(),
        mode: BudgetMode::Hard,
        thresholds_percent: THRESHOLDS_PERCENT.to_vec(),
        created_at: at(0),
    }
}

fn asked(maximum: i64) -> Reservation {
    let payer = Arc::new(Payer::of(ProjectId::default_project()));
    let request = NewRequest { payer, ..new_request(&ProjectId::default_project(), 1, None) };
    first(request, vec![attempt(1, "bfl", maximum)])
}

async fn end(store: &Store, reservation: &Reservation, end: End) {
    let ends = vec![(reservation.attempts[0].id, end)];
    store.conclude(conclusion(reservation.request, ends, None)).await.unwrap();
}

/// Settled and doubtful of the only counter.
async fn sums(store: &Store, id: BudgetId) -> (i64, i64) {
    let budgets = store.budgets(at(0)).await.unwrap();
    let found = budgets.into_iter().find(|record| record.budget.id == id).unwrap();
    found.counters.first().map_or((0, 0), |counter| (counter.settled, counter.doubtful))
}

/// One settled attempt of 30 (of which 10 are doubtful), one released, one dispute resolved at 20 (7), one that is held.
async fn spend(store: &Store) {
    for (maximum, how) in [(40, settled(30, 1)), (40, released()), (40, disputed())] {
        let reservation = asked(maximum);
        store.reserve(reservation.clone()).await.unwrap();
        let resolved = matches!(how, End::Disputed { .. });
        end(store, &reservation, how).await;
        if resolved {
            let bill = Resolution::of_bill(reservation.attempts[0].id, Ticks::new(20), "computed", at(2));
            store.resolve_dispute(Resolution { doubtful: Ticks::new(7), ..bill }).await.unwrap();
        }
    }
    store.reserve(asked(5)).await.unwrap();
}

#[tokio::test]
async fn sums_of_budgets_and_projects_keep_what_of_them_is_doubtful() {
    let store = store();
    let (money, pictures) = (budget(75, BudgetUnit::Usd), budget(60, BudgetUnit::Images));
    store.create_budget(money.clone()).await.unwrap();
    store.create_budget(pictures.clone()).await.unwrap();
    spend(&store).await;
    assert_eq!(sums(&store, money.id).await, (50, 17));
    assert_eq!(sums(&store, pictures.id).await, (1, 0), "pictures rest on no price");
    let project = store.project(ProjectId::default_project()).await.unwrap().unwrap();
    assert_eq!((project.settled, project.doubtful), (Ticks::new(50), Ticks::new(17)));
    let StoreError::BudgetExceeded(breach) = store.reserve(asked(21)).await.unwrap_err() else {
        panic!("it does not fit")
    };
    assert_eq!((breach.settled, breach.doubtful), (50, 17));
    let told = serde_json::to_value(&breach.alert(at(0)).fact).unwrap();
    assert_eq!(told["doubtful_usd"], "0.0000000017");
    // Made later, it counts the same past.
    let late = budget(100, BudgetUnit::Usd);
    store.create_budget(late.clone()).await.unwrap();
    assert_eq!(sums(&store, late.id).await, (50, 17));
    check_books(&store).await;
}

#[tokio::test]
async fn a_budget_that_is_made_over_spent_money_tells_once_of_the_highest_share() {
    let store = store();
    spend(&store).await;
    let told = async |limit: i64| {
        let alerts = store.alerts(AlertFilter { limit: 50, ..AlertFilter::default() }).await.unwrap().alerts;
        let said = format!("of {}", BudgetUnit::Usd.words(limit));
        alerts
            .into_iter()
            .filter(|alert| alert.message.contains(&said))
            .map(|a| a.message)
            .collect::<Vec<_>>()
    };
    let reached = budget(60, BudgetUnit::Usd);
    store.create_budget(reached.clone()).await.unwrap();
    let messages = told(60).await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].starts_with("80 % of the budget"), "{messages:?}");
    store.create_budget(budget(1_000, BudgetUnit::Usd)).await.unwrap();
    assert_eq!(told(1_000).await, Vec::<String>::new(), "nothing of it is reached");
    store.create_budget(budget(0, BudgetUnit::Usd)).await.unwrap();
    assert_eq!(told(0).await, Vec::<String>::new(), "it is closed, not spent");
    // Another limit is other news; another name is none.
    let limit = BudgetChange { limit: Some(50), ..BudgetChange::default() };
    store.change_budget(reached.id, limit, at(0)).await.unwrap();
    let name = BudgetChange { name: Some("shop".to_owned()), ..BudgetChange::default() };
    store.change_budget(reached.id, name, at(0)).await.unwrap();
    let messages = told(50).await;
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].starts_with("100 % of the budget"), "{messages:?}");
    let of_kind = async |kind: &str| {
        let filter = AlertFilter { kind: Some(kind.to_owned()), limit: 50, ..AlertFilter::default() };
        store.alerts(filter).await.unwrap().alerts.len()
    };
    assert_eq!((of_kind("budget.*").await, of_kind("budget.threshold").await), (2, 2));
    assert_eq!((of_kind("price.*").await, of_kind("budget.").await), (0, 0));
}
