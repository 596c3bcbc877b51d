//! `gallerist prices changes`: the history of the catalogue, newest first, and what is announced.

use super::source::shown;
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use gallerist_pricing::Catalogue;
use gallerist_pricing::changes::{ChangeReport, changes};
use gallerist_pricing::feed::FeedBook;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// Hosts of one model that are named; the others are counted.
const HOSTS_MAX: usize = 2;

/// The events, with the end of one model at several hosts as one.
fn grouped(reports: &[ChangeReport]) -> Vec<(&ChangeReport, Vec<&str>)> {
    let mut rows: Vec<(&ChangeReport, Vec<&str>)> = Vec::new();
    for report in reports {
        let same = |one: &ChangeReport| {
            report.line.is_none()
                && (one.at, one.code, &one.model, &one.line, &one.successors)
                    == (report.at, report.code, &report.model, &report.line, &report.successors)
        };
        match rows.iter_mut().find(|(one, _)| same(one)) {
            Some((_, hosts)) => hosts.push(&report.provider),
            None => rows.push((report, vec![&report.provider])),
        }
    }
    rows
}

/// Who says so, and how sure that is where it is not the vendor's own word.
fn sourced(report: &ChangeReport) -> String {
    let source = report.source.clone().unwrap_or_default();
    match report.confidence {
        None | Some("official") => source,
        Some(word) => {
            format!("{source} ({}, {})", word.replace('_', " "), report.as_of.as_deref().unwrap_or("-"))
        }
    }
}

fn named(hosts: &[&str]) -> String {
    let first = hosts.iter().take(HOSTS_MAX).copied().collect::<Vec<_>>().join(", ");
    match hosts.len().saturating_sub(HOSTS_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Prints the events between two instants, of a catalogue with what feeds told in this book.
pub fn run(
    catalogue: &Catalogue,
    book: &FeedBook,
    (since, until): (Option<Timestamp>, Option<Timestamp>),
    provider: Option<&str>,
    as_json: bool,
) -> Result<()> {
    let now = Timestamp::now();
    let days = |days: i64| now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(now);
    let (since, until) = (since.unwrap_or_else(|| days(-90)), until.unwrap_or_else(|| days(365)));
    if since > until {
        let message = format!("--since ({since}) must not be after --until ({until})");
        return Err(
            Failure::usage(message).advise("without --since it is 90 days ago, without --until in a year")
        );
    }
    let found = changes(catalogue, since, until);
    let of_provider = found.iter().filter(|change| provider.is_none_or(|kind| kind == change.kind));
    let reports: Vec<ChangeReport> = of_provider.map(ChangeReport::from).collect();
    if as_json {
        let feeds = shown(book);
        output::json(&json!({"since": since, "until": until, "changes": reports, "feeds": feeds}));
        return Ok(());
    }
    let mut table = Table::new()
        .text("at")
        .text("model")
        .text("provider")
        .text("what")
        .optional("line")
        .figure("old")
        .figure("new")
        .figure("%")
        .flexible("source or successor");
    for (report, hosts) in grouped(&reports) {
        let dollars = |amount: Option<_>| amount.map_or_else(String::new, output::dollars);
        let announced = if report.at > now { " (ahead)" } else { "" };
        table.row([
            report.at.strftime("%Y-%m-%d").to_string(),
            report.model.clone(),
            named(&hosts),
            format!("{}{announced}", report.code.replace('_', " ")),
            report.line.clone().unwrap_or_default(),
            dollars(report.old_usd),
            dollars(report.new_usd),
            report.percent.clone().unwrap_or_default(),
            match report.successors.is_empty() {
                true => sourced(report),
                false => format!("use {}", report.successors.join(" or ")),
            },
        ]);
    }
    output::line(table.render());
    output::line(format!(
        "\n{} since {}.",
        output::counted(reports.len(), "change"),
        since.strftime("%Y-%m-%d")
    ));
    super::tell_feeds(book, now);
    Ok(())
}
