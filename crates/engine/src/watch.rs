//! The watch: looks at intervals for what is worth an alert, and raises it once.
//!
//! Figures come from the store and the health of offers, judgement from `pricing::watch`; here they meet. What can
//! be told exactly (a threshold, a dispute, an overrun) is raised by the ledger's own transactions instead. When
//! the store fails, the next look finds what this one missed. It refuses to deliver: that is `webhooks.rs`.

mod caps;
mod costs;
mod outages;

use crate::credits::forecasts;
use crate::shared::Shared;
use costs::History;
use gallerist_domain::{AlertFact, BudgetStanding, BudgetWindow, Meter, NewAlert, Ticks};
use gallerist_pricing::Offer;
use gallerist_pricing::credits::RECENT_DAYS;
use gallerist_pricing::quote::display_quantity;
use gallerist_pricing::watch::ends;
use gallerist_pricing::watch::prices::{KnownPrice, compare, known_prices};
use gallerist_pricing::watch::projection::{Spent, reached_at};
use gallerist_store::{BudgetRecord, CounterRecord, LotRecord, StoreError};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use outages::Outages;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// An offer that was tried in this time is in use.
const IN_USE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// What changes slowly is looked at this rarely.
const SLOWLY: SignedDuration = SignedDuration::from_mins(5);
/// For the first time so long after the start.
const SETTLED_IN: SignedDuration = SignedDuration::from_secs(20);
/// Ended deliveries are kept this long.
const DELIVERIES_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Alerts remembered as raised, so that the store is not asked again and again.
const RAISED_MAX: usize = 10_000;

/// What one look leaves for the next.
#[derive(Default)]
pub(crate) struct Watch {
    outages: Outages,
    history: Option<History>,
    slowly_at: Option<Timestamp>,
    raised: HashSet<String>,
    /// The digest of the catalogue that was last looked at.
    catalogue: String,
}

/// Looks until the engine stops.
pub(crate) async fn keep_watch(shared: Arc<Shared>) {
    // A command that makes one picture and ends has nothing to tell of the days to come.
    let slowly_at = shared.clock.now().checked_add(SETTLED_IN).ok();
    let catalogue = shared.market().catalogue.digest.clone();
    let mut watch = Watch { slowly_at, catalogue, ..Watch::default() };
    loop {
        watch.look(&shared).await;
        tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return,
            () = shared.feeds.changed() => {}
            () = sleep(Duration::from_millis(shared.limits.watch_every_ms)) => {}
        }
    }
}

impl Watch {
    /// Raises what there is to tell now.
    pub(crate) async fn look(&mut self, shared: &Shared) {
        let now = shared.clock.now();
        let mut alerts = self.outages.look(shared, now);
        note(&mut alerts, "budgets", projections(shared, now).await);
        match caps::look(shared, now).await {
            Ok(found) => {
                alerts.extend(found.projections);
                self.raise_thresholds(shared, found.thresholds).await;
            }
            Err(error) => tracing::error!(%error, "the watch could not look at the caps of projects"),
        }
        let market = shared.market();
        alerts.extend(shared.feeds.troubles(&market.catalogue, now));
        // A feed has moved a price or ended a model.
        let moved = self.catalogue != market.catalogue.digest;
        if moved || self.slowly_at.is_none_or(|at| at <= now) {
            self.catalogue.clone_from(&market.catalogue.digest);
            self.slowly_at = now.checked_add(SLOWLY).ok();
            note(&mut alerts, "offers in use", offers_in_use(shared, now).await);
            note(&mut alerts, "credits", credits(shared, now).await);
            note(&mut alerts, "costs", costs::look(&mut self.history, shared, now).await);
            let before = now.checked_sub(DELIVERIES_KEPT).unwrap_or(Timestamp::MIN);
            if let Err(error) = shared.store.forget_deliveries(before).await {
                tracing::error!(%error, "ended deliveries could not be deleted");
            }
        }
        alerts.retain(|alert| !self.raised.contains(&alert.once));
        if alerts.is_empty() {
            return;
        }
        let raised: Vec<String> = alerts.iter().map(|alert| alert.once.clone()).collect();
        self.remember(raised, shared.store.raise_alerts(alerts).await);
    }

