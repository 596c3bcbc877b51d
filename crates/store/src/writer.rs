//! The one thread that writes: group commit over a bounded queue.
//!
//! It waits for a command, takes everything else that already waits (up to [`COMMANDS_PER_COMMIT_MAX`]),
//! has the engine run all of it in one transaction, and only after the commit answers. When commands come one
//! at a time each is committed at once; while the disk is busy the next group gathers. A patient command
//! (nobody waits for it) lies aside for [`PATIENCE`] and rides with the next group, ahead of it; so a
//! settlement and the next reservation share one commit.
//!
//! To hand a command to this thread and its answer back takes some 60 µs. A caller that finds nothing ahead of it
//! could commit itself and spare them: alone it gained nothing that could be measured in a gateway, and with eight
//! callers the gateway lost a tenth of its speed, because a thread that drives connections waited for the disk.
//!
//! How a group is committed, and how one command's failure is kept from the others, is the engine's matter.

use gallerist_domain::Ticks;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

use crate::StoreError;
use crate::alerts::Told;
use crate::full::Fullness;
use crate::simulation::OnDisk;

mod command;
mod hand;
mod memory;

use command::{Asked, Unasked};
pub(crate) use command::{Command, Rule, Work};
use hand::{Alarm, Message, Patient, State};
pub(crate) use memory::{Changed, Live, Memory, Writing};

/// Commands in one transaction; bounds the wait of the first one answered.
pub(crate) const COMMANDS_PER_COMMIT_MAX: usize = 256;
/// How long a patient command waits for company.
const PATIENCE: Duration = Duration::from_millis(3);

/// A database that commits groups of commands.
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

pub(crate) struct Writer {
    /// `None` only while dropping.
    queue: Option<mpsc::Sender<Message>>,
    patient: Arc<Patient>,
    charged_ticks: Arc<AtomicI64>,
    told: Arc<Told>,
    fullness: Arc<Fullness>,
    alarm: Alarm,
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
        let alarm = writer.alarm.clone();
        let thread = std::thread::Builder::new()
            .name("gallerist-writer".to_owned())
            .spawn(move || hand::run(&mut state, commands, &alarm))
            .map_err(|error| StoreError::file("the writer's thread", error))?;
        Ok(writer.with(Hand::Thread(thread)))
    }

    /// As [`Writer::start`], in a task of the runtime, at the pace of its disk.
    pub(crate) fn start_inline(engine: OnDisk, live: Live, queue_max: usize, calls_keep: bool) -> Writer {
        let (writer, mut state, commands) = Writer::idle(engine, live, queue_max, calls_keep);
        let task = tokio::spawn(async move { hand::run_inline(&mut state, commands).await });
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
        let fullness = Arc::new(Fullness::default());
        let (charges, raised, room) = (Arc::clone(&charged_ticks), Arc::clone(&told), Arc::clone(&fullness));
        let memory = Memory::new(live, calls_keep, charges, raised, room);
        let state = State { engine, memory, patient: Arc::clone(&patient) };
        let writer = Writer {
            queue: Some(queue),
            patient,
            charged_ticks,
            told,
            fullness,
            alarm: Alarm::default(),
            hand: Mutex::new(None),
        };
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

    pub(crate) fn fullness(&self) -> &Fullness {
        &self.fullness
    }

    /// Waits until nothing can be written any more, because the thread has panicked.
    pub(crate) async fn broken(&self) {
        self.alarm.rung().await;
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl Work<T> + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(Asked { work: Box::new(work), outcome: None, reply });
        let queue = self.queue.as_ref().expect("it is taken only by drop");
        queue.send(Message::Command(command)).await.map_err(|_| StoreError::Closed)?;
        let (outcome, _) = answer.await.map_err(|_| StoreError::Closed)?;
        outcome
    }

    /// Writes without an answer but for a failure, which is told by whoever commits, or at once where nothing is
    /// written any more: the command may lie aside for [`PATIENCE`], and goes ahead of everything that is queued
    /// after it.
    pub(crate) fn write_later(
        &self,
        work: impl Work<()> + 'static,
        on_failure: impl FnOnce(StoreError) + Send + 'static,
    ) {
        let queue = self.queue.as_ref().expect("it is taken only by drop");
        let command = Box::new(Unasked { work, outcome: None, on_failure });
        if queue.is_closed() {
            command.answer(Err(StoreError::Closed));
            return;
        }
        let waiting = self.patient.push(command);
        if self.alarm.is_rung() {
            // The writer may have looked here for the last time before this was laid aside.
            self.patient.refuse();
            return;
        }
        let queue = queue.downgrade();
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
            // Never waited for with the sender in hand, which would keep a store that was dropped from ending; a
            // full queue holds commands that take the patient ones along.
            if let (false, Some(queue)) = (patient.is_empty(), queue.upgrade()) {
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
