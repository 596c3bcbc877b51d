//! Who commits: the writer's thread, a caller that finds nothing ahead of it, or a task in virtual time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{mpsc, watch};

use super::{COMMANDS_PER_COMMIT_MAX, Command, Engine, Memory};
use crate::StoreError;
use crate::simulation::OnDisk;

pub(super) enum Message {
    Command(Box<dyn Command>, Ahead),
    /// Patient commands have waited long enough.
    Nudge,
    Close,
}

/// Commands that are on their way to a commit. While there are any, what comes later is queued behind them.
#[derive(Clone, Default)]
pub(super) struct Line(Arc<AtomicUsize>);

impl Line {
    /// Stands in the line for as long as it lives.
    pub(super) fn stand(&self) -> Ahead {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ahead(Line(Arc::clone(&self.0)))
    }

    fn is_empty(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

/// One place in the line.
pub(super) struct Ahead(Line);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Rung when somebody has panicked over the books: nothing can be said of what the memory holds then, so nothing is
/// written any more.
#[derive(Clone, Default)]
pub(super) struct Alarm(Arc<watch::Sender<bool>>);

impl Alarm {
    fn ring(&self) {
        self.0.send_replace(true);
    }

    /// Waits until it is rung.
    pub(super) async fn rung(&self) {
        // The sender is this one, so waiting ends with nothing else.
        let _ = self.0.subscribe().wait_for(|rung| *rung).await;
    }
}

/// Rings when a caller that commits panics, and has the writer's thread look, and end.
struct Vigil<'a> {
    alarm: &'a Alarm,
    queue: &'a mpsc::Sender<Message>,
}

impl Drop for Vigil<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.alarm.ring();
            // Where it is full the thread has something to do anyway.
            let _ = self.queue.try_send(Message::Nudge);
        }
    }
}

type Commands = Vec<Box<dyn Command>>;

/// Commands that ride with the next group.
#[derive(Default)]
pub(super) struct Patient {
    commands: Mutex<Commands>,
    /// Whether a nudge is on its way already.
    pub(super) nudge_comes: AtomicBool,
}

