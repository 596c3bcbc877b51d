//! Every form in which a picture can be charged, and that each is shown: by a worked case that names it (`forms` of
//! a case), and by a row of the table in `docs/pricing.md`.
//!
//! The one list of forms. It goes through "every billing form" of the project's plan phrase by phrase, in its order;
//! what the price sheets have beyond it stands at the end. What is charged when things go wrong (made, withheld,
//! refused, failed, cancelled, disconnected, timed out: yes, no or unknown) has a table of its own: [`crate::outcomes`].

use crate::{documented, files};

pub const FORMS: &[&str] = &[
    // Per image, by keys that match exactly.
    "per image, by size",
    "per image, by size class",
    "per image, by quality",
    "per image, by speed",
    "per image, by style",
    "per image, by resolution tier",
    "per image, an explicit default",
    "per image, an exact match: never interpolated by area",
    "the larger size is cheaper",
    // By area.
    "a step function of the output area, its edges as data",
    "an edge on which sources differ",
    "per megapixel of 10⁶ pixels",
    "per megapixel of 2²⁰ pixels",
    "megapixels rounded up per image",
    "megapixels, fractions count",
    "first and further megapixels",
    "input megapixels, each picture rounded by itself",
    "run fee and megapixels",
    "tiles, counted by started edges",
    "tiles and steps",
    // By steps.
    "per step",
    "per image and step",
    "per tile and step",
    "per megapixel and step, relative to a base of 512x512 at 20 steps",
    "per megapixel and step ÷ default steps",
    "steps ÷ default steps are never below 1",
    // By tokens.
    "tokens of text",
    "tokens of a picture",
    "tokens of thinking",
    "tokens that go in and tokens that come out",
    "tokens from the cache",
    "a token table by quality and size",
    "tokens by a closed formula",
    "a token table by resolution tier",
    "a fixed count of tokens per input image",
    "tokens per pixel of the canvas",
    "tokens of what goes in, by scaled tiles",
    "tokens by the shape of each picture that goes in",
    "a prompt's prefix from the cache",
    "an adder per partial picture",
    "a fee per call of a tool",
    "a fee for grounding",
    // By the time of hardware.
    "per second of hardware",
    "a cold start",
    "a granularity: started minutes",
    "a share of concurrency",
    "self-hosted: dollars an hour by learned seconds",
    "self-hosted: marginal price for routing apart from amortised price for accounting",
    "amortised at a utilisation",
    // What goes in.
    "per input image after N free",
    "an adder per LoRA",
    "an adder per ControlNet",
    "an adder per IP-Adapter",
    "an adder for inpainting",
    "an adder for outpainting",
    "a rate by mask area",
    // Tiers, deployments, regions.
    "a service tier: batch at a fraction",
    "a service tier: flex at a fraction",
    "a service tier: the standard queue at half of the dedicated lane",
    "a service tier: the dedicated lane",
    "a service tier: priority at a multiple",
    "a service tier: turbo at a multiple, with a latency promise",
    "a deployment factor",
    "a region factor",
    "a factor that is open",
    // By the instant.
    "a window of weekdays",
    "a window in UTC: 30 % off for batch jobs from 02:00 to 06:00",
    "a window in a time zone",
    "a launch promotion: its first moment",
    "a launch promotion: its end",
    "a price of the past",
    "a spot series: 40 % either way within the day",
    "a spot series: as of an earlier time",
    // Bundles.
    "a bundle at a flat price, compared with the chain",
    // Credits, allowances, currencies.
    "prepaid credits: a lot's purchase price",
    "prepaid credits: a fee of 5.5 %",
    "prepaid credits: a minimum fee of 0.80",
    "prepaid credits: expiry",
    "prepaid credits: what expires first is used first",
    "prepaid credits: several per call for a ControlNet or an IP-Adapter",
    "prepaid credits: failures that consume credits",
    "a free allowance of the month",
    "a free pool of the day",
    "a minimum charge",
    "another currency at a dated rate",
    // Aggregators.
    "an aggregator's factor",
    "an aggregator's factor on prices that conflict",
    "an aggregator's fixed fee",
    // What the issue does not list, and the sheets have.
    "a number of pictures that the model decides",
    "an option of the vendor",
    "a cost known only afterwards",
    "no known price",
];

#[test]
fn every_billing_form_has_a_worked_case_and_a_documented_example() {
    let files = files();
    let of_file = |file: &crate::File| -> Vec<String> {
        let cases = file.cases.iter().flat_map(|case| &case.forms);
        cases.chain(file.lots.iter().flat_map(|lot| &lot.forms)).cloned().collect()
    };
    let tags: Vec<String> = files.iter().flat_map(|(_, file)| of_file(file)).collect();
    let rows: Vec<String> = documented::forms().into_iter().map(|row| row.form).collect();
    let mut wrong = Vec::new();
    for form in FORMS {
        if !tags.iter().any(|tag| tag == form) {
            wrong.push(format!("{form}: no worked case"));
        }
        if !rows.iter().any(|row| row == form) {
            wrong.push(format!("{form}: no row in docs/pricing.md"));
        }
        if FORMS.iter().filter(|other| *other == form).count() > 1 {
            wrong.push(format!("{form}: twice in the list"));
        }
    }
    for word in tags.iter().chain(&rows).filter(|word| !FORMS.contains(&word.as_str())) {
        wrong.push(format!("{word}: not in the list of forms"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
