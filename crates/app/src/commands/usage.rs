//! `gallerist usage`: spending by project, key, end user, tag, provider, model, operation or day.

use super::instant;
use crate::books::{Books, disputed};
use crate::config::Place;
use crate::doubt;
use crate::failure::{Failure, Result};
use crate::filters;
use crate::output;
use crate::table::Table;
use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

const EXAMPLES: &str = "Examples:
  gallerist usage
  gallerist usage --group-by project,day --from 2026-11-01
  gallerist usage --group-by tag:team --model flux-2-pro
  gallerist usage --group-by user,day --csv > november.csv
  gallerist usage --group-by model --json";

/// What was spent, and on what
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct UsageCommand {
    /// project, key, user, tag, tag:NAME, provider, model, operation, day; joined by commas
    #[arg(long, value_name = "KEYS", default_value = "provider,model")]
    group_by: String,
    /// From this instant or day (UTC) on
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    from: Option<Timestamp>,
    /// Before this instant or day (UTC)
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    to: Option<Timestamp>,
    /// Only this project
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    /// Only this client key, by its id
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Only this end user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// Only requests with this tag
    #[arg(long, value_name = "NAME=VALUE")]
    tag: Option<String>,
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[arg(long, value_name = "WORD")]
    operation: Option<String>,
    /// The rows as CSV for a spreadsheet
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    #[command(flatten)]
    place: Place,
}

pub fn run(command: &UsageCommand, json: bool) -> Result<()> {
    if let (Some(from), Some(to)) = (command.from, command.to)
        && from > to
    {
        return Err(Failure::usage(format!("--from ({from}) must not be after --to ({to})")));
    }
    let books = Books::open(&command.place, false)?;
    let (from, to) = (command.from.map(|at| at.to_string()), command.to.map(|at| at.to_string()));
    let asked = [
        ("group_by", Some(command.group_by.as_str()).filter(|text| !text.is_empty())),
        ("from", from.as_deref()),
        ("to", to.as_deref()),
        ("project", command.project.as_deref()),
        ("key", command.key.as_deref()),
        ("user", command.user.as_deref()),
        ("tag", command.tag.as_deref()),
        ("provider", command.provider.as_deref()),
        ("model", command.model.as_deref()),
        ("operation", command.operation.as_deref()),
    ];
    if command.csv {
        output::bytes(&books.usage_csv(&asked)?);
        return Ok(());
    }
    let report = books.usage(&asked)?;
    if report["totals"]["requests"] == 0 {
        note_unknown(&books, &asked)?;
    }
    if json {
        output::json(&report);
    } else {
        output::line(table(&command.group_by, &report).render());
        tell_of_doubts(&report["totals"]);
        tell_of_doubtful_lists(&report["totals"]);
        tell_of_credits(&report["totals"]);
        super::hint_at_disputes(disputed(&report["totals"]));
    }
    Ok(())
}

/// Filters by names that the books have never seen.
fn note_unknown(books: &Books, asked: &[(&str, Option<&str>)]) -> Result<()> {
    for name in ["project", "key", "provider", "model"] {
        let wanted = asked.iter().find(|(one, _)| *one == name).and_then(|(_, wanted)| *wanted);
        let Some(wanted) = wanted else { continue };
        // One that is new has no usage yet.
        if name == "project" {
            filters::note(name, wanted, filters::projects(books)?);
            continue;
        }
        let all = books.usage(&[("group_by", Some(name))])?;
        let rows = all["rows"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        filters::note(name, wanted, rows.filter_map(|row| row[name].as_str()).map(str::to_owned).collect());
    }
    Ok(())
}

/// How much rests on prices that are not the vendors' own word, or old.
fn tell_of_doubts(totals: &Value) {
    if doubt::is_some(&totals["doubtful_usd"]) {
        output::line(format!(
            "\n{} of {} charged rests on prices below official, or more than 90 days old when it was charged; \
             `gallerist requests show ID` names them.",
            output::dollars_of(&totals["doubtful_usd"]),
            output::dollars_of(&totals["charged_usd"])
        ));
    }
}

/// So of what would have been paid otherwise, against which the savings are told.
fn tell_of_doubtful_lists(totals: &Value) {
    if doubt::is_some(&totals["list_doubtful_usd"]) {
        output::line(format!(
            "\n{} of the {} that the baseline would have cost rests on prices below official, or more \
             than 90 days old, and so do the savings against it.",
            output::dollars_of(&totals["list_doubtful_usd"]),
            output::dollars_of(&totals["list_usd"])
        ));
    }
}

/// What credits that were bought ahead paid and lost, where there were any.
fn tell_of_credits(totals: &Value) {
    let amount = |name: &str| output::dollars_of(&totals[name]);
    let some =
        |name: &str| totals[name].as_str().is_some_and(|text| amount(name) != "$0.00" && !text.is_empty());
    if some("credits_covered_usd") {
        output::line(format!(
            "\nPrepaid credits paid {} of it; they had been bought for {}.",
            amount("credits_covered_usd"),
            amount("credits_cost_usd")
        ));
    }
    if some("expired_usd") {
        output::line(format!("\nCredits bought for {} expired unused.", amount("expired_usd")));
    }
}

const COUNTS: &[(&str, &str)] = &[("requests", "requests"), ("images", "images"), ("attempts", "attempts")];
const AMOUNTS: &[(&str, &str)] =
    &[("charged_usd", "charged"), ("wasted_usd", "wasted"), ("disputed_usd", "disputed")];
/// They speak of the requests that have a baseline, the last of those that delivered.
const AGAINST_BASELINE: &[&str] = &["saved_usd", "list_usd", "cost_per_image_usd"];

fn table(group_by: &str, report: &Value) -> Table {
    let keys: Vec<&str> = group_by.split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
    let mut table = keys.iter().fold(Table::new(), |table, key| match *key {
        "model" => table.flexible(key),
        _ => table.text(key),
    });
    if keys.is_empty() {
        table = table.text("");
    }
    table = COUNTS.iter().fold(table, |table, (_, title)| table.spare_figure(title));
    table = AMOUNTS.iter().fold(table, |table, (_, title)| table.figure(title));
    let doubts = doubt::is_some(&report["totals"]["doubtful_usd"]);
    if doubts {
        table = table.spare_figure("of it doubtful");
    }
    table = table.figure("saved").spare_figure("baseline").spare_figure("per image");
    let figures = |row: &Value| -> Vec<String> {
        let compared = |name: &str| match row[name].is_null() {
            true => "–".to_owned(),
            // A quotient has as many digits as there is room for.
            false if name.starts_with("cost_per") => output::rounded_of(&row[name]),
            false => output::dollars_of(&row[name]),
        };
        let counts = COUNTS.iter().map(|(name, _)| row[*name].to_string());
        let amounts = AMOUNTS.iter().map(|(name, _)| output::dollars_of(&row[*name]));
        let doubtful = doubts.then(|| output::dollars_of(&row["doubtful_usd"]));
        counts
            .chain(amounts)
            .chain(doubtful)
            .chain(AGAINST_BASELINE.iter().map(|name| compared(name)))
            .collect()
    };
    for row in
        report["rows"].as_array().map(Vec::as_slice).unwrap_or_default().iter().filter(|_| !keys.is_empty())
    {
        let names = keys.iter().map(|key| row[*key].as_str().unwrap_or_default().to_owned());
        table.row(names.chain(figures(row)).collect::<Vec<_>>());
    }
    let mut total = vec![String::new(); keys.len().max(1)];
    total[0] = "total".to_owned();
    total.extend(figures(&report["totals"]));
    table.row(total);
    table
}
