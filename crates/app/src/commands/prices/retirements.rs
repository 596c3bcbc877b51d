//! What retires soon among the models that are in use, what takes its place, and what that costs.
//!
//! In use is what was paid in the last 30 days; without books it is every model of the configured providers.
//! The difference is that of one default picture, and that of the user's own requests: each of the newest ones
//! is priced again, as it was asked, at the old offer and at its successor.

use super::super::quote;
use super::default_picture;
use crate::ask;
use crate::books::{Books, RequestQuestion};
use crate::config::{Config, Place, everything};
use crate::doubt;
use crate::output;
use crate::table::Table;
use gallerist_domain::{Grants, ImageRequest, Ticks};
use gallerist_pricing::sheet::{Confidence, is_doubtful};
use gallerist_pricing::{Offer, served_offers};
use gallerist_routing::insight::NOTHING;
use gallerist_routing::plan::plan_named;
use gallerist_routing::{
    HealthBook, ModelName, NameBook, Named, PlanContext, Route, Target, list_price, target,
};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Days ahead that are looked at.
const AHEAD_DAYS: i64 = 180;
/// Days of use that count.
const USE_DAYS: i64 = 30;
/// Requests that are looked through for those of an ending model.
const REQUESTS_MAX: usize = 1_000;
/// Rows of a page of requests.
const PAGE_ROWS: u32 = 100;
/// Requests of one ending offer that are priced again.
const REQUOTED_MAX: usize = 50;

/// One offer that will be gone.
#[derive(Debug, Serialize)]
pub struct Retirement {
    offer: String,
    retires_on: Option<Date>,
    deprecated_on: Option<Date>,
    successor: Option<String>,
    /// Of one default picture.
    expected_usd: Option<Ticks>,
    #[serde(flatten)]
    trust: Trust,
    successor_expected_usd: Option<Ticks>,
    #[serde(flatten)]
    successor_trust: SuccessorTrust,
    /// Pictures of the last 30 days; absent without books.
    images: Option<i64>,
    /// The user's own newest requests of the last 30 days, priced again; absent where there are none.
    own: Option<Own>,
}

/// The user's own requests at both prices.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Own {
    /// Those that both can make as they were asked.
    requests: u32,
    /// Those that the successor cannot make so, or whose parameters are not known.
    not_comparable: u32,
    expected_usd: Ticks,
    #[serde(flatten)]
    trust: Trust,
    successor_expected_usd: Ticks,
    #[serde(flatten)]
    successor_trust: SuccessorTrust,
    /// What the successor costs more; negative for less.
    difference_usd: Ticks,
}

/// How sure the least sure of what a figure rests on is, and when that was read; nothing where there is no figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Trust {
    #[serde(serialize_with = "word")]
    confidence: Option<Confidence>,
    as_of: Option<Date>,
}

/// The same of the successor's figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct SuccessorTrust {
    #[serde(serialize_with = "word")]
    successor_confidence: Option<Confidence>,
    successor_as_of: Option<Date>,
}

fn word<S: Serializer>(
    confidence: &Option<Confidence>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    confidence.map(Confidence::as_str).serialize(serializer)
}

impl From<Trust> for SuccessorTrust {
    fn from(trust: Trust) -> SuccessorTrust {
        SuccessorTrust { successor_confidence: trust.confidence, successor_as_of: trust.as_of }
    }
}

impl From<SuccessorTrust> for Trust {
    fn from(trust: SuccessorTrust) -> Trust {
        Trust { confidence: trust.successor_confidence, as_of: trust.successor_as_of }
    }
}

impl Trust {
    fn of(trust: Option<(Confidence, Date)>) -> Trust {
        trust.map_or_else(Trust::default, |(confidence, as_of)| Trust {
            confidence: Some(confidence),
            as_of: Some(as_of),
        })
    }

    fn told(self) -> Option<(Confidence, Date)> {
        self.confidence.zip(self.as_of)
    }

