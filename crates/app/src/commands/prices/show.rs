//! Every price line of a model at each of its hosts: as it is written, when it applies, and who says so.

use super::super::quote::apart;
use crate::output;
use crate::table::{Table, wrap};
use console::Term;
use gallerist_domain::{Operation, Price};
use gallerist_pricing::Offer;
use gallerist_pricing::quote::display_quantity;
use gallerist_pricing::sheet::{Each, Estimate, Factor, MarginalRate, Period, PriceLine, PriceSheet, Source};
use gallerist_routing::report::BundleQuote;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::{Value, json};

/// Widest that the tables get where there is no terminal to ask.
const WIDTH: usize = 100;

pub fn print(found: &[Offer], at: Timestamp) {
    output::line(told(found, at, Term::stdout().size_checked().map_or(WIDTH, |(_, columns)| columns.into())));
}

/// Every host with its lines, each source once; a host that has another's lines only says so.
fn told(found: &[Offer], at: Timestamp, width: usize) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut bodies: Vec<(String, &Offer)> = Vec::new();
    for offer in found {
        let model = &offer.model;
        let mut part = format!("{} ({}), read {}\n", offer.id, offer.provider.title, offer.provider.as_of);
        part.push_str(&format!("  upstream {}{}", model.upstream, listed("; also named ", &model.aliases)));
        let life = life(offer).map(|told| wrap(&told, width.saturating_sub(2))).unwrap_or_default();
        part.extend(life.into_iter().map(|row| format!("\n  {row}")));
        let body = body(offer, at, width);
        match bodies.iter().find(|(known, _)| *known == body) {
            Some((_, same)) => part.push_str(&format!("\n  the same lines as {}", same.id)),
            None => {
                part.push('\n');
                part.push_str(&body);
                bodies.push((body, offer));
            }
        }
        parts.push(part);
    }
    parts.join("\n\n")
}

