use crate::health::HealthBook;
use crate::name_book::NameBook;
use crate::names::ModelName;
use crate::plan::{Plan, PlanContext, plan};
use crate::report::quotes;
use crate::route::{Member, Route};
use crate::testing::{OFFERS, ask, context, instant, now};
use gallerist_domain::{ImageRequest, Objective, QualityClass, TierChoice};
use gallerist_pricing::Offer;
use gallerist_pricing::catalogue::Redirect;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

fn with(routes: Vec<Route>) -> NameBook {
    NameBook::new(routes, BTreeMap::new())
}

fn migrating(pairs: &[(&str, &str)]) -> NameBook {
    let owned = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
    NameBook::new(vec![Route::named("sketch")], pairs.iter().map(owned).collect())
}

fn members(names: &[&str]) -> Vec<Member> {
    names.iter().map(|name| Member::parse(name)).collect()
}

fn words(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn planned<'a>(request: &'a ImageRequest, names: &'a NameBook, at: Timestamp) -> Plan<'a> {
    plan(request, PlanContext { names, ..context(at) }).expect("a known name")
}

fn ids(plan: &Plan<'_>) -> Vec<String> {
    plan.offers.iter().map(|planned| planned.offer.id.to_string()).collect()
}

#[test]
fn auto_is_always_there_and_first() {
    let thumbs = || Route::named("thumbs");
    let names = |book: &NameBook| book.routes().iter().map(|route| route.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&NameBook::default()), ["auto"]);
    assert_eq!(names(&with(vec![thumbs()])), ["auto", "thumbs"]);
    let own = Route { class: Some(QualityClass::High), ..Route::named("auto") };
    let book = with(vec![thumbs(), own.clone(), Route::named("wide")]);
    assert_eq!(names(&book), ["auto", "thumbs", "wide"]);
    assert_eq!(book.route("auto"), Some(&own), "the settings adjust it");
}

#[test]
fn a_route_chooses_among_its_own_offers_alone() {
    let route = Route {
        models_only: members(&["flux-2-pro", "openai/gpt-image-2", "flux-schnell"]),
        models_exclude: members(&["bfl/flux-2-pro"]),
        providers_exclude: words(&["stability"]),
        class: Some(QualityClass::Draft),
        ..Route::named("house-style")
    };
    let book = with(vec![route]);
    let request = ask("house-style");
    let plan = planned(&request, &book, now());
    let mut offers = ids(&plan);
    offers.extend(plan.excluded().map(|exclusion| exclusion.offer.to_string()));
    offers.sort();
    // The alias is understood; what the route does not allow is no matter of the plan.
    assert_eq!(offers, ["fal/flux-1-schnell", "fal/flux-2-pro", "openai/gpt-image-2"]);
}

#[test]
fn a_request_narrows_its_route_and_never_widens_it() {
    let route = Route { providers_only: words(&["bfl", "fal"]), ..Route::named("european") };
    let book = with(vec![route]);
    let narrowed = ImageRequest { providers_only: words(&["bfl", "openai"]), ..ask("european") };
    let plan = planned(&narrowed, &book, now());
    assert!(
        !plan.offers.is_empty() && ids(&plan).iter().all(|id| id.starts_with("bfl/")),
        "{:?}",
        ids(&plan)
    );
    let elsewhere = ImageRequest { providers_only: words(&["openai"]), ..ask("european") };
    assert!(planned(&elsewhere, &book, now()).offers.is_empty());
}

#[test]
fn a_class_in_the_request_can_only_raise_that_of_the_route() {
    let classes = |route: Option<QualityClass>, asked: Option<QualityClass>, word: Option<&str>| {
        let book = with(vec![Route { class: route, ..Route::named("r") }]);
        let request = ImageRequest { class: asked, quality: word.map(str::to_owned), ..ask("r") };
        let plan = planned(&request, &book, now());
        plan.offers.iter().filter_map(|planned| planned.resolved.class).min()
    };
    use QualityClass::{Draft, High, Standard};
    let table = [
        (None, None, None, Standard),
        (Some(Draft), None, None, Draft),
        (Some(Draft), None, Some("auto"), Draft),
        (None, None, Some("auto"), Standard),
        (Some(Draft), Some(High), None, High),
        (Some(High), Some(Draft), None, High),
        (Some(High), None, Some("low"), High),
        (Some(Standard), Some(Draft), Some("low"), Standard),
    ];
    for (route, asked, word, least) in table {
        assert_eq!(classes(route, asked, word), Some(least), "{route:?} {asked:?} {word:?}");
    }
}

