//! The `gallerist` object: what OpenAI's parameters cannot say.
//!
//! Its fields are those of the product's surface, section 3. References, controls and LoRAs are checked and
//! counted; no offer takes them yet, so planning leaves out everybody when there are any. What only one
//! vendor knows stays JSON text, by provider kind.

use super::address;
use super::fault::{Faults, code, shown};
use super::ingredients;
use super::json;
use super::read::{self, Kind};
use gallerist_domain::payer::{TAG_VALUE_CHARACTERS_MAX, TAGS_MAX, tag_fault};
use gallerist_domain::{
    Decimal, ImageRequest, Objective, OptionWord, QualityClass, Size, SizeChoice, SizeMatch, Ticks,
    TierChoice,
};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Most entries of `loras`, `controls` and `references`.
pub(super) const PARTS_MAX: usize = 16;
/// Most names in a list of providers, and most provider kinds with options.
const PROVIDERS_MAX: usize = 64;
const NAME_CHARACTERS_MAX: usize = 64;
/// The members of the object.
pub(super) const KNOWN: [&str; 21] = [
    "tags",
    "objective",
    "max_cost_usd",
    "max_latency_ms",
    "providers",
    "tier",
    "region",
    "class",
    "seed",
    "steps",
    "guidance",
    "negative_prompt",
    "loras",
    "controls",
    "references",
    "operation",
    "ingredients",
    "provider_options",
    "size_match",
    "aspect_ratio",
    "resolution",
];
const STEPS_MAX: u64 = 1_000;
const GUIDANCE_MILLI_MAX: i128 = 100_000;
/// A day.
const LATENCY_MS_MAX: u64 = 86_400_000;

/// What of the object decides about the size.
#[derive(Default)]
pub(crate) struct Extension {
    size_match: Option<SizeMatch>,
    ratio: Option<(u32, u32)>,
    resolution: Option<String>,
}

/// Reads the object into the request.
pub(crate) fn read(
    value: &RawValue,
    request: &mut ImageRequest,
    extension: &mut Extension,
    faults: &mut Faults,
) {
    let Some(members) = read::object("gallerist", value, faults) else { return };
    for (name, value) in &members {
        let known = read_choice(name, value, request, faults)
            || read_making(name, value, request, faults)
            || extension.read(name, value, faults);
        if !known {
            faults.unknown("gallerist.", name, &KNOWN);
        }
    }
}

/// Who makes it, for how much.
fn read_choice(name: &str, value: &RawValue, request: &mut ImageRequest, faults: &mut Faults) -> bool {
    match name {
        "objective" => {
            let words = Objective::words();
            request.objective =
                read::word("gallerist.objective", value, Objective::from_word, &words, faults);
        }
        "max_cost_usd" => request.max_cost = max_cost(value, faults),
        "max_latency_ms" => {
            request.max_latency_ms =
                read::integer("gallerist.max_latency_ms", value, 1, LATENCY_MS_MAX, faults);
        }
        "providers" => read_providers(value, request, faults),
        "tier" => {
            let words = TierChoice::words();
            let tier = read::word("gallerist.tier", value, TierChoice::from_word, &words, faults);
            request.tier = tier.unwrap_or(TierChoice::Auto);
        }
        "region" => {
            let text = read::label("gallerist.region", value, NAME_CHARACTERS_MAX, faults);
            request.region = text.filter(|text| !text.is_empty());
        }
        "tags" => request.tags = tags(value, faults),
        "class" => {
            let words = QualityClass::words();
            request.class = read::word("gallerist.class", value, QualityClass::from_word, &words, faults);
        }
        _ => return false,
    }
    true
}

