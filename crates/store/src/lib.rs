//! What must survive: projects, keys, requests, attempts, the double-entry ledger, pictures.
//!
//! By default one SQLite database and a folder of picture files in one data directory, locked to one process
//! (`sqlite/`); or a PostgreSQL database that several processes share (`postgres/`). One writer thread takes
//! commands from a bounded queue and commits all that wait together (`writer.rs`); readers have a few
//! connections of their own. Only this room changes money: [`ledger`] holds its rules, which speak to the engine
//! through `sql.rs` alone; `schema/` holds the tables.
//!
//! What replicas count together and may lose is not in the database but on a Redis or Valkey server
//! ([`counters`]).
//!
//! It refuses HTTP, the time of day (every command brings `now`), and deciding prices or routes. JSON that
//! it keeps is text to it. Every write is on disk when its future returns.

pub mod alerts;
pub mod audit;
pub mod billed;
pub mod books;
pub mod budgets;
pub mod counters;
pub mod credits;
pub mod deliveries;
pub mod error;
pub mod feed_books;
pub mod full;
pub mod keys;
pub mod learning;
pub mod ledger;
pub mod meta;
pub mod pictures;
pub mod projects;
pub mod reconciliations;
pub mod requests;
pub mod retention;
pub mod room;
pub mod simulation;
pub mod usage;
pub mod watched;
pub mod webhooks;
pub mod words;

mod postgres;
mod schema;
mod sql;
mod sqlite;
mod writer;

#[cfg(test)]
mod tests;

use gallerist_domain::RequestId;
use jiff::Timestamp;
use simulation::Lane;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use alerts::{AlertFilter, AlertPage, AlertRecord};
pub use audit::{ACTIONS, Actor, AuditFilter, AuditPage, AuditRecord};
pub use billed::{BILLED_ROWS_MAX, BilledAttempt};
pub use books::{AccountBalance, Books};
pub use budgets::{BudgetChange, BudgetRecord, CounterRecord};
pub use credits::{DailyCharges, Expired, LotRecord, OpenAmounts};
pub use deliveries::{Claimed, DeliveryEnd, DeliveryHold};
pub use error::{Breach, StoreError};
pub use feed_books::{FeedPart, FeedVersions, peek_feed_parts};
pub use keys::{GrantsChange, KeyChange, KeyRecord, LimitsChange, NewKey, NewSecret};
pub use learning::{Experience, LookBack, SettledCharge, peek_experience};
pub use ledger::adjust::Adjustment;
pub use ledger::{
    AMOUNT_MAX, AttemptEnd, Conclusion, End, IDEMPOTENCY_HOURS, ListPrice, NewAttempt, NewRequest,
    RequestEnd, Reservation, Reserved, Resolution,
};
pub use pictures::{NewPicture, Picture, Swept};
pub use postgres::StoreUrl;
pub use projects::{ProjectChange, ProjectRecord, ProjectUsage, cap_words};
pub use reconciliations::{
    NewReconciliation, ReconciliationFilter, ReconciliationPage, ReconciliationRecord,
};
pub use requests::{
    AttemptRecord, EntryRecord, IdempotentRequest, OpenAttempt, RequestDetail, RequestFilter, RequestPage,
    RequestRecord, UnfinishedRequest,
};
pub use retention::{Purged, RETENTION_DAYS_MIN};
pub use room::Candidate;
pub use usage::{BasisFigures, USAGE_ROWS_MAX, UsageFigures, UsageKey, UsageQuery, UsageReport, UsageRow};
pub use watched::ModelDay;
pub use webhooks::{NewWebhook, SigningSecret, WebhookChange, WebhookRecord, WebhookTarget};
pub use words::{AttemptStatus, Movement, RequestStatus, WebhookFormat};

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
    /// A PostgreSQL database that this process shares with others, instead of SQLite in `data_dir`.
    pub url: Option<StoreUrl>,
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
            url: None,
        }
    }
}

/// A handle on the open store; clones share it. The last one to go closes it and waits for the writer.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    /// Who stands in the audit log for what is changed through this handle.
    actor: Actor,
}

