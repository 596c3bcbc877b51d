//! OpenAI's image models (openai.md, sections 9 to 11) and Azure's deployments of them (azure-openai.md, 6).

use crate::exact::{Agreement, Bill, between, decimal, exact, quotient, whole};
use crate::question::Question;
use gallerist_domain::Size;

/// Dollars per million tokens.
struct Rates {
    text: &'static str,
    text_cached: &'static str,
    image_input: &'static str,
    image_output: &'static str,
}

fn rates(model: &str) -> Option<Rates> {
    let (text, text_cached, image_input, image_output) = match model {
        "gpt-image-1-mini" => ("2.00", "0.20", "2.50", "8.00"),
        "gpt-image-1.5" | "chatgpt-image-latest" => ("5.00", "1.25", "8.00", "32.00"),
        "gpt-image-1" => ("5.00", "1.25", "10.00", "40.00"),
        _ if model.starts_with("gpt-image-2") => ("5.00", "1.25", "8.00", "30.00"),
        _ => return None,
    };
    Some(Rates { text, text_cached, image_input, image_output })
}

/// The formula of the calculator: what one picture takes at a quality factor.
fn formula(factor: i128, size: Size) -> i128 {
    let (width, height) = (i128::from(size.width), i128::from(size.height));
    let short_side = quotient(factor * width.min(height), width.max(height)).rounded();
    quotient(factor * short_side * (2_000_000 + width * height), 4_000_000).ceiling()
}

/// Tokens of one picture: at least, expected, at most.
fn tokens(model: &str, quality: &str, size: Size) -> Option<[i128; 3]> {
    if model.starts_with("gpt-image-2.") {
        let factor = match quality {
            "low" => 16,
            "medium" => 24,
            "high" => 48,
            "xhigh" => 64,
            "max" => 96,
            _ => return None,
        };
        let known = formula(factor, size);
        let measured = matches!((size.width, size.height), (1536, 1024) | (1024, 1536));
        return Some(if model.starts_with("gpt-image-2.6") && quality == "low" && measured {
            // The sheet's one measured run; of two figures that disagree the higher counts. A picture on its end has
            // as many tokens as one that lies.
            [3 * known, 664, 664]
        } else if model.starts_with("gpt-image-2.6") && factor < 48 {
            // "3-4 times 2.5's tokens"; the one measured run, 664 for 158, lies a little above.
            [3 * known, 4 * known, quotient(17 * known, 4).ceiling()]
        } else {
            [known; 3]
        });
    }
    if model == "gpt-image-2" {
        let factor = match quality {
            "low" => 16,
            "medium" => 48,
            "high" => 96,
            _ => return None,
        };
        return Some([formula(factor, size); 3]);
    }
    let shape = usize::from(size.width != size.height) + usize::from(size.width > size.height);
    let table = match quality {
        "low" => [272, 408, 400],
        "medium" => [1056, 1584, 1568],
        "high" => [4160, 6240, 6208],
        _ => return None,
    };
    if model != "gpt-image-1-mini" {
        return Some([table[shape]; 3]);
    }
    // The published prices of mini over 8 dollars a million tokens are above the counted tokens.
    let published = match quality {
        "low" => ["0.005", "0.006", "0.006"],
        "medium" => ["0.011", "0.015", "0.015"],
        _ => ["0.036", "0.052", "0.052"],
    };
    let as_tokens = (decimal(published[shape]) * quotient(1_000_000, 8)).rounded();
    Some([table[shape], as_tokens, as_tokens])
}

/// How sure the sheet is of a call's tokens.
fn agreement(question: &Question) -> Agreement {
    let label = question.call.quality.as_str();
    match question.model {
        model if model.starts_with("gpt-image-2.6") && matches!(label, "low" | "medium") => {
            let (width, height) = (question.call.size.width, question.call.size.height);
            match (label, width.min(height), width.max(height)) {
                ("low", 1024, 1536) => Agreement::Measured,
                _ => Agreement::Estimated,
            }
        }
        // "high and up cost the same as 2.5", measured one hundredth apart.
        model if model.starts_with("gpt-image-2.6") => Agreement::Bounded,
        _ => Agreement::Exact,
    }
}

/// Tokens of one picture that is sent in: at least, expected, at most.
fn input_tokens(question: &Question, size: Size) -> [i128; 3] {
    if question.model.starts_with("gpt-image-2") {
        // 1450 in a real call; no formula is known, so less cannot be excluded; 2200 is to be reserved.
        return [0, 1450, 2200];
    }
    // Scaled so that the short side is 512, then squares of 512; high fidelity adds a fixed count. A scaled
    // picture has whole pixels: the sheet does not say how they are rounded, so the nearest are taken.
    let (short, long) = (i128::from(size.width.min(size.height)), i128::from(size.width.max(size.height)));
    let tiles = quotient(quotient(512 * long, short).rounded(), 512).ceiling();
    let low = 65 + 129 * tiles;
    let high = low + if short == long { 4160 } else { 6240 };
    match question.word("input_fidelity") {
        "high" if question.model != "gpt-image-1-mini" => [high; 3],
        _ => [low; 3],
    }
}

