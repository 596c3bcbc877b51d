//! The tasks of Black Forest Labs: each one's outcome, decided at its acceptance, and what a poll shows of it.
//!
//! Owns the list of tasks and how many of them run. A task needs two to four polls and its time; one that
//! nobody polls ends after five seconds all the same. Refuses to charge: `bfl.rs` has done it at acceptance.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::models::Model;
use crate::ctx::Motif;
use crate::faults::Drawn;

/// How long a task occupies its place when nobody asks for it.
const ABANDONED_AFTER: Duration = Duration::from_secs(5);
/// Tasks of one account that may run at once.
pub(super) const RUNNING_MAX: usize = 24;

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Ready,
    /// The prompt was refused before any work.
    RequestModerated,
    /// The picture was made and refused.
    ContentModerated,
    Error,
}

impl Ending {
    pub(super) fn status(self) -> &'static str {
        match self {
            Ending::Ready => "Ready",
            Ending::RequestModerated => "Request Moderated",
            Ending::ContentModerated => "Content Moderated",
            Ending::Error => "Error",
        }
    }
}

/// One task.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) model: &'static Model,
    pub(super) motif: Motif,
    /// The faults of its submission: they may also spoil picture and polls.
    pub(super) drawn: Drawn,
    pub(super) ending: Ending,
    /// What the result reports as settled, in ticks; nothing if it reports none.
    pub(super) settled: Option<i64>,
    pub(super) submitted: Timestamp,
    accepted: Instant,
    ready: Instant,
    visible: Instant,
    polls_left: u32,
    polls: u32,
    done: bool,
}

/// What a poll finds.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    Working(&'static str),
    Done(Box<Job>),
}

impl Job {
    pub(super) fn new(
        model: &'static Model,
        motif: Motif,
        drawn: Drawn,
        ending: Ending,
        submitted: Timestamp,
    ) -> Job {
        let now = Instant::now();
        Job {
            model,
            motif,
            drawn,
            ending,
            settled: None,
            submitted,
            accepted: now,
            ready: now,
            visible: now,
            polls_left: 2,
            polls: 0,
            done: false,
        }
    }

    /// The work takes this long and at least this many polls, and is not to be found in the beginning.
    pub(super) fn paced(mut self, work_ms: u64, polls: u32, hidden_ms: u64) -> Job {
        self.ready = self.accepted + Duration::from_millis(work_ms);
        self.visible = self.accepted + Duration::from_millis(hidden_ms);
        self.polls_left = polls;
        self
    }

    /// Whether the link to its picture still works.
    pub(super) fn sample_alive(&self, lifetime: Duration) -> bool {
        self.ready.elapsed() < lifetime
    }

    fn running(&self) -> bool {
        !self.done && self.accepted.elapsed() < ABANDONED_AFTER.max(self.ready - self.accepted)
    }
}

/// All tasks of the stand-in.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: Mutex<HashMap<String, Job>>,
}

impl Jobs {
    /// Tasks that occupy a place.
    pub(super) fn running(&self) -> usize {
        self.lock().values().filter(|job| job.running()).count()
    }

    pub(super) fn add(&self, id: &str, job: Job) {
        self.lock().insert(id.to_owned(), job);
    }

    pub(super) fn get(&self, id: &str) -> Option<Job> {
        self.lock().get(id).cloned()
    }

    /// One poll, which brings the task nearer to its end.
    pub(super) fn poll(&self, id: &str) -> Found {
        let mut jobs = self.lock();
        let Some(job) = jobs.get_mut(id) else { return Found::Nothing };
        let now = Instant::now();
        if now < job.visible {
            return Found::Nothing;
        }
        if job.polls_left > 0 || now < job.ready {
            job.polls_left = job.polls_left.saturating_sub(1);
            job.polls += 1;
            return Found::Working(match (job.model.reasons(), job.polls) {
                (false, _) | (true, 1) => "Pending",
                (true, 2) => "Reasoning",
                (true, _) => "Generating",
            });
        }
        job.done = true;
        Found::Done(Box::new(job.clone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Job>> {
        self.jobs.lock().expect("no holder of the tasks panics")
    }
}
