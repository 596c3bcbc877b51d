//! Google's image models (google.md, section 1): tokens by modality, the picture's by its size tier.

use crate::exact::{Bill, between, decimal, exact, quotient, whole};
use crate::openai::{cached_tokens, prompt_tokens, token_line};
use crate::question::Question;

struct Rates {
    text_input: &'static str,
    text_output: &'static str,
    image_output: &'static str,
}

fn rates(model: &str) -> Option<Rates> {
    let (text_input, text_output, image_output) = match model {
        "gemini-nano-banana-2.1" => ("1.50", "7.50", "30.00"),
        "gemini-3.1-flash-image" | "gemini-3.1-flash-image-preview" => ("0.50", "3.00", "60.00"),
        "gemini-3.1-flash-lite-image" => ("0.25", "1.50", "30.00"),
        "gemini-3-pro-image" | "gemini-3-pro-image-preview" => ("2.00", "12.00", "120.00"),
        "gemini-2.5-flash-image" => ("0.30", "2.50", "30.00"),
        _ => return None,
    };
    Some(Rates { text_input, text_output, image_output })
}

fn image_tokens(model: &str, resolution: &str) -> Option<i128> {
    Some(match (model, resolution) {
        ("gemini-nano-banana-2.1", "1K") => 1120,
        ("gemini-nano-banana-2.1", "2K") => 1680,
        ("gemini-nano-banana-2.1", "4K") => 3780,
        ("gemini-3.1-flash-image" | "gemini-3.1-flash-image-preview", "512") => 747,
        ("gemini-3.1-flash-image" | "gemini-3.1-flash-image-preview", "1K") => 1120,
        ("gemini-3.1-flash-image" | "gemini-3.1-flash-image-preview", "2K") => 1680,
        ("gemini-3.1-flash-image" | "gemini-3.1-flash-image-preview", "4K") => 2520,
        ("gemini-3.1-flash-lite-image", _) => 1120,
        ("gemini-3-pro-image" | "gemini-3-pro-image-preview", "1K" | "2K") => 1120,
        ("gemini-3-pro-image" | "gemini-3-pro-image-preview", "4K") => 2000,
        ("gemini-2.5-flash-image", _) => 1290,
        _ => return None,
    })
}

/// Thinking before it is counted. The sheet names the levels, not their tokens: these are the catalogue's
/// stated assumptions, so only the line's form and its rate are checked by them.
fn thinking_tokens(model: &str, level: &str) -> [i128; 3] {
    match (model, level) {
        ("gemini-2.5-flash-image", _) => [0; 3],
        (_, "minimal") | ("gemini-3.1-flash-lite-image", "") => [0, 200, 1024],
        (_, "high") => [0, 800, 1024],
        _ => [0, 400, 1024],
    }
}

/// Tokens of one picture that is sent in, which is paid like words.
fn input_tokens(model: &str) -> [i128; 3] {
    match model {
        "gemini-3-pro-image" | "gemini-3-pro-image-preview" => [560; 3],
        // 258 to 1290 by the sources: the most is expected.
        "gemini-2.5-flash-image" => [258, 1290, 1290],
        // Google's example counts 1120; one user books up to 0.004 dollars for a picture.
        "gemini-nano-banana-2.1" => {
            [1120, 1120, (decimal("0.004") * quotient(1_000_000, 1) * quotient(2, 3)).ceiling()]
        }
        _ => [1120; 3],
    }
}

/// Searches that are allowed, of which the model may make none. A fee of their own, not one of the rates.
fn searches(question: &Question) -> Bill {
    let fee = if question.model.starts_with("gemini-2.5") { "35" } else { "14" };
    let allowed = whole(question.call.ingredients.tool_calls) * decimal(fee) * quotient(1, 1000);
    between(whole(0), allowed, allowed)
}

/// A tenth of the input rate where it is listed; of the others the tenth is a guess, and the dearer counts.
fn cached(question: &Question, input: &str) -> Bill {
    let listed = question.model.starts_with("gemini-3-pro") || question.model.starts_with("gemini-2.5");
    let most = if listed { quotient(1, 10) } else { whole(1) };
    token_line(cached_tokens(question), input).times([quotient(1, 10), most, most])
}

/// Tokens of words, pictures and thinking at the three rates.
fn token_bill(question: &Question) -> Option<Bill> {
    let model = question.model;
    let rates = rates(model)?;
    let picture = image_tokens(model, &question.call.resolution)? * i128::from(question.call.n);
    let sent = i128::try_from(question.inputs().len()).expect("few pictures");
    Some(
        token_line(prompt_tokens(question, 8), rates.text_input)
            + cached(question, rates.text_input)
            + token_line(input_tokens(model).map(|tokens| tokens * sent), rates.text_input)
            + token_line(thinking_tokens(model, &question.call.quality), rates.text_output)
            + token_line([picture; 3], rates.image_output),
    )
}

pub fn bill(question: &Question) -> Option<Bill> {
    let model = question.model;
    let dead = match model {
        "imagen-4" | "imagen-3" | "imagen-3-capability" => "0.04",
        "imagen-4-ultra" | "imagen-4-upscale" => "0.06",
        "imagen-upscale" => "0.003",
        "imagen-4-fast" => "0.02",
        _ => "",
    };
    if !dead.is_empty() {
        return Some(exact(question.images() * decimal(dead)));
    }
    Some(token_bill(question)? + searches(question))
}

pub fn expected_usd(question: &Question) -> Option<Bill> {
    match question.call.tier.as_str() {
        "standard" => bill(question),
        // Batch and flex are half of all three rates; a search is none of them.
        "batch" | "flex" => Some(token_bill(question)?.times([quotient(1, 2); 3]) + searches(question)),
        _ => None,
    }
}
