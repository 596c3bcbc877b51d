//! `gallerist reconcile`: a provider's invoice beside the books.

use super::instant;
use crate::books::Books;
use crate::config::Place;
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use clap::{Args, ValueEnum};
use gallerist_engine::reconcile::bill::BILL_BYTES_MAX;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

const EXAMPLES: &str = "Examples:
  gallerist reconcile events.json --provider fal --form fal --dry-run
  gallerist reconcile costs.json --provider openai --form openai
  gallerist reconcile usage.csv --provider stability --time Date --amount Credits --currency =credit --dry-run
  gallerist reconcile usage.csv --provider bfl --mapping bfl.toml --from 2026-11-01 --to 2026-12-01 --close";

/// Compare a provider's usage export or invoice with the books, and settle the disputes that it decides
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReconcileCommand {
    /// The export or invoice; - for standard input
    file: String,
    /// The provider as offers name it
    #[arg(long, value_name = "NAME")]
    provider: String,
    #[arg(long, value_enum, default_value = "csv")]
    form: FormWord,
    /// A TOML file with the names of the columns: time, amount, currency, request_id, model, quantity
    #[arg(long, value_name = "FILE")]
    mapping: Option<std::path::PathBuf>,
    #[command(flatten)]
    columns: Columns,
    /// The invoice covers the time from this instant or day (UTC) on; else from its first line on
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    from: Option<Timestamp>,
    /// The invoice covers the time before this instant or day (UTC); else to its last line
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    to: Option<Timestamp>,
    /// How far the provider's clock may be off, in seconds
    #[arg(long, value_name = "SECONDS")]
    window_s: Option<u32>,
    /// From which error on, in per cent, a price line is told of
    #[arg(long, value_name = "PERCENT")]
    drift_percent: Option<String>,
    /// The invoice is complete: release disputes of its time that it does not have
    #[arg(long)]
    close: bool,
    /// Only show what would be written
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormWord {
    /// Columns that you name
    Csv,
    /// Pages of OpenAI's organization costs
    Openai,
    /// Pages of fal's billing events
    Fal,
}

/// Names of the columns of a CSV file.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Columns {
    /// Column of the time
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// Column of the amount
    #[arg(long, value_name = "COLUMN")]
    amount: Option<String>,
    /// Column of the currency, or =CODE for all rows; else USD
    #[arg(long, value_name = "COLUMN")]
    currency: Option<String>,
    /// Column of the provider's request id
    #[arg(long, value_name = "COLUMN")]
    request_id: Option<String>,
    /// Column of the model
    #[arg(long, value_name = "COLUMN")]
    model: Option<String>,
    /// Column of the quantity
    #[arg(long, value_name = "COLUMN")]
    quantity: Option<String>,
}

impl Columns {
    /// What is said on the command line wins.
    fn or(self, file: Columns) -> Columns {
        Columns {
            time: self.time.or(file.time),
            amount: self.amount.or(file.amount),
            currency: self.currency.or(file.currency),
            request_id: self.request_id.or(file.request_id),
            model: self.model.or(file.model),
            quantity: self.quantity.or(file.quantity),
        }
    }
}

pub fn run(command: &ReconcileCommand, json: bool) -> Result<()> {
    let report = Books::open(&command.place, false)?.reconcile(&wish(command)?)?;
    if json {
        output::json(&report);
    } else {
        print(&report);
    }
    let drifting = rows(&report, "grades").iter().filter(|grade| grade["drifts"] == true).count();
    if drifting > 0 {
        let lines = if drifting == 1 { "price line tells" } else { "price lines tell" };
        return Err(Failure::failed(format!("{drifting} {lines} something else than the invoice"))
            .advise("`gallerist prices show MODEL` names each line's source; correct it in your catalogue"));
    }
    Ok(())
}

fn wish(command: &ReconcileCommand) -> Result<Value> {
    let mut wish = json!({
        "provider": command.provider,
        "bill": bill(&command.file)?,
        "close": command.close,
        "dry_run": command.dry_run,
        "from": command.from,
        "to": command.to,
        "window_s": command.window_s,
        "drift_percent": command.drift_percent,
    });
    let form = command.form.to_possible_value().expect("no form is hidden");
    wish["form"] = form.get_name().into();
    let file = command.mapping.as_deref().map(mapping).transpose()?.unwrap_or_default();
    let columns = command.columns.clone().or(file);
    if !matches!(command.form, FormWord::Csv) {
        return Ok(wish);
    }
    if columns.time.is_none() || columns.amount.is_none() {
        return Err(Failure::usage("a CSV file needs the names of its columns")
            .advise("say --time COLUMN and --amount COLUMN, or a --mapping FILE; --form for another form"));
    }
    wish["columns"] = serde_json::to_value(columns).expect("names are plain data");
    Ok(wish)
}

