//! Marginal costs beside the prices that are charged, reckoned by hand.

use super::*;
use crate::catalogue::{Catalogue, ModelSheet};
use crate::quote::bounds;
use crate::testing::{default_call, instant, now, usd};
use gallerist_domain::ImageCall;
use std::sync::Arc;

const FILE: &str = include_str!("../../../../catalog/automatic1111.toml");
const LINE: &str =
    r#"{ line = "gpu-time", meter = "gpu_seconds", amount = "1.10", per = 3600, source = "example-rate" }"#;

/// The engine's file with other lines in place of those of its cards, and more in its sheets.
fn engine(line: &str, more: &str) -> Arc<ModelSheet> {
    let text = FILE.replace(&format!("prices = [{LINE}]"), &format!("prices = [{line}]\n{more}"));
    assert_ne!(text, FILE);
    let catalogue = Catalogue::from_files(vec![("automatic1111.toml".to_owned(), text)]);
    let catalogue = catalogue.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    Arc::clone(&catalogue.providers[0].models[0])
}

fn with(words: &str) -> String {
    LINE.replace("per = 3600", &format!("per = 3600, {words}"))
}

/// The expected cost and the marginal one of the model's default picture: 0.5 + 0.15 × 1.048576 × 30 = 5.218592
/// seconds.
fn figures(model: &ModelSheet, change: impl Fn(&mut ImageCall)) -> [String; 2] {
    let mut call = default_call(model);
    change(&mut call);
    let facts = Facts::of(&call);
    let quoted = bounds(&model.sheet, &facts, now()).expect("a price").expected;
    [quoted, expected(&model.sheet, &facts, now()).expect("a price")].map(|ticks| ticks.short())
}

const ELECTRICITY: &str = r#"marginal = { kilowatts = "0.45", usd_per_kwh = "0.32" }"#;

#[test]
fn a_sheet_without_rates_has_its_expected_cost() {
    // 5.218592 × 1.10 ÷ 3600 = 0.00159456977…
    assert_eq!(figures(&engine(LINE, "bundles = []"), |_| {}), ["0.0015945698", "0.0015945698"]);
}

#[test]
fn time_of_hardware_counts_its_electricity_and_is_charged_its_rent() {
    let engine = engine(&with(ELECTRICITY), "");
    // 5.218592 × 0.45 × 0.32 ÷ 3600 = 0.00020874368
    assert_eq!(figures(&engine, |_| {}), ["0.0015945698", "0.0002087437"]);
    // Half of the work a step without guidance: 0.5 + 2.359296 = 2.859296 seconds.
    // × 1.10 ÷ 3600 = 0.00087367377…; × 0.144 ÷ 3600 = 0.00011437184
    let one_pass = |call: &mut ImageCall| call.guidance_milli = Some(1_000);
    assert_eq!(figures(&engine, one_pass), ["0.0008736738", "0.0001143718"]);
}

#[test]
fn electricity_that_is_in_the_rent_adds_nothing() {
    let engine = engine(&with(r#"marginal = { usd_per_hour = "0" }"#), "");
    assert_eq!(figures(&engine, |_| {}), ["0.0015945698", "0.00"]);
}

#[test]
fn other_lines_and_the_factors_stay_as_they_are() {
    let fee = r#"{ line = "storage", meter = "images", amount = "0.001", factored = false, source = "example-rate" }"#;
    let twice =
        r#"factors = [{ factor = "cards", numerator = 2, denominator = 1, source = "example-rate" }]"#;
    let engine = engine(&format!("{}, {fee}", with(ELECTRICITY)), twice);
    // 2 × 0.00159456977… + 0.001; 2 × 0.00020874368 + 0.001 = 0.00141748736
    assert_eq!(figures(&engine, |_| {}), ["0.0041891396", "0.0014174874"]);
}

#[test]
fn the_least_that_a_call_costs_holds_for_both() {
    let least = r#"minimum = { line = "least", meter = "calls", amount = "0.001", source = "example-rate" }"#;
    let engine = engine(&with(ELECTRICITY), least);
    assert_eq!(figures(&engine, |_| {}), ["0.0015945698", "0.001"]);
}

#[test]
fn a_polled_rent_is_spread_over_the_same_time_and_leaves_the_rate() {
    use crate::feed::{FeedBook, PricePoint, Quoted, Target, Watch};
    let text = FILE.replace(LINE, &with(&format!("utilisation_percent = 50, {ELECTRICITY}")));
    let catalogue = Catalogue::from_files(vec![("automatic1111.toml".to_owned(), text)]).expect("sound");
    let target = Target { offer: "automatic1111/sdxl".to_owned(), line: "gpu-time".to_owned() };
    let base = catalogue.line_price(&target, now()).expect("it has a price");
    // What a feed would tell is the rent, so that 1.20 is no jump from 2.20.
    assert_eq!(base.quote, Quoted { usd: usd("1.10"), per: 3_600_000_000 });
    let quote = Quoted { usd: usd("1.20"), per: 3_600_000_000 };
    let point = PricePoint { quote, since: instant("2026-11-22T00:00:00Z"), believed: None, let_go: false };
    let watch = Watch { points: vec![point], feed: "spot".to_owned(), ..Watch::default() };
    let book = FeedBook { watches: [(target.to_string(), watch)].into(), ..FeedBook::default() };
    let fed = catalogue.with_feeds(&book);
    let model = &fed.providers[0].models[0];
    // 5.218592 × 1.20 ÷ 0.5 ÷ 3600 = 0.00347906133…
    assert_eq!(figures(model, |_| {}), ["0.0034790613", "0.0002087437"]);
    let told = &model.sheet.lines.last().expect("a line").written;
    assert!(told.ends_with("gpu_seconds at 50 % utilisation"), "{told}");
}

/// The example in the documentation: its line is read as it stands there, and each of its figures comes out.
#[test]
fn the_documented_example_comes_out() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pricing.md");
    let text = std::fs::read_to_string(path).expect("the documentation is here");
    let (_, rest) = text.split_once("<!-- marginal -->").expect("the example begins");
    let (example, _) = rest.split_once("<!-- /marginal -->").expect("the example ends");
    let line = example.lines().find_map(|line| line.strip_prefix("prices = [")).expect("a price line");
    let line = line.strip_suffix(']').expect("one line");
    let rows = example.lines().filter(|line| line.starts_with("| ")).skip(2);
    let shown: Vec<&str> =
        rows.map(|row| row.trim_matches('|').rsplit(" | ").next().unwrap().trim()).collect();
    assert_eq!(figures(&engine(line, ""), |_| {}).as_slice(), shown);
}
