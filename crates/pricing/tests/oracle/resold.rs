//! Those who resell what others make: OpenRouter (openrouter.md, 4c and 6), Vercel (other-gateways.md, A4),
//! Cloudflare's gateway (B), LiteLLM, Portkey and TokenMix (tokenmix.md), Runware's partners (runware.md, 4).

use crate::exact::{Bill, between, decimal, exact, quotient, whole};
use crate::question::{BINARY_MEGAPIXEL, Question};
use crate::{asian, design, flux, google, openai, stability};

/// What the maker asks, by the model's name; of several sellers the one that the others resell.
fn maker_usd(question: &Question) -> Option<Bill> {
    let model = question.model;
    if model.starts_with("gpt-") || model.starts_with("chatgpt-") || model.starts_with("dall-e") {
        return openai::bill(question);
    }
    if model.starts_with("gemini-") || model.starts_with("imagen-") {
        return google::bill(question);
    }
    if model.starts_with("stable-image") || model.starts_with("sd3.5") || model == "sdxl" {
        return stability::expected_usd(question);
    }
    if model == "grok-imagine-image" {
        return asian::xai_usd(question);
    }
    if matches!(model, "seedream-4.5" | "seedream-5-lite") {
        return asian::seedream_usd(question);
    }
    if matches!(model, "flux-1-schnell" | "flux-2-klein-4b-base" | "qwen-image" | "seedream-4")
        || model.starts_with("ideogram-v2")
    {
        return flux::fal_usd(question);
    }
    if model.starts_with("recraft-") {
        return design::recraft_usd(question);
    }
    flux::expected_usd(question)
}

/// At the vendor's price.
pub fn unchanged_usd(question: &Question) -> Option<Bill> {
    maker_usd(question)
}

/// At the vendor's price too: of "3-8 % below" only the least takes note until an invoice proves it.
pub fn tokenmix_usd(question: &Question) -> Option<Bill> {
    Some(maker_usd(question)?.times([decimal("0.92"), whole(1), whole(1)]))
}

/// FLUX.2 by the catalogue's "0.03/MP": the maker's smaller price for further megapixels, or the same again; what is
/// sent in at the maker's price.
fn flux_2_by_the_megapixel(question: &Question, first: &str, further: &str) -> Bill {
    let megapixels = question.output_megapixels(BINARY_MEGAPIXEL);
    let maker = decimal(first) + (megapixels + whole(-1)) * decimal(further);
    let flat = megapixels * decimal(first);
    between(maker * question.images(), flat * question.images(), flat * question.images())
        + exact(question.input_megapixels() * decimal(further))
}

/// Inference is paid to its maker; a plan's log costs 9 dollars per 100,000 beyond what is part of it.
pub fn portkey_usd(question: &Question) -> Option<Bill> {
    let entry = decimal("9") * quotient(1, 100_000);
    let bill = maker_usd(question)?;
    Some(match question.call.region.as_str() {
        "production" => bill + between(whole(0), entry, entry),
        _ => bill,
    })
}

fn openrouter_list(question: &Question) -> Option<Bill> {
    let flat = match question.model {
        "flux-2-pro" => return Some(flux_2_by_the_megapixel(question, "0.03", "0.015")),
        "flux-2-max" => return Some(flux_2_by_the_megapixel(question, "0.07", "0.03")),
        "seedream-4.5" => "0.04",
        "seedream-5-lite" => "0.035",
        "recraft-v4.1" => "0.035",
        "seedream-5-pro" => {
            let inputs = exact(question.input_count() * decimal("0.003"));
            return Some(asian::pro_output(question, "0.045", "0.09", question.images()) + inputs);
        }
        "grok-imagine-image-2.0" => return asian::grok_2(question, &question.call.resolution.to_lowercase()),
        _ => return maker_usd(question),
    };
    Some(exact(question.images() * decimal(flat)))
}

/// "`n` is an upper bound: fewer images may come back", but none is no success.
fn perhaps_fewer(question: &Question) -> Option<Bill> {
    let mut single = question.call.clone();
    single.n = 1;
    let one = openrouter_list(&Question { call: &single, ..*question })?;
    Some(openrouter_list(question)?.least_of(&one))
}

/// Prices pass through; the money to pay them costs 5.5 % when it is bought. With keys of one's own the vendor is
/// paid directly, and 5 % come on top from such money, unless the million of the month is not used up.
pub fn openrouter_usd(question: &Question) -> Option<Bill> {
    let list = perhaps_fewer(question)?;
    Some(match question.call.region.as_str() {
        "byok" => {
            let fee = whole(1) + decimal("0.05") * decimal("1.055");
            list.times([whole(1), fee, fee])
        }
        _ => list.times([decimal("1.055"); 3]),
    })
}

fn lower_since(question: &Question, listed: &str, charged: &str) -> Bill {
    let of = |price: &str| question.images() * decimal(price);
    between(of(listed), of(charged), of(charged))
}

/// No markup; zero data retention is a tenth of a thousandth of a dollar a request. Five dollars of the month may be
/// free.
pub fn vercel_usd(question: &Question) -> Option<Bill> {
    let list = match question.model {
        // One comparison names 0.035 without a size: it may hold for the small tier alone.
        "seedream-5-pro" if question.call.size.pixels() <= 2_359_296 => {
            exact(question.images() * decimal("0.035"))
        }
        "seedream-5-pro" => return None,
        // Charged at 0.04 and 0.25 in May 2026, listed lower by the maker since: the higher counts.
        "recraft-v4.1" | "recraft-v4.1-utility" => lower_since(question, "0.035", "0.04"),
        "recraft-v4.1-pro" | "recraft-v4.1-utility-pro" => lower_since(question, "0.21", "0.25"),
        _ => maker_usd(question)?,
    };
    let bill = match question.word("zeroDataRetention") {
        "true" => list + exact(decimal("0.0001")),
        _ => list,
    };
    Some(bill.with_pool(5))
}

/// Unified billing: the vendor's list price, and 5 % on every purchase of the credits that pay it. Where the gateway's
/// own list and the vendor's differ, the higher counts.
pub fn cloudflare_gateway_usd(question: &Question) -> Option<Bill> {
    let model = question.model;
    let list = match model {
        "recraft-v4.1" => lower_since(question, "0.035", "0.04"),
        "recraft-v4.1-pro" => lower_since(question, "0.21", "0.25"),
        "qwen-image-3.0-pro" if question.call.size.pixels() <= 2_250_000 => {
            exact(question.images() * decimal("0.04"))
        }
        "qwen-image-3.0-pro" => lower_since(question, "0.07", "0.075"),
        _ if model.starts_with("grok-") => asian::xai_usd(question)?,
        _ if model.starts_with("seedream-") => asian::seedream_usd(question)?,
        _ => maker_usd(question)?,
    };
    Some(list.times([decimal("1.05"); 3]))
}

/// Partners' models at their vendors' list.
pub fn runware_usd(question: &Question) -> Option<Bill> {
    match question.model {
        "seedream-4.5" => Some(exact(question.images() * decimal("0.04"))),
        "flux-2-pro" | "flux-2-flex" => flux::expected_usd(question),
        _ => None,
    }
}
