//! An OpenAI-compatible upstream of one's own beside OpenAI: another address, other models, other prices.

use super::{ask, usd};
use crate::house::{House, incoming, stand_ins};
use gallerist_engine::{Engine, EngineSettings, ProviderSettings, StartError};
use gallerist_pricing::Catalogue;
use serde_json::json;
use std::sync::Arc;

/// A catalogue file as an operator would write it: OpenAI's protocol, and nothing else of OpenAI's.
pub(super) const VLLM: &str = r#"
kind = "vllm"
adapter = "openai"
title = "vLLM in the cellar"
as_of = "2026-11-22"
base_url = "http://127.0.0.1:8000/v1"
self_hosted = true
concurrency_max = 2

[sources]
own = { what = "our own costs of a card, shared among its pictures", date = "2026-11-22", confidence = "derived" }

[outcomes.default]
success = "yes"
filtered = "yes"
refused = "no"
rejected = "no"
failed = "unknown"
cancelled_queued = "yes"
cancelled_running = "unknown"
disconnected = "unknown"
timed_out = "unknown"

[shapes.house-model]
images_per_call_max = 2
prompt_characters_max = 4000
sizes = { listed = ["1024x1024"] }
size_default = "1024x1024"
formats = ["png"]
format_selectable = false
format_default = "png"
options = ["background"]

[sheets.house-model]
prices = [{ line = "picture", meter = "images", amount = "0.0017", source = "own" }]

[[models]]
id = "house-model"
upstream = "gpt-image-2"
shape = "house-model"
sheet = "house-model"
classes = [{ class = "draft", source = "own" }]
latency_ms = 4000
source = "own"
"#;

pub(super) fn catalogue(file: &str) -> Arc<Catalogue> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("vllm.toml"), file).expect("it is written");
    Arc::new(Catalogue::with_overrides(folder.path()).expect("the file is sound"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compatible_upstream_is_paid_by_its_own_prices_beside_openai() {
    let cellar = stand_ins(81).await;
    let upstream = cellar.get("openai").expect("a known kind");
    let house = House::with(82, |settings: &mut EngineSettings| {
        settings.catalogue = catalogue(VLLM);
        settings.providers.push(ProviderSettings {
            name: "vllm".to_owned(),
            kind: "vllm".to_owned(),
            region: String::new(),
            base_url: format!("{}/v1", upstream.origin),
            key: cellar.keys()["openai"].clone().into(),
            concurrency_max: None,
            images_per_minute: None,
        });
    })
    .await;

    let mut request = ask("house-model");
    request.n = 3;
    let answer = house.engine.generate(incoming(request)).await.expect("it is made");
    assert_eq!((answer.meta.provider.as_str(), answer.images.len()), ("vllm", 3));
    assert_eq!(answer.meta.cost.charged_usd, usd("0.0051"), "three pictures at the file's price");
    assert_eq!(answer.meta.cost.basis, "computed");
    assert_eq!(upstream.ctx.bill.entries().len(), 2, "two calls, of two pictures and of one");
    assert_eq!(house.billed("openai"), 0, "nothing went to OpenAI");

    // Neither has the other's models, and OpenAI keeps its prices.
    for name in ["vllm/gpt-image-2", "openai/house-model"] {
        house.engine.generate(incoming(ask(name))).await.expect_err("it is not sold there");
    }
    let answer = house.engine.generate(incoming(ask("openai/gpt-image-2"))).await.expect("it is made");
    assert_eq!(answer.meta.cost.charged_usd.get(), house.billed("openai"));
    assert_eq!(upstream.ctx.bill.entries().len(), 2);

    // Its faults are read as OpenAI's are.
    upstream.ctx.faults.set(&json!([{"fault": "moderation"}])).expect("a valid script");
    let refusal = house.engine.generate(incoming(ask("vllm/house-model"))).await.expect_err("it is refused");
    assert_eq!(refusal.kind, gallerist_engine::RefusalKind::ModerationBlocked);
    house.balance().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adapter_that_does_not_exist_is_named_at_the_start() {
    let house = House::open(83).await;
    let cellar = ProviderSettings {
        name: "cellar".to_owned(),
        kind: "vllm".to_owned(),
        region: String::new(),
        base_url: "http://127.0.0.1:8000/v1".to_owned(),
        key: String::new().into(),
        concurrency_max: None,
        images_per_minute: None,
    };
    let catalogue = catalogue(&VLLM.replace("adapter = \"openai\"", "adapter = \"opeanai\""));
    let clock = Arc::new(gallerist_domain::SystemClock);
    let settings = EngineSettings::new(catalogue, vec![cellar], house.store.clone(), clock);
    let Err(error) = Engine::start(settings).await else { panic!("nobody speaks that") };
    assert!(matches!(error, StartError::UnknownAdapter { .. }), "{error}");
    assert!(error.to_string().contains("\"opeanai\""), "{error}");
    house.balance().await;
}
