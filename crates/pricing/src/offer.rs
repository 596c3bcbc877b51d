//! Offers: one configured provider's way to serve a model at a tier. The thing that is bought.

use crate::catalogue::{Catalogue, ModelSheet, ProviderSheet, Redirect};
use gallerist_domain::id::STANDARD_TIER;
use gallerist_domain::{OfferId, Operation};
use jiff::Timestamp;
use jiff::civil::Date;
use std::sync::Arc;

/// A provider that is configured: an account, or an engine of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredProvider {
    /// The name that offers carry; usually the kind.
    pub name: String,
    pub kind: String,
    /// Deployment or region of the account, where prices depend on it; empty for none.
    pub region: String,
}

impl ConfiguredProvider {
    /// An account without a region of its own.
    pub fn new(name: &str, kind: &str) -> ConfiguredProvider {
        ConfiguredProvider { name: name.to_owned(), kind: kind.to_owned(), region: String::new() }
    }
}

/// What can be bought.
#[derive(Clone, Debug)]
pub struct Offer {
    pub id: OfferId,
    pub provider: Arc<ProviderSheet>,
    pub model: Arc<ModelSheet>,
    /// Deployment or region of the account; empty for none.
    pub region: String,
}

impl Offer {
    /// Typical time to the picture at this tier, until the gateway has measured its own; milliseconds.
    pub fn latency_ms(&self) -> u32 {
        let row = self.model.tiers.iter().find(|row| row.tier == self.id.tier);
        row.and_then(|row| row.latency_ms).unwrap_or(self.model.latency_ms)
    }

    /// Whether the gateway can order this operation here today.
    pub fn serves(&self, operation: Operation) -> bool {
        self.id.tier == STANDARD_TIER
            && self.provider.serves.contains(&operation)
            && self.model.capabilities.operations.contains(&operation)
            // Nothing that goes in besides words can be sent yet.
            && !self.model.capabilities.loras_required
            && !self.model.draws_lines()
    }

    /// The day from which on it is offered, where that is after `at`.
    pub fn not_released(&self, at: Timestamp) -> Option<Date> {
        let lifecycle = &self.model.lifecycle;
        lifecycle.released_at.filter(|from| at < *from).and_then(|_| lifecycle.released_on())
    }

    /// Whether the model is gone at `at`.
    pub fn is_retired(&self, at: Timestamp) -> bool {
        let today = || at.to_zoned(jiff::tz::TimeZone::UTC).date();
        // Most never retire, and need no calendar.
        self.model.lifecycle.retires_on.is_some_and(|day| day <= today())
    }

    /// The model that the provider serves at `at` to those who name this one, where it is another.
    pub fn redirect(&self, at: Timestamp) -> Option<&Redirect> {
        self.model.lifecycle.redirect.as_ref().filter(|redirect| redirect.since <= at)
    }

    /// Whether nobody has this very model from here any more: retired, switched off, or served as another.
    pub fn is_gone(&self, at: Timestamp) -> bool {
        self.is_retired(at) || self.model.lifecycle.switched_off.is_some() || self.redirect(at).is_some()
    }
}

/// Every kind of the catalogue under its own name, as if it were configured; what is configured stands in the place of
/// the kind whose name it has, or behind them.
pub fn everything(catalogue: &Catalogue, configured: &[ConfiguredProvider]) -> Vec<ConfiguredProvider> {
    let own = |kind: &str| configured.iter().find(|one| one.name == kind).cloned();
    let kinds = catalogue.providers.iter().map(|sheet| sheet.kind.as_str());
    let kinds = kinds.map(|kind| own(kind).unwrap_or_else(|| ConfiguredProvider::new(kind, kind)));
    kinds.chain(configured.iter().filter(|one| catalogue.provider(&one.name).is_none()).cloned()).collect()
}

/// Of [`offers`] those that the gateway can order from today.
pub fn served_offers(catalogue: &Catalogue, providers: &[ConfiguredProvider]) -> Vec<Offer> {
    let mut offers = offers(catalogue, providers);
    offers.retain(|offer| offer.provider.serves.iter().any(|operation| offer.serves(*operation)));
    offers
}

/// The offers of the configured providers, in the order of the configuration and the files.
pub fn offers(catalogue: &Catalogue, providers: &[ConfiguredProvider]) -> Vec<Offer> {
    let mut offers = Vec::new();
    for configured in providers {
        let Some(sheet) = catalogue.provider(&configured.kind) else { continue };
        for model in &sheet.models {
            let tiers = model.tiers.iter().map(|row| row.tier.as_str());
            for tier in std::iter::once(STANDARD_TIER).chain(tiers) {
                let id = OfferId {
                    provider: configured.name.clone(),
                    model: model.id.clone(),
                    version: None,
                    tier: tier.to_owned(),
                };
                let (provider, model) = (Arc::clone(sheet), Arc::clone(model));
                offers.push(Offer { id, provider, model, region: configured.region.clone() });
            }
        }
    }
    offers
}
