//! Small lists of each format, and the whole of a real one where it lies.

use super::compare::{Finding, Standing, compare};
use super::*;
use crate::Catalogue;
use crate::testing::{CATALOGUE, now, usd};
use std::collections::BTreeMap;

mod comparing;
mod forms;
mod writing;

fn today() -> Date {
    "2026-11-22".parse().expect("tests write days")
}

fn litellm(entries: &str) -> Vec<Entry> {
    read(Format::Litellm, &format!("{{{entries}}}"), "", today()).expect("a list")
}

fn portkey(provider: &str, models: &str) -> Vec<Entry> {
    read(Format::Portkey, &format!("{{{models}}}"), provider, today()).expect("a list")
}

fn found(entries: &[Entry]) -> Vec<Finding> {
    let mut findings = compare(entries, &CATALOGUE, now());
    findings.retain(|finding| finding.standing != Standing::OnlyHere);
    findings
}

/// Field, key, amount and what it buys.
fn shown(entry: &Entry) -> Vec<String> {
    let row = |row: &Row| {
        let (key, amount, per) = (row.key.to_string(), row.price.amount.short(), row.price.per);
        let text = format!("{} [{key}] {amount} / {per}", row.meter.name());
        if row.typical { format!("{text} typical") } else { text }
    };
    entry.rows().iter().map(row).collect()
}

fn reason(entry: &Entry) -> &Reason {
    match &entry.verdict {
        Verdict::Unpriced(reason) => reason,
        Verdict::Priced(rows) => panic!("{} is priced: {rows:?}", entry.id),
    }
}

#[test]
fn a_size_in_the_id_makes_the_input_price_that_of_the_picture() {
    let entries = litellm(
        r#""high/1024-x-1536/gpt-image-1.5": {"litellm_provider": "openai", "mode": "image_generation",
            "input_cost_per_image": 0.2, "input_cost_per_pixel": 1.27e-07, "output_cost_per_pixel": 0.0}"#,
    );
    assert_eq!(shown(&entries[0]), ["images [high 1024x1536] 0.20 / 1"]);
    assert_eq!(entries[0].model, "gpt-image-1.5");
    assert_eq!(found(&entries)[0].standing, Standing::Same, "200 thousandths, to the digits of the list");
}

#[test]
fn elsewhere_the_input_price_is_that_of_what_goes_in() {
    let entries = litellm(
        r#""runwayml/x": {"litellm_provider": "runwayml", "mode": "image_generation",
            "input_cost_per_image": 0.05, "output_cost_per_image": 0.05},
           "bedrock/y": {"litellm_provider": "bedrock", "mode": "image_edit",
            "input_cost_per_image": 0.001, "output_cost_per_image": 0.01}"#,
    );
    assert_eq!(shown(&entries[0]), ["input_images [] 0.001 / 1", "images [] 0.01 / 1"]);
    assert_eq!(shown(&entries[1]), ["images [] 0.05 / 1"], "the same price twice is one price");
}

#[test]
fn fal_counts_whole_megapixels_of_two_to_the_twentieth() {
    let entries = litellm(
        r#""fal_ai/fal-ai/flux/dev": {"litellm_provider": "fal_ai", "mode": "image_generation",
            "output_cost_per_image": 0.025, "output_cost_per_pixel": 2.384185791015625e-08}"#,
    );
    assert_eq!(shown(&entries[0]), ["output_pixels [] 0.025 / 1048576"]);
    let row = &entries[0].rows()[0];
    assert_eq!(row.picture(1024 * 1024), Some(usd("0.025")));
    assert_eq!(row.picture(1024 * 1024 + 1), Some(usd("0.05")), "a started megapixel counts whole");
    // Ours leaves open which megapixel it is; the list's reading is the lower one that we have on record.
    let finding = &found(&entries)[0];
    assert_eq!((finding.standing, finding.percent.as_deref()), (Standing::Within, Some("-50.00")));
    let why = "ours leaves 0.025 to 0.05 open, and expects 0.05";
    assert_eq!(finding.why.as_deref(), Some(why));
}

#[test]
fn elsewhere_pixels_are_pixels_however_small_their_price() {
    let entries = litellm(
        r#""azure_ai/FLUX.2-flex": {"litellm_provider": "azure_ai", "mode": "image_generation", "input_cost_per_pixel": 5e-08},
           "nscale/z": {"litellm_provider": "nscale", "mode": "image_generation", "input_cost_per_pixel": 8.39233e-13}"#,
    );
    assert_eq!(entries[0].rows()[0].picture(1_000_000), Some(usd("0.05")));
    assert_eq!(
        shown(&entries[1]),
        ["output_pixels [] 0.0000839233 / 100000000"],
        "finer than a tick, and exact"
    );
}

