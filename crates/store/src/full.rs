//! Whether there is no room below the database: noted when a commit fails for that, until one finds room again.
//!
//! What changes a row in its place may still succeed on a full disk, so only a write that needs room of its own
//! ([`Store::try_room`]) says that there is some. Whoever keeps the store asks for it while the disk is full.

use tokio::sync::watch;

use crate::sql::params;
use crate::words::statements;
use crate::{Store, StoreError};

statements! {
    TRIAL_WRITE = "INSERT INTO meta (name, value) VALUES (?1, ?2)";
    TRIAL_REMOVE = "DELETE FROM meta WHERE name = ?1";
}

/// The name of what is written to find room.
const TRIAL: &str = "room_trial";
/// Its size: more than what a request writes.
const TRIAL_BYTES: u32 = 64 << 10;

/// Whether the last commit that needed room found none.
#[derive(Debug, Default)]
pub(crate) struct Fullness(watch::Sender<bool>);

impl Fullness {
    /// Looks whether a write failed for want of room.
    pub(crate) fn note(&self, error: &StoreError) {
        if error.is_of_a_full_disk() {
            self.set(true);
        }
    }

    fn set(&self, full: bool) {
        self.0.send_if_modified(|known| std::mem::replace(known, full) != full);
    }
}

impl Store {
    /// Whether a commit has failed for want of room and none has found any since.
    pub fn is_full(&self) -> bool {
        *self.inner.writer.fullness().0.borrow()
    }

    /// Waits until a commit fails for want of room; ends at once where one has.
    pub async fn filled(&self) {
        // The sender is the store's own, so waiting ends with nothing else.
        let _ = self.inner.writer.fullness().0.subscribe().wait_for(|full| *full).await;
    }

    /// Writes something that needs room, and removes it; where that succeeds the store is full no more.
    ///
    /// # Errors
    /// When there still is none, or the database fails.
    pub async fn try_room(&self) -> Result<(), StoreError> {
        self.write(|writing| {
            // Of a process that ended between the two.
            writing.connection.change(TRIAL_REMOVE, params![TRIAL])?;
            writing.connection.change_one(TRIAL_WRITE, params![TRIAL, trial()])
        })
        .await?;
        self.inner.writer.fullness().set(false);
        self.write(|writing| writing.connection.change(TRIAL_REMOVE, params![TRIAL])).await
    }
}

/// Bytes that nobody can make smaller.
fn trial() -> Vec<u8> {
    let scattered = |at: u32| at.wrapping_mul(2_654_435_761).rotate_left(11).wrapping_mul(2_246_822_519);
    (0..TRIAL_BYTES).map(|at| scattered(at).to_be_bytes()[0]).collect()
}
