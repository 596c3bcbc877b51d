//! Whole lists: which rows become prices of which lines of ours, and what is left alone.

use super::*;
use crate::catalogue::Catalogue;
use std::collections::BTreeMap;

fn rules(form: FeedForm, offers: &[&str]) -> FeedRules {
    FeedRules {
        name: form.name().to_owned(),
        form,
        guard: Guard::default(),
        offers: offers.iter().map(|offer| (*offer).to_owned()).collect(),
        precedence: std::sync::Arc::default(),
    }
}

/// Decisions by line.
fn told(book: &mut FeedBook, rules: &FeedRules, body: &str) -> BTreeMap<String, Told> {
    let told = take_in(book, rules, body, &CATALOGUE, now());
    told.into_iter().map(|one| (one.line.clone(), one)).collect()
}

const LITELLM: &str = r#"{
    "black_forest_labs/flux-pro-1.1": {"litellm_provider": "black_forest_labs", "mode": "image_generation", "output_cost_per_image": 0.05},
    "gpt-image-2.6-sunburst": {"litellm_provider": "openai", "mode": "image_generation", "output_cost_per_image_token": 3.75e-5},
    "fal_ai/fal-ai/nothing-of-ours": {"litellm_provider": "fal_ai", "mode": "image_generation", "output_cost_per_image": 0.05},
    "chat": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 1e-7}}"#;

#[test]
fn somebody_elses_list_is_believed_about_what_it_is_named_for() {
    let mut book = FeedBook::default();
    let first = told(&mut book, &rules(FeedForm::Litellm, &[]), LITELLM);
    let line = &first["openai/gpt-image-2.6-sunburst image-out"];
    assert_eq!((line.decision.as_str(), line.percent.as_deref()), ("kept", Some("+25.00")), "{line:?}");
    let line = &first["bfl/flux-1.1-pro picture"];
    assert_eq!((line.decision.as_str(), line.percent.as_deref()), ("accepted", Some("+25.00")), "{line:?}");
    assert_eq!(book.watches["bfl/flux-1.1-pro picture"].points[0].quote, dollars("0.05"));
    assert_eq!(book.watches.len(), 1, "our official price stays");
    assert_eq!(first.len(), 2, "what is not ours is left alone: {first:?}");
    let named = rules(FeedForm::Litellm, &["openai/gpt-image-2.6-sunburst"]);
    let told_of = told(&mut book, &named, LITELLM);
    assert_eq!(told_of.len(), 1, "it was named alone: {told_of:?}");
    assert_eq!(told_of["openai/gpt-image-2.6-sunburst image-out"].decision, "accepted");
    let other = told(&mut FeedBook::default(), &rules(FeedForm::Litellm, &["fal"]), LITELLM);
    assert!(other.is_empty(), "{other:?}");
}

/// Two feeds that disagree would make a price go to and fro with every poll, and end each other's holding.
#[test]
fn a_list_has_no_say_about_a_line_that_a_feed_of_its_own_tells() {
    let mapping = |text: &str| {
        let body = format!("{{\"flux\": \"{text}\"}}");
        let mapping = Mapping {
            target: Target { offer: "bfl/flux-1.1-pro".to_owned(), line: "picture".to_owned() },
            pointer: "/flux".to_owned(),
            at_pointer: None,
            usd: gallerist_domain::Decimal::ONE,
            per: 1,
        };
        (rules(FeedForm::Json(vec![mapping]), &[]), body)
    };
    let line = "bfl/flux-1.1-pro picture";
    let mut book = FeedBook::default();
    let (own, body) = mapping("5");
    assert_eq!(told(&mut book, &own, &body)[line].decision, "held");
    let list = rules(FeedForm::Litellm, &["bfl"]);
    let beside = &told(&mut book, &list, LITELLM)[line];
    assert_eq!(beside.decision, "kept");
    assert_eq!(beside.why.as_deref(), Some("the feed json tells this line"));
    assert!(book.watches[line].held.is_some(), "a person still has to look at it");
    let later = now() + SignedDuration::from_hours(49);
    let told = take_in(&mut book, &list, LITELLM, &CATALOGUE, later);
    let back = told.iter().find(|one| one.line == line).expect("it is told");
    assert_eq!(back.decision, "accepted", "the other feed has left");
}

