//! How a price of a list stands to ours.

use super::*;

fn standings(entries: &[Entry]) -> Vec<(Standing, Option<String>)> {
    found(entries).into_iter().map(|finding| (finding.standing, finding.why)).collect()
}

#[test]
fn the_rounding_of_the_lists_last_digit_is_the_same_and_both_are_per_the_same_units() {
    let cached = |usd: &str| {
        let entry = format!(
            r#""gpt-image-1.5": {{"litellm_provider": "openai", "mode": "image_generation",
                "output_cost_per_image_token": 3.2e-05, "cache_read_input_token_cost_batches": {usd}}}"#
        );
        let findings = found(&litellm(&entry));
        let cached = findings.iter().find(|finding| finding.what.starts_with("cache_read"));
        cached.expect("compared").clone()
    };
    // Ours is 1.25 per million, and half of it in a batch: 0.625, of which the list leaves two digits.
    let rounded = cached("6.3e-07");
    assert_eq!(rounded.standing, Standing::Same, "{rounded:?}");
    assert_eq!((rounded.list_usd, rounded.ours_usd), (Some(usd("0.63")), Some(usd("0.625"))));
    assert_eq!((rounded.list_per, rounded.ours_per), (Some(1_000_000), Some(1_000_000)));
    assert_eq!(cached("6.2e-07").standing, Standing::Same, "cut instead");
    assert_eq!(cached("6.25e-07").standing, Standing::Same);
    for (usd, standing) in [
        ("6.4e-07", Standing::Dearer),
        ("6.1e-07", Standing::Cheaper),
        ("6.26e-07", Standing::Dearer),
        // One digit is no rounded figure but another one.
        ("6e-07", Standing::Cheaper),
    ] {
        assert_eq!(cached(usd).standing, standing, "{usd}");
    }
}

#[test]
fn what_our_sources_leave_open_is_neither_cheaper_nor_dearer() {
    let fal = |usd: &str| {
        let entry = format!(
            r#""fal_ai/fal-ai/flux-pro/v1.1": {{"litellm_provider": "fal_ai", "mode": "image_generation",
                "output_cost_per_image": {usd}}}"#
        );
        standings(&litellm(&entry)).remove(0)
    };
    // A picture of 1024 × 1024 is one megapixel of 2^20 pixels, or two of a million.
    let why = Some("ours leaves 0.04 to 0.08 open, and expects 0.08".to_owned());
    assert_eq!(fal("0.04"), (Standing::Within, why.clone()));
    assert_eq!(fal("0.06"), (Standing::Within, why));
    assert_eq!(fal("0.08"), (Standing::Same, None));
    assert_eq!(fal("0.039"), (Standing::Cheaper, None));
    assert_eq!(fal("0.081"), (Standing::Dearer, None));
}

#[test]
fn a_price_without_a_quality_is_not_that_of_one_that_the_list_prices_apart() {
    let grok = |plain: &str| {
        litellm(&format!(
            r#""low/1024-x-1024/grok-imagine-image-2.0": {{"litellm_provider": "xai",
                "mode": "image_generation", "input_cost_per_image": 0.04}},
               "xai/grok-imagine-image-2.0": {{"litellm_provider": "xai",
                "mode": "image_generation", "input_cost_per_image": {plain}}}"#
        ))
    };
    // Ours: 0.04 at low, 0.06 at medium.
    let medium = Some("ours at medium: the list prices low apart".to_owned());
    assert_eq!(standings(&grok("0.06")), [(Standing::Same, None), (Standing::Same, medium.clone())]);
    assert_eq!(standings(&grok("0.07"))[1], (Standing::Dearer, medium));
    let alone = litellm(
        r#""xai/grok-imagine-image-2.0": {"litellm_provider": "xai", "mode": "image_generation",
            "input_cost_per_image": 0.04}"#,
    );
    assert_eq!(standings(&alone), [(Standing::Same, None)], "alone it is that of our usual quality");
}

#[test]
fn a_provider_may_bear_our_name_for_it() {
    let entries = portkey(
        "seedream",
        r#""seedream-4.0": {"pricing_config": {"pay_as_you_go": {"image": {"default": {"default": {"price": 3}}}}}}"#,
    );
    assert_eq!(found(&entries)[0].offer.as_deref(), Some("seedream/seedream-4"));
}
