//! Figures that nobody would expect, and that must leave no attempt without an end.

use super::{ask, usd};
use crate::house::{House, incoming};
use gallerist_domain::{ImageRequest, Ticks};
use gallerist_engine::{EngineSettings, Incoming};
use gallerist_pricing::Catalogue;
use gallerist_store::{AttemptStatus, RequestStatus};
use serde_json::json;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_beyond_what_the_ledger_takes_becomes_a_dispute() {
    let house = House::open(101).await;
    // 0.03 × 100,000,000: three million dollars.
    house.faults("bfl", &json!([{"fault": "price_changed", "numerator": 100_000_000, "denominator": 1}]));
    let answer = house.engine.generate(incoming(ask("bfl/flux-2-pro"))).await.expect("it is made");
    assert_eq!(answer.meta.cost.disputed_usd, Some(usd("0.03")));
    let detail = house.settled().await;
    assert_eq!(detail.attempts[0].status, AttemptStatus::Disputed);
    let reason = detail.attempts[0].dispute_reason.clone().expect("it has one");
    assert!(reason.contains("3000000"), "{reason}");
    let told = house.disputes_told().await;
    assert_eq!(
        (&told[0]["maximum_usd"], &told[0]["doubtful_usd"]),
        (&json!("0.0300000000"), &json!("0.0000000000"))
    );
    house.engine.shut_down(10_000).await;
    let books = house.store.books().await.expect("it reads");
    assert!(books.balance() && books.open_reservations == 0, "{books:?}");
}

/// An engine of one's own that is priced at nothing.
fn for_nothing(settings: &mut EngineSettings) {
    let mut catalogue = Catalogue::clone(&settings.catalogue);
    for provider in catalogue.providers.iter_mut().filter(|provider| provider.kind == "automatic1111") {
        for model in &mut Arc::make_mut(provider).models {
            for line in &mut Arc::make_mut(&mut Arc::make_mut(model).sheet).lines {
                line.price.amount = Ticks::ZERO;
                line.price_expected.amount = Ticks::ZERO;
                line.price_max.amount = Ticks::ZERO;
            }
        }
    }
    settings.catalogue = Arc::new(catalogue);
}

fn keyed(request: ImageRequest) -> Incoming {
    Incoming { idempotency_key: Some("nothing-1".to_owned()), ..incoming(request) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispute_about_nothing_ends_its_request_too() {
    let house = House::with(102, for_nothing).await;
    house.faults("automatic1111", &json!([{"fault": "reset_after", "count": 1}]));
    let request = || ask("automatic1111/sdxl");
    house.engine.generate(keyed(request())).await.expect_err("it broke");
    let detail = house.settled().await;
    assert_eq!(detail.request.status, RequestStatus::Failed);
    assert_eq!(detail.attempts[0].status, AttemptStatus::Disputed);
    let (fakes, folder) = house.leave().await;
    let house = House::on(fakes, folder, for_nothing).await;
    house.engine.generate(keyed(request())).await.expect_err("what the key is bound to");
    assert_eq!(house.attempts().await.len(), 1);
}
