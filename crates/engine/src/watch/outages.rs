//! Offers whose breakers have opened, and providers at which everything fails. A breaker that closes again
//! between two looks was no outage worth telling.

use crate::shared::Shared;
use gallerist_domain::{AlertFact, NewAlert};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// What the look before has found.
#[derive(Debug, Default)]
pub(super) struct Outages {
    offers: BTreeSet<String>,
    providers: BTreeSet<String>,
}

/// An offer that was tried lately.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tried {
    provider: String,
    offer: String,
    /// Its breaker has opened, and nothing has succeeded since.
    out: bool,
}

impl Outages {
    pub(super) fn look(&mut self, shared: &Shared, now: Timestamp) -> Vec<NewAlert> {
        let now_ms = shared.now_ms();
        let health = shared.health().clone();
        let market = shared.market();
        let pairs = market.offers.iter().zip(&health.offers);
        let tried: Vec<Tried> = pairs
            .filter(|(_, health)| health.is_known(now_ms))
            .map(|(offer, health)| Tried {
                provider: offer.id.provider.clone(),
                offer: offer.id.to_string(),
                out: health.is_out(),
            })
            .collect();
        self.changed(&tried, now)
    }

    /// Tells what was not out at the look before. Replicas that see the same outage tell it once an hour.
    fn changed(&mut self, tried: &[Tried], now: Timestamp) -> Vec<NewAlert> {
        let mut providers: BTreeMap<&str, Vec<&Tried>> = BTreeMap::new();
        for one in tried {
            providers.entry(&one.provider).or_default().push(one);
        }
        let mut offers_out = BTreeSet::new();
        let mut providers_out = BTreeSet::new();
        let mut facts = Vec::new();
        for (provider, tried) in providers {
            let out: Vec<String> = tried.iter().filter(|one| one.out).map(|one| one.offer.clone()).collect();
            let whole = out.len() == tried.len();
            if whole {
                providers_out.insert(provider.to_owned());
                if !self.providers.contains(provider) {
                    let fact =
                        AlertFact::ProviderOutage { provider: provider.to_owned(), offers: out.clone() };
                    facts.push((provider.to_owned(), fact));
                }
            }
            for offer in out {
                if !whole && !self.offers.contains(&offer) {
                    facts.push((offer.clone(), AlertFact::OfferOutage { offer: offer.clone() }));
                }
                offers_out.insert(offer);
            }
        }
        *self = Outages { offers: offers_out, providers: providers_out };
        let hour = now.as_second().div_euclid(3_600);
        let alert = |(what, fact): (String, AlertFact)| NewAlert {
            once: format!("{}:{what}:{hour}", fact.kind()),
            at: now,
            project: None,
            fact,
        };
        facts.into_iter().map(alert).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(offers: &[(&str, bool)]) -> Vec<Tried> {
        let one = |(offer, out): &(&str, bool)| Tried {
            provider: offer.split('/').next().unwrap().to_owned(),
            offer: (*offer).to_owned(),
            out: *out,
        };
        offers.iter().map(one).collect()
    }

    fn kinds(alerts: &[NewAlert]) -> Vec<(&str, &str)> {
        alerts.iter().map(|alert| (alert.fact.kind(), alert.once.split(':').nth(1).unwrap())).collect()
    }

    #[test]
    fn an_outage_is_told_when_it_begins_and_again_when_it_comes_back() {
        let mut outages = Outages::default();
        let now = "2026-11-28T12:00:00Z".parse().unwrap();
        assert_eq!(outages.changed(&tried(&[("bfl/a", false), ("bfl/b", false)]), now), []);
        let one = outages.changed(&tried(&[("bfl/a", true), ("bfl/b", false), ("fal/a", false)]), now);
        assert_eq!(kinds(&one), [("offer.outage", "bfl/a")]);
        assert_eq!(outages.changed(&tried(&[("bfl/a", true), ("bfl/b", false)]), now), []);
        let all = outages.changed(&tried(&[("bfl/a", true), ("bfl/b", true), ("fal/a", false)]), now);
        assert_eq!(kinds(&all), [("provider.outage", "bfl")]);
        let back = outages.changed(&tried(&[("bfl/a", true), ("bfl/b", false)]), now);
        assert_eq!(back, [], "{back:?}");
        assert_eq!(outages.changed(&tried(&[("bfl/a", false), ("bfl/b", false)]), now), []);
        let again = outages.changed(&tried(&[("bfl/a", true), ("bfl/b", false)]), now);
        assert_eq!(kinds(&again), [("offer.outage", "bfl/a")]);
    }
}
