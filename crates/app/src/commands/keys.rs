//! `gallerist keys`: who may ask the gateway for pictures, and who may read the books.

use crate::books::{Books, KeyWish};
use crate::config::Place;
use crate::failure::Result;
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::{Value, json};

const EXAMPLES: &str = "Examples:
  gallerist keys create --name \"web shop\"
  gallerist keys list
  gallerist keys revoke 0f3a9c2b71de";

/// Make, list and revoke keys
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct KeysCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Makes pictures and sees its project
    Generate,
    /// Reads and changes the books
    Admin,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key and show it once
    #[command(after_help = "Example:\n  gallerist keys create --project shop --name \"web shop\"")]
    Create {
        /// Who pays
        #[arg(long, value_name = "NAME", default_value = "default")]
        project: String,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        name: String,
        /// What it may do
        #[arg(long, value_enum, default_value = "generate")]
        role: Role,
        /// When it ends: an instant such as 2027-01-01T00:00:00Z, or a day (UTC)
        #[arg(long, value_name = "WHEN", value_parser = super::instant)]
        expires: Option<Timestamp>,
        #[command(flatten)]
        place: Place,
    },
    /// All keys, without their secrets
    #[command(after_help = "Example:\n  gallerist keys list --json")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// End a key at once
    #[command(after_help = "Example:\n  gallerist keys revoke 0f3a9c2b71de")]
    Revoke {
        /// The id, as `keys list` shows it
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

pub fn run(command: &KeysCommand, json: bool) -> Result<()> {
    match &command.action {
        Action::Create { project, name, role, expires, place } => {
            let role = match role {
                Role::Generate => "generate",
                Role::Admin => "admin",
            };
            let wish = KeyWish {
                project: project.clone(),
                name: name.clone(),
                role: role.to_owned(),
                expires_at: *expires,
            };
            let made = Books::open(place, true)?.create_key(&wish)?;
            if json {
                output::json(&made);
            } else {
                output::line(made["key"].as_str().unwrap_or_default());
                let id = made["id"].as_str().unwrap_or_default();
                output::remark(format!("This key is shown once. `gallerist keys revoke {id}` ends it."));
            }
        }
        Action::List { place } => {
            let keys = Books::open(place, false)?.keys()?;
            if json { output::json(&keys) } else { print(&keys) }
        }
        Action::Revoke { id, place } => {
            Books::open(place, false)?.revoke_key(id)?;
            if json {
                output::json(&json!({"id": id, "revoked": true}));
            } else {
                output::line(format!("Key {id} is revoked."));
            }
        }
    }
    Ok(())
}

fn print(keys: &Value) {
    let now = Timestamp::now();
    let mut table = Table::new()
        .text("id")
        .text("project")
        .text("role")
        .flexible("name")
        .text("begins with")
        .text("state");
    for key in keys["data"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let text = |name: &str| key[name].as_str().unwrap_or_default().to_owned();
        let ended = |name: &str| key[name].as_str().and_then(|at| at.parse::<Timestamp>().ok());
        let state = match (ended("revoked_at"), ended("expires_at")) {
            (Some(at), _) => format!("revoked {}", output::day(at)),
            (None, Some(at)) if at <= now => format!("expired {}", output::day(at)),
            (None, Some(at)) => format!("until {}", output::day(at)),
            (None, None) => "good".to_owned(),
        };
        table.row([text("id"), text("project"), text("role"), text("name"), text("prefix"), state]);
    }
    output::line(table.render());
}
