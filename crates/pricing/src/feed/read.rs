//! Feeds as observations: a JSON document with pointers into it, and the form of a spot feed.
//!
//! Digits stay digits. What a pointer does not find is said, and the other lines are read all the same.

use super::{Observation, Quoted, Target};
use crate::import::json::{Object, decimal, list, object, text};
use crate::import::{exact_price, product};
use gallerist_domain::{Decimal, Meter};
use jiff::Timestamp;
use serde_json::value::RawValue;

/// What a feed's answers look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedForm {
    /// Any JSON document, with pointers into it.
    Json(Vec<Mapping>),
    /// It names offers and lines itself, and its prices are worth nothing once they are old.
    Spot,
    /// LiteLLM's `model_prices_and_context_window.json`.
    Litellm,
    /// OpenRouter's `/api/v1/models`.
    Openrouter,
    /// fal's `/v1/models/pricing`.
    Fal,
    /// OpenAI's `/v1/models`: no prices, but the day on which each model ends.
    OpenaiModels,
}

impl FeedForm {
    pub const NAMES: [&str; 6] = ["json", "spot", "litellm", "openrouter", "fal", "openai_models"];

    pub const fn name(&self) -> &'static str {
        match self {
            FeedForm::Json(_) => FeedForm::NAMES[0],
            FeedForm::Spot => FeedForm::NAMES[1],
            FeedForm::Litellm => FeedForm::NAMES[2],
            FeedForm::Openrouter => FeedForm::NAMES[3],
            FeedForm::Fal => FeedForm::NAMES[4],
            FeedForm::OpenaiModels => FeedForm::NAMES[5],
        }
    }

    /// Whether a price that is not told any more is unknown, and not just old.
    pub const fn is_volatile(&self) -> bool {
        matches!(self, FeedForm::Spot)
    }

    /// Whether it tells other people's prices, and nobody named line by line what to believe of it.
    pub const fn is_hearsay(&self) -> bool {
        matches!(self, FeedForm::Litellm)
    }
}

/// Where a JSON document holds the price of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub target: Target,
    /// JSON pointer to the amount: `/prices/0/usd`.
    pub pointer: String,
    /// JSON pointer to the instant from which it holds; absent: the time of the poll.
    pub at_pointer: Option<String>,
    /// Dollars in one of the feed's amounts, such as 0.01 for cents.
    pub usd: Decimal,
    /// Units of the line's meter, as people count them, that an amount buys.
    pub per: i64,
}

/// Why a feed, or a line of it, tells nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAFeed {
    #[error("the answer is no JSON")]
    NotJson,
    #[error("{target}: there is no amount at {pointer:?}")]
    NoAmount { target: Target, pointer: String },
    #[error("{target}: there is no instant at {pointer:?}")]
    NoInstant { target: Target, pointer: String },
    #[error("the catalogue has no line {0}")]
    NoLine(Target),
    #[error(
        "a spot feed is {{\"prices\": [{{\"offer\", \"line\", \"usd\", \"per\", \"at\"}}]}}; entry {0} is not"
    )]
    NotSpot(usize),
    #[error("{0}")]
    NotAList(String),
    #[error(
        "a pricing answer is {{\"prices\": [{{\"endpoint_id\", \"unit_price\", \"unit\"}}]}} in USD; entry {0} is not"
    )]
    NotFal(usize),
    #[error(
        "a list of models is {{\"data\": [{{\"id\", \"shutdown_date\"}}]}} with days as YYYY-MM-DD; this is not"
    )]
    NotModels,
    #[error("it speaks of nothing that the catalogue has")]
    Nothing,
}

impl NotAFeed {
    /// What of the answer it is about, `OFFER LINE` or an entry by its place; empty where it is about all of it.
    pub(super) fn line(&self) -> String {
        match self {
            NotAFeed::NoAmount { target, .. }
            | NotAFeed::NoInstant { target, .. }
            | NotAFeed::NoLine(target) => target.to_string(),
            NotAFeed::NotSpot(entry) | NotAFeed::NotFal(entry) => format!("entry {entry}"),
            _ => String::new(),
        }
    }
}

