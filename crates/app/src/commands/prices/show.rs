//! Every price line of a model at each of its hosts: as it is written, when it applies, and who says so.

use crate::output;
use crate::table::Table;
use gallerist_domain::Price;
use gallerist_pricing::sheet::{Condition, Each, Period, PriceLine};
use gallerist_pricing::{Catalogue, Offer};
use serde_json::{Value, json};

pub fn print(found: &[Offer]) {
    for (at, offer) in found.iter().enumerate() {
        if at > 0 {
            output::line("");
        }
        let model = &offer.model;
        output::line(format!("{} ({}), read {}", offer.id, offer.provider.title, offer.provider.as_of));
        output::line(format!("  upstream {}{}", model.upstream, listed("; also named ", &model.aliases)));
        output::line(table(offer).render());
        for factor in &model.sheet.factors {
            let (numerator, denominator) = (factor.numerator, factor.denominator);
            let when = conditions(&factor.when, factor.period);
            output::line(format!("  times {numerator}/{denominator}: {} ({when})", factor.id));
        }
    }
}

fn listed(before: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("{before}{}", names.join(", ")) }
}

fn table(offer: &Offer) -> Table {
    let mut table = Table::new()
        .text("line")
        .figure("price")
        .text("per")
        .flexible("when")
        .text("confidence")
        .text("date")
        .flexible("source");
    for line in &offer.model.sheet.lines {
        table.row([
            line.id.clone(),
            price(line),
            per(line),
            conditions(&line.when, line.period),
            line.source.confidence.as_str().replace('_', " "),
            line.source.date.to_string(),
            line.source.what.clone(),
        ]);
    }
    table
}

/// An interval where the sources leave the truth open.
fn price(line: &PriceLine) -> String {
    let amount = |price: Price| output::dollars(price.amount);
    match line.price == line.price_max {
        true => amount(line.price),
        false => format!("{} to {}", amount(line.price), amount(line.price_max)),
    }
}

fn per(line: &PriceLine) -> String {
    let meter = line.meter.name().replace('_', " ");
    let units = line.price.per / line.meter.base_units_per_unit();
    let mut text = if units <= 1 { meter } else { format!("{units} {meter}") };
    if line.each == Each::Call {
        text.push_str(" a call");
    }
    if line.round_up > 1 {
        let step = line.round_up / line.meter.base_units_per_unit().min(line.round_up);
        text.push_str(&format!(", rounded up to {step}"));
    }
    if line.from > 0 {
        text.push_str(&format!(", beyond {}", line.from));
    }
    if line.up_to < i64::MAX {
        text.push_str(&format!(", up to {}", line.up_to));
    }
    text
}

fn conditions(when: &Condition, period: Period) -> String {
    let mut parts = Vec::new();
    let mut any = |name: &str, words: Vec<String>| {
        if !words.is_empty() {
            parts.push(format!("{name} {}", words.join(" or ")));
        }
    };
    any("operation", when.operations.iter().map(ToString::to_string).collect());
    any("quality", when.qualities.clone());
    any("size", when.sizes.iter().map(ToString::to_string).collect());
    any("resolution", when.resolutions.clone());
    any("format", when.formats.iter().map(ToString::to_string).collect());
    any("tier", when.tiers.clone());
    let mut bound = |text: &str, limit: Option<String>| {
        if let Some(limit) = limit {
            parts.push(format!("{text} {limit}"));
        }
    };
    bound("at least pixels", when.pixels_min.map(|n| n.to_string()));
    bound("at most pixels", when.pixels_max.map(|n| n.to_string()));
    bound("at least steps", when.steps_min.map(|n| n.to_string()));
    bound("at most steps", when.steps_max.map(|n| n.to_string()));
    let mut any = |name: &str, words: Vec<String>| {
        if !words.is_empty() {
            parts.push(format!("{name} {}", words.join(" or ")));
        }
    };
    let region = |word: &String| if word.is_empty() { "none named".to_owned() } else { word.clone() };
    any("region", when.regions.iter().map(region).collect());
    any("inputs", range(when.inputs_min.map(i64::from), when.inputs_max.map(i64::from)));
    any("mask in thousandths", range(when.mask_per_mille_min, when.mask_per_mille_max));
    for option in &when.options {
        any(&option.name, option.values.clone());
    }
    let mut bound = |text: &str, limit: Option<String>| {
        if let Some(limit) = limit {
            parts.push(format!("{text} {limit}"));
        }
    };
    bound("streamed", when.stream.map(|stream| if stream { "yes" } else { "no" }.to_owned()));
    bound("daily", when.window.as_ref().map(|window| format!("{} to {}", window.from, window.until)));
    bound("since", period.since.map(|at| at.to_string()));
    bound("until", period.until.map(|at| at.to_string()));
    if parts.is_empty() { "always".to_owned() } else { parts.join(", ") }
}

/// `1 to 3`, `at least 1`, `at most 3`, or nothing.
fn range(min: Option<i64>, max: Option<i64>) -> Vec<String> {
    match (min, max) {
        (None, None) => Vec::new(),
        (Some(min), None) => vec![format!("at least {min}")],
        (None, Some(max)) => vec![format!("at most {max}")],
        (Some(min), Some(max)) => vec![format!("{min} to {max}")],
    }
}

pub fn as_json(catalogue: &Catalogue, found: &[Offer]) -> Value {
    let offers: Vec<Value> = found
        .iter()
        .map(|offer| {
            let lines: Vec<Value> = offer.model.sheet.lines.iter().map(line_json).collect();
            json!({
                "offer": offer.id.to_string(),
                "provider": offer.id.provider,
                "model": offer.model.id,
                "upstream": offer.model.upstream,
                "aliases": offer.model.aliases,
                "as_of": offer.provider.as_of,
                "retires_on": offer.model.lifecycle.retires_on,
                "successors": offer.model.lifecycle.successors,
                "lines": lines,
            })
        })
        .collect();
    json!({"catalogue": catalogue.digest, "offers": offers})
}

fn line_json(line: &PriceLine) -> Value {
    json!({
        "line": line.id,
        "meter": line.meter.name(),
        "min_usd": line.price.amount,
        "max_usd": line.price_max.amount,
        "per": line.price.per / line.meter.base_units_per_unit().min(line.price.per),
        "written": line.written,
        "when": conditions(&line.when, line.period),
        "since": line.period.since,
        "until": line.period.until,
        "source": line.source.what,
        "confidence": line.source.confidence.as_str(),
        "date": line.source.date,
    })
}
