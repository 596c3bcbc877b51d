//! `gallerist keys`: who may ask the gateway for pictures, and who may read the books.

use crate::books::Books;
use crate::config::Place;
use crate::failure::Result;
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand, ValueEnum};
use gallerist_server::tenants::{KeyWish, LimitsWish};
use jiff::Timestamp;
use serde_json::{Value, json};

const EXAMPLES: &str = "Examples:
  gallerist keys create --name \"web shop\" --images-per-minute 60
  gallerist keys list
  gallerist keys rotate 0f3a9c2b71de
  gallerist keys revoke 0f3a9c2b71de";

/// Make, list, change, rotate and revoke keys
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
    /// Sees its project
    Read,
    /// Reads and changes the books
    Admin,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key and show it once
    #[command(after_help = CREATE_HELP)]
    Create {
        /// Who pays
        #[arg(long, value_name = "NAME", default_value = "default")]
        project: String,
        #[command(flatten)]
        wish: Wish,
        #[command(flatten)]
        place: Place,
    },
    /// All keys, without their secrets
    #[command(after_help = "Example:\n  gallerist keys list --json")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Change a key; what is not named stays
    #[command(after_help = "Examples:
  gallerist keys change 0f3a9c2b71de --images-per-minute 120 --expires never
  gallerist keys change 0f3a9c2b71de --models all")]
    Change {
        /// The id, as `keys list` shows it
        id: String,
        #[command(flatten)]
        wish: Wish,
        #[command(flatten)]
        place: Place,
    },
    /// Give a key a new secret and show it once; the old one stays good for a while
    #[command(after_help = "Examples:
  gallerist keys rotate 0f3a9c2b71de
  gallerist keys rotate 0f3a9c2b71de --grace 0")]
    Rotate {
        /// The id, as `keys list` shows it
        id: String,
        /// How long the old secret is good too, in seconds, up to thirty days
        #[arg(long, value_name = "SECONDS", default_value_t = gallerist_server::tenants::GRACE_SECONDS)]
        grace: i64,
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

const CREATE_HELP: &str = "Examples:
  gallerist keys create --project shop --name \"web shop\"
  gallerist keys create --scopes read --expires 2027-01-01
  gallerist keys create --providers bfl,fal --models flux-2-pro --images-per-minute 60 --images-at-once 8";

/// What a key may do, use, and how fast.
#[derive(Debug, Args)]
struct Wish {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// What it may do, in a word: short for scopes
    #[arg(long, value_enum, conflicts_with = "scopes")]
    role: Option<Role>,
    /// What it may do: generate, read, admin
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    scopes: Option<Vec<String>>,
    /// Routes that it may name, or `all`
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    routes: Option<Vec<String>>,
    /// Providers that it may use, or `all`
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    providers: Option<Vec<String>>,
    /// Models that it may use, or `all`
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    models: Option<Vec<String>>,
    /// When it ends: an instant such as 2027-01-01T00:00:00Z, a day (UTC), or `never`
    #[arg(long, visible_alias = "expires-at", value_name = "WHEN", value_parser = expiry)]
    expires: Option<String>,
    #[command(flatten)]
    limits: LimitArguments,
}

/// Limits of a key or a project.
#[derive(Debug, Args)]
pub struct LimitArguments {
    /// Requests for pictures in a minute, or `none`
    #[arg(long, value_name = "COUNT", value_parser = limit)]
    requests_per_minute: Option<Limit>,
    /// Pictures in a minute, or `none`
    #[arg(long, value_name = "COUNT", value_parser = limit)]
    images_per_minute: Option<Limit>,
    /// Pictures that are being made at the same time, or `none`
    #[arg(long, value_name = "COUNT", value_parser = limit)]
    images_at_once: Option<Limit>,
}

#[derive(Clone, Copy, Debug)]
struct Limit(Option<u32>);

fn limit(text: &str) -> std::result::Result<Limit, String> {
    match text {
        "none" => Ok(Limit(None)),
        number => {
            let number = number.parse::<u32>().ok().filter(|number| *number > 0);
            number
                .map(|number| Limit(Some(number)))
                .ok_or_else(|| "write a number above 0, or none".to_owned())
        }
    }
}

fn expiry(text: &str) -> std::result::Result<String, String> {
    if text == "never" { Ok(text.to_owned()) } else { super::instant(text).map(|at| at.to_string()) }
}

impl LimitArguments {
    pub fn wish(&self) -> LimitsWish {
        LimitsWish {
            requests_per_minute: self.requests_per_minute.map(|limit| limit.0),
            images_per_minute: self.images_per_minute.map(|limit| limit.0),
            images_at_once: self.images_at_once.map(|limit| limit.0),
        }
    }
}

impl Wish {
    fn wish(&self, project: Option<&str>) -> KeyWish {
        let list = |names: &Option<Vec<String>>| {
            let all = |names: &Vec<String>| names.iter().any(|name| name == "all");
            names.as_ref().map(|names| if all(names) { Vec::new() } else { names.clone() })
        };
        let role = self.role.map(|role| match role {
            Role::Generate => "generate".to_owned(),
            Role::Read => "read".to_owned(),
            Role::Admin => "admin".to_owned(),
        });
        let limits = self.limits.wish();
        KeyWish {
            project: project.map(str::to_owned),
            name: self.name.clone(),
            role,
            scopes: self.scopes.clone(),
            routes: list(&self.routes),
            providers: list(&self.providers),
            models: list(&self.models),
            expires_at: self.expires.as_ref().map(|at| (at != "never").then(|| at.clone())),
            limits: (!limits.is_empty()).then_some(limits),
        }
    }
}

pub fn run(command: &KeysCommand, json: bool) -> Result<()> {
    match &command.action {
        Action::Create { project, wish, place } => {
            let made = Books::open(place, true)?.create_key(&wish.wish(Some(project)))?;
            print_secret(&made, json, "ends it");
        }
        Action::List { place } => {
            let keys = Books::open(place, false)?.keys()?;
            if json { output::json(&keys) } else { print(&keys) }
        }
        Action::Change { id, wish, place } => {
            let changed = Books::open(place, false)?.change_key(id, &wish.wish(None))?;
            if json { output::json(&changed) } else { print(&json!({"data": [changed]})) }
        }
        Action::Rotate { id, grace, place } => {
            let rotated = Books::open(place, false)?.rotate_key(id, *grace)?;
            if !json {
                let until = output::moment(&rotated["previous_until"]);
                output::remark(format!("The old secret is good until {until}."));
            }
            print_secret(&rotated, json, "ends both");
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

fn print_secret(key: &Value, json: bool, revoking: &str) {
    if json {
        return output::json(key);
    }
    output::line(key["key"].as_str().unwrap_or_default());
    let id = key["id"].as_str().unwrap_or_default();
    output::remark(format!("This key is shown once. `gallerist keys revoke {id}` {revoking}."));
}

fn print(keys: &Value) {
    let now = Timestamp::now();
    let mut table = Table::new()
        .text("id")
        .text("project")
        .text("role")
        .flexible("name")
        .flexible("may use")
        .flexible("limits")
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
        table.row([
            text("id"),
            text("project"),
            text("role"),
            text("name"),
            grants(key),
            limits(&key["limits"]),
            text("prefix"),
            state,
        ]);
    }
    output::line(table.render());
}

/// What a key may use; everything if nothing is named.
fn grants(key: &Value) -> String {
    let lists =
        ["routes", "providers", "models"].map(|name| key[name].as_array().cloned().unwrap_or_default());
    let names: Vec<String> =
        lists.iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    if names.is_empty() { "all".to_owned() } else { names.join(", ") }
}

/// The limits of a key or a project, short.
pub fn limits(limits: &Value) -> String {
    let words = [
        ("requests_per_minute", "requests/min"),
        ("images_per_minute", "images/min"),
        ("images_at_once", "at once"),
    ];
    let given = words.iter().filter_map(|(name, unit)| Some(format!("{} {unit}", limits[*name].as_u64()?)));
    let given = given.collect::<Vec<_>>().join(", ");
    if given.is_empty() { "none".to_owned() } else { given }
}