    /// Shares of caps, where nothing greater was told.
    async fn raise_thresholds(&mut self, shared: &Shared, mut alerts: Vec<(NewAlert, Vec<String>)>) {
        alerts.retain(|(alert, _)| !self.raised.contains(&alert.once));
        if !alerts.is_empty() {
            let raised = alerts.iter().map(|(alert, _)| alert.once.clone()).collect();
            self.remember(raised, shared.store.raise_alerts_unless(alerts).await);
        }
    }

    fn remember(&mut self, raised: Vec<String>, done: Result<(), StoreError>) {
        match done {
            Ok(()) => {
                if self.raised.len() >= RAISED_MAX {
                    self.raised.clear();
                }
                self.raised.extend(raised);
            }
            Err(error) => tracing::error!(%error, "alerts could not be raised"),
        }
    }
}

fn note(alerts: &mut Vec<NewAlert>, what: &str, found: Result<Vec<NewAlert>, StoreError>) {
    match found {
        Ok(found) => alerts.extend(found),
        Err(error) => tracing::error!(%error, what, "the watch could not look"),
    }
}

/// Budgets that are reached before their windows end.
async fn projections(shared: &Shared, now: Timestamp) -> Result<Vec<NewAlert>, StoreError> {
    let records = shared.store.budgets(now).await?;
    let of = |record: &BudgetRecord| -> Vec<NewAlert> {
        record.counters.iter().filter_map(|counter| projection(record, counter, now)).collect()
    };
    Ok(records.iter().flat_map(of).collect())
}

fn projection(record: &BudgetRecord, counter: &CounterRecord, now: Timestamp) -> Option<NewAlert> {
    let budget = &record.budget;
    let endless = budget.window == BudgetWindow::Forever;
    let start = if endless { budget.created_at } else { counter.window_start };
    let CounterRecord { subject, window_end, settled, held, disputed, doubtful, .. } = counter;
    let spent = settled.saturating_add(*disputed);
    let reached_at = reached_at(Spent { start, end: *window_end, spent, limit: budget.limit }, now)?;
    let standing = BudgetStanding {
        budget: Some(budget.id),
        name: budget.name.clone(),
        words: budget.words(),
        subject: subject.clone(),
        unit: budget.unit,
        limit: budget.limit,
        settled: *settled,
        held: *held,
        disputed: *disputed,
        doubtful: *doubtful,
        window_start: Some(start),
        window_end: *window_end,
    };
    Some(NewAlert {
        // Another limit is another question.
        once: format!("projection:{}:{subject}:{}:{}", budget.id, start.as_microsecond(), budget.limit),
        at: now,
        project: budget.scope.project_of(subject),
        fact: AlertFact::BudgetProjection { reached_at, standing },
    })
}

/// Prices that moved and ends that come near, of the offers that recent requests tried. Moves are raised with
/// what is remembered of them; the ends are returned.
async fn offers_in_use(shared: &Shared, now: Timestamp) -> Result<Vec<NewAlert>, StoreError> {
    let since = now.checked_sub(IN_USE).unwrap_or(Timestamp::MIN);
    let used: BTreeSet<String> = shared.store.offers_in_use(since).await?.into_iter().collect();
    let market = shared.market();
    let offers: Vec<&Offer> =
        market.offers.iter().filter(|offer| used.contains(&offer.id.to_string())).collect();
    let known = shared.store.known_prices().await?;
    for offer in &offers {
        note_prices(shared, offer, known.get(&offer.id.to_string()), now).await?;
    }
    let book = shared.feeds.book();
    let told = |offer: &Offer| book.retires_on(&offer.provider.kind, &offer.model.id);
    Ok(retirements(&offers, |offer| told(offer).is_some(), now))
}

