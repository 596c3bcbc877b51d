//! Settlements worked by hand from the answers that the providers' sheets quote.

use super::*;
use crate::quote::tests::any_call;
use crate::sheet::Each;
use crate::testing::{default_call, find, now, usd};
use gallerist_domain::{Decimal, ImageCall, Meter};
use proptest::prelude::*;

struct Answer {
    kind: &'static str,
    model: &'static str,
    images: u32,
    usage: &'static [(Meter, i64)],
    reported: Option<(&'static str, &'static str)>,
}

fn charge_of(answer: &Answer) -> Charge {
    let (provider, sheet) = find(answer.kind, answer.model);
    let call = ImageCall { n: answer.images.max(1), ..default_call(&sheet) };
    let usage: Vec<Metered> =
        answer.usage.iter().map(|(meter, quantity)| Metered { meter: *meter, quantity: *quantity }).collect();
    let reported = answer.reported.map(|(amount, currency)| ReportedCost {
        amount: amount.parse::<Decimal>().expect("digits"),
        currency: currency.to_owned(),
    });
    let evidence = Evidence { images: answer.images, usage: &usage, reported: reported.as_ref() };
    settle(&sheet.sheet, &provider.currencies, &Facts::of(&call), evidence, now()).expect("settles")
}

#[track_caller]
fn check(answer: &Answer, amount: &str, basis: Basis) {
    let charge = charge_of(answer);
    assert_eq!((charge.amount, charge.basis), (usd(amount), basis), "{charge:#?}");
    assert_eq!(charge.amount, charge.lines.iter().map(|line| line.amount).sum(), "{charge:#?}");
}

const NOTHING: Answer = Answer { kind: "", model: "", images: 1, usage: &[], reported: None };

#[test]
fn openai_settles_from_its_tokens() {
    use Meter::*;
    let openai = Answer { kind: "openai", ..NOTHING };
    // Sheet, section 3: 14 text and 686 image tokens for two pictures: 0.00007 + 0.02058.
    let usage = &[(TextInputTokens, 14), (ImageInputTokens, 0), (ImageOutputTokens, 686)];
    let two = Answer { model: "gpt-image-2.5-flare", images: 2, usage, ..openai };
    check(&two, "0.02065", Basis::Usage);
    // Text output costs 10 a million on gpt-image-2 and nothing on 2.5: 0.00007 + 1756 × 30 + 5 × 10.
    let usage = &[(TextInputTokens, 14), (ImageOutputTokens, 1756), (TextOutputTokens, 5)];
    check(&Answer { model: "gpt-image-2", usage, ..openai }, "0.0528", Basis::Usage);
    let usage = &[(TextInputTokens, 14), (ImageOutputTokens, 439), (TextOutputTokens, 5)];
    check(&Answer { model: "gpt-image-2.5-flare", usage, ..openai }, "0.01324", Basis::Usage);
    // Mini, the live call of the sheet: 272 × 8 a million = 0.002176.
    let usage = &[(TextInputTokens, 0), (ImageOutputTokens, 272)];
    check(&Answer { model: "gpt-image-1-mini", usage, ..openai }, "0.002176", Basis::Usage);
    // The real 3840x2160 call: 13342 × 30 = 0.40026.
    let usage = &[(TextInputTokens, 0), (ImageOutputTokens, 13342)];
    check(&Answer { model: "gpt-image-2", usage, ..openai }, "0.40026", Basis::Usage);
    // No counts: the estimate, marked as one: 0.05268 + 26 × 5 a million.
    check(&Answer { model: "gpt-image-2", ..openai }, "0.05281", Basis::Estimated);
}

#[test]
fn a_picture_whose_own_tokens_were_not_counted_is_not_free() {
    use Meter::*;
    // What the adapters hand on of `{"input_tokens": 14, "output_tokens": 0}` beside a picture: the estimate
    // of the picture decides, 1756 × 30 a million, and the prompt as counted, 14 × 5.
    let usage = &[(TextInputTokens, 14), (ImageInputTokens, 0), (TextOutputTokens, 0)];
    let openai = Answer { kind: "openai", model: "gpt-image-2", usage, ..NOTHING };
    check(&openai, "0.05275", Basis::Estimated);
    // Without a picture nothing but the prompt was used.
    check(&Answer { images: 0, ..openai }, "0.00007", Basis::Usage);
}

