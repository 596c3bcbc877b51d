//! `gallerist projects`: who pays, and how much at most.

use super::amount;
use super::keys::{LimitArguments, limits};
use crate::books::{Books, disputed};
use crate::config::Place;
use crate::doubt;
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
        #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = amount)]
        cap_usd: Option<String>,
        #[command(flatten)]
        limits: LimitArguments,
        #[command(flatten)]
        place: Place,
    },
    /// One project with its limits and what it does now
    #[command(after_help = "Example:\n  gallerist projects show shop")]
    Show {
        name: String,
        #[command(flatten)]
        place: Place,
    },
    /// Set limits over all keys of a project; what is not named stays
    #[command(after_help = "Examples:
  gallerist projects limit shop --images-per-minute 300
  gallerist projects limit shop --images-per-minute none")]
    Limit {
        name: String,
        #[command(flatten)]
        limits: LimitArguments,
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
        #[arg(value_name = "USD", allow_negative_numbers = true, value_parser = cap)]
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
        Action::Show { name, place } => {
            let project = Books::open(place, false)?.project(name).map_err(no_project)?;
            if !json {
                print(&project);
                print_now(&project["usage"]);
                return Ok(());
            }
            project
        }
        Action::Limit { name, limits, place } => {
            Books::open(place, true)?.set_limits(name, limits.wish()).map_err(no_project)?
        }
        Action::Create { name, cap_usd, limits, place } => {
            let made = Books::open(place, true)?.create_project(name, cap_usd.as_deref(), limits.wish());
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
        .figure("left")
        .flexible("limits");
    for project in projects {
        let dollars = |name: &str| output::dollars_of(&project[name]);
        let limit = |name: &str| if project[name].is_null() { "none".to_owned() } else { dollars(name) };
        table.row([
            project["id"].as_str().unwrap_or_default().to_owned(),
            limit("cap_usd"),
            doubt::marked(dollars("settled_usd"), doubt::is_some(&project["doubtful_usd"])),
            dollars("held_usd"),
            dollars("disputed_usd"),
            if project["left_usd"].is_null() { "no limit".to_owned() } else { dollars("left_usd") },
            limits(&project["limits"]),
        ]);
    }
    output::line(table.render());
    if projects.iter().any(|project| doubt::is_some(&project["doubtful_usd"])) {
        output::line(format!("\n{}", doubt::LEGEND));
    }
    super::hint_at_disputes(projects.iter().map(disputed).sum());
}

/// What a project does now.
fn print_now(usage: &Value) {
    let figure = |name: &str| usage[name].as_u64().unwrap_or_default();
    output::line(format!(
        "\n{} requests for {} pictures in the last minute, {} running; {} keys are good.",
        figure("requests_last_minute"),
        figure("images_last_minute"),
        figure("requests_running"),
        figure("keys")
    ));
}