/// Characters of the prompt, and how many of them are known to be in the vendor's cache.
fn characters(question: &Question) -> (i128, i128) {
    let all = i128::try_from(question.call.prompt.chars().count()).expect("a short prompt");
    (all, all.min(question.call.ingredients.cached_characters.into()))
}

/// Tokens of the prompt before they are counted: one at least, a quarter of the characters that are not cached
/// and what wraps them expected, at most one a byte, for nothing promises that the cache is hit.
pub fn prompt_tokens(question: &Question, wrapping: i128) -> [i128; 3] {
    let (all, cached) = characters(question);
    let bytes = i128::try_from(question.call.prompt.len()).expect("a short prompt");
    [1, quotient(all - cached, 4).ceiling() + wrapping, bytes + wrapping]
}

/// Tokens of the prompt that are cached, of which whole ones count: all or none of them. Usage has no
/// breakdown that says whether they are among the others, so they may come on top of all bytes.
pub fn cached_tokens(question: &Question) -> [i128; 3] {
    let tokens = quotient(characters(question).1, 4).floor();
    [0, tokens, tokens]
}

/// A line of tokens at dollars per million.
pub fn token_line(tokens: [i128; 3], rate: &str) -> Bill {
    let at = |bound: usize| whole(tokens[bound]) * decimal(rate) * quotient(1, 1_000_000);
    between(at(0), at(1), at(2))
}

fn dalle(question: &Question) -> Option<Bill> {
    let long = question.call.size.long_edge() > 1024;
    let price = match (question.model, question.call.quality.as_str()) {
        ("dall-e-3", "standard") => {
            if long {
                "0.080"
            } else {
                "0.040"
            }
        }
        ("dall-e-3", "hd") => {
            if long {
                "0.120"
            } else {
                "0.080"
            }
        }
        ("dall-e-2", _) => match question.call.size.width {
            256 => "0.016",
            512 => "0.018",
            _ => "0.020",
        },
        _ => return None,
    };
    Some(exact(question.images() * decimal(price)))
}

pub fn bill(question: &Question) -> Option<Bill> {
    let call = question.call;
    if question.model.starts_with("dall-e") {
        return dalle(question);
    }
    let rates = rates(question.model)?;
    let images = i128::from(call.n);
    let picture = tokens(question.model, &call.quality, call.size)?.map(|tokens| tokens * images);
    // Each partial picture that is really sent is 100 tokens; fewer than asked for may come.
    let partial = 100 * i128::from(call.partial_images) * images;
    let mut sent = [0; 3];
    for size in question.inputs() {
        for (total, tokens) in sent.iter_mut().zip(input_tokens(question, *size)) {
            *total += tokens;
        }
    }
    Some(
        token_line(prompt_tokens(question, 16), rates.text)
            + token_line(cached_tokens(question), rates.text_cached)
            + token_line(picture, rates.image_output)
            + token_line([0, partial, partial], rates.image_output)
            + token_line(sent, rates.image_input).within(agreement(question)),
    )
}

/// Batch is half of the standard rates where it is proven: not on 2.6, which has none, nor on 2.5, of which the
/// sources disagree. Images have no flex and no priority tier.
pub fn expected_usd(question: &Question) -> Option<Bill> {
    match question.call.tier.as_str() {
        "standard" => bill(question),
        "batch" if !question.model.starts_with("gpt-image-2.") => {
            Some(bill(question)?.times([quotient(1, 2); 3]))
        }
        _ => None,
    }
}

/// Global is OpenAI's list; Data Zone and Regional are 10 to 20 % more, by each meter.
pub fn azure_usd(question: &Question) -> Option<Bill> {
    if question.model == "flux-2-flex" {
        // On Foundry, by LiteLLM's list (litellm.md, section 4): 5e-8 dollars a pixel that comes out.
        let pixels = quotient(question.call.size.pixels().into(), 1_000_000);
        return Some(exact(question.images() * pixels * decimal("0.05")));
    }
    let more = [decimal("1.1"), decimal("1.2"), decimal("1.2")];
    match question.call.region.as_str() {
        "" | "global" => bill(question),
        "datazone" | "regional" => Some(bill(question)?.times(more)),
        _ => None,
    }
}
