//! What was timed or seen, and never listed: Runware's open models (runware.md, 4), and the published runs of
//! vLLM-Omni's models and of GLM-Image (data/latency-evidence.csv, selfhosted.md, 8).
//!
//! A published run is one figure of one setting. Bounds of 0.6 and 1.25 around it are those of the other engines.

use crate::exact::{Bill, Fraction, between, decimal, quotient};
use crate::question::{BINARY_MEGAPIXEL, Question};
use gallerist_domain::{Operation, Size};

const A6000: &str = "1.10";
const H100_SXM: &str = "3.99";

/// Dollars that were seen for one picture, of which a further one may cost others.
struct Seen {
    least: &'static str,
    expected: &'static str,
    most: &'static str,
}

/// What was seen of runs that words start, in dollars a picture; of a single figure, nothing to twice as much.
fn seen(model: &str) -> Option<Seen> {
    let (least, expected, most) = match model {
        "flux-1-schnell" => ("0.0006", "0.0013", "0.007"),
        "flux-1-dev" => ("0", "0.0038", "0.0076"),
        // A range without a mean: its upper end is expected.
        "flux-2-klein-4b" => ("0.0006", "0.0032", "0.0032"),
        "qwen-image" => ("0.0058", "0.0122", "0.0122"),
        "qwen-image-2512" => ("0", "0.0064", "0.0128"),
        "sdxl" => ("0", "0.0019", "0.0038"),
        _ => return None,
    };
    Some(Seen { least, expected, most })
}

/// Compute time: what was seen, for runs that are not longer than those.
pub fn runware_usd(question: &Question) -> Option<Bill> {
    let (call, seen) = (question.call, seen(question.model)?);
    // The documented default is 20 steps; of FLUX.1 dev the figure is of 28.
    let steps_most = if question.model == "flux-1-dev" { 28 } else { 20 };
    // A single figure is of one megapixel; a range spans sizes.
    let is_single = matches!(question.model, "flux-1-dev" | "qwen-image-2512" | "sdxl");
    if call.steps > steps_most || (is_single && call.size.pixels() > BINARY_MEGAPIXEL) {
        return None;
    }
    let quicker = matches!(question.word("acceleration"), "low" | "medium" | "high");
    let of = |dollars: Fraction| dollars * question.images();
    let (least, expected, most) = (decimal(seen.least), decimal(seen.expected), decimal(seen.most));
    Some(match call.operation {
        // Nothing was seen of runs that a picture starts: as much as the dearest of the others, at most twice that.
        Operation::Edit | Operation::Inpaint | Operation::Outpaint => {
            let dearest = if is_single { expected } else { most };
            between(quotient(0, 1), of(dearest), of(dearest) * quotient(2, 1))
        }
        // Acceleration shortens a run by nobody knows how much.
        _ if quicker => between(quotient(0, 1), of(expected), of(most)),
        _ => between(of(least), of(expected), of(most)),
    })
}

/// Seconds of one picture, at dollars an hour.
fn timed(question: &Question, seconds: &str, hourly: &str) -> Bill {
    let usual = question.images() * decimal(seconds) * decimal(hourly) * quotient(1, 3600);
    between(usual * decimal("0.6"), usual, usual * decimal("1.25"))
}

/// The published runs of vLLM-Omni, each of one size, and how its cards were used.
pub fn vllm_omni_usd(question: &Question) -> Option<Bill> {
    let region = question.call.region.as_str();
    let square = |edge: u32| question.call.size == Size::new(edge, edge);
    // "× gpus / concurrency_share"
    let (cards, share) = match region {
        "ulysses-4" => (4, 1),
        "ulysses-8" => (8, 1),
        "shared-2" => (1, 2),
        "shared-4" => (1, 4),
        _ => (1, 1),
    };
    let plain = matches!(region, "" | "shared-2" | "shared-4");
    let seconds = match question.model {
        "qwen-image" if square(1024) => match region {
            _ if plain => "20.0",
            "tea-cache" => "10.47",
            "cache-dit" => "10.8",
            _ => return None,
        },
        "qwen-image" if square(2048) => match region {
            _ if plain => "112.5",
            "ulysses-4" => "39.6",
            "ulysses-8" => "30.8",
            _ => return None,
        },
        "qwen-image-edit" if plain => "51.5",
        "qwen-image-edit" if region == "cache-dit" => "21.6",
        // Means of 25 on a smaller card, at this size alone.
        "flux-2-klein-4b" if square(512) && region.is_empty() => {
            return Some(timed(question, "6.705", A6000));
        }
        "z-image-turbo" if square(512) && region.is_empty() => return Some(timed(question, "14.554", A6000)),
        _ => return None,
    };
    Some(timed(question, seconds, H100_SXM).times([quotient(cards, share); 3]))
}

/// GLM-Image on one H100, from words and from a picture.
pub fn glm_image_usd(question: &Question) -> Option<Bill> {
    let is_edit = question.call.operation == Operation::Edit;
    let size = question.call.size;
    let seconds = match (size.width, is_edit) {
        _ if size.width != size.height => return None,
        (512, false) => "27.3",
        (1024, false) => "64.34",
        (2048, false) => "252.59",
        (1024, true) => "58.64",
        (2048, true) => "274.51",
        _ => return None,
    };
    Some(timed(question, seconds, H100_SXM))
}
