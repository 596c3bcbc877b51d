//! `gallerist credits`: what was bought ahead at providers, what is left of it, and what will be lost.

use super::{amount, instant};
use crate::books::Books;
use crate::config::Place;
use crate::doubt;
use crate::failure::{Failure, Result};
use crate::output;
use crate::table::Table;
use clap::{Args, Subcommand};
use gallerist_domain::Decimal;
use jiff::Timestamp;
use serde_json::{Value, json};

const EXAMPLES: &str = "Examples:
  gallerist credits add bfl 1000 9.00 --expires-at 2027-06-01
  gallerist credits add openrouter 100 100 --fee-percent 5.5 --fee-minimum-usd 0.80
  gallerist credits use bfl 120 --note \"playground, November\"
  gallerist credits balance
  gallerist credits balance bfl --apply
  gallerist credits list
  gallerist credits remove 019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b
  gallerist credits forecast";

const BALANCE_EXAMPLES: &str = "Examples:
  gallerist credits balance
  gallerist credits balance bfl --apply
  gallerist credits balance openrouter 380 --note \"dashboard, 2026-11-28\"";

/// Credits that were bought ahead: enter a purchase, see what is left and what will be lost
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CreditsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Enter credits that were bought at a provider
    #[command(after_help = "Example:\n  gallerist credits add bfl 1000 9.00 --expires-at 2027-06-01")]
    Add(Purchase),
    /// Every lot: what it cost, what is left, what expired
    #[command(after_help = "Example:\n  gallerist credits list --json")]
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Take back the entry of a lot of which nothing was used yet, as if it had never been made
    #[command(after_help = "Example:\n  gallerist credits remove 019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b")]
    Remove {
        /// The lot's id, as `credits list` shows it
        id: String,
        #[command(flatten)]
        place: Place,
    },
    /// Record credits that were used outside of the gateway, what expires first in front
    #[command(after_help = "Example:\n  gallerist credits use bfl 120 --note \"playground, November\"")]
    Use(Movement),
    /// What providers say is left beside what the books say; corrects the books to it where you say so
    #[command(after_help = BALANCE_EXAMPLES)]
    Balance(Balance),
    /// Which lots will be used before they expire, and what a credit counts until then
    #[command(after_help = "Example:\n  gallerist credits forecast")]
    Forecast {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
struct Movement {
    /// The provider as offers name it
    provider: String,
    /// How many credits
    #[arg(value_parser = figure, allow_negative_numbers = true)]
    credits: String,
    /// What it was, for whoever reads the books later
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Balance {
    /// The provider as offers name it; else all that tell what is left
    provider: Option<String>,
    /// Correct the books to so many credits, where the provider tells them to people alone
    #[arg(value_parser = figure, allow_negative_numbers = true, conflicts_with = "apply")]
    credits: Option<String>,
    /// Correct the books to what the provider says
    #[arg(long, requires = "provider")]
    apply: bool,
    /// What it was, for whoever reads the books later
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Purchase {
    /// The provider as offers name it
    provider: String,
    /// How many credits
    #[arg(value_parser = figure, allow_negative_numbers = true)]
    credits: String,
    /// What they cost without the fee, in dollars
    #[arg(value_name = "PRICE_USD", value_parser = amount, allow_negative_numbers = true)]
    price_usd: String,
    /// Code of the credits in the catalogue, where it has several for the provider
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// What the provider adds to the price, in per cent
    #[arg(long, value_name = "PERCENT", value_parser = figure, allow_negative_numbers = true)]
    fee_percent: Option<String>,
    /// The least fee, in dollars
    #[arg(long, value_name = "USD", value_parser = amount, allow_negative_numbers = true)]
    fee_minimum_usd: Option<String>,
    /// When they were bought: an instant or day (UTC); else now
    #[arg(long, value_name = "WHEN", value_parser = instant)]
    purchased_at: Option<Timestamp>,
    /// When what is left is lost: an instant or day (UTC); else never
    #[arg(long, visible_alias = "expires", value_name = "WHEN", value_parser = instant)]
    expires_at: Option<Timestamp>,
    #[command(flatten)]
    place: Place,
}

fn figure(text: &str) -> std::result::Result<String, String> {
    text.parse::<Decimal>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}

pub fn run(command: &CreditsCommand, json: bool) -> Result<()> {
    act(command, json).map_err(in_arguments)
}

/// Mistakes of the API's fields, in the words of this command's arguments.
fn in_arguments(failure: Failure) -> Failure {
    const ARGUMENTS: [(&str, &str); 9] = [
        ("purchased_at", "--purchased-at"),
        ("expires_at", "--expires-at"),
        ("fee_percent", "--fee-percent"),
        ("fee_minimum_usd", "--fee-minimum-usd"),
        ("price_usd", "PRICE_USD"),
        ("credits must", "CREDITS must"),
        ("use must", "CREDITS must"),
        ("balance must", "CREDITS must"),
        ("currency must", "--currency must"),
    ];
    if failure.exit != 2 {
        return failure;
    }
    let message = ARGUMENTS.iter().fold(failure.message, |text, (field, said)| text.replace(field, said));
    Failure { message, ..failure }
}

fn act(command: &CreditsCommand, json: bool) -> Result<()> {
    let (answer, print): (Value, fn(&Value)) = match &command.action {
        Action::Add(purchase) => {
            (Books::open(&purchase.place, true)?.add_credits(&wish(purchase))?, print_lots)
        }
        Action::Remove { id, place } => {
            let lot = id.parse().map_err(|_| {
                Failure::usage(format!("{id:?} is no id of a lot"))
                    .advise("`gallerist credits list` shows the ids")
            })?;
            Books::open(place, false)?.remove_credits(lot)?;
            (json!({"id": id, "object": "credit_lot", "removed": true}), print_removed)
        }
        Action::Use(movement) => (moved(movement)?, print_lots),
        Action::Balance(Balance {
            provider: Some(provider), credits: Some(credits), note, place, ..
        }) => {
            let note = note.clone().unwrap_or_default();
            let wish = json!({"provider": provider, "balance": credits, "note": note});
            (Books::open(place, false)?.adjust_credits(&wish)?, print_lots)
        }
        Action::Balance(Balance { provider, apply, note, place, .. }) => {
            let wish = json!({"provider": provider, "apply": apply, "note": note});
            (Books::open(place, false)?.credit_balances(&wish)?, print_balances)
        }
        Action::List { place } => {
            let mut lots = Books::open(place, false)?.credits()?;
            // Only a gateway remembers them; `balance` asks.
            lots.as_object_mut().map(|members| members.remove("balances"));
            (lots, print_lots)
        }
        Action::Forecast { place } => (Books::open(place, false)?.credit_forecast()?, print_forecast),
    };
    if json {
        output::json(&answer);
    } else {
        print(&answer);
    }
    Ok(())
}

fn moved(movement: &Movement) -> Result<Value> {
    let wish = json!({"provider": movement.provider, "use": movement.credits, "note": movement.note});
    Books::open(&movement.place, false)?.adjust_credits(&wish)
}

fn wish(purchase: &Purchase) -> Value {
    let mut wish = json!({
        "provider": purchase.provider, "credits": purchase.credits, "price_usd": purchase.price_usd,
    });
    let text = |at: Timestamp| at.to_string();
    let given = [
        ("currency", purchase.currency.clone()),
        ("fee_percent", purchase.fee_percent.clone()),
        ("fee_minimum_usd", purchase.fee_minimum_usd.clone()),
        ("purchased_at", purchase.purchased_at.map(text)),
        ("expires_at", purchase.expires_at.map(text)),
    ];
    for (name, value) in given.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        wish[name] = value.into();
    }
    wish
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The day of an instant of an answer; `never` where there is none.
fn day(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.chars().take(10).collect(),
        None => "never".to_owned(),
    }
}

fn print_lots(answer: &Value) {
    let one = std::slice::from_ref(answer);
    let lots = answer["data"].as_array().map_or(one, Vec::as_slice);
    if lots.is_empty() {
        output::line(
            "No credits were entered. `gallerist credits add PROVIDER CREDITS PRICE_USD` enters some.",
        );
        return;
    }
    let mut table = Table::new()
        .text("provider")
        .text("credits")
        .figure("bought")
        .figure("left")
        .figure("cost")
        .figure("left, at cost")
        .spare_figure("paid")
        .spare_figure("used elsewhere")
        .figure("lost")
        .text("bought on")
        .text("expires")
        .text("id");
    for lot in lots {
        let dollars = |name: &str| output::dollars_of(&lot[name]);
        table.row([
            text(&lot["provider"]),
            text(&lot["currency"]),
            text(&lot["credits"]),
            text(&lot["remaining"]),
            dollars("cost_usd"),
            dollars("remaining_usd"),
            dollars("covered_usd"),
            text(&lot["outside"]),
            dollars("expired_usd"),
            day(&lot["purchased_at"]),
            day(&lot["expires_at"]),
            text(&lot["id"]),
        ]);
    }
    output::line(table.render());
}

fn print_removed(answer: &Value) {
    output::line(format!("The lot {} is removed, as if it had never been entered.", text(&answer["id"])));
}

fn print_balances(answer: &Value) {
    let balances = answer["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    if balances.is_empty() {
        output::line("No configured provider tells what is left; bfl, stability and fal (admin key) do.");
        return;
    }
    let mut table = Table::new()
        .text("provider")
        .text("unit")
        .figure("it says")
        .figure("books say")
        .figure("difference")
        .figure("in USD")
        .spare_figure("under way")
        .text("told at")
        .flexible("remark");
    for one in balances {
        let dollars = |name: &str| match one[name].is_null() {
            true => String::new(),
            false => output::dollars_of(&one[name]),
        };
        let remark = match (one["fault"].as_str(), one["booked"].is_null()) {
            (Some(fault), _) => fault.to_owned(),
            (None, true) => "no credits were entered".to_owned(),
            (None, false) if one["purchase_missing"] == true => {
                format!("a purchase is missing: {} were ever entered", text(&one["entered"]))
            }
            (None, false) => String::new(),
        };
        table.row([
            text(&one["provider"]),
            text(&one["unit"]),
            text(&one["told"]),
            text(&one["booked"]),
            text(&one["difference"]),
            dollars("difference_usd"),
            dollars("held_usd"),
            output::moment(&one["told_at"]),
            remark,
        ]);
    }
    output::line(table.render());
    let (missing, differing): (Vec<_>, Vec<_>) = balances
        .iter()
        .filter(|one| one["difference"].as_str().is_some_and(|figure| figure != "0"))
        .partition(|one| one["purchase_missing"] == true);
    if !differing.is_empty() {
        output::line("`gallerist credits balance PROVIDER --apply` corrects the books to what it says.");
    }
    if !missing.is_empty() {
        output::line("`gallerist credits add PROVIDER CREDITS PRICE_USD` enters a purchase that is missing.");
    }
}

fn print_forecast(answer: &Value) {
    let providers = answer["providers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if providers.is_empty() {
        output::line("No credits are left.");
        return;
    }
    for provider in providers {
        let dollars = |name: &str| output::dollars_of(&provider[name]);
        // What it counts is a figure of the catalogue.
        let doubt = doubt::doubt(&provider["list_confidence"], &provider["list_as_of"], Timestamp::now());
        let days = provider["days"].as_u64().unwrap_or_default();
        output::line(format!(
            "{}: {} charged in {days} {}. A credit was bought for {} and is routed at {}; it counts {}.",
            text(&provider["provider"]),
            dollars("charged_usd"),
            if days == 1 { "day" } else { "days" },
            dollars("purchase_usd"),
            dollars("routed_usd"),
            doubt::with(dollars("list_usd"), doubt.as_ref()),
        ));
        let mut table = Table::new()
            .text("expires")
            .text("credits")
            .figure("left")
            .figure("will be used")
            .figure("will be lost")
            .figure("at cost");
        for lot in provider["lots"].as_array().map(Vec::as_slice).unwrap_or_default() {
            table.row([
                day(&lot["expires_at"]),
                text(&lot["currency"]),
                text(&lot["remaining"]),
                text(&lot["used"]),
                text(&lot["lost"]),
                output::dollars_of(&lot["lost_usd"]),
            ]);
        }
        output::line(table.render());
        output::line(match provider["run_out_at"].as_str() {
            Some(_) => format!("The last is used or lost on {}.\n", day(&provider["run_out_at"])),
            None => "Some are never used up.\n".to_owned(),
        });
    }
}