    /// Of a sum with another figure: less sure is worse, then older.
    fn with(self, other: Trust) -> Trust {
        let worse = |trust: Trust| trust.told().map(|(confidence, as_of)| (confidence, Reverse(as_of)));
        if worse(other) > worse(self) { other } else { self }
    }

    fn is_doubtful(self, now: Timestamp) -> bool {
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        self.told().is_some_and(|(confidence, as_of)| is_doubtful(confidence, as_of, today))
    }
}

/// What the books tell of use.
#[derive(Default)]
struct Used {
    /// Pictures by `provider/model`.
    images: BTreeMap<String, i64>,
    /// What was asked, with the model's name as the client had it, by the offer that made it.
    asked: BTreeMap<String, Vec<(String, Value)>>,
}

/// Everything that retires soon or is deprecated: of what was used, if that is known, else of the configured providers.
pub fn retirements(config: &Config, place: &Place, now: Timestamp) -> Vec<Retirement> {
    let horizon = now.checked_add(SignedDuration::from_hours(24 * AHEAD_DAYS)).unwrap_or(now);
    let until = horizon.to_zoned(jiff::tz::TimeZone::UTC).date();
    let on = config.offers();
    // What the books tell of was ordered, also where the keys are not at hand.
    let offers = served_offers(&config.catalogue, &everything(&config.catalogue, &config.providers));
    let ends = |offer: &&Offer| {
        let life = &offer.model.lifecycle;
        let soon = life.retires_on.is_some_and(|day| day <= until) || life.deprecated;
        soon && !offer.is_retired(now)
    };
    let ending: Vec<&Offer> = offers.iter().filter(ends).collect();
    let used = if ending.is_empty() { None } else { used(place, &ending, now) };
    let in_use = |offer: &&&Offer| match &used {
        Some(used) => used.images.contains_key(&offer.id.to_string()),
        None => on.iter().any(|on| on.id == offer.id),
    };
    let one = |offer: &&Offer| retirement(offer, &offers, used.as_ref(), &config.names, now);
    ending.iter().filter(in_use).map(one).collect()
}

fn retirement(
    offer: &Offer,
    offers: &[Offer],
    used: Option<&Used>,
    names: &NameBook,
    now: Timestamp,
) -> Retirement {
    let life = &offer.model.lifecycle;
    let successor = life.successors.iter().find_map(|name| {
        let same_host = |other: &&Offer| other.id.provider == offer.id.provider && other.model.is_named(name);
        offers.iter().find(same_host)
    });
    let (expected_usd, trust) = picture(offer, now);
    let (successor_expected_usd, after) =
        successor.map_or_else(Default::default, |successor| picture(successor, now));
    let id = offer.id.to_string();
    let asked = used.and_then(|used| used.asked.get(&id));
    let own = asked.zip(successor).map(|(asked, successor)| own(asked, offer, successor, names, now));
    Retirement {
        retires_on: life.retires_on,
        deprecated_on: life.deprecated_on,
        successor: successor.map(|offer| offer.id.to_string()).or_else(|| life.successors.first().cloned()),
        expected_usd,
        trust,
        successor_expected_usd,
        successor_trust: after.into(),
        images: used.map(|used| used.images.get(&id).copied().unwrap_or(0)),
        own,
        offer: id,
    }
}

/// What a default picture is expected to cost, and what that rests on.
fn picture(offer: &Offer, now: Timestamp) -> (Option<Ticks>, Trust) {
    let Some(quote) = default_picture(offer, None, now) else { return Default::default() };
    let trust = quote::trust(&quote.lines).and_then(|trust| {
        let confidence = Confidence::from_word(trust.confidence)?;
        Some((confidence, trust.as_of.parse().ok()?))
    });
    (Some(quote.expected_usd), Trust::of(trust))
}