#[test]
fn partial_pictures_settle_as_received() {
    let (provider, sheet) = find("openai", "gpt-image-2");
    let call = ImageCall { stream: true, partial_images: 3, ..default_call(&sheet) };
    // Three were asked, one came: 1756 + 100 tokens.
    let usage = [(Meter::TextInputTokens, 14), (Meter::ImageOutputTokens, 1856)]
        .map(|(meter, quantity)| Metered { meter, quantity });
    let evidence = Evidence { images: 1, usage: &usage, reported: None };
    let charge = settle(&sheet.sheet, &provider.currencies, &Facts::of(&call), evidence, now());
    assert_eq!(charge.expect("settles").amount, usd("0.05575"));
}

#[test]
fn google_settles_by_modality() {
    use Meter::*;
    let google = Answer { kind: "google", model: "nano-banana-2.1", ..NOTHING };
    // Sheet, section 2: 10 text, 1120 image in, 1680 image out, 212 thoughts:
    // 0.000015 + 0.00168 + 0.0504 + 0.00159.
    let usage =
        &[(TextInputTokens, 10), (ImageInputTokens, 1120), (ImageOutputTokens, 1680), (ThinkingTokens, 212)];
    check(&Answer { usage, ..google }, "0.053685", Basis::Usage);
    // Without thoughts none are charged, although some were expected.
    let usage = &[(TextInputTokens, 10), (ImageOutputTokens, 1120)];
    check(&Answer { usage, ..google }, "0.033615", Basis::Usage);
    // A refusal charges what was read: 10 × 1.50 a million.
    check(&Answer { images: 0, usage: &[(TextInputTokens, 10)], ..google }, "0.000015", Basis::Usage);
    // Text beside the picture is billed like thoughts: 40 × 12 a million on Pro.
    let usage = &[(TextInputTokens, 0), (ImageOutputTokens, 1120), (TextOutputTokens, 40)];
    check(&Answer { model: "gemini-3-pro-image", usage, ..google }, "0.13488", Basis::Usage);
}

#[test]
fn bfl_settles_as_reported() {
    let bfl = Answer { kind: "bfl", model: "flux-2-pro", ..NOTHING };
    check(&Answer { reported: Some(("4.5", "credit")), ..bfl }, "0.045", Basis::ProviderReported);
    check(&Answer { reported: Some(("3.0", "credit")), ..bfl }, "0.03", Basis::ProviderReported);
    check(&Answer { reported: Some(("0", "credit")), ..bfl }, "0", Basis::ProviderReported);
    // A figure in a currency without a rate is no figure; a cost below nothing neither.
    check(&Answer { reported: Some(("3", "florin")), ..bfl }, "0.03", Basis::Computed);
    check(&Answer { reported: Some(("-3", "credit")), ..bfl }, "0.03", Basis::Computed);
    check(&bfl, "0.03", Basis::Computed);
    // Dollars need no rate; finer than a tick is rounded half up.
    check(
        &Answer { reported: Some(("0.00000000005", "USD")), ..bfl },
        "0.0000000001",
        Basis::ProviderReported,
    );
}

#[test]
fn a_reported_figure_beyond_an_amount_is_not_replaced_by_ours() {
    let (provider, sheet) = find("bfl", "flux-2-pro");
    let call = default_call(&sheet);
    let cost = ReportedCost { amount: "1e20".parse().expect("digits"), currency: "credit".to_owned() };
    let evidence = Evidence { images: 1, usage: &[], reported: Some(&cost) };
    let charge = settle(&sheet.sheet, &provider.currencies, &Facts::of(&call), evidence, now());
    assert_eq!(charge, Err(Unpriced::OutOfRange));
}

#[test]
fn stability_settles_by_its_list() {
    let stability = Answer { kind: "stability", ..NOTHING };
    check(&Answer { model: "sd3.5-large", ..stability }, "0.065", Basis::Computed);
    check(&Answer { model: "sd3.5-medium", ..stability }, "0.035", Basis::Computed);
    // Nobody knows, so the upper figure: 3 × 4 credits.
    check(&Answer { model: "sdxl", images: 3, ..stability }, "0.12", Basis::Computed);
}

