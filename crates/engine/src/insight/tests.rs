//! Quantities learned from synthetic charges.

use super::*;
use gallerist_domain::{Operation, Size};
use gallerist_pricing::{Catalogue, ConfiguredProvider, offers};

/// The offers of a provider whose answers alone tell what was used.
fn offer(kind: &str, model: &str) -> Offer {
    let found = offers(&Catalogue::embedded(), &[ConfiguredProvider::new(kind, kind)]);
    found.into_iter().find(|offer| offer.id.model == model).expect("it is in the catalogue")
}

fn charge(basis: &str, charged: &str, size: &str, lines: &str) -> SettledCharge {
    SettledCharge {
        offer: String::new(),
        basis: basis.to_owned(),
        charged: charged.parse().expect("an amount"),
        failed: false,
        charge_json: format!(
            r#"{{"catalogue":"d","offer":"o","call":{{"operation":"generate","size":"{size}","steps":4,"images":2}},"lines":[{lines}]}}"#
        ),
    }
}

fn known(offer: &Offer, charges: &[SettledCharge]) -> Vec<(LearnedCall, Range)> {
    let lesson = Lesson::of(&offer.model.sheet).expect("it is learned");
    distributions(offer, lesson, &charges.iter().collect::<Vec<_>>())
}

fn call(width: u32) -> LearnedCall {
    LearnedCall {
        operation: Operation::Generate,
        size: Size::new(width, width),
        steps: 4,
        guidance_milli: None,
    }
}

#[test]
fn reported_figures_teach_by_size_and_steps_from_five_on() {
    let offer = offer("runware", "flux-1-schnell");
    // Two pictures a call: 0.0024 is 0.0012 a picture, 1,200 millionths of a dollar.
    let mut charges: Vec<_> = ["0.0024", "0.0026", "0.0024", "0.0026", "0.0025"]
        .map(|charged| charge("provider_reported", charged, "1024x1024", ""))
        .into();
    charges.extend((0..4).map(|_| charge("provider_reported", "0.0012", "512x512", "")));
    // Our own estimates and our formula teach nothing, nor does what cannot be read.
    charges.extend(["estimated", "computed"].map(|basis| charge(basis, "9", "1024x1024", "")));
    charges.push(SettledCharge { charge_json: "{}".to_owned(), ..charges[0].clone() });
    // Mean (1,200 + 1,300 + 1,200 + 1,300 + 1,250) ÷ 5 = 1,250; 95th percentile 1,300 × 1.25 = 1,625.
    let learned = Range { min: 1_200, expected: 1_250, max: 1_625 };
    assert_eq!(known(&offer, &charges), [(call(1024), learned)]);
    // The fifth of the other size is enough.
    charges.push(charge("provider_reported", "0.0012", "512x512", ""));
    let small = Range { min: 600, expected: 600, max: 750 };
    assert_eq!(known(&offer, &charges), [(call(512), small), (call(1024), learned)]);
}

#[test]
fn counts_of_the_provider_teach_where_several_meters_are_sold() {
    let offer = offer("huggingface", "sdxl");
    let line = |seconds: &str| {
        format!(
            r#"{{"line":"work","meter":"gpu_seconds","quantity":"{seconds}","unit_price_usd":"0","amount_usd":"0.0000000000","source":"s"}}"#
        )
    };
    let charges: Vec<_> =
        ["8", "9.5", "8", "9.5", "10.000001"].map(|s| charge("usage", "0.01", "1024x1024", &line(s))).into();
    // A picture's half, rounded up: 4, 4.75, 4, 4.75, 5.000001 seconds.
    let (called, range) = known(&offer, &charges)[0];
    assert_eq!(called, call(1024));
    assert_eq!((range.min, range.max), (4_000_000, 6_250_002));
    // (4 + 4.75 + 4 + 4.75 + 5.000001) ÷ 5 = 4.5000002
    assert_eq!(range.expected, 4_500_000);
}

/// Charges of an engine of one's own, by the seconds that it measured for one picture.
fn worked(seconds: &[&str], guidance: &str) -> Vec<SettledCharge> {
    let charge = |seconds: &&str| SettledCharge {
        charge_json: format!(
            r#"{{"catalogue":"d","offer":"o","call":{{"operation":"generate","size":"1024x1024","steps":30,{guidance}"images":1}},"lines":[{{"line":"gpu-time","meter":"gpu_seconds","quantity":"{seconds}","unit_price_usd":"0","amount_usd":"0.0000000000","source":"s"}}]}}"#
        ),
        ..charge("usage", "0.0014", "1024x1024", "")
    };
    seconds.iter().map(charge).collect()
}

#[test]
fn times_of_work_teach_by_guidance_and_only_where_it_is_known_and_the_call_was_whole() {
    let offer = offer("automatic1111", "sdxl");
    let call = |guidance_milli| LearnedCall { steps: 30, guidance_milli: Some(guidance_milli), ..call(1024) };
    let mut charges = worked(&["4.7", "4.8", "4.7", "4.8"], r#""guidance_milli":7000,"#);
    // Half of the work, other guidance, and calls of before guidance was stored.
    charges.extend(worked(&["2.5", "2.5", "2.5", "2.5"], r#""guidance_milli":1000,"#));
    charges.extend(worked(&["9"; 6], ""));
    // An interrupted call is charged for the time until then.
    let broken = worked(&["0.5"; 6], r#""guidance_milli":7000,"#);
    charges.extend(broken.into_iter().map(|charge| SettledCharge { failed: true, ..charge }));
    assert_eq!(known(&offer, &charges), []);
    charges.extend(worked(&["4.75"], r#""guidance_milli":7000,"#));
    // Mean 23.75 ÷ 5 = 4.75; 4.8 × 1.25 = 6.
    let learned = Range { min: 4_700_000, expected: 4_750_000, max: 6_000_000 };
    assert_eq!(known(&offer, &charges), [(call(7_000), learned)]);
    charges.extend(worked(&["2.5"], r#""guidance_milli":1000,"#));
    assert_eq!(
        known(&offer, &charges)[0],
        (call(1_000), Range { min: 2_500_000, expected: 2_500_000, max: 3_125_000 })
    );
}

#[test]
fn what_is_learned_of_an_unguided_tool_holds_at_any_guidance() {
    let offer = offer("automatic1111", "real-esrgan");
    let charges = worked(&["1", "1", "1", "1", "1"], "");
    assert_eq!(known(&offer, &charges)[0].0, LearnedCall { steps: 30, ..call(1024) });
}
