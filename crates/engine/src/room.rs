//! A full disk below the books: looked at again until there is room.
//!
//! While it is full balancers send nothing, so that nothing else would find out.

use crate::shared::Shared;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Pause between two tries.
const PAUSE: Duration = Duration::from_secs(5);

/// Waits for a full disk and tries for room, until the engine stops.
pub(crate) async fn keep_trying(shared: Arc<Shared>) {
    let store = &shared.store;
    loop {
        tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return,
            () = store.filled() => {}
        }
        tracing::error!("there is no room below the books: nothing is bought until there is");
        while store.is_full() {
            tokio::select! {
                biased;
                () = shared.stopping.cancelled() => return,
                () = sleep(PAUSE) => {}
            }
            if let Err(error) = store.try_room().await {
                tracing::debug!(%error, "there is still no room below the books");
            }
        }
        tracing::warn!("there is room below the books again");
    }
}
