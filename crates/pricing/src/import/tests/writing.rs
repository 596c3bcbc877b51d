//! What is told as written is what the files hold.

use super::*;
use crate::import::plan::plan;
use crate::import::write::Written;

fn written(entries: &[Entry], prefer_imported: bool) -> Written {
    let findings = compare(entries, &CATALOGUE, now());
    write::files(Format::Litellm, entries, &findings, today(), prefer_imported)
}

/// Counts the lines of the files, and finds each price there that is told as written.
pub(super) fn holds_what_is_told(entries: &[Entry], written: &Written) {
    let made =
        Catalogue::from_files(written.files.clone()).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let models = || made.providers.iter().flat_map(|provider| &provider.models);
    let lines: usize = models().map(|model| model.sheet.lines.len()).sum();
    assert_eq!(written.lines, lines, "price lines in the files");
    for (place, entry) in entries.iter().enumerate() {
        let told = |row: &usize| written.left_out(place, *row).is_none();
        let in_files: Vec<usize> = (0..entry.rows().len()).filter(told).collect();
        assert_eq!(written.entries.contains(&entry.id), !in_files.is_empty(), "{}", entry.id);
        for row in in_files.into_iter().map(|row| &entry.rows()[row]) {
            let price = Price { per: row.price.per * row.meter.base_units_per_unit(), ..row.price };
            let title = format!("{} by litellm", entry.provider);
            let mut of_provider = made.providers.iter().filter(|provider| provider.title == title);
            let of_provider = of_provider.next().unwrap_or_else(|| panic!("no file of {}", entry.provider));
            let model = of_provider.models.iter().find(|model| model.upstream == entry.model);
            let model = model.unwrap_or_else(|| panic!("{} is told as written", entry.id));
            let is_it = |line: &&crate::sheet::PriceLine| line.meter == row.meter && line.price == price;
            assert!(model.sheet.lines.iter().find(is_it).is_some(), "{} of {}", row.field, entry.id);
        }
    }
}

const TOKENS_AND_SIZES: &str = r#"
    "paint": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_token": 5e-06,
        "output_cost_per_image_token": 3.2e-05, "input_cost_per_token_batches": 2.5e-06},
    "high/1024-x-1024/paint": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": 0.133},
    "low/1024-x-1024/paint": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": 0.009},
    "x/low/1024-x-1024/paint": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": 0.009},
    "both": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_image": 0.134,
        "output_cost_per_image_token": 0.00012},
    "tokens": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_image_token": 0.00012}"#;

#[test]
fn tokens_of_a_model_that_is_priced_per_picture_are_not_told_as_written() {
    let entries = litellm(TOKENS_AND_SIZES);
    let written = written(&entries, false);
    holds_what_is_told(&entries, &written);
    let expected =
        ["both", "high/1024-x-1024/paint", "low/1024-x-1024/paint", "tokens", "x/low/1024-x-1024/paint"];
    assert_eq!(written.entries, expected);
    let (id, why) = &written.left_out[0];
    assert_eq!(id, "paint");
    let by = "priced per picture by high/1024-x-1024/paint, low/1024-x-1024/paint and 1 more";
    assert!(why.contains(by), "{why}");
    assert!(why.contains("service tier"), "{why}");
    assert_eq!(written.left_out.len(), 1);
    // Three entries price two sizes, `both` a picture, `tokens` its tokens.
    assert_eq!((written.lines, written.prices(&entries)), (4, (5, 4)));
    let both = entries.iter().position(|entry| entry.id == "both").expect("listed");
    assert_eq!(written.left_out(both, 0), None);
    assert_eq!(written.left_out(both, 1), Some("priced per picture by the same entry"));
}

#[test]
fn rows_that_say_different_things_of_one_leave_the_model_out() {
    let entries = litellm(
        r#""low/a": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": 0.1},
           "medium/a": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": 0.1},
           "x/low/a": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": 0.2},
           "b": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_image_token": 1e-05},
           "x/b": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_image_token": 2e-05}"#,
    );
    let written = written(&entries, false);
    assert!(written.files.is_empty(), "{:?}", written.files);
    assert_eq!(written.left_out.len(), 5);
    assert!(written.left_out.iter().all(|(_, why)| why.contains("price the same thing differently")));
}

