//! Credits, hardware that is paid anyway, and what past charges taught: each changes the order or the range, no price.

use super::*;

/// A credit of `bfl`, which counts 0.01, as it is routed.
fn credit(purchase: &str, routed: &str, unused_at: Option<&str>) -> Insight {
    let usd = |text: &str| text.parse().expect("an amount");
    let price = RoutingPrice {
        purchase: usd(purchase),
        routed: usd(routed),
        list: usd("0.01"),
        open: usd("100"),
        unused_at: unused_at.map(crate::testing::instant),
    };
    Insight { credits: [("bfl".to_owned(), price)].into(), ..Insight::default() }
}

#[test]
fn credits_that_would_expire_come_first_and_no_price_changes() {
    let request = ask("flux-2-pro");
    let without = planned(&request);
    let insight = credit("0.009", "0.0009", Some("2026-12-01T00:00:00Z"));
    let with = plan(&request, PlanContext { insight: &insight, ..context(now()) }).expect("a known name");
    assert_eq!(with.offers[0].offer.id.provider, "bfl");
    let own = &with.offers[0];
    // 3 credits: 0.03 at the provider's prices, 0.0027 in the order.
    assert_eq!((own.quote.expected.short(), own.routed.short()), ("0.03".to_owned(), "0.0027".to_owned()));
    let reason = own.routing_reason().expect("it is routed by its credits");
    assert_eq!(reason, "credits expire on 2026-12-01 unused: routed at 0.0027 instead of 0.03");
    let quoted = |plan: &Plan<'_>| {
        let mut quotes: Vec<_> =
            plan.offers.iter().map(|planned| (planned.index, planned.quote, planned.call_quote)).collect();
        quotes.sort_by_key(|(index, ..)| *index);
        quotes
    };
    assert_eq!(quoted(&with), quoted(&without));
    assert!(without.offers.iter().all(|planned| planned.routing_reason().is_none()));
    // Others are ordered by their prices.
    let others = with.offers.iter().filter(|planned| planned.offer.id.provider != "bfl");
    assert!(others.into_iter().all(|planned| planned.routed == planned.quote.expected));
}

#[test]
fn credits_that_were_dear_come_later_and_the_report_says_why() {
    let request = ask("flux-2-pro");
    let insight = credit("0.02", "0.02", None);
    let context = PlanContext { insight: &insight, ..context(now()) };
    let report = crate::report::quotes(&request, context).expect("a known name");
    let own = report.offers.iter().find(|offer| offer.provider == "bfl").expect("it is there");
    assert_eq!(own.routed_usd.map(Ticks::short), Some("0.06".to_owned()));
    assert!(own.routing.as_deref().expect("with a reason").contains("bought at 0.02 each"));
    assert_eq!(own.expected_usd.short(), "0.03");
    let others = report.offers.iter().filter(|offer| offer.provider != "bfl");
    assert!(others.into_iter().all(|offer| offer.routing.is_none()));
}

/// The offers with an engine of one's own, whose card is rented at 1.10 dollars an hour and works 30 % of the time,
/// and these words on its line.
fn with_engine(words: &str) -> Vec<Offer> {
    const FILE: &str = include_str!("../../../../../catalog/automatic1111.toml");
    let text = FILE.replace("per = 3600,", &format!("per = 3600, utilisation_percent = 30{words},"));
    let own = gallerist_pricing::Catalogue::from_files(vec![("automatic1111.toml".to_owned(), text)]);
    let own = own.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let configured = gallerist_pricing::ConfiguredProvider::new("automatic1111", "automatic1111");
    let others = OFFERS.iter().filter(|offer| offer.id.provider != "automatic1111").cloned();
    gallerist_pricing::served_offers(&own, &[configured]).into_iter().chain(others).collect()
}

const ELECTRICITY: &str = ", marginal = { kilowatts = \"0.45\", usd_per_kwh = \"0.32\" }";

fn draft() -> gallerist_domain::ImageRequest {
    let mut request = ask("auto");
    request.class = Some(QualityClass::Draft);
    request
}

