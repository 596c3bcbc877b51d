//! Money of the stand-ins: integers of ticks, 10^-10 dollar.
//!
//! Owns the three things a bill needs: reading a price from its digits, a rate times a quantity with one
//! rounding (half up), and printing. No other crate of ours is used on purpose: the stand-ins are the other
//! side of the till, so a mistake of ours must not be repeated here. No floats.
//! Next: `bill.rs`, and the price tables beside each protocol.

/// Ticks of one dollar.
pub const TICKS_PER_USD: i64 = 10_000_000_000;
/// Ticks of one cent; one credit of several providers.
pub const TICKS_PER_CENT: i64 = TICKS_PER_USD / 100;

/// Reads a price such as `"0.048"` from its digits; more than ten decimals or anything else is a mistake in
/// a table of ours and stops the build where it is used in a constant.
pub const fn ticks(usd: &str) -> i64 {
    let digits = usd.as_bytes();
    let mut total: i64 = 0;
    let mut decimals = 0;
    let mut point = false;
    let mut index = 0;
    while index < digits.len() {
        match digits[index] {
            b'.' if !point => point = true,
            digit @ b'0'..=b'9' => {
                total = total * 10 + (digit - b'0') as i64;
                if point {
                    decimals += 1;
                }
            }
            _ => panic!("a price is written with digits and one point"),
        }
        index += 1;
    }
    assert!(decimals <= 10, "a tick is the tenth decimal");
    while decimals < 10 {
        total *= 10;
        decimals += 1;
    }
    total
}

/// `quantity` units at `amount_ticks` for `per` of them, rounded half up once.
pub fn rated(quantity: i64, amount_ticks: i64, per: i64) -> i64 {
    scaled(amount_ticks, quantity, per)
}

/// `ticks` times a fraction, rounded half up once.
pub fn scaled(ticks: i64, numerator: i64, denominator: i64) -> i64 {
    assert!(denominator > 0, "a fraction has a positive denominator");
    let product = i128::from(ticks) * i128::from(numerator);
    let doubled = product * 2 + i128::from(denominator);
    i64::try_from(doubled.div_euclid(i128::from(denominator) * 2)).expect("a bill fits into 64 bits")
}

/// Dollars with ten decimals: `"0.0400000000"`.
pub fn usd(ticks: i64) -> String {
    let sign = if ticks < 0 { "-" } else { "" };
    let magnitude = ticks.unsigned_abs();
    let unit = TICKS_PER_USD.unsigned_abs();
    format!("{sign}{}.{:010}", magnitude / unit, magnitude % unit)
}

/// A decimal number of `unit_ticks` with as few digits as it needs, but at least one decimal: `"4.5"`.
pub fn decimal(ticks: i64, unit_ticks: i64) -> String {
    let scaled_ticks = scaled(ticks, TICKS_PER_USD, unit_ticks);
    let text = usd(scaled_ticks);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

#[cfg(test)]
mod tests;
