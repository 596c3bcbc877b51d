//! Small pieces of JSON: a vendor's own options, and figures read from their digits.
//!
//! This module owns the rule that options may add to a call and never replace what we set (the price
//! depends on it), and the rule that a number that becomes money or a count is never a float. See
//! [`Figure`] for the second.

use gallerist_domain::money::divide_half_up;
use gallerist_domain::{Decimal, Fault, FaultKind};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::fmt;
use std::marker::PhantomData;

/// A number as it was written: its digits, or whatever else stood there. A field of this type never makes
/// an answer unreadable; it does not work inside `flatten` or untagged enums.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(transparent)]
pub struct Figure<'a>(#[serde(borrow)] &'a RawValue);

impl Figure<'_> {
    /// The number, from a JSON number or from a string that holds one.
    pub fn decimal(&self) -> Option<Decimal> {
        let text = self.0.get();
        let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
        digits.parse().ok()
    }

    /// The number if it is whole and not negative (`12`, `12.0`, `"12"`).
    pub fn count(&self) -> Option<i64> {
        self.units(0)
    }

    /// The number in units of `10^-digits` if it is a whole number of them and not negative.
    pub fn units(&self, digits: u32) -> Option<i64> {
        let units = self.decimal()?.to_units_exact(digits)?;
        i64::try_from(units).ok().filter(|units| *units >= 0)
    }

    /// The number as a seed.
    pub fn seed(&self) -> Option<u64> {
        u64::try_from(self.decimal()?.to_units_exact(0)?).ok()
    }
}

/// A figure in millionths, rounded half up where it is finer; nothing below zero or beyond the range.
pub fn millionths(figure: Decimal) -> Option<i64> {
    let millionths = match figure.to_units_exact(6) {
        Some(millionths) => millionths,
        None => divide_half_up(figure.mantissa(), 10i128.checked_pow(figure.scale().checked_sub(6)?)?)?,
    };
    i64::try_from(millionths).ok().filter(|millionths| *millionths >= 0)
}

/// Most items that a list in an answer may have.
pub const ITEMS_MAX: usize = 256;

/// A list of at most [`ITEMS_MAX`] items; `null` reads as empty. Keeps a hostile answer of a few megabytes
/// from becoming some hundred megabytes of structs.
#[derive(Clone, Debug)]
pub struct Few<T>(pub Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Few(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FewVisitor(PhantomData))
    }
}

struct FewVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for FewVisitor<T> {
    type Value = Few<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {ITEMS_MAX} items")
    }

    fn visit_unit<E: Error>(self) -> Result<Few<T>, E> {
        Ok(Few::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Few<T>, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element()? {
            if out.len() == ITEMS_MAX {
                return Err(A::Error::invalid_length(out.len() + 1, &self));
            }
            out.push(item);
        }
        Ok(Few(out))
    }
}

/// `count` of an optional figure, nothing when it is absent or unreadable.
pub fn count(figure: Option<Figure<'_>>) -> Option<i64> {
    figure.as_ref().and_then(Figure::count)
}

/// Thousandths as a JSON number that has exactly these digits (`3500` is `3.5`).
pub fn thousandths(value: u32) -> Value {
    let (whole, part) = (value / 1000, value % 1000);
    if part == 0 {
        return Value::from(whole);
    }
    // Not money: a parameter of a model. Three digits survive the way through serde_json unchanged.
    let text = format!("{whole}.{part:03}");
    serde_json::from_str(&text).expect("digits, a point and digits are a JSON number")
}

/// The vendor's own options as an object; no text means no options.
///
/// # Errors
/// `InvalidRequest` when the text is not a JSON object.
pub fn options(text: &str) -> Result<Map<String, Value>, Fault> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|_| {
        Fault::new(FaultKind::InvalidRequest, "provider_options must be a JSON object")
            .with_parameter(Some("provider_options".to_owned()))
    })
}

/// Adds the vendor's own options to a body. Objects that are on both sides are merged the same way.
///
/// # Errors
/// `InvalidRequest` when an option would replace a field that the body already has.
pub fn merge(body: &mut Map<String, Value>, options: Map<String, Value>) -> Result<(), Fault> {
    for (name, value) in options {
        match (body.get_mut(&name), value) {
            (None, value) => {
                body.insert(name, value);
            }
            (Some(Value::Object(mine)), Value::Object(theirs)) => merge(mine, theirs)?,
            (Some(_), _) => return Err(collision(&name)),
        }
    }
    Ok(())
}

/// [`merge`], after refusing options by names that the request or the offer decides even where the body
/// does not hold them: a default of the provider's must not be replaced either.
///
/// # Errors
/// `InvalidRequest` when an option has such a name or would replace a field.
pub fn merge_unreserved(
    body: &mut Map<String, Value>,
    options: Map<String, Value>,
    reserved: &[&str],
) -> Result<(), Fault> {
    if let Some(name) = reserved.iter().find(|name| options.contains_key(**name)) {
        return Err(collision(name));
    }
    merge(body, options)
}

/// The fault of an option that names what the request itself decides.
pub fn collision(name: &str) -> Fault {
    Fault::new(
        FaultKind::InvalidRequest,
        format!("provider_options must not set {name:?}: it is decided by the request or the offer"),
    )
    .with_parameter(Some(name.to_owned()))
}

#[cfg(test)]
mod tests;
