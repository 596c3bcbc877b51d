//! An engine for simulations in virtual time: it sends to a [`Carrier`] instead of sockets, does all work inside
//! its tasks, and can crash.
//!
//! Everything that decides is the product's own. What is replaced is what a simulation can neither see nor command:
//! connections, threads, and the end of the process. The runtime must have one thread and a paused clock; the store
//! comes from [`gallerist_store::Store::open_simulated`].

use crate::shared::Shared;
use crate::{Engine, EngineSettings, StartError};
use std::pin::Pin;
use std::sync::Arc;

/// An answer whose body may still come, or break.
pub type Carried = Result<http::Response<reqwest::Body>, NotCarried>;

/// Brings a request to a provider, and its answer back.
pub trait Carrier: Send + Sync {
    fn carry(
        &self,
        request: http::Request<reqwest::Body>,
    ) -> Pin<Box<dyn Future<Output = Carried> + Send + '_>>;
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCarried {
    /// There was no connection: nothing was sent.
    NotConnected,
    /// The connection broke after the request was sent, before its answer came.
    Broken,
}

impl Engine {
    /// As [`Engine::start`], in a simulation.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub async fn start_simulated(
        settings: EngineSettings,
        carrier: Arc<dyn Carrier>,
    ) -> Result<Engine, StartError> {
        Engine::run(Shared::simulated(settings, carrier).await?).await
    }

    /// Ends a simulated engine as a crash of the process does: none of its tasks goes on. Whoever waits for an answer
    /// of it must stop waiting before it is asked to go on. Of an engine that is not simulated nothing is ended.
    pub fn crash(&self) {
        self.shared.tasks.crash();
    }
}
