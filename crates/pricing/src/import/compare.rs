//! A foreign list against our catalogue: same, cheaper, dearer, unknown here, only here; and mistaken units.
//!
//! Which of our prices a row is held against is [`super::known`]'s. A figure that is about 100, 1,000 or 10^6 times
//! what is known is taken for cents, thousands or millions and held, and so is anything else ten times off: nothing
//! that is held is ever written.

pub(crate) use super::known::line_of;
use super::known::{Known, trust, worth};
use super::{Entry, Row, Verdict};
use crate::catalogue::{Catalogue, ModelSheet};
use crate::changes::{moved, percent};
use gallerist_domain::{Meter, Price, Ticks};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeSet;

/// How a price of the list stands to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Not believed: mistaken units, or far from what is known.
    Held,
    Dearer,
    Cheaper,
    /// Within what our sources leave open: no news.
    Within,
    Same,
    /// We know the model, and cannot say what ours costs there.
    NotComparable,
    /// A model that our catalogue does not have.
    OnlyThere,
    /// A model of ours that the list does not have, at a provider that it has.
    OnlyHere,
    /// The entry has no price; the reason says why.
    Unpriced,
}

impl Standing {
    pub const ALL: [Standing; 9] = [
        Standing::Held,
        Standing::Dearer,
        Standing::Cheaper,
        Standing::Within,
        Standing::Same,
        Standing::NotComparable,
        Standing::OnlyThere,
        Standing::OnlyHere,
        Standing::Unpriced,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Standing::Held => "held",
            Standing::Dearer => "dearer",
            Standing::Cheaper => "cheaper",
            Standing::Within => "within",
            Standing::Same => "same",
            Standing::NotComparable => "not comparable",
            Standing::OnlyThere => "only there",
            Standing::OnlyHere => "only here",
            Standing::Unpriced => "unpriced",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub standing: Standing,
    /// The entry as the list names it; `kind/model` of ours where only we have it.
    pub entry: String,
    /// Ours, as `kind/model`.
    pub offer: Option<String>,
    /// The list's field and what it is keyed by.
    pub what: String,
    pub meter: Option<Meter>,
    pub list_usd: Option<Ticks>,
    /// Base units of the meter that `list_usd` buys; `ours_per` is the same where there is one.
    pub list_per: Option<i64>,
    pub ours_usd: Option<Ticks>,
    pub ours_per: Option<i64>,
    /// Of ours, signed: `+14.33`.
    pub percent: Option<String>,
    /// The worst confidence among our lines behind the figure.
    pub ours_confidence: Option<&'static str>,
    /// The worst behind the picture that our model makes where nothing is asked for: whether the model as a whole
    /// is priced from official sources.
    pub offer_confidence: Option<&'static str>,
    pub why: Option<String>,
}

/// Compares every row at `at`, and adds what only we have at the providers of the list.
pub fn compare(entries: &[Entry], catalogue: &Catalogue, at: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    for entry in entries {
        let ours = ours(entry, catalogue);
        if let Some(model) = ours {
            seen.insert((kind(entry).to_owned(), model.id.clone()));
        }
        match &entry.verdict {
            Verdict::Unpriced(reason) => {
                let blank = Finding::blank(Standing::Unpriced, entry, ours, at);
                findings.push(Finding { why: Some(reason.to_string()), ..blank });
            }
            Verdict::Priced(rows) => {
                findings.extend(rows.iter().map(|row| finding(entry, row, ours, catalogue, at)));
            }
        }
    }
    let kinds: BTreeSet<&str> = entries.iter().map(kind).collect();
    for provider in catalogue.providers.iter().filter(|provider| kinds.contains(provider.kind.as_str())) {
        let priced = provider.models.iter().filter(|model| model.sheet.unknown.is_none());
        let missing = priced.filter(|model| !seen.contains(&(provider.kind.clone(), model.id.clone())));
        findings.extend(missing.map(|model| Finding::only_here(&provider.kind, model)));
    }
    findings
}

/// Our kind of an entry's provider, which may bear our name for it.
fn kind(entry: &Entry) -> &str {
    entry.kind.as_deref().unwrap_or(&entry.provider)
}

/// The model of ours that an entry speaks of, where we have a price of it to hold against the list's.
pub fn ours<'c>(entry: &Entry, catalogue: &'c Catalogue) -> Option<&'c ModelSheet> {
    let provider = catalogue.provider(kind(entry))?;
    let named = |model: &ModelSheet| {
        model.upstream == entry.model
            || model.is_named(&entry.model)
            || model.versions.iter().any(|(_, upstream)| *upstream == entry.model)
    };
    let mut priced = provider.models.iter().filter(|model| model.sheet.unknown.is_none());
    priced.find(|model| named(model)).map(|model| &**model)
}

