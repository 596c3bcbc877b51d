//! What retires soon among the models that are in use, what takes its place, and what that costs.
//!
//! In use is what was paid in the last 30 days; without books it is every model of the configured providers.
//! The difference is that of one default picture, and that of the user's own requests: each of the newest ones
//! is priced again, as it was asked, at the old offer and at its successor.

use super::default_picture;
use crate::ask;
use crate::books::{Books, RequestQuestion};
use crate::config::{Config, Place, everything};
use crate::output;
use crate::table::Table;
use gallerist_domain::{Grants, ImageRequest, Ticks};
use gallerist_pricing::{Offer, served_offers};
use gallerist_routing::insight::NOTHING;
use gallerist_routing::plan::plan_named;
use gallerist_routing::{HealthBook, ModelName, NameBook, Named, PlanContext, Route, Target, target};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
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
    retires_on: Option<jiff::civil::Date>,
    deprecated_on: Option<jiff::civil::Date>,
    successor: Option<String>,
    expected_usd: Option<Ticks>,
    successor_expected_usd: Option<Ticks>,
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
    successor_expected_usd: Ticks,
    /// What the successor costs more; negative for less.
    difference_usd: Ticks,
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
    let expected = |offer: &Offer| default_picture(offer, None, now).map(|quote| quote.expected_usd);
    let id = offer.id.to_string();
    let asked = used.and_then(|used| used.asked.get(&id));
    let own = asked.zip(successor).map(|(asked, successor)| own(asked, offer, successor, names, now));
    Retirement {
        retires_on: life.retires_on,
        deprecated_on: life.deprecated_on,
        successor: successor.map(|offer| offer.id.to_string()).or_else(|| life.successors.first().cloned()),
        expected_usd: expected(offer),
        successor_expected_usd: successor.and_then(expected),
        images: used.map(|used| used.images.get(&id).copied().unwrap_or(0)),
        own,
        offer: id,
    }
}

/// Prices what was asked at both offers.
fn own(asked: &[(String, Value)], old: &Offer, new: &Offer, names: &NameBook, now: Timestamp) -> Own {
    let mut own = Own::default();
    for (model, asked) in asked {
        match expected(model, asked, old, names, now).zip(expected(model, asked, new, names, now)) {
            Some((before, after)) => {
                own.requests += 1;
                own.expected_usd += before;
                own.successor_expected_usd += after;
                own.difference_usd += after - before;
            }
            None => own.not_comparable += 1,
        }
    }
    own
}

/// What the request would be expected to cost at one offer; `None` where that cannot make it so.
fn expected(model: &str, asked: &Value, offer: &Offer, names: &NameBook, now: Timestamp) -> Option<Ticks> {
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
    Some(plan_named(&request, named, context).ok()?.offers.first()?.quote.expected)
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
        .optional("own requests")
        .figure("now")
        .figure("then")
        .figure("difference");
    let dollars = |amount: Option<Ticks>| amount.map_or_else(String::new, output::rounded);
    for one in found {
        let own = one.own.as_ref();
        let counted = own.map(|own| match own.not_comparable {
            0 => own.requests.to_string(),
            out => format!("{} ({out} not comparable)", own.requests),
        });
        table.row([
            one.retires_on.map_or_else(|| "deprecated".to_owned(), |day| day.to_string()),
            one.offer.clone(),
            one.successor.clone().unwrap_or_default(),
            dollars(one.expected_usd),
            dollars(one.successor_expected_usd),
            one.images.map(|images| images.to_string()).unwrap_or_default(),
            counted.unwrap_or_default(),
            dollars(own.map(|own| own.expected_usd)),
            dollars(own.map(|own| own.successor_expected_usd)),
            dollars(own.map(|own| own.difference_usd)),
        ]);
    }
    output::line("\nEnding among what is configured and in use:");
    output::line(table.render());
    if found.iter().any(|one| one.own.is_some()) {
        output::line(format!(
            "Own requests are the newest {REQUOTED_MAX} of 30 days at each offer, priced again as they were asked."
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::everything;
    use gallerist_pricing::{Catalogue, offers};
    use gallerist_routing::Member;
    use gallerist_routing::name_book::PLAIN;
    use serde_json::json;

    fn offer(id: &str) -> Offer {
        let catalogue = Catalogue::embedded();
        let all = offers(&catalogue, &everything(&catalogue, &[]));
        all.into_iter().find(|offer| offer.id.to_string() == id).unwrap()
    }

    #[test]
    fn own_requests_are_priced_as_they_were_asked() {
        let (old, new) = (offer("openai/gpt-image-1.5"), offer("openai/gpt-image-2"));
        let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        let one = json!({"prompt_characters": 20, "n": 1, "size": "1024x1024", "quality": "low"});
        let four = json!({"prompt_characters": 20, "n": 4, "size": "1024x1536", "quality": "high"});
        let price =
            |asked: &Value, offer: &Offer| expected("gpt-image-1.5", asked, offer, &PLAIN, now).unwrap();
        assert!(price(&four, &old).get() > 8 * price(&one, &old).get(), "size, quality and number count");
        let asked = [("gpt-image-1.5".to_owned(), one.clone()), ("gpt-image-1.5".to_owned(), four.clone())];
        let own = own(&asked, &old, &new, &PLAIN, now);
        assert_eq!((own.requests, own.not_comparable), (2, 0));
        assert_eq!(own.expected_usd, price(&one, &old) + price(&four, &old));
        assert_eq!(own.difference_usd, price(&one, &new) + price(&four, &new) - own.expected_usd);
    }

    #[test]
    fn what_the_successor_cannot_make_is_counted_apart() {
        let (old, new) = (offer("openai/gpt-image-1.5"), offer("openai/gpt-image-2"));
        let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        let unknown = [("auto".to_owned(), Value::Null)];
        assert_eq!(own(&unknown, &old, &new, &PLAIN, now).not_comparable, 1);
    }

    #[test]
    fn requests_of_a_route_are_priced_by_its_class_whomever_it_allows() {
        let (old, new) = (offer("openai/gpt-image-1.5"), offer("openai/gpt-image-2"));
        let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        let only = vec![Member::parse("gpt-image-1.5")];
        let fine = Route {
            models_only: only.clone(),
            class: Some(gallerist_domain::QualityClass::High),
            ..Route::named("fine")
        };
        let names =
            NameBook::new(vec![fine, Route { models_only: only, ..Route::named("plain") }], BTreeMap::new());
        let asked = json!({"prompt_characters": 20, "n": 1, "size": "1024x1024"});
        let by = |route: &str| own(&[(route.to_owned(), asked.clone())], &old, &new, &names, now);
        let (fine, plain) = (by("fine"), by("plain"));
        assert_eq!((fine.requests, plain.requests), (1, 1));
        assert!(fine.expected_usd > plain.expected_usd, "{fine:?} {plain:?}");
    }
}
