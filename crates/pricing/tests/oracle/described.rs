//! Models that two articles describe and no price sheet confirms (issue 4, section 2, and the sheets of the real
//! models from which each example amount is taken, since the articles name few).

use crate::engines::guessed;
use crate::exact::{Bill, Fraction, between, decimal, exact, quotient, whole};
use crate::openai::{cached_tokens, prompt_tokens, token_line};
use crate::question::Question;
use gallerist_domain::Operation;
use jiff::tz::TimeZone;

/// Half a second, and 0.15 for each megapixel and step: the real SDXL on a workstation.
const WORK: (&str, &str) = ("0.5", "0.15");

/// DALL-E 3 "by size, 0.04 at 1024×1024 and 0.08 at 1792×1024"; DALL-E 4 "0.04 and two to three times that".
fn openai_per_image(question: &Question) -> Option<Bill> {
    let size = question.call.size;
    let of = |dollars: &str| question.images() * decimal(dollars);
    Some(match (question.model, size.width, size.height) {
        ("dall-e-3" | "dall-e-4", 1024, 1024) => exact(of("0.04")),
        ("dall-e-3", 1792, 1024) => exact(of("0.08")),
        ("dall-e-4", 1792, 1024) => between(of("0.08"), of("0.12"), of("0.12")),
        _ => return None,
    })
}

/// "0.001 USD a step, with a fixed overhead for inpainting, outpainting or a custom LoRA": a cent each.
fn openai_per_step(question: &Question) -> Bill {
    let steps = question.images() * whole(question.call.steps) * decimal("0.001");
    let edits = matches!(question.call.operation, Operation::Inpaint | Operation::Outpaint);
    let overheads = whole(question.call.ingredients.loras) + whole(i64::from(edits));
    exact(steps) + exact(question.images() * overheads * decimal("0.01"))
}

/// Gemini's calls by tokens: words at 1.50, a picture of 1120 tokens at 30.00, or looked at for 1.50 and named in a
/// few words at 7.50; what is cached at a tenth.
fn gemini_call(question: &Question, classifies: bool) -> Bill {
    let pictures = i128::from(question.call.n);
    let words = token_line(prompt_tokens(question, 8), "1.50") + token_line(cached_tokens(question), "0.15");
    if classifies {
        let class = [pictures, 16 * pictures, 64 * pictures];
        return words + token_line([1120 * pictures; 3], "1.50") + token_line(class, "7.50");
    }
    words + token_line([1120 * pictures; 3], "30.00")
}

fn google(question: &Question) -> Option<Bill> {
    match question.model {
        // "512×512 at 20 steps as base, linear multipliers".
        "imagen-3" => {
            let bases = quotient(
                (question.call.size.pixels() * i64::from(question.call.steps)).into(),
                512 * 512 * 20,
            );
            Some(exact(question.images() * bases * decimal("0.04")))
        }
        "gemini" => Some(match question.call.operation {
            Operation::Generate => gemini_call(question, false),
            Operation::Classify => gemini_call(question, true),
            // "The flat generate-and-classify price, up to 25 % below the chain": a picture and its class without words.
            Operation::GenerateAndClassify => {
                let chain =
                    whole(1120) * decimal("30") + whole(1120) * decimal("1.50") + whole(16) * decimal("7.50");
                let chain = chain * quotient(1, 1_000_000) * question.images();
                between(chain * quotient(3, 4), chain, chain)
            }
            _ => return None,
        }),
        _ => None,
    }
}

/// "By steps (20 instead of 50 saves 60 %), inpainting cheaper for smaller masks".
fn stability(question: &Question) -> Option<Bill> {
    let call = question.call;
    if call.operation == Operation::Inpaint {
        let whole_picture = call.size.pixels();
        // Nobody counted the mask: anything up to all of it.
        let (least, most) = match call.ingredients.mask_pixels {
            Some(marked) => (marked, marked),
            None => (0, whole_picture),
        };
        let of = |pixels: i64| question.images() * quotient(pixels.into(), 1_048_576) * decimal("0.05");
        return Some(between(of(least), of(most), of(most)));
    }
    let of = |dollars: &str, usual: i128| {
        question.images() * whole(call.steps) * decimal(dollars) * quotient(1, usual)
    };
    match question.model {
        "sd3" => Some(exact(of("0.065", 50))),
        "sdxl" => Some(between(of("0.009", 30), of("0.04", 30), of("0.04", 30))),
        _ => None,
    }
}

