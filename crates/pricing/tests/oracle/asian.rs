//! xAI (xai.md, 1 and 4), ByteDance's Seedream (seedream.md, 5) and Alibaba's Model Studio (qwen.md, 5).

use crate::exact::{Bill, Fraction, between, decimal, exact, quotient, whole};
use crate::question::Question;
use gallerist_domain::Operation;

/// Dollars per yuan; the sheets price China in yuan, the rate is the worked cases' own.
const DOLLARS_PER_YUAN: &str = "0.14";

/// Grok Imagine 2.0: label and resolution, and a cent for each picture sent in.
pub fn grok_2(question: &Question, resolution: &str) -> Option<Bill> {
    let output = match (question.call.quality.as_str(), resolution) {
        ("low", "1k") => "0.04",
        ("low", "2k") | ("medium", "1k") => "0.06",
        ("medium", "2k") => "0.08",
        _ => return None,
    };
    Some(exact(question.images() * decimal(output)) + exact(question.input_count() * decimal("0.01")))
}

fn xai_list(question: &Question) -> Option<Bill> {
    let resolution = question.call.resolution.as_str();
    match question.model {
        "grok-imagine-image-2.0" => grok_2(question, resolution),
        // The same at 1k and 2k.
        "grok-imagine-image" => Some(
            exact(question.images() * decimal("0.02")) + exact(question.input_count() * decimal("0.002")),
        ),
        // Retired on 2026-05-15; what it charged for a picture that is sent in is not known.
        "grok-imagine-image-pro" if question.is_before("2026-05-15T00:00:00Z") => {
            question.inputs().is_empty().then(|| exact(question.images() * decimal("0.07")))
        }
        // Redirected on 2026-11-02 to the low label of 2.0; 0.05 and 0.07 before.
        "grok-imagine-image-quality" => {
            let before = question.is_before("2026-11-02T00:00:00Z");
            let output = match (resolution, before) {
                ("1k", true) => "0.05",
                ("2k", true) => "0.07",
                ("1k", false) => "0.04",
                ("2k", false) => "0.06",
                _ => return None,
            };
            Some(exact(question.images() * decimal(output)) + exact(question.input_count() * decimal("0.01")))
        }
        _ => None,
    }
}

pub fn xai_usd(question: &Question) -> Option<Bill> {
    // 20 to 50 % less in a batch where images have a discount at all; a tenth more at the US endpoint, if so.
    let batch = match question.call.tier.as_str() {
        "standard" => [whole(1); 3],
        "batch" => [quotient(1, 2), whole(1), whole(1)],
        _ => return None,
    };
    let region = match question.call.region.as_str() {
        "us" => [whole(1), decimal("1.1"), decimal("1.1")],
        _ => [whole(1); 3],
    };
    Some(xai_list(question)?.times(batch).times(region))
}

/// Seedream 5.0 Pro's two tiers, whose edge is disputed between 1536² and 2.61 megapixels.
pub fn pro_output(question: &Question, small: &str, large: &str, entries: Fraction) -> Bill {
    let (small, large) = (entries * decimal(small), entries * decimal(large));
    match question.call.size.pixels() {
        ..=2_359_296 => exact(small),
        2_359_297..=2_610_000 => between(small, large, large),
        _ => exact(large),
    }
}

/// The 5.5 tiers: by label they are certain; by pixels below the edge two relays book the upper one.
fn pixels_or_label(question: &Question) -> [Fraction; 3] {
    let (small, large) = (decimal("0.020"), decimal("0.035"));
    match question.call.resolution.as_str() {
        "1K" | "1.5K" => [small; 3],
        "2K" => [large; 3],
        _ if question.call.size.pixels() <= 2_601_123 => [small, large, large],
        _ => [large; 3],
    }
}

fn five_and_a_half(question: &Question) -> Bill {
    let per_entry = pixels_or_label(question);
    let inputs = exact(question.input_count() * decimal("0.008"));
    let most = if question.call.operation == Operation::Layerize { whole(100) } else { question.images() };
    let least = if question.call.operation == Operation::Layerize { whole(1) } else { question.images() };
    between(per_entry[0] * least, per_entry[1] * most, per_entry[2] * most) + inputs
}

fn five_pro(question: &Question) -> Bill {
    let further = (question.input_count() + whole(-1)).at_least(whole(0)) * decimal("0.003");
    if question.call.operation != Operation::Layerize {
        return pro_output(question, "0.045", "0.09", question.images()) + exact(further);
    }
    let entries = [quotient(1, 17), whole(1), whole(1)];
    pro_output(question, "0.0225", "0.045", whole(17)).times(entries) + exact(further)
}

