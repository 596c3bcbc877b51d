use super::*;
use gallerist_pricing::{Catalogue, ConfiguredProvider, served_offers};

/// Every offer of a kind as if it were in use.
fn offers(kind: &str) -> Vec<Offer> {
    served_offers(&Catalogue::embedded(), &[ConfiguredProvider::new(kind, kind)])
}

#[test]
fn a_model_in_use_is_told_of_once_for_each_step_towards_its_end() {
    let mut offers = offers("bfl");
    let day: Date = "2026-12-31".parse().unwrap();
    let mut ending = (*offers[0].model).clone();
    ending.lifecycle.retires_on = Some(day);
    ending.lifecycle.successors = vec!["flux-next".to_owned()];
    offers[0].model = Arc::new(ending);
    for offer in &mut offers[1..] {
        let mut staying = (*offer.model).clone();
        staying.lifecycle.retires_on = None;
        offer.model = Arc::new(staying);
    }
    let offers: Vec<&Offer> = offers.iter().collect();
    let told = |at: &str| retirements(&offers, |_| false, format!("{at}T09:00:00Z").parse().unwrap());
    assert_eq!(told("2026-11-30"), []);
    let keys = |at: &str| told(at).into_iter().map(|alert| alert.once).collect::<Vec<_>>();
    let model = &offers[0].id.model;
    assert_eq!(keys("2026-12-01"), [format!("retires:{model}:2026-12-31:30")]);
    assert_eq!(keys("2026-12-02"), keys("2026-12-01"), "the same again is told once");
    assert_eq!(keys("2026-12-24"), [format!("retires:{model}:2026-12-31:7")]);
    assert_eq!(keys("2026-12-30"), [format!("retires:{model}:2026-12-31:1")]);
    assert_eq!(told("2027-01-01"), []);
    let announced = |at: &str| {
        let alerts = retirements(&offers, |_| true, format!("{at}T09:00:00Z").parse().unwrap());
        alerts.into_iter().map(|alert| alert.once).collect::<Vec<_>>()
    };
    assert_eq!(announced("2026-10-01"), [format!("retires:{model}:2026-12-31:announced")]);
    assert_eq!(announced("2026-12-01"), keys("2026-12-01"), "a feed's word is not told twice");
    assert_eq!(announced("2027-01-01"), [""; 0]);
    let message = told("2026-12-30")[0].fact.message();
    let expected =
        format!("{model} is switched off on 2026-12-31, tomorrow; it is bought as {}.", offers[0].id);
    assert!(message.starts_with(&expected) && message.contains("flux-next"), "{message}");
}