/// Where the model stands in its life, as far as a source states it.
fn life(offer: &Offer) -> Option<String> {
    let life = &offer.model.lifecycle;
    let on = |word: &str, day: Date| format!("{word} {day}");
    let deprecated = match life.deprecated_on {
        Some(day) => Some(on("deprecated", day)),
        None => life.deprecated.then(|| "deprecated".to_owned()),
    };
    let told: Vec<String> = [
        life.released_on().map(|day| on("released", day)),
        deprecated,
        life.retires_on.map(|day| on("retires", day)),
        life.switched_off.as_ref().map(|why| format!("off: {why}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!told.is_empty()).then(|| told.join("; ") + &listed("; use ", &life.successors))
}

/// The lines of an offer, its factors and its sources; or why there are none, and who knows the model at all.
fn body(offer: &Offer, at: Timestamp, width: usize) -> String {
    let sheet = &offer.model.sheet;
    let mut sources: Vec<String> = Vec::new();
    if let Some(why) = &sheet.unknown {
        let told = format!("no price is known: {why} {}", marks(&mut sources, &[&offer.model.source]));
        let mut rows = wrap(&told, width.saturating_sub(2));
        rows.extend(wrap(&format!("[1] {}", sources[0]), width.saturating_sub(2)));
        return rows.iter().map(|row| format!("  {row}")).collect::<Vec<_>>().join("\n");
    }
    let mut table = Table::new().text("line").figure("price").flexible("per").flexible("when").text("source");
    for line in &sheet.lines {
        let marks = marks(&mut sources, &of_line(line));
        table.row([line.id.clone(), price(line), per(line), line.when.told(line.period), marks]);
    }
    let mut text = table.render_within(Some(width));
    let besides = besides(offer, at, &mut sources);
    for row in besides.iter().flat_map(|told| wrap(told, width.saturating_sub(2))) {
        text.push_str(&format!("\n  {row}"));
    }
    for (at, source) in sources.iter().enumerate() {
        for (row, line) in wrap(source, width.saturating_sub(6)).into_iter().enumerate() {
            let mark = if row == 0 { format!("[{}]", at + 1) } else { String::new() };
            text.push_str(&format!("\n  {mark:<4}{line}"));
        }
    }
    text
}

/// What is told below the lines: factors, quantities that are estimated, pictures whose number the model decides, free
/// pools and bundles, each with its sources.
fn besides(offer: &Offer, at: Timestamp, sources: &mut Vec<String>) -> Vec<String> {
    let sheet = &offer.model.sheet;
    let mut told = Vec::new();
    for factor in &sheet.factors {
        let (least, most, denominator) = (factor.numerator, factor.numerator_max, factor.denominator);
        let numerator = if least == most { least.to_string() } else { format!("{least}–{most}") };
        let (when, mark) = (factor.when.told(factor.period), marks(sources, &[&factor.source]));
        told.push(format!("times {numerator}/{denominator}: {} ({when}) {mark}", factor.id));
    }
    for rate in &sheet.marginal {
        let usd = rate.price.amount.short();
        told.push(format!("ordered by {usd} USD an hour of {}: the hardware is paid anyway", rate.line));
    }
    for (meter, of_meter) in estimated(sheet) {
        let mark = marks(sources, &of_meter);
        told.push(format!("estimated until the answer tells: {} {mark}", meter.replace('_', " ")));
    }
    for outputs in &sheet.outputs {
        let most = outputs.max.map_or("as many as asked for".to_owned(), |max| max.to_string());
        let when = outputs.when.told(Period::default());
        let mark = marks(sources, &[&outputs.source]);
        let less = if outputs.max_includes_inputs { ", less those that are sent in" } else { "" };
        told.push(format!("makes {} to {most} pictures{less}: {} ({when}) {mark}", outputs.min, outputs.id));
    }
    for pool in &sheet.allowances {
        let (worth, period) = (pool.worth.short(), pool.per.as_str());
        let of = if pool.lines.is_empty() { String::new() } else { format!(" of {}", pool.lines.join(", ")) };
        let shared = "shared by every model that names it";
        let mark = marks(sources, &[&pool.source]);
        told.push(format!("free{of}: {} of {worth} USD, {period}, {shared} {mark}", pool.id));
    }
    for (operation, bundle) in bundles(offer, at) {
        told.push(format!("{operation}, default picture: {}", apart(&bundle)));
    }
    told
}

/// The meters of a sheet that are estimated before a call, each with the sources of all its estimates.
fn estimated(sheet: &PriceSheet) -> Vec<(&'static str, Vec<&Source>)> {
    let mut meters: Vec<(&'static str, Vec<&Source>)> = Vec::new();
    for estimate in &sheet.estimates {
        let of = std::iter::once(&estimate.source).chain(&estimate.also).map(|source| &**source);
        let name = estimate.meter.name();
        match meters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sources)) => sources.extend(of),
            None => meters.push((name, of.collect())),
        }
    }
    meters
}

/// What says so, what says what its currency is worth, and what agrees or conflicts.
fn of_line(line: &PriceLine) -> Vec<&Source> {
    std::iter::once(&line.source).chain(&line.rate).chain(&line.also).map(|source| &**source).collect()
}

/// The operations that are sold together, each with what its default picture costs in separate calls.
fn bundles(offer: &Offer, at: Timestamp) -> Vec<(Operation, BundleQuote)> {
    let sold = offer.model.sheet.bundles.iter().map(|bundle| bundle.operation);
    sold.filter_map(|operation| {
        Some((operation, super::default_picture(offer, Some(operation), at)?.bundle?))
    })
    .collect()
}

/// `[1][3]`, the places of sources among those of the table, each once.
fn marks(sources: &mut Vec<String>, named: &[&Source]) -> String {
    let mut places: Vec<usize> = Vec::new();
    for source in named {
        let told = source_told(source);
        let known = sources.iter().position(|one| *one == told);
        let place = known.unwrap_or_else(|| {
            sources.push(told);
            sources.len() - 1
        });
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places.iter().map(|place| format!("[{}]", place + 1)).collect()
}

/// How much to trust it, and who says so.
fn source_told(source: &Source) -> String {
    format!("{}, {}: {}", source.confidence.as_str().replace('_', " "), source.date, source.what)
}

fn listed(before: &str, names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("{before}{}", names.join(", ")) }
}

/// An interval where the sources leave the truth open.
fn price(line: &PriceLine) -> String {
    let amount = |price: Price| output::dollars(line.rent_of(price).amount);
    match line.price == line.price_max {
        true => amount(line.price),
        false => format!("{} to {}", amount(line.price), amount(line.price_max)),
    }
}

/// What a price buys: so many, as [`display_quantity`] says, of a meter of this name.
pub fn units(count: &str, meter: &str) -> String {
    let meter = meter.replace('_', " ");
    match count.parse::<i64>() {
        Ok(1) => meter.strip_suffix('s').unwrap_or(&meter).to_owned(),
        Ok(MEGAPIXEL) => format!("2^20 {meter}"),
        Ok(units) if units % 1_000_000 == 0 => format!("{}M {meter}", units / 1_000_000),
        _ => format!("{count} {meter}").trim().to_owned(),
    }
}

fn per(line: &PriceLine) -> String {
    let mut text = units(&display_quantity(line.meter, line.rent_of(line.price).per), line.meter.name());
    if line.each == Each::Call {
        text.push_str(" a call");
    }
    if line.utilisation_percent < 100 {
        text.push_str(&format!(", rented, at {} % utilisation", line.utilisation_percent));
    }
    if line.round_up > 1 {
        let step = line.round_up / line.meter.base_units_per_unit().min(line.round_up);
        text.push_str(&format!(", rounded up to {}", count(step)));
    }
    if line.from > 0 {
        text.push_str(&format!(", beyond {}", count(line.from)));
    }
    if line.up_to < i64::MAX {
        text.push_str(&format!(", up to {}", count(line.up_to)));
    }
    text
}

/// Pixels of a megapixel as most vendors count it.
const MEGAPIXEL: i64 = 1 << 20;

/// A number of units; a megapixel by its power.
fn count(units: i64) -> String {
    if units == MEGAPIXEL { "2^20".to_owned() } else { units.to_string() }
}

pub fn as_json(found: &[Offer], at: Timestamp) -> Value {
    let offers: Vec<Value> = found
        .iter()
        .map(|offer| {
            let lines: Vec<Value> = offer.model.sheet.lines.iter().map(line_json).collect();
            let bundles: Vec<Value> = bundles(offer, at)
                .into_iter()
                .map(|(operation, bundle)| json!({"operation": operation, "compared": bundle}))
                .collect();
            json!({
                "offer": offer.id.to_string(),
                "provider": offer.id.provider,
                "model": offer.model.id,
                "upstream": offer.model.upstream,
                "aliases": offer.model.aliases,
                "as_of": offer.provider.as_of,
                "released_on": offer.model.lifecycle.released_on(),
                "deprecated": offer.model.lifecycle.deprecated,
                "deprecated_on": offer.model.lifecycle.deprecated_on,
                "retires_on": offer.model.lifecycle.retires_on,
                "successors": offer.model.lifecycle.successors,
                "source": source_json(&offer.model.source),
                "price_unknown": offer.model.sheet.unknown,
                "lines": lines,
                "factors": offer.model.sheet.factors.iter().map(factor_json).collect::<Vec<_>>(),
                "marginal": offer.model.sheet.marginal.iter().map(marginal_json).collect::<Vec<_>>(),
                "estimates": offer.model.sheet.estimates.iter().map(estimate_json).collect::<Vec<_>>(),
                "bundles": bundles,
            })
        })
        .collect();
    offers.into()
}

fn line_json(line: &PriceLine) -> Value {
    json!({
        "line": line.id,
        "meter": line.meter.name(),
        "min_usd": line.price.amount,
        "max_usd": line.price_max.amount,
        "per": line.price.per / line.meter.base_units_per_unit().min(line.price.per),
        "written": line.written,
        "utilisation_percent": line.utilisation_percent,
        "when": line.when.told(line.period),
        "since": line.period.since,
        "until": line.period.until,
        "source": line.source.what,
        "confidence": line.source.confidence.as_str(),
        "date": line.source.date,
        "rate": line.rate.as_deref().map(source_json),
        "also": line.also.iter().map(|source| source_json(source)).collect::<Vec<_>>(),
    })
}

fn marginal_json(rate: &MarginalRate) -> Value {
    json!({"line": rate.line, "usd_per_hour": rate.price.amount})
}

fn factor_json(factor: &Factor) -> Value {
    json!({
        "factor": factor.id,
        "numerator": factor.numerator,
        "numerator_max": factor.numerator_max,
        "denominator": factor.denominator,
        "when": factor.when.told(factor.period),
        "source": source_json(&factor.source),
    })
}

fn estimate_json(estimate: &Estimate) -> Value {
    json!({
        "meter": estimate.meter.name(),
        "when": estimate.when.told(Period::default()),
        "source": source_json(&estimate.source),
    })
}

fn source_json(source: &Source) -> Value {
    json!({"what": source.what, "confidence": source.confidence.as_str(), "date": source.date})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::everything;
    use gallerist_pricing::catalogue::Origin;
    use gallerist_pricing::offers;

    fn day() -> Timestamp {
        "2026-11-28T12:00:00Z".parse().unwrap()
    }

    /// 0.0336 and 17 tokens of the prompt out, 0.0018 and the same in: the described flat price beside them.
    #[test]
    fn a_bundle_is_told_beside_its_chain() {
        let catalogue = Origin { described: true, ..Origin::default() }.whole().unwrap();
        let all = offers(&catalogue, &everything(&catalogue, &[]));
        let is_gemini = |offer: &Offer| offer.id.to_string() == "described-google/gemini";
        let found: Vec<Offer> = all.into_iter().filter(is_gemini).collect();
        let text = told(&found, day(), 200);
        let apart = "generate and classify in separate calls cost $0.033625";
        assert!(text.contains(apart) && text.contains("at best $0.0089"), "{text}");
        let json = as_json(&found, day());
        let compared = &json[0]["bundles"][0]["compared"];
        assert_eq!(compared["chain"][1]["operation"], "classify");
        assert_eq!(compared["saving_max_percent"], "25.11");
    }

    /// Nobody knows what it costs, but it is known, and why it has no price.
    #[test]
    fn a_model_without_a_price_is_shown_with_the_reason_and_its_life() {
        let catalogue = Origin::default().whole().unwrap();
        let all = offers(&catalogue, &everything(&catalogue, &[]));
        let of =
            |id: &str| all.iter().filter(|offer| offer.id.to_string() == id).cloned().collect::<Vec<_>>();
        let text = told(&of("azure/mai-image-2"), day(), 100);
        assert!(text.contains("no price is known: the sheet names no price [1]"), "{text}");
        assert!(text.contains("[1] official, 2026-07-07: MicrosoftDocs/azure-ai-docs"), "{text}");
        assert!(text.contains("retires 2026-08-15; use mai-image-2.5, mai-image-2.5-flash"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let json = as_json(&of("azure/mai-image-2"), day());
        assert_eq!(json[0]["price_unknown"], "the sheet names no price");
        assert_eq!(json[0]["lines"], json!([]));
        let text = told(&of("openai/gpt-image-2.6-flare"), day(), 100);
        assert!(text.contains("released 2026-11-04"), "{text}");
        let text = told(&of("seedream/seedream-3"), day(), 100);
        assert!(text.contains("; deprecated; use seedream-4.5"), "{text}");
    }

    #[test]
    fn every_model_fits_a_hundred_columns_with_each_source_once() {
        let catalogue = Origin::default().whole().unwrap();
        let all = offers(&catalogue, &everything(&catalogue, &[]));
        for name in ["gpt-image-2", "flux-2-pro", "sdxl", "gpt-image-1", "imagen-4"] {
            let found: Vec<Offer> = all.iter().filter(|offer| offer.model.is_named(name)).cloned().collect();
            let text = told(&found, day(), 100);
            for line in text.lines().filter(|line| !line.starts_with("  upstream")) {
                assert!(line.chars().count() <= 100, "{name}: {line}");
            }
            for line in found.iter().flat_map(|offer| &offer.model.sheet.lines) {
                assert!(
                    text.contains(&line.id) && text.contains(&line.source.date.to_string()),
                    "{}",
                    line.id
                );
            }
        }
    }

    /// A reseller's fee, a guessed number of tokens and a conflicting source are told with what says so.
    #[test]
    fn factors_and_estimates_have_their_sources() {
        let catalogue = Origin::default().whole().unwrap();
        let all = offers(&catalogue, &everything(&catalogue, &[]));
        let of =
            |id: &str| all.iter().filter(|offer| offer.id.to_string() == id).cloned().collect::<Vec<_>>();
        let text = told(&of("cloudflare-ai-gateway/gpt-image-2"), day(), 100);
        assert!(text.contains("times 105/100: purchase-fee (always) ["), "{text}");
        assert!(text.contains("official, 2026-05-19: github.com/cloudflare/cloudflare-docs"), "{text}");
        assert!(text.contains("estimated until the answer tells: image output tokens ["), "{text}");
        assert!(text.contains("derived, 2026-11-22: community.openai.com"), "{text}");
        let json = as_json(&of("openrouter/flux-2-pro"), day());
        let factor = &json[0]["factors"][0];
        assert_eq!((&factor["numerator"], &factor["denominator"]), (&json!(1055), &json!(1000)));
        assert_eq!(factor["source"]["confidence"], "official");
    }

    #[test]
    fn hosts_with_the_same_lines_are_told_once() {
        let catalogue = Origin::default().whole().unwrap();
        let all = offers(&catalogue, &everything(&catalogue, &[]));
        let one: Vec<Offer> =
            all.into_iter().filter(|offer| offer.id.to_string() == "bfl/flux-2-pro").collect();
        let text = told(&[one[0].clone(), one[0].clone()], day(), 100);
        assert!(text.ends_with("the same lines as bfl/flux-2-pro"), "{text}");
    }
}
