//! The one thread that writes: group commit over a bounded queue.
//!
//! It waits for a command, takes everything else that already waits (up to [`COMMANDS_PER_COMMIT_MAX`]),
//! has the engine run all of it in one transaction, and only after the commit answers. When commands come one
//! at a time each is committed at once; while the disk is busy the next group gathers. A patient command
//! (nobody waits for it) lies aside for [`PATIENCE`] and rides with the next group, ahead of it; so a
//! settlement and the next reservation share one commit.
//!
//! How a group is committed, and how one command's failure is kept from the others, is the engine's matter.

use gallerist_domain::Ticks;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

use crate::StoreError;
use crate::alerts::{Raised, Told};
use crate::budgets::LiveBudgets;
use crate::keys::LiveKeys;
use crate::ledger::{Moving, Names};
use crate::sql::{Lookups, Sql};

/// Commands in one transaction; bounds the wait of the first one answered.
pub(crate) const COMMANDS_PER_COMMIT_MAX: usize = 256;
/// How long a patient command waits for company.
const PATIENCE: Duration = Duration::from_millis(3);

/// A database that commits groups of commands. The writer's thread owns it.
pub(crate) trait Engine: Send + 'static {
    /// Runs the group in one transaction. On an error nothing of it is written, and the commands may be
    /// answered with that error. A command that is refused leaves nothing behind, and the others stay.
    fn commit(&mut self, memory: &mut Memory, group: &mut [Box<dyn Command>]) -> Result<(), StoreError>;
}

/// What is looked up in memory, outside of transactions too.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) keys: Arc<LiveKeys>,
    pub(crate) budgets: Arc<LiveBudgets>,
}

impl Live {
    /// Reads again what a committed transaction has changed.
    pub(crate) fn load(&self, connection: &dyn Sql, changed: Changed) -> Result<(), StoreError> {
        if changed.keys {
            self.keys.load(connection)?;
        }
        if changed.budgets {
            self.budgets.load(connection)?;
        }
        Ok(())
    }
}

/// What a transaction has changed of what is kept in memory too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changed {
    pub(crate) keys: bool,
    pub(crate) budgets: bool,
}

impl Changed {
    pub(crate) const ALL: Changed = Changed { keys: true, budgets: true };

    pub(crate) const fn is_any(self) -> bool {
        self.keys || self.budgets
    }
}

/// What the writer remembers between transactions.
pub(crate) struct Memory {
    pub(crate) names: Names,
    pub(crate) live: Live,
    pub(crate) calls_keep: bool,
    /// What was charged since the start, by what is committed.
    charged_ticks: Arc<AtomicI64>,
    /// What the present transaction raises, and who tells it.
    raised: Vec<Raised>,
    told: Arc<Told>,
}

impl Memory {
    /// For the commands of one transaction.
    pub(crate) fn writing<'a>(&'a mut self, connection: &'a dyn Sql) -> Writing<'a> {
        // Of an earlier transaction that was rolled back.
        self.raised.clear();
        Writing {
            raised: &mut self.raised,
            connection,
            names: &mut self.names,
            calls_keep: self.calls_keep,
            changed: Changed::default(),
            charged: Ticks::ZERO,
            moved: Vec::new(),
        }
    }

    /// Counts what a committed transaction has charged, and tells what it has raised.
    pub(crate) fn committed(&mut self, charged: Ticks) {
        self.charged_ticks.fetch_add(charged.get(), Ordering::Relaxed);
        self.told.tell(&mut self.raised);
    }
}

/// What a command works with: the connection inside the transaction, and the names looked up so far.
pub(crate) struct Writing<'a> {
    pub(crate) connection: &'a dyn Sql,
    pub(crate) names: &'a mut Names,
    pub(crate) calls_keep: bool,
    /// Set by commands that change keys or budgets: what is in memory of them is then read again after the
    /// commit.
    pub(crate) changed: Changed,
    /// What the commands of this transaction have charged; counted when it is committed.
    pub(crate) charged: Ticks,
    /// The alerts that they have raised; told when it is committed.
    pub(crate) raised: &'a mut Vec<Raised>,
    /// The counters that they have moved, of which the alerts follow at the end.
    pub(crate) moved: Vec<(i64, Moving)>,
}

