//! Prepaid credits in the books: purchases, what settlements take, losses.

use gallerist_domain::credits::{FeeRule, Lot, MILLIONTHS};
use gallerist_domain::{LotId, ProjectId, Ticks};
use proptest::prelude::*;

use super::support::*;
use crate::*;

fn usd(text: &str) -> Ticks {
    text.parse().unwrap()
}

/// Credits of the provider whose attempts `reserved` makes; one counts 0.01.
fn lot(credits: i64, price: &str, expires: Option<i64>) -> Lot {
    Lot {
        provider: "openai".to_owned(),
        currency: "credit".to_owned(),
        quantity_millionths: credits * MILLIONTHS,
        remaining_millionths: credits * MILLIONTHS,
        price: usd(price),
        fee: FeeRule::NONE,
        list: usd("0.01"),
        purchased_at: at(-10),
        expires_at: expires.map(at),
    }
}

async fn settle(store: &Store, charge: Ticks) -> gallerist_domain::RequestId {
    let (request, attempt) = reserved(store, &ProjectId::default_project(), charge.get()).await;
    let end = conclusion(request, vec![(attempt, settled(charge.get(), 1))], None);
    store.conclude(end).await.unwrap();
    request
}

async fn balance(store: &Store, part: &str) -> Ticks {
    let books = check_books(store).await;
    let name = format!("provider:openai:{part}");
    let found = books.accounts.iter().find(|account| account.account == name);
    found.map_or(Ticks::ZERO, |account| account.balance)
}

#[tokio::test]
async fn a_settlement_takes_from_the_lots_and_the_charge_stays_what_it_was() {
    let store = store();
    // 100 credits for 0.90, with a fee of 5.5 % and at least 0.80: 1.70, so 0.017 a credit.
    let fee = FeeRule { rate_millionths: 55_000, minimum: usd("0.80") };
    store.add_lot(LotId::generate(), Lot { fee, ..lot(100, "0.90", None) }, at(0)).await.unwrap();
    assert_eq!(balance(&store, "paid").await, usd("-1.70"));
    assert_eq!(balance(&store, "credits").await, usd("1.70"));
    let request = settle(&store, usd("0.04")).await;
    // 4 credits, 0.068.
    assert_eq!(balance(&store, "credits").await, usd("1.632"));
    assert_eq!(balance(&store, "consumed").await, usd("0.068"));
    assert_eq!(balance(&store, "covered").await, usd("0.04"));
    assert_eq!(balance(&store, "payable").await, Ticks::ZERO);
    let project = store.project(ProjectId::default_project()).await.unwrap().unwrap();
    assert_eq!(project.settled, usd("0.04"));
    let detail = store.request(request).await.unwrap().unwrap();
    assert_eq!(detail.attempts[0].charged, usd("0.04"));
    let told: Vec<_> =
        detail.entries.iter().skip(2).map(|e| (e.account.as_str(), e.amount, e.kind)).collect();
    assert_eq!(
        told[3..],
        [
            ("provider:openai:credits", usd("-0.068"), Movement::Consume),
            ("provider:openai:consumed", usd("0.068"), Movement::Consume),
            ("provider:openai:payable", usd("-0.04"), Movement::Consume),
            ("provider:openai:covered", usd("0.04"), Movement::Consume),
        ]
    );
    assert_eq!(detail.entries.iter().map(|e| e.amount).sum::<Ticks>(), Ticks::ZERO);
    let lots = store.lots().await.unwrap();
    assert_eq!(lots[0].lot.remaining_millionths, 96 * MILLIONTHS);
    assert_eq!((lots[0].consumed, lots[0].covered), (usd("0.068"), usd("0.04")));
    let usage = store.usage(UsageQuery::default()).await.unwrap().totals;
    assert_eq!((usage.charged, usage.covered, usage.consumed), (usd("0.04"), usd("0.04"), usd("0.068")));
}

#[tokio::test]
async fn what_expires_first_goes_first_and_what_nobody_covers_is_owed() {
    let store = store();
    store.add_lot(LotId::generate(), lot(2, "0.02", None), at(0)).await.unwrap();
    store.add_lot(LotId::generate(), lot(1, "0.005", Some(100)), at(0)).await.unwrap();
    settle(&store, usd("0.02")).await;
    // One credit of the second (0.005), one of the first (0.01).
    assert_eq!(balance(&store, "consumed").await, usd("0.015"));
    settle(&store, usd("0.05")).await;
    assert_eq!(balance(&store, "consumed").await, usd("0.025"));
    assert_eq!(balance(&store, "covered").await, usd("0.03"));
    assert_eq!(balance(&store, "payable").await, usd("0.04"));
    assert_eq!(balance(&store, "credits").await, Ticks::ZERO);
    settle(&store, usd("0.01")).await;
    assert_eq!(balance(&store, "payable").await, usd("0.05"));
}

