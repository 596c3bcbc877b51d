//! Whether an offer costs something else than when it was last looked at, whoever changed it: the catalogue, a
//! feed, or the day on which a new price begins.

use crate::Offer;
use crate::changes::{moved, percent};
use crate::quote::display_quantity;
use crate::sheet::{PriceLine, is_doubtful};
use crate::trust::Weakest;
use gallerist_domain::alert::PriceMove;
use gallerist_domain::{Price, Ticks};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Smaller moves are kept for later, so that they are told when they have added up: 1 %.
const TOLD_FROM_BASIS_POINTS: i64 = 100;
/// From here on a rise is a spike: 25 %.
pub const SPIKE_FROM_BASIS_POINTS: i64 = 2_500;

/// A price line as it was last told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPrice {
    pub line: String,
    /// Dollars for `per` base units.
    pub usd: Ticks,
    pub per: i64,
}

impl KnownPrice {
    fn price(&self) -> Price {
        Price { amount: self.usd, per: self.per }
    }
}

/// What changed, and what to remember.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Each with whether it is a spike.
    pub moves: Vec<(PriceMove, bool)>,
    pub remembered: Vec<KnownPrice>,
}

/// The lines that hold at this instant.
pub fn known_prices(offer: &Offer, at: Timestamp) -> Vec<KnownPrice> {
    let lines = offer.model.sheet.lines.iter().filter(|line| line.period.contains(at));
    lines
        .map(|line| KnownPrice {
            line: line.id.clone(),
            usd: line.price_expected.amount,
            per: line.price_expected.per,
        })
        .collect()
}

/// Compares the lines of an offer with what was known of it. A line that is new, or gone, has no price to
/// compare it with.
pub fn compare(offer: &Offer, known: &[KnownPrice], at: Timestamp) -> Compared {
    let mut compared = Compared { moves: Vec::new(), remembered: Vec::new() };
    for now in known_prices(offer, at) {
        let before = known.iter().find(|before| before.line == now.line).filter(|before| **before != now);
        let Some(before) = before else {
            compared.remembered.push(now);
            continue;
        };
        let basis_points = moved(before.price(), now.price());
        // From nothing to something is beyond every percentage.
        let basis_points = basis_points.unwrap_or(if now.usd.is_zero() { 0 } else { i64::MAX });
        if basis_points.abs() < TOLD_FROM_BASIS_POINTS {
            compared.remembered.push(before.clone());
            continue;
        }
        compared
            .moves
            .push((told(offer, (before, &now), basis_points, at), basis_points >= SPIKE_FROM_BASIS_POINTS));
        compared.remembered.push(now);
    }
    compared
}

fn told(
    offer: &Offer,
    (before, now): (&KnownPrice, &KnownPrice),
    basis_points: i64,
    at: Timestamp,
) -> PriceMove {
    let is_it = |line: &&PriceLine| line.id == now.line && line.period.contains(at);
    let line = offer.model.sheet.lines.iter().find(is_it);
    let trust = line.map(Weakest::of_line).map(|weakest| (weakest.source.confidence, weakest.oldest));
    // Beyond what an amount can hold: the old one rounded, per as many units as the new price is.
    let rounded = || (before.usd.scaled(now.per, before.per).unwrap_or(before.usd), now.usd, now.per);
    let (old, new, per) = before.price().beside(now.price()).unwrap_or_else(rounded);
    PriceMove {
        offer: offer.id.to_string(),
        line: now.line.clone(),
        old,
        new,
        per: line.map_or_else(|| per.to_string(), |line| display_quantity(line.meter, per)),
        meter: line.map(|line| line.meter.name()),
        percent: (basis_points != i64::MAX).then(|| percent(basis_points)),
        confidence: trust.map(|(confidence, _)| confidence.as_str().to_owned()),
        as_of: trust.map(|(_, read)| read),
        doubtful: trust.is_some_and(|(confidence, read)| is_doubtful(confidence, read, day(at))),
    }
}

