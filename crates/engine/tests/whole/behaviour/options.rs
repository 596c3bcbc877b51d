//! What only one vendor knows reaches that vendor, and input that it had cached is paid as it bills it.

use super::ask;
use crate::house::{House, incoming};
use gallerist_domain::{ImageRequest, OptionWord};
use serde_json::{Value, json};

fn with_options(model: &str, options: &Value) -> ImageRequest {
    let mut request = ImageRequest::new(model, "a heron on one leg");
    let kind = model.split('/').next().expect("the name has a provider").to_owned();
    let words = options.as_object().expect("options are an object").iter().map(|(name, value)| OptionWord {
        name: name.clone(),
        value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    });
    request.provider_option_words.insert(kind.clone(), words.collect());
    request.provider_options.insert(kind, options.to_string());
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_one_vendor_knows_is_taken_by_its_models() {
    let house = House::open(91).await;
    let table = [
        ("openai/gpt-image-2.6-flare", json!({"complexity": "low"})),
        ("google/gemini-nano-banana-2.1", json!({"seed": 7})),
        ("stability/stable-image-ultra", json!({"style_preset": "origami"})),
        ("stability/sd3.5-large", json!({"style_preset": "origami"})),
        ("stability/sd3.5-flash", json!({"style_preset": "origami"})),
        ("bfl/flux-3-image", json!({"version": "latest"})),
        ("bfl/flux-1.1-pro-ultra-finetuned", json!({"finetune_id": "own", "finetune_strength": 1.2})),
        ("automatic1111/sdxl", json!({"distilled_cfg_scale": 3.5, "subseed": 6, "subseed_strength": 0.5})),
    ];
    for (model, options) in table {
        let answer = house.engine.generate(incoming(with_options(model, &options))).await;
        let answer = answer.unwrap_or_else(|refusal| panic!("{model} {options}: {}", refusal.message));
        assert_eq!(answer.images.len(), 1, "{model}");
    }
    let mut request = ImageRequest::new("bfl/flux-3-image-klein", "a heron on one leg");
    request.steps = Some(16);
    house.engine.generate(incoming(request)).await.expect("Klein takes up to 16 steps");
    assert_eq!(house.balance().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn cached_input_is_neither_free_nor_paid_twice() {
    let house = House::open(92).await;
    house.faults("google", &json!([{"fault": "cached", "tokens": 4}]));
    // A listed rate for cached input, and one that nobody lists.
    for model in ["google/gemini-3-pro-image", "google/gemini-nano-banana-2.1"] {
        let before = house.billed("google");
        let answer = house.engine.generate(incoming(ask(model))).await.expect("it is made");
        assert_eq!(answer.meta.cost.charged_usd.get(), house.billed("google") - before, "{model}");
        assert_eq!(answer.meta.cost.basis, "usage");
        assert!(answer.meta.cost.lines.iter().any(|line| line.line == "cached-input"), "{model}");
    }
    assert_eq!(house.balance().await, 0);
}
