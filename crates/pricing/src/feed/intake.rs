//! A whole answer of a feed: read, decided line by line, and told.

use super::book::RETIRES_ON;
use super::lists::{self, End};
use super::{Decision, FeedBook, FeedForm, Guard, NotAFeed, Observation, Quoted, Silence, Target, observe};
use crate::catalogue::Catalogue;
use crate::changes::{moved, percent};
use crate::quote::display_quantity;
use crate::sheet::Confidence;
use gallerist_domain::{Meter, Ticks};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How the answers of a feed are taken.
#[derive(Clone, Debug)]
pub struct FeedRules {
    /// The feed's name, under which the book keeps what it told.
    pub name: String,
    pub form: FeedForm,
    pub guard: Guard,
    /// Offers (`kind/model`) or kinds that the feed is believed about; empty: all that it speaks of. A list of
    /// somebody else's prices is believed about a line that we have from an official source only if it is named
    /// here.
    pub offers: Vec<String>,
    /// The names of all feeds of the settings, this one among them: where several tell one line, the one that
    /// stands first here is heard. Empty: the one that was polled last.
    pub precedence: Arc<[String]>,
}

impl FeedRules {
    fn names(&self, offer: &str) -> bool {
        let kind = offer.split('/').next().unwrap_or(offer);
        self.offers.iter().any(|wanted| wanted == offer || wanted == kind)
    }

    /// Whether the feed is believed about this offer.
    pub fn speaks_of(&self, offer: &str) -> bool {
        self.offers.is_empty() || self.names(offer)
    }

    /// Whether another feed is heard instead of this one about what both tell.
    fn yields_to(&self, other: &str, book: &FeedBook) -> bool {
        let place = |name: &str| self.precedence.iter().position(|feed| feed == name);
        match (place(other), place(&self.name)) {
            (_, None) => false,
            (Some(other), Some(own)) => other < own,
            // Of another gateway of the same store, whose settings are not these: the line stays with it, since two
            // that take it from each other would make the price go to and fro.
            (None, Some(_)) => book.feeds.contains_key(other),
        }
    }
}

/// The names of feeds by who is heard about what several tell: as they are configured, the lists of other people's
/// prices last.
pub fn precedence<'r>(rules: impl Iterator<Item = &'r FeedRules> + Clone) -> Arc<[String]> {
    let of = |hearsay: bool| rules.clone().filter(move |rules| rules.form.is_hearsay() == hearsay);
    of(false).chain(of(true)).map(|rules| rules.name.clone()).collect()
}

/// What became of one line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The feed's name; empty for what a person confirmed.
    pub feed: String,
    /// `OFFER LINE`; an entry by its place where it names none, and empty where it is about the whole answer, or a
    /// page of it.
    pub line: String,
    pub old_usd: Option<Ticks>,
    pub new_usd: Option<Ticks>,
    /// Base units of the meter that either amount buys.
    pub per: Option<i64>,
    /// The meter, and that number as people count it: `seconds` come by the one, not by the million.
    pub meter: Option<&'static str>,
    pub units: Option<String>,
    /// Signed, of the old price: `+14.33`.
    pub percent: Option<String>,
    /// The day that a model ends, where that is what was told.
    pub retires_on: Option<Date>,
    pub since: Option<Timestamp>,
    /// `same`, `accepted`, `held`, `kept`, `shadowed`, `late`, `refused`, `unreadable`, `unreachable`, `stale`, `confirmed`.
    pub decision: String,
    pub why: Option<String>,
}

/// How long what one feed told keeps a list from telling the same line: longer than the pause of any feed, and not for
/// ever, since a feed may have left the settings.
const HEARD_FOR: SignedDuration = SignedDuration::from_hours(48);

impl Told {
    pub fn new(feed: &str, line: &str, decision: &str) -> Told {
        Told {
            feed: feed.to_owned(),
            line: line.to_owned(),
            old_usd: None,
            new_usd: None,
            per: None,
            meter: None,
            units: None,
            percent: None,
            retires_on: None,
            since: None,
            decision: decision.to_owned(),
            why: None,
        }
    }

    /// With what was, what is told, and how far that moves it; both for the same number of units.
    pub(super) fn of_prices(self, old: Option<Quoted>, new: Quoted, meter: Option<Meter>) -> Told {
        let (old_usd, new_usd, per) = match old.map(|old| old.price().beside(new.price())) {
            Some(Some((old_usd, new_usd, per))) => (Some(old_usd), new_usd, per),
            _ => (None, new.usd, new.per),
        };
        let points = old.and_then(|old| moved(old.price(), new.price()));
        Told {
            old_usd,
            new_usd: Some(new_usd),
            per: Some(per),
            meter: meter.map(Meter::name),
            units: meter.map(|meter| display_quantity(meter, per)),
            percent: points.filter(|points| *points != 0).map(percent),
            ..self
        }
    }

