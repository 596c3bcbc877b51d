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
use crate::feed_books::LiveFeeds;
use crate::keys::LiveKeys;
use crate::ledger::{Moving, Names};
use crate::simulation::OnDisk;
use crate::sql::Sql;

mod command;

use command::{Asked, Unasked};
pub(crate) use command::{Command, Rule, Work};

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

impl Engine for Box<dyn Engine> {
    fn commit(&mut self, memory: &mut Memory, group: &mut [Box<dyn Command>]) -> Result<(), StoreError> {
        (**self).commit(memory, group)
    }
}

/// What is looked up in memory, outside of transactions too.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) keys: Arc<LiveKeys>,
    pub(crate) budgets: Arc<LiveBudgets>,
    pub(crate) feeds: Arc<LiveFeeds>,
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
        if changed.feeds {
            self.feeds.changed();
        }
        Ok(())
    }
}

/// What a transaction has changed of what is kept in memory too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changed {
    pub(crate) keys: bool,
    pub(crate) budgets: bool,
    /// What feeds have told.
    pub(crate) feeds: bool,
}

impl Changed {
    pub(crate) const ALL: Changed = Changed { keys: true, budgets: true, feeds: true };

    pub(crate) const fn or(self, other: Changed) -> Changed {
        Changed {
            keys: self.keys || other.keys,
            budgets: self.budgets || other.budgets,
            feeds: self.feeds || other.feeds,
        }
    }

    pub(crate) const fn is_any(self) -> bool {
        self.is_read() || self.feeds
    }

    /// Whether there is something to be read again, which changes rarely.
    pub(crate) const fn is_read(self) -> bool {
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

pub(crate) struct Writer {
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Message>>,
    patient: Arc<Patient>,
    charged_ticks: Arc<AtomicI64>,
    told: Arc<Told>,
    hand: Mutex<Option<Hand>>,
}

/// What does the writing.
enum Hand {
    Thread(JoinHandle<()>),
    /// Of a simulated store.
    Task(tokio::task::JoinHandle<()>),
}

impl Writer {
    /// Starts the thread. At most `queue_max` commands wait; further callers wait for a place.
    pub(crate) fn start(
        engine: Box<dyn Engine>,
        live: Live,
        queue_max: usize,
        calls_keep: bool,
    ) -> Result<Writer, StoreError> {
        let (writer, mut state, commands) = Writer::idle(engine, live, queue_max, calls_keep);
        let thread = std::thread::Builder::new()
            .name("gallerist-writer".to_owned())
            .spawn(move || run(&mut state, commands))
            .map_err(|error| StoreError::file("the writer's thread", error))?;
        Ok(writer.with(Hand::Thread(thread)))
    }

    /// As [`Writer::start`], in a task of the runtime, at the pace of its disk.
    pub(crate) fn start_inline(engine: OnDisk, live: Live, queue_max: usize, calls_keep: bool) -> Writer {
        let (writer, mut state, commands) = Writer::idle(engine, live, queue_max, calls_keep);
        let task = tokio::spawn(async move { run_inline(&mut state, commands).await });
        writer.with(Hand::Task(task))
    }

    /// A writer whose work nobody does yet.
    fn idle<E>(
        engine: E,
        live: Live,
        queue_max: usize,
        calls_keep: bool,
    ) -> (Writer, State<E>, mpsc::Receiver<Message>) {
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
        let state = State { engine, memory, patient: Arc::clone(&patient) };
        let writer = Writer { queue: Some(queue), patient, charged_ticks, told, hand: Mutex::new(None) };
        (writer, state, commands)
    }

    fn with(self, hand: Hand) -> Writer {
        *self.hand.lock().unwrap_or_else(PoisonError::into_inner) = Some(hand);
        self
    }

    fn take_hand(&self) -> Option<Hand> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Ends a writer that is a task, whatever it is doing.
    pub(crate) fn crash(&self) {
        if let Some(Hand::Task(task)) = &*self.hand.lock().unwrap_or_else(PoisonError::into_inner) {
            task.abort();
        }
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
            // Never waited for with the sender in hand, which would keep a store that was dropped from ending; a
            // full queue holds commands that take the patient ones along.
            if let (false, Some(queue)) = (empty, queue.upgrade()) {
                let _ = queue.try_send(Message::Nudge);
            }
        });
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let queue = self.queue.as_ref().expect("it is taken only by drop");
        // An error means that it is closed already.
        let _ = queue.send(Message::Close).await;
        let ended = match self.take_hand() {
            None => true,
            Some(Hand::Thread(thread)) => {
                matches!(tokio::task::spawn_blocking(move || thread.join()).await, Ok(Ok(())))
            }
            Some(Hand::Task(task)) => task.await.is_ok(),
        };
        if ended { Ok(()) } else { Err(StoreError::Closed) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without senders the thread, or the task, commits what still waits and ends.
        drop(self.queue.take());
        // The last handle may go with what a command held, on the thread itself, which cannot wait for its own end.
        if let Some(Hand::Thread(thread)) = self.take_hand()
            && thread.thread().id() != std::thread::current().id()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the store had panicked");
        }
    }
}