#[tokio::test]
async fn what_nobody_used_in_time_is_a_loss_of_its_provider_and_day() {
    let store = store();
    store.add_lot(LotId::generate(), lot(10, "0.07", Some(50)), at(0)).await.unwrap();
    settle(&store, usd("0.03")).await;
    assert_eq!(store.expire_lots(at(49)).await.unwrap(), Expired::default());
    // 7 credits of 0.007 are left.
    assert_eq!(store.expire_lots(at(50)).await.unwrap(), Expired { lots: 1, loss: usd("0.049") });
    assert_eq!(store.expire_lots(at(51)).await.unwrap(), Expired::default());
    assert_eq!(balance(&store, "expired").await, usd("0.049"));
    assert_eq!(balance(&store, "credits").await, Ticks::ZERO);
    let lots = store.lots().await.unwrap();
    assert_eq!((lots[0].expired_millionths, lots[0].expired), (7 * MILLIONTHS, usd("0.049")));
    let query = |group_by: &[UsageKey]| UsageQuery { group_by: group_by.to_vec(), ..UsageQuery::default() };
    let report = store.usage(query(&[UsageKey::Provider])).await.unwrap();
    assert_eq!(report.totals.expired, usd("0.049"));
    assert_eq!((report.rows.len(), report.rows[0].figures.expired), (1, usd("0.049")));
    let report = store.usage(query(&[UsageKey::Model])).await.unwrap();
    assert_eq!((report.totals.expired, report.rows[0].figures.expired), (usd("0.049"), Ticks::ZERO));
    let later = UsageQuery { from: Some(at(51)), ..query(&[UsageKey::Provider]) };
    assert_eq!(store.usage(later).await.unwrap().totals.expired, Ticks::ZERO);
    let mine = UsageQuery { project: Some(ProjectId::default_project()), ..query(&[]) };
    assert_eq!(store.usage(mine).await.unwrap().totals.expired, Ticks::ZERO);
}

#[tokio::test]
async fn a_loss_without_requests_has_a_row() {
    let store = store();
    store.add_lot(LotId::generate(), lot(10, "0.07", Some(50)), at(0)).await.unwrap();
    store.expire_lots(at(60)).await.unwrap();
    let query = UsageQuery { group_by: vec![UsageKey::Provider], ..UsageQuery::default() };
    let report = store.usage(query).await.unwrap();
    assert_eq!((report.rows[0].keys[0].as_str(), report.rows[0].figures.expired), ("openai", usd("0.07")));
}

#[tokio::test]
async fn other_providers_and_expired_lots_give_nothing() {
    let store = store();
    let other = Lot { provider: "bfl".to_owned(), ..lot(10, "0.1", None) };
    store.add_lot(LotId::generate(), other, at(0)).await.unwrap();
    // It is over, but nobody has booked that yet.
    store.add_lot(LotId::generate(), lot(10, "0.1", Some(-5)), at(0)).await.unwrap();
    settle(&store, usd("0.03")).await;
    assert_eq!(balance(&store, "payable").await, usd("0.03"));
    assert_eq!(balance(&store, "covered").await, Ticks::ZERO);
}

#[tokio::test]
async fn impossible_and_repeated_lots_are_refused() {
    let store = store();
    let id = LotId::generate();
    assert!(matches!(store.add_lot(id, lot(0, "1", None), at(0)).await, Err(StoreError::Invalid(_))));
    store.add_lot(id, lot(1, "1", None), at(0)).await.unwrap();
    assert!(matches!(store.add_lot(id, lot(1, "1", None), at(0)).await, Err(StoreError::Exists(_))));
    check_books(&store).await;
}

