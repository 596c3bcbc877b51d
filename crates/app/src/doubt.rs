//! What is to be known of an amount: that it rests on a price below official, or on one that was read long ago.

use gallerist_domain::Ticks;
use gallerist_pricing::sheet::PRICE_OLD_DAYS;
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

/// What stands behind a doubtful amount where there is no room for the reason.
pub const MARK: &str = "~";
/// What the mark means.
pub const LEGEND: &str = "~ rests on prices that their vendor does not confirm (third party, derived, unverified), or that were read more \
    than 90 days before";

/// The doubt about a figure of this confidence, read on that day: `third party price of 2026-05-06`. `None` for an
/// official one of late, and where nothing is said of it.
pub fn doubt(confidence: &Value, as_of: &Value, now: Timestamp) -> Option<String> {
    let (confidence, read) = (confidence.as_str()?, as_of.as_str()?);
    let today = now.to_zoned(TimeZone::UTC).date();
    let age_days = read.parse::<Date>().ok()?.until(today).map_or(0, |span| span.get_days());
    (confidence != "official" || age_days > PRICE_OLD_DAYS)
        .then(|| format!("{} price of {read}", confidence.replace('_', " ")))
}

/// The doubts about the lines of a cost or a quote, each once.
pub fn of_lines(lines: &Value, now: Timestamp) -> Option<String> {
    let lines = lines.as_array()?.iter();
    let mut doubts: Vec<String> =
        lines.filter_map(|line| doubt(&line["confidence"], &line["as_of"], now)).collect();
    doubts.sort();
    doubts.dedup();
    (!doubts.is_empty()).then(|| doubts.join(", "))
}

/// The doubt about a list price.
pub fn of_list(told: &Value, now: Timestamp) -> Option<String> {
    doubt(&told["list_confidence"], &told["list_as_of"], now)
}

/// Whether it is an amount above nothing.
pub fn is_some(amount: &Value) -> bool {
    amount.as_str().and_then(|text| text.parse::<Ticks>().ok()).is_some_and(|amount| !amount.is_zero())
}

/// The amount with the mark where it is doubtful.
pub fn marked(amount: String, doubtful: bool) -> String {
    if doubtful { amount + MARK } else { amount }
}

/// The amount with its doubt behind it.
pub fn with(amount: String, doubt: Option<&String>) -> String {
    match doubt {
        Some(doubt) => format!("{amount} ({doubt})"),
        None => amount,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_price_below_official_or_old_is_told() {
        let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        let line = |confidence: &str, as_of: &str| json!([{"confidence": confidence, "as_of": as_of}]);
        assert_eq!(of_lines(&line("official", "2026-11-22"), now), None);
        let told = "third party price of 2026-11-22";
        assert_eq!(of_lines(&line("third_party", "2026-11-22"), now).unwrap(), told);
        assert_eq!(of_lines(&line("official", "2026-08-01"), now).unwrap(), "official price of 2026-08-01");
        assert_eq!(of_lines(&json!([{"line": "reported"}]), now), None);
        assert_eq!(of_list(&json!({"list_usd": "0.04"}), now), None);
        let list = json!({"list_confidence": "derived", "list_as_of": "2026-11-22"});
        assert_eq!(
            with("$0.04".to_owned(), of_list(&list, now).as_ref()),
            "$0.04 (derived price of 2026-11-22)"
        );
    }
}
