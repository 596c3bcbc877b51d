//! Engines of one's own (selfhosted.md, 8), Midjourney's plans and resellers (midjourney.md, 3) and Mistral's
//! picture tool (anthropic-mistral-deepseek.md).
//!
//! The seconds of a self-hosted run are guesses until it was measured: they are the worked cases' published
//! parameters, and what is checked here is the formula.

use crate::exact::{Bill, Fraction, between, decimal, exact, quotient, whole};
use crate::measured::glm_image_usd;
use crate::openai::{cached_tokens, prompt_tokens, token_line};
use crate::question::{DECIMAL_MEGAPIXEL, Question};
use gallerist_domain::{Operation, Size};

/// Seconds before the first step, and seconds per megapixel and step.
type Work = (&'static str, &'static str);

/// Two thirds of a dollar an hour and some: a workstation's card.
const WORKSTATION: &str = "1.10";
const H100_SXM: &str = "3.99";

/// Work that is guessed, usually bounded by 0.6 and 1.25 of it.
pub fn guessed(question: &Question, work: Work, size: Size, steps: u32, hourly: [&str; 3]) -> Bill {
    guessed_within(["0.6", "1.25"], question, work, size, steps, hourly)
}

/// "k · megapixels · steps · (2 if CFG else 1)": the guessed work is that of both passes, and guidance of 1 is none.
fn passes(question: &Question) -> Fraction {
    let guided = matches!(question.kind, "automatic1111" | "comfyui" | "invokeai" | "sdcpp" | "gpu-cloud")
        && matches!(question.model, "sdxl" | "sd3.5-large" | "qwen-image");
    match question.call.guidance_milli {
        Some(..=1000) if guided => quotient(1, 2),
        _ => whole(1),
    }
}

/// A meter counts whole microseconds of each picture, so the bounds are rounded outwards.
fn guessed_within(
    bounds: [&str; 2],
    question: &Question,
    work: Work,
    size: Size,
    steps: u32,
    hourly: [&str; 3],
) -> Bill {
    let megapixels = quotient(size.pixels().into(), DECIMAL_MEGAPIXEL.into());
    let microseconds = |passes: Fraction| {
        let seconds = decimal(work.0) + megapixels * whole(steps) * decimal(work.1) * passes;
        whole((seconds * whole(1_000_000)).floor())
    };
    // An engine may make both passes for nothing.
    let (counted, both) = (microseconds(passes(question)), microseconds(whole(1)));
    let at = |microseconds: i128, hourly: &str| {
        question.images() * quotient(microseconds, 1_000_000) * decimal(hourly) * quotient(1, 3600)
    };
    let (least, most) = ((counted * decimal(bounds[0])).floor(), (both * decimal(bounds[1])).ceiling());
    between(at(least, hourly[0]), at(counted.floor(), hourly[1]), at(most, hourly[2]))
}

fn workstation_work(model: &str) -> Option<Work> {
    Some(match model {
        "sdxl" => ("0.5", "0.15"),
        "sd3.5-large" => ("1.0", "0.6"),
        "flux-1-dev" | "flux-1-schnell" => ("1.0", "0.45"),
        "qwen-image" => ("1.5", "1.1"),
        "z-image-turbo" | "flux-2-klein-4b" => ("0.8", "0.3"),
        _ => return None,
    })
}

/// `extra-single-image` and its like: half a second and as much for each megapixel that comes out.
fn upscale(question: &Question) -> Bill {
    guessed(question, ("0.5", "0.5"), question.call.size, 1, [WORKSTATION; 3])
}

/// As on the other workstations; a start from a picture reads it for 0.3 seconds more and samples three
/// quarters of the steps, by the denoising strength of 0.75 that img2img has unless told otherwise. At most
/// all of the steps are sampled: 4 ÷ 3 × 1.25, rounded up to 1.7.
pub fn automatic1111_usd(question: &Question) -> Option<Bill> {
    let call = question.call;
    match (question.model, call.operation) {
        ("real-esrgan", Operation::Upscale) => Some(upscale(question)),
        ("sdxl", Operation::Edit | Operation::Inpaint) => {
            let work = ("0.8", "0.1125");
            Some(guessed_within(["0.6", "1.7"], question, work, call.size, call.steps, [WORKSTATION; 3]))
        }
        _ => workstation_usd(question),
    }
}

/// Automatic1111, ComfyUI and InvokeAI run the same weights on the same card.
pub fn workstation_usd(question: &Question) -> Option<Bill> {
    let work = workstation_work(question.model)?;
    Some(guessed(question, work, question.call.size, question.call.steps, [WORKSTATION; 3]))
}

