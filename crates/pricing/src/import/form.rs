//! What form a list has, as a whole: said where it has another, with the format that it looks like.
//!
//! A file of another format parses well enough, and every entry of it is malformed: that is no empty list but a
//! mistake of whoever named the format, so it fails as a whole.

use super::json::{self, Object, list, object};
use super::{Entry, Format, Reason, Verdict};
use serde_json::value::RawValue;

/// Reasons that are told of a list of which nothing is understood.
const TOLD_MAX: usize = 3;

/// The text is no list of this format at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no price list in the format {}: {detail}", .format.name())]
pub struct NotAList {
    pub format: Format,
    pub detail: String,
    /// The format whose marks the text has, where that is another one.
    pub looks_like: Option<Format>,
}

impl NotAList {
    pub(super) fn of(format: Format, text: &str, detail: String) -> NotAList {
        NotAList { format, detail, looks_like: guessed(text).filter(|guess| *guess != format) }
    }
}

/// Every entry of the list, unless there is none or none can be understood.
pub(super) fn understood(entries: Vec<Entry>) -> Result<Vec<Entry>, String> {
    if entries.is_empty() {
        return Err("it has no entry".to_owned());
    }
    let mut reasons = Vec::new();
    for entry in &entries {
        match &entry.verdict {
            Verdict::Unpriced(Reason::Malformed(why)) => reasons.push(format!("{}: {why}", entry.id)),
            _ => return Ok(entries),
        }
    }
    let more = match reasons.len().checked_sub(TOLD_MAX) {
        None | Some(0) => String::new(),
        Some(more) => format!("; {more} more"),
    };
    let told = reasons[..reasons.len().min(TOLD_MAX)].join("; ");
    Err(match entries.len() {
        1 => format!("its only entry cannot be understood ({told})"),
        count => format!("none of its {count} entries can be understood ({told}{more})"),
    })
}

/// The object that a list is, or what it is instead.
pub(super) fn top<'a>(text: &'a str, form: &str) -> Result<Object<'a>, String> {
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    object(whole).ok_or_else(|| format!("it is {}, where the format has {form}", json::kind(whole)))
}

/// The format whose marks a text has.
fn guessed(text: &str) -> Option<Format> {
    let whole: &RawValue = serde_json::from_str(text).ok()?;
    let top = object(whole)?;
    if top.contains_key("endpoints") || top.get("data").is_some_and(|raw| list(raw).is_some()) {
        return Some(Format::Openrouter);
    }
    let has = |mark: &str| top.values().any(|raw| object(raw).is_some_and(|entry| entry.contains_key(mark)));
    if has("pricing_config") {
        Some(Format::Portkey)
    } else {
        has("litellm_provider").then_some(Format::Litellm)
    }
}
