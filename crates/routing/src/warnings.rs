//! What a buyer should know of what is bought: the one list that quotes and answers carry.

use crate::names::Named;
use crate::plan::PlannedOffer;
use gallerist_pricing::catalogue::Lifecycle;
use gallerist_pricing::sheet::{Confidence, PriceLine, is_doubtful};
use gallerist_pricing::trust::Part;
use gallerist_pricing::{Weakest, quote};
use jiff::Timestamp;
use jiff::civil::Date;

/// Days before a retirement from which on it is warned of.
const RETIRES_WITHIN_DAYS: i32 = 90;

/// The warnings of a planned offer, the gravest first: another model than was named, a model that ends, a
/// feed that fell silent, a price that is not certain.
pub fn of(named: &Named<'_>, planned: &PlannedOffer<'_>, at: Timestamp) -> Vec<String> {
    let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let mut warnings: Vec<String> = migration(named).into_iter().collect();
    if let Some(sent_on) = planned.sent_on {
        let (from, redirect) = (sent_on.named, sent_on.redirect);
        let label = redirect.quality.as_ref().map(|label| format!(" at quality {label}")).unwrap_or_default();
        let (provider, since) =
            (&planned.offer.id.provider, redirect.since.to_zoned(jiff::tz::TimeZone::UTC));
        warnings.push(format!(
            "{provider} has served {}{label} for {} since {}; name {0} instead",
            planned.offer.model.id,
            from.model.id,
            since.date(),
        ));
    }
    warnings.extend(ending(&planned.offer.model.id, &planned.offer.model.lifecycle, today));
    if let Ok(priced) = quote(&planned.offer.model.sheet, &planned.resolved.facts, at) {
        let silent = |id: &str| planned.offer.model.sheet.stale.iter().find(|(line, _)| line == id);
        warnings.extend(
            priced.lines.iter().filter_map(|quoted| silent(&quoted.line.id)).map(|(_, told)| told.clone()),
        );
        let (sheet, facts) = (&planned.offer.model.sheet, &planned.resolved.facts);
        let trusted =
            priced.lines.iter().map(|quoted| (quoted.line, Weakest::of_price(sheet, quoted.line, facts, at)));
        warnings.extend(doubts(trusted, today));
    }
    warnings
}

/// That a name is gone and the settings lead elsewhere.
pub fn migration(named: &Named<'_>) -> Option<String> {
    let (requested, target) = (named.requested, named.target);
    named.migrated.then(|| format!("{requested} is gone; the settings migrate it to {target}"))
}

/// That a model will end, or is not developed any more.
fn ending(model: &str, lifecycle: &Lifecycle, today: Date) -> Option<String> {
    let instead = match lifecycle.successors.as_slice() {
        [] => String::new(),
        successors => format!("; use {}", successors.join(" or ")),
    };
    match lifecycle.retires_on {
        Some(day) => {
            let days = today.until(day).map_or(i32::MAX, |span| span.get_days());
            (days <= RETIRES_WITHIN_DAYS).then(|| format!("{model} retires on {day}{instead}"))
        }
        None => {
            let is_deprecated =
                lifecycle.deprecated && lifecycle.deprecated_on.is_none_or(|day| day <= today);
            is_deprecated.then(|| format!("{model} is deprecated{instead}"))
        }
    }
}

/// Which prices are not the vendor's own word, or old ones; lines that share a doubt are told together. How sure an
/// estimated quantity is stands beside its line: what is paid follows what was used.
fn doubts<'a>(lines: impl Iterator<Item = (&'a PriceLine, Weakest<'a>)>, today: Date) -> Vec<String> {
    let mut shared: Vec<(String, Vec<&str>)> = Vec::new();
    for (line, weakest) in lines {
        let Some(doubt) = doubt(weakest, today) else { continue };
        match shared.iter_mut().find(|(known, _)| *known == doubt) {
            Some((_, ids)) => ids.push(&line.id),
            None => shared.push((doubt, vec![&line.id])),
        }
    }
    let told = |(doubt, ids): &(String, Vec<&str>)| {
        let noun = if ids.len() == 1 { "price line" } else { "price lines" };
        format!("{noun} {}: {doubt}", ids.join(", "))
    };
    shared.iter().map(told).collect()
}

fn doubt(weakest: Weakest<'_>, today: Date) -> Option<String> {
    let source = weakest.source;
    if !is_doubtful(source.confidence, source.date, today) {
        return None;
    }
    let part = match weakest.part {
        Part::Price => String::new(),
        part => format!("{part} is "),
    };
    match source.confidence {
        Confidence::Official => Some(format!("{part}last read on {}", source.date)),
        word => Some(format!("{part}{}, as of {}", word.as_str().replace('_', " "), source.date)),
    }
}
