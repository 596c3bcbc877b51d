//! Usage as it is asked for and answered: parameters, JSON, CSV.
//!
//! The command line uses the same forms where no gateway runs, so that both ways answer alike. It refuses to
//! add anything up: that is the store's.

use gallerist_domain::{Operation, Ticks};
use gallerist_routing::nearest::nearest;
use gallerist_store::{UsageFigures, UsageKey, UsageQuery, UsageReport};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::credits::Mistake;

/// What may be said of usage, besides the form of the answer.
pub const PARAMETERS: [&str; 11] =
    ["group_by", "from", "to", "day", "project", "key", "user", "tag", "provider", "model", "operation"];

/// Reads a question; `said` gives what a parameter of [`PARAMETERS`] says.
///
/// # Errors
/// The first parameter that cannot be read, with a sentence.
pub fn query<'a>(said: impl Fn(&str) -> Option<&'a str>) -> Result<UsageQuery, Mistake> {
    let text = |name: &str| said(name).map(str::to_owned);
    let mut query = UsageQuery {
        group_by: group_by(said("group_by").unwrap_or_default())?,
        from: said("from").map(|text| instant("from", text)).transpose()?,
        to: said("to").map(|text| instant("to", text)).transpose()?,
        key: text("key"),
        user: text("user"),
        provider: text("provider"),
        model: text("model"),
        ..UsageQuery::default()
    };
    if let Some(text) = said("project") {
        let project =
            text.parse().map_err(|_| ("project", "project must be the name of a project.".to_owned()))?;
        query.project = Some(project);
    }
    if let Some(text) = said("operation") {
        let known = Operation::from_word(text).ok_or_else(|| {
            let known = Operation::ALL.iter().map(|operation| operation.as_str().to_owned());
            let near = nearest(text, known, 3).join(", ");
            ("operation", format!("operation must be that of a request; the nearest: {near}."))
        })?;
        query.operation = Some(known.as_str().to_owned());
    }
    if let Some(text) = said("tag") {
        let (name, value) = text
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| ("tag", "tag must be a name and a value, as in team=search.".to_owned()))?;
        query.tag = Some((name.to_owned(), value.to_owned()));
    }
    if let Some(text) = said("day") {
        if query.from.is_some() || query.to.is_some() {
            return Err(("day", "day stands for both from and to; give it alone.".to_owned()));
        }
        let bounds = || {
            let day: Date = text.parse().ok()?;
            Some((midnight(day)?, midnight(day.tomorrow().ok()?)?))
        };
        let (from, to) =
            bounds().ok_or_else(|| ("day", "day must be a day in UTC, such as 2026-11-25.".to_owned()))?;
        (query.from, query.to) = (Some(from), Some(to));
    }
    in_order(query.from, query.to)?;
    Ok(query)
}

/// That a time does not end before it begins.
///
/// # Errors
/// A sentence that names both parameters.
pub(crate) fn in_order(from: Option<Timestamp>, to: Option<Timestamp>) -> Result<(), Mistake> {
    match (from, to) {
        (Some(from), Some(to)) if from > to => {
            Err(("from", format!("from ({from}) must not be after to ({to}).")))
        }
        _ => Ok(()),
    }
}

fn group_by(text: &str) -> Result<Vec<UsageKey>, Mistake> {
    let mut keys = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let key = UsageKey::from_word(word)
            .ok_or_else(|| ("group_by", format!("group_by takes, joined by commas: {}.", UsageKey::WORDS)))?;
        if keys.contains(&key) {
            return Err(("group_by", format!("group_by names {word} twice.")));
        }
        keys.push(key);
    }
    Ok(keys)
}

fn midnight(day: Date) -> Option<Timestamp> {
    day.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn instant(name: &'static str, text: &str) -> Result<Timestamp, Mistake> {
    let day = || text.parse().ok().and_then(midnight);
    text.parse()
        .ok()
        .or_else(day)
        .ok_or_else(|| (name, format!("{name} must be an instant such as 2026-11-25T08:00:00Z or a day.")))
}

/// The answer in JSON: rows with their keys and figures, and totals.
#[derive(Clone, Copy, Debug)]
pub struct Printed<'a> {
    pub group_by: &'a [UsageKey],
    pub report: &'a UsageReport,
}

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = |row: &'_ gallerist_store::UsageRow| -> serde_json::Map<String, serde_json::Value> {
            let keys = self.group_by.iter().zip(&row.keys);
            let mut members: serde_json::Map<_, _> =
                keys.map(|(key, text)| (key.word(), text.as_str().into())).collect();
            members.extend(figures(&row.figures).map(|(name, figure)| (name.to_owned(), figure.json())));
            members
        };
        let rows: Vec<_> = self.report.rows.iter().map(row).collect();
        let totals: serde_json::Map<_, _> =
            figures(&self.report.totals).map(|(name, figure)| (name.to_owned(), figure.json())).collect();
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("rows", &rows)?;
        map.serialize_entry("totals", &totals)?;
        map.end()
    }
}

impl Printed<'_> {
    /// The rows as CSV (RFC 4180) with a line of names, ready for a spreadsheet: no text of a client is read
    /// as a formula there. What is not known is empty. Totals are not in it: a sheet adds up by itself.
    pub fn csv(&self) -> Vec<u8> {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let names = self.group_by.iter().map(|key| plain(&key.word()));
        let figure_names = figures(&UsageFigures::default()).map(|(name, _)| name.to_owned());
        // Writing to memory does not fail, and every record is as long as the first.
        let fine = "memory takes every record";
        writer.write_record(names.chain(figure_names)).expect(fine);
        for row in &self.report.rows {
            let keys = row.keys.iter().map(|text| plain(text));
            let figures = figures(&row.figures).map(|(_, figure)| figure.text());
            writer.write_record(keys.chain(figures)).expect(fine);
        }
        writer.into_inner().expect(fine)
    }
}

