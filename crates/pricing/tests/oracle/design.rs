//! Ideogram (ideogram.md, 5) and Recraft (recraft.md, 4).

use crate::exact::{Bill, between, decimal, exact};
use crate::question::{BINARY_MEGAPIXEL, Question};
use gallerist_domain::Operation;

/// Prices by speed: turbo, default, quality; flash costs what turbo costs where it exists.
fn by_speed(question: &Question, prices: [&'static str; 3], flash: bool) -> Option<&'static str> {
    match question.call.quality.as_str() {
        "FLASH" if flash => Some(prices[0]),
        "TURBO" => Some(prices[0]),
        "DEFAULT" => Some(prices[1]),
        "QUALITY" => Some(prices[2]),
        _ => None,
    }
}

fn transparent(question: &Question) -> Option<&'static str> {
    let prices = match question.word("upscale_factor") {
        "X2" => ["0.16", "0.19", "0.22"],
        "X4" => ["0.20", "0.23", "0.26"],
        _ => ["0.04", "0.07", "0.10"],
    };
    by_speed(question, prices, false)
}

/// P-Image: the tier goes by area, and only 1024 × 1024 is known to be 1K and 4,194,304 pixels to be 2K.
fn p_image(question: &Question) -> Option<Bill> {
    let (small, large) = match question.call.quality.as_str() {
        "very_low" => (".003", ".006"),
        "low" => (".0075", ".015"),
        "medium" => (".01", ".02"),
        "high" => (".015", ".03"),
        _ => return None,
    };
    let (small, large) = (question.images() * decimal(small), question.images() * decimal(large));
    Some(match question.call.size.pixels() {
        ..=BINARY_MEGAPIXEL => exact(small),
        4_194_304.. => exact(large),
        _ => between(small, large, large),
    })
}

pub fn ideogram_usd(question: &Question) -> Option<Bill> {
    let quality = question.call.quality.as_str();
    let price = match question.model {
        "ideogram-v4.5" => match quality {
            // Before the list, or for medium the documented quote of 2026-11-11, no price is known.
            "low" if question.is_before("2026-11-16T00:00:00Z") => return None,
            "low" => "0.03",
            "medium" if question.is_before("2026-11-11T00:00:00Z") => return None,
            "medium" => "0.06",
            // Quoted live at 0.22 on 2026-10-01, cut by the list of 2026-11-16.
            "high" if question.is_before("2026-11-16T00:00:00Z") => "0.22",
            "high" => "0.10",
            _ => return None,
        },
        "ideogram-v4.5-precise-edit" => match quality {
            "very_low" => "0.008",
            "low" => "0.03",
            "medium" => "0.06",
            "high" => "0.22",
            _ => return None,
        },
        "ideogram-v4" => by_speed(question, ["0.03", "0.06", "0.10"], false)?,
        "ideogram-v3" => by_speed(question, ["0.03", "0.06", "0.09"], true)?,
        "ideogram-v3-character" => by_speed(question, ["0.10", "0.15", "0.20"], false)?,
        "ideogram-v3-custom" => by_speed(question, ["0.06", "0.12", "0.18"], false)?,
        "ideogram-v3-transparent" => transparent(question)?,
        "ideogram-v2" => "0.08",
        "ideogram-v2-turbo" => "0.05",
        "ideogram-v2a" => "0.04",
        "ideogram-v2a-turbo" => "0.025",
        "ideogram-v1" => "0.06",
        "ideogram-v1-turbo" => "0.02",
        "p-image-ideogram" => return p_image(question),
        "ideogram-remove-background" => "0.01",
        "ideogram-layerize" => "0.09",
        "ideogram-describe" => return Some(exact(question.input_count() * decimal("0.01"))),
        "ideogram-edit" => "0.20",
        "ideogram-upscale" => return Some(exact(question.input_count() * decimal("0.06"))),
        "ideogram-upscale-topaz" => match question.call.resolution.as_str() {
            "2K" => "0.12",
            "4K" => "0.24",
            "8K" => "0.48",
            _ => return None,
        },
        "ideogram-svg" if quality == "low" => "0.13",
        _ => return None,
    };
    Some(exact(question.images() * decimal(price)))
}

pub fn recraft_usd(question: &Question) -> Option<Bill> {
    let edits = !question.generates();
    let price = match question.model {
        "recraft-v4.1" | "recraft-v4.1-utility" => "0.035",
        "recraft-v4.1-vector" | "recraft-v4.1-utility-vector" => "0.08",
        "recraft-v4.1-pro" | "recraft-v4.1-utility-pro" => "0.21",
        "recraft-v4.1-pro-vector" | "recraft-v4.1-utility-pro-vector" => "0.30",
        "recraft-v4.1-flash" => "0.007",
        "recraft-v4" => "0.04",
        "recraft-v4-vector" => "0.08",
        "recraft-v4-pro" => "0.25",
        "recraft-v4-pro-vector" => "0.30",
        "recraft-v4-styles" => "0.035",
        "recraft-v4-styles-vector" => "0.05",
        "recraft-v4-styles-pro" => "0.10",
        "recraft-v4-styles-pro-vector" => "0.12",
        // Made or changed, at the same price.
        "recraft-v3" => "0.04",
        "recraft-v3-vector" => "0.08",
        "recraft-v2" if !edits => "0.022",
        "recraft-v2-vector" if !edits => "0.044",
        "recraft-vectorize" | "recraft-remove-background" => "0.01",
        "recraft-crisp-upscale" => "0.004",
        "recraft-creative-upscale" => "0.25",
        "recraft-generative-upscale" => "0.21",
        "recraft-erase-region" => "0.002",
        "recraft-variate-image" => "0.04",
        _ => return None,
    };
    let pictures = exact(question.images() * decimal(price));
    // Style references make a style on the fly.
    let styled = question.call.operation == Operation::StyleTransfer && !question.inputs().is_empty();
    Some(if styled { pictures + exact(decimal("0.005")) } else { pictures })
}
