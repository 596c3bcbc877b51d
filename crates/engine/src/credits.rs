//! The forecast of every provider's prepaid credits, from what the books say.
//!
//! It brings records of the store and the arithmetic of `pricing` together, for routing and for those who look.
//! It refuses to change money: settlements take from lots in the store.

use gallerist_pricing::credits::{Consumption, Forecast, Lot, forecast};
use gallerist_store::{DailyCharges, LotRecord};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What becomes of a provider's credits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderForecast<'a> {
    pub provider: &'a str,
    /// What the forecast rests on.
    pub consumption: Consumption,
    /// The lots that are open, in the order of `forecast.lots`.
    pub lots: Vec<&'a LotRecord>,
    pub forecast: Forecast,
}

/// By provider; those without open lots are not in it.
pub fn forecasts<'a>(
    records: &'a [LotRecord],
    charges: &[DailyCharges],
    at: Timestamp,
) -> Vec<ProviderForecast<'a>> {
    let mut by_provider: BTreeMap<&str, Vec<&LotRecord>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.lot.is_open(at)) {
        by_provider.entry(&record.lot.provider).or_default().push(record);
    }
    let one = |(provider, lots): (&'a str, Vec<&'a LotRecord>)| {
        let daily = charges.iter().find(|daily| daily.provider == provider);
        let consumption = Consumption::of_days(daily.map_or(&[], |daily| &daily.days));
        let bare: Vec<Lot> = lots.iter().map(|record| record.lot.clone()).collect();
        ProviderForecast { provider, consumption, forecast: forecast(&bare, consumption, at), lots }
    };
    by_provider.into_iter().map(one).collect()
}
