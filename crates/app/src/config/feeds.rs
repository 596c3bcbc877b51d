//! `[[feeds]]`: where prices are polled, and what earlier polls left in the books.

use super::typed::{TypedFeed, Written};
use super::{Environment, Mistakes};
use crate::gateway::answering;
use gallerist_domain::Decimal;
use gallerist_engine::feeds::{Feed, FeedFault, FeedSettings, KeptBook, in_order, read_file};
use gallerist_pricing::Catalogue;
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::feed::{
    FeedBook, FeedForm, FeedRules, Guard, JUMP_FACTOR, MISSED_POLLS_MAX, Mapping, Target,
};
use gallerist_store::{StoreUrl, peek_feed_parts};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Seconds between two polls unless a feed says otherwise.
const EVERY_SECONDS: u32 = 3_600;
/// Seconds for the whole of a poll unless a feed says otherwise.
const TIMEOUT_SECONDS: u32 = 60;
/// Several times the largest public list.
const BYTES_MAX: usize = 32 << 20;

/// One entry of a feed's `prices`.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a table such as { offer = \"bfl/flux-1.1-pro\", line = \"picture\", pointer = \"/cents\" }"
)]
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
    let mut feeds: Vec<Feed> = Vec::new();
    for typed in written {
        let Some(feed) = checked(typed, environment, mistakes) else { continue };
        let name = &feed.rules.name;
        if feeds.iter().any(|other| other.rules.name == *name) {
            mistakes.add(&typed.place, format!("there are two feeds {name:?}: give one another `name`"));
        }
        for (other, target) in feeds.iter().filter_map(|other| Some((other, told_by_both(other, &feed)?))) {
            let place = typed.prices.as_ref().map_or(&typed.place, |prices| &prices.place);
            let message = format!(
                "the feeds {:?} and {name:?} both tell {target}, and a price line has one feed: take the entry out \
                 of the `prices` of one of them",
                other.rules.name
            );
            mistakes.add(place, message);
        }
        feeds.push(feed);
    }
    in_order(feeds)
}

/// The first price line that the mappings of both feeds tell. What other forms tell is known from their answers alone.
fn told_by_both<'f>(one: &'f Feed, other: &Feed) -> Option<&'f Target> {
    let (FeedForm::Json(first), FeedForm::Json(second)) = (&one.rules.form, &other.rules.form) else {
        return None;
    };
    let told = first
        .iter()
        .map(|mapping| &mapping.target)
        .filter(|target| one.rules.speaks_of(&target.offer) && other.rules.speaks_of(&target.offer));
    let mut both = told.filter(|target| second.iter().any(|mapping| mapping.target == **target));
    both.next()
}

/// What an engine is told of feeds.
pub fn settings(config: &super::Config) -> FeedSettings {
    FeedSettings {
        feeds: config.feeds.clone(),
        file: Some(file(&config.data_dir)),
        whole: Some(config.origin.clone()),
    }
}

fn checked(written: &TypedFeed, environment: &Environment, mistakes: &mut Mistakes) -> Option<Feed> {
    let form = form(written, mistakes)?;
    let given = written.url.as_ref().map(|url| url.value.clone());
    let url = given.or_else(|| public_address(&form).map(str::to_owned)).unwrap_or_default();
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
    if let (Some(minutes), Some(_)) = (&written.every_minutes, &written.every_seconds) {
        mistakes.add(&minutes.place, "every_minutes and every_seconds say the same: leave one out");
    }
    let mut number = |written: &Option<Written<u32>>, name: &str, range: RangeInclusive<u32>, usual: u32| {
        let Some(written) = written else { return usual };
        if !range.contains(&written.value) {
            mistakes.add(&written.place, format!("{name} is {} to {}", range.start(), range.end()));
        }
        written.value.clamp(*range.start(), *range.end())
    };
    let minutes = number(&written.every_minutes, "every_minutes", 1..=10_080, EVERY_SECONDS / 60);
    let every = number(&written.every_seconds, "every_seconds", 5..=86_400, minutes * 60);
    let usual = (u64::from(every) * u64::from(MISSED_POLLS_MAX.unsigned_abs())).div_ceil(60);
    let usual = u32::try_from(usual).unwrap_or(u32::MAX);
    let stale = number(&written.stale_minutes, "stale_minutes", 1..=525_600, usual.max(1));
    let jump_factor =
        number(&written.jump_factor, "jump_factor", 2..=1_000, JUMP_FACTOR.unsigned_abs() as u32);
    let agreeing_polls = number(&written.agreeing_polls, "agreeing_polls", 0..=100, 0);
    let timeout = number(&written.timeout_seconds, "timeout_seconds", 1..=600, TIMEOUT_SECONDS);
    let name = written.name.as_ref().map_or_else(|| form.name().to_owned(), |name| name.value.clone());
    Some(Feed {
        rules: FeedRules {
            name,
            form,
            guard: Guard { jump_factor: i64::from(jump_factor), agreeing_polls },
            offers: written.offers.as_ref().map(|offers| offers.value.clone()).unwrap_or_default(),
            // Once all of them are known.
            precedence: Arc::default(),
        },
        url,
        key,
        every: Duration::from_secs(u64::from(every)),
        timeout: Duration::from_secs(u64::from(timeout)),
        bytes_max: BYTES_MAX,
        stale_after: SignedDuration::from_mins(i64::from(stale)),
    })
}