/// How it is made.
fn read_making(name: &str, value: &RawValue, request: &mut ImageRequest, faults: &mut Faults) -> bool {
    match name {
        "seed" => request.seed = read::integer("gallerist.seed", value, 0, u64::MAX, faults),
        "steps" => {
            let steps = read::integer("gallerist.steps", value, 1, STEPS_MAX, faults);
            request.steps = steps.and_then(|steps| u32::try_from(steps).ok());
        }
        "guidance" => request.guidance_milli = guidance(value, faults),
        "negative_prompt" => {
            let path = "gallerist.negative_prompt";
            let text = read::prose(path, value, super::PROMPT_CHARACTERS_MAX, faults);
            request.negative_prompt = text.filter(|text| !text.trim().is_empty());
        }
        "loras" => {
            let loras = count("gallerist.loras", value, faults, lora);
            request.ingredients.loras = request.ingredients.loras.max(loras);
        }
        "controls" => {
            let controls = count("gallerist.controls", value, faults, control);
            request.ingredients.controls = request.ingredients.controls.max(controls);
        }
        "references" => request.references = count("gallerist.references", value, faults, reference),
        "operation" => ingredients::read_operation(value, request, faults),
        "ingredients" => ingredients::read_ingredients(value, request, faults),
        "provider_options" => read_options(value, request, faults),
        _ => return false,
    }
    true
}

/// `{"team": "red"}`: names and plain texts.
fn tags(value: &RawValue, faults: &mut Faults) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let Some(members) = read::object("gallerist.tags", value, faults) else { return tags };
    if members.len() > TAGS_MAX {
        let message = format!("gallerist.tags has {} tags; at most {TAGS_MAX} are allowed", members.len());
        faults.add("gallerist.tags", code::VALUE, message);
        return tags;
    }
    for (name, value) in &members {
        let path = format!("gallerist.tags.{}", shown(name));
        let Some(text) = read::label(&path, value, TAG_VALUE_CHARACTERS_MAX, faults) else { continue };
        match tag_fault(name, &text) {
            Some(fault) => faults.add(&path, code::VALUE, format!("{path}: {fault}")),
            None => {
                tags.insert(name.clone().into_owned(), text);
            }
        }
    }
    tags
}

impl Extension {
    fn read(&mut self, name: &str, value: &RawValue, faults: &mut Faults) -> bool {
        match name {
            "size_match" => {
                let words = SizeMatch::words();
                self.size_match =
                    read::word("gallerist.size_match", value, SizeMatch::from_word, &words, faults);
            }
            "aspect_ratio" => self.ratio = ratio(value, faults),
            "resolution" => {
                let text = read::label("gallerist.resolution", value, NAME_CHARACTERS_MAX, faults);
                self.resolution = text.filter(|text| !text.is_empty());
            }
            _ => return false,
        }
        true
    }

    /// The size that all fields together ask for. An aspect ratio alone implies `size_match: "aspect"`.
    pub(crate) fn size_choice(self, size: Option<Size>, faults: &mut Faults) -> SizeChoice {
        let matching = self.size_match.unwrap_or(match (self.ratio, size) {
            (Some(_), None) => SizeMatch::Aspect,
            _ => SizeMatch::Exact,
        });
        if matching == SizeMatch::Exact {
            for (name, given) in
                [("aspect_ratio", self.ratio.is_some()), ("resolution", self.resolution.is_some())]
            {
                if given {
                    let message = format!("gallerist.{name} needs gallerist.size_match \"aspect\"");
                    faults.add(&format!("gallerist.{name}"), code::VALUE, message);
                }
            }
            return super::plain_size(size);
        }
        let ratio = match (self.ratio, size) {
            (Some(_), Some(_)) => {
                let message = "gallerist.aspect_ratio and size say the same thing: leave out one of them";
                faults.add("gallerist.aspect_ratio", code::VALUE, message);
                return SizeChoice::Auto;
            }
            (Some(ratio), None) => ratio,
            (None, Some(size)) => reduced(size.width, size.height),
            (None, None) => {
                let message = "gallerist.size_match \"aspect\" needs gallerist.aspect_ratio or a size";
                faults.add("gallerist.size_match", code::VALUE, message);
                return SizeChoice::Auto;
            }
        };
        SizeChoice::Aspect { ratio, resolution: self.resolution }
    }
}

