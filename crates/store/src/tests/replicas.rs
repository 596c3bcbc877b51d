//! What several stores on one database promise.

use super::support::*;
use crate::*;

#[test]
fn every_statement_prepares() {
    let place = place();
    let Some(url) = place.engine.url() else { return };
    drop(place.open());
    let mut statements = crate::tests::statements();
    // Files and their checks are SQLite's alone.
    statements.retain(|text| !text.contains("path") && !text.contains("pragma"));
    let own = postgres::replica::STATEMENTS.iter().chain(postgres::pictures::STATEMENTS);
    statements.extend(own.map(|text| (*text).to_owned()));
    let refused = postgres::refused(&url, &statements);
    assert!(refused.is_empty(), "{refused:#?}");
}
