//! Portkey's open price files: one a provider, amounts in US cents.
//!
//! The rule of the cents is broken for some models, which [`super::compare`] finds; here every figure is taken
//! at the file's word. A `calculate` tree is not followed: it combines the same figures.

use super::json::{Object, decimal, object, shown};
use super::{Entry, Key, Reason, Row, Verdict, exact_price, kind_of, per_million, product};
use gallerist_domain::{Decimal, Meter};
use serde_json::value::RawValue;

pub(super) fn read(list: &str, provider: &str) -> Result<Vec<Entry>, serde_json::Error> {
    let list: Object<'_> = serde_json::from_str(list)?;
    // Beside the models stand the file's own name, and what holds for a model that is not listed.
    let models = list.iter().filter(|(id, raw)| *id != "default" && raw.get().trim().starts_with('{'));
    Ok(models.map(|(id, raw)| entry(id, raw, provider)).collect())
}

fn entry(id: &str, raw: &RawValue, provider: &str) -> Entry {
    let mut notes = Vec::new();
    let verdict = match rows(raw, &mut notes) {
        Ok(rows) => Verdict::Priced(rows),
        Err(reason) => Verdict::Unpriced(reason),
    };
    Entry {
        id: id.to_owned(),
        provider: provider.to_owned(),
        kind: kind_of(provider),
        model: id.to_owned(),
        retires_on: None,
        page: None,
        edits_only: false,
        verdict,
        notes,
    }
}

fn rows(raw: &RawValue, notes: &mut Vec<String>) -> Result<Vec<Row>, Reason> {
    let model = object(raw).ok_or(Reason::Malformed)?;
    let config = model.get("pricing_config").and_then(|raw| object(raw)).ok_or(Reason::Malformed)?;
    let prices = config.get("pay_as_you_go").and_then(|raw| object(raw)).ok_or(Reason::NoPrice)?;
    let mut reading = Reading { rows: Vec::new(), zeros: 0, notes };
    for (field, raw) in &prices {
        match field.as_str() {
            "image" => reading.pictures(raw)?,
            "additional_units" => reading.units(raw)?,
            _ => match meter_of(field) {
                Some(meter) => reading.push(meter, raw, Key::default(), field, 1)?,
                None => reading.notes.push(format!("{field} is left out: pictures have no such price")),
            },
        }
    }
    let picture =
        |row: &Row| matches!(row.meter, Meter::Images | Meter::OutputPixels | Meter::ImageOutputTokens);
    if reading.rows.iter().any(picture) {
        let by_tokens = reading.rows.iter().any(|row| row.meter == Meter::ImageOutputTokens);
        for row in reading.rows.iter_mut().filter(|row| row.meter == Meter::Images) {
            row.typical = by_tokens;
        }
        return Ok(reading.rows);
    }
    let says_image = prices.keys().any(|field| field.contains("image"));
    match (says_image, reading.zeros) {
        (true, 1..) => Err(Reason::OnlyZero),
        (true, 0) => Err(Reason::NoPrice),
        (false, _) => Err(Reason::NoPictures),
    }
}

fn meter_of(field: &str) -> Option<Meter> {
    Some(match field {
        "request_token" => Meter::TextInputTokens,
        "response_token" => Meter::TextOutputTokens,
        "request_image_token" => Meter::ImageInputTokens,
        "response_image_token" => Meter::ImageOutputTokens,
        "cache_read_input_token" | "cached_text_input_token" => Meter::TextInputCachedTokens,
        "cached_image_input_token" | "cache_read_image_input_token" => Meter::ImageInputCachedTokens,
        _ => return None,
    })
}

struct Reading<'n> {
    rows: Vec<Row>,
    zeros: usize,
    notes: &'n mut Vec<String>,
}

impl Reading<'_> {
    /// `{"high": {"1024x1024": {"price": 21.1}, "default": …}, "default": …}`
    fn pictures(&mut self, raw: &RawValue) -> Result<(), Reason> {
        // Sorted so that what holds for everything else comes last.
        let mut qualities: Vec<_> = object(raw).ok_or(Reason::Malformed)?.into_iter().collect();
        qualities.sort_by_key(|(quality, _)| quality == "default");
        for (quality, raw) in qualities {
            let mut sizes: Vec<_> = object(raw).ok_or(Reason::Malformed)?.into_iter().collect();
            sizes.sort_by_key(|(size, _)| size == "default");
            for (size, raw) in sizes {
                let field = format!("image {quality} {size}");
                let named = |word: &str| (word != "default").then(|| word.to_owned());
                let mut key = Key { quality: named(&quality), ..Key::default() };
                match size.parse() {
                    Ok(size) => key.size = Some(size),
                    Err(_) => key.resolution = named(&size),
                }
                self.push(Meter::Images, raw, key, &field, 1)?;
            }
        }
        Ok(())
    }

    fn units(&mut self, raw: &RawValue) -> Result<(), Reason> {
        for (unit, raw) in object(raw).ok_or(Reason::Malformed)? {
            let resolution = unit.strip_prefix("image_").filter(|word| is_resolution(word));
            let (meter, units) = match unit.as_str() {
                "image_token" => (Meter::ImageOutputTokens, 1),
                "megapixels" => (Meter::OutputPixels, 1_000_000),
                "input_image" => (Meter::InputImages, 1),
                "web_search" => (Meter::ToolCalls, 1),
                "image" => (Meter::Images, 1),
                "default_steps" => {
                    self.notes.push("default_steps is no price: the others hold at that many".to_owned());
                    continue;
                }
                _ if resolution.is_some() => (Meter::Images, 1),
                _ => {
                    self.notes.push(format!("{unit} is left out: pictures have no such price"));
                    continue;
                }
            };
            let key = Key { resolution: resolution.map(str::to_uppercase), ..Key::default() };
            self.push(meter, raw, key, &unit, units)?;
        }
        Ok(())
    }

    /// `raw` is `{"price": CENTS}`.
    fn push(
        &mut self,
        meter: Meter,
        raw: &RawValue,
        key: Key,
        field: &str,
        units: i64,
    ) -> Result<(), Reason> {
        let unreadable = || Reason::Unreadable { field: field.to_owned(), text: shown(raw) };
        let price = object(raw).and_then(|price| decimal(price.get("price")?));
        let cents = price.filter(|price| price.mantissa() >= 0).ok_or_else(unreadable)?;
        if cents.mantissa() == 0 {
            self.zeros += 1;
            return Ok(());
        }
        let dollars = product(cents, Decimal::new(1, 2)).ok_or_else(unreadable)?;
        let price = if meter.is_tokens() { per_million(dollars) } else { exact_price(dollars, units) };
        let price = price.ok_or_else(unreadable)?;
        self.rows.push(Row { meter, price, round_up: 1, key, field: field.to_owned(), typical: false });
        Ok(())
    }
}

fn is_resolution(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
}
