//! The API's words, in the words of the command line: parameters as flags, codes as plain English.
//!
//! Texts are made once, for the API; `--json` prints them as they are. A parameter without a flag keeps its
//! name, since only a request body can say it.

/// Parameters and their flags; what begins like another stands before it.
const FLAGS: &[(&str, &str)] = &[
    ("gallerist.max_cost_usd", "--max-cost-usd"),
    ("gallerist.max_latency_ms", "--max-latency-ms"),
    ("gallerist.providers.only", "--provider"),
    ("gallerist.providers", "--provider"),
    ("gallerist.negative_prompt", "--negative-prompt"),
    ("gallerist.size_match", "--size-match"),
    ("gallerist.resolution", "--resolution"),
    ("gallerist.aspect_ratio", "--aspect-ratio"),
    ("gallerist.guidance", "--guidance"),
    ("gallerist.class", "--class"),
    ("gallerist.steps", "--steps"),
    ("gallerist.seed", "--seed"),
    ("gallerist.tier", "--tier"),
    ("gallerist.region", "--region"),
    ("output_format", "--format"),
    ("leave out quality", "leave out --quality"),
];

/// Parameters whose names are words too; they are flags only where a message begins with them.
const FIRST_WORDS: &[(&str, &str)] =
    &[("size", "--size"), ("quality", "--quality"), ("n", "-n"), ("model", "--model"), ("prompt", "PROMPT")];

/// A hint or a mistake in flags: `set gallerist.class to "draft"` becomes `set --class to "draft"`.
pub fn in_flags(text: &str) -> String {
    let text = FLAGS.iter().fold(text.to_owned(), |text, (name, flag)| text.replace(name, flag));
    let first = text.split(' ').next().unwrap_or_default();
    match FIRST_WORDS.iter().find(|(name, _)| *name == first) {
        Some((name, flag)) => format!("{flag}{}", &text[name.len()..]),
        None => text,
    }
}

/// Why an offer is left out, for people; a code that has no words here is its own.
pub fn why(code: &str) -> String {
    let words = match code {
        "over_max_cost" => "could cost more than you allow",
        "provider_excluded" => "you left the provider out",
        "class_too_low" => "makes too plain pictures",
        "retired" => "model is gone",
        "switched_off" => "switched off in the catalogue",
        "not_released" => "is not offered yet",
        "sent_on" => "its provider serves another model for it",
        "not_served" => "price known, cannot be ordered yet",
        "price_unknown" => "price is not known",
        "breaker_open" => "failed repeatedly, rests",
        "too_slow" => "slower than you allow",
        "prompt_too_long" => "prompt is too long for it",
        "option_unknown" => "has no such option",
        "option_missing" => "needs an option",
        "tier_unavailable" => "not sold at this tier",
        "operation_unsupported" => "does not do this",
        "size_unsupported" => "cannot make this size",
        "aspect_unsupported" => "cannot make this shape",
        "resolution_unsupported" => "has no such resolution",
        "quality_unsupported" => "has no such quality",
        "format_unsupported" => "does not deliver this format",
        code => return code.replace("_unsupported", " not taken").replace('_', " "),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_name_flags() {
        assert_eq!(in_flags("set gallerist.class to \"draft\""), "set --class to \"draft\"");
        assert_eq!(
            in_flags("ask for 1024x1024 or \"auto\", or set gallerist.size_match to \"aspect\""),
            "ask for 1024x1024 or \"auto\", or set --size-match to \"aspect\""
        );
        assert_eq!(in_flags("allow the provider in gallerist.providers"), "allow the provider in --provider");
        assert_eq!(in_flags("size must be \"auto\""), "--size must be \"auto\"");
        assert_eq!(in_flags("n must be an integer"), "-n must be an integer");
        assert_eq!(in_flags("needs a size"), "needs a size");
    }

    #[test]
    fn codes_are_told_in_words() {
        assert_eq!(why("over_max_cost"), "could cost more than you allow");
        assert_eq!(why("seed_unsupported"), "seed not taken");
    }
}
