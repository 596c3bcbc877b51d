use super::*;
use crate::quote::quote;
use crate::sheet::Confidence;
use crate::testing::{default_call, find, now};
use gallerist_domain::ImageCall;

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
    let taught = Facts { learned: Some(crate::sheet::Range::exact(4_000)), ..fresh };
    assert_eq!(Weakest::of_amount(&sheet.sheet, line, &taught, now()).part, Part::Price);
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
