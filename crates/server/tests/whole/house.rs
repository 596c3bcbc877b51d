//! Everything up on loopback.

use crate::client::{self, Reply};
use gallerist_domain::{OfferId, ProjectId, Scopes, SystemClock};
use gallerist_engine::{Engine, EngineSettings, Limits, ProviderSettings};
use gallerist_fakes::{Fakes, FakesOptions};
use gallerist_pricing::Catalogue;
use gallerist_routing::NameBook;
use gallerist_server::{AppSettings, AppState, ServeLimits, new_key, serve};
use gallerist_store::Store;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct House {
    pub fakes: Fakes,
    pub store: Store,
    pub engine: Engine,
    pub address: SocketAddr,
    pub key: String,
    pub admin: String,
    shutdown: CancellationToken,
    serving: JoinHandle<()>,
}

/// Paths of the base URLs, as the vendors' SDKs would have them.
const PATHS: &[(&str, &str)] = &[("openai", "/v1"), ("google", "/v1beta"), ("bfl", "/v1")];

impl House {
    pub async fn open() -> House {
        House::with(ServeLimits { grace_ms: 5_000, ..ServeLimits::default() }).await
    }

    pub async fn with(limits: ServeLimits) -> House {
        House::set_up(limits, NameBook::default()).await
    }

    /// With routes and migrations of its own.
    pub async fn named(names: NameBook) -> House {
        House::set_up(ServeLimits { grace_ms: 5_000, ..ServeLimits::default() }, names).await
    }

    async fn set_up(limits: ServeLimits, names: NameBook) -> House {
        let fakes = Fakes::start(FakesOptions::default()).await.unwrap();
        let keys = fakes.keys();
        let providers = fakes.origins().into_iter().map(|(kind, origin)| {
            let path = PATHS.iter().find(|(known, _)| *known == kind).map_or("", |(_, path)| path);
            let key = if kind == "automatic1111" { String::new() } else { keys[&kind].clone() };
            let base_url = format!("{origin}{path}");
            ProviderSettings {
                name: kind.clone(),
                kind,
                region: String::new(),
                base_url,
                key: key.into(),
                concurrency_max: None,
                images_per_minute: None,
            }
        });
        let store = Store::open_temporary(Timestamp::now()).unwrap();
        let catalogue = Arc::new(Catalogue::embedded());
        let usual = EngineSettings::new(catalogue, providers.collect(), store.clone(), Arc::new(SystemClock));
        let settings = EngineSettings {
            limits: Limits { deadline_ms: 20_000, ..Limits::default() },
            names,
            baseline: Some(OfferId::new("openai", "gpt-image-2")),
            ..usual
        };
        let engine = Engine::start(settings).await.unwrap();
        let key = make_key(&store, Scopes::USUAL).await;
        let admin = make_key(&store, Scopes::ADMIN).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let state = AppState::new(AppSettings::new(engine.clone()));
        let serving = tokio::spawn(serve(listener, state, shutdown.clone(), limits));
        House { fakes, store, engine, address, key, admin, shutdown, serving }
    }

    pub fn faults(&self, kind: &str, script: &Value) {
        self.fakes.get(kind).unwrap().ctx.faults.set(script).unwrap();
    }

    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        client::call(self.address, method, path, Some(&self.key), &[], body.to_string().as_bytes()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        client::call(self.address, "GET", path, Some(&self.key), &[], b"").await
    }

    pub async fn admin(&self, method: &str, path: &str, body: &Value) -> Reply {
        client::call(self.address, method, path, Some(&self.admin), &[], body.to_string().as_bytes()).await
    }

    pub async fn generate(&self, body: &Value) -> Reply {
        self.call("POST", "/v1/images/generations", body).await
    }

    /// Ends everything in order; the books must balance.
    pub async fn close(self) {
        self.shutdown.cancel();
        self.serving.await.unwrap();
        self.engine.shut_down(10_000).await;
        let books = self.store.books().await.unwrap();
        assert!(books.balance() && books.open_reservations == 0, "{books:?}");
    }
}

async fn make_key(store: &Store, scopes: Scopes) -> String {
    let fresh = new_key();
    let record = fresh.record(ProjectId::default_project(), "test", scopes, None);
    store.create_key(record, Timestamp::now()).await.unwrap();
    fresh.secret.expose_secret().to_owned()
}
