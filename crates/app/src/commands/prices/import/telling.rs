//! What is said of a foreign list: its comparison with ours, and the plan of what an import writes.

use super::super::show::units;
use crate::output;
use crate::table::Table;
use gallerist_domain::{Meter, Ticks};
use gallerist_pricing::import::compare::{Finding, Standing};
use gallerist_pricing::import::plan::{Planned, plan};
use gallerist_pricing::import::write::Written;
use gallerist_pricing::import::{Entry, Row, Verdict};
use gallerist_pricing::quote::display_quantity;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

pub fn report(entries: &[Entry], findings: &[Finding], all: bool, as_json: bool) {
    if as_json {
        let entries: Vec<Value> = entries.iter().map(entry_json).collect();
        output::json(&json!({"entries": entries, "findings": findings, "standings": standings(findings)}));
        return;
    }
    let differs = |finding: &&Finding| {
        all || matches!(finding.standing, Standing::Held | Standing::Dearer | Standing::Cheaper)
    };
    print_findings(findings.iter().filter(differs));
    summary(entries, findings);
    if !all {
        output::line("--all shows every row, --json everything.");
    }
}

fn print_findings<'f>(findings: impl Iterator<Item = &'f Finding>) {
    let mut table = Table::new()
        .text("standing")
        .text("entry")
        .optional("ours")
        .text("what")
        .figure("list")
        .figure("ours $")
        .figure("%")
        .optional("our source is")
        .flexible("why");
    let mut sorted: Vec<&Finding> = findings.collect();
    sorted.sort_by(|a, b| (a.standing, &a.entry, &a.what).cmp(&(b.standing, &b.entry, &b.what)));
    for finding in sorted {
        table.row([
            finding.standing.as_str().to_owned(),
            finding.entry.clone(),
            finding.offer.clone().unwrap_or_default(),
            finding.what.clone(),
            price(finding.list_usd, finding.list_per, finding.meter),
            price(finding.ours_usd, finding.ours_per, finding.meter),
            finding.percent.clone().unwrap_or_default(),
            finding.ours_confidence.unwrap_or_default().replace('_', " "),
            finding.why.clone().unwrap_or_default(),
        ]);
    }
    output::line(table.render());
}

/// An amount and what it buys: `$0.63 / 1M`, `$0.04`.
fn price(amount: Option<Ticks>, per: Option<i64>, meter: Option<Meter>) -> String {
    let Some(amount) = amount else { return String::new() };
    let (Some(per), Some(meter)) = (per, meter) else { return output::dollars(amount) };
    match bought(per, meter, "").as_str() {
        "" => output::dollars(amount),
        units => format!("{} / {units}", output::dollars(amount)),
    }
}

/// What a price buys, of a meter of this name.
fn bought(per: i64, meter: Meter, name: &str) -> String {
    match meter {
        // So many base units are one picture of them, or one unit.
        Meter::Images if name.is_empty() => String::new(),
        _ => units(&display_quantity(meter, per), name).trim().to_owned(),
    }
}

fn standings(findings: &[Finding]) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for finding in findings {
        *counts.entry(finding.standing.as_str()).or_default() += 1;
    }
    counts
}

/// Counts of entries and rows, and why entries have no price.
fn summary(entries: &[Entry], findings: &[Finding]) {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in entries {
        if let Verdict::Unpriced(reason) = &entry.verdict {
            *reasons.entry(reason.code()).or_default() += 1;
        }
    }
    let listed = |counts: &BTreeMap<&str, usize>| {
        let words: Vec<String> =
            counts.iter().map(|(word, count)| format!("{count} {}", word.replace('_', " "))).collect();
        words.join(", ")
    };
    let unpriced: usize = reasons.values().sum();
    let because = if reasons.is_empty() { String::new() } else { format!(" ({})", listed(&reasons)) };
    output::line(format!(
        "\n{} entries: {} priced exactly, {unpriced} not{because}.",
        entries.len(),
        entries.len() - unpriced
    ));
    output::line(format!("Rows beside ours: {}.", listed(&standings(findings))));
}

