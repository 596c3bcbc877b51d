//! OpenRouter's lists: `/api/v1/models`, and the endpoints of its image models.
//!
//! The first has a `pricing` object of texts in dollars, the second lines of (`billable`, `unit`, `cost_usd`,
//! `variant`). Both are open: a line with a word that is new makes the entry unpriced, because what it adds is
//! not known. Amounts are what OpenRouter books; the fee on buying its credits is not in them.

use super::json::{Object, amount, decimal, list, needed, needed_object, object, shown, text, typed};
use super::{Entry, Key, Reason, Row, Verdict, exact_price, form, per_million, product};
use gallerist_domain::{Decimal, Meter, Price};
use serde_json::value::RawValue;

const FORM: &str = r#"{"data": [MODEL, …]}, or one model with its "endpoints""#;

pub(super) fn read(whole: &str) -> Result<Vec<Entry>, String> {
    let top = form::top(whole, FORM)?;
    // The endpoints of a single model come without a list around them.
    if top.contains_key("endpoints") {
        let raw: &RawValue = serde_json::from_str(whole).map_err(|error| error.to_string())?;
        return Ok(entries(0, raw));
    }
    let data = top.get("data").and_then(|raw| list(raw));
    let data = data.ok_or_else(|| format!("it has no list named data, where the format has {FORM}"))?;
    Ok(data.into_iter().enumerate().flat_map(|(index, raw)| entries(index, raw)).collect())
}

/// One entry for a model, or one for each endpoint that serves it.
fn entries(index: usize, raw: &RawValue) -> Vec<Entry> {
    let named = needed_object("the entry", Some(&raw)).and_then(|model| Ok((needed(&model, "id")?, model)));
    let (id, model) = match named {
        Ok(named) => named,
        Err(reason) => {
            let id = format!("entry {}", index + 1);
            return vec![entry(&id, &id, Err(reason), Vec::new())];
        }
    };
    let Some(endpoints) = model.get("endpoints").and_then(|raw| list(raw)) else {
        let mut notes = Vec::new();
        let rows = of_pricing(&model, &mut notes);
        return vec![entry(&id, &id, rows, notes)];
    };
    let of_endpoint = |raw: &RawValue| {
        let provider = object(raw).and_then(|endpoint| text(&endpoint, "provider_slug")).unwrap_or_default();
        let rows = needed_object("the endpoint", Some(&raw)).and_then(|endpoint| of_lines(&endpoint));
        entry(&format!("{id} at {provider}"), &id, rows, Vec::new())
    };
    endpoints.into_iter().map(of_endpoint).collect()
}

fn entry(id: &str, model: &str, rows: Result<Vec<Row>, Reason>, notes: Vec<String>) -> Entry {
    let verdict = match rows {
        Ok(rows) if rows.is_empty() => Verdict::Unpriced(Reason::NoPrice),
        Ok(rows) => Verdict::Priced(rows),
        Err(reason) => Verdict::Unpriced(reason),
    };
    Entry {
        id: id.to_owned(),
        provider: "openrouter".to_owned(),
        kind: Some("openrouter".to_owned()),
        model: model.to_owned(),
        retires_on: None,
        page: None,
        edits_only: false,
        verdict,
        notes,
    }
}

