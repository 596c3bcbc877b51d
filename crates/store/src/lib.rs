//! What must survive: projects, keys, requests, attempts, the double-entry ledger, pictures.
//!
//! One SQLite database and a folder of picture files in one data directory, locked to one process. One
//! writer thread takes commands from a bounded queue and commits all that wait together (`writer.rs`);
//! readers are a few read-only connections (`sqlite/`). The rules speak to the engine through `sql.rs` alone. Only this room changes money: [`ledger`] holds
//! its rules, `schema/` the tables.
//!
//! It refuses HTTP, the time of day (every command brings `now`), and deciding prices or routes. JSON that
//! it keeps is text to it. Every write is on disk when its future returns.

pub mod alerts;
pub mod books;
pub mod budgets;
pub mod credits;
pub mod deliveries;
pub mod error;
pub mod keys;
pub mod learning;
pub mod ledger;
pub mod meta;
pub mod pictures;
pub mod projects;
pub mod requests;
pub mod usage;
pub mod watched;
pub mod webhooks;
pub mod words;

mod schema;
mod sql;
mod sqlite;
mod writer;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use alerts::{AlertFilter, AlertPage, AlertRecord};
pub use books::{AccountBalance, Books};
pub use budgets::{BudgetChange, BudgetRecord, CounterRecord};
pub use credits::{DailyCharges, Expired, LotRecord};
pub use deliveries::{Claimed, DeliveryEnd, DeliveryHold};
pub use error::{Breach, StoreError};
pub use keys::{KeyRecord, NewKey};
pub use learning::SettledCharge;
pub use ledger::{
    AMOUNT_MAX, AttemptEnd, Conclusion, End, IDEMPOTENCY_HOURS, NewAttempt, NewRequest, RequestEnd,
    Reservation, Reserved, Resolution,
};
pub use pictures::{NewPicture, Picture, Swept};
pub use projects::ProjectRecord;
pub use requests::{
    AttemptRecord, EntryRecord, IdempotentRequest, OpenAttempt, RequestDetail, RequestFilter, RequestPage,
    RequestRecord, UnfinishedRequest,
};
pub use usage::{UsageFigures, UsageKey, UsageQuery, UsageReport, UsageRow};
pub use watched::ModelDay;
pub use webhooks::{NewWebhook, SigningSecret, WebhookChange, WebhookRecord, WebhookTarget};
pub use words::{AttemptStatus, KeyRole, Movement, RequestStatus, WebhookFormat};

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Made if it is missing. Holds `gallerist.sqlite`, `gallerist.lock` and `pictures/`.
    pub data_dir: PathBuf,
    /// Commands that may wait for the writer; further callers wait for a place. 1 to 65,536.
    pub queue_max: usize,
    /// Read-only connections, opened when first needed. 1 to 64.
    pub readers_max: usize,
    /// Keeps the calls (and so the prompts) of ended attempts.
    pub calls_keep: bool,
    /// Whether a commit waits for the disk. Only tests and demos turn it off.
    pub durable: bool,
    /// When the default project of a new store was made.
    pub now: Timestamp,
}

impl StoreOptions {
    /// The usual limits: 1,024 waiting commands, 4 readers, durable, calls dropped.
    pub fn new(data_dir: impl Into<PathBuf>, now: Timestamp) -> StoreOptions {
        StoreOptions {
            data_dir: data_dir.into(),
            queue_max: 1_024,
            readers_max: 4,
            calls_keep: false,
            durable: true,
            now,
        }
    }
}

/// A handle on the open store; clones share it. The last one to go closes it and waits for the writer.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    // Fields drop in this order: the writer ends and unlocks before a temporary folder is deleted.
    writer: writer::Writer,
    readers: sqlite::Readers,
    keys: Arc<keys::LiveKeys>,
    budgets: Arc<budgets::LiveBudgets>,
    data_dir: PathBuf,
    _temporary: Option<TemporaryDir>,
}

/// A folder that is deleted with the store.
struct TemporaryDir(PathBuf);

impl Drop for TemporaryDir {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "a temporary store was not deleted");
        }
    }
}

impl Store {
    /// Opens or makes the store. Blocks for a few milliseconds; [`StoreError::Locked`] if another process
    /// (or another `Store` of this one) has it open.
    pub fn open(options: StoreOptions) -> Result<Store, StoreError> {
        Store::open_with(options, None)
    }

    /// A store in a new temporary folder that is deleted with it; commits do not wait for the disk.
    pub fn open_temporary(now: Timestamp) -> Result<Store, StoreError> {
        let data_dir = std::env::temp_dir().join(format!("gallerist-{}", uuid::Uuid::now_v7()));
        let options = StoreOptions { durable: false, ..StoreOptions::new(&data_dir, now) };
        Store::open_with(options, Some(TemporaryDir(data_dir)))
    }

    fn open_with(options: StoreOptions, temporary: Option<TemporaryDir>) -> Result<Store, StoreError> {
        check(&options)?;
        let keys = Arc::new(keys::LiveKeys::default());
        let engine = sqlite::Sqlite::open(&options.data_dir, options.durable, options.now)?;
        keys.load(engine.connection())?;
        let budgets = Arc::new(budgets::LiveBudgets::default());
        budgets.load(engine.connection())?;
        let (queue_max, calls_keep) = (options.queue_max, options.calls_keep);
        let live = writer::Live { keys: Arc::clone(&keys), budgets: Arc::clone(&budgets) };
        let writer = writer::Writer::start(engine, live, queue_max, calls_keep)?;
        let readers = sqlite::Readers::new(sqlite::database_path(&options.data_dir), options.readers_max);
        let data_dir = options.data_dir;
        Ok(Store {
            inner: Arc::new(Inner { writer, readers, keys, budgets, data_dir, _temporary: temporary }),
        })
    }

    /// Waits until everything that was queued before is on disk.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await
    }

    /// Commits what waits, ends the writer and unlocks the folder. Later commands answer
    /// [`StoreError::Closed`].
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.writer.close().await
    }

    /// The folder that holds everything.
    pub fn data_dir(&self) -> &Path {
        &self.inner.data_dir
    }

    /// Runs `work` on the writer thread inside the next commit; when it fails, nothing of it is kept. It may
    /// be run again after a rollback, so it changes nothing but the database.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut writer::Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.write(work).await
    }

    /// As [`Store::write`], with some milliseconds of patience; only a failure is answered.
    pub(crate) fn write_later(
        &self,
        work: impl Fn(&mut writer::Writing<'_>) -> Result<(), StoreError> + Send + 'static,
        on_failure: impl FnOnce(StoreError) + Send + 'static,
    ) {
        self.inner.writer.write_later(work, on_failure);
    }

    /// Runs `work` on a read-only connection on a blocking thread, after everything that was written before,
    /// also what lies aside for the next commit: whoever has an answer finds its settlement.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn sql::Sql) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.flush().await?;
        self.inner.readers.read(work).await
    }
}

fn check(options: &StoreOptions) -> Result<(), StoreError> {
    if !(1..=65_536).contains(&options.queue_max) {
        return Err(StoreError::Invalid(format!("queue_max is {}, not 1 to 65,536", options.queue_max)));
    }
    if !(1..=64).contains(&options.readers_max) {
        return Err(StoreError::Invalid(format!("readers_max is {}, not 1 to 64", options.readers_max)));
    }
    Ok(())
}
