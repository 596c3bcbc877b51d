//! A gateway in this process: engine and HTTP side on a listener that is already bound, and their end.
//!
//! It owns the order of starting (listen, then everything else, so that early clients wait instead of
//! being refused) and of ending (stop accepting, let requests finish, close the books). It refuses to
//! decide settings and to print; `commands/serve.rs` and `commands/demo.rs` do.

use crate::config::{Config, feeds};
use crate::failure::{Failure, Result};
use gallerist_domain::SystemClock;
use gallerist_engine::{Engine, EngineSettings};
use gallerist_server::{AppSettings, AppState, ServeLimits};
use gallerist_store::counters::Counters;
use gallerist_store::{Store, StoreError, StoreOptions};

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long requests may go on after the first signal, in milliseconds.
pub const GRACE_MS: u64 = 30_000;

/// How long answers of calls under way may take once nothing can be written any more, in milliseconds.
pub const BROKEN_GRACE_MS: u64 = 10_000;

/// A running gateway.
pub struct Gateway {
    pub engine: Engine,
    /// Where it listens.
    pub listening: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

/// How the command at hand has its address said, for advice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaidBy {
    /// `--listen HOST:PORT`, GALLERIST_LISTEN, or the settings.
    Listen,
    /// `--port PORT`, on loopback.
    Port,
}

/// Binds the address.
///
/// # Errors
/// With what to do, when the port is taken or not allowed.
pub async fn bind(address: &str, said_by: SaidBy) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match (error.kind(), said_by) {
            (std::io::ErrorKind::AddrInUse, SaidBy::Listen) => {
                "end what listens there (`ss -ltnp` names it), or choose another port with --listen or \
                 GALLERIST_LISTEN, such as 127.0.0.1:8081; port 0 takes any free one"
            }
            (std::io::ErrorKind::AddrInUse, SaidBy::Port) => {
                "end what listens there (`ss -ltnp` names it), or choose another port with --port; --port 0 takes \
                 any free one"
            }
            (std::io::ErrorKind::PermissionDenied, SaidBy::Listen) => {
                "ports below 1024 need a privilege: choose one above with --listen or GALLERIST_LISTEN, such as \
                 127.0.0.1:8080"
            }
            (std::io::ErrorKind::PermissionDenied, SaidBy::Port) => {
                "ports below 1024 need a privilege: choose one above with --port, such as 8081; --port 0 takes any \
                 free one"
            }
            (_, SaidBy::Listen) => {
                "name an address of this machine with --listen or GALLERIST_LISTEN: 127.0.0.1:8080 for this \
                 machine alone, 0.0.0.0:8080 for others too"
            }
            (_, SaidBy::Port) => "choose another port with --port; --port 0 takes any free one",
        };
        Failure::because(format!("cannot listen on {address}"), &error).advise(advice)
    })
}

/// Opens the books.
///
/// # Errors
/// When another process has them open, or they cannot be read or made.
pub fn open_store(options: StoreOptions) -> Result<Store> {
    let (data_dir, url) = (options.data_dir.clone(), options.url.clone());
    Store::open(options).map_err(|error| match (error, url) {
        (StoreError::Locked(_), _) => {
            Failure::failed(format!("the books in {} are open already", data_dir.display()))
                .advise("end the gateway that runs there, or name another --data-dir")
        }
        (error @ (StoreError::Database(_) | StoreError::Away(_) | StoreError::File { .. }), Some(url)) => {
            Failure::because(format!("the books at {url}"), &error).advise(
                "see that the server runs and takes this user: GALLERIST_STORE_URL, else url of [store]",
            )
        }
        (other, _) => {
            let failure = Failure::from(other);
            match failure.advice.is_empty() {
                true => failure
                    .advise("name a folder that you may write to with --data-dir or GALLERIST_DATA_DIR"),
                false => failure,
            }
        }
    })
}

/// The engine's settings for a configuration, by itself.
pub fn engine_settings(config: &Config, store: Store) -> EngineSettings {
    EngineSettings {
        catalogue: Arc::clone(&config.base),
        providers: config.providers.clone(),
        store,
        clock: Arc::new(SystemClock),
        limits: config.limits.clone(),
        names: config.names.clone(),
        baseline: config.baseline.clone(),
        check_depth: config.check_depth,
        moderation_failover: config.moderation_failover,
        store_prompts: config.store_prompts,
        feeds: feeds::settings(config),
        counters: None,
    }
}