impl Patient {
    /// Lays a command aside; how many there are then.
    pub(super) fn push(&self, command: Box<dyn Command>) -> usize {
        let mut commands = self.lock();
        commands.push(command);
        commands.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    fn take(&self) -> Commands {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Commands> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a commit needs.
pub(super) struct State<E> {
    pub(super) engine: E,
    pub(super) memory: Memory,
    pub(super) patient: Arc<Patient>,
}

impl<E: Engine> State<E> {
    /// Commits the patient commands and then the queued ones together.
    fn commit(&mut self, queued: &mut Queued) -> Committed {
        let mut commands = self.patient.take();
        commands.append(&mut queued.commands);
        let outcome = match commands.is_empty() {
            true => Ok(()),
            false => self.engine.commit(&mut self.memory, &mut commands),
        };
        if let Err(error) = &outcome {
            self.memory.fullness.note(error);
            tracing::error!(%error, commands = commands.len(), "a commit failed; nothing of it was written");
        }
        queued.ahead.clear();
        Committed { commands, outcome }
    }
}

/// A group that was committed, or could not be.
struct Committed {
    commands: Commands,
    outcome: Result<(), StoreError>,
}

impl Committed {
    fn answer(self) {
        for command in self.commands {
            command.answer(self.outcome.clone());
        }
    }
}

/// What the next group takes from the queue.
#[derive(Default)]
struct Queued {
    commands: Commands,
    ahead: Vec<Ahead>,
}

impl Queued {
    /// Takes what waits, up to one group.
    fn gather(&mut self, first: Option<Message>, queue: &mut mpsc::Receiver<Message>) {
        let mut next = first.or_else(|| queue.try_recv().ok());
        while let Some(message) = next {
            match message {
                Message::Command(command, ahead) => {
                    self.commands.push(command);
                    self.ahead.push(ahead);
                }
                Message::Nudge => {}
                Message::Close => queue.close(),
            }
            next = if self.commands.len() < COMMANDS_PER_COMMIT_MAX { queue.try_recv().ok() } else { None };
        }
    }
}

/// Where the engine lies while nobody works with it: for the writer's thread, and for a caller that finds it so.
pub(super) struct Desk {
    /// `None` once the writer has ended.
    state: Mutex<Option<State<Box<dyn Engine>>>>,
    line: Line,
    patient: Arc<Patient>,
    alarm: Alarm,
}

impl Desk {
    pub(super) fn new(state: State<Box<dyn Engine>>, line: Line, alarm: Alarm) -> Desk {
        let patient = Arc::clone(&state.patient);
        Desk { state: Mutex::new(Some(state)), line, patient, alarm }
    }

    /// Commits and answers the command on this thread, if nothing is ahead of it and the thread may wait for a
    /// disk; otherwise gives it back.
    pub(super) fn commit_here(
        &self,
        command: Box<dyn Command>,
        queue: &mpsc::Sender<Message>,
    ) -> Result<(), Box<dyn Command>> {
        if !self.line.is_empty() || !may_block() {
            return Err(command);
        }
        let Ok(mut state) = self.state.try_lock() else { return Err(command) };
        let Some(open) = state.as_mut().filter(|_| !queue.is_closed()) else { return Err(command) };
        let mut queued = Queued { commands: vec![command], ahead: Vec::new() };
        // The other tasks of this thread go on elsewhere meanwhile.
        let committed = tokio::task::block_in_place(|| {
            let _vigil = Vigil { alarm: &self.alarm, queue };
            open.commit(&mut queued)
        });
        drop(state);
        committed.answer();
        Ok(())
    }

    /// False if somebody has panicked over it: nothing can be said of what it holds then.
    fn write(&self, queued: &mut Queued) -> bool {
        let Ok(mut state) = self.state.lock() else { return false };
        let Some(open) = state.as_mut() else { return false };
        let committed = open.commit(queued);
        drop(state);
        committed.answer();
        true
    }
}

/// Whether this thread is of a runtime with others that take its work over.
fn may_block() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

/// The work of the writer's thread, and what follows where it breaks off.
pub(super) fn run(desk: &Desk, queue: mpsc::Receiver<Message>) {
    // With the queue go those who stand in it, who are answered by that.
    let done = catch_unwind(AssertUnwindSafe(|| work(desk, queue)));
    if let Ok(true) = done {
        return;
    }
    desk.alarm.ring();
    for command in desk.patient.take() {
        let answer = AssertUnwindSafe(|| command.answer(Err(StoreError::Closed)));
        if catch_unwind(answer).is_err() {
            tracing::error!("who waited for the books panicked over their end");
        }
    }
    if let Err(panic) = done {
        resume_unwind(panic);
    }
}

/// Commits until everybody has gone; false if somebody has panicked over the desk.
fn work(desk: &Desk, mut queue: mpsc::Receiver<Message>) -> bool {
    let mut queued = Queued::default();
    while let Some(first) = queue.blocking_recv() {
        queued.gather(Some(first), &mut queue);
        if !desk.write(&mut queued) {
            return false;
        }
    }
    // Whoever asked has gone, but what was asked is done.
    if !desk.write(&mut queued) {
        return false;
    }
    // Closes the database and unlocks its folder, also while others hold the desk.
    desk.state.lock().unwrap_or_else(PoisonError::into_inner).take();
    true
}

/// As [`run`], in virtual time.
pub(super) async fn run_inline(state: &mut State<OnDisk>, mut queue: mpsc::Receiver<Message>) {
    let mut queued = Queued::default();
    while let Some(first) = queue.recv().await {
        queued.gather(Some(first), &mut queue);
        let turn = state.engine.turn(queued.commands.len());
        tokio::time::sleep(turn.before).await;
        queued.gather(None, &mut queue);
        let committed = state.commit(&mut queued);
        tokio::time::sleep(turn.after).await;
        committed.answer();
    }
    state.commit(&mut queued).answer();
}