/// Prices what was asked at both offers.
fn own(asked: &[(String, Value)], old: &Offer, new: &Offer, names: &NameBook, now: Timestamp) -> Own {
    let mut own = Own::default();
    for (model, asked) in asked {
        match expected(model, asked, old, names, now).zip(expected(model, asked, new, names, now)) {
            Some(((before, trust), (after, successor_trust))) => {
                own.requests += 1;
                own.expected_usd += before;
                own.trust = own.trust.with(trust);
                own.successor_expected_usd += after;
                own.successor_trust = Trust::from(own.successor_trust).with(successor_trust).into();
                own.difference_usd += after - before;
            }
            None => own.not_comparable += 1,
        }
    }
    own
}

/// What the request would be expected to cost at one offer, and what that rests on; `None` where that cannot make it
/// so.
fn expected(
    model: &str,
    asked: &Value,
    offer: &Offer,
    names: &NameBook,
    now: Timestamp,
) -> Option<(Ticks, Trust)> {
    let request = request(asked)?;
    let offers = std::slice::from_ref(offer);
    // A route reads quality words as classes, and whom it chooses among is no matter here; a name would not speak
    // of the successor.
    let route = target(model, names, offers, now).ok().and_then(|named| named.target.route());
    let route = route.map(|route| Route { tier: route.tier, ..route.unrestricted() });
    let id = offer.id.to_string();
    let target = route.as_ref().map_or_else(|| Target::Model(ModelName::parse(&id)), Target::Route);
    let health = HealthBook::new(1);
    let context = PlanContext {
        offers,
        health: &health,
        insight: &NOTHING,
        names,
        grants: Grants::ALL,
        at: now,
        now_ms: 0,
        price_only: true,
    };
    let named = Named { requested: model, target, migrated: false };
    let plan = plan_named(&request, named, context).ok()?;
    let planned = plan.offers.first()?;
    let trust = list_price::of(planned, now).and_then(|list| list.trust);
    Some((planned.quote.expected, Trust::of(trust)))
}

/// The request as it was asked, with a prompt of the same length.
fn request(asked: &Value) -> Option<ImageRequest> {
    let mut body = asked.as_object()?.clone();
    let characters = body.remove("prompt_characters")?.as_u64()?;
    body.insert("prompt".to_owned(), "x".repeat(usize::try_from(characters).ok()?).into());
    ask::parse(Value::Object(body).to_string().as_bytes()).ok()
}

/// `None` where there are no books to ask.
fn used(place: &Place, ending: &[&Offer], now: Timestamp) -> Option<Used> {
    let books = Books::open(place, false).ok()?;
    let from = now.checked_sub(SignedDuration::from_hours(24 * USE_DAYS)).ok()?;
    let report =
        books.usage(&[("group_by", Some("provider,model")), ("from", Some(&from.to_string()))]).ok()?;
    let row = |row: &Value| {
        let name = format!("{}/{}", row["provider"].as_str()?, row["model"].as_str()?);
        Some((name, row["images"].as_i64()?))
    };
    let images: BTreeMap<String, i64> = report["rows"].as_array()?.iter().filter_map(row).collect();
    let wanted: Vec<String> =
        ending.iter().map(|offer| offer.id.to_string()).filter(|id| images.contains_key(id)).collect();
    let asked = if wanted.is_empty() { BTreeMap::new() } else { asked(&books, &wanted, from) };
    Some(Used { images, asked })
}

