//! The fault script of one stand-in: what goes wrong, when and how often.
//!
//! Owns the entries set by `PUT /_fake/faults` and the decision which of them meet a request. An entry that
//! names an `operation` meets that operation alone; one that does not meets the requests that make pictures.
//! The first matching exclusive entry wins; `latency`, `price_changed` and the names that a protocol declares
//! as manners combine with everything. Refuses to know how a fault looks on the wire: see `wire.rs` for the
//! common ones and each protocol for its own.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::seeds::Seeds;

/// What can go wrong. Whether the provider bills it is part of its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers `ms` later; nothing else changes.
    Latency,
    /// HTTP 429, `retry_after_s` if given; not billed.
    TooManyRequests,
    /// HTTP 500; not billed.
    Internal,
    /// HTTP 502 with a page of a proxy; not billed.
    BadGateway,
    /// The connection is reset; no picture was made, nothing billed.
    ResetBefore,
    /// The picture is made and billed, then the connection is reset.
    ResetAfter,
    /// Billed; the body stops in the middle of its declared length.
    Truncated,
    /// Billed; the body is not what the protocol says.
    Malformed,
    /// Billed; the picture has another size than was asked (`width`, `height` if given).
    WrongSize,
    /// Billed; the picture has one colour.
    Blank,
    /// Refused by the provider's safety system, in its own words.
    Moderation,
    /// No answer for `ms`, default an hour. Billed: a server that was only slow did the work.
    Hang,
    /// Charges are multiplied by `numerator / denominator` (default 3/2) without telling anybody.
    PriceChanged,
    /// A fault that only this protocol knows.
    Custom(&'static str),
}

/// The faults that every stand-in knows, under the names of the script.
pub const COMMON: &[(&str, Fault)] = &[
    ("latency", Fault::Latency),
    ("429", Fault::TooManyRequests),
    ("500", Fault::Internal),
    ("502", Fault::BadGateway),
    ("reset_before", Fault::ResetBefore),
    ("reset_after", Fault::ResetAfter),
    ("truncated", Fault::Truncated),
    ("malformed", Fault::Malformed),
    ("wrong_size", Fault::WrongSize),
    ("blank", Fault::Blank),
    ("moderation", Fault::Moderation),
    ("hang", Fault::Hang),
    ("price_changed", Fault::PriceChanged),
];

/// The faults that met one request.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    hits: Vec<(Fault, Map<String, Value>)>,
    exclusive: Option<Fault>,
}

impl Drawn {
    pub fn is(&self, fault: Fault) -> bool {
        self.hits.iter().any(|(hit, _)| *hit == fault)
    }

    /// Whether a fault of the protocol's own was drawn.
    pub fn custom(&self, name: &str) -> bool {
        self.hits.iter().any(|(hit, _)| matches!(hit, Fault::Custom(custom) if *custom == name))
    }

    /// A parameter of a drawn fault, such as `ms` or `retry_after_s`.
    pub fn parameter(&self, fault: Fault, name: &str) -> Option<&Value> {
        self.hits.iter().find(|(hit, _)| *hit == fault)?.1.get(name)
    }

    /// As [`Drawn::parameter`], for whole numbers.
    pub fn number(&self, fault: Fault, name: &str) -> Option<u64> {
        self.parameter(fault, name)?.as_u64()
    }

    /// The exclusive fault, if one was drawn: what a `match` in a handler wants.
    pub fn fault(&self) -> Option<Fault> {
        self.exclusive
    }

    /// Sum of the `ms` of all latencies drawn, 1000 each if not said.
    pub fn latency_ms(&self) -> u64 {
        let latencies = self.hits.iter().filter(|(fault, _)| *fault == Fault::Latency);
        latencies.map(|(_, parameters)| parameters.get("ms").and_then(Value::as_u64).unwrap_or(1000)).sum()
    }
}

/// A script with its counters.
#[derive(Debug)]
pub struct Faults {
    customs: &'static [&'static str],
    manners: &'static [&'static str],
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    fault: Fault,
    name: String,
    operation: Option<String>,
    probability: f64,
    count: Option<u64>,
    after: u64,
    until: Option<Instant>,
    parameters: Map<String, Value>,
    seen: u64,
    hits: u64,
}

