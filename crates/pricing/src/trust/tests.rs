use super::*;
use crate::learned::Lesson;
use crate::quote::quote;
use crate::sheet::{Confidence, Each, Range};
use crate::testing::{default_call, find, now};
use gallerist_domain::{ImageCall, Meter};
use std::sync::Arc;

/// The line's confidence, and what of its price and of its amount is least sure.
fn parts(kind: &str, model: &str, line: &str, change: impl Fn(&mut ImageCall)) -> [(String, Confidence); 3] {
    let (_, sheet) = find(kind, model);
    let mut call = default_call(&sheet);
    change(&mut call);
    let facts = Facts::of(&call);
    let quoted = quote(&sheet.sheet, &facts, now()).expect("it has a price");
    let line = quoted.lines.iter().find(|quoted| quoted.line.id == line).expect("the line applies").line;
    let told = |weakest: Weakest<'_>| (weakest.part.to_string(), weakest.source.confidence);
    [
        ("the line".to_owned(), line.source.confidence),
        told(Weakest::of_price(&sheet.sheet, line, &facts, now())),
        told(Weakest::of_amount(&sheet.sheet, line, &facts, now())),
    ]
}

#[test]
fn an_official_rate_is_no_surer_than_the_discount_on_it_or_the_tokens_that_are_guessed() {
    let standard = parts("openai", "gpt-image-1-mini", "image-out", |_| ());
    assert_eq!(
        standard,
        [
            ("the line".to_owned(), Confidence::Official),
            ("the price".to_owned(), Confidence::Official),
            ("the estimated quantity".to_owned(), Confidence::Unverified),
        ]
    );
    let batch = parts("openai", "gpt-image-1-mini", "image-out", |call| call.tier = "batch".to_owned());
    assert_eq!(batch[1], ("the factor batch".to_owned(), Confidence::ThirdParty));
    assert_eq!(batch[2], ("the estimated quantity".to_owned(), Confidence::Unverified));
}

#[test]
fn a_discount_that_is_advertised_and_not_proven_makes_the_price_unverified() {
    let [_, price, amount] = parts("tokenmix", "flux-kontext-pro", "picture", |_| ());
    assert_eq!(price, ("the factor parity".to_owned(), Confidence::Unverified));
    assert_eq!(amount, price);
}

#[test]
fn a_price_that_is_only_taken_to_be_the_makers_is_no_surer_than_that() {
    let [line, price, _] = parts("runware", "flux-2-pro", "first-megapixel", |_| ());
    assert!(line.1 < Confidence::Derived, "{line:?}");
    assert_eq!(price, ("the factor no-markup".to_owned(), Confidence::Derived));
}

#[test]
fn what_past_charges_teach_is_not_an_estimate_of_the_catalogue() {
    let (_, sheet) = find("runware", "flux-1-dev");
    let call = default_call(&sheet);
    let fresh = Facts::of(&call);
    let line = &sheet.sheet.lines[0];
    assert_eq!(Weakest::of_amount(&sheet.sheet, line, &fresh, now()).part, Part::Quantity);
    let taught = taught(&sheet.sheet, fresh, Range::exact(4_000));
    assert_eq!(Weakest::of_amount(&sheet.sheet, line, &taught, now()).part, Part::Price);
}

fn taught<'a>(sheet: &PriceSheet, fresh: Facts<'a>, range: Range) -> Facts<'a> {
    Facts { learned: Lesson::of(sheet).map(|lesson| lesson.taught(range)), ..fresh }
}

