//! A provider whose prices changed without notice: what our books say, and how it comes to light.

use super::{ask, usd};
use crate::house::{House, incoming};
use gallerist_domain::{ProjectId, Ticks};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_reported_price_is_settled_as_reported_and_the_overrun_is_said() {
    let house = House::open(71).await;
    house.faults("bfl", &json!([{"fault": "price_changed", "numerator": 3, "denominator": 2}]));
    let answer = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect("it is made");
    assert_eq!(answer.meta.cost.charged_usd, usd("0.045"));
    assert_eq!(answer.meta.cost.overrun_usd, Some(usd("0.015")));
    assert_eq!(answer.meta.cost.basis, "provider_reported");
    assert_eq!(house.billed("bfl"), usd("0.045").get());
    house.engine.shut_down(10_000).await;
    let attempt = house.settled().await.attempts.remove(0);
    assert_eq!((attempt.reserved, attempt.charged), (usd("0.03"), usd("0.045")));
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_reported_price_is_settled_as_reported_too() {
    let house = House::open(72).await;
    house.faults("bfl", &json!([{"fault": "price_changed", "numerator": 1, "denominator": 2}]));
    let answer = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect("it is made");
    assert_eq!(answer.meta.cost.charged_usd, usd("0.015"));
    assert_eq!(answer.meta.cost.overrun_usd, None);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overrun_may_pass_the_cap_but_nothing_after_it() {
    let house = House::open(73).await;
    house
        .store
        .set_cap(ProjectId::default_project(), Some(usd("0.04")), jiff::Timestamp::now())
        .await
        .expect("it is set");
    house.faults("bfl", &json!([{"fault": "price_changed"}]));
    let answer = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect("it is made");
    assert_eq!(answer.meta.cost.charged_usd, usd("0.045"));
    let refusal =
        house.engine.generate(incoming(ask("bfl/flux-2-klein-4b"))).await.expect_err("over the cap");
    assert_eq!(refusal.kind, gallerist_engine::RefusalKind::BudgetExceeded);
    assert!(refusal.message.contains("0.00 USD left"), "{}", refusal.message);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settled_price_counts_where_two_are_reported() {
    let house = House::open(74).await;
    house.faults("bfl", &json!([{"fault": "settled_differs", "numerator": 2, "denominator": 3}]));
    let answer = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect("it is made");
    assert_eq!(answer.meta.cost.charged_usd, usd("0.02"));
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreported_change_shows_as_the_bill_less_the_books() {
    let house = House::open(75).await;
    house.faults("stability", &json!([{"fault": "price_changed", "numerator": 3, "denominator": 2}]));
    let mut charged = Ticks::ZERO;
    for _ in 0..3 {
        let answer = house.engine.generate(incoming(ask("stability/sd3.5-large"))).await.expect("it is made");
        assert_eq!(answer.meta.cost.charged_usd, usd("0.065"), "nobody told us");
        assert_eq!(answer.meta.cost.basis, "computed");
        assert_eq!(answer.meta.cost.overrun_usd, None);
        charged += answer.meta.cost.charged_usd;
    }
    house.engine.shut_down(10_000).await;
    let books = house.store.books().await.expect("it reads");
    assert!(books.balance() && books.open_disputes == 0 && books.open_reservations == 0);
    let payable = books.accounts.iter().find(|account| account.account == "provider:stability:payable");
    assert_eq!(payable.expect("it was charged").balance, charged);
    let difference = Ticks::new(house.billed("stability")) - charged;
    assert_eq!(difference, usd("0.0975"), "exactly half of what we booked");
}
