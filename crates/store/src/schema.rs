//! The tables and their numbered migrations, counted in `PRAGMA user_version`.

use gallerist_domain::ProjectId;
use jiff::Timestamp;
use rusqlite::Connection;

use crate::StoreError;
use crate::projects;

/// Migration `i` brings schema `i` to schema `i + 1`. Never edit one that was released; add another.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_first.sql"),
    include_str!("schema/0002_credits.sql"),
    include_str!("schema/0003_asked.sql"),
    include_str!("schema/0004_budgets.sql"),
    include_str!("schema/0007_webhooks.sql"),
    include_str!("schema/0008_accounts.sql"),
    include_str!("schema/0009_tenants.sql"),
    include_str!("schema/0010_reconciliations.sql"),
    include_str!("schema/0011_feeds.sql"),
    include_str!("schema/0012_repetitions.sql"),
    include_str!("schema/0013_list_prices.sql"),
    include_str!("schema/0014_doubtful_sums.sql"),
    include_str!("schema/0015_fewer_pages.sql"),
];

/// Brings the database up to date; whether it was empty before.
pub(crate) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<bool, StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).expect("there are few migrations");
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known || found < 0 {
        return Err(StoreError::TooNew { found, known });
    }
    if found == known {
        return Ok(false);
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for text in &MIGRATIONS[usize::try_from(found).expect("it is not negative")..] {
        transaction.execute_batch(text)?;
    }
    if found == 0 {
        projects::insert(&*transaction, &ProjectId::default_project(), None, now)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(found == 0)
}
