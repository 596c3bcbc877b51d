//! Feeds that fall silent, and what was believed at an earlier instant.

use super::*;
use crate::quote::Unpriced;
use gallerist_domain::Ticks;

const LINE: &str = "bfl/flux-1.1-pro picture";

fn spot(form: FeedForm) -> FeedRules {
    FeedRules {
        name: "gpu".to_owned(),
        form,
        guard: Guard::default(),
        offers: Vec::new(),
        precedence: std::sync::Arc::default(),
    }
}

fn body(cents: i64) -> String {
    format!(r#"{{"prices": [{{"offer": "bfl/flux-1.1-pro", "line": "picture", "usd": "0.0{cents}"}}]}}"#)
}

/// The expected price, or why there is none.
fn priced(book: &FeedBook, at: i64) -> Result<Ticks, String> {
    let fed = CATALOGUE.with_feeds(book);
    let models = &fed.provider("bfl").expect("there").models;
    let model = models.iter().find(|model| model.id == "flux-1.1-pro").expect("there");
    let call = default_call(model);
    bounds(&model.sheet, &Facts::of(&call), minute(at))
        .map(|bounds| bounds.expected)
        .map_err(|why| why.to_string())
}

const ALLOWED: SignedDuration = SignedDuration::from_mins(30);

#[test]
fn a_spot_price_that_nobody_tells_any_more_is_unknown_and_never_zero() {
    let mut book = FeedBook::default();
    take_in(&mut book, &spot(FeedForm::Spot), &body(5), &CATALOGUE, minute(0));
    assert_eq!(priced(&book, 10), Ok(usd("0.05")));
    assert_eq!(book.mark_silence("gpu", ALLOWED, true, minute(30)), (Vec::new(), false));
    book.note_failure("gpu", "gone".to_owned(), minute(31));
    assert_eq!(book.mark_silence("gpu", ALLOWED, true, minute(31)), (vec![LINE.to_owned()], true));
    assert_eq!(book.mark_silence("gpu", ALLOWED, true, minute(32)), (Vec::new(), false), "said once");
    assert_eq!(priced(&book, 30), Ok(usd("0.05")), "what was accepted before keeps its price");
    assert_eq!(priced(&book, 31), Err(Unpriced::Stale(minute(31)).to_string()));

    take_in(&mut book, &spot(FeedForm::Spot), &body(5), &CATALOGUE, minute(40));
    book.mark_silence("gpu", ALLOWED, true, minute(40));
    assert_eq!(priced(&book, 41), Ok(usd("0.05")), "it speaks again");
    assert_eq!(book.feeds["gpu"].stale_since, None);
}

#[test]
fn another_feeds_last_price_goes_on_with_a_warning() {
    let mut book = FeedBook::default();
    let mapping = Mapping {
        target: Target { offer: "bfl/flux-1.1-pro".to_owned(), line: "picture".to_owned() },
        pointer: "/usd".to_owned(),
        at_pointer: None,
        usd: Decimal::ONE,
        per: 1,
    };
    let rules = spot(FeedForm::Json(vec![mapping]));
    take_in(&mut book, &rules, r#"{"usd": 0.05}"#, &CATALOGUE, minute(0));
    book.mark_silence("gpu", ALLOWED, false, minute(60));
    assert_eq!(priced(&book, 61), Ok(usd("0.05")));
    let fed = CATALOGUE.with_feeds(&book);
    let models = &fed.provider("bfl").expect("there").models;
    let model = models.iter().find(|model| model.id == "flux-1.1-pro").expect("there");
    assert!(model.sheet.stale[0].1.contains("gpu"), "{:?}", model.sheet.stale);
    still_told(&mut book, "gpu", minute(61));
    book.mark_silence("gpu", ALLOWED, false, minute(62));
    assert_eq!(book.watches[LINE].silent, None, "an answer that has not changed is told again");
}

#[test]
fn what_was_believed_at_an_instant_can_be_had_again() {
    let mut book = FeedBook::default();
    take_in(&mut book, &spot(FeedForm::Spot), &body(5), &CATALOGUE, minute(0));
    let first = CATALOGUE.with_feeds(&book);
    book.note_edition(&first.digest, minute(0));
    // It says at the tenth minute that the price is another since the fifth.
    let late = r#"{"prices": [{"offer": "bfl/flux-1.1-pro", "line": "picture", "usd": "0.06", "at": "AT"}]}"#;
    let late = late.replace("AT", &minute(5).to_string());
    take_in(&mut book, &spot(FeedForm::Spot), &late, &CATALOGUE, minute(10));
    assert_eq!(priced(&book, 6), Ok(usd("0.06")));
    let then = book.as_of(book.editions[&first.digest]);
    assert_eq!(CATALOGUE.with_feeds(&then).digest, first.digest);
    assert_eq!(priced(&then, 6), Ok(usd("0.05")), "what was quoted at the sixth minute cost this");
}
