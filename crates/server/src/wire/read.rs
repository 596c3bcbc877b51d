//! Typed values out of raw JSON: each reader names the field, what was expected and what was there.
//!
//! A null reads as absent, without a fault. Integers must be written as integers and decimals are read from
//! their digits; no float exists here.

use super::fault::{Faults, code, shown};
use super::json::{self, Member};
use gallerist_domain::Decimal;
use serde_json::value::RawValue;
use std::borrow::Cow;

pub(crate) fn text<'a>(path: &str, value: &'a RawValue, faults: &mut Faults) -> Option<Cow<'a, str>> {
    if !expect(path, value, Kind::String, "a string", faults) {
        return None;
    }
    match json::string(value.get()) {
        Ok(text) => Some(text),
        Err(_) => {
            faults.add(path, code::VALUE, format!("{path} holds an escape that is no character"));
            None
        }
    }
}

/// Text that people wrote: line breaks are fine, a NUL is not.
pub(crate) fn prose(
    path: &str,
    value: &RawValue,
    characters_max: usize,
    faults: &mut Faults,
) -> Option<String> {
    let text = text(path, value, faults)?;
    if too_long(path, &text, characters_max, faults) {
        return None;
    }
    if text.contains('\0') {
        faults.add(path, code::VALUE, format!("{path} holds a NUL character"));
        return None;
    }
    Some(text.into_owned())
}

/// A name or an id: no control characters.
pub(crate) fn label(
    path: &str,
    value: &RawValue,
    characters_max: usize,
    faults: &mut Faults,
) -> Option<String> {
    let text = text(path, value, faults)?;
    if too_long(path, &text, characters_max, faults) {
        return None;
    }
    if text.chars().any(char::is_control) {
        faults.add(path, code::VALUE, format!("{path} holds a control character: {}", shown(&text)));
        return None;
    }
    Some(text.into_owned())
}

/// An integer from `least` to `most`, both included.
pub(crate) fn integer(
    path: &str,
    value: &RawValue,
    least: u64,
    most: u64,
    faults: &mut Faults,
) -> Option<u64> {
    let expected = format!("an integer from {least} to {most}");
    if !expect(path, value, Kind::Number, &expected, faults) {
        return None;
    }
    let written = value.get();
    let (negative, digits) = match written.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, written),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        faults.add(path, code::TYPE, format!("{path} must be {expected}, not {}", clipped(written)));
        return None;
    }
    // Only too many digits can fail; such a number is too high.
    let number = digits.parse::<u64>().unwrap_or(u64::MAX);
    let too_low = number < least || negative && number > 0;
    let fits_type = digits.parse::<u64>().is_ok();
    if too_low || number > most || !fits_type {
        let code = if too_low { code::TOO_LOW } else { code::TOO_HIGH };
        faults.add(path, code, format!("{path} must be {expected}, not {}", clipped(written)));
        return None;
    }
    Some(number)
}

pub(crate) fn flag(path: &str, value: &RawValue, faults: &mut Faults) -> Option<bool> {
    expect(path, value, Kind::Boolean, "true or false", faults).then(|| value.get() == "true")
}

/// A word of a closed list.
pub(crate) fn word<T>(
    path: &str,
    value: &RawValue,
    from_word: fn(&str) -> Option<T>,
    words: &str,
    faults: &mut Faults,
) -> Option<T> {
    let text = text(path, value, faults)?;
    let found = from_word(&text);
    if found.is_none() {
        faults.add(path, code::VALUE, format!("{path} must be one of {words}, not {}", shown(&text)));
    }
    found
}

/// A number, exactly as it is written.
pub(crate) fn decimal(path: &str, value: &RawValue, expected: &str, faults: &mut Faults) -> Option<Decimal> {
    if !expect(path, value, Kind::Number, expected, faults) {
        return None;
    }
    let number = value.get().parse().ok();
    if number.is_none() {
        faults.add(path, code::VALUE, format!("{path} must be {expected}, not {}", clipped(value.get())));
    }
    number
}

/// The fields of an object, repeated names refused.
pub(crate) fn object<'a>(path: &str, value: &'a RawValue, faults: &mut Faults) -> Option<Vec<Member<'a>>> {
    if !expect(path, value, Kind::Object, "an object", faults) {
        return None;
    }
    match json::members(value.get()) {
        Ok(members) => {
            json::refuse_repeated(&format!("{path}."), &members, faults);
            Some(members)
        }
        Err(error) => {
            faults.add(path, code::VALUE, format!("{path}: {error}"));
            None
        }
    }
}

/// The items of an array of at most `count_max`.
pub(crate) fn array<'a>(
    path: &str,
    value: &'a RawValue,
    count_max: usize,
    faults: &mut Faults,
) -> Option<Vec<&'a RawValue>> {
    if !expect(path, value, Kind::Array, "an array", faults) {
        return None;
    }
    let items = json::items(value.get(), count_max).unwrap_or_default();
    if items.len() > count_max {
        faults.add(path, code::TOO_MANY, format!("{path} must have at most {count_max} items"));
        return None;
    }
    Some(items)
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Kind {
    pub(crate) fn of(value: &RawValue) -> Kind {
        match value.get().as_bytes().first() {
            Some(b'n') | None => Kind::Null,
            Some(b't' | b'f') => Kind::Boolean,
            Some(b'"') => Kind::String,
            Some(b'[') => Kind::Array,
            Some(b'{') => Kind::Object,
            Some(_) => Kind::Number,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Kind::Null => "null",
            Kind::Boolean => "a boolean",
            Kind::Number => "a number",
            Kind::String => "a string",
            Kind::Array => "an array",
            Kind::Object => "an object",
        }
    }
}

/// Whether the value is of this kind; a null is not, silently.
fn expect(path: &str, value: &RawValue, kind: Kind, expected: &str, faults: &mut Faults) -> bool {
    let found = Kind::of(value);
    if found != kind && found != Kind::Null {
        faults.add(path, code::TYPE, format!("{path} must be {expected}, not {}", found.name()));
    }
    found == kind
}

fn too_long(path: &str, text: &str, characters_max: usize, faults: &mut Faults) -> bool {
    // Every character has at least one byte, so most texts need no counting.
    let long = text.len() > characters_max && text.chars().count() > characters_max;
    if long {
        faults.add(path, code::TOO_LONG, format!("{path} must have at most {characters_max} characters"));
    }
    long
}

/// A number for a message; hostile ones have thousands of digits.
fn clipped(number: &str) -> String {
    if number.len() <= 40 { number.to_owned() } else { format!("{}…", &number[..40]) }
}