async fn note_prices(
    shared: &Shared,
    offer: &Offer,
    before: Option<&String>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let name = offer.id.to_string();
    let known: Option<Vec<KnownPrice>> = before.and_then(|text| serde_json::from_str(text).ok());
    let (moves, remembered) = match &known {
        None => (Vec::new(), known_prices(offer, now)),
        Some(known) => {
            let compared = compare(offer, known, now);
            (compared.moves, compared.remembered)
        }
    };
    if known.as_ref() == Some(&remembered) {
        return Ok(());
    }
    let alert = |(moved, spike): (gallerist_domain::alert::PriceMove, bool)| NewAlert {
        once: format!("price:{name}:{}:{}", moved.line, now.as_microsecond()),
        at: now,
        project: None,
        fact: if spike { AlertFact::PriceSpike(moved) } else { AlertFact::PriceChanged(moved) },
    };
    let alerts = moves.into_iter().map(alert).collect();
    let after = serde_json::to_string(&remembered).expect("prices are plain data");
    shared.store.note_prices(name.clone(), before.cloned(), after, alerts, now).await
}

/// `announced` says whether a feed told the end, and not the catalogue: that is told at once, however far it is.
fn retirements(offers: &[&Offer], announced: impl Fn(&Offer) -> bool, now: Timestamp) -> Vec<NewAlert> {
    let mut ending: BTreeMap<(&str, Date), Vec<&Offer>> = BTreeMap::new();
    for offer in offers {
        if let Some(day) = offer.model.lifecycle.retires_on {
            ending.entry((&offer.id.model, day)).or_default().push(offer);
        }
    }
    let alert = |((model, day), offers): ((&str, Date), Vec<&Offer>)| {
        let announced = || offers.iter().any(|offer| announced(offer));
        let (days_left, within) = match ends::near_day(day, now) {
            Some(near) => (near.days_left, near.within_days.to_string()),
            None => (ends::days_left(day, now).filter(|_| announced())?, "announced".to_owned()),
        };
        Some(NewAlert {
            once: format!("retires:{model}:{day}:{within}"),
            at: now,
            project: None,
            fact: AlertFact::ModelRetires {
                offers: offers.iter().map(|offer| offer.id.to_string()).collect(),
                model: model.to_owned(),
                retires_on: day,
                days_left,
                successors: offers.first()?.model.lifecycle.successors.clone(),
            },
        })
    };
    ending.into_iter().filter_map(alert).collect()
}

/// Credits that will be lost or used up soon.
async fn credits(shared: &Shared, now: Timestamp) -> Result<Vec<NewAlert>, StoreError> {
    let lots = shared.store.lots().await?;
    if !lots.iter().any(|record| record.lot.is_open(now)) {
        return Ok(Vec::new());
    }
    let charges = shared.store.daily_charges(RECENT_DAYS, now).await?;
    let mut alerts = Vec::new();
    for one in forecasts(&lots, &charges, now) {
        let bare: Vec<_> = one.lots.iter().map(|record| &record.lot).collect();
        for (place, near) in ends::expiring(&bare, &one.forecast, now) {
            alerts.extend(expiry(one.lots[place], one.forecast.lots[place], near, now));
        }
        let Some((run_out_at, near)) = ends::running_out(&one.forecast, now) else { continue };
        // Credits that are bought meanwhile run out anew.
        let newest = one.lots.iter().map(|record| record.id).max();
        let newest = newest.map_or_else(String::new, |lot| lot.to_string());
        let left = one.lots.iter().map(|record| record.lot.worth(record.lot.remaining_millionths));
        alerts.push(NewAlert {
            once: format!("credits-run-out:{}:{newest}:{}", one.provider, near.within_days),
            at: now,
            project: None,
            fact: AlertFact::CreditsRunOut {
                provider: one.provider.to_owned(),
                run_out_at,
                days_left: near.days_left,
                left: left.sum::<Ticks>(),
            },
        });
    }
    Ok(alerts)
}

fn expiry(
    record: &LotRecord,
    told: gallerist_pricing::credits::LotForecast,
    near: ends::Near,
    now: Timestamp,
) -> Option<NewAlert> {
    let expires_at = record.lot.expires_at?;
    Some(NewAlert {
        once: format!("credits-expire:{}:{}", record.id, near.within_days),
        at: now,
        project: None,
        fact: AlertFact::CreditsExpire {
            provider: record.lot.provider.clone(),
            lot: record.id,
            expires_at,
            days_left: near.days_left,
            unused: display_quantity(Meter::Credits, told.lost_millionths),
            loss: told.lost,
        },
    })
}

#[cfg(test)]
mod tests;
