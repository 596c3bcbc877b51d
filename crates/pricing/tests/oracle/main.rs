//! An independent oracle: a second calculator, written from the providers' price sheets without the catalogue
//! at hand and sharing no code with `pricing`, that must agree to the last digit.
//!
//! Every row that is active at an instant is asked generated requests, those that articles alone describe too. None
//! is left out: where a quantity is known only afterwards, its published range is what must come out.

mod asian;
mod described;
mod design;
mod engines;
mod exact;
mod flux;
mod google;
mod hosted;
mod measured;
mod openai;
mod question;
mod requests;
mod resold;
mod stability;

use exact::{Agreement, Amount, Bill};
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::{Bounds, Catalogue, Facts, ModelSheet, bounds};
use jiff::Timestamp;
use question::Question;
use std::path::PathBuf;

/// Calls that each row is asked at the instant of the sheets, and at each other one.
const REQUESTS: u32 = 512;
const REQUESTS_ELSEWHEN: u32 = 64;

/// The instant of the sheets; some models retire nine days later.
const SHEETS: &str = "2026-11-22T12:00:00Z";

/// Other instants: before and within FLUX 3's launch, its last second and its end, around Ideogram's new list
/// and the reading of RunPod's rates, around the described hours at night, and after the retirements of 2026-12-01.
const OTHERS: &[&str] = &[
    "2026-04-15T00:00:00Z",
    "2026-09-20T00:00:00Z",
    "2026-09-28T00:00:00Z",
    "2026-10-01T14:59:59Z",
    "2026-10-01T15:00:00Z",
    "2026-10-08T14:59:59Z",
    "2026-10-08T15:00:00Z",
    "2026-10-28T12:00:00Z",
    "2026-11-15T23:59:59Z",
    "2026-11-16T00:00:00Z",
    "2026-11-23T01:59:59Z",
    "2026-11-23T02:00:00Z",
    "2026-11-23T05:59:59Z",
    "2026-11-23T06:00:00Z",
    "2026-12-02T00:00:00Z",
];

fn expected_usd(question: &Question) -> Option<Bill> {
    match question.kind {
        "openai" => openai::expected_usd(question),
        "azure" => openai::azure_usd(question),
        "google" => google::expected_usd(question),
        "bfl" => flux::expected_usd(question),
        "fal" => flux::fal_usd(question),
        "stability" => stability::expected_usd(question),
        "bedrock" => stability::bedrock_usd(question),
        "replicate" => hosted::replicate_usd(question),
        "together" => hosted::together_usd(question),
        "fireworks" => hosted::fireworks_usd(question),
        "cloudflare" => hosted::cloudflare_usd(question),
        "huggingface" => hosted::huggingface_usd(question),
        "xai" => asian::xai_usd(question),
        "seedream" => asian::seedream_usd(question),
        "qwen" => asian::qwen_usd(question),
        "ideogram" => design::ideogram_usd(question),
        "recraft" => design::recraft_usd(question),
        "automatic1111" => engines::automatic1111_usd(question),
        "comfyui" | "invokeai" => engines::workstation_usd(question),
        "sdcpp" => engines::sdcpp_usd(question),
        "localai" => engines::localai_usd(question),
        "sglang" => engines::sglang_usd(question),
        "gpu-cloud" => engines::gpu_cloud_usd(question),
        "midjourney" => engines::midjourney_usd(question),
        "mistral" => engines::mistral_usd(question),
        "runware" => resold::runware_usd(question).or_else(|| measured::runware_usd(question)),
        "vllm-omni" => measured::vllm_omni_usd(question),
        "openrouter" => resold::openrouter_usd(question),
        "vercel" => resold::vercel_usd(question),
        "portkey" => resold::portkey_usd(question),
        "cloudflare-ai-gateway" => resold::cloudflare_gateway_usd(question),
        "litellm" => resold::unchanged_usd(question),
        "tokenmix" => resold::tokenmix_usd(question),
        kind if kind.starts_with("described-") => described::described_usd(question),
        kind => panic!("{kind} has no calculator: write one from its sheet"),
    }
}

fn ticks(bounds: &Bounds) -> Amount {
    let of = |ticks: gallerist_domain::Ticks| i128::from(ticks.get());
    Amount { least: of(bounds.min), expected: of(bounds.expected), most: of(bounds.max) }
}

/// What a row answered.
#[derive(Default)]
struct Tally {
    priced: u32,
    refused: u32,
    /// The loosest agreement that an answer was held to.
    loosest: Option<Agreement>,
    wrong: Vec<String>,
}

fn ask(kind: &str, model: &ModelSheet, at: Timestamp, requests: u32) -> Tally {
    let mut tally = Tally::default();
    let mut dice = requests::Dice::named(&format!("{kind}/{}", model.id));
    for _ in 0..requests {
        let call = requests::call(&mut dice, kind, model);
        let question = Question { kind, model: &model.id, call: &call, at };
        let wanted = expected_usd(&question).map(|bill| (bill.amount(), bill.agreement));
        let answer = bounds(&model.sheet, &Facts::of(&call), at);
        match (wanted, &answer) {
            (None, Err(_)) => tally.refused += 1,
            (Some((wanted, agreement)), Ok(bounds)) if wanted.agrees(ticks(bounds), agreement) => {
                tally.priced += 1;
                tally.loosest = tally.loosest.max(Some(agreement));
            }
            _ => tally.wrong.push(format!(
                "{kind}/{} at {at}\n  {}\n  oracle    {wanted:?}\n  catalogue {:?}",
                model.id,
                requests::described(&question),
                answer.as_ref().map(ticks).map_err(ToString::to_string),
            )),
        }
    }
    tally
}

