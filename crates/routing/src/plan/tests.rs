use super::*;
use crate::insight::{LearnedCall, LearnedOffer};
use crate::testing::{OFFERS, ask, context, index, now, order, planned};
use gallerist_domain::{Background, OutputFormat, Size, SizeChoice, Ticks, TierChoice};
use gallerist_pricing::learned::Lesson;
use gallerist_pricing::sheet::Range;
use proptest::prelude::*;

/// What the books change about the order.
mod books;

/// The figure by which an objective sorts, smallest first.
fn keys(plan: &Plan<'_>, objective: Objective) -> Vec<(i64, i64)> {
    let key = |planned: &PlannedOffer<'_>| {
        let expected = planned.routed.get();
        let latency_ms = i64::try_from(planned.latency_ms).expect("it is small");
        match objective {
            Objective::Cost => (expected, planned.quote.max.get()),
            Objective::Latency => (latency_ms, expected),
            Objective::Quality => (planned.resolved.class.map_or(0, |class| -(class as i64) - 1), expected),
        }
    };
    plan.offers.iter().map(key).collect()
}

#[test]
fn offers_are_sorted_by_the_objective() {
    for objective in Objective::ALL {
        let mut request = ask("auto");
        request.objective = Some(*objective);
        let plan = planned(&request);
        let keys = keys(&plan, *objective);
        assert!(keys.is_sorted(), "{objective}: {keys:?}");
        assert!(keys.len() > 20);
    }
    assert_eq!(order(&ask("auto"))[0], "openai/gpt-image-1-mini", "cost is what counts by default");
}

#[test]
fn the_best_class_comes_first_where_quality_counts() {
    let mut request = ask("auto");
    request.objective = Some(Objective::Quality);
    let plan = planned(&request);
    assert_eq!(plan.offers[0].resolved.class, Some(QualityClass::High));
}

#[test]
fn a_measured_latency_replaces_the_published_one() {
    let mut health = HealthBook::new(OFFERS.len());
    health.offers[index("bfl/flux-2-max")].succeeded(0, 5);
    let mut request = ask("auto");
    request.objective = Some(Objective::Latency);
    request.max_latency_ms = Some(3_000);
    let plan = plan(&request, PlanContext { health: &health, ..context(now()) }).expect("a known name");
    assert_eq!(plan.offers[0].offer.id.to_string(), "bfl/flux-2-max");
    assert_eq!(plan.offers[0].latency_ms, 5);
}

#[test]
fn only_and_exclude_bound_the_providers() {
    let mut request = ask("auto");
    request.providers_only = vec!["bfl".into(), "fal".into()];
    assert!(order(&request).iter().all(|offer| offer.starts_with("bfl/") || offer.starts_with("fal/")));
    request.providers_exclude = vec!["fal".into()];
    assert!(order(&request).iter().all(|offer| offer.starts_with("bfl/")));
    request.providers_only = vec!["fal".into()];
    assert!(order(&request).is_empty());
    request.providers_only = vec!["nobody".into()];
    request.providers_exclude.clear();
    assert!(order(&request).is_empty());
}

#[test]
fn a_resting_offer_is_left_out_unless_there_is_no_other() {
    let mut health = HealthBook::new(OFFERS.len());
    let (bfl, fal) = (index("bfl/flux-2-pro"), index("fal/flux-2-pro"));
    health.offers[fal].asked_to_wait(0, 5_000);
    let request = ask("flux-2-pro");
    let at = |now_ms| PlanContext { now_ms, health: &health, ..context(now()) };
    let rested = plan(&request, at(1_000)).expect("a known name");
    assert_eq!(rested.offers.len(), 1);
    assert_eq!(rested.offers[0].index, bfl);
    assert_eq!(rested.excluded().next().expect("one is out").reason, Reason::BreakerOpen { for_ms: 4_000 });
    assert_eq!(rested.excluded().next().expect("one is out").reason.change(), "wait 4000 ms");
    assert_eq!(plan(&request, at(5_000)).expect("a known name").offers.len(), 2, "the rest is over");

    health.offers[bfl].asked_to_wait(0, 9_000);
    let both = PlanContext { now_ms: 1_000, health: &health, ..context(now()) };
    let both = plan(&request, both).expect("a known name");
    assert_eq!((both.offers.len(), both.excluded().count()), (2, 0), "nobody else can serve it");
}

#[test]
fn the_cost_limit_is_for_the_whole_request() {
    let mut request = ask("bfl/flux-2-pro");
    request.n = 4;
    request.max_cost = Some("0.12".parse().expect("an amount"));
    assert_eq!(planned(&request).offers.len(), 1);
    request.max_cost = Some(Ticks::new("0.12".parse::<Ticks>().expect("an amount").get() - 1));
    let plan = planned(&request);
    assert_eq!(
        plan.excluded().next().expect("one is out").reason,
        Reason::OverMaxCost { quote_max: "0.12".parse().expect("an amount") }
    );
}