/// Reads a JSON document. `meter_of` knows the meter of a line.
pub fn json(
    body: &str,
    mappings: &[Mapping],
    now: Timestamp,
    meter_of: impl Fn(&Target) -> Option<Meter>,
) -> Vec<Result<Observation, NotAFeed>> {
    let Ok(root) = serde_json::from_str::<&RawValue>(body) else { return vec![Err(NotAFeed::NotJson)] };
    let read = |mapping: &Mapping| {
        let target = mapping.target.clone();
        let meter = meter_of(&target).ok_or_else(|| NotAFeed::NoLine(target.clone()))?;
        let no_amount = || NotAFeed::NoAmount { target: target.clone(), pointer: mapping.pointer.clone() };
        let amount = find(root, &mapping.pointer).and_then(decimal).ok_or_else(no_amount)?;
        let dollars = product(amount, mapping.usd);
        let per = mapping.per.checked_mul(meter.base_units_per_unit());
        let price = dollars.zip(per).and_then(|(dollars, per)| exact_price(dollars, per));
        let quote = Quoted::of(price.ok_or_else(no_amount)?);
        let at = match &mapping.at_pointer {
            None => now,
            Some(pointer) => {
                let no_instant = || NotAFeed::NoInstant { target: target.clone(), pointer: pointer.clone() };
                find(root, pointer).and_then(instant).ok_or_else(no_instant)?
            }
        };
        Ok(Observation { target: target.clone(), quote, at })
    };
    mappings.iter().map(read).collect()
}

/// Reads a spot feed: `{"prices": [{"offer": "gpu-cloud/flux-1-dev", "line": "rent", "usd": "1.70", "per": 3600,
/// "at": "2026-11-22T10:00:00Z"}]}`; `per` counts units of the line's meter and is 1 when left out.
pub fn spot(
    body: &str,
    now: Timestamp,
    meter_of: impl Fn(&Target) -> Option<Meter>,
) -> Vec<Result<Observation, NotAFeed>> {
    let root = serde_json::from_str::<&RawValue>(body).ok();
    let prices = root.and_then(object).and_then(|root| list(root.get("prices")?));
    let Some(prices) = prices else { return vec![Err(NotAFeed::NotJson)] };
    let read = |(index, raw): (usize, &RawValue)| {
        let entry: Object<'_> = object(raw).ok_or(NotAFeed::NotSpot(index))?;
        let word = |name: &str| text(&entry, name).ok_or(NotAFeed::NotSpot(index));
        let target = Target { offer: word("offer")?, line: word("line")? };
        let meter = meter_of(&target).ok_or_else(|| NotAFeed::NoLine(target.clone()))?;
        let per = match entry.get("per") {
            None => Some(1),
            Some(raw) => raw.get().parse::<i64>().ok().filter(|per| *per > 0),
        };
        let per = per.and_then(|per| per.checked_mul(meter.base_units_per_unit()));
        let dollars = entry.get("usd").and_then(|raw| decimal(raw));
        let price = dollars.zip(per).and_then(|(dollars, per)| exact_price(dollars, per));
        let at = match entry.get("at") {
            None => Some(now),
            Some(raw) => instant(raw),
        };
        let (price, at) = (price.ok_or(NotAFeed::NotSpot(index))?, at.ok_or(NotAFeed::NotSpot(index))?);
        Ok(Observation { target, quote: Quoted::of(price), at })
    };
    prices.into_iter().enumerate().map(read).collect()
}

fn instant(raw: &RawValue) -> Option<Timestamp> {
    serde_json::from_str::<String>(raw.get()).ok()?.parse().ok()
}

/// What a JSON pointer (RFC 6901) leads to.
fn find<'a>(root: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut parts = pointer.split('/');
    parts.next().filter(|before| before.is_empty())?;
    parts.try_fold(root, |value, part| {
        let part = part.replace("~1", "/").replace("~0", "~");
        match object(value) {
            Some(object) => object.get(&part).copied(),
            None => list(value)?.get(part.parse::<usize>().ok()?).copied(),
        }
    })
}
