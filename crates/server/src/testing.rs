//! What the tests inside this room share.

use gallerist_domain::SystemClock;
use gallerist_engine::{EngineSettings, Limits, ProviderSettings};
use gallerist_pricing::Catalogue;
use gallerist_store::Store;
use std::sync::Arc;

/// The usual settings of an engine with these books and providers.
pub(crate) fn settings(store: Store, providers: Vec<ProviderSettings>) -> EngineSettings {
    EngineSettings {
        catalogue: Arc::new(Catalogue::embedded()),
        providers,
        store,
        clock: Arc::new(SystemClock),
        limits: Limits::default(),
        names: gallerist_routing::NameBook::default(),
        baseline: None,
        check_depth: gallerist_imaging::Depth::Header,
        moderation_failover: false,
        store_prompts: false,
        feeds: gallerist_engine::feeds::FeedSettings::default(),
        counters: None,
    }
}