#[test]
fn openrouters_rates_are_per_million_of_the_same_tokens() {
    let (_, model) = find("openrouter", "gpt-image-2");
    let of = |meter: Meter| model.sheet.lines.iter().find(|line| line.meter == meter).expect("it has one");
    let (text, image) = (of(Meter::TextInputTokens), of(Meter::ImageOutputTokens));
    let body = r#"{"data": [{"id": "openai/gpt-image-2", "architecture": {"output_modalities": ["image"]},
        "pricing": {"prompt": "0.000005", "image_token": "0.000045"}}]}"#;
    let mut book = FeedBook::default();
    let told = told(&mut book, &rules(FeedForm::Openrouter, &[]), body);
    let key = |id: &str| format!("openrouter/gpt-image-2 {id}");
    assert_eq!(told[&key(&text.id)].decision, "same", "{told:?}");
    let moved = &told[&key(&image.id)];
    assert_eq!(
        (moved.decision.as_str(), moved.percent.as_deref()),
        ("accepted", Some("+50.00")),
        "{moved:?}"
    );
    let point = book.watches[&key(&image.id)].points[0];
    assert!(point.quote.equals(Quoted { usd: usd("45"), per: 1_000_000 }), "{point:?}");
}

#[test]
fn fals_unit_price_is_that_of_the_units_it_reports() {
    let body = "{\"prices\": [{\"endpoint_id\": \"fal-ai/flux/dev\", \"unit_price\": 0.03, \"unit\": \"megapixels\", \
                \"currency\": \"USD\"}], \"next_cursor\": null, \"has_more\": false}\n\
                {\"prices\": [{\"endpoint_id\": \"fal-ai/flux-2-max\", \"unit_price\": 0.08, \"unit\": \"megapixels\"}, \
                {\"endpoint_id\": \"a/stranger\", \"unit_price\": 1, \"unit\": \"images\"}]}";
    let mut book = FeedBook::default();
    let told = told(&mut book, &rules(FeedForm::Fal, &[]), body);
    assert_eq!(told["fal/flux-1-dev units"].decision, "accepted");
    assert_eq!(told["fal/flux-1-dev units"].percent.as_deref(), Some("+20.00"));
    let base = CATALOGUE
        .line_price(&Target { offer: "fal/flux-1-dev".to_owned(), line: "units".to_owned() }, now())
        .expect("it has one");
    let point = book.watches["fal/flux-1-dev units"].points[0];
    assert!(point.quote.equals(Quoted { usd: usd("0.03"), per: base.quote.per }), "{point:?}");
    assert!(
        !told.keys().any(|line| line.starts_with("fal/flux-2-max")),
        "its first and further megapixels have two prices, and one figure does not say which: {told:?}"
    );
    let other = r#"{"prices": [{"endpoint_id": "fal-ai/flux/dev", "unit_price": 3, "unit": "megapixels", "currency": "JPY"}]}"#;
    let refused = take_in(&mut FeedBook::default(), &rules(FeedForm::Fal, &[]), other, &CATALOGUE, now());
    assert_eq!(refused[0].decision, "unreadable", "another currency is no price in dollars");
}