/// A string or a number; what is finer than a tick is cut off, which only makes the limit stricter.
fn max_cost(value: &RawValue, faults: &mut Faults) -> Option<Ticks> {
    const PATH: &str = "gallerist.max_cost_usd";
    const EXPECTED: &str = "an amount of dollars above 0, such as \"0.05\"";
    let amount: Option<Decimal> = match Kind::of(value) {
        Kind::Null => return None,
        Kind::String => read::text(PATH, value, faults)?.parse().ok(),
        Kind::Number => value.get().parse().ok(),
        _ => {
            faults.add(PATH, code::TYPE, format!("{PATH} must be {EXPECTED}, as a string or a number"));
            return None;
        }
    };
    let ticks = amount.and_then(floor_ticks).filter(|ticks| *ticks > Ticks::ZERO);
    if ticks.is_none() {
        faults.add(PATH, code::VALUE, format!("{PATH} must be {EXPECTED}"));
    }
    ticks
}

fn floor_ticks(amount: Decimal) -> Option<Ticks> {
    let extra = amount.scale().saturating_sub(10);
    let cut = Decimal::new(amount.mantissa() / 10i128.checked_pow(extra)?, amount.scale() - extra);
    cut.to_ticks_exact().ok()
}

fn guidance(value: &RawValue, faults: &mut Faults) -> Option<u32> {
    const PATH: &str = "gallerist.guidance";
    const EXPECTED: &str = "a number from 0 to 100 with at most three digits after the point";
    let number = read::decimal(PATH, value, EXPECTED, faults)?;
    let milli = number.to_units_exact(3).filter(|milli| (0..=GUIDANCE_MILLI_MAX).contains(milli));
    if milli.is_none() {
        faults.add(PATH, code::VALUE, format!("{PATH} must be {EXPECTED}"));
    }
    milli.and_then(|milli| u32::try_from(milli).ok())
}

fn ratio(value: &RawValue, faults: &mut Faults) -> Option<(u32, u32)> {
    const PATH: &str = "gallerist.aspect_ratio";
    let text = read::text(PATH, value, faults)?;
    let side = |part: &str| {
        let plain = (1..=5).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u32>().ok().filter(|side| plain && (1..=65_535).contains(side))
    };
    let sides = text.split_once(':').and_then(|(width, height)| Some((side(width)?, side(height)?)));
    if sides.is_none() {
        let message = format!("{PATH} must be WIDTH:HEIGHT, such as 16:9, not {}", shown(&text));
        faults.add(PATH, code::VALUE, message);
    }
    sides.map(|(width, height)| reduced(width, height))
}

fn reduced(width: u32, height: u32) -> (u32, u32) {
    let (mut a, mut b) = (width, height);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let divisor = a.max(1);
    (width / divisor, height / divisor)
}

fn read_providers(value: &RawValue, request: &mut ImageRequest, faults: &mut Faults) {
    let Some(members) = read::object("gallerist.providers", value, faults) else { return };
    for (name, value) in &members {
        match &**name {
            "only" => request.providers_only = names("gallerist.providers.only", value, faults),
            "exclude" => request.providers_exclude = names("gallerist.providers.exclude", value, faults),
            _ => faults.unknown("gallerist.providers.", name, &["only", "exclude"]),
        }
    }
}

fn names(path: &str, value: &RawValue, faults: &mut Faults) -> Vec<String> {
    let items = read::array(path, value, PROVIDERS_MAX, faults).unwrap_or_default();
    let mut names = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let path = format!("{path}[{at}]");
        match read::label(&path, item, NAME_CHARACTERS_MAX, faults) {
            Some(name) if !name.is_empty() => names.push(name),
            Some(_) => faults.add(&path, code::VALUE, format!("{path} is empty: name a provider")),
            None if Kind::of(item) == Kind::Null => {
                faults.add(&path, code::TYPE, format!("{path} must be a string, not null"));
            }
            None => {}
        }
    }
    names
}

/// Checks every item of an array and counts them.
fn count(
    path: &str,
    value: &RawValue,
    faults: &mut Faults,
    check: fn(path: &str, item: &RawValue, faults: &mut Faults),
) -> u32 {
    let items = read::array(path, value, PARTS_MAX, faults).unwrap_or_default();
    for (at, item) in items.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if Kind::of(item) == Kind::Null {
            faults.add(&path, code::TYPE, format!("{path} must not be null"));
        } else {
            check(&path, item, faults);
        }
    }
    u32::try_from(items.len()).expect("an array is bounded to a few items")
}

