//! Portkey's open price files: one a provider, amounts in US cents.
//!
//! The rule of the cents is broken for some models, which [`super::compare`] finds; here every figure is taken
//! at the file's word. A `calculate` tree is not followed: it combines the same figures.

use super::json::{Object, amount, in_dollars, needed_object, object, shown};
use super::{Entry, Key, Reason, Row, Verdict, exact_price, form, kind_of, per_million, product};
use gallerist_domain::{Decimal, Meter};
use serde_json::value::RawValue;

pub(super) fn read(list: &str, provider: &str) -> Result<Vec<Entry>, String> {
    let list = form::top(list, r#"an object of models by their names, {"MODEL": {"pricing_config": …}}"#)?;
    // Beside the models stand texts about the file itself, and what holds for a model that is not listed.
    let models = list.iter().filter(|(id, raw)| *id != "default" && !raw.get().trim().starts_with('"'));
    let usual = in_dollars(&list).and_then(|()| match list.get("default").and_then(|raw| config(raw)) {
        Some(config) => in_dollars(&config),
        None => Ok(()),
    });
    Ok(models.map(|(id, raw)| entry(id, raw, provider, &usual)).collect())
}

fn config(raw: &RawValue) -> Option<Object<'_>> {
    object(object(raw)?.get("pricing_config")?)
}

/// `usual` is whether the file's amounts are dollars, which holds where an entry names no currency itself.
fn entry(id: &str, raw: &RawValue, provider: &str, usual: &Result<(), Reason>) -> Entry {
    let mut notes = Vec::new();
    let verdict = match rows(raw, usual, &mut notes) {
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

fn rows(raw: &RawValue, usual: &Result<(), Reason>, notes: &mut Vec<String>) -> Result<Vec<Row>, Reason> {
    let model = needed_object("the entry", Some(&raw))?;
    let config = needed_object("pricing_config", model.get("pricing_config"))?;
    let Some(raw) = config.get("pay_as_you_go") else { return Err(Reason::NoPrice) };
    let prices = needed_object("pay_as_you_go", Some(raw))?;
    let places = [&model, &config, &prices];
    places.iter().try_for_each(|place| in_dollars(place))?;
    if !places.iter().any(|place| place.contains_key("currency")) {
        usual.clone()?;
    }
    if config.contains_key("batch_config") {
        notes.push("batch_config is left out: nothing is ordered in batches here".to_owned());
    }
    let mut reading = Reading { rows: Vec::new(), zeros: 0, notes };
    let mut says_image = false;
    for (field, raw) in &prices {
        match field.as_str() {
            "currency" => {}
            "image" => reading.pictures(raw)?,
            "additional_units" => says_image |= reading.units(raw)?,
            "request_token" if prices.contains_key("request_text_token") => {
                reading
                    .notes
                    .push("request_token is left out: request_text_token is that of a prompt".to_owned());
            }
            _ => match (meter_of(field), unneeded(field)) {
                (Some(meter), _) => reading.push(meter, raw, Key::default(), field, 1)?,
                (None, Some(why)) => reading.notes.push(format!("{field} is left out: {why}")),
                (None, None) => return Err(Reason::UnknownField(field.clone())),
            },
        }
    }
    says_image |= prices.keys().any(|field| field.contains("image"));
    if reading.rows.iter().any(|row| row.of_picture() || row.meter == Meter::ImageOutputTokens) {
        let by_tokens = reading.rows.iter().any(|row| row.meter == Meter::ImageOutputTokens);
        for row in reading.rows.iter_mut().filter(|row| row.meter == Meter::Images) {
            row.typical = by_tokens;
        }
        return Ok(reading.rows);
    }
    match (says_image, reading.zeros) {
        (true, 1..) => Err(Reason::OnlyZero),
        (true, 0) => Err(Reason::NoPrice),
        (false, _) => Err(Reason::NoPictures),
    }
}

fn meter_of(field: &str) -> Option<Meter> {
    Some(match field {
        "request_token" | "request_text_token" => Meter::TextInputTokens,
        "response_token" | "response_text_token" => Meter::TextOutputTokens,
        "request_image_token" => Meter::ImageInputTokens,
        "response_image_token" => Meter::ImageOutputTokens,
        "cache_read_input_token" | "cached_text_input_token" | "cache_read_text_input_token" => {
            Meter::TextInputCachedTokens
        }
        "cached_image_input_token" | "cache_read_image_input_token" => Meter::ImageInputCachedTokens,
        _ => return None,
    })
}

/// Why a picture does not cost what a known field is the price of.
fn unneeded(field: &str) -> Option<&'static str> {
    match field {
        "search" | "file_search" | "code_interpreter" => Some("a tool that no picture needs"),
        "default_steps" => Some("no price: the others hold at that many"),
        _ if field.contains("audio") => Some("no sound is sent or made"),
        _ if field.contains("video") => Some("no film is made"),
        _ if field.starts_with("cache_write") => Some("nothing is put into the cache"),
        _ => None,
    }
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
        let mut qualities: Vec<_> = needed_object("image", Some(&raw))?.into_iter().collect();
        qualities.sort_by_key(|(quality, _)| quality == "default");
        for (quality, raw) in qualities {
            let of_quality = format!("image {quality}");
            let mut sizes: Vec<_> = needed_object(&of_quality, Some(&raw))?.into_iter().collect();
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

    /// Whether anything in it is the price of a picture, be it nothing.
    fn units(&mut self, raw: &RawValue) -> Result<bool, Reason> {
        let mut says_image = false;
        for (unit, raw) in needed_object("additional_units", Some(&raw))? {
            let resolution = unit.strip_prefix("image_").filter(|word| is_resolution(word));
            let (meter, units) = match unit.as_str() {
                "image_token" => (Meter::ImageOutputTokens, 1),
                "megapixels" => (Meter::OutputPixels, 1_000_000),
                "input_image" => (Meter::InputImages, 1),
                "web_search" => (Meter::ToolCalls, 1),
                "thinking_token" => (Meter::ThinkingTokens, 1),
                "image" => (Meter::Images, 1),
                _ if resolution.is_some() => (Meter::Images, 1),
                _ => match unneeded(&unit) {
                    Some(why) => {
                        self.notes.push(format!("{unit} is left out: {why}"));
                        continue;
                    }
                    None => return Err(Reason::UnknownField(unit)),
                },
            };
            says_image |= matches!(meter, Meter::Images | Meter::OutputPixels | Meter::ImageOutputTokens);
            let key = Key { resolution: resolution.map(str::to_uppercase), ..Key::default() };
            self.push(meter, raw, key, &unit, units)?;
        }
        Ok(says_image)
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
        let malformed = || Reason::Malformed(format!("{field} is {}, not {{\"price\": CENTS}}", shown(raw)));
        let price = object(raw).ok_or_else(malformed)?;
        in_dollars(&price)?;
        let raw = *price.get("price").ok_or_else(malformed)?;
        let cents = amount(field, raw)?;
        if cents.mantissa() == 0 {
            self.zeros += 1;
            return Ok(());
        }
        let too_fine = || Reason::TooFine { field: field.to_owned(), text: shown(raw) };
        let dollars = product(cents, Decimal::new(1, 2)).ok_or_else(too_fine)?;
        let price = if meter.is_tokens() { per_million(dollars) } else { exact_price(dollars, units) };
        self.rows.push(Row::new(meter, price.ok_or_else(too_fine)?, key, field));
        Ok(())
    }
}

fn is_resolution(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
}