#[test]
fn the_lower_cost_limit_counts_and_a_reason_says_whose_it_is() {
    let limit = |text: &str| Some(text.parse().expect("an amount"));
    let book = with(vec![Route { max_cost: limit("0.02"), ..Route::named("cheap") }]);
    let wide = ImageRequest { max_cost: limit("5"), ..ask("cheap") };
    let plan = planned(&wide, &book, now());
    assert_eq!(plan.max_cost, limit("0.02"));
    assert!(plan.offers.iter().all(|planned| Some(planned.quote.max) <= limit("0.02")));
    let over = plan.excluded().find(|one| one.reason.code() == "over_max_cost").expect("some are dearer");
    assert_eq!(over.by_route, Some("cheap"));
    assert!(over.why().to_string().ends_with(", as the route cheap demands"), "{}", over.why());
    assert_eq!(over.change(), "use another route, or change [routes.cheap]");
    let narrow = ImageRequest { max_cost: limit("0.01"), ..ask("cheap") };
    let plan = planned(&narrow, &book, now());
    assert_eq!(plan.max_cost, limit("0.01"));
    let change = |offer: &str| {
        let excluded = plan.excluded().find(|one| one.offer.to_string() == offer);
        excluded.map(|one| (one.reason.code(), one.change()))
    };
    let raise = Some(("over_max_cost", "raise gallerist.max_cost_usd to 0.011068".to_owned()));
    assert_eq!(change("openai/gpt-image-1-mini"), raise, "the route would allow it");
    let elsewhere = Some(("over_max_cost", "use another route, or change [routes.cheap]".to_owned()));
    assert_eq!(change("openai/gpt-image-2"), elsewhere, "the route would not");
}

#[test]
fn a_route_orders_by_its_objective_unless_the_request_names_one() {
    let book = with(vec![Route { objective: Some(Objective::Latency), ..Route::named("fast") }]);
    let (fast, cheap) = (ask("fast"), ImageRequest { objective: Some(Objective::Cost), ..ask("fast") });
    let latencies: Vec<u64> = planned(&fast, &book, now()).offers.iter().map(|one| one.latency_ms).collect();
    assert!(latencies.is_sorted());
    let costs: Vec<_> = planned(&cheap, &book, now()).offers.iter().map(|one| one.routed).collect();
    assert!(costs.is_sorted());
}

#[test]
fn the_tiers_of_request_and_route_must_both_fit() {
    let mut batch =
        OFFERS.iter().find(|offer| offer.id.to_string() == "openai/gpt-image-2").expect("known").clone();
    batch.id.tier = "batch".to_owned();
    let offers = [OFFERS.to_vec(), vec![batch]].concat();
    let health = HealthBook::new(offers.len());
    let book = with(vec![Route { tier: TierChoice::Batch, ..Route::named("overnight") }]);
    let context =
        PlanContext { offers: &offers, health: &health, names: &book, price_only: true, ..context(now()) };
    let request = ask("overnight");
    let at_night = plan(&request, context).expect("a route");
    assert_eq!(ids(&at_night), ["openai/gpt-image-2#batch"]);
    let standard = at_night.excluded().find(|one| one.offer.tier == "standard").expect("most are");
    assert_eq!(standard.reason.code(), "tier_unavailable");
    assert!(standard.change().contains("overnight"));
    let request = ImageRequest { tier: TierChoice::Standard, ..ask("overnight") };
    assert!(plan(&request, context).expect("a route").offers.is_empty(), "both cannot be had");
}

#[test]
fn what_admits_another_tier_is_its_word_or_its_name() {
    let usual = OFFERS.iter().find(|offer| offer.id.to_string() == "openai/gpt-image-2").expect("known");
    let at_tier = |tier: &str| {
        let mut offer = usual.clone();
        offer.id.tier = tier.to_owned();
        offer
    };
    let offers = [usual.clone(), at_tier("batch"), at_tier("turbo")];
    let health = HealthBook::new(offers.len());
    let context = PlanContext { offers: &offers, health: &health, price_only: true, ..context(now()) };
    let request = ask("gpt-image-2");
    let plan = plan(&request, context).expect("a model");
    let changes: Vec<String> = plan.excluded().map(|out| out.change()).collect();
    assert_eq!(
        changes,
        ["set gallerist.tier to \"batch\"", "name it, as gpt-image-2#turbo, and leave out gallerist.tier"]
    );
}

#[test]
fn a_route_may_pin_a_version() {
    let book =
        with(vec![Route { models_only: members(&["gpt-image-2@2026-04-21"]), ..Route::named("fixed") }]);
    let request = ask("fixed");
    let plan = planned(&request, &book, now());
    assert_eq!(plan.offers[0].resolved.upstream, "gpt-image-2-2026-04-21");
}