/// What no sheet prices: the calculators know nothing of it, and whatever is asked, there is no figure.
fn unpriced(kind: &str, model: &ModelSheet, at: Timestamp) -> Tally {
    let mut tally = Tally::default();
    let mut dice = requests::Dice::named(&format!("{kind}/{}", model.id));
    for _ in 0..REQUESTS_ELSEWHEN {
        let call = requests::call(&mut dice, kind, model);
        if let Ok(bounds) = bounds(&model.sheet, &Facts::of(&call), at) {
            tally.wrong.push(format!("{kind}/{} has no price, and costs {bounds:?}", model.id));
        }
    }
    tally
}

fn catalogue() -> Catalogue {
    let usual = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalog"));
    let folder = std::env::var_os("CATALOGUE_DIR").map_or(usual, PathBuf::from);
    Origin { directory: Some(folder), described: true }.whole().expect("the catalogue can be read")
}

fn is_active(model: &ModelSheet, at: Timestamp) -> bool {
    let day = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let retired = model.lifecycle.retires_on.is_some_and(|last| day >= last);
    !retired && model.lifecycle.switched_off.is_none()
}

/// What a walk over every active row found.
#[derive(Default)]
struct Walk {
    /// Rows whose every answer agreed exactly, within bounds, or with an estimate.
    exact: u32,
    bounded: u32,
    estimated: u32,
    priced: u32,
    refused: u32,
    /// Rows whose price no sheet states: each must refuse whatever is asked.
    unpriced: u32,
    wrong: Vec<String>,
}

fn walk(at: Timestamp, requests: u32) -> Walk {
    let mut walk = Walk::default();
    for provider in &catalogue().providers {
        for model in provider.models.iter().filter(|model| is_active(model, at)) {
            let name = format!("{}/{}", provider.kind, model.id);
            if model.sheet.unknown.is_some() {
                let tally = unpriced(&provider.kind, model, at);
                walk.unpriced += 1;
                walk.wrong.extend(tally.wrong);
                continue;
            }
            let tally = ask(&provider.kind, model, at, requests);
            walk.priced += tally.priced;
            walk.refused += tally.refused;
            match tally.loosest {
                Some(Agreement::Exact) => walk.exact += 1,
                Some(
                    Agreement::OpenBelow | Agreement::Bounded | Agreement::Measured | Agreement::EitherOf,
                ) => walk.bounded += 1,
                Some(Agreement::Estimated) => walk.estimated += 1,
                None => walk.wrong.push(format!("{name} has no price for any request")),
            }
            let count = tally.wrong.len();
            walk.wrong.extend(
                tally.wrong.into_iter().take(2).map(|text| format!("[{count} of {requests}] {text}")),
            );
        }
    }
    walk
}

impl Walk {
    fn counts(&self) -> String {
        format!(
            "{} rows to the last digit, {} with their expected figure, {} as estimates, {} without a price; {} prices, \
              {} refusals",
            self.exact, self.bounded, self.estimated, self.unpriced, self.priced, self.refused,
        )
    }
}

#[test]
fn every_active_row_costs_what_a_second_calculator_says() {
    let walk = walk(SHEETS.parse().expect("an instant"), REQUESTS);
    println!("{SHEETS}: {}", walk.counts());
    assert!(walk.wrong.is_empty(), "{} differences:\n{}", walk.wrong.len(), walk.wrong.join("\n"));
}

#[test]
fn dated_prices_change_when_a_second_calculator_says() {
    let mut wrong = Vec::new();
    for instant in OTHERS {
        let mut walk = walk(instant.parse().expect("an instant"), REQUESTS_ELSEWHEN);
        println!("{instant}: {}", walk.counts());
        wrong.append(&mut walk.wrong);
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// Of the list before that day only three prices are known; without one there must be no answer at all. Version 1 is
/// on neither list.
#[test]
fn models_of_stability_cost_what_each_list_says() {
    let catalogue = catalogue();
    let provider = catalogue.providers.iter().find(|provider| provider.kind == "stability");
    let models = &provider.expect("the catalogue has Stability").models;
    let mut asked = 0;
    for at in ["2025-07-31T23:59:59Z", "2025-08-01T00:00:00Z"] {
        for model in models.iter().filter(|model| model.sheet.unknown.is_none()) {
            let tally = ask("stability", model, at.parse().expect("an instant"), REQUESTS_ELSEWHEN);
            assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
            asked += 1;
        }
    }
    assert_eq!(asked, 2 * 21, "fourteen services, six that generate, and version 1");
}

/// Those that automate accounts against the vendor's terms are not on offer, but have a price as it was described.
#[test]
fn described_models_that_are_switched_off_cost_what_was_described() {
    let mut asked = Vec::new();
    for provider in catalogue().providers.iter().filter(|provider| provider.kind.starts_with("described-")) {
        for model in provider.models.iter().filter(|model| model.lifecycle.switched_off.is_some()) {
            let tally = ask(&provider.kind, model, SHEETS.parse().expect("an instant"), REQUESTS);
            assert!(tally.wrong.is_empty() && tally.priced > 0, "{}", tally.wrong.join("\n"));
            asked.push(provider.kind.clone());
        }
    }
    assert_eq!(asked, ["described-midjourney", "described-midjourney-relay"]);
}
