//! What the books teach routing, read at the start and with every sweep.
//!
//! It books credits that are over as lost before it looks, so that no forecast counts them. When the store
//! fails, what was known stays.

use crate::books::{StoredCall, StoredFigures};
use crate::credits::forecasts;
use crate::shared::Shared;
use gallerist_pricing::credits::RECENT_DAYS;
use gallerist_pricing::learned::{Lesson, learned};
use gallerist_pricing::quote::base_units;
use gallerist_pricing::sheet::{Each, Range};
use gallerist_pricing::{Basis, Offer};
use gallerist_routing::insight::LearnedOffer;
use gallerist_routing::{Insight, LearnedCall};
use gallerist_store::{Experience, LookBack, SettledCharge, StoreError};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The newest attempts, of which the settled ones teach.
const ATTEMPTS_MAX: u32 = 20_000;

/// Learns anew.
pub(crate) async fn refresh(shared: &Shared) {
    match read(shared).await {
        Ok(insight) => shared.set_insight(insight),
        Err(error) => tracing::error!(%error, "what the books teach routing could not be read"),
    }
}

async fn read(shared: &Shared) -> Result<Insight, StoreError> {
    let (store, now) = (&shared.store, shared.clock.now());
    let market = shared.market();
    let experience = store.experience(look_back(&market.offers), now).await?;
    let mut lots = experience.lots.iter();
    if lots.any(|record| record.lot.remaining_millionths > 0 && record.lot.is_expired(now)) {
        let expired = store.expire_lots(now).await?;
        tracing::warn!(lots = expired.lots, loss_usd = %expired.loss, "credits expired unused");
    }
    Ok(taught(&experience, &market.offers, now))
}

/// What is to be read of the books to learn about these offers.
pub fn look_back(offers: &[Offer]) -> LookBack {
    let learning = offers.iter().filter(|offer| Lesson::of(&offer.model.sheet).is_some());
    let offers = learning.map(|offer| offer.id.to_string()).collect();
    LookBack { days: RECENT_DAYS, offers, attempts_max: ATTEMPTS_MAX }
}

/// What the books teach about these offers.
pub fn taught(experience: &Experience, offers: &[Offer], now: Timestamp) -> Insight {
    let mut insight = Insight::default();
    for one in forecasts(&experience.lots, &experience.charges, now) {
        if let Some(routing) = one.forecast.routing {
            insight.credits.insert(one.provider.to_owned(), routing);
        }
    }
    let learning = offers.iter().filter_map(|offer| Some((offer, Lesson::of(&offer.model.sheet)?)));
    for (offer, lesson) in learning {
        let name = offer.id.to_string();
        let charges = experience.settled.iter();
        let own: Vec<&SettledCharge> = charges.filter(|charge| charge.offer == name).collect();
        let calls = distributions(offer, lesson, &own);
        if !calls.is_empty() {
            insight.learned.insert(offer.id.clone(), LearnedOffer { lesson, calls });
        }
    }
    insight
}

/// One range for each kind of call that was seen often enough.
fn distributions(offer: &Offer, lesson: Lesson, charges: &[&SettledCharge]) -> Vec<(LearnedCall, Range)> {
    let mut seen: BTreeMap<LearnedCall, Vec<i64>> = BTreeMap::new();
    for charge in charges {
        let Some(figures) = StoredFigures::read(&charge.charge_json) else { continue };
        let Some(quantity) = observed(offer, lesson, charge, &figures) else { continue };
        let StoredCall { operation, size, steps, guidance_milli, .. } = figures.call;
        let guidance_milli = guidance_milli.filter(|_| lesson.guided);
        if lesson.guided && guidance_milli.is_none() && offer.model.capabilities.guidance_milli.is_some() {
            // Stored before guidance was: nobody knows which calls it is like.
            continue;
        }
        let call = LearnedCall { operation, size, steps, guidance_milli };
        seen.entry(call).or_default().push(quantity);
    }
    seen.into_iter().filter_map(|(call, quantities)| Some((call, learned(&quantities)?))).collect()
}

/// What a charge tells of the meter: the provider's own count, else what its figure buys where nothing but the
/// meter is sold. Our own estimates teach nothing, nor of its time a call that broke off.
fn observed(
    offer: &Offer,
    Lesson { meter, each, of_work, .. }: Lesson,
    charge: &SettledCharge,
    figures: &StoredFigures,
) -> Option<i64> {
    if of_work && charge.failed {
        return None;
    }
    let total = if charge.basis == Basis::ProviderReported.as_str() {
        let mut sold = offer.model.sheet.lines.iter().filter(|line| !line.only_reported);
        let line = sold.next().filter(|line| line.meter == meter)?;
        if sold.next().is_some() || line.price_expected.amount.is_zero() {
            return None;
        }
        charge.charged.scaled(line.price_expected.per, line.price_expected.amount.get())?.get()
    } else if charge.basis == Basis::Usage.as_str() {
        let line = figures.lines.iter().find(|line| line.meter == meter.name())?;
        base_units(meter, &line.quantity)?
    } else {
        return None;
    };
    let pictures = i64::from(figures.call.images.max(1));
    // A picture's share is rounded up, so that the maximum stays one.
    Some(if each == Each::Image { total / pictures + i64::from(total % pictures > 0) } else { total })
}

#[cfg(test)]
mod tests;