/// "Image tokens per pixel and the 02:00–06:00 UTC −30 % batch window".
fn anthropic(question: &Question) -> Bill {
    let tokens = quotient(question.call.size.pixels().into(), 750).ceiling();
    let hour = question.at.to_zoned(TimeZone::UTC).hour();
    let at_night = question.call.tier == "batch" && (2..6).contains(&hour);
    let rate = if at_night { quotient(7, 10) } else { whole(1) };
    exact(question.images() * whole(tokens) * decimal("30") * quotient(1, 1_000_000) * rate)
}

/// "One credit = 768×768 at 30 steps, two or three with ControlNet or IP-Adapter": one or two more for each.
fn in_credits(question: &Question) -> Option<Bill> {
    let call = question.call;
    if (call.size.width, call.size.height) != (768, 768) || call.steps > 30 {
        return None;
    }
    let credit = question.images() * decimal("0.10");
    let guides = whole(call.ingredients.controls + call.ingredients.ip_adapters);
    let turbo = if call.tier == "turbo" { quotient(3, 2) } else { whole(1) };
    let bill =
        exact(credit) + between(credit * guides, credit * guides * whole(2), credit * guides * whole(2));
    Some(bill.times([turbo; 3]))
}

/// "Hosted in two latency lanes": the standard queue is half of the dedicated lane.
fn in_lanes(question: &Question, standard: &str) -> Bill {
    let lane = if question.call.tier == "dedicated" { 2 } else { 1 };
    exact(question.images() * decimal(standard) * whole(lane))
}

/// "A spot-priced decentralised GPU network", 40 % either way of the last price seen.
fn gpu_network(question: &Question) -> Bill {
    let hourly = match question.is_before("2026-10-29T00:00:00Z") {
        true => ["0.68268", "1.1378", "1.59292"],
        false => ["1.02258", "1.7043", "2.38602"],
    };
    guessed(question, WORK, question.call.size, question.call.steps, hourly)
}

/// A job of a minute, within a plan or by bought hours; relaxed it takes none of them, turbo twice as much.
fn midjourney(question: &Question) -> Bill {
    let minutes = match question.call.tier.as_str() {
        "relax" => 0,
        "turbo" => 2,
        _ => 1,
    };
    let of = |hourly: i64| quotient(hourly.into(), 60) * whole(minutes);
    between(of(2), of(4), of(4))
}

fn midjourney_relay(question: &Question) -> Bill {
    if matches!(question.call.operation, Operation::Upscale | Operation::Describe) {
        return exact(decimal("0.01"));
    }
    exact(decimal(match question.call.tier.as_str() {
        "relax" => "0.015",
        "turbo" => "0.108",
        _ => "0.04",
    }))
}

/// "OpenRouter and LiteLLM with a surcharge" on what the described makers ask.
fn resold(question: &Question, surcharge: Fraction) -> Option<Bill> {
    let kind = match question.model {
        "dall-e-4" => "described-openai-per-image",
        "imagen-3" | "gemini" => "described-google",
        "sdxl" | "sd3" => "described-stability",
        "flux-pro" => "described-mistral",
        "deepseek-imagegen-2" => "described-deepseek",
        "stable-diffusion-4" => "described-sd4",
        "qwen-qvidgen" => "described-qvidgen",
        _ => return None,
    };
    Some(described_usd(&Question { kind, ..*question })?.times([surcharge; 3]))
}

pub fn described_usd(question: &Question) -> Option<Bill> {
    match question.kind {
        "described-openai-per-image" => openai_per_image(question),
        "described-openai-per-step" => Some(openai_per_step(question)),
        "described-google" => google(question),
        "described-stability" => stability(question),
        "described-anthropic" => Some(anthropic(question)),
        "described-mistral" | "described-deepseek" => in_credits(question),
        "described-sd4" => Some(in_lanes(question, "0.065")),
        "described-qvidgen" => Some(in_lanes(question, "0.03")),
        "described-sd4-self-hosted" => {
            Some(guessed(question, WORK, question.call.size, question.call.steps, ["1.79"; 3]))
        }
        // 20 seconds, or 10.47 with a cache, of an H100.
        "described-qvidgen-self-hosted" => {
            let of =
                |seconds: &str| question.images() * decimal(seconds) * decimal("3.99") * quotient(1, 3600);
            Some(between(of("10.47"), of("20"), of("20")))
        }
        "described-gpu-network" => Some(gpu_network(question)),
        "described-midjourney" => Some(midjourney(question)),
        "described-midjourney-relay" => Some(midjourney_relay(question)),
        "described-openrouter" => resold(question, decimal("1.055")),
        "described-litellm" => resold(question, decimal("1.1")),
        _ => None,
    }
}