fn reference(path: &str, item: &RawValue, faults: &mut Faults) {
    let Some(text) = read::text(path, item, faults) else { return };
    if let Err(why) = address::check(&text) {
        faults.add(path, code::VALUE, format!("{path} {why}"));
    }
}

fn lora(path: &str, item: &RawValue, faults: &mut Faults) {
    let Some(members) = read::object(path, item, faults) else { return };
    require(path, &members, "id", faults);
    for (name, value) in &members {
        let inside = format!("{path}.{name}");
        match &**name {
            "id" => {
                let Some(id) = read::label(&inside, value, 512, faults) else { continue };
                if id.is_empty() {
                    faults.add(&inside, code::VALUE, format!("{inside} is empty"));
                } else if id.contains("://")
                    && let Err(why) = address::check(&id)
                {
                    faults.add(&inside, code::VALUE, format!("{inside} {why}"));
                }
            }
            "weight" => weight(&inside, value, faults),
            _ => faults.unknown(&format!("{path}."), name, &["id", "weight"]),
        }
    }
}

fn control(path: &str, item: &RawValue, faults: &mut Faults) {
    let Some(members) = read::object(path, item, faults) else { return };
    require(path, &members, "kind", faults);
    require(path, &members, "image", faults);
    for (name, value) in &members {
        let inside = format!("{path}.{name}");
        match &**name {
            "kind" => {
                let kind = read::label(&inside, value, NAME_CHARACTERS_MAX, faults);
                if kind.is_some_and(|kind| kind.is_empty()) {
                    faults.add(&inside, code::VALUE, format!("{inside} is empty: name one such as depth"));
                }
            }
            "image" => reference(&inside, value, faults),
            "weight" => weight(&inside, value, faults),
            _ => faults.unknown(&format!("{path}."), name, &["kind", "image", "weight"]),
        }
    }
}

fn require(path: &str, members: &[json::Member<'_>], name: &str, faults: &mut Faults) {
    if !members.iter().any(|(given, value)| given == name && Kind::of(value) != Kind::Null) {
        faults.add(&format!("{path}.{name}"), code::MISSING, format!("{path}.{name} is missing"));
    }
}

fn weight(path: &str, value: &RawValue, faults: &mut Faults) {
    const EXPECTED: &str = "a number from -10 to 10";
    let Some(number) = read::decimal(path, value, EXPECTED, faults) else { return };
    let limit = 10i128.pow(number.scale()).saturating_mul(10);
    if number.mantissa().abs() > limit {
        faults.add(path, code::VALUE, format!("{path} must be {EXPECTED}"));
    }
}

/// A plain value as prices compare it: text without its quotes, numbers and truth values as written.
fn option_value(value: &RawValue) -> String {
    match serde_json::from_str::<serde_json::Value>(value.get()) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => value.get().to_owned(),
        _ => String::new(),
    }
}

fn read_options(value: &RawValue, request: &mut ImageRequest, faults: &mut Faults) {
    const PATH: &str = "gallerist.provider_options";
    let Some(kinds) = read::object(PATH, value, faults) else { return };
    for (kind, options) in &kinds {
        let path = format!("{PATH}.{kind}");
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
        };
        if !(1..=NAME_CHARACTERS_MAX).contains(&kind.len()) || !kind.bytes().all(plain) {
            let message =
                format!("{PATH} has the key {}, which is no provider kind such as bfl", shown(kind));
            faults.add(&path, code::UNKNOWN, message);
            continue;
        }
        let Some(members) = read::object(&path, options, faults) else { continue };
        for (name, value) in &members {
            json::refuse_repeated_inside(&format!("{path}.{}", json::shortened(name)), value, faults);
        }
        let words = members
            .into_iter()
            .map(|(name, value)| OptionWord { name: name.into_owned(), value: option_value(value) })
            .collect();
        request.provider_options.insert(kind.clone().into_owned(), options.get().to_owned());
        request.provider_option_words.insert(kind.clone().into_owned(), words);
    }
}
