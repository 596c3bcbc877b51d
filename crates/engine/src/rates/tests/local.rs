//! In memory.

use super::super::*;

async fn rates() -> Option<Arc<dyn Rates>> {
    Some(Arc::new(LocalRates::new(Sharers::new(|| 1))))
}

#[path = "conformance.rs"]
mod conformance;
