//! `gallerist prices changes`: the history of the catalogue, newest first, and what is announced.

use super::show;
use super::source::shown;
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use gallerist_domain::Ticks;
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

/// An amount, or what a factor multiplies by: `× 1/2`.
fn figure(usd: Option<Ticks>, factor: Option<&str>) -> String {
    let multiplies = || factor.map(|factor| format!("× {factor}"));
    usd.map(output::dollars).or_else(multiplies).unwrap_or_default()
}

/// What both amounts buy.
fn unit(report: &ChangeReport) -> String {
    report.per.as_deref().zip(report.meter).map_or_else(String::new, |(per, meter)| show::units(per, meter))
}

fn named(hosts: &[&str]) -> String {
    let first = hosts.iter().take(HOSTS_MAX).copied().collect::<Vec<_>>().join(", ");
    match hosts.len().saturating_sub(HOSTS_MAX) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// One event a row, with what both figures are for.
fn table(reports: &[ChangeReport], now: Timestamp) -> Table {
    let mut table = Table::new()
        .text("at")
        .text("model")
        .text("provider")
        .text("what")
        .optional("line")
        .figure("old")
        .figure("new")
        .optional("per")
        .figure("%")
        .flexible("source or successor");
    for (report, hosts) in grouped(reports) {
        let announced = if report.at > now { " (ahead)" } else { "" };
        table.row([
            report.at.strftime("%Y-%m-%d").to_string(),
            report.model.clone(),
            named(&hosts),
            format!("{}{announced}", report.code.replace('_', " ")),
            report.line.clone().unwrap_or_default(),
            figure(report.old_usd, report.old_factor.as_deref()),
            figure(report.new_usd, report.new_factor.as_deref()),
            unit(report),
            report.percent.clone().unwrap_or_default(),
            match report.successors.is_empty() {
                true => sourced(report),
                false => format!("use {}", report.successors.join(" or ")),
            },
        ]);
    }
    table
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
    output::line(table(&reports, now).render());
    output::line(format!(
        "\n{} since {}.",
        output::counted(reports.len(), "change"),
        since.strftime("%Y-%m-%d")
    ));
    super::tell_feeds(book, now);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(code: &'static str, line: &str) -> ChangeReport {
        ChangeReport {
            at: "2026-10-01T00:00:00Z".parse().expect("an instant"),
            provider: "gpu-cloud".to_owned(),
            model: "sdxl".to_owned(),
            code,
            line: Some(line.to_owned()),
            old_usd: None,
            new_usd: None,
            per: None,
            meter: None,
            old_factor: None,
            new_factor: None,
            percent: None,
            successors: Vec::new(),
            source: Some("the list".to_owned()),
            confidence: Some("official"),
            as_of: Some("2026-10-01".to_owned()),
        }
    }

    /// The cells of a row, however wide.
    fn cells(text: &str, line: &str) -> Vec<String> {
        let row = text.lines().find(|row| row.contains(line)).expect("it has a row");
        row.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
    }

    #[test]
    fn an_amount_says_what_it_buys_and_a_factor_what_it_multiplies_by() {
        let dollars = |text: &str| Some(text.parse().expect("an amount"));
        let hour = ChangeReport {
            old_usd: dollars("3.49"),
            new_usd: dollars("3.99"),
            per: Some("3600".to_owned()),
            meter: Some("gpu_seconds"),
            percent: Some("+14.33".to_owned()),
            ..report("price", "hour")
        };
        let launch = ChangeReport {
            old_factor: Some("1".to_owned()),
            new_factor: Some("1/2".to_owned()),
            percent: Some("-50.00".to_owned()),
            ..report("factor_began", "launch")
        };
        let now = "2026-11-29T12:00:00Z".parse().expect("an instant");
        let text = table(&[hour, launch], now).render();
        assert_eq!(cells(&text, " hour ")[5..9], ["$3.49", "$3.99", "3600 gpu seconds", "+14.33"], "{text}");
        assert_eq!(cells(&text, " launch ")[5..8], ["× 1", "× 1/2", "-50.00"], "{text}");
    }
}
