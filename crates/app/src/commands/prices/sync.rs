//! `gallerist prices sync`: polls the configured feeds once, and says what is believed of what they told.
//!
//! Fetching is the engine's, deciding is `gallerist_pricing::feed`; this prints, and keeps the book.

use crate::config::Config;
use crate::config::feeds::{Feed, FeedForm, book_path};
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use gallerist_domain::{Meter, Ticks};
use gallerist_pricing::Catalogue;
use gallerist_pricing::feed::{
    Decision, FeedBook, Observation, Quoted, Target, confirm, is_stale, json as read_json, observe, spot,
};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use serde::Serialize;
use std::path::Path;

/// One line of the result.
#[derive(Debug, Serialize)]
struct Told {
    /// Address of the feed; empty for what a person confirmed.
    feed: String,
    line: String,
    old_usd: Option<Ticks>,
    new_usd: Option<Ticks>,
    /// Base units of the meter that the amounts buy.
    per: Option<i64>,
    since: Option<Timestamp>,
    decision: &'static str,
    why: Option<String>,
}

/// Polls once, or with `confirm` believes what is held.
pub fn run(config: &Config, confirm_held: bool, as_json: bool) -> Result<()> {
    let mut book = config.feed_book.clone();
    let told = if confirm_held { confirmed(&mut book) } else { poll(config, &mut book)? };
    keep(&config.data_dir, &book)?;
    if as_json {
        output::json(&serde_json::json!({"feeds": config.feeds.len(), "prices": told}));
    } else {
        print(&told);
    }
    Ok(())
}

fn confirmed(book: &mut FeedBook) -> Vec<Told> {
    let mut told = Vec::new();
    for (line, watch) in &mut book.watches {
        let old = watch.points.last().map(|point| point.quote.usd);
        if let Some(point) = confirm(watch) {
            told.push(Told {
                old_usd: old,
                new_usd: Some(point.quote.usd),
                per: Some(point.quote.per),
                since: Some(point.since),
                ..Told::new("", line, "confirmed")
            });
        }
    }
    told
}

fn poll(config: &Config, book: &mut FeedBook) -> Result<Vec<Told>> {
    if config.feeds.is_empty() {
        return Err(Failure::usage("no feeds are configured")
            .advise("add [[feeds]] to the settings; docs/pricing.md has an example"));
    }
    let catalogue = config.whole_catalogue()?;
    let mut told = Vec::new();
    for feed in &config.feeds {
        let key = feed.key.as_ref().map(ExposeSecret::expose_secret);
        let body =
            crate::commands::block_on(async { Ok(gallerist_engine::feeds::fetch(&feed.url, key).await) })?;
        let now = Timestamp::now();
        match body {
            Ok(body) => told.extend(decide(feed, &body, &catalogue, book, now)),
            Err(fault) => {
                told.push(Told { why: Some(fault.to_string()), ..Told::new(&feed.url, "", "unreachable") });
            }
        }
        told.extend(stale(feed, book, now));
    }
    Ok(told)
}

fn decide(feed: &Feed, body: &str, catalogue: &Catalogue, book: &mut FeedBook, now: Timestamp) -> Vec<Told> {
    let meter_of = |target: &Target| meter(catalogue, target);
    let observations = match &feed.form {
        FeedForm::Json(mappings) => read_json(body, mappings, now, meter_of),
        FeedForm::Spot => spot(body, now, meter_of),
    };
    let mut told = Vec::new();
    for observation in observations {
        told.push(match observation {
            Ok(seen) => decided(feed, &seen, catalogue, book, now),
            Err(fault) => Told { why: Some(fault.to_string()), ..Told::new(&feed.url, "", "unreadable") },
        });
    }
    told
}

fn decided(
    feed: &Feed,
    seen: &Observation,
    catalogue: &Catalogue,
    book: &mut FeedBook,
    now: Timestamp,
) -> Told {
    let line = seen.target.to_string();
    let blank = Told::new(&feed.url, &line, "unreadable");
    let Some(base) = catalogue.line_price(&seen.target, now) else {
        return Told { why: Some("the line has no price now".to_owned()), ..blank };
    };
    let watch = book.watches.entry(line.clone()).or_default();
    let old = watch.points.last().map_or(base, |point| point.quote);
    let Quoted { usd, per } = seen.quote;
    let (decision, why) = match observe(watch, base, seen, now, feed.jump_factor) {
        Decision::Same => ("same", None),
        Decision::Accepted(_) => ("accepted", None),
        Decision::Held(why) => {
            tracing::warn!(%line, %why, "a polled price is held until it is confirmed");
            ("held", Some(why))
        }
        Decision::Late => ("late", Some("older than what is known".to_owned())),
        Decision::Refused(why) => ("refused", Some(why.to_owned())),
    };
    Told {
        decision,
        why,
        old_usd: Some(old.usd),
        new_usd: Some(usd),
        per: Some(per),
        since: Some(seen.at),
        ..blank
    }
}

/// Lines of a feed that have not been told for several polls.
fn stale(feed: &Feed, book: &FeedBook, now: Timestamp) -> Vec<Told> {
    let FeedForm::Json(mappings) = &feed.form else { return Vec::new() };
    let every = SignedDuration::from_mins(i64::from(feed.every_minutes));
    let lines = mappings.iter().map(|mapping| mapping.target.to_string());
    let stale = lines.filter(|line| book.watches.get(line).is_some_and(|watch| is_stale(watch, every, now)));
    stale.map(|line| Told::new(&feed.url, &line, "stale")).collect()
}

fn meter(catalogue: &Catalogue, target: &Target) -> Option<Meter> {
    let (kind, model) = target.offer.split_once('/')?;
    let model = catalogue.provider(kind)?.models.iter().find(|sheet| sheet.id == model)?;
    model.sheet.lines.iter().find(|line| line.id == target.line).map(|line| line.meter)
}

impl Told {
    fn new(feed: &str, line: &str, decision: &'static str) -> Told {
        let (feed, line) = (feed.to_owned(), line.to_owned());
        Told { feed, line, old_usd: None, new_usd: None, per: None, since: None, decision, why: None }
    }
}

/// Written beside and renamed, so that a crash leaves the old book or the new one.
fn keep(data_dir: &Path, book: &FeedBook) -> Result<()> {
    let path = book_path(data_dir);
    let failed =
        |error: std::io::Error| Failure::because(format!("{} cannot be written", path.display()), &error);
    std::fs::create_dir_all(data_dir).map_err(failed)?;
    let text = serde_json::to_string_pretty(book).expect("a book of texts and figures is JSON");
    let beside = path.with_extension("json.new");
    std::fs::write(&beside, text).map_err(failed)?;
    std::fs::rename(&beside, &path).map_err(failed)
}

fn print(told: &[Told]) {
    let mut table = Table::new()
        .text("line")
        .figure("old")
        .figure("new")
        .optional("since")
        .text("decision")
        .flexible("why")
        .optional("feed");
    for row in told {
        let dollars = |amount: Option<Ticks>| amount.map_or_else(String::new, output::dollars);
        table.row([
            row.line.clone(),
            dollars(row.old_usd),
            dollars(row.new_usd),
            row.since.map(|since| since.strftime("%Y-%m-%d %H:%M").to_string()).unwrap_or_default(),
            row.decision.to_owned(),
            row.why.clone().unwrap_or_default(),
            row.feed.clone(),
        ]);
    }
    output::line(table.render());
    if told.iter().any(|row| row.decision == "held") {
        output::line(
            "\nA held price is not believed: the next poll that agrees confirms it, or `gallerist prices sync --confirm`.",
        );
    }
}
