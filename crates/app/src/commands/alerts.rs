//! `gallerist alerts`: what people were told of.

use crate::books::{AlertsAsked, Books};
use crate::config::Place;
use crate::doubt;
use crate::failure::Result;
use crate::filters;
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use serde_json::Value;

const EXAMPLES: &str = "Examples:
  gallerist alerts list
  gallerist alerts list --kind 'budget.*' --project shop";

/// What people were told of: budgets, overruns, disputes, prices, retirements, credits, outages
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AlertsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The newest alerts
    #[command(after_help = "Example:\n  gallerist alerts list --kind cost.anomaly --json")]
    List {
        /// Only this kind, as budget.threshold, or this group, as budget.*
        #[arg(long)]
        kind: Option<String>,
        /// Only those of this project
        #[arg(long)]
        project: Option<String>,
        /// How many, 1 to 100
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Continue behind this alert
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

pub fn run(command: &AlertsCommand, json: bool) -> Result<()> {
    let Action::List { kind, project, limit, after, place } = &command.action;
    let asked = AlertsAsked {
        kind: kind.as_deref(),
        project: project.as_deref(),
        after: after.as_deref(),
        limit: *limit,
    };
    let books = Books::open(place, false)?;
    let answer = books.alerts(&asked)?;
    filters::note_project(&answer, project.as_deref(), &books)?;
    if json {
        output::json(&answer);
    } else {
        print(&answer);
    }
    Ok(())
}

fn print(answer: &Value) {
    let alerts = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if alerts.is_empty() {
        return output::line("Nothing was told.");
    }
    let mut table = Table::new().text("at").text("severity").text("kind").text("project").text("message");
    for alert in alerts {
        let text = |name: &str| alert[name].as_str().unwrap_or("-").to_owned();
        table.row([text("created_at"), text("severity"), text("type"), text("project"), text("message")]);
    }
    output::line(table.render());
    if alerts.iter().any(|alert| doubt::is_some(&alert["fact"]["doubtful_usd"])) {
        output::line(format!("\n{}", doubt::LEGEND));
    }
    if answer["has_more"] == true
        && let Some(last) = alerts.last().and_then(|alert| alert["id"].as_str())
    {
        output::line(format!("\nThere are more: --after {last}"));
    }
}
