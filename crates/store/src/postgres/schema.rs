//! The tables and their numbered migrations, counted in `schema_version`.
//!
//! Forward only, and each is safe while replicas of the version before it still run and pay: tables and columns are
//! added, never renamed or dropped in the same step, and no step reads or rewrites a table that grows. Each is a
//! transaction of its own, in which no writer is under way, and which gives up and tries again rather than stand in
//! front of payments while it waits for a table. What takes as long as a table is large, an index, is built beside
//! them afterwards (`indexes.rs`). One replica migrates at a time; the others wait.

use gallerist_domain::ProjectId;
use jiff::Timestamp;
use std::thread::sleep;
use std::time::Duration;

use super::connection::Connection;
use super::engine::WRITERS_LOCK;
use super::indexes;
use super::trouble::Trouble;
use crate::StoreError;
use crate::projects;
use crate::sql::{Sql, params};

/// Migration `i` brings schema `i` to schema `i + 1`. Never edit one that was released; add another. What a step may
/// do is held by the tests below.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("../schema/postgres/0001_first.sql"),
    include_str!("../schema/postgres/0002_asked.sql"),
    include_str!("../schema/postgres/0003_budgets.sql"),
    include_str!("../schema/postgres/0004_webhooks.sql"),
    include_str!("../schema/postgres/0005_rollups.sql"),
    include_str!("../schema/postgres/0006_tenants.sql"),
    include_str!("../schema/postgres/0007_reconciliations.sql"),
    include_str!("../schema/postgres/0008_references.sql"),
    include_str!("../schema/postgres/0009_feeds.sql"),
    include_str!("../schema/postgres/0010_repetitions.sql"),
    include_str!("../schema/postgres/0011_list_prices.sql"),
    include_str!("../schema/postgres/0012_doubtful_sums.sql"),
    include_str!("../schema/postgres/0013_open.sql"),
];

/// Lets one replica migrate at a time.
const LOCK: i64 = 0x6761_6c6c_0001;
/// Between two looks at whether another replica has migrated.
const LOOK: Duration = Duration::from_millis(50);
/// For how long a step waits for a table, with the payments behind it: less than anybody notices.
const LOCK_TIMEOUT: &str = "250ms";
/// Between two tries, in which the payments go on.
const PAUSE: Duration = Duration::from_millis(750);
/// Tries of a step: some five minutes.
const TRIES_MAX: u32 = 300;

/// Brings the database up to date. An older program that finds a newer schema leaves it alone.
pub(super) fn migrate(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    bring_to(connection, MIGRATIONS, now)?;
    indexes::build_missing(connection, indexes::INDEXES)
}

/// Brings the database to the schema after these migrations.
pub(super) fn bring_to(
    connection: &Connection,
    migrations: &[&str],
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql: &dyn Sql = connection;
    // Asked for again and again: a session that waits inside a statement would hold up whoever builds an index.
    while !try_lock(sql, LOCK)? {
        sleep(LOOK);
    }
    let migrated = steps(connection, migrations, now);
    unlock(sql, LOCK)?;
    migrated
}

/// A lock of the session.
pub(super) fn try_lock(sql: &dyn Sql, lock: i64) -> Result<bool, StoreError> {
    sql.query_row("SELECT pg_try_advisory_lock(?1)", params![lock], |row| row.get(0))
}

pub(super) fn unlock(sql: &dyn Sql, lock: i64) -> Result<(), StoreError> {
    sql.query_row("SELECT pg_advisory_unlock(?1)", params![lock], |_| Ok(()))
}

fn steps(connection: &Connection, migrations: &[&str], now: Timestamp) -> Result<(), StoreError> {
    let known = i64::try_from(migrations.len()).expect("there are few migrations");
    connection.plain("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")?;
    let sql: &dyn Sql = connection;
    let found: i64 =
        sql.query_row("SELECT coalesce(max(version), 0) FROM schema_version", &[], |row| row.get(0))?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    if found == 0 {
        return in_transaction(connection, || {
            migrations.iter().try_for_each(|text| connection.plain(text))?;
            indexes::make_on_empty(connection, indexes::INDEXES)?;
            projects::insert(sql, &ProjectId::default_project(), None, now)?;
            connection.flush()?;
            note(connection, known)
        });
    }
    for (text, version) in migrations.iter().zip(1..).filter(|(_, version)| *version > found) {
        patiently(connection, version, || {
            in_transaction(connection, || {
                connection.plain(text)?;
                note(connection, version)
            })
        })?;
    }
    Ok(())
}

