use super::*;
use crate::Facts;
use crate::quote::bounds;
use crate::testing::{CATALOGUE, default_call, find, instant, now, usd};
use gallerist_domain::{Decimal, Meter};

fn dollars(text: &str) -> Quoted {
    Quoted { usd: usd(text), per: 1 }
}

fn target() -> Target {
    Target { offer: "bfl/flux-1.1-pro".to_owned(), line: "images".to_owned() }
}

fn minute(minute: i64) -> Timestamp {
    now() + SignedDuration::from_mins(minute)
}

/// A line that the catalogue has.
fn real() -> Target {
    let (_, model) = find("bfl", "flux-1.1-pro");
    Target { line: model.sheet.lines[0].id.clone(), ..target() }
}

fn four_cents(since: Option<Timestamp>) -> Base {
    Base { quote: dollars("0.04"), since }
}

/// A poll at a minute that tells a price of that minute, over a base of four cents.
fn poll(watch: &mut Watch, at: i64, text: &str) -> Decision {
    let seen = Observation { target: target(), quote: dollars(text), at: minute(at) };
    observe(watch, four_cents(None), &seen, minute(at), AGREEING)
}

/// A second poll that agrees is enough.
const AGREEING: Guard = Guard { jump_factor: JUMP_FACTOR, agreeing_polls: 1 };

fn accepted(at: i64, text: &str) -> Decision {
    Decision::Accepted(PricePoint {
        quote: dollars(text),
        since: minute(at),
        believed: Some(minute(at)),
        let_go: false,
    })
}

#[test]
fn a_price_that_moves_a_little_is_believed_at_once() {
    let mut watch = Watch::default();
    assert_eq!(poll(&mut watch, 0, "0.04"), Decision::Same);
    assert_eq!(poll(&mut watch, 1, "0.05"), accepted(1, "0.05"));
    assert_eq!(poll(&mut watch, 2, "0.05"), Decision::Same);
    assert_eq!(poll(&mut watch, 3, "0.15"), accepted(3, "0.15"), "three times is not over the factor");
    assert_eq!(poll(&mut watch, 4, "0.05"), accepted(4, "0.05"));
    assert_eq!(watch.points.len(), 3);
}

#[test]
fn a_jump_waits_for_a_second_poll_that_agrees() {
    let mut watch = Watch::default();
    assert!(matches!(poll(&mut watch, 0, "0.20"), Decision::Held(_)));
    assert_eq!(watch.points, [], "the last known good price stays");
    assert!(matches!(poll(&mut watch, 1, "0.30"), Decision::Held(_)), "another jump does not agree");
    assert!(matches!(poll(&mut watch, 1, "0.30"), Decision::Held(_)), "the same poll is no second one");
    assert_eq!(poll(&mut watch, 2, "0.31"), accepted(2, "0.31"));
    assert!(watch.held.is_none());
}

#[test]
fn a_price_that_comes_back_ends_the_holding() {
    let mut watch = Watch::default();
    poll(&mut watch, 0, "0.20");
    assert_eq!(poll(&mut watch, 1, "0.04"), Decision::Same);
    assert!(watch.held.is_none());
    assert!(matches!(poll(&mut watch, 2, "0.20"), Decision::Held(_)), "twice, but not in a row");
}

#[test]
fn mistaken_units_wait_for_a_person_however_often_they_are_told() {
    for mistaken in ["4", "40", "40000", "0.0004", "0.00004"] {
        let mut watch = Watch::default();
        for at in 0..5 {
            assert!(matches!(poll(&mut watch, at, mistaken), Decision::Held(_)), "{mistaken}");
        }
        assert!(watch.points.is_empty());
        let point = confirm(&mut watch, minute(5)).expect("something is held");
        assert_eq!((point.quote, point.since), (dollars(mistaken), minute(4)));
        assert_eq!(poll(&mut watch, 6, mistaken), Decision::Same);
    }
    assert_eq!(confirm(&mut Watch::default(), now()), None);
}

