//! Offers: one configured provider's way to serve a model at a tier. The thing that is bought.

use crate::catalogue::{Catalogue, ModelSheet, ProviderSheet};
use gallerist_domain::OfferId;
use gallerist_domain::id::STANDARD_TIER;
use jiff::Timestamp;
use std::sync::Arc;

/// A provider that is configured: an account, or an engine of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredProvider {
    /// The name that offers carry; usually the kind.
    pub name: String,
    pub kind: String,
}

/// What can be bought.
#[derive(Clone, Debug)]
pub struct Offer {
    pub id: OfferId,
    pub provider: Arc<ProviderSheet>,
    pub model: Arc<ModelSheet>,
}

impl Offer {
    /// Whether the model is gone at `at`.
    pub fn is_retired(&self, at: Timestamp) -> bool {
        let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        self.model.lifecycle.retires_on.is_some_and(|day| day <= today)
    }
}

/// The offers of the configured providers, in the order of the configuration and the files.
pub fn offers(catalogue: &Catalogue, providers: &[ConfiguredProvider]) -> Vec<Offer> {
    let mut offers = Vec::new();
    for configured in providers {
        let Some(sheet) = catalogue.provider(&configured.kind) else { continue };
        for model in &sheet.models {
            let id = OfferId {
                provider: configured.name.clone(),
                model: model.id.clone(),
                version: None,
                tier: STANDARD_TIER.to_owned(),
            };
            offers.push(Offer { id, provider: Arc::clone(sheet), model: Arc::clone(model) });
        }
    }
    offers
}