#[test]
fn openais_list_tells_when_models_end() {
    let body = |day: &str| {
        format!(r#"{{"object": "list", "data": [{{"id": "gpt-image-2", "shutdown_date": {day}}}]}}"#)
    };
    let rules = rules(FeedForm::OpenaiModels, &[]);
    let mut book = FeedBook::default();
    let line = "openai/gpt-image-2 retires_on";
    assert_eq!(told(&mut book, &rules, &body("null"))[line].decision, "same");
    assert_eq!(CATALOGUE.with_feeds(&book).digest, CATALOGUE.digest);
    assert_eq!(told(&mut book, &rules, &body("\"2027-03-01\""))[line].decision, "accepted");
    let ends = |catalogue: &Catalogue| {
        let models = &catalogue.provider("openai").expect("there").models;
        models.iter().find(|model| model.id == "gpt-image-2").expect("there").lifecycle.retires_on
    };
    let fed = CATALOGUE.with_feeds(&book);
    assert_eq!(ends(&fed), Some(jiff::civil::date(2027, 3, 1)));
    assert_ne!(fed.digest, CATALOGUE.digest);

    assert_eq!(told(&mut book, &rules, &body("\"2026-01-01\""))[line].decision, "held");
    assert_eq!(ends(&CATALOGUE.with_feeds(&book)), Some(jiff::civil::date(2027, 3, 1)), "the model stays");
    assert_eq!(book.held()[0].line, line);
    assert_eq!(book.confirm(&[line.to_owned()], &CATALOGUE, now()).len(), 1);
    assert_eq!(ends(&CATALOGUE.with_feeds(&book)), Some(jiff::civil::date(2026, 1, 1)));

    let mut taken_back = FeedBook::default();
    told(&mut taken_back, &rules, &body("\"2027-03-01\""));
    assert_eq!(told(&mut taken_back, &rules, &body("null"))[line].decision, "accepted");
    assert_eq!(ends(&CATALOGUE.with_feeds(&taken_back)), None);
    let broken = take_in(&mut taken_back, &rules, &body("\"soon\""), &CATALOGUE, now());
    assert_eq!(broken[0].decision, "unreadable");
}

#[test]
fn what_cannot_be_read_changes_nothing_but_the_feeds_own_state() {
    let forms =
        [FeedForm::Litellm, FeedForm::Openrouter, FeedForm::Fal, FeedForm::OpenaiModels, FeedForm::Spot];
    for form in forms {
        for body in ["", "<html>", "[]", "{}", "{\"data\": 1}", "{\"prices\": {}}"] {
            let (mut book, rules) = (FeedBook::default(), rules(form.clone(), &[]));
            let told = take_in(&mut book, &rules, body, &CATALOGUE, now());
            assert!(
                told.iter().all(|one| one.decision == "unreadable") && !told.is_empty(),
                "{form:?} {body}"
            );
            assert!(book.watches.is_empty() && book.ends.is_empty());
            assert!(book.feeds[&rules.name].fault.is_some() && book.feeds[&rules.name].succeeded.is_none());
        }
    }
}

/// Whoever tells of a model by another of its names tells of the model: it is in force, and believed by either name.
#[test]
fn an_alias_is_the_model_that_it_names() {
    let body = r#"{"prices": [{"offer": "bfl/flux-pro-1.1", "line": "picture", "usd": "0.05", "per": 1, "at": "2026-11-22T11:00:00Z"}]}"#;
    for named in [&[][..], &["bfl/flux-pro-1.1"], &["bfl/flux-1.1-pro"]] {
        let mut book = FeedBook::default();
        let told = told(&mut book, &rules(FeedForm::Spot, named), body);
        assert_eq!(told["bfl/flux-1.1-pro picture"].decision, "accepted", "{told:?}");
        let line = crate::feed::Target::new("bfl/flux-1.1-pro", "picture");
        let price = CATALOGUE.with_feeds(&book).line_price(&line, now()).expect("it has one").quote;
        assert_eq!(price, dollars("0.05"));
    }
}

/// An answer speaks of an endpoint's pictures: a drawing of lines is another option of it, at another price.
#[test]
fn a_base_price_of_fal_is_not_that_of_a_drawing_and_strangers_are_not_asked_for() {
    let body = r#"{"prices": [{"endpoint_id": "fal-ai/recraft/v3/text-to-image", "unit_price": 0.05, "unit": "image", "currency": "USD"}]}"#;
    let mut book = FeedBook::default();
    let told = told(&mut book, &rules(FeedForm::Fal, &[]), body);
    assert!(told.keys().all(|line| !line.starts_with("fal/recraft-v3-vector")), "{told:?}");
    let asked = fal_endpoints(&CATALOGUE, now());
    assert!(asked.iter().any(|name| name == "fal-ai/recraft/v3/text-to-image"));
    assert!(asked.iter().all(|name| name.contains('/')), "no word of ours is an endpoint: {asked:?}");
}

/// Of several pages of fal one may be no answer: that is told, and what the others say counts all the same.
#[test]
fn a_page_that_is_no_answer_is_told_beside_those_that_are() {
    let page = r#"{"prices": [{"endpoint_id": "fal-ai/flux-pro/v1.1", "unit_price": 0.05, "unit": "megapixels", "currency": "USD"}]}"#;
    let mut book = FeedBook::default();
    let told = told(&mut book, &rules(FeedForm::Fal, &[]), &format!("{page}\nbusy\n"));
    assert_eq!(told[""].decision, "unreadable", "{told:?}");
    assert!(told.len() > 1, "{told:?}");
    assert!(book.feeds.values().all(|status| status.fault.is_none()), "the feed itself answered");
}
