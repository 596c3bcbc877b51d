//! What is queued for the writer: a piece of work, and the place for its answer.

use tokio::sync::oneshot;

use super::Writing;
use crate::StoreError;
use crate::ledger::Names;
use crate::sql::Lookups;

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

/// A command that somebody waits for. Its work goes back with the answer, to be let go of where it was made: what it
/// holds is much to free for the one thread that writes.
pub(super) struct Asked<T, W> {
    pub(super) work: Box<W>,
    pub(super) outcome: Option<Result<T, StoreError>>,
    pub(super) reply: oneshot::Sender<(Result<T, StoreError>, Box<W>)>,
}

impl<T: Send, W: Work<T>> Command for Asked<T, W> {
    fn apply(&mut self, writing: &mut Writing<'_>) -> bool {
        let outcome = writing.run(&*self.work);
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
        let Asked { work, outcome, reply } = *self;
        let outcome = match (committed, outcome) {
            (Ok(()), Some(outcome)) => outcome,
            // A refusal stays the better answer when the commit of the others failed.
            (Err(_), Some(Err(refusal))) => Err(refusal),
            (Err(error), _) => Err(error),
            (Ok(()), None) => Err(StoreError::Closed),
        };
        // A caller that has gone needs no answer.
        let _ = reply.send((outcome, work));
    }
}

/// A command that nobody waits for, unless it fails.
pub(super) struct Unasked<W, G> {
    pub(super) work: W,
    pub(super) outcome: Option<Result<(), StoreError>>,
    pub(super) on_failure: G,
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
