//! A known end that the disk refused is written again: it is what somebody paid.
//!
//! It happens in a task of the engine, never while a client waits, and a few times only, unless the database is
//! away: what cannot be written then stays reserved and is disputed by the next sweep or start (`recover.rs`).

use crate::shared::Shared;
use gallerist_store::{Conclusion, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Pauses before each further try; together shorter than the pause between two sweeps, which would take the
/// request for one that broke off.
const PAUSES: &[Duration] = &[
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_millis(1_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Pause between two tries while the database is away.
const AWAY_PAUSE: Duration = Duration::from_secs(3);

/// Goes on trying to write a conclusion whose first try failed with `error`. Must be called inside tokio.
pub(crate) fn in_background(shared: &Arc<Shared>, conclusion: Conclusion, error: StoreError) {
    let shared_by_task = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let request = conclusion.request;
        let write = || shared_by_task.store.conclude(conclusion.clone());
        let mut written = persist(PAUSES, error, write).await;
        // A database that is away keeps the sweeps from reading, too: there is all the time until it is back.
        while let Err(StoreError::Away(_)) = written {
            sleep(AWAY_PAUSE).await;
            written = write().await;
        }
        match written {
            Ok(()) => tracing::warn!(%request, "the end of a request was written after all"),
            Err(error) => tracing::error!(%request, %error, "the end of a request could not be written"),
        }
    });
}

/// Repeats a write until it succeeds, is refused, or has failed too often.
async fn persist<F>(
    pauses: &[Duration],
    mut error: StoreError,
    write: impl Fn() -> F,
) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    for pause in pauses {
        if !error.may_pass() {
            break;
        }
        sleep(*pause).await;
        match write().await {
            Ok(()) => return Ok(()),
            Err(again) => error = again,
        }
    }
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn full() -> StoreError {
        let source = Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull));
        StoreError::File { path: "gallerist.sqlite".into(), source }
    }

    const SOON: &[Duration] = &[Duration::ZERO; 4];

    #[tokio::test]
    async fn a_settlement_is_written_again_until_the_disk_takes_it() {
        let tries = AtomicUsize::new(0);
        let write = || {
            let free = tries.fetch_add(1, Ordering::SeqCst) >= 2;
            async move { if free { Ok(()) } else { Err(full()) } }
        };
        persist(SOON, full(), write).await.expect("the third try is taken");
        assert_eq!(tries.load(Ordering::SeqCst), 3);
        let tries = AtomicUsize::new(0);
        let write = || {
            tries.fetch_add(1, Ordering::SeqCst);
            async { Err(full()) }
        };
        persist(SOON, full(), write).await.expect_err("the disk stays full");
        assert_eq!(tries.load(Ordering::SeqCst), SOON.len(), "the trying is bounded");
        persist(SOON, StoreError::Closed, || async { Ok(()) }).await.expect_err("a refusal is not repeated");
    }
}
