//! The books balance: mixed requests through all six, with seeded faults and clients that go away.
//!
//! At the end every bill minus the settled charges is the billed part of the disputed attempts, to the
//! last digit; each dispute is one event that was ambiguous when it happened; no reservation is open.

use crate::comparison::explain;
use crate::house::{House, incoming};
use gallerist_domain::{ImageRequest, Size, SizeChoice};
use serde_json::json;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A small generator, so that a run can be repeated from its seed (xorshift64*).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let count = u64::try_from(choices.len()).expect("a short list");
        &choices[usize::try_from(self.roll(count)).expect("a short list")]
    }
}

/// What any provider may do; the parts of a provider's own follow.
pub fn script(kind: &str) -> serde_json::Value {
    let mut faults = vec![
        json!({"fault": "429", "probability": 0.02, "retry_after_s": 0}),
        json!({"fault": "500", "probability": 0.03}),
        json!({"fault": "502", "probability": 0.02}),
        json!({"fault": "reset_before", "probability": 0.02}),
        json!({"fault": "reset_after", "probability": 0.03}),
        json!({"fault": "truncated", "probability": 0.02}),
        json!({"fault": "malformed", "probability": 0.02}),
        json!({"fault": "wrong_size", "probability": 0.02}),
        json!({"fault": "blank", "probability": 0.02}),
        json!({"fault": "moderation", "probability": 0.03}),
        json!({"fault": "latency", "probability": 0.2, "ms": 30}),
    ];
    let own: &[&str] = match kind {
        "openai" => &["moderation_output", "stream_cut", "stream_error"],
        "google" => &["image_safety", "no_image", "unavailable"],
        "bfl" => &["content_moderated", "task_error", "null_cost"],
        "stability" => &["content_filtered"],
        "fal" => &["moderation_billed", "nsfw_black", "completed_error"],
        _ => &["oom"],
    };
    faults.extend(own.iter().map(|fault| json!({"fault": fault, "probability": 0.02})));
    json!(faults)
}

pub fn mixed(dice: &mut Dice) -> ImageRequest {
    let models = [
        "auto",
        "auto",
        "auto",
        "openai/gpt-image-2",
        "google/nano-banana-2.1",
        "bfl/flux-2-pro",
        "fal/flux-2-pro",
        "stability/sd3.5-large",
        "automatic1111/sdxl",
        "fal/flux-schnell",
        "flux-2-pro",
        "bfl/flux-2-klein-4b",
        "gpt-image-2.5-flare",
    ];
    let mut request = ImageRequest::new(dice.pick::<&str>(&models), "a paper boat in the rain");
    request.n = *dice.pick(&[1, 1, 1, 2, 3]);
    request.size = match dice.roll(3) {
        0 => SizeChoice::Auto,
        _ => SizeChoice::Exact(Size::new(1024, 1024)),
    };
    if ["flux", "bfl/", "fal/", "automatic1111/"].iter().any(|start| request.model.starts_with(start)) {
        // Painting is most of the work of this test, so whoever can makes small pictures.
        request.size = SizeChoice::Exact(Size::new(512, 512));
    }
    if request.model == "auto" {
        request.quality = dice.pick(&[None, Some("low"), Some("high")]).map(str::to_owned);
    }
    if request.model.starts_with("openai/") && dice.roll(3) == 0 {
        request.stream = true;
        request.n = 1;
        request.partial_images = 2;
    }
    if dice.roll(8) == 0 {
        request.max_cost = Some("0.10".parse().expect("an amount"));
    }
    request.prompt = format!("{} number {}", request.prompt, dice.roll(1 << 40));
    request
}

async fn run(seed: u64, requests: u64) -> (House, usize) {
    let house = House::with(seed, |settings| {
        // The faults are the script's, not those of a busy machine.
        settings.limits.deadline_ms = 120_000;
    })
    .await;
    for kind in house.fakes.origins().keys() {
        house.faults(kind, &script(kind));
    }
    let mut dice = Dice(seed.wrapping_mul(2).wrapping_add(1));
    let places = std::sync::Arc::new(Semaphore::new(48));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..requests {
        let request = mixed(&mut dice);
        // One client in ten goes away: at once, soon, or late.
        let patience = (dice.roll(10) == 0).then(|| Duration::from_millis(*dice.pick(&[1, 40, 400])));
        let place = std::sync::Arc::clone(&places).acquire_owned().await.expect("it is never closed");
        let engine = house.engine.clone();
        tasks.spawn(async move {
            let _place = place;
            let work = async {
                if request.stream {
                    let mut events = engine.generate_stream(incoming(request));
                    while events.recv().await.is_some() {}
                    true
                } else {
                    engine.generate(incoming(request)).await.is_ok()
                }
            };
            match patience {
                Some(patience) => tokio::time::timeout(patience, work).await.unwrap_or(false),
                None => work.await,
            }
        });
    }
    let mut served = 0;
    while let Some(ended) = tasks.join_next().await {
        served += usize::from(ended.expect("no client panics"));
    }
    (house, served)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_mixed_requests_balance_to_the_last_digit() {
    let (house, served) = run(0x6a11, 1_000).await;
    let disputes = house.disputes().await;
    for (kind, disputes) in &disputes {
        explain(kind, disputes, &house.hits(kind), &[]);
    }
    let disputed: usize = disputes.values().map(Vec::len).sum();
    assert!(served > 500, "only {served} of 1,000 were served");
    assert!(disputed > 10, "the faults that are ambiguous did not happen ({disputed} disputes)");
}
