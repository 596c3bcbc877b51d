//! `gallerist webhooks`: where alerts are delivered.

use crate::books::Books;
use crate::config::Place;
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

const EXAMPLES: &str = "Examples:
  gallerist webhooks add https://hooks.example/alerts --kinds budget.*,charge.overrun
  gallerist webhooks add https://hooks.slack.com/services/… --format slack
  gallerist webhooks test ID";

/// Where alerts are delivered, signed after the Standard Webhooks specification
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WebhooksCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Deliver alerts to an address; shows its secret once
    #[command(after_help = "Example:\n  gallerist webhooks add https://hooks.example/alerts --project shop")]
    Add {
        url: String,
        /// Only these kinds, separated by commas; budget.* is all of a group
        #[arg(long, value_delimiter = ',')]
        kinds: Vec<String>,
        /// Only alerts of this project
        #[arg(long)]
        project: Option<String>,
        /// standard, or slack: {"text": …}, which chat programs take
        #[arg(long, default_value = "standard", value_parser = ["standard", "slack"])]
        format: String,
        #[command(flatten)]
        place: Place,
    },
    /// Change where or of what it is told, or switch it off and on; what is not named stays
    #[command(after_help = "Examples:
  gallerist webhooks change 0199c2f0-… --on
  gallerist webhooks change 0199c2f0-… --url https://hooks.example/other --kinds all --project all")]
    Change {
        /// As `gallerist webhooks list` shows it
        id: String,
        #[arg(long)]
        url: Option<String>,
        /// Only these kinds, separated by commas, or `all`
        #[arg(long, value_delimiter = ',')]
        kinds: Option<Vec<String>>,
        /// Only alerts of this project, or `all`
        #[arg(long)]
        project: Option<String>,
        #[arg(long, value_parser = ["standard", "slack"])]
        format: Option<String>,
        /// Deliver again
        #[arg(long, conflicts_with = "off")]
        on: bool,
        /// Deliver nothing more, and give up what waits
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        place: Place,
    },
    /// All of them, and how their deliveries go
    #[command(after_help = "Example:\n  gallerist webhooks list")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Send a test event and say what came of it
    #[command(after_help = "Example:\n  gallerist webhooks test 0199c2f0-…")]
    Test {
        id: String,
        #[command(flatten)]
        place: Place,
    },
    /// Make a new secret and show it once; the old one signs too for a day
    #[command(after_help = "Example:\n  gallerist webhooks rotate 0199c2f0-…")]
    Rotate {
        id: String,
        #[command(flatten)]
        place: Place,
    },
    /// Deliver nothing more to it
    #[command(after_help = "Example:\n  gallerist webhooks remove 0199c2f0-…")]
    Remove {
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

pub fn run(command: &WebhooksCommand, json: bool) -> Result<()> {
    match &command.action {
        Action::Add { url, kinds, project, format, place } => {
            let wish = json!({"url": url, "kinds": kinds, "project": project, "format": format});
            let made = Books::open(place, true)?.add_webhook(&wish)?;
            show(&made, json, secret)
        }
        Action::Change { id, url, kinds, project, format, on, off, place } => {
            let all = |names: &Vec<String>| names.iter().any(|name| name == "all");
            let given = [
                ("url", url.clone().map(Value::from)),
                ("kinds", kinds.as_ref().map(|kinds| if all(kinds) { json!([]) } else { json!(kinds) })),
                (
                    "project",
                    project.as_ref().map(|name| if name == "all" { Value::Null } else { json!(name) }),
                ),
                ("format", format.clone().map(Value::from)),
                ("enabled", (*on || *off).then(|| json!(*on))),
            ];
            let wish: serde_json::Map<String, Value> =
                given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            if wish.is_empty() {
                return Err(Failure::usage("nothing is to be changed").advise("say for instance --on"));
            }
            let changed = Books::open(place, false)?.change_webhook(id, &wish.into())?;
            show(&changed, json, |changed| list(&json!({"data": [changed]})))
        }
        Action::List { place } => show(&Books::open(place, false)?.webhooks()?, json, list),
        Action::Rotate { id, place } => {
            let changed = Books::open(place, false)?.rotate_webhook(id)?;
            show(&changed, json, secret)
        }
        Action::Test { id, place } => {
            let tested = Books::open(place, false)?.test_webhook(id)?;
            if json {
                output::json(&tested);
            }
            if tested["delivered"] != true {
                let why = tested["failure"].as_str().unwrap_or("it was not delivered");
                return Err(Failure::failed(format!("the test was not delivered: {why}"))
                    .advise(format!("mend the receiver, or `gallerist webhooks change {id} --url URL`")));
            }
            if !json {
                output::line(format!("Delivered: it answered {}.", tested["status"]));
            }
            Ok(())
        }
        Action::Remove { id, place } => {
            Books::open(place, false)?.remove_webhook(id)?;
            show(&json!({"id": id, "removed": true}), json, |answer| {
                output::line(format!(
                    "Nothing more is delivered to {}.",
                    answer["id"].as_str().unwrap_or("it")
                ));
            })
        }
    }
}

fn show(answer: &Value, json: bool, print: impl Fn(&Value)) -> Result<()> {
    if json {
        output::json(answer);
    } else {
        print(answer);
    }
    Ok(())
}

fn secret(answer: &Value) {
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    output::line(format!("Alerts are delivered to {} ({}).", text("url"), text("id")));
    output::line(format!("  secret: {}   (shown once; receivers check signatures with it)", text("secret")));
    if let Some(until) = answer["previous_secret_until"].as_str() {
        output::line(format!("  the secret before it signs too until {until}"));
    }
    output::line(format!("  try it: gallerist webhooks test {}", text("id")));
}

fn list(answer: &Value) {
    let webhooks = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if webhooks.is_empty() {
        return output::line("Alerts are delivered nowhere: `gallerist webhooks add URL` changes that.");
    }
    let mut table =
        Table::new().text("id").text("url").text("kinds").text("project").figure("pending").text("state");
    for webhook in webhooks {
        let text = |name: &str| webhook[name].as_str().unwrap_or_default().to_owned();
        let kinds: Vec<&str> =
            webhook["kinds"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let or_all = |text: String| if text.is_empty() { "all".to_owned() } else { text };
        table.row([
            text("id"),
            text("url"),
            or_all(kinds.join(", ")),
            or_all(text("project")),
            webhook["pending"].to_string(),
            state(webhook),
        ]);
    }
    output::line(table.render());
}

/// In words, the latest event first.
fn state(webhook: &Value) -> String {
    let text = |name: &str| webhook[name].as_str().unwrap_or_default();
    if webhook["enabled"] != true {
        return format!("off: {}", text("disabled_reason"));
    }
    // Instants in UTC sort as text.
    match (text("last_delivered_at"), text("last_failed_at")) {
        ("", "") => "nothing sent yet".to_owned(),
        (delivered, failed) if delivered >= failed => format!("delivered at {delivered}"),
        (_, failed) => format!("failed at {failed}: {}", text("last_failure")),
    }
}