fn models() -> impl Strategy<Value = String> {
    let mut names: Vec<String> = vec!["auto".into(), "flux-schnell".into(), "gpt-image-2@2026-04-21".into()];
    names.extend(OFFERS.iter().flat_map(|offer| [offer.model.id.clone(), offer.id.to_string()]));
    prop_oneof![8 => prop::sample::select(names), 1 => ".{0,20}"]
}

fn sizes() -> impl Strategy<Value = SizeChoice> {
    let edges =
        prop::sample::select(vec![1u32, 64, 256, 512, 768, 1000, 1024, 1360, 1536, 2048, 4096, 65_535]);
    let exact =
        (edges.clone(), edges).prop_map(|(width, height)| SizeChoice::Exact(Size::new(width, height)));
    let ratio = prop_oneof![
        prop::sample::select(vec![(1u32, 1u32), (16, 9), (9, 16), (3, 2), (21, 9)]),
        (1u32..=u32::MAX, 1u32..=u32::MAX)
    ];
    let resolution = prop::option::of(prop::sample::select(vec!["1K", "2K", "4K", "16K", ""]));
    let aspect = (ratio, resolution).prop_map(|(ratio, resolution)| SizeChoice::Aspect {
        ratio,
        resolution: resolution.map(str::to_owned),
    });
    prop_oneof![Just(SizeChoice::Auto), exact, aspect]
}

prop_compose! {
    fn parameters()(
        quality in prop::option::of(prop::sample::select(vec!["low", "medium", "high", "auto", "hd", "minimal", "x"])),
        class in prop::option::of(prop::sample::select(QualityClass::ALL.to_vec())),
        output_format in prop::option::of(prop::sample::select(OutputFormat::ALL.to_vec())),
        output_compression in prop::option::of(0u8..=100),
        background in prop::option::of(prop::sample::select(Background::ALL.to_vec())),
        objective in prop::option::of(prop::sample::select(Objective::ALL.to_vec())),
        max_cost in prop::option::of(0i64..=5_000_000_000),
        seed in prop::option::of(any::<u64>()),
        steps in prop::option::of(0u32..=200),
        guidance_milli in prop::option::of(0u32..=30_000),
        tier in prop::sample::select(TierChoice::ALL.to_vec()),
    ) -> ImageRequest {
        let mut request = ImageRequest::new("auto", "a kite");
        request.quality = quality.map(str::to_owned);
        request.objective = objective;
        request.max_cost = max_cost.map(Ticks::new);
        (request.class, request.output_format, request.tier) = (class, output_format, tier);
        (request.output_compression, request.background) = (output_compression, background);
        (request.seed, request.steps, request.guidance_milli) = (seed, steps, guidance_milli);
        request
    }
}

prop_compose! {
    /// Half of them nearly empty, so that offers are left.
    fn requests()(
        base in prop_oneof![Just(ImageRequest::new("auto", "a kite")), parameters()],
        model in models(),
        size in sizes(),
        n in 1u32..=10,
        stream in any::<bool>(),
        partial_images in 0u8..=3,
        prompt in prop_oneof![4 => ".{1,60}", 1 => "[äß]{2000}"],
        max_latency_ms in prop::option::weighted(0.2, 0u64..=60_000),
    ) -> ImageRequest {
        ImageRequest { model, size, n, stream, partial_images, prompt, max_latency_ms, ..base }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_offer_that_the_name_speaks_of_is_in_or_out_with_a_reason(
        request in requests(),
        resting in prop::collection::vec(0usize..OFFERS.len(), 0..8),
        at_s in 1_780_000_000i64..1_800_000_000,
    ) {
        let mut health = HealthBook::new(OFFERS.len());
        for offer in &resting {
            health.offers[*offer].asked_to_wait(0, 1_000);
        }
        let at = Timestamp::from_second(at_s).expect("this decade");
        let context = PlanContext { health: &health, now_ms: 500, ..context(at) };
        let Ok(plan) = plan(&request, context) else { return Ok(()) };
        let spoken_of = OFFERS.iter().filter(|offer| plan.named.target.speaks_of(offer)).count();
        prop_assert_eq!(plan.offers.len() + plan.excluded().count(), spoken_of);
        prop_assert!(keys(&plan, request.objective.unwrap_or(Objective::Cost)).is_sorted());
        for planned in &plan.offers {
            let quote = planned.quote;
            prop_assert!(quote.min <= quote.expected && quote.expected <= quote.max, "{}", planned.offer.id);
            prop_assert!(!quote.max.is_zero() && !quote.min.is_negative(), "{} is free", planned.offer.id);
            prop_assert!(request.max_cost.is_none_or(|limit| quote.max <= limit));
            let resolved = &planned.resolved;
            prop_assert_eq!((0..resolved.calls()).map(|call| resolved.images_of(call)).sum::<u32>(), request.n);
            let call = resolved.call(&request, planned.offer, 0, resolved.facts.n, at);
            // What is sent is what was priced.
            let sent = gallerist_pricing::Facts::of(&call);
            prop_assert_eq!(format!("{sent:?}"), format!("{:?}", resolved.facts));
        }
        for exclusion in plan.excluded() {
            prop_assert!(!exclusion.reason.change().is_empty() && !exclusion.reason.to_string().is_empty());
        }
        let report = crate::report::quotes(&request, context).expect("it was planned");
        prop_assert!(report.valid_until > at);
        let same: Vec<String> = plan.offers.iter().map(|planned| planned.offer.id.to_string()).collect();
        prop_assert_eq!(report.offers.iter().map(|quote| quote.offer.clone()).collect::<Vec<_>>(), same);
    }
}

/// The offers of every kind that has a price.
fn whole_offers() -> Vec<gallerist_pricing::Offer> {
    let catalogue = gallerist_pricing::Catalogue::embedded();
    let kinds = catalogue.providers.iter();
    let kinds: Vec<_> =
        kinds.map(|sheet| gallerist_pricing::ConfiguredProvider::new(&sheet.kind, &sheet.kind)).collect();
    gallerist_pricing::offers(&catalogue, &kinds)
}

/// For its price every row of the catalogue is planned, whoever can be ordered from.
#[test]
fn the_whole_catalogue_is_planned_for_its_price() {
    let offers = whole_offers();
    let health = crate::health::HealthBook::new(offers.len());
    let context = PlanContext { offers: &offers, health: &health, price_only: true, ..context(now()) };
    let request = ImageRequest::new("auto", "a heron on one leg");
    let planned = plan(&request, context).expect("a route");
    assert_eq!(planned.offers.len() + planned.excluded().count(), offers.len());
    let kinds = |plan: &Plan<'_>| -> std::collections::BTreeSet<String> {
        plan.offers.iter().map(|planned| planned.offer.provider.kind.clone()).collect()
    };
    assert!(kinds(&planned).len() > 15, "{:?}", kinds(&planned));
    assert!(planned.offers.iter().all(|planned| planned.offer.id.tier == "standard"));
    // To order, only what is served counts.
    let ordered = plan(&request, PlanContext { price_only: false, ..context }).expect("a route");
    assert!(ordered.offers.iter().all(|planned| planned.offer.provider.serves.contains(&request.operation)));
    assert!(ordered.excluded().any(|excluded| excluded.reason == Reason::NotServed));
}