/// Runs a step in which no writer is under way: so it never waits for one that waits for it.
fn in_transaction(
    connection: &Connection,
    step: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let begin = format!(
        "BEGIN; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SELECT pg_advisory_xact_lock({WRITERS_LOCK})"
    );
    let done = connection.plain(&begin).and_then(|()| step());
    if done.is_err() {
        // A session that is gone has rolled back by itself.
        let _ = connection.plain("ROLLBACK");
        return done;
    }
    connection.plain("COMMIT")
}

/// Tries a step again while others are in the way.
fn patiently(
    connection: &Connection,
    version: i64,
    step: impl Fn() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for attempt in 1.. {
        connection.forget_trouble();
        let Err(error) = step() else { break };
        if attempt == TRIES_MAX || !matches!(connection.trouble(), Some(Trouble::Again(_))) {
            return Err(error);
        }
        if attempt == 1 {
            tracing::info!(version, %error, "a migration waits until others let go of its tables");
        }
        sleep(PAUSE);
    }
    Ok(())
}

fn note(connection: &Connection, version: i64) -> Result<(), StoreError> {
    connection.plain(&format!("DELETE FROM schema_version; INSERT INTO schema_version VALUES ({version})"))
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    /// The statements of a step, in capitals, without remarks.
    fn statements(text: &str) -> Vec<String> {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("--"));
        let whole = lines.collect::<Vec<_>>().join(" ").to_uppercase();
        whole.split(';').map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    /// What a step does to a table that was there before it takes no longer than the table is large.
    fn slow(statement: &str, made: &[&str]) -> bool {
        let words: Vec<&str> = statement.split(' ').collect();
        let on_old = |table: Option<&&str>| table.is_some_and(|table| !made.contains(table));
        match words.as_slice() {
            ["CREATE", "INDEX", _, "ON", table, ..] | ["CREATE", "UNIQUE", "INDEX", _, "ON", table, ..] => {
                on_old(Some(table))
            }
            ["ALTER", "TABLE", table, change @ ..] if on_old(Some(table)) => match change {
                // A default that is the same for all rows is kept beside them; a check or a reference is looked
                // through, which only small tables bear.
                ["ADD", "COLUMN", _, rest @ ..] => {
                    let looks = rest.iter().any(|word| ["CHECK", "REFERENCES", "UNIQUE"].contains(word));
                    let computed = rest.contains(&"DEFAULT") && rest.iter().any(|word| word.contains('('));
                    (looks || computed) && !["KEYS", "PROJECTS"].contains(table)
                }
                ["DROP", "CONSTRAINT", ..] | ["SET", "(FILLFACTOR", ..] => false,
                _ => true,
            },
            ["UPDATE" | "DELETE" | "CLUSTER" | "VACUUM" | "REINDEX", ..] => true,
            _ => false,
        }
    }

    #[test]
    fn no_step_works_through_a_table_that_grows() {
        for (at, text) in MIGRATIONS.iter().enumerate().skip(1) {
            let statements = statements(text);
            let table = |statement: &String| {
                let rest = statement.strip_prefix("CREATE TABLE ")?;
                Some(rest.split(' ').next().unwrap_or_default().to_owned())
            };
            let made: Vec<String> = statements.iter().filter_map(table).collect();
            let made: Vec<&str> = made.iter().map(String::as_str).collect();
            let slow: Vec<&String> = statements.iter().filter(|one| slow(one, &made)).collect();
            assert!(slow.is_empty(), "migration {}: {slow:#?}", at + 1);
        }
    }

    #[test]
    fn what_would_hold_payments_up_is_found() {
        for one in [
            "CREATE INDEX A ON ATTEMPTS (CREATED_AT)",
            "CREATE UNIQUE INDEX A ON ATTEMPTS (ID)",
            "ALTER TABLE ATTEMPTS ADD COLUMN A BIGINT CHECK (A > 0)",
            "ALTER TABLE ATTEMPTS ADD COLUMN A BIGINT DEFAULT NEXTVAL('A')",
            "ALTER TABLE ATTEMPTS ALTER COLUMN A TYPE TEXT",
            "ALTER TABLE ATTEMPTS ADD CONSTRAINT A PRIMARY KEY (B)",
            "UPDATE ATTEMPTS SET A = 1",
        ] {
            assert!(slow(one, &["OTHERS"]), "{one}");
        }
        assert!(!slow("CREATE INDEX A ON OTHERS (B)", &["OTHERS"]));
        assert!(!slow("ALTER TABLE ATTEMPTS ADD COLUMN A BIGINT NOT NULL DEFAULT 0", &[]));
    }
}
