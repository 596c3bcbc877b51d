//! Limits that have begun to refuse: told once each, beside the refusal.
//!
//! A refusal writes nothing, so its alert is raised in a transaction of its own, by a task that no refused request
//! waits for. What was told is remembered here, so that a flood of refusals costs a look into a set each; that a
//! limit is told once among replicas and across restarts is kept by the store.

use crate::shared::Shared;
use gallerist_store::Breach;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Limits remembered as told; then the memory begins anew, and the store says what was told.
const TOLD_MAX: usize = 10_000;

/// The limits that this process has told of.
#[derive(Default)]
pub(crate) struct Refusing {
    told: Mutex<HashSet<String>>,
}

impl Refusing {
    /// Whether it is news, which it is once.
    fn is_new(&self, once: &str) -> bool {
        let mut told = self.lock();
        if told.contains(once) {
            return false;
        }
        if told.len() >= TOLD_MAX {
            told.clear();
        }
        told.insert(once.to_owned())
    }

    /// It could not be told, so the next refusal tries again.
    fn forget(&self, once: &str) {
        self.lock().remove(once);
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Raises an alert the first time that this limit refuses in its window.
pub(crate) fn tell(shared: &Arc<Shared>, breach: &Breach) {
    let once = breach.once();
    if !shared.refusing.is_new(&once) {
        return;
    }
    let alert = breach.alert(shared.clock.now());
    let by_task = Arc::clone(shared);
    shared.tasks.spawn(async move {
        if let Err(error) = by_task.store.raise_alerts(vec![alert]).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "that a limit refuses could not be told yet");
            by_task.refusing.forget(&once);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_no_news_until_it_could_not_be_told_and_the_memory_is_bounded() {
        let refusing = Refusing::default();
        assert!(refusing.is_new("one"));
        assert!(!refusing.is_new("one"));
        refusing.forget("one");
        assert!(refusing.is_new("one"));
        for number in 0..2 * TOLD_MAX {
            assert!(refusing.is_new(&format!("other {number}")));
            assert!(refusing.lock().len() <= TOLD_MAX);
        }
    }
}
