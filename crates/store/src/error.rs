//! What the store can answer instead of doing what was asked.

use gallerist_domain::{
    AlertFact, AlertId, AttemptId, BudgetId, BudgetRefusal, BudgetStanding, BudgetUnit, LotId, NewAlert,
    ProjectId, RequestId, WebhookId,
};
use jiff::Timestamp;
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
    /// `settled + held + disputed + asked` would pass the limit of a budget.
    #[error("{0}")]
    BudgetExceeded(Box<Breach>),
    #[error("there is no budget {0}")]
    UnknownBudget(BudgetId),
    #[error("there is no alert {0}")]
    UnknownAlert(AlertId),
    #[error("there is no webhook {0}")]
    UnknownWebhook(WebhookId),
    #[error("there is no lot of credits {0}")]
    UnknownLot(LotId),
    /// Only a lot of which nothing moved was never needed.
    #[error("credits of the lot {0} were used, corrected or lost, so it stays in the books")]
    LotMoved(LotId),
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
    /// Nothing was written.
    #[error("the database cannot be reached")]
    Away(#[source] EngineError),
    /// The connection broke during a commit: the command is written as a whole or not at all, and nobody knows which.
    #[error("whether it was written is not known")]
    Unanswered(#[source] EngineError),
    #[error("{} failed", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: Arc<std::io::Error>,
    },
}

/// Which limit a reservation would pass, and by what. Amounts are ticks or images, after `unit`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Absent: the cap of the project itself.
    pub budget: Option<BudgetId>,
    /// For people; may be empty.
    pub name: String,
    /// What it limits in words, without the limit, as `per month for project shop`.
    pub reach: String,
    /// Which of its counters; empty where it has one.
    pub subject: String,
    pub unit: BudgetUnit,
    pub limit: i64,
    pub settled: i64,
    pub held: i64,
    pub disputed: i64,
    /// The part of what is settled that rests on prices below official, or read long before; of images nothing.
    pub doubtful: i64,
    pub asked: i64,
    /// Whom it concerns alone; absent where several projects share it.
    pub project: Option<ProjectId>,
    /// When its window began; of a cap when its project was made; absent: it has none.
    pub window_start: Option<Timestamp>,
    /// When its window begins anew; absent: never.
    pub resets_at: Option<Timestamp>,
    /// Whether it speaks of some providers or models only, so that other offers may fit.
    pub about_offers: bool,
    /// Whether clients name its counters themselves.
    pub named_by_clients: bool,
}

impl Breach {
    /// What may still be reserved; zero after an overrun.
    pub fn left(&self) -> i64 {
        self.limit.saturating_sub(self.settled).saturating_sub(self.held).saturating_sub(self.disputed).max(0)
    }

    /// Whether several projects share it, so that its sums are not for each of them.
    pub fn is_shared(&self) -> bool {
        self.project.is_none()
    }

    /// The budget in words as the refused are told them: of a shared one without its limit, which beside what is left
    /// would tell what the others spent.
    pub fn told_words(&self) -> String {
        if self.is_shared() { self.reach.clone() } else { self.words() }
    }

    /// The budget in words, as `100 USD per month for project shop`.
    fn words(&self) -> String {
        format!("{} {}", self.unit.words(self.limit), self.reach)
    }

    /// Whether it says that the limit is used up, and not only that one request is larger than all of it.
    pub fn is_news(&self) -> bool {
        self.asked <= self.limit
    }

    /// Names this counter in this window under this limit: of another limit it is other news. Counters that clients
    /// name are one for a project: a client that names another end user each time would have as many alerts written
    /// as it likes.
    pub fn once(&self) -> String {
        match (&self.budget, &self.project) {
            (Some(budget), _) => {
                let start = self.window_start.map_or(0, Timestamp::as_microsecond);
                let subject = match self.named_by_clients {
                    true => self.project.as_ref().map_or("", ProjectId::as_str),
                    false => &self.subject,
                };
                format!("budget:{budget}:refused:{start}:{}:{subject}", self.limit)
            }
            (None, Some(project)) => format!("cap:{project}:{}:refused", self.limit),
            (None, None) => format!("cap:{}:refused", self.limit),
        }
    }

    /// What people are told of it at `now`.
    pub fn alert(&self, now: Timestamp) -> NewAlert {
        let standing = BudgetStanding {
            budget: self.budget,
            name: self.name.clone(),
            words: self.words(),
            subject: self.subject.clone(),
            unit: self.unit,
            limit: self.limit,
            settled: self.settled,
            held: self.held,
            disputed: self.disputed,
            doubtful: self.doubtful,
            window_start: self.window_start,
            window_end: self.resets_at,
        };
        let fact = AlertFact::BudgetRefused(BudgetRefusal { asked: self.asked, standing });
        NewAlert { once: self.once(), at: now, project: self.project.clone(), fact }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |amount| self.unit.words(amount);
        let of = if self.is_shared() { "" } else { "of " };
        let told = self.told_words();
        match (self.budget.is_some(), self.name.as_str()) {
            (false, _) => write!(f, "the cap {of}{told}")?,
            (true, "") => write!(f, "the budget {of}{told}")?,
            (true, name) => write!(f, "the budget {name:?} {of}{told}")?,
        }
        if !self.subject.is_empty() {
            write!(f, " ({})", self.subject)?;
        }
        write!(f, " has {} left, and this request could take {}", words(self.left()), words(self.asked))?;
        if self.is_shared() {
            return Ok(());
        }
        write!(
            f,
            " ({} settled, {} held, {} disputed)",
            words(self.settled),
            words(self.held),
            words(self.disputed)
        )
    }
}

impl StoreError {
    /// Whether the disk or the database failed, so that the same command may succeed a moment later. The rest
    /// are refusals, which repeating does not change.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            StoreError::Database(_)
                | StoreError::Away(_)
                | StoreError::Unanswered(_)
                | StoreError::File { .. }
        )
    }

    /// Whether the database had no room to write.
    pub fn is_of_a_full_disk(&self) -> bool {
        let StoreError::Database(error) = self else { return false };
        crate::sqlite::is_full(&**error) || crate::postgres::is_full(&**error)
    }

    pub(crate) fn database(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError::Database(Arc::from(error.into()))
    }

    pub(crate) fn unanswered(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError::Unanswered(Arc::from(error.into()))
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