#[test]
fn the_nearest_names_include_routes() {
    let book = with(vec![Route::named("thumbnails")]);
    let unknown = crate::target("thumbnail", &book, &OFFERS, now()).expect_err("it is not quite that");
    assert_eq!(unknown.nearest[0], "thumbnails");
}

/// The day before gpt-image-1.5 retires, and the day itself.
const BEFORE: &str = "2026-11-30T00:00:00Z";
const AFTER: &str = "2026-12-01T00:00:00Z";

fn led(name: &str, pairs: &[(&str, &str)], at: &str) -> Result<(String, bool), Option<String>> {
    let book = migrating(pairs);
    let named = crate::target(name, &book, &OFFERS, instant(at));
    named.map(|named| (named.target.to_string(), named.migrated)).map_err(|unknown| unknown.migrated_to)
}

#[test]
fn a_migration_is_followed_once_the_name_is_gone() {
    let pairs = [("gpt-image-1.5", "gpt-image-2"), ("dall-e-3", "gpt-image-2")];
    let to = |name: &str, migrated| Ok((name.to_owned(), migrated));
    assert_eq!(led("gpt-image-1.5", &pairs, BEFORE), to("gpt-image-1.5", false));
    assert_eq!(led("gpt-image-1.5", &pairs, AFTER), to("gpt-image-2", true));
    // What is pinned stays pinned.
    assert_eq!(led("openai/gpt-image-1.5", &pairs, AFTER), to("openai/gpt-image-2", true));
    // A version goes with its model.
    assert_eq!(led("gpt-image-1.5@2025-12-16", &pairs, AFTER), to("gpt-image-2", true));
    // So does the vendor's own id of it, whichever of the two is named.
    assert_eq!(led("gpt-image-1.5-2025-12-16", &pairs, AFTER), to("gpt-image-2", true));
    let by_id = [("gpt-image-1.5-2025-12-16", "gpt-image-2")];
    assert_eq!(led("gpt-image-1.5@2025-12-16", &by_id, AFTER), to("gpt-image-2", true));
    assert_eq!(
        led("gpt-image-1.5", &by_id, AFTER),
        to("gpt-image-1.5", false),
        "the version alone is led on"
    );
    // What the catalogue never knew, or does not know any more.
    assert_eq!(led("dall-e-3", &pairs, BEFORE), to("gpt-image-2", true));
    assert_eq!(led("bfl/dall-e-3", &pairs, BEFORE), Err(Some("bfl/gpt-image-2".to_owned())));
    assert_eq!(led("gpt-image-2@1999", &pairs, BEFORE), Err(None), "the model itself works");
}

#[test]
fn the_most_particular_migration_counts() {
    let pairs = [
        ("gpt-image-1.5", "gpt-image-2"),
        ("openai/gpt-image-1.5", "bfl/flux-2-pro"),
        ("gpt-image-2@2026-01-01", "gpt-image-2@2026-04-21"),
        ("old-sketches", "sketch"),
    ];
    let to = |name: &str| Ok((name.to_owned(), true));
    assert_eq!(led("openai/gpt-image-1.5", &pairs, AFTER), to("bfl/flux-2-pro"));
    assert_eq!(led("gpt-image-1.5", &pairs, AFTER), to("gpt-image-2"));
    assert_eq!(led("openai/gpt-image-2@2026-01-01", &pairs, AFTER), to("openai/gpt-image-2@2026-04-21"));
    assert_eq!(led("old-sketches", &pairs, AFTER), to("sketch"), "a route may take the place of a model");
    assert_eq!(led("openai/old-sketches", &pairs, AFTER), Err(None), "not where a host is pinned");
}

#[test]
fn a_migration_is_told_in_the_plan_and_warned_of() {
    let book = migrating(&[("gpt-image-1.5", "openai/gpt-image-2")]);
    let request = ask("gpt-image-1.5");
    let context = PlanContext { names: &book, ..context(instant(AFTER)) };
    let report = quotes(&request, context).expect("it leads somewhere");
    assert_eq!(report.requested_model, "gpt-image-1.5");
    assert_eq!(report.migrated_to.as_deref(), Some("openai/gpt-image-2"));
    let expected = "gpt-image-1.5 is gone; the settings migrate it to openai/gpt-image-2";
    assert!(report.offers.iter().all(|offer| offer.warnings[0] == expected));
}

/// The offers, with BFL serving the first model under the name of the second from an instant on.
fn sent_on(to: &str, from: &str, quality: Option<&str>, since: &str) -> Vec<Offer> {
    let mut offers = OFFERS.clone();
    let named = offers.iter_mut().find(|offer| offer.id.to_string() == from).expect("it is an offer");
    let mut model = (*named.model).clone();
    model.lifecycle.redirect = Some(Redirect {
        to: to.to_owned(),
        quality: quality.map(str::to_owned),
        since: instant(since),
        source: Arc::clone(&model.source),
    });
    named.model = Arc::new(model);
    offers
}

