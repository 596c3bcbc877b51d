//! The one thread that writes: group commit over a bounded queue.
//!
//! It waits for a command, takes everything else that already waits (up to [`COMMANDS_PER_COMMIT_MAX`]),
//! runs all inside one `BEGIN IMMEDIATE`, commits, and only then answers. When commands come one at a time
//! each is committed at once; while the disk is busy the next group gathers. A patient command (nobody waits
//! for it) lies aside for [`PATIENCE`] and rides with the next group, ahead of it; so a settlement and the
//! next reservation share one commit. The thread holds the lock of the data directory from its start to its
//! end.
//!
//! No command hurts another: one that is refused before it wrote leaves nothing behind; when one fails after
//! it wrote, the whole group is rolled back and run again with a savepoint around each. Savepoints copy
//! every page that they may have to restore, so the usual group goes without.

use gallerist_domain::Ticks;
use rusqlite::Connection;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

use crate::budgets::LiveBudgets;
use crate::keys::LiveKeys;
use crate::ledger::Names;
use crate::{StoreError, StoreOptions, database_path, schema};

/// Commands in one transaction; bounds the wait of the first one answered.
pub(crate) const COMMANDS_PER_COMMIT_MAX: usize = 256;
/// How long a patient command waits for company.
const PATIENCE: Duration = Duration::from_millis(3);
const STATEMENTS_CACHED: usize = 64;
/// Pages of 4 KiB after which the log is copied into the database.
const CHECKPOINT_PAGES: i64 = 4_000;
/// Pages that the writer keeps in memory.
const CACHE_KIBIBYTES: i64 = 16_384;

/// What a command works with: the connection inside the transaction, and the names looked up so far.
pub(crate) struct Writing<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) names: &'a mut Names,
    pub(crate) calls_keep: bool,
    /// Set by commands that change keys: the map in memory is then read again after the commit.
    pub(crate) keys_changed: bool,
    /// Set by commands that change budgets, as for keys.
    pub(crate) budgets_changed: bool,
    /// What the commands of this transaction have charged; counted when it is committed.
    pub(crate) charged: Ticks,
}

impl Writing<'_> {
    /// Budgets are other ones from here on.
    pub(crate) fn change_budgets(&mut self) {
        self.names.counters.forget_budgets();
        self.budgets_changed = true;
    }
}

enum Message {
    Command(Box<dyn Command>),
    /// Patient commands have waited long enough.
    Nudge,
    Close,
}

/// Commands that ride with the next group.
#[derive(Default)]
struct Patient {
    commands: Mutex<Vec<Box<dyn Command>>>,
    /// Whether a nudge is on its way already.
    nudge_comes: AtomicBool,
}

