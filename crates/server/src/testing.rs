//! What the tests inside this room share.

use gallerist_domain::SystemClock;
use gallerist_engine::{EngineSettings, ProviderSettings};
use gallerist_pricing::Catalogue;
use gallerist_store::Store;
use std::sync::Arc;

/// The usual settings of an engine with these books and providers.
pub(crate) fn settings(store: Store, providers: Vec<ProviderSettings>) -> EngineSettings {
    EngineSettings::new(Arc::new(Catalogue::embedded()), providers, store, Arc::new(SystemClock))
}
