//! How an engine is set up: providers, limits, time.

use crate::feeds::FeedSettings;
use gallerist_domain::money::TICKS_PER_DOLLAR;
use gallerist_domain::{Clock, OfferId, Ticks};
use gallerist_imaging::Depth;
use gallerist_pricing::Catalogue;
use gallerist_pricing::ConfiguredProvider;
use gallerist_providers::Endpoint;
use gallerist_routing::NameBook;
use gallerist_store::Store;
use gallerist_store::counters::Counters;
use secrecy::{ExposeSecret, SecretString};
use std::sync::Arc;

/// A configured provider.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// The name that offers carry; usually the kind.
    pub name: String,
    pub kind: String,
    /// Deployment or region of the account, where prices depend on it; empty for none.
    pub region: String,
    /// Without a trailing slash, with the path that the vendor's SDK would take.
    pub base_url: String,
    /// Empty where none is needed.
    pub key: SecretString,
    /// Calls in flight, of all replicas together; the catalogue's limit when absent.
    pub concurrency_max: Option<u32>,
    /// Pictures that the account may begin in any 60 seconds, on all replicas together, at least 1; absent: no limit is known.
    pub images_per_minute: Option<u32>,
}

impl ProviderSettings {
    /// What of it decides about offers and prices.
    pub fn configured(&self) -> ConfiguredProvider {
        ConfiguredProvider { name: self.name.clone(), kind: self.kind.clone(), region: self.region.clone() }
    }

    /// Where its adapter calls, and with what key.
    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint {
            base_url: self.base_url.trim_end_matches('/').to_owned(),
            key: self.key.expose_secret().to_owned(),
        }
    }
}

/// Limits, each with its default in [`Limits::default`].
#[derive(Clone, Debug)]
pub struct Limits {
    /// From acceptance to answer.
    pub deadline_ms: u64,
    pub connect_timeout_ms: u64,
    /// Largest answer of a provider.
    pub reply_bytes_max: usize,
    /// Largest picture, and its most pixels.
    pub picture_bytes_max: usize,
    pub picture_pixels_max: u64,
    /// Requests in life at once; more are refused with 503.
    pub requests_max: usize,
    /// Calls that may wait for a place at one provider.
    pub waiting_per_provider_max: usize,
    /// Offers that one request tries at most.
    pub offers_tried_max: usize,
    /// Pictures that are decoded at once.
    pub decodes_max: usize,
    /// How long an undelivered picture stays fetchable.
    pub kept_picture_minutes: i64,
    /// Days that requests are kept, at least [`gallerist_store::RETENTION_DAYS_MIN`]; absent: for ever.
    pub retention_days: Option<u32>,
    /// Pause between sweeps, which ask for open jobs and delete what has expired.
    pub sweep_every_ms: u64,
    /// Time that one open job is asked for in a sweep, and that fetching its pictures may take.
    pub look_up_ms: u64,
    /// How long a request that a stop cut short waits, from the start of its job, for one that goes on running or
    /// whose pictures cannot be fetched.
    pub job_wait_ms: u64,
    /// Memory for answers that a repetition may join just after they were sent.
    pub recent_answer_bytes_max: usize,
    /// Pause between looks at what may be worth an alert.
    pub watch_every_ms: u64,
    /// Pause between questions to providers of what is left of prepaid credits; absent: they are not asked.
    pub balance_every_ms: Option<u64>,
    /// A difference between their word and the books up to this is no news.
    pub credits_drift: Ticks,
    /// Longest pause between looks at the queue of webhook deliveries.
    pub webhook_look_ms_max: u64,
    /// For one delivery to a webhook.
    pub webhook_timeout_ms: u64,
    /// Whether webhooks may lead to private addresses, and be without TLS.
    pub webhooks_private: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            deadline_ms: 300_000,
            connect_timeout_ms: 5_000,
            reply_bytes_max: 128 << 20,
            picture_bytes_max: 64 << 20,
            picture_pixels_max: 50_000_000,
            requests_max: 4_096,
            waiting_per_provider_max: 1_024,
            offers_tried_max: 6,
            decodes_max: 2,
            kept_picture_minutes: 60,
            retention_days: None,
            sweep_every_ms: 30_000,
            look_up_ms: 20_000,
            job_wait_ms: 3_600_000,
            recent_answer_bytes_max: 4 << 20,
            watch_every_ms: 30_000,
            balance_every_ms: Some(3_600_000),
            credits_drift: Ticks::new(TICKS_PER_DOLLAR),
            webhook_look_ms_max: 30_000,
            webhook_timeout_ms: 15_000,
            webhooks_private: false,
        }
    }
}

/// Everything that an engine needs.
pub struct EngineSettings {
    /// Without what feeds told.
    pub catalogue: Arc<Catalogue>,
    pub providers: Vec<ProviderSettings>,
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// Routes and migrations. What a route does not say is as below.
    pub names: NameBook,
    /// The offer that savings are measured against.
    pub baseline: Option<OfferId>,
    /// How deep pictures are checked by default.
    pub check_depth: Depth,
    /// Whether a prompt that one provider's filter refused may be tried at another.
    pub moderation_failover: bool,
    /// Whether prompts are stored with their requests.
    pub store_prompts: bool,
    /// Where prices are polled, and what earlier polls told.
    pub feeds: FeedSettings,
    /// Where replicas count rates together and tell each other which offers rest; absent: each counts its share and
    /// goes by its own health.
    pub counters: Option<Counters>,
}

impl EngineSettings {
    /// Usual limits, no routes, no baseline, pictures checked by their headers, no prompts kept, no feeds, nothing
    /// counted with others.
    pub fn new(
        catalogue: Arc<Catalogue>,
        providers: Vec<ProviderSettings>,
        store: Store,
        clock: Arc<dyn Clock>,
    ) -> EngineSettings {
        EngineSettings {
            catalogue,
            providers,
            store,
            clock,
            limits: Limits::default(),
            names: NameBook::default(),
            baseline: None,
            check_depth: Depth::Header,
            moderation_failover: false,
            store_prompts: false,
            feeds: FeedSettings::default(),
            counters: None,
        }
    }
}
