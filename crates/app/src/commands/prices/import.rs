//! `gallerist prices import`: somebody else's price list, held against ours, and written beside it.
//!
//! Reads the file, prints what the list says and what would be written, and writes only into the folder that
//! is named. What the figures mean is `gallerist_pricing::import`.

use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use clap::{Args, ValueEnum};
use gallerist_pricing::Catalogue;
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::import::compare::{Finding, Standing, compare};
use gallerist_pricing::import::write::{Written, files};
use gallerist_pricing::import::{Entry, Format, Row, Verdict, read};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Whose list it is
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ListFormat {
    /// model_prices_and_context_window.json
    Litellm,
    /// The answer of /api/v1/models, or of a model's endpoints
    Openrouter,
    /// pricing/PROVIDER.json, in cents
    Portkey,
}

#[derive(Debug, Args)]
pub struct ImportCommand {
    /// The price list
    file: PathBuf,
    #[arg(long, value_enum)]
    format: ListFormat,
    /// Whose prices a Portkey file has [default: the file's name]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Show how the list differs from our catalogue, and write nothing
    #[arg(long, conflicts_with_all = ["write", "prefer_imported"])]
    compare: bool,
    /// With --compare, also rows that are the same, not comparable or only on one side
    #[arg(long, requires = "compare")]
    all: bool,
    /// Write a catalogue file for each provider of the list into this folder
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// Write also models that we price from an official source
    #[arg(long)]
    prefer_imported: bool,
    /// The instant or day (UTC) whose prices of ours are compared [default: now]
    #[arg(long, value_name = "WHEN", value_parser = crate::commands::instant)]
    at: Option<Timestamp>,
}

pub fn run(command: &ImportCommand, catalogue: &Catalogue, as_json: bool) -> Result<()> {
    let text = std::fs::read_to_string(&command.file)
        .map_err(|error| Failure::unreadable(command.file.display(), &error))?;
    let format = match command.format {
        ListFormat::Litellm => Format::Litellm,
        ListFormat::Openrouter => Format::Openrouter,
        ListFormat::Portkey => Format::Portkey,
    };
    let stem = command.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let provider = command.provider.clone().or(stem).unwrap_or_default();
    let at = command.at.unwrap_or_else(Timestamp::now);
    let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let entries =
        read(format, &text, &provider, today).map_err(|error| Failure::failed(error.to_string()))?;
    let findings = compare(&entries, catalogue, at);
    if command.compare {
        report(&entries, &findings, command.all, as_json);
        return Ok(());
    }
    let written = files(format, &entries, &findings, today, command.prefer_imported);
    if let Some(directory) = &command.write {
        write(directory, &written)?;
    }
    show(&entries, &findings, &written, command.write.as_deref(), as_json);
    Ok(())
}

fn report(entries: &[Entry], findings: &[Finding], all: bool, as_json: bool) {
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
            price(finding.list_usd, finding.list_per),
            price(finding.ours_usd, finding.ours_per),
            finding.percent.clone().unwrap_or_default(),
            finding.ours_confidence.unwrap_or_default().replace('_', " "),
            finding.why.clone().unwrap_or_default(),
        ]);
    }
    output::line(table.render());
}

fn price(amount: Option<gallerist_domain::Ticks>, per: Option<i64>) -> String {
    let Some(amount) = amount else { return String::new() };
    match per {
        None | Some(1) => output::dollars(amount),
        Some(per) => format!("{} / {per}", output::dollars(amount)),
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

fn write(directory: &Path, written: &Written) -> Result<()> {
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::because(format!("{} cannot be written", path.display()), error)
    };
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    for (name, text) in &written.files {
        let path = directory.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    // The folder's other files count too: a file that is written must not be what the gateway stumbles over.
    let origin = Origin { directory: Some(directory.to_owned()), described: false };
    origin.whole().map(drop).map_err(|mistakes| {
        let list: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Failure::failed(format!("the folder's files have mistakes\n  {}", list.join("\n  ")))
    })
}

fn show(entries: &[Entry], findings: &[Finding], written: &Written, to: Option<&Path>, as_json: bool) {
    let names: Vec<&str> = written.files.iter().map(|(name, _)| name.as_str()).collect();
    if as_json {
        let left_out: Vec<Value> =
            written.left_out.iter().map(|(id, why)| json!({"entry": id, "why": why})).collect();
        output::json(&json!({
            "written": to.is_some(), "files": names, "entries": written.entries, "left_out": left_out,
        }));
        return;
    }
    let mut table = Table::new().text("entry").text("prices").flexible("written or why not");
    let why: BTreeMap<&str, &str> =
        written.left_out.iter().map(|(id, why)| (id.as_str(), why.as_str())).collect();
    for entry in entries {
        let row = |row: &Row| {
            let amount = price(Some(row.price.amount), Some(row.price.per));
            format!("{amount} {} {}", row.meter.name(), row.key).trim_end().to_owned()
        };
        let rows: Vec<String> = entry.rows().iter().map(row).collect();
        let shown = match rows.as_slice() {
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first}, {} more", rest.len()),
            [] => String::new(),
        };
        let state = why.get(entry.id.as_str()).copied().unwrap_or(match to {
            Some(_) => "written",
            None => "would be written",
        });
        table.row([entry.id.clone(), shown, state.to_owned()]);
    }
    output::line(table.render());
    summary(entries, findings);
    let (count, left) = (written.entries.len(), written.left_out.len());
    match to {
        Some(directory) => output::line(format!(
            "{count} entries written to {} as {}; {left} left out.\nNothing is ordered by them; \
             `catalogue_dir = {:?}` adds them to `gallerist prices list`.",
            directory.display(),
            names.join(", "),
            directory.display().to_string()
        )),
        None if count == 0 => output::line(format!("No entry would be written, of {left} that were read.")),
        None => output::line(format!(
            "{count} entries would be written as {}, {left} not; --write DIR writes them.",
            names.join(", ")
        )),
    }
}
