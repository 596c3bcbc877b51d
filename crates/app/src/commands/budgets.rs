//! `gallerist budgets`: limits on spending, and how far each is used.

use super::amount;
use crate::books::Books;
use crate::config::Place;
use crate::doubt;
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

const EXAMPLES: &str = "Examples:
  gallerist budgets create --usd 100 --every month --project shop
  gallerist budgets create --images 20 --every day --user '*'     each end user apart
  gallerist budgets create --usd 5 --every hour --provider fal --soft
  gallerist budgets list";

/// Limits on spending, and how far each is used
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BudgetsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// All budgets with what is settled, held, in dispute and left in the present window
    #[command(after_help = "Example:\n  gallerist budgets list --json")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Make a budget; all budgets that speak of a request must hold
    #[command(after_help = EXAMPLES)]
    Create(Box<Wish>),
    /// Change the limit, the mode, the alerts or the name; whose spending counts stays
    #[command(after_help = "Example:\n  gallerist budgets change 019ab3f2-… --usd 150")]
    Change {
        /// As `gallerist budgets list` shows it
        id: String,
        #[command(flatten)]
        limits: Limits,
        /// Refuse what would pass the limit
        #[arg(long, conflicts_with_all = ["soft", "degrade_at"])]
        hard: bool,
        #[command(flatten)]
        place: Place,
    },
    /// End a budget: it refuses and counts nothing any more
    #[command(after_help = "Example:\n  gallerist budgets remove 019ab3f2-…")]
    Remove {
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
struct Limits {
    /// The limit in dollars
    #[arg(long, value_name = "USD", allow_negative_numbers = true, value_parser = amount, conflicts_with = "images")]
    usd: Option<String>,
    /// The limit in images
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i64).range(0..))]
    images: Option<i64>,
    /// Alert only, refuse nothing
    #[arg(long, conflicts_with = "degrade_at")]
    soft: bool,
    /// From this share on (per cent) routes buy the cheapest draft; at the limit it refuses
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..100))]
    degrade_at: Option<u8>,
    /// Shares that raise an alert, in per cent [default: 50,80,100]
    #[arg(long, value_name = "PERCENT,…", value_delimiter = ',')]
    alert_at: Option<Vec<u16>>,
    /// For people
    #[arg(long)]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct Wish {
    #[command(flatten)]
    limits: Limits,
    /// How long it counts before it begins anew
    #[arg(long, default_value = "month", value_parser = ["hour", "day", "week", "month", "forever"])]
    every: String,
    /// In whose calendar it begins, as Europe/Vienna
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// Only this project; `*`: each apart. So with the next ones
    #[arg(long)]
    project: Option<String>,
    /// Only this key, by its id
    #[arg(long)]
    key: Option<String>,
    /// Only this end user, as requests name them in `user` or `safety_identifier`
    #[arg(long)]
    user: Option<String>,
    /// Only requests with this tag; `team=*`: each value apart
    #[arg(long, value_name = "NAME=VALUE", value_parser = tag)]
    tag: Option<(String, String)>,
    /// Only this provider
    #[arg(long)]
    provider: Option<String>,
    /// Only this model
    #[arg(long)]
    model: Option<String>,
    #[command(flatten)]
    place: Place,
}

fn tag(text: &str) -> std::result::Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let (name, value) = parts.ok_or_else(|| "write a tag as team=red".to_owned())?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Limits {
    fn body(&self) -> Map<String, Value> {
        let mode = match (self.soft, self.degrade_at) {
            (true, _) => Some("soft"),
            (false, Some(_)) => Some("degrade"),
            (false, None) => None,
        };
        given([
            ("limit_usd", self.usd.clone().map(Value::from)),
            ("limit_images", self.images.map(Value::from)),
            ("mode", mode.map(Value::from)),
            ("share_percent", self.degrade_at.map(Value::from)),
            ("thresholds_percent", self.alert_at.clone().map(Value::from)),
            ("name", self.name.clone().map(Value::from)),
        ])
    }
}

