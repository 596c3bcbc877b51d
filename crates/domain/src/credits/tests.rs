use super::*;
use proptest::prelude::*;

pub fn usd(text: &str) -> Ticks {
    text.parse().unwrap()
}

fn day(day: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + day * 86_400).unwrap()
}

fn lot(credits: i64, price: &str, expires: Option<i64>) -> Lot {
    Lot {
        provider: "bfl".to_owned(),
        currency: "credit".to_owned(),
        quantity_millionths: credits * MILLIONTHS,
        remaining_millionths: credits * MILLIONTHS,
        price: usd(price),
        fee: FeeRule::NONE,
        list: usd("0.01"),
        purchased_at: day(0),
        expires_at: expires.map(day),
    }
}

/// OpenRouter's fee by card: 5.5 %, at least 0.80.
const BY_CARD: FeeRule = FeeRule { rate_millionths: 55_000, minimum: Ticks::new(8_000_000_000) };

#[test]
fn a_fee_is_a_part_of_the_price_and_at_least_its_minimum() {
    // 100 × 0.055 = 5.50
    assert_eq!(BY_CARD.on(usd("100")), Some(usd("5.50")));
    // 10 × 0.055 = 0.55 < 0.80
    assert_eq!(BY_CARD.on(usd("10")), Some(usd("0.80")));
    // 0.80 ÷ 0.055 = 14.5454…, so 14.54 pays the minimum and 14.55 pays 0.80025
    assert_eq!(BY_CARD.on(usd("14.54")), Some(usd("0.80")));
    assert_eq!(BY_CARD.on(usd("14.55")), Some(usd("0.80025")));
    assert_eq!(BY_CARD.on(Ticks::ZERO), Some(Ticks::ZERO));
    // Half a tick rounds up: 0.055 × 10 ticks = 0.55 tick → 1 tick (without a minimum).
    let bare = FeeRule { minimum: Ticks::ZERO, ..BY_CARD };
    assert_eq!(bare.on(Ticks::new(10)), Some(Ticks::new(1)));
    let bought = Lot { fee: BY_CARD, ..lot(100, "100", None) };
    assert_eq!(bought.cost(), usd("105.50"));
}

#[test]
fn what_expires_first_is_taken_first_and_a_charge_may_take_from_several() {
    let lots = [lot(1_000, "9", None), lot(10, "0.05", Some(20)), lot(10, "0.08", Some(10))];
    assert_eq!(order(&lots), [2, 1, 0]);
    // 0.25 at 0.01 a credit is 25 credits: 10 of the lot that expires on day 10 (cost 0.08), 10 of the next
    // (0.05), 5 of the last (5 × 0.009 = 0.045).
    let taken = take(&lots, usd("0.25"), day(1));
    let told: Vec<_> = taken.iter().map(|t| (t.lot, t.quantity_millionths, t.cost, t.covered)).collect();
    assert_eq!(
        told,
        [
            (2, 10_000_000, usd("0.08"), usd("0.10")),
            (1, 10_000_000, usd("0.05"), usd("0.10")),
            (0, 5_000_000, usd("0.045"), usd("0.05")),
        ]
    );
    // On day 10 the first is lost.
    assert_eq!(take(&lots, usd("0.01"), day(10))[0].lot, 1);
}

#[test]
fn what_no_lot_covers_stays_owed() {
    let taken = take(&[lot(2, "0.02", None)], usd("0.05"), day(1));
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].covered, usd("0.02"));
    assert!(take(&[lot(2, "0.02", Some(1))], usd("0.05"), day(1)).is_empty());
}

#[test]
fn impossible_lots_are_refused() {
    assert_eq!(lot(1, "1", None).check(), Ok(()));
    assert_eq!(Lot { quantity_millionths: 0, ..lot(1, "1", None) }.check(), Err(LotError::Quantity));
    assert_eq!(lot(1, "1000000.0000000001", None).check(), Err(LotError::Price));
    assert_eq!(lot(1, "-1", None).check(), Err(LotError::Price));
    assert_eq!(Lot { list: Ticks::ZERO, ..lot(1, "1", None) }.check(), Err(LotError::List));
    assert_eq!(lot(1, "1", Some(0)).check(), Err(LotError::Expiry));
    let fee = FeeRule { rate_millionths: -1, minimum: Ticks::ZERO };
    assert_eq!(Lot { fee, ..lot(1, "1", None) }.check(), Err(LotError::Fee));
}

fn any_lot() -> impl Strategy<Value = Lot> {
    let rate = (0i64..200_000, 0i64..10_000_000_000);
    (1i64..5_000_000_000, 0i64..1_000_000_000_000, rate, 1i64..20_000_000_000, prop::option::of(1i64..40))
        .prop_map(|(quantity, price, (rate_millionths, minimum), list, expires)| Lot {
            quantity_millionths: quantity,
            remaining_millionths: quantity,
            price: Ticks::new(price),
            fee: FeeRule { rate_millionths, minimum: Ticks::new(minimum) },
            list: Ticks::new(list),
            ..lot(1, "1", expires)
        })
}

proptest! {
    #[test]
    fn the_shares_of_a_lot_sum_to_what_it_cost(lot in any_lot(), cuts in prop::collection::vec(0i64..5_000_000_000, 0..20)) {
        let mut left = lot.clone();
        let mut sum = Ticks::ZERO;
        for cut in cuts {
            let quantity = cut.min(left.remaining_millionths);
            let cost = left.cost_of_next(quantity);
            prop_assert!(!cost.is_negative());
            sum += cost;
            left.remaining_millionths -= quantity;
        }
        prop_assert_eq!(sum + left.cost_remaining(), lot.cost());
    }

    #[test]
    fn a_charge_takes_no_more_than_there_is_and_covers_no_more_than_itself(
        lots in prop::collection::vec(any_lot(), 0..6),
        charge in 0i64..100_000_000_000_000,
        now in 0i64..45,
    ) {
        let charge = Ticks::new(charge);
        let taken = take(&lots, charge, day(now));
        let covered: Ticks = taken.iter().map(|taken| taken.covered).sum();
        prop_assert!(covered <= charge);
        let mut last = None;
        for one in &taken {
            let lot = &lots[one.lot];
            prop_assert!(lot.is_open(day(now)));
            prop_assert!(one.quantity_millionths <= lot.remaining_millionths);
            prop_assert!(!one.cost.is_negative() && !one.covered.is_negative());
            // In the order of expiry, and none is begun before the one before it is used up.
            let expires = lot.expires_at.unwrap_or(Timestamp::MAX);
            prop_assert!(last.is_none_or(|last| last <= expires));
            last = Some(expires);
        }
        for one in taken.iter().rev().skip(1) {
            prop_assert_eq!(one.quantity_millionths, lots[one.lot].remaining_millionths);
        }
        if covered < charge {
            let open = lots.iter().filter(|lot| lot.is_open(day(now)));
            let left: i64 = open.map(|lot| lot.remaining_millionths).sum();
            prop_assert_eq!(taken.iter().map(|taken| taken.quantity_millionths).sum::<i64>(), left);
        }
    }
}
