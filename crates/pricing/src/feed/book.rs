//! Everything that feeds have told, and what is said of each feed: what is kept between polls.

use super::{
    AHEAD_MAX, EndWatch, MISSED_POLLS_MAX, POINTS_MAX, PricePoint, Silence, Target, Told, Watch, confirm,
    is_stale,
};
use crate::catalogue::Catalogue;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Catalogues that charges may still have to be settled by; older ones are settled by today's.
const EDITIONS_MAX: usize = 5_000;

/// What feeds told, by line and model; what they did last; and which catalogues came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedBook {
    /// By `OFFER LINE`.
    pub watches: BTreeMap<String, Watch>,
    /// When models end, by offer (`kind/model`).
    #[serde(default)]
    pub ends: BTreeMap<String, EndWatch>,
    /// By the name of the feed.
    #[serde(default)]
    pub feeds: BTreeMap<String, FeedStatus>,
    /// When a catalogue with feeds came into force, by its digest: what was quoted by it is settled by the prices
    /// that were believed until then.
    #[serde(default)]
    pub editions: BTreeMap<String, Timestamp>,
}

/// How a feed is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedStatus {
    /// The first attempt of all, from which on silence is counted.
    pub first_tried: Option<Timestamp>,
    /// The last poll that brought an answer that could be read.
    pub succeeded: Option<Timestamp>,
    /// Why the last poll brought none; absent when it did. Holds no key.
    pub fault: Option<String>,
    /// The first of the polls without a break that brought none.
    #[serde(default)]
    pub failing_since: Option<Timestamp>,
    /// When it was noticed that the feed is silent for longer than it may be.
    pub stale_since: Option<Timestamp>,
    /// When it was asked for what it told last, by whichever gateway; absent in books of earlier versions.
    #[serde(default)]
    pub asked: Option<Timestamp>,
    /// When it was asked last, whether or not that brought anything.
    #[serde(default)]
    pub tried: Option<Timestamp>,
    /// When it is to be asked again.
    #[serde(default)]
    pub due: Option<Timestamp>,
}

impl FeedStatus {
    /// Whether an answer to a question of `asked` is older than what is known already. A question from far ahead is
    /// of a clock that is wrong, and counts for nothing.
    pub fn is_newer_than(&self, asked: Timestamp) -> bool {
        let bound = asked.saturating_add(AHEAD_MAX).unwrap_or(asked);
        self.asked.is_some_and(|known| known > asked && known <= bound)
    }

    /// How long ago it was asked; `None` where it never was, or by a clock that is wrong.
    pub fn idle(&self, now: Timestamp) -> Option<SignedDuration> {
        let idle = now.duration_since(self.tried?);
        (idle >= -AHEAD_MAX).then(|| idle.max(SignedDuration::ZERO))
    }

    /// Whether nobody asks it any more: three times in a row nobody did when it was due.
    pub fn is_abandoned(&self, now: Timestamp) -> bool {
        let (Some(tried), Some(due)) = (self.tried, self.due) else { return true };
        now.duration_since(due) > due.duration_since(tried) * MISSED_POLLS_MAX
    }
}

/// A held price, as people decide about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldPrice {
    pub feed: String,
    /// `OFFER LINE`, or `OFFER retires_on`.
    pub line: String,
    pub new_usd: Option<gallerist_domain::Ticks>,
    /// Base units of the meter that the amount buys.
    pub per: Option<i64>,
    pub retires_on: Option<jiff::civil::Date>,
    /// From when on it would hold.
    pub since: Timestamp,
    pub why: String,
}

/// The word in place of a line for the day on which a model ends.
pub(crate) const RETIRES_ON: &str = "retires_on";

impl FeedBook {
    /// The book without the prices that were believed after `at`, and without what has fallen silent since.
    pub fn as_of(&self, at: Timestamp) -> FeedBook {
        let mut book = self.clone();
        for watch in book.watches.values_mut() {
            watch.points.retain(|point| point.believed.is_none_or(|believed| believed <= at));
            watch.silent = None;
        }
        book
    }

