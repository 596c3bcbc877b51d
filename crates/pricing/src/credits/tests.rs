use super::*;
use jiff::SignedDuration;
use proptest::prelude::*;

fn usd(text: &str) -> Ticks {
    text.parse().unwrap()
}

fn day(day: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + day * 86_400).unwrap()
}

/// So many credits that count 0.01 each, for a price.
fn lot(credits: i64, price: &str, expires: Option<i64>) -> Lot {
    Lot {
        provider: "bfl".to_owned(),
        currency: "credit".to_owned(),
        quantity_millionths: credits * MILLIONTHS,
        remaining_millionths: credits * MILLIONTHS,
        price: usd(price),
        fee: FeeRule::NONE,
        list: usd("0.01"),
        purchased_at: day(-1),
        expires_at: expires.map(day),
    }
}

fn daily(text: &str) -> Consumption {
    Consumption { charged: usd(text), days: 1 }
}

#[test]
fn days_before_the_first_charge_do_not_count() {
    let days = ["0", "0", "1", "0", "2"].map(usd);
    assert_eq!(Consumption::of_days(&days), Consumption { charged: usd("3"), days: 3 });
    assert_eq!(Consumption::of_days(&[Ticks::ZERO; 14]), Consumption { charged: Ticks::ZERO, days: 1 });
    assert_eq!(Consumption::of_days(&[]).days, 1);
}

#[test]
fn a_lot_that_will_be_used_keeps_its_purchase_price() {
    // 1,000 credits for 9 dollars; 0.50 a day is 50 credits: used up after 20 days, 10 days before they expire.
    let told = forecast(&[lot(1_000, "9", Some(30))], daily("0.50"), day(0));
    assert_eq!(told.lots[0].used_millionths, 1_000 * MILLIONTHS);
    assert_eq!((told.lots[0].lost_millionths, told.lots[0].lost), (0, Ticks::ZERO));
    assert_eq!(told.run_out_at, Some(day(20)));
    let routing = told.routing.unwrap();
    assert_eq!((routing.purchase, routing.routed), (usd("0.009"), usd("0.009")));
    // A picture of 3 credits (0.03) is ordered as 0.03 × 0.009 ÷ 0.01 = 0.027.
    assert_eq!(routing.of(usd("0.03")), usd("0.027"));
    assert_eq!(routing.unused_at, None);
}

#[test]
fn the_routing_price_falls_with_the_share_that_will_be_lost() {
    // 50 credits a day, 10 days: 500 of 1,000 are used, 500 lost, which cost 4.50. Half the price is left.
    let told = forecast(&[lot(1_000, "9", Some(10))], daily("0.50"), day(0));
    assert_eq!(told.lots[0].lost_millionths, 500 * MILLIONTHS);
    assert_eq!(told.lots[0].lost, usd("4.50"));
    assert_eq!(told.run_out_at, Some(day(10)));
    let routing = told.routing.unwrap();
    assert_eq!((routing.purchase, routing.routed), (usd("0.009"), usd("0.0045")));
    assert_eq!(routing.of(usd("0.03")), usd("0.0135"));
    assert_eq!(routing.unused_at, Some(day(10)));
    // Nothing is used at all: zero.
    let told = forecast(&[lot(1_000, "9", Some(10))], daily("0"), day(0));
    assert_eq!(told.routing.unwrap().routed, Ticks::ZERO);
    assert_eq!(told.lots[0].lost, usd("9"));
}

#[test]
fn a_credit_taken_now_saves_one_of_the_first_lot_that_loses() {
    // 100 credits until day 10, then 900 until day 12, 50 credits a day. The first lot is used by day 2, of the
    // second 500 by day 12, 400 are lost. 600 of 1,000 are used: 0.01 × 0.6. A third lot that expires never
    // changes nothing.
    let lots = [lot(900, "4.50", Some(12)), lot(100, "1", Some(10)), lot(100, "1", None)];
    let told = forecast(&lots, daily("0.50"), day(0));
    assert_eq!(told.lots[1].lost_millionths, 0);
    assert_eq!(told.lots[0].lost_millionths, 400 * MILLIONTHS);
    assert_eq!(told.lots[2].lost_millionths, 0);
    let routing = told.routing.unwrap();
    assert_eq!((routing.purchase, routing.routed), (usd("0.01"), usd("0.006")));
    assert_eq!(routing.unused_at, Some(day(12)));
    // Day 12, and then 100 credits more at 50 a day.
    assert_eq!(told.run_out_at, Some(day(14)));
}

