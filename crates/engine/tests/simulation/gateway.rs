//! The gateway in its lives: begun on the same data directory again and again, ended by a crash or in good order.

use crate::scenario::{End, Moment};
use crate::world::World;
use gallerist_domain::{Clock, OfferId, ProjectId};
use gallerist_engine::simulation::Carrier;
use gallerist_engine::{Engine, EngineSettings, Limits, ProviderSettings};
use gallerist_pricing::Catalogue;
use gallerist_store::simulation::Disk;
use gallerist_store::{Store, StoreError, StoreOptions};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| Arc::new(Catalogue::embedded()));

/// Paths of the base URLs, as the vendors' SDKs would have them.
const PATHS: &[(&str, &str)] = &[("openai", "/v1"), ("google", "/v1beta"), ("bfl", "/v1")];

/// One life of the gateway.
#[derive(Clone)]
pub struct Gateway {
    pub engine: Engine,
    pub store: Store,
    /// Cancelled when it is gone.
    pub down: CancellationToken,
}

/// Where clients find the gateway, if it is up. They are let in in the order in which they came.
#[derive(Default)]
pub struct Door {
    gateway: Mutex<Option<Gateway>>,
    opened: Notify,
}

impl Door {
    pub fn open(&self, gateway: Gateway) {
        *self.gateway.lock().expect("no holder panics") = Some(gateway);
        self.opened.notify_waiters();
    }

    fn shut(&self) {
        *self.gateway.lock().expect("no holder panics") = None;
    }

    /// The gateway, as soon as it is up.
    pub async fn found(&self) -> Gateway {
        loop {
            let opened = self.opened.notified();
            if let Some(gateway) = &*self.gateway.lock().expect("no holder panics") {
                return gateway.clone();
            }
            opened.await;
        }
    }
}

impl Gateway {
    /// Begins, and tries again where the disk does not let it begin.
    pub async fn begin(world: &Arc<World>, folder: &Path) -> Gateway {
        loop {
            match Gateway::try_begin(world, folder).await {
                Ok(gateway) => return gateway,
                Err(error) => {
                    world.transcript.note(format!("the gateway cannot begin: {error}"));
                    world.transcript.meet("start failed");
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn try_begin(world: &Arc<World>, folder: &Path) -> Result<Gateway, String> {
        let store = open(world, folder).await?;
        let scenario = &world.scenario;
        let providers = world.providers.iter().map(|provider| {
            let path = PATHS.iter().find(|(known, _)| *known == provider.kind).map_or("", |(_, path)| path);
            // The engine of one's own asks for no key.
            let key = if provider.kind == "automatic1111" { String::new() } else { provider.ctx.key.clone() };
            ProviderSettings {
                name: provider.kind.to_owned(),
                kind: provider.kind.to_owned(),
                region: String::new(),
                base_url: format!("{}{path}", provider.ctx.origin),
                key: key.into(),
                concurrency_max: scenario.concurrency_max,
                images_per_minute: None,
            }
        });
        let clock = Arc::clone(&world.clock) as _;
        let usual = EngineSettings::new(Arc::clone(&CATALOGUE), providers.collect(), store.clone(), clock);
        let settings = EngineSettings {
            limits: Limits { deadline_ms: scenario.deadline_ms, ..Limits::default() },
            baseline: Some(OfferId::new("openai", "gpt-image-2")),
            moderation_failover: scenario.moderation_failover,
            ..usual
        };
        let carrier = Arc::clone(world) as Arc<dyn Carrier>;
        match Engine::start_simulated(settings, carrier).await {
            Ok(engine) => {
                world.transcript.note("the gateway is up");
                Ok(Gateway { engine, store, down: CancellationToken::new() })
            }
            Err(error) => {
                store.crash();
                Err(format!("{error:?}"))
            }
        }
    }

    /// Sets the limits of the run, while nothing goes wrong yet.
    pub async fn set_limits(&self, world: &World) {
        let (project, now) = (ProjectId::default_project(), world.clock.now());
        self.store.set_cap(project, world.scenario.cap, now).await.expect("the disk is quiet");
        for budget in &world.scenario.budgets {
            self.store.create_budget(budget.clone()).await.expect("the disk is quiet");
        }
    }

    /// Ends without a word. All at once: nothing of it is polled any more.
    pub fn crash(self, world: &World) {
        world.cut(world.clock.now());
        self.down.cancel();
        self.engine.crash();
        self.store.crash();
    }

    /// Stops as a process does that is asked to.
    pub async fn stop(self, world: &World, grace_ms: u64) {
        let asked = world.clock.now();
        self.engine.shut_down(grace_ms).await;
        world.cut(asked);
        // The process ends: with the store closed, nothing of it could do any harm, but it is gone all the same.
        let closed = self.store.close().await;
        world.transcript.note(format!(
            "the gateway has stopped, its store {}",
            if closed.is_ok() { "closed" } else { "failed" }
        ));
        self.crash(world);
    }

    /// Lives until its end, as the scenario has it.
    pub async fn end_by(self, world: &World, door: &Door, end: &End) {
        let timed = match end.at {
            Moment::Milliseconds(after_ms) => after_ms,
            counted => {
                world.count_down(Some(counted));
                // What is counted may never come.
                40_000
            }
        };
        tokio::select! {
            biased;
            () = world.end.notified() => {}
            () = sleep(Duration::from_millis(timed)) => {}
        }
        world.count_down(None);
        match end.grace_ms {
            None => {
                world.transcript.note("the gateway crashes");
                world.transcript.meet("crash");
                door.shut();
                self.crash(world);
            }
            Some(grace_ms) => {
                world.transcript.note(format!("the gateway is asked to stop within {grace_ms} ms"));
                world.transcript.meet("stop");
                self.stop(world, grace_ms).await;
                door.shut();
            }
        }
        sleep(Duration::from_millis(end.down_ms)).await;
    }
}

/// What has crashed still holds the lock until its tasks are dropped.
async fn open(world: &Arc<World>, folder: &Path) -> Result<Store, String> {
    for _ in 0..1_000 {
        let options = StoreOptions { durable: false, ..StoreOptions::new(folder, world.clock.now()) };
        match Store::open_simulated(options, Arc::clone(world) as Arc<dyn Disk>) {
            Err(StoreError::Locked(_)) => tokio::task::yield_now().await,
            other => return other.map_err(|error| error.to_string()),
        }
    }
    Err("what has crashed is not gone".to_owned())
}

/// Everybody has come and gone: nothing goes wrong any more.
pub fn calm(world: &World) {
    world.quiet.store(true, Ordering::Relaxed);
    world.count_down(None);
    world.transcript.note("all is calm");
}