struct State<E> {
    engine: E,
    memory: Memory,
    patient: Arc<Patient>,
}

fn run(state: &mut State<Box<dyn Engine>>, mut commands: mpsc::Receiver<Message>) {
    let mut queued: Vec<Box<dyn Command>> = Vec::with_capacity(COMMANDS_PER_COMMIT_MAX);
    while let Some(first) = commands.blocking_recv() {
        gather(Some(first), &mut commands, &mut queued);
        write_group(state, &mut queued);
    }
    // Whoever asked has gone, but what was asked is done.
    write_group(state, &mut queued);
}

/// As [`run`], in virtual time.
async fn run_inline(state: &mut State<OnDisk>, mut commands: mpsc::Receiver<Message>) {
    let mut queued: Vec<Box<dyn Command>> = Vec::new();
    while let Some(first) = commands.recv().await {
        gather(Some(first), &mut commands, &mut queued);
        let turn = state.engine.turn(queued.len());
        tokio::time::sleep(turn.before).await;
        gather(None, &mut commands, &mut queued);
        let (group, committed) = commit_group(state, &mut queued);
        tokio::time::sleep(turn.after).await;
        answer_group(group, committed);
    }
    write_group(state, &mut queued);
}

/// Takes what waits, up to one group.
fn gather(
    first: Option<Message>,
    commands: &mut mpsc::Receiver<Message>,
    queued: &mut Vec<Box<dyn Command>>,
) {
    let mut next = first.or_else(|| commands.try_recv().ok());
    while let Some(message) = next {
        match message {
            Message::Command(command) => queued.push(command),
            Message::Nudge => {}
            Message::Close => commands.close(),
        }
        next = if queued.len() < COMMANDS_PER_COMMIT_MAX { commands.try_recv().ok() } else { None };
    }
}

type Group = Vec<Box<dyn Command>>;

/// Commits the patient commands and then the queued ones together, and answers.
fn write_group<E: Engine>(state: &mut State<E>, queued: &mut Group) {
    let (group, committed) = commit_group(state, queued);
    answer_group(group, committed);
}

fn commit_group<E: Engine>(state: &mut State<E>, queued: &mut Group) -> (Group, Result<(), StoreError>) {
    let mut group =
        std::mem::take(&mut *state.patient.commands.lock().unwrap_or_else(PoisonError::into_inner));
    group.append(queued);
    if group.is_empty() {
        return (group, Ok(()));
    }
    let committed = state.engine.commit(&mut state.memory, &mut group);
    if let Err(error) = &committed {
        tracing::error!(%error, commands = group.len(), "a commit failed; nothing of it was written");
    }
    (group, committed)
}

fn answer_group(group: Group, committed: Result<(), StoreError>) {
    for command in group {
        command.answer(committed.clone());
    }
}
