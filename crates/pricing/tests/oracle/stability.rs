//! Stability AI (stability.md, sections 2 and 5) and the same operations on Bedrock (bedrock.md, 6).

use crate::exact::{Agreement, Bill, between, decimal, exact};
use crate::question::Question;

/// What works on a picture that is sent in, by an endpoint of its own.
fn service_credits(model: &str) -> Option<&'static str> {
    Some(match model {
        "stable-image-outpaint" => "4",
        "stable-image-style-transfer" | "stable-image-replace-background-relight" => "8",
        "stable-image-fast-upscale" => "2",
        "stable-image-conservative-upscale" => "40",
        "stable-image-creative-upscale" => "60",
        "stable-image-inpaint"
        | "stable-image-erase"
        | "stable-image-remove-background"
        | "stable-image-search-replace"
        | "stable-image-search-recolor"
        | "stable-image-control-sketch"
        | "stable-image-control-structure"
        | "stable-image-style-guide" => "5",
        _ => return None,
    })
}

/// Before 2025-08-01 a lower list held, of which the notice names three examples.
fn older_credits(model: &str) -> Option<&'static str> {
    Some(match model {
        "stable-image-inpaint" => "3",
        "stable-image-remove-background" => "2",
        "stable-image-creative-upscale" => "25",
        _ => return None,
    })
}

pub fn expected_usd(question: &Question) -> Option<Bill> {
    let credits = match question.model {
        // Rows of v2beta need an effective date; version 1 is not in the notice.
        model if model != "sdxl" && question.is_before("2025-08-01T00:00:00Z") => older_credits(model)?,
        "stable-image-ultra" => "8",
        "stable-image-core" => "3",
        "sd3.5-large" => "6.5",
        "sd3.5-large-turbo" => "4",
        "sd3.5-medium" => "3.5",
        "sd3.5-flash" => "2.5",
        // "from 0.9 credits", about 0.02, a flat 0.04: reserve 4 credits.
        "sdxl" => {
            let of = |credits: &str| question.images() * decimal(credits) * decimal("0.01");
            return Some(between(of("0.9"), of("4"), of("4")));
        }
        model => service_credits(model)?,
    };
    Some(exact(question.images() * decimal(credits) * decimal("0.01")))
}

/// "<= 1024x1024" may limit the edges or the area, so that a long size of small area may be either. The
/// catalogue's conditions cannot name edges: it tells the usual small sizes and leaves the others open.
fn nova_canvas(question: &Question) -> Option<Bill> {
    let (small, large) = match question.call.quality.as_str() {
        "standard" => ("0.04", "0.06"),
        "premium" => ("0.06", "0.08"),
        _ => return None,
    };
    let of = |price: &str| question.images() * decimal(price);
    Some(match question.call.size.pixels() {
        1_048_577.. => exact(of(large)),
        _ if question.call.size.long_edge() <= 1024 => {
            between(of(small), of(small), of(large)).within(Agreement::EitherOf)
        }
        _ => between(of(small), of(large), of(large)),
    })
}

pub fn bedrock_usd(question: &Question) -> Option<Bill> {
    let region = question.call.region.as_str();
    let (price, everywhere) = match question.model {
        "stable-image-ultra" => ("0.14", false),
        "stable-image-core" => ("0.04", false),
        "sd3.5-large" => ("0.08", false),
        "stable-image-outpaint" => ("0.06", true),
        "stable-image-style-transfer" => ("0.08", true),
        "stable-image-fast-upscale" => ("0.03", true),
        "stable-image-conservative-upscale" => ("0.40", true),
        "stable-image-creative-upscale" => ("0.60", true),
        "stable-image-inpaint"
        | "stable-image-erase"
        | "stable-image-remove-background"
        | "stable-image-search-replace"
        | "stable-image-search-recolor"
        | "stable-image-control-sketch"
        | "stable-image-control-structure"
        | "stable-image-style-guide" => ("0.07", true),
        "titan-image-v2" => match (question.call.quality.as_str(), question.call.size.width) {
            ("standard", 512) => ("0.008", true),
            ("premium", 512) | ("standard", _) => ("0.01", true),
            _ => ("0.012", true),
        },
        "nova-canvas" => return nova_canvas(question),
        _ => return None,
    };
    // Text to image is sold in us-west-2 only, the image services in three regions.
    let sold = match region {
        "" | "us-west-2" => true,
        "us-east-1" | "us-east-2" => everywhere,
        _ => false,
    };
    sold.then(|| exact(question.images() * decimal(price)))
}