#[test]
fn a_time_of_work_is_learned_within_the_bounds_of_its_formula_and_rests_on_the_formula_at_them() {
    let (_, model) = find("automatic1111", "sdxl");
    let mut sheet = PriceSheet::clone(&model.sheet);
    // A rate that is sure, so that the quantity is the weakest part until it is learned.
    let sure = Source { confidence: Confidence::Official, ..Source::clone(&sheet.lines[0].source) };
    sheet.lines[0].source = Arc::new(sure);
    let (sheet, call) = (&sheet, default_call(&model));
    let fresh = Facts::of(&call);
    let quoted = |facts: &Facts<'_>| quote(sheet, facts, now()).expect("a price").lines[0].quantity;
    // 5.218592 seconds, from 600 to 1250 per mille of it.
    let formula = Range { min: 3_131_155, expected: 5_218_592, max: 6_523_240 };
    let part = |facts: &Facts<'_>| Weakest::of_amount(sheet, &sheet.lines[0], facts, now()).part;
    assert_eq!((quoted(&fresh), part(&fresh)), (formula, Part::Quantity));
    let seen = Range { min: 4_000_000, expected: 4_200_000, max: 5_300_000 };
    let learned = taught(sheet, fresh, seen);
    assert_eq!((quoted(&learned), part(&learned)), (seen, Part::Price));
    // A card that is slower is expected to take the most that the sheet says, and nothing more is reserved.
    let slow = taught(sheet, fresh, Range { min: 6_000_000, expected: 9_000_000, max: 12_000_000 });
    assert_eq!(quoted(&slow), Range { min: 6_000_000, expected: 6_523_240, max: 6_523_240 });
    assert_eq!(part(&slow), Part::Quantity, "the bound is the sheet's");
    let fast = taught(sheet, fresh, Range { min: 900_000, expected: 1_000_000, max: 1_250_000 });
    assert_eq!(quoted(&fast), Range::exact(3_131_155));
    // The bounds are those of the call: half of the passes at least, and all of them at most.
    let mut one_pass = call.clone();
    one_pass.guidance_milli = Some(1_000);
    let one_pass = Facts::of(&one_pass);
    let formula_of_one = Range { min: 1_715_577, expected: 2_859_296, max: 6_523_240 };
    assert_eq!(quoted(&one_pass), formula_of_one);
    assert_eq!(quoted(&taught(sheet, one_pass, seen)), seen);
    let wide = Range { min: 1_000_000, expected: 4_200_000, max: 12_000_000 };
    assert_eq!(quoted(&taught(sheet, one_pass, wide)), Range { expected: 4_200_000, ..formula_of_one });
    // What is known of another meter, or by call, says nothing of it.
    for other in [
        Lesson { meter: Meter::ColdStartSeconds, ..lesson(sheet) },
        Lesson { each: Each::Call, ..lesson(sheet) },
    ] {
        let facts = Facts { learned: Some(other.taught(seen)), ..fresh };
        assert_eq!((quoted(&facts), part(&facts)), (formula, Part::Quantity));
    }
}

fn lesson(sheet: &PriceSheet) -> Lesson {
    Lesson::of(sheet).expect("it learns")
}

#[test]
fn what_was_learned_of_one_meter_leaves_the_others_of_its_sheet() {
    let (_, model) = find("gpu-cloud", "flux-1-dev");
    let mut call = default_call(&model);
    call.tier = "serverless".to_owned();
    call.quality = "h100".to_owned();
    let fresh = Facts::of(&call);
    let quoted = |facts: &Facts<'_>, meter: Meter| {
        let quoted = quote(&model.sheet, facts, now()).expect("a price");
        quoted.lines.iter().find(|line| line.line.meter == meter).expect("it is sold").quantity
    };
    let learned = taught(&model.sheet, fresh, Range::exact(3_000_000));
    assert_eq!(quoted(&learned, Meter::ColdStartSeconds), Range::exact(3_000_000));
    assert_eq!(quoted(&learned, Meter::GpuSeconds), quoted(&fresh, Meter::GpuSeconds));
}

#[test]
fn the_rate_of_a_currency_is_part_of_a_price() {
    let (_, sheet) = find("seedream", "seedream-5-pro");
    let mut call = default_call(&sheet);
    call.region = "cn".to_owned();
    let facts = Facts::of(&call);
    let quoted = quote(&sheet.sheet, &facts, now()).expect("it has a price in yuan");
    let rate = quoted.lines[0].line.rate.as_ref().expect("yuan have a rate");
    let weakest = Weakest::of_price(&sheet.sheet, quoted.lines[0].line, &facts, now());
    assert!(weakest.source.confidence >= rate.confidence, "{weakest:?}");
    assert_eq!(weakest.part, Part::Rate, "{rate:?}");
    assert!(told(quoted.lines[0].line, weakest).contains("the rate of its currency: "));
}

#[test]
fn factors_are_told_beside_the_price_that_they_change() {
    let told = |kind: &str, model: &str, line: &str, tier: &str| {
        let (_, sheet) = find(kind, model);
        let mut call = default_call(&sheet);
        call.tier = tier.to_owned();
        call.ingredients.tool_calls = 1;
        let line = sheet.sheet.lines.iter().find(|one| one.id == line).expect("the line is there");
        crate::quote::times(&sheet.sheet, line, &Facts::of(&call), now())
    };
    assert_eq!(told("bfl", "flux-2-pro", "first-megapixel", "standard"), None);
    assert_eq!(told("runware", "flux-2-pro", "first-megapixel", "standard"), None, "a factor of one");
    assert_eq!(told("openrouter", "flux-2-max", "first-megapixel", "standard").as_deref(), Some("1055/1000"));
    assert_eq!(told("google", "gemini-3-pro-image", "image-out", "batch").as_deref(), Some("1/2"));
    // A search costs the same in a batch, and a reseller's fee holds for it too.
    assert_eq!(told("google", "gemini-3-pro-image", "search", "batch"), None);
    let resold = told("cloudflare-ai-gateway", "gemini-3-pro-image", "search", "batch");
    assert_eq!(resold.as_deref(), Some("105/100"));
}