#[test]
fn a_kind_is_named_after_its_provider_or_it_is_left_out() {
    let of = |providers: &[&str]| {
        let entry = |(index, provider): (usize, &&str)| {
            format!(
                r#""m{index}": {{"litellm_provider": {provider:?}, "mode": "image_generation", "output_cost_per_image": 1}}"#
            )
        };
        let entries: Vec<String> = providers.iter().enumerate().map(entry).collect();
        let written = written(&litellm(&entries.join(",")), false);
        let names: Vec<String> = written.files.iter().map(|(name, _)| name.clone()).collect();
        let why: Vec<String> = written.left_out.into_iter().map(|(_, why)| why).collect();
        (names, why)
    };
    for (provider, name) in [
        ("fal_ai", "litellm-fal-ai.toml"),
        ("My  Prov.2", "litellm-my-prov-2.toml"),
        ("--x__y--", "litellm-x-y.toml"),
    ] {
        assert_eq!(of(&[provider]), (vec![name.to_owned()], Vec::new()));
    }
    let long = "x".repeat(90);
    for provider in ["../../etc/x", "Über Prov!", "a\nb", "--", long.as_str()] {
        let (names, why) = of(&[provider]);
        assert!(names.is_empty(), "{names:?}");
        assert!(why[0].contains("provider"), "{why:?}");
    }
    let (names, why) = of(&["fal-ai", "fal_ai"]);
    assert_eq!(names, ["litellm-fal-ai.toml"]);
    assert_eq!(why, [r#"the providers "fal-ai" and "fal_ai" would both be the kind litellm-fal-ai"#]);
}

#[test]
fn whether_ours_has_an_official_source_is_a_matter_of_the_model() {
    let sizes = |model: &str| {
        let entry = |quality: &str| {
            format!(
                r#""{quality}1024-x-1024/{model}": {{"litellm_provider": "openai",
                    "mode": "image_generation", "input_cost_per_image": 0.009}}"#
            )
        };
        // Ours knows no quality of the name standard: that one cannot be compared.
        litellm(&[entry("standard/"), entry(""), entry("low/")].join(","))
    };
    // Its rates are a third party's.
    let entries = sizes("gpt-image-1.5");
    assert_eq!(written(&entries, false).entries.len(), 3, "{:?}", written(&entries, false).left_out);
    let offered: Vec<_> = found(&entries).into_iter().map(|finding| finding.offer_confidence).collect();
    assert_eq!(offered, [Some("third_party"); 3]);

    let official = litellm(
        r#""fal_ai/fal-ai/flux-pro/v1.1": {"litellm_provider": "fal_ai", "mode": "image_generation", "output_cost_per_image": 0.04},
           "fal_ai/high/fal-ai/flux-pro/v1.1": {"litellm_provider": "fal_ai", "mode": "image_generation", "output_cost_per_image": 0.05}"#,
    );
    let out = written(&official, false);
    assert_eq!(out.left_out.len(), 2);
    let why = "ours (fal/flux-1.1-pro) has an official source; --prefer-imported writes it all the same";
    assert!(out.left_out.iter().all(|(_, told)| told == why), "{:?}", out.left_out);
    assert_eq!(written(&official, true).entries.len(), 2);
}

#[test]
fn the_plan_has_old_and_new_and_what_is_held() {
    let entries = litellm(
        r#""black_forest_labs/flux-pro-1.1": {"litellm_provider": "black_forest_labs", "mode": "image_generation", "output_cost_per_image": 0.05},
           "black_forest_labs/flux-dev": {"litellm_provider": "black_forest_labs", "mode": "image_generation", "output_cost_per_image": 2.5},
           "free": {"litellm_provider": "x", "mode": "image_generation"},
           "x/new": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": 0.2, "output_cost_per_image": 0.1}"#,
    );
    let findings = compare(&entries, &CATALOGUE, now());
    let written = write::files(Format::Litellm, &entries, &findings, today(), true);
    let planned = plan(&entries, &findings, &written);
    let of = |entry: &str| planned.iter().filter(|price| price.entry == entry).collect::<Vec<_>>();
    let dearer = of("black_forest_labs/flux-pro-1.1")[0];
    assert_eq!((dearer.old_usd, dearer.new_usd), (Some(usd("0.04")), Some(usd("0.05"))));
    assert_eq!((dearer.percent, dearer.written), (Some("+25.00"), true));
    let held = of("black_forest_labs/flux-dev")[0];
    assert_eq!((held.standing, held.written, held.new_usd), (Standing::Held, false, Some(usd("2.5"))));
    assert_eq!(held.old_usd, Some(usd("0.025")));
    let why = "held: output_cost_per_image: above what is known, about 100 times: cents against dollars?";
    assert_eq!(held.why.as_deref(), Some(why));
    let free = of("free")[0];
    assert_eq!((free.written, free.new_usd), (false, None));
    assert_eq!(free.why.as_deref(), Some("the list names no price"));
    let new = of("x/new");
    assert_eq!(new.len(), 2, "a row of each price");
    assert!(new.iter().all(|price| price.written && price.old_usd.is_none()));
}