#[tokio::test]
async fn a_resolved_dispute_takes_credits_too() {
    let store = store();
    store.add_lot(LotId::generate(), lot(10, "0.05", None), at(0)).await.unwrap();
    let (request, attempt) = reserved(&store, &ProjectId::default_project(), usd("0.04").get()).await;
    store.conclude(conclusion(request, vec![(attempt, disputed())], None)).await.unwrap();
    assert_eq!(balance(&store, "consumed").await, Ticks::ZERO);
    let bill = Resolution::of_bill(attempt, usd("0.02"), "resolved", at(2));
    store.resolve_dispute(bill).await.unwrap();
    assert_eq!(balance(&store, "consumed").await, usd("0.01"));
    assert_eq!(balance(&store, "covered").await, usd("0.02"));
}

#[tokio::test]
async fn charges_are_told_by_day_for_providers_with_credits() {
    let store = store();
    settle(&store, usd("0.03")).await;
    assert!(store.daily_charges(3, at(0)).await.unwrap().is_empty());
    store.add_lot(LotId::generate(), lot(10, "0.05", None), at(0)).await.unwrap();
    let day = usd("0.03");
    let told = store.daily_charges(3, at(0)).await.unwrap();
    assert_eq!(
        told,
        [DailyCharges { provider: "openai".to_owned(), days: vec![Ticks::ZERO, Ticks::ZERO, day] }]
    );
    let told = store.daily_charges(3, at(86_400)).await.unwrap();
    assert_eq!(told[0].days, [Ticks::ZERO, day, Ticks::ZERO]);
}

#[tokio::test]
async fn use_outside_of_the_gateway_and_corrections_keep_the_books_balanced() {
    let store = store();
    store.add_lot(LotId::generate(), lot(100, "0.90", Some(100)), at(0)).await.unwrap();
    store.add_lot(LotId::generate(), lot(50, "0.50", None), at(0)).await.unwrap();
    settle(&store, usd("0.10")).await;
    // 10 of the lot that expires are gone; 90 more and 20 of the other one.
    let adjust = |adjustment| store.adjust_credits("openai", adjustment, "by hand", at(1));
    adjust(Adjustment::Use(110 * MILLIONTHS)).await.unwrap();
    assert_eq!(balance(&store, "outside").await, usd("1.01"));
    assert_eq!(balance(&store, "credits").await, usd("0.30"));
    let left = |lots: Vec<LotRecord>| {
        lots.iter().map(|record| record.lot.remaining_millionths / MILLIONTHS).sum::<i64>()
    };
    assert_eq!(left(store.lots().await.unwrap()), 30i64);
    // The provider says 35: five come back, to the lot that lasts.
    adjust(Adjustment::Balance(35 * MILLIONTHS)).await.unwrap();
    assert_eq!(balance(&store, "credits").await, usd("0.35"));
    adjust(Adjustment::Balance(12 * MILLIONTHS)).await.unwrap();
    assert_eq!(balance(&store, "credits").await, usd("0.12"));
    assert_eq!(balance(&store, "outside").await, usd("1.19"));
    let outside: i64 = store.lots().await.unwrap().iter().map(|record| record.outside_millionths).sum();
    assert_eq!(outside, 128 * MILLIONTHS);
    settle(&store, usd("0.20")).await;
    assert_eq!(balance(&store, "credits").await, Ticks::ZERO);
    assert_eq!(balance(&store, "payable").await, usd("0.08"));
}