/// Where a list is public; the others have no customary place.
const fn public_address(form: &FeedForm) -> Option<&'static str> {
    match form {
        FeedForm::Litellm => Some(
            "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json",
        ),
        FeedForm::Openrouter => Some("https://openrouter.ai/api/v1/models"),
        FeedForm::Fal => Some("https://api.fal.ai/v1/models/pricing"),
        FeedForm::OpenaiModels => Some("https://api.openai.com/v1/models"),
        FeedForm::Json(_) | FeedForm::Spot => None,
    }
}

fn form(written: &TypedFeed, mistakes: &mut Mistakes) -> Option<FeedForm> {
    let kind = written.kind.as_ref().map(|kind| kind.value.as_str()).unwrap_or_default();
    if let (false, Some(prices)) = (kind == "json", &written.prices) {
        mistakes.add(&prices.place, "only a feed of the kind json has `prices`: leave it out");
        return None;
    }
    match (kind, &written.prices) {
        ("json", Some(prices)) => {
            let wrong = prices.value.iter().find(|one| {
                one.per.is_some_and(|per| per < 1) || one.usd.is_some_and(|usd| usd.mantissa() <= 0)
            });
            if let Some(wrong) = wrong {
                let message = format!("`per` and `usd` of {} {} are above 0", wrong.offer, wrong.line);
                mistakes.add(&prices.place, message);
                return None;
            }
            Some(FeedForm::Json(prices.value.iter().cloned().map(mapping).collect()))
        }
        ("json", None) => {
            mistakes
                .add(&written.place, "a feed of the kind json needs `prices`: which amount is which line's");
            None
        }
        ("spot", _) => Some(FeedForm::Spot),
        ("litellm", _) => Some(FeedForm::Litellm),
        ("openrouter", _) => Some(FeedForm::Openrouter),
        ("fal", _) => Some(FeedForm::Fal),
        ("openai_models", _) => Some(FeedForm::OpenaiModels),
        _ => {
            mistakes.add(&written.place, format!("a feed's kind is one of {}", FeedForm::NAMES.join(", ")));
            None
        }
    }
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

/// Where earlier versions kept what feeds told.
pub fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("feeds.json")
}

/// Where the books are: a folder, or a database.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) data_dir: &'a Path,
    pub(super) store_url: Option<&'a StoreUrl>,
}

impl At<'_> {
    /// Whether a gateway of this folder keeps its books somewhere that the settings at hand do not tell.
    fn is_elsewhere(self) -> bool {
        let local = self.store_url.is_some() || self.data_dir.join("gallerist.sqlite").exists();
        !local && answering(self.data_dir).is_some()
    }
}

/// Which feeds are heard beside the catalogue's own files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Those that the settings name, and no others.
    Configured,
    /// Where the settings name none, all that told these books something: for whoever only wants to know the prices
    /// of a gateway whose settings are not at hand.
    Told,
    /// None at all.
    Nobody,
}