/// A queued command with the place for its answer.
trait Command: Send {
    /// Runs the work and keeps its outcome; false if it was refused or failed. May be run again after a
    /// rollback.
    fn apply(&mut self, writing: &mut Writing<'_>) -> bool;
    /// Answers, after the commit (or its failure).
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Asked<T, F> {
    work: F,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Command for Asked<T, F>
where
    T: Send,
    F: Fn(&mut Writing<'_>) -> Result<T, StoreError> + Send,
{
    fn apply(&mut self, writing: &mut Writing<'_>) -> bool {
        let outcome = (self.work)(writing);
        let fine = outcome.is_ok();
        self.outcome = Some(outcome);
        fine
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let outcome = match (committed, self.outcome) {
            (Ok(()), Some(outcome)) => outcome,
            // A refusal stays the better answer when the commit of the others failed.
            (Err(_), Some(Err(refusal))) => Err(refusal),
            (Err(error), _) => Err(error),
            (Ok(()), None) => Err(StoreError::Closed),
        };
        // A caller that has gone needs no answer.
        let _ = self.reply.send(outcome);
    }
}

/// A command that nobody waits for, unless it fails.
struct Unasked<F, G> {
    work: F,
    outcome: Option<Result<(), StoreError>>,
    on_failure: G,
}

impl<F, G> Command for Unasked<F, G>
where
    F: Fn(&mut Writing<'_>) -> Result<(), StoreError> + Send,
    G: FnOnce(StoreError) + Send,
{
    fn apply(&mut self, writing: &mut Writing<'_>) -> bool {
        let outcome = (self.work)(writing);
        let fine = outcome.is_ok();
        self.outcome = Some(outcome);
        fine
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let Unasked { work, outcome, on_failure } = *self;
        // What the work holds is then held by nobody but the other closure.
        drop(work);
        let outcome = outcome.unwrap_or(Ok(()));
        // A refusal stays the better answer when the commit of the others failed.
        if let Err(error) = outcome.and(committed) {
            on_failure(error);
        }
    }
}

pub(crate) struct Writer {
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Message>>,
    patient: Arc<Patient>,
    charged_ticks: Arc<AtomicI64>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(
        options: &StoreOptions,
        keys: Arc<LiveKeys>,
        budgets: Arc<LiveBudgets>,
    ) -> Result<Writer, StoreError> {
        let lock = lock(&options.data_dir)?;
        let mut connection = open(options)?;
        schema::migrate(&mut connection, options.now)?;
        keys.load(&connection)?;
        budgets.load(&connection)?;
        let (queue, commands) = mpsc::channel(options.queue_max);
        let patient = Arc::new(Patient::default());
        let charged_ticks = Arc::new(AtomicI64::new(0));
        let state = State {
            connection,
            names: Names::default(),
            keys,
            budgets,
            calls_keep: options.calls_keep,
            patient: Arc::clone(&patient),
            charged_ticks: Arc::clone(&charged_ticks),
        };
        let thread = std::thread::Builder::new()
            .name("gallerist-writer".to_owned())
            .spawn(move || {
                run(state, commands);
                drop(lock);
            })
            .map_err(|error| StoreError::file(&options.data_dir, error))?;
        Ok(Writer { queue: Some(queue), patient, charged_ticks, thread: Mutex::new(Some(thread)) })
    }

    /// What was charged since the start, by what is committed.
    pub(crate) fn charged(&self) -> Ticks {
        Ticks::new(self.charged_ticks.load(Ordering::Relaxed))
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(Asked { work, outcome: None, reply });
        let queue = self.queue.as_ref().expect("it is taken only by drop");
        queue.send(Message::Command(command)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Writes without an answer but for a failure, which is told on the writer's thread: the command may lie aside for [`PATIENCE`], and goes ahead of everything
    /// that is queued after it.
    pub(crate) fn write_later(
        &self,
        work: impl Fn(&mut Writing<'_>) -> Result<(), StoreError> + Send + 'static,
        on_failure: impl FnOnce(StoreError) + Send + 'static,
    ) {
        let waiting = {
            let mut patient = self.patient.commands.lock().unwrap_or_else(PoisonError::into_inner);
            patient.push(Box::new(Unasked { work, outcome: None, on_failure }));
            patient.len()
        };
        let queue = self.queue.as_ref().expect("it is taken only by drop").downgrade();
        if waiting >= COMMANDS_PER_COMMIT_MAX {
            // A full queue holds commands that take the patient ones along.
            if let Some(queue) = queue.upgrade() {
                let _ = queue.try_send(Message::Nudge);
            }
            return;
        }
        if self.patient.nudge_comes.swap(true, Ordering::AcqRel) {
            return;
        }
        let patient = Arc::clone(&self.patient);
        tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            patient.nudge_comes.store(false, Ordering::Release);
            let empty = patient.commands.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
            if let (false, Some(queue)) = (empty, queue.upgrade()) {
                let _ = queue.send(Message::Nudge).await;
            }
        });
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().expect("it is taken only by drop");
        // An error means that it is closed already.
        let _ = queue.send(Message::Close).await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                return Err(StoreError::Closed);
            }
        }
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without senders the thread commits what still waits and ends.
        drop(self.queue.take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the store had panicked");
        }
    }
}

struct State {
    connection: Connection,
    names: Names,
    keys: Arc<LiveKeys>,
    budgets: Arc<LiveBudgets>,
    calls_keep: bool,
    patient: Arc<Patient>,
    charged_ticks: Arc<AtomicI64>,
}

fn run(mut state: State, mut commands: mpsc::Receiver<Message>) {
    let mut queued: Vec<Box<dyn Command>> = Vec::with_capacity(COMMANDS_PER_COMMIT_MAX);
    while let Some(first) = commands.blocking_recv() {
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Command(command) => queued.push(command),
                Message::Nudge => {}
                Message::Close => commands.close(),
            }
            next = if queued.len() < COMMANDS_PER_COMMIT_MAX { commands.try_recv().ok() } else { None };
        }
        write_group(&mut state, &mut queued);
    }
    // Whoever asked has gone, but what was asked is done.
    write_group(&mut state, &mut queued);
}

/// Commits the patient commands and then the queued ones together, and answers.
fn write_group(state: &mut State, queued: &mut Vec<Box<dyn Command>>) {
    let mut group =
        std::mem::take(&mut *state.patient.commands.lock().unwrap_or_else(PoisonError::into_inner));
    group.append(queued);
    if group.is_empty() {
        return;
    }
    let committed = commit(state, &mut group);
    if let Err(error) = &committed {
        tracing::error!(%error, commands = group.len(), "a commit failed; nothing of it was written");
    }
    for command in group {
        command.answer(committed.clone());
    }
}

/// Runs the group in one transaction. On an error nothing of it is written.
fn commit(state: &mut State, group: &mut [Box<dyn Command>]) -> Result<(), StoreError> {
    let changed = match transact(state, group, apply_together) {
        Err(Failure::Spoiled) => transact(state, group, apply_apart),
        other => other,
    };
    match changed {
        Ok(Changed { keys, budgets }) => {
            if keys {
                state.keys.load(&state.connection)?;
            }
            if budgets {
                state.budgets.load(&state.connection)?;
            }
            Ok(())
        }
        Err(Failure::Store(error)) => Err(error),
        Err(Failure::Spoiled) => unreachable!("savepoints undo what a failed command wrote"),
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

type Apply = fn(&mut Writing<'_>, &mut [Box<dyn Command>]) -> Result<(), Failure>;

/// What is kept in memory too and was changed.
struct Changed {
    keys: bool,
    budgets: bool,
}

fn transact(state: &mut State, group: &mut [Box<dyn Command>], apply: Apply) -> Result<Changed, Failure> {
    let connection = &state.connection;
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut writing = Writing {
        connection,
        names: &mut state.names,
        calls_keep: state.calls_keep,
        keys_changed: false,
        budgets_changed: false,
        charged: Ticks::ZERO,
    };
    let written = apply(&mut writing, group)
        .and_then(|()| Ok(connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]))?));
    let changed = Changed { keys: writing.keys_changed, budgets: writing.budgets_changed };
    let charged = writing.charged;
    if let Err(failure) = written {
        // Some errors have rolled back already; then this one fails and that is fine.
        let _ = connection.execute_batch("ROLLBACK");
        // The accounts that commands have made are gone again.
        state.names.forget();
        return Err(failure);
    }
    state.charged_ticks.fetch_add(charged.get(), Ordering::Relaxed);
    Ok(changed)
}

fn apply_together(writing: &mut Writing<'_>, group: &mut [Box<dyn Command>]) -> Result<(), Failure> {
    for command in group {
        let changes = writing.connection.total_changes();
        if command.apply(writing) {
            continue;
        }
        let wrote = writing.connection.total_changes() != changes;
        // Out of space or memory, the engine may have rolled everything back by itself; what follows would
        // then be committed piece by piece.
        if wrote || writing.connection.is_autocommit() {
            return Err(Failure::Spoiled);
        }
    }
    Ok(())
}

fn apply_apart(writing: &mut Writing<'_>, group: &mut [Box<dyn Command>]) -> Result<(), Failure> {
    let connection = writing.connection;
    for command in group {
        connection.prepare_cached("SAVEPOINT command")?.execute([])?;
        if !command.apply(writing) {
            connection.prepare_cached("ROLLBACK TO command")?.execute([])?;
            writing.names.forget();
        }
        connection.prepare_cached("RELEASE command")?.execute([])?;
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

fn open(options: &StoreOptions) -> Result<Connection, StoreError> {
    let path = database_path(&options.data_dir);
    make_private_file(&path).map_err(|error| StoreError::file(&path, error))?;
    let connection = Connection::open(&path)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if options.durable { "FULL" } else { "OFF" })?;
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
