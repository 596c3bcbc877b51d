//! `gallerist prices sync`: polls the configured feeds once, and says what is believed of what they told.
//!
//! Where a gateway has the books open, it polls and puts in force itself; else this process does, in the books, of
//! which other gateways hear. Fetching is the engine's, deciding is `gallerist_pricing::feed`; this prints.

use super::show;
use crate::books::Books;
use crate::client::Client;
use crate::commands::block_on;
use crate::config::feeds::{file, fit};
use crate::config::{Config, Environment, Place};
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use clap::Args;
use gallerist_domain::Ticks;
use gallerist_engine::feeds::{FeedFault, KeptBook, poll, take_in_file};
use gallerist_pricing::feed::{FeedBook, Told};
use gallerist_store::Store;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Times that what feeds told is taken anew because a gateway was faster.
const TRIES_MAX: u32 = 8;

#[derive(Debug, Args)]
pub struct SyncCommand {
    /// Believe what is held now instead of polling: of an OFFER, of one of its lines (OFFER LINE), or all of it
    #[arg(long, value_names = ["OFFER", "LINE"], num_args = 0..=2)]
    confirm: Option<Vec<String>>,
    /// Poll only the feed of this name
    #[arg(long, value_name = "NAME", conflicts_with = "confirm")]
    feed: Option<String>,
    /// Poll and print what would change, and change nothing
    #[arg(long, conflicts_with = "confirm")]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
}

pub fn run(command: &SyncCommand, as_json: bool) -> Result<()> {
    let environment = Environment::of_process();
    let config = Config::load(&command.place, &environment)?;
    let confirmed = command.confirm.as_ref().map(|words| match words.as_slice() {
        [] => Vec::new(),
        words => vec![words.join(" ")],
    });
    let confirmed = confirmed.as_deref();
    let told = match Books::beside(&config, !command.dry_run)? {
        Some(Books::Gateway(client)) => ask(&client, command, confirmed)?,
        Some(Books::Here(here)) if !command.dry_run => {
            let kept = keep(here.store(), &config, command, confirmed);
            as_json_lines(&here.block_on(kept)?)
        }
        _ => {
            let mut book = config.feed_book.clone();
            as_json_lines(&block_on(tell(&mut book, &config, command, confirmed))?)
        }
    };
    if as_json {
        output::json(&json!({"prices": told}));
    } else {
        print(&told, command);
    }
    silent(&told)
}

/// What every feed told is shown before one that told nothing makes the command fail.
fn silent(told: &[Value]) -> Result<()> {
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    // A line that cannot be read is its own matter; without one it is the whole answer.
    let whole = |row: &&Value| {
        row["line"] == "" && ["unreachable", "unreadable"].contains(&text(row, "decision").as_str())
    };
    let faults: Vec<String> = told
        .iter()
        .filter(whole)
        .map(|row| {
            format!("the feed {} is {}: {}", text(row, "feed"), text(row, "decision"), text(row, "why"))
        })
        .collect();
    if faults.is_empty() {
        return Ok(());
    }
    let stays = "its last prices stay in force; mend its url, key or form in [[feeds]], or ask again later";
    Err(Failure::failed(faults.join("\n  and: ")).advise(stays))
}

fn ask(client: &Client, command: &SyncCommand, confirmed: Option<&[String]>) -> Result<Vec<Value>> {
    let answer = match confirmed {
        Some(lines) => client.ask("POST", "/v1/prices/confirm", Some(&json!({"lines": lines})))?,
        None => {
            let body = json!({"feed": command.feed, "dry_run": command.dry_run});
            client.ask("POST", "/v1/prices/sync", Some(&body))?
        }
    };
    Ok(answer["data"].as_array().cloned().unwrap_or_default())
}

fn as_json_lines(told: &[Told]) -> Vec<Value> {
    told.iter().map(|one| serde_json::to_value(one).expect("plain data")).collect()
}

