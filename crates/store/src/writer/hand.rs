//! What commits: the writer's thread, or a task in virtual time.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

use super::{COMMANDS_PER_COMMIT_MAX, Command, Engine, Memory};
use crate::StoreError;
use crate::simulation::OnDisk;

pub(super) enum Message {
    Command(Box<dyn Command>),
    /// Patient commands have waited long enough.
    Nudge,
    Close,
}

/// Rung when the writer has panicked: nothing can be said of what it remembers then, so nothing is written any more.
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
    fn commit(&mut self, queued: &mut Commands) -> Committed {
        let mut commands = self.patient.take();
        commands.append(queued);
        let outcome = match commands.is_empty() {
            true => Ok(()),
            false => self.engine.commit(&mut self.memory, &mut commands),
        };
        if let Err(error) = &outcome {
            self.memory.fullness.note(error);
            tracing::error!(%error, commands = commands.len(), "a commit failed; nothing of it was written");
        }
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

/// Takes what waits, up to one group.
fn gather(first: Option<Message>, queue: &mut mpsc::Receiver<Message>, queued: &mut Commands) {
    let mut next = first.or_else(|| queue.try_recv().ok());
    while let Some(message) = next {
        match message {
            Message::Command(command) => queued.push(command),
            Message::Nudge => {}
            Message::Close => queue.close(),
        }
        next = if queued.len() < COMMANDS_PER_COMMIT_MAX { queue.try_recv().ok() } else { None };
    }
}

/// The work of the writer's thread, and what follows where it panics.
pub(super) fn run(state: &mut State<Box<dyn Engine>>, queue: mpsc::Receiver<Message>, alarm: &Alarm) {
    // With the queue go those who stand in it, who are answered by that.
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(state, queue))) else { return };
    alarm.ring();
    for command in state.patient.take() {
        let answer = AssertUnwindSafe(|| command.answer(Err(StoreError::Closed)));
        if catch_unwind(answer).is_err() {
            tracing::error!("who waited for the books panicked over their end");
        }
    }
    resume_unwind(panic);
}

/// Commits until everybody has gone.
fn work(state: &mut State<Box<dyn Engine>>, mut queue: mpsc::Receiver<Message>) {
    let mut queued: Commands = Vec::with_capacity(COMMANDS_PER_COMMIT_MAX);
    while let Some(first) = queue.blocking_recv() {
        gather(Some(first), &mut queue, &mut queued);
        state.commit(&mut queued).answer();
    }
    // Whoever asked has gone, but what was asked is done.
    state.commit(&mut queued).answer();
}

/// As [`run`], in virtual time.
pub(super) async fn run_inline(state: &mut State<OnDisk>, mut queue: mpsc::Receiver<Message>) {
    let mut queued: Commands = Vec::new();
    while let Some(first) = queue.recv().await {
        gather(Some(first), &mut queue, &mut queued);
        let turn = state.engine.turn(queued.len());
        tokio::time::sleep(turn.before).await;
        gather(None, &mut queue, &mut queued);
        let committed = state.commit(&mut queued);
        tokio::time::sleep(turn.after).await;
        committed.answer();
    }
    state.commit(&mut queued).answer();
}