    /// Remembers that the catalogue of this digest is in force from `at` on.
    pub fn note_edition(&mut self, digest: &str, at: Timestamp) {
        self.editions.insert(digest.to_owned(), at);
        while self.editions.len() > EDITIONS_MAX {
            let oldest = self.editions.iter().min_by_key(|(_, at)| **at).map(|(digest, _)| digest.clone());
            oldest.and_then(|digest| self.editions.remove(&digest));
        }
    }

    /// Forgets the editions whose prices are forgotten: today's are nearer to them than the catalogue's.
    pub(super) fn forget_editions(&mut self) {
        let full = self.watches.values().filter(|watch| watch.points.len() >= POINTS_MAX);
        let oldest = full.filter_map(|watch| watch.points.first()?.believed).max();
        if let Some(oldest) = oldest {
            self.editions.retain(|_, at| *at >= oldest);
        }
    }

    /// Lets go of what feeds told that are not configured any more: the catalogue's own price holds again from
    /// `now` on, with its own source. Where the book is `shared`, others may have feeds that this gateway has not;
    /// and who has none at all may have been started without the settings. Those feeds go once nobody asks them any
    /// more. Returns the lines.
    pub fn leave(
        &mut self,
        configured: &[&str],
        catalogue: &Catalogue,
        shared: bool,
        now: Timestamp,
    ) -> Vec<String> {
        let feeds = &self.feeds;
        let stays = |feed: &str| {
            let status = feeds.get(feed).filter(|_| shared || configured.is_empty());
            configured.contains(&feed) || status.is_some_and(|status| !status.is_abandoned(now))
        };
        let gone: BTreeSet<String> = feeds.keys().filter(|feed| !stays(feed)).cloned().collect();
        let mut left = Vec::new();
        for (line, watch) in &mut self.watches {
            if watch.feed.is_empty() || stays(&watch.feed) {
                continue;
            }
            watch.held = None;
            watch.silent = None;
            let target = line
                .rsplit_once(' ')
                .map(|(offer, line)| Target { offer: offer.to_owned(), line: line.to_owned() });
            let Some(base) = target.and_then(|target| catalogue.line_price(&target, now)) else { continue };
            let told = watch.in_force(base).filter(|point| !point.quote.equals(base.quote));
            if let Some(told) = told {
                // Its clock may be a little ahead.
                let since = now.max(told.since);
                let gone = PricePoint { quote: base.quote, since, believed: Some(now), let_go: true };
                watch.points.push(gone);
                left.push(line.clone());
            }
        }
        self.feeds.retain(|name, _| !gone.contains(name));
        left
    }

    /// Notes that a feed was asked at `asked` and is to be asked again after `every`; `told` says whether it
    /// answered anything that could be read.
    pub fn note_poll(&mut self, feed: &str, asked: Timestamp, every: SignedDuration, told: bool) {
        let status = self.feeds.entry(feed.to_owned()).or_default();
        status.tried = Some(asked);
        status.due = asked.checked_add(every).ok();
        if told {
            status.asked = Some(asked);
        }
    }

    /// A poll brought nothing that could be read.
    pub fn note_failure(&mut self, feed: &str, why: String, now: Timestamp) {
        let status = self.feeds.entry(feed.to_owned()).or_default();
        status.first_tried.get_or_insert(now);
        status.failing_since.get_or_insert(now);
        status.fault = Some(why);
    }

    pub(super) fn note_success(&mut self, feed: &str, now: Timestamp) {
        let status = self.feeds.entry(feed.to_owned()).or_default();
        status.first_tried.get_or_insert(now);
        let FeedStatus { first_tried, asked, tried, due, .. } = *status;
        *status =
            FeedStatus { first_tried, succeeded: Some(now), asked, tried, due, ..FeedStatus::default() };
    }

