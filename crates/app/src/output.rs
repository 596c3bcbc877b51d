//! What goes to standard output and standard error.
//!
//! Results go to standard output, one JSON value a line with `--json`; everything that accompanies them
//! goes to standard error. A reader who has gone away is no failure.

use gallerist_domain::Ticks;
use gallerist_domain::money::divide_half_up;
use serde::Serialize;
use std::io::Write;

/// Prints a line of the result.
pub fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more when this fails.
    let _ = out.write_all(text.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n"));
    let _ = out.flush();
}

/// Prints bytes of the result as they are.
pub fn bytes(bytes: &[u8]) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more when this fails.
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Prints a value as one line of JSON.
pub fn json(value: &impl Serialize) {
    line(serde_json::to_string(value).expect("results have text keys"));
}

/// Prints a remark beside the result.
pub fn remark(text: impl AsRef<str>) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n"));
}

/// So many of something whose plural has an s: `1 offer`, `2 offers`.
pub fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// An amount for people: `$0.04`.
pub fn dollars(amount: Ticks) -> String {
    match amount.short() {
        text if amount.is_negative() => format!("-${}", text.trim_start_matches('-')),
        text => format!("${text}"),
    }
}

/// Digits of an amount in a table that tell something; the rest is in `--json`.
const DIGITS: u32 = 4;

/// An amount to be compared, for people: at least two decimals, and as many as four digits that count take.
pub fn rounded(amount: Ticks) -> String {
    let digits = amount.get().unsigned_abs().checked_ilog10().map_or(1, |log| log + 1);
    // Ten decimals in all; the last eight may go.
    let step = 10_i64.pow(digits.saturating_sub(DIGITS).min(8));
    let count =
        divide_half_up(i128::from(amount.get()), i128::from(step)).and_then(|n| i64::try_from(n).ok());
    dollars(count.and_then(|count| Ticks::new(step).checked_mul(count)).unwrap_or(amount))
}

/// What a person should know beside the result.
pub fn notes(remarks: &[String]) {
    remarks.iter().for_each(|text| remark(format!("Note: {text}")));
}

/// [`dollars`] of an amount in an answer, which is text; anything else is shown as it is.
pub fn dollars_of(value: &serde_json::Value) -> String {
    match value.as_str() {
        Some(text) => text.parse().map_or_else(|_| text.to_owned(), dollars),
        None if value.is_null() => String::new(),
        None => value.to_string(),
    }
}

/// As [`dollars_of`], [`rounded`].
pub fn rounded_of(value: &serde_json::Value) -> String {
    match value.as_str().and_then(|text| text.parse().ok()) {
        Some(amount) => rounded(amount),
        None => dollars_of(value),
    }
}

/// The day of an instant, in UTC.
pub fn day(at: jiff::Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// An instant of an answer to the second, in UTC; anything else is shown as it is.
pub fn moment(value: &serde_json::Value) -> String {
    let text = value.as_str().unwrap_or_default();
    let parsed: Option<jiff::Timestamp> = text.parse().ok();
    parsed.map_or_else(|| text.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_the_digits_that_tell_something() {
        let shown = |text: &str| rounded(text.parse().unwrap());
        assert_eq!(shown("0.0015945698"), "$0.001595");
        assert_eq!(shown("0.033797"), "$0.0338");
        assert_eq!(shown("0.04"), "$0.04");
        assert_eq!(shown("0"), "$0.00");
        assert_eq!(shown("-0.0015945698"), "-$0.001595");
        assert_eq!(shown("0.0000000012"), "$0.0000000012");
        assert_eq!(shown("123.456789"), "$123.46");
        assert_eq!(shown("123456.789"), "$123456.79");
        assert_eq!(shown("12.345678"), "$12.35");
    }
}
