//! `gallerist projects`: who pays, and how much at most.

use super::amount;
use crate::books::{Books, disputed};
use crate::config::Place;
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use serde_json::Value;

const EXAMPLES: &str = "Examples:
  gallerist projects cap default 20
  gallerist projects create shop --cap-usd 100
  gallerist projects list";

/// Projects, their caps and what they have spent
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProjectsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All projects with what is spent, held and left
    #[command(after_help = "Example:\n  gallerist projects list --json")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Make a project
    #[command(after_help = "Example:\n  gallerist projects create shop --cap-usd 100")]
    Create {
        /// a-z, 0-9, - and _
        name: String,
        /// What it may spend in all, in dollars
        #[arg(long, value_name = "USD", value_parser = amount)]
        cap_usd: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Set the cap of a project, or remove it with `none`
    #[command(
        after_help = "Examples:\n  gallerist projects cap default 20\n  gallerist projects cap default none"
    )]
    Cap {
        name: String,
        /// Dollars, or `none`
        #[arg(value_name = "USD", value_parser = cap)]
        cap: String,
        #[command(flatten)]
        place: Place,
    },
}

fn cap(text: &str) -> std::result::Result<String, String> {
    if text == "none" { Ok(text.to_owned()) } else { amount(text) }
}

pub fn run(command: &ProjectsCommand, json: bool) -> Result<()> {
    let answer = match &command.action {
        Action::List { place } => Books::open(place, false)?.projects()?,
        Action::Create { name, cap_usd, place } => {
            let made = Books::open(place, true)?.create_project(name, cap_usd.as_deref());
            made.map_err(|failure| match failure.advice.is_empty() {
                true => failure.advise("`gallerist projects list` shows what there is"),
                false => failure,
            })?
        }
        Action::Cap { name, cap, place } => {
            let cap = Some(cap.as_str()).filter(|cap| *cap != "none");
            Books::open(place, true)?.set_cap(name, cap).map_err(no_project)?
        }
    };
    if json {
        output::json(&answer);
    } else {
        print(&answer);
    }
    Ok(())
}

fn no_project(failure: Failure) -> Failure {
    if failure.advice.is_empty() {
        failure.advise("`gallerist projects list` shows what there is")
    } else {
        failure
    }
}

fn print(answer: &Value) {
    let one = std::slice::from_ref(answer);
    let projects = answer["data"].as_array().map_or(one, Vec::as_slice);
    let mut table = Table::new()
        .text("project")
        .figure("cap")
        .figure("spent")
        .figure("held")
        .figure("disputed")
        .figure("left");
    for project in projects {
        let dollars = |name: &str| output::dollars_of(&project[name]);
        let limit = |name: &str| if project[name].is_null() { "none".to_owned() } else { dollars(name) };
        table.row([
            project["id"].as_str().unwrap_or_default().to_owned(),
            limit("cap_usd"),
            dollars("settled_usd"),
            dollars("held_usd"),
            dollars("disputed_usd"),
            if project["left_usd"].is_null() { "no limit".to_owned() } else { dollars("left_usd") },
        ]);
    }
    output::line(table.render());
    super::hint_at_disputes(projects.iter().map(disputed).sum());
}