/// A text that no spreadsheet takes for a formula: one that begins like one gets an apostrophe in front.
fn plain(text: &str) -> String {
    let looks = text.trim_start_matches([' ', '\u{feff}', '\u{a0}']).starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '|', '%', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
    ]);
    if looks { format!("'{text}") } else { text.to_owned() }
}

#[derive(Clone, Copy)]
enum Figure {
    Count(u64),
    Money(Ticks),
    Unknown,
}

impl From<Option<Ticks>> for Figure {
    fn from(amount: Option<Ticks>) -> Figure {
        amount.map_or(Figure::Unknown, Figure::Money)
    }
}

impl Figure {
    fn json(self) -> serde_json::Value {
        match self {
            Figure::Count(count) => count.into(),
            Figure::Money(amount) => amount.to_string().into(),
            Figure::Unknown => serde_json::Value::Null,
        }
    }

    fn text(self) -> String {
        match self {
            Figure::Count(count) => count.to_string(),
            Figure::Money(amount) => amount.to_string(),
            Figure::Unknown => String::new(),
        }
    }
}

/// Every figure with its name. Nothing is bought from a cache yet and no edit is made smaller, so what those
/// would have saved is not known.
fn figures(of: &UsageFigures) -> impl Iterator<Item = (&'static str, Figure)> + use<> {
    let basis = of.basis;
    [
        ("requests", Figure::Count(of.requests)),
        ("images", Figure::Count(of.images)),
        ("attempts", Figure::Count(of.attempts)),
        ("list_usd", of.list.into()),
        ("charged_usd", Figure::Money(of.charged)),
        ("wasted_usd", Figure::Money(of.wasted)),
        ("disputed_usd", Figure::Money(of.disputed)),
        ("saved_usd", of.saved.into()),
        ("saved_cheaper_offer_usd", of.saved_offer.into()),
        ("saved_tier_usd", of.saved_tier.into()),
        ("saved_cache_usd", Figure::Unknown),
        ("saved_smaller_edit_usd", Figure::Unknown),
        ("cost_per_image_usd", of.per_image().into()),
        ("basis_provider_reported_usd", Figure::Money(basis.provider_reported)),
        ("basis_usage_usd", Figure::Money(basis.usage)),
        ("basis_computed_usd", Figure::Money(basis.computed)),
        ("basis_estimated_usd", Figure::Money(basis.estimated)),
        ("basis_resolved_usd", Figure::Money(basis.resolved)),
        ("doubtful_usd", Figure::Money(of.doubtful)),
        ("list_doubtful_usd", Figure::Money(of.list_doubtful)),
        ("credits_covered_usd", Figure::Money(of.covered)),
        ("credits_cost_usd", Figure::Money(of.consumed)),
        ("expired_usd", Figure::Money(of.expired)),
    ]
    .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gallerist_store::UsageRow;

    fn said<'a>(given: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<&'a str> {
        move |name| given.iter().find(|(one, _)| *one == name).map(|(_, text)| *text)
    }

    #[test]
    fn a_day_is_both_bounds_and_a_tag_is_cut_at_its_first_sign() {
        let query = query(said(&[("day", "2026-11-25"), ("tag", "team=a=b"), ("group_by", "tag:team, day")]));
        let query = query.unwrap();
        assert_eq!(query.from, "2026-11-25T00:00:00Z".parse().ok());
        assert_eq!(query.to, "2026-11-26T00:00:00Z".parse().ok());
        assert_eq!(query.tag, Some(("team".to_owned(), "a=b".to_owned())));
        assert_eq!(query.group_by, [UsageKey::TagNamed("team".to_owned()), UsageKey::Day]);
    }

    #[test]
    fn each_mistake_names_its_parameter() {
        for (name, text) in [
            ("group_by", "colour"),
            ("group_by", "day,day"),
            ("group_by", "tag:"),
            ("from", "yesterday"),
            ("tag", "team"),
            ("tag", "=x"),
            ("day", "2026-13-01"),
            ("operation", "paint"),
            ("project", "not a name"),
        ] {
            assert_eq!(query(said(&[(name, text)])).unwrap_err().0, name, "{text}");
        }
        let both = [("day", "2026-11-25"), ("from", "2026-11-25")];
        assert_eq!(query(said(&both)).unwrap_err().0, "day");
    }

    #[test]
    fn no_text_of_a_client_is_a_formula_in_the_csv() {
        let hostile = ["=HYPERLINK(\"http://x\")", "+1", "-2+3", "@SUM(A1)", "\t=1", " =1", "a,\"b\"\n=c"];
        let rows = hostile.map(|text| UsageRow {
            keys: vec![text.to_owned()],
            figures: UsageFigures { saved: Some(Ticks::new(-5)), ..UsageFigures::default() },
        });
        let report = UsageReport { rows: rows.to_vec(), totals: UsageFigures::default() };
        let group_by = [UsageKey::User];
        let csv = Printed { group_by: &group_by, report: &report }.csv();
        let mut reader = csv::Reader::from_reader(&csv[..]);
        let saved = reader.headers().unwrap().iter().position(|name| name == "saved_usd").unwrap();
        for (record, text) in reader.records().zip(hostile) {
            let record = record.unwrap();
            let expected = if text.starts_with('a') { text.to_owned() } else { format!("'{text}") };
            assert_eq!(record[0], expected);
            assert_eq!(&record[saved], "-0.0000000005", "a figure stays a figure");
            assert_eq!(&record[4], "", "what is not known is empty");
        }
    }
}
