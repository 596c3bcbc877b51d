use super::*;
use crate::testing::{OFFERS, ask, context, index, instant, now};
use gallerist_domain::ImageRequest;
use jiff::ToSpan as _;

fn report(request: &ImageRequest, at: Timestamp) -> QuoteReport {
    quotes(request, context(at)).expect("a known name")
}

#[test]
fn lines_add_up_to_the_quote() {
    for n in [1, 3, 10] {
        let mut request = ask("auto");
        request.n = n;
        let report = report(&request, now());
        assert!(report.offers.len() > 20);
        for offer in &report.offers {
            let sum = |amount: fn(&LineQuote) -> Ticks| offer.lines.iter().map(amount).sum::<Ticks>();
            assert!(offer.min_usd <= offer.expected_usd && offer.expected_usd <= offer.max_usd);
            assert_eq!(sum(|line| line.amount_usd), offer.expected_usd, "{} n={n}", offer.offer);
            assert_eq!(sum(|line| line.amount_min_usd), offer.min_usd, "{} n={n}", offer.offer);
            assert_eq!(sum(|line| line.amount_max_usd), offer.max_usd, "{} n={n}", offer.offer);
            assert!(offer.lines.iter().all(|line| !line.source.is_empty() && !line.as_of.is_empty()));
        }
        for excluded in &report.excluded {
            assert!(!excluded.reason.is_empty() && !excluded.change.is_empty(), "{}", excluded.offer);
        }
    }
}

#[test]
fn a_quote_is_good_for_an_hour_unless_something_dated_changes() {
    let table = [
        ("bfl/flux-2-pro", "2026-11-25T12:00:00Z", "2026-11-25T13:00:00Z"),
        // The promotion of the launch week begins and ends.
        ("bfl/flux-3-image", "2026-10-01T14:30:00Z", "2026-10-01T15:00:00Z"),
        ("bfl/flux-3-image", "2026-10-08T14:59:00Z", "2026-10-08T15:00:00Z"),
        ("bfl/flux-3-image", "2026-10-08T15:00:00Z", "2026-10-08T16:00:00Z"),
        // The model is offered from midnight on.
        ("openai/gpt-image-2.6-flare", "2026-11-03T23:20:00Z", "2026-11-04T00:00:00Z"),
        // The model retires at midnight.
        ("openai/gpt-image-1.5", "2026-11-30T23:20:00Z", "2026-12-01T00:00:00Z"),
        ("openai/gpt-image-1.5", "2026-11-30T22:20:00Z", "2026-11-30T23:20:00Z"),
    ];
    for (model, at, until) in table {
        let mut request = ask(model);
        request.size = gallerist_domain::SizeChoice::Auto;
        assert_eq!(report(&request, instant(at)).valid_until, instant(until), "{model} at {at}");
    }
}

/// The promotion of October has a beginning; before anybody read the prices, the earliest known stand for them.
#[test]
fn a_quote_of_a_day_before_the_record_says_so() {
    let quoted = |at: &str| report(&ask("bfl/flux-2-pro"), instant(at)).offers.remove(0);
    let told = |offer: &OfferQuote| offer.warnings.iter().any(|warning| warning.contains("on record"));
    let today = quoted("2026-11-25T12:00:00Z");
    assert_eq!((today.recorded_since, told(&today)), (None, false));
    let as_of: Date = today.lines[0].as_of.parse().expect("a day");
    let before = quoted("2020-01-01T00:00:00Z");
    assert_eq!(before.expected_usd, today.expected_usd);
    assert_eq!(before.recorded_since, Some(as_of));
    let warning =
        format!("no price of 2020-01-01 is on record: this is the earliest that is known, of {as_of}");
    assert!(before.warnings.contains(&warning), "{:?}", before.warnings);
    let first = as_of.to_zoned(jiff::tz::TimeZone::UTC).expect("a day").timestamp();
    assert_eq!(quoted(&first.to_string()).recorded_since, None, "that day is part of the record");
}

#[test]
fn a_buyer_is_warned_of_a_retirement() {
    let warned = report(&ask("openai/gpt-image-1.5"), now());
    assert!(warned.offers[0].warnings.iter().any(|warning| warning.contains("retires on 2026-12-01")));
    let early = report(&ask("openai/gpt-image-1.5"), instant("2026-08-01T00:00:00Z"));
    assert!(early.offers[0].warnings.iter().all(|warning| !warning.contains("retires")));
}

#[test]
fn a_buyer_is_warned_of_prices_that_are_no_official_word_or_old() {
    let warned = report(&ask("openai/gpt-image-2"), now());
    assert_eq!(warned.offers[0].warnings, ["price lines text-in, image-out: third party, as of 2026-05-06"]);
    let official = |at: &str| report(&ask("openai/gpt-image-1-mini"), instant(at)).offers[0].warnings.clone();
    let of_prices = |warnings: Vec<String>| {
        warnings.into_iter().filter(|warning| warning.starts_with("price line")).collect::<Vec<_>>()
    };
    assert_eq!(of_prices(official("2026-11-25T00:00:00Z")), Vec::<String>::new());
    // The rate is the vendor's, how many tokens it takes is a guess: the line says so, and whose.
    let mini = report(&ask("openai/gpt-image-1-mini"), now());
    let line = mini.offers[0].lines.iter().find(|line| line.line == "image-out").expect("it draws");
    assert_eq!((line.confidence, line.times.as_deref()), ("unverified", None));
    assert!(
        line.source.contains("model page") && line.source.contains("; the estimated quantity: "),
        "{line:?}"
    );
    let read = OFFERS[index("openai/gpt-image-1-mini")].model.sheet.lines[0].source.date;
    let (last, first) = (read.saturating_add(90.days()), read.saturating_add(91.days()));
    let mut offers = OFFERS.clone();
    let model = std::sync::Arc::make_mut(&mut offers[index("openai/gpt-image-1-mini")].model);
    model.lifecycle = gallerist_pricing::catalogue::Lifecycle::default();
    let at = |day: jiff::civil::Date| {
        let at = day.to_zoned(jiff::tz::TimeZone::UTC).expect("a day").timestamp();
        let request = ask("openai/gpt-image-1-mini");
        let report = quotes(&request, PlanContext { offers: &offers, ..context(at) }).expect("known");
        of_prices(report.offers[0].warnings.clone())
    };
    assert_eq!(at(last), Vec::<String>::new());
    assert_eq!(at(first).len(), 1);
    assert!(at(first)[0].ends_with(&format!("last read on {read}")), "{:?}", at(first));
}

#[test]
fn names_are_those_of_the_surface() {
    let report = report(&ask("flux-2-pro"), now());
    let quote = &report.offers[0];
    assert_eq!(
        (quote.model.as_str(), quote.tier.as_str(), quote.size.as_str()),
        ("flux-2-pro", "standard", "1024x1024")
    );
    assert_eq!(quote.offer, format!("{}/{}", quote.provider, quote.model));
    assert_eq!(report.instant, now());
}