#[test]
fn hardware_that_is_paid_anyway_comes_first_and_no_price_changes() {
    let (request, health) = (draft(), HealthBook::new(OFFERS.len()));
    let (amortised, marginal) = (with_engine(""), with_engine(ELECTRICITY));
    let of = |offers| PlanContext { offers, health: &health, ..context(now()) };
    let before = plan(&request, of(&amortised)).expect("a route");
    let after = plan(&request, of(&marginal)).expect("a route");
    let own = |plan: &Plan<'_>| {
        let own = |planned: &PlannedOffer<'_>| planned.offer.id.to_string() == "automatic1111/sdxl";
        plan.offers.iter().position(own).expect("it can make it")
    };
    assert!(own(&before) > 0, "an API is cheaper than the whole rent");
    assert_eq!(own(&after), 0);
    let first = &after.offers[0];
    // 5.218592 seconds × 1.10 ÷ 0.3 ÷ 3600, and × 0.144 ÷ 3600.
    assert_eq!(
        (first.quote.expected.short(), first.routed.short()),
        ("0.0053152326".into(), "0.0002087437".into())
    );
    let reason = first.routing_reason().expect("it is routed by its marginal cost");
    let told =
        "ordered by its marginal cost of 0.0002087437 instead of 0.0053152326: the hardware is paid anyway";
    assert_eq!(reason, told);
    // Whoever must save on charges orders by them.
    let mut charged = plan(&request, of(&marginal)).expect("a route");
    charged.order_by_charge();
    assert_eq!(own(&charged), own(&before));
    assert!(charged.offers.is_sorted_by_key(|planned| planned.quote.expected));
    assert!(charged.offers.iter().all(|planned| planned.routing_reason().is_none()));
    let quoted = |plan: &Plan<'_>| {
        let figures = |planned: &PlannedOffer<'_>| {
            (planned.offer.id.to_string(), planned.quote, planned.call_quote, planned.rest_quote)
        };
        let mut quotes: Vec<_> = plan.offers.iter().map(figures).collect();
        quotes.sort_by(|a, b| a.0.cmp(&b.0));
        quotes
    };
    assert_eq!(quoted(&before), quoted(&after));
    // Nobody else has such a rate, and without one nothing is said.
    let others = after.offers[1..].iter().chain(&before.offers);
    for other in others {
        assert_eq!(
            (other.marginal, other.routed, other.routing_reason()),
            (None, other.quote.expected, None)
        );
    }
    let report = crate::report::quotes(&request, of(&marginal)).expect("a route");
    assert_eq!(report.offers[0].routed_usd.map(Ticks::short).as_deref(), Some("0.0002087437"));
    assert_eq!(report.offers[0].routing.as_deref(), Some(told));
    assert_eq!(report.offers[0].expected_usd.short(), "0.0053152326");
}

#[test]
fn a_marginal_cost_is_of_all_pictures_and_a_cost_limit_is_held_against_the_price() {
    let (mut request, health) = (draft(), HealthBook::new(OFFERS.len()));
    let offers = with_engine(ELECTRICITY);
    let of = PlanContext { offers: &offers, health: &health, ..context(now()) };
    // At most four a call: one of four and one of two. 6 × 5.218592 × 0.144 ÷ 3600 is rounded in each call:
    // 0.0008349747 + 0.0004174874.
    request.n = 6;
    let six = plan(&request, of).expect("a route");
    assert_eq!(six.offers[0].routed.short(), "0.0012524621");
    request.n = 1;
    request.max_cost = Some("0.005".parse().expect("an amount"));
    let limited = plan(&request, of).expect("a route");
    assert!(limited.offers.iter().all(|planned| planned.offer.id.provider != "automatic1111"));
}

