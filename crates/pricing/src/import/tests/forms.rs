//! What is no list, and what is said of an entry that has no price.

use super::*;

fn refused(format: Format, text: &str) -> (String, Option<Format>) {
    let error = read(format, text, "openai", today()).expect_err("no list");
    (error.to_string(), error.looks_like)
}

const LITELLM: &str =
    r#"{"a": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_image": 1}}"#;
const PORTKEY: &str = r#"{"name": "openai", "a": {"pricing_config": {"pay_as_you_go": {"image": {}}}}}"#;
const OPENROUTER: &str = r#"{"data": [{"id": "a", "architecture": {"output_modalities": ["image"]}}]}"#;

#[test]
fn a_list_of_another_format_fails_and_says_which_one_it_looks_like() {
    let lists = [(Format::Litellm, LITELLM), (Format::Portkey, PORTKEY), (Format::Openrouter, OPENROUTER)];
    for (format, _) in lists {
        for (other, text) in lists {
            match format == other {
                true => assert_eq!(read(format, text, "openai", today()).expect("its own").len(), 1),
                false => assert_eq!(refused(format, text).1, Some(other), "{text} as {}", format.name()),
            }
        }
    }
    let (why, _) = refused(Format::Portkey, LITELLM);
    assert!(why.contains("its only entry cannot be understood (a: pricing_config is missing)"), "{why}");
}

#[test]
fn one_entry_that_is_understood_makes_it_a_list() {
    let entries = litellm(r#""a": 7, "b": {"mode": "chat"}"#);
    assert_eq!(reason(&entries[0]).to_string(), "the entry is 7, not an object");
    assert_eq!(*reason(&entries[1]), Reason::NoPictures);
}

#[test]
fn what_is_no_list_says_what_form_it_should_have() {
    for (format, text, why) in [
        (Format::Litellm, "[]", "it is a list, where the format has an object of models by their names"),
        (Format::Portkey, "7", "it is a number, where the format has an object of models by their names"),
        (Format::Openrouter, "[]", r#"it is a list, where the format has {"data": [MODEL, …]}"#),
        (Format::Openrouter, "{}", "it has no list named data"),
        (Format::Openrouter, r#"{"data": []}"#, "it has no entry"),
        (Format::Litellm, "{}", "it has no entry"),
        (Format::Litellm, r#"{"sample_spec": {"mode": "chat"}}"#, "it has no entry"),
        (Format::Portkey, r#"{"name": "x", "default": {}}"#, "it has no entry"),
        (Format::Litellm, "{", "it is no JSON"),
    ] {
        let (told, looks_like) = refused(format, text);
        assert!(told.contains(why), "{told}");
        assert_eq!(looks_like.filter(|_| text != r#"{"data": []}"#), None);
    }
}

#[test]
fn a_reason_names_the_field() {
    let entries = litellm(
        r#""a": {"mode": "image_generation", "output_cost_per_image": 1},
           "b": {"litellm_provider": "x", "output_cost_per_image": 1},
           "c": {"litellm_provider": "x", "mode": 7},
           "d": {"litellm_provider": " ", "mode": "image_generation"},
           "e": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": -0.08},
           "f": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": "three cents"},
           "g": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": 1e-99},
           "h": {"litellm_provider": "x", "mode": "image_generation", "input_cost_per_image": null},
           "i": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_image": 1, "sparkle_price": 1},
           "j": {"litellm_provider": "x", "mode": "image_generation", "output_cost_per_image": 1}"#,
    );
    let told: Vec<String> = entries[..9].iter().map(|entry| reason(entry).to_string()).collect();
    let expected = [
        "litellm_provider is missing",
        "mode is missing",
        "mode is 7, not a text",
        "litellm_provider is empty",
        "input_cost_per_image is negative: -0.08",
        "input_cost_per_image is not a number: \"three cents\"",
        "input_cost_per_image is 1e-99, which is no amount that can be held exactly",
        "input_cost_per_image is not a number: null",
        "sparkle_price is a price that this reader does not know",
    ];
    assert_eq!(told, expected);
    assert!(!entries[9].rows().is_empty());
}

#[test]
fn openrouter_entries_without_a_name_are_counted() {
    let list = r#"{"data": [7, {"architecture": {}}, {"id": "a", "architecture": {}}]}"#;
    let entries = read(Format::Openrouter, list, "", today()).expect("a list");
    let told: Vec<_> = entries.iter().map(|entry| (entry.id.as_str(), reason(entry).to_string())).collect();
    assert_eq!(told[0], ("entry 1", "the entry is 7, not an object".to_owned()));
    assert_eq!(told[1], ("entry 2", "id is missing".to_owned()));
    assert_eq!(told[2].0, "a");
}

/// A model of Portkey's that has one price of a picture, with something beside it at each place.
fn with(file: &str, model: &str, config: &str, prices: &str, price: &str) -> Vec<Entry> {
    let price = format!(r#"{{"price": 4{price}}}"#);
    let prices = format!(r#"{{"image": {{"default": {{"default": {price}}}}}{prices}}}"#);
    let text = format!(r#""m": {{"pricing_config": {{"pay_as_you_go": {prices}{config}}}{model}}}{file}"#);
    portkey("openai", &text)
}

#[test]
fn amounts_of_portkey_in_another_currency_are_no_dollars() {
    let (none, euros) = ("", r#", "currency": "EUR""#);
    let usual = r#", "default": {"pricing_config": {"currency": "EUR"}}"#;
    let dollars = r#", "currency": "usd""#;
    for entries in [
        with(euros, none, none, none, none),
        with(usual, none, none, none, none),
        with(none, euros, none, none, none),
        with(none, none, euros, none, none),
        with(none, none, none, euros, none),
        with(none, none, none, none, euros),
        with(none, dollars, none, none, euros),
    ] {
        assert_eq!(reason(&entries[0]).to_string(), "currency is EUR, not USD");
        assert_eq!(reason(&entries[0]).code(), "currency");
        let findings = found(&entries);
        assert_eq!(findings[0].standing, Standing::Unpriced);
    }
    for entries in [with(none, dollars, none, none, none), with(usual, none, dollars, none, none)] {
        assert_eq!(shown(&entries[0]), ["images [] 0.04 / 1"], "an entry's own currency counts first");
    }
}

#[test]
fn a_price_of_portkey_that_nobody_knows_leaves_the_entry_unpriced() {
    let (none, price) = ("", r#"{"price": 1}"#);
    let unit = format!(r#", "additional_units": {{"sparkle_token": {price}}}"#);
    let field = format!(r#", "sparkle": {price}"#);
    for (prices, name) in [(unit, "sparkle_token"), (field, "sparkle")] {
        let entries = with(none, none, none, &prices, none);
        assert_eq!(*reason(&entries[0]), Reason::UnknownField(name.to_owned()));
    }
    let known = r#", "cache_write_input_token": {"price": 1}, "response_audio_token": {"price": 1},
        "additional_units": {"file_search": {"price": 1}, "default_steps": {"price": 28}}"#;
    let entries = with(none, none, none, known, none);
    assert_eq!(shown(&entries[0]), ["images [] 0.04 / 1"]);
    assert_eq!(entries[0].notes.len(), 4, "{:?}", entries[0].notes);
}