fn entry_json(entry: &Entry) -> Value {
    let reason = match &entry.verdict {
        Verdict::Priced(_) => Value::Null,
        Verdict::Unpriced(reason) => json!({"code": reason.code(), "message": reason.to_string()}),
    };
    let row = |row: &Row| {
        json!({
            "field": row.field, "meter": row.meter, "usd": row.price.amount, "per": row.price.per,
            "round_up": row.round_up, "quality": row.key.quality, "size": row.key.size,
            "resolution": row.key.resolution, "steps_max": row.key.steps_max, "tier": row.key.tier,
            "typical": row.typical,
        })
    };
    json!({
        "id": entry.id, "provider": entry.provider, "kind": entry.kind, "model": entry.model,
        "retires_on": entry.retires_on, "page": entry.page, "notes": entry.notes, "unpriced": reason,
        "prices": entry.rows().iter().map(row).collect::<Vec<_>>(),
    })
}

/// An import, as it is told.
pub struct Told<'a> {
    pub entries: &'a [Entry],
    pub findings: &'a [Finding],
    pub written: &'a Written,
    /// The folder that the files are in; `None` where they would be written.
    pub to: Option<&'a Path>,
}

/// Every price of the list with ours, whether it is written, and why not.
pub fn show(told: &Told<'_>, as_json: bool) {
    let (entries, written) = (told.entries, told.written);
    let names: Vec<&str> = written.files.iter().map(|(name, _)| name.as_str()).collect();
    let planned = plan(entries, told.findings, written);
    if as_json {
        let left_out: Vec<Value> =
            written.left_out.iter().map(|(id, why)| json!({"entry": id, "why": why})).collect();
        output::json(&json!({
            "written": told.to.is_some(), "files": names, "entries": written.entries, "left_out": left_out,
            "price_lines": written.lines, "prices": planned,
        }));
        return;
    }
    let mut table = Table::new()
        .text("entry")
        .optional("per")
        .figure("old $")
        .figure("new $")
        .figure("%")
        .flexible("written or why not");
    for price in &planned {
        let dollars = |amount: Option<Ticks>| amount.map(output::dollars).unwrap_or_default();
        table.row([
            price.entry.to_owned(),
            thing(price),
            dollars(price.old_usd),
            dollars(price.new_usd),
            price.percent.filter(|_| price.old_usd != price.new_usd).unwrap_or_default().to_owned(),
            state(price, told.to.is_some()),
        ]);
    }
    output::line(table.render());
    output::line("\nOld is ours for the same thing, which stays as it is; new is the list's.");
    summary(entries, told.findings);
    output::line(sums(told, &names));
}

/// `1M image output tokens, batch`.
fn thing(price: &Planned<'_>) -> String {
    let (Some(per), Some(meter)) = (price.per, price.meter) else { return String::new() };
    let key = price.key.map(ToString::to_string).unwrap_or_default();
    let bought = bought(per, meter, meter.name());
    if key.is_empty() { bought } else { format!("{bought}, {key}") }
}

fn state(price: &Planned<'_>, done: bool) -> String {
    let why = price.why.as_deref();
    match (price.written, why) {
        (false, Some(why)) => format!("left out: {why}"),
        (false, None) => "left out".to_owned(),
        (true, _) => {
            let word = if done { "written" } else { "would be written" };
            let standing = match price.standing {
                Standing::OnlyThere => "ours has no such model".to_owned(),
                standing => standing.as_str().to_owned(),
            };
            let more = why.map(|why| format!(": {why}")).unwrap_or_default();
            format!("{word}; {standing}{more}")
        }
    }
}

/// What is in the files, and what is not.
fn sums(told: &Told<'_>, names: &[&str]) -> String {
    let written = told.written;
    let (count, left) = (written.entries.len(), written.left_out.len());
    let (prices, left_prices) = written.prices(told.entries);
    let some =
        |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let entries = some(count, "entry", "entries");
    let lines = some(written.lines, "price line", "price lines");
    let left_out = format!("{left} left out, with {}", some(left_prices, "price", "prices"));
    let share = if prices == written.lines {
        String::new()
    } else {
        format!(" ({prices} prices; those that say the same share a line)")
    };
    match told.to {
        _ if count == 0 => {
            let verb = if told.to.is_some() { "was" } else { "would be" };
            format!("No entry {verb} written, of {left} that were read.")
        }
        Some(directory) => format!(
            "{entries} written to {} as {}: {lines}{share}; {left_out}.\nNothing is ordered by them; \
             `catalogue_dir = {:?}` adds them to `gallerist prices list`.",
            directory.display(),
            names.join(", "),
            directory.display().to_string()
        ),
        None => format!(
            "{entries} would be written as {}: {lines}{share}; {left_out}; --write DIR writes them.",
            names.join(", ")
        ),
    }
}
