//! What the tests of this room share: the offers of the whole catalogue, and plans of one line.

use crate::exclusion::Reason;
use crate::health::HealthBook;
use crate::insight::NOTHING;
use crate::name_book::PLAIN;
use crate::plan::{Plan, PlanContext, plan};
use gallerist_domain::{Grants, ImageRequest, Size, SizeChoice};
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::{Catalogue, ConfiguredProvider, Offer, served_offers};
use jiff::Timestamp;
use std::sync::LazyLock;

pub static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Origin::default().served().expect("sound"));

/// The offers of every provider that can be ordered from.
pub static OFFERS: LazyLock<Vec<Offer>> = LazyLock::new(|| {
    let kinds = CATALOGUE.providers.iter();
    let configured = |kind: &String| ConfiguredProvider::new(kind, kind);
    served_offers(&CATALOGUE, &kinds.map(|sheet| configured(&sheet.kind)).collect::<Vec<_>>())
});

pub static WELL: LazyLock<HealthBook> = LazyLock::new(|| HealthBook::new(OFFERS.len()));

pub fn instant(text: &str) -> Timestamp {
    text.parse().expect("tests write instants")
}

pub fn now() -> Timestamp {
    instant("2026-11-25T12:00:00Z")
}

pub fn context(at: Timestamp) -> PlanContext<'static> {
    PlanContext {
        offers: &OFFERS,
        health: &WELL,
        insight: &NOTHING,
        names: &PLAIN,
        grants: Grants::ALL,
        at,
        now_ms: 0,
        price_only: false,
    }
}

/// One square picture.
pub fn ask(model: &str) -> ImageRequest {
    let mut request = ImageRequest::new(model, "a heron on one leg");
    request.size = SizeChoice::Exact(Size::new(1024, 1024));
    request
}

pub fn planned(request: &ImageRequest) -> Plan<'_> {
    plan(request, context(now())).expect("a known name")
}

/// Ids of the planned offers, best first.
pub fn order(request: &ImageRequest) -> Vec<String> {
    planned(request).offers.iter().map(|planned| planned.offer.id.to_string()).collect()
}

/// Why an offer is out; `None` when it is in.
pub fn reason<'a>(request: &'a ImageRequest, offer: &str) -> Option<Reason<'a>> {
    let plan = planned(request);
    if plan.offers.iter().any(|planned| planned.offer.id.to_string() == offer) {
        return None;
    }
    let found = plan.excluded().find(|exclusion| exclusion.offer.to_string() == offer);
    Some(found.unwrap_or_else(|| panic!("{offer} is not in the plan")).reason)
}

pub fn index(offer: &str) -> usize {
    OFFERS.iter().position(|known| known.id.to_string() == offer).expect("it is an offer")
}
