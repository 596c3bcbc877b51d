//! LiteLLM's price file: `model_prices_and_context_window.json`.
//!
//! An id may say quality, size and steps before the model (`high/1024-x-1024/gpt-image-1.5`). Which of several
//! figures counts follows the proxy's own calculator, because one field has two meanings there:
//! `input_cost_per_image` is the price of the picture that is made wherever no other field prices one.

use super::json::{Object, amount, in_dollars, needed, needed_object, object, text, typed};
use super::{BINARY_MEGAPIXEL, Entry, Key, Reason, Row, Verdict, exact_price, kind_of, per_million, product};
use gallerist_domain::{Decimal, Meter};
use jiff::civil::Date;
use serde_json::value::RawValue;

pub(super) fn read(list: &str, today: Date) -> Result<Vec<Entry>, String> {
    let list = super::form::top(list, r#"an object of models by their names, {"MODEL": {…}}"#)?;
    // The file begins with an explanation of itself.
    let entries = list.iter().filter(|(id, _)| *id != "sample_spec");
    Ok(entries.map(|(id, raw)| entry(id, raw, today)).collect())
}

fn entry(id: &str, raw: &RawValue, today: Date) -> Entry {
    let fields = object(raw).unwrap_or_default();
    let provider = text(&fields, "litellm_provider").unwrap_or_default();
    let endpoints: Vec<String> = typed(&fields, "supported_endpoints").unwrap_or_default();
    let name = Name::of(id, &provider);
    let mut entry = Entry {
        id: id.to_owned(),
        kind: kind_of(&provider),
        provider,
        model: name.model.clone(),
        retires_on: text(&fields, "deprecation_date").and_then(|day| day.parse().ok()),
        page: text(&fields, "source").filter(|page| page.starts_with("http")),
        edits_only: endpoints.len() == 1 && endpoints[0].ends_with("/edits"),
        verdict: Verdict::Unpriced(Reason::NoPrice),
        notes: Vec::new(),
    };
    let rows =
        needed_object("the entry", Some(&raw)).and_then(|fields| rows(&fields, name, &mut entry, today));
    entry.verdict = match rows {
        Ok(rows) => Verdict::Priced(rows),
        Err(reason) => Verdict::Unpriced(reason),
    };
    entry
}

/// An id taken apart.
struct Name {
    key: Key,
    model: String,
    /// A part that stands where a figure should and is none, such as `max-steps`.
    opaque: Option<String>,
}

impl Name {
    fn of(id: &str, provider: &str) -> Name {
        let mut name = Name { key: Key::default(), model: String::new(), opaque: None };
        let mut parts: Vec<&str> = id.split('/').collect();
        while parts.len() > 1 && name.takes(parts[0], provider) {
            parts.remove(0);
        }
        name.model = parts.join("/");
        name
    }

    fn takes(&mut self, part: &str, provider: &str) -> bool {
        if part == provider || provider.strip_suffix("-language-models").is_some_and(|short| short == part) {
            return true;
        }
        if matches!(part, "low" | "medium" | "high" | "xhigh" | "max" | "standard" | "hd" | "auto") {
            self.key.quality = Some(part.to_owned());
        } else if let Some((width, height)) = part.split_once("-x-") {
            match format!("{width}x{height}").parse() {
                Ok(size) => self.key.size = Some(size),
                Err(_) => self.opaque = Some(part.to_owned()),
            }
        } else if let Some(steps) = part.strip_suffix("-steps") {
            match steps.parse() {
                Ok(steps) => self.key.steps_max = Some(steps),
                Err(_) => self.opaque = Some(part.to_owned()),
            }
        } else {
            return false;
        }
        true
    }
}

/// The figures of an entry by what they are prices of.
#[derive(Default)]
struct Figures {
    images: Vec<(Decimal, Key, String)>,
    input_image: Option<(Decimal, String)>,
    pixels: Option<(Decimal, String)>,
    others: Vec<(Meter, Decimal, Key, String)>,
    zeros: usize,
}

fn rows(fields: &Object<'_>, name: Name, entry: &mut Entry, today: Date) -> Result<Vec<Row>, Reason> {
    if !fields.contains_key("mode") && !fields.contains_key("litellm_provider") {
        return Err(Reason::Malformed("litellm_provider and mode are missing".to_owned()));
    }
    let mode = needed(fields, "mode")?;
    if mode != "image_generation" && mode != "image_edit" {
        return Err(Reason::NoPictures);
    }
    needed(fields, "litellm_provider")?;
    in_dollars(fields)?;
    if let Some(day) = entry.retires_on.filter(|day| *day <= today) {
        return Err(Reason::Retired(day));
    }
    if let Some(part) = name.opaque {
        return Err(Reason::OpaqueKey(part));
    }
    let figures = figures(fields, &name.key, &mut entry.notes)?;
    let nothing = figures.images.is_empty() && figures.input_image.is_none() && figures.pixels.is_none();
    if nothing && figures.others.is_empty() {
        return Err(if figures.zeros > 0 { Reason::OnlyZero } else { Reason::NoPrice });
    }
    if nothing && !figures.others.iter().any(|(meter, ..)| *meter == Meter::ImageOutputTokens) {
        return Err(Reason::TokenPlaceholder);
    }
    figures.rows(&name.key, &entry.provider, &mut entry.notes)
}

fn figures(fields: &Object<'_>, key: &Key, notes: &mut Vec<String>) -> Result<Figures, Reason> {
    let mut figures = Figures::default();
    for (field, raw) in fields.iter().filter(|(field, _)| is_price(field)) {
        let meaning = Meaning::of(field).ok_or_else(|| Reason::UnknownField(field.clone()))?;
        let (raw, meaning) = match meaning {
            Meaning::LeftOut(why) => {
                notes.push(format!("{field} is left out: {why}"));
                continue;
            }
            Meaning::Search => match search(raw) {
                Some(raw) => (raw, Meaning::Metered(Meter::ToolCalls, None)),
                None => {
                    notes.push(format!("{field} is left out: it depends on how much is searched"));
                    continue;
                }
            },
            meaning => ((*raw).to_owned(), meaning),
        };
        let figure = amount(field, &raw)?;
        if figure.mantissa() == 0 {
            figures.zeros += 1;
            continue;
        }
        match meaning {
            Meaning::Image(resolution, tier) => {
                figures.images.push((figure, Key { resolution, tier, ..key.clone() }, field.clone()));
            }
            Meaning::InputImage => figures.input_image = Some((figure, field.clone())),
            Meaning::Pixels => figures.pixels = Some((figure, field.clone())),
            Meaning::Metered(meter, tier) => {
                figures.others.push((meter, figure, Key { tier, ..key.clone() }, field.clone()));
            }
            Meaning::LeftOut(_) | Meaning::Search => {}
        }
    }
    Ok(figures)
}

impl Figures {
    fn rows(self, key: &Key, provider: &str, notes: &mut Vec<String>) -> Result<Vec<Row>, Reason> {
        let by_tokens = self.others.iter().any(|(meter, ..)| *meter == Meter::ImageOutputTokens);
        let mut rows = Vec::new();
        let mut images = self.images;
        let mut pixels = self.pixels;
        match self.input_image {
            Some((figure, field)) if images.is_empty() && !by_tokens => {
                if let Some((_, field)) = pixels.take() {
                    notes.push(format!("{field} is left out: the same price, rounded, per pixel"));
                }
                images.push((figure, key.clone(), field));
            }
            Some((_, field)) if by_tokens => {
                notes.push(format!("{field} is left out: what goes in is counted by its tokens"));
            }
            Some((figure, field)) if images.iter().any(|(image, ..)| *image == figure) => {
                notes.push(format!("{field} is left out: the price of the picture, written twice"));
            }
            Some((figure, field)) => {
                rows.push(row(Meter::InputImages, exact_price(figure, 1), key.clone(), &field)?);
            }
            None => {}
        }
        if let Some((figure, field)) = pixels {
            if let Some((_, _, flat)) = images.pop() {
                notes.push(format!("{flat} is left out: it stands in where the size is not known"));
            }
            rows.push(per_pixel(figure, key, provider, &field)?);
        }
        // Sorted so that the plain figure, which holds for every other resolution, comes last.
        images.sort_by_key(|(_, key, _)| (key.tier.is_none(), key.resolution.is_none()));
        for (figure, key, field) in images {
            let row = row(Meter::Images, exact_price(figure, 1), key, &field)?;
            rows.push(Row { typical: by_tokens, ..row });
        }
        for (meter, figure, key, field) in self.others {
            let price = if meter.is_tokens() { per_million(figure) } else { exact_price(figure, 1) };
            rows.push(row(meter, price, key, &field)?);
        }
        Ok(rows)
    }
}

/// fal bills whole megapixels of 2^20 pixels for each picture; everybody else the pixels themselves.
fn per_pixel(figure: Decimal, key: &Key, provider: &str, field: &str) -> Result<Row, Reason> {
    if provider != "fal_ai" {
        return row(Meter::OutputPixels, exact_price(figure, 1), key.clone(), field);
    }
    let megapixel = product(figure, Decimal::new(i128::from(BINARY_MEGAPIXEL), 0));
    let price = megapixel.and_then(|figure| exact_price(figure, BINARY_MEGAPIXEL));
    let row = row(Meter::OutputPixels, price, key.clone(), field)?;
    Ok(Row { round_up: BINARY_MEGAPIXEL, ..row })
}

fn row(meter: Meter, price: Option<gallerist_domain::Price>, key: Key, field: &str) -> Result<Row, Reason> {
    let too_fine =
        || Reason::TooFine { field: field.to_owned(), text: "finer or larger than we count".to_owned() };
    Ok(Row::new(meter, price.ok_or_else(too_fine)?, key, field))
}

/// Whether a field says anything of money, as far as its name tells.
fn is_price(field: &str) -> bool {
    let words = ["cost", "price", "fee", "charge"];
    field.split('_').any(|word| words.iter().any(|of_money| word.starts_with(of_money)))
        || matches!(field, "regional_endpoint_uplift_multiplier" | "search_free_requests")
}

/// What a field is the price of.
enum Meaning {
    /// A picture that is made, at a resolution and a tier.
    Image(Option<String>, Option<String>),
    InputImage,
    Pixels,
    Metered(Meter, Option<String>),
    Search,
    LeftOut(&'static str),
}

impl Meaning {
    fn of(field: &str) -> Option<Meaning> {
        let (field, tier) = match field.rsplit_once('_') {
            Some((rest, "batches")) => (rest, Some("batch".to_owned())),
            Some((rest, tier @ ("flex" | "priority"))) => (rest, Some(tier.to_owned())),
            _ => (field, None),
        };
        if field.ends_with("_above_200k_tokens") {
            return Some(Meaning::LeftOut("prompts that long are not sent"));
        }
        let metered = |meter| Meaning::Metered(meter, tier.clone());
        Some(match field {
            "output_cost_per_image" => Meaning::Image(None, tier),
            "input_cost_per_image" => Meaning::InputImage,
            "input_cost_per_pixel" | "output_cost_per_pixel" => Meaning::Pixels,
            "input_cost_per_request" => metered(Meter::Calls),
            "output_cost_per_second" => metered(Meter::GpuSeconds),
            "input_cost_per_token" => metered(Meter::TextInputTokens),
            "output_cost_per_token" => metered(Meter::TextOutputTokens),
            "output_cost_per_reasoning_token" => metered(Meter::ThinkingTokens),
            "input_cost_per_image_token" => metered(Meter::ImageInputTokens),
            "output_cost_per_image_token" => metered(Meter::ImageOutputTokens),
            "cache_read_input_token_cost" => metered(Meter::TextInputCachedTokens),
            "cache_read_input_image_token_cost" => metered(Meter::ImageInputCachedTokens),
            "search_context_cost_per_query" => Meaning::Search,
            "search_free_requests" => Meaning::LeftOut("how much of the free pool is left is not known"),
            "regional_endpoint_uplift_multiplier" => {
                Meaning::LeftOut("regional endpoints cost that much more")
            }
            "input_cost_per_audio_token" => Meaning::LeftOut("no sound is sent"),
            "cache_creation_input_token_cost" => Meaning::LeftOut("nothing is put into the cache"),
            "input_dbu_cost_per_token" | "output_dbu_cost_per_token" => {
                Meaning::LeftOut("the same price in Databricks units")
            }
            _ => {
                let resolution = field.strip_prefix("output_cost_per_image_")?;
                let named = resolution.starts_with(|first: char| first.is_ascii_digit());
                return named.then(|| Meaning::Image(Some(resolution.to_owned()), tier));
            }
        })
    }
}

/// The price of a search where it does not depend on how much is searched.
fn search(raw: &RawValue) -> Option<Box<RawValue>> {
    let by_amount = object(raw)?;
    let mut prices = by_amount.values();
    let first = *prices.next()?;
    prices.all(|other| other.get() == first.get()).then(|| first.to_owned())
}
