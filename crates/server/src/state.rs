//! What every handler shares: the engine, the settings of the HTTP side, the counters.

use crate::metrics::Metrics;
use crate::retention::Retention;
use gallerist_engine::Engine;
use gallerist_pricing::Catalogue;
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::feed::FeedBook;
use gallerist_store::{Actor, KeyRecord, Store};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How the HTTP side is set up. Make it with [`AppSettings::new`] and change what differs.
#[derive(Clone)]
pub struct AppSettings {
    pub engine: Engine,
    /// Where the prices come from, for those who look at all of them.
    pub catalogue: Origin,
    /// Scheme and authority of picture addresses, without a trailing slash, as `https://images.example`.
    /// Absent: `http://` and the `Host` of the request.
    pub public_base_url: Option<String>,
    /// Largest JSON body. Default 8 MiB.
    pub body_bytes_max: usize,
    /// What is read and thrown away of a body that is too large, so that its sender hears the answer.
    /// Default 128 MiB.
    pub drain_bytes_max: usize,
    /// For the whole of a body, in milliseconds. Default 60,000.
    pub body_read_ms_max: u64,
    /// Pictures that are held in memory until their client has them whole, in bytes over all answers, so that
    /// one cut off on the way can be kept. Where it is used up, answers wait for their turn, and those of slow
    /// clients are put on disk while they are sent. What is larger than all of it is put on disk first, which
    /// costs its answer some milliseconds. Default 64 MiB.
    pub retained_bytes_max: usize,
}

impl AppSettings {
    pub fn new(engine: Engine) -> AppSettings {
        AppSettings {
            engine,
            catalogue: Origin::default(),
            public_base_url: None,
            body_bytes_max: 8 << 20,
            drain_bytes_max: 128 << 20,
            body_read_ms_max: 60_000,
            retained_bytes_max: 64 << 20,
        }
    }
}

/// The state of the HTTP side; clones share it.
#[derive(Clone)]
pub struct AppState {
    inner: Arc<Inner>,
}

struct Inner {
    settings: AppSettings,
    metrics: Metrics,
    stopping: AtomicBool,
    /// Without what feeds told; read when somebody first looks at the prices.
    whole_base: OnceLock<Arc<Catalogue>>,
    /// With what the feeds have told in this book.
    whole_catalogue: Mutex<Option<(Arc<FeedBook>, Arc<Catalogue>)>>,
    retention: Retention,
}

impl AppState {
    pub fn new(settings: AppSettings) -> AppState {
        let retention = Retention::new(settings.retained_bytes_max);
        let inner = Inner {
            settings,
            metrics: Metrics::default(),
            stopping: AtomicBool::new(false),
            whole_base: OnceLock::new(),
            whole_catalogue: Mutex::default(),
            retention,
        };
        AppState { inner: Arc::new(inner) }
    }

    pub fn engine(&self) -> &Engine {
        &self.inner.settings.engine
    }

    /// The store, in whose changes this key stands.
    pub(crate) fn store_for(&self, key: &KeyRecord) -> Store {
        self.engine().store().on_behalf_of(Actor::key(&key.id))
    }

    /// Everything that has a price now, also what cannot be ordered yet. The first to ask waits for it to be read.
    /// Mistakes in files that were sound at the start leave what is served.
    pub(crate) async fn whole_catalogue(&self) -> Arc<Catalogue> {
        let Some(base) = self.whole_base().await else {
            return Arc::clone(&self.engine().market().catalogue);
        };
        let book = self.engine().feed_book();
        let mut known = self.inner.whole_catalogue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, catalogue)) = known.as_ref().filter(|(of, _)| Arc::ptr_eq(of, &book)) {
            return Arc::clone(catalogue);
        }
        let catalogue = Arc::new(base.with_feeds(&book));
        *known = Some((book, Arc::clone(&catalogue)));
        catalogue
    }

    async fn whole_base(&self) -> Option<Arc<Catalogue>> {
        if let Some(known) = self.inner.whole_base.get() {
            return Some(Arc::clone(known));
        }
        let origin = self.inner.settings.catalogue.clone();
        let read = tokio::task::spawn_blocking(move || origin.whole()).await;
        let catalogue = match read {
            Ok(Ok(catalogue)) => Arc::new(catalogue),
            _ => {
                tracing::error!("the whole catalogue could not be read; `gallerist prices check` says why");
                return None;
            }
        };
        Some(Arc::clone(self.inner.whole_base.get_or_init(|| catalogue)))
    }

    pub(crate) fn settings(&self) -> &AppSettings {
        &self.inner.settings
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn retention(&self) -> &Retention {
        &self.inner.retention
    }

    /// From now on `/readyz` says no, so that balancers send nothing more.
    pub(crate) fn stop(&self) {
        self.inner.stopping.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.inner.stopping.load(Ordering::SeqCst)
    }
}