#[test]
fn the_fee_belongs_to_the_purchase_price() {
    // OpenRouter: 100 credits for 100 dollars with 5.5 % are 105.50, 1.055 a credit, which is their list rate.
    let fee = FeeRule { rate_millionths: 55_000, minimum: usd("0.80") };
    let lots = [Lot { fee, list: usd("1.055"), ..lot(100, "100", None) }];
    let routing = forecast(&lots, daily("3"), day(0)).routing.unwrap();
    assert_eq!((routing.purchase, routing.of(usd("0.0422"))), (usd("1.055"), usd("0.0422")));
    // 10 credits for 10 dollars pay the minimum: 10.80, so 1.08 a credit, dearer than the list.
    let lots = [Lot { fee, list: usd("1.055"), ..lot(10, "10", None) }];
    let routing = forecast(&lots, daily("3"), day(0)).routing.unwrap();
    assert_eq!(routing.purchase, usd("1.08"));
    assert_eq!(routing.of(usd("1.055")), usd("1.08"));
}

#[test]
fn without_open_lots_there_is_nothing_to_route_by() {
    let empty = Lot { remaining_millionths: 0, ..lot(10, "1", None) };
    let told = forecast(&[empty, lot(10, "1", Some(0))], daily("1"), day(0));
    assert_eq!((told.routing, told.run_out_at), (None, None));
    // What is never used and never expires does not run out.
    let told = forecast(&[lot(10, "1", None)], daily("0"), day(0));
    assert_eq!(told.run_out_at, None);
    assert_eq!(told.routing.unwrap().routed, usd("0.1"));
}

#[test]
fn a_cost_beyond_the_credits_that_are_left_counts_at_the_list() {
    let routing = forecast(&[lot(10, "0.05", None)], daily("1"), day(0)).routing.unwrap();
    // 10 credits count 0.10 and cost 0.05; the other 0.03 are owed.
    assert_eq!((routing.open, routing.of(usd("0.13"))), (usd("0.10"), usd("0.08")));
}

#[test]
fn the_reason_says_when_and_at_what() {
    let told = forecast(&[lot(1_000, "9", Some(10))], daily("0.50"), day(0)).routing.unwrap();
    let expected = "credits expire on 2026-10-01 unused: routed at 0.0135 instead of 0.03";
    assert_eq!(told.reason(usd("0.03")), expected);
    let told = forecast(&[lot(1_000, "9", None)], daily("0.50"), day(0)).routing.unwrap();
    let expected =
        "paid from credits bought at 0.009 each, which count 0.01: routed at 0.027 instead of 0.03";
    assert_eq!(told.reason(usd("0.03")), expected);
}

#[test]
fn a_purchase_becomes_a_lot_at_the_rate_of_the_catalogue() {
    let catalogue = crate::Catalogue::embedded();
    let bought = |kind: &str, currency: Option<&str>, credits: &str| {
        let purchase = Purchase {
            provider: kind.to_owned(),
            currency: currency.map(str::to_owned),
            credits: credits.parse().unwrap(),
            price: usd("10"),
            fee: FeeRule::NONE,
            purchased_at: "2026-11-28T00:00:00Z".parse().unwrap(),
            expires_at: None,
        };
        purchase.lot(catalogue.provider(kind).unwrap())
    };
    let lot = bought("bfl", None, "812.5").unwrap();
    assert_eq!(
        (lot.currency.as_str(), lot.list, lot.quantity_millionths),
        ("credit", usd("0.01"), 812_500_000)
    );
    let lot = bought("google", None, "10").unwrap();
    assert_eq!((lot.currency.as_str(), lot.list), ("USD", usd("1")));
    let unknown = bought("bfl", Some("neuron"), "10").unwrap_err();
    assert!(matches!(unknown, PurchaseError::UnknownCurrency { .. }), "{unknown}");
    assert_eq!(bought("bfl", None, "0.0000001"), Err(PurchaseError::TooFine));
    assert_eq!(bought("bfl", None, "0"), Err(PurchaseError::Lot(LotError::Quantity)));
}

