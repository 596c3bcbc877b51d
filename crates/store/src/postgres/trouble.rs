//! What an error of the client or the server means: for the transaction, and for the connection.

use tokio_postgres::error::SqlState;

use crate::StoreError;

/// Whether the server has no room to write.
pub(crate) fn is_full(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let error = error.downcast_ref::<tokio_postgres::Error>();
    error.and_then(tokio_postgres::Error::code) == Some(&SqlState::DISK_FULL)
}

/// What kind of trouble a transaction had.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// Another replica was in the way: the same may succeed at once.
    Again(StoreError),
    /// The connection is gone.
    Lost(StoreError),
    /// What is to be unique is there already: another replica was faster, or a caller is wrong.
    Taken(StoreError),
    /// A statement failed, and the transaction with it.
    Failed(StoreError),
}

impl Trouble {
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Trouble::Again(error) | Trouble::Lost(error) => error,
            Trouble::Taken(error) | Trouble::Failed(error) => error,
        }
    }
}

/// What an error means for the transaction, and the connection.
pub(super) fn trouble(error: tokio_postgres::Error) -> Trouble {
    let code = error.code().cloned();
    let closed = error.is_closed();
    let Some(code) = code else {
        // What the client could not send or read: without the server's word nothing is certain.
        return Trouble::Lost(StoreError::away(error));
    };
    let again =
        [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE];
    // Classes: connection exceptions, a server that stops or starts.
    if closed || ["08", "57P"].iter().any(|class| code.code().starts_with(class)) {
        return Trouble::Lost(StoreError::away(error));
    }
    let error = StoreError::database(error);
    if again.contains(&code) {
        Trouble::Again(error)
    } else if code == SqlState::UNIQUE_VIOLATION {
        Trouble::Taken(error)
    } else {
        Trouble::Failed(error)
    }
}
