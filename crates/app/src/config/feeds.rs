//! `[[feeds]]`: where prices are polled, and what earlier polls left in the folder of the books.

use super::typed::TypedFeed;
use super::{Environment, Mistakes};
use gallerist_domain::Decimal;
use gallerist_pricing::feed::{FeedBook, JUMP_FACTOR, Mapping, Target};
use secrecy::SecretString;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Minutes between two polls unless a feed says otherwise.
const EVERY_MINUTES: u32 = 60;

/// A checked feed.
#[derive(Clone, Debug)]
pub struct Feed {
    pub url: String,
    pub form: FeedForm,
    pub every_minutes: u32,
    pub key: Option<SecretString>,
    pub jump_factor: i64,
}

/// How a feed is written.
#[derive(Clone, Debug)]
pub enum FeedForm {
    /// Any JSON document, with pointers into it.
    Json(Vec<Mapping>),
    /// It names offers and lines itself.
    Spot,
}

/// One entry of a feed's `prices`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedMapping {
    /// `kind/model`.
    offer: String,
    /// The id of the price line, as `gallerist prices show` names it.
    line: String,
    /// JSON pointer to the amount.
    pointer: String,
    /// JSON pointer to the instant from which it holds; default the time of the poll.
    at_pointer: Option<String>,
    /// Dollars in one of the feed's amounts, as text; default `1`.
    usd: Option<Decimal>,
    /// Units of the line's meter that an amount buys; default 1.
    per: Option<i64>,
}

/// What the file says of feeds, checked.
pub(super) fn feeds(written: &[TypedFeed], environment: &Environment, mistakes: &mut Mistakes) -> Vec<Feed> {
    written.iter().filter_map(|feed| checked(feed, environment, mistakes)).collect()
}

fn checked(written: &TypedFeed, environment: &Environment, mistakes: &mut Mistakes) -> Option<Feed> {
    let kind = written.kind.as_ref().map(|kind| kind.value.as_str());
    let form = match (kind, &written.prices) {
        (Some("json"), Some(prices)) => FeedForm::Json(prices.value.iter().cloned().map(mapping).collect()),
        (Some("json"), None) => {
            mistakes
                .add(&written.place, "a feed of the kind json needs `prices`: which amount is which line's");
            return None;
        }
        (Some("spot"), None) => FeedForm::Spot,
        (Some("spot"), Some(prices)) => {
            mistakes.add(&prices.place, "a spot feed names its lines itself: leave out `prices`");
            return None;
        }
        _ => {
            mistakes.add(&written.place, "a feed's kind is \"json\" or \"spot\"");
            return None;
        }
    };
    let url = written.url.as_ref().map(|url| url.value.clone()).unwrap_or_default();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        mistakes.add(&written.place, "a feed needs a `url` that begins with https:// or http://");
    }
    let key = written.key_env.as_ref().and_then(|name| {
        let key = environment.get(&name.value);
        if key.is_none() {
            mistakes.add(&name.place, format!("the variable {} is not set", name.value));
        }
        key.map(SecretString::from)
    });
    let jump_factor = written.jump_factor.as_ref().map_or(JUMP_FACTOR, |factor| {
        if !(2..=1000).contains(&factor.value) {
            mistakes.add(&factor.place, "jump_factor is 2 to 1000");
        }
        i64::from(factor.value)
    });
    let every_minutes = written.every_minutes.as_ref().map_or(EVERY_MINUTES, |every| every.value.max(1));
    Some(Feed { url, form, every_minutes, key, jump_factor })
}

fn mapping(written: TypedMapping) -> Mapping {
    Mapping {
        target: Target { offer: written.offer, line: written.line },
        pointer: written.pointer,
        at_pointer: written.at_pointer,
        usd: written.usd.unwrap_or(Decimal::ONE),
        per: written.per.unwrap_or(1),
    }
}

/// Where the last known good prices are.
pub fn book_path(data_dir: &Path) -> PathBuf {
    data_dir.join("feeds.json")
}

/// What earlier polls left; nothing where there was none.
pub(super) fn book(data_dir: &Path, mistakes: &mut Mistakes) -> FeedBook {
    let path = book_path(data_dir);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return FeedBook::default(),
        Err(error) => {
            mistakes.add(path.display(), format!("cannot be read: {error}"));
            return FeedBook::default();
        }
    };
    serde_json::from_str(&text).unwrap_or_else(|error| {
        let advice = "remove it to forget what feeds told";
        mistakes.add(path.display(), format!("is no book of feeds ({error}); {advice}"));
        FeedBook::default()
    })
}