/// Lets the book change, and keeps it; anew where a gateway was faster.
async fn keep(
    store: &Store,
    config: &Config,
    command: &SyncCommand,
    confirmed: Option<&[String]>,
) -> Result<Vec<Told>> {
    take_in_file(store, &file(&config.data_dir)).await.map_err(|error| failed(&error))?;
    for _ in 0..TRIES_MAX {
        let kept = KeptBook::read(store).await.map_err(|error| failed(&error))?;
        let mut book = FeedBook::clone(&kept.book);
        fit(&mut book, &config.feeds, &config.base, store.is_shared(), Timestamp::now());
        let told = tell(&mut book, config, command, confirmed).await?;
        let digest = config.base.with_feeds(&book).digest;
        if digest != config.base.digest && !book.editions.contains_key(&digest) {
            book.note_edition(&digest, Timestamp::now());
        }
        if !kept.replace(store, book).await.map_err(|error| failed(&error))? {
            continue;
        }
        for one in told.iter().filter(|_| confirmed.is_some()) {
            let after = json!({"old_usd": one.old_usd, "new_usd": one.new_usd});
            store.note_change("prices.confirm", &one.line, after, Timestamp::now()).await?;
        }
        return Ok(told);
    }
    Err(failed(&FeedFault::Busy))
}

/// Polls, or believes what is held.
async fn tell(
    book: &mut FeedBook,
    config: &Config,
    command: &SyncCommand,
    confirmed: Option<&[String]>,
) -> Result<Vec<Told>> {
    if let Some(lines) = confirmed {
        let told = book.confirm(lines, &config.whole_base()?, Timestamp::now());
        if told.is_empty() && !lines.is_empty() {
            return Err(Failure::usage(book.nothing_held(lines)));
        }
        return Ok(told);
    }
    let asked = |name: &str| command.feed.as_deref().is_none_or(|feed| feed == name);
    let mut feeds = config.feeds.clone();
    feeds.retain(|feed| asked(&feed.rules.name));
    if feeds.is_empty() {
        let names: Vec<&str> = config.feeds.iter().map(|feed| feed.rules.name.as_str()).collect();
        return Err(match (&command.feed, names.is_empty()) {
            (Some(name), false) => Failure::usage(format!("there is no feed {name:?}"))
                .advise(format!("--feed with {}", names.join(" or "))),
            _ => Failure::usage("no feeds are configured")
                .advise("add [[feeds]] to the settings; docs/pricing.md has an example"),
        });
    }
    // A list may speak of more than can be ordered.
    let base = config.whole_base()?;
    poll(&feeds, &base, book, Timestamp::now())
        .await
        .map_err(|error| Failure::because("the feeds cannot be polled", &error))
}

fn failed(error: &FeedFault) -> Failure {
    Failure::because("what feeds told cannot be kept", error)
}

fn print(told: &[Value], command: &SyncCommand) {
    let mut table = Table::new()
        .text("line")
        .figure("old")
        .figure("new")
        .optional("per")
        .figure("%")
        .optional("since")
        .text("decision")
        .flexible("why")
        .optional("feed");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let same = told.iter().filter(|row| row["decision"] == "same").count();
    for row in told.iter().filter(|row| row["decision"] != "same") {
        let dollars = |name: &str| {
            let amount = row[name].as_str().and_then(|amount| amount.parse::<Ticks>().ok());
            amount.map_or_else(String::new, output::dollars)
        };
        let day = text(row, "retires_on");
        let new = if day.is_empty() { dollars("new_usd") } else { day };
        table.row([
            text(row, "line"),
            dollars("old_usd"),
            new,
            show::units(&text(row, "units"), &text(row, "meter")),
            text(row, "percent"),
            text(row, "since").chars().take(16).collect::<String>().replace('T', " "),
            text(row, "decision"),
            text(row, "why"),
            text(row, "feed"),
        ]);
    }
    if told.len() > same {
        output::line(table.render());
    }
    output::line(match same {
        1 => "1 line is as it was known.".to_owned(),
        _ => format!("{same} lines are as they were known."),
    });
    if command.dry_run && told.iter().any(|row| row["decision"] == "accepted") {
        output::line("Nothing was changed: leave out --dry-run to believe it.");
    }
    if told.iter().any(|row| row["decision"] == "held") {
        output::line(
            "A held price is not believed, and the last one stays in force: \
             `gallerist prices sync --confirm OFFER LINE` believes it.",
        );
    }
}
