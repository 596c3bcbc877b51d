use super::*;
use proptest::prelude::*;

#[test]
fn prints_ten_digits_and_reads_them_back() {
    let amount: Ticks = "0.04".parse().unwrap();
    assert_eq!(amount.get(), 400_000_000);
    assert_eq!(amount.to_string(), "0.0400000000");
    assert_eq!(amount.short(), "0.04");
    assert_eq!("0.0059".parse::<Ticks>().unwrap().short(), "0.0059");
    assert_eq!("12".parse::<Ticks>().unwrap().short(), "12.00");
    assert_eq!("-0.5".parse::<Ticks>().unwrap().to_string(), "-0.5000000000");
}

#[test]
fn refuses_what_is_not_an_exact_amount() {
    for bad in ["", ".5", "5.", "1e", "NaN", "0x1", "1,5", " 1", "+1", "--1", "1.2.3", "1e99"] {
        assert!(bad.parse::<Ticks>().is_err(), "{bad:?} was read");
    }
    assert_eq!("0.00000000001".parse::<Ticks>(), Err(MoneyError::TooFine("0.00000000001".into())));
    assert!("922337203".parse::<Ticks>().is_ok());
    assert!("1000000000".parse::<Ticks>().is_err());
}

#[test]
fn a_price_per_hour_of_seconds_is_rounded_once() {
    let price = Price { amount: "3.99".parse().unwrap(), per: 3_600_000_000 };
    // Four seconds on an H100 at 3.99 dollars an hour: 0.004433333… dollars.
    assert_eq!(price.times(4_000_000).unwrap().to_string(), "0.0044333333");
}

#[test]
fn two_prices_are_told_for_the_same_number_of_units() {
    let price = |amount: &str, per| Price { amount: amount.parse().unwrap(), per };
    let (old, new, per) = price("0.04", 1).beside(price("50", 1_000)).unwrap();
    assert_eq!((old.short(), new.short(), per), ("40.00".to_owned(), "50.00".to_owned(), 1_000));
    // A tick a thousand, which no amount for a single one can say.
    let (old, new, per) = price("0.0000000001", 1_000).beside(price("0.025", 1)).unwrap();
    assert_eq!((old.get(), new.short(), per), (1, "25.00".to_owned(), 1_000));
    let (old, new, per) = price("0.02", 4).beside(price("0.03", 6)).unwrap();
    assert_eq!((old.short(), new.short(), per), ("0.06".to_owned(), "0.06".to_owned(), 12));
    let same = price("3.49", 3_600_000_000).beside(price("3.99", 3_600_000_000)).unwrap();
    assert_eq!(
        (same.0.short(), same.1.short(), same.2),
        ("3.49".to_owned(), "3.99".to_owned(), 3_600_000_000)
    );
    assert_eq!(price("900000000", 1).beside(price("1", 1_000)), None);
    assert_eq!(price("1", i64::MAX).beside(price("1", i64::MAX - 1)), None);
}

#[test]
fn half_goes_up() {
    assert_eq!(divide_half_up(5, 2), Some(3));
    assert_eq!(divide_half_up(4, 3), Some(1));
    assert_eq!(divide_half_up(-5, 2), Some(-3));
    assert_eq!(divide_half_up(1, 0), None);
}

#[test]
fn exponents_are_digits_too() {
    assert_eq!("4e-5".parse::<Decimal>().unwrap().to_ticks_exact().unwrap().get(), 400_000);
    assert_eq!("1.5E2".parse::<Decimal>().unwrap().to_ticks_exact().unwrap().to_string(), "150.0000000000");
}

proptest! {
    #[test]
    fn every_amount_survives_print_and_parse(ticks in any::<i64>().prop_filter("min has no negation", |t| *t != i64::MIN)) {
        let amount = Ticks::new(ticks);
        prop_assert_eq!(amount.to_string().parse::<Ticks>().unwrap(), amount);
        prop_assert_eq!(amount.short().parse::<Ticks>().unwrap(), amount);
    }

    #[test]
    fn scaling_agrees_with_a_slow_reference(ticks in -10_000_000i64..10_000_000, n in 0i64..10_000, d in 1i64..10_000) {
        let exact_twice = i128::from(ticks) * i128::from(n) * 2;
        let result = i128::from(Ticks::new(ticks).scaled(n, d).unwrap().get());
        // |result − exact| ≤ ½, and a tie lies away from zero.
        let difference = result * i128::from(d) * 2 - exact_twice;
        prop_assert!(difference.abs() <= i128::from(d));
        if difference.abs() == i128::from(d) {
            prop_assert!(result.abs() * i128::from(d) * 2 > exact_twice.abs());
        }
    }
}
