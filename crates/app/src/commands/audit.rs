//! `gallerist audit`: who changed what of keys, projects and books.

use crate::books::{AuditQuestion, Books};
use crate::config::Place;
use crate::failure::Result;
use crate::output;
use crate::table::Table;
use clap::Args;
use serde_json::Value;

const EXAMPLES: &str = "Examples:
  gallerist audit --limit 50
  gallerist audit --subject 0f3a9c2b71de
  gallerist audit --action key.revoke --json";

/// Administrative changes, the newest first
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AuditCommand {
    /// How many, 1 to 100
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Continue behind this change
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// Only this action, such as key.rotate
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what was changed here: the id of a key or a request, the name of a project
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Only what was done with the key of this id
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    /// Only this project
    #[arg(long, value_name = "NAME")]
    project: Option<String>,
    #[command(flatten)]
    place: Place,
}

pub fn run(command: &AuditCommand, json: bool) -> Result<()> {
    let question = AuditQuestion {
        limit: command.limit,
        after: command.after.as_deref(),
        action: command.action.as_deref(),
        subject: command.subject.as_deref(),
        key: command.key.as_deref(),
        project: command.project.as_deref(),
    };
    let page = Books::open(&command.place, false)?.audit(question)?;
    if json {
        output::json(&page)
    } else {
        print(&page)
    }
    Ok(())
}

fn print(page: &Value) {
    let mut table =
        Table::new().text("when").text("who").text("what").flexible("of").flexible("change").optional("id");
    for change in page["data"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let text = |name: &str| change[name].as_str().unwrap_or_default().to_owned();
        let who = match change["key"].as_str() {
            Some(key) => format!("key {key}"),
            None => text("actor").replace('_', " "),
        };
        table.row([
            output::moment(&change["at"]),
            who,
            text("action"),
            text("subject"),
            differences(&change["before"], &change["after"]),
            text("id"),
        ]);
    }
    output::line(table.render());
}

/// The members that differ, as `name: before -> after`; of what is new, those that say something.
fn differences(before: &Value, after: &Value) -> String {
    let members = after.as_object().into_iter().flatten();
    let changed = members.filter(|(name, value)| before[name.as_str()] != **value);
    let told = changed.map(|(name, value)| match &before[name.as_str()] {
        Value::Null => format!("{name}: {}", plain(value)),
        was => format!("{name}: {} -> {}", plain(was), plain(value)),
    });
    told.collect::<Vec<_>>().join("; ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