#[test]
fn fal_settles_from_its_units() {
    let fal = Answer { kind: "fal", ..NOTHING };
    let units = |usage| Answer { usage, ..fal };
    // The specification's example: 1.5 units of flux/dev.
    let dev = Answer { model: "flux-1-dev", ..units(&[(Meter::BillableUnits, 1_500_000)]) };
    check(&dev, "0.0375", Basis::Usage);
    // Two pictures of two units each are counted once, for the call: 4 × 0.003.
    let schnell =
        Answer { model: "flux-1-schnell", images: 2, ..units(&[(Meter::BillableUnits, 4_000_000)]) };
    check(&schnell, "0.012", Basis::Usage);
    // Issue 655: 30 units of qwen-image.
    let qwen = Answer { model: "qwen-image", ..units(&[(Meter::BillableUnits, 30_000_000)]) };
    check(&qwen, "0.6", Basis::Usage);
    let pro = Answer { model: "flux-2-pro", ..units(&[(Meter::BillableUnits, 1_500_000)]) };
    check(&pro, "0.045", Basis::Usage);
    // flux-2-max settles by its formula; units are not used.
    let max = Answer { model: "flux-2-max", ..units(&[(Meter::BillableUnits, 1_428_571)]) };
    check(&max, "0.07", Basis::Computed);
    // Without units two started megapixels of 10^6 count, the higher reading.
    check(&Answer { model: "flux-1-dev", ..fal }, "0.05", Basis::Estimated);
}

/// 4.0 s at 3.99 an hour = 15.96 / 3600 = 0.00443333…; at the shipped 1.10: 4.4 / 3600 = 0.00122222….
#[test]
fn gpu_seconds_settle_as_measured() {
    let own = Answer { kind: "automatic1111", model: "sdxl", ..NOTHING };
    let four = &[(Meter::GpuSeconds, 4_000_000)];
    check(&Answer { usage: four, ..own }, "0.0012222222", Basis::Usage);
    // A batch of three is one measurement.
    check(&Answer { usage: four, images: 3, ..own }, "0.0012222222", Basis::Usage);
    let (_, sheet) = find("automatic1111", "sdxl");
    let mut dearer = (*sheet.sheet).clone();
    dearer.lines[0].price.amount = usd("3.99");
    dearer.lines[0].price_expected.amount = usd("3.99");
    dearer.lines[0].price_max.amount = usd("3.99");
    let call = default_call(&sheet);
    let usage = [Metered { meter: Meter::GpuSeconds, quantity: 4_000_000 }];
    let evidence = Evidence { images: 1, usage: &usage, reported: None };
    let charge = settle(&dearer, &[], &Facts::of(&call), evidence, now()).expect("settles");
    assert_eq!(charge.amount, usd("0.0044333333"));
    assert_eq!((charge.lines[0].quantity.as_str(), charge.lines[0].meter), ("4", "gpu_seconds"));
}

#[test]
fn a_charge_keeps_its_arithmetic() {
    let usage = &[(Meter::TextInputTokens, 14), (Meter::ImageOutputTokens, 686)];
    let charge =
        charge_of(&Answer { kind: "openai", model: "gpt-image-2.5-flare", images: 2, usage, ..NOTHING });
    let line = &charge.lines[1];
    assert_eq!(
        (line.line.as_str(), line.quantity.as_str(), line.unit_price.as_str()),
        ("image-out", "686", "30.0000000000 / 1000000")
    );
    assert!(line.source.contains("apidog"));
}

#[test]
fn the_bases_are_ordered_from_best_to_worst() {
    let order = [Basis::ProviderReported, Basis::Usage, Basis::Computed, Basis::Estimated];
    assert!(order.is_sorted());
    assert_eq!(order.map(Basis::as_str), ["provider_reported", "usage", "computed", "estimated"]);
}

