//! What every life shares: the market, providers, health, limits, and the book of running requests.

use crate::StartError;
use crate::balances::Balances;
use crate::feeds::{FeedDesk, Fetcher};
use crate::joining::Joining;
use crate::market::Market;
use crate::queue::{AccountLimits, Places};
use crate::rates::{Door, LocalRates, Rates, SharedRates};
use crate::refusing::Refusing;
use crate::rests::Rests;
use crate::settings::{EngineSettings, Limits, ProviderSettings};
use crate::sharers::Sharers;
use crate::simulation::Carrier;
use crate::tasks::Tasks;
use crate::transport::{OwnHost, Transport};
use gallerist_domain::{Clock, OfferId};
use gallerist_imaging::Depth;
use gallerist_pricing::Catalogue;
use gallerist_providers::{Endpoint, Provider, by_kind};
use gallerist_routing::{HealthBook, Insight, NameBook, Route};
use gallerist_store::Store;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) struct Shared {
    pub providers: Vec<ProviderRuntime>,
    pub names: NameBook,
    /// As they were configured; what another snapshot of the market is made of.
    pub configured: Vec<ProviderSettings>,
    pub baseline: Option<OfferId>,
    pub feeds: FeedDesk,
    pub balances: Balances,
    pub fetcher: Fetcher,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    check_depth: Depth,
    moderation_failover: bool,
    pub store_prompts: bool,
    pub transport: Arc<Transport>,
    pub joining: Joining,
    /// Limits that were told to refuse.
    pub refusing: Refusing,
    /// The rates of keys and projects.
    pub door: Door,
    pub lives: Arc<Semaphore>,
    pub decodes: Semaphore,
    pub tasks: Tasks,
    /// Whether work that blocks is done where it is asked for: in simulations.
    pub inline: bool,
    pub stopping: CancellationToken,
    pub picture_secret: [u8; 32],
    /// What can be bought now; replaced as a whole.
    market: Mutex<Arc<Market>>,
    health: Mutex<HealthBook>,
    /// Where replicas tell each other what they find of offers.
    pub rests: Option<Rests>,
    /// What the books teach; replaced as a whole.
    insight: Mutex<Arc<Insight>>,
    started: Instant,
}

/// What sends.
struct Net {
    transport: Transport,
    fetcher: Fetcher,
}

/// A provider at run time.
pub(crate) struct ProviderRuntime {
    pub adapter: &'static dyn Provider,
    pub endpoint: Endpoint,
    /// Host and port of the base URL: pictures may come from there, also where that is a private place.
    pub own_host: Option<OwnHost>,
    /// Calls at once and pictures per minute of the account, and who waits for them.
    pub places: Places,
}

impl ProviderRuntime {
    fn new(
        settings: &ProviderSettings,
        catalogue: &Catalogue,
        limits: &Limits,
        sharers: &Sharers,
    ) -> Result<ProviderRuntime, StartError> {
        let (name, kind) = (|| settings.name.clone(), || settings.kind.clone());
        let unknown = || StartError::UnknownKind { name: name(), kind: kind() };
        let sheet = catalogue.provider(&settings.kind).ok_or_else(unknown)?;
        // Prices belong to a kind, the protocol may be another's.
        let adapter = by_kind(&sheet.adapter).ok_or_else(|| StartError::UnknownAdapter {
            name: name(),
            kind: kind(),
            adapter: sheet.adapter.clone(),
        })?;
        let places = settings.concurrency_max.unwrap_or(sheet.concurrency_max).max(1);
        Ok(ProviderRuntime {
            adapter,
            endpoint: settings.endpoint(),
            own_host: OwnHost::of(&settings.base_url),
            places: Places::new(
                AccountLimits {
                    places,
                    images_per_minute: settings.images_per_minute,
                    waiting_max: limits.waiting_per_provider_max,
                },
                sharers.clone(),
            ),
        })
    }
}

impl Shared {
    pub(crate) async fn new(settings: EngineSettings) -> Result<Shared, StartError> {
        let limits = &settings.limits;
        let transport = Transport::new(limits.connect_timeout_ms, limits.reply_bytes_max);
        let fetcher = Fetcher::new().map_err(StartError::Client)?;
        let net = Net { transport: transport.map_err(StartError::Client)?, fetcher };
        Shared::on(net, Tasks::default(), false, settings).await
    }

