//! `gallerist requests`: what became of each, and why it cost what it cost.

use super::amount;
use super::quote::multiplied;
use crate::books::{Books, RequestQuestion, disputed};
use crate::config::Place;
use crate::doubt;
use crate::failure::{Failure, Result};
use crate::filters;
use crate::output;
use crate::pictures;
use crate::table::Table;
use crate::words;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::path::PathBuf;

const EXAMPLES: &str = "Examples:
  gallerist requests list --limit 5
  gallerist requests list --disputed
  gallerist requests show 019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b
  gallerist requests picture 019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b -o kite.png
  gallerist requests resolve 019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b 1 --charged-usd 0.04";

/// Offers of a plan that are shown to people.
const PLANNED_MAX: usize = 5;

/// Requests with their attempts and ledger entries
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RequestsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The newest requests
    #[command(after_help = "Example:\n  gallerist requests list --project shop --limit 50")]
    List {
        /// How many, 1 to 100
        #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Continue behind this request
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// Only this project
        #[arg(long, value_name = "NAME")]
        project: Option<String>,
        /// Only on behalf of this end user
        #[arg(long, value_name = "NAME")]
        end_user: Option<String>,
        /// Only with this tag
        #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
        tag: Option<String>,
        /// Only those of which nobody knows whether they were billed
        #[arg(long)]
        disputed: bool,
        #[command(flatten)]
        place: Place,
    },
    /// One request: its plan, each attempt with the arithmetic of its charge, the ledger entries
    #[command(after_help = "Example:\n  gallerist requests show 019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b")]
    Show {
        id: String,
        #[command(flatten)]
        place: Place,
    },
    /// Save a picture whose client went away; it is kept for an hour
    #[command(
        after_help = "Example:\n  gallerist requests picture 019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b -o kite.png"
    )]
    Picture {
        id: String,
        /// Which of several, from 1 on
        #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10))]
        number: u32,
        /// Where to save it [default: named after the request]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// End a dispute: say what the provider's bill has for an attempt
    #[command(after_help = RESOLVE_HELP)]
    Resolve {
        id: String,
        /// As `requests show` numbers them
        #[arg(value_name = "ATTEMPT_NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        attempt: u32,
        /// What the provider billed for it, in dollars; 0 if nothing
        #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = amount)]
        charged_usd: String,
        #[command(flatten)]
        place: Place,
    },
}

const RESOLVE_HELP: &str =
    "A figure is booked once and as it is, also above what was held. What was held is free again.

Examples:
  gallerist requests resolve 019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b 1 --charged-usd 0.04
  gallerist requests resolve 019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b 1 --charged-usd 0";

pub fn run(command: &RequestsCommand, json: bool) -> Result<()> {
    match &command.action {
        Action::List { limit, after, project, end_user, tag, disputed, place } => {
            let books = Books::open(place, false)?;
            let question = RequestQuestion {
                limit: *limit,
                after: after.as_deref(),
                project: project.as_deref(),
                end_user: end_user.as_deref(),
                tag: tag.as_deref(),
            };
            let page = match disputed {
                true => books.disputed_requests(question)?,
                false => books.requests(question)?,
            };
            filters::note_project(&page, project.as_deref(), &books)?;
            if json { output::json(&page) } else { print_page(&page) }
        }
        Action::Show { id, place } => {
            let request = Books::open(place, false)?.request(id)?;
            if json { output::json(&request) } else { print_request(&request) }
        }
        Action::Picture { id, number, output, place } => {
            let file = Books::open(place, false)?.picture(id, number - 1);
            let file = file.map_err(|failure| advised(failure, id))?;
            let path = output
                .clone()
                .unwrap_or_else(|| PathBuf::from(format!("{id}-{number}.{}", pictures::extension(&file))));
            pictures::save_new(&path, &file)?;
            if json { output::json(&json!({"path": path})) } else { output::line(path.display().to_string()) }
        }
        Action::Resolve { id, attempt, charged_usd, place } => {
            let resolved = Books::open(place, false)?.resolve(id, *attempt, charged_usd);
            let request = resolved.map_err(|failure| advised(failure, id))?;
            if json { output::json(&request) } else { print_request(&request) }
        }
    }
    Ok(())
}

fn tag(text: &str) -> std::result::Result<String, String> {
    let fine = text.split_once('=').is_some_and(|(name, _)| !name.is_empty());
    fine.then(|| text.to_owned()).ok_or_else(|| "write NAME=VALUE, as team=red".to_owned())
}

