//! The settings file as it is written: which names exist, and where each value stands.
//!
//! Entries are read one by one, so that a mistake in one does not hide those in others. Unknown names are
//! mistakes. What the values mean is decided in `config.rs` and `providers.rs`. It refuses secrets: a key
//! is named by `key_env` or `key_file`, never written here.

use super::Mistakes;
use super::feeds::TypedMapping;
use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// A value with the file and line that it stands in.
#[derive(Clone, Debug)]
pub(super) struct Written<T> {
    pub value: T,
    pub place: String,
}

/// The whole file. Each field is the entry of the same name; absent means the default.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed {
    /// `HOST:PORT`; default 127.0.0.1:8080.
    pub listen: Option<Written<String>>,
    /// Folder of the books.
    pub data_dir: Option<Written<PathBuf>>,
    /// Folder with catalogue files that replace or join the embedded ones.
    pub catalogue_dir: Option<Written<PathBuf>>,
    /// Whether models count that articles describe and no public price sheet confirms; default no.
    pub catalogue_described: Option<bool>,
    /// The offer that savings of routes are measured against; default none.
    pub baseline: Option<Written<String>>,
    /// From acceptance to answer, milliseconds, 1,000 to 3,600,000; default 300,000.
    pub deadline_ms: Option<Written<u64>>,
    /// How deep pictures are checked: `header` (default) or `pixels`.
    pub check: Option<Written<String>>,
    /// Cap of the project `default` in dollars, as text; default none.
    pub cap_usd: Option<Written<String>>,
    /// Whether a prompt that one provider refused is tried at another; default false.
    pub moderation_failover: Option<bool>,
    /// Whether webhooks may lead to private addresses, and be without TLS; default no.
    pub webhooks_private: Option<bool>,
    pub providers: Vec<TypedProvider>,
    /// Where prices are polled.
    pub feeds: Vec<TypedFeed>,
}

/// One entry of `[[feeds]]`.
#[derive(Clone, Debug)]
pub(super) struct TypedFeed {
    /// File and line of the entry.
    pub place: String,
    /// `json` or `spot`.
    pub kind: Option<Written<String>>,
    pub url: Option<Written<String>>,
    /// Minutes between two polls; after three that failed a price is called stale. Default 60.
    pub every_minutes: Option<Written<u32>>,
    /// The variable that holds the key, sent as a bearer token; default none.
    pub key_env: Option<Written<String>>,
    /// How far a price may move before it is held; default 3.
    pub jump_factor: Option<Written<u32>>,
    /// Of a `json` feed: where each line's price stands.
    pub prices: Option<Written<Vec<TypedMapping>>>,
}

/// One entry of `[[providers]]`.
#[derive(Clone, Debug)]
pub(super) struct TypedProvider {
    /// File and line of the entry.
    pub place: String,
    /// Default: the kind.
    pub name: Option<Written<String>>,
    pub kind: Option<Written<String>>,
    /// With the path that the vendor's SDK would take; default the catalogue's.
    pub base_url: Option<Written<String>>,
    /// The variable that holds the key; default the customary ones of the kind.
    pub key_env: Option<Written<String>>,
    /// The file that holds the key and nothing else.
    pub key_file: Option<Written<PathBuf>>,
    /// Deployment or region of the account, where prices depend on it: a word of the kind's price conditions.
    pub region: Option<Written<String>>,
    /// Calls in flight, 1 to 10,000; default the catalogue's.
    pub concurrency_max: Option<Written<u32>>,
}

/// Reads `text`; every mistake is added, and what could be read is returned.
pub(super) fn read(file: &str, text: &str, mistakes: &mut Mistakes) -> Typed {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { file, text, mistakes };
    for error in &errors {
        reader.mistake(error.span().unwrap_or(0..0), error.message());
    }
    if !errors.is_empty() {
        return Typed::default();
    }
    let mut table = table.into_inner();
    let typed = Typed {
        listen: reader.take(&mut table, "listen"),
        data_dir: reader.take(&mut table, "data_dir"),
        catalogue_dir: reader.take(&mut table, "catalogue_dir"),
        catalogue_described: reader.take(&mut table, "catalogue_described").map(|written| written.value),
        baseline: reader.take(&mut table, "baseline"),
        deadline_ms: reader.take(&mut table, "deadline_ms"),
        check: reader.take(&mut table, "check"),
        cap_usd: reader.take(&mut table, "cap_usd"),
        moderation_failover: reader.take(&mut table, "moderation_failover").map(|written| written.value),
        webhooks_private: reader.webhooks_private(&mut table),
        providers: reader.providers(&mut table),
        feeds: reader.feeds(&mut table),
    };
    reader.refuse_rest(
        table,
        "listen, data_dir, catalogue_dir, catalogue_described, baseline, deadline_ms, check, cap_usd, \
         moderation_failover, webhooks, providers, feeds",
    );
    typed
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    mistakes: &'a mut Mistakes,
}

