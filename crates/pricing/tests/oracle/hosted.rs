//! Those who run open models: Replicate (replicate.md, 4), Together and Fireworks (together.md), Cloudflare
//! and Hugging Face (huggingface-cloudflare.md).

use crate::exact::{Agreement, Bill, Fraction, between, decimal, exact, quotient, whole};
use crate::flux::fal_usd;
use crate::question::{BINARY_MEGAPIXEL, DECIMAL_MEGAPIXEL, Question, begun};
use gallerist_domain::{Operation, Size};

/// Dollars per second of Replicate's hardware; several cards cost the multiple of one.
fn hardware_second(hardware: &str) -> Option<Fraction> {
    let (card, count) = match hardware.rsplit_once('-') {
        Some((card, "2x")) => (card, 2),
        Some((card, "4x")) => (card, 4),
        Some((card, "8x")) => (card, 8),
        _ => (hardware, 1),
    };
    let second = match card {
        "cpu-small" => "0.000025",
        "cpu" => "0.000100",
        "gpu-t4" => "0.000225",
        "gpu-a40-small" => "0.000575",
        "gpu-a40-large" => "0.000725",
        "gpu-l40s" => "0.000975",
        "gpu-a100-large" => "0.001400",
        "gpu-h100" => "0.001525",
        _ => return None,
    };
    Some(decimal(second) * whole(count))
}

/// A run by the second: the rates are the sheet's; half a second to ninety, six expected, and up to three
/// minutes of a deployment's start are the worked cases' guesses until the reply tells.
fn by_the_second(question: &Question, start: i64) -> Option<Bill> {
    let second = hardware_second(question.word("hardware"))?;
    let run = between(second * decimal("0.5"), second * whole(6), second * whole(90));
    Some(run + between(whole(0), whole(0), second * whole(start)))
}

pub fn replicate_usd(question: &Question) -> Option<Bill> {
    let run_and_megapixels = |run: &str, megapixel: &str| {
        let output = question.output_megapixels(BINARY_MEGAPIXEL) * question.images();
        exact(question.images() * decimal(run))
            + exact(output * decimal(megapixel))
            + exact(question.input_megapixels() * decimal(megapixel))
    };
    let flat = match question.model {
        "flux-2-pro" => return Some(run_and_megapixels("0.015", "0.015")),
        "flux-2-max" => return Some(run_and_megapixels("0.04", "0.03")),
        // The start of a public model is free, that of one's own is not.
        "replicate-community" => return by_the_second(question, 0),
        "replicate-deployment" => return by_the_second(question, 180),
        "flux-1-schnell" => "0.003",
        "flux-1-dev" => "0.025",
        "flux-1.1-pro" | "flux-kontext-pro" => "0.04",
        "flux-1.1-pro-ultra" | "ideogram-v3" => "0.06",
        "flux-kontext-max" => "0.08",
        "ideogram-v3-turbo" | "seedream-4" => "0.03",
        "ideogram-v3-quality" => "0.09",
        "seedream-5-lite" => "0.035",
        _ => return None,
    };
    Some(exact(question.images() * decimal(flat)))
}

/// Together's rate of an open model, dollars per megapixel, and its default steps; 0 where none is named.
fn together_rate(model: &str) -> Option<(&'static str, i64)> {
    Some(match model {
        "flux-1-schnell" => ("0.0027", 4),
        "flux-1-schnell-free" => ("0", 0),
        "flux-1-dev" => ("0.0154", 28),
        "flux-2-dev" => ("0.0154", 0),
        "qwen-image" => ("0.0058", 0),
        "qwen-image-edit" => ("0.0032", 0),
        "hidream-i1-full" => ("0.009", 0),
        "hidream-i1-dev" => ("0.0045", 0),
        "hidream-i1-fast" => ("0.0032", 0),
        "juggernaut-pro" => ("0.0049", 0),
        "juggernaut-lightning" => ("0.0017", 0),
        "sdxl" | "sd3-medium" => ("0.0019", 0),
        "dreamshaper" => ("0.0006", 0),
        _ => return None,
    })
}

/// The makers' FLUX models: "per MP" by the table, "flat per image for pro/partner models" by the text.
fn flat_or_by_the_megapixel(question: &Question, price: &str) -> Bill {
    let megapixels = quotient(question.call.size.pixels().into(), DECIMAL_MEGAPIXEL.into());
    let of = |units: Fraction| question.images() * units * decimal(price);
    let least = if megapixels < whole(1) { megapixels } else { whole(1) };
    let most = megapixels.at_least(whole(1));
    between(of(least), of(most), of(most)).within(Agreement::OpenBelow)
}