/// The same model at whichever provider: good enough to tell cents from dollars, not to compare.
fn elsewhere<'c>(entry: &Entry, catalogue: &'c Catalogue) -> impl Iterator<Item = &'c ModelSheet> {
    let name = entry.model.rsplit('/').next().unwrap_or(&entry.model).to_owned();
    let models = catalogue.providers.iter().flat_map(|provider| &provider.models);
    models.filter(move |model| model.is_named(&name) || model.upstream == name).map(|model| &**model)
}

fn finding(
    entry: &Entry,
    row: &Row,
    ours: Option<&ModelSheet>,
    catalogue: &Catalogue,
    at: Timestamp,
) -> Finding {
    let blank = Finding::of_row(entry, row, ours, at);
    let Some(model) = ours else {
        let blank = Finding { standing: Standing::OnlyThere, ..blank };
        let known: Vec<Known> =
            elsewhere(entry, catalogue).filter_map(|model| Known::of(model, row, at).ok()).collect();
        // One host may sell at another price; a wrong unit is wrong against all of them.
        return match known.first() {
            Some(first) if known.iter().all(|known| suspicion(known.list, known.ours).is_some()) => {
                blank.held(first)
            }
            _ => blank,
        };
    };
    let known = match Known::of(model, row, at) {
        Ok(known) => known,
        Err(why) => return Finding { why: Some(why), ..blank },
    };
    let moved = moved(known.ours, known.list);
    let finding = Finding {
        list_usd: Some(known.list.amount),
        list_per: Some(known.list.per),
        ours_usd: Some(known.ours.amount),
        ours_per: Some(known.ours.per),
        percent: moved.map(percent),
        ours_confidence: Some(known.confidence.as_str()),
        ..blank
    };
    if suspicion(known.list, known.ours).is_some() {
        return finding.held(&known);
    }
    let open = known.left_open();
    let standing = match moved {
        _ if known.agrees() => Standing::Same,
        _ if open.is_some() => Standing::Within,
        Some(..0) => Standing::Cheaper,
        Some(0) if worth(known.list, known.ours) < worth(known.ours, known.list) => Standing::Cheaper,
        Some(_) => Standing::Dearer,
        None => Standing::NotComparable,
    };
    let open = open.filter(|_| standing == Standing::Within);
    let why: Vec<String> = known.apart.into_iter().chain(open).collect();
    Finding { standing, why: (!why.is_empty()).then(|| why.join("; ")), ..finding }
}

impl Finding {
    fn blank(standing: Standing, entry: &Entry, ours: Option<&ModelSheet>, at: Timestamp) -> Finding {
        let kind = kind(entry);
        let offer = ours.map(|model| format!("{kind}/{}", model.id));
        let offer_confidence = ours.and_then(|model| trust(model, at)).map(|trust| trust.as_str());
        Finding { offer_confidence, ..Finding::about(standing, entry.id.clone(), offer) }
    }

    /// A finding without any figures.
    fn about(standing: Standing, entry: String, offer: Option<String>) -> Finding {
        Finding {
            standing,
            entry,
            offer,
            what: String::new(),
            meter: None,
            list_usd: None,
            list_per: None,
            ours_usd: None,
            ours_per: None,
            percent: None,
            ours_confidence: None,
            offer_confidence: None,
            why: None,
        }
    }

    fn of_row(entry: &Entry, row: &Row, ours: Option<&ModelSheet>, at: Timestamp) -> Finding {
        Finding {
            what: format!("{} {}", row.field, row.key).trim_end().to_owned(),
            meter: Some(row.meter),
            list_usd: Some(row.price.amount),
            list_per: Some(row.price.per),
            ..Finding::blank(Standing::NotComparable, entry, ours, at)
        }
    }

    fn only_here(kind: &str, model: &ModelSheet) -> Finding {
        let offer = format!("{kind}/{}", model.id);
        Finding::about(Standing::OnlyHere, offer.clone(), Some(offer))
    }

    fn held(self, known: &Known) -> Finding {
        let why = suspicion(known.list, known.ours);
        Finding { standing: Standing::Held, why, ..self }
    }
}

/// Why a figure is not believed beside what is known: the unit that explains it, or its distance alone.
pub(crate) fn suspicion(list: Price, ours: Price) -> Option<String> {
    let (list, ours) = (worth(list, ours), worth(ours, list));
    let (large, small, way) = if list > ours { (list, ours, "above") } else { (ours, list, "below") };
    if small <= 0 {
        return (large > 0).then(|| "one is zero and the other is not".to_owned());
    }
    let about = |times: i128| large * 10 >= small * times * 7 && large * 10 <= small * times * 14;
    let unit = match () {
        () if about(100) => "about 100 times: cents against dollars?",
        () if about(1_000) => "about 1,000 times: a price per thousand?",
        () if about(1_000_000) => "about 1,000,000 times: a price per million?",
        () if large > small * 10 => "more than ten times off",
        () => return None,
    };
    Some(format!("{way} what is known, {unit}"))
}
