//! JSON whose numbers keep their digits.
//!
//! Owns the few ways in which lists write an amount: a number, or the same as text. Nothing here is a float.

use super::Reason;
use gallerist_domain::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// An object whose values are not looked at yet; sorted by name, so that reports are stable.
pub(crate) type Object<'a> = BTreeMap<String, &'a RawValue>;

pub(crate) fn object(raw: &RawValue) -> Option<Object<'_>> {
    serde_json::from_str(raw.get()).ok()
}

pub(crate) fn list(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

pub(crate) fn typed<'a, T: Deserialize<'a>>(object: &Object<'a>, name: &str) -> Option<T> {
    serde_json::from_str(object.get(name)?.get()).ok()
}

pub(crate) fn text(object: &Object<'_>, name: &str) -> Option<String> {
    typed(object, name)
}

/// A number, or a text that is one.
pub(crate) fn decimal(raw: &RawValue) -> Option<Decimal> {
    let text = raw.get().trim();
    if text.starts_with('"') {
        return serde_json::from_str::<String>(text).ok()?.trim().parse().ok();
    }
    text.parse().ok()
}

/// A text that every entry has.
pub(crate) fn needed(object: &Object<'_>, name: &str) -> Result<String, Reason> {
    let Some(raw) = object.get(name) else { return Err(Reason::Malformed(format!("{name} is missing"))) };
    match text(object, name) {
        Some(text) if text.trim().is_empty() => Err(Reason::Malformed(format!("{name} is empty"))),
        Some(text) => Ok(text),
        None => Err(Reason::Malformed(format!("{name} is {}, not a text", shown(raw)))),
    }
}

/// An object that every entry has, or is.
pub(crate) fn needed_object<'a>(what: &str, raw: Option<&&'a RawValue>) -> Result<Object<'a>, Reason> {
    let raw = *raw.ok_or_else(|| Reason::Malformed(format!("{what} is missing")))?;
    object(raw).ok_or_else(|| Reason::Malformed(format!("{what} is {}, not an object", shown(raw))))
}

/// An amount that is not negative, or what the field has instead.
pub(crate) fn amount(field: &str, raw: &RawValue) -> Result<Decimal, Reason> {
    let (field, text) = (field.to_owned(), shown(raw));
    let written = raw.get().trim().trim_matches('"').trim();
    let of_number = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let is_number = written.bytes().all(of_number) && written.bytes().any(|byte| byte.is_ascii_digit());
    match decimal(raw) {
        Some(amount) if amount.mantissa() < 0 => Err(Reason::Negative { field, text }),
        Some(amount) => Ok(amount),
        None if is_number => Err(Reason::TooFine { field, text }),
        None => Err(Reason::NotANumber { field, text }),
    }
}

/// Dollars, as all lists are read; where `object` says another currency, that.
pub(crate) fn in_dollars(object: &Object<'_>) -> Result<(), Reason> {
    let Some(raw) = object.get("currency") else { return Ok(()) };
    let currency = text(object, "currency").unwrap_or_else(|| shown(raw));
    if currency.eq_ignore_ascii_case("USD") { Ok(()) } else { Err(Reason::Currency(currency)) }
}

/// What sort of value it is.
pub(crate) fn kind(raw: &RawValue) -> &'static str {
    match raw.get().trim_start().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "a text",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// How a value is quoted in a remark.
pub(crate) fn shown(raw: &RawValue) -> String {
    // On one line, however the list is set.
    raw.get().split_whitespace().collect::<Vec<_>>().join(" ").chars().take(40).collect()
}
