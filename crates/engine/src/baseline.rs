//! What one would have bought, and what that costs by its price list: a saving is told against it.

use crate::market::Market;
use crate::shared::Shared;
use gallerist_domain::{Grants, ImageRequest, Ticks};
use gallerist_pricing::Offer;
use gallerist_routing::insight::NOTHING;
use gallerist_routing::plan::plan_named;
use gallerist_routing::{
    HealthBook, ListPrice, ModelName, NameBook, Named, PlanContext, PlannedOffer, Route, Target, list_price,
};
use jiff::Timestamp;

/// What was bought instead.
pub(crate) struct Bought<'a> {
    pub served: &'a PlannedOffer<'a>,
    /// What was charged, or may have been.
    pub spent: Ticks,
    /// Whether nothing else was tried, and nothing is in dispute.
    pub at_once: bool,
}

impl Bought<'_> {
    /// The list price beside it. Where the baseline itself made the pictures, in one go, they cost there what they
    /// cost: a saving would be nothing but the error of the estimate. An account may be called anything, so the kind
    /// counts, not its name.
    fn beside(&self, baseline: &PlannedOffer<'_>, list: ListPrice) -> ListPrice {
        let (one, other) = (self.served, baseline);
        let same_offer = one.offer.provider.kind == other.offer.provider.kind
            && one.offer.model.id == other.offer.model.id
            && one.offer.id.tier == other.offer.id.tier;
        match self.at_once && same_offer && one.resolved.facts.quality == other.resolved.facts.quality {
            true => ListPrice { amount: self.spent, doubtful: list.doubtful.min(self.spent), ..list },
            false => list,
        }
    }
}

/// What the request would have cost at the baseline, if that could serve it: what was saved is told against it.
pub(crate) fn of(
    shared: &Shared,
    market: &Market,
    request: &ImageRequest,
    named: &Named<'_>,
    bought: &Bought<'_>,
    at: Timestamp,
) -> Option<ListPrice> {
    let offer = match named.target {
        Target::Route(route) => route.baseline.as_ref().or(shared.baseline.as_ref()).and_then(|id| {
            let known = market.offers.iter().chain(&market.maker_offers);
            known.into_iter().find(|offer| offer.id == *id)
        }),
        Target::Model(name) => {
            // Whatever host and tier are named; the maker's id of a version names its model too.
            let anywhere = ModelName { provider: None, tier: None, ..name };
            let is_it = |offer: &&Offer| offer.model.is_named(name.model) || anywhere.speaks_of(offer);
            market.maker_offers.iter().find(is_it)
        }
    };
    offer.and_then(|offer| price_at(&shared.names, (market, offer), request, named, bought, at))
}

/// The list price of the request at one offer, if that can serve it.
fn price_at(
    names: &NameBook,
    (market, offer): (&Market, &Offer),
    request: &ImageRequest,
    named: &Named<'_>,
    bought: &Bought<'_>,
    at: Timestamp,
) -> Option<ListPrice> {
    // Where the maker serves another model under this name, that one is among its offers.
    let offers = match offer.redirect(at) {
        Some(_) => &market.maker_offers,
        None => std::slice::from_ref(offer),
    };
    let health = HealthBook::new(offers.len());
    let context = PlanContext {
        offers,
        health: &health,
        insight: &NOTHING,
        names,
        grants: Grants::ALL,
        at,
        now_ms: 0,
        price_only: true,
    };
    // The baseline stands for what one would have bought, wherever the request was allowed to go.
    let unrestricted = ImageRequest {
        providers_only: Vec::new(),
        providers_exclude: Vec::new(),
        max_cost: None,
        max_latency_ms: None,
        region: None,
        ..request.clone()
    };
    let (id, route) = (offer.id.to_string(), named.target.route().map(Route::unrestricted));
    let target = match &route {
        Some(route) => Target::Route(route),
        None => Target::Model(ModelName::parse(&id)),
    };
    let plan = plan_named(&unrestricted, Named { target, ..*named }, context).ok()?;
    let planned = plan.offers.first()?;
    Some(bought.beside(planned, list_price::of(planned, at)?))
}
