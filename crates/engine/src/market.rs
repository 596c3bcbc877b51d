//! What can be bought, and at which prices: one immutable snapshot.
//!
//! A life takes the snapshot that is in force when it is accepted and keeps it to its end, so that plan, maximum,
//! settlement and the digest in the books are of one catalogue. A feed's new price makes another snapshot; who
//! swaps them is `feeds.rs`. It refuses to change which offers there are or their order: health is kept by index.

use crate::settings::ProviderSettings;
use gallerist_pricing::{Catalogue, ConfiguredProvider, Offer, served_offers};
use std::sync::Arc;

/// A catalogue with what the configured providers offer of it.
#[derive(Debug)]
pub struct Market {
    pub catalogue: Arc<Catalogue>,
    /// What the configured providers offer.
    pub offers: Vec<Offer>,
    /// By index of the offer: the index of its provider.
    pub(crate) offer_providers: Vec<usize>,
    /// The makers' offers of the catalogue, configured or not: what savings are measured against.
    pub(crate) maker_offers: Vec<Offer>,
}

impl Market {
    pub(crate) fn new(catalogue: Arc<Catalogue>, providers: &[ProviderSettings]) -> Market {
        let configured: Vec<_> = providers.iter().map(ProviderSettings::configured).collect();
        let offers = served_offers(&catalogue, &configured);
        let provider_of =
            |offer: &Offer| providers.iter().position(|settings| settings.name == offer.id.provider);
        let offer_providers = offers
            .iter()
            .map(|offer| provider_of(offer).expect("offers come from these providers"))
            .collect();
        Market { maker_offers: maker_offers(&catalogue), offers, offer_providers, catalogue }
    }
}

fn maker_offers(catalogue: &Catalogue) -> Vec<Offer> {
    let kinds: Vec<ConfiguredProvider> =
        catalogue.providers.iter().map(|sheet| ConfiguredProvider::new(&sheet.kind, &sheet.kind)).collect();
    served_offers(catalogue, &kinds).into_iter().filter(|offer| offer.model.maker).collect()
}
