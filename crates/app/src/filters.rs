//! Filters that name what nobody knows: said beside an answer that is empty because of them.
//!
//! What the books have never seen is no mistake by itself: a project may be new, a name of before may be gone. So it
//! is a note on standard error, and the answer stays as it is.

use crate::output;
use gallerist_routing::nearest::nearest;
use serde_json::Value;

/// Names that a note offers.
const NEAREST_MAX: usize = 3;

/// Notes that `asked` is none of the `known`, with the nearest of them.
pub fn note(what: &str, asked: &str, known: Vec<String>) {
    if let Some(text) = unknown(what, asked, known) {
        output::notes(&[text]);
    }
}

/// So of the name of a project, which a list of them knows.
pub fn note_project(asked: Option<&str>, projects: &Value) {
    if let Some(asked) = asked {
        let found = projects["data"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        note("project", asked, found.filter_map(|one| one["id"].as_str()).map(str::to_owned).collect());
    }
}

fn unknown(what: &str, asked: &str, known: Vec<String>) -> Option<String> {
    if known.iter().any(|name| name == asked) {
        return None;
    }
    let near = nearest(asked, known, NEAREST_MAX);
    let near = if near.is_empty() { String::new() } else { format!("; the nearest: {}", near.join(", ")) };
    Some(format!("no {what} {asked:?} is known{near}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_knows_is_told_with_its_nearest() {
        let known = || ["openai", "bfl", "fal", "google"].map(str::to_owned).to_vec();
        assert_eq!(unknown("provider", "fal", known()), None);
        let told = unknown("provider", "opnai", known()).unwrap();
        assert!(told.starts_with("no provider \"opnai\" is known; the nearest: openai, "), "{told}");
        assert_eq!(unknown("model", "x", Vec::new()).unwrap(), "no model \"x\" is known.");
    }
}