fn day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Catalogue, ConfiguredProvider, served_offers};
    use jiff::SignedDuration;

    fn at() -> Timestamp {
        "2026-11-28T12:00:00Z".parse().unwrap()
    }

    fn an_offer() -> Offer {
        let offers =
            served_offers(&Catalogue::embedded(), &[ConfiguredProvider::new("stability", "stability")]);
        let several = offers.into_iter().find(|offer| !known_prices(offer, at()).is_empty());
        several.expect("something at Stability has a price")
    }

    fn line_of<'o>(offer: &'o Offer, id: &str) -> &'o PriceLine {
        let mut lines = offer.model.sheet.lines.iter();
        lines.find(|line| line.id == id && line.period.contains(at())).unwrap()
    }

    fn times(known: &[KnownPrice], numerator: i64, denominator: i64) -> Vec<KnownPrice> {
        let scaled = |known: &KnownPrice| KnownPrice {
            usd: known.usd.scaled(numerator, denominator).unwrap(),
            ..known.clone()
        };
        known.iter().map(scaled).collect()
    }

    #[test]
    fn what_stays_is_not_told_and_what_moves_is_told_once() {
        let offer = an_offer();
        let now = known_prices(&offer, at());
        let same = compare(&offer, &now, at());
        assert_eq!((same.moves, &same.remembered), (vec![], &now));

        // It was two thirds of what it is.
        let dearer = compare(&offer, &times(&now, 2, 3), at());
        assert_eq!(dearer.moves.len(), now.len());
        assert!(
            dearer.moves.iter().all(|(told, spike)| *spike
                && told.percent.as_ref().is_some_and(|percent| percent.starts_with("+50"))),
            "{dearer:?}"
        );
        assert_eq!(dearer.moves[0].0.new, now[0].usd);
        for (told, _) in &dearer.moves {
            let source = &line_of(&offer, &told.line).source;
            assert_eq!(told.confidence.as_deref(), Some(source.confidence.as_str()));
            assert_eq!(told.as_of, Some(source.date));
            assert_eq!(told.doubtful, is_doubtful(source.confidence, source.date, day(at())));
        }
        let years_later = at() + SignedDuration::from_hours(24 * 700);
        let stale = compare(&offer, &times(&now, 2, 3), years_later);
        assert!(stale.moves.iter().all(|(told, _)| told.doubtful), "what was read long before is");
        assert_eq!(compare(&offer, &dearer.remembered, at()).moves, []);

        let cheaper = compare(&offer, &times(&now, 2, 1), at());
        assert!(
            cheaper.moves.iter().all(|(told, spike)| !spike && told.percent.as_deref() == Some("-50.00")),
            "{cheaper:?}"
        );
    }

    #[test]
    fn both_prices_are_told_exactly_for_the_same_number_of_units() {
        let offer = an_offer();
        let mut known = known_prices(&offer, at());
        // A tick for a thousand: for one it would be nothing.
        let now = known[0].clone();
        known[0] = KnownPrice { usd: Ticks::new(1), per: now.per * 1_000, ..now.clone() };
        let compared = compare(&offer, &known, at());
        let told = &compared.moves[0].0;
        assert_eq!((told.old, told.new), (Ticks::new(1), now.usd.checked_mul(1_000).unwrap()));
        assert_eq!(told.meter, Some(line_of(&offer, &told.line).meter.name()));
        assert_eq!(told.per, display_quantity(line_of(&offer, &told.line).meter, now.per * 1_000));
    }

    #[test]
    fn small_moves_add_up_until_they_are_told() {
        let offer = an_offer();
        let now = known_prices(&offer, at());
        let slightly = times(&now, 995, 1_000);
        let kept = compare(&offer, &slightly, at());
        assert_eq!((kept.moves, kept.remembered), (vec![], slightly));
        assert_eq!(compare(&offer, &times(&now, 98, 100), at()).moves.len(), now.len());
    }

    #[test]
    fn the_same_price_for_another_quantity_is_no_move_and_what_was_free_is_a_spike() {
        let offer = an_offer();
        let now = known_prices(&offer, at());
        let thousand: Vec<_> = now
            .iter()
            .map(|known| KnownPrice {
                usd: known.usd.checked_mul(1_000).unwrap(),
                per: known.per * 1_000,
                ..known.clone()
            })
            .collect();
        assert_eq!(compare(&offer, &thousand, at()).moves, []);
        let free = compare(&offer, &times(&now, 0, 1), at());
        assert!(free.moves.iter().all(|(told, spike)| *spike && told.percent.is_none()), "{free:?}");
        assert_eq!(compare(&offer, &[], at()).moves, []);
    }
}
