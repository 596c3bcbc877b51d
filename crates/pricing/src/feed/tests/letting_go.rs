//! Feeds that are let go: the catalogue's own price holds again as the catalogue's, and a feed that comes back is
//! believed again.

use super::*;
use crate::Catalogue;
use crate::sheet::{Confidence, PriceLine};

const OFFER: &str = "bfl/flux-2-pro";
const LINE: &str = "first-megapixel";
const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn told() -> Target {
    Target { offer: OFFER.to_owned(), line: LINE.to_owned() }
}

/// A feed that dates its own words, as a document that somebody keeps does.
fn house() -> FeedRules {
    let mapping = Mapping {
        target: told(),
        pointer: "/usd".to_owned(),
        at_pointer: Some("/at".to_owned()),
        usd: Decimal::ONE,
        per: 1,
    };
    FeedRules {
        name: "house".to_owned(),
        form: FeedForm::Json(vec![mapping]),
        guard: Guard::default(),
        offers: Vec::new(),
        precedence: std::sync::Arc::default(),
    }
}

/// What becomes of a poll at a minute that brings a price of another.
fn poll(book: &mut FeedBook, text: &str, of: i64, at: i64) -> String {
    let body = format!(r#"{{"usd": "{text}", "at": "{}"}}"#, minute(of));
    let told = take_in(book, &house(), &body, &CATALOGUE, minute(at));
    book.note_poll("house", minute(at), HOUR, true);
    told[0].decision.clone()
}

/// The price lines of the model in the order of their beginning.
fn lines(catalogue: &Catalogue) -> Vec<PriceLine> {
    let models = &catalogue.provider("bfl").expect("there").models;
    let model = models.iter().find(|model| model.id == "flux-2-pro").expect("there");
    let mut lines: Vec<_> = model.sheet.lines.iter().filter(|line| line.id == LINE).cloned().collect();
    lines.sort_by_key(|line| line.period.since);
    lines
}

fn line_at(book: &FeedBook, at: i64) -> PriceLine {
    let mut all = lines(&CATALOGUE.with_feeds(book)).into_iter();
    all.find(|line| line.period.contains(minute(at))).expect("there is a price")
}

fn own() -> PriceLine {
    lines(&CATALOGUE).into_iter().find(|line| line.period.contains(minute(0))).expect("there is a price")
}

fn six_cents_from_minute_ten() -> FeedBook {
    let mut book = FeedBook::default();
    assert_eq!(poll(&mut book, "0.06", 10, 15), "accepted");
    book
}

#[test]
fn a_start_without_the_settings_lets_go_only_when_nobody_asked_for_three_pauses() {
    let mut book = six_cents_from_minute_ten();
    let before = book.clone();
    // Due at minute 75; three pauses later is minute 255.
    for at in [16, 75, 255] {
        assert_eq!(book.leave(&[], &CATALOGUE, false, minute(at)), [""; 0], "at {at}");
        assert_eq!(book, before);
    }
    assert_eq!(book.leave(&[], &CATALOGUE, false, minute(256)), [told().to_string()]);
    assert_eq!(book.leave(&[], &CATALOGUE, false, minute(257)), [""; 0], "once");

    let mut other_settings = before;
    let left = other_settings.leave(&["another"], &CATALOGUE, false, minute(16));
    assert_eq!(left, [told().to_string()], "settings that name feeds, and not this one, are meant");
}

#[test]
fn letting_go_brings_back_the_catalogues_own_line_and_tells_nothing_of_the_feed() {
    let mut book = six_cents_from_minute_ten();
    assert_eq!(line_at(&book, 15).source.confidence, Confidence::ThirdParty);
    book.leave(&[], &CATALOGUE, false, minute(300));
    let (own, again) = (own(), line_at(&book, 300));
    assert_eq!((&again.source, &again.written), (&own.source, &own.written));
    assert_eq!(
        (again.price, again.price_expected, again.price_max),
        (own.price, own.price_expected, own.price_max)
    );
    assert_eq!((again.period.since, again.period.until), (Some(minute(300)), own.period.until));
    let of_feed = line_at(&book, 299);
    assert_eq!(Quoted::of(of_feed.price).usd, usd("0.06"), "the past stays");
    assert_eq!(of_feed.period.until, Some(minute(300)));
    let fed = CATALOGUE.with_feeds(&book);
    let all = lines(&fed);
    let attributed = all.iter().filter(|line| line.source.what.contains("house"));
    assert_eq!(attributed.map(|line| line.period.since).collect::<Vec<_>>(), [Some(minute(10))]);
    let history = crate::changes::changes(&fed, minute(200), minute(400));
    let kinds: Vec<&str> = history.iter().map(|change| change.kind).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "bfl").count(), 1, "{history:?}");
    assert!(kinds.len() > 1, "who resells it has the price back too: {kinds:?}");
}

#[test]
fn a_feed_that_is_configured_again_is_believed_again() {
    let mut book = six_cents_from_minute_ten();
    book.leave(&[], &CATALOGUE, false, minute(300));
    let gone = CATALOGUE.with_feeds(&book);
    assert_eq!(poll(&mut book, "0.06", 9, 310), "late", "it has told of a later price before");
    assert_eq!(poll(&mut book, "0.06", 10, 320), "accepted");
    assert_eq!(Quoted::of(line_at(&book, 320).price).usd, usd("0.06"));
    assert_eq!(line_at(&book, 320).period.since, Some(minute(10)), "from when on it says");
    assert_eq!(poll(&mut book, "0.06", 10, 380), "same");

    let between = CATALOGUE.with_feeds(&book.as_of(minute(305)));
    assert_eq!(between.digest, gone.digest, "what was quoted meanwhile is settled by the catalogue's price");

    book.leave(&[], &CATALOGUE, false, minute(900));
    assert_eq!(line_at(&book, 900).source, own().source, "gone once more");
    assert_eq!(poll(&mut book, "0.08", 950, 951), "accepted");
    assert_eq!(line_at(&book, 949).source, own().source, "news of after that leave it gone until then");
    assert_eq!(Quoted::of(line_at(&book, 950).price).usd, usd("0.08"));
}

#[test]
fn what_a_person_confirmed_of_a_feed_is_no_jump_when_it_comes_back() {
    let mut book = FeedBook::default();
    assert_eq!(poll(&mut book, "0.17", 10, 15), "held");
    assert_eq!(book.confirm(&[], &CATALOGUE, minute(16)).len(), 1);
    book.leave(&[], &CATALOGUE, false, minute(300));
    let mut jump = book.clone();
    assert_eq!(poll(&mut jump, "0.60", 10, 310), "held", "the guard stands");
    assert_eq!(poll(&mut book, "0.17", 10, 310), "accepted");
}

#[test]
fn a_kept_mark_is_read_by_versions_that_know_none() {
    let mut book = six_cents_from_minute_ten();
    assert!(
        !serde_json::to_string(&book).expect("JSON").contains("let_go"),
        "as before, where nothing is gone"
    );
    book.leave(&[], &CATALOGUE, false, minute(300));
    let text = serde_json::to_string(&book).expect("JSON");
    assert_eq!(serde_json::from_str::<FeedBook>(&text).expect("the same"), book);
    let read_by_others = text.replace(r#","let_go":true"#, "");
    assert_ne!(read_by_others, text);
    let earlier: FeedBook = serde_json::from_str(&read_by_others).expect("a book");
    assert_eq!(
        Quoted::of(line_at(&earlier, 300).price),
        Quoted::of(own().price),
        "the price is the same to them"
    );
}
