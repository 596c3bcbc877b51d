//! SQLite: the connection of the writer, the rules' statements on it, and the read-only ones beside it.
//!
//! `engine.rs` opens, locks and commits; `transaction.rs` keeps running totals meanwhile; `reader.rs` reads; the tables are `schema/`.

mod engine;
mod reader;
mod transaction;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};
use std::ops::ControlFlow;

use crate::StoreError;
use crate::sql::{Columns, Dialect, Each, Row, Sql, Value};

pub(crate) use engine::{Sqlite, database_path, make_private_dir};
pub(crate) use reader::{Readers, peek};

/// Statements that a connection keeps prepared.
const STATEMENTS_CACHED: usize = 64;

/// Whether it says that there is no room for another page.
pub(crate) fn is_full(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<rusqlite::Error>();
    error.and_then(rusqlite::Error::sqlite_error_code) == Some(rusqlite::ErrorCode::DiskFull)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError::database(error)
    }
}

impl Sql for Connection {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn execute(&self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        Ok(self.prepare_cached(statement)?.execute(params_from_iter(values))? as u64)
    }

    fn put(&self, statement: &str, values: &[Value<'_>], rows: Option<u64>) -> Result<(), StoreError> {
        let changed = Sql::execute(self, statement, values)?;
        if let Some(rows) = rows {
            assert_eq!(changed, rows, "the rows that it must change exist once: {statement}");
        }
        Ok(())
    }

    fn insert(&self, statement: &str, values: &[Value<'_>]) -> Result<i64, StoreError> {
        Sql::execute(self, statement, values)?;
        Ok(self.last_insert_rowid())
    }

    fn query(&self, statement: &str, values: &[Value<'_>], each: &mut Each<'_>) -> Result<(), StoreError> {
        let mut statement = self.prepare_cached(statement)?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            if each(&Row::new(row))? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

impl Columns for rusqlite::Row<'_> {
    fn value(&self, column: usize) -> Result<Value<'_>, StoreError> {
        Ok(match self.get_ref(column)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Text(text) => {
                Value::Text(std::str::from_utf8(text).map_err(|error| StoreError::strange(column, error))?)
            }
            ValueRef::Blob(bytes) => Value::Blob(bytes),
            ValueRef::Real(_) => return Err(StoreError::strange(column, "it is a float")),
        })
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Boolean(yes) => ValueRef::Integer(i64::from(*yes)),
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
