//! Named routes, names that are gone, and names that a provider sends on.

use super::compatible::{VLLM, catalogue};
use super::hostile::upstream;
use super::{ask, bytes, usd};
use crate::house::{House, incoming, stand_ins};
use gallerist_domain::{Chunks, Depth, OfferId, Ticks};
use gallerist_engine::{EngineSettings, ProviderSettings, RefusalKind};
use gallerist_fakes::Fakes;
use gallerist_routing::{Member, NameBook, Route};
use gallerist_store::AttemptStatus;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn only(name: &str, models: &[&str]) -> Route {
    Route { models_only: models.iter().map(|text| Member::parse(text)).collect(), ..Route::named(name) }
}

fn book(routes: Vec<Route>, migrations: &[(&str, &str)]) -> NameBook {
    let owned = |(from, to): &(&str, &str)| ((*from).to_owned(), (*to).to_owned());
    NameBook::new(routes, migrations.iter().map(owned).collect::<BTreeMap<_, _>>())
}

/// The base64 text of a picture whose head and tail are sound, and whose pixels are not.
async fn broken_inside(seed: u64) -> String {
    let house = House::open(seed).await;
    let answer = house.engine.generate(incoming(ask("openai/gpt-image-2"))).await.expect("it is made");
    let mut picture = bytes(&answer.images[0]);
    let middle = picture.len() / 2;
    picture[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0xa5);
    let encoded = gallerist_imaging::encode_base64(&Chunks::from(picture));
    String::from_utf8(encoded.to_vec()).expect("base64 is text")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_decides_how_deep_pictures_are_checked() {
    let picture = broken_inside(141).await;
    let (origin, _) =
        upstream(200, move |_| json!({"created": 1, "data": [{"b64_json": picture}]}).to_string()).await;
    let house = House::with(142, |settings| {
        settings.providers.retain(|provider| provider.kind == "openai");
        settings.providers[0].base_url = origin;
        let strict = Route { check: Some(Depth::Pixels), ..only("strict", &["gpt-image-2"]) };
        settings.names = book(vec![strict, only("lenient", &["gpt-image-2"])], &[]);
    })
    .await;
    house.engine.generate(incoming(ask("lenient"))).await.expect("its head and tail are sound");
    house.engine.generate(incoming(ask("gpt-image-2"))).await.expect("so it is without a route");
    let refusal = house.engine.generate(incoming(ask("strict"))).await.expect_err("it cannot be decoded");
    assert_eq!(refusal.kind, RefusalKind::UpstreamFailed);
    assert!(refusal.charged > usd("0"), "it was made, so it was charged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_decides_whether_a_refused_prompt_goes_elsewhere() {
    let hosts = &["bfl/flux-1.1-pro", "fal/flux-1.1-pro"];
    let house = House::with(143, |settings| {
        let stubborn = Route { moderation_failover: Some(true), ..only("stubborn", hosts) };
        settings.names = book(vec![stubborn, only("meek", hosts)], &[]);
    })
    .await;
    let first = house.order(&ask("meek"))[0].split('/').next().expect("an offer has a provider").to_owned();
    house.faults(&first, &json!([{"fault": "moderation"}]));
    let refusal = house.engine.generate(incoming(ask("meek"))).await.expect_err("it is refused");
    assert_eq!((refusal.kind, refusal.attempts.len()), (RefusalKind::ModerationBlocked, 1));
    let answer = house.engine.generate(incoming(ask("stubborn"))).await.expect("the other one makes it");
    assert_eq!(answer.meta.attempts, 2);
    assert_ne!(answer.meta.provider, first);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_saves_against_its_own_baseline_and_is_named_everywhere() {
    let house = House::with(144, |settings| {
        settings.baseline = Some(OfferId::new("openai", "gpt-image-2"));
        let own =
            Route { baseline: Some(OfferId::new("bfl", "flux-1.1-pro")), ..only("flux", &["flux-2-pro"]) };
        settings.names = book(vec![own, only("plain", &["flux-2-pro"])], &[]);
    })
    .await;
    let mut lists = Vec::new();
    for name in ["flux", "plain"] {
        let answer = house.engine.generate(incoming(ask(name))).await.expect("it is made");
        let meta = &answer.meta;
        assert_eq!((meta.requested_model.as_str(), meta.route.as_deref()), (name, Some(name)));
        assert_eq!(meta.model, "flux-2-pro");
        let stored = house.settled().await.request;
        assert_eq!(stored.model, name);
        let plan: Value = serde_json::from_str(&stored.plan_json).expect("it is JSON");
        assert_eq!((&plan["route"], &plan["requested_model"]), (&json!(name), &json!(name)));
        let list = meta.list.as_ref().expect("there is a baseline");
        assert_eq!(meta.saved_usd, Some(list.list_usd - meta.cost.charged_usd));
        assert_eq!((stored.list, stored.list_as_of), (Some(list.list_usd), list.list_as_of));
        assert_eq!(stored.list_confidence.as_deref(), list.list_confidence.as_deref());
        lists.push((list.list_usd, list.list_confidence.clone()));
    }
    assert_eq!(lists[0].0, usd("0.04"), "flux-1.1-pro costs that, although the route does not allow it");
    assert_ne!(lists[0].0, lists[1].0, "the other route takes the gateway's");
    assert_eq!(lists[0].1.as_deref(), Some("third_party"), "so its price line says");
    assert!(lists[1].1.is_some());
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cost_limit_of_a_route_cannot_be_raised_by_a_request() {
    let house = House::with(145, |settings| {
        let cheap = Route { max_cost: Some(usd("0.01")), ..only("cheap", &["openai/gpt-image-2"]) };
        settings.names = book(vec![cheap, only("elsewhere", &["nobody/sells-this"])], &[]);
    })
    .await;
    let mut request = ask("cheap");
    request.quality = Some("high".into());
    request.max_cost = Some(usd("100"));
    let refusal = house.engine.generate(incoming(request)).await.expect_err("it is dearer");
    assert_eq!(refusal.kind, RefusalKind::CostLimitExceeded);
    assert!(refusal.message.contains("max_cost_usd of the route 'cheap' (0.01)"), "{}", refusal.message);
    let refusal = house.engine.generate(incoming(ask("elsewhere"))).await.expect_err("nobody is on");
    assert_eq!(refusal.kind, RefusalKind::NoOffer);
    assert!(refusal.message.contains("the route 'elsewhere' allows"), "{}", refusal.message);
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_gone_is_migrated_and_both_names_are_kept() {
    let house = House::with(146, |settings| {
        settings.names = book(vec![], &[("dall-e-3", "openai/gpt-image-2"), ("dall-e-2", "openai/gone-too")]);
    })
    .await;
    let answer = house.engine.generate(incoming(ask("dall-e-3"))).await.expect("it leads to what is there");
    let meta = &answer.meta;
    assert_eq!((meta.requested_model.as_str(), meta.model.as_str()), ("dall-e-3", "gpt-image-2"));
    assert_eq!(meta.warnings[0], "dall-e-3 is gone; the settings migrate it to openai/gpt-image-2");
    assert!(meta.saved_usd.is_some(), "the baseline is that of the model that took its place");
    let stored = house.settled().await.request;
    assert_eq!(stored.model, "dall-e-3");
    let plan: Value = serde_json::from_str(&stored.plan_json).expect("it is JSON");
    assert_eq!(plan["migrated_to"], "openai/gpt-image-2");
    assert_eq!(plan["offers"][0]["offer"], "openai/gpt-image-2");
    let refusal = house.engine.generate(incoming(ask("dall-e-2"))).await.expect_err("it leads nowhere");
    assert_eq!(refusal.kind, RefusalKind::ModelNotFound);
    assert!(
        refusal.message.contains("'openai/gone-too', to which the settings migrate it"),
        "{}",
        refusal.message
    );
    assert_eq!(house.balance().await, 0);
}

/// Another model in the cellar, which answers to the name of the first.
const SENT_ON: &str = r#"
[sheets.new-model]
prices = [{ line = "picture", meter = "images", amount = "0.0029", source = "own" }]

[[models]]
id = "new-model"
upstream = "gpt-image-1-mini"
maker = true
shape = "house-model"
sheet = "new-model"
classes = [{ class = "standard", source = "own" }]
latency_ms = 4000
source = "own"
"#;

fn cellar(settings: &mut EngineSettings, fakes: &Fakes) {
    let origin = &fakes.get("openai").expect("a known kind").origin;
    let redirect = "maker = true\nredirect = { to = \"new-model\", since = \"2026-11-01\", source = \"own\" }\nshape = \"house-model\"";
    let file = VLLM.replacen("shape = \"house-model\"", redirect, 1) + SENT_ON;
    settings.catalogue = catalogue(&file);
    settings.providers.push(ProviderSettings {
        name: "vllm".to_owned(),
        kind: "vllm".to_owned(),
        region: String::new(),
        base_url: format!("{origin}/v1"),
        key: fakes.keys()["openai"].clone().into(),
        concurrency_max: None,
        images_per_minute: None,
    });
}

/// What the estimate was off by is no saving: the baseline itself made the picture.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_saved_where_the_baseline_made_the_picture() {
    let house = House::with(149, |settings| {
        settings.baseline = Some(OfferId::new("openai", "gpt-image-2"));
    })
    .await;
    for name in ["openai/gpt-image-2", "openai/gpt-image-2.6-flare"] {
        let answer = house.engine.generate(incoming(ask(name))).await.expect("it is made");
        let meta = &answer.meta;
        assert_eq!(meta.offer, name);
        let list = meta.list.as_ref().expect("the maker's own price").list_usd;
        assert_eq!((list, meta.saved_usd), (meta.cost.charged_usd, Some(Ticks::ZERO)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_sent_on_is_paid_and_booked_as_what_is_served() {
    let fakes = stand_ins(147).await;
    let house = House::with(148, |settings| cellar(settings, &fakes)).await;
    let answer = house.engine.generate(incoming(ask("house-model"))).await.expect("the other one is made");
    let meta = &answer.meta;
    assert_eq!((meta.requested_model.as_str(), meta.model.as_str()), ("house-model", "new-model"));
    assert_eq!((meta.offer.as_str(), meta.cost.charged_usd), ("vllm/new-model", usd("0.0029")));
    assert_eq!(meta.saved_usd, Some(usd("0")), "its maker would have served the same");
    assert!(meta.warnings[0].starts_with("vllm has served new-model for house-model since 2026-11-01"));
    let detail = house.settled().await;
    assert_eq!(detail.request.model, "house-model");
    assert_eq!(detail.attempts[0].offer.to_string(), "vllm/new-model");
    assert_eq!(detail.attempts[0].status, AttemptStatus::Settled);
    let plan: Value = serde_json::from_str(&detail.request.plan_json).expect("it is JSON");
    assert_eq!(plan["offers"][0]["sent_on_from"], "vllm/house-model");
    let bill = fakes.get("openai").expect("a known kind").ctx.bill.entries();
    assert_eq!(bill[0].model, "gpt-image-1-mini", "it is asked for by its own name");
    assert_eq!(house.balance().await, 0);
}
