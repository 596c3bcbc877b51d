//! What goes to standard output and standard error.
//!
//! Results go to standard output, one JSON value a line with `--json`; everything that accompanies them
//! goes to standard error. A reader who has gone away is no failure.

use serde::Serialize;
use std::io::Write;

/// Prints a line of the result.
pub fn line(text: impl AsRef<str>) {
    let mut out = std::io::stdout().lock();
    // Nobody reads any more when this fails.
    let _ = out.write_all(text.as_ref().as_bytes()).and_then(|()| out.write_all(b"\n"));
    let _ = out.flush();
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

/// An amount for people: `$0.04`.
pub fn dollars(amount: gallerist_domain::Ticks) -> String {
    match amount.short() {
        text if amount.is_negative() => format!("-${}", text.trim_start_matches('-')),
        text => format!("${text}"),
    }
}

/// [`dollars`] of an amount in an answer, which is text; anything else is shown as it is.
pub fn dollars_of(value: &serde_json::Value) -> String {
    match value.as_str() {
        Some(text) => text.parse().map_or_else(|_| text.to_owned(), dollars),
        None if value.is_null() => String::new(),
        None => value.to_string(),
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
