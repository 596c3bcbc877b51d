//! The life of a request: admit → plan → reserve → attempt → answer → settle.
//!
//! This room owns the one loop that sends, waits, cancels and counts, and every task in it. A client
//! that disconnects never tears a payment apart: the life runs in a task of the engine. It refuses HTTP
//! towards clients, SQL and wire protocols. Walk a request in this order: `admit.rs` (joins repetitions),
//! `life.rs` (plan and offers), `attempt.rs` (one offer: reserve, calls, ends), `exchange.rs` (one call),
//! `deliver.rs` (fetch and check pictures), `books.rs` (what it cost). `recover.rs` is for restarts.

pub mod answer;
pub mod refusal;
pub mod request;
pub mod settings;

pub use answer::{Answer, AnswerMeta, Cost, CostLine, DeliveredImage, Missing, StreamEvent, TokenUsage};
pub use refusal::{FailedAttempt, Refusal, RefusalKind};
pub use request::{Caller, Incoming};
pub use settings::{EngineSettings, Limits, ProviderSettings};

use gallerist_domain::{Clock, ImageRequest, RequestId};
use gallerist_pricing::{Catalogue, Offer};
use gallerist_routing::report::QuoteReport;
use gallerist_store::Store;
use jiff::Timestamp;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The running engine; clones share it.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<EngineSettings>,
}

impl Engine {
    /// Starts the engine: takes care of what a crash left open, then is ready. Must run inside tokio.
    ///
    /// # Errors
    /// When the store fails, or a provider's settings name an unknown kind.
    pub async fn start(settings: EngineSettings) -> Result<Engine, StartError> {
        let _ = settings;
        unimplemented!("the life of a request follows")
    }

    /// Makes the pictures of a request that does not stream.
    ///
    /// Dropping the future does not stop the work; pictures that nobody takes are kept for a while.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub async fn generate(&self, incoming: Incoming) -> Result<Answer, Refusal> {
        let _ = incoming;
        unimplemented!("the life of a request follows")
    }

    /// As [`Engine::generate`], as a stream of events. The first event decides: if it is `Failed`, no other
    /// follows and the answer may still be an ordinary error.
    pub fn generate_stream(&self, incoming: Incoming) -> mpsc::Receiver<StreamEvent> {
        let _ = incoming;
        unimplemented!("the life of a request follows")
    }

    /// Says that the client went away before it had the whole answer: its pictures are kept.
    pub fn undelivered(&self, answer: Answer) {
        let _ = answer;
        unimplemented!("the life of a request follows")
    }

    /// The table of quotes, with the health of the offers.
    ///
    /// # Errors
    /// A [`Refusal`] for an unknown model or quality word.
    pub fn quotes(&self, request: &ImageRequest, at: Option<Timestamp>) -> Result<QuoteReport, Refusal> {
        let _ = (request, at);
        unimplemented!("the life of a request follows")
    }

    /// Makes the answer of an earlier request again, from the store (`GET` by id; pictures while kept).
    pub async fn replay(&self, request: RequestId) -> Option<Result<Answer, Refusal>> {
        let _ = request;
        unimplemented!("the life of a request follows")
    }

    /// Checks the signature of a picture address (`/v1/pictures/{request}/{index}?expires=…&signature=…`)
    /// and returns the file.
    pub async fn picture(
        &self,
        request: RequestId,
        index: u32,
        expires: i64,
        signature: &str,
    ) -> Option<gallerist_store::Picture> {
        let _ = (request, index, expires, signature);
        unimplemented!("the life of a request follows")
    }

    pub fn offers(&self) -> &[Offer] {
        unimplemented!("the life of a request follows")
    }

    pub fn catalogue(&self) -> &Catalogue {
        &self.inner.catalogue
    }

    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    /// Stops admitting, lets what runs finish for `grace_ms`, stores job ids, and marks the rest.
    pub async fn shut_down(&self, grace_ms: u64) {
        let _ = grace_ms;
        unimplemented!("the life of a request follows")
    }
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("provider {name:?} has the unknown kind {kind:?}")]
    UnknownKind { name: String, kind: String },
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    #[error(transparent)]
    Store(#[from] gallerist_store::StoreError),
}