impl Reader<'_> {
    fn place(&self, span: &Range<usize>) -> String {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}", self.file)
    }

    fn mistake(&mut self, span: Range<usize>, message: impl fmt::Display) {
        let place = self.place(&span);
        self.mistakes.add(place, message);
    }

    fn take<T: DeserializeOwned>(&mut self, table: &mut DeTable<'_>, name: &str) -> Option<Written<T>> {
        let value = table.remove(name)?;
        let span = value.span();
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(Written { value, place: self.place(&span) }),
            Err(error) => {
                self.mistake(error.span().unwrap_or(span), format!("{name}: {}", plainly(error.message())));
                None
            }
        }
    }

    /// The one entry of `[webhooks]`.
    fn webhooks_private(&mut self, table: &mut DeTable<'_>) -> Option<bool> {
        let value = table.remove("webhooks")?;
        let span = value.span();
        let DeValue::Table(mut entries) = value.into_inner() else {
            self.mistake(span, "webhooks is a table: write [webhooks] and its entries below");
            return None;
        };
        let private = self.take(&mut entries, "allow_private").map(|written| written.value);
        self.refuse_rest(entries, "allow_private");
        private
    }

    fn providers(&mut self, table: &mut DeTable<'_>) -> Vec<TypedProvider> {
        let Some(value) = table.remove("providers") else { return Vec::new() };
        let span = value.span();
        let DeValue::Array(entries) = value.into_inner() else {
            self.mistake(span, "providers is a list: write [[providers]]");
            return Vec::new();
        };
        entries.into_iter().filter_map(|entry| self.provider(entry)).collect()
    }

    fn provider(&mut self, entry: Spanned<DeValue<'_>>) -> Option<TypedProvider> {
        let span = entry.span();
        let DeValue::Table(mut table) = entry.into_inner() else {
            self.mistake(span, "a provider is a table: write [[providers]] and its entries below");
            return None;
        };
        let provider = TypedProvider {
            place: self.place(&span),
            name: self.take(&mut table, "name"),
            kind: self.take(&mut table, "kind"),
            base_url: self.take(&mut table, "base_url"),
            key_env: self.take(&mut table, "key_env"),
            key_file: self.take(&mut table, "key_file"),
            region: self.take(&mut table, "region"),
            concurrency_max: self.take(&mut table, "concurrency_max"),
        };
        if let Some(key) = table.remove("key").or_else(|| table.remove("api_key")) {
            let advice = "name the variable that holds it in key_env, or a file in key_file";
            self.mistake(key.span(), format!("a key does not belong into this file: {advice}"));
        }
        self.refuse_rest(table, "name, kind, base_url, key_env, key_file, region, concurrency_max");
        Some(provider)
    }

    fn feeds(&mut self, table: &mut DeTable<'_>) -> Vec<TypedFeed> {
        let Some(value) = table.remove("feeds") else { return Vec::new() };
        let span = value.span();
        let DeValue::Array(entries) = value.into_inner() else {
            self.mistake(span, "feeds is a list: write [[feeds]]");
            return Vec::new();
        };
        entries.into_iter().filter_map(|entry| self.feed(entry)).collect()
    }

    fn feed(&mut self, entry: Spanned<DeValue<'_>>) -> Option<TypedFeed> {
        let span = entry.span();
        let DeValue::Table(mut table) = entry.into_inner() else {
            self.mistake(span, "a feed is a table: write [[feeds]] and its entries below");
            return None;
        };
        let feed = TypedFeed {
            place: self.place(&span),
            kind: self.take(&mut table, "kind"),
            url: self.take(&mut table, "url"),
            every_minutes: self.take(&mut table, "every_minutes"),
            key_env: self.take(&mut table, "key_env"),
            jump_factor: self.take(&mut table, "jump_factor"),
            prices: self.take(&mut table, "prices"),
        };
        self.refuse_rest(table, "kind, url, every_minutes, key_env, jump_factor, prices");
        Some(feed)
    }

    fn refuse_rest(&mut self, table: DeTable<'_>, known: &str) {
        for (name, _) in table {
            self.mistake(name.span(), format!("unknown entry {:?}; known are {known}", name.get_ref()));
        }
    }
}

/// A message of the deserialiser without the names of the language's types.
fn plainly(message: &str) -> String {
    let words = [("a string", "text in quotes"), ("u64", "a whole number"), ("u32", "a whole number")];
    words.iter().fold(message.replace("a boolean", "true or false"), |message, (from, to)| {
        message.replace(&format!("expected {from}"), &format!("expected {to}"))
    })
}