struct Inner {
    // Fields drop in this order: the writer ends and unlocks before a temporary folder is deleted.
    writer: writer::Writer,
    readers: Readers,
    /// This process among others on one PostgreSQL.
    replica: Option<postgres::Replica>,
    keys: Arc<keys::LiveKeys>,
    budgets: Arc<budgets::LiveBudgets>,
    feeds: Arc<feed_books::LiveFeeds>,
    /// When the keys were last read because one was not known.
    keys_read: tokio::sync::Mutex<Option<std::time::Instant>>,
    data_dir: PathBuf,
    lane: Lane,
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
        Store::open_with(options, None, Lane::Threads)
    }

    /// A store in a new temporary folder that is deleted with it; commits do not wait for the disk.
    pub fn open_temporary(now: Timestamp) -> Result<Store, StoreError> {
        let data_dir = std::env::temp_dir().join(format!("gallerist-{}", uuid::Uuid::now_v7()));
        let options = StoreOptions { durable: false, ..StoreOptions::new(&data_dir, now) };
        Store::open_with(options, Some(TemporaryDir(data_dir)), Lane::Threads)
    }

    fn open_with(
        options: StoreOptions,
        temporary: Option<TemporaryDir>,
        lane: Lane,
    ) -> Result<Store, StoreError> {
        check(&options)?;
        let keys = Arc::new(keys::LiveKeys::default());
        let budgets = Arc::new(budgets::LiveBudgets::default());
        let feeds = Arc::new(feed_books::LiveFeeds::default());
        let live = writer::Live {
            keys: Arc::clone(&keys),
            budgets: Arc::clone(&budgets),
            feeds: Arc::clone(&feeds),
        };
        let (queue_max, calls_keep) = (options.queue_max, options.calls_keep);
        let start = |engine: Box<dyn writer::Engine>| {
            writer::Writer::start(engine, live.clone(), queue_max, calls_keep)
        };
        let (writer, readers, replica) = match &options.url {
            None => {
                let engine = sqlite::Sqlite::open(&options.data_dir, options.durable, options.now)?;
                live.load(engine.connection(), writer::Changed::ALL)?;
                let path = sqlite::database_path(&options.data_dir);
                let readers = sqlite::Readers::new(path, options.readers_max, lane.clone());
                let writer = match &lane {
                    Lane::Threads => start(Box::new(engine))?,
                    Lane::Inline(disk) => {
                        let engine = simulation::OnDisk::new(engine, Arc::clone(disk));
                        writer::Writer::start_inline(engine, live.clone(), queue_max, calls_keep)
                    }
                };
                (writer, Readers::Sqlite(readers), None)
            }
            Some(url) => {
                sqlite::make_private_dir(&options.data_dir)
                    .map_err(|error| StoreError::file(&options.data_dir, error))?;
                // Not on the caller's thread, which may drive tasks and so must not wait for others.
                let opening = || postgres::open(url, &options.data_dir, options.durable, options.now, &live);
                let shared = std::thread::scope(|scope| scope.spawn(opening).join())
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                let replica = postgres::Replica::start(Arc::clone(&shared), live.clone())?;
                let engine = postgres::Postgres::new(Arc::clone(&shared));
                let readers = postgres::Readers::new(shared, options.readers_max);
                (start(Box::new(engine))?, Readers::Postgres(readers), Some(replica))
            }
        };
        let inner = Inner {
            writer,
            readers,
            replica,
            keys,
            budgets,
            feeds,
            keys_read: tokio::sync::Mutex::default(),
            data_dir: options.data_dir,
            lane,
            _temporary: temporary,
        };
        Ok(Store { inner: Arc::new(inner), actor: Actor::default() })
    }

    /// Waits until everything that was queued before is on disk.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.write(|_| Ok(())).await
    }

    /// Commits what waits, ends the writer and unlocks the folder. Later commands answer
    /// [`StoreError::Closed`].
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.writer.close().await?;
        let inner = Arc::clone(&self.inner);
        let ending = move || inner.replica.as_ref().map(postgres::Replica::end);
        tokio::task::spawn_blocking(ending).await.map_err(|_| StoreError::Closed)?;
        Ok(())
    }

    /// Waits until nothing can be written any more because the writer has panicked: every command answers
    /// [`StoreError::Closed`] then, and only another opening helps, in this process or the next. What is committed
    /// is on disk. A store that is closed in order does not end the waiting.
    pub async fn broken(&self) {
        self.inner.writer.broken().await;
    }

    /// Whether other processes may have the same database open.
    pub fn is_shared(&self) -> bool {
        self.inner.replica.is_some()
    }

    /// How many processes have this database open, this one included, by its heartbeats; at least 1. What was
    /// heard last while the database is away.
    pub fn replicas_alive(&self) -> u32 {
        self.inner.replica.as_ref().map_or(1, postgres::Replica::alive)
    }

    /// Whether the database answered when it was last asked. A file is always at hand.
    pub fn is_reached(&self) -> bool {
        self.inner.replica.as_ref().is_none_or(postgres::Replica::is_reached)
    }

    /// Makes this process look after what others on the same database left that are gone: their open attempts
    /// and running requests are then among [`Store::open_attempts`] and [`Store::unfinished_requests`]. Returns
    /// those requests, of which nobody leads a life any more; with SQLite none.
    pub async fn take_over(&self) -> Result<Vec<RequestId>, StoreError> {
        let Some(replica) = &self.inner.replica else { return Ok(Vec::new()) };
        let take_over = replica.take_over();
        self.write(move |writing| take_over(writing.connection)).await
    }

    /// Whether another process on the same database is at work on this request.
    pub async fn runs_elsewhere(&self, request: RequestId) -> Result<bool, StoreError> {
        let Some(replica) = &self.inner.replica else { return Ok(false) };
        self.inner.readers.read(replica.runs_elsewhere(request)).await
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

    /// As [`Store::write`], for a rule that says ahead what it looks up.
    pub(crate) async fn apply<A: Send + 'static, T: Send + 'static>(
        &self,
        rule: writer::Rule<A, T>,
    ) -> Result<T, StoreError> {
        self.inner.writer.write(rule).await
    }

    /// As [`Store::write`], with some milliseconds of patience; only a failure is answered.
    pub(crate) fn write_later(
        &self,
        work: impl writer::Work<()> + 'static,
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

/// Where is read from.
enum Readers {
    Sqlite(sqlite::Readers),
    Postgres(postgres::Readers),
}

impl Readers {
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn sql::Sql) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self {
            Readers::Sqlite(readers) => readers.read(work).await,
            Readers::Postgres(readers) => readers.read(work).await,
        }
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
