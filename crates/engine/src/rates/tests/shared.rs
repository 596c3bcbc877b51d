//! On the server that `GALLERIST_TEST_REDIS_URL` names.

use super::super::*;
use gallerist_store::counters::Counters;

async fn rates() -> Option<Arc<dyn Rates>> {
    let counters = Counters::open(super::redis::shared()?.parse().expect("an address")).await;
    assert!(counters.state().is_up, "{} does not answer", counters.url());
    Some(Arc::new(SharedRates::new(counters, Sharers::new(|| 1)).by_callers_clock()))
}

#[path = "conformance.rs"]
mod conformance;
