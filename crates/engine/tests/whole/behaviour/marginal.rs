//! Engines of one's own whose hardware is paid anyway: ordered by what a call adds, charged by what it costs, and
//! expected to work as long as they did before.

use super::{ask, usd};
use crate::house::{House, incoming};
use gallerist_domain::{Decimal, Grants, ImageRequest, QualityClass, Ticks};
use gallerist_engine::EngineSettings;
use gallerist_pricing::Catalogue;
use serde_json::Value;
use std::sync::Arc;

const FILE: &str = include_str!("../../../../../catalog/automatic1111.toml");

/// The card works 30 % of the time, and this stands on its line too.
fn with_card(words: &str) -> impl FnOnce(&mut EngineSettings) {
    let text = FILE.replace("per = 3600,", &format!("per = 3600, utilisation_percent = 30{words},"));
    move |settings| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("automatic1111.toml"), text).expect("written");
        let catalogue = Catalogue::with_overrides(folder.path()).unwrap_or_else(|found| panic!("{found:?}"));
        settings.catalogue = Arc::new(catalogue);
    }
}

fn draft() -> ImageRequest {
    let mut request = ask("auto");
    request.class = Some(QualityClass::Draft);
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_rent_is_dearer_than_an_api() {
    let house = House::with(111, with_card("")).await;
    let answer = house.engine.generate(incoming(draft())).await.expect("it is made");
    assert_ne!(answer.meta.provider, "automatic1111");
    house.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_paid_anyway_wins_by_its_electricity_and_is_charged_its_rent() {
    let words = ", marginal = { kilowatts = \"0.45\", usd_per_kwh = \"0.32\" }";
    let house = House::with(112, with_card(words)).await;
    let quoted = house.engine.quotes(&draft(), Grants::ALL, None).expect("a route");
    let first = &quoted.offers[0];
    assert_eq!((first.offer.as_str(), first.routed_usd), ("automatic1111/sdxl", Some(usd("0.0002087437"))));
    assert_eq!(first.expected_usd, usd("0.0053152326"));
    // An API stands behind it, though its price is lower.
    assert!(quoted.offers[1].expected_usd < first.expected_usd, "{:?}", quoted.offers[1]);

    let answer = house.engine.generate(incoming(draft())).await.expect("it is made");
    assert_eq!(answer.meta.provider, "automatic1111");
    let detail = house.settled().await;
    let attempt = &detail.attempts[0];
    assert_eq!(attempt.reserved, first.max_usd);
    // The seconds that the engine measured, at 1.10 ÷ 0.3 an hour.
    let charge: Value =
        serde_json::from_str(attempt.charge_json.as_deref().expect("it is settled")).expect("JSON");
    let line = &charge["lines"][0];
    assert_eq!(line["unit_price_usd"], "11.0000000000 / 10800");
    let seconds: Decimal = line["quantity"].as_str().expect("text").parse().expect("a number");
    let microseconds = i64::try_from(seconds.to_units_exact(6).expect("whole")).expect("few");
    assert!(microseconds > 0);
    let amortised = usd("11").scaled(microseconds, 10_800_000_000).expect("it fits");
    assert_eq!((attempt.charged, answer.meta.cost.charged_usd), (amortised, amortised));
    assert!(amortised > Ticks::ZERO);
    let plan: Value = serde_json::from_str(&detail.request.plan_json).expect("JSON");
    assert_eq!(plan["offers"][0]["routed_usd"], "0.0002087437");
    let told = plan["offers"][0]["routing"].as_str().expect("in words");
    assert!(told.ends_with("instead of 0.0053152326: the hardware is paid anyway"), "{told}");
    house.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_measured_calls_teach_how_long_the_engine_works() {
    let mut request = ask("automatic1111/sdxl");
    request.class = Some(QualityClass::Draft);
    let house = House::with(113, with_card("")).await;
    let quoted = |house: &House| {
        let report = house.engine.quotes(&request, Grants::ALL, None).expect("a known model");
        let first = &report.offers[0];
        (first.expected_usd, first.max_usd)
    };
    // 5.218592 seconds by the formula, at most 6.52324, at 11 ÷ 10,800 dollars.
    let formula = (usd("0.0053152326"), usd("0.0066440407"));
    assert_eq!(quoted(&house), formula);
    let mut charged = Ticks::ZERO;
    for _ in 0..5 {
        house.engine.generate(incoming(request.clone())).await.expect("it is made");
        charged = house.settled().await.attempts[0].charged;
    }
    let (fakes, folder) = house.leave().await;
    // The books are read at the start.
    let house = House::on(fakes, folder, with_card("")).await;
    let (expected, max) = quoted(&house);
    assert_eq!(expected, charged, "each of the five took the same time");
    // A quarter more than the 95th percentile, in whole microseconds.
    let stretched = charged.scaled(5, 4).expect("it fits");
    assert!((max - stretched).get().abs() <= 11, "{max} {stretched}");
    assert!(max < formula.1, "nothing more is reserved than before");
    // Nobody has seen another guidance.
    let mut other = request.clone();
    other.guidance_milli = Some(5_000);
    let report = house.engine.quotes(&other, Grants::ALL, None).expect("a known model");
    assert_eq!((report.offers[0].expected_usd, report.offers[0].max_usd), formula);
    house.leave().await;
}
