use super::*;

#[test]
fn prices_are_read_from_their_digits() {
    assert_eq!(ticks("0.048"), 480_000_000);
    assert_eq!(ticks("30"), 300_000_000_000);
    assert_eq!(ticks("0.0000000001"), 1);
}

#[test]
fn rates_round_half_up_once() {
    assert_eq!(rated(1, 1, 2), 1);
    assert_eq!(rated(1, 1, 3), 0);
    assert_eq!(rated(2, 1, 3), 1);
    assert_eq!(rated(1_000_000, ticks("30"), 1_000_000), ticks("30"));
}

#[test]
fn amounts_print_with_ten_decimals_and_credits_with_few() {
    assert_eq!(usd(ticks("0.04")), "0.0400000000");
    assert_eq!(usd(-1), "-0.0000000001");
    assert_eq!(decimal(ticks("0.045"), TICKS_PER_CENT), "4.5");
    assert_eq!(decimal(ticks("0.03"), TICKS_PER_CENT), "3.0");
    assert_eq!(decimal(0, TICKS_PER_CENT), "0.0");
}