#[test]
fn a_name_that_is_silently_sent_on_costs_what_is_really_served() {
    let offers = sent_on("gpt-image-2", "openai/gpt-image-1-mini", Some("high"), "2026-11-25T00:00:00Z");
    let before = PlanContext { offers: &offers, ..context(instant("2026-11-24T00:00:00Z")) };
    let after = PlanContext { offers: &offers, ..context(now()) };
    let request = ask("gpt-image-1-mini");
    let of_itself = quotes(&request, before).expect("known");
    assert_eq!(
        (of_itself.offers[0].offer.as_str(), &of_itself.offers[0].sent_on_from),
        ("openai/gpt-image-1-mini", &None)
    );
    let sent = quotes(&request, after).expect("known");
    let served = &sent.offers[0];
    assert_eq!(served.offer, "openai/gpt-image-2");
    assert_eq!(served.sent_on_from.as_deref(), Some("openai/gpt-image-1-mini"));
    assert_eq!(served.quality, "high");
    assert_eq!(sent.requested_model, "gpt-image-1-mini");
    assert!(
        served.warnings[0].starts_with(
            "openai has served gpt-image-2 at quality high for gpt-image-1-mini since 2026-11-25"
        ),
        "{:?}",
        served.warnings
    );
    let direct = ImageRequest { quality: Some("high".into()), ..ask("openai/gpt-image-2") };
    let direct = quotes(&direct, after).expect("known");
    assert_eq!((served.max_usd, served.class), (direct.offers[0].max_usd, direct.offers[0].class));
    // What goes out says what is bought, and the offer is the one that is booked.
    let plan = plan(&request, after).expect("known");
    let call = plan.offers[0].resolved.call(&request, plan.offers[0].offer, 0, 1, now());
    assert_eq!((call.upstream_model.as_str(), call.quality.as_str()), ("gpt-image-2", "high"));
    assert_eq!(offers[plan.offers[0].index].id, plan.offers[0].offer.id);
    // A route finds the other one by itself, once.
    let auto = plan_ids_of_auto(after);
    assert!(!auto.contains(&"openai/gpt-image-1-mini".to_owned()));
    assert_eq!(auto.iter().filter(|id| *id == "openai/gpt-image-2").count(), 1);
}

fn plan_ids_of_auto(context: PlanContext<'_>) -> Vec<String> {
    let request = ImageRequest { class: Some(QualityClass::Draft), ..ask("auto") };
    ids(&plan(&request, context).expect("a route"))
}

#[test]
fn what_is_sent_on_to_nothing_that_can_be_had_says_so() {
    let offers = sent_on("gpt-image-9", "openai/gpt-image-1-mini", None, "2026-11-25T00:00:00Z");
    let context = PlanContext { offers: &offers, ..context(now()) };
    let request = ask("gpt-image-1-mini");
    let found = plan(&request, context).expect("known");
    assert!(found.offers.is_empty());
    assert_eq!(found.excluded().next().expect("one is out").reason.code(), "sent_on");
    assert_eq!(found.excluded().next().expect("one is out").reason.change(), "use gpt-image-9");
    // A migration of one's own goes before what the provider does.
    let book = migrating(&[("gpt-image-1-mini", "gpt-image-2")]);
    let led = plan(&request, PlanContext { names: &book, ..context }).expect("known");
    assert_eq!(ids(&led), ["openai/gpt-image-2"]);
}

#[test]
fn a_circle_of_redirects_ends() {
    let mut offers = sent_on("gpt-image-2", "openai/gpt-image-1-mini", None, "2026-11-25T00:00:00Z");
    let back = sent_on("gpt-image-1-mini", "openai/gpt-image-2", None, "2026-11-25T00:00:00Z");
    let index = crate::testing::index("openai/gpt-image-2");
    offers[index] = back[index].clone();
    let request = ask("gpt-image-1-mini");
    let found = plan(&request, PlanContext { offers: &offers, ..context(now()) }).expect("known");
    assert!(found.offers.is_empty(), "nobody can say what is served");
    assert_eq!(found.excluded().next().expect("one is out").reason.code(), "sent_on");
}

#[test]
fn a_name_and_its_text_are_the_same() {
    for text in ["flux", "bfl/flux", "flux@1", "bfl/flux@1#batch", "flux#batch", "/", "a/b/c@d@e#f#g"] {
        assert_eq!(ModelName::parse(text).to_string(), text);
    }
}
