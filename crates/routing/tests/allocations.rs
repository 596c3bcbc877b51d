//! Planning over a whole catalogue takes no memory for what does not match: a request that two rows can serve
//! costs the same allocations among those two as among all.

use allocation_counter::{AllocationInfo, measure};
use gallerist_domain::{Grants, ImageRequest, OutputFormat, QualityClass, Size, SizeChoice, TierChoice};
use gallerist_pricing::{Catalogue, ConfiguredProvider, Offer, offers};
use gallerist_routing::insight::NOTHING;
use gallerist_routing::{HealthBook, Member, NameBook, PlanContext, Route, plan};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// A route that demands all that a route can.
static NAMES: LazyLock<NameBook> = LazyLock::new(|| {
    let strict = Route {
        models_exclude: vec![Member::parse("gpt-image-1")],
        providers_exclude: vec!["stability".to_owned()],
        class: Some(QualityClass::High),
        max_cost: Some(square_limit()),
        tier: TierChoice::Standard,
        ..Route::named("strict")
    };
    NameBook::new(vec![strict], BTreeMap::new())
});

fn context<'a>(offers: &'a [Offer], health: &'a HealthBook) -> PlanContext<'a> {
    let at = "2026-11-22T12:00:00Z".parse().expect("an instant");
    PlanContext {
        offers,
        health,
        insight: &NOTHING,
        names: &NAMES,
        grants: Grants::ALL,
        at,
        now_ms: 0,
        price_only: true,
    }
}

/// What a plan allocates, and which of the offers are in.
fn planning(request: &ImageRequest, offers: &[Offer]) -> (AllocationInfo, BTreeSet<usize>) {
    let health = HealthBook::new(offers.len());
    let context = context(offers, &health);
    let mut places = BTreeSet::new();
    let allocated = measure(|| drop(plan(request, context).expect("the name is known")));
    let planned = plan(request, context).expect("the name is known").offers;
    places.extend(planned.iter().map(|planned| planned.index));
    (allocated, places)
}

/// Requests that leave offers out for as many reasons as there are.
fn wishes() -> Vec<ImageRequest> {
    let square = || ImageRequest {
        size: SizeChoice::Exact(Size::new(1024, 1024)),
        ..ImageRequest::new("auto", "a red kite over a hill")
    };
    vec![
        square(),
        ImageRequest::new("auto", "a red kite over a hill"),
        ImageRequest { output_format: Some(OutputFormat::Webp), seed: Some(7), ..square() },
        ImageRequest {
            negative_prompt: Some("rain".to_owned()),
            class: Some(QualityClass::High),
            ..square()
        },
        ImageRequest { size: SizeChoice::Exact(Size::new(1, 999)), ..square() },
        ImageRequest {
            size: SizeChoice::Aspect { ratio: (16, 9), resolution: Some("2K".to_owned()) },
            ..square()
        },
        ImageRequest { size: SizeChoice::Aspect { ratio: (16, 9), resolution: None }, ..square() },
        ImageRequest {
            providers_exclude: vec!["openai".to_owned()],
            max_cost: Some(square_limit()),
            ..square()
        },
        ImageRequest {
            steps: Some(20),
            guidance_milli: Some(3_500),
            max_latency_ms: Some(4_000),
            ..square()
        },
        ImageRequest::new("strict", "a red kite over a hill"),
        ImageRequest::new("gpt-image-2", "a red kite over a hill"),
    ]
}

fn square_limit() -> gallerist_domain::Ticks {
    "0.01".parse().expect("an amount")
}

#[test]
fn what_does_not_match_allocates_nothing() {
    let catalogue = Catalogue::embedded();
    let kinds: Vec<_> =
        catalogue.providers.iter().map(|sheet| ConfiguredProvider::new(&sheet.kind, &sheet.kind)).collect();
    let all = offers(&catalogue, &kinds);
    let mut left_out = 0;
    for wish in wishes() {
        let (among_all, places) = planning(&wish, &all);
        let matching: Vec<Offer> = places.iter().map(|place| all[*place].clone()).collect();
        let (among_matching, again) = planning(&wish, &matching);
        assert_eq!(again.len(), matching.len(), "what matches does so by itself");
        let figures = |info: &AllocationInfo| (info.count_total, info.bytes_total);
        assert_eq!(
            figures(&among_all),
            figures(&among_matching),
            "{} of {}: {wish:?}",
            places.len(),
            all.len()
        );
        left_out += all.len() - places.len();
    }
    assert!(left_out > 1_000, "too little was left out to tell: {left_out}");
}

/// The list of reasons is told one by one; only words cost memory, and only when they are asked for.
#[test]
fn the_reasons_are_told_without_an_allocation() {
    let catalogue = Catalogue::embedded();
    let kinds: Vec<_> =
        catalogue.providers.iter().map(|sheet| ConfiguredProvider::new(&sheet.kind, &sheet.kind)).collect();
    let all = offers(&catalogue, &kinds);
    let health = HealthBook::new(all.len());
    for wish in wishes() {
        let plan = plan(&wish, context(&all, &health)).expect("the name is known");
        let mut told = 0;
        let allocated = measure(|| told = plan.excluded().map(|out| out.reason.code().len()).sum());
        assert!(told > 0);
        assert_eq!(allocated.count_total, 0, "{wish:?}");
    }
}
