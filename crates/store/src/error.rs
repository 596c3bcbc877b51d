//! What the store can answer instead of doing what was asked.

use gallerist_domain::{AttemptId, ProjectId, RequestId, Ticks};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::sql::EngineError;
use crate::words::AttemptStatus;

/// A refusal (the books are unchanged) or a failure of the disk or database (the books are unchanged too).
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("another process has the store open: {} is locked", .0.display())]
    Locked(PathBuf),
    #[error("the store is closed")]
    Closed,
    #[error("the store was written by a newer version (schema {found}; this one knows up to {known})")]
    TooNew { found: i64, known: i64 },
    /// `settled + held + disputed + asked` would pass `cap`.
    #[error(
        "the cap of project {project} is {}: settled {}, held {}, disputed {}, asked {}",
        .cap.short(), .settled.short(), .held.short(), .disputed.short(), .asked.short()
    )]
    BudgetExceeded {
        project: ProjectId,
        cap: Ticks,
        settled: Ticks,
        held: Ticks,
        disputed: Ticks,
        asked: Ticks,
    },
    #[error("there is no project {0}")]
    UnknownProject(ProjectId),
    #[error("there is no key {0}")]
    UnknownKey(String),
    #[error("there is no request {0}")]
    UnknownRequest(RequestId),
    #[error("there is no attempt {0}")]
    UnknownAttempt(AttemptId),
    /// The attempt ended before, and differently.
    #[error("attempt {attempt} has already ended as {status}")]
    AttemptEnded { attempt: AttemptId, status: AttemptStatus },
    #[error("attempt {attempt} is {status}, not disputed")]
    NotDisputed { attempt: AttemptId, status: AttemptStatus },
    /// A request ends after its attempts.
    #[error("request {request} cannot finish: {open} of its attempts are still reserved")]
    AttemptsOpen { request: RequestId, open: u32 },
    #[error("request {0} is already finished")]
    RequestFinished(RequestId),
    /// An idempotency key is kept while anything may have been charged under it.
    #[error("request {0} may have been charged; its idempotency key stays")]
    KeyMustStay(RequestId),
    #[error("{0} exists already")]
    Exists(String),
    /// An argument outside its range.
    #[error("{0}")]
    Invalid(String),
    #[error("the database failed")]
    Database(#[source] EngineError),
    /// Nothing was written, or what was is said otherwise.
    #[error("the database cannot be reached")]
    Away(#[source] EngineError),
    #[error("{} failed", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: Arc<std::io::Error>,
    },
}

impl StoreError {
    /// Whether the disk or the database failed, so that the same command may succeed a moment later. The rest
    /// are refusals, which repeating does not change.
    pub fn may_pass(&self) -> bool {
        matches!(self, StoreError::Database(_) | StoreError::Away(_) | StoreError::File { .. })
    }

    pub(crate) fn database(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError::Database(Arc::from(error.into()))
    }

    pub(crate) fn away(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError::Away(Arc::from(error.into()))
    }

    /// A column that holds what this version never wrote.
    #[cold]
    pub(crate) fn strange(column: usize, what: impl fmt::Display) -> StoreError {
        StoreError::database(format!("column {column} cannot be read: {what}"))
    }

    pub(crate) fn file(path: impl Into<PathBuf>, source: std::io::Error) -> StoreError {
        StoreError::File { path: path.into(), source: Arc::new(source) }
    }
}
