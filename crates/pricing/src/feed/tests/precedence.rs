//! Several feeds that tell one line: one of them is heard, whoever was polled last.

use super::*;
use std::sync::Arc;

const LINE: &str = "bfl/flux-1.1-pro picture";
const ALLOWED: SignedDuration = SignedDuration::from_mins(30);

/// Spot feeds and one list of OpenAI's models for each of the names, in the order of the settings.
fn feeds(named: &[(&str, FeedForm)]) -> Vec<FeedRules> {
    let rules = |(name, form): &(&str, FeedForm)| FeedRules {
        name: (*name).to_owned(),
        form: form.clone(),
        guard: Guard::default(),
        offers: Vec::new(),
        precedence: Arc::default(),
    };
    let mut feeds: Vec<FeedRules> = named.iter().map(rules).collect();
    let order = precedence(feeds.iter());
    feeds.iter_mut().for_each(|feed| feed.precedence = Arc::clone(&order));
    feeds
}

fn says(book: &mut FeedBook, feed: &FeedRules, cents: i64, at: i64) -> (String, Option<String>) {
    let body =
        format!(r#"{{"prices": [{{"offer": "bfl/flux-1.1-pro", "line": "picture", "usd": "0.0{cents}"}}]}}"#);
    let told = take_in(book, feed, &body, &CATALOGUE, minute(at));
    book.mark_silence(&feed.name, ALLOWED, true, minute(at));
    let one = told.into_iter().find(|told| told.line == LINE).expect("it is told");
    (one.decision, one.why)
}

fn in_force(book: &FeedBook) -> (String, Quoted) {
    let watch = &book.watches[LINE];
    (watch.feed.clone(), watch.points.last().expect("something was accepted").quote)
}

#[test]
fn the_feed_that_stands_first_is_heard_whichever_is_polled_first_or_last() {
    let both = feeds(&[("first", FeedForm::Spot), ("second", FeedForm::Spot)]);
    let (first, second) = (&both[0], &both[1]);
    let mut book = FeedBook::default();
    assert_eq!(says(&mut book, second, 6, 0).0, "accepted", "nobody else has told it yet");
    assert_eq!(says(&mut book, first, 5, 1).0, "accepted");
    for at in 2..6 {
        let (decision, why) = says(&mut book, second, 6, at);
        assert_eq!(decision, "shadowed");
        assert!(why.is_some_and(|why| why.contains("\"first\" stands before")));
        assert_eq!(says(&mut book, first, 5, at).0, "same");
        assert_eq!(in_force(&book), ("first".to_owned(), dollars("0.05")));
    }
    assert_eq!(says(&mut book, second, 5, 6).0, "same", "it agrees");
    assert_eq!(book.watches[LINE].points.len(), 2, "the price did not go to and fro");
    assert_eq!(book.watches[LINE].feed, "first");
}

#[test]
fn a_shadowed_feed_neither_ends_nor_confirms_what_is_held() {
    let both = feeds(&[("first", FeedForm::Spot), ("second", FeedForm::Spot)]);
    let mut book = FeedBook::default();
    says(&mut book, &both[0], 5, 0);
    let jump = r#"{"prices": [{"offer": "bfl/flux-1.1-pro", "line": "picture", "usd": "0.19"}]}"#;
    let told = take_in(&mut book, &both[0], jump, &CATALOGUE, minute(1));
    assert_eq!(told[0].decision, "held");
    let held = book.watches[LINE].held.clone();
    assert_eq!(says(&mut book, &both[1], 6, 2).0, "shadowed");
    assert_eq!((&book.watches[LINE].held, held.is_some()), (&held, true));
}

#[test]
fn who_is_silent_for_two_days_or_has_left_the_settings_shadows_nobody() {
    let both = feeds(&[("first", FeedForm::Spot), ("second", FeedForm::Spot)]);
    let (first, second) = (&both[0], &both[1]);
    let mut book = FeedBook::default();
    says(&mut book, first, 5, 0);
    book.mark_silence("first", ALLOWED, true, minute(31));
    let two_days = 2 * 24 * 60;
    assert_eq!(says(&mut book, second, 6, 31 + two_days).0, "shadowed");
    assert_eq!(says(&mut book, second, 6, 32 + two_days).0, "accepted");
    assert_eq!(says(&mut book, first, 5, 33 + two_days).0, "accepted", "it is back");
    assert_eq!(says(&mut book, second, 6, 34 + two_days).0, "shadowed");

    let alone = feeds(&[("second", FeedForm::Spot)]);
    let mut of_other_settings = book.clone();
    assert_eq!(
        says(&mut of_other_settings, &alone[0], 6, 35 + two_days).0,
        "shadowed",
        "another gateway asks it"
    );
    book.leave(&["second"], &CATALOGUE, false, minute(35 + two_days));
    assert_eq!(says(&mut book, &alone[0], 6, 36 + two_days).0, "accepted");
}

#[test]
fn a_list_of_other_peoples_prices_comes_last_wherever_it_stands() {
    let both = feeds(&[("list", FeedForm::Litellm), ("own", FeedForm::Spot)]);
    assert_eq!(both[0].precedence[..], ["own".to_owned(), "list".to_owned()]);
    let list = r#"{"black_forest_labs/flux-pro-1.1":
        {"litellm_provider": "black_forest_labs", "mode": "image_generation", "output_cost_per_image": 0.05}}"#;
    let mut book = FeedBook::default();
    assert_eq!(take_in(&mut book, &both[0], list, &CATALOGUE, minute(0))[0].decision, "accepted");
    assert_eq!(says(&mut book, &both[1], 6, 1).0, "accepted");
    assert_eq!(take_in(&mut book, &both[0], list, &CATALOGUE, minute(2))[0].decision, "kept");
}

#[test]
fn of_two_lists_that_end_a_model_the_first_is_heard() {
    let both = feeds(&[("first", FeedForm::OpenaiModels), ("second", FeedForm::OpenaiModels)]);
    let body = |day: &str| format!(r#"{{"data": [{{"id": "gpt-image-2", "shutdown_date": "{day}"}}]}}"#);
    let mut book = FeedBook::default();
    let mut say = |feed: &FeedRules, day: &str, at: i64| {
        let told = take_in(&mut book, feed, &body(day), &CATALOGUE, minute(at));
        let day = book.retires_on("openai", "gpt-image-2").map(|day| day.to_string());
        (told[0].decision.clone(), day.expect("it ends"))
    };
    let of = |decision: &str, day: &str| (decision.to_owned(), day.to_owned());
    assert_eq!(say(&both[1], "2028-01-01", 0), of("accepted", "2028-01-01"));
    assert_eq!(say(&both[0], "2027-03-01", 1), of("accepted", "2027-03-01"));
    assert_eq!(say(&both[1], "2028-01-01", 2), of("shadowed", "2027-03-01"));
    assert_eq!(say(&both[1], "2027-03-01", 3), of("same", "2027-03-01"));
}
