//! The tables and their numbered migrations, counted in `schema_version`.
//!
//! Forward only, and each is safe while replicas of the version before it still run: tables and columns are
//! added, never renamed or dropped in the same step. One replica migrates at a time; the others wait.

use gallerist_domain::ProjectId;
use jiff::Timestamp;

use super::connection::Connection;
use crate::StoreError;
use crate::projects;
use crate::sql::Sql;

/// Migration `i` brings schema `i` to schema `i + 1`. Never edit one that was released; add another.
const MIGRATIONS: &[&str] = &[
    include_str!("../schema/postgres/0001_first.sql"),
    include_str!("../schema/postgres/0002_asked.sql"),
    include_str!("../schema/postgres/0003_budgets.sql"),
    include_str!("../schema/postgres/0004_webhooks.sql"),
    include_str!("../schema/postgres/0005_rollups.sql"),
    include_str!("../schema/postgres/0006_tenants.sql"),
    include_str!("../schema/postgres/0007_reconciliations.sql"),
    include_str!("../schema/postgres/0008_references.sql"),
];

/// Lets one replica migrate at a time.
const LOCK: i64 = 0x6761_6c6c_0001;

/// Brings the database up to date. An older program that finds a newer schema leaves it alone.
pub(super) fn migrate(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).expect("there are few migrations");
    connection.plain(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})"))?;
    let migrated = step(connection, known, now);
    connection.plain(if migrated.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    migrated
}

fn step(connection: &Connection, known: i64, now: Timestamp) -> Result<(), StoreError> {
    connection.plain("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)")?;
    let sql: &dyn Sql = connection;
    let found: i64 =
        sql.query_row("SELECT coalesce(max(version), 0) FROM schema_version", &[], |row| row.get(0))?;
    if found > known {
        return Err(StoreError::TooNew { found, known });
    }
    for text in &MIGRATIONS[usize::try_from(found).expect("it is not negative")..] {
        connection.plain(text)?;
    }
    if found == 0 {
        projects::insert(sql, &ProjectId::default_project(), None, now)?;
        connection.flush()?;
    }
    if found < known {
        connection
            .plain(&format!("DELETE FROM schema_version; INSERT INTO schema_version VALUES ({known})"))?;
    }
    Ok(())
}
