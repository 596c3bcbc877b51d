//! Small pieces of JSON: a vendor's own options, and figures read from their digits.
//!
//! This module owns the rule that options may add to a call and never replace what we set (the price
//! depends on it), and the rule that a number that becomes money or a count is never a float. See
//! [`Figure`] for the second.

use gallerist_domain::{Decimal, Fault, FaultKind};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

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