    /// Of a simulated engine, which sends to `carrier`.
    pub(crate) async fn simulated(
        settings: EngineSettings,
        carrier: Arc<dyn Carrier>,
    ) -> Result<Shared, StartError> {
        let transport = Transport::carried(Arc::clone(&carrier), settings.limits.reply_bytes_max);
        let net = Net { transport, fetcher: Fetcher::carried(carrier) };
        Shared::on(net, Tasks::mortal(), true, settings).await
    }

    async fn on(
        net: Net,
        tasks: Tasks,
        inline: bool,
        settings: EngineSettings,
    ) -> Result<Shared, StartError> {
        let EngineSettings {
            catalogue,
            providers,
            store,
            clock,
            limits,
            names,
            baseline,
            check_depth,
            moderation_failover,
            store_prompts,
            feeds,
            counters,
        } = settings;
        let sharers = Sharers::of(&store);
        let runtimes: Vec<ProviderRuntime> = providers
            .iter()
            .map(|settings| ProviderRuntime::new(settings, &catalogue, &limits, &sharers))
            .collect::<Result<_, _>>()?;
        let rates: Arc<dyn Rates> = match counters.clone() {
            Some(counters) => Arc::new(SharedRates::new(counters, sharers.clone())),
            None => Arc::new(LocalRates::new(sharers.clone())),
        };
        let feeds = FeedDesk::new(catalogue, feeds, &store);
        let market = Market::new(Arc::clone(feeds.base()), &providers);
        let fresh: [u8; 32] = blake3::hash(&random_bytes()).into();
        let secret = store.get_or_insert_meta("picture_secret", fresh.to_vec()).await?;
        let offers: Vec<_> = market.offers.iter().zip(market.offer_providers.iter().copied()).collect();
        let rests = counters.map(|counters| Rests::new(counters, &secret, &providers, &offers));
        Ok(Shared {
            rests,
            health: Mutex::new(HealthBook::new(market.offers.len())),
            market: Mutex::new(Arc::new(market)),
            insight: Mutex::default(),
            providers: runtimes,
            names,
            configured: providers,
            feeds,
            balances: Balances::default(),
            fetcher: net.fetcher,
            baseline,
            transport: Arc::new(net.transport),
            refusing: Refusing::default(),
            joining: Joining::new(limits.recent_answer_bytes_max),
            door: Door::new(rates, sharers),
            lives: Arc::new(Semaphore::new(limits.requests_max)),
            decodes: Semaphore::new(limits.decodes_max),
            tasks,
            inline,
            stopping: CancellationToken::new(),
            picture_secret: blake3::hash(&secret).into(),
            store,
            clock,
            limits,
            check_depth,
            moderation_failover,
            store_prompts,
            started: Instant::now(),
        })
    }

    pub(crate) fn health(&self) -> MutexGuard<'_, HealthBook> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insight(&self) -> Arc<Insight> {
        Arc::clone(&self.insight.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_insight(&self, insight: Insight) {
        *self.insight.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(insight);
    }

    /// Milliseconds of the monotonic clock that health is kept by.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// How deep pictures of a route are checked; `None` is a request that named a model.
    pub(crate) fn check_depth(&self, route: Option<&Route>) -> Depth {
        route.and_then(|route| route.check).unwrap_or(self.check_depth)
    }

    /// Whether a prompt that one provider refused is tried at another.
    pub(crate) fn moderation_failover(&self, route: Option<&Route>) -> bool {
        route.and_then(|route| route.moderation_failover).unwrap_or(self.moderation_failover)
    }

    /// What can be bought now. Whoever needs it twice keeps it.
    pub(crate) fn market(&self) -> Arc<Market> {
        Arc::clone(&self.market.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_market(&self, market: Market) {
        *self.market.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(market);
    }

    pub(crate) fn provider_of(&self, market: &Market, offer: usize) -> &ProviderRuntime {
        &self.providers[market.offer_providers[offer]]
    }
}

/// Two random UUIDs: 244 random bits from the system.
pub(crate) fn random_bytes() -> Vec<u8> {
    let (first, second) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    [first.as_bytes().as_slice(), second.as_bytes().as_slice()].concat()
}