fn seedream_china(question: &Question) -> Option<Bill> {
    let yuan = match question.model {
        "seedream-4" => "0.20",
        "seedream-4.5" => "0.25",
        "seedream-5-lite" => "0.22",
        // The vendor's own page has the edge at 1536²; what is sent in has no price in yuan.
        "seedream-5-pro" if question.call.operation == Operation::Layerize => return None,
        "seedream-5-pro" if question.inputs().len() > 1 => return None,
        "seedream-5-pro" if question.call.size.pixels() <= 2_359_296 => "0.30",
        "seedream-5-pro" => "0.60",
        _ => return None,
    };
    Some(sequence(question, decimal(yuan) * decimal(DOLLARS_PER_YUAN)))
}

pub fn seedream_usd(question: &Question) -> Option<Bill> {
    match question.call.region.as_str() {
        "" | "ap" => {}
        "eu" if question.model == "seedream-5-lite" => {}
        "cn" => return seedream_china(question),
        _ => return None,
    }
    let layers = question.call.operation == Operation::Layerize;
    let flat = match question.model {
        "seedream-5.5" => return Some(five_and_a_half(question)),
        "seedream-5-pro" => return Some(five_pro(question)),
        "seedream-5-flash" if layers => {
            let entry = decimal("0.018");
            return Some(between(entry, whole(17) * entry, whole(17) * entry));
        }
        "seedream-5-flash" => "0.018",
        "seedream-5-lite" => "0.035",
        "seedream-4.5" => "0.04",
        "seedream-4" | "seedream-3" | "seededit-3" => "0.03",
        _ => return None,
    };
    Some(sequence(question, decimal(flat)))
}

/// "The model decides the count (0..max)", and the default of max_images is fifteen: "reserve max_images", but
/// "inputs + outputs <= 15".
fn sequence(question: &Question, price: Fraction) -> Bill {
    let left = 15 - i64::try_from(question.inputs().len()).expect("few pictures");
    match question.word("sequential_image_generation") {
        "auto" => between(whole(0), whole(left) * price, whole(left) * price),
        _ => exact(question.images() * price),
    }
}

fn qwen_china(question: &Question) -> Option<Bill> {
    let yuan = match question.model {
        "wan2.7-image" | "qwen-image-2.0" | "qwen-image-plus" => "0.20",
        "wan2.7-image-pro" | "qwen-image-2.0-pro" | "qwen-image-max" => "0.50",
        _ => return None,
    };
    Some(set(question, decimal(yuan) * decimal(DOLLARS_PER_YUAN)))
}

/// Pictures at a price; with `enable_sequential` "the model may return fewer", and one at least comes.
fn set(question: &Question, price: Fraction) -> Bill {
    let all = question.images() * price;
    let least = if question.word("enable_sequential") == "true" { price } else { all };
    between(least, all, all)
}

/// A set is reserved, and expected, at the pictures that are asked for.
pub fn qwen_usd(question: &Question) -> Option<Bill> {
    // 4K is for generation only.
    let large = question.call.size.pixels() > 2048 * 2048;
    if question.model == "wan2.7-image-pro" && large && !question.generates() {
        return None;
    }
    match question.call.region.as_str() {
        "" | "intl" => {}
        "cn" | "beijing" => return qwen_china(question),
        _ => return None,
    }
    let inputs = exact(question.input_count() * decimal("0.003"));
    let flat = match question.model {
        "qwen-image-3.0" => return Some(exact(question.images() * decimal("0.03")) + inputs),
        "qwen-image-3.0-pro" => {
            let small = question.call.size.pixels() <= 2_250_000;
            let output = decimal(if small { "0.04" } else { "0.075" });
            return Some(exact(question.images() * output) + inputs);
        }
        // A language model rewrites the prompt unless that is switched off: twice the price,
        // and which of both holds by default is not said of this one.
        "z-image-turbo" => {
            let (plain, rewritten) =
                (decimal("0.015") * question.images(), decimal("0.03") * question.images());
            return Some(match question.word("prompt_extend") {
                "true" => exact(rewritten),
                "false" => exact(plain),
                _ => between(plain, rewritten, rewritten),
            });
        }
        "qwen-image-2.0-pro" | "wan2.7-image-pro" | "qwen-image-max" | "qwen-image-edit-max" => "0.075",
        "qwen-image-2.0" | "qwen-image" => "0.035",
        "wan2.7-image" | "wan2.5-t2i-preview" | "wan2.5-i2i-preview" => "0.03",
        "qwen-image-plus" | "qwen-image-edit-plus" => "0.03",
        "qwen-image-edit" => "0.045",
        _ => return None,
    };
    Some(set(question, decimal(flat)))
}
