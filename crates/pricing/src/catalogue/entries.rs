//! Getting typed values out of a parsed table, one entry at a time.
//!
//! Owns the rule that a list or a group of names is read entry by entry, so that a mistake in one of them
//! is reported and the others are still read. Knows nothing of what the entries mean: that is
//! [`super::read`], and how they are written is `raw`.

use super::read::Reader;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::ops::Range as Span;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

pub(super) type Table<'i> = DeTable<'i>;
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    pub(super) fn entries<'i>(&mut self, table: &mut Table<'i>, key: &str) -> Vec<(String, Value<'i>)> {
        let Some(value) = table.remove(key) else { return Vec::new() };
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(entries) => {
                entries.into_iter().map(|(k, v)| (k.into_inner().into_owned(), v)).collect()
            }
            _ => {
                self.mistake(span, format!("`{key}` holds named entries: write [{key}.name]"));
                Vec::new()
            }
        }
    }

    pub(super) fn spanned<T: DeserializeOwned>(
        &mut self,
        table: &mut Table<'_>,
        key: &str,
    ) -> Vec<(String, Span<usize>, T)> {
        let entries = self.entries(table, key);
        entries
            .into_iter()
            .filter_map(|(name, value)| {
                let span = value.span();
                Some((name, span, self.deserialize(value)?))
            })
            .collect()
    }

    pub(super) fn named<T: DeserializeOwned>(
        &mut self,
        table: &mut Table<'_>,
        key: &str,
    ) -> BTreeMap<String, T> {
        self.spanned(table, key).into_iter().map(|(name, _, entry)| (name, entry)).collect()
    }

    pub(super) fn list<T: DeserializeOwned>(&mut self, table: &mut Table<'_>, key: &str) -> Vec<T> {
        let Some(value) = table.remove(key) else { return Vec::new() };
        let span = value.span();
        match value.into_inner() {
            DeValue::Array(entries) => {
                entries.into_iter().filter_map(|entry| self.deserialize(entry)).collect()
            }
            _ => {
                self.mistake(span, format!("`{key}` is a list: write [[{key}]]"));
                Vec::new()
            }
        }
    }

    pub(super) fn required<T: DeserializeOwned>(&mut self, table: &mut Table<'_>, key: &str) -> Option<T> {
        let value = table.remove(key);
        if value.is_none() {
            self.mistake(0..0, format!("`{key}` is missing at the top of the file"));
        }
        value.and_then(|value| self.deserialize(value))
    }

    pub(super) fn optional<T: DeserializeOwned>(&mut self, table: &mut Table<'_>, key: &str) -> Option<T> {
        table.remove(key).and_then(|value| self.deserialize(value))
    }

    pub(super) fn deserialize<T: DeserializeOwned>(&mut self, value: Value<'_>) -> Option<T> {
        let span = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(entry) => Some(entry),
            Err(error) => {
                self.mistake(error.span().unwrap_or(span), told(&error));
                None
            }
        }
    }
}

/// What is wrong, and with which entry inside of what was read: the error says that below its message alone.
fn told(error: &toml::de::Error) -> String {
    let (text, message) = (error.to_string(), error.message());
    let keys = text.trim_end().strip_prefix(message).and_then(|rest| rest.trim_start().strip_prefix("in "));
    keys.map_or_else(|| message.to_owned(), |keys| format!("{keys}: {message}"))
}
