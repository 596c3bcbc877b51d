//! What retires soon among the models that are in use, what takes its place, and what that costs.
//!
//! In use is what was paid in the last 30 days; without books it is every model of the configured providers.
//! The difference is that of one default picture, and of the pictures that were made.

use super::default_picture;
use crate::books::Books;
use crate::config::{Config, Place};
use crate::output;
use crate::table::Table;
use gallerist_domain::Ticks;
use gallerist_pricing::Offer;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// Days ahead that are looked at.
const AHEAD_DAYS: i64 = 180;
/// Days of use that the difference is reckoned on.
const USE_DAYS: i64 = 30;

/// One offer that will be gone.
#[derive(Debug, Serialize)]
pub struct Retirement {
    offer: String,
    retires_on: Option<jiff::civil::Date>,
    deprecated_on: Option<jiff::civil::Date>,
    successor: Option<String>,
    expected_usd: Option<Ticks>,
    successor_expected_usd: Option<Ticks>,
    /// Pictures of the last 30 days; absent without books.
    images: Option<i64>,
    /// What the successor would have cost more for them; negative for less.
    difference_usd: Option<Ticks>,
}

/// Everything of the configured providers that retires soon or is deprecated; of what was used, if that is known.
pub fn retirements(config: &Config, place: &Place, now: Timestamp) -> Vec<Retirement> {
    let used = images_by_offer(place, now);
    let horizon = now.checked_add(SignedDuration::from_hours(24 * AHEAD_DAYS)).unwrap_or(now);
    let until = horizon.to_zoned(jiff::tz::TimeZone::UTC).date();
    let offers = config.offers();
    let ends = |offer: &&Offer| {
        let life = &offer.model.lifecycle;
        let soon = life.retires_on.is_some_and(|day| day <= until) || life.deprecated_on.is_some();
        soon && !offer.is_retired(now)
    };
    let in_use = |offer: &&Offer| used.as_ref().is_none_or(|used| used.contains_key(&offer.id.to_string()));
    offers
        .iter()
        .filter(ends)
        .filter(in_use)
        .map(|offer| retirement(offer, &offers, used.as_ref(), now))
        .collect()
}

fn retirement(
    offer: &Offer,
    offers: &[Offer],
    used: Option<&BTreeMap<String, i64>>,
    now: Timestamp,
) -> Retirement {
    let life = &offer.model.lifecycle;
    let successor = life.successors.iter().find_map(|name| {
        let same_host = |other: &&Offer| other.id.provider == offer.id.provider && other.model.is_named(name);
        offers.iter().find(same_host)
    });
    let expected = |offer: &Offer| default_picture(offer, now).map(|quote| quote.expected_usd);
    let (before, after) = (expected(offer), successor.and_then(expected));
    let images = used.map(|used| used.get(&offer.id.to_string()).copied().unwrap_or(0));
    let difference = || (after? - before?).checked_mul(images?);
    Retirement {
        offer: offer.id.to_string(),
        retires_on: life.retires_on,
        deprecated_on: life.deprecated_on,
        successor: successor.map(|offer| offer.id.to_string()).or_else(|| life.successors.first().cloned()),
        expected_usd: before,
        successor_expected_usd: after,
        images,
        difference_usd: difference(),
    }
}

/// Pictures of the last 30 days by `provider/model`; `None` where there are no books to ask.
fn images_by_offer(place: &Place, now: Timestamp) -> Option<BTreeMap<String, i64>> {
    let books = Books::open(place, false).ok()?;
    let from = now.checked_sub(SignedDuration::from_hours(24 * USE_DAYS)).ok();
    let report = books.usage("provider,model", from, None, None).ok()?;
    let rows = report["rows"].as_array()?;
    let row = |row: &serde_json::Value| {
        let name = format!("{}/{}", row["provider"].as_str()?, row["model"].as_str()?);
        Some((name, row["images"].as_i64()?))
    };
    Some(rows.iter().filter_map(row).collect())
}

pub fn print(found: &[Retirement]) {
    if found.is_empty() {
        return;
    }
    let mut table = Table::new()
        .text("retires")
        .text("offer")
        .text("successor")
        .figure("picture")
        .figure("then")
        .optional("pictures in 30 days")
        .optional("difference");
    for one in found {
        let dollars = |amount: Option<Ticks>| amount.map_or_else(String::new, output::dollars);
        table.row([
            one.retires_on.map_or_else(|| "deprecated".to_owned(), |day| day.to_string()),
            one.offer.clone(),
            one.successor.clone().unwrap_or_default(),
            dollars(one.expected_usd),
            dollars(one.successor_expected_usd),
            one.images.map(|images| images.to_string()).unwrap_or_default(),
            dollars(one.difference_usd),
        ]);
    }
    output::line("\nEnding among what is configured and in use:");
    output::line(table.render());
}