fn of_pricing(model: &Object<'_>, notes: &mut Vec<String>) -> Result<Vec<Row>, Reason> {
    let architecture = model.get("architecture").and_then(|raw| object(raw)).unwrap_or_default();
    let makes: Vec<String> = typed(&architecture, "output_modalities").unwrap_or_default();
    if !makes.iter().any(|what| what == "image") {
        return Err(Reason::NoPictures);
    }
    let pricing = model.get("pricing").and_then(|raw| object(raw)).ok_or(Reason::NoPrice)?;
    let whole = Decimal::ONE;
    let kept = match pricing.get("discount").map(|raw| decimal(raw)) {
        None => whole,
        Some(discount) => discount.and_then(rest).ok_or_else(|| too_fine("discount", pricing["discount"]))?,
    };
    if pricing.contains_key("overrides") {
        notes
            .push("overrides are left out: they change token prices at times or for long prompts".to_owned());
    }
    let mut rows = Vec::new();
    for (field, raw) in &pricing {
        let meter = match field.as_str() {
            "image_output" => Meter::Images,
            "image" => Meter::InputImages,
            "image_token" => Meter::ImageOutputTokens,
            "prompt" => Meter::TextInputTokens,
            "completion" => Meter::TextOutputTokens,
            "internal_reasoning" => Meter::ThinkingTokens,
            "input_cache_read" => Meter::TextInputCachedTokens,
            "request" => Meter::Calls,
            "web_search" => Meter::ToolCalls,
            "discount"
            | "overrides"
            | "input_cache_write"
            | "input_cache_write_1h"
            | "audio"
            | "audio_output"
            | "input_audio_cache" => continue,
            _ => return Err(Reason::UnknownField(field.clone())),
        };
        let figure = product(amount(field, raw)?, kept).ok_or_else(|| too_fine(field, raw))?;
        if figure.mantissa() != 0 {
            let price = if meter.is_tokens() { per_million(figure) } else { exact_price(figure, 1) };
            rows.push(row(meter, price.ok_or_else(|| too_fine(field, raw))?, None, field));
        }
    }
    let by_tokens = rows.iter().any(|row| row.meter == Meter::ImageOutputTokens);
    for row in rows.iter_mut().filter(|row| row.meter == Meter::Images) {
        row.typical = by_tokens;
    }
    let picture = |row: &Row| matches!(row.meter, Meter::Images | Meter::ImageOutputTokens | Meter::Calls);
    if !rows.is_empty() && !rows.iter().any(picture) { Err(Reason::TokenPlaceholder) } else { Ok(rows) }
}

/// What a discount leaves.
fn rest(discount: Decimal) -> Option<Decimal> {
    let one = 10i128.checked_pow(discount.scale())?;
    let left = one.checked_sub(discount.mantissa())?;
    (0..=one).contains(&left).then(|| Decimal::new(left, discount.scale()))
}

fn of_lines(endpoint: &Object<'_>) -> Result<Vec<Row>, Reason> {
    let lines = endpoint.get("pricing").and_then(|raw| list(raw)).ok_or(Reason::NoPrice)?;
    let mut rows = Vec::new();
    for raw in lines {
        let line = needed_object("a line of pricing", Some(&raw))?;
        let (billable, unit) = (needed(&line, "billable")?, needed(&line, "unit")?);
        let field = format!("{billable} per {unit}");
        let (meter, units) = match (billable.as_str(), unit.as_str()) {
            ("output_image", "image") => (Meter::Images, 1),
            ("output_image", "request") => (Meter::Calls, 1),
            ("output_image", "megapixel") => (Meter::OutputPixels, 1_000_000),
            ("output_image", "token") => (Meter::ImageOutputTokens, 1),
            ("input_image" | "input_reference", "image") => (Meter::InputImages, 1),
            ("input_image" | "input_reference", "megapixel") => (Meter::InputPixels, 1_000_000),
            ("input_image" | "input_reference", "token") => (Meter::ImageInputTokens, 1),
            ("input_text", "token") => (Meter::TextInputTokens, 1),
            _ => return Err(Reason::UnknownField(field)),
        };
        let missing = || Reason::Malformed(format!("cost_usd of {field} is missing"));
        let raw = *line.get("cost_usd").ok_or_else(missing)?;
        let figure = amount(&field, raw)?;
        if figure.mantissa() == 0 {
            continue;
        }
        let price = if meter.is_tokens() { per_million(figure) } else { exact_price(figure, units) };
        let price = price.ok_or_else(|| too_fine(&field, raw))?;
        rows.push(row(meter, price, text(&line, "variant"), &field));
    }
    Ok(rows)
}

fn row(meter: Meter, price: Price, variant: Option<String>, field: &str) -> Row {
    let key = variant.map(|variant| variant_key(&variant)).unwrap_or_default();
    Row::new(meter, price, key, field)
}

/// `1k`, `hd`, `low_2k`: a resolution, a quality, or both.
fn variant_key(variant: &str) -> Key {
    let mut key = Key::default();
    for word in variant.split('_') {
        if word.starts_with(|first: char| first.is_ascii_digit()) {
            key.resolution = Some(word.to_uppercase());
        } else {
            key.quality = Some(word.to_owned());
        }
    }
    key
}

fn too_fine(field: &str, raw: &RawValue) -> Reason {
    Reason::TooFine { field: field.to_owned(), text: shown(raw) }
}
