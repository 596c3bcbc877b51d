//! The tasks of an engine: counted, so that a shutdown can wait for them; of a simulated one, ended at a crash.

use std::sync::{Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

#[derive(Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    /// Of a simulated engine.
    mortal: Option<Mutex<Mortal>>,
}

/// What a crash ends.
#[derive(Default)]
struct Mortal {
    running: Vec<AbortHandle>,
    crashed: bool,
}

impl Tasks {
    /// Tasks that a crash can end.
    pub(crate) fn mortal() -> Tasks {
        Tasks { mortal: Some(Mutex::default()), ..Tasks::default() }
    }

    /// Must be called inside tokio.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.spawn_on(task, &Handle::current())
    }

    pub(crate) fn spawn_on<F>(&self, task: F, runtime: &Handle) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        let spawned = self.tracker.spawn_on(task, runtime);
        if let Some(mortal) = &self.mortal {
            let mut mortal = mortal.lock().unwrap_or_else(PoisonError::into_inner);
            mortal.running.retain(|task| !task.is_finished());
            mortal.running.push(spawned.abort_handle());
            if mortal.crashed {
                spawned.abort();
            }
        }
        spawned
    }

    /// Counts as a task until it is dropped.
    pub(crate) fn token(&self) -> TaskTrackerToken {
        self.tracker.token()
    }

    pub(crate) fn len(&self) -> usize {
        self.tracker.len()
    }

    /// Waits until all have ended; from here on no other is expected.
    pub(crate) async fn end(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Ends all of them where they are, and every other that is spawned; only where they are mortal.
    pub(crate) fn crash(&self) {
        let Some(mortal) = &self.mortal else { return };
        let mut mortal = mortal.lock().unwrap_or_else(PoisonError::into_inner);
        mortal.crashed = true;
        mortal.running.drain(..).for_each(|task| task.abort());
    }
}
