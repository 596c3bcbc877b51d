use crate::exclusion::Reason;
use crate::plan::PlanContext;
use crate::testing::{CATALOGUE, OFFERS, ask, context, instant, now, order, planned, reason};
use gallerist_domain::{
    Background, ImageRequest, Operation, OptionWord, OutputFormat, QualityClass, Size, SizeChoice, Ticks,
    TierChoice,
};

/// A change to a request, the offer that it leaves out, the code, and a part of the change that admits it.
type Row = (fn(&mut ImageRequest), &'static str, &'static str, &'static str);

const TABLE: &[Row] = &[
    (
        |r| r.providers_exclude = vec!["bfl".into()],
        "bfl/flux-2-pro",
        "provider_excluded",
        "gallerist.providers",
    ),
    (|r| r.providers_only = vec!["fal".into()], "bfl/flux-2-pro", "provider_excluded", "gallerist.providers"),
    (|_| {}, "openai/gpt-image-1", "retired", "gpt-image-2.6-sunburst or gpt-image-2.5-sunburst"),
    (|_| {}, "google/gemini-3.1-flash-image", "switched_off", "another model"),
    // Whatever else it lacks, its price is what is told.
    (|r| r.size = exact(1000, 1000), "bfl/flux-2-dev", "price_unknown", "add the price"),
    (|r| r.size = exact(1000, 1000), "bfl/flux-2-pro", "size_unsupported", "1024x1024"),
    (|r| r.size = aspect((23, 1), None), "openai/gpt-image-1-mini", "aspect_unsupported", "another aspect"),
    (
        |r| r.size = aspect((1, 1), Some("16K")),
        "google/gemini-3-pro-image",
        "resolution_unsupported",
        "1K or 2K or 4K",
    ),
    (|r| r.size = aspect((1, 1), Some("1K")), "bfl/flux-2-pro", "resolution_unsupported", "leave out"),
    (|r| r.class = Some(QualityClass::High), "bfl/flux-2-klein-4b", "class_too_low", "\"standard\""),
    (|_| {}, "automatic1111/sdxl", "class_too_low", "\"draft\""),
    (|r| r.output_format = Some(OutputFormat::Webp), "fal/flux-2-pro", "format_unsupported", "png or jpeg"),
    (|r| r.output_compression = Some(50), "bfl/flux-2-pro", "compression_unsupported", "output_compression"),
    (
        |r| r.background = Some(Background::Transparent),
        "bfl/flux-2-pro",
        "transparency_unsupported",
        "background",
    ),
    (|r| r.seed = Some(1), "openai/gpt-image-2", "seed_unsupported", "leave out gallerist.seed"),
    (|r| r.seed = Some(u64::MAX), "bfl/flux-2-pro", "seed_unsupported", "between 0 and 4294967295"),
    (|r| r.steps = Some(20), "bfl/flux-2-pro", "steps_unsupported", "leave out gallerist.steps"),
    (|r| r.steps = Some(51), "bfl/flux-2-flex", "steps_unsupported", "between 1 and 50"),
    (
        |r| r.guidance_milli = Some(3_500),
        "bfl/flux-2-pro",
        "guidance_unsupported",
        "leave out gallerist.guidance",
    ),
    (|r| r.guidance_milli = Some(1_499), "bfl/flux-2-flex", "guidance_unsupported", "between 1.5 and 10"),
    (
        |r| r.negative_prompt = Some("x".into()),
        "bfl/flux-2-pro",
        "negative_prompt_unsupported",
        "negative_prompt",
    ),
    (|r| r.ingredients.loras = 1, "bfl/flux-2-pro", "loras_unsupported", "loras"),
    (|r| r.ingredients.controls = 1, "bfl/flux-2-pro", "controls_unsupported", "controls"),
    (|r| r.references = 1, "bfl/flux-2-pro", "references_unsupported", "references"),
    (
        |r| edit(r, Size::new(63, 2000)),
        "stability/sd3.5-large",
        "input_size_unsupported",
        "4096 to 9437184 pixels, at least 64 pixels at each edge",
    ),
    (|r| r.prompt = "x".repeat(32_001), "bfl/flux-2-pro", "prompt_too_long", "32000"),
    (|r| options(r, "bfl", "no_such"), "bfl/flux-2-pro", "option_unknown", "safety_tolerance"),
    (|r| r.tier = TierChoice::Priority, "bfl/flux-2-pro", "tier_unavailable", "\"auto\""),
    (|r| r.max_latency_ms = Some(10_999), "fal/flux-2-pro", "too_slow", "11000"),
    (
        |r| r.max_cost = Some(Ticks::new(299_999_999)),
        "bfl/flux-2-pro",
        "over_max_cost",
        "max_cost_usd to 0.03",
    ),
];

fn exact(width: u32, height: u32) -> SizeChoice {
    SizeChoice::Exact(Size::new(width, height))
}

fn aspect(ratio: (u32, u32), resolution: Option<&str>) -> SizeChoice {
    SizeChoice::Aspect { ratio, resolution: resolution.map(str::to_owned) }
}

fn options(request: &mut ImageRequest, kind: &str, name: &str) {
    request.provider_options.insert(kind.into(), format!("{{\"{name}\":1}}"));
    let word = OptionWord { name: name.into(), value: "1".into() };
    request.provider_option_words.insert(kind.into(), vec![word]);
}

fn edit(request: &mut ImageRequest, input: Size) {
    request.operation = Operation::Edit;
    request.ingredients.inputs = vec![input];
}

#[test]
fn an_option_of_edits_is_none_of_generations() {
    let mut request = ask("stability/sd3.5-large");
    options(&mut request, "stability", "strength");
    let code = |request: &ImageRequest| {
        let plan =
            crate::plan(request, PlanContext { price_only: true, ..context(now()) }).expect("a known name");
        plan.excluded()
            .find(|out| out.offer.to_string() == "stability/sd3.5-large")
            .map(|out| out.reason.code())
    };
    assert_eq!(code(&request), Some("option_unknown"));
    edit(&mut request, Size::new(1024, 1024));
    assert_eq!(code(&request), None);
}

#[test]
fn each_reason_has_its_code_and_the_change_that_admits() {
    for (change, offer, code, part) in TABLE {
        let mut request = ask("auto");
        change(&mut request);
        let reason = reason(&request, offer).unwrap_or_else(|| panic!("{offer} is in, not {code}"));
        assert_eq!(reason.code(), *code, "{offer}: {reason}");
        assert!(reason.change().contains(part), "{code}: {}", reason.change());
        assert!(!reason.to_string().is_empty());
    }
}

#[test]
fn reasons_that_need_a_pinned_model() {
    let mut request = ask("openai/gpt-image-2");
    request.quality = Some("superb".into());
    let found = reason(&request, "openai/gpt-image-2").expect("it has no such label");
    assert_eq!((found.code(), found.change().contains("low, medium, high")), ("quality_unsupported", true));
    let mut request = ask("bfl/flux-2-pro");
    request.quality = Some("high".into());
    assert_eq!(reason(&request, "bfl/flux-2-pro").expect("it has no labels").change(), "leave out quality");
}

#[test]
fn a_version_of_a_model_that_is_gone_fails_with_its_successors() {
    let request = ask("openai/gpt-image-1.5@2025-12-16");
    let before = crate::plan(&request, context(instant("2026-11-30T00:00:00Z"))).expect("a known name");
    assert_eq!(before.offers[0].resolved.upstream, "gpt-image-1.5-2025-12-16");
    let after = crate::plan(&request, context(instant("2026-12-01T00:00:00Z"))).expect("it was known");
    assert!(after.offers.is_empty());
    assert_eq!(after.excluded().next().expect("one is out").reason.code(), "retired");
    assert_eq!(after.excluded().next().expect("one is out").reason.change(), "use gpt-image-2.6-sunburst");
}

#[test]
fn a_format_that_the_provider_chooses_is_promised_to_nobody() {
    let mut request = ask("google/gemini-nano-banana-2.1");
    assert_eq!(reason(&request, "google/gemini-nano-banana-2.1"), None);
    for format in [OutputFormat::Png, OutputFormat::Jpeg] {
        request.output_format = Some(format);
        let found = reason(&request, "google/gemini-nano-banana-2.1").expect("it chooses itself");
        assert_eq!((found.code(), found.change()), ("format_unsupported", "leave out output_format".into()));
    }
    // Where there is only one, it comes, and the field for it is not sent.
    let mut request = ask("stability/sdxl");
    request.output_format = Some(OutputFormat::Png);
    let plan = planned(&request);
    let call = plan.offers[0].resolved.call(&request, plan.offers[0].offer, 0, 1, now());
    assert!(!call.format_selectable);
}

#[test]
fn an_option_that_the_provider_needs_must_be_there() {
    let offer = "bfl/flux-1.1-pro-ultra-finetuned";
    let mut request = ImageRequest::new(offer, "x");
    let found = reason(&request, offer).expect("no finetune is named");
    assert_eq!(
        (found.code(), found.change()),
        ("option_missing", "set gallerist.provider_options.bfl.finetune_id".into())
    );
    options(&mut request, "bfl", "finetune_id");
    assert_eq!(reason(&request, offer), None);
}

#[test]
fn an_offer_without_a_matching_price_line_is_not_free() {
    let mut offers = OFFERS.to_vec();
    for offer in &mut offers {
        std::sync::Arc::make_mut(&mut std::sync::Arc::make_mut(&mut offer.model).sheet).lines.clear();
    }
    let request = ask("bfl/flux-2-pro");
    let context = crate::PlanContext { offers: &offers, ..context(now()) };
    let plan = crate::plan(&request, context).expect("a known name");
    assert_eq!(plan.excluded().next().expect("one is out").reason.code(), "price_unknown");
    assert!(plan.offers.is_empty());
}

#[test]
fn the_day_of_retirement_is_the_first_without_it() {
    let request = ask("openai/gpt-image-1.5");
    for (at, is_in) in [
        ("2026-11-30T00:00:00Z", true),
        ("2026-11-30T23:59:59.999999Z", true),
        ("2026-12-01T00:00:00Z", false),
        ("2027-01-01T00:00:00Z", false),
    ] {
        let plan = crate::plan(&request, context(instant(at))).expect("a known name");
        assert_eq!(plan.offers.len(), usize::from(is_in), "{at}");
        if !is_in {
            assert_eq!(
                plan.excluded().next().expect("one is out").reason.change(),
                "use gpt-image-2.6-sunburst"
            );
        }
    }
}

#[test]
fn a_model_is_offered_from_the_day_of_its_release_on() {
    let request = ask("openai/gpt-image-2.6-flare");
    let at = |at: &str| crate::plan(&request, context(instant(at))).expect("a known name");
    assert_eq!(at("2026-11-04T00:00:00Z").offers.len(), 1);
    for early in ["2026-01-01T00:00:00Z", "2026-11-03T23:59:59Z"] {
        let plan = at(early);
        assert!(plan.offers.is_empty(), "{early}");
        let reason = plan.excluded().next().expect("it is out").reason;
        assert_eq!(
            (reason.code(), reason.to_string()),
            ("not_released", "it is offered from 2026-11-04 on".into())
        );
    }
}

#[test]
fn a_price_that_nobody_knows_is_told_with_its_reason() {
    let request = ask("bfl/flux-2-dev");
    let reason = reason(&request, "bfl/flux-2-dev").expect("nobody knows what it costs");
    let told = "its price is not known: BFL gives the weights away and sells no calls of it";
    assert_eq!((reason.code(), reason.to_string()), ("price_unknown", told.into()));
}

#[test]
fn on_a_route_quality_is_a_least_class_and_on_a_model_the_vendors_word() {
    let table = [
        (None, None, QualityClass::Standard),
        (Some("low"), None, QualityClass::Draft),
        (Some("medium"), None, QualityClass::Standard),
        (Some("auto"), None, QualityClass::Standard),
        (Some("high"), None, QualityClass::High),
        (None, Some(QualityClass::Draft), QualityClass::Draft),
        (Some("low"), Some(QualityClass::High), QualityClass::High),
        (Some("high"), Some(QualityClass::Draft), QualityClass::High),
    ];
    for (quality, class, least) in table {
        let mut request = ask("auto");
        request.quality = quality.map(str::to_owned);
        request.class = class;
        let plan = planned(&request);
        assert!(plan.offers.iter().all(|planned| planned.resolved.class >= Some(least)), "{quality:?}");
        let classes = plan.offers.iter().filter_map(|planned| planned.resolved.class);
        assert_eq!(classes.min(), Some(least), "{quality:?} {class:?}: the bar is not set too high");
    }
    for label in ["low", "medium", "high"] {
        let mut request = ask("openai/gpt-image-2");
        request.quality = Some(label.into());
        assert_eq!(planned(&request).offers[0].resolved.facts.quality, label);
    }
    let mut request = ask("auto");
    request.quality = Some("superb".into());
    let error = crate::plan(&request, context(now())).expect_err("no such class");
    assert_eq!(error, crate::PlanError::QualityWord("superb".into()));
}

#[test]
fn an_aspect_admits_who_knows_only_ratios_and_says_the_pixels() {
    let mut request = ask("auto");
    request.size = exact(1360, 768);
    let exact_only = order(&request).len();
    request.size = aspect((16, 9), None);
    let plan = planned(&request);
    assert!(plan.offers.len() > exact_only);
    for planned in &plan.offers {
        let size = planned.resolved.facts.size;
        let ratio = f64::from(size.width) / f64::from(size.height);
        assert!((ratio - 16.0 / 9.0).abs() < 0.06, "{} makes {size}", planned.offer.id);
        assert!(!planned.resolved.size_named, "another size is no failed delivery");
        assert!(gallerist_pricing::makes_size(&planned.offer.model.capabilities.sizes, size));
    }
    request.size = aspect((16, 9), Some("2K"));
    let plan = planned(&request);
    let words: Vec<&str> = plan.offers.iter().map(|planned| planned.resolved.facts.resolution).collect();
    assert!(
        words.contains(&"2K") && words.contains(&"2k"),
        "each is sent its vendor's own spelling: {words:?}"
    );
    assert!(words.iter().all(|word| word.eq_ignore_ascii_case("2k")), "{words:?}");
    let spelled = |word: &str| order(&ImageRequest { size: aspect((16, 9), Some(word)), ..ask("auto") });
    assert_eq!(spelled("2K"), spelled("2k"));
}

/// What has a price alone is priced at the region or plan that is asked for; an account has its own.
#[test]
fn a_region_prices_what_has_one_and_leaves_out_accounts_of_others() {
    let catalogue = gallerist_pricing::Catalogue::embedded();
    let mut accounts = gallerist_pricing::everything(&catalogue, &[]);
    let own = accounts.iter_mut().find(|account| account.kind == "azure").expect("it is in the catalogue");
    own.region = "datazone".to_owned();
    let offers = gallerist_pricing::offers(&catalogue, &accounts);
    let health = crate::HealthBook::new(offers.len());
    let of = |request: &ImageRequest| {
        let context = crate::PlanContext {
            offers: &offers,
            health: &health,
            price_only: true,
            ..crate::testing::context(now())
        };
        let plan = crate::plan(request, context).expect("a known name");
        let prices: Vec<_> = plan.offers.iter().map(|planned| planned.quote.expected).collect();
        let why: Vec<_> = plan.excluded().map(|out| (out.reason.code(), out.change())).collect();
        (prices, why)
    };
    let at = |model: &str, region: Option<&str>| {
        of(&ImageRequest {
            region: region.map(str::to_owned),
            class: Some(QualityClass::Draft),
            ..ask(model)
        })
    };
    // Whoever lacks a price for want of a region says which would have one, and it has.
    let mut missing = 0;
    for offer in &offers {
        let name = offer.id.to_string();
        let (prices, why) = at(&name, None);
        let Some((code, change)) = why.first().filter(|_| prices.is_empty()) else { continue };
        let Some(region) = change.strip_prefix("set gallerist.region, for example to ") else { continue };
        assert_eq!((*code, at(&name, Some(region)).0.len()), ("price_unknown", 1), "{name} at {region}");
        missing += 1;
    }
    assert!(missing > 0, "no offer needs a region any more");
    let (prices, why) = at("gpu-cloud/sdxl#spot", Some("moon"));
    assert!(prices.is_empty() && why[0].0 == "region_unavailable", "{why:?}");
    // The account's region counts, asked for or not; another one is not this account's.
    assert_eq!(at("azure/gpt-image-2", None).0, at("azure/gpt-image-2", Some("datazone")).0);
    let (prices, why) = at("azure/gpt-image-2", Some("global"));
    assert!(
        prices.is_empty() && why[0] == ("region_unavailable", "leave out gallerist.region".to_owned()),
        "{why:?}"
    );
}

#[test]
fn capitals_of_a_vendors_word_are_nobodys_mistake() {
    let label = |word: &str| {
        let request = ImageRequest { quality: Some(word.to_owned()), ..ask("openai/gpt-image-2") };
        planned(&request).offers.first().map(|planned| planned.resolved.facts.quality.to_owned())
    };
    assert_eq!([label("high"), label("HIGH")], [Some("high".to_owned()), Some("high".to_owned())]);
    assert_eq!(label("hgh"), None);
}

#[test]
fn a_seed_makes_one_picture_each() {
    let mut request = ask("bfl/flux-2-pro");
    (request.n, request.seed) = (4, Some(100));
    let plan = planned(&request);
    let planned_offer = &plan.offers[0];
    assert_eq!((planned_offer.resolved.calls(), planned_offer.resolved.facts.n), (4, 1));
    let seeds: Vec<_> = (0..4)
        .map(|place| planned_offer.resolved.call(&request, planned_offer.offer, place, 1, now()).seed)
        .collect();
    assert_eq!(seeds, [Some(100), Some(101), Some(102), Some(103)]);
    // The last picture's seed must fit as well.
    request.seed = Some(4_294_967_292);
    assert_eq!(reason(&request, "bfl/flux-2-pro"), None);
    request.seed = Some(4_294_967_293);
    assert!(matches!(reason(&request, "bfl/flux-2-pro"), Some(Reason::SeedUnsupported { .. })));
}

#[test]
fn pictures_are_split_into_calls() {
    for (model, n, calls, rest) in [
        ("bfl/flux-2-pro", 3, 3, 0),
        ("openai/gpt-image-2", 10, 1, 0),
        ("fal/qwen-image", 10, 3, 2),
        ("fal/qwen-image", 4, 1, 0),
        ("fal/qwen-image", 1, 1, 0),
    ] {
        let mut request = ask(model);
        request.n = n;
        let plan = planned(&request);
        let planned_offer = &plan.offers[0];
        let resolved = &planned_offer.resolved;
        assert_eq!((resolved.calls(), resolved.rest), (calls, rest), "{model} n={n}");
        assert_eq!((0..calls).map(|index| resolved.images_of(index)).sum::<u32>(), n);
        let full = planned_offer.call_quote.max.checked_mul(i64::from(resolved.full_calls)).expect("small");
        assert_eq!(planned_offer.quote.max, full + planned_offer.rest_quote.max);
    }
}

#[test]
fn options_of_one_kind_leave_the_others_alone() {
    let mut request = ask("flux-2-pro");
    options(&mut request, "bfl", "no_such");
    assert_eq!(order(&request), ["fal/flux-2-pro"]);
    let mut request = ask("flux-2-pro");
    options(&mut request, "bfl", "safety_tolerance");
    assert_eq!(order(&request).len(), 2);
    let plan = planned(&request);
    for planned in &plan.offers {
        let call = planned.resolved.call(&request, planned.offer, 0, 1, now());
        assert_eq!(call.provider_options.is_empty(), planned.offer.id.provider != "bfl");
    }
}

#[test]
fn what_never_excludes() {
    let mut request = ask("auto");
    let before = order(&request);
    request.user = Some("u-1".into());
    request.moderation = Some(gallerist_domain::Moderation::Low);
    request.background = Some(Background::Opaque);
    request.output_compression = Some(100);
    request.stream = true;
    request.partial_images = 3;
    let mut after = order(&request);
    let mut sorted = before.clone();
    sorted.sort();
    after.sort();
    assert_eq!(after, sorted);
    let providers: std::collections::BTreeSet<_> =
        before.iter().filter_map(|offer| offer.split('/').next()).collect();
    assert!(providers.len() >= 5, "a prompt and a square size suit nearly everyone: {providers:?}");
    assert!(CATALOGUE.providers.len() >= 6);
}