#[test]
fn what_is_no_price_of_now_is_refused() {
    let mut watch = Watch::default();
    assert!(matches!(poll(&mut watch, 0, "0"), Decision::Refused(_)));
    let ahead = Observation { target: target(), quote: dollars("0.05"), at: minute(60) };
    assert!(matches!(
        observe(&mut watch, four_cents(None), &ahead, now(), Guard::default()),
        Decision::Refused(_)
    ));
    assert_eq!(poll(&mut watch, 5, "0.05"), accepted(5, "0.05"));
    let late = Observation { target: target(), quote: dollars("0.045"), at: minute(1) };
    assert_eq!(observe(&mut watch, four_cents(None), &late, minute(6), Guard::default()), Decision::Late);
}

#[test]
fn a_price_of_ours_that_is_younger_than_the_feeds_word_is_what_holds() {
    let mut watch = Watch::default();
    assert_eq!(poll(&mut watch, 5, "0.05"), accepted(5, "0.05"));
    // A new edition of the catalogue dates its own price later.
    let base = four_cents(Some(minute(10)));
    assert_eq!(watch.in_force(base), None);
    let told = |at: i64, text: &str| Observation { target: target(), quote: dollars(text), at: minute(at) };
    let mut see = |seen: &Observation, at| observe(&mut watch, base, seen, minute(at), Guard::default());
    assert_eq!(see(&told(5, "0.05"), 20), Decision::Late, "its word is older than ours");
    assert_eq!(see(&told(5, "0.04"), 20), Decision::Same, "whatever its age");
    assert_eq!(see(&told(21, "0.05"), 21), accepted(21, "0.05"), "said again, it is news");
    assert_eq!(see(&told(22, "0.05"), 22), Decision::Same);
}

#[test]
fn what_a_feed_told_that_is_gone_holds_no_longer() {
    let mut book = FeedBook::default();
    let base = CATALOGUE.line_price(&real(), now()).expect("it has a price");
    let dearer = Quoted { usd: base.quote.usd.checked_mul(2).expect("small"), per: base.quote.per };
    let mut watch = Watch { feed: "spot".to_owned(), ..Watch::default() };
    let seen = Observation { target: real(), quote: dearer, at: minute(1) };
    observe(&mut watch, base, &seen, minute(1), Guard::default());
    book.watches.insert(real().to_string(), watch);
    assert_eq!(book.leave(&["spot"], &CATALOGUE, false, minute(5)), [""; 0]);
    assert_eq!(book.leave(&["other"], &CATALOGUE, false, minute(5)), [real().to_string()]);
    assert_eq!(book.leave(&["other"], &CATALOGUE, false, minute(6)), [""; 0], "once");
    let fed = CATALOGUE.with_feeds(&book);
    assert_eq!(fed.line_price(&real(), minute(4)).expect("priced").quote, dearer, "the past stays");
    assert!(fed.line_price(&real(), minute(5)).expect("priced").quote.equals(base.quote));
}

#[test]
fn a_feed_that_another_gateway_asks_is_not_gone() {
    let base = CATALOGUE.line_price(&real(), now()).expect("it has a price");
    let dearer = Quoted { usd: base.quote.usd.checked_mul(2).expect("small"), per: base.quote.per };
    let mut watch = Watch { feed: "spot".to_owned(), ..Watch::default() };
    let seen = Observation { target: real(), quote: dearer, at: minute(1) };
    observe(&mut watch, base, &seen, minute(1), Guard::default());
    let mut book = FeedBook::default();
    book.watches.insert(real().to_string(), watch);
    book.note_poll("spot", minute(1), SignedDuration::from_mins(10), true);
    assert_eq!(book.leave(&[], &CATALOGUE, true, minute(12)), [""; 0], "it is late");
    assert_eq!(book.leave(&[], &CATALOGUE, true, minute(41)), [""; 0]);
    assert_eq!(
        book.leave(&[], &CATALOGUE, true, minute(42)),
        [real().to_string()],
        "three times nobody asked"
    );
    assert!(book.feeds.is_empty());
}

