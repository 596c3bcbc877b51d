//! What is wrong with feeds: a price that waits for a person, polls that fail, prices that are old or unknown.
//!
//! All of it stands in the book that feeds leave, so whoever looks twice finds the same; each finding is named by
//! the instant at which its state began. It refuses to poll, and to tell anybody.

use crate::Catalogue;
use crate::changes::{moved, percent};
use crate::feed::{FeedBook, Held, RETIRES_ON, Target, Watch};
use crate::quote::display_quantity;
use crate::sheet::is_doubtful;
use gallerist_domain::alert::{FeedSilence, HeldNews};
use gallerist_domain::{AlertFact, NewAlert, Ticks};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// A feed that is configured.
#[derive(Clone, Copy, Debug)]
pub struct PolledFeed<'a> {
    pub name: &'a str,
    /// How old what it told may be.
    pub stale_after: SignedDuration,
}

/// What is wrong now. `catalogue` is the one in force. Gateways that keep books of their own and notice the same
/// within an hour name it alike, and so does a state that comes back within the hour.
pub fn troubles(
    book: &FeedBook,
    feeds: &[PolledFeed<'_>],
    catalogue: &Catalogue,
    now: Timestamp,
) -> Vec<NewAlert> {
    let mut found = Vec::new();
    for feed in feeds {
        found.extend(of_feed(book, feed));
    }
    let polled = |name: &str| feeds.iter().any(|feed| feed.name == name);
    for (line, watch) in book.watches.iter().filter(|(_, watch)| polled(&watch.feed)) {
        let Some(held) = &watch.held else { continue };
        let since = held.since.unwrap_or(held.polled);
        let fact = AlertFact::FeedHeld(held_price(line, watch, held, catalogue, now));
        found.push(alert(line, since, fact));
    }
    for (offer, watch) in book.ends.iter().filter(|(_, watch)| polled(&watch.feed)) {
        let Some(held) = &watch.held else { continue };
        let line = format!("{offer} {RETIRES_ON}");
        let news = HeldNews {
            feed: watch.feed.clone(),
            line: line.clone(),
            old: None,
            new: None,
            per: None,
            percent: None,
            old_confidence: None,
            old_as_of: None,
            old_doubtful: false,
            retires_on: held.on,
            why: held.why.clone(),
        };
        found.push(alert(&line, held.since.unwrap_or(held.polled), AlertFact::FeedHeld(news)));
    }
    found
}

fn of_feed(book: &FeedBook, feed: &PolledFeed<'_>) -> Vec<NewAlert> {
    let mut found = Vec::new();
    let PolledFeed { name, stale_after } = *feed;
    let Some(status) = book.feeds.get(name) else { return found };
    let allowed_minutes = stale_after.as_mins();
    if let (Some(since), Some(why)) = (status.failing_since, &status.fault) {
        let last_told_at = status.succeeded;
        let fact = AlertFact::FeedFailing { feed: name.to_owned(), why: why.clone(), last_told_at };
        found.push(alert(name, since, fact));
    }
    if let Some(since) = status.stale_since {
        let told = FeedSilence {
            feed: name.to_owned(),
            last_told_at: status.succeeded,
            allowed_minutes,
            lines: Vec::new(),
        };
        found.push(alert(name, since, AlertFact::FeedStale(told)));
    }
    // Lines that fell silent in the same poll are one piece of news.
    let mut unknown: BTreeMap<Timestamp, FeedSilence> = BTreeMap::new();
    for (line, watch) in book.watches.iter().filter(|(_, watch)| watch.feed == name) {
        let Some(silence) = watch.silent.filter(|silence| silence.unknown) else { continue };
        let told = unknown.entry(silence.noticed).or_insert_with(|| FeedSilence {
            feed: name.to_owned(),
            last_told_at: None,
            allowed_minutes,
            lines: Vec::new(),
        });
        told.lines.push(line.clone());
        told.last_told_at = told.last_told_at.max(watch.polled);
    }
    for (since, told) in unknown {
        // Others of the feed may follow within the hour.
        let what = format!("{name}:{}", told.lines[0]);
        found.push(alert(&what, since, AlertFact::FeedSilent(told)));
    }
    found
}

fn alert(what: &str, since: Timestamp, fact: AlertFact) -> NewAlert {
    let hour = since.as_second().div_euclid(3_600);
    NewAlert { once: format!("{}:{what}:{hour}", fact.kind()), at: since, project: None, fact }
}

fn held_price(line: &str, watch: &Watch, held: &Held, catalogue: &Catalogue, now: Timestamp) -> HeldNews {
    let target = line.rsplit_once(' ');
    let target = target.map(|(offer, line)| Target::new(offer, line));
    let known = watch.points.last().filter(|point| !point.let_go).map(|point| point.quote);
    let known = known.or_else(|| Some(catalogue.line_price(target.as_ref()?, now)?.quote));
    let meter = target.as_ref().and_then(|target| catalogue.line_meter(target));
    let trust = target.as_ref().and_then(|target| catalogue.line_trust(target, now));
    let trust = trust.map(|trust| (trust.source.confidence, trust.oldest));
    let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let per = held.quote.per;
    let change = known.and_then(|known| moved(known.price(), held.quote.price()));
    let old: Option<Ticks> = known.and_then(|known| known.usd.scaled(per, known.per));
    HeldNews {
        feed: watch.feed.clone(),
        line: line.to_owned(),
        old,
        new: Some(held.quote.usd),
        per: Some(meter.map_or_else(|| per.to_string(), |meter| display_quantity(meter, per))),
        percent: change.map(percent),
        old_confidence: trust.map(|(confidence, _)| confidence.as_str().to_owned()),
        old_as_of: trust.map(|(_, read)| read),
        old_doubtful: trust.is_some_and(|(confidence, read)| is_doubtful(confidence, read, today)),
        retires_on: None,
        why: held.why.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::{FeedForm, FeedRules, Guard, take_in};
    use crate::testing::{CATALOGUE, now};

    const LINE: &str = "bfl/flux-1.1-pro picture";
    const ALLOWED: SignedDuration = SignedDuration::from_mins(30);

    fn minute(minute: i64) -> Timestamp {
        now() + SignedDuration::from_mins(minute)
    }

    fn told(book: &FeedBook, at: i64) -> Vec<(&'static str, String)> {
        let feed = PolledFeed { name: "gpu", stale_after: ALLOWED };
        let found = troubles(book, &[feed], &CATALOGUE, minute(at));
        found.into_iter().map(|alert| (alert.fact.kind(), alert.once)).collect()
    }

    fn poll(book: &mut FeedBook, at: i64, usd: &str) {
        let rules = FeedRules {
            name: "gpu".to_owned(),
            form: FeedForm::Spot,
            guard: Guard::default(),
            offers: Vec::new(),
            precedence: std::sync::Arc::default(),
        };
        let body =
            format!(r#"{{"prices": [{{"offer": "bfl/flux-1.1-pro", "line": "picture", "usd": "{usd}"}}]}}"#);
        take_in(book, &rules, &body, &CATALOGUE, minute(at));
        book.mark_silence("gpu", ALLOWED, true, minute(at));
    }

    fn fail(book: &mut FeedBook, at: i64) {
        book.note_failure("gpu", "it answered 500".to_owned(), minute(at));
        book.mark_silence("gpu", ALLOWED, true, minute(at));
    }

    #[test]
    fn a_held_price_is_named_by_the_poll_that_held_it_first() {
        let mut book = FeedBook::default();
        poll(&mut book, 0, "0.05");
        assert_eq!(told(&book, 1), []);
        poll(&mut book, 10, "0.30");
        let first = told(&book, 11);
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].0, "feed.held");
        poll(&mut book, 80, "0.31");
        assert_eq!(told(&book, 81), first, "another poll, another price, the same state");
        let feed = PolledFeed { name: "gpu", stale_after: ALLOWED };
        let AlertFact::FeedHeld(news) = &troubles(&book, &[feed], &CATALOGUE, minute(81))[0].fact else {
            panic!("it is held")
        };
        assert_eq!((news.line.as_str(), news.percent.as_deref()), (LINE, Some("+520.00")));
        assert_eq!(news.old.map(Ticks::short).as_deref(), Some("0.05"));
        assert_eq!(troubles(&book, &[], &CATALOGUE, minute(81)), [], "of feeds that are configured");
        poll(&mut book, 90, "0.05");
        assert_eq!(told(&book, 91), []);
        poll(&mut book, 150, "0.30");
        assert_ne!(told(&book, 151), first, "held anew is told anew");
    }

    #[test]
    fn a_feed_that_fails_is_told_of_then_that_it_is_stale_and_its_spot_prices_unknown() {
        let mut book = FeedBook::default();
        poll(&mut book, 0, "0.05");
        fail(&mut book, 10);
        let failing = told(&book, 10);
        assert_eq!(failing.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["feed.failing"]);
        fail(&mut book, 20);
        assert_eq!(told(&book, 20), failing);
        fail(&mut book, 40);
        let all = told(&book, 40);
        let kinds: Vec<&str> = all.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, ["feed.failing", "feed.stale", "feed.silent"]);
        assert!(all[2].1.contains(LINE));
        fail(&mut book, 400);
        assert_eq!(told(&book, 400), all, "however long it lasts");
        poll(&mut book, 410, "0.05");
        assert_eq!(told(&book, 410), []);
        fail(&mut book, 420);
        assert_ne!(told(&book, 420), failing, "another failure is another piece of news");
    }
}