fn any_lot() -> impl Strategy<Value = Lot> {
    (1i64..5_000_000_000, 1i64..1_000_000_000_000, 1i64..20_000_000_000, prop::option::of(-1i64..40))
        .prop_map(|(quantity, price, list, expires)| Lot {
            quantity_millionths: quantity,
            remaining_millionths: quantity,
            price: Ticks::new(price),
            list: Ticks::new(list),
            purchased_at: day(-9),
            ..lot(1, "1", expires)
        })
}

/// Hour by hour, as the books would go; what is lost in ticks at the provider's prices.
fn played(lots: &[Lot], consumption: Consumption, hours: i64) -> i128 {
    let mut left = lots.to_vec();
    let mut lost = 0i128;
    for hour in 0..hours {
        let now = day(0) + SignedDuration::from_hours(hour);
        let charged = |hour: i64| consumption.until(i128::from(hour) * 3_600);
        let charge = i64::try_from(charged(hour + 1) - charged(hour)).unwrap();
        for taken in take(&left, Ticks::new(charge), now) {
            left[taken.lot].remaining_millionths -= taken.quantity_millionths;
        }
        for lot in left.iter_mut().filter(|lot| lot.is_expired(now + SignedDuration::from_hours(1))) {
            lost += i128::from(lot.worth(lot.remaining_millionths).get());
            lot.remaining_millionths = 0;
        }
    }
    lost
}

proptest! {
    #[test]
    fn what_is_left_is_used_or_lost_and_the_price_stays_between_zero_and_the_purchase(
        lots in prop::collection::vec(any_lot(), 0..6),
        charged in 0i64..1_000_000_000_000,
        days in 1u32..15,
    ) {
        let consumption = Consumption { charged: Ticks::new(charged), days };
        let told = forecast(&lots, consumption, day(0));
        for (lot, told) in lots.iter().zip(&told.lots) {
            prop_assert!(told.used_millionths >= 0 && told.lost_millionths >= 0);
            prop_assert!(told.used_millionths + told.lost_millionths <= lot.remaining_millionths);
            prop_assert!(told.lost >= Ticks::ZERO && told.lost <= lot.cost());
            if lot.is_open(day(0)) && (lot.expires_at.is_some() || charged > 0) {
                prop_assert_eq!(told.used_millionths + told.lost_millionths, lot.remaining_millionths);
            }
        }
        prop_assert_eq!(told.routing.is_some(), lots.iter().any(|lot| lot.is_open(day(0))));
        if let Some(routing) = told.routing {
            prop_assert!(routing.routed >= Ticks::ZERO && routing.routed <= routing.purchase);
            if routing.unused_at.is_none() {
                prop_assert_eq!(routing.routed, routing.purchase);
            }
        }
    }

    #[test]
    fn using_more_loses_no_more(
        lots in prop::collection::vec(any_lot(), 1..6),
        charged in 0i64..1_000_000_000_000,
        more in 0i64..1_000_000_000_000,
    ) {
        let at = |charged| forecast(&lots, Consumption { charged: Ticks::new(charged), days: 1 }, day(0));
        let (less, more) = (at(charged), at(charged + more));
        let lost = |told: &Forecast| told.lots.iter().map(|told| told.lost).sum::<Ticks>();
        prop_assert!(lost(&more) <= lost(&less));
    }

    #[test]
    fn the_forecast_is_what_the_books_would_show(
        lots in prop::collection::vec(any_lot(), 1..5),
        charged in 0i64..100_000_000_000,
    ) {
        let consumption = Consumption { charged: Ticks::new(charged), days: 1 };
        let told = forecast(&lots, consumption, day(0));
        let open: Vec<Lot> = lots.iter().filter(|lot| lot.is_open(day(0))).cloned().collect();
        let lost: i128 = lots.iter().zip(&told.lots).map(|(lot, told)| i128::from(lot.worth(told.lost_millionths).get())).sum();
        let played = played(&open, consumption, 41 * 24);
        // The books round each charge to millionths of a credit.
        let slack = lots.iter().map(|lot| i128::from(lot.list.get()) / i128::from(MILLIONTHS) + 2).max().unwrap() * 41 * 24;
        prop_assert!((lost - played).abs() <= slack, "forecast {lost}, played {played}");
    }
}