impl Gateway {
    /// Starts on a bound listener.
    ///
    /// # Errors
    /// When the engine cannot start.
    pub async fn start(config: &Config, store: Store, listener: TcpListener) -> Result<Gateway> {
        let listening =
            listener.local_addr().map_err(|error| Failure::because("the listener has no address", &error))?;
        let counters = match &config.redis_url {
            Some(url) => Some(Counters::open(url.clone()).await),
            None => None,
        };
        let engine = Engine::start(EngineSettings { counters, ..engine_settings(config, store) })
            .await
            .map_err(|error| Failure::because("the engine cannot start", &error))?;
        let state = AppState::new(AppSettings {
            catalogue: config.origin.clone(),
            public_base_url: config.public_url.clone(),
            ..AppSettings::new(engine.clone())
        });
        let stop = CancellationToken::new();
        let limits = ServeLimits { grace_ms: GRACE_MS, ..ServeLimits::default() };
        let serving = tokio::spawn(gallerist_server::serve(listener, state, stop.clone(), limits));
        Ok(Gateway { engine, listening, stop, serving })
    }

    /// `http://HOST:PORT` for clients of this machine.
    pub fn origin(&self) -> String {
        origin(self.listening)
    }

    /// Whether others than this machine reach it, at whichever of its addresses.
    pub fn listens_everywhere(&self) -> bool {
        self.listening.ip().is_unspecified()
    }

    /// Stops accepting, lets requests finish for `grace_ms`, closes the books.
    ///
    /// # Errors
    /// When the books cannot be closed.
    pub async fn end(self, grace_ms: u64) -> Result<()> {
        self.stop.cancel();
        let (served, ()) = tokio::join!(self.serving, self.engine.shut_down(grace_ms));
        if let Err(error) = served {
            tracing::warn!(%error, "the HTTP side did not end well");
        }
        self.engine.store().close().await?;
        Ok(())
    }

    /// Waits until the books can be written no more, because their writer has panicked.
    pub async fn broken(&self) {
        self.engine.store().broken().await;
    }

    /// Ends a gateway whose books are broken: nothing new is taken, and the answers of calls that were paid for have
    /// `grace_ms` to reach their clients. Nothing more is written, so what is open is left to the next start.
    pub async fn break_off(self, grace_ms: u64) -> Failure {
        tracing::error!(
            grace_ms,
            "a panic has broken off a write of the books: this gateway answers what is under way and ends, for a \
             supervisor to start it again; the next start takes up what is open"
        );
        self.stop.cancel();
        let ending = async { tokio::join!(self.serving, self.engine.shut_down(grace_ms)) };
        if tokio::time::timeout(Duration::from_millis(grace_ms), ending).await.is_err() {
            tracing::warn!("answers under way were cut off");
        }
        Failure::failed("the books can be written no more: a fault of this program broke off a write")
            .advise("start it again, which takes up what is open; and report the panic that stands above")
    }
}

/// A wildcard address is reached through loopback.
fn origin(listening: SocketAddr) -> String {
    let mut address = listening;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

/// The file in the data directory that says where its gateway listens.
pub fn address_file(data_dir: &Path) -> PathBuf {
    data_dir.join("gallerist.address")
}

/// Time to find out whether somebody listens at an address of this machine.
const ANSWER_WITHIN: Duration = Duration::from_millis(500);

/// The address of a gateway that runs with this data directory and takes connections. A shared database says
/// nothing of who has the directory: its lock is SQLite's.
pub fn answering(data_dir: &Path) -> Option<String> {
    let origin = std::fs::read_to_string(address_file(data_dir)).ok()?.trim().to_owned();
    let address = origin.strip_prefix("http://")?.parse().ok()?;
    std::net::TcpStream::connect_timeout(&address, ANSWER_WITHIN).ok().map(|_| origin)
}

#[cfg(test)]
pub mod tests;
