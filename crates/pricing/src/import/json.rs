//! JSON whose numbers keep their digits.
//!
//! Owns the few ways in which lists write an amount: a number, or the same as text. Nothing here is a float.

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

/// How a value is quoted in a remark.
pub(crate) fn shown(raw: &RawValue) -> String {
    raw.get().chars().take(40).collect()
}
