//! `gallerist audit`: who changed what of keys, projects and books.

use crate::books::{AuditQuestion, Books};
use crate::config::Place;
use crate::failure::Result;
use crate::filters;
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
    let books = Books::open(&command.place, false)?;
    let page = books.audit(question)?;
    filters::note_project(&page, command.project.as_deref(), &books)?;
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

/// The members that differ, as `name: before -> after`; of what is new or gone, those that say something.
fn differences(before: &Value, after: &Value) -> String {
    let mut told = Vec::new();
    if after.is_null() && before.is_object() {
        compare("", after, before, &mut told);
        return format!("was {}", told.join("; "));
    }
    compare("", before, after, &mut told);
    told.join("; ")
}

fn compare(name: &str, before: &Value, after: &Value, told: &mut Vec<String>) {
    if before == after || (plain(before) == NOTHING && plain(after) == NOTHING) {
        return;
    }
    if let Value::Object(members) = after {
        for (member, value) in members {
            let path = if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
            compare(&path, &before[member.as_str()], value, told);
        }
        return;
    }
    told.push(match plain(before).as_str() {
        NOTHING => format!("{name}: {}", plain(after)),
        was => format!("{name}: {was} -> {}", plain(after)),
    });
}

/// What stands for null and for what is empty.
const NOTHING: &str = "none";

fn plain(value: &Value) -> String {
    match value {
        Value::Null => NOTHING.to_owned(),
        Value::String(text) if text.is_empty() => NOTHING.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => NOTHING.to_owned(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_differs_and_says_something_is_told() {
        let before =
            json!({"name": "", "limits": {"images_per_minute": 6, "images_at_once": null}, "models": []});
        let after = json!({"name": "", "limits": {"images_per_minute": null, "images_at_once": 3}, "models": ["a", "b"]});
        assert_eq!(
            differences(&before, &after),
            "limits.images_per_minute: 6 -> none; limits.images_at_once: 3; models: a, b"
        );
        assert_eq!(differences(&Value::Null, &before), "limits.images_per_minute: 6");
        assert_eq!(differences(&before, &Value::Null), "was limits.images_per_minute: 6");
    }
}
