//! The store against its promises: one suite, on each engine, and what only one of them has.

// The suite is compiled once for each engine.
#![expect(clippy::duplicate_mod)]

mod postgres;
mod sqlite;

use crate::*;

/// Every statement of the rules.
fn statements() -> Vec<String> {
    let plain = ledger::statements()
        .chain(alerts::STATEMENTS.iter().copied())
        .chain(books::STATEMENTS.iter().copied())
        .chain(budgets::STATEMENTS.iter().copied())
        .chain(credits::STATEMENTS.iter().copied())
        .chain(deliveries::STATEMENTS.iter().copied())
        .chain(learning::STATEMENTS.iter().copied())
        .chain(keys::STATEMENTS.iter().copied())
        .chain(meta::STATEMENTS.iter().copied())
        .chain(pictures::STATEMENTS.iter().copied())
        .chain(projects::STATEMENTS.iter().copied())
        .chain(requests::STATEMENTS.iter().copied())
        .chain(usage::STATEMENTS.iter().copied())
        .chain(watched::STATEMENTS.iter().copied())
        .chain(webhooks::STATEMENTS.iter().copied());
    let grouped =
        UsageKey::ALL.iter().flat_map(|one| UsageKey::ALL.iter().map(|two| usage::statement(&[*one, *two])));
    plain.map(str::to_owned).chain(grouped).collect()
}