/// Megapixels of 10⁶, fractions and all; fewer steps than the default are not cheaper.
pub fn together_usd(question: &Question) -> Option<Bill> {
    if let Some((rate, usual)) = together_rate(question.model) {
        let megapixels = quotient(question.call.size.pixels().into(), DECIMAL_MEGAPIXEL.into());
        let steps = i64::from(question.call.steps);
        let factor =
            if usual > 0 { quotient(steps.into(), usual.into()).at_least(whole(1)) } else { whole(1) };
        return Some(exact(question.images() * megapixels * decimal(rate) * factor));
    }
    let flat = match question.model {
        "flux-1.1-pro" => return Some(flat_or_by_the_megapixel(question, "0.04")),
        "flux-1-canny-pro" => return Some(flat_or_by_the_megapixel(question, "0.05")),
        "flux-2-max" => return Some(flat_or_by_the_megapixel(question, "0.07")),
        // 0.0039 in one list is thought a slip of the pen.
        "gemini-2.5-flash-image" => {
            let of = |price: &str| question.images() * decimal(price);
            return Some(between(of("0.0039"), of("0.039"), of("0.039")));
        }
        "flux-kontext-pro" | "seedream-5-lite" | "imagen-4" => "0.04",
        "flux-kontext-max" => "0.08",
        "seedream-3" => "0.018",
        "seedream-4" | "seededit-3" => "0.03",
        "imagen-4-fast" => "0.02",
        "imagen-4-ultra" | "ideogram-v3" => "0.06",
        _ => return None,
    };
    Some(exact(question.images() * decimal(flat)))
}

pub fn fireworks_usd(question: &Question) -> Option<Bill> {
    let guided = question.call.operation == Operation::Control || question.call.ingredients.controls > 0;
    let step = match question.model {
        "flux-1-schnell" => "0.00035",
        "flux-1-dev" => "0.0005",
        "flux-kontext-pro" => return Some(exact(question.images() * decimal("0.04"))),
        "flux-kontext-max" => return Some(exact(question.images() * decimal("0.08"))),
        _ if guided => "0.0002",
        _ => "0.00013",
    };
    Some(exact(question.images() * whole(question.call.steps) * decimal(step)))
}

/// Squares of 512 pixels that cover a picture, by started edges.
fn tiles(size: Size) -> Fraction {
    whole(i64::from(size.width.div_ceil(512)) * i64::from(size.height.div_ceil(512)))
}

/// Neurons at 0.011 dollars a thousand; the day's free 10,000 may cover them, or a part of them.
pub fn cloudflare_usd(question: &Question) -> Option<Bill> {
    let (output, steps) = (tiles(question.call.size), whole(question.call.steps));
    let input = question.inputs().iter().map(|size| tiles(*size)).fold(whole(0), |sum, tiles| sum + tiles);
    let per_tile_and_step = |tile: &str, step: &str| vec![output * decimal(tile), steps * decimal(step)];
    let neurons = match question.model {
        "flux-1-schnell" => per_tile_and_step("4.80", "9.60"),
        "lucid-origin" => per_tile_and_step("636", "12"),
        "phoenix-1.0" => per_tile_and_step("530", "10"),
        "flux-2-dev" => vec![input * steps * decimal("18.75"), output * steps * decimal("37.50")],
        "flux-2-klein-4b" => vec![input * decimal("5.37"), output * decimal("26.05")],
        "flux-2-klein-9b" => {
            let further = question.output_megapixels(BINARY_MEGAPIXEL) + whole(-1);
            let each = question.inputs().iter().map(|size| begun(size.pixels(), BINARY_MEGAPIXEL));
            let unshrunk = whole(each.sum::<i64>());
            vec![decimal("1363.64"), further * decimal("181.82"), unshrunk * decimal("181.82")]
        }
        _ => return None,
    };
    let sum = neurons.into_iter().fold(whole(0), |sum, neurons| sum + neurons) * question.images();
    let paid = (sum + whole(-10_000)).at_least(whole(0));
    let dollars = |neurons: Fraction| neurons * decimal("0.000011");
    Some(between(dollars(paid), dollars(sum), dollars(sum)))
}

/// A router without markup: the partner's list, which the month's credits may cover.
pub fn huggingface_usd(question: &Question) -> Option<Bill> {
    let usual = match question.model {
        "flux-2-dev" | "sdxl" => "together",
        "sd3-medium" => "hf-inference",
        _ => "fal",
    };
    let region = question.call.region.as_str();
    let bill = match if region.is_empty() { usual } else { region } {
        // The documentation's ten seconds at 0.00012, a quarter more at most.
        "hf-inference" => {
            let second = decimal("0.00012") * question.images();
            Some(between(whole(0), whole(10) * second, decimal("12.5") * second))
        }
        // "20 default in the OpenAPI": where steps are sent, more of them are dearer.
        "together" if question.model == "sd3-medium" => {
            let steps = quotient(question.call.steps.into(), 20).at_least(whole(1));
            Some(together_usd(question)?.times([steps; 3]))
        }
        "fal" | "fal-ai" => fal_usd(question),
        "replicate" => replicate_usd(question),
        "together" => together_usd(question),
        _ => None,
    };
    Some(bill?.perhaps_free())
}
