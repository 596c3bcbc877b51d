//! Filters that name what nobody knows: said beside an answer that is empty because of them.
//!
//! What the books have never seen is no mistake by itself: a project may be new, a name of before may be gone. So it
//! is a note on standard error, and the answer stays as it is.

use crate::books::Books;
use crate::failure::Result;
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

/// So of a project that a page of nothing was asked for.
pub fn note_project(page: &Value, asked: Option<&str>, books: &Books) -> Result<()> {
    let Some(asked) = asked.filter(|_| page["data"].as_array().is_some_and(Vec::is_empty)) else {
        return Ok(());
    };
    note("project", asked, projects(books)?);
    Ok(())
}

/// The projects that the books know.
pub fn projects(books: &Books) -> Result<Vec<String>> {
    let known = books.projects()?;
    let each = known["data"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    Ok(each.filter_map(|one| one["id"].as_str()).map(str::to_owned).collect())
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
