//! One picture at each provider: delivered, checked, and paid exactly as billed.

use crate::house::{House, incoming};
use gallerist_domain::{Grants, ImageRequest, Size, SizeChoice};

#[tokio::test(flavor = "multi_thread")]
async fn every_model_of_every_stand_in_is_paid_as_billed() {
    let house = House::open(1).await;
    let offers: Vec<_> =
        house.engine.market().offers.iter().map(|offer| (offer.id.clone(), offer.model.clone())).collect();
    let now = jiff::Timestamp::now();
    let mut paid = 0;
    let mut failures = Vec::new();
    for (id, model) in offers {
        let mut request =
            ImageRequest::new(&format!("{}/{}", id.provider, id.model), "a lighthouse made of glass");
        if model.capabilities.size_default == Size::new(1024, 1024) {
            request.size = SizeChoice::Exact(Size::new(1024, 1024));
        }
        if house.engine.quotes(&request, Grants::ALL, Some(now)).expect("a known model").offers.is_empty() {
            continue;
        }
        let before = house.billed(&id.provider);
        match house.engine.generate(incoming(request)).await {
            Ok(answer) => {
                let billed = house.billed(&id.provider) - before;
                let charged = answer.meta.cost.charged_usd.get();
                if billed != charged {
                    failures.push(format!(
                        "{id}: billed {billed}, charged {charged} ({})",
                        answer.meta.cost.basis
                    ));
                }
                paid += 1;
            }
            Err(refusal) => failures.push(format!("{id}: {} {:?}", refusal.message, refusal.attempts)),
        }
    }
    assert!(failures.is_empty(), "{} of {paid} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(paid >= 20, "only {paid} models could be bought");
    assert_eq!(house.balance().await, 0);
}
