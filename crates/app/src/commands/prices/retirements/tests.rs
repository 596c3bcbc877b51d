use super::*;
use crate::config::everything;
use gallerist_pricing::{Catalogue, offers};
use gallerist_routing::Member;
use gallerist_routing::name_book::PLAIN;
use serde_json::json;

fn offer(id: &str) -> Offer {
    let catalogue = Catalogue::embedded();
    let all = offers(&catalogue, &everything(&catalogue, &[]));
    all.into_iter().find(|offer| offer.id.to_string() == id).unwrap()
}

#[test]
fn own_requests_are_priced_as_they_were_asked() {
    let (old, new) = (offer("openai/gpt-image-1.5"), offer("openai/gpt-image-2"));
    let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
    let one = json!({"prompt_characters": 20, "n": 1, "size": "1024x1024", "quality": "low"});
    let four = json!({"prompt_characters": 20, "n": 4, "size": "1024x1536", "quality": "high"});
    let price =
        |asked: &Value, offer: &Offer| expected("gpt-image-1.5", asked, offer, &PLAIN, now).unwrap().0;
    assert!(price(&four, &old).get() > 8 * price(&one, &old).get(), "size, quality and number count");
    let asked = [("gpt-image-1.5".to_owned(), one.clone()), ("gpt-image-1.5".to_owned(), four.clone())];
    let own = own(&asked, &old, &new, &PLAIN, now);
    assert_eq!((own.requests, own.not_comparable), (2, 0));
    assert_eq!(own.expected_usd, price(&one, &old) + price(&four, &old));
    assert_eq!(own.difference_usd, price(&one, &new) + price(&four, &new) - own.expected_usd);
}

#[test]
fn what_the_successor_cannot_make_is_counted_apart() {
    let (old, new) = (offer("openai/gpt-image-1.5"), offer("openai/gpt-image-2"));
    let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
    let unknown = [("auto".to_owned(), Value::Null)];
    assert_eq!(own(&unknown, &old, &new, &PLAIN, now).not_comparable, 1);
}

#[test]
fn requests_of_a_route_are_priced_by_its_class_whomever_it_allows() {
    let (old, new) = (offer("openai/gpt-image-1.5"), offer("openai/gpt-image-2"));
    let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
    let only = vec![Member::parse("gpt-image-1.5")];
    let fine = Route {
        models_only: only.clone(),
        class: Some(gallerist_domain::QualityClass::High),
        ..Route::named("fine")
    };
    let names =
        NameBook::new(vec![fine, Route { models_only: only, ..Route::named("plain") }], BTreeMap::new());
    let asked = json!({"prompt_characters": 20, "n": 1, "size": "1024x1024"});
    let by = |route: &str| own(&[(route.to_owned(), asked.clone())], &old, &new, &names, now);
    let (fine, plain) = (by("fine"), by("plain"));
    assert_eq!((fine.requests, plain.requests), (1, 1));
    assert!(fine.expected_usd > plain.expected_usd, "{fine:?} {plain:?}");
}

/// Of one offer that ends, with own requests or without.
fn ending(own: Option<Own>) -> Retirement {
    let official = Trust::of(Some((Confidence::Official, jiff::civil::date(2026, 11, 20))));
    let guessed = Trust::of(Some((Confidence::Unverified, jiff::civil::date(2026, 11, 20))));
    Retirement {
        offer: "openai/gpt-image-1.5".to_owned(),
        retires_on: Some(jiff::civil::date(2026, 12, 1)),
        deprecated_on: None,
        successor: Some("openai/gpt-image-2".to_owned()),
        expected_usd: Some("0.04".parse().unwrap()),
        trust: official,
        successor_expected_usd: Some("0.05".parse().unwrap()),
        successor_trust: guessed.into(),
        images: own.as_ref().map(|_| 7),
        own,
    }
}

#[test]
fn a_figure_in_doubt_is_marked_and_told_in_json() {
    let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
    let plain = told(&[ending(None)], now);
    assert!(plain.contains("$0.04 ") && plain.contains("$0.05~") && plain.contains("~ rests on"), "{plain}");
    assert!(!plain.contains("own requests") && !plain.contains("DIFFERENCE") && !plain.contains("30 days"));
    // Even an official price is in doubt when it was read long ago.
    let later = told(&[ending(None)], "2027-06-01T00:00:00Z".parse().unwrap());
    assert!(later.contains("$0.04~"), "{later}");
    let json = serde_json::to_value(ending(None)).unwrap();
    assert_eq!((&json["confidence"], &json["as_of"]), (&json!("official"), &json!("2026-11-20")));
    assert_eq!(json["successor_confidence"], "unverified");
}

#[test]
fn own_requests_are_as_sure_as_the_least_sure_of_them() {
    let (old, new) = (offer("openai/gpt-image-1.5"), offer("openai/gpt-image-2"));
    let now: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
    let one = json!({"prompt_characters": 20, "n": 1, "size": "1024x1024", "quality": "low"});
    let alone = expected("gpt-image-2", &one, &new, &PLAIN, now).unwrap().1;
    assert!(alone.told().is_some());
    let own = own(&[("gpt-image-1.5".to_owned(), one)], &old, &new, &PLAIN, now);
    assert_eq!(Trust::from(own.successor_trust), alone);
    let json = serde_json::to_value(&own).unwrap();
    assert!(json["confidence"].is_string() && json["successor_as_of"].is_string(), "{json}");
    let table = told(&[ending(Some(own))], now);
    assert!(table.to_lowercase().contains("own requests") && table.contains("priced again"), "{table}");
    let day = |month| jiff::civil::date(2026, month, 1);
    let sure = Trust::of(Some((Confidence::Official, day(11))));
    let older = Trust::of(Some((Confidence::Official, day(1))));
    assert_eq!((sure.with(older), older.with(sure)), (older, older));
    assert_eq!(Trust::default().with(sure), sure);
}