    /// Whether it changes, or would change, what is charged or offered.
    pub fn is_news(&self) -> bool {
        self.decision != "same"
    }
}

impl Decision {
    /// The stable word, and the reason where there is one.
    pub(super) fn words(self) -> (&'static str, Option<String>) {
        match self {
            Decision::Same => ("same", None),
            Decision::Accepted(_) => ("accepted", None),
            Decision::Held(why) => ("held", Some(why)),
            Decision::Late => ("late", Some("older than what is known".to_owned())),
            Decision::Refused(why) => ("refused", Some(why.to_owned())),
        }
    }
}

/// Reads an answer that came at `now` and decides about each of its lines; `catalogue` is the one without feeds.
/// An answer of which nothing can be read counts as none.
pub fn take_in(
    book: &mut FeedBook,
    rules: &FeedRules,
    body: &str,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Vec<Told> {
    let meter_of = |target: &Target| catalogue.line_meter(target);
    let mut ends = Vec::new();
    let seen = match &rules.form {
        FeedForm::Json(mappings) => super::json(body, mappings, now, meter_of),
        FeedForm::Spot => super::spot(body, now, meter_of),
        FeedForm::Litellm | FeedForm::Openrouter => lists::prices(&rules.form, body, catalogue, now),
        FeedForm::Fal => lists::fal(body, catalogue, now),
        FeedForm::OpenaiModels => match lists::openai_models(body, catalogue) {
            Ok(found) => {
                ends = found;
                Vec::new()
            }
            Err(fault) => vec![Err(fault)],
        },
    };
    let seen: Vec<_> = seen
        .into_iter()
        .map(|one| one.map(|seen| (rules.speaks_of(&seen.target.offer), catalogue.in_full(seen))))
        .collect();
    let nothing = ends.is_empty() && !seen.iter().any(Result::is_ok);
    let mut told = Vec::new();
    if nothing {
        let why = seen.iter().find_map(|line| line.as_ref().err());
        let why = why.map_or_else(|| NotAFeed::Nothing.to_string(), ToString::to_string);
        book.note_failure(&rules.name, why.clone(), now);
        told.push(Told { why: Some(why), ..Told::new(&rules.name, "", "unreadable") });
    } else {
        book.note_success(&rules.name, now);
    }
    let mut named = BTreeSet::new();
    for one in seen {
        match one {
            Ok((false, seen)) if !rules.speaks_of(&seen.target.offer) => {}
            // The whole answer is told of already.
            Err(fault) if nothing && fault.line().is_empty() => {}
            // Several small jumps are one large one.
            Ok((_, seen)) if !named.insert(seen.target.to_string()) => {
                let why = Some("the answer names the line more than once; its first word counts".to_owned());
                told.push(Told { why, ..Told::new(&rules.name, &seen.target.to_string(), "refused") });
            }
            Ok((_, seen)) => told.push(decided(book, rules, &seen, catalogue, now)),
            Err(fault) => {
                told.push(Told {
                    why: Some(fault.to_string()),
                    ..Told::new(&rules.name, &fault.line(), "unreadable")
                });
            }
        }
    }
    let wanted = ends.into_iter().filter(|end| rules.speaks_of(&end.offer));
    told.extend(wanted.map(|end| ended(book, rules, &end, now)));
    book.forget_editions();
    told
}

/// The feed says that its last answer still holds: what it told then is told again.
pub fn still_told(book: &mut FeedBook, feed: &str, now: Timestamp) {
    let last = book.feeds.get(feed).and_then(|status| status.succeeded);
    for watch in book.watches.values_mut().filter(|watch| watch.feed == feed && watch.polled == last) {
        watch.polled = Some(now);
    }
    for watch in book.ends.values_mut().filter(|watch| watch.feed == feed && watch.polled == last) {
        watch.polled = Some(now);
    }
    book.note_success(feed, now);
}

fn decided(
    book: &mut FeedBook,
    rules: &FeedRules,
    seen: &Observation,
    catalogue: &Catalogue,
    now: Timestamp,
) -> Told {
    let line = seen.target.to_string();
    let blank = Told::new(&rules.name, &line, "unreadable");
    let Some(base) = catalogue.line_price(&seen.target, now) else {
        return Told { why: Some("the line has no price now".to_owned()), ..blank };
    };
    let known = book.watches.get(&line).and_then(|watch| watch.in_force(base));
    let old = known.map_or(base.quote, |point| point.quote);
    let figures = Told {
        since: Some(seen.at),
        ..blank.of_prices(Some(old), seen.quote, catalogue.line_meter(&seen.target))
    };
    let trust = catalogue.line_trust(&seen.target, now);
    let official = trust.is_some_and(|trust| trust.source.confidence == Confidence::Official);
    if rules.form.is_hearsay() && official && !rules.names(&seen.target.offer) {
        let decision = if seen.quote.equals(old) { "same" } else { "kept" };
        let why = (decision == "kept")
            .then(|| "ours is from an official source; name the offer in the feed's `offers`".to_owned());
        return Told { decision: decision.to_owned(), why, ..figures };
    }
    if rules.form.is_hearsay()
        && let Some(other) = told_by_another(book, &rules.name, &line, now)
    {
        let decision = if seen.quote.equals(old) { "same" } else { "kept" };
        let why = (decision == "kept").then(|| format!("the feed {other} tells this line"));
        return Told { decision: decision.to_owned(), why, ..figures };
    }
    if let Some(first) = shadowing(book, rules, &line, now) {
        let decision = if seen.quote.equals(old) { "same" } else { "shadowed" };
        let why = (decision == "shadowed").then(|| shadowed_by(first));
        return Told { decision: decision.to_owned(), why, ..figures };
    }
    let watch = book.watches.entry(line).or_default();
    let decision = observe(watch, base, seen, now, rules.guard);
    // Who tells nothing that counts does not take the line from another who does.
    if !matches!(decision, Decision::Late | Decision::Refused(_)) || watch.feed.is_empty() {
        watch.feed.clone_from(&rules.name);
    }
    let (decision, why) = decision.words();
    Told { decision: decision.to_owned(), why, ..figures }
}

/// The other feed that tells a line and is not silent about it: a whole list has no say beside it, since two that
/// disagree would make the price go to and fro, and end each other's holding.
fn told_by_another<'b>(book: &'b FeedBook, name: &str, line: &str, now: Timestamp) -> Option<&'b str> {
    let watch = book.watches.get(line).filter(|watch| watch.feed != name && watch.silent.is_none())?;
    let recent = watch.polled.is_some_and(|polled| now.duration_since(polled) <= HEARD_FOR);
    recent.then_some(watch.feed.as_str())
}