impl Writing<'_> {
    /// Runs a command's work; what it raised is forgotten with it where it fails.
    fn run<T>(&mut self, work: &impl Work<T>) -> Result<T, StoreError> {
        let (raised, moved) = (self.raised.len(), self.moved.len());
        let outcome = work.run(self);
        if outcome.is_err() {
            self.raised.truncate(raised);
            self.moved.truncate(moved);
        }
        outcome
    }

    /// Budgets are other ones from here on.
    pub(crate) fn change_budgets(&mut self) {
        self.names.counters.forget_budgets();
        self.changed.budgets = true;
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

/// What a command does. A closure looks nothing up ahead.
pub(crate) trait Work<T>: Send {
    /// May be run again after a rollback, so it changes nothing but the database.
    fn run(&self, writing: &mut Writing<'_>) -> Result<T, StoreError>;

    /// Names what [`Work::run`] will look up, so that an engine may do that for a whole group at once.
    fn look_ahead(&self, _names: &Names, _lookups: &mut Lookups) {}
}

impl<T, F: Fn(&mut Writing<'_>) -> Result<T, StoreError> + Send> Work<T> for F {
    fn run(&self, writing: &mut Writing<'_>) -> Result<T, StoreError> {
        self(writing)
    }
}

/// A rule with its argument.
pub(crate) struct Rule<A, T> {
    pub(crate) argument: A,
    pub(crate) run: fn(&mut Writing<'_>, &A) -> Result<T, StoreError>,
    pub(crate) look_ahead: fn(&A, &Names, &mut Lookups),
}

impl<A: Send, T> Work<T> for Rule<A, T> {
    fn run(&self, writing: &mut Writing<'_>) -> Result<T, StoreError> {
        (self.run)(writing, &self.argument)
    }

    fn look_ahead(&self, names: &Names, lookups: &mut Lookups) {
        (self.look_ahead)(&self.argument, names, lookups);
    }
}

/// A queued command with the place for its answer.
pub(crate) trait Command: Send {
    /// Runs the work and keeps its outcome; false if it was refused or failed. May be run again after a
    /// rollback.
    fn apply(&mut self, writing: &mut Writing<'_>) -> bool;
    /// As [`Work::look_ahead`].
    fn look_ahead(&self, names: &Names, lookups: &mut Lookups);
    /// Replaces the outcome: what the work has written could not be kept.
    fn refuse(&mut self, error: StoreError);
    /// Answers, after the commit (or its failure).
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Asked<T, W> {
    work: W,
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, W: Work<T>> Command for Asked<T, W> {
    fn apply(&mut self, writing: &mut Writing<'_>) -> bool {
        let outcome = writing.run(&self.work);
        let fine = outcome.is_ok();
        self.outcome = Some(outcome);
        fine
    }

    fn look_ahead(&self, names: &Names, lookups: &mut Lookups) {
        self.work.look_ahead(names, lookups);
    }

    fn refuse(&mut self, error: StoreError) {
        self.outcome = Some(Err(error));
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
struct Unasked<W, G> {
    work: W,
    outcome: Option<Result<(), StoreError>>,
    on_failure: G,
}

impl<W: Work<()>, G: FnOnce(StoreError) + Send> Command for Unasked<W, G> {
    fn apply(&mut self, writing: &mut Writing<'_>) -> bool {
        let outcome = writing.run(&self.work);
        let fine = outcome.is_ok();
        self.outcome = Some(outcome);
        fine
    }

    fn look_ahead(&self, names: &Names, lookups: &mut Lookups) {
        self.work.look_ahead(names, lookups);
    }

    fn refuse(&mut self, error: StoreError) {
        self.outcome = Some(Err(error));
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
    told: Arc<Told>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. At most `queue_max` commands wait; further callers wait for a place.
    pub(crate) fn start(
        engine: Box<dyn Engine>,
        live: Live,
        queue_max: usize,
        calls_keep: bool,
    ) -> Result<Writer, StoreError> {
        let (queue, commands) = mpsc::channel(queue_max);
        let patient = Arc::new(Patient::default());
        let charged_ticks = Arc::new(AtomicI64::new(0));
        let told = Arc::new(Told::default());
        let memory = Memory {
            names: Names::default(),
            live,
            calls_keep,
            charged_ticks: Arc::clone(&charged_ticks),
            raised: Vec::new(),
            told: Arc::clone(&told),
        };
        let mut state = State { engine, memory, patient: Arc::clone(&patient) };
        let thread = std::thread::Builder::new()
            .name("gallerist-writer".to_owned())
            .spawn(move || run(&mut state, commands))
            .map_err(|error| StoreError::file("the writer's thread", error))?;
        Ok(Writer { queue: Some(queue), patient, charged_ticks, told, thread: Mutex::new(Some(thread)) })
    }

    /// What was charged since the start, by what is committed.
    pub(crate) fn charged(&self) -> Ticks {
        Ticks::new(self.charged_ticks.load(Ordering::Relaxed))
    }

    pub(crate) fn told(&self) -> &Told {
        &self.told
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl Work<T> + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(Asked { work, outcome: None, reply });
        let queue = self.queue.as_ref().expect("it is taken only by drop");
        queue.send(Message::Command(command)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Writes without an answer but for a failure, which is told on the writer's thread: the command may lie
    /// aside for [`PATIENCE`], and goes ahead of everything that is queued after it.
    pub(crate) fn write_later(
        &self,
        work: impl Work<()> + 'static,
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
    engine: Box<dyn Engine>,
    memory: Memory,
    patient: Arc<Patient>,
}

fn run(state: &mut State, mut commands: mpsc::Receiver<Message>) {
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
        write_group(state, &mut queued);
    }
    // Whoever asked has gone, but what was asked is done.
    write_group(state, &mut queued);
}

/// Commits the patient commands and then the queued ones together, and answers.
fn write_group(state: &mut State, queued: &mut Vec<Box<dyn Command>>) {
    let mut group =
        std::mem::take(&mut *state.patient.commands.lock().unwrap_or_else(PoisonError::into_inner));
    group.append(queued);
    if group.is_empty() {
        return;
    }
    let committed = state.engine.commit(&mut state.memory, &mut group);
    if let Err(error) = &committed {
        tracing::error!(%error, commands = group.len(), "a commit failed; nothing of it was written");
    }
    for command in group {
        command.answer(committed.clone());
    }
}