fn advised(failure: Failure, id: &str) -> Failure {
    match failure.advice.is_empty() {
        true => failure.advise(format!("`gallerist requests show {id}` shows what became of it")),
        false => failure,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn rows<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn print_page(page: &Value) {
    let mut table = Table::new()
        .text("id")
        .optional("when")
        .optional("project")
        .flexible("model")
        .flexible("status")
        .spare_figure("images")
        .figure("charged")
        .spare_figure("disputed")
        .spare_figure("saved");
    for request in rows(page, "data") {
        let status = match request["error_code"].as_str() {
            Some(code) => format!("{} ({code})", text(&request["status"])),
            None => text(&request["status"]),
        };
        table.row([
            text(&request["id"]),
            output::moment(&request["created_at"]),
            text(&request["project"]),
            text(&request["model"]),
            status,
            format!("{} of {}", text(&request["images"]), text(&request["n"])),
            marked(&request["charged_usd"], charge_is_doubtful(request)),
            output::dollars_of(&request["disputed_usd"]),
            marked(&request["saved_usd"], charge_is_doubtful(request) || list_is_doubtful(request)),
        ]);
    }
    output::line(table.render());
    if rows(page, "data").iter().any(|request| charge_is_doubtful(request) || list_is_doubtful(request)) {
        output::line(format!("\n{}; `gallerist requests show ID` names them.", doubt::LEGEND));
    }
    if rows(page, "data").iter().any(|request| !disputed(request).is_zero()) {
        output::line("\nOf the disputed, `gallerist requests show ID` says what to do.");
    }
    if page["has_more"] == true
        && let Some(last) = rows(page, "data").last()
    {
        output::line(format!("\nThere are more: --after {}", text(&last["id"])));
    }
}

/// Whether a part of its charge rests on a price that one should know to be no official one of late.
fn charge_is_doubtful(request: &Value) -> bool {
    doubt::is_some(&request["doubtful_usd"])
}

/// So of what it would have cost at the baseline, on the day on which it was made.
fn list_is_doubtful(request: &Value) -> bool {
    doubt::of_list(request, made_at(request)).is_some()
}

/// When the request was accepted.
fn made_at(request: &Value) -> Timestamp {
    request["created_at"].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(Timestamp::now)
}

fn marked(amount: &Value, doubtful: bool) -> String {
    let text = output::dollars_of(amount);
    if doubtful && !text.is_empty() { format!("{text}{}", doubt::MARK) } else { text }
}

fn print_request(request: &Value) {
    output::line(format!(
        "Request {}: {} of {} pictures by {}, {}; charged {}",
        text(&request["id"]),
        text(&request["images"]),
        text(&request["n"]),
        text(&request["model"]),
        text(&request["status"]),
        output::dollars_of(&request["charged_usd"]),
    ));
    if !request["saved_usd"].is_null() {
        let list = output::dollars_of(&request["list_usd"]);
        let list = doubt::with(list, doubt::of_list(request, made_at(request)).as_ref());
        output::line(format!(
            "Saved {} against the list price of {list}.",
            output::dollars_of(&request["saved_usd"])
        ));
    }
    if let Some(led) = led(&request["plan"]) {
        output::line(led);
    }
    if let Some(prompt) = request["prompt"].as_str() {
        output::line(format!("Prompt: {prompt}"));
    }
    if let Some(asked) = asked(&request["asked"]) {
        output::line(format!("Asked: {asked}"));
    }
    for attempt in rows(request, "attempts") {
        print_attempt(attempt);
        if attempt["status"] == "disputed" {
            print_next_step(&text(&request["id"]), attempt);
        }
    }
    let plan = &request["plan"];
    let names = |name: &str| -> Vec<String> {
        rows(plan, name)
            .iter()
            .map(|offer| offer["offer"].as_str().map_or_else(|| text(offer), str::to_owned))
            .collect()
    };
    output::line(format!("\n{}", planned(&names("offers"))));
    ordered(rows(plan, "offers")).iter().for_each(output::line);
    print_excluded(rows(plan, "excluded"));
    let mut table = Table::new().text("booked").text("account").figure("amount").text("movement");
    for entry in rows(request, "entries") {
        table.row([
            output::moment(&entry["at"]),
            text(&entry["account"]),
            output::dollars_of(&entry["amount_usd"]),
            text(&entry["kind"]),
        ]);
    }
    output::line(format!("\n{}", table.render()));
}

/// Where the name of the request led, if that is not plainly a model.
fn led(plan: &Value) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(to) = plan["migrated_to"].as_str() {
        parts.push(format!("{} is gone and was migrated to {to}", text(&plan["requested_model"])));
    }
    if let Some(route) = plan["route"].as_str() {
        parts.push(format!("by the route {route}"));
    }
    for offer in rows(plan, "offers").iter().filter(|offer| !offer["sent_on_from"].is_null()) {
        parts.push(format!("{} is served for {}", text(&offer["offer"]), text(&offer["sent_on_from"])));
    }
    (!parts.is_empty()).then(|| format!("  {}", parts.join("; ")))
}

/// The parameters, each with its value.
fn asked(asked: &Value) -> Option<String> {
    let members = asked.as_object()?;
    let inside = asked["gallerist"].as_object();
    let outside = members.iter().filter(|(name, _)| *name != "gallerist");
    let all = outside.chain(inside.into_iter().flatten());
    let told = all.map(|(name, value)| format!("{} {}", name.replace('_', " "), text(value)));
    Some(told.collect::<Vec<_>>().join(", "))
}

/// The beginning of the plan; there may be dozens.
fn planned(offers: &[String]) -> String {
    let shown = offers.len().min(PLANNED_MAX);
    let first = offers[..shown].join(", then ");
    match offers.len() - shown {
        0 if offers.is_empty() => "Plan: no offer".to_owned(),
        0 => format!("Plan: {first}"),
        more => format!("Plan: {first}, and {more} more (--json has them)"),
    }
}

/// By what the first offers of the plan are ordered, where that is not the expected cost of all of them: an offer of
/// hardware that is paid anyway, or of credits that would be lost, comes before one that looks cheaper.
fn ordered(offers: &[Value]) -> Vec<String> {
    let shown = &offers[..offers.len().min(PLANNED_MAX)];
    if shown.iter().all(|offer| offer["routing"].is_null()) {
        return Vec::new();
    }
    let by = |offer: &Value| {
        let expected = || format!("expected {}", output::dollars_of(&offer["expected_usd"]));
        let by = offer["routing"].as_str().map_or_else(expected, str::to_owned);
        format!("  {}: {by}", text(&offer["offer"]))
    };
    shown.iter().map(by).collect()
}

/// The codes with their offers, in the order of the plan.
fn print_excluded(excluded: &[Value]) {
    let mut by_code: Vec<(String, Vec<String>)> = Vec::new();
    for offer in excluded {
        let code = text(&offer["code"]);
        match by_code.iter_mut().find(|(known, _)| *known == code) {
            Some((_, offers)) => offers.push(text(&offer["offer"])),
            None => by_code.push((code, vec![text(&offer["offer"])])),
        }
    }
    if !by_code.is_empty() {
        let mut table = Table::new().text("left out because").flexible("offers");
        by_code.into_iter().for_each(|(code, offers)| table.row([words::why(&code), offers.join(", ")]));
        output::line(format!("\n{}", table.render()));
    }
}

fn print_attempt(attempt: &Value) {
    let mut line = format!(
        "\nAttempt {} at {}: {}, held {}, charged {}",
        text(&attempt["number"]),
        text(&attempt["offer"]),
        text(&attempt["status"]),
        output::dollars_of(&attempt["reserved_usd"]),
        output::dollars_of(&attempt["charged_usd"]),
    );
    if let Some(basis) = attempt["basis"].as_str() {
        line.push_str(&format!(" ({})", basis.replace('_', " ")));
    }
    output::line(line);
    if let Some(reason) = attempt["dispute_reason"].as_str() {
        let word = if attempt["status"] == "disputed" { "disputed" } else { "was disputed" };
        output::line(format!("  {word}: {reason}"));
    }
    if !attempt["fault"].is_null() {
        output::line(format!(
            "  fault: {}: {}",
            text(&attempt["fault"]["kind"]),
            text(&attempt["fault"]["detail"])
        ));
    }
    let lines = rows(&attempt["charge"], "lines");
    if lines.is_empty() {
        return;
    }
    let mut table = Table::new()
        .text("  line")
        .figure("quantity")
        .text("meter")
        .figure("unit price")
        .figure("amount")
        .optional("price is");
    for line in lines {
        table.row([
            format!("  {}", text(&line["line"])),
            text(&line["quantity"]),
            text(&line["meter"]).replace('_', " "),
            multiplied(text(&line["unit_price_usd"]), line["times"].as_str()),
            output::dollars_of(&line["amount_usd"]),
            // The provider's own figure has neither.
            line["confidence"].as_str().map_or_else(String::new, |confidence| {
                format!("{}, {}", confidence.replace('_', " "), text(&line["as_of"]))
            }),
        ]);
    }
    output::line(table.render());
    output::line(format!("  catalogue {}", text(&attempt["catalogue_digest"])));
}

/// What a person can do about a disputed attempt.
fn print_next_step(request: &str, attempt: &Value) {
    let offer = text(&attempt["offer"]);
    let provider = offer.split('/').next().unwrap_or_default();
    let known = match attempt["provider_request_id"].as_str() {
        Some(id) => format!(" for {id}"),
        None => format!(" at {} UTC", output::moment(&attempt["created_at"])),
    };
    output::line(format!(
        "  next: look what {provider} billed{known}, then book it; 0 if nothing:\n    \
         gallerist requests resolve {request} {} --charged-usd AMOUNT",
        text(&attempt["number"]),
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_a_marginal_cost_ordered_says_so_beside_the_others() {
        let own = json!({"offer": "automatic1111/sdxl", "expected_usd": "0.0053152326",
            "routed_usd": "0.0002087437", "routing": "ordered by its marginal cost of 0.0002087437 instead of \
            0.0053152326: the hardware is paid anyway"});
        let other = json!({"offer": "fal/sdxl", "expected_usd": "0.0030000000"});
        assert_eq!(
            ordered(&[own, other.clone()]),
            [
                "  automatic1111/sdxl: ordered by its marginal cost of 0.0002087437 instead of 0.0053152326: the \
                 hardware is paid anyway",
                "  fal/sdxl: expected $0.003",
            ]
        );
        assert_eq!(ordered(&[other]), [] as [String; 0], "by cost, as everywhere");
        assert_eq!(ordered(&[]), [] as [String; 0]);
    }
}
