//! Indexes of tables that may be large by the time they get them: built beside the payments, outside of migrations.
//!
//! Every start looks whether they are there. One whose building broke off is in nobody's use and in everybody's way:
//! it is dropped and made again. Nothing but speed depends on them, so a start goes on without one that cannot be
//! built, and while another replica is at it.

use super::connection::Connection;
use super::schema::{try_lock, unlock};
use super::trouble::Trouble;
use crate::StoreError;
use crate::sql::{Sql, params};

/// An index that payments are not to wait for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Index {
    pub(super) name: &'static str,
    /// Table, columns and condition.
    pub(super) on: &'static str,
}

pub(super) const INDEXES: &[Index] = &[
    Index { name: "requests_end_user", on: "requests (end_user) WHERE end_user IS NOT NULL" },
    Index { name: "usage_days_payers_day", on: "usage_days_payers (day)" },
    // A new budget counts what its window has seen before.
    Index { name: "attempts_created", on: "attempts (created_at, row)" },
    Index { name: "requests_repeated", on: "requests ((created_at / 900000000), fingerprint)" },
];

/// Lets one replica build at a time. Not the lock of migrations: an older program waits for that one inside of a
/// statement, and what builds an index waits for such statements.
const LOCK: i64 = 0x6761_6c6c_0003;
/// Times that an index is begun at one start.
const TRIES_MAX: u32 = 3;

const STATE: &str = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(?1)";

/// Makes them in the transaction that makes the tables.
pub(super) fn make_on_empty(connection: &Connection, indexes: &[Index]) -> Result<(), StoreError> {
    indexes
        .iter()
        .try_for_each(|Index { name, on }| connection.plain(&format!("CREATE INDEX {name} ON {on}")))
}

/// Builds what is missing or was left half built, as long as that takes.
pub(super) fn build_missing(connection: &Connection, indexes: &[Index]) -> Result<(), StoreError> {
    let sql: &dyn Sql = connection;
    let mut missing = Vec::new();
    for index in indexes {
        if state(sql, index)? != Some(true) {
            missing.push(index);
        }
    }
    if missing.is_empty() || !try_lock(sql, LOCK)? {
        return Ok(());
    }
    // It waits for the transactions that are under way, and those for nothing of it.
    let built = connection
        .plain("SET lock_timeout = 0; SET statement_timeout = 0")
        .and_then(|()| missing.into_iter().try_for_each(|index| build(connection, index)));
    unlock(sql, LOCK)?;
    built
}

fn state(sql: &dyn Sql, index: &Index) -> Result<Option<bool>, StoreError> {
    sql.query_opt(STATE, params![index.name], |row| row.get(0))
}

fn build(connection: &Connection, Index { name, on }: &Index) -> Result<(), StoreError> {
    for attempt in 1..=TRIES_MAX {
        connection.forget_trouble();
        tracing::info!(index = name, "an index is being built; payments go on meanwhile");
        let built = connection
            .plain(&format!("DROP INDEX CONCURRENTLY IF EXISTS {name}"))
            .and_then(|()| connection.plain(&format!("CREATE INDEX CONCURRENTLY {name} ON {on}")));
        let Err(error) = built else { return Ok(()) };
        match connection.trouble() {
            Some(Trouble::Lost(_)) => return Err(error),
            Some(Trouble::Again(_)) if attempt < TRIES_MAX => {}
            _ => {
                tracing::error!(
                    index = name,
                    %error,
                    "an index could not be built: some questions are slow until a later start builds it"
                );
                connection.forget_trouble();
                return Ok(());
            }
        }
    }
    Ok(())
}