#[test]
fn a_key_that_may_not_use_a_provider_or_model_leaves_its_offers_out_and_says_so() {
    let only = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let grants =
        Grants { providers: only(&["bfl", "fal"]), models: only(&["flux-2-pro"]), ..Grants::default() };
    let request = ask("auto");
    let context = PlanContext { grants: &grants, ..context(now()) };
    let planned = plan(&request, context).expect("the route is allowed");
    let ids: Vec<String> = planned.offers.iter().map(|planned| planned.offer.id.to_string()).collect();
    assert!(
        !ids.is_empty() && ids.iter().all(|id| id == "bfl/flux-2-pro" || id == "fal/flux-2-pro"),
        "{ids:?}"
    );
    let code = |offer: &str| {
        let mut excluded = planned.excluded();
        let found = excluded.find(|exclusion| exclusion.offer.to_string() == offer).expect("it is out");
        (found.reason.code(), found.reason.change())
    };
    assert_eq!(code("openai/gpt-image-1-mini").0, "provider_forbidden");
    assert_eq!(
        code("bfl/flux-2-max"),
        ("model_forbidden", "use flux-2-pro, or a key that may use this".to_owned())
    );
}

#[test]
fn a_name_that_the_key_may_not_use_is_forbidden_and_an_alias_is_allowed_with_its_model() {
    let grants = |routes: &[&str], providers: &[&str], models: &[&str]| {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Grants { routes: names(routes), providers: names(providers), models: names(models) }
    };
    let forbidden = |name: &str, grants: &Grants| {
        let request = ask(name);
        match plan(&request, PlanContext { grants, ..context(now()) }) {
            Err(PlanError::Forbidden(forbidden)) => Some(forbidden.what),
            Err(error) => panic!("{name}: {error:?}"),
            Ok(_) => None,
        }
    };
    assert_eq!(forbidden("auto", &grants(&["cheap"], &[], &[])), Some("route"));
    assert_eq!(forbidden("flux-2-pro", &grants(&["cheap"], &[], &[])), None, "a model is no route");
    assert_eq!(forbidden("fal/flux-2-pro", &grants(&[], &["bfl"], &[])), Some("provider"));
    assert_eq!(forbidden("flux-2-pro", &grants(&[], &["bfl"], &[])), None);
    assert_eq!(forbidden("flux-2-pro", &grants(&[], &[], &["gpt-image-1"])), Some("model"));
    assert_eq!(forbidden("bfl/flux-2-pro", &grants(&[], &[], &["flux-2-pro"])), None);
    let aliased = OFFERS.iter().find_map(|offer| Some((offer, offer.model.aliases.first()?)));
    if let Some((offer, alias)) = aliased {
        assert_eq!(forbidden(alias, &grants(&[], &[], &[&offer.model.id])), None);
        assert_eq!(forbidden(&offer.model.id, &grants(&[], &[], &[alias])), None);
    }
}