impl Faults {
    /// `customs` are the protocol's exclusive faults, `manners` those of its faults that combine.
    pub fn new(customs: &'static [&'static str], manners: &'static [&'static str]) -> Faults {
        Faults { customs, manners, entries: Mutex::default() }
    }

    /// Decides what happens to a request that makes pictures.
    pub fn draw(&self, operation: &str, seeds: &Seeds) -> Drawn {
        self.draw_where(seeds, |entry| {
            entry.fault != Fault::PriceChanged
                && entry.operation.as_deref().is_none_or(|wanted| wanted == operation)
        })
    }

    /// Decides what happens to any other request (a poll, a download): only entries that name it apply.
    pub fn draw_secondary(&self, operation: &str, seeds: &Seeds) -> Drawn {
        self.draw_where(seeds, |entry| {
            entry.fault != Fault::PriceChanged && entry.operation.as_deref() == Some(operation)
        })
    }

    /// The factor by which the prices have changed, as a fraction.
    pub fn price_factor(&self, seeds: &Seeds) -> (i64, i64) {
        let drawn = self.draw_where(seeds, |entry| entry.fault == Fault::PriceChanged);
        if !drawn.is(Fault::PriceChanged) {
            return (1, 1);
        }
        let part = |name, default| {
            let number = drawn.number(Fault::PriceChanged, name).and_then(|part| i64::try_from(part).ok());
            number.unwrap_or(default)
        };
        (part("numerator", 3), part("denominator", 2).max(1))
    }

    fn draw_where(&self, seeds: &Seeds, matches: impl Fn(&Entry) -> bool) -> Drawn {
        let mut drawn = Drawn::default();
        let now = Instant::now();
        for entry in self.lock().iter_mut().filter(|entry| matches(entry)) {
            entry.seen += 1;
            let combines = combines(entry.fault, self.manners);
            let exhausted = entry.count.is_some_and(|count| entry.hits >= count);
            let over = entry.until.is_some_and(|until| now >= until);
            if entry.seen <= entry.after || exhausted || over || (drawn.exclusive.is_some() && !combines) {
                continue;
            }
            if seeds.happens(entry.probability) {
                entry.hits += 1;
                if !combines {
                    drawn.exclusive = Some(entry.fault);
                }
                drawn.hits.push((entry.fault, entry.parameters.clone()));
            }
        }
        drawn
    }

    /// Replaces the script; a mistake leaves the old one and says what is wrong.
    pub fn set(&self, script: &Value) -> Result<(), String> {
        let list = script.as_array().ok_or("the script is a list of {\"fault\": …}")?;
        let entries = list.iter().map(|item| self.entry(item)).collect::<Result<Vec<_>, _>>()?;
        *self.lock() = entries;
        Ok(())
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The names that this stand-in knows.
    pub fn known(&self) -> Vec<&'static str> {
        let common = COMMON.iter().map(|(name, _)| *name);
        common.chain(self.customs.iter().copied()).chain(self.manners.iter().copied()).collect()
    }

    /// Known names and the script in force with its counters, as `GET /_fake/faults` shows them.
    pub fn to_json(&self) -> Value {
        let set: Vec<Value> = self.lock().iter().map(Entry::to_json).collect();
        json!({"known": self.known(), "set": set})
    }

    fn entry(&self, item: &Value) -> Result<Entry, String> {
        let mut parameters =
            item.as_object().cloned().ok_or("an entry of the script is an object with \"fault\"")?;
        let name = match parameters.shift_remove("fault") {
            Some(Value::String(name)) => name,
            Some(Value::Number(status)) => status.to_string(),
            _ => return Err("an entry of the script needs \"fault\"".to_owned()),
        };
        let fault = self.named(&name).ok_or_else(|| {
            format!("unknown fault {name:?}; this stand-in knows {}", self.known().join(", "))
        })?;
        let operation = match parameters.shift_remove("operation") {
            None | Some(Value::Null) => None,
            Some(Value::String(operation)) => Some(operation),
            Some(_) => return Err("operation is a word".to_owned()),
        };
        let probability = match parameters.shift_remove("probability") {
            None => 1.0,
            Some(value) => value
                .as_f64()
                .filter(|share| (0.0..=1.0).contains(share))
                .ok_or("probability is a number from 0 to 1")?,
        };
        let mut whole = |key: &str| match parameters.shift_remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or(format!("{key} is a whole number")),
        };
        let (count, after, for_ms) = (whole("count")?, whole("after")?.unwrap_or(0), whole("for_ms")?);
        let until = for_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        Ok(Entry { fault, name, operation, probability, count, after, until, parameters, seen: 0, hits: 0 })
    }

    fn named(&self, name: &str) -> Option<Fault> {
        let common = COMMON.iter().find(|(known, _)| *known == name).map(|(_, fault)| *fault);
        let custom = || self.customs.iter().chain(self.manners).find(|known| **known == name);
        common.or_else(|| custom().map(|known| Fault::Custom(known)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().expect("no holder of the script panics")
    }
}

impl Entry {
    fn to_json(&self) -> Value {
        let mut shown = Map::new();
        shown.insert("fault".to_owned(), json!(self.name));
        if let Some(operation) = &self.operation {
            shown.insert("operation".to_owned(), json!(operation));
        }
        shown.insert("probability".to_owned(), json!(self.probability));
        shown.insert("count".to_owned(), json!(self.count));
        shown.insert("after".to_owned(), json!(self.after));
        shown.extend(self.parameters.clone());
        shown.insert("seen".to_owned(), json!(self.seen));
        shown.insert("hits".to_owned(), json!(self.hits));
        Value::Object(shown)
    }
}

fn combines(fault: Fault, manners: &[&str]) -> bool {
    match fault {
        Fault::Latency | Fault::PriceChanged => true,
        Fault::Custom(name) => manners.contains(&name),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