pub fn sdcpp_usd(question: &Question) -> Option<Bill> {
    // Half as long again as ComfyUI.
    let work = match question.model {
        "sdxl" => ("0.75", "0.225"),
        "flux-1-dev" | "flux-1-schnell" => ("1.5", "0.675"),
        "z-image-turbo" => ("1.2", "0.45"),
        _ => return None,
    };
    Some(guessed(question, work, question.call.size, question.call.steps, [WORKSTATION; 3]))
}

pub fn localai_usd(question: &Question) -> Option<Bill> {
    if question.model == "localai-upscale" {
        return Some(upscale(question));
    }
    let work = workstation_work(question.model)?;
    // "Always asks the backend for 512x512".
    let size = match question.call.operation {
        Operation::Inpaint => Size::new(512, 512),
        _ => question.call.size,
    };
    Some(guessed(question, work, size, question.call.steps, [WORKSTATION; 3]))
}

/// Seconds of a batch, divided by the calls in it.
pub fn sglang_usd(question: &Question) -> Option<Bill> {
    let share = match question.call.region.as_str() {
        "" => 1,
        region => region.strip_prefix("shared-")?.parse().ok()?,
    };
    let bill = match question.model {
        "glm-image" => glm_image_usd(question)?,
        _ => sglang_alone(question)?,
    };
    Some(bill.times([quotient(1, share); 3]))
}

fn sglang_alone(question: &Question) -> Option<Bill> {
    let work = match question.model {
        "flux-1-dev" => ("0.3", "0.13"),
        "flux-2-dev" => ("0.6", "0.32"),
        "qwen-image" => ("0.5", "0.38"),
        "qwen-image-edit" => ("0.5", "0.96"),
        "z-image-turbo" => ("0.3", "0.08"),
        _ => return None,
    };
    let (size, steps) = (question.call.size, question.call.steps);
    if question.word("true_cfg_scale").is_empty() {
        return Some(guessed(question, work, size, steps, [H100_SXM; 3]));
    }
    // One pass or two; the guessed work of Qwen-Image is that of two, that of the others of one.
    let twice = match work.1 {
        "0.13" => "0.26",
        "0.32" => "0.64",
        "0.08" => "0.16",
        both => both,
    };
    Some(guessed_within(["0.3", "1.25"], question, (work.0, twice), size, steps, [H100_SXM; 3]))
}

/// Dollars per hour of an H100 SXM at RunPod, by the day on which it was read; nothing before the spring's list.
fn runpod_h100(question: &Question, community: bool) -> Option<[&'static str; 3]> {
    Some(match community {
        _ if question.is_before("2026-05-01T00:00:00Z") => return None,
        true if question.is_before("2026-11-09T00:00:00Z") => ["1.80", "2.40", "2.40"],
        true => ["2.69"; 3],
        false if question.is_before("2026-08-19T00:00:00Z") => ["2.69", "2.79", "2.79"],
        false if question.is_before("2026-09-25T00:00:00Z") => ["3.29"; 3],
        false if question.is_before("2026-10-01T00:00:00Z") => ["3.49"; 3],
        false => ["3.99"; 3],
    })
}

/// A rented card that runs anyway: seconds of work, divided by the calls that share it.
pub fn gpu_cloud_usd(question: &Question) -> Option<Bill> {
    let work = match (question.model, question.call.quality.as_str()) {
        ("flux-1-dev", "h100-sxm") => ("0.3", "0.13"),
        ("flux-1-dev", "a100-sxm") => ("0.3", "0.26"),
        ("sdxl", "a100-pcie") => ("0.3", "0.122"),
        ("sdxl", "h200") => ("0.3", "0.056"),
        _ => return None,
    };
    let hourly = match (question.call.quality.as_str(), question.call.region.as_str()) {
        ("h100-sxm", "") => runpod_h100(question, false)?,
        ("h100-sxm", "runpod-community") => runpod_h100(question, true)?,
        ("h100-sxm", "nebius") => ["3.85"; 3],
        // A median that moved by 49.8 % within a day, either way from 2.40: 1.2048 to 3.5952.
        ("h100-sxm", "vast") => ["1.2048", "2.40", "3.5952"],
        ("a100-sxm", "vast") if question.is_before("2026-10-28T00:00:00Z") => return None,
        ("a100-sxm", "vast") if question.is_before("2026-10-29T00:00:00Z") => {
            ["0.5711756", "1.1378", "1.7044244"]
        }
        ("a100-sxm", "vast") => ["0.8555586", "1.7043", "2.5530414"],
        ("h100-sxm", "lambda") => ["4.29"; 3],
        ("a100-pcie", "") => ["1.79"; 3],
        ("a100-pcie", "runpod-community") => ["1.19"; 3],
        ("a100-sxm", "") => ["1.79"; 3],
        ("a100-sxm", "runpod-community") => ["1.39"; 3],
        ("h200", "akash") => ["4.45"; 3],
        ("h200", "fal") => ["4.50"; 3],
        _ => return None,
    };
    let number = |name: &str, usual: i64| question.word(name).parse().unwrap_or(usual);
    let factor = whole(number("gpus", 1))
        * quotient(1, number("concurrency", 1).into())
        * quotient(100, number("utilisation_percent", 100).into());
    let bill = guessed(question, work, question.call.size, question.call.steps, hourly);
    Some(bill.times([factor; 3]))
}