#[test]
fn an_answer_is_older_than_what_was_asked_for_later_unless_that_clock_is_wrong() {
    let mut book = FeedBook::default();
    book.note_poll("spot", minute(10), SignedDuration::from_mins(10), true);
    book.note_poll("spot", minute(12), SignedDuration::from_mins(10), false);
    let status = book.feeds["spot"].clone();
    assert!(status.is_newer_than(minute(9)));
    assert!(!status.is_newer_than(minute(10)) && !status.is_newer_than(minute(11)), "a failure told nothing");
    assert!(!status.is_newer_than(minute(4)), "ten minutes and more ahead is no time");
    assert_eq!(status.idle(minute(15)), Some(SignedDuration::from_mins(3)));
    assert_eq!(status.idle(minute(11)), Some(SignedDuration::ZERO));
    assert_eq!(status.idle(minute(5)), None);
    book.note_success("spot", minute(20));
    assert_eq!(book.feeds["spot"].asked, Some(minute(10)), "kept beside");
}

#[test]
fn of_several_words_about_a_line_in_one_answer_the_first_counts() {
    let rules = FeedRules {
        name: "spot".to_owned(),
        form: FeedForm::Spot,
        guard: Guard::default(),
        offers: Vec::new(),
        precedence: std::sync::Arc::default(),
    };
    let line = real().line;
    let word = |usd: &str| format!(r#"{{"offer": "bfl/flux-1.1-pro", "line": "{line}", "usd": "{usd}"}}"#);
    let body = format!(r#"{{"prices": [{}, {}, {}]}}"#, word("0.05"), word("0.14"), word("0.4"));
    let mut book = FeedBook::default();
    let told = take_in(&mut book, &rules, &body, &CATALOGUE, now());
    let decisions: Vec<_> = told.iter().map(|told| told.decision.as_str()).collect();
    assert_eq!(decisions, ["accepted", "refused", "refused"]);
    assert_eq!(book.watches[&real().to_string()].points.len(), 1);
}

#[test]
fn editions_go_with_the_points_that_they_need() {
    let mut book = FeedBook::default();
    let mut watch = Watch::default();
    book.note_edition("old", minute(1));
    book.note_edition("new", minute(5_000));
    for at in 0..1_002 {
        let text = if at % 2 == 0 { "0.05" } else { "0.06" };
        assert!(matches!(poll(&mut watch, at * 2, text), Decision::Accepted(_)));
    }
    book.watches.insert(target().to_string(), watch);
    book.forget_editions();
    assert_eq!(book.editions.keys().collect::<Vec<_>>(), ["new"]);
}

#[test]
fn a_feed_that_says_nothing_for_three_polls_is_stale() {
    let allowed = SignedDuration::from_mins(30);
    let mut watch = Watch::default();
    assert!(is_stale(&watch, allowed, now()), "never polled");
    poll(&mut watch, 0, "0.04");
    assert!(!is_stale(&watch, allowed, minute(30)));
    assert!(is_stale(&watch, allowed, minute(31)));
}

#[test]
fn an_accepted_price_holds_from_its_instant_and_not_before() {
    let (_, model) = find("bfl", "flux-1.1-pro");
    let target = Target { offer: "bfl/flux-1.1-pro".to_owned(), line: model.sheet.lines[0].id.clone() };
    let base = CATALOGUE.line_price(&target, now()).expect("it has a price");
    let dearer = Quoted { usd: base.quote.usd.checked_mul(2).expect("small"), per: base.quote.per };
    let mut watch = Watch::default();
    let seen = Observation { target: target.clone(), quote: dearer, at: minute(10) };
    assert!(matches!(observe(&mut watch, base, &seen, minute(10), Guard::default()), Decision::Accepted(_)));
    let book = FeedBook { watches: [(target.to_string(), watch)].into(), ..FeedBook::default() };

    let kept: FeedBook =
        serde_json::from_str(&serde_json::to_string(&book).expect("JSON")).expect("the same");
    assert_eq!(kept, book, "the book survives being kept");
    let catalogue = CATALOGUE.with_feeds(&book);
    assert_ne!(catalogue.digest, CATALOGUE.digest);
    let fed =
        catalogue.provider("bfl").expect("there").models.iter().find(|m| m.id == model.id).expect("there");
    let call = default_call(&model);
    let price =
        |sheet: &crate::sheet::PriceSheet, at| bounds(sheet, &Facts::of(&call), at).expect("priced").expected;
    let before = price(&model.sheet, now());
    assert_eq!(price(&fed.sheet, minute(9)), before, "the past stays");
    assert_eq!(price(&fed.sheet, minute(10)), before.checked_mul(2).expect("small"));
    let history = crate::changes::changes(&catalogue, minute(5), minute(15));
    assert!(history.iter().all(|change| change.turn.code() == "price" && change.model.id == model.id));
    let kinds: Vec<&str> = history.iter().map(|change| change.kind).collect();
    assert_eq!(
        kinds,
        ["bfl", "litellm", "portkey", "vercel"],
        "it is part of the history, also of those who resell it"
    );
}

#[test]
fn a_catalogue_without_accepted_prices_is_the_same_catalogue() {
    assert_eq!(CATALOGUE.with_feeds(&FeedBook::default()).digest, CATALOGUE.digest);
}

#[test]
fn a_json_feed_is_read_by_pointers_and_digits() {
    let body = r#"{"at": "2026-11-22T11:00:00Z", "gpu/hour": [{"cents": 1.7e2}], "none": null}"#;
    let mapping = |pointer: &str| Mapping {
        target: target(),
        pointer: pointer.to_owned(),
        at_pointer: Some("/at".to_owned()),
        usd: Decimal::new(1, 2),
        per: 3600,
    };
    let mappings = [mapping("/gpu~1hour/0/cents"), mapping("/gpu~1hour/1/cents"), mapping("/none")];
    let read = json(body, &mappings, now(), |_| Some(Meter::GpuSeconds));
    let quote = Quoted { usd: usd("1.7"), per: 3_600_000_000 };
    let expected = Observation { target: target(), quote, at: instant("2026-11-22T11:00:00Z") };
    assert_eq!(read[0], Ok(expected));
    assert!(read[1..].iter().all(|line| matches!(line, Err(NotAFeed::NoAmount { .. }))));
    assert_eq!(json("<html>", &mappings, now(), |_| None), [Err(NotAFeed::NotJson)]);
}

#[test]
fn a_spot_feed_names_its_lines() {
    let body = r#"{"prices": [
        {"offer": "bfl/flux-1.1-pro", "line": "images", "usd": "0.05", "at": "2026-11-22T11:00:00Z"},
        {"offer": "bfl/flux-1.1-pro", "line": "images", "usd": "much"},
        {"offer": "nobody/nothing", "line": "images", "usd": 1}]}"#;
    let known = |target: &Target| target.offer.starts_with("bfl").then_some(Meter::Images);
    let read = spot(body, now(), known);
    assert_eq!(read[0].as_ref().map(|seen| seen.quote), Ok(dollars("0.05")));
    assert_eq!(read[1], Err(NotAFeed::NotSpot(1)));
    assert!(matches!(read[2], Err(NotAFeed::NoLine(_))));
}

mod letting_go;
mod lists;
mod precedence;
mod silence;

/// Who resells it takes the maker's price, whoever told it; what it adds is its own.
#[test]
fn a_makers_new_price_is_that_of_its_resellers() {
    let mut watch = Watch::default();
    assert!(matches!(poll(&mut watch, 1, "0.05"), Decision::Accepted(_)));
    let mut book = FeedBook::default();
    book.watches.insert(real().to_string(), watch.clone());
    let price = |book: &FeedBook, kind: &str| {
        let fed = CATALOGUE.with_feeds(book);
        let offer = format!("{kind}/flux-1.1-pro");
        fed.line_price(&Target::new(&offer, &real().line), minute(2)).expect("a line").quote.usd
    };
    assert_eq!(["bfl", "litellm", "portkey"].map(|kind| price(&book, kind)), [usd("0.05"); 3]);
    let mut own = Watch::default();
    assert!(matches!(poll(&mut own, 1, "0.06"), Decision::Accepted(_)));
    book.watches.insert(Target::new("litellm/flux-1.1-pro", &real().line).to_string(), own);
    assert_eq!(["bfl", "litellm"].map(|kind| price(&book, kind)), [usd("0.05"), usd("0.06")]);
}