#[test]
fn what_rests_on_prices_below_official_or_long_read_is_told_of_a_charge() {
    let read = |confidence, text: &str, amount: &str| ChargeLine {
        line: "picture".to_owned(),
        meter: "images",
        quantity: "1".to_owned(),
        unit_price: amount.to_owned(),
        times: None,
        amount: usd(amount),
        source: String::new(),
        trust: Some((confidence, text.parse().expect("a day"))),
    };
    let fresh = || read(Confidence::Official, "2026-11-20", "0.01");
    let doubtful = |lines: Vec<ChargeLine>| {
        let amount = lines.iter().map(|line| line.amount).sum();
        Charge { amount, basis: Basis::Computed, lines }.doubtful(now())
    };
    assert_eq!(doubtful(vec![fresh()]), Ticks::ZERO);
    assert_eq!(doubtful(vec![fresh(), read(Confidence::ThirdParty, "2026-11-20", "0.02")]), usd("0.02"));
    // Now is 2026-11-22: ninety days before is the 24th of August.
    assert_eq!(doubtful(vec![read(Confidence::Official, "2026-08-24", "0.02")]), Ticks::ZERO);
    assert_eq!(doubtful(vec![read(Confidence::Official, "2026-08-23", "0.02")]), usd("0.02"));
    let less = vec![fresh(), read(Confidence::Derived, "2026-11-20", "-0.005")];
    assert_eq!(doubtful(less), Ticks::ZERO, "a part is not negative");
    assert_eq!(doubtful(vec![ChargeLine { trust: None, ..fresh() }]), Ticks::ZERO, "the provider's own word");
}

proptest! {
    /// Without counts, what is settled was reserved: for all pictures, and for fewer.
    #[test]
    fn settlements_without_counts_stay_within_the_maximum((model, call) in any_call(), made in 0..=10u32) {
        let facts = Facts::of(&call);
        let bounds = crate::bounds(&model.sheet, &facts, now()).expect("has a price");
        for images in [call.n, made.min(call.n)] {
            let evidence = Evidence { images, usage: &[], reported: None };
            let charge = settle(&model.sheet, &[], &facts, evidence, now()).expect("settles");
            prop_assert!(charge.amount <= bounds.max, "{}: {} > {}", model.id, charge.amount, bounds.max);
            prop_assert!(charge.basis >= Basis::Computed);
            if images == call.n {
                prop_assert_eq!(charge.amount, bounds.expected);
            }
        }
    }

    /// Nor do the provider's own counts pass it, as long as they lie within what the quote was made from. A
    /// provider may leave some of them out.
    #[test]
    fn settlements_by_counts_within_the_estimates_stay_within_the_maximum(
        (model, call) in any_call(),
        shares in prop::collection::vec(prop_oneof![4 => (0..=1000i64).prop_map(Some), 1 => Just(None)], 32),
    ) {
        let facts = Facts::of(&call);
        let bounds = crate::bounds(&model.sheet, &facts, now()).expect("has a price");
        let mut usage: Vec<Metered> = Vec::new();
        for (line, share) in model.sheet.lines.iter().zip(shares) {
            let counted = usage.iter().any(|metered| metered.meter == line.meter);
            let quantity = derived(line, &facts).or_else(|| estimated(line.meter, &model.sheet, &facts, now()));
            let (Some(share), Some(quantity), false) = (share, quantity, counted) else { continue };
            let times = match quantity.each {
                Each::Call | Each::Input => 1,
                _ => i64::from(call.n),
            };
            let (low, high) = (quantity.range.min * times, quantity.range.max * times);
            usage.push(Metered { meter: line.meter, quantity: low + (high - low) * share / 1000 });
        }
        let evidence = Evidence { images: call.n, usage: &usage, reported: None };
        let charge = settle(&model.sheet, &[], &facts, evidence, now()).expect("settles");
        prop_assert!(charge.amount <= bounds.max, "{}: {} > {}, {usage:?}", model.id, charge.amount, bounds.max);
    }
}

#[test]
fn a_charge_shows_the_factor_and_is_as_sure_as_it() {
    let (provider, sheet) = find("openai", "gpt-image-1-mini");
    let call = ImageCall { tier: "batch".to_owned(), ..default_call(&sheet) };
    let usage = [Metered { meter: Meter::ImageOutputTokens, quantity: 1_000 }];
    let evidence = Evidence { images: 1, usage: &usage, reported: None };
    let charge = settle(&sheet.sheet, &provider.currencies, &Facts::of(&call), evidence, now()).unwrap();
    // 1,000 tokens at 8 a million, halved.
    assert_eq!((charge.amount, charge.basis), (usd("0.004"), Basis::Usage));
    let line = &charge.lines[0];
    assert_eq!((line.times.as_deref(), line.trust.unwrap().0), (Some("1/2"), Confidence::ThirdParty));
    assert!(line.source.contains("the factor batch: "), "{}", line.source);
    assert_eq!(charge.doubtful(now()), charge.amount, "an official rate with a discount that is hearsay");
}
