//! Days of a catalogue that have not come yet: nobody can have read a price then, so they are slips of whoever wrote the
//! file, and would hide that the price is old.

use gallerist_pricing::sheet::{PriceSheet, Source};
use gallerist_pricing::{Catalogue, ProviderSheet};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeSet;

/// A sentence for each day that is ahead. Tomorrow is somebody's today.
pub fn remarks(catalogue: &Catalogue, now: Timestamp) -> Vec<String> {
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let latest = today.saturating_add(1.day());
    catalogue.providers.iter().flat_map(|sheet| of_provider(sheet, latest)).collect()
}

fn of_provider(sheet: &ProviderSheet, latest: Date) -> Vec<String> {
    let kind = &sheet.kind;
    let mut found = Vec::new();
    if sheet.as_of > latest {
        found.push(format!("{kind}: as_of = {} is a day that has not come yet", sheet.as_of));
    }
    let currencies = sheet.currencies.iter().map(|currency| &*currency.source);
    let models =
        sheet.models.iter().flat_map(|model| std::iter::once(&*model.source).chain(of_prices(&model.sheet)));
    let ahead: BTreeSet<(Date, &str)> = currencies
        .chain(models)
        .filter(|source| source.date > latest)
        .map(|source| (source.date, source.what.as_str()))
        .collect();
    found.extend(
        ahead.iter().map(|(date, what)| {
            format!("{kind}: the source {what:?} is dated {date}, which has not come yet")
        }),
    );
    found
}

/// Of the figures of a price sheet.
fn of_prices(sheet: &PriceSheet) -> Vec<&Source> {
    let lines = sheet.lines.iter().flat_map(|line| {
        std::iter::once(&line.source).chain(&line.rate).chain(&line.also).map(|source| &**source)
    });
    let estimates = sheet
        .estimates
        .iter()
        .flat_map(|estimate| std::iter::once(&estimate.source).chain(&estimate.also).map(|source| &**source));
    let factors = sheet.factors.iter().map(|factor| &*factor.source);
    lines.chain(estimates).chain(factors).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_that_has_not_come_is_told_once_a_source_and_the_built_in_files_have_none() {
        let catalogue = Catalogue::embedded();
        let day = |text: &str| -> Timestamp { text.parse().unwrap() };
        assert_eq!(remarks(&catalogue, day("2026-11-29T00:00:00Z")), Vec::<String>::new());
        let before = remarks(&catalogue, day("2020-01-01T00:00:00Z"));
        let of_bfl: Vec<_> = before.iter().filter(|told| told.starts_with("bfl: ")).collect();
        assert!(of_bfl.iter().any(|told| told.contains("as_of = 2026-")), "{of_bfl:?}");
        assert!(of_bfl.iter().any(|told| told.contains("the source \"list prices of fill")), "{of_bfl:?}");
        assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), before.len());
    }
}