#[test]
fn credits_count_on_top_of_a_marginal_cost() {
    let (request, health) = (draft(), HealthBook::new(OFFERS.len()));
    let offers = with_engine(ELECTRICITY);
    let insight = credit("0.005", "0.005", None);
    let price = insight.credits["bfl"];
    let insight = Insight { credits: [("automatic1111".to_owned(), price)].into(), ..Insight::default() };
    let of = PlanContext { offers: &offers, health: &health, insight: &insight, ..context(now()) };
    let plan = plan(&request, of).expect("a route");
    let first = &plan.offers[0];
    assert_eq!(first.offer.id.provider, "automatic1111");
    // Half of 0.0002087437, half up.
    assert_eq!(
        (first.quote.expected.short(), first.routed.short()),
        ("0.0053152326".into(), "0.0001043719".into())
    );
    let reason = first.routing_reason().expect("both are told");
    assert!(
        reason
            .contains("0.0002087437 instead of 0.0053152326: the hardware is paid anyway; paid from credits")
    );
    assert!(reason.ends_with("routed at 0.0001043719 instead of 0.0002087437"), "{reason}");
}

/// What charges of one kind of call taught about an offer.
fn taught(offer: &Offer, lesson: Lesson, call: LearnedCall, range: Range) -> Insight {
    let known = LearnedOffer { lesson, calls: vec![(call, range)] };
    Insight { learned: [(offer.id.clone(), known)].into(), ..Insight::default() }
}

#[test]
fn times_of_work_are_learned_by_guidance_too_and_reserve_no_more() {
    let mut request = draft();
    request.model = "automatic1111/sdxl".to_owned();
    request.guidance_milli = Some(7_000);
    let before = planned(&request);
    let own = &before.offers[0];
    let lesson = Lesson::of(&own.offer.model.sheet).expect("its work is learned");
    let call = LearnedCall::of(&own.resolved.facts, lesson);
    assert_eq!(call.guidance_milli, Some(7_000));
    let range = Range { min: 4_700_000, expected: 4_754_000, max: 5_942_500 };
    let insight = taught(own.offer, lesson, call, range);
    let quoted = |request: &gallerist_domain::ImageRequest| {
        let known = PlanContext { insight: &insight, ..context(now()) };
        plan(request, known).expect("a known name").offers[0].quote
    };
    // 4.754 and 5.9425 seconds × 1.10 ÷ 3600, instead of 5.218592 and 6.52324.
    let quote = quoted(&request);
    assert_eq!((quote.expected.short(), quote.max.short()), ("0.0014526111".into(), "0.0018157639".into()));
    assert!(quote.max < own.quote.max);
    // At another guidance nothing is known, even where the formula is the same.
    for guidance_milli in [5_000, 1_000] {
        let mut other = request.clone();
        other.guidance_milli = Some(guidance_milli);
        assert_eq!(quoted(&other), planned(&other).offers[0].quote, "{guidance_milli}");
    }
    let mut larger = request.clone();
    larger.steps = Some(31);
    assert_eq!(quoted(&larger), planned(&larger).offers[0].quote);
}

#[test]
fn what_charges_taught_replaces_the_range_of_the_catalogue() {
    let request = ask("runware/flux-1-schnell");
    let offers = whole_offers();
    let health = crate::health::HealthBook::new(offers.len());
    let price_only = PlanContext { offers: &offers, health: &health, price_only: true, ..context(now()) };
    let before = plan(&request, price_only).expect("a known name");
    let learning = before.offers.iter().find(|planned| Lesson::of(&planned.offer.model.sheet).is_some());
    let planned = learning.expect("its price is learned");
    let lesson = Lesson::of(&planned.offer.model.sheet).expect("it is");
    let call = LearnedCall::of(&planned.resolved.facts, lesson);
    let range = Range { min: 600, expected: 2_000, max: 2_500 };
    let insight = taught(planned.offer, lesson, call, range);
    let after = plan(&request, PlanContext { insight: &insight, ..price_only }).expect("a known name");
    let after = &after.offers[0];
    assert_eq!(after.resolved.facts.learned, Some(lesson.taught(range)));
    assert_ne!(after.quote, planned.quote);
    assert_eq!(
        (after.quote.expected.short(), after.quote.max.short()),
        ("0.002".to_owned(), "0.0025".to_owned())
    );
    // Another size has not been seen.
    let other = LearnedCall { size: Size::new(512, 512), ..call };
    let insight = taught(planned.offer, lesson, other, range);
    let same = plan(&request, PlanContext { insight: &insight, ..price_only }).expect("a known name");
    assert_eq!(same.offers[0].quote, planned.quote);
}
