//! What sends a request: an HTTP client, or in a simulation its carrier; and what a failure to send means.

use super::addresses::NoPublicAddress;
use crate::simulation::{Carrier, NotCarried};
use gallerist_domain::{Billed, Fault, FaultKind};
use reqwest::{RequestBuilder, Response};
use std::sync::{Arc, LazyLock};

/// Builds the requests of simulations; it never sends one.
static DRAUGHTSMAN: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
});

pub(super) struct Client {
    pub http: reqwest::Client,
    carrier: Option<Arc<dyn Carrier>>,
}

impl Client {
    pub(super) fn new(http: reqwest::Client) -> Client {
        Client { http, carrier: None }
    }

    pub(super) fn carried(carrier: Arc<dyn Carrier>) -> Client {
        Client { http: DRAUGHTSMAN.clone(), carrier: Some(carrier) }
    }

    /// Sends a request that `http` has built, and waits for the head of its answer.
    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let Some(carrier) = &self.carrier else { return request.send().await.map_err(Failure::Client) };
        let request = request.build().and_then(http::Request::try_from).map_err(Failure::Client)?;
        carrier.carry(request).await.map(Response::from).map_err(Failure::Carrier)
    }
}

/// Why there is no answer.
pub(super) enum Failure {
    Client(reqwest::Error),
    Carrier(NotCarried),
}

impl Failure {
    /// Without a connection nothing was sent, so nothing can be charged.
    pub(super) fn fault(&self) -> Fault {
        let unsent = match self {
            Failure::Client(error) => error.is_connect() || error.is_builder(),
            Failure::Carrier(why) => *why == NotCarried::NotConnected,
        };
        if unsent {
            return Fault::new(FaultKind::ConnectFailed, self.describe()).with_billed(Billed::No);
        }
        Fault::new(FaultKind::ConnectionLost, self.describe())
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Failure::Client(error) => describe(error),
            Failure::Carrier(NotCarried::NotConnected) => "connection refused".into(),
            Failure::Carrier(NotCarried::Broken) => "the connection failed".into(),
        }
    }

    /// Whether a name was refused because it leads only inside.
    pub(super) fn leads_inside(&self) -> bool {
        let Failure::Client(error) = self else { return false };
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(inner) = cause {
            if inner.is::<NoPublicAddress>() {
                return true;
            }
            cause = inner.source();
        }
        false
    }
}

/// The innermost cause, without the address (which may carry a signature).
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    if std::ptr::eq(cause, error as &dyn std::error::Error) {
        "the connection failed".into()
    } else {
        cause.to_string()
    }
}
