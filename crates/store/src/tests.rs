//! The store against its promises: one suite, on each engine, and what only one of them has.

// The suite is compiled once for each engine.
#![expect(clippy::duplicate_mod)]

mod postgres;
mod sqlite;

use crate::usage::statement;
use crate::*;

/// Every statement of the rules.
fn statements() -> Vec<String> {
    let plain = ledger::statements()
        .chain(alerts::STATEMENTS.iter().copied())
        .chain(audit::STATEMENTS.iter().copied())
        .chain(billed::STATEMENTS.iter().copied())
        .chain(books::STATEMENTS.iter().copied())
        .chain(budgets::STATEMENTS.iter().copied())
        .chain(budgets::earlier::STATEMENTS.iter().copied())
        .chain(credits::STATEMENTS.iter().copied())
        .chain(deliveries::STATEMENTS.iter().copied())
        .chain(learning::STATEMENTS.iter().copied())
        .chain(feed_books::STATEMENTS.iter().copied())
        .chain(full::STATEMENTS.iter().copied())
        .chain(keys::STATEMENTS.iter().copied())
        .chain(meta::STATEMENTS.iter().copied())
        .chain(pictures::STATEMENTS.iter().copied())
        .chain(projects::STATEMENTS.iter().copied())
        .chain(reconciliations::STATEMENTS.iter().copied())
        .chain(requests::STATEMENTS.iter().copied())
        .chain(requests::repeated::STATEMENTS.iter().copied())
        .chain(retention::STATEMENTS.iter().copied())
        .chain(room::STATEMENTS.iter().copied())
        .chain(simulation::STATEMENTS.iter().copied())
        .chain(usage::STATEMENTS.iter().copied())
        .chain(usage::rolled::STATEMENTS.iter().copied())
        .chain(watched::STATEMENTS.iter().copied())
        .chain(webhooks::STATEMENTS.iter().copied());
    plain.map(str::to_owned).chain(usage_statements()).collect()
}

/// The statements that are put together for a question.
fn usage_statements() -> Vec<String> {
    let mut built: Vec<String> = Vec::new();
    for payers in [false, true] {
        built.extend([statement::cells(payers), statement::stored(payers), statement::insert(payers)]);
        built.push(statement::delete(payers));
    }
    for one in usage_keys() {
        for two in usage_keys() {
            let asked = statement::Asked::of(&UsageQuery::default(), &[one.clone(), two]);
            built.extend([asked.raw(), asked.rolled()]);
        }
    }
    built
}

/// Every key that usage can be grouped by.
fn usage_keys() -> Vec<UsageKey> {
    UsageKey::WORDS
        .split(", ")
        .map(|word| UsageKey::from_word(word).expect("the words are the keys"))
        .collect()
}
