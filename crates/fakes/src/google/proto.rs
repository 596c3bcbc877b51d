//! Proto JSON as Google reads it: keys in snake or camel case, enums in any case, integers also as text.
//!
//! Owns one message of a request with the names it may have; an unknown name is refused as Google refuses it.
//! A null counts as absent. Refuses meaning: `request.rs` gives it.

use serde_json::{Map, Value};

use super::refusal::Refusal;

/// One checked message.
pub(super) struct Message<'a> {
    path: String,
    fields: &'a Map<String, Value>,
}

impl<'a> Message<'a> {
    /// `known` are the field names in snake case.
    pub(super) fn read(value: &'a Value, path: &str, known: &[&str]) -> Result<Message<'a>, Refusal> {
        let Some(fields) = value.as_object() else {
            return Err(Refusal::invalid(format!("Invalid value at '{path}': expected an object.")));
        };
        for name in fields.keys() {
            if !known.contains(&snake(name).as_str()) {
                let place = if path.is_empty() { String::new() } else { format!(" at '{path}'") };
                return Err(Refusal::invalid(format!(
                    "Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field."
                )));
            }
        }
        Ok(Message { path: path.to_owned(), fields })
    }

    pub(super) fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        let field = self.fields.iter().find(|(key, _)| snake(key) == name);
        field.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    pub(super) fn message(&self, name: &str, known: &[&str]) -> Result<Option<Message<'a>>, Refusal> {
        self.get(name).map(|value| Message::read(value, &self.path(name), known)).transpose()
    }

    pub(super) fn list(&self, name: &str) -> Result<&'a [Value], Refusal> {
        match self.get(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.wrong(name, "a list")),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong(name, "a string"))
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        let Some(value) = self.get(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.wrong(name, "a bool"))
    }

    pub(super) fn whole(&self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        number.map(Some).ok_or_else(|| self.wrong(name, "an int32"))
    }

    /// An enum's word in capitals.
    pub(super) fn word(&self, name: &str, known: &[&str]) -> Result<Option<String>, Refusal> {
        let Some(word) = self.text(name)? else { return Ok(None) };
        enumerated(word, known)
            .map(Some)
            .ok_or_else(|| self.wrong(name, &format!("one of {}", known.join(", "))))
    }

    pub(super) fn wrong(&self, name: &str, wanted: &str) -> Refusal {
        let value = self.get(name).map(ToString::to_string).unwrap_or_default();
        Refusal::invalid(format!("Invalid value at '{}': expected {wanted}, got {value}.", self.path(name)))
    }
}

/// The word in capitals if it is known.
pub(super) fn enumerated(word: &str, known: &[&str]) -> Option<String> {
    let word = word.to_ascii_uppercase();
    known.contains(&word.as_str()).then_some(word)
}

fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}
