//! On the server that `GALLERIST_TEST_REDIS_URL` names.

use super::super::*;
use gallerist_store::counters::Counters;

async fn rates() -> Option<Arc<dyn Rates>> {
    // However busy the machine is, the server decides.
    let url = super::redis::shared()?.parse().expect("an address");
    let counters = Counters::open_within(url, std::time::Duration::from_secs(20)).await;
    assert!(counters.state().is_up, "{} does not answer", counters.url());
    Some(Arc::new(SharedRates::new(counters, Sharers::new(|| 1)).by_callers_clock()))
}

#[path = "conformance.rs"]
mod conformance;