/// What earlier polls left, for whoever only wants to know prices, also beside a gateway.
pub(super) fn book(
    at: At<'_>,
    heard: Heard,
    feeds: &[Feed],
    base: &Catalogue,
    mistakes: &mut Mistakes,
    remarks: &mut Vec<String>,
) -> FeedBook {
    if heard == Heard::Nobody || (heard == Heard::Configured && feeds.is_empty()) {
        return FeedBook::default();
    }
    let mut book = kept(at, remarks).unwrap_or_else(|unread| {
        // It is in nobody's way who has configured no feed.
        match feeds.is_empty() {
            true => remarks.push(format!(
                "{} {}; these are the catalogue's own prices",
                unread.path.display(),
                unread.why
            )),
            false => mistakes.add(unread.path.display(), unread.why),
        }
        FeedBook::default()
    });
    if heard == Heard::Told && at.is_elsewhere() {
        remarks.push(
            "a gateway runs here whose books are in a database: name its settings with --config, or set \
             GALLERIST_STORE_URL, to have what its feeds told"
                .to_owned(),
        );
    }
    // Whoever names no feeds knows of none that has fallen silent or is gone: the gateway left the book as it holds.
    if !feeds.is_empty() {
        fit(&mut book, feeds, base, at.store_url.is_some(), Timestamp::now());
    }
    book
}

/// Lets a book be as the settings have it: what was told too long ago is known to be old, whether or not a gateway
/// ran to notice it; what a feed told that is not configured any more is let go (`FeedBook::leave` says when).
pub fn fit(book: &mut FeedBook, feeds: &[Feed], base: &Catalogue, shared: bool, now: Timestamp) {
    let names: Vec<&str> = feeds.iter().map(|feed| feed.rules.name.as_str()).collect();
    book.leave(&names, base, shared, now);
    for feed in feeds {
        let unknown = feed.rules.form.is_volatile();
        book.mark_silence(&feed.rules.name, feed.stale_after, unknown, now);
    }
}

/// A file of an earlier version that is no book.
struct Unread {
    path: PathBuf,
    why: String,
}

fn kept(at: At<'_>, remarks: &mut Vec<String>) -> Result<FeedBook, Unread> {
    let parts = peek_feed_parts(at.data_dir, at.store_url).map_err(FeedFault::from);
    match parts.and_then(|parts| KeptBook::of_parts(parts.unwrap_or_default())) {
        Ok(kept) if !kept.is_new() => return Ok(FeedBook::clone(&kept.book)),
        Ok(_) => {}
        Err(error) => {
            let failure = crate::failure::Failure::because("what feeds told cannot be read", &error);
            remarks.push(format!("{}; these are the catalogue's own prices", failure.message));
            return Ok(FeedBook::default());
        }
    }
    let path = file(at.data_dir);
    read_file(&path).map(Option::unwrap_or_default).map_err(|error| {
        let why = match error {
            FeedFault::File { source, .. } => format!("cannot be read: {source}"),
            FeedFault::Unreadable(error) => {
                format!("is no book of feeds ({error}); remove it to forget what feeds told")
            }
            other => other.to_string(),
        };
        Unread { path, why }
    })
}

/// Notes which lines of the mappings the catalogue does not have: the feed would be asked for ever, and believed never.
pub(super) fn note_unknown_lines(
    feeds: &[Feed],
    base: &Catalogue,
    origin: &Origin,
    now: Timestamp,
    remarks: &mut Vec<String>,
) {
    // Read only where something is not among what can be ordered.
    let whole = std::cell::OnceCell::new();
    let is_known = |target: &Target| {
        base.line_price(target, now).is_some()
            || whole
                .get_or_init(|| origin.whole().ok())
                .as_ref()
                .is_none_or(|whole| whole.line_price(target, now).is_some())
    };
    for feed in feeds {
        let FeedForm::Json(mappings) = &feed.rules.form else { continue };
        for Mapping { target, .. } in mappings.iter().filter(|mapping| !is_known(&mapping.target)) {
            remarks.push(format!(
                "the feed {} tells {target}, and the catalogue has no such line now: `gallerist prices show {}` has \
                 those that there are",
                feed.rules.name, target.offer
            ));
        }
    }
}