#[test]
fn tokens_are_rates_and_a_whole_picture_beside_them_is_only_typical() {
    let entries = litellm(
        r#""gemini/gemini-3-pro-image": {"litellm_provider": "gemini", "mode": "image_generation",
            "input_cost_per_token": 2e-06, "output_cost_per_image_token": 0.00012, "output_cost_per_image": 0.134,
            "output_cost_per_image_token_batches": 6e-05, "input_cost_per_image": 0.0011,
            "search_context_cost_per_query": {"search_context_size_low": 0.014, "search_context_size_high": 0.014},
            "input_cost_per_token_above_200k_tokens": 4e-06}"#,
    );
    let expected = [
        "images [] 0.134 / 1 typical",
        "text_input_tokens [] 2.00 / 1000000",
        "image_output_tokens [] 120.00 / 1000000",
        "image_output_tokens [batch] 60.00 / 1000000",
        "tool_calls [] 0.014 / 1",
    ];
    assert_eq!(shown(&entries[0]), expected);
    assert_eq!(entries[0].notes.len(), 2, "{:?}", entries[0].notes);
    let rates = found(&entries);
    let rate = rates.iter().find(|finding| finding.what == "output_cost_per_image_token").expect("compared");
    assert_eq!(rate.standing, Standing::Same, "{rate:?}");
}

#[test]
fn every_reason_not_to_believe_has_its_name() {
    let entries = litellm(
        r#""a": {"litellm_provider": "qwencloud", "mode": "image_generation"},
           "b": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_image": 0.0},
           "c": {"litellm_provider": "fireworks_ai", "mode": "image_generation", "input_cost_per_token": 5e-10, "output_cost_per_token": 5e-10},
           "d": {"litellm_provider": "x", "mode": "image_generation", "deprecation_date": "2026-11-22", "output_cost_per_image": 1},
           "e": {"litellm_provider": "x", "mode": "chat", "input_cost_per_token": 1},
           "f": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_image": -1},
           "g": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_moon": 1},
           "h": 7,
           "max-x-max/50-steps/i": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_image": 1},
           "sample_spec": {"mode": "one of"}"#,
    );
    let codes: Vec<_> = entries.iter().map(|entry| reason(entry).code()).collect();
    let expected = [
        "no_price",
        "only_zero",
        "token_placeholder",
        "retired",
        "no_pictures",
        "unreadable",
        "unknown_field",
        "malformed",
        "opaque_key",
    ];
    assert_eq!(codes, expected);
}

#[test]
fn portkey_is_in_cents_and_its_dollars_are_held() {
    let entries = portkey(
        "openai",
        r#""name": "openai", "default": {"pricing_config": {}},
           "gpt-image-1.5": {"pricing_config": {"pay_as_you_go": {
               "request_token": {"price": 0.0005}, "response_image_token": {"price": 0.0032}}}},
           "dall-e-3": {"pricing_config": {"pay_as_you_go": {"image": {
               "standard": {"1024x1024": {"price": 4}, "default": {"price": 8}},
               "default": {"default": {"price": 12}}}}}},
           "gpt-5": {"pricing_config": {"pay_as_you_go": {"request_token": {"price": 1}}}}"#,
    );
    let of = |id: &str| entries.iter().find(|entry| entry.id == id).expect("listed");
    let three = ["images [standard 1024x1024] 0.04 / 1", "images [standard] 0.08 / 1", "images [] 0.12 / 1"];
    assert_eq!(shown(of("dall-e-3")), three);
    let tokens = ["text_input_tokens [] 5.00 / 1000000", "image_output_tokens [] 32.00 / 1000000"];
    assert_eq!(shown(of("gpt-image-1.5")), tokens);
    assert_eq!(*reason(of("gpt-5")), Reason::NoPictures);

    let mistaken = portkey(
        "together-ai",
        r#""black-forest-labs/FLUX.1.1-pro": {"pricing_config": {"pay_as_you_go": {"additional_units": {
            "megapixels": {"price": 0.04}, "default_steps": {"price": 28}}}}}"#,
    );
    let finding = &found(&mistaken)[0];
    assert_eq!(finding.standing, Standing::Held, "{finding:?}");
    assert!(finding.why.as_deref().is_some_and(|why| why.contains("cents against dollars")), "{finding:?}");
    let written = write::files(Format::Portkey, &mistaken, &found(&mistaken), today(), true);
    assert!(written.files.is_empty(), "what is held is never written");
}

#[test]
fn openrouter_has_texts_in_dollars_and_a_discount() {
    let list = r#"{"data": [
        {"id": "vendor/paints", "architecture": {"output_modalities": ["image", "text"]},
         "pricing": {"prompt": "0.0000003", "completion": "0.0000025", "image_output": "0.04", "discount": 0.25}},
        {"id": "vendor/writes", "architecture": {"output_modalities": ["text"]}, "pricing": {"prompt": "0.1"}},
        {"id": "vendor/new", "architecture": {"output_modalities": ["image"]}, "pricing": {"per_star": "1"}}]}"#;
    let entries = read(Format::Openrouter, list, "", today()).expect("a list");
    let expected = [
        "text_output_tokens [] 1.875 / 1000000",
        "images [] 0.03 / 1",
        "text_input_tokens [] 0.225 / 1000000",
    ];
    assert_eq!(shown(&entries[0]), expected);
    assert_eq!(*reason(&entries[1]), Reason::NoPictures);
    assert_eq!(*reason(&entries[2]), Reason::UnknownField("per_star".to_owned()));

    let endpoints = r#"{"id": "bytedance-seed/seedream-5.0-pro", "endpoints": [{"provider_slug": "seed", "pricing": [
        {"billable": "output_image", "unit": "image", "cost_usd": 0.045, "variant": "1k"},
        {"billable": "output_image", "unit": "image", "cost_usd": 0.09, "variant": "hd_2k"},
        {"billable": "input_image", "unit": "image", "cost_usd": 0.003}]}]}"#;
    let entries = read(Format::Openrouter, endpoints, "", today()).expect("a list");
    let expected = ["images [1K] 0.045 / 1", "images [hd 2K] 0.09 / 1", "input_images [] 0.003 / 1"];
    assert_eq!(shown(&entries[0]), expected);
}

