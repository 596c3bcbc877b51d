//! How many replicas share what is limited: what one process decides alone, it decides for its share.

use gallerist_store::Store;
use std::sync::Arc;

/// The number of replicas, as it is heard of; clones ask the same.
#[derive(Clone)]
pub struct Sharers(Arc<dyn Fn() -> u32 + Send + Sync>);

impl Sharers {
    /// `count` is asked whenever a share is reckoned.
    pub fn new(count: impl Fn() -> u32 + Send + Sync + 'static) -> Sharers {
        Sharers(Arc::new(count))
    }

    /// The processes that have the same database open.
    pub(crate) fn of(store: &Store) -> Sharers {
        let store = store.clone();
        Sharers::new(move || store.replicas_alive())
    }

    /// At least 1.
    pub fn count(&self) -> u32 {
        (self.0)().max(1)
    }

    /// Reckons shares for the present number: rounded down, so that together they never pass the limit, but at
    /// least 1, so that nothing is shut for ever.
    pub(crate) fn divider(&self) -> impl Fn(u32) -> u32 + Copy + use<> {
        let count = self.count();
        move |limit| (limit / count).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_down_to_at_least_one() {
        let shares = |count, limits: [u32; 4]| limits.map(Sharers::new(move || count).divider());
        assert_eq!(shares(0, [1, 7, 9, 60]), [1, 7, 9, 60]);
        assert_eq!(shares(3, [1, 7, 9, 60]), [1, 2, 3, 20]);
    }
}