/// The feed that is heard about a line instead of this one. Where its last price goes on, it may be silent for
/// [`HEARD_FOR`] longer than its settings allow until this one is heard; a price that is unknown shadows nobody's.
fn shadowing<'b>(book: &'b FeedBook, rules: &FeedRules, line: &str, now: Timestamp) -> Option<&'b str> {
    let watch = book.watches.get(line)?;
    let heard = |silence: Silence| !silence.unknown && now.duration_since(silence.noticed) <= HEARD_FOR;
    let other = !watch.feed.is_empty() && watch.feed != rules.name && watch.polled.is_some();
    let heard = other && watch.silent.is_none_or(heard) && rules.yields_to(&watch.feed, book);
    heard.then_some(watch.feed.as_str())
}

fn shadowed_by(first: &str) -> String {
    format!(
        "the feed {first:?} stands before this one in the settings and tells it too; take it out of one of them"
    )
}

fn ended(book: &mut FeedBook, rules: &FeedRules, end: &End, now: Timestamp) -> Told {
    let line = format!("{} {RETIRES_ON}", end.offer);
    let first = book.ends.get(&end.offer).filter(|watch| {
        let stale = book.feeds.get(&watch.feed).and_then(|status| status.stale_since);
        let heard = stale.is_none_or(|since| now.duration_since(since) <= HEARD_FOR);
        heard && watch.feed != rules.name && rules.yields_to(&watch.feed, book)
    });
    if let Some(first) = first {
        let decision = if end.on == first.on.or(end.ours) { "same" } else { "shadowed" };
        let why = (decision == "shadowed").then(|| shadowed_by(&first.feed));
        return Told { retires_on: end.on, why, ..Told::new(&rules.name, &line, decision) };
    }
    let watch = book.ends.entry(end.offer.clone()).or_default();
    watch.feed.clone_from(&rules.name);
    let (decision, why) = watch.observe(end.ours, end.on, now).words();
    Told { retires_on: end.on, why, ..Told::new(&rules.name, &line, decision) }
}