#[test]
fn a_difference_is_said_in_per_cent_of_ours() {
    let entry = |usd: &str| {
        let field = format!(
            r#""litellm_provider": "black_forest_labs", "mode": "image_generation", "output_cost_per_image": {usd}"#
        );
        found(&litellm(&format!(r#""black_forest_labs/flux-pro-1.1": {{{field}}}"#)))[0].clone()
    };
    assert_eq!(entry("0.04").standing, Standing::Same);
    let dearer = entry("0.05");
    assert_eq!((dearer.standing, dearer.percent.as_deref()), (Standing::Dearer, Some("+25.00")));
    let cheaper = entry("0.039");
    assert_eq!((cheaper.standing, cheaper.percent.as_deref()), (Standing::Cheaper, Some("-2.50")));
    for held in ["4", "40", "40000", "0.0004", "0.41"] {
        assert_eq!(entry(held).standing, Standing::Held, "{held}");
    }
}

/// A row of ours without a price is no price to hold theirs against: the same model elsewhere is, for its units.
#[test]
fn a_model_whose_price_we_do_not_know_is_only_there() {
    let of = |cost: &str| {
        let entry = format!(
            r#""replicate/black-forest-labs/flux-2-flex": {{"litellm_provider": "replicate", "mode": "image_generation", "output_cost_per_image": {cost}}}"#
        );
        let findings = found(&litellm(&entry));
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings[0].standing
    };
    assert_eq!(of("0.06"), Standing::OnlyThere);
    assert_eq!(of("6"), Standing::Held, "cents");
    let another = r#""replicate/nobody/nothing": {"litellm_provider": "replicate", "mode": "image_generation", "output_cost_per_image": 0.04}"#;
    let here = compare(&litellm(another), &CATALOGUE, now());
    assert!(here.iter().any(|finding| finding.standing == Standing::OnlyHere));
    assert!(here.iter().all(|finding| finding.entry != "replicate/flux-2-flex"));
}

/// The list is read where it lies; it is no part of the project.
fn whole_list() -> Option<String> {
    let path = std::env::var("GALLERIST_LITELLM_LIST")
        .unwrap_or_else(|_| "../../../shared/data/litellm-image-prices.json".to_owned());
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("skipped: {path} is not there; GALLERIST_LITELLM_LIST may name it");
    }
    text
}

#[test]
fn a_whole_real_list_is_priced_or_explained_and_its_files_are_sound() {
    let Some(text) = whole_list() else { return };
    let entries = read(Format::Litellm, &text, "", today()).expect("a list");
    let all: BTreeMap<String, serde_json::Value> = serde_json::from_str(&text).expect("JSON");
    assert_eq!(entries.len(), all.len(), "no entry is lost");
    let priced = entries.iter().filter(|entry| !entry.rows().is_empty()).count();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for entry in &entries {
        if let Verdict::Unpriced(reason) = &entry.verdict {
            *reasons.entry(reason.code()).or_default() += 1;
        }
    }
    eprintln!("{} entries: {priced} priced exactly, not priced: {reasons:?}", entries.len());
    assert_eq!(priced + reasons.values().sum::<usize>(), entries.len());
    for unexpected in ["unknown_field", "malformed", "unreadable"] {
        assert!(!reasons.contains_key(unexpected), "{unexpected}: {reasons:?}");
    }

    let findings = compare(&entries, &CATALOGUE, now());
    let mut standings: BTreeMap<&str, usize> = BTreeMap::new();
    for finding in &findings {
        *standings.entry(finding.standing.as_str()).or_default() += 1;
    }
    eprintln!("rows against ours: {standings:?}");
    for prefer_imported in [false, true] {
        let written = write::files(Format::Litellm, &entries, &findings, today(), prefer_imported);
        assert_eq!(written.entries.len() + written.left_out.len(), entries.len());
        writing::holds_what_is_told(&entries, &written);
        eprintln!("{} entries written, {} left out", written.entries.len(), written.left_out.len());
        let made = Catalogue::from_files(written.files).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        assert!(
            made.providers.iter().all(|provider| provider.serves.is_empty()),
            "nothing is ordered by an import"
        );
    }
}
