//! The connection that writes: how it is opened and locked, and how a group of commands is committed.
//!
//! A group runs inside one `BEGIN IMMEDIATE`. No command hurts another: one that is refused before it wrote
//! leaves nothing behind (running totals are in memory until the end); when one fails after it wrote, the whole group is rolled back and run again with a
//! savepoint around each. Savepoints copy every page that they may have to restore, so the usual group goes
//! without. The data directory is locked for as long as the engine lives.

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::STATEMENTS_CACHED;
use super::transaction::Transaction;
use crate::StoreError;
use crate::ledger;
use crate::schema;
use crate::writer::{Changed, Command, Engine, Memory, Writing};

/// Pages of 4 KiB after which the log is copied into the database.
const CHECKPOINT_PAGES: i64 = 4_000;
/// Pages that the writer keeps in memory.
const CACHE_KIBIBYTES: i64 = 16_384;

/// The only connection of a data directory that writes.
pub(crate) struct Sqlite {
    connection: Connection,
    /// What is in memory and could not be read again after a commit.
    stale: Changed,
    // Unlocked when the connection is closed: fields drop in this order.
    _lock: File,
}

impl Sqlite {
    /// Opens or makes the database and brings its tables up to date; [`StoreError::Locked`] if somebody else
    /// has it open. A commit that is not `durable` does not wait for the disk.
    pub(crate) fn open(data_dir: &Path, durable: bool, now: Timestamp) -> Result<Sqlite, StoreError> {
        let lock = lock(data_dir)?;
        let mut connection = open(data_dir, durable)?;
        schema::migrate(&mut connection, now)?;
        Ok(Sqlite { connection, stale: Changed::default(), _lock: lock })
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Gives the database no page beyond those that it has, or as many as it likes: for simulated disks.
    pub(crate) fn limit_pages(&self, limited: bool) -> Result<(), StoreError> {
        let pages: i64 = match limited {
            true => self.connection.query_row("PRAGMA page_count", [], |row| row.get(0))?,
            false => i64::from(u32::MAX) - 1,
        };
        let set = format!("PRAGMA max_page_count = {pages}");
        self.connection.query_row(&set, [], |_| Ok(()))?;
        Ok(())
    }
}

impl Engine for Sqlite {
    fn commit(&mut self, memory: &mut Memory, group: &mut [Box<dyn Command>]) -> Result<(), StoreError> {
        let changed = match transact(&self.connection, memory, group, apply_together) {
            Err(Failure::Spoiled) => transact(&self.connection, memory, group, apply_apart),
            other => other,
        };
        match changed {
            Ok(changed) => {
                let stale = changed.or(self.stale);
                let loaded = memory.live.load(&self.connection, stale);
                self.stale = if loaded.is_err() { stale } else { Changed::default() };
                if let Err(error) = loaded {
                    // It is kept, so it is answered so; the next commit reads it again.
                    tracing::error!(%error, "what was written could not be read again");
                }
                Ok(())
            }
            Err(Failure::Store(error)) => Err(error),
            Err(Failure::Spoiled) => unreachable!("savepoints undo what a failed command wrote"),
        }
    }
}

/// Why a transaction was rolled back.
enum Failure {
    /// A command failed after it had written, without a savepoint to undo that.
    Spoiled,
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure::Store(error.into())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Store(error)
    }
}

type Apply = fn(&Transaction<'_>, &mut Writing<'_>, &mut [Box<dyn Command>]) -> Result<(), Failure>;

fn transact(
    connection: &Connection,
    memory: &mut Memory,
    group: &mut [Box<dyn Command>],
    apply: Apply,
) -> Result<Changed, Failure> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let transaction = Transaction::new(connection);
    let mut writing = memory.writing(&transaction);
    let written = apply(&transaction, &mut writing, group)
        .and_then(|()| ledger::tell_standings(&mut writing).map_err(Failure::Store))
        .and_then(|()| Ok(connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]))?));
    let (changed, charged) = (writing.changed, writing.charged);
    if let Err(failure) = written {
        // Some errors have rolled back already; then this one fails and that is fine.
        let _ = connection.execute_batch("ROLLBACK");
        // The accounts that commands have made are gone again.
        memory.names.forget();
        return Err(failure);
    }
    memory.committed(charged);
    Ok(changed)
}

fn apply_together(
    transaction: &Transaction<'_>,
    writing: &mut Writing<'_>,
    group: &mut [Box<dyn Command>],
) -> Result<(), Failure> {
    for command in group {
        let mark = transaction.mark();
        if command.apply(writing) {
            continue;
        }
        // Out of space or memory, the engine may have rolled everything back by itself; what follows would
        // then be committed piece by piece.
        if !transaction.undo(mark) || transaction.is_over() {
            return Err(Failure::Spoiled);
        }
    }
    // Whose share of them cannot be written shows when each is written for itself.
    transaction.write_totals().map_err(|_| Failure::Spoiled)
}

fn apply_apart(
    transaction: &Transaction<'_>,
    writing: &mut Writing<'_>,
    group: &mut [Box<dyn Command>],
) -> Result<(), Failure> {
    for command in group {
        transaction.order("SAVEPOINT command")?;
        let (charged, raised, moved) = (writing.charged, writing.raised.len(), writing.moved.len());
        let mut fine = command.apply(writing);
        if fine && let Err(error) = transaction.write_totals() {
            writing.note_failure(&error);
            command.refuse(error);
            fine = false;
        }
        if !fine {
            transaction.order("ROLLBACK TO command")?;
            transaction.forget();
            writing.names.forget();
            writing.charged = charged;
            writing.raised.truncate(raised);
            writing.moved.truncate(moved);
        }
        transaction.order("RELEASE command")?;
    }
    Ok(())
}

fn lock(data_dir: &Path) -> Result<File, StoreError> {
    make_private_dir(data_dir).map_err(|error| StoreError::file(data_dir, error))?;
    let path = data_dir.join("gallerist.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| StoreError::file(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked(path)),
        Err(TryLockError::Error(error)) => Err(StoreError::file(path, error)),
    }
}

fn open(data_dir: &Path, durable: bool) -> Result<Connection, StoreError> {
    let path = database_path(data_dir);
    make_private_file(&path).map_err(|error| StoreError::file(&path, error))?;
    let connection = Connection::open(&path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // A plan does not hang on the values that are bound: a statement would be prepared again whenever they change.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "OFF" })?;
    // Savepoints keep their undo pages in memory, not in a file.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // The commands look up what they refer to; `books` checks all references at once.
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIBIBYTES)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    // Calls hold prompts: what is deleted inside a page is also overwritten.
    connection.pragma_update(None, "secure_delete", "FAST")?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

pub(crate) fn database_path(data_dir: &Path) -> PathBuf {
    data_dir.join("gallerist.sqlite")
}

/// The books and the secret that signs addresses are for nobody else. A folder that exists is left as it is.
pub(crate) fn make_private_dir(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// The log beside the database takes its mode over.
fn make_private_file(path: &Path) -> std::io::Result<()> {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.create(true).append(true).open(path).map(drop)
}