fn bill(file: &str) -> Result<String> {
    let limit = BILL_BYTES_MAX as u64 + 1;
    let mut text = String::new();
    let read = if file == "-" {
        std::io::stdin().lock().take(limit).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(limit).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::because(format!("{file} cannot be read"), &error))?;
    Ok(text)
}

fn mapping(path: &Path) -> Result<Columns> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::because(format!("{} cannot be read", path.display()), &error))?;
    toml::from_str(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

fn rows<'a>(report: &'a Value, list: &str) -> &'a [Value] {
    report[list].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

/// A list of the report: its name, its title, and its columns with theirs.
type Section = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const SECTIONS: &[Section] = &[
    (
        "theirs_only",
        "Only on the invoice",
        &[
            ("place", "line"),
            ("at", "time"),
            ("model", "model"),
            ("request_id", "request id"),
            ("amount_usd", "billed"),
        ],
    ),
    (
        "ours_only",
        "Only in the books",
        &[
            ("request", "request"),
            ("number", "attempt"),
            ("offer", "offer"),
            ("at", "time"),
            ("charged_usd", "charged"),
        ],
    ),
    (
        "differs",
        "Another amount",
        &[
            ("request", "request"),
            ("number", "attempt"),
            ("offer", "offer"),
            ("charged_usd", "charged"),
            ("billed_usd", "billed"),
            ("difference_usd", "difference"),
        ],
    ),
    (
        "sums",
        "Sums of the invoice",
        &[
            ("from", "from"),
            ("item", "item"),
            ("billed_usd", "billed"),
            ("settled_usd", "settled"),
            ("difference_usd", "difference"),
        ],
    ),
    (
        "disputes",
        "Disputes",
        &[
            ("request", "request"),
            ("number", "attempt"),
            ("offer", "offer"),
            ("held_usd", "held"),
            ("action", "action"),
            ("charge_usd", "charge"),
            ("why", "why"),
        ],
    ),
    (
        "grades",
        "How well prices foretold it",
        &[
            ("offer", "offer"),
            ("line", "price line"),
            ("attempts", "n"),
            ("predicted_usd", "foretold"),
            ("billed_usd", "billed"),
            ("error_percent", "error %"),
            ("drifts", "drifts"),
        ],
    ),
];

fn print(report: &Value) {
    output::line(format!(
        "{} lines of {} from {} to {}: {} billed, {} charged in the books. {} attempts matched, {} of them by \
         the provider's request id.",
        report["lines"],
        text(&report["provider"]),
        output::moment(&report["from"]),
        output::moment(&report["to"]),
        output::dollars_of(&report["billed_usd"]),
        output::dollars_of(&report["charged_usd"]),
        report["matched"],
        report["matched_by_request_id"],
    ));
    for (list, title, columns) in SECTIONS {
        section(report, title, list, columns);
    }
    if report["dry_run"] == true {
        output::line("\nNothing was written. The same command without --dry-run writes it.");
    }
}

fn section(report: &Value, title: &str, list: &str, columns: &[(&str, &str)]) {
    let found = rows(report, list);
    if found.is_empty() {
        return;
    }
    let mut table = columns.iter().fold(Table::new(), |table, (name, title)| {
        let figure = name.ends_with("_usd") || matches!(*name, "attempts" | "error_percent" | "place");
        if figure { table.figure(title) } else { table.flexible(title) }
    });
    for row in found {
        table.row(columns.iter().map(|(name, _)| match *name {
            name if name.ends_with("_usd") && !row[name].is_null() => output::dollars_of(&row[name]),
            "at" | "from" => output::moment(&row[*name]),
            name => text(&row[name]),
        }));
    }
    let count = report[format!("{list}_count")].as_u64().unwrap_or(found.len() as u64);
    output::line(format!("\n{title} ({count}):\n{}", table.render()));
}