#[tokio::test]
async fn credits_that_nobody_bought_are_refused() {
    let store = store();
    let adjust = |provider: &'static str, adjustment| store.adjust_credits(provider, adjustment, "", at(1));
    assert!(matches!(adjust("openai", Adjustment::Use(1)).await, Err(StoreError::Invalid(_))));
    store.add_lot(LotId::generate(), lot(10, "0.10", Some(5)), at(0)).await.unwrap();
    for refused in [
        Adjustment::Use(0),
        Adjustment::Use(11 * MILLIONTHS),
        Adjustment::Balance(-1),
        Adjustment::Balance(11 * MILLIONTHS),
    ] {
        assert!(matches!(adjust("openai", refused).await, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    // What is expired does not come back.
    store.expire_lots(at(6)).await.unwrap();
    let late = store.adjust_credits("openai", Adjustment::Balance(MILLIONTHS), "", at(7)).await;
    assert!(matches!(late, Err(StoreError::Invalid(_))));
    check_books(&store).await;
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add { credits: i64, price: i64, expires: Option<i64> },
    Settle { charge: i64 },
    Expire { now: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1i64..20, 0i64..1_000_000_007, prop::option::of(-5i64..9))
            .prop_map(|(credits, price, expires)| Step::Add { credits, price, expires }),
        4 => (0i64..900_000_001).prop_map(|charge| Step::Settle { charge }),
        1 => (-5i64..9).prop_map(|now| Step::Expire { now }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32 / super::CASES_FEWER, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_books_with_credits_balance(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = store();
            let (mut charged, mut bought) = (Ticks::ZERO, Ticks::ZERO);
            for step in steps {
                match step {
                    Step::Add { credits, price, expires } => {
                        let lot = Lot { price: Ticks::new(price), ..lot(credits, "0", expires) };
                        bought += lot.cost();
                        store.add_lot(LotId::generate(), lot, at(0)).await.unwrap();
                    }
                    Step::Settle { charge } => {
                        charged += Ticks::new(charge);
                        settle(&store, Ticks::new(charge)).await;
                    }
                    Step::Expire { now } => drop(store.expire_lots(at(now)).await.unwrap()),
                }
            }
            let (payable, covered) = (balance(&store, "payable").await, balance(&store, "covered").await);
            assert_eq!(payable + covered, charged);
            let parts = ["credits", "consumed", "expired"];
            let mut sum = Ticks::ZERO;
            for part in parts {
                let balance = balance(&store, part).await;
                assert!(!balance.is_negative());
                sum += balance;
            }
            assert_eq!(sum, bought);
        });
    }
}

#[tokio::test]
async fn a_lot_of_which_nothing_was_used_is_taken_back_and_one_that_moved_stays() {
    let store = store();
    let whole = |result: Result<(), StoreError>| result.unwrap();
    let (slip, used, corrected, late) =
        (LotId::generate(), LotId::generate(), LotId::generate(), LotId::generate());
    // The one that expires first is used first.
    whole(store.add_lot(used, lot(10, "0.1", Some(100)), at(0)).await);
    settle(&store, usd("0.01")).await;
    whole(store.add_lot(slip, lot(50, "0.5", None), at(1)).await);
    assert_eq!(balance(&store, "paid").await, usd("-0.6"));
    whole(store.remove_lot(slip, at(2)).await);
    // The books are as if it had never been entered, and still balanced.
    assert_eq!(balance(&store, "paid").await, usd("-0.1"));
    assert_eq!(balance(&store, "credits").await, usd("0.09"));
    assert_eq!(store.lots().await.unwrap().iter().map(|record| record.id).collect::<Vec<_>>(), [used]);
    assert!(matches!(store.remove_lot(slip, at(3)).await, Err(StoreError::UnknownLot(id)) if id == slip));
    let moved = |result: Result<(), StoreError>| matches!(result, Err(StoreError::LotMoved(_)));
    assert!(moved(store.remove_lot(used, at(3)).await));
    // Also one that was corrected, though all of it is there again, and one that was lost.
    whole(store.add_lot(corrected, lot(5, "0.05", None), at(4)).await);
    whole(store.adjust_credits("openai", Adjustment::Use(10 * MILLIONTHS), "", at(5)).await);
    whole(store.adjust_credits("openai", Adjustment::Balance(14 * MILLIONTHS), "", at(6)).await);
    assert!(moved(store.remove_lot(corrected, at(7)).await));
    whole(store.add_lot(late, lot(5, "0.05", Some(20)), at(8)).await);
    store.expire_lots(at(21)).await.unwrap();
    assert!(moved(store.remove_lot(late, at(22)).await));
    check_books(&store).await;
    let page = store.audit(AuditFilter {
        action: Some("credits.remove".into()),
        limit: 10,
        ..AuditFilter::default()
    });
    let page = page.await.unwrap();
    assert_eq!((page.changes.len(), page.changes[0].subject.clone()), (1, slip.to_string()));
    assert!(page.changes[0].before_json.as_deref().unwrap().contains("\"credits\":\"50\""));
}

#[tokio::test]
async fn a_provider_whose_only_lot_was_taken_back_owes_its_charges_again() {
    let store = store();
    let id = LotId::generate();
    store.add_lot(id, lot(10, "0.1", None), at(0)).await.unwrap();
    store.remove_lot(id, at(1)).await.unwrap();
    settle(&store, usd("0.03")).await;
    assert_eq!(balance(&store, "payable").await, usd("0.03"));
    assert_eq!(balance(&store, "covered").await, Ticks::ZERO);
}