/// What the newest requests asked that one of these offers delivered.
fn asked(books: &Books, wanted: &[String], from: Timestamp) -> BTreeMap<String, Vec<(String, Value)>> {
    let mut found: BTreeMap<String, Vec<(String, Value)>> = BTreeMap::new();
    let (mut after, mut seen): (Option<String>, usize) = (None, 0);
    while seen < REQUESTS_MAX {
        let question =
            RequestQuestion { limit: PAGE_ROWS, after: after.as_deref(), ..RequestQuestion::default() };
        let Ok(page) = books.requests(question) else { break };
        let rows = page["data"].as_array().cloned().unwrap_or_default();
        let recent = |row: &&Value| {
            let created: Option<Timestamp> = row["created_at"].as_str().and_then(|text| text.parse().ok());
            created.is_some_and(|created| created >= from)
        };
        for row in rows.iter().filter(recent).filter(|row| row["images"].as_u64().is_some_and(|n| n > 0)) {
            let Some(request) = row["id"].as_str().and_then(|id| books.request(id).ok()) else { continue };
            let attempts = request["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
            let made = attempts.iter().find(|attempt| attempt["images"].as_u64().is_some_and(|n| n > 0));
            let offer = made.and_then(|attempt| attempt["offer"].as_str()).unwrap_or_default();
            let list = wanted.iter().find(|id| *id == offer).map(|id| found.entry(id.clone()).or_default());
            if let Some(list) = list.filter(|list| list.len() < REQUOTED_MAX) {
                let model = request["model"].as_str().unwrap_or_default().to_owned();
                list.push((model, request["asked"].clone()));
            }
        }
        seen += rows.len();
        let full = wanted.iter().all(|id| found.get(id).is_some_and(|list| list.len() >= REQUOTED_MAX));
        let older = rows.last().is_none_or(|row| !recent(&row));
        after = rows.last().and_then(|row| row["id"].as_str()).map(str::to_owned);
        if full || older || page["has_more"] != true {
            break;
        }
    }
    found
}

pub fn print(found: &[Retirement], now: Timestamp) {
    if !found.is_empty() {
        output::line(told(found, now));
    }
}

/// The table, with what is known: without books nobody knows what was used.
fn told(found: &[Retirement], now: Timestamp) -> String {
    let counted = found.iter().any(|one| one.images.is_some());
    let own_known = found.iter().any(|one| one.own.is_some());
    let mut table = Table::new()
        .text("retires")
        .text("offer")
        .text("successor")
        .figure("a picture now")
        .figure("at the successor");
    if counted {
        table = table.optional("pictures in 30 days");
    }
    if own_known {
        table = table
            .optional("own requests")
            .figure("they cost now")
            .figure("at the successor")
            .figure("difference");
    }
    let mut doubtful = false;
    let mut dollars = |amount: Option<Ticks>, trust: Trust| {
        let is_doubtful = amount.is_some() && trust.is_doubtful(now);
        doubtful |= is_doubtful;
        amount.map_or_else(String::new, |amount| doubt::marked(output::rounded(amount), is_doubtful))
    };
    for one in found {
        let mut cells = vec![
            one.retires_on.map_or_else(|| "deprecated".to_owned(), |day| day.to_string()),
            one.offer.clone(),
            one.successor.clone().unwrap_or_default(),
            dollars(one.expected_usd, one.trust),
            dollars(one.successor_expected_usd, one.successor_trust.into()),
        ];
        if counted {
            cells.push(one.images.map(|images| images.to_string()).unwrap_or_default());
        }
        if own_known {
            let own = one.own.as_ref();
            let requests = own.map(|own| match own.not_comparable {
                0 => own.requests.to_string(),
                out => format!("{} ({out} not comparable)", own.requests),
            });
            let (trust, after) =
                own.map_or_else(Default::default, |own| (own.trust, Trust::from(own.successor_trust)));
            cells.push(requests.unwrap_or_default());
            cells.push(dollars(own.map(|own| own.expected_usd), trust));
            cells.push(dollars(own.map(|own| own.successor_expected_usd), after));
            cells.push(dollars(own.map(|own| own.difference_usd), trust.with(after)));
        }
        table.row(cells);
    }
    let mut text = format!("\nEnding among what is configured and in use:\n{}", table.render());
    if own_known {
        text.push_str(&format!(
            "\nOwn requests are the newest {REQUOTED_MAX} of 30 days at each offer, priced again as they were asked."
        ));
    }
    if doubtful {
        text.push_str(&format!("\n{}; --json names them.", doubt::LEGEND));
    }
    text
}

#[cfg(test)]
mod tests;