    /// Marks what the feed has not told for longer than `allowed`, and takes the mark from what it tells again.
    /// `unknown` says whether a price that is not told any more is unknown (a spot price) or the last one goes on.
    /// Returns the lines that have fallen silent by this, and whether the feed itself has.
    pub fn mark_silence(
        &mut self,
        feed: &str,
        allowed: SignedDuration,
        unknown: bool,
        now: Timestamp,
    ) -> (Vec<String>, bool) {
        let mut fallen = Vec::new();
        for (line, watch) in self.watches.iter_mut().filter(|(_, watch)| watch.feed == feed) {
            match (is_stale(watch, allowed, now), watch.silent) {
                (true, None) => {
                    watch.silent = Some(Silence { noticed: now, unknown });
                    fallen.push(line.clone());
                }
                (false, Some(_)) => watch.silent = None,
                _ => {}
            }
        }
        let Some(status) = self.feeds.get_mut(feed) else { return (fallen, false) };
        let last = status.succeeded.or(status.first_tried);
        let stale = last.is_some_and(|last| now.duration_since(last) > allowed);
        let newly = stale && status.stale_since.is_none();
        status.stale_since = stale.then(|| status.stale_since.unwrap_or(now));
        (fallen, newly)
    }

    /// Whether a line of another feed than this one is told no more.
    pub fn silent_beside(&self, feed: &str) -> bool {
        self.watches.values().any(|watch| watch.silent.is_some() && watch.feed != feed)
    }

    /// What waits for a person.
    pub fn held(&self) -> Vec<HeldPrice> {
        let prices = self.watches.iter().filter_map(|(line, watch)| {
            let held = watch.held.as_ref()?;
            Some(HeldPrice {
                feed: watch.feed.clone(),
                line: line.clone(),
                new_usd: Some(held.quote.usd),
                per: Some(held.quote.per),
                retires_on: None,
                since: held.at,
                why: held.why.clone(),
            })
        });
        let ends = self.ends.iter().filter_map(|(offer, watch)| {
            let held = watch.held.as_ref()?;
            Some(HeldPrice {
                feed: watch.feed.clone(),
                line: format!("{offer} {RETIRES_ON}"),
                new_usd: None,
                per: None,
                retires_on: held.on,
                since: held.polled,
                why: held.why.clone(),
            })
        });
        prices.chain(ends).collect()
    }

    /// What is said where nothing is held of the names that somebody confirmed.
    pub fn nothing_held(&self, wanted: &[String]) -> String {
        let held: Vec<String> = self.held().into_iter().map(|held| held.line).collect();
        let shown = if held.is_empty() { "nothing at all".to_owned() } else { held.join(", ") };
        format!("nothing is held of {}; held is {shown}", wanted.join(", "))
    }

    /// A person believes at `now` what is held of these: an `OFFER`, an `OFFER LINE`; all of it where none is
    /// named. Returns the lines with the prices that were in force before, and the new.
    pub fn confirm(&mut self, wanted: &[String], catalogue: &Catalogue, now: Timestamp) -> Vec<Told> {
        let asked = |line: &str| {
            let offer = line.rsplit_once(' ').map_or(line, |(offer, _)| offer);
            wanted.is_empty() || wanted.iter().any(|name| name == line || name == offer)
        };
        let mut confirmed = Vec::new();
        for (line, watch) in self.watches.iter_mut().filter(|(line, _)| asked(line)) {
            let target = line.rsplit_once(' ').map(|(offer, line)| Target::new(offer, line));
            let base = target.as_ref().and_then(|target| catalogue.line_price(target, now));
            let old = base.map(|base| watch.in_force(base).map_or(base.quote, |point| point.quote));
            if let Some(point) = confirm(watch, now) {
                let told = Told { since: Some(point.since), ..Told::new("", line, "confirmed") };
                let meter = target.and_then(|target| catalogue.line_meter(&target));
                confirmed.push(told.of_prices(old, point.quote, meter));
            }
        }
        for (offer, watch) in &mut self.ends {
            let line = format!("{offer} {RETIRES_ON}");
            if asked(&line) && watch.confirm() {
                confirmed.push(Told { retires_on: watch.on, ..Told::new("", &line, "confirmed") });
            }
        }
        confirmed
    }

    /// The day on which a feed ends the model of this name at a kind of provider.
    pub fn retires_on(&self, kind: &str, model: &str) -> Option<jiff::civil::Date> {
        self.ends.get(&format!("{kind}/{model}"))?.on
    }

    /// What is known of a line.
    pub fn watch(&self, target: &Target) -> Option<&Watch> {
        self.watches.get(&target.to_string())
    }
}