/// The members that are there.
fn given<const N: usize>(members: [(&str, Option<Value>); N]) -> Map<String, Value> {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn wish(wish: &Wish) -> Value {
    let text = |given: &Option<String>| given.clone().map(Value::from);
    let mut body = wish.limits.body();
    let scope = given([
        ("project", text(&wish.project)),
        ("key", text(&wish.key)),
        ("user", text(&wish.user)),
        ("tag", wish.tag.as_ref().map(|(name, value)| json!({name.as_str(): value}))),
        ("provider", text(&wish.provider)),
        ("model", text(&wish.model)),
    ]);
    body.insert("window".to_owned(), wish.every.clone().into());
    body.insert("zone".to_owned(), wish.zone.clone().into());
    body.insert("scope".to_owned(), scope.into());
    body.into()
}

pub fn run(command: &BudgetsCommand, json: bool) -> Result<()> {
    let answer = match &command.action {
        Action::List { place } => Books::open(place, false)?.budgets()?,
        Action::Create(wanted) => {
            if wanted.limits.usd.is_none() && wanted.limits.images.is_none() {
                let failure = Failure::usage("a budget needs a limit");
                return Err(failure.advise("say --usd 100 or --images 500"));
            }
            Books::open(&wanted.place, true)?.create_budget(&wish(wanted))?
        }
        Action::Change { id, limits, hard, place } => {
            let mut body = limits.body();
            if *hard {
                body.insert("mode".to_owned(), "hard".into());
            }
            if body.is_empty() {
                let failure = Failure::usage("nothing is to be changed");
                return Err(failure.advise("say for instance --usd 150"));
            }
            Books::open(place, false)?.change_budget(id, &body.into()).map_err(which)?
        }
        Action::Remove { id, place } => {
            Books::open(place, false)?.remove_budget(id).map_err(which)?;
            json!({"id": id, "object": "budget", "removed": true})
        }
    };
    if json {
        output::json(&answer);
    } else if answer["removed"] == true {
        output::line("The budget is removed: it refuses and counts nothing any more.");
    } else {
        print(&answer);
    }
    Ok(())
}

fn which(failure: Failure) -> Failure {
    match failure.advice.is_empty() {
        true => failure.advise("`gallerist budgets list` shows what there is"),
        false => failure,
    }
}

fn print(answer: &Value) {
    let one = std::slice::from_ref(answer);
    let budgets = answer["data"].as_array().map_or(one, Vec::as_slice);
    if budgets.is_empty() {
        output::line("There are no budgets. `gallerist budgets create --usd 100 --every month` makes one.");
        return;
    }
    let mut table = Table::new()
        .text("budget")
        .text("mode")
        .text("whose")
        .figure("settled")
        .figure("held")
        .figure("disputed")
        .figure("left")
        .figure("used")
        .text("begins anew")
        .text("id");
    let mut doubts = false;
    for budget in budgets {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&budget["name"]);
        let words = text(&budget["budget"]);
        let title = if name.is_empty() { words } else { format!("{name}: {words}") };
        let mode = match budget["share_percent"].as_u64() {
            Some(share) => format!("degrade at {share} %"),
            None => text(&budget["mode"]),
        };
        // Of a budget that has counted nothing yet, in its unit.
        let nothing = if budget["unit"] == "usd" { json!("0") } else { json!(0) };
        let unused = [json!({
            "subject": "", "settled": nothing, "held": nothing, "disputed": nothing,
            "left": budget["limit"], "used_percent": 0,
        })];
        let counters = budget["counters"].as_array().filter(|counters| !counters.is_empty());
        for counter in counters.map_or(&unused[..], Vec::as_slice) {
            let amount = |name: &str| output::dollars_of(&counter[name]);
            let doubtful = doubt::is_some(&counter["doubtful_usd"]);
            doubts |= doubtful;
            let used = counter["used_percent"].as_i64().map_or("–".to_owned(), |used| format!("{used} %"));
            table.row([
                title.clone(),
                mode.clone(),
                text(&counter["subject"]),
                doubt::marked(amount("settled"), doubtful),
                amount("held"),
                amount("disputed"),
                amount("left"),
                used,
                output::moment(&counter["window_end"]),
                text(&budget["id"]),
            ]);
        }
    }
    output::line(table.render());
    if doubts {
        output::line(format!("\n{}", doubt::LEGEND));
    }
    let is_nothing = |limit: &Value| *limit == 0 || (limit.is_string() && !doubt::is_some(limit));
    if budgets.iter().any(|budget| is_nothing(&budget["limit"])) {
        output::line(
            "\nA limit of nothing refuses every request that could cost anything; a soft one tells of the first charge.",
        );
    }
}
