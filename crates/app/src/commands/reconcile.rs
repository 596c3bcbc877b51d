//! `gallerist reconcile`: a provider's invoice beside the books.

use super::instant;
use crate::books::{Books, ReconciliationQuestion};
use crate::config::Place;
use crate::doubt;
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand, ValueEnum};
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
  gallerist reconcile usage.csv --provider bfl --mapping bfl.toml --from 2026-11-01 --to 2026-12-01 --close
  gallerist reconcile list --provider fal
  gallerist reconcile show 019ac1b2-0000-7000-8000-000000000000";

/// Compare a provider's usage export or invoice with the books, and settle the disputes that it decides
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ReconcileCommand {
    #[command(subcommand)]
    again: Option<Again>,
    /// The export or invoice; - for standard input
    #[arg(required = true)]
    file: Option<String>,
    /// The provider as offers name it
    #[arg(long, value_name = "NAME", required = true)]
    provider: Option<String>,
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

/// What was compared before.
#[derive(Debug, Subcommand)]
enum Again {
    /// What was compared before, the newest first
    #[command(after_help = "Example:\n  gallerist reconcile list --provider fal --json")]
    List {
        /// Only this provider
        #[arg(long, value_name = "NAME")]
        provider: Option<String>,
        /// How many, 1 to 100
        #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Continue behind this one
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// A report again, as it was told
    #[command(after_help = "Example:\n  gallerist reconcile show 019ac1b2-0000-7000-8000-000000000000")]
    Show {
        id: String,
        #[command(flatten)]
        place: Place,
    },
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
    match &command.again {
        None => {}
        Some(Again::List { provider, limit, after, place }) => {
            let (provider, after) = (provider.as_deref(), after.as_deref());
            let question = ReconciliationQuestion { provider, after, limit: *limit };
            let page = Books::open(place, false)?.reconciliations(question)?;
            if json {
                output::json(&page);
            } else {
                print_list(&page);
            }
            return Ok(());
        }
        Some(Again::Show { id, place }) => {
            tell(&Books::open(place, false)?.reconciliation(id)?, json);
            return Ok(());
        }
    }
    let report = Books::open(&command.place, false)?.reconcile(&wish(command)?)?;
    tell(&report, json);
    let drifting = rows(&report, "grades").iter().filter(|grade| grade["drifts"] == true).count();
    if drifting > 0 {
        let lines = if drifting == 1 { "price line tells" } else { "price lines tell" };
        return Err(Failure::failed(format!("{drifting} {lines} something else than the invoice"))
            .advise("`gallerist prices show MODEL` names each line's source; correct it in your catalogue"));
    }
    Ok(())
}

fn tell(report: &Value, json: bool) {
    if json {
        output::json(report);
    } else {
        print(report);
    }
}

fn print_list(page: &Value) {
    let found = rows(page, "data");
    if found.is_empty() {
        output::line("No invoice was compared yet. `gallerist reconcile FILE --provider NAME` compares one.");
        return;
    }
    let mut table = Table::new()
        .text("when")
        .text("provider")
        .text("from")
        .text("to")
        .figure("billed")
        .figure("charged")
        .figure("differ")
        .figure("disputes left")
        .figure("drifting")
        .text("id");
    for row in found {
        table.row([
            output::moment(&row["created_at"]),
            text(&row["provider"]),
            day(&row["from"]),
            day(&row["to"]),
            output::dollars_of(&row["billed_usd"]),
            doubt::marked(output::dollars_of(&row["charged_usd"]), doubt::is_some(&row["doubtful_usd"])),
            text(&row["differs_count"]),
            text(&row["disputes_left"]),
            text(&row["drifting_lines"]),
            text(&row["id"]),
        ]);
    }
    output::line(table.render());
    if found.iter().any(|row| doubt::is_some(&row["doubtful_usd"])) {
        output::line(format!("\n{}", doubt::LEGEND));
    }
    if page["has_more"] == true {
        output::line("There are more: --after ID continues behind the last.");
    }
}

fn day(instant: &Value) -> String {
    text(instant).chars().take(10).collect()
}

fn wish(command: &ReconcileCommand) -> Result<Value> {
    let mut wish = json!({
        "provider": command.provider,
        "bill": bill(command.file.as_deref().unwrap_or("-"))?,
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
    read.map_err(|error| Failure::unreadable(file, &error))?;
    Ok(text)
}

fn mapping(path: &Path) -> Result<Columns> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::unreadable(path.display(), &error))?;
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
        doubt::marked(output::dollars_of(&report["charged_usd"]), doubt::is_some(&report["doubtful_usd"])),
        report["matched"],
        report["matched_by_request_id"],
    ));
    for (list, title, columns) in SECTIONS {
        section(report, title, list, columns);
    }
    let of_lists = SECTIONS.iter().flat_map(|(list, ..)| rows(report, list));
    if of_lists.chain([report]).any(|row| doubt::is_some(&row["doubtful_usd"])) {
        output::line(format!("\n{}", doubt::LEGEND));
    }
    if let Some(id) = report["id"].as_str() {
        output::line(format!("\nKept: `gallerist reconcile show {id}` shows it again."));
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
            // What was reckoned from our prices; a bill is the provider's own word.
            name @ ("charged_usd" | "settled_usd" | "predicted_usd") => {
                doubt::marked(output::dollars_of(&row[name]), doubt::is_some(&row["doubtful_usd"]))
            }
            name if name.ends_with("_usd") && !row[name].is_null() => output::dollars_of(&row[name]),
            "at" | "from" => output::moment(&row[*name]),
            name => text(&row[name]),
        }));
    }
    let count = report[format!("{list}_count")].as_u64().unwrap_or(found.len() as u64);
    output::line(format!("\n{title} ({count}):\n{}", table.render()));
}
