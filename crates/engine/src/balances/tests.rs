use super::*;
use gallerist_domain::{FeeRule, Lot, LotId};

fn at() -> Timestamp {
    "2026-11-28T12:00:00Z".parse().unwrap()
}

/// Credits of a cent each at `bfl`.
fn lot(left: i64, currency: &str, expires_at: Option<&str>) -> LotRecord {
    LotRecord {
        id: LotId::from_uuid(uuid::Uuid::nil()),
        lot: Lot {
            provider: "bfl".to_owned(),
            currency: currency.to_owned(),
            quantity_millionths: 1_000 * MILLIONTHS,
            remaining_millionths: left * MILLIONTHS,
            price: "9".parse().unwrap(),
            fee: FeeRule::NONE,
            list: "0.01".parse().unwrap(),
            purchased_at: "2026-11-01T00:00:00Z".parse().unwrap(),
            expires_at: expires_at.map(|at| at.parse().unwrap()),
        },
        created_at: at(),
        consumed: Ticks::ZERO,
        covered: Ticks::ZERO,
        expired_millionths: 0,
        expired: Ticks::ZERO,
        outside_millionths: 0,
        outside: Ticks::ZERO,
    }
}

fn told(left: i64, lots: &[LotRecord]) -> ToldBalance {
    let balance = Balance { left_millionths: left * MILLIONTHS, unit: "credit" };
    compared(balance, lots, "bfl", OpenAmounts::default(), at())
}

fn once(told: ToldBalance) -> Option<String> {
    let reading = Reading { provider: "bfl".to_owned(), asked_at: at(), told: Some(told), fault: None };
    drift(&reading, "1".parse().unwrap()).map(|alert| alert.once)
}

#[test]
fn lots_that_stand_are_compared_and_nothing_else() {
    let over = || lot(7, "credit", Some("2026-11-28T12:00:00Z"));
    let used = || lot(0, "credit", None);
    let found = told(300, &[lot(500, "credit", None), over(), used()]);
    assert_eq!(found.booked_millionths, Some(500 * MILLIONTHS));
    assert_eq!(found.worth().map(Ticks::short).as_deref(), Some("-2.00"));
    assert_eq!(told(300, &[]).worth(), None, "nothing was entered");
    assert_eq!(told(300, &[over()]).worth(), None);
    assert_eq!(told(300, &[used()]).worth().map(Ticks::short).as_deref(), Some("3.00"));
    assert_eq!(told(300, &[lot(500, "USD", None)]).worth(), None, "of another kind");
}

#[test]
fn a_difference_is_told_once_until_it_doubles_or_something_is_booked() {
    let lots = [lot(500, "credit", None)];
    assert_eq!(once(told(400, &lots)), None, "a dollar is the threshold");
    let first = once(told(399, &lots));
    assert!(first.is_some());
    assert_eq!(once(told(350, &lots)), first);
    assert_ne!(once(told(299, &lots)), first, "more than twice the threshold");
    assert_ne!(once(told(601, &lots)), first, "the other way");
    let booked = [LotRecord { outside_millionths: 5, ..lot(500, "credit", None) }];
    assert_ne!(once(told(399, &booked)), first, "somebody has booked something, and it is still there");
}

#[test]
fn more_than_was_ever_entered_is_a_purchase_that_is_missing() {
    let lots = [lot(500, "credit", None), lot(7, "credit", Some("2026-11-28T12:00:00Z"))];
    let beyond = told(1_001, &lots);
    assert_eq!(beyond.entered_millionths, Some(1_000 * MILLIONTHS), "what is over does not count");
    assert!(beyond.purchase_missing());
    assert!(!told(1_000, &lots).purchase_missing(), "all of it may have come back");
    assert!(!told(1_001, &[]).purchase_missing(), "nothing was entered, so nothing is compared");
}

#[test]
fn a_call_under_way_explains_what_is_missing() {
    let open = OpenAmounts { held: "1".parse().unwrap(), disputed: "0.5".parse().unwrap() };
    let lots = [lot(500, "credit", None)];
    let with_open = |left| once(ToldBalance { open, ..told(left, &lots) });
    assert_eq!(with_open(250), None);
    assert!(with_open(249).is_some());
    assert!(with_open(601).is_some(), "it cannot explain that more is left");
}