/// Dollars per second of fast GPU time by plan, the discount of a year included.
fn midjourney_second(plan: &str) -> Option<Fraction> {
    let (plan, yearly) = plan.strip_suffix("-yearly").map_or((plan, false), |plan| (plan, true));
    let second = match plan {
        "basic" => decimal("10") * quotient(1, 11_880),
        "" | "standard" | "pro" | "mega" => decimal("2") * quotient(1, 3600),
        "extra-hours" => decimal("4") * quotient(1, 3600),
        _ => return None,
    };
    Some(if yearly { second * quotient(4, 5) } else { second })
}

fn midjourney_reseller(question: &Question) -> Option<Bill> {
    let speed = match question.call.tier.as_str() {
        "relax" => 0,
        "standard" | "fast" => 1,
        "turbo" => 2,
        _ => return None,
    };
    let quotas = |quotas: [&str; 3]| decimal(quotas[speed]) * quotient(1, 200);
    let small = matches!(question.call.operation, Operation::Upscale | Operation::Describe);
    let imagines = matches!(question.call.operation, Operation::Generate | Operation::Variation);
    match question.call.region.as_str() {
        "apimart" | "no1" if !question.generates() => None,
        // "From 0.045": turbo is dearer than that wherever it has a price.
        "apimart" if speed == 2 => None,
        "apimart" => Some(exact(question.images() * decimal("0.045"))),
        "no1" => Some(exact(decimal(["0.05", "0.10", "0.20"][speed]))),
        "maxapi" if small => Some(exact(decimal("0.01"))),
        // "Imagine-class calls": whether editing is one of them is not said.
        "maxapi" if !imagines => None,
        "maxapi" => Some(exact(decimal(["0.015", "0.04", "0.108"][speed]))),
        "goapi" if question.call.operation == Operation::Upscale => match question.word("scale") {
            "2" => Some(exact(quotas(["9", "18", "40"]))),
            "4" => Some(exact(quotas(["27", "54", "120"]))),
            _ => None,
        },
        "goapi" if !imagines => None,
        "goapi" => {
            Some(between(quotas(["3", "9", "20"]), quotas(["5", "9", "20"]), quotas(["5", "9", "20"])))
        }
        _ => None,
    }
}

/// One job is four pictures and about a minute of the card; relax is free except on Basic, turbo double.
pub fn midjourney_usd(question: &Question) -> Option<Bill> {
    if matches!(question.call.region.as_str(), "maxapi" | "goapi" | "no1" | "apimart") {
        return midjourney_reseller(question);
    }
    let second = midjourney_second(&question.call.region)?;
    // Relax is part of the plans from Standard on.
    let fast_only = question.call.region.starts_with("basic") || question.call.region == "extra-hours";
    let factor = match question.call.tier.as_str() {
        "relax" if fast_only => return None,
        "relax" => 0,
        "standard" | "fast" => 1,
        "turbo" => 2,
        _ => return None,
    };
    let of = |seconds: i64| whole(seconds) * second * whole(factor);
    // "Upscales cost more; variations less": by how much is a guess of the worked cases.
    let [least, expected, most] = match question.call.operation {
        Operation::Describe => return None,
        Operation::Variation => [15, 48, 60],
        Operation::Upscale => [60, 120, 150],
        _ => [45, 60, 78],
    };
    Some(between(of(least), of(expected), of(most)))
}

/// The fee of the tool and the conversation around it; what the words cost is not in the sheet but in the
/// worked cases: 1.50 and 7.50 a million tokens since 2026-05-22.
pub fn mistral_usd(question: &Question) -> Option<Bill> {
    let (input, output) =
        if question.is_before("2026-05-22T00:00:00Z") { ("0.40", "2.00") } else { ("1.50", "7.50") };
    // No list has a rate for cached input: what is known to be cached costs what the other words cost.
    let words = token_line(prompt_tokens(question, 193), input) + token_line(cached_tokens(question), input);
    // "The chat model decides whether, and how many, images to make": none costs words alone.
    let tool = between(whole(0), decimal("0.10"), decimal("0.10"));
    Some(words + token_line([40, 94, 400], output) + tool)
}
